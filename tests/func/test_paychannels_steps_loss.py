"""Scenarios as in test_paychannels_steps, in which data, ids or keys are lost or change, or
thousands of payments are under way."""
from framework import main
from paychan_pair import Pair
from paychan_scene import scenarios

SCENARIOS = {
    "14 the payer loses its channels": """opens; is funded; pays 1000; payer loses its channels;
        pays 10; payer closes; is mined; ends closed""",
    "14 the payer has an old copy": """opens; is funded; is deep; pays 1000; payer is copied;
        pays 30; payer is put back; pays 10; payer closes; is mined; ends closed""",
    "14 the payee loses its channels": """opens; is funded; pays 1000; payee loses its channels;
        pays 10; payee closes; is mined; ends closed""",
    "14 the payee is one payment behind": """opens; is funded; is deep; pays 1000; payee is copied;
        pays 30; payee is put back; pays 10; payee closes; is mined; ends closed""",

    "17 the funding comes under another id": """opens; funding is malleated; pays 1000;
        payee closes; is mined; ends closed""",
    "17 a fork has the funding under another id": """opens; is funded; pays 1000 500;
        funding is malleated in a fork; pays 10; payee closes; is mined; ends closed""",
    "18 the close comes under another id": """opens; is funded; pays 20000; payee closes; is sent;
        close is malleated; ends closed""",

    "19 the payer dies as it stores the close": """opens; is funded; pays 1000;
        payer dies as it stores the close; is closing; is mined; ends closed""",
    "19 both die as they store the close": """opens; is funded; pays 1000;
        payer dies as it stores the close; payee dies as it stores the close; is closing; is mined;
        ends closed""",

    "20 the payee dies with thousands under way": """opens; is funded; pays 10;
        payee dies before it writes any of 4096; payee dies before it acknowledges any of 4096;
        payee dies amid 4096; pays 1; payer closes; is mined; ends closed""",

    "21 little is taken while the funding is shallow": """opens; is funded; pays 99999;
        may not pay 2; pays 1; may not pay 1; is deep; pays 100000; payee closes; is mined;
        ends closed""",

    "23 the payer has another key": """opens; is funded; pays 1000; payer has another key; pays 500;
        payer closes; is mined; ends closed""",
}

scenarios(Pair, SCENARIOS)


if __name__ == "__main__":
    main()

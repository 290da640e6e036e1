"""Scenarios as in test_paychannels_steps with a payer that means harm; the payee is killed."""
from framework import main
from paychan_harm import Harm, Heir
from paychan_scene import scenarios

SCENARIOS = {
    "6 payments that are none": """opens; pays 1000; leaves a number out; pays less;
        pays nothing more; pays more than there is; pays more than is safe;
        pays under the same number; signs wrongly; signs with a high s;
        pays into a channel that is not there; pays 2000; payee closes; is mined; ends closed""",
    "7 fundings that are none": """agrees; agrees again; shows another script; shows another value;
        shows another output; shows nothing; funds; pays 1000; payee closes; is mined;
        ends closed""",
    "7 a funding in a stale block": """agrees; pays before it is open;
        shows a funding that is in no block; has the funding in a stale block;
        pays after it was open; ends unpaid""",
    "7 a funding whose coin is spent otherwise": """agrees; shows a funding that is in no block;
        spends the coin otherwise; pays before it is open; ends unpaid""",

    "9 a refund is parked while the payee sleeps": """opens; pays 20000; notes the expiry;
        payee sleeps; parks a refund; payee wakes; sees a refund; is mined;
        ends closed""",
    "9 refunds flood the payee": """opens; pays 20000; notes the expiry; floods 100; is alarmed;
        floods 100; is mined; ends closed""",

    "15 openings that are none": """asks for an expiry that is past;
        asks for an expiry that is near; asks for an expiry that is far; asks for too little;
        asks for too much; offers too low a fee; opens; pays 1; payee closes; is mined;
        ends closed""",

    "16 blocks stop": """opens; pays 1000; blocks stop; is taken nothing from;
        margin begins by the clock; is mined; ends closed""",

    "19 closes that are none": "opens; pays 1000; closes wrongly; is mined; ends closed",
    "19 a close with another fee": """opens; pays 1000; closes with another fee; is mined;
        ends closed""",

    "20 one in the middle is refused": """opens; pays 1000; sends a wrong one amid others;
        sends the last of them; pays 2000; payee closes; is mined; ends closed""",

    "22 an old copy and a spent funding": """agrees; payee is copied; funds; pays 1000;
        payee closes; is mined; payee is put back; shows the one that is spent; ends unfunded""",
}

HEIRS = {
    "23 the key of the payer is followed by another": """opens; pays 1000; announces an heir;
        heir is nobody yet; contact takes the heir; old key is served no more; pays 1500;
        payee closes; is mined; ends closed""",
}

scenarios(Harm, SCENARIOS)
scenarios(Heir, HEIRS)


if __name__ == "__main__":
    main()

"""Scenarios as in test_paychannels_steps with a helper, with a payer that has lost all but its
words, and with a payee that says what is not so."""
from framework import main
from paychan_more import Doubt, Kept, Words
from paychan_scene import scenarios

KEPT = {
    "24 the helper closes while the payee is off": """opens; is funded; pays 1000; helper has it;
        pays 500; helper has it; payee is off; comes before the helper closes; helper closes;
        is mined; payee is on again; is known to all; ends closed""",
}

WORDS = {
    "22 the payer has its phrase and the payee": """opens; is funded; pays 1000 500;
        payer is left with its phrase; payer knows it again; pays 10; payer closes; is mined;
        ends closed""",
    "22 the payer has its phrase and a file": """opens; is funded; payer writes a file; payee goes;
        payer is left with its phrase; payer reads the file; expires; is mined; ends refunded""",
}

DOUBT = {
    "14 a signature that is none": """opens; shows what was never signed; pays no more; expires;
        ends refunded""",
    "22 copies that are wrong": """opens; loses all but its wallet; is shown no copy;
        is shown another transaction; is shown another output; is shown another key;
        is shown another id; is shown the copy; is ready; expires; ends refunded""",
}

scenarios(Kept, KEPT)
scenarios(Words, WORDS)
scenarios(Doubt, DOUBT)


if __name__ == "__main__":
    main()

"""Spends of payment channels in the interpreter of the BSV SDK for JavaScript (@bsv/sdk)."""
import json
import os

from scripts import run_script  # first: it finds the folder of the functional tests

from framework import VECTORS, Skip, case, check, equal, main
from paychan_guest import ACK, CAPACITY, PAY, changed_push, open_channel, payee
from paychannels import spender


def judged(given, directory):
    path = os.path.join(directory, "spends.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump(given, file)
    return run_script("spend.js", path)


@case(timeout=120)
def the_sdk_judges_all_published_spends_as_they_say(t):
    path = os.path.join(VECTORS, "..", "spec", "channels-vectors.json")
    if not os.path.exists(path):
        raise Skip(f"{path} is absent")
    with open(path, encoding="ascii") as file:
        given = json.load(file)
    answers = judged(given, t.path(""))
    check(given["cases"], "cases")
    for one in given["cases"]:
        equal(answers[one["name"]] is True, one["valid"], f"{one['name']}: {answers[one['name']]}")


@case(timeout=120)
def the_sdk_takes_the_close_of_a_node(t):
    node, payer = payee(t)
    open_channel(node, payer)
    payer.put(PAY, payer.pay(1, 4000))
    payer.answer(ACK)
    node.rpc.closechannel(payer.id.hex())
    raw = bytes.fromhex(t.wait(lambda: spender(node, payer.id.hex()))["hex"])
    spoilt = raw[:-20] + bytes([raw[-20] ^ 1]) + raw[-19:]
    answers = judged({"lock": payer.lock.hex(), "capacity": CAPACITY, "cases": [
        {"name": "close", "tx": raw.hex()}, {"name": "other output", "tx": spoilt.hex()},
        {"name": "longer push", "tx": changed_push(raw).hex()}]}, t.path(""))
    equal(answers["close"], True)
    check(answers["other output"] is not True, "another output")
    # Valid in a block, where the rule of the shortest push does not hold; the SDK knows no blocks.
    check(answers["longer push"] is not True, "a longer push")


if __name__ == "__main__":
    main()

"""Payments by a transaction over direct channels with the BSV SDK for JavaScript (@bsv/sdk) on one
side: it makes and judges what a guest written from the specification hands over and gets."""
import json
import os
import threading

from scripts import run_script  # first: it finds the folder of the functional tests

from framework import Rpc, case, check, equal, main
from identities import identity
from paychannels import mine
from paytx_guest import (ACCEPTED, COIN, COIN_KEY, FEE, REFUSED, RESULT, TX, p_result, p_tx, payee)


def sdk(task, **fields):
    return run_script("wallet.js", json.dumps({"do": task, **fields}))


def roots(node):
    return {h: node.rpc.getblockheader(node.rpc.getblockhash(h))["merkleroot"]
            for h in range(node.rpc.getblockcount() + 1)}


@case(timeout=120)
def a_payment_of_the_sdk_is_taken(t):
    node, guest = payee(t)
    coin = guest.coin()
    made = sdk("pay", secret=guest.secret.hex(), beef=node.rpc.getbeef(coin["txid"], "atomic"),
               index=guest.place(coin), spend=COIN_KEY.secret.to_bytes(32, "big").hex(),
               payee=guest.remote.hex(), prefix="cHJlZml4", suffix="c3VmZml4", amount=COIN - FEE)
    beef = bytes.fromhex(made["payment"]["tx"])
    wrong = p_tx(os.urandom(16), beef, prefix=b"cHJlZml5")
    check(guest.hand_over(wrong) != ACCEPTED, "another prefix")
    equal(node.rpc.getrawmempool(), [])
    guest.put(TX, p_tx(b"s" * 16, beef))
    equal(guest.result(), (b"s" * 16, ACCEPTED, bytes.fromhex(made["txid"])[::-1]))
    equal(node.rpc.getrawmempool(), [made["txid"]])
    before = node.rpc.getbalance()
    mine(node)
    equal(int((node.rpc.getbalance() - before) * 10**8), COIN - FEE)


def pay(node, answers):
    """On a connection of its own, since it waits for the payee."""
    rpc = Rpc(node.rpc_port, node.cookie)
    try:
        answers.append(rpc.pay(contact="mallory", satoshis=123456, transaction=True))
    except Exception as error:  # told by who waits
        answers.append(error)
    rpc.close()


def paid(node, guest, status):
    """What the guest gets of a payment that it answers with this status, and what the payer is
    told."""
    answers = []
    worker = threading.Thread(target=pay, args=(node, answers))
    worker.start()
    got = guest.await_payment()
    guest.put(RESULT, p_result(got[0], status))
    worker.join()
    return got, answers[0]


@case(timeout=120)
def the_sdk_takes_a_payment_of_the_node(t):
    node, guest = payee(t)
    (identifier, prefix, outputs, beef), answer = paid(node, guest, ACCEPTED)
    equal((answer["id"], answer["state"]), (identifier.hex(), "accepted"))
    payment = {"senderIdentityKey": identity(node, "me")["public_key"],
               "derivationPrefix": prefix.decode(), "tx": beef.hex(),
               "outputs": [{"outputIndex": i, "derivationSuffix": s.decode()} for i, s in outputs]}
    got = sdk("take", secret=guest.secret.hex(), payment=payment, roots=roots(node))
    check(got["holds"], "the SDK believes the BEEF")
    equal([(o["satoshis"], o["ours"]) for o in got["outputs"]], [(123456, True)])
    t.wait(lambda: answer["txid"] in node.rpc.getrawmempool())
    # One that is refused has not gone anywhere.
    coins = {(c["txid"], c["vout"]) for c in node.rpc.listunspent(0)}
    _, answer = paid(node, guest, REFUSED)
    check("the coins are free again" in str(answer), str(answer))
    equal({(c["txid"], c["vout"]) for c in node.rpc.listunspent(0)}, coins)
    equal(len(node.rpc.getrawmempool()), 1)


if __name__ == "__main__":
    main()

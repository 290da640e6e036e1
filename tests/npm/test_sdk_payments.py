"""Payments by a transaction over direct channels with the BSV SDK for JavaScript (@bsv/sdk) on one
side: it makes and judges what a guest written from the specification hands over and gets."""
import json
import os

from scripts import run_script  # first: it finds the folder of the functional tests

from framework import case, check, equal, main
from identities import identity
from paychannels import mine
from paytx_guest import (ACCEPTED, COIN, COIN_KEY, FEE, RESULT, SATOSHIS, TX, Payment, p_result,
                         p_tx, payee)


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


@case(timeout=120)
def the_sdk_takes_a_payment_of_the_node(t):
    node, guest = payee(t)
    made = Payment(node)
    identifier, prefix, outputs, beef = guest.await_payment()
    payment = {"senderIdentityKey": identity(node, "me")["public_key"],
               "derivationPrefix": prefix.decode(), "tx": beef.hex(),
               "outputs": [{"outputIndex": i, "derivationSuffix": s.decode()} for i, s in outputs]}
    got = sdk("take", secret=guest.secret.hex(), payment=payment, roots=roots(node))
    check(got["holds"], "the SDK believes the BEEF")
    equal([(o["satoshis"], o["ours"]) for o in got["outputs"]], [(SATOSHIS, True)])
    guest.put(RESULT, p_result(identifier, ACCEPTED))
    answer = made.end()
    equal((answer["id"], answer["state"]), (identifier.hex(), "accepted"))
    t.wait(lambda: answer["txid"] in node.rpc.getrawmempool())


if __name__ == "__main__":
    main()

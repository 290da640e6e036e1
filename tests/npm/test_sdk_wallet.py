"""Wallets of the node and the BSV SDK for JavaScript (@bsv/sdk) as two sides of one matter, in both
directions: keys and addresses, signed and encrypted messages (BRC-77, 78), payments between people
(BRC-29, with the keys of BRC-42) and the BEEFs and BUMPs in them."""
import json
import time

from scripts import run_script  # first: it finds the folder of the functional tests

from framework import case, check, equal, main, raises_rpc
from blocks import Chain, Key, TxOut, display, spend
from proofs import COIN
from wallet_rpc import WalletRpc
from wallets import mine, rich_node

KEY = Key(7)
SECRET = "11" * 32
MESSAGE = "a message, éü"
FEE = 1000


def sdk(task, **fields):
    return run_script("wallet.js", json.dumps({"do": task, **fields}))


def spv(task, **fields):
    return run_script("spv.js", json.dumps({"do": task, **fields}))


def roots(node):
    return {h: node.rpc.getblockheader(node.rpc.getblockhash(h))["merkleroot"]
            for h in range(node.rpc.getblockcount() + 1)}


def wallet_of(node, name):
    node.rpc.createwallet(name)
    return WalletRpc(node, name)


@case(timeout=120)
def keys_and_messages(t):
    node = t.node()
    address = node.rpc.getnewaddress()
    ours = sdk("key", wif=node.rpc.dumpprivkey(address))
    equal((ours["address"], ours["pubkey"], ours["wif"]),
          (address, node.rpc.validateaddress(address)["pubkey"], node.rpc.dumpprivkey(address)))
    other = node.rpc.getnewaddress()
    theirs = sdk("key", wif=node.rpc.dumpprivkey(other))
    # What the SDK signs with the first key for the second.
    made = sdk("sign", secret=ours["secret"], message=MESSAGE, verifier=theirs["pubkey"])
    check(node.rpc.verifymessage(address, made["bsm"], MESSAGE), "signmessage")
    for form in ("anyone", "one"):
        check(node.rpc.brc77verify(address, made[form], MESSAGE), "BRC-77 for " + form)
        equal(node.rpc.brc77verify(other, made[form], MESSAGE), False)
    equal(node.rpc.brc78decrypt(made["sealed"])["message"], MESSAGE)
    # What the node signs with the first key, read with the second.
    answer = sdk("verify", secret=theirs["secret"], signer=ours["pubkey"], message=MESSAGE,
                 bsm=node.rpc.signmessage(address, MESSAGE),
                 anyone=node.rpc.brc77sign(address, MESSAGE),
                 one=node.rpc.brc77sign(address, MESSAGE, theirs["pubkey"]),
                 sealed=node.rpc.brc78encrypt(address, theirs["pubkey"], MESSAGE))
    equal(answer, {"bsm": True, "anyone": True, "one": True, "sealed": MESSAGE})


@case(timeout=120)
def a_payment_of_the_node_is_taken_by_the_sdk(t):
    node = rich_node(t)
    person = sdk("key", wif=node.rpc.dumpprivkey(node.rpc.getnewaddress()))
    made = node.rpc.createpayment(person["pubkey"], [1, 0.5])
    got = sdk("take", secret=person["secret"], payment=made["payment"], roots=roots(node))
    check(got["holds"], "the SDK believes the BEEF")
    equal([(o["satoshis"], o["ours"]) for o in got["outputs"]], [(COIN, True), (COIN // 2, True)])
    # With the SDK's keys a wallet owns it.
    payee = wallet_of(node, "payee")
    for output in got["outputs"]:
        payee.importprivkey(output["wif"], "", False)
    mine(node)
    equal(payee.getbalance(), 1.5)


@case(timeout=120)
def a_payment_of_the_sdk_is_accepted_by_the_node(t):
    chain = Chain(start_time=int(time.time()) - 3000).grow(102, script=KEY.script)
    chain.add(*[spend(KEY, chain.at(h).txs[0].txid(), 0, 50 * COIN,
                      [TxOut(50 * COIN - FEE, KEY.script)])
                for h in (1, 2)])
    node = t.node_at(chain)
    parent = display(chain.at(103).txs[2].txid())
    made = sdk("pay", secret=SECRET, beef=node.rpc.getbeef(parent, "atomic"),
               spend=KEY.secret.to_bytes(32, "big").hex(), payee=node.rpc.getidentitykey(),
               prefix="cHJlZml4", suffix="c3VmZml4", amount=50 * COIN - 2 * FEE)
    for beef, atomic in ((made["v1"], False), (made["payment"]["tx"], True)):
        got = node.rpc.verifybeef(beef)
        equal((got["result"], got["txid"], got["atomic"], [b["height"] for b in got["bumps"]]),
              ("valid", made["txid"], atomic, [103]))
    again = spv("bump", hex=node.rpc.getbump(parent), txid=parent, roots=roots(node))["again"]
    equal(node.rpc.verifybump(again, parent)["result"], "valid")
    wrong = {**made["payment"], "derivationPrefix": "cHJlZml5"}
    raises_rpc(-8, lambda: node.rpc.acceptpayment(wrong), "does not pay the key")
    equal(node.rpc.acceptpayment(made["payment"])["txid"], made["txid"])
    equal(node.rpc.getrawmempool(), [made["txid"]])
    mine(node)
    equal(int(node.rpc.getbalance() * COIN), 50 * COIN - 2 * FEE)


if __name__ == "__main__":
    main()

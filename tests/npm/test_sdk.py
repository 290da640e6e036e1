"""Proofs that the node makes, judged by the BSV SDK for JavaScript (@bsv/sdk), and extended
transactions that it makes (BRC-74, 62, 95, 96, 30)."""
import json
import time

from scripts import run_script  # first: it finds the folder of the functional tests

from framework import case, check, equal, is_in, main, raises_rpc
from blocks import Chain, Key, Tx, TxIn, TxOut, display, spend
from proofs import COIN, family, ids_of

KEY = Key(7)
FEE = 1000


def sdk(task, **fields):
    return run_script("spv.js", json.dumps({"do": task, **fields}))


def roots(node):
    return {h: node.rpc.getblockheader(node.rpc.getblockhash(h))["merkleroot"]
            for h in range(node.rpc.getblockcount() + 1)}


def signed_chain():
    """102 blocks of coinbases that pay the key; block 103 has four signed moves of the first
    ones."""
    chain = Chain(start_time=int(time.time()) - 3000).grow(102, script=KEY.script)
    outputs = [TxOut(25 * COIN - FEE, KEY.script)] * 2
    chain.add(*[spend(KEY, chain.at(h).txs[0].txid(), 0, 50 * COIN, outputs) for h in (1, 2)])
    return chain


def send(node, tx):
    equal(node.rpc.sendrawtransaction(tx.serialize().hex()), display(tx.txid()))
    return tx


@case(timeout=120)
def the_sdk_takes_bumps(t):
    chain = family(13)
    node = t.node_at(chain)
    believed = roots(node)
    ids = ids_of(chain.at(103))
    for txid in (ids[0], ids[5], ids[12], chain.at(50).txs[0].txid()):
        hex_id = display(txid)
        made = node.rpc.getbump(hex_id)
        got = sdk("bump", hex=made, txid=hex_id, roots=believed)
        height = 50 if txid == chain.at(50).txs[0].txid() else 103
        equal((got["height"], got["root"]), (height, believed[height]))
        check(got["holds"], "the SDK believes it")
        equal(got["again"], made)


@case(timeout=120)
def the_sdk_takes_beefs_of_transactions_in_blocks(t):
    chain = signed_chain()
    node = t.node_at(chain)
    txid = display(chain.at(103).txs[2].txid())
    for format in ("v1", "v2", "atomic"):
        got = sdk("beef", hex=node.rpc.getbeef(txid, format), txid=txid, format=format,
                  roots=roots(node))
        equal(got, {"txids": [txid], "bumps": [103], "atomic": txid if format == "atomic" else None,
                    "holds": True, "subject": txid, "scripts": True})


@case(timeout=120)
def the_sdk_takes_beefs_of_the_mempool_and_their_scripts(t):
    chain = signed_chain()
    node = t.node_at(chain)
    parents = chain.at(103).txs[1:]
    first = Tx([TxIn(p.txid(), 0) for p in parents], [TxOut(50 * COIN - 3 * FEE, KEY.script)])
    for i in range(2):
        first.sign_input(i, KEY, 25 * COIN - FEE, KEY.script)
    send(node, first)
    last = send(node, spend(KEY, first.txid(), 0, 50 * COIN - 3 * FEE,
                            [TxOut(50 * COIN - 4 * FEE, KEY.script)]))
    txid = display(last.txid())
    believed = roots(node)
    for format in ("v1", "v2", "atomic"):
        made = node.rpc.getbeef(txid, format)
        got = sdk("beef", hex=made, txid=txid, format=format, roots=believed)
        equal(sorted(got["txids"]), sorted([display(p.txid()) for p in parents]
                                           + [display(first.txid()), txid]))
        equal((got["bumps"], got["holds"], got["scripts"], got["subject"]),
              ([103], True, True, txid))
    wrong = sdk("beef", hex=made, txid=txid, format="atomic",
                roots={**believed, 103: believed[102]})
    equal(wrong["holds"], False, "another root is not believed")
    is_in("Invalid merkle path", wrong["scripts"])


@case(timeout=120)
def the_node_takes_extended_transactions_of_the_sdk(t):
    chain = signed_chain()
    node = t.node_at(chain)
    parent = display(chain.at(103).txs[1].txid())
    secret = KEY.secret.to_bytes(32, "big").hex()
    for step in range(2):  # the second stands on the first, which waits in the mempool
        made = sdk("spend", beef=node.rpc.getbeef(parent, "atomic"), secret=secret, fee=FEE)
        decoded = node.rpc.decoderawtransaction(made["extended"])
        equal((decoded["txid"], decoded["hex"]), (made["txid"], made["plain"]))
        equal(node.rpc.sendrawtransaction(made["extended"]), made["txid"], f"step {step}")
        raises_rpc(-27, lambda m=made: node.rpc.sendrawtransaction(m["plain"]))
        got = sdk("beef", hex=node.rpc.getbeef(made["txid"]), txid=made["txid"], format="v1",
                  roots=roots(node))
        check(got["holds"] and got["scripts"], "the SDK believes its own")
        parent = made["txid"]


if __name__ == "__main__":
    main()

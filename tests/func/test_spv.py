"""verifybump and verifybeef: proofs of others, judged against the node's own headers."""
from framework import case, check, equal, is_in, main, raises_rpc
from blocks import ANYONE, Chain, Tx, TxIn, TxOut, compact, display
from proofs import COIN, ZERO, family

FEE = 1000


def child_of(tx, value, **how):
    return Tx([TxIn(tx.txid(), 0)], [TxOut(value, ANYONE)], **how)


def beef2(bumps, *entries):
    """V2 of BUMPs in hex and of (transaction, number of its BUMP or None) or of ids alone."""
    out = bytes.fromhex("0200beef") + compact(len(bumps)) + b"".join(map(bytes.fromhex, bumps))
    out += compact(len(entries))
    for entry in entries:
        if isinstance(entry, bytes):
            out += b"\x02" + entry
        else:
            tx, bump = entry
            out += (b"\x00" if bump is None else b"\x01" + compact(bump)) + tx.serialize()
    return out.hex()


def with_another_end(text):
    """The last byte of hex is another one, whatever it was."""
    return text[:-2] + "%02x" % (int(text[-2:], 16) ^ 1)


def refuses(answer, rule, result="invalid"):
    equal((answer["result"], answer.get("rule")), (result, rule), str(answer))
    check(answer["reason"], "a reason")


@case()
def proofs_of_this_node_are_valid(t):
    chain = family(6)
    node = t.node_at(chain)
    block = chain.at(103)
    parent, txid = block.txs[2], display(block.txs[2].txid())
    bump = node.rpc.getbump(txid)
    want = {"result": "valid", "height": 103, "blockhash": block.hash_hex, "confirmations": 1,
            "merkleroot": display(block.header.root), "txids": [txid]}
    equal(node.rpc.verifybump(bump), want)
    equal(node.rpc.verifybump(bump, txid), want)
    first = child_of(parent, COIN - FEE)
    last = child_of(first, COIN - 2 * FEE)
    for tx in (first, last):
        node.rpc.sendrawtransaction(tx.serialize().hex(), False, True)
    del want["result"]
    for shape, version in (("v1", 1), ("v2", 2), ("atomic", 1)):
        got = node.rpc.verifybeef(node.rpc.getbeef(display(last.txid()), shape))
        equal(got, {"result": "valid", "version": version, "atomic": shape == "atomic",
                    "txid": display(last.txid()), "proved": False, "txs": 3, "bumps": [want]})
    got = node.rpc.verifybeef(node.rpc.getbeef(txid))
    equal((got["result"], got["txid"], got["proved"]), ("valid", txid, True))


@case()
def a_bump_that_proves_nothing_names_the_rule(t):
    chain = family(6)
    node = t.node_at(chain)
    judge = node.rpc.verifybump
    txid = display(chain.at(103).txs[2].txid())
    bump = node.rpc.getbump(txid)
    refuses(judge(bump, ZERO), "txid-missing")
    refuses(judge(bump + "00"), "format")
    refuses(judge(bump[:-2]), "format")
    refuses(judge(""), "format")
    refuses(judge("66" + bump[2:]), "merkle-root")
    refuses(judge("68" + bump[2:]), "block-unknown", "undetermined")
    refuses(judge("fe" + "ffffff7f" + bump[2:]), "block-unknown", "undetermined")
    refuses(judge(with_another_end(bump)), "merkle-root")
    refuses(judge(node.rpc.getbump(display(chain.at(103).txs[0].txid()))), "coinbase-maturity")
    equal(judge(node.rpc.getbump(display(chain.at(4).txs[0].txid())))["result"], "valid")
    # both flags of the leaf that is a transaction
    marked = bytes.fromhex(bump)
    at = marked.index(chain.at(103).txs[2].txid()) - 1
    equal(marked[at], 2)
    refuses(judge((marked[:at] + b"\x03" + marked[at + 1:]).hex()), "format")
    refuses(judge((marked[:at] + b"\x00" + marked[at + 1:]).hex()), "no-txid")
    equal(judge((marked[:at] + b"\x00" + marked[at + 1:]).hex(), txid)["result"], "valid")
    raises_rpc(-8, lambda: judge("0"), "hexadecimal")
    raises_rpc(-8, lambda: judge(bump, "12"), "length 64")
    raises_rpc(-1, judge, "verifybump")


@case()
def a_proof_of_a_block_that_left_the_chain_decides_nothing(t):
    chain = family(3)
    node = t.node_at(chain)
    bump = node.rpc.getbump(display(chain.at(103).txs[1].txid()))
    node.rpc.invalidateblock(chain.at(103).hash_hex)
    refuses(node.rpc.verifybump(bump), "block-unknown", "undetermined")
    other = Chain(parent=chain,
                  height=102).add(Tx([TxIn(chain.at(3).txs[0].txid(), 0)], [TxOut(1, ANYONE)]))
    equal(node.rpc.submitblock(other.serialize().hex()), None)
    refuses(node.rpc.verifybump(bump), "merkle-root")
    node.rpc.reconsiderblock(chain.at(103).hash_hex)


@case()
def a_beef_that_does_not_hold_names_the_rule(t):
    chain = family(6)
    node = t.node_at(chain)
    judge = node.rpc.verifybeef
    parent, other = chain.at(103).txs[2], chain.at(103).txs[4]
    bump = node.rpc.getbump(display(parent.txid()))
    good = child_of(parent, COIN - FEE)
    equal(judge(beef2([bump], (parent, 0), (good, None)))["result"], "valid")
    refuses(judge(beef2([bump], (good, None), (parent, 0))), "structure")
    refuses(judge(beef2([bump], (parent, 0), (parent, 0))), "structure")
    refuses(judge(beef2([bump], (other, 0))), "structure")
    refuses(judge(beef2([bump, with_another_end(bump)], (parent, 0), (good, None))), "structure")
    refuses(judge(beef2([], (good, None))), "structure")
    refuses(judge(beef2([bump], (parent, 0), (good, None)) + "00"), "format")
    refuses(judge("0300beef0000"), "format")
    refuses(judge(beef2([bump], (parent, 0), (child_of(parent, COIN + 1), None))),
            "bad-txns-in-belowout")
    refuses(judge(beef2([bump], (parent, 0), (good, None), (child_of(parent, COIN), None))),
            "double-spend")
    late = Tx([TxIn(parent.txid(), 0, sequence=0)], [TxOut(COIN, ANYONE)], lock_time=104)
    refuses(judge(beef2([bump], (parent, 0), (late, None))), "non-final")
    closed = Tx([TxIn(good.txid(), 0)], [TxOut(5, b"\x00")])
    opened = child_of(closed, 4)
    refuses(judge(beef2([bump], (parent, 0), (good, None), (closed, None), (opened, None))),
            "script")
    refuses(judge("0200beef" + "00" * (2 << 20)), "limits")
    answer = judge(beef2([bump], (parent, 0), (opened, None), bytes(32)))
    refuses(answer, "structure")
    is_in("what is not there", answer["reason"])
    raises_rpc(-8, lambda: judge("xy"), "hexadecimal")
    raises_rpc(-1, judge, "verifybeef")


@case()
def an_id_alone_counts_when_the_node_holds_the_transaction(t):
    chain = family(6)
    node = t.node_at(chain)
    judge = node.rpc.verifybeef
    parent = chain.at(103).txs[2]
    waiting = child_of(parent, COIN - FEE)
    grand = child_of(waiting, COIN - 2 * FEE)
    equal(judge(beef2([], parent.txid(), (waiting, None)))["result"], "valid", "in a block")
    refuses(judge(beef2([], waiting.txid(), (grand, None))), "txid-only", "undetermined")
    node.rpc.sendrawtransaction(waiting.serialize().hex(), False, True)
    equal(judge(beef2([], waiting.txid(), (grand, None)))["result"], "valid", "in the mempool")
    refuses(judge(beef2([], waiting.txid(), (child_of(waiting, COIN), None))),
            "bad-txns-in-belowout")


if __name__ == "__main__":
    main()

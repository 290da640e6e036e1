"""Reports of double spends in competing blocks (spec p2p 3, 6: dsdetected)."""
import struct
import time

from framework import case, check, equal, is_in, main
from blocks import ANYONE, Chain, Tx, TxIn, TxOut, compact, display, var_bytes
from proofs import branch, ids_of, rows

MATURE = 115


def proof(block, index, flags=5, tx=None):
    """TSC proof of a transaction of the block: the whole of it, and the Merkle root."""
    ids = ids_of(block)
    siblings = [row[-1] if sibling is None else sibling  # the copy is written out
                for row, sibling in zip(rows(ids), branch(ids, index))]
    return (bytes([flags]) + compact(index) + var_bytes((tx or block.txs[index]).serialize())
            + block.header.root + compact(len(siblings)) + b"".join(b"\0" + s for s in siblings))


def entry(chain, height, fork, index=1, **options):
    """The part of a report about one block: headers from it down to the one after the fork."""
    headers = [chain.at(h).header for h in range(height, fork, -1)]
    return (compact(len(headers)) + b"".join(h.serialize() for h in headers)
            + proof(chain.at(height), index, **options))


def report(*entries, version=1):
    return struct.pack("<H", version) + compact(len(entries)) + b"".join(entries)


def spend(chain, height, value):
    return Tx([TxIn(chain.at(height).txs[0].txid(), 0)], [TxOut(value, ANYONE)])


def branches(base, fork, *heights, n=2):
    """n branches above the block `fork`, of three blocks; the second block of each spends the
    coinbase of each of the heights, differently in each branch."""
    out = []
    for k in range(n):
        chain = base.fork(fork).grow(1, extra=bytes([k]))
        chain.add(*[spend(base, h, 1000 + k) for h in heights])
        out.append(chain.grow(1, extra=bytes([k])))
    return out


def scene(t, *options):
    base = Chain(start_time=int(time.time()) - 3000).grow(MATURE)
    node = t.node_at(base, *options)
    return base, node, t.peer(node), t.peer(node)


def refused(peer, node, payload, score=10):
    before = peer.ping().score(node)
    peer.send("dsdetected", payload)
    equal(peer.ping().score(node) - before, score)


def came(peer):
    return [p for c, p in peer.ping().seen if c == "dsdetected"]


@case()
def a_report_that_holds_is_recorded_and_passed_on_once(t):
    base, node, sender, other = scene(t)
    a, b = branches(base, MATURE - 2, 1)
    payload = report(entry(a, MATURE, MATURE - 2), entry(b, MATURE, MATURE - 2))
    sender.send("dsdetected", payload)
    equal(other.wait_for("dsdetected"), payload)
    swapped = report(entry(b, MATURE, MATURE - 2), entry(a, MATURE, MATURE - 2))
    for again in (payload, swapped):
        sender.send("dsdetected", again)
        other.send("dsdetected", again)
    equal(sender.ping().score(node), 0)
    equal(other.ping().score(node), 0)
    equal((len(came(sender)), len(came(other))), (0, 1))
    for chain in (a, b):
        block = chain.at(MATURE)
        is_in("double spend", str(node.rpc.why(display(block.txs[1].txid()))["recorded"]))
        is_in("double spend", str(node.rpc.why(block.hash_hex)["recorded"]))
        equal(node.rpc.getblockheader(block.hash_hex)["height"], MATURE)
    is_in("double spend in competing blocks", node.log())


@case()
def reports_travel_from_node_to_node(t):
    base, node, sender, _ = scene(t)
    second = t.node_at(base, "-connect=" + node.p2p)
    far = t.peer(second)
    t.wait(lambda: second.rpc.getconnectioncount() == 2, 10, "connection")
    a, b = branches(base, MATURE - 2, 1)
    payload = report(entry(a, MATURE, MATURE - 2), entry(b, MATURE, MATURE - 2))
    sender.send("dsdetected", payload)
    equal(far.wait_for("dsdetected"), payload)


@case()
def branches_of_different_length_and_three_blocks_are_fine(t):
    base, node, sender, other = scene(t)
    fork = MATURE - 2
    a, b, c = branches(base, fork, 1, n=3)
    sender.send("dsdetected", report(*[entry(x, MATURE, fork) for x in (a, b, c)]))
    other.wait_for("dsdetected")
    deep = a.fork(MATURE).grow(2)
    deep.add(spend(base, 3, 7))
    flat = b.fork(MATURE)
    flat.add(spend(base, 3, 8))
    sender.send("dsdetected", report(entry(deep, deep.height, fork),
                                     entry(flat, flat.height, fork)))
    other.wait_for("dsdetected")
    equal(sender.ping().score(node), 0)


@case()
def what_is_no_report_scores_ten(t):
    base, node, _, other = scene(t)
    fork = MATURE - 2
    a, b = branches(base, fork, 1, 2, 3)
    one, two = entry(a, MATURE, fork), entry(b, MATURE, fork)
    good = report(one, two)
    wrong_tx = entry(b, MATURE, fork, tx=spend(base, 1, 77))
    other_tx = entry(b, MATURE, fork, index=2)
    coinbase = entry(b, MATURE, fork, index=0)
    cut_chain = (compact(2) + b.at(MATURE).header.serialize() + a.at(MATURE - 1).header.serialize()
                 + proof(b.at(MATURE), 1))
    same_tx = base.fork(fork)
    same_tx.grow(1, extra=b"s")
    same_tx.add(a.at(MATURE).txs[1])
    elsewhere = branches(base, fork - 1, 1)[0]
    root = two.index(b.at(MATURE).header.root, 4 + 2 * 80)
    cases = {
        "version": report(one, two, version=2), "one block": report(one),
        "cut": good[:-1], "empty": b"", "the same block twice": report(one, one),
        "no conflict": report(one, other_tx), "coinbase": report(one, coinbase),
        "another transaction": report(one, wrong_tx), "headers do not link": report(one, cut_chain),
        "flags": report(one, entry(b, MATURE, fork, flags=1)),
        "one transaction twice": report(one, entry(same_tx, MATURE, fork)),
        "another ancestor": report(one, entry(elsewhere, MATURE - 1, fork - 1)),
        "target": report(one, two[:root] + bytes([two[root] ^ 1]) + two[root + 1:]),
        "a block of no headers": report(one, compact(0) + proof(b.at(MATURE), 1)),
    }
    for name, payload in cases.items():
        peer = t.peer(node)
        peer.send("dsdetected", payload)
        equal(peer.ping().score(node), 10, name)
        peer.close()
    equal(came(other), [])
    peer = t.peer(node)
    peer.send("dsdetected", good)
    other.wait_for("dsdetected")


@case()
def headers_are_judged_like_any(t):
    base, node, sender, other = scene(t)
    fork = MATURE - 2
    a, b = branches(base, fork, 1)
    b.at(MATURE).header.unsolve()
    refused(sender, node, report(entry(a, MATURE, fork), entry(b, MATURE, fork)), score=50)
    unknown = Chain(start_time=int(time.time()) - 2000).grow(110, extra=b"u")
    c, d = branches(unknown, 105, 1)
    refused(t.peer(node), node, report(entry(c, 107, 105), entry(d, 107, 105)))
    equal(came(other), [])


@case()
def a_report_about_an_invalid_block_is_refused(t):
    base, node, sender, other = scene(t)
    fork = MATURE - 2
    a, b = branches(base, fork, 1)
    bad = base.fork(fork).grow(1, extra=b"x")
    bad.add(spend(base, 1, 51 * 10**8))  # more than it spends
    bad.grow(1, extra=b"x")
    for block in bad.blocks:
        node.rpc.submitblock(block.serialize().hex())
    t.wait(lambda: bad.tip_hex in [r["hash"] for r in node.rpc.getchaintips()
                                   if r["status"] == "invalid"], 10, "verdict")
    refused(sender, node, report(entry(a, MATURE, fork), entry(bad, MATURE, fork)))
    equal(came(other), [])
    sender = t.peer(node)
    sender.send("dsdetected", report(entry(a, MATURE, fork), entry(b, MATURE, fork)))
    other.wait_for("dsdetected")


@case(timeout=120)
def forks_that_are_too_deep_are_refused(t):
    base = Chain(start_time=int(time.time()) - 7000).grow(MATURE + 1010)
    node = t.node_at(base)
    sender, other = t.peer(node), t.peer(node)
    a, b = branches(base, 105, 1)
    refused(sender, node, report(entry(a, 107, 105), entry(b, 107, 105)))
    equal(came(other), [])
    weak = branches(base, 600, 1)  # near enough, but nothing known and far below our work
    refused(sender, node, report(*[entry(x, 602, 600) for x in weak]))
    equal(came(other), [])


@case()
def while_syncing_reports_are_ignored(t):
    base = Chain(start_time=int(time.time()) - 40 * 3600).grow(MATURE)
    node = t.node_at(base)
    sender, other = t.peer(node), t.peer(node)
    a, b = branches(base, MATURE - 2, 1)
    sender.send("dsdetected", report(entry(a, MATURE, MATURE - 2), entry(b, MATURE, MATURE - 2)))
    equal(sender.ping().score(node), 0)
    equal(came(other), [])


@case()
def many_reports_about_the_same_blocks_are_not_all_passed_on(t):
    base, node, sender, other = scene(t)
    fork = MATURE - 2
    heights = range(1, 13)
    a, b = branches(base, fork, *heights)
    for i in range(1, 13):
        sender.send("dsdetected", report(entry(a, MATURE, fork, index=i),
                                         entry(b, MATURE, fork, index=i)))
    equal(sender.ping().score(node), 0)
    check(len(came(other)) == 8, f"{len(came(other))} came")


def coins(chain, heights):
    return [spend(chain, h, 10**8) for h in heights]


@case()
def a_reorganisation_with_a_double_spend_is_reported(t):
    base, node, first, second = scene(t)
    same = coins(base, (5, 6, 7))
    for k, (chain, length) in enumerate(((base.fork(MATURE), 2), (base.fork(MATURE), 3))):
        chain.add(*same, spend(base, 1, 1000 + k))
        chain.grow(length - 1, extra=bytes([k]))
        for block in chain.blocks:
            node.rpc.submitblock(block.serialize().hex())
        t.wait(lambda c=chain: node.tip() == c.tip_hex, 10, "tip")
        if k == 0:
            left = chain
    payloads = [p.wait_for("dsdetected") for p in (first, second)]
    equal(payloads[0], payloads[1])
    equal(payloads[0], report(entry(left, MATURE + 1, MATURE, index=4),
                              entry(chain, MATURE + 1, MATURE, index=4)))
    is_in("double spend", str(node.rpc.why(left.at(MATURE + 1).hash_hex)["recorded"]))
    far = t.node_at(base)
    reporter, listener = t.peer(far), t.peer(far)
    reporter.send("dsdetected", payloads[0])
    equal(listener.wait_for("dsdetected"), payloads[0], "another node believes it")


@case()
def a_reorganisation_without_a_double_spend_is_not_reported(t):
    base, node, peer, _ = scene(t)
    same = coins(base, (5, 6, 7))
    for k, length in enumerate((2, 3)):
        chain = base.fork(MATURE)
        chain.add(*same[:2 + k])
        chain.grow(length - 1, extra=bytes([k]))
        for block in chain.blocks:
            node.rpc.submitblock(block.serialize().hex())
        t.wait(lambda c=chain: node.tip() == c.tip_hex, 10, "tip")
    time.sleep(0.5)
    equal(came(peer), [])


if __name__ == "__main__":
    main()

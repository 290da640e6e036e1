"""Headers with coinbase and proof: gethdrsen, hdrsen, sendhdrsen (spec p2p 3)."""
import struct
import time

from framework import ADDRESS, case, check, equal, main
from blocks import ANYONE, Chain, Tx, TxIn, TxOut, coinbase, from_display, read_compact, sha256d
from p2p import (MSG_BLOCK, locator_payload, parse_inventory, protoconf_payload, sendcmpct_payload,
                 version_payload)


def fresh_chain(n):
    return Chain(start_time=int(time.time()) - 3 * n - 600).grow(n)


def add_large_coinbase(chain, size):
    script_sig = coinbase(chain.height + 1).inputs[0].script
    chain.add(coinbase_tx=Tx([TxIn(bytes(32), 0xffffffff, script_sig)],
                             [TxOut(0, b"\x6a" + bytes(size))]))


def tx_length(data, at):
    """Bytes of the transaction that begins there."""
    start = at
    count, at = read_compact(data, at + 4)
    for _ in range(count):
        length, at = read_compact(data, at + 36)
        at += length + 4
    count, at = read_compact(data, at)
    for _ in range(count):
        length, at = read_compact(data, at + 8)
        at += length
    return at + 4 - start


def parse_proof(data, at):
    """The parts of a TSC proof with flags 0, and the position after it."""
    proof = {"flags": data[at]}
    proof["index"], at = read_compact(data, at + 1)
    proof["txid"], proof["target"] = data[at:at + 32], data[at + 32:at + 64]
    count, at = read_compact(data, at + 64)
    proof["nodes"] = [(data[at + 33 * i], data[at + 33 * i + 1:at + 33 * i + 33])
                      for i in range(count)]
    return proof, at + 33 * count


def parse_hdrsen(data):
    count, at = read_compact(data, 0)
    entries = []
    for _ in range(count):
        entry = {"header": data[at:at + 80], "hash": sha256d(data[at:at + 80])}
        entry["txs"], at = read_compact(data, at + 80)
        entry["last"], has_coinbase = data[at], data[at + 1]
        at += 2
        entry["coinbase"] = None
        if has_coinbase:
            length = tx_length(data, at)
            entry["coinbase"] = data[at:at + length]
            entry["proof"], at = parse_proof(data, at + length)
        equal(data[at], 0, "miner info")
        at += 1
        entries.append(entry)
    equal(at, len(data))
    return entries


def check_entry(entry, block):
    """Header, number, coinbase, and a proof that leads from the coinbase to the header's root."""
    equal(entry["header"], block.header.serialize())
    equal(entry["txs"], len(block.txs))
    equal(entry["coinbase"], block.txs[0].serialize())
    proof = entry["proof"]
    equal((proof["flags"], proof["index"]), (0, 0))
    equal(proof["txid"], block.txs[0].txid())
    equal(proof["target"], block.hash())
    working = proof["txid"]
    for kind, sibling in proof["nodes"]:
        equal(kind, 0)
        working = sha256d(working + sibling)
    equal(working, block.header.root)


def ask(peer, locator, stop=bytes(32)):
    peer.send("gethdrsen", locator_payload(locator, stop))
    return parse_hdrsen(peer.wait_for("hdrsen"))


@case()
def headers_come_with_coinbase_and_proof(t):
    chain = fresh_chain(120)
    for n in (1, 2, 5):
        spends = [Tx([TxIn(chain.at(n * 3 + i).txs[0].txid(), 0)], [TxOut(10**8, ANYONE)])
                  for i in range(n)]
        chain.add(*spends)
    node = t.node_at(chain)
    peer = t.peer(node)
    got = ask(peer, [chain.hash_at(118)])
    equal([e["hash"] for e in got], [chain.hash_at(h) for h in range(119, 124)])
    for entry, height in zip(got, range(119, 124)):
        check_entry(entry, chain.at(height))
    equal([e["last"] for e in got], [0, 0, 0, 0, 1])
    got = ask(peer, [chain.hash_at(10)], stop=chain.hash_at(12))
    equal([e["hash"] for e in got], [chain.hash_at(11), chain.hash_at(12)])
    equal([e["last"] for e in got], [0, 0])
    equal(ask(peer, [chain.tip]), [])
    got = ask(peer, [], stop=chain.hash_at(7))
    equal([e["hash"] for e in got], [chain.hash_at(7)])


@case(timeout=90)
def at_most_2000_come_at_once(t):
    chain = Chain(start_time=int(time.time()) - 7000).grow(2100)
    node = t.node_at(chain)
    peer = t.peer(node)
    got = ask(peer, [chain.hash_at(0)])
    equal(len(got), 2000)
    equal(len(ask(peer, [got[-1]["hash"]])), 100)


@case()
def an_answer_stays_below_what_the_peer_takes_but_has_one_entry(t):
    chain = fresh_chain(3)
    for size in (400_000, 400_000, 400_000, 1_200_000):
        add_large_coinbase(chain, size)
    node = t.node_at(chain, "-genesisactivationheight=1")
    got = ask_with_limit(t, node, [chain.hash_at(3)], 4 << 20)
    equal(len(got), 4)
    got = ask_with_limit(t, node, [chain.hash_at(3)], 1 << 20)
    equal([e["hash"] for e in got], [chain.hash_at(4), chain.hash_at(5)])
    got = ask_with_limit(t, node, [chain.hash_at(6)], 1 << 20)
    equal([e["hash"] for e in got], [chain.hash_at(7)], "larger than the limit, but asked for")


def ask_with_limit(t, node, locator, limit):
    peer = t.peer(node, handshake=False)
    peer.send("version", version_payload())
    peer.wait_for("version")
    peer.send("verack")
    peer.send("protoconf", protoconf_payload(limit=limit))
    peer.wait_for("verack", seen=True)
    return ask(peer, locator)


@case()
def requests_are_answered_in_order(t):
    chain = fresh_chain(20)
    node = t.node_at(chain)
    peer = t.peer(node)
    for height in (5, 6, 7):
        peer.send("gethdrsen", locator_payload([chain.hash_at(height)], chain.hash_at(height + 1)))
        peer.send("ping", struct.pack("<Q", height))
    order = []
    while len(order) < 6:
        command, payload = peer.receive()
        if command == "hdrsen":
            order.append(parse_hdrsen(payload)[0]["hash"])
        elif command == "pong":
            order.append(payload)
    equal(order, [x for h in (5, 6, 7) for x in (chain.hash_at(h + 1), struct.pack("<Q", h))])


@case()
def while_syncing_only_trusted_peers_get_an_answer(t):
    chain = Chain(start_time=int(time.time()) - 40 * 3600).grow(5)
    node = t.node_at(chain)
    peer = t.peer(node)
    peer.send("gethdrsen", locator_payload([chain.hash_at(2)]))
    check("hdrsen" not in [c for c, _ in peer.ping().seen], "ignored")
    node.restart("-whitelist=::1")
    equal(len(ask(t.peer(node), [chain.hash_at(2)])), 3)


@case(timeout=90)
def pruned_blocks_come_without_coinbase(t):
    chain = Chain(start_time=int(time.time()) - 7000).grow(3)
    for _ in range(6):
        add_large_coinbase(chain, 600_000)
    chain.grow(1100)  # pruning begins above height 1000
    node = t.node_at(chain, "-genesisactivationheight=1", "-prune=1",
                     "-preferredblockfilesize=1MiB")
    node.rpc.pruneblockchain(8)
    peer = t.peer(node)
    entry = ask(peer, [chain.hash_at(2)], stop=chain.hash_at(3))[0]
    equal((entry["hash"], entry["txs"], entry["coinbase"]), (chain.hash_at(3), 0, None))
    check_entry(ask(peer, [chain.hash_at(1000)], stop=chain.hash_at(1001))[0], chain.at(1001))


@case()
def new_tips_are_announced_with_their_coinbase(t):
    node = t.node()
    node.rpc.generatetoaddress(3, ADDRESS)
    wanting, compact, ignorant = (t.peer(node, height=3) for _ in range(3))
    for peer in (wanting, compact):
        peer.send("sendhdrsen")
        peer.get_headers([from_display(node.rpc.getblockhash(0))])
    ignorant.send("sendhdrsen")
    compact.send("sendcmpct", sendcmpct_payload(0))
    for peer in (wanting, compact, ignorant):
        peer.ping()
    tip = from_display(node.rpc.generatetoaddress(1, ADDRESS)[0])
    entries = parse_hdrsen(wanting.wait_for("hdrsen"))
    equal([(e["hash"], e["txs"], e["last"]) for e in entries], [(tip, 1, 1)])
    check(entries[0]["coinbase"], "with coinbase")
    compact.wait_for("inv", match=lambda p: (MSG_BLOCK, tip) in parse_inventory(p))
    ignorant.wait_for("inv", match=lambda p: (MSG_BLOCK, tip) in parse_inventory(p))
    names = [c for c, _ in wanting.ping().seen]
    check("headers" not in names[names.index("hdrsen"):] and "inv" not in names, "told once")


@case()
def sendhdrsen_once_is_enough(t):
    node = t.node()
    peer = t.peer(node)
    peer.send("sendhdrsen")
    equal(peer.ping().score(node), 0)
    peer.send("sendhdrsen")
    equal(peer.ping().score(node), 1)
    peer.send("hdrsen", b"\x00")  # received ones are ignored
    equal(peer.ping().score(node), 1)


if __name__ == "__main__":
    main()

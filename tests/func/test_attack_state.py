"""Attacks on the state that is kept for peers: one peer must not change what another does for us
(spec attacks, rule 4; rows A7, C1, C2, C4, C5, C8)."""
import os
import resource
import struct
import time

from framework import ADDRESS, case, check, equal, main, steady, wait_until, within
from blocks import Chain, GENESIS_HASH_HEX, big_coinbase, coinbase, from_display
from p2p import (ChainServer, Closed, MSG_BLOCK, frame, getblocktxn_payload, headers_payload, inventory,
                 locator_payload)

GENESIS = from_display(GENESIS_HASH_HEX)


def fresh_chain(n, **options):
    return Chain(start_time=int(time.time()) - 3 * n - 600).grow(n, **options)


@case()
def seednode_may_send_anything(t):
    """A one-shot connection has no download state; its messages must not look for it."""
    listener = t.listener()
    node = t.node("-seednode=" + listener.address)
    peer = listener.accept()
    chain = fresh_chain(2)
    peer.send("inv", inventory((MSG_BLOCK, os.urandom(32)), (MSG_BLOCK, GENESIS)))
    peer.send("headers", headers_payload(chain.headers()))
    peer.send("getheaders", locator_payload([GENESIS]))
    peer.send("getblocks", locator_payload([GENESIS]))
    peer.send("getdata", inventory((MSG_BLOCK, GENESIS)))
    peer.send("reject", b"\x05block\x44\x04busy" + bytes(32))
    peer.send("block", chain.at(1).serialize())
    peer.send("notfound", inventory((MSG_BLOCK, GENESIS)))
    peer.ping()
    check(node.is_alive(), "alive")
    equal(node.rpc.getblockcount(), 0)


@case()
def requests_of_a_peer_that_does_not_read_hold_few_files(t):
    """C8: fifty thousand small blocks asked for at once, with room for 200 descriptors."""
    node = t.node()
    hashes = [from_display(h) for h in node.rpc.generatetoaddress(10, ADDRESS)]
    peer, held = ask_for_more_than_is_read(
        t, node, frame("getdata", inventory(*[(MSG_BLOCK, hashes[i % 10]) for i in range(50000)])))
    check(held < 40, f"{held} descriptors held")
    gets_blocks(peer, 50000)
    equal(node.log().count("cannot be served"), 0)


@case()
def blocks_in_place_of_their_transactions_hold_few_files(t):
    """C8: the answer to each request is the whole block, and one message follows the other."""
    chain = Chain(start_time=int(time.time()) - 600)
    chain.add(coinbase_tx=big_coinbase(1, 150000))
    node = t.node_at(chain)
    peer, held = ask_for_more_than_is_read(
        t, node, frame("getblocktxn", getblocktxn_payload(chain.tip, [0])) * 400)
    check(held < 40, f"{held} descriptors held")
    gets_blocks(peer, 400)
    equal(node.log().count("cannot be served"), 0)


def ask_for_more_than_is_read(t, node, requests):
    """Of a node that has room for 200 descriptors; the peer, and how many it makes the node hold
    while others are served."""
    resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (200, 200))
    before = len(os.listdir(f"/proc/{node.process.pid}/fd"))
    peer = t.peer(node)
    peer.send_raw(requests)
    steady(lambda: peer.info(node)["bytessent"])
    held = len(os.listdir(f"/proc/{node.process.pid}/fd")) - before
    other = t.peer(node)
    other.ping(timeout=3)
    other.get_block(node.tip())
    return peer, held


def gets_blocks(peer, n):
    """Nothing of what was asked for is lost."""
    got = 0
    while got < n:
        command, _ = peer.receive()
        got += command == "block"


def near_tip(t, *options):
    """A node past initial download with one block, and the chain it has; six more blocks are to
    come."""
    chain = fresh_chain(7)
    node = t.node(*options)
    first = t.peer(node)
    first.send("headers", headers_payload([chain.at(1).header]))
    first.wait_for("getdata")
    first.send("block", chain.at(1).serialize())
    wait_until(lambda: node.rpc.getblockcount() == 1, 10, "first block")
    first.close()
    wait_until(lambda: node.rpc.getconnectioncount() == 0, 10, "gone")
    return node, chain


def announced_block_arrives(t, stall):
    """C5: eight peers announce and are asked first, then one that delivers."""
    node, chain = near_tip(t)
    for _ in range(8):
        stall(node, chain)
    started = time.monotonic()
    honest = ChainServer(t.peer(node), chain, announce=True)
    wait_until(lambda: node.tip() == chain.tip_hex, 15, "tip")
    took = time.monotonic() - started
    check(took < within(5), f"{took:.1f} s from the honest announcement to the tip")
    check(not honest.ended, "the honest peer stays")


@case()
def eight_stalling_peers_do_not_hold_back_a_new_block(t):
    def stall(node, chain):
        peer = t.peer(node)
        peer.send("headers", headers_payload(chain.headers()))
        peer.ping()
    announced_block_arrives(t, stall)


@case()
def eight_trickling_peers_do_not_hold_back_a_new_block(t):
    """As above, but each begins its blocks and then sends nearly nothing."""
    def trickle(node, chain):
        peer = t.peer(node)
        peer.send("headers", headers_payload(chain.headers()))
        peer.ping()
        data = chain.at(2).serialize()
        peer.send_raw(frame("block", data)[:150])
    announced_block_arrives(t, trickle)


@case()
def mutated_blocks_of_others_do_not_slow_the_download(t):
    """C4: with every block comes a spoilt copy from another connection; the honest peer is asked
    once."""
    node, chain = near_tip(t)
    chain.grow(60)
    spoilt = [b.serialize()[:-5] + b"\x52" + b.serialize()[-4:] for b in chain.all_blocks()]
    def slowly(block):
        time.sleep(0.02)
        return block.serialize()
    honest = ChainServer(t.peer(node), chain, change=slowly, announce=True)
    started = time.monotonic()
    attackers = 0
    for data in spoilt[1:]:
        attacker = t.peer(node)
        try:
            attacker.send("block", data)
            attacker.ping(2)
        except (Closed, AssertionError):
            pass
        attacker.close()
        attackers += 1
    wait_until(lambda: node.tip() == chain.tip_hex, 10, "tip")
    check(time.monotonic() - started < within(10), "time to tip")
    equal(len(honest.asked), len(set(honest.asked)), "no block is asked twice from the honest peer")
    check(not honest.ended, "the honest peer stays")


@case()
def spoilt_copy_first_then_the_honest_one(t):
    """A3, A7, C4: the entry of the attacker goes, and the block is asked from the honest peer."""
    node, chain = near_tip(t)
    attacker = ChainServer(t.peer(node), chain,
                           change=lambda b: b.serialize()[:-5] + b"\x52" + b.serialize()[-4:],
                           announce=True)
    wait_until(lambda: attacker.ended, 10, "the attacker is left")
    honest = ChainServer(t.peer(node), chain, announce=True)
    wait_until(lambda: node.tip() == chain.tip_hex, 5, "tip")
    equal([node.rpc.getblock(b.hash_hex, 0) for b in chain.all_blocks()],
          [b.serialize().hex() for b in chain.all_blocks()],
          "nothing of the spoilt copies is stored")
    equal(node.rpc.listbanned(), [], "a local address is not banned by score")


@case()
def unasked_large_blocks_do_not_reach_the_disk(t):
    """C6: beyond 32 MiB only what was asked for is written while it arrives."""
    node, chain = near_tip(t)
    asked = t.peer(node)
    asked.send("headers", headers_payload([chain.at(2).header]))
    asked.wait_for("getdata")
    start = chain.at(2).serialize()[:80] + b"\x02" + chain.at(2).txs[0].serialize()
    big = struct.pack("<i", 1) + b"\x01" + bytes(36) + b"\xfe" + struct.pack("<I", 60 << 20)
    attacker = t.peer(node)
    for peer in (attacker, asked):
        peer.send_raw(frame("block", b"", length=64 << 20) + start + big)
        for _ in range(40):
            peer.send_raw(bytes(1 << 20))
    blocks = node.file("blocks")

    def temporary():
        return [x for x in os.listdir(blocks) if x.endswith(".tmp")]
    wait_until(lambda: len(temporary()) == 1, 10, "the block that was asked for")
    time.sleep(0.5)
    equal(len(temporary()), 1, "and no other")
    node.kill()
    equal(len(temporary()), 1, "left by the kill")
    node.start()
    equal(temporary(), [], "removed at the start")


@case()
def stop_in_the_middle_of_everything(t):
    """Half blocks, half messages, unread answers, handshakes: the daemon still ends cleanly and at
    once."""
    node, chain = near_tip(t)
    asked = t.peer(node)
    asked.send("headers", headers_payload([b.header for b in chain.all_blocks()]))
    asked.wait_for("getdata")
    start = chain.at(2).serialize()[:80] + b"\x02" + chain.at(2).txs[0].serialize()
    big = struct.pack("<i", 1) + b"\x01" + bytes(36) + b"\xfe" + struct.pack("<I", 60 << 20)
    asked.send_raw(frame("block", b"", length=64 << 20) + start + big + bytes(36 << 20))
    for i in range(20):
        t.peer(node).send_raw(frame("block", chain.at(3).serialize())[:100 + i])
        t.peer(node).send("getdata", inventory(*[(MSG_BLOCK, chain.hash_at(1))] * 40000))
        t.peer(node, handshake=False).send_raw(b"\xda\xb5")
    started = time.monotonic()
    node.stop()
    check(time.monotonic() - started < within(10), "at once")
    equal([x for x in os.listdir(node.file("blocks")) if x.endswith(".tmp")], [])
    node.start()
    equal(node.tip(), chain.at(1).hash_hex)


@case()
def headers_on_an_invalid_block_score(t):
    """Spec p2p 6: parent known invalid, 100; the blocks above are never asked for."""
    node, chain = near_tip(t, "-whitelist=::1")
    bad = chain.fork(1)
    bad.add(coinbase_tx=coinbase(2, value=51 * 10**8))
    bad.add()
    first = t.peer(node)
    first.send("headers", headers_payload([bad.at(2).header]))
    first.wait_for("getdata")
    first.send("block", bad.at(2).serialize())
    wait_until(lambda: first.ping().score(node) == 100, 10, "score of the sender")
    second = t.peer(node)
    second.send("headers", headers_payload([bad.at(3).header]))
    equal(second.ping().score(node), 100)
    equal([c for c, _ in second.seen if c == "getdata"], [])
    ChainServer(t.peer(node), chain, announce=True)
    wait_until(lambda: node.tip() == chain.tip_hex, 10, "the valid branch")


@case()
def getblocks_without_a_locator_begins_at_the_first_block(t):
    node = t.node()
    hashes = [from_display(h) for h in node.rpc.generatetoaddress(5, ADDRESS)]
    peer = t.peer(node)
    peer.send("getblocks", locator_payload([]))
    equal(peer.wait_for("inv"), inventory(*[(MSG_BLOCK, h) for h in hashes]))


@case()
def limit_of_open_files_is_raised(t):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        node = t.node()
        low = t.make_node("-maxconnections=60000")
        low.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    soft, hard = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
    equal(soft, min(16384, hard))
    if hard < 540000:
        check("raise the limit (ulimit -n)" in low.log(), "a warning when it is not enough")


if __name__ == "__main__":
    main()

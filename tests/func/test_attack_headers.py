"""Attacks with headers (spec attacks C1, C2; spec p2p 8): chains of little work cost no memory, and
no peer can keep the headers of the others from us."""
import hashlib
import os
import struct
import time

from framework import LONG, case, check, equal, is_in, main, wait_until
from blocks import (EASY_BITS, GENESIS_HASH_HEX, GENESIS_TIME, Chain, Header, from_display)
from p2p import (MSG_BLOCK, Closed, headers_payload, inventory, parse_headers, parse_locator)

GENESIS = from_display(GENESIS_HASH_HEX)
FULL = 2000


def easy_headers(n, previous=GENESIS, start=GENESIS_TIME + 1, tag=0):
    """Raw headers of least difficulty, each a second after the one before; (header, hash) pairs."""
    root = struct.pack("<Q", tag).ljust(32, b"\x77")
    sha = hashlib.sha256
    for i in range(n):
        head = struct.pack("<i",
                           0x20000000) + previous + root + struct.pack("<II", start + i, EASY_BITS)
        nonce = 0
        while True:
            raw = head + struct.pack("<I", nonce)
            digest = sha(sha(raw).digest()).digest()
            if digest[31] < 0x7f:
                break
            nonce += 1
        previous = digest
        yield raw, digest


class HeaderServer:
    """Answers the getheaders of a peer from a list of (raw, hash)."""

    def __init__(self, peer, headers):
        self.peer, self.headers = peer, headers
        self.position = {h: i for i, (_, h) in enumerate(headers)}
        self.asked = 0

    def part(self, first):
        return headers_payload([raw for raw, _ in self.headers[first:first + FULL]])

    def answer(self, timeout=10):
        """Waits for one getheaders and answers it; how many headers went out."""
        hashes, _ = parse_locator(self.peer.wait_for("getheaders", timeout))
        first = next((self.position[h] + 1 for h in hashes if h in self.position), 0)
        self.asked += 1
        self.peer.send("headers", self.part(first))
        return len(self.headers[first:first + FULL])

    def serve_until(self, node, height, timeout=20):
        """Answers until the node has this many headers."""
        end = time.monotonic() + timeout
        while node.rpc.getblockchaininfo()["headers"] < height:
            check(time.monotonic() < end, f"{height} headers in {timeout} s")
            try:
                self.answer(0.3)
            except AssertionError:
                pass  # no request meanwhile


def minimum_work(blocks):
    return f"-minimumchainwork={2 * blocks:064x}"


@case(timeout=3600 if LONG else 60)
def headers_of_little_work_cost_no_memory(t):
    """C1: the chain never reaches the minimum, however long it is."""
    total = 10_000_000 if LONG else 100_000
    node = t.node(minimum_work(2 * 10_000_000))
    peer = t.peer(node)
    before = node.memory()
    node.reset_peak_memory()
    batch = []
    for raw, _ in easy_headers(total):
        batch.append(raw)
        if len(batch) == FULL:
            peer.send("headers", headers_payload(batch))
            batch.clear()
            peer.wait_for("getheaders", 30)
    check(node.memory_rise(before) < 8 << 20, f"grew by {node.memory_rise(before) >> 10} KiB")
    equal(node.rpc.getblockchaininfo()["headers"], 0, "nothing was stored")
    equal(peer.score(node), 0)


@case()
def low_work_chain_in_short_messages_is_ignored(t):
    node = t.node(minimum_work(5000))
    peer = t.peer(node)
    headers = list(easy_headers(1999))
    peer.send("headers", headers_payload([raw for raw, _ in headers]))
    peer.ping()
    equal(node.rpc.getblockchaininfo()["headers"], 0)
    equal(peer.score(node), 0)


@case()
def chain_with_enough_work_passes_both_rounds(t):
    """The work is reached early in a message: its other headers come for the first time in round
    two."""
    headers = list(easy_headers(6500))
    node = t.node(minimum_work(4100))
    server = HeaderServer(t.peer(node), headers)
    server.serve_until(node, 6500)
    equal(server.peer.ping().score(node), 0)


@case()
def headers_switched_between_the_rounds_are_refused(t):
    """C1: the commitments of the first round do not fit another chain in the second."""
    headers = list(easy_headers(16 * FULL))
    others = list(easy_headers(16 * FULL, tag=1))
    node = t.node(minimum_work(16 * FULL - 100), "-whitelist=::1")
    server = HeaderServer(t.peer(node), headers)
    for _ in range(16):
        server.answer()
    server.peer.wait_for("getheaders")  # the second round begins
    server.headers, server.position = others, {h: i for i, (_, h) in enumerate(others)}
    server.peer.send("headers", server.part(0))
    answered, asked = 0, server.peer.count("getheaders")
    while answered < 15 and server.peer.ping().count("getheaders") > asked + answered:
        answered += 1
        server.peer.send("headers", server.part(answered * FULL))
    check(answered < 15, "it stops asking once a bit differs")
    equal(server.peer.ping().score(node), 100, "scored")
    check(node.rpc.getblockchaininfo()["headers"] < 16 * FULL, "not the whole chain")


@case()
def places_of_presync_are_kept_for_peers_we_chose(t):
    """Rule 4: eight inbound peers with endless chains do not stop the honest download."""
    honest = t.listener()
    node = t.make_node(minimum_work(4200), "-connect=" + honest.address)
    node.start()
    outbound = honest.accept()
    first = headers_payload([raw for raw, _ in easy_headers(FULL, tag=9)])
    for _ in range(10):
        attacker = t.peer(node)
        attacker.send("headers", first)
        attacker.ping()
    server = HeaderServer(outbound, list(easy_headers(4500)))
    server.serve_until(node, 4500)


@case()
def announcements_during_presync_are_no_fault(t):
    """A tip found meanwhile is announced between the answers; the two rounds go on."""
    headers = list(easy_headers(4500))
    node = t.node(minimum_work(4200))
    server = HeaderServer(t.peer(node), headers)
    server.answer()
    for _ in range(4):
        server.peer.send("headers", headers_payload([headers[-1][0]]))
        server.peer.send("inv", inventory((MSG_BLOCK, headers[-1][1])))
        server.answer()
    server.serve_until(node, 4500)
    equal(server.peer.ping().score(node), 0)
    check(server.asked <= 8, f"{server.asked} requests for two rounds of three messages")


def two_outbound_peers(t, *options):
    """(node, the peer asked for headers, the other one)"""
    listeners = [t.listener(), t.listener()]
    node = t.make_node(*options, *("-connect=" + x.address for x in listeners))
    node.start()
    peers = [x.accept() for x in listeners]
    wait_until(lambda: any(p.ping().count("getheaders") for p in peers), 20, "a request")
    asked = [p for p in peers if p.ping().count("getheaders")]
    equal(len(asked), 1, "one peer is asked for the initial headers")
    return node, asked[0], peers[1 - peers.index(asked[0])]


@case()
def header_peer_with_rubbish_gives_way_to_another(t):
    node, first, second = two_outbound_peers(t)
    rubbish = [os.urandom(80) for _ in range(FULL)]
    first.send("headers", headers_payload(rubbish))
    first.ping()
    equal(first.score(node), 20, "non-contiguous headers")
    server = HeaderServer(second, list(easy_headers(10)))
    equal(server.answer(5), 10)
    wait_until(lambda: node.rpc.getblockchaininfo()["headers"] == 10, 5,
               "headers of the other peer")


@case()
def header_peer_with_an_invalid_chain_gives_way_to_another(t):
    """Times that do not rise: score 0, and nothing more to expect from it."""
    node, first, second = two_outbound_peers(t, minimum_work(5000))
    headers, previous = [], GENESIS
    for i in range(FULL):
        header = Header(previous, bytes(32), GENESIS_TIME, nonce=i * 1000).solve()
        previous = header.hash()
        headers.append(header)
    first.send("headers", headers_payload(headers))
    first.ping()
    second.wait_for("getheaders", 5)
    equal(node.rpc.getblockchaininfo()["headers"], 0)


@case()
def gap_is_asked_once_and_counted(t):
    """C2: headers without a known parent; in the end the peer is left, its address is not
    banned."""
    node = t.node()
    peer = t.peer(node)
    peer.wait_for("getheaders", seen=True)  # the first thing that it does
    before = sum(c == "getheaders" for c, _ in peer.seen)
    stray = Header(os.urandom(32), bytes(32), int(time.time())).solve()
    for i in range(1, 31):
        peer.send("headers", headers_payload([stray]))
        if i % 10 == 0:
            equal(peer.ping().score(node), 2 * i)
    equal(sum(c == "getheaders" for c, _ in peer.seen) - before, 1, "requests for the gap")
    for _ in range(10):
        peer.send("headers", headers_payload([stray]))
    check(peer.is_closed(), "left after 40 in a row")
    equal(node.rpc.listbanned(), [])
    is_in("wrong chain: its headers do not connect to ours", node.log())


@case()
def headers_in_a_circle_end(t):
    """C2: a peer that answers each getheaders with the same 2000 headers is not asked for ever."""
    node = t.node()
    server = HeaderServer(t.peer(node), list(easy_headers(FULL)))
    same = server.part(0)
    server.peer.send("headers", same)
    sent = 0
    while sent < 60 and server.peer.ping().count("getheaders") > sent:
        server.peer.send("headers", same)
        sent += 1
    check(sent < 5, f"asked {sent} times")
    check(node.is_alive() and node.rpc.getblockchaininfo()["headers"] == FULL, "headers are kept")


@case()
def header_scores(t):
    """Spec p2p 6: proof of work 50, bits 100, parent invalid 100, time 0."""
    node = t.node("-whitelist=::1")
    now = int(time.time())

    def score_of(header):
        peer = t.peer(node)
        peer.send("headers", headers_payload([header]))
        return peer.ping().score(node)

    equal(score_of(Header(GENESIS, bytes(32), now).unsolve()), 50, "high-hash")
    equal(score_of(Header(GENESIS, bytes(32), now, bits=0x207ffffe).solve()), 100, "bad-diffbits")
    equal(score_of(Header(GENESIS, bytes(32), GENESIS_TIME - 1).solve()), 0, "time-too-old")
    equal(score_of(Header(GENESIS, bytes(32), now + 7300).solve()), 0, "time-too-new")
    good = Chain(start_time=now - 100).grow(2)
    equal(score_of(good.at(1).header), 0)
    bad_bits = Header(good.hash_at(1), bytes(32), now, bits=0)
    check(score_of(bad_bits) >= 50, "no target")
    equal(node.rpc.getblockchaininfo()["headers"], 1)


if __name__ == "__main__":
    main()

"""The wire attacks of spec attacks C that need a whole node: it survives, its memory stays flat,
others are served."""
import glob
import hashlib
import os
import random
import socket
import struct
import time

from framework import ADDRESS, LONG, bytes_of, case, check, equal, is_in, main, wait_until, within
from blocks import Chain, Header, compact, from_display, display, GENESIS_HASH_HEX, GENESIS_TIME
from p2p import (MSG_BLOCK, ChainServer, Closed, Peer, Silence, extended_frame, frame,
                 headers_payload, inventory, locator_payload, parse_locator, version_payload)

GENESIS = from_display(GENESIS_HASH_HEX)
MIB = 1 << 20


class HeaderFlood:
    """An endless chain of headers with the least work, made as it is asked for."""

    def __init__(self, per_message=2000):
        self.made = [GENESIS]
        self.per_message = per_message
        self.position = {GENESIS: 0}
        self.raw = []

    def extend(self, upto):
        while len(self.raw) < upto:
            height = len(self.raw) + 1
            root = hashlib.sha256(struct.pack("<I", height)).digest()
            head = struct.pack("<i", 0x20000000) + self.made[-1] + root
            head += struct.pack("<II", GENESIS_TIME + height, 0x207fffff)
            nonce = 0
            while True:
                raw = head + struct.pack("<I", nonce)
                digest = hashlib.sha256(hashlib.sha256(raw).digest()).digest()
                if digest[31] < 0x7f:
                    break
                nonce += 1
            self.raw.append(raw)
            self.made.append(digest)
            self.position[digest] = height

    def answer(self, locator, limit):
        """Payload of the headers after the first hash known, up to a total of `limit`."""
        at = next((self.position[h] for h in locator if h in self.position), 0)
        end = min(at + self.per_message, limit)
        self.extend(end)
        return at, headers_payload(self.raw[at:end])


@case(timeout=1800 if LONG else 120)
def c1_low_work_headers_cost_no_memory(t):
    """Header presync: nothing is stored before the work of the chain is known to suffice."""
    count = 10_000_000 if LONG else 120_000
    work = hex(2 * (20_000_000 if LONG else 1_000_000))[2:]
    node = t.node("-minimumchainwork=" + work)
    flood = HeaderFlood()
    flood.extend(min(count, 200_000))
    peer = t.peer(node, height=count)
    node.reset_peak_memory()
    before = node.memory()
    served, asked = 0, 0
    peer.send("headers", headers_payload(flood.raw[:2000]))
    end = time.monotonic() + (1700 if LONG else 90)
    while served < count and time.monotonic() < end:
        try:
            command, payload = peer.receive()
        except (Silence, Closed):
            break
        if command == "getheaders":
            asked += 1
            at, answer = flood.answer(parse_locator(payload)[0], count)
            served = max(served, at + 2000)
            peer.send("headers", answer)
    check(served >= count, f"{served} headers taken in {asked} requests")
    grown = node.memory_rise(before)
    check(grown < 8 * MIB, f"memory rose by {grown >> 10} KiB")
    info = node.rpc.getblockchaininfo()
    equal((info["headers"], info["blocks"]), (0, 0), "nothing stored")


@case(timeout=90)
def c1_chain_with_enough_work_passes_both_rounds(t):
    chain = Chain(start_time=int(time.time()) - 9000).grow(4500)
    node = t.node("-minimumchainwork=" + hex(2 * 4400)[2:])
    peer = t.peer(node, height=4500)
    ChainServer(peer, chain)
    peer.send("inv", inventory((MSG_BLOCK, chain.tip)))
    wait_until(lambda: node.tip() == chain.tip_hex, 60, "tip")


@case()
def c2_unconnecting_headers_are_counted_then_scored(t):
    node = t.node()
    peer = t.peer(node)
    for i in range(9):
        peer.send("headers",
                  headers_payload([Header(os.urandom(32), bytes(32), int(time.time())).solve()]))
    peer.ping()
    equal(peer.score(node), 0, "nine in a row")
    check(any(c == "getheaders" for c, _ in peer.seen), "the gap is asked for")
    peer.send("headers",
              headers_payload([Header(os.urandom(32), bytes(32), int(time.time())).solve()]))
    peer.ping()
    equal(peer.score(node), 20, "the tenth")


@case()
def c2_headers_that_do_not_follow_each_other_score(t):
    node = t.node()
    chain = Chain(start_time=int(time.time()) - 600).grow(4)
    peer = t.peer(node)
    headers = chain.headers()
    peer.send("headers", headers_payload([headers[0], headers[2]]))
    peer.ping()
    equal(peer.score(node), 20)


@case()
def c2_invalid_headers_score_by_their_kind(t):
    node = t.node()
    now = int(time.time())
    cases = [
        (Header(GENESIS, bytes(32), now - 100).unsolve(), 50, "high-hash"),
        (Header(GENESIS, bytes(32), now - 100, bits=0x207ffffe).solve(), 100, "bad-diffbits"),
        (Header(GENESIS, bytes(32), GENESIS_TIME).solve(), 0, "time-too-old"),
        (Header(GENESIS, bytes(32), now + 3 * 3600).solve(), 0, "time-too-new"),
    ]
    for header, score, reason in cases:
        peer = t.peer(node)
        peer.send("headers", headers_payload([header]))
        try:
            peer.ping()
            equal(peer.score(node), score, reason)
        except Closed:
            equal(score, 100, reason + ": disconnected")
        peer.close()
    equal(node.rpc.getblockchaininfo()["headers"], 0)


@case(timeout=90)
def c6_claimed_lengths_cost_no_memory(t):
    """100 peers claim big messages and send a few bytes."""
    node = t.node()
    node.reset_peak_memory()
    before = node.memory()
    peers = []
    for i in range(100):
        peer = t.peer(node)
        if i % 2:
            peer.send_raw(frame("block", b"\1", length=4_000_000_000))
        else:
            peer.send_raw(extended_frame("block", b"\1", length=9_000_000_000))
        peers.append(peer)
    for _ in range(3):
        time.sleep(0.3)
        for peer in peers:
            try:
                peer.send_raw(b"\0")
            except Closed:
                pass
    grown = node.memory_rise(before)
    check(grown < 64 * MIB, f"memory rose by {grown >> 20} MiB")
    size = bytes_of(os.path.join(d, f) for d, _, files in os.walk(node.directory)
                    for f in files if not f.endswith(".log") and "blk" not in f and "rev" not in f)
    check(size < 64 * MIB, f"{size} bytes on disk")
    other = t.peer(node)
    other.ping(timeout=3)
    node.kill()
    node.start()
    left = [f for f in glob.glob(node.file("**", "*tmp*"), recursive=True)]
    equal(left, [], "no leftovers after the restart")


@case(timeout=90)
def c7_half_open_connections_leave_room_for_others(t):
    node = t.node("-p2phandshaketimeout=3")
    good = t.peer(node)
    sockets = []
    for _ in range(300):
        try:
            s = socket.create_connection(("::1", node.port), timeout=5)
            s.sendall(frame("version", version_payload())[:random.randrange(0, 60)])
            sockets.append(s)
        except OSError:
            pass
    good.ping(timeout=3)
    started = time.monotonic()
    node.rpc.getnetworkinfo()
    check(time.monotonic() - started < within(3), "RPC answers meanwhile")
    wait_until(lambda: node.rpc.getconnectioncount() <= 2, 20, "half-open ones are gone")
    t.peer(node).ping()
    for s in sockets:
        s.close()


@case(timeout=90)
def c8_inventory_bombs_provoke_one_reply_each(t):
    node = t.node()
    peer = t.peer(node)
    node.reset_peak_memory()
    before = node.memory()
    for i in range(40):
        peer.send("inv", inventory(*[(MSG_BLOCK, os.urandom(32)) for _ in range(20000)]))
    peer.ping(timeout=20)
    asked = sum(c == "getheaders" for c, _ in peer.seen)
    check(asked <= 41, f"{asked} requests for 40 messages")
    grown = node.memory_rise(before)
    check(grown < 16 * MIB, f"memory rose by {grown >> 10} KiB")


@case(timeout=90)
def c8_peer_that_does_not_read_is_not_buffered_without_end(t):
    node = t.node("-maxsendbuffer=1000")
    node.rpc.generatetoaddress(500, ADDRESS)
    peer = t.peer(node)
    node.reset_peak_memory()
    before = node.memory()
    request = frame("getheaders", locator_payload([GENESIS]), peer.magic)
    peer.socket.settimeout(1)
    try:
        for _ in range(3000):  # 120 MB of answers
            peer.socket.sendall(request * 10)
    except (TimeoutError, OSError):
        pass
    time.sleep(1)
    grown = node.memory_rise(before)
    check(grown < 24 * MIB, f"memory rose by {grown >> 20} MiB")
    t.peer(node).ping(timeout=3)


@case(timeout=120)
def c9_random_messages_of_every_kind(t):
    """Fixed seed, so that a failure comes back. Zeros, ones, random and cut payloads."""
    node = t.node()
    rng = random.Random(5)
    commands = ["version", "verack", "protoconf", "ping", "pong", "getheaders", "headers",
                "sendheaders", "getblocks", "inv", "getdata", "block", "notfound", "getaddr",
                "addr", "reject", "feefilter", "tx", "mempool", "sendcmpct", "cmpctblock",
                "getblocktxn", "blocktxn", "filterload", "filteradd", "filterclear", "merkleblock",
                "createstrm", "streamack", "authch", "authresp", "gethdrsen", "hdrsen",
                "dsdetected", "revokemid", "alert", "extmsg", "datareftx", ""]
    payloads = [b"", b"\0", b"\xff", bytes(36), bytes(80), b"\xff" * 100, bytes(4096),
                b"\xfd\xff\xff" + bytes(100), b"\xfe\xff\xff\xff\xff", b"\xff" * 9 + bytes(50)]
    peer = None
    for command in commands:
        for i in range(len(payloads) + 6):
            payload = payloads[i] if i < len(payloads) else rng.randbytes(rng.randrange(1, 3000))
            try:
                if peer is None:
                    peer = t.peer(node)
                peer.send(command, payload)
                if command == "extmsg" and len(payload) < 20:
                    raise Silence("the rest of its header is awaited")
                peer.ping()
            except (Closed, Silence):
                peer.close()
                peer = None
                node.rpc.clearbanned()
        check(node.is_alive(), "alive after " + command)
    t.peer(node).ping()
    equal(node.rpc.getblockcount(), 0)


@case()
def c10_hostile_user_agents_are_shown_harmless(t):
    node = t.node("-debug=net")
    for agent in (b"/\x1b[31mred\x07\0/", b"\xff\xfe/\xc3\x28/", b"/" + b"x" * 254 + b"/",
                  b'/"quotes\\and\n{json}/'):
        peer = t.peer(node, agent=agent)
        shown = peer.info(node)["subver"]
        check(all(0x20 <= ord(c) < 0x7f for c in shown), repr(shown))
    check("\x1b" not in node.log(), "no escape sequences in the log")
    peer = t.peer(node, handshake=False)
    peer.send("version", version_payload(agent="/" + "y" * 256 + "/"))
    check(peer.is_closed(), "an agent above 256 bytes")


@case(timeout=90)
def c13_provoked_log_lines_are_limited(t):
    node = t.node()
    start = os.path.getsize(node.log_path)
    for _ in range(30):
        peer = t.peer(node)
        for _ in range(300):
            peer.send_raw(frame("nonsense", b"x", peer.magic, checksum=b"xxxx")
                          + frame("inv", b"\xfd\x01\x00", peer.magic) +
                          frame("unknowncmd", b"", peer.magic))
        peer.ping()
        peer.close()
    size = os.path.getsize(node.log_path) - start
    check(size < 200_000, f"the log grew by {size} bytes")


@case()
def c15_peers_clocks_do_not_move_ours(t):
    node = t.node()
    for offset in [7200] * 12 + [-(1 << 62), (1 << 63) - 1, -(1 << 63), 0]:
        when = offset if abs(offset) > 10**10 else int(time.time()) + offset
        t.peer(node, when=when).ping()
    header = Header(GENESIS, bytes(32), int(time.time()) + 7200 + 600).solve()
    peer = t.peer(node)
    peer.send("headers", headers_payload([header]))
    peer.ping()
    equal(node.rpc.getblockchaininfo()["headers"], 0, "too far in the future by our own clock")
    node.rpc.generatetoaddress(1, ADDRESS)
    equal(node.rpc.getblockcount(), 1)


@case()
def c17_own_nonce_from_outside_closes_only_that_connection(t):
    listener = t.listener()
    node = t.node("-addnode=" + listener.address, isolated=False)
    out = listener.accept(handshake=False)
    nonce = out.wait_for("version")[72:80]
    inbound = t.peer(node, handshake=False)
    inbound.send("version", version_payload(nonce=nonce))
    check(inbound.is_closed(), "our own nonce")
    t.peer(node).ping()


@case()
def c18_unknown_and_withheld_data_look_alike(t):
    """A block we know by its header alone and one we do not know: silence for both."""
    node = t.node()
    chain = Chain(start_time=int(time.time()) - 600).grow(3)
    feeder = t.peer(node)
    feeder.send("headers", headers_payload(chain.headers()))
    feeder.ping()
    peer = t.peer(node)
    for wanted in (chain.tip, b"\x77" * 32):
        peer.send("getdata", inventory((MSG_BLOCK, wanted)))
        peer.ping()
    equal([c for c, _ in peer.seen if c in ("block", "notfound", "reject")], [])


if __name__ == "__main__":
    main()

"""Attacks by size and number (spec attacks C6 to C15, C17, C18, D5, D6, D11). Small by default; the
full sizes run with BSVPEER_LONG=1."""
import os
import random
import re
import resource
import socket
import struct
import threading
import time

from framework import LONG, case, check, equal, free_port, main, wait_until, within
from blocks import Chain, GENESIS_HASH_HEX, big_coinbase, coinbase, compact, from_display
from p2p import (MAGIC, ChainServer, Closed, MSG_BLOCK, Peer, Silence, addr_payload, extended_frame,
                 frame, getblocktxn_payload, headers_payload, inventory, ipv4_mapped, locator_payload,
                 parse_inventory, version_payload)

GENESIS = from_display(GENESIS_HASH_HEX)
MIB = 1 << 20


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def seconds(call):
    started = time.monotonic()
    call()
    return time.monotonic() - started


def start_measuring(node):
    node.reset_peak_memory()
    return node.memory()


# --- C6: lengths ---------------------------------------------------------------------------------

def header_of(chain, wanted):
    return next(b for b in chain.all_blocks() if b.hash() == wanted).header.serialize()


def claims_of_gigabytes(i, header):
    """The beginning of a huge message; of a block when one was asked for."""
    if header:
        block = header + b"\xfe\xff\xff\xff\x0f"
        kinds = [extended_frame("block", block, length=1 << 32),
                 extended_frame("block", block, length=9 << 30),
                 frame("block", block, length=0xfffffff0), frame("block", block, length=30 * MIB)]
    else:
        kinds = [frame("tx", b"\1\0\0\0\1", length=10**9),
                 frame("inv", compact(50000), length=2 * MIB),
                 frame("headers", compact(2000), length=162003),
                 frame("hdrsen", b"", length=0xfffffff0),
                 frame("cmpctblock", b"", length=0xfffffff0)]
    return kinds[i % len(kinds)]


@case(timeout=120)
def a_hundred_peers_claim_gigabytes_and_trickle(t):
    """C6: buffers grow with what came, not with what was claimed."""
    chain = Chain().grow(1100)
    node = t.node()
    peers = [t.peer(node) for _ in range(100)]
    peers[0].send("headers", headers_payload(chain.headers()))
    peers[0].ping()
    before, space = start_measuring(node), node.memory("VmSize")
    for i, peer in enumerate(peers):
        peer.send("inv", inventory((MSG_BLOCK, chain.tip)))
        peer.ping()
        asked = [p for c, p in peer.seen if c == "getdata"]
        header = asked and header_of(chain, parse_inventory(asked[0])[0][1])
        peer.send_raw(claims_of_gigabytes(i, header))
    equal(sum(any(c == "getdata" for c, _ in p.seen) for p in peers), 64,
          "peers that were asked for blocks")
    for _ in range(60 if LONG else 3):
        for peer in peers:
            try:
                peer.send_raw(b"\0")
            except Closed:
                pass  # left for stalling
        time.sleep(1)
    check(node.memory_rise(before) < 64 * MIB,
          f"grew by {node.memory_rise(before) >> 10} KiB")
    check(node.memory("VmSize") - space < 1 << 30, "nor is address space taken for it")
    equal([x for x in os.listdir(node.file("blocks")) if x.endswith(".tmp")], [])
    check(seconds(node.rpc.getpeerinfo) < within(2), "RPC answers")


@case(timeout=120)
def half_received_messages_share_one_budget(t):
    """C6: ninety peers with nearly two megabytes each; those who hold most leave."""
    node = t.node("-memory=64MiB")
    honest = t.peer(node)
    before = start_measuring(node)
    part = frame("inv", b"", length=2 * MIB) + bytes(2 * MIB - 1000)
    for _ in range(90):
        try:
            t.peer(node).send_raw(part)
        except (Closed, Silence):
            pass
    honest.ping(10)
    check(node.memory_rise(before) < 112 * MIB,
          f"grew by {node.memory_rise(before) >> 20} MiB")
    check(node.rpc.getconnectioncount() < 60, f"{node.rpc.getconnectioncount()} connections stay")


@case(timeout=120)
def beginnings_of_blocks_share_one_budget(t):
    """C6: forty peers send nearly the whole of a block that was asked for, or not, and then
    nothing."""
    chain = Chain().grow(700)
    node = t.node("-memory=64MiB", "-blockstallingtimeout=2", "-blockdownloadslowfetchtimeout=2")
    first = t.peer(node)
    first.send("headers", headers_payload(chain.headers()))
    first.ping()
    before = start_measuring(node)
    tx = struct.pack("<i", 1) + b"\x01" + bytes(36) + b"\xfe" + struct.pack("<I", 25 * MIB)
    body = b"\x01" + tx + bytes(20 * MIB)
    for i in range(40):
        peer = t.peer(node)
        header = chain.at(1 + i % 10).header.serialize()
        if i % 2:
            peer.send("inv", inventory((MSG_BLOCK, chain.tip)))
            peer.ping()
            asked = [p for c, p in peer.seen if c == "getdata"]
            header = header_of(chain, parse_inventory(asked[0])[0][1]) if asked else header
        try:
            peer.send_raw(frame("block", b"", length=26 * MIB) + header + body)
        except Closed:
            pass
    check(node.memory_rise(before) < 224 * MIB,
          f"grew by {node.memory_rise(before) >> 20} MiB")
    wait_until(lambda: node.rpc.getmemoryinfo()["ledger"].get("blocks", 0) < 80 * MIB, 20,
               "memory is given back")
    honest = ChainServer(t.peer(node), chain, announce=True)
    wait_until(lambda: node.tip() == chain.tip_hex, 40, "tip")


# --- C7: slow ones -------------------------------------------------------------------------------

@case(timeout=1200 if LONG else 90)
def half_open_sockets_disturb_nobody(t):
    """C7: a small pool for those without a handshake; the oldest makes room."""
    count = 10000 if LONG else 400
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 500)), hard))
    node = t.node()
    friends = [t.peer(node) for _ in range(5)]
    before = descriptors(node)
    sockets = []
    for i in range(count):
        sockets.append(socket.create_connection(("::1", node.port), timeout=30))
        if i % 3 == 0:
            try:
                sockets[-1].send(frame("version", version_payload())[:i % 50])
            except OSError:
                pass  # made room for another already
    for friend in friends:
        check(seconds(friend.ping) < within(3), "pings of peers")
    check(seconds(node.rpc.getpeerinfo) < within(3), "RPC")
    wait_until(lambda: descriptors(node) - before <= 40, 5, "few sockets are kept")
    check(seconds(lambda: t.peer(node).ping()) < within(2), "a newcomer enters")
    for s in sockets:
        s.close()


@case()
def handshake_that_trickles_ends(t):
    node = t.node("-p2phandshaketimeout=2")
    data = frame("version", version_payload())
    started = time.monotonic()
    peer = t.peer(node, handshake=False)
    try:
        for byte in data:
            peer.send_raw(bytes([byte]))
            time.sleep(0.05)
    except (Closed, OSError):
        pass
    check(peer.is_closed(5), "closed")
    check(1.5 < time.monotonic() - started < within(6), "when its time was over")


# --- C8: many requests ---------------------------------------------------------------------------

def node_with_chain(t, n, *options):
    chain = Chain(start_time=int(time.time()) - 3 * n - 600).grow(n)
    node = t.node("-loadblock=" + chain.write(t.path("chain.blk")), *options)
    node.wait_import(n)
    return node, chain


@case(timeout=90)
def peers_that_do_not_read_hold_little_memory(t):
    """C8: requests with large answers; the socket is not read until the answers have gone."""
    node, _ = node_with_chain(t, 2000)
    requests = [("getheaders", locator_payload([GENESIS])),
                ("getblocks", locator_payload([GENESIS])),
                ("getdata", inventory(*[(1, os.urandom(32)) for _ in range(20000)])),
                ("ping", bytes(8)),
                ("inv", inventory(*[(MSG_BLOCK, os.urandom(32)) for _ in range(29000)]))]
    for command, payload in requests:
        peer = t.peer(node)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        other = t.peer(node)
        before = start_measuring(node)
        peer.socket.settimeout(1)
        data = frame(command, payload) * (64 if len(payload) < 1000 else 1)
        try:
            for _ in range(200):
                peer.socket.sendall(data)
        except (TimeoutError, OSError):
            pass
        check(node.memory_rise(before) < 8 * MIB,
              f"{command}: grew by {node.memory_rise(before) >> 10} KiB")
        check(seconds(other.ping) < within(3), "others are served")
        mine = peer.info(node)
        check(mine is None or mine["sendsize"] < 2 * MIB,
              f"{command}: send queue {mine and mine['sendsize']}")
        peer.close()
        other.close()


@case()
def one_inventory_of_unknown_blocks_brings_one_request(t):
    node, _ = node_with_chain(t, 3)
    peer = t.peer(node)
    peer.wait_for("getheaders", seen=True)  # the first thing that it does
    before = sum(c == "getheaders" for c, _ in peer.seen)
    for _ in range(5):
        peer.send("inv", inventory(*[(MSG_BLOCK, os.urandom(32)) for _ in range(50000)]))
    peer.ping()
    check(sum(c == "getheaders" for c, _ in peer.seen) - before <= 5, "one request a message")
    equal(peer.score(node), 0)


# --- C9, C10: content ----------------------------------------------------------------------------

COMMANDS = ("version verack protoconf ping pong getaddr addr sendheaders feefilter sendcmpct "
            "reject inv getdata notfound getheaders getblocks headers tx block mempool "
            "cmpctblock getblocktxn blocktxn gethdrsen hdrsen sendhdrsen filterload filteradd "
            "filterclear merkleblock datareftx createstrm streamack authch authresp dsdetected "
            "revokemid alert nonsense").split()


def payloads(rng):
    """Truncated, empty, largest, counts beyond the data, sizes not in the shortest form, noise."""
    yield b""
    yield b"\0"
    yield b"\xff" * 9
    yield b"\xfd\x01\x00" + bytes(40)
    yield b"\xfe" + struct.pack("<I", 0x7fffffff) + bytes(100)
    yield b"\xff" + struct.pack("<Q", 1 << 63) + bytes(100)
    yield bytes(200)
    yield b"\x01" + bytes(199)
    yield version_payload()[:rng.randrange(120)]
    yield bytes(1 * MIB)
    for _ in range(400 if LONG else 4):
        yield rng.randbytes(rng.randrange(1, 300))
    yield rng.randbytes(2 * MIB)


@case(timeout=3600 if LONG else 120)
def any_payload_of_any_message_is_survived(t):
    """C9: and nothing takes long; the peers' connections may end, others do not notice."""
    rng = random.Random(1)
    node, _ = node_with_chain(t, 20, "-debug=net")
    other = t.peer(node)
    before = None
    for command in COMMANDS:
        peer = None
        for payload in payloads(rng):
            if peer is None:
                node.rpc.clearbanned()  # protoconf and others have limits of their own
                peer = t.peer(node)
            try:
                peer.send(command, payload)
                peer.ping()
            except Closed:
                peer.close()
                peer = None
            except Silence:
                raise AssertionError(
                    f"{command} {payload[:20].hex()}: no answer any more") from None
        if peer:
            peer.close()
        check(seconds(other.ping) < within(3), command)
        before = before or start_measuring(node)  # the first round warms up
    check(node.memory_rise(before) < 16 * MIB, f"grew by {node.memory_rise(before) >> 10} KiB")
    slow = re.findall(r"peer \d+: (\w+) took (\d+) ms", node.log())
    check(all(int(ms) < within(500) for _, ms in slow), f"slow handlers: {slow}")
    check(node.is_alive(), "alive")


@case()
def text_of_peers_is_made_harmless(t):
    """C10: control characters, terminal sequences, invalid UTF-8, longest and too long names."""
    node = t.node("-debug=net")
    agents = [b"/x\x1b[2J\x07\n2026-01-01T00:00:00Z [error] forged/", b"/\xff\xfe\xc0\x80/",
              b"a" * 256, "/käse/".encode(), b"\0" * 8, b'/"quoted\\"/']
    for agent in agents:
        peer = t.peer(node, agent=agent)
        text = peer.info(node)["subver"]
        check(not re.search(r"[\x00-\x1f\x7f]", text), repr(text))
        peer.send("reject", bytes([3]) + b"tx\n" + b"\x10" + bytes([5]) + b"\x1b[0m\n")
        peer.send_raw(frame(b"\x1b[31mhello\0\0", b"", peer.magic))
        peer.ping()
        peer.close()
    too_long = t.peer(node, handshake=False)
    too_long.send("version", version_payload(agent=b"a" * 257))
    check(too_long.is_closed(), "refused")
    with open(node.log_path, "rb") as log:
        data = log.read()
    equal(re.findall(rb"[\x00-\x09\x0b-\x1f\x7f]", data), [])
    check(b"\n2026-01-01T00:00:00Z [error] forged" not in data, "no forged line")


# --- C12: amplification --------------------------------------------------------------------------

@case()
def upload_target_spares_recent_blocks(t):
    """C12: past the target old blocks are refused, without a ban; new ones are served."""
    now = int(time.time())
    chain = Chain(start_time=now - 14 * 86400)
    for height in range(1, 9):
        chain.add(coinbase_tx=big_coinbase(height), step=60)
    chain.add(time=now - 600)
    node = t.node("-loadblock=" + chain.write(t.path("c.blk")), "-maxuploadtarget=1")
    node.wait_import(9)
    peer = t.peer(node)
    for height in range(1, 5):
        peer.get_block(chain.at(height).hash_hex)
    peer.get_block(chain.tip_hex)
    for command, payload in (("getdata", inventory((MSG_BLOCK, chain.hash_at(5)))),
                             ("getblocktxn", getblocktxn_payload(chain.hash_at(6), [0]))):
        peer = t.peer(node)
        peer.send(command, payload)
        check(peer.is_closed(), f"an old block past the target, by {command}")
    equal(node.rpc.listbanned(), [])
    equal(node.rpc.getnettotals()["uploadtarget"]["target_reached"], True)
    t.peer(node).get_block(chain.tip_hex)


# --- C13: logs -----------------------------------------------------------------------------------

@case(timeout=1200 if LONG else 60)
def provoked_lines_do_not_fill_the_log(t):
    count = 20000 if LONG else 400
    node = t.node("-whitelist=::1")
    before = len(node.log())
    for i in range(count):
        peer = t.peer(node, handshake=False)
        if i % 2:
            peer.send_raw(frame("ping", bytes(8), magic=b"\xf9\xbe\xb4\xd9"))
        else:
            peer.send_raw(frame("ping", b"", peer.magic, length=1 << 30))
        check(peer.is_closed(5), "left")
        peer.close()
    grown = len(node.log()) - before
    check(0 < grown < 3000 + count, f"{grown} bytes for {count} offences")


@case()
def log_with_details_is_rotated(t):
    node = t.node("-debug=net", "-maxlogsize=100000")
    peer = t.peer(node)
    for _ in range(40):
        peer.send_raw(b"".join(frame("x%d" % i, b"", peer.magic) for i in range(100)))
    peer.ping()
    files = [f for f in os.listdir(node.net_directory) if f.startswith("bsvpeerd.log")]
    total = sum(os.path.getsize(node.file(f)) for f in files)
    check(len(files) >= 2, "rotated")
    check(total < 250000, f"{total} bytes in {files}")


# --- C15, C17, C18: clocks, ourselves, recognition ------------------------------------------------

def ipv4_peer(t, node, source, port, **version):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    peer = Peer(sock)
    t.cleanups.append(peer.close)
    peer.handshake(**version)
    return peer


def node_with_ipv4(t, *options):
    node = t.make_node(*options)
    port = free_port()
    node.options += ["-listen=1", "-bind=" + node.p2p, f"-bind=127.0.0.1:{port}"]
    node.start()
    return node, port


@case(timeout=90)
def lying_clocks_change_nothing(t):
    """C15: 200 peers from 200 addresses with clocks days and ages away."""
    node, port = node_with_ipv4(t, "-maxconnections=300")
    lies = [-2**63, 2**63 - 1, 0, -1, int(time.time()) + 90000, int(time.time()) - 90000, 2**62, 1]
    for i in range(200):
        peer = ipv4_peer(t, node, f"127.0.{1 + i // 100}.{1 + i % 100}", port,
                         when=lies[i % len(lies)])
        peer.close()
    now = int(time.time())
    chain = Chain(start_time=now - 100).grow(2)
    peer = t.peer(node)
    peer.send("headers", headers_payload(chain.headers()))
    for i in (1, 2):
        peer.send("block", chain.at(i).serialize())
    wait_until(lambda: node.tip() == chain.tip_hex, 10, "blocks of the present are accepted")
    late = Chain(parent=chain, height=2)
    late.add(time=now + 3 * 3600)
    peer.send("headers", headers_payload([late.at(3).header]))
    peer.ping()
    equal(node.rpc.getblockchaininfo()["headers"], 2, "three hours ahead stays too far ahead")


@case()
def nonce_of_an_opening_connection_means_ourselves(t):
    """C17: whoever sends it back is left; once the handshake is over the nonce says nothing."""
    listener = t.listener()
    node = t.make_node("-connect=" + listener.address)
    node.start()
    outbound = listener.accept(handshake=False)
    payload = outbound.wait_for("version")
    nonce = payload[72:80]
    mirror = t.peer(node, handshake=False)
    mirror.send("version", version_payload(nonce=nonce))
    check(mirror.is_closed(5), "left")
    equal([c for c, _ in mirror.seen], [], "without an answer")
    outbound.send("version", version_payload())
    outbound.send("verack")
    outbound.ping()
    later = t.peer(node, nonce=nonce)
    later.ping()
    equal(node.rpc.listbanned(), [])


@case()
def connecting_to_oneself_is_no_loop(t):
    node = t.make_node("-listen=1", "-debug=net")
    node.options.append("-connect=" + node.p2p)
    started = time.monotonic()
    node.start()
    wait_until(lambda: "connected to self" in node.log(), 20, "the attempt")
    equal([p for p in node.rpc.getpeerinfo() if p["version"]], [])
    time.sleep(1.5)
    attempts, took = node.log().count("connected to self"), time.monotonic() - started
    check(attempts <= 1 + 4 * took, f"{attempts} attempts in {took:.1f} s")
    check(len(node.log()) < 10000 + 5000 * took, "few lines")


def public_addresses(count, first=0):
    """Routable IPv4 addresses, each of another group."""
    now = int(time.time())
    return [(now - 100, 1, ipv4_mapped(60 + (i + first) // 200, (i + first) % 200, 3, 4), 8333)
            for i in range(count)]


def known_addresses(node):
    """Entries of peers.dat after a stop."""
    node.stop()
    with open(node.file("peers.dat"), "rb") as file:
        data = file.read()
    found = set()
    for a in range(60, 90):
        for b in range(200):
            if ipv4_mapped(a, b, 3, 4) in data:
                found.add((a, b))
    return found, data


def addresses_of(peer, timeout=10):
    """All of the answer to getaddr."""
    peer.send("getaddr")
    data = peer.wait_for("addr", timeout)
    count, at = (data[0], 1) if data[0] < 0xfd else (struct.unpack_from("<H", data, 1)[0], 3)
    return {data[at + 30 * i + 12:at + 30 * i + 30] for i in range(count)}


def outbound_pair(t, *options):
    listener = t.listener()
    node, port = node_with_ipv4(t, "-connect=" + listener.address, *options)
    return node, listener.accept(), port


@case()
def answers_about_addresses_do_not_link_two_of_ours(t):
    """C18: one cached answer for each of our addresses, whoever asks."""
    node, source, port = outbound_pair(t)
    source.send("addr", addr_payload(public_addresses(1000)))
    source.ping()
    first, again = addresses_of(t.peer(node)), addresses_of(t.peer(node))
    equal(first, again, "the same answer on the same address")
    check(50 < len(first) <= 250, f"{len(first)} addresses")
    other = addresses_of(ipv4_peer(t, node, "127.0.0.1", port))
    shared = len(first & other)
    check(shared < 0.5 * len(first), f"{shared} of {len(first)} are the same")


# --- D5, D6: addresses ---------------------------------------------------------------------------

@case(timeout=900 if LONG else 60)
def addresses_beyond_the_answer_are_rationed(t):
    """D5: what was asked for (1000) is taken, further ones at one in ten seconds."""
    node, source, _ = outbound_pair(t)
    started = time.monotonic()
    for part in range(5):
        source.send("addr", addr_payload(public_addresses(1000, part * 1000)))
    source.ping()
    before = start_measuring(node)
    flood = [addr_payload(public_addresses(1000, random.randrange(4000))) for _ in range(50)]
    for i in range(200 if not LONG else 20000):
        source.send("addr", flood[i % len(flood)])
    source.ping(600)
    check(node.memory_rise(before) < 4 * MIB, "memory flat")
    equal(source.score(node), 0)
    known, _ = known_addresses(node)
    allowed = 1010 + (time.monotonic() - started) / 10
    check(200 < len(known) <= allowed, f"{len(known)} entries")


@case()
def inbound_peers_cannot_fill_the_address_book(t):
    """D5, spec p2p 7.4: unasked addresses of an inbound peer are dropped without penalty."""
    node, source, _ = outbound_pair(t)
    source.ping()
    peer = t.peer(node)
    for part in range(5):
        peer.send("addr", addr_payload(public_addresses(1000, part * 1000)))
    equal(peer.ping().score(node), 0)
    known, _ = known_addresses(node)
    equal(known, set())


@case()
def poisoned_addresses_are_not_kept(t):
    """D6: private, documentation, multicast ... ranges, and one victim under a thousand ports."""
    node, source, _ = outbound_pair(t)
    now = int(time.time())

    def ip6(text):
        return socket.inet_pton(socket.AF_INET6, text)
    bad = [ipv4_mapped(10, 1, 2, 3), ipv4_mapped(127, 0, 0, 9), ipv4_mapped(192, 168, 4, 5),
           ipv4_mapped(172, 16, 9, 9), ipv4_mapped(169, 254, 7, 7), ipv4_mapped(100, 64, 5, 5),
           ipv4_mapped(198, 18, 6, 6), ipv4_mapped(0, 0, 0, 7), ipv4_mapped(192, 0, 2, 8),
           ipv4_mapped(198, 51, 100, 8), ipv4_mapped(203, 0, 113, 8), ipv4_mapped(224, 0, 0, 8),
           ipv4_mapped(255, 255, 255, 255), ip6("fe80::77"), ip6("fc00::77"), ip6("fd12::77"),
           ip6("ff02::77"), ip6("2001:db8::77"), ip6("2001:10::77"), ip6("::1"), ip6("::")]
    victim = ipv4_mapped(61, 62, 63, 64)
    source.send("addr", addr_payload([(now, 1, ip, 8333) for ip in bad]
                                     + [(now, 1, victim, 1000 + i) for i in range(900)]))
    source.ping()
    _, data = known_addresses(node)
    for ip in bad[:-2]:
        check(ip not in data, f"{ip.hex()} is kept")
    check(data.count(victim) <= 1, f"the victim is there {data.count(victim)} times")


# --- D11: a hostile proxy ------------------------------------------------------------------------

GOOD_REPLY = b"\x05\x00" + b"\x05\x00\x00\x03\xff" + b"a" * 255 + b"\0\0"
BAD_REPLIES = [b"", b"\x04\x00", b"\x05\xff", b"\x05\x00" + b"\x05\x00\x00\x09" + bytes(300),
               b"\x05\x00" + b"\x05\x00\x00\x09" + bytes(6),
               b"\x05\x00" + b"\x05\x01\x00\x01" + bytes(6),
               b"\x05\x00" + b"\x05\x00\x00\x04" + bytes(10), b"\x05\x02" + bytes(70000),
               b"\xff" * 100000, b"\x05\x00" + b"\x05\x00\x00\x03\xff" + b"b" * 100,
               b"\x05\x00" + b"\x04\x00\x00\x01" + bytes(6),
               b"\x05\x00" + b"\x05\x00\x07\x01" + bytes(6)]


class Proxy(threading.Thread):
    """Gives each connection the next reply; keeps what the node sent on it."""

    def __init__(self, replies):
        super().__init__(daemon=True)
        self.replies, self.received = replies, []
        self.socket = socket.socket(socket.AF_INET6)
        self.socket.bind(("::1", 0))
        self.socket.listen(32)
        self.address = f"[::1]:{self.socket.getsockname()[1]}"
        self.start()

    def run(self):
        for reply in self.replies:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            data = b""
            sock.settimeout(within(20))
            try:
                sock.sendall(reply[:2])
                time.sleep(0.02)
                sock.sendall(reply[2:])
                if reply != GOOD_REPLY:
                    sock.shutdown(socket.SHUT_WR)  # the rest is not worth waiting for
                while MAGIC["regtest"] not in data and (chunk := sock.recv(4096)):
                    data += chunk
            except OSError:
                pass
            sock.close()
            self.received.append(data)

    def close(self):
        self.socket.close()


@case(timeout=120)
def hostile_proxy_is_survived(t):
    """D11: overlong, cut and senseless answers of a SOCKS5 proxy; whatever comes after the good
    one."""
    replies = BAD_REPLIES + [GOOD_REPLY, GOOD_REPLY + b"x" * 5000]
    proxy = Proxy(replies)
    t.cleanups.append(proxy.close)
    node = t.make_node("-proxy=" + proxy.address, "-timeout=1000", "-listen=0")
    node.start()
    for i in range(len(replies)):
        node.rpc.addnode(f"peer{i}.example:18444", "onetry")
        wait_until(lambda: len(proxy.received) > i, 20, "the proxy was asked")
    equal([MAGIC["regtest"] in data for data in proxy.received],
          [False] * len(BAD_REPLIES) + [True, False], "version goes out only after a good reply")
    check(node.is_alive(), "alive")
    equal([p for p in node.rpc.getpeerinfo() if p["version"]], [])
    equal(node.rpc.listbanned(), [], "an address that is not known cannot be banned")


if __name__ == "__main__":
    main()

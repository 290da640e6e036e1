"""Handshake and messages: order, and the reaction to bad ones (spec p2p 1.6, 2, 3, 6)."""
import os
import struct
import time

from framework import ADDRESS, case, check, equal, is_in, main, wait_until
from blocks import compact, from_display, sha256d, GENESIS_HASH_HEX
from p2p import (Closed, MSG_BLOCK, Peer, addr_payload, frame, headers_payload, inventory,
                 ipv4_mapped, locator_payload, parse_inventory, parse_reject, parse_version,
                 protoconf_payload, version_payload)

GENESIS = from_display(GENESIS_HASH_HEX)


def banned(node):
    return [row["address"] for row in node.rpc.listbanned()]


def is_banned(node):
    return any(address.startswith("::1/") for address in banned(node))


def expect_ban(node, peer, clear=True):
    """The address is in the ban list and the connection ends."""
    check(peer.is_closed(), "disconnected")
    wait_until(lambda: is_banned(node), 5, "entry in the ban list")
    if clear:
        node.rpc.clearbanned()


# --- handshake -----------------------------------------------------------------------------------

@case()
def listener_is_silent_until_it_has_version(t):
    node = t.node()
    peer = t.peer(node, handshake=False)
    equal(peer.collect(0.5), [])


@case()
def order_and_fields_of_an_inbound_handshake(t):
    node = t.node("-uacomment=func")
    peer = t.peer(node, handshake=False)
    peer.send("version", version_payload(association=b"\0" + bytes(range(16))))
    equal([peer.receive()[0] for _ in range(3)], ["version", "verack", "protoconf"])
    sent = parse_version(peer.seen[0][1])
    equal(sent["version"], 70016)
    equal(sent["services"] & 1, 1, "NODE_NETWORK")
    equal(sent["services"] & 0x20, 0x20, "NODE_BITCOIN_CASH")
    check(abs(sent["time"] - time.time()) < 5, "time")
    check(sent["agent"].startswith("/BSVPeer:") and sent["agent"].endswith("(func)/"),
          sent["agent"])
    equal((sent["height"], sent["relay"], sent["rest"]), (0, 1, b""))
    fields, limit = struct.unpack_from("<BI", peer.seen[2][1])
    equal(fields, 2)
    equal(limit, 2097152)
    equal(peer.collect(0.3), [], "nothing between verack and verack")
    peer.send("verack")
    peer.wait_for("sendheaders")
    peer.ping()


@case()
def order_of_an_outbound_handshake(t):
    listener = t.listener()
    t.node("-connect=" + listener.address)
    peer = listener.accept(handshake=False)
    equal(peer.receive()[0], "version")
    equal(peer.collect(0.3), [], "it waits for our version")
    peer.send("version", version_payload())
    first = [peer.receive()[0] for _ in range(3)]
    equal(first, ["verack", "protoconf", "getaddr"])
    peer.send("verack")
    peer.wait_for("getheaders")


@case()
def short_version_of_four_fields_is_understood(t):
    node = t.node()
    peer = t.peer(node, handshake=False)
    peer.send("version", version_payload()[:46])
    equal(peer.receive()[0], "version")
    peer.send("verack")
    peer.ping()


@case()
def broken_version_is_rejected_and_the_connection_ends(t):
    node = t.node()
    for payload in (b"", version_payload()[:30], version_payload()[:45]):
        peer = t.peer(node, handshake=False)
        peer.send("version", payload)
        check(peer.is_closed(), f"closed after {len(payload)} bytes")
        rejects = [parse_reject(p) for c, p in peer.seen if c == "reject"]
        equal([(r["command"], r["code"]) for r in rejects], [("version", 0x60)])


@case()
def obsolete_version_is_rejected(t):
    node = t.node()
    peer = t.peer(node, handshake=False)
    peer.send("version", version_payload(version=31799))
    check(peer.is_closed(), "closed")
    rejects = [parse_reject(p) for c, p in peer.seen if c == "reject"]
    equal([(r["code"], r["reason"]) for r in rejects], [(0x11, "Version must be 31800 or greater")])
    old = t.peer(node, version=31800)
    check(old.info(node) is not None, "31800 is welcome")


@case()
def second_version_scores_one(t):
    node = t.node()
    peer = t.peer(node)
    peer.send("version", version_payload())
    reject = parse_reject(peer.wait_for("reject"))
    equal((reject["command"], reject["code"], reject["reason"]),
          ("version", 0x12, "Duplicate version message"))
    equal(peer.ping().score(node), 1)


@case()
def messages_before_the_handshake_score_one_and_are_ignored(t):
    node = t.node()
    peer = t.peer(node, handshake=False)
    peer.send("ping", bytes(8))
    peer.send("getaddr")
    peer.send("version", version_payload())
    peer.wait_for("verack")
    peer.send("getheaders", locator_payload([GENESIS]))
    equal([c for c, _ in peer.collect(0.3) if c in ("pong", "headers")], [])
    peer.send("verack")
    equal(peer.ping().score(node), 3)


@case()
def foreign_user_agents_are_banned(t):
    node = t.node("-banclientua=evil", "-banclientua=abc", "-allowclientua=good")
    for agent in ("/EVIL:1.0/", "/Bitcoin ABC:0.22/"):
        peer = t.peer(node, handshake=False)
        peer.send("version", version_payload(agent=agent))
        check(peer.is_closed(), agent + " is refused")
    good = t.peer(node, agent="/good evil:1.0/")
    check(good.info(node) is not None, "the allow list wins")
    other = t.node()
    for agent in ("/Bitcoin Cash Node:25/", "/bchd:0.1/", "/Bitcoin ABC:0.22/"):
        peer = t.peer(other, handshake=False)
        peer.send("version", version_payload(agent=agent))
        check(peer.is_closed(), agent + " is refused by default")


@case()
def own_nonce_means_a_connection_to_ourselves(t):
    node = t.make_node("-listen=1", "-debug=net")
    node.options.append("-connect=" + node.p2p)
    node.start()
    wait_until(lambda: "connected to self" in node.log(), 20, "the attempt")
    equal([p for p in node.rpc.getpeerinfo() if p["version"]], [])


@case()
def handshake_must_end_in_time(t):
    node = t.node("-p2phandshaketimeout=1")
    started = time.monotonic()
    peer = t.peer(node, handshake=False)
    check(peer.is_closed(8), "closed")
    check(time.monotonic() - started > 0.8, "not at once")


@case()
def association_id_is_echoed_or_refused(t):
    node = t.node()
    bad = t.peer(node, handshake=False)
    bad.send("version", version_payload(association=b"\x05" + bytes(16)))
    check(bad.is_closed() and any(c == "reject" for c, _ in bad.seen), "unknown type of id")
    none = t.peer(node, association=b"")
    equal(none.their_version["association"], b"")


# --- framing -------------------------------------------------------------------------------------

@case()
def wrong_magic_bans_at_once(t):
    node = t.node()
    peer = t.peer(node)
    peer.send_raw(frame("ping", bytes(8), magic=bytes.fromhex("f9beb4d9")))
    expect_ban(node, peer)
    early = t.peer(node, handshake=False)
    early.send_raw(frame("version", version_payload(), magic=bytes.fromhex("0b110907")))
    expect_ban(node, early)


@case()
def oversized_header_bans_before_the_payload(t):
    node = t.node()
    for command, length in (("ping", 2097153), ("inv", 3000000), ("nonsense", 2097153),
                            ("protoconf", 1048577), ("tx", 1000000001), ("headers", 0xfffffffe)):
        peer = t.peer(node)
        peer.send_raw(frame(command, b"", length=length))
        expect_ban(node, peer)
    big = t.node("-excessiveblocksize=2000000")
    peer = t.peer(big)
    peer.send_raw(frame("block", b"", length=2000001))
    expect_ban(big, peer)


@case()
def oversized_extended_message_bans(t):
    node = t.node("-excessiveblocksize=2000000")
    for command, length in (("ping", 2097153), ("block", 1 << 33), ("inv", 1 << 63)):
        peer = t.peer(node)
        peer.send_extended(command, b"", length=length)
        expect_ban(node, peer)


@case()
def small_message_in_extended_framing_is_accepted(t):
    node = t.node()
    peer = t.peer(node)
    peer.send_extended("ping", b"12345678")
    equal(peer.wait_for("pong"), b"12345678")


@case()
def ill_formed_commands_and_bad_checksums_are_ignored(t):
    node = t.node()
    peer = t.peer(node)
    peer.send_raw(frame(b"pi\0ng\0\0\0\0\0\0\0", bytes(8), peer.magic))
    peer.send_raw(frame(b"\x01\x02\xff\xfe" + bytes(8), bytes(8), peer.magic))
    peer.send("ping", b"no check", checksum=b"xxxx")
    peer.send("verack2")
    peer.send("twelvechars1", b"whatever")
    peer.ping()
    equal([p for c, p in peer.seen if c == "pong" and p == b"no check"], [])
    equal(peer.score(node), 0)


@case()
def flood_of_bad_checksums_scores(t):
    node = t.node()
    peer = t.peer(node)
    peer.send_raw(frame("ping", bytes(8), peer.magic, checksum=b"xxxx") * 105)
    peer.ping()
    check(1 <= peer.score(node) <= 10, f"score {peer.score(node)}")


TRUNCATED = [
    ("ping", b"1234"), ("inv", compact(3) + bytes(36)), ("getdata", compact(1) + bytes(20)),
    ("headers", compact(2) + bytes(81)), ("getheaders", bytes(4) + compact(2) + bytes(40)),
    ("getblocks", b"\1\0"), ("addr", compact(2) + bytes(30)), ("feefilter", b"123"),
    ("notfound", compact(5)), ("block", bytes(80)), ("tx", b"\1\0\0\0"), ("sendcmpct", b"\0"),
    ("inv", b"\xfd\x01\x00" + bytes(36)),   # one element, not in the shortest form
]


@case()
def malformed_payloads_are_answered_with_reject_or_ignored(t):
    """Never a crash, never a ban; the connection lives on."""
    node = t.node()
    for command, payload in TRUNCATED:
        peer = t.peer(node)
        peer.send(command, payload)
        peer.ping()
        rejects = [parse_reject(p) for c, p in peer.seen if c == "reject"]
        if command in ("ping", "inv", "getdata", "headers", "getheaders", "addr"):
            equal([(r["command"], r["code"]) for r in rejects], [(command, 1)], command)
        check(peer.score(node) < 100, f"{command}: score {peer.score(node)}")
        peer.close()
    equal(banned(node), [])


@case()
def trailing_bytes_are_ignored(t):
    node = t.node("-whitelist=::1")  # while its only block is old it answers trusted peers alone
    peer = t.peer(node)
    peer.send("ping", b"12345678 and more")
    equal(peer.wait_for("pong"), b"12345678")
    peer.send("getheaders", locator_payload([GENESIS]) + b"more")
    peer.wait_for("headers")
    equal(peer.score(node), 0)


@case()
def sizes_beyond_reason_score_one(t):
    node = t.node()
    peer = t.peer(node)
    peer.send("inv", b"\xff" + b"\xff" * 8)
    equal(peer.ping().score(node), 1)


# --- misbehaviour --------------------------------------------------------------------------------

@case()
def scores_of_bad_lists(t):
    node = t.node()
    now = int(time.time())
    too_many = [(now, 1, ipv4_mapped(8, 8, i // 256, i % 256), 18444) for i in range(1001)]
    peer = t.peer(node)
    peer.send("addr", addr_payload(too_many))
    equal(peer.ping().score(node), 20, "more than 1000 addresses")
    header = bytes(4) + os.urandom(32) + bytes(44)
    peer = t.peer(node)
    peer.send("headers", headers_payload([header] * 2001))
    equal(peer.ping().score(node), 20, "more than 2000 headers")
    peer = t.peer(node)
    for score in (1, 2):
        peer.send("sendheaders")
        peer.send("sendheaders")
        is_in(peer.ping().score(node), (score, 2 * score - 1, 3), "repeated sendheaders")


@case()
def illegal_inventory_type_disconnects(t):
    node = t.node()
    for kind in (3, 4, 0, 0x40000001):
        peer = t.peer(node)
        peer.send("inv", inventory((kind, bytes(32))))
        check(peer.is_closed(), f"type {kind}")
    equal(banned(node), [])


@case()
def unknown_types_are_passed_over_in_requests(t):
    """As by the reference: what a later protocol asks for is neither had nor refused."""
    node = t.node()
    peer = t.peer(node)
    tip = from_display(node.rpc.generatetoaddress(1, ADDRESS)[0])
    for kind in (0, 6, 0x40000002, 2**32 - 1):
        for command in ("getdata", "notfound"):
            peer.send(command, inventory((kind, tip), (kind, bytes(32))))
        check("notfound" not in [c for c, _ in peer.ping().seen], f"type {kind}")
        peer.send("getdata", inventory((kind, tip), (2, tip)))
        equal(sha256d(peer.wait_for("block")[:80]), tip)
    peer.send("getdata", inventory((5, tip)))  # a type that is known, and of which nothing is kept
    equal(parse_inventory(peer.wait_for("notfound")), [(5, tip)])
    equal(peer.score(node), 0)


@case()
def protoconf_errors_disconnect_without_a_ban(t):
    node = t.node()
    for payload in (b"\0", b"\x02\0\0", protoconf_payload(1048575), None):
        peer = t.peer(node, handshake=False)
        peer.send("version", version_payload())
        peer.wait_for("protoconf")
        peer.send("verack")
        if payload is None:
            peer.send("protoconf", protoconf_payload())
            payload = protoconf_payload()
        peer.send("protoconf", payload)
        check(peer.is_closed(), f"protoconf {payload[:8].hex()}")
    more = t.peer(node, handshake=False)
    more.send("version", version_payload())
    more.wait_for("protoconf")
    more.send("verack")
    more.send("protoconf", protoconf_payload(fields=5) + b"further fields")
    more.ping()
    equal(banned(node), [])


@case()
def mempool_request_disconnects(t):
    node = t.node()
    peer = t.peer(node)
    peer.send("mempool")
    check(peer.is_closed(), "closed")
    equal(banned(node), [])


@case()
def bloom_filters_are_refused(t):
    node = t.node()
    for command in ("filterload", "filteradd"):
        peer = t.peer(node)
        peer.send(command, b"\x01\x00" + bytes(9))
        check(peer.is_closed(), command)
    old = t.peer(node, version=70010)
    old.send("filterload", b"\x01\x00" + bytes(9))
    check(old.is_closed(), "old peer")


@case()
def messages_we_do_not_use_are_harmless(t):
    node = t.node()
    peer = t.peer(node)
    for command in ("authch", "authresp", "sendcmpct", "feefilter", "sendhdrsen", "hdrsen",
                    "notfound", "pong", "alert", "xversion", "sendaddrv2", "revokemid", "datareftx",
                    "merkleblock", "dsdetected"):
        peer.send(command, b"\x01" + bytes(8))
    peer.ping()
    check(peer.score(node) < 100, "score")


@case()
def local_peer_at_the_threshold_is_disconnected_but_not_banned(t):
    node = t.node("-banscore=20")
    peer = t.peer(node)
    peer.send("headers", headers_payload([bytes(80)] * 2001))
    check(peer.is_closed(), "disconnected")
    equal(banned(node), [])


@case()
def whitelisted_peer_keeps_its_connection(t):
    node = t.node("-whitelist=::1")
    peer = t.peer(node)
    for _ in range(7):
        peer.send("headers", headers_payload([bytes(80)] * 2001))
    peer.ping()
    check(peer.info(node)["whitelisted"], "whitelisted")
    equal(banned(node), [])


@case()
def getaddr_is_answered_once_and_inbound_only(t):
    node = t.node()
    source = t.peer(node)
    now = int(time.time())
    source.send("addr", addr_payload([(now, 1, bytes.fromhex("20010db8") + bytes(12), 8333)]))
    source.ping()
    peer = t.peer(node)
    peer.send("getaddr")
    peer.send("getaddr")
    peer.ping()
    check(sum(c == "addr" for c, _ in peer.seen) <= 1, "one answer at most")
    equal(peer.score(node), 0)


@case()
def pong_must_match(t):
    node = t.node()
    peer = t.peer(node)
    peer.answer_pings = False
    nonce = peer.wait_for("ping")
    peer.send("pong", os.urandom(8))
    peer.send("pong", b"")
    peer.ping()
    equal(peer.score(node), 0)
    check("pingwait" in peer.info(node), "still waiting")
    peer.send("pong", nonce)
    peer.ping()
    node.rpc.ping()
    payload = peer.wait_for("ping")
    time.sleep(0.05)
    peer.send("pong", payload)
    peer.ping()
    check(peer.info(node)["pingtime"] >= 0.04, "round trip measured")


@case()
def getdata_for_the_unknown_is_answered_by_notfound_or_silence(t):
    node = t.node()
    peer = t.peer(node)
    peer.send("getdata", inventory((1, b"\x11" * 32), (MSG_BLOCK, b"\x22" * 32)))
    missing = peer.wait_for("notfound")
    equal(missing, inventory((1, b"\x11" * 32)), "transactions only")
    equal(peer.ping().score(node), 0)


@case()
def connection_may_end_in_the_middle_of_anything(t):
    node = t.node()
    whole = frame("inv", inventory((MSG_BLOCK, bytes(32))))
    for cut in (1, 4, 23, 24, 30, len(whole) - 1):
        peer = t.peer(node)
        peer.send_raw(whole[:cut])
        peer.close()
    for cut in (1, 20, 60):
        peer = t.peer(node, handshake=False)
        peer.send_raw(frame("version", version_payload())[:cut])
        peer.close()
    wait_until(lambda: node.rpc.getconnectioncount() == 0, 10, "all gone")


if __name__ == "__main__":
    main()

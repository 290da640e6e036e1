"""What a node serves: getheaders, getblocks, getdata, announcements (spec p2p 3, 5, 8)."""
import time

from framework import ADDRESS, case, check, equal, main, steady, wait_until
from blocks import Chain, display, from_display, sha256d, GENESIS_HASH_HEX
from p2p import (MSG_BLOCK, MSG_TX, Closed, inventory, locator_payload, parse_headers, parse_inventory)

GENESIS = from_display(GENESIS_HASH_HEX)


def node_with_blocks(t, n, *options):
    node = t.node(*options)
    hashes = node.rpc.generatetoaddress(n, ADDRESS)
    return node, [GENESIS] + [from_display(h) for h in hashes]


@case()
def headers_follow_the_first_known_hash_of_the_locator(t):
    node, hashes = node_with_blocks(t, 20)
    peer = t.peer(node)
    got = peer.get_headers([b"\x11" * 32, hashes[12], hashes[3]])
    equal([h.hash() for h in got], hashes[13:])
    got = peer.get_headers([hashes[12]], stop=hashes[15])
    equal([h.hash() for h in got], hashes[13:16])
    got = peer.get_headers([b"\x22" * 32])
    equal([h.hash() for h in got], hashes[1:], "unknown locator: from genesis")
    got = peer.get_headers([hashes[20]])
    equal(got, [], "nothing above the tip")
    got = peer.get_headers([], stop=hashes[7])
    equal([h.hash() for h in got], [hashes[7]], "empty locator: the stop header alone")


@case(timeout=90)
def at_most_2000_headers_come_at_once(t):
    chain = Chain(start_time=int(time.time()) - 7000).grow(2500)
    node = t.node("-loadblock=" + chain.write(t.path("c.blk")))
    node.wait_import(2500)
    peer = t.peer(node)
    first = peer.get_headers([GENESIS])
    equal(len(first), 2000)
    rest = peer.get_headers([first[-1].hash()])
    equal(len(rest), 500)
    equal(display(rest[-1].hash()), chain.tip_hex)


@case()
def getblocks_gives_inventories_in_steps_of_500(t):
    node, hashes = node_with_blocks(t, 620)
    peer = t.peer(node)
    peer.send("getblocks", locator_payload([GENESIS]))
    first = parse_inventory(peer.wait_for("inv"))
    equal(first, [(MSG_BLOCK, h) for h in hashes[1:501]])
    peer.send("getdata", inventory((MSG_BLOCK, hashes[500])))
    peer.wait_for("block")
    more = parse_inventory(peer.wait_for("inv"))
    equal(more, [(MSG_BLOCK, hashes[620])], "the tip, so that the peer asks on")
    peer.send("getblocks", locator_payload([hashes[600]], stop=hashes[610]))
    equal(parse_inventory(peer.wait_for("inv")), [(MSG_BLOCK, h) for h in hashes[601:610]])


@case()
def blocks_are_served_in_the_order_asked(t):
    node, hashes = node_with_blocks(t, 30)
    peer = t.peer(node)
    wanted = [hashes[i] for i in (30, 1, 17, 17, 2)]
    peer.send("getdata", inventory(*[(MSG_BLOCK, h) for h in wanted]))
    peer.send("ping", b"afterall")
    got = []
    while True:
        command, payload = peer.receive()
        if command == "block":
            got.append(sha256d(payload[:80]))
        elif command == "pong":
            break
    equal(got, wanted)
    raw = peer.get_block(display(hashes[9]))
    equal(raw.hex(), node.rpc.getblock(display(hashes[9]), 0))


@case()
def stale_blocks_of_the_last_month_are_served_and_unknown_ones_are_not(t):
    base = Chain(start_time=int(time.time()) - 600).grow(4)
    stale, best = base.fork(3).grow(1, extra=b"s"), base.fork(3).grow(2, extra=b"b")
    node = t.node("-loadblock=" + stale.write(t.path("s.blk")))
    node.wait_import(stale.height)
    for height in (4, 5):
        node.rpc.submitblock(best.at(height).serialize().hex())
    equal(node.tip(), best.tip_hex)
    peer = t.peer(node)
    equal(peer.get_block(stale.tip_hex), stale.at(4).serialize())
    peer.send("getdata", inventory((MSG_BLOCK, b"\x33" * 32)))
    peer.ping()
    equal([c for c, _ in peer.seen].count("notfound"), 0)


@case()
def new_tips_are_announced_by_headers_or_inventory(t):
    node, hashes = node_with_blocks(t, 2)
    plain, modern, level = (t.peer(node, height=2) for _ in range(3))
    modern.get_headers([GENESIS])
    plain.get_headers([GENESIS])
    equal(level.get_headers([hashes[2]]), [], "it has our tip, as we know then")
    for peer in modern, level:
        peer.send("sendheaders")
        peer.ping()
    tip = from_display(node.rpc.generatetoaddress(1, ADDRESS)[0])
    for peer in modern, level:
        peer.wait_for("headers", match=lambda p: parse_headers(p)[-1].hash() == tip)
        equal(peer.count("inv"), 0)
    plain.wait_for("inv", match=lambda p: (MSG_BLOCK, tip) in parse_inventory(p))


@case()
def what_a_peer_cannot_connect_is_announced_by_inventory_until_it_asks(t):
    """As headers they would look like those of another chain, and end the connection (C2)."""
    base = Chain(start_time=int(time.time()) - 7000).grow(30)
    node = t.node_at(base)
    peer = t.peer(node, height=30)
    peer.get_headers([GENESIS])
    peer.send("sendheaders")
    longer = base.fork(10).grow(21, extra=b"b")  # more at once than is told by headers
    for block in longer.blocks:
        node.rpc.submitblock(block.serialize().hex())

    def told(kind, chain):
        peer.wait_for(kind, match=lambda p: chain.tip in p if kind == "inv" else
                      parse_headers(p)[-1].hash() == chain.tip, seen=True)
    told("inv", longer)
    for _ in range(3):
        node.rpc.submitblock(longer.add().serialize().hex())
        told("inv", longer)
    equal(peer.count("headers"), 1, "the answer of before, and nothing that does not connect")
    equal(len(peer.get_headers([base.hash_at(10)])), 24)
    node.rpc.submitblock(longer.add().serialize().hex())
    told("headers", longer)


@case()
def reader_that_does_not_read_stops_being_served(t):
    """Attack C8: the answers wait on disk, not in memory."""
    node, hashes = node_with_blocks(t, 10)
    peer = t.peer(node)
    node.reset_peak_memory()
    before = node.memory()
    many = inventory(*[(MSG_BLOCK, hashes[1 + i % 10]) for i in range(20000)])
    for _ in range(5):
        peer.send("getdata", many)
    steady(lambda: peer.info(node)["bytessent"])
    check(node.memory_rise(before) < 32 << 20, f"grew by {node.memory_rise(before)}")
    other = t.peer(node)
    other.ping(timeout=2)
    peer.close()
    wait_until(lambda: node.rpc.getconnectioncount() == 1, 10, "the peer is gone")


@case()
def as_much_may_be_asked_for_at_once_as_a_message_holds(t):
    node = t.node("-maxprotocolrecvpayloadlength=4000000")
    peer = t.peer(node)
    wanted = [(MSG_TX, i.to_bytes(32, "little")) for i in range(100000)]
    peer.send("getdata", inventory(*wanted))
    missing = []
    while len(missing) < len(wanted):
        missing += parse_inventory(peer.wait_for("notfound"))
    equal(missing, wanted)
    equal(peer.score(node), 0)


@case()
def pruned_node_does_not_offer_the_network_service(t):
    node = t.node("-prune=1")
    peer = t.peer(node)
    equal(peer.their_version["services"] & 1, 0)
    equal(node.rpc.getnetworkinfo()["localservices"][-2:], "20")


if __name__ == "__main__":
    main()

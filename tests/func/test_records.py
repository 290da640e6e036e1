"""Records of identities: gossip on Bitcoin connections against peers made from the specification,
and what hostile ones cost (attacks D5, E2, E3, E7, G3, G4, G6)."""
import struct
import time

from blocks import TxOut, spend
from framework import Rpc, case, check, equal, main, raises_rpc
from identities import MARKER
from p2p import version_payload
from records import (ANSWERS, LIST, SAMPLE, Identity, bcarec, friend, items, known, now,
                     parse_bcarec, parse_items, record, registered, sendbca)
from txs import mine

SPEAKS = sendbca()


def judged(node, peer):
    """All that the peer sent has been judged: a record of nobody behind it is refused in turn."""
    peer.send("getbca", LIST + items((bytes(32), 0)))
    peer.wait_for("bcarec", match=lambda p: bytes(32) in parse_bcarec(p)[1])
    return peer.score(node)


@case()
def a_record_is_asked_for_and_announced_but_not_to_its_source(t):
    node, _, (alice,) = registered(t, 1)
    first, second = friend(t, node), friend(t, node)
    raw = alice.record(5, now(), alias=b"ali\x07ce")
    first.send("bcainv", items((alice.record_key, 5)))
    equal(first.wait_for("getbca"), LIST + items((alice.record_key, 5)))
    first.send("bcarec", bcarec([raw]))
    equal(parse_items(second.wait_for("bcainv")), [(alice.record_key, 5)])
    second.send("getbca", LIST + items((alice.record_key, 5), (bytes(32), 0)))
    equal(parse_bcarec(second.wait_for("bcarec")), ([raw], [bytes(32)]))
    second.send("getbca", LIST + items((alice.record_key, 6)))
    equal(parse_bcarec(second.wait_for("bcarec")), ([], [alice.record_key]), "a lower number")
    got = node.rpc.getrecord(alice.public.hex())
    equal((got["record"], got["seq"], got["alias"]), (raw.hex(), 5, "alice"))
    equal(got["endpoints"], [{"type": 1, "address": alice.address, "port": 9944, "priority": 0,
                              "proved": True}])
    equal((got["public"], got["reached"], got["tombstone"]), (True, False, False))
    check("bcainv" not in [c for c, _ in first.collect(0.5)], "nothing goes back to the source")
    node.kill()
    node.start()
    equal(node.rpc.getrecord(alice.public.hex())["record"], raw.hex(), "after a kill")
    third = friend(t, node)
    third.send("getbca", SAMPLE + struct.pack("<H", 16))
    equal(parse_bcarec(third.wait_for("bcarec")), ([raw], []))
    third.send("getbca", SAMPLE + struct.pack("<H", 16))
    third.send("getbca", b"\x07unknown")
    equal(judged(node, third), 0)
    equal(third.count("bcarec"), 2, "one sample in a minute")


@case()
def a_peer_that_has_not_said_sendbca_gets_nothing_else(t):
    node, _, (alice,) = registered(t, 1)
    silent, deaf, giver = t.peer(node), friend(t, node, ANSWERS), friend(t, node)
    silent.wait_for("sendbca", seen=True)
    for peer in (silent, giver):
        peer.send("bcainv", items((alice.record_key, 5)))
    giver.wait_for("getbca")
    giver.send("bcarec", bcarec([alice.record(5, now())]))
    t.wait(lambda: known(node, alice) == 5)
    silent.send("getbca", LIST + items((alice.record_key, 5)))
    silent.collect(0.5)
    deaf.collect(0.1)
    for peer in (silent, deaf):
        equal([c for c, _ in peer.seen if "bca" in c], ["sendbca"])
    early = t.peer(node, handshake=False)
    early.send("version", version_payload())
    early.send("sendbca", SPEAKS)
    early.send("verack")
    early.wait_for("verack")
    early.ping().send("getbca", LIST + items((alice.record_key, 5)))
    early.collect(0.2)
    equal((early.count("bcarec"), early.score(node)), (0, 0), "before verack it says nothing")
    without = t.node("-records=0")
    peer = t.peer(without)
    peer.send("sendbca", SPEAKS)
    peer.ping().ping()
    equal(peer.count("sendbca"), 0, "-records=0")


@case()
def a_client_hears_of_it_once_it_has_spoken(t):
    node, _, _ = registered(t, 1)
    client = t.peer(node, services=0)
    check("sendbca" not in [c for c, _ in client.collect(0.5)], "programs may end at it")
    client.send("sendbca", SPEAKS)
    client.wait_for("sendbca", seen=True)
    client.send("sendbca", SPEAKS)
    judged(node, client)
    equal(client.count("sendbca"), 1)


@case()
def false_records_cost_their_sender_and_others_do_not(t):
    node, chain, (alice, bob) = registered(t, 2)
    stranger = Identity(99)

    def offered(raw, score):
        peer = friend(t, node)
        peer.send("bcarec", bcarec([raw]))
        equal(judged(node, peer), score)
        peer.close()
    good = alice.record(5, now())
    offered(good[:-1] + bytes([good[-1] ^ 1]), 20)
    # E3: parameters of somebody else beside an own key, and beside the key that is theirs.
    offered(record(stranger.secret, 5, now(), alice.address, alice.params), 20)
    offered(record(stranger.secret, 5, now(), alice.address, alice.params, key=alice.public), 20)
    offered(alice.record(5, now(), endpoints=[(1, 0, bob.address, 9944)]), 20)
    # E7: what is no point of the curve is no key.
    offered(alice.record(5, now(), key=b"\x02" + b"\xff" * 32), 0)
    offered(alice.record(5, now(), version=2), 0)
    offered(alice.record(5, now() - 200000), 0)
    offered(alice.record((now() + 8000) * 1000, now()), 0)
    equal(node.rpc.listrecords()["total"], 0)
    offered(good, 0)
    equal(known(node, alice), 5, "none of these stands in the way of the owner")
    mine(node, chain, spend(bob.key, bob.tx.txid(), MARKER, 1, [TxOut(0, b"\x00\x6a")]))
    offered(bob.record(5, now()), 0)
    equal(known(node, bob), None, "revoked")


@case()
def messages_that_break_their_format_have_a_price(t):
    node, _, _ = registered(t, 0)
    for command, payload, score in (
            ("bcainv", items(*[(bytes(32), 0)] * 1001), 20), ("bcainv", b"\x01" + bytes(39), 20),
            ("getbca", LIST + items(*[(bytes(32), 0)] * 101), 20),
            ("getbca", SAMPLE + struct.pack("<H", 17), 20), ("bcarec", b"\x11", 20),
            ("bcarec", bytes(65601), 20), ("getbca", b"", 0), ("sendbca", b"\x01", 0)):
        peer = friend(t, node)
        peer.send(command, payload)
        equal(peer.ping().score(node), score, command)
        peer.close()


@case()
def what_was_replaced_is_not_played_back(t):
    node, _, (alice,) = registered(t, 1, "-recordpause=1")
    peer = friend(t, node)
    start = now()
    old, new, tombstone = (alice.record(5, start), alice.record(9, start + 1),
                           alice.record(11, start + 2, flags=1, endpoints=[],
                                        expires=start + 2 + 1209600))
    peer.send("bcarec", bcarec([old, new]))
    t.wait(lambda: known(node, alice) == 9, what="the one that waits for the pause")
    peer.send("bcarec", bcarec([old, alice.record(10, start - 10)]))
    equal(judged(node, peer), 0)
    equal(known(node, alice), 9, "neither the old one nor one that was issued before")
    peer.send("bcarec", bcarec([alice.record(9, start + 1, alias=b"two")]))
    equal(judged(node, peer), 1, "two records with one number")
    equal(node.rpc.getrecord(alice.public.hex())["record"], new.hex(), "the first one stays")
    peer.send("getbca", LIST + items((alice.record_key, 1)))
    equal(parse_bcarec(peer.wait_for("bcarec")), ([], [alice.record_key]), "and is not given on")
    peer.send("bcarec", bcarec([tombstone]))
    t.wait(lambda: known(node, alice) == 11)
    peer.send("bcarec", bcarec([new, old]))
    judged(node, peer)
    got = node.rpc.getrecord(alice.public.hex())
    equal((got["seq"], got["tombstone"], got["endpoints"]), (11, True, []))


@case()
def a_flood_of_records_is_taken_at_the_rate_of_the_bucket(t):
    """D5: 100 saved up and two a second, whatever is sent or asked for."""
    node, _, (alice,) = registered(t, 1)
    peer = friend(t, node)
    broken = b"\x01\x00"
    for _ in range(60):
        peer.send("bcarec", bcarec([broken] * 16))
    peer.send("bcarec", bcarec([alice.record(5, now())]))
    judged(node, peer)
    equal(known(node, alice), None, "the bucket is empty for minutes")
    started = time.monotonic()
    other = friend(t, node)
    other.send("bcainv", items(*[(struct.pack("<Q", i) * 4, 1) for i in range(1000)]))
    other.wait_for("getbca")
    other.collect(0.4)
    asked = sum(len(parse_items(p[1:])) for c, p in other.seen if c == "getbca")
    check(100 <= asked <= 101 + 2 * (time.monotonic() - started), f"{asked} asked for")


@case()
def what_cannot_be_judged_yet_waits_for_the_chain(t):
    node, _, (alice,) = registered(t, 1)
    new = t.node("-genesisactivationheight=1")
    peer = friend(t, new)
    peer.send("bcarec", bcarec([alice.record(5, now())]))
    equal(judged(new, peer), 0)
    equal((new.rpc.listrecords()["parked"], known(new, alice)), (1, None))
    peer.close()
    new.rpc.addnode(node.p2p, "onetry")
    t.wait_same_tip(node, new)
    t.wait(lambda: known(new, alice) == 5, what="the record once the chain is there")
    equal(new.rpc.listrecords()["parked"], 0)


@case()
def what_is_asked_of_two_peers_comes_from_one(t):
    node, _, (alice,) = registered(t, 1)
    one, two = friend(t, node), friend(t, node)
    one.send("bcainv", items((alice.record_key, 5)))
    one.wait_for("getbca")
    two.send("bcainv", items((alice.record_key, 5)))
    two.collect(0.4)
    equal(two.count("getbca"), 0, "somebody else was asked")
    one.send("bcarec", bcarec([], [alice.record_key]))
    equal(two.wait_for("getbca"), LIST + items((alice.record_key, 5)), "who has nothing")
    two.send("bcarec", bcarec([alice.record(5, now())]))
    t.wait(lambda: known(node, alice) == 5)


@case()
def getrecord_asks_the_peers_that_answer(t):
    node, _, (alice,) = registered(t, 1)
    peer = friend(t, node)
    key = alice.public.hex()
    raises_rpc(-5, lambda: node.rpc.getrecord(key), "no record")
    caller = Rpc(node.rpc_port, node.cookie)
    caller.send_only("getrecord", key, 30)
    equal(peer.wait_for("getbca"), LIST + items((alice.record_key, 1)))
    raw = alice.record(5, now())
    peer.send("bcarec", bcarec([raw]))
    t.wait(lambda: known(node, alice) == 5)
    answer = caller.connection.getresponse()
    check(raw.hex().encode() in answer.read(), "the answer has it")
    caller.close()
    for call in (lambda: node.rpc.getrecord("02"), lambda: node.rpc.getrecord("04" * 33),
                 lambda: node.rpc.getrecord(key, 61), lambda: node.rpc.listrecords(1001),
                 lambda: node.rpc.listrecords(1, -1)):
        raises_rpc(-8, call)
    listed = node.rpc.listrecords(1)
    equal((listed["total"], listed["waiting"], listed["parked"]), (1, 0, 0))
    equal(node.rpc.listrecords(5, 1)["records"], [])


@case()
def getrecord_without_a_wait_needs_no_place_of_those_that_wait(t):
    node, _, (alice,) = registered(t, 1)
    callers = [Rpc(node.rpc_port, node.cookie) for _ in range(16)]
    for caller in callers:
        caller.send_only("waitforblockheight", 1000, 20000)
    peer = friend(t, node)
    peer.send("bcarec", bcarec([alice.record(5, now())]))
    judged(node, peer)
    equal(node.rpc.getrecord(alice.public.hex())["seq"], 5)
    for caller in callers:
        caller.close()


@case()
def limits_are_options(t):
    node, _, people = registered(t, 5, "-recordsper64=2", "-recordsper48=3")
    peer = friend(t, node)
    peer.send("bcarec", bcarec([p.record(5, now()) for p in people[:4]]))
    judged(node, peer)
    equal((node.rpc.listrecords()["total"], node.rpc.listrecords()["remembered"]), (2, 2))
    check(node.rpc.getmemoryinfo()["ledger"]["records"] > 4 * 200, "their memory is counted")
    check(known(node, people[3]) == 5, "the newcomer stays")
    node.restart("-recordsmax=1")
    peer = friend(t, node)
    peer.send("bcarec", bcarec([people[4].record(5, now())]))
    judged(node, peer)
    equal((node.rpc.listrecords()["total"], known(node, people[4])), (1, 5))


@case()
def rates_and_waits_are_options(t):
    node, _, (alice, bob) = registered(t, 2, "-recordburst=2", "-recordrate=1", "-recordpause=2",
                                       "-recordswaiting=1")
    start = now()
    node.rpc.setmocktime(start)  # that the pause does not end before its time
    peer = friend(t, node)
    peer.send("bcarec", bcarec([b"\x01\x00"] * 2 + [alice.record(4, now())]))
    judged(node, peer)
    equal(known(node, alice), None, "the bucket holds two")
    for seq in (5, 6):
        other = friend(t, node)
        other.send("bcarec", bcarec([alice.record(seq, now()), bob.record(seq, now())]))
        judged(node, other)
        equal((known(node, alice), known(node, bob)), (5, 5))
    node.rpc.setmocktime(start + 2)
    t.wait(lambda: sorted((known(node, alice), known(node, bob))) == [5, 6],
           what="the end of the pause of the one that has found a place")
    new = t.node("-genesisactivationheight=1", "-recordparktime=3")
    peer = friend(t, new)
    peer.send("bcarec", bcarec([alice.record(5, now())]))
    judged(new, peer)
    equal(new.rpc.listrecords()["parked"], 1)
    t.wait(lambda: new.rpc.listrecords()["parked"] == 0, what="the end of the time it is kept")


if __name__ == "__main__":
    main()

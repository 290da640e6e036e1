"""Limits and times of records, each option in the running daemon, at its socket for peers."""
import struct
import time

from blocks import TxOut, spend
from framework import case, check, equal, main
from identities import MARKER, PREFIX, grow, wallet_node
from p2p import frame
from records import (LIST, SAMPLE, bcarec, friend, items, known, now, parse_bcarec, parse_items,
                     registered)
from txs import mine


def judged(node, peer):
    """All that the peer sent has been judged: a record of nobody behind it is refused in turn."""
    peer.send("getbca", LIST + items((bytes(32), 0)))
    peer.wait_for("bcarec", match=lambda p: bytes(32) in parse_bcarec(p)[1])


def offer(t, node, raw):
    peer = friend(t, node)
    peer.send("bcarec", bcarec([raw]))
    judged(node, peer)
    peer.close()


def revoked_and_back(t, *options):
    """A node that has refused a record for its revocation, which is in no block any more; whose."""
    node, chain, (alice,) = registered(t, 1, *options)
    mine(node, chain, spend(alice.key, alice.tx.txid(), MARKER, 1, [TxOut(0, b"\x00\x6a")]))
    offer(t, node, alice.record(5, now()))
    equal(known(node, alice), None, "revoked")
    node.rpc.invalidateblock(node.rpc.getbestblockhash())
    return node, alice


@case()
def a_proof_that_failed_is_remembered_for_a_time(t):
    node, alice = revoked_and_back(t)
    offer(t, node, alice.record(5, now()))
    equal(known(node, alice), None, "for an hour")
    node, alice = revoked_and_back(t, "-recordfailuretime=1")
    t.wait(lambda: offer(t, node, alice.record(5, now())) or known(node, alice) == 5,
           what="the record, once the second is over")


@case()
def samples_are_given_with_pauses(t):
    node, _, (alice,) = registered(t, 1, "-recordsamplepause=1")
    offer(t, node, alice.record(5, now()))
    peer = friend(t, node)
    peer.send_raw(2 * frame("getbca", SAMPLE + struct.pack("<H", 16)))  # no second in between
    judged(node, peer)
    equal(peer.count("bcarec"), 2, "one sample, and the answer for nobody")

    def answers():
        before = peer.count("bcarec")
        peer.send("getbca", SAMPLE + struct.pack("<H", 16))
        judged(node, peer)
        return peer.count("bcarec") - before
    t.wait(lambda: answers() == 2, what="another sample")


@case()
def so_many_keys_are_remembered(t):
    node, _, people = registered(t, 4, "-recordsmax=1", "-recordsremembered=3")
    for person in people:
        offer(t, node, person.record(5, now()))
    counts = node.rpc.listrecords()
    equal((counts["total"], counts["remembered"]), (1, 2))


@case()
def new_records_are_collected_for_a_time(t):
    node, _, (alice,) = registered(t, 1, "-recordflush=86400", "-recordpause=1")
    listeners = [friend(t, node) for _ in range(2)]
    offer(t, node, alice.record(5, now()))
    # The first day of each ends at a moment of its own, which for one of them may be now.
    told = ["bcainv" in [c for c, _ in listener.collect(1)] for listener in listeners]
    check(not all(told), "their days are not over")
    node.restart("-recordflush=1")
    listener = friend(t, node)
    offer(t, node, alice.record(6, now()))
    equal(parse_items(listener.wait_for("bcainv")), [(alice.record_key, 6)])


@case()
def an_own_record_is_made_anew_after_a_pause(t):
    node = wallet_node(t, "-recordownpause=5", "-recordpause=1")
    node.rpc.bcaregister("alice", 4)
    grow(node)
    node.rpc.bcanew("alice", PREFIX)
    start = int(time.time())
    node.rpc.setmocktime(start)
    first = node.rpc.setpublication("alice", "public")
    node.rpc.bcanew("alice", PREFIX)
    node.rpc.setmocktime(start + 4)
    time.sleep(0.5)  # own records are looked at five times a second
    equal(node.rpc.listrecords()["own"][0]["seq"], first["seq"], "not so soon")
    node.rpc.setmocktime(start + 5)
    t.wait(lambda: node.rpc.listrecords()["own"][0]["seq"] > first["seq"])


if __name__ == "__main__":
    main()

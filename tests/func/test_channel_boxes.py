"""Limits of what waits and is kept, each option in the running daemon: outboxes, the inbox, ids of
messages, strangers' requests, memory for files, and records."""
import os
import struct
import time

from channel_guest import (FULL, M_ACK, M_NACK, M_SEND, TOO_LARGE, Guest, m_send, receipts)
from channels import talker
from framework import RpcError, case, check, equal, main
from records import LIST, bcarec, friend, items, now, parse_bcarec, registered

KEYS = ["034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa",
        "024f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa"]
LARGE = "x" * 60000
BURST = "-channelmessageburst=100000"


def created():
    return int(time.time() * 1000)


def fills(node, contact, text):
    """How many messages find room for a contact that is away."""
    for n in range(100):
        try:
            node.rpc.sendmessage(contact, text)
        except RpcError:
            return n
    return 100


@case()
def outboxes_are_full_at_their_limits(t):
    for option, text, numbers in (("-channeloutbox=3", "x", [3, 3]),
                                  ("-channeloutboxsize=1MiB", LARGE, [17, 17]),
                                  ("-channeloutboxtotal=1MiB", LARGE, [17, 0])):
        node, _ = talker(t, option)
        for name, key in zip(("bob", "carol"), KEYS):
            node.rpc.contactadd(key, name)
        equal([fills(node, name, text) for name in ("bob", "carol")], numbers, option)
        node.stop()


def contact(t, *options):
    node, key = talker(t, BURST, *options)
    guest = Guest(node, key)
    t.cleanups.append(guest.close)
    node.rpc.contactadd(guest.key, "guest")
    return node, guest.connect()


def say(guest, body, identifier=None):
    guest.put(M_SEND, m_send(identifier or os.urandom(16), created(), body))
    return receipts(guest, 1)[0]


@case()
def the_inbox_takes_no_more_than_its_size(t):
    node, guest = contact(t, "-channelinbox=1MiB")
    answers = [say(guest, LARGE.encode()) for _ in range(20)]
    taken = [a[0] for a in answers].index(M_NACK)
    check(12 <= taken <= 17, f"{taken} are taken")
    equal({(kind, code) for kind, _, code in answers[taken:]}, {(M_NACK, FULL)})
    equal(len(node.rpc.listmessages("", 100)["messages"]), taken)
    for message in node.rpc.listmessages("", 100)["messages"]:
        node.rpc.readmessage(message["number"], False)
    t.wait(lambda: say(guest, LARGE.encode())[0] == M_ACK, what="room of what was read")


@case()
def so_many_ids_are_kept(t):
    for option, shown in (("-channelmessageids=1", 4), ("-channelmessageids=100000", 3)):
        node, guest = contact(t, option)
        first = os.urandom(16)
        for identifier in (first, None, None, first):
            equal(say(guest, b"x", identifier)[0], M_ACK)
        equal(len(node.rpc.listmessages()["messages"]), shown, option)
        node.stop()


@case()
def a_message_of_a_stranger_has_a_size_and_a_rate(t):
    for option in ("-channelrequestsize=10", "-channelrequestrate=1"):
        node, key = talker(t, "-channelstrangers", "-channelrequestrate=3600", option)
        equal(node.rpc.contactlist(), [])
        guest = Guest(node, key).connect()
        t.cleanups.append(guest.close)
        if "size" in option:
            equal(say(guest, b"y" * 11)[::2], (M_NACK, TOO_LARGE))
            t.wait(lambda g=guest: say(g, b"y" * 10)[0] == M_ACK, what="a place for the next")
        else:
            equal(say(guest, b"y" * 11)[0], M_ACK)
            time.sleep(1.2)  # more than the other node's pause
            equal(say(guest, b"y")[0], M_NACK, "the second in an hour")


F_OFFER, F_ACCEPT, S_OPEN, S_DATA, BUSY = 128, 130, 64, 68, 5


@case()
def files_that_are_sent_have_so_much_memory(t):
    path = t.path("file")
    with open(path, "wb") as out:
        out.write(os.urandom(200 * 16384))
    for size, busy in (("1MiB", True), ("64MiB", False)):
        node, key = talker(t, "-channelfilestreams=8", "-channelfilememory=" + size)
        guest = Guest(node, key, features=b"\x22")
        node.rpc.contactadd(guest.key, "reader")
        guest.connect()
        node.rpc.sendfile("reader", path)
        kind, payload = guest.next()
        while kind != F_OFFER:
            kind, payload = guest.next()
        id = payload[:32]
        guest.put(F_ACCEPT, id)
        for sid in range(1, 12, 2):  # six streams, none of which goes on
            guest.put(S_OPEN, struct.pack(">IB", sid, 4) + b"file" + struct.pack(">BI", 5, 16384))
            guest.put(S_DATA, struct.pack(">I", sid) + id + struct.pack(">BII", 2, 0, 200))
        status = {}
        while len(status) < 6:
            kind, payload = guest.next()
            if kind == S_DATA:
                status.setdefault(struct.unpack(">I", payload[:4])[0], payload[4])
        equal(BUSY in status.values(), busy, size)
        equal(status[1], 0)
        guest.close()
        node.stop()


def judged(node, peer):
    peer.send("getbca", LIST + items((bytes(32), 0)))
    peer.wait_for("bcarec", match=lambda p: bytes(32) in parse_bcarec(p)[1])


@case()
def records_of_a_block_and_bytes_of_all_have_a_limit(t):
    for option in ("-recordsperblock=2", "-recordsmaxsize=4096"):
        node, _, people = registered(t, 6, option)
        peer = friend(t, node)
        peer.send("bcarec", bcarec([p.record(5, now()) for p in people]))
        judged(node, peer)
        listed = node.rpc.listrecords()
        check(listed["total"] == 2 if "block" in option else listed["bytes"] <= 4096,
              f"{option}: {listed['total']} of {listed['bytes']} bytes")
        check(0 < listed["total"] < 6, option)


@case()
def so_many_signatures_are_checked_in_a_second(t):
    node, _, people = registered(t, 5, "-recordsignatures=1")
    peer = friend(t, node)
    began = time.monotonic()
    peer.send("bcarec", bcarec([p.record(5, now()) for p in people]))
    judged(node, peer)
    equal(node.rpc.listrecords()["total"], 5)
    check(time.monotonic() - began > 2, "a second for each but the first")


@case()
def so_many_records_wait_for_the_chain(t):
    _, _, people = registered(t, 3)
    new = t.node("-genesisactivationheight=1", "-recordsparked=2")
    peer = friend(t, new)
    peer.send("bcarec", bcarec([p.record(5, now()) for p in people]))
    judged(new, peer)
    equal(new.rpc.listrecords()["parked"], 2)


if __name__ == "__main__":
    main()

"""Messages of direct channels and peers that mean harm (attacks D5, H1, H2): floods, repetitions,
receipts for what was never sent. Each with the defence on and off where an option does that."""
import os
import struct
import time

from channel_guest import (BUSY, ERROR, EXPIRED, M_ACK, M_NACK, M_READ, M_SEND, REFUSED, TOO_LARGE,
                           Guest, m_send, receipts)
from channels import talker
from events import read_events
from framework import case, check, equal, main


def now_ms():
    return int(time.time() * 1000)


def listed(node):
    return node.rpc.listmessages("", 1000, 1)["messages"]


def told(node, kind):
    return [e for e in read_events(node) if e["type"] == "message_" + kind]


def contact(t, *options):
    """A node and a contact of it that is up."""
    node, key = talker(t, *options)
    guest = Guest(node, key)
    t.cleanups.append(guest.close)
    node.rpc.contactadd(guest.key, "guest")
    return node, guest.connect()


def throw(guest, n, **fields):
    """So many messages in one go; their ids."""
    ids = [os.urandom(16) for _ in range(n)]
    guest.socket.sendall(b"".join(
        guest.packet(M_SEND, m_send(i, now_ms(), seq=k + 1, **fields)) for k, i in enumerate(ids)))
    return ids


def count(answers, kind, code=0):
    return sum(1 for a in answers if a[0] == kind and a[2] == code)


@case()
def a_flood_of_a_contact_is_slowed_down(t):
    node, guest = contact(t, "-channelmessagerate=1", "-channelmessageburst=50")
    node.reset_peak_memory()
    before = node.memory("VmHWM")
    throw(guest, 2000, body=b"y" * 500)
    answers = receipts(guest, 2000)
    taken = count(answers, M_ACK)
    check(50 <= taken < 150, taken)
    equal(count(answers, M_NACK, BUSY), 2000 - taken)
    equal(len(listed(node)), taken)
    check(node.memory("VmHWM") - before < 20 << 20, "memory")
    t.wait(lambda: len(told(node, "received")) == taken)


@case()
def without_the_rate_all_of_it_is_taken(t):
    node, guest = contact(t, "-channelmessageburst=100000")
    throw(guest, 300)
    equal(count(receipts(guest, 300), M_ACK), 300)
    equal(len(listed(node)), 300)


@case()
def what_is_repeated_is_shown_once(t):
    node, guest = contact(t)
    identifier, created = os.urandom(16), now_ms()
    message = m_send(identifier, created, b"once", seq=1)
    guest.put(M_SEND, message)
    equal(receipts(guest, 1), [(M_ACK, identifier, 0)])
    for _ in range(20):
        guest.put(M_SEND, message)
    equal(receipts(guest, 20), [(M_ACK, identifier, 0)] * 20)
    guest.put(M_SEND, m_send(identifier, created, b"another text", seq=2))
    equal(receipts(guest, 1), [(M_ACK, identifier, 0)])
    node.kill()
    node.start()
    guest.connect()
    guest.put(M_SEND, message)
    equal(receipts(guest, 1), [(M_ACK, identifier, 0)])
    equal([m["text"] for m in listed(node)], ["once"])
    t.wait(lambda: told(node, "received"))
    equal(len(told(node, "received")), 1)


@case()
def receipts_for_what_is_not_in_flight_count_for_nothing(t):
    node, guest = contact(t)
    sent = node.rpc.sendmessage("guest", "hello")
    identifier = bytes.fromhex(sent["id"])
    equal(guest.read(M_SEND)[:16], identifier)
    for _ in range(100):
        guest.put(M_ACK, os.urandom(16))
        guest.put(M_NACK, os.urandom(16) + struct.pack(">H", REFUSED))
        guest.put(M_READ, os.urandom(16) + struct.pack(">Q", now_ms()))
    guest.put(M_READ, identifier + struct.pack(">Q", now_ms()))  # before it is acknowledged
    other = node.rpc.sendmessage("guest", "second")
    equal(guest.read(M_SEND)[:16], bytes.fromhex(other["id"]))
    equal([m["state"] for m in listed(node)], ["sent", "sent"])
    guest.put(M_ACK, identifier)
    t.wait(lambda: [m["state"] for m in listed(node)] == ["delivered", "sent"])
    guest.put(M_NACK, identifier + struct.pack(">H", REFUSED))  # too late
    guest.put(M_NACK, bytes.fromhex(other["id"]) + struct.pack(">H", TOO_LARGE))
    t.wait(lambda: [m["state"] for m in listed(node)] == ["delivered", "refused"])
    t.wait(lambda: told(node, "failed"))
    equal([e["reason"] for e in told(node, "failed")], ["refused"])
    equal([e["message"] for e in told(node, "delivered")], [sent["number"]])


@case()
def a_peer_that_never_acknowledges_is_sent_no_more_than_64(t):
    node, guest = contact(t)
    for i in range(80):
        node.rpc.sendmessage("guest", f"m{i}")
    ids = [guest.read(M_SEND)[:16] for _ in range(64)]
    equal([m["state"] for m in listed(node)].count("sent"), 64)
    for identifier in ids:
        guest.put(M_ACK, identifier)
    ids += [guest.read(M_SEND)[:16] for _ in range(16)]
    equal([i.hex() for i in ids], [m["id"] for m in listed(node)])


@case()
def what_comes_from_another_time_or_is_too_long(t):
    node, guest = contact(t)
    hours = 3600 * 1000
    for created, ttl, want in ((now_ms() + 3 * hours, 60, BUSY),
                               (now_ms() - 2 * hours, 60, EXPIRED),
                               (0, 0xffffffff, EXPIRED), (2**64 - 1, 0xffffffff, BUSY)):
        identifier = os.urandom(16)
        guest.put(M_SEND, m_send(identifier, created, ttl=ttl))
        equal(receipts(guest, 1), [(M_NACK, identifier, want)])
    guest.put(M_SEND, m_send(os.urandom(16), now_ms(), b"plain", content=b""))
    equal(receipts(guest, 1)[0][0], M_ACK)
    equal([m["text"] for m in listed(node)], ["plain"], "without a type it is text")
    node.rpc.contactset("guest", {"messages": False})
    identifier = os.urandom(16)
    guest.put(M_SEND, m_send(identifier, now_ms()))
    equal(receipts(guest, 1), [(M_NACK, identifier, REFUSED)])
    equal(len(listed(node)), 1)
    guest.put(M_SEND, m_send(os.urandom(16), now_ms(), content=b"x" * 65))
    equal(guest.read(ERROR)[:2], b"\0\3")
    check(not node.rpc.peerlist() or node.rpc.peerlist()[0]["state"] != "up")


def strangers(t, n, *options):
    """What so many of one network are answered, one after the other; and the node."""
    node, key = talker(t, "-channelstrangers", "-channelacceptburst=1000", *options)
    equal(node.rpc.contactlist(), [])  # it knows its identity now
    answers = []
    for _ in range(n):
        guest = Guest(node, key).connect()
        guest.put(M_SEND, m_send(os.urandom(16), now_ms(), b"buy this"))
        answers += [(kind, code) for kind, _, code in receipts(guest, 1)]
        guest.close()
    return answers, node


@case()
def strangers_of_one_network_fill_four_places(t):
    answers, node = strangers(t, 20)
    equal(answers, [(M_ACK, 0)] * 4 + [(M_NACK, BUSY)] * 16)
    page = node.rpc.listmessages()
    equal((page["requests"], len(page["messages"])), (4, 4))
    node.rpc.readmessage(page["messages"][0]["number"], False)
    equal(node.rpc.listmessages()["requests"], 3)


@case()
def without_that_limit_they_fill_the_box(t):
    answers, node = strangers(t, 12, "-channelrequestsper48=1000", "-channelrequests=10")
    equal(answers, [(M_ACK, 0)] * 10 + [(M_NACK, BUSY)] * 2)
    equal(node.rpc.listmessages()["requests"], 10)


@case()
def no_stranger_is_heard_when_the_user_wants_none(t):
    answers, node = strangers(t, 2, "-channelstrangermessages=0")
    equal(answers, [(M_NACK, REFUSED)] * 2)
    equal(listed(node), [])


@case()
def a_stranger_whose_key_is_blocked_has_no_session(t):
    """H1: by key; by the block of an address in test_channel_hosts."""
    secret = os.urandom(32)
    key = Guest(None, "", secret).key
    other = Guest(None, "").key
    for blocked, refused in ((key, True), (other, False)):
        node, ours = talker(t, "-channelstrangers", "-channelblock=" + blocked)
        equal(node.rpc.contactlist(), [])
        guest = Guest(node, ours, secret)
        t.cleanups.append(guest.close)
        if refused:
            guest.knock()
            equal(guest.read(ERROR)[:2], b"\0\1")
            node.rpc.contactadd(key, "known")  # a contact is none of them
            guest.connect()
        else:
            guest.connect()
        t.wait(lambda n=node: [p["state"] for p in n.rpc.peerlist()] == ["up"])
        node.stop()


@case()
def one_stranger_is_slow_and_brief(t):
    node, key = talker(t, "-channelstrangers")
    equal(node.rpc.contactlist(), [])
    guest = Guest(node, key)
    t.cleanups.append(guest.close)
    guest.connect()
    ids = [os.urandom(16) for _ in range(3)]
    guest.put(M_SEND, m_send(ids[0], now_ms(), b"z" * 4097))
    guest.put(M_SEND, m_send(ids[1], now_ms()))
    equal(receipts(guest, 2), [(M_NACK, ids[0], TOO_LARGE), (M_NACK, ids[1], BUSY)])
    guest.close()
    guest.connect()  # another session is not another minute
    guest.put(M_SEND, m_send(ids[2], now_ms()))
    equal(receipts(guest, 1), [(M_NACK, ids[2], BUSY)])


if __name__ == "__main__":
    main()

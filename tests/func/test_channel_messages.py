"""Messages of two daemons over direct channels: once, in order, whoever is away or dies when."""
import http.client
import os
import random
import threading
import time

from channels import connected_pair, is_up, pair, session, talker
from disks import crash_off_small_disk, fill, make_room, on_small_disk
from events import read_events
from framework import LONG, Rpc, Skip, case, check, equal, is_in, main, raises_rpc, within
from identities import FAULT


FULL = "No space left on device"  # of the write, and later of what finds out whether there is room


def messages(node, contact="", count=1000, start=1):
    """All from this number on, in pages of so many."""
    found = []
    while True:
        page = node.rpc.listmessages(contact, count, start)["messages"]
        found += page
        if len(page) < count:
            return found
        start = max(m["number"] for m in page) + 1


def received(node):
    return [m["text"] for m in messages(node) if m["direction"] == "in"]


def states(node):
    return [m["state"] for m in messages(node) if m["direction"] == "out"]


def message_events(node):
    return [e for e in read_events(node) if e["type"].startswith("message")]


def told(node, kind):
    """Numbers of the messages that the event log tells of."""
    return [e["message"] for e in message_events(node) if e["type"] == "message_" + kind]


@case()
def a_damaged_message_is_an_error_and_not_left_out(t):
    a, b = pair(t)
    b.stop()
    for _ in range(3):
        a.rpc.sendmessage("bob", {"hex": os.urandom(5000).hex()})
    a.restart()  # what was in the log of the store is in a table then
    a.stop()
    folder = os.path.join(a.net_directory, "channels")
    table = max((os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".ldb")),
                key=os.path.getsize)
    with open(table, "r+b") as f:
        f.seek(os.path.getsize(table) // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))
    a.start()
    raises_rpc(-20, a.rpc.listmessages, "damaged")


@case()
def a_message_and_its_receipts(t):
    a, b = connected_pair(t)
    sent = a.rpc.sendmessage("bob", "good morning")
    t.wait(lambda: states(a) == ["delivered"])
    got = messages(b, "alice")
    equal(len(got), 1)
    equal((got[0]["id"], got[0]["text"], got[0]["type"], got[0]["state"], got[0]["direction"]),
          (sent["id"], "good morning", "text/plain;utf-8", "unread", "in"))
    equal((got[0]["contact"], got[0]["seq"]), ("alice", 1))
    b.rpc.readmessage(got[0]["number"])
    equal(messages(b)[0]["state"], "read")
    t.wait(lambda: states(a) == ["read"])
    check(messages(a)[0]["read"] >= messages(a)[0]["created"])
    answer = b.rpc.sendmessage("alice", {"type": "application/x-test", "hex": "00ff"},
                               {"reply_to": sent["id"], "ttl": 60})
    t.wait(lambda: len(received_raw(a)) == 1)
    raw = received_raw(a)[0]
    equal((raw["hex"], raw["type"], raw["reply_to"], raw["id"], raw["ttl"]),
          ("00ff", "application/x-test", sent["id"], answer["id"], 60))
    b.rpc.readmessage(got[0]["number"])  # once more: nothing happens
    t.wait(lambda: told(b, "delivered"), what="an event without a block")
    t.wait(lambda: told(a, "delivered"))
    equal(told(a, "delivered"), [sent["number"]])
    equal(told(b, "received"), [got[0]["number"]])
    event = message_events(b)[0]
    equal((event["type"], event["id"], event["key"]),
          ("message_received", sent["id"], got[0]["key"]))
    equal([e["number"] for e in read_events(b)], list(range(1, 1 + len(read_events(b)))))


def received_raw(node):
    return [m for m in messages(node) if m["direction"] == "in"]


@case()
def what_a_caller_may_not_do(t):
    a, b = pair(t)
    raises_rpc(-5, lambda: a.rpc.sendmessage("nobody", "x"), 'no contact "nobody"')
    raises_rpc(-8, lambda: a.rpc.sendmessage("bob", "x" * 60001), "60000")
    raises_rpc(-8, lambda: a.rpc.sendmessage("bob", {"text": "x", "hex": "00"}), "either")
    raises_rpc(-8, lambda: a.rpc.sendmessage("bob", {"hex": "0"}))
    raises_rpc(-8, lambda: a.rpc.sendmessage("bob", "x", {"ttl": 31 * 86400}), "ttl")
    raises_rpc(-8, lambda: a.rpc.sendmessage("bob", "x", {"thread": "00"}), "thread")
    raises_rpc(-3, lambda: a.rpc.sendmessage("bob", 7))
    raises_rpc(-5, lambda: a.rpc.listmessages("nobody"), 'no contact "nobody"')
    raises_rpc(-8, lambda: a.rpc.listmessages("", 0), "count")
    raises_rpc(-5, lambda: a.rpc.readmessage(999))
    number = a.rpc.sendmessage("bob", "x")["number"]
    raises_rpc(-5, lambda: a.rpc.readmessage(number), "ours")
    t.wait(lambda: states(a) == ["delivered"], what="delivery")
    equal(a.rpc.listmessages("bob")["outbox"], 0)


@case()
def pages_of_messages(t):
    a, b = pair(t)
    b.stop()
    for i in range(12):
        a.rpc.sendmessage("bob", f"m{i}")
    page = a.rpc.listmessages()
    equal([m["text"] for m in page["messages"]], [f"m{i}" for i in range(2, 12)])
    equal(page["outbox"], 12)
    equal([m["text"] for m in a.rpc.listmessages("bob", 2)["messages"]], ["m10", "m11"])
    start = page["messages"][0]["number"]
    equal([m["text"] for m in a.rpc.listmessages("bob", 3, start + 1)["messages"]],
          ["m3", "m4", "m5"])
    equal([m["text"] for m in messages(a, "bob", 5)], [f"m{i}" for i in range(12)])
    equal([m["state"] for m in page["messages"]], ["queued"] * 10)


@case()
def a_peer_that_is_away_gets_them_once_and_in_order(t):
    a, b = connected_pair(t)
    a.rpc.sendmessage("bob", "before")
    t.wait(lambda: states(a) == ["delivered"])
    b.stop()
    want = ["before"] + [f"while away {i}" for i in range(30)]
    for text in want[1:]:
        a.rpc.sendmessage("bob", text)
    a.restart()
    equal(states(a).count("queued"), 30)
    b.start()
    b.rpc.peerconnect("alice")
    t.wait(lambda: states(a) == ["delivered"] * 31)
    equal(received(b), want)
    equal([m["seq"] for m in received_raw(b)], list(range(1, 32)))
    check(not any(m.get("missing") or m.get("late") or m.get("history_reset")
                  for m in received_raw(b)))
    t.wait(lambda: len(told(b, "received")) == 31)
    equal(a.rpc.listmessages()["outbox"], 0)


@case()
def sending_connects_by_itself(t):
    a, b = pair(t)
    check(not session(a, "bob"))
    a.rpc.sendmessage("bob", "here I am")
    t.wait(lambda: received(b) == ["here I am"])
    check(is_up(a, "bob"))


class Conversation:
    """Both say things; either may be killed at any moment."""

    def __init__(self, t, a, b):
        self.t, self.nodes, self.random = t, {"alice": a, "bob": b}, random.Random(7)
        self.sent = {"alice": [], "bob": []}
        self.broken = []  # texts of which nobody was told whether they are sent

    def say(self, who):
        other = "bob" if who == "alice" else "alice"
        text = f"{who} {len(self.sent[who])}"
        answer = self.nodes[who].rpc.sendmessage(other, text)
        self.sent[who].append((text, answer["id"]))

    def say_until_killed(self, who, rpc):
        other = "bob" if who == "alice" else "alice"
        while True:
            text = f"{who} {len(self.sent[who])} {len(self.broken)}"
            try:
                answer = rpc.sendmessage(other, text)
            except (OSError, http.client.HTTPException, ValueError):
                self.broken.append(text)
                return
            self.sent[who].append((text, answer["id"]))

    def kill(self, who):
        node = self.nodes[who]
        other = self.nodes["bob" if who == "alice" else "alice"]
        cookie, before = node.cookie(), len(self.broken)
        rpc = Rpc(node.rpc_port, lambda: cookie)
        talking = threading.Thread(target=self.say_until_killed, args=(who, rpc))
        talking.start()
        time.sleep(self.random.random() * 0.05)
        node.kill()
        talking.join()
        rpc.close()
        equal(len(self.broken), before + 1, "sends that the kill broke off")
        node.start()
        for _ in range(self.random.randrange(3)):
            self.say("bob" if who == "alice" else "alice")
        node.rpc.contactlist()  # it knows its identity now, and listens
        other.rpc.peerconnect("bob" if who == "bob" else "alice")

    def check(self):
        a, b = self.nodes["alice"], self.nodes["bob"]
        self.t.wait(lambda: not a.rpc.listmessages()["outbox"] + b.rpc.listmessages()["outbox"],
                    timeout=100)
        for who, other in (("alice", b), ("bob", a)):
            got = received_raw(other)
            sure = [(m["text"], m["id"]) for m in got if m["text"] not in self.broken]
            equal(len(sure), len(self.sent[who]))
            check(sure == self.sent[who], "each of them in its order")
            equal(len({m["text"] for m in got}), len(got))
            equal([m["seq"] for m in got], list(range(1, 1 + len(got))))
            self.t.wait(lambda: told(other, "received") == [m["number"] for m in got],
                        what="events")
            own = [m["number"] for m in messages(other) if m["direction"] == "out"]
            self.t.wait(lambda: sorted(told(other, "delivered")) == own, what="events")


@case(timeout=600 if LONG else 60)
def nothing_is_lost_or_doubled_through_kills(t):
    a, b = connected_pair(t)
    talk = Conversation(t, a, b)
    for i in range(100 if LONG else 2):
        for _ in range(talk.random.randrange(1, 6)):
            talk.say(talk.random.choice(("alice", "bob")))
        talk.kill(("alice", "bob")[i % 2])
    talk.check()


@case()
def a_contact_that_is_removed_gets_nothing_more(t):
    a, b = pair(t)
    b.stop()
    a.rpc.sendmessage("bob", "never")
    a.rpc.contactremove("bob")
    t.wait(lambda: states(a) == ["cancelled"])
    equal(a.rpc.listmessages()["outbox"], 0)
    t.wait(lambda: [e.get("reason") for e in message_events(a)] == ["cancelled"])


@case()
def what_is_too_old_expires(t):
    a, b = pair(t)
    b.stop()
    a.rpc.sendmessage("bob", "short", {"ttl": 1})
    t.wait(lambda: states(a) == ["expired"], timeout=within(10))


def calls_of_a_run(t, node):
    """How many calls it makes on files of its channels from its start to its end."""
    node.stop()
    file = t.path("counts")
    node.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": "/channels/",
                    "BSVPEER_FAULT_COUNT": file})
    node.stop()
    with open(file, encoding="ascii") as counts:
        return next(int(line.split()[1]) for line in counts if line.startswith("any "))


@case()
def a_full_disk_acknowledges_nothing_and_loses_nothing(t):
    if not os.path.exists(FAULT):
        raise Skip("no " + FAULT)
    a, b = pair(t)
    count = calls_of_a_run(t, b)  # so many go well: it starts, and takes a few messages
    b.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": "/channels/",
                 "BSVPEER_FAULT": f"any:{count + 1}:ENOSPC"})
    b.rpc.peerconnect("alice")
    want = []
    while "warning" not in b.rpc.listmessages():
        want.append(f"m{len(want)}")
        check(len(want) < 50, "no end of the disk")
        a.rpc.sendmessage("bob", want[-1])
        t.wait(lambda: set(states(a)) == {"delivered"} or "warning" in b.rpc.listmessages())
    is_in(FULL, b.rpc.listmessages()["warning"])
    lost = want[len(received(b)):]
    check(lost, "what came last was not stored")
    equal([s == "delivered" for s in states(a)], [text not in lost for text in want])
    raises_rpc(-1, lambda: b.rpc.sendmessage("alice", "I cannot"), FULL)
    b.restart()
    got = received(b)  # what was not synced may be there all the same
    equal((got, len(got) >= len(want) - len(lost)), (want[:len(got)], True))
    b.rpc.peerconnect("alice")
    t.wait(lambda: set(states(a)) == {"delivered"})
    equal(received(b), want)
    check("warning" not in b.rpc.listmessages())


@case()
def when_there_is_room_again_it_goes_on(t):
    a, b = pair(t)
    folder = on_small_disk(b, "channels")
    b.rpc.peerconnect("alice")
    fill(folder)
    want = []
    while "warning" not in b.rpc.listmessages():
        want.append(f"m{len(want)}")
        check(len(want) < 80, "no end of the disk")  # what is left of a page
        a.rpc.sendmessage("bob", want[-1])
        t.wait(lambda: set(states(a)) == {"delivered"} or "warning" in b.rpc.listmessages())
    is_in(FULL, b.rpc.listmessages()["warning"])
    check(len(received(b)) < len(want), "what came last was not stored")
    make_room(folder)
    t.wait(lambda: set(states(a)) == {"delivered"})
    equal(received(b), want)
    check("warning" not in b.rpc.listmessages())
    b.rpc.sendmessage("alice", "I can again")
    t.wait(lambda: received(a) == ["I can again"])
    t.wait(lambda: told(b, "received") == [m["number"] for m in received_raw(b)], what="events")
    # a crash now: nothing that was acknowledged since lies behind the torn end of a log
    crash_off_small_disk(b, folder)
    equal(received(b), want)
    equal(states(b), ["delivered"])


@case()
def strangers_wait_in_a_box(t):
    a, a_key = talker(t)
    b, b_key = talker(t, "-channelstrangers", "-channelrequestrate=3600")
    a.rpc.contactadd(f"{b_key}@{b.channel}", "bob")
    equal(b.rpc.contactlist(), [])  # it knows its identity now, and listens
    for i in range(2):
        a.rpc.sendmessage("bob", f"may I {i}")
    t.wait(lambda: received(b) == ["may I 0", "may I 1"])
    page = b.rpc.listmessages()
    equal(page["requests"], 2)
    equal([(m["stranger"], m["key"], m.get("contact")) for m in page["messages"]],
          [(True, a_key, None)] * 2)
    b.restart()
    equal(b.rpc.listmessages()["requests"], 2)
    b.rpc.readmessage(page["messages"][0]["number"], False)
    equal(b.rpc.listmessages()["requests"], 1)
    equal(states(a), ["delivered"] * 2)
    b.rpc.contactadd(a_key, "alice")
    equal([m["contact"] for m in messages(b, "alice")], ["alice"] * 2)
    is_in("stranger", messages(b, "alice")[0])


if __name__ == "__main__":
    main()

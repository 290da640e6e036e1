"""The side of an identity that is followed by another one: whom the old one still serves, which
records are made, and what goes on with contacts that have moved."""
import socket
import time

from channels import connected_pair, is_up, session
from framework import case, check, equal, main, raises_rpc, within
from identities import PREFIX, grow, identity
from paychannels import channel, mine, open_channel, payers
from services import streams

DAYS = 86400
NOBODY = "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa"


def with_next(t):
    """A session of a with b under "me", and a second identity of a; their keys."""
    a, b = connected_pair(t)
    a.rpc.bcaregister("next", 2)
    grow(a)
    return a, b, [identity(a, name)["public_key"] for name in ("me", "next")]


def chosen(node, contact):
    return next(c["identity"] for c in node.rpc.contactlist() if c["alias"] == contact)


def takes(t, a, b, key):
    """b takes the key of a that follows, and a finds out."""
    t.wait(lambda: any(h["key"] == key for h in b.rpc.contactlist()[0]["successors"]),
           what="the statement")
    b.rpc.contactset("alice", {"successor": key})
    t.wait(lambda: (session(a, "bob") or {}).get("identity") != "me",
           what="end of the session under the old key")  # there may be another one by now
    equal(a.rpc.peerconnect("bob")["identity"], "next", "b refuses the old one")


@case()
def who_is_removed_has_no_stream_under_a_former_key_either(t):
    a, b, (_, following) = with_next(t)
    b.rpc.exposeservice("echo", "echo:", ["alice"])
    port = a.rpc.forwardservice("bob", "echo")["local_port"]
    s = socket.create_connection(("::1", port), timeout=within(20))
    t.cleanups.append(s.close)
    s.sendall(b"x")
    equal(s.recv(1), b"x")
    a.rpc.setsuccessor("me", "next")
    t.wait(lambda: any(h["key"] == following for h in b.rpc.contactlist()[0]["successors"]))
    b.rpc.contactset("alice", {"successor": following})
    s.sendall(b"y")  # what runs goes on in the old session
    equal(s.recv(1), b"y")
    b.rpc.contactremove("alice")
    t.wait(lambda: streams(b) == [], what="end of the stream")


@case()
def who_has_moved_is_served_by_the_successor_from_then_on(t):
    a, b, (_, following) = with_next(t)
    made = a.rpc.setsuccessor("me", "next")
    equal(made["ends"], made["issued"] + 180 * DAYS)
    equal(chosen(a, "bob"), "me", "the default of before")
    equal(session(a, "bob")["identity"], "me", "it has not moved")
    a.rpc.sendmessage("bob", "under the old key")
    t.wait(lambda: [m["text"] for m in b.rpc.listmessages()["messages"]] == ["under the old key"])
    takes(t, a, b, following)
    equal(chosen(a, "bob"), "next")
    a.rpc.sendmessage("bob", "under the new key")
    b.rpc.sendmessage("alice", "heard")
    t.wait(lambda: [m["text"] for m in a.rpc.listmessages()["messages"]] ==
           ["under the old key", "under the new key", "heard"])
    t.wait(lambda: {m["state"] for m in a.rpc.listmessages()["messages"] if m["direction"] == "out"}
           == {"delivered"}, what="receipts")
    a.kill()
    a.start()
    equal(chosen(a, "bob"), "next")
    equal(a.rpc.peerconnect("bob")["identity"], "next")


@case()
def the_old_identity_takes_nothing_new(t):
    a, b, (old, _) = with_next(t)
    a.rpc.bcanew("me", PREFIX)
    a.rpc.setpublication("me", "public")
    a.rpc.setsuccessor("me", "next")
    t.wait(lambda: a.rpc.getrecord(old)["tombstone"], what="the last record")
    equal(a.rpc.listrecords()["own"][0]["publication"], "private")
    raises_rpc(-4, lambda: a.rpc.setpublication("me", "public"), "has a successor")
    a.rpc.contactadd(NOBODY, "carol")
    raises_rpc(-8, lambda: a.rpc.contactset("carol", {"identity": "me"}), "has a successor")
    equal(a.rpc.contactset("bob", {"identity": "me"})["identity"], "me", "as it is")
    a.rpc.contactset("carol", {"addresses": [b.channel]})
    raises_rpc(-9, lambda: a.rpc.peerconnect("carol", 1))
    tried = next(p for p in a.rpc.peerlist(True) if p.get("contact") == "carol")
    equal(tried["identity"], "next", "the default from now on")


@case()
def nobody_is_served_when_180_days_are_over(t):
    a, b, _ = with_next(t)
    made = a.rpc.setsuccessor("me", "next")
    a.rpc.setmocktime(made["ends"] - 1)
    time.sleep(2)  # sessions are looked at each second
    check(is_up(b, "alice"), "a moment before")
    a.rpc.setmocktime(made["ends"])
    t.wait(lambda: not is_up(b, "alice"), what="end of the session")
    raises_rpc(-9, lambda: b.rpc.peerconnect("alice"), "error received 1")
    a.restart(f"-mocktime={made['ends']}")
    raises_rpc(-9, lambda: b.rpc.peerconnect("alice"), "error received 1")


@case()
def a_payment_channel_goes_on_under_the_new_key(t):
    a, b = payers(t)
    id = open_channel(t, a, b)
    a.rpc.bcaregister("next", 2)
    mine(a, 2)
    t.wait_same_tip(a, b)
    a.rpc.setsuccessor("me", "next")
    raises_rpc(-8, lambda: a.rpc.openchannel(contact="bob", satoshis=50000), "has a successor")
    raises_rpc(-1, lambda: b.rpc.openchannel(contact="alice", satoshis=50000), "has a successor")
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True, "a channel that was there")
    takes(t, a, b, identity(a, "next")["public_key"])
    t.wait(lambda: is_up(b, "alice"))
    equal(a.rpc.pay("bob", 2000)["acknowledged"], True)
    equal((channel(b, id)["paid"], channel(b, id)["n"]), (3000, 2))


if __name__ == "__main__":
    main()

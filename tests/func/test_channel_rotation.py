"""Addresses of identities are replaced while their sessions are in use: a chat, files and byte
streams between two hosts go on as if nothing had happened."""
import socket
import struct
import threading
import time

from background import (Background, Chat, Datagrams, Lines, Pages, arrived, begun, files, letters,
                        of_this_thread, payments, send_file, stream_of)
from channel_guest import BOUND, HELLO, Guest
from channel_hosts import PREFIX, neighbours, part
from channels import is_up, session, talker
from events import read_events
from framework import ADDRESS, LONG, case, equal, main
from identities import grow, identity
from netns import host_node
from paychannels import GENESIS, open_channel

S_OPEN, S_ACCEPT, S_DATA, GOAWAY = 64, 66, 68, 20
RENEW, STREAMS = 2, b"\x02"

# Two addresses of each side in a round: an identity has 32.
ROTATIONS = 15 if LONG else 3
# Seconds. A round takes up to three handshakes from a side's /64, which may begin one in 6 s once
# the first ten are used up; who rotates faster stays where it is for a while, as it should.
ROUND = 20 if LONG else 0
SIZE = (24 if LONG else 8) << 20
# The case with all kinds of work: rounds, their seconds, a large file, datagrams that may be lost.
MINUTES, MINUTE = (7, 60) if LONG else (1, 0)
LARGE = (64 if LONG else 8) << 20
LOST = 25 * MINUTES if LONG else 100


def rotate(t, mover, address, watcher, contact):
    moved = mover.rpc.bcarotate("me", address)["address"]
    t.wait(lambda: moved in session(watcher, contact)["address"], timeout=10,
           what="session at the new address")
    equal(session(watcher, contact)["bound"], True)
    return moved


def rotate_at_once(t, a, at_a, b, at_b):
    """Both sides, and each other's new session may come while the own one is made."""
    twin, moved = of_this_thread(a), {}
    thread = threading.Thread(
        target=lambda: moved.update(a=twin.rpc.bcarotate("me", at_a)["address"]))
    thread.start()
    moved["b"] = b.rpc.bcarotate("me", at_b)["address"]
    thread.join()
    t.wait(lambda: moved["a"] in session(b, "alice")["address"] and
           moved["b"] in session(a, "bob")["address"], timeout=10, what="both new addresses")
    return moved["a"], moved["b"]


def slow_link(host, mbit=100):
    """What the host sends takes its time, so that it is under way when something happens."""
    host.run("sh", "-c", f"tc qdisc add dev eth0 root tbf rate {mbit}mbit burst 64kb latency 50ms "
             "|| true")


def acquaint(t, a, b, at_a, at_b):
    """Each knows no more than the other's address; a session."""
    a.rpc.contactadd(at_b, "bob")
    b.rpc.contactadd(at_a, "alice")
    for node in (a, b):
        t.wait(lambda n=node: "key" in n.rpc.contactlist()[0], what="the key of the other")
    a.rpc.peerconnect("bob", 30)


def kept_a_session(t, *pair):
    """The event log tells of none between them that ended."""
    for node, other in (pair, pair[::-1]):
        key = identity(other, "me")["public_key"]
        with node.netns.inside():
            changes = t.wait(lambda: [  # pylint: disable-next=cell-var-from-loop
                e["type"] for e in read_events(node)  # pylint: disable-next=cell-var-from-loop
                if e["type"].startswith("session") and e["key"] == key])
        equal(changes, ["session_up"], "always with a session")


@case(timeout=900 if LONG else 90)
def what_runs_goes_on_while_both_sides_move(t):
    a, b, at_a, at_b = neighbours(t, 32 if LONG else 8)
    acquaint(t, a, b, at_a, at_b)
    b.rpc.exposeservice("echo", "echo:", ["alice"])
    port = a.rpc.forwardservice("bob", "echo")["local_port"]
    slow_link(a.netns)
    chat = Chat(a, b)
    running = [Background(chat), stream_of(t, a, port)]
    running[0].start()
    for i in range(ROTATIONS):
        begun = time.monotonic()
        finish = send_file(t, [a], b, f"file{i}", SIZE)
        at_a = rotate(t, a, at_a, b, "alice")
        at_b = rotate(t, b, at_b, a, "bob")
        at_a, at_b = rotate_at_once(t, a, at_a, b, at_b)
        running.append(stream_of(t, a, port))
        finish()
        time.sleep(max(0, ROUND - (time.monotonic() - begun)))
    for thread in running:
        thread.stop()
    chat.check(t, running[0].rounds)
    kept_a_session(t, a, b)


def carol(t, a, b, at_b):
    """A third one, a contact of b, on the host of a; meanwhile a opens a payment channel to b."""
    c = host_node(t, a.netns, GENESIS, "-channelport=19956")
    for node in (b, c):
        node.rpc.addnode(f"[{PREFIX}1]:{a.port}", "onetry")
    t.wait_same_tip(a, c)
    a.rpc.generatetoaddress(1, c.rpc.getnewaddress())
    a.rpc.generatetoaddress(100, ADDRESS)
    t.wait_same_tip(a, b, c)
    c.rpc.bcaregister("me", 2)
    grow(c)
    t.wait_same_tip(a, b, c)
    open_channel(t, a, b, depth=6)
    t.wait_same_tip(a, b, c)
    part(t, a, b, c)
    keys = [identity(x, "me")["public_key"] for x in (b, c)]
    c.rpc.contactadd(f"{keys[0]}@[{at_b}]:19955", "bob")
    b.rpc.contactadd(f"{keys[1]}@[{PREFIX}1]:19956", "carol")
    c.rpc.peerconnect("bob", 30)
    return c


def all_at_once(t, a, b):
    """Everything that two can do, under way: {name: thread}, and what looks at the end of some."""
    b.rpc.exposeservice("echo", "echo:", ["alice"])
    port = a.rpc.forwardservice("bob", "echo")["local_port"]
    ends = {"chat": Chat(a, b), "pipe": Lines(t, a, b), "pages": Pages(t, a, b, price=100),
            "datagrams": Datagrams(t, a, b)}
    running = {name: begun(t, work, name) for name, work in {
        **ends, "letters": letters(b, "carol"), "payments": payments(a)}.items()}
    running["stream"] = stream_of(t, a, port)
    running["files"] = Background(files(t, a, b, LARGE))
    running["files"].start()
    return running, ends


def round_of_minutes(t, i, a, b, c, at_a, at_b):
    """Each moves once, half a round apart; one of two sources of a file is away for a while."""
    since = time.monotonic()

    def until(part_of_round):
        time.sleep(max(0, since + part_of_round * MINUTE - time.monotonic()))
    finish = send_file(t, [a, c], b, f"shared{i}", SIZE)
    at_a = rotate(t, a, at_a, b, "alice")
    c.stop()
    until(0.5)
    at_b = rotate(t, b, at_b, a, "bob")
    c.start()
    finish()
    until(1)
    return at_a, at_b


@case(timeout=1200 if LONG else 120)
def each_address_changes_every_minute_and_nothing_is_lost(t):
    a, b, at_a, at_b = neighbours(t, 32 if LONG else 8, options=[GENESIS])
    acquaint(t, a, b, at_a, at_b)
    c = carol(t, a, b, at_b)
    slow_link(a.netns, 40 if LONG else 100)
    running, ends = all_at_once(t, a, b)
    for i in range(MINUTES):
        at_a, at_b = round_of_minutes(t, i, a, b, c, at_a, at_b)
    counts = {name: thread.stop() for name, thread in running.items()}
    ends["chat"].check(t, counts["chat"])
    arrived(t, b, "carol", c, [f"letter {n}" for n in range(counts["letters"])])
    ends["pipe"].check()
    paid = ends["pages"].check(t)
    lost = ends["datagrams"].check(t, counts["datagrams"], most=LOST)
    for node in (a, b):
        equal(node.rpc.listpaychannels()[0]["paid"], paid + counts["payments"], "satoshis")
    kept_a_session(t, a, b)
    print(f"{counts}, {paid} satoshis for pages, {lost} datagrams lost")


@case()
def a_connection_that_crosses_the_end_of_a_session_is_served_in_the_next(t):
    node, key = talker(t, "-channelstrangers")
    first = Guest(node, key, features=STREAMS)
    node.rpc.contactadd(first.key, "guest")
    first.connect()
    port = node.rpc.forwardservice("guest", "any")["local_port"]
    with socket.create_connection(("::1", port), timeout=30) as s:
        s.sendall(b"hello")
        first.read(S_OPEN)
        second = Guest(node, key, first.secret, features=STREAMS).knock()
        first.put(GOAWAY, struct.pack(">HI", RENEW, 0))  # it had not come when this was said
        second.read(HELLO)
        second.read(BOUND)
        second.put(BOUND, second.bound())
        sid = second.read(S_OPEN)[:4]
        second.put(S_ACCEPT, sid + struct.pack(">I", 1 << 18))
        equal(second.read(S_DATA), sid + b"hello")
    for guest in (first, second):
        guest.close()


@case()
def a_contact_dials_the_address_of_a_record_that_only_contacts_have(t):
    a, b, at_a, at_b = neighbours(t, publication="contacts")
    keys = [x.rpc.bcalist()["identities"][0]["public_key"] for x in (a, b)]
    a.rpc.contactadd(f"{keys[1]}@[{at_b}]:19955", "bob")
    b.rpc.contactadd(f"{keys[0]}@[{at_a}]:19955", "alice")
    a.rpc.peerconnect("bob", 30)

    def announced():
        return b.rpc.getrecord(keys[0])["endpoints"][0]["address"]
    t.wait(lambda: b.rpc.listrecords()["total"] == 2, what="the record, beside its own")
    equal((announced(), b.rpc.getrecord(keys[0])["public"]), (at_a, False))
    moved = rotate(t, a, at_a, b, "alice")
    a.rpc.setmocktime(int(time.time()) + 700)  # no pause between two records is left
    t.wait(lambda: announced() == moved, what="a record of the new address")
    b.rpc.peerdisconnect("alice")
    t.wait(lambda: not is_up(a, "bob") and not is_up(b, "alice"), what="end of the session")
    t.wait(lambda: at_a not in a.netns.addresses("eth0"), what="end of the address not in use")
    found = b.rpc.peerconnect("alice", 30)
    equal((found["address"], found["bound"]), (f"[{moved}]:19955", True))


if __name__ == "__main__":
    main()

"""Limits of direct channels, each option at the socket of a daemon: who may begin a handshake, who
may keep a session, what streams may take; and who dials."""
import os
import select
import socket
import struct
import threading
import time

from channel_guest import PING, PONG, Guest, channel_of
from channels import is_up, pair, session, talker
from framework import case, check, equal, main, raises_rpc
from identities import PREFIX, grow, identity, wallet_node

GOAWAY, BUSY, RENEW = 20, 3, 2
PATIENT = "-channelacttime=3600"  # nobody is cut for its silence however slow the machine is
ROOM = [PATIENT, "-channelhandshakesper64=100", "-channelhandshakesper48=100",
        "-channelacceptburst=1000"]


def host(t, *options):
    node, key = talker(t, *options)
    listens(t, node)
    return node, key


def listens(t, node):
    """Its first identity is there: not found out by a connection, which would count."""
    t.wait(lambda: f"direct channels on {node.channel}" in node.log())


def restart(t, node, *options):
    with open(node.log_path, "w", encoding="ascii"):
        pass
    node.restart(*options)
    listens(t, node)


class Knocks:
    """Connections on which nobody says anything."""

    def __init__(self, node):
        self.node, self.sockets = node, []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for each in self.sockets:
            each.close()

    def more(self, n):
        for _ in range(n):
            self.sockets.append(socket.create_connection(channel_of(self.node), timeout=30))

    def is_cut(self, i):
        """Waits until the daemon closes connection i."""
        try:
            return self.sockets[i].recv(1) == b""
        except ConnectionResetError:
            return True

    def open(self):
        """How many it has not closed by now."""
        return len(self.sockets) - len(select.select(self.sockets, [], [], 0.1)[0])


def keeps(node, places, of):
    """Of so many silent connections the first stay and the others are closed."""
    with Knocks(node) as knocks:
        knocks.more(of)
        check(all(knocks.is_cut(i) for i in range(places, of)))
        equal(knocks.open(), places)


@case()
def silent_connections_have_few_places(t):
    node, _ = host(t, PATIENT)
    keeps(node, 4, of=5)
    for options, places in (([PATIENT, "-channelhandshakesper64=2"], 2),
                            (ROOM + ["-channelhandshakesper48=3"], 3),
                            (ROOM + ["-channelhandshakes=5", "-channelhandshakesreserved=2"], 3),
                            (ROOM + ["-channelacceptburst=2", "-channelacceptrefill=86400"], 2),
                            (ROOM, 6)):
        restart(t, node, *options)
        keeps(node, places, of=6)


@case()
def places_are_kept_for_networks_of_contacts_for_so_many_days(t):
    node, key = host(t, *ROOM, "-channelhandshakes=5", "-channelhandshakesreserved=2",
                     "-channelknowndays=2")
    friend = Guest(node, key)
    node.rpc.contactadd(friend.key, "friend")
    keeps(node, 3, of=6)
    answer(node, key, friend.secret).close()
    t.wait(lambda: not node.rpc.peerlist())
    now = int(time.time())
    node.rpc.setmocktime(now + 2 * 86400 - 60)
    keeps(node, 5, of=6)
    node.rpc.setmocktime(now + 2 * 86400 + 60)
    keeps(node, 3, of=6)


@case()
def handshakes_in_a_second_are_limited(t):
    node, _ = host(t, *ROOM, "-channelactrate=1")
    with Knocks(node) as knocks:
        knocks.more(20)
        check(knocks.is_cut(19))
        check(not select.select(knocks.sockets[:1], [], [], 0)[0], "the first one waits")


def answer(node, key, secret=None):
    """Type and payload of what comes after its hello; a session that is up stays open."""
    guest = Guest(node, key, secret).knock()
    kind, payload = guest.next()
    if kind == GOAWAY:
        equal(struct.unpack(">HI", payload), (BUSY, 0))
        guest.close()
        return None
    guest.read(26)
    guest.put(26, guest.bound())
    return guest


@case()
def strangers_have_few_sessions(t):
    node, key = host(t, "-channelstrangers", "-channelstrangersper48=1")
    friend = Guest(node, key)
    node.rpc.contactadd(friend.key, "friend")
    first = answer(node, key)
    check(first)
    equal(answer(node, key), None, "the second of a /48")
    check(answer(node, key, friend.secret))
    first.close()
    restart(t, node, "-channelstrangers", *ROOM, "-channelsessions=3",
            "-channelsessionsreserved=1", "-channelstrangersper48=100")
    others = [answer(node, key) for _ in range(3)]
    equal([each is not None for each in others], [True, True, False], "two of three")
    check(answer(node, key, friend.secret))
    equal(answer(node, key), None, "no place is left")


S_OPEN, S_ACCEPT, S_DATA, S_RESET, LIMIT = 64, 66, 68, 74, 4


def s_open(sid, service=b"back"):
    return struct.pack(">IB", sid, len(service)) + service + struct.pack(">BI", 3, 1 << 18)


def windows(node, key, secret, n):
    """Opens so many streams of a service; the windows that were granted, 0: reset for a limit."""
    guest = Guest(node, key, secret, features=b"\x02").connect()
    granted = []
    for sid in range(1, 2 * n, 2):
        guest.put(S_OPEN, s_open(sid))
        kind, payload = guest.next()
        if kind == S_ACCEPT:
            granted.append(struct.unpack(">II", payload)[1])
        else:
            equal((kind, payload), (S_RESET, struct.pack(">IH", sid, LIMIT)))
            granted.append(0)
    guest.close()
    return granted


@case()
def windows_of_all_streams_have_a_limit(t):
    quarter = 1 << 18
    node, key = host(t, "-channelservice=back,echo:,*", "-channelwindows=1MiB",
                     "-channelwindowsstrangers=1MiB")
    friend = Guest(node, key)
    node.rpc.contactadd(friend.key, "friend")
    equal(windows(node, key, friend.secret, 5), [quarter] * 4 + [0])
    t.wait(lambda: not node.rpc.peerlist())
    equal(windows(node, key, friend.secret, 5), [quarter] * 4 + [0], "they came back")
    restart(t, node, "-channelwindows=256MiB")
    equal(windows(node, key, friend.secret, 6), [quarter] * 6)


def renewals(node, key, secret, n, service):
    """Sessions with a stream each, one after the other has said that it goes."""
    guests = []
    for _ in range(n):
        guest = Guest(node, key, secret, features=b"\x02").connect()
        guest.put(S_OPEN, s_open(1, service))
        guest.read(S_ACCEPT)
        guest.put(GOAWAY, struct.pack(">HI", RENEW, 0))
        guests.append(guest)
    return guests


def echoes(guest):
    guest.put(S_DATA, struct.pack(">I", 1) + b"hello")
    while (said := guest.next())[0] != S_DATA:
        pass
    return said[1][4:] == b"hello"


def answers(guest):
    guest.put(PING, struct.pack(">HH", 1, 0))
    while guest.next()[0] != PONG:
        pass
    return True


def is_over(guest):
    try:
        while True:
            guest.next()
    except TimeoutError:
        return False
    except (EOFError, OSError):
        return True


@case()
def old_sessions_of_one_peer_have_a_limit(t):
    """E12: sessions that were renewed go on while their streams do, the newest of them."""
    node, key = host(t, "-channelservice=back,echo:,*", *ROOM, "-channelsessionsold=2")
    friend = Guest(node, key)
    node.rpc.contactadd(friend.key, "friend")
    two_old_ones_stay(node, key, friend.secret)
    restart(t, node, "-channelsessionsold=32", "-channelwindow=256KiB")  # windows of two
    two_old_ones_stay(node, key, friend.secret)
    restart(t, node, "-channelsessionsold=32", "-channelstrangers", "-channelwindowstranger=256KiB")
    two_old_ones_stay(node, key, os.urandom(32), b"file", answers)


def two_old_ones_stay(node, key, secret, service=b"back", goes_on=echoes):
    guests = renewals(node, key, secret, 4, service)
    check(is_over(guests[0]), "the oldest is cut")
    check(all(goes_on(guest) for guest in guests[1:]), "the others go on")
    for guest in guests:
        guest.close()


def reads(node, key, n):
    """Streams for reading files, which strangers may open: the windows that were granted."""
    guest = Guest(node, key, features=b"\x02").connect()
    granted = []
    for sid in range(1, 2 * n, 2):
        guest.put(S_OPEN, s_open(sid, b"file"))
        kind, payload = guest.next()
        granted.append(struct.unpack(">II", payload)[1] if kind == S_ACCEPT else payload[-1])
    return guest, granted


@case()
def windows_of_strangers_have_a_limit_of_their_own(t):
    node, key = host(t, "-channelstrangers", "-channelwindowsstrangers=2MiB")
    guests = []
    for expected in ([1 << 18] * 4, [1 << 18] * 4, [LIMIT] * 4):
        guest, granted = reads(node, key, 4)
        guests.append(guest)
        equal(granted, expected)
    node.rpc.contactadd(guests[2].key, "friend")
    guests[2].close()
    node.rpc.exposeservice("back", "echo:", ["friend"])
    equal(windows(node, key, guests[2].secret, 4), [1 << 18] * 4)
    for guest in guests:
        guest.close()


def on_one_chain(t, *options):
    """Two nodes, each with an identity that has an address on no interface; keys."""
    a = wallet_node(t)
    b = t.node("-connect=" + a.p2p, *options)
    t.wait_same_tip(a, b)
    b.rpc.generatetoaddress(1, b.rpc.getnewaddress())
    grow(b, 100)
    for node in (a, b):
        t.wait_same_tip(a, b)
        node.rpc.bcaregister("me", 4)
        grow(node)
        t.wait_same_tip(a, b)
        node.rpc.bcanew("me", PREFIX)
        listens(t, node)
    return a, b, [identity(node, "me")["public_key"] for node in (a, b)]


@case()
def strangers_may_have_to_come_from_the_address_they_prove(t):
    a, b, keys = on_one_chain(t, "-channelstrangers", "-channelstrangersunbound=0")
    a.rpc.contactadd(f"{keys[1]}@{b.channel}", "bob")
    raises_rpc(-9, lambda: a.rpc.peerconnect("bob"), "error received 1")
    b.rpc.contactadd(keys[0], "alice")
    equal(a.rpc.peerconnect("bob")["proof"], "unbound", "a contact may")
    b.rpc.contactremove("alice")
    t.wait(lambda: not a.rpc.peerlist())
    restart(t, b, "-channelstrangersunbound=1")
    equal(a.rpc.peerconnect("bob")["state"], "up")


@case()
def a_revoked_contact_has_the_time_of_grace(t):
    a, b, keys = on_one_chain(t, "-channelgrace=1")
    c = t.node("-connect=" + b.p2p, "-channelgrace=86400")
    t.wait_same_tip(b, c)
    c.rpc.generatetoaddress(1, c.rpc.getnewaddress())
    grow(c, 100)
    c.rpc.bcaregister("me", 2)
    grow(c)
    t.wait_same_tip(a, c)
    keys.append(identity(c, "me")["public_key"])
    for node, key, name in ((b, keys[1], "bob"), (c, keys[2], "carol")):
        a.rpc.contactadd(f"{key}@{node.channel}", name)
        node.rpc.contactadd(keys[0], "alice")
        a.rpc.peerconnect(name)
        t.wait(lambda n=node: is_up(n, "alice"))
    a.rpc.setnetworkactive(False)  # it would end its sessions itself
    txid = a.rpc.bcarevoke("me")["txid"]
    b.rpc.sendrawtransaction(a.rpc.getrawtransaction(txid))
    grow(b)
    t.wait_same_tip(b, c)
    t.wait(lambda: not session(b, "alice"), what="end of the session")
    check(is_up(c, "alice"), "its day is not over")


@case()
def contacts_are_dialled_where_that_is_wanted(t):
    a, b = pair(t, "-channeldial")
    t.wait(lambda: is_up(a, "bob") and is_up(b, "alice"), what="session that nobody asked for")
    b.restart()
    t.wait(lambda: is_up(a, "bob") and is_up(b, "alice"), what="session after the restart")
    a.rpc.peerdisconnect("bob")
    t.wait(lambda: not session(a, "bob"))


@case()
def both_may_connect_at_a_time(t):
    a, b = pair(t)
    calls = [threading.Thread(target=node.rpc.peerconnect, args=(contact,))
             for node, contact in ((a, "bob"), (b, "alice"))]
    for call in calls:
        call.start()
    for call in calls:
        call.join()

    def is_the_only_one():
        here, there = a.rpc.peerlist(), b.rpc.peerlist()
        return [p["state"] for p in here + there] == ["up", "up"] and \
            here[0]["inbound"] != there[0]["inbound"]
    t.wait(is_the_only_one, what="one session of the two")


@case()
def a_flood_of_first_acts_leaves_sessions_alone(t):
    node, key = host(t, "-channelstrangers")
    guest = Guest(node, key).connect()
    for _ in range(200):
        with socket.create_connection(channel_of(node), timeout=30) as junk:
            junk.sendall(bytes(50))
    guest.put(PING, struct.pack(">HH", 7, 0))
    equal(guest.read(PONG), struct.pack(">H", 7) + bytes(7))
    equal(len(node.rpc.peerlist()), 1)


@case(long_only=True)
def silence_is_cut_after_five_seconds(t):
    node, key = host(t, "-channelstrangers")
    with Knocks(node) as knocks:
        knocks.more(1)
        guest = Guest(node, key).connect()
        knocks.sockets[0].settimeout(30)
        equal(knocks.sockets[0].recv(1), b"")
        guest.put(PING, struct.pack(">HH", 1, 0))
        guest.read(PONG)


if __name__ == "__main__":
    main()

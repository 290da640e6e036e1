"""Limits of direct channels, each option at the socket of a daemon: who may begin a handshake, and
who may keep a session."""
import select
import socket
import struct

from channel_guest import PING, PONG, Guest, channel_of
from channels import talker
from framework import case, check, equal, main

GOAWAY, BUSY = 20, 3
ROOM = ["-channelhandshakesper64=100", "-channelhandshakesper48=100", "-channelacceptburst=1000"]


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
    node, _ = host(t)
    keeps(node, 4, of=5)
    for options, places in ((["-channelhandshakesper64=2"], 2),
                            (ROOM + ["-channelhandshakesper48=3"], 3),
                            (ROOM + ["-channelhandshakes=5", "-channelhandshakesreserved=2"], 3),
                            (ROOM + ["-channelacceptburst=2", "-channelacceptrefill=86400"], 2),
                            (ROOM, 6)):
        restart(t, node, *options)
        keeps(node, places, of=6)


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

"""Sessions and streams of direct channels against an independent implementation (noise.py and this
file, from the specification alone), in both roles."""
import functools
import random
import socket
import struct

import dchan_peer
import noise
from dchan_peer import CLEAN, CUT, REFUSED, SECRETLY_REFUSED
from framework import case, check, equal, main

HELLO, ERROR, PING, PONG, GOAWAY, BYE, BOUND = 16, 17, 18, 19, 20, 24, 26
S_OPEN, S_ACCEPT, S_DATA, S_WINDOW, S_FIN, S_RESET, DGRAM = 64, 66, 68, 70, 72, 74, 75
FEATURES = b"\x08\x02"  # streams and datagrams, optional
NOWHERE = bytes(16)     # a side without an address


class Peer(dchan_peer.Peer):
    """Until the session is up, and then its messages."""

    def __init__(self, we_initiate):
        super().__init__(we_initiate, "answers", "calls")
        self.sid = 1 if we_initiate else 2
        self.shake_hands()
        self.greet()

    def put(self, kind, payload=b""):
        self.send(self.session.packet(struct.pack(">H", kind) + payload))

    def read(self, kind):
        """The payload of the next message, which must be of the kind."""
        message = self.session.read(self.take)
        equal(struct.unpack(">H", message[:2])[0], kind, "type of a message")
        return message[2:]

    def pong(self, ping):
        size = struct.unpack(">H", ping[:2])[0]
        self.put(PONG, struct.pack(">H", size) + bytes(size))

    def bound(self):
        nobody = noise.sha256(b"")
        return NOWHERE + NOWHERE + noise.tagged(
            b"bcapeer/bind", self.session.id + NOWHERE + NOWHERE + nobody + nobody)

    def greet(self):
        hello = struct.pack(">HH", 1, len(FEATURES)) + FEATURES
        if self.initiator:
            self.put(HELLO, hello)
        equal(self.read(HELLO)[:2], b"\0\1", "version")
        if not self.initiator:
            self.put(HELLO, hello)
        equal(self.read(BOUND), self.bound(), "bound")
        self.put(BOUND, self.bound())
        self.pong(self.read(PING))  # the first thing that it does, to measure

    def open(self, service=b"echo", window=1 << 18):
        sid, self.sid = self.sid, self.sid + 2
        self.put(S_OPEN, struct.pack(">IB", sid, len(service)) + service +
                 struct.pack(">BI", 3, window))
        return sid

    def accepted(self, sid):
        got, window = struct.unpack(">II", self.read(S_ACCEPT))
        equal(got, sid, "sid")
        check(window >= 16384, "window")
        return window

    def expect_error(self, code):
        equal(self.read(ERROR)[:2], struct.pack(">H", code))
        self.expect_end(REFUSED)

    def expect_reset(self, sid, code):
        equal(self.read(S_RESET), struct.pack(">IH", sid, code))


both_roles = functools.partial(dchan_peer.both_roles, Peer)


@case()
def a_stream_echoes_more_than_its_windows(t):
    text = random.Random(7).randbytes(700_001)

    def test(peer):
        sid = peer.open()
        ours, theirs = peer.accepted(sid), 1 << 18  # what we may send, what they may
        sent = got = 0
        while got < len(text):
            n = min(ours, 16384, len(text) - sent)
            if n and sent - got < 100_000:
                peer.put(S_DATA, struct.pack(">I", sid) + text[sent:sent + n])
                sent, ours = sent + n, ours - n
                continue
            message = peer.session.read(peer.take)
            kind, payload = struct.unpack(">H", message[:2])[0], message[2:]
            if kind == S_WINDOW:
                ours += struct.unpack(">I", payload[4:])[0]
            else:
                equal(kind, S_DATA)
                data = payload[4:]
                check(data == text[got:got + len(data)], "what came back")
                got, theirs = got + len(data), theirs - len(data)
                check(theirs >= 0, "their window")
            if theirs < 100_000:
                peer.put(S_WINDOW, struct.pack(">II", sid, 1 << 17))
                theirs += 1 << 17
        peer.put(DGRAM, struct.pack(">IH", sid, 9) + b"voice")
        while True:
            message = peer.session.read(peer.take)
            if struct.unpack(">H", message[:2])[0] != S_WINDOW:
                break
        equal(message, struct.pack(">HIH", DGRAM, sid, 0) + b"voice")
        peer.put(S_FIN, struct.pack(">I", sid))
        equal(peer.read(S_FIN), struct.pack(">I", sid))
        peer.put(GOAWAY, struct.pack(">HI", 0, 0))
        peer.read(BYE)
        peer.put(BYE)
        peer.expect_end(CLEAN)
    both_roles(test)


@case()
def what_a_stream_forbids_resets_it(t):
    def test(peer):
        sid = peer.open(b"other")
        peer.expect_reset(sid, 3)
        sid = peer.open(window=16384)
        window = peer.accepted(sid)
        peer.put(S_WINDOW, struct.pack(">II", sid, 2 ** 31 - 1))
        peer.expect_reset(sid, 2)
        peer.put(S_DATA, struct.pack(">I", sid) + b"crosses the reset")
        sid = peer.open(window=16384)
        window = peer.accepted(sid)
        while window > 0:  # they have no window to send it back, so they do not consume
            peer.put(S_DATA, struct.pack(">I", sid) + bytes(16384))
            window -= 16384
        peer.put(S_DATA, struct.pack(">I", sid) + b"x")
        equal(peer.read(S_DATA), struct.pack(">I", sid) + bytes(16384))
        peer.expect_reset(sid, 2)
        peer.put(S_DATA, struct.pack(">I", sid + 2) + b"never opened")
        peer.expect_error(3)
    both_roles(test)


@case()
def sessions_end_as_they_should(t):
    def refused(payload, code):
        def test(peer):
            peer.send(peer.session.packet(payload))
            peer.expect_error(code)
        both_roles(test)

    def changed(peer):
        packet = bytearray(peer.session.packet(struct.pack(">HHH", PING, 1, 0)))
        packet[20] ^= 1
        peer.send(packet)
        peer.expect_end(SECRETLY_REFUSED)

    def cut(peer):
        peer.socket.shutdown(socket.SHUT_WR)
        peer.expect_end(CUT)

    refused(struct.pack(">H", 32770), 2)
    refused(struct.pack(">HH", HELLO, 1) + b"\0\0", 3)
    refused(struct.pack(">HI", S_FIN, 9), 3)
    both_roles(changed)
    both_roles(cut)


if __name__ == "__main__":
    main()

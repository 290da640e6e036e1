"""The C program tests/p2p/dchan_peer at the other end of a socket, for tests in both roles."""
import os
import socket
import subprocess

import noise
from framework import BUILD, equal

PROGRAM = os.path.join(BUILD, "tests", "p2p", "dchan_peer")
CLEAN, CUT, SECRETLY_REFUSED, REFUSED = 0, 1, 2, 3  # how it ends
OURS, THEIRS = b"\x41" * 32, b"\x42" * 32
START = noise.prologue("regtest")


class Peer:
    """answers, calls: what it is told to be when we initiate, and when it does."""

    def __init__(self, we_initiate, answers, calls):
        ours, theirs = socket.socketpair()
        ours.settimeout(30)
        role = [answers, THEIRS.hex()] if we_initiate else \
            [calls, THEIRS.hex(), noise.CURVE.public(OURS).hex()]
        with theirs:
            self.process = subprocess.Popen([PROGRAM] + role, stdin=theirs)
        self.socket, self.initiator = ours, we_initiate

    def send(self, data):
        self.socket.sendall(data)

    def take(self, n):
        return noise.take(self.socket, n)

    def shake_hands(self):
        remote = noise.CURVE.public(THEIRS) if self.initiator else None
        shake = noise.Handshake(self.initiator, START, OURS, os.urandom(32), remote)
        if self.initiator:
            self.send(shake.act_one())
            self.send(shake.act_three(self.take(50)))
        else:
            self.send(shake.act_two(self.take(50)))
            shake.end(self.take(66))
            equal(shake.remote, noise.CURVE.public(THEIRS), "the key of the initiator")
        self.session = shake.session()

    def expect_end(self, status):
        """Closed without another byte."""
        equal(self.socket.recv(1), b"", "bytes after the end")
        equal(self.process.wait(30), status, "exit status")

    def close(self):
        self.socket.close()
        return self.process.wait(30)


def both_roles(kind, test):
    """The test with a peer of this kind that answers, then with one that calls."""
    for we_initiate in (True, False):
        peer = kind(we_initiate)
        try:
            test(peer)
        finally:
            peer.socket.close()
            if peer.process.poll() is None:
                peer.process.wait(30)

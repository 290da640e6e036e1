"""Handshake and records of direct channels against an independent implementation (noise.py), in
both roles: what one side makes the other takes, with all rotations, and refuses when changed."""
import functools
import os
import random
import socket
import struct

import dchan_peer
import noise
from dchan_peer import CLEAN, CUT, OURS, REFUSED, SECRETLY_REFUSED, START, THEIRS
from framework import case, check, equal, main

TIME, ERROR, REKEY, BYE, OFFER, ANSWER = 32768, 17, 22, 24, 28, 30


class Peer(dchan_peer.Peer):
    """With records after the handshake."""

    def __init__(self, we_initiate):
        super().__init__(we_initiate, "responder", "initiator")

    def shake_hands(self):
        super().shake_hands()
        equal(self.read(), b"\x80\x02" + self.session.id, "session_id")

    def put(self, message):
        self.send(self.session.packet(message))

    def read(self):
        return self.session.read(self.take)

    def echo(self, message):
        self.put(message)
        equal(self.read(), message, "echo")

    def pass_time(self, seconds):
        self.put(struct.pack(">HI", TIME, seconds))

    def rekey(self, kind, shared=b""):
        self.put(struct.pack(">HB", REKEY, kind))
        self.session.send.rotate(shared)

    def expect_rekey(self, kind, shared=b""):
        equal(self.read(), struct.pack(">HB", REKEY, kind))
        self.session.receive.rotate(shared)


both_roles = functools.partial(dchan_peer.both_roles, Peer)


@case()
def messages_and_rotations_by_count(t):
    rng = random.Random(5)

    def test(peer):
        peer.shake_hands()
        for size in (2, 3, 16384, 65535):
            peer.echo(b"\x80\x04" + rng.randbytes(size - 2))
        for _ in range(1100):
            peer.echo(b"\x80\x04" + rng.randbytes(rng.randrange(40)))
        peer.put(struct.pack(">H", BYE))
        peer.socket.shutdown(socket.SHUT_WR)
        equal(peer.close(), CLEAN)
    both_roles(test)


@case()
def rotations_by_hash_in_both_directions(t):
    def test(peer):
        peer.shake_hands()
        for _ in range(3):
            peer.rekey(0)
            peer.echo(b"\x80\x04one")
            peer.pass_time(120)
            peer.expect_rekey(0)
            peer.echo(b"\x80\x04two")
        peer.socket.shutdown(socket.SHUT_WR)
        equal(peer.close(), CUT, "an end without bye")
    both_roles(test)


def agree_as_initiator(peer):
    secret = os.urandom(32)
    peer.put(struct.pack(">H", OFFER) + noise.CURVE.public(secret))
    answer = peer.read()
    equal(answer[:2], struct.pack(">H", ANSWER))
    shared = noise.CURVE.agree(answer[2:], secret)
    peer.session.receive.rotate(shared)
    peer.rekey(1, shared)


def agree_as_responder(peer):
    peer.pass_time(480)
    offer = peer.read()
    if offer == struct.pack(">HB", REKEY, 0):
        peer.session.receive.rotate()
        offer = peer.read()
    equal(offer[:2], struct.pack(">H", OFFER))
    secret = os.urandom(32)
    shared = noise.CURVE.agree(offer[2:], secret)
    peer.put(struct.pack(">H", ANSWER) + noise.CURVE.public(secret))
    peer.session.send.rotate(shared)
    peer.expect_rekey(1, shared)


@case()
def rotations_by_agreement_in_both_roles(t):
    def test(peer):
        peer.shake_hands()
        for _ in range(4):
            peer.pass_time(120)
            peer.expect_rekey(0)
            (agree_as_initiator if peer.initiator else agree_as_responder)(peer)
            sent, received = peer.session.send, peer.session.receive
            check(sent.k != received.k, "two directions with two keys")
            peer.echo(b"\x80\x04after")
    both_roles(test)


@case()
def changed_acts_are_refused_in_silence(t):
    def changed(act, at):
        return act[:at] + bytes([act[at] ^ 1]) + act[at + 1:]

    for at in (0, 1, 20, 49):
        peer = Peer(True)
        remote = noise.CURVE.public(THEIRS)
        shake = noise.Handshake(True, START, OURS, os.urandom(32), remote)
        peer.send(changed(shake.act_one(), at))
        peer.expect_end(SECRETLY_REFUSED)
        peer.close()
    for at in (0, 10, 40, 65):
        peer = Peer(True)
        shake = noise.Handshake(True, START, OURS, os.urandom(32), remote)
        peer.send(shake.act_one())
        peer.send(changed(shake.act_three(peer.take(50)), at))
        peer.expect_end(SECRETLY_REFUSED)
        peer.close()
    for at in (0, 1, 20, 49):
        peer = Peer(False)
        shake = noise.Handshake(False, START, OURS, os.urandom(32))
        peer.send(changed(shake.act_two(peer.take(50)), at))
        peer.expect_end(SECRETLY_REFUSED)
        peer.close()


@case()
def other_networks_and_other_keys_do_not_meet(t):
    peer = Peer(True)
    shake = noise.Handshake(True, noise.prologue("main"), OURS, os.urandom(32),
                            noise.CURVE.public(THEIRS))
    peer.send(shake.act_one())
    peer.expect_end(SECRETLY_REFUSED)
    peer.close()
    peer = Peer(False)  # it dials OURS, and another key answers
    shake = noise.Handshake(False, START, b"\x43" * 32, os.urandom(32))
    try:
        shake.act_two(peer.take(50))
        check(False, "an act 1 for another key was taken")
    except noise.Failed:
        pass
    equal(peer.close(), CUT)


@case()
def a_changed_packet_ends_the_session_in_silence(t):
    for at in (0, 10, 17, 18, 30):
        def test(peer, at=at):
            peer.shake_hands()
            peer.echo(b"\x80\x04fine")
            packet = bytearray(peer.session.packet(b"\x80\x04" + bytes(20)))
            packet[at] ^= 4
            peer.send(bytes(packet))
            peer.expect_end(SECRETLY_REFUSED)
        both_roles(test)


@case()
def refusals_that_are_told(t):
    def refused(peer, message, code):
        peer.shake_hands()
        peer.put(message)
        equal(peer.read()[:4], struct.pack(">HH", ERROR, code))
        peer.expect_end(REFUSED)

    both_roles(lambda peer: refused(peer, struct.pack(">HB", REKEY, 2), 3))
    both_roles(lambda peer: refused(peer, struct.pack(">HB", REKEY, 1), 3))
    both_roles(lambda peer: refused(peer, b"\0", 3))
    both_roles(lambda peer: refused(peer, struct.pack(">H", ANSWER) + noise.CURVE.public(OURS), 3))


if __name__ == "__main__":
    main()

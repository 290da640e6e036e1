"""A peer of direct channels written from the specification alone (noise.py), that dials a daemon
and does there what it likes. It has a bare key, as regtest allows."""
import os
import select
import socket
import struct
import time

import noise
from framework import ADDRESS, equal, wait_until
from wallet_rpc import WalletRpc

ERROR, HELLO, PING, PONG, SUCCESSOR, BOUND = 17, 16, 18, 19, 25, 26
M_SEND, M_ACK, M_NACK, M_READ = 96, 98, 100, 101
FULL, REFUSED, EXPIRED, TOO_LARGE, BUSY = 1, 2, 3, 4, 5  # codes of m_nack
MESSAGES = b"\x08"     # features: messages, optional
NOWHERE = bytes(16)    # a side without an address


def channel_of(node):
    """Host and port of its direct channels, as they are for contactadd."""
    host, port = node.channel.rsplit(":", 1)
    return host.strip("[]"), int(port)


class Guest:
    def __init__(self, node, key, secret=None, features=MESSAGES):
        self.secret = secret or os.urandom(32)
        self.key = noise.CURVE.public(self.secret).hex()
        self.node, self.remote, self.features = node, bytes.fromhex(key), features
        self.socket = None

    def reach(self):
        """A daemon listens a moment after it got an identity. False: not yet."""
        try:
            self.socket = socket.create_connection(channel_of(self.node), timeout=30)
        except ConnectionRefusedError:
            return False
        return True

    def knock(self):
        """Its hello is sent; the answer is still to be read."""
        wait_until(self.reach, 10, "a listener")
        shake = noise.Handshake(True, noise.prologue("regtest"), self.secret, os.urandom(32),
                                self.remote)
        self.socket.sendall(shake.act_one())
        self.socket.sendall(shake.act_three(self.take(50)))
        self.session = shake.session()
        self.put(HELLO, struct.pack(">HH", 1, len(self.features)) + self.features)
        return self

    def connect(self):
        self.knock()
        self.read(HELLO)
        self.read(BOUND)
        self.put(BOUND, self.bound())
        wait_until(self.is_up, what="the session at the other end")
        return self

    def is_up(self):
        """Or the other end says something, which may be that there will be none."""
        return bool(select.select([self.socket], [], [], 0)[0]) or any(
            p.get("key") == self.key and p["state"] == "up" for p in self.node.rpc.peerlist())

    def bound(self):
        nobody = noise.sha256(b"")
        return NOWHERE + NOWHERE + noise.tagged(
            b"bcapeer/bind", self.session.id + NOWHERE + NOWHERE + nobody + nobody)

    def take(self, n):
        return noise.take(self.socket, n)

    def packet(self, kind, payload=b""):
        return self.session.packet(struct.pack(">H", kind) + payload)

    def put(self, kind, payload=b""):
        self.socket.sendall(self.packet(kind, payload))

    def take_one(self):
        """Type and payload of the next message; a ping is answered."""
        message = self.session.read(self.take)
        kind, payload = struct.unpack(">H", message[:2])[0], message[2:]
        if kind == PING:
            size = struct.unpack(">H", payload[:2])[0]
            self.put(PONG, struct.pack(">H", size) + bytes(size))
        return kind, payload

    def next(self):
        """The same of the next message that is no ping."""
        while True:
            kind, payload = self.take_one()
            if kind != PING:
                return kind, payload

    def read(self, kind):
        got, payload = self.next()
        equal(got, kind, "type of a message")
        return payload

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


def statement(old, new):
    """That the key of one guest is followed by that of another (2.7)."""
    what = bytes.fromhex(old.key) + bytes.fromhex(new.key) + struct.pack(">QI", 1, int(time.time()))
    digest = noise.tagged(b"bcapeer/successor", what)
    return what + noise.CURVE.sign(old.secret, digest) + noise.CURVE.sign(new.secret, digest)


# An identity of another wallet, which comes first once that is loaded: a guest that dials gets it.

def make_other_wallet(node):
    """With a coin."""
    node.rpc.createwallet("another")
    coin = WalletRpc(node, "another").getnewaddress()
    WalletRpc(node, "default").sendtoaddress(coin, 1)
    node.rpc.generatetoaddress(1, ADDRESS)
    node.rpc.unloadwallet("another")


def move_to_other_wallet(t, node, guest):
    """Its identity follows the one that the node had, and the guest knows."""
    guest.close()
    node.rpc.loadwallet("another")
    another = WalletRpc(node, "another")
    another.bcaregister("next", 2)
    node.rpc.generatetoaddress(2, ADDRESS)
    t.wait(lambda: "direct channels: 2 identities" in node.log())
    node.rpc.setsuccessor("me", "next")
    identity = next(i for i in another.bcalist()["identities"] if i["name"] == "next")
    guest.remote = bytes.fromhex(identity["public_key"])
    guest.connect()


# --- messages -------------------------------------------------------------------------------------

def m_send(identifier, created_ms, body=b"x", ttl=3600, content=b"text/plain;utf-8", seq=None):
    payload = identifier + struct.pack(">QIB", created_ms, ttl, len(content)) + content + \
        struct.pack(">H", len(body)) + body
    if seq is not None:
        payload += b"\x05\x08" + struct.pack(">Q", seq)
    return payload


def receipts(guest, n):
    """(type, id, code) of so many answers to m_send."""
    answers = []
    while len(answers) < n:
        kind, payload = guest.next()
        code = struct.unpack(">H", payload[16:18])[0] if kind == M_NACK else 0
        answers.append((kind, payload[:16], code))
    return answers

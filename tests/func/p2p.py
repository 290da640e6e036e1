"""Scripted peers: the wire protocol over plain sockets (spec p2p 1 to 3)."""
import hashlib
import os
import socket
import struct
import threading
import time

from blocks import (Header, compact, display, from_display, read_compact, sha256d, var_bytes)
from framework import wait_until, within

MAGIC = {"main": bytes.fromhex("e3e1f3e8"), "regtest": bytes.fromhex("dab5bffa"),
         "testnet": bytes.fromhex("f4e5f3f4"), "stn": bytes.fromhex("fbcec4f9")}
MSG_TX, MSG_BLOCK = 1, 2
NODE_NETWORK = 1


class Closed(Exception):
    """The other side closed the connection."""


class Silence(AssertionError):
    """Nothing of what was waited for came in time."""


# --- messages ------------------------------------------------------------------------------------

def frame(command, payload=b"", magic=MAGIC["regtest"], checksum=None, length=None):
    """Basic header and payload; checksum and length may be wrong on purpose."""
    if isinstance(command, str):
        command = command.encode().ljust(12, b"\0")
    checksum = sha256d(payload)[:4] if checksum is None else checksum
    length = len(payload) if length is None else length
    return magic + command + struct.pack("<I", length) + checksum + payload


def extended_frame(command, payload=b"", magic=MAGIC["regtest"], length=None):
    """Spec p2p 1.3."""
    length = len(payload) if length is None else length
    return (magic + b"extmsg".ljust(12, b"\0") + b"\xff\xff\xff\xff" + bytes(4)
            + command.encode().ljust(12, b"\0") + struct.pack("<Q", length) + payload)


def net_address(services=0, ip=bytes(16), port=0):
    return struct.pack("<Q", services) + ip + struct.pack(">H", port)


def version_payload(version=70016, services=NODE_NETWORK, when=None, nonce=None,
                    agent="/BSV-func-test:1.0/", height=0, relay=1, association=b"",
                    their_services=NODE_NETWORK):
    return (struct.pack("<iQq", version, services, int(time.time()) if when is None else when)
            + net_address(their_services) + net_address(services)
            + (os.urandom(8) if nonce is None else nonce)
            + var_bytes(agent.encode() if isinstance(agent, str) else agent)
            + struct.pack("<iB", height, relay) + var_bytes(association))


def parse_version(data):
    version, services, when = struct.unpack_from("<iQq", data)
    at = 72 + 8
    length, at = read_compact(data, at)
    agent = data[at:at + length].decode()
    at += length
    height, relay = struct.unpack_from("<iB", data, at)
    at += 5
    length, at = read_compact(data, at)
    return {"version": version, "services": services, "time": when, "agent": agent,
            "height": height, "relay": relay, "association": data[at:at + length],
            "rest": data[at + length:]}


def protoconf_payload(limit=2 * 1024 * 1024, policies=b"Default", fields=2):
    return compact(fields) + struct.pack("<I", limit) + var_bytes(policies)


def inventory(*items):
    return compact(len(items)) + b"".join(struct.pack("<I", t) + h for t, h in items)


def parse_inventory(data):
    count, at = read_compact(data, 0)
    return [(struct.unpack_from("<I", data, at + 36 * i)[0], data[at + 36 * i + 4:at + 36 * i + 36])
            for i in range(count)]


def locator_payload(hashes, stop=bytes(32), version=70016):
    return struct.pack("<I", version) + compact(len(hashes)) + b"".join(hashes) + stop


def parse_locator(data):
    count, at = read_compact(data, 4)
    hashes = [data[at + 32 * i:at + 32 * i + 32] for i in range(count)]
    return hashes, data[at + 32 * count:at + 32 * count + 32]


def headers_payload(headers):
    return compact(len(headers)) + b"".join(
        (h if isinstance(h, bytes) else h.serialize()) + b"\0" for h in headers)


def parse_headers(data):
    count, at = read_compact(data, 0)
    return [Header.parse(data[at + 81 * i:at + 81 * i + 80]) for i in range(count)]


def parse_reject(data):
    length, at = read_compact(data, 0)
    command = data[at:at + length].decode()
    at += length
    code = data[at]
    length, at = read_compact(data, at + 1)
    return {"command": command, "code": code, "reason": data[at:at + length].decode(),
            "hash": display(data[at + length:]) if data[at + length:] else None}


# --- compact blocks ------------------------------------------------------------------------------

MSG_CMPCT_BLOCK = 4


def siphash(k0, k1, data):
    """SipHash-2-4."""
    mask = (1 << 64) - 1
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
         k1 ^ 0x7465646279746573]

    def rotate(x, n):
        return (x << n | x >> (64 - n)) & mask

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask
            v[2] = (v[2] + v[3]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & mask
            v[0] = (v[0] + v[3]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xff])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def short_id(header, nonce, txid):
    key = hashlib.sha256(header + struct.pack("<Q", nonce)).digest()
    k0, k1 = struct.unpack_from("<QQ", key)
    return siphash(k0, k1, txid) & 0xffffffffffff


def sendcmpct_payload(announce, version=1):
    return struct.pack("<BQ", announce, version)


def _distances(indices):
    """Coding of rising indices."""
    return [i - (indices[at - 1] + 1 if at else 0) for at, i in enumerate(indices)]


def cmpctblock_payload(block, nonce=7, prefilled=(0,), change=None):
    """change: {index: txid} whose short ids stand at these places instead of the right ones."""
    header = block.header.serialize()
    ids = b"".join(
        short_id(header, nonce, (change or {}).get(i) or t.txid()).to_bytes(6, "little")
        for i, t in enumerate(block.txs) if i not in prefilled)
    return (header + struct.pack("<Q", nonce) + compact(len(ids) // 6) + ids
            + compact(len(prefilled))
            + b"".join(compact(d) + block.txs[i].serialize()
                       for i, d in zip(prefilled, _distances(prefilled))))


def parse_cmpctblock(data):
    """Header bytes, nonce, list of short ids, and what follows the number of prefilled ones."""
    nonce, = struct.unpack_from("<Q", data, 80)
    count, at = read_compact(data, 88)
    ids = [int.from_bytes(data[at + 6 * i:at + 6 * i + 6], "little") for i in range(count)]
    prefilled, at = read_compact(data, at + 6 * count)
    return {"header": data[:80], "nonce": nonce, "ids": ids, "prefilled": prefilled,
            "rest": data[at:]}


def getblocktxn_payload(block_hash, indices):
    return (block_hash + compact(len(indices))
            + b"".join(compact(d) for d in _distances(indices)))


def parse_getblocktxn(data):
    count, at = read_compact(data, 32)
    indices, following = [], 0
    for _ in range(count):
        distance, at = read_compact(data, at)
        indices.append(following + distance)
        following = indices[-1] + 1
    return data[:32], indices


def blocktxn_payload(block, indices):
    return (block.hash() + compact(len(indices))
            + b"".join(block.txs[i].serialize() for i in indices))


# --- addresses -----------------------------------------------------------------------------------

def ipv4_mapped(a, b, c, d):
    return bytes(10) + b"\xff\xff" + bytes([a, b, c, d])


def addr_payload(entries, count=None):
    """entries: (time, services, ip16, port)"""
    return compact(len(entries) if count is None else count) + b"".join(
        struct.pack("<I", t) + net_address(s, ip, port) for t, s, ip, port in entries)


# --- peers ---------------------------------------------------------------------------------------

class Peer:
    """One connection. Not thread safe; pings are answered while it waits for something."""

    def __init__(self, sock, network="regtest"):
        self.socket = sock
        self.magic = MAGIC[network]
        self.buffer = bytearray()  # grows in place: messages have tens of megabytes
        self.seen = []           # (command, payload) of everything received
        self.answer_pings = True
        self.their_version = None

    @classmethod
    def connect(cls, node, handshake=True, network=None, source=None, **version):
        sock = socket.create_connection(("::1", node.port), timeout=30,
                                        source_address=(source, 0) if source else None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = cls(sock, network or node.network)
        if handshake:
            peer.handshake(**version)
        return peer

    def handshake(self, **version):
        """The connector's part: version, verack and protoconf, until the other's verack."""
        self.send("version", version_payload(**version))
        self.their_version = parse_version(self.wait_for("version"))
        self.send("verack")
        self.send("protoconf", protoconf_payload())
        self.wait_for("verack", seen=True)
        return self

    def accept_handshake(self, **version):
        """The listener's part."""
        self.their_version = parse_version(self.wait_for("version"))
        self.send("version", version_payload(**version))
        self.send("verack")
        self.send("protoconf", protoconf_payload())
        self.wait_for("verack")
        return self

    # sending

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed() from None

    def send(self, command, payload=b"", **options):
        self.send_raw(frame(command, payload, self.magic, **options))

    def send_extended(self, command, payload=b"", **options):
        self.send_raw(extended_frame(command, payload, self.magic, **options))

    # receiving

    def _fill(self, need, deadline):
        while len(self.buffer) < need:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Silence("no message in time")
            self.socket.settimeout(left)
            try:
                chunk = self.socket.recv(1 << 20)
            except (socket.timeout, TimeoutError):
                raise Silence("no message in time") from None
            except (ConnectionResetError, OSError):
                raise Closed() from None
            if not chunk:
                raise Closed()
            self.buffer += chunk

    def receive(self, timeout=None):
        """The next message as (command, payload); checks magic and checksum."""
        deadline = time.monotonic() + (within(30) if timeout is None else timeout)
        self._fill(24, deadline)
        head = bytes(self.buffer[:24])
        if head[:4] != self.magic:
            raise AssertionError(f"wrong magic {head[:4].hex()}")
        command = head[4:16].rstrip(b"\0").decode()
        length, = struct.unpack_from("<I", head, 16)
        begin = 24
        if command == "extmsg":
            begin = 44
            self._fill(begin, deadline)
            command = self.buffer[24:36].rstrip(b"\0").decode()
            length, = struct.unpack_from("<Q", self.buffer, 36)
        self._fill(begin + length, deadline)
        payload = bytes(memoryview(self.buffer)[begin:begin + length])
        del self.buffer[:begin + length]
        if begin == 24 and sha256d(payload)[:4] != head[20:24]:
            raise AssertionError(f"wrong checksum of {command}")
        if command == "ping" and self.answer_pings:
            self.send("pong", payload)
        self.seen.append((command, payload))
        return command, payload

    def wait_for(self, command, timeout=30, match=None, seen=False):
        """Payload of the next message of this kind (with seen: also of an earlier one)."""
        if seen:
            for c, p in self.seen:
                if c == command and (match is None or match(p)):
                    return p
        deadline = time.monotonic() + within(timeout)
        while True:
            try:
                got, payload = self.receive(max(0.001, deadline - time.monotonic()))
            except Silence:
                raise Silence(f"no {command} in {within(timeout):.1f} s; seen: "
                              + " ".join(c for c, _ in self.seen[-20:])) from None
            if got == command and (match is None or match(payload)):
                return payload

    def count(self, command):
        """How many of these have come."""
        return sum(c == command for c, _ in self.seen)

    def collect(self, seconds):
        """Everything that comes within the time; stops early when the connection ends."""
        first = len(self.seen)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.receive(end - time.monotonic())
        except (Silence, Closed):
            pass
        return self.seen[first:]

    def ping(self, timeout=30):
        """A round trip: everything sent before has been handled after it."""
        nonce = os.urandom(8)
        self.send("ping", nonce)
        self.wait_for("pong", timeout, match=lambda p: p == nonce)
        return self

    def is_closed(self, timeout=30):
        """True when the other side ends the connection in time."""
        deadline = time.monotonic() + within(timeout)
        try:
            while True:
                self.receive(max(0.001, deadline - time.monotonic()))
        except Closed:
            return True
        except Silence:
            return False

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    # frequent requests

    def get_headers(self, locator, stop=bytes(32), timeout=30):
        self.send("getheaders", locator_payload(locator, stop))
        return parse_headers(self.wait_for("headers", timeout))

    def get_block(self, hash_hex, timeout=30):
        self.send("getdata", inventory((MSG_BLOCK, from_display(hash_hex))))
        return self.wait_for("block", timeout,
                             match=lambda p: display(sha256d(p[:80])) == hash_hex)

    def info(self, node):
        """Its entry in getpeerinfo, found by the address it connects from."""
        mine = "[%s]:%d" % self.socket.getsockname()[:2]
        for entry in node.rpc.getpeerinfo():
            if entry["addr"] == mine:
                return entry
        return None

    def score(self, node):
        entry = self.info(node)
        return None if entry is None else entry["banscore"]


class Listener:
    """A listening socket on [::1] for nodes that connect out."""

    def __init__(self, network="regtest", **version):
        self.socket = socket.socket(socket.AF_INET6)
        self.socket.bind(("::1", 0))
        self.socket.listen(16)
        self.network, self.version = network, version
        self.port = self.socket.getsockname()[1]
        self.address = f"[::1]:{self.port}"
        self.peers = []

    def accept(self, timeout=20, handshake=True):
        self.socket.settimeout(within(timeout))
        sock, _ = self.socket.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock, self.network)
        self.peers.append(peer)
        if handshake:
            peer.accept_handshake(**self.version)
        return peer

    def close(self):
        self.socket.close()
        for peer in self.peers:
            peer.close()


class ChainServer(threading.Thread):
    """Answers getheaders and getdata of one peer from a blocks.Chain, in a thread of its own.

    hold: a function of the block hash; blocks for which it is true are not sent (a stalling peer).
    change: a function (Block) -> bytes that may spoil what is sent.
    announce: tell of the chain's tip at once, before the node can ask for anything.
    """

    def __init__(self, peer, chain, hold=None, change=None, start=True, announce=False):
        super().__init__(daemon=True)
        self.peer, self.chain = peer, chain
        self.hold, self.change = hold, change
        self.asked = []          # hashes of blocks asked for
        self.ended = False
        self.index()
        if announce:
            self.announce()
        if start:
            self.start()

    def index(self):
        blocks = self.chain.all_blocks()
        self.order = [self.chain.hash_at(0)] + [b.hash() for b in blocks]
        self.position = {h: i for i, h in enumerate(self.order)}
        self.blocks = {b.hash(): b for b in blocks}

    def announce(self):
        self.peer.send("headers", headers_payload(self.chain.headers(self.chain.height)))

    def run(self):
        try:
            while True:
                try:
                    command, payload = self.peer.receive(3600)
                except Silence:
                    continue
                self.handle(command, payload)
        except (Closed, OSError, AssertionError):
            self.ended = True

    def handle(self, command, payload):
        if command == "getheaders":
            hashes, _ = parse_locator(payload)
            at = next((self.position[h] for h in hashes if h in self.position), 0)
            self.peer.send("headers", headers_payload(self.chain.headers(at + 1)[:2000]))
        elif command == "getdata":
            for kind, wanted in parse_inventory(payload):
                if kind in (MSG_BLOCK, MSG_CMPCT_BLOCK):  # the whole block is always right
                    self.serve(wanted)

    def serve(self, wanted):
        self.asked.append(wanted)
        block = self.blocks.get(wanted)
        if block is None or (self.hold and self.hold(wanted)):
            return
        self.peer.send("block", self.change(block) if self.change else block.serialize())


def wait_connected(node, count=1, timeout=20):
    wait_until(lambda: node.rpc.getconnectioncount() >= count, timeout, f"{count} connections")

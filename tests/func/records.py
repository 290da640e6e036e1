"""Announced records of identities and the messages that carry them (spec channels 1), made from the
specification alone."""
import ipaddress
import struct
import time

from blocks import ANYONE, Key, Tx, TxIn, TxOut, compact, read_compact, var_bytes
from identities import PREFIX, SEED, tool
from noise import CURVE, tagged
from txs import FEE, coin, mine, node_with_coins, output

LIFETIME, TOMBSTONE_LIFETIME = 86400, 1209600
LIST, SAMPLE = b"\0", b"\1"
WANTS, ANSWERS = 1, 2


class Identity:
    """A key of ours, registered in a block of the test's own."""

    def __init__(self, number):
        self.number = number
        self.key = Key(number)
        self.secret = number.to_bytes(32, "big")
        self.public = CURVE.public(self.secret)
        self.record_key = tagged(b"bcapeer/key", self.public)

    def arguments(self):
        return ["--public-key=" + self.public.hex(), "--seed=-"]

    def registration(self, from_coin):
        txid, index, value = from_coin
        script = bytes.fromhex(tool("registration", *self.arguments(), stdin=SEED)["script"])
        return Tx([TxIn(txid, index)], [TxOut(0, script), TxOut(1, self.key.script),
                                        TxOut(value - FEE - 1, ANYONE)])

    def form(self, block, index=0):
        """Takes an address on the block that holds the registration."""
        made = tool("address", "--network=regtest", *self.arguments(), "--prefix=" + PREFIX,
                    "--block=" + block.serialize().hex(), f"--modifier-index={index}", stdin=SEED)
        self.address, self.params = made["address"], bytes.fromhex(made["params"])
        return self

    def record(self, seq, issued, **changes):
        return record(self.secret, seq, issued, self.address, self.params, **changes)


def record(secret, seq, issued, address, params, expires=None, port=9944, alias=b"", features=b"",
           flags=0, version=1, ext=b"", endpoints=None, key=None):
    if endpoints is None:
        endpoints = [(1, 0, address, port)]
    body = (bytes([version, flags]) + (key or CURVE.public(secret))
            + struct.pack("<QII", seq, issued, issued + LIFETIME if expires is None else expires)
            + var_bytes(features) + bytes([len(endpoints)])
            + b"".join(bytes([kind, priority]) + ipaddress.IPv6Address(a).packed
                       + struct.pack(">H", p) for kind, priority, a, p in endpoints)
            + var_bytes(alias) + var_bytes(params) + var_bytes(ext))
    return body + CURVE.sign(secret, tagged(b"bcapeer/record", body))


def items(*pairs):
    return compact(len(pairs)) + b"".join(k + struct.pack("<Q", seq) for k, seq in pairs)


def parse_items(data):
    n, at = read_compact(data, 0)
    return [(data[at + 40 * i:at + 40 * i + 32],
             struct.unpack_from("<Q", data, at + 40 * i + 32)[0]) for i in range(n)]


def sendbca(flags=WANTS | ANSWERS, version=1):
    return struct.pack("<II", version, flags)


def bcarec(records, missing=()):
    return (compact(len(records)) + b"".join(var_bytes(r) for r in records)
            + compact(len(missing)) + b"".join(missing))


def parse_bcarec(data):
    n, at = read_compact(data, 0)
    records = []
    for _ in range(n):
        size, at = read_compact(data, at)
        records.append(data[at:at + size])
        at += size
    m, at = read_compact(data, at)
    return records, [data[at + 32 * i:at + 32 * i + 32] for i in range(m)]


# --- nodes that have them --------------------------------------------------------------------

def registered(t, n, *options):
    """A node, and n identities with an address each in its chain."""
    node, chain = node_with_coins(t, *options)
    people = [Identity(100 + i) for i in range(n)]
    txs = []
    source = coin(chain, 1)
    for person in people:
        txs.append(person.registration(source))
        source = output(txs[-1], 2)
    block = mine(node, chain, *txs)
    for person, tx in zip(people, txs):
        person.form(block)
        person.tx = tx
    return node, chain, people


def friend(t, node, flags=WANTS | ANSWERS):
    peer = t.peer(node)
    peer.wait_for("sendbca", seen=True)
    peer.send("sendbca", sendbca(flags))
    return peer.ping()


def now():
    return int(time.time())


def known(node, person):
    """seq of what the node has, or None."""
    for r in node.rpc.listrecords(1000)["records"]:
        if r["key"] == person.public.hex():
            return r["seq"]
    return None

"""Merkle proofs by their definitions, to hold what the node says against (spec consensus 3.2, 6),
and chains to prove something of. Hashes are bytes in internal order."""
import struct
import time

from blocks import ANYONE, Chain, Header, Tx, TxIn, TxOut, read_compact, sha256d

COIN = 10**8
ZERO = "00" * 32


def family(n_txs):
    """A chain of 103 blocks. The last has the coinbase and n_txs - 1 transactions, each of which
    spends an output of one transaction of the block before."""
    chain = Chain(start_time=int(time.time()) - 3000).grow(101)
    fan = Tx([TxIn(chain.at(1).txs[0].txid(), 0)], [TxOut(COIN, ANYONE)] * max(n_txs - 1, 1))
    chain.add(fan)
    chain.add(*[Tx([TxIn(fan.txid(), i)], [TxOut(COIN - i, ANYONE)]) for i in range(n_txs - 1)])
    return chain


def ids_of(block):
    return [tx.txid() for tx in block.txs]


def rows(txids):
    """All rows of the tree, lowest first, without the copies at their ends."""
    out = [list(txids)]
    while len(out[-1]) > 1:
        row = out[-1] + out[-1][-1:] if len(out[-1]) % 2 else out[-1]
        out.append([sha256d(row[i] + row[i + 1]) for i in range(0, len(row), 2)])
    return out


def branch(txids, index):
    """Siblings from below; None where the row ends before one."""
    out = []
    for row in rows(txids)[:-1]:
        out.append(row[index ^ 1] if index ^ 1 < len(row) else None)
        index >>= 1
    return out


def fold(leaf, index, nodes):
    for node in nodes:
        other = leaf if node is None else node
        leaf = sha256d(other + leaf) if index & 1 else sha256d(leaf + other)
        index >>= 1
    return leaf


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise ValueError("cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self):
        value, self.at = read_compact(self.data, self.at)
        return value

    def end(self):
        if self.at != len(self.data):
            raise ValueError("bytes behind the end")


def parse_merkleblock(data):
    """(header, number of transactions, matched txids, root) of a `merkleblock` payload."""
    r = Reader(data)
    header = Header.parse(r.take(80))
    total, = struct.unpack("<I", r.take(4))
    hashes = [r.take(32) for _ in range(r.number())]
    flag_bytes = r.take(r.number())
    r.end()
    flags = [flag_bytes[i // 8] >> (i % 8) & 1 for i in range(8 * len(flag_bytes))]
    matched = []
    depth = (total - 1).bit_length()

    def walk(level, index):
        flag = flags.pop(0)
        if level == 0 or not flag:
            value = hashes.pop(0)
            if level == 0 and flag:
                matched.append(value)
            return value
        left = walk(level - 1, 2 * index)
        width = (total + (1 << (level - 1)) - 1) >> (level - 1)
        right = walk(level - 1, 2 * index + 1) if 2 * index + 1 < width else left
        return sha256d(left + right)
    root = walk(depth, 0)
    if hashes or any(flags) or len(flags) > 7:
        raise ValueError("more than the tree needs")
    return header, total, matched, root


def read_bump(r):
    """(height, levels of {offset: (hash or None, is txid)})"""
    height, levels = r.number(), []
    for _ in range(r.take(1)[0]):
        level = {}
        for _ in range(r.number()):
            offset, flags = r.number(), r.take(1)[0]
            level[offset] = (None if flags & 1 else r.take(32), bool(flags & 2))
        levels.append(level)
    return height, levels


def bump_root(levels, txid):
    """Root from one transaction, climbing as BRC-74 says; missing nodes come from those below."""
    def node(level, offset):
        if offset in levels[level] and levels[level][offset][0]:
            return levels[level][offset][0]
        if offset in levels[level]:
            return node(level, offset - 1)
        if level == 0:
            raise ValueError("a leaf is missing")
        return sha256d(node(level - 1, 2 * offset) + node(level - 1, 2 * offset + 1))
    index = next(o for o, (h, _) in levels[0].items() if h == txid)
    if len(levels) == 1 and len(levels[0]) == 1:
        return txid
    value = txid
    for level in range(len(levels)):
        other = node(level,
                     index ^ 1) if (index ^ 1) in levels[level] and levels[level][index ^ 1][0] \
            else value if (index ^ 1) in levels[level] else node(level, index ^ 1)
        value = sha256d(other + value) if index & 1 else sha256d(value + other)
        index >>= 1
    return value


def take_tx(r):
    """Bytes of a transaction and its parents' ids."""
    start, parents = r.at, []
    r.take(4)
    for _ in range(r.number()):
        parents.append(r.take(36)[:32])
        r.take(r.number())
        r.take(4)
    for _ in range(r.number()):
        r.take(8)
        r.take(r.number())
    r.take(4)
    return r.data[start:r.at], parents


class Beef:
    """A parsed BEEF: version, subject (atomic form) or None, bumps, txs of (txid, parents,
    bump)."""

    def __init__(self, data):
        r = Reader(data)
        prefix, self.subject = r.take(4), None
        if prefix == b"\x01\x01\x01\x01":
            self.subject = r.take(32)
            prefix = r.take(4)
        self.version = {b"\x01\x00\xbe\xef": 1, b"\x02\x00\xbe\xef": 2}[prefix]
        self.bumps = [read_bump(r) for _ in range(r.number())]
        self.txs = [self._take(r) for _ in range(r.number())]
        r.end()

    def _take(self, r):
        if self.version == 2:
            bump = self._form(r)
        raw, parents = take_tx(r)
        if self.version == 1:
            bump = self._form(r)
        return sha256d(raw), parents, bump

    def _form(self, r):
        return r.number() if r.take(1)[0] else None

    def check(self, roots):
        """Proofs lead to the roots by height, parents stand before children, nothing is missing."""
        seen = set()
        for txid, parents, bump in self.txs:
            if txid in seen:
                raise ValueError("a transaction is there twice")
            if bump is None:
                if not set(parents) <= seen:
                    raise ValueError("a parent is missing")
            else:
                height, levels = self.bumps[bump]
                if bump_root(levels, txid) != roots[height]:
                    raise ValueError("a proof leads elsewhere")
            seen.add(txid)

"""Makes regtest transactions, blocks and chains (spec consensus 1, 2, 3, 4.9), with a small
secp256k1 signer. Hashes are bytes in internal order unless a name ends in _hex."""
import hashlib
import struct

# --- encoding ------------------------------------------------------------------------------------


def sha256d(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def hash160(data):
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


def display(hash_bytes):
    return hash_bytes[::-1].hex()


def from_display(text):
    return bytes.fromhex(text)[::-1]


def compact(n):
    if n < 0xfd:
        return bytes([n])
    if n <= 0xffff:
        return b"\xfd" + struct.pack("<H", n)
    if n <= 0xffffffff:
        return b"\xfe" + struct.pack("<I", n)
    return b"\xff" + struct.pack("<Q", n)


def var_bytes(data):
    return compact(len(data)) + data


def read_compact(data, at):
    """(value, position after it)"""
    first = data[at]
    if first < 0xfd:
        return first, at + 1
    width = {0xfd: 2, 0xfe: 4, 0xff: 8}[first]
    return int.from_bytes(data[at + 1:at + 1 + width], "little"), at + 1 + width


def push(data):
    if len(data) < 0x4c:
        return bytes([len(data)]) + data
    if len(data) <= 0xff:
        return b"\x4c" + bytes([len(data)]) + data
    if len(data) <= 0xffff:
        return b"\x4d" + struct.pack("<H", len(data)) + data
    return b"\x4e" + struct.pack("<I", len(data)) + data


def push_number(n):
    if n == 0:
        return b"\x00"
    if 1 <= n <= 16:
        return bytes([0x50 + n])
    data = n.to_bytes(n.bit_length() // 8 + 1, "little")
    return push(data)


# --- secp256k1 -----------------------------------------------------------------------------------

P = 2**256 - 2**32 - 977
N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
G = (0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,
     0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)


def _double(point):
    x, y, z = point
    s = 4 * x * y * y % P
    m = 3 * x * x % P
    out_x = (m * m - 2 * s) % P
    return out_x, (m * (s - out_x) - 8 * pow(y, 4, P)) % P, 2 * y * z % P


def _add(a, b):
    if a is None:
        return b
    x1, y1, z1 = a
    x2, y2, z2 = b
    u1, u2 = x1 * z2 * z2 % P, x2 * z1 * z1 % P
    s1, s2 = y1 * pow(z2, 3, P) % P, y2 * pow(z1, 3, P) % P
    if u1 == u2:
        return _double(a)  # opposite points do not occur for the multiples used here
    h, r = (u2 - u1) % P, (s2 - s1) % P
    h2 = h * h % P
    h3 = h2 * h % P
    x3 = (r * r - h3 - 2 * u1 * h2) % P
    return x3, (r * (u1 * h2 - x3) - s1 * h3) % P, h * z1 * z2 % P


def multiply_base(k):
    """Affine (x, y) of k times the generator. Not for secrets that matter."""
    result, addend = None, (G[0], G[1], 1)
    while k:
        if k & 1:
            result = _add(result, addend)
        addend = _double(addend)
        k >>= 1
    x, y, z = result
    inverse = pow(z, -1, P)
    return x * inverse * inverse % P, y * pow(inverse, 3, P) % P


def _der_integer(n):
    data = n.to_bytes(n.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(data)]) + data


class Key:
    """A key pair from a number; its P2PKH script, and signatures."""

    def __init__(self, secret):
        self.secret = secret
        x, y = multiply_base(secret)
        self.public = bytes([2 + (y & 1)]) + x.to_bytes(32, "big")
        self.script = b"\x76\xa9\x14" + hash160(self.public) + b"\x88\xac"

    def sign(self, digest):
        """Low-S DER signature with a nonce from key and digest."""
        z = int.from_bytes(digest, "big")
        seed = hashlib.sha256(self.secret.to_bytes(32, "big") + digest).digest()
        k = int.from_bytes(seed, "big") % (N - 1) + 1
        r = multiply_base(k)[0] % N
        s = pow(k, -1, N) * (z + r * self.secret) % N
        s = min(s, N - s)
        body = _der_integer(r) + _der_integer(s)
        return b"\x30" + bytes([len(body)]) + body


# --- transactions --------------------------------------------------------------------------------

SIGHASH_ALL_FORKID = 0x41
ANYONE = b"\x51"  # OP_TRUE: a script anybody can spend


class TxIn:
    def __init__(self, txid, index, script=b"", sequence=0xffffffff):
        self.txid, self.index, self.script, self.sequence = txid, index, script, sequence

    def outpoint(self):
        return self.txid + struct.pack("<I", self.index)

    def serialize(self):
        return self.outpoint() + var_bytes(self.script) + struct.pack("<I", self.sequence)


class TxOut:
    def __init__(self, value, script):
        self.value, self.script = value, script

    def serialize(self):
        return struct.pack("<q", self.value) + var_bytes(self.script)


class Tx:
    def __init__(self, inputs, outputs, version=1, lock_time=0):
        self.inputs, self.outputs = inputs, outputs
        self.version, self.lock_time = version, lock_time

    def serialize(self):
        parts = [struct.pack("<i", self.version), compact(len(self.inputs))]
        parts += [i.serialize() for i in self.inputs]
        parts.append(compact(len(self.outputs)))
        parts += [o.serialize() for o in self.outputs]
        parts.append(struct.pack("<I", self.lock_time))
        return b"".join(parts)

    def serialize_extended(self, spent):
        """Extended form (BRC-30); spent: the output of each input."""
        parts = [struct.pack("<i", self.version), bytes.fromhex("0000000000ef"),
                 compact(len(self.inputs))]
        for i, out in zip(self.inputs, spent):
            parts += [i.serialize(), out.serialize()]
        parts.append(compact(len(self.outputs)))
        parts += [o.serialize() for o in self.outputs]
        parts.append(struct.pack("<I", self.lock_time))
        return b"".join(parts)

    def txid(self):
        return sha256d(self.serialize())

    def sign_input(self, at, key, amount, script_code):
        """P2PKH with the digest of BIP143 and FORKID (spec consensus 4.9)."""
        prevouts = sha256d(b"".join(i.outpoint() for i in self.inputs))
        sequences = sha256d(b"".join(struct.pack("<I", i.sequence) for i in self.inputs))
        outputs = sha256d(b"".join(o.serialize() for o in self.outputs))
        this = self.inputs[at]
        digest = sha256d(struct.pack("<i", self.version) + prevouts + sequences + this.outpoint()
                         + var_bytes(script_code) + struct.pack("<qI", amount, this.sequence)
                         + outputs + struct.pack("<II", self.lock_time, SIGHASH_ALL_FORKID))
        signature = key.sign(digest) + bytes([SIGHASH_ALL_FORKID])
        this.script = push(signature) + push(key.public)


def spend(key, txid, index, amount, outputs):
    """A signed one-input transaction that spends a P2PKH output of the key."""
    tx = Tx([TxIn(txid, index)], outputs)
    tx.sign_input(0, key, amount, key.script)
    return tx


def subsidy(height):
    halvings = height // 150  # regtest
    return (50 * 10**8) >> halvings if halvings < 64 else 0


def coinbase(height, script=ANYONE, value=None, extra=b""):
    script_sig = push_number(height) + push(b"func" + extra)
    return Tx([TxIn(bytes(32), 0xffffffff, script_sig)],
              [TxOut(subsidy(height) if value is None else value, script)])


def big_coinbase(height, size=300000):
    tx = coinbase(height)
    tx.outputs.append(TxOut(0, b"\x00\x6a\x4e" + struct.pack("<I", size) + bytes(size)))
    return tx


# --- blocks --------------------------------------------------------------------------------------

EASY_BITS = 0x207fffff
EASY_TARGET = 0x7fffff << (8 * (0x20 - 3))
GENESIS_TIME = 1296688602
GENESIS_HASH_HEX = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
MAIN_GENESIS_HASH_HEX = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


def merkle_root(txids):
    level = list(txids)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0] if level else bytes(32)


class Header:
    def __init__(self, previous, root, time, bits=EASY_BITS, version=0x20000000, nonce=0):
        self.previous, self.root, self.time = previous, root, time
        self.bits, self.version, self.nonce = bits, version, nonce

    @classmethod
    def parse(cls, data):
        version, = struct.unpack_from("<i", data)
        time, bits, nonce = struct.unpack_from("<III", data, 68)
        return cls(data[4:36], data[36:68], time, bits, version, nonce)

    def serialize(self):
        return (struct.pack("<i", self.version) + self.previous + self.root
                + struct.pack("<III", self.time, self.bits, self.nonce))

    def hash(self):
        return sha256d(self.serialize())

    def meets_target(self):
        return int.from_bytes(self.hash(), "little") <= EASY_TARGET

    def solve(self):
        while not self.meets_target():
            self.nonce += 1
        return self

    def unsolve(self):
        """Makes the proof of work wrong."""
        while self.meets_target():
            self.nonce += 1
        return self


class Block:
    def __init__(self, header, txs):
        self.header, self.txs = header, txs

    @classmethod
    def make(cls, previous, height, time, txs=(), coinbase_tx=None, solve=True):
        txs = [coinbase_tx or coinbase(height)] + list(txs)
        header = Header(previous, merkle_root([t.txid() for t in txs]), time)
        return cls(header.solve() if solve else header, txs)

    def serialize(self):
        return (self.header.serialize() + compact(len(self.txs))
                + b"".join(t.serialize() for t in self.txs))

    def hash(self):
        return self.header.hash()

    @property
    def hash_hex(self):
        return display(self.hash())


class Chain:
    """Blocks 1..n above regtest's genesis (or above another chain), built one by one."""

    def __init__(self, start_time=GENESIS_TIME, parent=None, height=0):
        self.parent, self.base_height = parent, height
        self.blocks = []
        self.time = start_time
        if parent:
            self.time = parent.at(height).header.time if height else GENESIS_TIME

    @property
    def height(self):
        return self.base_height + len(self.blocks)

    def at(self, height):
        if height <= self.base_height:
            return self.parent.at(height)
        return self.blocks[height - self.base_height - 1]

    def hash_at(self, height):
        return from_display(GENESIS_HASH_HEX) if height == 0 else self.at(height).hash()

    @property
    def tip(self):
        return self.hash_at(self.height)

    @property
    def tip_hex(self):
        return display(self.tip)

    def add(self, *txs, coinbase_tx=None, time=None, step=1):
        self.time = time if time is not None else self.time + step
        block = Block.make(self.tip, self.height + 1, self.time, txs, coinbase_tx)
        self.blocks.append(block)
        return block

    def grow(self, n, step=1, **coinbase_options):
        for _ in range(n):
            self.add(step=step, coinbase_tx=coinbase(self.height + 1, **coinbase_options))
        return self

    def fork(self, height):
        return Chain(parent=self, height=height)

    def all_blocks(self):
        return [self.at(h) for h in range(1, self.height + 1)]

    def headers(self, first=1):
        return [self.at(h).header for h in range(first, self.height + 1)]

    def write(self, path, magic=bytes.fromhex("fabfb5da")):
        """As a file for -loadblock."""
        with open(path, "wb") as file:
            for block in self.all_blocks():
                data = block.serialize()
                file.write(magic + struct.pack("<I", len(data)) + data)
        return path

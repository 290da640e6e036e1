"""The payer of a payment channel written from the specification alone (channels 8.3 to 8.5), at the
other end of a session with a daemon, where it signs and sends what it likes."""
import os
import struct

import noise
from blocks import (Key, Tx, TxIn, TxOut, from_display, hash160, push, push_number, sha256d,
                    var_bytes)
from channel_guest import Guest
from channels import talker
from paychannels import CAPACITY, GENESIS, mine

OPEN, ACCEPT, FUNDED, READY, PAY, ACK, CLOSE, CLOSED, SYNC, FAIL = range(256, 276, 2)
PARAMS, SCRIPT, AMOUNT, SIG, DEPTH, STATE, LATE, LIMIT, UNKNOWN = range(2, 11)
PAYMENTS = b"\x80"  # features: payments, optional
N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
PAYER = b"\x71" * 32
COINS = Key(7)  # of those that channels are funded from
FEE = 133


def lock(payer, payee, expiry):
    """8.3"""
    h = bytes.fromhex
    return (h("74539c6352") + push(payer) + push(payee) + h("52ae6776aa818b01208026"
            "3044022079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f8179802207c7e01417e"
            "2102b405d7f0322a89d0f9f3a98e6f938fdc1c969a8d1382a2bf66a71ae74a1e83b0ad"
            "7601447f7701247f75aa78547f7701207f7588"
            "82012c947f77547f7c04feffffff88"
            "01207f77547f7501007e81") + push_number(expiry) + h("040065cd1da569") + push(payer) +
            h("ac68"))


def pay_to(pkh):
    return b"\x76\xa9\x14" + pkh + b"\x88\xac"


class Payer(Guest):
    def __init__(self, node, key):
        super().__init__(node, key, features=PAYMENTS)
        self.payer_key, self.payer_pkh = noise.CURVE.public(PAYER), hash160(b"payout")

    def answer(self, kind):
        """The next message of channels; of that type it must be. Who was refused for a limit is
        told of it again at some time."""
        while True:
            got, payload = self.next()
            if got >= OPEN and (got != READY or kind == READY):
                assert got == kind, (got, kind, payload)
                return payload

    def refused(self, kind, payload, code, about):
        self.put(kind, payload)
        answer = self.answer(FAIL)
        assert answer[:34] == about + struct.pack(">H", code), (answer[32:34], answer[36:])

    # --- opening ---

    def open_message(self, capacity, expiry, nonce, fee=FEE, key=None, kind=1):
        return nonce + struct.pack(">HQII", kind, capacity, expiry, fee) + \
            (key or self.payer_key) + self.payer_pkh + struct.pack(">H", 0)

    def open(self, capacity, expiry):
        nonce = os.urandom(32)
        self.put(OPEN, self.open_message(capacity, expiry, nonce))
        accept = self.answer(ACCEPT)
        self.id, self.capacity, self.nonce = accept[:32], capacity, nonce
        self.payee_key, self.payee_pkh = accept[64:97], accept[97:117]
        self.lock = lock(self.payer_key, self.payee_key, expiry)
        assert self.id == noise.tagged(b"bcapeer/chan", bytes.fromhex(self.key) + self.remote +
                                       nonce + accept[32:64])

    def fund(self, script=None, value=None):
        """A transaction that pays into the lock, out of a coin that the daemon gives."""
        rpc, key = self.node.rpc, COINS
        address = rpc.decodescript(key.script.hex())["addresses"][0]
        coin = rpc.getrawtransaction(rpc.sendtoaddress(address, "0.1"), 1)
        at = next(o for o in coin["vout"] if o["scriptPubKey"]["hex"] == key.script.hex())
        value = self.capacity if value is None else value
        tx = Tx([TxIn(from_display(coin["txid"]), at["n"])],
                [TxOut(value, script or self.lock), TxOut(10**7 - value - 1000, key.script)])
        tx.sign_input(0, key, 10**7, key.script)
        return tx

    def funded_message(self, tx, index=0, tail=b""):
        beef = b"\x01\x00\xbe\xef\x00\x01" + tx.serialize() + b"\x00" + tail
        return self.id + tx.txid() + struct.pack(">I", index) + struct.pack(">H", len(beef)) + beef

    # --- paying ---

    def digest(self, paid, fee=FEE):
        """Of the close, BIP 143."""
        rest = self.capacity - paid - fee
        outs = [TxOut(paid, pay_to(self.payee_pkh))] if 0 < paid < 1 << 63 else []
        outs += [TxOut(rest, pay_to(self.payer_pkh))] if rest > 0 else []
        at = self.funding.txid() + struct.pack("<I", 0)
        return sha256d(struct.pack("<i", 1) + sha256d(at) + sha256d(b"\xff" * 4) + at +
                       var_bytes(self.lock) + struct.pack("<qI", self.capacity, 0xffffffff) +
                       sha256d(b"".join(o.serialize() for o in outs)) +
                       struct.pack("<II", 0, 0x41))

    def sign(self, paid, fee=FEE, secret=PAYER):
        return noise.CURVE.sign(secret, self.digest(paid, fee))

    def pay(self, n, paid, sig=None):
        return self.id + struct.pack(">QQ", n, paid) + (sig or self.sign(paid)) + b"\x00"

    def close_message(self, paid, fee=FEE, sig=None):
        return self.id + struct.pack(">QI", paid, fee) + (sig or self.sign(paid, fee))

    # --- taking back ---

    def preimage(self, value, lock_time, sequence, other=b"", version=1):
        """8.3, of a refund that pays so much. other: the outpoint of a second input."""
        at = self.funding.txid() + struct.pack("<I", 0)
        sequences = struct.pack("<I", sequence) * (2 if other else 1)
        return (struct.pack("<i", version) + sha256d(at + other) + sha256d(sequences) + at +
                var_bytes(self.lock) + struct.pack("<qI", self.capacity, sequence) +
                sha256d(TxOut(value, pay_to(self.payer_pkh)).serialize()) +
                struct.pack("<II", lock_time, 0x41))

    def refund(self, lock_time, skip=0, sequence=0xfffffffe, secret=PAYER, preimage=None,
               fits=None, second=False, version=1, below=b""):
        """Raw. skip: so many others that fit as well are passed over. preimage: that instead of
        the right one. fits: whether it does, by its digest. second: with another input. below:
        what lies under the two elements."""
        change = TxIn(self.funding.txid(), 1, sequence=sequence)
        value, other = self.capacity - 320, change.outpoint() if second else b""
        fits = fits or (lambda digest: digest[0] <= 0x7e and digest[31] <= 0x7f)
        while True:
            made = self.preimage(value, lock_time, sequence, other, version)
            digest = sha256d(made)
            if fits(digest):
                if skip == 0:
                    break
                skip -= 1
            value -= 1
        signature = Key(int.from_bytes(secret, "big")).sign(digest) + b"\x41"
        inputs = [TxIn(self.funding.txid(), 0, below + push(signature) + push(preimage or made),
                       sequence)] + [change] * second
        tx = Tx(inputs, [TxOut(value, pay_to(self.payer_pkh))], version, lock_time)
        if second:
            tx.sign_input(1, COINS, self.funding.outputs[1].value, COINS.script)
        return tx.serialize()

    def sync(self, n, paid):
        return self.id + struct.pack(">BBQQI", 1, 4, n, paid, FEE) + bytes(64) + bytes(4)


def high(sig):
    """The same signature with the other S."""
    s = N - int.from_bytes(sig[32:], "big")
    return sig[:32] + s.to_bytes(32, "big")


def changed_push(raw):
    """The close with the push of the payer's signature in a longer form: valid in a block alone."""
    at = raw.index(b"\x00", 41) + 1  # behind the empty element
    return raw[:41] + bytes([raw[41] + 1]) + raw[42:at] + b"\x4c" + raw[at:]


def payee(t, *options):
    """A daemon with an identity, and a session with a payer who is its contact."""
    node, key = talker(t, GENESIS, *options)
    payer = stranger(t, node, key)
    node.rpc.contactadd(payer.key, "mallory")
    return node, payer.connect()


def stranger(t, node, key):
    """A payer whom the daemon does not know, and who is not connected yet."""
    payer = Payer(node, key)
    t.cleanups.append(payer.close)
    return payer


def open_channel(node, payer, blocks=1000, capacity=CAPACITY):
    """Funded in a block, and ready."""
    payer.open(capacity, node.rpc.getblockcount() + blocks)
    payer.funding = payer.fund()
    node.rpc.sendrawtransaction(payer.funding.serialize().hex())
    mine(node)
    payer.put(FUNDED, payer.funded_message(payer.funding))
    payer.answer(READY)

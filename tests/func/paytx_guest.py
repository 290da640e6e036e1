"""Who pays by a transaction over a direct channel, written from the specification alone (channels
4.2 rows 288 to 292, BRC-29, 42, 62, 95), at the other end of a session with a daemon."""
import hmac
import os
import struct
import threading

import noise
from blocks import Key, Tx, TxIn, TxOut, from_display, hash160
from channel_guest import PING, PONG, Guest
from channels import talker
from framework import Rpc
from paychannels import mine

REQUEST, TX, RESULT = 288, 290, 292
ACCEPTED, INVALID, WRONG_AMOUNT, PROOF_MISSING, REFUSED = range(5)
PAYMENTS = b"\x80"  # features: payments, optional
PREFIX, SUFFIX = b"cHJlZml4", b"c3VmZml4"
COIN_KEY = Key(7)
COIN = 10**7
FEE = 1000
SATOSHIS = 123456


def child_key(key, shared, prefix, suffix):
    """Of the key of a payee (BRC-42)."""
    invoice = b"2-3241645161d8-" + prefix + b" " + suffix
    return noise.CURVE.tweaked("add", key, hmac.digest(shared, invoice, "sha256"))


def own_key(guest, prefix, suffix):
    """That at which a guest is paid."""
    shared = noise.CURVE.tweaked("mul", guest.remote, guest.secret)
    return child_key(noise.CURVE.public(guest.secret), shared, prefix, suffix)


def pay_to(key):
    return b"\x76\xa9\x14" + hash160(key) + b"\x88\xac"


def p_tx(identifier, beef, outputs=((0, SUFFIX),), prefix=PREFIX, tail=b""):
    payload = identifier + bytes([len(prefix)]) + prefix + bytes([len(outputs)])
    for index, suffix in outputs:
        payload += struct.pack(">IB", index, len(suffix)) + suffix
    return payload + struct.pack(">H", len(beef)) + beef + tail


def read_p_tx(payload):
    """id, prefix, [(index, suffix)], BEEF."""
    at = 17 + payload[16]
    identifier, prefix, n = payload[:16], payload[17:at], payload[at]
    at += 1
    outputs = []
    for _ in range(n):
        index, size = struct.unpack(">IB", payload[at:at + 5])
        outputs.append((index, payload[at + 5:at + 5 + size]))
        at += 5 + size
    size = struct.unpack(">H", payload[at:at + 2])[0]
    return identifier, prefix, outputs, payload[at + 2:at + 2 + size]


def p_result(identifier, status, txid=bytes(32)):
    return identifier + struct.pack(">H", status) + txid


def accept(payment):
    """The answer that takes what await_payment gave."""
    return p_result(payment[0], ACCEPTED, payment[3][4:36])  # that which the Atomic BEEF names


def p_request(identifier, satoshis, expires, memo=b"", prefix=PREFIX):
    return identifier + struct.pack(">QIB", satoshis, expires, len(prefix)) + prefix + \
        struct.pack(">H", len(memo)) + memo


class Payer(Guest):
    def __init__(self, node, key):
        super().__init__(node, key, features=PAYMENTS)

    def script(self, prefix=PREFIX, suffix=SUFFIX):
        shared = noise.CURVE.tweaked("mul", self.remote, self.secret)
        return pay_to(child_key(self.remote, shared, prefix, suffix))

    def place(self, coin):
        """The output that the key of the guest has."""
        return next(o["n"] for o in coin["vout"]
                    if o["scriptPubKey"]["hex"] == COIN_KEY.script.hex())

    def coin(self):
        """Of COIN satoshis, which the daemon gives and a block has; its transaction."""
        rpc = self.node.rpc
        address = rpc.decodescript(COIN_KEY.script.hex())["addresses"][0]
        coin = rpc.sendtoaddress(address, "0.1")
        mine(self.node)
        return rpc.getrawtransaction(coin, 1)

    def spend(self, coin, *outputs, good=True):
        """What spends it, signed unless it is not good."""
        tx = Tx([TxIn(from_display(coin["txid"]), self.place(coin))],
                [TxOut(value, script) for value, script in outputs])
        tx.sign_input(0, COIN_KEY if good else Key(8), COIN, COIN_KEY.script)
        return tx

    def beef(self, tx, coin, change=lambda bump: bump, atomic=True):
        bump = change(bytes.fromhex(self.node.rpc.getbump(coin["txid"])))
        inner = b"\x01\x00\xbe\xef\x01" + bump + b"\x02" + bytes.fromhex(coin["hex"]) + \
            b"\x01\x00" + tx.serialize() + b"\x00"
        return b"\x01\x01\x01\x01" + tx.txid() + inner if atomic else inner

    def payment(self, satoshis, identifier=None, prefix=PREFIX, suffix=SUFFIX):
        """A p_tx that pays so much, and its id and transaction."""
        coin = self.coin()
        identifier = identifier or os.urandom(16)
        tx = self.spend(coin, (satoshis, self.script(prefix, suffix)),
                        (COIN - satoshis - FEE, COIN_KEY.script))
        return p_tx(identifier, self.beef(tx, coin), ((0, suffix),), prefix), identifier, tx

    def await_payment(self):
        """The next p_tx, read."""
        while True:
            kind, payload = self.next()
            if kind == TX:
                return read_p_tx(payload)

    def result(self):
        """id, status and txid of the next answer."""
        while True:
            kind, payload = self.next()
            if kind == RESULT:
                return payload[:16], struct.unpack(">H", payload[16:18])[0], payload[18:]

    def hand_over(self, payload):
        """The status of the answer."""
        self.put(TX, payload)
        identifier, status, _ = self.result()
        assert identifier == payload[:16], (identifier, payload[:16])
        return status

    def answers(self):
        """How many payments are answered before a ping is."""
        self.put(PING, struct.pack(">HH", 1, 0))
        kind, n = PING, 0
        while kind != PONG:
            kind, _ = self.next()
            n += kind == RESULT
        return n


def payee(t, *options, contact=True):
    """A daemon with an identity, and a session with a payer."""
    node, key = talker(t, *options)
    payer = Payer(node, key)
    t.cleanups.append(payer.close)
    if contact:
        node.rpc.contactadd(payer.key, "mallory")
    return node, payer.connect()


class Payment:
    """pay of a daemon, by a connection of its own, since it waits for the payee."""

    def __init__(self, node, **more):
        self.node, self.answer = node, None
        self.worker = threading.Thread(target=self.work, args=(more,))
        self.worker.start()

    def work(self, more):
        rpc = Rpc(self.node.rpc_port, self.node.cookie)
        try:
            self.answer = rpc.pay(**{"contact": "mallory", "satoshis": SATOSHIS,
                                     "transaction": True, **more})
        except Exception as error:  # told by who asks for the answer
            self.answer = error
        rpc.close()

    def end(self):
        self.worker.join()
        return self.answer

"""The payee of a payment channel written from the specification alone (channels 8.3 to 8.8), which
says to a paying daemon what it likes."""
import os
import struct
import threading

import noise
from blocks import hash160
from channel_guest import Guest
from channels import is_up, talker
from framework import Rpc, RpcError, wait_until
from paychan_guest import ACCEPT, FUNDED, OPEN, PAY, PAYMENTS, READY, SYNC, FEE, lock
from paychannels import CAPACITY, GENESIS, mine, state

PAYEE = b"\x61" * 32


def opening(node, contact, capacity):
    """openchannel returns when the guest has answered: in a thread. The guest has seen the session
    up first."""
    result = {}
    wait_until(lambda: is_up(node, contact), what="the session")

    def work():
        try:
            result["opened"] = Rpc(node.rpc_port, node.cookie).openchannel(contact, capacity)
        except RpcError as error:
            result["refused"] = str(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, result


class Payee(Guest):
    def __init__(self, node, key, secret=None):
        super().__init__(node, key, secret, features=PAYMENTS)
        self.payee_key, self.payee_pkh = noise.CURVE.public(PAYEE), hash160(b"payee out")

    def answer(self, kind):
        """The next message of that type; others of channels are passed over."""
        while True:
            got, payload = self.next()
            if got == kind:
                return payload

    def take_open(self):
        """The chan_open that comes next, and what the channel is then."""
        m = self.answer(OPEN)
        self.nonce_a, self.nonce_b = m[:32], os.urandom(32)
        _, self.capacity, self.expiry, self.fee = struct.unpack(">HQII", m[32:50])
        self.payer_key, self.payer_pkh = m[50:83], m[83:103]
        self.lock = lock(self.payer_key, self.payee_key, self.expiry)
        self.id = noise.tagged(b"bcapeer/chan", self.remote + bytes.fromhex(self.key) +
                               self.nonce_a + self.nonce_b)

    def accept(self, id=None, key=None, depth=1, margin=144):
        self.put(ACCEPT, (id or self.id) + self.nonce_b + (key or self.payee_key) +
                 self.payee_pkh + struct.pack(">BH", depth, margin))

    def open(self, contact, capacity):
        """Agrees to what the daemon opens; the transaction that funds is on its way then."""
        thread, result = opening(self.node, contact, capacity)
        self.take_open()
        self.accept()
        self.take_funded()
        thread.join()
        return result["opened"]

    def take_funded(self):
        m = self.answer(FUNDED)
        self.outpoint, self.beef = m[32:68], m[70:]

    def ready(self, height, limit=10**8):
        self.put(READY, self.id + struct.pack(">IBBQ", height, 1, 8, limit))

    def take_payment(self):
        """n, paid and signature of the next one."""
        m = self.answer(PAY)
        return struct.unpack(">QQ", m[32:48]) + (m[48:112],)

    def copy(self, outpoint=None, payer_key=None):
        return struct.pack(">H", 1) + (payer_key or self.payer_key) + self.payee_key + \
            struct.pack(">IQ", self.expiry, self.capacity) + (outpoint or self.outpoint) + \
            struct.pack(">I", self.fee) + self.payer_pkh + self.payee_pkh + self.nonce_a + \
            self.nonce_b

    def sync(self, n, paid, sig, copy=None, state=3):
        self.put(SYNC, self.id + struct.pack(">BBQQI", 2, state, n, paid, FEE) + sig + bytes(4) +
                 (b"\x01\xe0" + copy if copy else b""))


def payer_of(t, *options):
    """A daemon with an identity, and a session with a payee who is its contact."""
    node, key = talker(t, GENESIS, *options)
    payee = Payee(node, key)
    t.cleanups.append(payee.close)
    node.rpc.contactadd(payee.key, "mallory")
    payee.connect()
    return node, payee


def open_to(t, node, payee):
    """A channel over which nothing was paid yet."""
    payee.open("mallory", CAPACITY)
    mine(node)
    payee.ready(node.rpc.getblockcount())
    t.wait(lambda: state(node, payee.id.hex()) == "open")
    return payee

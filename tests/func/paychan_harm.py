"""Steps of scenarios in which a payee that is a daemon meets a payer that means harm (see
paychan_scene). When the daemon was killed the payer comes again and says where it stands."""
import os
import struct
import time

from blocks import TxOut, display, spend
from channel_guest import ERROR, SUCCESSOR, statement
from framework import check, equal
from p2p import Peer
from paychan_guest import (ACCEPT, ACK, AMOUNT, CAPACITY, CLOSE, CLOSED, COINS, DEPTH, FAIL, FEE,
                           FUNDED, OPEN, PARAMS, PAY, READY, SCRIPT, SIG, STATE, SYNC, UNKNOWN,
                           Payer, high, payee)
from paychan_scene import Scene
from paychannels import channel, mine, mine_these, spender, state, sums

LIFE = 300
MARGIN = 36
BLOCK_S = 600


class Harm(Scene):
    OPTIONS = (f"-paychannelmargin={MARGIN}", "-paychannelchild=1000", "-paychannelopens=1000")

    def __init__(self, t):
        self.node, self.payer = payee(t, *self.OPTIONS)
        super().__init__(t, payee=self.node)
        self.n = self.paid = 0
        self.fee = FEE
        self.id = None

    # --- talking ---

    def is_together(self):
        if "-channel=0" not in self.options[self.node]:
            self.payer.close()
            self.payer.connect()
            if self.id and self.payer.funding:
                self.says_where_it_stands()

    def says_where_it_stands(self):
        self.payer.put(SYNC, self.payer.sync(self.n, self.paid))
        self.hears(SYNC)

    def hears(self, kind):
        """Others of channels may come before."""
        while True:
            got, payload = self.payer.next()
            if got == kind:
                return payload

    def is_refused(self, kind, payload, code, about=None):
        self.payer.put(kind, payload)
        answer = self.hears(FAIL)
        equal((answer[:32], struct.unpack(">H", answer[32:34])[0]), (about or self.payer.id, code))
        if self.id and self.payer.funding and state(self.node, self.id) == "open":
            found = channel(self.node, self.id)
            equal((found["n"], found["paid"]), (self.n, self.paid))

    # --- opening ---

    def is_refused_an_opening(self, **more):
        fields = {"capacity": CAPACITY, "expiry": self.tip() + LIFE, "nonce": os.urandom(32),
                  **more}
        self.is_refused(OPEN, self.payer.open_message(**fields), PARAMS, fields["nonce"])
        equal(self.node.rpc.listpaychannels(), [])

    def tip(self):
        return self.node.rpc.getblockcount()

    def asks_for_an_expiry_that_is_past(self):
        self.is_refused_an_opening(expiry=self.tip() - 1)
        self.is_refused_an_opening(expiry=0)

    def asks_for_an_expiry_that_is_near(self):
        self.is_refused_an_opening(expiry=self.tip() + MARGIN + 143)

    def asks_for_an_expiry_that_is_far(self):
        self.is_refused_an_opening(expiry=self.tip() + 4033)

    def asks_for_too_little(self):
        self.is_refused_an_opening(capacity=9999)

    def asks_for_too_much(self):
        self.is_refused_an_opening(capacity=10**8 + 1)

    def offers_too_low_a_fee(self):
        self.is_refused_an_opening(fee=FEE - 1)

    def agrees(self):
        self.payer.funding = None
        self.payer.open(CAPACITY, self.tip() + LIFE)
        self.id = self.payer.id.hex()

    def agrees_again(self):
        """The same question has the same answer, and another one with its nonce none."""
        message = self.payer.open_message(CAPACITY, channel(self.node, self.id)["expiry"],
                                          self.payer.nonce)
        self.payer.put(OPEN, message)
        equal(self.hears(ACCEPT)[:32], self.payer.id)
        self.is_refused(OPEN, self.payer.open_message(CAPACITY - 1, self.tip() + LIFE,
                                                      self.payer.nonce), PARAMS, self.payer.nonce)

    # --- funding ---

    def coins(self):
        """Transactions that fund rightly and wrongly; what they are made of is in a block."""
        if not getattr(self, "made", None):
            lock = self.payer.lock
            self.made = [self.payer.fund(**how) for how in
                         ({}, {"script": lock[:-1] + b"\x67"}, {"value": CAPACITY - 1},
                          {"script": lock.replace(b"\xf6\x9c", b"")})]
            mine(self.node)
        return self.made

    def is_refused_a_funding(self, tx, index=0):
        self.is_refused(FUNDED, self.payer.funded_message(tx, index), SCRIPT)
        equal((state(self.node, self.id), channel(self.node, self.id)["funding"]),
              ("accepted", "none"))

    def shows_another_script(self):
        self.is_refused_a_funding(self.coins()[1])

    def shows_another_value(self):
        self.is_refused_a_funding(self.coins()[2])

    def shows_another_output(self):
        self.is_refused_a_funding(self.coins()[0], 1)

    def shows_nothing(self):
        self.is_refused(FUNDED, self.payer.id + bytes(36) + b"\0\0", SCRIPT)
        equal(state(self.node, self.id), "accepted")

    def shows_a_funding_that_is_in_no_block(self):
        self.payer.put(FUNDED, self.payer.funded_message(self.coins()[0]))
        self.t.wait(lambda: state(self.node, self.id) == "seen")
        self.payer.funding = self.coins()[0]

    def pays_before_it_is_open(self):
        self.is_refused(PAY, self.payer.id + struct.pack(">QQ", 1, 1) + bytes(65), STATE)

    def pays_after_it_was_open(self):
        self.is_refused(PAY, self.payer.pay(1, 1000), DEPTH)

    def has_the_funding_in_a_stale_block(self):
        stale = mine_these(self.node, self.payer.funding.serialize())
        self.hears(READY)
        self.node.rpc.invalidateblock(stale)
        mine_these(self.node)
        mine_these(self.node)
        self.t.wait(lambda: channel(self.node, self.id)["funding"] == "unconfirmed")

    def spends_the_coin_otherwise(self):
        coin = self.payer.funding.inputs[0]
        other = spend(COINS, coin.txid, coin.index, 10**7, [TxOut(10**7 - 1000, COINS.script)])
        mine_these(self.node, other.serialize())
        mine_these(self.node)

    def funds(self):
        """In a block, and shown."""
        self.payer.funding = self.coins()[0]
        mine_these(self.node, self.payer.funding.serialize())
        self.payer.put(FUNDED, self.payer.funded_message(self.payer.funding))
        self.hears(READY)

    def opens(self):
        self.agrees()
        self.funds()

    # --- an old copy of its data ---

    def payee_is_copied(self):
        self.keep(self.node)
        self.is_together()

    def payee_is_put_back(self):
        """It knows of no funding, and shall not take the one that is spent."""
        self.n = self.paid = 0
        self.payer.funding, self.spent = None, self.payer.funding
        self.put_back(self.node)
        self.is_together()
        equal(state(self.node, self.id), "accepted")

    def shows_the_one_that_is_spent(self):
        self.is_refused_a_funding(self.spent)

    # --- paying ---

    def is_taken_from(self):
        """A payee that has just started looks for the funding first, and says when it has seen it:
        until then nothing is looked at further."""
        self.payer.put(SYNC, self.payer.sync(self.n, self.paid))
        while struct.unpack(">Q", self.hears(READY)[38:])[0] < max(self.paid, 1):
            pass

    def pays(self, paid):
        """That sum in all."""
        self.n, self.paid = self.n + 1, paid
        self.payer.put(PAY, self.payer.pay(self.n, paid))
        got, payload = self.payer.next()
        while got not in (ACK, FAIL):
            got, payload = self.payer.next()
        if got == FAIL:
            equal(struct.unpack(">H", payload[32:34])[0], DEPTH)
            self.is_taken_from()
            self.payer.put(PAY, self.payer.pay(self.n, paid))
            payload = self.hears(ACK)
        equal(payload, self.payer.id + struct.pack(">QQ", self.n, paid))

    def pays_wrongly(self, paid, code, sig=None, n=None):
        self.is_refused(PAY, self.payer.pay(n or self.n + 1, paid, sig), code)

    def pays_less(self):
        self.pays_wrongly(self.paid - 1, AMOUNT)

    def pays_nothing_more(self):
        self.pays_wrongly(self.paid, AMOUNT)

    def pays_more_than_there_is(self):
        for paid in (CAPACITY - FEE + 1, 2**64 - 1):
            self.pays_wrongly(paid, AMOUNT, self.payer.sign(self.paid + 1))

    def pays_more_than_is_safe(self):
        self.pays_wrongly(100001, DEPTH)

    def pays_under_the_same_number(self):
        """It is told where it stands."""
        self.payer.put(PAY, self.payer.pay(self.n, self.paid + 1))
        equal(self.hears(ACK), self.payer.id + struct.pack(">QQ", self.n, self.paid))

    def leaves_a_number_out(self):
        """Right after a chan_sync that would be allowed: another payment comes before."""
        self.pays(self.paid + 1)
        self.pays_wrongly(self.paid + 1, STATE, n=self.n + 2)

    def signs_wrongly(self):
        p, more = self.payer, self.paid + 1
        self.is_taken_from()
        for sig in (bytes(64), p.sign(more + 1), p.sign(more, FEE + 1),
                    p.sign(more, secret=b"\x72" * 32)):
            self.pays_wrongly(more, SIG, sig)

    def signs_with_a_high_s(self):
        self.is_taken_from()
        self.pays_wrongly(self.paid + 1, SIG, high(self.payer.sign(self.paid + 1)))

    def pays_into_a_channel_that_is_not_there(self):
        other = os.urandom(32)
        self.is_refused(PAY, other + self.payer.pay(self.n + 1, self.paid + 1)[32:], UNKNOWN, other)

    def sends_a_wrong_one_amid_others(self):
        """What comes before it is taken, what comes after it when it comes again."""
        p, n, paid = self.payer, self.n, self.paid
        self.is_taken_from()
        p.socket.sendall(b"".join(
            p.packet(PAY, p.pay(n + i, paid + i, bytes(64) if i == 3 else None))
            for i in range(1, 7)))
        equal(self.hears(FAIL)[32:34], struct.pack(">H", SIG))
        self.n, self.paid = n + 2, paid + 2
        equal(channel(self.node, self.id)["paid"], self.paid)

    def sends_the_last_of_them(self):
        self.n, self.paid = self.n + 4, self.paid + 4
        self.is_taken_from()
        self.payer.put(PAY, self.payer.pay(self.n, self.paid))
        equal(self.hears(ACK), self.payer.id + struct.pack(">QQ", self.n, self.paid))

    # --- time ---

    def blocks_stop(self):
        tip = self.node.rpc.getblockheader(self.node.rpc.getbestblockhash())["time"]
        self.it_is(tip + 7201)

    def it_is(self, now):
        """Also after a kill."""
        self.now = now
        self.options[self.node] = [f"-mocktime={now}"]
        self.node.rpc.setmocktime(now)

    def is_taken_nothing_from(self):
        self.pays_wrongly(self.paid + 1, DEPTH)
        self.t.wait(lambda: "blocks are missing" in channel(self.node, self.id).get("alarm", ""))

    def margin_begins_by_the_clock(self):
        left = channel(self.node, self.id)["expiry"] - self.tip() - MARGIN
        tip = self.node.rpc.getblockheader(self.node.rpc.getbestblockhash())["time"]
        self.it_is(tip + left * BLOCK_S + 1)
        self.t.wait(lambda: state(self.node, self.id) == "closing")

    # --- refunds ---

    def payee_sleeps(self):
        self.restarts(self.node, "-channel=0")

    def payee_wakes(self):
        self.restarts(self.node)
        self.is_together()

    def parks_a_refund(self):
        self.node.rpc.sendrawtransaction(self.payer.refund(self.expiry).hex())

    def sees_a_refund(self):
        """The parked one, or another one where a kill has lost that."""
        if not self.node.rpc.getrawnonfinalmempool() and state(self.node, self.id) == "open":
            self.parks_a_refund()
        self.is_alarmed()

    def notes_the_expiry(self):
        self.expiry = channel(self.node, self.id)["expiry"]

    def floods(self, count):
        """With refunds that differ, over two connections."""
        peers = [Peer.connect(self.node) for _ in range(2)]
        for i in range(count):
            peers[i % 2].send("tx", self.payer.refund(self.expiry + i % 50, skip=i // 50))
        for peer in peers:
            peer.ping()
            peer.close()

    def is_alarmed(self):
        self.t.wait(lambda: state(self.node, self.id) == "closing")

    # --- closing ---

    def closes_wrongly(self):
        """Whatever is wrong: the best one goes out."""
        p = self.payer
        for paid, fee, sig, code in (
                (2**64 - 1, FEE, p.sign(self.paid), AMOUNT),
                (CAPACITY - FEE + 1, FEE, p.sign(self.paid), AMOUNT),
                (self.paid, 2**32 - 1, p.sign(self.paid), AMOUNT),
                (self.paid - 1, FEE, None, AMOUNT), (self.paid, FEE - 1, None, AMOUNT),
                (self.paid, FEE + 1, p.sign(self.paid), SIG),
                (self.paid + 1, FEE, p.sign(self.paid), SIG)):
            self.is_refused(CLOSE, p.close_message(paid, fee, sig), code)
            self.hears(CLOSED)

    def closes_with_another_fee(self):
        """And a higher sum."""
        self.paid, self.fee = self.paid + 500, FEE + 70
        self.payer.put(CLOSE, self.payer.close_message(self.paid, self.fee))
        self.hears(CLOSED)

    def payee_closes(self):
        self.node.rpc.closechannel(self.id)

    def is_sent(self):
        self.t.wait(lambda: spender(self.node, self.id), what="a spend")

    def is_mined(self):
        self.is_sent()
        mine(self.node)
        self.t.wait(lambda: channel(self.node, self.id).get("spend_height"))

    # --- ends ---

    def ends_closed(self):
        mine(self.node, 5)
        self.t.wait(lambda: state(self.node, self.id) == "closed")
        found = channel(self.node, self.id)
        equal((found["spend"], found["settled_paid"], found["settled_fee"]),
              ("close", self.paid, self.fee))
        at = display(self.payer.funding.txid())
        rpc = self.node.rpc
        txs = [rpc.getrawtransaction(txid, 1) for txid in
               rpc.getblock(rpc.getblockhash(found["spend_height"]))["tx"]]
        settled = [sums(tx) for tx in txs if any(i.get("txid") == at for i in tx["vin"])]
        equal(settled, [[self.paid, CAPACITY - self.paid - self.fee]])
        equal(rpc.getrawnonfinalmempool(), [])

    def ends_unfunded(self):
        """It is forgotten after two days."""
        equal((state(self.node, self.id), channel(self.node, self.id)["funding"]),
              ("accepted", "none"))
        self.it_is(int(time.time()) + 49 * 3600)
        self.t.wait(lambda: not self.node.rpc.listpaychannels(), what="the end")

    def ends_unpaid(self):
        """What was signed for it is worth nothing; it is given up before the expiry."""
        equal(channel(self.node, self.id)["paid"], 0)
        check(channel(self.node, self.id)["funding"] != "confirmed", "it is not funded")
        mine(self.node, LIFE)
        self.t.wait(lambda: state(self.node, self.id) in (None, "abandoned"), what="the end")


class Heir(Harm):
    """The payer's key is followed by another one (2.7)."""
    OPTIONS = Harm.OPTIONS + ("-channelstrangers",)

    def __init__(self, t):
        super().__init__(t)
        self.old, self.announced = self.payer, False
        self.heir = Payer(self.node, self.payer.remote.hex())
        t.cleanups.append(self.heir.close)

    def is_together(self):
        super().is_together()
        if self.announced and self.payer is self.old:  # it says so in each session
            self.announces_an_heir()

    def announces_an_heir(self):
        self.announced = True
        self.old.put(SUCCESSOR, statement(self.old, self.heir))
        self.t.wait(lambda: any(h["key"] == self.heir.key for h in
                                self.node.rpc.contactlist()[0].get("successors", ())))

    def heir_is_nobody_yet(self):
        self.heir.connect()
        self.heir.put(SYNC, self.payer.sync(self.n, self.paid))
        while True:
            kind, payload = self.heir.next()
            if kind == FAIL:
                break
        equal(payload[:34], self.payer.id + struct.pack(">H", UNKNOWN))
        self.heir.close()

    def contact_takes_the_heir(self):
        self.node.rpc.contactset("mallory", {"successor": self.heir.key})
        for name in ("id", "capacity", "payee_key", "payee_pkh", "lock", "funding"):
            setattr(self.heir, name, getattr(self.old, name))
        self.old.close()
        self.payer = self.heir
        self.is_together()

    def old_key_is_served_no_more(self):
        """It gets no session."""
        self.old.knock()
        equal(self.old.next()[0], ERROR)
        self.old.close()
        equal(channel(self.node, self.id)["paid"], self.paid)

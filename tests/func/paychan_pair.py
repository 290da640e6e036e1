"""Steps of scenarios between a payer and a payee that are daemons both (see paychan_scene)."""
import concurrent.futures
import shutil
import signal
import time

from blocks import Block, from_display, sha256d
from channels import session
from events import read_events
from framework import Rpc, check, equal, raises_rpc, within
from identities import identity
from paychan_scene import Scene
from paychannels import (CAPACITY, CLOSE_FEE, Raw, channel, connect, in_pool, may_pay, mine, payers,
                         spender, state, sums, with_a_longer_push)

MARGIN = 36
LIFE = MARGIN + 145
DAYS = 86400


def worth(node):
    """What its wallets have in blocks, in satoshis."""
    return int(node.rpc.getbalance() * 10**8)


class Pair(Scene):
    OPTIONS = (f"-paychannelmargin={MARGIN}",)

    def __init__(self, t):
        self.a, self.b = payers(t, *self.OPTIONS)
        super().__init__(t, payer=self.a, payee=self.b)
        self.before = worth(self.a), worth(self.b)
        self.id = None
        self.paid = 0     # what the payer has signed for
        self.funding_fee = 0
        self.told_again = 0
        self.expected = None  # a sum that the close pays in place of that

    # --- who is there ---

    def has_channels(self, node):
        return node not in self.off and "-channel=0" not in self.options[node]

    def is_together(self):
        if self.has_channels(self.a) and self.has_channels(self.b):
            connect(self.t, self.a, self.b)

    def those_with_channels(self):
        return [node for node in (self.a, self.b) if self.has_channels(node)]

    def one(self):
        """Who can be asked: the payee, if it is there and has not given the channel up."""
        return next(node for node in reversed(self.those_with_channels())
                    if state(node, self.id) not in (None, "abandoned"))

    def goes(self, who):
        self.restarts(who, "-channel=0")

    def comes(self, who):
        self.restarts(who)
        self.is_together()

    def payee_goes(self):
        self.goes(self.b)

    def payer_goes(self):
        self.goes(self.a)

    def payee_comes_back(self):
        self.comes(self.b)

    def payer_comes_back(self):
        self.comes(self.a)

    # --- opening ---

    def wait_all(self, what):
        for node in self.those_with_channels():
            self.t.wait(lambda: state(node, self.id) == what,  # pylint: disable=W0640
                        what=f"{what}, not {channel(node, self.id)}")

    def openchannel(self, rpc=None):
        return (rpc or self.a.rpc).openchannel(contact="bob", satoshis=CAPACITY, expiry_blocks=LIFE)

    def opens(self):
        self.takes_for_opened(self.openchannel())

    def takes_for_opened(self, opened):
        self.id, self.funding, self.expiry = opened["id"], opened["txid"], opened["expiry"]
        self.funding_fee = -int(self.a.rpc.gettransaction(self.funding)["fee"] * 10**8)

    def in_thread(self, call):
        """On a connection of its own; who is asked may end before it answers."""
        pool = concurrent.futures.ThreadPoolExecutor()
        rpc = Rpc(self.a.rpc_port, self.a.cookie)
        future = pool.submit(call, rpc)
        pool.shutdown(wait=False)
        return future

    def payee_vanishes_before_it_accepts(self):
        self.b.signal(signal.SIGSTOP)
        opening = self.in_thread(self.openchannel)
        self.t.wait(lambda: [c["state"] for c in self.a.rpc.listpaychannels()] == ["opening"])
        self.b.kill()
        self.off.add(self.b)
        del opening

    def payer_vanishes_before_it_is_answered(self):
        self.same_tip()
        self.b.signal(signal.SIGSTOP)
        self.in_thread(self.openchannel)
        self.t.wait(lambda: [c["state"] for c in self.a.rpc.listpaychannels()] == ["opening"])
        self.a.kill()
        self.off.add(self.a)
        self.b.signal(signal.SIGCONT)

    def quietly_opens(self):
        """The payer ends meanwhile."""
        check(self.in_thread(self.openchannel).exception(within(60)), "nobody is there to answer")

    def payer_vanishes_after_the_accept(self):
        """Before it has made the funding: at the second record of its journal."""
        self.dies_at(self.a, "fdatasync:2:exit", self.quietly_opens, returns=False)
        self.t.wait(lambda: [c["state"] for c in self.b.rpc.listpaychannels()] == ["accepted"])

    def both_vanish_after_the_accept(self):
        """The payer when the funding is in its wallet; it comes back, the payee does not."""
        self.dies_at(self.a, "fdatasync:3:exit", self.quietly_opens, returns=False)
        self.b.kill()
        self.off.add(self.b)
        self.starts(self.a)
        self.payee_starts_without_channels()
        opened = self.t.wait(lambda: [c for c in self.a.rpc.listpaychannels()
                                      if c["state"] == "funded"])[0]
        self.takes_for_opened(opened)

    def payee_starts_without_channels(self):
        self.options[self.b] = ["-channel=0"]
        self.starts(self.b)
        self.same_tip()

    def days_pass(self, days):
        now = int(time.time()) + days * DAYS
        for node in (self.a, self.b):
            self.options[node] = [f"-mocktime={now}"]
            if node in self.off:
                self.starts(node)
            else:
                self.restarts(node, *self.options[node])

    def is_funded(self):
        in_pool(self.t, self.b, self.funding)
        mine(self.b)
        self.same_tip()
        self.wait_all("open")

    def is_deep(self):
        mine(self.b, 5)
        self.same_tip()

    # --- paying ---

    def may_pay(self):
        self.t.wait(lambda: may_pay(self.a, self.b, self.id, self.paid) and
                    channel(self.a, self.id)["acknowledged"] == self.paid,
                    what=f"payments beyond {self.paid}, not {channel(self.a, self.id)}")

    def pays(self, *amounts):
        self.may_pay()
        for amount in amounts:
            answer = self.a.rpc.pay("bob", amount)
            self.paid += amount
            equal((answer["acknowledged"], answer["paid"]), (True, self.paid))
        self.both_have(self.paid)

    def both_have(self, paid):
        for node in (self.a, self.b):
            equal(channel(node, self.id)["paid"], paid)

    def pays_times(self, satoshis, times):
        """All at once."""
        self.may_pay()
        answers = self.a.rpc.batch([("pay", ["bob", satoshis])] * times)
        self.paid += satoshis * times
        equal({r["error"] and r["error"]["message"] for r in answers}, {None})
        check(all(r["result"]["acknowledged"] for r in answers), "acknowledged")
        self.both_have(self.paid)

    def pays_all(self):
        self.pays(CAPACITY - CLOSE_FEE - self.paid)

    def may_not_pay(self, satoshis):
        """Not before the funding is deeper."""
        self.agree()
        self.t.wait(lambda: channel(self.a, self.id)["limit"] > 0)
        raises_rpc(-1, lambda: self.a.rpc.pay("bob", satoshis), "waits for more blocks")
        self.both_have(self.paid)

    def quietly_pays(self, amount=7):
        """One of the two, which has just started, ends meanwhile: nobody tells that it has
        arrived."""
        self.may_pay()
        future = self.in_thread(lambda rpc: rpc.pay("bob", amount))
        error = future.exception(within(60))
        check(error or not future.result()["acknowledged"], "it is not acknowledged")

    def agree(self):
        """Both sides have what the payer has signed."""
        self.t.wait(lambda: channel(self.a, self.id)["acknowledged"] == self.paid ==
                    channel(self.b, self.id)["paid"], what=f"{self.paid} on both sides, not "
                    f"{channel(self.a, self.id)}, {channel(self.b, self.id)}")

    def payer_dies_before_it_writes_a_payment(self):
        """It has not been made."""
        self.may_pay()
        self.dies_at(self.a, "pwrite:1:exit", self.quietly_pays)
        self.agree()

    def payer_dies_between_write_and_send(self):
        """It was made and is sent again: the payee takes it once."""
        self.may_pay()
        self.dies_at(self.a, "fdatasync:1:exit", self.quietly_pays)
        self.paid += 7
        self.agree()

    def payer_dies_between_send_and_ack(self):
        self.may_pay()
        self.same_tip()
        before = session(self.a, "bob")["bytes_sent"]
        self.b.signal(signal.SIGSTOP)
        self.in_thread(lambda rpc: rpc.pay("bob", 7))
        self.paid += 7
        self.t.wait(lambda: channel(self.a, self.id)["paid"] == self.paid)
        self.t.wait(lambda: session(self.a, "bob")["bytes_sent"] >= before + 115)
        self.a.kill()
        self.off.add(self.a)
        self.b.signal(signal.SIGCONT)
        blocks = self.blocks()
        self.starts(self.a)
        self.gets_back(self.a, blocks)
        self.same_tip()
        self.is_together()
        self.agree()

    def payee_dies_before_it_writes_a_payment(self):
        self.may_pay()
        self.dies_at(self.b, "pwrite:1:exit", self.quietly_pays)
        self.paid += 7
        self.agree()

    def payee_dies_between_write_and_ack(self):
        self.may_pay()
        self.dies_at(self.b, "fdatasync:1:exit", self.quietly_pays)
        self.paid += 7
        self.agree()

    def sends(self, times):
        """So many of a satoshi, of which not all are acknowledged."""
        self.may_pay()
        answers = self.in_thread(lambda rpc: rpc.batch([("pay", ["bob", 1])] * times)).result(within(60))
        made = [r["result"] for r in answers if not r["error"]]
        check(not all(r["acknowledged"] for r in made), "some are under way")
        self.paid = max(r["paid"] for r in made)
        equal(self.paid, channel(self.a, self.id)["paid"])

    def payee_dies_before_it_writes_any_of(self, times):
        self.may_pay()
        self.dies_at(self.b, "pwrite:1:exit", lambda: self.sends(times))
        self.agree()

    def payee_dies_before_it_acknowledges_any_of(self, times):
        self.may_pay()
        self.dies_at(self.b, "fdatasync:1:exit", lambda: self.sends(times))
        self.agree()

    def payee_dies_amid(self, times):
        """With some that are acknowledged, which may be few on a quick disk."""
        self.may_pay()
        self.dies_at(self.b, "fdatasync:2:exit", lambda: self.sends(times))
        self.agree()

    # --- closing ---

    def payer_closes(self):
        self.a.rpc.closechannel(self.id)

    def payee_closes(self):
        self.b.rpc.closechannel(self.id)

    def quietly_closes(self):
        self.t.wait(lambda: not channel(self.a, self.id)["locked"], what="the key of the payer")
        self.in_thread(lambda rpc: rpc.closechannel(self.id)).exception(within(60))

    def payer_dies_as_it_stores_the_close(self):
        self.dies_at(self.a, "fdatasync:1:exit", self.quietly_closes)

    def payee_dies_as_it_stores_the_close(self):
        self.dies_at(self.b, "fdatasync:1:exit", self.quietly_closes)

    def is_closing(self):
        self.t.wait(lambda: state(self.b, self.id) == "closing", what="closing")

    # --- blocks ---

    def comes_to(self, height):
        """Whoever has to send the funding again after a kill has done so before."""
        self.t.wait(lambda: not self.has_channels(self.a) or channel(self.a, self.id).get("height")
                    or self.funding in self.a.rpc.getrawmempool())
        mine(self.a, height - self.a.rpc.getblockcount())
        self.same_tip()

    def is_one_before(self, who, height):
        """Until then nothing happens."""
        self.comes_to(height - 1)
        self.t.wait(lambda: state(who, self.id) == "open")
        equal(spender(who, self.id), None)

    def comes_before_the_expiry(self):
        self.is_one_before(self.a, self.expiry)

    def comes_before_the_margin(self):
        self.is_one_before(self.b, self.expiry - MARGIN)

    def expires(self):
        self.comes_to(self.expiry)
        self.t.wait(lambda: state(self.a, self.id) == "refunding")

    def expires_while_both_are_away(self):
        self.comes_to(self.expiry + 1)

    def is_due(self):
        self.comes_to(self.expiry - MARGIN)
        want = "closing" if self.paid else "abandoned"
        self.t.wait(lambda: state(self.b, self.id) == want, what=want)

    def is_sent(self):
        self.t.wait(lambda: spender(self.one(), self.id), what="a spend")

    def is_mined(self):
        who = self.one()
        self.t.wait(lambda: channel(who, self.id).get("spend_height") or spender(who, self.id),
                    what="a spend")
        if not channel(who, self.id).get("spend_height"):
            mine(who)
        self.t.wait(lambda: channel(who, self.id).get("spend_height"), what="a spend in a block")
        self.same_tip()

    def fork(self, parent, *first, length):
        """So many blocks above that height; the first has these transactions."""
        tip = self.a.rpc.getblock(self.a.rpc.getblockhash(parent))
        previous, blocks = from_display(tip["hash"]), []
        for i in range(1, length + 1):
            block = Block.make(previous, parent + i, tip["time"] + i,
                               [Raw(raw) for raw in first] if i == 1 else ())
            blocks.append(block.serialize().hex())
            previous = block.hash()
        for node in self.running():
            for block in blocks:
                node.rpc.submitblock(block)  # it may come from the other as well
            self.t.wait(lambda: node.rpc.getblockcount()  # pylint: disable=W0640
                        == parent + length, what="the fork")
        self.same_tip()

    def height_of(self, what):
        """Of funding or spend as the payee sees it, which after a start takes a moment."""
        return self.t.wait(lambda: channel(self.b, self.id).get(what), what=what)

    def funding_leaves_the_chain(self):
        """A fork without it is longer by one."""
        height, tip = self.height_of("height"), self.b.rpc.getblockcount()
        self.fork(height - 1, length=tip - height + 2)
        for node in (self.a, self.b):
            self.t.wait(lambda: channel(node, self.id)["funding"]  # pylint: disable=W0640
                        == "unconfirmed", what="unconfirmed")
        self.t.wait(lambda: channel(self.a, self.id)["limit"] == 0)

    def funding_is_in_a_block_again(self):
        """By whoever has it: a kill may have lost one pool."""
        mine(self.t.wait(lambda: next((node for node in (self.a, self.b) if self.funding in
                                       node.rpc.getrawmempool()), None), what="the funding"))
        self.same_tip()
        self.wait_all("open")

    def close_leaves_the_chain(self):
        height, tip = self.height_of("spend_height"), self.b.rpc.getblockcount()
        self.fork(height - 1, length=tip - height + 2)
        self.t.wait(lambda: "spend_height" not in channel(self.b, self.id))
        self.t.wait(lambda: state(self.b, self.id) == "closing")

    # --- another transaction with the same outputs ---

    def funding_is_malleated(self, parent=None):
        """A block above that height has it under another id."""
        raw = bytes.fromhex(self.a.rpc.gettransaction(self.funding)["hex"])
        other = with_a_longer_push(raw)
        tip = self.a.rpc.getblockcount()
        parent = tip if parent is None else parent
        self.fork(parent, other, length=tip - parent + 1)
        self.funding = sha256d(other)[::-1].hex()
        for node in (self.a, self.b):
            self.t.wait(lambda: channel(node, self.id)["txid"]  # pylint: disable=W0640
                        == self.funding, what="the other funding")
        self.wait_all("open")

    def funding_is_malleated_in_a_fork(self):
        self.funding_is_malleated(self.height_of("height") - 1)

    def close_is_malleated(self):
        """A block has it with a longer push."""
        close = self.t.wait(lambda: spender(self.b, self.id))
        raw = bytes.fromhex(close["hex"])
        at = raw.index(b"\x00", 41) + 1  # behind the empty element
        self.fork(self.b.rpc.getblockcount(), raw[:41] + bytes([raw[41] + 1]) + raw[42:at] +
                  b"\x4c" + raw[at:], length=1)
        for node in (self.a, self.b):
            self.t.wait(lambda: channel(node, self.id).get("spend_height"))  # pylint: disable=W0640
            equal((channel(node, self.id)["spend"], channel(node, self.id)["settled_paid"]),
                  ("close", self.paid))

    # --- what is lost ---

    def payer_loses_its_channels(self):
        self.loses(self.a, self.b, "bob")

    def payee_loses_its_channels(self):
        self.loses(self.b, self.a, "alice")

    def loses(self, node, other, name):
        """Its contacts, too. The other side brings them back."""
        self.same_tip()
        node.stop()
        for part in self.PARTS:
            shutil.rmtree(node.file(part))
        self.starts(node)
        equal(node.rpc.listpaychannels(), [])
        node.rpc.contactadd(f"{identity(other, 'me')['public_key']}@{other.channel}", name)
        self.is_together()
        self.t.wait(lambda: channel(node, self.id), what="the channel")
        self.agree()

    def payer_is_copied(self):
        self.keep(self.a)
        self.is_together()

    def payee_is_copied(self):
        self.keep(self.b)
        self.is_together()

    def payer_is_put_back(self):
        """It adopts what it has signed since."""
        self.put_back(self.a)
        check(channel(self.a, self.id)["paid"] < self.paid, "it is an old one")
        self.same_tip()
        self.is_together()
        self.agree()

    def payee_is_put_back(self):
        """It gets the last payment again, of which its log of events has not lost anything."""
        self.put_back(self.b)
        check(channel(self.b, self.id)["paid"] < self.paid, "it is an old one")
        self.told_again = self.paid - channel(self.b, self.id)["paid"]
        self.same_tip()
        self.is_together()
        self.agree()

    def payee_is_put_back_alone(self):
        """Nobody tells it what it has lost."""
        self.put_back(self.b)
        self.same_tip()
        self.expected = channel(self.b, self.id)["paid"]
        check(self.expected < self.paid, "it is an old one")

    # --- keys ---

    def payer_has_another_key(self):
        """The contact takes it, and the old one is served no more (2.7)."""
        self.a.rpc.bcaregister("next", 2)
        mine(self.a, 2)
        self.same_tip()
        key = next(i["public_key"] for i in self.a.rpc.bcalist()["identities"]
                   if i["name"] == "next")
        self.before = worth(self.a) + self.funding_fee + CAPACITY, self.before[1]
        self.a.rpc.setsuccessor("me", "next")
        self.t.wait(lambda: any(h["key"] == key for h in
                                self.b.rpc.contactlist()[0].get("successors", ())))
        self.b.rpc.contactset("alice", {"successor": key})
        self.t.wait(lambda: any(p["identity"] == "next" and p["state"] == "up"
                                for p in self.a.rpc.peerlist()) or
                    connect(self.t, self.a, self.b))

    # --- ends ---

    def settled(self):
        """What the transaction that spent the funding pays."""
        found = channel(self.one(), self.id)
        rpc = self.one().rpc
        for txid in rpc.getblock(rpc.getblockhash(found["spend_height"]))["tx"]:
            tx = rpc.getrawtransaction(txid, 1)
            if any(i.get("txid") == found["txid"] for i in tx["vin"]):
                return sums(tx)
        raise AssertionError("nothing spends it")

    def is_final(self, what):
        mine(self.one(), 5)
        self.same_tip()
        self.wait_all(what)

    def wallets_have(self, payer, payee):
        """So much less, and so much more than before."""
        for node, before, change in ((self.a, self.before[0], payer),
                                     (self.b, self.before[1], payee)):
            self.t.wait(lambda: worth(node) == before + change,  # pylint: disable=W0640
                        what=f"{self.names[node]}: {before} and {change}, not {worth(node)}")

    def was_told(self, paid):
        """Each payment once, however often it came."""
        self.t.wait(lambda: sum(e["satoshis"] for e in read_events(self.b)
                                if e["type"] == "payment_received") == paid,
                    what=f"events of {paid}")

    def ends_closed(self):
        self.is_final("closed")
        got = self.paid if self.expected is None else self.expected
        rest = CAPACITY - got - CLOSE_FEE
        equal(self.settled(), [x for x in (got, rest) if x])
        for node in self.those_with_channels():
            found = channel(node, self.id)
            equal((found["spend"], found["settled_paid"], found["settled_fee"]),
                  ("close", got, CLOSE_FEE))
        equal(channel(self.one(), self.id)["paid"], got)
        self.wallets_have(-got - CLOSE_FEE - self.funding_fee, got)
        self.was_told(self.paid + self.told_again)

    def ends_refunded(self):
        mine(self.a, 5)
        self.t.wait(lambda: state(self.a, self.id) == "refunded", what="refunded")
        self.same_tip()
        value, = self.settled()
        check(288 <= CAPACITY - value < 400, f"a fee of {CAPACITY - value}")
        equal(channel(self.a, self.id)["spend"], "refund")
        self.wallets_have(value - CAPACITY - self.funding_fee, 0)

    def ends_lost(self):
        """A refund was first: the payee got nothing, and is told."""
        mine(self.one(), 5)
        self.same_tip()
        value, = self.settled()
        self.restarts(self.b)  # it is said again
        self.t.wait(lambda: "without paying us" in channel(self.b, self.id).get("alarm", ""),
                    what="an alarm")
        equal(channel(self.b, self.id)["spend"], "refund")
        self.wallets_have(value - CAPACITY - self.funding_fee, 0)

    def ends_unopened(self):
        for node in self.running():
            self.t.wait(lambda: not node.rpc.listpaychannels(),  # pylint: disable=W0640
                        what=f"no channels, not {node.rpc.listpaychannels()}")
            equal(node.rpc.getrawmempool(), [])
        self.wallets_have(0, 0)

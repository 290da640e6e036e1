"""Scenarios of payment channels as lists of steps, after each of which either side, or both, may be
killed: whatever is killed when, the end is the same. The ordinary run takes a few at random, the
long one all."""
import concurrent.futures
import os
import random
import shutil
import signal
import time

from framework import LONG, Rpc, RpcError, case, check, equal, main
from identities import kill_and_start
from paychannels import (CAPACITY, CLOSE_FEE, channel, connect, in_pool, mine, payers, spender,
                         state, sums)

MARGIN = 36
LIFE = MARGIN + 145
BOTH = 2
SEED = int(os.environ.get("BSVPEER_SEED") or random.SystemRandom().randrange(10**6))


class Scene:
    """Two daemons and what is known of the one channel between them."""

    def __init__(self, t, amounts):
        self.t, self.amounts = t, amounts
        self.a, self.b = payers(t, f"-paychannelmargin={MARGIN}")
        self.away = []  # those without direct channels
        self.paid = 0

    def both(self):
        return self.a, self.b

    def wait_both(self, what):
        self.t.wait(lambda: {state(node, self.id) for node in self.both()} == {what}, what=what)

    def is_together(self):
        if not self.away:
            connect(self.t, *self.both())

    def both_survive(self):
        """Killed together. What neither had written of the chain is mined again."""
        self.t.wait_same_tip(*self.both())
        blocks = [self.a.rpc.getblock(self.a.rpc.getblockhash(h), 0)
                  for h in range(1, self.a.rpc.getblockcount() + 1)]
        for node in self.both():
            node.kill()
        for node in self.both():
            node.start(*["-channel=0"] if node in self.away else [])
        for node in self.both():
            for block in blocks[node.rpc.getblockcount():]:
                node.rpc.submitblock(block)
        self.t.wait_same_tip(*self.both())
        self.is_together()

    def survives(self, victim):
        """It is killed and begins again; the other has all blocks."""
        other = self.b if victim is self.a else self.a
        if victim in self.away:
            self.t.wait_same_tip(*self.both())
            victim.kill()
            victim.start("-channel=0")
            self.t.wait_same_tip(*self.both())
        else:
            kill_and_start(self.t, victim, other)
        self.is_together()

    # --- steps ---

    def opens(self):
        opened = self.a.rpc.openchannel(contact="bob", satoshis=CAPACITY, expiry_blocks=LIFE)
        self.id, self.funding, self.expiry = opened["id"], opened["txid"], opened["expiry"]

    def is_funded(self):
        in_pool(self.t, self.b, self.funding)
        mine(self.b)
        self.t.wait_same_tip(*self.both())
        self.wait_both("open")

    def pays(self):
        self.t.wait(lambda: channel(self.a, self.id)["limit"] > 0)
        for amount in self.amounts:
            equal(self.a.rpc.pay("bob", amount)["acknowledged"], True)
            self.paid += amount
        equal(channel(self.b, self.id)["paid"], self.paid)

    def payer_closes(self):
        self.a.rpc.closechannel(self.id)

    def payee_closes(self):
        self.b.rpc.closechannel(self.id)

    def goes(self, who):
        self.t.wait_same_tip(*self.both())
        self.away.append(who)
        who.restart("-channel=0")
        self.t.wait_same_tip(*self.both())

    def payee_goes(self):
        self.goes(self.b)

    def payer_goes(self):
        self.goes(self.a)

    def comes_to(self, height):
        self.t.wait(lambda: self.a in self.away or channel(self.a, self.id).get("height")
                    or self.funding in self.a.rpc.getrawmempool())  # also after a kill
        mine(self.a, height - self.a.rpc.getblockcount())
        self.t.wait_same_tip(*self.both())

    def is_one_before(self, who, height):
        """Until then nothing happens."""
        self.comes_to(height - 1)
        equal((state(who, self.id), spender(who, self.id)), ("open", None))

    def comes_before_the_expiry(self):
        self.is_one_before(self.a, self.expiry)

    def comes_before_the_margin(self):
        self.is_one_before(self.b, self.expiry - MARGIN)

    def expires(self):
        self.comes_to(self.expiry)
        self.t.wait(lambda: state(self.a, self.id) == "refunding")

    def is_due(self):
        self.comes_to(self.expiry - MARGIN)
        self.t.wait(lambda: state(self.b, self.id) == "closing")

    def is_mined(self):
        who = self.a if self.b in self.away else self.b
        self.t.wait(lambda: channel(who, self.id).get("spend_height") or spender(who, self.id))
        if not channel(who, self.id).get("spend_height"):
            mine(who)
        self.t.wait(lambda: channel(who, self.id).get("spend_height"))
        self.t.wait_same_tip(*self.both())

    # --- ends ---

    def settled(self):
        """What the transaction that spent the funding pays."""
        who = self.a if self.b in self.away else self.b
        found = channel(who, self.id)
        height = found["spend_height"]
        for txid in who.rpc.getblock(who.rpc.getblockhash(height))["tx"]:
            tx = who.rpc.getrawtransaction(txid, 1)
            if any(i.get("txid") == found["txid"] for i in tx["vin"]):
                return sums(tx)
        raise AssertionError("nothing spends it")

    def ends_closed(self):
        mine(self.b, 5)
        self.t.wait_same_tip(*self.both())
        for node in self.both():
            if node not in self.away:
                self.t.wait(lambda: state(node, self.id) == "closed",  # pylint: disable=W0640
                            what="closed")
        rest = CAPACITY - self.paid - CLOSE_FEE
        equal(self.settled(), [x for x in (self.paid, rest) if x])

    def ends_refunded(self):
        mine(self.a, 5)
        self.t.wait(lambda: state(self.a, self.id) == "refunded")
        fee = CAPACITY - self.settled()[0]
        check(288 <= fee < 400, f"a fee of {fee}")


SCENARIOS = {
    "the payer closes": ([700, 1, 299], Scene.opens, Scene.is_funded, Scene.pays, Scene.pays,
                         Scene.payer_closes, Scene.is_mined, Scene.ends_closed),
    "the payee closes": ([5000], Scene.opens, Scene.is_funded, Scene.pays, Scene.payee_closes,
                         Scene.is_mined, Scene.ends_closed),
    "one satoshi": ([1], Scene.opens, Scene.is_funded, Scene.pays, Scene.payer_closes,
                    Scene.is_mined, Scene.ends_closed),
    "nothing": ([], Scene.opens, Scene.is_funded, Scene.payer_closes, Scene.is_mined,
                Scene.ends_closed),
    "the payee vanishes after the funding": (
        [], Scene.opens, Scene.payee_goes, Scene.expires, Scene.is_mined, Scene.ends_refunded),
    "the payee vanishes after payments": (
        [3000], Scene.opens, Scene.is_funded, Scene.pays, Scene.payee_goes,
        Scene.comes_before_the_expiry, Scene.expires, Scene.is_mined, Scene.ends_refunded),
    "the payer vanishes after payments": (
        [3000, 4], Scene.opens, Scene.is_funded, Scene.pays, Scene.payer_goes,
        Scene.comes_before_the_margin, Scene.is_due, Scene.is_mined, Scene.ends_closed),
}


def play(t, name, kill_after, victim):
    amounts, *steps = SCENARIOS[name]
    scene = Scene(t, amounts)
    try:
        for i, step in enumerate(steps):
            step(scene)
            if i == kill_after:
                if victim == BOTH:
                    scene.both_survive()
                else:
                    scene.survives(scene.both()[victim])
    except Exception as error:
        raise AssertionError(f"{name}, {('a', 'b', 'both')[victim]} killed after step "
                             f"{kill_after}: {error}") from error
    for node in scene.both():
        node.kill()


def all_kills():
    return [(name, i, victim) for name, (_, *steps) in SCENARIOS.items()
            for i in range(len(steps) - 1) for victim in (0, 1, BOTH)]


@case(timeout=3600 if LONG else 120)
def a_kill_after_any_step_changes_no_end(t):
    chosen = all_kills() if LONG else random.Random(SEED).sample(all_kills(), 2)
    print(f"seed {SEED}")
    for one in chosen:
        play(t, *one)


def copied(node, into):
    for name in ("paychannels", "channels"):
        shutil.rmtree(os.path.join(into, name), ignore_errors=True)
        shutil.copytree(node.file(name), os.path.join(into, name))


def put_back(node, source):
    for name in ("paychannels", "channels"):
        shutil.rmtree(node.file(name))
        shutil.copytree(os.path.join(source, name), node.file(name))


@case()
def an_older_close_of_the_payee_gives_the_payer_more(t):
    scene = Scene(t, [1000])
    a, b = scene.both()
    scene.opens()
    scene.is_funded()
    scene.pays()
    b.stop()
    copied(b, t.path(""))
    b.start()
    t.wait_same_tip(a, b)
    scene.is_together()
    scene.pays()  # the copy knows nothing of these
    scene.payer_goes()
    b.stop()
    put_back(b, t.path(""))
    b.start()
    t.wait_same_tip(a, b)
    b.rpc.closechannel(scene.id)
    equal(sums(t.wait(lambda: spender(b, scene.id)))[0], 1000)
    mine(b)
    t.wait_same_tip(a, b)
    a.restart()
    t.wait(lambda: state(a, scene.id) == "closed")
    found = channel(a, scene.id)
    equal((found["paid"], found["settled_paid"]), (2000, 1000))


@case()
def a_payee_that_sleeps_to_the_expiry_may_lose_and_is_told(t):
    scene = Scene(t, [9000])
    a, b = scene.both()
    scene.opens()
    scene.is_funded()
    scene.pays()
    scene.payee_goes()
    scene.expires()  # the refund is in both mempools, and was there first
    refund = t.wait(lambda: spender(a, scene.id))
    in_pool(t, b, refund["txid"])
    b.restart()
    t.wait(lambda: state(b, scene.id) == "closing")
    equal(spender(b, scene.id)["txid"], refund["txid"])
    t.wait(lambda: channel(b, scene.id).get("alarm_level") == "urgent")
    mine(a)
    t.wait_same_tip(a, b)
    t.wait(lambda: "without paying us" in channel(b, scene.id).get("alarm", ""))
    equal(channel(b, scene.id)["spend"], "refund")
    mine(a, 5)
    t.wait(lambda: state(a, scene.id) == "refunded")


@case()
def a_close_that_is_first_after_the_expiry_settles(t):
    scene = Scene(t, [9000])
    a, b = scene.both()
    scene.opens()
    scene.is_funded()
    scene.pays()
    scene.payee_goes()
    scene.payer_goes()
    scene.comes_to(scene.expiry + 1)
    b.restart()
    close = t.wait(lambda: spender(b, scene.id))
    equal(sums(close), [9000, CAPACITY - 9000 - CLOSE_FEE])
    in_pool(t, a, close["txid"])
    a.restart()
    t.wait_same_tip(a, b)
    mine(b, 6)
    for node in (a, b):
        t.wait(lambda: state(node, scene.id) == "closed")  # pylint: disable=W0640
    equal(channel(a, scene.id)["settled_paid"], 9000)


@case()
def a_payee_that_vanishes_before_it_accepts_locks_up_nothing(t):
    a, b = payers(t)
    before = a.rpc.getbalance()
    b.process.send_signal(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        opening = pool.submit(lambda: Rpc(a.rpc_port, a.cookie).openchannel("bob", CAPACITY))
        t.wait(lambda: [c["state"] for c in a.rpc.listpaychannels()] == ["opening"])
        b.kill()
        a.rpc.setmocktime(int(time.time()) + 61)  # it waits for a minute
        check(isinstance(opening.exception(90), RpcError), "it says that nothing was opened")
    b.start()
    t.wait_same_tip(a, b)
    connect(t, a, b)
    t.wait(lambda: not a.rpc.listpaychannels(), 90)
    equal((a.rpc.getbalance(), a.rpc.getrawmempool()), (before, []))


def undone(t, scene, blockhash):
    """The block and all above it, at both."""
    t.wait_same_tip(*scene.both())
    for node in scene.both():
        node.rpc.invalidateblock(blockhash)
    t.wait_same_tip(*scene.both())


@case(timeout=3600 if LONG else 120)
def forks_of_any_depth_leave_everybody_what_is_theirs(t):
    """The close is undone after so many blocks, and comes back; the same before of the funding."""
    for depth in range(1, 11) if LONG else random.Random(SEED).sample(range(1, 11), 1):
        scene = Scene(t, [1234])
        a, b = scene.both()
        scene.opens()
        scene.is_funded()
        scene.pays()
        mine(b, depth - 1)
        undone(t, scene, b.rpc.getblockhash(channel(b, scene.id)["height"]))
        for node in (a, b):
            t.wait(lambda: channel(node, scene.id)["funding"]  # pylint: disable=W0640
                   == "unconfirmed", what="unconfirmed")
        t.wait(lambda: channel(a, scene.id)["limit"] == 0)
        in_pool(t, b, scene.funding)
        mine(b, depth + 1)  # more than what was undone
        t.wait_same_tip(a, b)
        scene.pays()
        scene.payer_closes()
        scene.is_mined()
        mine(b, depth - 1)
        t.wait_same_tip(a, b)
        if depth >= 6:
            scene.wait_both("closed")
        undone(t, scene, b.rpc.getblockhash(channel(b, scene.id)["spend_height"]))
        t.wait(lambda: state(b, scene.id) == "closing"
               and "spend_height" not in channel(b, scene.id))
        t.wait(lambda: spender(b, scene.id))
        mine(b, depth + 1)
        scene.is_mined()
        scene.ends_closed()
        for node in scene.both():
            node.kill()


if __name__ == "__main__":
    main()

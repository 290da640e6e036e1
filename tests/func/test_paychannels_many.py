"""Many payments over many channels while both daemons are killed again and again: what was
acknowledged is there, no sum differs, and the chain gets what was paid, to the satoshi. The long
form pays a million times over a hundred channels."""
import collections
import http.client
import json
import os
import random
import signal
import threading
import time

from channels import is_up
from framework import LONG, Rpc, Skip, case, check, equal, is_in, main, raises_rpc
from identities import FAULT
from paychannels import CLOSE_FEE, connect, mine, payers, spender, try_to_connect

CHANNELS, PAYMENTS, KILLS = (100, 1_000_000, 40) if LONG else (10, 10_000, 3)
CAPACITY = 5_000_000
AMOUNTS = (1, 2, 3, 5)
BATCH = 1000  # calls; two are under way at a time
OPTIONS = ("-paychannelopens=100000", f"-paychanneljournal={1024 if LONG else 64}")

Tally = collections.namedtuple("Tally", "answered unknown")  # satoshis by channel


def channels(node):
    return {c["id"]: c for c in node.rpc.listpaychannels()}


def open_all(t, a, b, count):
    a.rpc.sendmany("", {a.rpc.getnewaddress(): 1.1 * CAPACITY / 10**8 for _ in range(count)})
    mine(a)
    t.wait(lambda: a.rpc.listunspent(1, 1))  # the wallet has heard of the block
    ids = [a.rpc.openchannel("bob", CAPACITY)["id"] for _ in range(count)]
    t.wait(lambda: len(b.rpc.getrawmempool()) == count)
    mine(b, 6)
    t.wait_same_tip(a, b)
    t.wait(lambda: all_pay(a))
    return ids


def all_pay(node):
    """By what the payee says, or what the payer has heard of it, maybe before that had started."""
    return all(c["state"] == "open" and c.get("limit", 0) > CAPACITY // 2 and not c["locked"]
               for c in node.rpc.listpaychannels())


def batch_of(ids, rng):
    """(channel, amount) of each call, and the body."""
    calls = [(rng.choice(ids), rng.choice(AMOUNTS)) for _ in range(BATCH)]
    return calls, json.dumps([{"method": "pay", "params": ["bob", amount, "", id], "id": i}
                              for i, (id, amount) in enumerate(calls)])


class Payer(threading.Thread):
    """Pays until it is stopped or the daemon has gone, and knows what was said to it."""

    def __init__(self, node, ids, stop, seed):
        super().__init__()
        self.rpc = Rpc(node.rpc_port, node.cookie)
        self.ids, self.stop, self.rng = ids, stop, random.Random(seed)
        self.acknowledged = []                  # (channel, n, paid)
        self.tally = Tally(collections.Counter(), collections.Counter())
        self.count, self.error, self.refusals = 0, None, set()
        self.start()

    def run(self):
        try:
            while not self.stop.is_set():
                self.pay()
        except Exception as error:  # told by the thread that waits
            self.error = error
        self.rpc.close()

    def pay(self):
        calls, body = batch_of(self.ids, self.rng)
        try:
            status, _, data = self.rpc.post(body)
            answers = json.loads(data)
        except (OSError, http.client.HTTPException, ValueError):
            for id, amount in calls:
                self.tally.unknown[id] += amount
            self.stop.set()
            return
        equal(status, 200)
        for (id, amount), answer in zip(calls, answers):
            self.take(id, amount, answer)

    def take(self, id, amount, answer):
        if answer["error"] is not None:  # it was not made: no session, or it waited for its turn
            equal(answer["error"]["code"], -1)
            self.stop.set()
            self.refusals.add(answer["error"]["message"])
            if "whether the payment counts" in answer["error"]["message"]:
                self.tally.unknown[id] += amount
            return
        paid = answer["result"]
        equal(paid["channel"], id)
        self.count += 1
        self.tally.answered[id] += amount
        if paid["acknowledged"]:
            self.acknowledged.append((id, paid["n"], paid["paid"]))


def pay_until_killed(t, a, victims, ids, seed, seconds):
    """Two batches at a time; then the victims are killed, together, and are there again."""
    stop = threading.Event()
    threads = [Payer(a, ids, stop, 2 * seed + i) for i in range(2)]
    stop.wait(seconds)
    for node in victims:
        node.kill()
    stop.set()
    for thread in threads:
        thread.join()
        check(thread.error is None, thread.error)
    for node in victims:
        node.start()
    return threads


def agree(a, b):
    """There is a session, all channels pay, and both sides hold the same states."""
    if a.rpc.getbestblockhash() != b.rpc.getbestblockhash():
        return False
    if not is_up(a, "bob"):  # also when the last session was not known to be over
        try_to_connect(a)
        return False
    payer, payee = channels(a), channels(b)
    return all_pay(a) and all_pay(b) and all(
        (c["n"], c["paid"], c["acknowledged"]) == (payee[id]["n"], payee[id]["paid"], c["paid"])
        for id, c in payer.items())


def both_agree(t, a, b):
    t.wait(lambda: agree(a, b), timeout=60)
    return channels(b)


def check_round(threads, before, after):
    for id, channel in after.items():
        answered = sum(p.tally.answered[id] for p in threads)
        unknown = sum(p.tally.unknown[id] for p in threads)
        grown = channel["paid"] - before[id]["paid"]
        check(answered <= grown <= answered + unknown,
              f"{id}: {grown} more, {answered} answered, {unknown} unknown")
    seen = set()
    for id, n, paid in (one for p in threads for one in p.acknowledged):
        check((id, n) not in seen, f"{id}: payment {n} was acknowledged to two callers")
        seen.add((id, n))
        check(n <= after[id]["n"] and paid <= after[id]["paid"], f"{id}: payment {n} is lost")


def settle(t, a, b, ids):
    """Closes all; what the chain pays is what was paid."""
    paid = {(c["txid"], c["vout"]): c["paid"] for c in channels(b).values()}
    for id in ids:
        b.rpc.closechannel(id)
    t.wait(lambda: len(a.rpc.getrawmempool()) == len(ids))
    for txid in a.rpc.getrawmempool():
        tx = a.rpc.getrawtransaction(txid, 1)
        spent = paid.pop((tx["vin"][0]["txid"], tx["vin"][0]["vout"]))
        equal([int(o["value"] * 10**8) for o in tx["vout"]],
              [spent, CAPACITY - spent - CLOSE_FEE])
    equal(paid, {})
    mine(a, 6)
    t.wait(lambda: all(c["state"] == "closed" for c in b.rpc.listpaychannels()))


@case(timeout=1200 if LONG else 60)
def payments_survive_kills_of_both_and_are_settled_exactly(t):
    rng = random.Random(17)
    a, b = payers(t, *OPTIONS)
    ids = open_all(t, a, b, CHANNELS)
    for node in (a, b):
        node.restart()  # the chain is on disk from now on, though both be killed
    state, made, kills = both_agree(t, a, b), 0, 0
    began = time.monotonic()
    while made < PAYMENTS or kills < KILLS:
        last = kills >= KILLS
        victims = () if last else rng.choice(((a,), (b,), (a, b)))
        seconds = 2.0 if last else rng.uniform(0.1, 2 * PAYMENTS / KILLS / 10_000)
        threads = pay_until_killed(t, a, victims, ids, made, seconds)
        after = both_agree(t, a, b)
        check_round(threads, state, after)
        state, kills = after, kills + 1
        made = sum(c["n"] for c in after.values())
    print(f"{made} payments, {kills} rounds, {time.monotonic() - began:.0f} s")
    settle(t, a, b, ids)


# Of the journal: each kind of call, on its way into a compaction and out of it.
CRASHES = ("unlink:3:exit", "pwrite:9:torn") + (
    ("unlink:1:exit", "open:3:exit", "fsync:3:exit", "fdatasync:8:exit", "fallocate:2:exit",
     "pwrite:2:exit", "pwrite:20:exit", "pwrite:40:torn", "any:30:exit", "any:71:exit") if LONG
    else ())


def start_with_fault(node, setting, path):
    node.stop()
    node.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": setting, "BSVPEER_FAULT_PATH": path})


def pay_until_it_ends(t, a, b, victim, ids, setting):
    """It dies at that call, of itself, and is there again."""
    def gone():
        return victim.process.poll() is not None

    def gone_or_agreed():
        try:
            return gone() or agree(a, b)
        except (OSError, http.client.HTTPException):
            return False

    stop, threads = threading.Event(), []
    try:
        start_with_fault(victim, setting, victim.file("paychannels"))
        t.wait(gone_or_agreed)
        threads = [Payer(a, ids, stop, i) for i in range(2)]
    except (AssertionError, OSError):
        check(gone(), "that was enough for it")
    t.wait(gone)
    stop.set()
    for thread in threads:
        thread.join()
        check(thread.error is None, thread.error)
    victim.kill()
    victim.start()
    return threads


@case(timeout=600 if LONG else 60)
def a_crash_at_a_write_of_the_journal_loses_no_payment(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t, "-paychanneljournal=1")
    ids = open_all(t, a, b, 3)
    state = both_agree(t, a, b)
    for victim, setting in [(node, setting) for setting in CRASHES for node in (b, a)]:
        threads = pay_until_it_ends(t, a, b, victim, ids, setting)
        after = both_agree(t, a, b)
        check_round(threads, state, after)
        state = after
    check(sum(c["n"] for c in state.values()) > BATCH, "payments were made")
    settle(t, a, b, ids)


@case()
def a_payee_that_says_nothing_holds_up_no_caller(t):
    a, b = payers(t, "-paychannelwait=1")
    ids = open_all(t, a, b, 1)
    both_agree(t, a, b)
    os.kill(b.process.pid, signal.SIGSTOP)
    t.cleanups.append(lambda: os.kill(b.process.pid, signal.SIGCONT))
    answers = a.rpc.batch([("pay", ["bob", 1])] * 5000)
    equal(sum(r["error"] is None and not r["result"]["acknowledged"] for r in answers), 4096)
    equal({r["error"]["message"] for r in answers[4096:]},
          {"the payment was not made: the payee acknowledges none"})
    os.kill(b.process.pid, signal.SIGCONT)
    equal(both_agree(t, a, b)[ids[0]]["paid"], 4096)


@case()
def a_stop_answers_what_waits(t):
    a, b = payers(t, "-paychannelwait=3600")
    open_all(t, a, b, 1)
    both_agree(t, a, b)
    os.kill(b.process.pid, signal.SIGSTOP)
    t.cleanups.append(lambda: os.kill(b.process.pid, signal.SIGCONT))
    answers = []

    def pay(rpc):
        answers.append(rpc.pay("bob", 1)["acknowledged"])

    def pay_many(rpc):
        answers.extend(r["result"]["acknowledged"] for r in rpc.batch([("pay", ["bob", 1])] * 9))

    threads = [threading.Thread(target=how, args=(Rpc(a.rpc_port, a.cookie),))
               for how in (pay, pay_many)]
    for thread in threads:
        thread.start()
    t.wait(lambda: a.rpc.listpaychannels()[0]["n"] == 10)
    a.stop()
    for thread in threads:
        thread.join()
    equal(answers, [False] * 10)
    os.kill(b.process.pid, signal.SIGCONT)
    a.start()
    equal([c["paid"] for c in both_agree(t, a, b).values()], [10])


def pay_once(node, id):
    """By a connection of its own."""
    rpc = Rpc(node.rpc_port, node.cookie)
    rpc.pay("bob", 1, "", id)
    rpc.close()


def journals(node):
    return len(os.listdir(node.file("paychannels")))


@case()
def starts_leave_no_files_behind(t):
    a, b = payers(t)
    open_all(t, a, b, 3)
    state = both_agree(t, a, b)
    for _ in range(3):
        b.restart()
    t.wait(lambda: journals(b) == 1)
    equal(both_agree(t, a, b), state)


@case(long_only=True)
def a_channel_that_ends_while_the_disk_is_behind_does_not_stop_a_later_start(t):
    """It goes when what was written of it before is on disk; the database is written meanwhile."""
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t, "-paychanneljournal=1")
    over, kept = open_all(t, a, b, 2)
    a.rpc.pay("bob", 10, "", over)
    a.rpc.closechannel(over)
    t.wait(lambda: spender(a, over))
    slow = t.path("slow")
    a.stop()
    a.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": "fdatasync:1:slow",
                 "BSVPEER_FAULT_AFTER": slow, "BSVPEER_FAULT_PATH": a.file("paychannels")})
    connect(t, a, b)
    t.wait(lambda: journals(a) == 1 and channels(a)[kept]["state"] == "open" and
           channels(a)[kept]["limit"] > 100)
    for _ in range(2):  # as much as is kept before the database gets it, and one more
        a.rpc.pay("bob", 1, "", kept)
    open(slow, "wb").close()
    payer = threading.Thread(target=pay_once, args=(a, kept))
    payer.start()
    t.wait(lambda: channels(a)[kept]["n"] == 3)
    mine(a, 110)
    payer.join()
    t.wait(lambda: over not in channels(a))
    os.unlink(slow)
    t.wait(lambda: journals(a) == 1)
    a.kill()
    a.start()
    equal({id: c["n"] for id, c in channels(a).items()}, {kept: 3})


@case()
def a_payer_whose_disk_fails_pays_nothing_that_it_forgets(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    ids = open_all(t, a, b, 3)
    state = both_agree(t, a, b)
    start_with_fault(a, "fdatasync:9:EIO", a.file("paychannels"))
    both_agree(t, a, b)
    stop = threading.Event()
    payer = Payer(a, ids, stop, 1)
    payer.join()
    check(payer.error is None, payer.error)
    check(any("the disk fails" in text for text in payer.refusals), payer.refusals)
    raises_rpc(-1, lambda: a.rpc.pay("bob", 1), "the journal of the payment channels has failed")
    is_in("the disk fails", a.rpc.listpaychannels()[0]["alarm"])
    a.kill()
    a.start()
    check_round([payer], state, both_agree(t, a, b))
    settle(t, a, b, ids)


@case()
def a_database_that_is_full_leaves_all_in_the_journal(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t, "-paychanneljournal=1")
    ids = open_all(t, a, b, 3)
    state = both_agree(t, a, b)
    start_with_fault(b, "fdatasync:9:ENOSPC", b.file("channels"))
    both_agree(t, a, b)
    stop = threading.Event()
    payer = Payer(a, ids, stop, 1)
    t.wait(lambda: "the journal is not shortened" in b.log())
    before = payer.count
    t.wait(lambda: payer.count > before + 2 * BATCH)
    stop.set()
    payer.join()
    equal((payer.error, payer.refusals), (None, set()))
    b.kill()
    b.start()
    check_round([payer], state, both_agree(t, a, b))
    settle(t, a, b, ids)


if __name__ == "__main__":
    main()

"""Payments that came over payment channels in the event log: each satoshi once, whoever is killed."""
import os
import shutil
import threading

from events import read_events
from framework import LONG, Skip, bytes_of, case, check, equal, main
from identities import FAULT
from paychannels import (channel, connect, may_pay, mine, open_channel, pay_until_killed,
                         payers)


def received(node):
    return [e for e in read_events(node) if e["type"] == "payment_received"]


def told(node):
    return sum(e["satoshis"] for e in received(node))


def in_order(node):
    """Entries and sums rise, and amounts are their differences."""
    events = received(node)
    entries = [e["entry"] for e in events]
    equal(entries, sorted(set(entries)))
    for before, after in zip(events, events[1:]):
        equal(after["satoshis"], after["paid"] - before["paid"])


@case()
def payments_with_a_ref_are_events_of_their_own(t):
    a, b = payers(t)
    id = open_channel(t, a, b)
    for i in range(5):
        equal(a.rpc.pay("bob", 10 + i, f"invoice {i}")["acknowledged"], True)
    a.rpc.pay("bob", 100)
    t.wait(lambda: told(b) == 160)
    events = received(b)
    equal([(e["ref"], e["satoshis"], e["n"]) for e in events],
          [(f"invoice {i}", 10 + i, i + 1) for i in range(5)] + [("", 100, 6)])
    equal({e["channel"] for e in events}, {id})
    in_order(b)


@case(timeout=120)
def each_payment_is_told_once_however_often_the_payee_is_killed(t):
    a, b = payers(t, "-paychanneljournal=1")
    id = open_channel(t, a, b, depth=6)
    for _ in range(4):
        answers = []
        payer = threading.Thread(target=pay_until_killed, args=(a, answers))
        payer.start()
        t.wait(lambda: len(answers) > 20)
        b.kill()
        payer.join()
        b.start()
        t.wait_same_tip(a, b)
        connect(t, a, b)
        t.wait(lambda: may_pay(a, b, id))
        t.wait(lambda: channel(a, id)["acknowledged"] == channel(a, id)["paid"])
        t.wait(lambda: told(b) == channel(b, id)["paid"])
        in_order(b)
    equal(a.rpc.pay("bob", 3, "the last")["acknowledged"], True)
    b.kill()
    b.start()
    t.wait(lambda: told(b) == channel(b, id)["paid"])
    equal(received(b)[-1]["ref"], "the last")


def stored(node):
    """Bytes that the database has written."""
    logs = [node.file("channels", f) for f in os.listdir(node.file("channels"))]
    return bytes_of(f for f in logs if f.endswith(".log"))


@case(timeout=120)
def what_is_counted_after_a_kill_is_told_although_the_journal_is_slow(t):
    """The database, which is written by another thread, is not ahead of it."""
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes slow is not built")
    a, b = payers(t, "-paychanneljournal=1")
    id = open_channel(t, a, b, depth=6)
    counted = []
    for _ in range(3 if LONG else 2):
        b.stop()
        b.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": "pwrite:1:slow",
                     "BSVPEER_FAULT_PATH": b.file("paychannels/")})
        t.wait_same_tip(a, b)
        connect(t, a, b)
        t.wait(lambda: may_pay(a, b, id))
        answers = []
        payer = threading.Thread(target=pay_until_killed, args=(a, answers))
        payer.start()
        t.wait(lambda: len(answers) > 2)
        before = stored(b)
        t.wait(lambda: stored(b) > before)  # the journal is shortened
        b.kill()
        payer.join()
        b.start()
        t.wait(lambda: channel(b, id))
        counted.append(channel(b, id)["paid"])
        t.wait(lambda: told(b) == counted[-1])
        in_order(b)
    check(counted[0] < counted[-1], "payments were counted")


@case(timeout=120)
def what_a_killed_log_lacks_is_told_from_the_journal(t):
    a, b = payers(t)
    id = open_channel(t, a, b, depth=6)
    equal(a.rpc.pay("bob", 5, "one")["acknowledged"], True)
    t.wait(lambda: told(b) == 5)
    b.stop()
    shutil.copytree(b.file("events"), t.path("events"))
    b.start()
    t.wait_same_tip(a, b)
    connect(t, a, b)
    for ref in ("two", "three"):
        equal(a.rpc.pay("bob", 5, ref)["acknowledged"], True)
    t.wait(lambda: told(b) == 15)
    b.kill()  # and the end of its log was never written
    shutil.rmtree(b.file("events"))
    shutil.copytree(t.path("events"), b.file("events"))
    b.start()
    t.wait(lambda: told(b) == 15)
    equal([e["ref"] for e in received(b)], ["one", "two", "three"])
    in_order(b)
    # The journal goes when the log has it, synced.
    b.restart("-paychanneljournal=1")
    t.wait_same_tip(a, b)
    connect(t, a, b)
    t.wait(lambda: may_pay(a, b, id))
    for _ in range(20):
        a.rpc.pay("bob", 1)
    b.restart()
    t.wait(lambda: told(b) == 35)
    equal(channel(b, id)["paid"], 35)
    mine(b)
    in_order(b)


if __name__ == "__main__":
    main()

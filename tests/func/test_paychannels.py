"""Payment channels between two daemons: opened, paid over, closed and settled on the chain."""
import os
import threading

from channels import is_up
from events import read_events
from framework import LONG, Rpc, Skip, case, check, equal, is_in, main, raises_rpc
from identities import FAULT, crash_at, kill_and_start
from paychannels import (CAPACITY, CLOSE_FEE, channel, connect, in_pool, may_pay, mine,
                         open_channel, pay_until_killed, payers, spender, state, sums)


def pay_from_threads(node, count, amount, threads=10):
    """So many payments at once; the answers."""
    answers, errors = [], []

    def work(n):
        rpc = Rpc(node.rpc_port, node.cookie)
        try:
            for _ in range(n):
                answers.append(rpc.pay("bob", amount))
        except Exception as error:  # told by the thread that waits
            errors.append(error)
        rpc.close()

    workers = [threading.Thread(target=work, args=(count // threads,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    equal(errors, [])
    return answers


@case()
def a_hundred_payments_are_settled_to_the_satoshi(t):
    a, b = payers(t)
    id = open_channel(t, a, b, memo="for coffee")
    equal(channel(b, id)["memo"], "for coffee")
    equal((channel(a, id)["role"], channel(b, id)["role"]), ("payer", "payee"))
    answers = pay_from_threads(a, 100, 700)
    equal(sorted(p["n"] for p in answers), list(range(1, 101)))
    check(all(p["acknowledged"] for p in answers), "acknowledged")
    equal((channel(b, id)["paid"], channel(b, id)["n"]), (70000, 100))
    equal(channel(a, id)["acknowledged"], 70000)
    a.rpc.closechannel(id)
    tx = t.wait(lambda: spender(b, id))
    equal(sums(tx), [70000, CAPACITY - 70000 - CLOSE_FEE])
    before = b.rpc.getbalance(), a.rpc.getbalance()
    t.wait(lambda: tx["txid"] in a.rpc.getrawmempool())
    mine(a)
    t.wait_same_tip(a, b)
    t.wait(lambda: state(a, id) == "closed")
    equal((channel(a, id)["settled_paid"], channel(a, id)["settled_fee"]), (70000, CLOSE_FEE))
    t.wait(lambda: channel(b, id).get("spend_height") == b.rpc.getblockcount())
    equal(int((b.rpc.getbalance() - before[0]) * 10**8), 70000)
    equal(int((a.rpc.getbalance() - before[1]) * 10**8), CAPACITY - 70000 - CLOSE_FEE)
    mine(a, 5)
    t.wait(lambda: state(b, id) == "closed")
    t.wait(lambda: any(e["type"] == "channel_closed" for e in read_events(b)))
    t.wait(lambda: sum(e["satoshis"] for e in read_events(b)
                       if e["type"] == "payment_received") == 70000)
    types = [e["type"] for e in read_events(b) if e["type"].startswith("channel_")]
    equal(types, ["channel_opened", "channel_closing", "channel_closed"])


@case()
def thousands_of_payments_are_under_way_at_once(t):
    a, b = payers(t)
    first, second = open_channel(t, a, b), open_channel(t, a, b)
    calls = [("pay", ["bob", 3])] * 5000 + [("pay", ["bob", 2, "x", second])] * 100
    answers = a.rpc.batch(calls + [("pay", ["bob", 0]), ("getblockcount", [])])
    equal([r["error"] for r in answers[:5100]], [None] * 5100)
    check(all(r["result"]["acknowledged"] for r in answers[:5100]), "acknowledged")
    equal(answers[5100]["error"]["code"], -8)
    equal(answers[5101]["result"], a.rpc.getblockcount())
    on = {id: [r["result"]["n"] for r in answers[:5100] if r["result"]["channel"] == id]
          for id in (first, second)}
    equal(on[first] + on[second], list(range(1, 5001)) + list(range(1, 101)))
    equal((channel(b, first)["paid"], channel(b, second)["paid"]), (15000, 200))
    raises_rpc(-5, lambda: a.rpc.pay("bob", 1, "", "00" * 32), "no such payment channel")


def settle(t, node, id, what, depth=6):
    """Mines until what spends the channel is final; the state it ends in."""
    tx = t.wait(lambda: spender(node, id))
    mine(node, depth)
    t.wait(lambda: state(node, id) == what)
    return tx


@case()
def the_payer_takes_back_all_after_the_expiry(t):
    a, b = payers(t, "-paychannelmargin=36")
    id = open_channel(t, a, b, expiry_blocks=181)
    b.restart("-channel=0")  # away for good, and before anything was paid
    t.wait_same_tip(a, b)
    expiry = channel(a, id)["expiry"]
    mine(a, expiry - 1 - a.rpc.getblockcount())
    equal((state(a, id), a.rpc.getrawmempool()), ("open", []))
    before = a.rpc.getbalance()
    mine(a)
    t.wait(lambda: state(a, id) == "refunding")
    kill_and_start(t, a, b)  # goes on where it was
    tx = settle(t, a, id, "refunded")
    fee = CAPACITY - sums(tx)[0]
    check(288 <= fee < 288 + 60, f"a fee of {fee}")
    equal(tx["locktime"], expiry)
    equal(int((a.rpc.getbalance() - before) * 10**8), CAPACITY - fee)


@case()
def the_payee_closes_before_the_expiry_when_the_payer_is_gone(t):
    a, b = payers(t, "-paychannelmargin=36")
    id = open_channel(t, a, b, expiry_blocks=181)
    a.rpc.pay("bob", 5000)
    a.restart("-channel=0")
    kill_and_start(t, b, a)
    due = channel(b, id)["expiry"] - 36
    mine(b, due - 1 - b.rpc.getblockcount())
    equal((state(b, id), b.rpc.getrawmempool()), ("open", []))
    before = b.rpc.getbalance()
    mine(b)
    tx = settle(t, b, id, "closed")
    equal(sums(tx), [5000, CAPACITY - 5000 - CLOSE_FEE])
    equal(int((b.rpc.getbalance() - before) * 10**8), 5000)


@case()
def nothing_is_lost_when_both_are_killed_between_steps(t):
    a, b = payers(t)
    opened = a.rpc.openchannel("bob", CAPACITY)
    id = opened["id"]
    for node, other in ((a, b), (b, a)):
        kill_and_start(t, node, other)
        connect(t, a, b)
        in_pool(t, node, opened["txid"])
    mine(b)
    t.wait_same_tip(a, b)
    t.wait(lambda: state(a, id) == "open" and state(b, id) == "open")
    paid = 0
    for node in (a, b) * (10 if LONG else 1):
        answers = []
        t.wait(lambda: may_pay(a, b, id, paid))
        payer = threading.Thread(target=pay_until_killed, args=(a, answers))
        payer.start()
        t.wait(lambda: len(answers) > 20)
        node.kill()
        payer.join()
        node.start()
        t.wait_same_tip(a, b)
        connect(t, a, b)
        t.wait(lambda: channel(a, id)["acknowledged"] == channel(a, id)["paid"])
        there = channel(b, id)["paid"]
        equal(there, channel(a, id)["paid"])
        check(there >= paid + sum(answers), "what was acknowledged is there")
        paid = there
    a.rpc.closechannel(id)
    kill_and_start(t, b, a)
    connect(t, a, b)
    tx = settle(t, b, id, "closed")
    equal(sums(tx), [paid, CAPACITY - paid - CLOSE_FEE])


@case()
def what_cannot_be_done_is_refused_and_said(t):
    a, b = payers(t, "-paychannelmin=20000", "-paychannelcount=1")
    raises_rpc(-5, lambda: a.rpc.openchannel("carol", CAPACITY), "no contact")
    raises_rpc(-8, lambda: a.rpc.openchannel("bob", 0))
    raises_rpc(-8, lambda: a.rpc.openchannel("bob", CAPACITY, 4033))
    raises_rpc(-5, lambda: a.rpc.pay("bob", 1), "no payment channel")
    for amount, blocks, why in ((19999, 1008, "capacity"), (CAPACITY, 287, "expiry")):
        raises_rpc(-1, lambda: a.rpc.openchannel("bob", amount, blocks), why)
    equal((a.rpc.listpaychannels(), b.rpc.listpaychannels()), ([], []))
    id = open_channel(t, a, b, capacity=200000)
    raises_rpc(-1, lambda: a.rpc.openchannel("bob", CAPACITY), "too many channels")
    raises_rpc(-8, lambda: a.rpc.pay("bob", 200000 - CLOSE_FEE + 1), "does not hold so much")
    raises_rpc(-1, lambda: a.rpc.pay("bob", 100001), "waits for more blocks")
    raises_rpc(-8, lambda: a.rpc.pay("bob", 1, "x" * 65))
    mine(b, 5)
    t.wait(lambda: channel(a, id)["limit"] == 200000 - CLOSE_FEE)
    equal(a.rpc.pay("bob", 200000 - CLOSE_FEE, "all")["acknowledged"], True)
    path = t.path("channels.dat")
    a.rpc.exportchannels(path)
    with open(path, "rb") as exported:
        data = exported.read()
    equal((len(data), data[16:48].hex()), (12 + 4 + 323 + 32, id))
    equal(a.rpc.getpaychannel(id), channel(a, id))
    raises_rpc(-5, lambda: a.rpc.getpaychannel("00" * 32))
    raises_rpc(-5, lambda: a.rpc.closechannel("00" * 32))
    b.stop()  # else it comes back by itself
    t.wait(lambda: not is_up(a, "bob"))
    raises_rpc(-1, lambda: a.rpc.pay("bob", 1), "no session")
    b.start()
    t.wait(lambda: state(b, id) == "open")
    b.rpc.closechannel(id)
    equal(sums(settle(t, b, id, "closed")), [200000 - CLOSE_FEE])
    raises_rpc(-8, lambda: b.rpc.closechannel(id), "not open")


@case()
def a_reorganisation_of_the_funding_and_of_the_close_is_followed(t):
    a, b = payers(t)
    id = open_channel(t, a, b)
    equal(a.rpc.pay("bob", 3000)["acknowledged"], True)
    block = b.rpc.getbestblockhash()
    b.rpc.invalidateblock(block)
    t.wait(lambda: channel(b, id)["funding"] == "unconfirmed")
    t.wait(lambda: channel(a, id)["limit"] == 0)
    raises_rpc(-1, lambda: a.rpc.pay("bob", 10), "waits for more blocks")
    b.rpc.reconsiderblock(block)
    t.wait(lambda: channel(a, id)["limit"] > 0)
    equal(a.rpc.pay("bob", 10)["paid"], 3010)
    b.rpc.closechannel(id)
    tx = t.wait(lambda: spender(b, id))
    mine(b)
    t.wait(lambda: channel(b, id).get("spend_height"))
    closing = b.rpc.getbestblockhash()
    t.wait_same_tip(a, b)
    t.wait(lambda: state(a, id) == "closed")
    for node in (a, b):
        node.rpc.invalidateblock(closing)
        t.wait(lambda: not channel(node, id).get("spend_height"))
        t.wait(lambda: tx["txid"] in node.rpc.getrawmempool())
    for _ in range(6):  # other blocks, without it in the first
        mine(b)
    t.wait_same_tip(a, b)
    t.wait(lambda: state(b, id) == "closed" and state(a, id) == "closed")
    equal(channel(a, id)["settled_paid"], 3010)


def opened_in_a_crash(t, a, b, sync):
    """The payer ends before this sync of its journal, while it opens a channel, and begins again;
    the channels that it has then, and what it has spent."""
    before = a.rpc.getbalance()

    def act():
        # What was there before the start has gone, by two syncs: of the first file, of the next.
        t.wait(lambda: len(os.listdir(a.file("paychannels"))) == 1)
        connect(t, a, b)
        a.rpc.openchannel("bob", CAPACITY)

    check(crash_at(a, f"fdatasync:{sync}:exit", a.file("paychannels"), act), "a crash")
    a.start()
    connect(t, a, b)
    t.wait(lambda: all(c["state"] in ("funded", "open") and
                       (c["state"] == "open" or c["txid"] in b.rpc.getrawmempool())
                       for c in a.rpc.listpaychannels()))
    mine(b)
    t.wait_same_tip(a, b)
    t.wait(lambda: all(c["state"] == "open" for c in a.rpc.listpaychannels()))
    return a.rpc.listpaychannels(), int((before - a.rpc.getbalance()) * 10**8)


@case()
def a_crash_while_a_channel_is_opened_funds_it_once(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    for i, sync in enumerate((3, 4, 5)):  # opening, accepted, funded
        channels, spent = opened_in_a_crash(t, a, b, sync)
        equal(len(channels), i + 1)
        check(CAPACITY <= spent < CAPACITY + 1000, f"{spent} satoshis")
    equal(len({(c["txid"], c["vout"]) for c in channels}), 3)
    equal({c["state"] for c in b.rpc.listpaychannels()}, {"open"})


def oldest_journal(node):
    return min(os.listdir(node.file("paychannels")))


@case()
def a_journal_that_is_begun_anew_loses_nothing(t):
    a, b = payers(t, "-paychanneljournal=1")
    id = open_channel(t, a, b)
    first = oldest_journal(a), oldest_journal(b)
    equal(pay_from_threads(a, 20, 50)[-1]["acknowledged"], True)
    t.wait(lambda: oldest_journal(a) > first[0] and oldest_journal(b) > first[1])
    for node, other in ((a, b), (b, a)):
        kill_and_start(t, node, other)
        equal((channel(node, id)["paid"], channel(node, id)["n"]), (1000, 20))
        connect(t, a, b)
    t.wait(lambda: may_pay(a, b, id))
    equal(a.rpc.pay("bob", 1)["n"], 21)
    a.rpc.closechannel(id)
    equal(sums(settle(t, b, id, "closed")), [1001, CAPACITY - 1001 - CLOSE_FEE])


@case()
def a_locked_payee_alarms_and_closes_when_it_is_unlocked(t):
    a, b = payers(t)
    id = open_channel(t, a, b)
    equal(a.rpc.pay("bob", 4000)["acknowledged"], True)
    b.rpc.encryptwallet("secret")
    b.restart()
    t.wait(lambda: "locked" in channel(b, id).get("alarm", ""))
    equal(channel(b, id)["locked"], True)
    is_in("locked", b.rpc.getinfo()["errors"])
    b.rpc.closechannel(id)
    t.wait(lambda: state(b, id) == "closing")
    equal(spender(b, id), None)
    b.rpc.walletpassphrase("secret", 60)
    tx = settle(t, b, id, "closed")
    equal(sums(tx), [4000, CAPACITY - 4000 - CLOSE_FEE])
    check("alarm" not in channel(b, id), "the alarm is over")
    equal(b.rpc.getinfo()["errors"], "")


@case()
def a_payee_whose_disk_fails_takes_nothing_and_still_closes(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    id = open_channel(t, a, b)
    equal(a.rpc.pay("bob", 900)["acknowledged"], True)
    b.stop()
    b.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": b.file("paychannels"),
                 "BSVPEER_FAULT": "fdatasync:3:EIO"})
    connect(t, a, b)
    t.wait(lambda: channel(a, id)["acknowledged"] == 900)
    answers = [a.rpc.pay("bob", 1) for _ in range(1)]
    while answers[-1]["acknowledged"]:
        answers.append(a.rpc.pay("bob", 1))
        check(len(answers) < 20, "the disk fails")
    raises_rpc(-1, lambda: a.rpc.pay("bob", 1), "refuses")
    is_in("the disk fails", channel(b, id)["alarm"])
    t.wait(lambda: any(e["type"] == "channel_alarm" for e in read_events(b)))
    is_in("the journal has failed", b.log())
    raises_rpc(-1, lambda: b.rpc.closechannel(id), "journal")
    got = sums(t.wait(lambda: spender(b, id)))[0]
    acknowledged = 900 + sum(1 for x in answers if x["acknowledged"])
    check(got >= acknowledged, f"{got} satoshis")
    equal(channel(a, id)["acknowledged"], acknowledged)  # nothing that is not on the disk
    b.kill()


if __name__ == "__main__":
    main()

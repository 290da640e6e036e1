"""Payments by a transaction survive the end of either side at any write: what is accepted is
credited once, what is not has cost nothing."""
import os
import threading
import time

from framework import LONG, Rpc, RpcError, Skip, case, check, equal, main
from identities import FAULT, crash_at
from paychannels import connect, mine, payers

COIN = 10**8


def rows(node, direction):
    return {r["id"]: r for r in node.rpc.listpayments() if r["category"] == "payment" and
            r.get("direction") == direction}


def balance(node):
    return int((node.rpc.getbalance() + node.rpc.getunconfirmedbalance()) * COIN)


def pay(node, satoshis):
    """By a connection of its own: one of the two will be gone before it ends."""
    rpc = Rpc(node.rpc_port, node.cookie)
    try:
        rpc.pay(contact="bob", satoshis=satoshis, transaction=True)
    finally:
        rpc.close()


def pay_quietly(node, satoshis):
    try:
        pay(node, satoshis)
    except Exception:  # the payee has gone
        pass


def gone_meanwhile(node, payer):
    """Asks it until it does not answer, or has answered the payer and had time for what is left."""
    left = 15
    while left:
        node.rpc.getblockcount()
        time.sleep(0.02)
        left -= not payer.is_alive()


def under_way(node):
    return [r for r in rows(node, "out").values() if r["state"] in ("making", "pending")]


def settle(t, a, b):
    """Both are there again; all that was under way has come to an end, and is in a block."""
    t.wait_same_tip(a, b)
    connect(t, a, b)
    t.wait(lambda: not under_way(a))
    for r in rows(a, "out").values():
        if r["state"] == "accepted":
            t.wait(lambda: r["txid"] in b.rpc.getrawmempool() or
                   b.rpc.gettransaction(r["txid"])["confirmations"] > 0)
    mine(b)
    t.wait_same_tip(a, b)


def sums_are_exact(a, b, before):
    """What b has got, what a has spent, and what both say of it."""
    sent, got = rows(a, "out"), rows(b, "in")
    accepted = {id: r for id, r in sent.items() if r["state"] == "accepted"}
    equal(set(accepted), set(got))
    equal({id: r["txid"] for id, r in accepted.items()}, {id: r["txid"] for id, r in got.items()})
    total, fees = (sum(r[k] for r in accepted.values()) for k in ("satoshis", "fee"))
    equal(balance(b) - before[1], total)
    equal(before[0] - balance(a), total + fees)


def crash(t, a, b, who, path, sync):
    """True: it ended at that sync."""
    node = {"payer": a, "payee": b}[who]

    def act():
        connect(t, a, b)
        if who == "payer":
            pay(a, 1000 + sync)
        else:
            payer = threading.Thread(target=pay_quietly, args=(a, 1000 + sync))
            payer.start()
            gone_meanwhile(node, payer)

    ended = crash_at(node, f"fdatasync:{sync}:exit", node.file(path), act)
    node.kill()  # it may have ended before it could be asked, or not at all
    node.start()
    return ended


def crash_at_each(t, who, path, syncs):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    before = balance(a), balance(b)
    ended = []
    for sync in syncs:
        ended.append(crash(t, a, b, who, path, sync))
        settle(t, a, b)
        sums_are_exact(a, b, before)
    check(any(ended), "it ended at one of them")
    pay(a, 5000)  # and it goes on
    settle(t, a, b)
    sums_are_exact(a, b, before)


@case()
def a_payer_that_ends_at_a_write_of_its_payments(t):
    crash_at_each(t, "payer", "channels", range(1, 12) if LONG else range(4, 10))


@case()
def a_payer_that_ends_at_a_write_of_its_wallet(t):
    crash_at_each(t, "payer", "wallets", range(6, 14) if LONG else range(7, 12))


@case()
def a_payer_whose_wallet_fails_to_write_forgets_nothing_that_it_made(t):
    """A write that failed may be on the disk all the same."""
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    before, failed = (balance(a), balance(b)), 0
    for sync in range(7, 16) if LONG else range(8, 13):
        a.stop()
        a.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": f"fdatasync:{sync}:EIO",
                     "BSVPEER_FAULT_PATH": a.file("wallets")})
        try:
            if a.rpc.listwallets():
                connect(t, a, b)
                pay(a, 1000 + sync)
        except RpcError as e:
            failed += "shows after a restart" in str(e)
        a.kill()
        a.start()
        settle(t, a, b)
        sums_are_exact(a, b, before)
    check(failed, "one of them failed")


@case()
def a_payee_that_ends_at_a_write_of_its_payments(t):
    crash_at_each(t, "payee", "channels", range(1, 12) if LONG else range(4, 8))


@case()
def a_payee_that_ends_at_a_write_of_its_wallet(t):
    crash_at_each(t, "payee", "wallets", range(6, 14) if LONG else range(7, 11))


if __name__ == "__main__":
    main()

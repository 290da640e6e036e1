"""Payments that are under way while one session takes the place of another (channels 8.5, 8.8)."""
import copy
import struct
from concurrent.futures import ThreadPoolExecutor, wait

from channel_guest import PING, PONG
from framework import Rpc, RpcError, case, equal, main
from paychan_guest import ACK, FAIL, PAY, READY, STATE, SYNC, open_channel, payee
from paychan_payee_guest import open_to, payer_of

GOAWAY, RENEW = 20, 2
OPEN, CLOSING = 3, 4
IN_THE_WAY = 0.3  # seconds in which a payment that does not wait would have been answered


def next_session(old):
    """The same guest in a session that takes the place of that one."""
    old.put(GOAWAY, struct.pack(">HI", RENEW, 0))
    return copy.copy(old).connect()


def acked(payer, n, paid):
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", n, paid))


@case()
def what_still_comes_of_the_old_session_is_not_the_one_after_the_sync(t):
    node, old = payee(t)
    open_channel(node, old)
    old.put(PAY, old.pay(1, 1000))
    acked(old, 1, 1000)
    new = next_session(old)
    t.cleanups.append(new.close)
    new.put(SYNC, new.sync(4, 4000))
    new.answer(SYNC)
    new.answer(READY)
    old.put(PAY, old.pay(2, 2000))
    acked(new, 2, 2000)
    old.put(PAY, old.pay(7, 7000))  # of which nothing is said: the new session tells of it
    new.put(PAY, new.pay(4, 4000))
    acked(new, 4, 4000)
    new.put(PAY, new.pay(6, 6000))
    equal(new.answer(FAIL)[:34], new.id + struct.pack(">H", STATE))


def pay(node, amount, ref=""):
    """Acknowledged, or why it was not made."""
    try:
        return Rpc(node.rpc_port, node.cookie).pay("mallory", amount, ref)["acknowledged"]
    except RpcError as error:
        return str(error)


def while_it_is_asked(t, pool):
    """A payment that was refused since one before it is missing, another that waits, and how the
    payee, who is asked where it stands, says so."""
    node, guest = payer_of(t)
    open_to(t, node, guest)
    first = pool.submit(pay, node, 1000)
    equal(guest.take_payment()[:2], (1, 1000))
    guest.put(FAIL, guest.id + struct.pack(">HH", STATE, 0))
    guest.answer(SYNC)
    second = pool.submit(pay, node, 500)
    equal(wait([first, second], IN_THE_WAY).done, set(), "answers")
    return guest, first, second


@case()
def a_payment_waits_while_the_payee_is_asked_where_it_stands(t):
    with ThreadPoolExecutor() as pool:
        guest, first, second = while_it_is_asked(t, pool)
        guest.sync(0, 0, bytes(64), state=OPEN)
        equal([guest.take_payment()[:2] for _ in range(2)], [(1, 1000), (2, 1500)])
        guest.put(ACK, guest.id + struct.pack(">QQ", 2, 1500))
        equal((first.result(), second.result()), (True, True))


@case()
def a_channel_whose_payee_is_asked_does_not_hold_up_another(t):
    with ThreadPoolExecutor() as pool:
        guest, _, second = while_it_is_asked(t, pool)
        asked = guest.id
        open_to(t, guest.node, guest)
        third = pool.submit(pay, guest.node, 100)
        equal(guest.take_payment()[:2], (1, 100))
        guest.put(ACK, guest.id + struct.pack(">QQ", 1, 100))
        equal((third.result(), second.done()), (True, False))
        guest.id = asked
        guest.sync(0, 0, bytes(64), state=CLOSING)
        equal("not made" in second.result(), True)


@case()
def a_payment_is_answered_when_the_payee_says_that_it_closes(t):
    with ThreadPoolExecutor() as pool:
        guest, first, second = while_it_is_asked(t, pool)
        guest.sync(0, 0, bytes(64), state=CLOSING)
        equal(first.result(), False, "acknowledged")
        equal("not made" in second.result(), True)


def amid_a_payment(t, pool):
    """A session that takes the place of one in which a payment is under way, and another payment."""
    node, old = payer_of(t)
    open_to(t, node, old)
    first = pool.submit(pay, node, 1000, "tea")
    equal(old.take_payment()[:2], (1, 1000))
    new = next_session(old)
    t.cleanups.append(new.close)
    new.answer(SYNC)
    second = pool.submit(pay, node, 500, "coffee")
    new.sync(0, 0, bytes(64))
    equal(wait([first, second], IN_THE_WAY).done, set(), "answers")
    new.put(PING, struct.pack(">HH", 1, 0))
    equal(PAY in iter(lambda: new.next()[0], PONG), False, "a payment that is under way is repeated")
    return old, new, first, second


@case()
def what_the_old_session_carries_arrives_with_what_it_was_for(t):
    with ThreadPoolExecutor() as pool:
        _, new, first, second = amid_a_payment(t, pool)
        new.put(ACK, new.id + struct.pack(">QQ", 1, 1000))
        found = new.answer(PAY)
        equal((found[32:48], found[113:]), (struct.pack(">QQ", 2, 1500), b"coffee"))
        new.put(ACK, new.id + struct.pack(">QQ", 2, 1500))
        equal((first.result(), second.result()), (True, True))


@case()
def what_the_old_session_lost_is_sent_again_when_it_has_ended(t):
    with ThreadPoolExecutor() as pool:
        old, new, first, second = amid_a_payment(t, pool)
        old.close()
        equal([new.take_payment()[:2] for _ in range(2)], [(1, 1000), (2, 1500)])
        new.put(ACK, new.id + struct.pack(">QQ", 2, 1500))
        equal((first.result(), second.result()), (True, True))


if __name__ == "__main__":
    main()

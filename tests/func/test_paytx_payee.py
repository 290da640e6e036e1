"""A daemon pays one who is written from the specification alone, and answers as it likes or not at
all."""
import time

from events import read_events
from framework import case, check, equal, is_in, main, raises_rpc
from identities import kill_and_start
from paychannels import mine
from paytx_guest import (ACCEPTED, INVALID, PROOF_MISSING, REFUSED, REQUEST, RESULT, SATOSHIS,
                         Payment, accept, own_key, p_request, p_result, pay_to, payee)


def sent(node):
    return [p for p in node.rpc.listpayments() if p["category"] == "payment" and
            p.get("direction") == "out"]


def coins(node):
    return {(c["txid"], c["vout"]) for c in node.rpc.listunspent(0)}


@case()
def a_payment_that_is_refused_is_taken_back(t):
    node, guest = payee(t)
    before = coins(node)
    for i, status in enumerate((REFUSED, INVALID, 2, 77)):
        payment = Payment(node)
        identifier, prefix, ((_, suffix),), beef = guest.await_payment()
        is_in(pay_to(own_key(guest, prefix, suffix)).hex(), beef.hex())
        guest.put(RESULT, p_result(b"another id here!", ACCEPTED))  # of nothing
        guest.put(RESULT, p_result(identifier, status))
        check("the coins are free again" in str(payment.end()), str(payment.answer))
        equal((coins(node), node.rpc.getrawmempool()), (before, []))
        equal([p["state"] for p in sent(node)], ["taken back"] * (i + 1))
        guest.put(RESULT, p_result(identifier, ACCEPTED))  # too late
    equal({p["answer"] for p in sent(node)}, {"refused", "invalid", "wrong amount", "unknown"})
    t.wait(lambda: len([e for e in read_events(node) if e["type"] == "payment_failed"]) == 4)
    node.restart()
    equal((coins(node), node.rpc.getrawmempool()), (before, []))


@case()
def who_names_another_transaction_has_not_taken_ours(t):
    node, guest = payee(t)
    before = coins(node)
    payment = Payment(node)
    guest.put(RESULT, p_result(guest.await_payment()[0], ACCEPTED, bytes(range(32))))
    check("the coins are free again" in str(payment.end()), str(payment.answer))
    equal((coins(node), node.rpc.getrawmempool()), (before, []))
    equal([(p["state"], p["answer"]) for p in sent(node)], [("taken back", "refused")])
    for answer in (accept, lambda payment: p_result(payment[0], ACCEPTED)):  # or it names none
        payment = Payment(node)
        guest.put(RESULT, answer(guest.await_payment()))
        equal(payment.end()["state"], "accepted")


@case()
def a_payment_is_offered_again_until_it_is_answered(t):
    node, guest = payee(t)
    other = t.node("-connect=" + node.p2p)
    payment = Payment(node)
    first = guest.await_payment()
    guest.close()  # and says nothing
    answer = payment.end()
    equal((answer["state"], answer["acknowledged"]), ("pending", False))
    guest.connect()
    equal(guest.await_payment(), first)
    guest.close()
    kill_and_start(t, node, other)
    guest.connect()
    again = guest.await_payment()
    equal((again[0], again[1:3]), (first[0], first[1:3]))
    guest.put(RESULT, p_result(again[0], PROOF_MISSING))
    equal(guest.await_payment()[0], first[0])  # a second later, without another session
    guest.put(RESULT, accept(again))
    t.wait(lambda: [p["state"] for p in sent(node)] == ["accepted"])
    t.wait(lambda: answer["txid"] in node.rpc.getrawmempool())
    guest.close()
    guest.connect()
    equal(guest.answers(), 0)  # it is not offered any more


@case()
def a_request_of_a_contact_is_paid_at_its_prefix(t):
    node, guest = payee(t)
    guest.put(REQUEST, p_request(b"r" * 16, SATOSHIS, int(time.time()) + 600, prefix=b"cmVx"))
    t.wait(lambda: [p for p in node.rpc.listpayments() if p["category"] == "request"])
    payment = Payment(node, satoshis=0, request=(b"r" * 16).hex())
    identifier, prefix, _, _ = guest.await_payment()
    equal((identifier, prefix), (b"r" * 16, b"cmVx"))
    again = Payment(node, request=(b"r" * 16).hex())
    check("is being paid" in str(again.end()), str(again.answer))
    guest.put(RESULT, p_result(identifier, REFUSED))
    payment.end()
    payment = Payment(node, request=(b"r" * 16).hex())  # once more, with keys of its own
    taken = guest.await_payment()
    identifier, prefix, ((_, suffix),), _ = taken
    equal(identifier, b"r" * 16)
    check(suffix, "a suffix")
    guest.put(RESULT, accept(taken))
    equal(payment.end()["state"], "accepted")
    again = Payment(node, request=(b"r" * 16).hex())
    check("no open request" in str(again.end()), str(again.answer))


@case()
def a_second_request_at_one_prefix_is_paid_at_another(t):
    node, guest = payee(t)
    for request in (b"r" * 16, b"s" * 16):
        guest.put(REQUEST, p_request(request, SATOSHIS, int(time.time()) + 600, prefix=b"cmVx"))
        await_request(t, node, request)
        payment = Payment(node, request=request.hex())
        taken = guest.await_payment()
        guest.put(RESULT, accept(taken))
        equal(payment.end()["state"], "accepted")
        equal((taken[0], taken[1] == b"cmVx"), (request, request == b"r" * 16))
    equal(len({p["txid"] for p in sent(node)}), 2)


def spends(node, txid):
    tx = node.rpc.decoderawtransaction(node.rpc.gettransaction(txid)["hex"])
    return {(i["txid"], i["vout"]) for i in tx["vin"]}


def refused_once(t, node, guest, request):
    """The transaction of a payment for it that the payee has refused, and could broadcast."""
    guest.put(REQUEST, p_request(request, SATOSHIS, int(time.time()) + 600))
    t.wait(lambda: [p for p in node.rpc.listpayments()
                    if p["category"] == "request" and p["id"] == request.hex()])
    return refuse(node, guest, request)


def refuse(node, guest, request):
    payment = Payment(node, request=request.hex())
    guest.put(RESULT, p_result(guest.await_payment()[0], REFUSED))
    check("the coins are free again" in str(payment.end()), str(payment.answer))
    return next(p["txid"] for p in sent(node) if p["id"] == request.hex())


@case()
def of_payments_for_one_request_only_one_can_be_in_a_block(t):
    node, guest = payee(t)
    for _ in range(3):
        node.rpc.sendtoaddress(node.rpc.getnewaddress(), 1)
    mine(node)
    first = refused_once(t, node, guest, b"r" * 16)
    lock = [{"txid": txid, "vout": vout} for txid, vout in spends(node, first)]
    node.rpc.lockunspent(False, lock)  # others would be chosen now
    second = refuse(node, guest, b"r" * 16)
    guest.close()
    node.restart()
    guest.connect()
    node.rpc.lockunspent(False, lock)
    payment = Payment(node, request=(b"r" * 16).hex())
    guest.put(RESULT, accept(guest.await_payment()))
    third = payment.end()["txid"]
    equal(len({first, second, third}), 3)
    check(spends(node, first) <= spends(node, second) <= spends(node, third), "its coins")
    t.wait(lambda: third in node.rpc.getrawmempool())
    for txid in (first, second):
        raises_rpc(-26, lambda: node.rpc.sendrawtransaction(node.rpc.gettransaction(txid)["hex"]),
                   "txn-mempool-conflict")


@case()
def what_a_payee_has_refused_and_broadcast_is_not_paid_again(t):
    node, guest = payee(t)
    first = refused_once(t, node, guest, b"r" * 16)
    node.rpc.sendrawtransaction(node.rpc.gettransaction(first)["hex"])
    payment = Payment(node, request=(b"r" * 16).hex())
    check("on its way after all" in str(payment.end()), str(payment.answer))
    mine(node)
    payment = Payment(node, request=(b"r" * 16).hex())
    check("on its way after all" in str(payment.end()), str(payment.answer))


@case()
def coins_of_a_refused_payment_that_are_on_their_way_are_waited_for(t):
    node, guest = payee(t)
    first = refused_once(t, node, guest, b"r" * 16)
    node.rpc.sendtoaddress(node.rpc.getnewaddress(), node.rpc.getbalance(), "", "", True)
    for blocks in (0, 1, 4):  # fewer than 6 may be replaced by others
        mine(node, blocks)
        for _ in range(2):
            payment = Payment(node, request=(b"r" * 16).hex())
            check("once that is 6 blocks deep" in str(payment.end()), str(payment.answer))
    mine(node)
    second = refuse(node, guest, b"r" * 16)
    equal(spends(node, first) & spends(node, second), set())


@case()
def a_payment_to_a_contact_that_is_removed_is_not_waited_for(t):
    node, guest = payee(t)
    payment = Payment(node)
    guest.await_payment()
    node.rpc.contactremove("mallory")
    guest.close()
    payment.worker.join(20)  # it waits 30 s for an answer that may come
    equal(payment.answer and payment.answer["state"], "pending")


def meet_again(node, guest, restart=False):
    """The contact is removed and added: the same key with another id."""
    guest.close()
    node.rpc.contactremove("mallory")
    if restart:
        node.restart()
    node.rpc.contactadd(guest.key, "mallory")
    guest.connect()


def await_request(t, node, request):
    t.wait(lambda: (request.hex(), "open") in requests(node))


@case()
def a_request_under_way_is_not_paid_again_by_a_contact_added_again(t):
    node, guest = payee(t)
    request = b"r" * 16
    message = p_request(request, SATOSHIS, int(time.time()) + 600)
    guest.put(REQUEST, message)
    await_request(t, node, request)
    payment = Payment(node, request=request.hex())
    first = guest.await_payment()
    meet_again(node, guest)
    payment.end()
    guest.put(REQUEST, message)
    await_request(t, node, request)
    again = Payment(node, request=request.hex())
    offered = guest.await_payment()
    check("is being paid" in str(again.end()), str(again.answer))
    equal(offered[0], first[0])
    node.restart()
    guest.connect()
    guest.put(RESULT, accept(guest.await_payment()))
    t.wait(lambda: [p["state"] for p in sent(node)] == ["accepted"])
    equal(requests(node), [(request.hex(), "paid")])


@case()
def a_payment_taken_back_gives_its_coins_to_that_of_a_contact_added_again(t):
    node, guest = payee(t)
    request = b"r" * 16
    for _ in range(3):
        node.rpc.sendtoaddress(node.rpc.getnewaddress(), 1)
    mine(node)
    first = refused_once(t, node, guest, request)
    lock = [{"txid": txid, "vout": vout} for txid, vout in spends(node, first)]
    for restart in (False, True, False):  # each time it is the next contact's
        meet_again(node, guest, restart)
        node.rpc.lockunspent(False, lock)  # others would be chosen now
        guest.put(REQUEST, p_request(request, SATOSHIS, int(time.time()) + 600))
        await_request(t, node, request)
        second = refuse(node, guest, request)
        check(first != second and spends(node, first) <= spends(node, second), "its coins")
        first = second


def requests(node):
    return [(p["id"], p["state"]) for p in node.rpc.listpayments() if p["category"] == "request"]


@case()
def a_request_that_expires_while_its_payment_is_under_way_was_paid_or_not(t):
    node, guest = payee(t)
    for i, (status, end) in enumerate(((ACCEPTED, "paid"), (REFUSED, None))):
        request, now = bytes([i]) * 16, int(time.time()) + 1000 * i
        node.rpc.setmocktime(now)
        guest.put(REQUEST, p_request(request, SATOSHIS, now + 600, prefix=b"AAA%d" % i))
        t.wait(lambda: (request.hex(), "open") in requests(node))
        payment = Payment(node, request=request.hex())
        identifier = guest.await_payment()[0]
        node.rpc.setmocktime(now + 700)
        guest.close()
        guest.connect()
        offered = guest.await_payment()
        equal(offered[0], identifier)
        time.sleep(2)  # requests are looked at each second
        equal((request.hex(), "open") in requests(node), True)
        guest.put(RESULT, accept(offered) if status == ACCEPTED else
                  p_result(identifier, status))
        t.wait(lambda: dict(requests(node)).get(request.hex()) == end)
        payment.end()
        again = Payment(node, request=request.hex())
        check("no open request" in str(again.end()), str(again.answer))
        guest.close()
        node.stop()
        node.start(f"-mocktime={now + 700}")
        equal(dict(requests(node)).get(request.hex()), end)
        guest.connect()


if __name__ == "__main__":
    main()

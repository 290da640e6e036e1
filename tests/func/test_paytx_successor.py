"""A payment by a transaction is handed over, taken and answered after either side has changed its
key (channels 2.7), at the keys that it was made for."""
from channel_guest import SUCCESSOR, make_other_wallet, move_to_other_wallet, statement
from framework import case, equal, main
from paychannels import mine
from paytx_guest import ACCEPTED, RESULT, TX, Payer, Payment, accept, payee
from wallet_rpc import WalletRpc

SATOSHI = 10**8


def payments(node):
    return [p for p in WalletRpc(node, "default").listpayments() if p["category"] == "payment"]


def follow(t, node, guest):
    """Another guest, whom the contact of the first has become."""
    heir = Payer(node, guest.remote.hex())
    t.cleanups.append(heir.close)
    guest.put(SUCCESSOR, statement(guest, heir))
    t.wait(lambda: node.rpc.contactlist()[0].get("successors"))
    guest.close()
    node.rpc.contactset("mallory", {"successor": heir.key})
    return heir.connect()


def payee_with_next(t):
    node, guest = payee(t)
    make_other_wallet(node)
    return node, guest


def unanswered(node, guest):
    """A payment of the daemon that the guest has, and says nothing of."""
    payment = Payment(node)
    first = guest.await_payment()
    return payment, first


def is_offered_again(t, node, guest, first):
    again = guest.await_payment()
    equal(again[:3], first[:3])
    guest.put(RESULT, accept(again))
    t.wait(lambda: [p["state"] for p in payments(node)] == ["accepted"])
    t.wait(lambda: payments(node)[0]["txid"] in node.rpc.getrawmempool())


def is_taken_once(t, node, guest, payload, tx):
    wallet = WalletRpc(node, "default")
    for _ in range(2):
        equal(guest.hand_over(payload), ACCEPTED)
    t.wait(lambda: int(wallet.getunconfirmedbalance() * SATOSHI) == 50000)
    equal([(p["satoshis"], p["txid"], p["contact"]) for p in payments(node)],
          [(50000, tx.txid()[::-1].hex(), "mallory")])
    guest.close()
    guest.connect()
    equal(guest.hand_over(payload), ACCEPTED)
    mine(node)
    equal([c["confirmations"] for c in wallet.listunspent()
           if c["txid"] == tx.txid()[::-1].hex() and c["spendable"]], [1])


@case()
def a_payee_that_has_changed_its_key_is_offered_it_again(t):
    node, guest = payee(t)
    payment, first = unanswered(node, guest)
    heir = follow(t, node, guest)
    is_offered_again(t, node, heir, first)
    equal(payment.end()["state"] in ("pending", "accepted"), True)


@case()
def a_payee_that_is_added_again_at_its_new_key_is_offered_it_again(t):
    node, guest = payee(t)
    payment, first = unanswered(node, guest)
    heir = follow(t, node, guest)
    payment.end()
    heir.close()
    node.rpc.contactremove("mallory")
    node.rpc.contactadd(heir.key, "mallory")
    heir.connect()
    is_offered_again(t, node, heir, first)


@case()
def a_payer_that_has_changed_its_key_offers_it_again(t):
    node, guest = payee_with_next(t)
    payment, first = unanswered(node, guest)
    move_to_other_wallet(t, node, guest)
    is_offered_again(t, node, guest, first)
    equal(payment.end()["state"] in ("pending", "accepted"), True)


@case()
def what_was_paid_under_the_former_key_of_the_payer_is_taken(t):
    node, guest = payee(t)
    payload, _, tx = guest.payment(50000)
    heir = follow(t, node, guest)
    is_taken_once(t, node, heir, payload, tx)


@case()
def what_was_paid_to_the_former_key_of_the_payee_is_taken(t):
    node, guest = payee_with_next(t)
    payload, _, tx = guest.payment(50000)
    move_to_other_wallet(t, node, guest)
    is_taken_once(t, node, guest, payload, tx)


@case()
def what_may_be_for_a_key_of_a_wallet_that_is_not_loaded_waits_for_it(t):
    node, guest = payee_with_next(t)
    payload, _, tx = guest.payment(50000)
    move_to_other_wallet(t, node, guest)
    guest.close()
    node.rpc.unloadwallet("default")
    guest.connect()
    guest.put(TX, payload)
    t.wait(lambda: "of before is not loaded" in node.log())
    equal(guest.answers(), 0)
    node.rpc.loadwallet("default")
    is_taken_once(t, node, guest, payload, tx)


@case()
def what_was_paid_to_nobody_is_refused_after_a_change_too(t):
    node, guest = payee(t)
    heir = follow(t, node, guest)
    heir.remote, remote = Payer(node, heir.key).remote, heir.remote
    payload, _, _ = heir.payment(50000)  # to a key that is not the daemon's
    heir.remote = remote
    equal(heir.hand_over(payload), 1)
    equal(payments(node), [])


if __name__ == "__main__":
    main()

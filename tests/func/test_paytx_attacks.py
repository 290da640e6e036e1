"""Payments by a transaction of who means harm, or has lost what he knew: each is answered with its
code, and nothing is credited twice."""
import os
import struct
import time

from blocks import Key, Tx, TxIn, TxOut
from channels import is_up
from framework import Skip, case, check, equal, main
from identities import FAULT, kill_and_start
from paychannels import mine
from paytx_guest import (ACCEPTED, COIN, COIN_KEY, FEE, INVALID, PREFIX, PROOF_MISSING, REFUSED,
                         REQUEST, SUFFIX, TX, WRONG_AMOUNT, p_request, p_tx, payee)

SATOSHI = 10**8


def payments(node, category="payment", direction="in"):
    return [p for p in node.rpc.listpayments() if p["category"] == category and
            p.get("direction") == direction]


def pending(node):
    return int(node.rpc.getunconfirmedbalance() * SATOSHI)


@case()
def a_payment_is_credited_once_however_often_it_comes(t):
    node, payer = payee(t)
    other = t.node("-connect=" + node.p2p)
    payload, identifier, tx = payer.payment(50000)
    payer.put(TX, payload)  # another copy before the answer is answered by that
    equal(payer.result(), (identifier, ACCEPTED, tx.txid()))
    for _ in range(3):
        payer.put(TX, payload)
    for _ in range(3):
        equal(payer.result(), (identifier, ACCEPTED, tx.txid()))
    equal(pending(node), 50000)
    equal(payer.hand_over(os.urandom(16) + payload[16:]), REFUSED)  # under another id
    kill_and_start(t, node, other)
    payer.connect()
    equal(payer.hand_over(payload), ACCEPTED)
    equal(payer.hand_over(os.urandom(16) + payload[16:]), REFUSED)
    equal([(p["id"], p["satoshis"]) for p in payments(node)], [(identifier.hex(), 50000)])
    t.wait(lambda: pending(node) == 50000)  # it went to the mempool again
    mine(node)
    equal(payer.hand_over(payload), ACCEPTED)
    mine(node, 5)
    t.wait(lambda: [p["state"] for p in payments(node)] == ["settled"])
    equal(payer.hand_over(payload), ACCEPTED)
    second, _, at_same_prefix = payer.payment(60000, suffix=b"AAAA")
    equal(payer.hand_over(second), REFUSED)  # a prefix is for one payment
    check(at_same_prefix.txid()[::-1].hex() not in node.rpc.getrawmempool(), "it went nowhere")
    equal(len(payments(node)), 1)


@case()
def payments_that_are_none_are_refused(t):
    node, payer = payee(t, "-paymentfailures=100", "-channelstrangers=1")
    coin = payer.coin()
    change = (COIN - 50000 - FEE, COIN_KEY.script)
    tx = payer.spend(coin, (50000, payer.script()), change)
    beef = payer.beef(tx, coin)
    unsigned = payer.spend(coin, (50000, payer.script()), change, good=False)
    other = payer.spend(coin, (50000, COIN_KEY.script), change)
    large = payer.spend(coin, (2 * COIN, payer.script()))
    nothing = payer.spend(coin, (0, payer.script()), (COIN - FEE, COIN_KEY.script))

    def id_alone(child):  # V2: its parent is an id
        return b"\x01\x01\x01\x01" + child.txid() + b"\x02\x00\xbe\xef\x00\x02\x02" + \
            child.inputs[0].txid + b"\x00" + child.serialize()

    def orphan():
        return Tx([TxIn(b"\x77" * 32, 0)], [TxOut(50000, payer.script())])

    def above(bump):  # of a block that is still to come
        return bytes([bump[0] + 50]) + bump[1:]

    def wrong(bump):
        return bump[:-1] + bytes([bump[-1] ^ 1])

    tries = [
        (p_tx(b"i" * 16, beef, ()), INVALID),
        (p_tx(b"i" * 16, beef, ((2, SUFFIX),)), INVALID),
        (p_tx(b"i" * 16, beef, ((2**32 - 1, SUFFIX),)), INVALID),
        (p_tx(b"i" * 16, beef, ((1, SUFFIX),)), INVALID),
        (p_tx(b"i" * 16, beef, ((0, SUFFIX), (0, SUFFIX))), INVALID),
        (p_tx(b"i" * 16, beef, ((0, SUFFIX),) * 16), INVALID),
        (p_tx(b"i" * 16, beef, ((0, b""),)), INVALID),
        (p_tx(b"i" * 16, beef, ((0, b"AAAA"),)), INVALID),
        (p_tx(b"i" * 16, beef, prefix=b"AAAA"), INVALID),
        (p_tx(b"i" * 16, beef, prefix=b""), INVALID),
        (p_tx(b"i" * 16, b"\0"), INVALID),
        (p_tx(b"i" * 16, beef[:-1]), INVALID),
        (p_tx(b"i" * 16, beef + b"\0"), INVALID),
        (p_tx(b"i" * 16, payer.beef(tx, coin, atomic=False)), INVALID),
        (p_tx(b"i" * 16, payer.beef(tx, coin, wrong)), INVALID),
        (p_tx(b"i" * 16, payer.beef(tx, coin, above)), PROOF_MISSING),
        (p_tx(b"i" * 16, id_alone(orphan())), PROOF_MISSING),
        (p_tx(b"i" * 16, b"", tail=b"\x02\x20" + bytes(32)), PROOF_MISSING),
        (p_tx(b"i" * 16, payer.beef(unsigned, coin)), INVALID),
        (p_tx(b"i" * 16, payer.beef(large, coin)), INVALID),
        (p_tx(b"i" * 16, payer.beef(nothing, coin)), INVALID),
    ]
    for i, (payload, status) in enumerate(tries):
        equal(payer.hand_over(payload), status, f"try {i}")
        if not is_up(node, "mallory"):
            payer.connect()  # so many in vain cost the session
    equal(node.rpc.getrawmempool(), [])
    equal((payments(node), pending(node)), ([], 0))
    node.rpc.sendrawtransaction(other.serialize().hex())  # spends the same coin
    equal(payer.hand_over(p_tx(b"i" * 16, beef)), INVALID)
    equal((payments(node), pending(node)), ([], 0))


@case()
def what_is_malformed_ends_the_session(t):
    node, payer = payee(t)
    payer.put(TX, p_tx(b"i" * 16, b"x", prefix=b"a b"))
    t.wait(lambda: not is_up(node, "mallory"))
    payer.connect()
    payer.put(TX, p_tx(b"i" * 16, b"x", ((0, SUFFIX),) * 17))
    t.wait(lambda: not is_up(node, "mallory"))
    payer.connect()
    payer.put(TX, p_tx(b"i" * 16, b""))  # neither a transaction nor a file
    t.wait(lambda: not is_up(node, "mallory"))


@case()
def a_request_has_its_amount_and_names_who_may_pay(t):
    node, payer = payee(t, "-channelstrangers=1", contact=False)
    payload, _, tx = payer.payment(50000)
    equal(payer.hand_over(payload), REFUSED)  # of a stranger, and for nothing
    node.rpc.contactadd(Key(9).public.hex(), "carol")
    asked = bytes.fromhex(node.rpc.requestpayment("carol", 50001)["id"])
    equal(payer.hand_over(asked + payload[16:]), WRONG_AMOUNT)
    asked = bytes.fromhex(node.rpc.requestpayment("carol", 50000)["id"])
    equal(payer.hand_over(asked + payload[16:]), ACCEPTED)
    equal(payer.hand_over(asked + payload[16:]), ACCEPTED)
    equal(sorted(r["state"] for r in payments(node, "request", "out")), ["open", "paid"])
    equal([(p["id"], p.get("contact"), p["txid"]) for p in payments(node)],
          [(asked.hex(), None, tx.txid()[::-1].hex())])
    other, _, _ = payer.payment(50000, asked)  # a request is paid once: the same answer, no credit
    equal(payer.hand_over(other), ACCEPTED)
    equal(len(payments(node)), 1)
    t.wait(lambda: pending(node) == 50000 or int(node.rpc.getbalance() * SATOSHI) > 0)


@case()
def who_pays_in_vain_is_not_looked_at_for_long(t):
    node, payer = payee(t, "-paymentfailures=3")
    good, _, _ = payer.payment(50000)
    for _ in range(3):
        equal(payer.hand_over(p_tx(os.urandom(16), b"\0")), INVALID)
    payer.put(TX, good)
    equal(payer.answers(), 0, "it waits with its payer")
    equal(payments(node), [])
    node.restart()  # nothing is lost by it
    payer.connect()
    equal(payer.hand_over(good), ACCEPTED)


@case()
def a_flood_of_payments_is_mostly_ignored(t):
    node, payer = payee(t, "-paymentrate=1")
    good, _, _ = payer.payment(50000)
    equal(payer.hand_over(good), ACCEPTED)
    began = time.monotonic()
    for _ in range(500):
        payer.put(TX, good)
    answered = payer.answers()
    took = time.monotonic() - began
    check(answered <= 5 + took, f"{answered} answers in {took:.1f} s")


@case()
def requests_are_bounded(t):
    node, payer = payee(t, "-paymentrequests=3", "-paymentrequestrate=5")
    now = int(time.time())
    for satoshis, expires in ((0, now + 600), (21 * 10**14 + 1, now + 600), (5, now - 1), (5, 0)):
        payer.put(REQUEST, p_request(os.urandom(16), satoshis, expires))
    first = p_request(b"a" * 16, 5, now + 600, b"one\x1b[2J")
    for payload in (first, first, p_request(b"a" * 16, 6, now + 600)):
        payer.put(REQUEST, payload)
    t.wait(lambda: payments(node, "request"))
    equal([(r["satoshis"], r["memo"]) for r in payments(node, "request")], [(5, "one?[2J")])
    for i in range(9):
        payer.put(REQUEST, p_request(bytes([i]) * 16, 5, now + 600))
    equal(payer.answers(), 0, "no answer")
    t.wait(lambda: len(payments(node, "request")) == 3)
    node.kill()
    node.start()
    equal(len(payments(node, "request")), 3)
    node.rpc.setmocktime(now + 601)
    t.wait(lambda: not payments(node, "request"))  # they are gone from the disk


@case()
def a_request_for_longer_than_any_is_kept_ends_before(t):
    node, payer = payee(t)
    now = int(time.time())
    node.rpc.setmocktime(now)
    payer.put(REQUEST, p_request(b"a" * 16, 5, 2**32 - 1))
    t.wait(lambda: payments(node, "request"))
    equal([r["expires"] for r in payments(node, "request")], [now + 30 * 86400])


@case()
def a_locked_wallet_takes_a_payment_when_it_is_unlocked(t):
    node, payer = payee(t)
    payload, identifier, _ = payer.payment(50000)
    node.rpc.encryptwallet("secret")
    node.rpc.walletpassphrase("secret", 1000)
    node.rpc.walletlock()
    payer.close()
    node.restart()
    node.rpc.walletpassphrase("secret", 1000)
    payer.connect()  # the copy of the key of the identity stays
    node.rpc.walletpassphrase("secret", 1)
    t.wait(lambda: node.rpc.getwalletinfo()["unlocked_until"] == 0)
    payer.put(TX, payload)
    equal(payer.answers(), 0, "no answer")
    node.rpc.walletpassphrase("secret", 1000)
    equal(payer.hand_over(payload), ACCEPTED)
    equal([p["id"] for p in payments(node)], [identifier.hex()])


def asked(node, satoshis, seconds=600):
    return bytes.fromhex(node.rpc.requestpayment("mallory", satoshis, "", seconds)["id"])


def request_states(node):
    return [r["state"] for r in payments(node, "request", "out")]


@case()
def a_request_that_expired_while_its_payment_was_on_its_way_is_paid(t):
    node, payer = payee(t)
    identifier = asked(node, 50000)
    payload, _, _ = payer.payment(50000, identifier)
    less, _, _ = payer.payment(49999, identifier, prefix=b"bGVz")
    node.rpc.setmocktime(int(time.time()) + 700)
    t.wait(lambda: request_states(node) == ["expired"])
    equal(payer.hand_over(less), WRONG_AMOUNT)
    equal(payer.hand_over(payload), ACCEPTED)
    equal(request_states(node), ["paid"])
    equal([p["request"] for p in payments(node)], [identifier.hex()])
    node.stop()
    node.start()
    equal(request_states(node), ["paid"])


@case(timeout=120)
def a_request_that_expires_while_its_payment_is_written_down_is_paid(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes slow is not built")
    node, payer = payee(t)
    identifier = asked(node, 50000)
    payload, _, _ = payer.payment(50000, identifier)
    node.stop()
    node.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": "fdatasync:1:slow",
                    "BSVPEER_FAULT_PATH": node.file("channels")})
    payer.connect()
    payer.put(TX, payload)
    t.wait(node.rpc.getrawmempool)  # it is taken, and will be written
    node.rpc.setmocktime(int(time.time()) + 700)
    equal(payer.result()[:2], (identifier, ACCEPTED))
    time.sleep(3)  # requests are looked at each second
    equal(request_states(node), ["paid"])
    node.stop()
    node.start()
    equal(request_states(node), ["paid"])


@case(long_only=True)
def a_payment_looked_at_while_its_contact_is_removed_and_added_is_credited_once(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes slow is not built")
    node, payer = payee(t)
    payload, identifier, _ = payer.payment(50000)
    node.stop()
    node.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": "fdatasync:1:slow",
                    "BSVPEER_FAULT_PATH": node.file("wallets"),
                    "BSVPEER_FAULT_AFTER": node.file("slow")})
    payer.connect()
    with open(node.file("slow"), "w", encoding="ascii"):
        pass
    payer.put(TX, payload)
    t.wait(node.rpc.getrawmempool)  # its keys are being written
    payer.close()
    node.rpc.contactremove("mallory")
    node.rpc.contactadd(payer.key, "mallory")
    payer.connect()
    for _ in range(2):
        equal(payer.hand_over(payload), ACCEPTED)
    t.wait(lambda: [(p["id"], p.get("contact")) for p in payments(node)] ==
           [(identifier.hex(), "mallory")])
    node.kill()


if __name__ == "__main__":
    main()

"""Payers and payees that mean harm: each thing they try is refused with its code, and changes
nothing."""
import os
import struct
import time

import noise
from blocks import Key, TxOut, display, spend
from channels import talker
from framework import case, equal, is_in, main
from paychan_guest import (ACK, AMOUNT, CAPACITY, CLOSE, CLOSED, DEPTH, FAIL, FUNDED, LIMIT, OPEN,
                           PARAMS, PAY, READY, SCRIPT, SIG, STATE, SYNC, UNKNOWN, FEE, high,
                           open_channel, payee)
from paychan_payee_guest import Payee, opening
from paychannels import GENESIS, channel, mine, mine_these, spender, state, sums


def stands_at(node, payer, n, paid):
    found = channel(node, payer.id.hex())
    equal((found["state"], found["n"], found["paid"]), ("open", n, paid))


@case()
def openings_that_are_none_are_refused(t):
    node, payer = payee(t, "-paychannelopens=8")
    tip = node.rpc.getblockcount()
    for more in ({"capacity": 9999}, {"capacity": 10**8 + 1}, {"expiry": tip + 287},
                 {"expiry": tip + 4033}, {"expiry": 0}, {"fee": FEE - 1}, {"kind": 2}):
        fields = {"capacity": CAPACITY, "expiry": tip + 1000, "nonce": os.urandom(32), **more}
        payer.refused(OPEN, payer.open_message(**fields), PARAMS, fields["nonce"])
    equal(node.rpc.listpaychannels(), [])
    payer.open(CAPACITY, tip + 1000)
    again = payer.open_message(CAPACITY, tip + 1000, payer.nonce)
    payer.put(OPEN, again)  # the same: no other channel
    equal(payer.answer(258)[:32], payer.id)
    payer.refused(OPEN, payer.open_message(CAPACITY, tip + 999, payer.nonce), PARAMS, payer.nonce)
    nonce = os.urandom(32)
    payer.refused(OPEN, payer.open_message(CAPACITY, tip + 1000, nonce), LIMIT, nonce)
    equal(len(node.rpc.listpaychannels()), 1)


@case()
def fundings_that_are_none_are_refused(t):
    node, payer = payee(t)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    payer.refused(PAY, payer.id + struct.pack(">QQ", 1, 1) + bytes(65), STATE, payer.id)
    wrong = payer.lock[:-1] + b"\x67"
    for tx in (payer.fund(script=wrong), payer.fund(value=CAPACITY - 1)):
        payer.refused(FUNDED, payer.funded_message(tx), SCRIPT, payer.id)
    payer.funding = payer.fund()
    payer.refused(FUNDED, payer.funded_message(payer.funding, 1), SCRIPT, payer.id)
    payer.refused(FUNDED, payer.id + bytes(36) + b"\0\0", SCRIPT, payer.id)
    payer.refused(FUNDED, payer.funded_message(payer.funding, tail=b"\0"), SCRIPT, payer.id)
    equal(state(node, payer.id.hex()), "accepted")
    payer.put(FUNDED, payer.funded_message(payer.funding))  # in no block: it waits
    t.wait(lambda: state(node, payer.id.hex()) == "seen")
    mine(node)
    payer.answer(READY)
    payer.put(PAY, payer.pay(1, 1000))
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 1, 1000))


@case()
def a_funding_whose_coin_another_transaction_takes_opens_nothing(t):
    node, payer = payee(t)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    payer.funding = payer.fund()
    coin = payer.funding.inputs[0]
    key, value = Key(7), 10**7
    other = spend(key, coin.txid, coin.index, value, [TxOut(value - 1000, key.script)])
    payer.put(FUNDED, payer.funded_message(payer.funding))
    t.wait(lambda: state(node, payer.id.hex()) == "seen")
    before = bytes.fromhex(node.rpc.getrawtransaction(display(coin.txid)))
    mine_these(node, before, other.serialize())
    mine(node, 6)
    payer.refused(PAY, payer.pay(1, 1000), STATE, payer.id)
    equal(state(node, payer.id.hex()), "seen")


@case()
def a_funding_that_is_spent_elsewhere_ends_the_credit_before_a_block(t):
    node, payer = payee(t, "-paychannelunconfirmed=5000", "-paychanneldepth=0")
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    payer.funding = payer.fund()
    coin, key = payer.funding.inputs[0], Key(7)
    before = bytes.fromhex(node.rpc.getrawtransaction(display(coin.txid)))
    other = spend(key, coin.txid, coin.index, 10**7, [TxOut(10**7 - 1000, key.script)])
    payer.put(FUNDED, payer.funded_message(payer.funding))
    payer.answer(READY)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    mine_these(node, before, other.serialize())
    equal(payer.answer(READY)[32:], bytes(4) + b"\1\x08" + bytes(8))  # nothing more is taken
    payer.refused(PAY, payer.pay(2, 2000), DEPTH, payer.id)
    stands_at(node, payer, 1, 1000)


@case()
def a_funding_in_a_stale_block_opens_nothing(t):
    node, payer = payee(t)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    payer.funding = payer.fund()
    node.rpc.sendrawtransaction(payer.funding.serialize().hex())
    stale, = mine(node)
    node.rpc.invalidateblock(stale)
    payer.put(FUNDED, payer.funded_message(payer.funding))
    t.wait(lambda: state(node, payer.id.hex()) == "seen")
    payer.refused(PAY, payer.pay(1, 1000), STATE, payer.id)
    mine(node)  # with the funding
    payer.answer(READY)


@case()
def an_accept_without_funding_is_forgotten_after_two_days(t):
    node, payer = payee(t)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    now = int(time.time())
    node.rpc.setmocktime(now + 172700)
    payer.refused(PAY, payer.id + struct.pack(">QQ", 1, 1) + bytes(65), STATE, payer.id)
    node.rpc.setmocktime(now + 172900)
    t.wait(lambda: node.rpc.listpaychannels() == [])


@case()
def payments_that_are_wrong_are_refused_and_the_best_close_stays(t):
    node, payer = payee(t)
    open_channel(node, payer)
    payer.put(PAY, payer.pay(1, 1000))
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 1, 1000))
    payer.refused(PAY, payer.pay(3, 1200), STATE, payer.id)  # a gap
    payer.put(PAY, payer.pay(1, 1500))  # the same number again: where it stands
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 1, 1000))
    good = payer.sign(1100)
    for paid, sig, code in ((999, None, AMOUNT), (1000, None, AMOUNT),
                            (CAPACITY - FEE + 1, good, AMOUNT), (2**64 - 1, good, AMOUNT),
                            (100001, None, DEPTH), (1101, good, SIG), (1100, high(good), SIG),
                            (1100, bytes(64), SIG), (1100, payer.sign(1100, FEE + 1), SIG),
                            (1100, payer.sign(1100, secret=b"\x72" * 32), SIG)):
        payer.refused(PAY, payer.pay(2, paid, sig), code, payer.id)
        stands_at(node, payer, 1, 1000)
    other = os.urandom(32)
    payer.refused(PAY, other + payer.pay(2, 1100)[32:], UNKNOWN, other)
    payer.put(SYNC, payer.sync(1, 1000))
    payer.answer(SYNC)
    payer.answer(READY)
    payer.put(PAY, payer.pay(2, 1100, good))
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 2, 1100))
    payer.refused(CLOSE, payer.close_message(2**64 - 1, sig=good), AMOUNT, payer.id)
    payer.answer(CLOSED)
    equal(sums(t.wait(lambda: spender(node, payer.id.hex()))),
          [1100, CAPACITY - 1100 - FEE])
    mine(node, 6)
    t.wait(lambda: state(node, payer.id.hex()) == "closed")


@case()
def closes_that_are_wrong_are_refused_and_the_best_one_goes_out(t):
    node, payer = payee(t)
    open_channel(node, payer)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    for paid, fee, sig, code in ((999, FEE, None, AMOUNT), (1000, FEE - 1, None, AMOUNT),
                                 (CAPACITY - FEE + 1, FEE, payer.sign(1000), AMOUNT),
                                 (1000, 2**32 - 1, payer.sign(1000), AMOUNT),
                                 (1000, FEE + 1, payer.sign(1000), SIG),
                                 (1001, FEE, payer.sign(1000), SIG)):
        payer.refused(CLOSE, payer.close_message(paid, fee, sig), code, payer.id)
        payer.answer(CLOSED)
    equal(sums(t.wait(lambda: spender(node, payer.id.hex()))), [1000, CAPACITY - 1000 - FEE])
    found = channel(node, payer.id.hex())
    equal((found["state"], found["n"], found["paid"]), ("closing", 1, 1000))


@case()
def a_close_may_pay_more_and_have_another_fee(t):
    node, payer = payee(t)
    open_channel(node, payer)
    nothing = payer.close_message(0, CAPACITY)  # signed, and without an output
    payer.refused(CLOSE, nothing, AMOUNT, payer.id)
    stands_at(node, payer, 0, 0)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    payer.put(CLOSE, payer.close_message(1500, FEE + 70))
    payer.answer(CLOSED)
    equal(sums(t.wait(lambda: spender(node, payer.id.hex()))),
          [1500, CAPACITY - 1500 - FEE - 70])


@case()
def a_channel_that_was_given_up_unpaid_is_closed_for_its_payer(t):
    node, payer = payee(t)
    open_channel(node, payer)
    node.rpc.closechannel(payer.id.hex())
    equal(state(node, payer.id.hex()), "abandoned")
    payer.refused(PAY, payer.pay(1, 1000), STATE, payer.id)
    payer.refused(CLOSE, payer.close_message(0, sig=bytes(64)), SIG, payer.id)
    equal(state(node, payer.id.hex()), "abandoned")
    payer.put(CLOSE, payer.close_message(0))
    payer.answer(CLOSED)
    equal(sums(t.wait(lambda: spender(node, payer.id.hex()))), [CAPACITY - FEE])
    mine(node, 6)
    t.wait(lambda: state(node, payer.id.hex()) == "closed")


@case()
def a_payment_that_is_refused_in_the_middle_stops_those_after_it(t):
    node, payer = payee(t)
    open_channel(node, payer)
    sums_of = {n: 1000 * n for n in range(1, 7)}
    packets = [payer.packet(PAY, payer.pay(n, paid, bytes(64) if n == 3 else None))
               for n, paid in sums_of.items()]
    payer.socket.sendall(b"".join(packets))  # under way together
    kind, got = payer.next()
    while kind == ACK and got != payer.id + struct.pack(">QQ", 2, 2000):
        kind, got = payer.next()
    equal(kind, ACK)
    equal(payer.answer(FAIL)[:34], payer.id + struct.pack(">H", SIG))
    stands_at(node, payer, 2, 2000)
    payer.put(SYNC, payer.sync(6, 6000))  # nothing came of 4 to 6, not even a refusal
    payer.answer(SYNC)
    payer.answer(READY)
    payer.put(PAY, payer.pay(6, 6000))
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 6, 6000))


@case()
def ten_bad_signatures_end_the_session(t):
    node, payer = payee(t)
    open_channel(node, payer)
    for _ in range(10):
        payer.refused(PAY, payer.pay(1, 1000, bytes(64)), SIG, payer.id)
    t.wait(lambda: not node.rpc.listpaychannels()[0]["connected"])
    equal(state(node, payer.id.hex()), "open")


def a_copy_of_no_channel(payer):
    """chan_sync with a copy that its id fits, of keys that nobody has."""
    nonce = os.urandom(32)
    id = noise.tagged(b"bcapeer/chan", bytes.fromhex(payer.key) + payer.remote + 2 * nonce)
    copy = struct.pack(">H", 1) + payer.payer_key + noise.CURVE.public(b"\x72" * 32) + \
        struct.pack(">IQ", 1000, CAPACITY) + bytes(36) + struct.pack(">I", FEE) + bytes(40) + \
        2 * nonce
    return id + payer.sync(0, 0)[32:] + b"\x01\xe0" + copy


@case()
def messages_that_cost_the_disk_or_the_chain_are_limited(t):
    node, payer = payee(t, "-paychannelcount=2")
    open_channel(node, payer)
    for _ in range(300):
        payer.put(CLOSE, payer.close_message(2**64 - 1, sig=bytes(64)))
    codes = [struct.unpack(">H", payer.answer(FAIL)[32:34])[0] for _ in range(300)]
    equal((codes[0], set(codes)), (AMOUNT, {AMOUNT, LIMIT}))
    shown = a_copy_of_no_channel(payer)
    for _ in range(300):
        payer.put(SYNC, shown)
    codes = [struct.unpack(">H", payer.answer(FAIL)[32:34])[0] for _ in range(300)]
    equal(LIMIT in codes, True)
    payer.put(PAY, payer.pay(1, 1000))  # payments have their own limit
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 1, 1000))
    stands_at(node, payer, 1, 1000)


@case()
def accepts_that_are_none_get_no_money(t):
    node, key = talker(t, GENESIS)
    payee_guest = Payee(node, key)
    t.cleanups.append(payee_guest.close)
    node.rpc.contactadd(payee_guest.key, "mallory")
    payee_guest.connect()
    other = os.urandom(32)
    for more in ({"depth": 11}, {"margin": 35}, {"margin": 1009}, {"key": b"\2" + b"\xff" * 32}):
        thread, result = opening(node, "mallory", CAPACITY)
        payee_guest.take_open()
        payee_guest.accept(id=other)  # the opening waits for its own
        equal(payee_guest.answer(FAIL)[:34], other + struct.pack(">H", PARAMS))
        payee_guest.accept(**more)
        equal(payee_guest.answer(FAIL)[:34], payee_guest.id + struct.pack(">H", PARAMS))
        thread.join()
        is_in("given up", result["refused"])
    thread, result = opening(node, "mallory", CAPACITY)
    payee_guest.take_open()
    payee_guest.put(FAIL, payee_guest.nonce_a + struct.pack(">HH", 77, 4) + b"full")
    thread.join()  # of whatever code
    is_in("full", result["refused"])
    payee_guest.accept()  # too late
    equal(payee_guest.answer(FAIL)[:34], payee_guest.id + struct.pack(">H", UNKNOWN))
    equal((node.rpc.listpaychannels(), node.rpc.getrawmempool()), ([], []))


@case()
def hundreds_of_channels_are_listed_in_turn(t):
    node, payer = payee(t, "-paychannelcount=1000", "-paychannelopens=1000")
    expiry, ids = node.rpc.getblockcount() + 1000, []
    for _ in range(300):
        payer.open(CAPACITY, expiry)
        ids.append(payer.id.hex())
    equal([c["id"] for c in node.rpc.listpaychannels()], ids)
    equal(node.rpc.getpaychannel(ids[280])["state"], "accepted")


if __name__ == "__main__":
    main()

"""Payments by a transaction over direct channels, and requests for them, between two daemons."""
import os
from decimal import Decimal

from blocks import Tx, TxIn, TxOut, display
from channels import is_up
from events import read_events
from framework import case, check, equal, main, raises_rpc
from identities import kill_and_start
from paychannels import (CAPACITY, CLOSE_FEE, channel, connect, mine, open_channel, payers, spender,
                         state, sums)
from paytx_guest import ACCEPTED, COIN_KEY, p_tx, payee

COIN = 10**8


def rows(node, category, direction):
    return [r for r in node.rpc.listpayments() if r["category"] == category and
            r.get("direction") == direction]


def row(node, category, direction):
    found = rows(node, category, direction)
    equal(len(found), 1, f"{category} {direction}")
    return found[0]


def events(node, kind):
    return [e for e in read_events(node) if e["type"] == kind and "id" in e]


def pay_request(node, satoshis, request):
    return node.rpc.pay(contact="bob", satoshis=satoshis, request=request)


def received(node):
    return int(node.rpc.getunconfirmedbalance() * COIN)


@case()
def a_contact_is_paid_by_a_transaction(t):
    a, b = payers(t)
    raises_rpc(-5, lambda: a.rpc.pay("bob", 5000), "no payment channel")
    made = a.rpc.pay(contact="bob", satoshis=5000, ref="lunch", transaction=True)
    equal((made["via"], made["state"], made["acknowledged"]), ("transaction", "accepted", True))
    for node in (a, b):
        t.wait(lambda: made["txid"] in node.rpc.getrawmempool())
    sent, got = row(a, "payment", "out"), row(b, "payment", "in")
    for r in (sent, got):
        equal((r["id"], r["txid"], r["satoshis"], r["state"]),
              (made["id"], made["txid"], 5000, "accepted"))
    equal((sent["memo"], sent["contact"], got["contact"]), ("lunch", "bob", "alice"))
    equal((sent["derivationPrefix"], sent["outputs"]), (got["derivationPrefix"], got["outputs"]))
    equal(received(b), 5000)
    before = b.rpc.getbalance()
    mine(a)
    t.wait_same_tip(a, b)
    equal(int((b.rpc.getbalance() - before) * COIN), 5000)
    address = b.rpc.getnewaddress()
    b.rpc.sendtoaddress(address, b.rpc.getbalance(), "", "", True)  # spends it
    t.wait(lambda: events(b, "payment_received") and events(a, "payment_sent"))
    told = events(b, "payment_received")[0]
    equal((told["id"], told["satoshis"], told["txid"]), (made["id"], 5000, made["txid"]))
    # With a channel that has enough left it is that which pays.
    id = open_channel(t, a, b, capacity=20000)
    equal(a.rpc.pay(contact="bob", satoshis=15000, transaction=True)["via"], "channel")
    equal(a.rpc.pay(contact="bob", satoshis=15000, transaction=True)["via"], "transaction")
    raises_rpc(-8, lambda: a.rpc.pay("bob", 15000), "does not hold so much")
    equal(a.rpc.getpaychannel(id)["paid"], 15000)
    a.rpc.contactremove("bob")  # what was paid stays
    equal({c.get("contact") for c in a.rpc.listpaychannels()}, {None})
    equal({r.get("contact") for r in rows(a, "payment", "out")}, {None})


@case()
def a_request_is_paid_once(t):
    a, b = payers(t)
    asked = b.rpc.requestpayment("alice", 7000, "the bill")
    t.wait(lambda: rows(a, "request", "in"))
    seen, ours = row(a, "request", "in"), row(b, "request", "out")
    equal((seen["id"], seen["satoshis"], seen["memo"], seen["state"], seen["expires"]),
          (asked["id"], 7000, "the bill", "open", asked["expires"]))
    equal(ours["state"], "open")
    t.wait(lambda: events(a, "payment_requested"))
    equal(events(a, "payment_requested")[0]["memo"], "the bill")
    raises_rpc(-8, lambda: pay_request(a, 6999, asked["id"]), "for 7000 satoshis")
    raises_rpc(-8, lambda: pay_request(a, 7000, "abcd"), "16 bytes")
    raises_rpc(-5, lambda: pay_request(a, 7000, "ab" * 16), "no open request")
    made = pay_request(a, 0, asked["id"])
    equal((made["via"], made["id"], made["satoshis"]), ("transaction", asked["id"], 7000))
    t.wait(lambda: row(a, "request", "in")["state"] == "paid")
    equal((row(b, "request", "out")["state"], row(b, "request", "out")["txid"]),
          ("paid", made["txid"]))
    equal(row(b, "payment", "in")["request"], asked["id"])
    equal(received(b), 7000)
    raises_rpc(-5, lambda: pay_request(a, 7000, asked["id"]), "no open request")
    kill_and_start(t, a, b)
    kill_and_start(t, b, a)
    connect(t, a, b)
    raises_rpc(-5, lambda: pay_request(a, 7000, asked["id"]), "no open request")
    equal(len(rows(b, "payment", "in")), 1)


@case()
def a_request_waits_for_its_contact_and_expires(t):
    a, b = payers(t)
    a.stop()
    asked = [b.rpc.requestpayment("alice", 7000, "", seconds)["id"] for seconds in (3600, 7200)]
    b.rpc.requestpayment("alice", 1)  # a week
    a.start()
    connect(t, a, b)
    t.wait(lambda: len(rows(a, "request", "in")) == 3)
    now = rows(b, "request", "out")[0]["created"]
    for node in (a, b):
        node.rpc.setmocktime(now + 3700)
    t.wait(lambda: {r["id"]: r["state"] for r in rows(b, "request", "out")}[asked[0]] == "expired")
    t.wait(lambda: len(rows(a, "request", "in")) == 2)
    raises_rpc(-5, lambda: pay_request(a, 7000, asked[0]), "no open request")
    equal(pay_request(a, 7000, asked[1])["state"], "accepted")
    b.restart()
    equal(sorted(r["state"] for r in rows(b, "request", "out")), ["expired", "open", "paid"])


@case()
def what_cannot_be_paid_is_said_and_costs_nothing(t):
    a, b = payers(t)
    before = a.rpc.getbalance()
    raises_rpc(-5, lambda: a.rpc.pay(contact="bob", satoshis=10**13, transaction=True),
               "insufficient funds")
    raises_rpc(-8, lambda: a.rpc.requestpayment("bob", 0), "above 0")
    raises_rpc(-8, lambda: a.rpc.requestpayment("bob", 5, "x" * 257), "256 bytes")
    raises_rpc(-8, lambda: a.rpc.requestpayment("bob", 5, "", 2592001), "2592000 seconds")
    raises_rpc(-5, lambda: a.rpc.requestpayment("nobody", 5), "no contact")
    raises_rpc(-5, lambda: a.rpc.pay(contact="nobody", satoshis=5, transaction=True), "no contact")
    a.rpc.encryptwallet("secret")
    a.rpc.walletpassphrase("secret", 1000)
    connect(t, a, b)
    a.rpc.walletpassphrase("secret", 1)
    t.wait(lambda: a.rpc.getwalletinfo()["unlocked_until"] == 0)
    raises_rpc(-1, lambda: a.rpc.pay(contact="bob", satoshis=5, transaction=True), "locked")
    equal({r["state"] for r in rows(a, "payment", "out")}, {"taken back"})
    a.rpc.walletpassphrase("secret", 1000)
    equal(a.rpc.getbalance(), before)
    equal(a.rpc.pay(contact="bob", satoshis=5000, transaction=True)["state"], "accepted")
    b.stop()
    t.wait(lambda: not is_up(a, "bob"))
    raises_rpc(-1, lambda: a.rpc.pay(contact="bob", satoshis=5, transaction=True), "no session")


@case()
def a_payment_that_no_message_holds_goes_as_a_file(t):
    a, b = payers(t)
    coins = a.rpc.listunspent()
    total = sum(c["amount"] for c in coins)
    raw = a.rpc.createrawtransaction([{"txid": c["txid"], "vout": c["vout"]} for c in coins],
                                     {"data": "00" * 100000, a.rpc.getnewaddress():
                                      total - Decimal("0.001")})
    large = a.rpc.sendrawtransaction(a.rpc.signrawtransaction(raw)["hex"])
    mine(a)  # a coin whose proof has more than 60000 bytes
    t.wait_same_tip(a, b)
    made = a.rpc.pay(contact="bob", satoshis=5000, transaction=True)
    equal((made["state"], received(b)), ("accepted", 5000))
    equal([i["txid"] for i in a.rpc.getrawtransaction(made["txid"], 1)["vin"]], [large])
    equal(row(b, "payment", "in")["txid"], made["txid"])
    equal(len(os.listdir(a.file("payments"))), 0)  # it is not kept


@case()
def parents_in_blocks_stand_in_any_order(t):
    """As SDKs write them: in the order of the inputs, also when one spends the other."""
    node, payer = payee(t)
    old = payer.spend(payer.coin(), (4000000, COIN_KEY.script), (5000000, COIN_KEY.script))
    young = Tx([TxIn(old.txid(), 0)], [TxOut(3000000, COIN_KEY.script)])
    young.sign_input(0, COIN_KEY, 4000000, COIN_KEY.script)
    bumps = []
    for tx in (old, young):
        node.rpc.sendrawtransaction(tx.serialize().hex())
        mine(node)
        bumps.append(bytes.fromhex(node.rpc.getbump(display(tx.txid()))))
    tx = Tx([TxIn(young.txid(), 0), TxIn(old.txid(), 1)], [TxOut(70000, payer.script())])
    tx.sign_input(0, COIN_KEY, 3000000, COIN_KEY.script)
    tx.sign_input(1, COIN_KEY, 5000000, COIN_KEY.script)
    beef = b"\x01\x01\x01\x01" + tx.txid() + b"\x01\x00\xbe\xef\x02" + b"".join(bumps) + \
        b"\x03" + young.serialize() + b"\x01\x01" + old.serialize() + b"\x01\x00" + \
        tx.serialize() + b"\x00"
    equal(payer.hand_over(p_tx(os.urandom(16), beef)), ACCEPTED)
    equal(node.rpc.getrawmempool(), [display(tx.txid())])


def balance(node):
    return int((node.rpc.getbalance() + node.rpc.getunconfirmedbalance()) * COIN)


def open_back(t, a, b, capacity):
    """A channel from b to a."""
    opened = b.rpc.openchannel("alice", capacity)
    t.wait(lambda: opened["txid"] in a.rpc.getrawmempool())
    mine(a)
    t.wait_same_tip(a, b)
    t.wait(lambda: (state(a, opened["id"]), state(b, opened["id"])) == ("open", "open"))
    return opened["id"]


@case()
def channels_both_ways_are_netted_to_the_satoshi(t):
    a, b = payers(t)
    out, back = open_channel(t, a, b), open_back(t, a, b, 500000)
    before = balance(a), balance(b)
    for amount in (20000, 10000):
        a.rpc.pay("bob", amount)
    b.rpc.pay("alice", 12345)
    for node, net in ((a, 12345 - 30000), (b, 30000 - 12345)):
        for id in (out, back):
            got = channel(node, id)["relation"]
            equal((got["net"], got["channels_out"], got["channels_in"]), (net, 1, 1))
    equal(channel(a, out)["relation"]["paid"], 30000)
    a.rpc.closechannel(id=out, opposite=True)
    txs = [t.wait(lambda: spender(node, id)) for node, id in ((b, out), (a, back))]
    equal([sums(tx) for tx in txs], [[30000, CAPACITY - 30000 - CLOSE_FEE],
                                     [12345, 500000 - 12345 - CLOSE_FEE]])
    for tx in txs:
        for node in (a, b):
            t.wait(lambda: tx["txid"] in node.rpc.getrawmempool())
    mine(a)
    t.wait_same_tip(a, b)
    t.wait(lambda: all(channel(n, c).get("spend_height") for n in (a, b) for c in (out, back)))
    equal(balance(a) - before[0], CAPACITY - 30000 - CLOSE_FEE + 12345)
    equal(balance(b) - before[1], 500000 - 12345 - CLOSE_FEE + 30000)
    equal("relation" in channel(a, out), False)


if __name__ == "__main__":
    main()

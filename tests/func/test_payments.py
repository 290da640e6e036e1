"""createpayment and acceptpayment: payments between people (BRC-29)."""
import json
import random

from framework import ADDRESS, LONG, RpcError, case, check, equal, is_in, main, raises_rpc
from wallet_rpc import WalletRpc
from wallets import mine, rich_node

ZERO_KEY = "02" + "00" * 32


def payee_of(node, name="payee"):
    node.rpc.createwallet(name)
    return WalletRpc(node, name)


def payer_of(t, *options):
    """A node with the wallets "default", which has a coin, and "payee"."""
    node = rich_node(t, *options)
    return node, WalletRpc(node, "default"), payee_of(node)


def changed(payment, **members):
    return {**json.loads(json.dumps(payment)), **members}


@case()
def a_payment_of_one_wallet_is_accepted_by_another(t):
    node, payer, payee = payer_of(t)
    key = payee.getidentitykey()
    check(payer.getidentitykey() != key, "each wallet has its own")
    made = payer.createpayment(key, [0.5, 0.25])
    payment = made["payment"]
    equal(payment["senderIdentityKey"], payer.getidentitykey())
    equal(len(payment["outputs"]), 2)
    equal(node.rpc.verifybeef(payment["tx"])["atomic"], True)
    equal(payee.getunconfirmedbalance(), 0, "nobody knows whose the outputs are")
    for _ in range(2):  # once more changes nothing
        equal(payee.acceptpayment(payment), {"txid": made["txid"], "amount": 0.75})
        equal(payee.getunconfirmedbalance(), 0.75)
    equal([(p["category"], p["txid"], p["derivationPrefix"], p["outputs"]) for w in (payer, payee)
           for p in w.listpayments()],
          [(c, made["txid"], payment["derivationPrefix"], payment["outputs"])
           for c in ("send", "receive")])
    mine(node)
    equal(payee.getbalance(), 0.75)
    sent = payee.sendalltoaddress(ADDRESS)
    is_in(sent, node.rpc.getrawmempool())
    node.stop()
    node.start()
    node.rpc.loadwallet("payee")
    equal(payee.gettransaction(made["txid"])["amount"], 0.75)
    address = [d["address"] for d in payee.gettransaction(made["txid"])["details"]][0]
    raises_rpc(-4, lambda: payee.dumpprivkey(address), "came with a payment")
    payee.dumpwallet(t.path("keys"))
    node.rpc.createwallet("copy")
    copy = WalletRpc(node, "copy")
    copy.importwallet(t.path("keys"))
    for _ in range(2):
        equal(copy.gettransaction(made["txid"])["amount"], 0.75)
        raises_rpc(-4, lambda: copy.dumpprivkey(address), "came with a payment")
        node.rpc.unloadwallet("copy")
        node.rpc.loadwallet("copy")


@case()
def a_backup_has_the_keys_of_payments_and_the_phrase_the_identity(t):
    node, payer, payee = payer_of(t)
    payment = payer.createpayment(payee.getidentitykey(), [1, 2])["payment"]
    payee.acceptpayment(payment)
    mine(node)
    path, phrase = t.path("payee.backup"), payee.getwalletphrase()
    payee.backupwallet(path)
    node.rpc.restorewallet("copy", path)
    copy = WalletRpc(node, "copy")
    t.wait(lambda: copy.getbalance() == 3)
    equal(copy.listpayments(), payee.listpayments())
    is_in(copy.sendtoaddress(ADDRESS, 2.5), node.rpc.getrawmempool())
    node.rpc.createwallet(wallet_name="again", phrase=phrase)
    again = WalletRpc(node, "again")
    t.wait(lambda: again.getwalletinfo()["height"] == node.rpc.getblockcount())
    equal((again.getbalance(), again.getidentitykey()), (0, payee.getidentitykey()))
    equal(again.acceptpayment(payment)["amount"], 3)
    t.wait(lambda: again.getunconfirmedbalance() + again.getbalance() < 1,
           what="what was spent is gone")


def restored(t, node, payee, name):
    """A wallet of the same phrase that knows no payment."""
    node.rpc.createwallet(wallet_name=name, phrase=payee.getwalletphrase())
    wallet = WalletRpc(node, name)
    t.wait(lambda: wallet.getwalletinfo()["height"] == node.rpc.getblockcount())
    equal(wallet.getbalance(), 0)
    return wallet


@case()
def what_a_restored_wallet_has_spent_before_is_not_credited(t):
    node, payer, payee = payer_of(t, "-txindex")
    made = payer.createpayment(payee.getidentitykey(), [1, 2])
    payee.acceptpayment(made["payment"])
    mine(node)
    proved = changed(made["payment"], tx=node.rpc.getbeef(made["txid"], "atomic"))
    payee.sendalltoaddress(ADDRESS)
    again = restored(t, node, payee, "again")
    equal(again.acceptpayment(proved)["amount"], 3)
    equal((again.getbalance(), again.listunspent(0)), (0, []), "spent in the mempool")
    mine(node)
    late = restored(t, node, payee, "late")
    for _ in range(2):
        equal(late.acceptpayment(proved)["amount"], 3)
        equal((late.getbalance(), late.listunspent(0)), (0, []), "spent in a block")
    equal([(d["category"], d["confirmations"]) for d in late.listtransactions()],
          [("receive", 2), ("receive", 2), ("send", 1)])


@case()
def a_payment_of_which_nothing_is_left_is_accepted_again(t):
    node, payer, payee = payer_of(t)
    made = payer.createpayment(payee.getidentitykey(), 1)
    payee.acceptpayment(made["payment"])
    mine(node)
    for wallet in (payer, payee):
        wallet.sendalltoaddress(ADDRESS)
    mine(node)
    equal(payee.acceptpayment(made["payment"]), {"txid": made["txid"], "amount": 1})
    equal(payee.getbalance(), 0)


@case()
def a_payment_on_a_large_transaction_waits_for_a_block(t):
    node, payer, payee = payer_of(t, "-genesisactivationheight=1")
    raw = payer.createrawtransaction([], {"data": "00" * (2 << 20)})
    raw = payer.signrawtransaction(payer.fundrawtransaction(raw)["hex"])["hex"]
    large = node.rpc.sendrawtransaction(raw)
    t.wait(lambda: payer.getwalletinfo()["txcount"] == 2)
    equal(payer.gettransaction(large)["hex"], raw, "from its pieces")
    key = payee.getidentitykey()
    raises_rpc(-4, lambda: payer.createpayment(key, 1), "more than 2097152 bytes")
    sent, = payer.listpayments()
    is_in(sent["txid"], node.rpc.getrawmempool())
    mine(node)
    mined = payer.gettransaction(large)
    equal((mined["hex"], mined["confirmations"]), (raw, 1))
    payment = {"senderIdentityKey": payer.getidentitykey(),
               "tx": node.rpc.getbeef(sent["txid"], "atomic"),
               "derivationPrefix": sent["derivationPrefix"], "outputs": sent["outputs"]}
    equal(payee.acceptpayment(payment), {"txid": sent["txid"], "amount": 1})
    equal(payee.getbalance(), 1)


@case()
def a_payment_that_was_mined_meanwhile_is_found(t):
    node, payer, payee = payer_of(t)
    made = [payer.createpayment(payee.getidentitykey(), 1) for _ in range(2)]
    mine(node, 3)
    equal(payee.acceptpayment(made[0]["payment"])["amount"], 1)
    equal(payee.getbalance(), 1, "the BEEF is of before")
    proved = changed(made[1]["payment"], tx=node.rpc.getbeef(made[1]["txid"], "atomic"))
    equal(node.rpc.verifybeef(proved["tx"])["proved"], True)
    equal(payee.acceptpayment(proved)["amount"], 1)
    equal(payee.getbalance(), 2, "the BEEF proves it")
    tx = payee.gettransaction(made[1]["txid"])
    equal((tx["confirmations"], tx["blockhash"]),
          (3, node.rpc.getblockhash(node.rpc.getblockcount() - 2)))
    node.rpc.invalidateblock(tx["blockhash"])
    t.wait(lambda: payee.getbalance() == 0 and payee.getunconfirmedbalance() == 2)


@case()
def what_is_no_payment_to_the_wallet_is_refused(t):
    node, payer, payee = payer_of(t)
    made = payer.createpayment(payee.getidentitykey(), 1)
    payment, other = made["payment"], payee_of(node, "other")
    vout = payment["outputs"][0]["outputIndex"]

    def refused(code, part, wallet=payee, **members):
        raises_rpc(code, lambda: wallet.acceptpayment(changed(payment, **members)), part)

    refused(-8, "does not pay the key", wallet=other)
    refused(-8, "does not pay the key", derivationPrefix="other")
    refused(-8, "does not pay the key", senderIdentityKey=payee.getidentitykey())
    refused(-8, "has no more than", outputs=[{**payment["outputs"][0], "outputIndex": 9}])
    refused(-8, "does not pay", outputs=[{**payment["outputs"][0], "outputIndex": 1 - vout}])
    refused(-8, "named twice", outputs=payment["outputs"] * 2)
    refused(-8, "1 to 64 outputs", outputs=[])
    refused(-8, "at most 64", outputs=payment["outputs"] * 65)
    refused(-8, "no blank", derivationPrefix="two words")
    refused(-8, "no blank", derivationPrefix="")
    refused(-5, "no public key", senderIdentityKey=ZERO_KEY)
    refused(-1, "", outputs=["0"])
    refused(-8, "hexadecimal", tx="zz")
    refused(-25, "is invalid (format)", tx=payment["tx"][:-2])
    refused(-25, "cannot be verified here (txid-only)", tx="0200beef000102" + "07" * 32)
    refused(-3, "strange", strange=1)
    raises_rpc(-8, lambda: payee.acceptpayment({}), "Missing senderIdentityKey")
    raises_rpc(-1, payee.acceptpayment, "acceptpayment")
    equal(payee.listpayments(), [], "nothing was stored")
    for amount in (0, -1, "1.000000001", [1, 0], 21000001):
        raises_rpc(-3, lambda a=amount: payer.createpayment(payee.getidentitykey(), a),
                   "Invalid amount")
    raises_rpc(-8, lambda: payer.createpayment(payee.getidentitykey(), []), "an amount at least")
    raises_rpc(-5, lambda: payer.createpayment("02", 1), "payee: no public key")
    raises_rpc(-6, lambda: payer.createpayment(payee.getidentitykey(), 1000))
    # The sender names an output of the payment before under the prefix that was accepted.
    payment = payer.createpayment(payee.getidentitykey(), [1, 2])["payment"]
    first, second = ([o] for o in payment["outputs"])
    equal(payee.acceptpayment(changed(payment, outputs=first))["amount"], 1)
    refused(-4, "prefix was used", outputs=second, derivationPrefix=payment["derivationPrefix"],
            tx=payment["tx"])
    equal(payee.getunconfirmedbalance(), 1)


@case()
def a_locked_wallet_accepts_and_makes_nothing(t):
    node, payer, payee = payer_of(t)
    key = payee.getidentitykey()
    payment = payer.createpayment(key, 1)["payment"]
    payee.encryptwallet("secret")
    equal(payee.getidentitykey(), key, "it was asked before")
    node.rpc.createwallet("sealed", False, False, "other words")
    for call in (WalletRpc(node, "sealed").getidentitykey, lambda: payee.acceptpayment(payment),
                 lambda: payee.createpayment(payment["senderIdentityKey"], 1)):
        raises_rpc(-13, call, "walletpassphrase")
    payee.walletpassphrase("secret", 60)
    equal(payee.acceptpayment(payment)["amount"], 1)
    payee.walletlock()
    mine(node)
    equal(payee.getbalance(), 1)
    raises_rpc(-13, lambda: payee.sendtoaddress(ADDRESS, 0.5))


@case()
def a_payment_that_the_mempool_refuses_can_be_accepted_later(t):
    node, payer, payee = payer_of(t)
    made = payer.createpayment(payee.getidentitykey(), 1)
    spent = node.rpc.getrawtransaction(made["txid"], 1)["vin"][0]
    funds = {"funds": [{"txOut": {"txId": spent["txid"], "vout": spent["vout"]}}]}
    node.rpc.addToPolicyBlacklist(funds)
    t.wait(lambda: node.rpc.getrawmempool() == [])
    raises_rpc(-26, lambda: payee.acceptpayment(made["payment"]), "bad-txns-inputs-frozen")
    equal([p["txid"] for p in payee.listpayments()], [made["txid"]], "the keys are there")
    equal(payee.getunconfirmedbalance(), 0)
    node.rpc.removeFromPolicyBlacklist(funds)
    equal(payee.acceptpayment(made["payment"])["amount"], 1)
    equal(payee.getunconfirmedbalance(), 1)


class Disorder:
    """Payments made, accepted either way, taken out, spent and reorganised by chance."""

    def __init__(self, t, seed):
        self.node, self.payer, self.payee = payer_of(t, "-txindex")
        self.rpc, self.key, self.made = self.node.rpc, self.payee.getidentitykey(), []
        self.random = random.Random(seed)

    def one(self):
        return self.random.choice(self.made)

    def make(self):
        self.made.append(self.payer.createpayment(self.key, [0.25, 0.5]))

    def mine(self):
        mine(self.node)

    def accept(self):
        self.payee.acceptpayment(self.one()["payment"])

    def accept_proved(self):
        made = self.one()
        self.payee.acceptpayment(changed(made["payment"],
                                         tx=self.rpc.getbeef(made["txid"], "atomic")))

    def reorganise(self):
        depth = self.random.randint(1, 2)
        block = self.rpc.getblockhash(self.rpc.getblockcount() - depth + 1)
        self.rpc.invalidateblock(block)
        if self.random.random() < 0.5:
            mine(self.node, depth + 1)
        if self.random.random() < 0.5:
            self.rpc.reconsiderblock(block)

    def take_out(self):
        self.payee.removeprunedfunds(self.one()["txid"])

    def spend(self):
        self.payee.sendtoaddress(ADDRESS, 0.3)

    def step(self):
        deeds = [self.make] * 3 + [self.accept] * 4 + [self.accept_proved] * 3
        deeds += [self.spend] * 2 + [self.mine, self.mine, self.reorganise, self.take_out]
        try:
            self.random.choice(deeds)()
        except RpcError:
            pass  # nothing to spend, already gone, on another branch


@case(timeout=600 if LONG else 60)
def whatever_happens_to_payments_no_coin_is_there_that_is_not(t):
    for seed in range(30) if LONG else (1,):
        d = Disorder(t, seed)
        d.make()
        for _ in range(120):
            d.step()
        for w in (d.payer, d.payee):
            w.resendwallettransactions()  # a reorganisation made some of the first coins immature
        mine(d.node, 3)
        for made in d.made:
            proved = changed(made["payment"], tx=d.rpc.getbeef(made["txid"], "atomic"))
            equal(d.payee.acceptpayment(proved)["amount"], 0.75)
        coins = d.payee.listunspent(0)
        equal([c for c in coins if d.rpc.gettxout(c["txid"], c["vout"]) is None], [],
              "seed %d" % seed)
        seen = d.payee.getbalance(), d.payee.getunconfirmedbalance()
        d.payee.rescanblockchain(0)
        equal((d.payee.getbalance(), d.payee.getunconfirmedbalance()), seen, "seed %d" % seed)
        d.node.stop()


if __name__ == "__main__":
    main()

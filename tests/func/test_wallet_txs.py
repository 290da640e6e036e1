"""Methods of the wallet about transactions: to many at once, locks, abandoned ones, lists, signing,
sending again; and what each says to wrong calls."""
from decimal import Decimal

from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc
from wallets import COIN, MATURITY, REWARD, mine, rich_node

OTHER = "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r"
SCRIPT_ADDRESS = "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc"
UNKNOWN = "77" * 32
KEY_ONE = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA"  # the secret 1


def outputs(rpc, txid):
    return [(o["value"], o["scriptPubKey"]["hex"],
             (o["scriptPubKey"].get("addresses") or [None])[0])
            for o in rpc.decoderawtransaction(rpc.getrawtransaction(txid))["vout"]]


def fee_of(rpc, txid):
    return -rpc.gettransaction(txid)["fee"]


# --- sending -------------------------------------------------------------------------------------

@case(timeout=90)
def many_are_paid_at_once_and_data_goes_with_it(t):
    node = rich_node(t)
    rpc = node.rpc
    txid = rpc.sendmany("", {ADDRESS: 1, OTHER: "2.5", "data": "6869"}, 1, "wages")
    fee = fee_of(rpc, txid)
    made = outputs(rpc, txid)
    equal(len(made), 4, "with change")
    is_in((Decimal(0), "006a026869", None), made)
    paid = {address: value for value, _, address in made}
    equal((paid[ADDRESS], paid[OTHER]), (1, Decimal("2.5")))
    equal(rpc.gettransaction(txid)["comment"], "wages")
    equal(rpc.getbalance(), REWARD - Decimal("3.5") - fee)
    again = rpc.sendmany("*", [{ADDRESS: 1}, {"data": "aa"}, {"data": "bb"}], 1, "", [ADDRESS])
    fee2 = fee_of(rpc, again)
    is_in(1 - fee2, [value for value, _, _ in outputs(rpc, again)], "who receives pays")
    equal(rpc.getbalance(), REWARD - Decimal("4.5") - fee)
    both = rpc.sendmany("", {ADDRESS: 1, OTHER: 1}, 0, "", [ADDRESS, OTHER])
    got = [v for v, _, address in outputs(rpc, both) if address in (ADDRESS, OTHER)]
    equal(sum(got), 2 - fee_of(rpc, both))
    check(abs(got[0] - got[1]) <= Decimal("0.00000001"), "in equal parts")
    raises_rpc(-6, lambda: rpc.sendmany("", {ADDRESS: 1}, 2), "nsufficient funds")
    mine(node, 2)
    equal(len(rpc.sendmany("", {ADDRESS: 1}, 2)), 64)


@case(timeout=90)
def sendmany_tells_wrong_calls_apart(t):
    node = rich_node(t)
    rpc = node.rpc
    raises_rpc(-11, lambda: rpc.sendmany("savings", {ADDRESS: 1}))
    raises_rpc(-5, lambda: rpc.sendmany("", {"nonsense": 1}), "Invalid Bitcoin address")
    raises_rpc(-5, lambda: rpc.sendmany("", {SCRIPT_ADDRESS: 1}), "of a script")
    raises_rpc(-3, lambda: rpc.sendmany("", {ADDRESS: 0}), "Invalid amount for send")
    raises_rpc(-3, lambda: rpc.sendmany("", {ADDRESS: -1}))
    raises_rpc(-8, lambda: rpc.sendmany("", [{ADDRESS: 1}, {ADDRESS: 2}]), "duplicated address")
    raises_rpc(-1, lambda: rpc.sendmany("", "all"))
    raises_rpc(-4, lambda: rpc.sendmany("", {}), "no recipient")
    raises_rpc(-8, lambda: rpc.sendmany("", {ADDRESS: 1}, -1), "minconf")
    raises_rpc(-8, lambda: rpc.sendmany("", {ADDRESS: 1}, 1, "", [OTHER]), "do not name")
    raises_rpc(-8, lambda: rpc.sendmany("", {ADDRESS: 1}, 1, "", [ADDRESS, ADDRESS]), "duplicated")
    raises_rpc(-3, lambda: rpc.sendmany("", {ADDRESS: 1}, 1, "", [1]), "addresses")
    raises_rpc(-5, lambda: rpc.sendmany("", {ADDRESS: 1}, 1, "", ["x"]), "Invalid Bitcoin address")
    raises_rpc(-6, lambda: rpc.sendmany("", {ADDRESS: 40, OTHER: 40}), "nsufficient funds")
    equal(rpc.getbalance(), REWARD, "nothing was sent")


@case(timeout=90)
def all_there_is_is_sent_but_what_is_locked(t):
    node = rich_node(t)
    rpc = node.rpc
    kept = rpc.getnewaddress()
    rpc.sendtoaddress(kept, 5)
    mine(node)
    coin = rpc.listunspent(1, 9999999, [kept])[0]
    equal(rpc.lockunspent(False, [{"txid": coin["txid"], "vout": coin["vout"]}]), True)
    had = rpc.getbalance()
    txid = rpc.sendalltoaddress(ADDRESS, "moving", "me")
    made = outputs(rpc, txid)
    equal(made, [(had - 5 - fee_of(rpc, txid), made[0][1], ADDRESS)], "no change")
    told = rpc.gettransaction(txid)
    equal((told["comment"], told["to"]), ("moving", "me"))
    equal(rpc.getbalance(), 5)
    is_in("locked", raises_rpc(-6, lambda: rpc.sendalltoaddress(ADDRESS)).message)
    raises_rpc(-5, lambda: rpc.sendalltoaddress("nonsense"), "Invalid Bitcoin address")
    raises_rpc(-5, lambda: rpc.sendalltoaddress(SCRIPT_ADDRESS), "of a script")


@case(timeout=60)
def the_fee_rate_is_set(t):
    node = rich_node(t)
    rpc = node.rpc
    equal(rpc.settxfee("0.001"), True)
    equal(rpc.getwalletinfo()["paytxfee"], Decimal("0.001"))
    txid = rpc.sendtoaddress(ADDRESS, 1)
    size = len(rpc.getrawtransaction(txid)) // 2
    fee = fee_of(rpc, txid)
    check(size <= fee * COIN / 100 <= size + 10, f"fee {fee} of {size} bytes at 100 a byte")
    equal(rpc.settxfee(0), True)
    check(fee_of(rpc, rpc.sendtoaddress(ADDRESS, 1)) < fee / 10, "what the mempool asks")
    for wrong in (-1, 2, "0.123456789", "much"):
        raises_rpc(-3, lambda wrong=wrong: rpc.settxfee(wrong))


# --- locks and abandoned ones --------------------------------------------------------------------

@case(timeout=60)
def locked_coins_are_not_chosen(t):
    node = rich_node(t)
    rpc = node.rpc
    coin = rpc.listunspent()[0]
    name = {"txid": coin["txid"], "vout": coin["vout"]}
    equal(rpc.listlockunspent(), [])
    equal(rpc.lockunspent(False, [coin]), True, "with all that listunspent shows of it")
    equal(rpc.listlockunspent(), [name])
    equal(rpc.listunspent(), [])
    is_in("locked", raises_rpc(-6, lambda: rpc.sendtoaddress(ADDRESS, 1)).message)
    equal(rpc.lockunspent(True, [name]), True)
    equal(rpc.listlockunspent(), [])
    rpc.lockunspent(False, [name])
    equal(rpc.lockunspent(False), True)
    equal(rpc.listlockunspent(), [name], "none was named")
    equal(rpc.lockunspent(True), True)
    equal(rpc.listlockunspent(), [])
    raises_rpc(-8, lambda: rpc.lockunspent(False, [name, {"txid": UNKNOWN, "vout": 0}]), "unknown")
    equal(rpc.listlockunspent(), [], "all or none")
    raises_rpc(-8, lambda: rpc.lockunspent(False, [{"txid": coin["txid"]}]), "vout")
    raises_rpc(-8, lambda: rpc.lockunspent(False, [{"txid": coin["txid"], "vout": -1}]))
    raises_rpc(-8, lambda: rpc.lockunspent(False, [{"txid": "12", "vout": 0}]))
    raises_rpc(-1, lambda: rpc.lockunspent(False, [5]))
    rpc.sendtoaddress(ADDRESS, 1)
    raises_rpc(-8, lambda: rpc.lockunspent(False, [name]), "unspent")
    rpc.lockunspent(False, [{k: rpc.listunspent(0)[0][k] for k in ("txid", "vout")}])
    node.restart()
    equal(rpc.listlockunspent(), [], "locks do not outlive the node")


@case(timeout=90)
def what_left_the_mempool_can_be_abandoned(t):
    node = rich_node(t)
    rpc = node.rpc
    coin = rpc.listunspent()[0]
    txid = rpc.sendtoaddress(ADDRESS, 1)
    raises_rpc(-5, lambda: rpc.abandontransaction(txid), "not eligible")
    raises_rpc(-5, lambda: rpc.abandontransaction(UNKNOWN), "Invalid or non-wallet")
    raises_rpc(-8, lambda: rpc.abandontransaction("12"))
    frozen = {"funds": [{"txOut": {"txId": coin["txid"], "vout": coin["vout"]}}]}
    equal(rpc.addToPolicyBlacklist(frozen)["notProcessed"], [])
    equal(rpc.getrawmempool(), [])
    equal(rpc.getbalance(), 0, "its coin is spent, its change is nowhere")
    equal(rpc.abandontransaction(txid), None)
    equal(rpc.getbalance(), REWARD)
    equal(rpc.listtransactions()[-1]["abandoned"], True)
    raises_rpc(-5, lambda: rpc.abandontransaction(txid), "not eligible")


# --- lists ---------------------------------------------------------------------------------------

def since(rpc, *args):
    """Ids in transactions, ids in removed, lastblock."""
    got = rpc.listsinceblock(*args)
    return ({e["txid"] for e in got["transactions"]},
            {e["txid"] for e in got["removed"]} if "removed" in got else None, got["lastblock"])


@case(timeout=90)
def what_came_since_a_block(t):
    node = rich_node(t)
    rpc = node.rpc
    tip = rpc.getbestblockhash()
    first = rpc.listtransactions()[0]["txid"]
    equal(since(rpc), ({first}, set(), tip))
    equal(since(rpc, tip), (set(), set(), tip))
    one = rpc.sendtoaddress(ADDRESS, 1)
    equal(since(rpc, tip), ({one}, set(), tip))
    got = rpc.listsinceblock(tip)["transactions"]
    equal(got, rpc.listtransactions("*", 1), "the entries are those of listtransactions")
    block = mine(node)[0]
    two = rpc.sendtoaddress(ADDRESS, 2)
    equal(since(rpc, tip), ({one, two}, set(), block))
    equal(since(rpc, block, 2), ({two}, set(), tip))
    equal(since(rpc, block, 10**6)[2], "00" * 32)
    equal(since(rpc, block, 1, True, False), ({two}, None, block))
    raises_rpc(-8, lambda: rpc.listsinceblock(tip, 0), "Invalid parameter")
    raises_rpc(-5, lambda: rpc.listsinceblock(UNKNOWN), "Block not found")
    raises_rpc(-8, lambda: rpc.listsinceblock("12"))


@case(timeout=90)
def what_a_reorganisation_took_away_is_removed(t):
    node = rich_node(t)
    rpc = node.rpc
    fork = rpc.getbestblockhash()
    txid = rpc.sendtoaddress(ADDRESS, 1)
    gone = mine(node, 1, rpc.getnewaddress())[0]
    coinbase = rpc.getblock(gone)["tx"][0]
    top = mine(node)[0]
    rpc.invalidateblock(gone)
    equal(since(rpc, top), ({txid, coinbase}, {txid, coinbase}, fork))
    entry = [e for e in rpc.listsinceblock(top)["removed"] if e["txid"] == coinbase][0]
    equal((entry["category"], entry["confirmations"]), ("orphan", 0))
    new = mine(node, 3)
    equal(since(rpc, top), ({txid, coinbase}, {txid, coinbase}, new[-1]))
    equal(since(rpc, fork), ({txid, coinbase}, set(), new[-1]), "the fork itself is active")


@case(timeout=60)
def a_payment_that_a_block_less_made_impossible_comes_back_with_the_next(t):
    node = rich_node(t)
    rpc = node.rpc
    txid = rpc.sendtoaddress(ADDRESS, 1)
    rpc.invalidateblock(rpc.getblockhash(MATURITY - 1))
    equal(rpc.getrawmempool(), [], "the coinbase is not mature yet")
    t.wait(lambda: mine(node) and rpc.gettransaction(txid)["confirmations"] > 0,
           what="it is handed over again")


@case(timeout=60)
def a_payment_with_a_coinbase_that_is_no_more_is_abandoned(t):
    node = rich_node(t)
    rpc = node.rpc
    first = rpc.getblockhash(1)
    txid = rpc.sendtoaddress(ADDRESS, 1)
    rpc.invalidateblock(first)
    mine(node)
    entry = rpc.gettransaction(txid)
    equal((entry["confirmations"], entry["details"][0]["abandoned"]), (0, True))
    raises_rpc(-5, lambda: rpc.abandontransaction(txid))
    rpc.invalidateblock(rpc.getblockhash(1))
    rpc.reconsiderblock(first)
    equal(rpc.gettransaction(txid)["details"][0]["abandoned"], False, "the coinbase is back")
    mine(node)
    t.wait(lambda: mine(node) and rpc.gettransaction(txid)["confirmations"] > 0,
           what="it is in a block")


@case(timeout=90)
def what_addresses_have_received(t):
    node = rich_node(t)
    rpc = node.rpc
    equal(rpc.listreceivedbyaddress(), [], "a coinbase does not count")
    rent, empty = rpc.getnewaddress("rent"), rpc.getnewaddress("nothing")
    one, two = rpc.sendtoaddress(rent, 1), rpc.sendtoaddress(rent, 2)
    equal((rpc.getreceivedbyaddress(rent), rpc.getreceivedbyaddress(rent, 0)), (0, 3))
    equal(rpc.listreceivedbyaddress(), [])
    mine(node, 3)
    spent = rpc.sendtoaddress(rent, 4)
    equal((rpc.getreceivedbyaddress(rent), rpc.getreceivedbyaddress(rent, 4)), (3, 0))
    equal(rpc.getreceivedbyaddress(empty), 0)
    listed = {"address": rent, "account": "rent", "amount": 3, "confirmations": 3, "label": "rent",
              "txids": [one, two]}
    equal(rpc.listreceivedbyaddress(), [listed])
    equal(rpc.listreceivedbyaddress(4), [])
    listed.update(amount=7, confirmations=0, txids=[one, two, spent])
    equal(rpc.listreceivedbyaddress(0), [listed])
    entries = {e["address"]: e for e in rpc.listreceivedbyaddress(0, True)}
    equal(entries[rent], listed)
    equal(entries[empty], {"address": empty, "account": "nothing", "amount": 0, "confirmations": 0,
                           "label": "nothing", "txids": []})
    equal(len(entries), 3, "with the one of the coinbase, without change and look-ahead")
    raises_rpc(-5, lambda: rpc.getreceivedbyaddress("nonsense"), "Invalid Bitcoin address")
    raises_rpc(-4, lambda: rpc.getreceivedbyaddress(ADDRESS), "not found in wallet")
    raises_rpc(-8, lambda: rpc.getreceivedbyaddress(rent, -1), "minconf")
    raises_rpc(-8, lambda: rpc.listreceivedbyaddress(-1), "minconf")


@case(timeout=90)
def what_labels_have_received(t):
    node = rich_node(t)
    rpc = node.rpc
    rent, more, plain = rpc.getnewaddress("rent"), rpc.getnewaddress("rent"), rpc.getnewaddress()
    rpc.getnewaddress("nothing")
    rpc.sendtoaddress(rent, 1)
    mine(node)
    rpc.sendmany("", {more: 2, plain: 4})

    def entry(label, amount, confirmations):
        return {"account": label, "amount": amount, "confirmations": confirmations, "label": label}

    equal(rpc.listreceivedbyaccount(), [entry("rent", 1, 1)])
    equal(rpc.listreceivedbyaccount(0), [entry("", 4, 0), entry("rent", 3, 0)], "without change")
    equal(rpc.listreceivedbyaccount(1, True),
          [entry("", 0, 0), entry("nothing", 0, 0), entry("rent", 1, 1)])
    equal([rpc.getreceivedbyaccount(label, n) for label,
           n in (("rent", 0), ("rent", 1), ("", 0), ("none", 0))],
          [3, 1, 4, 0])
    equal(rpc.getreceivedbyaccount("rent"), 1)
    rpc.importaddress(ADDRESS, "rent", False)
    rpc.sendtoaddress(ADDRESS, 5)
    equal(rpc.listreceivedbyaccount(0)[1], entry("rent", 3, 0))
    equal(rpc.listreceivedbyaccount(0, False, True)[1],
          {"involvesWatchonly": True, **entry("rent", 8, 0)})
    raises_rpc(-11, lambda: rpc.getreceivedbyaccount("*"), "Invalid account name")
    raises_rpc(-8, lambda: rpc.getreceivedbyaccount("rent", -1), "minconf")
    raises_rpc(-1, rpc.getreceivedbyaccount, "getreceivedbyaccount")


# --- transactions made by hand -------------------------------------------------------------------

@case(timeout=90)
def keys_of_the_wallet_sign(t):
    node = rich_node(t)
    rpc = node.rpc
    coin = rpc.listunspent()[0]
    spend = [{"txid": coin["txid"], "vout": coin["vout"]}]
    raw = rpc.createrawtransaction(spend, {ADDRESS: REWARD - Decimal("0.001")})
    equal(rpc.signrawtransaction(raw, [], [])["complete"], False, "no key was given")
    signed = rpc.signrawtransaction(raw)
    equal(signed["complete"], True)
    # An output as it is listed will do, with all that is shown of it.
    equal(rpc.createrawtransaction([coin], {ADDRESS: REWARD - Decimal("0.001")}), raw)
    equal(rpc.signrawtransaction(raw, [coin]), signed)
    strange = rpc.createrawtransaction([{"txid": UNKNOWN, "vout": 0}], {ADDRESS: 1})
    equal(rpc.signrawtransaction(strange)["complete"], False, "not known")
    # A multisig of two keys, of which the wallet has one, then both.
    keys = [rpc.decoderawtransaction(signed["hex"])["vin"][0]["scriptSig"]["hex"][-66:],
            "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"]
    script = "52" + "".join("21" + key for key in keys) + "52ae"
    prev = [{"txid": UNKNOWN, "vout": 1, "scriptPubKey": script, "amount": 1}]
    both = rpc.createrawtransaction([{"txid": UNKNOWN, "vout": 1}], {ADDRESS: "0.9"})
    equal(rpc.signrawtransaction(both, prev)["complete"], False, "one of two")
    rpc.importprivkey(KEY_ONE, "", False)
    equal(rpc.signrawtransaction(both, prev)["complete"], True)
    rpc.encryptwallet("correct horse")
    raises_rpc(-13, lambda: rpc.signrawtransaction(raw), "walletpassphrase")
    rpc.walletpassphrase("correct horse", 60)
    equal(rpc.signrawtransaction(raw), signed)
    txid = rpc.sendrawtransaction(signed["hex"])
    equal(rpc.gettransaction(txid)["amount"], -REWARD + Decimal("0.001"))
    node.restart("-disablewallet")
    raises_rpc(-18, lambda: rpc.signrawtransaction(raw), "no wallets")


def funded(rpc, raw, *options):
    """The answer, the transaction decoded."""
    got = rpc.fundrawtransaction(raw, *options)
    return got, rpc.decoderawtransaction(got["hex"])


@case(timeout=90)
def coins_and_change_are_added(t):
    node = rich_node(t)
    rpc = node.rpc
    raw = rpc.createrawtransaction([], {ADDRESS: 1, "data": "6869"})
    got, made = funded(rpc, raw)
    equal((len(made["vin"]), len(made["vout"])), (1, 3))
    values = [o["value"] for o in made["vout"]]
    equal(sum(values), REWARD - got["fee"])
    equal(values[got["changepos"]], REWARD - 1 - got["fee"])
    size = len(rpc.signrawtransaction(got["hex"])["hex"]) // 2
    got, made = funded(rpc, raw, {"feeRate": "0.001", "changePosition": 0, "lockUnspents": True,
                                  "changeAddress": OTHER, "subtractFeeFromOutputs": [0]})
    check(size <= got["fee"] * COIN / 100 <= size + 10, f"fee {got['fee']} of {size} bytes")
    equal(got["changepos"], 0)
    equal([(o["value"], (o["scriptPubKey"].get("addresses") or [None])[0]) for o in made["vout"]],
          [(REWARD - 1, OTHER), (1 - got["fee"], ADDRESS), (0, None)])
    equal(len(rpc.listlockunspent()), 1)
    raises_rpc(-4, lambda: rpc.fundrawtransaction(raw), "insufficient funds")
    rpc.lockunspent(True)
    signed = rpc.signrawtransaction(got["hex"])
    equal(signed["complete"], True)
    equal(len(rpc.sendrawtransaction(signed["hex"])), 64)
    equal(rpc.getbalance(), 0, "the change went elsewhere")


@case(timeout=90)
def inputs_that_are_there_stay(t):
    node = rich_node(t)
    rpc = node.rpc
    rpc.sendmany("", {rpc.getnewaddress(): 1, rpc.getnewaddress(): 2})
    mine(node)
    coin = [c for c in rpc.listunspent() if c["amount"] == 1][0]
    spend = [{"txid": coin["txid"], "vout": coin["vout"]}]
    got, made = funded(rpc, rpc.createrawtransaction(spend, {ADDRESS: "0.5"}))
    equal([(i["txid"], i["vout"]) for i in made["vin"]], [(coin["txid"], coin["vout"])])
    got, made = funded(rpc, rpc.createrawtransaction(spend, {ADDRESS: "1.5"}))
    equal((made["vin"][0]["txid"], made["vin"][0]["vout"]), (coin["txid"], coin["vout"]))
    equal(len(made["vin"]), 2)
    equal(rpc.signrawtransaction(got["hex"])["complete"], True)
    twice = rpc.createrawtransaction(spend + spend, {ADDRESS: "1.5"})
    raises_rpc(-4, lambda: rpc.fundrawtransaction(twice), "twice")
    strange = rpc.createrawtransaction([{"txid": UNKNOWN, "vout": 0}], {ADDRESS: 1})
    raises_rpc(-4, lambda: rpc.fundrawtransaction(strange), "none of the wallet's")


@case(timeout=90)
def fundrawtransaction_tells_wrong_calls_apart(t):
    node = rich_node(t)
    rpc = node.rpc
    raw = rpc.createrawtransaction([], {ADDRESS: 1})

    def fails(code, text, **options):
        raises_rpc(code, lambda: rpc.fundrawtransaction(raw, options), text)

    fails(-5, "valid bitcoin address", changeAddress="nonsense")
    fails(-8, "out of bounds", changePosition=2)
    fails(-8, "out of bounds", changePosition=-1)
    fails(-8, "watched", includeWatching=True)
    fails(-3, "feeRate", feeRate=-1)
    fails(-3, "feeRate", feeRate=2)
    fails(-8, "negative position", subtractFeeFromOutputs=[-1])
    fails(-8, "too large", subtractFeeFromOutputs=[1])
    fails(-8, "duplicated", subtractFeeFromOutputs=[0, 0])
    fails(-8, "no position", subtractFeeFromOutputs=["a"])
    fails(-3, "nonsense", nonsense=1)
    raises_rpc(-22, lambda: rpc.fundrawtransaction("00"), "TX decode failed")
    empty = rpc.createrawtransaction([], {})
    raises_rpc(-8, lambda: rpc.fundrawtransaction(empty), "at least one output")
    much = rpc.createrawtransaction([], {ADDRESS: REWARD})
    raises_rpc(-4, lambda: rpc.fundrawtransaction(much), "insufficient funds")
    equal(rpc.getbalance(), REWARD)


# --- peers are told again ------------------------------------------------------------------------

def told(peer, txid):
    wanted = bytes.fromhex(txid)[::-1]
    peer.wait_for("inv", 20, match=lambda p: wanted in p, seen=True)


@case(timeout=90)
def peers_are_told_again(t):
    node = rich_node(t)
    first = t.peer(node)
    txid = node.rpc.sendtoaddress(ADDRESS, 1)
    told(first, txid)
    later = t.peer(node)
    equal(node.rpc.resendwallettransactions(), [txid])
    told(later, txid)
    node.restart()
    equal(node.rpc.getrawmempool(), [txid], "out of mempool.dat, which alone is told to nobody")
    told(t.peer(node), txid)
    mine(node)
    equal(node.rpc.resendwallettransactions(), [], "it is confirmed")


if __name__ == "__main__":
    main()

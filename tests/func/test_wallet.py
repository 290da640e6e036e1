"""Wallets in the daemon: made, followed through blocks and reorganisations, sending, passphrases,
kills; and what each method says to wrong calls."""
import http.client
import os
import random
import shutil
import threading
import time
from decimal import Decimal

from blocks import Block, TxOut, coinbase, from_display, push
from framework import (ADDRESS, BUILD, LONG, Rpc, RpcError, Skip, case, check, equal, is_in, main,
                       raises_rpc)
from wallet_rpc import WalletRpc, balances
from wallets import COIN, MATURITY, REWARD, in_both_pools, mine, rich_node, two_nodes

FAULT = os.path.join(BUILD, "tests", "fault", "fault.so")


# --- the way of a payment ------------------------------------------------------------------------

@case(timeout=120)
def a_payment_goes_from_one_wallet_to_another(t):
    a, b = two_nodes(t)
    equal(b.rpc.getbalance(), 0)
    to = b.rpc.getnewaddress("from A")
    txid = a.rpc.sendtoaddress(to, 10, "rent", "landlord")
    in_both_pools(a, b, txid)
    t.wait(lambda: b.rpc.getunconfirmedbalance() == 10)
    equal(b.rpc.getbalance(), 0, "not trusted before it is confirmed")
    sent = a.rpc.gettransaction(txid)
    fee = -sent["fee"]
    check(0 < fee < Decimal("0.0001"), f"fee {fee}")
    equal((sent["amount"], sent["confirmations"], sent["trusted"], sent["comment"], sent["to"]),
          (-10, 0, True, "rent", "landlord"))
    equal(a.rpc.getbalance(), REWARD - 10 - fee, "change is trusted")
    equal(a.rpc.getunconfirmedbalance(), 0)
    equal(a.rpc.getrawtransaction(txid), sent["hex"])
    block = mine(a)[0]
    t.wait_same_tip(a, b)
    equal(balances(b.rpc), (10, 0, 0))
    got = b.rpc.gettransaction(txid)
    equal((got["amount"], got["confirmations"], got["blockhash"], got["blockindex"]),
          (10, 1, block, 1))
    equal([(d["category"], d["amount"], d["address"], d["label"]) for d in got["details"]],
          [("receive", 10, to, "from A")])
    check("fee" not in got, "who receives pays none")
    equal([(d["category"], d["amount"], d["fee"], d["abandoned"]) for d in
           a.rpc.gettransaction(txid)["details"]], [("send", -10, -fee, False)])
    back = b.rpc.sendtoaddress(a.rpc.getnewaddress(), 10, "", "", True)
    in_both_pools(a, b, back)
    equal(balances(b.rpc), (0, 0, 0), "the recipient pays the fee")


@case(timeout=120)
def a_reorganisation_takes_a_payment_away_and_it_comes_again(t):
    a, b = two_nodes(t)
    txid = a.rpc.sendtoaddress(b.rpc.getnewaddress(), 10)
    in_both_pools(a, b, txid)
    block = mine(a, 1, a.rpc.getnewaddress())[0]
    t.wait_same_tip(a, b)
    fee = -a.rpc.gettransaction(txid)["fee"]
    equal(balances(a.rpc), (REWARD - 10 - fee, 0, REWARD + fee))
    for node in (a, b):
        node.rpc.invalidateblock(block)
        equal(node.rpc.gettransaction(txid)["confirmations"], 0)
    equal(balances(a.rpc), (REWARD - 10 - fee, 0, 0), "the coinbase is gone")
    equal(balances(b.rpc), (0, 10, 0))
    orphan = [e for e in a.rpc.listtransactions() if e["category"] == "orphan"]
    equal(len(orphan), 1)
    mine(a)
    t.wait_same_tip(a, b)
    equal(balances(b.rpc), (10, 0, 0))
    equal(b.rpc.gettransaction(txid)["confirmations"], 1)


@case(timeout=90)
def coinbases_mature(t):
    node = t.node()
    mine(node, 1, node.rpc.getnewaddress("mine"))
    equal(balances(node.rpc), (0, 0, REWARD))
    entry = node.rpc.listtransactions()[0]
    equal((entry["category"], entry["generated"], entry["confirmations"], entry["account"]),
          ("immature", True, 1, "mine"))
    equal(node.rpc.listunspent(), [], "not spendable yet")
    error = raises_rpc(-6, lambda: node.rpc.sendtoaddress(ADDRESS, 1))
    is_in("immature", error.message)
    mine(node, MATURITY - 1)
    equal(balances(node.rpc), (REWARD, 0, 0))
    equal(node.rpc.listtransactions()[0]["category"], "generate")
    equal(len(node.rpc.listunspent()), 1)


# --- lists ---------------------------------------------------------------------------------------

@case(timeout=90)
def lists_show_what_the_reference_shows(t):
    node = rich_node(t)
    rpc = node.rpc
    own = rpc.getnewaddress("savings")
    ids = [rpc.sendtoaddress(ADDRESS, i) for i in (1, 2, 3)] + [rpc.sendtoaddress(own, 4)]
    entries = rpc.listtransactions("*", 100)
    equal([(e["category"], e["amount"]) for e in entries],
          [("generate", REWARD), ("send", -1), ("send", -2), ("send", -3), ("receive", 4),
           ("send", -4)])
    equal([e["txid"] for e in entries[1:5]], ids)
    equal(rpc.listtransactions("*", 2), entries[-2:])
    equal(rpc.listtransactions("", 2, 1), entries[-3:-1])
    equal(rpc.listtransactions("*", 100, 3), entries[:-3])
    equal(rpc.listtransactions("*", 0), [])
    equal(rpc.listtransactions("*", 10, 100), [])
    equal(rpc.getwalletinfo()["txcount"], 5)
    check(rpc.getmemoryinfo()["ledger"]["wallets"] > 1000, "its memory is counted")
    coins = rpc.listunspent(0)
    equal(sum(c["amount"] for c in coins), rpc.getbalance())
    equal(rpc.listunspent(), [], "all are unconfirmed")
    mine(node)
    equal([c["amount"] for c in rpc.listunspent(1, 9999999, [own])], [4])
    coin = rpc.listunspent(1, 1, [own])[0]
    equal((coin["address"], coin["account"], coin["spendable"], coin["safe"],
           coin["confirmations"]),
          (own, "savings", True, True, 1))
    equal(rpc.listunspent(2, 9, [own], False), [])
    equal(rpc.getbalance("*", 2), 0)
    equal(rpc.getbalance("", 1, True), rpc.getbalance())


@case(timeout=90)
def wrong_calls_are_told_apart(t):
    node = rich_node(t)
    rpc = node.rpc
    raises_rpc(-5, lambda: rpc.sendtoaddress("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", 1),
               "Invalid Bitcoin address")
    raises_rpc(-5, lambda: rpc.sendtoaddress("nonsense", 1), "Invalid Bitcoin address")
    raises_rpc(-5, lambda: rpc.sendtoaddress("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", 1), "script")
    raises_rpc(-3, lambda: rpc.sendtoaddress(ADDRESS, "0.123456789"), "Invalid amount")
    raises_rpc(-3, lambda: rpc.sendtoaddress(ADDRESS, 0), "Invalid amount for send")
    raises_rpc(-3, lambda: rpc.sendtoaddress(ADDRESS, -1), "Invalid amount")
    raises_rpc(-8, lambda: rpc.sendtoaddress(ADDRESS, 1, "x" * 1025), "at most 1024 bytes")
    error = raises_rpc(-6, lambda: rpc.sendtoaddress(ADDRESS, REWARD + 1), "nsufficient funds")
    is_in("1.0000", error.message, "how much is missing")
    raises_rpc(-4, lambda: rpc.sendtoaddress(ADDRESS, "0.00000001", "", "", True), "dust")
    equal(rpc.getbalance(), REWARD, "nothing was sent")
    raises_rpc(-5, lambda: rpc.gettransaction("00" * 32), "Invalid or non-wallet transaction id")
    raises_rpc(-8, lambda: rpc.listtransactions("*", -1))
    raises_rpc(-8, lambda: rpc.listtransactions("*", 100001))
    raises_rpc(-8, lambda: rpc.listtransactions("*", 1, -1))
    raises_rpc(-11, lambda: rpc.listtransactions("savings"))
    raises_rpc(-11, lambda: rpc.getbalance("savings"))
    raises_rpc(-11, lambda: rpc.getnewaddress("*"))
    raises_rpc(-8, lambda: rpc.getbalance("*", -1))
    raises_rpc(-8, lambda: rpc.listunspent(-1))
    raises_rpc(-5, lambda: rpc.listunspent(1, 2, ["nonsense"]), "Invalid Bitcoin address")
    raises_rpc(-3, lambda: rpc.listunspent(1, 2, [5]))
    raises_rpc(-8, lambda: rpc.listunspent(1, 2, [ADDRESS, ADDRESS]), "duplicated")
    raises_rpc(-5, lambda: rpc.dumpprivkey("nonsense"))
    raises_rpc(-4, lambda: rpc.dumpprivkey(ADDRESS), "is not known")
    raises_rpc(-3, lambda: rpc.dumpprivkey("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc"))
    raises_rpc(-5, lambda: rpc.importprivkey("nonsense"), "Invalid private key")
    raises_rpc(-8, lambda: rpc.rescanblockchain(-1))
    raises_rpc(-8, lambda: rpc.rescanblockchain(1000))
    raises_rpc(-8, lambda: rpc.rescanblockchain(0, 1000), "Invalid stop_height")
    raises_rpc(-8, lambda: rpc.rescanblockchain(1, 0), "greater than start_height")
    raises_rpc(-15, lambda: rpc.walletpassphrase("x", 1))
    raises_rpc(-15, rpc.walletlock)
    raises_rpc(-8, lambda: rpc.encryptwallet(""))


@case(timeout=60)
def what_the_node_refuses_is_given_up(t):
    node = rich_node(t)
    coin = node.rpc.listunspent()[0]
    frozen = {"funds": [{"txOut": {"txId": coin["txid"], "vout": coin["vout"]}}]}
    equal(node.rpc.addToPolicyBlacklist(frozen)["notProcessed"], [])
    raises_rpc(-4, lambda: node.rpc.sendtoaddress(ADDRESS, 1), "rejected")
    equal(node.rpc.getbalance(), REWARD)
    refused = node.rpc.listtransactions()[-1]
    equal((refused["category"], refused["abandoned"]), ("send", True))
    node.rpc.clearBlacklists({"removeAllEntries": True})
    node.rpc.sendtoaddress(ADDRESS, 1)
    check(node.rpc.getbalance() < REWARD - 1, "the coin is spent now")


@case(timeout=60)
def fees_follow_the_options(t):
    node = rich_node(t, "-maxtxfee=0.00000001")
    error = raises_rpc(-4, lambda: node.rpc.sendtoaddress(ADDRESS, 1))
    is_in("fee", error.message)
    equal(node.rpc.getbalance(), REWARD)
    node.restart("-maxtxfee=0.1", "-paytxfee=0.001")
    equal(node.rpc.getwalletinfo()["paytxfee"], Decimal("0.001"))
    txid = node.rpc.sendtoaddress(ADDRESS, 1)
    size = len(node.rpc.getrawtransaction(txid)) // 2
    fee = -node.rpc.gettransaction(txid)["fee"]
    check(size <= fee * COIN / 100 <= size + 10, f"fee {fee} of {size} bytes at 100 a byte")


# --- several wallets -----------------------------------------------------------------------------

@case(timeout=90)
def the_first_call_makes_a_wallet_and_others_are_made_on_request(t):
    node = t.node()
    rpc = node.rpc
    equal(rpc.listwallets(), [])
    rpc.getbalance()
    equal(rpc.listwallets(), ["default"])
    is_in('"default" has been made', node.log())
    equal(rpc.createwallet("savings"), {"name": "savings", "warning": ""})
    equal(rpc.listwallets(), ["default", "savings"])
    raises_rpc(-19, rpc.getbalance, "Wallet file not specified")
    raises_rpc(-18, WalletRpc(node, "none").getbalance, "does not exist or is not loaded")
    savings, default = WalletRpc(node, "savings"), WalletRpc(node, "default")
    mine(node, 1, savings.getnewaddress())
    equal((balances(savings), balances(default)), ((0, 0, REWARD), (0, 0, 0)))
    equal(savings.getwalletinfo()["walletname"], "savings")
    code, out, _ = node.cli("getbalance", options=["-rpcwallet=savings"])
    equal((code, Decimal(out)), (0, 0))
    raises_rpc(-4, lambda: rpc.createwallet("savings"))
    raises_rpc(-4, lambda: rpc.createwallet("../evil"), "name")
    raises_rpc(-8, lambda: rpc.createwallet("x", True))
    raises_rpc(-35, lambda: rpc.loadwallet("savings"), "already loaded")
    raises_rpc(-18, lambda: rpc.loadwallet("none"))
    raises_rpc(-18, lambda: rpc.unloadwallet("none"))
    raises_rpc(-8, rpc.unloadwallet)
    raises_rpc(-8, lambda: savings.unloadwallet("default"))
    for _ in range(3):
        savings.unloadwallet()
        raises_rpc(-18, savings.getbalance)
        equal(rpc.loadwallet("savings")["name"], "savings")
    equal(balances(savings), (0, 0, REWARD))
    rpc.unloadwallet("savings")
    rpc.unloadwallet("default")
    raises_rpc(-18, rpc.getbalance, "No wallet is loaded")


@case(timeout=60)
def a_wallet_that_was_unloaded_can_be_loaded_at_once(t):
    node = rich_node(t)
    ended = threading.Event()

    def rescan():
        wallet = WalletRpc(node, "default")
        while not ended.is_set():
            try:
                wallet.rescanblockchain(0)
            except RpcError as error:
                is_in(error.code, (-4, -18), str(error))

    waiting = [threading.Thread(target=rescan) for _ in range(3)]
    for thread in waiting:
        thread.start()
    try:
        for _ in range(20):
            equal(node.rpc.unloadwallet("default"), {"warning": ""})
            equal(node.rpc.loadwallet("default")["name"], "default")
    finally:
        ended.set()
        for thread in waiting:
            thread.join()


@case(timeout=90)
def options_choose_wallets_and_paths(t):
    node = t.node("-wallet=one", "-wallet=two")
    equal(node.rpc.listwallets(), ["one", "two"])
    node.stop()
    node.options = ["-disablewallet"]
    node.start()
    raises_rpc(-32601, node.rpc.getbalance)
    raises_rpc(-32601, node.rpc.listwallets)
    node.stop()
    node.options = ["-wallet=one", "-walletgaplimit=5"]
    node.start()
    equal(node.rpc.getwalletinfo()["keypoolsize"], 5)
    node.stop()
    node.options = ["-wallet=bad/name"]
    node.launch()
    equal(node.wait_exit(), 1)
    is_in("-wallet=bad/name", node.errors())
    node.options = ["-wallet=three", "-walletcointype=1"]
    node.start()
    check(node.rpc.getnewaddress(), "a wallet of another coin type")


# --- keys ----------------------------------------------------------------------------------------

@case(timeout=120)
def keys_move_from_one_wallet_to_another(t):
    a, b = two_nodes(t)
    address = a.rpc.getnewaddress()
    txid = a.rpc.sendtoaddress(address, 7)
    in_both_pools(a, b, txid)
    mine(a)
    t.wait_same_tip(a, b)
    change = a.rpc.getrawchangeaddress()
    check(change != address, "another address")
    key = a.rpc.dumpprivkey(address)
    equal(b.rpc.importprivkey(key, "bought", False), None)
    equal(b.rpc.getbalance(), 0, "no rescan was asked for")
    equal(b.rpc.rescanblockchain(1, MATURITY), {"start_height": 1, "stop_height": MATURITY})
    equal(b.rpc.getbalance(), 0, "it is in the block after")
    equal(b.rpc.rescanblockchain(1), {"start_height": 1, "stop_height": MATURITY + 1})
    equal(b.rpc.getbalance(), 7)
    equal(b.rpc.importprivkey(key), None)
    equal(b.rpc.dumpprivkey(address), key)
    equal(b.rpc.listunspent()[0]["account"], "bought")
    b.rpc.createwallet("other")
    other = WalletRpc(b, "other")
    equal(other.importprivkey(key), None)
    equal(other.getbalance(), 7)


@case(timeout=120)
def a_passphrase_locks_keys_and_nothing_else(t):
    node = rich_node(t)
    rpc = node.rpc
    address = rpc.getnewaddress()
    is_in("encrypted", rpc.encryptwallet("correct horse"))
    raises_rpc(-15, lambda: rpc.encryptwallet("again"))
    for _ in range(2):
        raises_rpc(-13, lambda: rpc.sendtoaddress(ADDRESS, 1), "walletpassphrase")
        raises_rpc(-13, lambda: rpc.dumpprivkey(address))
        equal(rpc.getbalance(), REWARD)
        check(rpc.getnewaddress() != address, "addresses need no passphrase")
        equal(rpc.getwalletinfo()["unlocked_until"], 0)
        node.restart()
    raises_rpc(-14, lambda: rpc.walletpassphrase("wrong", 10), "incorrect")
    raises_rpc(-8, lambda: rpc.walletpassphrase("correct horse", -1))
    raises_rpc(-8, lambda: rpc.walletpassphrase("", 1))
    equal(rpc.walletpassphrase("correct horse", 1000), None)
    check(rpc.getwalletinfo()["unlocked_until"] > time.time() + 500, "the time it says")
    txid = rpc.sendtoaddress(ADDRESS, 1)
    check(rpc.dumpprivkey(address), "a key")
    equal(rpc.walletlock(), None)
    raises_rpc(-13, lambda: rpc.sendtoaddress(ADDRESS, 1))
    mine(node)
    equal(rpc.gettransaction(txid)["confirmations"], 1)
    rpc.setmocktime(int(time.time()))
    rpc.walletpassphrase("correct horse", 1)
    rpc.setmocktime(int(time.time()) - 86400)  # a clock that was wrong
    t.wait(lambda: rpc.getwalletinfo()["unlocked_until"] == 0, what="locked again by time")
    rpc.setmocktime(0)
    rpc.createwallet("sealed", False, False, "other words")
    raises_rpc(-13, lambda: WalletRpc(node, "sealed").dumpprivkey(
        WalletRpc(node, "sealed").getnewaddress()))


# --- restarts and kills --------------------------------------------------------------------------

@case(timeout=120)
def a_kill_after_a_send_loses_nothing(t):
    node = rich_node(t)
    node.restart()  # what the chain has is on disk
    txid = node.rpc.sendtoaddress(ADDRESS, 5)
    balance = node.rpc.getbalance()
    node.kill()
    node.start()
    t.wait(lambda: txid in node.rpc.getrawmempool(), what="handed over again")
    t.wait(lambda: node.rpc.getbalance() == balance, what="the same balance")
    mine(node)
    equal(node.rpc.gettransaction(txid)["confirmations"], 1)
    equal(node.rpc.getbalance(), balance)


@case(timeout=120)
def a_kill_while_rescanning_loses_nothing(t):
    node = rich_node(t)
    node.rpc.sendtoaddress(ADDRESS, 5)
    mine(node)
    balance, entries = node.rpc.getbalance(), node.rpc.listtransactions()
    node.restart()
    for pause in (0, 0.02, 0.05):
        node.rpc.close()
        rescan = Rpc(node.rpc_port, node.cookie)
        rescan.send_only("rescanblockchain")
        time.sleep(pause)
        rescan.close()
        node.kill()
        node.start()
        t.wait(lambda: node.rpc.getwalletinfo()["scanning"] is False, what="the rescan ends")
        equal(node.rpc.getbalance(), balance)
    shown = ("txid", "category", "amount", "confirmations", "time")
    equal([[e[k] for k in shown] for e in node.rpc.listtransactions()],
          [[e[k] for k in shown] for e in entries])


@case(timeout=60)
def a_rescan_that_cannot_go_on_says_where_it_stands(t):
    node = rich_node(t)
    with open(node.file("blocks", "blk00000.dat"), "r+b") as file:
        blocks = file.read()
        file.seek(0)
        file.write(bytes(len(blocks)))
    raises_rpc(-4, lambda: node.rpc.rescanblockchain(7, 50), "block 7 cannot be read")
    info = node.rpc.getwalletinfo()
    is_in("block 7 cannot be read", info["error"])
    scanning = info["scanning"]
    check(scanning.pop("duration") >= 0, "seconds")
    equal(scanning, {"progress": 0, "height": 7, "stop_height": 50})
    with open(node.file("blocks", "blk00000.dat"), "r+b") as file:
        file.write(blocks)
    equal(node.rpc.rescanblockchain(60, 70), {"start_height": 60, "stop_height": 70})
    info = node.rpc.getwalletinfo()
    equal((info["scanning"], "error" in info), (False, False))


@case(timeout=120)
def blocks_that_a_crash_took_from_the_chain_are_undone(t):
    a, b = two_nodes(t)
    address = a.rpc.getnewaddress()
    b.restart()
    t.wait_same_tip(a, b)
    height = a.rpc.getblockcount()
    mine(b, 3, b.rpc.getnewaddress())
    t.wait_same_tip(a, b)
    equal(balances(b.rpc), (0, 0, 3 * REWARD))
    b.kill()
    mine(a, 1, address)
    b.start()
    t.wait_same_tip(a, b)
    equal(b.rpc.getblockcount(), height + 4)
    equal(balances(b.rpc), (0, 0, 3 * REWARD))
    equal(b.rpc.getwalletinfo()["height"], height + 4)


def mine_with_data(node, n, size):
    """Blocks that fill block files."""
    for _ in range(n):
        tip = node.rpc.getblockheader(node.tip())
        height = tip["height"] + 1
        first = coinbase(height)
        first.outputs.append(TxOut(0, b"\x6a" + push(bytes(size))))
        block = Block.make(from_display(tip["hash"]), height,
                           max(int(time.time()), tip["time"] + 1), coinbase_tx=first)
        equal(node.rpc.submitblock(block.serialize().hex()), None)


@case(timeout=120)
def a_wallet_whose_blocks_are_pruned_says_so_and_others_go_on(t):
    node = t.node("-prune=1", "-preferredblockfilesize=1MiB")
    node.rpc.createwallet("late")
    late, other = WalletRpc(node, "late"), WalletRpc(node, "other")
    key = late.dumpprivkey(late.getnewaddress())
    mine(node)
    equal(late.getwalletinfo()["height"], 1)
    late.unloadwallet()
    mine(node, 1000)
    mine_with_data(node, 20, 60000)
    mine(node, 320)
    check(node.rpc.pruneblockchain(1050) >= 1000, "the first file is pruned")
    node.rpc.loadwallet("late")
    t.wait(lambda: "error" in late.getwalletinfo(), what="the wallet says what is wrong")
    is_in("block 2 is needed and is not stored", late.getwalletinfo()["error"])
    is_in("block 2 is needed", node.log())
    node.rpc.setmocktime(int(time.time()) + 3 * 3600)  # its keys are younger than those blocks
    node.rpc.createwallet("other")
    mine(node, 1, other.getnewaddress())
    equal(balances(other), (0, 0, Decimal("0.1953125")), "a subsidy of then")
    raises_rpc(-1, lambda: other.rescanblockchain(0), "pruned")
    raises_rpc(-4, lambda: other.importprivkey(key), "pruned")
    equal(other.importprivkey(key, "", False), None)
    late.unloadwallet()


@case(timeout=90)
def a_wallet_waits_while_the_node_rebuilds(t):
    node = rich_node(t)
    node.rpc.sendtoaddress(ADDRESS, 1)
    mine(node, 1, node.rpc.getnewaddress())
    before, height = balances(node.rpc), node.rpc.getblockcount()
    for option in ("-reindex", "-reindex-chainstate"):
        node.stop()
        node.start(option)
        t.wait(lambda: node.rpc.getblockcount() == height, what="the chain is there again")
        t.wait(lambda: node.rpc.getwalletinfo()["height"] == height, what="the wallet too")
        equal(balances(node.rpc), before)
        check("is not known any more" not in node.log(), "it did not go back")
        equal(node.rpc.listtransactions()[0]["confirmations"], height)


# --- disks that fail -----------------------------------------------------------------------------

def failing(node, setting):
    """Environment of a daemon whose calls on the files of its wallets fail or end it."""
    if not os.path.exists(FAULT):
        raise Skip(FAULT + " is not built")
    return {"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": node.file("wallets"),
            "BSVPEER_FAULT": setting}


@case(timeout=90)
def methods_wait_for_wallets_on_a_slow_disk(t):
    node = t.make_node()
    node.start(env={**failing(node, "fdatasync:1:slow"), "BSVPEER_FAULT_AFTER": t.path("slow")})
    wallets = [WalletRpc(node, f"wallet{i}") for i in range(6)]
    for wallet in wallets:
        node.rpc.createwallet(wallet.wallet)
    addresses = [wallet.getnewaddress() for wallet in wallets]
    with open(t.path("slow"), "w", encoding="ascii"):
        pass
    # That one is used is written before the block is taken.
    node.rpc.batch([("generatetoaddress", [1, address]) for address in addresses])
    started = time.monotonic()
    equal(balances(wallets[-1]), (0, 0, REWARD))
    check(time.monotonic() - started > 3, "it took longer than one that stands still has")


@case(timeout=60)
def a_full_disk_unloads_the_wallet_and_the_node_goes_on(t):
    node = rich_node(t)
    height = node.rpc.getblockcount()
    node.stop()
    node.start(env=failing(node, "fdatasync:1:ENOSPC"))
    is_in('[error] wallet "default" is not loaded', node.log())
    raises_rpc(-18, node.rpc.getbalance, "No wallet is loaded")
    node.stop()
    node.start(env=failing(node, "fdatasync:20:ENOSPC"))
    t.wait(lambda: mine(node) and node.rpc.listwallets() == [], what="it is unloaded")
    is_in('[error] wallet "default" is unloaded', node.log())
    raises_rpc(-18, node.rpc.getbalance, "No wallet is loaded")
    mine(node)
    raises_rpc(-4, lambda: node.rpc.createwallet("another"))
    node.restart()
    equal(node.rpc.getbalance(), REWARD)
    equal(node.rpc.getwalletinfo()["height"], node.rpc.getblockcount())
    check(node.rpc.getblockcount() > height + 10, "blocks came meanwhile")


def live(node, seen):
    """What a user does; what was answered is noted, until the daemon ends."""
    try:
        node.wait_ready()
        seen["address"] = node.rpc.getnewaddress()
        mine(node, 1, seen["address"])
        seen["txid"] = node.rpc.sendtoaddress(ADDRESS, 5)
        mine(node)
        node.rpc.getbalance()
        node.stop()
        return True
    except (AssertionError, OSError, http.client.HTTPException):
        node.kill()
        return False


def coins_of(node):
    return sorted((c["txid"], c["vout"], c["amount"]) for c in node.rpc.listunspent())


def check_nothing_lost(t, node, seen):
    if "txid" in seen:
        t.wait(lambda: node.rpc.gettransaction(seen["txid"])["confirmations"] > 0
               or seen["txid"] in node.rpc.getrawmempool(), what="the payment goes on")
    if "address" in seen:
        check(node.rpc.getnewaddress() != seen["address"], "no address is given out twice")
        check(node.rpc.dumpprivkey(seen["address"]), "its key is there")
    mine(node)
    if "txid" in seen:
        check(node.rpc.gettransaction(seen["txid"])["confirmations"] > 0, "confirmed")
    equal(node.rpc.getwalletinfo()["height"], node.rpc.getblockcount())
    before = coins_of(node), balances(node.rpc)
    node.rpc.rescanblockchain(0)
    equal((coins_of(node), balances(node.rpc)), before, "a rescan finds the same")


@case(timeout=300)
def the_end_at_any_write_loses_nothing(t):
    first = rich_node(t)
    first.stop()
    step, survived = 1, False
    while not survived:
        node = t.make_node()
        shutil.copytree(first.net_directory, node.net_directory)
        node.launch(env=failing(node, f"any:{step}:exit"))
        seen = {}
        survived = live(node, seen)
        node.start()
        check_nothing_lost(t, node, seen)
        node.stop()
        shutil.rmtree(node.net_directory)
        step += 1 if LONG else random.randrange(1, 12)
    check(step > 30, f"the last run ended with {step} calls")


@case(timeout=60)
def a_wallet_that_was_away_is_brought_to_the_tip(t):
    node = rich_node(t)
    address = node.rpc.getnewaddress()
    node.rpc.unloadwallet("default")
    mine(node, 5, address)
    node.rpc.loadwallet("default")
    equal(balances(node.rpc), (REWARD, 0, 5 * REWARD))
    txid = node.rpc.sendtoaddress(ADDRESS, 1)
    node.restart()
    equal(node.rpc.gettransaction(txid)["confirmations"], 0)
    check(node.rpc.getbalance() < REWARD - 1, "spent over a restart")


if __name__ == "__main__":
    main()

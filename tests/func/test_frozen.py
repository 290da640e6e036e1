"""Frozen outputs and confiscations by RPC (spec consensus 7.3, rpc 3; behaviours 84 and 85; attacks
A17)."""
import os
import time

from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc
from blocks import ANYONE, Block, Chain, Key, Tx, TxIn, TxOut, display, push, subsidy

ZERO = "00" * 32
FOR_EVER = 2147483647


def txout(tx_hex, n=0):
    return {"txId": tx_hex, "vout": n}


def policy(*txids):
    return {"funds": [{"txOut": txout(i)} for i in txids]}


def consensus(txid, *intervals, expires=False):
    return {"funds": [{"txOut": txout(txid), "enforceAtHeight": list(intervals),
                       "policyExpiresWithConsensus": expires}]}


def interval(start, stop=None):
    return {"start": start} if stop is None else {"start": start, "stop": stop}


def order(tx, height):
    return {"confiscationTxs": [{"confiscationTx": {"enforceAtHeight": height,
                                                    "hex": tx.serialize().hex()}}]}


def spend(tx, value, script=ANYONE):
    """Spends output 0 of a transaction that asks for nothing."""
    return Tx([TxIn(tx.txid(), 0)], [TxOut(value, script)])


def confiscation(tx, value, version=1):
    script = b"\x00\x6a\x04cftx" + push(bytes([version]) + b"\x77" * 20)
    return Tx([TxIn(tx.txid(), 0)], [TxOut(0, script), TxOut(value, ANYONE)])


def mature_chain(t, node, blocks=110):
    """A chain the node has; coinbases of blocks 1 to 10 can be spent by anybody."""
    chain = Chain(start_time=int(time.time()) - 3600).grow(blocks)  # no initial download
    path = chain.write(t.path("chain.dat"))
    node.start(f"-loadblock={path}")
    node.wait_import(blocks)
    return chain


def submit(node, block):
    return node.rpc.submitblock(block.serialize().hex())


def extend(node, chain, n):
    for _ in range(n):
        submit(node, chain.add())


@case()
def lists_change_as_the_reference_changes_them(t):
    node = t.node()
    equal(node.rpc.queryBlacklist(), {"funds": []})
    a, b = "aa" * 32, "bb" * 32
    equal(node.rpc.addToPolicyBlacklist(policy(a, b)), {"notProcessed": []})
    equal(node.rpc.addToPolicyBlacklist(policy(a)),
          {"notProcessed": [{"txOut": txout(a), "reason": "already in policy"}]})
    equal(node.rpc.addToConsensusBlacklist(consensus(a, interval(5, 9))), {"notProcessed": []})
    equal(node.rpc.addToConsensusBlacklist(consensus(a, interval(5, 9))),
          {"notProcessed": [{"txOut": txout(a), "reason": "already in consensus"}]})
    other = consensus(a, interval(5, 9), interval(20), expires=True)
    equal(node.rpc.addToConsensusBlacklist(other), {"notProcessed": []}, "other intervals")
    equal(node.rpc.addToPolicyBlacklist(policy(a)),
          {"notProcessed": [{"txOut": txout(a), "reason": "already in consensus"}]})
    equal(node.rpc.queryBlacklist(), {"funds": [
        {"txOut": txout(a), "enforceAtHeight": [interval(5, 9), interval(20, FOR_EVER)],
         "policyExpiresWithConsensus": True, "blacklist": ["policy", "consensus"]},
        {"txOut": txout(b), "blacklist": ["policy"]}]})
    equal(node.rpc.removeFromPolicyBlacklist(policy(a, b, ZERO)), {"notProcessed": [
        {"txOut": txout(a), "reason": "in consensus"},
        {"txOut": txout(ZERO), "reason": "not found"}]})
    equal(len(node.rpc.queryBlacklist()["funds"]), 1)
    node.rpc.addToPolicyBlacklist(policy(b))
    equal(node.rpc.clearBlacklists({"removeAllEntries": True, "keepExistingPolicyEntries": True}),
          {"numRemovedEntries": 1})
    equal(node.rpc.clearBlacklists({"removeAllEntries": True}), {"numRemovedEntries": 1})
    equal(node.rpc.queryBlacklist(), {"funds": []})
    equal(node.rpc.queryConfiscationTxidWhitelist(), {"confiscationTxs": []})
    equal(node.rpc.clearConfiscationWhitelist(),
          {"numFrozenBackToConsensus": 0, "numUnwhitelistedTxs": 0})
    code, out, _ = node.cli("addToPolicyBlacklist",
                            '{"funds":[{"txOut":{"txId":"' + a + '","vout":3}}]}')
    equal((code, node.rpc.queryBlacklist()["funds"][0]["txOut"]), (0, txout(a, 3)))
    is_in("notProcessed", out)


@case()
def expired_entries_are_cleared_by_height(t):
    node = t.node()
    node.rpc.generatetoaddress(20, ADDRESS)
    for i, (stop, expires) in enumerate([(10, True), (10, False), (15, True), (None, True)]):
        node.rpc.addToConsensusBlacklist(consensus(f"{i:064x}", interval(0, stop), expires=expires))
    expired = {"removeAllEntries": False, "expirationHeightDelta": 11}
    equal(node.rpc.clearBlacklists(expired), {"numRemovedEntries": 0})
    expired["expirationHeightDelta"] = 10
    equal(node.rpc.clearBlacklists(expired), {"numRemovedEntries": 1})
    left = node.rpc.queryBlacklist()["funds"]
    equal([f["blacklist"][-1] for f in left], ["policy", "consensus", "consensus"],
          "the one whose policy does not expire stays on that list")
    expired["expirationHeightDelta"] = 0
    equal(node.rpc.clearBlacklists(expired), {"numRemovedEntries": 1})


@case()
def wrong_arguments_are_explained(t):
    node = t.node()
    rpc = node.rpc
    for call in (rpc.addToPolicyBlacklist, rpc.addToConsensusBlacklist,
                 rpc.removeFromPolicyBlacklist):
        raises_rpc(-1, lambda: call([]), "object")
        raises_rpc(-8, lambda: call({}), "Missing funds")
        raises_rpc(-3, lambda: call({"funds": {}}), "Expected type array for funds")
        raises_rpc(-3, lambda: call({"funds": [], "x": 1}), "Unexpected key x")
        raises_rpc(-1, lambda: call({"funds": [7]}), "object")
        raises_rpc(-8, lambda: call({"funds": [{}]}), "Missing funds[0].txOut")
    add = rpc.addToPolicyBlacklist
    raises_rpc(-8, lambda: add({"funds": [{"txOut": {"txId": ZERO}}]}),
               "Missing funds[0].txOut.vout")
    raises_rpc(-8, lambda: add({"funds": [{"txOut": txout("00")}]}), "length 64")
    raises_rpc(-3, lambda: add({"funds": [{"txOut": txout(7)}]}), "string")
    for n in (-1, 2**32):
        raises_rpc(-8, lambda: add({"funds": [{"txOut": txout(ZERO, n)}]}), "funds[0].txOut.vout")
    raises_rpc(-8, lambda: add(consensus(ZERO, interval(1))), "Misused funds[0].enforceAtHeight")
    add = rpc.addToConsensusBlacklist
    raises_rpc(-8, lambda: add(policy(ZERO)), "Missing funds[0].enforceAtHeight")
    raises_rpc(-8, lambda: add(consensus(ZERO, {"stop": 3})), "enforceAtHeight[0].start")
    raises_rpc(-3, lambda: add(consensus(ZERO, {"start": "3"})), "enforceAtHeight[0].start")
    raises_rpc(-8, lambda: add(consensus(ZERO, interval(2**31))), "enforceAtHeight[0].start")
    raises_rpc(-8, lambda: add(consensus(ZERO, *[interval(1, 2)] * 1001)), "1000")
    # One wrong entry and none is taken.
    both = policy("aa" * 32)
    both["funds"].append({"txOut": txout("zz")})
    raises_rpc(-8, lambda: rpc.addToPolicyBlacklist(both))
    equal(rpc.queryBlacklist(), {"funds": []})
    clear = rpc.clearBlacklists
    raises_rpc(-8, lambda: clear({}), "Missing removeAllEntries")
    raises_rpc(-8, lambda: clear({"removeAllEntries": True, "expirationHeightDelta": 1}), "Misused")
    raises_rpc(-8, lambda: clear({"removeAllEntries": False}), "Missing expirationHeightDelta")
    raises_rpc(-8, lambda: clear({"removeAllEntries": False, "expirationHeightDelta": -1}),
               "expirationHeight")
    raises_rpc(-8, lambda: clear({"removeAllEntries": False, "keepExistingPolicyEntries": True,
                                  "expirationHeightDelta": 1}), "Misused keepExisting")
    allow = rpc.addToConfiscationTxidWhitelist
    raises_rpc(-8, lambda: allow({}), "Missing confiscationTxs")
    raises_rpc(-8, lambda: allow({"confiscationTxs": [{}]}), "confiscationTxs[0].confiscationTx")
    raises_rpc(-8, lambda: allow({"confiscationTxs": [{"confiscationTx": {"hex": ""}}]}),
               "enforceAtHeight")
    below = {"confiscationTx": {"hex": "", "enforceAtHeight": -1}}
    raises_rpc(-8, lambda: allow({"confiscationTxs": [below]}), "enforceAtHeight")
    for bad in ("", "zz", "00", "0g"):
        equal(allow({"confiscationTxs": [{"confiscationTx": {"hex": bad, "enforceAtHeight": 1}}]}),
              {"notProcessed": [{"confiscationTx": {"txId": ZERO},
                                 "reason": "invalid transaction hex string"}]})


@case()
def behaviour_84_frozen_outputs_in_blocks(t):
    node = t.make_node()
    chain = mature_chain(t, node)
    coins = [chain.at(h).txs[0] for h in range(1, 8)]
    # Policy alone is no rule for blocks.
    node.rpc.addToPolicyBlacklist(policy(display(coins[0].txid())))
    equal(submit(node, chain.add(spend(coins[0], 10**9))), None)
    # By consensus: outside the interval allowed.
    node.rpc.addToConsensusBlacklist(consensus(display(coins[1].txid()), interval(0, 112),
                                               interval(113)))
    equal(submit(node, chain.add(spend(coins[1], 10**9))), None, "at height 112")
    # Inside it the block waits, and what builds on it.
    node.rpc.addToConsensusBlacklist(consensus(display(coins[2].txid()), interval(113, 114)))
    old = node.tip()
    held = chain.add(spend(coins[2], 10**9))
    equal(submit(node, held), "bad-txns-inputs-frozen")
    equal(node.rpc.getblockheader(held.hash_hex)["status"]["soft consensus frozen"], True)
    check(not node.rpc.getblockheader(held.hash_hex)["status"]["failed"], "held is not failed")
    extend(node, chain, 3)
    equal(node.tip(), old, "held back")
    extend(node, chain, 1)
    equal(node.rpc.getblockcount(), 117, "released by the fourth block above")
    # The same after a restart, lists and held blocks included.
    node.restart()
    equal(node.tip(), chain.tip_hex)
    check(node.rpc.verifychain(4, 0), "what was released is no damage")
    node.rpc.invalidateblock(chain.tip_hex)
    equal(node.tip(), old, "too short again")
    node.rpc.reconsiderblock(chain.tip_hex)
    equal(node.tip(), chain.tip_hex)


def known(node, tx):
    """Is it in the mempool? (-27: already there.)"""
    error = raises_rpc(-27, lambda: node.rpc.sendrawtransaction(tx.serialize().hex()))
    is_in("mempool", error.message)


def refused(node, tx, reason):
    raises_rpc(-26, lambda: node.rpc.sendrawtransaction(tx.serialize().hex()), reason)


def gone(node, tx):
    raises_rpc(-5, lambda: node.rpc.getrawtransaction(display(tx.txid())))


def child_of(tx, n=0):
    return Tx([TxIn(tx.txid(), n)], [TxOut(tx.outputs[n].value - 1000, ANYONE)])


@case()
def behaviour_84_frozen_outputs_in_the_mempool(t):
    node = t.make_node("-genesisactivationheight=1")
    chain = mature_chain(t, node)
    coins = [chain.at(h).txs[0] for h in range(1, 8)]
    spends = [spend(c, subsidy(h + 1) - 1000) for h, c in enumerate(coins)]
    ids = [display(c.txid()) for c in coins]
    node.rpc.addToPolicyBlacklist(policy(ids[0]))
    refused(node, spends[0], "bad-txns-inputs-frozen")
    # By consensus: before, inside and after the interval as far as policy does not expire with it.
    node.rpc.addToConsensusBlacklist(consensus(ids[1], interval(500, 600), expires=True))
    refused(node, spends[1], "bad-txns-inputs-frozen")
    node.rpc.addToConsensusBlacklist(consensus(ids[1], interval(50, 112), expires=True))
    refused(node, spends[1], "bad-txns-inputs-frozen")
    node.rpc.addToConsensusBlacklist(consensus(ids[2], interval(50, 111)))
    refused(node, spends[2], "bad-txns-inputs-frozen")
    node.rpc.addToConsensusBlacklist(consensus(ids[3], interval(50, 111), expires=True))
    node.rpc.sendrawtransaction(spends[3].serialize().hex())
    # What is frozen while it waits leaves with its descendants; the rest stays.
    children = [child_of(spends[3]), child_of(spends[4])]
    for tx in (spends[4], *children):
        node.rpc.sendrawtransaction(tx.serialize().hex())
    node.rpc.addToPolicyBlacklist(policy(ids[4]))
    for tx in (spends[4], children[1]):
        gone(node, tx)
    for tx in (spends[3], children[0]):
        known(node, tx)
    node.rpc.removeFromPolicyBlacklist(policy(ids[4]))
    node.rpc.sendrawtransaction(spends[4].serialize().hex())
    # Going back to a height at which it is frozen again.
    extend(node, chain, 2)
    node.rpc.addToConsensusBlacklist(consensus(ids[5], interval(0, 113), expires=True))
    node.rpc.sendrawtransaction(spends[5].serialize().hex())
    node.rpc.invalidateblock(chain.at(112).hash_hex)
    gone(node, spends[5])
    known(node, spends[4])


@case()
def behaviour_85_confiscation_in_the_mempool(t):
    node = t.make_node("-genesisactivationheight=1")
    chain = mature_chain(t, node)
    locked = spend(chain.at(1).txs[0], 49 * 10**8, Key(7).script)
    submit(node, chain.add(locked))
    take = confiscation(locked, 49 * 10**8 - 1000)
    refused(node, take, "bad-ctx-not-whitelisted")
    refused(node, confiscation(locked, 49 * 10**8 - 1000, version=2), "bad-ctx-invalid")
    node.rpc.addToConsensusBlacklist(consensus(display(locked.txid()), interval(0)))
    node.rpc.addToConfiscationTxidWhitelist(order(take, 113))
    refused(node, take, "bad-ctx-not-whitelisted")
    extend(node, chain, 1)
    equal(node.rpc.sendrawtransaction(take.serialize().hex()), display(take.txid()))
    node.rpc.clearConfiscationWhitelist()
    gone(node, take)
    node.rpc.addToConfiscationTxidWhitelist(order(take, 113))
    equal(node.rpc.sendrawtransaction(take.serialize().hex()), display(take.txid()))


@case()
def a_frozen_spend_on_a_branch_and_lists_that_change_meanwhile(t):
    """Attacks A17: freeze, unfreeze and reorganise; judgement follows height and list, and what was
    held once stays so."""
    node = t.make_node()
    chain = mature_chain(t, node)
    coin = chain.at(1).txs[0]
    txid = display(coin.txid())
    node.rpc.addToConsensusBlacklist(consensus(txid, interval(111, 113)))
    fork = chain.fork(110)
    equal(submit(node, fork.add(spend(coin, 10**9))), "bad-txns-inputs-frozen")
    extend(node, chain, 2)
    equal(node.rpc.getblockcount(), 112, "the branch without it")
    extend(node, fork, 3)
    equal(node.tip(), chain.tip_hex, "more work, but held")
    equal(node.rpc.clearBlacklists({"removeAllEntries": True})["numRemovedEntries"], 1)
    equal(submit(node, chain.add(spend(coin, 10**9))), None, "unfrozen")
    equal(node.tip(), chain.tip_hex)
    extend(node, fork, 1)
    equal(node.tip(), fork.tip_hex, "four blocks above the held one")
    equal(node.rpc.gettxout(txid, 0), None)
    hash_before = node.utxo_hash()
    node.restart("-reindex-chainstate")
    t.wait(lambda: node.rpc.getblockcount() == 115, what="the coins rebuilt")
    equal(node.utxo_hash(), hash_before)


@case()
def the_duration_is_an_option(t):
    for option, blocks, moved in (("1", 1, False), ("1", 2, True), ("0", 8, False)):
        node = t.make_node(f"-softconsensusfreezeduration={option}")
        chain = mature_chain(t, node)
        coin = chain.at(1).txs[0]
        node.rpc.addToConsensusBlacklist(consensus(display(coin.txid()), interval(0)))
        old = node.tip()
        submit(node, chain.add(spend(coin, 10**9)))
        extend(node, chain, blocks)
        equal(node.tip(), chain.tip_hex if moved else old, f"{option}, {blocks} above")
        node.kill()


@case(timeout=120)
def behaviour_85_confiscation(t):
    node = t.make_node()
    chain = mature_chain(t, node)
    coin = chain.at(1).txs[0]
    # A coin that asks for a signature nobody gives.
    locked = spend(coin, 49 * 10**8, Key(7).script)
    submit(node, chain.add(locked))
    take = confiscation(locked, 40 * 10**8)
    wrong = confiscation(locked, 40 * 10**8, version=2)
    attempt = chain.fork(111).add(take)
    equal(submit(node, attempt), "bad-ctx-not-whitelisted")
    not_frozen = {"notProcessed": [{"confiscationTx": {"txId": display(take.txid())},
                                    "reason": "confiscated TXO is not consensus frozen"}]}
    equal(node.rpc.addToConfiscationTxidWhitelist(order(take, 113)), not_frozen)
    node.rpc.addToPolicyBlacklist(policy(display(locked.txid())))
    equal(node.rpc.addToConfiscationTxidWhitelist(order(take, 113)), not_frozen)
    node.rpc.addToConsensusBlacklist(consensus(display(locked.txid()), interval(112, 114)))
    equal(node.rpc.addToConfiscationTxidWhitelist(order(take, 114)), not_frozen)
    equal(node.rpc.addToConfiscationTxidWhitelist(order(wrong, 113))["notProcessed"][0]["reason"],
          "confiscation transaction is not valid")
    equal(node.rpc.addToConfiscationTxidWhitelist(order(locked, 113))["notProcessed"][0]["reason"],
          "confiscation transaction is not valid")
    equal(node.rpc.addToConfiscationTxidWhitelist(order(take, 113)), {"notProcessed": []})
    shown = {"txId": display(take.txid()), "enforceAtHeight": 113}
    equal(node.rpc.queryConfiscationTxidWhitelist(),
          {"confiscationTxs": [{"confiscationTx": shown}]})
    equal(node.rpc.queryConfiscationTxidWhitelist(True)["confiscationTxs"][0]["confiscationTx"],
          dict(shown, inputs=[{"txOut": txout(display(locked.txid()))}]))
    equal(node.rpc.queryBlacklist()["funds"][0]["blacklist"],
          ["policy", "consensus", "confiscation"])
    equal(submit(node, chain.fork(111).add(take, time=chain.time + 9)), "bad-ctx-not-whitelisted",
          "one block before its height")
    extend(node, chain, 1)
    equal(submit(node, chain.add(take)), None, "no signature is asked for")
    made = node.rpc.gettxout(display(take.txid()), 1)
    equal((made["confiscation"], made["coinbase"]), (True, False))
    # Lists go and come back with a restart; going back over the block they are still there.
    node.restart()
    node.rpc.invalidateblock(chain.tip_hex)
    node.rpc.reconsiderblock(chain.tip_hex)
    equal(node.tip(), chain.tip_hex)
    # Its output matures after a thousand blocks.
    node.rpc.generatetoaddress(998, ADDRESS)
    height = node.rpc.getblockcount()
    equal(height, 1111)

    def child():
        after = node.rpc.getblockheader(node.tip())["time"] + 1
        tx = Tx([TxIn(take.txid(), 1)], [TxOut(10**8, ANYONE)])
        return Block.make(bytes.fromhex(node.tip())[::-1], node.rpc.getblockcount() + 1, after,
                          [tx])

    is_in("premature", submit(node, child()))
    node.rpc.generatetoaddress(1, ADDRESS)
    equal(submit(node, child()), None)
    equal(node.rpc.clearConfiscationWhitelist(),
          {"numFrozenBackToConsensus": 1, "numUnwhitelistedTxs": 1})
    equal(node.rpc.queryBlacklist()["funds"][0]["blacklist"], ["policy", "consensus"])


@case()
def a_confiscation_deep_in_the_chain_is_assumed_to_be_allowed_when_asked(t):
    source = t.make_node()
    chain = mature_chain(t, source)
    coin = chain.at(1).txs[0]
    take = confiscation(coin, 10**9)
    source.rpc.addToConsensusBlacklist(consensus(display(coin.txid()), interval(0)))
    source.rpc.addToConfiscationTxidWhitelist(order(take, 0))
    equal(submit(source, chain.add(take)), None)
    extend(source, chain, 3)
    equal(source.tip(), chain.tip_hex)
    for options, height in (([], 110), (["-assumewhitelistedblockdepth=3"], 110),
                            (["-enableassumewhitelistedblockdepth",
                              "-assumewhitelistedblockdepth=4"], 110),
                            (["-enableassumewhitelistedblockdepth"], 110),
                            (["-enableassumewhitelistedblockdepth",
                              "-assumewhitelistedblockdepth=3"], 114)):
        node = t.node(*options, "-connect=" + source.p2p)
        t.wait(lambda: node.rpc.getblockchaininfo()["headers"] >= 110
               and node.rpc.getblockcount() == height, what=f"{options}: height {height}")
        if height == 110:
            t.wait(lambda: any(tip["status"] == "invalid" for tip in node.rpc.getchaintips()),
                   what="the block judged")
        node.kill()


@case()
def lists_are_on_disk_before_the_answer(t):
    node = t.node()
    for n in range(5):
        node.rpc.addToPolicyBlacklist(policy(f"{n + 1:064x}"))
        before = (node.rpc.queryBlacklist(), node.rpc.getfrozeninfo())
        node.process.kill()
        node.process.wait()
        node.rpc.close()
        node.start()
        equal((node.rpc.queryBlacklist(), node.rpc.getfrozeninfo()), before, f"after kill {n}")
    equal(before[1]["version"], 5)
    node.rpc.addToPolicyBlacklist(policy(f"{1:064x}"))
    equal(node.rpc.getfrozeninfo(), before[1], "no change, no new version")
    # A second node that was told the same in another order has the same hash.
    other = t.node()
    other.rpc.addToPolicyBlacklist(policy(*[f"{n + 1:064x}" for n in reversed(range(5))]))
    equal(other.rpc.getfrozeninfo()["hash"], before[1]["hash"])
    other.rpc.addToPolicyBlacklist(policy(ZERO))
    check(other.rpc.getfrozeninfo()["hash"] != before[1]["hash"], "another list, another hash")


@case()
def a_damaged_list_stops_the_start(t):
    node = t.node()
    node.rpc.addToPolicyBlacklist(policy("aa" * 32))
    node.stop()
    path = node.file("frozen.dat")
    with open(path, "rb") as file:
        good = file.read()
    for bad in (good[:-1], good[:30] + b"\x01" + good[31:], b"",
                good[:8] + b"\x02\0\0\0" + good[12:]):
        with open(path, "wb") as file:
            file.write(bad)
        node.launch()
        check(node.wait_exit(20) != 0, "it does not start")
        is_in("frozen.dat", node.errors() + node.log())
        is_in("frozen outputs", node.errors())
    with open(path, "wb") as file:
        file.write(good)
    node.start()
    equal(len(node.rpc.queryBlacklist()["funds"]), 1)
    node.stop()
    os.remove(path)
    node.start("-reindex")
    equal(node.rpc.queryBlacklist(), {"funds": []})


@case(timeout=120)
def long_lists_are_kept_and_shown(t):
    node = t.node()
    n = 20000
    for start in range(0, n, 5000):
        node.rpc.addToPolicyBlacklist(policy(*[f"{i:064x}" for i in range(start, start + 5000)]))
    shown = node.rpc.queryBlacklist()["funds"]
    equal((len(shown), len({f["txOut"]["txId"] for f in shown})), (n, n))
    node.restart()
    equal(node.rpc.getfrozeninfo()["policy"], n)
    equal(node.rpc.removeFromPolicyBlacklist(policy(*[f"{i:064x}" for i in range(n)])),
          {"notProcessed": []})
    equal(node.rpc.getfrozeninfo()["policy"], 0)


if __name__ == "__main__":
    main()

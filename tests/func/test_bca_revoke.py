"""bcarevoke on daemons: the marker of an identity is spent, every node says so, a reorganisation
undoes it, and a crash leaves it made or not."""
import os

from framework import ADDRESS, Skip, case, check, equal, is_in, main, raises_rpc
from identities import (FAULT, MARKER, PREFIX, confirmed_identity, crash_at, grow, identity,
                        is_handed_over_again, kill_and_start, result, revoked, states, tool,
                        wallet_node)
from wallet_rpc import WalletRpc


@case()
def a_wallet_revokes_its_identity(t):
    a, b, proof = confirmed_identity(t)
    made = a.rpc.bcarevoke("alice")
    txid = made["txid"]
    equal(made["state"], "revoking")
    tx = a.rpc.getrawtransaction(txid, True)
    equal(sorted((i["txid"], i["vout"]) == (identity(a)["txid"], MARKER) for i in tx["vin"]),
          [False, True], "the marker and one coin for the fee")
    check(any(u["txid"] == txid for u in a.rpc.listunspent(0)), "change comes back")
    equal((identity(a)["state"], identity(a)["revoked_by"], states(a)[proof[0]]),
          ("revoking", txid, "revoking"))
    t.wait(lambda: txid in b.rpc.getrawmempool(), what="it on the other node")
    for node in (a, b):
        equal((result(node, proof)[0], revoked(node, proof)), ("valid", (None, None, txid)))
    for refused in (lambda: a.rpc.bcanew("alice", PREFIX), lambda: a.rpc.bcaparams(proof[0]),
                    lambda: a.rpc.bcarevoke("alice")):
        raises_rpc(-4, refused, "being revoked by " + txid)

    block = grow(a)[0]
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, proof), ("invalid", "revoked", 2))
        equal(revoked(node, proof), (txid, block, None))
    equal((identity(a)["state"], identity(a)["revoked_by"], states(a)[proof[0]]),
          ("revoked", txid, "revoked"))
    for refused in (lambda: a.rpc.bcanew("alice", PREFIX), lambda: a.rpc.bcaparams(proof[0]),
                    lambda: a.rpc.bcarevoke("alice")):
        raises_rpc(-4, refused, "is revoked by " + txid)
    equal(tool("verify", "--network=regtest", *proof)["result"], "valid", "offline nobody sees it")

    for node in (a, b):
        node.rpc.invalidateblock(block)
        equal(result(node, proof), ("valid", None, 1))
    equal(identity(a)["state"], "revoking", "it waits for another block")
    t.wait(lambda: txid in a.rpc.getrawmempool(), what="back in the mempool")
    again = grow(a, 2)[0]
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(revoked(node, proof), (txid, again, None))


@case()
def a_reorganisation_that_leaves_a_revocation_out_undoes_it(t):
    a, b, proof = confirmed_identity(t)
    b.rpc.setnetworkactive(False)
    t.wait(lambda: not a.rpc.getpeerinfo(), what="the end of the connection")
    txid = a.rpc.bcarevoke("alice")["txid"]
    grow(a)
    equal((identity(a)["state"], result(a, proof)[0]), ("revoked", "invalid"))
    grow(b, 2)
    b.rpc.setnetworkactive(True)
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, proof), ("valid", None, 3))
    t.wait(lambda: revoked(a, proof) == (None, None, txid), what="back in the mempool")
    equal(identity(a)["state"], "revoking")


@case()
def a_crash_forgets_no_revocation(t):
    node, other, proof = confirmed_identity(t)
    txid = node.rpc.bcarevoke("alice")["txid"]
    kill_and_start(t, node, other)
    equal((identity(node)["state"], identity(node)["revoked_by"]), ("revoking", txid))
    is_handed_over_again(t, node, txid)
    grow(node)
    equal(identity(node)["state"], "revoked")


@case()
def a_crash_at_any_write_of_a_revocation_leaves_it_made_or_not(t):
    if not os.path.exists(FAULT):
        raise Skip("no " + FAULT)
    node = wallet_node(t)
    writes = [(store, n) for store in ("/default/keys/", "/default/coins/") for n in range(3, 6)]
    names = [f"{store.split('/')[2]}-{n}" for store, n in writes]
    for name in names:
        node.rpc.bcaregister(name, 1)
    grow(node)
    crashes = 0
    for name, (store, n) in zip(names, writes):
        crashes += crash_at(node, f"fdatasync:{n}:exit", store, lambda: node.rpc.bcarevoke(name))
        if node.is_alive():
            node.stop()
        node.start()
        state = identity(node, name)["state"]
        is_in(state, ("ready", "revoking"))
        node.rpc.resendwallettransactions()
        if state == "ready":
            node.rpc.bcarevoke(name)
        grow(node)
    equal([identity(node, name)["state"] for name in names], ["revoked"] * len(names))
    check(crashes >= 2, f"{crashes} crashes")


@case()
def what_cannot_be_revoked_is_said(t):
    node = wallet_node(t)
    rpc = node.rpc
    raises_rpc(-5, lambda: rpc.bcarevoke("alice"), "no identity alice")
    raises_rpc(-8, lambda: rpc.bcarevoke("a b"), "letters, digits")
    raises_rpc(-1, rpc.bcarevoke, "bcarevoke")
    rpc.bcaregister("alice", 1)
    raises_rpc(-4, lambda: rpc.bcarevoke("alice"), "in no block yet")
    grow(node)
    coins = [{"txid": u["txid"], "vout": u["vout"]} for u in rpc.listunspent(0)]
    rpc.lockunspent(False, coins)
    raises_rpc(-6, lambda: rpc.bcarevoke("alice"), "are locked")
    equal(identity(node)["state"], "ready", "nothing was made")
    rpc.lockunspent(True, coins)
    rpc.encryptwallet("secret")
    raises_rpc(-13, lambda: rpc.bcarevoke("alice"))
    rpc.walletpassphrase("secret", 60)
    equal(rpc.bcarevoke("alice")["state"], "revoking")


@case()
def a_moved_identity_is_revoked_by_the_wallet_that_has_it(t):
    a, b, proof = confirmed_identity(t)
    a.rpc.sendtoaddress(b.rpc.getnewaddress(), 1)
    grow(a)
    t.wait_same_tip(a, b)
    path = t.path("alice.bca")
    a.rpc.bcaexport("alice", path)
    b.rpc.bcaimport(path, "al")
    txid = b.rpc.bcarevoke("al")["txid"]
    equal((identity(b, "al")["state"], identity(b, "al")["revoked_by"]), ("revoking", txid))
    block = grow(b)[0]
    t.wait_same_tip(a, b)
    equal(identity(b, "al")["state"], "revoked")
    equal((identity(a)["state"], identity(a)["revoked_by"]), ("revoked", txid), "it is told too")
    for node in (a, b):
        equal(revoked(node, proof), (txid, block, None))


@case()
def a_restored_identity_can_be_revoked(t):
    node = wallet_node(t)
    node.rpc.bcaregister("alice", 1)
    grow(node)
    node.rpc.backupwallet(t.path("backup"))
    node.rpc.restorewallet("again", t.path("backup"))
    rpc = WalletRpc(node, "again")
    t.wait(lambda: rpc.getbalance() > 1, what="its coins")
    txid = rpc.bcarevoke("alice")["txid"]
    grow(node)
    alice, = rpc.bcalist()["identities"]
    equal((alice["state"], alice["revoked_by"]), ("revoked", txid))


@case()
def the_marker_is_no_coin_of_the_wallet(t):
    node = wallet_node(t)
    rpc = node.rpc
    marker = {"txid": rpc.bcaregister("alice", 1)["txid"], "vout": MARKER}
    grow(node)
    coins = rpc.listunspent(0)
    check(not any(u["txid"] == marker["txid"] and u["vout"] == MARKER for u in coins))
    equal(rpc.getbalance(), sum(u["amount"] for u in coins))
    raises_rpc(-4, lambda: rpc.fundrawtransaction(rpc.createrawtransaction(
        [marker], {ADDRESS: 1})), "none of the wallet's")
    rpc.sendtoaddress(ADDRESS, rpc.getbalance(), "", "", True)
    grow(node)
    equal((rpc.getbalance(), identity(node)["state"]), (0, "ready"))
    check(rpc.gettxout(marker["txid"], MARKER) is not None, "all was sent but the marker")


if __name__ == "__main__":
    main()

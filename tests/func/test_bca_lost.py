"""Registrations whose coins went elsewhere, and which of those that a wallet has made counts."""
from blocks import TxOut, from_display, spend
from framework import ADDRESS, case, equal, main, raises_rpc
from identities import PREFIX, grow, identity, result
from txs import KEY, hex_of, id_of
from wallet_rpc import WalletRpc


def copy_chain(to, of, first=1):
    for height in range(first, of.rpc.getblockcount() + 1):
        to.rpc.submitblock(of.rpc.getblock(of.rpc.getblockhash(height), 0))
    equal(to.rpc.getbestblockhash(), of.rpc.getbestblockhash())


def twin(t, node):
    """Another one with its blocks and without its transactions."""
    other = t.node()
    copy_chain(other, node)
    return other


def conflict(node, txid):
    """Spends the first coin of a transaction of the wallet, to nobody."""
    spent = node.rpc.getrawtransaction(txid, True)["vin"][0]
    raw = node.rpc.createrawtransaction([{"txid": spent["txid"], "vout": spent["vout"]}],
                                        {ADDRESS: 1})
    return node.rpc.signrawtransaction(raw)["hex"]


@case()
def the_registration_that_is_mined_counts_and_not_the_one_that_is_lost(t):
    a = t.node()
    a.rpc.generatetoaddress(2, a.rpc.getnewaddress())
    grow(a, 100)
    b, c = twin(t, a), twin(t, a)
    fork = a.rpc.getblockcount() + 1
    first = a.rpc.bcaregister("alice", 2)["txid"]
    raw = a.rpc.gettransaction(first)["hex"]
    b.rpc.sendrawtransaction(conflict(a, first), True)
    grow(b)
    a.rpc.backupwallet(t.path("backup"))
    a.rpc.restorewallet("again", t.path("backup"))
    again = WalletRpc(a, "again")
    t.wait(lambda: len(again.listtransactions()) > 1, what="the registration")
    copy_chain(a, b, fork)
    t.wait(lambda: again.bcalist()["identities"][0]["state"] == "lost", what="the conflict")
    raises_rpc(-8, lambda: again.bcaregister("alice"), "already")
    again.unloadwallet()

    equal(identity(a)["state"], "lost")
    raises_rpc(-8, lambda: a.rpc.bcaregister("alice", 8), "the 2 modifiers")
    second = a.rpc.bcaregister("alice")["txid"]
    equal((identity(a)["state"], identity(a)["modifiers"]), ("pending", 2), "the same keys")
    c.rpc.sendrawtransaction(raw)
    c.rpc.sendrawtransaction(conflict(a, second), True)
    grow(c, 2)
    copy_chain(a, c, fork)
    equal((identity(a)["state"], identity(a)["txid"]), ("ready", first))
    raises_rpc(-8, lambda: a.rpc.bcaregister("alice"), "already")
    made = a.rpc.bcanew("alice", PREFIX)
    a.restart()
    equal(identity(a)["unused"], 1)
    equal(result(c, (made["address"], made["params"])), ("valid", None, 2))
    a.rpc.loadwallet("again")
    t.wait(lambda: again.bcalist()["identities"][0]["state"] == "restored", what="its block")


@case()
def what_has_addresses_is_not_registered_again(t):
    a = t.node()
    a.rpc.generatetoaddress(2, a.rpc.getnewaddress())
    grow(a, 100)
    b = twin(t, a)
    fork = a.rpc.getblockcount() + 1
    b.rpc.sendrawtransaction(conflict(a, a.rpc.bcaregister("alice", 2)["txid"]), True)
    block = grow(a)[0]
    made = a.rpc.bcanew("alice", PREFIX)
    proof = made["address"], made["params"]
    grow(b, 2)
    copy_chain(a, b, fork)
    equal((identity(a)["state"], result(a, proof)[:2]), ("lost", ("invalid", "chain")))
    raises_rpc(-8, lambda: a.rpc.bcaregister("alice"), "another name")
    a.rpc.invalidateblock(b.rpc.getblockhash(fork))
    equal((a.rpc.getbestblockhash(), result(a, proof)[0]), (block, "valid"))
    a.rpc.bcarevoke("alice")
    grow(a)
    equal(result(a, proof)[:2], ("invalid", "revoked"))


@case()
def a_copy_by_somebody_else_is_no_registration_of_ours(t):
    a = t.node()
    a.rpc.generatetoaddress(1, a.rpc.getnewaddress())
    theirs, = a.rpc.generatetoaddress(1, a.rpc.decodescript(KEY.script.hex())["addresses"][0])
    grow(a, 100)
    b = twin(t, a)
    fork = a.rpc.getblockcount() + 1
    first = a.rpc.bcaregister("alice", 2)["txid"]
    script = bytes.fromhex(a.rpc.getrawtransaction(first, True)["vout"][0]["scriptPubKey"]["hex"])
    b.rpc.sendrawtransaction(conflict(a, first), True)
    grow(b)
    copy_chain(a, b, fork)
    equal(identity(a)["state"], "lost")
    ours = bytes.fromhex(a.rpc.validateaddress(a.rpc.getnewaddress())["scriptPubKey"])
    copy = spend(KEY, from_display(a.rpc.getblock(theirs)["tx"][0]), 0, 50 * 10**8,
                 [TxOut(0, script), TxOut(1, KEY.script), TxOut(10000, ours)])
    a.rpc.sendrawtransaction(hex_of(copy), True)
    t.wait(lambda: id_of(copy) in {x["txid"] for x in a.rpc.listtransactions()}, what="the copy")
    equal(identity(a)["state"], "lost")


if __name__ == "__main__":
    main()

"""importprunedfunds, removeprunedfunds, a rescan of pruned blocks, and generate, which mines to the
wallet."""
from blocks import Block, TxOut, coinbase, from_display
from framework import ADDRESS, case, check, equal, main, raises_rpc
from wallet_rpc import WalletRpc
from wallets import mine, rich_node

ZERO = "00" * 32


@case()
def a_transaction_comes_in_with_its_proof_and_leaves(t):
    node = rich_node(t)
    source = WalletRpc(node, "default")
    address, other = source.getnewaddress(), source.getnewaddress()
    paid = source.sendtoaddress(address, 2)
    elsewhere = source.sendtoaddress(ADDRESS, 1)
    block = mine(node)[0]
    raw, strange = node.rpc.getrawtransaction(paid), node.rpc.getrawtransaction(elsewhere)
    proof = node.rpc.gettxoutproof([paid])
    node.rpc.createwallet("watch")
    watch = WalletRpc(node, "watch")
    raises_rpc(-5, lambda: watch.importprunedfunds(raw, proof), "No addresses in wallet")
    watch.importprivkey(source.dumpprivkey(address), "", False)
    equal(watch.getbalance(), 0)
    raises_rpc(-5, lambda: watch.importprunedfunds(strange, proof), "doesn't exist in proof")
    raises_rpc(-5, lambda: watch.importprunedfunds(strange, node.rpc.gettxoutproof([elsewhere])),
               "No addresses in wallet")
    raises_rpc(-22, lambda: watch.importprunedfunds("00", proof), "TX decode failed")
    raises_rpc(-1, lambda: watch.importprunedfunds(raw, proof[:-2]), "no header with a partial")
    at = 2 * (80 + 4 + 1)  # the first hash of the tree
    bent = proof[:at] + ("0" if proof[at] != "0" else "1") + proof[at + 1:]
    raises_rpc(-5, lambda: watch.importprunedfunds(raw, bent), "Something wrong with merkleblock")
    equal(watch.importprunedfunds(raw, proof), None)
    equal(watch.getbalance(), 2)
    tx = watch.gettransaction(paid)
    equal((tx["confirmations"], tx["blockhash"], tx["blockindex"]),
          (1, block, node.rpc.getblock(block)["tx"].index(paid)))
    equal(watch.removeprunedfunds(paid), None)
    equal((watch.getbalance(), watch.listtransactions()), (0, []))
    raises_rpc(-8, lambda: watch.removeprunedfunds(paid), "does not exist in wallet")
    raises_rpc(-8, lambda: watch.removeprunedfunds("12"), "length 64")
    watch.importprunedfunds(raw, proof)
    node.rpc.invalidateblock(block)
    t.wait(lambda: watch.getbalance() == 0)
    raises_rpc(-5, lambda: watch.importprunedfunds(raw, proof), "Block not found in chain")
    equal(source.validateaddress(other)["ismine"], True)


@case()
def blocks_are_mined_to_the_wallet(t):
    node = t.node()
    hashes = node.rpc.generate(2)
    equal([node.rpc.getblockhash(h) for h in (1, 2)], hashes)
    equal([(c["category"], c["amount"]) for c in node.rpc.listtransactions()],
          [("immature", 50)] * 2)
    equal(node.rpc.generate(0), [])
    raises_rpc(-8, lambda: node.rpc.generate(-1), "nblocks must be")
    raises_rpc(-8, lambda: node.rpc.generate(1, -1), "maxtries not negative")
    raises_rpc(-1, node.rpc.generate, "generate nblocks")
    bare = t.node("-disablewallet")
    raises_rpc(-32601, lambda: bare.rpc.generate(1), "Method not found")


def fill_a_file(node):
    """Blocks of 1 MiB together, so that those before them can be pruned."""
    tip = node.rpc.getblockheader(node.rpc.getbestblockhash())
    previous, height = from_display(tip["hash"]), tip["height"]
    for i in range(1, 20):
        full = coinbase(height + i)
        full.outputs.append(TxOut(0, b"\x00\x6a\x4e\x00\x00\x01\x00" + bytes(0x10000)))
        made = Block.make(previous, height + i, tip["time"] + i, coinbase_tx=full)
        node.rpc.submitblock(made.serialize().hex())
        previous = made.hash()


def loaded(node, name):
    if name not in node.rpc.listwallets():
        node.rpc.loadwallet(name)
    return WalletRpc(node, name)


@case()
def a_rescan_that_comes_to_a_pruned_block_says_what_may_be_missing(t):
    node = t.node("-prune=1", "-preferredblockfilesize=1MiB")
    node.rpc.createwallet("keys")
    node.rpc.createwallet("watch")
    keys = WalletRpc(node, "keys")
    secret = keys.dumpprivkey(keys.getnewaddress())
    fill_a_file(node)
    mine(node, 1000 - node.rpc.getblockcount())
    last = node.rpc.pruneblockchain(30)
    check(last >= 5, f"pruned up to {last}")
    node.restart("-prune=0")  # nothing refuses the rescan beforehand
    wallet = loaded(node, "watch")
    said = "transactions of blocks 0 to 1000 may be missing"
    raises_rpc(-4, lambda: wallet.importprivkey(secret), said)
    info = wallet.getwalletinfo()
    equal((info["scanning"], said in info["error"]), (False, True))
    check(said in node.log(), "the log has it")
    raises_rpc(-4, lambda: wallet.rescanblockchain(last), "broken off")
    mine(node, 2, wallet.getnewaddress())
    equal((wallet.getwalletinfo()["height"], wallet.getwalletinfo()["immature_balance"] > 0),
          (1002, True))
    node.restart("-prune=0")
    wallet = loaded(node, "watch")
    check(said in wallet.getwalletinfo()["error"], "said once more")
    equal(wallet.rescanblockchain(last + 1), {"start_height": last + 1, "stop_height": 1002})
    check(f"of blocks 0 to {last} may" in wallet.getwalletinfo()["error"],
          "the stored ones are seen")


if __name__ == "__main__":
    main()

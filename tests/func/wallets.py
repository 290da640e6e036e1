"""Nodes whose wallets have something."""
from framework import ADDRESS, RpcError, equal

COIN = 10**8
MATURITY = 101  # blocks until the first coinbase can be spent
REWARD = 50


def mine(node, n=1, address=ADDRESS):
    return node.rpc.generatetoaddress(n, address)


def rich_node(t, *options):
    """A node whose wallet has one coin that can be spent."""
    node = t.node(*options)
    mine(node, 1, node.rpc.getnewaddress())
    mine(node, MATURITY - 1)
    equal(node.rpc.getbalance(), REWARD)
    return node


def two_nodes(t):
    a = rich_node(t)
    b = t.node("-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    return a, b


def in_both_pools(a, b, txid):
    """By hand where gossip has not been: it waits for feefilters, and is tested elsewhere."""
    for source, target in ((a, b), (b, a)):
        if txid not in target.rpc.getrawmempool():
            try:
                target.rpc.sendrawtransaction(source.rpc.getrawtransaction(txid))
            except RpcError as error:
                equal(error.code, -27, str(error))

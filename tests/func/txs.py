"""Transactions for tests of the mempool: coins anybody can spend, moved about and mined."""
import time

from blocks import ANYONE, Chain, Key, Tx, TxIn, TxOut, display, subsidy
from framework import equal

MATURE = 110
FEE = 1000
KEY = Key(7)
START = int(time.time()) - 3600


def node_with_coins(t, *options, script=ANYONE, blocks=MATURE, genesis=1):
    """A daemon past initial download whose first coinbases may be spent, and its chain."""
    chain = Chain(start_time=START)
    chain.grow(blocks, script=script)
    node = t.node("-genesisactivationheight=%d" % genesis, *options)
    for block in chain.blocks:
        equal(node.rpc.submitblock(block.serialize().hex()), None)
    return node, chain


def coin(chain, height):
    """(txid, index, value) of a coinbase."""
    return chain.at(height).txs[0].txid(), 0, subsidy(height)


def move(from_coin, fee=FEE, script=ANYONE, sequence=0xffffffff, lock_time=0, version=1,
         unlock=b""):
    """One input, one output."""
    txid, index, value = from_coin
    return Tx([TxIn(txid, index, unlock, sequence)], [TxOut(value - fee, script)],
              version=version, lock_time=lock_time)


def fan_out(from_coin, n):
    """One transaction with n outputs, and n that spend them."""
    txid, index, value = from_coin
    each = (value - FEE) // n
    root = Tx([TxIn(txid, index)], [TxOut(each, ANYONE)] * n)
    root_id = root.txid()
    return [root] + [Tx([TxIn(root_id, i)], [TxOut(each - 100, ANYONE)]) for i in range(n)]


def output(tx, index=0):
    return tx.txid(), index, tx.outputs[index].value


def hex_of(tx):
    return tx.serialize().hex()


def id_of(tx):
    return display(tx.txid())


def pool(node):
    return set(node.rpc.getrawmempool())


def send(node, tx):
    equal(node.rpc.sendrawtransaction(hex_of(tx)), id_of(tx))


def mine(node, chain, *txs):
    block = chain.add(*txs)
    equal(node.rpc.submitblock(block.serialize().hex()), None)
    return block

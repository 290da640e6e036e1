"""getbump and getbeef: proofs and ancestors as the BSV standards write them (BRC-74, 62, 95,
96)."""
import time

from framework import case, check, equal, main, raises_rpc
from blocks import ANYONE, Chain, Key, Tx, TxIn, TxOut, display, spend
from proofs import COIN, ZERO, Beef, Reader, bump_root, family, ids_of, read_bump, take_tx

FEE = 1000


def bump_of(node, txid, *more):
    """(height, levels) of getbump"""
    r = Reader(bytes.fromhex(node.rpc.getbump(display(txid), *more)))
    got = read_bump(r)
    r.end()
    return got


def roots(node):
    return {h: bytes.fromhex(node.rpc.getblockheader(node.rpc.getblockhash(h))["merkleroot"])[::-1]
            for h in range(node.rpc.getblockcount() + 1)}


def beef_of(node, txid, *shape):
    """The parsed answer, its structure checked against the chain of the node."""
    beef = Beef(bytes.fromhex(node.rpc.getbeef(display(txid), *shape)))
    beef.check(roots(node))
    return beef


def move(tx, value, *more):
    """Spends output 0 of the transactions to one output of the value that anyone can spend."""
    return Tx([TxIn(t.txid(), 0) for t in (tx,) + more], [TxOut(value, ANYONE)])


def send(node, *txs):
    for tx in txs:
        equal(node.rpc.sendrawtransaction(tx.serialize().hex(), False, True), display(tx.txid()))
    return txs[-1]


@case()
def bumps_lead_to_the_root(t):
    chain = family(13)
    node = t.node_at(chain)
    block = chain.at(103)
    for index, txid in enumerate(ids_of(block)):
        height, levels = bump_of(node, txid)
        equal((height, len(levels)), (103, 4))
        equal(levels[0][index], (txid, True))
        equal(bump_root(levels, txid), block.header.root)
        equal(bump_of(node, txid, block.hash_hex), (height, levels), "with the block named")
    only = chain.at(50).txs[0].txid()
    equal(bump_of(node, only), (50, [{0: (only, True)}]), "a block of one transaction")


@case()
def bumps_of_nothing_are_refused(t):
    chain = family(3)
    node = t.node_at(chain)
    txid = display(chain.at(103).txs[1].txid())
    raises_rpc(-5, lambda: node.rpc.getbump(ZERO), "Transaction not yet in block")
    raises_rpc(-5, lambda: node.rpc.getbump(txid, ZERO), "Block not found")
    raises_rpc(-5, lambda: node.rpc.getbump(txid, chain.at(102).hash_hex),
               "Transaction(s) not found in provided block")
    raises_rpc(-8, lambda: node.rpc.getbump("12"), "length 64")
    raises_rpc(-1, node.rpc.getbump, "getbump")
    node.rpc.invalidateblock(chain.at(103).hash_hex)
    raises_rpc(-5, lambda: node.rpc.getbump(txid, chain.at(103).hash_hex),
               "Block not found in chain")


@case()
def a_transaction_in_a_block_comes_with_its_proof(t):
    chain = family(6)
    node = t.node_at(chain)
    txid = chain.at(103).txs[3].txid()
    for shape, version in ((("v1",), 1), (("v2",), 2), (("atomic",), 1), ((), 1)):
        beef = beef_of(node, txid, *shape)
        equal(beef.version, version)
        equal(beef.subject, txid if shape == ("atomic",) else None)
        equal([(i, bump) for i, _, bump in beef.txs], [(txid, 0)])
        equal(beef.bumps, [bump_of(node, txid)])


@case()
def a_transaction_of_the_mempool_comes_with_its_ancestors(t):
    """Two parents in one block, one in another, and one that is a parent of one of these."""
    chain = family(6)
    node = t.node_at(chain)
    fan, moved = chain.at(102).txs[1], chain.at(103).txs
    other = chain.at(2).txs[0]
    first = send(node, move(moved[1], 2 * COIN - FEE, moved[2]))
    second = send(node, move(first, 52 * COIN - 2 * FEE, other))
    last = send(node, move(second, 52 * COIN - 3 * FEE))
    for shape, version in (("v1", 1), ("v2", 2), ("atomic", 1)):
        beef = beef_of(node, last.txid(), shape)
        equal((beef.version, beef.subject), (version, last.txid() if shape == "atomic" else None))
        equal([i for i, _, bump in beef.txs if bump is None],
              [tx.txid() for tx in (first, second, last)])
        equal({i for i, _, bump in beef.txs if bump is not None},
              {moved[1].txid(), moved[2].txid(), other.txid()})
        equal([height for height, _ in beef.bumps], [2, 103], "one proof for each block")
        equal([levels[0][1] for _, levels in beef.bumps[1:]], [(moved[1].txid(), True)])
    # The fan-out's outputs are all spent in block 103, but it is nobody's parent here.
    check(fan.txid() not in [i for i, _, _ in beef.txs], "no more than is needed")
    raises_rpc(-5, lambda: node.rpc.getbump(display(last.txid())), "Transaction not yet in block")


@case()
def parents_in_blocks_stand_before_their_children(t):
    chain = Chain(start_time=int(time.time()) - 3000).grow(101)
    grand = Tx([TxIn(chain.at(1).txs[0].txid(), 0)], [TxOut(COIN, ANYONE)] * 2)
    parent = Tx([TxIn(grand.txid(), 0)], [TxOut(COIN - FEE, ANYONE)])
    chain.add(grand)
    chain.add(parent)
    node = t.node_at(chain)
    child = send(node, Tx([TxIn(parent.txid(), 0), TxIn(grand.txid(), 1)],
                          [TxOut(2 * COIN - 2 * FEE, ANYONE)]))
    beef = beef_of(node, child.txid(), "atomic")
    equal([i for i, _, _ in beef.txs], [grand.txid(), parent.txid(), child.txid()])
    equal([height for height, _ in beef.bumps], [102, 103])


@case()
def signed_transactions_keep_their_bytes(t):
    key = Key(7)
    chain = Chain(start_time=int(time.time()) - 3000)
    chain.grow(101, script=key.script)
    node = t.node_at(chain)
    parent = chain.at(1).txs[0]
    tx = send(node, spend(key, parent.txid(), 0, 50 * COIN, [TxOut(50 * COIN - FEE, key.script)]))
    raw = bytes.fromhex(node.rpc.getbeef(display(tx.txid())))
    check(raw.endswith(tx.serialize() + b"\x00"), "the subject is the last one")
    r = Reader(raw[raw.index(parent.serialize()):])
    equal(take_tx(r)[0], parent.serialize())


@case()
def what_the_mempool_had_has_a_proof_when_it_is_mined(t):
    chain = family(3)
    node = t.node_at(chain)
    tx = send(node, move(chain.at(103).txs[1], COIN - FEE))
    equal(len(beef_of(node, tx.txid()).txs), 2)
    block = Chain(parent=chain, height=103).add(tx)
    equal(node.rpc.submitblock(block.serialize().hex()), None)
    equal([(i, bump) for i, _, bump in beef_of(node, tx.txid()).txs], [(tx.txid(), 0)])
    equal(bump_root(bump_of(node, tx.txid())[1], tx.txid()), block.header.root)
    node.rpc.invalidateblock(block.hash_hex)
    t.wait(lambda: node.rpc.getblockcount() == 103)
    equal([bump for _, _, bump in beef_of(node, tx.txid()).txs], [0, None], "back in the mempool")


@case()
def bad_requests_for_beefs_are_refused(t):
    node = t.node_at(family(3))
    txid = node.rpc.getblock(node.tip())["tx"][1]
    raises_rpc(-5, lambda: node.rpc.getbeef(ZERO), "No such mempool transaction")
    raises_rpc(-8, lambda: node.rpc.getbeef(txid, "v3"), "format is 'v3'")
    raises_rpc(-1, lambda: node.rpc.getbeef(txid, 1), "not a string")
    raises_rpc(-8, lambda: node.rpc.getbeef("12"), "length 64")
    raises_rpc(-1, node.rpc.getbeef, "getbeef")
    equal(node.rpc.getbeef(txid=txid, format="v2"), node.rpc.getbeef(txid, "v2"))


@case(timeout=90)
def the_number_of_ancestors_has_a_limit(t):
    """999 transactions in the mempool on one in a block are 1000; one more is refused."""
    chain = family(2)
    node = t.node_at(chain)
    last, txs = chain.at(103).txs[1], []
    for i in range(1000):
        last = move(last, COIN - 10 * (i + 1))
        txs.append(last)
    rows = [{"hex": tx.serialize().hex(), "dontcheckfee": True} for tx in txs]
    equal(node.rpc.sendrawtransactions(rows), {})
    beef = Beef(bytes.fromhex(node.rpc.getbeef(display(txs[998].txid()))))
    equal(len(beef.txs), 1000)
    beef.check({103: chain.at(103).header.root})
    raises_rpc(-1, lambda: node.rpc.getbeef(display(txs[999].txid())),
               "more than 1000 transactions")


if __name__ == "__main__":
    main()

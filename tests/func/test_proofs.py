"""Proofs that transactions are in blocks: gettxoutproof, getmerkleproof and their verification
(spec rpc 2, 3; attacks A4)."""
import copy
import random
import time

from framework import case, check, equal, main, raises_rpc
from blocks import Chain, TxOut, coinbase, compact, display, from_display
from p2p import ChainServer
from proofs import ZERO, branch, family, fold, ids_of, parse_merkleblock, rows

def shown(nodes):
    return ["*" if node is None else display(node) for node in nodes]


@case()
def partial_trees_hold_and_are_verified(t):
    chain = family(13)
    node = t.node_at(chain)
    block = chain.at(103)
    ids = ids_of(block)
    for wanted in ([ids[0]], [ids[12]], [ids[3], ids[7]], ids):
        hex_ids = [display(i) for i in wanted]
        proof = node.rpc.gettxoutproof(hex_ids)
        equal(node.rpc.gettxoutproof(hex_ids, block.hash_hex), proof, "with the block named")
        header, total, matched, root = parse_merkleblock(bytes.fromhex(proof))
        equal((header.hash(), total), (block.hash(), 13))
        equal(root, rows(ids)[-1][0], "root")
        equal(matched, [i for i in ids if i in wanted], "in block order")
        equal(node.rpc.verifytxoutproof(proof), [display(i) for i in matched])


@case()
def a_spent_transaction_is_found_with_the_index_or_the_block(t):
    """The one of the block before has no unspent output left."""
    chain = family(4)
    fan = display(chain.at(102).txs[1].txid())
    plain, indexed = t.node_at(chain), t.node_at(chain, "-txindex")
    indexed.restart()
    want = plain.rpc.gettxoutproof([fan], chain.at(102).hash_hex)
    equal(indexed.rpc.gettxoutproof([fan]), want)
    text = "Transaction not yet in block or -txindex is not enabled"
    raises_rpc(-5, lambda: plain.rpc.gettxoutproof([fan]), text)
    raises_rpc(-5, lambda: plain.rpc.getmerkleproof(fan), text)
    raises_rpc(-5, lambda: plain.rpc.getmerkleproof2("", fan), text)
    raises_rpc(-5, lambda: indexed.rpc.gettxoutproof([ZERO]), text)
    equal(indexed.rpc.getmerkleproof(fan), plain.rpc.getmerkleproof(fan, chain.at(102).hash_hex))
    other = display(chain.at(103).txs[1].txid())
    equal(plain.rpc.gettxoutproof([other]), indexed.rpc.gettxoutproof([other]))
    raises_rpc(-5, lambda: indexed.rpc.gettxoutproof([fan, other]),
               "Not all transactions found in specified or retrieved block")


@case()
def bad_requests_for_partial_trees_are_refused(t):
    chain = family(3)
    node = t.node_at(chain)
    txid, block = display(chain.at(103).txs[1].txid()), chain.at(103).hash_hex
    raises_rpc(-8, lambda: node.rpc.gettxoutproof([]), "cannot be empty")
    raises_rpc(-8, lambda: node.rpc.gettxoutproof([txid, txid]), "duplicated txid: " + txid)
    raises_rpc(-8, lambda: node.rpc.gettxoutproof([txid, "12"]), "Invalid txid 12")
    raises_rpc(-1, lambda: node.rpc.gettxoutproof([1]), "not a string")
    raises_rpc(-1, lambda: node.rpc.gettxoutproof(txid), "not an array")
    raises_rpc(-1, node.rpc.gettxoutproof, "gettxoutproof")
    raises_rpc(-5, lambda: node.rpc.gettxoutproof([txid], ZERO), "Block not found")
    raises_rpc(-5, lambda: node.rpc.gettxoutproof([txid], chain.at(102).hash_hex),
               "Transaction(s) not found in provided block")
    raises_rpc(-8, lambda: node.rpc.gettxoutproof([txid], "12"), "length 64")
    proof = node.rpc.gettxoutproof([txid], block)
    raises_rpc(-1, lambda: node.rpc.verifytxoutproof(proof[:-2]))
    raises_rpc(-1, lambda: node.rpc.verifytxoutproof(proof + "00"))
    raises_rpc(-1, lambda: node.rpc.verifytxoutproof(""))
    raises_rpc(-8, lambda: node.rpc.verifytxoutproof("zz"), "hexadecimal")


@case()
def a_proof_of_a_block_off_the_chain_is_an_error(t):
    chain = family(3)
    node = t.node_at(chain)
    txid, block = display(chain.at(103).txs[1].txid()), chain.at(103).hash_hex
    proof = node.rpc.gettxoutproof([txid])
    node.rpc.invalidateblock(block)
    raises_rpc(-5, lambda: node.rpc.verifytxoutproof(proof), "Block not found in chain")
    equal(node.rpc.gettxoutproof([txid], block), proof,
          "a block off the chain still has its proofs")
    node.rpc.reconsiderblock(block)
    equal(node.rpc.verifytxoutproof(proof), [txid])


@case()
def no_flipped_bit_of_a_partial_tree_proves_another_transaction(t):
    chain = family(11)
    node = t.node_at(chain)
    ids = ids_of(chain.at(103))
    proof = bytes.fromhex(node.rpc.gettxoutproof([display(ids[4]), display(ids[9])]))
    bits = random.Random(1).sample(range(80 * 8, len(proof) * 8), 150)
    calls = []
    for bit in bits:
        bad = bytearray(proof)
        bad[bit // 8] ^= 1 << bit % 8
        calls.append(("verifytxoutproof", [bad.hex()]))
    for reply in node.rpc.batch(calls):
        for txid in reply["result"] or []:
            check(from_display(txid) in ids, "only what is in the block")
            check(len(reply["result"]) != 2, "a flipped bit cannot leave the proof as it is")


@case()
def a_partial_tree_of_another_depth_proves_nothing(t):
    """Pairs of the block's tree passed off as transactions: the root is right (attacks A4)."""
    chain = family(8)
    node = t.node_at(chain)
    block = chain.at(103)
    pairs = rows(ids_of(block))[1]
    equal(rows(pairs)[-1][0], block.header.root)
    # four leaves, the first matched: flags 1 1 1 0 0
    forged = (block.header.serialize() + (4).to_bytes(4, "little") + compact(3)
              + pairs[0] + pairs[1] + rows(pairs)[1][1] + b"\x01\x07")
    equal(parse_merkleblock(forged)[2:], ([pairs[0]], block.header.root), "a tree of four leaves")
    equal(node.rpc.verifytxoutproof(forged.hex()), [])


@case()
def branches_lead_to_the_root(t):
    chain = family(13)
    node = t.node_at(chain)
    block = chain.at(103)
    ids = ids_of(block)
    header = node.rpc.getblockheader(block.hash_hex)
    for index, txid in enumerate(ids):
        want = branch(ids, index)
        equal(fold(txid, index, want), block.header.root)
        proof = node.rpc.getmerkleproof(display(txid))
        equal(list(proof), ["flags", "index", "txOrId", "target", "nodes"])
        equal((proof["flags"], proof["index"], proof["txOrId"]), (2, index, display(txid)))
        equal(proof["target"], header)
        equal(proof["nodes"], shown(want))
        equal(node.rpc.verifymerkleproof(proof), True)
        second = node.rpc.getmerkleproof2("", display(txid))
        equal(list(second), ["index", "txOrId", "target", "nodes"])
        equal((second["index"], second["txOrId"], second["target"], second["nodes"]),
              (index, display(txid), block.hash_hex, shown(want)))
    check("*" in node.rpc.getmerkleproof(display(ids[12]))["nodes"], "a copy is shown")


@case()
def branches_have_the_targets_and_forms_asked_for(t):
    chain = family(3)
    node = t.node_at(chain)
    block = chain.at(103)
    tx = block.txs[2]
    txid = display(tx.txid())
    whole = node.rpc.getmerkleproof2(block.hash_hex, txid, True, "header")
    equal(list(whole), ["index", "txOrId", "targetType", "target", "nodes"])
    equal((whole["txOrId"], whole["targetType"], whole["target"]),
          (tx.serialize().hex(), "header", block.header.serialize().hex()))
    root = node.rpc.getmerkleproof2(block.hash_hex, txid, False, "merkleroot", "json")
    equal((root["targetType"], root["target"]), ("merkleroot", display(block.header.root)))
    equal(node.rpc.getmerkleproof2(block.hash_hex, txid, False, "hash"),
          node.rpc.getmerkleproof2(blockhash=block.hash_hex, txid=txid))
    raises_rpc(-32602, lambda: node.rpc.getmerkleproof2("", txid, False, "height"),
               "targetType is 'height'")
    raises_rpc(-32602, lambda: node.rpc.getmerkleproof2("", txid, False, "hash", "binary"),
               "format is 'binary'")
    raises_rpc(-8, lambda: node.rpc.getmerkleproof2("12", txid), "blockhash")
    raises_rpc(-5, lambda: node.rpc.getmerkleproof2(ZERO, txid), "Block not found")
    raises_rpc(-5, lambda: node.rpc.getmerkleproof(txid, ZERO), "Block not found")
    raises_rpc(-5, lambda: node.rpc.getmerkleproof(txid, chain.at(102).hash_hex),
               "Transaction(s) not found in provided block")
    raises_rpc(-1, lambda: node.rpc.getmerkleproof2("", txid, "yes"), "not a boolean")
    raises_rpc(-1, node.rpc.getmerkleproof2, "getmerkleproof2")


@case()
def a_block_of_one_transaction_has_a_proof_without_nodes(t):
    chain = Chain(start_time=int(time.time()) - 3000).grow(2)
    node = t.node_at(chain)
    txid = display(chain.at(2).txs[0].txid())
    proof = node.rpc.getmerkleproof(txid)
    equal((proof["index"], proof["nodes"]), (0, []))
    equal(node.rpc.verifymerkleproof(proof), True)
    equal(node.rpc.verifytxoutproof(node.rpc.gettxoutproof([txid])), [txid])


def changed(proof, **members):
    other = copy.deepcopy(proof)
    other.update(members)
    return other


@case()
def wrong_branches_are_told_apart(t):
    chain = family(13)
    node = t.node_at(chain)
    ids = ids_of(chain.at(103))
    proof = node.rpc.getmerkleproof(display(ids[12]))
    nodes, verify = proof["nodes"], node.rpc.verifymerkleproof
    bare = changed(proof, target={"merkleroot": proof["target"]["merkleroot"]})
    equal((verify(proof), verify(bare)), (True, True), "the root alone is enough to find the block")
    for wrong in (changed(proof, index=11), changed(proof, index=12 + 16),
                  changed(proof, index=2**40), changed(proof, txOrId=display(ids[3])),
                  changed(proof, nodes=nodes[:-1]), changed(proof, nodes=nodes + ["*"]),
                  changed(proof, nodes=["*"] * 4), changed(proof, nodes=["*"] * 70),
                  changed(proof, nodes=[]), changed(proof, target={"merkleroot": ZERO}),
                  changed(proof, target=dict(proof["target"], hash=chain.at(102).hash_hex)),
                  changed(proof, target=dict(proof["target"], hash=ZERO))):
        equal(verify(wrong), False, str(wrong)[:200])


@case()
def a_root_that_comes_out_right_is_not_enough(t):
    """Attacks A4: an inner node in place of a transaction, a tree that is in no block."""
    chain = family(8)
    node = t.node_at(chain)
    block = chain.at(103)
    tree = rows(ids_of(block))
    proof = node.rpc.getmerkleproof(display(tree[0][5]))
    forged = changed(proof, txOrId=display(tree[1][2]), index=2, nodes=proof["nodes"][1:])
    equal(fold(tree[1][2], 2, [from_display(n) for n in forged["nodes"]]), block.header.root)
    equal(node.rpc.verifymerkleproof(forged), False, "an inner node")
    made_up = changed(proof, nodes=[], index=0, txOrId="12" * 32, target={"merkleroot": "12" * 32})
    equal(node.rpc.verifymerkleproof(made_up), False, "a root that no block has")
    # One level more: a leaf passed off as a node with two halves below it.
    deeper = changed(proof, txOrId="34" * 32, index=10, nodes=["56" * 32] + proof["nodes"])
    equal(node.rpc.verifymerkleproof(deeper), False)


@case()
def bad_branches_are_refused(t):
    node = t.node_at(family(3))
    proof = node.rpc.getmerkleproof(node.rpc.getblock(node.tip())["tx"][1])
    for text, members in (('"flags" must be a numeric value', {"flags": "2"}),
                          ('only supports "flags" with value 2', {"flags": 0}),
                          ('"index" must be a numeric value', {"index": None}),
                          ('"index" must be a positive value', {"index": -1}),
                          ("txOrId must be", {"txOrId": "12"}),
                          ('"target" must be a block header Json object', {"target": ZERO}),
                          ("merkleroot must be", {"target": {}}),
                          ("hash must be", {"target": dict(proof["target"], hash="1")}),
                          ('"nodes" must be a Json array', {"nodes": "*"}),
                          ('"node" must be a "hash" or "*"', {"nodes": [1]}),
                          ("node must be", {"nodes": ["**"]})):
        raises_rpc(-8, lambda m=members: node.rpc.verifymerkleproof(changed(proof, **m)), text)
    raises_rpc(-1, lambda: node.rpc.verifymerkleproof("x"), "not an object")
    raises_rpc(-1, node.rpc.verifymerkleproof, "verifymerkleproof")


@case()
def a_damaged_block_gives_no_proof(t):
    chain = family(3)
    node = t.node_at(chain)
    block = chain.at(103)
    txid = display(block.txs[1].txid())
    proof = node.rpc.getmerkleproof(txid)
    partial = node.rpc.gettxoutproof([txid])
    with open(node.file("blocks", "blk00000.dat"), "r+b") as file:
        file.seek(file.read().rindex(block.txs[1].serialize()))
        file.write(b"\xff" * 60)
    raises_rpc(-20, lambda: node.rpc.getmerkleproof(txid))
    raises_rpc(-20, lambda: node.rpc.gettxoutproof([txid], block.hash_hex))
    equal(node.rpc.verifymerkleproof(proof), True, "verification needs no block")
    equal(node.rpc.verifytxoutproof(partial), [txid])


@case(timeout=90)
def a_pruned_block_gives_no_proof(t):
    node = t.node("-prune=1", "-preferredblockfilesize=1MiB")
    chain = Chain(start_time=int(time.time()) - 7200)
    for _ in range(1100):
        tx = coinbase(chain.height + 1)
        tx.outputs.append(TxOut(0, b"\x00\x6a\x4d\x00\x20" + bytes(0x2000)))
        chain.add(coinbase_tx=tx)
    ChainServer(t.peer(node, height=1100), chain, announce=True)
    t.wait(lambda: node.rpc.getblockcount() == 1100, 60, "1100 blocks of 8 kB")
    txid = display(chain.at(5).txs[0].txid())
    proof = node.rpc.getmerkleproof(txid)
    partial = node.rpc.gettxoutproof([txid])
    check(node.rpc.pruneblockchain(1100) >= 5, "block 5 is gone")
    text = f"Block file {chain.at(5).hash_hex} not available."
    raises_rpc(-1, lambda: node.rpc.getmerkleproof(txid), text)
    raises_rpc(-1, lambda: node.rpc.getmerkleproof2("", txid), text)
    raises_rpc(-1, lambda: node.rpc.gettxoutproof([txid]), text)
    equal(node.rpc.verifymerkleproof(proof), True)
    equal(node.rpc.verifytxoutproof(partial), [txid])


if __name__ == "__main__":
    main()

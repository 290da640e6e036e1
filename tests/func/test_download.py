"""Download from scripted peers: stalls, wrong blocks, mutated blocks, invalid chains, several peers
(spec p2p 8, attacks A2, A3, A7, C2, C4, C5)."""
import time

from framework import case, check, equal, main, wait_until
from blocks import ANYONE, Block, Chain, Tx, TxIn, TxOut, coinbase, display, merkle_root
from p2p import (ChainServer, MSG_BLOCK, Peer, headers_payload, inventory, parse_inventory,
                 parse_reject)


def fresh_chain(n, **options):
    return Chain(start_time=int(time.time()) - 3 * n - 600).grow(n, **options)


def serve(t, node, chain, **options):
    """A peer with this chain, whose headers the node has been told of."""
    return ChainServer(t.peer(node, height=chain.height), chain, announce=True, **options)


@case()
def blocks_of_a_scripted_peer_are_connected(t):
    node = t.node()
    chain = fresh_chain(120)
    serve(t, node, chain)
    t.wait(lambda: node.tip() == chain.tip_hex, 30, "tip")


@case()
def announcement_by_inventory_is_followed(t):
    node = t.node()
    chain = fresh_chain(3)
    server = ChainServer(t.peer(node), chain)
    server.peer.send("inv", inventory((MSG_BLOCK, chain.tip)))
    t.wait(lambda: node.tip() == chain.tip_hex, 20, "tip")


@case(timeout=90)
def silent_peer_does_not_stop_the_download(t):
    node = t.node("-blockstallingtimeout=2", "-blockdownloadslowfetchtimeout=2")
    chain = fresh_chain(60)
    stalling = serve(t, node, chain, hold=lambda _hash: True)
    t.wait(lambda: stalling.asked, 20, "requests to the silent peer")
    serve(t, node, chain)
    t.wait(lambda: node.tip() == chain.tip_hex, 45, "tip by way of the other peer")


@case(timeout=90)
def a_block_that_two_peers_hold_back_comes_from_the_third(t):
    node = t.node("-blockdownloadslowfetchtimeout=2")
    chain = fresh_chain(20)
    held = chain.hash_at(10)
    for _ in range(2):
        serve(t, node, chain, hold=lambda h: h == held)
    serve(t, node, chain)
    t.wait(lambda: node.tip() == chain.tip_hex, 60, "tip")


@case()
def several_peers_share_the_download(t):
    node = t.node()
    chain = fresh_chain(200)
    servers = [serve(t, node, chain) for _ in range(3)]
    t.wait(lambda: node.tip() == chain.tip_hex, 30, "tip")
    asked = sum(len(s.asked) for s in servers)
    check(200 <= asked <= 260, f"{asked} requests for 200 blocks")


@case()
def a_mutated_copy_does_not_condemn_the_block(t):
    """Attack A3: a duplicated tail gives the same root."""
    node = t.node()
    chain = fresh_chain(102)
    base = chain.at(1).txs[0]
    a = Tx([TxIn(base.txid(), 0)], [TxOut(10**8, ANYONE)])
    b = Tx([TxIn(a.txid(), 0)], [TxOut(10**8, ANYONE)])
    honest = chain.add(a, b)  # three transactions: the third pairs with itself
    equal(merkle_root([x.txid() for x in honest.txs]),
          merkle_root([x.txid() for x in honest.txs + [b]]), "same root")
    mutated = Block(honest.header, honest.txs + [b])
    attacker = serve(t, node, chain, change=lambda block:
                     (mutated if block is honest else block).serialize())
    t.wait(lambda: node.rpc.getblockcount() == 102, 30, "blocks before it")
    t.wait(lambda: honest.hash() in attacker.asked, 10, "request")
    t.wait(lambda: attacker.ended, 10, "the sender is punished")
    serve(t, node, chain)
    t.wait(lambda: node.tip() == honest.hash_hex, 20, "the honest copy connects")


@case()
def a_block_that_does_not_fit_its_header_is_asked_from_another(t):
    node = t.node()
    chain = fresh_chain(10)
    wrong = fresh_chain(10, extra=b"x").at(5)
    attacker = serve(t, node, chain, change=lambda block:
                     block.header.serialize() + wrong.serialize()[80:])
    t.wait(lambda: attacker.ended, 15, "the sender is punished")
    serve(t, node, chain)
    t.wait(lambda: node.tip() == chain.tip_hex, 20, "tip")


def invalid_block_case(t, spoil, reason, punished=True):
    """The chain up to 102 connects; block 103, made by spoil, is refused with the reason."""
    node = t.node()
    chain = fresh_chain(102)
    bad = spoil(chain)
    peer = serve(t, node, chain)
    t.wait(lambda: node.rpc.getblockcount() == 102, 30, "blocks before it")
    t.wait(lambda: bad.hash_hex in [r["hash"] for r in node.rpc.getchaintips()
                                    if r["status"] == "invalid"], 10, "verdict")
    t.wait(lambda: peer.peer.count("reject"), 10, "the sender is told")
    if punished:
        t.wait(lambda: peer.ended, 10, "the sender is disconnected")
    rejects = [parse_reject(p) for c, p in peer.peer.seen if c == "reject"]
    equal([r["reason"] for r in rejects if r["command"] == "block"], [reason])
    equal(rejects[-1]["hash"], bad.hash_hex)
    before = node.utxo_hash()
    equal({r["hash"]: r["status"] for r in node.rpc.getchaintips()}[bad.hash_hex], "invalid")
    equal(peer.ended, punished, "it is, or it is not")
    node.restart()
    equal(node.rpc.getblockcount(), 102)
    equal(node.utxo_hash(), before)


@case()
def block_that_spends_the_same_output_twice_is_invalid(t):
    def spoil(chain):
        coin = chain.at(1).txs[0].txid()
        return chain.add(Tx([TxIn(coin, 0)], [TxOut(1, ANYONE)]),
                         Tx([TxIn(coin, 0)], [TxOut(2, ANYONE)]))
    invalid_block_case(t, spoil, "bad-txns-inputs-missingorspent")


@case()
def transaction_with_the_same_input_twice_is_invalid(t):
    def spoil(chain):
        coin = chain.at(1).txs[0].txid()
        return chain.add(Tx([TxIn(coin, 0), TxIn(coin, 0)], [TxOut(1, ANYONE)]))
    invalid_block_case(t, spoil, "bad-txns-inputs-duplicate")


@case()
def coinbase_that_pays_too_much_is_invalid(t):
    def spoil(chain):
        return chain.add(coinbase_tx=coinbase(103, value=50 * 10**8 + 1))
    invalid_block_case(t, spoil, "bad-cb-amount")


@case()
def false_script_is_invalid(t):
    def spoil(chain):
        coin = chain.at(1).txs[0].txid()
        first = Tx([TxIn(coin, 0)], [TxOut(5, b"\x00")])
        return chain.add(first, Tx([TxIn(first.txid(), 0)], [TxOut(5, ANYONE)]))
    invalid_block_case(t, spoil, "blk-bad-inputs")


@case()
def premature_spend_of_a_coinbase_is_invalid(t):
    def spoil(chain):
        coin = chain.at(4).txs[0].txid()
        return chain.add(Tx([TxIn(coin, 0)], [TxOut(1, ANYONE)]))
    invalid_block_case(t, spoil, "bad-txns-premature-spend-of-coinbase", punished=False)


@case()
def a_peer_that_announced_an_invalid_block_is_asked_for_the_next_one(t):
    """Honest peers announce before they validate; what follows may have the same height."""
    node = t.node()
    chain = fresh_chain(3)
    bad, good = chain.fork(3), chain.fork(3)
    bad.add(coinbase_tx=coinbase(4, value=50 * 10**8 + 1))
    good.grow(1, extra=b"g")
    serve(t, node, chain)
    t.wait(lambda: node.rpc.getblockcount() == 3, 30, "blocks before it")
    sender, honest = t.peer(node), t.peer(node)
    for peer in sender, honest:
        peer.send("headers", headers_payload([bad.at(4).header]))
        peer.ping()
    sender.send("block", bad.at(4).serialize())
    t.wait(lambda: "invalid" in [r["status"] for r in node.rpc.getchaintips()], 10, "verdict")
    honest.send("headers", headers_payload([good.at(4).header]))
    honest.wait_for("getdata", match=lambda p: good.tip in p)
    honest.send("block", good.at(4).serialize())
    t.wait(lambda: node.tip() == good.tip_hex, 10, "tip")


@case()
def withheld_parent_data_is_no_verdict(t):
    """Attack A7: the block above a missing one connects as soon as the gap is filled."""
    node = t.node()
    chain = fresh_chain(12)
    gap = chain.hash_at(6)
    first = serve(t, node, chain, hold=lambda h: h == gap)
    t.wait(lambda: node.rpc.getblockcount() == 5, 20, "blocks below the gap")
    time.sleep(0.5)
    equal({r["hash"]: r["status"] for r in node.rpc.getchaintips()}[chain.tip_hex] in
          ("headers-only", "valid-headers"), True)
    first.peer.close()
    node.restart()
    serve(t, node, chain)
    t.wait(lambda: node.tip() == chain.tip_hex, 20, "tip")


@case()
def unsolicited_block_is_taken_when_it_is_a_new_tip(t):
    node = t.node()
    chain = fresh_chain(2)
    peer = t.peer(node)
    peer.send("block", chain.at(1).serialize())
    t.wait(lambda: node.tip() == chain.at(1).hash_hex, 10, "block 1")
    stale = fresh_chain(1, extra=b"stale").at(1)
    peer.send("block", stale.serialize())
    peer.ping()
    equal(node.tip(), chain.at(1).hash_hex)
    equal(peer.score(node), 0)


@case()
def more_work_wins_when_branches_arrive_from_two_peers(t):
    node = t.node()
    base = fresh_chain(5)
    short, long = base.fork(5).grow(3, extra=b"s"), base.fork(5).grow(4, extra=b"l")
    serve(t, node, short)
    t.wait(lambda: node.tip() == short.tip_hex, 20, "first branch")
    serve(t, node, long)
    t.wait(lambda: node.tip() == long.tip_hex, 20, "second branch")


if __name__ == "__main__":
    main()

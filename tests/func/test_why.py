"""`why` answers from what was recorded, and the ledger of memory adds up."""
import time

from blocks import ANYONE, Chain, Tx, TxIn, TxOut, display, subsidy
from framework import case, check, equal, is_in, main, raises_rpc

START = int(time.time()) - 3600


def node_with_coins(t, *options, blocks=110):
    chain = Chain(start_time=START).grow(blocks)
    node = t.node("-genesisactivationheight=1", *options)
    for block in chain.blocks:
        equal(node.rpc.submitblock(block.serialize().hex()), None)
    return node, chain


def spend(chain, height, fee=1000, outputs=1):
    value = subsidy(height) - fee
    return Tx([TxIn(chain.at(height).txs[0].txid(), 0)],
              [TxOut(value // outputs, ANYONE) for _ in range(outputs)])


def send(node, tx):
    return node.rpc.sendrawtransaction(tx.serialize().hex(), True)


@case()
def a_refused_transaction_keeps_its_reason(t):
    node, chain = node_with_coins(t)
    first, rival = spend(chain, 1), spend(chain, 1, fee=5000)
    send(node, first)
    raises_rpc(-26, lambda: send(node, rival))
    why = node.rpc.why(display(rival.txid()))
    is_in("txn-mempool-conflict", why["answer"])
    is_in(display(first.txid()), why["answer"])
    equal(why["recorded"][0]["cause"].startswith("from RPC: refused"), True)
    is_in("it pays enough and waits for a block", node.rpc.why(display(first.txid()))["answer"])
    free = spend(chain, 2, fee=0)
    send(node, free)
    is_in("pays less than miners ask", node.rpc.why(display(free.txid()))["answer"])
    orphan = Tx([TxIn(bytes([9] * 32), 0)], [TxOut(1000, ANYONE)])
    raises_rpc(-25, lambda: send(node, orphan))
    is_in("an input is unknown or spent, of transaction " + "09" * 32,
          node.rpc.why(display(orphan.txid()))["answer"])
    held = spend(chain, 3)
    held.inputs[0].sequence, held.lock_time = 1, 5000
    send(node, held)
    is_in("not final", node.rpc.why(display(held.txid()))["answer"])
    chain.add(first)
    node.rpc.submitblock(chain.blocks[-1].serialize().hex())
    is_in("height 111", node.rpc.why(display(first.txid()))["answer"])


@case()
def a_block_tells_where_it_stands(t):
    node, chain = node_with_coins(t, blocks=5)
    is_in("active chain at height 3", node.rpc.why(chain.at(3).hash_hex)["answer"])
    fork = chain.fork(3)
    side = fork.add(step=7)
    node.rpc.submitblock(side.serialize().hex())
    is_in("less work", node.rpc.why(side.hash_hex)["answer"])
    thief = Tx([TxIn(chain.at(5).txs[0].txid(), 0)], [TxOut(1, ANYONE)])
    bad = chain.fork(5)
    bad.add(thief)
    equal(node.rpc.submitblock(bad.blocks[0].serialize().hex()),
          "bad-txns-premature-spend-of-coinbase")
    is_in("invalid at height 6: bad-txns-premature-spend-of-coinbase",
          node.rpc.why(bad.tip_hex)["answer"])
    ahead = chain.fork(5)
    ahead.add(step=11)
    node.rpc.submitheader(ahead.blocks[0].header.serialize().hex())
    is_in("the block has not come yet", node.rpc.why(ahead.tip_hex)["answer"])


@case()
def a_peer_tells_why_it_left(t):
    node, _chain = node_with_coins(t, blocks=3)
    peer = t.peer(node)
    number = node.rpc.getpeerinfo()[0]["id"]
    is_in("is connected", node.rpc.why(str(number))["answer"])
    peer.send("filterload", b"\x00" * 10)
    t.wait(lambda: node.rpc.getconnectioncount() == 0)
    why = node.rpc.why(str(number))
    is_in("bloom filter without the service", why["answer"])
    check(any("score 100" in c["cause"] for c in why["recorded"]), why)
    is_in("bloom filter", node.rpc.why("::1")["answer"])


@case()
def sync_and_memory_and_nonsense(t):
    node, _chain = node_with_coins(t, blocks=3)
    is_in("is the best known block", node.rpc.why("sync")["answer"])
    is_in("No peer is connected", node.rpc.why("sync")["answer"])
    is_in("MiB resident", node.rpc.why("memory")["answer"])
    for subject in ("nothing", "77" * 32, "12345", ""):
        raises_rpc(-5, lambda: node.rpc.why(subject), "Nothing is known")
    is_in("best known block", node.cli("why", "sync")[1])


def assert_adds_up(node, what, within):
    memory = node.rpc.getmemoryinfo()
    equal(sum(memory["ledger"].values()), memory["total"])
    ratio = memory["total"] / memory["resident"]
    check(abs(ratio - 1) <= within, "%s: %.3f, %r" % (what, ratio, memory))
    return memory


@case(timeout=120)
def the_ledger_adds_up_to_the_resident_size(t):
    node, chain = node_with_coins(t)
    memory = assert_adds_up(node, "idle", 0.05)
    check(memory["ledger"]["other"] < memory["resident"] / 5, memory)
    fan = spend(chain, 1, outputs=4000)
    send(node, fan)
    batch = []
    fan_id, data = fan.txid(), b"\x00\x6a\x4d\xd0\x07" + bytes(2000)
    for i in range(4000):
        tx = Tx([TxIn(fan_id, i)], [TxOut(1000, ANYONE), TxOut(0, data)])
        batch.append({"hex": tx.serialize().hex(), "allowhighfees": True})
    for at in range(0, len(batch), 500):
        equal(node.rpc.sendrawtransactions(batch[at:at + 500]), {})
    memory = assert_adds_up(node, "a mempool of 8 MB", 0.1)
    check(memory["ledger"]["mempool"] > 8 * 10**6, memory)
    check(memory["ledger"]["other"] < memory["resident"] / 3, memory)


if __name__ == "__main__":
    main()

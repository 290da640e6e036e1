"""What waits for a block, through RPC: who pays for whom, relatives, changed fees, limits."""
import random
import time

from blocks import Tx, TxIn, TxOut, ANYONE
from framework import RpcError, case, check, equal, main, raises_rpc, wait_until
from txs import coin, hex_of, id_of, mine, move, node_with_coins, output, pool, send

NOBODY = "11" * 32


def wide(from_coin, outputs, fee):
    """One input, equal outputs."""
    txid, index, value = from_coin
    each = (value - fee) // outputs
    return Tx([TxIn(txid, index, b"", 0xffffffff)], [TxOut(each, ANYONE)] * outputs)


def join(coins, fee):
    """Several inputs, one output."""
    return Tx([TxIn(txid, index, b"", 0xffffffff) for txid, index, _ in coins],
              [TxOut(sum(value for _, _, value in coins) - fee, ANYONE)])


def info(node):
    return node.rpc.getmempoolinfo()


def size_of(tx):
    return len(tx.serialize())


@case()
def an_empty_pool_and_its_limits(t):
    node, _ = node_with_coins(t, "-maxmempool=200", "-mempoolmaxpercentcpfp=20")
    state = info(node)
    equal(list(state), ["size", "journalsize", "nonfinalsize", "bytes", "usage", "usagedisk",
                        "usagecpfp", "nonfinalusage", "maxmempool", "maxmempoolsizedisk",
                        "maxmempoolsizecpfp", "mempoolminfee"])
    equal(state["maxmempool"], 200000000)
    equal(state["maxmempoolsizecpfp"], 40000000)
    equal(state["mempoolminfee"], 0)
    equal(sum(state[key] for key in ("size", "journalsize", "nonfinalsize", "bytes", "usage",
                                     "usagedisk", "usagecpfp", "nonfinalusage")), 0)
    equal(node.rpc.getrawmempool(), [])
    equal(node.rpc.getrawmempool(True), {})
    equal(node.rpc.getrawnonfinalmempool(), [])


@case()
def entries_show_what_they_pay_and_depend_on(t):
    node, chain = node_with_coins(t)
    parent = wide(coin(chain, 1), 2, 1000)
    left, right = move(output(parent, 0), fee=500), move(output(parent, 1), fee=700)
    child = join([output(left), output(right)], 900)
    order = [parent, left, right, child]
    for tx in order:
        send(node, tx)
    equal(node.rpc.getrawmempool(), [id_of(tx) for tx in order])
    every = node.rpc.getrawmempool(True)
    equal(list(every), [id_of(tx) for tx in order])
    entry = node.rpc.getmempoolentry(id_of(child))
    equal(entry, every[id_of(child)])
    equal(list(entry), ["size", "fee", "modifiedfee", "time", "height", "depends"])
    equal(entry["size"], size_of(child))
    equal(str(entry["fee"]), "0.00000900")
    equal(str(entry["modifiedfee"]), "0.00000900")
    equal(entry["height"], node.rpc.getblockcount())
    check(abs(entry["time"] - time.time()) < 60, "time of acceptance")
    equal(sorted(entry["depends"]), sorted([id_of(left), id_of(right)]))
    equal(every[id_of(parent)]["depends"], [])
    equal(info(node)["size"], 4)
    equal(info(node)["bytes"], sum(size_of(tx) for tx in order))


@case()
def relatives_are_listed_without_the_transaction_itself(t):
    node, chain = node_with_coins(t)
    parent = wide(coin(chain, 1), 2, 1000)
    left, right = move(output(parent, 0)), move(output(parent, 1))
    child = join([output(left), output(right)], 1000)
    for tx in (parent, left, right, child):
        send(node, tx)
    rpc = node.rpc
    equal(rpc.getmempoolancestors(id_of(child)), [id_of(parent), id_of(left), id_of(right)])
    equal(rpc.getmempoolancestors(id_of(parent)), [])
    equal(rpc.getmempooldescendants(id_of(parent)), [id_of(left), id_of(right), id_of(child)])
    equal(rpc.getmempooldescendants(id_of(left)), [id_of(child)])
    verbose = rpc.getmempooldescendants(id_of(parent), True)
    equal(verbose[id_of(left)]["depends"], [id_of(parent)])
    for method in (rpc.getmempoolentry, rpc.getmempoolancestors, rpc.getmempooldescendants):
        raises_rpc(-5, lambda method=method: method(NOBODY), "Transaction not in mempool")
        raises_rpc(-8, lambda method=method: method("12"))


@case()
def behaviour_79_a_free_parent_waits_for_a_child_that_pays_for_both(t):
    node, chain = node_with_coins(t, "-minminingtxfee=0.00000500")
    parent = wide(coin(chain, 1), 2, 0)
    send(node, parent)
    state = info(node)
    equal((state["size"], state["journalsize"]), (1, 0))
    equal(state["usagecpfp"], state["usage"])
    need = (size_of(parent) + size_of(move(output(parent)))) * 500 // 1000
    poor = move(output(parent, 0), fee=need - 1)
    send(node, poor)
    equal(info(node)["journalsize"], 0)
    send(node, move(output(parent, 1), fee=need))
    state = info(node)
    # The poor one had to pay for its parent, which is paid for now.
    equal((state["size"], state["journalsize"]), (3, 3))
    equal(state["usagecpfp"], 0)


@case()
def behaviour_80_a_chain_that_does_not_pay_has_25_links(t):
    node, chain = node_with_coins(t)
    tx = move(coin(chain, 1), fee=0)
    send(node, tx)
    for _ in range(24):
        tx = move(output(tx), fee=0)
        send(node, tx)
    last = move(output(tx), fee=0)
    raises_rpc(-26, lambda: node.rpc.sendrawtransaction(hex_of(last)),
               "64: too-long-mempool-chain")
    equal(info(node)["size"], 25)


@case()
def limits_of_chains_and_groups_are_options(t):
    node, chain = node_with_coins(t, "-limitancestorcount=4", "-limitcpfpgroupmemberscount=2")
    for height, fee, links in ((1, 1000, 4), (2, 0, 2)):
        tx = move(coin(chain, height), fee=fee)
        send(node, tx)
        for _ in range(links - 1):
            tx = move(output(tx), fee=fee)
            send(node, tx)
        last = move(output(tx), fee=fee)
        raises_rpc(-26, lambda: node.rpc.sendrawtransaction(hex_of(last)),
                   "too-long-mempool-chain")


@case()
def a_changed_fee_decides_in_which_pool_a_transaction_is(t):
    node, chain = node_with_coins(t)
    rpc = node.rpc
    free, child = move(coin(chain, 1), fee=0), None
    send(node, free)
    child = move(output(free), fee=1)
    send(node, child)
    equal(info(node)["journalsize"], 0)
    equal(rpc.prioritisetransaction(id_of(free), 0, 5000), True)
    equal(info(node)["journalsize"], 1)
    entry = rpc.getmempoolentry(id_of(free))
    equal((entry["fee"], str(entry["modifiedfee"])), (0, "0.00005000"))
    rpc.prioritisetransaction(id_of(child), 0, 5000)
    equal(info(node)["journalsize"], 2)
    rpc.prioritisetransaction(id_of(free), 0, -5000)
    equal(info(node)["journalsize"], 2)  # the child pays for both now
    rpc.prioritisetransaction(id_of(child), 0, -5000)
    equal(info(node)["journalsize"], 0)
    # A change waits for its transaction.
    later = move(coin(chain, 2), fee=0)
    equal(rpc.prioritisetransaction(id_of(later), 0, 3000), True)
    send(node, later)
    equal(info(node)["journalsize"], 1)
    equal(str(rpc.getmempoolentry(id_of(later))["modifiedfee"]), "0.00003000")
    raises_rpc(-8, lambda: rpc.prioritisetransaction("xyz", 0, 1))


@case(timeout=120)
def a_full_pool_keeps_what_pays_most_and_asks_for_more(t):
    node, chain = node_with_coins(t, "-maxmempool=1", "-maxtxfee=10", "-datacarriersize=1000000",
                                  "-acceptnonstdtxn=1")
    rpc = node.rpc
    kept, gone = [], []
    payload = b"\x00\x6a\x4e" + (150000).to_bytes(4, "little") + b"\x07" * 150000
    for height in range(1, 10):
        txid, index, value = coin(chain, height)
        fee = 100000 * height
        tx = Tx([TxIn(txid, index, b"", 0xffffffff)],
                [TxOut(value - fee, ANYONE), TxOut(0, payload)])
        rpc.sendrawtransaction(hex_of(tx))
        (kept if height > 3 else gone).append(id_of(tx))
    state = info(node)
    check(state["usage"] <= state["maxmempool"] == 1000000, "memory: %r" % state)
    equal(pool(node), set(kept))
    floor = int(state["mempoolminfee"] * 100000000)
    check(floor > 2000, "the minimum has risen: %d" % floor)
    cheap = move(coin(chain, 10), fee=10)
    raises_rpc(-26, lambda: rpc.sendrawtransaction(hex_of(cheap)), "66: mempool min fee not met")
    # It falls after a block.
    mine(node, chain)
    wait_until(lambda: info(node)["mempoolminfee"] * 100000000 < floor, 30,
               "the minimum falls after a block")


@case()
def transactions_that_wait_for_their_time_are_listed(t):
    node, chain = node_with_coins(t, "-maxmempoolnonfinal=1")
    early = move(coin(chain, 1), sequence=1, lock_time=node.rpc.getblockcount() + 50)
    send(node, early)
    equal(node.rpc.getrawnonfinalmempool(), [id_of(early)])
    equal(pool(node), set())
    state = info(node)
    equal(state["nonfinalsize"], 1)
    check(state["nonfinalusage"] > size_of(early), "its memory counts")
    last = move(coin(chain, 1), fee=2000)
    send(node, last)
    equal(node.rpc.getrawnonfinalmempool(), [])
    equal(pool(node), {id_of(last)})


def shape(node):
    """What must be alike on all nodes with the same history and clock."""
    state = info(node)
    entries = node.rpc.getrawmempool(True)
    for entry in entries.values():
        entry["depends"].sort()
    return ({key: state[key] for key in ("size", "journalsize", "bytes", "usage", "usagecpfp",
                                         "nonfinalsize", "mempoolminfee")}, entries)


@case(timeout=180)
def the_same_log_gives_the_same_pool(t):
    """Attack B10: caches, threads and hash keys differ, transactions and blocks do not."""
    dice = random.Random(20)
    first, chain = node_with_coins(t, "-maxmempool=1", "-dbcache=4", "-par=1")
    others = [t.node("-genesisactivationheight=1", "-maxmempool=1", *options)
              for options in (("-dbcache=64", "-par=4", "-txindex"), ("-memory=256MiB", "-par=2"))]
    nodes = [first] + others
    for node in others:
        for block in chain.blocks:
            equal(node.rpc.submitblock(block.serialize().hex()), None)
    clock = int(time.time())
    outputs = [coin(chain, height) for height in range(1, 11)]
    unmined = []
    for step in range(400):
        source = outputs.pop(dice.randrange(len(outputs)))
        tx = wide(source, dice.choice((1, 2, 2, 3)),
                  dice.choice((0, 300, 800, 1500, 3000, 9000, 50000)))
        tx.outputs.append(TxOut(0, b"\x00\x6a\x4d\x58\x1b" + bytes(7000)))
        answers = []
        for node in nodes:
            node.rpc.setmocktime(clock + 60 * step)
            try:
                answers.append(node.rpc.sendrawtransaction(hex_of(tx)))
            except RpcError as error:
                answers.append(str(error))
        equal(answers[1:], answers[:1] * 2, "step %d" % step)
        if answers[0] == id_of(tx):
            outputs += [output(tx, n) for n in range(len(tx.outputs) - 1)]
            unmined.append(tx)
        else:
            outputs.append(source)
        if step % 200 == 199:
            there = pool(first)
            unmined = [tx for tx in unmined if id_of(tx) in there]
            block = chain.add(*unmined[:len(unmined) // 2])
            unmined = unmined[len(unmined) // 2:]
            for node in nodes:
                equal(node.rpc.submitblock(block.serialize().hex()), None)
        if step % 50 == 49:
            equal(shape(nodes[1]), shape(first), "step %d" % step)
            equal(shape(nodes[2]), shape(first), "step %d" % step)
    state = info(first)
    check(state["size"] > 20 and state["mempoolminfee"] * 10**8 > 100,
          "more than the mining fee is asked: %r" % state)


if __name__ == "__main__":
    main()

"""Floods of transactions cost their senders, never the tip (attacks B, J): while they last, blocks
keep connecting within two seconds."""
import threading
import time

from blocks import ANYONE, Tx, TxIn, TxOut, push
from framework import LONG, SCALE, case, check, equal, main, wait_until, within
from p2p import Closed, parse_reject
from txs import FEE, coin, fan_out, id_of, mine, move, node_with_coins, output, pool

BLOCK_LIMIT_S = 2.0
SECONDS = 60 if LONG else 5
HASHES = 3000  # of 200 kB each: a good part of a second


def connect_times(node, chain, seconds):
    """Blocks one after the other for so long: how long each took to become the tip."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        block = chain.add()
        started = time.monotonic()
        equal(node.rpc.submitblock(block.serialize().hex()), None)
        equal(node.rpc.getbestblockhash(), block.hash_hex)
        times.append(time.monotonic() - started)
        time.sleep(0.2)
    return times


def median(times):
    return sorted(times)[len(times) // 2]


class Flood:
    """A peer that sends one transaction after the other until it is told to end or is cut off."""

    def __init__(self, t, node, make):
        self.peer, self.make, self.sent, self.over = t.peer(node), make, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.over:
                self.peer.send("tx", self.make(self.sent).serialize())
                self.sent += 1
        except (OSError, Closed):
            pass  # the node has had enough of it

    def end(self):
        self.over = True
        self.peer.close()
        self.thread.join()


def flood_and_mine(t, node, chain, makers):
    before = node.memory()
    floods = [Flood(t, node, make) for make in makers]
    times = connect_times(node, chain, SECONDS)
    for flood in floods:
        flood.end()
    check(max(times) < within(BLOCK_LIMIT_S), "blocks took at most %.2f s" % max(times))
    check(node.is_alive(), "the node is alive")
    check(node.memory_rise(before) < 300 * 10**6, "memory rose by %d" % node.memory_rise(before))
    return floods


@case(timeout=180)
def orphans_conflicts_and_forgeries_do_not_hold_up_blocks(t):
    node, chain = node_with_coins(t, "-maxorphantxsize=100MB")
    first = move(coin(chain, 1))
    node.rpc.sendrawtransaction(first.serialize().hex())

    def orphan(n):
        return Tx([TxIn(n.to_bytes(32, "little"), 0)], [TxOut(1000, ANYONE)])

    def conflict(n):
        return move(coin(chain, 1), fee=2 * FEE + n)

    def poor(n):  # pays out more than it takes in: each costs the peer everything
        return move(coin(chain, 2), fee=-1 - n)

    floods = flood_and_mine(t, node, chain, [orphan, orphan, conflict, conflict, poor])
    equal(pool(node), {id_of(first)})
    check(floods[4].sent < 10**5, "the forger was cut off")


def heavy_lock(hashes):
    """Makes 200 kB (OP_NUM2BIN) and hashes them so often."""
    large = b"\x00" + push((200000).to_bytes(3, "little")) + b"\x80"
    return large + b"\x76\xaa\x75" * hashes + b"\x75" + ANYONE


@case(timeout=240)
def heavy_scripts_do_not_hold_up_blocks(t):
    node, chain = node_with_coins(t, "-par=1")  # the fewest threads that can be asked for
    count = 16
    txid, index, value = coin(chain, 1)
    fund = Tx([TxIn(txid, index)],
              [TxOut(value // count, heavy_lock(HASHES)) for _ in range(count)])
    equal(node.rpc.submitblock(chain.add(fund).serialize().hex()), None)
    idle = median(connect_times(node, chain, 1))
    spends = [move(output(fund, i)) for i in range(count)]
    peers = [t.peer(node) for _ in range(4)]
    for i, tx in enumerate(spends):
        peers[i % 4].send("tx", tx.serialize())
    times = connect_times(node, chain, SECONDS)
    check(max(times) < within(BLOCK_LIMIT_S), "blocks took at most %.2f s" % max(times))
    check(median(times) < within(0.1) + 5 * idle,
          "the median is %.3f s, idle %.3f s: none waits for the end of a script"
          % (median(times), idle))
    started = time.monotonic()
    equal(peers[0].ping() is not None, True)
    check(time.monotonic() - started < within(1), "pings are answered")


@case(timeout=120)
def what_rpc_submits_too_does_not_use_up_the_places_of_a_peer(t):
    node, chain = node_with_coins(t, "-maxstdtxvalidationduration=1")
    count = 40
    txid, index, value = coin(chain, 1)
    fund = Tx([TxIn(txid, index)], [TxOut(value // count, heavy_lock(300)) for _ in range(count)])
    mine(node, chain, fund)
    peer = t.peer(node)
    slow = [move(output(fund, i)) for i in range(count)]
    hexes = [{"hex": tx.serialize().hex()} for tx in slow]
    submit = threading.Thread(target=lambda: node.rpc.sendrawtransactions(hexes))
    submit.start()
    node.wait_busy()
    for tx in reversed(slow):  # those of RPC are judged first
        peer.send("tx", tx.serialize())
    submit.join()
    wait_until(lambda: pool(node) == {id_of(tx) for tx in slow}, 30, "all are accepted")
    last = move(coin(chain, 2))
    peer.send("tx", last.serialize())
    wait_until(lambda: id_of(last) in pool(node), 10, "the peer is heard")


def answer_time(node, peer, tx):
    """Until a ping is answered and the transaction is in the mempool."""
    started = time.monotonic()
    peer.ping()
    peer.send("tx", tx.serialize())
    wait_until(lambda: id_of(tx) in pool(node), 30, "accepted", pause=0.005)
    return time.monotonic() - started


def slowest_answer(node, peer, txs, goes_on):
    """While that is true: the longest answer_time, how long all took, and how many of them there
    were. The machine may be busy, so the one is to be compared with the other."""
    started, worst, sent = time.monotonic(), 0, 0
    while goes_on():
        worst = max(worst, answer_time(node, peer, txs[sent]))
        sent += 1
        time.sleep(0.02)
    return worst, time.monotonic() - started, sent


def costly_children(chain, count):
    """A transaction, and as many that spend it and break no rule, but take their time."""
    txid, index, value = coin(chain, 1)
    parent = Tx([TxIn(txid, index)], [TxOut(value // (count + 1), heavy_lock(1000))] * count)
    parent_id, share = parent.txid(), parent.outputs[0].value
    return parent, [move((parent_id, i, share)) for i in range(count)]


@case(timeout=180)
def attack_b1_costly_orphans_of_one_parent_do_not_hold_up_other_peers(t):
    """Each is allowed more time than a batch gives. Their sender is left when they have cost 2 s of
    CPU time; the slowest answer to another peer takes about a fiftieth of that, and would take most
    of it: on a busy machine it may be a fifth."""
    node, chain = node_with_coins(t, "-maxnonstdtxvalidationduration=60")
    sender, honest = t.peer(node), t.peer(node)
    parent, children = costly_children(chain, 400)
    for tx in children:
        sender.send("tx", tx.serialize())
    t.wait(lambda: node.rpc.getorphaninfo()["size"] == len(children), what="all are orphans")
    root, *txs = fan_out(coin(chain, 2), 999)
    answer_time(node, honest, root)
    honest.send("tx", parent.serialize())
    worst, took, sent = slowest_answer(node, honest, txs,
                                       lambda: node.rpc.getorphaninfo()["size"] > 0)
    check(sender.is_closed(), "who sent them is left")
    check(worst < took / 2, "the slowest of %d answers took %.3f s of %.1f s" % (sent, worst, took))
    equal(pool(node), {id_of(tx) for tx in [parent, root] + txs[:sent]})


@case(timeout=180)
def attack_b4_costly_transactions_of_one_peer_do_not_hold_up_others(t):
    """The same without orphans: it has no more of them under way than cost little."""
    node, chain = node_with_coins(t, "-maxnonstdtxvalidationduration=60")
    sender, honest = t.peer(node), t.peer(node)
    parent, children = costly_children(chain, 400)
    root, *txs = fan_out(coin(chain, 2), 999)
    for tx in (parent, root):
        answer_time(node, honest, tx)
    for tx in children:
        sender.send("tx", tx.serialize())
    worst, took, sent = slowest_answer(node, honest, txs, lambda: sender.info(node))
    check(worst < took / 2, "the slowest of %d answers took %.3f s of %.1f s" % (sent, worst, took))


@case(timeout=180)
def attack_b4_slow_transactions_cost_their_sender_the_connection(t):
    node, chain = node_with_coins(t, "-maxnonstdtxvalidationduration=400")
    count = 13
    txid, index, value = coin(chain, 1)
    fund = Tx([TxIn(txid, index)], [TxOut(value // count, heavy_lock(40000)) for _ in range(count)])
    equal(node.rpc.submitblock(chain.add(fund).serialize().hex()), None)
    fund_id = fund.txid()
    *slow, last = [move((fund_id, i, value // count)) for i in range(count)]
    sender, honest = t.peer(node), t.peer(node)
    try:
        for tx in slow:
            sender.send("tx", tx.serialize())
    except Closed:
        pass
    started = node.cpu_seconds()
    check(sender.is_closed(60), "who sends them is left")
    cost = node.cpu_seconds() - started
    check(cost < 6 * SCALE, "its scripts cost %.1f s" % cost)
    equal(pool(node), set())
    for tx in (slow[0], last):  # the same bytes from elsewhere are known
        honest.send("tx", tx.serialize())
    refused = parse_reject(honest.wait_for("reject", 60))["hash"]
    equal(refused, id_of(last), "a second copy is not judged again")


@case(timeout=120)
def attack_b11_a_transaction_too_large_is_refused_without_being_kept(t):
    node, chain = node_with_coins(t)
    size = 400 * 10**6 if LONG else 60 * 10**6
    coin_ = coin(chain, 1)
    data = b"\x00\x6a\x4e" + size.to_bytes(4, "little") + bytes(size)
    tx = Tx([TxIn(*coin_[:2])], [TxOut(coin_[2] - FEE, ANYONE), TxOut(0, data)])
    peer = t.peer(node)
    before = node.memory()
    node.reset_peak_memory()
    peer.send("tx", tx.serialize())
    reject = parse_reject(peer.wait_for("reject", 60, seen=True))
    equal((reject["code"], reject["reason"], reject["hash"]), (0x40, "tx-size", id_of(tx)))
    check(node.memory_rise(before) < 40 * 10**6, "memory rose by %d" % node.memory_rise(before))


if __name__ == "__main__":
    main()

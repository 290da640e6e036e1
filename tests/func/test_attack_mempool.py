"""Floods of transactions cost their senders, never the tip (attacks B, J): while they last, blocks
keep connecting within two seconds."""
import threading
import time

from blocks import ANYONE, Tx, TxIn, TxOut, push
from framework import LONG, case, check, equal, main
from p2p import Closed
from txs import FEE, coin, id_of, move, node_with_coins, output, pool

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
    check(max(times) < BLOCK_LIMIT_S, "blocks took at most %.2f s" % max(times))
    check(node.is_alive(), "the node is alive")
    check(node.memory_rise(before) < 300 * 10**6, "memory rose by %d" % node.memory_rise(before))
    return floods


@case(timeout=180)
def orphans_conflicts_and_forgeries_do_not_hold_up_blocks(t):
    node, chain = node_with_coins(t)
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
    return push(bytes(200000)) + b"\x76\xaa\x75" * hashes + b"\x75" + ANYONE


@case(timeout=240)
def heavy_scripts_do_not_hold_up_blocks(t):
    node, chain = node_with_coins(t)
    count = 16
    txid, index, value = coin(chain, 1)
    fund = Tx([TxIn(txid, index)], [TxOut(value // count, heavy_lock(HASHES)) for _ in range(count)])
    equal(node.rpc.submitblock(chain.add(fund).serialize().hex()), None)
    spends = [move(output(fund, i)) for i in range(count)]
    peers = [t.peer(node) for _ in range(4)]
    for i, tx in enumerate(spends):
        peers[i % 4].send("tx", tx.serialize())
    times = connect_times(node, chain, SECONDS)
    check(max(times) < BLOCK_LIMIT_S, "blocks took at most %.2f s" % max(times))
    started = time.monotonic()
    equal(peers[0].ping() is not None, True)
    check(time.monotonic() - started < 1, "pings are answered")


if __name__ == "__main__":
    main()

"""Attacks on the relay of transactions (spec attacks B2, B3, B6, B8). Small by default; the full
sizes run with BSVPEER_LONG=1."""
import os
import socket
import threading
import time

from events import read_events
from framework import LONG, RpcError, case, check, equal, main, within
from p2p import MSG_TX, inventory, parse_inventory, parse_reject
from txs import coin, fan_out, id_of, mine, move, node_with_coins, pool, send
from wiretap import Wiretap


# --- B2: announced and withheld ------------------------------------------------------------------

@case(timeout=120)
def attack_b2_a_withheld_transaction_comes_from_who_has_it(t):
    """Ten announce it first, among many that do not exist, and never deliver."""
    node, chain = node_with_coins(t)
    tx = move(coin(chain, 1))
    for _ in range(10):
        attacker = t.peer(node)
        attacker.send("inv", inventory((MSG_TX, tx.txid())))
        attacker.send("inv", inventory(*[(MSG_TX, os.urandom(32)) for _ in range(10000)]))
        attacker.ping()
    honest = t.peer(node)
    honest.send("inv", inventory((MSG_TX, tx.txid())))
    started = time.monotonic()
    honest.wait_for("getdata", 30, match=lambda p: (MSG_TX, tx.txid()) in parse_inventory(p))
    took = time.monotonic() - started
    check(took < 10, "asked after %.1f s: one time-out of 2 s, not one for each of them" % took)
    honest.send("tx", tx.serialize())
    t.wait(lambda: pool(node) == {id_of(tx)}, what="it is here")


# --- B3: many to be told -------------------------------------------------------------------------

QUEUE = 262144 if LONG else 1024
FLOOD = 300000 if LONG else 4000
LISTENERS = 50 if LONG else 15
BLOCKS = 9


def stop_reading(t, node):
    """A peer that has asked for more than it reads: it has no room for anything else."""
    peer = t.peer(node)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while not peer.info(node)["pausesend"]:
        peer.send("getdata", inventory(*[(MSG_TX, bytes(32)) for _ in range(20000)]))
    return peer


def hears_of_blocks(node, chain, peer, count):
    """Median of the times from handing in a block to its announcement."""
    times = []
    for _ in range(count):
        block = chain.add()
        started = time.monotonic()
        equal(node.rpc.submitblock(block.serialize().hex()), None)
        peer.wait_for("inv",
                      match=lambda p, h=block.hash(): h in [i for _, i in parse_inventory(p)])
        times.append(time.monotonic() - started)
        time.sleep(0.05)
    return sorted(times)[count // 2]


@case(timeout=900 if LONG else 120)
def attack_b3_what_silent_listeners_have_not_heard_stays_small(t):
    node, chain = node_with_coins(t, "-txnpropagationqlen=%d" % QUEUE, blocks=110 + FLOOD // 1000)
    coins = [coin(chain, 1 + i) for i in range(FLOOD // 1000)]
    watcher, sender = t.peer(node, relay=0), t.peer(node)
    silent = [stop_reading(t, node) for _ in range(LISTENERS)]
    idle = hears_of_blocks(node, chain, watcher, BLOCKS)

    def flood():
        for from_coin in coins:
            for tx in fan_out(from_coin, 999):
                sender.send("tx", tx.serialize())
            sender.ping(60)

    before = node.memory()
    thread = threading.Thread(target=flood)
    thread.start()
    busy = hears_of_blocks(node, chain, watcher, BLOCKS)
    thread.join()
    t.wait(lambda: node.rpc.getmempoolinfo()["size"] == FLOOD, 300, "all are accepted")
    for peer in silent:
        info = peer.info(node)
        told = info["bytessent_per_msg"].get("inv", 0)
        check(told <= 2 * BLOCKS * 61,
              "beside blocks nothing is queued for who does not read: %d" % told)
        check(0 < info["txninvsize"] <= QUEUE, "%d wait" % info["txninvsize"])
    check(busy < 2 * idle + within(0.2), "blocks are told in %.3f s, idle in %.3f s" % (busy, idle))
    check(node.memory_rise(before) < 50 * 10**6 + 2000 * FLOOD, "memory")


# --- B6: double spends ---------------------------------------------------------------------------

def line_of(t, chain, first, n):
    """The node and n - 1 others, each connected to the one before; and the first link."""
    link = Wiretap(t, first, ("::1", first.port))
    nodes, place = [first], f"[::1]:{link.port}"
    for _ in range(1, n):
        nodes.append(t.node_at(chain, "-genesisactivationheight=1", "-connect=" + place,
                               "-broadcastdelay=1000"))
        place = nodes[-1].p2p
    for i, node in enumerate(nodes):
        t.wait(lambda: ready_peers(node) ==  # pylint: disable=cell-var-from-loop
               (1 if i in (0, n - 1) else 2), 20, "the line stands")
    return nodes, link


def ready_peers(node):
    """Whose handshake is over: who is ready later is not told of what came before."""
    return sum("verack" in p["bytesrecv_per_msg"] for p in node.rpc.getpeerinfo())


def knows_rival(node, mine_, rival):
    """It says that the rival was refused, and for what."""
    try:
        recorded = str(node.rpc.why(id_of(rival))["recorded"])
    except RpcError:
        return False  # it has not come
    return "txn-mempool-conflict" in recorded and id_of(mine_) in recorded


@case(timeout=120)
def attack_b6_double_spends_meet(t):
    """Two spends of a coin enter at the ends of a line. Each stays where it was first; where they
    meet, both sides say so at once; who has the wrong one learns what took its place."""
    for n in (2, 4):
        first, chain = node_with_coins(t, "-broadcastdelay=1000")
        nodes, link = line_of(t, chain, first, n)
        one, other = move(coin(chain, 1)), move(coin(chain, 1), fee=5000)
        link.passes.clear()  # the delay of an announcement may be nearly nothing
        send(nodes[0], one)
        send(nodes[-1], other)
        link.passes.set()
        t.wait(lambda: all(len(pool(x)) == 1 for x in nodes), 60, "one is everywhere")
        equal((pool(nodes[0]), pool(nodes[-1])), ({id_of(one)}, {id_of(other)}))
        border = [pool(x) for x in nodes].index({id_of(other)})
        check(all(pool(x) == {id_of(other)} for x in nodes[border:]), "the line is divided once")
        t.wait(lambda: knows_rival(nodes[border - 1], one, other), 30, "known on one side")
        t.wait(lambda: knows_rival(nodes[border], other, one), 30, "known on the other")
        block = mine(nodes[0], chain, one)
        t.wait_same_tip(*nodes)
        for node in nodes[border:]:
            t.wait(lambda: pool(node) == set(), 20,  # pylint: disable=cell-var-from-loop
                   "it is gone")
            # pylint: disable-next=cell-var-from-loop
            told = t.wait(lambda: [e for e in read_events(node) if e["type"] == "tx_removed"])
            equal([(e["txid"], e["reason"], e["conflict"], e["block"]) for e in told],
                  [(id_of(other), "collision-in-block-tx", id_of(one), block.hash_hex)])


# --- B8: the rate of updates ---------------------------------------------------------------------

RATE = 7200  # updates of a held transaction, and non-final ones of a peer, in an hour


def is_held(node, tx):
    return id_of(tx) in node.rpc.getrawnonfinalmempool()


def is_refused_for_rate(peer, tx):
    peer.collect(0.01)
    wanted = (id_of(tx), 0x45, "non-final-txn-replacement-rate")
    return any(c == "reject"
               and tuple(parse_reject(p)[k] for k in ("hash", "code", "reason")) == wanted
               for c, p in reversed(peer.seen))


def burn(t, node, peer, versions):
    """Updates from the peer until the rate allows no more."""
    for tx in versions:
        peer.send("tx", tx.serialize())
        # pylint: disable=cell-var-from-loop
        t.wait(lambda: is_held(node, tx) or is_refused_for_rate(peer, tx), 30,
               "judged")
        if not is_held(node, tx):
            return


@case(timeout=180)
def attack_b8_the_last_word_passes_though_the_rate_is_burnt(t):
    """A counterparty uses up the updates of a shared transaction, and the non-final ones that one
    peer may bring; the honest party's update is refused, its final transaction is not, even by way
    of that peer."""
    # Slower ones would come after those behind them, as updates that lower a sequence.
    node, chain = node_with_coins(t, "-maxstdtxvalidationduration=900")
    node.rpc.setmocktime(int(time.time()))  # nothing leaks away meanwhile
    burner, second, honest = t.peer(node), t.peer(node), t.peer(node)
    lock = chain.height + 1000

    def version(n, height=1):
        return move(coin(chain, height), sequence=n, lock_time=lock)

    for n in range(1, RATE + 1):
        burner.send("tx", version(n).serialize())
    t.wait(lambda: is_held(node, version(RATE)), 60, "all updates are taken")
    burn(t, node, second, map(version, range(RATE + 1, 2 * RATE)))
    update = version(2 * RATE)
    honest.send("tx", update.serialize())
    t.wait(lambda: is_refused_for_rate(honest, update), 30, "the honest party's update is refused")
    for height in (3, 4, 5, 6):
        honest.send("tx", version(1, height).serialize())
        t.wait(lambda: is_held(node, version(1, height)), 30,  # pylint: disable=cell-var-from-loop
               "held")
    more = (version(n, height=2) for n in range(1, RATE))
    for height in (1, 3, 4, 5, 6):  # the peer may bring another one every half second
        burn(t, node, burner, more)
        final = move(coin(chain, height), fee=5000, lock_time=lock)
        burner.send("tx", final.serialize())
        t.wait(lambda: id_of(final) in pool(node), 10,  # pylint: disable=cell-var-from-loop
               "settled")


if __name__ == "__main__":
    main()

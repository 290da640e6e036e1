"""Transactions between peers: announced, fetched, judged, passed on (spec p2p 3, 5, 6, 9)."""
import itertools
import socket
import struct
import time

from blocks import ANYONE, Tx, TxIn, TxOut, compact, push
from framework import (LONG, RpcError, case, check, equal, is_in, main, raises_rpc, wait_until,
                       within)
from p2p import (MSG_TX, ChainServer, Silence, frame, inventory, parse_inventory, parse_reject,
                 wait_connected)
from txs import (FEE, KEY, coin, fan_out, hex_of, id_of, mine, move, node_with_coins, output, send)

QUIET = 0.6  # seconds in which something that must not come would have come


def announce(peer, *txs):
    peer.send("inv", inventory(*((MSG_TX, tx.txid()) for tx in txs)))


def ids_in(payload, kind=MSG_TX):
    return [h for t, h in parse_inventory(payload) if t == kind]


def wait_asked(peer, tx, timeout=10):
    peer.wait_for("getdata", timeout, match=lambda p: tx.txid() in ids_in(p))


def wait_told(peer, tx, timeout=10):
    """The peer hears of the transaction."""
    peer.wait_for("inv", timeout, match=lambda p: tx.txid() in ids_in(p), seen=True)


def give(peer, tx):
    """Announces, is asked, delivers."""
    announce(peer, tx)
    wait_asked(peer, tx)
    peer.send("tx", tx.serialize())


def was_told(peer, tx, seconds=QUIET):
    peer.collect(seconds)
    return any(c == "inv" and tx.txid() in ids_in(p) for c, p in peer.seen)


def was_asked(peer, tx, seconds=QUIET):
    peer.collect(seconds)
    return any(c == "getdata" and tx.txid() in ids_in(p) for c, p in peer.seen)


_unknown = itertools.count(1)


def is_wanted(peer, tx):
    """Whether the node asks for it when it is announced together with one it does not know."""
    other = move((next(_unknown).to_bytes(32, "big"), 0, 10**6))
    announce(peer, tx, other)
    wait_asked(peer, other)
    return was_asked(peer, tx, 0)


def wait_judged(node, peer):
    """What the peer has sent is judged."""
    peer.ping()
    node.rpc.waitforptvcompletion()


def fetch(peer, tx, timeout=10):
    """What comes for a getdata: "tx" or "notfound"."""
    peer.send("getdata", inventory((MSG_TX, tx.txid())))
    end = time.monotonic() + within(timeout)
    while time.monotonic() < end:
        command, payload = peer.receive(within(timeout))
        if command == "tx" and payload == tx.serialize():
            return "tx"
        if command == "notfound" and tx.txid() in ids_in(payload):
            return "notfound"
    raise Silence("no answer to getdata")


def wait_reject(peer, tx, timeout=10):
    payload = peer.wait_for("reject", timeout,
                            match=lambda p: parse_reject(p)["hash"] == id_of(tx), seen=True)
    return parse_reject(payload)


def in_pool(node, tx):
    try:
        return node.rpc.getrawtransaction(id_of(tx)) == hex_of(tx)
    except RpcError:
        return False


def wait_in_pool(node, *txs):
    for tx in txs:
        wait_until(lambda: in_pool(node, tx), 20, "transaction in the mempool")


# --- from peer to peer ---------------------------------------------------------------------------

@case()
def a_transaction_goes_from_one_peer_to_the_others(t):
    node, chain = node_with_coins(t)
    sender, other = t.peer(node), t.peer(node)
    tx = move(coin(chain, 1))
    give(sender, tx)
    wait_told(other, tx)
    check(in_pool(node, tx), "in the mempool")
    equal(fetch(other, tx), "tx")
    later = move(coin(chain, 2))
    give(other, later)
    wait_told(sender, later)
    check(not was_told(sender, tx, 0), "its sender need not be told")


@case()
def what_is_known_is_not_fetched_again(t):
    node, chain = node_with_coins(t)
    sender, other = t.peer(node), t.peer(node)
    tx = move(coin(chain, 1))
    give(sender, tx)
    wait_in_pool(node, tx)
    check(not is_wanted(other, tx), "asked for what is in the mempool")
    mine(node, chain, tx)
    later = move(coin(chain, 2))
    give(sender, later)
    wait_told(other, later)  # the news of the block came before that
    check(not is_wanted(t.peer(node), tx), "asked for what is in a block")


@case()
def an_unasked_transaction_is_taken_too(t):
    node, chain = node_with_coins(t)
    sender, other = t.peer(node), t.peer(node)
    tx = move(coin(chain, 1))
    sender.send("tx", tx.serialize())
    wait_told(other, tx)


@case()
def who_sends_many_and_goes_is_heard(t):
    node, chain = node_with_coins(t)
    txs = fan_out(coin(chain, 1), 2000)
    sender = t.peer(node)
    sender.send_raw(b"".join(frame("tx", tx.serialize(), sender.magic) for tx in txs))
    sender.socket.shutdown(socket.SHUT_WR)  # closing with something unread would discard the rest
    check(sender.is_closed(), "it has gone")
    wait_in_pool(node, *txs[::400], txs[-1])


# --- refused -------------------------------------------------------------------------------------

@case()
def a_refusal_is_told_with_code_reason_and_id(t):
    node, chain = node_with_coins(t)
    peer = t.peer(node)
    good = move(coin(chain, 1))
    peer.send("tx", good.serialize())
    wait_in_pool(node, good)
    young = move(coin(chain, chain.height))
    peer.send("tx", young.serialize())
    answer = wait_reject(peer, young)
    equal((answer["command"], answer["code"], answer["reason"]),
          ("tx", 0x10, "bad-txns-premature-spend-of-coinbase"))
    equal(peer.score(node), 0)
    rival = move(coin(chain, 1), fee=5 * FEE)
    peer.send("tx", rival.serialize())
    empty = Tx([], [TxOut(1, ANYONE)])
    peer.send("tx", empty.serialize())
    is_in("vin-empty", wait_reject(peer, empty)["reason"])
    wait_judged(node, peer)
    peer.ping()
    check(not any(c == "reject" and parse_reject(p)["hash"] == id_of(rival) for c, p in peer.seen),
          "codes of our own are not sent")
    check(in_pool(node, good) and not in_pool(node, rival), "the first one seen stays")
    equal(peer.score(node), 10)


@case()
def a_forged_signature_costs_the_connection(t):
    node, chain = node_with_coins(t, script=KEY.script)
    peer, other = t.peer(node), t.peer(node)
    txid, index, value = coin(chain, 1)
    tx = Tx([TxIn(txid, index)], [TxOut(value - FEE, KEY.script)])
    tx.sign_input(0, KEY, value - 1, KEY.script)
    peer.send("tx", tx.serialize())
    answer = wait_reject(peer, tx)
    equal(answer["code"], 0x10)
    is_in("mandatory-script-verify-flag-failed", answer["reason"])
    check(peer.is_closed(), "disconnected")
    check(not is_wanted(other, tx), "fetched again, though it was refused")


@case()
def what_was_refused_may_be_tried_again_on_the_next_tip(t):
    node, chain = node_with_coins(t)
    peer = t.peer(node)
    young = move(coin(chain, chain.height - 98))  # spendable two blocks from now
    peer.send("tx", young.serialize())
    wait_reject(peer, young)
    check(not is_wanted(peer, young), "asked for at once")
    mine(node, chain)
    peer.ping()
    announce(peer, young)
    wait_asked(peer, young)


@case()
def what_cannot_be_read_is_malformed_and_what_follows_is_ignored(t):
    node, chain = node_with_coins(t)
    peer = t.peer(node)
    tx = move(coin(chain, 1))
    raw = tx.serialize()
    wrong = [raw[:-1], raw[:20], b"", raw[:4] + b"\xfd\x01\x00" + raw[5:], raw[:4] + b"\xff" * 9]
    for data in wrong:
        peer.send("tx", data)
        answer = parse_reject(peer.wait_for("reject"))
        equal((answer["command"], answer["code"], answer["reason"], answer["hash"]),
              ("tx", 0x01, "error parsing message", None))
    equal(peer.score(node), 0)
    peer.send("tx", raw + b"more")
    wait_in_pool(node, tx)


# --- parents that are missing --------------------------------------------------------------------

def orphans(node):
    return node.rpc.getorphaninfo()["size"]


@case()
def an_orphan_waits_for_its_parents_which_are_asked_from_its_sender(t):
    node, chain = node_with_coins(t)
    peer, other = t.peer(node), t.peer(node)
    first = move(coin(chain, 1))
    second = move(output(first))
    third = move(output(second))
    peer.send("tx", third.serialize())
    wait_asked(peer, second)
    equal(orphans(node), 1)
    check(not is_wanted(t.peer(node), third), "an orphan is asked for again")
    peer.send("tx", second.serialize())
    wait_asked(peer, first)
    equal(orphans(node), 2)
    peer.send("tx", first.serialize())
    wait_in_pool(node, first, second, third)
    wait_until(lambda: orphans(node) == 0)
    wait_told(other, third)
    told = [h for c, p in other.seen if c == "inv" for h in ids_in(p)]
    equal([h for h in told if h in (first.txid(), second.txid(), third.txid())],
          [first.txid(), second.txid(), third.txid()], "parents before children")


@case()
def a_parent_may_come_from_another_peer_or_by_rpc(t):
    node, chain = node_with_coins(t)
    peer, other = t.peer(node), t.peer(node)
    for height, give_parent in ((1, lambda tx: other.send("tx", tx.serialize())),
                                (2, lambda tx: send(node, tx))):
        parent = move(coin(chain, height))
        child = move(output(parent))
        peer.send("tx", child.serialize())
        wait_asked(peer, parent)
        give_parent(parent)
        wait_in_pool(node, parent, child)


@case()
def orphans_go_with_their_peer_and_with_a_refused_parent(t):
    node, chain = node_with_coins(t)
    peer, other = t.peer(node), t.peer(node)
    peer.send("tx", move(output(move(coin(chain, 1)))).serialize())
    wait_until(lambda: orphans(node) == 1)
    bad = move(coin(chain, chain.height))  # not mature
    child = move(output(bad))
    other.send("tx", child.serialize())
    wait_until(lambda: orphans(node) == 2)
    other.send("tx", bad.serialize())
    wait_reject(other, bad)
    wait_until(lambda: orphans(node) == 1)
    other.send("tx", move(output(bad), fee=2 * FEE).serialize())
    other.ping()
    equal(orphans(node), 1, "a child of a refused parent is not kept")
    peer.close()
    wait_until(lambda: orphans(node) == 0)


@case()
def an_output_that_does_not_exist_is_not_waited_for(t):
    node, chain = node_with_coins(t)
    peer = t.peer(node)
    parent = move(coin(chain, 1))
    give(peer, parent)
    wait_in_pool(node, parent)
    txid, _, value = output(parent)
    peer.send("tx", move((txid, 7, value)).serialize())
    wait_judged(node, peer)
    equal(orphans(node), 0)


# --- who is told ---------------------------------------------------------------------------------

@case()
def who_wants_no_transactions_or_higher_fees_is_not_told(t):
    node, chain = node_with_coins(t)
    sender, silent, dear, cheap = (t.peer(node), t.peer(node, relay=0), t.peer(node), t.peer(node))
    tx = move(coin(chain, 1))
    rate = FEE * 1000 // len(tx.serialize())
    dear.send("feefilter", struct.pack("<q", rate + 1))
    cheap.send("feefilter", struct.pack("<q", rate))
    dear.ping(), cheap.ping()
    give(sender, tx)
    wait_told(cheap, tx)
    give(sender, more := move(coin(chain, 2), fee=10 * FEE))
    wait_told(dear, more)
    check(not was_told(dear, tx, 0), "told below its fee filter")
    check(not was_told(silent, tx), "told with relay=0")


@case()
def a_transaction_of_ours_that_nobody_wants_for_its_fee_is_told_when_somebody_does(t):
    node, chain = node_with_coins(t)
    peer = t.peer(node)
    peer.send("feefilter", struct.pack("<q", 10**9))
    peer.ping()
    send(node, tx := move(coin(chain, 1)))
    check(not was_told(peer, tx), "told below its fee filter")
    peer.send("feefilter", bytes(8))
    wait_told(peer, tx, 30)


@case()
def ours_is_told_while_syncing_and_not_to_trusted_peers(t):
    syncing = t.node()
    early = t.peer(syncing)
    rate, = struct.unpack("<q", early.wait_for("feefilter", seen=True))
    check(5_000_000 <= rate <= 11_000_000, f"1 BSV/kB, rounded: {rate}")
    syncing.rpc.generatetoaddress(1, syncing.rpc.getnewaddress())
    equal(early.wait_for("feefilter"), bytes(8))  # at once: from now on it wants to be told
    for options in (["-feefilter=0"], ["-whitelist=::1"]):
        peer = t.peer(t.node(*options))
        check(not any(c == "feefilter" for c, _ in peer.collect(QUIET) + peer.seen), str(options))
    node, _ = node_with_coins(t)
    peers = [t.peer(node) for _ in range(8)]  # rounding is random
    time.sleep(QUIET)
    for peer in peers:
        peer.ping()
        check(not any(c == "feefilter" for c, _ in peer.seen), "nothing to filter")


@case()
def while_syncing_announcements_are_ignored(t):
    node = t.node()
    peer = t.peer(node)
    tx = move((bytes([5] * 32), 0, 10**6))
    announce(peer, tx)
    peer.ping()
    check(not was_asked(peer, tx), "asked for during the initial download")


@case()
def trusted_peers_are_told_without_delay(t):
    node, chain = node_with_coins(t, "-whitelist=::1", "-broadcastdelay=50000")
    sender, other = t.peer(node), t.peer(node)
    for height in range(1, 10):
        tx = move(coin(chain, height))
        give(sender, tx)
        wait_told(other, tx, 2)  # others would wait 50 s in the mean


@case()
def others_are_told_after_a_delay_that_differs(t):
    node, chain = node_with_coins(t, "-broadcastdelay=400", blocks=140)
    sender, other = t.peer(node), t.peer(node)
    delays = []
    while len(delays) < 2 or max(delays) - min(delays) < 0.3:
        check(len(delays) < 40, f"random delays with a mean of 0.4 s: {delays}")
        tx = move(coin(chain, 1 + len(delays)))
        announce(sender, tx)
        wait_asked(sender, tx)
        start = time.monotonic()
        sender.send("tx", tx.serialize())
        wait_told(other, tx)
        delays.append(time.monotonic() - start)


@case()
def a_transaction_of_ours_goes_to_peers_we_chose_first(t):
    listeners = [t.listener() for _ in range(3)]
    node, chain = node_with_coins(t, "-broadcastdelay=1",
                                  *("-connect=" + l.address for l in listeners), blocks=145)
    chosen = [l.accept() for l in listeners]
    inbound = [t.peer(node) for _ in range(6)]
    wait_connected(node, 9)
    firsts, counted = set(), 0
    for height in range(1, 41):
        tx = move(coin(chain, height))
        send(node, tx)
        first, pause = who_knows_first(chosen + inbound, tx)
        if pause < 0.3:
            continue  # too soon after each other to say who was the first
        check(not set(first) & set(inbound), "who connected to us was among the first two")
        firsts.update(first)
        counted += 1
        if counted >= 3 and len(firsts) == 3:
            return
    check(False, f"the first two in {counted} of 40 cases are {len(firsts)} peers")


def who_knows_first(peers, tx):
    """Returns the first two who are told, and how much later than both the third one is at least:
    after it was last seen not to be."""
    order, times = [], []  # of each one: since when at the earliest, since when at the latest
    before = dict.fromkeys(peers, time.monotonic())

    def all_are_told():
        for peer in peers:
            if peer in order:
                continue
            begun = time.monotonic()
            peer.collect(0.003)
            if was_told(peer, tx, 0):
                order.append(peer)
                times.append((before[peer], time.monotonic()))
            before[peer] = begun
        return len(order) == len(peers)

    wait_until(all_are_told, 20, "all are told")
    return order[:2], times[2][0] - times[1][1]


@case()
def a_transaction_submitted_without_peers_is_told_when_one_comes(t):
    node, chain = node_with_coins(t)
    txs = (move(coin(chain, 1)), move(coin(chain, 2), lock_time=chain.height + 100, sequence=1))
    for tx in txs:  # the second one waits for its time
        send(node, tx)
    time.sleep(0.5)
    peer = t.peer(node)
    for tx in txs:
        wait_told(peer, tx, 30)
        equal(fetch(peer, tx), "tx")


@case()
def transactions_can_be_held_together(t):
    node, chain = node_with_coins(t, "-txnpropagationfreq=3600000", "-broadcastdelay=0")
    sender, other = t.peer(node), t.peer(node)
    info = node.rpc.getnetworkinfo()
    equal((info["txnpropagationfreq"], info["txnpropagationqlen"]), (3600000, 0))
    txs = [move(coin(chain, height)) for height in range(1, 6)]
    for tx in txs:
        give(sender, tx)
    wait_until(lambda: node.rpc.getnetworkinfo()["txnpropagationqlen"] == 5)
    check(not was_told(other, txs[0], 0.5), "told though it is held")
    node.rpc.settxnpropagationfreq(0)
    wait_told(other, txs[-1])
    info = node.rpc.getnetworkinfo()
    equal((info["txnpropagationfreq"], info["txnpropagationqlen"]), (0, 0))
    for wrong in (-1, 3600001):
        raises_rpc(-8, lambda: node.rpc.settxnpropagationfreq(wrong))


# --- who may ask ---------------------------------------------------------------------------------

@case()
def only_what_was_announced_is_given(t):
    node, chain = node_with_coins(t, "-broadcastdelay=50000")
    sender, other = t.peer(node), t.peer(node)
    equal(fetch(other, move((bytes([9] * 32), 0, 10**6))), "notfound", "unknown")
    for height in range(1, 11):
        tx = move(coin(chain, height))
        give(sender, tx)
        wait_until(lambda: other.info(node)["txninvsize"]  # it is in the mempool before
                   or was_told(other.ping(), tx, 0), 20, "to be told")
        found = fetch(other, tx), other.info(node)["txninvsize"]
        if not was_told(other.ping(), tx, 0):
            break  # delays are random: else it was one of the few that are short
    equal(found, ("notfound", 1), "nobody was told of it yet")


@case()
def what_was_announced_is_given_after_it_was_mined(t):
    node, chain = node_with_coins(t)
    sender, other = t.peer(node), t.peer(node)
    tx = move(coin(chain, 1))
    give(sender, tx)
    wait_told(other, tx)
    mine(node, chain, tx)
    equal(fetch(other, tx), "tx")


@case()
def the_mempool_is_listed_to_trusted_peers_only(t):
    node, chain = node_with_coins(t)
    peer = t.peer(node)
    peer.send("mempool")
    check(peer.is_closed(), "disconnected")
    trusting, chain = node_with_coins(t, "-whitelist=::1", "-broadcastdelay=50000")
    txs = [move(coin(chain, height)) for height in range(1, 6)]
    for tx in txs:
        send(trusting, tx)
    peer = t.peer(trusting)
    for tx in txs:
        check(not was_told(peer, tx, 0), "told before it asks")
    peer.send("mempool")
    for tx in txs:
        wait_told(peer, tx)
    equal(fetch(peer, txs[0]), "tx")


@case()
def the_mempool_is_compared_with_chosen_peers(t):
    node, chain = node_with_coins(t, "-mempoolsyncpeer=::1")
    send(node, move(coin(chain, 1)))
    peer = t.peer(node)
    equal(peer.wait_for("mempool", seen=True), struct.pack("<q", 3600))
    check(peer.info(node)["mempoolsync"], "shown in getpeerinfo")
    young = move(coin(chain, 2))
    send(node, young)
    peer.wait_for("inv", match=lambda p: young.txid() in ids_in(p), seen=True)
    late = t.peer(node)
    late.send("mempool", struct.pack("<q", 3600))
    check(not was_told(late, young), "it is younger than asked for")
    late.send("mempool", struct.pack("<q", 0))
    wait_told(late, young)
    plain, _ = node_with_coins(t)
    other = t.peer(plain)
    other.send("mempool", struct.pack("<q", 0))
    other.ping()
    check(not any(c == "mempool" for c, _ in other.seen), "nobody else is asked")


@case()
def a_large_mempool_is_listed_in_parts(t):
    node, chain = node_with_coins(t, "-whitelist=::1")
    sender = t.peer(node)
    txs = fan_out(coin(chain, 1), 10000)
    for tx in txs:
        sender.send("tx", tx.serialize())
    wait_in_pool(node, txs[-1])
    peer = t.peer(node)
    peer.send("mempool")
    wanted = {tx.txid() for tx in txs}
    heard = set()
    wait_until(lambda: heard.update(*(ids_in(p) for c, p in peer.collect(0.1) if c == "inv"))
               or wanted <= heard, 30, "all listed")


# --- settings ------------------------------------------------------------------------------------

@case()
def with_blocksonly_there_is_no_relay(t):
    node, chain = node_with_coins(t, "-blocksonly")
    peer = t.peer(node)
    equal(peer.their_version["relay"], 0)
    equal(node.rpc.getnetworkinfo()["localrelay"], False)
    tx = move(coin(chain, 1))
    announce(peer, tx)
    peer.send("tx", tx.serialize())
    wait_judged(node, peer)
    check(not was_asked(peer, tx), "asked")
    check(not in_pool(node, tx), "taken")


@case()
def with_blocksonly_trusted_peers_may_relay_when_allowed(t):
    node, chain = node_with_coins(t, "-blocksonly", "-whitelist=::1", "-whitelistrelay=1")
    peer = t.peer(node)
    tx = move(coin(chain, 1))
    give(peer, tx)
    wait_in_pool(node, tx)
    node, chain = node_with_coins(t, "-blocksonly", "-whitelist=::1")
    peer = t.peer(node)
    tx = move(coin(chain, 1))
    announce(peer, tx)
    check(not was_asked(peer, tx), "blocksonly switches whitelistrelay off")


@case()
def trusted_peers_can_have_known_and_refused_ones_passed_on(t):
    for option, passed in (("-whitelistforcerelay=1", True), ("-whitelistforcerelay=0", False)):
        node, chain = node_with_coins(t, "-whitelist=::1", option, "-acceptnonstdtxn=0",
                                      script=KEY.script)
        sender, other = t.peer(node), t.peer(node)
        txid, index, value = coin(chain, 1)
        dust = Tx([TxIn(txid, index)], [TxOut(0, ANYONE), TxOut(value - FEE, KEY.script)])
        dust.sign_input(0, KEY, value, KEY.script)
        sender.send("tx", dust.serialize())
        wait_reject(sender, dust)
        equal(was_told(other, dust), passed, option)
        late = t.peer(node)
        sender.send("tx", dust.serialize())
        equal(was_told(late, dust), passed, "sent again, " + option)
        equal(fetch(late, dust), "tx" if passed else "notfound")


@case()
def a_refusal_of_our_transaction_is_logged(t):
    node, chain = node_with_coins(t)
    peer = t.peer(node)
    tx = move(coin(chain, 1))
    send(node, tx)
    wait_told(peer, tx)
    for about in (move(coin(chain, 2)), tx):
        peer.send("reject", b"\x02tx" + b"\x42" + compact(9) + b"too cheap" + about.txid())
    peer.ping()
    lines = [line for line in node.log().splitlines() if "refuses our transaction" in line]
    equal(len(lines), 1)
    is_in(id_of(tx) + ": too cheap (code 42)", lines[0])


@case()
def transactions_that_are_not_final_are_passed_on(t):
    node, chain = node_with_coins(t)
    sender, other = t.peer(node), t.peer(node)
    lock = chain.height + 100
    parked = move(coin(chain, 1), lock_time=lock, sequence=1)
    give(sender, parked)
    wait_told(other, parked)
    equal(fetch(other, parked), "tx")
    own = move(coin(chain, 2), lock_time=lock, sequence=1)
    send(node, own)
    wait_told(other, own)
    check(not is_wanted(other, parked), "asked for what is held")


# --- several daemons -----------------------------------------------------------------------------

def how_many(node, txs):
    """Of these are in its mempool."""
    n = 0
    for i in range(0, len(txs), 2000):
        calls = [("getrawtransaction", [id_of(tx), 1]) for tx in txs[i:i + 2000]]
        n += sum(reply["error"] is None and "blockhash" not in reply["result"]
                 for reply in node.rpc.batch(calls))
    return n


@case(timeout=900 if LONG else 120)
def three_daemons_have_the_same_mempool(t):
    """Submitted to one, in all; a block empties all; undone, they are back; a restart keeps
    them."""
    wide = 1000
    count = 50000 if LONG else 3000
    a, chain = node_with_coins(t, blocks=110 + count // wide)
    b = t.node("-genesisactivationheight=1", "-connect=" + a.p2p)
    c = t.node("-genesisactivationheight=1", "-connect=" + b.p2p)
    nodes = (a, b, c)
    t.wait_same_tip(*nodes)
    wait_until(lambda: len(b.rpc.getpeerinfo()) == 2, 20, "connected in a line")
    txs = [tx for height in range(1, 1 + count // wide)
           for tx in fan_out(coin(chain, height), wide - 1)]
    for i in range(0, count, wide):
        answer = a.rpc.sendrawtransactions([{"hex": hex_of(tx)} for tx in txs[i:i + wide]])
        equal(answer, {}, "all are good")
    for node in nodes:
        wait_until(lambda: how_many(node, txs) == count, 300 if LONG else 60, "all are everywhere")
    block = mine(a, chain, *txs)
    t.wait_same_tip(*nodes)
    for node in nodes:
        equal(how_many(node, txs[::count // 20]), 0, "after the block")
    for node in nodes:
        node.rpc.invalidateblock(block.hash_hex)
    for node in nodes:
        wait_until(lambda: how_many(node, txs) == count, 300 if LONG else 60, "back in the pool")
    c.restart()
    wait_until(lambda: how_many(c, txs) == count, 300 if LONG else 60, "kept")


if __name__ == "__main__":
    main()

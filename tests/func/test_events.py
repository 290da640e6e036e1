"""The event log over HTTP (doc/events.md): form, following, refusals, limits, and that nothing is
missed or doubled through kills of node and client (attacks J7)."""
import base64
import glob
import http.client
import json
import os
import random
import shutil
import socket
import time

from framework import (ADDRESS, BUILD, RpcError, Skip, bytes_of, case, check, equal, is_in, main,
                       wait_until, within)
from events import Follower, account_of, get_events, info, read_events
from txs import coin, id_of, mine, move, node_with_coins, output, send

QUICK = "-eventlogwait=1"  # how long the log waits for lost blocks after a crash


def follower(t, node, start=1):
    f = Follower(node, start)
    t.cleanups.append(f.stop)
    return f


def told_pool(f, *txs):
    """Waits until the events have told of just these transactions."""
    want = {id_of(tx) for tx in txs}
    wait_until(lambda: set(f.account.pool) == want, 20, "the transactions told of")
    caught_up(f)


def follow_a_peer(t, blocks):
    """A node with some blocks, one that follows it, and a client of that one; the log waits
    long."""
    source = t.node()
    source.rpc.generatetoaddress(blocks, ADDRESS)
    node = t.node(f"-connect={source.p2p}", "-eventlogwait=600")
    t.wait_same_tip(source, node)
    f = follower(t, node)
    caught_up(f)
    return source, node, f


def caught_up(f, timeout=30):
    try:
        wait_until(f.agrees, timeout, "the events describe chain and mempool")
    except AssertionError as error:
        account = f.account
        raise AssertionError(f"{error}: told {account.height} {account.tip}, "
                             f"{sorted(account.pool)}; is {f.node.rpc.getblockcount()} "
                             f"{f.node.tip()}, {sorted(f.node.rpc.getrawmempool())}; "
                             f"{account.errors[:3]} {f.refusals[:3]}") from None
    equal(f.account.errors, [])
    equal(f.refusals, [])


@case()
def a_line_for_each_event(t):
    node = t.node()
    before = int(time.time())
    a, b = node.rpc.generatetoaddress(2, ADDRESS)
    t.wait(lambda: len(read_events(node)) == 3)  # they are written beside what commands answer
    status, kind, body = get_events(node, "?from=1")
    equal((status, kind), (200, "application/x-ndjson"))
    events = [json.loads(line) for line in body.splitlines()]
    equal([e["number"] for e in events], [1, 2, 3])
    equal([e["type"] for e in events], ["start", "block_connected", "block_connected"])
    equal(list(events[0]), ["number", "time", "type", "hash", "height"])
    equal(list(events[1]),
          ["number", "time", "type", "hash", "previous", "height", "txs", "size", "blocktime"])
    equal((events[1]["hash"], events[2]["hash"]), (a, b))
    block = node.rpc.getblock(a)
    equal((events[1]["previous"], events[1]["height"], events[1]["txs"], events[1]["size"],
           events[1]["blocktime"]),
          (block["previousblockhash"], 1, 1, block["size"], block["time"]))
    check(before - 1 <= events[1]["time"] <= time.time() + 1, "time of the event")
    node.rpc.invalidateblock(b)
    last = t.wait(lambda: read_events(node, 4))
    equal([(e["type"], e["hash"], e["previous"], e["height"]) for e in last],
          [("block_disconnected", b, a, 2)])
    equal(get_events(node, "?from=5")[::2], (200, b""))
    equal(read_events(node, 0)[0]["number"], 1)


@case()
def transactions_come_and_go(t):
    node, chain = node_with_coins(t, "-minminingtxfee=0.00000001")
    f = follower(t, node)
    parent = move(coin(chain, 1))
    child = move(output(parent))
    send(node, parent)
    send(node, child)
    told_pool(f, parent, child)
    equal(f.account.pool[id_of(parent)]["size"], len(parent.serialize()))
    equal(f.account.pool[id_of(parent)]["fee"], 1e-05)
    mine(node, chain, parent)
    told_pool(f, child)
    other = move(output(parent), fee=5000)
    block = mine(node, chain, other)
    told_pool(f)
    events = [e for e in read_events(node) if e["type"] == "tx_removed"]
    equal(events[0]["reason"], "included-in-block")
    equal(list(events[0]), ["number", "time", "type", "txid", "reason", "block"])
    equal((events[1]["txid"], events[1]["reason"], events[1]["conflict"], events[1]["block"]),
          (id_of(child), "collision-in-block-tx", id_of(other), block.hash_hex))
    node.rpc.invalidateblock(block.hash_hex)
    told_pool(f, other)
    node.rpc.reconsiderblock(block.hash_hex)
    told_pool(f)


@case()
def what_cannot_be_answered_is_refused(t):
    node = t.node()
    node.rpc.generatetoaddress(2, ADDRESS)
    now = info(node)
    equal(list(now), ["log", "oldest", "next", "bytes"])
    equal((now["oldest"], now["next"], len(now["log"])), (1, 4, 32))
    status, kind, body = get_events(node, "?from=5")
    equal((status, kind), (416, "application/json"))
    equal(list(json.loads(body)), ["error", "log", "oldest", "next", "bytes"])
    equal(get_events(node, "?from=5&follow=1")[0], 416)
    other = "00" * 16
    status, _, body = get_events(node, "?from=1&log=" + other)
    equal((status, json.loads(body)["log"]), (410, now["log"]))
    equal(get_events(node, "?from=1&log=" + now["log"])[0], 200)
    for bad in ("?from=x", "?from=-1", "?from=1&follow=yes", "?follow=1", "?log=1", "?x=1",
                "?from=1&&"):
        status, _, body = get_events(node, bad)
        equal(status, 400, bad)
        is_in("error", json.loads(body))
    equal(get_events(node, "", credentials="a:b")[0], 401)
    equal(get_events(node, "", method="POST")[0], 405)
    off = t.node("-eventlogsize=0")
    off.rpc.generatetoaddress(1, ADDRESS)
    equal(get_events(off)[0], 404)
    check(not os.path.exists(off.file("events")), "no folder without a log")
    small = t.make_node("-eventlogsize=999999").launch()
    equal(small.wait_exit() != 0, True)
    is_in("-eventlogsize=999999", small.errors())


@case()
def followers_get_events_as_they_come(t):
    node = t.node()
    f = follower(t, node)
    node.rpc.generatetoaddress(1, ADDRESS)
    caught_up(f)
    times = []
    for _ in range(10):
        started = time.monotonic()
        node.rpc.generatetoaddress(1, ADDRESS)
        tip = node.tip()
        wait_until(lambda: f.account.tip == tip, 10, "the new block's event", pause=0.002)
        times.append(time.monotonic() - started)
    equal(f.connections, 1)
    check(sorted(times)[5] < within(0.5), f"delays {times}")
    node.stop()
    node.start()
    node.rpc.generatetoaddress(1, ADDRESS)
    caught_up(f)
    check(f.connections >= 2, "it came back, perhaps while the node was stopping")


@case()
def at_most_sixteen_clients_and_dead_ones_make_room(t):
    node = t.node()
    node.rpc.generatetoaddress(1, ADDRESS)
    followers = [follower(t, node) for _ in range(16)]
    wait_until(lambda: all(f.account.next == 3 for f in followers), 20, "16 followers")
    equal(get_events(node, "?from=1")[0], 503)
    node.rpc.getblockcount()
    followers[0].stop()
    wait_until(lambda: get_events(node, "?from=1")[0] == 200, 10, "room after one has left")


@case(timeout=120)
def the_oldest_are_deleted_and_slow_clients_cut_off(t):
    node = t.node("-eventlogsize=1MB", "-rpcservertimeout=3600")
    node.rpc.generatetoaddress(50, ADDRESS)
    slow = socket.socket(socket.AF_INET6)
    # the server gets rid of little in advance
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("::1", node.rpc_port))
    token = base64.b64encode(node.cookie().encode()).decode()
    slow.sendall(f"GET /events?from=1&follow=1 HTTP/1.1\r\nHost: x\r\n"
                 f"Authorization: Basic {token}\r\n\r\n".encode())
    f = follower(t, node)
    made = 50
    while info(node)["oldest"] < 25000:
        node.rpc.generatetoaddress(500, ADDRESS)
        made += 500
        check(made < 60000, "old events are deleted")
        check(bytes_of(glob.glob(node.file("events", "*"))) < 1_200_000, "size on disk")
    caught_up(f, 60)
    equal(f.account.counts["block_connected"], made)
    now = info(node)
    equal(now["next"], made + 2)
    status, _, body = get_events(node, "?from=1")
    equal((status, json.loads(body)["oldest"]), (410, now["oldest"]))
    status, _, body = get_events(node, f"?from={now['oldest'] - 1}&follow=1")
    equal(status, 410)
    equal(len(read_events(node, now["oldest"])), now["next"] - now["oldest"])
    # The slow one has got a beginning without a gap, then its connection ended.
    slow.settimeout(60)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    data = b""
    while True:
        piece = slow.recv(65536)
        if not piece:
            break
        data += piece
    slow.close()
    check(not data.endswith(b"0\r\n\r\n"), "it was not told that this was all")
    lines = [line for line in data.split(b"\r\n") if line.startswith(b"{")]
    numbers = [int(n) for line in lines for n in numbers_in(line)]
    equal(numbers, list(range(1, len(numbers) + 1)))
    check(len(numbers) < made, "it missed what it was too slow for")
    is_in("slower than events are deleted", node.log())
    node.restart()
    caught_up(f)


def numbers_in(chunk):
    """Of its whole lines: the connection may have ended within the last one."""
    return [line.split(b",", 1)[0].split(b":")[1] for line in chunk.split(b"\n")[:-1]
            if line.startswith(b'{"number"')]


@case()
def an_existing_chain_begins_with_a_start(t):
    node = t.node("-eventlogsize=0")
    node.rpc.generatetoaddress(5, ADDRESS)
    node.restart("-eventlogsize=1MB")
    equal([(e["type"], e["height"]) for e in read_events(node)], [("start", 5)])
    first = info(node)["log"]
    # Without a log for a while: the missing blocks are told from the index.
    node.restart("-eventlogsize=0")
    node.rpc.generatetoaddress(3, ADDRESS)
    node.rpc.invalidateblock(node.rpc.getblockhash(8))
    node.restart("-eventlogsize=1MB")
    account = account_of(read_events(node))
    equal((account.tip, account.height, account.errors), (node.tip(), 7, []))
    # The log was lost: another one, and a client that names its log notices.
    node.stop()
    shutil.rmtree(node.file("events"))
    node.start("-eventlogsize=1MB")
    equal(get_events(node, f"?from=1&log={first}")[0], 410)
    equal([(e["type"], e["height"]) for e in read_events(node)], [("start", 7)])


def kill_and_restart(node, *options):
    node.kill()
    return node.start(*options)


@case(timeout=120)
def a_torn_end_is_cut(t):
    node = t.node(QUICK)
    f = follower(t, node)
    for junk in (b"", b"\x00" * 5000, b"\x41\x00\x00\x00garbage", os.urandom(300)):
        node.rpc.generatetoaddress(3, ADDRESS)
        wait_until(lambda: f.account.tip == node.tip(), 10, "events")
        node.kill()
        newest = sorted(glob.glob(node.file("events", "*.events")))[-1]
        with open(newest, "ab") as file:
            file.write(junk)
        node.start()
        caught_up(f)
    node.kill()
    with open(newest,
              "r+b") as file:  # the last event is lost: nobody may have seen it, but here one has
        file.truncate(os.path.getsize(newest) - 1)
    node.start()
    wait_until(lambda: f.refusals or f.agrees(), 20, "the loss shows")


@case()
def a_reader_s_failed_sync_ends_the_log(t):
    """What the kernel has forgotten after a failed sync, a second one does not bring to the
    disk."""
    library = os.path.join(BUILD, "tests", "fault", "fault.so")
    if not os.path.exists(library):
        raise Skip(library + " is not built")
    node = t.make_node()
    node.start(env={"LD_PRELOAD": library, "BSVPEER_FAULT_PATH": node.file("events"),
                    "BSVPEER_FAULT": "fdatasync:2:EIO"})  # the first is that of the new file
    node.rpc.generatetoaddress(1, ADDRESS)

    def has_ended():
        try:  # again, if the block was not in the log yet
            equal(read_events(node), [])
        except (OSError, http.client.HTTPException, ValueError, AssertionError):
            pass  # however the answer ends
        return not node.is_alive()
    wait_until(has_ended, 20, "the end")
    equal(node.wait_exit(20), 1, "exit code")
    is_in("event log: " + node.file("events"), node.errors())
    is_in("cannot sync", node.errors())
    node.start()
    wait_until(lambda: account_of(read_events(node)).tip == node.tip(), 20, "events to the tip")
    equal(account_of(read_events(node)).errors, [])


@case(timeout=120)
def a_log_ahead_of_the_chain_waits_and_does_not_repeat(t):
    source, node, f = follow_a_peer(t, 20)
    node.stop()
    kept = t.path("kept")
    shutil.copytree(node.directory, kept)
    node.start()
    source.rpc.generatetoaddress(15, ADDRESS)
    t.wait_same_tip(source, node)
    caught_up(f)
    told = f.account.next
    # Chain and index of 15 blocks ago, as after a power cut; the events are those of now.
    node.kill()
    events = node.file("events")
    shutil.move(events, t.path("events"))
    shutil.rmtree(node.directory)
    shutil.copytree(kept, node.directory)
    shutil.rmtree(events)
    shutil.move(t.path("events"), events)
    node.start()
    t.wait_same_tip(source, node)
    is_in("ends ahead of the chain", node.log())
    caught_up(f)
    equal(f.account.next, told)
    source.rpc.generatetoaddress(1, ADDRESS)
    t.wait_same_tip(source, node)
    caught_up(f)
    equal(f.account.next, told + 1)


@case(timeout=120)
def lost_blocks_that_do_not_come_back_are_told(t):
    node = t.node(QUICK)
    node.rpc.generatetoaddress(10, ADDRESS)
    node.restart()  # flushed here
    f = follower(t, node)
    node.rpc.generatetoaddress(5, ADDRESS)
    caught_up(f)
    kill_and_restart(node)  # alone: what came after the flush is gone
    equal(node.rpc.getblockcount(), 10)
    caught_up(f)  # after a second
    equal(f.account.counts["block_disconnected"], 5)
    node.rpc.generatetoaddress(3, ADDRESS)
    kill_and_restart(node, "-eventlogwait=600")
    equal(node.rpc.getblockcount(), 10)
    node.rpc.generatetoaddress(1, ADDRESS)  # another branch ends the waiting at once
    caught_up(f)
    equal(f.account.height, 11)


@case(timeout=120)
def reindexing_repeats_nothing(t):
    source, node, f = follow_a_peer(t, 30)
    told = f.account.next
    for option in ("-reindex-chainstate", "-reindex"):
        node.restart(option)
        wait_until(lambda: node.rpc.getblockcount() == 30, 30, "rebuilt chain")
        caught_up(f)
        equal(f.account.next, told, option)
        node.restart()
    source.rpc.generatetoaddress(1, ADDRESS)
    t.wait_same_tip(source, node)
    caught_up(f)
    equal(f.account.next, told + 1)


@case()
def transactions_lost_at_a_restart_are_told(t):
    node, chain = node_with_coins(t, QUICK)
    node.restart("-genesisactivationheight=1", QUICK)
    f = follower(t, node)
    kept, lost = move(coin(chain, 1)), move(coin(chain, 2))
    send(node, kept)
    node.rpc.savemempool()
    send(node, lost)
    told_pool(f, kept, lost)
    accepted = f.account.counts["tx_accepted"]
    kill_and_restart(node, "-genesisactivationheight=1", QUICK)
    told_pool(f, kept)
    equal(f.account.counts["tx_accepted"], accepted)  # what came back is not told again
    events = read_events(node)
    equal([(e["txid"], e["reason"]) for e in events if e["type"] == "tx_removed"],
          [(id_of(lost), "lost-at-restart")])
    node.restart("-genesisactivationheight=1", QUICK)
    caught_up(f)
    equal(f.account.counts["tx_accepted"], accepted)


class Traffic:
    """Blocks, reorganisations and transactions on a source node, step by step; the transactions are
    sent to the node under test, too."""

    def __init__(self, node, other, chain, seed):
        self.node, self.other = node, other
        self.random = random.Random(seed)
        self.coins = [coin(chain, h) for h in range(1, 11)]

    def step(self):
        what = self.random.randrange(10)
        if what < 6 and self.coins:
            tx = move(self.coins.pop(self.random.randrange(len(self.coins))),
                      fee=self.random.randrange(500, 2000))
            send(self.node, tx)
            try:
                send(self.other, tx)
            except RpcError as error:
                is_in(error.code, (-25, -26, -27))  # not at the same block, or there already
            self.coins.append(output(tx))
        elif what < 9:
            self.node.rpc.generatetoaddress(1, ADDRESS)
        else:
            tip = self.node.tip()
            self.node.rpc.invalidateblock(tip)
            self.node.rpc.generatetoaddress(2, ADDRESS)


def kill_loop(t, kills, seed):
    """A node that follows a source over P2P is killed again and again, its client too; at the end
    the events describe chain and mempool, and never made no sense on the way."""
    source, chain = node_with_coins(t)
    node = t.node("-genesisactivationheight=1", f"-connect={source.p2p}", QUICK)
    t.wait_same_tip(source, node)
    f = follower(t, node)
    traffic = Traffic(source, node, chain, seed)
    for _ in range(kills):
        for _ in range(traffic.random.randrange(1, 25)):
            traffic.step()
            if traffic.random.randrange(10) == 0:
                f.break_link()
        time.sleep(traffic.random.random() * 0.3)
        if traffic.random.randrange(4) == 0:
            node.rpc.savemempool()
        if traffic.random.randrange(3) == 0:
            node.restart(timeout=60)
        else:
            kill_and_restart(node)
        equal(f.account.errors, [])
    source.rpc.generatetoaddress(1, ADDRESS)
    t.wait_same_tip(source, node)
    caught_up(f, 60)
    check(f.account.counts["tx_accepted"] >= 5, f"transactions were told of: {f.account.counts}")
    events = read_events(node)
    again = account_of(events)
    equal((again.errors, again.chain, set(again.pool)), ([], f.account.chain, set(f.account.pool)))
    equal(again.chain, [node.rpc.getblockhash(h) for h in range(again.base, again.height + 1)])


@case(timeout=180)
def nothing_is_missed_or_doubled_through_kills(t):
    kill_loop(t, 8, random.randrange(1 << 30))


@case(timeout=3000, long_only=True)
def nothing_is_missed_or_doubled_through_many_kills(t):
    kill_loop(t, 150, random.randrange(1 << 30))


if __name__ == "__main__":
    main()

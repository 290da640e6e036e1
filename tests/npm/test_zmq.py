"""ZMQ messages (spec rpc 5), received by the npm package zeromq."""
import json
import os
import random
import subprocess
import threading
import time

from scripts import PLACE  # first: it finds the folder of the functional tests

from framework import (ADDRESS, RpcError, Skip, case, check, equal, free_port, is_in, main,
                       wait_until)
from blocks import Block, Tx, TxIn, TxOut, ANYONE, coinbase, from_display
from events import Follower
from txs import coin, hex_of, id_of, mine, move, node_with_coins, output, send

TOPICS = ["hashblock", "rawblock", "hashtx", "rawtx", "hashblock2", "rawblock2", "hashtx2",
          "rawtx2", "invalidtx", "discardedfrommempool", "removedfrommempoolblock"]


class Subscriber:
    """Collects what subscriber.js prints."""

    def __init__(self, t, *addresses):
        if not os.path.isdir(os.path.join(PLACE, "node_modules", "zeromq")):
            raise Skip("npm packages are not installed: tests/npm/run installs them")
        self.messages = []
        self.process = subprocess.Popen(["node", "subscriber.js", *addresses], cwd=PLACE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        t.cleanups.append(self.stop)

    def read(self):
        for line in self.process.stdout:
            self.messages.append(json.loads(line))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.thread.join(10)

    def of(self, topic, start=0):
        return [m["body"] for m in self.messages[start:] if m["topic"] == topic]

    def listens(self, node, *topics):
        """Waits until messages arrive: blocks are made until they do."""
        def heard():
            node.rpc.generatetoaddress(1, ADDRESS)
            time.sleep(0.1)
            return {m["topic"] for m in self.messages} >= set(topics)
        wait_until(heard, 20, f"messages of {topics}")
        return self.after_tip(node, *topics)

    def after_tip(self, node, *topics):
        """How many messages there are when those about the newest block and its coinbase have
        come."""
        tip = node.rpc.getblock(node.tip(), 2)
        first = tip["tx"][0]
        about = {"hashblock": tip["hash"], "rawblock": node.rpc.getblock(tip["hash"], 0),
                 "hashtx": first["txid"], "rawtx": first["hex"]}
        for topic in topics:
            # pylint: disable=cell-var-from-loop
            wait_until(lambda: about[topic.rstrip("2")] in self.of(topic), 20,
                       topic)
        return len(self.messages)

    def expect(self, start, topic, wanted):
        """The messages of a topic from that place on, awaited until they are as many."""
        self.wait(start, topic, len(wanted))
        equal(self.of(topic, start), wanted, topic)

    def wait(self, start, topic, count):
        wait_until(lambda: len(self.of(topic, start)) >= count, 20, f"{count} messages of {topic}")
        return self.of(topic, start)


def address():
    return f"tcp://[::1]:{free_port()}"


def publishing(topics, at):
    options = [f"-zmqpub{topic}={at}" for topic in topics]
    if "invalidtx" in topics:
        options.append("-invalidtxsink=ZMQ")
    return options


def numbered(messages):
    """The numbers of each topic go up by one."""
    last = {}
    for m in messages:
        equal((m["frames"], m["bytes"]), (3, 4))
        if m["topic"] in last:
            equal(m["number"], last[m["topic"]] + 1, m["topic"])
        last[m["topic"]] = m["number"]
    return last


@case(timeout=90)
def blocks_and_reorganisations(t):
    first, second = address(), address()
    node = t.node("-zmqpubhashblock=" + first, "-zmqpubrawblock=" + first,
                  "-zmqpubhashblock2=" + second, "-zmqpubrawblock2=" + second)
    equal(node.rpc.activezmqnotifications(),
          [{"notification": "pub" + name, "address": at} for name, at in
           (("hashblock", first), ("rawblock", first), ("hashblock2", second),
            ("rawblock2", second))])
    s = Subscriber(t, first, second)
    at = s.listens(node, "hashblock", "rawblock", "hashblock2", "rawblock2")
    made = node.rpc.generatetoaddress(3, ADDRESS)
    for topic in ("hashblock", "hashblock2"):
        s.expect(at, topic, made)
    for topic in ("rawblock", "rawblock2"):
        s.expect(at, topic, [node.rpc.getblock(h, 0) for h in made])
    # A branch of two overtakes: the new tip alone, and each block of it.
    at = len(s.messages)
    parent = node.rpc.getblockheader(made[1])
    branch, previous, height = [], parent["hash"], parent["height"]
    for i in range(2):
        block = Block.make(from_display(previous), height + 1 + i, parent["time"] + 10 + i,
                           coinbase_tx=coinbase(height + 1 + i, extra=b"branch"))
        node.rpc.submitblock(block.serialize().hex())
        previous = block.hash_hex
        branch.append(previous)
    equal(node.tip(), branch[-1])
    s.expect(at, "hashblock2", branch)
    s.expect(at, "hashblock", [branch[-1]])
    numbered(s.messages)


@case(timeout=90)
def transactions(t):
    at = address()
    node, chain = node_with_coins(t, *publishing(("hashtx", "rawtx", "hashtx2", "rawtx2"), at))
    s = Subscriber(t, at)
    before, more = s.listens(node, "hashtx", "rawtx", "hashtx2",
                             "rawtx2"), node.rpc.getblockcount() - chain.height
    node.rpc.invalidateblock(node.rpc.getblockhash(chain.height + 1))
    s.wait(before, "hashtx", more), s.wait(before, "rawtx", more)
    start = len(s.messages)
    tx, direct = move(coin(chain, 1)), move(coin(chain, 2))
    send(node, tx)
    for topic in ("hashtx", "hashtx2"):
        s.expect(start, topic, [id_of(tx)])
    for topic in ("rawtx", "rawtx2"):
        s.expect(start, topic, [hex_of(tx)])
    start = len(s.messages)
    block = mine(node, chain, tx, direct)  # one known, one and the coinbase not
    ids = [id_of(x) for x in block.txs]
    s.expect(start, "hashtx", ids)
    s.expect(start, "rawtx", [hex_of(x) for x in block.txs])
    s.expect(start, "hashtx2", [ids[0], ids[2]])
    s.expect(start, "rawtx2", [hex_of(block.txs[0]), hex_of(direct)])
    start = len(s.messages)
    node.rpc.invalidateblock(block.hash_hex)  # back to the mempool
    told = s.wait(start, "hashtx", 5)
    equal(told[:3], ids)
    equal(sorted(told[3:]), sorted(ids[1:]))
    equal(sorted(s.wait(start, "hashtx2", 2)), sorted(ids[1:]))
    numbered(s.messages)


@case(timeout=90)
def what_leaves_the_mempool(t):
    at = address()
    node, chain = node_with_coins(t, *publishing(("discardedfrommempool", "removedfrommempoolblock",
                                                  "hashblock"), at))
    s = Subscriber(t, at)
    start = s.listens(node, "hashblock")
    node.rpc.invalidateblock(node.rpc.getblockhash(chain.height + 1))
    mined, replaced = move(coin(chain, 1)), move(coin(chain, 2))
    send(node, mined)
    send(node, replaced)
    other = move(coin(chain, 2), fee=3000)
    block = mine(node, chain, mined, other)
    s.expect(start, "removedfrommempoolblock",
             [{"reason": "included-in-block", "txid": id_of(mined)}])
    s.expect(start, "discardedfrommempool",
             [{"txid": id_of(replaced), "reason": "collision-in-block-tx",
               "collidedWith": {"txid": id_of(other), "size": len(other.serialize()),
                                "hex": hex_of(other)},
               "blockhash": block.hash_hex}])
    # A spend of a coinbase that a reorganisation makes young again.
    start = len(s.messages)
    young = move(coin(chain, chain.height - 99))
    send(node, young)
    node.rpc.invalidateblock(block.hash_hex)
    wait_until(lambda: {"reason": "reorg",
                        "txid": id_of(young)} in s.of("removedfrommempoolblock", start), 20,
               "the young one leaves")


@case(timeout=90)
def invalid_transactions(t):
    at = address()
    node, chain = node_with_coins(t, *publishing(("invalidtx", "hashblock"), at))
    s = Subscriber(t, at)
    start = s.listens(node, "hashblock")
    good, conflicting = move(coin(chain, 1)), move(coin(chain, 1), fee=3000)
    orphan = move(output(move(coin(chain, 5))))
    greedy = Tx([TxIn(coin(chain, 3)[0], 0)], [TxOut(coin(chain, 3)[2] + 1, ANYONE)])
    send(node, good)
    for tx in (conflicting, orphan, greedy):
        try:
            send(node, tx)
        except RpcError as error:
            is_in(error.code, (-25, -26))
    got = s.wait(start, "invalidtx", 3)
    equal([m["txid"] for m in got], [id_of(x) for x in (conflicting, orphan, greedy)])
    equal(list(got[0]),
          ["fromBlock", "source", "txid", "size", "hex", "isInvalid", "isValidationError",
                         "isMissingInputs", "isDoubleSpendDetected", "isMempoolConflictDetected",
           "isNonFinal",
                         "isValidationTimeoutExceeded", "isStandardTx", "rejectionCode",
           "rejectionReason",
                         "collidedWith", "rejectionTime"])
    equal([m["source"] for m in got], ["rpc"] * 3)
    equal((got[0]["rejectionCode"], got[0]["rejectionReason"]), (258, "txn-mempool-conflict"))
    equal(got[0]["collidedWith"],
          [{"txid": id_of(good), "size": len(good.serialize()), "hex": hex_of(good)}])
    equal((got[1]["isMissingInputs"], got[1]["isInvalid"]), (True, False))
    equal(got[2]["rejectionReason"], "bad-txns-in-belowout")


@case(timeout=90)
def invalid_transactions_of_blocks(t):
    at = address()
    node, chain = node_with_coins(t, *publishing(("invalidtx", "hashblock"), at))
    s = Subscriber(t, at)
    start = s.listens(node, "hashblock")
    good = move(coin(chain, 1))
    greedy = Tx([TxIn(coin(chain, 2)[0], 0)], [TxOut(coin(chain, 2)[2] + 1, ANYONE)])
    failing = move(coin(chain, 3), unlock=b"\x00\x69")  # OP_FALSE OP_VERIFY
    tip = node.rpc.getblockheader(node.tip())
    for i, bad in enumerate((greedy, failing)):
        block = Block.make(from_display(tip["hash"]), tip["height"] + 1, tip["time"] + 1 + i,
                           [good, bad])
        check(node.rpc.submitblock(block.serialize().hex()) is not None, "the block is refused")
        got = s.wait(start, "invalidtx", i + 1)[-1]
        equal((got["txid"], got["fromBlock"], got["origins"]),
              (id_of(bad), True, [{"source": "rpc"}]))
        equal((got["blockhash"], got["blocktime"], got["blockheight"]),
              (block.hash_hex, block.header.time, tip["height"] + 1))
        equal(got["rejectionReason"], ("bad-txns-in-belowout", "blk-bad-inputs")[i])
        equal((got["hex"], got["isInvalid"]), (hex_of(bad), True))
    equal(len(s.of("invalidtx", start)), 2)


@case()
def options_that_cannot_work_stop_the_start(t):
    for options, text in ((["-zmqpubinvalidtx=tcp://127.0.0.1:1"], "-invalidtxsink=ZMQ"),
                          (["-invalidtxsink=ZMQ"], "-zmqpubinvalidtx"),
                          (["-zmqpubhashtx=tcp://nosuch"], "-zmqpubhashtx=tcp://nosuch"),
                          (["-zmqpubrawblock2=nonsense"], "-zmqpubrawblock2=nonsense")):
        node = t.make_node(*options).launch()
        check(node.wait_exit() != 0, str(options))
        is_in(text, node.errors())
    node = t.node("-invalidtxsink=FILE", "-nozmqpubhashblock")
    equal(node.rpc.activezmqnotifications(), [])


@case(timeout=180)
def messages_and_events_through_kills(t):
    """Transactions and blocks reach a subscriber and a client of the event log while the node is
    killed again and again. Messages may be missed while the node is away, and their numbers show
    it; the events are complete, and say all that the messages say."""
    at = address()
    topics = ("hashtx2", "hashblock2", "discardedfrommempool", "removedfrommempoolblock")
    options = publishing(topics, at) + ["-eventlogwait=1"]
    node, chain = node_with_coins(t, *options)
    node.restart()
    s, f = Subscriber(t, at), Follower(node)
    t.cleanups.append(f.stop)
    s.listens(node, "hashblock2", "hashtx2")
    spent, runs = [coin(chain, h) for h in range(1, 11)], []
    for _ in range(6):
        before = s.listens(node, "hashblock2", "hashtx2")
        for _ in range(random.randrange(1, 15)):
            if random.randrange(3):
                tx = move(spent.pop(random.randrange(len(spent))), fee=random.randrange(500, 3000))
                try:
                    send(node, tx)
                    spent.append(output(tx))
                except RpcError:
                    spent.append(coin(chain,
                                      random.randrange(1, 11)))  # lost with a block; take another
            else:
                node.rpc.generatetoaddress(1, ADDRESS)
        node.rpc.generatetoaddress(1, ADDRESS)
        end = s.after_tip(node, "hashblock2", "hashtx2")
        runs.append(s.messages[before:end])
        if random.randrange(2):
            node.kill()
            node.start()
        else:
            node.restart()
        s.messages.clear()
    node.rpc.generatetoaddress(1, ADDRESS)
    wait_until(f.agrees, 60, "the events describe chain and mempool")
    equal((f.account.errors, f.refusals), ([], []))
    for run in runs:
        numbered(run)
        ids = [m["body"] for m in run if m["topic"] == "hashtx2"]
        equal(len(ids), len(set(ids)), "no transaction twice in a run")
        blocks = [m["body"] for m in run if m["topic"] == "hashblock2"]
        equal(len(blocks), len(set(blocks)), "no block twice in a run")
        check(set(blocks) <= f.seen["block_connected"],
              "events tell of all blocks that messages told of")
        removed = {m["body"]["txid"] for m in run if m["topic"] == "removedfrommempoolblock"}
        check(removed <= f.seen["tx_removed"], "and of all that left with a block")
        coinbases = set(ids) - f.seen["tx_accepted"]
        equal(len(coinbases), len(blocks), "what was never in the mempool are coinbases")


if __name__ == "__main__":
    main()

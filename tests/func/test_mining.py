"""Blocks made here: generatetoaddress, candidates and their solutions, templates and proposals."""
import re
import struct
import threading
import time

from blocks import (ANYONE, Block, Header, Tx, TxIn, TxOut, coinbase, display, from_display,
                    sha256d, subsidy)
from framework import ADDRESS, case, check, equal, main, raises_rpc, within
from txs import FEE, MATURE, coin, hex_of, id_of, move, node_with_coins, output, pool, send

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


# --- a miner -------------------------------------------------------------------------------------

def reward(candidate, extra=b""):
    """A coinbase that takes what the candidate offers."""
    return coinbase(candidate["height"], value=candidate["coinbaseValue"], extra=extra)


def root_of(candidate, coinbase_bytes):
    node = sha256d(coinbase_bytes)
    for sibling in candidate["merkleProof"]:
        node = sha256d(node + from_display(sibling))
    return node


def header_of(candidate, coinbase_bytes, **changes):
    fields = {"time": candidate["time"], "version": candidate["version"], **changes}
    version, = struct.unpack("<i", struct.pack("<q", fields["version"])[:4])
    return Header(from_display(candidate["prevhash"]), root_of(candidate, coinbase_bytes),
                  fields["time"], int(candidate["nBits"], 16), version)


def solution(candidate, extra=b"", **changes):
    """The parameter of submitminingsolution, with a coinbase of ours."""
    tx = reward(candidate, extra).serialize()
    header = header_of(candidate, tx, **changes).solve()
    return {"id": candidate["id"], "nonce": header.nonce, "coinbase": tx.hex(), **changes}


# --- generatetoaddress ---------------------------------------------------------------------------

@case()
def generatetoaddress_mines_what_waits(t):
    node, chain = node_with_coins(t)
    parent = move(coin(chain, 1))
    child, other = move(output(parent)), move(coin(chain, 2))
    for tx in (parent, child, other):
        send(node, tx)
    first, second = node.rpc.generatetoaddress(2, ADDRESS)
    equal(node.rpc.getblock(first)["tx"][1:], [id_of(parent), id_of(child), id_of(other)])
    equal(node.rpc.getblock(second)["num_tx"], 1)
    equal(pool(node), set())
    value = node.rpc.getblock(first, 3)["tx"][0]["vout"][0]["value"]
    equal(int(value * 10**8), subsidy(MATURE + 1) + 3 * FEE)


@case()
def behaviour_79_a_free_transaction_is_mined_when_its_child_pays_for_both(t):
    node, chain = node_with_coins(t, "-minminingtxfee=0.00001")
    parent = move(coin(chain, 1), fee=0)
    send(node, parent)
    equal(node.rpc.getminingcandidate()["num_tx"], 1)
    empty, = node.rpc.generatetoaddress(1, ADDRESS)
    equal(node.rpc.getblock(empty)["num_tx"], 1)
    equal(pool(node), {id_of(parent)})
    child = move(output(parent), fee=10 * FEE)
    send(node, child)
    equal(node.rpc.getminingcandidate()["num_tx"], 3)
    full, = node.rpc.generatetoaddress(1, ADDRESS)
    equal(node.rpc.getblock(full)["tx"][1:], [id_of(parent), id_of(child)])
    equal(pool(node), set())


@case()
def a_reorganisation_returns_transactions_that_are_mined_again(t):
    node, chain = node_with_coins(t)
    txs = [move(coin(chain, height)) for height in range(1, 6)]
    for tx in txs:
        send(node, tx)
    block, = node.rpc.generatetoaddress(1, ADDRESS)
    equal(pool(node), set())
    node.rpc.invalidateblock(block)
    equal(pool(node), {id_of(tx) for tx in txs})
    equal(node.rpc.getminingcandidate()["prevhash"], chain.tip_hex)
    again, = node.rpc.generatetoaddress(1, ADDRESS)
    equal(set(node.rpc.getblock(again)["tx"][1:]), {id_of(tx) for tx in txs})
    equal(pool(node), set())


@case()
def a_full_block_takes_those_that_pay_best(t):
    node, chain = node_with_coins(t, "-blockmaxsize=1200")  # a thousand bytes stay free
    equal(len(hex_of(move(coin(chain, 1)))) // 2, 61)
    poor, rich = move(coin(chain, 1), fee=100), [move(coin(chain, h), fee=500) for h in (2, 3)]
    parent = move(coin(chain, 4), fee=100)
    child = move(output(parent), fee=2000)  # lifts its parent above all others
    for tx in [poor, *rich, parent]:
        send(node, tx)
    first = node.rpc.getblocktemplate()
    equal(first["sizelimit"], 10**10)
    node.rpc.setexcessiveblock(3 * 10**9)
    equal(node.rpc.getblocktemplate()["sizelimit"], 3 * 10**9)
    equal(len(first["transactions"]), 3)
    send(node, child)
    block, = node.rpc.generatetoaddress(1, ADDRESS)
    equal(node.rpc.getblock(block)["tx"][1:], [id_of(parent), id_of(child), id_of(rich[0])])
    block, = node.rpc.generatetoaddress(1, ADDRESS)
    equal(set(node.rpc.getblock(block)["tx"][1:]), {id_of(rich[1]), id_of(poor)})


@case()
def blocks_made_here_have_the_version_asked_for(t):
    node = t.node("-blockversion=536870919", "-blockassembler=LEGACY")
    block, = node.rpc.generatetoaddress(1, ADDRESS)
    equal(node.rpc.getblockheader(block)["version"], 0x20000007)
    equal(node.rpc.getminingcandidate()["version"], 0x20000007)
    equal(node.rpc.getblocktemplate()["version"], 0x20000007)


# --- getminingcandidate, submitminingsolution ----------------------------------------------------

@case()
def a_candidate_says_what_a_header_needs(t):
    node, chain = node_with_coins(t)
    candidate = node.rpc.getminingcandidate()
    equal(list(candidate), ["id", "prevhash", "coinbaseValue", "version", "nBits", "time",
                            "height", "num_tx", "sizeWithoutCoinbase", "merkleProof"])
    check(UUID.match(candidate["id"]), candidate["id"])
    equal(candidate["prevhash"], chain.tip_hex)
    equal(candidate["coinbaseValue"], subsidy(MATURE + 1))
    equal(candidate["version"], 0x20000000)
    equal(candidate["nBits"], "207fffff")
    check(abs(candidate["time"] - time.time()) < 60, "time is now")
    equal(candidate["height"], MATURE + 1)
    equal((candidate["num_tx"], candidate["sizeWithoutCoinbase"]), (1, 81))
    equal(candidate["merkleProof"], [])
    check(node.rpc.getminingcandidate()["id"] != candidate["id"], "each has an id of its own")


@case()
def a_miner_solves_a_candidate(t):
    node, chain = node_with_coins(t)
    txs = [move(coin(chain, 1)), move(coin(chain, 2)), move(coin(chain, 3))]
    for tx in txs:
        send(node, tx)
    candidate = node.rpc.getminingcandidate()
    equal(candidate["num_tx"], 4)
    equal(candidate["coinbaseValue"], subsidy(MATURE + 1) + 3 * FEE)
    equal(candidate["sizeWithoutCoinbase"], 81 + sum(len(tx.serialize()) for tx in txs))
    equal(len(candidate["merkleProof"]), 2)
    late = move(coin(chain, 4))
    send(node, late)
    newer = node.rpc.getminingcandidate()
    equal(newer["num_tx"], 5)
    solved = solution(candidate)
    equal(node.rpc.submitminingsolution(solved), True)
    block = node.rpc.getblock(node.tip())
    equal(block["height"], MATURE + 1)
    equal(block["tx"], [display(sha256d(bytes.fromhex(solved["coinbase"])))]
          + [id_of(tx) for tx in txs])
    equal(pool(node), {id_of(late)})
    equal(node.rpc.submitminingsolution(solved), "duplicate")
    after = node.rpc.getminingcandidate()
    equal((after["prevhash"], after["num_tx"]), (node.tip(), 2))
    # A solution of the other one comes too late, but is a good block.
    equal(node.rpc.submitminingsolution(solution(newer)), "inconclusive")
    equal(node.tip(), after["prevhash"])


@case()
def a_coinbase_is_made_on_request(t):
    node, chain = node_with_coins(t, "-miningaddress=" + ADDRESS)
    send(node, move(coin(chain, 1)))
    candidate = node.rpc.getminingcandidate(True)
    equal(list(candidate)[2], "coinbase")
    raw = bytes.fromhex(candidate["coinbase"])
    value = node.rpc.decoderawtransaction(candidate["coinbase"])["vout"][0]
    equal(int(value["value"] * 10**8), candidate["coinbaseValue"])
    equal(value["scriptPubKey"]["addresses"], [ADDRESS])
    header = header_of(candidate, raw).solve()
    equal(node.rpc.submitminingsolution({"id": candidate["id"], "nonce": header.nonce}), True)
    equal(node.rpc.getblock(node.tip())["num_tx"], 2)
    # The miner may bring his own all the same.
    candidate = node.rpc.getminingcandidate(True)
    equal(node.rpc.submitminingsolution(solution(candidate)), True)
    other, _ = node_with_coins(t, blocks=3)
    raises_rpc(-32603, lambda: other.rpc.getminingcandidate(True), "-miningaddress")


@case()
def time_and_version_may_be_changed(t):
    node, chain = node_with_coins(t)
    candidate = node.rpc.getminingcandidate()
    later = candidate["time"] + 100
    equal(node.rpc.submitminingsolution(solution(candidate, time=later, version=0x30000000)), True)
    header = node.rpc.getblockheader(node.tip())
    equal((header["time"], header["version"]), (later, 0x30000000))
    candidate = node.rpc.getminingcandidate()
    early = node.rpc.getblockheader(node.tip())["mediantime"]
    equal(node.rpc.submitminingsolution(solution(candidate, time=early)), "time-too-old")
    equal(node.rpc.submitminingsolution(solution(candidate, time=int(time.time()) + 8000)),
          "time-too-new")
    equal(node.rpc.submitminingsolution(solution(candidate, version=2**32 - 1)), True)
    equal(node.rpc.getblockheader(node.tip())["version"], -1)
    equal(node.rpc.getblockcount(), chain.height + 2)


@case()
def solutions_that_do_not_fit_are_told_apart(t):
    node, _chain = node_with_coins(t)
    submit = node.rpc.submitminingsolution
    candidate = node.rpc.getminingcandidate()
    good = solution(candidate)
    equal(submit(dict(good, id="no-such-id")), "unknown-id")
    raw = bytes.fromhex(good["coinbase"])
    wrong = header_of(candidate, raw).unsolve()
    equal(submit(dict(good, nonce=wrong.nonce)), "high-hash")
    greedy = coinbase(candidate["height"], value=candidate["coinbaseValue"] + 1).serialize()
    nonce = header_of(candidate, greedy).solve().nonce
    equal(submit(dict(good, coinbase=greedy.hex(), nonce=nonce)), "bad-cb-amount")
    equal(submit(dict(good, coinbase=greedy.hex(), nonce=nonce)), "duplicate-invalid")
    raises_rpc(-8, lambda: submit({"id": good["id"], "nonce": 1}), "coinbase is missing")
    raises_rpc(-22, lambda: submit(dict(good, coinbase="00")), "Coinbase decode failed")
    spend = Tx([TxIn(bytes([1] * 32), 0)], [TxOut(1, ANYONE)])
    raises_rpc(-8, lambda: submit(dict(good, coinbase=hex_of(spend))), "not a coinbase")
    raises_rpc(-8, lambda: submit({"id": good["id"], "coinbase": good["coinbase"]}), "nonce")
    raises_rpc(-8, lambda: submit({"nonce": 1}), "id")
    for name, value in (("nonce", -1), ("nonce", 2**32), ("time", -1), ("version", 2**32),
                        ("version", -2**31 - 1)):
        raises_rpc(-8, lambda n=name, v=value: submit(dict(good, **{n: v})), name)
    for name, value in (("nonce", "1"), ("id", 1), ("coinbase", 1), ("unknown", 1)):
        raises_rpc(-3, lambda n=name, v=value: submit(dict(good, **{n: v})), name)
    for wrong in ("text", 5, [], None):
        raises_rpc(-1, lambda w=wrong: submit(w))
    equal(submit(good), True)


@case()
def candidates_of_buried_tips_are_forgotten(t):
    node, _chain = node_with_coins(t)
    old = solution(node.rpc.getminingcandidate())
    node.rpc.generatetoaddress(2, ADDRESS)
    node.rpc.getminingcandidate()
    equal(node.rpc.submitminingsolution(old), "unknown-id")
    candidate = node.rpc.getminingcandidate()
    node.restart()
    equal(node.rpc.submitminingsolution(solution(candidate)), "unknown-id")


@case()
def work_is_given_out_on_the_networks_tip_alone(t):
    node = t.node()
    calls = (node.rpc.getminingcandidate, node.rpc.getblocktemplate)
    for call in calls:
        raises_rpc(-10, call, "downloading")  # the tip is of 2011
    node.rpc.generatetoaddress(1, ADDRESS)
    for call in calls:
        call()
    lonely = t.node(network="testnet")
    for call in (lonely.rpc.getminingcandidate, lonely.rpc.getblocktemplate):
        raises_rpc(-9, call, "not connected")


# --- getblocktemplate ----------------------------------------------------------------------------

def block_from(template, extra=b""):
    """A solved block with everything that is in the template."""
    txs = [coinbase(template["height"], value=template["coinbasevalue"], extra=extra)]
    raw = [bytes.fromhex(tx["data"]) for tx in template["transactions"]]
    level = [txs[0].txid()] + [sha256d(r) for r in raw]
    while len(level) > 1:
        level += level[-1:] * (len(level) % 2)
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    header = Header(from_display(template["previousblockhash"]), level[0], template["curtime"],
                    int(template["bits"], 16), template["version"]).solve()
    body = b"".join([txs[0].serialize()] + raw)
    return header, header.serialize() + bytes([len(raw) + 1]) + body


@case()
def a_template_holds_all_that_a_block_needs(t):
    node, chain = node_with_coins(t)
    parent = move(coin(chain, 1))
    child, other = move(output(parent)), move(coin(chain, 2))
    for tx in (parent, child, other):
        send(node, tx)
    template = node.rpc.getblocktemplate({"mode": "template", "capabilities": ["coinbasevalue"]})
    equal(list(template), ["capabilities", "version", "previousblockhash", "transactions",
                           "coinbaseaux", "coinbasevalue", "longpollid", "target", "mintime",
                           "mutable", "noncerange", "sizelimit", "curtime", "bits", "height"])
    equal(template["capabilities"], ["proposal"])
    equal(template["previousblockhash"], chain.tip_hex)
    equal([tx["txid"] for tx in template["transactions"]],
          [id_of(tx) for tx in (parent, child, other)])
    equal(template["transactions"][1],
          {"data": hex_of(child), "txid": id_of(child), "hash": id_of(child), "depends": [1],
           "fee": FEE, "sigops": 0})
    equal(template["transactions"][2]["depends"], [])
    equal(template["coinbasevalue"], subsidy(MATURE + 1) + 3 * FEE)
    equal(template["target"], "7fffff" + 58 * "0")
    equal(template["noncerange"], "00000000ffffffff")
    equal(template["mutable"], ["time", "transactions", "prevblock"])
    equal(template["mintime"], node.rpc.getblockchaininfo()["mediantime"] + 1)
    _, block = block_from(template)
    equal(node.rpc.submitblock(block.hex()), None)
    equal(pool(node), set())
    equal(node.rpc.getblocktemplate()["transactions"], [])
    equal(node.rpc.getblocktemplate({})["height"], MATURE + 2)


@case()
def before_genesis_signature_operations_are_told_and_limited(t):
    node, chain = node_with_coins(t, genesis=10000)
    heavy = [Tx([TxIn(coin(chain, h)[0], 0)], [TxOut(subsidy(h) - FEE - h, b"\xae" * 150)])
             for h in range(1, 9)]  # 150 CHECKMULTISIG of 20 each
    for tx in heavy:
        send(node, tx)
    template = node.rpc.getblocktemplate()
    equal(template["sigoplimit"], 20000 * 128)
    equal([tx["sigops"] for tx in template["transactions"]], [3000] * 6)
    node.rpc.generatetoaddress(1, ADDRESS)
    equal(len(pool(node)), 2)


@case()
def a_long_poll_ends_with_the_next_block(t):
    node, chain = node_with_coins(t)
    poll = node.rpc.getblocktemplate()["longpollid"]
    equal(poll[:64], chain.tip_hex)
    answers = []

    def ask(request):
        answers.append(node_rpc(node).getblocktemplate(request))
    waiting = [threading.Thread(target=ask, args=({"longpollid": p},)) for p in (poll, "x", 7)]
    for thread in waiting:
        thread.start()
    time.sleep(1)
    equal(answers, [], "they wait")
    blocks = []
    while any(thread.is_alive() for thread in waiting):  # one may begin later than a block comes
        blocks += node.rpc.generatetoaddress(1, ADDRESS)
        for thread in waiting:
            thread.join(0.2)
    equal(len(answers), 3)
    check({a["previousblockhash"] for a in answers} <= set(blocks), "the next block")
    # One of an older tip is answered at once.
    start = time.monotonic()
    equal(node.rpc.getblocktemplate({"longpollid": poll})["previousblockhash"], blocks[-1])
    check(time.monotonic() - start < within(10), "no wait, which would be of a minute")


@case(timeout=150, long_only=True)
def a_long_poll_ends_with_new_transactions_after_a_minute(t):
    node, chain = node_with_coins(t)
    poll = node.rpc.getblocktemplate()["longpollid"]
    send(node, move(coin(chain, 1)))
    start = time.monotonic()
    template = node_rpc(node).getblocktemplate({"longpollid": poll})
    check(55 < time.monotonic() - start < within(90), "about a minute")
    equal(len(template["transactions"]), 1)


def node_rpc(node):
    """A connection of its own, for calls that wait."""
    return type(node.rpc)(node.rpc_port, node.cookie)


@case()
def many_may_poll_and_a_stop_ends_them(t):
    node, _chain = node_with_coins(t)
    poll = node.rpc.getblocktemplate()["longpollid"]
    ended = []

    def ask():
        try:
            ended.append(node_rpc(node).getblocktemplate({"longpollid": poll}))
        except Exception as error:  # whatever a stop does to the connection
            ended.append(error)
    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    start = time.monotonic()
    node.rpc.getblockcount()
    check(time.monotonic() - start < within(10), "workers are free: a poll takes a minute")
    node.stop(timeout=20)
    for thread in threads:
        thread.join(60)
    equal(len(ended), 10)


# --- judging without taking ----------------------------------------------------------------------

@case()
def proposals_are_judged_and_not_kept(t):
    node, chain = node_with_coins(t)
    parent = move(coin(chain, 1))
    send(node, parent)
    template = node.rpc.getblocktemplate()
    header, raw = block_from(template)
    judges = (lambda block: node.rpc.getblocktemplate({"mode": "proposal", "data": block.hex()}),
              lambda block: node.rpc.verifyblockcandidate(block.hex()))
    before = (node.tip(), node.utxo_hash(), pool(node))

    def changed(at, data):
        return raw[:at] + data + raw[at + len(data):]
    nonce = struct.pack("<I", Header.parse(raw).unsolve().nonce)
    unknown = Block.make(chain.tip, chain.height + 1, template["curtime"],
                         [move((bytes(32), 1, 5000))])
    double = Block.make(chain.tip, chain.height + 1, template["curtime"], [parent, parent])
    early = Block.make(chain.tip, chain.height + 1, chain.time - 100)
    for judge in judges:
        equal(judge(raw), None)
        equal(judge(changed(76, nonce)), None)  # proof of work is not asked for
        equal(judge(changed(40, bytes([raw[40] ^ 1]))), "bad-txnmrklroot")
        equal(judge(changed(72, b"\xff\xff\0\x1d")), "bad-diffbits")
        equal(judge(changed(4, from_display(chain.at(5).hash_hex))),
              "inconclusive-not-best-prevblk")
        equal(judge(unknown.serialize()), "bad-txns-inputs-missingorspent")
        equal(judge(double.serialize()), "bad-txns-inputs-missingorspent")
        equal(judge(early.serialize()), "time-too-old")
        equal(judge(chain.at(5).serialize()), "duplicate")
        raises_rpc(-22, lambda j=judge: j(raw[:-1]), "Block decode failed")
        raises_rpc(-22, lambda j=judge: j(raw + b"\0"), "Block decode failed")
    raises_rpc(-22, lambda: node.rpc.getblocktemplate({"mode": "proposal", "data": "xy"}))
    raises_rpc(-3, lambda: node.rpc.getblocktemplate({"mode": "proposal"}), "Missing data")
    for mode in ("nonsense", 1, []):
        raises_rpc(-8, lambda m=mode: node.rpc.getblocktemplate({"mode": m}), "Invalid mode")
    raises_rpc(-1, lambda: node.rpc.getblocktemplate("text"))
    equal((node.tip(), node.utxo_hash(), pool(node)), before)
    equal(node.rpc.submitblock(raw.hex()), None)
    equal(node.tip(), display(header.hash()))


@case()
def submitblock_tells_what_became_of_a_block(t):
    node, chain = node_with_coins(t)
    submit = node.rpc.submitblock
    block = chain.add()
    side = chain.fork(chain.height - 1)
    side_block = side.add(step=7)
    equal(submit(block.serialize().hex()), None)
    equal(submit(block.serialize().hex()), "duplicate")
    equal(submit(side_block.serialize().hex()), "inconclusive")
    equal(submit(side_block.serialize().hex()), "duplicate-inconclusive")
    bad = Block.make(chain.tip, chain.height + 1, chain.time + 1,
                     coinbase_tx=coinbase(chain.height + 1, value=10**10))
    equal(submit(bad.serialize().hex()), "bad-cb-amount")
    equal(submit(bad.serialize().hex()), "duplicate-invalid")
    orphan = Block.make(bytes([7] * 32), 5, chain.time)
    equal(submit(orphan.serialize().hex()), "prev-blk-not-found")
    raises_rpc(-22, lambda: submit("00"), "Block decode failed")
    raises_rpc(-22, lambda: submit("xyz"), "Block decode failed")
    equal(submit(side.add().serialize().hex()), None)  # now the branch is the longer one
    equal(node.tip(), side.tip_hex)


@case()
def a_block_is_answered_while_transactions_keep_coming(t):
    node, chain = node_with_coins(t)
    chains = []
    for height in range(1, 11):
        line = [move(coin(chain, height))]
        while len(line) < 400:
            line.append(move(output(line[-1])))
        chains.append([{"hex": hex_of(tx)} for tx in line])
    stop = threading.Event()

    def flood(mine_of):
        rpc = node_rpc(node)
        for line in mine_of:
            for at in range(0, len(line), 50):
                rpc.sendrawtransactions(line[at:at + 50])
                if stop.is_set():
                    return
    threads = [threading.Thread(target=flood, args=(chains[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            start = time.monotonic()
            equal(node.rpc.submitblock(chain.add().serialize().hex()), None)
            candidate = node.rpc.getminingcandidate()
            equal(candidate["prevhash"], chain.tip_hex)
            check(time.monotonic() - start < within(2), "answered within two seconds")
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


# --- numbers -------------------------------------------------------------------------------------

@case()
def numbers_about_mining(t):
    node, chain = node_with_coins(t)
    info = node.rpc.getmininginfo()
    equal(list(info), ["blocks", "currentblocksize", "currentblocktx", "difficulty", "errors",
                       "networkhashps", "pooledtx", "chain"])
    equal((info["blocks"], info["currentblocksize"], info["currentblocktx"], info["pooledtx"]),
          (MATURE, 0, 0, 0))
    equal(info["chain"], "regtest")
    send(node, move(coin(chain, 1)))
    candidate = node.rpc.getminingcandidate()
    info = node.rpc.getmininginfo()
    equal((info["currentblocksize"], info["currentblocktx"], info["pooledtx"]),
          (candidate["sizeWithoutCoinbase"], 1, 1))
    # Every block is worth two hashes, and they lie a second apart.
    for arguments, rate in (((10,), 2), ((100,), 2), ((10, 50), 2), ((5, 0), 0), ((5, 10**6), 2)):
        equal(float(node.rpc.getnetworkhashps(*arguments)), float(rate), str(arguments))
    # Genesis lies years before the others.
    slow = node.rpc.getnetworkhashps()
    for arguments in ((120, -1), (10**9,), (0,), (-1,)):
        equal(node.rpc.getnetworkhashps(*arguments), slow, str(arguments))
    check(0 < slow < 0.01, "less than two hashes a second")
    equal(node.rpc.getmininginfo()["networkhashps"], slow)


if __name__ == "__main__":
    main()

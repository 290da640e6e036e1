"""verifyscript (spec rpc 3): results, flags, time, and what is wrong with an entry."""
import threading
import time

from blocks import ANYONE, Chain, Key, Tx, TxIn, TxOut, coinbase, push, subsidy
from framework import Rpc, RpcError, case, check, equal, is_in, main, raises_rpc, within

KEY = Key(7)
# P2SH, STRICTENC, LOW_S, NULLFAIL, FORKID; then GENESIS and SIGPUSHONLY, and the output's own bit.
FLAGS = 1 | 2 | 8 | 1 << 14 | 1 << 16
GENESIS = 1 << 18 | 1 << 5
OUTPUT_GENESIS = 1 << 19


def node_with_chain(t, *options, genesis=1000):
    """Block 1 pays the key, block 2 anybody; both may be spent."""
    chain = Chain(start_time=int(time.time()) - 3600)
    chain.add(coinbase_tx=coinbase(1, KEY.script))
    chain.grow(109)
    node = t.node(f"-genesisactivationheight={genesis}", *options)
    for block in chain.blocks:
        equal(node.rpc.submitblock(block.serialize().hex()), None)
    return node, chain


def signed(chain, value=None, fee=1000):
    tx = Tx([TxIn(chain.at(1).txs[0].txid(), 0)], [TxOut((value or subsidy(1)) - fee, ANYONE)])
    tx.sign_input(0, KEY, subsidy(1), KEY.script)
    return tx


def broken(chain):
    tx = signed(chain)
    tx.outputs[0].value -= 1
    return tx


def entry(tx, n=0, **more):
    return dict({"tx": tx.serialize().hex(), "n": n}, **more)


def txo(script=KEY.script, value=None, **height):
    return dict({"lock": script.hex(), "value": subsidy(1) if value is None else value}, **height)


def results(node, scripts, *more):
    answer = node.rpc.verifyscript(scripts, *more)
    for one in answer:
        is_in(one["result"], ("ok", "error", "timeout", "skipped"))
        equal("description" in one, one["result"] != "ok", str(one))
    return [one["result"] for one in answer]


@case()
def good_and_bad_scripts(t):
    node, chain = node_with_chain(t)
    good, bad = signed(chain), broken(chain)
    equal(node.rpc.verifyscript([entry(good)]), [{"result": "ok"}])
    answer = node.rpc.verifyscript([entry(bad)])
    equal(answer[0]["result"], "error")
    is_in("Signature must be zero", answer[0]["description"])
    equal(results(node, []), [])
    equal(results(node, [entry(bad), entry(good)]), ["error", "skipped"])
    equal(results(node, [entry(bad), entry(good)], True), ["error", "skipped"])
    equal(results(node, [entry(bad), entry(good)], False), ["error", "ok"])
    equal(results(node, [entry(good)] * 50, False, 5000), ["ok"] * 50)
    equal(results(node, [entry(good), entry(good)], True, 0), ["skipped", "skipped"])
    equal(node.rpc.call("verifyscript", scripts=[entry(good)], totalTimeout=1000),
          [{"result": "ok"}])
    # A coin given rather than looked up; an output of the mempool; one that is nowhere.
    other = Tx([TxIn(b"\x77" * 32, 5)], [TxOut(1, ANYONE)])
    raises_rpc(-8, lambda: node.rpc.verifyscript([entry(other)]), "Unable to find TXO")
    equal(results(node, [entry(other, txo=txo(ANYONE, 1, height=5))]), ["ok"])
    equal(results(node, [entry(other, txo=txo(b"", 1, height=5))]), ["error"], "an empty script")
    equal(results(node, [entry(good, txo=txo(height=1))]), ["ok"])
    equal(results(node, [entry(good, txo=txo(value=5, height=1))]), ["error"], "another amount")
    node.rpc.sendrawtransaction(good.serialize().hex())
    child = Tx([TxIn(good.txid(), 0)], [TxOut(1, ANYONE)])
    equal(results(node, [entry(child)]), ["ok"])


@case()
def flags_are_those_of_block_and_output(t):
    node, chain = node_with_chain(t, genesis=112)
    good = signed(chain)
    base = node.rpc.verifyscript([entry(good, reportflags=True)])[0]
    equal(base, {"result": "ok", "flags": FLAGS})
    equal(node.rpc.verifyscript([entry(good, reportflags=False)]), [{"result": "ok"}])

    def flags(**more):
        return node.rpc.verifyscript([entry(good, reportflags=True, **more)])[0]["flags"]

    equal(flags(prevblockhash=node.tip(), txo=txo(height=1)), FLAGS)
    equal(flags(flags=FLAGS), FLAGS)
    equal(flags(flags=FLAGS | OUTPUT_GENESIS), FLAGS, "the height of the output decides")
    equal(flags(flags=FLAGS | OUTPUT_GENESIS, txo=txo()), FLAGS | OUTPUT_GENESIS,
          "unless it is not known")
    equal(flags(txo=txo(height=111)), FLAGS)
    equal(flags(txo=txo(height=112)), FLAGS | OUTPUT_GENESIS)
    equal(flags(txo=txo(height=-1)), FLAGS, "the mempool is at 111")
    block = chain.add()
    node.rpc.submitblock(block.serialize().hex())
    equal(flags(), FLAGS | GENESIS, "the next block is the first of Genesis")
    equal(flags(txo=txo(height=-1)), FLAGS | GENESIS | OUTPUT_GENESIS)
    equal(flags(prevblockhash=chain.at(110).hash_hex), FLAGS)
    # Without FORKID the signature is one of another form.
    equal(results(node, [entry(good, flags=1)]), ["error"])
    equal(results(node, [entry(good, flags=-1)]) in (["error"], ["ok"]), True)


def slow_script():
    """Hashes 100 kB again and again: a second or so, within policy's limits."""
    return push(b"\x2a" * 100000) + b"\x76\xa8\x75" * 30000 + b"\x75\x51"


@case()
def time_is_bounded(t):
    node, chain = node_with_chain(t, genesis=1)
    quick = entry(signed(chain))
    spend = Tx([TxIn(b"\x55" * 32, 0)], [TxOut(1, ANYONE)])
    slow = entry(spend, txo=txo(slow_script(), 1, height=5))
    started = time.monotonic()
    equal(results(node, [quick, slow, quick], False, 5000), ["ok", "timeout", "ok"],
          "one script has the time of a standard transaction")
    equal(results(node, [quick, slow, quick], True, 5000), ["ok", "timeout", "skipped"])
    equal(results(node, [slow] * 20, False, 20)[-1], "skipped", "all together have what was given")
    check(time.monotonic() - started < within(20), "in time")
    equal(results(node, [slow], False, 2**40), ["timeout"])


@case()
def waiting_for_transactions_under_way(t):
    node, chain = node_with_chain(t, genesis=1)
    equal(node.rpc.waitforptvcompletion(), None, "nothing is under way")
    lock = slow_script()
    fund = Tx([TxIn(chain.at(2).txs[0].txid(), 0)], [TxOut(subsidy(2) - 10**6, lock)])
    block = chain.add(fund)
    equal(node.rpc.submitblock(block.serialize().hex()), None)
    slow = Tx([TxIn(fund.txid(), 0)], [TxOut(10**6, ANYONE)])
    ended = []

    def send():
        try:
            ended.append(Rpc(node.rpc_port,
                             node.cookie).sendrawtransaction(slow.serialize().hex(), True, True))
        except RpcError as error:
            ended.append(error.code)

    started = time.monotonic()
    thread = threading.Thread(target=send)
    thread.start()
    node.wait_busy(0.05)
    node.rpc.waitforptvcompletion()
    waited = time.monotonic() - started
    thread.join(60)
    equal(len(ended), 1, "judged, whatever came out")
    check(waited > (time.monotonic() - started) / 2, "not before the end of its script")


@case()
def wrong_entries_are_explained(t):
    node, chain = node_with_chain(t)
    good = entry(signed(chain))

    def wrong(code, text, *entries, **more):
        made = list(entries) or [dict(good, **more)]
        raises_rpc(code, lambda: node.rpc.verifyscript(made), text)

    for no_object in ("abc", 123, True, None, []):
        wrong(-1, "object", no_object)
    wrong(-8, "Missing scripts[0].tx", {})
    wrong(-8, "Missing scripts[0].n", {"tx": good["tx"]})
    wrong(-8, "Missing scripts[1].tx", good, {"n": 0})
    wrong(-3, "Unexpected key scripts[0].x", x=1)
    for tx in ("", "00", "zz", good["tx"][:-2], good["tx"] + "00"):
        wrong(-22, "TX decode failed for scripts[0].tx", tx=tx)
    for n in (-1, 1, 2**40):
        wrong(-8, "scripts[0].n", n=n)
    wrong(-3, "scripts[0].n", n="0")
    wrong(-8, "Both flags and prevblockhash", flags=1, prevblockhash=node.tip())
    wrong(-8, "Unknown block", prevblockhash="00" * 32)
    wrong(-8, "length 64", prevblockhash="00")
    wrong(-8, "scripts[0].flags", flags=2**32)
    for no_txo in (0, "abc", True, []):
        wrong(-3, "Expected type object for scripts[0].txo", txo=no_txo)
    wrong(-8, "Missing scripts[0].txo.lock", txo={"value": 1, "height": 0})
    wrong(-8, "Missing scripts[0].txo.value", txo={"lock": "", "height": 0})
    wrong(-8, "Missing scripts[0].txo.height", txo={"lock": "", "value": 1})
    wrong(-8, "hexadecimal", txo={"lock": "01abc", "value": 1, "height": 0})
    wrong(-8, "scripts[0].txo.value", txo={"lock": "", "value": -1, "height": 0})
    wrong(-8, "scripts[0].txo.height", txo={"lock": "", "value": 1, "height": -2})
    raises_rpc(-8, lambda: node.rpc.verifyscript([good], True, -1), "totalTimeout")
    raises_rpc(-1, lambda: node.rpc.verifyscript([good], 1))
    equal(results(node, [good]), ["ok"])


if __name__ == "__main__":
    main()

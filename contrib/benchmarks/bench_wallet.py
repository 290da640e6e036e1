"""Rows of contrib/bench about the wallet: wallet wallet_keys rescan.

All but rescan without a daemon, on one thread, in processor time, with the store in memory.
"""
import time

from bench_frame import wait_for
from bench_sync import signed_chain

BALANCE_MS = 10
CHOICE_MS = 100
OPEN_S = 1
PHRASE = "abandon " * 11 + "about"
SCAN = 3  # times the reading; less than that of a disk, so that the disk decides


def wallet(bench):
    facts = bench.tool("bench_wallet", str(bench.options.coins))
    coins = f"{facts['coins']:,} coins"
    bench.row(f"wallet of {coins}: balance", f"{facts['balance_ms']:.2f} ms",
              f"under {BALANCE_MS} ms", facts["balance_ms"] < BALANCE_MS)
    bench.row(f"wallet of {coins}: coins chosen for a payment, most of them needed",
              f"{facts['choice_ms']:.1f} ms", f"under {CHOICE_MS} ms",
              facts["choice_ms"] < CHOICE_MS)
    bench.row(f"wallet of {coins}: memory, and time to apply",
              f"{facts['bytes']} bytes and {facts['apply_us']:.1f} us a coin")
    bench.row("rescan, a transaction of 2 inputs and 2 outputs of others",
              f"{facts['pick_ns']:.0f} ns")


def wallet_keys(bench):
    facts = bench.tool("bench_wallet_keys", str(bench.options.coins))
    keys = f"{facts['keys']:,} keys"
    bench.row(f"wallet of {keys}: opened", f"{facts['again_s']:.3f} s", f"under {OPEN_S} s",
              facts["again_s"] < OPEN_S)
    bench.row("  the first time, when all are derived", f"{facts['first_s']:.2f} s")
    times = facts["scan_us"] / facts["read_us"]
    bench.row(f"rescan with {keys}, to reading the same blocks from memory",
              f"{times:.2f} times, {facts['scan_us']:.2f} us a transaction",
              f"under {SCAN} times", times < SCAN)


def seconds_of(call, *arguments):
    start = time.monotonic()
    call(*arguments)
    return time.monotonic() - start


def rescan(bench):
    """Against verifychain at the level that reads the blocks and checks nothing else."""
    facts = signed_chain(bench)
    node = bench.node_with("rescanned", facts, "-maxtipage=86400")
    node.rpc.createwallet(wallet_name="w", phrase=PHRASE)
    wait_for("the wallet's tip",
             lambda: node.rpc.getwalletinfo()["height"] == facts["height"], 60)
    pairs = [(seconds_of(node.rpc.rescanblockchain, 0), seconds_of(node.rpc.verifychain, 0, 0))
             for _ in range(3)]
    scan, read = (min(times) for times in zip(*pairs))
    node.stop()
    bench.row("rescan of a chain, to reading its blocks", f"{scan / read:.2f} times, {scan:.3f} s",
              f"under {SCAN} times", scan < SCAN * read)


ROWS = {"wallet": wallet, "wallet_keys": wallet_keys, "rescan": rescan}

"""Rows of contrib/bench about the wallet: wallet wallet_keys.

Without a daemon, on one thread, in processor time, with the store in memory.
"""

BALANCE_MS = 10
CHOICE_MS = 100
OPEN_S = 1
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


ROWS = {"wallet": wallet, "wallet_keys": wallet_keys}

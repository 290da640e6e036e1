"""Row of contrib/bench about the wallet: wallet.

Without a daemon, on one thread, in processor time, with the store in memory.
"""

BALANCE_MS = 10
CHOICE_MS = 100


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


ROWS = {"wallet": wallet}

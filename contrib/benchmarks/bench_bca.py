"""Row of contrib/bench about Bitcoin-Certified Addresses: bca.

Without a daemon, on one thread, in processor time. The proofs are the largest there are, and none
has anything in common with the next.
"""

PROOFS_A_SECOND = 40_000
FORM_US = 2


def bca(bench):
    facts = bench.tool("bench_bca", str(bench.options.ms))
    rate = 1e6 / facts["verify_us"]
    bench.row(f"BCA proofs of {facts['bytes']:,} bytes verified, one core",
              f"{rate:,.0f}/s, {facts['verify_us']:.1f} us each",
              f"at least {PROOFS_A_SECOND:,}/s", rate >= PROOFS_A_SECOND)
    bench.row("BCA addresses formed, one core", f"{facts['form_us']:.2f} us each",
              f"under {FORM_US} us", facts["form_us"] < FORM_US)


ROWS = {"bca": bca}

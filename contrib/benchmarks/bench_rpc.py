"""Rows of contrib/bench about RPC: small and large calls over keep-alive connections.

bench_load is the client; its bare server, which answers at once, shows what sockets allow in the
same run. Targets: twice the reference's rate, for small calls on sixteen connections 1.25 times.
"""
from bench_frame import MIB, body, connections_text, duration, latencies

FIRST_BYTE_US = 50_000
MANY = 16           # connections
ORDINARY, LARGE = 102, 103  # heights of these blocks in the chain


class Calls:
    """The daemon that is asked, and how a row of calls is measured."""

    def __init__(self, bench):
        o = bench.options
        self.bench = bench
        spends = bench.path("spendblock")
        facts = bench.chain("rpc", f"-inputs={2 * o.block}", f"-txs={o.block}", "-pertx=2",
                            f"-spends={o.spends}", "-spendblock=" + spends, f"-big={o.large}")
        self.node = bench.node("rpc", "-loadblock=" + facts["file"], "-loadblock=" + spends,
                               "-txindex")
        self.node.start()
        rpc = self.node.rpc
        self.node.wait_import(facts["height"] + 1, 600)
        self.headers = [rpc.getblockhash(h) for h in range(1, facts["height"] + 1)]
        self.ordinary, self.large = rpc.getblockhash(ORDINARY), rpc.getblockhash(LARGE)
        self.spends = rpc.getbestblockhash()
        self.txids = rpc.getblock(self.ordinary, 1)["tx"][1:]

    def rate_row(self, what, requests, connections, target=None):
        facts = self.bench.load(self.node, requests, f"-connections={connections}",
                                f"-ms={self.bench.options.ms}")
        rate = facts["rate"]
        self.bench.row(f"{what}, {connections_text(connections)}",
                       f"{rate:,.0f}/s, {latencies(facts, 'whole')}, CPU {facts['cpu_us']:,.0f} us",
                       f"at least {target:,}/s" if target else "", not target or rate >= target)
        return facts

    def block_rows(self, what, block, targets=None):
        for verbosity, name in ((0, "raw"), (1, "verbosity 1"), (2, "verbosity 2")):
            if targets or verbosity < 2:
                self.rate_row(f"getblock, {what}, {name}", [body("getblock", block, verbosity)], 1,
                              targets and targets[verbosity])

    def first_byte_rows(self, what, block, count):
        for verbosity, name in ((0, "raw"), (1, "verbosity 1")):
            facts = self.bench.load(self.node, [body("getblock", block, verbosity)],
                                    f"-count={count}")
            first = facts["first_p50_us"]
            speed = facts["bytes"] / facts["seconds"] / 1e6
            self.bench.row(f"getblock, {what}, {name}",
                           f"{latencies(facts, 'whole')}, {speed:,.0f} MB/s, "
                           f"CPU {duration(facts['cpu_us'])}")
            self.bench.row("  first byte", latencies(facts, "first"), "under 50 ms",
                           first < FIRST_BYTE_US)


# --- rows ----------------------------------------------------------------------------------------

def calls_of(bench):
    """One daemon for all rows of this file."""
    if not hasattr(bench, "calls"):
        bench.calls = Calls(bench)
    return bench.calls


def bare(bench, connections):
    facts = bench.tool("bench_load", "bare", f"-connections={connections}",
                       f"-ms={bench.options.ms}")
    rate = facts["requests"] / facts["seconds"]
    bench.row(f"bare request loop, {connections_text(connections)}",
              f"{rate:,.0f}/s, {latencies(facts, 'whole')}")
    return rate


def small(bench):
    calls = calls_of(bench)
    for connections, targets in ((1, (23_000, 19_800, 18_400)), (MANY, (59_750, None, None))):
        bare_rate = bare(bench, connections)
        facts = calls.rate_row("getblockcount", [body("getblockcount")], connections, targets[0])
        bench.row("  ratio to the bare request loop", f"{facts['rate'] / bare_rate:.2f}")
        calls.rate_row("getblockheader", [body("getblockheader", h) for h in calls.headers],
                       connections, targets[1])
        calls.rate_row("getrawtransaction", [body("getrawtransaction", i) for i in calls.txids],
                       connections, targets[2])


def blocks(bench):
    calls = calls_of(bench)
    calls.block_rows(size_of(calls, calls.ordinary), calls.ordinary, (468, 252, 44))
    calls.first_byte_rows(size_of(calls, calls.spends), calls.spends, 20)


def large(bench):
    calls = calls_of(bench)
    calls.node.reset_peak_memory()
    before = calls.node.memory()
    calls.first_byte_rows(size_of(calls, calls.large), calls.large, 3)
    bench.row("  memory it took", f"{calls.node.memory_rise(before) / MIB:.0f} MiB")


def size_of(calls, block):
    return f"block of {calls.node.rpc.getblock(block, 1)['size'] / 1e6:.2f} MB"


ROWS = {"small": small, "blocks": blocks, "large": large}

"""Rows of contrib/bench about payment channels: payments, payments_memory.

Two daemons on loopback, real ones, paid over RPC in batches of JSON-RPC; an answer means that the
payment is synced on both sides. payments has the journals on the disk of the working directory,
payments_memory in memory: what processors alone allow. Beside them, in the same run and place: how
often one sector is written and synced, and how fast the processors sign and verify.
"""
import os
import shutil
import tempfile

from bench_files import Case
from bench_frame import body, cpu_seconds, duration, latencies, wait_for
from framework import equal
from paychannels import channel, mine, payers, state

PAYMENTS_PER_S = 10_000
CHANNELS = 100
CAPACITY = 10_000_000
MEMORY = "/dev/shm"
OPTIONS = ["-paychannelopens=100000", "-paychannelmax=100000000"]


class Place(Case):
    """The nodes of a case in this directory."""

    def __init__(self, bench, directory):
        super().__init__(bench)
        self.directory = directory

    def node(self, *options):
        self.count += 1
        name = os.path.join(self.directory, f"payer{self.count}")
        return self.bench.node(name, *options).start()

    def wait_same_tip(self, a, b):
        wait_for("one tip",
                 lambda: a.rpc.getbestblockhash() == b.rpc.getbestblockhash(), 60)


def coins(a, count):
    """Own coins, confirmed, so that no funding waits for another."""
    a.rpc.sendmany("", {a.rpc.getnewaddress(): 1.1 * CAPACITY / 10**8 for _ in range(count)})
    mine(a)


def open_channels(case, a, b, count):
    coins(a, count)
    ids = [a.rpc.openchannel("bob", CAPACITY)["id"] for _ in range(count)]
    wait_for("all fundings", lambda: len(b.rpc.getrawmempool()) == count, 60)
    mine(b, 6)
    case.wait_same_tip(a, b)
    wait_for("open channels", lambda: all(
        c["state"] == "open" and c.get("limit", 0) > CAPACITY // 2
        for c in a.rpc.listpaychannels()), 60)
    return ids


def call(id):
    return body("pay", "bob", 1, "", id)


def batches(ids, each):
    """One body, over all channels in turn."""
    calls = [call(id) for id in ids] * (each // len(ids))
    return ["[" + ",".join(calls) + "]"]


def paid(node):
    return sum(c["n"] for c in node.rpc.listpaychannels())


def measure(bench, a, b, ids, each):
    """Payments a second, and the CPU time of payer and payee for one."""
    total = bench.options.payments
    n_batches = max(1, total // each)
    before = paid(a), cpu_seconds(a), cpu_seconds(b)
    facts = bench.load(a, batches(ids, each), "-connections=8", f"-count={n_batches}")
    count = paid(a) - before[0]
    equal((count, paid(b)), (n_batches * (each // len(ids)) * len(ids), paid(a)))
    return (count / facts["seconds"], (cpu_seconds(a) - before[1]) / count,
            (cpu_seconds(b) - before[2]) / count)


def show(bench, what, result, bare, target=0):
    rate, payer, payee = result
    bench.row(f"payments, durable on both sides, {what}", f"{rate:,.0f}/s",
              f"at least {target:,}/s" if target else "", rate >= target)
    bench.row("  payments for one bare flush, and of what both sides' signatures allow",
              f"{rate * bare['flush']:.1f}, {rate * bare['on_threads']:.2f}")
    by_cpu = os.cpu_count() / (payer + payee)  # what a busy machine says nothing about
    bench.row("  CPU time of payer and payee; by that all cores together",
              f"{1e6 * payer:.0f} us, {1e6 * payee:.0f} us; {by_cpu:,.0f}/s",
              f"at least {target:,}/s" if target else "", by_cpu >= target)


def run(bench, directory, where, target):
    threads = os.cpu_count()
    bare = bench.tool("bench_paychan", directory, str(bench.options.ms), str(threads))
    bench.row(f"bare flush of a sector {where}", f"{duration(1e6 * bare['flush'])}")
    bench.row("bare signature, verification; both on all cores",
              f"{1e6 * bare['sign']:.0f} us, {1e6 * bare['verify']:.0f} us; "
              f"{1 / bare['on_threads']:,.0f}/s")
    case = Place(bench, directory)
    a, b = payers(case, *OPTIONS)
    ids = open_channels(case, a, b, CHANNELS if bench.options.size != "tiny" else 3)
    each = 2000 if bench.options.size != "tiny" else 3
    show(bench, f"one channel {where}", measure(bench, a, b, ids[:1], each), bare)
    show(bench, f"{len(ids)} channels {where}", measure(bench, a, b, ids, each), bare, target)
    for connections in (1, 16):
        facts = bench.load(a, [call(id) for id in ids], f"-connections={connections}",
                           f"-ms={bench.options.ms}")
        bench.row(f"  one payment, asked for until acknowledged, {connections} at a time {where}",
                  latencies(facts, "whole"))
    for node in (a, b):
        node.stop()


def payments(bench):
    directory = bench.path("payments")
    os.mkdir(directory)
    run(bench, directory, "on disk", PAYMENTS_PER_S)


def payments_memory(bench):
    directory = tempfile.mkdtemp(prefix="bsvpeer-bench-", dir=MEMORY)
    try:
        run(bench, directory, "in memory", 0)
    finally:
        bench.stop()
        shutil.rmtree(directory, ignore_errors=True)


ROWS = {"payments": payments, "payments_memory": payments_memory}

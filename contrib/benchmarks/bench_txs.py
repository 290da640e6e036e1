"""Rows of contrib/bench about transactions: batches singles known.

All are signed before the clock starts; each has one input, with a key of its own, and one output.
The bare verification loop runs over the same signatures, and ratios compare CPU times: what is left
over is parsing, hashing, looking up coins, the mempool, and telling others.
"""
import json
import re
import subprocess
import time

from bench_frame import (MIB, body, connections_text, cpu_seconds, duration, latencies, wait_for,
                         wait_tip)

ERA = ["-genesisactivationheight=100", "-chronicleactivationheight=100"]
LINKS = 25          # of a chain of transactions
BATCH = 1000        # transactions of one sendrawtransactions
MANY = 16           # connections
FRAME = 24          # bytes before the payload of a message
RECORD = 8          # bytes before a block in a file

# The targets, and what a bare verification costs on the machine they were set on: on a slower one
# the share of it counts.
RATE, BARE_RATE = 30_000, 54_400        # transactions, signatures a second on two cores
CPU_US, BARE_CPU_US = 55, 36.8


class Spends:
    """Transactions in chains of some links, and the chain of blocks with what they spend."""

    def __init__(self, bench, n, links):
        name = f"spends-{n}-{links}"
        self.bench, self.n, self.links = bench, n, links
        self.messages, self.block = bench.path(name + ".msg"), bench.path(name + ".block")
        self.signatures = bench.path(name + ".sig")
        self.facts = bench.chain(name, "-inputs=0", f"-spends={n}", f"-chained={links}",
                                 "-messages=" + self.messages, "-spendblock=" + self.block,
                                 "-signatures=" + self.signatures)
        self.name = f"{n:,} " + ("independent" if links == 1 else f"in chains of {links}")

    def node(self, *options):
        return self.bench.node_with("txs", self.facts, *ERA, *options)

    def hex(self):
        """The transactions in order."""
        with open(self.messages, "rb") as file:
            data = file.read()
        at, found = 0, []
        while at < len(data):
            end = at + FRAME + int.from_bytes(data[at + 16:at + 20], "little")
            found.append(data[at + FRAME:end].hex())
            at = end
        return found

    def submit_block(self):
        with open(self.block, "rb") as file:
            return body("submitblock", file.read()[RECORD:].hex())


def acceptance_rows(spends, how, seconds, cpu, peak):
    """Two rows: how fast, and the CPU time beside that of a bare verification."""
    bench = spends.bench
    bench.bare_loop(spends.signatures)
    rate, cpu_us = spends.n / seconds, 1e6 * cpu / spends.n
    rate_share, rate_target = rate * bench.bare_seconds, RATE / BARE_RATE
    cpu_share, cpu_target = cpu_us / (1e6 * bench.bare_cpu), CPU_US / BARE_CPU_US
    bench.row(f"{how}, {spends.name}",
              f"{seconds:.2f} s, {rate:,.0f}/s, {rate_share:.2f} of the bare rate, "
              f"{peak / MIB:.0f} MiB",
              f"at least {RATE:,}/s, or {rate_target:.2f} of the bare rate",
              rate >= RATE or rate_share >= rate_target)
    bench.row("  CPU a transaction", f"{cpu_us:.0f} us, {cpu_share:.2f} of a bare verification",
              f"under {CPU_US} us, or {cpu_target:.2f} of a bare verification",
              cpu_us < CPU_US or cpu_share < cpu_target)


def send_from_peer(spends, node):
    """All of them as a peer that does not wait to be asked; seconds until the last is in the
    mempool, and the daemon's CPU time."""
    before = cpu_seconds(node)
    command = spends.bench.tool_command("bench_load", "txs", f"-port={node.port}",
                                        "-messages=" + spends.messages)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
        facts = json.loads(load.stdout.readline())
        wait_for("all in the mempool",
                 lambda: node.rpc.getmempoolinfo()["size"] == spends.n, 120)
        seconds, cpu = time.monotonic() - facts["start"], cpu_seconds(node) - before
    return seconds, cpu


def submit_in_batches(spends, node, connections):
    """All of them through sendrawtransactions; facts of the load."""
    all_hex = spends.hex()
    bodies = [body("sendrawtransactions", [{"hex": h} for h in all_hex[i:i + BATCH]])
              for i in range(0, len(all_hex), BATCH)]
    facts = spends.bench.load(node, bodies, f"-connections={connections}", f"-count={len(bodies)}")
    check_all_in(spends.n, node)
    return facts


def check_all_in(n, node):
    size = node.rpc.getmempoolinfo()["size"]
    if size != n:
        raise SystemExit(f"bench: {size} of {n} transactions are in the mempool")


# --- rows ----------------------------------------------------------------------------------------

def wire(bench):
    for n in bench.options.txs:
        for links in (1, LINKS):
            spends = Spends(bench, n, links)
            node = spends.node()
            before = node.memory()
            node.reset_peak_memory()
            seconds, cpu = send_from_peer(spends, node)
            acceptance_rows(spends, "from a peer", seconds, cpu, node.memory_rise(before))
            node.stop()


def batches(bench):
    for links in (1, LINKS):
        spends = Spends(bench, bench.options.txs[0], links)
        node = spends.node()
        before = node.memory()
        node.reset_peak_memory()
        facts = submit_in_batches(spends, node, 1)
        acceptance_rows(spends, f"sendrawtransactions of {BATCH:,}", facts["seconds"],
                        facts["cpu_us"] * facts["requests"] / 1e6, node.memory_rise(before))
        node.stop()


def singles(bench):
    spends, count = Spends(bench, bench.options.txs[0], 1), bench.options.singles
    node, all_hex, done = spends.node(), spends.hex(), 0
    for connections in (1, MANY):
        bodies = [body("sendrawtransaction", h) for h in all_hex[done:done + count]]
        facts = bench.load(node, bodies, f"-connections={connections}", f"-count={count}")
        done += count
        check_all_in(done, node)
        bench.row(f"sendrawtransaction, {connections_text(connections)}",
                  f"{facts['rate']:,.0f}/s, {latencies(facts, 'whole')}, "
                  f"CPU {facts['cpu_us']:,.0f} us", "at least 11,200/s", facts["rate"] >= 11_200)
    node.stop()


def known(bench):
    spends = Spends(bench, bench.options.txs[0], 1)
    height, times = spends.facts["height"] + 1, {}
    for name in ("unknown", "known"):
        node = spends.node("-debug=bench")
        if name == "known":
            submit_in_batches(spends, node, 1)
        facts = bench.load(node, [spends.submit_block()], "-count=1")
        found = re.search(rf"connect: height {height}, .* in (\d+) us, .* (\d+) us", node.log())
        if not found:
            raise SystemExit("bench: the block was not connected")
        judged, times[name] = (int(text) for text in found.groups())
        bench.row(f"block of {spends.n:,} {name} transactions",
                  f"connected in {duration(times[name])}, judged in {duration(judged)}; "
                  f"submitblock {duration(facts['whole_p50_us'])}, CPU {duration(facts['cpu_us'])}")
        node.stop()
    bench.row("  known to unknown", f"{times['known'] / times['unknown']:.2f}")


def relay(bench):
    """Peers on this machine are whitelisted: nothing is held back for them."""
    spends = Spends(bench, bench.options.txs[0], 1)
    first = spends.node("-whitelist=::1")
    second = bench.node("second", *ERA, "-whitelist=::1", "-connect=" + first.p2p)
    second.start()
    wait_tip(second, spends.facts["tip"])
    for hops, last in ((1, first), (2, second)):
        facts = bench.tool("bench_load", "relay", f"-port={first.port}", f"-to={last.port}",
                           "-messages=" + spends.messages, f"-count={bench.options.hops}",
                           f"-skip={(hops - 1) * bench.options.hops}")
        if facts["delivered"] != facts["sent"]:
            raise SystemExit(f"bench: {facts['delivered']} of {facts['sent']} were relayed")
        bench.row(f"relay from peer to peer, {hops} hop{'s' if hops > 1 else ''}",
                  f"announced {latencies(facts, 'inv')}; delivered {latencies(facts, 'tx')}",
                  "median under 100 ms", facts["tx_p50_us"] < 100_000 * hops)
    second.stop()
    first.stop()


ROWS = {"wire": wire, "relay": relay, "batches": batches, "singles": singles, "known": known}

"""Rows of contrib/bench about byte streams of direct channels: core, stream, voice.

core: one stream between two cores of direct channels in one process, with handshake, streams and
windows, a socket on loopback and a thread on each side, in turns with the bare record loop.

stream: what a command of one daemon writes comes out of `bsvpeer-cli pipe` at the other, beside the
bare record loop before and after it. Four programs share the cores with the kernel's pipes and
sockets between them, where the bare loop has two threads and one socket; so the loop runs once more
between two such commands, its ends at pipes.

voice: round trips of small packets on a stream of priority 0 to the echo of the other daemon, one at
a time, while pipes fill the link in both directions.
"""
import json
import subprocess
import time

from bench_files import MBYTE, Case, bare_rate, rate_of, rows_of
from bench_frame import cpu_seconds
from channels import connected_pair
from services import round_trips

LIMIT_MS = 20  # 99 of 100 round trips
RATIO = 0.8  # of the bare loop
ROUNDS = 3  # of which the fastest counts, of both


def pipe(node, service, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
    return subprocess.Popen(node.cli_line() + ["pipe", "bob", service], stdin=stdin, stdout=stdout)


def piped_rate(bench, size):
    """As rate_of, of the bare loop between the same two commands."""
    head = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
    loop = subprocess.Popen(bench.tool_command("bench_records", str(size), "pipes"), text=True,
                            stdin=head.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    cat = subprocess.Popen(["cat"], stdin=loop.stdout, stdout=subprocess.DEVNULL)
    for pipe_end in (head.stdout, loop.stdout):
        pipe_end.close()
    facts = loop.stderr.read()
    if any(process.wait() for process in (head, loop, cat)):
        raise SystemExit(f"bench: the bare loop between commands broke off: {facts}")
    return rate_of(json.loads(facts))


def core(bench):
    size = bench.options.stream
    bare, best = bare_rate(bench, size), (0, 0)
    for _ in range(ROUNDS):
        best = max(best, rate_of(bench.tool("bench_stream", str(size))))
        bare = max(bare, bare_rate(bench, size))
    seconds, cpu = size / best[0], best[1] * size
    rows_of(bench, "bare record loop, a thread a side",
            f"stream of {size / 1e9:.3g} GB between two cores, a thread a side", size, seconds, cpu,
            bare, "", RATIO)


def stream(bench):
    size = bench.options.stream
    bare, piped = bare_rate(bench, size), piped_rate(bench, size)
    a, b = connected_pair(Case(bench))
    b.rpc.exposeservice("zeros", f"exec:head -c {size} /dev/zero", ["alice"])
    before, began = cpu_seconds(a) + cpu_seconds(b), time.monotonic()
    if pipe(a, "zeros").wait() != 0:
        raise SystemExit("bench: the stream broke off")
    seconds = time.monotonic() - began
    cpu = cpu_seconds(a) + cpu_seconds(b) - before
    for node in (a, b):
        node.stop()
    rows_of(bench, "bare record loop beside the stream",
            f"stream of {size / 1e9:.3g} GB from a command to a pipe", size, seconds, cpu, bare)
    piped, piped_cpu = max(piped, piped_rate(bench, size))
    bench.row("  ratio to the bare loop between the same commands",
              f"{size / seconds / piped:.2f}, CPU {cpu / size / piped_cpu:.2f}; it makes "
              f"{piped / MBYTE:,.0f} MB/s")


def voice(bench):
    n = bench.options.trips
    a, b = connected_pair(Case(bench))
    b.rpc.exposeservice("echo", "echo:", ["alice"])
    b.rpc.exposeservice("zeros", "exec:cat /dev/zero", ["alice"])
    b.rpc.exposeservice("sink", "exec:cat >/dev/null", ["alice"])
    port = a.rpc.forwardservice("bob", "echo", 0, {"priority": 0})["local_port"]
    quiet = round_trips(port, n)
    with open("/dev/zero", "rb") as zeros:
        pipes = [pipe(a, "zeros"), pipe(a, "sink", stdin=zeros)]
        time.sleep(0.5)
        busy = round_trips(port, n)
        moved = sum(s["sent"] + s["received"] for s in a.rpc.listservices()["streams"])
    for process in pipes:
        process.kill()
        process.wait()
    p99 = busy[n * 99 // 100]
    bench.row("round trip of a priority-0 stream, quiet link, median and 99th percentile",
              f"{quiet[n // 2]:.2f} ms, {quiet[n * 99 // 100]:.2f} ms")
    bench.row(f"  while both directions are full ({moved / 1e9:.2f} GB meanwhile)",
              f"{busy[n // 2]:.2f} ms, {p99:.2f} ms", f"99th at most {LIMIT_MS} ms", p99 <= LIMIT_MS)


ROWS = {"core": core, "stream": stream, "voice": voice}

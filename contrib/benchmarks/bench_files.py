"""Row of contrib/bench about files over direct channels: file.

Two daemons on loopback, beside the bare record loop before and after it. The receiver writes to the
disk of the working directory and syncs every 16 MiB, as it always does. What cannot be saved is
measured beside: the records, one hash of each chunk, and reading and writing it; if all cores did
nothing else, the rate of the bare loop could not be reached with fewer of them than that takes.
"""
import os
import time

from bench_frame import cpu_seconds, wait_for
from channels import connected_pair

MBYTE = 1_000_000
PIECES_MAX = 2_000_000_000


def rate_of(facts):
    """Bytes a second, and CPU seconds a byte."""
    return facts["bytes"] / facts["seconds"], facts["cpu"] / facts["bytes"]


def bare_rate(bench, size):
    return rate_of(bench.tool("bench_records", str(size)))


class Case:
    """What the helpers of the functional tests need of a test."""

    def __init__(self, bench):
        self.bench = bench
        self.count = 0

    def node(self, *options):
        self.count += 1
        return self.bench.node(f"talker{self.count}", *options).start()

    def wait(self, predicate, what="condition"):
        wait_for(what, predicate, 60)


def make(path, size):
    with open(path, "wb") as out:
        for at in range(0, size, 1 << 20):
            out.write(os.urandom(min(1 << 20, size - at)))
    return path


def row_of(node, id):
    return next((f for f in node.rpc.listtransfers() if f["id"] == id), {"state": ""})


def transfer(sender, receiver, path):
    """Seconds from the acceptance until all is verified, written and synced, and CPU seconds."""
    id = sender.rpc.sendfile("bob", path)
    wait_for("the offer", lambda: row_of(receiver, id)["state"] == "waiting", 60)
    began, before = time.monotonic(), cpu_seconds(sender) + cpu_seconds(receiver)
    receiver.rpc.acceptfile(id)
    wait_for("the file", lambda: row_of(receiver, id)["state"] == "done", 3600, pause=0.02)
    return time.monotonic() - began, cpu_seconds(sender) + cpu_seconds(receiver) - before


def rows_of(bench, bare_name, name, size, seconds, cpu, bare, where=" in the daemons", least=0):
    """Beside the bare loop before and after it, of which the better one counts. least: what the
    ratio shall be."""
    (first, first_cpu), (again, again_cpu) = bare, bare_rate(bench, size)
    bare, bare_cpu = max(first, again), min(first_cpu, again_cpu)
    rate, cpu = size / seconds, cpu / size
    bench.row(bare_name, f"{bare / MBYTE:,.0f} MB/s, {1e9 * bare_cpu:.2f} ns of CPU a byte")
    bench.row(name, f"{rate / MBYTE:,.0f} MB/s, {1e9 * cpu:.2f} ns of CPU a byte{where}")
    bench.row("  ratio to the bare record loop", f"{rate / bare:.2f}, CPU {cpu / bare_cpu:.2f}",
              f"at least {least:.2f}" if least else "", rate / bare >= least)
    return bare, bare_cpu, cpu


def pieces_row(bench, size, bare, bare_cpu, cpu):
    """CPU time that a file needs whoever moves it, and what rate that allows on these cores."""
    disk = bench.tool("bench_disk", bench.path("pieces"), str(size))
    least = bare_cpu + sum(disk.values())
    most = min(1, os.cpu_count() / least / bare)
    bench.row("  its records, one hash, reading and writing",
              f"{1e9 * least:.2f} ns of CPU a byte; with them alone on {os.cpu_count()} cores the "
              f"ratio is at most {most:.2f}")
    bench.row("  CPU of the daemons to that", f"{cpu / least:.2f}")


def file(bench):
    size = bench.options.file
    bare = bare_rate(bench, size)
    sender, receiver = connected_pair(Case(bench))
    path = make(bench.path("file"), size)
    seconds, cpu = transfer(sender, receiver, path)
    for node in (sender, receiver):
        node.stop()
    found = rows_of(bench, "bare record loop, 16 KiB records on loopback",
                    f"file of {size / 1e9:.3g} GB between two daemons", size, seconds, cpu, bare)
    pieces_row(bench, min(size, PIECES_MAX), *found)


ROWS = {"file": file}

"""Rows of contrib/bench about chains: verify sync assumevalid reindex headers big.

Times of the daemon are differences between lines of its own log; the daemon that serves shares the
cores. The chain that is synced pays one key, which the table of parsed keys in base/ec.c helps
fully: with every key different an input costs about a tenth more.
"""
import os
import resource
import socket
import threading
import time

import p2p
from bench_frame import MIB, Memory, cpu_seconds, log_time, wait_for


def signed_chain(bench):
    return bench.chain("p2pkh", f"-inputs={bench.options.inputs}",
                       "-signatures=" + bench.path("signatures"))


def bare_loop(bench):
    signed_chain(bench)
    return bench.bare_loop(bench.path("signatures"))


def sync_to(bench, facts, *options):
    """Time from the first header request to the tip, processor time and peak memory of the node
    that syncs, and its log."""
    source = bench.node_with("source", facts)
    sink = bench.node("sink", "-connect=" + source.p2p, "-debug=net", "-debug=chain",
                      "-maxtipage=86400", f"-stopatheight={facts['height']}", *options)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    sink.launch()
    watch = Memory(sink.process.pid)
    sink.wait_exit(600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    log = sink.log()
    source.stop()
    seconds = tip_time(log, facts["height"]) - log_time(log, "initial getheaders")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, watch.peak, log


def tip_time(log, height):
    return log_time(log, rf"tip: height {height},")


# --- rows ----------------------------------------------------------------------------------------

def verify(bench):
    once = bare_loop(bench)
    bench.row("bare verification loop",
              f"{once['seconds']:.2f} s, {once['signatures'] / once['seconds']:,.0f}/s on "
              f"{once['threads']} cores, CPU {1e6 * once['cpu'] / once['signatures']:.0f} us each")


def sync(bench):
    facts, inputs = signed_chain(bench), bench.options.inputs
    seconds, cpu, peak, _ = sync_to(bench, facts, "-assumevalid=0")
    bare_loop(bench)
    ratio = seconds / (bench.bare_seconds * inputs)
    bench.row("sync, all scripts checked (one key)",
              f"{seconds:.2f} s, {inputs / seconds:,.0f} inputs/s, {1e6 * cpu / inputs:.0f} us of "
              f"CPU an input, {peak // MIB} MiB")
    bench.row("  ratio to the bare loop", f"{ratio:.2f}", "at most 1.10", ratio <= 1.10)


def assumevalid(bench):
    inputs = bench.options.light
    facts = bench.chain("light", f"-inputs={inputs}", "-tail=2100", "-pertx=2")
    seconds, cpu, peak, _ = sync_to(bench, facts, "-assumevalid=" + facts["tip"])
    bench.row("sync, signatures skipped",
              f"{seconds:.2f} s for {inputs:,} inputs, {facts['bytes'] / 1e6:.0f} MB, "
              f"CPU {cpu:.2f} s, {peak // MIB} MiB", "at most 0.8 s", seconds <= 0.8)


def reindex(bench):
    facts = signed_chain(bench)
    node = bench.node_with("source", facts)
    node.stop()
    os.remove(node.log_path)
    node.options = [o for o in node.options if not o.startswith("-loadblock")]
    node.start("-reindex", "-assumevalid=0", "-debug=chain", timeout=600)
    wait_for("the tip", lambda: f"tip: height {facts['height']}," in node.log(), 60)
    log = node.log()
    seconds = tip_time(log, facts["height"]) - log_time(log, "bsvpeerd")
    node.stop()
    bare_loop(bench)
    bench.row("-reindex, all scripts checked",
              f"{seconds:.2f} s, ratio {seconds / (bench.bare_seconds * bench.options.inputs):.2f}")


def headers(bench):
    count = bench.options.headers
    facts = bench.chain("headers", f"-headers={count}")
    server = HeaderServer(facts["file"])
    node = bench.node("headers", f"-connect=[::1]:{server.port}")
    node.start()
    wait_for("all headers", lambda: node.rpc.getblockchaininfo()["headers"] == count, 120)
    seconds = time.monotonic() - server.first_request
    peak, cpu = node.memory("VmHWM"), cpu_seconds(node)
    node.kill()
    rate = count / seconds
    bench.row("header sync", f"{seconds:.2f} s, {rate:,.0f} headers/s, CPU {cpu:.2f} s, "
              f"{peak // MIB} MiB", "at least 600,000/s", rate >= 600_000)


def big(bench):
    size = bench.options.big
    facts = bench.chain("big", "-inputs=2000", f"-big={size}")
    _, cpu, peak, log = sync_to(bench, facts)
    seconds = tip_time(log, facts["height"]) - tip_time(log, facts["height"] - 1)
    bench.row(f"block of {size / 1e9:.2f} GB, wire to tip", f"{seconds:.2f} s, CPU {cpu:.2f} s",
              "at most 5 s", seconds <= 5)
    bench.row("  peak memory", f"{peak // MIB} MiB", "below 1 GB", peak < 1_000_000_000)


ROWS = {"verify": verify, "sync": sync, "assumevalid": assumevalid, "reindex": reindex,
        "headers": headers, "big": big}


class HeaderServer(threading.Thread):
    """A peer that has headers and nothing else; messages are made before the clock starts."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.first_request = None
        self.messages, self.next_of = [], {}
        self.prepare(path)
        self.socket = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.port = self.socket.getsockname()[1]
        self.start()

    def prepare(self, path):
        with open(path, "rb") as file:
            data = file.read()
        raw = [data[i:i + 80] for i in range(0, len(data), 80)]
        self.next_of[raw[0][4:36]] = 0
        for i in range(0, len(raw), 2000):
            part = raw[i:i + 2000]
            payload = p2p.compact(len(part)) + b"".join(h + b"\0" for h in part)
            self.messages.append(p2p.frame("headers", payload))
            self.next_of[p2p.sha256d(part[-1])] = len(self.messages)
        self.messages.append(p2p.frame("headers", b"\0"))
        self.height = len(raw)

    def run(self):
        connection, _ = self.socket.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.makefile("rb")
        try:
            while True:
                head = stream.read(24)
                if len(head) < 24:
                    return
                command = head[4:16].rstrip(b"\0").decode()
                self.answer(connection, command,
                            stream.read(int.from_bytes(head[16:20], "little")))
        except OSError:
            pass

    def answer(self, connection, command, payload):
        if command == "version":
            connection.sendall(p2p.frame("version", p2p.version_payload(height=self.height))
                               + p2p.frame("verack"))
        elif command == "ping":
            connection.sendall(p2p.frame("pong", payload))
        elif command == "getheaders":
            self.first_request = self.first_request or time.monotonic()
            count, at = p2p.read_compact(payload, 4)
            for i in range(count):
                known = self.next_of.get(payload[at + 32 * i:at + 32 * i + 32])
                if known is not None:
                    connection.sendall(self.messages[known])
                    return

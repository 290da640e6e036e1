"""What the rows of contrib/bench share: daemons, tools, generated chains, and the table."""
import json
import os
import re
import shutil
import subprocess
import threading
import time
from datetime import datetime

import framework

MIB = 1 << 20
OLD_CHAIN = ["-maxtipage=2000000000", "-checkblocks=1", "-checklevel=0"]


class Bench:
    def __init__(self, work, options):
        self.work = work
        self.options = options
        self.table = []
        self.chains = {}
        self.nodes = []
        self.bare_seconds = self.bare_cpu = None  # of the bare loop, a signature; the best run

    # --- tools ---

    def tool_command(self, name, *args):
        return [os.path.join(self.options.build, "contrib", name), *args]

    def tool(self, name, *args):
        """What a tool prints, one line of JSON."""
        done = subprocess.run(self.tool_command(name, *args), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bench: {name} {' '.join(args)}: {done.stderr}")
        return json.loads(done.stdout)

    def chain(self, name, *args):
        """Facts about a generated chain; its file is facts["file"]."""
        if name not in self.chains:
            path = self.path(name + ".blk")
            facts = self.tool("gen_chain", "-out=" + path, *args)
            facts["file"] = path
            self.chains[name] = facts
        return self.chains[name]

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, lines):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in lines)
        return self.path(name)

    def bare_loop(self, signatures):
        """Runs the bare verification loop over a file of signatures; the best run so far counts."""
        once = self.tool("bench_verify", signatures)
        seconds, cpu = once["seconds"] / once["signatures"], once["cpu"] / once["signatures"]
        self.bare_seconds = min(seconds, self.bare_seconds or seconds)
        self.bare_cpu = min(cpu, self.bare_cpu or cpu)
        return once

    def load(self, node, requests, *options):
        """Runs the load of bench_load over these bodies; its facts, with the rate and the daemon's
        CPU time a request in microseconds."""
        path = self.write("requests", requests)
        before = cpu_seconds(node)
        facts = self.tool("bench_load", "http", f"-port={node.rpc_port}", "-auth=" + node.cookie(),
                          "-requests=" + path, *options)
        if facts["errors"]:
            raise SystemExit(f"bench: {facts['errors']} of {facts['requests']} calls failed")
        facts["cpu_us"] = 1e6 * (cpu_seconds(node) - before) / facts["requests"]
        facts["rate"] = facts["requests"] / facts["seconds"]
        return facts

    # --- daemons ---

    def node(self, name, *options):
        """A daemon that is not started, in a directory that is empty."""
        directory = self.path(name)
        shutil.rmtree(directory, ignore_errors=True)
        os.mkdir(directory)
        node = framework.Node(directory, ["-logtimemicros", *OLD_CHAIN, *options])
        self.nodes.append(node)
        return node

    def node_with(self, name, facts, *options):
        """A daemon that has the chain."""
        node = self.node(name, "-loadblock=" + facts["file"], *options)
        return node.start().wait_import(facts["height"], 600)

    def stop(self):
        for node in self.nodes:
            node.kill()

    # --- the table ---

    def row(self, what, value, target="", good=True):
        self.table.append((what, value, target, good))
        print(f"  {what}: {value}", flush=True)

    def print_table(self):
        width = max(len(row[0]) for row in self.table)
        middle = max(len(row[1]) for row in self.table)
        print()
        for what, value, target, good in self.table:
            mark = "" if not target else "  reached" if good else "  MISSED"
            print(f"{what:<{width}}  {value:<{middle}}  {target}{mark}".rstrip())


class Memory(threading.Thread):
    """Peak resident size of a process, read until it ends."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.path = f"/proc/{pid}/status"
        self.peak = 0
        self.start()

    def run(self):
        while True:
            try:
                with open(self.path, encoding="ascii") as status:
                    found = re.search(r"VmHWM:\s+(\d+)", status.read())
            except OSError:
                return
            if not found:
                return
            self.peak = int(found.group(1)) * 1024
            time.sleep(0.02)


def cpu_seconds(node):
    """Processor time of all threads so far; the number is what clock_getcpuclockid makes."""
    return time.clock_gettime((~node.process.pid << 3) | 2)


def log_time(log, pattern):
    """Seconds since 1970 of the first line that matches."""
    line = re.search(rf"^(\S+) .*{pattern}", log, re.MULTILINE)
    if not line:
        raise SystemExit(f"bench: the log has no line with '{pattern}':\n{log[-2000:]}")
    return datetime.fromisoformat(line.group(1).replace("Z", "+00:00")).timestamp()


def wait_for(what, condition, seconds, pause=0.01):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} not reached in {seconds} s")
        time.sleep(pause)


def wait_tip(node, tip):
    wait_for("the tip", lambda: node.rpc.getbestblockhash() == tip, 600)


def body(method, *params):
    return json.dumps({"method": method, "params": params, "id": 17}, separators=(",", ":"))


def latencies(facts, which):
    return (f"p50 {duration(facts[which + '_p50_us'])}, "
            f"p99 {duration(facts[which + '_p99_us'])}")


def connections_text(n):
    return f"{n} connection{'s' if n > 1 else ''}"


def duration(us):
    if us < 10_000:
        return f"{us:.0f} us"
    return f"{us / 1000:.1f} ms" if us < 1_000_000 else f"{us / 1e6:.2f} s"

"""A daemon whose calls on files fail or end it at a chosen step (attacks K1, K3): it opens again
quickly, loses nothing, and condemns nothing. Long: every step; otherwise a sample of them."""
import json
import os
import random
import subprocess
import time

from events import account_of, read_events
from framework import BUILD, LONG, Skip, case, check, equal, main, wait_until, within

GEN_CHAIN = os.path.join(BUILD, "contrib", "gen_chain")
LIBRARY = os.path.join(BUILD, "tests", "fault", "fault.so")


class Scene:
    """A chain, the state it leads to, and how many calls the import makes."""

    def __init__(self, t):
        for path in (GEN_CHAIN, LIBRARY):
            if not os.path.exists(path):
                raise Skip(path + " is not built")
        self.t = t
        self.path = t.path("chain.blk")
        done = subprocess.run([GEN_CHAIN, "-out=" + self.path, "-inputs=600", "-txs=50"],
                              capture_output=True, text=True, timeout=100, check=True)
        info = json.loads(done.stdout)
        self.height, self.tip = info["height"], info["tip"]
        clean = t.make_node()
        self.counts = self.count_calls(clean)
        clean.start()
        self.state = clean.tip(), clean.utxo_hash()
        equal(self.state[0], self.tip)
        clean.stop()

    def options(self):
        return ["-loadblock=" + self.path, f"-stopatheight={self.height}", "-debug=chain"]

    def environment(self, node, setting=None, count=None):
        env = {"LD_PRELOAD": LIBRARY, "BSVPEER_FAULT_PATH": node.net_directory}
        if setting:
            env["BSVPEER_FAULT"] = setting
        if count:
            env["BSVPEER_FAULT_COUNT"] = count
        return env

    def count_calls(self, node):
        file = self.t.path("counts")
        node.launch(*self.options(), env=self.environment(node, count=file))
        equal(node.wait_exit(60), 0, node.errors())
        node.process = None
        with open(file, encoding="ascii") as counts:
            return {line.split()[0]: int(line.split()[1]) for line in counts}

    def broken_run(self, node, setting):
        """Exit code of an import with this fault; None when it was not reached."""
        node.launch(*self.options(), env=self.environment(node, setting))
        code = node.wait_exit(60)
        node.process = None
        return code

    def expect_recovery(self, node, what):
        started = time.monotonic()
        node.start("-loadblock=" + self.path, timeout=15)
        seconds = time.monotonic() - started
        check(seconds < within(10), f"{what}: opened in {seconds:.1f} s")
        wait_until(lambda: node.rpc.getblockcount() == self.height, 30, f"{what}: the whole chain")
        equal((node.tip(), node.utxo_hash()), self.state, what)
        equal([r["status"] for r in node.rpc.getchaintips()], ["active"], what)
        wait_until(lambda: account_of(read_events(node)).tip == self.tip, 20,
                   f"{what}: events to the tip")
        equal(account_of(read_events(node)).errors, [], what)
        node.stop()


def sample(count, most, seed):
    steps = list(range(1, count + 1))
    return steps if LONG or count <= most else sorted(random.Random(seed).sample(steps, most))


@case(timeout=7000 if LONG else 200)
def a_crash_before_any_write_step_loses_nothing(t):
    scene = Scene(t)
    total = scene.counts["any"]
    check(total > 50, f"{total} calls")
    steps = sample(total, 24, 1)
    for step in steps:
        node = t.make_node()
        code = scene.broken_run(node, f"any:{step}:exit")
        check(code in (0, 137), f"exit code {code} at step {step}: {node.errors()}")
        scene.expect_recovery(node, f"crash at step {step} of {total}")
        t.nodes.remove(node)
    print(f"{len(steps)} of {total} steps")


@case(timeout=3000 if LONG else 120)
def a_torn_write_loses_nothing(t):
    scene = Scene(t)
    for operation in ("write", "pwrite"):
        for step in sample(scene.counts[operation], 8, 2):
            node = t.make_node()
            scene.broken_run(node, f"{operation}:{step}:torn")
            scene.expect_recovery(node, f"torn {operation} {step}")
            t.nodes.remove(node)


@case(timeout=3000 if LONG else 120)
def a_full_disk_at_any_step_is_said_and_condemns_nothing(t):
    scene = Scene(t)
    for error, words in (("ENOSPC", ("space",)), ("EIO", ("input/output", "i/o"))):
        for step in sample(scene.counts["any"], 8, 3):
            node = t.make_node()
            code = scene.broken_run(node, f"any:{step}:{error}")
            what = f"{error} at step {step}"
            if code != 0:
                equal(code, 1, what + ": " + node.errors())
                lines = [l for l in node.errors().splitlines() if "cannot write the log" not in l]
                equal(len(lines), 1, f"{what}: lines {lines}")
                check(any(w in lines[0].lower() for w in words), f"{what}: {lines[0]}")
            scene.expect_recovery(node, what)
            t.nodes.remove(node)


if __name__ == "__main__":
    main()

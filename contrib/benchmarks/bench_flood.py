"""Row of contrib/bench about a flood of beginnings of handshakes (attacks E1): flood.

Two programs make as many connections from /64s of their own as the machine gives them behind all
others; half of what they send costs a key agreement. Meanwhile a contact connects again and again
from places that are known, and small packets go to an echo and back in a session. The same packets
go while the programs flood a port where nobody listens: what the machine is busy with is no fault
of the daemon.
"""
import contextlib
import os
import time

from bench_frame import cpu_seconds, wait_for
from floods import Scene, summed
from framework import Skip

NAME = "flood of handshakes, connections a second"
WANTED = 100_000
SHARE = 0.99      # of the contacts
PROGRAMS = 2
PLACES = 20
PAUSE = 0.05      # below the rate that is kept for contacts
TRIPS = 300
NOBODY = 9        # a port


class Here:
    """What a scene needs of a test."""

    def __init__(self, bench):
        self.bench, self.nodes, self.cleanups, self.n_nodes = bench, bench.nodes, [], 0

    def path(self, name):
        return self.bench.path("flood-" + name)

    def wait(self, predicate, what="condition", **_):
        wait_for(what, predicate, 120)


def trips(times):
    return f"p50 {times[len(times) // 2]:.2f} ms, p99 {times[len(times) * 99 // 100]:.2f} ms"


class Flooded:
    """The scene while programs flood a port; what was seen of it."""

    def __init__(self, scene, seconds, port=None):
        self.scene, self.seconds, self.port = scene, seconds, port

    def run(self):
        bob = self.scene.bob
        before, began = cpu_seconds(bob), time.monotonic()
        with contextlib.ExitStack() as all_of_them:
            floods = [all_of_them.enter_context(self.scene.flood(port=self.port, nice=19))
                      for _ in range(PROGRAMS)]
            time.sleep(1)
            self.echo = self.scene.echo(TRIPS)
            self.connects, self.tried = [], 0
            while self.seconds and (not self.tried or time.monotonic() - began < self.seconds):
                self.connects += self.scene.connect(PAUSE)
                self.tried += len(self.scene.places)
            self.memory = bob.memory("VmHWM")
        self.tries, self.unanswered = summed(floods, "tries"), summed(floods, "unanswered")
        self.rate = sum(f.facts["tries"] / f.facts["seconds"] for f in floods)
        self.cpu = cpu_seconds(bob) - before
        return self


def flood(bench):
    here = Here(bench)
    try:
        scene = Scene(here, "-channelacceptburst=1000", places=min(PLACES, bench.options.flood))
        quiet = scene.echo(TRIPS)
        elsewhere = Flooded(scene, 0, NOBODY).run()
        before = scene.bob.memory()
        scene.bob.reset_peak_memory()
        show(bench, quiet, elsewhere, Flooded(scene, bench.options.flood).run(), before)
    except Skip as reason:
        bench.row(NAME, f"0, not measured: {reason}")
    finally:
        for clean in reversed(here.cleanups):
            clean()


def show(bench, quiet, elsewhere, seen, before):
    bench.row(NAME,
              f"{seen.rate:,.0f} of {WANTED:,}, {100 * seen.unanswered / seen.tries:.0f} % dropped "
              "by the kernel")
    share = len(seen.connects) / seen.tried
    times = sorted(seen.connects) or [0]
    bench.row("  contacts that got a session meanwhile",
              f"{len(seen.connects)} of {seen.tried}, {trips(times)}", f"more than {SHARE:.0%}",
              share > SHARE)
    bench.row("  round trip of a priority-0 stream, quiet", trips(quiet))
    bench.row("  while a port of nobody is flooded", f"{trips(elsewhere.echo)}, "
              f"{elsewhere.rate:,.0f} connections a second")
    bench.row("  while the daemon is flooded", trips(seen.echo))
    bench.row("  memory of the daemon before, and at most",
              f"{before / 1e6:.1f} MB, {seen.memory / 1e6:.1f} MB", "16 MB more",
              seen.memory < before + 16e6)
    bench.row("  CPU of the daemon, of the machine's cores",
              f"{100 * seen.cpu / (seen.seconds * os.cpu_count()):.1f} %, with the contacts")


ROWS = {"flood": flood}

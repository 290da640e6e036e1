"""Rows of contrib/bench about sessions of direct channels: handshake, message, sessions.

A message is three syncs one after the other, which is what the slowest ones wait for; with TMPDIR
in memory there is none.
"""
import time

from bench_files import Case
from channel_guest import PING, Guest
from channels import connected_pair, talker
from framework import equal

HANDSHAKE_RATIO = 0.75  # of what one core does of its curve operations
SESSIONS = 1000
PACED = 80  # in a row; those after them leave at 18 a second
UNPACED = ["-channelmessagerate=100000", "-channelmessageburst=100000"]
WITHOUT_LIMITS = ["-channelstrangers=1", "-channelsessions=5000", "-channelstrangersper48=5000",
                  "-channelhandshakesper64=5000", "-channelhandshakesper48=5000",
                  "-channelhandshakes=5000", "-channelacceptburst=100000",
                  "-channelactrate=100000"]


def handshake(bench):
    facts = bench.tool("bench_handshake", str(bench.options.ms))
    ratio = facts["curve"] / facts["handshake"]
    bench.row("curve operations of one handshake", f"{1e6 * facts['curve']:.0f} us")
    bench.row("handshake, responder, on an open socket",
              f"{1e6 * facts['handshake']:.0f} us, {1 / facts['handshake']:,.0f}/s a core")
    bench.row("  ratio to the curve operations", f"{ratio:.2f}", f"at least {HANDSHAKE_RATIO}",
              ratio >= HANDSHAKE_RATIO)


def delivery(node, text):
    """Milliseconds from sendmessage until it is known to be on the other side's disk."""
    began = time.monotonic()
    number = node.rpc.sendmessage("bob", text)["number"]
    while True:
        last = node.rpc.listmessages("bob", 1, number)["messages"]
        if last and last[0]["state"] == "delivered":
            return 1e3 * (time.monotonic() - began)


def deliveries(bench, count, *options):
    a, b = connected_pair(Case(bench), *options)
    times = [delivery(a, f"message {i}") for i in range(count)]
    for node in (a, b):
        node.stop()
    return times


def spread(times):
    times = sorted(times)
    return (f"p50 {times[len(times) // 2]:.1f} ms, p99 {times[len(times) * 99 // 100]:.1f} ms, "
            f"at most {times[-1]:.1f} ms, of {len(times):,}")


def message(bench):
    times = deliveries(bench, bench.options.trips, *UNPACED)
    bench.row("message, sent until receipt, both on disk", spread(times))
    times = deliveries(bench, PACED + 10)
    bench.row("  those that wait for the pace (18 a second)", spread(times[PACED:]))


def resident(node):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


def idle_session(node, key):
    """With its first ping answered: the next comes a minute later."""
    guest = Guest(node, key).connect()
    equal(guest.take_one()[0], PING)
    return guest


def sessions(bench):
    count = SESSIONS if bench.options.size != "tiny" else 20
    node, key = talker(Case(bench), *WITHOUT_LIMITS)
    node.rpc.peerlist()  # the identity is looked for before it answers
    first = idle_session(node, key)
    before = resident(node)
    guests = [idle_session(node, key) for _ in range(count)]
    up = sum(p["state"] == "up" for p in node.rpc.peerlist())
    if up != count + 1:
        raise SystemExit(f"bench: {up} of {count + 1} sessions are up")
    each = (resident(node) - before) / count
    bench.row("memory of an idle session", f"{each / 1024:.1f} KiB, of {count:,}")
    for guest in [first, *guests]:
        guest.close()
    node.stop()


ROWS = {"handshake": handshake, "message": message, "sessions": sessions}

"""A flood of beginnings of handshakes from countless /64s (attacks E1): contacts connect as ever,
the session that there is goes on, memory stays flat, and the kernel drops most of it. Long: as much
as the machine can make, from two programs, for half a minute."""
import contextlib
import time

from channels import session
from events import read_events
from floods import Scene, summed
from framework import LONG, case, check, equal, is_in, main, wait_until

RATE = 0 if LONG else 3000  # connections a second
PROGRAMS = 2 if LONG else 1
SECONDS = 30 if LONG else 4
ACTS = 20     # handshakes a second in all; a quarter is kept for contacts
EACH = 3      # times that each contact connects
PAUSE = 0.3   # below the rate that is kept
MEMORY = 16 << 20
LATE = "of connections is over"


def ends_of(node, contact):
    """Sessions with the contact that have ended."""
    key = next(c["key"] for c in node.rpc.contactlist() if c["alias"] == contact)
    with node.netns.inside():
        return [e for e in read_events(node) if e["type"] == "session_down" and e["key"] == key]


@case(timeout=240)
def a_flood_shuts_out_no_contact(t):
    s = Scene(t, f"-channelactrate={ACTS}", "-debug=channel")
    equal(len(s.echo(20)), 20)
    s.bob.reset_peak_memory()
    before = s.bob.memory()
    with contextlib.ExitStack() as all_of_them:
        floods = [all_of_them.enter_context(s.flood(RATE)) for _ in range(PROGRAMS)]
        wait_until(lambda: "a flood of connections" in s.bob.log(), 30, "that it is noticed")
        began = time.monotonic()
        connected = sum(len(s.connect(PAUSE)) for _ in range(EACH))
        equal(len(s.echo(100)), 100)
        time.sleep(max(0, SECONDS - (time.monotonic() - began)))
        is_in("up", session(s.bob, "alice")["state"])
        check(s.bob.memory_rise(before) < MEMORY, "memory stays flat")
    equal(connected, EACH * len(s.places))
    equal(ends_of(s.bob, "alice"), [])
    check(len(ends_of(s.bob, "carol")) > len(s.places), "those of the other contact are told")
    tries, unanswered = summed(floods, "tries"), summed(floods, "unanswered")
    check(unanswered > tries / 2, f"{unanswered} of {tries} dropped by the kernel")
    wait_until(lambda: LATE in s.bob.log(), 30, "that all pass again")
    with s.host.inside():
        check(s.places[0].connects(), "a contact after the flood")


if __name__ == "__main__":
    main()

"""A machine that goes on from a snapshot (attacks E6): the kernel says so, and all sessions of
direct channels begin anew with other keys."""
import socket
import struct

from channels import connected_pair, is_up
from events import read_events
from floods import Hosted
from framework import Skip, case, check, equal, main
from netns import Host, need_root

KOBJECT_UEVENT = 15
SESSIONS = "all sessions begin anew"


def say(host, last):
    """To the kernel, which passes it on as its own to all who listen in the namespace of the
    host."""
    event = b"change@/devices/vmgenid\0ACTION=change\0DEVPATH=/devices/vmgenid\0" \
        b"SUBSYSTEM=acpi\0" + last + b"\0"
    with host.inside():
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, KOBJECT_UEVENT) as s:
                s.bind((0, 0))
                s.sendto(struct.pack("=IHHII", 16 + len(event), 16, 1, 0, 0) + event, (0, 0))
        except OSError as error:
            raise Skip(f"no events of devices: {error}") from None


def told(node, kind):
    with node.netns.inside():
        return sum(e["type"] == kind for e in read_events(node))


@case()
def sessions_begin_anew_after_a_snapshot(t):
    need_root()
    host = Host()
    t.cleanups.append(host.close)
    a, b = connected_pair(Hosted(t, host))
    say(host, b"NEW_SOMETHING=1")
    a.rpc.sendmessage("bob", "hello")
    t.wait(lambda: len(b.rpc.listmessages("alice")["messages"]) == 1)
    check(SESSIONS not in a.log() + b.log(), "other events")
    equal([told(node, "session_down") for node in (a, b)], [0, 0])
    say(host, b"NEW_VMGENID=1")
    t.wait(lambda: all(SESSIONS in node.log() for node in (a, b)))
    t.wait(lambda: all(told(node, "session_down") >= 1 for node in (a, b)))
    a.rpc.peerconnect("bob")
    t.wait(lambda: is_up(a, "bob") and is_up(b, "alice"))
    a.rpc.sendmessage("bob", "again")
    t.wait(lambda: len(b.rpc.listmessages("alice")["messages"]) == 2)
    t.wait(lambda: all(told(node, "session_up") >= 2 for node in (a, b)), what="new sessions")


if __name__ == "__main__":
    main()

"""Times and numbers of sessions, streams, files and messages that are options, each in the running
daemon at its socket: two nodes with different numbers show which one counts."""
import os
import select
import socket
import struct
import time

from channel_guest import (BOUND, ERROR, HELLO, M_ACK, M_SEND, MESSAGES, PING, PONG, Guest,
                           channel_of)
from channels import connected_pair, is_up, pair, session, talker
from framework import case, check, equal, free_port, main, raises_rpc, steady, wait_until
from identities import PREFIX
from services import streams

NOBODY = "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa"
S_OPEN, S_ACCEPT, S_RESET, LIMIT, IDLE = 64, 66, 74, 4, 8
CANCELLED, TOO_MUCH = 6, 4  # of a reset, of an error
STREAMS, DATAGRAMS = b"\x02", b"\x08\x02"  # features
LONG = 3600  # seconds


def host(t, *options):
    node, key = talker(t, "-channelstrangers", *options)
    t.wait(lambda: f"direct channels on {node.channel}" in node.log())
    return node, key


def is_open(s):
    s.settimeout(0.05)
    try:
        return s.recv(1) != b""
    except socket.timeout:
        return True
    except ConnectionResetError:
        return False


def first_of_two(t, quick, slow, begin, what):
    """What was begun at the quick node is over, and at the slow one, where it began before, not."""
    ends = []
    for option in (slow, quick):
        node, key = host(t, *option)
        ends.append(begin(node, key))
    t.wait(lambda: not is_open(ends[1]), what=what)
    check(is_open(ends[0]), "the other one has time")
    for s in ends:
        s.close()


@case()
def a_handshake_has_its_time(t):
    first_of_two(t, ["-channelacttime=1"], [f"-channelacttime={LONG}"],
                 lambda node, key: socket.create_connection(channel_of(node), timeout=30),
                 "the end of the silent connection")


class Mute(Guest):
    """After the handshake it does not say who it is."""

    def put(self, kind, payload=b""):
        if kind != HELLO:
            super().put(kind, payload)


@case()
def a_hello_has_its_time(t):
    first_of_two(t, ["-channelhellotime=1"], [f"-channelhellotime={LONG}"],
                 lambda node, key: Mute(node, key).knock().socket, "the end without a hello")


@case()
def who_is_silent_is_asked_and_left(t):
    quick, quick_key = host(t, "-channelping=1", "-channelpingtimeout=1")
    slow, slow_key = host(t, "-channelping=1", f"-channelpingtimeout={LONG}")
    guests = [Guest(*at).connect() for at in ((quick, quick_key), (slow, slow_key))]
    for guest in guests:
        message = guest.session.read(guest.take)  # the one of the beginning
        equal(struct.unpack(">H", message[:2])[0], PING)
    t.wait(lambda: not quick.rpc.peerlist(), what="the end of who does not answer")
    equal(len(slow.rpc.peerlist()), 1)
    for guest in guests:
        guest.close()


@case()
def so_many_pings_are_answered(t):
    for option, answers in (("-channelpings=3", 3), ("-channelpings=1000", 20)):
        node, key = host(t, option)
        guest = Guest(node, key, features=STREAMS).connect()
        for _ in range(20):
            guest.put(PING, struct.pack(">HH", 1, 0))
        guest.put(S_OPEN, struct.pack(">IB", 1, 4) + b"none" + struct.pack(">BI", 3, 1 << 18))
        kinds = []
        while S_RESET not in kinds:
            kinds.append(guest.next()[0])
        equal(kinds, [PONG] * answers + [S_RESET], option)
        guest.close()
        node.stop()


class Narrow(Guest):
    """The system takes in little for it that it has not read."""

    def reach(self):
        self.socket = socket.socket(socket.AF_INET6)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(channel_of(self.node))
        return True


@case()
def so_much_output_waits(t):
    sessions = []
    for option in ("-channelbuffer=64MiB", "-channelbuffer=1MiB"):
        node, key = host(t, option, "-channelpings=1000")
        guest = Narrow(node, key).connect()
        sessions.append((node, guest))
        try:
            for _ in range(1000):
                guest.put(PING, struct.pack(">HH", 4096, 0))  # 4 MiB to be answered
        except OSError:
            equal(option, "-channelbuffer=1MiB")
    t.wait(lambda: not sessions[1][0].rpc.peerlist(), what="the end of the session")
    equal(len(sessions[0][0].rpc.peerlist()), 1)
    for _, guest in sessions:
        guest.close()


def sent_unread(t, *options):
    """Messages of 60 kB that go to a contact that reads nothing."""
    node, key = host(t, "-channelbuffer=1MiB", *options)
    guest = Narrow(node, key, features=MESSAGES)
    node.rpc.contactadd(guest.key, "guest")
    guest.connect()
    for _ in range(15):
        node.rpc.sendmessage("guest", "x" * 60000)
    sent = steady(lambda: [m["state"] for m in node.rpc.listmessages("", 15)["messages"]]
                  .count("sent"), 2.5)
    equal(len(node.rpc.peerlist()), 1)
    guest.close()
    return sent


@case()
def what_can_wait_does_before_too_much_output_waits(t):
    early, late = sent_unread(t, "-channelbufferslow=5"), sent_unread(t, "-channelbufferslow=50")
    check(early + 5 <= late < 15, f"{early} and {late} of 15")


@case()
def the_first_of_two_sessions_has_time_for_a_sign_of_life(t):
    guests = []
    for option in (f"-channelduplicatewait={LONG}", "-channelduplicatewait=1"):
        node, key = host(t, option, f"-channelhellotime={LONG}")
        first = Guest(node, key).connect()  # from now on it says nothing
        second = Guest(node, key, first.secret).knock()
        second.read(HELLO)
        guests += [first, second]
    guests[3].read(BOUND)
    equal(select.select([guests[1].socket], [], [], 0.05)[0], [], "the other one has time")
    for guest in guests:
        guest.close()


def says_nothing(guest, seconds):
    """But pings."""
    while select.select([guest.socket], [], [], seconds)[0]:
        equal(guest.take_one()[0], PING)


@case()
def so_many_openings_wait_for_an_answer(t):
    for option, n in (("-channelopens=2", 2), ("-channelopens=3", 3)):
        node, key = host(t, option)
        guest = Guest(node, key, features=STREAMS)
        node.rpc.contactadd(guest.key, "guest")
        guest.connect()
        port = node.rpc.forwardservice("guest", "any")["local_port"]
        ends = [socket.create_connection(("::1", port), timeout=30) for _ in range(4)]
        sids = [guest.read(S_OPEN)[:4] for _ in range(n)]
        says_nothing(guest, 0.5)  # the others are tried each 100 ms
        for sid in sids:
            guest.put(S_RESET, sid + struct.pack(">H", LIMIT))
        sids += [guest.read(S_OPEN)[:4] for _ in range(4 - n)]
        equal(len(set(sids)), 4)
        for s in ends:
            s.close()
        guest.close()
        node.stop()


@case()
def an_opening_is_answered_in_time_or_given_up(t):
    guests = []
    for option in (f"-channelopentime={LONG}", "-channelopentime=1"):
        node, key = host(t, option)
        guest = Guest(node, key, features=STREAMS)
        node.rpc.contactadd(guest.key, "guest")
        guest.connect()
        port = node.rpc.forwardservice("guest", "any")["local_port"]
        end = socket.create_connection(("::1", port), timeout=30)
        guests.append((guest, end, guest.read(S_OPEN)[:4]))
    slow, quick = guests
    equal(quick[0].read(S_RESET), quick[2] + struct.pack(">H", CANCELLED))
    says_nothing(slow[0], 0.05)
    for guest, end, _ in guests:
        end.close()
        guest.close()


@case()
def who_asks_for_too_many_streams_is_left(t):
    for option, ends in (("-channelopenflood=10", True), ("-channelopenflood=100000", False)):
        node, key = host(t, option)
        guest = Guest(node, key, features=STREAMS).connect()
        guest.socket.sendall(b"".join(
            guest.packet(S_OPEN, struct.pack(">IB", sid, 4) + b"none" + struct.pack(">BI", 3, 1 << 18))
            for sid in range(1, 1001, 2)))
        answers = [guest.next()]
        while answers[-1][0] == S_RESET and len(answers) < 500:
            answers.append(guest.next())
        kind, payload = answers[-1]
        if ends:
            equal((kind, payload[:2]), (ERROR, struct.pack(">H", TOO_MUCH)), option)
        else:
            equal((kind, len(answers)), (S_RESET, 500), option)
        guest.close()
        node.stop()


def counted(node):
    """Datagrams of 1200 bytes that were taken."""
    stream = streams(node)[0]
    return stream["dropped"] + stream["sent"] // 1200


def dropped_datagrams(t, *options):
    """Of 800 to a contact that reads nothing."""
    node, key = host(t, *options)
    guest = Narrow(node, key, features=DATAGRAMS)
    node.rpc.contactadd(guest.key, "guest")
    guest.connect()
    port = node.rpc.forwardservice("guest", "any", 0, {"protocol": "udp"})["local_port"]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.connect(("::1", port))
        s.send(b"first")
        guest.put(S_ACCEPT, guest.read(S_OPEN)[:4] + struct.pack(">I", 1 << 18))
        t.wait(lambda: streams(node)[0]["open"])
        for n in range(10, 801, 10):
            for _ in range(10):
                s.send(bytes(1200))
            # Else the kernel loses some, which the socket of the daemon has no room for.
            wait_until(lambda n=n: counted(node) == n, pause=0.002)
    dropped = streams(node)[0]["dropped"]
    guest.close()
    return dropped


@case()
def datagrams_are_dropped_when_so_much_waits_or_so_long(t):
    equal(dropped_datagrams(t, "-channeldatagrambuffer=8MiB", "-channeldatagramtime=60000"), 0)
    some = dropped_datagrams(t, "-channeldatagrambuffer=64KiB", "-channeldatagramtime=60000")
    more = dropped_datagrams(t, "-channeldatagrambuffer=32KiB", "-channeldatagramtime=60000")
    check(0 < some < more, f"{some} and {more}")
    late = dropped_datagrams(t, "-channeldatagrambuffer=8MiB", "-channeldatagramtime=1")
    check(late > 0, "they waited for too long")


@case()
def so_many_messages_wait_for_a_receipt(t):
    for option, n in (("-channelmessagesinflight=2", 2), ("-channelmessagesinflight=3", 3)):
        node, key = host(t, option)
        guest = Guest(node, key)
        node.rpc.contactadd(guest.key, "guest")
        guest.connect()
        for _ in range(4):
            node.rpc.sendmessage("guest", "text")
        ids = [guest.read(M_SEND)[:16] for _ in range(n)]
        says_nothing(guest, 1.5)
        for identifier in ids:
            guest.put(M_ACK, identifier)
        ids += [guest.read(M_SEND)[:16] for _ in range(4 - n)]
        equal(len(set(ids)), 4)
        guest.close()
        node.stop()


@case()
def a_message_without_receipt_is_sent_again(t):
    node, key = host(t, "-channelmessageresend=1")
    guest = Guest(node, key)
    node.rpc.contactadd(guest.key, "guest")
    guest.connect()
    node.rpc.sendmessage("guest", "text")
    first = guest.read(M_SEND)
    equal(guest.read(M_SEND), first)
    guest.close()


def opened(node, key, secret, n, window=1 << 18):
    """The first n streams of a service: the window of each, 0 when it was refused."""
    guest = Guest(node, key, secret, features=STREAMS).connect()
    granted = []
    guest.socket.sendall(b"".join(  # at once, for a rate of one a second
        guest.packet(S_OPEN, struct.pack(">IB", sid, 4) + b"back" + struct.pack(">BI", 3, window))
        for sid in range(1, 2 * n, 2)))
    while len(granted) < n:
        kind, payload = guest.next()
        if kind == S_ACCEPT:
            granted.append(struct.unpack(">II", payload)[1])
        elif kind == S_RESET:
            equal(payload[4:], struct.pack(">H", LIMIT))
            granted.append(0)
    guest.close()
    return granted


@case()
def a_session_has_so_many_streams_windows_and_openings(t):
    node, key = host(t, "-channelservice=back,echo:,*")
    friend = Guest(node, key)
    node.rpc.contactadd(friend.key, "friend")
    equal(opened(node, key, friend.secret, 3), [1 << 18] * 3)
    for option, expected in (("-channelstreamspercontact=2", [1 << 18, 1 << 18, 0]),
                             ("-channelwindow=512KiB", [1 << 18, 1 << 18, 0]),
                             ("-channelopenrate=1", [1 << 18, 0, 0])):
        node.stop()
        node.start(option)
        equal(opened(node, key, friend.secret, 3), expected, option)


def reads(node, key, n):
    """The same of a stranger, with streams for reading files."""
    guest = Guest(node, key, features=STREAMS).connect()
    granted = []
    for sid in range(1, 2 * n, 2):
        guest.put(S_OPEN, struct.pack(">IB", sid, 4) + b"file" + struct.pack(">BI", 3, 1 << 18))
        kind, payload = guest.next()
        granted.append(struct.unpack(">II", payload)[1] if kind == S_ACCEPT else 0)
    guest.close()
    return granted


@case()
def a_stranger_has_fewer(t):
    node, key = host(t, "-channelstreamsperstranger=1")
    equal(reads(node, key, 2), [1 << 18, 0])
    node.restart("-channelstreamsperstranger=16", "-channelwindowstranger=512KiB")
    equal(reads(node, key, 3), [1 << 18, 1 << 18, 0])


@case()
def a_contact_that_is_not_there_is_dialled_after_pauses(t):
    a, _ = talker(t, "-channelpause=100", "-channelpausemax=100")
    a.rpc.contactadd(f"{NOBODY}@[::1]:{free_port()}", "bob")

    def next_dial():
        raises_rpc(-9, lambda: a.rpc.peerconnect("bob"), "refused")
        return next(p for p in a.rpc.peerlist(True) if p.get("contact") == "bob")["next_dial_s"]
    equal([70 < next_dial() <= 120 for _ in range(3)], [True] * 3, "no longer each time")


@case()
def a_session_is_renewed_at_its_age_or_size(t):
    for option in ("-channelrenewal=1", "-channelrenewalsize=1MiB"):
        a, b = pair(t, option, "-debug=channel", "-channelacceptburst=1000")
        a.rpc.peerconnect("bob")
        b.rpc.exposeservice("echo", "echo:", ["alice"])
        port = a.rpc.forwardservice("bob", "echo")["local_port"]
        with socket.create_connection(("::1", port), timeout=30) as s:
            for _ in range(64):
                s.sendall(bytes(32768))
                left = 32768
                while left:
                    left -= len(s.recv(left))
        t.wait(lambda: "direct channel ended" in a.log(),
               what="the end of the session that was replaced")
        t.wait(lambda x=a, y=b: is_up(x, "bob") and is_up(y, "alice"), what="the next: " + option)
        for node in (a, b):
            node.stop()


@case()
def a_session_that_was_replaced_is_cut_in_time(t):
    a, b = pair(t, "-channelrenewal=2", "-channelgoing=1", "-channelacceptburst=1000")
    a.rpc.peerconnect("bob")
    b.rpc.exposeservice("echo", "echo:", ["alice"])
    port = a.rpc.forwardservice("bob", "echo")["local_port"]
    with socket.create_connection(("::1", port), timeout=60) as s:
        s.sendall(b"x")
        equal(s.recv(1), b"x")
        try:  # nothing is said any more, and the stream is cut with its session
            equal(s.recv(1), b"")
        except ConnectionResetError:
            pass


@case()
def a_proof_that_cannot_be_judged_has_its_time(t):
    b, b_key = talker(t)
    b.rpc.bcanew("me", PREFIX)
    nodes = [talker(t, option) for option in ("-channelprovisional=4",
                                              f"-channelprovisional={LONG}")]
    for i, (node, key) in enumerate(nodes):
        node.stop()
        with open(node.log_path, "w", encoding="ascii"):
            pass
        node.start(f"-mocktime={int(time.time()) + 1000}", "-maxtipage=1")  # it may be behind
        node.rpc.contactadd(b_key, "bob")
        b.rpc.contactadd(f"{key}@{node.channel}", f"node{i}")
        t.wait(lambda n=node: f"direct channels on {n.channel}" in n.log())
        b.rpc.peerconnect(f"node{i}")
    slow = nodes[1][0]
    t.wait(lambda: is_up(slow, "bob"))
    equal(session(slow, "bob")["provisional"], True)
    t.wait(lambda: not session(nodes[0][0], "bob"), what="the end of the first")
    check(is_up(slow, "bob"), "the other one has time")


F_OFFER, S_DATA = 128, 68


def two_reads(node, key, path):
    """The status that each of two streams for one file is answered with."""
    guest = Guest(node, key, features=b"\x22")
    node.rpc.contactadd(guest.key, "reader")
    guest.connect()
    node.rpc.sendfile("reader", path)
    id = None
    while id is None:
        kind, payload = guest.next()
        id = payload[:32] if kind == F_OFFER else None
    guest.put(130, id)
    for sid in (1, 3):
        guest.put(S_OPEN, struct.pack(">IB", sid, 4) + b"file" + struct.pack(">BI", 5, 16384))
        guest.put(S_DATA, struct.pack(">I", sid) + id + struct.pack(">BII", 2, 0, 60))
    status = {}
    while len(status) < 2:
        kind, payload = guest.next()
        if kind == S_DATA:
            status.setdefault(struct.unpack(">I", payload[:4])[0], payload[4])
    guest.close()
    node.rpc.contactremove("reader")
    return status


@case()
def a_file_has_so_many_streams(t):
    path = t.path("file")
    with open(path, "wb") as out:
        out.write(os.urandom(60 * 16384))
    node, key = host(t, "-channelfilestreams=1")
    equal(two_reads(node, key, path), {1: 0, 3: 5}, "the second one is too many")
    node.restart("-channelfilestreams=2")
    equal(two_reads(node, key, path), {1: 0, 3: 0})


@case()
def a_stream_of_a_file_may_be_silent_for_so_long(t):
    path = t.path("file")
    with open(path, "wb") as out:
        out.write(os.urandom(60 * 16384))
    node, key = host(t, "-channelfilestreamidle=1")
    guest = Guest(node, key, features=b"\x22")
    node.rpc.contactadd(guest.key, "reader")
    guest.connect()
    node.rpc.sendfile("reader", path)
    id = guest.read(F_OFFER)[:32]
    guest.put(130, id)
    guest.put(S_OPEN, struct.pack(">IB", 1, 4) + b"file" + struct.pack(">BI", 5, 16384))
    guest.put(S_DATA, struct.pack(">I", 1) + id + struct.pack(">BII", 2, 0, 60))
    kind, payload = guest.next()  # of the first window: the reader gives no more
    while kind != S_RESET:
        kind, payload = guest.next()
    equal(payload, struct.pack(">IH", 1, IDLE))
    guest.close()


@case()
def numbers_of_files_and_messages_are_options(t):
    a, b = connected_pair(t, "-channelfilequota=5", "-channelmessagettl=77", "-channelfiledays=1")
    equal(a.rpc.contactadd(NOBODY, "carol")["policy"]["file_quota"], 5)
    a.rpc.sendmessage("bob", "text")
    equal(a.rpc.listmessages()["messages"][0]["ttl"], 77)
    path = t.path("file")
    with open(path, "wb") as out:
        out.write(os.urandom(1000))
    a.rpc.sendfile("bob", path)
    t.wait(lambda: b.rpc.listtransfers())
    now = int(time.time())
    b.rpc.setmocktime(now + 86400 - 60)
    time.sleep(1.5)  # transfers are looked at each second
    equal(len(b.rpc.listtransfers()), 1)
    b.rpc.setmocktime(now + 86400 + 60)
    t.wait(lambda: not b.rpc.listtransfers(), what="the end of an offer that nobody answers")


if __name__ == "__main__":
    main()

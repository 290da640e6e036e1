"""Padding of direct channels (spec channels 3, attack E11), seen by somebody on the path between two
daemons and by a peer that opens the packets: which sizes writes have, with it and without, and that
pads of the other side cost little."""
import os
import socket
import struct
import time

from channel_guest import M_ACK, M_SEND, PING, PONG, Guest, m_send
from channels import is_up, talker
from framework import case, check, equal, main, steady
from services import read_all
from wiretap import BACK, OUT, Wiretap

PAD = 27
CLASS = 256
BODIES = [1, 20, 99, 170, 256, 513, 1000, 2999, 7001]


def tapped_pair(t, *options, both=()):
    """alice dials bob by way of a tap."""
    a, a_key = talker(t, *options, *both)
    b, b_key = talker(t, *both)
    tap = Wiretap(t, b)
    a.rpc.contactadd(f"{b_key}@[::1]:{tap.port}", "bob")
    b.rpc.contactadd(f"{a_key}@{a.channel}", "alice")
    a.rpc.peerconnect("bob")
    t.wait(lambda: is_up(b, "alice"))
    steady(lambda: len(tap.seen))
    return a, b, tap


def talk(t, a, b, tap):
    """Messages both ways; what the tap saw of them."""
    steady(lambda: len(tap.seen))
    since = len(tap.seen)
    for size in BODIES:
        for node, peer in ((a, "bob"), (b, "alice")):
            number = node.rpc.sendmessage(peer, "x" * size)["number"]
            t.wait(lambda n=node, p=peer, i=number: n.rpc.listmessages(p, 1, i)["messages"][0]
                   ["state"] == "delivered")
    steady(lambda: len(tap.seen))
    return {side: tap.sizes(side, since) for side in (OUT, BACK)}


def odd(sizes):
    return [n for n in sizes if n % CLASS]


@case(timeout=120)
def who_pads_sends_multiples_of_256_and_the_other_side_need_not(t):
    a, b, tap = tapped_pair(t, "-channelpadding=256")
    seen = talk(t, a, b, tap)
    equal(odd(seen[OUT]), [])
    check(len(seen[OUT]) >= 2 * len(BODIES), seen[OUT])
    check(len(odd(seen[BACK])) >= len(BODIES), "bob does not")
    path = t.path("file")
    with open(path, "wb") as out:
        out.write(os.urandom(3_000_001))
    b.rpc.contactset("alice", {"accept_files": True})
    since = len(tap.seen)
    a.rpc.sendfile("bob", path)
    t.wait(lambda: [x["state"] for x in b.rpc.listtransfers()] == ["done"])
    steady(lambda: len(tap.seen))
    sent = sum(tap.sizes(OUT, since))
    equal(sent % CLASS, 0)
    check(3_000_001 < sent < 3_000_001 * 1.1, "near to its size")
    since = len(tap.seen)
    a.rpc.peerdisconnect("bob")
    t.wait(lambda: not is_up(b, "alice"))
    steady(lambda: len(tap.seen))
    equal(odd(tap.sizes(OUT, since)), [], "the end too")


@case(timeout=120)
def a_contact_is_padded_when_it_says_so_at_once(t):
    a, b, tap = tapped_pair(t)
    check(len(odd(talk(t, a, b, tap)[OUT])) >= len(BODIES), "off")
    equal(a.rpc.contactset("bob", {"padding": True})["policy"]["padding"], True)
    equal(odd(talk(t, a, b, tap)[OUT]), [])
    a.rpc.contactset("bob", {"padding": False})
    check(len(odd(talk(t, a, b, tap)[OUT])) >= len(BODIES), "off again")
    a.rpc.contactset("bob", {"padding": True})
    a.restart()
    a.rpc.peerconnect("bob")
    t.wait(lambda: is_up(b, "alice"))
    equal(odd(talk(t, a, b, tap)[OUT]), [], "after a restart")


class Counting(Guest):
    """Counts the bytes of packets that have come since it is up, and keeps what is a pad."""

    def take_one(self):
        message = self.session.read(self.take)
        kind = struct.unpack(">H", message[:2])[0]
        self.bytes = getattr(self, "bytes", 0) + 34 + len(message)
        self.kinds = getattr(self, "kinds", []) + [kind]
        return kind, message[2:]

    def until(self, kind):
        while self.take_one()[0] != kind:
            pass

    def to_the_pad(self):
        """The end of a write."""
        while self.bytes % CLASS:
            equal(self.take_one()[0], PAD)


@case()
def what_is_added_are_pads_and_only_behind_something(t):
    node, key = talker(t, "-channelpadding=256", "-channelstrangers=1")
    guest = Counting(node, key).connect()
    guest.bytes = 0
    guest.until(PING)
    guest.to_the_pad()
    for n in (0, 1, 100, 218, 219, 220, 255, 256, 4096):
        before = guest.bytes
        guest.put(PING, struct.pack(">HH", n, 0))
        guest.until(PONG)
        guest.to_the_pad()
        check(guest.bytes - before < 34 + 4 + n + CLASS + 36, "one class more at most")
    before = len(guest.kinds)
    for n in (0, 1, 1000, 65533):
        guest.put(PAD, bytes(n))
    guest.put(PING, struct.pack(">HH", 1, 0))
    guest.until(PONG)
    equal(guest.kinds[before:], [PONG], "a pad has no answer")
    guest.close()


def receipt(guest):
    """The type of the next message that is no pad."""
    kind = PAD
    while kind == PAD:
        kind = guest.next()[0]
    return kind


def flood(guest, megabytes):
    pads = 0
    for _ in range(megabytes * 16):
        guest.put(PAD, bytes(65000))
        pads += 1
        if pads % 64 == 0:
            guest.put(PAD)


@case(timeout=120)
def a_flood_of_pads_costs_no_memory_and_holds_nobody_up(t):
    node, key = talker(t, "-channelpadding=256")
    noisy, quiet = Guest(node, key), Guest(node, key)
    for name, guest in (("noisy", noisy), ("quiet", quiet)):
        node.rpc.contactadd(guest.key, name)
        guest.connect()
    flood(noisy, 1)  # its buffers have their size
    before = node.memory()
    for i in range(8):
        flood(noisy, 8)
        quiet.put(M_SEND, m_send(bytes([i]) * 16, int(time.time() * 1000)))
        equal(receipt(quiet), M_ACK)
    noisy.put(PING, struct.pack(">HH", 7, 0))
    while noisy.next()[0] != PONG:
        pass
    check(node.memory() - before < 4 << 20, f"{before} {node.memory()}")
    equal(len(node.rpc.peerlist()), 2)
    for guest in (noisy, quiet):
        guest.close()


# --- a constant rate ------------------------------------------------------------------------------

RATE = "-channelrate=voice,512,20"
RATE_BYTES, RATE_S = 512, 0.02


def pieces(t, tap, n, sides):
    """So many more writes of each side: all of them have the size of the rate, or, where the tap
    was slow, are several of it. Their number in the time that passed."""
    since, began = len(tap.seen), time.monotonic()
    t.wait(lambda: all(len(tap.sizes(side, since)) >= n for side in sides), what="writes")
    passed = time.monotonic() - began
    for side in sides:
        equal([x for x in tap.sizes(side, since) if x % RATE_BYTES], [], side)
    return {side: (sum(tap.sizes(side, since)) // RATE_BYTES, passed / RATE_S) for side in sides}


def none_too_many(t, tap, n, sides=(OUT, BACK)):
    """What was late is not made up for, so that this holds however slow the machine is; but a tap
    that was slow sees what waited for it with what comes: then once more."""
    for _ in range(5):
        counts = pieces(t, tap, n, sides)
        if all(seen <= most + 4 for seen, most in counts.values()):
            return
    raise AssertionError(counts)


@case(timeout=120)
def a_stream_of_a_service_with_a_rate_looks_the_same_whatever_it_carries(t):
    a, b, tap = tapped_pair(t, both=[RATE])
    b.rpc.exposeservice("voice", "echo:", ["alice"])
    b.rpc.exposeservice("other", "echo:", ["alice"])
    ports = {name: a.rpc.forwardservice("bob", name)["local_port"] for name in ("voice", "other")}
    with socket.create_connection(("::1", ports["other"]), timeout=30) as s:
        s.sendall(b"x")
        equal(s.recv(1), b"x")
        steady(lambda: len(tap.seen))
    with socket.create_connection(("::1", ports["voice"]), timeout=30) as s:
        s.sendall(b"hello")
        equal(s.recv(5), b"hello")
        none_too_many(t, tap, 30)
        s.sendall(b"y" * 10000)
        a.rpc.sendmessage("bob", "z" * 3000)
        none_too_many(t, tap, 60)
        read_all(s, 10000)
        t.wait(lambda: b.rpc.listmessages("alice")["messages"], what="the message")
        none_too_many(t, tap, 20)
    steady(lambda: len(tap.seen), 0.5)
    check(is_up(a, "bob") and is_up(b, "alice"), "the session goes on")


@case(timeout=120)
def a_datagram_service_has_its_rate_too_and_who_has_none_set_does_not(t):
    a, b, tap = tapped_pair(t, RATE)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as target, \
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as program:
        target.bind(("::1", 0))
        b.rpc.exposeservice("voice", f"udp:[::1]:{target.getsockname()[1]}", ["alice"])
        port = a.rpc.forwardservice("bob", "voice", 0, {"protocol": "udp"})["local_port"]
        target.settimeout(30)
        program.sendto(b"first", ("::1", port))
        equal(target.recv(100), b"first")
        steady(lambda: len(tap.sizes(BACK)), 1)
        none_too_many(t, tap, 30, [OUT])
        for i in range(20):
            program.sendto(bytes([i]) * 160, ("::1", port))
            equal(target.recv(200), bytes([i]) * 160)
        none_too_many(t, tap, 30, [OUT])


@case(timeout=120)
def a_rate_is_kept_through_a_relay(t):
    relay, relay_key = talker(t)
    (alice, alice_key), (bob, bob_key) = [talker(t, "-channellisten=0", RATE) for _ in range(2)]
    tap = Wiretap(t, relay)
    for node, key, alias in ((alice, alice_key, "alice"), (bob, bob_key, "bob")):
        relay.rpc.contactadd(key, alias)
        node.rpc.contactadd(f"{relay_key}@[::1]:{tap.port if node is alice else relay_port(relay)}",
                            "relay")
        node.rpc.peerconnect("relay")
    relay.rpc.contactset("alice", {"relay": True})
    alice.rpc.contactset("relay", {"relay_for_us": True})
    alice.rpc.contactadd(bob_key, "bob")
    bob.rpc.contactadd(alice_key, "alice")
    t.wait(lambda: is_up(relay, "alice") and is_up(relay, "bob"))
    alice.rpc.peerconnect("bob")
    bob.rpc.exposeservice("voice", "echo:", ["alice"])
    port = alice.rpc.forwardservice("bob", "voice")["local_port"]
    with socket.create_connection(("::1", port), timeout=30) as s:
        s.sendall(b"hello")
        equal(s.recv(5), b"hello")
        usual = RATE_BYTES + 40  # one s_data of the session with the relay
        for _ in range(5):  # as in none_too_many
            since, began = len(tap.seen), time.monotonic()
            t.wait(lambda n=since: len(tap.sizes(OUT, n)) >= 60, what="writes")
            most = (time.monotonic() - began) / RATE_S + 4
            sizes = tap.sizes(OUT, since)
            if sum(sizes) <= (most + 2) * usual:
                break
        check(sum(sizes) <= (most + 2) * usual, f"{sum(sizes)} {most}")
        check(sum(n % usual == 0 for n in sizes) >= 55, sizes)


def relay_port(node):
    return int(node.channel.rsplit(":", 1)[1])


if __name__ == "__main__":
    main()

"""Floods of beginnings of handshakes (attacks E1): two nodes with a session on a host whose
loopback has every /64 of a prefix, contacts at other addresses of it, and a program that floods."""
import json
import os
import socket
import subprocess
import time

import noise
from channel_guest import Guest, channel_of
from channels import connected_pair
from framework import BUILD, Skip, check, within
from netns import Host, host_node, need_root
from services import round_trips

PROGRAM = os.path.join(BUILD, "contrib", "bench_flood")
STRANGERS = "2001:db8::"  # /32


class Hosted:
    """What starts the nodes of a test on one host."""

    def __init__(self, t, host):
        self.t, self.host, self.wait = t, host, t.wait

    def node(self, *options):
        return host_node(self.t, self.host, *options)


class Place(Guest):
    """A contact at an address of the host."""

    def __init__(self, node, key, address, **more):
        super().__init__(node, key, **more)
        self.address = address

    def reach(self):
        self.socket = socket.create_connection(channel_of(self.node), timeout=within(10),
                                               source_address=(self.address, 0))
        return True

    def connects(self):
        """Whether it has a session, with all acts and proofs, soon."""
        try:
            self.connect()
            return True
        except (OSError, EOFError, AssertionError):
            return False
        finally:
            self.close()


class Scene:
    """alice and bob have a session; bob has a contact at so many places, all known to him."""

    def __init__(self, t, *options, places=8):
        need_root()
        if not os.path.exists(PROGRAM):
            raise Skip(PROGRAM + " is not built")
        self.host = Host()
        t.cleanups.append(self.host.close)
        try:
            self.host.ip("route", "add", "local", STRANGERS + "/32", "dev", "lo")
        except AssertionError as error:
            raise Skip(f"no prefix of IPv6 on the loopback: {error}") from None
        self.alice, self.bob = connected_pair(Hosted(t, self.host), *options)
        self.key = self.alice.rpc.contactlist()[0]["key"]
        secret = os.urandom(32)
        self.bob.rpc.contactadd(noise.CURVE.public(secret).hex(), "carol")
        self.places = []
        for i in range(places):
            address = f"2001:db9:0:{i}::1"
            self.host.ip("addr", "add", address + "/128", "dev", "lo", "nodad")
            self.places.append(Place(self.bob, self.key, address, secret=secret))
        with self.host.inside():
            check(all(p.connects() for p in self.places), "contacts before the flood")

    def connect(self, pause):
        """Milliseconds of one connection from each place, as far as they became sessions."""
        times = []
        with self.host.inside():
            for place in self.places:
                began = time.monotonic()
                if place.connects():
                    times.append(1000 * (time.monotonic() - began))
                time.sleep(pause)
        return times

    def echo(self, n):
        """Milliseconds of so many round trips on a stream of priority 0, sorted."""
        if not hasattr(self, "port"):
            self.bob.rpc.exposeservice("echo", "echo:", ["alice"])
            self.port = self.alice.rpc.forwardservice("bob", "echo", 0,
                                                      {"priority": 0})["local_port"]
        with self.host.inside():
            return round_trips(self.port, n)

    def flood(self, rate=0, port=None, nice=0):
        address, own = channel_of(self.bob)
        return Flood(self.host, address, port or own, rate, nice)


class Flood:
    """The program at work, at its priority; facts when it has ended."""

    def __init__(self, host, address, port, rate, nice):
        line = [PROGRAM, STRANGERS, address, str(port), str(rate)]
        self.line = ["nice", f"-n{nice}"] + host.wrap(line)

    def __enter__(self):
        self.process = subprocess.Popen(self.line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        out = self.process.stdout.read()
        check(self.process.wait() == 0 or error[0], "the flood broke off")
        self.facts = json.loads(out) if out else {}


def summed(floods, what):
    return sum(f.facts[what] for f in floods)

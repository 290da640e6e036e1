"""Row of contrib/bench about what sizes and times of a session tell: traffic.

Two daemons with a payment channel, and somebody on the path between them (tests/func/wiretap.py) who
sees how many bytes go which way when. In windows of a second one of five things happens: some
messages, some payments, a file, a call, or nothing. A simple classifier learns one half of the
windows and guesses the other. Once without padding, once with -channelpadding=256 at both ends, once
while a stream with a -channelrate is open all the time; the three run at once, as nothing in them
needs the processors.
"""
import contextlib
import random
import socket
import string
import threading
import time

from bench_files import Case, make, row_of
from bench_frame import wait_for
from classifier import accuracy, features
from framework import equal
from paychannels import connect, open_channel, payers
from wiretap import Wiretap

RATE = "2048,20"
KINDS = ["message", "payment", "file", "voice", "idle"]
SETTINGS = {
    "no padding": [],
    "-channelpadding=256": ["-channelpadding=256"],
    f"-channelrate of {RATE}": [f"-channelrate=cover,{RATE}", f"-channelrate=voice,{RATE}"],
}
FILE_BYTES = (20_000, 80_000)
EVENTS = (1, 4)  # messages or payments in a window
PAUSE_S = 0.25  # between windows
NO_CHILD = "-paychannelchild=100"


class Place(Case):
    def __init__(self, bench, name):
        super().__init__(bench)
        self.name, self.cleanups = name, []

    def node(self, *options):
        self.count += 1
        return self.bench.node(f"{self.name}{self.count}", *options).start()

    def wait_same_tip(self, a, b):
        self.wait(lambda: a.rpc.getbestblockhash() == b.rpc.getbestblockhash())


class Scene:
    """The two, and what can happen between them."""

    def __init__(self, bench, number, options):
        self.place = t = Place(bench, f"traffic{number}-")
        self.chance = random.Random(number)
        self.seconds = 0.3 if bench.options.size == "tiny" else 1.0
        self.bench, self.number = bench, number
        self.a, self.b = payers(t, NO_CHILD, "-channelacceptburst=1000", *options)
        self.tap = Wiretap(t, self.b)
        self.a.rpc.contactset("bob", {"addresses": [f"[::1]:{self.tap.port}"]})
        self.b.rpc.contactset("alice", {"accept_files": True})
        self.a.rpc.peerdisconnect("bob")
        connect(t, self.a, self.b)
        self.channel = open_channel(t, self.a, self.b)
        self.program = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.program.settimeout(0.005)
        self.voice_port = self.forward("voice", f"udp:[::1]:{self.listen()}", {"protocol": "udp"})
        if options and "rate" in options[0]:
            port = self.forward("cover", "echo:", {})
            self.cover = socket.create_connection(("::1", port), timeout=30)
            t.cleanups.append(self.cover.close)

    def forward(self, service, target, wish):
        self.b.rpc.exposeservice(service, target, ["alice"])
        return self.a.rpc.forwardservice("bob", service, 0, wish)["local_port"]

    def listen(self):
        """The other end of calls: it says as much as it hears."""
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind(("::1", 0))

        def run():
            with contextlib.suppress(OSError):
                while True:
                    data, where = s.recvfrom(2000)
                    s.sendto(data, where)
        threading.Thread(target=run, daemon=True).start()
        self.place.cleanups += [self.program.close, s.close]
        return s.getsockname()[1]

    def at_moments(self, act):
        began = time.monotonic()
        moments = sorted(self.chance.uniform(0, 0.8 * self.seconds)
                         for _ in range(self.chance.randint(*EVENTS)))
        for moment in moments:
            time.sleep(max(0, began + moment - time.monotonic()))
            act()

    def say(self):
        text = "".join(self.chance.choices(string.ascii_letters + " ",
                                           k=self.chance.randint(2, 300)))
        node, to = self.chance.choice([(self.a, "bob"), (self.b, "alice")])
        node.rpc.sendmessage(to, text)

    def message(self):
        self.at_moments(self.say)

    def payment(self):
        self.at_moments(lambda: self.a.rpc.pay("bob", self.chance.randint(1, 90), "", self.channel))

    def file(self):
        path = self.bench.path(f"traffic{self.number}.file")
        id = self.a.rpc.sendfile("bob", make(path, self.chance.randint(*FILE_BYTES)))
        wait_for("the file", lambda: row_of(self.b, id)["state"] == "done", 60)

    def voice(self):
        """A packet each 20 ms, as long as one of a voice codec."""
        began = time.monotonic()
        for i in range(int(self.seconds / 0.02)):
            time.sleep(max(0, began + 0.02 * i - time.monotonic()))
            size = self.chance.randint(60, 160)
            self.program.sendto(bytes(size), ("::1", self.voice_port))
            with contextlib.suppress(TimeoutError):
                self.program.recv(2000)

    def idle(self):
        pass

    def window(self, kind):
        """Features of one, and the bytes that went over."""
        began, first = time.monotonic(), len(self.tap.seen)
        getattr(self, kind)()
        time.sleep(max(0, began + self.seconds - time.monotonic()))
        seen = self.tap.seen[first:]
        time.sleep(PAUSE_S)
        bytes_seen = sum(n for at, _, n in seen if at < began + self.seconds)
        return features(seen, began, self.seconds), bytes_seen

    def run(self, count):
        kinds = KINDS * count
        self.chance.shuffle(kinds)
        self.samples, self.bytes = [], {kind: 0 for kind in KINDS}
        for kind in KINDS:  # streams are opened, buffers made
            self.window(kind)
        for kind in kinds:
            vector, n = self.window(kind)
            self.samples.append((kind, vector))
            self.bytes[kind] += n / count / self.seconds
        equal(self.a.rpc.listmessages("bob", 1)["messages"][0]["state"] != "failed", True)

    def close(self):
        for node in (self.a, self.b):
            node.stop()
        for clean in self.place.cleanups:
            clean()


def show(bench, name, scene):
    pair = [s for s in scene.samples if s[0] in ("message", "payment")]
    bench.row(f"traffic, {name}: kinds told apart, by chance 20 %",
              f"{100 * accuracy(scene.samples):.0f} %; a message from a payment "
              f"{100 * accuracy(pair):.0f} %, by chance 50 %")
    bench.row("  bytes a second, " + ", ".join(KINDS),
              ", ".join(f"{scene.bytes[kind]:,.0f}" for kind in KINDS))


def traffic(bench):
    scenes = {name: Scene(bench, i, options) for i, (name, options) in enumerate(SETTINGS.items())}
    failed = []

    def run(scene):
        try:
            scene.run(bench.options.traffic)
        except BaseException as error:  # shown by the main thread; pylint: disable=broad-except
            failed.append(error)
    threads = [threading.Thread(target=run, args=[scene]) for scene in scenes.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    for name, scene in scenes.items():
        show(bench, name, scene)
        scene.close()


ROWS = {"traffic": traffic}

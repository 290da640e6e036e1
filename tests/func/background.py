"""Work that goes on between two hosts while a test does something else with them: chats, files,
streams, datagrams, payments. Each looks at the end, or as it goes, whether all of it came."""
import copy
import os
import socket
import threading
import time

from files import transfer
from framework import check, equal, within
from netns import HostRpc
from services import get, pipe, read_all, web_server

PIECE = bytes(range(256)) * 64


def of_this_thread(node):
    """The same node with a connection of its own, for another thread."""
    twin = copy.copy(node)
    twin.rpc = HostRpc(node.netns, node.rpc_port, node.cookie)
    return twin


class Background(threading.Thread):
    """Does something again and again until it is stopped; what went wrong is raised at the end."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.ending, self.rounds, self.problem = work, threading.Event(), 0, None

    def run(self):
        try:
            while not self.ending.is_set():
                self.work(self.rounds)
                self.rounds += 1
        except BaseException as problem:  # pylint: disable=broad-except
            self.problem = problem

    def stop(self):
        self.ending.set()
        self.join(within(60))
        if self.problem:
            raise self.problem
        check(not self.is_alive(), "it ends")
        return self.rounds


def begun(t, work, what):
    """Under way, with some rounds behind it."""
    thread = Background(work)
    thread.start()
    t.wait(lambda: thread.rounds > 3 or thread.problem, what=what)
    return thread


# --- messages -------------------------------------------------------------------------------------

def messages(node, direction):
    """Pages of all messages that came or went."""
    found, start = [], 1
    while True:
        page = node.rpc.listmessages("", 1000, start)["messages"]
        found += [m for m in page if m["direction"] == direction]
        if len(page) < 1000:
            return found
        start = max(m["number"] for m in page) + 1


def arrived(t, node, contact, other, texts):
    """All that was sent to the contact is there, once and in order."""
    def out():
        return [m for m in messages(node, "out") if m["contact"] == contact]
    t.wait(lambda: {m["state"] for m in out()} == {"delivered"}, what="receipts of " + contact)
    equal([m["text"] for m in messages(other, "in")], texts)


class Chat:
    """Both sides write one line after the other."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.writers = of_this_thread(a), of_this_thread(b)

    def __call__(self, n):
        self.writers[0].rpc.sendmessage("bob", f"a {n}")
        self.writers[1].rpc.sendmessage("alice", f"b {n}")
        time.sleep(0.1)  # a contact takes 20 a second

    def check(self, t, n):
        arrived(t, self.a, "bob", self.b, [f"a {i}" for i in range(n)])
        arrived(t, self.b, "alice", self.a, [f"b {i}" for i in range(n)])


def letters(node, contact):
    """To one who is not always there."""
    node = of_this_thread(node)

    def work(n):
        node.rpc.sendmessage(contact, f"letter {n}")
        time.sleep(0.2)
    return work


# --- streams --------------------------------------------------------------------------------------

def echoed(s):
    """One piece goes to the other side and comes back, a few hundred times a second at most."""
    def work(n):
        piece = n.to_bytes(8, "big") + PIECE
        s.sendall(piece)
        check(read_all(s, len(piece)) == piece, f"piece {n} came back otherwise")
        time.sleep(0.002)
    return work


def connected(node, port):
    with node.netns.inside():
        return socket.create_connection(("::1", port), timeout=30)


def stream_of(t, node, port):
    """A connection that a forward makes a stream of, with data under way."""
    s = connected(node, port)
    t.cleanups.append(s.close)
    return begun(t, echoed(s), "the stream")


class Lines:
    """A pipe to a command that gives back what it gets, line by line."""

    def __init__(self, t, a, b):
        b.rpc.exposeservice("copy", "exec:cat", ["alice"])
        with a.netns.inside():
            self.process = pipe(t, a, "bob", "copy")

    def __call__(self, n):
        line = b"line %d\n" % n
        self.process.stdin.write(line)
        self.process.stdin.flush()
        equal(self.process.stdout.readline(), line)
        time.sleep(0.01)

    def check(self):
        rest, problem = self.process.communicate(timeout=60)
        equal((rest, problem, self.process.returncode), (b"", b"", 0))


class Pages:
    """A page of a web server of b, fetched through a forward of a for a price."""

    def __init__(self, t, a, b, price):
        directory = t.path("web")
        os.mkdir(directory)
        self.a, self.b, self.content = a, b, os.urandom(100000)
        with open(os.path.join(directory, "page"), "wb") as f:
            f.write(self.content)
        with b.netns.inside():
            port = web_server(t, directory)
        b.rpc.exposeservice("web", f"[::1]:{port}", ["alice"], price, 0, price)
        self.port = a.rpc.forwardservice(
            "bob", "web", 0, {"price_per_mib": price, "max_satoshis": 500000})["local_port"]

    def __call__(self, n):
        with self.a.netns.inside():
            check(get(self.port, "page") == self.content, f"page {n}")
        time.sleep(0.05)

    def check(self, t):
        """What was paid for them, the same on both sides."""
        def sums():
            ours = next(f for f in self.a.rpc.listservices()["forwards"]
                        if f["local_port"] == self.port)
            theirs = next(s for s in self.b.rpc.listservices()["services"]
                          if s["name"] == "web")["accounts"][0]
            return {ours["charged"], ours["paid"], theirs["charged"], theirs["paid"]}
        t.wait(lambda: len(sums()) == 1, what="the accounts")
        return sums().pop()


END = 2**64 - 1  # the number of what is sent behind all


class Datagrams:
    """Fifty a second from a to a program of b, which keeps their numbers."""

    def __init__(self, t, a, b):
        with b.netns.inside():
            self.there = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.there.bind(("::1", 0))
        self.there.settimeout(0.2)
        b.rpc.exposeservice("voice", f"udp:[::1]:{self.there.getsockname()[1]}", ["alice"])
        port = a.rpc.forwardservice("bob", "voice", 0, {"protocol": "udp"})["local_port"]
        with a.netns.inside():
            self.here = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.here.connect(("::1", port))
        t.cleanups += [self.there.close, self.here.close]
        self.a, self.came = a, []
        self.reader = Background(self.read)
        self.reader.start()
        self.next_s = time.monotonic()

    def read(self, _):
        try:
            self.came.append(int.from_bytes(self.there.recv(2000)[:8], "big"))
        except socket.timeout:
            pass

    def __call__(self, n):
        self.here.send(n.to_bytes(8, "big") + bytes(152))
        self.next_s += 0.02
        time.sleep(max(0, self.next_s - time.monotonic()))

    def check(self, t, sent, most):
        """None twice, none before an earlier one; so many were lost, and no more than `most`."""
        def end_came():
            self.here.send(END.to_bytes(8, "big"))
            return END in self.came
        t.wait(end_came, what="the end")
        self.reader.stop()
        self.came = [n for n in self.came if n != END]
        check(all(x < y for x, y in zip(self.came, self.came[1:])), "their order")
        lost = sent - len(self.came)
        check(lost <= most, f"{lost} of {sent} datagrams were lost, {most} may be")
        return lost


# --- files and payments ---------------------------------------------------------------------------

def send_file(t, senders, b, name, size):
    """A file of each that offers it to b under way: how to wait for its end."""
    paths, target = [t.path(f"{name}.{i}") for i in range(len(senders))], t.path("saved " + name)
    content = os.urandom(size)
    os.mkdir(target)
    for path, sender in zip(paths, senders):
        with open(path, "wb") as file:
            file.write(content)
        id = sender.rpc.sendfile("bob", path)
    t.wait(lambda: len((transfer(b, id) or {}).get("sources", [])) == len(senders),
           what="the offer")
    b.rpc.acceptfile(id, target)
    t.wait(lambda: transfer(b, id)["done"] > 0, what="its first bytes")

    def finish():
        t.wait(lambda: {transfer(x, id)["state"] for x in (b, *senders)} == {"done"},
               timeout=120, what="the file")
        saved = transfer(b, id)["path"]
        with open(saved, "rb") as file:
            check(file.read() == content, "what was sent")
        for path in [saved, *paths]:
            os.unlink(path)
    return finish


def files(t, a, b, size):
    """One after the other."""
    a, b = of_this_thread(a), of_this_thread(b)

    def work(n):
        send_file(t, [a], b, f"file{n}", size)()
    return work


def payments(a):
    """Of one satoshi each."""
    a = of_this_thread(a)

    def work(n):
        a.rpc.pay("bob", 1, f"coffee {n}")
        time.sleep(0.05)
    return work

"""Addresses of identities are replaced while their sessions are in use: a chat, files and byte
streams between two hosts go on as if nothing had happened."""
import os
import socket
import threading
import time

from channel_hosts import neighbours
from channels import is_up, session
from events import read_events
from framework import LONG, case, check, equal, main
from netns import HostRpc

# Two addresses of each side in a round: an identity has 32.
ROTATIONS = 15 if LONG else 3
# Seconds. A round takes up to three handshakes from a side's /64, which may begin one in 6 s once
# the first ten are used up; who rotates faster stays where it is for a while, as it should.
ROUND = 20 if LONG else 0
SIZE = (24 if LONG else 8) << 20
PIECE = bytes(range(256)) * 64


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
        self.join(60)
        if self.problem:
            raise self.problem
        check(not self.is_alive(), "it ends")
        return self.rounds


def transfer(node, id):
    return next((f for f in node.rpc.listtransfers() if f["id"] == id), {"state": "unknown"})


def messages(node, direction):
    """Pages of all messages that came or went."""
    found, start = [], 1
    while True:
        page = node.rpc.listmessages("", 1000, start)["messages"]
        found += [m for m in page if m["direction"] == direction]
        if len(page) < 1000:
            return found
        start = max(m["number"] for m in page) + 1


def read_all(s, size):
    got = b""
    while len(got) < size:
        piece = s.recv(size - len(got))
        check(piece, f"the stream was cut after {len(got)} bytes of a piece")
        got += piece
    return got


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
    thread = Background(echoed(s))
    thread.start()
    t.wait(lambda: thread.rounds > 3 or thread.problem, what="the stream")
    return thread


class Chat:
    """Both sides write one line after the other."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.rpcs = [HostRpc(x.netns, x.rpc_port, x.cookie) for x in (a, b)]

    def __call__(self, n):
        self.rpcs[0].sendmessage("bob", f"a {n}")
        self.rpcs[1].sendmessage("alice", f"b {n}")
        time.sleep(0.1)  # a contact takes 20 a second

    def check(self, t, n):
        for node, other, letter in ((self.a, self.b, "a"), (self.b, self.a, "b")):
            t.wait(lambda: {m["state"] for m in messages(node, "out")} == {"delivered"},
                   what="receipts of " + letter)
            equal([m["text"] for m in messages(other, "in")], [f"{letter} {i}" for i in range(n)])


def rotate(t, mover, address, watcher, contact):
    moved = mover.rpc.bcarotate("me", address)["address"]
    t.wait(lambda: moved in session(watcher, contact)["address"], timeout=10,
           what="session at the new address")
    equal(session(watcher, contact)["bound"], True)
    return moved


def rotate_at_once(t, a, at_a, b, at_b):
    """Both sides, and each other's new session may come while the own one is made."""
    rpc, moved = HostRpc(a.netns, a.rpc_port, a.cookie), {}
    thread = threading.Thread(
        target=lambda: moved.update(a=rpc.bcarotate("me", at_a)["address"]))
    thread.start()
    moved["b"] = b.rpc.bcarotate("me", at_b)["address"]
    thread.join()
    t.wait(lambda: moved["a"] in session(b, "alice")["address"] and
           moved["b"] in session(a, "bob")["address"], timeout=10, what="both new addresses")
    return moved["a"], moved["b"]


def slow_link(host):
    """What the host sends takes its time, so that it is under way when something happens."""
    host.run("sh", "-c", "tc qdisc add dev eth0 root tbf rate 100mbit burst 64kb latency 50ms "
             "|| true")


def send_file(t, a, b, i):
    """A file under way: how to wait for its end."""
    path, target = t.path(f"file{i}"), t.path(f"saved{i}")
    content = os.urandom(SIZE)
    with open(path, "wb") as file:
        file.write(content)
    os.mkdir(target)
    id = a.rpc.sendfile("bob", path)
    t.wait(lambda: transfer(b, id)["state"] == "waiting", what="the offer")
    b.rpc.acceptfile(id, target)
    t.wait(lambda: transfer(b, id)["done"] > 0, what="its first bytes")

    def finish():
        t.wait(lambda: transfer(b, id)["state"] == transfer(a, id)["state"] == "done",
               what="the file")
        with open(os.path.join(target, f"file{i}"), "rb") as file:
            check(file.read() == content, "what was sent")
        for name in (path, os.path.join(target, f"file{i}")):
            os.unlink(name)
    return finish


@case(timeout=900 if LONG else 90)
def what_runs_goes_on_while_both_sides_move(t):
    a, b, at_a, at_b = neighbours(t, 32 if LONG else 8)
    a.rpc.contactadd(at_b, "bob")
    b.rpc.contactadd(at_a, "alice")
    for node in (a, b):
        t.wait(lambda n=node: "key" in n.rpc.contactlist()[0], what="the key of the other")
    a.rpc.peerconnect("bob", 30)
    b.rpc.exposeservice("echo", "echo:", ["alice"])
    port = a.rpc.forwardservice("bob", "echo")["local_port"]
    slow_link(a.netns)
    chat = Chat(a, b)
    running = [Background(chat), stream_of(t, a, port)]
    running[0].start()
    for i in range(ROTATIONS):
        begun = time.monotonic()
        finish = send_file(t, a, b, i)
        at_a = rotate(t, a, at_a, b, "alice")
        at_b = rotate(t, b, at_b, a, "bob")
        at_a, at_b = rotate_at_once(t, a, at_a, b, at_b)
        running.append(stream_of(t, a, port))
        finish()
        time.sleep(max(0, ROUND - (time.monotonic() - begun)))
    for thread in running:
        thread.stop()
    chat.check(t, running[0].rounds)
    for node in (a, b):
        with node.netns.inside():
            changes = t.wait(lambda: [  # pylint: disable-next=cell-var-from-loop
                e["type"] for e in read_events(node) if e["type"].startswith("session")])
        equal(changes, ["session_up"], "always with a session")


@case()
def a_contact_dials_the_address_of_a_record_that_only_contacts_have(t):
    a, b, at_a, at_b = neighbours(t, publication="contacts")
    keys = [x.rpc.bcalist()["identities"][0]["public_key"] for x in (a, b)]
    a.rpc.contactadd(f"{keys[1]}@[{at_b}]:19955", "bob")
    b.rpc.contactadd(f"{keys[0]}@[{at_a}]:19955", "alice")
    a.rpc.peerconnect("bob", 30)

    def announced():
        return b.rpc.getrecord(keys[0])["endpoints"][0]["address"]
    t.wait(lambda: b.rpc.listrecords()["total"] == 2, what="the record, beside its own")
    equal((announced(), b.rpc.getrecord(keys[0])["public"]), (at_a, False))
    moved = rotate(t, a, at_a, b, "alice")
    a.rpc.setmocktime(int(time.time()) + 700)  # no pause between two records is left
    t.wait(lambda: announced() == moved, what="a record of the new address")
    b.rpc.peerdisconnect("alice")
    t.wait(lambda: not is_up(a, "bob") and not is_up(b, "alice"), what="end of the session")
    t.wait(lambda: at_a not in a.netns.addresses("eth0"), what="end of the address not in use")
    found = b.rpc.peerconnect("alice", 30)
    equal((found["address"], found["bound"]), (f"[{moved}]:19955", True))


if __name__ == "__main__":
    main()

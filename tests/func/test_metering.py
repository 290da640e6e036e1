"""Services that are paid for as they are used, over payment channels: who stops first, and what is at
stake when one side cheats or breaks off."""
import hashlib
import json
import os
import socket
import struct
import threading
import urllib.request

from channels import talker
from framework import Skip, case, check, equal, is_in, main, raises_rpc
from identities import FAULT
from paychan_guest import PAY, Payer
from paychan_guest import open_channel as fund_and_open
from paychannels import GENESIS, connect, open_channel, payers
from services import pipe, streams, web_server

MIB = 1 << 20
PRICE = 1000  # satoshis for a MiB
CREDIT = 50   # 52,429 bytes


def web(t, size):
    """The port of a web server with a file of that size, `large`, and its bytes."""
    directory = t.path("web")
    os.mkdir(directory)
    content = os.urandom(size)
    with open(os.path.join(directory, "large"), "wb") as f:
        f.write(content)
    return web_server(t, directory), content


def service(node, name="web"):
    return next(s for s in node.rpc.listservices()["services"] if s["name"] == name)


def account(node, name="web"):
    return service(node, name)["accounts"][0]


def waits(node, name="web"):
    return any(a["waiting"] for a in service(node, name)["accounts"])


def forward(node, port):
    return next(f for f in node.rpc.listservices()["forwards"] if f["local_port"] == port)


def budget(most, **more):
    return {"max_satoshis": most, "price_per_mib": PRICE, **more}


def metered(t, *options, size=4 * MIB, **opening):
    """Two of them; the second serves the web at a price. Also the bytes of the file."""
    a, b = payers(t, *options)
    port, content = web(t, size)
    b.rpc.exposeservice("web", f"[::1]:{port}", ["alice"], PRICE, 0, CREDIT)
    open_channel(t, a, b, depth=6, **opening)
    return a, b, content


class Download:
    """`large` through the port, on a thread of its own."""

    def __init__(self, port):
        self.data, self.error = b"", None
        self.thread = threading.Thread(target=self.run, args=(port,))
        self.thread.start()

    def run(self, port):
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/large", timeout=120) as answer:
                while piece := answer.read1(16384):
                    self.data += piece
        except OSError as error:
            self.error = error

    def end(self, content):
        self.thread.join()
        equal(self.error, None)
        equal(hashlib.sha256(self.data).digest(), hashlib.sha256(content).digest(), "the file")


def agree(t, a, b, port):
    """All is paid, and both say the same; what was paid."""
    t.wait(lambda: forward(a, port)["paid"] == forward(a, port)["charged"])
    t.wait(lambda: service(b)["owed"] == 0)
    paid = forward(a, port)["paid"]
    equal((account(b)["charged"], account(b)["paid"]), (paid, paid))
    return paid


@case()
def a_web_server_is_paid_for_each_mebibyte(t):
    a, b, content = metered(t)
    port = a.rpc.forwardservice("bob", "web", 0, budget(100000, ahead=0))["local_port"]
    Download(port).end(content)
    paid = agree(t, a, b, port)
    check(4 * PRICE <= paid <= 4 * PRICE + 5, f"{paid} satoshis")
    there = service(b)
    equal((there["earned"], there["price_per_mib"], there["credit"]), (paid, PRICE, CREDIT))
    equal(account(b), {"contact": "alice", "charged": paid, "paid": paid, "owed": 0,
                       "waiting": False})
    equal(sum(c["paid"] for c in b.rpc.listpaychannels()), paid)
    b.restart()
    connect(t, a, b)
    equal((service(b)["earned"], service(b)["credit"]), (paid, CREDIT))


@case()
def it_stops_where_the_credit_ends_and_goes_on_when_paid(t):
    a, b, content = metered(t)
    port = a.rpc.forwardservice("bob", "web", 0, budget(2 * PRICE))["local_port"]
    download = Download(port)
    t.wait(lambda: waits(b))
    t.wait(lambda: forward(a, port).get("trouble") == "max_satoshis are spent")
    t.wait(lambda: account(b)["paid"] == 2 * PRICE)  # the last one may be on its way
    t.wait(lambda: account(b)["owed"] == CREDIT + 1)
    t.wait(lambda: forward(a, port)["charged"] == 2 * PRICE + CREDIT + 1)
    check(len(download.data) <= (2 * PRICE + CREDIT + 1) * MIB // PRICE, "no byte for nothing")
    a.rpc.pay("bob", PRICE, "for the coffee")  # is for something else
    check(waits(b))
    a.rpc.pay("bob", 3 * PRICE, "service:web")
    download.end(content)
    equal(service(b)["earned"], 5 * PRICE)


@case()
def who_does_not_pay_gets_the_credit_once(t):
    a, b, _ = metered(t)
    port = a.rpc.forwardservice("bob", "web")["local_port"]
    first = Download(port)
    t.wait(lambda: waits(b))
    for _ in range(2):  # another stream, another session: the same account
        Download(port)
        a.rpc.peerdisconnect("bob")
        connect(t, a, b)  # a stream that came after that has perhaps dialled already
        Download(port)
    t.wait(lambda: any(s["direction"] == "in" and s["received"] for s in streams(b)))
    equal((account(b)["paid"], account(b)["owed"] - CREDIT in range(1, 3)), (0, True))
    check(len(first.data) <= (CREDIT + 1) * MIB // PRICE, f"{len(first.data)} bytes")
    b.restart()  # keeps it in mind
    connect(t, a, b)
    equal(account(b)["waiting"], True)
    owed = account(b)["owed"]
    a.rpc.pay("bob", owed)  # says nothing: for what is owed
    t.wait(lambda: account(b)["paid"] == owed)  # a stream that came late may owe more by now


@case()
def without_a_channel_or_a_price_nothing_is_served_or_paid(t):
    a, b = payers(t)
    b.rpc.exposeservice("echo", "echo:", ["alice"], 1)
    refused = pipe(t, a, "bob", "echo")
    is_in("may want to be paid", refused.communicate(b"x", timeout=60)[1].decode())
    for more in ({"max_satoshis": 5}, {"price_per_mib": 5}, {"max_satoshis": 10**8 + 1}):
        raises_rpc(-8, lambda: a.rpc.forwardservice("bob", "echo", 0, more))
    raises_rpc(-8, lambda: b.rpc.exposeservice("x", "echo:", [], 10**8 + 1), "price_per_mib")
    raises_rpc(-8, lambda: b.rpc.exposeservice("x", "echo:", [], 0, 0, 5), "without a price")
    b.restart("-paychannels=0")
    raises_rpc(-8, lambda: b.rpc.exposeservice("x", "echo:", [], 1), "-paychannels=0")
    equal(service(b, "echo")["trouble"], "payment channels are off")
    connect(t, a, b)
    refused = pipe(t, a, "bob", "echo")
    is_in("may want to be paid", refused.communicate(b"x", timeout=60)[1].decode())


@case()
def a_pipe_pays_from_the_client(t):
    a, b = payers(t)
    b.rpc.exposeservice("echo", "echo:", ["alice"], PRICE, 0, CREDIT)
    open_channel(t, a, b)
    process = pipe(t, a, "bob", "echo", json.dumps(budget(5000)))
    data = os.urandom(MIB)
    equal(process.communicate(data, timeout=60)[0], data)
    equal(process.returncode, 0)
    t.wait(lambda: account(b, "echo")["paid"] == 2 * PRICE)  # there and back
    equal(account(b, "echo")["charged"], 2 * PRICE)


@case()
def minutes_are_charged_while_it_serves_and_not_while_it_waits(t):
    a, b = payers(t)
    b.rpc.exposeservice("shell", "exec:cat", ["alice"], 0, 6000, 20)
    open_channel(t, a, b)
    shell = pipe(t, a, "bob", "shell")
    shell.stdin.write(b"one\n")
    shell.stdin.flush()
    equal(shell.stdout.readline(), b"one\n")
    t.wait(lambda: waits(b, "shell"))
    owed = account(b, "shell")["owed"]
    shell.stdin.write(b"two\n")
    shell.stdin.flush()
    if owed > 21:
        a.rpc.pay("bob", owed - 21, "service:shell")  # not enough
    check(waits(b, "shell"))
    equal(account(b, "shell")["owed"], 21)
    a.rpc.pay("bob", 100, "service:shell")
    equal(shell.stdout.readline(), b"two\n")
    shell.communicate(timeout=60)
    equal(shell.returncode, 0)
    paid = pipe(t, a, "bob", "shell", json.dumps({"max_satoshis": 9000, "price_per_minute": 6000}))
    paid.stdin.write(b"x\n")
    paid.stdin.flush()
    before = account(b, "shell")["paid"]
    t.wait(lambda: account(b, "shell")["paid"] > before + 100)  # a second and more
    t.wait(lambda: not waits(b, "shell"))
    equal(paid.communicate(timeout=60)[0], b"x\n")


@case()
def a_crash_of_either_side_costs_one_unit_at_most(t):
    a, b, content = metered(t, size=8 * MIB)
    spent, killed = 0, []
    for node in (a, b, a, b, a, b):  # on a busy machine all may have come before it is noticed
        if node in killed:
            continue
        port = a.rpc.forwardservice("bob", "web", 0, budget(100000))["local_port"]
        download, before = Download(port), spent
        t.wait(lambda: service(b)["earned"] > before + 3 * PRICE)
        node.kill()
        download.thread.join()
        if download.error is not None or len(download.data) < len(content):
            killed.append(node)
        node.start()
        t.wait_same_tip(a, b)
        connect(t, a, b)
        owed = account(b)["owed"]
        check(owed <= CREDIT + 2, f"{owed} satoshis are owed")
        if node is b:
            a.rpc.unforward(port)
        spent = sum(c["paid"] for c in a.rpc.listpaychannels())
        # What came was paid, and nothing else but a unit.
        floor = len(download.data) * PRICE // MIB
        check(spent - before >= floor - CREDIT - 1, f"{spent - before} of {floor} satoshis")
    equal(set(killed), {a, b}, "both broke one off")
    port = a.rpc.forwardservice("bob", "web", 0, budget(100000))["local_port"]
    Download(port).end(content)  # what a crash left owed does not stop it
    t.wait(lambda: forward(a, port)["paid"] >= forward(a, port)["charged"])
    extra = forward(a, port)["paid"] - forward(a, port)["charged"]
    check(extra <= 2 * PRICE, f"{extra} satoshis ahead")


@case()
def a_server_that_takes_money_and_stops_gets_one_unit(t):
    a, b = payers(t)
    b.rpc.exposeservice("thief", "exec:head -c 100000 /dev/zero; exec sleep 1000", ["alice"], 1, 0,
                        CREDIT)  # it asks for a thousandth of what the other side pays
    open_channel(t, a, b)
    for ahead in (0, 77):
        before = sum(c["paid"] for c in a.rpc.listpaychannels())
        wish = budget(100000, ahead=ahead)
        port = a.rpc.forwardservice("bob", "thief", 0, wish)["local_port"]
        with socket.create_connection(("::1", port), timeout=60) as reader:
            got = 0
            while got < 100000:
                got += len(reader.recv(65536))
            t.wait(lambda: forward(a, port)["paid"] >= got * PRICE // MIB + ahead, 30)
            a.rpc.unforward(port)
        # All of what came, a fraction rounded up, and what was paid ahead.
        spent = sum(c["paid"] for c in a.rpc.listpaychannels()) - before
        equal(spent, got * PRICE // MIB + 1 + ahead)


class Taker(Payer):
    """Takes what it gets and pays when it likes."""
    S_OPEN, S_ACCEPT, S_DATA, S_WINDOW, S_RESET = 64, 66, 68, 70, 74

    def __init__(self, node, key):
        super().__init__(node, key)
        self.features = b"\x82"  # payments, streams
        self.got = 0

    def ask(self, sid, name):
        self.put(self.S_OPEN, struct.pack(">IB", sid, len(name)) + name +
                 struct.pack(">BI", 4, 1 << 30))

    def take_until(self, done):
        """Data are counted until it holds."""
        while not done():
            kind, payload = self.next()
            if kind == self.S_DATA:
                self.got += len(payload) - 4
            elif kind == self.S_RESET:
                return struct.unpack(">H", payload[4:6])[0]
        return None


@case()
def a_guest_that_takes_without_paying_gets_the_credit(t):
    node, key = talker(t, GENESIS)
    guest = Taker(node, key)
    t.cleanups.append(guest.close)
    node.rpc.contactadd(guest.key, "mallory")
    node.rpc.exposeservice("zero", "exec:cat /dev/zero", ["mallory"], PRICE, 0, CREDIT)
    guest.connect()
    guest.ask(1, b"zero")
    equal(guest.take_until(lambda: False), 1)  # no channel: refused
    fund_and_open(node, guest)
    most = lambda paid: ((paid + CREDIT + 1) * MIB + PRICE - 1) // PRICE
    for sid in (3, 5, 7):  # as many streams as it likes
        guest.ask(sid, b"zero")
        guest.take_until(lambda: guest.got == most(0))
    t.wait(lambda: waits(node, "zero"))
    guest.put(PAY, guest.pay(1, 10 * PRICE)[:-1] + b"\x0cservice:zero")
    guest.take_until(lambda: guest.got == most(10 * PRICE))
    t.wait(lambda: account(node, "zero")["owed"] == CREDIT + 1)
    guest.close()
    again = Taker(node, key)  # not even by another session
    again.secret, again.key, again.got = guest.secret, guest.key, 0
    again.connect()
    again.ask(1, b"zero")
    t.wait(lambda: any(s["open"] for s in streams(node)))
    equal((account(node, "zero")["charged"], again.got), (10 * PRICE + CREDIT + 1, 0))
    again.close()


@case()
def a_disk_that_fails_stops_the_service_at_once_and_it_says_so(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b, content = metered(t, size=64 * MIB)
    b.stop()
    b.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": b.file("paychannels"),
                 "BSVPEER_FAULT": "fdatasync:30:EIO"})
    connect(t, a, b)
    port = a.rpc.forwardservice("bob", "web", 0, budget(1000000))["local_port"]
    download = Download(port)
    download.thread.join()
    check(len(download.data) < len(content), "it broke off")
    t.wait(lambda: "trouble" in service(b))
    check(account(b)["owed"] <= CREDIT + 1, "no more than the credit")
    is_in("the journal has failed", b.log())
    refused = pipe(t, a, "bob", "web")
    is_in("does not answer", refused.communicate(b"x", timeout=60)[1].decode())
    b.kill()


if __name__ == "__main__":
    main()

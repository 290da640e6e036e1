"""Files that cost something: a chunk for a payment, a payment for a chunk, and who stops when one of
the two does not come."""
import os
import struct
import subprocess

from channels import is_up, talker
from files import make, same, state, transfer
from framework import LONG, Skip, case, check, equal, is_in, main, raises_rpc
from identities import FAULT
from paychan_guest import PAY, Payer
from paychan_guest import open_channel as fund_and_open
from paychannels import GENESIS, connect, open_channel, payers

MIB = 1 << 20
CHUNK = 1 << 14
PRICE = 128  # satoshis for a MiB: two for a chunk
UNIT = 2


def source(node, id):
    return transfer(node, id)["sources"][0]


def for_sale(t, size, price=PRICE, *options):
    """Two of them with a channel from the first to the second, which offers a file; its path and
    id."""
    a, b = payers(t, *options)
    open_channel(t, a, b, depth=6)
    path = make(t, "goods", size)
    id = b.rpc.sendfile("alice", path, price)
    t.wait(lambda: state(a, id) == "waiting")
    return a, b, path, id


def spent(node):
    return sum(c["paid"] for c in node.rpc.listpaychannels())


@case()
def a_file_is_paid_for_chunk_by_chunk(t):
    a, b, path, id = for_sale(t, 2 * MIB + 100)
    cost = 2 * PRICE + 1  # the last bytes cost a part of a satoshi
    equal((source(a, id)["price_per_mib"], source(a, id)["cost"]), (PRICE, cost))
    raises_rpc(-8, lambda: a.rpc.acceptfile(id), f"costs {cost} satoshis")
    raises_rpc(-8, lambda: a.rpc.acceptfile(id, t.path("."), cost - 1), f"costs {cost}")
    raises_rpc(-8, lambda: a.rpc.acceptfile(id, t.path("."), -1))
    raises_rpc(-8, lambda: b.rpc.sendfile("alice", path, 10**8 + 1), "price_per_mib")
    equal(state(a, id), "waiting")
    os.mkdir(t.path("bought"))
    a.rpc.acceptfile(id, t.path("bought"), cost)
    t.wait(lambda: state(b, id) == "done")
    check(same(path, t.path("bought/goods")), "the file")
    equal(spent(a), 2 * PRICE)
    equal((source(b, id)["charged"], source(b, id)["paid"]), (2 * PRICE, 2 * PRICE))
    equal((transfer(a, id)["spent"], source(a, id)["paid"]), (2 * PRICE, 2 * PRICE))


@case()
def a_file_is_sold_from_the_command_line(t):
    a, b = payers(t)
    open_channel(t, a, b)
    command = subprocess.Popen(b.cli_line() + ["send", "alice", make(t, "goods", MIB), str(PRICE)],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    t.cleanups.append(command.kill)
    t.wait(lambda: a.rpc.listtransfers())
    id = a.rpc.listtransfers()[0]["id"]
    equal(source(a, id)["cost"], PRICE)
    code, _, error = a.cli("acceptfile", id, "", PRICE - 1)
    check(code != 0 and "costs" in error, error)
    equal(a.cli("acceptfile", id, "", PRICE)[0], 0)
    command.communicate(timeout=60)
    equal((command.returncode, spent(b)), (0, PRICE))


@case()
def what_costs_something_is_not_taken_unasked(t):
    a, b, _, id = for_sale(t, 100)
    a.rpc.contactset("bob", {"accept_files": True})
    more = b.rpc.sendfile("alice", make(t, "more", 200), 1)
    free = b.rpc.sendfile("alice", make(t, "free", 300))
    t.wait(lambda: state(a, free) == "done")
    equal((state(a, id), state(a, more)), ("waiting", "waiting"))
    a.rpc.acceptfile(more, None, 1)  # a satoshi for less than one
    t.wait(lambda: state(a, more) == "done")
    equal(spent(a), 0)


@case()
def without_a_channel_nothing_is_sent(t):
    a, b = payers(t)
    id = b.rpc.sendfile("alice", make(t, "goods", MIB), PRICE)
    t.wait(lambda: state(a, id) == "waiting")
    a.rpc.acceptfile(id, None, PRICE)
    t.wait(lambda: "payment channel" in transfer(a, id).get("error", ""))
    equal((transfer(a, id)["done"], source(b, id)["charged"]), (0, 0))
    open_channel(t, a, b)
    t.wait(lambda: state(b, id) == "done")
    equal(spent(a), PRICE)


@case()
def one_that_is_accepted_while_the_seller_is_away_is_bought_later(t):
    a, b, _, id = for_sale(t, 3 * MIB)
    a.rpc.peerdisconnect("bob")
    t.wait(lambda: not is_up(b, "alice"))
    a.rpc.acceptfile(id, None, 3 * PRICE)
    connect(t, a, b)
    t.wait(lambda: state(b, id) == "done")
    equal(spent(a), 3 * PRICE)


@case()
def a_channel_that_is_used_up_stops_it_after_one_chunk(t):
    a, b = payers(t)
    open_channel(t, a, b, capacity=10000, depth=6)
    id = b.rpc.sendfile("alice", make(t, "goods", MIB), 64 * 200)  # 200 for a chunk
    t.wait(lambda: state(a, id) == "waiting")
    a.rpc.acceptfile(id, None, 64 * 200)
    t.wait(lambda: "does not hold so much" in transfer(a, id).get("error", ""))
    t.wait(lambda: spent(a) == 10000 - 133)
    t.wait(lambda: source(b, id)["paid"] == 10000 - 133)
    equal(source(b, id)["charged"], 50 * 200)
    check(transfer(a, id)["done"] <= 50 * CHUNK, "fifty chunks")
    open_channel(t, a, b, capacity=20000, depth=6)
    t.wait(lambda: state(b, id) == "done")
    equal(spent(b), 64 * 200)


@case()
def crashes_and_broken_sessions_cost_a_chunk_at_most(t):
    a, b, path, id = for_sale(t, 6 * MIB)
    cost = 6 * PRICE
    a.rpc.acceptfile(id, None, cost + 20 * UNIT)
    broken = 0
    acts = a.kill, b.kill, lambda: a.rpc.peerdisconnect("bob"), a.kill, b.kill
    for act in acts if LONG else acts[:2]:
        wanted = min(transfer(a, id)["done"] + MIB // 2, 6 * MIB)
        try:
            t.wait(lambda: transfer(a, id)["done"] >= wanted)  # pylint: disable=W0640
        except AssertionError as error:
            raise AssertionError(f"{error}: {transfer(a, id)}, {source(b, id)}, "
                                 f"{a.rpc.listpaychannels()}") from error
        act()
        broken += 1
        for node in (a, b):
            if not node.process:
                node.start()
        t.wait_same_tip(a, b)
        connect(t, a, b)
        low = transfer(a, id)["done"] * PRICE // MIB
        t.wait(lambda: spent(b) >= low - UNIT * broken)
        paid = spent(b)
        high = transfer(a, id)["done"] * PRICE // MIB
        check(paid <= high + UNIT * broken, f"{paid} for {high} satoshis")
    t.wait(lambda: state(b, id) == "done")
    check(cost - UNIT * broken <= spent(b) <= cost + UNIT * broken, f"{spent(b)} of {cost}")
    check(same(path, transfer(a, id)["path"]), "the file")


@case()
def deaths_before_payments_do_not_use_up_what_may_be_spent(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b, path, id = for_sale(t, MIB)
    a.rpc.peerdisconnect("bob")
    a.rpc.acceptfile(id, None, PRICE)
    for _ in range(2):  # each time a chunk is there, and not paid
        a.kill()
        a.launch(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": a.file("paychannels"),
                      "BSVPEER_FAULT": "pwrite:10:exit"})
        t.wait(lambda: not a.is_alive())
    a.kill()
    a.start()
    connect(t, a, b)
    t.wait(lambda: state(b, id) == "done")
    check(same(path, transfer(a, id)["path"]), "the file")
    check(PRICE - UNIT <= spent(b) <= PRICE, f"{spent(b)} of {PRICE}")


class Buyer(Payer):
    """Takes chunks, and pays when it likes."""
    S_OPEN, S_ACCEPT, S_DATA, S_FIN, S_RESET, F_OFFER, F_ACCEPT = 64, 66, 68, 72, 74, 128, 130

    def __init__(self, node, key):
        super().__init__(node, key)
        self.features = b"\xa2"  # payments, files, streams
        self.got, self.ended = {}, {}

    def next_of(self, kind):
        while True:
            got, payload = self.next()
            if got == kind:
                return payload

    def ask(self, sid, id, first, count):
        self.put(self.S_OPEN, struct.pack(">IB", sid, 4) + b"file" + struct.pack(">BI", 4, 1 << 30))
        self.next_of(self.S_ACCEPT)
        self.put(self.S_DATA, struct.pack(">I", sid) + id + struct.pack(">BII", 2, first, count))
        self.put(self.S_FIN, struct.pack(">I", sid))
        self.got[sid] = -1  # the status

    def take_until(self, done):
        while not done():
            kind, payload = self.next()
            sid = struct.unpack(">I", payload[:4])[0]
            if kind == self.S_DATA:
                self.got[sid] += len(payload) - 4
            elif kind in (self.S_RESET, self.S_FIN):
                self.ended[sid] = kind


@case()
def who_takes_chunks_without_paying_gets_one(t):
    node, key = talker(t, GENESIS)
    buyer = Buyer(node, key)
    t.cleanups.append(buyer.close)
    node.rpc.contactadd(buyer.key, "mallory")
    buyer.connect()
    fund_and_open(node, buyer)
    name = node.rpc.sendfile("mallory", make(t, "goods", MIB), PRICE)
    id, label = bytes.fromhex(name), b"file:" + name[:32].encode()
    offered = buyer.next_of(Buyer.F_OFFER)
    equal(offered[-12:], b"\xfd\x80\x01\x08" + struct.pack(">Q", PRICE))  # the price, a TLV
    buyer.put(Buyer.F_ACCEPT, id)
    t.wait(lambda: state(node, name) == "running")
    buyer.ask(1, id, 0, 64)
    buyer.take_until(lambda: buyer.got[1] == CHUNK)
    for sid, first in ((3, 16), (5, 32)):  # other streams, other chunks
        buyer.ask(sid, id, first, 4)
    buyer.ask(7, id, 0, 1)  # the same one again is free
    buyer.take_until(lambda: 7 in buyer.ended)
    equal((buyer.got[7], buyer.got[1]), (CHUNK, CHUNK))
    check(buyer.got[3] <= 0 and buyer.got[5] <= 0, f"{buyer.got}")
    equal((source(node, name)["charged"], source(node, name)["paid"]), (UNIT, 0))
    paid = 0
    for n in range(1, 5):  # one chunk for each payment
        paid += UNIT
        buyer.put(PAY, buyer.pay(n, paid)[:-1] + bytes([len(label)]) + label)
        buyer.take_until(lambda: sum(buyer.got[sid] for sid in (1, 3, 5) if buyer.got[sid] > 0)
                         == (n + 1) * CHUNK)
    equal((source(node, name)["charged"], source(node, name)["paid"]), (paid + UNIT, paid))
    buyer.put(PAY, buyer.pay(5, paid + 1)[:-1] + b"\x00")  # says nothing: for what is owed
    t.wait(lambda: source(node, name)["paid"] == paid + 1)


@case()
def a_disk_that_fails_stops_the_sale(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b, _, id = for_sale(t, 8 * MIB)
    b.stop()
    b.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": b.file("paychannels"),
                 "BSVPEER_FAULT": "fdatasync:20:EIO"})
    connect(t, a, b)
    a.rpc.acceptfile(id, None, 8 * PRICE)
    t.wait(lambda: any("alarm" in c for c in b.rpc.listpaychannels()))
    t.wait(lambda: "error" in transfer(a, id))
    charged = source(b, id)["charged"]
    check(charged - source(b, id)["paid"] <= UNIT, "one chunk is not paid")
    check(charged < 8 * PRICE, "it stopped")
    is_in("the journal has failed", b.log())
    b.kill()


if __name__ == "__main__":
    main()

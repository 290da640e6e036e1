"""A helper keeps the newest state of payment channels and closes them while the payee is away."""
import os
import shutil
import struct
import threading
import time

from channel_guest import M_NACK, M_SEND, m_send, receipts
from channels import is_up, talker
from framework import Skip, case, check, equal, main, wait_until
from identities import FAULT, identity, kill_and_start
from paychan_guest import ACK, FEE, PAY, Payer, payee
from paychan_guest import open_channel as open_guest
from paychannels import (CAPACITY, CLOSE_FEE, GENESIS, channel, connect, may_pay, mine,
                         mine_to, open_channel, pay_until_killed, payers, spender, state, sums)


def with_helper(t, *options):
    """A payer, a payee and a third one whom the payee calls carol, with a session."""
    a, b = payers(t, "-paychannelhelper=carol", "-paychannelhelperinterval=1",
                  "-paychannelmargin=36", *options)
    c = t.node(GENESIS, "-connect=" + a.p2p, "-paychannelmargin=36")
    t.wait_same_tip(a, b, c)
    mine_to(c)
    c.rpc.bcaregister("me", 2)
    mine(c, 2)
    t.wait_same_tip(a, b, c)
    b.rpc.contactadd(f"{identity(c, 'me')['public_key']}@{c.channel}", "carol")
    c.rpc.contactadd(f"{identity(b, 'me')['public_key']}@{b.channel}", "bob")
    return a, b, c


def kept(node, id):
    return next((k for k in node.rpc.listkeptchannels() if k["id"] == id), None)


def is_kept(t, node, id, paid):
    t.wait(lambda: (kept(node, id) or {}).get("paid") == paid)


@case(timeout=120)
def the_helper_closes_at_the_margin_while_the_payee_is_away(t):
    a, b, c = with_helper(t)
    id = open_channel(t, a, b, expiry_blocks=181)
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    is_kept(t, c, id, 1000)  # it was dialled for that
    equal(c.rpc.listmessages()["messages"], [])
    equal(a.rpc.pay("bob", 500)["acknowledged"], True)
    is_kept(t, c, id, 1500)
    equal({k: kept(c, id)[k] for k in ("contact", "role", "n", "closing")},
          {"contact": "bob", "role": "payee", "n": 2, "closing": False})
    b.kill()
    kill_and_start(t, c, a)  # what it acknowledged is on its disk
    is_kept(t, c, id, 1500)
    due = channel(a, id)["expiry"] - 36
    mine(a, due - 1 - a.rpc.getblockcount())
    t.wait_same_tip(a, c)
    equal(kept(c, id)["closing"], False)
    equal(spender(a, id), None)
    mine(a)
    tx = t.wait(lambda: spender(a, id))
    equal(sums(tx), [1500, CAPACITY - 1500 - CLOSE_FEE])
    equal(kept(c, id)["closing"], True)
    mine(a)
    t.wait_same_tip(a, c)
    t.wait(lambda: kept(c, id).get("spend_height") == a.rpc.getblockcount())
    b.start()  # and the payee finds it settled
    t.wait_same_tip(a, b)
    t.wait(lambda: channel(b, id).get("spend_height"))
    equal(channel(b, id)["settled_paid"], 1500)
    mine(a, 100)
    t.wait(lambda: not kept(c, id))
    kill_and_start(t, c, a)
    equal(c.rpc.listkeptchannels(), [])


@case(timeout=120)
def the_helper_closes_when_something_else_spends_the_channel(t):
    b, payer = payee(t, "-paychannelhelper=carol", "-paychannelhelperinterval=1")
    c = t.node(GENESIS, "-connect=" + b.p2p)
    t.wait_same_tip(b, c)
    mine_to(c)
    c.rpc.bcaregister("me", 2)
    mine(c, 2)
    t.wait_same_tip(b, c)
    b.rpc.contactadd(f"{identity(c, 'me')['public_key']}@{c.channel}", "carol")
    c.rpc.contactadd(f"{identity(b, 'me')['public_key']}@{b.channel}", "bob")
    open_guest(b, payer)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    id = payer.id.hex()
    is_kept(t, c, id, 1000)
    t.wait_same_tip(b, c)
    b.kill()
    c.rpc.sendrawtransaction(payer.refund(c.rpc.getblockcount() + 1001).hex())  # it waits, parked
    t.wait(lambda: kept(c, id)["closing"])
    txid, = t.wait(c.rpc.getrawmempool)
    equal(sums(c.rpc.getrawtransaction(txid, 1)), [1000, CAPACITY - 1000 - FEE])


@case(timeout=120)
def the_helper_is_told_before_a_planned_stop(t):
    a, b, c = with_helper(t)
    id = open_channel(t, a, b)
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    is_kept(t, c, id, 1000)
    b.restart("-paychannelhelperinterval=3600")
    connect(t, a, b)
    t.wait(lambda: is_up(b, "carol") or b.rpc.peerconnect("carol"))
    t.wait(lambda: may_pay(a, b, id))
    for i in range(1, 4):
        equal(a.rpc.pay("bob", 10)["acknowledged"], True)
    b.stop()
    is_kept(t, c, id, 1030)


@case(timeout=120)
def what_the_payee_has_lost_comes_back_from_the_helper(t):
    a, b, c = with_helper(t)
    id = open_channel(t, a, b)
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    is_kept(t, c, id, 1000)
    path = t.path("channels.dat")
    b.rpc.exportchannels(path)
    a.restart("-channel=0")  # nobody else could say it
    t.wait_same_tip(a, b, c)
    b.kill()
    shutil.rmtree(b.file("paychannels"))
    b.start()
    t.wait_same_tip(a, b)
    equal(b.rpc.importchannels(path)[0]["restored"], True)
    t.wait(lambda: channel(b, id)["paid"] == 1000)
    equal(kept(c, id)["paid"], 1000)
    b.rpc.closechannel(id)
    equal(sums(t.wait(lambda: spender(b, id))), [1000, CAPACITY - 1000 - CLOSE_FEE])


@case(timeout=120)
def a_helper_that_could_not_be_asked_is_asked_again(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that breaks the random generator is not built")
    a, b, c = with_helper(t)
    id = open_channel(t, a, b)
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    is_kept(t, c, id, 1000)
    path, broken = t.path("channels.dat"), b.file("broken")
    b.rpc.exportchannels(path)
    a.restart("-channel=0")
    t.wait_same_tip(a, b, c)
    b.kill()
    shutil.rmtree(b.file("paychannels"))
    b.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_RANDOM": "EIO",
                 "BSVPEER_FAULT_RANDOM_WHILE": broken})
    t.wait_same_tip(a, b)
    t.wait(lambda: is_up(b, "carol") or b.rpc.peerconnect("carol"))
    with open(broken, "w", encoding="ascii"):
        pass
    b.rpc.importchannels(path)
    t.wait(lambda: "a helper was not told" in b.log())
    equal(channel(b, id)["paid"], 0)
    os.unlink(broken)
    t.wait(lambda: channel(b, id)["paid"] == 1000)  # in the same session


def give_to_keep(guest, body):
    identifier = os.urandom(16)
    guest.put(M_SEND, m_send(identifier, int(time.time() * 1000), body,
                             content=b"application/bcapeer-chan"))
    return identifier


def nacked(guest, body):
    """The code of the answer to a message that gives a state to keep."""
    identifier = give_to_keep(guest, body)
    kind, got, code = receipts(guest, 1)[0]
    equal((kind, got), (M_NACK, identifier))
    return code


@case(timeout=120)
def the_helper_of_a_payer_keeps_and_never_closes(t):
    a, b, c = with_helper(t)
    a.rpc.contactadd(f"{identity(c, 'me')['public_key']}@{c.channel}", "carol")
    c.rpc.contactadd(f"{identity(a, 'me')['public_key']}@{a.channel}", "alice")
    id = open_channel(t, a, b, expiry_blocks=181)
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    t.wait(lambda: [k["role"] for k in c.rpc.listkeptchannels()
                    if k["paid"] == 1000] in (["payer", "payee"], ["payee", "payer"]))
    equal({k["contact"] for k in c.rpc.listkeptchannels()}, {"alice", "bob"})
    b.rpc.contactremove("carol")
    a.kill()
    mine(c, channel(b, id)["expiry"] - 37 - c.rpc.getblockcount())
    equal([k["closing"] for k in c.rpc.listkeptchannels()], [False, False])
    equal(c.rpc.getrawmempool(), [])


@case(timeout=120)
def who_keeps_nothing_says_so_and_what_is_wrong_is_not_kept(t):
    a, b, c = with_helper(t)
    id = open_channel(t, a, b)
    c.restart("-paychannelkept=0")
    t.wait_same_tip(a, b, c)
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    t.wait(lambda: is_up(c, "bob"))
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    b.rpc.sendmessage("carol", "after it")
    t.wait(lambda: c.rpc.listmessages()["messages"])
    equal(c.rpc.listkeptchannels(), [])
    guest = Payer(c, identity(c, "me")["public_key"])
    guest.features = b"\x88"
    t.cleanups.append(guest.close)
    c.rpc.contactadd(guest.key, "mallory")
    c.restart()
    guest.connect()
    # Sound as it is, and of an output that nobody has: that would have to be looked for.
    copy = struct.pack(">H", 1) + guest.payer_key + bytes.fromhex(guest.key) + struct.pack(
        ">IQ", c.rpc.getblockcount() + 500, CAPACITY) + b"\x55" * 32 + struct.pack(">II", 0, FEE) + \
        bytes(104)
    equal(nacked(guest, bytes(32) + b"\1" + copy + struct.pack(">QQI", 1, 5, FEE) + bytes(66)), 5)
    for body in (b"", bytes(335), b"\1" * 337, bytes(32) + b"\2" + bytes(302)):
        equal(nacked(guest, body), 2)
    equal(c.rpc.listkeptchannels(), [])
    equal(state(b, id), "open")


def with_helper_and_faults(t, fault, after=None):
    """The same with a channel that the helper has; writes of the payee's journal are at fault, from
    when its file after is there on."""
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes slow, or fail, is not built")
    a, b, c = with_helper(t)
    id = open_channel(t, a, b, depth=6)
    equal(a.rpc.pay("bob", 7)["acknowledged"], True)
    is_kept(t, c, id, 7)
    a.rpc.peerdisconnect("bob")
    b.stop()
    env = {"LD_PRELOAD": FAULT, "BSVPEER_FAULT": fault,
           "BSVPEER_FAULT_PATH": b.file("paychannels/")}
    if after:
        env["BSVPEER_FAULT_AFTER"] = b.file(after)
    b.start(env=env)
    t.wait_same_tip(a, b)
    connect(t, a, b)
    t.wait(lambda: may_pay(a, b, id))
    t.wait(lambda: is_up(b, "carol"))
    return a, b, c, id


@case(timeout=120)
def the_helper_has_nothing_that_is_not_on_the_disk_of_the_payee(t):
    a, b, c, id = with_helper_and_faults(t, "pwrite:1:slow")
    payer = threading.Thread(target=pay_until_killed, args=(a, []))
    payer.start()
    for _ in range(3):  # each as soon as it is given
        before = kept(c, id)["paid"]
        wait_until(lambda: kept(c, id)["paid"] > before, pause=0.01)
    b.kill()
    payer.join()
    a.stop()
    given = kept(c, id)["paid"]
    b.start()
    t.wait(lambda: channel(b, id))
    check(channel(b, id)["paid"] >= given, f"{channel(b, id)['paid']}, given {given}")


@case(timeout=120)
def the_helper_is_given_nothing_that_the_disk_has_refused(t):
    a, b, c, id = with_helper_and_faults(t, "pwrite:1:EIO", after="fails")
    equal(a.rpc.pay("bob", 1)["acknowledged"], True)
    is_kept(t, c, id, 8)  # it is given what is on disk
    with open(b.file("fails"), "w", encoding="ascii"):
        pass
    payer = threading.Thread(target=pay_until_killed, args=(a, []))
    payer.start()
    t.wait(lambda: "the journal has failed" in b.log())
    time.sleep(3)  # more than one turn of the helper
    equal(kept(c, id)["paid"], 8)
    a.kill()
    payer.join()


@case(timeout=120)
def one_contact_does_not_use_up_the_rate_of_another(t):
    c, key = talker(t, GENESIS)
    flood, other = Payer(c, key), Payer(c, key)
    for guest, alias in ((flood, "mallory"), (other, "carol")):
        guest.features = b"\x88"
        t.cleanups.append(guest.close)
        c.rpc.contactadd(guest.key, alias)
        guest.connect()
    for _ in range(2000):  # at once: none is waited for
        give_to_keep(flood, b"")
    codes = [code for _, _, code in receipts(flood, 2000)]
    equal(codes[0], 2)
    check(codes.count(5) > 500, f"{codes.count(5)} were too many of that one")
    equal({nacked(other, b"") for _ in range(20)}, {2})


if __name__ == "__main__":
    main()

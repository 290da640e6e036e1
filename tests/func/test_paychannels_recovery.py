"""Payment channels whose data were lost, are old, or whose funding was replaced."""
import os
import shutil
import struct
import threading
import time

from blocks import Block, TxOut, coinbase, display, from_display, sha256d
from channel_guest import SUCCESSOR, make_other_wallet, move_to_other_wallet, statement
from channels import talker
from events import read_events
from framework import Rpc, RpcError, Skip, case, check, equal, is_in, main, raises_rpc
from identities import FAULT, crash_at, identity, kill_and_start
from paychan_guest import (ACK, AMOUNT, FAIL, FUNDED, LATE, LIMIT, PAY, READY, SCRIPT, SIG, STATE,
                           SYNC, UNKNOWN, Payer)
from paychan_guest import payee as payee_of
from paychan_payee_guest import open_to, payer_of
from paychannels import (CAPACITY, CLOSE_FEE, GENESIS, channel, connect, copy_parts, in_pool,
                         may_pay, mine, mine_these, open_channel, paid_channel, payers,
                         put_back_parts, spender, state, sums, with_a_longer_push)
from wallet_rpc import WalletRpc


def lose(node, *names):
    """Killed, and these parts of its directory are gone."""
    node.kill()
    for name in names:
        shutil.rmtree(node.file(name))


def saved(path):
    """The ids in a file of channels."""
    with open(path, "rb") as file:
        data = file.read()
    return [data[at:at + 32].hex() for at in range(16, len(data) - 32, 323)]


def settle(t, node, id, what="closed"):
    tx = t.wait(lambda: spender(node, id))
    mine(node)
    t.wait(lambda: channel(node, id).get("spend_height"))
    mine(node, 5)
    t.wait(lambda: state(node, id) == what)
    return tx


def pays_again(t, a, b, id, paid):
    """Both are where they were, and go on."""
    t.wait(lambda: channel(a, id) and channel(b, id))
    t.wait(lambda: channel(a, id)["paid"] == paid and channel(b, id)["paid"] == paid)
    t.wait(lambda: may_pay(a, b, id, paid))
    answer = a.rpc.pay("bob", 10)
    equal((answer["paid"], answer["acknowledged"]), (paid + 10, True))


def begin_with_phrase(t, node, phrase):
    """A node of which nothing is left but the words of its wallet."""
    node.kill()
    shutil.rmtree(node.net_directory)
    node.start()
    node.rpc.createwallet(wallet_name="again", phrase=phrase)
    return WalletRpc(node, "again")


def at_the_tip(t, node, wallet):
    t.wait(lambda: wallet.getwalletinfo()["height"] == node.rpc.getblockcount(), what="the tip")


@case(timeout=120)
def a_payer_with_nothing_but_its_phrase_goes_on(t):
    a, b, id = paid_channel(t, amounts=(1000, 1000, 1000))
    phrase, key = a.rpc.getwalletphrase(), identity(a, "me")["public_key"]
    b_key = identity(b, "me")["public_key"]
    wallet = begin_with_phrase(t, a, phrase)
    t.wait_same_tip(a, b)
    at_the_tip(t, a, wallet)
    equal(wallet.bcarecover(), ["recovered-1"])
    equal(wallet.bcalist()["identities"][0]["public_key"], key)
    a.rpc.contactadd(f"{b_key}@{b.channel}", "bob")
    connect(t, a, b)
    pays_again(t, a, b, id, 3000)
    before = wallet.getbalance()
    a.rpc.closechannel(id)
    tx = settle(t, b, id)
    equal(sums(tx), [3010, CAPACITY - 3010 - CLOSE_FEE])
    t.wait_same_tip(a, b)
    at_the_tip(t, a, wallet)
    equal(int((wallet.getbalance() - before) * 10**8), CAPACITY - 3010 - CLOSE_FEE)


@case()
def a_journal_alone_that_is_lost_comes_back_from_the_other_side(t):
    a, b, id = paid_channel(t)
    paid = 1000
    for node, other in ((a, b), (b, a)):
        lose(node, "paychannels")
        node.start()
        equal(node.rpc.listpaychannels(), [])
        t.wait_same_tip(a, b)
        connect(t, a, b)
        pays_again(t, a, b, id, paid)
        paid += 10
        node.kill()  # what was taken back is on disk
        node.start()
        t.wait_same_tip(a, b)
        connect(t, a, b)
        pays_again(t, a, b, id, paid)
        paid += 10
    b.rpc.closechannel(id)
    equal(sums(settle(t, b, id)), [paid, CAPACITY - paid - CLOSE_FEE])
    t.wait(lambda: state(a, id) == "closed")
    equal(channel(a, id)["settled_paid"], paid)


@case()
def what_comes_back_to_a_payee_is_not_told_twice(t):
    a, b, id = paid_channel(t, amounts=())
    equal(a.rpc.pay("bob", 1000, "first")["acknowledged"], True)
    path = t.path("channels.dat")
    b.rpc.exportchannels(path)
    a.rpc.peerdisconnect("bob")
    lose(b, "paychannels")
    b.start()
    t.wait_same_tip(a, b)
    equal(b.rpc.importchannels(path)[0]["restored"], True)
    b.kill()
    b.start()
    t.wait_same_tip(a, b)
    connect(t, a, b)
    pays_again(t, a, b, id, 1000)
    t.wait(lambda: [(e["satoshis"], e["paid"]) for e in read_events(b)
                    if e["type"] == "payment_received"] == [(1000, 1000), (10, 1010)])


@case(timeout=120)
def an_import_that_is_killed_at_a_write_is_there_or_not(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b, id = paid_channel(t)
    path = t.path("channels.dat")
    a.rpc.exportchannels(path)
    b.restart("-channel=0")
    crashes = 0
    for sync in (2, 3, 4):  # at the start, at the record, after it
        a.stop()
        shutil.rmtree(a.file("paychannels"))
        a.start()
        ended = crash_at(a, f"fdatasync:{sync}:exit", a.file("paychannels"),
                         lambda: a.rpc.importchannels(path))
        crashes += ended
        if a.process and a.is_alive():
            a.stop()
        a.start()
        a.rpc.importchannels(path)
        equal([c["id"] for c in a.rpc.listpaychannels()], [id])
    check(crashes, "one of them was in the import")
    b.restart()
    t.wait_same_tip(a, b)
    connect(t, a, b)
    pays_again(t, a, b, id, 1000)


def worth(node):
    return node.rpc.getbalance() + node.rpc.getunconfirmedbalance()


@case(timeout=120)
def a_channel_that_was_agreed_on_long_ago_takes_no_coins(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    before, given_up = worth(a), 0
    for sync in range(8, 14):  # of the key, of the change, of the transaction
        def act():
            connect(t, a, b)
            a.rpc.openchannel("bob", CAPACITY)
        crash_at(a, f"fdatasync:{sync}:exit", a.file("wallets"), act)
        a.kill()
        a.start(f"-mocktime={int(time.time()) + 7200}")
        t.wait(lambda: all(c["state"] not in ("opening", "accepted")
                           for c in a.rpc.listpaychannels()))
        if a.rpc.listpaychannels():
            break  # the transaction was in the wallet
        equal(worth(a), before)
        given_up += 1
    check(given_up, "one of them was given up")


@case(timeout=120)
def a_channel_whose_funding_failed_to_be_written_is_not_given_up(t):
    """The transaction may be on the disk all the same."""
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    before, unsure = worth(a), 0
    for sync in range(8, 14):
        a.stop()
        a.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": a.file("wallets"),
                     "BSVPEER_FAULT": f"fdatasync:{sync}:EIO"})
        try:
            if a.rpc.listwallets():
                connect(t, a, b)
                a.rpc.openchannel("bob", CAPACITY)
        except RpcError:
            unsure += any(c["state"] == "accepted" for c in a.rpc.listpaychannels())
        a.kill()
        a.start(f"-mocktime={int(time.time()) + 7200}")
        t.wait(lambda: all(c["state"] not in ("opening", "accepted")
                           for c in a.rpc.listpaychannels()))
        if a.rpc.listpaychannels():
            break
        equal(worth(a), before)
    check(unsure, "one of them was left open")


def open_in_thread(node):
    """By a connection of its own; the clock leaps before it ends."""
    rpc = Rpc(node.rpc_port, node.cookie)
    try:
        rpc.openchannel("bob", CAPACITY)
    except RpcError:
        pass  # what counts is what became of the coins
    rpc.close()


@case(long_only=True)
def a_funding_that_was_made_before_a_leap_of_the_clock_is_not_given_up(t):
    """The wallet sends it whatever becomes of the channel, and nobody else can take it back."""
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    a, b = payers(t)
    before = worth(a)
    a.stop()
    a.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": "fdatasync:1:slow",
                 "BSVPEER_FAULT_AFTER": t.path("slow"), "BSVPEER_FAULT_PATH": a.file("wallets")})
    connect(t, a, b)
    open(t.path("slow"), "wb").close()
    opener = threading.Thread(target=open_in_thread, args=(a,))
    opener.start()
    t.wait(b.rpc.listpaychannels)
    time.sleep(0.3)  # it is being made
    a.rpc.setmocktime(int(time.time()) + 7200)
    opener.join()
    t.wait(lambda: all(c["state"] not in ("opening", "accepted") for c in a.rpc.listpaychannels()))
    check(a.rpc.listpaychannels() or worth(a) == before, "the coins are gone")


@case(timeout=120)
def a_file_of_channels_and_a_phrase_bring_the_refund(t):
    a, b = payers(t, "-paychannelmargin=36")
    phrase = a.rpc.getwalletphrase()
    id = open_channel(t, a, b, expiry_blocks=181)
    expiry = channel(a, id)["expiry"]
    path = t.path("channels.dat")
    a.rpc.exportchannels(path)
    b.restart("-channel=0")  # gone for good
    wallet = begin_with_phrase(t, a, phrase)
    t.wait_same_tip(a, b)
    at_the_tip(t, a, wallet)
    raises_rpc(-8, lambda: a.rpc.exportchannels(path), "1 channels of the file are not known")
    equal(a.rpc.importchannels(path), [{"id": id, "role": "payer", "restored": True}])
    equal(a.rpc.importchannels(path)[0]["error"], "the channel is known")
    equal((channel(a, id).get("contact"), state(a, id)), (None, "funded"))
    a.rpc.exportchannels(path)
    a.kill()
    a.start()
    a.rpc.loadwallet("again")
    t.wait_same_tip(a, b)
    at_the_tip(t, a, WalletRpc(a, "again"))
    before = WalletRpc(a, "again").getbalance()
    mine(a, expiry - a.rpc.getblockcount())
    tx = settle(t, a, id, "refunded")
    wallet = WalletRpc(a, "again")
    at_the_tip(t, a, wallet)
    equal(int((wallet.getbalance() - before) * 10**8), sums(tx)[0])


@case()
def a_file_of_channels_brings_back_both_sides(t):
    a, b, id = paid_channel(t)
    files = {}
    for node in (a, b):
        files[node] = t.path(f"{len(files)}.dat")
        node.rpc.exportchannels(files[node])
    a.stop()
    lose(b, "paychannels")
    shutil.rmtree(a.file("paychannels"))
    for node in (a, b):
        node.start()
    t.wait_same_tip(a, b)
    equal(b.rpc.importchannels(files[b]), [{"id": id, "role": "payee", "restored": True}])
    t.wait(lambda: state(b, id) == "open")
    equal(channel(b, id)["paid"], 0)  # it is the payer that has this, and nobody has it now
    equal(a.rpc.importchannels(files[a]), [{"id": id, "role": "payer", "restored": True}])
    connect(t, a, b)
    pays_again(t, a, b, id, 0)


@case(timeout=120)
def the_file_that_the_node_keeps_has_channels_that_it_has_lost(t):
    a, b = payers(t, "-paychannelmargin=36")
    file = a.file("paychannels.export")
    first = open_channel(t, a, b, expiry_blocks=181)
    a.rpc.pay("bob", 1000)
    t.wait(lambda: os.path.exists(file) and first in saved(file))
    lose(a, "paychannels", "channels")  # contacts as well
    a.start()
    t.wait_same_tip(a, b)
    equal(a.rpc.listpaychannels(), [])
    a.rpc.contactadd(f"{identity(b, 'me')['public_key']}@{b.channel}", "bob")
    b.rpc.closechannel(first)  # that the payee does not bring it back
    b.restart("-channel=0")
    b.restart()
    connect(t, a, b)
    second = a.rpc.openchannel("bob", CAPACITY)["id"]
    t.wait(lambda: second in saved(file))
    is_in(first, saved(file))
    kill_and_start(t, a, b)
    t.wait(lambda: {first, second} <= set(saved(file)))
    restored = {r["id"]: r["restored"] for r in a.rpc.importchannels(file)}
    equal(restored[second], False)  # it is known
    # One that is over leaves it; with a damaged one nothing is written over.
    t.wait_same_tip(a, b)
    connect(t, a, b)
    mine(b)
    t.wait(lambda: state(a, second) == "open" and state(b, second) == "open")
    b.rpc.closechannel(second)
    t.wait(lambda: state(b, second) in ("abandoned", "closing"))
    a.stop()  # which may be about to write it
    with open(file, "r+b") as damaged:
        damaged.write(b"x")
    a.start()
    t.wait(lambda: "paychannels.export is not written" in a.log())
    with open(file, "rb") as damaged:
        equal(damaged.read(1), b"x")


@case(long_only=True)
def a_clock_that_is_set_back_keeps_no_channel_from_the_file(t):
    a, b = payers(t)
    file = a.file("paychannels.export")

    def open_and_save():
        id = a.rpc.openchannel("bob", CAPACITY // 4)["id"]
        t.wait(lambda: os.path.exists(file) and id in saved(file))

    a.rpc.setmocktime(int(time.time()) + 3600)
    open_and_save()
    open_and_save()  # what came of the one before is known by now
    a.rpc.setmocktime(0)
    open_and_save()


@case()
def files_that_are_not_sound_change_nothing(t):
    a, b, id = paid_channel(t, amounts=())
    path, other = t.path("channels.dat"), t.path("other.dat")
    a.rpc.exportchannels(path)
    with open(path, "rb") as file:
        data = file.read()
    equal(len(data), 12 + 4 + 323 + 32)
    lose(a, "paychannels")
    a.start()
    t.wait_same_tip(a, b)
    for spoilt in (data[:-1], data[:100] + bytes([data[100] ^ 1]) + data[101:], b"", b"x" * 500):
        with open(other, "wb") as file:
            file.write(spoilt)
        raises_rpc(-20, lambda: a.rpc.importchannels(other), "no sound file of exportchannels")
        raises_rpc(-8, lambda: a.rpc.exportchannels(other), "is kept")
        with open(other, "rb") as file:
            equal(file.read(), spoilt)
    raises_rpc(-5, lambda: a.rpc.importchannels(t.path("none.dat")), "no such file")
    equal(a.rpc.listpaychannels(), [])
    raises_rpc(-8, lambda: a.rpc.exportchannels(path), "not known here")
    a.rpc.exportchannels(other, True)
    # The payee cannot import what is the payer's, and the other way round: the keys are not its own.
    wrong = b.rpc.importchannels(path)[0]
    is_in("known", wrong["error"])
    equal(a.rpc.importchannels(path)[0]["restored"], True)
    # Once settled there is nothing to bring back, and that is said.
    connect(t, a, b)
    t.wait(lambda: state(a, id) == "open")
    a.rpc.closechannel(id)
    t.wait(lambda: state(a, id) == "closing" and spender(b, id))
    lose(a, "paychannels")
    a.start()
    mine(b, 1)
    t.wait_same_tip(a, b)
    is_in("spent", a.rpc.importchannels(path)[0]["error"])
    equal(a.rpc.listpaychannels(), [])


@case()
def a_channel_whose_contact_was_removed_is_listed_without_one(t):
    a, b, id = paid_channel(t, amounts=())
    equal(channel(a, id)["contact"], "bob")
    a.rpc.contactremove("bob")
    check("contact" not in channel(a, id), "nobody's")


def with_an_old_copy(t, side):
    """Two of which one has its channels back as they were before the last payment, and which go on
    all the same; their channel."""
    a, b, id = paid_channel(t, depth=6)
    node = (a, b)[side]
    node.kill()
    copy_parts(node, t.path("old"), "paychannels")
    node.start()
    connect(t, a, b)
    pays_again(t, a, b, id, 1000)
    node.kill()
    put_back_parts(node, t.path("old"), "paychannels")
    node.start()
    equal(channel(node, id)["paid"], 1000)
    connect(t, a, b)
    pays_again(t, a, b, id, 1010)
    return a, b, id


@case()
def a_payer_that_has_an_old_copy_adopts_what_it_signed(t):
    with_an_old_copy(t, 0)


@case()
def a_payee_that_has_an_old_copy_gets_the_last_payment_again(t):
    a, b, id = with_an_old_copy(t, 1)
    # And one whose output has been spent since takes nothing more.
    b.rpc.closechannel(id)
    settle(t, b, id)
    t.wait_same_tip(a, b)  # a kill may cost b the blocks that only it has
    b.kill()
    put_back_parts(b, t.path("old"), "paychannels")
    b.start()
    t.wait(lambda: state(b, id) == "closed")
    equal(channel(b, id)["settled_paid"], 1020)


def fill_a_file_of_blocks(node):
    tip = node.rpc.getblock(node.rpc.getbestblockhash())
    previous, height = from_display(tip["hash"]), tip["height"]
    for i in range(1, 20):
        full = coinbase(height + i)
        full.outputs.append(TxOut(0, b"\x00\x6a\x4e\x00\x00\x01\x00" + bytes(0x10000)))
        made = Block.make(previous, height + i, tip["time"] + i, coinbase_tx=full)
        node.rpc.submitblock(made.serialize().hex())
        previous = made.hash()


@case(timeout=120)
def a_spend_in_a_block_that_is_pruned_is_not_taken_for_none(t):
    a, b, id = paid_channel(t, "-paychannelmargin=36", expiry_blocks=181)
    prune = "-prune=1", "-preferredblockfilesize=1MiB"
    b.restart("-paychannels=0", *prune)
    t.wait_same_tip(a, b)
    mine(a, channel(a, id)["expiry"] - a.rpc.getblockcount())
    settle(t, a, id, "refunded")
    height = a.rpc.getblockcount()
    fill_a_file_of_blocks(a)
    mine(a, 1010 - a.rpc.getblockcount())
    t.wait_same_tip(a, b)
    check(b.rpc.pruneblockchain(height + 20) >= height, "the blocks are gone")
    b.restart(*prune)
    t.wait(lambda: "blocks that would tell of the channel" in b.log())
    mine(a)  # it looks once more
    t.wait_same_tip(a, b)
    time.sleep(1)
    equal(channel(b, id)["funding"], "confirmed")


# --- a payee that says what it likes --------------------------------------------------------------

def refused(payee, code):
    answer = payee.answer(FAIL)
    equal(answer[:34], payee.id + struct.pack(">H", code))


@case()
def copies_that_are_wrong_or_forged_change_nothing(t):
    node, payee = payer_of(t)
    open_to(t, node, payee)
    node.stop()  # nobody else has its blocks
    shutil.rmtree(node.file("paychannels"))
    node.start()
    payee.connect()
    txid, index = payee.outpoint[:32], payee.outpoint[32:]
    for copy in (payee.copy(outpoint=bytes(32) + index), payee.copy(outpoint=txid + b"\0\0\0\7"),
                 payee.copy(payer_key=bytes.fromhex(payee.key))):
        payee.sync(0, 0, bytes(64), copy)
        refused(payee, UNKNOWN)
        equal(node.rpc.listpaychannels(), [])
    payee.sync(0, 0, bytes(64))  # without one it is not known
    refused(payee, UNKNOWN)
    other = payee.nonce_b
    payee.nonce_b = bytes(32)    # a copy that its id does not fit
    payee.sync(0, 0, bytes(64), payee.copy())
    refused(payee, UNKNOWN)
    payee.nonce_b = other
    payee.sync(0, 0, bytes(64), payee.copy())
    t.wait(lambda: state(node, payee.id.hex()) == "funded")
    payee.ready(node.rpc.getblockcount())
    t.wait(lambda: state(node, payee.id.hex()) == "open")


@case()
def a_copy_of_before_a_change_of_our_key_is_taken_too(t):
    node, payee = payer_of(t)
    open_to(t, node, payee)
    make_other_wallet(node)
    move_to_other_wallet(t, node, payee)
    t.wait(lambda: channel(node, payee.id.hex())["connected"])
    node.stop()
    shutil.rmtree(node.file("paychannels"))
    node.start()
    node.rpc.loadwallet("another")
    t.wait(lambda: "direct channels: 2 identities" in node.log().split("stopped")[-1])
    payee.connect()
    payee.sync(0, 0, bytes(64), payee.copy())
    t.wait(lambda: state(node, payee.id.hex()) == "funded")
    payee.ready(node.rpc.getblockcount())
    t.wait(lambda: state(node, payee.id.hex()) == "open")
    check(channel(node, payee.id.hex())["connected"], "it is the contact's")


@case()
def a_state_that_was_never_signed_freezes_the_channel_until_the_refund(t):
    node, payee = payer_of(t)
    open_to(t, node, payee)
    for i in range(300):  # what it says again and again is told to the user once
        payee.put(FAIL, payee.id + struct.pack(">HH", (AMOUNT, SIG, LATE)[i % 3], 0))
    for _ in range(2):
        payee.sync(5, 5000, b"\1" * 64)
    id = payee.id.hex()
    t.wait(lambda: "never signed" in channel(node, id).get("alarm", ""))
    payee.put(FAIL, payee.id + struct.pack(">HH", LATE, 0))
    payee.put(FAIL, payee.id + struct.pack(">HH", UNKNOWN, 0))
    while len(payee.answer(SYNC)) < 200:
        pass  # that with the copy answers the last one
    equal(node.log().count("payment channel 1: "), 4)
    raises_rpc(-8, lambda: node.rpc.pay("mallory", 1), "never signed")
    node.restart()  # it stays so
    raises_rpc(-1, lambda: node.rpc.pay("mallory", 1))
    payee.connect()
    payee.ready(node.rpc.getblockcount())
    t.wait(lambda: channel(node, id).get("limit"))
    raises_rpc(-8, lambda: node.rpc.pay("mallory", 1), "never signed")
    equal(channel(node, id)["paid"], 0)
    mine(node, payee.expiry - node.rpc.getblockcount())
    settle(t, node, id, "refunded")


def until_answered(payee, kind):
    """The highest n of payments that come before a message of that type."""
    n = 0
    while True:
        got, payload = payee.next()
        if got == kind:
            return n
        if got == PAY:
            n = max(n, struct.unpack(">Q", payload[32:40])[0])


def signs_until_the_disk_fails(node):
    """The n of the last payment that is on the disk."""
    for n in range(20):
        try:
            node.rpc.pay("mallory", 1)
        except RpcError as e:
            is_in("the disk fails", str(e))
            return n
    raise AssertionError("the disk fails")


@case()
def what_the_disk_did_not_take_does_not_leave_later(t):
    if not os.path.exists(FAULT):
        raise Skip("the library that makes writes fail is not built")
    node, payee = payer_of(t, "-paychannelwait=1")
    open_to(t, node, payee)
    node.stop()
    node.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT_PATH": node.file("paychannels/"),
                    "BSVPEER_FAULT": "fdatasync:5:EIO"})
    payee.connect()
    payee.ready(node.rpc.getblockcount())
    t.wait(lambda: channel(node, payee.id.hex()).get("limit"))
    stored = signs_until_the_disk_fails(node)
    equal(channel(node, payee.id.hex())["n"], stored + 1)
    # Refused as one too many at once: it is resumed a second later, with the highest state.
    payee.put(FAIL, payee.id + struct.pack(">HH", LIMIT, 0))
    time.sleep(3)
    payee.ready(node.rpc.getblockcount())
    equal(until_answered(payee, FAIL), stored)


# --- another funding transaction in the place of the first ----------------------------------------

def goes_on_with(t, a, b, id, other, paid):
    for node in (a, b):
        t.wait(lambda: channel(node, id)["txid"] == display(sha256d(other)))
    pays_again(t, a, b, id, paid)


@case()
def a_funding_that_a_block_has_under_another_id_is_shown_and_taken(t):
    a, b = payers(t)
    opened = a.rpc.openchannel("bob", CAPACITY)
    t.wait(lambda: opened["txid"] in b.rpc.getrawmempool() and state(b, opened["id"]) == "seen")
    other = with_a_longer_push(bytes.fromhex(a.rpc.getrawtransaction(opened["txid"])))
    mine_these(a, other)
    t.wait_same_tip(a, b)
    goes_on_with(t, a, b, opened["id"], other, 0)
    b.rpc.closechannel(opened["id"])
    equal(sums(settle(t, b, opened["id"])), [10, CAPACITY - 10 - CLOSE_FEE])


def replace_in_a_fork(t, a, b, id):
    """The block with the funding leaves, one with the other takes its place."""
    funding = a.rpc.getrawtransaction(channel(a, id)["txid"])
    other = with_a_longer_push(bytes.fromhex(funding))
    block = a.rpc.getbestblockhash()
    for node in (a, b):
        node.rpc.invalidateblock(block)
    t.wait_same_tip(a, b)
    mine_these(a, other)
    t.wait_same_tip(a, b)
    return other


@case()
def payments_move_to_a_funding_that_took_the_place_of_the_first_in_a_fork(t):
    a, b, id = paid_channel(t, amounts=(1000, 1000, 1000))
    other = replace_in_a_fork(t, a, b, id)
    goes_on_with(t, a, b, id, other, 3000)
    # Who looks only when the other one is there misses that the first had gone.
    check(any("payment channel" in node.log() for node in (a, b)), "it is said")
    b.rpc.closechannel(id)
    tx = settle(t, b, id)
    equal(tx["vin"][0]["txid"], display(sha256d(other)))
    equal(sums(tx), [3010, CAPACITY - 3010 - CLOSE_FEE])
    t.wait_same_tip(a, b)
    t.wait(lambda: state(a, id) == "closed")


@case()
def a_payee_that_was_away_while_the_funding_was_replaced_gets_all_again(t):
    a, b, id = paid_channel(t)
    b.rpc.peerdisconnect("alice")
    other = replace_in_a_fork(t, a, b, id)
    t.wait(lambda: channel(a, id)["txid"] == display(sha256d(other)))
    a.stop()  # it has signed anew, and told nobody
    a.start()
    t.wait_same_tip(a, b)
    connect(t, a, b)
    goes_on_with(t, a, b, id, other, 1000)


@case()
def a_payee_with_an_old_copy_is_shown_a_funding_that_is_spent(t):
    node, payer = payee_of(t)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    node.stop()
    copy_parts(node, t.path("old"), "paychannels")
    node.start()
    payer.connect()
    payer.funding = payer.fund()
    mine(node)
    node.rpc.sendrawtransaction(payer.funding.serialize().hex())
    mine(node)
    payer.put(FUNDED, payer.funded_message(payer.funding))
    payer.answer(READY)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    id = payer.id.hex()
    node.rpc.closechannel(id)
    settle(t, node, id)
    node.stop()
    put_back_parts(node, t.path("old"), "paychannels")
    node.start()
    equal(state(node, id), "accepted")
    payer.connect()
    payer.refused(FUNDED, payer.funded_message(payer.funding), SCRIPT, payer.id)
    equal((state(node, id), channel(node, id)["funding"]), ("accepted", "none"))


@case()
def a_close_that_a_reorganisation_puts_below_the_funding_is_found(t):
    """Both in one block, lower than where the funding was when the node was started."""
    a, b = payers(t)
    mine(b, 3)
    t.wait_same_tip(a, b)
    id = open_channel(t, a, b)
    equal(a.rpc.pay("bob", 1000)["acknowledged"], True)
    height = channel(a, id)["height"]
    for node in (a, b):
        node.restart()
    connect(t, a, b)
    t.wait_same_tip(a, b)
    b.rpc.closechannel(id)
    txids = [channel(a, id)["txid"], t.wait(lambda: spender(b, id))["txid"]]
    in_pool(t, a, txids[1])
    mine(b)
    t.wait_same_tip(a, b)
    equal(b.rpc.getrawtransaction(txids[1], 1)["confirmations"], 1)
    t.wait(lambda: all(channel(node, id).get("spend_height") == height + 1 for node in (a, b)))
    below = b.rpc.getblockhash(height - 1)
    for node in (a, b):
        node.rpc.invalidateblock(below)
    t.wait(lambda: all(set(txids) <= set(node.rpc.getrawmempool()) for node in (a, b)))
    mine(b, 6)
    t.wait_same_tip(a, b)
    equal(b.rpc.getrawtransaction(txids[1], 1)["confirmations"], 6)
    t.wait(lambda: all((state(node, id), channel(node, id).get("spend_height")) ==
                       ("closed", height - 1) for node in (a, b)))


@case()
def another_funding_that_leaves_the_first_one_valid_is_refused(t):
    node, payer = payee_of(t)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    first, second = payer.fund(), payer.fund()
    payer.funding = first
    mine(node)  # what they are made of
    node.rpc.sendrawtransaction(first.serialize().hex())
    mine(node)
    payer.put(FUNDED, payer.funded_message(first))
    payer.answer(READY)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    block = node.rpc.getbestblockhash()
    node.rpc.invalidateblock(block)
    mine_these(node, second.serialize())
    payer.put(FUNDED, payer.funded_message(second))
    while True:
        kind, payload = payer.next()
        if kind == FAIL:
            break
    equal(payload[:34], payer.id + struct.pack(">H", STATE))
    equal(channel(node, payer.id.hex())["txid"], display(first.txid()))
    equal(channel(node, payer.id.hex())["paid"], 1000)


# --- a change of key (8.10.23) --------------------------------------------------------------------

def next_of(guest, kind):
    while True:
        got, payload = guest.next()
        if got == kind:
            return payload


@case()
def a_channel_is_synced_under_the_new_key_and_not_under_the_old(t):
    node, payer = payee_of(t, "-channelstrangers")
    heir = Payer(node, payer.remote.hex())
    t.cleanups.append(heir.close)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    payer.funding = payer.fund()
    mine(node)
    node.rpc.sendrawtransaction(payer.funding.serialize().hex())
    mine(node)
    payer.put(FUNDED, payer.funded_message(payer.funding))
    payer.answer(READY)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    payer.put(SUCCESSOR, statement(payer, heir))
    t.wait(lambda: node.rpc.contactlist()[0].get("successors"))
    heir.connect()
    heir.put(SYNC, payer.sync(1, 1000))  # it is nobody's yet
    equal(next_of(heir, FAIL)[:34], payer.id + struct.pack(">H", UNKNOWN))
    heir.close()
    node.rpc.contactset("mallory", {"successor": heir.key})
    payer.put(SYNC, payer.sync(1, 1000))
    try:
        equal(next_of(payer, FAIL)[:34], payer.id + struct.pack(">H", UNKNOWN))
    except (OSError, EOFError):
        pass  # the session under the old key has ended before
    equal(channel(node, payer.id.hex())["paid"], 1000)
    heir.connect()
    equal(next_of(heir, SYNC)[:33], payer.id + b"\2")
    heir.put(SYNC, payer.sync(1, 1000))
    next_of(heir, READY)
    heir.put(PAY, payer.pay(2, 1500))
    equal(next_of(heir, ACK), payer.id + struct.pack(">QQ", 2, 1500))


if __name__ == "__main__":
    main()

"""Identities of wallets announce themselves: how far, when a record is made anew, and what keeps
the numbers of its records apart."""
import shutil
import time

from disks import crash_off_small_disk, fill, make_room, on_small_disk
from framework import RpcError, case, check, equal, is_in, main, raises_rpc
from identities import PREFIX, grow, identity, wallet_node
from noise import tagged
from records import parse_items, sendbca

QUICK = "-recordpause=1"
DAY = 86400


def own(node):
    return node.rpc.listrecords()["own"][0]


def total(node):
    return node.rpc.listrecords()["total"]


def seq_of(node, key):
    records = [r for r in node.rpc.listrecords()["records"] if r["key"] == key]
    return records[0]["seq"] if records else 0


def alice_of(t, *options):
    """A node with a registered identity and an address of it; its key, the address."""
    node = wallet_node(t, QUICK, *options)
    node.rpc.bcaregister("alice", 4)
    grow(node)
    return node, identity(node)["public_key"], node.rpc.bcanew("alice", PREFIX)["address"]


@case()
def a_public_record_reaches_a_third_daemon_through_the_second(t):
    a, key, address = alice_of(t)
    b = t.node(QUICK, "-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    c = t.node(QUICK, "-connect=" + b.p2p)
    t.wait_same_tip(b, c)
    equal((a.rpc.listrecords()["own"], total(a)), ([], 0), "private at first")
    equal(a.rpc.setpublication("alice", "private")["publication"], "private")
    made = a.rpc.setpublication("alice", "contacts")
    equal((made["publication"], made["endpoints"][0]["address"]), ("contacts", address))
    equal((total(a), a.rpc.getrecord(key)["public"]), (1, False))
    time.sleep(0.5)
    equal((total(b), total(c)), (0, 0), "for contacts alone")
    made = a.rpc.setpublication("alice", "public")
    t.wait(lambda: total(c) == 1)
    got = c.rpc.getrecord(key)
    equal((got["seq"], got["endpoints"], got["record"]),
          (made["seq"], made["endpoints"], a.rpc.getrecord(key)["record"]))
    equal((got["endpoints"][0]["address"], got["endpoints"][0]["port"]), (address, a.channel_port))
    a.restart()  # the others get its blocks again
    for node in (b, c):
        node.kill()
        node.start()
        equal(node.rpc.getrecord(key)["record"], got["record"], "after a kill")
    t.wait_same_tip(a, b, c)
    t.wait(lambda: len(a.rpc.getpeerinfo()) == 1)
    t.wait(lambda: len(b.rpc.getpeerinfo()) == 2)
    peer = t.peer(a)
    peer.send("sendbca", sendbca())
    is_in(tagged(b"bcapeer/key", bytes.fromhex(key)),
          [k for k, _ in parse_items(peer.wait_for("bcainv"))], "told to whom comes later")
    peer.close()
    late = t.node(QUICK, "-connect=" + c.p2p)
    t.wait(lambda: total(late) == 1, what="a sample, for a node without any")
    left = a.rpc.setpublication("alice", "private")
    t.wait(lambda: c.rpc.getrecord(key)["tombstone"], what="that it has left")
    equal((left["publication"], left["tombstone"], left["endpoints"]), ("private", True, []))
    check(left["seq"] > made["seq"], "its number is a higher one")
    equal(a.rpc.setpublication("alice", "private")["seq"], left["seq"], "it leaves once")


@case()
def what_only_contacts_shall_know_is_taken_back_from_the_others(t):
    a, key, _ = alice_of(t)
    b = t.node(QUICK, "-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    a.rpc.setpublication("alice", "public")
    t.wait(lambda: total(b) == 1)
    made = a.rpc.setpublication("alice", "contacts")
    t.wait(lambda: b.rpc.getrecord(key)["tombstone"])
    got = b.rpc.getrecord(key)
    check(got["seq"] < made["seq"] and not made["tombstone"], "two records")
    time.sleep(0.3)
    equal(seq_of(b, key), got["seq"])
    equal(a.rpc.setpublication("alice", "contacts"), made, "nothing has changed")


@case()
def a_record_is_made_anew_in_time_and_for_another_address(t):
    a, key, _ = alice_of(t)
    start = int(time.time())
    a.rpc.setmocktime(start)
    first = a.rpc.setpublication("alice", "public")
    equal((first["issued"], first["expires"]), (start, start + DAY))
    address = a.rpc.bcanew("alice", PREFIX)["address"]
    a.rpc.setmocktime(start + 599)
    time.sleep(0.5)
    equal(own(a)["seq"], first["seq"], "not so soon")
    a.rpc.setmocktime(start + 600)
    t.wait(lambda: own(a)["seq"] > first["seq"])
    second = own(a)
    equal((second["issued"], second["endpoints"][0]["address"]), (start + 600, address))
    a.rpc.setmocktime(start + 600 + DAY // 2 - 1)
    time.sleep(0.5)
    equal(own(a)["seq"], second["seq"], "half of its life is not over")
    a.rpc.setmocktime(start + 600 + DAY // 2)
    t.wait(lambda: own(a)["seq"] > second["seq"])
    t.wait(lambda: seq_of(a, key) == own(a)["seq"])
    last = own(a)
    a.kill()
    a.start("-mocktime=%d" % start)  # a clock that was set back
    check(a.rpc.setpublication("alice", "private")["seq"] > last["seq"], "no number comes twice")


def offers(record, bit):
    return int(record["features"] or "0", 16) >> bit & 1


@case()
def a_record_says_a_name_and_what_sessions_offer(t):
    a, key, _ = alice_of(t)
    b = t.node(QUICK, "-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    name = "Alice ☕"
    made = a.rpc.setpublication("alice", "public", name)
    equal([offers(made, 2 * i + 1) for i in (0, 1, 2, 6, 8)], [1] * 5, "streams to DH rekey")
    equal([offers(made, 2 * i) for i in range(9)], [0] * 9, "nothing is required")
    t.wait(lambda: total(b) == 1)
    got = b.rpc.getrecord(key)
    equal((got["alias"], got["features"]), (name, made["features"]))
    equal(a.rpc.setpublication("alice", "public"), made, "nothing has changed")
    a.rpc.setpublication("alice", "private")
    equal(a.rpc.setpublication("alice", "public")["alias"], name, "it is kept")
    for bad in ("x" * 33, "a\x1b[2J", " a", "☕" * 11):
        raises_rpc(-8, lambda bad=bad: a.rpc.setpublication("alice", "public", bad), "alias")
    last = a.rpc.setpublication("alice", "public", "")
    equal(last["alias"], "")
    a.restart("-channelrelay=0")
    a.rpc.setmocktime(last["issued"] + 600)
    t.wait(lambda: own(a)["seq"] > last["seq"], what="a record without the relay")
    equal((offers(own(a), 13), offers(own(a), 3)), (0, 1))


@case()
def what_cannot_be_announced_is_said(t):
    node = wallet_node(t)
    rpc = node.rpc
    raises_rpc(-5, lambda: rpc.setpublication("alice", "public"), "no identity alice")
    rpc.bcaregister("alice", 2)
    grow(node)
    raises_rpc(-4, lambda: rpc.setpublication("alice", "public"), "bcanew")
    rpc.bcanew("alice", PREFIX)
    for name, mode in (("alice", "open"), ("", "public"), ("alice", "")):
        raises_rpc(-8, lambda name=name, mode=mode: rpc.setpublication(name, mode))
    rpc.encryptwallet("secret")
    raises_rpc(-13, lambda: rpc.setpublication("alice", "public"), "passphrase")
    equal((rpc.listrecords()["own"], total(node)), ([], 0), "nothing has changed")
    rpc.walletpassphrase("secret", 60)
    made = rpc.setpublication("alice", "public")
    rpc.walletlock()
    rpc.setmocktime(made["issued"] + DAY // 2)
    t.wait(lambda: "alice cannot be announced anew" in node.log())
    raises_rpc(-13, lambda: rpc.setpublication("alice", "private"))
    rpc.walletpassphrase("secret", 60)
    t.wait(lambda: own(node)["seq"] > made["seq"], what="a record once the wallet is unlocked")
    rpc.bcarevoke("alice")
    grow(node)
    raises_rpc(-4, lambda: rpc.setpublication("alice", "contacts"), "revoked")
    equal(rpc.setpublication("alice", "private")["tombstone"], True, "it can leave all the same")


@case()
def an_identity_that_moves_is_announced_by_the_other_host(t):
    a, key, address = alice_of(t)
    b = t.node(QUICK, "-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    a.rpc.setpublication("alice", "public")
    t.wait(lambda: total(b) == 1)
    path = t.path("alice.bca")
    a.rpc.bcaexport("alice", path)
    equal(a.rpc.listrecords()["own"], [])
    for mode in ("public", "private"):
        raises_rpc(-4, lambda mode=mode: a.rpc.setpublication("alice", mode), "moved")
    b.rpc.bcaimport(path, "alice")
    made = b.rpc.setpublication("alice", "public")
    equal(made["endpoints"][0]["address"], address)
    t.wait(lambda: seq_of(a, key) == made["seq"], what="the record of the new host")
    equal((a.rpc.listrecords()["own"], "warning" in own(b)), ([], False))


@case()
def a_second_copy_of_an_identity_ends_its_announcements(t):
    a, key, _ = alice_of(t)
    first = a.rpc.setpublication("alice", "public")
    a.stop()
    copy = t.make_node(QUICK)
    shutil.copytree(a.directory, copy.directory, dirs_exist_ok=True)
    a.start()
    copy.start()
    copy.rpc.setpublication("alice", "private")
    copy.rpc.addnode(a.p2p, "onetry")
    t.wait(lambda: "warning" in own(a), what="the record of the copy")
    is_in("second copy", own(a)["warning"])
    equal(seq_of(a, key), first["seq"], "what the copy says is not taken")
    raises_rpc(-4, lambda: a.rpc.setpublication("alice", "contacts"), "second copy")
    a.kill()
    a.start()
    check("warning" in own(a), "after a kill")


def set_or_none(node, *args):
    try:
        return node.rpc.setpublication("alice", *args)
    except RpcError as error:
        is_in("No space left on device", str(error))
        return None


@case()
def a_full_disk_costs_no_number_of_a_record(t):
    node, key, _ = alice_of(t)
    folder = on_small_disk(node, "records")
    node.rpc.setpublication("alice", "contacts")  # begins a page, so that what fails is torn
    fill(folder)
    modes = ("public", "contacts")
    tries = 0
    while set_or_none(node, modes[tries % 2]):
        tries += 1
        check(tries < 80, "no end of the disk")  # what is left of a page
    make_room(folder)
    made = t.wait(lambda: set_or_none(node, "public", "there is room"))
    last = node.rpc.setpublication("alice", "public", "after that")
    check(last["seq"] > made["seq"], "a later one")
    # a crash now: what was said to be stored does not lie behind the torn end of a log
    crash_off_small_disk(node, folder)
    equal((own(node)["seq"], seq_of(node, key)), (last["seq"], last["seq"]))


if __name__ == "__main__":
    main()

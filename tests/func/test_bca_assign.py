"""Addresses of identities on network interfaces: two hosts on one link, each in a network namespace
of its own, see duplicate address detection, connections over a certified address, rotation, and
what comes back after a restart."""
import hashlib
import http.client
import os
import socket
import subprocess
import threading
import time

from framework import ADDRESS, BUILD, Skip, case, check, equal, is_in, main, raises_rpc
from netns import HostRpc, host_node, two_hosts

PREFIX = "2001:db8:0:1::"
OTHER = "2001:db8:0:2::"
FAULT = os.path.join(BUILD, "tests", "fault", "fault.so")


def grow(node, n=1):
    return node.rpc.generatetoaddress(n, ADDRESS)


def registered(t, modifiers=8, options=()):
    """Two hosts in one prefix, and a node on the first that has the identity alice."""
    a, b = two_hosts(t)
    for host, last in ((a, "1"), (b, "2")):
        host.ip("addr", "add", f"{PREFIX}{last}/64", "dev", "eth0", "nodad")
    node = host_node(t, a, *options)
    node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
    grow(node, 100)
    node.rpc.bcaregister("alice", modifiers)
    grow(node)
    return a, b, node


def listed(node, address):
    return next(x for x in node.rpc.bcalist()["addresses"] if x["address"] == address)


@case()
def another_host_connects_to_an_address_that_was_assigned(t):
    a, b, node = registered(t)
    made = node.rpc.bcanew("alice", PREFIX)
    address = made["address"]
    check("interface" not in listed(node, address), "not yet")
    equal(node.rpc.bcaassign(address, "eth0"),
          {"address": address, "interface": "eth0", "collision_count": 0,
           "params": made["params"]})
    is_in(address, a.addresses("eth0"))
    equal((listed(node, address)["interface"], listed(node, address)["retired"]), ("eth0", False))
    equal(node.rpc.bcaassign(address, "eth0")["address"], address, "again")

    other = host_node(t, b, f"-connect=[{address}]:{node.port}")
    t.wait(lambda: other.rpc.getblockcount() == node.rpc.getblockcount(), what="blocks over it")
    equal([p["addr"] for p in other.rpc.getpeerinfo()], [f"[{address}]:{node.port}"])
    equal(other.rpc.bcaverify(address, made["params"])["result"], "valid")

    node.restart()
    equal(listed(node, address)["interface"], "eth0")
    is_in(address, a.addresses("eth0"))
    node.stop()
    a.ip("addr", "del", address + "/64", "dev", "eth0")  # as after a restart of the machine
    node.start()
    t.wait(lambda: address in a.addresses("eth0"), what="the address")
    equal(node.rpc.bcarelease(address), None)
    check(address not in a.addresses("eth0"), "taken off")
    check("interface" not in listed(node, address), "forgotten")
    raises_rpc(-5, lambda: node.rpc.bcarelease(address), "no address of this wallet")


@case()
def nobody_is_told_of_an_address_that_another_host_may_have(t):
    a, _, node = registered(t, options=["-recordpause=1"])
    old, new = (node.rpc.bcanew("alice", PREFIX)["address"] for _ in range(2))
    node.rpc.setpublication("alice", "public")
    a.run("sh", "-c", "echo 10 > /proc/sys/net/ipv6/conf/eth0/dad_transmits")  # a second
    rpc, done = HostRpc(a, node.rpc_port, node.cookie), []
    thread = threading.Thread(target=lambda: done.append(rpc.bcaassign(old, "eth0")))
    thread.start()
    t.wait(lambda: "tentative" in a.addresses("eth0").get(old, "") or done, what="the attempt")
    told = node.rpc.setpublication("alice", "public")["endpoints"][0]["address"]
    check(done or told == new, "it is not known yet whose it is")
    thread.join()
    equal(node.rpc.setpublication("alice", "public")["endpoints"][0]["address"], old)


@case()
def a_duplicate_raises_the_collision_count(t):
    a, b, node = registered(t)
    first = node.rpc.bcanew("alice", PREFIX)["address"]
    tried = [first]
    for count in (1, 2):
        b.ip("addr", "add", tried[-1] + "/128", "dev", "eth0", "nodad")
        got = node.rpc.bcaassign(first, "eth0")
        equal(got["collision_count"], count)
        check(got["address"] not in tried, "another address")
        is_in(got["address"], a.addresses("eth0"))
        check(not set(tried) & set(a.addresses("eth0")), "none that is in use")
        equal(node.rpc.bcaverify(got["address"], got["params"])["result"], "valid")
        equal(node.rpc.bcaparams(got["address"]), got["params"])
        equal((listed(node, got["address"])["collision_count"],
               listed(node, got["address"])["modifier_index"]), (count, 0))
        equal(node.rpc.bcalist()["identities"][0]["unused"], 7, "the same modifier")
        node.rpc.bcarelease(got["address"])
        tried.append(got["address"])
    b.ip("addr", "add", tried[-1] + "/128", "dev", "eth0", "nodad")
    raises_rpc(-4, lambda: node.rpc.bcaassign(first, "eth0"), "all three addresses")
    check(not set(tried) & set(a.addresses("eth0")), "none of them")
    check(not any("interface" in x for x in node.rpc.bcalist()["addresses"]), "nothing remembered")


@case()
def what_cannot_be_assigned_is_refused(t):
    a, _, node = registered(t)
    rpc = node.rpc
    raises_rpc(-8, lambda: rpc.bcanew("alice"), "no default route")
    a.ip("route", "add", "default", "via", "fe80::1", "dev", "eth0")
    address = rpc.bcanew("alice")["address"]
    is_in(PREFIX[:-1], address)
    a.ip("addr", "add", "2001:db8:0:7::1/64", "dev", "lo", "nodad")
    raises_rpc(-8, lambda: rpc.bcaassign(address, "eth7"), "no network interface eth7")
    raises_rpc(-8, lambda: rpc.bcaassign(address, "x" * 50), "no network interface")
    raises_rpc(-8, lambda: rpc.bcaassign(address, "lo"), "not have the prefix 2001:db8:0:1::/64")
    raises_rpc(-5, lambda: rpc.bcaassign("2001:db8::1", "eth0"), "not formed")
    raises_rpc(-5, lambda: rpc.bcaassign("x", "eth0"), "Invalid IPv6 address")
    raises_rpc(-5, lambda: rpc.bcarelease("x"), "Invalid IPv6 address")
    raises_rpc(-5, lambda: rpc.bcarelease(address), "no address of this wallet")
    a.ip("addr", "del", PREFIX + "1/64", "dev", "eth0")
    raises_rpc(-8, lambda: rpc.bcanew("alice"), "the interface eth0 has no")
    a.ip("addr", "add", PREFIX + "1/64", "dev", "eth0", "nodad")
    rpc.bcaassign(address, "eth0")
    node.stop()
    node.within = ["setpriv", "--bounding-set=-net_admin"]
    node.start()
    other = rpc.bcanew("alice")["address"]
    for call in (lambda: rpc.bcaassign(other, "eth0"), lambda: rpc.bcarotate("alice"),
                 lambda: rpc.bcarelease(address)):
        is_in("AmbientCapabilities", raises_rpc(-4, call, "CAP_NET_ADMIN").message)
    equal(on_interfaces(node), {address: False}, "nothing has changed")
    equal(rpc.bcalist()["identities"][0]["unused"], 6, "no modifier was spent on it")
    a.ip("addr", "del", address + "/64", "dev", "eth0")
    equal(rpc.bcarelease(address), None, "of what is not there takes no privilege")
    grow(node)
    block = rpc.getblockhash(rpc.getblockcount() - 1)
    rpc.invalidateblock(block)
    raises_rpc(-4, lambda: rpc.bcaassign(address, "eth0"), "void")


@case()
def an_address_that_another_program_takes_off_is_no_duplicate(t):
    a, _, node = registered(t)
    address = node.rpc.bcanew("alice", PREFIX)["address"]
    a.run("sh", "-c", "echo 5000 > /proc/sys/net/ipv6/neigh/eth0/retrans_time_ms")
    line = f"until ip -6 addr del {address}/64 dev eth0 2>/dev/null; do :; done"
    with subprocess.Popen(a.wrap(["timeout", "30", "sh", "-c", line])) as other:
        raises_rpc(-4, lambda: node.rpc.bcaassign(address, "eth0"), "another program")
        equal(other.wait(), 0)
    equal([(x["address"], x["collision_count"]) for x in node.rpc.bcalist()["addresses"]],
          [(address, 0)])
    equal(on_interfaces(node), {})


@case()
def what_waits_for_its_wallet_comes_with_it(t):
    a, _, node = registered(t)
    both = [assigned(node), assigned(node)]
    name = node.rpc.listwallets()[0]
    node.rpc.unloadwallet(name)
    for address in both:
        a.ip("addr", "del", address + "/64", "dev", "eth0")
    t.wait(lambda: node.log().count("does not exist or is not loaded") == 2, what="a word of each")
    node.rpc.loadwallet(name)
    a.ip("addr", "add", PREFIX + "9/64", "dev", "eth0", "nodad")  # has it look at once
    t.wait(lambda: set(both) <= set(a.addresses("eth0")), what="them")
    equal(node.log().count("does not exist or is not loaded"), 2)


def fill_list(node, n):
    """The list of a node that does not run gets n more entries, of an interface that is gone."""
    with open(node.file("assigned.dat"), "rb") as file:
        old = file.read()[:-32]
    made = b"".join(bytes([i + 1] * 16) + bytes(32) + b"\x05gone0\x07default\x01x"
                    for i in range(n))
    count = int.from_bytes(old[12:14], "little") + n
    new = old[:12] + count.to_bytes(2, "little") + old[14:] + made
    digest = hashlib.sha256(hashlib.sha256(new).digest()).digest()
    with open(node.file("assigned.dat"), "wb") as file:
        file.write(new + digest)


@case()
def a_full_list_costs_no_modifier(t):
    a, _, node = registered(t)
    old = assigned(node)
    node.stop()
    fill_list(node, 63)
    node.start()
    raises_rpc(-4, lambda: node.rpc.bcarotate("alice"), "64 addresses")
    equal(node.rpc.bcalist()["identities"][0]["unused"], 7)
    equal(on_interfaces(node), {old: False})
    is_in(old, a.addresses("eth0"))


# --- rotation -------------------------------------------------------------------------------------

def assigned(node, name="alice"):
    """On eth0; the address."""
    address = node.rpc.bcanew(name, PREFIX)["address"]
    return node.rpc.bcaassign(address, "eth0")["address"]


def on_interfaces(node):
    """{address: it is retired} of those that are on an interface."""
    return {x["address"]: x["retired"] for x in node.rpc.bcalist()["addresses"]
            if "interface" in x}


def session(a, b, address):
    """Sockets of a TCP connection from b to an address of a."""
    with a.inside(), socket.socket(socket.AF_INET6) as listener:
        listener.bind((address, 0))
        listener.listen()
        with b.inside():
            client = socket.create_connection(listener.getsockname()[:2], timeout=30)
        return client, listener.accept()[0]


@case()
def a_rotated_address_stays_until_its_sessions_end(t):
    a, b, node = registered(t)
    old = assigned(node)
    new = node.rpc.bcarotate("alice")
    equal((new["interface"], new["replaced"], new["collision_count"], new["unused"]),
          ("eth0", old, 0, 6))
    equal(new["address"][:12], PREFIX[:12])
    equal(node.rpc.bcaverify(new["address"], new["params"])["result"], "valid")
    equal(on_interfaces(node), {old: True, new["address"]: False})
    is_in("deprecated", a.addresses("eth0")[old])
    is_in("preferred_lft 0sec", a.ip("addr", "show", "dev", "eth0", "deprecated"))
    lifetime = int(a.ip("addr", "show", "dev", "eth0", "deprecated").split("valid_lft ")[1]
                   .split("sec")[0])
    check(172800 - 600 <= lifetime <= 172800, "two days")
    check("deprecated" not in a.addresses("eth0")[new["address"]], "the new one is not")

    # The kernel is told again what a crash has kept from it.
    a.ip("addr", "change", old + "/64", "dev", "eth0", "preferred_lft", "forever")
    a.ip("addr", "change", new["address"] + "/64", "dev", "eth0", "preferred_lft", "0",
         "valid_lft", "5000")
    t.wait(lambda: "deprecated" in a.addresses("eth0")[old] and
           "deprecated" not in a.addresses("eth0")[new["address"]], what="both")
    check("5000sec" not in a.ip("addr", "show", "dev", "eth0"), "for ever")

    ends = session(a, b, old)
    last = node.rpc.bcarotate("alice")["address"]
    equal(on_interfaces(node), {old: True, new["address"]: True, last: False})
    node.rpc.setmocktime(int(time.time()) + 100)
    t.wait(lambda: new["address"] not in on_interfaces(node), what="the end of the unused one")
    equal(on_interfaces(node), {old: True, last: False}, "it is in use")
    for end in ends:
        end.close()
    node.restart()
    node.rpc.setmocktime(int(time.time()) + 100)
    t.wait(lambda: on_interfaces(node) == {last: False}, what="its end")
    equal({old, new["address"], last} & set(a.addresses("eth0")), {last})


def taken_off_while_it_is_tried(a, call):
    """The call forms an address in PREFIX, which another program takes off at once."""
    a.run("sh", "-c", "echo 5000 > /proc/sys/net/ipv6/neigh/eth0/retrans_time_ms")
    line = ("until x=$(ip -6 -o addr show dev eth0 tentative | grep -o '2001:db8:0:1:[^ ]*') && "
            "ip -6 addr del $x dev eth0; do :; done")
    with subprocess.Popen(a.wrap(["timeout", "30", "sh", "-c", line])) as other:
        raises_rpc(-4, call, "another program")
        equal(other.wait(), 0)
    a.run("sh", "-c", "echo 200 > /proc/sys/net/ipv6/neigh/eth0/retrans_time_ms")


@case()
def a_rotation_that_fails_is_tried_again_with_the_same_address(t):
    a, _, node = registered(t)
    old = assigned(node)

    def unused():
        return node.rpc.bcalist()["identities"][0]["unused"]
    for _ in range(2):
        taken_off_while_it_is_tried(a, lambda: node.rpc.bcarotate("alice"))
        equal((unused(), on_interfaces(node)), (6, {old: False}))
    formed = {x["address"] for x in node.rpc.bcalist()["addresses"]} - {old}
    new = node.rpc.bcarotate("alice")
    equal(({new["address"]}, new["unused"], new["replaced"]), (formed, 6, old))
    equal(node.rpc.bcaverify(new["address"], new["params"])["result"], "valid")
    equal(on_interfaces(node), {old: True, new["address"]: False})
    taken_off_while_it_is_tried(a, lambda: node.rpc.bcarotate("alice"))
    a.ip("addr", "del", PREFIX + "1/64", "dev", "eth0")
    a.ip("addr", "add", OTHER + "1/64", "dev", "eth0", "nodad")
    last = node.rpc.bcarotate("alice")
    equal((last["address"][:13], last["unused"]), (OTHER[:13], 4), "not in the prefix that is gone")


@case()
def addresses_are_rotated_by_the_clock(t):
    a, b, node = registered(t, options=["-bcarotate=2"])
    now = int(time.time())
    node.rpc.setmocktime(now + 10**8)  # it is wrong at first
    first = assigned(node)
    node.rpc.setmocktime(now - 10**8)  # before the blocks: not asked for the time yet
    a.ip("addr", "del", first + "/64", "dev", "eth0")
    t.wait(lambda: first in a.addresses("eth0"), what="a look at it")
    check("clock was set back" not in node.log(), "a clock that is behind corrects nothing")
    node.rpc.setmocktime(now)
    a.ip("addr", "add", PREFIX + "9/64", "dev", "eth0", "nodad")  # has it look at once
    t.wait(lambda: "clock was set back" in node.log(), what="its age to be corrected")
    node.rpc.setmocktime(now + 3600)
    second = assigned(node)
    end = session(a, b, first)[0]
    node.rpc.setmocktime(now + 7300)
    t.wait(lambda: on_interfaces(node)[first], what="another address")
    third = next(x for x in on_interfaces(node) if x not in (first, second))
    equal(on_interfaces(node), {first: True, second: False, third: False})
    is_in(third, a.addresses("eth0"))
    # The session does not end: after two days the address goes all the same.
    node.rpc.setmocktime(now + 7300 + 172900)
    t.wait(lambda: first not in on_interfaces(node), what="its end")
    check(first not in a.addresses("eth0"), "taken off")
    end.close()


@case()
def an_address_that_cannot_be_rotated_is_kept(t):
    a, _, node = registered(t, 1, ["-bcarotate=2"])
    address = assigned(node)
    node.rpc.setmocktime(int(time.time()) + 7300)
    t.wait(lambda: "all 1 modifiers of alice are used" in node.log(), what="a try")
    a.ip("addr", "del", address + "/64", "dev", "eth0")
    t.wait(lambda: address in a.addresses("eth0"), what="it")
    equal(node.log().count("all 1 modifiers of alice are used"), 1)


@case()
def a_change_of_the_prefix_brings_another_address(t):
    a, _, node = registered(t)
    clock = int(time.time()) + 700
    old = assigned(node)
    node.rpc.setmocktime(clock)
    a.ip("addr", "del", PREFIX + "1/64", "dev", "eth0")
    a.ip("addr", "add", OTHER + "1/64", "dev", "eth0", "nodad")
    t.wait(lambda: "has another prefix" in node.log(), what="a look at it")
    a.ip("addr", "add", PREFIX + "1/64", "dev", "eth0", "nodad")  # as both come one by one
    t.wait(lambda: "has the prefix of " + old in node.log(), what="another look")
    equal(on_interfaces(node), {old: False})
    node.rpc.encryptwallet("secret")
    a.ip("addr", "del", PREFIX + "1/64", "dev", "eth0")

    def later(done):
        nonlocal clock
        clock += 100
        node.rpc.setmocktime(clock)
        return done()
    t.wait(lambda: later(lambda: "enter the wallet passphrase" in node.log()),
           what="a word of what it takes")
    equal(on_interfaces(node), {old: False})
    node.rpc.walletpassphrase("secret", 600)
    a.ip("addr", "add", OTHER + "3/64", "dev", "eth0", "nodad")  # has it look at once
    t.wait(lambda: any(x.startswith("2001:db8:0:2:") for x in on_interfaces(node)), what="it")
    new = next(x for x in on_interfaces(node) if x != old)
    is_in(new, a.addresses("eth0"))
    equal(on_interfaces(node)[new], False)
    equal(node.rpc.bcalist()["identities"][0]["unused"], 6, "one modifier")


@case()
def a_prefix_that_changes_again_and_again_is_followed_more_slowly(t):
    a, _, node = registered(t)
    a.run("sh", "-c", "echo 100 > /proc/sys/net/ipv6/neigh/eth0/retrans_time_ms")
    used, here, there = assigned(node), PREFIX, OTHER
    clock = int(time.time()) + 1
    for pause in (600, 600, 1200):
        a.ip("addr", "del", here + "1/64", "dev", "eth0")
        a.ip("addr", "add", there + "1/64", "dev", "eth0", "nodad")
        here, there = there, here
        t.wait(lambda: "has another prefix than " + used in node.log(), what="a look at it")
        if pause > 600:
            node.rpc.setmocktime(clock + pause - 100)
            t.wait(lambda: len(on_interfaces(node)) == 1, what="the end of the retired one")
            # waits for the end of the look
            raises_rpc(-5, lambda: node.rpc.bcarotate("alice", "2001:db8::1"))
            equal(on_interfaces(node), {used: False}, "it is early")
        clock += pause + 10
        node.rpc.setmocktime(clock)
        t.wait(lambda: on_interfaces(node).get(used), what="another address")
        used = next(x for x, retired in on_interfaces(node).items() if not retired)
        equal(used[:13], here[:13])


@case()
def what_the_chain_no_longer_holds_leaves_the_interface(t):
    a, _, node = registered(t)
    block, old = node.tip(), assigned(node)
    node.rpc.invalidateblock(block)
    t.wait(lambda: node.rpc.getrawmempool(), what="the registration, back in the mempool")
    grow(node, 2)
    equal(listed(node, old)["state"], "void")
    node.restart()
    t.wait(lambda: on_interfaces(node).get(old), what="another address")
    new = next(x for x in on_interfaces(node) if x != old)
    equal((listed(node, new)["state"], on_interfaces(node)[new]), ("ready", False))
    node.rpc.bcarevoke("alice")
    raises_rpc(-4, lambda: node.rpc.bcaassign(new, "eth0"), "being revoked")
    grow(node)
    node.restart()
    t.wait(lambda: new not in on_interfaces(node), what="its end")
    check(new not in a.addresses("eth0"), "taken off")


@case()
def what_rotation_cannot_do_is_said(t):
    a, _, node = registered(t, 2)
    rpc = node.rpc
    rpc.bcaregister("bob", 1)
    raises_rpc(-4, lambda: rpc.bcarotate("bob"), "pending")
    raises_rpc(-4, lambda: rpc.bcarotate("alice"), "no address yet")
    raises_rpc(-5, lambda: rpc.bcarotate("carol"), "no identity carol")
    raises_rpc(-8, lambda: rpc.bcarotate("a b"), "letters, digits")
    first = rpc.bcanew("alice", OTHER)["address"]
    raises_rpc(-5, lambda: rpc.bcarotate("alice", "2001:db8::1"), "this address of alice")
    raises_rpc(-5, lambda: rpc.bcarotate("alice", "x"), "Invalid IPv6 address")
    second = rpc.bcarotate("alice")
    equal((second["replaced"], second["unused"], "interface" in second), (first, 0, False))
    equal(second["address"][:12], OTHER[:12], "the same prefix")
    is_in("few modifiers", rpc.bcalist()["identities"][0]["warning"])
    check("warning" not in rpc.bcalist()["identities"][1], "of one without addresses")
    for call in (lambda: rpc.bcarotate("alice"), lambda: rpc.bcanew("alice", PREFIX)):
        raises_rpc(-4, call, "all 2 modifiers of alice are used")
        raises_rpc(-4, call, "1 have unused modifiers; one more costs about 0.0000")
    is_in("unused modifiers are left", node.log())


def crash_at(node, setting, act):
    """Starts it anew so that it ends at a write of the list, acts, and starts it as it was left;
    True: it ended."""
    if not os.path.exists(FAULT):
        raise Skip("no " + FAULT)
    crashed = False
    node.stop()
    node.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": setting,
                    "BSVPEER_FAULT_PATH": "assigned.dat"})
    try:
        act()
    except (OSError, http.client.HTTPException):
        crashed = True
    node.kill()
    node.start()
    return crashed


@case(timeout=120)
def a_crash_at_any_write_of_an_assignment_is_gone_on_with(t):
    a, b, node = registered(t, 32)
    crashes = 0
    for n in range(1, 4):
        taken = node.rpc.bcanew("alice", PREFIX)["address"]
        b.ip("addr", "add", taken + "/128", "dev", "eth0", "nodad")
        crashed = crash_at(node, f"fdatasync:{n}:exit",
                           lambda: node.rpc.bcaassign(taken, "eth0"))
        crashes += crashed
        if n > 1 or not crashed:  # it is on the list, be it as the address that is taken
            t.wait(lambda: taken not in on_interfaces(node) and on_interfaces(node), what="another")
        check(taken not in a.addresses("eth0"), "of the other host")
        for address in on_interfaces(node):
            t.wait(lambda x=address: x in a.addresses("eth0"), what="it")
            equal((listed(node, address)["collision_count"], on_interfaces(node)[address]),
                  (1, False))
            equal(node.rpc.bcaverify(address, node.rpc.bcaparams(address))["result"], "valid")
            node.rpc.bcarelease(address)
    equal(crashes, 2, "the list is written when it begins and for the next address")


@case(timeout=120, long_only=True)
def a_crash_at_any_write_of_a_rotation_leaves_one_address_in_use(t):
    a, _, node = registered(t, 32)
    old, crashes = assigned(node), 0
    for n in range(1, 6):
        crashes += crash_at(node, f"fdatasync:{n}:exit", lambda: node.rpc.bcarotate("alice"))
        t.wait(lambda: [r for _, r in on_interfaces(node).items()].count(False) == 1,
               what=f"one in use after crash {n}")
        used = next(x for x, retired in on_interfaces(node).items() if not retired)
        t.wait(lambda: used in a.addresses("eth0"), what="it")
        check("deprecated" not in a.addresses("eth0")[used], "in use")
        for address in on_interfaces(node):
            if address != used:
                is_in("deprecated", a.addresses("eth0")[address])
    check(crashes >= 2 and old != used, f"{crashes} crashes")


if __name__ == "__main__":
    main()

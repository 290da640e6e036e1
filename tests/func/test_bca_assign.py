"""Addresses of identities on network interfaces: two hosts on one link, each in a network namespace
of its own, see duplicate address detection, connections over a certified address, and what comes
back after a restart."""
from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc
from netns import host_node, two_hosts

PREFIX = "2001:db8:0:1::"
OTHER = "2001:db8:0:2::"


def grow(node, n=1):
    return node.rpc.generatetoaddress(n, ADDRESS)


def registered(t, modifiers=8):
    """Two hosts in one prefix, and a node on the first that has the identity alice."""
    a, b = two_hosts(t)
    for host, last in ((a, "1"), (b, "2")):
        host.ip("addr", "add", f"{PREFIX}{last}/64", "dev", "eth0", "nodad")
    node = host_node(t, a)
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
    grow(node)
    block = rpc.getblockhash(rpc.getblockcount() - 1)
    rpc.invalidateblock(block)
    raises_rpc(-4, lambda: rpc.bcaassign(address, "eth0"), "void")


if __name__ == "__main__":
    main()

"""Direct channels between two hosts on one link, by nothing but the addresses of their identities:
found by records, bound to the addresses, moved when one is replaced, ended when one is revoked."""
from channels import is_up, session
from events import read_events
from framework import ADDRESS, case, check, equal, is_in, main
from netns import host_node, two_hosts

PREFIX = "2001:db8:0:1::"


def meet(t, a, b):
    """Blocks of either reach the other, once."""
    b.rpc.addnode(f"[{PREFIX}1]:{a.port}", "onetry")
    t.wait(lambda: b.rpc.getconnectioncount() == 1, what="connection")
    t.wait_same_tip(a, b)


def part(t, *nodes):
    for node in nodes:
        node.rpc.setnetworkactive(False)
    for node in nodes:
        t.wait(lambda n=node: n.rpc.getconnectioncount() == 0, what="end of the connection")
        node.rpc.setnetworkactive(True)


def neighbours(t):
    """Two nodes, each on a host of its own and not connected, with one chain, and an identity whose
    address is on its interface and announced to the world; their addresses."""
    hosts = two_hosts(t)
    for host, last in zip(hosts, "12"):
        host.ip("addr", "add", f"{PREFIX}{last}/64", "dev", "eth0", "nodad")
    a, b = (host_node(t, host, "-channelport=19955", "-recordpause=1", "-bind=[::]:18444")
            for host in hosts)
    meet(t, a, b)
    for node in (a, b):
        a.rpc.generatetoaddress(1, node.rpc.getnewaddress())
    a.rpc.generatetoaddress(100, ADDRESS)
    t.wait_same_tip(a, b)
    for node in (a, b):
        node.rpc.bcaregister("me", 8)
        node.rpc.generatetoaddress(1, ADDRESS)
        t.wait_same_tip(a, b)
    part(t, a, b)
    addresses = [node.rpc.bcanew("me", PREFIX)["address"] for node in (a, b)]
    for node, address in zip((a, b), addresses):
        node.rpc.bcaassign(address, "eth0")
        node.rpc.setpublication("me", "public")
    return a, b, *addresses


def proved(node, contact):
    found = session(node, contact)
    return found["bound"], found["proof"], found["provisional"]


@case(timeout=90)
def addresses_are_all_that_two_people_exchange(t):
    a, b, at_a, at_b = neighbours(t)
    equal("key" in b.rpc.contactadd(at_a, "alice"), False, "nothing is known of it")
    a.rpc.contactadd(at_b, "bob")
    made = a.rpc.peerconnect("bob", 30)
    equal((made["bound"], made["address"]), (True, f"[{at_b}]:19955"))
    t.wait(lambda: is_up(b, "alice"))
    equal(proved(a, "bob"), (True, "bound", False))
    equal(proved(b, "alice"), (True, "bound", False))
    is_in(at_a, session(b, "alice")["address"])

    moved = a.rpc.bcarotate("me", at_a)["address"]
    check(moved != at_a)
    t.wait(lambda: moved in session(b, "alice")["address"], what="session at the new address")
    equal(proved(b, "alice"), (True, "bound", False))

    # Only the other side gets to see the block that revokes the identity.
    part(t, a, b)
    txid = a.rpc.bcarevoke("me")["txid"]
    b.rpc.sendrawtransaction(a.rpc.getrawtransaction(txid))
    b.rpc.generatetoaddress(1, ADDRESS)
    t.wait(lambda: not session(b, "alice") and not session(a, "bob"), what="end of the session")
    with b.netns.inside():
        reasons = [e["reason"] for e in read_events(b) if e["type"] == "session_down"]
    equal(reasons, ["error sent"])


if __name__ == "__main__":
    main()

"""Two nodes on hosts of their own, whose identities have assigned addresses."""
from framework import ADDRESS
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


def neighbours(t, modifiers=8, publication="public", options=()):
    """Two nodes, each on a host of its own and not connected, with one chain, and an identity whose
    address is on its interface and announced, to the world if not said otherwise; their
    addresses."""
    hosts = two_hosts(t)
    for host, last in zip(hosts, "12"):
        host.ip("addr", "add", f"{PREFIX}{last}/64", "dev", "eth0", "nodad")
    a, b = (host_node(t, host, "-channelport=19955", "-recordpause=1", "-bind=[::]:18444", *options)
            for host in hosts)
    meet(t, a, b)
    for node in (a, b):
        a.rpc.generatetoaddress(1, node.rpc.getnewaddress())
    a.rpc.generatetoaddress(100, ADDRESS)
    t.wait_same_tip(a, b)
    for node in (a, b):
        node.rpc.bcaregister("me", modifiers)
        node.rpc.generatetoaddress(1, ADDRESS)
        t.wait_same_tip(a, b)
    part(t, a, b)
    addresses = [node.rpc.bcanew("me", PREFIX)["address"] for node in (a, b)]
    for node, address in zip((a, b), addresses):
        node.rpc.bcaassign(address, "eth0")
        node.rpc.setpublication("me", publication)
    return a, b, *addresses

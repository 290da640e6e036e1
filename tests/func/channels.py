"""What tests of direct channels share: nodes with identities that know each other, and their
sessions."""
from identities import grow, identity, wallet_node


def talker(t, *options):
    """A node with an identity; its key."""
    node = wallet_node(t, *options)
    node.rpc.bcaregister("me", 2)
    grow(node)
    return node, identity(node, "me")["public_key"]


def pair(t, *options):
    """Two of them; the first knows the second as bob, that one the first as alice."""
    a, a_key = talker(t, *options)
    b, b_key = talker(t, *options)
    a.rpc.contactadd(f"{b_key}@{b.channel}", "bob")
    b.rpc.contactadd(f"{a_key}@{a.channel}", "alice")
    return a, b


def connected_pair(t, *options):
    """The same with a session that both sides see."""
    a, b = pair(t, *options)
    a.rpc.peerconnect("bob")
    t.wait(lambda: is_up(b, "alice"))
    return a, b


def session(node, contact):
    return next((p for p in node.rpc.peerlist() if p.get("contact") == contact), None)


def is_up(node, contact):
    found = session(node, contact)
    return found is not None and found["state"] == "up"

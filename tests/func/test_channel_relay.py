"""Two daemons that cannot reach each other talk through a third, which learns nothing of it."""
import subprocess

from channels import is_up, session, talker
from framework import case, check, equal, main, raises_rpc

DISTINCT = b"nobody else shall read this sentence 7f3a"


def three(t, *relay_options):
    """Alice and Bob, who do not listen, and the contact of both."""
    relay, relay_key = talker(t, "-debug=channel", *relay_options)
    hidden = [talker(t, "-channellisten=0") for _ in range(2)]
    for (node, key), alias in zip(hidden, ("alice", "bob")):
        relay.rpc.contactadd(key, alias)
        node.rpc.contactadd(f"{relay_key}@{relay.channel}", "relay")
        node.rpc.peerconnect("relay")
    (alice, alice_key), (bob, bob_key) = hidden
    alice.rpc.contactadd(bob_key, "bob")
    bob.rpc.contactadd(alice_key, "alice")
    t.wait(lambda: is_up(relay, "alice") and is_up(relay, "bob"))
    return relay, alice, bob


def allow(relay, alice):
    relay.rpc.contactset("alice", {"relay": True})
    alice.rpc.contactset("relay", {"relay_for_us": True})


def holds(node, text):
    return any(text in piece for piece in node.writable_memory())


@case()
def a_third_sees_nothing_of_what_is_said(t):
    relay, alice, bob = three(t)
    allow(relay, alice)
    bob.rpc.exposeservice("echo", "echo:", ["alice"])
    made = alice.rpc.peerconnect("bob")
    equal((made["state"], made["address"], made["inbound"]), ("up", "", False))
    t.wait(lambda: is_up(bob, "alice"))
    alice.rpc.sendmessage("bob", DISTINCT.decode())
    t.wait(lambda: bob.rpc.listmessages("alice")["messages"], what="the message")
    equal(bob.rpc.listmessages("alice")["messages"][0]["text"], DISTINCT.decode())
    process = subprocess.Popen(alice.cli_line() + ["pipe", "bob", "echo"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    said = DISTINCT * 20000
    equal(process.communicate(said, timeout=60)[0] == said, True, "what came back")
    equal(process.returncode, 0)
    relayed = relay.rpc.listservices()["relayed"][0]
    equal((relayed["from"], relayed["to"], relayed["open"]), ("alice", "bob", True))
    check(relayed["bytes"] > 2 * len(said))
    check(holds(alice, DISTINCT), "that it can be found")
    check(not holds(relay, DISTINCT), "plaintext in the memory of the relay")
    check(DISTINCT.decode() not in relay.log(), "plaintext in the log of the relay")
    check(DISTINCT[:20].hex() not in relay.log())


@case()
def a_relay_serves_whom_its_user_lets(t):
    relay, alice, bob = three(t)
    alice.rpc.contactset("relay", {"relay_for_us": True})
    raises_rpc(-9, lambda: alice.rpc.peerconnect("bob", 1), "bob")
    equal((session(bob, "alice"), relay.rpc.listservices()["relayed"]), (None, []))
    relay.rpc.contactset("alice", {"relay": True})
    equal(alice.rpc.peerconnect("bob")["state"], "up")
    relay.rpc.contactremove("bob")
    t.wait(lambda: not session(alice, "bob") and not session(bob, "alice"))


@case()
def bytes_that_are_relayed_have_a_limit(t):
    relay, alice, bob = three(t, "-channelrelaybytes=100000")
    allow(relay, alice)
    bob.rpc.exposeservice("echo", "echo:", ["alice"])
    alice.rpc.peerconnect("bob")
    process = subprocess.Popen(alice.cli_line() + ["pipe", "bob", "echo"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.communicate(b"x" * 1000000, timeout=60)
    equal(process.returncode, 2)
    t.wait(lambda: not session(alice, "bob"))
    relay.restart("-channelrelay=0")
    alice.rpc.peerconnect("relay")
    bob.rpc.peerconnect("relay")
    raises_rpc(-9, lambda: alice.rpc.peerconnect("bob", 1), "bob")


def with_carol(t, relay, alice, bob):
    """One more who does not listen; she knows all, and all know her."""
    carol, key = talker(t, "-channellisten=0")
    for node in (relay, alice, bob):
        node.rpc.contactadd(key, "carol")
    for contact in alice.rpc.contactlist():
        if contact["key"] == key:
            continue
        carol.rpc.contactadd("@".join([contact["key"], *contact["addresses"]]), contact["alias"])
    carol.rpc.contactadd(bob.rpc.contactlist()[1]["key"], "alice")
    carol.rpc.contactset("relay", {"relay_for_us": True})
    carol.rpc.peerconnect("relay")
    relay.rpc.contactset("carol", {"relay": True})
    return carol


@case(long_only=True)
def sessions_that_are_relayed_have_limits(t):
    relay, alice, bob = three(t, "-channelrelaypercontact=1", "-channelrelaystreams=2")
    allow(relay, alice)
    carol = with_carol(t, relay, alice, bob)
    equal(alice.rpc.peerconnect("bob")["state"], "up")
    raises_rpc(-9, lambda: alice.rpc.peerconnect("carol", 1), "carol")
    equal(carol.rpc.peerconnect("bob")["state"], "up")
    bob.rpc.contactset("relay", {"relay_for_us": True})
    relay.rpc.contactset("bob", {"relay": True})
    equal(len(relay.rpc.listservices()["relayed"]), 2)
    relay.restart("-channelrelaystreams=1", "-channelrelaypercontact=8")
    for node in (alice, bob, carol):
        node.rpc.peerconnect("relay")
    equal(alice.rpc.peerconnect("carol")["state"], "up")
    raises_rpc(-9, lambda: alice.rpc.peerconnect("bob", 1), "bob")


main()

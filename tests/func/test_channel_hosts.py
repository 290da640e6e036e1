"""Direct channels between two hosts on one link, by nothing but the addresses of their identities:
found by records, bound to the addresses, moved when one is replaced, ended when one is revoked."""
from channel_hosts import neighbours, part
from channels import is_up, session
from events import read_events
from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc
from identities import identity

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
        reasons = t.wait(lambda: [e["reason"] for e in read_events(b)
                                  if e["type"] == "session_down"])
    equal(reasons, ["error sent"])


@case(timeout=90)
def who_is_registered_in_a_blocked_block_is_refused_unless_a_contact(t):
    a, b, _, at_b = neighbours(t)
    a.rpc.contactadd(at_b, "bob")
    registered = a.rpc.getblockcount() - identity(a, "me")["confirmations"] + 1
    block = a.rpc.getblockhash(registered)
    b.restart("-channelstrangers")
    a.rpc.peerconnect("bob", 30)
    t.wait(lambda: [p.get("block") for p in b.rpc.peerlist()] == [block])
    b.restart("-channelstrangers", "-channelblock=" + block)
    t.wait(lambda: not is_up(a, "bob"))
    raises_rpc(-9, lambda: a.rpc.peerconnect("bob", 30), "error received 1")
    b.rpc.contactadd(identity(a, "me")["public_key"], "alice")
    a.rpc.peerconnect("bob", 30)
    t.wait(lambda: is_up(b, "alice"))


if __name__ == "__main__":
    main()

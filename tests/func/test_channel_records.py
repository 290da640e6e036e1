"""Contacts of which only the address or a record is known: records tell the key and where it is."""
import struct

from channel_guest import Guest
from channels import pair
from framework import ADDRESS, case, check, equal, main, raises_rpc
from identities import PREFIX, grow, identity, wallet_node
from records import bcarec, friend, known, now, registered


def tell(node, peer, person, seq=1, **changes):
    record = person.record(seq, now(), **changes)
    peer.send("bcarec", bcarec([record]))
    return record


@case()
def an_address_becomes_a_contact_with_the_key_of_its_record(t):
    node, _, (alice, bob) = registered(t, 2)
    peer = friend(t, node)
    tell(node, peer, alice)
    t.wait(lambda: known(node, alice) == 1)
    made = node.rpc.contactadd(alice.address, "alice")
    equal((made["key"], made["addresses"]), (alice.public.hex(), [f"[{alice.address}]:39944"]))
    later = node.rpc.contactadd(bob.address, "bob")
    equal("key" in later, False)
    raises_rpc(-9, lambda: node.rpc.peerconnect("bob", 1), "nobody has announced")
    tell(node, peer, bob)
    t.wait(lambda: "key" in node.rpc.contactlist()[1], what="key")
    found = node.rpc.contactlist()[1]
    equal((found["key"], found["addresses"]), (bob.public.hex(), [f"[{bob.address}]:9944"]))
    node.restart()
    equal(node.rpc.contactlist()[1]["key"], bob.public.hex())


@case()
def the_address_that_told_the_key_comes_first_and_others_stay(t):
    node, _, (alice,) = registered(t, 1)
    peer = friend(t, node)
    others = ["[2001:db8::1]:1", "[2001:db8::2]:2"]
    node.rpc.contactadd("[2001:db8::1]:1", "alice")
    node.rpc.contactset("alice", {"addresses": [others[0], f"[{alice.address}]:5", others[1]]})
    tell(node, peer, alice)
    t.wait(lambda: "key" in node.rpc.contactlist()[0], what="key")
    equal(node.rpc.contactlist()[0]["addresses"], [f"[{alice.address}]:9944", *others])


@case()
def a_record_becomes_a_contact(t):
    node, _, (alice,) = registered(t, 1)
    good = alice.record(5, now(), port=7777)
    raises_rpc(-8, lambda: node.rpc.contactadd((good[:-1] + bytes([good[-1] ^ 1])).hex()),
               "signature")
    made = node.rpc.contactadd(good.hex(), "alice")
    equal((made["key"], made["addresses"]), (alice.public.hex(), [f"[{alice.address}]:7777"]))
    equal(known(node, alice), 5)


@case()
def a_record_for_contacts_goes_to_them_alone_and_follows_what_changes(t):
    a, b = pair(t, "-recordpause=1")
    b.rpc.addnode(a.p2p, "onetry")
    a.rpc.addnode(b.p2p, "onetry")
    b.rpc.generatetoaddress(1, ADDRESS)  # the longer chain
    t.wait_same_tip(a, b)
    key = identity(b, "me")["public_key"]
    others = t.node("-connect=" + b.p2p)
    t.wait_same_tip(b, others)
    address = b.rpc.bcanew("me", PREFIX)["address"]
    made = b.rpc.setpublication("me", "contacts")
    a.rpc.peerconnect("bob")
    t.wait(lambda: a.rpc.listrecords()["total"] == 1, what="the record in the session")
    got = a.rpc.getrecord(key)
    equal(got["reached"], True, "there is a session")
    equal((got["seq"], got["public"], got["endpoints"][0]["address"]),
          (made["seq"], False, address))
    other = b.rpc.bcanew("me", PREFIX)["address"]
    later = b.rpc.setpublication("me", "contacts")
    equal(later["endpoints"][0]["address"], other)
    t.wait(lambda: a.rpc.getrecord(key)["seq"] == later["seq"], what="another address")
    b.rpc.setpublication("me", "private")
    t.wait(lambda: a.rpc.getrecord(key)["tombstone"], what="that it has left")
    equal(others.rpc.listrecords()["total"], 0, "nobody else has heard of it")


def shown(guest, req, record, kind=1):
    """The status that the node answers."""
    guest.put(36, struct.pack(">IBH", req, kind, len(record)) + record)
    got, status = struct.unpack(">IB", guest.read(38))
    equal(got, req, "number of the answer")
    return status


@case()
def a_contact_shows_its_own_record_and_not_too_often(t):
    node, _, (alice, bob) = registered(t, 2, "-channelstrangers")
    node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
    grow(node, 100)
    node.rpc.bcaregister("me", 1)
    key = identity(node, "me")["public_key"]
    for person in (alice, bob):
        node.rpc.contactadd(person.public.hex(), "alice" if person is alice else "bob")
    stranger = Guest(node, key).connect()
    equal(shown(stranger, 1, alice.record(5, now())), 4, "of a stranger")
    guest = Guest(node, key, alice.secret).connect()
    equal(shown(guest, 2, alice.record(5, now()), kind=0), 4, "to be stored for others")
    equal(shown(guest, 3, bob.record(5, now())), 2, "of somebody else")
    equal((known(node, alice), known(node, bob)), (None, None))
    equal(shown(guest, 4, alice.record(5, now())), 0)
    equal((known(node, alice), node.rpc.getrecord(alice.public.hex())["public"]), (5, False))
    equal(shown(guest, 5, alice.record(4, now())), 1, "an older one")
    good = alice.record(6, now())
    equal(shown(guest, 6, good[:-1] + bytes([good[-1] ^ 1])), 2, "with another signature")
    equal(shown(guest, 7, good), 0)
    equal(shown(guest, 8, alice.record(7, now())), 3, "the fifth within a minute")
    equal(known(node, alice), 6)
    for one in (guest, stranger):
        one.close()


@case()
def a_record_tells_of_a_successor_and_moves_nobody(t):
    a = wallet_node(t, "-recordpause=1")
    b = t.node("-recordpause=1", "-connect=" + a.p2p)
    keys = []
    for name in ("me", "next"):
        a.rpc.bcaregister(name, 2)
        grow(a)
        a.rpc.bcanew(name, PREFIX)
        keys.append(identity(a, name)["public_key"])
    t.wait_same_tip(a, b)
    b.rpc.contactadd(keys[0], "alice")
    b.rpc.contactset("alice", {"follow_successor": True})
    statement = a.rpc.setsuccessor("me", "next")
    a.rpc.setpublication("next", "public")
    t.wait(lambda: b.rpc.contactlist()[0]["successors"], what="statement")
    alice = b.rpc.contactlist()[0]
    equal([(h["of"], h["key"], h["state"]) for h in alice["successors"]],
          [(keys[0], keys[1], "proposed")])
    equal(alice["key"], keys[0])
    check(statement["statement"] in b.rpc.getrecord(keys[1])["record"], "it is in the record")


if __name__ == "__main__":
    main()

"""Direct channels of two daemons: contacts, sessions, what people are told when there is none."""
import socket
import time

from channels import connected_pair, is_up, pair, session, talker
from events import read_events
from framework import case, check, equal, free_port, is_in, main, raises_rpc
from identities import grow, identity
from paychannels import open_channel, payers
from wallet_rpc import WalletRpc

NOBODY = "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa"


def refuses(port):
    """Whether nobody listens there."""
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", port)) != 0


def session_events(node):
    return [(e["type"], e["key"], e.get("address") or e["reason"]) for e in read_events(node)
            if e["type"].startswith("session")]


@case()
def two_contacts_have_a_session_until_one_ends_it(t):
    a, b = pair(t)
    equal(a.rpc.peerlist(), [])
    made = a.rpc.peerconnect("bob")
    equal((made["state"], made["contact"], made["identity"]), ("up", "bob", "me"))
    equal((made["inbound"], made["address"]), (False, b.channel))
    t.wait(lambda: is_up(b, "alice"))
    theirs = session(b, "alice")
    equal((theirs["inbound"], theirs["proof"], theirs["version"]), (True, "bare", 1))
    equal(theirs["key"], b.rpc.contactlist()[0]["key"])
    check(theirs["bytes_received"] > 0)
    is_in("BSVPeer", theirs["agent"])
    equal(a.rpc.peerconnect("bob")["connected"], made["connected"], "the session that is there")
    a.rpc.peerdisconnect(made["key"])
    t.wait(lambda: not session(a, "bob") and not session(b, "alice"))
    t.wait(lambda: len(session_events(a)) == 2, what="events")
    equal(session_events(a), [("session_up", made["key"], b.channel),
                              ("session_down", made["key"], "closed")])
    t.wait(lambda: len(session_events(b)) == 2, what="events")
    equal([e[0] for e in session_events(b)], ["session_up", "session_down"])


@case()
def contacts_and_sessions_are_there_after_a_restart(t):
    a, b = connected_pair(t)
    before = b.rpc.contactlist()
    b.restart()
    after = b.rpc.contactlist()
    equal([(c["alias"], c["key"], c["policy"]) for c in after],
          [(c["alias"], c["key"], c["policy"]) for c in before])
    check(after[0]["seen"] > 0)
    t.wait(lambda: not session(a, "bob"))
    equal(b.rpc.peerconnect("alice")["state"], "up")
    t.wait(lambda: is_up(a, "bob"), what="the session at the other end")
    equal(a.rpc.peerconnect("bob")["inbound"], True)


@case()
def nobody_listens_without_an_identity(t):
    node = t.node()
    check(refuses(node.channel_port))
    raises_rpc(-5, lambda: node.rpc.peerdisconnect("bob"), "bob")
    node.rpc.contactadd(f"{NOBODY}@[::1]:{free_port()}", "bob")
    raises_rpc(-5, lambda: node.rpc.peerconnect("bob"), "bcaregister")


@case()
def an_unreachable_contact_is_told_of(t):
    a, key = talker(t)
    raises_rpc(-8, lambda: a.rpc.contactadd(key), "identity of this node")
    t.wait(lambda: not refuses(a.channel_port), what="listening")
    a.rpc.contactadd(f"{NOBODY}@[::1]:{free_port()}", "bob")
    raises_rpc(-9, lambda: a.rpc.peerconnect("bob"), "refused")
    a.rpc.contactadd("02" + NOBODY[2:])
    raises_rpc(-9, lambda: a.rpc.peerconnect("02" + NOBODY[2:], 1), "no address is known")
    raises_rpc(-8, lambda: a.rpc.peerconnect("bob", 0), "timeout")
    idle = next(p for p in a.rpc.peerlist(True) if p.get("contact") == "bob")
    equal((idle["state"], idle["key"]), ("idle", NOBODY))


@case()
def a_stranger_is_turned_away_unless_strangers_may_come(t):
    a, a_key = talker(t)
    b, b_key = talker(t)
    a.rpc.contactadd(f"{b_key}@{b.channel}", "bob")
    raises_rpc(-9, lambda: a.rpc.peerconnect("bob"), "bob")
    equal(b.rpc.peerlist(), [])
    b.restart("-channelstrangers=1")
    equal(a.rpc.peerconnect("bob")["state"], "up")
    t.wait(lambda: b.rpc.peerlist())
    equal(session_events(b), [], "sessions of strangers are not logged")
    stranger = b.rpc.peerlist()[0]
    equal((stranger["key"], "contact" in stranger), (a_key, False))
    b.rpc.peerdisconnect(a_key)
    t.wait(lambda: not session(a, "bob"))


@case()
def contacts_are_added_changed_and_removed(t):
    node = t.node()
    add, listed = node.rpc.contactadd, node.rpc.contactlist
    one = add(NOBODY, "Ünï")
    equal((one["key"], one["addresses"], one["seen"]), (NOBODY, [], 0))
    equal(one["policy"]["messages"], True)
    equal(one["policy"]["keep"], False)
    equal(add("02" + NOBODY[2:] + "@::2")["addresses"], ["[::2]:39944"])
    equal(len(listed()), 2)
    check(node.rpc.getmemoryinfo()["ledger"]["channels"] > 8000, "their memory is counted")
    changed = node.rpc.contactset("Ünï", {
        "alias": "bob", "bare": True, "file_quota": 5, "identity": "work",
        "addresses": ["[::3]:7777", "::4"]})
    equal((changed["alias"], changed["policy"]["bare"], changed["policy"]["file_quota"]),
          ("bob", True, 5))
    equal(changed["addresses"], ["[::3]:7777", "[::4]:39944"])
    equal(changed["identity"], "work")
    equal(changed["policy"]["messages"], True, "what was not named")
    equal(node.rpc.contactset(NOBODY, {"bare": False})["policy"]["bare"], False)
    node.rpc.contactremove(NOBODY)
    equal([c["alias"] for c in listed()], [("02" + NOBODY[2:])[:16]])


BAD_CONTACTS = [
    "", "x", NOBODY[:-2], NOBODY[:-2] + "zz", "05" + NOBODY[2:], NOBODY + "@", NOBODY + "@host:1",
    NOBODY + "@1.2.3.4", NOBODY + "@[::1", NOBODY + "@[::1]:0", NOBODY + "@[::1]:99999", "::1::2",
    "00" * 200, "ab" * 5000,
]
BAD_POLICIES = [
    {"nothing": True}, {"bare": 1}, {"bare": None}, {"alias": ""}, {"alias": 5}, {"alias": "a\nb"},
    {"alias": "x" * 65}, {"file_quota": -1}, {"file_quota": "1"}, {"addresses": "::1"},
    {"addresses": ["::1"] * 5}, {"addresses": [1]}, {"addresses": ["1.2.3.4"]},
    {"identity": "x" * 65}, {"alias": "other"},
]


@case()
def bad_contacts_change_nothing(t):
    node = t.node()
    add = node.rpc.contactadd
    for bad in BAD_CONTACTS:
        raises_rpc(-8, lambda bad=bad: add(bad))
    raises_rpc(-8, lambda: add(""), "is wanted")
    add(NOBODY, "bob")
    add("02" + NOBODY[2:], "other")
    before = node.rpc.contactlist()
    raises_rpc(-8, lambda: add(NOBODY, "twin"), "bob")
    for alias in ("bob", "a\x1b[2J", "x" * 65, " a", "\u202e"):
        raises_rpc(-8, lambda alias=alias: add("::1", alias))
    for bad in BAD_POLICIES:
        raises_rpc(-8, lambda bad=bad: node.rpc.contactset("bob", bad))
    for call in (node.rpc.contactremove, node.rpc.peerconnect, node.rpc.peerdisconnect):
        raises_rpc(-5, lambda call=call: call("nobody"), "nobody")
    equal(node.rpc.contactlist(), before)


def heirs(node, contact):
    found = next(c for c in node.rpc.contactlist() if c["alias"] == contact)
    return [(h["key"], h["state"], h["contradicted"]) for h in found["successors"]]


@case()
def a_contact_moves_to_the_key_that_follows_its_own(t):
    a, b = connected_pair(t)
    a.rpc.bcaregister("next", 2)
    grow(a)
    key, following = (identity(a, name)["public_key"] for name in ("me", "next"))
    raises_rpc(-5, lambda: a.rpc.setsuccessor("me", "nobody"), "nobody")
    raises_rpc(-5, lambda: b.rpc.contactset("nobody", {"successor": following}))
    raises_rpc(-5, lambda: b.rpc.contactset("alice", {"successor": following}), "has not said")
    made = a.rpc.setsuccessor("me", "next")
    equal((made["of"], made["key"], made["seq"]), (key, following, 1))
    t.wait(lambda: heirs(b, "alice"), what="statement")
    equal(heirs(b, "alice"), [(following, "proposed", False)])
    a.restart()
    equal(a.rpc.setsuccessor("me", "next"), made, "it is made once")
    raises_rpc(-8, lambda: b.rpc.contactset("alice", {"successor": "00"}), "successor")
    moved = b.rpc.contactset("alice", {"successor": following})
    equal((moved["key"], moved["former_keys"]), (following, [key]))
    equal(heirs(b, "alice"), [(following, "taken", False)])
    a.rpc.contactset("bob", {"identity": "next"})
    equal(a.rpc.peerconnect("bob")["identity"], "next")
    t.wait(lambda: is_up(b, "alice"))
    equal(session(b, "alice")["key"], following)
    told = t.wait(lambda: [e for e in read_events(b) if e["type"] == "contact_successor"])
    equal([e["state"] for e in told], ["announced"])


@case()
def memory_of_what_is_said_is_counted(t):
    a, b = payers(t)

    def counted():
        ledger = b.rpc.getmemoryinfo()["ledger"]
        return [ledger.get(row, 0) for row in ("channels", "messages", "files", "payments")]
    before = counted()
    a.rpc.sendmessage("bob", "text")
    t.wait(lambda: b.rpc.listmessages()["messages"])
    path = t.path("file")
    with open(path, "wb") as file:
        file.write(bytes(1000))
    a.rpc.sendfile("bob", path)
    t.wait(lambda: b.rpc.listtransfers())
    open_channel(t, a, b)
    after = counted()
    check(all(after), f"each takes some: {after}")
    check(all(x > y for x, y in zip(after[2:], before[2:])), f"more than {before}: {after}")


@case()
def without_channels_the_methods_say_why(t):
    node = t.node("-channel=0")
    raises_rpc(-32601, node.rpc.peerlist, "-channel=0")
    raises_rpc(-32601, lambda: node.rpc.contactadd(NOBODY), "-channel=0")
    node.restart("-channel=1", "-disablewallet")
    raises_rpc(-32601, node.rpc.contactlist, "-disablewallet")


@case()
def a_busy_port_ends_the_start_only_when_it_was_asked_for(t):
    with socket.socket(socket.AF_INET6) as busy:
        busy.bind(("::", 0))
        busy.listen()
        port = busy.getsockname()[1]
        node = t.make_node(f"-channelport={port}")
        node.launch()
        equal(node.wait_exit(), 1)
        is_in(str(port), node.errors())
        is_in("direct channels", node.errors())


@case()
def each_contact_has_the_identity_that_was_chosen_for_it(t):
    a, b = pair(t)
    a.rpc.createwallet("work")
    work, home = WalletRpc(a, "work"), WalletRpc(a, "default")
    home.sendtoaddress(work.getnewaddress(), 1)
    grow(a)
    work.bcaregister("me", 2)
    grow(a)
    key = work.bcalist()["identities"][0]["public_key"]
    equal(a.rpc.peerconnect("bob")["identity"], "me", "the first of the first wallet")
    a.rpc.peerdisconnect("bob")
    b.rpc.contactadd(key, "work")
    a.rpc.contactset("bob", {"identity": "work/me"})
    equal(a.rpc.peerconnect("bob")["identity"], "work/me")
    t.wait(lambda: is_up(b, "work"))
    equal(session(b, "work")["key"], key)
    a.rpc.unloadwallet("work")
    t.wait(lambda: not session(b, "work"), what="end of the session")
    raises_rpc(-5, lambda: a.rpc.peerconnect("bob"), "work/me")
    a.rpc.loadwallet("work")
    equal(a.rpc.peerconnect("bob")["state"], "up")


@case()
def a_locked_wallet_takes_its_identity_away(t):
    a, b = connected_pair(t)
    a.rpc.encryptwallet("secret")
    t.wait(lambda: not session(b, "alice"))
    check(refuses(a.channel_port))
    raises_rpc(-5, lambda: a.rpc.peerconnect("bob"), "unlocked")
    a.rpc.walletpassphrase("secret", 60)
    equal(a.rpc.peerconnect("bob")["state"], "up")
    a.rpc.setmocktime(int(time.time()) + 100)
    equal(a.rpc.getwalletinfo()["unlocked_until"], 0)
    a.rpc.peerdisconnect("bob")
    t.wait(lambda: not session(b, "alice"))
    equal(a.rpc.peerconnect("bob")["state"], "up", "the key stays")
    a.rpc.walletlock()
    t.wait(lambda: not session(b, "alice"))
    raises_rpc(-5, lambda: a.rpc.peerconnect("bob"), "unlocked")


if __name__ == "__main__":
    main()

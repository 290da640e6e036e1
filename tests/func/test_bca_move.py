"""An identity moves from one wallet to another by a file: one of them goes on at a time, with the
next modifier, and what a file should not be is refused."""
import hashlib
import os
import stat

from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc
from identities import (PREFIX, confirmed_identity, grow, identity, result, states, tool,
                        wallet_node)
from wallet_rpc import WalletRpc


def exported(t, node, *passphrase, name="alice"):
    path = t.path(name + ".bca")
    node.rpc.bcaexport(name, path, *passphrase)
    return path


def modifier(made):
    return tool("decode", made["params"])["modifier"]


@case()
def one_wallet_goes_on_where_the_other_stopped(t):
    a, b, proof = confirmed_identity(t)
    path = t.path("alice.bca")
    equal(a.rpc.bcaexport("alice", path),
          {"filename": path, "state": "moved", "unused": 1})
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600)
    raises_rpc(-4, lambda: a.rpc.bcanew("alice", PREFIX), "has moved to another wallet")
    raises_rpc(-4, lambda: a.rpc.bcaexport("alice", t.path("more")), "moved")
    raises_rpc(-8, lambda: a.rpc.bcaregister("alice"), "already")
    equal((identity(a)["state"], identity(a)["unused"]), ("moved", 0))
    equal(a.rpc.bcaparams(proof[0]), proof[1])

    equal(b.rpc.bcaimport(path, "al"), {"name": "al", "state": "ready", "unused": 1})
    for name in ("al", "bob"):
        raises_rpc(-4, lambda: b.rpc.bcaimport(path, name), "already")
    b.restart()
    equal(b.rpc.bcaparams(proof[0]), proof[1])
    new = b.rpc.bcanew("al", PREFIX)
    check(modifier(new) != tool("decode", proof[1])["modifier"], "a modifier of its own")
    equal((new["unused"], identity(b, "al")["public_key"]), (0, identity(a)["public_key"]))
    t.wait_same_tip(a, b)
    equal(result(a, (new["address"], new["params"])), ("valid", None, 1))

    back = t.path("back.bca")  # it comes home, and no older file does
    b.rpc.bcaexport("al", back)
    raises_rpc(-4, lambda: a.rpc.bcaimport(path, "alice"), "already")
    equal(a.rpc.bcaimport(back, "alice")["unused"], 0)
    equal(identity(a)["state"], "ready")
    equal(a.rpc.bcaparams(new["address"]), new["params"])


@case()
def an_imported_identity_follows_its_registration_through_a_reorganisation(t):
    a, b, _ = confirmed_identity(t)
    b.rpc.bcaimport(exported(t, a))
    t.wait_same_tip(a, b)
    block = b.rpc.getbestblockhash()
    txid = identity(b)["txid"]
    for node in (a, b):
        node.rpc.invalidateblock(block)
    equal(identity(b)["state"], "pending")
    raises_rpc(-4, lambda: b.rpc.bcanew("alice", PREFIX), "pending")
    t.wait(lambda: txid in a.rpc.getrawmempool(), what="back in the mempool")
    grow(a, 2)
    t.wait_same_tip(a, b)
    equal((identity(b)["state"], identity(b)["confirmations"]), ("ready", 2))
    new = b.rpc.bcanew("alice", PREFIX)
    equal(result(a, (new["address"], new["params"])), ("valid", None, 2))
    check("void" in states(b).values(), "the old one")


@case()
def a_file_is_sealed_when_a_passphrase_is_given(t):
    a, b, _ = confirmed_identity(t)
    path = exported(t, a, "open sesame")
    raises_rpc(-14, lambda: b.rpc.bcaimport(path), "give its passphrase")
    raises_rpc(-14, lambda: b.rpc.bcaimport(path, "alice", "open says me"), "passphrase is wrong")
    code, out, err = b.cli("bca", "import", path, "alice", "open sesame")
    equal((code, "ready" in out), (0, True), err)


@case()
def an_encrypted_wallet_moves_nothing_in_plain(t):
    a, b, proof = confirmed_identity(t)
    a.rpc.encryptwallet("secret")
    raises_rpc(-13, lambda: a.rpc.bcaexport("alice", t.path("alice.bca")))
    equal(identity(a)["state"], "ready", "nothing has moved")
    a.rpc.walletpassphrase("secret", 60)
    raises_rpc(-8, lambda: exported(t, a), "give a passphrase for the file")
    check(not os.path.exists(t.path("alice.bca")), "no file of plain secrets")
    equal(identity(a)["state"], "ready", "nothing has moved")
    path = exported(t, a, "open sesame")
    raises_rpc(-14, lambda: b.rpc.bcaimport(path), "give its passphrase")
    b.rpc.bcaimport(path, "alice", "open sesame")
    equal(b.rpc.bcaparams(proof[0]), proof[1])


@case()
def the_phrase_brings_back_what_can_be_revoked(t):
    a, b, proof = confirmed_identity(t)
    a.rpc.bcaregister("bob", 1)
    grow(a)
    keys = {i["public_key"] for i in a.rpc.bcalist()["identities"]}
    b.rpc.createwallet(wallet_name="again", phrase=a.rpc.getwalletphrase())
    rpc = WalletRpc(b, "again")
    t.wait_same_tip(a, b)
    t.wait(lambda: rpc.getwalletinfo()["height"] == b.rpc.getblockcount(), what="at the tip")
    equal(rpc.bcarecover(), ["recovered-1", "recovered-2"])
    equal(rpc.bcarecover(), [], "all are there")
    found = rpc.bcalist()["identities"]
    equal({i["public_key"] for i in found}, keys)
    equal({(i["state"], i["unused"]) for i in found}, {("restored", 0)})
    raises_rpc(-4, lambda: rpc.bcanew("recovered-1", PREFIX), "register another name")
    raises_rpc(-4, lambda: rpc.bcaexport("recovered-1", t.path("x")), "register another name")
    rpc.bcarevoke("recovered-1")
    b.rpc.generatetoaddress(1, ADDRESS)
    t.wait_same_tip(a, b)
    equal(result(a, proof)[:2], ("invalid", "revoked"))
    equal(identity(a)["state"], "revoked")


def write(t, name, content):
    path = t.path(name)
    with open(path, "wb") as f:
        f.write(content)
    return path


def with_sum(body):
    return body + hashlib.sha256(hashlib.sha256(body).digest()).digest()


@case()
def what_is_no_good_file_is_refused(t):
    a = wallet_node(t)
    a.rpc.bcaregister("alice", 2)
    raises_rpc(-4, lambda: a.rpc.bcaexport("alice", t.path("x")), "pending")
    grow(a)
    taken = write(t, "taken", b"mine")
    raises_rpc(-4, lambda: a.rpc.bcaexport("alice", taken), "exists")
    raises_rpc(-4, lambda: a.rpc.bcaexport("alice", t.path("no/such/directory/x")))
    raises_rpc(-5, lambda: a.rpc.bcaexport("bob", t.path("x")), "no identity bob")
    equal(identity(a)["state"], "ready", "nothing has moved")
    with open(exported(t, a), "rb") as f:
        good = f.read()
    a.rpc.createwallet("other")
    rpc = WalletRpc(a, "other")

    def refused(content, text, code=-4):
        raises_rpc(code, lambda: rpc.bcaimport(write(t, "bad", content)), text)
    refused(b"", "no file of an identity")
    refused(b"x" * 1000, "no file of an identity")
    refused(good[:-1], "checksum")
    refused(good[:100] + bytes([good[100] ^ 1]) + good[101:], "checksum")
    refused(bytes(4) + good[4:], "another network")
    refused(with_sum(good[:8] + b"\x02" + good[9:-32]), "newer program")
    refused(with_sum(good[:100] + bytes([good[100] ^ 1]) + good[101:-32]), "damaged")
    refused(with_sum(good[:-32] + b"\x00"), "damaged")
    raises_rpc(-8, lambda: rpc.bcaimport(t.path("nothing")), "no such file")
    raises_rpc(-8, lambda: rpc.bcaimport(t.path("alice.bca"), "a b"), "letters, digits")
    rpc.bcaimport(write(t, "good", good))
    is_in("alice", [i["name"] for i in rpc.bcalist()["identities"]])


if __name__ == "__main__":
    main()

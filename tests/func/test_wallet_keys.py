"""Keys, labels, files and messages of wallets, and what each method says to wrong calls."""
import base64
import os

from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc
from wallet_rpc import WalletRpc, balances
from wallets import REWARD, mine, rich_node

OTHER_NETWORK = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX"
SCRIPT_ADDRESS = "2N2JD6wb56AfK4tfmM6PwdVmoYk2dCKf4Br"
PHRASE = "abandon " * 11 + "about"
G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def wallet(node, name, *args):
    """A further wallet of a node."""
    node.rpc.createwallet(name, *args)
    return WalletRpc(node, name)


def caught_up(t, node, name):
    rpc = WalletRpc(node, name)
    t.wait(lambda: rpc.getwalletinfo()["height"] == node.rpc.getblockcount(), what="at the tip")
    return rpc


# --- what a wallet is brought back from ----------------------------------------------------------

@case(timeout=120)
def the_phrase_alone_brings_all_coins_back(t):
    a = rich_node(t)
    for label in ("x", "y", ""):
        a.rpc.sendtoaddress(a.rpc.getnewaddress(label), 2)
    mine(a)
    a.rpc.sendtoaddress(ADDRESS, 1)
    mine(a, 2)
    phrase = a.rpc.getwalletphrase()
    equal(len(phrase.split()), 12)
    coins = sorted((c["txid"], c["vout"], c["amount"]) for c in a.rpc.listunspent())
    b = t.node("-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    b.rpc.createwallet(wallet_name="again", phrase=phrase, passphrase="sealed")
    again = caught_up(t, b, "again")
    equal(sorted((c["txid"], c["vout"], c["amount"]) for c in again.listunspent()), coins)
    equal(balances(again), balances(a.rpc))
    young = caught_up(t, b, b.rpc.createwallet(wallet_name="young", phrase=phrase,
                                               birth=4000000000)["name"])
    equal(balances(young), (0, 0, 0), "no block is that young")
    raises_rpc(-13, again.getwalletphrase)
    again.walletpassphrase("sealed", 1000)
    equal(again.getwalletphrase(), phrase)
    check(again.sendtoaddress(ADDRESS, 1), "it can be spent")


@case(timeout=60)
def a_phrase_has_its_passphrase_and_must_be_one(t):
    node = t.node()
    plain = wallet(node, "plain", False, False, "", PHRASE)
    extra = wallet(node, "extra", False, False, "", PHRASE.upper(), "TREZOR")
    check(plain.getnewaddress() != extra.getnewaddress(), "another seed")
    equal((plain.getwalletphrase(), extra.getwalletphrase()), (PHRASE, PHRASE))
    raises_rpc(-4, lambda: node.rpc.createwallet(wallet_name="w", phrase="abandon " * 12))
    raises_rpc(-4, lambda: node.rpc.createwallet(wallet_name="w", phrase="one two"))
    raises_rpc(-4, lambda: node.rpc.createwallet(wallet_name="w", phrase=""))
    raises_rpc(-8, lambda: node.rpc.createwallet(wallet_name="w", phrase_passphrase="x"))
    raises_rpc(-8, lambda: node.rpc.createwallet(wallet_name="w", birth=1))
    raises_rpc(-8, lambda: node.rpc.createwallet(wallet_name="w", phrase=PHRASE, birth=-1))
    raises_rpc(-4, lambda: node.rpc.createwallet(wallet_name="plain", phrase=PHRASE))
    equal(node.rpc.listwallets(), ["extra", "plain"])


@case(timeout=120)
def a_backup_is_restored_under_another_name(t):
    node = rich_node(t)
    rpc = node.rpc
    address = rpc.getnewaddress("shop")
    rpc.sendtoaddress(address, 3)
    mine(node)
    path = t.path("first.backup")
    equal(rpc.backupwallet(path), None)
    equal(rpc.backupwallet(path), None, "an older one of the same wallet is replaced")
    os.mkdir(t.path("stick"))
    rpc.backupwallet(t.path("stick"))
    check(os.path.exists(t.path("stick/default")), "under the name of the wallet")
    rpc.createwallet("small")
    raises_rpc(-4, lambda: WalletRpc(node, "small").backupwallet(path), "backup failed")
    raises_rpc(-4, lambda: WalletRpc(node, "small").backupwallet(t.path("no/such/file")))
    raises_rpc(-4, lambda: WalletRpc(node, "small").backupwallet(""))
    rpc.unloadwallet("small")
    equal(rpc.restorewallet("copy", path), {"name": "copy", "warning": ""})
    copy, first = caught_up(t, node, "copy"), WalletRpc(node, "default")
    equal(balances(copy), balances(first))
    equal(copy.dumpprivkey(address), first.dumpprivkey(address))
    is_in("shop", [c["account"] for c in copy.listunspent()])
    raises_rpc(-4, lambda: rpc.restorewallet("copy", path))
    raises_rpc(-4, lambda: rpc.restorewallet("../x", path))
    raises_rpc(-8, lambda: rpc.restorewallet("new", t.path("nothing")), "does not exist")
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"damaged")
    raises_rpc(-4, lambda: rpc.restorewallet("new", path), "restoration failed")
    equal(rpc.listwallets(), ["copy", "default"])


@case(timeout=120)
def more_keys_are_looked_for_after_a_refill(t):
    node = t.node("-walletgaplimit=3")
    first = wallet(node, "first", False, False, "", PHRASE)
    far = [first.getnewaddress() for _ in range(30)][-1]
    mine(node, 1, far)
    second = wallet(node, "second", False, False, "", PHRASE)
    caught_up(t, node, "second")
    equal((balances(second), second.getwalletinfo()["keypoolsize"]), ((0, 0, 0), 3))
    equal(second.keypoolrefill(40), None)
    equal(second.getwalletinfo()["keypoolsize"], 40)
    second.rescanblockchain()
    equal(balances(second), (0, 0, REWARD))
    equal(second.keypoolrefill(5), None)
    equal(second.getwalletinfo()["keypoolsize"], 40, "never fewer")
    equal(second.keypoolrefill(), None)
    equal(second.getwalletinfo()["keypoolsize"], 100)
    raises_rpc(-8, lambda: second.keypoolrefill(-1))
    raises_rpc(-8, lambda: second.keypoolrefill(10001))


# --- passphrases ---------------------------------------------------------------------------------

@case(timeout=60)
def a_passphrase_is_changed(t):
    node = t.node()
    rpc = node.rpc
    raises_rpc(-15, lambda: rpc.walletpassphrasechange("a", "b"), "unencrypted")
    rpc.encryptwallet("old words")
    raises_rpc(-14, lambda: rpc.walletpassphrasechange("wrong", "new words"), "incorrect")
    raises_rpc(-8, lambda: rpc.walletpassphrasechange("", "new words"))
    raises_rpc(-8, lambda: rpc.walletpassphrasechange("old words", ""))
    equal(rpc.walletpassphrasechange("old words", "new words"), None)
    raises_rpc(-14, lambda: rpc.walletpassphrase("old words", 5))
    node.restart()
    equal(rpc.walletpassphrase("new words", 5), None)


# --- labels --------------------------------------------------------------------------------------

@case(timeout=120)
def accounts_are_labels_of_addresses(t):
    node = t.node()
    rpc = node.rpc
    rent, other, none = rpc.getnewaddress("rent"), rpc.getnewaddress("rent"), rpc.getnewaddress()
    equal([rpc.getaccount(a) for a in (rent, none, ADDRESS)], ["rent", "", ""])
    equal(rpc.getaddressesbyaccount("rent"), [rent, other])
    equal(rpc.getaddressesbyaccount(""), [none])
    equal(rpc.getaddressesbyaccount("nobody"), [])
    equal(rpc.setaccount(none, 'quo"ted \u20ac'), None)
    equal(rpc.getaddressesbyaccount('quo"ted \u20ac'), [none])
    rpc.setaccount(other, "food")
    rpc.getrawchangeaddress()
    equal((rpc.getaddressesbyaccount("rent"), rpc.getaddressesbyaccount("")), ([rent], []))
    node.restart()
    equal(rpc.getaccount(other), "food")
    rpc.setaccount(other)
    equal(rpc.getaccount(other), "")
    raises_rpc(-5, lambda: rpc.getaccount("x"), "Invalid Bitcoin address")
    raises_rpc(-5, lambda: rpc.setaccount(OTHER_NETWORK, "a"))
    raises_rpc(-1, lambda: rpc.setaccount(ADDRESS, "a"), "own address")
    for method in (rpc.getaddressesbyaccount, rpc.getaccountaddress,
                   lambda name: rpc.setaccount(rent, name)):
        raises_rpc(-11, lambda method=method: method("*"), "Invalid account name")


@case(timeout=120)
def an_account_has_an_address_that_nobody_paid_to(t):
    node = t.node()
    rpc = node.rpc
    first = rpc.getaccountaddress("shop")
    equal((rpc.getaccountaddress("shop"), rpc.getaccount(first)), (first, "shop"))
    check(rpc.getaccountaddress("") not in (first, ADDRESS), "one of its own")
    mine(node, 1, first)
    second = rpc.getaccountaddress("shop")
    check(second != first, "the first was paid")
    equal(rpc.getaccountaddress("shop"), second)
    equal(sorted(rpc.getaddressesbyaccount("shop")), sorted([first, second]))


@case(timeout=120)
def accounts_hold_what_came_in(t):
    node = rich_node(t)
    rpc = node.rpc
    equal(rpc.listaccounts(), {"": REWARD})
    rpc.getnewaddress("idle")
    txid = rpc.sendtoaddress(rpc.getnewaddress("rent"), 3)
    fee = -rpc.gettransaction(txid)["fee"]
    equal(rpc.listaccounts(), {"": REWARD - 3 - fee, "rent": 0, "idle": 0})
    equal(rpc.listaccounts(0), {"": REWARD - 3 - fee, "rent": 3, "idle": 0})
    mine(node)
    equal(rpc.listaccounts()["rent"], 3)
    equal(sum(rpc.listaccounts().values()), rpc.getbalance())
    out = rpc.sendtoaddress(ADDRESS, 1)
    mine(node)
    fee -= rpc.gettransaction(out)["fee"]
    equal(rpc.listaccounts(1, True), {"": REWARD - 4 - fee, "rent": 3, "idle": 0})
    equal(rpc.listaccounts(2)["rent"], 3)
    equal(rpc.listaccounts(3)["rent"], 0)
    mine(node, 1, rpc.getnewaddress("mined"))
    equal(rpc.listaccounts()["mined"], 0, "immature")


@case(timeout=60)
def validateaddress_tells_whose_an_address_is(t):
    node = t.node()
    rpc = node.rpc
    unknown = {"isvalid": True, "address": ADDRESS, "ismine": False, "iswatchonly": False,
               "isscript": False, "scriptPubKey": rpc.validateaddress(ADDRESS)["scriptPubKey"]}
    equal(rpc.validateaddress(ADDRESS), unknown)
    equal(rpc.listwallets(), [], "none is made for that")
    address, key = key_pair(rpc)
    rpc.setaccount(address, "mine")
    own = rpc.validateaddress(address)
    equal([own[k] for k in ("ismine", "iswatchonly", "pubkey", "iscompressed", "account",
                            "hdkeypath")],
          [True, False, key, True, "mine", "m/44'/236'/0'/0/0"])
    equal(rpc.validateaddress(rpc.getrawchangeaddress())["hdkeypath"], "m/44'/236'/0'/1/0")
    equal(rpc.validateaddress(ADDRESS), unknown)
    rpc.createwallet("other")
    equal(rpc.validateaddress(address)["ismine"], False, "no wallet was named of two")
    equal(WalletRpc(node, "default").validateaddress(address), own)
    equal(WalletRpc(node, "other").validateaddress(address)["ismine"], False)


# --- messages ------------------------------------------------------------------------------------

@case(timeout=60)
def a_message_is_signed_with_a_key_of_the_wallet(t):
    node = t.node()
    rpc = node.rpc
    address = rpc.getnewaddress()
    sig = rpc.signmessage(address, "hello \u20ac")
    equal(rpc.verifymessage(address, sig, "hello \u20ac"), True)
    equal(rpc.verifymessage(address, sig, "hello"), False)
    equal(rpc.signmessagewithprivkey(rpc.dumpprivkey(address), "hello \u20ac"), sig)
    raises_rpc(-3, lambda: rpc.signmessage("x", "m"), "Invalid address")
    raises_rpc(-3, lambda: rpc.signmessage(OTHER_NETWORK, "m"))
    raises_rpc(-3, lambda: rpc.signmessage(SCRIPT_ADDRESS, "m"), "does not refer to key")
    raises_rpc(-4, lambda: rpc.signmessage(ADDRESS, "m"), "not available")
    rpc.encryptwallet("words")
    raises_rpc(-13, lambda: rpc.signmessage(address, "m"))


def key_pair(rpc, message="x"):
    """An address of the wallet and its public key, as a signature of it tells."""
    address = rpc.getnewaddress()
    return address, base64.b64decode(rpc.brc77sign(address, message))[4:37].hex()


@case(timeout=60)
def brc77_signatures_are_for_anyone_or_for_one(t):
    node = t.node()
    a, b, c = (wallet(node, name) for name in "abc")
    signer, _ = key_pair(a)
    _, verifier = key_pair(b)
    sig = a.brc77sign(signer, "pay 5")
    equal([w.brc77verify(signer, sig, "pay 5") for w in (a, b, c)], [True] * 3)
    equal(b.brc77verify(signer, sig, "pay 6"), False)
    equal(b.brc77verify(ADDRESS, sig, "pay 5"), False)
    private = a.brc77sign(signer, "pay 5", verifier)
    equal(b.brc77verify(signer, private, "pay 5"), True)
    equal(b.brc77verify(signer, private, "pay 6"), False)
    raises_rpc(-4, lambda: c.brc77verify(signer, private, "pay 5"), "another verifier")
    raises_rpc(-3, lambda: a.brc77sign("x", "m"))
    raises_rpc(-4, lambda: a.brc77sign(ADDRESS, "m"))
    for bad in ("", "zz", "00" * 33, G[2:], G + "00"):
        raises_rpc(-5, lambda bad=bad: a.brc77sign(signer, "m", bad), "Invalid public key")
    raises_rpc(-3, lambda: a.brc77verify("x", sig, "m"))
    raises_rpc(-5, lambda: a.brc77verify(signer, "*", "m"), "base64")
    raises_rpc(-22, lambda: a.brc77verify(signer, "AAAA", "m"), "42423301")
    raises_rpc(-22, lambda: a.brc77verify(signer, "", "m"))
    b.encryptwallet("words")
    raises_rpc(-13, lambda: b.brc77verify(signer, private, "pay 5"))
    equal(b.brc77verify(signer, sig, "pay 5"), True, "that needs no key")


@case(timeout=60)
def brc78_messages_are_read_by_both_ends_alone(t):
    node = t.node()
    a, b, c = (wallet(node, name) for name in "abc")
    sender, from_key = key_pair(a)
    _, to_key = key_pair(b)
    sealed = a.brc78encrypt(sender, to_key, "g\u00fcnstig")
    plain = {"sender": from_key, "recipient": to_key, "message": "g\u00fcnstig",
             "hex": "g\u00fcnstig".encode().hex()}
    equal([w.brc78decrypt(sealed) for w in (a, b)], [plain, plain])
    raises_rpc(-4, lambda: c.brc78decrypt(sealed), "neither to nor from")
    data = bytearray(base64.b64decode(sealed))
    data[-1] ^= 1
    raises_rpc(-25, lambda: b.brc78decrypt(base64.b64encode(data).decode()), "changed")
    raises_rpc(-22, lambda: b.brc78decrypt("AAAA"))
    raises_rpc(-5, lambda: b.brc78decrypt("*"), "base64")
    raises_rpc(-8, lambda: a.brc78encrypt(sender, to_key, ""))
    raises_rpc(-8, lambda: a.brc78encrypt(sender, G, "m"))
    raises_rpc(-5, lambda: a.brc78encrypt(sender, "02", "m"), "Invalid public key")
    raises_rpc(-4, lambda: a.brc78encrypt(ADDRESS, to_key, "m"))
    raises_rpc(-3, lambda: a.brc78encrypt(SCRIPT_ADDRESS, to_key, "m"))
    b.encryptwallet("words")
    raises_rpc(-13, lambda: b.brc78decrypt(sealed))


if __name__ == "__main__":
    main()

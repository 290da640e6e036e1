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
    """Of a wallet that was encrypted, restarted, unlocked, has sent, and saw a reorganisation."""
    a = rich_node(t)
    for label in ("x", "y", ""):
        a.rpc.sendtoaddress(a.rpc.getnewaddress(label), 2)
    phrase = a.rpc.getwalletphrase()
    equal(len(phrase.split()), 12)
    a.rpc.encryptwallet("words")
    a.restart()
    raises_rpc(-13, lambda: a.rpc.sendtoaddress(ADDRESS, 1))
    a.rpc.walletpassphrase("words", 1000)
    sent = a.rpc.sendtoaddress(ADDRESS, 1)
    gone = mine(a, 2, a.rpc.getnewaddress())
    equal(a.rpc.gettransaction(sent)["blockhash"], gone[0])
    a.rpc.invalidateblock(gone[0])
    equal(a.rpc.gettransaction(sent)["confirmations"], 0)
    mine(a, 3)
    t.wait(lambda: a.rpc.gettransaction(sent)["confirmations"] == 3)
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
    raises_rpc(-8, lambda: WalletRpc(node, "small").backupwallet(""))
    WalletRpc(node, "small").backupwallet("small.backup")
    check(os.path.exists(os.path.join(node.net_directory, "small.backup")), "a relative path")
    rpc.unloadwallet("small")
    equal(rpc.restorewallet("copy", path), {"name": "copy", "warning": ""})
    copy, first = caught_up(t, node, "copy"), WalletRpc(node, "default")
    equal(balances(copy), balances(first))
    equal(copy.dumpprivkey(address), first.dumpprivkey(address))
    is_in("shop", [c["account"] for c in copy.listunspent()])
    raises_rpc(-4, lambda: rpc.restorewallet("copy", path))
    raises_rpc(-4, lambda: rpc.restorewallet("../x", path))
    raises_rpc(-8, lambda: rpc.restorewallet("new", t.path("nothing")), "does not exist")
    os.mkfifo(t.path("pipe"))
    raises_rpc(-4, lambda: rpc.restorewallet("new", t.path("pipe")), "no regular file")
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


# --- imports -------------------------------------------------------------------------------------

def paid(node):
    """A wallet with three addresses that were paid, and what each got."""
    rich = wallet(node, "rich")
    addresses = [rich.getnewaddress() for _ in range(3)]
    for address in addresses:
        mine(node, 1, address)
    mine(node, 100)
    return rich, addresses


def watched(rpc, minconf=1):
    return rpc.getbalance("*", minconf, True)


@case(timeout=120)
def addresses_keys_and_scripts_are_watched(t):
    node = t.node()
    rich, (one, two, three) = paid(node)
    key = rich.validateaddress(two)["pubkey"]
    script = rich.validateaddress(three)["scriptPubKey"]
    rpc = wallet(node, "watch")
    equal(rpc.importaddress(one, "first", False), None)
    equal(watched(rpc), 0, "no rescan was asked for")
    equal(rpc.importaddress(one, "first"), None, "known, and looked for now")
    equal(watched(rpc), REWARD)
    equal(rpc.importpubkey(key, "second"), None)
    equal((watched(rpc), rpc.getbalance()), (2 * REWARD, 0))
    equal(rpc.importaddress(script), None)
    equal(watched(rpc), 3 * REWARD)
    equal([rpc.getaccount(a) for a in (one, two, three)], ["first", "second", ""])
    equal(rpc.listaccounts(), {"": 0})
    equal(rpc.listaccounts(1, True), {"first": REWARD, "second": REWARD, "": REWARD})
    own = rpc.validateaddress(two)
    equal((own["ismine"], own["iswatchonly"], own["pubkey"]), (False, True, key))
    equal(rpc.getaddressesbyaccount("first"), [one])
    raises_rpc(-4, lambda: rpc.dumpprivkey(one))
    raises_rpc(-6, lambda: rpc.sendtoaddress(ADDRESS, 1))
    equal(rpc.importaddress(one, "again"), None, "known: the label is another")
    equal(rpc.getaccount(one), "again")
    equal(rpc.importprivkey(rich.dumpprivkey(one)), None, "now it can be spent")
    equal(rpc.getbalance(), REWARD)
    node.restart("-wallet=watch")
    equal((watched(rpc), rpc.getbalance()), (3 * REWARD, REWARD))


@case(timeout=60)
def imports_tell_wrong_calls_apart(t):
    node = t.node()
    rpc = node.rpc
    own = rpc.getnewaddress()
    raises_rpc(-5, lambda: rpc.importaddress("x"), "Invalid Bitcoin address or script")
    raises_rpc(-5, lambda: rpc.importaddress(""))
    raises_rpc(-5, lambda: rpc.importaddress(OTHER_NETWORK))
    raises_rpc(-5, lambda: rpc.importaddress(ADDRESS, "", False, True), "p2sh flag")
    raises_rpc(-4, lambda: rpc.importaddress(own, "", False), "already contains")
    raises_rpc(-4, lambda: rpc.importpubkey(rpc.validateaddress(own)["pubkey"]), "already")
    raises_rpc(-4, lambda: rpc.importaddress("51" * 10001, "", False))
    raises_rpc(-5, lambda: rpc.importaddress("xpub1"), "extended public key")
    raises_rpc(-8, lambda: rpc.importaddress("xpub1", "label"), "no label")
    raises_rpc(-5, lambda: rpc.importpubkey("zz"), "hex string")
    raises_rpc(-5, lambda: rpc.importpubkey("05" + "02" * 32), "not a valid public key")
    equal(rpc.importaddress("51", "one", False, True), None)
    equal(len(rpc.getaddressesbyaccount("one")), 1, "the address of the script")


@case(timeout=60)
def all_addresses_below_an_xpub_are_watched(t):
    node = t.node()
    xpub = ("tpubDCzyjvHiRGURvMJvUXVw1zW2Z79YxR7VDLf2bVCKo3LGJCM4V9M4trY9"
            "aCWMA6nZ7iet5WEBARqQr459jd9cCeUA15vF1zRhiojF5kA8RHz")  # account 0 of PHRASE
    owner, rpc = wallet(node, "owner", False, False, "", PHRASE), wallet(node, "watch")
    addresses = [owner.getnewaddress() for _ in range(25)]
    change = owner.getrawchangeaddress()
    mine(node, 1, addresses[15])
    mine(node, 1, addresses[24])
    mine(node, 100, change)
    equal(rpc.importaddress(xpub), None)
    equal((watched(rpc), rpc.getbalance()), (watched(owner), 0))
    check(rpc.validateaddress(change)["iswatchonly"], "change too")
    equal(rpc.importaddress(xpub), None, "known")


@case(timeout=120)
def many_things_are_imported_at_once(t):
    node = t.node()
    rich, (one, two, three) = paid(node)
    key = rich.validateaddress(two)["pubkey"]
    secret = rich.dumpprivkey(three)
    rpc = wallet(node, "many")
    script = rpc.validateaddress(one)["scriptPubKey"]

    def address(text, **more):
        return {"scriptPubKey": {"address": text}, "timestamp": 0, **more}

    equal(rpc.importmulti([address(one), address(two, pubkeys=[key], label="two")],
                          {"rescan": False}), [{"success": True}] * 2)
    equal(watched(rpc), 0)
    equal(rpc.importmulti([address(three, keys=[secret], label="three")]), [{"success": True}])
    equal((watched(rpc), rpc.getbalance(), rpc.listaccounts()["three"]),
          (3 * REWARD, REWARD, REWARD))
    now = wallet(node, "now")
    equal(now.importmulti([{"scriptPubKey": script, "internal": True, "timestamp": "now"}]),
          [{"success": True}])
    equal(watched(now), REWARD, "the blocks are younger than what clocks may differ by")
    bad = [address("x"), address(one, keys=[secret]), address(one, pubkeys=[key]),
           address(one, keys=["x"]), address(one, keys=[secret], watchonly=True),
           address(one, internal=True, label="x"), {"scriptPubKey": script, "timestamp": 0},
           {"scriptPubKey": "zz", "timestamp": 0}, address(three), address(one, colour=1),
           address(SCRIPT_ADDRESS, redeemscript="52"), {"timestamp": 0}]
    equal([o["error"]["code"] for o in rpc.importmulti(bad)],
          [-5, -5, -5, -5, -8, -8, -8, -5, -4, -3, -5, -8])
    equal([o["success"] for o in rpc.importmulti([address("x"), address(one)])], [False, True])
    raises_rpc(-3, lambda: rpc.importmulti([{"scriptPubKey": script}]), "required timestamp")
    raises_rpc(-3, lambda: rpc.importmulti([{"scriptPubKey": script, "timestamp": "then"}]))
    raises_rpc(-3, lambda: rpc.importmulti([1]))
    raises_rpc(-3, lambda: rpc.importmulti([], {"other": 1}))
    equal(rpc.importmulti([]), [])


@case(timeout=120)
def keys_go_to_a_file_and_back(t):
    node = t.node()
    rich, (one, two, three) = paid(node)
    rich.setaccount(two, 'a "b" 100% \u20ac')
    rich.getrawchangeaddress()
    path = t.path("keys.txt")
    equal(rich.dumpwallet(path), {"filename": path})
    equal(os.stat(path).st_mode & 0o077, 0, "nobody else reads it")
    with open(path, encoding="ascii") as file:
        text = file.read()
    is_in("# phrase of the wallet: " + rich.getwalletphrase(), text)
    for address in (one, two, three):
        is_in(rich.dumpprivkey(address) + " ", text)
        is_in("addr=" + address + " hdkeypath=m/44'/236'/0'/0/", text)
    is_in("change=1 # addr=", text)
    for _ in range(50):
        rich.getnewaddress("\u20ac" * 30)
    rich.dumpwallet(t.path("more.txt"))
    with open(t.path("more.txt"), encoding="ascii") as file:
        text = file.read()
    equal((text.count(" label="), text.count("%e2%82%ac" * 30)), (53, 50))
    check(text.endswith("\n# End of dump\n"), "its end")
    raises_rpc(-8, lambda: rich.dumpwallet(path), "already exists")
    raises_rpc(-4, lambda: rich.dumpwallet(t.path("no/such/file")))
    rpc = wallet(node, "copy")
    equal(rpc.importwallet(path), None)
    equal(rpc.getbalance(), rich.getbalance())
    equal(rpc.getaccount(two), 'a "b" 100% \u20ac')
    equal(rpc.importwallet(path), None, "nothing new")
    raises_rpc(-8, lambda: rpc.importwallet(t.path("nothing")), "Cannot open")
    raises_rpc(-8, lambda: rpc.importwallet(t.path(".")), "Cannot open")
    os.mkfifo(t.path("pipe"))
    raises_rpc(-8, lambda: rpc.importwallet(t.path("pipe")), "Cannot open")
    open(t.path("zero"), "w", encoding="ascii").close()
    raises_rpc(-4, lambda: rpc.importwallet(t.path("zero")), "no private key")
    with open(t.path("empty"), "w", encoding="ascii") as file:
        file.write("# nothing\n\nno key\n")
    raises_rpc(-4, lambda: rpc.importwallet(t.path("empty")), "no private key")
    with open(t.path("bad"), "w", encoding="ascii") as file:
        file.write(rich.dumpprivkey(one) + " 0 label=%zz\n")
    raises_rpc(-4, lambda: rpc.importwallet(t.path("bad")), "label")
    for w in (rich, rpc):
        w.encryptwallet("words")
    raises_rpc(-13, lambda: rich.dumpwallet(t.path("locked.txt")))
    check(not os.path.exists(t.path("locked.txt")), "nothing is left")


@case(timeout=60)
def imports_of_a_pruned_node_ask_for_no_rescan(t):
    node = t.node("-prune=1")
    rpc = node.rpc
    request = {"scriptPubKey": {"address": ADDRESS}, "timestamp": 0}
    with open(t.path("keys.txt"), "w", encoding="ascii") as file:
        file.write("# none\n")
    for call in (lambda: rpc.importaddress(ADDRESS), lambda: rpc.importpubkey(G),
                 lambda: rpc.importmulti([request]), lambda: rpc.importwallet(t.path("keys.txt"))):
        raises_rpc(-4, call, "disabled in pruned mode")
    equal(rpc.validateaddress(ADDRESS)["iswatchonly"], False, "nothing was added")
    equal(rpc.importpubkey(G, "", False), None)
    equal(rpc.importmulti([request], {"rescan": False}), [{"success": True}])


@case(timeout=60)
def without_wallets_their_methods_are_not_there(t):
    node = t.node("-disablewallet")
    for name, *args in (("backupwallet", "x"), ("restorewallet", "w", "x"), ("getwalletphrase",),
                        ("keypoolrefill",), ("walletpassphrasechange", "a", "b"),
                        ("getaccount", ADDRESS), ("listaccounts",), ("importaddress", ADDRESS),
                        ("importmulti", []), ("dumpwallet", "x"), ("importwallet", "x"),
                        ("signmessage", ADDRESS, "m"), ("brc77sign", ADDRESS, "m"),
                        ("brc78encrypt", ADDRESS, G, "m"), ("brc78decrypt", "AAAA")):
        raises_rpc(-32601, lambda name=name, args=args: node.rpc.call(name, *args))
    equal(node.rpc.validateaddress(ADDRESS)["ismine"], False)


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

"""What the daemon is told or tells in confidence is neither in its log nor in its memory when the
call has ended. Keys and phrases are looked for as text: as they come over HTTP."""
import hashlib
import hmac
import secrets
import struct
import time

from channels import session, talker
from framework import ADDRESS, case, check, equal, main, wait_until
from identities import grow, wallet_node
from noise import CURVE
from wallet_rpc import WalletRpc
from wallets import rich_node

PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"
KEY_TWO = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN8rFTv2sfUK"  # private key 2
PIECE = 16  # bytes in a row that give a secret away


def pieces(secret):
    data = secret.encode()
    return {data[-PIECE:], data[len(data) // 2 - PIECE // 2:][:PIECE]}  # malloc uses the beginning


def where(node, told):
    """Names of the secrets that are found, and where."""
    found = [f"{name} in the log" for name, secret in told.items() if secret in node.log()]
    for data in node.writable_memory():
        found += [f"{name} in memory" for name, secret in told.items()
                  if any(piece in data for piece in pieces(secret))]
    return found


def expect_no_trace(node, told):
    """The answer may come a moment before the last copy is wiped."""
    try:
        wait_until(lambda: not where(node, told), 2, "no trace")
    except AssertionError:
        equal(where(node, told), [])


@case(timeout=120)
def nothing_told_in_confidence_stays(t):
    node = rich_node(t, "-debug=1")
    rpc = node.rpc
    first, second, third = (secrets.token_hex(20) for _ in range(3))
    told = {"passphrase": first, "new passphrase": second, "passphrase of wrong calls": third,
            "phrase": PHRASE, "imported key": KEY_TWO}

    rpc.createwallet("sealed", False, False, first, PHRASE)
    sealed = WalletRpc(node, "sealed")
    sealed.walletpassphrase(first, 100)
    equal(sealed.getwalletphrase(), PHRASE)
    sealed.importprivkey(KEY_TWO, "", False)
    address = sealed.getnewaddress()
    own = sealed.dumpprivkey(address)
    told["own key"] = own
    sealed.walletpassphrasechange(first, second)
    rpc.signmessagewithprivkey(KEY_TWO, "text")
    coin = WalletRpc(node, "default").listunspent()[0]
    raw = rpc.createrawtransaction([{"txid": coin["txid"], "vout": coin["vout"]}], {ADDRESS: 1})
    rpc.signrawtransaction(raw, [], [KEY_TWO, own])
    sealed.importmulti([{"scriptPubKey": {"address": sealed.getnewaddress()}, "timestamp": "now",
                         "keys": [own]}], {"rescan": False})
    for wrong in (("walletpasphrase", third, 10), ("walletpassphrase", third),
                  ("walletpassphrase", [third], 10), ("signrawtransaction", "00", [], [own[:-1]])):
        rpc.batch([(wrong[0], list(wrong[1:]))])
    sealed.dumpprivkey(address)  # the last call: other answers would overwrite this one
    expect_no_trace(node, told)


# --- keys of identities, which sessions keep beyond a passphrase ----------------------------------

ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
TREE = 4342593, 236  # wallet/identity_keys.h


def child(node, index):
    """Of a hardened step of BIP32; node: key and chain code."""
    made = hmac.digest(node[32:], b"\0" + node[:32] + struct.pack(">I", index | 1 << 31), "sha512")
    key = (int.from_bytes(node[:32], "big") + int.from_bytes(made[:32], "big")) % ORDER
    return key.to_bytes(32, "big") + made[32:]


def identity_secret(phrase, public):
    """Of an identity of a wallet, which has one of the first numbers."""
    seed = hashlib.pbkdf2_hmac("sha512", phrase.encode(), b"mnemonic", 2048)
    tree = hmac.digest(b"Bitcoin seed", seed, "sha512")
    for index in TREE:
        tree = child(tree, index)
    secrets_of_tree = (child(child(tree, number), 0)[:32] for number in range(10000))
    return next(s for s in secrets_of_tree if CURVE.public(s).hex() == public)


def has_bytes(node, secret):
    return any(secret in data for data in node.writable_memory())


@case(timeout=120)
def the_key_of_an_identity_leaves_with_its_sessions(t):
    node = wallet_node(t, "-debug=1")
    other, key = talker(t)
    node.rpc.createwallet("sealed", False, False, "pass", PHRASE)
    sealed, rich = WalletRpc(node, "sealed"), WalletRpc(node, "default")
    sealed.walletpassphrase("pass", 100)
    rich.sendtoaddress(sealed.getnewaddress(), 1)
    grow(node)
    sealed.bcaregister("me", 2)
    public = sealed.bcalist()["identities"][0]["public_key"]
    secret = identity_secret(PHRASE, public)
    node.rpc.contactadd(f"{key}@{other.channel}", "bob")
    other.rpc.contactadd(public, "alice")
    equal(node.rpc.peerconnect("bob")["state"], "up")
    node.rpc.setmocktime(int(time.time()) + 200)
    equal(sealed.getwalletinfo()["unlocked_until"], 0)
    check(has_bytes(node, secret), "kept beyond the time-out")
    sealed.walletlock()
    wait_until(lambda: not session(other, "alice"), what="end of the session")
    wait_until(lambda: not has_bytes(node, secret), 5, "no trace of the key")
    check(secret.hex() not in node.log())


if __name__ == "__main__":
    main()

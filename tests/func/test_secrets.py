"""What the daemon is told or tells in confidence is neither in its log nor in its memory when the
call has ended. Keys and phrases are looked for as text: as they come over HTTP."""
import secrets

from framework import ADDRESS, Skip, case, equal, main, wait_until
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


def no_sanitizer(node):
    if node.memory("VmSize") > 1 << 40:
        raise Skip("a sanitizer keeps what is freed")


@case(timeout=120)
def nothing_told_in_confidence_stays(t):
    node = rich_node(t, "-debug=1")
    no_sanitizer(node)
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


if __name__ == "__main__":
    main()

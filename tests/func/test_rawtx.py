"""createrawtransaction and signrawtransaction: made, signed, sent, mined (spec rpc 3)."""
import json
import time

from blocks import Chain, Key, coinbase, hash160, sha256d
from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc

# Secrets 1, 2, 3 on test networks, compressed; 1 also uncompressed.
WIF = ["cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA",
       "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87K7XCyj5v",
       "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87KcLPVfXz"]
KEYS = [Key(n) for n in (1, 2, 3)]
ZERO = "00" * 32


def node_with_coins(t, scripts, *options):
    """Coinbases of blocks 1, 2, ... pay these scripts and may be spent."""
    chain = Chain(start_time=int(time.time()) - 3600)
    for height, script in enumerate(scripts, 1):
        chain.add(coinbase_tx=coinbase(height, script))
    chain.grow(110 - len(scripts))
    node = t.node("-genesisactivationheight=1", *options)
    for block in chain.blocks:
        equal(node.rpc.submitblock(block.serialize().hex()), None)
    coins = [{"txid": chain.at(h).txs[0].txid()[::-1].hex(), "vout": 0}
             for h in range(1, len(scripts) + 1)]
    return node, chain, coins


def multisig(required, keys):
    return (bytes([0x50 + required]) + b"".join(b"\x21" + k.public for k in keys)
            + bytes([0x50 + len(keys), 0xae]))


class RawTx:
    """A transaction as the node gave it, for a block."""

    def __init__(self, hex_tx):
        self.raw = bytes.fromhex(hex_tx)

    def serialize(self):
        return self.raw

    def txid(self):
        return sha256d(self.raw)


def mine(node, chain, hex_tx):
    """Accepted, and in a block."""
    txid = node.rpc.sendrawtransaction(hex_tx, True)
    equal(node.rpc.submitblock(chain.add(RawTx(hex_tx)).serialize().hex()), None)
    is_in(txid, node.rpc.getblock(node.tip())["tx"])


@case()
def transactions_are_made_of_their_parts(t):
    node = t.node()
    make = node.rpc.createrawtransaction
    tx = node.rpc.decoderawtransaction(make([{"txid": "aa" * 32, "vout": 7},
                                             {"txid": "bb" * 32, "vout": 0, "sequence": 5}],
                                            {ADDRESS: 1.5, "data": "0102"}))
    equal((tx["version"], tx["locktime"]), (1, 0))
    equal([(i["txid"], i["vout"], i["sequence"], i["scriptSig"]["hex"]) for i in tx["vin"]],
          [("aa" * 32, 7, 0xffffffff, ""), ("bb" * 32, 0, 5, "")])
    equal([(str(o["value"]), o["scriptPubKey"]["hex"]) for o in tx["vout"]],
          [("1.50", "76a914" + "00" * 20 + "88ac"), ("0.00", "006a020102")])
    tx = node.rpc.decoderawtransaction(make([{"txid": ZERO, "vout": 1}], {ADDRESS: "0.00000001"},
                                            77))
    equal((tx["locktime"], tx["vin"][0]["sequence"], tx["vout"][0]["value"] * 10**8),
          (77, 0xfffffffe, 1))
    tx = node.rpc.decoderawtransaction(make([], [{"data": "00"}, {ADDRESS: 2}, {"data": "01"}],
                                            4294967295))
    equal([o["scriptPubKey"]["hex"][:6] for o in tx["vout"]], ["006a01", "76a914", "006a01"])
    equal(make([], {}), "01000000000000000000")
    long = make([], {"data": "ab" * 70000})
    equal(node.rpc.decoderawtransaction(long)["vout"][0]["scriptPubKey"]["hex"][:14],
          "006a4e70110100")
    code, out, _ = node.cli("createrawtransaction", '[{"txid":"' + ZERO + '","vout":1}]',
                            '{"data":"00"}')
    equal((code, out.strip()), (0, make([{"txid": ZERO, "vout": 1}], {"data": "00"})))


@case()
def parts_that_are_wrong(t):
    node = t.node()
    make = node.rpc.createrawtransaction
    good = [{"txid": ZERO, "vout": 0}]
    raises_rpc(-1, lambda: make(good), "createrawtransaction")
    raises_rpc(-1, lambda: make(good, None), "object or array")
    raises_rpc(-1, lambda: make(good, "x"), "object or array")
    raises_rpc(-1, lambda: make([7], {}), "object")
    raises_rpc(-8, lambda: make([{"vout": 0}], {}), "Missing inputs[0].txid")
    raises_rpc(-8, lambda: make([{"txid": ZERO}], {}), "Missing inputs[0].vout")
    raises_rpc(-8, lambda: make([{"txid": "00", "vout": 0}], {}), "length 64")
    for vout in (-1, 2**32):
        raises_rpc(-8, lambda: make([{"txid": ZERO, "vout": vout}], {}), "inputs[0].vout")
        raises_rpc(-8, lambda: make([{"txid": ZERO, "vout": 0, "sequence": vout}], {}), "sequence")
        raises_rpc(-8, lambda: make(good, {}, vout), "locktime")
    raises_rpc(-3, lambda: make([{"txid": ZERO, "vout": "0"}], {}), "inputs[0].vout")
    raises_rpc(-5, lambda: make(good, {"nonsense": 1}), "Invalid Bitcoin address: nonsense")
    raises_rpc(-5, lambda: make(good, {"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa": 1}),
               "Invalid Bitcoin address")
    for amount in (-1, 21000001, "0.000000001", "x"):
        raises_rpc(-3, lambda: make(good, {ADDRESS: amount}), "mount")
    raises_rpc(-3, lambda: make(good, {ADDRESS: True}), "Amount is not a number or string")
    raises_rpc(-3, lambda: make("x", {}), "Expected type array, got string")
    raises_rpc(-8, lambda: make(good, {"data": "0"}), "hexadecimal")
    raises_rpc(-3, lambda: make(good, {"data": 7}), "string")
    raises_rpc(-8, lambda: make(good, [{ADDRESS: 1}, {ADDRESS: 1}]), "duplicated address")
    raises_rpc(-8, lambda: make(good, [{ADDRESS: 1, "data": "00"}]), "one member")
    raises_rpc(-8, lambda: make(good, [7]), "outputs[0]")


@case()
def coins_of_all_kinds_are_signed_and_mined(t):
    """Key hash, key, multisig: outputs the node knows; all fees are high on purpose."""
    scripts = [KEYS[0].script, b"\x21" + KEYS[1].public + b"\xac", multisig(2, KEYS),
               KEYS[2].script]
    node, chain, coins = node_with_coins(t, scripts)
    raw = node.rpc.createrawtransaction(coins[:3], {ADDRESS: "149.9999"})
    part = node.rpc.signrawtransaction(raw, [], WIF[:1])
    equal((part["complete"], list(part)), (False, ["hex", "complete", "errors"]))
    equal([e["txid"] for e in part["errors"]], [c["txid"] for c in coins[1:3]])
    equal(list(part["errors"][0]), ["txid", "vout", "scriptSig", "sequence", "error"])
    equal((part["errors"][0]["vout"], part["errors"][0]["sequence"]), (0, 0xffffffff))
    whole = node.rpc.signrawtransaction(part["hex"], None, [WIF[1]])
    equal((whole["complete"], list(whole)), (True, ["hex", "complete"]))
    equal(node.rpc.signrawtransaction(raw, [], WIF)["complete"], True)
    mine(node, chain, whole["hex"])
    # A chain of unconfirmed ones: the output to be spent is in the mempool.
    own = node.rpc.decodescript(KEYS[0].script.hex())["addresses"][0]
    first = node.rpc.createrawtransaction(coins[3:], {own: "49.9999"})
    first = node.rpc.signrawtransaction(first, [], [WIF[2]])
    txid = node.rpc.sendrawtransaction(first["hex"])
    second = node.rpc.createrawtransaction([{"txid": txid, "vout": 0}], {ADDRESS: "49.9998"})
    second = node.rpc.signrawtransaction(second, [], [WIF[0]])
    equal(second["complete"], True)
    node.rpc.sendrawtransaction(second["hex"])


@case()
def signatures_of_several_versions_come_together(t):
    node, chain, coins = node_with_coins(t, [multisig(2, KEYS)])
    raw = node.rpc.createrawtransaction(coins, {ADDRESS: "49.9999"})
    parts = [node.rpc.signrawtransaction(raw, [], [wif]) for wif in WIF]
    check(not any(p["complete"] for p in parts), "one of two")
    both = node.rpc.signrawtransaction(parts[0]["hex"] + parts[2]["hex"], [], [])
    equal(both["complete"], True)
    mine(node, chain, both["hex"])
    other = node.rpc.createrawtransaction([{"txid": ZERO, "vout": 1}], {})
    raises_rpc(-22, lambda: node.rpc.signrawtransaction(raw + other, [], []), "TX decode failed")


@case()
def every_hash_type_is_mined(t):
    types = [base + fork + chronicle + any_one for base in ("ALL", "NONE", "SINGLE")
             for fork in ("|FORKID",) for chronicle in ("", "|CHRONICLE")
             for any_one in ("", "|ANYONECANPAY")]
    node, chain, coins = node_with_coins(t, [KEYS[0].script] * len(types),
                                         "-chronicleactivationheight=111")
    bits = {"ALL": 1, "NONE": 2, "SINGLE": 3, "FORKID": 0x40, "CHRONICLE": 0x20,
            "ANYONECANPAY": 0x80}
    for coin, hash_type in zip(coins, types):
        raw = node.rpc.createrawtransaction([coin], {ADDRESS: "49.9999"})
        signed = node.rpc.signrawtransaction(raw, [], [WIF[0]], hash_type)
        equal(signed["complete"], True, hash_type)
        spent = node.rpc.decoderawtransaction(signed["hex"])["vin"][0]
        script = bytes.fromhex(spent["scriptSig"]["hex"])
        equal(script[script[0]], sum(bits[word] for word in hash_type.split("|")), hash_type)
        mine(node, chain, signed["hex"])


@case()
def hash_types_that_are_none(t):
    node = t.node()
    raw = node.rpc.createrawtransaction([{"txid": ZERO, "vout": 0}], {ADDRESS: 1})
    for bad in ("", "all|FORKID", "FORKID", "FORKID|ALL", "ALL|ALL|FORKID", "ALL|FORKID|", "|ALL",
                "ALL||FORKID", "ALL|FORKID|FORKID", "NONE|ALL|FORKID", "ALL |FORKID"):
        raises_rpc(-8, lambda: node.rpc.signrawtransaction(raw, [], [], bad),
                   "Invalid sighash param")
    for old in ("ALL", "NONE|ANYONECANPAY", "SINGLE|CHRONICLE"):
        raises_rpc(-8, lambda: node.rpc.signrawtransaction(raw, [], [], old),
                   "must use SIGHASH_FORKID")
    for early in ("ALL|FORKID|CHRONICLE", "ALL|CHRONICLE|FORKID"):
        try:
            result = node.rpc.signrawtransaction(raw, [], [], early)
            equal(result["complete"], False)
        except Exception as error:  # pylint: disable=broad-except
            equal(error.code, -8)
            is_in("CHRONICLE", error.message)


@case()
def outputs_the_node_does_not_know(t):
    node, _, coins = node_with_coins(t, [KEYS[0].script])
    sign = node.rpc.signrawtransaction
    raw = node.rpc.createrawtransaction([{"txid": ZERO, "vout": 3}], {ADDRESS: 1})
    unknown = sign(raw, [], WIF)
    equal(unknown["complete"], False)
    equal(unknown["errors"][0]["error"], "Input not found or already spent")
    equal(unknown["hex"], raw)
    prev = {"txid": ZERO, "vout": 3, "scriptPubKey": KEYS[0].script.hex(), "amount": 2}
    equal(sign(raw, [prev], WIF)["complete"], True)
    equal(sign(raw, [dict(prev, amount="2")], WIF)["hex"], sign(raw, [prev], WIF)["hex"],
          "the same bytes again")
    check(sign(raw, [dict(prev, amount=3)], WIF)["hex"] != sign(raw, [prev], WIF)["hex"],
          "the amount is signed")
    # A script hash, as in outputs of before Genesis.
    redeem = multisig(1, KEYS[:2])
    to_hash = (b"\xa9\x14" + hash160(redeem) + b"\x87").hex()
    equal(sign(raw, [dict(prev, scriptPubKey=to_hash)], WIF)["complete"], False)
    equal(sign(raw, [dict(prev, scriptPubKey=to_hash, redeemScript=redeem.hex())], WIF)["complete"],
          True)
    known = node.rpc.createrawtransaction(coins, {ADDRESS: 1})
    mismatch = dict(coins[0], scriptPubKey=KEYS[1].script.hex(), amount=50)
    raises_rpc(-22, lambda: sign(known, [mismatch], WIF), "scriptPubKey mismatch")
    for missing in ("txid", "vout", "scriptPubKey", "amount"):
        less = {k: v for k, v in prev.items() if k != missing}
        raises_rpc(-8, lambda: sign(raw, [less], WIF), "Missing prevtxs[0]." + missing)
    raises_rpc(-3, lambda: sign(raw, [dict(prev, amount=-1)], WIF), "mount")
    raises_rpc(-8, lambda: sign(raw, [dict(prev, vout=-1)], WIF), "prevtxs[0].vout")
    raises_rpc(-1, lambda: sign(raw, [7], WIF), "object")


@case()
def keys_and_transactions_that_are_wrong(t):
    node = t.node()
    sign = node.rpc.signrawtransaction
    raw = node.rpc.createrawtransaction([{"txid": ZERO, "vout": 3}], {ADDRESS: 1})
    equal(sign(raw)["complete"], False, "the wallet has no such key")
    equal(sign(raw, [], None)["complete"], False)
    raises_rpc(-5, lambda: sign(raw, [], ["nonsense"]), "Invalid private key")
    raises_rpc(-5, lambda: sign(raw, [], ["L211enC224G1kV8pyyq7bjVd9SxZebnRYEzzM3i7ZHCc1c5E7dQu"]),
               "Invalid private key")
    raises_rpc(-1, lambda: sign(raw, [], [7]), "string")
    for bad in ("", "00", raw[:-2], raw + "00"):
        raises_rpc(-22, lambda: sign(bad, [], WIF))
    raises_rpc(-8, lambda: sign("zz", [], WIF), "hexadecimal")
    raises_rpc(-22, lambda: sign(raw * 101, [], WIF), "100 versions")
    equal(sign(raw * 100, [], WIF)["hex"], raw)
    log = node.log()
    check(not any(wif in log for wif in WIF), "no key in the log")
    code, out, _ = node.cli("signrawtransaction", raw, "[]", json.dumps(WIF))
    equal((code, json.loads(out)["complete"]), (0, False))


if __name__ == "__main__":
    main()

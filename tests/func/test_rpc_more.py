"""Methods around blocks, outputs, keys and scripts that need no pool of transactions (spec rpc
3)."""
import decimal
import json
import time

from framework import ADDRESS, case, check, equal, main, raises_rpc, vector
from blocks import (ANYONE, Chain, Key, Tx, TxIn, TxOut, coinbase, display, subsidy,
                    var_bytes)
from p2p import headers_payload

ZERO = "00" * 32


@case()
def blocks_by_height(t):
    node = t.node()
    node.rpc.generatetoaddress(3, ADDRESS)
    hash2 = node.rpc.getblockhash(2)
    for verbosity in (0, 1, 2, 3, "RAW_BLOCK", "DECODE_TRANSACTIONS", True, None):
        equal(node.rpc.getblockbyheight(2, verbosity), node.rpc.getblock(hash2, verbosity),
              str(verbosity))
    equal(node.rpc.getblockbyheight(2), node.rpc.getblock(hash2))
    equal(node.rpc.call("getblockbyheight", height=2, verbosity=0), node.rpc.getblock(hash2, 0))
    equal(node.rpc.call("getblockbyheight", blockhash=2, verbose=0), node.rpc.getblock(hash2, 0),
          "the reference's name of the height")
    for height in (4, -1, 2**31, 2**40):
        raises_rpc(-8, lambda: node.rpc.getblockbyheight(height), "Block height out of range")
        raises_rpc(-8, lambda: node.rpc.getblockstatsbyheight(height), "Block height out of range")
    raises_rpc(-1, lambda: node.rpc.getblockbyheight("2"))
    raises_rpc(-8, lambda: node.rpc.getblockbyheight(2, 9), "Verbosity")
    equal(node.rpc.getblockstatsbyheight(2), node.rpc.getblockstats(hash2))
    equal(node.rpc.getblockstatsbyheight(2, ["txs"]), {"txs": 1})
    raises_rpc(-8, lambda: node.rpc.getblockstatsbyheight(2, ["nonsense"]))
    equal(node.cli("getblockbyheight", "2", "0")[1].strip(), node.rpc.getblock(hash2, 0))


@case()
def outputs_in_one_call(t):
    node = t.node()
    node.rpc.generatetoaddress(300, ADDRESS)
    txids = [node.rpc.getblockbyheight(h)["tx"][0] for h in (1, 300)]
    asked = [{"txid": txids[0], "n": 0}, {"txid": ZERO, "n": 7}, {"txid": txids[1], "n": 0},
             {"txid": txids[1], "n": 4294967295}]
    answer = node.rpc.gettxouts(asked, ["*"])
    equal(list(answer), ["txouts"])
    first, missing, last, no_such = answer["txouts"]
    equal(list(first), ["scriptPubKey", "scriptPubKeyLen", "value", "isStandard", "confirmations"])
    equal((first["scriptPubKey"], first["scriptPubKeyLen"], str(first["value"]),
           first["isStandard"], first["confirmations"]), ("76a914" + "00" * 20 + "88ac", 25,
           "50.00000000", True, 300))
    equal((missing, no_such), ({"error": "missing"}, {"error": "missing"}))
    equal(last["confirmations"], 1)
    for fields in (["value"], ["confirmations", "scriptPubKeyLen"]):
        got = node.rpc.gettxouts(asked, fields, False)["txouts"]
        equal(set(got[0]), set(fields))
        equal(got[1], {"error": "missing"})
    equal(node.rpc.gettxouts([], ["*"]), {"txouts": []})
    # More than one look at the coins takes; order and number stay.
    many = [{"txid": node.rpc.getblockbyheight(h)["tx"][0], "n": 0} for h in range(1, 301)] * 3
    got = node.rpc.gettxouts(many, ["confirmations"])["txouts"]
    equal([o["confirmations"] for o in got], list(range(300, 0, -1)) * 3)


@case()
def outputs_of_the_mempool(t):
    node = t.node("-genesisactivationheight=1")
    chain = Chain(start_time=int(time.time()) - 3600).grow(110)
    for block in chain.blocks:
        equal(node.rpc.submitblock(block.serialize().hex()), None)
    coin = chain.at(1).txs[0]
    tx = Tx([TxIn(coin.txid(), 0)], [TxOut(subsidy(1) - 2000, ANYONE), TxOut(1000, Key(1).script)])
    raw = tx.serialize().hex()
    txid = node.rpc.sendrawtransaction(raw)
    spent = {"txid": display(coin.txid()), "n": 0}
    made = [{"txid": txid, "n": n} for n in range(3)]
    equal(node.rpc.gettxouts([spent, *made], ["*"]), {"txouts": [
        {"error": "spent", "collidedWith": {"txid": txid, "size": len(raw) // 2, "hex": raw}},
        {"scriptPubKey": "51", "scriptPubKeyLen": 1, "value": decimal.Decimal("49.99998000"),
         "isStandard": False, "confirmations": 0},
        {"scriptPubKey": Key(1).script.hex(), "scriptPubKeyLen": 25,
         "value": decimal.Decimal("0.00001000"), "isStandard": True, "confirmations": 0},
        {"error": "missing"}]})
    without = node.rpc.gettxouts([spent, *made], ["confirmations"], False)
    equal(without, {"txouts": [{"confirmations": 110}] + [{"error": "missing"}] * 3})
    equal(node.rpc.gettxout(spent["txid"], 0), None)
    equal(node.rpc.gettxout(spent["txid"], 0, False)["confirmations"], 110)
    out = node.rpc.gettxout(txid, 1)
    equal((out["confirmations"], str(out["value"]), out["coinbase"], out["confiscation"],
           out["bestblock"]),
          (0, "0.00001000", False, False, node.tip()))
    equal(node.rpc.gettxout(txid, 1, False), None)
    node.rpc.generatetoaddress(1, ADDRESS)
    equal([o.get("confirmations")
           for o in node.rpc.gettxouts([spent, *made], ["confirmations"])["txouts"]],
          [None, 1, 1, None])


@case()
def outputs_asked_for_wrongly(t):
    node = t.node()
    good = [{"txid": ZERO, "n": 0}]
    raises_rpc(-32602, lambda: node.rpc.gettxouts(good, []), "No return fields set")
    for fields in (["nonsense"], ["*", "value"], [7], ["value", "*"], [None], [["value"]]):
        raises_rpc(-32602, lambda: node.rpc.gettxouts(good, fields), "Wrong return field")
    for bad in ({}, {"txid": ZERO}, {"n": 0}, {"txid": ZERO, "n": 0, "x": 1},
                {"txid": ZERO, "n": "0"}, {"txid": ZERO, "n": -1}, {"txid": ZERO, "n": 2**32},
                {"txid": "00", "n": 0}, {"txid": 7, "n": 0}, 7, None, [], "text"):
        raises_rpc(-32602, lambda: node.rpc.gettxouts([bad], ["*"]), "required fields")
    raises_rpc(-1, lambda: node.rpc.gettxouts(good), "gettxouts")
    raises_rpc(-1, lambda: node.rpc.gettxouts(good, ["*"], 1))


@case()
def multisig_addresses(t):
    node = t.node()
    keys = [Key(n).public.hex() for n in (1, 2, 3)]
    made = node.rpc.createmultisig(2, keys)
    equal(list(made), ["address", "redeemScript"])
    equal(made["redeemScript"], "52" + "".join("21" + k for k in keys) + "53ae")
    shown = node.rpc.decodescript(made["redeemScript"])
    equal((shown["type"], shown["reqSigs"], shown["p2sh"]), ("multisig", 2, made["address"]))
    equal(node.rpc.validateaddress(made["address"])["isscript"], True)
    equal(node.rpc.createmultisig(1, keys[:1])["redeemScript"], "5121" + keys[0] + "51ae")
    raises_rpc(-1, lambda: node.rpc.createmultisig(0, keys), "nrequired")
    raises_rpc(-1, lambda: node.rpc.createmultisig(4, keys), "nrequired")
    raises_rpc(-1, lambda: node.rpc.createmultisig(1, []), "nrequired")
    raises_rpc(-1, lambda: node.rpc.createmultisig(1, keys[:1] * 17), "16")
    raises_rpc(-1, lambda: node.rpc.createmultisig(1, keys[:1] * 16), "520")
    for bad in ("", "00", ADDRESS, keys[0][:-2], keys[0] + "00", 7, None, "02" + "ff" * 32):
        raises_rpc(-1, lambda: node.rpc.createmultisig(1, [bad]), "Invalid public key")


@case()
def messages_are_signed_and_verified(t):
    with open(vector("keys/bsm_rs.json"), encoding="ascii") as file:
        rows = json.load(file)["vectors"]
    main_node = t.node(network="main")
    address = "1N8QYQNAD8PLEJjmCGGR8iN1iuR9yXtY1x"
    secrets = [row["wif"] for row in rows if "wif" in row]
    for row in rows:
        message, signature = row["message"], row["signature_base64"]
        if "wif" in row:
            equal(main_node.rpc.signmessagewithprivkey(row["wif"], message), signature)
        else:
            lock = var_bytes(bytes.fromhex(row["public_key_hex"])) + b"\xac"
            owner = main_node.rpc.decodescript(lock.hex())["addresses"][0]
            equal(main_node.rpc.verifymessage(owner, signature, message), True, owner)
        equal(main_node.rpc.verifymessage(address, signature, message), False, "of another key")
    node = t.node()
    wif = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA"  # 1, compressed
    long_wif = "91avARGdfge8E4tZfYLoxeJ5sGBdNJQH4kvjJoQFacbgwmaKkrx"  # 1, uncompressed
    for key, owner in ((wif, "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r"),
                       (long_wif, "mtoKs9V381UAhUia3d7Vb9GNak8Qvmcsme")):
        for message in ("", "hello", "ä€\u0000x" * 50):
            signature = node.rpc.signmessagewithprivkey(key, message)
            equal(node.rpc.verifymessage(owner, signature, message), True, owner)
            equal(node.rpc.verifymessage(owner, signature, message + "."), False)
            equal(node.rpc.verifymessage(ADDRESS, signature, message), False)
    raises_rpc(-3, lambda: node.rpc.verifymessage("nonsense", signature, "x"), "Invalid address")
    raises_rpc(-3, lambda: node.rpc.verifymessage(address, signature, "x"), "another network")
    script_address = node.rpc.createmultisig(1, [Key(1).public.hex()])["address"]
    raises_rpc(-3, lambda: node.rpc.verifymessage(script_address, signature, "x"),
               "does not refer to key")
    raises_rpc(-5, lambda: node.rpc.verifymessage(ADDRESS, "no_base64", "x"), "base64")
    for broken in ("", "AAAA", signature[:-4], "A" * 200, "A" * 88):
        equal(node.rpc.verifymessage(ADDRESS, broken, "x"), False, broken)
    raises_rpc(-5, lambda: node.rpc.signmessagewithprivkey("nonsense", "x"), "Invalid private key")
    for secret in secrets:
        raises_rpc(-5, lambda: node.rpc.signmessagewithprivkey(secret, "x"), "Invalid private key")
    check(node.is_alive(), "the node runs on")


@case()
def limits_of_blocks_change_while_the_node_runs(t):
    node = t.node("-excessiveblocksize=1000001", "-blockmaxsize=1000000",
                  "-genesisactivationheight=1")
    chain = Chain(start_time=int(time.time()) - 3600)
    big = [chain.add(coinbase_tx=coinbase(chain.height + 1, b"\x00\x6a" + b"\x01" * 1200000))
           for _ in range(3)]
    equal(node.rpc.getexcessiveblock(), {"excessiveBlockSize": 1000001})
    equal((node.rpc.getsettings()["excessiveblocksize"], node.rpc.getinfo()["maxblocksize"]),
          (1000001, 1000001))
    equal(node.rpc.submitblock(big[0].serialize().hex()), "bad-blk-length")
    for bad in (1, 1000000, "1000000", -5, "-5", "5MB", "", "x", 2**63, "99999999999999999999"):
        raises_rpc(-8, lambda: node.rpc.setexcessiveblock(bad))
    for bad in (True, 1.5, [], {}, None):
        raises_rpc(-1, lambda: node.rpc.setexcessiveblock(bad), "integer or string")
    equal(node.rpc.setexcessiveblock(3000000), "Excessive Block set to 3000000 bytes.")
    equal(node.rpc.submitblock(big[0].serialize().hex()), None)
    peer = t.peer(node)
    peer.send("headers", headers_payload(chain.headers()))
    peer.send("block", big[1].serialize())
    t.wait(lambda: node.rpc.getblockcount() == 2, what="the larger block from a peer")
    equal(node.rpc.setexcessiveblock("0"), "Excessive Block set to unlimited size.")
    equal(node.rpc.getexcessiveblock(), {"excessiveBlockSize": 0})
    # What is made here.
    equal(node.rpc.setblockmaxsize(5000000), "Maximal generated block size set to 5000000 bytes.")
    equal((node.rpc.getsettings()["blockmaxsize"], node.rpc.getinfo()["maxminedblocksize"]),
          (5000000, 5000000))
    raises_rpc(-8, lambda: node.rpc.setexcessiveblock(4000000), "5000000")
    equal(node.rpc.setexcessiveblock(6000000), "Excessive Block set to 6000000 bytes.")
    for bad in (0, 6000001, "-1", "x"):
        raises_rpc(-8, lambda: node.rpc.setblockmaxsize(bad))
    node.restart()
    equal(node.rpc.getexcessiveblock(), {"excessiveBlockSize": 1000001}, "the option again")
    equal(node.rpc.getblockcount(), 2, "what was taken stays")
    equal(node.cli("setexcessiveblock", "2000000")[1], "Excessive Block set to 2000000 bytes.\n")


if __name__ == "__main__":
    main()

"""Every command over a socket: shapes and order of fields (spec rpc 2), errors (1.5),
parameters."""
import decimal
import json
import threading
import time

from framework import (ADDRESS, Rpc, RpcError, case, check, equal, is_in, main, raises_rpc, vector,
                       wait_until, within)
from blocks import (ANYONE, Block, Chain, Header, Tx, TxIn, TxOut, coinbase, display, from_display,
                    GENESIS_HASH_HEX, sha256d)
from p2p import headers_payload

ZERO = "00" * 32

HEADER_FIELDS = ["hash", "confirmations", "size", "height", "version", "versionHex", "merkleroot",
                 "num_tx", "time", "mediantime", "nonce", "bits", "difficulty", "chainwork",
                 "previousblockhash", "nextblockhash", "status"]
STATUS_FIELDS = ["validity", "data", "undo", "failed", "parent failed", "disk meta", "soft reject",
                 "double spend", "soft consensus frozen"]
TX_FIELDS = ["txid", "hash", "version", "size", "locktime", "vin", "vout"]


def node_with(t, n, *options):
    node = t.node(*options)
    node.rpc.generatetoaddress(n, ADDRESS)
    return node


def fields(value, names, what, optional=()):
    """The object has exactly these fields in this order; optional ones may be absent."""
    equal(list(value), [n for n in names if n in value or n not in optional], what)


@case()
def state_of_the_chain(t):
    node = node_with(t, 5)
    info = node.rpc.getblockchaininfo()
    fields(info, ["chain", "blocks", "headers", "bestblockhash", "difficulty", "mediantime",
                  "verificationprogress", "chainwork", "pruned", "softforks"], "getblockchaininfo")
    equal((info["chain"], info["blocks"], info["headers"], info["pruned"]),
          ("regtest", 5, 5, False))
    equal(info["chainwork"], f"{2 * 6:064x}")
    equal([s["id"] for s in info["softforks"]], ["bip34", "bip66", "bip65", "csv"])
    fields(info["softforks"][0], ["id", "version", "reject"], "softfork")
    equal(node.rpc.getblockcount(), 5)
    equal(node.rpc.getbestblockhash(), node.rpc.getblockhash(5))
    equal(node.rpc.getblockhash(0), GENESIS_HASH_HEX)
    equal(float(node.rpc.getdifficulty()), float(info["difficulty"]))
    raises_rpc(-8, lambda: node.rpc.getblockhash(6), "Block height out of range")
    raises_rpc(-8, lambda: node.rpc.getblockhash(-1), "Block height out of range")
    raises_rpc(-1, lambda: node.rpc.getblockhash("x"))
    raises_rpc(-1, node.rpc.getblockhash, "getblockhash")


@case()
def block_in_all_verbosities(t):
    node = node_with(t, 3)
    middle = node.rpc.getblockhash(2)
    raw = node.rpc.getblock(middle, 0)
    for same in (False, "0", "RAW_BLOCK"):
        equal(node.rpc.getblock(middle, same), raw, str(same))
    block = node.rpc.getblock(middle)
    fields(block, ["tx"] + HEADER_FIELDS, "getblock 1")
    fields(block["status"], STATUS_FIELDS, "status")
    for same in (1, True, "1", "DECODE_HEADER"):
        equal(node.rpc.getblock(middle, same), block, str(same))
    equal((block["hash"], block["height"], block["confirmations"], block["num_tx"], block["size"]),
          (middle, 2, 2, 1, len(raw) // 2))
    equal(block["previousblockhash"], node.rpc.getblockhash(1))
    equal(block["nextblockhash"], node.rpc.getblockhash(3))
    equal((block["bits"], len(block["versionHex"]), len(block["chainwork"])), ("207fffff", 8, 64))
    whole = node.rpc.getblock(middle, 2)
    fields(whole, ["tx"] + HEADER_FIELDS, "getblock 2")
    tx = whole["tx"][0]
    equal(list(tx)[:len(TX_FIELDS)], TX_FIELDS)
    equal((tx["txid"], tx["hash"]), (block["tx"][0], block["tx"][0]))
    fields(tx["vin"][0], ["coinbase", "sequence"], "coinbase input")
    fields(tx["vout"][0], ["value", "n", "scriptPubKey"], "output")
    fields(tx["vout"][0]["scriptPubKey"], ["asm", "hex", "reqSigs", "type", "addresses"], "script")
    equal(tx["vout"][0]["scriptPubKey"]["addresses"], [ADDRESS])
    equal(str(tx["vout"][0]["value"]), "50.00", "trimmed to two decimals")
    equal(len(node.rpc.getblock(middle, 3)["tx"]), 1)
    genesis = node.rpc.getblock(GENESIS_HASH_HEX)
    fields(genesis, ["tx"] + HEADER_FIELDS, "genesis", optional=("previousblockhash",))
    check("previousblockhash" not in genesis, "genesis has no parent")
    raises_rpc(-5, lambda: node.rpc.getblock(ZERO), "Block not found")
    raises_rpc(-8, lambda: node.rpc.getblock("00"), "must be of length 64 (not 2)")
    raises_rpc(-8, lambda: node.rpc.getblock("zz" * 32), "hexadecimal")


@case()
def block_header_in_all_verbosities(t):
    node = node_with(t, 2)
    tip = node.tip()
    equal(node.rpc.getblockheader(tip, False), node.rpc.getblock(tip, 0)[:160])
    header = node.rpc.getblockheader(tip)
    fields(header, HEADER_FIELDS, "getblockheader", optional=("nextblockhash",))
    extended = node.rpc.getblockheader(tip, 2)
    equal((list(extended)[0], list(extended)[-1]), ("tx", "merkleproof"))
    equal(extended["tx"][0]["txid"], node.rpc.getblock(tip)["tx"][0])
    equal(extended["merkleproof"], [], "one transaction: nothing to prove")
    raises_rpc(-5, lambda: node.rpc.getblockheader(ZERO), "Block not found")


@case()
def tips_of_all_kinds(t):
    node = node_with(t, 4)
    first = node.tip()
    node.rpc.invalidateblock(node.rpc.getblockhash(3))
    node.rpc.generatetoaddress(1, ADDRESS)
    peer = t.peer(node)
    unknown = Chain(start_time=int(time.time()) - 600).grow(1, extra=b"h")
    peer.send("headers", headers_payload(unknown.headers()))
    peer.ping()
    rows = node.rpc.getchaintips()
    for row in rows:
        fields(row, ["height", "hash", "branchlen", "status"], "getchaintips")
    status = {row["hash"]: row["status"] for row in rows}
    equal(status[first], "invalid")
    equal(status[node.tip()], "active")
    is_in(status[unknown.tip_hex], ("headers-only", "valid-headers"))
    equal(rows[0]["height"] >= rows[-1]["height"], True, "highest first")


@case()
def coins_one_by_one_and_all_together(t):
    node = node_with(t, 3)
    txid = node.rpc.getblock(node.tip())["tx"][0]
    out = node.rpc.gettxout(txid, 0)
    fields(out, ["bestblock", "confirmations", "value", "scriptPubKey", "coinbase", "confiscation"],
           "gettxout")
    equal((out["bestblock"], out["confirmations"], str(out["value"]), out["coinbase"],
           out["confiscation"]),
          (node.tip(), 1, "50.00000000", True, False))
    equal(node.rpc.gettxout(txid, 1), None)
    equal(node.rpc.gettxout(ZERO, 0), None)
    equal(node.rpc.gettxout(txid, 0, False), out)
    info = node.rpc.gettxoutsetinfo()
    fields(info, ["height", "bestblock", "transactions", "txouts", "bogosize", "hash_serialized",
                  "disk_size", "total_amount"], "gettxoutsetinfo")
    equal((info["height"], info["transactions"], info["txouts"], info["bogosize"],
           str(info["total_amount"])),
          (3, 3, 3, 3 * 75, "150.00000000"))


@case()
def hash_of_the_whole_set_is_the_reference_form(t):
    """Computed here by the rule of spec rpc 2 over three coinbases."""
    node = node_with(t, 3)


    def varint(n):
        out = [n & 0x7f]
        while n > 0x7f:
            n = (n >> 7) - 1
            out.append((n & 0x7f) | 0x80)
        return bytes(reversed(out))
    coins = []
    for height in (1, 2, 3):
        tx = node.rpc.getblock(node.rpc.getblockhash(height), 2)["tx"][0]
        coins.append((from_display(tx["txid"]), height,
                      bytes.fromhex(tx["vout"][0]["scriptPubKey"]["hex"])))
    data = from_display(node.tip())
    for txid, height, script in sorted(coins):
        data += (txid + varint(2 * height + 1) + varint(1) + bytes([len(script)]) + script
                 + varint(50 * 10**8) + varint(0))
    equal(node.utxo_hash(), display(sha256d(data)))


@case(timeout=90)
def block_statistics_equal_the_published_ones(t):
    with open(vector("rpc/rpc_getblockstats.json"), encoding="ascii") as file:
        data = json.load(file, parse_float=decimal.Decimal)
    node = t.node(f"-mocktime={data['mocktime']}")
    for raw in data["blocks"][1:]:
        equal(node.rpc.submitblock(raw), None)
    equal(node.rpc.getblockcount(), len(data["blocks"]) - 1)
    checked = 0
    for want in data["stats"]:
        got = node.rpc.getblockstats(want["blockhash"])
        equal(set(want) - set(got), set(), "missing fields")
        for name, value in want.items():
            if isinstance(got[name], str) or isinstance(value, str):
                equal(got[name], value, name)
            else:
                equal(decimal.Decimal(got[name]), decimal.Decimal(value),
                      f"{name} at {want['height']}")
            checked += 1
        some = node.rpc.getblockstats(want["blockhash"], ["txs", "height"])
        equal(some, {"txs": want["txs"], "height": want["height"]} if list(some)[0] == "txs"
              else {"height": want["height"], "txs": want["txs"]})
    print(f"rpc_getblockstats.json: {checked} values")
    raises_rpc(-8, lambda: node.rpc.getblockstats(node.tip(), ["nonsense"]))
    raises_rpc(-5, lambda: node.rpc.getblockstats(ZERO))


@case()
def transactions_per_time(t):
    node = node_with(t, 20)
    stats = node.rpc.getchaintxstats(10)
    fields(stats, ["time", "txcount", "window_block_count", "window_tx_count", "window_interval",
                   "txrate"],
           "getchaintxstats", optional=("txrate",))
    equal((stats["txcount"], stats["window_block_count"], stats["window_tx_count"]), (21, 10, 10))
    equal(node.rpc.getchaintxstats()["window_block_count"], 19, "as far as there are blocks")
    equal(list(node.rpc.getchaintxstats(0)), ["time", "txcount", "window_block_count"])
    equal(node.rpc.getchaintxstats(2, node.rpc.getblockhash(5))["txcount"], 6)
    raises_rpc(-8, lambda: node.rpc.getchaintxstats(20))
    raises_rpc(-5, lambda: node.rpc.getchaintxstats(1, ZERO))


@case()
def blocks_are_submitted(t):
    node = t.node()
    chain = Chain(start_time=int(time.time()) - 600).grow(3)
    equal(node.rpc.submitblock(chain.at(1).serialize().hex()), None)
    equal(node.rpc.submitblock(chain.at(1).serialize().hex()), "duplicate")
    equal(node.rpc.submitblock(chain.at(2).serialize().hex(), {"workid": "x"}), None)
    raises_rpc(-22, lambda: node.rpc.submitblock("00"), "Block decode failed")
    raises_rpc(-22, lambda: node.rpc.submitblock(""), "Block decode failed")
    unsolved = Block.make(chain.at(2).hash(), 3, chain.time + 1, solve=False)
    unsolved.header.unsolve()
    equal(node.rpc.submitblock(unsolved.serialize().hex()), "high-hash")
    bad = Block.make(chain.at(2).hash(), 3, chain.time + 1,
                     coinbase_tx=coinbase(3, value=51 * 10**8))
    equal(node.rpc.submitblock(bad.serialize().hex()), "bad-cb-amount")
    equal(node.rpc.submitblock(bad.serialize().hex()), "duplicate-invalid")
    side = Block.make(chain.at(1).hash(), 2, chain.time + 5)
    equal(node.rpc.submitblock(side.serialize().hex()), "inconclusive")
    orphan = Block.make(b"\x44" * 32, 9, chain.time + 5)
    equal(node.rpc.submitblock(orphan.serialize().hex()), "prev-blk-not-found")


@case()
def headers_are_submitted(t):
    node = t.node()
    chain = Chain(start_time=int(time.time()) - 600).grow(2)
    equal(node.rpc.submitheader(chain.at(1).header.serialize().hex()), None)
    equal((node.rpc.getblockchaininfo()["headers"], node.rpc.getblockcount()), (1, 0))
    raises_rpc(-25, lambda: node.rpc.submitheader(
        Header(from_display(GENESIS_HASH_HEX), bytes(32),
               int(time.time())).unsolve().serialize().hex()), "high-hash")
    raises_rpc(-22, lambda: node.rpc.submitheader("00" * 79))


@case()
def blocks_are_made_on_demand(t):
    node = t.node()
    hashes = node.rpc.generatetoaddress(3, ADDRESS)
    equal([node.rpc.getblockhash(h) for h in (1, 2, 3)], hashes)
    equal(node.rpc.generatetoaddress(0, ADDRESS), [])
    raises_rpc(-5, lambda: node.rpc.generatetoaddress(1, "hello"), "Invalid address")
    equal(node.rpc.generatetoaddress(1, ADDRESS, 0), [], "no tries")


@case()
def transactions_are_decoded(t):
    node = t.node()
    tx = Tx([TxIn(b"\x12" * 32, 3, b"\x51", 7)],
            [TxOut(546, ANYONE), TxOut(0, b"\x00\x6a\x04data")], version=2, lock_time=99)
    raw = tx.serialize().hex()
    got = node.rpc.decoderawtransaction(raw)
    equal(list(got)[:len(TX_FIELDS)], TX_FIELDS)
    equal((got["txid"], got["version"], got["size"], got["locktime"]),
          (display(tx.txid()), 2, len(raw) // 2, 99))
    fields(got["vin"][0], ["txid", "vout", "scriptSig", "sequence"], "input")
    equal(got["vin"][0],
          {"txid": "12" * 32, "vout": 3, "scriptSig": {"asm": "1", "hex": "51"}, "sequence": 7})
    equal(str(got["vout"][0]["value"]), "0.00000546")
    equal([o["scriptPubKey"]["type"] for o in got["vout"]], ["nonstandard", "nulldata"])
    raises_rpc(-22, lambda: node.rpc.decoderawtransaction(raw + "00"), "TX decode failed")
    raises_rpc(-22, lambda: node.rpc.decoderawtransaction(raw[:-2]), "TX decode failed")
    extended = tx.serialize_extended([TxOut(1000, ANYONE)]).hex()
    equal(node.rpc.decoderawtransaction(extended), got, "extended form (BRC-30)")
    raises_rpc(-22, lambda: node.rpc.decoderawtransaction(extended[:-2]), "TX decode failed")
    script = node.rpc.decodescript("76a914" + "00" * 20 + "88ac")
    equal((script["type"], script["reqSigs"], script["addresses"]), ("pubkeyhash", 1, [ADDRESS]))
    script = node.rpc.decodescript("a914" + "11" * 20 + "87")
    equal((script["type"], script["reqSigs"]), ("scripthash", 1))
    equal(node.rpc.decodescript("")["type"], "nonstandard")


@case()
def addresses_are_judged(t):
    node = t.node()
    good = node.rpc.validateaddress(ADDRESS)
    equal((good["isvalid"], good["address"], good["scriptPubKey"]),
          (True, ADDRESS, "76a914" + "00" * 20 + "88ac"))
    for bad in ("", "hello", ADDRESS[:-1] + "9", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"):
        equal(node.rpc.validateaddress(bad), {"isvalid": False}, bad)


@case()
def node_describes_itself(t):
    node = node_with(t, 1, "-uacomment=x")
    info = node.rpc.getnetworkinfo()
    fields(info,
           ["version", "subversion", "protocolversion", "localservices", "localrelay", "timeoffset",
                  "txnpropagationfreq", "txnpropagationqlen", "networkactive", "connections",
            "addresscount",
                  "streampolicies", "networks", "relayfee", "minconsolidationfactor",
                  "maxconsolidationinputscriptsize", "minconfconsolidationinput",
                  "minconsolidationinputmaturity", "acceptnonstdconsolidationinput",
            "localaddresses",
                  "warnings"], "getnetworkinfo")
    equal((info["protocolversion"], info["localservices"], str(info["relayfee"])),
          (70016, "0000000000000021", "0E-8"))
    equal([n["name"] for n in info["networks"]], ["ipv4", "ipv6"])
    fields(info["networks"][0],
           ["name", "limited", "reachable", "proxy", "proxy_randomize_credentials"],
           "network")
    short = node.rpc.getinfo()
    fields(short, ["version", "protocolversion", "initcomplete", "blocks", "timeoffset",
                   "connections", "proxy", "difficulty", "testnet", "stn", "paytxfee", "relayfee",
                   "errors", "maxblocksize", "maxminedblocksize", "maxstackmemoryusagepolicy",
                   "maxstackmemoryusageconsensus"], "getinfo")
    equal((short["version"], short["blocks"], short["testnet"]), (info["version"], 1, False))
    fields(node.rpc.getmemoryinfo()["locked"],
           ["used", "free", "total", "locked", "chunks_used", "chunks_free"],
           "getmemoryinfo")
    equal(node.rpc.getconnectioncount(), 0)
    equal(node.rpc.getaddednodeinfo(), [])
    shown = node.rpc.dumpparameters()
    is_in("uacomment=x", shown)


@case()
def log_categories_are_switched_at_run_time(t):
    node = t.node()
    equal(node.rpc.logging()["net"], False)
    equal(node.rpc.logging(["net"])["net"], True)
    t.peer(node).ping()
    wait_until(lambda: "peer" in node.log(), 5, "lines about peers")
    equal(node.rpc.logging([], ["net"])["net"], False)
    raises_rpc(-8, lambda: node.rpc.logging(["nonsense"]), "nonsense")


@case()
def waiting_for_blocks(t):
    node = node_with(t, 2)
    equal(node.rpc.waitforblockheight(2, 5000), {"hash": node.tip(), "height": 2})
    started = time.monotonic()
    equal(node.rpc.waitforblockheight(9, 300)["height"], 2, "time-out: the tip as it is")
    check(0.2 < time.monotonic() - started < within(3), "after the time")
    results = []
    other = Rpc(node.rpc_port, node.cookie)
    thread = threading.Thread(target=lambda: results.append(other.waitforblockheight(3, 20000)))
    thread.start()
    time.sleep(0.2)
    node.rpc.generatetoaddress(1, ADDRESS)
    thread.join(60)
    equal(results, [{"hash": node.tip(), "height": 3}])
    thread = threading.Thread(target=lambda: results.append(other.waitfornewblock(60000)))
    thread.start()
    while thread.is_alive():  # it may begin to wait later than a block comes
        node.rpc.generatetoaddress(1, ADDRESS)
        thread.join(0.2)
    check(4 <= results[-1]["height"] <= node.rpc.getblockcount(), "a new block")


def refuses_waiters(node):
    """Whether every thread for calls that wait is taken."""
    try:
        node.rpc.waitforblockheight(0, 1000)
    except RpcError as error:
        is_in("Work queue depth exceeded", error.message)
        return True
    return False


@case()
def clients_that_go_while_they_wait_make_room(t):
    """Batches among them too, which leave the workers to others."""
    node = node_with(t, 1)
    waiting = [[("waitforblockheight", [999])], [("waitfornewblock", [2**63 - 1])],
               [("getblocktemplate", [{"longpollid": ""}])],
               [("getblockcount", []), ("waitforblockheight", [999, 0])]]
    clients = []
    while not refuses_waiters(node):
        check(len(clients) < 200, "all threads for calls that wait are taken")
        calls = waiting[len(clients) % len(waiting)]
        clients.append(Rpc(node.rpc_port, node.cookie))
        body = [{"method": m, "params": p} for m, p in calls]
        clients[-1].send_body_only(body if len(body) > 1 else body[0])
    equal(node.rpc.getblockchaininfo()["blocks"], 1, "workers are free")
    for client in clients:
        client.close()
    wait_until(lambda: not refuses_waiters(node), 30, "room for others")


@case()
def stop_does_not_wait_for_waiters(t):
    node = node_with(t, 1)
    other = Rpc(node.rpc_port, node.cookie)

    def wait():
        try:
            other.waitforblockheight(100, 60000)
        except Exception:  # pylint: disable=broad-except
            pass  # the node stops under it
    threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.2)
    started = time.monotonic()
    node.stop()
    check(time.monotonic() - started < within(10), "stopped at once")


@case()
def blocks_are_condemned_and_pardoned(t):
    node = node_with(t, 6)
    tip, middle = node.tip(), node.rpc.getblockhash(4)
    equal(node.rpc.invalidateblock(middle), None)
    equal(node.rpc.getblockcount(), 3)
    equal(node.rpc.getblock(middle)["confirmations"], -1)
    equal(node.rpc.reconsiderblock(tip), None)
    wait_until(lambda: node.tip() == tip, 10, "all back")
    for call in (node.rpc.invalidateblock, node.rpc.reconsiderblock, node.rpc.preciousblock):
        raises_rpc(-5, lambda: call(ZERO), "Block not found")  # pylint: disable=cell-var-from-loop


@case()
def equal_branches_are_chosen_by_preciousblock(t):
    base = Chain(start_time=int(time.time()) - 600).grow(2)
    a, b = base.fork(2).grow(1, extra=b"a"), base.fork(2).grow(1, extra=b"b")
    node = t.node()
    for block in base.all_blocks() + [a.at(3), b.at(3)]:
        node.rpc.submitblock(block.serialize().hex())
    equal(node.tip(), a.tip_hex, "first seen")
    for want in (b, a, b):
        node.rpc.preciousblock(want.tip_hex)
        equal(node.tip(), want.tip_hex)


@case()
def chain_is_verified_on_demand(t):
    node = node_with(t, 12)
    for level in range(5):
        equal(node.rpc.verifychain(level, 0), True, f"level {level}")
    equal(node.rpc.verifychain(), True)
    equal(node.rpc.getblockcount(), 12)


@case()
def named_parameters_and_their_errors(t):
    node = node_with(t, 1)
    equal(node.rpc.getblockhash(height=1), node.tip())
    equal(node.rpc.getblock(blockhash=node.tip(), verbose=False), node.rpc.getblock(node.tip(), 0))
    raises_rpc(-8, lambda: node.rpc.getblock(blockhash=node.tip(), verbosity=0, verbose=1), "twice")
    raises_rpc(-8, lambda: node.rpc.getblockhash(depth=1), "Unknown named parameter depth")
    equal(node.rpc.gettxout(n=0, txid=ZERO), None)
    error = raises_rpc(-1, lambda: node.rpc.getblockcount(1), "getblockcount")
    equal(error.status, 500)
    error = raises_rpc(-32601, node.rpc.nosuchmethod, "Method not found")
    equal(error.status, 404)


@case()
def every_listed_command_has_help(t):
    node = t.node()
    names = [line.split()[0] for line in node.rpc.help().splitlines() if line
             and not line.startswith("==")]
    check(len(names) >= 40, f"{len(names)} commands")
    for name in names:
        text = node.rpc.help(name)
        check(text.startswith(name), name)
        is_in("Result", text, name)
    hidden = ["invalidateblock", "reconsiderblock", "setmocktime", "echo", "waitforblockheight"]
    for name in hidden:
        check(name not in names, name + " is hidden")
        check(node.rpc.help(name).startswith(name), "help of " + name)
    is_in("unknown command", node.rpc.help("nosuchcommand"))


EXPECTED = """help stop uptime getinfo getblockchaininfo getblockcount getbestblockhash getblockhash
getblock getblockheader getchaintips getdifficulty gettxout gettxoutsetinfo getblockstats
getchaintxstats verifychain invalidateblock reconsiderblock preciousblock pruneblockchain
waitforblockheight submitblock submitheader generatetoaddress getpeerinfo getconnectioncount
getnetworkinfo getnettotals addnode disconnectnode setban listbanned clearbanned setnetworkactive
getaddednodeinfo ping getmemoryinfo logging getsettings dumpparameters decoderawtransaction
decodescript getrawtransaction validateaddress echo""".split()


@case()
def every_command_of_the_list_exists(t):
    node = t.node()
    missing = [name for name in EXPECTED if "unknown command" in node.rpc.help(name)]
    equal(missing, [])


@case()
def echo_gives_its_parameters_back(t):
    node = t.node()
    equal(node.rpc.echo("a", 1, None, {"x": [True]}), ["a", 1, None, {"x": [True]}])
    equal(node.rpc.echo(), [])


@case()
def raw_transactions_by_block_hash(t):
    node = node_with(t, 2)
    block = node.rpc.getblock(node.tip(), 2)
    txid = block["tx"][0]["txid"]
    equal(node.rpc.getrawtransaction(txid, False, block["hash"]), block["tx"][0]["hex"])
    whole = node.rpc.getrawtransaction(txid, True, block["hash"])
    equal((whole["blockhash"], whole["confirmations"], whole["blockheight"]), (block["hash"], 1, 2))
    equal(node.rpc.getrawtransaction(txid, 0), block["tx"][0]["hex"], "found by its unspent output")
    equal(node.rpc.getrawtransaction(txid, 1)["txid"], txid)
    raises_rpc(-5, lambda: node.rpc.getrawtransaction("11" * 32), "-txindex")
    raises_rpc(-3, lambda: node.rpc.getrawtransaction(txid, "yes"))


if __name__ == "__main__":
    main()

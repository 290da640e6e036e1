"""REST addresses (spec rpc 4): formats, ranges, refusals, the list of addresses, warm-up."""
import decimal
import http.client
import json
import os
import socket
import struct
import threading
import time

from framework import ADDRESS, case, check, equal, is_in, main, vector, within
from blocks import (ANYONE, Block, Chain, Tx, TxIn, TxOut, coinbase, compact, display, from_display,
                    push, read_compact, subsidy)
from txs import coin, id_of, move, node_with_coins, output, send

BIN, HEX, JSON = "application/octet-stream", "text/plain", "application/json"


def get(node, path, headers=None, method="GET", body=None):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection("::1", node.rpc_port, timeout=30)
    connection.request(method, path, body, headers or {})
    reply = connection.getresponse()
    data = reply.read()
    connection.close()
    return reply.status, reply.headers, data


def get_json(node, path):
    status, headers, body = get(node, path)
    equal((status, headers["Content-Type"]), (200, JSON), f"{path}: {body[:200]}")
    equal(body[-1:], b"\n")
    return json.loads(body, parse_float=decimal.Decimal)


def refused(node, path, status, text="", **more):
    got, headers, body = get(node, path, **more)
    equal(got, status, f"{path}: {body[:200]}")
    if body:
        equal(headers["Content-Type"], "text/plain")
        check(body.endswith(b"\r\n"), "line end of " + repr(body))
    is_in(text, body.decode())


def in_three_forms(node, path, raw):
    """bin and hex answers are these bytes."""
    status, headers, body = get(node, path + ".bin")
    equal((status, headers["Content-Type"]), (200, BIN))
    equal(body, raw)
    equal(headers["Content-Length"], str(len(raw)))
    status, headers, body = get(node, path + ".hex")
    equal((status, headers["Content-Type"]), (200, HEX))
    equal(body, raw.hex().encode() + b"\n")


@case()
def off_unless_asked_for(t):
    node = t.node()
    equal(get(node, "/rest/chaininfo.json")[0], 404)
    other = t.node("-rest")
    equal(get_json(other, "/rest/chaininfo.json"), other.rpc.getblockchaininfo())


@case()
def blocks_in_all_formats(t):
    node = t.node("-rest")
    node.rpc.generatetoaddress(3, ADDRESS)
    for height in (0, 2, 3):
        block = node.rpc.getblockhash(height)
        raw = bytes.fromhex(node.rpc.getblock(block, 0))
        for form in ("", "notxdetails/"):
            in_three_forms(node, f"/rest/block/{form}{block}", raw)
        equal(get_json(node, f"/rest/block/{block}.json"), node.rpc.getblock(block, 2))
        equal(get_json(node, f"/rest/block/notxdetails/{block}.json"), node.rpc.getblock(block, 1))
    refused(node, f"/rest/block/{'11' * 32}.json", 404, "11" * 32 + " not found")
    refused(node, "/rest/block/abc.bin", 400, "Invalid hash: abc")
    refused(node, f"/rest/block/{'11' * 32}", 404, "output format not found")


@case()
def parts_of_a_block(t):
    node = t.node("-rest")
    block = node.rpc.generatetoaddress(1, ADDRESS)[0]
    raw = bytes.fromhex(node.rpc.getblock(block, 0))
    path, size = f"/rest/block/{block}.bin", len(raw)
    for field, first, last in (("bytes=0-79", 0, 79), ("bytes=80-", 80, size - 1),
                               ("bytes=-10", size - 10, size - 1), ("bytes=5-5", 5, 5),
                               ("bytes=0-99999999", 0, size - 1)):
        status, headers, body = get(node, path, {"Range": field})
        equal((status, body), (206, raw[first:last + 1]), field)
        equal(headers["Content-Range"], f"bytes {first}-{last}/{size}")
        equal(headers["Content-Length"], str(last - first + 1))
    for field in ("bytes=5-4", "lines=1-2", "bytes=1-2,4-5"):
        equal(get(node, path, {"Range": field})[::2], (200, raw), field)
    status, headers, body = get(node, path, {"Range": f"bytes={size}-"})
    equal((status, body, headers["Content-Range"]), (416, b"", f"bytes */{size}"))
    # hex and JSON take no parts
    equal(get(node, f"/rest/block/{block}.hex", {"Range": "bytes=0-1"})[0], 200)


@case()
def headers_upward_from_a_block(t):
    node = t.node("-rest")
    node.rpc.generatetoaddress(12, ADDRESS)
    hashes = [node.rpc.getblockhash(h) for h in range(13)]
    raw = [bytes.fromhex(node.rpc.getblockheader(h, False)) for h in hashes]
    for start, count, n in ((0, 1, 1), (0, 5, 5), (10, 2000, 3), (12, 7, 1)):
        path = f"/rest/headers/{count}/{hashes[start]}"
        in_three_forms(node, path, b"".join(raw[start:start + n]))
        equal(get_json(node, path + ".json"),
              [node.rpc.getblockheader(h) for h in hashes[start:start + n]])
        in_three_forms(node, path.replace("headers/", "headers/extended/"),
                       b"".join(raw[start:start + n]))
    equal(get_json(node, f"/rest/headers/extended/4/{hashes[10]}.json"),
          [node.rpc.getblockheader(h, 2) for h in hashes[10:]])
    for count in ("0", "2001", "-1", "x", "99999999999999999999"):
        refused(node, f"/rest/headers/{count}/{hashes[0]}.json", 400, "out of range")
    refused(node, f"/rest/headers/{hashes[0]}.json", 400)
    in_three_forms(node, f"/rest/headers/5/{'22' * 32}", b"")  # not on the active chain: nothing
    equal(get_json(node, f"/rest/headers/5/{'22' * 32}.json"), [])
    node.rpc.invalidateblock(hashes[12])
    in_three_forms(node, f"/rest/headers/5/{hashes[12]}", b"")
    in_three_forms(node, f"/rest/headers/5/{hashes[11]}", raw[11])


@case()
def extended_headers_carry_coinbase_and_proof(t):
    node = t.node("-loadblock=" + vector("blocks/mainnet_0_319.blk"), "-minimumchainwork=00",
                  "-maxtipage=2000000000", "-rest", network="main")
    node.wait_import(319)
    block = node.rpc.getblockhash(170)
    got = get_json(node, f"/rest/headers/extended/1/{block}.json")[0]
    txids = node.rpc.getblock(block)["tx"]
    equal(got["tx"][0]["txid"], txids[0])
    equal(got["merkleproof"], [txids[1]])
    equal(got["hash"], block)


@case()
def transactions(t):
    node = t.node("-rest", "-txindex")
    block = node.rpc.generatetoaddress(1, ADDRESS)[0]
    txid = node.rpc.getblock(block)["tx"][0]
    in_three_forms(node, f"/rest/tx/{txid}", bytes.fromhex(node.rpc.getrawtransaction(txid)))
    equal(get_json(node, f"/rest/tx/{txid}.json"), node.rpc.getrawtransaction(txid, True))
    for form in ("bin", "hex"):
        refused(node, f"/rest/tx/{'33' * 32}.{form}", 404, "33" * 32 + " not found")
    refused(node, f"/rest/tx/{'33' * 32}.json", 404)
    refused(node, "/rest/tx/x.json", 400, "Invalid hash: x")


def utxo_request(outpoints, mempool=False):
    return bytes([mempool]) + compact(len(outpoints)) + b"".join(
        from_display(txid) + struct.pack("<I", n) for txid, n in outpoints)


def read_utxos(data):
    """(height, tip, bitmap bytes, [(height, value, script)]) of the binary form."""
    height, = struct.unpack_from("<i", data)
    tip = display(data[4:36])
    n, at = read_compact(data, 36)
    bitmap = data[at:at + n]
    n, at = read_compact(data, at + n)
    found = []
    for _ in range(n):
        zero, own, value = struct.unpack_from("<Iiq", data, at)
        equal(zero, 0)
        length, at = read_compact(data, at + 16)
        found.append((own, value, data[at:at + length]))
        at += length
    equal(at, len(data), "length of the answer")
    return height, tip, bitmap, found


@case()
def unspent_outputs(t):
    node = t.node("-rest")
    chain = Chain()
    chain.grow(101)
    spent = chain.at(1).txs[0].txid()
    spender = Tx([TxIn(spent, 0)], [TxOut(10, ANYONE), TxOut(subsidy(1) - 10, b"\x51\x61")])
    chain.add(spender)
    for height in range(1, chain.height + 1):
        node.rpc.submitblock(chain.at(height).serialize().hex())
    ask = [(display(spent), 0), (display(spender.txid()), 1), (display(spender.txid()), 7),
           (display(spender.txid()), 0)]
    path = "/rest/getutxos/" + "/".join(f"{txid}-{n}" for txid, n in ask)
    got = get_json(node, path + ".json")
    equal(list(got), ["chainHeight", "chaintipHash", "bitmap", "utxos"])
    equal((got["chainHeight"], got["chaintipHash"], got["bitmap"]), (102, chain.tip_hex, "0101"))
    equal([(u["height"], u["value"], u["scriptPubKey"]["hex"]) for u in got["utxos"]],
          [(102, decimal.Decimal(subsidy(1) - 10) / 10**8, "5161"),
           (102, decimal.Decimal(10) / 10**8, "51")])
    want = (102, chain.tip_hex, b"\x0a", [(102, subsidy(1) - 10, b"\x51\x61"), (102, 10, b"\x51")])
    raw = get(node, path + ".bin")[2]
    equal(read_utxos(raw), want)
    in_three_forms(node, path, raw)
    in_three_forms(node, path.replace("getutxos/", "getutxos/checkmempool/"), raw)
    body = utxo_request(ask)
    for method in ("GET", "POST"):
        equal(get(node, "/rest/getutxos.bin", method=method, body=body)[::2], (200, raw))
    equal(get(node, "/rest/getutxos.hex", method="POST", body=body.hex())[2],
          raw.hex().encode() + b"\n")
    equal(json.loads(get(node, "/rest/getutxos.json", method="POST", body=body)[2])["bitmap"],
          "0101")
    nine = get(node, "/rest/getutxos.bin", method="POST", body=utxo_request([ask[1]] * 9))[2]
    equal(read_utxos(nine)[2], b"\xff\x01")


@case()
def an_output_of_the_mempool_is_seen_as_one_of_the_next_block(t):
    """Before Genesis a script hash means something."""
    node, chain = node_with_coins(t, "-rest", genesis=1000)
    tx = move(coin(chain, 1), script=b"\xa9\x14" + bytes(20) + b"\x87")
    send(node, tx)
    found = get_json(node, f"/rest/getutxos/checkmempool/{id_of(tx)}-0.json")["utxos"][0]
    equal((found["height"], found["scriptPubKey"]["type"]), (0x7fffffff, "scripthash"))
    equal(node.rpc.gettxout(id_of(tx), 0)["scriptPubKey"], found["scriptPubKey"])


@case()
def the_mempool(t):
    node, chain = node_with_coins(t, "-rest")
    equal(get_json(node, "/rest/mempool/contents.json"), {})
    parent = move(coin(chain, 1))
    child = move(output(parent))
    send(node, parent)
    send(node, child)
    equal(get_json(node, "/rest/mempool/info.json"), node.rpc.getmempoolinfo())
    contents = get_json(node, "/rest/mempool/contents.json")
    equal(contents, node.rpc.getrawmempool(True))
    equal(contents[id_of(child)]["depends"], [id_of(parent)])
    in_three_forms(node, f"/rest/tx/{id_of(parent)}", parent.serialize())
    equal(get_json(node, f"/rest/tx/{id_of(parent)}.json")["hex"], parent.serialize().hex())
    # the coin is spent in the mempool, the parent's output too, the child's is there
    spent = coin(chain, 1)
    path = f"{display(spent[0])}-0/{id_of(parent)}-0/{id_of(child)}-0/{id_of(child)}-1"
    equal(get_json(node, f"/rest/getutxos/{path}.json")["bitmap"], "1000")
    got = get_json(node, f"/rest/getutxos/checkmempool/{path}.json")
    equal(got["bitmap"], "0010")
    equal([(u["height"], u["value"]) for u in got["utxos"]],
          [(0x7fffffff, decimal.Decimal(child.outputs[0].value) / 10**8)])
    raw = get(node, f"/rest/getutxos/checkmempool/{path}.bin")[2]
    equal(read_utxos(raw)[2:], (b"\x04", [(0x7fffffff, child.outputs[0].value, ANYONE)]))
    body = utxo_request([(display(spent[0]), 0), (id_of(parent), 0), (id_of(child), 0),
                         (id_of(child), 1)], True)
    equal(get(node, "/rest/getutxos.bin", method="POST", body=body)[2], raw)


@case()
def unspent_outputs_refusals(t):
    node = t.node("-rest")
    one = "44" * 32 + "-0"
    refused(node, "/rest/getutxos.json", 400, "empty request")
    refused(node, "/rest/getutxos/checkmempool.bin", 400, "empty request")
    refused(node, "/rest/getutxos/x-0.json", 400, "Parse error")
    refused(node, "/rest/getutxos/" + "/".join([one] * 16) + ".json", 400, "max outpoints exceeded")
    refused(node, "/rest/getutxos.bin", 400, "max outpoints exceeded", method="POST",
            body=utxo_request([("44" * 32, 0)] * 16))
    for body in (b"\x00", b"\x00\x01", b"\x00\x01" + bytes(35), b"\x00\x01" + bytes(37),
                 b"\x00\xff" + b"\xff" * 8, b"\x02\x01" + bytes(36)):
        refused(node, "/rest/getutxos.bin", 400, "Parse error", method="POST", body=body)
    refused(node, f"/rest/getutxos/{one}.bin", 400, "Combination", method="POST",
            body=utxo_request([("44" * 32, 0)]))
    equal(get(node, "/rest/getutxos.bin", method="POST", body=bytes(70000))[0], 413)


@case()
def addresses_and_methods(t):
    node = t.node("-rest")
    for path in ("/rest", "/rest/", "/rest/nosuch.json", "/rest/blockhashbyheight/0.json",
                 "/rest/chaininfox.json"):
        equal(get(node, path)[::2], (404, b""), path)
    refused(node, "/rest/chaininfo.bin", 404, "output format not found (available: json)")
    equal(get(node, "/rest/chaininfo.json", method="POST", body=b"x")[0], 405)
    for method in ("PUT", "DELETE", "HEAD"):
        equal(get(node, "/rest/chaininfo.json", method=method)[0], 405, method)
    equal(get(node, "/rest/chaininfo.json?x=1")[0], 200)


@case()
def pruned_blocks_are_not_available(t):
    node = t.node("-rest", "-prune=1", "-preferredblockfilesize=1MiB")
    node.rpc.generatetoaddress(1000, ADDRESS)
    chain = Chain(start_time=int(time.time()))
    script = b"\x6a" + push(os.urandom(60000))
    for _ in range(20):
        tip = node.rpc.getblockheader(node.tip())
        height = tip["height"] + 1
        block = Block.make(from_display(tip["hash"]), height, max(chain.time, tip["time"] + 1),
                           coinbase_tx=coinbase(height))
        block.txs[0].outputs.append(TxOut(0, script))
        block = Block.make(from_display(tip["hash"]), height, block.header.time,
                           coinbase_tx=block.txs[0])
        equal(node.rpc.submitblock(block.serialize().hex()), None)
    node.rpc.generatetoaddress(320, ADDRESS)
    check(node.rpc.pruneblockchain(1050) >= 1000, "the first file is pruned")
    gone = node.rpc.getblockhash(1)
    for form in ("bin", "hex", "json"):
        refused(node, f"/rest/block/{gone}.{form}", 404, gone + " not available")
        refused(node, f"/rest/block/notxdetails/{gone}.{form}", 404, gone + " not available")
    equal(get(node, f"/rest/headers/1/{gone}.json")[0], 200)


def large_chain(t):
    """A chain of one block, whose coinbase has 40 MB; the file with it."""
    chain = Chain()
    chain.add(coinbase_tx=None)
    tx = chain.blocks.pop().txs[0]
    tx.outputs.append(TxOut(0, b"\x6a" + bytes(40_000_000)))
    chain.time -= 1
    chain.add(coinbase_tx=tx)
    path = os.path.join(t.directory, "big.blk")
    data = chain.at(1).serialize()
    with open(path, "wb") as file:
        file.write(bytes.fromhex("fabfb5da") + struct.pack("<I", len(data)) + data)
    return chain, path


def node_with_large_block(t, path, *options):
    node = t.node("-rest", "-genesisactivationheight=1", "-loadblock=" + path, *options)
    node.wait_import(1)
    node.rpc.getblockchaininfo()
    return node


@case()
def large_transactions_take_the_memory_of_their_bytes_alone(t):
    """Two clients that do not read ask for 80 MB of hex each."""
    chain, path = large_chain(t)
    node = node_with_large_block(t, path, "-txindex", "-rpcservertimeout=1")
    raw = chain.at(1).txs[0].serialize()
    target = f"/rest/tx/{chain.at(1).txs[0].txid()[::-1].hex()}"
    node.reset_peak_memory()
    before = node.memory()
    slow = []
    for _ in range(2):
        s = socket.create_connection(("::1", node.rpc_port), timeout=30)
        s.sendall(f"GET {target}.hex HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        slow.append(s)
    for s in slow:
        equal(s.recv(12), b"HTTP/1.1 200")
    status, _, body = get(node, target + ".hex")
    equal((status, body == raw.hex().encode() + b"\n"), (200, True))
    status, _, body = get(node, target + ".bin")
    equal((status, body == raw), (200, True))
    check(node.memory_rise(before) < 300 << 20, f"memory rose by {node.memory_rise(before)}")
    for s in slow:
        s.close()


@case()
def large_blocks_are_sent_in_bounded_memory_to_slow_readers(t):
    """A block of 40 MB for clients that do not read: no memory, RPC goes on (attacks J4)."""
    chain, path = large_chain(t)
    data = chain.at(1).serialize()
    node = node_with_large_block(t, path, "-rpcservertimeout=1")
    node.reset_peak_memory()
    before = node.memory()
    target = f"/rest/block/{chain.tip_hex}"
    slow = []
    for _ in range(6):
        s = socket.create_connection(("::1", node.rpc_port), timeout=30)
        s.sendall(f"GET {target}.hex HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        slow.append(s)
    time.sleep(0.5)
    started = time.monotonic()
    for _ in range(20):
        equal(node.rpc.getblockchaininfo()["blocks"], 1)  # on an RPC worker
    check(time.monotonic() - started < within(2), "RPC answers while REST clients are slow")
    check(node.memory_rise(before) < 64 << 20, f"memory rose by {node.memory_rise(before)}")

    def served():
        return get(node, target + ".bin", {"Range": "bytes=1000-1009"})
    t.wait(lambda: served()[0] == 206, 20, "slow readers are cut off and others served")
    equal(served()[2], data[1000:1010])
    for s in slow:
        s.close()
    status, _, body = get(node, target + ".bin")
    equal((status, body == data), (200, True))


@case()
def warming_up_is_said(t):
    node = t.make_node("-rest")
    node.start()
    node.rpc.generatetoaddress(1, ADDRESS)
    node.stop()
    seen = set()
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            try:
                status, _, body = get(node, "/rest/chaininfo.json")
                seen.add((status, body[:40] if status != 200 else b""))
            except (OSError, http.client.HTTPException):
                pass
    asking = threading.Thread(target=ask)
    asking.start()
    node.start()
    stop.set()
    asking.join()
    equal({status for status, _ in seen} - {200, 503}, set())
    for status, body in seen:
        check(status == 200 or body.startswith(b"Service temporarily unavailable: "), body)


@case()
def the_list_of_addresses_counts_for_rest(t):
    """Without -rpcallowip nothing listens beyond loopback; with it, others are refused by 403."""
    own = own_address()
    if own is None:
        return
    node = t.node("-rest", "-rpcallowip=10.99.99.99", "-rpcbind=0.0.0.0", "-rpcbind=[::1]")
    connection = http.client.HTTPConnection(own, node.rpc_port, timeout=10)
    connection.request("GET", "/rest/chaininfo.json")
    equal(connection.getresponse().status, 403)
    equal(get(node, "/rest/chaininfo.json")[0], 200)


def own_address():
    """An address of this machine other than loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


if __name__ == "__main__":
    main()

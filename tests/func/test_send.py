"""Transactions from clients: submitted one by one and many at a time, mined, returned, kept."""
import http.client
import json
import os
import socket
import threading
import time

from blocks import ANYONE, Tx, TxIn, TxOut, coinbase, push, spend
from framework import Rpc, RpcError, case, check, equal, main, raises_rpc, within
from txs import (FEE, KEY, MATURE, coin, hex_of, id_of, mine, move, node_with_coins, output, pool,
                 send)


@case()
def one_transaction_enters_and_is_mined(t):
    node, chain = node_with_coins(t)
    parent = move(coin(chain, 1))
    child = move(output(parent))
    send(node, parent)
    send(node, child)
    equal(pool(node), {id_of(parent), id_of(child)})
    equal(node.rpc.getrawtransaction(id_of(child)), hex_of(child))
    mine(node, chain, parent)
    equal(pool(node), {id_of(child)})
    mine(node, chain, child)
    equal(pool(node), set())


@case()
def signed_transactions_enter_in_plain_and_extended_form(t):
    node, chain = node_with_coins(t, script=KEY.script)
    for height, extended in ((1, False), (2, True)):
        txid, index, value = coin(chain, height)
        tx = spend(KEY, txid, index, value, [TxOut(value - FEE, KEY.script)])
        text = tx.serialize_extended([TxOut(value, KEY.script)]).hex() if extended else hex_of(tx)
        equal(node.rpc.sendrawtransaction(text), id_of(tx))
    equal(len(pool(node)), 2)


@case()
def refusals_have_the_reference_s_codes(t):
    node, chain = node_with_coins(t)
    rpc = node.rpc
    good = move(coin(chain, 1))
    raises_rpc(-22, lambda: rpc.sendrawtransaction("00"), "TX decode failed")
    raises_rpc(-22, lambda: rpc.sendrawtransaction(hex_of(good) + "00"), "TX decode failed")
    raises_rpc(-25, lambda: rpc.sendrawtransaction(hex_of(move(output(good)))), "Missing inputs")
    send(node, good)
    raises_rpc(-27, lambda: rpc.sendrawtransaction(hex_of(good)), "already in the mempool")
    rival = move(coin(chain, 1), fee=5 * FEE)
    raises_rpc(-26, lambda: rpc.sendrawtransaction(hex_of(rival)), "258: txn-mempool-conflict")
    raises_rpc(-26, lambda: rpc.sendrawtransaction(hex_of(move(coin(chain, MATURE)))),
               "16: bad-txns-premature-spend-of-coinbase")
    dear = move(coin(chain, 2), fee=10**8)
    raises_rpc(-26, lambda: rpc.sendrawtransaction(hex_of(dear)), "256: absurdly-high-fee")
    equal(rpc.sendrawtransaction(hex_of(dear), True), id_of(dear))
    raises_rpc(-26, lambda: rpc.sendrawtransaction(hex_of(move(coin(chain, 3), fee=-1))),
               "16: bad-txns-in-belowout")
    mine(node, chain, good)
    raises_rpc(-27, lambda: rpc.sendrawtransaction(hex_of(good)), "already in block chain")
    for wrong in ("xyz", 1, None, ""):
        raises_rpc_any(lambda: rpc.sendrawtransaction(wrong))


@case()
def answers_that_come_later_go_to_who_asked(t):
    node, chain = node_with_coins(t)
    problems = []

    def client(number):
        rpc = Rpc(node.rpc_port, node.cookie)
        tx = move(coin(chain, number + 1))
        for i in range(4):
            wanted = {"id": [number, i], "result": id_of(tx), "error": None}
            _, _, data = rpc.post(json.dumps({"method": "sendrawtransaction", "id": [number, i],
                                              "params": {"hexstring": hex_of(tx)}}))
            if json.loads(data) != wanted:
                problems.append(data)
            tx = move(output(tx))
        rpc.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(problems, [])
    equal(len(pool(node)), 9 * 4)


@case()
def answers_of_one_connection_keep_their_order(t):
    node, chain = node_with_coins(t)
    txs = [move(coin(chain, height)) for height in range(1, 6)]
    requests, wanted = [], []
    for i, tx in enumerate(txs):
        requests += [("sendrawtransaction", [hex_of(tx)]), ("getblockcount", [])]
        wanted += [id_of(tx), MATURE]
    head = "".join(f"{name}: {value}\r\n" for name, value in node.rpc.headers().items())
    with socket.create_connection(("::1", node.rpc_port)) as link:
        for method, params in requests:
            body = json.dumps({"method": method, "params": params, "id": method})
            link.sendall(f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
                         .encode())
        stream = link.makefile("rb")
        for (method, _), result in zip(requests, wanted):
            lines = iter(stream.readline, b"\r\n")
            length = [int(line.split()[1]) for line in lines if line.startswith(b"Content-Length")]
            equal(json.loads(stream.read(length[0])),
                  {"result": result, "error": None, "id": method})
    equal(node.rpc.batch([("sendrawtransaction", [hex_of(move(output(txs[0])))])])[0]["error"],
          None)
    large = Tx([TxIn(coin(chain, 6)[0], 0)],
               [TxOut(coin(chain, 6)[2] - 10**6, b"\x00\x6a" + push(bytes(50000)))])
    send(node, large)


@case(timeout=90)
def a_stop_does_not_wait_for_a_script_that_is_being_judged(t):
    slow = push(bytes(1 << 20)) + b"\x76\xa8\x75" * 60000 + b"\x75\x51"  # DUP SHA256 DROP
    node, chain = node_with_coins(t, "-maxnonstdtxvalidationduration=3600000",
                                  "-maxscriptsizepolicy=0", "-maxtxsizepolicy=99999999")
    funding = Tx([TxIn(coin(chain, 1)[0], 0)], [TxOut(coin(chain, 1)[2] - 10**7, slow)])
    mine(node, chain, funding)
    answers = []

    def client():
        try:
            answers.append(Rpc(node.rpc_port, node.cookie).sendrawtransaction(
                hex_of(move(output(funding)))))
        except (RpcError, OSError, http.client.HTTPException) as error:
            answers.append(error)

    thread = threading.Thread(target=client)
    thread.start()
    node.wait_busy(0.3)
    equal(answers, [], "answers while the script runs")
    started = time.monotonic()
    node.stop()
    check(time.monotonic() - started < within(10), "a quick stop")
    thread.join()
    check(isinstance(answers[0], Exception), f"no acceptance: {answers}")


def raises_rpc_any(call):
    try:
        call()
    except Exception as error:  # its code is checked by the tests of all parameters
        check(getattr(error, "code", 0) < 0, "an RPC error: %r" % error)
        return
    raise AssertionError("no error")


@case()
def a_bad_signature_is_told_as_mandatory(t):
    node, chain = node_with_coins(t, "-acceptnonstdtxn=0", script=KEY.script)
    txid, index, value = coin(chain, 1)
    tx = spend(KEY, txid, index, value - 1,
               [TxOut(value - FEE, KEY.script)])  # signs another amount
    raises_rpc(-26, lambda: node.rpc.sendrawtransaction(hex_of(tx)),
               "16: mandatory-script-verify-flag-failed (Signature must be zero")
    unusual = move(coin(chain, 2))
    unusual.inputs[0].script = b"\x61"  # a NOP: not a push
    raises_rpc(-26, lambda: node.rpc.sendrawtransaction(hex_of(unusual)), "scriptsig-not-pushonly")


@case()
def many_are_answered_by_what_became_of_them(t):
    node, chain = node_with_coins(t)
    rpc = node.rpc
    known = move(coin(chain, 1))
    send(node, known)
    links = [move(coin(chain, 2))]
    for _ in range(4):
        links.append(move(output(links[-1])))
    rival, orphan = move(coin(chain, 1), fee=9 * FEE), move((bytes([7] * 32), 0, 10**6))
    batch = [{"hex": hex_of(x)} for x in [known] + links[::-1] + [rival, orphan]]
    batch[1]["listunconfirmedancestors"] = True  # the last link
    answer = rpc.sendrawtransactions(batch)
    equal(answer["known"], [id_of(known)])
    invalid = {entry["txid"]: entry for entry in answer["invalid"]}
    equal(set(invalid), {id_of(rival), id_of(orphan)})
    equal(invalid[id_of(rival)]["reject_code"], 258)
    equal(invalid[id_of(rival)]["reject_reason"], "txn-mempool-conflict")
    equal([c["txid"] for c in invalid[id_of(rival)]["collidedWith"]], [id_of(known)])
    equal(invalid[id_of(rival)]["collidedWith"][0]["hex"], hex_of(known))
    equal(invalid[id_of(orphan)]["reject_reason"], "missing-inputs")
    equal([u["txid"] for u in answer["unconfirmed"]], [id_of(links[-1])])
    equal({a["txid"] for a in answer["unconfirmed"][0]["ancestors"]},
          {id_of(x) for x in links[:-1]})
    equal(pool(node), {id_of(x) for x in [known] + links})
    equal(rpc.sendrawtransactions([{"hex": hex_of(move(coin(chain, 3)))}]), {})


@case()
def a_policy_of_the_call_or_of_one_transaction_counts(t):
    node, chain = node_with_coins(t, "-acceptnonstdtxn=0")
    rpc = node.rpc
    carrier = Tx([TxIn(coin(chain, 1)[0], 0)],
                 [TxOut(coin(chain, 1)[2] - FEE, ANYONE), TxOut(0, b"\x00\x6a" + push(bytes(200)))])
    refused = rpc.sendrawtransactions([{"hex": hex_of(carrier), "config": {
        "datacarrier": False, "acceptnonstdoutputs": False}}])
    equal(refused["invalid"][0]["reject_reason"], "scriptpubkey")
    refused = rpc.sendrawtransactions([{"hex": hex_of(carrier)}], {"datacarriersize": 100})
    equal(refused["invalid"][0]["reject_reason"], "datacarrier-size-exceeded")
    equal(rpc.sendrawtransactions([{"hex": hex_of(carrier), "config": {"datacarriersize": 1000}}],
                                  {"datacarriersize": 100}), {})
    for config, text in (({"nosuch": 1}, "nosuch"), ({"datacarrier": 1}, "true or false"),
                         ({"maxtxsizepolicy": -1}, "not negative"),
                         ({"skipscriptflags": ["P2SH"]}, "P2SH"),
                         ({"skipscriptflags": "DERSIG"}, "array")):
        raises_rpc(-8, lambda: rpc.sendrawtransactions([{"hex": "00", "config": config}]), text)
        raises_rpc(-8, lambda: rpc.sendrawtransactions([{"hex": "00"}], config), text)
    raises_rpc(-8, lambda: rpc.sendrawtransactions([]), "empty")
    raises_rpc(-8, lambda: rpc.sendrawtransactions([1]), "object")
    raises_rpc(-8, lambda: rpc.sendrawtransactions([{}]), "hex")
    raises_rpc(-22, lambda: rpc.sendrawtransactions([{"hex": "00"}]), "TX decode failed")


@case()
def a_reorganisation_returns_what_it_took(t):
    node, chain = node_with_coins(t)
    parent = move(coin(chain, 1))
    child, other = move(output(parent)), move(coin(chain, 2))
    send(node, parent)
    mine(node, chain, parent)
    send(node, child)
    send(node, other)
    fork = chain.fork(chain.height - 1)
    winner = move(coin(chain, 2), fee=2 * FEE)
    blocks = [fork.add(winner, step=2), fork.add(step=2)]
    for block in blocks:
        node.rpc.submitblock(block.serialize().hex())
    equal(node.rpc.getbestblockhash(), fork.tip_hex)
    equal(pool(node), {id_of(parent), id_of(child)})
    node.rpc.invalidateblock(blocks[0].hash_hex)
    equal(node.rpc.getbestblockhash(), chain.tip_hex)
    equal(pool(node), {id_of(child), id_of(winner)})


@case()
def a_restart_keeps_the_pools_and_a_kill_what_was_saved(t):
    node, chain = node_with_coins(t)
    first, second = move(coin(chain, 1)), move(coin(chain, 2))
    held = move(coin(chain, 3), sequence=5, lock_time=chain.height + 1000)
    send(node, first)
    send(node, held)
    equal(set(node.rpc.getrawnonfinalmempool()), {id_of(held)})
    node.restart()
    node_wait(t, node, {id_of(first)})
    equal(set(node.rpc.getrawnonfinalmempool()), {id_of(held)})
    send(node, second)
    equal(node.rpc.savemempool(), None)
    node.kill()
    node.start()
    node_wait(t, node, {id_of(first), id_of(second)})
    check(os.path.exists(node.file("mempool.dat")), "mempool.dat")


def node_wait(t, node, ids):
    t.wait(lambda: pool(node) == ids, what="the mempool has been read")


if __name__ == "__main__":
    main()

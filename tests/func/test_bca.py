"""bcaverify on daemons: a registration is mined, its addresses are judged by the chain of each, a
reorganisation voids them, the spend of the marker revokes them, and what is not known is not
judged."""
import json
import os
import subprocess

from blocks import ANYONE, Tx, TxIn, TxOut, spend
from framework import BUILD, case, equal, is_in, main, raises_rpc
from p2p import headers_payload
from txs import FEE, KEY, coin, id_of, mine, move, node_with_coins

TOOL = os.path.join(BUILD, "bsvpeer-bca")
SEED = bytes(range(32))
MARKER = 1  # output of a registration
PREFIX = "2001:db8:0:1::/64"
IDENTITY = ["--public-key=" + KEY.public.hex(), "--seed=-"]


def tool(*args, stdin=b"", code=0):
    done = subprocess.run([TOOL, *args, "--json"], input=stdin, capture_output=True, timeout=60,
                          check=False)
    equal(done.returncode, code, done.stderr.decode())
    return json.loads(done.stdout)


def registration(from_coin):
    """A transaction that registers KEY, with a marker of KEY."""
    txid, index, value = from_coin
    script = bytes.fromhex(tool("registration", *IDENTITY, stdin=SEED)["script"])
    return Tx([TxIn(txid, index)],
              [TxOut(0, script), TxOut(1, KEY.script), TxOut(value - FEE - 1, ANYONE)])


def form(block, index=0):
    """Address and parameters of a modifier of the registration in a block."""
    made = tool("address", "--network=regtest", *IDENTITY, "--prefix=" + PREFIX,
                "--block=" + block.serialize().hex(), f"--modifier-index={index}", stdin=SEED)
    return made["address"], made["params"]


def result(node, proof):
    v = node.rpc.bcaverify(*proof)
    return v["result"], v["failed_step"], v["confirmations"]


def submit(node, chain, first):
    for height in range(first, chain.height + 1):
        node.rpc.submitblock(chain.at(height).serialize().hex())
    equal(node.rpc.getbestblockhash(), chain.tip_hex)


def two_nodes(t):
    """Connected, at one tip."""
    a, chain = node_with_coins(t)
    b = t.node("-genesisactivationheight=1", "-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    return a, b, chain


@case()
def an_address_is_judged_by_the_chain_of_each_node(t):
    a, b, chain = two_nodes(t)
    block = mine(a, chain, registration(coin(chain, 1)))
    t.wait_same_tip(a, b)
    address, params = form(block, 3)
    for node in (a, b):
        equal(node.rpc.bcaverify(address, params), {
            "result": "valid", "failed_step": None, "network": "regtest", "address": address,
            "sec": 0, "security_bits": 59, "public_key": KEY.public.hex(), "block": block.hash_hex,
            "txid": id_of(block.txs[1]), "marker_output": MARKER, "confirmations": 1,
            "chain_checked": True, "revocation_checked": True})
    mine(a, chain)
    t.wait_same_tip(a, b)
    equal(result(b, (address, params)), ("valid", None, 2))
    code, out, _ = b.cli("bca", "verify", address, params)
    equal((code, json.loads(out)), (0, b.rpc.bcaverify(address, params)))
    equal(b.cli("bca", "nothing")[0], 89, "no method bcanothing")
    is_in("bca verify", b.cli("bca")[2])


@case()
def a_reorganisation_voids_addresses_until_they_are_formed_anew(t):
    a, b, chain = two_nodes(t)
    tx = registration(coin(chain, 1))
    first = mine(a, chain, tx)
    old = form(first)
    t.wait_same_tip(a, b)
    fork = chain.fork(chain.height - 1).grow(2)
    submit(a, fork, fork.height - 1)
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, old), ("invalid", "chain", None), "its block is stale")
    equal(tool("verify", "--network=regtest", *old)["result"], "valid", "offline nobody sees it")

    new = form(mine(a, fork, tx))
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, new), ("valid", None, 1))
        equal(result(node, old), ("invalid", "chain", None))
    a.rpc.invalidateblock(fork.tip_hex)
    equal(result(a, new), ("invalid", "chain", None), "a block that was refused")
    a.rpc.reconsiderblock(fork.tip_hex)
    equal(result(a, new), ("valid", None, 1))
    b.restart()
    equal(result(b, new), ("valid", None, 1))


@case()
def a_block_that_a_node_cannot_know_yet_is_undetermined(t):
    a, chain = node_with_coins(t)
    fork = chain.fork(chain.height)
    block = fork.add(registration(coin(chain, 1)))
    proof = form(block)
    new = t.node("-genesisactivationheight=1")
    equal(result(new, proof), ("undetermined", "chain", None), "before it has caught up")
    equal(result(a, proof), ("invalid", "chain", None), "unknown to a chain that has")

    peer = t.peer(a)
    peer.send("headers", headers_payload([block.header]))
    t.wait(lambda: a.rpc.getblockchaininfo()["headers"] == fork.height, what="the header")
    equal(result(a, proof), ("undetermined", "chain", None), "ahead of the blocks it has")
    submit(a, fork, fork.height)
    equal(result(a, proof), ("valid", None, 1))


@case()
def a_node_that_has_not_caught_up_does_not_say_that_a_marker_is_unspent(t):
    a, chain = node_with_coins(t)
    block = mine(a, chain, registration(coin(chain, 1)))
    late = t.make_node("-genesisactivationheight=1", "-maxtipage=1")
    late.start("-loadblock=" + chain.write(t.path("chain")))
    t.wait(lambda: late.rpc.getbestblockhash() == chain.tip_hex, what="its blocks")
    verdict = late.rpc.bcaverify(*form(block))
    equal((verdict["result"], verdict["failed_step"]), ("undetermined", "revoked"))
    equal((verdict["confirmations"], verdict["chain_checked"], verdict["revocation_checked"]),
          (1, True, False))


@case()
def the_spend_of_the_marker_revokes_when_it_is_mined(t):
    a, b, chain = two_nodes(t)
    tx = registration(coin(chain, 1))
    proof = form(mine(a, chain, tx))
    revocation = spend(KEY, tx.txid(), MARKER, 1, [TxOut(0, b"\x00\x6a")])
    t.wait_same_tip(a, b)
    equal(result(b, proof), ("valid", None, 1))
    mine(a, chain, revocation)
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, proof), ("invalid", "revoked", 2))
    equal(a.rpc.bcaverify(*proof)["revocation_checked"], True)
    a.rpc.invalidateblock(chain.tip_hex)
    equal(result(a, proof), ("valid", None, 1), "a spend that is in no block does not count")


@case()
def an_output_that_is_no_marker_revokes_nothing(t):
    a, chain = node_with_coins(t)
    tx = registration(coin(chain, 1))
    tx.outputs[MARKER] = TxOut(1, ANYONE)
    proof = form(mine(a, chain, tx))
    mine(a, chain, move((tx.txid(), MARKER, 1), fee=1))
    equal(result(a, proof), ("valid", None, 2))
    equal(a.rpc.bcaverify(*proof)["marker_output"], None)


@case()
def faults_are_named_and_wrong_calls_refused(t):
    a, chain = node_with_coins(t)
    address, params = form(mine(a, chain, registration(coin(chain, 1))))
    other = form(chain.at(chain.height), 1)[0]
    equal(result(a, (other, params)), ("invalid", "hash1", None))
    equal(result(a, ("2001:db8::1", params)), ("invalid", "subnet_prefix", None))
    for spoilt in ("", params[:-2], params + "00", "02" + params[2:]):
        verdict = a.rpc.bcaverify(address, spoilt)
        equal((verdict["result"], verdict["failed_step"]), ("invalid", "decode"))
        equal((verdict["public_key"], verdict["block"], verdict["chain_checked"]),
              (None, None, False))
    raises_rpc(-5, lambda: a.rpc.bcaverify("192.0.2.1", params), "Invalid IPv6 address: 192.0.2.1")
    raises_rpc(-5, lambda: a.rpc.bcaverify("", params), "Invalid IPv6 address")
    raises_rpc(-8, lambda: a.rpc.bcaverify(address, "0"), "hexadecimal")
    raises_rpc(-8, lambda: a.rpc.bcaverify(address, "xy"), "hexadecimal")
    raises_rpc(-1, lambda: a.rpc.bcaverify(address), "bcaverify")


if __name__ == "__main__":
    main()

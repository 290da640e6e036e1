"""What tests of Bitcoin-Certified Addresses share: registrations made by hand and by a wallet, and
what nodes say of them."""
import http.client
import json
import os
import subprocess

from blocks import ANYONE, Tx, TxIn, TxOut, spend
from framework import ADDRESS, BUILD, equal
from txs import FEE, KEY, node_with_coins

TOOL = os.path.join(BUILD, "bsvpeer-bca")
FAULT = os.path.join(BUILD, "tests", "fault", "fault.so")
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


def revocation_of(tx, script=b"\x00\x6a"):
    """Spends the marker of a registration."""
    return spend(KEY, tx.txid(), MARKER, 1, [TxOut(0, script)])


def revoked(node, proof):
    v = node.rpc.bcaverify(*proof)
    return v["revoked_by"], v["revocation_block"], v["revocation_pending"]


def result(node, proof):
    v = node.rpc.bcaverify(*proof)
    return v["result"], v["failed_step"], v["confirmations"]


def submit(node, chain, first):
    for height in range(first, chain.height + 1):
        node.rpc.submitblock(chain.at(height).serialize().hex())
    equal(node.rpc.getbestblockhash(), chain.tip_hex)


def two_nodes(t, *options):
    """Connected, at one tip; the options are of the second."""
    a, chain = node_with_coins(t)
    b = t.node("-genesisactivationheight=1", "-connect=" + a.p2p, *options)
    t.wait_same_tip(a, b)
    return a, b, chain


# --- identities of a wallet -----------------------------------------------------------------------

def wallet_node(t, *options):
    """A node whose wallet can spend one coin."""
    node = t.node(*options)
    node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
    node.rpc.generatetoaddress(100, ADDRESS)
    return node


def grow(node, n=1):
    return node.rpc.generatetoaddress(n, ADDRESS)


def identity(node, name="alice"):
    return next(i for i in node.rpc.bcalist()["identities"] if i["name"] == name)


def states(node):
    return {a["address"]: a["state"] for a in node.rpc.bcalist()["addresses"]}


def confirmed_identity(t, *options):
    """Two nodes, the first with an identity and an address of it in force."""
    a = wallet_node(t, *options)
    b = t.node("-connect=" + a.p2p)
    a.rpc.bcaregister("alice", 2)
    grow(a)
    made = a.rpc.bcanew("alice", PREFIX)
    t.wait_same_tip(a, b)
    return a, b, (made["address"], made["params"])


# --- crashes --------------------------------------------------------------------------------------

def kill_and_start(t, node, other):
    """What it had not written of the chain comes back from the other node."""
    t.wait_same_tip(node, other)
    node.kill()
    node.start()
    t.wait_same_tip(node, other)


def is_handed_over_again(t, node, txid):
    """After a kill; what it spends may have come back later than the wallet looked."""
    def is_there():
        if txid not in node.rpc.getrawmempool():
            node.rpc.resendwallettransactions()
        return txid in node.rpc.getrawmempool()
    t.wait(is_there, what="it in the mempool")


def crash_at(node, setting, path, act):
    """Starts it so that it ends at a write and acts; True: it ended in between."""
    node.stop()
    try:
        node.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": setting, "BSVPEER_FAULT_PATH": path})
    except (AssertionError, OSError):
        node.kill()
        return False  # before it could be asked
    try:
        act()
    except (OSError, http.client.HTTPException):
        node.kill()
        return True
    return False

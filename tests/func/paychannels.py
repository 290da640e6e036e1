"""What tests of payment channels share: two contacts on one chain, one of which pays the other."""
import http.client
import os
import shutil

from blocks import Block, from_display, sha256d
from channels import is_up, talker
from framework import ADDRESS, Rpc, RpcError, equal, wait_until
from identities import identity

CAPACITY = 1000000
CLOSE_FEE = 133
GENESIS = "-genesisactivationheight=1"  # the refund takes its rules


def mine(node, n=1):
    return node.rpc.generatetoaddress(n, ADDRESS)


class Raw:
    """A transaction for a block that somebody else has made."""

    def __init__(self, data):
        self.data = data

    def serialize(self):
        return self.data

    def txid(self):
        return sha256d(self.data)


def block_of(node, *transactions, at=None):
    """One on the tip with these alone, of that time, or a second after the one before."""
    tip = node.rpc.getblock(node.rpc.getbestblockhash())
    return Block.make(from_display(tip["hash"]), tip["height"] + 1, at or tip["time"] + 1,
                      [Raw(tx) for tx in transactions])


def mine_these(node, *transactions, at=None):
    """The hash of the block."""
    block = block_of(node, *transactions, at=at)
    equal(node.rpc.submitblock(block.serialize().hex()), None)
    equal(node.rpc.getbestblockhash(), block.hash_hex)
    return block.hash_hex


def payers(t, *options):
    """Two of them on one chain with a session; the first knows the second as bob, that one the
    first as alice. Blocks come here faster than they are looked at: no child pays for a close unless
    the test asks for it."""
    if not any(o.startswith("-paychannelchild=") for o in options):
        options += ("-paychannelchild=1000",)
    a, a_key = talker(t, GENESIS, *options)
    b = t.node(GENESIS, "-connect=" + a.p2p, *options)
    t.wait_same_tip(a, b)
    mine_to(b)
    t.wait_same_tip(a, b)
    b.rpc.bcaregister("me", 2)
    mine(b, 2)
    t.wait_same_tip(a, b)
    b_key = identity(b, "me")["public_key"]
    a.rpc.contactadd(f"{b_key}@{b.channel}", "bob")
    b.rpc.contactadd(f"{a_key}@{a.channel}", "alice")
    connect(t, a, b)
    return a, b


def mine_to(node):
    node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
    mine(node, 100)


def try_to_connect(node):
    try:
        node.rpc.peerconnect("bob")
    except RpcError:
        return False  # the other does not listen yet, or has had enough of it for a moment
    return True


def connect(t, a, b):
    """On both sides: one that does not know yet that the other has ended still has its session.
    Both are asked each time, so that it is noticed when one of them has ended."""
    t.wait(lambda: is_up(b, "alice") and is_up(a, "bob") or try_to_connect(a) and False)


def channel(node, id):
    return next((c for c in node.rpc.listpaychannels() if c.get("id") == id), None)


def state(node, id):
    found = channel(node, id)
    return found and found["state"]


def may_pay(a, b, id, paid=0):
    """More than that sum. The payee was asked itself: one that has just started takes nothing until
    it has seen the funding, and the payer may hold what was said before for true."""
    ours, theirs = channel(a, id), channel(b, id)
    return bool(ours and theirs) and ours["state"] == theirs["state"] == "open" and \
        not ours["locked"] and min(c.get("limit", 0) for c in (ours, theirs)) > paid


def open_channel(t, a, b, capacity=CAPACITY, depth=1, **more):
    """Funded in a block of that depth, and open on both sides: its id."""
    opened = a.rpc.openchannel(contact="bob", satoshis=capacity, **more)
    in_pool(t, b, opened["txid"])
    mine(b, depth)
    t.wait_same_tip(a, b)
    t.wait(lambda: state(a, opened["id"]) == "open" and state(b, opened["id"]) == "open")
    return opened["id"]


def paid_channel(t, *options, amounts=(1000,), **more):
    """Two of them with an open channel over which that was paid: payer, payee, id."""
    a, b = payers(t, *options)
    id = open_channel(t, a, b, **more)
    for amount in amounts:
        equal(a.rpc.pay("bob", amount)["acknowledged"], True)
    return a, b, id


def copy_parts(node, path, *parts):
    """Of the directory of a node that does not run."""
    for part in parts:
        shutil.copytree(node.file(part), os.path.join(path, part))


def put_back_parts(node, path, *parts):
    """As they were copied."""
    for part in parts:
        shutil.rmtree(node.file(part), ignore_errors=True)
        shutil.copytree(os.path.join(path, part), node.file(part))


def with_a_longer_push(raw):
    """The transaction whose first input pushes its signature in another way: another id, and valid
    in a block."""
    at = 4 + 1 + 36
    size = raw[at]
    assert size < 0xfd and raw[at + 1] < 0x4c, "one short push at first"
    return raw[:at] + bytes([size + 1, 0x4c]) + raw[at + 1:]


def in_pool(t, node, txid):
    wait_until(lambda: txid in node.rpc.getrawmempool(), what="in the mempool")


def spender(node, id):
    """The transaction in the mempool that spends the channel, or None."""
    found = channel(node, id)
    at = (found["txid"], found["vout"])
    for txid in node.rpc.getrawmempool():
        tx = node.rpc.getrawtransaction(txid, 1)
        if any((i["txid"], i["vout"]) == at for i in tx["vin"]):
            return tx
    return None


def sums(tx):
    """What its outputs are worth, in satoshis."""
    return [int(o["value"] * 10**8) for o in tx["vout"]]


def pay_until_killed(node, answers):
    """The amounts that were acknowledged."""
    rpc = Rpc(node.rpc_port, node.cookie)
    try:
        while rpc.pay("bob", 7)["acknowledged"]:
            answers.append(7)
    except (OSError, http.client.HTTPException, RpcError):
        pass  # one of the two is gone
    rpc.close()

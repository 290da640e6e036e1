"""What becomes of closes and refunds on their way into a block: they go to peers at once and whole,
again with each block, and get a child that pays when miners do not take them. And what a payee is
shown of the funding."""
from blocks import display, from_display, sha256d, var_bytes
from channels import talker
from framework import case, check, equal, is_in, main
from p2p import Listener, MSG_TX, Peer, inventory, parse_inventory
from paychan_guest import ACK, CAPACITY, CLOSED, FEE, PAY, changed_push, open_channel, payee
from paychan_payee_guest import Payee
from paychannels import GENESIS, channel, mine, mine_these, payers, spender, state, sums
from paychannels import open_channel as open_between

LOW = "-minminingtxfee=0.00001"  # above what closes and refunds pay: only a child gets them mined
RACED = 0x12


def watcher(t, node):
    peer = Peer.connect(node)
    t.cleanups.append(peer.close)
    return peer


def is_spend(node, payload, txid, index):
    tx = node.rpc.decoderawtransaction(payload.hex())
    return any((i["txid"], i.get("vout")) == (txid, index) for i in tx["vin"])


def sent(node, peer, txid, index=0, apart=(), seen=False):
    """The next transaction that comes to the peer (seen: or came before), spends this, and has none
    of these ids."""
    payload = peer.wait_for("tx", seen=seen, match=lambda p: is_spend(node, p, txid, index)
                            and display(sha256d(p)) not in apart)
    return node.rpc.decoderawtransaction(payload.hex())


def refuse(peer, txid, code, reason=b"txn-double-spend-detected"):
    peer.send("reject", var_bytes(b"tx") + bytes([code]) + var_bytes(reason) + from_display(txid))


def paid_channel(node, payer, amount=20000):
    open_channel(node, payer)
    payer.put(PAY, payer.pay(1, amount))
    payer.answer(ACK)
    return display(payer.funding.txid())


@case()
def a_close_goes_out_with_other_signatures_until_a_peer_shows_it(t):
    node, payer = payee(t, LOW, "-paychannelretry=0", "-paychannelchild=100")
    funding = paid_channel(node, payer)
    peers = [watcher(t, node) for _ in range(3)]
    node.rpc.closechannel(payer.id.hex())
    first = [sent(node, p, funding) for p in peers]
    equal(len({tx["txid"] for tx in first}), 1)
    known = [first[0]["txid"]]
    equal(sums(first[0]), [20000, CAPACITY - 20000 - FEE])

    refuse(peers[0], known[0], 0x10)  # refused for good: nothing hurries
    for _ in range(6):  # a race that was lost six times in a block
        refuse(peers[0], known[-1], RACED)
        tx = sent(node, peers[0], funding, apart=known)
        equal(sums(tx), sums(first[0]))
        known.append(tx["txid"])
    refuse(peers[0], known[-1], RACED)
    mine(node)  # a new block: once more without being asked to
    tx = sent(node, peers[1], funding, apart=known)
    known.append(tx["txid"])
    equal(len(known), 8)
    equal(spender(node, payer.id.hex())["txid"], known[0])  # our own node has the first

    late = watcher(t, node)  # who comes later is told as well
    equal(sent(node, late, funding)["txid"], known[-1])
    late.wait_for("getdata", match=lambda p: (MSG_TX, from_display(known[-1]))
                  in parse_inventory(p))  # has it kept what it was sent?
    late.send("tx", bytes.fromhex(node.rpc.getrawtransaction(known[0])))  # one of them
    late.ping()
    mine(node)
    equal(sent(node, peers[2], funding, apart=known[1:])["txid"], known[0])
    equal(spender(node, payer.id.hex())["txid"], known[0])


@case()
def an_announcement_of_the_close_is_evidence_too(t):
    node, payer = payee(t, LOW, "-paychannelchild=100")
    funding = paid_channel(node, payer)
    peer = watcher(t, node)
    node.rpc.closechannel(payer.id.hex())
    first = sent(node, peer, funding)["txid"]
    peer.send("inv", inventory((MSG_TX, from_display(first))))
    peer.ping()
    t.wait(lambda: channel(node, payer.id.hex())["spend"] == "close")
    for _ in range(2):
        mine(node)
        equal(sent(node, peer, funding)["txid"], first)


@case()
def only_peers_that_we_chose_are_told_and_believed_while_there_are_any(t):
    chosen = Listener()
    t.cleanups.append(chosen.close)
    node, payer = payee(t, LOW, "-connect=" + chosen.address, "-paychannelpeers=1",
                        "-paychannelchild=1")
    ours = chosen.accept()
    funding = paid_channel(node, payer, 20)  # too little for a child that pays
    theirs = watcher(t, node)
    node.rpc.closechannel(payer.id.hex())
    first = sent(node, ours, funding)["txid"]
    t.wait(lambda: channel(node, payer.id.hex())["spend"] == "close")
    theirs.send("inv", inventory((MSG_TX, from_display(first))))  # it may lie
    theirs.ping()
    equal(theirs.count("tx"), 0)
    mine(node)
    second = sent(node, ours, funding, apart=[first])["txid"]
    ours.send("inv", inventory((MSG_TX, from_display(second))))
    ours.ping()
    mine(node)
    sent(node, ours, funding, apart=[second])
    theirs.ping()
    equal([c for c, p in theirs.seen if c == "tx" and is_spend(node, p, funding, 0)], [])
    mine(node, 2)  # it has waited too long to be choosy
    sent(node, theirs, funding)


@case()
def a_close_goes_to_a_node_that_takes_it_by_rpc(t):
    node, payer = payee(t)
    paid_channel(node, payer)
    miner = t.node("-connect=" + node.p2p, "-blocksonly", GENESIS)
    t.wait_same_tip(node, miner)
    endpoint = f"{miner.cookie()}@[::1]:{miner.rpc_port}"
    node.restart("-paychannelnode=" + endpoint, "-paychannelnode=a:b@[::1]:1")
    t.wait_same_tip(node, miner)
    node.rpc.closechannel(payer.id.hex())
    t.wait(lambda: spender(node, payer.id.hex()))
    t.wait(lambda: len(miner.rpc.getrawmempool()) == 1)
    mine(miner)
    t.wait(lambda: channel(node, payer.id.hex()).get("spend_height"))
    equal(channel(node, payer.id.hex())["settled_paid"], 20000)
    equal(endpoint.split("@", maxsplit=1)[0] in node.log(), False)
    node.stop()
    node.launch("-paychannelnode=secret@nowhere")
    equal(node.wait_exit(), 1)
    is_in("user:password@host:port is wanted", node.errors())
    check("secret" not in node.errors(), "no password is told")
    node.process = None


def fee_of(tx, value):
    return value - sum(sums(tx))


@case()
def a_close_that_is_not_mined_gets_children_that_pay(t):
    node, payer = payee(t)
    paid_channel(node, payer)
    options = "-minminingtxfee=0.00003", "-paychannelchild=2"
    node.restart(*options)
    node.rpc.closechannel(payer.id.hex())
    close = t.wait(lambda: spender(node, payer.id.hex()))
    before = node.rpc.getbalance()
    mine(node)
    equal(channel(node, payer.id.hex()).get("spend_height"), None)
    node.restart(*options)  # the block counts all the same
    peer = watcher(t, node)
    mine(node)
    child = sent(node, peer, close["txid"])
    size = len(close["hex"]) // 2 + 192
    equal(FEE + fee_of(child, 20000), -(-size * 4 * 500 // 1000))
    t.wait(lambda: child["txid"] in node.rpc.getrawmempool())
    node.restart(*options)
    peer = watcher(t, node)
    t.wait(lambda: child["txid"] in node.rpc.getrawmempool())
    mine(node, 2)  # still too little: the next one spends the first
    second = sent(node, peer, child["txid"])
    equal(FEE + fee_of(child, 20000) + fee_of(second, sums(child)[0]),
          -(-(size + 192) * 8 * 500 // 1000))
    t.wait(lambda: second["txid"] in node.rpc.getrawmempool())
    mine(node)
    t.wait(lambda: channel(node, payer.id.hex()).get("spend_height"))
    equal(node.rpc.getrawmempool(), [])
    t.wait(lambda: int((node.rpc.getbalance() - before) * 10**8) == sums(second)[0])
    mine(node, 5)
    t.wait(lambda: state(node, payer.id.hex()) == "closed")


@case()
def blocks_that_are_older_than_the_close_say_nothing_of_it(t):
    """A node that was away for a day gets them after it has sent the close."""
    node, payer = payee(t, LOW, "-paychannelchild=2")
    paid_channel(node, payer)
    now = node.rpc.getblockheader(node.rpc.getbestblockhash())["time"] + 86400
    node.rpc.setmocktime(now)
    node.rpc.closechannel(payer.id.hex())
    close = t.wait(lambda: spender(node, payer.id.hex()))
    for _ in range(20):
        mine_these(node)
    for i in range(2):
        equal(node.rpc.getrawmempool(), [close["txid"]])
        mine_these(node, at=now + i)
    pool = t.wait(lambda: len(node.rpc.getrawmempool()) == 2 and node.rpc.getrawmempool())
    child = node.rpc.getrawtransaction(next(x for x in pool if x != close["txid"]), 1)
    equal(FEE + fee_of(child, 20000), -(-(len(close["hex"]) // 2 + 192) * 4 * 500 // 1000))


@case()
def children_take_no_more_than_half(t):
    node, payer = payee(t)
    paid_channel(node, payer, 1000)
    node.restart("-minminingtxfee=0.001", "-paychannelchild=1")
    watcher(t, node)
    node.rpc.closechannel(payer.id.hex())
    close = t.wait(lambda: spender(node, payer.id.hex()))
    mine(node)
    pool = t.wait(lambda: len(node.rpc.getrawmempool()) == 2 and node.rpc.getrawmempool())
    child = next(x for x in pool if x != close["txid"])
    equal(sums(node.rpc.getrawtransaction(child, 1)), [500])
    mine(node, 3)
    t.wait(lambda: "waits long" in channel(node, payer.id.hex()).get("alarm", ""))
    is_in("waits long", node.rpc.getinfo()["errors"])
    equal(len(node.rpc.getrawmempool()), 2)


@case()
def a_close_with_another_id_gets_a_child_of_its_own(t):
    node, payer = payee(t, LOW, "-paychannelchild=1")
    funding = paid_channel(node, payer)
    peer = watcher(t, node)
    node.rpc.closechannel(payer.id.hex())
    close = sent(node, peer, funding)
    mine_these(node)
    other = sent(node, peer, funding, apart=[close["txid"]], seen=True)  # others may have that
    sent(node, peer, close["txid"], seen=True)
    t.wait(lambda: len(node.rpc.getrawmempool()) == 2)
    raw = next(p for c, p in peer.seen if c == "tx" and display(sha256d(p)) == other["txid"])
    block = mine_these(node, raw)
    t.wait(lambda: channel(node, payer.id.hex()).get("spend_height"))
    node.rpc.invalidateblock(block)
    t.wait(lambda: other["txid"] in node.rpc.getrawmempool())  # soon with its child
    t.wait(lambda: channel(node, payer.id.hex()).get("spend_height") is None)
    mine_these(node)
    child = sent(node, peer, other["txid"], seen=True)
    t.wait(lambda: child["txid"] in node.rpc.getrawmempool())


@case()
def a_close_whose_push_was_changed_in_a_block_is_known(t):
    node, payer = payee(t)
    paid_channel(node, payer)
    node.rpc.closechannel(payer.id.hex())
    close = t.wait(lambda: spender(node, payer.id.hex()))
    changed = changed_push(bytes.fromhex(close["hex"]))
    block = mine_these(node, changed)
    t.wait(lambda: channel(node, payer.id.hex()).get("spend_height"))
    found = channel(node, payer.id.hex())
    equal((found["spend"], found["settled_paid"]), ("close", 20000))
    t.wait(lambda: any(u["txid"] == display(sha256d(changed)) for u in node.rpc.listunspent()))
    node.rpc.invalidateblock(block)  # no pool takes it back: the good one goes out again
    t.wait(lambda: spender(node, payer.id.hex()))
    mine(node, 6)
    t.wait(lambda: state(node, payer.id.hex()) == "closed")


@case()
def a_refund_that_is_not_mined_gets_a_child(t):
    a, b = payers(t, "-paychannelmargin=36", "-paychannelchild=1", "-paytxfee=0.001")
    id = open_between(t, a, b, expiry_blocks=181)
    b.restart("-channel=0")
    a.restart(LOW)
    t.wait_same_tip(a, b)
    mine(a, channel(a, id)["expiry"] - a.rpc.getblockcount())
    refund = t.wait(lambda: spender(a, id))
    mine(a)
    check(not channel(a, id).get("spend_height"), "it waits")
    t.wait(lambda: len(a.rpc.getrawmempool()) == 2)
    child = next(x for x in a.rpc.getrawmempool() if x != refund["txid"])
    tx = a.rpc.getrawtransaction(child, 1)
    equal(tx["vin"][0]["txid"], refund["txid"])
    check(fee_of(tx, sums(refund)[0]) > 1000, "it pays for both")
    mine(a)
    t.wait(lambda: channel(a, id).get("spend_height"))
    mine(a, 5)
    t.wait(lambda: state(a, id) == "refunded")


def raw_of(node, txid):
    return bytes.fromhex(node.rpc.getrawtransaction(txid))


@case()
def the_funding_is_shown_with_what_proves_it(t):
    """At once with its parents and their proofs, and with its own when a block has it."""
    node, key = talker(t, GENESIS)
    payee_guest = Payee(node, key)
    t.cleanups.append(payee_guest.close)
    node.rpc.contactadd(payee_guest.key, "mallory")
    payee_guest.connect()
    txid = payee_guest.open("mallory", CAPACITY)["txid"]
    raw, head = raw_of(node, txid), b"\1\1\1\1" + from_display(txid) + b"\1\0\xbe\xef"
    tx = node.rpc.decoderawtransaction(raw.hex())
    proved = b"".join(raw_of(node, i["txid"]) + b"\1\0" for i in tx["vin"])
    bump = bytes.fromhex(node.rpc.getbump(tx["vin"][0]["txid"]))
    equal((len(tx["vin"]), payee_guest.beef),
          (1, head + b"\1" + bump + b"\2" + proved + raw + b"\0"))
    mine(node)
    payee_guest.take_funded()
    bump = bytes.fromhex(node.rpc.getbump(txid))
    equal(payee_guest.beef, head + b"\1" + bump + b"\1" + raw + b"\1\0")


if __name__ == "__main__":
    main()

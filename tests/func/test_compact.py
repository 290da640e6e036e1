"""Compact blocks (spec p2p 3, 5, 8; attacks C2 to C6): received from scripted peers, served to
them, and between two nodes."""
import struct
import time

from framework import ADDRESS, RpcError, case, check, equal, main, within
from blocks import (ANYONE, Block, Chain, Tx, TxIn, TxOut, coinbase, compact, display,
                    from_display, push, sha256d)
from p2p import (ChainServer, Closed, MSG_BLOCK, MSG_CMPCT_BLOCK, Silence, blocktxn_payload,
                 cmpctblock_payload, frame, getblocktxn_payload, headers_payload, inventory,
                 parse_cmpctblock, parse_getblocktxn, parse_headers, parse_inventory,
                 sendcmpct_payload, short_id)


def fresh_chain(n, **options):
    return Chain(start_time=int(time.time()) - 3 * n - 600).grow(n, **options)


def spends(chain, first, n):
    """n transactions that spend coinbases of the chain from height `first` on."""
    return [Tx([TxIn(chain.at(first + i).txs[0].txid(), 0)], [TxOut(50 * 10**8 - 1000, ANYONE)])
            for i in range(n)]


def next_block(chain, n=5):
    """A block of n transactions above the chain's tip; it is not part of the chain."""
    return chain.fork(chain.height).add(*spends(chain, 1, n))


def try_submit(node, text):
    """The transaction may have come from the other node already."""
    try:
        node.rpc.sendrawtransaction(text)
    except RpcError as error:
        equal(error.code, -27, str(error))


def compact_peer(t, node, announce=0, **options):
    peer = t.peer(node, **options)
    peer.send("sendcmpct", sendcmpct_payload(announce))
    return peer.ping()


def asked_for(peer, block, timeout=10):
    """Indices of the node's getblocktxn for the block."""
    return parse_getblocktxn(peer.wait_for("getblocktxn", timeout,
                                           match=lambda p: p[:32] == block.hash()))[1]


# --- receiving -----------------------------------------------------------------------------------

@case()
def sendcmpct_follows_sendheaders_and_offers_version_1(t):
    peer = t.peer(t.node()).ping()
    names = [c for c, _ in peer.seen]
    equal(names[names.index("sendheaders") + 1], "sendcmpct")
    equal(peer.wait_for("sendcmpct", seen=True), sendcmpct_payload(0))


@case()
def missing_transactions_are_asked_for_once(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    peer.send("cmpctblock", cmpctblock_payload(block, prefilled=(0, 2)))
    equal(asked_for(peer, block), [1, 3, 4, 5])
    peer.send("blocktxn", blocktxn_payload(block, [1, 3, 4, 5]))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    equal(node.rpc.getblock(block.hash_hex, 0), block.serialize().hex())
    check("getdata" not in [c for c, _ in peer.ping().seen], "no whole block")
    equal(peer.score(node), 0)


@case()
def a_block_with_everything_prefilled_needs_no_request(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    peer.send("cmpctblock", cmpctblock_payload(block, prefilled=tuple(range(6))))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    check("getblocktxn" not in [c for c, _ in peer.ping().seen], "nothing is asked for")


@case()
def transactions_of_the_mempool_are_not_asked_for(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain, 8)
    for i in (7, 2, 4):
        node.rpc.sendrawtransaction(block.txs[i].serialize().hex())
    peer.send("cmpctblock", cmpctblock_payload(block))
    indices = asked_for(peer, block)
    equal(indices, [1, 3, 5, 6, 8])
    peer.send("blocktxn", blocktxn_payload(block, indices))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")


@case()
def a_block_of_known_transactions_takes_one_message(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain, 8)
    for tx in block.txs[1:]:
        node.rpc.sendrawtransaction(tx.serialize().hex())
    peer.send("cmpctblock", cmpctblock_payload(block))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    check("getblocktxn" not in [c for c, _ in peer.ping().seen], "nothing is asked for")


@case()
def a_collision_with_a_known_transaction_leads_to_the_whole_block(t):
    """Attack C3: the short id at the place of transaction 3 is that of another one we know."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain, 5)
    other = spends(chain, 6, 1)[0]
    for tx in block.txs[1:3] + block.txs[4:] + [other]:
        node.rpc.sendrawtransaction(tx.serialize().hex())
    peer.send("cmpctblock", cmpctblock_payload(block, change={3: other.txid()}))
    wanted = parse_inventory(peer.wait_for("getdata", match=lambda p: block.hash() in p))
    equal(wanted, [(MSG_BLOCK, block.hash())])
    peer.send("block", block.serialize())
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    equal(peer.score(node), 0)


@case()
def an_announced_block_is_asked_for_in_compact_form(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    peer.send("headers", headers_payload([block.header]))
    wanted = peer.wait_for("getdata", match=lambda p: block.hash() in p)
    equal(parse_inventory(wanted), [(MSG_CMPCT_BLOCK, block.hash())])
    peer.send("cmpctblock", cmpctblock_payload(block))
    peer.send("blocktxn", blocktxn_payload(block, asked_for(peer, block)))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")


@case()
def several_blocks_or_an_old_tip_are_asked_for_whole(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, branch = compact_peer(t, node), chain.fork(110).grow(2)
    peer.send("headers", headers_payload(branch.headers(111)))
    wanted = parse_inventory(peer.wait_for("getdata", match=lambda p: branch.tip in p))
    equal(wanted, [(MSG_BLOCK, branch.hash_at(h)) for h in (111, 112)])
    old = Chain(start_time=int(time.time()) - 6 * 3600).grow(10)
    node = t.node_at(old)
    peer, block = compact_peer(t, node), old.fork(10).add(time=int(time.time()))
    peer.send("headers", headers_payload([block.header]))
    wanted = parse_inventory(peer.wait_for("getdata", match=lambda p: block.hash() in p))
    equal(wanted, [(MSG_BLOCK, block.hash())])


@case()
def repeated_and_unasked_answers_change_nothing(t):
    """Attack C3."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    everything = blocktxn_payload(block, range(1, 6))
    for _ in range(3):
        peer.send("blocktxn", everything)
    peer.send("cmpctblock", cmpctblock_payload(block))
    asked_for(peer, block)
    for _ in range(20):
        peer.send("blocktxn", everything)
        peer.send("cmpctblock", cmpctblock_payload(block))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    for _ in range(3):
        peer.send("blocktxn", everything)
    equal(peer.ping().score(node), 0)


@case()
def an_answer_of_the_wrong_length_is_punished(t):
    """Spec p2p 3: blocktxn that is inconsistent scores 100; the block comes from another peer."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    block = next_block(chain)
    for indices in ([1, 2, 3], [1, 2, 3, 4, 5, 5]):
        peer = compact_peer(t, node)
        peer.send("cmpctblock", cmpctblock_payload(block))
        asked_for(peer, block)
        peer.send("blocktxn", blocktxn_payload(block, indices))
        check(peer.is_closed(), "disconnected")
    peer = compact_peer(t, node)
    peer.send("cmpctblock", cmpctblock_payload(block))
    peer.send("blocktxn", blocktxn_payload(block, asked_for(peer, block)))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")


@case()
def a_prefilled_place_outside_the_block_is_punished(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    good = cmpctblock_payload(block)
    at = 80 + 8 + 1 + 5 * 6 + 1
    equal(good[at], 0)
    peer.send("cmpctblock", good[:at] + b"\x06" + good[at + 1:])
    check(peer.is_closed(), "disconnected")


@case()
def wrong_transactions_lead_to_the_whole_block_without_blame(t):
    """Attack C3: what a collision of short ids looks like; the same peer then sends the block."""
    chain = fresh_chain(112)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    peer.send("cmpctblock", cmpctblock_payload(block))
    equal(asked_for(peer, block), [1, 2, 3, 4, 5])
    wrong = chain.fork(112).add(*spends(chain, 2, 5))
    peer.send("blocktxn", block.hash() + blocktxn_payload(wrong, range(1, 6))[32:])
    wanted = parse_inventory(peer.wait_for("getdata", match=lambda p: block.hash() in p))
    equal(wanted, [(MSG_BLOCK, block.hash())])
    peer.send("cmpctblock", cmpctblock_payload(block))
    equal(peer.ping().score(node), 0)
    peer.send("block", block.serialize())
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    equal(peer.score(node), 0)


@case()
def equal_short_ids_lead_to_the_whole_block(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    peer.send("cmpctblock", cmpctblock_payload(block, change={3: block.txs[1].txid()}))
    wanted = parse_inventory(peer.wait_for("getdata", match=lambda p: block.hash() in p))
    equal(wanted, [(MSG_BLOCK, block.hash())])
    peer.send("block", block.serialize())
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    equal(peer.score(node), 0)


@case()
def an_invalid_block_in_compact_form_costs_no_score(t):
    """Spec p2p 6: blocks rebuilt from compact form are not punished."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer = compact_peer(t, node)
    coin = chain.at(1).txs[0].txid()
    bad = chain.fork(110).add(Tx([TxIn(coin, 0)], [TxOut(1, ANYONE)]),
                              Tx([TxIn(coin, 0)], [TxOut(2, ANYONE)]))
    peer.send("cmpctblock", cmpctblock_payload(bad, prefilled=(0, 1, 2)))
    t.wait(lambda: bad.hash_hex in [r["hash"] for r in node.rpc.getchaintips()
                                    if r["status"] == "invalid"], 10, "verdict")
    equal(peer.ping().score(node), 0)


@case()
def a_header_without_work_in_a_compact_block_is_punished(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    block.header.unsolve()
    peer.send("cmpctblock", cmpctblock_payload(block))
    equal(peer.ping().score(node), 50)
    check("getblocktxn" not in [c for c, _ in peer.seen], "ignored")


@case()
def a_compact_block_above_an_unknown_one_brings_its_headers_first(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, branch = compact_peer(t, node), chain.fork(110).grow(2)
    peer.send("cmpctblock", cmpctblock_payload(branch.at(112)))
    peer.wait_for("getheaders")
    peer.send("headers", headers_payload(branch.headers(111)))
    wanted = parse_inventory(peer.wait_for("getdata", match=lambda p: branch.tip in p))
    equal(wanted, [(MSG_BLOCK, branch.hash_at(h)) for h in (111, 112)])


@case()
def compact_blocks_of_another_chain_lead_to_one_question_and_no_ban(t):
    """Attack C2: as headers that do not connect."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, other = compact_peer(t, node), fresh_chain(60, extra=b"o")
    asked = len([c for c, _ in peer.seen if c == "getheaders"])
    for height in range(5, 9):
        peer.send("cmpctblock", cmpctblock_payload(other.at(height)))
    equal(peer.ping().score(node), 0)
    equal(len([c for c, _ in peer.seen if c == "getheaders"]) - asked, 1)
    try:
        for height in range(9, 60):
            peer.send("cmpctblock", cmpctblock_payload(other.at(height)))
    except Closed:
        pass
    check(peer.is_closed(), "left in the end")
    equal(node.rpc.listbanned(), [])


@case()
def a_truncated_compact_message_is_rejected_without_score(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    for command, payload in (("cmpctblock", cmpctblock_payload(block)),
                             ("blocktxn", blocktxn_payload(block, [1, 2])),
                             ("getblocktxn", getblocktxn_payload(chain.tip, [0]))):
        peer.send(command, payload[:-1])
        peer.wait_for("reject", match=lambda p, c=command: c.encode() in p)
    equal(peer.score(node), 0)


@case(timeout=120)
def messages_too_large_to_collect_lead_to_the_whole_block(t):
    """Beyond 32 MiB only the beginning is looked at, and nothing is kept."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer, block = compact_peer(t, node), next_block(chain)
    node.reset_peak_memory()
    before = node.memory()
    peer.send("headers", headers_payload([block.header]))
    peer.wait_for("getdata", match=lambda p: (block.hash()) in p)
    peer.send("cmpctblock", cmpctblock_payload(block) + bytes(34 << 20))
    peer.wait_for("getdata", match=lambda p: parse_inventory(p) == [(MSG_BLOCK, block.hash())])
    peer.send("getblocktxn", getblocktxn_payload(chain.tip, [0]) + bytes(34 << 20))
    equal(peer.wait_for("block"), chain.at(110).serialize())
    other = compact_peer(t, node)
    other.send("blocktxn", block.hash() + bytes(34 << 20))
    other.ping()
    check(node.memory_rise(before) < 24 << 20, f"grew by {node.memory_rise(before)}")
    peer.send("block", block.serialize())
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")


@case(timeout=120)
def a_block_too_large_for_memory_is_put_together_on_disk(t):
    """Above 32 MiB the pieces go to the file as the intake takes them."""
    chain = fresh_chain(110)
    node = t.node_at(chain, "-genesisactivationheight=1")
    peer = compact_peer(t, node)
    data = b"\x00\x6a" + bytes(5 << 20)
    large = [Tx([TxIn(chain.at(i).txs[0].txid(), 0)], [TxOut(0, data)]) for i in range(1, 9)]
    block = chain.fork(110).add(*large)
    peer.send("cmpctblock", cmpctblock_payload(block, prefilled=(0, 1, 2, 3, 4)))
    equal(asked_for(peer, block), [5, 6, 7, 8])
    peer.send("blocktxn", blocktxn_payload(block, [5, 6, 7, 8]))
    t.wait(lambda: node.tip() == block.hash_hex, 30, "tip")
    equal(sha256d(peer.get_block(block.hash_hex, timeout=30)), sha256d(block.serialize()))
    equal(peer.score(node), 0)


# --- peers that do not deliver -------------------------------------------------------------------

@case()
def at_most_three_peers_are_asked_and_the_last_is_one_we_chose(t):
    """Attack C5."""
    chain = fresh_chain(110)
    listener = t.listener(height=110)
    node = t.node_at(chain, "-debug=net", "-connect=" + listener.address)
    block = next_block(chain)
    chosen = listener.accept()
    chosen.send("sendcmpct", sendcmpct_payload(0))
    others = [compact_peer(t, node) for _ in range(4)]
    for peer in others:
        peer.send("cmpctblock", cmpctblock_payload(block))
        peer.ping()
    t.wait(lambda: node.log().count("compact block at height 111: 5 transactions missing") == 4,
           10, "four looked up")
    asked = [p for p in others if "getblocktxn" in [c for c, _ in p.ping().seen]]
    equal(len(asked), 2, "the third place is kept")
    chosen.send("cmpctblock", cmpctblock_payload(block))
    chosen.send("blocktxn", blocktxn_payload(block, asked_when_its_turn_comes(chosen, block)))
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")


def asked_when_its_turn_comes(peer, block):
    """As asked_for; where the places were taken since, the node asks for the block first."""
    while True:
        command, payload = peer.receive()
        if command == "getblocktxn" and payload[:32] == block.hash():
            return parse_getblocktxn(payload)[1]
        if command == "getdata" and (MSG_CMPCT_BLOCK, block.hash()) in parse_inventory(payload):
            peer.send("cmpctblock", cmpctblock_payload(block))


@case()
def silent_peers_lose_their_places_together(t):
    """Attack C5: three of them cost little more than one. At first two peers are asked, then the
    others in turn: one at a time these would be four turns."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    block = next_block(chain)
    peers = [compact_peer(t, node) for _ in range(6)]
    for peer in peers:
        peer.send("cmpctblock", cmpctblock_payload(block))

    def left(waiting):
        return [p for p in waiting
                if not {"getblocktxn", "getdata"} & {c for c, _ in p.ping().seen}]
    t.wait(lambda: len(left(peers)) <= 4, 10, "the first two")
    waiting, turns = left(peers), 0
    while waiting:
        if left(waiting) != waiting:
            turns += 1
            waiting = left(waiting)  # once more, so that those asked at the same tick count as one
    check(turns <= 3, f"{turns} turns")


@case()
def who_answers_after_another_has_brought_the_block_owes_nothing(t):
    """Else it would be left as one that stalls, ten minutes later."""
    chain = fresh_chain(112)
    node = t.node_at(chain)
    for first_coin, more in ((1, b""), (6, bytes(34 << 20))):  # the second answer is not collected
        block = chain.add(*spends(chain, first_coin, 5))
        quick, late = compact_peer(t, node), compact_peer(t, node)
        for peer in (quick, late):
            peer.send("cmpctblock", cmpctblock_payload(block))
            equal(asked_for(peer, block), [1, 2, 3, 4, 5])
        quick.send("blocktxn", blocktxn_payload(block, range(1, 6)))
        t.wait(lambda b=block: node.tip() == b.hash_hex, 10, "tip")
        equal(late.info(node)["inflight"], [chain.height])
        late.send("blocktxn", blocktxn_payload(block, range(1, 6)) + more)
        equal(late.ping().score(node), 0)
        equal([p.info(node)["inflight"] for p in (quick, late)], [[], []])


@case()
def who_answers_while_the_block_of_another_is_stored_owes_nothing(t):
    chain = fresh_chain(110)
    node = t.node_at(chain, "-genesisactivationheight=1")
    data = b"\x00\x6a" + bytes(4 << 20)
    block = chain.fork(110).add(*[Tx([TxIn(chain.at(i).txs[0].txid(), 0)], [TxOut(0, data)])
                                  for i in range(1, 6)])
    quick, other = compact_peer(t, node), compact_peer(t, node)
    for peer in (quick, other):
        peer.send("cmpctblock", cmpctblock_payload(block))
        equal(asked_for(peer, block), [1, 2, 3, 4, 5])
    answer = blocktxn_payload(block, range(1, 6))
    whole = frame("blocktxn", answer, other.magic)
    other.send_raw(whole[:-1])
    quick.send("blocktxn", answer)
    other.send_raw(whole[-1:])
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    equal([p.ping().info(node)["inflight"] for p in (quick, other)], [[], []])


@case()
def a_form_that_comes_while_the_block_is_stored_leaves_nothing_open(t):
    """Whether its transactions are looked up before or after the end of that; whoever is asked
    answers."""
    chain = fresh_chain(140)
    node = t.node_at(chain)
    quick, other = compact_peer(t, node), compact_peer(t, node)
    for i in range(30):
        block = chain.add(*spends(chain, 1 + i, 1))
        form = frame("cmpctblock", cmpctblock_payload(block), other.magic)
        quick.send("cmpctblock", cmpctblock_payload(block))
        asked_for(quick, block)
        other.send_raw(form[:-1])
        quick.send("blocktxn", blocktxn_payload(block, [1]))
        other.send_raw(form[-1:])
        t.wait(lambda b=block: node.tip() == b.hash_hex, 10, "tip")
        t.wait(lambda b=block: nothing_is_open(node, (quick, other), b), 10,
               f"the end of block {i}")


def nothing_is_open(node, peers, block):
    for peer in peers:
        if any(c == "getblocktxn" and p[:32] == block.hash() for c, p in peer.ping().seen):
            peer.send("blocktxn", blocktxn_payload(block, range(1, len(block.txs))))
    return not any(p.ping().info(node)["inflight"] for p in peers)


@case()
def a_block_that_makes_room_for_the_third_at_once_is_asked_for_as_a_whole(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer = compact_peer(t, node)
    blocks = [chain.fork(110).add(*spends(chain, 1, 5), coinbase_tx=coinbase(111, extra=bytes([i])))
              for i in range(3)]
    for block in blocks:
        peer.send("cmpctblock", cmpctblock_payload(block))
        equal(asked_for(peer, block), [1, 2, 3, 4, 5])
    wanted = parse_inventory(peer.wait_for("getdata", seen=True,
                                           match=lambda p: blocks[0].hash() in p))
    equal(wanted, [(MSG_BLOCK, blocks[0].hash())])
    peer.send("block", blocks[0].serialize())
    t.wait(lambda: node.tip() == blocks[0].hash_hex, 10, "tip")
    for block in blocks:  # that of the first comes too late
        peer.send("blocktxn", blocktxn_payload(block, range(1, 6)))
    t.wait(lambda: peer.ping().info(node)["inflight"] == [], 10, "the end of all three")
    equal(peer.score(node), 0)


@case(timeout=90)
def eight_peers_that_announce_and_stall_do_not_hold_up_the_tip(t):
    """Attack C5: the tip is reached within 5 s of the announcement."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    block = next_block(chain)
    stalling = [compact_peer(t, node) for _ in range(8)]
    honest = compact_peer(t, node)
    for peer in stalling:
        peer.send("cmpctblock", cmpctblock_payload(block))
        peer.ping()
    started = time.monotonic()
    honest.send("cmpctblock", cmpctblock_payload(block))
    while node.tip() != block.hash_hex:
        check(time.monotonic() - started < within(5), "tip within 5 s")
        try:
            command, payload = honest.receive(0.05)
        except Silence:
            continue
        if command == "getblocktxn":
            honest.send("blocktxn", blocktxn_payload(block, parse_getblocktxn(payload)[1]))
        elif command == "getdata":
            honest.send("block", block.serialize())
    equal([p.score(node) for p in stalling], [0] * 8)


@case(timeout=90)
def stalling_peers_that_send_other_things_are_passed_over(t):
    """Attack C5: bytes that are no block do not count as one that comes."""
    chain = fresh_chain(110)
    node = t.node_at(chain)
    block = next_block(chain)
    stalling = [compact_peer(t, node) for _ in range(3)]
    for peer in stalling:
        peer.send("cmpctblock", cmpctblock_payload(block))
        peer.ping()
    honest = ChainServer(compact_peer(t, node), chain, start=False)
    honest.blocks[block.hash()] = block
    honest.peer.send("headers", headers_payload([block.header]))
    honest.start()
    started = time.monotonic()
    while node.tip() != block.hash_hex:
        check(time.monotonic() - started < within(5), "tip within 5 s")
        for peer in stalling:
            peer.send("nonsense", bytes(50000))
        time.sleep(0.05)


@case(timeout=90)
def wrong_transactions_of_others_do_not_disturb_an_honest_peer(t):
    """Attack C4: only the entry of (peer, block) that a message belongs to is given up."""
    chain = fresh_chain(120)
    node = t.node_at(chain)
    block, wrong = next_block(chain), chain.fork(120).add(*spends(chain, 2, 5))
    attackers = [compact_peer(t, node) for _ in range(2)]
    honest = compact_peer(t, node)
    attackers[0].send("cmpctblock", cmpctblock_payload(block))
    asked_for(attackers[0], block)
    honest.send("cmpctblock", cmpctblock_payload(block))
    indices = asked_for(honest, block)
    for attacker in attackers:  # the second one has everything prefilled, wrongly
        attacker.send("cmpctblock", cmpctblock_payload(block)[:89]
                      + cmpctblock_payload(wrong, prefilled=tuple(range(6)))[89:])
        attacker.send("blocktxn", block.hash() + blocktxn_payload(wrong, range(1, 6))[32:])
        attacker.ping()
    time.sleep(0.3)  # both are stored, and found wrong
    honest.send("blocktxn", blocktxn_payload(block, indices))
    t.wait(lambda: node.tip() == block.hash_hex, 5, "tip")
    equal(honest.score(node), 0)


@case(timeout=120)
def compact_blocks_of_many_peers_share_one_budget(t):
    """Attack C6: what does not fit is fetched whole, so that short ids fill no memory."""
    chain = fresh_chain(110)
    node = t.node_at(chain, "-memory=256MB")
    ids = b"".join(struct.pack("<Q", i)[:6] for i in range(300_000))
    most = 0
    for i in range(12):
        block = chain.fork(110).add(coinbase_tx=coinbase(111, extra=bytes([i])))
        peer = compact_peer(t, node)
        peer.send("cmpctblock", block.header.serialize() + bytes(8) + compact(300_000) + ids
                  + b"\x01\x00" + block.txs[0].serialize())
        peer.ping()
        most = max(most, node.rpc.getmemoryinfo()["ledger"]["compact"])
    check(10 << 20 < most <= 64 << 20, f"{most} bytes at the most")
    equal(node.rpc.getblockcount(), 110)


# --- high bandwidth ------------------------------------------------------------------------------

def deliver(t, node, chain, peer):
    """The peer brings the next block, whose header it announces."""
    block = chain.add()
    peer.send("headers", headers_payload([block.header]))
    peer.wait_for("getdata", match=lambda p: block.hash() in p)
    peer.send("block", block.serialize())
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")


def choices(peer):
    """What the node's sendcmpct messages said so far."""
    return [p[0] for c, p in peer.ping().seen if c == "sendcmpct"]


@case()
def the_last_three_who_brought_a_tip_announce_in_compact_form(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peers = [compact_peer(t, node) for _ in range(4)]
    for peer in peers[:3]:
        deliver(t, node, chain, peer)
    t.wait(lambda: [choices(p) for p in peers] == [[0, 1]] * 3 + [[0]], 10, "three chosen")
    deliver(t, node, chain, peers[0])  # now the latest
    deliver(t, node, chain, peers[3])
    t.wait(lambda: choices(peers[3]) == [0, 1], 10, "the fourth")
    equal([choices(p) for p in peers], [[0, 1], [0, 1, 0], [0, 1], [0, 1]])


@case()
def the_one_peer_we_chose_keeps_its_place(t):
    chain = fresh_chain(110)
    listener = t.listener(height=110)
    node = t.node_at(chain, "-connect=" + listener.address)
    chosen = listener.accept()
    chosen.send("sendcmpct", sendcmpct_payload(0))
    deliver(t, node, chain, chosen)
    inbound = [compact_peer(t, node) for _ in range(3)]
    for peer in inbound:
        deliver(t, node, chain, peer)
    t.wait(lambda: choices(inbound[2]) == [0, 1], 10, "the newest")
    equal(choices(chosen), [0, 1])
    equal([choices(p) for p in inbound], [[0, 1, 0], [0, 1], [0, 1]])


@case()
def with_blocksonly_nothing_is_asked_for_in_compact_form(t):
    chain = fresh_chain(110)
    node = t.node_at(chain, "-blocksonly")
    peer = compact_peer(t, node)
    block = chain.add()
    peer.send("cmpctblock", cmpctblock_payload(block))
    wanted = parse_inventory(peer.wait_for("getdata", match=lambda p: block.hash() in p))
    equal(wanted, [(MSG_BLOCK, block.hash())])
    peer.send("block", block.serialize())
    t.wait(lambda: node.tip() == block.hash_hex, 10, "tip")
    equal(choices(peer), [0])


# --- serving -------------------------------------------------------------------------------------

def check_form(payload, block):
    """The message must be the block's: the coinbase prefilled, short ids for the rest."""
    got = parse_cmpctblock(payload)
    equal(got["header"], block.header.serialize())
    equal(got["ids"], [short_id(got["header"], got["nonce"], x.txid()) for x in block.txs[1:]])
    equal((got["prefilled"], got["rest"]), (1, b"\0" + block.txs[0].serialize()))


@case()
def compact_blocks_are_served_near_the_tip_and_whole_ones_below(t):
    chain = fresh_chain(110)
    chain.add(*spends(chain, 1, 8))
    node = t.node_at(chain)
    peer = t.peer(node)
    for height in (111, 107, 106):  # up to five blocks below
        peer.send("getdata", inventory((MSG_CMPCT_BLOCK, chain.hash_at(height))))
        check_form(peer.wait_for("cmpctblock"), chain.at(height))
    peer.send("getdata", inventory((MSG_CMPCT_BLOCK, chain.hash_at(105))))
    equal(peer.wait_for("block"), chain.at(105).serialize())


@case()
def answers_to_getdata_keep_their_order(t):
    chain = fresh_chain(110)
    node = t.node_at(chain)
    peer = t.peer(node)
    wanted = [(MSG_CMPCT_BLOCK, 110), (MSG_BLOCK, 3), (MSG_CMPCT_BLOCK, 109),
              (MSG_CMPCT_BLOCK, 110), (MSG_BLOCK, 110)]
    peer.send("getdata", inventory(*[(k, chain.hash_at(h)) for k, h in wanted]))
    peer.send("getblocktxn", getblocktxn_payload(chain.tip, [0]))
    peer.send("ping", b"afterall")
    got = []
    while True:
        command, payload = peer.receive()
        if command == "pong":
            break
        if "block" in command:
            got.append((command, payload[:32] if command == "blocktxn" else sha256d(payload[:80])))
    names = {MSG_BLOCK: "block", MSG_CMPCT_BLOCK: "cmpctblock"}
    # One transaction of one is more than 99 %: the block itself answers getblocktxn.
    equal(got, [(names[k], chain.hash_at(h)) for k, h in wanted] + [("block", chain.tip)])


@case()
def old_tips_are_served_whole(t):
    old = Chain(start_time=int(time.time()) - 6 * 3600).grow(10)
    node = t.node_at(old)
    peer = t.peer(node)
    peer.send("getdata", inventory((MSG_CMPCT_BLOCK, old.tip)))
    equal(peer.wait_for("block"), old.at(10).serialize())


@case()
def missing_transactions_are_served_down_to_ten_blocks(t):
    chain = fresh_chain(110)
    chain.add(*spends(chain, 1, 6))
    chain.grow(10)
    node = t.node_at(chain)
    peer = t.peer(node)
    equal(chain.height, 121)
    peer.send("getblocktxn", getblocktxn_payload(chain.hash_at(111), [0, 2, 3, 6]))
    equal(peer.wait_for("blocktxn"), blocktxn_payload(chain.at(111), [0, 2, 3, 6]))
    node.rpc.generatetoaddress(1, ADDRESS)
    peer.send("getblocktxn", getblocktxn_payload(chain.hash_at(111), [2]))
    equal(peer.wait_for("block"), chain.at(111).serialize())
    peer.send("getblocktxn", getblocktxn_payload(b"\x77" * 32, [0]))
    peer.ping()
    equal(peer.score(node), 0)


@case()
def who_misses_nearly_everything_gets_the_block(t):
    chain = fresh_chain(110)
    chain.add(*spends(chain, 1, 9))
    node = t.node_at(chain, "-maxblocktxnpercent=50")
    peer = t.peer(node)
    peer.send("getblocktxn", getblocktxn_payload(chain.tip, range(5)))
    equal(peer.wait_for("blocktxn"), blocktxn_payload(chain.at(111), range(5)))
    peer.send("getblocktxn", getblocktxn_payload(chain.tip, range(6)))
    equal(peer.wait_for("block"), chain.at(111).serialize())


@case()
def an_index_outside_the_block_is_punished(t):
    chain = fresh_chain(110)
    chain.add(*spends(chain, 1, 3))
    node = t.node_at(chain)
    for indices in ([4], range(5), [2**32 - 1]):
        peer = t.peer(node)
        peer.send("getblocktxn", getblocktxn_payload(chain.tip, indices))
        check(peer.is_closed(), "disconnected")


@case()
def who_asked_for_it_learns_of_new_tips_by_compact_block(t):
    node = t.node()
    node.rpc.generatetoaddress(3, ADDRESS)
    fast, slow = compact_peer(t, node, announce=1, height=3), compact_peer(t, node, height=3)
    for peer in (fast, slow):
        peer.send("sendheaders")
        peer.get_headers([from_display(node.rpc.getblockhash(0))])
    tip = node.rpc.generatetoaddress(1, ADDRESS)[0]
    equal(display(sha256d(fast.wait_for("cmpctblock")[:80])), tip)
    slow.wait_for("headers", match=lambda p: display(parse_headers(p)[-1].hash()) == tip)
    names = [c for c, _ in fast.ping().collect(0.3)]
    check(not {"headers", "inv"} & set(names), "told once")
    check("cmpctblock" not in [c for c, _ in slow.seen], "the other did not ask for it")


@case(timeout=90)
def a_block_is_passed_on_before_its_scripts_are_checked(t):
    """It extends the tip and fits its header; that its scripts fail shows later, to nobody's
    harm."""
    chain = fresh_chain(110)
    node = t.node_at(chain, "-genesisactivationheight=1", "-par=4")
    fast = compact_peer(t, node, announce=1, height=110)
    fast.get_headers([chain.hash_at(100)])
    source = t.peer(node)
    hashes = push(bytes(1 << 20)) + b"\x76\xa8\x75" * 3000 + b"\x00"  # DUP SHA256 DROP; 0
    first = Tx([TxIn(chain.at(1).txs[0].txid(), 0)], [TxOut(5, hashes)])

    def is_condemned(block):
        return any(r["hash"] == block.hash_hex and r["status"] == "invalid"
                   for r in node.rpc.getchaintips())
    for attempt in range(10):  # on a busy machine the checks may end before we look
        bad = chain.fork(110).add(first, Tx([TxIn(first.txid(), 0)], [TxOut(5, ANYONE)]),
                                  coinbase_tx=coinbase(111, extra=bytes([attempt])))
        source.send("block", bad.serialize())
        check_form(fast.wait_for("cmpctblock"), bad)
        fast.send("getblocktxn", getblocktxn_payload(bad.hash(), [2]))
        equal(fast.wait_for("blocktxn"), blocktxn_payload(bad, [2]))
        in_time = not is_condemned(bad)
        t.wait(lambda: is_condemned(bad), 60, "verdict")  # pylint: disable=cell-var-from-loop
        if in_time:
            break
    check(in_time, "it is passed on while it is still being checked")
    fast.send("getblocktxn", getblocktxn_payload(bad.hash(), [1]))
    before = len(fast.seen)
    fast.ping()
    check("blocktxn" not in [c for c, _ in fast.seen[before:]], "an invalid block is not served")


@case()
def two_nodes_pass_blocks_in_compact_form(t):
    a = t.node()
    a.rpc.generatetoaddress(5, ADDRESS)
    b = t.node("-addnode=" + a.p2p)
    t.wait_same_tip(a, b)
    for _ in range(3):
        a.rpc.generatetoaddress(1, ADDRESS)
        t.wait_same_tip(a, b)
    sent = a.rpc.getpeerinfo()[0]["bytessent_per_msg"]
    check(sent.get("cmpctblock", 0) > 0, f"a sent compact blocks: {sent}")


@case()
def a_mined_block_travels_in_compact_form_where_its_transactions_are_known(t):
    chain = fresh_chain(110)
    a, b = t.node_at(chain), t.node_at(chain)
    b.rpc.addnode(a.p2p, "onetry")
    t.wait(lambda: a.rpc.getconnectioncount() == 1, 10, "connection")
    b.rpc.generatetoaddress(1, ADDRESS)
    t.wait_same_tip(a, b)
    transactions = [x.serialize().hex() for x in spends(chain, 1, 9)]
    for text in transactions:
        try_submit(a, text)
        try_submit(b, text)
    before = a.rpc.getpeerinfo()[0]["bytessent_per_msg"]
    block = chain.fork(110)
    block.blocks.append(Block.make(from_display(a.tip()), 112, int(time.time()),
                                   spends(chain, 1, 9)))
    equal(a.rpc.submitblock(block.at(111).serialize().hex()), None)
    t.wait_same_tip(a, b)
    after = a.rpc.getpeerinfo()[0]["bytessent_per_msg"]
    check(after["cmpctblock"] > before.get("cmpctblock", 0), "sent in compact form")
    equal(after.get("blocktxn", 0), before.get("blocktxn", 0))
    equal(after.get("block", 0), before.get("block", 0))


@case(timeout=180)
def no_block_of_a_quick_series_is_left_out(t):
    """Blocks come faster than their forms are made and than the other side asks for headers."""
    source = t.node()
    other = t.node("-connect=" + source.p2p)
    for i in range(150):
        if i % 4 == 0:
            other.restart()
        source.rpc.generatetoaddress(15, ADDRESS)
        t.wait_same_tip(source, other)


if __name__ == "__main__":
    main()

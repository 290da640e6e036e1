"""A payer that sends its refund early: nothing that is valid before the expiry can be made, and
what waits for it in the pool of transactions that are not final gives way to the close."""
from blocks import display, sha256d
from framework import case, equal, is_in, main, raises_rpc
from p2p import Peer
from paychan_guest import ACK, CAPACITY, CLOSED, FEE, PAY, open_channel, payee
from paychannels import channel, mine, spender, state, sums

FLOOD = 150


def paid_channel(t):
    node, payer = payee(t)
    open_channel(node, payer)
    payer.put(PAY, payer.pay(1, 20000))
    payer.answer(ACK)
    return node, payer, channel(node, payer.id.hex())["expiry"]


def is_settled(t, node, payer):
    tx = t.wait(lambda: spender(node, payer.id.hex()))
    equal(sums(tx), [20000, CAPACITY - 20000 - FEE])
    equal(node.rpc.getrawnonfinalmempool(), [])
    mine(node, 6)
    t.wait(lambda: state(node, payer.id.hex()) == "closed")
    equal(channel(node, payer.id.hex())["settled_paid"], 20000)


@case()
def a_parked_refund_gives_way_to_the_close(t):
    node, payer, expiry = paid_channel(t)
    peers = [Peer.connect(node) for _ in range(2)]
    t.cleanups += [p.close for p in peers]
    flood = [payer.refund(expiry + i % 50, skip=i // 50) for i in range(FLOOD)]
    equal(len(set(flood)), FLOOD)
    for i, refund in enumerate(flood):
        peers[i % 2].send("tx", refund)
    payer.answer(CLOSED)  # it closes at once, before anybody asks
    for i, refund in enumerate(flood):  # again, while the close is on its way
        peers[i % 2].send("tx", refund)
    for peer in peers:
        peer.ping()
    is_in("not ours spends", channel(node, payer.id.hex())["alarm"])
    is_settled(t, node, payer)
    raises_rpc(-25, lambda: node.rpc.sendrawtransaction(flood[0].hex()), "Missing inputs")


@case()
def a_refund_that_was_parked_while_the_payee_was_away_gives_way(t):
    node, payer, expiry = paid_channel(t)
    node.restart("-channel=0")
    refund = payer.refund(expiry)
    equal(node.rpc.sendrawtransaction(refund.hex()), display(sha256d(refund)))
    equal(node.rpc.getrawnonfinalmempool(), [display(sha256d(refund))])
    node.restart()
    is_settled(t, node, payer)


@case()
def a_refund_before_its_time_does_not_get_into_a_block(t):
    """The payee is away until the margin has begun; the refund waits in its pool meanwhile."""
    node, payer, expiry = paid_channel(t)
    node.restart("-channel=0")
    refund = payer.refund(expiry)
    node.rpc.sendrawtransaction(refund.hex())
    mine(node, expiry - 1 - node.rpc.getblockcount())
    equal(node.rpc.getrawmempool(), [])
    node.restart()  # one block before the payer may take all
    is_settled(t, node, payer)


if __name__ == "__main__":
    main()

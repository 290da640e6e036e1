"""Channels whose money is in danger say so in time, and close by the clock when no blocks come."""
import time

from events import read_events
from framework import case, check, equal, is_in, main, raises_rpc
from paychan_guest import ACK, DEPTH, PAY, open_channel, payee
from paychannels import channel, mine, payers, spender, state, sums
from paychannels import open_channel as open_between

MARGIN = "-paychannelmargin=36"
BLOCK_S = 600


def alarm(node, id):
    found = channel(node, id)
    return found.get("alarm", ""), found.get("alarm_level")


@case()
def a_locked_payee_is_warned_before_it_has_to_close(t):
    a, b = payers(t, MARGIN)
    id = open_between(t, a, b, expiry_blocks=36 + 146)
    equal(a.rpc.pay("bob", 4000)["acknowledged"], True)
    b.rpc.encryptwallet("secret")
    b.restart()
    a.kill()  # nobody else knows of the channel
    t.wait(lambda: alarm(b, id)[1] == "warning")  # that it is locked at all
    mine(b, 2)
    t.wait(lambda: "to be settled soon" in alarm(b, id)[0])
    equal(alarm(b, id)[1], "warning")
    mine(b, 144)
    t.wait(lambda: alarm(b, id)[1] == "urgent")
    is_in("to be settled soon: unlock", b.rpc.getinfo()["errors"])
    equal(state(b, id), "closing")
    b.rpc.walletpassphrase("secret", 60)
    t.wait(lambda: "no peer is connected" in alarm(b, id)[0])
    tx = t.wait(lambda: spender(b, id))
    equal(sums(tx)[0], 4000)
    mine(b)
    t.wait(lambda: "alarm" not in channel(b, id))
    t.wait(lambda: sum("settled soon" in e["text"] for e in read_events(b)
                       if e["type"] == "channel_alarm") == 3)  # locked, the same urgent, no peers


@case()
def without_new_blocks_nothing_is_taken_and_time_closes(t):
    node, payer = payee(t, MARGIN)
    open_channel(node, payer, blocks=300)
    payer.put(PAY, payer.pay(1, 1000))
    payer.answer(ACK)
    id = payer.id.hex()
    left = channel(node, id)["expiry"] - node.rpc.getblockcount()
    tip = node.rpc.getblockheader(node.rpc.getbestblockhash())["time"]
    node.rpc.setmocktime(tip + 7200)
    payer.put(PAY, payer.pay(2, 1100))
    payer.answer(ACK)
    node.rpc.setmocktime(tip + 7201)
    payer.refused(PAY, payer.pay(3, 1200), DEPTH, payer.id)
    t.wait(lambda: "blocks are missing" in alarm(node, id)[0])
    equal(alarm(node, id)[1], "warning")
    equal((channel(node, id)["paid"], state(node, id)), (1100, "open"))
    due = tip + (left - 36) * BLOCK_S
    node.rpc.setmocktime(due)
    time.sleep(1.2)  # a tick
    equal(state(node, id), "open")
    node.rpc.setmocktime(due + 1)
    tx = t.wait(lambda: spender(node, id))
    equal(sums(tx)[0], 1100)
    check(state(node, id) == "closing", "it closes")


@case()
def a_node_without_new_blocks_opens_no_channel(t):
    a, b = payers(t)
    tip = b.rpc.getblockheader(b.rpc.getbestblockhash())["time"]
    b.rpc.setmocktime(tip + 7201)
    raises_rpc(-1, lambda: a.rpc.openchannel("bob", 100000), "newest blocks")
    equal(b.rpc.listpaychannels(), [])


if __name__ == "__main__":
    main()

"""Payment channels of payers who are no contacts, and their limits."""
import os
import struct

from channels import talker
from framework import case, equal, main
from paychan_guest import (ACCEPT, ACK, CAPACITY, CLOSED, FUNDED, GENESIS, LIMIT, OPEN, PAY, READY,
                           SYNC, open_channel, stranger)
from paychannels import channel, mine, spender, state, sums

REFUSED = 1
ALLOWED = ("-channelstrangers=1", "-paychannelstrangers=1")


def opening(node, payer, nonce):
    return payer.open_message(CAPACITY, node.rpc.getblockcount() + 1000, nonce)


def refused(node, payer, code):
    nonce = os.urandom(32)
    payer.refused(OPEN, opening(node, payer, nonce), code, nonce)


@case()
def who_is_no_contact_opens_none_unless_that_is_allowed(t):
    node, key = talker(t, GENESIS, "-channelstrangers=1")
    refused(node, stranger(t, node, key).connect(), REFUSED)
    equal(node.rpc.listpaychannels(), [])


@case()
def a_stranger_pays_and_is_settled(t):
    node, key = talker(t, GENESIS, *ALLOWED)
    payer, other = (stranger(t, node, key).connect() for _ in range(2))
    open_channel(node, payer)
    payer.put(PAY, payer.pay(1, 1000))
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 1, 1000))
    other.refused(PAY, payer.pay(2, 2000), 10, payer.id)  # not the one whose it is
    equal(channel(node, payer.id.hex()).get("contact"), None)
    node.restart()
    payer.connect()
    payer.answer(SYNC)
    payer.put(SYNC, payer.sync(1, 1000))
    payer.put(PAY, payer.pay(2, 1500))
    payer.answer(READY)
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 2, 1500))
    node.rpc.contactadd(payer.key, "mallory")  # the channel stays
    payer.put(PAY, payer.pay(3, 1600))
    equal(payer.answer(ACK), payer.id + struct.pack(">QQ", 3, 1600))
    node.rpc.closechannel(payer.id.hex())
    payer.answer(CLOSED)
    equal(sums(t.wait(lambda: spender(node, payer.id.hex())))[0], 1600)


@case()
def one_stranger_has_so_many_and_asks_so_often(t):
    node, key = talker(t, GENESIS, *ALLOWED)
    payer = stranger(t, node, key).connect()
    for _ in range(4):
        payer.put(OPEN, opening(node, payer, os.urandom(32)))
        payer.answer(ACCEPT)
    refused(node, payer, LIMIT)
    equal(len(node.rpc.listpaychannels()), 4)
    node.restart(*ALLOWED, "-paychannelstrangercount=100")
    payer = stranger(t, node, key).connect()
    for _ in range(6):
        payer.put(OPEN, opening(node, payer, os.urandom(32)))
        payer.answer(ACCEPT)
    refused(node, payer, LIMIT)  # the seventh of an hour
    equal(len(node.rpc.listpaychannels()), 10)


@case()
def strangers_of_one_network_have_so_many_that_are_not_funded(t):
    node, key = talker(t, GENESIS, *ALLOWED, "-paychannelstrangersper48=2")
    one, two, three = (stranger(t, node, key).connect() for _ in range(3))
    one.open(CAPACITY, node.rpc.getblockcount() + 1000)
    two.open(CAPACITY, node.rpc.getblockcount() + 1000)
    refused(node, three, LIMIT)
    tx = one.fund()
    one.put(FUNDED, one.funded_message(tx))
    t.wait(lambda: state(node, one.id.hex()) == "seen")
    three.open(CAPACITY, node.rpc.getblockcount() + 1000)
    mine(node)


if __name__ == "__main__":
    main()

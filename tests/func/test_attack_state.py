"""Attacks on the state that is kept for peers: one peer must not change what another does for us
(spec attacks, rule 4; rows A7, C1, C2, C4, C5, C8)."""
import os
import resource
import time

from framework import ADDRESS, case, check, equal, is_in, main, wait_until
from blocks import Chain, GENESIS_HASH_HEX, from_display
from p2p import (ChainServer, MSG_BLOCK, headers_payload, inventory, locator_payload, version_payload)

GENESIS = from_display(GENESIS_HASH_HEX)


def fresh_chain(n, **options):
    return Chain(start_time=int(time.time()) - 3 * n - 600).grow(n, **options)


@case()
def seednode_may_send_anything(t):
    """A one-shot connection has no download state; its messages must not look for it."""
    listener = t.listener()
    node = t.node("-seednode=" + listener.address)
    peer = listener.accept()
    chain = fresh_chain(2)
    peer.send("inv", inventory((MSG_BLOCK, os.urandom(32)), (MSG_BLOCK, GENESIS)))
    peer.send("headers", headers_payload(chain.headers()))
    peer.send("getheaders", locator_payload([GENESIS]))
    peer.send("getblocks", locator_payload([GENESIS]))
    peer.send("getdata", inventory((MSG_BLOCK, GENESIS)))
    peer.send("reject", b"\x05block\x44\x04busy" + bytes(32))
    peer.send("block", chain.at(1).serialize())
    peer.send("notfound", inventory((MSG_BLOCK, GENESIS)))
    peer.collect(1)
    check(node.is_alive(), "alive")
    equal(node.rpc.getblockcount(), 0)


@case()
def requests_of_a_peer_that_does_not_read_hold_few_files(t):
    """C8: fifty thousand small blocks asked for at once, with room for 200 descriptors."""
    node = t.node()
    hashes = [from_display(h) for h in node.rpc.generatetoaddress(10, ADDRESS)]
    resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (200, 200))
    before = len(os.listdir(f"/proc/{node.process.pid}/fd"))
    peer = t.peer(node)
    peer.send("getdata", inventory(*[(MSG_BLOCK, hashes[i % 10]) for i in range(50000)]))
    time.sleep(1.5)
    held = len(os.listdir(f"/proc/{node.process.pid}/fd")) - before
    check(held < 40, f"{held} descriptors held")
    other = t.peer(node)
    other.ping(timeout=3)
    other.get_block(node.tip())
    got = 0
    while got < 50000:  # and nothing of what was asked for is lost
        command, _ = peer.receive()
        got += command == "block"
    equal(node.log().count("cannot be served"), 0)


if __name__ == "__main__":
    main()

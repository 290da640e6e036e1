"""Blocks that have to be asked for again, and those that must not be; stopping in the middle of
long work."""
import time

from framework import case, check, equal, main, wait_until
from blocks import Chain, TxOut, coinbase
from p2p import ChainServer

LARGE = 34 << 20  # above what is collected in memory


def with_data(chain, size):
    """A block whose coinbase carries that many bytes."""
    tx = coinbase(chain.height + 1)
    tx.outputs.append(TxOut(0, b"\x00\x6a\x4e" + size.to_bytes(4, "little") + bytes(size)))
    return chain.add(coinbase_tx=tx)


@case(timeout=90)
def a_large_block_found_broken_before_its_end_is_asked_for_again(t):
    """The sender may not be disconnected: it is all that the node has."""
    node = t.node("-whitelist=::1")
    chain = Chain(start_time=int(time.time()) - 3600).grow(3)
    large = with_data(chain, LARGE)
    copies = []

    def spoil_once(block):
        whole = block.serialize()
        if block is not large:
            return whole
        copies.append(block)
        # The first copy is no block from its first transaction on.
        return whole if len(copies) > 1 else whole[:81] + b"\xff" * (len(whole) - 81)

    server = ChainServer(t.peer(node, height=chain.height), chain, change=spoil_once, announce=True)
    # The whole copy is stored and judged by the rules, which allow no such transaction this early.
    t.wait(lambda: {"height": 4, "hash": large.hash_hex, "branchlen": 1, "status": "invalid"}
           in node.rpc.getchaintips(), 40, "verdict on the second copy")
    equal(len(copies), 2, "copies sent")


@case(timeout=90)
def pruned_blocks_are_not_fetched_again_for_a_peer_that_was_behind(t):
    node = t.node("-prune=1", "-preferredblockfilesize=1MiB")
    chain = Chain(start_time=int(time.time()) - 7200)
    for _ in range(100):
        with_data(chain, 0x2000)
    behind = ChainServer(t.peer(node, height=100), chain, announce=True)
    wait_until(lambda: node.rpc.getblockcount() == 100, 30, "the first blocks")
    longer = chain.fork(100)
    for _ in range(900):
        with_data(longer, 0x2000)
    ChainServer(t.peer(node, height=1000), longer, announce=True)
    wait_until(lambda: node.rpc.getblockcount() == 1000, 60, "the other peer's blocks")
    last = node.rpc.pruneblockchain(700)
    check(last > 200, f"pruned up to {last}")
    behind.chain = longer.fork(1000).grow(1)
    behind.index()
    behind.asked.clear()
    behind.announce()
    wait_until(lambda: node.rpc.getblockcount() == 1001, 20, "the new block")
    time.sleep(1)
    equal(len(behind.asked), 1, "blocks asked from the peer that was behind")


if __name__ == "__main__":
    main()

"""Switches that move rules on regtest: activation heights, mock time, age of the tip, size
limits."""
import time

from framework import ADDRESS, case, equal, main, raises_rpc
from blocks import ANYONE, Block, Chain, Header, Key, Tx, TxIn, TxOut, spend
from p2p import headers_payload

COIN = 10**8


def chain_with_coin(script):
    """102 blocks; the last holds an output with this script. Returns (chain, txid of it)."""
    chain = Chain(start_time=int(time.time()) - 3000).grow(101)
    maker = Tx([TxIn(chain.at(1).txs[0].txid(), 0)], [TxOut(COIN, script)])
    chain.add(maker)
    return chain, maker.txid()


def submit(node, block):
    return node.rpc.submitblock(block.serialize().hex())


@case()
def genesis_changes_what_op_return_means(t):
    """OP_1 OP_RETURN: failure before Genesis, early success for outputs made after it."""
    for height, verdict in ((103, "blk-bad-inputs"), (102, None)):
        chain, coin = chain_with_coin(b"\x51\x6a")
        node = t.node_at(chain, f"-genesisactivationheight={height}",
                         "-chronicleactivationheight=1000")
        block = Block.make(chain.tip, 103, chain.time + 1,
                           [Tx([TxIn(coin, 0)], [TxOut(1, ANYONE)])])
        equal(submit(node, block), verdict, f"activation at {height}, output made at 102")


@case()
def genesis_forbids_new_p2sh_outputs(t):
    p2sh = b"\xa9\x14" + bytes(20) + b"\x87"
    for height, verdict in ((104, None), (103, "bad-txns-vout-p2sh")):
        chain, coin = chain_with_coin(ANYONE)
        node = t.node_at(chain, f"-genesisactivationheight={height}",
                         "-chronicleactivationheight=1000")
        block = Block.make(chain.tip, 103, chain.time + 1, [Tx([TxIn(coin, 0)], [TxOut(1, p2sh)])])
        equal(submit(node, block), verdict, f"activation at {height}")


@case()
def chronicle_brings_back_an_opcode(t):
    """OP_VER in an output: invalid before Chronicle, the version of the transaction after it."""
    script = b"\x62\x75\x51"  # OP_VER OP_DROP OP_1
    for height, verdict in ((1000, "blk-bad-inputs"), (102, None)):
        chain, coin = chain_with_coin(script)
        node = t.node_at(chain, "-genesisactivationheight=50",
                         f"-chronicleactivationheight={height}")
        block = Block.make(chain.tip, 103, chain.time + 1,
                           [Tx([TxIn(coin, 0)], [TxOut(1, ANYONE)])])
        equal(submit(node, block), verdict, f"Chronicle at {height}")


@case()
def signed_spends_are_checked(t):
    key, other = Key(1001), Key(1002)
    chain, coin = chain_with_coin(key.script)
    node = t.node_at(chain)
    good = spend(key, coin, 0, COIN, [TxOut(COIN - 1000, other.script)])
    wrong_key = spend(other, coin, 0, COIN, [TxOut(COIN - 1000, other.script)])
    wrong_amount = spend(key, coin, 0, COIN + 1, [TxOut(COIN - 1000, other.script)])
    for tx, verdict in ((wrong_key, "blk-bad-inputs"), (wrong_amount, "blk-bad-inputs"),
                        (good, None)):
        block = Block.make(chain.tip, 103, chain.time + 1, [tx])
        equal(submit(node, block), verdict)
    out = node.rpc.gettxout(good.txid()[::-1].hex(), 0)
    equal((str(out["value"]), out["confirmations"], out["coinbase"]), ("0.99999000", 1, False))


@case()
def mock_time_rules_the_clock(t):
    start = 1700000000
    node = t.node(f"-mocktime={start}")
    node.rpc.generatetoaddress(1, ADDRESS)
    equal(node.rpc.getblock(node.tip())["time"], start)
    node.rpc.setmocktime(start + 5000)
    node.rpc.generatetoaddress(1, ADDRESS)
    equal(node.rpc.getblock(node.tip())["time"], start + 5000)
    future = Block.make(bytes.fromhex(node.tip())[::-1], 3, start + 5000 + 7201)
    equal(submit(node, future), "time-too-new")
    node.rpc.setmocktime(start + 5002)
    equal(submit(node, future), None, "the same block later: no lasting verdict")
    main_node = t.node(network="main")
    raises_rpc(-1, lambda: main_node.rpc.setmocktime(start))


@case()
def age_of_the_tip_decides_initial_download(t):
    old = Chain(start_time=int(time.time()) - 90000).grow(3)
    node = t.node_at(old)
    equal(node.rpc.getinfo()["initcomplete"], False)
    node.restart("-maxtipage=100000")
    equal(node.rpc.getinfo()["initcomplete"], True)


@case()
def block_above_the_size_limit_is_refused_and_connects_when_it_is_raised(t):
    """product.md: a limit raised later needs no manual step."""
    data = b"\x00\x6a\x4e" + (600_000).to_bytes(4, "little") + bytes(600_000)
    chain, coin = chain_with_coin(ANYONE)
    first = Tx([TxIn(coin, 0)], [TxOut(COIN - 1, ANYONE), TxOut(0, data)])
    second = Tx([TxIn(first.txid(), 0)], [TxOut(1, ANYONE), TxOut(0, data)])
    block = Block.make(chain.tip, 103, chain.time + 1, [first, second])
    node = t.node_at(chain, "-excessiveblocksize=1000001")
    equal(submit(node, block), "bad-blk-length")
    equal(node.rpc.getblockcount(), 102)
    equal({r["hash"]: r["status"] for r in node.rpc.getchaintips()}.get(block.hash_hex) in
          (None, "headers-only"), True, "not condemned for good")
    node.options = ["-excessiveblocksize=2000000"]
    node.restart()
    result = submit(node, block) if node.rpc.getblockcount() == 102 else None
    equal(result, None)
    equal(node.tip(), block.hash_hex)


@case()
def subsidy_halves_every_150_blocks(t):
    node = t.node()
    node.rpc.generatetoaddress(151, ADDRESS)
    values = [node.rpc.getblock(node.rpc.getblockhash(h), 2)["tx"][0]["vout"][0]["value"]
              for h in (1, 149, 150, 151)]
    equal([str(v) for v in values], ["50.00", "50.00", "25.00", "25.00"])


@case()
def header_without_a_parent_is_no_second_genesis(t):
    node = t.node()
    peer = t.peer(node)
    peer.send("headers", headers_payload([Header(bytes(32), bytes(32), 1296688603).solve()]))
    peer.ping()
    equal(node.rpc.getblockchaininfo()["headers"], 0)


if __name__ == "__main__":
    main()

"""Storage through restarts, rebuilds, crashes, damage and a full disk (attacks A6, K1 to K3,
K6)."""
import glob
import json
import os
import random
import shutil
import subprocess
import threading
import time

from framework import (ADDRESS, BUILD, LONG, RpcError, Skip, case, check, equal, is_in, main,
                       raises_rpc, wait_until, within)
from blocks import Chain, TxOut, coinbase
from p2p import ChainServer

GEN_CHAIN = os.path.join(BUILD, "contrib", "gen_chain")
MIB = 1 << 20


def generated_chain(t, *options):
    """(path, height, tip) of a chain of signed spends."""
    if not os.path.exists(GEN_CHAIN):
        raise Skip(GEN_CHAIN + " is not built")
    path = t.path("generated.blk")
    done = subprocess.run([GEN_CHAIN, "-out=" + path] + list(options), capture_output=True,
                          text=True, timeout=300, check=True)
    info = json.loads(done.stdout)
    return path, info["height"], info["tip"]


def imported(t, node, path, height, timeout=60):
    node.options = [o for o in node.options if not o.startswith("-loadblock")]
    node.start("-loadblock=" + path)
    return node.wait_import(height, timeout)


def state(node):
    return node.tip(), node.utxo_hash()


@case(timeout=120)
def rebuilds_give_the_same_state(t):
    path, height, _ = generated_chain(t, "-inputs=3000", "-txs=300")
    node = imported(t, t.make_node(), path, height)
    want = state(node)
    for option in ("-reindex-chainstate", "-reindex", None):
        node.restart(*([option] if option else []))
        wait_until(lambda: node.rpc.getblockcount() == height, 60, f"{option} to its end")
        equal(state(node), want, str(option))
    check(node.rpc.verifychain(4, 0), "verifychain over all blocks")


@case(timeout=90)
def transaction_index_finds_all_and_can_be_added_later(t):
    path, height, _ = generated_chain(t, "-inputs=200", "-txs=20")
    node = imported(t, t.make_node("-txindex"), path, height)
    block = node.rpc.getblock(node.tip(), 1)
    txid = block["tx"][1]
    raw = node.rpc.getrawtransaction(txid, True)
    equal((raw["txid"], raw["blockhash"], raw["confirmations"]), (txid, node.tip(), 1))
    old = node.rpc.getblock(node.rpc.getblockhash(50), 1)["tx"][0]
    equal(node.rpc.getrawtransaction(old), node.rpc.getrawtransaction(old, False))
    raises_rpc(-5, lambda: node.rpc.getrawtransaction("11" * 32))

    without = imported(t, t.make_node(), path, height)
    raises_rpc(-5, lambda: without.rpc.getrawtransaction("22" * 32), "-txindex")
    equal(without.rpc.getrawtransaction(txid, True, block["hash"])["txid"], txid)


@case()
def transaction_index_knows_a_block_before_the_coins_are_flushed(t):
    path, height, _ = generated_chain(t, "-inputs=200", "-txs=20")
    node = imported(t, t.make_node("-txindex", "-maxtipage=2000000000"), path, height)
    spent = node.rpc.getblock(node.rpc.getblockhash(101), 1)["tx"][1]

    def is_found():
        try:
            return node.rpc.getrawtransaction(spent, True)["txid"] == spent
        except RpcError:
            return False
    wait_until(is_found, 10, "a transaction without an unspent output")
    node.kill()
    node.start()
    check(not is_found(), "an entry that a crash outlived and that names an unknown block")
    node.stop()
    imported(t, node, path, height)
    wait_until(is_found, 10, "the same after a crash")


@case(timeout=90)
def pruning_by_rpc_keeps_what_a_reorganisation_needs(t):
    node = t.node("-prune=1", "-preferredblockfilesize=1MiB")
    chain = Chain(start_time=int(time.time()) - 7200)
    data = b"\x00\x6a" + b"\x4d\x00\x20" + bytes(0x2000)
    for _ in range(1400):
        block_tx = coinbase(chain.height + 1)
        block_tx.outputs.append(TxOut(0, data))
        chain.add(coinbase_tx=block_tx)
    ChainServer(t.peer(node, height=1400), chain, announce=True)
    wait_until(lambda: node.rpc.getblockcount() == 1400, 60, "1400 blocks of 8 kB")
    before = len(glob.glob(node.file("blocks", "blk*.dat")))
    check(before >= 6, f"{before} files")
    raises_rpc(-8, lambda: node.rpc.pruneblockchain(1500))
    last = node.rpc.pruneblockchain(1400)
    check(0 < last <= 1400 - 288, f"pruned up to {last}")
    info = node.rpc.getblockchaininfo()
    equal(info["pruned"], True)
    check(info["pruneheight"] > 0, "pruneheight")
    raises_rpc(-1, lambda: node.rpc.getblock(node.rpc.getblockhash(5), 0), "not available")
    check(len(glob.glob(node.file("blocks", "blk*.dat"))) < before, "files are gone")
    node.rpc.getblock(node.rpc.getblockhash(1400 - 287), 0)
    want = state(node)
    node.restart()
    equal(state(node), want)
    # 200 blocks back and forth still work.
    node.rpc.invalidateblock(node.rpc.getblockhash(1201))
    equal(node.rpc.getblockcount(), 1200)
    node.rpc.reconsiderblock(chain.at(1201).hash_hex)
    equal(state(node), want)


@case(timeout=60)
def pruning_needs_the_option(t):
    node = t.node()
    node.rpc.generatetoaddress(3, ADDRESS)
    raises_rpc(-1, lambda: node.rpc.pruneblockchain(1))


@case(timeout=3000 if LONG else 150)
def kill_during_a_sync_loses_nothing(t):
    """SIGKILL at random moments; each reopening is quick, and the end is equal to a clean
    replay."""
    rounds = 100 if LONG else 8
    path, height, tip = generated_chain(t, "-inputs=6000" if not LONG else "-inputs=40000",
                                        "-txs=100")
    source = imported(t, t.make_node("-whitelist=::1"), path, height)
    want = state(source)
    equal(want[0], tip)
    rng = random.Random(7)
    node = t.make_node("-connect=" + source.p2p)
    slowest, seen = 0, []
    for _ in range(rounds):
        node.launch()
        started = time.monotonic()
        try:
            node.wait_ready(15)
            slowest = max(slowest, time.monotonic() - started)
            seen.append(node.rpc.getblockcount())
        except RpcError:
            pass
        time.sleep(rng.random() * (0.6 if not LONG else 0.4))
        node.kill()
    node.start()
    wait_until(lambda: node.rpc.getblockcount() == height, 60, "end of the sync")
    equal(state(node), want, f"heights at the starts {seen}")
    check(slowest < within(10), f"slowest reopening {slowest:.1f} s")
    check(node.rpc.verifychain(4, 50), "verifychain")


@case(timeout=120)
def kill_during_reorganisations_loses_nothing(t):
    base = Chain(start_time=int(time.time()) - 7000).grow(105)
    a, b = base.fork(105).grow(60, extra=b"a"), base.fork(105).grow(61, extra=b"b")
    node = t.node("-loadblock=" + a.write(t.path("a.blk")),
                  "-loadblock=" + b.write(t.path("b.blk")))
    wait_until(lambda: node.tip() == b.tip_hex, 30, "second branch")
    hashes = {node.tip(): node.utxo_hash()}
    node.options = []
    node.rpc.invalidateblock(b.at(106).hash_hex)
    hashes[node.tip()] = node.utxo_hash()
    equal(set(hashes), {a.tip_hex, b.tip_hex})
    rng = random.Random(11)
    for i in range(6):
        call = node.rpc.reconsiderblock if i % 2 == 0 else node.rpc.invalidateblock

        def switch():
            try:
                call(b.at(106).hash_hex)  # pylint: disable=cell-var-from-loop
            except Exception:  # pylint: disable=broad-except
                pass  # the process is killed under it
        thread = threading.Thread(target=switch)
        thread.start()
        time.sleep(rng.random() * 0.03)
        node.process.kill()
        thread.join()
        node.kill()
        node.start()
        def coins(node=node):  # it may be on its way from one branch to the other
            found = node.rpc.gettxoutsetinfo()
            return found["bestblock"] in hashes and found
        found = wait_until(coins, 30, "a tip of the two branches")
        equal(found["hash_serialized"], hashes[found["bestblock"]])
        node.rpc.reconsiderblock(b.at(106).hash_hex)
        wait_until(lambda: node.tip() == b.tip_hex, 30, "the longer branch")
        if i % 2 == 0:
            node.rpc.invalidateblock(b.at(106).hash_hex)


def failed_start(node, *options, timeout=30):
    """The message of a start that must fail with exit code 1."""
    node.launch(*options)
    equal(node.wait_exit(timeout), 1, "exit code; " + node.errors())
    lines = [l for l in node.errors().splitlines() if l.strip()]
    equal(len(lines), 1, "lines: " + node.errors())
    node.process = None
    return lines[0]


def flip(path, at, count=16):
    with open(path, "r+b") as file:
        file.seek(at)
        old = file.read(count)
        file.seek(at)
        file.write(bytes(b ^ 0xff for b in old))


def prepared(t):
    path, height, _ = generated_chain(t, "-inputs=2000", "-txs=200")
    node = imported(t, t.make_node(), path, height)
    want = state(node)
    node.stop()
    return node, height, want


def prepared_with_tip(t):
    """The same, and the file and offset of the last block of the chain. Blocks are not stored in
    the order of the chain: the last one of a file may be any."""
    path, height, _ = generated_chain(t, "-inputs=2000", "-txs=200")
    node = imported(t, t.make_node(), path, height)
    want, raw = state(node), bytes.fromhex(node.rpc.getblock(node.tip(), 0))
    node.stop()
    for name in glob.glob(node.file("blocks", "blk*.dat")):
        with open(name, "rb") as file:
            at = file.read().find(raw)
        if at >= 0:
            return node, want, name, at
    raise AssertionError("the last block is in no file")


# What is no part of the chain is not made anew from blocks.
REMEDIES = {"channels": "-channel=0", "records": "moved away"}


@case(timeout=90)
def damaged_database_is_named_with_the_remedy(t):
    node, height, want = prepared(t)
    folders = {os.path.dirname(p) for p in glob.glob(node.file("**", "CURRENT"), recursive=True)}
    check(len(folders) >= 2, f"databases: {folders}")
    for folder in sorted(folders):
        current = os.path.join(folder, "CURRENT")
        with open(current, "rb") as file:
            content = file.read()
        with open(current, "wb") as file:
            file.write(b"MANIFEST-nonsense")
        message = failed_start(node)
        remedy = REMEDIES.get(os.path.basename(folder), "reindex")
        is_in(remedy, message, "the remedy")
        with open(current, "wb") as file:
            file.write(content)
    node.start()
    equal(state(node), want, "nothing was overwritten")


@case(timeout=90)
def lost_coins_are_rebuilt_from_the_blocks(t):
    node, height, want = prepared(t)
    shutil.rmtree(node.file("coins"))
    node.start("-reindex-chainstate")
    wait_until(lambda: node.rpc.getblockcount() == height, 60, "rebuild")
    equal(state(node), want)


@case(timeout=90)
def truncated_block_file_is_found_and_named(t):
    node, want, path, at = prepared_with_tip(t)
    with open(path, "rb") as file:
        content = file.read()
    os.truncate(path, at + 1000)
    message = failed_start(node)
    check("blk" in message or "block" in message, message)
    is_in("reindex", message, "the remedy")
    with open(path, "wb") as file:
        file.write(content)
    node.start()
    equal(state(node), want, "nothing was overwritten")


@case(timeout=90)
def flipped_bits_in_a_block_are_noticed_when_it_is_read(t):
    node, _, path, at = prepared_with_tip(t)
    node.start()
    flip(path, at + 80 + 200)
    equal(node.rpc.verifychain(3, 6), False, "verifychain sees it")
    node.stop()
    message = failed_start(node, "-checkblocks=6", "-checklevel=3")  # begins with the last block
    is_in("reindex", message, "the remedy")


@case(timeout=120)
def full_disk_stops_the_node_and_condemns_nothing(t):
    """A small file system: the node stops with a clear message, and goes on when there is room."""
    if os.geteuid() != 0:
        raise Skip("needs root, to mount a small file system")
    path, height, _ = generated_chain(t, "-inputs=30000", "-txs=2000")
    place = t.path("small")
    os.mkdir(place)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", place],
                      capture_output=True, check=False).returncode:
        raise Skip("cannot mount a small file system here")
    t.cleanups.append(lambda: subprocess.run(["umount", "-l", place], check=False))
    node = t.make_node()
    node.directory = place
    node.launch("-loadblock=" + path)
    code = node.wait_exit(60)
    equal(code, 1, "exit code")
    check("space" in node.errors().lower() or "full" in node.errors().lower(), node.errors())
    check(len([l for l in node.errors().splitlines() if l.strip()]) == 1, node.errors())
    subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
    node.start("-loadblock=" + path)
    wait_until(lambda: node.rpc.getblockcount() == height, 60, "the rest, with room")
    equal([r["status"] for r in node.rpc.getchaintips()], ["active"], "no block was condemned")


@case(timeout=60)
def invalidated_blocks_stay_so_and_can_be_reconsidered(t):
    node = t.node()
    hashes = node.rpc.generatetoaddress(10, ADDRESS)
    full = state(node)
    node.rpc.invalidateblock(hashes[6])
    equal(node.tip(), hashes[5])
    node.restart()
    equal(node.tip(), hashes[5])
    equal(node.rpc.getchaintips()[0]["status"] in ("active", "invalid"), True)
    node.rpc.reconsiderblock(hashes[9])
    wait_until(lambda: state(node) == full, 10, "all blocks back")
    node.restart("-invalidateblock=" + hashes[3])
    wait_until(lambda: node.tip() == hashes[2], 10, "option -invalidateblock")


@case(timeout=60)
def stopatheight_stops(t):
    chain = Chain(start_time=int(time.time()) - 600).grow(30)
    node = t.make_node("-stopatheight=10", "-loadblock=" + chain.write(t.path("c.blk")))
    node.launch()
    equal(node.wait_exit(20), 0)
    node.options = []
    node.start()
    check(node.rpc.getblockcount() >= 10, "stopped at or above the height")


if __name__ == "__main__":
    main()

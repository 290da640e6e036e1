"""Chains travel between daemons over [::1], branches compete, files are imported."""
import time

from framework import ADDRESS, case, check, equal, main, raises_rpc, unpacked, vector, wait_until
from blocks import Chain
from p2p import locator_payload, wait_connected

IMPORT = ("-minimumchainwork=00", "-maxtipage=2000000000")
TIP_319 = 319


def import_mainnet(t, *options):
    path = vector("blocks/mainnet_0_319.blk")
    return t.node("-loadblock=" + path, *options, network="main").wait_import(TIP_319)


@case()
def new_blocks_reach_the_other_daemon(t):
    a = t.node()
    b = t.node("-connect=" + a.p2p)
    wait_connected(b)
    hashes = a.rpc.generatetoaddress(101, ADDRESS)
    t.wait_same_tip(a, b)
    equal(b.tip(), hashes[-1])
    equal(a.utxo_hash(), b.utxo_hash())
    more = b.rpc.generatetoaddress(1, ADDRESS)
    t.wait(lambda: a.tip() == more[0], 20, "the block of the connector")


@case()
def empty_daemon_downloads_a_chain(t):
    a = t.node()
    a.rpc.generatetoaddress(300, ADDRESS)
    b = t.node("-connect=" + a.p2p)
    t.wait_same_tip(a, b)
    equal(b.rpc.getblockcount(), 300)
    equal(a.utxo_hash(), b.utxo_hash())


@case()
def chain_of_three_daemons_passes_blocks_on(t):
    a = t.node()
    b = t.node("-connect=" + a.p2p)
    c = t.node("-connect=" + b.p2p)
    wait_connected(c)
    a.rpc.generatetoaddress(20, ADDRESS)
    t.wait_same_tip(a, b, c)


@case()
def longer_branch_wins_when_daemons_meet(t):
    a = t.node()
    b = t.node("-connect=" + a.p2p)
    a.rpc.generatetoaddress(10, ADDRESS)
    t.wait_same_tip(a, b)
    common = a.tip()
    a.restart("-listen=0")
    b.restart("-connect=0")
    a.rpc.generatetoaddress(5, ADDRESS)
    b.rpc.generatetoaddress(8, ADDRESS)
    lost = a.tip()
    check(lost != b.tip(), "two branches")
    b.restart()
    a.restart("-connect=" + b.p2p)
    t.wait_same_tip(a, b)
    equal(a.rpc.getblockcount(), 18)
    equal(a.utxo_hash(), b.utxo_hash())
    tips = {row["hash"]: row for row in a.rpc.getchaintips()}
    equal((tips[lost]["status"], tips[lost]["branchlen"]), ("valid-fork", 5))
    equal(a.rpc.getblock(lost)["confirmations"], -1)
    equal(a.rpc.getblock(common)["confirmations"], 9)


@case(timeout=90)
def reorganisation_of_150_blocks_in_both_directions(t):
    base = Chain(start_time=int(time.time()) - 5000).grow(5)
    first, second = base.fork(5).grow(150, extra=b"a"), base.fork(5).grow(151, extra=b"b")
    node = t.node("-loadblock=" + first.write(t.path("a.blk")))
    t.wait(lambda: node.rpc.getblockcount() == 155, 30, "first branch")
    before = node.utxo_hash()
    node.restart()
    node.options = ["-loadblock=" + second.write(t.path("b.blk"))]
    node.restart()
    t.wait(lambda: node.tip() == second.tip_hex, 30, "second branch")
    node.rpc.invalidateblock(second.at(6).hash_hex)
    equal(node.tip(), first.tip_hex)
    equal(node.utxo_hash(), before)
    node.rpc.reconsiderblock(second.at(6).hash_hex)
    t.wait(lambda: node.tip() == second.tip_hex, 30, "back again")


@case(timeout=120)
def published_branches_reorganise_in_both_directions(t):
    names = ["115_3677f4", "117_155d19", "116_1ccd26", "117_28c2d3"]
    files = [unpacked(f"regtest-chains/blockchain_{n}.blk.xz", t.directory) for n in names]
    tips, utxos = [], []
    for path in files[1], files[3]:
        node = t.node("-loadblock=" + path)
        node.wait_import(117)
        tips.append(node.tip())
        utxos.append(node.utxo_hash())
        node.stop()
    check(tips[0] != tips[1], "two branches")
    check(utxos[0] != utxos[1], "different coins")

    both = t.node("-loadblock=" + files[1], "-loadblock=" + files[3])
    both.wait_import(117)
    equal(len(both.rpc.getchaintips()), 2)
    here = tips.index(both.tip())
    equal(both.utxo_hash(), utxos[here])
    other = tips[1 - here]
    for _ in range(2):
        both.rpc.preciousblock(other)
        t.wait(lambda: both.tip() == other, 20,  # pylint: disable=cell-var-from-loop
               "preciousblock")
        equal(both.utxo_hash(), utxos[tips.index(other)])
        both.rpc.invalidateblock(both.rpc.getblockhash(111))
        t.wait(lambda: both.tip() != other, 20,  # pylint: disable=cell-var-from-loop
               "invalidateblock")
        equal(both.utxo_hash(), utxos[tips.index(both.tip())])
        both.rpc.reconsiderblock(other)
        back = both.tip()
        other = tips[1 - tips.index(back)]


@case(timeout=90)
def published_reorganisation_of_two_nodes(t):
    one = unpacked("regtest-chains/reorg_node1.blk.xz", t.directory)
    two = unpacked("regtest-chains/reorg_node2.blk.xz", t.directory)
    node = t.node("-loadblock=" + one)
    node.wait_import(201)
    lost = node.tip()
    clean = t.node("-loadblock=" + two)
    clean.wait_import(202)
    node.options = ["-loadblock=" + two]
    node.restart()
    t.wait(lambda: node.tip() == clean.tip(), 30, "reorganisation")
    equal(node.utxo_hash(), clean.utxo_hash())
    equal({r["hash"]: r["status"] for r in node.rpc.getchaintips()}[lost], "valid-fork")


@case(timeout=120)
def main_network_import_and_sync_over_ipv6(t):
    a = import_mainnet(t, *IMPORT)
    b = t.node("-connect=" + a.p2p, *IMPORT, network="main")
    t.wait(lambda: b.rpc.getblockcount() == TIP_319, 60, "sync of 319 blocks")
    equal(b.tip(), a.tip())
    equal(b.utxo_hash(), a.utxo_hash())
    info = b.rpc.gettxoutsetinfo()
    equal(info["height"], TIP_319)
    equal(str(info["total_amount"]), "15950.00000000", "319 subsidies")
    equal(b.rpc.getblockchaininfo()["chain"], "main")


@case(timeout=60)
def main_network_does_not_sync_below_the_minimum_work(t):
    a = import_mainnet(t, "-whitelist=::1")  # it does not serve others while its blocks are old
    b = t.node("-connect=" + a.p2p, network="main")
    t.wait(lambda: any("headers" in p["bytesrecv_per_msg"] for p in b.rpc.getpeerinfo()), 30,
           "headers")
    a.rpc.ping()
    t.wait(lambda: all("pong" in p["bytessent_per_msg"] for p in b.rpc.getpeerinfo()), 30,
           "what came before")
    equal(b.rpc.getblockcount(), 0)
    equal(b.rpc.getblockchaininfo()["headers"], 0)
    check(b.is_alive() and a.is_alive(), "both alive")


@case()
def node_in_initial_download_serves_no_headers_but_to_trusted_peers(t):
    old = Chain().grow(5)  # blocks of 2011
    for options, answers in (((), 0), (("-whitelist=::1",), 1)):
        node = t.node_at(old, *options)
        peer = t.peer(node)
        peer.send("getheaders", locator_payload([old.hash_at(0)]))
        peer.ping()
        equal(sum(c == "headers" for c, _ in peer.seen), answers, str(options))


@case()
def connection_is_made_again_after_a_restart(t):
    a = t.node()
    b = t.node("-connect=" + a.p2p)
    wait_connected(b)
    a.restart()
    wait_connected(b, timeout=30)
    a.rpc.generatetoaddress(2, ADDRESS)
    t.wait_same_tip(a, b)


@case()
def addnode_connects_by_rpc_and_removes(t):
    a, b = t.node(), t.node()
    b.rpc.addnode(a.p2p, "onetry")
    wait_connected(b)
    a.rpc.generatetoaddress(1, ADDRESS)
    t.wait_same_tip(a, b)
    peer = b.rpc.getpeerinfo()[0]
    b.rpc.disconnectnode(peer["addr"])
    t.wait(lambda: b.rpc.getconnectioncount() == 0, 10, "disconnected")
    b.rpc.addnode(a.p2p, "add")
    raises_rpc(-23, lambda: b.rpc.addnode(a.p2p, "add"))
    wait_connected(b)
    rows = b.rpc.getaddednodeinfo()
    equal([r["addednode"] for r in rows], [a.p2p])
    b.rpc.addnode(a.p2p, "remove")
    raises_rpc(-24, lambda: b.rpc.addnode(a.p2p, "remove"))


@case()
def switching_the_network_off_ends_connections(t):
    a = t.node()
    b = t.node("-connect=" + a.p2p)
    wait_connected(b)
    b.rpc.setnetworkactive(False)
    t.wait(lambda: b.rpc.getconnectioncount() == 0, 10, "no connections")
    equal(b.rpc.getnetworkinfo()["networkactive"], False)
    b.rpc.setnetworkactive(True)
    wait_connected(b, timeout=30)


if __name__ == "__main__":
    main()

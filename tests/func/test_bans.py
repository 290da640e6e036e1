"""Ban list, whitelist, limits of connections and eviction (spec p2p 6, 7)."""
import os
import time

from framework import ADDRESS, case, check, equal, is_in, main, raises_rpc, wait_until
from p2p import Closed, Peer, wait_connected


@case()
def bans_are_set_listed_and_removed(t):
    node = t.node()
    now = int(time.time())
    node.rpc.setban("2001:db8::/32", "add", 1000)
    node.rpc.setban("192.0.2.7", "add")
    node.rpc.setban("198.51.100.0/24", "add", now + 5000, True)
    rows = {r["address"]: r for r in node.rpc.listbanned()}
    equal(set(rows), {"2001:db8::/32", "192.0.2.7/32", "198.51.100.0/24"})
    for row in rows.values():
        equal(list(row), ["address", "banned_until", "ban_created", "ban_reason"])
        equal(row["ban_reason"], "manually added")
    check(abs(rows["2001:db8::/32"]["banned_until"] - now - 1000) <= 3, "relative time")
    check(abs(rows["192.0.2.7/32"]["banned_until"] - now - 86400) <= 3, "default time")
    equal(rows["198.51.100.0/24"]["banned_until"], now + 5000)
    raises_rpc(-23, lambda: node.rpc.setban("192.0.2.7", "add"))
    raises_rpc(-30, lambda: node.rpc.setban("hello", "add"))
    raises_rpc(-1, lambda: node.rpc.setban("192.0.2.8", "nonsense"), "must be add or remove")
    raises_rpc(-1, lambda: node.rpc.setban("192.0.2.8", "remove"), "Unban failed")
    node.rpc.setban("192.0.2.7", "remove")
    equal(len(node.rpc.listbanned()), 2)
    node.rpc.clearbanned()
    equal(node.rpc.listbanned(), [])


@case()
def bans_survive_restarts_and_crashes(t):
    node = t.node()
    node.rpc.setban("2001:db8:1::/48", "add", 5000)
    node.rpc.setban("2001:db8:2::/48", "add", 1)
    node.restart()
    is_in("2001:db8:1::/48", [r["address"] for r in node.rpc.listbanned()])
    wait_until(lambda: [r["address"] for r in node.rpc.listbanned()] == ["2001:db8:1::/48"], 5,
               "the other has run out")
    before = os.stat(node.file("banlist.dat")).st_ino
    node.rpc.setban("2001:db8:3::/48", "add", 5000)
    wait_until(lambda: os.stat(node.file("banlist.dat")).st_ino != before, 10,
               "written by another thread")
    node.kill()
    node.start()
    equal(len(node.rpc.listbanned()), 2, "bans by RPC are written soon")


@case()
def a_ban_ends_connections_and_refuses_new_ones(t):
    node = t.node()
    peer = t.peer(node)
    node.rpc.setban("::1", "add")
    check(peer.is_closed(), "the connection ends")
    late = t.peer(node, handshake=False)
    check(late.is_closed(), "refused")
    node.rpc.setban("::1", "remove")
    t.peer(node).ping()


@case()
def whitelisted_addresses_pass_the_ban_list(t):
    node = t.node("-whitelist=::/64")
    node.rpc.setban("::1", "add")
    peer = t.peer(node)
    peer.ping()
    equal(peer.info(node)["whitelisted"], True)


@case()
def damaged_ban_list_does_not_stop_the_start(t):
    node = t.node()
    node.rpc.setban("2001:db8:1::/48", "add", 5000)
    node.stop()
    for name in os.listdir(node.net_directory):
        if "ban" in name or "peers" in name or "anchor" in name:
            with open(node.file(name), "r+b") as file:
                file.seek(10)
                file.write(b"\xff\xff\xff\xff\xff")
    node.start()
    equal(node.rpc.listbanned(), [])


@case()
def connections_are_limited_and_newcomers_evict(t):
    node = t.node("-maxconnections=20")
    peers = [t.peer(node) for _ in range(8)]
    for _ in range(20):
        try:
            peers.append(t.peer(node))
        except (Closed, OSError):
            pass
    check(node.rpc.getconnectioncount() <= 20, f"{node.rpc.getconnectioncount()} connections")
    for peer in peers[:4]:
        peer.ping()


@case()
def connections_from_one_address_are_limited(t):
    node = t.node("-maxconnectionsfromaddr=2")
    first, second = t.peer(node), t.peer(node)
    third = t.peer(node, handshake=False)
    check(third.is_closed(), "the third is refused")
    first.ping()
    second.ping()


@case()
def disconnectnode_by_address_and_by_id(t):
    node = t.node()
    one, two = t.peer(node), t.peer(node)
    node.rpc.disconnectnode(one.info(node)["addr"])
    check(one.is_closed(), "by address")
    node.rpc.disconnectnode("", two.info(node)["id"])
    check(two.is_closed(), "by id")
    raises_rpc(-29, lambda: node.rpc.disconnectnode("[2001:db8::1]:8333"))


@case()
def peers_are_described(t):
    node = t.node()
    peer = t.peer(node, agent="/BSV-shape:1/", height=7, services=0x21)
    peer.ping()
    row = peer.info(node)
    order = ["id", "addr", "addrlocal", "services", "relaytxes", "lastsend", "lastrecv", "sendsize",
             "recvsize", "sendmemory", "pausesend", "unpausesend", "bytessent", "bytesrecv",
             "avgrecvbw", "associd", "streampolicy", "streams", "authconn", "mempoolsync",
             "conntime", "timeoffset", "pingtime", "minping", "pingwait", "version", "subver",
             "inbound", "addnode", "startingheight", "txninvsize", "banscore", "synced_headers",
             "synced_blocks", "inflight", "whitelisted", "bytessent_per_msg", "bytesrecv_per_msg"]
    equal(list(row), [name for name in order if name in row], "order of the fields")
    optional = {"addrlocal", "pingtime", "minping", "pingwait"}
    equal(set(order) - set(row) - optional, set(), "missing fields")
    equal((row["subver"], row["startingheight"], row["inbound"], row["banscore"]),
          ("/BSV-shape:1/", 7, True, 0))
    equal(row["services"], "0000000000000021")
    check(row["bytesrecv_per_msg"]["version"] > 100, "bytes by message")


@case()
def traffic_is_counted(t):
    node = t.node()
    before = node.rpc.getnettotals()
    peer = t.peer(node)
    peer.ping()
    after = node.rpc.getnettotals()
    equal(list(after), ["totalbytesrecv", "totalbytessent", "timemillis", "uploadtarget"])
    equal(list(after["uploadtarget"]), ["timeframe", "target", "target_reached",
                                        "serve_historical_blocks", "bytes_left_in_cycle",
                                        "time_left_in_cycle"])
    check(after["totalbytesrecv"] > before["totalbytesrecv"] + 150, "received")
    check(after["totalbytessent"] > before["totalbytessent"] + 150, "sent")


if __name__ == "__main__":
    main()

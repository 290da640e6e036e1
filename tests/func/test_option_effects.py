"""Options whose effect shows in files, logs, messages and limits of the running daemon."""
import http.client
import os
import re
import select
import stat
import struct
import subprocess
import time

from framework import ADDRESS, DAEMON, case, check, equal, is_in, main
from p2p import Closed


@case()
def blocknotify_runs_a_command_for_each_tip(t):
    seen = t.path("seen")
    node = t.node(f"-blocknotify=echo %s >> {seen}")
    node.rpc.generatetoaddress(1, ADDRESS)  # leaves the initial download
    hashes = node.rpc.generatetoaddress(2, ADDRESS)
    t.wait(lambda: os.path.exists(seen)
           and all(h in open(seen, encoding="ascii").read() for h in hashes))


@case()
def files_have_the_names_and_modes_asked_for(t):
    node = t.make_node("-pid=my.pid", "-rpccookiefile=my.cookie")
    node.cookie = lambda: open(node.file("my.cookie"), encoding="ascii").read().strip()
    node.rpc.credentials = node.cookie
    node.start()
    with open(node.file("my.pid"), encoding="ascii") as file:
        equal(int(file.read()), node.process.pid)
    equal(stat.S_IMODE(os.stat(node.file("my.cookie")).st_mode), 0o600)
    node.stop()
    check(not os.path.exists(node.file("my.pid")), "the pid file goes with the daemon")
    check(not os.path.exists(node.file("my.cookie")), "the cookie goes with the daemon")


@case()
def sysperms_leaves_the_mask_alone(t):
    for option, mode in (("-sysperms=0", 0o600), ("-sysperms=1", 0o644)):
        node = t.make_node(option)
        old = os.umask(0o022)
        try:
            node.start()
        finally:
            os.umask(old)
        equal(stat.S_IMODE(os.stat(node.log_path).st_mode), mode, option)
        node.stop()


@case()
def lines_of_the_log_begin_as_asked(t):
    plain = t.node("-logtimestamps=0")
    check(plain.log().startswith("bsvpeerd "), plain.log()[:60])
    fine = t.node("-logtimemicros=1")
    check(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", fine.log()), fine.log()[:60])


@case()
def addresses_are_logged_on_request_alone(t):
    for option, shown in (("-logips=0", False), ("-logips=1", True)):
        node = t.node(option, "-debug=net")
        t.peer(node).ping()
        t.wait(lambda: "peer 1 " in node.log())
        equal("peer 1 [::1]" in node.log(), shown, option)
        node.stop()


@case()
def debugexclude_takes_a_category_back(t):
    node = t.node("-debug=1", "-debugexclude=net")
    equal(node.rpc.logging()["net"] in (0, False), True)
    equal(node.rpc.logging()["chain"] in (1, True), True)


@case()
def bantime_is_how_long_a_ban_lasts(t):
    node = t.node("-bantime=1000")
    before = int(time.time())
    node.rpc.setban("192.0.2.1", "add")
    until = node.rpc.listbanned()[0]["banned_until"]
    check(abs(until - before - 1000) < 5, until - before)


@case()
def blocksonly_asks_for_no_transactions(t):
    equal(t.peer(t.node("-blocksonly=1")).their_version["relay"], 0)
    equal(t.peer(t.node()).their_version["relay"], 1)


@case()
def a_limit_of_no_connections_is_none_and_not_the_default(t):
    node = t.node("-maxconnections=0")
    try:
        t.peer(node)
    except Closed:
        pass
    equal(node.rpc.getconnectioncount(), 0, "nobody is let in")
    added, connected = t.listener(), t.listener()
    node = t.node("-maxaddnodeconnections=0", "-addnode=" + added.address,
                  "-connect=" + connected.address)
    connected.accept()  # in a turn of which -addnode was the first part
    equal(select.select([added.socket], [], [], 0)[0], [])


@case()
def protoconf_states_the_receive_limit(t):
    node = t.node("-maxprotocolrecvpayloadlength=3000000")
    payload = t.peer(node).wait_for("protoconf", seen=True)
    equal(struct.unpack_from("<I", payload, 1)[0], 3_000_000)


@case()
def cors_answers_the_origin_named(t):
    node = t.node("-rpccorsdomain=http://example.test")
    connection = http.client.HTTPConnection("::1", node.rpc_port, timeout=10)
    connection.request("OPTIONS", "/", headers={"Origin": "http://example.test",
                                                "Access-Control-Request-Method": "POST"})
    answer = connection.getresponse()
    equal(answer.getheader("Access-Control-Allow-Origin"), "http://example.test")
    connection.close()


@case()
def scripts_are_checked_on_any_number_of_threads(t):
    tips = []
    for option in ("-par=1", "-par=3", "-par=-1"):
        node = t.node(option, "-checkblockindex=1", "-mocktime=1700000000")
        node.rpc.generatetoaddress(3, ADDRESS)
        tips.append(node.rpc.getblockcount())
        node.stop()
    equal(tips, [3, 3, 3])


@case()
def silent_peers_are_left_after_p2ptimeout(t):
    node = t.node("-p2ptimeout=2")
    peer = t.peer(node)
    peer.answer_pings = False
    check(peer.is_closed(20), "closed")


@case()
def manual_page_comes_from_the_options(_):
    done = subprocess.run([DAEMON, "-help-man"], capture_output=True, text=True, timeout=20,
                          check=True)
    check(done.stdout.startswith(".TH BSVPEERD 1"), done.stdout[:40])
    is_in("excessiveblocksize", done.stdout)


if __name__ == "__main__":
    main()

"""Files over direct channels between daemons: whole, after interruptions, from several sources."""
import os
import pty
import signal
import socket
import subprocess
import time

from channels import connected_pair, is_up, talker
from events import read_events
from files import make, offer, same, state, transfer
from identities import FAULT
from framework import (ADDRESS, LONG, RpcError, Skip, case, check, equal, is_in, main, raises_rpc,
                       wait_until)

MIB = 1 << 20
CHUNK = 16384  # of files up to 1 GiB


def can_connect(node):
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", node.channel_port)) == 0


@case()
def a_file_is_offered_accepted_and_saved_under_its_name(t):
    a, b = connected_pair(t)
    target = t.path("saved")
    os.mkdir(target)
    for name, size in (("photo.jpg", 3 * MIB + 17), ("empty", 0)):
        path = make(t, name, size)
        id = offer(t, a, b, "bob", path)
        told = transfer(b, id)
        equal((told["name"], told["size"], told["direction"]), (name, size, "in"))
        equal((told["sources"][0]["contact"], told["sources"][0]["state"]), ("alice", "waiting"))
        b.rpc.acceptfile(id, target)
        t.wait(lambda: state(b, id) == "done" and state(a, id) == "done")
        there = transfer(b, id)
        equal(there["path"], os.path.join(target, name))
        equal((there["done"], transfer(a, id)["done"]), (size, size))
        check(same(path, there["path"]), "the same content")
        equal(os.stat(there["path"]).st_mode & 0o777, 0o600)

    def file_events():
        return [e for e in read_events(b) if e["type"].startswith("file_")]
    t.wait(lambda: len(file_events()) == 4)
    events = file_events()
    equal([(e["type"], e["name"], e["entry"]) for e in events],
          [("file_offered", "photo.jpg", 1), ("file_received", "photo.jpg", 2),
           ("file_offered", "empty", 3), ("file_received", "empty", 4)])
    equal({e["key"] for e in events}, {b.rpc.contactlist()[0]["key"]})
    equal((events[3]["file"], events[1]["size"]), (id, 3 * MIB + 17))
    b.kill()
    b.start()
    b.rpc.generatetoaddress(1, ADDRESS)  # after it, nothing comes a second time
    t.wait(lambda: any(e["type"] == "block_connected" and e["height"] == b.rpc.getblockcount()
                       for e in read_events(b)))
    equal(file_events(), events)
    equal(os.listdir(os.path.join(b.directory, "regtest", "files")), [])


def flushed_pair(t, *options):
    """A connected pair whose chains, with the registrations, are on disk: it may be killed."""
    a, b = connected_pair(t, *options)
    a.restart()
    b.restart()
    a.rpc.peerconnect("bob")
    return a, b


def offers_a_running_file(t, a, b, size, seed=1):
    """A transfer in its middle: the id and the path."""
    path = make(t, f"large{seed}", size, seed)
    id = offer(t, a, b, "bob", path)
    b.rpc.acceptfile(id)
    wait_until(lambda: transfer(b, id)["done"] > MIB, pause=0.001)
    return id, path


def arrives(t, a, b, id, path):
    t.wait(lambda: state(b, id) == "done")
    t.wait(lambda: state(a, id) == "done")
    check(same(path, transfer(b, id)["path"]), "the same content")


def good_bytes(node, id, path):
    """Of the chunks that are in the file that arrives."""
    good, part = 0, os.path.join(node.directory, "regtest", "files", id + ".part")
    with open(part, "rb") as there, open(path, "rb") as source:
        while True:
            piece = source.read(MIB)
            if not piece:
                return good
            for at in range(0, len(piece), CHUNK):
                chunk = there.read(len(piece[at:at + CHUNK]))
                good += len(chunk) if chunk == piece[at:at + CHUNK] else 0


def kill_receiver(t, a, b, id, path):
    """What it had written, what had been sent to it."""
    b.process.send_signal(signal.SIGSTOP)
    good = good_bytes(b, id, path)
    b.kill()
    t.wait(lambda: not is_up(a, "bob"), what="end of the session")
    return good, transfer(a, id)["transferred"]


@case()
def a_killed_receiver_goes_on_where_it_was(t):
    size = (256 if LONG else 96) * MIB
    a, b = flushed_pair(t)
    for seed in range(5):  # on a busy machine all may be there before it is noticed
        id, path = offers_a_running_file(t, a, b, size, seed)
        good, before = kill_receiver(t, a, b, id, path)
        b.start()
        b.rpc.peerconnect("alice")
        arrives(t, a, b, id, path)
        if good < size:
            break
    check(MIB < good < size, f"{good} bytes: it was under way")
    # No chunk that was written is sent again; what was on its way has to be. A write that was in
    # the kernel when the process was stopped may end after its file was read here.
    again = transfer(a, id)["transferred"] - before
    check(0 < again <= size - good, f"{again} of {size - good} bytes")


@case()
def a_killed_sender_costs_less_than_a_chunk(t):
    size = (256 if LONG else 96) * MIB
    a, b = flushed_pair(t)
    id, path = offers_a_running_file(t, a, b, size)
    a.kill()
    t.wait(lambda: state(b, id) in ("no source", "done"))
    a.start()
    a.rpc.peerconnect("bob")
    arrives(t, a, b, id, path)
    got = transfer(b, id)["transferred"]
    check(size <= got < size + 2 * 16384, f"{got} bytes for {size}")


def source(t, b, b_key, name, path):
    """Another node that offers the file to b."""
    node, key = talker(t)
    b.rpc.contactadd(f"{key}@{node.channel}", name)
    node.rpc.contactadd(f"{b_key}@{b.channel}", "bob")
    node.rpc.peerconnect("bob")
    return node, node.rpc.sendfile("bob", path)


def spoil(path):
    """Nothing that the node looks at tells."""
    times = os.stat(path)
    with open(path, "r+b") as out:
        for at in range(0, times.st_size, CHUNK):
            out.seek(at)
            out.write(b"lies")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@case(timeout=120)
def one_of_two_sources_lies_and_is_named(t):
    size = 24 * MIB
    a, b = connected_pair(t)
    b_key = a.rpc.contactlist()[0]["key"]
    c = None
    for seed in range(10):  # the honest one may be done before the other has brought a chunk
        honest, wrong = (make(t, f"{name}{seed}", size, seed) for name in ("file", "copy"))
        id = offer(t, a, b, "bob", honest)
        if c:
            same_id = c.rpc.sendfile("bob", wrong)
        else:
            c, same_id = source(t, b, b_key, "carol", wrong)
        equal(same_id, id, "the same content")
        t.wait(lambda id=id: len(transfer(b, id)["sources"]) == 2)
        spoil(wrong)
        b.rpc.acceptfile(id)
        t.wait(lambda id=id: state(b, id) == "done")
        check(same(honest, transfer(b, id)["path"]), "the right content")
        bad = {s["contact"]: s["bad"] for s in transfer(b, id)["sources"]}
        equal(bad["alice"], 0)
        if bad["carol"]:
            break
    check(bad["carol"] >= 1, "it was asked, and is named")


@case()
def a_source_is_left_after_so_many_wrong_chunks(t):
    for number in (1, 2):
        a, b = connected_pair(t, f"-channelbadchunks={number}", "-channelfilestreams=1")
        path = make(t, f"file{number}", 4 * MIB)
        id = offer(t, a, b, "bob", path)
        times = os.stat(path)
        with open(path, "r+b") as out:  # nothing that the node looks at tells
            out.write(bytes(4 * MIB))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        b.rpc.acceptfile(id)
        t.wait(lambda b=b, id=id: transfer(b, id)["sources"][0]["state"] == "banned")
        equal(transfer(b, id)["sources"][0]["bad"], number)
        for node in (a, b):
            node.stop()


@case()
def what_came_is_synced_after_so_much_or_so_long(t):
    if not os.path.exists(FAULT):
        raise Skip("no " + FAULT)

    def syncs(n, *options):
        """A pair whose receiver's disk fails from the n-th sync of files on."""
        a, b = connected_pair(t)
        b.stop()
        b.start(*options, env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": f"fdatasync:{n}:EIO",
                               "BSVPEER_FAULT_PATH": ".part"})
        a.rpc.peerconnect("bob")
        return a, b
    for option, shown in (("-channelfilesync=16MiB", "done"),
                          ("-channelfilesync=1MiB", "disk error")):
        a, b = syncs(2, option, "-channelfilesynctime=3600")  # the last one is always there
        id = offer(t, a, b, "bob", make(t, "file" + shown[:4], 8 * MIB))
        b.rpc.acceptfile(id)
        t.wait(lambda b=b, id=id, shown=shown: state(b, id) == shown, what=shown)
        for node in (a, b):
            node.stop()
    for option, shown in (("-channelfilesynctime=3600", "running"),
                          ("-channelfilesynctime=1", "disk error")):
        a, b = syncs(1, option, "-channelfilesync=1GiB")
        id, _ = offers_a_running_file(t, a, b, 256 * MIB)
        a.process.send_signal(signal.SIGSTOP)
        try:
            check(transfer(b, id)["transferred"] < 256 * MIB, "it stands still")
            if shown == "running":
                time.sleep(2.5)  # more than the other one's time
                equal(state(b, id), shown)
            else:
                t.wait(lambda: state(b, id) == shown, what=shown)
        finally:
            a.process.send_signal(signal.SIGCONT)


@case()
def a_source_that_hangs_holds_up_nothing(t):
    size = 24 * MIB
    a, b = connected_pair(t)
    path = make(t, "file", size)
    id = offer(t, a, b, "bob", path)
    c, _ = source(t, b, a.rpc.contactlist()[0]["key"], "carol", path)
    t.wait(lambda: len(transfer(b, id)["sources"]) == 2)
    c.process.send_signal(signal.SIGSTOP)  # it will be asked, and neither answers nor goes away
    try:
        b.rpc.acceptfile(id)
        t.wait(lambda: state(b, id) == "done", timeout=20)  # less than a stream may be silent
    finally:
        c.process.send_signal(signal.SIGCONT)
    check(same(path, transfer(b, id)["path"]), "the same content")
    t.wait(lambda: state(c, id) == "done")


@case()
def names_of_files_choose_nothing(t):
    a, b = connected_pair(t)
    target = t.path("saved")
    os.mkdir(target)
    os.mkdir(t.path("odd"))
    names = [".profile", "..\\..\\.ssh\\keys", "\x1b[2J\u202etxt.exe", "a.txt", "-rf", "\r\n"]
    for n, name in enumerate(names):
        path = make(t, os.path.join("odd", name), 10 + n)
        id = offer(t, a, b, "bob", path)
        check(all(c.isprintable() or c == "\u202e" for c in transfer(b, id)["name"]))
        if name == "a.txt":
            os.symlink(t.path("victim"), os.path.join(target, name))
        b.rpc.acceptfile(id, target)
        t.wait(lambda: state(b, id) == "done")
    equal(sorted(os.listdir(target)),
          sorted(["profile", "keys", "[2Jtxt.exe", "a.txt", "a (1).txt", "-rf", "file"]))
    check(not os.path.exists(t.path("victim")))


@case()
def a_disk_that_fills_pauses_and_goes_on(t):
    if not os.path.exists(FAULT):
        raise Skip("no " + FAULT)
    size = 8 * MIB
    a, b = connected_pair(t)
    path = make(t, "file", size)
    id = offer(t, a, b, "bob", path)
    for fault, shown in (("pwrite:10:ENOSPC", "no space"), ("fdatasync:1:EIO", "disk error")):
        b.stop()
        b.start(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": fault, "BSVPEER_FAULT_PATH": ".part"})
        a.rpc.peerconnect("bob")
        if state(b, id) == "waiting":
            b.rpc.acceptfile(id)  # later it goes on by itself, and pauses before it can be asked
        t.wait(lambda: state(b, id) == shown)
        check(transfer(b, id)["error"])
        equal(state(a, id), "running")
    b.stop()
    b.launch(env={"LD_PRELOAD": FAULT, "BSVPEER_FAULT": "rename:1:exit",
                  "BSVPEER_FAULT_PATH": ".part"})
    try:  # it ends while it starts when all chunks are there, else perhaps before it is connected
        b.wait_ready()
        a.rpc.peerconnect("bob")
    except (AssertionError, RpcError):
        pass
    b.wait_exit()
    b.start()
    a.rpc.peerconnect("bob")
    arrives(t, a, b, id, path)
    check(transfer(b, id)["transferred"] < size, "what was written stayed")


@case()
def strangers_are_asked_for_and_never_taken_unasked(t):
    a, a_key = talker(t)
    b, b_key = talker(t, "-channelstrangers=1")
    a.rpc.contactadd(f"{b_key}@{b.channel}", "bob")
    t.wait(lambda: b.rpc.listtransfers() == [] and can_connect(b))
    a.rpc.peerconnect("bob")
    path = make(t, "file", 50000)
    id = offer(t, a, b, "bob", path)
    equal([(s["contact"], s["key"]) for s in transfer(b, id)["sources"]], [(None, a_key)])
    b.rpc.acceptfile(id)
    arrives(t, a, b, id, path)


@case(timeout=900, long_only=True)
def fifty_deaths_of_the_sender_cost_less_than_a_chunk_each(t):
    size, times = 1024 * MIB, 50
    a, b = flushed_pair(t, "-channelacceptburst=1000")
    path = make(t, "file", size)
    id = offer(t, a, b, "bob", path)
    b.rpc.acceptfile(id)
    for i in range(1, times + 1):
        wait_until(lambda: transfer(b, id)["done"] > i * size // (times + 2), pause=0.005)
        a.kill()
        a.start()
        a.rpc.peerconnect("bob")
    arrives(t, a, b, id, path)
    got = transfer(b, id)["transferred"]
    check(size <= got < size + times * CHUNK, f"{got - size} bytes came twice")


@case(timeout=900, long_only=True)
def fifty_deaths_of_the_receiver_cost_what_was_on_its_way(t):
    size, times, lost = 1024 * MIB, 50, 0
    a, b = flushed_pair(t, "-channelacceptburst=1000")
    path = make(t, "file", size)
    id = offer(t, a, b, "bob", path)
    b.rpc.acceptfile(id)
    for i in range(1, times + 1):
        wait_until(lambda: transfer(b, id)["done"] > i * size // (times + 2), pause=0.005)
        good, sent = kill_receiver(t, a, b, id, path)
        check(good <= sent - lost, "no chunk that was written has been sent again")
        lost = sent - good
        b.start()
        b.rpc.peerconnect("alice")
    arrives(t, a, b, id, path)
    # Where both dial at once, what was on its way in the session that ends is asked for again, too.
    again = transfer(a, id)["transferred"] - size
    check(lost <= again < times * 8 * MIB, f"{again} bytes came twice, {lost} of them by deaths")
    print(f"{lost / times / 1024:.0f} KiB were on their way at each death")


def use_some(path):
    """Of the disk it is on, so that less than 99 percent are free, whatever others delete."""
    disk = os.statvfs(os.path.dirname(path))
    if disk.f_bavail > disk.f_blocks * 9 // 10:
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_frsize * disk.f_blocks // 50)


@case()
def limits_of_offers_and_of_the_disk_are_kept(t):
    a, b = connected_pair(t)
    use_some(t.path("filler"))
    b.restart("-channelfileoffers=1", "-channelfilereserve=99")
    a.rpc.peerconnect("bob")
    first = offer(t, a, b, "bob", make(t, "one", 100))
    second = a.rpc.sendfile("bob", make(t, "two", 200))
    t.wait(lambda: state(a, second) == "refused")
    b.rpc.acceptfile(first)
    t.wait(lambda: state(b, first) == "no space")
    is_in("shall stay free", transfer(b, first)["error"])
    b.restart("-channelfilereserve=0")
    b.rpc.peerconnect("alice")
    t.wait(lambda: state(b, first) == "done")


def rest_of(terminal):
    """All that was written to it; nobody writes any more."""
    seen = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # so ends a terminal
            return seen
        if not piece:
            return seen
        seen += piece


@case()
def the_client_shows_how_a_file_goes(t):
    a, b = connected_pair(t)
    path = make(t, "photo.jpg", 3 * MIB)
    plain = subprocess.Popen(a.cli_line() + ["send", "bob", path], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    t.cleanups.append(plain.kill)
    equal(plain.stdout.readline(), "bob: was offered the file, and has not answered yet\n")
    t.wait(lambda: b.rpc.listtransfers())
    id = b.rpc.listtransfers()[0]["id"]
    b.rpc.acceptfile(id)
    rest, errors = plain.communicate(timeout=60)
    equal((plain.returncode, errors), (0, ""))
    is_in("100 %  3.1 MB of 3.1 MB", rest.splitlines()[-1])
    master, slave = pty.openpty()
    b.rpc.cancelfile(id)
    b.rpc.contactset("alice", {"accept_files": True})
    seen = subprocess.Popen(a.cli_line() + ["send", "bob", os.path.basename(path)], stdout=slave,
                            cwd=os.path.dirname(path))
    t.cleanups.append(seen.kill)
    equal(seen.wait(60), 0)
    os.close(slave)
    is_in("[" + 30 * "#" + "] 100 %", rest_of(master).decode())
    os.close(master)
    b.rpc.contactset("alice", {"files": False})
    code, out, _ = a.cli("send", "bob", make(t, "other", 100))
    equal((code, out.splitlines()[-1]), (1, "bob: refused"))
    key = a.rpc.contactlist()[0]["key"].upper()
    code, out, _ = a.cli("send", key, make(t, "another", 100))
    equal((code, out.splitlines()[-1]), (1, key + ": refused"))
    code, _, errors = a.cli("send", "bob", t.path("nothing"))
    equal((code, errors), (1, "error: there is no such file\n"))


@case()
def what_cannot_be_is_said(t):
    a, b = connected_pair(t)
    raises_rpc(-5, lambda: a.rpc.sendfile("nobody", "/tmp"), 'no contact "nobody"')
    raises_rpc(-8, lambda: a.rpc.sendfile("bob", "file"), "begin with /")
    raises_rpc(-8, lambda: a.rpc.sendfile("bob", "/tmp"))
    raises_rpc(-5, lambda: a.rpc.sendfile("bob", t.path("nothing")), "no such file")
    raises_rpc(-5, lambda: b.rpc.acceptfile("00" * 32))
    raises_rpc(-8, lambda: b.rpc.acceptfile("00" * 31), "64 hex")
    raises_rpc(-5, lambda: b.rpc.cancelfile("00" * 32))
    id = offer(t, a, b, "bob", make(t, "file", 100))
    raises_rpc(-8, lambda: b.rpc.acceptfile(id, "here"), "begin with /")
    b.rpc.cancelfile(id)
    t.wait(lambda: state(a, id) == "refused")
    equal(b.rpc.listtransfers(), [])
    b.rpc.contactset("alice", {"accept_files": True})
    a.rpc.sendfile("bob", t.path("file"))
    t.wait(lambda: state(b, id) == "done" and state(a, id) == "done")
    a.rpc.cancelfile(id)
    equal(a.rpc.listtransfers(), [])


if __name__ == "__main__":
    main()

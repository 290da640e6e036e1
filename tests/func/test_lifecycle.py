"""Start, stop, lock, cookie, pid file, signals and background."""
import fcntl
import os
import signal
import stat
import subprocess
import threading
import time

from framework import (ADDRESS, BUILD, CLIENT, DAEMON, Rpc, RpcError, Skip, case, check, equal,
                       free_port, is_in, main, vector, wait_until, within)


def one_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    equal(len(lines), 1, "lines of the message: " + text)
    return lines[0]


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@case()
def files_exist_while_it_runs_and_vanish_on_stop(t):
    node = t.node()
    cookie = node.file(".cookie")
    equal(stat.S_IMODE(os.stat(cookie).st_mode), 0o600, "mode of the cookie")
    name, _, secret = node.cookie().partition(":")
    equal(name, "__cookie__")
    equal(len(bytes.fromhex(secret)), 32)
    with open(node.file("bsvpeerd.pid"), encoding="ascii") as file:
        equal(int(file.read()), node.process.pid)
    check(os.path.exists(node.file(".lock")), "lock file")
    check(os.path.exists(node.log_path), "log file")
    node.stop()
    check(not os.path.exists(cookie), "cookie removed")
    check(not os.path.exists(node.file("bsvpeerd.pid")), "pid file removed")


@case()
def each_start_writes_a_new_cookie(t):
    node = t.node()
    first = node.cookie()
    node.restart()
    check(node.cookie() != first, "a new secret")


@case()
def second_daemon_on_the_same_directory_refuses(t):
    node = t.node()
    done = subprocess.run([DAEMON, "-regtest", "-datadir=" + node.directory,
                           f"-rpcport={free_port()}", f"-port={free_port()}", "-connect=0"],
                          capture_output=True, text=True, timeout=20, check=False)
    equal(done.returncode, 1)
    is_in(node.net_directory, one_line(done.stderr))
    equal(node.rpc.getblockcount(), 0, "the first one still answers")
    check(os.path.exists(node.file(".cookie")), "its cookie is untouched")


@case()
def sigterm_and_sigint_stop_in_good_order(t):
    node = t.node()
    for number in (signal.SIGTERM, signal.SIGINT):
        node.rpc.generatetoaddress(1, ADDRESS)
        tip = node.tip()
        node.rpc.close()
        node.signal(number)
        equal(node.wait_exit(20), 0)
        check(not os.path.exists(node.file(".cookie")), "cookie removed")
        node.start()
        equal(node.tip(), tip, "tip after the restart")


@case()
def sighup_reopens_the_log(t):
    node = t.node("-debug=rpc")
    old = node.log_path + ".1"
    os.rename(node.log_path, old)
    node.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(node.log_path), 10, "new log file")
    node.stop()
    check(os.path.getsize(node.log_path) > 0, "lines in the new file")


@case()
def daemon_option_returns_when_the_node_answers(t):
    node = t.make_node()
    done = subprocess.run(node.command("-daemon"), capture_output=True, text=True, timeout=30,
                          check=False)
    equal(done.returncode, 0, done.stderr)
    check(done.stdout.strip() != "", "it says so")
    equal(node.rpc.getblockcount(), 0)
    with open(node.file("bsvpeerd.pid"), encoding="ascii") as file:
        pid = int(file.read())
    code, out, _ = node.cli("stop")
    equal(code, 0)
    check(out.strip().endswith("stopping"), out)
    wait_until(lambda: has_ended(pid), 20, "end of the process")
    check(not os.path.exists(node.file("bsvpeerd.pid")), "pid file removed")


@case()
def descriptors_that_are_missing_cost_no_lock(t):
    node = t.make_node()
    line = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    done = subprocess.run(line + node.command("-daemon"), timeout=30, check=False)
    equal(done.returncode, 0)
    with open(node.file("bsvpeerd.pid"), encoding="ascii") as file:
        pid = int(file.read())
    t.cleanups.append(lambda: os.path.exists(f"/proc/{pid}/exe") and os.kill(pid, signal.SIGKILL))
    with open(node.file(".lock"), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise AssertionError("the directory is not locked")
        except BlockingIOError:
            pass
    done = subprocess.run(line + [CLIENT, *node.command()[1:3], "-regtest", "getblockcount"],
                          timeout=30, check=False)
    equal(done.returncode, 1, "an answer that went nowhere")
    equal(node.cli("stop")[0], 0)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}/exe"), 20, "end of the process")


@case()
def daemon_option_reports_a_failed_start(t):
    node = t.node()
    done = subprocess.run([DAEMON, "-regtest", "-datadir=" + node.directory, "-daemon",
                           f"-rpcport={free_port()}", f"-port={free_port()}", "-connect=0"],
                          capture_output=True, text=True, timeout=20, check=False)
    equal(done.returncode, 1)
    one_line(done.stderr)


@case()
def ports_in_use_are_named(t):
    first = t.node()
    for option, args in (("-rpcport", [f"-rpcport={first.rpc_port}", f"-port={free_port()}"]),
                         (first.p2p,
                          ["-listen=1", "-bind=" + first.p2p, f"-rpcport={free_port()}"])):
        directory = t.make_node().directory
        done = subprocess.run([DAEMON, "-regtest", "-datadir=" + directory, "-connect=0"] + args,
                              capture_output=True, text=True, timeout=20, check=False)
        equal(done.returncode, 1, f"exit code with {option} in use")
        is_in(option, one_line(done.stderr))


@case()
def start_without_any_settings_works(t):
    # Only what keeps the test from the network and from the user's home.
    home = t.path("home")
    os.mkdir(home)
    process = subprocess.Popen([DAEMON, "-regtest", f"-rpcport={free_port()}",
                                f"-port={free_port()}", "-connect=0"], env=dict(os.environ,
                                HOME=home),
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    t.cleanups.append(process.kill)
    cookie = os.path.join(home, ".bsvpeer", "regtest", ".cookie")
    wait_until(lambda: os.path.exists(cookie) or process.poll() is not None, 20, "cookie")
    equal(process.poll(), None, "it runs")
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    equal(process.wait(within(20)), 0)


@case()
def stop_during_an_import_is_quick_and_clean(t):
    path = vector("blocks/mainnet_0_319.blk")
    node = t.make_node("-loadblock=" + path, "-minimumchainwork=00", "-maxtipage=2000000000",
                       network="main")
    node.launch()
    wait_until(lambda: os.path.exists(node.file(".cookie")), 20, "cookie")
    node.signal(signal.SIGTERM)
    equal(node.wait_exit(10), 0, "exit code; " + node.errors())
    node.start()
    node.wait_ready()
    wait_until(lambda: node.rpc.getblockcount() == 319, 30, "import goes on")


@case()
def stop_does_not_wait_for_a_long_command(t):
    """On a real chain verifychain takes hours."""
    tool, path = os.path.join(BUILD, "contrib", "gen_chain"), t.path("chain.blk")
    if not os.path.exists(tool):
        raise Skip(tool + " is not built")
    subprocess.run([tool, "-out=" + path, "-inputs=60000"], capture_output=True, timeout=60,
                   check=True)
    node = t.node("-loadblock=" + path)
    node.wait_import(119)
    answers = []

    def verify():
        try:
            answers.append(Rpc(node.rpc_port, node.cookie).verifychain(4, 0))
        except RpcError as error:
            answers.append(error.code)

    thread = threading.Thread(target=verify)
    thread.start()
    node.wait_busy()
    node.stop(10)
    thread.join()
    equal(answers, [-1], "answer of verifychain")


@case()
def missing_permission_is_said(t):
    if os.geteuid() != 0:
        raise Skip("needs root, to become another user")
    directory = t.path("closed")
    os.mkdir(directory, 0o500)
    os.chmod(t.directory, 0o755)
    try:
        done = subprocess.run([DAEMON, "-regtest", "-datadir=" + directory, "-connect=0",
                               f"-rpcport={free_port()}", f"-port={free_port()}"], user=65534,
                              group=65534, extra_groups=[], capture_output=True, text=True,
                              timeout=20, check=False)
    except PermissionError:
        raise Skip("the program is out of reach for other users") from None
    equal(done.returncode, 1)
    is_in(directory, one_line(done.stderr))
    equal(os.listdir(directory), [], "nothing was written")


@case()
def uptime_counts(t):
    started = time.monotonic()
    node = t.node()
    wait_until(lambda: node.rpc.uptime() >= 1, 10, "a second")
    check(1 <= node.rpc.uptime() <= time.monotonic() - started + 1, "uptime in seconds")


if __name__ == "__main__":
    main()

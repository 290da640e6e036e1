"""Frame of the functional tests: starts daemons, talks to them, and runs the cases of a file.

A test file holds functions marked @case(); each gets a Test object `t`:

    @case(timeout=60)
    def two_nodes_agree(t):
        a = t.node()                      # started, on [::1], own directory, regtest
        b = t.node("-connect=" + a.p2p)
        a.rpc.generatetoaddress(1, ADDRESS)
        t.wait(lambda: b.rpc.getblockcount() == 1)

Everything a case starts is stopped when it ends. Only Python's standard library is used. Paths come
from the environment: BSVPEER_BUILD (default build/ of the sources), BSVPEER_VECTORS (default
../shared/vectors), BSVPEER_LONG=1 for the long variants, BSVPEER_SEED for other choices by chance.
"""
import base64
import decimal
import http.client
import json
import lzma
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BSVPEER_BUILD") or os.path.join(TOP, "build")
VECTORS = os.environ.get("BSVPEER_VECTORS") or os.path.join(TOP, "..", "shared", "vectors")
DAEMON = os.path.join(BUILD, "bsvpeerd")
CLIENT = os.path.join(BUILD, "bsvpeer-cli")
LONG = os.environ.get("BSVPEER_LONG") == "1"
# What cases choose by chance: the same in each ordinary run, something else in each long one.
SEED = os.environ.get("BSVPEER_SEED") or (
    str(random.SystemRandom().randrange(1 << 30)) if LONG else "1")
SCALE = float(os.environ.get("BSVPEER_TIMEOUT_SCALE", "1"))  # how much slower the build is

# An address of regtest and testnet whose key nobody needs: hash160 of twenty zero bytes.
ADDRESS = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8"
SUBDIR = {"main": "", "regtest": "regtest", "testnet": "testnet3", "stn": "stn"}


class Skip(Exception):
    """Raised by a case that cannot run here; the text says why."""


class RpcError(Exception):
    def __init__(self, code, message, status):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


# --- checks --------------------------------------------------------------------------------------

def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what + ': ' if what else ''}got {got!r}, expected {want!r}")


def is_in(item, container, what=""):
    if item not in container:
        raise AssertionError(f"{what + ': ' if what else ''}{item!r} not in {container!r}")


def check(condition, what="condition"):
    if not condition:
        raise AssertionError(f"not true: {what}")


def raises_rpc(code, call, text=None):
    """The call must fail with this RPC error code, and its message contain the text."""
    try:
        result = call()
    except RpcError as error:
        equal(error.code, code, "error code of " + str(error))
        if text is not None:
            is_in(text, error.message)
        return error
    raise AssertionError(f"no error; result {str(result)[:200]}")


def within(seconds):
    """The time in which this machine, as busy as it is, does what an idle one does in `seconds`.
    The load is that of the last minute and knows nothing of a burst: hence twice the time at
    least."""
    return seconds * SCALE * max(2, 1.5 * os.getloadavg()[0] / os.cpu_count())


def wait_until(predicate, timeout=30, what="condition", pause=0.05):
    started = time.monotonic()
    while True:
        value = predicate()
        if value:
            return value
        waited = time.monotonic() - started
        if waited > within(timeout):  # as busy as it has become meanwhile
            raise AssertionError(f"{what} not reached in {waited:.1f} s")
        time.sleep(pause)


def steady(value, seconds=0.3):
    """Waits until it stays the same for so long, above 0; that value."""
    seen, since = value(), time.monotonic()
    while not seen or time.monotonic() - since < seconds:
        time.sleep(0.05)
        now = value()
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def bytes_of(paths):
    """Together; a daemon that runs may delete files meanwhile."""
    total = 0
    for path in paths:
        try:
            total += os.path.getsize(path)
        except FileNotFoundError:
            pass
    return total


def vector(name):
    """Path of a vector file; skips the case when the vectors are not there."""
    path = os.path.join(VECTORS, name)
    if not os.path.exists(path):
        raise Skip(f"{path} is absent")
    return path


def unpacked(name, directory):
    """A vector file ending in .xz, unpacked into the directory."""
    path = vector(name)
    out = os.path.join(directory, os.path.basename(name)[:-3])
    with lzma.open(path) as source, open(out, "wb") as target:
        shutil.copyfileobj(source, target)
    return out


# --- ports ---------------------------------------------------------------------------------------

_reservations = []  # open until this process ends


def free_port():
    """A port outside the kernel's ephemeral range that nobody listens on. It stays ours while its
    daemon is away: a name among the abstract sockets of the machine tells the other test files."""
    while True:
        port = random.SystemRandom().randrange(12000, 30000)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0bsvpeer-test-port-{port}")
            for family, address in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")):
                with socket.socket(family) as probe:
                    probe.bind((address, port))
        except OSError:
            name.close()
            continue
        _reservations.append(name)
        return port


# --- RPC -----------------------------------------------------------------------------------------

class Rpc:
    """JSON-RPC over one keep-alive connection. rpc.method(...) positional, or named by keywords."""

    def __init__(self, port, credentials, host="::1", timeout=120):
        self.port, self.host, self.timeout = port, host, timeout
        self.credentials = credentials  # a function: a restarted daemon writes a new cookie
        self.connection = None
        self.calls = 0

    def __getattr__(self, method):
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*args, **named):
            return self.call(method, *args, **named)
        return call

    def headers(self):
        token = base64.b64encode(self.credentials().encode()).decode()
        return {"Authorization": "Basic " + token, "Content-Type": "application/json"}

    def post(self, body, headers=None, path="/"):
        """(status, headers, body bytes) of a raw request; connects again when the link is gone."""
        if isinstance(body, str):
            body = body.encode()
        headers = self.headers() if headers is None else headers
        for attempt in (0, 1):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection(self.host, self.port,
                                                             timeout=self.timeout)
            try:
                self.connection.request("POST", path, body, headers)
                reply = self.connection.getresponse()
                return reply.status, reply.headers, reply.read()
            except (http.client.HTTPException, OSError):
                self.close()
                if fresh or attempt:
                    raise
        raise AssertionError("not reached")

    def request(self, method, params):
        self.calls += 1
        body = json.dumps({"method": method, "params": params, "id": self.calls},
                          default=str)
        status, _, data = self.post(body)
        try:
            return status, json.loads(data, parse_float=decimal.Decimal)
        except ValueError:
            raise RpcError(None, f"HTTP {status}: {data[:300]!r}", status) from None

    def call(self, method, *args, **named):
        status, reply = self.request(method, named if named else list(args))
        if reply["error"] is not None:
            raise RpcError(reply["error"]["code"], reply["error"]["message"], status)
        return reply["result"]

    def send_only(self, method, *params):
        """Sends a request on a connection of its own and does not wait for the reply."""
        self.send_body_only({"method": method, "params": params})

    def send_body_only(self, body):
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        self.connection.request("POST", "/", json.dumps(body), self.headers())

    def batch(self, calls):
        """calls: (method, params) pairs; the replies in order."""
        body = [{"method": m, "params": p, "id": i} for i, (m, p) in enumerate(calls)]
        status, _, data = self.post(json.dumps(body))
        equal(status, 200, "status of a batch")
        return json.loads(data, parse_float=decimal.Decimal)

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


# --- daemon --------------------------------------------------------------------------------------

class Node:
    """One bsvpeerd with its own data directory and ports. `options` are added to the defaults."""

    def __init__(self, directory, options=(), network="regtest", isolated=True):
        self.directory = directory
        self.network = network
        self.port, self.rpc_port, self.channel_port = free_port(), free_port(), free_port()
        self.p2p = f"[::1]:{self.port}"
        self.channel = f"[::1]:{self.channel_port}"
        self.options = list(options)
        self.isolated = isolated
        self.process = None
        self.rpc = Rpc(self.rpc_port, self.cookie)
        self.errors_path = os.path.join(directory, "stderr.txt")
        self.output_path = os.path.join(directory, "stdout.txt")

    @property
    def net_directory(self):
        return os.path.join(self.directory, SUBDIR[self.network])

    def file(self, *names):
        return os.path.join(self.net_directory, *names)

    @property
    def log_path(self):
        return self.file("bsvpeerd.log")

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def errors(self):
        with open(self.errors_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def output(self):
        with open(self.output_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def cookie(self):
        with open(self.file(".cookie"), encoding="ascii") as file:
            return file.read().strip()

    def command(self, *more):
        line = [DAEMON, "-datadir=" + self.directory, f"-rpcport={self.rpc_port}"]
        if self.network != "main":
            line.append("-" + self.network)
        given = " ".join(self.options + list(more))
        # Nothing from outside: no seeds, and no peers but those a test names.
        line += ["-dnsseed=0", "-forcednsseed=0", "-fixedseeds=0", "-discover=0"]
        if "-bind" not in given and "-listen=0" not in given and "-port" not in given:
            line += [f"-port={self.port}", f"-bind={self.p2p}", "-listen=1"]
        if "-channelbind" not in given and "-channelport" not in given:
            line.append("-channelbind=" + self.channel)
        if self.isolated and "-connect" not in given:
            line.append("-connect=0")
        return line + self.options + list(more)

    def launch(self, *more, env=None):
        """Starts the process and does not wait for it."""
        with open(self.errors_path, "wb") as errors, open(self.output_path, "wb") as output:
            self.process = subprocess.Popen(self.command(*more), stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=errors,
                                            env=dict(os.environ, **(env or {})))
        return self

    def start(self, *more, timeout=30, env=None):
        self.launch(*more, env=env)
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=30):
        started = time.monotonic()
        while True:
            if self.process and self.process.poll() is not None:
                raise AssertionError(f"bsvpeerd ended with {self.process.returncode}: "
                                     f"{self.errors().strip()}")
            try:
                return self.rpc.uptime()
            except (OSError, http.client.HTTPException):
                pass
            except RpcError as error:
                if error.code != -28 and error.status != 401:
                    raise
            if time.monotonic() - started > within(timeout):
                raise AssertionError(f"no answer from bsvpeerd in {within(timeout):.0f} s; log:\n"
                                     + self.log()[-2000:])
            time.sleep(0.03)

    def wait_exit(self, timeout=60):
        timeout = within(timeout)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"bsvpeerd still runs after {timeout:.0f} s; log:\n"
                                 + self.log()[-2000:]) from None

    def stop(self, timeout=60):
        """Clean stop by RPC; the exit code must be 0."""
        self.rpc.stop()
        self.rpc.close()
        equal(self.wait_exit(timeout), 0, "exit code after stop; " + self.errors())
        self.process = None

    def restart(self, *more, timeout=30):
        self.stop()
        return self.start(*more, timeout=timeout)

    def wait_import(self, height, timeout=60):
        """Until no more blocks are read from files: before that, transactions of peers are not
        taken, although the tip may be there."""
        wait_until(lambda: self.rpc.getblockcount() >= height
                   and "read from files" not in self.rpc.why("sync")["answer"], timeout,
                   f"import to height {height}")
        return self

    def kill(self):
        self.rpc.close()
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number):
        self.process.send_signal(number)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def cli_line(self):
        """How bsvpeer-cli is called for it."""
        line = [CLIENT, "-datadir=" + self.directory, f"-rpcport={self.rpc_port}"]
        return line + ["-" + self.network] if self.network != "main" else line

    def cli(self, *args, options=(), stdin=None, timeout=60):
        """(exit code, standard output, standard error) of bsvpeer-cli."""
        done = subprocess.run(self.cli_line() + list(options) + [str(a) for a in args], input=stdin,
                              capture_output=True, text=True, timeout=within(timeout), check=False)
        return done.returncode, done.stdout, done.stderr

    def cpu_seconds(self):
        """CPU time it has used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_busy(self, seconds=0.1):
        """Until it has worked for so long: what was asked of it from another thread is under
        way."""
        before = self.cpu_seconds()
        wait_until(lambda: self.cpu_seconds() - before >= seconds, 30, "work", pause=0.01)

    def memory(self, field="VmRSS"):
        """Bytes from /proc: VmRSS now, VmHWM at most since the last reset_peak_memory."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise AssertionError(field + " absent")

    def writable_memory(self):
        """Pieces of what the process could have written to, stacks and all."""
        if self.memory("VmSize") > 1 << 40:
            raise Skip("a sanitizer keeps what is freed")
        pid = self.process.pid
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            ranges = [line.split()[0] for line in maps if line.split()[1].startswith("rw")]
        try:
            memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
        except PermissionError:
            raise Skip("the memory of another process cannot be read here") from None
        with memory:
            for text in ranges:
                begin, end = (int(x, 16) for x in text.split("-"))
                try:
                    memory.seek(begin)
                    yield memory.read(end - begin)
                except OSError:
                    continue  # gone meanwhile, or no memory

    def memory_rise(self, before):
        """How far the peak lies above `before`; 0 in a sanitizer's build, whose shadow memory is no
        measure."""
        if self.memory("VmSize") > 1 << 40:
            return 0
        return self.memory("VmHWM") - before

    def reset_peak_memory(self):
        try:
            with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            pass  # then the peak counts from the start, which only makes the test stricter

    def tip(self):
        return self.rpc.getbestblockhash()

    def utxo_hash(self):
        return self.rpc.gettxoutsetinfo()["hash_serialized"]


# --- cases ---------------------------------------------------------------------------------------

_cases = []


def case(timeout=60, long_only=False):
    """Marks a function as a test case; timeout in seconds."""
    def mark(function):
        _cases.append((function, timeout, long_only))
        return function
    return mark


class Test:
    """What a case works with."""

    def __init__(self, directory):
        self.directory = directory
        self.cleanups = []
        self.n_nodes = 0
        self.nodes = []

    def make_node(self, *options, network="regtest", isolated=True):
        """A node that is not started."""
        self.n_nodes += 1
        directory = os.path.join(self.directory, f"node{self.n_nodes}")
        os.mkdir(directory)
        node = Node(directory, options, network, isolated)
        self.nodes.append(node)
        self.cleanups.append(node.kill)
        return node

    def node(self, *options, network="regtest", timeout=30, isolated=True):
        return self.make_node(*options, network=network, isolated=isolated).start(timeout=timeout)

    def node_at(self, chain, *options):
        """A node at the tip of a blocks.Chain, which it has imported; restarts do not again."""
        node = self.make_node(*options)
        node.start("-loadblock=" + chain.write(self.path(f"node{self.n_nodes}.blk")))
        return node.wait_import(chain.height)

    def peer(self, node, **options):
        """A scripted peer connected to the node, handshake done."""
        from p2p import Peer
        peer = Peer.connect(node, **options)
        self.cleanups.append(peer.close)
        return peer

    def listener(self, **options):
        """A scripted peer that nodes can connect to."""
        from p2p import Listener
        listener = Listener(**options)
        self.cleanups.append(listener.close)
        return listener

    def path(self, name):
        return os.path.join(self.directory, name)

    def wait(self, predicate, timeout=30, what="condition"):
        return wait_until(predicate, timeout, what)

    def wait_same_tip(self, *nodes, timeout=60):
        wait_until(lambda: len({n.tip() for n in nodes}) == 1, timeout, "equal tips")

    def clean(self):
        for cleanup in reversed(self.cleanups):
            try:
                cleanup()
            except Exception:  # pylint: disable=broad-except
                traceback.print_exc()

    def explain(self):
        """What helps to understand a failure: the end of each log."""
        for i, node in enumerate(self.nodes):
            print(f"--- node{i + 1} {' '.join(node.options)}")
            if os.path.exists(node.errors_path):
                print(node.errors()[-1500:], end="")
            last = int(os.environ.get("BSVPEER_LOG_LINES", "25"))
            print("\n".join(node.log().splitlines()[-last:]))


class CaseTimeout(BaseException):
    """Not an Exception, so that no handler of a case takes it for something else."""


_ended = False


def _on_alarm(number, _frame):
    global _ended  # pylint: disable=global-statement
    _ended = number == signal.SIGTERM
    raise CaseTimeout()


def _run_case(name, function, timeout):
    directory = tempfile.mkdtemp(prefix="bsvpeer-func-")
    test = Test(directory)
    started = time.monotonic()
    timeout = int(within(timeout))
    outcome, detail = "PASSED", ""
    random.seed(SEED + name)
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.signal(signal.SIGTERM, _on_alarm)
    signal.alarm(timeout)
    try:
        function(test)
    except Skip as reason:
        outcome, detail = "SKIPPED", str(reason)
    except CaseTimeout:
        outcome, detail = "FAILED", f"no end after {timeout} s\n" + traceback.format_exc()
    except Exception:  # pylint: disable=broad-except
        outcome, detail = "FAILED", traceback.format_exc()
    finally:
        signal.alarm(0)
    if outcome == "FAILED":
        print(f"--- BSVPEER_SEED={SEED}")
        print(detail.rstrip())
        test.explain()
    test.clean()
    if os.environ.get("BSVPEER_KEEP") == "1":
        print(f"--- kept {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    mark = {"PASSED": "  PASSED  ", "FAILED": "  FAILED  ", "SKIPPED": "  SKIPPED "}[outcome]
    note = f" {detail}" if outcome == "SKIPPED" else ""
    print(f"[{mark}] {name} ({time.monotonic() - started:.1f} s){note}", flush=True)
    return outcome


def main():
    """Runs the cases of the file, or those named on the command line."""
    prefix = os.path.basename(sys.argv[0]).removesuffix(".py").removeprefix("test_")
    chosen = sys.argv[1:]
    failed = 0
    for function, timeout, long_only in _cases:
        if chosen and function.__name__ not in chosen:
            continue
        if _ended or (long_only and not LONG and not chosen):
            continue
        outcome = _run_case(f"{prefix}.{function.__name__}", function, timeout)
        failed += outcome == "FAILED"
    sys.exit(1 if failed else 0)

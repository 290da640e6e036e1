"""Hosts for functional tests: network namespaces that are joined by a pair of interfaces, and
daemons in them. Nothing of this touches the network of the machine; it takes root, and a case that
cannot have it skips."""
import contextlib
import ctypes
import os
import shutil
import subprocess
import time

from framework import Node, Rpc, Skip, equal, wait_until

_libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """A namespace, held by a process that ends with this one."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.path = f"/proc/{self.process.pid}/ns/net"
        here = os.readlink("/proc/self/ns/net")
        end = time.monotonic() + 10
        while self.process.poll() is None and os.readlink(self.path) == here:
            if time.monotonic() > end:
                break
            time.sleep(0.005)
        if self.process.poll() is not None or os.readlink(self.path) == here:
            self.close()
            raise Skip("no network namespaces (unshare -n)")
        self.ip("link", "set", "lo", "up")

    def wrap(self, line):
        return ["nsenter", "--net=" + self.path, "--"] + line

    def run(self, *line):
        done = subprocess.run(self.wrap(list(line)), capture_output=True, text=True, timeout=30,
                              check=False)
        equal(done.returncode, 0, f"{' '.join(line)}: {done.stderr.strip()}")
        return done.stdout

    def ip(self, *args):
        return self.run("ip", "-6", *args)

    def addresses(self, interface, *filters):
        """{address: flags and times, as text}"""
        lines = self.ip("-o", "addr", "show", "dev", interface, *filters).splitlines()
        return {line.split()[3].split("/")[0]: line for line in lines}

    @contextlib.contextmanager
    def inside(self):
        """Sockets that are made meanwhile are of this host."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(self.path, "rb") as there:
            enter(there)
            try:
                yield
            finally:
                enter(home)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def enter(namespace):
    if _libc.setns(namespace.fileno(), 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def need_root():
    if os.geteuid() != 0:
        raise Skip("network namespaces take root")
    for tool in ("ip", "unshare", "nsenter"):
        if not shutil.which(tool):
            raise Skip("there is no program " + tool)


def two_hosts(t):
    """Two hosts on one link, the interface eth0 of each."""
    need_root()
    made = []
    for _ in range(2):
        made.append(Host())
        t.cleanups.append(made[-1].close)
    a, b = made
    try:
        a.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
             str(b.process.pid))
        a.run("test", "-d", "/proc/sys/net/ipv6")
    except AssertionError as error:
        raise Skip(f"no link with IPv6 between two network namespaces: {error}") from None
    for host in made:
        # As quick as duplicate address detection can be: no random delay, an answer is waited for
        # for a tenth of a second, and there is no link-local address that needs it.
        host.run("sh", "-c", "cd /proc/sys/net/ipv6 && echo 0 > conf/eth0/router_solicitation_delay"
                 " && echo 100 > neigh/eth0/retrans_time_ms && ip link set eth0 addrgenmode none"
                 " && ip link set eth0 up")
    for host in made:
        wait_until(lambda h=host: "LOWER_UP" in h.run("ip", "link", "show", "eth0"),
                   what="the link")
    return made


class HostRpc(Rpc):
    def __init__(self, host, port, credentials):
        super().__init__(port, credentials)
        self.netns = host

    def post(self, body, headers=None, path="/"):
        with self.netns.inside():
            return super().post(body, headers, path)


class HostNode(Node):
    """A daemon in a namespace that listens on all its addresses."""

    def __init__(self, host, directory, options):
        super().__init__(directory, options)
        self.netns = host
        self.rpc = HostRpc(host, self.rpc_port, self.cookie)
        self.options += [f"-bind=[::]:{self.port}", "-listen=1"]
        self.within = []  # a program that the daemon is started by

    def command(self, *more):
        return self.netns.wrap(self.within + super().command(*more))


def host_node(t, host, *options):
    t.n_nodes += 1
    directory = t.path(f"node{t.n_nodes}")
    os.mkdir(directory)
    node = HostNode(host, directory, options)
    t.nodes.append(node)
    t.cleanups.append(node.kill)
    return node.start()

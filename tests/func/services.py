"""What tests of services share: programs that are exposed, those that use them, and their times."""
import socket
import subprocess
import sys
import time
import urllib.request

from framework import check, free_port, within


def web_server(t, directory):
    """An HTTP server that knows nothing of us; its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "::1", "--directory", directory],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.cleanups.append(lambda: (process.kill(), process.wait()))
    t.wait(lambda: connects(port), what="the web server")
    return port


def connects(port):
    with socket.socket(socket.AF_INET6) as s:
        return s.connect_ex(("::1", port)) == 0


def get(port, path):
    with urllib.request.urlopen(f"http://localhost:{port}/{path}", timeout=60) as answer:
        return answer.read()


def pipe(t, node, contact, service, *options):
    process = subprocess.Popen(node.cli_line() + ["pipe", contact, service, *options],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    t.cleanups.append(process.kill)
    return process


def streams(node):
    return node.rpc.listservices()["streams"]


def read_all(s, size):
    got = b""
    while len(got) < size:
        piece = s.recv(size - len(got))
        check(piece, f"the stream was cut after {len(got)} bytes of a piece")
        got += piece
    return got


def round_trips(port, n):
    """Milliseconds of so many small packets to an echo and back, one at a time, sorted."""
    times = []
    with socket.create_connection(("::1", port), timeout=within(60)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(n):
            began = time.monotonic()
            s.sendall(b"v" * 160)
            read_all(s, 160)
            times.append(1000 * (time.monotonic() - began))
            time.sleep(0.005)
    return sorted(times)

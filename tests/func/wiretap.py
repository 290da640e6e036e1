"""What somebody on the path sees of a connection: a relay that passes bytes on and writes down when
how many came from which side."""
import socket
import threading
import time

from channel_guest import channel_of
from framework import free_port

OUT, BACK = "out", "back"  # from who dials, and to it


class Wiretap:
    """Listens on a port for whoever dials it, and dials a port of a node for them: that of its
    channels, if not said otherwise. While `passes` is cleared what comes is held back."""

    def __init__(self, t, node, where=None):
        self.where = where or channel_of(node)
        self.passes = threading.Event()
        self.passes.set()
        self.seen = []  # (seconds, side, bytes), in the order of arrival
        self.sockets = []
        self.port = free_port()
        self.listener = socket.create_server(("::1", self.port), family=socket.AF_INET6)
        self.sockets.append(self.listener)
        threading.Thread(target=self.accept, daemon=True).start()
        t.cleanups.append(self.close)

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.where, timeout=30)
            except OSError:
                return
            for one in (near, far):
                one.settimeout(None)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.append(one)
            for ends in ((near, far, OUT), (far, near, BACK)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source, target, side):
        try:
            while piece := source.recv(1 << 18):
                self.seen.append((time.monotonic(), side, len(piece)))
                self.passes.wait()
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def sizes(self, side, since=0):
        """Of the pieces that came from a side, after so many of both."""
        return [n for _, s, n in self.seen[since:] if s == side]

    def close(self):
        for each in self.sockets:
            each.close()

"""A client of the event log (doc/events.md): follows GET /events, through restarts of the node and
its own, and keeps the chain and the mempool that the events describe. What makes no sense there is
noted as an error: a gap or repetition of numbers, a block that does not fit, a transaction told
twice."""
import base64
import http.client
import json
import threading
import time


def get_events(node, query="", credentials=None, method="GET"):
    """(status, content type, body) of one request."""
    connection = http.client.HTTPConnection("::1", node.rpc_port, timeout=30)
    token = base64.b64encode((credentials or node.cookie()).encode()).decode()
    connection.request(method, "/events" + query, headers={"Authorization": "Basic " + token})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, reply.headers["Content-Type"], body


def info(node):
    status, _, body = get_events(node)
    assert status == 200, body
    return json.loads(body)


def read_events(node, start=1):
    """All events from a number to the present end."""
    status, kind, body = get_events(node, f"?from={start}")
    assert (status, kind) == (200, "application/x-ndjson"), (status, body)
    return [json.loads(line) for line in body.splitlines() if line]


class Account:
    """The chain (from the first block told of) and the mempool, as events tell."""

    def __init__(self):
        self.chain, self.base, self.pool = [], 0, {}
        self.next = 1
        self.counts = {}
        self.errors = []

    @property
    def tip(self):
        return self.chain[-1] if self.chain else None

    @property
    def height(self):
        return self.base + len(self.chain) - 1

    def note(self, event, text):
        self.errors.append(f"{text}: {event}")

    def take(self, event):
        if event["number"] != self.next:
            self.note(event, f"number {self.next} was due")
        self.next = event["number"] + 1
        self.counts[event["type"]] = self.counts.get(event["type"], 0) + 1
        getattr(self, event["type"])(event)

    def start(self, event):
        self.chain, self.base, self.pool = [event["hash"]], event["height"], {}

    def block_connected(self, event):
        if event["previous"] != self.tip or event["height"] != self.height + 1:
            self.note(event, f"does not follow {self.tip} at {self.height}")
        self.chain.append(event["hash"])

    def block_disconnected(self, event):
        if event["hash"] != self.tip or event["height"] != self.height:
            self.note(event, f"is not the tip {self.tip}")
        self.chain.pop()
        if not self.chain:
            self.chain, self.base = [event["previous"]], self.base - 1
        if self.tip != event["previous"]:
            self.note(event, "another block is below")

    def tx_accepted(self, event):
        if event["txid"] in self.pool:
            self.note(event, "told twice")
        self.pool[event["txid"]] = event

    def tx_removed(self, event):
        if self.pool.pop(event["txid"], None) is None:
            self.note(event, "was not there")


def account_of(events):
    account = Account()
    if events:
        account.next = events[0]["number"]
    for event in events:
        account.take(event)
    return account


class Follower:
    """Follows in a thread; comes back when the connection ends. break_link() makes it end."""

    def __init__(self, node, start=1):
        self.node = node
        self.account = Account()
        self.account.next = start
        self.log_id = None
        self.seen = {}  # type -> hashes and ids told of
        self.refusals = []
        self.connections = 0
        self.stopping = False
        self.link = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            try:
                self.follow()
            except (OSError, http.client.HTTPException, ValueError, AttributeError):
                pass  # the node is away, or the link was broken
            time.sleep(0.02)

    def follow(self):
        link = http.client.HTTPConnection("::1", self.node.rpc_port, timeout=30)
        self.link = link
        token = base64.b64encode(self.node.cookie().encode()).decode()
        query = f"/events?from={self.account.next}&follow=1"
        query += f"&log={self.log_id}" if self.log_id else ""
        link.request("GET", query, headers={"Authorization": "Basic " + token})
        reply = link.getresponse()
        if reply.status != 200:
            body = reply.read()
            if reply.status not in (401, 503):  # before the new cookie, while starting
                self.refusals.append((reply.status, body))
            time.sleep(0.05)
            return
        self.connections += 1
        for line in reply:
            if not line.endswith(b"\n"):
                return  # cut within a line
            if line != b"\n":
                event = json.loads(line)
                self.seen.setdefault(event["type"], set()).add(event.get("txid") or event["hash"])
                self.account.take(event)
        link.close()

    def break_link(self):
        link = self.link
        try:
            if link is not None and link.sock is not None:
                link.sock.shutdown(2)
        except OSError:
            pass  # it is broken already

    def stop(self):
        self.stopping = True
        self.break_link()
        self.thread.join(10)

    def agrees(self):
        """What the events describe is what the node says."""
        return (self.account.tip == self.node.tip()
                and set(self.account.pool) == set(self.node.rpc.getrawmempool()))

"""The HTTP side of RPC: authentication, address list, limits, batches, status codes (spec rpc
1)."""
import base64
import hashlib
import hmac
import http.client
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from framework import ADDRESS, Rpc, case, check, equal, free_port, is_in, main, wait_until, within


def raw(node, data, answers=1, ends=False):
    """What a node answers to raw bytes, until it closes or that many answers are there. With `ends`
    the client has no more to say: what it sent may not be the whole of a request."""
    with socket.create_connection(("::1", node.rpc_port), timeout=within(30)) as s:
        s.sendall(data)
        out = b""
        try:
            if ends:
                s.shutdown(socket.SHUT_WR)
            while whole_answers(out) < answers and (chunk := s.recv(65536)):
                out += chunk
        except ConnectionResetError:
            pass
        return out


def whole_answers(data):
    """How many answers of known length these bytes have."""
    count = 0
    while b"\r\n\r\n" in data:
        head, data = data.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        if len(data) < length:
            break
        data = data[length:]
        count += 1
    return count


def auth(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode(),
            "Content-Type": "application/json"}


def request_bytes(node, body, path="/", method="POST", extra=""):
    token = base64.b64encode(node.cookie().encode()).decode()
    return (f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {token}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def status(answer):
    return int(answer.split(b" ", 2)[1])


@case()
def good_answer_has_the_exact_form(t):
    node = t.node()
    code, headers, body = node.rpc.post('{"method":"getblockcount","params":[],"id":"x"}')
    equal((code, headers["Content-Type"]), (200, "application/json"))
    equal(body, b'{"result":0,"error":null,"id":"x"}\n')
    for request_id in ("null", "1", '{"a":[1]}', '"text"', "1.5"):
        _, _, body = node.rpc.post('{"method":"getblockcount","id":' + request_id + "}")
        equal(json.loads(body)["id"], json.loads(request_id))
    _, _, body = node.rpc.post('{"jsonrpc":"2.0","method":"getblockcount"}')
    equal(body, b'{"result":0,"error":null,"id":null}\n')


@case()
def broken_requests_have_their_codes(t):
    node = t.node()
    for body, code, error in (
            ("{", 500, -32700), ("", 500, -32700), ("[1", 500, -32700), ('"text"', 500, -32700),
            ("{}", 400, -32600), ('{"method":5}', 400, -32600),
            ('{"method":"help","params":7}', 400, -32600), ('{"method":"nosuch"}', 404, -32601),
            ('{"method":"getblockhash","params":[99]}', 500, -8)):
        got, _, answer = node.rpc.post(body)
        equal((got, json.loads(answer)["error"]["code"]), (code, error), body)


@case()
def batches_are_answered_in_order(t):
    node = t.node()
    node.rpc.generatetoaddress(2, ADDRESS)
    replies = node.rpc.batch([("getblockhash", [1]), ("nosuch", []), ("getblockhash", [77]),
                              ("getblockcount", [])])
    equal([r["id"] for r in replies], [0, 1, 2, 3])
    equal([r["error"] and r["error"]["code"] for r in replies], [None, -32601, -8, None])
    code, _, body = node.rpc.post("[]")
    equal((code, json.loads(body)), (200, []))
    code, _, body = node.rpc.post('[1,{"method":"getblockcount","id":5}]')
    equal(code, 200)
    rows = json.loads(body)
    equal(rows[0]["error"]["code"], -32600)
    equal((rows[1]["result"], rows[1]["id"]), (2, 5))
    many = node.rpc.batch([("getblockcount", [])] * 2000)
    equal({r["result"] for r in many}, {2})


@case()
def credentials_are_checked(t):
    salt = "0a1b"
    digest = hmac.new(salt.encode(), b"sesame", hashlib.sha256).hexdigest()
    node = t.make_node("-rpcuser=alice", "-rpcpassword=wonder", f"-rpcauth=bob:{salt}${digest}")
    node.rpc.credentials = lambda: "alice:wonder"
    node.start()
    body = '{"method":"getblockcount"}'
    equal(node.rpc.post(body, auth("bob:sesame"))[0], 200)

    def refusal(wrong):
        rpc, started = Rpc(node.rpc_port, node.cookie), time.monotonic()
        code, headers, answer = rpc.post(body, auth(wrong))
        equal((code, answer), (401, b""), wrong)
        equal(headers["WWW-Authenticate"], 'Basic realm="jsonrpc"')
        check(time.monotonic() - started > 0.2, "a wrong password is answered late")
        rpc.close()
    wrong_ones = ("alice:", "alice:wonderx", "bob:wonder", "carol:sesame", "", ":", "__cookie__:x")
    with ThreadPoolExecutor(len(wrong_ones)) as clients:
        list(clients.map(refusal, wrong_ones))
    code, headers, answer = node.rpc.post(body, {"Content-Type": "application/json"})
    equal((code, answer), (401, b""), "no credentials")
    for odd in ("Basic", "Basic !!!!", "Bearer abc", "Basic " + "A" * 5000):
        equal(node.rpc.post(body, {"Authorization": odd})[0], 401, odd[:20])


@case()
def credentials_are_checked_before_the_body_is_read(t):
    node = t.node()
    answer = raw(node, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n")
    equal(status(answer), 401)


@case()
def paths_and_methods(t):
    node = t.node()
    body = '{"method":"getblockcount"}'
    equal(status(raw(node, request_bytes(node, body))), 200)
    equal(status(raw(node, request_bytes(node, body, path="/other"))), 404)
    answer = raw(node, request_bytes(node, "", method="GET"))
    equal(status(answer), 405)
    is_in(b"JSONRPC server handles only POST requests", answer)


@case()
def broken_http_does_not_hurt(t):
    node = t.node()
    for data in (b"", b"\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\0" * 100,
                 b"x" * 20000, b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                 b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
                 b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
                 b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n"):
        answer = raw(node, data, ends=True)
        check(not answer or 400 <= status(answer) < 600, answer[:80])
        equal(node.rpc.getblockcount(), 0)


@case()
def large_headers_are_refused(t):
    node = t.node()
    token = base64.b64encode(node.cookie().encode()).decode()
    answer = raw(node, (f"POST / HTTP/1.1\r\nAuthorization: Basic {token}\r\nX: " + "y" * 9000
                        + "\r\nContent-Length: 0\r\n\r\n").encode())
    check(not answer or 400 <= status(answer) < 500, answer[:60])


@case()
def several_requests_share_a_connection(t):
    node = t.node()
    body = '{"method":"getblockcount","id":1}'
    answer = raw(node, request_bytes(node, body) * 5, answers=5)
    equal(answer.count(b'"result":0'), 5, "five requests sent at once")


@case()
def idle_connections_are_closed(t):
    node = t.node("-rpcservertimeout=1")
    started = time.monotonic()
    with socket.create_connection(("::1", node.rpc_port), timeout=10) as s:
        s.sendall(b"POST / HTTP/1.1\r\n")
        s.settimeout(within(8))
        while s.recv(4096):  # a time-out here is a failure
            pass
        check(time.monotonic() - started > 0.5, "not before its time")


@case()
def full_work_queue_is_said(t):
    node = t.node("-rpcthreads=1", "-rpcworkqueue=1")
    node.rpc.generatetoaddress(200, ADDRESS)
    results = []

    def ask():
        rpc = Rpc(node.rpc_port, node.cookie)
        code, _, body = rpc.post('{"method":"verifychain","params":[4,0]}')
        results.append((code, body))
        rpc.close()
    refused = []
    for _ in range(50):  # on a busy machine they may come one after the other
        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [body for code, body in results if code == 500]
        if refused:
            break
    is_in(200, [code for code, _ in results])
    check(refused, "some are refused")
    is_in(b"Work queue depth exceeded", refused[0])
    equal(node.rpc.getblockcount(), 200)


@case()
def server_listens_on_both_loopback_addresses_only(t):
    node = t.node()
    for host in ("::1", "127.0.0.1"):
        equal(Rpc(node.rpc_port, node.cookie, host=host).getblockcount(), 0)
    table = []
    for name in ("tcp", "tcp6"):
        with open("/proc/net/" + name, encoding="ascii") as file:
            table += [line.split() for line in file.readlines()[1:]]
    suffix = ":%04X" % node.rpc_port
    listening = [row[1] for row in table if row[1].endswith(suffix) and row[3] == "0A"]
    check(all(a.startswith("0100007F") or a.startswith("0" * 24 + "01000000") for a in listening),
          listening)


@case()
def rpcbind_needs_rpcallowip(t):
    node = t.node("-rpcbind=0.0.0.0")
    is_in("rpcbind", node.log())
    equal(node.rpc.getblockcount(), 0)
    port = free_port()
    other = t.make_node("-rpcallowip=10.0.0.0/8", f"-rpcbind=127.0.0.1:{port}")
    other.rpc = Rpc(port, other.cookie, host="127.0.0.1")
    other.start()
    equal(other.rpc.getblockcount(), 0)


@case()
def large_answers_come_in_chunks(t):
    node = t.node()
    node.rpc.generatetoaddress(1, ADDRESS)
    _, headers, body = node.rpc.post(json.dumps({"method": "getblock", "params": [node.tip(), 2],
                                                 "id": 1}))
    check("chunked" in headers.get("Transfer-Encoding", "")
          or headers["Content-Length"] == str(len(body)), "chunked or of known length")
    equal(json.loads(body)["id"], 1)


@case()
def server_can_be_switched_off(t):
    node = t.make_node("-server=0")
    node.launch()
    wait_until(lambda: "ready" in node.log(), 10, "start")
    try:
        socket.create_connection(("::1", node.rpc_port), timeout=1).close()
        check(False, "nobody listens")
    except OSError:
        pass
    node.signal(15)
    equal(node.wait_exit(), 0)


if __name__ == "__main__":
    main()

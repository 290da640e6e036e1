"""RPC and REST through independent clients from npm: bitcoin-core and rpc-bitcoin."""
import hashlib
import hmac

from scripts import run_script  # first: it finds the folder of the functional tests

from framework import case, check, equal, main
from txs import coin, id_of, mine, move, node_with_coins, send


def plain(value):
    """As JavaScript sees it: numbers are floating point; bitcoin-core gives some as text."""
    if isinstance(value, str) and len(value) < 25:
        try:
            return float(value)
        except ValueError:
            return value
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return float(value) if not isinstance(value, (bool, str, type(None))) else value


def same(got, want, what):
    equal(plain(got), plain(want), what)


@case(timeout=120)
def two_clients_see_what_the_node_says(t):
    digest = hmac.new(b"0a1b", b"wonder", hashlib.sha256).hexdigest()
    node, chain = node_with_coins(t, "-rest", f"-rpcauth=alice:0a1b${digest}")
    mine(node, chain, move(coin(chain, 1)))
    waiting = move(coin(chain, 2))
    send(node, waiting)
    got = run_script("rpc_clients.js", node.rpc_port, "alice", "wonder", id_of(waiting))
    best = node.tip()
    info, block = node.rpc.getblockchaininfo(), node.rpc.getblock(best)
    for name, client in got.items():
        equal(client["best"], best, name)
        same(client["info"], info, name)
        same(client["block"], block, name)
        equal(client["raw"], waiting.serialize().hex(), name)
        equal(client["pool"], [id_of(waiting)], name)
        rest = client["rest"]
        same(rest["info"], info, name)
        same(rest["block"], node.rpc.getblock(best, 2), name)
        same(rest["summary"], block, name)
        equal(rest["headers"][0]["hash"],
              best if name == "rpcBitcoin" else node.rpc.getblockhash(1), name)
        equal(rest["transaction"]["txid"], id_of(waiting), name)
        same(rest["pool"], node.rpc.getmempoolinfo(), name)
        same(rest["contents"], node.rpc.getrawmempool(True), name)
    core, other = got["bitcoinCore"], got["rpcBitcoin"]
    equal(core["verbose"]["txid"], id_of(waiting))
    equal(core["batch"], [chain.height, node.rpc.getblockhash(1), -8])
    equal(core["failure"], [-5, "Block not found"])
    equal(core["rest"]["bin"], node.rpc.getblock(best, 0))
    equal(len(core["rest"]["headers"]), 3)
    equal(core["rest"]["outputs"]["bitmap"], "1")  # both ask for the mempool, too
    equal(other["rest"]["outputs"]["bitmap"], "10")
    same(other["entry"], node.rpc.getmempoolentry(id_of(waiting)), "getmempoolentry")
    same(other["header"], node.rpc.getblockheader(best), "getblockheader")
    check(other["uptime"] >= 0, "uptime")


if __name__ == "__main__":
    main()

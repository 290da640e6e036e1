"""Independent clients from npm talk to a node over ::1."""
import threading

from scripts import run_script  # first: it finds the folder of the functional tests

from framework import ADDRESS, case, check, equal, main, vector
from blocks import GENESIS_HASH_HEX, MAIN_GENESIS_HASH_HEX
from txs import coin, hex_of, id_of, move, node_with_coins, pool, send

MAGIC = {"regtest": "0xfabfb5da", "main": "0xe8f3e1e3"}
IMPORT = ("-minimumchainwork=00", "-maxtipage=2000000000")


def hashes(node, count):
    return [node.rpc.getblockhash(h) for h in range(1, count + 1)]


def mainnet_node(t):
    node = t.node("-loadblock=" + vector("blocks/mainnet_0_319.blk"), *IMPORT, network="main")
    node.wait_import(319)
    return node


@case()
def bsv_p2p_gets_headers_and_a_block_of_regtest(t):
    node = t.node()
    node.rpc.generatetoaddress(12, ADDRESS)
    want = hashes(node, 12)
    got = run_script("client.js", node.port, "REGTEST", GENESIS_HASH_HEX, want[6])
    equal(got["problems"], [])
    equal(got["headers"], want)
    equal(got["block"], want[6])
    equal(got["size"], node.rpc.getblock(want[6])["size"])
    check(got["ping"], "ping answered")


@case(timeout=120)
def bsv_p2p_gets_headers_and_a_block_of_the_main_network(t):
    node = mainnet_node(t)
    want = hashes(node, 319)
    got = run_script("client.js", node.port, "BSV", MAIN_GENESIS_HASH_HEX, want[169])
    equal(got["problems"], [])
    equal(got["headers"], want)
    equal(got["block"], want[169])


@case()
def bitcoin_protocol_peer_is_served(t):
    node = t.node()
    node.rpc.generatetoaddress(5, ADDRESS)
    want = hashes(node, 5)
    got = run_script("scripted_peer.js", node.port, MAGIC["regtest"], GENESIS_HASH_HEX, want[2])
    equal(got["first"][:2], ["version", "verack"])
    equal(got["headers"],
          [GENESIS_HASH_HEX_INTERNAL] + [bytes.fromhex(h)[::-1].hex() for h in want[:4]])
    equal(got["transactions"], 1)
    check(got["pong"], "ping answered")
    check(got["asked"], "an unknown block makes the node ask for headers")


@case(timeout=120)
def bitcoin_protocol_peer_reads_a_block_with_several_transactions(t):
    node = mainnet_node(t)
    want = node.rpc.getblockhash(170)
    got = run_script("scripted_peer.js", node.port, MAGIC["main"], MAIN_GENESIS_HASH_HEX, want)
    equal(len(got["headers"]), 319)
    equal(got["transactions"], 2)


GENESIS_HASH_HEX_INTERNAL = bytes.fromhex(GENESIS_HASH_HEX)[::-1].hex()

def exchange(t, script, *first_arguments):
    """A client submits one transaction and fetches another, which RPC submits meanwhile."""
    node, chain = node_with_coins(t)
    ours, theirs = move(coin(chain, 1)), move(coin(chain, 2))

    def submit_when_theirs_is_there():
        t.wait(lambda: id_of(theirs) in pool(node), 30, "their transaction in the mempool")
        send(node, ours)

    helper = threading.Thread(target=submit_when_theirs_is_there)
    helper.start()
    got = run_script(script, node.port, *first_arguments, *arguments_of(script, theirs),
                     id_of(ours))
    helper.join()
    equal(got["fetched"], hex_of(ours))
    equal(pool(node), {id_of(ours), id_of(theirs)})
    return got


def arguments_of(script, tx):
    return [hex_of(tx)] if script == "tx_client.js" else [id_of(tx), hex_of(tx)]


@case()
def bsv_p2p_submits_a_transaction_and_hears_of_another(t):
    got = exchange(t, "tx_client.js", "REGTEST")
    equal(got["rejects"], [])


@case()
def bitcoin_protocol_peer_submits_a_transaction_and_hears_of_another(t):
    got = exchange(t, "tx_peer.js", MAGIC["regtest"])
    check(got["asked"], "the node asked for what was announced")


if __name__ == "__main__":
    main()

"""A daemon that is killed at any moment while its wallet sends, receives and rescans."""
import http.client
import random
import threading
import time

from framework import ADDRESS, LONG, Rpc, RpcError, case, equal, main
from wallet_rpc import WalletRpc
from wallets import MATURITY, REWARD, mine

GAP = "-walletgaplimit=200"  # a crash takes back blocks that paid addresses
KILLS = 40 if LONG else 2


class Client(threading.Thread):
    """Does what comes to it until the daemon is gone."""

    def __init__(self, node, seed):
        super().__init__()
        self.rpc = Rpc(node.rpc_port, node.cookie)
        self.random = random.Random(seed)
        self.done = 0

    def step(self):
        rpc, chance = self.rpc, self.random.random()
        if chance < 0.5:
            rpc.sendtoaddress(rpc.getnewaddress(), "0.1")
        elif chance < 0.6:
            rpc.sendtoaddress(ADDRESS, "0.01")
        elif chance < 0.7:
            rpc.rescanblockchain(self.random.randrange(MATURITY))
        elif chance < 0.8:
            mine(rpc_node(rpc), 1, rpc.getnewaddress())
        else:
            mine(rpc_node(rpc))

    def run(self):
        try:
            while True:
                self.step()
                self.done += 1
        except RpcError as error:
            if error.code != -28 and error.status == 200:
                raise
        except (OSError, http.client.HTTPException):
            pass


class rpc_node:
    """What mine asks for."""

    def __init__(self, rpc):
        self.rpc = rpc


def unconfirmed(rpc):
    """Those that may still confirm: a coinbase that a crash took is none, nor what spends it."""
    every = rpc.listtransactions("*", 100000)
    lost = {e["txid"] for e in every if e["category"] == "orphan" or e.get("abandoned")}
    return [e for e in every if e["confirmations"] == 0 and e["txid"] not in lost]


def facts(rpc):
    """All that is confirmed, as a wallet tells it that knows nothing but the chain."""
    return sorted((e["txid"], e["vout"], e["category"], e["amount"], e["blockhash"])
                  for e in rpc.listtransactions("*", 100000) if e["confirmations"] > 0)


def killed(t, node, seed):
    """Works until it is killed; how much was done."""
    client = Client(node, seed)
    client.start()
    if seed == 0:  # then something is done, however busy the machine is
        t.wait(lambda: client.done or not client.is_alive(), what="the first step")
    time.sleep(random.Random(seed).uniform(0.02, 0.5))
    node.rpc.close()
    node.kill()
    client.join()
    client.rpc.close()
    node.start()
    t.wait(lambda: node.rpc.getwalletinfo()["scanning"] is False, what="the rescan ends")
    return client.done


@case(timeout=1800 if LONG else 120)
def what_a_killed_wallet_knows_is_what_its_phrase_brings_back(t):
    node = t.node(GAP)
    phrase = node.rpc.getwalletphrase()
    mine(node, 2, node.rpc.getnewaddress())
    mine(node, MATURITY)
    node.restart()  # what is in the index then stays
    done = sum(killed(t, node, seed) for seed in range(KILLS))
    equal(done > 0, True, "something was done")

    def settled():
        mine(node)
        return not unconfirmed(node.rpc)
    try:
        t.wait(settled, what="all that was sent is confirmed")
    except AssertionError as error:
        raise AssertionError(f"{error}: {unconfirmed(node.rpc)}; in the mempool: "
                             f"{node.rpc.getrawmempool()}") from error
    node.rpc.createwallet(wallet_name="again", phrase=phrase)
    old, new = WalletRpc(node, "default"), WalletRpc(node, "again")
    height = node.rpc.getblockcount()
    t.wait(lambda: new.getwalletinfo()["height"] == height, what="the phrase's wallet is there")
    equal(facts(new), facts(old), "the same history")
    for key in ("balance", "unconfirmed_balance", "immature_balance"):
        equal(new.getwalletinfo()[key], old.getwalletinfo()[key], key)
    equal(old.getbalance() > REWARD, True, "there is something")


main()

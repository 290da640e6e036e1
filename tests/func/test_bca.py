"""bcaverify on daemons: a registration is mined, its addresses are judged by the chain of each, a
reorganisation voids them, the spend of the marker revokes them, and what is not known is not
judged."""
import json
import os
import time
from decimal import Decimal

from blocks import ANYONE, Block, Chain, TxOut, coinbase, from_display
from framework import RpcError, Skip, case, check, equal, free_port, is_in, main, raises_rpc
from guide import commands_of, shell
from identities import (FAULT, MARKER, PREFIX, crash_at, form, grow, identity,
                        is_handed_over_again, kill_and_start, registration, result, revocation_of,
                        revoked, states, submit, tool, two_nodes, wallet_node)
from p2p import ChainServer, headers_payload
from txs import KEY, coin, id_of, mine, move, node_with_coins, send
from wallet_rpc import WalletRpc


@case()
def an_address_is_judged_by_the_chain_of_each_node(t):
    a, b, chain = two_nodes(t)
    block = mine(a, chain, registration(coin(chain, 1)))
    t.wait_same_tip(a, b)
    address, params = form(block, 3)
    for node in (a, b):
        equal(node.rpc.bcaverify(address, params), {
            "result": "valid", "failed_step": None, "network": "regtest", "address": address,
            "sec": 0, "security_bits": 59, "public_key": KEY.public.hex(), "block": block.hash_hex,
            "txid": id_of(block.txs[1]), "marker_output": MARKER, "confirmations": 1,
            "chain_checked": True, "revocation_checked": True, "revoked_by": None,
            "revocation_block": None, "revocation_pending": None})
    mine(a, chain)
    t.wait_same_tip(a, b)
    equal(result(b, (address, params)), ("valid", None, 2))
    code, out, _ = b.cli("bca", "verify", address, params)
    equal((code, json.loads(out)), (0, b.rpc.bcaverify(address, params)))
    equal(b.cli("bca", "nothing")[0], 89, "no method bcanothing")
    is_in("bca verify", b.cli("bca")[2])


@case()
def a_reorganisation_voids_addresses_until_they_are_formed_anew(t):
    a, b, chain = two_nodes(t)
    tx = registration(coin(chain, 1))
    first = mine(a, chain, tx)
    old = form(first)
    t.wait_same_tip(a, b)
    fork = chain.fork(chain.height - 1).grow(2)
    submit(a, fork, fork.height - 1)
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, old), ("invalid", "chain", None), "its block is stale")
    equal(tool("verify", "--network=regtest", *old)["result"], "valid", "offline nobody sees it")

    new = form(mine(a, fork, tx))
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, new), ("valid", None, 1))
        equal(result(node, old), ("invalid", "chain", None))
    a.rpc.invalidateblock(fork.tip_hex)
    equal(result(a, new), ("invalid", "chain", None), "a block that was refused")
    a.rpc.reconsiderblock(fork.tip_hex)
    equal(result(a, new), ("valid", None, 1))
    b.restart()
    equal(result(b, new), ("valid", None, 1))


@case()
def a_block_that_a_node_cannot_know_yet_is_undetermined(t):
    a, chain = node_with_coins(t)
    fork = chain.fork(chain.height)
    block = fork.add(registration(coin(chain, 1)))
    proof = form(block)
    new = t.node("-genesisactivationheight=1")
    equal(result(new, proof), ("undetermined", "chain", None), "before it has caught up")
    equal(result(a, proof), ("invalid", "chain", None), "unknown to a chain that has")

    peer = t.peer(a)
    peer.send("headers", headers_payload([block.header]))
    t.wait(lambda: a.rpc.getblockchaininfo()["headers"] == fork.height, what="the header")
    equal(result(a, proof), ("undetermined", "chain", None), "ahead of the blocks it has")
    submit(a, fork, fork.height)
    equal(result(a, proof), ("valid", None, 1))


@case()
def a_node_that_has_not_caught_up_does_not_say_that_a_marker_is_unspent(t):
    a, chain = node_with_coins(t)
    block = mine(a, chain, registration(coin(chain, 1)))
    late = t.make_node("-genesisactivationheight=1", "-maxtipage=1")
    late.start("-loadblock=" + chain.write(t.path("chain")))
    t.wait(lambda: late.rpc.getbestblockhash() == chain.tip_hex, what="its blocks")
    verdict = late.rpc.bcaverify(*form(block))
    equal((verdict["result"], verdict["failed_step"]), ("undetermined", "revoked"))
    equal((verdict["confirmations"], verdict["chain_checked"], verdict["revocation_checked"]),
          (1, True, False))


@case()
def the_spend_of_the_marker_revokes_when_it_is_mined(t):
    a, b, chain = two_nodes(t, "-prune=1")
    tx = registration(coin(chain, 1))
    proof = form(mine(a, chain, tx))
    revocation = revocation_of(tx)
    t.wait_same_tip(a, b)
    equal(result(b, proof), ("valid", None, 1))
    mine(a, chain, revocation)
    t.wait_same_tip(a, b)
    for node in (a, b):
        equal(result(node, proof), ("invalid", "revoked", 2))
        equal(revoked(node, proof), (id_of(revocation), chain.tip_hex, None))
    equal(a.rpc.bcaverify(*proof)["revocation_checked"], True)
    b.kill()
    b.start()
    t.wait_same_tip(a, b)
    equal(revoked(b, proof), (id_of(revocation), chain.tip_hex, None), "after a crash")
    a.rpc.invalidateblock(chain.tip_hex)
    equal(result(a, proof), ("valid", None, 1), "a spend that is in no block does not count")
    t.wait(lambda: revoked(a, proof) == (None, None, id_of(revocation)), what="the warning")


@case()
def a_spend_of_the_marker_is_that_of_the_active_branch(t):
    a, chain = node_with_coins(t)
    tx = registration(coin(chain, 1))
    proof = form(mine(a, chain, tx))
    first, second = revocation_of(tx), revocation_of(tx, b"\x00\x6a\x51")
    equal(revoked(a, proof), (None, None, None))
    send(a, first)
    equal((result(a, proof)[0], revoked(a, proof)), ("valid", (None, None, id_of(first))))
    fork = chain.fork(chain.height)
    mine(a, chain, first)
    submit(a, fork.grow(2), fork.height - 1)
    equal(result(a, proof), ("valid", None, 3))
    mine(a, fork, second)
    equal(revoked(a, proof), (id_of(second), fork.tip_hex, None))
    a.rpc.preciousblock(chain.tip_hex)
    a.rpc.invalidateblock(fork.at(fork.height - 2).hash_hex)
    equal(a.rpc.getbestblockhash(), chain.tip_hex)
    equal(revoked(a, proof), (id_of(first), chain.tip_hex, None))
    a.restart("-reindex-chainstate")
    t.wait(lambda: a.rpc.getbestblockhash() == chain.tip_hex, what="its blocks")
    equal(revoked(a, proof), (id_of(first), chain.tip_hex, None))


@case()
def a_pruned_node_says_what_revoked(t):
    node = t.node("-genesisactivationheight=1", "-prune=1", "-preferredblockfilesize=1MiB")
    chain = Chain(start_time=int(time.time()) - 7200).grow(101)
    tx = registration(coin(chain, 1))
    revocation = revocation_of(tx)
    proof = form(chain.add(tx))
    block = chain.add(revocation)
    for _ in range(900):
        made = coinbase(chain.height + 1)
        made.outputs.append(TxOut(0, b"\x00\x6a\x4d\x00\x20" + bytes(0x2000)))
        chain.add(coinbase_tx=made)
    ChainServer(t.peer(node, height=chain.height), chain, announce=True)
    t.wait(lambda: node.rpc.getbestblockhash() == chain.tip_hex, 60, "its blocks")
    check(node.rpc.pruneblockchain(chain.height - 300) > 103, "both blocks are gone")
    raises_rpc(-1, lambda: node.rpc.getblock(block.hash_hex), "not available")
    equal(result(node, proof)[:2], ("invalid", "revoked"))
    equal(revoked(node, proof), (id_of(revocation), block.hash_hex, None))


@case()
def an_output_that_is_no_marker_revokes_nothing(t):
    a, chain = node_with_coins(t)
    tx = registration(coin(chain, 1))
    tx.outputs[MARKER] = TxOut(1, ANYONE)
    proof = form(mine(a, chain, tx))
    mine(a, chain, move((tx.txid(), MARKER, 1), fee=1))
    equal(result(a, proof), ("valid", None, 2))
    equal(a.rpc.bcaverify(*proof)["marker_output"], None)


@case()
def faults_are_named_and_wrong_calls_refused(t):
    a, chain = node_with_coins(t)
    address, params = form(mine(a, chain, registration(coin(chain, 1))))
    other = form(chain.at(chain.height), 1)[0]
    equal(result(a, (other, params)), ("invalid", "hash1", None))
    equal(result(a, ("2001:db8::1", params)), ("invalid", "subnet_prefix", None))
    for spoilt in ("", params[:-2], params + "00", "02" + params[2:]):
        verdict = a.rpc.bcaverify(address, spoilt)
        equal((verdict["result"], verdict["failed_step"]), ("invalid", "decode"))
        equal((verdict["public_key"], verdict["block"], verdict["chain_checked"]),
              (None, None, False))
    raises_rpc(-5, lambda: a.rpc.bcaverify("192.0.2.1", params), "Invalid IPv6 address: 192.0.2.1")
    raises_rpc(-5, lambda: a.rpc.bcaverify("", params), "Invalid IPv6 address")
    raises_rpc(-8, lambda: a.rpc.bcaverify(address, "0"), "hexadecimal")
    raises_rpc(-8, lambda: a.rpc.bcaverify(address, "xy"), "hexadecimal")
    raises_rpc(-1, lambda: a.rpc.bcaverify(address), "bcaverify")


# --- identities of a wallet -----------------------------------------------------------------------


@case()
def a_wallet_registers_and_another_node_verifies(t):
    a = wallet_node(t)
    b = t.node("-connect=" + a.p2p)
    made = a.rpc.bcaregister("alice", 2)
    equal(made["state"], "pending")
    tx = a.rpc.getrawtransaction(made["txid"], True)
    check(len(tx["hex"]) // 2 <= 800, "800 bytes at most")
    equal([o["n"] for o in tx["vout"] if o["scriptPubKey"]["hex"].startswith("006a0442434101")],
          [0])
    equal((tx["vout"][MARKER]["value"], tx["vout"][MARKER]["scriptPubKey"]["type"]),
          (Decimal("0.00000001"), "pubkeyhash"))
    check(made["txid"] not in {u["txid"] for u in a.rpc.listunspent(0)
                               if u["vout"] == MARKER}, "the marker is no ordinary coin")
    raises_rpc(-4, lambda: a.rpc.bcanew("alice", PREFIX), "pending")
    raises_rpc(-8, lambda: a.rpc.bcaregister("alice"), "already")
    grow(a)
    equal((identity(a)["state"], identity(a)["confirmations"]), ("ready", 1))

    first = a.rpc.bcanew("alice", PREFIX)
    second = a.rpc.bcanew("alice", "2001:db8:0:2::", 0)
    equal((first["unused"], second["unused"]), (1, 0))
    raises_rpc(-4, lambda: a.rpc.bcanew("alice", PREFIX), "all 2 modifiers")
    t.wait_same_tip(a, b)
    for made in (first, second):
        proof = made["address"], made["params"]
        check(len(made["params"]) // 2 <= 2048, "fits a message")
        for node in (a, b):
            equal(result(node, proof), ("valid", None, 1))
        equal(b.rpc.bcaverify(*proof)["marker_output"], MARKER)
        equal(b.rpc.bcaverify(*proof)["public_key"], identity(a)["public_key"])
        equal(tool("verify", "--network=regtest", *proof)["result"], "valid")
        equal(a.rpc.bcaparams(made["address"]), made["params"])
    check(tool("decode", first["params"])["modifier"] !=
          tool("decode", second["params"])["modifier"], "two modifiers")
    equal(a.cli("bca", "params", first["address"])[1].strip(), first["params"])


@case()
def a_reorganisation_voids_what_a_wallet_formed(t):
    a = wallet_node(t)
    b = t.node("-connect=" + a.p2p)
    txid = a.rpc.bcaregister("alice", 4)["txid"]
    block = grow(a)[0]
    old = a.rpc.bcanew("alice", PREFIX)
    t.wait_same_tip(a, b)
    for node in (a, b):
        node.rpc.invalidateblock(block)
        equal(result(node, (old["address"], old["params"])), ("invalid", "chain", None))
    equal((identity(a)["state"], identity(a)["confirmations"]), ("pending", 0))
    equal(states(a), {old["address"]: "void"})
    raises_rpc(-4, lambda: a.rpc.bcaparams(old["address"]), "void")
    raises_rpc(-4, lambda: a.rpc.bcanew("alice", PREFIX), "pending")

    t.wait(lambda: txid in a.rpc.getrawmempool(), what="back in the mempool")
    again = grow(a, 2)
    t.wait_same_tip(a, b)
    new = a.rpc.bcanew("alice", PREFIX)
    equal(new["unused"], 2)
    equal(b.rpc.bcaverify(new["address"], new["params"])["block"], again[0])
    for node in (a, b):
        equal(result(node, (new["address"], new["params"])), ("valid", None, 2))
        equal(result(node, (old["address"], old["params"])), ("invalid", "chain", None))
    equal(states(a), {old["address"]: "void", new["address"]: "ready"})


@case()
def a_kill_forgets_nothing_and_uses_no_modifier_twice(t):
    other = t.node()
    node = wallet_node(t, "-connect=" + other.p2p)
    txid = node.rpc.bcaregister("alice")["txid"]
    kill_and_start(t, node, other)
    equal((identity(node)["txid"], identity(node)["state"]), (txid, "pending"))
    is_handed_over_again(t, node, txid)
    grow(node)
    made = []
    for _ in range(3):
        made += [node.rpc.bcanew("alice", PREFIX) for _ in range(2)]
        kill_and_start(t, node, other)
        equal(identity(node)["unused"], 32 - len(made))
    equal(len({tool("decode", m["params"])["modifier"] for m in made}), len(made))
    equal(states(node), {m["address"]: "ready" for m in made})


@case()
def a_restored_wallet_keeps_its_addresses_and_forms_no_more(t):
    node = wallet_node(t)
    node.rpc.bcaregister("alice", 4)
    grow(node)
    old = node.rpc.bcanew("alice", PREFIX)
    backup = t.path("backup")
    node.rpc.backupwallet(backup)
    later = node.rpc.bcanew("alice", PREFIX)  # with a modifier that the backup calls unused
    node.rpc.restorewallet("again", backup)
    rpc = WalletRpc(node, "again")
    t.wait(lambda: rpc.bcalist()["identities"][0]["confirmations"] == 1, what="its block")
    alice, = rpc.bcalist()["identities"]
    equal((alice["name"], alice["state"], alice["unused"]), ("alice", "restored", 0))
    equal(rpc.bcaparams(old["address"]), old["params"])
    raises_rpc(-5, lambda: rpc.bcaparams(later["address"]), "not formed")
    raises_rpc(-4, lambda: rpc.bcanew("alice", PREFIX), "register another name")
    raises_rpc(-8, lambda: rpc.bcaregister("alice"), "already")
    equal(rpc.bcaregister("bob", 1)["state"], "pending")
    grow(node)
    new = rpc.bcanew("bob", PREFIX)
    equal(node.rpc.bcaverify(new["address"], new["params"])["result"], "valid")


@case(timeout=180)
def a_crash_at_any_write_of_a_registration_forgets_nothing(t):
    if not os.path.exists(FAULT):
        raise Skip("no " + FAULT)
    node = wallet_node(t)
    crashes = 0
    for store in ("/default/keys/", "/default/coins/"):
        for n in range(1, 6):
            name = f"{store.split('/')[2]}-{n}"
            crashes += crash_at(node, f"fdatasync:{n}:exit", store,
                                lambda: node.rpc.bcaregister(name, 1))
            if node.is_alive():
                node.stop()
            node.start()
            known = {i["name"]: i for i in node.rpc.bcalist()["identities"]}
            if known.get(name, {}).get("state") != "pending":
                try:
                    node.rpc.bcaregister(name, 1)
                except RpcError as error:  # the transaction was there, only not its name
                    is_in("already", error.message)
            txid = identity(node, name)["txid"]
            raw = {x["txid"]: node.rpc.gettransaction(x["txid"])["hex"]
                   for x in node.rpc.listtransactions("*", 1000)}
            at = raw[txid].index("006a0442434101")
            equal([i for i in raw if raw[txid][at:at + 144] in raw[i]], [txid], "one of its key")
    check(crashes >= 3, f"{crashes} crashes")


@case()
def what_identities_cannot_do_is_said(t):
    node = wallet_node(t)
    rpc = node.rpc
    for name in ("", "a b", "x" * 65, "a/b"):
        raises_rpc(-8, lambda: rpc.bcaregister(name), "letters, digits")
    raises_rpc(-8, lambda: rpc.bcaregister("ali\0ce"), "name must not have a zero character")
    raises_rpc(-8, lambda: rpc.bcaregister("alice", 3), "1, 2, 4, 8, 16 or 32")
    raises_rpc(-8, lambda: rpc.bcaregister("alice", 64), "1, 2, 4, 8, 16 or 32")
    raises_rpc(-4, lambda: rpc.bcaregister("alice", 1, 1), "above the limit")
    equal(rpc.bcalist(), {"identities": [], "addresses": []}, "a name is free after a refusal")
    rpc.bcaregister("alice", 1, 0.00001)
    grow(node)
    raises_rpc(-5, lambda: rpc.bcanew("bob", PREFIX), "no identity bob")
    for prefix in ("", "2001:db8::1/64", "2001:db8::/48", "192.0.2.1", "x", "2001:db8::/64/64"):
        raises_rpc(-8, lambda: rpc.bcanew("alice", prefix), "prefix must be")
    for prefix in ("::/64", "ff02::/64", "fd87:d87e:eb43::/64"):
        raises_rpc(-8, lambda: rpc.bcanew("alice", prefix), "no address is formed")
    raises_rpc(-8, lambda: rpc.bcanew("alice", PREFIX, 8), "sec must be")
    raises_rpc(-4, lambda: rpc.bcanew("alice", PREFIX, 7), "pow_sec")
    equal(identity(node)["unused"], 1, "what was refused uses nothing")
    raises_rpc(-5, lambda: rpc.bcaparams("2001:db8::1"), "not formed")
    raises_rpc(-5, lambda: rpc.bcaparams("x"), "Invalid IPv6 address")
    made = rpc.bcanew("alice", "fd00:1:2:3::/64")
    rpc.encryptwallet("secret")
    raises_rpc(-13, lambda: rpc.bcaregister("bob"))
    equal(rpc.bcaparams(made["address"]), made["params"], "needs no passphrase")
    rpc.walletpassphrase("secret", 60)
    equal(rpc.bcaregister("bob")["state"], "pending")


def small_coins_alone(t, n):
    """A node whose wallet has n coins of 100 satoshis, and one that is locked."""
    node = wallet_node(t)
    node.rpc.sendmany("", {node.rpc.getnewaddress(): 0.000001 for _ in range(n)})
    grow(node)
    large = [u for u in node.rpc.listunspent() if u["amount"] > 1]
    node.rpc.lockunspent(False, [{"txid": u["txid"], "vout": u["vout"]} for u in large])
    return node


@case()
def coins_that_are_too_small_are_gathered_before_a_registration(t):
    node = small_coins_alone(t, 40)
    made = node.rpc.bcaregister("alice", 32, 0.000006)
    tx = node.rpc.getrawtransaction(made["txid"], True)
    check(len(tx["hex"]) // 2 <= 800, "800 bytes at most")
    check(made["gathered"] in {i["txid"] for i in tx["vin"]}, "pays for it")
    grow(node)
    equal(identity(node)["state"], "ready")
    equal(node.rpc.bcanew("alice", PREFIX)["unused"], 31)


@case()
def coins_that_do_not_even_pay_for_the_gathering_are_too_few(t):
    node = small_coins_alone(t, 12)
    raises_rpc(-6, lambda: node.rpc.bcaregister("alice", 32, 0.000006), "more are needed")
    equal(node.rpc.bcalist()["identities"], [])


@case()
def a_node_that_prunes_keeps_the_proof_of_a_registration(t):
    node = wallet_node(t, "-prune=1", "-preferredblockfilesize=1MiB")
    node.rpc.bcaregister("alice", 2)
    block = grow(node)[0]
    node.restart()  # looks at identities when it begins, then once a minute
    t.wait(lambda: "registration of alice is kept" in node.log(), what="the proof")
    tip = node.rpc.getblockheader(block)
    previous, height = from_display(block), tip["height"]
    for i in range(1, 20):  # the file of the registration is full
        full = coinbase(height + i)
        full.outputs.append(TxOut(0, b"\x00\x6a\x4e\x00\x00\x01\x00" + bytes(0x10000)))
        made = Block.make(previous, height + i, tip["time"] + i, coinbase_tx=full)
        node.rpc.submitblock(made.serialize().hex())
        previous = made.hash()
    grow(node, 1000 - height)
    check(node.rpc.pruneblockchain(height + 20) >= height, "the block is gone")
    raises_rpc(-1, lambda: node.rpc.getblock(block), "not available")
    made = node.rpc.bcanew("alice", PREFIX)
    equal(result(node, (made["address"], made["params"]))[:2], ("valid", None))


@case()
def ten_commands_of_the_guide_lead_to_a_verified_address(t):
    commands = commands_of("identity.md", "Ten commands")
    equal(len(commands), 10)
    home = t.path("home")
    os.makedirs(os.path.join(home, ".bsvpeer"))
    with open(os.path.join(home, ".bsvpeer", "bsvpeer.conf"), "w", encoding="ascii") as file:
        file.write(f"listen=0\nrpcport={free_port()}\n")
    mine, address, out = "", "", ""
    try:
        for command in commands:
            done = shell(mine + command.replace("ADDRESS", address or "ADDRESS"), home)
            equal(done.returncode, 0, command + ": " + done.stderr)
            if command.startswith("MINE="):
                mine = command + "; "
            elif " bca new " in command:
                address = json.loads(done.stdout)["address"]
            elif " bca verify " in command:
                equal(json.loads(done.stdout)["result"], "valid")
            out = done.stdout
        equal(out.splitlines()[0], "result: valid")
    finally:
        shell("bsvpeer-cli -regtest stop", home)
        lock = os.path.join(home, ".bsvpeer", "regtest", "bsvpeerd.pid")
        t.wait(lambda: not os.path.exists(lock), what="the end of the daemon")


if __name__ == "__main__":
    main()

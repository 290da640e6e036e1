"""Options of policy, each with a transaction that passes and one that does not."""
import time

from blocks import ANYONE, Key, Tx, TxIn, TxOut, push
from framework import case, equal, is_in, main, raises_rpc, wait_until
from txs import coin, hex_of, id_of, mine, move, node_with_coins, output, pool, send

STRICT = "-acceptnonstdtxn=0"
KEY = Key(9)
DUST = TxOut(0, KEY.script)


def refused(node, tx, reason):
    raises_rpc(-26, lambda: node.rpc.sendrawtransaction(hex_of(tx)), reason)


def pay(from_coin, *outputs, fee=1000, unlock=b""):
    """One input, these outputs, and the rest to an anyone-can-spend one."""
    txid, index, value = from_coin
    rest = value - fee - sum(o.value for o in outputs)
    return Tx([TxIn(txid, index, unlock)], list(outputs) + [TxOut(rest, ANYONE)])


def data(size):
    """A null-data output whose script has this many bytes (above 77)."""
    return TxOut(0, b"\x00\x6a\x4e" + (size - 7).to_bytes(4, "little") + bytes(size - 7))


def locked(node, from_coin, script):
    """Sends a transaction with an output under the script; (txid, index, value) of it."""
    tx = pay(from_coin, TxOut(100000, script))
    send(node, tx)
    return output(tx)


def free_spend(coins, fee=0, unlock=b"", outputs=1):
    total = sum(value for _, _, value in coins) - fee
    return Tx([TxIn(txid, index, unlock) for txid, index, _ in coins],
              [TxOut(total // outputs, ANYONE)] * outputs)


def mineable(node):
    return node.rpc.getmempoolinfo()["journalsize"]


# --- standardness -------------------------------------------------------------------------------

@case()
def acceptnonstdtxn_is_off_on_request_and_then_dust_is_refused(t):
    node, chain = node_with_coins(t)
    equal(node.rpc.getsettings()["acceptnonstdtxn"], True)
    send(node, pay(coin(chain, 1), DUST))
    node.restart(STRICT)
    equal(node.rpc.getsettings()["acceptnonstdtxn"], False)
    refused(node, pay(coin(chain, 2), DUST), "64: dust")


@case()
def acceptnonstdoutputs_allows_unusual_scripts(t):
    node, chain = node_with_coins(t, STRICT)
    send(node, pay(coin(chain, 1)))
    node.restart("-acceptnonstdoutputs=0")
    refused(node, pay(coin(chain, 2)), "64: scriptpubkey")


@case()
def maxtxsizepolicy_is_the_largest_transaction(t):
    node, chain = node_with_coins(t, STRICT, "-maxtxsizepolicy=100000")
    size = len(pay(coin(chain, 1), data(99000)).serialize())
    send(node, pay(coin(chain, 1), data(99000 + 100000 - size)))
    refused(node, pay(coin(chain, 2), data(99000 + 100001 - size)), "64: tx-size")


@case()
def datacarrier_and_its_size(t):
    node, chain = node_with_coins(t, STRICT, "-datacarriersize=100")
    send(node, pay(coin(chain, 1), data(100)))
    refused(node, pay(coin(chain, 2), data(101)), "64: datacarrier-size-exceeded")
    refused(node, pay(coin(chain, 2), data(80), data(80)), "64: datacarrier-size-exceeded")
    node.restart("-datacarrier=0", "-acceptnonstdoutputs=0")
    txid, index, value = coin(chain, 3)
    refused(node, Tx([TxIn(txid, index)], [TxOut(value - 1000, KEY.script), data(80)]),
            "64: scriptpubkey")


@case()
def permitbaremultisig_allows_outputs_of_several_keys(t):
    node, chain = node_with_coins(t, STRICT)
    both = TxOut(1000, b"\x51" + push(KEY.public) * 2 + b"\x52\xae")
    send(node, pay(coin(chain, 1), both))
    node.restart("-permitbaremultisig=0")
    refused(node, pay(coin(chain, 2), both), "64: bare-multisig")


@case()
def maxtxsigopscountspolicy_counts_signature_operations(t):
    node, chain = node_with_coins(t, "-maxtxsigopscountspolicy=3")
    send(node, pay(coin(chain, 1), TxOut(1000, b"\xac" * 3)))
    refused(node, pay(coin(chain, 2), TxOut(1000, b"\xac" * 4)), "64: bad-txns-too-many-sigops")


# --- scripts ------------------------------------------------------------------------------------

@case()
def maxscriptsizepolicy_is_the_largest_script(t):
    node, chain = node_with_coins(t, "-maxscriptsizepolicy=1000")
    good = locked(node, coin(chain, 1), b"\x61" * 999 + ANYONE)
    large = locked(node, coin(chain, 2), b"\x61" * 1000 + ANYONE)
    send(node, free_spend([good], 1000))
    refused(node, free_spend([large], 1000), "Script is too big")


@case()
def maxopsperscriptpolicy_counts_operations(t):
    node, chain = node_with_coins(t, "-maxopsperscriptpolicy=10")
    good = locked(node, coin(chain, 1), b"\x61" * 10 + ANYONE)
    many = locked(node, coin(chain, 2), b"\x61" * 11 + ANYONE)
    send(node, free_spend([good], 1000))
    refused(node, free_spend([many], 1000), "Operation limit exceeded")


@case()
def maxscriptnumlengthpolicy_is_the_largest_number(t):
    node, chain = node_with_coins(t, "-maxscriptnumlengthpolicy=20")
    good = locked(node, coin(chain, 1), push(b"\x01" * 20) + b"\x8b\x75" + ANYONE)
    large = locked(node, coin(chain, 2), push(b"\x01" * 21) + b"\x8b\x75" + ANYONE)
    send(node, free_spend([good], 1000))
    refused(node, free_spend([large], 1000), "max-script-num-length-policy-limit-violated")


@case()
def maxpubkeyspermultisigpolicy_counts_keys(t):
    node, chain = node_with_coins(t, "-maxpubkeyspermultisigpolicy=2")
    none_of = b"\x00\x00" + push(KEY.public) * 2 + b"\x52\xae"  # 0 of 2: nobody signs
    good = locked(node, coin(chain, 1), none_of)
    many = locked(node, coin(chain, 2), b"\x00\x00" + push(KEY.public) * 3 + b"\x53\xae")
    send(node, free_spend([good], 1000))
    refused(node, free_spend([many], 1000), "Pubkey count negative or limit exceeded")


@case()
def maxstackmemoryusagepolicy_is_what_a_script_may_use(t):
    node, chain = node_with_coins(t, "-maxstackmemoryusagepolicy=1000")
    good = locked(node, coin(chain, 1), push(bytes(400)) + b"\x76\x6d" + ANYONE)
    large = locked(node, coin(chain, 2), push(bytes(500)) + b"\x76\x6d" + ANYONE)
    send(node, free_spend([good], 1000))
    refused(node, free_spend([large], 1000), "Stack size limit exceeded")


# --- fees ---------------------------------------------------------------------------------------

@case()
def maxtxfee_guards_against_mistakes(t):
    node, chain = node_with_coins(t, "-maxtxfee=0.001")
    send(node, move(coin(chain, 1), fee=100000))
    refused(node, move(coin(chain, 2), fee=100001), "256: absurdly-high-fee")
    equal(str(node.rpc.getsettings()["maxtxfee"]), "0.00100000")


@case()
def minminingtxfee_is_what_is_mined(t):
    node, chain = node_with_coins(t, "-minminingtxfee=0.00010000")
    size = len(move(coin(chain, 1)).serialize())
    send(node, move(coin(chain, 1), fee=size * 10 - 1))
    equal(mineable(node), 0)
    send(node, move(coin(chain, 2), fee=size * 10))
    equal(mineable(node), 1)


@case()
def consolidations_are_free_as_the_options_say(t):
    script = KEY.script
    node, chain = node_with_coins(t, "-minconsolidationfactor=3", "-minconfconsolidationinput=8",
                                  script=script)

    def merge(heights, extra=b""):
        coins = [coin(chain, h) for h in heights]
        total = sum(value for _, _, value in coins)
        tx = Tx([TxIn(txid, index) for txid, index, _ in coins], [TxOut(total, script)])
        for at, (_, _, value) in enumerate(coins):
            tx.sign_input(at, KEY, value, script)
        return tx

    send(node, merge((1, 2)))
    equal(mineable(node), 0, "two are too few")
    send(node, merge((3, 4, 5)))
    equal(mineable(node), 1)
    info = node.rpc.getnetworkinfo()
    equal((info["minconsolidationfactor"], info["minconfconsolidationinput"]), (3, 8))
    node.restart("-maxconsolidationinputscriptsize=20")
    send(node, merge((6, 7, 8)))
    # Those of before are judged anew at the start.
    equal(mineable(node), 0, "unlocking scripts are too large")


@case()
def consolidations_look_at_age_and_kind_of_coins(t):
    node, chain = node_with_coins(t, "-minconsolidationfactor=2",
                                  "-minconsolidationinputmaturity=2")
    send(node, free_spend([coin(chain, 1), coin(chain, 2)]))
    equal(mineable(node), 0, "coins of unusual scripts")
    node.restart("-acceptnonstdconsolidationinput=1")
    # It is judged anew at the start.
    equal(mineable(node), 1)
    split = free_spend([coin(chain, 3)], 1000, outputs=2)
    mine(node, chain, split)
    both = free_spend([output(split, 0), output(split, 1)])
    send(node, both)
    equal(mineable(node), 1, "one confirmation is too few")
    equal(node.rpc.getnetworkinfo()["minconsolidationinputmaturity"], 2)


# --- keeping ------------------------------------------------------------------------------------

@case()
def mempoolexpiry_is_how_long_a_transaction_waits(t):
    node, chain = node_with_coins(t, "-mempoolexpiry=2")
    old = move(coin(chain, 1))
    send(node, old)
    node.rpc.setmocktime(int(time.time()) + 2 * 3600 + 60)
    young = move(coin(chain, 2))
    send(node, young)
    mine(node, chain)
    wait_until(lambda: pool(node) == {id_of(young)}, 20, "the old one leaves")


@case()
def persistmempool_keeps_it_over_a_restart(t):
    node, chain = node_with_coins(t)
    tx = move(coin(chain, 1))
    send(node, tx)
    node.restart()
    wait_until(lambda: pool(node) == {id_of(tx)}, 20, "it comes back")
    node.restart("-persistmempool=0")
    equal(pool(node), set())


@case()
def maxmempoolnonfinal_bounds_what_waits_for_its_time(t):
    node, chain = node_with_coins(t, "-maxmempoolnonfinal=0")
    early = move(coin(chain, 1), sequence=0, lock_time=10000)
    refused(node, early, "non-final-pool-full")


@case()
def maxmempoolsizedisk_is_accepted_with_a_warning(t):
    node = t.node("-maxmempoolsizedisk=500")
    is_in("maxmempoolsizedisk", node.log())
    equal(node.rpc.getmempoolinfo()["maxmempoolsizedisk"], 0)


@case()
def settings_of_the_mempool_are_shown(t):
    node = t.node("-memory=256MiB", "-limitancestorcount=77", "-limitcpfpgroupmemberscount=7",
                  "-mempoolmaxpercentcpfp=5", "-mempoolexpiry=9", "-maxmempoolnonfinal=3",
                  "-maxstdtxvalidationduration=4", "-maxnonstdtxvalidationduration=900",
                  "-maxtxchainvalidationbudget=60")
    shown = node.rpc.getsettings()
    for name, value in (("limitancestorcount", 77), ("limitcpfpgroupmemberscount", 7),
                        ("mempoolmaxpercentcpfp", 5), ("mempoolexpiry", 9),
                        ("maxmempoolnonfinal", 3 << 20), ("maxstdtxvalidationduration", 4),
                        ("maxnonstdtxvalidationduration", 900), ("maxtxchainvalidationbudget", 60),
                        ("maxmempool", 32 << 20), ("maxtxsizepolicy", 10000000),
                        ("datacarriersize", 4294967295), ("maxmempoolsizedisk", 0)):
        equal(shown[name], value, name)


if __name__ == "__main__":
    main()

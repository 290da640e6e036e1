"""What the mempool refuses and a block may hold: the policy halves of the consensus behaviours, and
the rows about pools. The numbers are those of the list of behaviours."""
import struct
import time

from blocks import (ANYONE, Chain, Key, Tx, TxIn, TxOut, display, push, push_number, sha256d,
                    subsidy)
from framework import RpcError, case, check, equal, is_in, main, raises_rpc

START = int(time.time()) - 7200
FEE = 1000
KEY = Key(11)
OP = {"DROP": b"\x75", "DUP": b"\x76", "1ADD": b"\x8b", "NUM2BIN": b"\x80", "NOP4": b"\xb3",
      "CHECKMULTISIG": b"\xae", "0NOTEQUAL": b"\x92"}


class Bench:
    """A daemon whose chain is made here, with mature coins that anyone can spend."""

    def __init__(self, t, *options, blocks=110, genesis=1, chronicle=None, start=START):
        options = ["-genesisactivationheight=%d" % genesis, *options]
        if chronicle is not None:
            options.append("-chronicleactivationheight=%d" % chronicle)
        self.node = t.node(*options)
        self.rpc = self.node.rpc
        self.chain = Chain(start_time=start)
        self.next_coin = 1
        for _ in range(blocks):
            self.mine()

    def mine(self, *txs, refused=None):
        block = self.chain.add(*txs)
        equal(self.rpc.submitblock(block.serialize().hex()), refused)
        if refused is not None:
            self.chain.blocks.pop()
        return block

    def coin(self):
        height = self.next_coin
        self.next_coin += 1
        return self.chain.at(height).txs[0].txid(), 0, subsidy(height)

    def tx(self, outputs, coin=None, **fields):
        txid, index, _value = coin or self.coin()
        sequence = fields.pop("sequence", 0xffffffff)
        unlock = fields.pop("unlock", b"")
        return Tx([TxIn(txid, index, unlock, sequence)], outputs, **fields)

    def move(self, coin=None, fee=FEE, **fields):
        coin = coin or self.coin()
        return self.tx([TxOut(coin[2] - fee, ANYONE)], coin, **fields)

    def fund(self, script, count=1):
        """Mined outputs with this script: [(txid, index, value)]."""
        coin = self.coin()
        value = coin[2] // count
        tx = self.tx([TxOut(value, script) for _ in range(count)], coin)
        self.mine(tx)
        return [(tx.txid(), i, value) for i in range(count)]

    def send(self, tx):
        equal(self.rpc.sendrawtransaction(tx.serialize().hex(), True), display(tx.txid()))

    def refused(self, tx, text):
        raises_rpc(-26, lambda: self.rpc.sendrawtransaction(tx.serialize().hex(), True), text)

    def pool(self):
        return set(self.rpc.getrawmempool())

    def held(self):
        return set(self.rpc.getrawnonfinalmempool())


def id_of(tx):
    return display(tx.txid())


def out(tx, index=0):
    return tx.txid(), index, tx.outputs[index].value


# --- scripts: stricter than a block --------------------------------------------------------------

@case(timeout=120)
def behaviour_48_limits_of_policy_refuse_what_a_block_may_hold(t):
    bench = Bench(t)
    long_number = push(b"\x01" * 10001) + OP["1ADD"] + OP["DROP"] + ANYONE
    long_script = push(bytes(520)) * 956 + OP["DROP"] * 956 + ANYONE
    check(len(long_script) > 500000, "longer than the limit")
    much_memory = (b"\x00" + push_number(60000000) + OP["NUM2BIN"] + OP["DUP"] + OP["DROP"]
                   + OP["DROP"] + ANYONE)
    for script, text in ((long_number, "max-script-num-length-policy-limit-violated"),
                         (long_script, "non-mandatory-script-verify-flag (Script is too big)"),
                         (much_memory, "non-mandatory-script-verify-flag")):
        tx = bench.move(bench.fund(script)[0])
        bench.refused(tx, text)
        bench.mine(tx)


@case()
def behaviour_60_upgradable_nops_are_discouraged(t):
    bench = Bench(t, chronicle=113)
    coin = bench.fund(OP["NOP4"] + ANYONE)[0]  # of Genesis: later it is an opcode
    while bench.chain.height < 113:
        bench.mine()
    tx = bench.move(coin)
    bench.refused(tx, "non-mandatory-script-verify-flag (NOPx reserved for soft-fork upgrades)")
    bench.mine(tx)


@case()
def behaviour_67_a_dummy_that_is_not_empty_is_refused_by_policy(t):
    bench = Bench(t)
    lock = b"\x00\x00" + OP["CHECKMULTISIG"]  # 0 of 0: only the dummy is taken
    first, second = bench.fund(lock, 2)
    tx = bench.move(first, unlock=b"\x51")
    bench.refused(tx,
                  "non-mandatory-script-verify-flag (Dummy CHECKMULTISIG argument must be zero)")
    bench.mine(tx)
    bench.send(bench.move(second, unlock=b"\x00"))


@case()
def behaviour_68_policy_s_strictness_ends_with_version_2_after_chronicle(t):
    bench = Bench(t, chronicle=2)
    unclean = bench.fund(ANYONE, 2)
    padded = bench.fund(push(b"\x01\x00") + OP["0NOTEQUAL"], 2)
    first = bench.move(unclean[0], unlock=b"\x51")
    bench.refused(first, "non-mandatory-script-verify-flag (Script did not clean its stack)")
    bench.send(bench.move(unclean[1], unlock=b"\x51", version=2))
    second = bench.move(padded[0])
    bench.refused(second, "non-mandatory-script-verify-flag")
    bench.send(bench.move(padded[1], version=2))
    bench.mine(first, second)


# --- pools ---------------------------------------------------------------------------------------

@case()
def behaviour_79_a_child_that_pays_for_both_makes_them_primary(t):
    bench = Bench(t)
    free = bench.move(fee=0)
    bench.send(free)
    equal(bench.rpc.getmempoolinfo()["usagecpfp"] > 0, True, "it waits in the secondary pool")
    mined = bench.rpc.generatetoaddress(1, "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8")[0]
    equal(bench.rpc.getblock(mined)["num_tx"], 1, "it is not mined")
    equal(bench.pool(), {id_of(free)})
    paying = bench.move(out(free), fee=5000)
    bench.send(paying)
    equal(bench.rpc.getmempoolinfo()["usagecpfp"], 0)
    mined = bench.rpc.generatetoaddress(1, "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8")[0]
    equal(set(bench.rpc.getblock(mined)["tx"][1:]), {id_of(free), id_of(paying)})
    equal(bench.pool(), set())


@case()
def behaviour_80_the_26th_chained_transaction_that_does_not_pay_is_refused(t):
    bench = Bench(t)
    link = bench.move(fee=0)
    for _ in range(25):
        bench.send(link)
        link = bench.move(out(link), fee=0)
    bench.refused(link, "64: too-long-mempool-chain")
    equal(len(bench.pool()), 25)


@case(timeout=120)
def behaviour_81_with_the_rules_of_the_main_network(t):
    bench = Bench(t, "-acceptnonstdtxn=0")
    coin = bench.coin()
    bench.send(bench.tx([TxOut(coin[2] - FEE, OP["DUP"] + OP["DROP"])], coin))  # unusual output
    coin = bench.coin()
    bench.refused(bench.tx([TxOut(coin[2] - FEE, KEY.script), TxOut(0, KEY.script)], coin),
                  "64: dust")
    coin = bench.coin()
    data = b"\x00\x6a" + b"\x4e" + (10 * 10**6).to_bytes(4, "little") + bytes(10 * 10**6)
    large = bench.tx([TxOut(coin[2] - FEE, KEY.script), TxOut(0, data)], coin)
    bench.refused(large, "64: tx-size")


# --- the non-final pool --------------------------------------------------------------------------

def locked(bench, coins, sequences, fee=FEE):
    tx = Tx([TxIn(txid, index, b"", sequence) for (txid, index, _),
             sequence in zip(coins, sequences)],
            [TxOut(sum(c[2] for c in coins) - fee, ANYONE)], lock_time=bench.chain.height + 1000)
    return tx


@case()
def behaviour_82_what_replaces_a_held_transaction(t):
    bench = Bench(t)
    a, b, c, d = (bench.coin() for _ in range(4))
    first = locked(bench, [a, b], [5, 5])
    bench.send(first)
    equal(bench.held(), {id_of(first)})
    higher = locked(bench, [a, b], [5, 6], fee=10)
    bench.send(higher)
    equal(bench.held(), {id_of(higher)})
    for wrong in (locked(bench, [a, b], [5, 6], fee=20),  # equal
                  locked(bench, [b, a], [7, 6]),          # another order
                  locked(bench, [a, b, c], [6, 7, 1]),    # one more input
                  locked(bench, [a, b], [4, 9])):         # one is lower
        bench.refused(wrong, "16: bad-txn-update")
    other = locked(bench, [c, d], [1, 1])
    bench.send(other)
    bench.refused(locked(bench, [a, c], [9, 9]), "16: bad-txn-update")  # touches two
    equal(bench.held(), {id_of(higher), id_of(other)})
    bench.refused(bench.tx([TxOut(1000, ANYONE)], (higher.txid(), 0, 0), sequence=1,
                           lock_time=bench.chain.height + 1000), "too-long-non-final-chain")


@case()
def behaviour_83_final_sequences_bring_it_to_the_mempool(t):
    bench = Bench(t)
    a, b, c = (bench.coin() for _ in range(3))
    bench.send(locked(bench, [a, b], [5, 5]))
    foreign = Tx([TxIn(*a[:2]), TxIn(*c[:2])], [TxOut(a[2], ANYONE)])
    bench.refused(foreign, "258: txn-mempool-conflict")
    part = Tx([TxIn(*a[:2])], [TxOut(a[2] - FEE, ANYONE)])
    bench.refused(part, "16: bad-txn-update")
    final = locked(bench, [a, b], [0xffffffff, 0xffffffff], fee=3)
    bench.send(final)
    equal(bench.held(), set())
    equal(bench.pool(), {id_of(final)})


@case()
def a_held_transaction_may_be_updated_so_often_an_hour(t):
    # One that takes longer would come after those behind it, as an update that lowers a sequence.
    bench = Bench(t, "-maxstdtxvalidationduration=900")
    now = int(time.time())
    bench.rpc.setmocktime(now)  # nothing leaks away meanwhile
    coin = bench.coin()
    updates = [{"hex": locked(bench, [coin], [n]).serialize().hex()} for n in range(1, 7301)]
    answer = bench.rpc.sendrawtransactions(updates)
    reasons = {entry["reject_reason"] for entry in answer["invalid"]}
    equal(reasons, {"non-final-txn-replacement-rate"})
    equal({entry["reject_code"] for entry in answer["invalid"]}, {0x45})
    equal(len(answer["invalid"]), 99, "the first one and 7,200 updates pass")
    bench.rpc.setmocktime(now + 1800)
    for n in range(7400, 7410):
        bench.send(locked(bench, [coin], [n]))


@case()
def a_held_transaction_enters_when_its_time_has_come_and_leaves_when_too_old(t):
    bench = Bench(t)
    soon = bench.move(sequence=1, lock_time=bench.chain.height + 2)
    bench.send(soon)
    late = bench.move(sequence=1, lock_time=bench.chain.height + 100000)
    bench.send(late)
    equal(bench.held(), {id_of(soon), id_of(late)})
    bench.mine()
    bench.mine()
    t.wait(lambda: bench.pool() == {id_of(soon)})
    equal(bench.held(), {id_of(late)})
    bench.rpc.setmocktime(int(time.time()) + 28 * 86400 + 100)
    t.wait(lambda: bench.held() == set(), timeout=40)


# --- grace at an activation ----------------------------------------------------------------------

@case(timeout=120)
def behaviour_86_near_chronicle_nobody_is_banned_for_its_rules(t):
    activation = 300
    bench = Bench(t, chronicle=activation, blocks=activation - 75)
    coins = bench.fund(KEY.script, 6)

    def signed(coin):
        """Signed with the digest that only Chronicle allows (hash type 0x61)."""
        txid, index, value = coin
        tx = Tx([TxIn(txid, index)], [TxOut(value - FEE, ANYONE)])
        digest = original_digest(tx, KEY.script, 0x61)
        tx.inputs[0].script = push(KEY.sign(digest) + b"\x61") + push(KEY.public)
        return tx

    def reason():
        """What is said of such a transaction for the next block; None when it is taken."""
        try:
            bench.rpc.sendrawtransaction(signed(coins[0]).serialize().hex(), True)
        except RpcError as error:
            equal(error.code, -26)
            return error.message
        return None

    def next_height(height):
        while bench.chain.height + 1 < height:
            bench.mine()

    next_height(activation - 72)
    is_in("16: mandatory-script-verify-flag-failed", reason())
    for height in (activation - 71, activation - 2, activation - 1):
        next_height(height)
        is_in("64: chronicle-script-verify-flag-failed", reason())
    next_height(activation)
    equal(reason(), None)


@case(timeout=120)
def near_genesis_nobody_is_banned_for_what_it_forbids(t):
    genesis = 200
    bench = Bench(t, genesis=genesis, blocks=genesis - 1)
    code_that_unlocks = bench.move(unlock=OP["NOP4"])  # only pushes unlock from Genesis on
    while bench.chain.height + 1 < genesis + 71:
        bench.mine()
    bench.refused(code_that_unlocks, "64: genesis-script-verify-flag-failed")
    bench.mine()
    bench.refused(code_that_unlocks, "16: mandatory-script-verify-flag-failed")


def original_digest(tx, script, hash_type):
    copy = Tx([TxIn(i.txid, i.index, script, i.sequence) for i in tx.inputs], tx.outputs,
              tx.version, tx.lock_time)
    return sha256d(copy.serialize() + struct.pack("<I", hash_type))


if __name__ == "__main__":
    main()

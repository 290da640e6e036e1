"""What the lock of payment channels allows, and what only seems to lock: spends that are judged by
the mempool and by blocks (channels 8.10.8, 8.10.18, 8.12; attack I2)."""
import os

from blocks import ANYONE, Tx, TxIn, TxOut, display, push_number, sha256d
from framework import TOP, case, check, equal, is_in, main, raises_rpc
from paychan_guest import ACK, CAPACITY, FUNDED, PAY, SCRIPT, changed_push, open_channel, payee
from paychannels import GENESIS, block_of, mine, mine_these, spender, state

LIFE = 300
VERIFY = "Script failed an OP_VERIFY operation"
EQUALVERIFY = "Script failed an OP_EQUALVERIFY operation"
DER = "Non-canonical DER signature"
NULLFAIL = "Signature must be zero for failed CHECK(MULTI)SIG operation"
MANDATORY = "mandatory-script-verify-flag-failed"


def alone(t, amount=20000):
    """A channel over which something was paid, and the payee without channels: nobody closes it."""
    node, payer = payee(t)
    open_channel(node, payer, blocks=LIFE)
    payer.put(PAY, payer.pay(1, amount))
    payer.answer(ACK)
    expiry = node.rpc.listpaychannels()[0]["expiry"]
    node.restart("-channel=0")
    return node, payer, expiry


def fits(digest):
    return digest[0] <= 0x7e and digest[31] <= 0x7f


def forbidden(payer, expiry):
    """Refunds that the script forbids, and why. It adds 1 to a digest taken as a little-endian
    number, and the first byte comes first in its S: where the last byte makes the number negative
    the first one falls, so at the ends of its range the reason would be the other one."""
    right = next(p for p in (payer.preimage(CAPACITY - 320 - k, expiry, 0xfffffffe)
                             for k in range(1000)) if fits(sha256d(p)))
    return [
        (VERIFY, {"lock_time": 0}), (VERIFY, {"lock_time": expiry - 1}),
        (VERIFY, {"lock_time": 500000000}), (VERIFY, {"lock_time": 0xffffffff}),
        (EQUALVERIFY, {"lock_time": expiry, "sequence": 0xffffffff}),
        (EQUALVERIFY, {"lock_time": expiry, "sequence": 0xfffffffd}),
        (EQUALVERIFY, {"lock_time": expiry, "sequence": 0}),
        (EQUALVERIFY, {"lock_time": expiry, "second": True}),
        (VERIFY, {"lock_time": expiry - 1, "version": 2}),
        (NULLFAIL, {"lock_time": expiry, "secret": b"\x72" * 32}),
        (NULLFAIL, {"lock_time": 0, "sequence": 0xffffffff, "preimage": right}),
        (DER, {"lock_time": expiry, "fits": lambda e: e[0] == 0x7f and e[31] <= 0x7f}),
        (DER, {"lock_time": expiry, "fits": lambda e: 0x80 < e[0] < 0xff}),
        (NULLFAIL, {"lock_time": expiry, "fits": lambda e: 1 < e[0] <= 0x7e and e[31] > 0x7f}),
    ]


def refused_by_pool(node, raw, text):
    raises_rpc(-26, lambda: node.rpc.sendrawtransaction(raw.hex()), text)


def refused_in_block(node, raw, reason="blk-bad-inputs"):
    equal(node.rpc.submitblock(block_of(node, raw).serialize().hex()), reason)


def taken_in_block(node, raw):
    """And taken out again."""
    node.rpc.invalidateblock(mine_these(node, raw))


@case()
def refunds_that_the_script_forbids_are_invalid_everywhere(t):
    node, payer, expiry = alone(t)
    variants = forbidden(payer, expiry)
    for when in (node.rpc.getblockcount(), expiry):
        mine(node, when - node.rpc.getblockcount())
        for why, how in variants:
            raw = payer.refund(**how)
            refused_by_pool(node, raw, f"{MANDATORY} ({why})")
            is_final = how["lock_time"] < 0xffffffff and (
                when == expiry or how["lock_time"] in (0, 500000000)
                or how.get("sequence") == 0xffffffff)
            refused_in_block(node, raw, "blk-bad-inputs" if is_final else "bad-txns-nonfinal")
    equal((node.rpc.getrawmempool(), node.rpc.getrawnonfinalmempool()), ([], []))


@case()
def refunds_are_valid_from_the_expiry_on(t):
    node, payer, expiry = alone(t)
    mine(node, expiry - 1 - node.rpc.getblockcount())
    first, later = payer.refund(expiry), payer.refund(expiry + 50)
    refused_in_block(node, first, "bad-txns-nonfinal")
    mine(node)
    taken_in_block(node, first)
    refused_in_block(node, later, "bad-txns-nonfinal")
    for _ in range(50):
        mine_these(node)
    taken_in_block(node, later)
    mine_these(node, first)


def with_script(raw, change):
    """The transaction of one input with another script in it."""
    size = raw[41]
    script = change(raw[42:42 + size])
    check(len(script) < 0xfd, "a short one")
    return raw[:41] + bytes([len(script)]) + script + raw[42 + size:]


def a_close(t):
    """Raw, and a node that does not have it in its pool."""
    node, payer = payee(t)
    open_channel(node, payer, blocks=LIFE)
    payer.put(PAY, payer.pay(1, 20000))
    payer.answer(ACK)
    judge = t.node("-connect=" + node.p2p, "-blocksonly", GENESIS)
    t.wait_same_tip(node, judge)
    node.rpc.closechannel(payer.id.hex())
    close = t.wait(lambda: spender(node, payer.id.hex()))
    node.kill()
    return judge, bytes.fromhex(close["hex"])


@case()
def a_close_with_other_elements_is_refused(t):
    judge, raw = a_close(t)
    first = 1 + 1 + raw[43]  # the empty element and a signature
    for name, change in {
            "1 on top": lambda s: s + b"\x51", "2 on top": lambda s: s + b"\x52",
            "0 on top": lambda s: s + b"\x00", "1 below": lambda s: b"\x51" + s,
            "none below": lambda s: s[1:], "no second signature": lambda s: s[:first],
            "signatures the other way": lambda s: s[:1] + s[first:] + s[1:first],
            "the first one twice": lambda s: s[:first] + s[1:first]}.items():
        other = with_script(raw, change)
        refused_by_pool(judge, other, MANDATORY)
        equal(judge.rpc.submitblock(block_of(judge, other).serialize().hex()), "blk-bad-inputs",
              name)
    for why, other in (("Data push larger than necessary", changed_push(raw)),
                       ("Dummy CHECKMULTISIG argument must be zero",
                        with_script(raw, lambda s: b"\x51" + s[1:]))):
        refused_by_pool(judge, other, f"non-mandatory-script-verify-flag ({why})")
        taken_in_block(judge, other)  # miners may; it is known by its outputs
    judge.rpc.sendrawtransaction(raw.hex())


@case()
def a_refund_with_other_elements_is_refused(t):
    node, payer, expiry = alone(t)
    mine(node, expiry - node.rpc.getblockcount())
    refused_by_pool(node, payer.refund(expiry, below=b"\x51"), MANDATORY)
    refused_in_block(node, payer.refund(expiry, below=b"\x51"))
    two = payer.refund(expiry, below=b"\x51\x51")
    refused_by_pool(node, two, "non-mandatory-script-verify-flag (Script did not clean its stack)")
    taken_in_block(node, two)  # the payer's own risk
    node.rpc.sendrawtransaction(payer.refund(expiry).hex())


# --- opcodes that lock nothing (attack I2) --------------------------------------------------------

LOCKTIME, SEQUENCE, DROP = b"\xb1", b"\xb2", b"\x75"


def until(height):
    """As it was done before: it is not final before that height, nor so many blocks after."""
    return push_number(height) + LOCKTIME + DROP + push_number(1000) + SEQUENCE + DROP


@case()
def an_output_that_is_locked_by_opcodes_is_open_at_once(t):
    node, payer = payee(t)
    payer.open(CAPACITY, node.rpc.getblockcount() + 1000)
    far = node.rpc.getblockcount() + 100000
    locked = payer.fund(script=until(far) + ANYONE)
    node.rpc.sendrawtransaction(locked.serialize().hex())
    mine(node)
    spent = Tx([TxIn(locked.txid(), 0)], [TxOut(CAPACITY - 1000, ANYONE)])
    refused_by_pool(node, spent.serialize(), "NOPx reserved")  # a miner has no such rule
    mine_these(node, spent.serialize())
    equal(node.rpc.gettxout(display(locked.txid()), 0), None)


@case()
def a_payee_takes_no_funding_that_is_locked_otherwise(t):
    node, payer = payee(t)
    tip = node.rpc.getblockcount()
    payer.open(CAPACITY, tip + 1000)
    right = payer.lock
    for script in (until(tip + 1000) + right, right + until(tip + 1000), until(tip + 1000) + ANYONE,
                   right.replace(push_number(tip + 1000), push_number(tip + 1001))):
        payer.refused(FUNDED, payer.funded_message(payer.fund(script=script)), SCRIPT, payer.id)
    equal(state(node, payer.id.hex()), "accepted")
    payer.put(FUNDED, payer.funded_message(payer.fund()))
    t.wait(lambda: state(node, payer.id.hex()) == "seen")


@case()
def no_script_of_ours_uses_them(t):
    """They are in the table of opcodes, and in what evaluates old scripts."""
    names, users = ("OP_CHECKLOCKTIMEVERIFY", "OP_CHECKSEQUENCEVERIFY"), set()
    for folder in ("base", "bca", "script", "chain", "p2p", "wallet", "rpc", "node"):
        for name in os.listdir(os.path.join(TOP, folder)):
            if name.endswith((".c", ".h")):
                with open(os.path.join(TOP, folder, name), encoding="utf-8") as file:
                    text = file.read()
                users |= {name for word in names if word in text}
    equal(users, {"opcode.c", "opcode.h"})
    node, payer, expiry = alone(t)
    mine(node, expiry - node.rpc.getblockcount())
    made = {payer.funding.serialize(), payer.refund(expiry)}
    for height in range(1, node.rpc.getblockcount() + 1):
        made |= {bytes.fromhex(node.rpc.getrawtransaction(txid)) for txid in
                 node.rpc.getblock(node.rpc.getblockhash(height))["tx"][1:]}
    for raw in made:
        for out in node.rpc.decoderawtransaction(raw.hex())["vout"]:
            for name in names:
                check(name not in out["scriptPubKey"]["asm"], name)
    is_in("OP_CHECKLOCKTIMEVERIFY", node.rpc.decodescript(until(1).hex())["asm"])


if __name__ == "__main__":
    main()

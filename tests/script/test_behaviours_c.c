/* spec/consensus-tests.md part C: numbers 38 to 69, as far as a single input shows them. */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/template.h"
#include "tests/script/script_sign.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

/* ---- helpers ---- */

#define EXPECT(err, call) assert_string_equal(script_err_name(call), #err)

static enum script_err run_at(const char *unlock, const char *lock, int32_t block, int32_t coin,
                              int32_t version)
{
    return run_text_version(unlock, lock, flags_at(block, coin), version);
}

/* In a block of the coin's own era, version 1. */
static enum script_err run_in(int32_t era, const char *unlock, const char *lock)
{
    return run_at(unlock, lock, era, era, 1);
}

static enum script_err run_bufs(const struct buf *unlock, const struct buf *lock, uint32_t flags,
                                int32_t version, const struct script_limits *limits)
{
    struct spend s;

    spend_init(&s, version, buf_span(unlock), buf_span(lock), 0, flags);
    if (limits)
        s.limits = *limits;
    enum script_err err = spend_run(&s);
    spend_clear(&s);
    return err;
}

/* word n times, then rest */
static struct buf repeated(const char *word, size_t n, const char *rest)
{
    struct buf b, one = script_asm(word), tail = script_asm(rest);

    buf_init(&b);
    for (size_t i = 0; i < n; i++)
        buf_put(&b, one.data, one.len);
    buf_put(&b, tail.data, tail.len);
    buf_clear(&one);
    buf_clear(&tail);
    return b;
}

static enum script_err run_lock(struct buf lock, uint32_t flags)
{
    struct buf none;

    buf_init(&none);
    enum script_err err = run_bufs(&none, &lock, flags, 1, NULL);
    buf_clear(&lock);
    return err;
}

/* prefix, a push of len bytes whose last is `last` and others 0, suffix */
static struct buf with_push(const char *prefix, size_t len, uint8_t last, const char *suffix)
{
    struct buf b = script_asm(prefix), tail = script_asm(suffix);
    uint8_t *data = (uint8_t *)xcalloc(len, 1);

    data[len - 1] = last;
    script_put_data(&b, data, len);
    buf_put(&b, tail.data, tail.len);
    free(data);
    buf_clear(&tail);
    return b;
}

/* Pays to the hash of the redeem script; unlocks with `args` and the script. */
static enum script_err run_p2sh(const char *args, const char *redeem_text, int32_t block,
                                int32_t coin, int32_t version)
{
    struct buf redeem = script_asm(redeem_text), unlock = script_asm(args), lock;
    uint8_t hash[20], p2sh[SCRIPT_P2SH_SIZE];

    hash160(hash, redeem.data, redeem.len);
    script_make_p2sh(p2sh, hash);
    buf_init(&lock);
    buf_put(&lock, p2sh, sizeof(p2sh));
    script_put_data(&unlock, redeem.data, redeem.len);
    enum script_err err = run_bufs(&unlock, &lock, flags_at(block, coin), version, NULL);
    buf_clear(&redeem);
    buf_clear(&unlock);
    buf_clear(&lock);
    return err;
}

/* ---- 38 to 42: the flags of a height ---- */

static void behaviour_38_p2sh_starts_at_173806(void **state)
{
    (void)state;
    EXPECT(OK, run_p2sh("", "0", 173805, 100, 1));
    EXPECT(EVAL_FALSE, run_p2sh("", "0", 173806, 100, 1));
    EXPECT(OK, run_p2sh("", "1", 173806, 100, 1));
}

static void behaviour_39_strict_der_starts_at_363725(void **state)
{
    struct signing wrong = { .version = 1, .hash_type = 1, .flaw = SIG_NOT_DER };

    (void)state;
    /* garbage after S is passed over, so the signature itself holds until then */
    EXPECT(OK, run_signed("", &wrong, flags_at(363724, 100)));
    EXPECT(SIG_DER, run_signed("", &wrong, flags_at(363725, 100)));
    EXPECT(OK, run_in(363724, "0x02 0x0001", "0 CHECKSIG NOT"));
    EXPECT(SIG_DER, run_in(363725, "0x02 0x0001", "0 CHECKSIG NOT"));
}

static void behaviour_40_forkid_is_demanded_from_478559(void **state)
{
    struct signing plain = { .version = 1, .hash_type = 0x01 };
    struct signing forkid = { .version = 1, .hash_type = 0x41 };

    (void)state;
    EXPECT(OK, run_signed("", &plain, flags_at(478558, 100)));
    EXPECT(MUST_USE_FORKID, run_signed("", &plain, flags_at(478559, 100)));
    EXPECT(OK, run_signed("", &forkid, flags_at(478558, 100)));
    EXPECT(OK, run_signed("", &forkid, flags_at(478559, 100)));
    assert_int_equal(sighash_form_of(0x41, flags_at(478558, 100)), SIGHASH_FORM_ORIGINAL);
    assert_int_equal(sighash_form_of(0x41, flags_at(478559, 100)), SIGHASH_FORM_BIP143);
}

static void behaviour_41_low_s_and_nullfail_start_at_504032(void **state)
{
    struct signing high = { .version = 1, .hash_type = 0x41, .flaw = SIG_HIGH_S };
    struct signing wrong = { .version = 1, .hash_type = 0x41, .flaw = SIG_WRONG };

    (void)state;
    EXPECT(OK, run_signed("", &high, flags_at(504031, 100)));
    EXPECT(SIG_HIGH_S, run_signed("", &high, flags_at(504032, 100)));
    EXPECT(OK, run_signed("NOT", &wrong, flags_at(504031, 100)));
    EXPECT(SIG_NULLFAIL, run_signed("NOT", &wrong, flags_at(504032, 100)));
}

static enum script_err run_hybrid(uint8_t hash_type, int32_t block)
{
    struct buf key = hybrid_key_of(1), lock, unlock;
    struct signing s = { .version = 1, .hash_type = hash_type, .flags = flags_at(block, 100) };

    buf_init(&lock);
    buf_init(&unlock);
    script_put_data(&lock, key.data, key.len);
    script_put_op(&lock, OP_CHECKSIG);
    s.code = buf_span(&lock);
    struct buf sig = sign_spend(buf_span(&lock), &s);
    script_put_data(&unlock, sig.data, sig.len);
    enum script_err err = run_bufs(&unlock, &lock, s.flags, 1, NULL);
    buf_clear(&sig);
    buf_clear(&key);
    buf_clear(&lock);
    buf_clear(&unlock);
    return err;
}

static void behaviour_42_hybrid_keys_end_at_478559(void **state)
{
    (void)state;
    EXPECT(OK, run_hybrid(0x01, 478558));
    EXPECT(PUBKEYTYPE, run_hybrid(0x41, 478559));
}

static void behaviour_43_later_opcodes_work_at_any_height(void **state)
{
    (void)state;
    EXPECT(OK, run_in(100, "'a' 'b'", "CAT 'ab' EQUAL"));
    EXPECT(OK, run_in(100, "6 7", "MUL 42 EQUAL"));
    EXPECT(OK, run_in(100, "0x02 0x8001 1", "LSHIFT 0x02 0x0002 EQUAL"));
}

/* ---- 44 to 48: limits ---- */

static void limits_of_old_coins(int32_t block)
{
    uint32_t flags = flags_at(block, BLOCK_P);

    EXPECT(OK, run_lock(repeated("NOP", 500, "1"), flags));
    EXPECT(OP_COUNT, run_lock(repeated("NOP", 501, "1"), flags));
    EXPECT(OK, run_lock(with_push("", 520, 1, ""), flags));
    EXPECT(PUSH_SIZE, run_lock(with_push("", 521, 1, ""), flags));
    EXPECT(PUSH_SIZE, run_lock(with_push("1 0 IF", 521, 1, "ENDIF"), flags));
    EXPECT(OK, run_lock(repeated("1", 1000, ""), flags));
    EXPECT(STACK_SIZE, run_lock(repeated("1", 1001, ""), flags));
    EXPECT(SCRIPTNUM_OVERFLOW, run_lock(with_push("1", 5, 1, "ADD"), flags));
    EXPECT(OK, run_lock(with_push("1", 4, 1, "ADD"), flags));
}

static void behaviour_44_limits_before_genesis(void **state)
{
    (void)state;
    limits_of_old_coins(BLOCK_P);
}

static void behaviour_45_no_such_limits_from_genesis(void **state)
{
    uint32_t flags = flags_at(BLOCK_G, BLOCK_G);

    (void)state;
    EXPECT(OK, run_lock(repeated("NOP", 501, "1"), flags));
    EXPECT(OK, run_lock(with_push("", 521, 1, ""), flags));
    EXPECT(OK, run_lock(with_push("1 0 IF", 521, 1, "ENDIF"), flags));
    EXPECT(OK, run_lock(repeated("1", 1001, ""), flags));
    EXPECT(OK, run_lock(with_push("1", 5, 1, "ADD"), flags));
}

static void behaviour_46_limits_follow_the_coin(void **state)
{
    (void)state;
    limits_of_old_coins(BLOCK_G);
    limits_of_old_coins(BLOCK_C);
}

static enum script_err number_of(int32_t era, size_t len)
{
    return run_lock(with_push("", len, 1, "1ADD DROP 1"), flags_at(era, era));
}

/* 7f ff .. plus the same: one bit more, and so one byte more in sign and magnitude. */
static enum script_err doubled(int32_t era, size_t len)
{
    return run_lock(with_push("", len, 0x7f, "DUP ADD DROP 1"), flags_at(era, era));
}

static void behaviour_47_number_lengths(void **state)
{
    (void)state;
    EXPECT(OK, number_of(BLOCK_G, 750000));
    EXPECT(SCRIPTNUM_OVERFLOW, number_of(BLOCK_G, 750001));
    EXPECT(OK, number_of(BLOCK_C, 32000000));
    EXPECT(SCRIPTNUM_OVERFLOW, number_of(BLOCK_C, 32000001));
    EXPECT(OK, doubled(BLOCK_G, 749999));
    EXPECT(SCRIPTNUM_OVERFLOW, doubled(BLOCK_G, 750000));
    EXPECT(SCRIPTNUM_OVERFLOW, doubled(BLOCK_C, 32000000));
}

static enum script_err under_limits(struct buf lock, const struct script_limits *limits)
{
    struct buf none;

    buf_init(&none);
    enum script_err err = run_bufs(&none, &lock, flags_at(BLOCK_G, BLOCK_G), 1, limits);
    buf_clear(&lock);
    return err;
}

static void behaviour_48_policy_limits_are_lower(void **state)
{
    struct script_policy p = script_policy_default();
    struct script_limits policy = script_limits_policy(&p), block = script_limits_consensus(0);
    const char *grow = "20000000 NUM2BIN DUP DUP DUP DUP DROP DROP DROP";

    (void)state;
    EXPECT(SCRIPTNUM_OVERFLOW, under_limits(with_push("", 10001, 1, "1ADD"), &policy));
    EXPECT(OK, under_limits(with_push("", 10000, 1, "1ADD"), &policy));
    EXPECT(OK, under_limits(with_push("", 10001, 1, "1ADD"), &block));
    EXPECT(SCRIPT_SIZE, under_limits(repeated("NOP", 500000, "1"), &policy));
    EXPECT(OK, under_limits(repeated("NOP", 499999, "1"), &policy));
    EXPECT(OK, under_limits(repeated("NOP", 500000, "1"), &block));
    EXPECT(STACK_SIZE, under_limits(with_push("", 1, 1, grow), &policy));
    EXPECT(OK, under_limits(with_push("", 1, 1, grow), &block));
}

/* ---- 49 to 53: control flow ---- */

static void behaviour_49_second_else(void **state)
{
    (void)state;
    EXPECT(OK, run_in(BLOCK_P, "1", "IF 1 ELSE 0 ELSE 1 ENDIF VERIFY"));
    EXPECT(OK, run_in(BLOCK_P, "0", "IF 0 ELSE 1 ELSE 0 ENDIF"));
    EXPECT(UNBALANCED_CONDITIONAL, run_in(BLOCK_G, "0", "IF 0 ELSE 1 ELSE 0 ENDIF"));
}

static void behaviour_50_return_from_genesis(void **state)
{
    (void)state;
    EXPECT(OK, run_in(BLOCK_G, "", "1 RETURN 0xba 0x65 0x4c 0xff 0x01"));
    EXPECT(EVAL_FALSE, run_in(BLOCK_G, "", "0 RETURN"));
    EXPECT(EVAL_FALSE, run_in(BLOCK_G, "", "1 IF RETURN ENDIF 0xba"));
    EXPECT(OK, run_in(BLOCK_G, "1", "1 IF RETURN ENDIF 0xba"));
    EXPECT(UNBALANCED_CONDITIONAL, run_in(BLOCK_G, "", "1 1 IF RETURN"));
    EXPECT(OP_RETURN, run_in(BLOCK_P, "", "1 RETURN"));
    EXPECT(OK, run_in(BLOCK_P, "", "1 0 IF RETURN ENDIF"));
    EXPECT(BAD_OPCODE, run_in(BLOCK_G, "1", "1 IF RETURN ENDIF 0x4c 0xff"));
}

static void behaviour_51_2mul_and_2div(void **state)
{
    (void)state;
    EXPECT(DISABLED_OPCODE, run_in(BLOCK_P, "1", "0 IF 2MUL ENDIF"));
    EXPECT(OK, run_in(BLOCK_G, "1", "0 IF 2MUL ENDIF"));
    EXPECT(DISABLED_OPCODE, run_in(BLOCK_G, "2", "2MUL 4 EQUAL"));
    EXPECT(OK, run_in(BLOCK_C, "2", "2MUL 4 EQUAL"));
    EXPECT(OK, run_in(BLOCK_C, "-3", "2DIV -1 EQUAL"));
}

static void behaviour_52_verif_that_is_not_executed(void **state)
{
    (void)state;
    EXPECT(BAD_OPCODE, run_in(BLOCK_P, "1", "0 IF VERIF ENDIF"));
    EXPECT(OK, run_in(BLOCK_G, "1", "0 IF VERIF ENDIF"));
    EXPECT(BAD_OPCODE, run_in(BLOCK_G, "1", "1 IF VERIF ENDIF"));
    EXPECT(UNBALANCED_CONDITIONAL, run_in(BLOCK_G, "1", "0 IF VERIF ENDIF ENDIF"));
    EXPECT(UNBALANCED_CONDITIONAL, run_in(BLOCK_C, "1", "0 IF VERIF ENDIF"));
    EXPECT(OK, run_in(BLOCK_C, "1", "0 IF VERIF ENDIF ENDIF"));
}

static enum script_err version_2(const char *lock)
{
    return run_at("", lock, BLOCK_C, BLOCK_C, 2);
}

static void behaviour_53_version_opcodes(void **state)
{
    (void)state;
    EXPECT(OK, version_2("VER 0x04 0x02000000 EQUAL"));
    EXPECT(OK, version_2("0x04 0x02000000 VERIF 1 ELSE 0 ENDIF"));
    EXPECT(OK, version_2("0x04 0x01000000 VERIF 0 ELSE 1 ENDIF"));
    EXPECT(OK, version_2("0x01 0x02 VERIF 0 ELSE 1 ENDIF"));
    EXPECT(OK, version_2("0x04 0x02000000 VERNOTIF 0 ELSE 1 ENDIF"));
    EXPECT(BAD_OPCODE, run_at("", "VER", BLOCK_C, BLOCK_G, 2));
}

/* ---- 54 to 60: opcodes of Chronicle ---- */

static enum script_err in_c(const char *lock)
{
    return run_in(BLOCK_C, "", lock);
}

static void behaviour_54_substr(void **state)
{
    (void)state;
    EXPECT(INVALID_NUMBER_RANGE, in_c("'' 0 0 SUBSTR"));
    EXPECT(OK, in_c("'abc' 0 0 SUBSTR '' EQUAL"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' 3 0 SUBSTR"));
    EXPECT(OK, in_c("'abc' 1 2 SUBSTR 'bc' EQUAL"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' 1 3 SUBSTR"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' -1 1 SUBSTR"));
    EXPECT(INVALID_STACK_OPERATION, in_c("0 0 SUBSTR"));
}

static void behaviour_55_left_and_right(void **state)
{
    (void)state;
    EXPECT(OK, in_c("'abc' 0 LEFT '' EQUAL"));
    EXPECT(OK, in_c("'abc' 0 RIGHT '' EQUAL"));
    EXPECT(OK, in_c("'abc' 3 LEFT 'abc' EQUAL"));
    EXPECT(OK, in_c("'abc' 3 RIGHT 'abc' EQUAL"));
    EXPECT(OK, in_c("'abc' 2 LEFT 'ab' EQUAL"));
    EXPECT(OK, in_c("'abc' 2 RIGHT 'bc' EQUAL"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' 4 LEFT"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' 4 RIGHT"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' -1 LEFT"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' -1 RIGHT"));
}

static void behaviour_56_long_operand_of_left_loses_its_sign(void **state)
{
    (void)state;
    EXPECT(OK, in_c("'abc' 0x09 0x020000000000000080 LEFT 'ab' EQUAL"));
    EXPECT(OK, in_c("'abc' 0x0a 0x02000000000000000001 LEFT 'ab' EQUAL"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("'abc' 0x08 0x0200000000000080 LEFT"));
}

static void behaviour_57_lshiftnum(void **state)
{
    (void)state;
    EXPECT(OK, in_c("1 7 LSHIFTNUM 0x02 0x8000 EQUAL"));
    EXPECT(OK, in_c("-1 7 LSHIFTNUM 0x02 0x8080 EQUAL"));
    EXPECT(OK, in_c("0 256000000 LSHIFTNUM '' EQUAL"));
    EXPECT(OK, in_c("0 256000007 LSHIFTNUM '' EQUAL"));
    EXPECT(SCRIPTNUM_OVERFLOW, in_c("0 256000008 LSHIFTNUM"));
    EXPECT(SCRIPTNUM_OVERFLOW, in_c("1 256000000 LSHIFTNUM"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("1 -1 LSHIFTNUM"));
    EXPECT(INVALID_STACK_OPERATION, in_c("1 LSHIFTNUM"));
}

static void behaviour_58_rshiftnum(void **state)
{
    (void)state;
    EXPECT(OK, in_c("-1 1 RSHIFTNUM '' EQUAL"));
    EXPECT(OK, in_c("-3 1 RSHIFTNUM -1 EQUAL"));
    EXPECT(OK, in_c("5 2147483647 RSHIFTNUM '' EQUAL"));
    EXPECT(BIG_INT, in_c("5 2147483648 RSHIFTNUM"));
    EXPECT(INVALID_NUMBER_RANGE, in_c("1 -1 RSHIFTNUM"));
}

static void shifts_of_bit_strings(int32_t era)
{
    EXPECT(OK, run_in(era, "0x02 0x8001 1", "RSHIFT 0x02 0x4000 EQUAL"));
    EXPECT(OK, run_in(era, "0x02 0x8001 1", "LSHIFT 0x02 0x0002 EQUAL"));
    EXPECT(OK, run_in(era, "0x02 0x8001 16", "RSHIFT 0x02 0x0000 EQUAL"));
    EXPECT(OK, run_in(era, "0x02 0x8001 16", "LSHIFT 0x02 0x0000 EQUAL"));
    EXPECT(OK, run_in(era, "0x02 0x8001 0", "RSHIFT 0x02 0x8001 EQUAL"));
    EXPECT(OK, run_in(era, "0x03 0x123456 12", "LSHIFT 0x03 0x456000 EQUAL"));
    EXPECT(OK, run_in(era, "0x03 0x123456 12", "RSHIFT 0x03 0x000123 EQUAL"));
    EXPECT(INVALID_NUMBER_RANGE, run_in(era, "0x02 0x8001 -1", "RSHIFT"));
    EXPECT(INVALID_NUMBER_RANGE, run_in(era, "0x02 0x8001 -1", "LSHIFT"));
}

static void behaviour_59_bit_shifts(void **state)
{
    (void)state;
    shifts_of_bit_strings(BLOCK_P);
    shifts_of_bit_strings(BLOCK_G);
    shifts_of_bit_strings(BLOCK_C);
}

static void behaviour_60_nop4_to_nop8_for_older_coins(void **state)
{
    static const char *const nops[] = { "1 NOP4", "1 NOP5", "1 NOP6", "1 NOP7", "1 NOP8" };

    (void)state;
    for (int i = 0; i < 5; i++) {
        EXPECT(OK, run_at("", nops[i], BLOCK_C, BLOCK_G, 1));
        EXPECT(DISCOURAGE_UPGRADABLE_NOPS,
               run_text_version("", nops[i], policy_at(BLOCK_C, BLOCK_G), 1));
        EXPECT(INVALID_STACK_OPERATION, run_at("", nops[i], BLOCK_C, BLOCK_C, 1));
    }
}

/* ---- 61 to 66: lock times, script hashes, unlocking scripts ---- */

static void behaviour_61_lock_time_opcode(void **state)
{
    (void)state;
    EXPECT(UNSATISFIED_LOCKTIME, run_at("", "1 CHECKLOCKTIMEVERIFY", BLOCK_G, BLOCK_P, 1));
    EXPECT(UNSATISFIED_LOCKTIME, run_at("", "1 CHECKLOCKTIMEVERIFY", BLOCK_C, BLOCK_P, 1));
    EXPECT(UNSATISFIED_LOCKTIME, run_at("", "1 CHECKSEQUENCEVERIFY", BLOCK_C, BLOCK_P, 1));
    EXPECT(OK, run_at("", "1 CHECKLOCKTIMEVERIFY", BLOCK_G, BLOCK_G, 1));
    EXPECT(OK, run_at("", "1 CHECKSEQUENCEVERIFY", BLOCK_C, BLOCK_C, 1));
    EXPECT(OK, run_at("", "1 CHECKLOCKTIMEVERIFY", 388380, BLOCK_P, 1));
    EXPECT(NEGATIVE_LOCKTIME, run_at("", "-1 CHECKLOCKTIMEVERIFY", BLOCK_G, BLOCK_P, 1));
}

static void behaviour_62_old_script_hash_coins(void **state)
{
    const int32_t blocks[] = { BLOCK_G, BLOCK_C };

    (void)state;
    for (int i = 0; i < 2; i++) {
        EXPECT(OK, run_p2sh("2", "2 EQUAL", blocks[i], BLOCK_P + 100000, 1));
        EXPECT(EVAL_FALSE, run_p2sh("3", "2 EQUAL", blocks[i], BLOCK_P + 100000, 1));
    }
    EXPECT(SIG_PUSHONLY, run_p2sh("1 1 ADD", "2 EQUAL", BLOCK_C, BLOCK_P + 100000, 2));
    EXPECT(SIG_PUSHONLY, run_p2sh("1 1 ADD", "2 EQUAL", BLOCK_G, BLOCK_P + 100000, 2));
}

static void behaviour_63_script_hash_shape_from_genesis_is_a_puzzle(void **state)
{
    (void)state;
    EXPECT(OK, run_p2sh("", "0", BLOCK_G, BLOCK_G, 1));
    EXPECT(OK, run_p2sh("", "RETURN", BLOCK_C, BLOCK_C, 1));
}

static void behaviour_64_push_only_follows_block_and_version(void **state)
{
    (void)state;
    EXPECT(OK, run_at("1 NOP", "", BLOCK_P, BLOCK_P, 1));
    EXPECT(SIG_PUSHONLY, run_at("1 NOP", "", BLOCK_G, BLOCK_P, 1));
    EXPECT(SIG_PUSHONLY, run_at("1 NOP", "", BLOCK_G, BLOCK_G, 2));
    EXPECT(SIG_PUSHONLY, run_at("1 NOP", "", BLOCK_C, BLOCK_C, 1));
    EXPECT(OK, run_at("1 NOP", "", BLOCK_C, BLOCK_C, 2));
    EXPECT(OK, run_at("1 NOP", "", BLOCK_C, BLOCK_P, 2));
    EXPECT(SIG_PUSHONLY, run_at("1 NOP", "", BLOCK_C, BLOCK_C, 0));
    EXPECT(SIG_PUSHONLY, run_at("1 NOP", "", BLOCK_C, BLOCK_C, -1));
}

static void behaviour_65_return_ends_only_the_unlocking_script(void **state)
{
    (void)state;
    EXPECT(OK, run_at("2 RETURN 3", "2 EQUAL", BLOCK_C, BLOCK_G, 2));
    EXPECT(EVAL_FALSE, run_at("3 RETURN 2", "2 EQUAL", BLOCK_C, BLOCK_G, 2));
}

/* sig <key> CHECKSIG in the unlocking script, `lock` after it. */
static enum script_err checksig_in_unlock(const char *code_text, int32_t block, const char *lock)
{
    struct buf lock_script = script_asm(lock), code = script_asm(code_text), key = key_of(1, true);
    struct buf unlock;
    struct signing s = {
        .version = 2, .hash_type = 0x41, .flags = flags_at(block, BLOCK_G),
        .code = buf_span(&code),
    };

    struct buf sig = sign_spend(buf_span(&lock_script), &s);
    buf_init(&unlock);
    script_put_data(&unlock, sig.data, sig.len);
    script_put_data(&unlock, key.data, key.len);
    script_put_op(&unlock, OP_CODESEPARATOR);
    script_put_op(&unlock, OP_CHECKSIG);
    /* push-only is another rule, which would hide this one before Chronicle */
    enum script_err err = run_bufs(&unlock, &lock_script, s.flags & ~SCRIPT_SIGPUSHONLY, 2, NULL);
    buf_clear(&unlock);
    buf_clear(&sig);
    buf_clear(&key);
    buf_clear(&code);
    buf_clear(&lock_script);
    return err;
}

static void behaviour_66_checksig_in_the_unlocking_script(void **state)
{
    (void)state;
    EXPECT(OK, checksig_in_unlock("CHECKSIG NOP VERIFY 1", BLOCK_C, "NOP VERIFY 1"));
    EXPECT(VERIFY, checksig_in_unlock("CHECKSIG", BLOCK_C, "NOP VERIFY 1"));
    EXPECT(OK, checksig_in_unlock("CHECKSIG", BLOCK_G, "NOP VERIFY 1"));
}

/* ---- 67: CHECKMULTISIG ---- */

static enum script_err keys_21(int32_t era)
{
    return run_lock(repeated("1", 21, "21 CHECKMULTISIG"), flags_at(era, era));
}

/* 1-of-2 whose second key (tried first) is right; the first one is no key at all. */
static enum script_err bad_key_not_reached(uint32_t flags, const char *bad_key)
{
    struct buf lock = script_asm("1"), key = key_of(1, true), unlock = script_asm("0");
    struct buf bad = script_asm(bad_key), end = script_asm("2 CHECKMULTISIG");
    struct signing s = { .version = 1, .hash_type = 0x41, .flags = flags };

    buf_put(&lock, bad.data, bad.len);
    script_put_data(&lock, key.data, key.len);
    buf_put(&lock, end.data, end.len);
    s.code = buf_span(&lock);
    struct buf sig = sign_spend(buf_span(&lock), &s);
    script_put_data(&unlock, sig.data, sig.len);
    enum script_err err = run_bufs(&unlock, &lock, flags, 1, NULL);
    buf_clear(&sig);
    buf_clear(&lock);
    buf_clear(&key);
    buf_clear(&unlock);
    buf_clear(&bad);
    buf_clear(&end);
    return err;
}

static void behaviour_67_multisig(void **state)
{
    (void)state;
    EXPECT(OK, run_in(BLOCK_P, "0", "0 0 CHECKMULTISIG"));
    EXPECT(OK, run_in(BLOCK_G, "0", "0 0 CHECKMULTISIG"));
    EXPECT(OK, run_in(BLOCK_G, "1", "0 0 CHECKMULTISIG"));
    EXPECT(SIG_NULLDUMMY,
           run_text_version("1", "0 0 CHECKMULTISIG", policy_at(BLOCK_G, BLOCK_G), 1));
    EXPECT(OK, bad_key_not_reached(flags_at(BLOCK_G, BLOCK_G), "'junk'"));
    EXPECT(PUBKEY_COUNT, keys_21(BLOCK_P));
    EXPECT(OK, run_lock(repeated("0 0", 12, "21 CHECKMULTISIG"), flags_at(BLOCK_G, BLOCK_G)));
    EXPECT(SCRIPTNUM_OVERFLOW, run_in(BLOCK_C, "0 0", "0x05 0x0000000000 CHECKMULTISIG"));
    EXPECT(INVALID_STACK_OPERATION, run_in(BLOCK_G, "", "0 0 CHECKMULTISIG"));
    EXPECT(SIG_COUNT, run_in(BLOCK_G, "0", "1 0 CHECKMULTISIG"));
    EXPECT(PUBKEY_COUNT, run_in(BLOCK_G, "0", "0 -1 CHECKMULTISIG"));
}

/* ---- 68, 69: rules that the version waives ---- */

static void expect_strict(int32_t block, int32_t coin, int32_t version)
{
    struct signing high = { .version = version, .hash_type = 0x41, .flaw = SIG_HIGH_S };
    struct signing wrong = { .version = version, .hash_type = 0x41, .flaw = SIG_WRONG };
    uint32_t policy = policy_at(block, coin);

    EXPECT(SIG_HIGH_S, run_signed("", &high, flags_at(block, coin)));
    EXPECT(SIG_NULLFAIL, run_signed("NOT", &wrong, flags_at(block, coin)));
    EXPECT(CLEANSTACK, run_text_version("1 1", "", policy, version));
    EXPECT(SCRIPTNUM_MINENCODE, run_text_version("0x02 0x0100", "1ADD", policy, version));
}

static void expect_waived(int32_t block, int32_t coin, int32_t version)
{
    struct signing high = { .version = version, .hash_type = 0x41, .flaw = SIG_HIGH_S };
    struct signing wrong = { .version = version, .hash_type = 0x41, .flaw = SIG_WRONG };
    uint32_t policy = policy_at(block, coin);

    EXPECT(OK, run_signed("", &high, flags_at(block, coin)));
    EXPECT(OK, run_signed("NOT", &wrong, flags_at(block, coin)));
    EXPECT(OK, run_text_version("1 1", "", policy, version));
    EXPECT(OK, run_text_version("0x02 0x0100", "1ADD", policy, version));
}

static void behaviour_68_version_2_in_chronicle_blocks(void **state)
{
    const int32_t coins[] = { BLOCK_P, BLOCK_G, BLOCK_C };

    (void)state;
    for (int i = 0; i < 3; i++) {
        expect_strict(BLOCK_C, coins[i], 1);
        expect_waived(BLOCK_C, coins[i], 2);
        expect_strict(BLOCK_C, coins[i], -1);
    }
}

static void behaviour_69_version_2_before_chronicle(void **state)
{
    (void)state;
    expect_strict(BLOCK_G, BLOCK_P, 2);
    expect_strict(BLOCK_G, BLOCK_G, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaviour_38_p2sh_starts_at_173806),
        cmocka_unit_test(behaviour_39_strict_der_starts_at_363725),
        cmocka_unit_test(behaviour_40_forkid_is_demanded_from_478559),
        cmocka_unit_test(behaviour_41_low_s_and_nullfail_start_at_504032),
        cmocka_unit_test(behaviour_42_hybrid_keys_end_at_478559),
        cmocka_unit_test(behaviour_43_later_opcodes_work_at_any_height),
        cmocka_unit_test(behaviour_44_limits_before_genesis),
        cmocka_unit_test(behaviour_45_no_such_limits_from_genesis),
        cmocka_unit_test(behaviour_46_limits_follow_the_coin),
        cmocka_unit_test(behaviour_47_number_lengths),
        cmocka_unit_test(behaviour_48_policy_limits_are_lower),
        cmocka_unit_test(behaviour_49_second_else),
        cmocka_unit_test(behaviour_50_return_from_genesis),
        cmocka_unit_test(behaviour_51_2mul_and_2div),
        cmocka_unit_test(behaviour_52_verif_that_is_not_executed),
        cmocka_unit_test(behaviour_53_version_opcodes),
        cmocka_unit_test(behaviour_54_substr),
        cmocka_unit_test(behaviour_55_left_and_right),
        cmocka_unit_test(behaviour_56_long_operand_of_left_loses_its_sign),
        cmocka_unit_test(behaviour_57_lshiftnum),
        cmocka_unit_test(behaviour_58_rshiftnum),
        cmocka_unit_test(behaviour_59_bit_shifts),
        cmocka_unit_test(behaviour_60_nop4_to_nop8_for_older_coins),
        cmocka_unit_test(behaviour_61_lock_time_opcode),
        cmocka_unit_test(behaviour_62_old_script_hash_coins),
        cmocka_unit_test(behaviour_63_script_hash_shape_from_genesis_is_a_puzzle),
        cmocka_unit_test(behaviour_64_push_only_follows_block_and_version),
        cmocka_unit_test(behaviour_65_return_ends_only_the_unlocking_script),
        cmocka_unit_test(behaviour_66_checksig_in_the_unlocking_script),
        cmocka_unit_test(behaviour_67_multisig),
        cmocka_unit_test(behaviour_68_version_2_in_chronicle_blocks),
        cmocka_unit_test(behaviour_69_version_2_before_chronicle),
    };

    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Opcodes one by one, as scripts that must end true. */
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "tests/script/script_sign.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

static void all_true(const char *const *scripts, size_t n, uint32_t flags)
{
    for (size_t i = 0; i < n; i++) {
        enum script_err err = run_text("", scripts[i], flags);
        if (err)
            fail_msg("%s: %s", scripts[i], script_err_name(err));
    }
}

static void in_all_eras(const char *const *scripts, size_t n)
{
    all_true(scripts, n, flags_at(BLOCK_P, BLOCK_P));
    all_true(scripts, n, flags_at(BLOCK_G, BLOCK_G));
    all_true(scripts, n, flags_at(BLOCK_C, BLOCK_C));
}

static void stack_opcodes_move_elements(void **state)
{
    static const char *const scripts[] = {
        "1 2 3 4 5 6 2ROT 2 EQUALVERIFY 1 EQUALVERIFY 6 EQUALVERIFY 5 EQUALVERIFY 4 EQUALVERIFY 3 "
        "EQUAL",
        "1 2 3 4 2SWAP 2 EQUALVERIFY 1 EQUALVERIFY 4 EQUALVERIFY 3 EQUAL",
        "1 2 3 4 2OVER 2 EQUALVERIFY 1 EQUALVERIFY 4 EQUALVERIFY 2DROP",
        "1 2 3 3DUP 3 EQUALVERIFY 2 EQUALVERIFY 1 EQUALVERIFY 3 EQUALVERIFY 2DROP 1",
        "1 2 2DUP 2 EQUALVERIFY 1 EQUALVERIFY 2 EQUALVERIFY",
        "1 2 3 ROT 1 EQUALVERIFY 3 EQUALVERIFY 2 EQUAL",
        "1 2 TUCK 2 EQUALVERIFY 1 EQUALVERIFY 2 EQUAL",
        "1 2 NIP 2 EQUALVERIFY DEPTH 0 EQUAL",
        "1 2 OVER 1 EQUALVERIFY 2 EQUALVERIFY",
        "1 2 SWAP 1 EQUALVERIFY 2 EQUAL",
        "7 8 9 2 PICK 7 EQUALVERIFY 9 EQUALVERIFY 8 EQUALVERIFY 7 EQUAL",
        "7 8 9 2 ROLL 7 EQUALVERIFY 9 EQUALVERIFY 8 EQUALVERIFY DEPTH 0 EQUAL",
        "0 IFDUP DEPTH 1 EQUALVERIFY 0 EQUAL",
        "5 IFDUP DEPTH 2 EQUALVERIFY 5 EQUALVERIFY 5 EQUAL",
        "1 TOALTSTACK 2 FROMALTSTACK 1 EQUALVERIFY 2 EQUAL",
    };

    (void)state;
    in_all_eras(scripts, COUNT_OF(scripts));
}

static void byte_opcodes_cut_and_join(void **state)
{
    static const char *const scripts[] = {
        "'abc' 'def' CAT 'abcdef' EQUAL",
        "'' '' CAT '' EQUAL",
        "'abcdef' 2 SPLIT 'cdef' EQUALVERIFY 'ab' EQUAL",
        "'abc' 0 SPLIT 'abc' EQUALVERIFY '' EQUAL",
        "'abc' 3 SPLIT '' EQUALVERIFY 'abc' EQUAL",
        "1 4 NUM2BIN 0x04 0x01000000 EQUAL",
        "-1 4 NUM2BIN 0x04 0x01000080 EQUAL",
        "0 3 NUM2BIN 0x03 0x000000 EQUAL",
        "0x03 0x010080 1 NUM2BIN -1 EQUAL",
        "0x04 0x01000080 BIN2NUM -1 EQUAL",
        "0x03 0x000080 BIN2NUM 0 EQUAL",
        "'abc' SIZE 3 EQUALVERIFY 'abc' EQUAL",
        "0x02 0x0ff0 INVERT 0x02 0xf00f EQUAL",
        "0x02 0x0ff0 0x02 0x3333 AND 0x02 0x0330 EQUAL",
        "0x02 0x0ff0 0x02 0x3333 OR 0x02 0x3ff3 EQUAL",
        "0x02 0x0ff0 0x02 0x3333 XOR 0x02 0x3cc3 EQUAL",
        "'' INVERT '' EQUAL",
    };

    (void)state;
    in_all_eras(scripts, COUNT_OF(scripts));
}

static void number_opcodes_compute(void **state)
{
    static const char *const scripts[] = {
        "5 1ADD 6 EQUAL", "5 1SUB 4 EQUAL", "5 NEGATE -5 EQUAL", "-5 ABS 5 EQUAL", "5 ABS 5 EQUAL",
        "0 NOT", "5 NOT NOT", "5 0NOTEQUAL", "0 0NOTEQUAL NOT",
        "7 8 ADD 15 EQUAL", "7 8 SUB -1 EQUAL", "7 8 MUL 56 EQUAL", "-7 2 DIV -3 EQUAL",
        "-7 2 MOD -1 EQUAL", "7 -2 MOD 1 EQUAL",
        "2147483647 2147483647 MUL SIZE 8 EQUALVERIFY 0x08 0x01000000ffffff3f EQUAL",
        "1 1 BOOLAND", "1 0 BOOLAND NOT", "0 1 BOOLOR", "0 0 BOOLOR NOT", "3 3 NUMEQUAL",
        "3 4 NUMNOTEQUAL", "3 3 NUMEQUALVERIFY 1", "3 4 LESSTHAN", "4 3 GREATERTHAN",
        "3 3 LESSTHANOREQUAL", "3 3 GREATERTHANOREQUAL", "3 4 MIN 3 EQUAL", "3 4 MAX 4 EQUAL",
        "0x02 0x0300 4 MIN 3 EQUAL", "3 3 5 WITHIN", "5 3 5 WITHIN NOT", "2 3 5 WITHIN NOT",
    };

    (void)state;
    in_all_eras(scripts, COUNT_OF(scripts));
}

static void long_numbers_compute_from_genesis(void **state)
{
    static const char *const scripts[] = {
        "0x09 0xffffffffffffffff7f 1ADD 0x0a 0x00000000000000008000 EQUAL",
        "0x09 0x000000000000000001 DUP MUL 0x11 0x0000000000000000000000000000000001 EQUAL",
        "0x11 0x0000000000000000000000000000000081 0x09 0x000000000000000001 DIV "
        "0x09 0x000000000000000081 EQUAL",
        "0x09 0x050000000000000001 0x09 0x000000000000000001 MOD 5 EQUAL",
        "0x09 0x000000000000000081 ABS 0x09 0x000000000000000001 EQUAL",
        "0x09 0x000000000000000001 0x09 0x000000000000000001 SUB 0 EQUAL",
        "0x09 0x000000000000000001 5 GREATERTHAN",
        "0x09 0x000000000000000081 -5 LESSTHAN",
        "0x09 0x000000000000000001 5 MIN 5 EQUAL",
        "0x09 0x000000000000000001 5 MAX 0x09 0x000000000000000001 EQUAL",
        "5 0x09 0x000000000000000081 0x09 0x000000000000000001 WITHIN",
        "0x08 0xffffffffffffff7f DUP ADD 0x09 0xfeffffffffffffff00 EQUAL",
    };

    (void)state;
    all_true(scripts, COUNT_OF(scripts), flags_at(BLOCK_G, BLOCK_G));
    all_true(scripts, COUNT_OF(scripts), flags_at(BLOCK_C, BLOCK_C));
}

static void hash_opcodes_hash(void **state)
{
    static const char *const scripts[] = {
        "'abc' SHA256 0x20 "
        "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad EQUAL",
        "'abc' SHA1 0x14 0xa9993e364706816aba3e25717850c26c9cd0d89d EQUAL",
        "'abc' RIPEMD160 0x14 0x8eb208f7e05d987a9b044a8e98c6b087f15a0bfc EQUAL",
        "'abc' HASH256 'abc' SHA256 SHA256 EQUAL",
        "'abc' HASH160 'abc' SHA256 RIPEMD160 EQUAL",
    };

    (void)state;
    in_all_eras(scripts, COUNT_OF(scripts));
}

static void failures_have_their_codes(void **state)
{
    static const struct { const char *script, *error; } rows[] = {
        { "1 0 DIV", "DIV_BY_ZERO" },
        { "1 0 MOD", "MOD_BY_ZERO" },
        { "0 VERIFY", "VERIFY" },
        { "1 2 EQUALVERIFY", "EQUALVERIFY" },
        { "1 2 NUMEQUALVERIFY", "NUMEQUALVERIFY" },
        { "'ab' 'c' AND", "INVALID_OPERAND_SIZE" },
        { "'abc' 4 SPLIT", "INVALID_SPLIT_RANGE" },
        { "'abc' -1 SPLIT", "INVALID_SPLIT_RANGE" },
        { "'abc' -1 NUM2BIN", "PUSH_SIZE" },
        { "0x02 0xffff 1 NUM2BIN", "IMPOSSIBLE_ENCODING" },
        { "1 1 PICK", "INVALID_STACK_OPERATION" },
        { "1 -1 ROLL", "INVALID_STACK_OPERATION" },
        { "FROMALTSTACK", "INVALID_ALTSTACK_OPERATION" },
        { "IF", "UNBALANCED_CONDITIONAL" },
        { "ELSE", "UNBALANCED_CONDITIONAL" },
        { "RESERVED", "BAD_OPCODE" },
        { "0xba", "BAD_OPCODE" },
        { "0xff", "BAD_OPCODE" },
        { "0x4c", "BAD_OPCODE" },
        { "0", "EVAL_FALSE" },
        { "", "EVAL_FALSE" },
        { "0 0 1 CHECKMULTISIGVERIFY", "INVALID_STACK_OPERATION" },
        { "0 0 1 0 1 CHECKMULTISIGVERIFY", "CHECKMULTISIGVERIFY" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_string_equal(script_err_name(run_text("", rows[i].script, 0)), rows[i].error);
        assert_string_equal(
            script_err_name(run_text("", rows[i].script, SCRIPT_UTXO_AFTER_GENESIS)),
            rows[i].error);
    }
}

static void a_result_past_the_limit_is_an_overflow(void **state)
{
    struct script_limits l = script_limits_consensus(0);
    static const char *const scripts[] = {
        "0x02 0xff7f 1ADD", "0x02 0xffff 1SUB", "0x02 0xff7f DUP ADD", "0x02 0xff7f DUP NEGATE SUB",
        "0x02 0xff7f DUP MUL", "0x02 0xff7f 2MUL", "1 16 LSHIFTNUM", "1 15 LSHIFTNUM",
    };

    (void)state;
    l.num_bytes_chronicle = 2;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        struct buf lock = script_asm(scripts[i]);
        struct spend s;
        spend_init(&s, 1, span_of("", 0), buf_span(&lock), 0, flags_at(BLOCK_C, BLOCK_C));
        s.limits = l;
        assert_string_equal(script_err_name(spend_run(&s)), "SCRIPTNUM_OVERFLOW");
        spend_clear(&s);
        buf_clear(&lock);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_opcodes_move_elements),
        cmocka_unit_test(byte_opcodes_cut_and_join),
        cmocka_unit_test(number_opcodes_compute),
        cmocka_unit_test(long_numbers_compute_from_genesis),
        cmocka_unit_test(hash_opcodes_hash),
        cmocka_unit_test(failures_have_their_codes),
        cmocka_unit_test(a_result_past_the_limit_is_an_overflow),
    };

    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

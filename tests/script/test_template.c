#include <string.h>

#include "script/template.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

#define K33 "0x21 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define H20 "0x14 0x00112233445566778899aabbccddeeff00112233"

static enum script_type type_of(const char *text, enum script_era era, struct script_match *m)
{
    struct buf b = script_asm(text);
    struct script_match local;

    script_classify(buf_span(&b), era, m ? m : &local);
    enum script_type type = m ? m->type : local.type;
    buf_clear(&b);
    return type;
}

static void expect_type(const char *text, enum script_era era, const char *name)
{
    assert_string_equal(script_type_name(type_of(text, era, NULL)), name);
}

static void standard_outputs_have_their_types(void **state)
{
    (void)state;
    expect_type("DUP HASH160 " H20 " EQUALVERIFY CHECKSIG", SCRIPT_ERA_GENESIS, "pubkeyhash");
    expect_type(K33 " CHECKSIG", SCRIPT_ERA_CHRONICLE, "pubkey");
    expect_type("1 " K33 " " K33 " 2 CHECKMULTISIG", SCRIPT_ERA_GENESIS, "multisig");
    expect_type("0 RETURN 'data'", SCRIPT_ERA_GENESIS, "nulldata");
    expect_type("0 RETURN", SCRIPT_ERA_ORIGINAL, "nulldata");
    expect_type("0 RETURN NOP", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("DUP HASH160 " H20 " EQUALVERIFY CHECKSIG NOP", SCRIPT_ERA_GENESIS,
                "nonstandard");
}

static void script_hashes_and_bare_return_end_with_genesis(void **state)
{
    (void)state;
    expect_type("HASH160 " H20 " EQUAL", SCRIPT_ERA_ORIGINAL, "scripthash");
    expect_type("HASH160 " H20 " EQUAL", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("RETURN 'data'", SCRIPT_ERA_ORIGINAL, "nulldata");
    expect_type("RETURN 'data'", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("RETURN NOP", SCRIPT_ERA_ORIGINAL, "nonstandard");
}

static void multisig_counts_must_agree(void **state)
{
    struct script_match m;

    (void)state;
    type_of("2 " K33 " " K33 " " K33 " 3 CHECKMULTISIG", SCRIPT_ERA_GENESIS, &m);
    assert_int_equal(m.required, 2);
    assert_int_equal(m.n_keys, 3);
    assert_int_equal(m.data[2].len, 33);
    expect_type("3 " K33 " " K33 " 2 CHECKMULTISIG", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("1 " K33 " 2 CHECKMULTISIG", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("1 " K33 " 1 CHECKMULTISIG NOP", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("0 " K33 " 1 CHECKMULTISIG", SCRIPT_ERA_GENESIS, "nonstandard");
    expect_type("1 " K33, SCRIPT_ERA_GENESIS, "nonstandard");
}

static bool unspendable(const char *text, enum script_era era)
{
    struct buf b = script_asm(text);
    bool u = script_is_unspendable(buf_span(&b), era);

    buf_clear(&b);
    return u;
}

static void unspendable_depends_on_the_era(void **state)
{
    static uint8_t large[10001] = { 0x51 };

    (void)state;
    assert_true(unspendable("RETURN", SCRIPT_ERA_ORIGINAL));
    assert_false(unspendable("RETURN", SCRIPT_ERA_GENESIS));
    assert_true(unspendable("0 RETURN", SCRIPT_ERA_ORIGINAL));
    assert_true(unspendable("0 RETURN 1", SCRIPT_ERA_CHRONICLE));
    assert_false(unspendable("", SCRIPT_ERA_ORIGINAL));
    assert_true(script_is_unspendable(span_of(large, 10001), SCRIPT_ERA_ORIGINAL));
    assert_false(script_is_unspendable(span_of(large, 10000), SCRIPT_ERA_ORIGINAL));
    assert_false(script_is_unspendable(span_of(large, 10001), SCRIPT_ERA_GENESIS));
}

static bool push_only(const char *text)
{
    struct buf b = script_asm(text);
    bool p = script_is_push_only(buf_span(&b));

    buf_clear(&b);
    return p;
}

static void push_only_counts_reserved_and_refuses_cut_pushes(void **state)
{
    (void)state;
    assert_true(push_only(""));
    assert_true(push_only("0 1 16 -1 RESERVED 'abc' 0x4c 0x01 0xff"));
    assert_false(push_only("1 NOP"));
    assert_false(push_only("1 0x02 0xff"));
}

static void made_scripts_are_recognised(void **state)
{
    const uint8_t hash[20] = { 1, 2, 3 };
    uint8_t p2pkh[SCRIPT_P2PKH_SIZE], p2sh[SCRIPT_P2SH_SIZE];
    struct script_match m;

    (void)state;
    script_make_p2pkh(p2pkh, hash);
    script_classify(span_of(p2pkh, sizeof(p2pkh)), SCRIPT_ERA_GENESIS, &m);
    assert_int_equal(m.type, SCRIPT_TYPE_PUBKEYHASH);
    assert_int_equal(m.required, 1);
    assert_memory_equal(m.data[0].data, hash, 20);
    script_make_p2sh(p2sh, hash);
    assert_true(script_is_p2sh(span_of(p2sh, sizeof(p2sh))));
    assert_false(script_is_p2sh(span_of(p2sh, sizeof(p2sh) - 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_outputs_have_their_types),
        cmocka_unit_test(script_hashes_and_bare_return_end_with_genesis),
        cmocka_unit_test(multisig_counts_must_agree),
        cmocka_unit_test(unspendable_depends_on_the_era),
        cmocka_unit_test(push_only_counts_reserved_and_refuses_cut_pushes),
        cmocka_unit_test(made_scripts_are_recognised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

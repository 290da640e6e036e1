#include "base/ids.h"

#include "base/intmath.h"
#include "tests/test.h"

static const char genesis[] = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";

static void text_is_in_display_order(void **state)
{
    (void)state;
    uint8_t hash[32];
    char text[HASH_HEX_SIZE];
    assert_true(hash_from_hex(hash, genesis));
    assert_int_equal(hash[0], 0x6f);
    assert_int_equal(hash[31], 0);
    assert_string_equal(hash_to_hex(text, hash), genesis);
}

static void text_must_have_64_digits(void **state)
{
    (void)state;
    uint8_t hash[32];
    char text[HASH_HEX_SIZE + 1];
    assert_false(hash_from_hex(hash, ""));
    assert_false(hash_from_hex(hash, genesis + 1));
    assert_false(hash_from_hex(hash, genesis + 2));
    memcpy(text, genesis, sizeof genesis);
    text[10] = 'x';
    assert_false(hash_from_hex(hash, text));
    memcpy(text, genesis, sizeof genesis);
    memcpy(text + 64, "0", 2);
    assert_false(hash_from_hex(hash, text));
}

static void the_null_outpoint_is_zero_and_all_ones(void **state)
{
    (void)state;
    struct outpoint o = { .index = UINT32_MAX };
    assert_true(outpoint_is_null(&o));
    assert_true(hash_is_zero(o.txid.b));
    struct outpoint p = o;
    assert_true(outpoint_equal(&o, &p));
    p.index = 0;
    assert_false(outpoint_is_null(&p));
    assert_false(outpoint_equal(&o, &p));
    p = o;
    p.txid.b[31] = 1;
    assert_false(outpoint_is_null(&p));
    assert_false(outpoint_equal(&o, &p));
    assert_false(txid_equal(&o.txid, &p.txid));
}

static void outpoints_have_an_order(void **state)
{
    (void)state;
    const struct outpoint ordered[] = {
        { { { 0 } }, 7 }, { { { 0, 1 } }, 0 }, { { { 1 } }, 0 }, { { { 1 } }, 1 },
        { { { 1 } }, UINT32_MAX }, { { { 0xff } }, 0 },
    };
    for (size_t i = 0; i < COUNT_OF(ordered); i++)
        for (size_t k = 0; k < COUNT_OF(ordered); k++) {
            const int order = outpoint_order(&ordered[i], &ordered[k]);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_in_display_order),
        cmocka_unit_test(text_must_have_64_digits),
        cmocka_unit_test(the_null_outpoint_is_zero_and_all_ones),
        cmocka_unit_test(outpoints_have_an_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/bytes.h"

#include <stdio.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "tests/test.h"

static void integers_round_trip_in_both_orders(void **state)
{
    (void)state;
    uint8_t b[8];
    le64_put(b, UINT64_C(0xf1e2d3c4b5a69788));
    assert_memory_equal(b, "\x88\x97\xa6\xb5\xc4\xd3\xe2\xf1", 8);
    assert_true(le64_get(b) == UINT64_C(0xf1e2d3c4b5a69788));
    be64_put(b, UINT64_C(0xf1e2d3c4b5a69788));
    assert_memory_equal(b, "\xf1\xe2\xd3\xc4\xb5\xa6\x97\x88", 8);
    assert_true(be64_get(b) == UINT64_C(0xf1e2d3c4b5a69788));
    le32_put(b, 0xfedcba98);
    assert_memory_equal(b, "\x98\xba\xdc\xfe", 4);
    assert_true(le32_get(b) == 0xfedcba98 && be32_get(b) == 0x98badcfe);
    be32_put(b, 0xfedcba98);
    assert_true(be32_get(b) == 0xfedcba98);
    le16_put(b, 0xfedc);
    assert_true(le16_get(b) == 0xfedc && be16_get(b) == 0xdcfe);
    be16_put(b, 0xfedc);
    assert_true(be16_get(b) == 0xfedc);
}

static void hex_round_trips_and_takes_both_cases(void **state)
{
    (void)state;
    uint8_t b[4];
    char text[9];
    size_t len;
    assert_true(hex_decode(b, sizeof b, "00aBfF7e", 8, &len));
    assert_int_equal(len, 4);
    hex_encode(text, b, len);
    assert_string_equal(text, "00abff7e");
    assert_true(hex_decode(b, 0, "", 0, &len));
    assert_int_equal(len, 0);
}

static void hex_is_the_same_at_all_lengths(void **state)
{
    (void)state;
    uint8_t data[256 + 3];
    char text[2 * sizeof data + 1], digits[3];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    for (size_t from = 0; from < 3; from++)
        for (size_t len = 0; len <= 256; len++) {
            memset(text, 'x', sizeof text);
            hex_encode(text, data + from, len);
            assert_int_equal(strlen(text), 2 * len);
            for (size_t i = 0; i < len; i++) {
                snprintf(digits, sizeof digits, "%02x", data[from + i]);
                assert_memory_equal(text + 2 * i, digits, 2);
            }
        }
}

static void hex_refuses_odd_long_and_foreign_text(void **state)
{
    (void)state;
    uint8_t b[2];
    assert_false(hex_decode(b, sizeof b, "abc", 3, NULL));
    assert_false(hex_decode(b, sizeof b, "aabbcc", 6, NULL));
    static const char *const bad[] = { "0g", "g0", " 0", "0x", "0`", "/0", ":0", "0@" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(hex_decode(b, sizeof b, bad[i], 2, NULL));
}

static void comparisons_see_every_byte(void **state)
{
    (void)state;
    uint8_t a[33] = { 0 }, b[33] = { 0 };
    assert_true(ct_equal(a, b, sizeof a));
    assert_true(ct_equal(a, b, 0) && mem_equal_var(NULL, NULL, 0));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 0x80;
        assert_false(ct_equal(a, b, sizeof a));
        assert_false(mem_equal_var(a, b, sizeof a));
        b[i] = 0;
    }
}

static void wiping_clears_the_memory(void **state)
{
    (void)state;
    uint8_t a[40], zero[40] = { 0 };
    memset(a, 0xa5, sizeof a);
    secure_wipe(a, sizeof a);
    assert_memory_equal(a, zero, sizeof a);
    secure_wipe(NULL, 0);
}

static void checked_arithmetic_reports_what_does_not_fit(void **state)
{
    (void)state;
    uint64_t u;
    int64_t i;
    assert_true(add_u64(UINT64_MAX - 1, 1, &u) && u == UINT64_MAX);
    assert_false(add_u64(UINT64_MAX, 1, &u));
    assert_false(sub_u64(1, 2, &u));
    assert_false(mul_u64(UINT64_MAX / 2, 3, &u));
    assert_false(add_i64(INT64_MAX, 1, &i));
    assert_false(sub_i64(INT64_MIN, 1, &i));
    assert_false(mul_i64(INT64_MIN, -1, &i));
}

static void money_is_between_zero_and_21_million(void **state)
{
    (void)state;
    assert_true(money_range(0) && money_range(MAX_MONEY));
    assert_false(money_range(-1));
    assert_false(money_range(MAX_MONEY + 1));
    assert_true(MAX_MONEY == INT64_C(2100000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_round_trip_in_both_orders),
        cmocka_unit_test(hex_round_trips_and_takes_both_cases),
        cmocka_unit_test(hex_is_the_same_at_all_lengths),
        cmocka_unit_test(hex_refuses_odd_long_and_foreign_text),
        cmocka_unit_test(comparisons_see_every_byte),
        cmocka_unit_test(wiping_clears_the_memory),
        cmocka_unit_test(checked_arithmetic_reports_what_does_not_fit),
        cmocka_unit_test(money_is_between_zero_and_21_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "script/num.h"
#include "tests/test.h"

static struct num of_hex(const char *hex)
{
    struct buf b = unhex(hex);
    struct num n;

    assert_int_equal(num_read(&n, buf_span(&b), UINT64_MAX, NUM_ANY), SCRIPT_OK);
    buf_clear(&b);
    return n;
}

static void expect_and_clear(struct num *n, const char *hex)
{
    struct buf b = unhex(hex);
    uint8_t out[64];

    assert_int_equal(num_size(n), b.len);
    num_write(n, out);
    assert_memory_equal(out, b.data, b.len);
    num_clear(n);
    buf_clear(&b);
}

static void reading_knows_length_and_form(void **state)
{
    struct num n;

    (void)state;
    assert_int_equal(num_read(&n, span_of("\1\2\3\4\5", 5), 4, NUM_ANY),
                     SCRIPT_ERR_SCRIPTNUM_OVERFLOW);
    assert_int_equal(num_read(&n, span_of("\1\0", 2), 4, NUM_MINIMAL),
                     SCRIPT_ERR_SCRIPTNUM_MINENCODE);
    assert_int_equal(num_read(&n, span_of("\1\0", 2), 4, NUM_ANY), SCRIPT_OK);
    assert_int_equal(n.small, 1);
    assert_int_equal(num_read(&n, span_of("\x80", 1), 4, NUM_ANY), SCRIPT_OK);
    assert_true(num_is_zero(&n));
    assert_int_equal(num_read(&n, span_of("\xff\x80", 2), 4, NUM_MINIMAL), SCRIPT_OK);
    assert_int_equal(n.small, -255);
}

static void long_forms_of_small_values_are_small(void **state)
{
    struct num n = of_hex("05000000000000000080");

    (void)state;
    assert_false(n.is_big);
    assert_int_equal(n.small, -5);
}

static void minimizing_keeps_the_value(void **state)
{
    static const char *const rows[][2] = {
        { "", "" },           { "00", "" },         { "80", "" },     { "0000", "" },
        { "0080", "" },       { "0100", "01" },     { "0180", "81" }, { "ff00", "ff00" },
        { "ff80", "ff80" },   { "ff0000", "ff00" }, { "ff000080", "ff80" }, { "7f80", "ff" },
        { "010203", "010203" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf in = unhex(rows[i][0]), out = unhex(rows[i][1]);
        assert_int_equal(num_bytes_are_minimal(buf_span(&in)), in.len == out.len);
        assert_int_equal(num_bytes_minimize(in.data, in.len), out.len);
        if (out.len > 0)
            assert_memory_equal(in.data, out.data, out.len);
        buf_clear(&in);
        buf_clear(&out);
    }
}

static void arithmetic_passes_64_bits(void **state)
{
    struct num max = num_of(INT64_MAX), one = num_of(1), sum, back, product;

    (void)state;
    assert_int_equal(num_add(&sum, &max, &one), SCRIPT_OK);
    assert_true(sum.is_big);
    assert_int_equal(num_cmp(&sum, &max), 1);
    assert_int_equal(num_sub(&back, &sum, &one), SCRIPT_OK);
    assert_false(back.is_big);
    assert_int_equal(num_cmp(&back, &max), 0);
    assert_int_equal(num_mul(&product, &max, &max, NULL), SCRIPT_OK);
    expect_and_clear(&product, "0100000000000000ffffffffffffff3f");
    num_clear(&sum);
}

static void the_smallest_int64_is_big(void **state)
{
    struct num low = num_of(-INT64_MAX), one = num_of(1), a, b;

    (void)state;
    assert_int_equal(num_sub(&a, &low, &one), SCRIPT_OK);
    b = of_hex("000000000000008080");
    assert_true(a.is_big && b.is_big);
    assert_int_equal(num_cmp(&a, &b), 0);
    num_clear(&a);
    num_clear(&b);
}

static void division_truncates_and_the_rest_has_the_dividends_sign(void **state)
{
    static const int64_t rows[][4] = { { 7, 2, 3, 1 }, { -7, 2, -3, -1 }, { 7, -2, -3, 1 },
                                       { -7, -2, 3, -1 }, { 1, 5, 0, 1 } };
    struct num q, r;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct num a = num_of(rows[i][0]), b = num_of(rows[i][1]);
        assert_int_equal(num_div(&q, &a, &b, NULL), SCRIPT_OK);
        assert_int_equal(num_mod(&r, &a, &b, NULL), SCRIPT_OK);
        assert_true(q.small == rows[i][2] && r.small == rows[i][3]);
    }
    struct num big = of_hex("00000000000000000000000001"), three = num_of(-3);
    assert_int_equal(num_mod(&r, &big, &three, NULL), SCRIPT_OK);
    assert_int_equal(r.small, 1);
    num_clear(&big);
}

static void shifts_go_by_the_magnitude(void **state)
{
    struct num minus_three = num_of(-3), r;

    (void)state;
    assert_int_equal(num_shr(&r, &minus_three, 1), SCRIPT_OK);
    assert_int_equal(r.small, -1);
    assert_int_equal(num_shr(&r, &minus_three, 2), SCRIPT_OK);
    assert_int_equal(r.small, 0);
    assert_int_equal(num_shr(&r, &minus_three, 5000000000u), SCRIPT_OK);
    assert_int_equal(r.small, 0);
    assert_int_equal(num_shl(&r, &minus_three, 64), SCRIPT_OK);
    expect_and_clear(&r, "000000000000000083");
}

static void wrapping_decoder_drops_sign_and_last_byte(void **state)
{
    (void)state;
    assert_int_equal(num_decode_wrapping(span_of("\x05\0\0\0\0\0\0\x80", 8)), -5);
    assert_int_equal(num_decode_wrapping(span_of("\x05\0\0\0\0\0\0\0\x80", 9)), 5);
    assert_int_equal(num_decode_wrapping(span_of("\x05\0\0\0\0\0\0\0\0\x01", 10)), 5);
    assert_int_equal(num_decode_wrapping(span_of("\x05\0\0\0\0\0\0\0\x02\x01", 10)), 7);
}

/* A number of exactly this many 64-bit words: 1 in the top one. */
static struct num of_words(size_t words)
{
    size_t len = (words - 1) * 8 + 1;
    uint8_t *bytes = (uint8_t *)xcalloc(len, 1);
    struct num n;

    bytes[len - 1] = 1;
    assert_int_equal(num_read(&n, span_of(bytes, len), UINT64_MAX, NUM_ANY), SCRIPT_OK);
    free(bytes);
    return n;
}

static void expect_mul(size_t a_words, size_t b_words, enum script_err expected)
{
    struct num a = of_words(a_words), b = of_words(b_words), r;
    struct cancel stop;

    /* what is not refused would take long: it is enough to see that it began */
    cancel_init(&stop);
    cancel_set(&stop);
    assert_int_equal(num_mul(&r, &a, &b, &stop), expected);
    num_clear(&a);
    num_clear(&b);
}

static void long_factors_of_equal_length_fail_as_in_the_reference(void **state)
{
    const size_t limit = 1 << 20;

    (void)state;
    expect_mul(limit, limit, SCRIPT_ERR_CANCELLED);
    expect_mul(limit + 1, limit, SCRIPT_ERR_BIG_INT);
    expect_mul(limit, limit + 1, SCRIPT_ERR_BIG_INT);
    expect_mul(limit + 1, limit + 1, SCRIPT_ERR_BIG_INT);
    expect_mul(limit + 2, limit, SCRIPT_ERR_CANCELLED);
    expect_mul(limit + 2, limit + 1, SCRIPT_ERR_BIG_INT);
}

static void products_that_cannot_fit_are_known_beforehand(void **state)
{
    struct num a = of_hex("00000000000000000000000000000040"); /* 2^126 */
    struct num b = num_of(2), c = num_of(4), zero = num_of(0), r;

    (void)state;
    assert_true(num_mul_may_fit(&a, &b, 17));
    assert_false(num_mul_may_fit(&a, &b, 16));
    assert_int_equal(num_mul(&r, &a, &b, NULL), SCRIPT_OK);
    assert_int_equal(num_size(&r), 17);
    num_clear(&r);
    assert_true(num_mul_may_fit(&a, &c, 17));
    assert_true(num_mul_may_fit(&a, &zero, 0));
    num_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_knows_length_and_form),
        cmocka_unit_test(long_forms_of_small_values_are_small),
        cmocka_unit_test(minimizing_keeps_the_value),
        cmocka_unit_test(arithmetic_passes_64_bits),
        cmocka_unit_test(the_smallest_int64_is_big),
        cmocka_unit_test(division_truncates_and_the_rest_has_the_dividends_sign),
        cmocka_unit_test(shifts_go_by_the_magnitude),
        cmocka_unit_test(wrapping_decoder_drops_sign_and_last_byte),
        cmocka_unit_test(long_factors_of_equal_length_fail_as_in_the_reference),
        cmocka_unit_test(products_that_cannot_fit_are_known_beforehand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

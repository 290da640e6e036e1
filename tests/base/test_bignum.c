/* Signed operations, compared with OpenSSL's BIGNUM where that is independent. */
#include <openssl/bn.h>
#include <stdlib.h>
#include <string.h>

#include "base/bignum.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

static struct bignum of_hex_le(const char *hex)
{
    struct buf bytes = unhex(hex);
    struct bignum a;

    assert_int_equal(bignum_read_le(&a, bytes.data, bytes.len), OK);
    buf_clear(&bytes);
    return a;
}

static void expect_le(const struct bignum *a, const char *hex)
{
    struct buf bytes = unhex(hex);
    uint8_t out[64];

    assert_int_equal(bignum_size_le(a), bytes.len);
    assert_true(bytes.len <= sizeof(out));
    bignum_write_le(a, out);
    assert_memory_equal(out, bytes.data, bytes.len);
    buf_clear(&bytes);
}

static void expect_read(const char *hex, const char *shortest)
{
    struct bignum a = of_hex_le(hex);

    expect_le(&a, shortest);
    bignum_clear(&a);
}

static void encoding_is_sign_and_magnitude(void **state)
{
    (void)state;
    expect_read("", "");
    expect_read("00", "");
    expect_read("80", "");
    expect_read("0000000000000000000080", "");
    expect_read("7f", "7f");
    expect_read("ff", "ff");
    expect_read("ff00", "ff00");
    expect_read("ff80", "ff80");
    expect_read("0100000000000000000080", "81");
    expect_read("ffffffffffffffffffff7f", "ffffffffffffffffffff7f");
    expect_read("ffffffffffffffff", "ffffffffffffffff");
    expect_read("ffffffffffffffff00", "ffffffffffffffff00");
}

static void small_values_go_in_and_out(void **state)
{
    static const int64_t values[] = { 0, 1, -1, 127, -128, INT64_MAX, -INT64_MAX };
    struct bignum a;
    int64_t v;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        assert_int_equal(bignum_set_i64(&a, values[i]), OK);
        assert_true(bignum_get_i64(&a, &v));
        assert_true(v == values[i]);
        bignum_clear(&a);
    }
    a = of_hex_le("00000000000000008080");
    assert_false(bignum_get_i64(&a, &v));
    bignum_clear(&a);
}

static void comparison_looks_at_sign_first(void **state)
{
    struct bignum a = of_hex_le("0000000000000000000001"), b = of_hex_le("0000000000000000000081");
    struct bignum zero = of_hex_le(""), one = of_hex_le("01");

    (void)state;
    assert_true(bignum_cmp(&a, &b) > 0);
    assert_true(bignum_cmp(&b, &zero) < 0);
    assert_true(bignum_cmp(&zero, &one) < 0);
    assert_true(bignum_cmp(&a, &one) > 0);
    assert_int_equal(bignum_cmp(&a, &a), 0);
    bignum_clear(&a);
    bignum_clear(&b);
    bignum_clear(&zero);
    bignum_clear(&one);
}

/* ---- against BIGNUM ---- */

static BIGNUM *openssl_of(const struct bignum *a)
{
    BIGNUM *n = BN_lebin2bn((const uint8_t *)a->limb, (int)(a->n * 8), NULL);

    assert_non_null(n);
    BN_set_negative(n, a->negative);
    return n;
}

static void expect_equal(const struct bignum *a, const BIGNUM *expected)
{
    BIGNUM *n = openssl_of(a);

    assert_int_equal(BN_cmp(n, expected), 0);
    BN_free(n);
}

static struct bignum random_number(size_t bytes, uint64_t *seed)
{
    uint8_t *data = (uint8_t *)xmalloc(bytes + 1);
    struct bignum a;

    for (size_t i = 0; i < bytes; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        data[i] = (uint8_t)(*seed >> 56);
    }
    assert_int_equal(bignum_read_le(&a, data, bytes), OK);
    free(data);
    return a;
}

static void check_ring(const struct bignum *a, const struct bignum *b)
{
    BIGNUM *x = openssl_of(a), *y = openssl_of(b), *z = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    struct bignum r;

    assert_int_equal(bignum_add(&r, a, b), OK);
    BN_add(z, x, y);
    expect_equal(&r, z);
    bignum_clear(&r);
    assert_int_equal(bignum_sub(&r, a, b), OK);
    BN_sub(z, x, y);
    expect_equal(&r, z);
    bignum_clear(&r);
    assert_int_equal(bignum_mul(&r, a, b, NULL), OK);
    BN_mul(z, x, y, ctx);
    expect_equal(&r, z);
    bignum_clear(&r);
    BN_free(x);
    BN_free(y);
    BN_free(z);
    BN_CTX_free(ctx);
}

static void check_division(const struct bignum *a, const struct bignum *b)
{
    BIGNUM *x = openssl_of(a), *y = openssl_of(b), *z = BN_new(), *w = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    struct bignum q, r;

    assert_int_equal(bignum_divmod(&q, &r, a, b, NULL), OK);
    BN_div(z, w, x, y, ctx);
    expect_equal(&q, z);
    expect_equal(&r, w);
    bignum_clear(&q);
    bignum_clear(&r);
    BN_free(x);
    BN_free(y);
    BN_free(z);
    BN_free(w);
    BN_CTX_free(ctx);
}

static void check_shifts(const struct bignum *a, unsigned bits)
{
    BIGNUM *x = openssl_of(a), *z = BN_new();
    struct bignum r;

    assert_int_equal(bignum_shl(&r, a, bits), OK);
    BN_lshift(z, x, (int)bits);
    expect_equal(&r, z);
    bignum_clear(&r);
    assert_int_equal(bignum_shr(&r, a, bits), OK);
    BN_rshift(z, x, (int)bits); /* of the magnitude: toward zero */
    expect_equal(&r, z);
    bignum_clear(&r);
    BN_free(x);
    BN_free(z);
}

static void operations_equal_those_of_openssl(void **state)
{
    static const size_t sizes[] = { 0, 1, 7, 8, 9, 16, 40, 257, 1000, 5000, 40000 };
    uint64_t seed = 42;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t k = 0; k < COUNT_OF(sizes); k++) {
            struct bignum a = random_number(sizes[i], &seed), b = random_number(sizes[k], &seed);
            check_ring(&a, &b);
            if (b.n > 0)
                check_division(&a, &b);
            check_shifts(&a, (unsigned)(i * 61 + k * 7));
            bignum_clear(&a);
            bignum_clear(&b);
        }
}

static void number_minus_itself_is_a_zero_without_sign(void **state)
{
    struct bignum a = of_hex_le("0102030405060708090a8b"), r;

    (void)state;
    assert_int_equal(bignum_sub(&r, &a, &a), OK);
    assert_int_equal(r.n, 0);
    assert_false(r.negative);
    bignum_clear(&r);
    bignum_clear(&a);
}

static void cancelled_work_gives_no_number(void **state)
{
    uint64_t seed = 9;
    struct bignum a = random_number(50000, &seed), b = random_number(20000, &seed), r;
    struct cancel cancel;

    (void)state;
    cancel_init(&cancel);
    cancel_set(&cancel);
    assert_int_equal(bignum_mul(&r, &a, &b, &cancel), ERR_CANCELLED);
    assert_null(r.limb);
    assert_int_equal(bignum_divmod(&r, NULL, &a, &b, &cancel), ERR_CANCELLED);
    assert_null(r.limb);
    bignum_clear(&a);
    bignum_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_is_sign_and_magnitude),
        cmocka_unit_test(small_values_go_in_and_out),
        cmocka_unit_test(comparison_looks_at_sign_first),
        cmocka_unit_test(operations_equal_those_of_openssl),
        cmocka_unit_test(number_minus_itself_is_a_zero_without_sign),
        cmocka_unit_test(cancelled_work_gives_no_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

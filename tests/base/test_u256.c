#include "base/u256.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

static struct u256 num(const char *hex)
{
    struct u256 r;
    assert_true(u256_from_hex(&r, hex));
    return r;
}

static void assert_num(const struct u256 *a, const char *hex)
{
    char got[65], want[65];
    struct u256 b = num(hex);
    assert_string_equal(u256_to_hex(got, a), u256_to_hex(want, &b));
}

/* Numbers of all sizes, with long runs of ones and zeros among them. */
static struct u256 random_num(uint64_t *seed)
{
    struct u256 r;
    for (int i = 0; i < 4; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t x = *seed ^ *seed >> 29;
        r.limb[i] = (x & 7) == 0 ? 0 : (x & 7) == 1 ? UINT64_MAX : x * UINT64_C(0x9e3779b97f4a7c15);
    }
    return u256_shr(&r, (unsigned)(*seed >> 33) % 256);
}

static void text_and_bytes_round_trip(void **state)
{
    (void)state;
    const char *hex = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
    struct u256 a = num(hex);
    char text[65];
    assert_string_equal(u256_to_hex(text, &a), hex);
    uint8_t bytes[32];
    u256_to_le(bytes, &a);
    assert_int_equal(bytes[0], 0x20);
    assert_int_equal(bytes[31], 0x01);
    struct u256 b = u256_from_le(bytes);
    assert_int_equal(u256_cmp(&a, &b), 0);
    a = num("f");
    assert_true(a.limb[0] == 15);
    assert_false(u256_from_hex(&a, ""));
    assert_false(u256_from_hex(&a, "0x1"));
    assert_false(
        u256_from_hex(&a, "00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"));
}

static void addition_and_subtraction_wrap(void **state)
{
    (void)state;
    struct u256 zero = u256_from_u64(0), one = u256_from_u64(1), max = u256_not(&zero);
    struct u256 r = u256_add(&max, &one);
    assert_true(u256_is_zero(&r));
    r = u256_sub(&zero, &one);
    assert_int_equal(u256_cmp(&r, &max), 0);
    struct u256 a = num("ffffffffffffffffffffffffffffffff");
    r = u256_add(&a, &one);
    assert_num(&r, "100000000000000000000000000000000");
    r = u256_sub(&r, &one);
    assert_int_equal(u256_cmp(&r, &a), 0);
    assert_int_equal(u256_cmp(&zero, &one), -1);
    assert_int_equal(u256_cmp(&max, &one), 1);
}

static void multiplication_carries_and_wraps(void **state)
{
    (void)state;
    struct u256 a = num("ffffffffffffffffffffffffffffffff");
    struct u256 r = u256_mul_u64(&a, UINT64_MAX);
    assert_num(&r, "fffffffffffffffeffffffffffffffff0000000000000001");
    a = num("8000000000000000000000000000000000000000000000000000000000000001");
    r = u256_mul_u64(&a, 2);
    assert_num(&r, "2");
}

static void shifts_move_across_limbs(void **state)
{
    (void)state;
    struct u256 one = u256_from_u64(1), r;
    for (unsigned i = 0; i < 256; i++) {
        r = u256_shl(&one, i);
        assert_int_equal(u256_bits(&r), i + 1);
        r = u256_shr(&r, i);
        assert_int_equal(u256_cmp(&r, &one), 0);
    }
    r = u256_shl(&one, 256);
    assert_true(u256_is_zero(&r));
    r = u256_shl(&one, 1000);
    assert_true(u256_is_zero(&r));
    r = u256_shr(&one, 400);
    assert_true(u256_is_zero(&r));
    struct u256 a = num("123456789abcdef0fedcba9876543210");
    r = u256_shl(&a, 68);
    assert_num(&r, "123456789abcdef0fedcba987654321000000000000000000");
    r = u256_shr(&a, 68);
    assert_num(&r, "123456789abcdef");
    r = u256_from_u64(0);
    assert_int_equal(u256_bits(&r), 0);
}

/* Bit by bit, slow and plain. */
static struct u256 slow_div(const struct u256 *a, const struct u256 *b)
{
    struct u256 q = u256_from_u64(0), rest = u256_from_u64(0);
    for (int i = 255; i >= 0; i--) {
        uint64_t out = rest.limb[3] >> 63;
        rest = u256_shl(&rest, 1);
        rest.limb[0] |= a->limb[i / 64] >> (i % 64) & 1;
        if (out || u256_cmp(&rest, b) >= 0) {
            rest = u256_sub(&rest, b);
            q.limb[i / 64] |= UINT64_C(1) << (i % 64);
        }
    }
    return q;
}

static void division_equals_long_division_by_bits(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 20000; i++) {
        struct u256 a = random_num(&seed), b = random_num(&seed);
        if (u256_is_zero(&b))
            continue;
        struct u256 q = u256_div(&a, &b), want = slow_div(&a, &b);
        assert_memory_equal(&q, &want, sizeof q);
    }
}

static void division_corrects_estimates_that_are_too_large(void **state)
{
    (void)state;
    static const struct { const char *a, *b, *q; } cases[] = {
        { "7fffffffffffffff80000000000000000000000000000000", "80000000000000000000000000000001",
          "fffffffffffffffe" },
        { "80000000000000000000000000000000fffffffffffffffe", "8000000000000000ffffffffffffffff",
          "fffffffffffffffe" },
        { "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
          "ffffffffffffffffffffffffffffffff", "100000000000000000000000000000001" },
        { "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
          "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "1" },
        { "5", "7", "0" }, { "7", "0", "0" }, { "64", "a", "a" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct u256 a = num(cases[i].a), b = num(cases[i].b), q = u256_div(&a, &b);
        if (!u256_is_zero(&b)) {
            struct u256 plain = slow_div(&a, &b);
            assert_memory_equal(&q, &plain, sizeof q);
        }
        assert_num(&q, cases[i].q);
    }
}

static void compact_form_decodes_with_its_quirks(void **state)
{
    (void)state;
    static const struct { uint32_t bits; const char *value; bool negative, overflow; } cases[] = {
        { 0x00000000, "0", false, false }, { 0x00123456, "0", false, false },
        { 0x01003456, "0", false, false }, { 0x02000056, "0", false, false },
        { 0x03000000, "0", false, false }, { 0x04000000, "0", false, false },
        { 0x00923456, "0", false, false }, { 0x01803456, "0", false, false },
        { 0x02800056, "0", false, false }, { 0x03800000, "0", false, false },
        { 0x04800000, "0", false, false }, { 0x01123456, "12", false, false },
        { 0x01fedcba, "7e", true, false }, { 0x02123456, "1234", false, false },
        { 0x03123456, "123456", false, false }, { 0x04123456, "12345600", false, false },
        { 0x04923456, "12345600", true, false }, { 0x05009234, "92340000", false, false },
        { 0x20123456, "1234560000000000000000000000000000000000000000000000000000000000", false,
          false },
        { 0x1d00ffff, "ffff0000000000000000000000000000000000000000000000000000", false, false },
        { 0x207fffff, "7fffff0000000000000000000000000000000000000000000000000000000000", false,
          false },
        { 0x21010000, "0", false, true },
        { 0x2100ffff, "ffff000000000000000000000000000000000000000000000000000000000000", false,
          false },
        { 0x220000ff, "ff00000000000000000000000000000000000000000000000000000000000000", false,
          false },
        { 0x22000100, "0", false, true }, { 0x23000001, "0", false, true },
        { 0x23000000, "0", false, false }, { 0xff123456, "0", false, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool negative, overflow;
        struct u256 a = u256_from_compact(cases[i].bits, &negative, &overflow);
        assert_int_equal(negative, cases[i].negative);
        assert_int_equal(overflow, cases[i].overflow);
        if (!overflow)
            assert_num(&a, cases[i].value);
    }
    struct u256 a = u256_from_compact(0x1b0404cb, NULL, NULL);
    assert_num(&a, "404cb000000000000000000000000000000000000000000000000");
}

static void compact_form_takes_the_shortest_encoding(void **state)
{
    (void)state;
    static const struct { const char *value; uint32_t bits; } cases[] = {
        { "0", 0 }, { "12", 0x01120000 }, { "80", 0x02008000 }, { "1234", 0x02123400 },
        { "123456", 0x03123456 }, { "800000", 0x04008000 }, { "92340000", 0x05009234 },
        { "12345678", 0x04123456 },
        { "ffff0000000000000000000000000000000000000000000000000000", 0x1d00ffff },
        { "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0x2100ffff },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct u256 a = num(cases[i].value);
        assert_int_equal(u256_to_compact(&a), cases[i].bits);
    }
}

static void difficulty_one_is_worth_4295032833_hashes(void **state)
{
    (void)state;
    /* spec consensus 2.1: floor(~T / (T + 1)) + 1 */
    struct u256 target = u256_from_compact(0x1d00ffff, NULL, NULL), one = u256_from_u64(1);
    struct u256 inverse = u256_not(&target), next = u256_add(&target, &one);
    struct u256 work = u256_div(&inverse, &next);
    work = u256_add(&work, &one);
    assert_num(&work, "100010001");
}

static void doubles_are_close(void **state)
{
    (void)state;
    struct u256 a = num("100000000000000000000000000000000");
    assert_true(u256_to_double(&a) == 340282366920938463463374607431768211456.0);
    a = u256_from_u64(3);
    assert_true(u256_to_double(&a) == 3.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_bytes_round_trip),
        cmocka_unit_test(addition_and_subtraction_wrap),
        cmocka_unit_test(multiplication_carries_and_wraps),
        cmocka_unit_test(shifts_move_across_limbs),
        cmocka_unit_test(division_equals_long_division_by_bits),
        cmocka_unit_test(division_corrects_estimates_that_are_too_large),
        cmocka_unit_test(compact_form_decodes_with_its_quirks),
        cmocka_unit_test(compact_form_takes_the_shortest_encoding),
        cmocka_unit_test(difficulty_one_is_worth_4295032833_hashes),
        cmocka_unit_test(doubles_are_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

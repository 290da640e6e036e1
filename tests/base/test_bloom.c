#include "base/bloom.h"

#include "base/rand.h"
#include "tests/test.h"

/* Values that implementations of MurmurHash3 are checked with. */
static void murmur3_has_the_known_values(void **state)
{
    (void)state;
    static const struct { uint32_t hash, seed; const char *data; } cases[] = {
        { 0x00000000, 0x00000000, "" },         { 0x6a396f08, 0xfba4c795, "" },
        { 0x81f16f39, 0xffffffff, "" },         { 0x514e28b7, 0x00000000, "00" },
        { 0xea3f0b17, 0xfba4c795, "00" },       { 0xfd6cf10d, 0x00000000, "ff" },
        { 0x16c6b7ab, 0x00000000, "0011" },     { 0x8eb51c3d, 0x00000000, "001122" },
        { 0xb4471bf8, 0x00000000, "00112233" }, { 0xe2301fa8, 0x00000000, "0011223344" },
        { 0xfc2e4a15, 0x00000000, "001122334455" },
        { 0xb074502c, 0x00000000, "00112233445566" },
        { 0x8034d2a0, 0x00000000, "0011223344556677" },
        { 0xb4698def, 0x00000000, "001122334455667788" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf data = unhex(cases[i].data);
        assert_int_equal(murmur3(cases[i].seed, data.data, data.len), cases[i].hash);
        buf_clear(&data);
    }
}

/* The example of BIP37's reference: three elements, 3 bytes, 5 hashes. */
static void a_filter_has_the_bits_of_the_published_example(void **state)
{
    (void)state;
    static const struct { uint32_t tweak; uint8_t bits[3]; } cases[] = {
        { 0, { 0x61, 0x4e, 0x9b } }, { UINT32_C(2147483649), { 0xce, 0x42, 0x99 } }
    };
    static const char *const elements[] = { "99108ad8ed9bb6274d3980bab5a85c048f0950c8",
                                            "b5a2c786d9ef4658287ced5914b37a1b4aa32eee",
                                            "b9300670b4c5366e95b2699e8b18bc75e5f729c5" };
    for (size_t i = 0; i < 2; i++) {
        struct bloom b;
        bloom_init(&b, span_of("\0\0\0", 3), 5, cases[i].tweak, BLOOM_UPDATE_ALL);
        for (size_t k = 0; k < 3; k++) {
            struct buf e = unhex(elements[k]);
            bloom_insert(&b, e.data, e.len);
            assert_true(bloom_contains(&b, e.data, e.len));
            buf_clear(&e);
        }
        struct buf near = unhex("19108ad8ed9bb6274d3980bab5a85c048f0950c8");
        assert_false(bloom_contains(&b, near.data, near.len));
        buf_clear(&near);
        assert_memory_equal(b.bits, cases[i].bits, 3);
        bloom_clear(&b);
    }
}

/* CVE-2013-5700: a filter of no bytes must not divide by zero. */
static void a_filter_without_bits_matches_everything(void **state)
{
    (void)state;
    struct bloom b;
    bloom_init(&b, span_of(NULL, 0), 7, 1, BLOOM_UPDATE_NONE);
    assert_true(bloom_contains(&b, "x", 1));
    bloom_insert(&b, "x", 1);
    bloom_clear(&b);
}

static void full_and_empty_filters_match_all_and_nothing(void **state)
{
    (void)state;
    struct bloom full, empty, hashless;
    bloom_init(&full, span_of("\xff\xff", 2), 11, 5, 0);
    bloom_init(&empty, span_of("\0\0", 2), 11, 5, 0);
    bloom_init(&hashless, span_of("\0\0", 2), 0, 5, 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(bloom_contains(&full, &i, sizeof(i)));
        assert_false(bloom_contains(&empty, &i, sizeof(i)));
        assert_true(bloom_contains(&hashless, &i, sizeof(i)));
    }
    bloom_clear(&full);
    bloom_clear(&empty);
    bloom_clear(&hashless);
}

static void what_a_copy_has_learned_comes_back(void **state)
{
    (void)state;
    struct bloom b, copy;
    uint8_t bits[64] = { 0 };
    bloom_init(&b, span_of(bits, sizeof(bits)), 3, 99, 7); /* 3: unassigned */
    assert_int_equal(b.update, BLOOM_UPDATE_NONE);
    bloom_insert(&b, "one", 3);
    bloom_copy(&copy, &b);
    bloom_insert(&copy, "two", 3);
    bloom_insert(&b, "three", 5);
    assert_false(bloom_contains(&b, "two", 3));
    bloom_merge(&b, &copy);
    assert_true(bloom_contains(&b, "one", 3));
    assert_true(bloom_contains(&b, "two", 3));
    assert_true(bloom_contains(&b, "three", 5));
    bloom_clear(&b);
    bloom_clear(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(murmur3_has_the_known_values),
        cmocka_unit_test(a_filter_has_the_bits_of_the_published_example),
        cmocka_unit_test(a_filter_without_bits_matches_everything),
        cmocka_unit_test(full_and_empty_filters_match_all_and_nothing),
        cmocka_unit_test(what_a_copy_has_learned_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

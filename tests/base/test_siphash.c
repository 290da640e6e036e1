#include "base/hash.h"
#include "base/bytes.h"
#include "tests/test.h"

/* Key 00..0f, data 00 01 02 ...: the example of the SipHash paper (15 bytes) and published
 * others. */
static const struct siphash_key key = { UINT64_C(0x0706050403020100),
                                        UINT64_C(0x0f0e0d0c0b0a0908) };

static void published_values_match(void **state)
{
    (void)state;
    uint8_t data[64];
    for (int i = 0; i < 64; i++)
        data[i] = (uint8_t)i;
    assert_true(siphash(&key, data, 15) == UINT64_C(0xa129ca6149be45e5));
    assert_true(siphash(&key, data, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(siphash(&key, data, 1) == UINT64_C(0x74f839c593dc67fd));
    assert_true(siphash(&key, data, 8) == UINT64_C(0x93f5f5799a932462));
    assert_true(siphash(&key, data, 32) == UINT64_C(0x7127512f72f27cce));
}

static void fixed_sizes_equal_the_general_form(void **state)
{
    (void)state;
    uint8_t data[36];
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 36; i++)
            data[i] = (uint8_t)(round * 37 + i * 101);
        assert_true(siphash_32(&key, data) == siphash(&key, data, 32));
        assert_true(siphash_36(&key, data, le32_get(data + 32)) == siphash(&key, data, 36));
    }
}

static void the_key_matters(void **state)
{
    (void)state;
    const struct siphash_key a = { 1, 0 }, b = { 0, 1 };
    uint8_t data[32] = { 0 };
    assert_true(siphash_32(&a, data) != siphash_32(&b, data));
    assert_true(siphash_36(&a, data, 0) != siphash_36(&a, data, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values_match),
        cmocka_unit_test(fixed_sizes_equal_the_general_form),
        cmocka_unit_test(the_key_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

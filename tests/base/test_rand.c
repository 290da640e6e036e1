#include <config.h>

#include "base/rand.h"

#include <string.h>

#include "tests/test.h"

static uint64_t next_value, step;

static void fill_counting(void *out, size_t len)
{
    assert_int_equal(len, sizeof(next_value));
    memcpy(out, &next_value, len);
    next_value += step;
}

static void use_values(uint64_t first, uint64_t then_add)
{
    next_value = first;
    step = then_add;
    rand_set_source(fill_counting);
}

static void fills_every_byte_of_long_and_odd_buffers(void **state)
{
    (void)state;
    static uint8_t seen_nonzero[1001], out[1003];
    for (int round = 0; round < 20; round++) {
        memset(out, 0, sizeof(out));
        rand_bytes(out + 1, 1001);
        assert_int_equal(out[0], 0);
        assert_int_equal(out[1002], 0);
        for (size_t i = 0; i < 1001; i++)
            seen_nonzero[i] |= out[1 + i];
    }
    for (size_t i = 0; i < 1001; i++)
        assert_int_not_equal(seen_nonzero[i], 0);
    rand_bytes(NULL, 0);
}

static void two_draws_differ(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    rand_bytes(a, sizeof(a));
    rand_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(rand_u64() != rand_u64());
}

static void below_stays_below_and_reaches_all_values(void **state)
{
    (void)state;
    unsigned count[7] = { 0 };
    for (int i = 0; i < 7000; i++) {
        uint64_t v = rand_below(7);
        assert_true(v < 7);
        count[v]++;
    }
    for (int v = 0; v < 7; v++)
        assert_in_range(count[v], 700, 1300);
    assert_int_equal(rand_below(1), 0);
}

static void below_draws_again_where_the_remainder_would_be_uneven(void **state)
{
    (void)state;
    /* 2^64 mod (2^63 + 1) is 2^63 - 1: smaller draws are thrown away. */
    uint64_t n = (UINT64_C(1) << 63) + 1;
    use_values((UINT64_C(1) << 63) - 2, 1);
    assert_true(rand_below(n) == (UINT64_C(1) << 63) - 1);
    rand_set_source(NULL);
}

static void exponential_delay_has_the_mean_asked_for(void **state)
{
    (void)state;
    double sum = 0;
    for (int i = 0; i < 20000; i++) {
        double d = rand_exp(30.0);
        assert_true(d >= 0 && d < 30.0 * 40);
        sum += d;
    }
    /* 20000 draws: the standard error is 0.21. */
    assert_true(sum / 20000 > 28.5 && sum / 20000 < 31.5);
}

static void exponential_delay_is_finite_at_both_ends(void **state)
{
    (void)state;
    use_values(0, 0);
    assert_true(rand_exp(5.0) == 0);
    use_values(UINT64_MAX, 0);
    assert_true(rand_exp(1.0) > 36 && rand_exp(1.0) < 37);
    rand_set_source(NULL);
}

static void replaced_source_is_used_and_can_be_taken_back(void **state)
{
    (void)state;
    use_values(41, 1);
    assert_int_equal(rand_u64(), 41);
    assert_int_equal(rand_u64(), 42);
    rand_set_source(NULL);
    assert_true(rand_u64() != 43 || rand_u64() != 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_every_byte_of_long_and_odd_buffers),
        cmocka_unit_test(two_draws_differ),
        cmocka_unit_test(below_stays_below_and_reaches_all_values),
        cmocka_unit_test(below_draws_again_where_the_remainder_would_be_uneven),
        cmocka_unit_test(exponential_delay_has_the_mean_asked_for),
        cmocka_unit_test(exponential_delay_is_finite_at_both_ends),
        cmocka_unit_test(replaced_source_is_used_and_can_be_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

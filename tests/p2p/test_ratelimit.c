#include "tests/test.h"

#include "p2p/ratelimit.h"

static void an_address_every_ten_seconds_is_let_through(void **state)
{
    (void)state;
    struct ratelimit r;
    uint64_t taken = 0;
    ratelimit_init(&r, RATELIMIT_ADDR_MILLI_PER_S, RATELIMIT_ADDR_BURST, 1, 0);
    for (int64_t ms = 0; ms < 1000 * 1000; ms += 250)
        taken += ratelimit_take(&r, 1, ms);
    assert_int_equal(taken, 100);
}

static void tokens_are_saved_up_to_the_burst_only(void **state)
{
    (void)state;
    struct ratelimit r;
    ratelimit_init(&r, 100, 1000, 0, 0);
    assert_int_equal(ratelimit_take_some(&r, UINT64_MAX, INT64_C(1) << 40), 1000);
    assert_int_equal(ratelimit_take_some(&r, 1, INT64_C(1) << 40), 0);
}

static void all_or_nothing_is_taken(void **state)
{
    (void)state;
    struct ratelimit r;
    ratelimit_init(&r, 1000, 10, 10, 0);
    assert_false(ratelimit_take(&r, 11, 0));
    assert_true(ratelimit_take(&r, 10, 0));
    assert_false(ratelimit_take(&r, 1, 999));
    assert_true(ratelimit_take(&r, 1, 1000));
}

static void a_grant_goes_beyond_the_burst_and_is_spent_once(void **state)
{
    (void)state;
    struct ratelimit r;
    ratelimit_init(&r, 100, 1000, 1000, 0);
    ratelimit_grant(&r, 1000);
    assert_int_equal(ratelimit_take_some(&r, 5000, 100), 2000);
    assert_int_equal(ratelimit_take_some(&r, 5000, 100), 0);
}

static void wait_says_when_tokens_are_there(void **state)
{
    (void)state;
    struct ratelimit r;
    ratelimit_init(&r, 300, 10, 0, 0);
    int64_t wait = ratelimit_wait_ms(&r, 1, 0);
    assert_int_equal(wait, 3334);
    assert_false(ratelimit_take(&r, 1, wait - 1));
    assert_true(ratelimit_take(&r, 1, wait));
    assert_int_equal(ratelimit_wait_ms(&r, 11, wait), -1);
}

static void time_running_backwards_and_extreme_values_do_no_harm(void **state)
{
    (void)state;
    struct ratelimit r;
    ratelimit_init(&r, UINT64_MAX, UINT64_MAX, 5, 1000);
    assert_true(ratelimit_take(&r, 5, 0));
    assert_false(ratelimit_take(&r, 1, 500));
    assert_int_equal(ratelimit_take_some(&r, UINT64_MAX, INT64_MAX), RATELIMIT_BURST_MAX);
    for (int i = 0; i < 10; i++)
        ratelimit_grant(&r, UINT64_MAX);
    assert_true(ratelimit_take(&r, RATELIMIT_BURST_MAX, INT64_MAX));
}

/* attacks D5: 10^9 addresses offered */
static void a_flood_gets_through_at_the_rate_only(void **state)
{
    (void)state;
    struct ratelimit r;
    uint64_t taken = 0;
    ratelimit_init(&r, RATELIMIT_ADDR_MILLI_PER_S, RATELIMIT_ADDR_BURST, RATELIMIT_ADDR_BURST, 0);
    for (int64_t i = 0; i < 1000000; i++)
        taken += ratelimit_take_some(&r, 1000, i);
    assert_int_equal(taken, 1000 + 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_every_ten_seconds_is_let_through),
        cmocka_unit_test(tokens_are_saved_up_to_the_burst_only),
        cmocka_unit_test(all_or_nothing_is_taken),
        cmocka_unit_test(a_grant_goes_beyond_the_burst_and_is_spent_once),
        cmocka_unit_test(wait_says_when_tokens_are_there),
        cmocka_unit_test(time_running_backwards_and_extreme_values_do_no_harm),
        cmocka_unit_test(a_flood_gets_through_at_the_rate_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

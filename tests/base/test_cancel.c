#include <config.h>

#include "base/cancel.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "tests/test.h"

#define LOOKS_ENOUGH 1000 /* more than pass between two readings of the clock */

static bool stops_within(struct cancel *c, int64_t cpu_us)
{
    const int64_t end = clock_thread_cpu_us() + cpu_us;
    while (clock_thread_cpu_us() < end)
        if (cancelled(c))
            return true;
    return false;
}

static void nothing_and_a_fresh_flag_are_not_cancelled(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init(&c);
    assert_false(cancelled(NULL));
    assert_false(cancelled(&c));
    cancel_set(&c);
    assert_true(cancelled(&c));
}

static void a_limited_flag_stops_when_the_cpu_time_is_used(void **state)
{
    (void)state;
    static const int64_t limits[] = { 2000, CANCEL_EXACT_US };
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct cancel c;
        cancel_init_limited(&c, limits[i], NULL);
        assert_false(cancelled(&c));
        assert_true(stops_within(&c, 2000000));
        assert_true(cancelled(&c)); /* and stays so */
    }
}

static void time_without_work_does_not_count(void **state)
{
    (void)state;
    static const int64_t limits[] = { 5000, 50000 };
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct cancel c;
        cancel_init_limited(&c, limits[i], NULL);
        usleep(60000);
        for (int n = 0; n < 40; n++)
            assert_false(cancelled(&c));
    }
}

static void a_limit_far_away_does_not_stop(void **state)
{
    (void)state;
    struct cancel c;
    cancel_init_limited(&c, INT64_C(3600) * 1000000, NULL);
    for (int i = 0; i < LOOKS_ENOUGH; i++)
        assert_false(cancelled(&c));
}

static void a_limited_flag_passes_on_its_parents_wish(void **state)
{
    (void)state;
    struct cancel parent, c;
    cancel_init(&parent);
    cancel_init_limited(&c, INT64_C(3600) * 1000000, &parent);
    assert_false(cancelled(&c));
    cancel_set(&parent);
    assert_true(cancelled(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_and_a_fresh_flag_are_not_cancelled),
        cmocka_unit_test(a_limited_flag_stops_when_the_cpu_time_is_used),
        cmocka_unit_test(time_without_work_does_not_count),
        cmocka_unit_test(a_limit_far_away_does_not_stop),
        cmocka_unit_test(a_limited_flag_passes_on_its_parents_wish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

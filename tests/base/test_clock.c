#include <config.h>

#include "base/clock.h"

#include <time.h>

#include "tests/test.h"

static void wall_clock_is_the_systems(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL);
    int64_t now = clock_now();
    int64_t now_ms = clock_now_ms();
    int64_t after = (int64_t)time(NULL) + 1;
    assert_true(now >= before - 1 && now <= after);
    assert_true(now_ms / 1000 >= before - 1 && now_ms / 1000 <= after);
}

static void mocked_clock_stands_still_until_zero_is_set(void **state)
{
    (void)state;
    clock_set_mock(1600000000);
    assert_int_equal(clock_now(), 1600000000);
    assert_int_equal(clock_now_ms(), 1600000000000);
    clock_set_mock(0);
    assert_true(clock_now() >= (int64_t)time(NULL) - 1);
}

static void monotonic_clock_ignores_the_mock_and_advances(void **state)
{
    (void)state;
    int64_t start_us = clock_mono_us(), start_ms = clock_mono_ms();
    clock_set_mock(1);
    const struct timespec pause = { 0, 5000000 };
    nanosleep(&pause, NULL);
    assert_true(clock_mono_us() - start_us >= 5000);
    assert_true(clock_mono_ms() - start_ms >= 4);
    assert_true(clock_mono_us() - start_us < 60000000);
    clock_set_mock(0);
}

static void deadline_lies_so_many_milliseconds_ahead(void **state)
{
    (void)state;
    static const int64_t after_ms[] = { 0, 1, 999, 1000, 1999, 86400000 };
    for (size_t i = 0; i < sizeof(after_ms) / sizeof(*after_ms); i++) {
        const int64_t before = clock_mono_ms();
        const struct timespec t = clock_deadline(after_ms[i]);
        const int64_t at = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
        assert_true(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
        assert_true(at >= before + after_ms[i]);
        assert_true(at <= clock_mono_ms() + after_ms[i]);
    }
    const int64_t before = clock_mono_ms();
    assert_true((int64_t)clock_deadline(-5000).tv_sec >= before / 1000); /* now, not the past */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_clock_is_the_systems),
        cmocka_unit_test(mocked_clock_stands_still_until_zero_is_set),
        cmocka_unit_test(monotonic_clock_ignores_the_mock_and_advances),
        cmocka_unit_test(deadline_lies_so_many_milliseconds_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

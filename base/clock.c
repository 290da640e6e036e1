#include <config.h>

#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t mock_seconds; /* 0: not mocked */

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_now(void)
{
    int64_t mock = atomic_load_explicit(&mock_seconds, memory_order_relaxed);
    return mock ? mock : read_us(CLOCK_REALTIME) / 1000000;
}

int64_t clock_now_ms(void)
{
    int64_t mock = atomic_load_explicit(&mock_seconds, memory_order_relaxed);
    return mock ? mock * 1000 : read_us(CLOCK_REALTIME) / 1000;
}

void clock_set_mock(int64_t seconds)
{
    atomic_store_explicit(&mock_seconds, seconds, memory_order_relaxed);
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

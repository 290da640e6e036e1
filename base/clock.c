#include <config.h>

#include "base/clock.h"

#include <stdatomic.h>

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

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

struct timespec clock_deadline(int64_t after_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (after_ms <= 0)
        return t;
    t.tv_sec += (time_t)(after_ms / 1000);
    t.tv_nsec += (long)(after_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

int64_t clock_thread_cpu_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

#include "p2p/ratelimit.h"

#define MICRO UINT64_C(1000000)

static uint64_t to_micro(uint64_t tokens)
{
    return (tokens > RATELIMIT_BURST_MAX ? RATELIMIT_BURST_MAX : tokens) * MICRO;
}

void ratelimit_init(struct ratelimit *r, uint64_t milli_per_s, uint64_t burst, uint64_t start,
                    int64_t now_ms)
{
    r->milli_per_s = milli_per_s;
    r->burst = to_micro(burst);
    r->level = to_micro(start);
    r->last_ms = now_ms;
    if (r->level > r->burst)
        r->level = r->burst;
}

/* A thousandth of a token a second is a millionth each millisecond. A grant above stays. */
static void refill(struct ratelimit *r, int64_t now_ms)
{
    uint64_t gain;
    if (now_ms <= r->last_ms)
        return;
    uint64_t passed = (uint64_t)now_ms - (uint64_t)r->last_ms;
    r->last_ms = now_ms;
    if (r->level >= r->burst)
        return;
    if (__builtin_mul_overflow(passed, r->milli_per_s, &gain) || gain > r->burst - r->level)
        r->level = r->burst;
    else
        r->level += gain;
}

bool ratelimit_take(struct ratelimit *r, uint64_t n, int64_t now_ms)
{
    refill(r, now_ms);
    if (n > r->level / MICRO)
        return false;
    r->level -= n * MICRO;
    return true;
}

uint64_t ratelimit_take_some(struct ratelimit *r, uint64_t n, int64_t now_ms)
{
    refill(r, now_ms);
    uint64_t have = r->level / MICRO;
    uint64_t taken = n < have ? n : have;
    r->level -= taken * MICRO;
    return taken;
}

void ratelimit_grant(struct ratelimit *r, uint64_t n)
{
    if (__builtin_add_overflow(r->level, to_micro(n), &r->level))
        r->level = UINT64_MAX;
}

int64_t ratelimit_wait_ms(struct ratelimit *r, uint64_t n, int64_t now_ms)
{
    refill(r, now_ms);
    if (n <= r->level / MICRO)
        return 0;
    if (r->milli_per_s == 0 || n > r->burst / MICRO)
        return -1;
    uint64_t missing = n * MICRO - r->level;
    return (int64_t)(missing / r->milli_per_s + (missing % r->milli_per_s != 0));
}

#include <config.h>

#include "base/rand.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "base/err.h"

/* getrandom(2) gives up to 256 bytes whole, without being cut short by a signal. */
enum { SYSTEM_BLOCK = 256 };

typedef void (*rand_fill_fn)(void *out, size_t len);

static void fill_from_system(void *out, size_t len)
{
    uint8_t *p = (uint8_t *)out;
    while (len > 0) {
        ssize_t n = getrandom(p, len < SYSTEM_BLOCK ? len : SYSTEM_BLOCK, 0);
        if (n < 0 && errno == EINTR)
            continue;
        /* No key, nonce or salt may be made without it, so there is nothing to go on with. */
        BUG_ON(n <= 0);
        p += n;
        len -= (size_t)n;
    }
}

static _Atomic(rand_fill_fn) fill_source = fill_from_system;

void rand_set_source(void (*fill)(void *out, size_t len))
{
    atomic_store(&fill_source, fill ? fill : fill_from_system);
}

void rand_bytes(void *out, size_t len)
{
    rand_fill_fn fill = atomic_load(&fill_source);
    fill(out, len);
}

uint64_t rand_u64(void)
{
    uint64_t v;
    rand_bytes(&v, sizeof(v));
    return v;
}

uint64_t rand_below(uint64_t n)
{
    BUG_ON(n == 0);
    /* The lowest 2^64 mod n values would come up once too often: draw again. */
    uint64_t skip = (0 - n) % n;
    uint64_t v;
    do
        v = rand_u64();
    while (v < skip);
    return v % n;
}

double rand_exp(double mean)
{
    /* 53 random bits make a double in [0, 1); -log(1 - u) is exponential with mean 1. */
    double u = (double)(rand_u64() >> 11) * 0x1p-53;
    return -log1p(-u) * mean;
}

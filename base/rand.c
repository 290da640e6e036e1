/*
 * A generator that is broken mostly shows it: its call fails, or it gives zeros, or the same again.
 * Before each draw of a secret a block is drawn and compared with the one of the draw before, and
 * with all blocks of this one; two of them are never equal (once in 2^128). The test is a call of
 * its own, so that what begins anew with each call is noticed. Only such blocks are remembered, no
 * byte of a secret is.
 */
#include <config.h>

#include "base/rand.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"

/* getrandom(2) gives up to 256 bytes whole, without being cut short by a signal. */
enum { SYSTEM_BLOCK = 256, TEST_BLOCK = 16, SEED_SIZE = 32 };
#define SHORT_LEAST 8 /* bytes that are not all alike but once in 2^56 */

typedef void (*rand_fill_fn)(void *out, size_t len);
typedef ssize_t (*rand_system_fn)(void *out, size_t len, unsigned flags);

static _Atomic(rand_fill_fn) fill_source; /* NULL: none but the system's */
static _Atomic(rand_system_fn) system_get = getrandom;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static uint8_t last_test[TEST_BLOCK];
static bool has_last;

static uint8_t seed[SEED_SIZE]; /* what goes on when the generator fails; written by rand_init */
static atomic_bool has_seed;
static atomic_uint_least64_t seed_uses;

void rand_set_source(void (*fill)(void *out, size_t len))
{
    atomic_store(&fill_source, fill);
}

void rand_set_system(ssize_t (*get)(void *out, size_t len, unsigned flags))
{
    atomic_store(&system_get, get ? get : getrandom);
}

/* 0, or errno. */
static int fill_from_system(void *out, size_t len)
{
    const rand_system_fn get = atomic_load(&system_get);
    uint8_t *p = (uint8_t *)out;
    while (len > 0) {
        const size_t want = MIN_OF(len, (size_t)SYSTEM_BLOCK);
        const ssize_t n = get(p, want, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || (size_t)n > want)
            return n < 0 ? errno : EIO;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* --- secrets --- */

/* Bytes that are all alike. */
static bool is_flat(const uint8_t *p, size_t len)
{
    uint8_t differs = 0;
    for (size_t i = 1; i < len; i++)
        differs |= p[i] ^ p[0];
    return differs == 0;
}

/* Whether a block of out is that of the test, or the one before it; in constant time each. */
static bool repeats(const uint8_t test[TEST_BLOCK], const uint8_t *out, size_t len)
{
    const size_t first = MIN_OF(len, (size_t)TEST_BLOCK);
    bool found = len >= SHORT_LEAST && (is_flat(out, first) || ct_equal(out, test, first));
    for (size_t at = 0; at + TEST_BLOCK <= len; at += TEST_BLOCK) {
        found |= ct_equal(out + at, test, TEST_BLOCK);
        found |= at && ct_equal(out + at, out + at - TEST_BLOCK, TEST_BLOCK);
        found |= is_flat(out + at, TEST_BLOCK);
    }
    return found;
}

static bool came_before(const uint8_t test[TEST_BLOCK])
{
    pthread_mutex_lock(&lock);
    const bool same = has_last && ct_equal(last_test, test, TEST_BLOCK);
    memcpy(last_test, test, TEST_BLOCK);
    has_last = true;
    pthread_mutex_unlock(&lock);
    return same;
}

static enum err draw_checked(void *out, size_t len, struct error *e)
{
    uint8_t test[TEST_BLOCK] = { 0 };
    memset(out, 0, len); /* what a call leaves as it was is to be seen */
    int failed = fill_from_system(test, sizeof test);
    if (!failed)
        failed = fill_from_system(out, len);
    if (failed)
        return error_set_errno(e, failed, "the random generator of the system fails (getrandom)");
    if (is_flat(test, sizeof test) || came_before(test) || repeats(test, out, len))
        return error_set(e, ERR_IO, "the random generator of the system is broken: it repeats "
                                    "itself");
    return OK;
}

enum err rand_secret(void *out, size_t len, struct error *e)
{
    const rand_fill_fn fill = atomic_load(&fill_source);
    struct error why = { .code = ERR_IO };
    if (fill) {
        fill(out, len);
        return OK;
    }
    if (!draw_checked(out, len, &why))
        return OK;
    secure_wipe(out, len);
    LOG_LIMITED(LOG_ERROR, "%s; no key is made of it", why.text);
    return error_set(e, ERR_IO, "%s", why.text);
}

enum err rand_init(struct error *e)
{
    uint8_t drawn[SEED_SIZE];
    const enum err rc = rand_secret(drawn, sizeof drawn, e);
    if (!rc && !atomic_load(&has_seed)) {
        memcpy(seed, drawn, sizeof seed);
        atomic_store(&has_seed, true);
    }
    secure_wipe(drawn, sizeof drawn);
    return rc;
}

/* --- the rest --- */

/* Into what is there. Never twice the same: a process that was forked off has another number. */
static void mix_seed(uint8_t *out, size_t len)
{
    const uint64_t pid = (uint64_t)getpid();
    uint8_t block[32];
    while (len > 0) {
        const uint64_t use = atomic_fetch_add(&seed_uses, 1);
        const size_t n = MIN_OF(len, sizeof block);
        struct sha256 ctx;
        sha256_init(&ctx);
        sha256_update(&ctx, seed, sizeof seed);
        sha256_update(&ctx, &pid, sizeof pid);
        sha256_update(&ctx, &use, sizeof use);
        sha256_final(&ctx, block);
        for (size_t i = 0; i < n; i++)
            out[i] ^= block[i];
        out += n;
        len -= n;
    }
}

/* Whether the generator works is not asked: what it gives is as good as the seed at least. */
void rand_bytes(void *out, size_t len)
{
    const rand_fill_fn fill = atomic_load(&fill_source);
    if (fill) {
        fill(out, len);
        return;
    }
    const bool seeded = atomic_load(&has_seed);
    const int failed = fill_from_system(out, len);
    BUG_ON(failed && !seeded); /* a program that goes on without a generator at its start */
    if (failed)
        memset(out, 0, len);
    if (seeded)
        mix_seed((uint8_t *)out, len);
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

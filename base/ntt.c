/*
 * The transform works modulo p = 2^64 - 2^32 + 1, where reducing a 128-bit product takes a few
 * additions and roots of unity of any order up to 2^32 exist. A magnitude is cut into 16-bit
 * digits: the sum of up to 2^31 products of two digits stays below p, so one prime is enough for
 * any length that fits in memory.
 *
 * Forward transforms leave their result in bit-reversed order and the inverse takes it so; both
 * recurse into halves, which keeps the working set in the caches from some depth on.
 */
#include "base/ntt.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef unsigned __int128 u128;

#define PRIME UINT64_C(0xffffffff00000001)
#define EPSILON UINT64_C(0xffffffff) /* 2^64 mod p */
#define GENERATOR 7

#define DIGITS_PER_LIMB 4
#define MAX_LEVELS 33
#define ROOTS_PER_LEVEL 2048  /* further roots are products with these */
#define CANCEL_MIN_LEVEL 16   /* smaller parts take less than a millisecond or two */

/* roots[l][i] = w^i where w has order 2^l */
struct ntt {
    uint64_t *roots[MAX_LEVELS + 1];
    const struct cancel *cancel;
};

/*
 * Conditions become masks: they hold at random, and a branch on them would be mispredicted half of
 * the time, which costs three times the arithmetic.
 */
static inline uint64_t when(int condition, uint64_t value)
{
    return value & (0 - (uint64_t)condition);
}

static inline uint64_t mod_sub(uint64_t a, uint64_t b)
{
    return a - b - when(a < b, EPSILON); /* + p is - EPSILON modulo 2^64 */
}

static inline uint64_t mod_add(uint64_t a, uint64_t b)
{
    return mod_sub(a, PRIME - b);
}

/* With hi = 2^32 x + y: 2^64 is EPSILON and 2^96 is -1 modulo p. */
static inline uint64_t mod_mul(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    uint64_t lo = (uint64_t)product, hi = (uint64_t)(product >> 64);
    uint64_t t = lo - (hi >> 32) - when(lo < hi >> 32, EPSILON);
    uint64_t add = (hi & EPSILON) * EPSILON, r = t + add;

    r += when(r < add, EPSILON);
    return r - when(r >= PRIME, PRIME);
}

static uint64_t mod_pow(uint64_t a, uint64_t e)
{
    uint64_t r = 1;

    for (; e > 0; e >>= 1) {
        if (e & 1)
            r = mod_mul(r, a);
        a = mod_mul(a, a);
    }
    return r;
}

static uint64_t root_of_order(unsigned level)
{
    return mod_pow(GENERATOR, (PRIME - 1) >> level);
}

static void roots_free(struct ntt *t)
{
    for (unsigned l = 0; l <= MAX_LEVELS; l++)
        free(t->roots[l]);
}

/* Tables for levels 1..levels; for the inverse transform of inverse roots. */
static bool roots_make(struct ntt *t, unsigned levels, bool inverse)
{
    memset(t->roots, 0, sizeof(t->roots));
    for (unsigned l = 1; l <= levels; l++) {
        size_t half = (size_t)1 << (l - 1), n = half < ROOTS_PER_LEVEL ? half : ROOTS_PER_LEVEL;
        uint64_t w = root_of_order(l), power = 1;
        if (inverse)
            w = mod_pow(w, PRIME - 2);
        t->roots[l] = (uint64_t *)try_alloc(n, sizeof(uint64_t));
        if (!t->roots[l]) {
            roots_free(t);
            return false;
        }
        for (size_t i = 0; i < n; i++) {
            t->roots[l][i] = power;
            power = mod_mul(power, w);
        }
    }
    return true;
}

/* w^i for i = ROOTS_PER_LEVEL, the step from one block of roots to the next. */
static uint64_t block_step(const struct ntt *t, unsigned level)
{
    return mod_mul(t->roots[level][ROOTS_PER_LEVEL - 1], t->roots[level][1]);
}

/* One level of butterflies, forward: sum above, difference times root below. */
static void split_level(const struct ntt *t, uint64_t *x, unsigned level)
{
    size_t half = (size_t)1 << (level - 1);
    const uint64_t *root = t->roots[level];
    uint64_t base = 1, step = half > ROOTS_PER_LEVEL ? block_step(t, level) : 0;

    for (size_t from = 0; from < half; from += ROOTS_PER_LEVEL) {
        size_t n = half - from < ROOTS_PER_LEVEL ? half : ROOTS_PER_LEVEL;
        uint64_t *lo = x + from, *hi = lo + half;
        for (size_t i = 0; i < n; i++) {
            uint64_t w = from == 0 ? root[i] : mod_mul(base, root[i]);
            uint64_t a = lo[i], b = hi[i];
            lo[i] = mod_add(a, b);
            hi[i] = mod_mul(mod_sub(a, b), w);
        }
        base = mod_mul(base, step);
    }
}

/* The same backwards: root first, then sum and difference. */
static void join_level(const struct ntt *t, uint64_t *x, unsigned level)
{
    size_t half = (size_t)1 << (level - 1);
    const uint64_t *root = t->roots[level];
    uint64_t base = 1, step = half > ROOTS_PER_LEVEL ? block_step(t, level) : 0;

    for (size_t from = 0; from < half; from += ROOTS_PER_LEVEL) {
        size_t n = half - from < ROOTS_PER_LEVEL ? half : ROOTS_PER_LEVEL;
        uint64_t *lo = x + from, *hi = lo + half;
        for (size_t i = 0; i < n; i++) {
            uint64_t w = from == 0 ? root[i] : mod_mul(base, root[i]);
            uint64_t a = lo[i], b = mod_mul(hi[i], w);
            lo[i] = mod_add(a, b);
            hi[i] = mod_sub(a, b);
        }
        base = mod_mul(base, step);
    }
}

static bool stopped(const struct ntt *t, unsigned level)
{
    return level >= CANCEL_MIN_LEVEL && cancelled(t->cancel);
}

static void forward(const struct ntt *t, uint64_t *x, unsigned level)
{
    if (level == 0 || stopped(t, level))
        return;
    split_level(t, x, level);
    forward(t, x, level - 1);
    forward(t, x + ((size_t)1 << (level - 1)), level - 1);
}

static void inverse(const struct ntt *t, uint64_t *x, unsigned level)
{
    if (level == 0 || stopped(t, level))
        return;
    inverse(t, x, level - 1);
    inverse(t, x + ((size_t)1 << (level - 1)), level - 1);
    join_level(t, x, level);
}

static void load_digits(uint64_t *x, size_t size, const uint64_t *a, size_t an)
{
    for (size_t i = 0; i < an; i++)
        for (unsigned k = 0; k < DIGITS_PER_LIMB; k++)
            x[DIGITS_PER_LIMB * i + k] = (a[i] >> 16 * k) & 0xffff;
    memset(x + DIGITS_PER_LIMB * an, 0, (size - DIGITS_PER_LIMB * an) * sizeof(*x));
}

/* Sums of products back into 16-bit digits, carrying. */
static void store_digits(uint64_t *r, size_t rn, const uint64_t *x, uint64_t scale)
{
    u128 carry = 0;

    for (size_t i = 0; i < rn; i++) {
        uint64_t limb = 0;
        for (unsigned k = 0; k < DIGITS_PER_LIMB; k++) {
            carry += mod_mul(x[DIGITS_PER_LIMB * i + k], scale);
            limb |= ((uint64_t)carry & 0xffff) << 16 * k;
            carry >>= 16;
        }
        r[i] = limb;
    }
}

/* x = transform of a times transform of b; y is work space. Cancellation is seen by the caller. */
static void convolve(const struct ntt *t, uint64_t *x, uint64_t *y, unsigned level)
{
    size_t size = (size_t)1 << level;

    forward(t, x, level);
    if (y != x)
        forward(t, y, level);
    if (stopped(t, CANCEL_MIN_LEVEL))
        return;
    for (size_t i = 0; i < size; i++)
        x[i] = mod_mul(x[i], y[i]);
}

static unsigned level_for(size_t digits)
{
    unsigned level = 1;

    while (((size_t)1 << level) < digits)
        level++;
    return level;
}

static enum err multiply(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                         uint64_t *x, uint64_t *y, unsigned level, const struct cancel *cancel)
{
    size_t size = (size_t)1 << level;
    struct ntt t = { .cancel = cancel };

    if (!roots_make(&t, level, false))
        return ERR_NOMEM;
    load_digits(x, size, a, an);
    if (y != x)
        load_digits(y, size, b, bn);
    convolve(&t, x, y, level);
    roots_free(&t);
    if (cancelled(cancel))
        return ERR_CANCELLED;
    if (!roots_make(&t, level, true))
        return ERR_NOMEM;
    inverse(&t, x, level);
    roots_free(&t);
    if (cancelled(cancel))
        return ERR_CANCELLED;
    store_digits(r, an + bn, x, mod_pow(size % PRIME, PRIME - 2));
    return OK;
}

enum err ntt_mul(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                 const struct cancel *cancel)
{
    unsigned level = level_for(DIGITS_PER_LIMB * (an + bn));
    enum err rc = ERR_NOMEM;

    if (level > MAX_LEVELS - 1)
        return ERR_NOMEM;
    uint64_t *x = (uint64_t *)try_alloc((size_t)1 << level, sizeof(*x));
    uint64_t *y = x; /* a square needs one transform less */
    if (a != b || an != bn)
        y = (uint64_t *)try_alloc((size_t)1 << level, sizeof(*y));
    if (x && y)
        rc = multiply(r, a, an, b, bn, x, y, level, cancel);
    if (y != x)
        free(y);
    free(x);
    return rc;
}

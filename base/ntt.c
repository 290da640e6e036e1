/*
 * The transform works modulo p = 2^64 - 2^32 + 1, where reducing a 128-bit product takes a few
 * additions and roots of unity of any order up to 2^32 exist. A magnitude is cut into 16-bit
 * digits: the sum of up to 2^31 products of two digits stays below p, so one prime is enough for
 * any length that fits in memory.
 *
 * A block of 2^l values is a polynomial modulo x^(2^l) - c. One level of the transform splits it
 * into residues modulo x^(2^(l-1)) - s and + s with s^2 = c: all butterflies of a block multiply by
 * the same s, a root that depends on the number of the block alone. Forward transforms leave their
 * result in bit-reversed order and the inverse takes it so; both recurse into halves, which keeps
 * the working set in the caches from some depth on.
 */
#include "base/ntt.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef unsigned __int128 u128;

#define PRIME UINT64_C(0xffffffff00000001)
#define EPSILON UINT64_C(0xffffffff) /* 2^64 mod p */
#define GENERATOR 7

#define DIGITS_PER_LIMB 4
#define MAX_LEVEL 32
#define LOW_BITS 12         /* of a block number: roots of those and of the rest are multiplied */
#define SMALL_LEVEL 12      /* 32 kB: done level by level */
#define CANCEL_MIN_LEVEL 16 /* smaller parts take less than a few milliseconds */

/*
 * Root of block k: the product over the set bits j of k of a root of order 2^(j + 2). For the
 * inverse transform these are inverse roots.
 */
struct roots {
    uint64_t low[1 << LOW_BITS];
    uint64_t *high; /* of k >> LOW_BITS */
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

enum direction { FORWARD, INVERSE };

/* table[a] = root of block a << shift for all a below 2^bits. */
static void fill_table(uint64_t *table, unsigned bits, unsigned shift, enum direction dir)
{
    table[0] = 1;
    for (unsigned j = 0; j < bits; j++) {
        uint64_t w = root_of_order(j + shift + 2);
        if (dir == INVERSE)
            w = mod_pow(w, PRIME - 2);
        for (size_t i = 0; i < (size_t)1 << j; i++)
            table[((size_t)1 << j) + i] = mod_mul(table[i], w);
    }
}

static struct roots *roots_new(unsigned level, enum direction dir)
{
    unsigned high_bits = level > LOW_BITS ? level - LOW_BITS : 0;
    struct roots *t = (struct roots *)try_alloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->high = (uint64_t *)try_alloc((size_t)1 << high_bits, sizeof(*t->high));
    if (!t->high) {
        free(t);
        return NULL;
    }
    fill_table(t->low, LOW_BITS, 0, dir);
    fill_table(t->high, high_bits, LOW_BITS, dir);
    return t;
}

static void roots_free(struct roots *t)
{
    free(t->high);
    free(t);
}

static uint64_t root_of_block(const struct roots *t, size_t k)
{
    return mod_mul(t->low[k & ((1 << LOW_BITS) - 1)], t->high[k >> LOW_BITS]);
}

static void split_block(uint64_t *x, size_t half, uint64_t s)
{
    for (size_t i = 0; i < half; i++) {
        uint64_t a = x[i], b = mod_mul(x[i + half], s);
        x[i] = mod_add(a, b);
        x[i + half] = mod_sub(a, b);
    }
}

static void join_block(uint64_t *x, size_t half, uint64_t inverse_s)
{
    for (size_t i = 0; i < half; i++) {
        uint64_t a = x[i], b = x[i + half];
        x[i] = mod_add(a, b);
        x[i + half] = mod_mul(mod_sub(a, b), inverse_s);
    }
}

/* Block k of 2^level values, all its levels; depth d has 2^d blocks. */
static void forward_small(const struct roots *t, uint64_t *x, unsigned level, size_t k)
{
    for (unsigned d = 0; d < level; d++) {
        uint64_t base = root_of_block(t, k << d);
        for (size_t j = 0; j < (size_t)1 << d; j++)
            split_block(x + (j << (level - d)), (size_t)1 << (level - 1 - d),
                        mod_mul(base, t->low[j]));
    }
}

static void inverse_small(const struct roots *t, uint64_t *x, unsigned level, size_t k)
{
    for (unsigned d = level; d-- > 0;) {
        uint64_t base = root_of_block(t, k << d);
        for (size_t j = 0; j < (size_t)1 << d; j++)
            join_block(x + (j << (level - d)), (size_t)1 << (level - 1 - d),
                       mod_mul(base, t->low[j]));
    }
}

/* A cancelled transform leaves garbage; whoever called it looks at the token again. */
static void forward(const struct roots *t, uint64_t *x, unsigned level, size_t k,
                    const struct cancel *cancel)
{
    size_t half = (size_t)1 << (level - 1);

    if (level <= SMALL_LEVEL) {
        forward_small(t, x, level, k);
        return;
    }
    if (level >= CANCEL_MIN_LEVEL && cancelled(cancel))
        return;
    split_block(x, half, root_of_block(t, k));
    forward(t, x, level - 1, 2 * k, cancel);
    forward(t, x + half, level - 1, 2 * k + 1, cancel);
}

static void inverse(const struct roots *t, uint64_t *x, unsigned level, size_t k,
                    const struct cancel *cancel)
{
    size_t half = (size_t)1 << (level - 1);

    if (level <= SMALL_LEVEL) {
        inverse_small(t, x, level, k);
        return;
    }
    if (level >= CANCEL_MIN_LEVEL && cancelled(cancel))
        return;
    inverse(t, x, level - 1, 2 * k, cancel);
    inverse(t, x + half, level - 1, 2 * k + 1, cancel);
    join_block(x, half, root_of_block(t, k));
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

static unsigned level_for(size_t digits)
{
    unsigned level = 1;

    while (((size_t)1 << level) < digits)
        level++;
    return level;
}

/* x and y hold digits (y may be x); x = their product, scaled by 2^level. */
static enum err convolve(uint64_t *x, uint64_t *y, unsigned level, const struct cancel *cancel)
{
    struct roots *t = roots_new(level, FORWARD);

    if (!t)
        return ERR_NOMEM;
    forward(t, x, level, 0, cancel);
    if (y != x)
        forward(t, y, level, 0, cancel);
    roots_free(t);
    if (cancelled(cancel))
        return ERR_CANCELLED;
    for (size_t i = 0; i < (size_t)1 << level; i++)
        x[i] = mod_mul(x[i], y[i]);
    t = roots_new(level, INVERSE);
    if (!t)
        return ERR_NOMEM;
    inverse(t, x, level, 0, cancel);
    roots_free(t);
    return cancelled(cancel) ? ERR_CANCELLED : OK;
}

size_t ntt_piece(size_t bn)
{
    return (((size_t)1 << level_for(DIGITS_PER_LIMB * 2 * bn)) / DIGITS_PER_LIMB) - bn;
}

enum err ntt_mul(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                 const struct cancel *cancel)
{
    unsigned level = level_for(DIGITS_PER_LIMB * (an + bn));
    enum err rc = ERR_NOMEM;

    if (level > MAX_LEVEL)
        return ERR_NOMEM;
    uint64_t *x = (uint64_t *)try_alloc((size_t)1 << level, sizeof(*x));
    uint64_t *y = x; /* a square needs one transform less */
    if (a != b || an != bn)
        y = (uint64_t *)try_alloc((size_t)1 << level, sizeof(*y));
    if (x && y) {
        load_digits(x, (size_t)1 << level, a, an);
        if (y != x)
            load_digits(y, (size_t)1 << level, b, bn);
        rc = convolve(x, y, level, cancel);
    }
    if (!rc)
        store_digits(r, an + bn, x, mod_pow(((uint64_t)1 << level) % PRIME, PRIME - 2));
    if (y != x)
        free(y);
    free(x);
    return rc;
}

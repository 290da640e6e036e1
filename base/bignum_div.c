/*
 * Long division by halves (after Burnikel and Ziegler): the quotient's upper half comes from the
 * upper parts of both numbers, is corrected by a product with the divisor's lower part, and the
 * lower half follows the same way. Time is that of a few multiplications.
 */
#include "base/limbs.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef unsigned __int128 u128;

#define RECURSIVE_MIN 56 /* quotients shorter than this are made limb by limb */

/* Estimate of one quotient limb from the top three limbs of the rest; never too small. */
static uint64_t guess_limb(uint64_t r2, uint64_t r1, uint64_t r0, uint64_t b1, uint64_t b0)
{
    u128 top = (u128)r2 << 64 | r1;
    u128 guess, rest;

    if (r2 >= b1) {
        guess = UINT64_MAX;
        rest = top - guess * b1;
    } else {
        guess = top / b1;
        rest = top % b1;
    }
    while (rest >> 64 == 0 && (uint64_t)guess * (u128)b0 > (rest << 64 | r0)) {
        guess--;
        rest += b1;
    }
    return (uint64_t)guess;
}

/*
 * k quotient limbs of w[bn + k] by b[bn], schoolbook; the remainder is left in w[0..bn). The upper
 * bn limbs of w are below b.
 */
static void div_limbwise(uint64_t *q, size_t k, uint64_t *w, const uint64_t *b, size_t bn)
{
    uint64_t b1 = b[bn - 1], b0 = bn > 1 ? b[bn - 2] : 0;

    for (size_t i = k; i-- > 0;) {
        uint64_t *rest = w + i; /* bn + 1 limbs */
        uint64_t below = bn > 1 ? rest[bn - 2] : 0;
        uint64_t guess = guess_limb(rest[bn], rest[bn - 1], below, b1, b0);
        uint64_t borrow = limbs_submul_1(rest, b, bn, guess);
        uint64_t top = rest[bn];

        rest[bn] = top - borrow;
        if (top < borrow) {
            guess--;
            rest[bn] += limbs_add_n(rest, rest, b, bn);
        }
        q[i] = guess;
    }
}

void limbs_div_base(uint64_t *q, uint64_t *a, size_t an, const uint64_t *b, size_t bn)
{
    div_limbwise(q, an - bn + 1, a, b, bn);
}

static void subtract_one(uint64_t *q)
{
    while ((*q++)-- == 0)
        ;
}

static enum err div_chunk(uint64_t *q, size_t k, uint64_t *w, const uint64_t *b, size_t bn,
                          const struct cancel *cancel);

/* k = bn: the two halves of the quotient one after the other. */
static enum err div_halves(uint64_t *q, size_t k, uint64_t *w, const uint64_t *b,
                           const struct cancel *cancel)
{
    size_t lower = k / 2;
    enum err rc = div_chunk(q + lower, k - lower, w + lower, b, k, cancel);

    return rc ? rc : div_chunk(q, lower, w, b, k, cancel);
}

/*
 * k < bn: quotient of the upper 2k limbs by the upper k limbs of b, then the product with the
 * lower part of b is taken off. Too large by 2 at most, since b's top bit is set.
 */
static enum err div_short(uint64_t *q, size_t k, uint64_t *w, const uint64_t *b, size_t bn,
                          const struct cancel *cancel)
{
    size_t low = bn - k;
    const uint64_t *b_high = b + low;
    uint64_t *w_high = w + low; /* 2k limbs */
    uint64_t *product = (uint64_t *)try_alloc(bn, sizeof(*product));
    int64_t top = 0; /* limb above the remainder, negative after a borrow */
    enum err rc = OK;

    if (!product)
        return ERR_NOMEM;
    if (limbs_cmp_n(w_high + k, b_high, k) < 0) {
        rc = div_chunk(q, k, w_high, b_high, k, cancel);
    } else { /* equal: the largest quotient there is, and w - q b = w_low + b */
        memset(q, 0xff, k * sizeof(*q));
        top = (int64_t)limbs_add_n(w_high, w_high, b_high, k);
    }
    if (!rc)
        rc = limbs_mul(product, q, k, b, low, cancel);
    if (!rc) {
        top -= (int64_t)limbs_sub_n(w, w, product, bn);
        while (top < 0) {
            subtract_one(q);
            top += (int64_t)limbs_add_n(w, w, b, bn);
        }
    }
    free(product);
    return rc;
}

/* As div_limbwise, for k <= bn, choosing the way by length. */
static enum err div_chunk(uint64_t *q, size_t k, uint64_t *w, const uint64_t *b, size_t bn,
                          const struct cancel *cancel)
{
    if (k < RECURSIVE_MIN) {
        div_limbwise(q, k, w, b, bn);
        return OK;
    }
    if (cancelled(cancel))
        return ERR_CANCELLED;
    return k == bn ? div_halves(q, k, w, b, cancel) : div_short(q, k, w, b, bn, cancel);
}

enum err limbs_div(uint64_t *q, uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                   const struct cancel *cancel)
{
    size_t left = an - bn + 1; /* quotient limbs still to come, upper ones first */

    if (cancelled(cancel))
        return ERR_CANCELLED;
    while (left > 0) {
        size_t k = left % bn ? left % bn : bn;
        left -= k;
        enum err rc = div_chunk(q + left, k, a + left, b, bn, cancel);
        if (rc)
            return rc;
        if (cancelled(cancel))
            return ERR_CANCELLED;
    }
    return OK;
}

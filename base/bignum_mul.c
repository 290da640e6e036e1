/*
 * Products by length of the shorter factor: schoolbook, Karatsuba, transform. The longer factor is
 * cut into pieces as long as the shorter one, or as fill a transform.
 */
#include "base/limbs.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/ntt.h"

#define KARATSUBA_MIN 32
#define TRANSFORM_MIN 2560

void limbs_mul_base(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn)
{
    memset(r, 0, (an + bn) * sizeof(*r));
    for (size_t i = 0; i < bn; i++)
        r[an + i] = limbs_addmul_1(r + i, a, an, b[i]);
}

/* r = |lo - hi| over h limbs, hi having n - h; true when the difference is negative. */
static bool abs_diff(uint64_t *r, const uint64_t *x, size_t h, size_t n)
{
    const uint64_t *hi = x + h;
    size_t hi_n = n - h;
    bool less = limbs_normalize(x + hi_n, h - hi_n) == 0 && limbs_cmp_n(x, hi, hi_n) < 0;

    if (less) {
        limbs_sub_n(r, hi, x, hi_n);
        memset(r + hi_n, 0, (h - hi_n) * sizeof(*r));
    } else {
        limbs_sub(r, x, h, hi, hi_n);
    }
    return less;
}

/* Limbs of work space karatsuba needs for n. */
static size_t karatsuba_space(size_t n)
{
    return 8 * n + 64;
}

/*
 * With a = a1 B + a0: the middle term a0 b1 + a1 b0 is a0 b0 + a1 b1 - (a0 - a1)(b0 - b1), so
 * three products of half length make one.
 */
static void karatsuba(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n, uint64_t *space)
{
    if (n < KARATSUBA_MIN) {
        limbs_mul_base(r, a, n, b, n);
        return;
    }
    size_t h = n - n / 2, hi = n / 2;
    uint64_t *da = space, *db = space + h, *mid = space + 2 * h, *rest = space + 4 * h;
    bool negative = abs_diff(da, a, h, n) != abs_diff(db, b, h, n);

    karatsuba(mid, da, db, h, rest);
    karatsuba(r, a, b, h, rest);
    karatsuba(r + 2 * h, a + h, b + h, hi, rest);
    /* sum = a0 b0 + a1 b1 -+ mid, in 2h limbs and a carry */
    uint64_t *sum = space; /* the differences are done with; mid follows them */
    int64_t carry = (int64_t)limbs_add(sum, r, 2 * h, r + 2 * h, 2 * hi);
    if (negative)
        carry += (int64_t)limbs_add_n(sum, sum, mid, 2 * h);
    else
        carry -= (int64_t)limbs_sub_n(sum, sum, mid, 2 * h);
    uint64_t top = (uint64_t)carry + limbs_add_n(r + h, r + h, sum, 2 * h);
    for (size_t i = 3 * h; top > 0 && i < 2 * n; i++) {
        r[i] += top;
        top = r[i] < top;
    }
}

static enum err mul_equal(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n)
{
    uint64_t *space = (uint64_t *)try_alloc(karatsuba_space(n), sizeof(*space));

    if (!space)
        return ERR_NOMEM;
    karatsuba(r, a, b, n, space);
    free(space);
    return OK;
}

/* r += piece at offset limbs; the sum is known to fit. */
static void add_at(uint64_t *r, size_t rn, size_t offset, const uint64_t *piece, size_t n)
{
    uint64_t carry = limbs_add_n(r + offset, r + offset, piece, n);

    for (size_t i = offset + n; carry > 0 && i < rn; i++) {
        r[i] += carry;
        carry = r[i] == 0;
    }
}

/* a in pieces of `step` limbs, the last one shorter. */
static enum err mul_pieces(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                           size_t step, const struct cancel *cancel)
{
    uint64_t *piece = (uint64_t *)try_alloc(step + bn, sizeof(*piece));
    enum err rc = piece ? OK : ERR_NOMEM;

    if (!rc)
        memset(r, 0, (an + bn) * sizeof(*r));
    for (size_t from = 0; from < an && !rc; from += step) {
        size_t n = an - from < step ? an - from : step;
        rc = limbs_mul(piece, a + from, n, b, bn, cancel);
        if (!rc)
            add_at(r, an + bn, from, piece, n + bn);
    }
    free(piece);
    return rc;
}

enum err limbs_mul(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                   const struct cancel *cancel)
{
    if (cancelled(cancel))
        return ERR_CANCELLED;
    if (an < bn)
        return limbs_mul(r, b, bn, a, an, cancel);
    if (bn < KARATSUBA_MIN) {
        limbs_mul_base(r, a, an, b, bn);
        return OK;
    }
    if (bn >= TRANSFORM_MIN) {
        size_t step = ntt_piece(bn);
        return an <= step ? ntt_mul(r, a, an, b, bn, cancel)
                          : mul_pieces(r, a, an, b, bn, step, cancel);
    }
    if (an == bn)
        return mul_equal(r, a, b, an);
    return mul_pieces(r, a, an, b, bn, bn, cancel);
}

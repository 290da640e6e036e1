#include "base/bignum.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limbs.h"
#include "base/mem.h"

void bignum_clear(struct bignum *a)
{
    free(a->limb);
    *a = (struct bignum){ 0 };
}

/* n uninitialised limbs; at least one, so that NULL always means failure. */
static enum err bignum_alloc(struct bignum *r, size_t n)
{
    *r = (struct bignum){ .limb = (uint64_t *)try_alloc(n ? n : 1, sizeof(uint64_t)) };
    if (!r->limb)
        return ERR_NOMEM;
    r->n = n;
    return OK;
}

static void bignum_trim(struct bignum *r)
{
    r->n = limbs_normalize(r->limb, r->n);
    if (r->n == 0)
        r->negative = false;
}

static enum err bignum_finish(struct bignum *r, bool negative, enum err rc)
{
    if (rc) {
        bignum_clear(r);
        return rc;
    }
    r->negative = negative;
    bignum_trim(r);
    return OK;
}

enum err bignum_set_i64(struct bignum *r, int64_t v)
{
    enum err rc = bignum_alloc(r, 1);

    if (rc)
        return rc;
    r->limb[0] = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    return bignum_finish(r, v < 0, OK);
}

bool bignum_get_i64(const struct bignum *a, int64_t *out)
{
    if (a->n > 1 || (a->n == 1 && a->limb[0] > INT64_MAX))
        return false;
    *out = a->n == 0 ? 0 : (int64_t)a->limb[0];
    if (a->negative)
        *out = -*out;
    return true;
}

enum err bignum_read_le(struct bignum *r, const uint8_t *bytes, size_t len)
{
    bool negative = len > 0 && (bytes[len - 1] & 0x80);
    enum err rc = bignum_alloc(r, len / 8 + 1);

    if (rc)
        return rc;
    for (size_t i = 0; i < len / 8; i++)
        r->limb[i] = le64_get(bytes + 8 * i);
    r->limb[len / 8] = 0;
    for (size_t i = len / 8 * 8; i < len; i++)
        r->limb[len / 8] |= (uint64_t)bytes[i] << 8 * (i % 8);
    if (negative)
        r->limb[(len - 1) / 8] &= ~(UINT64_C(0x80) << 8 * ((len - 1) % 8));
    return bignum_finish(r, negative, OK);
}

size_t bignum_size_le(const struct bignum *a)
{
    if (a->n == 0)
        return 0;
    /* one bit more than the magnitude has, for the sign */
    return (a->n - 1) * 8 + (64 - (unsigned)__builtin_clzll(a->limb[a->n - 1])) / 8 + 1;
}

void bignum_write_le(const struct bignum *a, uint8_t *out)
{
    size_t size = bignum_size_le(a);

    if (size == 0)
        return;
    out[size - 1] = 0; /* the sign may need a byte of its own */
    for (size_t i = 0; i < size && i / 8 < a->n; i++)
        out[i] = (uint8_t)(a->limb[i / 8] >> 8 * (i % 8));
    if (a->negative)
        out[size - 1] |= 0x80;
}

static int cmp_magnitude(const struct bignum *a, const struct bignum *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return limbs_cmp_n(a->limb, b->limb, a->n);
}

int bignum_cmp(const struct bignum *a, const struct bignum *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    return a->negative ? cmp_magnitude(b, a) : cmp_magnitude(a, b);
}

/* r = a + b where b's sign is given apart, so that subtraction is the same work. */
static enum err add_signed(struct bignum *r, const struct bignum *a, const struct bignum *b,
                           bool b_negative)
{
    const struct bignum *big = a, *small = b;
    bool negative = a->negative;

    if (cmp_magnitude(a, b) < 0) {
        big = b;
        small = a;
        negative = b_negative;
    }
    enum err rc = bignum_alloc(r, big->n + 1);
    if (rc)
        return rc;
    r->limb[big->n] = 0;
    if (a->negative == b_negative)
        r->limb[big->n] = limbs_add(r->limb, big->limb, big->n, small->limb, small->n);
    else
        limbs_sub(r->limb, big->limb, big->n, small->limb, small->n);
    return bignum_finish(r, negative, OK);
}

enum err bignum_add(struct bignum *r, const struct bignum *a, const struct bignum *b)
{
    return add_signed(r, a, b, b->negative);
}

enum err bignum_sub(struct bignum *r, const struct bignum *a, const struct bignum *b)
{
    return add_signed(r, a, b, !b->negative);
}

enum err bignum_mul(struct bignum *r, const struct bignum *a, const struct bignum *b,
                    const struct cancel *cancel)
{
    bool zero = a->n == 0 || b->n == 0;
    enum err rc = bignum_alloc(r, zero ? 0 : a->n + b->n);

    if (rc || zero)
        return rc;
    rc = limbs_mul(r->limb, a->limb, a->n, b->limb, b->n, cancel);
    return bignum_finish(r, a->negative != b->negative, rc);
}

static enum err bignum_copy(struct bignum *r, const struct bignum *a)
{
    enum err rc = bignum_alloc(r, a->n);

    if (rc)
        return rc;
    if (a->n > 0)
        memcpy(r->limb, a->limb, a->n * sizeof(*a->limb));
    return bignum_finish(r, a->negative, OK);
}

/* quotient, work (dividend, then remainder) and divisor shifted so that its top bit is set */
static enum err divide(struct bignum *quotient, struct bignum *work, const struct bignum *a,
                       const struct bignum *b, const struct cancel *cancel)
{
    unsigned shift = (unsigned)__builtin_clzll(b->limb[b->n - 1]);
    struct bignum divisor = { 0 };
    enum err rc = bignum_alloc(&divisor, b->n);

    if (!rc)
        rc = bignum_alloc(work, a->n + 2);
    if (!rc)
        rc = bignum_alloc(quotient, a->n + 1 - b->n + 1);
    if (!rc) {
        limbs_shl(divisor.limb, b->limb, b->n, shift);
        work->limb[a->n] = limbs_shl(work->limb, a->limb, a->n, shift);
        work->limb[a->n + 1] = 0;
        rc = limbs_div(quotient->limb, work->limb, a->n + 1, divisor.limb, b->n, cancel);
    }
    if (!rc) {
        limbs_shr(work->limb, work->limb, b->n, shift);
        work->n = b->n;
    }
    bignum_clear(&divisor);
    return rc;
}

enum err bignum_divmod(struct bignum *q, struct bignum *r, const struct bignum *a,
                       const struct bignum *b, const struct cancel *cancel)
{
    struct bignum quotient = { 0 }, rest = { 0 };
    bool negative = a->negative != b->negative;
    enum err rc;

    if (a->n < b->n)
        rc = bignum_copy(&rest, a);
    else
        rc = divide(&quotient, &rest, a, b, cancel);
    if (rc) {
        bignum_clear(&quotient);
        bignum_clear(&rest);
    } else {
        rc = bignum_finish(&quotient, negative, OK);
        if (!rc)
            rc = bignum_finish(&rest, a->negative, OK);
    }
    if (q)
        *q = quotient;
    else
        bignum_clear(&quotient);
    if (r)
        *r = rest;
    else
        bignum_clear(&rest);
    return rc;
}

enum err bignum_shl(struct bignum *r, const struct bignum *a, uint64_t bits)
{
    size_t limbs = (size_t)(bits / 64);

    if (a->n == 0)
        return bignum_alloc(r, 0);
    enum err rc = limbs < SIZE_MAX / 2 ? bignum_alloc(r, a->n + limbs + 1) : ERR_NOMEM;
    if (rc)
        return rc;
    memset(r->limb, 0, limbs * sizeof(*r->limb));
    r->limb[a->n + limbs] = limbs_shl(r->limb + limbs, a->limb, a->n, (unsigned)(bits % 64));
    return bignum_finish(r, a->negative, OK);
}

enum err bignum_shr(struct bignum *r, const struct bignum *a, uint64_t bits)
{
    uint64_t limbs = bits / 64;

    if (limbs >= a->n)
        return bignum_alloc(r, 0);
    enum err rc = bignum_alloc(r, a->n - (size_t)limbs);
    if (rc)
        return rc;
    limbs_shr(r->limb, a->limb + limbs, a->n - (size_t)limbs, (unsigned)(bits % 64));
    return bignum_finish(r, a->negative, OK);
}

#include "base/limbs.h"

typedef unsigned __int128 u128;

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

void limbs_div_base(uint64_t *q, uint64_t *a, size_t an, const uint64_t *b, size_t bn)
{
    uint64_t b1 = b[bn - 1], b0 = bn > 1 ? b[bn - 2] : 0;

    for (size_t i = an - bn + 1; i-- > 0;) {
        uint64_t *rest = a + i; /* bn + 1 limbs */
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

enum err limbs_div(uint64_t *q, uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                   const struct cancel *cancel)
{
    if (cancelled(cancel))
        return ERR_CANCELLED;
    limbs_div_base(q, a, an, b, bn);
    return OK;
}

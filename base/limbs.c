#include "base/limbs.h"

#include <string.h>

typedef unsigned __int128 u128;

uint64_t limbs_add_n(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n)
{
    unsigned long long carry = 0;

    for (size_t i = 0; i < n; i++) {
        u128 sum = (u128)a[i] + b[i] + carry;
        r[i] = (uint64_t)sum;
        carry = (unsigned long long)(sum >> 64);
    }
    return carry;
}

uint64_t limbs_sub_n(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n)
{
    uint64_t borrow = 0;

    for (size_t i = 0; i < n; i++) {
        u128 diff = (u128)a[i] - b[i] - borrow;
        r[i] = (uint64_t)diff;
        borrow = (uint64_t)(diff >> 64) & 1;
    }
    return borrow;
}

uint64_t limbs_add(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn)
{
    uint64_t carry = limbs_add_n(r, a, b, bn);

    for (size_t i = bn; i < an; i++) {
        r[i] = a[i] + carry;
        carry = r[i] < carry;
    }
    return carry;
}

uint64_t limbs_sub(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn)
{
    uint64_t borrow = limbs_sub_n(r, a, b, bn);

    for (size_t i = bn; i < an; i++) {
        uint64_t limb = a[i];
        r[i] = limb - borrow;
        borrow = limb < borrow;
    }
    return borrow;
}

uint64_t limbs_addmul_1(uint64_t *r, const uint64_t *a, size_t n, uint64_t m)
{
    uint64_t carry = 0;

    for (size_t i = 0; i < n; i++) {
        u128 sum = (u128)a[i] * m + r[i] + carry;
        r[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

uint64_t limbs_submul_1(uint64_t *r, const uint64_t *a, size_t n, uint64_t m)
{
    uint64_t borrow = 0;

    for (size_t i = 0; i < n; i++) {
        u128 product = (u128)a[i] * m + borrow;
        uint64_t low = (uint64_t)product;
        borrow = (uint64_t)(product >> 64) + (r[i] < low);
        r[i] -= low;
    }
    return borrow;
}

int limbs_cmp_n(const uint64_t *a, const uint64_t *b, size_t n)
{
    while (n-- > 0)
        if (a[n] != b[n])
            return a[n] < b[n] ? -1 : 1;
    return 0;
}

size_t limbs_normalize(const uint64_t *a, size_t n)
{
    while (n > 0 && a[n - 1] == 0)
        n--;
    return n;
}

uint64_t limbs_shl(uint64_t *r, const uint64_t *a, size_t n, unsigned bits)
{
    uint64_t out = 0;

    if (bits == 0) {
        memmove(r, a, n * sizeof(*r));
        return 0;
    }
    if (n > 0)
        out = a[n - 1] >> (64 - bits);
    for (size_t i = n; i-- > 1;)
        r[i] = a[i] << bits | a[i - 1] >> (64 - bits);
    if (n > 0)
        r[0] = a[0] << bits;
    return out;
}

uint64_t limbs_shr(uint64_t *r, const uint64_t *a, size_t n, unsigned bits)
{
    uint64_t out = 0;

    if (bits == 0) {
        memmove(r, a, n * sizeof(*r));
        return 0;
    }
    if (n > 0)
        out = a[0] << (64 - bits);
    for (size_t i = 0; i + 1 < n; i++)
        r[i] = a[i] >> bits | a[i + 1] << (64 - bits);
    if (n > 0)
        r[n - 1] = a[n - 1] >> bits;
    return out;
}

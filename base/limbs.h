/*
 * Arithmetic on magnitudes: arrays of 64-bit limbs, least significant first. Internal to bignum*.c
 * and its tests. Unless said otherwise results may not overlap operands.
 */
#ifndef BASE_LIMBS_H
#define BASE_LIMBS_H

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"

/* r = a + b over n limbs, returns the carry; r may be a or b. */
uint64_t limbs_add_n(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n);
uint64_t limbs_sub_n(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n);
/* r = a +- b, an >= bn; returns the carry or borrow; r may be a. */
uint64_t limbs_add(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn);
uint64_t limbs_sub(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn);
/* r += a * m and r -= a * m over n limbs, return the limb that leaves. */
uint64_t limbs_addmul_1(uint64_t *r, const uint64_t *a, size_t n, uint64_t m);
uint64_t limbs_submul_1(uint64_t *r, const uint64_t *a, size_t n, uint64_t m);
int limbs_cmp_n(const uint64_t *a, const uint64_t *b, size_t n);
/* Length without zero limbs at the top. */
size_t limbs_normalize(const uint64_t *a, size_t n);
/* Shift by 1..63 bits (0 copies); returns the bits that leave. r may be a. */
uint64_t limbs_shl(uint64_t *r, const uint64_t *a, size_t n, unsigned bits);
uint64_t limbs_shr(uint64_t *r, const uint64_t *a, size_t n, unsigned bits);

/* r[an + bn] = a * b; an, bn >= 1 in any order. */
enum err limbs_mul(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                   const struct cancel *cancel) MUST_CHECK;

/* Schoolbook product, quadratic: the base case, and what tests compare with. */
void limbs_mul_base(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn);

/*
 * q[an - bn + 1] = a / b, and the remainder is left in a[0..bn). The top bit of b is set, an >= bn,
 * and a has one further limb a[an] = 0 to work in.
 */
enum err limbs_div(uint64_t *q, uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                   const struct cancel *cancel) MUST_CHECK;

/* The quadratic division behind it; same contract. */
void limbs_div_base(uint64_t *q, uint64_t *a, size_t an, const uint64_t *b, size_t bn);

#endif

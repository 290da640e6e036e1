/*
 * Product of two long magnitudes by a number-theoretic transform: time nearly linear in the length
 * of the product. Internal to bignum_mul.c and its tests.
 */
#ifndef BASE_NTT_H
#define BASE_NTT_H

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"

/* r[an + bn] = a * b; an, bn >= 1. Needs about eight times the product's size for a while. */
enum err ntt_mul(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                 const struct cancel *cancel) MUST_CHECK;

/*
 * The longest factor whose product with one of bn limbs takes no larger transform than the product
 * of two of bn limbs does: at least bn. Longer factors are best cut into pieces of this length.
 */
size_t ntt_piece(size_t bn);

#endif

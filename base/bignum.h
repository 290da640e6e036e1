/*
 * Signed integers of any length, for script numbers (spec consensus 4.6). Sub-quadratic
 * multiplication and division, because operands of 32 MB are legal there; both look at a cancel
 * token every few milliseconds.
 *
 * A struct bignum is zero-initialised or set by a function below, and cleared by its owner. Results
 * never alias operands. OK, ERR_NOMEM or ERR_CANCELLED; after an error the result is zero.
 * One thread at a time for a value; any number of threads for different values.
 */
#ifndef BASE_BIGNUM_H
#define BASE_BIGNUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"

struct bignum {
    uint64_t *limb; /* magnitude, least significant first */
    size_t n;       /* limbs in use: the top one is not 0; zero has none */
    bool negative;  /* never for zero */
};

void bignum_clear(struct bignum *a);

enum err bignum_set_i64(struct bignum *r, int64_t v) MUST_CHECK;
/* False when the value does not fit. */
bool bignum_get_i64(const struct bignum *a, int64_t *out);

/* Little-endian sign and magnitude, the sign in the top bit of the last byte; padding is fine. */
enum err bignum_read_le(struct bignum *r, const uint8_t *bytes, size_t len) MUST_CHECK;
/* Bytes of the shortest such form, and the form itself. */
size_t bignum_size_le(const struct bignum *a);
void bignum_write_le(const struct bignum *a, uint8_t *out);

/* -1, 0, 1 as a is below, equal to, above b. */
int bignum_cmp(const struct bignum *a, const struct bignum *b);
enum err bignum_add(struct bignum *r, const struct bignum *a, const struct bignum *b) MUST_CHECK;
enum err bignum_sub(struct bignum *r, const struct bignum *a, const struct bignum *b) MUST_CHECK;
enum err bignum_mul(struct bignum *r, const struct bignum *a, const struct bignum *b,
                    const struct cancel *cancel) MUST_CHECK;
/* Truncated division: a = q*b + r, r has a's sign. b is not zero. Either result may be NULL. */
enum err bignum_divmod(struct bignum *q, struct bignum *r, const struct bignum *a,
                       const struct bignum *b, const struct cancel *cancel) MUST_CHECK;
/* a * 2^bits, and a / 2^bits toward zero. */
enum err bignum_shl(struct bignum *r, const struct bignum *a, uint64_t bits) MUST_CHECK;
enum err bignum_shr(struct bignum *r, const struct bignum *a, uint64_t bits) MUST_CHECK;

#endif

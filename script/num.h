/*
 * Script numbers (spec consensus 4.6): little-endian sign and magnitude, any length up to the
 * limit of the era. Values that fit are held in an int64, others in a bignum; results are always
 * in the smaller form. The owner clears a num after use. One thread.
 */
#ifndef SCRIPT_NUM_H
#define SCRIPT_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bignum.h"
#include "base/bytes.h"
#include "base/cancel.h"
#include "script/error.h"

#define SCRIPT_NUM_ORIGINAL_BYTES 4 /* operands before Genesis, and counts of CHECKMULTISIG ever */

struct num {
    bool is_big;
    int64_t small;     /* the value unless is_big; never INT64_MIN, which is big */
    struct bignum big; /* owned when is_big */
};

static inline struct num num_of(int64_t v) { return (struct num){ .small = v }; }
static inline void num_clear(struct num *n)
{
    if (n->is_big)
        bignum_clear(&n->big);
}

enum num_encoding { NUM_ANY, NUM_MINIMAL };

bool num_bytes_are_minimal(struct span bytes);
/* Rewrites bytes in place to the shortest form of the same number; returns the new length. */
size_t num_bytes_minimize(uint8_t *bytes, size_t len);

/* SCRIPTNUM_OVERFLOW when longer than max_len, SCRIPTNUM_MINENCODE, or NOMEM. */
enum script_err num_read(struct num *n, struct span bytes, uint64_t max_len, enum num_encoding e);

/* The same for operands that are decoded to 64 bits whatever their length (max_len <= 8). */
enum script_err num_read_i64(int64_t *v, struct span bytes, uint64_t max_len, enum num_encoding e);

/*
 * The 64-bit decoder applied to operands of any length, as SUBSTR, LEFT and RIGHT do in the
 * reference: beyond 8 bytes the sign and last byte are ignored and the others are ORed at shifts
 * taken modulo 64 (spec consensus 4.6, first hazard).
 */
int64_t num_decode_wrapping(struct span bytes);

size_t num_size(const struct num *n);              /* bytes of the shortest form */
void num_write(const struct num *n, uint8_t *out); /* that form */

/* Encodes v; returns the length, at most 9. */
size_t num_encode_i64(uint8_t out[9], int64_t v);

int num_cmp(const struct num *a, const struct num *b);
static inline bool num_is_zero(const struct num *n) { return !n->is_big && n->small == 0; }
static inline bool num_is_negative(const struct num *n)
{
    return n->is_big ? n->big.negative : n->small < 0;
}
/* The value where it lies in lo..hi, else the nearer bound. */
int64_t num_clamp(const struct num *n, int64_t lo, int64_t hi);

/* r is overwritten and may not be an operand. OK, NOMEM, CANCELLED. */
enum script_err num_add(struct num *r, const struct num *a, const struct num *b);
enum script_err num_sub(struct num *r, const struct num *a, const struct num *b);
/* BIG_INT for the pairs the reference's library refuses (spec consensus 4.6, second hazard). */
enum script_err num_mul(struct num *r, const struct num *a, const struct num *b,
                        const struct cancel *cancel);
/* Truncated; b is not zero. */
enum script_err num_div(struct num *r, const struct num *a, const struct num *b,
                        const struct cancel *cancel);
enum script_err num_mod(struct num *r, const struct num *a, const struct num *b,
                        const struct cancel *cancel);
enum script_err num_negate(struct num *r, const struct num *a);
enum script_err num_shl(struct num *r, const struct num *a, uint64_t bits);
enum script_err num_shr(struct num *r, const struct num *a, uint64_t bits); /* toward zero */

/* False when the product is certain to need more than max_len bytes: it need not be computed. */
bool num_mul_may_fit(const struct num *a, const struct num *b, uint64_t max_len);

#endif

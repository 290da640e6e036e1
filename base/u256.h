/*
 * Unsigned 256-bit integers for targets and chain work; arithmetic wraps like the reference's.
 * Limbs are little-endian. Compact form ("bits") per spec consensus 2.1. Pure functions, any
 * thread.
 */
#ifndef BASE_U256_H
#define BASE_U256_H

#include <stdbool.h>
#include <stdint.h>

struct u256 { uint64_t limb[4]; };

struct u256 u256_from_u64(uint64_t v);
/* From 32 bytes, least significant first (a hash in internal order), and back. */
struct u256 u256_from_le(const uint8_t bytes[32]);
void u256_to_le(uint8_t bytes[32], const struct u256 *a);
/* Up to 64 hex digits, most significant first. */
bool u256_from_hex(struct u256 *out, const char *hex);
char *u256_to_hex(char out[65], const struct u256 *a); /* 64 digits */

int u256_cmp(const struct u256 *a, const struct u256 *b);
bool u256_is_zero(const struct u256 *a);
struct u256 u256_add(const struct u256 *a, const struct u256 *b);
struct u256 u256_sub(const struct u256 *a, const struct u256 *b);
struct u256 u256_mul_u64(const struct u256 *a, uint64_t m);
/* Division by zero gives zero. */
struct u256 u256_div(const struct u256 *a, const struct u256 *b);
struct u256 u256_shl(const struct u256 *a, unsigned bits);
struct u256 u256_shr(const struct u256 *a, unsigned bits);
struct u256 u256_not(const struct u256 *a);
unsigned u256_bits(const struct u256 *a); /* position of the highest set bit + 1 */
double u256_to_double(const struct u256 *a); /* for display only */

struct u256 u256_from_compact(uint32_t bits, bool *negative, bool *overflow);
uint32_t u256_to_compact(const struct u256 *a);

#endif

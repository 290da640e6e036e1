/*
 * 32-byte identifiers as distinct types, so that the compiler catches a swap. Bytes are in internal
 * (wire) order; text is in display order, reversed. Pure functions, any thread.
 */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct hash256 { uint8_t b[32]; };
struct txid { uint8_t b[32]; };
struct block_hash { uint8_t b[32]; };

struct outpoint {
    struct txid txid;
    uint32_t index;
};

#define HASH_HEX_SIZE 65 /* 64 digits and NUL */

/* Display order; out has HASH_HEX_SIZE bytes. Returns out. */
char *hash_to_hex(char out[HASH_HEX_SIZE], const uint8_t hash[32]);
/* Exactly 64 hex digits in display order. */
bool hash_from_hex(uint8_t out[32], const char *hex);

static inline bool txid_equal(const struct txid *a, const struct txid *b)
{
    return memcmp(a->b, b->b, 32) == 0;
}
static inline bool block_hash_equal(const struct block_hash *a, const struct block_hash *b)
{
    return memcmp(a->b, b->b, 32) == 0;
}
static inline bool outpoint_equal(const struct outpoint *a, const struct outpoint *b)
{
    return a->index == b->index && txid_equal(&a->txid, &b->txid);
}
bool hash_is_zero(const uint8_t hash[32]);
/* Zero txid and index ffffffff: the input of a coinbase. */
bool outpoint_is_null(const struct outpoint *o);
/* For qsort and bsearch of outpoints. */
int outpoint_order(const void *a, const void *b);

#endif

/*
 * Bloom filters as SPV clients load them (BIP37, spec p2p 3: filterload): a set of byte strings
 * with false positives, hashed by MurmurHash3. The client chooses size, number of hashes and tweak,
 * so none of this protects anybody: it only saves him traffic. Not thread safe; the owner clears
 * it.
 */
#ifndef BASE_BLOOM_H
#define BASE_BLOOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define BLOOM_BYTES_MAX 36000
#define BLOOM_HASHES_MAX 50
#define BLOOM_ELEMENT_MAX 520

/* What a match adds to the filter: the output, so that its spending matches too. */
enum bloom_update { BLOOM_UPDATE_NONE, BLOOM_UPDATE_ALL, BLOOM_UPDATE_PUBKEY_ONLY };

struct bloom {
    uint8_t *bits;     /* heap */
    size_t len;        /* bytes; 0: everything matches */
    uint32_t n_hashes, tweak;
    enum bloom_update update;
};

/* Copies the bits, at most BLOOM_BYTES_MAX; flags: the two lowest bits are enum bloom_update, the
 * unassigned value updates nothing. */
void bloom_init(struct bloom *b, struct span bits, uint32_t n_hashes, uint32_t tweak,
                uint8_t flags);
void bloom_clear(struct bloom *b);
void bloom_insert(struct bloom *b, const void *data, size_t len);
bool bloom_contains(const struct bloom *b, const void *data, size_t len);
void bloom_copy(struct bloom *out, const struct bloom *b);
/* Takes the bits of a copy that has grown. */
void bloom_merge(struct bloom *b, const struct bloom *copy);

/* MurmurHash3, 32 bits, little-endian. */
uint32_t murmur3(uint32_t seed, const void *data, size_t len);

#endif

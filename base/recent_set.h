/*
 * Remembers ids of 32 bytes seen lately, in bounded memory: the last n that were added are known
 * for certain, older ones up to 2n, then they are forgotten. An id that never was added is taken
 * for a known one with a chance below 1e-8. Does what rolling bloom filters do in the reference
 * (spec p2p 9) with two cache misses a question instead of twenty.
 *
 * Keyed with a random key (attacks C20). The tables are allocated with the first id. Not thread
 * safe; embedded in its owner.
 */
#ifndef BASE_RECENT_SET_H
#define BASE_RECENT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct recent_set {
    uint32_t *now, *before; /* tables of tags, 0: free; before: the generation that goes next */
    size_t n_each, n;       /* ids of a full generation; of the one being filled */
    size_t mask;            /* slots of a table less one */
    struct siphash_key key;
};

/* n: at most RECENT_SET_MAX. */
#define RECENT_SET_MAX ((size_t)3 << 22)
void recent_set_init(struct recent_set *s, size_t n);
void recent_set_clear(struct recent_set *s); /* frees; can be used again as if new */
void recent_set_reset(struct recent_set *s); /* forgets all, keeps the memory */
/* False when it was known already; it counts as added lately all the same. */
bool recent_set_add(struct recent_set *s, const uint8_t id[32]);
bool recent_set_has(const struct recent_set *s, const uint8_t id[32]);
size_t recent_set_bytes(const struct recent_set *s);

#endif

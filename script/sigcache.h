/*
 * Signatures found valid lately, so that a block does not repeat the work of the mempool. Only
 * valid ones are kept; a lookup that misses costs a verification and nothing else. An entry is a
 * 128-bit keyed hash of digest, key and signature under a key made at start: nobody outside can
 * aim for a collision. Fixed memory, any thread, no locks held across calls.
 */
#ifndef SCRIPT_SIGCACHE_H
#define SCRIPT_SIGCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct sigcache;

struct sigcache_key { uint64_t word[2]; };

/* bytes is the whole budget, at least one row is kept; never NULL. */
struct sigcache *sigcache_new(size_t bytes);
void sigcache_free(struct sigcache *c); /* NULL is fine */

struct sigcache_key sigcache_key_of(const struct sigcache *c, const uint8_t digest[32],
                                    struct span key, struct span sig);
bool sigcache_contains(struct sigcache *c, const struct sigcache_key *k);
void sigcache_add(struct sigcache *c, const struct sigcache_key *k);

struct sigcache_stats {
    uint64_t hits;
    uint64_t misses;
    size_t bytes;    /* of the whole table */
    size_t touched;  /* of these, in use so far: about what is resident */
    size_t capacity; /* entries */
};
struct sigcache_stats sigcache_stats_get(const struct sigcache *c);

#endif

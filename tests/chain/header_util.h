/* Headers for tests: files of real ones, made ones with little work, and chains of bare nodes. */
#ifndef TESTS_CHAIN_HEADER_UTIL_H
#define TESTS_CHAIN_HEADER_UTIL_H

#include <stddef.h>
#include <stdint.h>

#include "chain/header_index.h"

/* A vector file of 80-byte headers (heap array); returns how many. */
size_t headers_load(const char *name, struct block_header **out);
struct block_header header_unhex(const char *hex);
struct block_hash hash_of(const struct block_header *h);

/* A header on prev with valid regtest work; salt tells siblings apart. */
struct block_header header_mine(const struct block_hash *prev, uint32_t time, uint32_t salt);
/* n of them, one a second apart after first_time, on top of prev (heap array). */
struct block_header *headers_mine(const struct block_hash *prev, uint32_t first_time, uint32_t salt,
                                  size_t n);

/* Accepts all and fails the test when one is refused; returns the last node. */
struct header_node *headers_accept(struct header_index *idx, const struct block_header *h,
                                   size_t n);

/*
 * Nodes at consecutive heights, for rules that look at earlier headers: no hash, no proof of work.
 * The first has no parent, so a rule must not look further back than the chain goes.
 */
struct bare_chain {
    struct header_node *nodes;
    size_t n, cap;
    int32_t first_height;
};
void bare_chain_init(struct bare_chain *c, int32_t first_height, size_t cap);
void bare_chain_clear(struct bare_chain *c);
struct header_node *bare_chain_add(struct bare_chain *c, uint32_t time, uint32_t bits);
struct header_node *bare_chain_last(const struct bare_chain *c);
#define STEADY_START 1500000000u
/* n blocks gap seconds apart, all with the same bits; the last is at a height. Room for 4,000 more.
 */
void bare_chain_steady(struct bare_chain *c, int32_t last_height, size_t n, uint32_t gap,
                       uint32_t bits);
/* Bits that a next header gap seconds after the last one needs. */
uint32_t bare_chain_required(const struct bare_chain *c, enum chain_network network, uint32_t gap);
/* The target of bits times a fraction, as bits. */
uint32_t bits_scaled(uint32_t bits, uint64_t times, uint64_t divisor);
/* Bits by the DAA's formula for the work of some blocks of these bits in span seconds. */
uint32_t bits_by_daa(uint32_t bits, uint64_t blocks, uint64_t span);
/* The chain goes back far enough to tell the bits of a next header with this time. */
bool bare_chain_has_look_back(const struct bare_chain *c, const struct chain_params *p,
                              uint32_t time);

#endif

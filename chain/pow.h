/*
 * Proof of work and required difficulty in all eras, spec consensus 2.1 and 2.3.
 * Pure functions over header nodes (header_index.h), any thread.
 */
#ifndef CHAIN_POW_H
#define CHAIN_POW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"
#include "base/u256.h"
#include "chain/params.h"

struct header_node;

/* Target of bits; false when negative, zero, overflowing or easier than the network allows. */
bool pow_target(const struct chain_params *p, uint32_t bits, struct u256 *target);
/* hash <= target of valid bits. */
bool pow_hash_ok(const struct chain_params *p, const struct block_hash *hash, uint32_t bits);
/* What one value of bits means; kept over a run of headers, which mostly share it. */
struct pow_bits {
    uint32_t bits;
    bool valid;          /* as pow_target says; else nothing meets the target */
    struct u256 target, work;
};
void pow_bits_init(struct pow_bits *b, const struct chain_params *p, uint32_t bits);
bool pow_bits_met(const struct pow_bits *b, const struct block_hash *hash);
/* floor((~T)/(T+1)) + 1; zero for invalid bits (spec consensus 2.1). */
struct u256 pow_work_of_bits(uint32_t bits);
/* bits that the block after prev (NULL: none) must have; time: its own, for the 20-minute rule. */
uint32_t pow_required_bits(const struct chain_params *p, const struct header_node *prev,
                           uint32_t time);

#endif

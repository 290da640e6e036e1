/* Rules of one header in its place, spec consensus 2.1, 2.2 and 1.5. Pure functions, any thread. */
#ifndef CHAIN_HEADER_CHECK_H
#define CHAIN_HEADER_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/block.h"
#include "chain/params.h"
#include "chain/pow.h"
#include "chain/verdict.h"

struct header_node;

#define HEADER_MAX_FUTURE_S 7200 /* over the local clock, spec consensus 2.2 item 3 */

/* Proof of work alone: high-hash, score 50. bits: of the header. */
bool header_check_pow(const struct pow_bits *bits, const struct block_hash *hash,
                      struct verdict *v);
/* bits, median time, future limit and version, given the header before. */
bool header_check_context(const struct chain_params *p, const struct header_node *prev,
                          const struct block_header *h, int64_t now, struct verdict *v);
/* A listed height has the listed hash; nothing new forks below highest_passed (-1: none). */
bool header_check_checkpoints(const struct chain_params *p, int32_t height,
                              const struct block_hash *hash, int32_t highest_passed,
                              struct verdict *v);

#endif

/*
 * Makes blocks from templates: coinbase, header, nonce; for generatetoaddress, for miners who want
 * a coinbase from us, and for tests. Any thread.
 *
 * Rules of a coinbase and of header fields: spec consensus 2.2, 3.1 to 3.3.
 */
#ifndef CHAIN_MINER_H
#define CHAIN_MINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "chain/block_template.h"

#define MINER_VERSION 0x20000000 /* no soft fork signalled (spec consensus 2.2 item 4) */

/* What the coinbase of a block with these fees may pay. ERR_RANGE: no amount of money. */
enum err miner_reward(const struct chain_params *p, const struct block_template *t, int64_t *value,
                      struct error *e) MUST_CHECK;
/*
 * Appends a coinbase that pays it all to the script. Two calls never give the same one: it carries
 * a random number, so mining again on the same parent in the same second makes another block.
 */
enum err miner_make_coinbase(const struct chain_params *p, const struct block_template *t,
                             struct span script, struct buf *out, struct error *e) MUST_CHECK;
/* All but the nonce. now: clock, seconds. */
struct block_header miner_make_header(const struct chain_params *p, const struct block_template *t,
                                      const struct txid *coinbase, int64_t now);
/* time of a block on prev: the clock, but past the median time (spec consensus 2.2 item 2). */
uint32_t miner_block_time(const struct header_node *prev, int64_t now);
/*
 * Looks for a nonce from the one in the header on, at most *tries of them (reduced by those used).
 * found = false: the tries are used up, or all 2^32 nonces are (then make another coinbase).
 * ERR_CANCELLED.
 */
enum err miner_solve(const struct chain_params *p, struct block_header *h, uint64_t *tries,
                     const struct cancel *cancel, bool *found, struct error *e) MUST_CHECK;

struct miner_job {
    const struct chain_params *params;
    const struct block_template *rest; /* the block builds on its parent */
    struct span script;                /* scriptPubKey of the reward */
    int64_t now;
    int32_t version;                   /* 0: MINER_VERSION */
};
/* All of it, until a nonce fits or the tries are used up. *coinbase is replaced. */
enum err miner_mine(const struct miner_job *job, uint64_t *tries, const struct cancel *cancel,
                    struct block_header *header, struct buf *coinbase, bool *found,
                    struct error *e) MUST_CHECK;

#endif

/*
 * Makes blocks for generatetoaddress and for tests: coinbase, Merkle root, header, nonce. The block
 * comes out serialised, ready for chain_submit_block. Any thread; reads the header index only.
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
#include "base/tx.h"
#include "chain/header_index.h"

#define MINER_VERSION 0x20000000 /* no soft fork signalled (spec consensus 2.2 item 4) */

struct miner_job {
    const struct chain_params *params;
    struct header_node *prev;      /* the block builds on it */
    struct span script;            /* scriptPubKey of the reward */
    const struct tx *const *txs;   /* after the coinbase, in order; raw set; NULL: none */
    size_t n_txs;
    int64_t fees;                  /* of these, satoshis; the coinbase takes them all */
    int64_t now;                   /* clock, seconds */
};

/*
 * Replaces *block by a whole block whose proof of work is still to be found. Two calls never give
 * the same block: the coinbase carries a random number, so mining again on the same parent in the
 * same second makes another one.
 */
enum err miner_make_block(const struct miner_job *job, struct buf *block,
                          struct error *e) MUST_CHECK;
/*
 * Looks for a nonce from the one in the block on, at most *tries of them (reduced by those used).
 * found = false: the tries are used up, or all 2^32 nonces are (then make another block).
 * ERR_CANCELLED.
 */
enum err miner_solve(const struct chain_params *p, struct buf *block, uint64_t *tries,
                     const struct cancel *cancel, bool *found, struct error *e) MUST_CHECK;
/* Both, until a nonce fits or the tries are used up. */
enum err miner_mine(const struct miner_job *job, uint64_t *tries, const struct cancel *cancel,
                    struct buf *block, bool *found, struct error *e) MUST_CHECK;

/* time of a block on prev: the clock, but past the median time (spec consensus 2.2 item 2). */
uint32_t miner_block_time(const struct header_node *prev, int64_t now);

#endif

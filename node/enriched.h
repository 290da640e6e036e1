/*
 * Headers with their coinbase transaction and its proof, as hdrsen carries them (spec p2p 3):
 *
 *   header 80 | compact number of transactions | u8 no more headers | u8 coinbase follows
 *   [transaction | proof] | u8 miner info follows: 0
 *
 * The number is 0 and nothing follows when the block is not stored. The proof is that of
 * base/tsc_proof.h with flags 0: the transaction's id, and the block's hash as target.
 */
#ifndef NODE_ENRICHED_H
#define NODE_ENRICHED_H

#include "chain/chain.h"

/* A larger coinbase is left out. */
#define ENRICHED_COINBASE_MAX (32u << 20)

/* Appends one entry; reads the whole block, so any thread but the loop. last: it is the tip.
 * False: without the coinbase, because it cannot be read or is too large. */
bool enriched_put(struct buf *out, struct chain *c, const struct header_node *node, bool last);

#endif

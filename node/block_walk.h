/*
 * All transactions of a stored block in order, read in segments, so that a block of any size takes
 * the memory of one. For jobs of the pool; any thread but the loop.
 */
#ifndef NODE_BLOCK_WALK_H
#define NODE_BLOCK_WALK_H

#include "chain/chain.h"

/* offset: of the transaction in the block. Another result than OK ends the walk and is its result;
 * then fn has filled e. */
typedef enum err (*block_walk_fn)(void *ctx, const struct tx *tx, uint64_t offset,
                                  struct error *e);

/* ERR_NOTFOUND when the block is not stored (any more). */
enum err block_walk(struct chain *c, const struct header_node *node, block_walk_fn fn, void *ctx,
                    struct error *e) MUST_CHECK;

#endif

/*
 * Looks for a double spend between two branches: a transaction of the one and another of the other
 * that spend the same output. For jobs of the pool; reads the blocks of both branches.
 */
#ifndef NODE_DS_SEARCH_H
#define NODE_DS_SEARCH_H

#include "chain/chain.h"

/* Bytes of blocks beyond which a branch is not searched. The spends of the left branch are held in
 * memory, some 20 bytes each. */
#define DS_SEARCH_LEFT_MAX (32u << 20)
#define DS_SEARCH_TAKEN_MAX (256u << 20)

/*
 * left: tip of the branch that was left, taken: of the one that took its place. The payload of a
 * dsdetected message about the first conflict is appended to *out; nothing when there is none.
 * ERR_RANGE: too large; else as block_walk.
 */
enum err ds_search(struct chain *c, struct header_node *left, struct header_node *taken,
                   struct buf *out, struct error *e) MUST_CHECK;

#endif

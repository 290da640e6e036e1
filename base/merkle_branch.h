/*
 * The way from one leaf of a Merkle tree up to its root: the sibling on each level (spec consensus
 * 3.2, 6). A branch is built while the leaves pass by, in O(log n) memory, or read from a proof.
 *
 * A root that comes out right does not make a proof: a node inside the tree may be taken for a
 * leaf, or a transaction of 64 bytes for a node (attacks A4). Whoever judges a branch also asks
 * merkle_branch_fits, with the number of leaves from a source he trusts. Pure functions, any
 * thread.
 */
#ifndef BASE_MERKLE_BRANCH_H
#define BASE_MERKLE_BRANCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/block.h"
#include "base/ids.h"

#define MERKLE_DEPTH_MAX 64

struct merkle_sibling {
    bool duplicate;      /* the row ends before it: the working hash is paired with itself */
    struct hash256 hash; /* else */
};

struct merkle_branch {
    uint64_t index; /* of the leaf; bit k tells on which side of level k it is, 1: right */
    unsigned n;     /* levels below the root */
    struct merkle_sibling sibling[MERKLE_DEPTH_MAX];
};

/* Levels below the root of a tree: 0 for one leaf. */
unsigned merkle_depth(uint64_t leaves);

/*
 * Root above the leaf. False when no tree has such a branch: the index does not fit the depth, a
 * left sibling that is a copy (it would prove the same leaf at two places).
 */
bool merkle_branch_root(const struct merkle_branch *b, const uint8_t leaf[32],
                        struct hash256 *root);
/* The node on the way that lies so many levels above the leaf, b->n at most; false as above. */
bool merkle_branch_node(const struct merkle_branch *b, const uint8_t leaf[32], unsigned level,
                        struct hash256 *node);
/* Depth, index and places of copies are those of a tree with so many leaves. */
bool merkle_branch_fits(const struct merkle_branch *b, uint64_t leaves);

struct merkle_branch_builder {
    struct merkle before;  /* leaves before the wanted one */
    struct merkle after;   /* of the right sibling that is being collected */
    unsigned level;        /* of that sibling */
    uint64_t leaves;
    bool found;
    struct merkle_branch branch;
};

void merkle_branch_init(struct merkle_branch_builder *b);
/* Leaves in order. The first wanted one is the leaf of the branch. */
void merkle_branch_add(struct merkle_branch_builder *b, const uint8_t leaf[32], bool wanted);
/* After the last leaf; false when none was wanted. The branch lives in b. */
bool merkle_branch_finish(struct merkle_branch_builder *b, const struct merkle_branch **out);

#endif

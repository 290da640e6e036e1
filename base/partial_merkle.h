/*
 * Partial Merkle trees: the proof that some leaves are in a tree, as `merkleblock` and
 * gettxoutproof carry it (spec p2p 3, BIP 37).
 *
 *   leaves 4 | compact count | hashes, 32 each | compact count | bytes of flags, lowest bit first
 *
 * Depth first from the root, left before right, each node has a flag. Inside the tree 1 says that a
 * match lies below, and its children follow; 0 that its hash stands for all below. A leaf has its
 * hash in any case, and 1 says that it is a match. The copy that completes a row of odd length has
 * neither flag nor hash.
 *
 * A root that comes out right does not make a proof (attacks A4): whoever judges one compares
 * `leaves` with a count that he trusts. With the right number an inner node cannot pass for a leaf,
 * nor a transaction of 64 bytes for a node.
 *
 * A tree of n leaves with m matches takes about 34 * m * log2(n / m) bytes, 34 * n at most.
 * One thread at a time.
 */
#ifndef BASE_PARTIAL_MERKLE_H
#define BASE_PARTIAL_MERKLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/reader.h"

struct partial_merkle {
    uint32_t leaves;     /* of the whole tree */
    struct span hashes;  /* borrowed, like flags */
    struct span flags;
};

/* The format alone; whether it is a tree comes out of partial_merkle_walk. Borrows r's memory. */
enum err partial_merkle_read(struct reader *r, struct partial_merkle *t) MUST_CHECK;
void partial_merkle_write(struct buf *b, const struct partial_merkle *t);

enum partial_kind {
    PARTIAL_MATCH, /* a leaf that is proved to be there */
    PARTIAL_HASH,  /* another leaf, or the root of a part without matches */
    PARTIAL_COPY,  /* the row ends before it: as its left neighbour */
};
struct partial_node {
    enum partial_kind kind;
    unsigned level;  /* 0: leaves */
    uint64_t index;  /* in its row */
    const uint8_t *hash;
};
typedef void (*partial_merkle_fn)(void *ctx, const struct partial_node *node);

/*
 * Hands what the proof consists of to fn (may be NULL), rows of a level from left to right, and
 * computes the root. False when it is no tree: hashes or flags too few or too many, padding that is
 * not zero, equal neighbours (CVE-2012-2459); fn may have been called all the same.
 */
bool partial_merkle_walk(const struct partial_merkle *t, partial_merkle_fn fn, void *ctx,
                         struct hash256 *root);

/* --- building, while the leaves pass by --- */

#define PARTIAL_MERKLE_LEVELS 33

/* A complete part of the tree: where its flags and hashes begin. */
struct partial_part {
    struct hash256 root;
    unsigned level;
    bool matched; /* it holds a match */
    size_t flag, hash;
};

struct partial_merkle_builder {
    struct partial_part part[PARTIAL_MERKLE_LEVELS + 1]; /* from left to right, levels fall */
    unsigned n_parts;
    uint32_t leaves;
    struct buf flags; /* a byte each until the end */
    struct buf hashes;
};

void partial_merkle_init(struct partial_merkle_builder *b);
void partial_merkle_clear(struct partial_merkle_builder *b);
/* Leaves in order. ERR_NOMEM, ERR_RANGE: more leaves than the format can count. */
enum err partial_merkle_add(struct partial_merkle_builder *b, const uint8_t leaf[32],
                            bool matched) MUST_CHECK;
/* After the last leaf, of which there must be one; *out borrows b's memory. ERR_NOMEM. */
enum err partial_merkle_finish(struct partial_merkle_builder *b,
                               struct partial_merkle *out) MUST_CHECK;

#endif

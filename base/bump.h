/*
 * BUMP, the Merkle proofs of BRC-74: the ways of one or more transactions of a block to its Merkle
 * root, in one record, which names the block by its height (spec consensus 6, brc-notes 6).
 *
 *   compact block height | levels 1 | per level from below: compact count | leaves:
 *   compact offset | flags 1: 00 hash 32, 01 nothing: as its left neighbour, 02 hash 32 is a txid
 *
 * A root that comes out right does not make a proof (attacks A4): whoever judges one compares the
 * depth with that of the block's tree (merkle_depth), which all proofs of a block share, and
 * refuses transactions of 64 bytes when he cannot. One thread at a time.
 */
#ifndef BASE_BUMP_H
#define BASE_BUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/reader.h"

struct partial_merkle;

#define BUMP_LEVELS_MAX 64

struct bump_leaf {
    uint64_t offset;   /* in the row of its level */
    bool duplicate;    /* as its left neighbour; no hash */
    bool is_txid;      /* on the lowest level: what the proof is for */
    struct hash256 hash;
};

struct bump_level {
    struct bump_leaf *leaf; /* in the order of the record */
    size_t n;
};

struct bump {
    uint32_t height;
    unsigned n_levels;     /* 1 for a block of one transaction, else the depth of its tree */
    struct bump_level level[BUMP_LEVELS_MAX];
};

void bump_init(struct bump *b);
void bump_clear(struct bump *b);
/* Into a struct that needs no clearing before, and none after a failure. ERR_PARSE, ERR_NOMEM. */
enum err bump_read(struct reader *r, struct bump *b, struct error *e) MUST_CHECK;
void bump_write(struct buf *out, const struct bump *b);

struct bump_top {
    struct hash256 root;
    unsigned depth; /* of the tree; a record may end with the last level that is not computed */
};
/*
 * Where all leaves lead to. ERR_PARSE: no tree has such leaves (one is missing, is there twice, is
 * not needed, does not fit what lies below, or stands where the tree has none). ERR_NOMEM.
 */
enum err bump_climb(const struct bump *b, struct bump_top *top, struct error *e) MUST_CHECK;
/* The transaction is one of the lowest level. */
bool bump_find(const struct bump *b, const struct txid *id, uint64_t *offset);

/* Of the matches of a partial tree, which has one at least. ERR_PARSE, ERR_NOMEM. */
enum err bump_from_partial(struct bump *b, uint32_t height, const struct partial_merkle *t,
                           struct error *e) MUST_CHECK;
/*
 * Adds what other proves to b, without what can be computed then. ERR_RANGE: they are of different
 * blocks, or lead to different roots; b is unchanged after a failure.
 */
enum err bump_merge(struct bump *b, const struct bump *other, struct error *e) MUST_CHECK;

#endif

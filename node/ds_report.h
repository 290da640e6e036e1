/*
 * What a dsdetected message says, and whether it holds together: linked headers, proofs that lead
 * to their roots, and transactions that really spend the same (spec p2p 3, consensus 6). Proof of
 * work and the place in the chain are for whoever has the headers. Pure functions, any thread.
 */
#ifndef NODE_DS_REPORT_H
#define NODE_DS_REPORT_H

#include "base/tx.h"
#include "p2p/msg_ds.h"

#define DS_BLOCKS_MAX 16
#define DS_FORK_MAX 1000 /* headers of one branch: the reference's largest distance of a fork */

/* One block of the report. */
struct ds_block {
    struct span headers;         /* borrowed from the message: its own first */
    size_t n;
    struct block_hash hash;      /* of the block */
    struct block_hash ancestor;  /* common to all */
    struct merkle_branch branch; /* of tx */
    struct tx *tx;               /* a reference */
};

struct ds_report {
    struct ds_block blocks[DS_BLOCKS_MAX];
    size_t n;
    struct hash256 id;    /* the same in whatever order the blocks stand */
    struct hash256 place; /* the same for all reports about these blocks */
};

/* False with *why (static text) when something is wrong with it; out is cleared then. */
bool ds_report_read(struct ds_report *out, const struct msg_dsdetected *m, const char **why);
void ds_report_clear(struct ds_report *r);
/* The i-th header of a block. */
void ds_block_header(const struct ds_block *b, size_t i, struct block_header *out);

#endif

/*
 * Which blocks the event log has told of, and what it has to say when the chain moves.
 *
 * After a crash the chain begins again where it was last flushed and connects blocks that were told
 * of before. Then the log waits: it repeats nothing, until the chain stands where the log ended or
 * takes another way; then it says what leads from the one to the other. A log that ends earlier
 * than the chain is brought up to it from the header index. So the events always describe a chain
 * without gaps or repetitions, whatever was lost on either side.
 *
 * Blocks that were told of may be unknown to the header index after a crash: their hashes are kept
 * from the log until the chain has them again.
 *
 * Chain thread only (before it exists: whoever opens the log).
 */
#ifndef NODE_TOLD_CHAIN_H
#define NODE_TOLD_CHAIN_H

#include "base/reader.h"
#include "chain/header_index.h"
#include "node/event_record.h"

struct told_block {
    struct block_hash hash;
    int32_t height;
};

struct told_chain {
    void (*emit)(void *ctx, struct event_record *r);
    void *ctx;
    struct header_index *index; /* NULL until told_chain_attach */
    struct header_node *tip;    /* highest block told of that the index knows; NULL: none of them */
    /* Blocks above tip, lowest first, from `at` on. Without a tip the first is as far back as the
     * log goes. */
    struct told_block *v;
    size_t at, n, cap;
    bool waiting;
};

void told_chain_init(struct told_chain *c, void (*emit)(void *ctx, struct event_record *r),
                     void *ctx);
void told_chain_clear(struct told_chain *c);

/* --- what the log holds, before attach --- */
/* From the state of a file; replaces everything. */
void told_chain_load(struct told_chain *c, struct reader *r);
/* An event of the log. False: it contradicts those before. Others than of blocks are ignored. */
bool told_chain_replay(struct told_chain *c, const struct event_record *r);
/* The index knows a block among those the log told of, so that older files are not needed. */
bool told_chain_meets(const struct told_chain *c, struct header_index *index);

/* --- then --- */
/* The chain stands at tip: says what is missing, or begins to wait. */
void told_chain_attach(struct told_chain *c, struct header_index *index, struct header_node *tip);
void told_chain_connected(struct told_chain *c, struct header_node *node);
void told_chain_disconnected(struct told_chain *c, struct header_node *node);
/* The chain is not expected to get there any more: says how it got from there to its tip. */
void told_chain_give_up(struct told_chain *c, struct header_node *tip);
/* For a file's state: u8 1, height u32, hash of the last block; or u8 0. */
void told_chain_store(const struct told_chain *c, struct buf *out);

#endif

/*
 * A block put together again from its compact form (spec p2p 3: cmpctblock): transactions that the
 * node has, those that came with the message, and one answer with the rest.
 *
 * The object goes through its states once: offers, at most one fill, then the bytes. Whatever else
 * a peer sends meets REBUILD_BROKEN, never a state it was not made for (attacks C3). Whether the
 * result is the block its header promises is for the intake to say: a short id may stand for
 * another transaction.
 *
 * One thread at a time; it may change threads between calls.
 */
#ifndef NODE_REBUILD_H
#define NODE_REBUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tx.h"
#include "p2p/msg_compact.h"

struct rebuild;

enum rebuild_result {
    REBUILD_FINE,
    REBUILD_BROKEN,  /* no honest node sends this */
    REBUILD_USELESS, /* nobody's fault: two equal short ids, or memory; the whole block is needed */
};

/* Takes what it needs from the message. NULL with *why when it is of no use. budget: bytes that all
 * rebuilds together may hold. */
struct rebuild *rebuild_new(const struct msg_cmpctblock *m, size_t budget,
                            enum rebuild_result *why);
void rebuild_free(struct rebuild *r); /* NULL is fine */

/*
 * A transaction the node knows; a reference is taken when a short id names it. Two different ones
 * of the same short id: neither counts. True when nothing is missing any more.
 */
bool rebuild_offer(struct rebuild *r, struct tx *tx);
/* No more offers; returns how many transactions are missing (0: the block is complete). */
size_t rebuild_end_offers(struct rebuild *r);
/* Their places in the block, rising; room for as many as rebuild_end_offers said. */
void rebuild_missing(const struct rebuild *r, uint32_t *indices);
/* The missing ones, once. */
enum rebuild_result rebuild_fill(struct rebuild *r, const struct msg_blocktxn *m) MUST_CHECK;

/* Of a complete block: its size, and its bytes piece by piece (empty: that was all). */
uint64_t rebuild_block_size(const struct rebuild *r);
struct span rebuild_next_piece(struct rebuild *r);

/* Bytes of all rebuilds of this process (ledger). */
size_t rebuild_memory_bytes(void);

#endif

/*
 * Transactions to be announced, in the order of their acceptance, parents before children: one list
 * for all peers, of which each has read up to a place of its own (spec p2p 9, attacks B3). Adding
 * costs the same however many peers there are, and nothing is ever sorted. The list has room for a
 * fixed number; who falls further behind misses the oldest.
 *
 * What is added can be read once tx_ring_release has been called. Loop thread.
 */
#ifndef NODE_TX_RING_H
#define NODE_TX_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"

struct tx_ring;

struct tx_ring_entry {
    struct txid id;
    int64_t fee_per_kb; /* satoshis */
    uint64_t sequence;  /* in the mempool; 0: it is not there */
};

struct tx_ring *tx_ring_new(size_t capacity); /* rounded up to a power of two */
void tx_ring_free(struct tx_ring *r);         /* NULL is fine */

/* Returns its place; places count up from 1. */
uint64_t tx_ring_add(struct tx_ring *r, const struct tx_ring_entry *e);
uint64_t tx_ring_next_place(const struct tx_ring *r); /* of the next one to be added */
void tx_ring_release(struct tx_ring *r);
size_t tx_ring_held(const struct tx_ring *r); /* added, not released */

/* The place after the last one that may be read: where a new peer begins. */
uint64_t tx_ring_end(const struct tx_ring *r);
/* The next one for who has read up to *place, which moves; NULL at the end. Valid until the next
 * tx_ring_add. */
const struct tx_ring_entry *tx_ring_next(const struct tx_ring *r, uint64_t *place);
size_t tx_ring_left(const struct tx_ring *r, uint64_t place);
size_t tx_ring_bytes(const struct tx_ring *r);     /* memory that has been touched */
size_t tx_ring_untouched(const struct tx_ring *r); /* the rest of the list */

#endif

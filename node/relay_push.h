/*
 * Transactions that money depends on (spec channels 8.6): sent whole, at once, to peers in
 * different networks, whether our own mempool holds them or not; and to those that come later,
 * until enough networks have been told. Whether one has arrived is seen when a peer announces it,
 * or gives it back when it is asked a while later.
 *
 * An order has a number of its owner's. A newer transaction of the same order is another form of
 * the same payment, with another id: it takes the place of the one before, and evidence for any of
 * the last ones counts for the order.
 *
 * Loop thread.
 */
#ifndef NODE_RELAY_PUSH_H
#define NODE_RELAY_PUSH_H

#include "node/relay_tx.h"

struct relay_push_order {
    uint64_t number;
    struct tx *tx;      /* borrowed */
    unsigned networks;  /* so many different ones at least, as far as there are */
    bool everybody;     /* every peer, those too that chose us */
};

struct relay_push_handlers {
    /* A peer has one of the order in its mempool: one that we chose, when there is any. */
    void (*shown)(void *ctx, uint64_t number);
    /* A peer refused the newest: another spend of the same was being looked at (code 12). */
    void (*raced)(void *ctx, uint64_t number);
    void *ctx;
};

/* Before anything is pushed. */
void relay_push_listen(struct relay *r, const struct relay_push_handlers *h);
void relay_push(struct relay *r, const struct relay_push_order *o);
/* It is settled, or given up. */
void relay_push_end(struct relay *r, uint64_t number);

#endif

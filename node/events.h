/*
 * Events from other threads to the loop: what the chain reports (chain.h handlers) becomes a
 * message that the loop picks up. Any thread posts; the loop handles in order.
 */
#ifndef NODE_EVENTS_H
#define NODE_EVENTS_H

#include <event2/event.h>

#include "chain/chain.h"

struct node_events;

struct node_event {
    enum node_event_kind {
        EVENT_BLOCK_ARRIVED,
        EVENT_BLOCK_JUDGED,
        EVENT_TIP_CHANGED,
        EVENT_INTAKE_DRAINED,
        EVENT_TXS,  /* news about transactions lie in the inbox (tx_inbox.h) */
        EVENT_STOP, /* a fatal error, or the stop command */
    } kind;
    struct header_node *node;
    struct block_hash hash;
    uint64_t source;
    bool flag;             /* stored; initial download */
    struct verdict verdict;
    struct chain_tip tip;
};

/* handle runs on the loop for each event. */
struct node_events *node_events_new(struct event_base *base,
                                    void (*handle)(void *ctx, const struct node_event *ev),
                                    void *ctx);
void node_events_free(struct node_events *ev); /* drops what is queued; NULL is fine */
void node_events_post(struct node_events *ev, const struct node_event *event); /* copies */

#endif

/*
 * When a peer is told of new transactions (attacks D12). Each peer that we chose gets a random
 * delay of its own; all that connected to us are told in one round, so that somebody with many
 * connections sees one moment, not the earliest of many. Delays are exponential: how long one has
 * waited tells nothing. The reference waits a fixed time (spec p2p 9).
 */
#ifndef NODE_TRICKLE_H
#define NODE_TRICKLE_H

#include <stdbool.h>
#include <stdint.h>

struct trickle {
    int64_t mean_ms;    /* broadcastdelay; 0: at once */
    int64_t inbound_ms; /* the next round of those that connected to us */
};

/* When a peer with something to hear is told. */
int64_t trickle_next(struct trickle *t, bool inbound, int64_t now_ms);

#endif

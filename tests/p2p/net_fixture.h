/*
 * Two networks in one process on one loop, joined over [::1], that write down what their
 * callbacks are told. Shared by the tests of net and of peer. One thread.
 */
#ifndef TESTS_P2P_NET_FIXTURE_H
#define TESTS_P2P_NET_FIXTURE_H

#include <event2/event.h>

#include "base/hash.h"
#include "p2p/net.h"
#include "tests/test.h"

struct side {
    struct net *net;
    struct peer *peer;      /* the last one that became ready, NULL after on_close */
    unsigned ready, closed, rooms;
    size_t headers;         /* how many headers came, in messages */
    unsigned header_messages;
    struct block_header last_header;
    struct inv_item items[8];
    size_t n_items;         /* of the last inv, getdata or notfound */
    enum msg_id last_list;
    unsigned locators;
    struct buf tx;
    struct txid tx_id;
    uint8_t reject_code;
    int64_t fee;
    /* streams */
    uint64_t stream_size, stream_got;
    uint8_t stream_sum[4];
    struct sha256 stream_hash;
    unsigned stream_begun, stream_ended, stream_aborted;
    enum stream_choice choice;
    uint64_t pause_at;      /* STREAM_PAUSE once when this many bytes came; 0: never */
};

struct pair {
    struct event_base *base;
    struct side a, b;       /* a listens, b connects */
};

/* Regtest-like configuration without files, DNS or listening. */
struct net_config fixture_config(void);
/* A net with recording callbacks. */
void side_open(struct side *s, struct event_base *base, const struct net_config *c);
void side_close(struct side *s);

void pair_open(struct pair *p, const struct net_config *a, const struct net_config *b);
void pair_close(struct pair *p);
/* pair_open and wait until both sides are ready. */
void pair_join(struct pair *p);

/* Runs the loop until done(ctx) or the time is over; tells which. */
bool run_until(struct event_base *base, bool (*done)(void *ctx), void *ctx, int64_t timeout_ms);
void run_for(struct event_base *base, int64_t ms);

#endif

/*
 * Contacts that cannot reach each other talk through a common one (spec channels 1.4, stage 4): a
 * stream of the service "relay" carries the bytes of a complete handshake and session, of which who
 * relays sees sizes and times. doc/channels.md says how the stream names whom it wants.
 *
 * Three parts in one. Who relays joins the stream of one contact with one to another, when the
 * first may (contact_policy.relay), the second is connected, and both are talked to under one
 * identity of ours. Who is asked for answers with the identity that was asked for. Who asks does
 * so when a contact could not be dialled and one is connected through which it may (relay_for_us).
 *
 * Channel thread, but for chan_relay_new and chan_relay_free, which run before and after it.
 */
#ifndef P2P_CHAN_RELAY_H
#define P2P_CHAN_RELAY_H

#include "p2p/channels.h"

/* 0 means the default, in brackets. */
struct chan_relay_limits {
    unsigned streams;             /* that we relay [64] */
    unsigned streams_per_contact; /* [8] */
    uint64_t bytes_per_day;       /* of one contact, both directions [10 GiB] */
};

enum {
    CHAN_RELAY_STREAMS = 64,
    CHAN_RELAY_STREAMS_PER_CONTACT = 8,
    CHAN_RELAY_OPENS_BURST = 10,          /* of one contact */
    CHAN_RELAY_OPENS_REFILL_MS = 2000,    /* for one more */
    CHAN_RELAY_CARRIED_MAX = 64,          /* sessions of ours that are relayed */
    CHAN_RELAY_CARRIED_PER_CONTACT = 16,  /* by one */
    CHAN_RELAY_PRIORITY = 3,
    CHAN_RELAY_TLV_KEY = 3,               /* in s_open: whose key is asked for */
};
#define CHAN_RELAY_BYTES_PER_DAY (UINT64_C(10) << 30)

struct chan_relay;

struct chan_relay *chan_relay_new(struct channels *channels,
                                  const struct chan_relay_limits *limits);
void chan_relay_free(struct chan_relay *r); /* NULL is fine */

/* What we relay for others; keys are borrowed for the call. */
struct relayed {
    const uint8_t *from, *to; /* keys of the contacts */
    bool open;
    uint64_t bytes;           /* both directions */
    uint64_t since_ms;
};
void chan_relay_each(const struct chan_relay *r, void (*fn)(const struct relayed *s, void *ctx),
                     void *ctx);

#endif

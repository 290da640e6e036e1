/*
 * The interface of channels.h for parts under test, without sockets: one peer, whose streams go
 * over a pipe in memory to a far side that the test plays. Contacts are a small array; what is
 * stored is in memory.
 */
#ifndef TESTS_P2P_FAKE_CHANNELS_H
#define TESTS_P2P_FAKE_CHANNELS_H

#include "p2p/channels.h"

enum { FAKE_CONTACTS = 4, FAKE_FAR_STREAMS = 64 };

struct fake;

struct chan_peer {
    struct fake *fake;
    uint8_t key[IDENTITY_KEY_SIZE];
    struct contact *contact;
    bool up, no_streams, quiet;
    enum chan_peer_state state;
    size_t dials, kicks;
    void *slot;
};

/* A stream as the far side has it. */
struct far {
    struct fake *fake;
    uint32_t sid;
    char service[DCHAN_SERVICE_MAX + 1];
    uint8_t priority;
    struct buf out, in;     /* to be sent; arrived */
    size_t sent, unread;
    bool ends;              /* after `out` its half is over */
    bool lazy;              /* does not consume what arrives */
    bool accepted, fin, closed;
    unsigned code;
    size_t dgrams;
    uint8_t dgram[DCHAN_DGRAM_MAX]; /* the last one */
    size_t dgram_len;
};

struct channels {
    struct fake *fake;
    struct event_base *base;
    uint64_t now_ms;
    struct kv *kv;           /* the store's */
    struct dchan_store *store;
    struct channel_part parts[4];
    size_t n_parts;
};

struct fake {
    struct channels channels;
    struct chan_peer peer;
    struct contact contacts[FAKE_CONTACTS];
    size_t n_contacts;
    struct dchan_mux *near, *far;
    struct dchan_shares shares[2];
    struct buf wire[2];      /* from near, from far: u32 length, message */
    struct far streams[FAKE_FAR_STREAMS];
    size_t n_streams;
    bool accepts;            /* the far side takes streams that are opened to it */
    bool silent;             /* but by far_accept alone */
    bool lazy;               /* what these are */
    size_t backlog;          /* of the near side */
};

/* The peer is the contact "bob" with id 1, and up. */
struct fake *fake_new(void);
void fake_free(struct fake *f); /* after the parts; all windows have come back */
/* An id, and another one without a session. */
struct contact *fake_add_contact(struct fake *f, const char *alias);

/* The session ends, or comes up again. */
void fake_down(struct fake *f);
void fake_up(struct fake *f);
/* A second passes: ticks. */
void fake_tick(struct fake *f, uint64_t ms);
/* Events of now and all that is on the wire, until nothing moves. */
void fake_settle(struct fake *f);
/* The same until it holds. Fails the test when that takes very long. */
void fake_until(struct fake *f, bool (*holds)(void *ctx), void *ctx);

/* The far side opens a stream. */
struct far *far_open(struct fake *f, const char *service);
/* Takes one that was opened to a far side that is silent. */
void far_accept(struct far *s);
void far_send(struct far *s, const void *data, size_t len);
void far_end(struct far *s);
void far_consume(struct far *s);
/* Until that many bytes have arrived, or the end of the half, or that of the stream. */
void far_await(struct far *s, size_t bytes);
void far_await_fin(struct far *s);
void far_await_closed(struct far *s);

#endif

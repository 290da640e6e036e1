/*
 * Two nodes with direct channels in one process, over [::1]: each has one identity without an
 * address and knows the other as a contact. For tests of the core and of parts.
 *
 *     channels_pair_init(&p);                        change p.sides[i].config here
 *     channels_pair_open(&p);
 *     channels_add_part(p.sides[0].channels, ...);   and [1]
 *     channels_pair_start(&p);
 *     channels_pair_connect(&p);                     0 dials 1; both are up
 *     ... channels_call(p.sides[0].channels, ...), channels_pair_wait(...)
 *     channels_pair_close(&p);
 *
 * What parts write on the channel thread and tests read must be atomic, or be read by a call.
 */
#ifndef TESTS_P2P_CHANNELS_PAIR_H
#define TESTS_P2P_CHANNELS_PAIR_H

#include <stdatomic.h>

#include "p2p/channels.h"
#include "tests/p2p/dchan_fixture.h"

struct channels_side {
    struct open_key key;
    struct channel_identity identity;
    struct bca_policy proof;
    struct channels_config config;   /* to be changed before it is opened */
    struct channels_ops ops;         /* endpoints may be set before it is opened; ctx is this */
    struct kv *kv;                   /* of the store, which owns it */
    struct dchan_store *store;
    struct contacts *contacts;
    struct channels *channels;
    bool knows_other;                /* [true] adds it to the contacts when it starts */
    atomic_uint ups, downs, looked;  /* calls of ops.session and look_for */
    atomic_int why;                  /* of the last end */
    atomic_uint released;            /* the last reference of the identity has gone */
};

struct channels_pair { struct channels_side sides[2]; };

/* Configuration of regtest, nobody dials by itself. */
void channels_side_init(struct channels_side *s);
void channels_pair_init(struct channels_pair *p);
/* Makes both. */
void channels_pair_open(struct channels_pair *p);
void channels_pair_start(struct channels_pair *p);
void channels_pair_connect(struct channels_pair *p);
/* Stops and frees what there is; call it before parts are freed if they say so. */
void channels_pair_close(struct channels_pair *p);

/* One of them: stopped and freed, made and started again. */
void channels_side_close(struct channels_side *s);
void channels_side_open(struct channels_side *s, uint8_t secret);
void channels_side_start(struct channels_side *s);
/* s knows other as a contact that listens on [::1]. */
void channels_side_meet(struct channels_side *s, const struct channels_side *other);

/* On the channel thread of s: dials other, which is a contact. */
void channels_side_dial(struct channels_side *s, const struct channels_side *other);
/* A copy of what is known of other; false: there is no such peer. */
bool channels_side_info(struct channels_side *s, const struct channels_side *other,
                        struct chan_peer_info *out);
bool channels_side_is_up(struct channels_side *s, const struct channels_side *other);
/* The clock of s stands still from now on, but for what is skipped. */
void channels_side_freeze(struct channels_side *s);
/* Until the first ping of each session that is up was answered: before so much time is skipped that
 * one whose answer is on its way would be taken for dead (30 s). */
void channels_side_await_pongs(struct channels_side *s);
/* The clock of s goes forward, and its timers run. */
void channels_side_skip(struct channels_side *s, uint64_t ms);

/* Waits until it holds; the test fails when it does not in a long time. */
void channels_pair_wait(bool (*holds)(void *ctx), void *ctx);

#endif

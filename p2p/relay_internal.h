/* What the files of the relay share: relay.c (who may, when to ask), relay_splice.c (two streams
 * joined), relay_carry.c (sessions of ours inside a stream). */
#ifndef P2P_RELAY_INTERNAL_H
#define P2P_RELAY_INTERNAL_H

#include "base/list.h"
#include "p2p/ratelimit.h"
#include "p2p/relay.h"

/* What a contact has used of us. */
struct relay_user {
    struct list_link link;
    uint64_t contact;
    struct ratelimit opens;
    uint64_t day_ms, bytes;     /* since day_ms */
};

/* A contact that could not be dialled: in the slot of its peer. */
struct relay_attempt {
    struct relay_carried *active;
    unsigned tried, fails;      /* relays of this round; rounds */
    uint64_t next_ms;
};

struct relay {
    struct channels *channels;
    struct relay_limits limits;
    struct list users, splices, carried;
};

static inline struct span relay_service(void)
{
    return span_of("relay", 5);
}

/* The key that a stream asks for, NULL: none. */
const uint8_t *relay_asked_key(struct span meta);
/* s_open for a key. */
enum err relay_open(struct dchan_mux *mux, const uint8_t *key, uint8_t priority,
                    const struct dchan_stream_ops *ops, void *ctx, uint64_t now_ms,
                    uint32_t *sid) MUST_CHECK;
/* So many bytes more of this contact; false: it has had what it may today. */
bool relay_user_take(struct relay *r, uint64_t contact, uint64_t bytes);

/* --- relay_splice.c --- */

/* Asks `to` on behalf of the stream sid of `from`, which is accepted or reset when it answers. */
void relay_splice_begin(struct relay *r, struct chan_peer *from, struct dchan_mux *mux,
                        const struct dchan_s_open *m, struct chan_peer *to, const uint8_t *key);
size_t relay_splice_count(const struct relay *r, uint64_t contact);
/* What a peer withdrew. */
void relay_splice_withdrawn(struct relay *r, struct dchan_mux *mux, uint32_t sid);
/* Ends those of a contact's key. */
void relay_splice_gone(struct relay *r, const uint8_t *key);
/* The sessions have ended. */
void relay_splice_clear(struct relay *r);

/* --- relay_carry.c --- */

/* A session of ours inside a stream of `by`. */
struct relay_carried;

/* They ask for us. */
void relay_carry_accept(struct relay *r, struct chan_peer *by, struct dchan_mux *mux, uint32_t sid);
/* We ask by for the peer of the attempt. False: not now. */
bool relay_carry_begin(struct relay *r, struct chan_peer *by, struct chan_peer *target,
                       struct relay_attempt *attempt);
/* The attempt goes away; what it has begun goes on. */
void relay_carry_forget(struct relay_carried *s);
void relay_carry_tick(struct relay *r, uint64_t now_ms);
void relay_carry_clear(struct relay *r);

#endif

/* What the files of the relay share: chan_relay.c (who may, when to ask), chan_relay_splice.c (two
 * streams joined), chan_relay_carry.c (sessions of ours inside a stream). */
#ifndef P2P_CHAN_RELAY_INTERNAL_H
#define P2P_CHAN_RELAY_INTERNAL_H

#include "base/list.h"
#include "p2p/ratelimit.h"
#include "p2p/chan_relay.h"

/* What a contact has used of us. */
struct chan_relay_user {
    struct list_link link;
    uint64_t contact;
    struct ratelimit opens;
    uint64_t day_ms, bytes;     /* since day_ms */
};

#define CHAN_RELAY_TRIES 16 /* relays for one contact */

/* A contact that could not be dialled: in the slot of its peer, which stays as long. */
struct chan_relay_attempt {
    struct chan_peer *target;
    struct chan_relay_carried *active; /* NULL while the next one is looked for */
    uint8_t tried[CHAN_RELAY_TRIES][IDENTITY_KEY_SIZE]; /* relays: they come and go meanwhile */
    size_t n_tried;
};

struct chan_relay {
    struct channels *channels;
    struct chan_relay_limits limits;
    struct list users, splices, carried;
};

static inline struct span chan_relay_service(void)
{
    return span_of("relay", 5);
}

/* The key that a stream asks for, NULL: none. */
const uint8_t *chan_relay_asked_key(struct span meta);
/* s_open for a key. */
enum err chan_relay_open(struct dchan_mux *mux, const uint8_t *key, uint8_t priority,
                    const struct dchan_stream_ops *ops, void *ctx, uint64_t now_ms,
                    uint32_t *sid) MUST_CHECK;
/* So many bytes more of this contact; false: it has had what it may today. */
bool chan_relay_user_take(struct chan_relay *r, uint64_t contact, uint64_t bytes);

/* False: the user has given up whom it is for, who is no contact any more, or was disconnected. */
bool chan_relay_attempt_wanted(const struct chan_relay_attempt *a);
/* What it had begun has ended without a session: the next relay. */
void chan_relay_attempt_failed(struct chan_relay *r, struct chan_relay_attempt *a);

/* --- chan_relay_splice.c --- */

/* Asks `to` on behalf of the stream sid of `from`, which is accepted or reset when it answers. */
void chan_relay_splice_begin(struct chan_relay *r, struct chan_peer *from, struct dchan_mux *mux,
                             const struct dchan_s_open *m, struct chan_peer *to,
                             const uint8_t *key);
size_t chan_relay_splice_count(const struct chan_relay *r, uint64_t contact);
/* What a peer withdrew. */
void chan_relay_splice_withdrawn(struct chan_relay *r, struct dchan_mux *mux, uint32_t sid);
/* Ends those of a contact's key. */
void chan_relay_splice_gone(struct chan_relay *r, const uint8_t *key);
/* The sessions have ended. */
void chan_relay_splice_clear(struct chan_relay *r);

/* --- chan_relay_carry.c --- */

/* A session of ours inside a stream of `by`. */
struct chan_relay_carried;

/* They ask for us. */
void chan_relay_carry_accept(struct chan_relay *r, struct chan_peer *by, struct dchan_mux *mux,
                             uint32_t sid);
/* We ask by for the peer of the attempt. False: not now. */
bool chan_relay_carry_begin(struct chan_relay *r, struct chan_peer *by,
                            struct chan_relay_attempt *attempt);
/* The attempt goes away: a session that has begun goes on, what was only asked for is withdrawn. */
void chan_relay_carry_forget(struct chan_relay_carried *s);
void chan_relay_carry_tick(struct chan_relay *r, uint64_t now_ms);
void chan_relay_carry_clear(struct chan_relay *r);

#endif

/*
 * What dchan_session.c (life, until it is up), dchan_session_up.c (from then on) and
 * dchan_session_pad.c (sizes of writes) share.
 */
#ifndef P2P_DCHAN_SESSION_INTERNAL_H
#define P2P_DCHAN_SESSION_INTERNAL_H

#include "p2p/dchan_session.h"
#include "p2p/ratelimit.h"

enum session_state { SESSION_ACTS, SESSION_GREETING, SESSION_UP, SESSION_CLOSED };

struct dchan_session {
    struct dchan_session_config config; /* hello: no spans, see our_hello */
    enum session_state state;
    uint64_t now_ms;      /* of the last call */
    unsigned busy;        /* inside a call that may run callbacks */
    uint64_t act_ms, greeting_ms, up_ms, heard_ms, closed_ms;

    struct dchan_hs *hs;  /* until it is done */
    struct buf acts;      /* that wait; acts_written of them do not */
    size_t acts_written;
    struct dchan_rec *rec;
    struct dchan_mux *mux;
    bool mute;            /* what waits must not leave */

    bool doomed;          /* closes at the end of the call */
    enum dchan_closed doom;
    enum dchan_error doom_code;

    uint8_t key[IDENTITY_KEY_SIZE], session_id[32];
    struct buf our_hello;               /* the message; until up, as the next */
    struct buf our_params;
    struct buf their_params;
    uint8_t their_address[BCA_ADDRESS_SIZE];
    struct dchan_policy policy;
    struct dchan_peer peer;
    bool hello_sent, hello_received, bound_sent, bound_received;
    bool settled;         /* the owner has said that this session stays */
    bool revoked;
    uint64_t provisional_ms, revoked_ms;

    struct ratelimit pings;             /* that we answer */
    bool ping_open;
    uint16_t ping_len;
    uint64_t ping_ms, ping_after_ms, rtt_ms, pongs;

    bool going, peer_going, bye_sent, bye_received;
    uint64_t going_ms, bye_ms;
    uint64_t over_bytes_ms;             /* when enough was carried for a renewal; 0: not yet */

    uint64_t written;                   /* bytes of packets, of what rec counts as sent */
    uint64_t mark, mark_ms;             /* all up to `mark` had been put by then */
    uint64_t burst, burst_ms;           /* bytes written since */
    size_t early;                       /* bytes that leave at once */

    bool padded;                        /* writes are multiples of DCHAN_PAD_CLASS */
    uint64_t pad_from;                  /* `written` when that began */
    uint64_t beat_ms;                   /* of the next write while there is a rate; 0: at once */
    size_t beat_left;                   /* bytes of this one that were not written yet */
};

/* A callback may run until session_leave, which does what waited for its end. */
void session_enter(struct dchan_session *s, uint64_t now_ms);
void session_leave(struct dchan_session *s);

/* At once: only where no stream is in use. */
void session_close(struct dchan_session *s, enum dchan_closed why, unsigned code, struct span text);
void session_fail(struct dchan_session *s, enum dchan_error code); /* with `error`; 0: without */
/* At the end of the call. */
void session_doom(struct dchan_session *s, enum dchan_closed why, enum dchan_error code);

/* Failures doom the session, but for what comes after bye. */
enum err session_put(struct dchan_session *s, struct span head, struct span body);
enum err session_put_msg(struct dchan_session *s, const struct dchan_msg *m);
size_t session_waiting(const struct dchan_session *s);
/* A pad where one is due, so that all that waits and so many bytes behind it fill their class. */
void session_pad(struct dchan_session *s, size_t follows);
/* Composes the write for which it is time. False: there is no rate, what waits may leave. */
bool session_beat(struct dchan_session *s);
/* Of what waits: all, or what is left of the write that was composed. */
struct span session_may_leave(const struct dchan_session *s);
/* A message that none may follow: bye, error. */
enum err session_put_last(struct dchan_session *s, const struct dchan_msg *m);

void session_become_up(struct dchan_session *s);
/* Any message but hello and bound, by the table. */
void session_take(struct dchan_session *s, const struct dchan_msg *m);
/* How much data may be put now; and what of it was written, by which the next is judged. */
size_t session_room(const struct dchan_session *s);
void session_note_speed(struct dchan_session *s, size_t written);
/* Sends bye when the time for it has come. */
void session_try_bye(struct dchan_session *s);
void session_tick_up(struct dchan_session *s);

#endif

/*
 * One direct channel over a byte stream, for both roles (spec channels 2 to 4): handshake, hello,
 * bound, then messages and streams until goaway and bye. Without sockets and clocks: the caller
 * feeds what arrived, writes what dchan_session_output gives, calls dchan_session_tick every second
 * and closes the connection when dchan_session_done says so. Time is milliseconds of a clock that
 * does not go back.
 *
 * The session owns the record layer and the streams (dchan_mux.h). Which key may talk to us, proofs
 * of addresses and which of two sessions stays are asked of the owner; what belongs to messages,
 * files, payments and records goes to his handlers by type. Before the session is up nothing but
 * what 2.4 allows is taken, and after it has closed nothing leaves.
 *
 * Memory of a session that is idle: below DCHAN_SESSION_IDLE_BYTES, the peer's parameters included.
 * Whatever arrives, besides that: one message (64 KiB), the answers that wait (DCHAN_OUT_MAX,
 * which ends it), and a small struct for each stream.
 *
 * From a callback every function may be called but dchan_session_free, _feed, _output, _tick.
 * One thread at a time; ec_init must have been called.
 */
#ifndef P2P_DCHAN_SESSION_H
#define P2P_DCHAN_SESSION_H

#include "p2p/dchan_duplicate.h"
#include "p2p/dchan_mux.h"
#include "p2p/dchan_rec.h"

enum {
    DCHAN_ACT_TIMEOUT_MS = 5000,
    DCHAN_HELLO_TIMEOUT_MS = 10000,  /* after act 3 */
    DCHAN_UP_TIMEOUT_MS = 2 * DCHAN_HELLO_TIMEOUT_MS, /* after act 3 */
    DCHAN_PING_IDLE_MS = 60000,
    DCHAN_PING_JITTER_MS = DCHAN_PING_IDLE_MS / 6,
    DCHAN_PING_DEAD_MS = 30000,
    DCHAN_PINGS_TAKEN = 10,          /* in 10 s */
    DCHAN_PROVISIONAL_MS = 3600000,
    DCHAN_OUT_SLOW_PERCENT = 25,     /* of DCHAN_OUT_MAX */
    DCHAN_GOING_MS = 600000,         /* after goaway it is cut */
    DCHAN_FLUSH_MS = 10000,          /* for the last bytes to leave */
    DCHAN_SESSION_IDLE_BYTES = 8192,
};

struct dchan_session;

enum dchan_closed {
    DCHAN_CLOSED_CLEAN,       /* bye */
    DCHAN_CLOSED_HANDSHAKE,   /* an act was wrong */
    DCHAN_CLOSED_OWN_KEY,     /* the other side has a key of ours */
    DCHAN_CLOSED_TIMEOUT,     /* of an act, hello or bound, or of a rekey */
    DCHAN_CLOSED_DEAD,        /* no answer to a ping */
    DCHAN_CLOSED_TAMPERED,    /* a wrong tag */
    DCHAN_CLOSED_EARLY,       /* a message that must wait until the session is up */
    DCHAN_CLOSED_AFTER_BYE,   /* a message after bye, or rekeys where there must be none */
    DCHAN_CLOSED_BY_US,       /* we sent `error` with the code */
    DCHAN_CLOSED_BY_THEM,     /* they did */
    DCHAN_CLOSED_GOAWAY,      /* before it was up, or after 10 minutes */
    DCHAN_CLOSED_TRUNCATED,   /* the stream ended without bye */
    DCHAN_CLOSED_LOCAL,       /* memory, too much output, or the owner's wish */
};

struct dchan_closing {
    enum dchan_closed why;
    unsigned code;    /* of `error` */
    struct span text; /* with BY_THEM: theirs, not sanitised; with HANDSHAKE: what was wrong */
};

/* What is known of the other side once its hello was taken. */
struct dchan_peer {
    const uint8_t *key, *session_id; /* from the end of the handshake on */
    enum dchan_binding binding;
    bool contact, translated, provisional;
    uint16_t version;
    struct dchan_features features;
};

struct dchan_session_stats {
    bool up;
    uint64_t up_ms, heard_ms;      /* since when; when the last byte came */
    uint64_t rtt_ms, pongs;        /* of the last answered ping; how many were */
    uint64_t bytes_sent, bytes_received;
    uint32_t rotations_sent, rotations_received, agreements;
};

/* Messages of types first to last; m borrows the input. */
struct dchan_handler {
    uint16_t first, last;
    void (*take)(void *ctx, const struct dchan_msg *m);
};

struct dchan_session_ops {
    bool (*is_own_key)(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE]);
    /*
     * What holds for the key: contact, bare, strangers_unbound and any_unbound, and how its address
     * is to be proved (always set, kept until the next call). False: we do not talk to it, error 1.
     */
    bool (*rules)(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct dchan_policy *policy,
                  const struct bca_policy **proof);
    /*
     * The hello was judged well. False: another session with the peer lives; ours sends `bound`
     * after dchan_session_settled. The hello is borrowed.
     */
    bool (*greeted)(void *ctx, const struct dchan_hello *hello);
    void (*up)(void *ctx);
    /*
     * The peer, who was greeted or dialled, goes away: once, whatever it repeats; may be NULL. A
     * session that is not up closes next, so that this tells why: DCHAN_DUPLICATE, DCHAN_BUSY.
     */
    void (*going)(void *ctx, enum dchan_goaway_reason reason);
    /* As in dchan_mux_ops. NULL: every stream is refused. */
    void (*open)(void *ctx, const struct dchan_s_open *m);
    void (*withdrawn)(void *ctx, uint32_t sid);
    /* Once; all streams were closed before. */
    void (*closed)(void *ctx, const struct dchan_closing *closing);
    const struct dchan_handler *handlers;
    size_t n_handlers;
};

/* The numbers above, where others are chosen. */
struct dchan_session_limits {
    uint64_t act_ms, hello_ms;
    uint64_t ping_ms, ping_dead_ms;
    uint64_t provisional_ms, going_ms;
    size_t out_max;                      /* DCHAN_OUT_MAX */
    unsigned out_slow_percent;           /* of it, from which on producers should stop */
    unsigned pings;                      /* answered in 10 s */
    struct dchan_renewal renewal;
};
extern const struct dchan_session_limits dchan_session_defaults;

struct dchan_session_config {
    enum dchan_role role;
    uint8_t magic[4];
    const struct identity_key *key;      /* outlives the session */
    const uint8_t *remote_key;           /* initiator; copied */
    bool relayed;                        /* no addresses are seen */
    uint8_t local[BCA_ADDRESS_SIZE], remote[BCA_ADDRESS_SIZE]; /* of the socket */
    struct dchan_features features;      /* that we offer */
    struct dchan_hello hello;            /* but for version and features; copied */
    struct dchan_shares *shares;         /* outlives the session */
    const struct dchan_session_limits *limits; /* outlives the session; NULL: the defaults */
    uint64_t grace_ms;                   /* from a revocation to the end */
    const struct dchan_session_ops *ops; /* outlives the session, as ctx */
    void *ctx;
};

/* NULL: remote_key is no key, or one of ours. */
struct dchan_session *dchan_session_new(const struct dchan_session_config *config, uint64_t now_ms);
/* Without callbacks; NULL is fine. */
void dchan_session_free(struct dchan_session *s);

/* --- the connection --- */

void dchan_session_feed(struct dchan_session *s, struct span in, uint64_t now_ms);
/*
 * The other side has ended its half of the connection. After its bye the session closes when the
 * owners of streams that came whole have consumed what they have, for which they have 10 minutes.
 */
void dchan_session_feed_end(struct dchan_session *s, uint64_t now_ms);
/*
 * To be written; borrowed until the next call. Asks the streams for data when little waits. While
 * a stream has a rate (dchan_mux_set_rate): nothing, until it is time for the next write.
 */
struct span dchan_session_output(struct dchan_session *s, uint64_t now_ms);
void dchan_session_written(struct dchan_session *s, size_t n, uint64_t now_ms);
/* Milliseconds when the next write is due while there is a rate; 0: there is none. */
uint64_t dchan_session_beat_ms(const struct dchan_session *s);
void dchan_session_tick(struct dchan_session *s, uint64_t now_ms);
/* It has closed and all that had to leave has. */
bool dchan_session_done(const struct dchan_session *s);

/* --- what the owner does --- */

/* After ops.greeted has said false, or in there: this session stays. */
void dchan_session_settled(struct dchan_session *s, uint64_t now_ms);
/*
 * ERR_CANCELLED: not up, or ending; ERR_NOTFOUND: the other side does not offer the feature;
 * ERR_BUSY, ERR_NOMEM: it closes.
 */
enum err dchan_session_send(struct dchan_session *s, const struct dchan_msg *m,
                            uint64_t now_ms) MUST_CHECK;
/* So much waits that producers of messages should stop. */
bool dchan_session_slow(const struct dchan_session *s);
/* NULL unless it is up and both offer streams. */
struct dchan_mux *dchan_session_mux(struct dchan_session *s);
/* Asks for a sign of life, unless it did in the last second and waits; see stats.pongs. */
void dchan_session_ping(struct dchan_session *s, uint64_t now_ms);
/*
 * From now on each write fills a multiple of DCHAN_PAD_CLASS (dchan_pad.h). It counts once the
 * session is up; what waits for sending, and its limit, include what is added.
 */
void dchan_session_set_padded(struct dchan_session *s, bool padded);
/* No new streams; bye when those that are there have ended. Before it is up: the end. */
void dchan_session_goaway(struct dchan_session *s, enum dchan_goaway_reason reason,
                          uint64_t now_ms);
/* A new header, or a marker was spent: looks at the address again. */
void dchan_session_recheck(struct dchan_session *s, uint64_t now_ms);
/* Ends it with `error`, or without a word (0). */
void dchan_session_abort(struct dchan_session *s, enum dchan_error code, uint64_t now_ms);

const struct dchan_peer *dchan_session_peer(const struct dchan_session *s);
struct dchan_session_stats dchan_session_stats(const struct dchan_session *s);
/* This side should dial again (dchan_duplicate.h). */
bool dchan_session_renewal_due(const struct dchan_session *s, uint64_t now_ms);

#endif

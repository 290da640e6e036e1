/*
 * What the files of direct channels share: struct channels, its connections and its peers. Channel
 * thread only, but for what channels_calls.c guards. Not for other folders.
 *
 * Nothing is freed inside a callback: connections and peers that have ended are taken from a work
 * list, before the loop polls again.
 */
#ifndef P2P_CHANNELS_INTERNAL_H
#define P2P_CHANNELS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <event2/event.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/queue.h"
#include "p2p/channels.h"
#include "p2p/channels_blocked.h"
#include "p2p/channels_sieve.h"
#include "p2p/netaddr.h"
#include "p2p/ratelimit.h"

enum {
    CHANNELS_PARTS_MAX = 12,
    CHANNELS_TICK_MS = 1000,
    CHANNELS_STOP_MS = 1000,          /* for sessions to end in order */
    CHANNELS_LISTENERS_MAX = 16,
    CHANNELS_DIALS_MAX = 16,          /* at a time */
    CHANNELS_DIAL_MS = 5000,          /* for one TCP connection */
    CHANNELS_BACKOFF_MIN_MS = 10000,  /* spec channels 2.3 */
    CHANNELS_BACKOFF_MAX_MS = 1800000,
    CHANNELS_STEADY_MS = 60000,       /* a session that lasted so long resets the back-off */
    CHANNELS_SCORE_MAX = 100,
};
#define CHANNELS_KNOWN_MS (UINT64_C(30) * 24 * 3600 * 1000)

/* --- connections: one session each, over a socket or a pipe --- */

enum conn_state {
    CONN_CONNECTING, /* TCP */
    CONN_ACTS,       /* until its hello was judged */
    CONN_GREETED,
    CONN_UP,
    CONN_CLOSED,     /* the last bytes leave */
};

struct chan_conn {
    struct channels *c;
    struct list_link link;           /* of channels.conns */
    struct chan_peer *peer;          /* NULL: not known yet */
    struct list_link peer_link;      /* of chan_peer.conns */
    struct chan_conn *next_work;
    bool in_work;

    enum conn_state state;
    enum dchan_role role;
    struct channel_identity *identity;
    struct dchan_session *session;   /* NULL: connecting */
    struct dchan_mux *mux;           /* of the session since it was up */
    bool contact;                    /* by the rules that held at hello */
    bool known_source;               /* a contact came from its /64 before */
    bool renews;                     /* takes the place of the newest one */
    bool going;                      /* we or they said goaway */
    const char *their_reason;        /* theirs; NULL: they did not */
    bool was_up, said_why;           /* closed with words that the other side should read */
    uint64_t started_ms, linger_ms;

    int fd;                          /* -1: pipe */
    struct event *read_ev, *write_ev;
    struct event *pace_ev;           /* to look again whether there is room for bulk data */
    struct event *beat_ev;           /* for the next write of a constant rate; NULL: none yet */
    uint64_t asked_ms;               /* the time of the last conn_output */
    bool writing, finished;          /* our half is shut, waits for theirs */
    struct netaddr remote, local;    /* zero in a pipe */
    const struct chan_pipe_ops *pipe;
    void *pipe_ctx;
    bool pipe_ended;                 /* its owner has gone */

    bool has_endpoint;               /* what its hello says, proved */
    struct contact_address endpoint;
    bool has_anchor;             /* the block in which its address is registered */
    uint8_t anchor[32];
    char agent[DCHAN_AGENT_MAX + 1];
};

/* One without transport, in no state yet; takes no reference away from the caller. */
struct chan_conn *conn_new(struct channels *c, enum dchan_role role, struct channel_identity *id);
/* The session begins. False: the key is none or our own; the connection ends. */
bool conn_begin(struct chan_conn *conn, const uint8_t *remote_key, const uint8_t *renews);
/* Takes the socket, with the options that sessions want. */
void conn_take_fd(struct chan_conn *conn, int fd);
/* The socket of a dial is connected: reads from now on. */
void conn_read_on(struct chan_conn *conn);
/* What the session gives out now; borrowed as dchan_session_output is. */
struct span conn_output(struct chan_conn *conn, uint64_t now_ms);
/* Comes back when its session says so, while that keeps a rate; after conn_output. */
void conn_wait_for_beat(struct chan_conn *conn);
/* What waits is written, and what has ended is freed, before the loop polls again. */
void conn_kick(struct chan_conn *conn);
void conn_work_all(struct channels *c);
void conn_tick(struct chan_conn *conn, uint64_t now_ms);
/* Ends it, without a word unless code is given. */
void conn_abort(struct chan_conn *conn, enum dchan_error code);
void conn_goaway(struct chan_conn *conn, enum dchan_goaway_reason reason);
/* As the option and its contact say; anew when the contact changes. */
void conn_set_padding(struct chan_conn *conn);
void conn_free(struct chan_conn *conn);

extern const struct dchan_session_ops channels_session_ops; /* without handlers */

/* --- accepting --- */

struct channels_listener {
    struct channels *c;
    struct netaddr addr;
    int fd;
    struct event *ev;
};

struct accept_bucket;

/* What is known of sources before a byte of them is read. */
struct channels_gate {
    struct accept_bucket *buckets;
    struct map known;                 /* /64s from which contacts came */
    struct ratelimit acts, acts_reserved;
    struct sieve sieve;               /* of strangers, before they are accepted */
    bool known_changed;               /* since the sieve was made */
};

void gate_init(struct channels *c);
void gate_clear(struct channels *c);
/* Whether one more handshake may begin; may end others for it. */
bool gate_enter(struct channels *c, const struct netaddr *remote, bool *known);
/* A contact has a session from there. */
void gate_note_contact(struct channels *c, const uint8_t address[BCA_ADDRESS_SIZE],
                       uint64_t now_unix_ms);
/* Every second. */
void gate_tick(struct channels *c);
/* Whether one more may begin that comes from no address. */
bool gate_has_place(struct channels *c);
/* Whether a session that was greeted finds room. */
bool gate_has_room(struct channels *c, const struct chan_conn *conn);

/* Binds; listens once there is an identity. */
enum err channels_listen(struct channels *c, struct error *e) MUST_CHECK;
/* Identities came or went. */
void channels_listen_or_not(struct channels *c);
void channels_unlisten(struct channels *c);
/* After descriptors were short. */
void channels_listen_again(struct channels *c);
/* The identity that answers at a local address; NULL: none does. */
/* Our address is not the one of this session any more. */
bool peer_has_left(const struct chan_peer *p, const struct chan_conn *live);
/* One of now is at this address. */
bool channels_identity_has(const struct channels *c, const uint8_t *address);
struct channel_identity *channels_identity_at(struct channels *c, const uint8_t *address);

/* --- peers --- */

struct chan_peer {
    struct channels *c;
    struct list_link link;           /* of channels.peers */
    struct chan_peer *next_idle;
    bool in_idle;
    uint8_t key[IDENTITY_KEY_SIZE];
    struct channel_identity *identity; /* the object of now */
    bool orphan;                     /* the identity has gone */

    struct list conns;
    struct chan_conn *newest;        /* up */
    struct chan_conn *fresh;         /* greeted, waits for what comes of the newest */
    bool hears_old;                  /* what is being handled did not come in the newest */
    bool silent;                     /* the newest did not answer */
    uint64_t asked_ms, asked_pongs;
    bool announced;                  /* parts know it is up */
    uint64_t up_ms;                  /* since when */
    unsigned score;
    void *slots[CHANNELS_PARTS_MAX];

    bool wanted;                     /* to be dialled when it is due */
    bool quiet;                      /* not to be kept: the user said so */
    bool renew;                      /* a session is to take the place of the newest */
    bool looking;
    bool detour;                     /* a part tries to reach it */
    unsigned fails;
    uint64_t next_dial_ms;
    struct chan_conn *dial;
    size_t tried, n_places;          /* of this round */
    struct contact_address places[CONTACT_ADDRESSES_MAX + BCA_RECORD_ENDPOINTS_MAX + 1];
    char last_error[128];
};

struct chan_peer *peer_find(struct channels *c, const uint8_t *our_key, const uint8_t *their_key);
/* Made if need be. */
struct chan_peer *peer_get(struct channels *c, struct channel_identity *id,
                           const uint8_t key[IDENTITY_KEY_SIZE]);
void peer_add_conn(struct chan_peer *p, struct chan_conn *conn);
void chan_peer_free(struct chan_peer *p);
/* Frees those that nothing holds any more. */
void peer_work_all(struct channels *c);
void peer_check_idle(struct chan_peer *p);
/* The contact of a key under an identity of ours, or NULL; former: the key is not its any more. */
struct contact *peer_contact(struct channels *c, const struct channel_identity *id,
                             const uint8_t key[IDENTITY_KEY_SIZE], bool *former);

/* Up, beside a newer one. */
static inline bool peer_is_old(const struct chan_peer *p, const struct chan_conn *conn)
{
    return conn->state == CONN_UP && conn != p->newest;
}
/* One that was greeted and is not up; at most one is, beside `but`. */
struct chan_conn *peer_greeted_conn(const struct chan_peer *p, const struct chan_conn *but);
void peer_end_all(struct chan_peer *p, enum dchan_goaway_reason reason);

/* What becomes of connections; called by the sessions. */
bool peer_greeted(struct chan_peer *p, struct chan_conn *conn, const struct dchan_hello *hello);
void peer_up(struct chan_peer *p, struct chan_conn *conn);
void peer_going(struct chan_peer *p, struct chan_conn *conn, enum dchan_goaway_reason reason);
void peer_closed(struct chan_peer *p, struct chan_conn *conn, const struct dchan_closing *closing);
/* Whether the newest has answered. */
void peer_settle(struct chan_peer *p);
void chan_peer_tick(struct chan_peer *p, uint64_t now_ms);
void peers_take_identities(struct channels *c);
/* Without one, of the newest; NULL. */
struct dchan_session *peer_session(const struct chan_peer *p);

/* --- channels_heirs.c: identities that are followed by others --- */

/* Whether a contact is one under this key of ours: that of its identity, or one that follows. */
bool heirs_serve(const struct channels *c, const struct contact *contact, const uint8_t *our_key);
/* A contact has refused our key. */
void heirs_refused(struct chan_peer *p);
void heirs_tick(struct channels *c);

/* --- dialling --- */

void dial_tick(struct chan_peer *p, uint64_t now_ms);
/* The socket of a dial is connected or refused, or it takes too long. */
void dial_finished(struct chan_conn *conn, bool too_late);
/* What was dialled failed before it was up: the next place, or a pause. */
void dial_ended(struct chan_peer *p, struct chan_conn *conn);
/* The last session has gone. */
void dial_lost(struct chan_peer *p, bool had_lasted);
/* Not any more, as another session is up. */
void dial_stop(struct chan_peer *p);
bool dial_may(const struct channels *c, const struct contact_address *where);

/* --- the whole --- */

/* Starts: nobody is the channel thread. */
enum channels_stage { CHANNELS_NEW, CHANNELS_STARTS, CHANNELS_RUNS, CHANNELS_ENDED };

#define CHANNELS_FORMER_MAX 8

struct channels {
    struct channels_config config;
    struct channels_blocked blocked;
    char *agent;
    struct channels_ops ops;
    struct dchan_store *store;
    struct contacts *contacts;

    struct event_base *base;
    struct event *tick_ev, *work_ev, *call_ev, *store_ev, *stop_ev;
    int copy_fd;                     /* machine_copy.h; -1: none */
    struct event *copy_ev;
    pthread_t maker;                 /* has the part of the thread until that runs */
    pthread_t thread;                /* set before stage is */
    pthread_t handle;                /* when started, of the maker */
    bool started;
    atomic_int stage;
    bool stopping;
    atomic_bool recheck;
    atomic_uint port;
    atomic_uint_least64_t skew_ms;   /* tests: added to the clock, or to what it showed when it */
    atomic_uint_least64_t frozen_ms; /* was stopped */

    struct queue *calls;
    pthread_mutex_t lock;            /* of requests */
    pthread_cond_t answered;
    struct channels_request *requests;

    struct channel_identity **ids;
    size_t n_ids;
    struct channel_identity *former[CHANNELS_FORMER_MAX]; /* at addresses before; latest first */
    size_t n_former;

    struct channels_heir *heirs;
    size_t n_heirs;

    struct channel_part parts[CHANNELS_PARTS_MAX];
    size_t n_parts;
    struct dchan_features features;
    struct dchan_session_ops session_ops;
    struct dchan_handler *handlers;
    size_t n_handlers;
    struct dchan_shares shares;

    struct list conns, peers;
    struct map peer_map;
    struct siphash_key hash_key;
    struct chan_conn *work;
    struct chan_peer *idle;
    uint8_t *read_buf;

    struct netaddr binds[CHANNELS_LISTENERS_MAX];
    size_t n_binds;
    struct channels_listener listeners[CHANNELS_LISTENERS_MAX];
    size_t n_listeners;
    bool listening;
    struct channels_gate gate;
    /* tests: the address that a socket is taken to come from */
    void (*remote_seam)(void *ctx, struct netaddr *remote);
    void *remote_seam_ctx;
};

/* Every second. */
void channels_tick(struct channels *c);
uint64_t channels_unix_ms(void);
/* NULL: none has the name. */
struct channel_identity *channels_identity_named(const struct channels *c, const char *name);
struct channel_identity *channels_identity_of(const struct channels *c, const uint8_t *key);

/* channels_calls.c */
void calls_init(struct channels *c);
void calls_run(struct channels *c, bool run);
void calls_close(struct channels *c); /* what waits is told that it never will run */
void calls_clear(struct channels *c);
bool calls_on_thread(struct channels *c);

#endif

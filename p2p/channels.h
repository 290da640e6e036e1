/*
 * Direct channels of a node (spec channels 2 to 4): its sockets, who may connect, whom it dials,
 * and the one live session with each peer. What is said in a session belongs to parts (messages,
 * files, services, relay), which are plugged in; who the peers are is known by contacts.h; which
 * keys are ours the owner says.
 *
 * Threads: one thread of its own with a libevent loop owns sockets, sessions, contacts and parts,
 * so that neither the Bitcoin connections nor a block hold up a stream, nor the other way round. It
 * never waits for the disk (dchan_store.h) or for the chain. Functions say "channel" (that thread,
 * or before it runs) or "any".
 *
 * Time is milliseconds of a clock that does not go back; what is stored or sent has unix time.
 */
#ifndef P2P_CHANNELS_H
#define P2P_CHANNELS_H

#include "bca/verify.h"
#include "p2p/bca_record.h"
#include "p2p/contacts.h"
#include "p2p/dchan_session.h"
#include "p2p/dchan_store.h"
#include "p2p/net.h"

struct channels;
struct chan_peer;

/* --- identities of ours --- */

#define CHANNEL_IDENTITY_NAME_MAX 64

/*
 * One key of ours as sessions use it. Immutable once handed over; counted, so that sessions may
 * outlive its wallet's unloading by the moment it takes to end them.
 */
struct channel_identity {
    struct identity_key key;      /* on the channel thread */
    char name[CHANNEL_IDENTITY_NAME_MAX + 1];
    bool has_address;             /* without: a bare key */
    uint8_t address[BCA_ADDRESS_SIZE];
    struct span params;           /* of the address */
    uint64_t seq;                 /* of its record; 0: it has none */
    void (*release)(struct channel_identity *id); /* the last reference is gone; wipes the secret */
    unsigned refs;                /* 1 when it is made; atomic access, by the functions below */
};

struct channel_identity *channel_identity_ref(struct channel_identity *id);
void channel_identity_unref(struct channel_identity *id); /* NULL is fine */

/* --- configuration --- */

/* One option for each (spec channels 1.2, 2.3, 4.4); 0 means the default, in brackets. */
struct channels_limits {
    unsigned sessions;             /* [128] */
    unsigned reserved_contacts;    /* [16] of them */
    unsigned sessions_old;         /* [32] of one peer, that end while a newer one is up */
    unsigned strangers_per_48;     /* [4] */
    unsigned handshakes;           /* [64] in progress */
    unsigned handshakes_reserved;  /* [16] of them, for /64s from which contacts came */
    unsigned handshakes_per_64;    /* [4] */
    unsigned handshakes_per_48;    /* [16] */
    unsigned accepts_burst;        /* [10] for each /64 */
    unsigned accepts_refill_s;     /* [6] seconds for one more */
    unsigned act1_per_s;           /* [100] */
    uint64_t windows, windows_strangers; /* [256 MiB], [64 MiB]: all sessions together */
    uint64_t windows_each, windows_each_stranger; /* [32 MiB], [1 MiB]: of one */
    unsigned streams, streams_stranger;  /* [256], [16] of one */
    unsigned opens_per_s;                /* [100] streams that one session may open */
    unsigned opens_waiting;              /* [32] of them, of either side, not answered yet */
    unsigned opens_flood_per_s;          /* [1000] that one may ask for; more end it */
    uint64_t open_ms;                    /* [30 s] until an opening is answered */
    uint64_t dgram_backlog;              /* [32 KiB] of output above which datagrams are dropped */
    uint64_t dgram_age_ms;               /* [100 ms] that it may have waited */
    uint64_t duplicate_ms;               /* [5 s] for a sign of life of the older of two sessions */
    uint64_t known_ms;                   /* [30 days] how long a /64 is one contacts came from */
    uint64_t pause_ms, pause_max_ms;     /* [10 s], [30 min] between tries to reach a contact */
    struct dchan_session_limits session; /* act_ms 0: the defaults for all of them */
};

struct channels_config {
    uint8_t magic[4];
    bool regtest;                /* any address may be dialled, and need not be theirs; bare is
                                    fine */
    bool listen;
    struct net_strings bind;     /* "addr" or "[addr]:port"; none: every address */
    uint16_t port;
    bool bind_or_not;            /* what cannot be bound is done without, with a warning */
    const char *agent;
    struct net_strings blocked;  /* strangers that never may: channels_blocked.h */
    bool strangers;              /* who is no contact may have a session */
    bool strangers_unbound;      /* also from another address than the proved one */
    bool dial_contacts;          /* keeps sessions with contacts; else only when asked or needed */
    uint64_t grace_ms;           /* from a revocation to the end of the session */
    bool padded;                 /* sizes of what is sent are hidden, from every peer's path */
    struct channels_limits limits;
};

/* What the owner knows. Channel thread; must not wait. */
struct channels_ops {
    /* Views of the chain for proofs; outlives the channels. */
    const struct bca_policy *proof;
    int32_t (*height)(void *ctx);
    /*
     * Where a contact may be reached beside what the contact itself says: its newest record. Writes
     * at most BCA_RECORD_ENDPOINTS_MAX, returns how many.
     */
    size_t (*endpoints)(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE],
                        struct bca_endpoint out[BCA_RECORD_ENDPOINTS_MAX]);
    /* Nothing is known: ask Bitcoin peers for its record. */
    void (*look_for)(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE]);
    /* The key is one of a contact from now on, or is not any more. May be NULL, as the others. */
    void (*contact)(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], bool contact);
    /* For the event log. closing NULL: up. */
    void (*session)(void *ctx, struct chan_peer *p, const struct dchan_closing *closing);
    void *ctx;
};

/* Opens no socket. store is borrowed; contacts were loaded. ERR_RANGE names the bad option. */
enum err channels_new(struct channels **out, const struct channels_config *c,
                      const struct channels_ops *ops, struct dchan_store *store,
                      struct contacts *contacts, struct error *e) MUST_CHECK;
/* Binds, listens as soon as there is an identity, and starts the thread. ERR_IO: listening was
 * asked for and no address could be bound. */
enum err channels_start(struct channels *c, struct error *e) MUST_CHECK;
/*
 * Ends sessions with goaway, flushes for a moment, joins. Calls that wait end with ERR_CANCELLED.
 * Then, in this order: the store is freed (its last completions call parts), parts, channels,
 * contacts.
 */
void channels_stop(struct channels *c);
void channels_free(struct channels *c); /* NULL is fine */

/* Any: the identities of now, the first one the default; takes the references. Sessions of keys
 * that are gone end; a new address of a key moves its sessions (spec channels 2.6), and at its last
 * addresses it is still answered. */
void channels_set_identities(struct channels *c, struct channel_identity **ids, size_t n);
/* Channel: whether it is the key of one of them. */
bool channels_is_own_key(const struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE]);
/*
 * Channel: an identity of ours is followed by another one of ours (spec channels 2.7). From then on
 * it serves contacts alone that had no session under a later one yet, and nobody after `until`. It
 * is no default for contacts any more. A second successor of a key is left out.
 */
struct channels_heir {
    uint8_t old_key[IDENTITY_KEY_SIZE], new_key[IDENTITY_KEY_SIZE];
    char name[CHANNEL_IDENTITY_NAME_MAX + 1]; /* of the old one, by which contacts name it */
    int64_t until;                            /* unix */
};
void channels_add_heir(struct channels *c, const struct channels_heir *heir);
/* Channel: whether the key of ours has a successor. */
bool channels_is_followed(const struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE]);
/* Channel: whether `to` is `from`, or follows it over any number of steps. */
bool channels_key_leads_to(const struct channels *c, const uint8_t from[IDENTITY_KEY_SIZE],
                           const uint8_t to[IDENTITY_KEY_SIZE]);
/* Channel: keys of ours that it follows so, at most max of them; how many. */
size_t channels_keys_before(const struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE],
                            uint8_t (*out)[IDENTITY_KEY_SIZE], size_t max);
/* Channel: the identity that a contact is served under; NULL: it is not there. */
struct channel_identity *channels_identity_for(const struct channels *c,
                                               const struct contact *contact);
/* Channel: ERR_RANGE, the identity of this name takes no further contact. */
enum err channels_check_choice(const struct channels *c, const char *name,
                               struct error *e) MUST_CHECK;
/* Any: a header more, or a marker was spent. Done within a second, once for many calls. */
void channels_recheck(struct channels *c);
/*
 * Channel: a contact was added, changed or removed, this is or was its key. Removed: parts hear of
 * it, its sessions end. Another identity or another key: sessions that do not fit end.
 */
void channels_contact_changed(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE]);
/* Channel: ops.endpoints may say something new of the key, as a record of it came. */
void channels_endpoints_changed(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE]);
/* Any: the first port that is listened on, or will be when there is an identity; 0: none. */
uint16_t channels_port(const struct channels *c);

/* --- calls from other threads --- */

/* Runs fn on the channel thread and waits. False: it has stopped, fn did not run. Before start: at
 * once by who made the channels, others wait. */
bool channels_call(struct channels *c, void (*fn)(struct channels *c, void *ctx),
                   void *ctx) MUST_CHECK;
/* Without waiting; fn frees its ctx, and is called with c NULL when it never will run. */
void channels_post(struct channels *c, void (*fn)(struct channels *c, void *ctx), void *ctx);

/*
 * Work that the channel thread begins and ends later (when something is on disk, or a peer
 * answers). Embedded first in the asker's struct. After channels_ask has returned nobody has it any
 * more.
 */
struct channels_request {
    enum err rc;
    struct error error;
    bool done; /* the core's */
    struct channels_request *next;
};
/* begin must have channels_answer called, at once or later; at a stop the core does it. Any. */
enum err channels_ask(struct channels *c, void (*begin)(struct channels *c,
                                                        struct channels_request *r),
                      struct channels_request *r, struct error *e) MUST_CHECK;
/* Channel. e is copied when rc is an error, NULL: its name. */
void channels_answer(struct channels *c, struct channels_request *r, enum err rc,
                     const struct error *e);
/* Channel: false, the asker has gone (a stop); to be asked by who kept r. */
bool channels_is_waiting(const struct channels *c, const struct channels_request *r);

/* --- parts: channel thread, set before start --- */

/*
 * A part of what is said in sessions. Handlers of its message types have the chan_peer as ctx of
 * dchan_handler.take. NULL members are skipped.
 */
struct channel_part {
    const struct dchan_handler *handlers;
    size_t n_handlers;
    struct dchan_features features; /* that it brings; all optional (odd bits) */
    /* A session came up; another one took the place of the last (state goes on, what was in flight
     * is sent again); none is left. */
    void (*up)(void *part, struct chan_peer *p);
    void (*down)(void *part, struct chan_peer *p, const struct dchan_closing *closing);
    /* The peer opens a stream. True: it is this part's, which accepts or resets it in mux now or
     * later. A stream that no part wants is refused. Streams end with their session. */
    bool (*open)(void *part, struct chan_peer *p, struct dchan_mux *mux,
                 const struct dchan_s_open *m);
    void (*withdrawn)(void *part, struct chan_peer *p, struct dchan_mux *mux, uint32_t sid);
    void (*tick)(void *part, uint64_t now_ms); /* every second */
    void (*contact_gone)(void *part, const uint8_t key[IDENTITY_KEY_SIZE]); /* was removed */
    /* A contact could be dialled nowhere. True: the part tries to get a session with it in another
     * way, and calls chan_peer_detour_failed when that comes to nothing. */
    bool (*detour)(void *part, struct chan_peer *p);
    void *ctx;
};
/* Copied; handlers are borrowed. */
void channels_add_part(struct channels *c, const struct channel_part *part);
/* The ctx of the part that has these handlers, for them: what they get is the peer. */
void *channels_part(const struct channels *c, const struct dchan_handler *handlers);

struct event_base *channels_base(struct channels *c);
struct dchan_store *channels_store(struct channels *c);
struct contacts *channels_contacts(struct channels *c);
uint64_t channels_now(struct channels *c);
/* Any thread, once they have started: what sessions offer. */
struct dchan_features channels_features(const struct channels *c);

/* --- peers: channel thread --- */

/*
 * A peer is a key of theirs together with the identity of ours it talks to: it stays while it is a
 * contact, has a session or is being dialled. A contact is one only under the identity that was
 * chosen for it; under others it is a stranger, so that our identities are not linked.
 */
struct chan_peer *channels_find(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE]);
/* The one of a contact, made if need be. NULL: there is no identity of ours for it. */
struct chan_peer *channels_peer_of(struct channels *c, struct contact *contact);
/* The same, or the one under a later identity, when that is being tried since the contact refuses
 * this one. */
struct chan_peer *channels_peer_tried(struct channels *c, struct contact *contact);
void channels_each_peer(struct channels *c, void (*fn)(struct chan_peer *p, void *ctx), void *ctx);

struct channels *chan_peer_channels(struct chan_peer *p);
const uint8_t *chan_peer_key(const struct chan_peer *p);
const struct channel_identity *chan_peer_identity(const struct chan_peer *p);
struct contact *chan_peer_contact(struct chan_peer *p); /* NULL: a stranger */
/* What the parts keep with a peer: one pointer for each. A peer stays while one is not NULL; a part
 * frees its own in down, or when it keeps nothing there any more. */
void **chan_peer_slot(struct chan_peer *p, const void *part_ctx);

bool chan_peer_is_up(const struct chan_peer *p);
/* As dchan_session_send; ERR_NOTFOUND also when no session is up. */
enum err chan_peer_send(struct chan_peer *p, const struct dchan_msg *m) MUST_CHECK;
/* A session from before is still up beside the newest. */
bool chan_peer_has_older(const struct chan_peer *p);
/* For handlers: what they were called for came in a session that another has taken the place of. */
bool chan_peer_hears_old(const struct chan_peer *p);
bool chan_peer_is_slow(const struct chan_peer *p); /* dchan_session_slow; true when not up */
/* Of the newest session that is up and offers streams, or NULL. */
struct dchan_mux *chan_peer_mux(struct chan_peer *p);
/* Both sides offer the feature in the session that is up. */
bool chan_peer_has(const struct chan_peer *p, unsigned feature);
/* What waits in the session leaves: to be called after dchan_mux_wake, _consumed and the like from
 * outside a callback of the session. */
void chan_peer_kick(struct chan_peer *p);
/* Bad behaviour of a part's own (spec attacks): 100 ends the session. */
void chan_peer_score(struct chan_peer *p, unsigned score, const char *why);

/* Dials unless it is up (by a socket: a pipe is replaced) or being dialled; the back-off of its key
 * counts unless `now`. */
void chan_peer_dial(struct chan_peer *p, bool now);
void chan_peer_detour_failed(struct chan_peer *p);
/* goaway(shutdown), and no dialling until it is asked for. */
void chan_peer_disconnect(struct chan_peer *p);
/* It was disconnected, and nobody has asked for it since. */
bool chan_peer_is_quiet(const struct chan_peer *p);

/* --- sessions over something else than a socket: channel thread --- */

/*
 * Carries the bytes of one session, such as a stream that a common peer relays. No addresses are
 * seen: the peer need not be bound. What the limits of sources are for its owner must count.
 */
struct chan_pipe;
struct chan_pipe_ops {
    /* chan_pipe_pull has something to give, and may be called in here. Not from within
     * chan_pipe_pull or _push. */
    void (*wake)(void *ctx);
    /* The last call: the session has ended, what it had to say was pulled or never will be. */
    void (*closed)(void *ctx);
};
struct chan_pipe_config {
    enum dchan_role role;
    struct channel_identity *identity; /* of ours: who dials, or who was asked for */
    const uint8_t *key;                /* initiator: whose it must be, copied; else NULL */
    const struct chan_pipe_ops *ops;   /* outlives the pipe */
    void *ctx;
};
/* ERR_BUSY: too many handshakes; ERR_RANGE: a key that is none or our own; ERR_CANCELLED: it stops.
 * No call of ops before it returns. */
enum err channels_attach(struct channels *c, const struct chan_pipe_config *config,
                         struct chan_pipe **out) MUST_CHECK;
/* What arrived, all of it; and that nothing follows. */
void chan_pipe_push(struct chan_pipe *pipe, struct span in);
void chan_pipe_push_end(struct chan_pipe *pipe);
/* Up to max bytes to be sent; *end: nothing follows, ops.closed comes soon. */
size_t chan_pipe_pull(struct chan_pipe *pipe, uint8_t *out, size_t max, bool *end);
/* The carrier has gone: the session ends as by a cut, without a call of ops. */
void chan_pipe_close(struct chan_pipe *pipe);

enum chan_peer_state { CHAN_PEER_IDLE, CHAN_PEER_LOOKING, CHAN_PEER_DIALLING, CHAN_PEER_HANDSHAKE,
                       CHAN_PEER_UP, CHAN_PEER_GOING };
struct chan_peer_info {
    enum chan_peer_state state;
    bool inbound, contact, translated, provisional;
    enum dchan_binding binding;
    bool has_anchor;
    uint8_t anchor[32]; /* of its address: hash of a block */
    uint8_t key[IDENTITY_KEY_SIZE];
    char identity[CHANNEL_IDENTITY_NAME_MAX + 1];
    char address[NET_NAME_MAX]; /* of the socket; "" without */
    char agent[DCHAN_AGENT_MAX + 1]; /* sanitised */
    uint16_t version;
    size_t streams;
    struct dchan_session_stats stats;
    uint64_t up_unix_ms;
    char last_error[128]; /* of the last try or session; "" none */
    uint64_t next_dial_ms; /* from now; 0: none is planned */
};
const char *chan_closed_name(enum dchan_closed why);
void chan_peer_get_info(struct chan_peer *p, struct chan_peer_info *out);

#endif

/*
 * One payment channel of type 1 as one side of it sees it (spec channels 8.5 to 8.8): a state
 * machine without clock, disk, chain and network.
 *
 *     paychan_step(channel, event) -> channel', what to write, what to do
 *
 * The rule that keeps the money: whoever runs it writes the record of a step, waits until it is
 * synced, and only then does what the step says, in its order and after what earlier steps said.
 * Further steps may be taken meanwhile, so that one flush serves many payments. After a crash the
 * last record is the state; PAYCHAN_EV_START then brings back what has to be done.
 *
 * What the payer has signed counts as paid for good: every later state has a higher n and a higher
 * sum, and no n is signed twice with other content. The payee's best close can always be completed
 * by the payee alone.
 *
 * What is lost with a session or a process is repeated without anybody's help. When a session comes
 * up both send chan_sync; the payer, when the payee shows less and nothing may come of the session
 * before any more, its highest state, and what the payee may not have seen of opening, funding and
 * close; the payee chan_ready, or the close. A payer that was refused (`stopped`) goes on: after a
 * limit with the next chan_ready that covers its sum, which the payee sends when the limit changes,
 * and at its next look after each such refusal; after PAYCHAN_LIMIT in a second; after
 * PAYCHAN_BAD_STATE when the payee says in a chan_sync that the channel is open, for which it is
 * asked at once and each PAYCHAN_SYNC_S; else in the next session.
 *
 * Amounts are satoshis, times unix seconds, heights those of the active chain. Pure functions, any
 * thread; ec_init must have been called.
 */
#ifndef WALLET_PAYCHAN_H
#define WALLET_PAYCHAN_H

#include "base/err.h"
#include "wallet/paychan_tx.h"

enum {
    PAYCHAN_ID_SIZE = 32,
    PAYCHAN_MEMO_MAX = 256,
    PAYCHAN_REF_MAX = 64,
    PAYCHAN_UNACKED_MAX = 4096,     /* payments in flight */
    PAYCHAN_INPUTS_MAX = 16,        /* of the funding that are remembered */
    PAYCHAN_SYNC_S = 10,            /* in which a chan_sync is answered */
    PAYCHAN_MOVE_S = 5,             /* in which what an old session carries has arrived */
    PAYCHAN_MOVE_MIN_S = 2,         /* also when that has ended meanwhile */
    PAYCHAN_BAD_SIGS_MAX = 10,      /* then the session is ended */
    PAYCHAN_DEPTH_FINAL = 6,
    PAYCHAN_DEPTH_KEPT = 100,
    PAYCHAN_MIN_DEPTH_MAX = 10,
    PAYCHAN_MARGIN_MIN = 36,        /* blocks before the expiry at which the payee closes */
    PAYCHAN_MARGIN_MAX = 1008,
    PAYCHAN_MARGIN_BEFORE = 144,    /* of use before that */
    PAYCHAN_LIFE_MAX = 4032,        /* blocks from the tip to the expiry */
    PAYCHAN_OPEN_S = 60,            /* in which a chan_open is answered */
    PAYCHAN_ACCEPT_GOOD_S = 3600,
    PAYCHAN_ABANDON_S = 172800,     /* an accept without funding is forgotten */
    PAYCHAN_TIP_AGE_MAX_S = 7200,   /* of a tip by which payments are taken */
    PAYCHAN_BLOCK_S = 600,
};

enum paychan_role { PAYCHAN_PAYER = 1, PAYCHAN_PAYEE = 2 };

/* Of the payer and of the payee; on the wire and on disk: never renumbered. */
#define PAYCHAN_NEW 0 /* there is no channel yet, or it is to be forgotten */
enum paychan_payer_state {
    P_OPENING = 1, P_ACCEPTED, P_FUNDED, P_OPEN, P_CLOSING, P_CLOSED, P_EXPIRED, P_REFUNDING,
    P_REFUNDED,
};
enum paychan_payee_state { R_ACCEPTED = 1, R_SEEN, R_OPEN, R_CLOSING, R_CLOSED, R_ABANDONED };

/* Of chan_fail. */
enum paychan_fail {
    PAYCHAN_REFUSED = 1, PAYCHAN_BAD_PARAMS = 2, PAYCHAN_BAD_SCRIPT = 3, PAYCHAN_BAD_AMOUNT = 4,
    PAYCHAN_BAD_SIG = 5, PAYCHAN_TOO_SHALLOW = 6, PAYCHAN_BAD_STATE = 7, PAYCHAN_LATE = 8,
    PAYCHAN_LIMIT = 9, PAYCHAN_UNKNOWN = 10,
};

/* How the funding output stands in the chain. */
enum paychan_funding {
    PAYCHAN_UNFUNDED,    /* nobody has shown it */
    PAYCHAN_UNCONFIRMED,
    PAYCHAN_CONFIRMED,   /* in funding_height */
    PAYCHAN_REPLACED,    /* an input of it is spent by another transaction, or it left the chain */
};
/* What spends it, the strongest that is known. */
enum paychan_spend {
    PAYCHAN_UNSPENT,
    PAYCHAN_SPENT_CLOSE,  /* by a close, of whatever state */
    PAYCHAN_SPENT_REFUND,
    PAYCHAN_SPENT_OTHER,  /* by what neither of us can have made alone */
};

/* The whole of it, as stored (paychan_record.h). */
struct paychan {
    enum paychan_role role;
    uint8_t state; /* enum paychan_payer_state, enum paychan_payee_state */
    uint8_t id[PAYCHAN_ID_SIZE];
    uint8_t nonce_a[32], nonce_b[32];
    struct paychan_terms terms;
    uint8_t min_depth;
    uint16_t close_margin;
    uint64_t since;              /* when the last state before funding was reached */
    struct outpoint funding;
    enum paychan_funding funded;
    uint32_t funding_height;
    uint64_t refund_fee;         /* payer */
    uint8_t n_inputs;            /* payee: the first ones of the funding transaction */
    struct outpoint inputs[PAYCHAN_INPUTS_MAX];

    /* The highest state: signed (payer) or accepted with sig (payee). */
    uint64_t n, paid;
    uint8_t sig[EC_SIG_SIZE];
    /* A close that was agreed on beside it: its own fee, perhaps a higher sum. */
    bool has_agreed;
    struct paychan_close agreed;
    uint8_t agreed_sig[EC_SIG_SIZE];

    enum paychan_spend spend;
    uint32_t spend_height;       /* 0: not in a block */
    struct paychan_close settled; /* of PAYCHAN_SPENT_CLOSE */
    uint32_t signatures;         /* of the payee, made for closes so far: each is another id */
    bool regained;               /* payee: restored, and the sum of before has not come back yet */
    bool frozen;                 /* payer: the payee showed a state that we cannot have signed */
    bool unsigned_yet;           /* the funding was replaced; payee: sig is of the one before;
                                    payer: sig is new, and the payee may not have it */

    /* Not stored: of this session, or known again soon. */
    uint32_t seen_tip;            /* of the last PAYCHAN_EV_TIP */
    unsigned sync_open;           /* so many chan_syncs of ours wait for theirs */
    uint64_t sync_since;          /* when it was sent */
    bool copy_sent;               /* the other side seems to have lost the channel: it has a copy */
    bool sighted;                 /* payee: the chain was asked for the output since the start */
    uint64_t sync_answered;       /* when one was answered last: at most one a second */
    uint64_t acked_n, acked_paid; /* payer: by the payee */
    unsigned in_flight;           /* payee: payments taken since the last ack left */
    uint64_t limit;               /* payer: what the payee takes for now */
    uint64_t moves;               /* payer: since when a session has come up while payments of the
                                     last one may still arrive; 0: none may */
    bool carried;                 /* payer: the last one was up then */
    enum paychan_fail stopped;    /* payer: why no payment is sent; 0: it may */
    uint16_t alarmed;             /* payer: codes the user was told of in this session, as bits */
    bool gap_allowed;             /* payee: the first n above ours counts after a chan_sync */
    bool failed;                  /* payee: a chan_fail went out since */
    unsigned bad_sigs;
    uint64_t told_limit;          /* payee: what the last chan_ready said */
};

/* What the node allows as a payee, and asks for as a payer; options. */
struct paychan_policy {
    uint64_t capacity_min, capacity_max; /* [10,000], [100,000,000] */
    uint16_t close_margin;               /* [144] */
    uint8_t min_depth;                   /* [1]; 0 asks for a limit above 0 below */
    uint64_t unconfirmed_max;            /* [0] sum accepted before the first block */
    uint64_t shallow_max;                /* [100,000] and before PAYCHAN_DEPTH_FINAL blocks */
    uint64_t unsettled_max;              /* a sum that is closed at once; 0: none */
    uint64_t close_fee_min;              /* of a close of PAYCHAN_CLOSE_SIZE_MAX bytes */
};

/* Of the node when the event is taken. */
struct paychan_view {
    uint32_t tip;
    uint64_t tip_time, now;
    bool synced; /* headers and blocks */
    bool older;  /* a session from before is still up beside the newest */
};

/* --- messages (spec channels 8.5); those of a channel without its id --- */

struct paychan_open_msg {
    uint8_t nonce_a[32];
    uint16_t type;
    uint64_t capacity;
    uint32_t expiry;
    uint64_t close_fee;
    uint8_t payer_key[EC_PUBKEY_SIZE], payer_pkh[PAYCHAN_PKH_SIZE];
    struct span memo;
};
struct paychan_accept_msg {
    uint8_t id[PAYCHAN_ID_SIZE], nonce_b[32];
    uint8_t payee_key[EC_PUBKEY_SIZE], payee_pkh[PAYCHAN_PKH_SIZE];
    uint8_t min_depth;
    uint16_t close_margin;
};
/* The BEEF was read and verified by the owner. */
struct paychan_funded_msg {
    struct outpoint at;
    const struct tx *tx; /* that was shown, when it is genuine */
    bool genuine;    /* the output is there as the terms say, and no coinbase made it */
    uint32_t height; /* of its block on our chain, 0: none is proved */
    bool unspent;    /* as far as we can tell */
};
struct paychan_ready_msg {
    uint32_t height;
    bool has_limit;
    uint64_t limit;
};
struct paychan_pay_msg {
    uint64_t n, paid;
    uint8_t sig[EC_SIG_SIZE];
    struct span ref;
    bool too_fast;   /* of one that came: more than so many a second are not taken */
    bool old;        /* of one that came: in a session that another has taken the place of */
};
struct paychan_ack_msg { uint64_t n, paid; };
struct paychan_close_msg {
    struct paychan_close close;
    uint8_t sig[EC_SIG_SIZE];
};
struct paychan_sync_msg {
    uint8_t role, state;
    uint64_t n, paid, close_fee;
    uint8_t sig[EC_SIG_SIZE];
    uint32_t tip;
    bool copy; /* of one that is sent: with the copy of the channel (paychan_copy.h) */
};
struct paychan_fail_msg {
    uint16_t code;
    const char *text;
    bool opening; /* it refuses a chan_open, and names that by its nonce */
};

/* --- events --- */

enum paychan_event_kind {
    PAYCHAN_EV_START,      /* after a restart, for every channel that was stored */
    PAYCHAN_EV_UP,         /* a session with the other side came up */
    /* of the other side */
    PAYCHAN_EV_OPEN_MSG,   /* payee, on a new channel; keys in `own` */
    PAYCHAN_EV_ACCEPT_MSG, /* payer */
    PAYCHAN_EV_FUNDED_MSG, /* payee */
    PAYCHAN_EV_READY_MSG,  /* payer */
    PAYCHAN_EV_PAY_MSG,    /* payee */
    PAYCHAN_EV_ACK_MSG,    /* payer */
    PAYCHAN_EV_CLOSE_MSG,  /* payee */
    PAYCHAN_EV_CLOSED_MSG, /* payer: `tx` */
    PAYCHAN_EV_SYNC_MSG,
    PAYCHAN_EV_FAIL_MSG,
    /* of the user and the wallet */
    PAYCHAN_EV_OPEN,       /* payer, on a new channel */
    PAYCHAN_EV_FUND,       /* payer: the wallet has made `tx`, which pays into the lock; NULL: there
                              is none, and it cannot make one */
    PAYCHAN_EV_PAY,
    PAYCHAN_EV_CLOSE,      /* fee 0: that of the terms */
    PAYCHAN_EV_ACKED,      /* payee: this acknowledgement has left */
    PAYCHAN_EV_KEPT,       /* payee: a helper has this state (`pay`) */
    PAYCHAN_EV_RESTORE,    /* on a new channel: terms, nonces, id and funding were found again, the
                              keys are ours, and the output is unspent */
    /* of the chain */
    PAYCHAN_EV_TIP,        /* another tip, or time has passed */
    PAYCHAN_EV_FUNDING,    /* where the funding transaction is now */
    PAYCHAN_EV_SPEND,      /* `tx` spends the output, in a block or not (height 0); NULL: nothing */
    PAYCHAN_EV_RACED,      /* payee: the close was refused as another spend came first */
};

/* Keys and amounts of a new channel. */
struct paychan_own {
    uint8_t our_identity[EC_PUBKEY_SIZE], their_identity[EC_PUBKEY_SIZE]; /* of the session */
    uint8_t nonce[32];
    uint8_t key[EC_PUBKEY_SIZE], pkh[PAYCHAN_PKH_SIZE];
    uint64_t capacity, close_fee, refund_fee; /* payer */
    uint32_t expiry;                          /* payer */
    struct span memo;
};

struct paychan_event {
    enum paychan_event_kind kind;
    struct paychan_view view;
    const struct paychan_policy *policy;
    const uint8_t *secret; /* of our key of the lock, for what may sign; NULL: not to be had now */
    union {
        struct paychan_open_msg open;
        struct paychan_accept_msg accept;
        struct paychan_funded_msg funded;
        struct paychan_ready_msg ready;
        struct paychan_pay_msg pay; /* and PAYCHAN_EV_KEPT */
        struct paychan_ack_msg ack; /* and PAYCHAN_EV_ACKED */
        struct paychan_close_msg close;
        struct paychan_sync_msg sync;
        struct paychan_fail_msg fail;
        struct { uint64_t amount; struct span ref; } amount; /* PAYCHAN_EV_PAY */
        struct { uint64_t fee; } closing;                    /* PAYCHAN_EV_CLOSE */
        struct { enum paychan_funding funded; uint32_t height; } funding;
        struct {
            const struct tx *tx;
            uint32_t height, index; /* of its block; of the output that funds */
            bool already;           /* PAYCHAN_EV_FUND: it may have been sent before */
        } tx;
    };
    const struct paychan_own *own; /* PAYCHAN_EV_OPEN, _OPEN_MSG */
};

/* --- what a step says --- */

enum paychan_record_kind {
    PAYCHAN_KEEP,   /* nothing to write */
    PAYCHAN_NUMBERS, /* n, paid, sig alone: the short record of a payment */
    PAYCHAN_WHOLE,
};

enum paychan_do {
    PAYCHAN_DO_SEND_OPEN = 1, PAYCHAN_DO_SEND_ACCEPT, PAYCHAN_DO_SEND_FUNDED,
    PAYCHAN_DO_SEND_READY, PAYCHAN_DO_SEND_PAY, PAYCHAN_DO_SEND_ACK, PAYCHAN_DO_SEND_CLOSE,
    PAYCHAN_DO_SEND_CLOSED, PAYCHAN_DO_SEND_SYNC, PAYCHAN_DO_SEND_FAIL,
    PAYCHAN_DO_END_SESSION,   /* error 4 */
    PAYCHAN_DO_FUND,          /* the wallet makes the funding transaction, not yet sent */
    PAYCHAN_DO_SEND_FUNDING,  /* to the network: it is in the wallet */
    PAYCHAN_DO_WATCH,         /* tell of the funding output and of its spends from now on */
    PAYCHAN_DO_BROADCAST_CLOSE, /* paychan_make_close */
    PAYCHAN_DO_BROADCAST_REFUND, /* paychan_make_refund */
    PAYCHAN_DO_SERVE,         /* payee: the sum in `pay` is there to be served for */
    PAYCHAN_DO_FORGET,        /* delete the channel */
    PAYCHAN_DO_ALARM,         /* `fail.text` to the user */
};

struct paychan_action {
    enum paychan_do what;
    union {
        struct paychan_ready_msg ready;
        struct paychan_pay_msg pay;  /* and PAYCHAN_DO_SERVE; ref borrows the event's */
        struct paychan_ack_msg ack;
        struct paychan_close_msg close;
        struct paychan_sync_msg sync;
        struct paychan_fail_msg fail;
    };
};

#define PAYCHAN_ACTIONS_MAX 6

struct paychan_result {
    enum err refused; /* of an event of the user: why not; nothing has changed then */
    const char *text; /* static; with refused */
    enum paychan_record_kind record;
    size_t n;
    struct paychan_action actions[PAYCHAN_ACTIONS_MAX];
};

/* Changes *c. An event that does not belong to its role or state changes and says nothing, or
 * refuses. */
void paychan_step(struct paychan *c, const struct paychan_event *ev, struct paychan_result *out);

/* channel_id: the identities of the session in which it was opened. */
void paychan_make_id(uint8_t id[PAYCHAN_ID_SIZE], const uint8_t payer[EC_PUBKEY_SIZE],
                     const uint8_t payee[EC_PUBKEY_SIZE], const uint8_t nonce_a[32],
                     const uint8_t nonce_b[32]);
/* The close to broadcast: the agreed one, else the best. Payee; false without a secret or state. */
bool paychan_make_close(const struct paychan *c, const uint8_t payee_secret[32], struct buf *out);
/* Payer. */
bool paychan_make_refund(const struct paychan *c, const uint8_t payer_secret[32],
                         struct buf *out);
/* A payer that does not know for now what the payee has: its payment was refused for the state of
 * the channel, and its chan_sync is not answered yet; or what it paid in the last session may still
 * arrive. One that waits so long leaves no gap, over which the payee cannot tell what each of the
 * payments was for. */
bool paychan_is_asking(const struct paychan *c);
/* What the payee takes for now in all: nothing while blocks are missing. */
uint64_t paychan_limit(const struct paychan *c, const struct paychan_policy *p,
                       const struct paychan_view *v);
/* "opening", "refunding" ... */
const char *paychan_state_name(enum paychan_role role, unsigned state);
const char *paychan_fail_name(unsigned code);

#endif

/*
 * What commands ask of payment channels. The node fills the functions in (rpc_env.payments); all
 * but pay wait, so they are for waiters and workers. Amounts are satoshis.
 */
#ifndef RPC_PAY_CALL_H
#define RPC_PAY_CALL_H

#include "base/buf.h"
#include "base/ec.h"
#include "base/err.h"
#include "base/ids.h"

struct paychan_saved; /* wallet/paychan_copy.h */

#define PAY_TEXT_MAX 160
#define PAY_ALIAS_MAX 65
#define PAY_MEMO_MAX 257

struct pay_opening {
    const char *contact;  /* alias or key */
    uint64_t capacity;
    uint32_t expiry_blocks; /* from the tip */
    const char *memo;
};
struct pay_opened {
    uint8_t id[32];
    struct outpoint funding;
    uint32_t expiry;
};

struct pay_paying {
    const char *contact;
    uint64_t amount;
    const char *ref;
    const uint8_t *channel; /* its id; NULL: one that is open and holds so much */
};
struct pay_paid {
    uint8_t id[32];
    uint64_t n, paid;   /* of the channel in all */
    bool acknowledged;  /* false: the session went down first; it is signed and counts */
};
/* Once for each payment, on any thread. rc: why it was not made; paid is borrowed. */
typedef void (*pay_done_fn)(void *ctx, enum err rc, const struct pay_paid *paid,
                            const struct error *e);

struct pay_closing {
    uint8_t id[32];
    uint64_t fee_per_kb; /* 0: the fee that was agreed on at the opening */
};

/* A channel as it stands. */
struct pay_channel {
    uint8_t id[32];
    bool has_id;           /* false: the other side has not answered */
    bool payer;
    bool open;             /* payments may be made or taken */
    bool locked;           /* its key is not to be had until the wallet is unlocked */
    bool connected;
    const char *state, *funded, *spend; /* static */
    char contact[PAY_ALIAS_MAX];        /* "": it is none any more */
    uint8_t key[EC_PUBKEY_SIZE];        /* of the other side, at the opening */
    uint64_t capacity, close_fee, n, paid, acknowledged, limit;
    uint32_t expiry, close_margin, min_depth;
    bool has_funding;
    struct outpoint funding;
    uint32_t funding_height, spend_height;
    bool settled;                       /* a close is known: these are what it pays */
    uint64_t settled_paid, settled_fee;
    int64_t created;
    char memo[PAY_MEMO_MAX], alarm[PAY_TEXT_MAX];
    bool urgent;                        /* the alarm is of money that is in danger now */
};
struct pay_list {
    struct pay_channel *v; /* the caller's (free) */
    size_t n;
    char trouble[PAY_TEXT_MAX]; /* why nothing is taken or paid: the disk fails; "" else */
};

/* A channel of a contact that we keep the newest state of. */
struct pay_kept {
    uint8_t id[32];
    char contact[PAY_ALIAS_MAX]; /* "": it is none any more */
    bool payer;                  /* the contact's side */
    bool closing;                /* the close was sent */
    uint64_t n, paid;
    uint32_t expiry, spend_height;
    struct outpoint funding;
};
struct pay_kept_list {
    struct pay_kept *v; /* the caller's (free) */
    size_t n;
};

struct rpc_pay_service {
    /* Returns when the funding transaction is made and on its way. */
    enum err (*open)(void *ctx, const struct pay_opening *in, struct pay_opened *out,
                     struct error *e);
    /* Any thread, does not wait: done is called when the payment is acknowledged, or will not be
     * for now. What cannot be under way yet has its turn later. in is copied. */
    void (*pay)(void *ctx, const struct pay_paying *in, pay_done_fn done, void *done_ctx);
    /* Returns when it is on disk that the channel closes. */
    enum err (*close)(void *ctx, const struct pay_closing *in, struct error *e);
    enum err (*list)(void *ctx, struct pay_list *out, struct error *e);
    /* What needs the user most: the disk, else the first urgent alarm of a channel, else the first;
     * "" nothing, or nobody can say. */
    void (*trouble)(void *ctx, char out[PAY_TEXT_MAX]);
    /* Appends what a lost database is restored from: paychan_put_saved of each funded channel. */
    enum err (*export_all)(void *ctx, struct buf *out, struct error *e);
    /* Takes one of these back; returns when it is on disk. ERR_EXISTS: it is there; ERR_AUTH: the
     * wallet is locked; ERR_NOTFOUND: no wallet has its keys, or its output is not there. */
    enum err (*restore)(void *ctx, const struct paychan_saved *saved, struct error *e);
    enum err (*kept)(void *ctx, struct pay_kept_list *out, struct error *e);
    void *ctx;
};

struct rpc_call;
/* Of the node. NULL: the call has failed, as this node has none. */
const struct rpc_pay_service *rpc_pay_service(struct rpc_call *call);

#endif

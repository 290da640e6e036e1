/*
 * What payment channels need of a wallet (spec channels 8.3, 8.4): keys that follow from its root
 * and a nonce, and the funding transaction. A thread of its own does it, since the lock of a wallet
 * and the choice of coins must not hold up the channel thread; other work that has to wait for the
 * chain is done there too. Jobs are done one after the other, in their order.
 *
 * The root is that of the wallet's payments (wallet/payments.h). The key that is paid out to is
 * imported into the wallet, which so sees what comes back.
 */
#ifndef NODE_PAYCHAN_WALLET_H
#define NODE_PAYCHAN_WALLET_H

#include "base/queue.h"
#include "p2p/channels.h"
#include "rpc/command.h"
#include "wallet/paychan_tx.h"
#include "wallet/wallets.h"

struct paychan_wallet;

/* Embedded first in what a job needs. */
struct paychan_job {
    struct queue_node node; /* first */
    void (*work)(const struct rpc_env *env, struct paychan_job *j); /* the thread of the jobs */
    /* Channel thread; frees j. c NULL: nothing is wanted any more, it is only freed. */
    void (*done)(struct channels *c, struct paychan_job *j);
};

/* env and channels outlive it; env has chain and wallets. Starts the thread. */
enum err paychan_wallet_new(struct paychan_wallet **out, const struct rpc_env *env,
                            struct channels *channels, struct error *e) MUST_CHECK;
/* Any thread. Takes j. */
void paychan_wallet_do(struct paychan_wallet *w, struct paychan_job *j);
/* Ends the thread after the job that is under way: once the chain has stopped, so that none waits
 * for it. The rest is done with c NULL. NULL is fine. */
void paychan_wallet_free(struct paychan_wallet *w);

/* --- what jobs do; their thread --- */

/* The wallet of that name, which knows what the chain knew at the call: coins are chosen next. The
 * caller's reference; NULL: it is not loaded, e says so. */
struct wallet *paychan_wallet_settled(const struct rpc_env *env, const char *name,
                                      struct error *e);

struct paychan_keys {
    uint8_t nonce[32];
    char wallet[WALLET_NAME_MAX + 1];
    bool import;         /* the payout key into the wallet */
    int32_t scan_from;   /* height, or WALLET_NO_SCAN: nobody can have paid to it */
    uint8_t *secret;     /* of key; secret memory, who takes it sets it NULL */
    uint8_t key[EC_PUBKEY_SIZE], pkh[PAYCHAN_PKH_SIZE];
};
/* ERR_AUTH: the wallet is locked; ERR_NOTFOUND: it is not loaded. */
enum err paychan_keys_make(const struct rpc_env *env, struct paychan_keys *k,
                           struct error *e) MUST_CHECK;

/* The secret of the key that is paid out to; the caller wipes. Errors as above. */
enum err paychan_payout_secret(const struct rpc_env *env, const char *wallet,
                               const uint8_t nonce[32], uint8_t out[32],
                               struct error *e) MUST_CHECK;

struct paychan_fund {
    char wallet[WALLET_NAME_MAX + 1];
    struct paychan_terms terms;
    bool resumed;        /* after a restart: it may have been made before */
    int64_t until;       /* unix time: none is made later */
    struct tx *tx;       /* the caller's reference */
    uint32_t index;
    bool none;           /* after a failure: there is none for certain */
};
/* The funding transaction that the wallet has (when resumed), else a new one, which is in the
 * wallet, on disk, and was not sent. Errors of wallet_send. */
enum err paychan_fund_make(const struct rpc_env *env, struct paychan_fund *f,
                           struct error *e) MUST_CHECK;
/* A transaction of the wallet's, as the chain and mempool may not know it: a reference or NULL. */
struct tx *paychan_fund_find(const struct rpc_env *env, const char *wallet,
                             const struct txid *id);

/* Appends a BEEF of it of at most `most` bytes: with all that proves it, or, where that is larger
 * or cannot be had, with its parents as ids alone. The mempool need not have it yet. */
enum err paychan_beef_make(const struct rpc_env *env, struct tx *tx, size_t most, struct buf *out,
                           struct error *e) MUST_CHECK;

/* Whether the output is unspent in the chain and locked as the terms say; *height: of its block.
 * ERR_BUSY: the chain cannot be asked. */
enum err paychan_output_find(const struct rpc_env *env, const struct paychan_terms *terms,
                             const struct outpoint *at, bool *found,
                             uint32_t *height) MUST_CHECK;

#endif

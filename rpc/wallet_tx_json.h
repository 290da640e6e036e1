/*
 * Transactions of a wallet, as the reference shows them: a send for each output to somebody else,
 * a receive for each that is ours, change left out. All under the wallet's lock.
 */
#ifndef RPC_WALLET_TX_JSON_H
#define RPC_WALLET_TX_JSON_H

#include "rpc/command.h"
#include "wallet/wallet.h"

/* One transaction, with its sums. */
struct wallet_view {
    struct rpc_call *call;
    struct wallet *w;
    const struct history_tx *t;
    bool watched;        /* of watched scripts too */
    int64_t debit;       /* of ours that it spends */
    int64_t credit;      /* of outputs that are ours, change too */
    int64_t fee;         /* when we pay it */
};
enum err wallet_view_init(struct wallet_view *v, struct rpc_call *call, struct wallet *w,
                          const struct history_tx *t, bool watched, struct error *e) MUST_CHECK;

/* Members that all entries of a transaction have. */
void jw_put_wallet_tx(const struct wallet_view *v);

typedef void (*wallet_entry_fn)(void *ctx, const struct wallet_view *v, size_t i,
                                const char *category, bool watch);
/* Sends first, as the reference has it; i is the output. */
void wallet_view_each(const struct wallet_view *v, wallet_entry_fn fn, void *ctx);

enum wallet_entry_members { ENTRY_ALONE /* with those of the transaction */, ENTRY_IN_TX };
/* The object of an entry. */
void jw_wallet_entry(const struct wallet_view *v, size_t i, const char *category, bool watch,
                     enum wallet_entry_members what);

#endif

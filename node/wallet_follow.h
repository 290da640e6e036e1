/*
 * Brings the wallets that are loaded to the tip of the chain and keeps them there: undoes blocks
 * that are no longer active, tells those that are missing, then what enters and leaves the mempool.
 * A wallet hears of the mempool from the moment on at which it stands at the tip; then it gets the
 * whole of it once.
 *
 * Transactions of its own are told to peers at the start and again at random times until they are
 * confirmed.
 *
 * What becomes of a wallet never touches the node: one that cannot be written is unloaded, one
 * whose blocks cannot be read stands still and says why. A rescan that needs a block that was
 * pruned ends there, and the wallet keeps in mind which blocks it did not see.
 *
 * A thread of its own. Chain thread: wallet_follow_blocks and _tx_*. Others: any thread.
 */
#ifndef NODE_WALLET_FOLLOW_H
#define NODE_WALLET_FOLLOW_H

#include "chain/chain.h"
#include "wallet/wallets.h"

struct wallet_follow;

struct wallet_follow *wallet_follow_new(void);
/* Both are borrowed until stop. */
enum err wallet_follow_start(struct wallet_follow *f, struct chain *c, struct wallets *all,
                             struct error *e) MUST_CHECK;
/* Whoever waits gives up. */
void wallet_follow_cancel(struct wallet_follow *f);
void wallet_follow_stop(struct wallet_follow *f); /* ends the thread; before the chain is closed */
void wallet_follow_free(struct wallet_follow *f); /* NULL is fine */

/* --- what the chain says --- */
void wallet_follow_blocks(struct wallet_follow *f); /* one was connected or disconnected */
void wallet_follow_tx_accepted(struct wallet_follow *f, struct tx *tx);
void wallet_follow_tx_removed(struct wallet_follow *f, const struct mempool_removed *r,
                              const struct header_node *block);

/* --- for commands (rpc/wallet_call.h); ctx is the follower --- */
void wallet_follow_wake(void *ctx); /* there is a wallet more, or one wants blocks */
/* Until the wallets know what the chain has said by now. Gives up after three seconds without a
 * step of theirs, a minute, or when one has many blocks to go. */
void wallet_follow_settle(void *ctx);
void wallet_follow_let_go(void *ctx);
uint64_t wallet_follow_memory(void *ctx);
enum err wallet_follow_resend(void *ctx, struct wallet *w, struct buf *ids,
                              struct error *e) MUST_CHECK;
bool wallet_follow_progress(void *ctx, const char *name, double *done, int64_t *took_s,
                            int64_t *eta_s);
bool wallet_follow_trouble(void *ctx, const char *name, char *text, size_t room);

#endif

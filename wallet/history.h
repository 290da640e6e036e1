/*
 * The wallet's transactions and coins, as blocks, the mempool and reorganisations make them.
 *
 * Each operation is one synced batch of the store that moves the mark (the block up to which all is
 * known) together with the data, so a crash leaves the state before or after it; blocks of a rescan
 * may share one. When a write fails the memory is read anew from the store: the operation did not
 * happen. Unspent coins and
 * unconfirmed transactions are held in memory, everything else on disk only.
 *
 * Of transactions that spend one coin the confirmed one counts. The others and what descends from
 * them are conflicted, with negative confirmations, and count again when a reorganisation takes
 * the confirmed one away. A coin is spent as soon as a transaction that may still confirm
 * (neither conflicted nor abandoned) spends it. A coinbase whose block was taken back is abandoned,
 * with all that descends from it, for as long as no block brings it again.
 *
 * Whether a transaction is in the mempool and whether a coin is locked is known in memory only.
 * One thread, or the caller's lock; callbacks must not change the history. Rows: history_rows.c.
 */
#ifndef WALLET_HISTORY_H
#define WALLET_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/kv.h"
#include "base/tx.h"
#include "wallet/scripts.h"

/* Blocks that must be on top of a coinbase before its outputs can be spent, as wallets count. */
#define COINBASE_MATURITY_BLOCKS 100
#define HISTORY_NO_HEIGHT (-1)
#define HISTORY_TO_BEST INT32_MAX
#define HISTORY_STRANGERS_KEPT 1000

struct history;

/* kv is owned from now on, also after an error; scripts is borrowed for as long as it is open. */
enum err history_open(struct history **out, struct kv *kv, const struct scripts *scripts,
                      struct error *e) MUST_CHECK;
void history_close(struct history *h); /* NULL is fine */
/* Called each time before the store is written: for what must be on disk earlier. */
typedef enum err (*history_before_fn)(void *ctx, struct error *e);
void history_before_write(struct history *h, history_before_fn fn, void *ctx);

/* --- blocks --------------------------------------------------------------------------------- */

/*
 * Both say what the store has, also while memory is behind it after failures.
 * False: no block was applied yet; the first one may be of any height.
 */
bool history_best(const struct history *h, struct block_hash *hash, int32_t *height);
/* The height that a rescan needs next, or HISTORY_NO_HEIGHT; and the last one that it needs. */
int32_t history_scan_next(const struct history *h);
int32_t history_scan_last(const struct history *h);
/* The heights between which a rescan that was broken off left blocks out: transactions of them may
 * be missing. A rescan over them that is begun later takes them out. False: there are none. */
bool history_gap(const struct history *h, int32_t *from, int32_t *to);
uint64_t history_broken(const struct history *h); /* counts rescans broken off since opening */

struct history_block_tx {
    const struct tx *tx; /* with its id; NULL: history_keep_bytes has it */
    uint32_t position;   /* in the block */
    struct txid kept;    /* when tx is NULL */
};
/* The bytes of a transaction whose block comes soon: who tells it need not hold them. One at a time
 * is read back then; ERR_BUSY from those who take the block: they are wanted once more. */
enum err history_keep_bytes(struct history *h, const struct tx *tx, struct error *e) MUST_CHECK;

struct history_block {
    struct block_hash hash, prev;
    int32_t height;
    int64_t time;
    const struct history_block_tx *txs; /* in the order of the block; at least those that */
    size_t n;                           /* wallet/pick.h picks, others are passed over */
};

/* The block after the best one, or while a rescan runs the one at history_scan_next. To be asked
 * after a call that did not fail: memory may be behind the store otherwise. */
bool history_wants(const struct history *h, const struct history_block *b);
/* ERR_RANGE for a block that is not wanted. */
enum err history_apply_block(struct history *h, const struct history_block *b,
                             struct error *e) MUST_CHECK;
/* Transactions of a block that was applied before, which had been passed over then. ERR_BUSY: it
 * was not yet. */
enum err history_import(struct history *h, const struct history_block *b,
                        struct error *e) MUST_CHECK;
/* Forgets a transaction, whatever its state: what it spent is there again, what it paid is not.
 * ERR_NOTFOUND. */
enum err history_remove(struct history *h, const struct txid *id, struct error *e) MUST_CHECK;
/*
 * The same for one of many blocks, without a synced write for each. A failure, then or at a later
 * call, undoes all blocks since the last write, and the marks go back with them.
 */
enum err history_apply_block_later(struct history *h, const struct history_block *b,
                                   struct error *e) MUST_CHECK;
/* What waits to be written is. All calls that do not only look at memory do this by themselves. */
enum err history_sync(struct history *h, struct error *e) MUST_CHECK;
/* Takes back the best block; prev is the one before it. Its transactions are unconfirmed
 * afterwards, a coinbase is abandoned. ERR_RANGE when hash is not the best. */
enum err history_undo_block(struct history *h, const struct block_hash *hash,
                            const struct block_hash *prev, struct error *e) MUST_CHECK;
/*
 * From now on blocks from this height up to last, or HISTORY_TO_BEST, are wanted once more: for
 * scripts that are added. Known transactions stay as they are meanwhile. With a rescan that runs it
 * becomes one over both. Above the best nothing happens; before the first block it waits for that.
 */
enum err history_begin_rescan(struct history *h, int32_t height, int32_t last,
                              struct error *e) MUST_CHECK;
/* The block at this height, which the rescan needs next, is not to be had any more: the rescan ends
 * there, and what it needed from there on becomes part of history_gap. Nothing happens when it
 * needs another block. */
enum err history_break_rescan(struct history *h, int32_t height, struct error *e) MUST_CHECK;
/* After scripts were added or removed: whose the coins are is looked up again. */
enum err history_owners_changed(struct history *h, struct error *e) MUST_CHECK;

/* --- unconfirmed transactions ---------------------------------------------------------------- */

/* Texts that a sender notes with a transaction; empty when there is none. */
struct history_note {
    struct span comment, to, label;
};

/* A transaction came into the mempool; one that does not concern us is passed over. */
enum err history_mempool_add(struct history *h, const struct tx *tx, int64_t now,
                             struct error *e) MUST_CHECK;
/* A transaction of our own making, stored before anybody is told. The note may be NULL. */
enum err history_record(struct history *h, const struct tx *tx, const struct history_note *note,
                        int64_t now, struct error *e) MUST_CHECK;

/* A confirmed transaction that excludes another. */
struct history_conflict {
    struct txid by;
    int32_t height; /* of its block; HISTORY_NO_HEIGHT: there is no conflict */
};
/*
 * Left the mempool other than into a block. conflict: with what; NULL: evicted, expired. Anybody
 * can pay us what never confirms: beyond HISTORY_STRANGERS_KEPT unconfirmed transactions in all,
 * one that is not from us is forgotten with this, unless a known one spends from it.
 */
enum err history_mempool_remove(struct history *h, const struct txid *id,
                                const struct history_conflict *conflict,
                                struct error *e) MUST_CHECK;
/*
 * Gives up an unconfirmed transaction and its descendants, which frees the coins they spend.
 * ERR_NOTFOUND; ERR_RANGE when it is confirmed, in the mempool, conflicted or abandoned already.
 */
enum err history_abandon(struct history *h, const struct txid *id, struct error *e) MUST_CHECK;

/* --- coins ----------------------------------------------------------------------------------- */

struct history_sums {
    int64_t trusted;  /* confirmed, or in the mempool and made from our coins alone */
    int64_t pending;  /* in the mempool, from others */
    int64_t immature; /* of coinbases */
};
struct history_balance {
    struct history_sums spendable, watched;
};
/* min_conf applies to trusted. Walks the unspent coins. */
enum err history_balance(struct history *h, int32_t min_conf, struct history_balance *out,
                         struct error *e) MUST_CHECK;

struct history_coin {
    struct outpoint at;
    int64_t value;
    struct span script;   /* borrowed until the next call */
    int32_t height;       /* HISTORY_NO_HEIGHT: unconfirmed */
    int32_t confirmations;
    bool coinbase, immature, locked;
    bool trusted;         /* as in history_sums */
    bool owned;           /* false: its script is no longer among ours */
    struct owner owner;   /* when owned */
    bool spent;           /* by a confirmed transaction, or by one that may confirm */
    struct txid spent_by; /* when spent */
};

struct history_filter {
    int32_t min_conf, max_conf;
    bool untrusted, watched, locked, immature; /* these too */
    const struct scripts *only; /* coins of these scripts; NULL: all */
};

/* False ends the walk. */
typedef bool (*history_coin_fn)(void *ctx, const struct history_coin *coin);
/* Coins of ours that a transaction could spend; of unconfirmed ones those in the mempool. */
enum err history_unspent(struct history *h, const struct history_filter *filter,
                         history_coin_fn fn, void *ctx, struct error *e) MUST_CHECK;
/* Any coin that is or was ours. */
enum err history_get_coin(struct history *h, const struct outpoint *at, struct history_coin *out,
                          bool *found, struct error *e) MUST_CHECK;
/* False when there is no such coin in memory: unknown, or spent by a confirmed transaction. */
bool history_lock_coin(struct history *h, const struct outpoint *at, bool locked);
void history_unlock_all(struct history *h);

/* --- transactions ---------------------------------------------------------------------------- */

struct history_tx {
    const struct tx *tx;
    int32_t height; /* HISTORY_NO_HEIGHT: unconfirmed, and block and position mean nothing */
    struct block_hash block;
    uint32_t position;
    int32_t confirmations; /* negative: of the conflict */
    struct history_conflict conflict;
    int64_t time;   /* received, or of the block when that came first */
    uint64_t order; /* counts the transactions as we learned of them */
    bool coinbase, from_us /* spends coins of ours */, abandoned, in_mempool;
    struct history_note note;
};

/* The transaction is borrowed for the call. False ends the walk. */
typedef bool (*history_tx_fn)(void *ctx, const struct history_tx *t);
enum err history_get_tx(struct history *h, const struct txid *id, history_tx_fn fn, void *ctx,
                        bool *found, struct error *e) MUST_CHECK;
/* By order, newest first, without the first skip. */
enum err history_list(struct history *h, uint64_t skip, history_tx_fn fn, void *ctx,
                      struct error *e) MUST_CHECK;
/* Those in blocks above this height, lowest first, then the unconfirmed in no order. */
enum err history_list_since(struct history *h, int32_t height, history_tx_fn fn, void *ctx,
                            struct error *e) MUST_CHECK;
enum err history_list_unconfirmed(struct history *h, history_tx_fn fn, void *ctx,
                                  struct error *e) MUST_CHECK;

size_t history_bytes(const struct history *h); /* memory */

#endif

/*
 * Blocks, the mempool, reorganisations. The order of the writes: first the next indices of the
 * branches (history_before_write), then the transactions. A crash in between leaves keys that are
 * not given out although no transaction is known to pay them; the block is told again.
 *
 * A transaction that pays a key beyond the look-ahead may stand before the one whose key moves the
 * look-ahead that far. Rather than to remember the outputs of a whole block, the wallet then asks
 * for the block once more, with the keys in its table; each time moves the look-ahead, so it ends.
 *
 * So it does when keys are given out meanwhile, which move the look-ahead too. Whoever asks for
 * keys without end must not hold up the blocks: each time twice as many keys are made beforehand,
 * until the table has all that are given out while one block is told.
 *
 * So it does when a write of somebody else failed meanwhile: what was passed over was compared with
 * coins that may not be those of the store, and blocks before this one may be wanted once more too;
 * then a block that the follower had looked for before is not the next one any more.
 *
 * Transactions of ours wait until their block is through. Beyond FEED_BYTES in one block, or when
 * one alone is larger, their bytes go to the store at once, and each is read back in its turn.
 */
#include <config.h>

#include <stdio.h>

#include "base/intmath.h"
#include "wallet/wallet_internal.h"

#define FEED_BYTES ((size_t)16 << 20)
#define RESERVE_MIN UINT32_C(16)
#define RESERVE_MAX (UINT32_C(1) << 20)

bool wallet_best(struct wallet *w, struct block_hash *hash, int32_t *height, int32_t *scan_next)
{
    wallet_lock(w);
    const bool known = history_best(w->history, hash, height);
    if (scan_next)
        *scan_next = history_scan_next(w->history);
    wallet_unlock(w);
    return known;
}

enum err wallet_rescan(struct wallet *w, int32_t from, int32_t last, struct error *e)
{
    wallet_lock(w);
    enum err rc = history_begin_rescan(w->history, from, last, e);
    wallet_unlock(w);
    return rc;
}

int32_t wallet_scan_last(struct wallet *w)
{
    wallet_lock(w);
    const int32_t last = history_scan_last(w->history);
    wallet_unlock(w);
    return last;
}

enum err wallet_break_rescan(struct wallet *w, int32_t height, struct error *e)
{
    wallet_lock(w);
    enum err rc = history_break_rescan(w->history, height, e);
    wallet_unlock(w);
    return rc;
}

bool wallet_gap_text(struct wallet *w, char text[WALLET_GAP_TEXT_MAX])
{
    int32_t from, to;
    wallet_lock(w);
    const bool gap = history_gap(w->history, &from, &to);
    wallet_unlock(w);
    if (gap)
        snprintf(text, WALLET_GAP_TEXT_MAX,
                 "transactions of blocks %d to %d may be missing: a rescan ended at one that is "
                 "not stored any more (-prune); rescanblockchain looks through those that are, a "
                 "node that keeps all blocks through all", (int)from, (int)to);
    return gap;
}

static void feed_close(struct wallet_feed *f)
{
    for (size_t i = 0; i < f->n; i++)
        tx_unref((struct tx *)f->txs[i].tx);
    f->n = f->bytes = 0;
    f->open = f->passed_over = f->again = f->given = false;
}

static enum err check_wanted(struct wallet *w, const struct wallet_block *b, struct error *e)
{
    const struct history_block block = { .hash = b->hash, .prev = b->prev, .height = b->height };
    return history_wants(w->history, &block) ? OK
                                             : error_set(e, ERR_BUSY, "another block is wanted");
}

enum err wallet_block_begin(struct wallet *w, const struct wallet_block *b, struct error *e)
{
    wallet_lock(w);
    feed_close(&w->feed);
    enum err rc = wallet_fill_reserve(w, e);
    if (!rc)
        rc = pick_begin(w->pick, e);
    if (!rc)
        rc = check_wanted(w, b, e);
    if (!rc) {
        w->feed.open = true;
        w->feed.block = *b;
    }
    wallet_unlock(w);
    return rc;
}

static bool feed_has_room(struct wallet_feed *f)
{
    if (f->n < f->cap)
        return true;
    const size_t cap = MAX_OF(2 * f->cap, (size_t)16);
    struct history_block_tx *txs =
        (struct history_block_tx *)try_realloc(f->txs, cap, sizeof *txs);
    if (!txs)
        return false;
    f->txs = txs;
    f->cap = cap;
    return true;
}

static enum err feed_keep(struct wallet *w, const struct tx *tx, uint32_t position,
                          struct error *e)
{
    struct wallet_feed *f = &w->feed;
    struct history_block_tx t = { .position = position, .kept = tx->id };
    if (!feed_has_room(f))
        return error_set(e, ERR_NOMEM, "no memory for the transactions of a block");
    if (f->bytes + tx_memory(tx) > FEED_BYTES) {
        const enum err rc = history_keep_bytes(w->history, tx, e);
        if (rc)
            return rc;
    } else {
        t.tx = tx_new(tx->raw.data, tx->raw.len, e);
        if (!t.tx)
            return e ? e->code : ERR_NOMEM;
        f->bytes += tx_memory(tx);
    }
    f->txs[f->n++] = t;
    return OK;
}

static enum err see_outputs(struct wallet *w, const struct tx *tx, struct wallet_sight *seen,
                            struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; !rc && i < tx->n_out; i++)
        rc = wallet_see_script(w, tx->out[i].script, seen, e);
    return rc;
}

static enum err take_tx(struct wallet *w, const struct tx *tx, uint32_t position, struct error *e)
{
    struct wallet_feed *f = &w->feed;
    struct wallet_sight seen = { .made = false };
    enum err rc = see_outputs(w, tx, &seen, e);
    f->again |= seen.made && f->passed_over;
    if (rc)
        return rc;
    if (pick_tx_seen(w->pick, tx, seen.pays_us))
        return feed_keep(w, tx, position, e);
    f->passed_over = true;
    return OK;
}

enum err wallet_block_tx(struct wallet *w, const struct tx *tx, uint32_t position, struct error *e)
{
    wallet_lock(w);
    enum err rc = w->feed.open ? take_tx(w, tx, position, e)
                               : error_set(e, ERR_RANGE, "no block is being told to the wallet");
    wallet_unlock(w);
    return rc;
}

/* When what a block shows is written. */
enum when { NOW, LATER };

static enum err apply(struct wallet *w, enum when when, struct error *e)
{
    const struct wallet_feed *f = &w->feed;
    const struct history_block b = { .hash = f->block.hash, .prev = f->block.prev,
                                     .height = f->block.height, .time = f->block.time,
                                     .txs = f->txs, .n = f->n };
    return when == NOW ? history_apply_block(w->history, &b, e)
                       : history_apply_block_later(w->history, &b, e);
}

/* A rescan was begun further down meanwhile, which tells this block once more. */
static bool is_told_again(const struct wallet *w)
{
    struct block_hash hash;
    int32_t best;
    const int32_t next = history_scan_next(w->history), height = w->feed.block.height;
    return history_best(w->history, &hash, &best) && next != HISTORY_NO_HEIGHT &&
           next < height && height <= best;
}

/* Twice as many as before. */
static void raise_reserve(struct wallet *w)
{
    w->reserve = w->reserve < RESERVE_MAX / 2 ? MAX_OF(2 * w->reserve, RESERVE_MIN) : RESERVE_MAX;
}

static enum err end_block(struct wallet *w, enum when when, struct error *e)
{
    const struct wallet_feed *f = &w->feed;
    if (!f->open)
        return error_set(e, ERR_RANGE, "no block is being told to the wallet");
    if (f->given)
        raise_reserve(w);
    if (f->again || !pick_holds(w->pick))
        return error_set(e, ERR_BUSY, "the block is wanted once more");
    return is_told_again(w) ? OK : apply(w, when, e);
}

static enum err block_end(struct wallet *w, enum when when, struct error *e)
{
    wallet_lock(w);
    enum err rc = end_block(w, when, e);
    feed_close(&w->feed);
    wallet_unlock(w);
    return rc;
}

enum err wallet_block_end(struct wallet *w, struct error *e)
{
    return block_end(w, NOW, e);
}

enum err wallet_block_end_later(struct wallet *w, struct error *e)
{
    return block_end(w, LATER, e);
}

enum err wallet_sync(struct wallet *w, struct error *e)
{
    wallet_lock(w);
    enum err rc = history_sync(w->history, e);
    wallet_unlock(w);
    return rc;
}

void wallet_block_cancel(struct wallet *w)
{
    wallet_lock(w);
    feed_close(&w->feed);
    wallet_unlock(w);
}

enum err wallet_undo_block(struct wallet *w, const struct block_hash *hash,
                           const struct block_hash *prev, struct error *e)
{
    wallet_lock(w);
    feed_close(&w->feed);
    enum err rc = history_undo_block(w->history, hash, prev, e);
    wallet_unlock(w);
    return rc;
}

static enum err import_locked(struct wallet *w, const struct tx *tx, const struct wallet_block *b,
                              uint32_t position, struct error *e)
{
    const struct history_block_tx one = { .tx = tx, .position = position };
    const struct history_block block = { .hash = b->hash, .height = b->height, .time = b->time,
                                         .txs = &one, .n = 1 };
    struct wallet_sight seen = { .made = false };
    if (!pick_tx(w->pick, tx))
        return error_set(e, ERR_NOTFOUND, "the transaction concerns no key of the wallet");
    enum err rc = see_outputs(w, tx, &seen, e);
    if (!rc)
        rc = history_import(w->history, &block, e);
    if (!rc) /* what spends it may have been passed over in a block that is being told */
        w->feed.again |= w->feed.open && w->feed.passed_over;
    return rc;
}

enum err wallet_import_tx(struct wallet *w, const struct tx *tx, const struct wallet_block *b,
                          uint32_t position, struct error *e)
{
    wallet_lock(w);
    const enum err rc = import_locked(w, tx, b, position, e);
    wallet_unlock(w);
    return rc;
}

enum err wallet_mempool_add(struct wallet *w, const struct tx *tx, struct error *e)
{
    struct wallet_sight seen = { .made = false };
    wallet_lock(w);
    enum err rc = see_outputs(w, tx, &seen, e);
    if (!rc)
        rc = history_mempool_add(w->history, tx, w->p.now(), e);
    wallet_unlock(w);
    return rc;
}

enum err wallet_mempool_remove(struct wallet *w, const struct txid *id,
                               const struct history_conflict *conflict, struct error *e)
{
    wallet_lock(w);
    enum err rc = history_mempool_remove(w->history, id, conflict, e);
    wallet_unlock(w);
    return rc;
}

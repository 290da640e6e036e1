/*
 * What blocks do to the pools. A connected block takes its transactions out, with whatever
 * conflicts with them. Transactions of disconnected blocks are kept until the tip rests; then they
 * enter again in block order, after them what descended from them in the pool, and what may have
 * become invalid: spends of coinbases and time-locked ones. Crossing an era line empties the
 * mempool (spec consensus 5.3).
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain_internal.h"
#include "chain/journal.h"
#include "chain/txs.h"

#define TIDY_MS 10000
#define SEGMENT_BYTES (4u << 20)

/* --- a block being connected ---------------------------------------------------------------- */

/* Takes the reference. */
static void stage(struct txs *t, struct tx *tx)
{
    if (t->n_staged == t->staged_cap) {
        t->staged_cap = t->staged_cap ? 2 * t->staged_cap : 1024;
        t->staged = xrealloc(t->staged, t->staged_cap * sizeof(*t->staged));
    }
    t->staged[t->n_staged++] = tx;
}

/* The pools have to be told of it: it conflicts with them, or its fee was changed. */
static bool concerns(const struct txs *t, const struct tx *tx)
{
    if (mempool_fee_delta(t->pool, &tx->id) != 0)
        return true;
    for (size_t i = 0; i < tx->n_in; i++)
        if (mempool_spender(t->pool, &tx->in[i].prevout))
            return true;
    return nonfinal_conflicts(t->nonfinal, tx);
}

void txs_block_tx(struct txs *t, const struct tx *tx)
{
    const struct mempool_entry *entry = mempool_find(t->pool, &tx->id);
    if (entry) {
        stage(t, tx_ref(entry->tx));
    } else if (concerns(t, tx)) {
        struct tx *copy = tx_new(tx->raw.data, tx->raw.len, NULL);
        if (copy)
            stage(t, copy);
        t->staging_failed |= !copy;
    }
}

void txs_block_forget(struct txs *t)
{
    for (size_t i = 0; i < t->n_staged; i++)
        tx_unref(t->staged[i]);
    t->n_staged = 0;
    t->staging_failed = false;
}

void txs_tip_moves(struct txs *t)
{
    t->tip_moved = true;
    journal_unsettle(mempool_journal(t->pool));
}

/* Memory was short for what conflicts with the pools: they hold nothing that a block spent. */
static void empty_pools(struct txs *t, struct mempool_removals *r)
{
    log_warn("memory is short for transactions of a block that conflict with the mempool: it is "
             "emptied");
    mempool_remove_all(t->pool, MEMPOOL_BLOCK_CONFLICT, r);
    nonfinal_remove_all(t->nonfinal);
}

void txs_block_connected(struct txs *t, struct header_node *node)
{
    struct mempool_removals r = { .n = 0 };
    for (size_t i = 0; i < t->n_staged; i++) {
        mempool_remove_confirmed(t->pool, t->staged[i], &r);
        nonfinal_remove_conflicts(t->nonfinal, t->staged[i]);
    }
    if (t->staging_failed)
        empty_pools(t, &r);
    txs_block_forget(t);
    mempool_note_block(t->pool, clock_now());
    txs_tell_removed(t, &r, node);
}

/* --- disconnected blocks -------------------------------------------------------------------- */

static void free_returned(struct returned_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        tx_unref(b->txs[i]);
    free(b->txs);
}

void txs_forget_returned(struct txs *t)
{
    for (size_t i = 0; i < t->n_returned; i++)
        free_returned(&t->returned[i]);
    t->n_returned = 0;
    t->returned_bytes = 0;
}

static bool keep_tx(struct returned_block *b, const struct tx *tx, size_t *bytes)
{
    struct tx *copy = tx_new(tx->raw.data, tx->raw.len, NULL);
    if (!copy)
        return false;
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 64;
        b->txs = xrealloc(b->txs, b->cap * sizeof(*b->txs));
    }
    b->txs[b->n++] = copy;
    *bytes += tx->raw.len;
    return true;
}

/* What spends a transaction that is neither in the chain nor in the pool has to go. */
static void drop_spenders(struct txs *t, const struct tx *tx)
{
    struct mempool_removals r = { .n = 0 };
    struct outpoint o = { .txid = tx->id };
    for (size_t i = 0; i < tx->n_out; i++) {
        o.index = (uint32_t)i;
        const struct mempool_entry *spender = mempool_spender(t->pool, &o);
        if (spender) {
            const struct txid id = spender->tx->id;
            mempool_remove(t->pool, &id, MEMPOOL_REORG, &r);
        }
    }
    txs_tell_removed(t, &r, NULL);
}

/* All but the coinbase, up to the mempool's size. */
static enum err read_returned(struct txs *t, struct header_node *node, struct returned_block *b,
                              struct error *e)
{
    struct block_reader *reader;
    struct block_segment *s;
    enum err rc = chain_read_block(t->chain, node, SEGMENT_BYTES, &reader, e);
    if (rc)
        return rc;
    while (!(rc = block_reader_next(reader, &s, e)) && s) {
        for (size_t i = 0; i < s->n_txs; i++)
            if (s->first + i > 0 && (t->returned_bytes >= t->chain->o.mempool.max_bytes ||
                                     !keep_tx(b, &s->txs[i], &t->returned_bytes)))
                drop_spenders(t, &s->txs[i]);
        block_segment_unref(s);
    }
    block_reader_close(reader);
    return rc;
}

enum err txs_block_disconnected(struct txs *t, struct header_node *node, struct error *e)
{
    struct returned_block b = { .n = 0 };
    const enum err rc = read_returned(t, node, &b, e);
    if (rc) {
        free_returned(&b);
        return rc;
    }
    t->returned = xrealloc(t->returned, (t->n_returned + 1) * sizeof(*t->returned));
    memmove(t->returned + 1, t->returned, t->n_returned * sizeof(*t->returned));
    t->returned[0] = b;
    t->n_returned++;
    return OK;
}

/* --- settling ------------------------------------------------------------------------------- */

/* Entries of the pool that may not stay, or have to be judged once more. */
struct doubtful {
    const struct txs *txs;
    struct txid *v;
    size_t n, cap;
};

static void doubt(struct doubtful *d, const struct txid *id)
{
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 64;
        d->v = xrealloc(d->v, d->cap * sizeof(*d->v));
    }
    d->v[d->n++] = *id;
}

static bool is_frozen(const struct txs *t, const struct tx *tx)
{
    struct verdict v;
    return !frozen_check_tx(t->env.frozen, tx, t->chain->tip->height + 1, &v);
}

/* What a lower height may forbid. */
static enum mempool_visit doubt_locked(void *ctx, const struct mempool_entry *entry)
{
    struct doubtful *d = ctx;
    if (entry->spends_coinbase || entry->tx->lock_time || is_frozen(d->txs, entry->tx))
        doubt(d, &entry->tx->id);
    return MEMPOOL_GO_ON;
}

static void doubt_spenders(struct doubtful *d, const struct tx *tx)
{
    struct outpoint o = { .txid = tx->id };
    for (size_t i = 0; i < tx->n_out; i++) {
        o.index = (uint32_t)i;
        const struct mempool_entry *spender = mempool_spender(d->txs->pool, &o);
        if (spender)
            doubt(d, &spender->tx->id);
    }
}

static enum mempool_visit offer_again(void *ctx, const struct mempool_entry *entry)
{
    struct tx_offer *o = tx_offer_new(entry->tx, TX_SOURCE_REORG);
    o->from_pool = true;
    o->work.time = entry->time;
    o->work.height = entry->height;
    tx_list_add(ctx, o);
    return MEMPOOL_GO_ON;
}

/* In the order of their first acceptance, each once, out of the pool. */
static void take_doubtful(struct txs *t, const struct doubtful *d, struct tx_list *out)
{
    struct mempool_removals r = { .n = 0 };
    mempool_each_of_trees(t->pool, d->v, d->n, offer_again, out);
    for (size_t i = 0; i < d->n; i++)
        mempool_remove(t->pool, &d->v[i], MEMPOOL_REORG, &r);
    mempool_removals_clear(&r); /* told when they do not come back */
}

static enum err return_transactions(struct txs *t, struct error *e)
{
    struct doubtful doubtful = { .txs = t };
    struct tx_list all;
    tx_list_init(&all);
    for (size_t i = 0; i < t->n_returned; i++)
        for (size_t j = 0; j < t->returned[i].n; j++) {
            doubt_spenders(&doubtful, t->returned[i].txs[j]);
            tx_list_add(&all, tx_offer_new(t->returned[i].txs[j], TX_SOURCE_REORG));
        }
    mempool_each(t->pool, 0, doubt_locked, &doubtful);
    take_doubtful(t, &doubtful, &all);
    free(doubtful.v);
    txs_forget_returned(t);
    return txs_run_list(t, &all, e);
}

/* Rules of another era hold for the next block: what was accepted under the old ones goes. */
static void cross_line(struct txs *t, enum script_era era)
{
    struct mempool_removals r = { .n = 0 };
    if (era == t->era)
        return;
    t->era = era;
    txs_forget_returned(t);
    mempool_remove_all(t->pool, MEMPOOL_ERA, &r);
    if (r.n)
        log_info("the rules change with the next block: the mempool is emptied of %zu transactions",
                 r.n);
    txs_tell_removed(t, &r, NULL);
}

enum err txs_settle(struct txs *t, struct error *e)
{
    if (!t->tip_moved)
        return OK;
    t->tip_moved = false;
    t->next_tidy_ms = 0;
    cross_line(t, script_era_of(&t->chain->params.heights, t->chain->tip->height + 1));
    const enum err rc = t->n_returned ? return_transactions(t, e) : OK;
    if (!rc)
        journal_settle(mempool_journal(t->pool), t->chain->tip);
    return rc;
}

/* --- frozen outputs ------------------------------------------------------------------------- */

static enum mempool_visit doubt_frozen(void *ctx, const struct mempool_entry *entry)
{
    struct doubtful *d = ctx;
    if (is_frozen(d->txs, entry->tx))
        doubt(d, &entry->tx->id);
    return MEMPOOL_GO_ON;
}

void txs_frozen_changed(struct txs *t)
{
    struct doubtful frozen = { .txs = t };
    struct mempool_removals r = { .n = 0 };
    mempool_each(t->pool, 0, doubt_frozen, &frozen);
    for (size_t i = 0; i < frozen.n; i++)
        mempool_remove(t->pool, &frozen.v[i], MEMPOOL_FROZEN, &r);
    free(frozen.v);
    txs_tell_removed(t, &r, NULL);
}

/* --- now and then --------------------------------------------------------------------------- */

static enum err release_final(struct txs *t, struct error *e)
{
    struct tx **final;
    struct tx_list l;
    txs_refresh_rules(t);
    const size_t n = nonfinal_take_final(t->nonfinal, t->rules.next.height, t->rules.median_time,
                                         &final);
    tx_list_init(&l);
    for (size_t i = 0; i < n; i++) {
        tx_list_add(&l, tx_offer_new(final[i], TX_SOURCE_FINALISED));
        tx_unref(final[i]);
    }
    free(final);
    return txs_run_list(t, &l, e);
}

enum err txs_tidy(struct txs *t, struct error *e)
{
    struct mempool_removals r = { .n = 0 };
    const int64_t now = clock_mono_ms();
    if (now < t->next_tidy_ms)
        return OK;
    t->next_tidy_ms = now + TIDY_MS;
    mempool_expire(t->pool, clock_now(), &r);
    txs_tell_removed(t, &r, NULL);
    nonfinal_purge(t->nonfinal, clock_now());
    return release_final(t, e);
}

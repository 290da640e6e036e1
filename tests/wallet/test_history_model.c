/*
 * The history against a model that keeps no state but what happened: which transactions exist,
 * which are in which block, what the mempool said. Everything else it works out anew at each look.
 * Blocks with double spends, reorganisations, mempool events and abandoning come in random order
 * from fixed seeds. Each operation is first tried with a store that refuses to write: nothing may
 * have changed, in memory or for a process that opens the store then.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/wallet/coin_tx.h"
#include "wallet/history.h"
#include "wallet/pick.h"

enum { TXS = 400, BLOCKS = 260, IN_MAX = 3, OUT_MAX = 3, FIRST_HEIGHT = 1000, NONE = -1 };

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(test_random(&seed) >> 33) % n;
}

/* --- the model ------------------------------------------------------------------------------- */

struct model_tx {
    struct tx *tx;
    struct coin_out out[OUT_MAX];
    bool coinbase;
    bool known, in_mempool, abandoned, from_us;
    int32_t told_height;
    struct txid told_by;
    uint64_t order;
};

struct model_block {
    struct block_hash hash;
    int txs[TXS], n;
};

struct model {
    struct model_tx tx[TXS];
    int n;
    struct model_block block[BLOCKS]; /* the chain */
    int n_blocks;
    uint32_t hashes;
    uint64_t next_order;
    struct scripts *scripts;
    struct kv *kv;
    struct history *h;
    bool later; /* blocks that come wait to be written with others */
};

static int32_t best_height(const struct model *m)
{
    return FIRST_HEIGHT + m->n_blocks - 1;
}

static int32_t height_of(const struct model *m, int i)
{
    for (int b = 0; b < m->n_blocks; b++)
        for (int k = 0; k < m->block[b].n; k++)
            if (m->block[b].txs[k] == i)
                return FIRST_HEIGHT + b;
    return HISTORY_NO_HEIGHT;
}

static bool is_confirmed(const struct model *m, int i)
{
    return height_of(m, i) != HISTORY_NO_HEIGHT;
}

static int by_id(const struct model *m, const struct txid *id)
{
    for (int i = 0; i < m->n; i++)
        if (txid_equal(&m->tx[i].tx->id, id))
            return i;
    return NONE;
}

static bool spends(const struct model *m, int i, const struct outpoint *at)
{
    for (size_t k = 0; !m->tx[i].coinbase && k < m->tx[i].tx->n_in; k++)
        if (outpoint_equal(&m->tx[i].tx->in[k].prevout, at))
            return true;
    return false;
}

static int confirmed_spender(const struct model *m, const struct outpoint *at)
{
    for (int i = 0; i < m->n; i++)
        if (spends(m, i, at) && is_confirmed(m, i))
            return i;
    return NONE;
}

/* Its output is a coin that we know. */
static const struct coin_out *coin_at(const struct model *m, const struct outpoint *at)
{
    const int i = by_id(m, &at->txid);
    const bool ours = i != NONE && m->tx[i].known && m->tx[i].out[at->index].payee != PAY_FOREIGN;
    return ours ? &m->tx[i].out[at->index] : NULL;
}

static bool pays_us(const struct model_tx *t)
{
    for (size_t k = 0; k < t->tx->n_out; k++)
        if (t->out[k].payee != PAY_FOREIGN)
            return true;
    return false;
}

/* but: a transaction that does not count as spender. */
static bool spends_ours(const struct model *m, int i)
{
    for (size_t k = 0; !m->tx[i].coinbase && k < m->tx[i].tx->n_in; k++) {
        const struct outpoint *at = &m->tx[i].tx->in[k].prevout;
        const int spender = confirmed_spender(m, at);
        if (coin_at(m, at) && (spender == NONE || spender == i))
            return true;
    }
    return false;
}

static void prefer(struct history_conflict *best, const struct history_conflict *other)
{
    if (other->height == HISTORY_NO_HEIGHT)
        return;
    if (best->height == HISTORY_NO_HEIGHT || other->height < best->height ||
        (other->height == best->height && memcmp(other->by.b, best->by.b, 32) < 0))
        *best = *other;
}

static struct history_conflict conflict_of(const struct model *m, int i)
{
    const struct model_tx *t = &m->tx[i];
    struct history_conflict best = { t->told_by, t->told_height };
    if (is_confirmed(m, i) || !t->known)
        return (struct history_conflict){ .height = HISTORY_NO_HEIGHT };
    for (size_t k = 0; !t->coinbase && k < t->tx->n_in; k++) {
        const struct outpoint *at = &t->tx->in[k].prevout;
        const int spender = confirmed_spender(m, at), parent = by_id(m, &at->txid);
        if (spender != NONE) {
            const struct history_conflict c = { m->tx[spender].tx->id, height_of(m, spender) };
            prefer(&best, &c);
        }
        if (parent != NONE) {
            const struct history_conflict c = conflict_of(m, parent);
            prefer(&best, &c);
        }
    }
    return best;
}

/* A coinbase that is in no block, or what descends from such a one. */
static bool is_orphaned(const struct model *m, int i)
{
    const struct model_tx *t = &m->tx[i];
    if (is_confirmed(m, i) || !t->known)
        return false;
    for (size_t k = 0; !t->coinbase && k < t->tx->n_in; k++) {
        const int parent = by_id(m, &t->tx->in[k].prevout.txid);
        if (parent != NONE && is_orphaned(m, parent))
            return true;
    }
    return t->coinbase;
}

static bool may_confirm(const struct model *m, int i)
{
    return !m->tx[i].abandoned && !is_orphaned(m, i) &&
           conflict_of(m, i).height == HISTORY_NO_HEIGHT;
}

static bool is_spent(const struct model *m, const struct outpoint *at)
{
    if (confirmed_spender(m, at) != NONE)
        return true;
    for (int i = 0; i < m->n; i++)
        if (m->tx[i].known && spends(m, i, at) && may_confirm(m, i))
            return true;
    return false;
}

static bool is_trusted(const struct model *m, int i)
{
    for (size_t k = 0; k < m->tx[i].tx->n_in; k++) {
        const struct coin_out *c = coin_at(m, &m->tx[i].tx->in[k].prevout);
        if (!c || c->payee != PAY_MINE)
            return false;
    }
    return true;
}

static int32_t confirmations(const struct model *m, int i)
{
    const int32_t height = height_of(m, i), conflict = conflict_of(m, i).height;
    if (height != HISTORY_NO_HEIGHT)
        return best_height(m) - height + 1;
    return conflict == HISTORY_NO_HEIGHT ? 0 : -(best_height(m) - conflict + 1);
}

/* Exists as far as anybody can know, and nothing spends it. */
static bool is_unspent(const struct model *m, int i, uint32_t k)
{
    const struct model_tx *t = &m->tx[i];
    const struct outpoint at = out_of(t->tx, k);
    return t->known && t->out[k].payee != PAY_FOREIGN && !is_spent(m, &at) &&
           (is_confirmed(m, i) || (t->in_mempool && may_confirm(m, i)));
}

static bool is_immature(const struct model *m, int i)
{
    return m->tx[i].coinbase && confirmations(m, i) > 0 &&
           confirmations(m, i) <= COINBASE_MATURITY_BLOCKS;
}

static struct history_balance balance_of(const struct model *m, int32_t min_conf, size_t *n_coins)
{
    struct history_balance b = { .spendable.trusted = 0 };
    *n_coins = 0;
    for (int i = 0; i < m->n; i++)
        for (uint32_t k = 0; k < m->tx[i].tx->n_out; k++) {
            if (!is_unspent(m, i, k))
                continue;
            const struct coin_out *o = &m->tx[i].out[k];
            struct history_sums *s = o->payee == PAY_MINE ? &b.spendable : &b.watched;
            ++*n_coins;
            if (is_immature(m, i))
                s->immature += o->value;
            else if (!is_confirmed(m, i) && !is_trusted(m, i))
                s->pending += o->value;
            else if (confirmations(m, i) >= min_conf)
                s->trusted += o->value;
        }
    return b;
}

/* --- comparing ------------------------------------------------------------------------------- */

struct look {
    const struct model *m;
    bool fresh; /* of a process that has not heard of the mempool yet */
    size_t n;
    uint64_t last_order;
};

static bool tx_agrees(void *ctx, const struct history_tx *t)
{
    struct look *look = ctx;
    const struct model *m = look->m;
    const int i = by_id(m, &t->tx->id);
    assert_int_not_equal(i, NONE);
    const struct model_tx *want = &m->tx[i];
    assert_true(want->known);
    assert_int_equal(t->height, height_of(m, i));
    assert_int_equal(t->confirmations, confirmations(m, i));
    const struct history_conflict c = conflict_of(m, i);
    assert_int_equal(t->conflict.height, c.height);
    if (c.height != HISTORY_NO_HEIGHT)
        assert_memory_equal(&t->conflict.by, &c.by, 32);
    assert_int_equal(t->coinbase, want->coinbase);
    assert_int_equal(t->from_us, want->from_us);
    assert_int_equal(t->abandoned, want->abandoned || is_orphaned(m, i));
    assert_int_equal(t->in_mempool, want->in_mempool && !look->fresh);
    assert_int_equal(t->order, want->order);
    if (t->height != HISTORY_NO_HEIGHT)
        assert_memory_equal(&t->block, &m->block[t->height - FIRST_HEIGHT].hash, 32);
    look->n++;
    return true;
}

static bool tx_agrees_in_order(void *ctx, const struct history_tx *t)
{
    struct look *look = ctx;
    assert_true(!look->n || t->order < look->last_order);
    look->last_order = t->order;
    return tx_agrees(ctx, t);
}

static bool coin_agrees(void *ctx, const struct history_coin *c)
{
    struct look *look = ctx;
    const struct model *m = look->m;
    const int i = by_id(m, &c->at.txid);
    assert_int_not_equal(i, NONE);
    assert_true(is_unspent(m, i, c->at.index));
    assert_false(c->spent);
    assert_int_equal(c->value, m->tx[i].out[c->at.index].value);
    assert_int_equal(c->confirmations, confirmations(m, i));
    assert_int_equal(c->immature, is_immature(m, i));
    assert_int_equal(c->owner.kind,
                     m->tx[i].out[c->at.index].payee == PAY_MINE ? OWNER_SPENDABLE : OWNER_WATCH);
    look->n++;
    return true;
}

static void assert_any_coin(const struct model *m, struct history *h, int i, uint32_t k)
{
    struct history_coin c;
    bool found;
    const struct outpoint at = out_of(m->tx[i].tx, k);
    assert_int_equal(history_get_coin(h, &at, &c, &found, NULL), OK);
    assert_int_equal(found, coin_at(m, &at) != NULL);
    if (!found)
        return;
    assert_int_equal(c.value, m->tx[i].out[k].value);
    assert_int_equal(c.spent, is_spent(m, &at));
    assert_int_equal(c.height, height_of(m, i));
    assert_memory_equal(c.script.data, payee_script(m->tx[i].out[k].payee).data, c.script.len);
    if (c.spent)
        assert_true(spends(m, by_id(m, &c.spent_by), &at));
}

static void assert_txs(const struct model *m, struct history *h, bool fresh)
{
    struct look list = { .m = m, .fresh = fresh }, since = list;
    size_t n_known = 0, n_since = 0;
    const int32_t height = best_height(m) - 5;
    for (int i = 0; i < m->n; i++) {
        n_known += m->tx[i].known;
        n_since += m->tx[i].known && (!is_confirmed(m, i) || height_of(m, i) > height);
        for (uint32_t k = 0; k < m->tx[i].tx->n_out; k++)
            assert_any_coin(m, h, i, k);
    }
    assert_int_equal(history_list(h, 0, tx_agrees_in_order, &list, NULL), OK);
    assert_int_equal(list.n, n_known);
    assert_int_equal(history_list_since(h, height, tx_agrees, &since, NULL), OK);
    assert_int_equal(since.n, n_since);
}

static void assert_balances(const struct model *m, struct history *h)
{
    const struct history_filter all = { 0, INT32_MAX, true, true, true, true, NULL };
    struct look look = { .m = m };
    size_t n_coins;
    for (int32_t min_conf = 0; min_conf < 4; min_conf += 3) {
        struct history_balance got;
        const struct history_balance want = balance_of(m, min_conf, &n_coins);
        assert_int_equal(history_balance(h, min_conf, &got, NULL), OK);
        assert_memory_equal(&got, &want, sizeof got);
    }
    assert_int_equal(history_unspent(h, &all, coin_agrees, &look, NULL), OK);
    assert_int_equal(look.n, n_coins);
}

static void assert_agrees(const struct model *m, struct history *h)
{
    struct block_hash hash;
    int32_t height;
    assert_int_equal(history_best(h, &hash, &height), m->n_blocks > 0);
    if (m->n_blocks) {
        assert_int_equal(height, best_height(m));
        assert_memory_equal(&hash, &m->block[m->n_blocks - 1].hash, 32);
    }
    assert_balances(m, h);
    assert_txs(m, h, false);
}

/* A coin is in one place. */
static void assert_rows(struct kv *kv)
{
    struct kv_iter *it = kv_iter_new(kv);
    struct buf value = { 0 };
    for (kv_iter_seek(it, "s", 1); kv_iter_valid(it); kv_iter_next(it)) {
        uint8_t key[37] = { 'c' };
        bool found;
        if (kv_iter_key(it).data[0] != 's')
            break;
        memcpy(key + 1, kv_iter_key(it).data + 1, sizeof key - 1);
        assert_int_equal(kv_get(kv, key, sizeof key, &value, &found, NULL), OK);
        assert_false(found);
    }
    kv_iter_free(it);
    buf_clear(&value);
}

/* Whoever opens what a power cut leaves, and hears what is in the mempool, agrees too. */
static void assert_store_agrees(const struct model *m)
{
    struct history *h;
    kv_mem_power_cut(m->kv);
    assert_rows(m->kv);
    assert_int_equal(history_open(&h, kv_copy(m->kv), m->scripts, NULL), OK);
    assert_txs(m, h, true);
    struct model *told = (struct model *)xmalloc(sizeof *told);
    *told = *m;
    for (int i = 0; i < m->n; i++)
        if (m->tx[i].known && m->tx[i].in_mempool) {
            assert_int_equal(history_mempool_add(h, m->tx[i].tx, 1, NULL), OK);
            told->tx[i].from_us |= spends_ours(m, i); /* a parent may have come after it */
        }
    assert_agrees(told, h);
    free(told);
    history_close(h);
}

/* --- making transactions --------------------------------------------------------------------- */

static struct model_tx *new_tx(struct model *m, const struct outpoint *in, size_t n_in)
{
    const uint32_t n_out = 1 + below(OUT_MAX);
    struct model_tx *t = &m->tx[m->n];
    *t = (struct model_tx){ .coinbase = n_in == 0, .told_height = HISTORY_NO_HEIGHT };
    for (uint32_t i = 0; i < n_out; i++)
        t->out[i] = (struct coin_out){ 1 + below(1000000),
                                       (enum payee[]){ PAY_MINE, PAY_WATCHED, PAY_FOREIGN,
                                                       PAY_FOREIGN, PAY_MINE }[below(5)] };
    t->tx = coin_tx((uint32_t)m->n, in, n_in, t->out, n_out);
    m->n++;
    return t;
}

/* An output of an earlier transaction, often one of ours, or a strange one that others want too. */
static struct outpoint some_out(const struct model *m)
{
    for (int tries = 0; tries < 6 && m->n; tries++) {
        const int i = (int)below((uint32_t)m->n);
        const uint32_t k = below((uint32_t)m->tx[i].tx->n_out);
        if (m->tx[i].out[k].payee != PAY_FOREIGN || below(4) == 0)
            return out_of(m->tx[i].tx, k);
    }
    return strange_out(below(12));
}

static void make_tx(struct model *m)
{
    struct outpoint in[IN_MAX];
    size_t n = 0;
    const uint32_t want = 1 + below(IN_MAX);
    while (n < want) {
        in[n] = some_out(m);
        bool again = false;
        for (size_t i = 0; i < n; i++)
            again = again || outpoint_equal(&in[i], &in[n]);
        n += !again;
    }
    new_tx(m, in, n);
}

/* --- what happens ---------------------------------------------------------------------------- */

/* The parents are in the chain or below n in the block; nothing there spends the same. */
static bool fits(const struct model *m, const struct model_block *b, int i)
{
    const struct tx *tx = m->tx[i].tx;
    for (size_t k = 0; k < tx->n_in; k++) {
        const int parent = by_id(m, &tx->in[k].prevout.txid);
        bool there = parent == NONE || is_confirmed(m, parent);
        for (int j = 0; j < b->n; j++) {
            there = there || b->txs[j] == parent;
            if (spends(m, b->txs[j], &tx->in[k].prevout))
                return false;
        }
        if (!there || confirmed_spender(m, &tx->in[k].prevout) != NONE)
            return false;
    }
    return true;
}

static void fill_block(struct model *m, struct model_block *b)
{
    new_tx(m, NULL, 0);
    sha256(b->hash.b, &m->hashes, sizeof m->hashes);
    m->hashes++;
    b->n = 0;
    b->txs[b->n++] = m->n - 1;
    for (int i = 0; i < m->n; i++)
        if (!m->tx[i].coinbase && !is_confirmed(m, i) && below(4) == 0 && fits(m, b, i))
            b->txs[b->n++] = i;
}

/* Which transactions of the new block concern us is decided one after another. */
static void model_apply(struct model *m, const struct model_block *b)
{
    m->block[m->n_blocks] = *b;
    m->block[m->n_blocks].n = 0;
    m->n_blocks++;
    for (int k = 0; k < b->n; k++) {
        struct model_tx *t = &m->tx[b->txs[k]];
        const bool from_us = spends_ours(m, b->txs[k]);
        m->block[m->n_blocks - 1].n++;
        if (!t->known && !from_us && !pays_us(t))
            continue;
        if (!t->known)
            t->order = m->next_order++;
        t->known = true;
        t->from_us = t->from_us || from_us;
        t->in_mempool = t->abandoned = false;
        t->told_height = HISTORY_NO_HEIGHT;
    }
}

static void model_undo(struct model *m)
{
    const int32_t height = best_height(m);
    const struct model_block *b = &m->block[--m->n_blocks];
    for (int k = 0; k < b->n; k++)
        m->tx[b->txs[k]].abandoned = m->tx[b->txs[k]].coinbase;
    for (int i = 0; i < m->n; i++)
        if (m->tx[i].told_height == height)
            m->tx[i].told_height = HISTORY_NO_HEIGHT;
}

/* What a mempool takes: nothing confirmed spends the same, unless it is a coin that we know. */
static bool mempool_takes(const struct model *m, int i)
{
    for (size_t k = 0; k < m->tx[i].tx->n_in; k++) {
        const struct outpoint *at = &m->tx[i].tx->in[k].prevout;
        if (confirmed_spender(m, at) != NONE && !coin_at(m, at))
            return false;
    }
    return !m->tx[i].coinbase && !is_confirmed(m, i);
}

static void model_add(struct model *m, int i)
{
    struct model_tx *t = &m->tx[i];
    const bool from_us = spends_ours(m, i);
    if (!t->known && !from_us && !pays_us(t))
        return;
    if (!t->known)
        t->order = m->next_order++;
    t->from_us = t->from_us || from_us;
    t->known = t->in_mempool = true;
    t->abandoned = false;
    t->told_height = HISTORY_NO_HEIGHT;
}

static void model_abandon(struct model *m, int i)
{
    m->tx[i].abandoned = true;
    for (int k = 0; k < m->n; k++) {
        if (!m->tx[k].known || m->tx[k].abandoned || m->tx[k].in_mempool || is_confirmed(m, k))
            continue;
        for (uint32_t j = 0; j < m->tx[i].tx->n_out; j++) {
            const struct outpoint at = out_of(m->tx[i].tx, j);
            if (!m->tx[k].abandoned && spends(m, k, &at))
                model_abandon(m, k);
        }
    }
}

enum what { APPLY, UNDO, RESCAN, ADD, REMOVE, EXCLUDE, ABANDON };

struct event {
    enum what what;
    int i;
    struct model_block block;
    struct history_conflict conflict;
};

/* Every other block goes through the pick. */
static size_t pick_txs(struct model *m, const struct model_block *b, struct history_block_tx *txs)
{
    const bool all = m->n_blocks % 2;
    struct pick *pick = pick_new(m->h);
    size_t n = 0;
    assert_int_equal(pick_begin(pick, NULL), OK);
    for (int k = 0; k < b->n; k++) {
        struct tx *tx = m->tx[b->txs[k]].tx;
        if (pick_tx(pick, tx) || all)
            txs[n++] = (struct history_block_tx){ .tx = tx, .position = (uint32_t)k * 3 };
    }
    pick_free(pick);
    return n;
}

static enum err tell_block(struct model *m, const struct model_block *b, int32_t height)
{
    struct history_block_tx txs[TXS];
    struct history_block block = { .hash = b->hash, .height = height, .time = 7,
                                   .txs = txs, .n = pick_txs(m, b, txs) };
    if (height > FIRST_HEIGHT)
        block.prev = m->block[height - FIRST_HEIGHT - 1].hash;
    return m->later ? history_apply_block_later(m->h, &block, NULL)
                    : history_apply_block(m->h, &block, NULL);
}

/* The blocks from this height on once more. */
static enum err tell_rescan(struct model *m, int32_t height)
{
    enum err rc = history_begin_rescan(m->h, height, HISTORY_TO_BEST, NULL);
    m->later = below(2);
    while (!rc && (height = history_scan_next(m->h)) != HISTORY_NO_HEIGHT)
        rc = tell_block(m, &m->block[height - FIRST_HEIGHT], height);
    m->later = false;
    return rc ? rc : history_sync(m->h, NULL);
}

static enum err tell(struct model *m, const struct event *ev)
{
    const struct tx *tx = ev->i == NONE ? NULL : m->tx[ev->i].tx;
    switch (ev->what) {
    case APPLY:
        return tell_block(m, &ev->block, best_height(m) + 1);
    case RESCAN:
        return tell_rescan(m, ev->conflict.height);
    case UNDO:
        return history_undo_block(m->h, &m->block[m->n_blocks - 1].hash,
                                  &m->block[m->n_blocks - 2].hash, NULL);
    case ADD:
        return history_mempool_add(m->h, tx, 5, NULL);
    case REMOVE:
        return history_mempool_remove(m->h, &tx->id, NULL, NULL);
    case EXCLUDE:
        return history_mempool_remove(m->h, &tx->id, &ev->conflict, NULL);
    case ABANDON:
        return history_abandon(m->h, &tx->id, NULL);
    }
    return ERR_RANGE;
}

static void model_tell(struct model *m, const struct event *ev)
{
    switch (ev->what) {
    case APPLY:
        model_apply(m, &ev->block);
        break;
    case UNDO:
        model_undo(m);
        break;
    case RESCAN: /* finds nothing new */
        break;
    case ADD:
        model_add(m, ev->i);
        break;
    case EXCLUDE:
        m->tx[ev->i].told_height = ev->conflict.height;
        m->tx[ev->i].told_by = ev->conflict.by;
        m->tx[ev->i].in_mempool = false;
        break;
    case REMOVE:
        m->tx[ev->i].in_mempool = false;
        break;
    case ABANDON:
        model_abandon(m, ev->i);
        break;
    }
}

/* False: cannot happen now. */
static bool choose(struct model *m, struct event *ev)
{
    static const enum what chances[] = {
        APPLY, APPLY, APPLY, UNDO, UNDO, RESCAN, ADD, ADD, ADD, ADD, ADD,
        REMOVE, EXCLUDE, EXCLUDE, ABANDON, ABANDON,
    };
    ev->what = chances[below(COUNT_OF(chances))];
    ev->i = (int)below((uint32_t)m->n);
    const struct model_tx *t = &m->tx[ev->i];
    const bool pending = t->known && !is_confirmed(m, ev->i);
    switch (ev->what) {
    case APPLY:
        fill_block(m, &ev->block);
        ev->i = NONE;
        return true;
    case UNDO:
        return m->n_blocks > 1;
    case RESCAN:
        ev->i = NONE;
        ev->conflict.height = best_height(m) - (int32_t)below((uint32_t)MIN_OF(m->n_blocks, 9));
        return true;
    case ADD:
        return mempool_takes(m, ev->i);
    case REMOVE:
        return pending;
    case EXCLUDE: {
        const int b = (int)below((uint32_t)m->n_blocks);
        ev->conflict.by = m->tx[m->block[b].txs[0]].tx->id;
        ev->conflict.height = FIRST_HEIGHT + b;
        return pending && !t->coinbase;
    }
    case ABANDON:
        return pending && !t->in_mempool && may_confirm(m, ev->i);
    }
    return false;
}

/* An operation that has nothing to write cannot fail. */
static bool fails_without_trace(struct model *m, const struct event *ev)
{
    kv_mem_fail_writes(m->kv, 1);
    const enum err rc = tell(m, ev);
    kv_mem_fail_writes(m->kv, 0);
    if (rc == OK)
        return false;
    assert_int_equal(rc, ERR_IO);
    assert_agrees(m, m->h);
    assert_store_agrees(m);
    return true;
}

static void happen(struct model *m, bool fail_first)
{
    struct event ev;
    if (!choose(m, &ev))
        return;
    m->later = !fail_first && ev.what == APPLY && below(3);
    const bool later = m->later;
    if (!fail_first || fails_without_trace(m, &ev))
        assert_int_equal(tell(m, &ev), OK);
    model_tell(m, &ev);
    m->later = false;
    if (!later) /* to look would write them */
        assert_agrees(m, m->h);
}

/* Many blocks, so that the first coinbases mature. */
static void begin(struct model *m, int blocks)
{
    struct event ev = { .what = APPLY, .i = NONE };
    m->kv = kv_open_mem();
    m->scripts = payee_scripts();
    assert_int_equal(history_open(&m->h, m->kv, m->scripts, NULL), OK);
    assert_agrees(m, m->h);
    for (int i = 0; i < blocks; i++) {
        fill_block(m, &ev.block);
        assert_int_equal(tell(m, &ev), OK);
        model_tell(m, &ev);
    }
}

static void end(struct model *m)
{
    history_close(m->h);
    scripts_free(m->scripts);
    for (int i = 0; i < m->n; i++)
        tx_unref(m->tx[i].tx);
}

static void run(uint64_t number, int blocks, int events, bool fail)
{
    struct model *m = xcalloc(1, sizeof *m);
    seed = number * UINT64_C(0x9e3779b97f4a7c15) | 1;
    begin(m, blocks);
    for (int i = 0; i < events && m->n < TXS - 2 && m->n_blocks < BLOCKS; i++) {
        if (below(2))
            make_tx(m);
        happen(m, fail);
        if (i % 16 == 0) {
            assert_int_equal(history_sync(m->h, NULL), OK);
            assert_store_agrees(m);
        }
    }
    assert_int_equal(history_sync(m->h, NULL), OK);
    assert_store_agrees(m);
    end(m);
    free(m);
}

static void the_history_agrees_with_the_model(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 30; number++)
        run(number, number % 3 ? 2 : 102, 120, false);
}

static void a_failed_write_leaves_everything_as_it_was(void **state)
{
    (void)state;
    for (uint64_t number = 101; number <= 112; number++)
        run(number, 2, 90, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_history_agrees_with_the_model),
        cmocka_unit_test(a_failed_write_leaves_everything_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/causes.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain_internal.h"
#include "chain/txs.h"

#define SLICE_TXS 8        /* in one job of the pool */
#define SLICE_INPUTS 16
#define PREFETCH_MAX 65536 /* outpoints looked up ahead for one batch */

/* Scripts of some transactions of the batch, one after the other. */
struct slice {
    struct job job;
    struct tx_batch *batch;
    struct accept_work *works[SLICE_TXS];
    unsigned n;
    size_t inputs;
};

struct tx_batch {
    struct txs *txs;
    struct tx_offer *v[TXS_BATCH_MAX];
    size_t n, bytes;
    struct arena arena;
    struct job_group group;
    struct slice slices[TXS_BATCH_MAX + 1]; /* the last one is being filled */
    size_t n_slices;
    struct outpoint *prefetch;
    size_t n_prefetch, prefetch_cap;
};

struct tx_batch *tx_batch_new(struct txs *t)
{
    struct tx_batch *b = xmalloc(sizeof(*b));
    b->txs = t;
    b->n = b->bytes = b->n_slices = 0;
    b->prefetch = NULL;
    b->n_prefetch = b->prefetch_cap = 0;
    arena_init(&b->arena);
    job_group_init(&b->group, t->chain->pool);
    return b;
}

void tx_batch_free(struct tx_batch *b)
{
    arena_clear(&b->arena);
    free(b->prefetch);
    free(b);
}

size_t tx_batch_count(const struct tx_batch *b)
{
    return b->n;
}

bool tx_batch_add(struct tx_batch *b, struct tx_offer *o)
{
    o->work.arena = &b->arena;
    b->v[b->n++] = o;
    b->bytes += o->work.tx->raw.len;
    return b->n < TXS_BATCH_MAX && b->bytes < TXS_BATCH_BYTES;
}

/* --- judged but not entered ------------------------------------------------------------------ */

static bool offer_has_id(const void *item, const void *key)
{
    const struct tx_offer *o = item;
    return txid_equal(&o->work.tx->id, key);
}

static struct tx_offer *find_pending(const struct txs *t, const struct txid *id)
{
    return map_find(&t->pending, siphash_32(&t->pending_key, id->b), offer_has_id, id);
}

static const struct tx *pending_tx(void *ctx, const struct txid *id)
{
    const struct tx_offer *o = find_pending(ctx, id);
    return o ? o->work.tx : NULL;
}

static void put_pending(struct txs *t, struct tx_offer *o)
{
    map_put(&t->pending, siphash_32(&t->pending_key, o->work.tx->id.b), o);
}

static void drop_pending(struct txs *t, struct tx_offer *o)
{
    const struct txid *id = &o->work.tx->id;
    if (find_pending(t, id) == o)
        map_remove(&t->pending, siphash_32(&t->pending_key, id->b), offer_has_id, id);
}

/* --- judging -------------------------------------------------------------------------------- */

static bool prefetch_add(struct tx_batch *b, const struct outpoint *o)
{
    if (b->n_prefetch == PREFETCH_MAX)
        return false;
    if (b->n_prefetch == b->prefetch_cap) {
        b->prefetch_cap = b->prefetch_cap ? 2 * b->prefetch_cap : 512;
        b->prefetch = xrealloc(b->prefetch, b->prefetch_cap * sizeof(*b->prefetch));
    }
    b->prefetch[b->n_prefetch++] = *o;
    return true;
}

static bool is_on_its_way(const struct txs *t, const struct txid *id)
{
    return mempool_find(t->pool, id) || find_pending(t, id);
}

/* Coins of the database are read on the pool, all of the batch together. */
static enum err read_coins(struct tx_batch *b, struct error *e)
{
    b->n_prefetch = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct accept_work *w = &b->v[i]->work;
        for (size_t j = 0; j < w->tx->n_in && !w->judged; j++)
            if (!is_on_its_way(b->txs, &w->tx->in[j].prevout.txid) &&
                !prefetch_add(b, &w->tx->in[j].prevout))
                break;
    }
    return coins_prefetch(b->txs->env.coins, b->prefetch, b->n_prefetch, b->txs->chain->pool, e);
}

static void run_slice(struct job *job)
{
    struct slice *s = (struct slice *)(void *)job;
    struct txs *t = s->batch->txs;
    for (unsigned i = 0; i < s->n; i++)
        accept_scripts(&t->env, &t->rules, s->works[i], &t->chain->cancel);
}

static void submit_slice(struct tx_batch *b, struct slice *s)
{
    s->job = (struct job){ .run = run_slice, .group = &b->group };
    s->batch = b;
    b->n_slices++;
    pool_submit(b->txs->chain->pool, JOB_MEMPOOL, &s->job);
}

/* Queues the scripts of one transaction; a slice leaves when it is full. */
static void queue_scripts(struct tx_batch *b, struct accept_work *w)
{
    struct slice *s = &b->slices[b->n_slices];
    s->works[s->n++] = w;
    s->inputs += w->tx->n_in;
    if (s->n < SLICE_TXS && s->inputs < SLICE_INPUTS)
        return;
    submit_slice(b, s);
    b->slices[b->n_slices] = (struct slice){ .n = 0 };
}

static enum err judge_one(struct tx_batch *b, struct tx_offer *o, struct error *e)
{
    struct txs *t = b->txs;
    struct accept_work *w = &o->work;
    if (!w->judged && find_pending(t, &w->tx->id)) { /* a second copy of what is being judged */
        w->judged = true;
        w->result.outcome = TX_KNOWN;
    }
    if (w->judged)
        return OK;
    const enum err rc = accept_judge(&t->env, &t->rules, w, pending_tx, t, e);
    if (rc || w->judged)
        return rc;
    put_pending(t, o);
    queue_scripts(b, w);
    return OK;
}

/* Memory that is short for one leaves that one unjudged; all else stops the node. */
static enum err unless_nomem(enum err rc)
{
    return rc == ERR_NOMEM ? OK : rc;
}

/* Those from i on that are not judged yet leave the batch. */
static void leave_rest(struct tx_batch *b, size_t i, struct tx_list *rest)
{
    size_t kept = i;
    for (; i < b->n; i++) {
        if (b->v[i]->work.judged)
            b->v[kept++] = b->v[i];
        else
            tx_list_add(rest, b->v[i]);
    }
    b->n = kept;
}

enum err tx_batch_begin(struct tx_batch *b, struct tx_list *rest, struct error *e)
{
    size_t judged = 0;
    b->n_slices = 0;
    b->slices[0] = (struct slice){ .n = 0 };
    for (size_t i = 0; i < b->n; i++)
        accept_precheck(&b->txs->env, &b->txs->rules, &b->v[i]->work);
    enum err rc = unless_nomem(read_coins(b, e));
    for (; judged < b->n && !rc && b->arena.total <= TXS_BATCH_SPENT; judged++)
        rc = unless_nomem(judge_one(b, b->v[judged], e));
    if (!rc)
        leave_rest(b, judged, rest);
    return rc;
}

/* This thread would only wait: it runs what does not fill a slice, and a lone transaction costs no
 * other thread its sleep. */
static void finish_scripts(struct tx_batch *b)
{
    struct slice *last = &b->slices[b->n_slices];
    if (last->n > 0) {
        last->batch = b;
        run_slice(&last->job);
    }
    job_group_wait(&b->group);
}

/* --- entering ------------------------------------------------------------------------------- */

void txs_tell_removed(struct txs *t, struct mempool_removals *r, const struct header_node *block)
{
    const struct chain_handlers *h = &t->chain->h;
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i].reason != MEMPOOL_IN_BLOCK)
            causes_note_hash(t->chain->o.causes, CAUSE_TX, r->v[i].tx->id.b,
                             "left the mempool: %s", mempool_reason_name(r->v[i].reason));
        if (h->tx_removed)
            h->tx_removed(h->ctx, &r->v[i], block);
    }
    mempool_removals_clear(r);
}

static bool entered(const struct tx_offer *o)
{
    return o && o->work.result.outcome == TX_ACCEPTED;
}

/* One that had just entered had to leave again: nobody is told that it ever was there. */
static bool take_back(struct tx_batch *b, const struct mempool_removed *r)
{
    struct tx_offer *o = find_pending(b->txs, &r->tx->id);
    struct verdict v = { 0 };
    if (!entered(o) || o->from_pool)
        return false;
    verdict_set(&v, REJECT_MEMPOOL_FULL, 0, "mempool-full");
    accept_reject(&o->work, &v);
    return true;
}

static void trim(struct tx_batch *b)
{
    struct txs *t = b->txs;
    struct mempool_removals r = { .n = 0 };
    size_t kept = 0;
    mempool_trim(t->pool, t->rules.now, &r);
    for (size_t i = 0; i < r.n; i++) {
        if (take_back(b, &r.v[i])) {
            tx_unref(r.v[i].tx);
            tx_unref(r.v[i].conflict);
        } else {
            r.v[kept++] = r.v[i];
        }
    }
    r.n = kept;
    txs_tell_removed(t, &r, NULL);
}

static void tell_accepted(struct txs *t, const struct tx_offer *o)
{
    const struct chain_handlers *h = &t->chain->h;
    const struct mempool_entry *entry =
        entered(o) ? mempool_find(t->pool, &o->work.tx->id) : NULL;
    if (entry && !o->from_pool && h->tx_accepted)
        h->tx_accepted(h->ctx, entry, o->work.source);
}

/* One of the pool that did not come back after a reorganisation. */
static void tell_lost(struct txs *t, const struct tx_offer *o)
{
    const struct chain_handlers *h = &t->chain->h;
    const struct mempool_removed lost = { .tx = o->work.tx, .reason = MEMPOOL_REORG };
    if (!o->from_pool || entered(o))
        return;
    causes_note_hash(t->chain->o.causes, CAUSE_TX, o->work.tx->id.b,
                     "left the mempool: no longer valid after a reorganisation");
    if (h->tx_removed)
        h->tx_removed(h->ctx, &lost, NULL);
}

static void enter_all(struct tx_batch *b)
{
    struct txs *t = b->txs;
    for (size_t i = 0; i < b->n; i++) {
        accept_enter(&t->env, &t->rules, &b->v[i]->work);
        if (!entered(b->v[i]))
            drop_pending(t, b->v[i]);
    }
}

/* Those whose scripts want more time than a batch gives. */
static bool is_for_slow(const struct tx_offer *o)
{
    return o->work.result.validation_timeout && !o->slow;
}

void tx_batch_end(struct tx_batch *b)
{
    struct txs *t = b->txs;
    struct tx_offer *done[TXS_BATCH_MAX];
    size_t n_done = 0;
    if (b->n == 0)
        return;
    finish_scripts(b);
    enter_all(b);
    trim(b);
    for (size_t i = 0; i < b->n; i++) {
        tell_accepted(t, b->v[i]);
        tell_lost(t, b->v[i]);
        drop_pending(t, b->v[i]);
        if (is_for_slow(b->v[i]))
            txs_slow_add(t, b->v[i]);
        else
            done[n_done++] = b->v[i];
    }
    txs_deliver(t, done, n_done);
    b->n = b->bytes = 0;
    if (b->arena.total > TXS_BATCH_BYTES) /* a batch may spend large scripts */
        arena_clear(&b->arena);
    else
        arena_reset(&b->arena);
}

enum err txs_run_list(struct txs *t, struct tx_list *l, struct error *e)
{
    struct tx_batch *b = tx_batch_new(t);
    struct tx_list rest;
    enum err rc = OK;
    tx_list_init(&rest);
    txs_refresh_rules(t);
    while (l->n > 0) {
        struct tx_offer *o;
        while ((o = tx_list_take(l)) && tx_batch_add(b, o))
            ;
        if (!rc)
            rc = tx_batch_begin(b, &rest, e);
        tx_batch_end(b);
        tx_list_put_first(l, &rest);
    }
    tx_batch_free(b);
    return rc;
}

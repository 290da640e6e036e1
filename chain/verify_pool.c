/*
 * A batch is one allocation arena per segment: slices, sighash caches and spent scripts. It lives
 * until its builder and its last slice are done with it; the count of both is `refs`.
 */
#include <config.h>

#include "chain/verify_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SLICE_INPUTS 8 /* about half a millisecond: what the last workers of a block may be apart */
#define SLICE_BYTES (64u << 10) /* of scripts: long ones make a slice of their own */

struct script_check {
    const struct tx *tx;
    struct sighash_cache *sighash;
    struct span script;
    int64_t amount;
    uint64_t key; /* tx << 32 | input */
    uint32_t flags;
};

struct verify_slice {
    struct job job;
    struct verify_batch *batch;
    unsigned n;
    struct script_check checks[SLICE_INPUTS];
};

struct tx_caches {
    struct sighash_cache cache;
    struct tx_caches *next;
};

struct verify_batch {
    struct verify_run *run;
    struct block_segment *seg;
    struct arena arena;
    atomic_size_t refs;
    size_t charged; /* bytes counted in run->memory */
    struct tx_caches *caches;
    struct verify_slice *slice; /* being filled */
    size_t slice_bytes;
    const struct tx *tx;
    uint64_t tx_index;
};

static uint64_t key_of(uint64_t tx, uint32_t input) { return tx << 32 | input; }

void verify_run_init(struct verify_run *r, const struct verify_options *o)
{
    memset(r, 0, sizeof(*r));
    r->o = *o;
    job_group_init(&r->group, o->pool);
    atomic_init(&r->first_bad, UINT64_MAX);
    atomic_init(&r->stop, false);
    atomic_init(&r->memory, 0);
    pthread_mutex_init(&r->lock, NULL);
    r->first_unfinished = UINT64_MAX;
    r->limit = UINT64_MAX;
}

static void lower_mark(struct verify_run *r, uint64_t key)
{
    uint64_t seen = atomic_load(&r->first_bad);
    while (key < seen && !atomic_compare_exchange_weak(&r->first_bad, &seen, key))
        ;
}

void verify_run_limit(struct verify_run *r, uint64_t tx)
{
    r->limit = key_of(tx, 0);
    lower_mark(r, r->limit);
}

static void batch_unref(struct verify_batch *b)
{
    if (atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    for (struct tx_caches *t = b->caches; t; t = t->next)
        sighash_cache_clear(&t->cache);
    atomic_fetch_sub(&b->run->memory, b->charged);
    block_segment_unref(b->seg);
    arena_clear(&b->arena);
    free(b);
}

static void record_failure(struct verify_run *r, const struct script_check *c, enum script_err err)
{
    pthread_mutex_lock(&r->lock);
    if (r->failure.err == SCRIPT_OK || c->key < key_of(r->failure.tx, r->failure.input)) {
        r->failure.tx = c->key >> 32;
        r->failure.input = (uint32_t)c->key;
        r->failure.err = err;
        r->failure.new_coin = script_utxo_era(c->flags) != SCRIPT_ERA_ORIGINAL;
    }
    pthread_mutex_unlock(&r->lock);
    lower_mark(r, c->key);
}

static void record_unfinished(struct verify_run *r, uint64_t key)
{
    pthread_mutex_lock(&r->lock);
    if (key < r->first_unfinished)
        r->first_unfinished = key;
    pthread_mutex_unlock(&r->lock);
}

/* False: nothing after this input of the slice matters. */
static bool check_one(struct verify_run *r, const struct script_check *c)
{
    if (atomic_load_explicit(&r->stop, memory_order_relaxed) || cancelled(r->o.cancel)) {
        atomic_store(&r->stop, true);
        return false;
    }
    if (c->key >= atomic_load_explicit(&r->first_bad, memory_order_relaxed))
        return false;
    struct script_input in = { .tx = c->tx, .index = (uint32_t)c->key, .script_pubkey = c->script,
                               .amount = c->amount, .flags = c->flags, .limits = r->o.limits,
                               .sighash = c->sighash, .sigcache = r->o.sigcache,
                               .cancel = r->o.cancel };
    enum script_err err = script_verify(&in);
    if (err == SCRIPT_OK)
        return true;
    if (err == SCRIPT_ERR_CANCELLED)
        atomic_store(&r->stop, true);
    else if (!script_err_is_verdict(err))
        record_unfinished(r, c->key);
    else
        record_failure(r, c, err);
    return false;
}

static void slice_run(struct job *job)
{
    struct verify_slice *s = (struct verify_slice *)(void *)job;
    for (unsigned i = 0; i < s->n; i++)
        if (!check_one(s->batch->run, &s->checks[i]))
            break;
    batch_unref(s->batch);
}

struct verify_batch *verify_batch_begin(struct verify_run *r, struct block_segment *seg)
{
    while (r->o.memory_bytes > 0 && atomic_load(&r->memory) > r->o.memory_bytes) {
        size_t pending = atomic_load(&r->group.pending);
        if (pending == 0)
            break;
        job_group_wait_until(&r->group, pending / 2);
    }
    struct verify_batch *b = xcalloc(1, sizeof(*b));
    b->run = r;
    b->seg = seg;
    block_segment_ref(seg);
    arena_init(&b->arena);
    atomic_init(&b->refs, 1);
    b->charged = block_segment_memory(seg);
    atomic_fetch_add(&r->memory, b->charged);
    return b;
}

enum err verify_batch_tx(struct verify_batch *b, const struct tx *tx, uint64_t tx_index)
{
    struct tx_caches *t = arena_alloc(&b->arena, 1, sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    sighash_cache_init(&t->cache, tx);
    t->next = b->caches;
    b->caches = t;
    b->tx = tx;
    b->tx_index = tx_index;
    return OK;
}

static void slice_submit(struct verify_batch *b)
{
    struct verify_slice *s = b->slice;
    if (!s)
        return;
    b->slice = NULL;
    b->slice_bytes = 0;
    b->run->checks += s->n;
    atomic_fetch_add(&b->refs, 1);
    pool_submit(b->run->o.pool, JOB_BLOCK, &s->job);
}

static bool slice_begin(struct verify_batch *b)
{
    if (b->slice)
        return true;
    b->slice = arena_alloc(&b->arena, 1, sizeof(*b->slice));
    if (!b->slice)
        return false;
    b->slice->job = (struct job){ .run = slice_run, .group = &b->run->group };
    b->slice->batch = b;
    b->slice->n = 0;
    return true;
}

enum err verify_batch_input(struct verify_batch *b, uint32_t input, const struct coin *coin,
                            uint32_t flags)
{
    uint8_t *script = arena_alloc(&b->arena, coin->script.len + 1, 1);
    if (!script || !slice_begin(b))
        return ERR_NOMEM;
    if (coin->script.len > 0)
        memcpy(script, coin->script.data, coin->script.len);
    b->slice->checks[b->slice->n++] = (struct script_check){
        .tx = b->tx, .sighash = &b->caches->cache, .script = span_of(script, coin->script.len),
        .amount = coin->value, .key = key_of(b->tx_index, input), .flags = flags };
    b->slice_bytes += coin->script.len + b->tx->in[input].script.len;
    if (b->slice->n == SLICE_INPUTS || b->slice_bytes > SLICE_BYTES)
        slice_submit(b);
    return OK;
}

void verify_batch_end(struct verify_batch *b)
{
    slice_submit(b);
    batch_unref(b);
}

enum err verify_run_join(struct verify_run *r, bool *failed, struct verify_failure *f,
                         struct error *e)
{
    job_group_wait(&r->group);
    *f = r->failure;
    /* What lies past the limit was checked or not as time allowed: it counts for nothing. */
    *failed = r->failure.err != SCRIPT_OK && key_of(f->tx, f->input) < r->limit;
    uint64_t unfinished = r->first_unfinished;
    bool stopped = atomic_load(&r->stop);
    pthread_mutex_destroy(&r->lock);
    if (stopped)
        return error_set(e, ERR_CANCELLED, "script checks were cancelled");
    if (unfinished < (*failed ? key_of(f->tx, f->input) : r->limit))
        return error_set(e, ERR_NOMEM, "out of memory while checking scripts of transaction %llu",
                         (unsigned long long)(unfinished >> 32));
    return OK;
}

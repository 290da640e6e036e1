#include <config.h>

#include "node/paychan_watch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "chain/nonfinal.h"
#include "node/block_walk.h"

#define POLL_MS 100     /* whether the mempool has changed: numbers alone are compared */
#define LOOK_MS 30000   /* also when nothing seems to have happened */
#define SLACK 6         /* blocks that the coins may be behind: a reorganisation that has failed */

/* One output. Fields below the line belong to the thread. */
struct watched {
    uint64_t number;
    struct outpoint at;
    uint32_t from;
    bool fresh;   /* nothing has been told yet */
    bool removed;
    /* --- */
    struct paychan_sight now, told; /* told.spend is no reference: its id counts */
    struct txid told_spend;
    const struct header_node *scanned; /* up to here */
    const struct header_node *in_block, *spent_in;
    struct tx *block_spend; /* a reference, with spent_in */
    bool coin;              /* it is unspent in the chain */
    bool gap;               /* a block of those is not stored */
    bool unread;            /* the next one could not be read: once more */
};

struct paychan_watch {
    struct chain *chain;
    paychan_watch_fn tell;
    void *ctx;
    pthread_t thread;
    struct queue *kicks;  /* of one item: a kick while one waits is the same */
    struct queue_node kick;
    atomic_bool stopping;
    pthread_mutex_t lock;
    struct watched **all; /* the thread alone removes */
    size_t n, cap;
    struct pool_state { uint64_t sequence; size_t count, held, held_bytes; } pool; /* the thread */
};

/* --- what is watched --- */

static struct watched *find(const struct paychan_watch *w, uint64_t number)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->all[i]->number == number && !w->all[i]->removed)
            return w->all[i];
    return NULL;
}

static void kick(struct paychan_watch *w)
{
    if (!queue_push(w->kicks, &w->kick))
        return; /* there is one, or it ends */
}

void paychan_watch_add(struct paychan_watch *w, uint64_t number, const struct outpoint *at,
                       uint32_t from)
{
    pthread_mutex_lock(&w->lock);
    struct watched *old = find(w, number);
    if (old && outpoint_equal(&old->at, at)) {
        pthread_mutex_unlock(&w->lock);
        return;
    }
    if (old)
        old->removed = true;
    struct watched *one = xcalloc(1, sizeof *one);
    *one = (struct watched){ .number = number, .at = *at, .from = from, .fresh = true };
    if (w->n == w->cap) {
        w->cap = 2 * w->cap + 4;
        w->all = xrealloc(w->all, w->cap * sizeof *w->all);
    }
    w->all[w->n++] = one;
    pthread_mutex_unlock(&w->lock);
    kick(w);
}

void paychan_watch_remove(struct paychan_watch *w, uint64_t number)
{
    pthread_mutex_lock(&w->lock);
    struct watched *one = find(w, number);
    if (one)
        one->removed = true;
    pthread_mutex_unlock(&w->lock);
}

void paychan_watch_kick(struct paychan_watch *w)
{
    pthread_mutex_lock(&w->lock);
    const bool watches = w->n != 0;
    pthread_mutex_unlock(&w->lock);
    if (watches)
        kick(w);
}

static void free_watched(struct watched *one)
{
    tx_unref(one->block_spend);
    free(one);
}

/* --- looking --- */

struct look {
    struct paychan_watch *w;
    struct watched **v; /* of this round */
    size_t n;
    struct chain_tip tip;
    bool failed; /* coins could not be read: nothing is said of any */
};

/* Before the chain is asked: what is mined in between is found there. */
static void look_into_pool(struct watched *one, struct chain *c)
{
    struct mempool *pool = chain_mempool(c);
    struct tx *parent = mempool_get_output(pool, &one->at);
    one->now = (struct paychan_sight){ .place = parent ? PAYCHAN_IN_POOL : PAYCHAN_NOWHERE,
                                       .spend = mempool_get_spender(pool, &one->at) };
    tx_unref(parent);
}

static bool spends(const struct tx *tx, const struct outpoint *at)
{
    for (size_t i = 0; i < tx->n_in; i++)
        if (outpoint_equal(&tx->in[i].prevout, at))
            return true;
    return false;
}

static void look_at_held(void *ctx, struct tx *tx, int64_t time)
{
    const struct look *l = ctx;
    (void)time;
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i]->now.spend && spends(tx, &l->v[i]->at))
            l->v[i]->now.spend = tx_ref(tx);
}

static void look_at_coins(struct chain *c, void *ctx)
{
    struct look *l = ctx;
    chain_get_tip(c, &l->tip);
    for (size_t i = 0; i < l->n; i++) {
        struct watched *one = l->v[i];
        struct error e = { .code = OK };
        struct coin coin;
        bool found = false;
        if (coins_get(chain_coins(c), &one->at, &coin, &found, &e)) {
            log_warn("payment channels: a funding output cannot be looked up: %s", e.text);
            l->failed = true;
        }
        one->coin = found;
        if (found)
            one->now.height = (uint32_t)coin.height;
        if (found)
            one->now.place = PAYCHAN_IN_CHAIN;
    }
}

/* --- reading blocks --- */

struct reading {
    struct watched *one;
    const struct header_node *node;
};

static enum err read_tx(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct reading *r = ctx;
    struct watched *one = r->one;
    (void)offset;
    if (txid_equal(&tx->id, &one->at.txid))
        one->in_block = r->node;
    if (one->spent_in || !spends(tx, &one->at))
        return OK;
    one->block_spend = tx_new(tx->raw.data, tx->raw.len, e);
    if (!one->block_spend)
        return ERR_NOMEM;
    one->spent_in = r->node;
    return OK;
}

static void forget_spend(struct watched *one)
{
    one->spent_in = NULL;
    tx_unref(one->block_spend);
    one->block_spend = NULL;
}

/* What a reorganisation took away is forgotten, and looked for from where the branches part, which
 * may be below where all began. What lies in blocks that were not read nobody knows: all anew. */
static void drop_stale(struct watched *one, struct header_index *index)
{
    if (!one->scanned || header_index_is_active(index, one->scanned))
        return;
    if (one->gap)
        one->scanned = one->in_block = one->spent_in = NULL;
    while (one->scanned && !header_index_is_active(index, one->scanned))
        one->scanned = one->scanned->prev;
    if (one->in_block && !header_index_is_active(index, one->in_block))
        one->in_block = NULL;
    if (!one->spent_in || !header_index_is_active(index, one->spent_in))
        forget_spend(one);
    one->gap = false;
}

static void read_blocks(struct look *l, struct watched *one)
{
    struct header_index *index = chain_headers(l->w->chain);
    int32_t height = one->scanned ? one->scanned->height + 1 : (int32_t)one->from;
    one->unread = false;
    for (; height <= l->tip.height && !one->spent_in; height++) {
        struct header_node *node = header_index_at(index, height);
        struct reading r = { one, node };
        struct error e = { .code = OK };
        if (!node)
            return; /* a reorganisation: there is another look */
        const enum err rc = block_walk(l->w->chain, node, read_tx, &r, &e);
        one->unread = rc && rc != ERR_NOTFOUND;
        if (one->unread) {
            LOG_LIMITED(LOG_WARN, "payment channels: block %d cannot be read: %s", (int)height,
                        e.text);
            return;
        }
        one->gap |= rc != OK;
        one->scanned = node;
    }
}

static void take_from_blocks(struct look *l, struct watched *one)
{
    struct header_index *index = chain_headers(l->w->chain);
    drop_stale(one, index);
    if (!l->tip.node)
        return;
    if (one->coin) { /* no block below spends it, read or not */
        one->scanned = header_index_at(index, l->tip.height - SLACK);
        one->gap = false;
        return;
    }
    if (one->now.place == PAYCHAN_IN_POOL)
        return;
    read_blocks(l, one);
    if (one->spent_in) {
        tx_unref(one->now.spend);
        one->now.spend = tx_ref(one->block_spend);
        one->now.spend_height = (uint32_t)one->spent_in->height;
    }
    if (!one->spent_in && (one->gap || one->unread)) { /* a block that was not read may spend it */
        one->now.place = PAYCHAN_UNSEEN;
    } else if (one->spent_in || one->in_block) {
        one->now.place = PAYCHAN_IN_CHAIN;
        one->now.height = one->in_block ? (uint32_t)one->in_block->height : 0;
    }
}

/* --- telling --- */

static bool is_news(const struct watched *one)
{
    const struct paychan_sight *a = &one->now, *b = &one->told;
    static const struct txid none;
    return one->fresh || a->place != b->place || a->height != b->height ||
           a->spend_height != b->spend_height ||
           !txid_equal(a->spend ? &a->spend->id : &none, &one->told_spend);
}

static void tell_one(const struct look *l, struct watched *one)
{
    const bool news = is_news(one);
    one->told = one->now;
    one->told_spend = one->now.spend ? one->now.spend->id : (struct txid){ { 0 } };
    pthread_mutex_lock(&l->w->lock);
    const bool wanted = news && !one->removed;
    one->fresh &= !wanted;
    pthread_mutex_unlock(&l->w->lock);
    if (wanted)
        l->w->tell(l->w->ctx, one->number, &one->now);
    else
        tx_unref(one->now.spend);
    one->now.spend = NULL;
}

static void look_at_all(struct look *l)
{
    struct nonfinal_stats held;
    for (size_t i = 0; i < l->n; i++)
        look_into_pool(l->v[i], l->w->chain);
    nonfinal_get_stats(chain_nonfinal(l->w->chain), &held);
    if (held.count)
        nonfinal_each(chain_nonfinal(l->w->chain), look_at_held, l);
    const bool asked = !chain_call(l->w->chain, look_at_coins, l) && !l->failed;
    for (size_t i = 0; i < l->n; i++) {
        if (asked) {
            take_from_blocks(l, l->v[i]);
            tell_one(l, l->v[i]);
        } else {
            tx_unref(l->v[i]->now.spend);
            l->v[i]->now.spend = NULL;
        }
    }
}

/* --- the thread --- */

static bool pool_has_changed(struct paychan_watch *w)
{
    struct mempool_stats pool;
    struct nonfinal_stats held;
    mempool_get_stats(chain_mempool(w->chain), clock_now(), &pool);
    nonfinal_get_stats(chain_nonfinal(w->chain), &held);
    const struct pool_state old = w->pool;
    w->pool = (struct pool_state){ pool.sequence, pool.count, held.count, held.bytes };
    return old.sequence != w->pool.sequence || old.count != w->pool.count ||
           old.held != w->pool.held || old.held_bytes != w->pool.held_bytes;
}

/* False: it ends. */
static bool wait_for_news(struct paychan_watch *w)
{
    bool kicked = false;
    for (unsigned i = 0; !kicked && !atomic_load(&w->stopping) && i < LOOK_MS / POLL_MS; i++) {
        kicked = queue_pop_wait(w->kicks, POLL_MS) != NULL;
        if (pool_has_changed(w))
            break;
    }
    return !atomic_load(&w->stopping);
}

static void begin_round(struct paychan_watch *w, struct look *l)
{
    pthread_mutex_lock(&w->lock);
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (w->all[i]->removed)
            free_watched(w->all[i]);
        else
            w->all[n++] = w->all[i];
    }
    w->n = n;
    l->w = w;
    l->n = n;
    l->v = xcalloc(n + 1, sizeof(struct watched *));
    if (n)
        memcpy(l->v, w->all, n * sizeof(struct watched *));
    pthread_mutex_unlock(&w->lock);
}

static void *run(void *arg)
{
    struct paychan_watch *w = arg;
    while (wait_for_news(w)) {
        struct look l = { .w = w };
        begin_round(w, &l);
        if (l.n)
            look_at_all(&l);
        free(l.v);
    }
    return NULL;
}

enum err paychan_watch_new(struct paychan_watch **out, struct chain *chain, paychan_watch_fn tell,
                           void *ctx, struct error *e)
{
    struct paychan_watch *w = xcalloc(1, sizeof *w);
    *out = NULL;
    w->chain = chain;
    w->tell = tell;
    w->ctx = ctx;
    w->kicks = queue_new(1, 0, NULL, NULL);
    pthread_mutex_init(&w->lock, NULL);
    const int failed = pthread_create(&w->thread, NULL, run, w);
    if (failed) {
        queue_free(w->kicks);
        free(w);
        return error_set_errno(e, failed, "cannot start a thread");
    }
    *out = w;
    return OK;
}

void paychan_watch_free(struct paychan_watch *w)
{
    if (!w)
        return;
    atomic_store(&w->stopping, true);
    queue_close(w->kicks);
    pthread_join(w->thread, NULL);
    (void)queue_pop(w->kicks);
    queue_free(w->kicks);
    for (size_t i = 0; i < w->n; i++)
        free_watched(w->all[i]);
    free(w->all);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

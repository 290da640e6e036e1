/*
 * The non-final pool. Entries are found by id and by what they spend, and listed by age; every one
 * has a leaky bucket that it hands on to the update which takes its place.
 *
 * A finalising update is not counted by the bucket. In the reference it is, so that whoever may
 * sign updates alone can keep the other side's last word out by using up the rate (attacks B8).
 */
#include "chain/nonfinal.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/check.h"
#include "chain/tx_table.h"

#define BUCKET_SIZE 7200
#define BUCKET_LEAK_PER_S 2 /* 7,200 an hour */

struct held {
    struct tx *tx;
    int64_t time;         /* when it came, seconds */
    int64_t level, leaked; /* bucket: updates in it, and when that was worked out */
    size_t memory;
    struct held *older, *younger;
    struct tx_spend spends[];
};

struct nonfinal {
    pthread_mutex_t lock;
    struct tx_table table;
    struct held *oldest, *youngest;
    size_t bytes, max_bytes;
};

struct nonfinal *nonfinal_new(size_t max_bytes)
{
    struct nonfinal *nf = (struct nonfinal *)xcalloc(1, sizeof(*nf));
    pthread_mutex_init(&nf->lock, NULL);
    tx_table_init(&nf->table, offsetof(struct held, tx));
    nf->max_bytes = max_bytes;
    return nf;
}

/* --- entries; the lock is held --- */

static void link_youngest(struct nonfinal *nf, struct held *h)
{
    h->older = nf->youngest;
    if (nf->youngest)
        nf->youngest->younger = h;
    else
        nf->oldest = h;
    nf->youngest = h;
}

static void unlink_held(struct nonfinal *nf, struct held *h)
{
    if (h->older)
        h->older->younger = h->younger;
    else
        nf->oldest = h->younger;
    if (h->younger)
        h->younger->older = h->older;
    else
        nf->youngest = h->older;
}

static void insert(struct nonfinal *nf, struct held *h)
{
    tx_table_put(&nf->table, h, h->spends);
    link_youngest(nf, h);
    nf->bytes += h->memory;
}

/* Its reference is the caller's. */
static struct tx *take_out(struct nonfinal *nf, struct held *h)
{
    struct tx *tx = h->tx;
    tx_table_remove(&nf->table, h);
    unlink_held(nf, h);
    nf->bytes -= h->memory;
    free(h);
    return tx;
}

static struct held *held_new(struct tx *tx, int64_t now)
{
    const size_t size = sizeof(struct held) + tx->n_in * sizeof(struct tx_spend);
    struct held *h = (struct held *)try_alloc(size, 1);
    if (h)
        *h = (struct held){
            .tx = tx_ref(tx),
            .time = now,
            .leaked = now,
            .memory = mem_cost(size) + tx_memory(tx) + tx_table_cost(tx),
        };
    return h;
}

void nonfinal_free(struct nonfinal *nf)
{
    if (!nf)
        return;
    while (nf->oldest)
        tx_unref(take_out(nf, nf->oldest));
    tx_table_clear(&nf->table);
    pthread_mutex_destroy(&nf->lock);
    free(nf);
}

/* --- relations, spec consensus 5.4 --- */

/* How many of the inputs spend what held ones spend, and which: *several when not one alone. */
static size_t count_touched(const struct nonfinal *nf, const struct tx *tx, struct held **held,
                            bool *several)
{
    size_t n = 0;
    *held = NULL;
    *several = false;
    for (size_t i = 0; i < tx->n_in; i++) {
        struct held *h = (struct held *)tx_table_spender(&nf->table, &tx->in[i].prevout);
        if (!h)
            continue;
        if (*held && *held != h)
            *several = true;
        *held = h;
        n++;
    }
    return n;
}

static bool spends_held_output(const struct nonfinal *nf, const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_in; i++)
        if (tx_table_find(&nf->table, &tx->in[i].prevout.txid))
            return true;
    return false;
}

/* The same inputs in the same order, none with a lower sequence, one with a higher. *last_word:
 * whatever was raised cannot be raised again. */
static bool is_update(const struct tx *old, const struct tx *tx, bool *last_word)
{
    bool raised = false;
    *last_word = true;
    if (tx->n_in != old->n_in)
        return false;
    for (size_t i = 0; i < tx->n_in; i++) {
        if (!outpoint_equal(&tx->in[i].prevout, &old->in[i].prevout) ||
            tx->in[i].sequence < old->in[i].sequence)
            return false;
        if (tx->in[i].sequence == old->in[i].sequence)
            continue;
        raised = true;
        if (tx->in[i].sequence != TX_SEQUENCE_FINAL)
            *last_word = false;
    }
    return raised;
}

static bool all_sequences_final(const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_in; i++)
        if (tx->in[i].sequence != TX_SEQUENCE_FINAL)
            return false;
    return true;
}

/* The reference means 10 points for a bad update, but gives them when nobody looks any more. */
static enum nonfinal_relation refuse_update(struct verdict *v)
{
    verdict_set(v, REJECT_INVALID, 0, "bad-txn-update");
    return NONFINAL_REFUSED;
}

enum nonfinal_relation nonfinal_relate(const struct nonfinal *nf, const struct tx *tx, bool final,
                                       struct tx **held, struct verdict *v)
{
    struct held *h;
    bool several, last_word;
    *held = NULL;
    if (!final && spends_held_output(nf, tx)) {
        verdict_set(v, REJECT_NONSTANDARD, 0, "too-long-non-final-chain");
        return NONFINAL_REFUSED;
    }
    const size_t touched = count_touched(nf, tx, &h, &several);
    if (touched == 0)
        return NONFINAL_UNRELATED;
    if (final && (several || touched < tx->n_in || !all_sequences_final(tx))) {
        verdict_set(v, REJECT_CONFLICT, 0, "txn-mempool-conflict");
        *held = h->tx;
        return NONFINAL_REFUSED;
    }
    if (several || !is_update(h->tx, tx, &last_word))
        return refuse_update(v);
    *held = h->tx;
    return final ? NONFINAL_FINALISES : NONFINAL_UPDATE;
}

/* --- changes --- */

/* One more update: true when there is room in the bucket. */
static bool pour(struct held *h, int64_t now)
{
    if (now > h->leaked) {
        h->level = MAX_OF(h->level - (now - h->leaked) * BUCKET_LEAK_PER_S, 0);
        h->leaked = now;
    }
    if (h->level >= BUCKET_SIZE)
        return false;
    h->level++;
    return true;
}

/* The update that takes the place of old one: allowed by the rate, with the bucket handed on. */
static bool take_over(struct held *old, struct held *h, int64_t now, struct verdict *v)
{
    bool last_word;
    if (is_update(old->tx, h->tx, &last_word) && last_word)
        return true; /* a fresh bucket, as in the reference */
    if (!pour(old, now))
        return verdict_set(v, REJECT_RATE, 0, "non-final-txn-replacement-rate");
    h->level = old->level;
    h->leaked = old->leaked;
    return true;
}

/* Whether a held one that would stay spends the same outputs. */
static bool collides(const struct nonfinal *nf, const struct tx *tx, const struct held *old)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct held *h =
            (const struct held *)tx_table_spender(&nf->table, &tx->in[i].prevout);
        if (h && h != old)
            return true;
    }
    return false;
}

static bool add(struct nonfinal *nf, struct held *h, struct held *old, int64_t now,
                struct verdict *v)
{
    if (collides(nf, h->tx, old))
        return verdict_set(v, REJECT_CONFLICT, 0, "txn-mempool-conflict");
    if (nf->bytes - (old ? old->memory : 0) + h->memory > nf->max_bytes)
        return verdict_set(v, REJECT_MEMPOOL_FULL, 0, "non-final-pool-full");
    if (old && !take_over(old, h, now, v))
        return false;
    if (old)
        tx_unref(take_out(nf, old));
    insert(nf, h);
    return true;
}

bool nonfinal_add(struct nonfinal *nf, struct tx *tx, const struct txid *replaced, int64_t now,
                  struct verdict *v)
{
    struct held *h = held_new(tx, now);
    if (!h)
        return false;
    pthread_mutex_lock(&nf->lock);
    struct held *old = replaced ? (struct held *)tx_table_find(&nf->table, replaced) : NULL;
    const bool added = add(nf, h, old, now, v);
    pthread_mutex_unlock(&nf->lock);
    if (!added) {
        tx_unref(h->tx);
        free(h);
    }
    return added;
}

void nonfinal_remove(struct nonfinal *nf, const struct txid *id)
{
    pthread_mutex_lock(&nf->lock);
    struct held *h = (struct held *)tx_table_find(&nf->table, id);
    if (h)
        tx_unref(take_out(nf, h));
    pthread_mutex_unlock(&nf->lock);
}

bool nonfinal_conflicts(const struct nonfinal *nf, const struct tx *tx)
{
    return collides(nf, tx, NULL);
}

void nonfinal_remove_conflicts(struct nonfinal *nf, const struct tx *tx)
{
    pthread_mutex_lock(&nf->lock);
    for (size_t i = 0; i < tx->n_in; i++) {
        struct held *h = (struct held *)tx_table_spender(&nf->table, &tx->in[i].prevout);
        if (h)
            tx_unref(take_out(nf, h));
    }
    pthread_mutex_unlock(&nf->lock);
}

void nonfinal_remove_all(struct nonfinal *nf)
{
    pthread_mutex_lock(&nf->lock);
    while (nf->oldest)
        tx_unref(take_out(nf, nf->oldest));
    pthread_mutex_unlock(&nf->lock);
}

size_t nonfinal_take_final(struct nonfinal *nf, int32_t height, int64_t median_time,
                           struct tx ***out)
{
    struct held *next;
    size_t n = 0;
    pthread_mutex_lock(&nf->lock);
    *out = (struct tx **)xcalloc(nf->table.by_id.n, sizeof(**out));
    for (struct held *h = nf->oldest; h; h = next) {
        next = h->younger;
        if (tx_is_final(h->tx, height, median_time))
            (*out)[n++] = take_out(nf, h);
    }
    pthread_mutex_unlock(&nf->lock);
    return n;
}

void nonfinal_purge(struct nonfinal *nf, int64_t now)
{
    struct held *next;
    pthread_mutex_lock(&nf->lock);
    for (struct held *h = nf->oldest; h; h = next) {
        next = h->younger;
        if (h->time < now - NONFINAL_MAX_AGE_S)
            tx_unref(take_out(nf, h));
    }
    pthread_mutex_unlock(&nf->lock);
}

/* --- any thread --- */

struct tx *nonfinal_get_tx(struct nonfinal *nf, const struct txid *id)
{
    pthread_mutex_lock(&nf->lock);
    const struct held *h = (const struct held *)tx_table_find(&nf->table, id);
    struct tx *tx = h ? tx_ref(h->tx) : NULL;
    pthread_mutex_unlock(&nf->lock);
    return tx;
}

bool nonfinal_contains(struct nonfinal *nf, const struct txid *id)
{
    pthread_mutex_lock(&nf->lock);
    const bool there = tx_table_find(&nf->table, id);
    pthread_mutex_unlock(&nf->lock);
    return there;
}

void nonfinal_get_stats(struct nonfinal *nf, struct nonfinal_stats *out)
{
    pthread_mutex_lock(&nf->lock);
    *out = (struct nonfinal_stats){ nf->table.by_id.n, nf->bytes, nf->max_bytes };
    pthread_mutex_unlock(&nf->lock);
}

void nonfinal_each(struct nonfinal *nf, void (*fn)(void *ctx, struct tx *tx, int64_t time),
                   void *ctx)
{
    pthread_mutex_lock(&nf->lock);
    for (struct held *h = nf->oldest; h; h = h->younger)
        fn(ctx, h->tx, h->time);
    pthread_mutex_unlock(&nf->lock);
}

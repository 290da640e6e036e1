/* What any thread may ask the mempool: under the lock for reading, nothing is changed. */
#include "chain/mempool_internal.h"

#include <stdlib.h>

#include "base/mem.h"

bool mempool_contains(struct mempool *mp, const struct txid *id)
{
    pthread_rwlock_rdlock(&mp->lock);
    const bool there = pool_find(mp, id);
    pthread_rwlock_unlock(&mp->lock);
    return there;
}

struct tx *mempool_get_tx(struct mempool *mp, const struct txid *id)
{
    pthread_rwlock_rdlock(&mp->lock);
    const struct pool_entry *e = pool_find(mp, id);
    struct tx *tx = e ? tx_ref(e->pub.tx) : NULL;
    pthread_rwlock_unlock(&mp->lock);
    return tx;
}

struct tx *mempool_get_output(struct mempool *mp, const struct outpoint *o)
{
    struct tx *tx = mempool_get_tx(mp, &o->txid);
    if (!tx || o->index < tx->n_out)
        return tx;
    tx_unref(tx);
    return NULL;
}

struct tx *mempool_get_spender(struct mempool *mp, const struct outpoint *o)
{
    pthread_rwlock_rdlock(&mp->lock);
    const struct pool_entry *e = pool_spender(mp, o);
    struct tx *tx = e ? tx_ref(e->pub.tx) : NULL;
    pthread_rwlock_unlock(&mp->lock);
    return tx;
}

void mempool_get_stats(struct mempool *mp, int64_t now, struct mempool_stats *out)
{
    pthread_rwlock_rdlock(&mp->lock);
    *out = (struct mempool_stats){
        .count = mp->table.by_id.n,
        .primary = mp->n_primary,
        .secondary = mp->table.by_id.n - mp->n_primary,
        .groups = mp->n_groups,
        .tx_bytes = mp->tx_bytes,
        .memory = mp->memory,
        .secondary_memory = mp->secondary_memory,
        .max_memory = mp->o.max_bytes,
        .max_secondary_memory = mp->o.max_secondary_bytes,
        .min_fee_per_kb = pool_floor_now(mp, now),
        .sequence = mp->next_sequence,
        .total_fee = mp->total_fee,
    };
    pthread_rwlock_unlock(&mp->lock);
}

int64_t mempool_min_fee_per_kb(struct mempool *mp, int64_t now)
{
    pthread_rwlock_rdlock(&mp->lock);
    const int64_t rate = pool_floor_now(mp, now);
    pthread_rwlock_unlock(&mp->lock);
    return rate;
}

void mempool_each(struct mempool *mp, uint64_t after, mempool_visit_fn fn, void *ctx)
{
    pthread_rwlock_rdlock(&mp->lock);
    for (size_t i = pool_slot_after(mp, after); i < mp->n_order; i++)
        if (mp->order[i].entry && fn(ctx, &mp->order[i].entry->pub) == MEMPOOL_ENOUGH)
            break;
    pthread_rwlock_unlock(&mp->lock);
}

bool mempool_visit(struct mempool *mp, const struct txid *id, mempool_visit_fn fn, void *ctx)
{
    pthread_rwlock_rdlock(&mp->lock);
    const struct pool_entry *e = pool_find(mp, id);
    if (e)
        fn(ctx, &e->pub);
    pthread_rwlock_unlock(&mp->lock);
    return e != NULL;
}

/* --- relatives --- */

/* Addresses are not chosen by others, but their low bits are alike. */
static uint64_t hash_pointer(const void *p)
{
    return (uint64_t)(uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static bool is_same(const void *item, const void *key)
{
    return item == key;
}

static void meet(struct map *seen, struct pool_list *out, const struct mempool_entry *e)
{
    if (map_find(seen, hash_pointer(e), is_same, e))
        return;
    map_put(seen, hash_pointer(e), pool_entry_of(e));
    pool_list_push(out, pool_entry_of(e));
}

/* Goes on from those in the list, up or down, until all are met. Marks in the entries belong to the
 * chain thread, so a set of those met is kept here. */
static void meet_all(struct map *seen, struct pool_list *out, bool up)
{
    for (size_t done = 0; done < out->n; done++) {
        const struct mempool_entry *at = &out->v[done]->pub;
        struct mempool_entry *const *next = up ? at->parents : at->children;
        for (uint32_t i = 0; i < (up ? at->n_parents : at->n_children); i++)
            meet(seen, out, next[i]);
    }
}

static void visit_list(const struct pool_list *list, mempool_visit_fn fn, void *ctx)
{
    for (size_t i = 0; i < list->n; i++)
        if (fn(ctx, &list->v[i]->pub) == MEMPOOL_ENOUGH)
            break;
}

static void each_relative(struct mempool *mp, const struct txid *id, bool up, mempool_visit_fn fn,
                          void *ctx)
{
    struct pool_list list = { 0 };
    struct map seen;
    map_init(&seen);
    pthread_rwlock_rdlock(&mp->lock);
    const struct pool_entry *e = pool_find(mp, id);
    if (e) {
        meet(&seen, &list, &e->pub);
        meet_all(&seen, &list, up);
        struct pool_list others = { list.v + 1, list.n - 1, 0 };
        pool_list_sort(&others);
    }
    visit_list(&list, fn, ctx);
    pthread_rwlock_unlock(&mp->lock);
    map_clear(&seen);
    free(list.v);
}

void mempool_each_of_trees(struct mempool *mp, const struct txid *roots, size_t n,
                           mempool_visit_fn fn, void *ctx)
{
    struct pool_list list = { 0 };
    struct map seen;
    map_init(&seen);
    pthread_rwlock_rdlock(&mp->lock);
    for (size_t i = 0; i < n; i++) {
        const struct pool_entry *e = pool_find(mp, &roots[i]);
        if (e)
            meet(&seen, &list, &e->pub);
    }
    meet_all(&seen, &list, false);
    pool_list_sort(&list);
    visit_list(&list, fn, ctx);
    pthread_rwlock_unlock(&mp->lock);
    map_clear(&seen);
    free(list.v);
}

void mempool_each_ancestor(struct mempool *mp, const struct txid *id, mempool_visit_fn fn,
                           void *ctx)
{
    each_relative(mp, id, true, fn, ctx);
}

void mempool_each_descendant(struct mempool *mp, const struct txid *id, mempool_visit_fn fn,
                             void *ctx)
{
    each_relative(mp, id, false, fn, ctx);
}

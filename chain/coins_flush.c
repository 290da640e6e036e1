/*
 * Writing the cache out (architecture 4.4, step 3).
 *
 * A flush that fits one batch is one atomic synced write of coins and best block. A larger one
 * first replaces the best block by a transition marker, then writes the coins in key order in
 * batches, and the last batch puts the new best block in the marker's place. Every batch is synced:
 * LevelDB does not sync a log file it leaves behind, so an unsynced middle batch could be lost
 * though a later synced one is kept.
 *
 * Until the end nothing in the cache changes, so a failed flush can be repeated. But after a
 * failure nobody knows which batches reached the disk, so no entry counts as FRESH any more.
 */
#include <config.h>

#include <stdlib.h>

#include "base/mem.h"
#include "chain/coins_internal.h"

struct flush {
    struct coins *c;
    struct kv_batch *batch;
    struct buf value;
    const struct block_hash *new_best;
    uint32_t *order; /* numbers of dirty entries by key */
};

static unsigned bucket_of(const struct coin_entry *ce)
{
    return (unsigned)ce->txid.b[0] << 8 | ce->txid.b[1];
}

static int compare_entries(const void *a, const void *b, void *ctx)
{
    const struct coins_map *m = ctx;
    const struct coin_entry *x = coins_map_at(m, *(const uint32_t *)a);
    const struct coin_entry *y = coins_map_at(m, *(const uint32_t *)b);
    int order = memcmp(x->txid.b, y->txid.b, 32);
    if (order)
        return order;
    uint8_t a_key[COIN_KEY_MAX] = { 0 }, b_key[COIN_KEY_MAX] = { 0 };
    struct outpoint a_point = coins_outpoint_of(x), b_point = coins_outpoint_of(y);
    coin_key(a_key, &a_point);
    coin_key(b_key, &b_point);
    return memcmp(a_key, b_key, sizeof(a_key));
}

/*
 * Counting sort by the first two bytes, then each bucket by comparison: four bytes per entry is all
 * the memory this takes.
 */
static bool sort_dirty(struct flush *f)
{
    enum { BUCKETS = 1 << 16 };
    const struct coins_map *m = &f->c->map;
    uint32_t *start = calloc(BUCKETS + 1, sizeof(*start));
    f->order = try_alloc(f->c->dirty + 1, sizeof(*f->order));
    if (!start || !f->order) {
        free(start);
        return false;
    }
    for (uint32_t i = 0; i < coins_map_limit(m); i++) {
        const struct coin_entry *ce = coins_map_at(m, i);
        if (ce && ce->flags & CE_DIRTY)
            start[bucket_of(ce) + 1]++;
    }
    for (unsigned b = 1; b <= BUCKETS; b++)
        start[b] += start[b - 1];
    for (uint32_t i = 0; i < coins_map_limit(m); i++) {
        const struct coin_entry *ce = coins_map_at(m, i);
        if (ce && ce->flags & CE_DIRTY)
            f->order[start[bucket_of(ce)]++] = i;
    }
    /* start[b] is now the end of bucket b. */
    for (unsigned b = 0, from = 0; b < BUCKETS; from = start[b++])
        if (start[b] - from > 1)
            qsort_r(f->order + from, start[b] - from, sizeof(*f->order), compare_entries,
                    (void *)m);
    free(start);
    return true;
}

static void put_transition(struct flush *f)
{
    uint8_t value[COINS_TRANSITION_SIZE] = { f->c->has_best };
    if (f->c->has_best)
        memcpy(value + 1, f->c->best.b, 32);
    memcpy(value + 33, f->new_best->b, 32);
    kv_batch_delete(f->batch, COINS_KEY_BEST, 1);
    kv_batch_put(f->batch, COINS_KEY_TRANSITION, 1, value, sizeof(value));
}

static void put_best(struct flush *f)
{
    kv_batch_delete(f->batch, COINS_KEY_TRANSITION, 1);
    kv_batch_put(f->batch, COINS_KEY_BEST, 1, f->new_best->b, 32);
}

static void put_entry(struct flush *f, const struct coin_entry *ce)
{
    uint8_t key[COIN_KEY_MAX];
    struct outpoint o = coins_outpoint_of(ce);
    size_t key_len = coin_key(key, &o);
    if (ce->flags & CE_SPENT) {
        kv_batch_delete(f->batch, key, key_len);
        return;
    }
    struct coin coin = coins_coin_of(ce);
    buf_reset(&f->value);
    coin_write(&f->value, &coin);
    kv_batch_put(f->batch, key, key_len, f->value.data, f->value.len);
}

static enum err write_synced(struct flush *f, struct error *e)
{
    return kv_write(f->c->kv, f->batch, KV_SYNC, e);
}

static enum err write_all(struct flush *f, struct error *e)
{
    struct coins *c = f->c;
    bool in_parts = c->dirty_bytes > c->batch_bytes;
    if (in_parts) {
        put_transition(f);
        c->in_transition = true;
        enum err rc = write_synced(f, e);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < c->dirty; i++) {
        put_entry(f, coins_map_at(&c->map, f->order[i]));
        if (!in_parts || kv_batch_bytes(f->batch) < c->batch_bytes)
            continue;
        enum err rc = write_synced(f, e);
        if (rc)
            return rc;
    }
    put_best(f);
    return write_synced(f, e);
}

static void after_success(struct coins *c, const struct block_hash *new_best)
{
    c->in_transition = false;
    c->has_best = true;
    c->best = *new_best;
    c->dirty = 0;
    c->dirty_bytes = 0;
    for (uint32_t i = 0; i < coins_map_limit(&c->map); i++) {
        struct coin_entry *ce = coins_map_at(&c->map, i);
        if (!ce)
            continue;
        if (ce->flags & CE_SPENT) {
            struct outpoint o = coins_outpoint_of(ce);
            coins_remove_entry(c, ce, i, coins_map_hash(&c->map, &o));
        } else {
            ce->flags &= (uint8_t) ~(CE_DIRTY | CE_FRESH);
        }
    }
}

static void after_failure(struct coins *c)
{
    for (uint32_t i = 0; i < coins_map_limit(&c->map); i++) {
        struct coin_entry *ce = coins_map_at(&c->map, i);
        if (ce)
            ce->flags &= (uint8_t)~CE_FRESH;
    }
}

enum err coins_flush(struct coins *c, const struct block_hash *new_best, struct error *e)
{
    if (c->dirty == 0 && !c->in_transition && c->has_best && block_hash_equal(&c->best, new_best))
        return OK;
    struct flush f = { .c = c, .new_best = new_best };
    if (!sort_dirty(&f)) {
        free(f.order);
        return error_set(e, ERR_NOMEM, "no memory to sort %zu coins for writing", c->dirty);
    }
    f.batch = kv_batch_new(c->kv);
    buf_init(&f.value);
    if (c->dirty)
        c->disk_empty = false;
    enum err rc = write_all(&f, e);
    if (rc)
        after_failure(c);
    else
        after_success(c, new_best);
    buf_clear(&f.value);
    kv_batch_free(f.batch);
    free(f.order);
    if (!rc)
        coins_before_change(c);
    return rc;
}

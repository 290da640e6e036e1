/*
 * Two hash tables of items that own their arrays. Tables are copied as a whole before a change, so
 * that a change whose file cannot be written leaves nothing behind.
 */
#include <config.h>

#include "chain/frozen.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

struct frozen {
    struct map outputs, orders;
    struct siphash_key key;
    uint64_t version;
};

#define CTX_SCRIPT_MIN 29
#define CTX_SCRIPT_MAX 83
static const uint8_t ctx_prefix[7] = { 0x00, 0x6a, 0x04, 'c', 'f', 't', 'x' };

/* --- tables --------------------------------------------------------------------------------- */

static bool output_is(const void *item, const void *key)
{
    return outpoint_equal(&((const struct frozen_output *)item)->outpoint,
                          (const struct outpoint *)key);
}

static bool order_is(const void *item, const void *key)
{
    return txid_equal(&((const struct confiscation_order *)item)->id, (const struct txid *)key);
}

static uint64_t output_hash(const struct frozen *f, const struct outpoint *o)
{
    return siphash_36(&f->key, o->txid.b, o->index);
}

static struct frozen_output *find_output(const struct frozen *f, const struct outpoint *o)
{
    if (f->outputs.n == 0)
        return NULL;
    return (struct frozen_output *)map_find(&f->outputs, output_hash(f, o), output_is, o);
}

static struct confiscation_order *find_order(const struct frozen *f, const struct txid *id)
{
    if (f->orders.n == 0)
        return NULL;
    return (struct confiscation_order *)map_find(&f->orders, siphash_32(&f->key, id->b), order_is,
                                                 id);
}

static void drop_output(struct frozen *f, const struct outpoint *o)
{
    free(map_remove(&f->outputs, output_hash(f, o), output_is, o));
}

/* Takes the place of the entry for the same outpoint, if any. */
static void set_output(struct frozen *f, struct frozen_output *entry)
{
    drop_output(f, &entry->outpoint);
    map_put(&f->outputs, output_hash(f, &entry->outpoint), entry);
}

static struct frozen_output *output_new(const struct outpoint *o, enum frozen_list list,
                                        const struct height_interval *intervals, size_t n,
                                        bool policy_expires)
{
    struct frozen_output *entry = xmalloc(sizeof *entry + n * sizeof *intervals);
    *entry = (struct frozen_output){
        .outpoint = *o, .list = list, .policy_expires = policy_expires, .n_intervals = n
    };
    if (n)
        memcpy(entry->intervals, intervals, n * sizeof *intervals);
    return entry;
}

static struct confiscation_order *order_new(const struct txid *id, int32_t enforce_height, size_t n)
{
    struct confiscation_order *order = xmalloc(sizeof *order + n * sizeof *order->outputs);
    *order = (struct confiscation_order){ .id = *id,
                                          .enforce_height = enforce_height,
                                          .n_outputs = n };
    return order;
}

bool frozen_put_output(struct frozen *f, const struct frozen_output *entry)
{
    if (find_output(f, &entry->outpoint))
        return false;
    set_output(f, output_new(&entry->outpoint, entry->list, entry->intervals, entry->n_intervals,
                             entry->policy_expires));
    return true;
}

bool frozen_put_order(struct frozen *f, const struct confiscation_order *entry)
{
    if (find_order(f, &entry->id))
        return false;
    struct confiscation_order *order = order_new(&entry->id, entry->enforce_height,
                                                 entry->n_outputs);
    if (entry->n_outputs)
        memcpy(order->outputs, entry->outputs, entry->n_outputs * sizeof *entry->outputs);
    map_put(&f->orders, siphash_32(&f->key, order->id.b), order);
    return true;
}

static void free_items(struct map *m)
{
    void *item;
    for (size_t pos = 0; (item = map_next(m, &pos));)
        free(item);
    map_clear(m);
    map_init(m);
}

/* --- the lists as a whole ------------------------------------------------------------------- */

struct frozen *frozen_new(void)
{
    struct frozen *f = xcalloc(1, sizeof(struct frozen));
    map_init(&f->outputs);
    map_init(&f->orders);
    rand_bytes(&f->key, sizeof f->key);
    return f;
}

void frozen_free(struct frozen *f)
{
    if (!f)
        return;
    free_items(&f->outputs);
    free_items(&f->orders);
    free(f);
}

struct frozen *frozen_released(const struct frozen *f)
{
    struct frozen *released = frozen_new();
    const struct confiscation_order *order;
    for (size_t pos = 0; (order = map_next(&f->orders, &pos));)
        frozen_put_order(released, order);
    released->version = f->version;
    return released;
}

struct frozen *frozen_dup(const struct frozen *f)
{
    struct frozen *dup = frozen_released(f);
    const struct frozen_output *entry;
    for (size_t pos = 0; (entry = map_next(&f->outputs, &pos));)
        frozen_put_output(dup, entry);
    return dup;
}

void frozen_swap(struct frozen *a, struct frozen *b)
{
    struct frozen held = *a;
    *a = *b;
    *b = held;
}

uint64_t frozen_version(const struct frozen *f) { return f->version; }
void frozen_set_version(struct frozen *f, uint64_t version) { f->version = version; }

struct frozen_counts frozen_count(const struct frozen *f)
{
    struct frozen_counts counts = { .orders = f->orders.n };
    const struct frozen_output *entry;
    for (size_t pos = 0; (entry = map_next(&f->outputs, &pos));) {
        counts.policy += entry->list == FROZEN_POLICY;
        counts.consensus += entry->list == FROZEN_CONSENSUS;
        counts.confiscation += entry->list == FROZEN_CONFISCATION;
    }
    return counts;
}

static int by_outpoint(const void *a, const void *b)
{
    const struct frozen_output *const *x = a, *const *y = b;
    const struct outpoint *p = &(*x)->outpoint, *q = &(*y)->outpoint;
    int by_id = memcmp(p->txid.b, q->txid.b, 32);
    return by_id ? by_id : (p->index > q->index) - (p->index < q->index);
}

static int by_id(const void *a, const void *b)
{
    const struct confiscation_order *const *x = a, *const *y = b;
    return memcmp((*x)->id.b, (*y)->id.b, 32);
}

/* The items of a table in order. */
static void *sorted_items(const struct map *m, size_t *n, int (*cmp)(const void *, const void *))
{
    void **items = xcalloc(m->n + 1, sizeof *items);
    void *item;
    *n = 0;
    for (size_t pos = 0; (item = map_next(m, &pos));)
        items[(*n)++] = item;
    qsort(items, *n, sizeof *items, cmp);
    return items;
}

const struct frozen_output **frozen_outputs(const struct frozen *f, size_t *n)
{
    return sorted_items(&f->outputs, n, by_outpoint);
}

const struct confiscation_order **frozen_orders(const struct frozen *f, size_t *n)
{
    return sorted_items(&f->orders, n, by_id);
}

/* --- changes -------------------------------------------------------------------------------- */

enum frozen_answer frozen_add_policy(struct frozen *f, const struct outpoint *o)
{
    const struct frozen_output *known = find_output(f, o);
    if (known)
        return known->list == FROZEN_POLICY ? FROZEN_WAS_SO : FROZEN_IN_CONSENSUS;
    set_output(f, output_new(o, FROZEN_POLICY, NULL, 0, false));
    return FROZEN_DONE;
}

static bool same_intervals(const struct frozen_output *entry,
                           const struct height_interval *intervals, size_t n)
{
    if (entry->n_intervals != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (entry->intervals[i].start != intervals[i].start ||
            entry->intervals[i].stop != intervals[i].stop)
            return false;
    return true;
}

enum frozen_answer frozen_add_consensus(struct frozen *f, const struct outpoint *o,
                                        const struct height_interval *intervals, size_t n,
                                        bool policy_expires)
{
    const struct frozen_output *known = find_output(f, o);
    bool was_policy = known && known->list == FROZEN_POLICY;
    if (known && !was_policy && known->policy_expires == policy_expires &&
        same_intervals(known, intervals, n))
        return FROZEN_WAS_SO;
    bool was_there = known != NULL;
    enum frozen_list list = was_there && !was_policy ? known->list : FROZEN_CONSENSUS;
    set_output(f, output_new(o, list, intervals, n, policy_expires));
    return was_policy ? FROZEN_MOVED : was_there ? FROZEN_CHANGED : FROZEN_DONE;
}

enum frozen_answer frozen_remove_policy(struct frozen *f, const struct outpoint *o)
{
    const struct frozen_output *known = find_output(f, o);
    if (!known)
        return FROZEN_NOT_FOUND;
    if (known->list != FROZEN_POLICY)
        return FROZEN_IN_CONSENSUS;
    drop_output(f, o);
    return FROZEN_DONE;
}

struct frozen_counts frozen_clear(struct frozen *f, enum frozen_keep keep)
{
    struct frozen_counts gone = frozen_count(f);
    struct map all = f->outputs;
    struct frozen_output *entry;
    map_init(&f->outputs);
    for (size_t pos = 0; (entry = map_next(&all, &pos));) {
        if (keep == FROZEN_KEEP_POLICY && entry->list == FROZEN_POLICY)
            set_output(f, entry);
        else
            free(entry);
    }
    map_clear(&all);
    free_items(&f->orders);
    if (keep == FROZEN_KEEP_POLICY)
        gone.policy = 0;
    return gone;
}

static int64_t last_stop(const struct frozen_output *entry)
{
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < entry->n_intervals; i++)
        if (entry->intervals[i].start < entry->intervals[i].stop &&
            entry->intervals[i].stop > last)
            last = entry->intervals[i].stop;
    return last;
}

size_t frozen_expire(struct frozen *f, int64_t height)
{
    size_t n, gone = 0;
    const struct frozen_output **all = frozen_outputs(f, &n);
    for (size_t i = 0; i < n; i++) {
        struct outpoint o = all[i]->outpoint;
        if (all[i]->list != FROZEN_CONSENSUS || last_stop(all[i]) > height)
            continue;
        gone += all[i]->policy_expires;
        if (all[i]->policy_expires)
            drop_output(f, &o);
        else
            set_output(f, output_new(&o, FROZEN_POLICY, NULL, 0, false));
    }
    free(all);
    return gone;
}

struct frozen_counts frozen_clear_orders(struct frozen *f)
{
    struct frozen_counts changed = { .orders = f->orders.n };
    const struct confiscation_order *order;
    for (size_t pos = 0; (order = map_next(&f->orders, &pos));)
        for (size_t i = 0; i < order->n_outputs; i++) {
            struct frozen_output *entry = find_output(f, &order->outputs[i]);
            if (!entry || entry->list != FROZEN_CONFISCATION)
                continue;
            entry->list = FROZEN_CONSENSUS;
            changed.consensus++;
        }
    free_items(&f->orders);
    return changed;
}

/* --- questions ------------------------------------------------------------------------------ */

static bool consensus_at(const struct frozen_output *entry, int32_t height)
{
    if (entry->list == FROZEN_CONFISCATION)
        return true;
    for (size_t i = 0; i < entry->n_intervals; i++)
        if (height >= entry->intervals[i].start && height < entry->intervals[i].stop)
            return true;
    return false;
}

bool frozen_in_block(const struct frozen *f, const struct outpoint *o, int32_t height)
{
    const struct frozen_output *entry = find_output(f, o);
    return entry && consensus_at(entry, height);
}

bool frozen_in_mempool(const struct frozen *f, const struct outpoint *o, int32_t next_height)
{
    const struct frozen_output *entry = find_output(f, o);
    if (!entry)
        return false;
    return entry->list != FROZEN_CONSENSUS || !entry->policy_expires ||
           next_height < last_stop(entry);
}

/* --- confiscation transactions -------------------------------------------------------------- */

bool confiscation_is(const struct tx *tx)
{
    return tx->n_out > 0 && tx->out[0].script.len >= sizeof(ctx_prefix) &&
           memcmp(tx->out[0].script.data, ctx_prefix, sizeof(ctx_prefix)) == 0;
}

/* Prefix, one single-byte push to the end: version 1, order hash of 20 bytes, a hint if any. */
static bool order_output_ok(struct span script)
{
    if (script.len < CTX_SCRIPT_MIN || script.len > CTX_SCRIPT_MAX)
        return false;
    uint8_t push = script.data[sizeof(ctx_prefix)];
    return push < 0x4c && sizeof(ctx_prefix) + 1u + push == script.len &&
           script.data[sizeof(ctx_prefix) + 1] == 0x01;
}

static bool shape_ok(const struct tx *tx)
{
    if (tx->n_in < 1 || tx_is_coinbase(tx) || !order_output_ok(tx->out[0].script))
        return false;
    for (size_t i = 1; i < tx->n_out; i++) {
        struct span script = tx->out[i].script;
        if (script.len >= 2 && script.data[0] == 0x00 && script.data[1] == 0x6a)
            return false;
    }
    return true;
}

bool confiscation_check_shape(const struct tx *tx, struct verdict *v)
{
    return shape_ok(tx) || verdict_set(v, REJECT_INVALID, 100, "bad-ctx-invalid");
}

bool confiscation_check(const struct frozen *f, const struct tx *tx, int32_t height,
                        struct verdict *v)
{
    if (!confiscation_check_shape(tx, v))
        return false;
    const struct confiscation_order *order = find_order(f, &tx->id);
    if (order && order->enforce_height <= height)
        return true;
    return verdict_set(v, REJECT_INVALID, 100, "bad-ctx-not-whitelisted");
}

bool frozen_check_tx(const struct frozen *f, const struct tx *tx, int32_t next_height,
                     struct verdict *v)
{
    if (confiscation_is(tx))
        return confiscation_check(f, tx, next_height, v);
    for (size_t i = 0; i < tx->n_in; i++)
        if (frozen_in_mempool(f, &tx->in[i].prevout, next_height))
            return verdict_set(v, REJECT_SOFT_FREEZE, 0, "bad-txns-inputs-frozen");
    return true;
}

enum frozen_answer frozen_whitelist(struct frozen *f, const struct tx *tx, int32_t enforce_height)
{
    if (!confiscation_is(tx) || !shape_ok(tx))
        return FROZEN_BAD_ORDER;
    struct confiscation_order *order = find_order(f, &tx->id);
    if (order && order->enforce_height <= enforce_height)
        return FROZEN_WAS_SO;
    if (order) {
        order->enforce_height = enforce_height;
        return FROZEN_CHANGED;
    }
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct frozen_output *entry = find_output(f, &tx->in[i].prevout);
        if (!entry || entry->list == FROZEN_POLICY || !consensus_at(entry, enforce_height))
            return FROZEN_NOT_CONSENSUS;
    }
    order = order_new(&tx->id, enforce_height, tx->n_in);
    for (size_t i = 0; i < tx->n_in; i++) {
        order->outputs[i] = tx->in[i].prevout;
        find_output(f, &tx->in[i].prevout)->list = FROZEN_CONFISCATION;
    }
    map_put(&f->orders, siphash_32(&f->key, order->id.b), order);
    return FROZEN_DONE;
}

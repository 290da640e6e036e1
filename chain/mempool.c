/*
 * The container: entries by id and by what they spend, in order of sequence, by age and by worth.
 * What relations mean is in mempool_group.c, limits in mempool_trim.c.
 */
#include "chain/mempool_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/policy.h"

/*
 * Memory of an entry beyond what it and the table take: slots of the order of sequence and of three
 * heaps, half of them free, a share of its group, and of the journal.
 */
#define ENTRY_SHARE                                                                                \
    (2 * sizeof(struct pool_slot) + 3 * 2 * sizeof(void *) + 64 + sizeof(struct journal_entry))

const char *mempool_reason_name(enum mempool_reason r)
{
    static const char *const names[MEMPOOL_REASONS] = {
        [MEMPOOL_IN_BLOCK] = "included-in-block",
        [MEMPOOL_BLOCK_CONFLICT] = "collision-in-block-tx",
        [MEMPOOL_EXPIRED] = "expired",
        [MEMPOOL_SIZE_LIMIT] = "mempool-sizelimit-exceeded",
        [MEMPOOL_REORG] = "reorg",
        [MEMPOOL_ERA] = "unknown-reason",
        [MEMPOOL_FROZEN] = "unknown-reason",
    };
    return names[r];
}

void mempool_removals_clear(struct mempool_removals *r)
{
    for (size_t i = 0; i < r->n; i++) {
        tx_unref(r->v[i].tx);
        tx_unref(r->v[i].conflict);
    }
    free(r->v);
    *r = (struct mempool_removals){ 0 };
}

struct mempool_entry *mempool_find(const struct mempool *mp, const struct txid *id)
{
    struct pool_entry *e = pool_find(mp, id);
    return e ? &e->pub : NULL;
}

struct mempool_entry *mempool_spender(const struct mempool *mp, const struct outpoint *o)
{
    struct pool_entry *e = pool_spender(mp, o);
    return e ? &e->pub : NULL;
}

/* --- the pool --- */

bool pool_older(const void *a, const void *b)
{
    const struct mempool_entry *x = (const struct mempool_entry *)a;
    const struct mempool_entry *y = (const struct mempool_entry *)b;
    return x->time != y->time ? x->time < y->time : x->sequence < y->sequence;
}

bool pool_earlier(const void *a, const void *b)
{
    const struct mempool_entry *x = a, *y = b;
    return x->sequence < y->sequence;
}

struct mempool *mempool_new(const struct mempool_options *o)
{
    struct mempool *mp = (struct mempool *)xcalloc(1, sizeof(*mp));
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* Many readers must not keep the chain thread out. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&mp->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    mp->o = *o;
    mp->next_sequence = 1;
    mp->journal = journal_new();
    tx_table_init(&mp->table, offsetof(struct pool_entry, pub.tx));
    map_init(&mp->deltas);
    heap_init(&mp->worst, pool_worse, offsetof(struct pool_entry, worst_place));
    heap_init(&mp->oldest, pool_older, offsetof(struct pool_entry, oldest_place));
    heap_init(&mp->pending, pool_earlier, offsetof(struct pool_entry, pending_place));
    return mp;
}

void mempool_free(struct mempool *mp)
{
    if (!mp)
        return;
    mempool_remove_all(mp, MEMPOOL_ERA, NULL);
    size_t pos = 0;
    void *delta;
    while ((delta = map_next(&mp->deltas, &pos)))
        free(delta);
    tx_table_clear(&mp->table);
    map_clear(&mp->deltas);
    heap_clear(&mp->worst);
    heap_clear(&mp->oldest);
    heap_clear(&mp->pending);
    free(mp->order);
    free(mp->scratch.v);
    journal_free(mp->journal);
    pthread_rwlock_destroy(&mp->lock);
    free(mp);
}

struct journal *mempool_journal(struct mempool *mp)
{
    return mp->journal;
}

/* --- order of sequence --- */

/* Index of the first slot above the sequence. */
size_t pool_slot_after(const struct mempool *mp, uint64_t sequence)
{
    size_t low = 0, high = mp->n_order;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (mp->order[middle].sequence > sequence)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void order_append(struct mempool *mp, struct pool_entry *e)
{
    e->pub.sequence = mp->next_sequence++;
    if (mp->n_order == mp->cap_order) {
        mp->cap_order = mp->cap_order ? 2 * mp->cap_order : 64;
        mp->order =
            (struct pool_slot *)xrealloc(mp->order, mp->cap_order * sizeof(*mp->order));
    }
    mp->order[mp->n_order++] = (struct pool_slot){ e->pub.sequence, e };
}

/* Sequences rise by one until slots are packed: then it stands where it came. */
static size_t slot_of(const struct mempool *mp, const struct pool_entry *e)
{
    const uint64_t distance = e->pub.sequence - mp->order[0].sequence;
    if (distance < mp->n_order && mp->order[distance].entry == e)
        return (size_t)distance;
    return pool_slot_after(mp, e->pub.sequence - 1);
}

/* Slots are packed when half of them are free. */
static void order_remove(struct mempool *mp, const struct pool_entry *e)
{
    mp->order[slot_of(mp, e)].entry = NULL;
    if (++mp->n_holes < 64 || 2 * mp->n_holes < mp->n_order)
        return;
    size_t n = 0;
    for (size_t i = 0; i < mp->n_order; i++)
        if (mp->order[i].entry)
            mp->order[n++] = mp->order[i];
    mp->n_order = n;
    mp->n_holes = 0;
    mp->cap_order = MAX_OF(2 * n, (size_t)64);
    mp->order = (struct pool_slot *)xrealloc(mp->order, mp->cap_order * sizeof(*mp->order));
}

/* --- fee changes --- */

static bool is_delta_of(const void *item, const void *key)
{
    return txid_equal(&((const struct pool_delta *)item)->id, (const struct txid *)key);
}

static uint64_t hash_id(const struct mempool *mp, const struct txid *id)
{
    return siphash_32(&mp->table.key, id->b);
}

static struct pool_delta *find_delta(const struct mempool *mp, const struct txid *id)
{
    if (mp->deltas.n == 0) /* as good as always: then the hash is not worked out */
        return NULL;
    return (struct pool_delta *)map_find(&mp->deltas, hash_id(mp, id), is_delta_of, id);
}

int64_t mempool_fee_delta(const struct mempool *mp, const struct txid *id)
{
    const struct pool_delta *d = find_delta(mp, id);
    return d ? d->fee : 0;
}

static void forget_delta(struct mempool *mp, const struct txid *id)
{
    if (mp->deltas.n == 0)
        return;
    free(map_remove(&mp->deltas, hash_id(mp, id), is_delta_of, id));
}

static void set_delta(struct mempool *mp, const struct txid *id, int64_t fee)
{
    struct pool_delta *d = find_delta(mp, id);
    if (fee == 0) {
        forget_delta(mp, id);
        return;
    }
    if (!d) {
        d = (struct pool_delta *)xmalloc(sizeof(*d));
        d->id = *id;
        map_put(&mp->deltas, hash_id(mp, id), d);
    }
    d->fee = fee;
}

void mempool_prioritise(struct mempool *mp, const struct txid *id, int64_t fee_delta)
{
    int64_t sum;
    if (!add_i64(mempool_fee_delta(mp, id), fee_delta, &sum))
        sum = fee_delta;
    sum = MAX_OF(MIN_OF(sum, MAX_MONEY), -MAX_MONEY);
    pool_begin(mp);
    struct pool_entry *e = pool_find(mp, id);
    set_delta(mp, id, sum);
    if (e) {
        e->pub.fee_delta = sum;
        if (e->pub.primary)
            journal_set_fee_delta(mp->journal, e->pub.journal_number, pool_fee_of(e) - e->pub.fee);
        pool_fee_changed(mp, e);
        pool_settle(mp, POOL_VISITS_ALL);
    }
    pool_end(mp);
}

void mempool_each_delta(const struct mempool *mp,
                        void (*fn)(void *ctx, const struct txid *id, int64_t fee_delta), void *ctx)
{
    size_t pos = 0;
    const struct pool_delta *d;
    while ((d = (const struct pool_delta *)map_next(&mp->deltas, &pos)))
        fn(ctx, &d->id, d->fee);
}

/* --- adding --- */

/* Parents in the pool, each once. */
static void collect_parents(struct mempool *mp, const struct tx *tx, struct pool_list *out)
{
    const uint64_t epoch = ++mp->epoch;
    out->n = 0;
    for (size_t i = 0; i < tx->n_in; i++) {
        struct pool_entry *parent = pool_find(mp, &tx->in[i].prevout.txid);
        mp->visits++;
        if (!parent || parent->mark == epoch)
            continue;
        parent->mark = epoch;
        pool_list_push(out, parent);
    }
}

bool mempool_check_chain(struct mempool *mp, const struct tx *tx, struct verdict *v)
{
    uint32_t ancestors = 0, unpaid = 0;
    collect_parents(mp, tx, &mp->scratch);
    for (size_t i = 0; i < mp->scratch.n; i++) {
        const struct pool_entry *parent = mp->scratch.v[i];
        ancestors = MAX_OF(ancestors, parent->pub.ancestors + 1);
        if (!parent->pub.primary)
            unpaid = pool_debt_of_parent(unpaid, parent);
    }
    if (ancestors < mp->o.max_ancestors && unpaid < mp->o.max_group_members)
        return true;
    verdict_detail(v,
                   "a chain of %u unconfirmed ancestors, %u of them unpaid; limits are %u and %u",
                   ancestors, unpaid, mp->o.max_ancestors, mp->o.max_group_members);
    return verdict_set(v, REJECT_NONSTANDARD, 0, "too-long-mempool-chain");
}

/* One allocation for the entry and all that does not grow. NULL: no memory. */
static struct pool_entry *entry_new(const struct mempool_candidate *c, size_t n_parents)
{
    const size_t size = sizeof(struct pool_entry) + c->tx->n_in * sizeof(struct tx_spend) +
                        n_parents * (sizeof(struct mempool_entry *) + sizeof(uint32_t));
    struct pool_entry *e = (struct pool_entry *)try_alloc(size, 1);
    if (!e)
        return NULL;
    memset(e, 0, sizeof(*e));
    e->pub = (struct mempool_entry){
        .tx = tx_ref(c->tx),
        .fee = c->fee,
        .time = c->time,
        .height = c->height,
        .sigops = c->sigops,
        .spends_coinbase = c->spends_coinbase,
        .parents = (struct mempool_entry **)(void *)&e->spends[c->tx->n_in],
        .memory = mem_cost(size) + tx_memory(c->tx) + tx_table_cost(c->tx) + ENTRY_SHARE,
    };
    e->parent_pos = (uint32_t *)(void *)&e->pub.parents[n_parents];
    e->worst_place = e->oldest_place = e->pending_place = HEAP_NOWHERE;
    return e;
}

static void entry_free(struct pool_entry *e)
{
    tx_unref(e->pub.tx);
    free(e->pub.children);
    free(e->child_pos);
    free(e);
}

static void count_in(struct mempool *mp, const struct pool_entry *e)
{
    mp->memory += e->pub.memory;
    mp->secondary_memory += e->pub.memory; /* primary when it is found to be */
    mp->tx_bytes += pool_size_of(e);
    mp->total_fee += (uint64_t)e->pub.fee;
}

/* The entry is in all tables, secondary for the moment. */
static void insert(struct mempool *mp, struct pool_entry *e, const struct pool_list *parents)
{
    order_append(mp, e);
    count_in(mp, e);
    e->rate = INT64_MIN;
    tx_table_put(&mp->table, e, e->spends);
    heap_push(&mp->oldest, e);
    for (size_t i = 0; i < parents->n; i++)
        pool_link(mp, parents->v[i], e);
    mp->visits += parents->n;
    pool_rate_again(mp, e);
    heap_push(&mp->worst, e);
}

struct mempool_entry *mempool_add(struct mempool *mp, const struct mempool_candidate *c)
{
    struct pool_entry *e = NULL;
    pool_begin(mp);
    if (mp->settle_all)
        pool_settle(mp, POOL_VISITS_ALL);
    collect_parents(mp, c->tx, &mp->scratch);
    if (pool_reserve_children(mp, &mp->scratch))
        e = entry_new(c, mp->scratch.n);
    if (e) {
        e->pub.fee_delta = mempool_fee_delta(mp, &c->tx->id);
        if (c->counts_as_paying)
            e->bonus = fee_of_rate(mp->o.mining_fee_per_kb, pool_size_of(e));
        insert(mp, e, &mp->scratch);
        pool_judge(mp, e);
        pool_settle(mp, POOL_VISITS_PER_ADD);
    }
    pool_end(mp);
    return e ? &e->pub : NULL;
}

/* --- removing --- */

static void note_removal(struct mempool_removals *out, struct tx *tx, enum mempool_reason reason,
                         struct tx *conflict)
{
    if (!out)
        return;
    if (out->n == out->cap) {
        out->cap = out->cap ? 2 * out->cap : 16;
        out->v = (struct mempool_removed *)xrealloc(out->v, out->cap * sizeof(*out->v));
    }
    out->v[out->n++] = (struct mempool_removed){ tx_ref(tx), reason,
                                                 conflict ? tx_ref(conflict) : NULL };
}

static void count_out(struct mempool *mp, const struct pool_entry *e)
{
    mp->memory -= e->pub.memory;
    if (e->pub.primary)
        mp->n_primary--;
    else
        mp->secondary_memory -= e->pub.memory;
    mp->tx_bytes -= pool_size_of(e);
    mp->total_fee -= (uint64_t)e->pub.fee;
}

static void leave_heap(struct heap *h, struct pool_entry *e)
{
    if (heap_has(h, e))
        heap_remove(h, e);
}

/* Out of all tables, and freed. Children that stay are queued. */
static void take_out(struct mempool *mp, struct pool_entry *e)
{
    while (e->pub.n_children) {
        struct pool_entry *child = pool_entry_of(e->pub.children[e->pub.n_children - 1]);
        pool_unlink(mp, child, e->child_pos[e->pub.n_children - 1]);
        pool_enqueue(mp, child);
    }
    while (e->pub.n_parents)
        pool_unlink(mp, e, e->pub.n_parents - 1);
    pool_leave_group(mp, e);
    leave_heap(&mp->worst, e);
    leave_heap(&mp->oldest, e);
    leave_heap(&mp->pending, e);
    tx_table_remove(&mp->table, e);
    order_remove(mp, e);
    if (e->pub.primary)
        journal_remove(mp->journal, e->pub.journal_number);
    count_out(mp, e);
    entry_free(e);
}

/* The caller settles. */
void pool_remove_tree(struct mempool *mp, struct pool_entry *e, enum mempool_reason reason,
                      struct tx *conflict, struct mempool_removals *out)
{
    struct pool_list *tree = &mp->scratch;
    pool_collect_tree(mp, e, tree);
    for (size_t i = 0; i < tree->n; i++)
        note_removal(out, tree->v[i]->pub.tx, reason, conflict);
    while (tree->n)
        take_out(mp, tree->v[--tree->n]);
}

void mempool_remove(struct mempool *mp, const struct txid *id, enum mempool_reason reason,
                    struct mempool_removals *out)
{
    pool_begin(mp);
    struct pool_entry *e = pool_find(mp, id);
    if (e)
        pool_remove_tree(mp, e, reason, NULL, out);
    pool_settle(mp, POOL_VISITS_ALL);
    pool_end(mp);
}

/* Whatever in the pool spends what the transaction spends. */
static void remove_conflicts(struct mempool *mp, struct tx *tx, struct mempool_removals *out)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        struct pool_entry *rival = pool_spender(mp, &tx->in[i].prevout);
        if (rival)
            pool_remove_tree(mp, rival, MEMPOOL_BLOCK_CONFLICT, tx, out);
    }
}

void mempool_remove_confirmed(struct mempool *mp, struct tx *tx, struct mempool_removals *out)
{
    pool_begin(mp);
    struct pool_entry *e = pool_find(mp, &tx->id);
    forget_delta(mp, &tx->id);
    mp->settle_all = true;
    if (e) {
        note_removal(out, e->pub.tx, MEMPOOL_IN_BLOCK, NULL);
        take_out(mp, e);
    } else {
        remove_conflicts(mp, tx, out);
    }
    pool_end(mp);
}

void mempool_remove_all(struct mempool *mp, enum mempool_reason reason,
                        struct mempool_removals *out)
{
    pool_begin(mp);
    for (size_t i = 0; i < mp->n_order; i++)
        if (mp->order[i].entry)
            note_removal(out, mp->order[i].entry->pub.tx, reason, NULL);
    while (mp->n_order) {
        struct pool_entry *e = mp->order[mp->n_order - 1].entry;
        if (e) {
            take_out(mp, e);
            continue;
        }
        mp->n_order--;
        mp->n_holes--;
    }
    pool_settle(mp, POOL_VISITS_ALL);
    pool_end(mp);
}

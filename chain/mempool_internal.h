/*
 * What the files of the mempool share. All functions here are for the chain thread between
 * pool_begin and pool_end, unless they say otherwise.
 *
 * Every relation is kept in both directions with positions, so that a link goes away at once
 * however many others there are. What follows from relations (length of chains, who pays for whom)
 * is worked out by one queue in order of sequence, mempool_group.c.
 */
#ifndef CHAIN_MEMPOOL_INTERNAL_H
#define CHAIN_MEMPOOL_INTERNAL_H

#include <pthread.h>

#include "base/heap.h"
#include "chain/journal.h"
#include "chain/mempool.h"
#include "chain/tx_table.h"

/* Entries that one new transaction may make the queue look at, beyond itself (spec consensus
 * 5.3). */
#define POOL_VISITS_PER_ADD 1000
#define POOL_VISITS_ALL SIZE_MAX

/* What an entry and the entries before it that do not pay add up to. One that is reached by two
 * paths counts twice, as in the reference. */
struct pool_debt {
    uint32_t count; /* without the entry itself; UINT32_MAX: or more */
    int64_t fee;    /* these two mean nothing when count is beyond a group's limit */
    uint64_t size;
};

struct pool_entry {
    struct mempool_entry pub; /* first: pointers to it are pointers to this */
    uint32_t *parent_pos;     /* place of this entry among the children of parents[i] */
    uint32_t *child_pos;      /* place of this entry among the parents of children[i] */
    uint32_t cap_children;
    int64_t bonus;            /* added to the fee where it decides: free consolidations */
    struct pool_debt debt;    /* secondary entries only */
    int64_t rate;             /* satoshis per kB, of its group when it is in one */
    uint64_t mark;            /* == pool->epoch: met by the walk under way */
    size_t worst_place, oldest_place, pending_place;
    struct tx_spend spends[]; /* one an input; parents and parent_pos behind them */
};

struct pool_list {
    struct pool_entry **v;
    size_t n, cap;
};

/* By rising sequence; entries that left are NULL until the array is packed. */
struct pool_slot {
    uint64_t sequence;
    struct pool_entry *entry;
};

/* prioritisetransaction; kept while the transaction is not in a block. */
struct pool_delta {
    struct txid id;
    int64_t fee;
};

struct mempool {
    pthread_rwlock_t lock;
    struct mempool_options o;
    struct tx_table table;
    struct map deltas;
    struct pool_slot *order;
    size_t n_order, cap_order, n_holes;
    struct journal *journal;
    struct heap worst;   /* entries without children, lowest rank first */
    struct heap oldest;  /* all, by time of acceptance */
    struct heap pending; /* whose numbers may have changed, by sequence */
    struct mempool_group *broken; /* groups that lost a member */
    bool settle_all;     /* a block took entries out: settle before anything else */
    uint64_t next_sequence, epoch;

    size_t n_primary, n_groups;
    uint64_t tx_bytes, total_fee;
    size_t memory, secondary_memory;

    uint64_t floor;      /* rolling minimum, satoshis per kB << POOL_FLOOR_SHIFT, at floor_time */
    int64_t floor_time;
    bool floor_falls;    /* a block came since it was raised */

    uint64_t visits;     /* entries and links the queue looked at: what admission costs */
    struct pool_list scratch;
};

/* Around every change. */
static inline void pool_begin(struct mempool *mp)
{
    pthread_rwlock_wrlock(&mp->lock);
    journal_begin(mp->journal);
}
static inline void pool_end(struct mempool *mp)
{
    journal_end(mp->journal);
    pthread_rwlock_unlock(&mp->lock);
}

static inline struct pool_entry *pool_entry_of(const struct mempool_entry *e)
{
    return (struct pool_entry *)(void *)(uintptr_t)e;
}
static inline uint64_t pool_size_of(const struct pool_entry *e) { return e->pub.tx->raw.len; }
/* What counts as its fee where it decides. */
static inline int64_t pool_fee_of(const struct pool_entry *e)
{
    return e->pub.fee + e->pub.fee_delta + e->bonus;
}

void pool_list_push(struct pool_list *l, struct pool_entry *e);
void pool_list_sort(struct pool_list *l); /* by sequence */

/* mempool.c; the first three for any thread with the lock held */
static inline struct pool_entry *pool_find(const struct mempool *mp, const struct txid *id)
{
    return (struct pool_entry *)tx_table_find(&mp->table, id);
}
static inline struct pool_entry *pool_spender(const struct mempool *mp, const struct outpoint *o)
{
    return (struct pool_entry *)tx_table_spender(&mp->table, o);
}
size_t pool_slot_after(const struct mempool *mp, uint64_t sequence);
void pool_remove_tree(struct mempool *mp, struct pool_entry *e, enum mempool_reason reason,
                      struct tx *conflict, struct mempool_removals *out);

/* mempool_links.c */
bool pool_reserve_children(struct mempool *mp, const struct pool_list *parents);
void pool_link(struct mempool *mp, struct pool_entry *parent, struct pool_entry *child);
/* Of child and its parent number i. */
void pool_unlink(struct mempool *mp, struct pool_entry *child, uint32_t i);
/* The entry and all its descendants, by sequence. */
void pool_collect_tree(struct mempool *mp, struct pool_entry *e, struct pool_list *out);

/* mempool_group.c */
void pool_set_primary(struct mempool *mp, struct pool_entry *e, bool primary);
void pool_rate_again(struct mempool *mp, struct pool_entry *e); /* its fee or group changed */
void pool_fee_changed(struct mempool *mp, struct pool_entry *e); /* the same, the caller settles */
void pool_enqueue(struct mempool *mp, struct pool_entry *e);
/* Works out e from its parents; its children are queued when that changed. */
void pool_judge(struct mempool *mp, struct pool_entry *e);
void pool_settle(struct mempool *mp, size_t max_visits);
void pool_leave_group(struct mempool *mp, struct pool_entry *e);
uint32_t pool_debt_of_parent(uint32_t sum, const struct pool_entry *parent);

/* mempool_trim.c; any thread with the lock held */
#define POOL_FLOOR_SHIFT 20
int64_t pool_floor_now(const struct mempool *mp, int64_t now);

bool pool_worse(const void *a, const void *b);   /* order of pool->worst */
bool pool_older(const void *a, const void *b);   /* of pool->oldest */
bool pool_earlier(const void *a, const void *b); /* of pool->pending */

#endif

/*
 * Transactions that wait for a block (spec consensus 5.3 to 5.5): primary ones pay enough to be
 * mined, secondary ones wait for a child that pays for them; a child that does so makes a group of
 * itself and its secondary ancestors, which from then on enters blocks as one.
 *
 * This module keeps what was accepted (accept.h decides) and its relations. It does not look at
 * coins, scripts or peers.
 *
 * Threads: the chain thread alone changes the pool; any thread reads through the functions marked
 * so, which take the pool's lock for a short time. Nothing is called back under the lock but the
 * visitors of mempool_each_*, which must not call the pool again. Entries are borrowed by the
 * chain thread until its next change; transactions are reference-counted.
 *
 * Memory: every entry is charged with its transaction and all that hangs on it; the limits are
 * kept by mempool_trim.
 */
#ifndef CHAIN_MEMPOOL_H
#define CHAIN_MEMPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tx.h"
#include "chain/verdict.h"

struct journal;
struct mempool;

struct mempool_options {
    size_t max_bytes;            /* maxmempool, memory of all entries; 1000 MB */
    size_t max_secondary_bytes;  /* of these, in the secondary pool; a tenth */
    int64_t expiry_s;            /* mempoolexpiry, 336 h */
    int64_t mining_fee_per_kb;   /* minminingtxfee, satoshis */
    uint32_t max_ancestors;      /* limitancestorcount, 10,000: longest chain in the primary pool */
    uint32_t max_group_members;  /* limitcpfpgroupmemberscount, 25 */
};

/* A payer and its secondary ancestors. Read only outside this module. */
struct mempool_group {
    struct mempool_entry **members; /* by sequence; the payer is the last */
    size_t n;
    int64_t fee;                    /* of all, with what was added to it */
    uint64_t size;                  /* bytes of all */
    bool broken;                    /* for the module: it lost a member, and */
    struct mempool_group *next_broken;
};

/* One transaction of the pool. Read only outside this module. */
struct mempool_entry {
    struct tx *tx;               /* a reference */
    int64_t fee;                 /* satoshis */
    int64_t fee_delta;           /* prioritisetransaction */
    int64_t time;                /* of acceptance, seconds since 1970 */
    int32_t height;              /* of the tip then */
    uint64_t sequence;           /* counts up; parents have smaller ones than children */
    uint32_t ancestors;          /* longest chain of unconfirmed ancestors, spec consensus 5.1 */
    uint32_t secondary_ancestors; /* of them unpaid; with repetition, as the reference */
    uint32_t sigops;             /* as the candidate said */
    bool primary;
    bool spends_coinbase;
    uint64_t journal_number;     /* of primary ones (journal.h), else 0 */
    struct mempool_group *group; /* NULL: on its own */
    struct mempool_entry **parents, **children; /* in the pool, no repetition */
    uint32_t n_parents, n_children;
    size_t memory;               /* bytes charged */
};

enum mempool_reason {
    MEMPOOL_IN_BLOCK,      /* "included-in-block" */
    MEMPOOL_BLOCK_CONFLICT,/* "collision-in-block-tx" */
    MEMPOOL_EXPIRED,       /* "expired" */
    MEMPOOL_SIZE_LIMIT,    /* "mempool-sizelimit-exceeded" */
    MEMPOOL_REORG,         /* "reorg": no longer valid after a reorganisation */
    MEMPOOL_ERA,           /* "unknown-reason": Genesis or Chronicle line crossed */
    MEMPOOL_FROZEN,        /* "unknown-reason": an input was frozen */
    MEMPOOL_REASONS
};
const char *mempool_reason_name(enum mempool_reason r);

/* What a change threw out, children after parents; the caller tells the world, then clears. */
struct mempool_removed {
    struct tx *tx;             /* a reference */
    enum mempool_reason reason;
    struct tx *conflict;       /* a reference: what took its place in a block; or NULL */
};
struct mempool_removals {
    struct mempool_removed *v;
    size_t n, cap;
};
void mempool_removals_clear(struct mempool_removals *r);

struct mempool *mempool_new(const struct mempool_options *o);
void mempool_free(struct mempool *mp); /* NULL is fine */
/*
 * Its primary transactions, for those who make blocks. The pool adds and removes; who owns the pool
 * says when it is settled. Any thread.
 */
struct journal *mempool_journal(struct mempool *mp);

/* --- chain thread --- */

/*
 * What a transaction would be on top of the pool: its parents' chains against the limits
 * ("too-long-mempool-chain", code REJECT_NONSTANDARD, no score). True when it may enter. As in the
 * reference, what it would pay makes no difference.
 */
bool mempool_check_chain(struct mempool *mp, const struct tx *tx, struct verdict *v);
struct mempool_candidate {
    struct tx *tx;          /* a reference is taken */
    int64_t fee;
    int64_t time;
    int32_t height;
    uint32_t sigops;        /* before Genesis, redeem scripts included; else 0 */
    bool spends_coinbase;
    bool counts_as_paying;  /* a consolidation: primary whatever its fee */
};
/* Its id and its inputs are not in the pool yet, nothing in the pool spends its outputs, and
 * mempool_check_chain agreed. May promote secondary ancestors into a group. NULL when memory is
 * short; then the pool is as before. */
struct mempool_entry *mempool_add(struct mempool *mp, const struct mempool_candidate *c);
/* Takes it and all its descendants out. */
void mempool_remove(struct mempool *mp, const struct txid *id, enum mempool_reason reason,
                    struct mempool_removals *out);
/* The transaction is in a block: itself leaves, its children stay with fewer ancestors; whatever
 * else spends the same outputs leaves with its descendants (conflict = tx). Called for all
 * transactions of a block in order, then mempool_note_block: only then are the numbers and groups
 * of those that stay worked out again, once for the whole block. */
void mempool_remove_confirmed(struct mempool *mp, struct tx *tx, struct mempool_removals *out);
void mempool_remove_all(struct mempool *mp, enum mempool_reason reason,
                        struct mempool_removals *out);
/* Those accepted before now - expiry_s, with descendants. */
void mempool_expire(struct mempool *mp, int64_t now, struct mempool_removals *out);
/* Down to the limits: secondary first, then lowest fee rate, of the entries that nothing in the
 * pool depends on; raises the minimum fee rate (spec consensus 5.1, 5.3). */
void mempool_trim(struct mempool *mp, int64_t now, struct mempool_removals *out);
/* A block was connected: what it changed is worked out, the minimum fee rate may begin to fall. */
void mempool_note_block(struct mempool *mp, int64_t now);
/* NULL when not there. */
struct mempool_entry *mempool_find(const struct mempool *mp, const struct txid *id);
/* Who spends the output; NULL: nobody in the pool. */
struct mempool_entry *mempool_spender(const struct mempool *mp, const struct outpoint *o);
/* Adds to what counts as the fee, of transactions not in the pool too: kept until one is in a
 * block. The sum stays within the range of money. */
void mempool_prioritise(struct mempool *mp, const struct txid *id, int64_t fee_delta);
int64_t mempool_fee_delta(const struct mempool *mp, const struct txid *id);
void mempool_each_delta(const struct mempool *mp,
                        void (*fn)(void *ctx, const struct txid *id, int64_t fee_delta), void *ctx);

/* --- any thread --- */

bool mempool_contains(struct mempool *mp, const struct txid *id);
/* A reference, or NULL. */
struct tx *mempool_get_tx(struct mempool *mp, const struct txid *id);
/* Output of a transaction in the pool, whether spent there or not. The reference keeps script
 * alive. NULL when there is none. */
struct tx *mempool_get_output(struct mempool *mp, const struct outpoint *o);
/* A reference to the transaction in the pool that spends the output, or NULL. */
struct tx *mempool_get_spender(struct mempool *mp, const struct outpoint *o);

struct mempool_stats {
    size_t count, primary, secondary, groups;
    uint64_t tx_bytes;           /* serialised */
    size_t memory, secondary_memory, max_memory, max_secondary_memory;
    int64_t min_fee_per_kb;      /* rolling minimum now */
    uint64_t sequence;           /* of the next entry */
    uint64_t total_fee;
};
void mempool_get_stats(struct mempool *mp, int64_t now, struct mempool_stats *out);
int64_t mempool_min_fee_per_kb(struct mempool *mp, int64_t now);

enum mempool_visit { MEMPOOL_GO_ON, MEMPOOL_ENOUGH };
typedef enum mempool_visit (*mempool_visit_fn)(void *ctx, const struct mempool_entry *entry);
/* All entries by rising sequence (parents first), from the first one above `after` (0: all). */
void mempool_each(struct mempool *mp, uint64_t after, mempool_visit_fn fn, void *ctx);
/* The entry itself, then the others by rising sequence: */
void mempool_each_ancestor(struct mempool *mp, const struct txid *id, mempool_visit_fn fn,
                           void *ctx);
void mempool_each_descendant(struct mempool *mp, const struct txid *id, mempool_visit_fn fn,
                             void *ctx);
/* Those of these that are in the pool and everything that descends from them, each once, by rising
 * sequence. */
void mempool_each_of_trees(struct mempool *mp, const struct txid *roots, size_t n,
                           mempool_visit_fn fn, void *ctx);
/* The one entry; false when it is not there. */
bool mempool_visit(struct mempool *mp, const struct txid *id, mempool_visit_fn fn, void *ctx);

#endif

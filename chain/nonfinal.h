/*
 * Transactions that are not final yet and wait for their time (spec consensus 5.4). They are fully
 * checked before they come here (accept.h), are not mined and cannot be spent. A held transaction
 * may be replaced by an update: same inputs in the same order, no sequence lower, at least one
 * higher. Updates run through a leaky bucket of 7,200 that empties in an hour; those after which no
 * raised sequence can be raised again are free of it.
 *
 * The chain thread changes the pool; functions marked "any thread" take its lock. Bounded by bytes:
 * a full pool refuses newcomers.
 */
#ifndef CHAIN_NONFINAL_H
#define CHAIN_NONFINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tx.h"
#include "chain/verdict.h"

#define NONFINAL_MAX_AGE_S (28 * 24 * 3600)

struct nonfinal;

struct nonfinal *nonfinal_new(size_t max_bytes);
void nonfinal_free(struct nonfinal *nf); /* NULL is fine */

/* --- chain thread --- */

/* What a transaction means to those held. */
enum nonfinal_relation {
    NONFINAL_UNRELATED, /* spends nothing that a held one spends */
    NONFINAL_UPDATE,    /* replaces *held and is held in its place */
    NONFINAL_FINALISES, /* *held leaves, the transaction is for the mempool */
    NONFINAL_REFUSED    /* the verdict says bad-txn-update, txn-mempool-conflict or
                           too-long-non-final-chain */
};
/* final: judged by the caller for the next block. *held is borrowed: the one replaced, or in the
 * way (txn-mempool-conflict); else NULL. */
enum nonfinal_relation nonfinal_relate(const struct nonfinal *nf, const struct tx *tx, bool final,
                                       struct tx **held, struct verdict *v);
/*
 * Takes it in, in the place of `replaced` when that is not NULL; its age counts from now, in
 * seconds. A reference is taken. False with a verdict: non-final-pool-full,
 * non-final-txn-replacement-rate, txn-mempool-conflict when another one spends the same outputs;
 * without one when memory is short. Then the pool is as before.
 */
bool nonfinal_add(struct nonfinal *nf, struct tx *tx, const struct txid *replaced, int64_t now,
                  struct verdict *v);
void nonfinal_remove(struct nonfinal *nf, const struct txid *id);
/* Does a held one spend an output that this one spends? */
bool nonfinal_conflicts(const struct nonfinal *nf, const struct tx *tx);
/* A block or a mempool transaction spends these outputs: held ones that spend them too leave. */
void nonfinal_remove_conflicts(struct nonfinal *nf, const struct tx *tx);
void nonfinal_remove_all(struct nonfinal *nf);
/* Takes out those final for a block at this height after this median time; references are the
 * caller's, the array too (free()). Returns how many. */
size_t nonfinal_take_final(struct nonfinal *nf, int32_t height, int64_t median_time,
                           struct tx ***out);
void nonfinal_purge(struct nonfinal *nf, int64_t now); /* those older than NONFINAL_MAX_AGE_S */

/* --- any thread --- */
bool nonfinal_contains(struct nonfinal *nf, const struct txid *id);
struct tx *nonfinal_get_tx(struct nonfinal *nf, const struct txid *id); /* a reference, or NULL */
struct nonfinal_stats { size_t count, bytes, max_bytes; };
void nonfinal_get_stats(struct nonfinal *nf, struct nonfinal_stats *out);
/* The oldest first; fn must not call the pool. */
void nonfinal_each(struct nonfinal *nf, void (*fn)(void *ctx, struct tx *tx, int64_t time),
                   void *ctx);

#endif

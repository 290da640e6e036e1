/*
 * Transactions whose parents have not come yet (spec p2p 9, consensus 5.1, attacks B1). An orphan
 * waits until all parents it misses were accepted, is then given out once to be judged again, and
 * goes when a parent was refused, with its peer, after ORPHAN_MAX_AGE_S, or when room is needed.
 *
 * Pure data structure. Orphans are bounded by bytes, for each peer and for all together; who is
 * over its share loses its own at random, and when all are too much the peer that holds most does.
 * What may concern many orphans at once (a parent with 100,000 children, a peer that leaves) is
 * only noted and then worked off in portions by orphans_work, so that no single call takes long.
 *
 * Loop thread.
 */
#ifndef NODE_ORPHANS_H
#define NODE_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tx.h"

#define ORPHAN_MAX_AGE_S 1200

struct orphans;
struct orphan_owner; /* a peer */

struct orphans_options {
    size_t max_bytes;      /* of all, memory and overhead (maxorphantxsize) */
    size_t max_bytes_each; /* of one peer */
    uint64_t max_tx_size;  /* larger ones are not kept; 0: no limit */
};

struct orphans *orphans_new(const struct orphans_options *o);
void orphans_free(struct orphans *o); /* owners too; NULL is fine */

struct orphan_owner *orphans_add_peer(struct orphans *o);
/* The peer has gone; its orphans go with orphans_work. */
void orphans_remove_peer(struct orphans *o, struct orphan_owner *owner);

/* Keeps a reference. missing: without repetition, at least one. False when it is too large or kept
 * already. */
bool orphans_add(struct orphans *o, struct orphan_owner *owner, struct tx *tx,
                 const struct txid *missing, size_t n_missing, int64_t now_s);
bool orphans_contains(const struct orphans *o, const struct txid *id);

/* What became of a transaction that orphans may wait for. */
void orphans_parent_accepted(struct orphans *o, const struct txid *id);
void orphans_parent_refused(struct orphans *o, const struct txid *id);
/* Works off what was noted and what is too old, `most` steps of it; true when there is more. */
bool orphans_work(struct orphans *o, int64_t now_s, size_t most);
/* One of the peer's whose parents are all there leaves: the reference is the caller's. NULL when
 * there is none. */
struct tx *orphans_take_ready(struct orphans *o, struct orphan_owner *owner);

struct orphans_stats { size_t count, bytes, max_bytes; };
void orphans_get_stats(const struct orphans *o, struct orphans_stats *out);
size_t orphans_owned_bytes(const struct orphan_owner *owner);

#endif

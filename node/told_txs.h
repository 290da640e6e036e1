/*
 * Which transactions the event log has told of as being in the mempool, and what it has to say when
 * that changes. Nothing is said twice: a transaction that is read back from mempool.dat is known
 * here already, and one that did not come back is said to be gone ("lost-at-restart").
 *
 * Until told_txs_settle the account is on hold: what enters is not told of yet, since the mempool
 * is only being filled, or belongs to a chain that the log has gone beyond (told_chain.h). Settling
 * compares the account with the mempool and says the difference.
 *
 * Memory: about 80 bytes a transaction, next to the thousand the mempool takes for it. Chain thread
 * only (before it exists: whoever opens the log).
 */
#ifndef NODE_TOLD_TXS_H
#define NODE_TOLD_TXS_H

#include "base/hash.h"
#include "base/map.h"
#include "base/reader.h"
#include "chain/mempool.h"
#include "node/event_record.h"

struct header_node;

struct told_txs {
    void (*emit)(void *ctx, struct event_record *r);
    void *ctx;
    struct map live; /* of struct txid on the heap */
    struct siphash_key key;
    bool held;
};

void told_txs_init(struct told_txs *t, void (*emit)(void *ctx, struct event_record *r), void *ctx);
void told_txs_clear(struct told_txs *t);
/* Forgets all and is on hold: after a start was said. */
void told_txs_restart(struct told_txs *t);

/* --- what the log holds --- */
void told_txs_load(struct told_txs *t, struct reader *r);
/* An event of the log. False: it contradicts those before. */
bool told_txs_replay(struct told_txs *t, const struct event_record *r);
/* For a file's state: u64 number, ids. */
void told_txs_store(const struct told_txs *t, struct buf *out);
size_t told_txs_count(const struct told_txs *t);
size_t told_txs_bytes(const struct told_txs *t); /* of memory */

/* --- then --- */
void told_txs_accepted(struct told_txs *t, const struct mempool_entry *entry);
/* conflict and block may be NULL. */
void told_txs_removed(struct told_txs *t, const struct txid *id, const char *reason,
                      const struct txid *conflict, const struct header_node *block);
void told_txs_settle(struct told_txs *t, struct mempool *pool);

#endif

/*
 * The unspent outputs: a cache with a byte budget over the coins database (architecture 4.4).
 *
 * Chain thread only, except coins_prefetch, which reads the database on pool threads. A coin
 * handed out borrows the cache's memory until the next call that changes the cache (all but
 * coins_get and the statistics; coins_add may be given a borrowed script).
 *
 * Crash consistency: coins_flush writes all dirty entries in synced batches under a transition
 * marker; coins_open finds a marker that an interrupted flush left and reports it, so that the
 * chain can replay (recover.h).
 */
#ifndef CHAIN_COINS_H
#define CHAIN_COINS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/kv.h"
#include "base/pool.h"
#include "chain/coin.h"

struct coins;

struct coins_state {
    bool has_best;            /* false: empty, or transition */
    struct block_hash best;   /* block whose outputs are the last ones included */
    bool in_transition;
    bool has_old;             /* a first flush has no old tip */
    struct block_hash old_best, new_best;
};

struct coins_stats {
    size_t entries, dirty;
    size_t cache_bytes, dirty_bytes;
    uint64_t hits, misses;
};

/* kv: an open store, owned by coins from now on, also after an error. budget_bytes: soft limit of
 * the cache. */
enum err coins_open(struct coins **out, struct kv *kv, size_t budget_bytes,
                    struct coins_state *state, struct error *e) MUST_CHECK;
void coins_close(struct coins *c); /* without a flush; NULL is fine */
/* Time to flush: dirty entries fill the cache. (Clean ones make way by themselves.) */
bool coins_over_budget(const struct coins *c);
void coins_get_stats(const struct coins *c, struct coins_stats *out);

/* found = false: spent or never there. */
enum err coins_get(struct coins *c, const struct outpoint *o, struct coin *coin, bool *found,
                   struct error *e) MUST_CHECK;
/* Takes the coin out; coin borrows memory until the next call that changes the cache. */
enum err coins_spend(struct coins *c, const struct outpoint *o, struct coin *coin, bool *found,
                     struct error *e) MUST_CHECK;
enum coins_add_mode {
    COINS_ADD_NEW, /* known not to exist (its txid is new): no lookup, nothing on disk to delete */
    COINS_ADD_OVERWRITE, /* may exist (coinbases before BIP34, undo, replay) */
};
/* Copies the script. ERR_NOMEM. */
enum err coins_add(struct coins *c, const struct outpoint *o, const struct coin *coin,
                   enum coins_add_mode mode, struct error *e) MUST_CHECK;

/*
 * Reads the coins of the outpoints that are not cached on the pool's threads and puts them in;
 * returns when done. Missing ones are not remembered, and of long scripts only some are read, lest
 * they take the memory of all at once. Few of them, or pool NULL: on this thread.
 */
enum err coins_prefetch(struct coins *c, const struct outpoint *outpoints, size_t n,
                        struct pool *pool, struct error *e) MUST_CHECK;

/*
 * Writes everything dirty; the database then stands at new_best. The caller has synced block and
 * undo files and the header index before. Keeps clean entries while the budget allows.
 * After an error the cache is as before and the flush may be repeated with the same new_best or a
 * descendant; the database may be in transition until one succeeds.
 */
enum err coins_flush(struct coins *c, const struct block_hash *new_best,
                     struct error *e) MUST_CHECK;

/* Iterates all coins of the database in key order; flush first. Any thread (a snapshot). */
struct coins_iter;
struct coins_iter *coins_iter_new(struct coins *c);
void coins_iter_free(struct coins_iter *it);
/* False at the end or on error (then *err says). Borrowed until the next call. */
bool coins_iter_next(struct coins_iter *it, struct outpoint *o, struct coin *coin, enum err *err,
                     struct error *e);
uint64_t coins_disk_bytes(struct coins *c);
size_t coins_store_memory(struct coins *c); /* of the database, approximate; any thread */

#endif

/* The coin cache as its own files see it: coins.c (entries), coins_flush.c, coins_prefetch.c. */
#ifndef CHAIN_COINS_INTERNAL_H
#define CHAIN_COINS_INTERNAL_H

#include "chain/coins.h"
#include "chain/coins_map.h"

/* Keys of the database beside the coins. */
#define COINS_KEY_BEST "B"       /* block hash (32) */
#define COINS_KEY_TRANSITION "T" /* has_old (1), old (32), new (32) */
#define COINS_TRANSITION_SIZE 65

#define COINS_BATCH_BYTES (16u << 20)

struct coins {
    struct kv *kv;
    struct coins_map map;
    size_t budget;
    size_t batch_bytes; /* of a flush: COINS_BATCH_BYTES, tests set it lower */
    size_t dirty, dirty_bytes;
    uint64_t hits, misses;
    bool disk_empty;              /* surely no coin in the database: lookups need not ask */
    bool has_best, in_transition; /* of the database */
    struct block_hash best;       /* of the database; in a transition the old one, if has_best */
    struct coin_script *spent;    /* script handed out by coins_spend, freed by the next change */
    uint8_t spent_inline[COIN_INLINE_MAX];
    struct buf value; /* scratch */
    uint32_t sweep;   /* entry number where eviction goes on */
};

/* Frees what coins_spend lent and makes room if clean entries crowd the cache. In each call that
 * changes it. */
void coins_before_change(struct coins *c);
/* Puts in a clean entry. Its outpoint must be absent from the cache. ERR_NOMEM. */
enum err coins_insert(struct coins *c, const struct outpoint *o, uint32_t hash,
                      const struct coin *coin, struct coin_entry **out, uint32_t *number,
                      struct error *e) MUST_CHECK;
void coins_remove_entry(struct coins *c, struct coin_entry *ce, uint32_t number, uint32_t hash);
struct coin coins_coin_of(const struct coin_entry *ce);
static inline struct outpoint coins_outpoint_of(const struct coin_entry *ce)
{
    return (struct outpoint){ .txid = ce->txid, .index = ce->index };
}

#endif

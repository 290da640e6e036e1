/*
 * The table behind the coin cache: outpoint -> compact entry.
 *
 * Slots of 8 bytes (entry number and 32 bits of a keyed hash) are probed linearly; a lookup
 * touches one slot line and one entry. Entries of 80 bytes live in chunks, so their addresses stay
 * good until they are removed; chunks that become empty go back to the system. Scripts of up to
 * COIN_INLINE_MAX bytes are in the entry, longer ones on the heap, and all of it is counted.
 *
 * Outpoints are chosen by others: the hash is SipHash under a random key. One thread at a time.
 */
#ifndef CHAIN_COINS_MAP_H
#define CHAIN_COINS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/ids.h"
#include "chain/coin.h"

#define COIN_INLINE_MAX 30
#define COIN_SCRIPT_HEAP 0xff /* script_len of an entry whose script is on the heap */
#define COINS_MAP_NONE UINT32_MAX

enum coin_entry_flag {
    CE_USED = 1 << 0,
    CE_COINBASE = 1 << 1,
    CE_CONFISCATED = 1 << 2,
    CE_DIRTY = 1 << 3,  /* differs from the database */
    CE_FRESH = 1 << 4,  /* surely not in the database */
    CE_SPENT = 1 << 5,  /* spent here, still in the database: to be deleted; DIRTY and not FRESH */
    CE_RECENT = 1 << 6, /* used since the sweep passed last */
    CE_MARKER = 1 << 7,
};

struct coin_entry {
    struct txid txid;
    uint32_t index;
    uint32_t height;
    int64_t value;
    uint8_t flags;
    uint8_t script_len;              /* or COIN_SCRIPT_HEAP */
    uint8_t script[COIN_INLINE_MAX]; /* or the pointer to a struct coin_script */
};

struct coin_script {
    size_t len;
    uint8_t data[];
};

struct coins_chunk;

struct coins_map {
    struct siphash_key key;
    uint64_t *slots; /* entry number + 1 in the low half, hash in the high half; 0: free */
    size_t n_slots;  /* power of two */
    size_t count;    /* entries in use */
    struct coins_chunk *chunks;
    size_t n_chunks, cap_chunks;
    uint32_t open_chunk; /* first of the list of chunks with room */
    size_t live_chunks;  /* with memory */
    size_t heap_bytes;   /* of long scripts */
};

enum err coins_map_init(struct coins_map *m, struct error *e) MUST_CHECK;
void coins_map_clear(struct coins_map *m);

static inline uint32_t coins_map_hash(const struct coins_map *m, const struct outpoint *o)
{
    return (uint32_t)siphash_36(&m->key, o->txid.b, o->index);
}
/* NULL when absent; *number (may be NULL) names the entry for coins_map_remove. */
struct coin_entry *coins_map_find(const struct coins_map *m, const struct outpoint *o,
                                  uint32_t hash, uint32_t *number);
/* The outpoint must be absent. The entry has CE_USED, an empty script, and nothing else. NULL: no
 * memory. */
struct coin_entry *coins_map_insert(struct coins_map *m, const struct outpoint *o, uint32_t hash,
                                    uint32_t *number);
/* The script must have been taken or freed. */
void coins_map_remove(struct coins_map *m, uint32_t number, uint32_t hash);

/* Entry numbers run from 0 to coins_map_limit; NULL for one that is not in use. */
uint32_t coins_map_limit(const struct coins_map *m);
struct coin_entry *coins_map_at(const struct coins_map *m, uint32_t number);
/* Gives memory of the slots back when few entries are left. */
void coins_map_shrink(struct coins_map *m);
/* Bytes of slots, entries in use and scripts. */
size_t coins_map_bytes(const struct coins_map *m);
/* The same with free room in chunks: what the system sees. */
size_t coins_map_system_bytes(const struct coins_map *m);

struct span coin_entry_script(const struct coin_entry *ce);
bool coin_entry_set_script(struct coins_map *m, struct coin_entry *ce,
                           struct span script) MUST_CHECK; /* was empty */
/* Empties the script; a heap script is handed out (caller frees and it is no longer counted), else
 * NULL. */
struct coin_script *coin_entry_take_script(struct coins_map *m, struct coin_entry *ce);
size_t coin_entry_bytes(const struct coin_entry *ce); /* entry and heap script */

#endif

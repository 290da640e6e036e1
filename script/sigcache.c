/*
 * A table of rows of four entries. An entry is written as two halves without a lock; a reader that
 * meets half of one entry and half of another sees a key that is in use by nobody, since the first
 * half is stored masked by the second. A full row loses a pseudo-random entry.
 *
 * Only the beginning of the table is in use at first. When a quarter of that is full, twice as much
 * is used, and its entries move to their new rows: entries that lie close together cost fewer
 * pages, first touches of pages above all, which are dearer than all else here. Whoever adds the
 * entry that makes it grow does the moving; what others look for meanwhile may be missed.
 */
#include "script/sigcache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"

#define WAYS 4
#define FIRST_ROWS 4096
#define HASHED_INLINE 192 /* digest, key and signature of usual sizes */

struct entry {
    _Atomic uint64_t masked; /* word[0] ^ word[1] */
    _Atomic uint64_t word1;
};

struct row {
    struct entry entry[WAYS];
};

struct sigcache {
    struct siphash_key keys[2];
    size_t n_rows;
    _Atomic size_t in_use;   /* rows; n_rows halved some times */
    _Atomic uint64_t hits, misses;
    _Atomic uint64_t filled; /* entries since the table was empty, until it is in use as a whole */
    atomic_flag growing;
    struct row *row;
};

/* Sizes must double to the last, so the budget is cut to a multiple. */
static void choose_size(struct sigcache *c, size_t rows)
{
    size_t first = rows, doublings = 0;

    for (; first > FIRST_ROWS; first /= 2)
        doublings++;
    c->n_rows = first << doublings;
    atomic_init(&c->in_use, first);
}

struct sigcache *sigcache_new(size_t bytes)
{
    struct sigcache *c = (struct sigcache *)xcalloc(1, sizeof(*c));

    rand_bytes(c->keys, sizeof(c->keys));
    atomic_flag_clear(&c->growing);
    choose_size(c, MAX_OF(bytes / sizeof(struct row), (size_t)1));
    c->row = (struct row *)try_calloc(c->n_rows, sizeof(struct row));
    if (!c->row) { /* a cache that cannot be had is a small one */
        choose_size(c, 1);
        c->row = (struct row *)xcalloc(1, sizeof(struct row));
    }
    return c;
}

void sigcache_free(struct sigcache *c)
{
    if (!c)
        return;
    free(c->row);
    free(c);
}

static struct sigcache_key hash_both(const struct sigcache *c, const uint8_t *data, size_t len)
{
    return (struct sigcache_key){ { siphash(&c->keys[0], data, len),
                                    siphash(&c->keys[1], data, len) } };
}

struct sigcache_key sigcache_key_of(const struct sigcache *c, const uint8_t digest[32],
                                    struct span key, struct span sig)
{
    uint8_t small[HASHED_INLINE];
    size_t len = 32 + 2 + key.len + sig.len;

    if (len > sizeof(small)) {
        /* such a key or signature is no usual one: hash it down first */
        sha256(small + 32, sig.data, sig.len);
        sha256(small + 64, key.data, key.len);
        memcpy(small, digest, 32);
        return hash_both(c, small, 96);
    }
    memcpy(small, digest, 32);
    small[32] = (uint8_t)key.len; /* both lengths are below 192 here */
    small[33] = (uint8_t)sig.len;
    if (key.len) /* what is empty may have no address */
        memcpy(small + 34, key.data, key.len);
    if (sig.len)
        memcpy(small + 34 + key.len, sig.data, sig.len);
    return hash_both(c, small, len);
}

static struct row *row_of(const struct sigcache *c, const struct sigcache_key *k)
{
    const size_t rows = atomic_load_explicit(&c->in_use, memory_order_relaxed);

    /* the high part of a product: an even spread, and a row falls into two when rows double */
    return &c->row[(size_t)(((unsigned __int128)k->word[0] * rows) >> 64)];
}

bool sigcache_contains(struct sigcache *c, const struct sigcache_key *k)
{
    struct row *row = row_of(c, k);

    for (int i = 0; i < WAYS; i++) {
        uint64_t word1 = atomic_load_explicit(&row->entry[i].word1, memory_order_relaxed);
        uint64_t masked = atomic_load_explicit(&row->entry[i].masked, memory_order_relaxed);
        if (word1 == k->word[1] && (masked ^ word1) == k->word[0]) {
            atomic_fetch_add_explicit(&c->hits, 1, memory_order_relaxed);
            return true;
        }
    }
    atomic_fetch_add_explicit(&c->misses, 1, memory_order_relaxed);
    return false;
}

static bool is_empty(struct entry *e)
{
    return atomic_load_explicit(&e->word1, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&e->masked, memory_order_relaxed) == 0;
}

static void put(struct sigcache *c, const struct sigcache_key *k)
{
    struct row *row = row_of(c, k);
    int slot = (int)(k->word[1] % WAYS);

    for (int i = 0; i < WAYS; i++)
        if (is_empty(&row->entry[i]))
            slot = i;
    atomic_store_explicit(&row->entry[slot].word1, k->word[1], memory_order_relaxed);
    atomic_store_explicit(&row->entry[slot].masked, k->word[0] ^ k->word[1],
                          memory_order_relaxed);
}

/* The entry's key; the place is free after it. False: it was. */
static bool take(struct entry *e, struct sigcache_key *k)
{
    if (is_empty(e))
        return false;
    k->word[1] = atomic_exchange_explicit(&e->word1, 0, memory_order_relaxed);
    k->word[0] = atomic_exchange_explicit(&e->masked, 0, memory_order_relaxed) ^ k->word[1];
    return true;
}

/* From the last row down, so that a row has been emptied before others move into it. */
static void move_entries(struct sigcache *c, size_t rows)
{
    while (rows-- > 0) {
        struct sigcache_key keys[WAYS];
        int n = 0;

        for (int i = 0; i < WAYS; i++)
            n += take(&c->row[rows].entry[i], &keys[n]);
        while (n > 0)
            put(c, &keys[--n]);
    }
}

static void grow(struct sigcache *c)
{
    if (atomic_flag_test_and_set(&c->growing))
        return;
    const size_t rows = atomic_load(&c->in_use);
    if (rows < c->n_rows && atomic_load(&c->filled) >= rows) {
        atomic_store(&c->in_use, 2 * rows);
        move_entries(c, rows);
    }
    atomic_flag_clear(&c->growing);
}

void sigcache_add(struct sigcache *c, const struct sigcache_key *k)
{
    const size_t rows = atomic_load_explicit(&c->in_use, memory_order_relaxed);

    put(c, k);
    if (rows < c->n_rows &&
        atomic_fetch_add_explicit(&c->filled, 1, memory_order_relaxed) + 1 >= rows)
        grow(c); /* a quarter of its places is taken */
}

struct sigcache_stats sigcache_stats_get(const struct sigcache *c)
{
    return (struct sigcache_stats){
        .hits = atomic_load_explicit(&c->hits, memory_order_relaxed),
        .misses = atomic_load_explicit(&c->misses, memory_order_relaxed),
        .bytes = sizeof(*c) + c->n_rows * sizeof(struct row),
        .touched = sizeof(*c) + atomic_load(&c->in_use) * sizeof(struct row),
        .capacity = c->n_rows * WAYS,
    };
}

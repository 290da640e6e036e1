/*
 * Hash table of pointers to items that know their own key: open addressing, linear probing. The
 * caller hashes (keyed, SipHash, for whatever a remote side can choose: attacks C20) and compares.
 * The table owns no item. One thread, or the caller's lock.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t hash;
    void *item; /* NULL: free */
};

struct map {
    struct map_slot *slots;
    size_t n, mask; /* items; number of slots less one, a power of two */
};

/* item has this key. */
typedef bool (*map_equal_fn)(const void *item, const void *key);

void map_init(struct map *m);
void map_clear(struct map *m); /* the table's memory; items are the owner's */
/* NULL when there is none. */
void *map_find(const struct map *m, uint64_t hash, map_equal_fn equal, const void *key);
/* The key must not be there yet. Grows; needs memory for 16 to 32 bytes an item. */
void map_put(struct map *m, uint64_t hash, void *item);
/* Takes the item out and returns it; NULL when there is none. */
void *map_remove(struct map *m, uint64_t hash, map_equal_fn equal, const void *key);
/* Items in no order: *pos begins at 0; NULL at the end. Nothing may be put or removed meanwhile. */
void *map_next(const struct map *m, size_t *pos);
size_t map_bytes(const struct map *m); /* memory of the table */

#endif

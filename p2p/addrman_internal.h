/*
 * Inside the address book: entries, index by IP, tables. Shared by addrman*.c and their tests.
 * Invariants: an entry is in tried (once) or in 1 to 8 places of new, never both; `where` lists its
 * places; every used entry is in `order` and in the index.
 */
#ifndef P2P_ADDRMAN_INTERNAL_H
#define P2P_ADDRMAN_INTERNAL_H

#include "base/hash.h"
#include "p2p/addrman.h"

#define AM_NONE UINT32_MAX
#define AM_MAX_PLACES 8          /* buckets of new that one address may be in */
#define AM_NEW_PER_SOURCE 64     /* new buckets open to one source group */
#define AM_TRIED_PER_GROUP 8     /* tried buckets open to one group */
#define AM_INDEX_SIZE 65536
#define AM_MAX_COLLISIONS 10
#define AM_MAX_SAMPLES 16        /* listening addresses with an answer of their own */
#define AM_NEW_SLOTS (ADDRMAN_NEW_BUCKETS * ADDRMAN_BUCKET_SIZE)
#define AM_TRIED_SLOTS (ADDRMAN_TRIED_BUCKETS * ADDRMAN_BUCKET_SIZE)

struct am_entry {
    struct peer_addr pa;
    struct netaddr source;       /* who told us first */
    int64_t last_try, last_success, last_counted;
    uint32_t attempts;           /* failures counted since the last success */
    uint32_t chain;              /* next in the index chain, or next free */
    uint32_t order;              /* own position in am->order */
    uint16_t where[AM_MAX_PLACES]; /* slots of new */
    uint8_t places;              /* how many of them; 0: in tried, or just made */
    bool tried;
};

/* A table with the number of entries in each bucket. */
struct am_table {
    uint32_t *slots; /* entry or AM_NONE; bucket * ADDRMAN_BUCKET_SIZE + position */
    uint8_t *fill;
    unsigned buckets;
};

struct am_sample {
    struct netaddr listening;
    int64_t expires; /* 0: unused */
    struct peer_addr *list;
    size_t n;
};

struct addrman {
    uint8_t secret[32];            /* chooses buckets; kept in the file */
    struct siphash_key index_key;  /* of this process (C20) */
    struct am_entry *entries;
    uint32_t cap, free;
    uint32_t *order;               /* used entries, in random order as far as samples were drawn */
    uint32_t n;
    uint32_t *index;
    uint32_t *groups;              /* entries of each group, by keyed hash: AM_INDEX_SIZE cells */
    struct am_table fresh, tried;
    size_t n_new, n_tried, n_ipv4;
    int64_t last_good;             /* any success; failures count once after each */
    struct netaddr collisions[AM_MAX_COLLISIONS]; /* waiting for a place in tried */
    size_t n_collisions;
    struct am_sample samples[AM_MAX_SAMPLES];
    unsigned networks;
    uint64_t offered, stored;
};

void am_reset(struct addrman *am); /* empty, secret kept */
uint32_t am_find(const struct addrman *am, const struct netaddr *a);
/* AM_NONE when the tables' worth of entries exists already. */
uint32_t am_create(struct addrman *am, const struct peer_addr *pa, const struct netaddr *source);
/* For entries in no table. */
void am_delete(struct addrman *am, uint32_t i);
/* How many entries share the address's group; rarely more when two groups share a cell. */
uint32_t am_group_size(const struct addrman *am, const struct netaddr *a);
uint32_t am_new_slot(const struct addrman *am, const struct netaddr *a,
                     const struct netaddr *source);
uint32_t am_new_slot_in(const struct addrman *am, const struct netaddr *a, uint32_t bucket);
uint32_t am_tried_slot(const struct addrman *am, const struct netaddr *a);
/* The slot must be empty and the entry must have room for a place. */
void am_put_new(struct addrman *am, uint32_t i, uint32_t slot);
/* Empties a slot of new; its entry goes when that was its last place. */
void am_clear_new(struct addrman *am, uint32_t slot);
/* Takes an entry from new to tried; what was in its slot goes back to new. */
void am_make_tried(struct addrman *am, uint32_t i);
bool am_is_terrible(const struct am_entry *x, int64_t now);
double am_chance(const struct am_entry *x, int64_t now);

#endif

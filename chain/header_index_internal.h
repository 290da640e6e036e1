/* What header_index.c (tree), header_active.c (active chain, status) and header_walk.c share. */
#ifndef CHAIN_HEADER_INDEX_INTERNAL_H
#define CHAIN_HEADER_INDEX_INTERNAL_H

#include <pthread.h>

#include "base/hash.h"
#include "chain/header_index.h"
#include "chain/pow.h"

#define SLAB_BYTES (2u << 20) /* one large page of memory */
#define SLAB_NODES (SLAB_BYTES / sizeof(struct header_node))

/* A place in the hash table. */
struct hash_slot {
    uint32_t tag;    /* low half of the keyed hash; its low bits say where to look first */
    uint32_t number; /* of the node in order of insertion, + 1; 0: free */
};

struct node_list {
    struct header_node **nodes;
    size_t n, cap;
};

struct header_index {
    pthread_rwlock_t lock;
    const struct chain_params *params;
    bool use_checkpoints;

    /* Tree. */
    struct header_node **slabs;   /* SLAB_NODES each */
    size_t n_nodes, slabs_cap;
    struct hash_slot *slots;      /* open addressing, at most half full */
    size_t n_slots;               /* a power of two */
    struct siphash_key key;
    struct header_node *genesis, *best;
    int32_t highest_checkpoint;   /* height of the last checkpoint whose block is in; -1: none */
    struct pow_bits bits;         /* of the header before */

    /* Active chain and candidates. */
    struct header_node **active;  /* by height */
    int32_t active_height;        /* -1: none */
    size_t active_cap;
    struct node_list leaves;      /* linked (data back to genesis), not failed, no linked child */
    struct node_list dirty;
    uint64_t next_sequence, next_preferred;
    bool pruned;                  /* some linked node may have lost its data */
};

/* Sequences of arrival count up from here, those of preferred blocks down. */
#define SEQUENCE_FIRST (UINT64_C(1) << 32)

void node_list_push(struct node_list *list, struct header_node *node);

/* The lock is held for writing. */
void header_mark_dirty_locked(struct header_index *idx, struct header_node *node);
void header_try_link_locked(struct header_index *idx, struct header_node *node);
void header_rebuild_leaves_locked(struct header_index *idx);
void header_find_best_locked(struct header_index *idx);
/* In order of insertion. */
struct header_node *header_node_at(const struct header_index *idx, size_t i);

void header_link_skip(struct header_node *node);

#endif

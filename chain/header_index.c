/*
 * The tree of headers: a hash map over nodes that live in slabs, so that a node never moves and a
 * million of them cost no allocation each. The hash map is keyed (attacks C20).
 */
#include "chain/header_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/header_check.h"
#include "chain/header_index_internal.h"
#include "chain/pow.h"

void node_list_push(struct node_list *list, struct header_node *node)
{
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 64;
        list->nodes = xrealloc(list->nodes, list->cap * sizeof(*list->nodes));
    }
    list->nodes[list->n++] = node;
}

struct header_node *header_node_at(const struct header_index *idx, size_t i)
{
    return &idx->slabs[i / SLAB_NODES]->nodes[i % SLAB_NODES];
}

static struct header_node **bucket_of(struct header_index *idx, const struct block_hash *hash)
{
    return &idx->buckets[siphash_32(&idx->key, hash->b) & (idx->n_buckets - 1)];
}

static struct header_node *find_locked(struct header_index *idx, const struct block_hash *hash)
{
    struct header_node *node = *bucket_of(idx, hash);
    while (node && !block_hash_equal(&node->hash, hash))
        node = node->hash_next;
    return node;
}

static void grow_buckets(struct header_index *idx)
{
    idx->n_buckets *= 2;
    free(idx->buckets);
    idx->buckets = xcalloc(idx->n_buckets, sizeof(*idx->buckets));
    for (size_t i = 0; i < idx->n_nodes; i++) {
        struct header_node *node = header_node_at(idx, i), **bucket = bucket_of(idx, &node->hash);
        node->hash_next = *bucket;
        *bucket = node;
    }
}

static struct header_node *new_node(struct header_index *idx)
{
    const size_t slab = idx->n_nodes / SLAB_NODES;
    if (idx->n_nodes % SLAB_NODES == 0) {
        if (slab == idx->slabs_cap) {
            idx->slabs_cap = idx->slabs_cap ? 2 * idx->slabs_cap : 16;
            idx->slabs = xrealloc(idx->slabs, idx->slabs_cap * sizeof(*idx->slabs));
        }
        idx->slabs[slab] = xcalloc(1, sizeof(struct node_slab));
    }
    return header_node_at(idx, idx->n_nodes++);
}

static struct u256 cumulative_work(struct header_index *idx, const struct header_node *prev, uint32_t bits)
{
    if (idx->work_bits != bits) {
        idx->work_of_bits = pow_work_of_bits(bits);
        idx->work_bits = bits;
    }
    return prev ? u256_add(&prev->work, &idx->work_of_bits) : idx->work_of_bits;
}

static bool is_checkpoint(const struct chain_params *p, const struct header_node *node)
{
    for (size_t i = 0; i < p->n_checkpoints; i++)
        if (p->checkpoints[i].height == node->height)
            return block_hash_equal(&p->checkpoints[i].hash, &node->hash);
    return false;
}

static struct header_node *insert_locked(struct header_index *idx, const struct block_header *h,
                                         const struct block_hash *hash, struct header_node *prev)
{
    if (idx->n_nodes + 1 > idx->n_buckets)
        grow_buckets(idx);
    struct header_node *node = new_node(idx);
    node->hash = *hash;
    node->prev = prev;
    node->height = prev ? prev->height + 1 : 0;
    node->version = h->version;
    node->merkle_root = h->merkle_root;
    node->time = h->time;
    node->bits = h->bits;
    node->nonce = h->nonce;
    node->max_time = prev ? MAX_OF(prev->max_time, h->time) : h->time;
    node->work = cumulative_work(idx, prev, h->bits);
    header_link_skip(node);
    atomic_init(&node->status, HS_HEADER_VALID);
    if (prev) {
        node->next_sibling = prev->first_child;
        prev->first_child = node;
    }
    struct header_node **bucket = bucket_of(idx, hash);
    node->hash_next = *bucket;
    *bucket = node;
    if (is_checkpoint(idx->params, node))
        idx->highest_checkpoint = MAX_OF(idx->highest_checkpoint, node->height);
    return node;
}

struct header_index *header_index_new(const struct chain_params *params)
{
    struct header_index *idx = xcalloc(1, sizeof(*idx));
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* A flood of readers (RPC) must not starve the chain. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&idx->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    rand_bytes(&idx->key, sizeof(idx->key));
    idx->params = params;
    idx->use_checkpoints = true;
    idx->highest_checkpoint = -1;
    idx->active_height = -1;
    idx->next_sequence = SEQUENCE_FIRST;
    idx->next_preferred = SEQUENCE_FIRST - 1;
    idx->n_buckets = 1024;
    idx->buckets = xcalloc(idx->n_buckets, sizeof(*idx->buckets));
    idx->genesis = insert_locked(idx, &params->genesis, &params->genesis_hash, NULL);
    idx->best = idx->genesis;
    return idx;
}

void header_index_free(struct header_index *idx)
{
    if (!idx)
        return;
    for (size_t i = 0; i < idx->n_nodes; i += SLAB_NODES)
        free(idx->slabs[i / SLAB_NODES]);
    free(idx->slabs);
    free(idx->buckets);
    free(idx->active);
    free(idx->leaves.nodes);
    free(idx->dirty.nodes);
    pthread_rwlock_destroy(&idx->lock);
    free(idx);
}

const struct chain_params *header_index_params(const struct header_index *idx)
{
    return idx->params;
}

void header_index_use_checkpoints(struct header_index *idx, bool on)
{
    idx->use_checkpoints = on;
}

struct header_node *header_index_find(struct header_index *idx, const struct block_hash *hash)
{
    pthread_rwlock_rdlock(&idx->lock);
    struct header_node *node = find_locked(idx, hash);
    pthread_rwlock_unlock(&idx->lock);
    return node;
}

size_t header_index_count(struct header_index *idx)
{
    pthread_rwlock_rdlock(&idx->lock);
    const size_t n = idx->n_nodes;
    pthread_rwlock_unlock(&idx->lock);
    return n;
}

size_t header_index_memory_bytes(struct header_index *idx)
{
    pthread_rwlock_rdlock(&idx->lock);
    const size_t slabs = (idx->n_nodes + SLAB_NODES - 1) / SLAB_NODES;
    const size_t bytes = slabs * sizeof(struct node_slab) +
                         (idx->n_buckets + idx->active_cap + idx->leaves.cap + idx->dirty.cap) * sizeof(void *);
    pthread_rwlock_unlock(&idx->lock);
    return bytes;
}

struct header_node *header_index_best(struct header_index *idx)
{
    pthread_rwlock_rdlock(&idx->lock);
    struct header_node *best = idx->best;
    pthread_rwlock_unlock(&idx->lock);
    return best;
}

struct header_node *header_index_genesis(struct header_index *idx)
{
    return idx->genesis;
}

/* One header after prev (NULL: unknown). Order of the checks as the reference has it. */
static enum err accept_one_locked(struct header_index *idx, const struct block_header *h, struct header_node *prev,
                                  const struct block_hash *hash, int64_t now, struct header_node **out,
                                  struct verdict *v)
{
    if (!header_check_pow(idx->params, h, hash, v))
        return OK;
    if (!prev) {
        verdict_set(v, REJECT_INVALID, 10, "prev-blk-not-found");
        return ERR_NOTFOUND;
    }
    if (atomic_load(&prev->status) & HS_FAILED_MASK) {
        verdict_set(v, REJECT_INVALID, 100, "bad-prevblk");
        return OK;
    }
    if (idx->use_checkpoints &&
        !header_check_checkpoints(idx->params, prev->height + 1, hash, idx->highest_checkpoint, v))
        return OK;
    if (!header_check_context(idx->params, prev, h, now, v))
        return OK;
    *out = insert_locked(idx, h, hash, prev);
    header_mark_dirty_locked(idx, *out);
    if (u256_cmp(&(*out)->work, &idx->best->work) > 0)
        idx->best = *out;
    return OK;
}

enum err header_index_accept(struct header_index *idx, const struct block_header *headers, size_t n, int64_t now,
                             size_t *accepted, struct header_node **last, struct verdict *v)
{
    *v = (struct verdict){ .code = REJECT_NONE };
    *accepted = 0;
    *last = NULL;
    enum err rc = OK;
    pthread_rwlock_wrlock(&idx->lock);
    for (size_t i = 0; i < n && !rc; i++) {
        struct block_hash hash;
        block_header_hash(&hash, &headers[i]);
        struct header_node *node = find_locked(idx, &hash);
        if (node && atomic_load(&node->status) & HS_FAILED_MASK) {
            verdict_set(v, REJECT_DUPLICATE, 0, "duplicate");
        } else if (!node) {
            const bool follows = *last && block_hash_equal(&(*last)->hash, &headers[i].prev);
            struct header_node *prev = follows ? *last : find_locked(idx, &headers[i].prev);
            rc = accept_one_locked(idx, &headers[i], prev, &hash, now, &node, v);
        }
        if (!verdict_ok(v))
            break;
        *last = node;
        ++*accepted;
    }
    pthread_rwlock_unlock(&idx->lock);
    return rc;
}

struct header_node *header_index_load(struct header_index *idx, const struct block_header *h,
                                      const struct block_hash *hash, const struct header_data *data, struct error *e)
{
    char hex[HASH_HEX_SIZE];
    pthread_rwlock_wrlock(&idx->lock);
    struct header_node *node = find_locked(idx, hash);
    if (!node) {
        struct header_node *prev = find_locked(idx, &h->prev);
        node = prev ? insert_locked(idx, h, hash, prev) : NULL;
    }
    if (node) {
        atomic_store(&node->status, data->status | HS_HEADER_VALID);
        node->data = data->data;
        node->undo = data->undo;
        node->tx_count = data->tx_count;
        node->wire_checksum = data->wire_checksum;
    }
    pthread_rwlock_unlock(&idx->lock);
    if (!node)
        error_set(e, ERR_CORRUPT, "block index: the parent of %s is missing; restart with -reindex",
                  hash_to_hex(hex, hash->b));
    return node;
}

void header_index_each(struct header_index *idx, void (*fn)(void *ctx, struct header_node *node), void *ctx)
{
    pthread_rwlock_rdlock(&idx->lock);
    for (size_t i = 0; i < idx->n_nodes; i++)
        fn(ctx, header_node_at(idx, i));
    pthread_rwlock_unlock(&idx->lock);
}

void header_index_each_leaf(struct header_index *idx, void (*fn)(void *ctx, struct header_node *node), void *ctx)
{
    pthread_rwlock_rdlock(&idx->lock);
    for (size_t i = 0; i < idx->n_nodes; i++)
        if (!header_node_at(idx, i)->first_child)
            fn(ctx, header_node_at(idx, i));
    pthread_rwlock_unlock(&idx->lock);
}

void header_find_best_locked(struct header_index *idx)
{
    idx->best = idx->genesis;
    for (size_t i = 0; i < idx->n_nodes; i++) {
        struct header_node *node = header_node_at(idx, i);
        if (!(atomic_load(&node->status) & HS_FAILED_MASK) && u256_cmp(&node->work, &idx->best->work) > 0)
            idx->best = node;
    }
}

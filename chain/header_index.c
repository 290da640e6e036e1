/*
 * The tree of headers. Nodes live in slabs, so that a node never moves and a million of them cost
 * no allocation each. They are found by a table of numbers and keyed tags (attacks C20): a look-up
 * of an unknown hash, the usual one while headers arrive, touches one line of the table and no
 * node, and the table grows without hashing again.
 */
#include "chain/header_index.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/header_check.h"
#include "chain/header_index_internal.h"
#include "chain/pow.h"

#define TAGS_AHEAD 32

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
    return &idx->slabs[i / SLAB_NODES][i % SLAB_NODES];
}

static uint32_t tag_of(const struct header_index *idx, const struct block_hash *hash)
{
    return (uint32_t)siphash_32(&idx->key, hash->b);
}

/* Where the hash is, or the free slot where it belongs. */
static struct hash_slot *find_slot(const struct header_index *idx, uint32_t tag,
                                   const struct block_hash *hash)
{
    for (size_t i = tag;; i++) {
        struct hash_slot *slot = &idx->slots[i & (idx->n_slots - 1)];
        if (slot->number == 0 ||
            (slot->tag == tag &&
             block_hash_equal(&header_node_at(idx, slot->number - 1)->hash, hash)))
            return slot;
    }
}

static struct header_node *node_in(const struct header_index *idx, const struct hash_slot *slot)
{
    return slot->number ? header_node_at(idx, slot->number - 1) : NULL;
}

static struct header_node *find_locked(const struct header_index *idx,
                                       const struct block_hash *hash)
{
    return node_in(idx, find_slot(idx, tag_of(idx, hash), hash));
}

/* Room for one more node. */
static void reserve_slot(struct header_index *idx)
{
    if (2 * (idx->n_nodes + 1) <= idx->n_slots)
        return;
    const struct hash_slot *old = idx->slots;
    const size_t n_old = idx->n_slots;
    idx->n_slots *= 2;
    idx->slots = xcalloc(idx->n_slots, sizeof(*idx->slots));
    for (size_t i = 0; i < n_old; i++) {
        size_t at = old[i].tag;
        while (idx->slots[at & (idx->n_slots - 1)].number)
            at++;
        if (old[i].number)
            idx->slots[at & (idx->n_slots - 1)] = old[i];
    }
    free((void *)old);
}

/* Large pages, where the system has them: a fault for each few headers took a fifth of the time. */
static struct header_node *new_slab(void)
{
    void *slab = NULL;
    BUG_ON(posix_memalign(&slab, SLAB_BYTES, SLAB_BYTES) != 0);
    madvise(slab, SLAB_BYTES, MADV_HUGEPAGE);
    return slab;
}

static struct header_node *new_node(struct header_index *idx)
{
    const size_t slab = idx->n_nodes / SLAB_NODES;
    if (idx->n_nodes % SLAB_NODES == 0) {
        if (slab == idx->slabs_cap) {
            idx->slabs_cap = idx->slabs_cap ? 2 * idx->slabs_cap : 16;
            idx->slabs = xrealloc(idx->slabs, idx->slabs_cap * sizeof(*idx->slabs));
        }
        idx->slabs[slab] = new_slab();
    }
    return header_node_at(idx, idx->n_nodes++);
}

static const struct pow_bits *bits_locked(struct header_index *idx, uint32_t bits)
{
    if (idx->bits.bits != bits)
        pow_bits_init(&idx->bits, idx->params, bits);
    return &idx->bits;
}

static bool is_checkpoint(const struct chain_params *p, const struct header_node *node)
{
    for (size_t i = 0; i < p->n_checkpoints; i++)
        if (p->checkpoints[i].height == node->height)
            return block_hash_equal(&p->checkpoints[i].hash, &node->hash);
    return false;
}

/* slot: free, found by find_slot after reserve_slot. */
static struct header_node *insert_locked(struct header_index *idx, const struct block_header *h,
                                         const struct block_hash *hash, struct header_node *prev,
                                         struct hash_slot *slot, uint32_t tag)
{
    const struct u256 *work = &bits_locked(idx, h->bits)->work;
    struct header_node *node = new_node(idx);
    *node = (struct header_node){
        .hash = *hash,
        .prev = prev,
        .height = prev ? prev->height + 1 : 0,
        .version = h->version,
        .merkle_root = h->merkle_root,
        .time = h->time,
        .bits = h->bits,
        .nonce = h->nonce,
        .max_time = prev ? MAX_OF(prev->max_time, h->time) : h->time,
        .work = prev ? u256_add(&prev->work, work) : *work,
        .status = HS_HEADER_VALID,
    };
    header_link_skip(node);
    if (prev) {
        node->next_sibling = prev->first_child;
        prev->first_child = node;
    }
    *slot = (struct hash_slot){ tag, (uint32_t)idx->n_nodes };
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
    idx->n_slots = 1024;
    idx->slots = xcalloc(idx->n_slots, sizeof(*idx->slots));
    pow_bits_init(&idx->bits, params, params->genesis.bits);
    const uint32_t tag = tag_of(idx, &params->genesis_hash);
    idx->genesis = insert_locked(idx, &params->genesis, &params->genesis_hash, NULL,
                                 find_slot(idx, tag, &params->genesis_hash), tag);
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
    free(idx->slots);
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

size_t header_index_memory_bytes(struct header_index *idx, size_t *untouched)
{
    pthread_rwlock_rdlock(&idx->lock);
    const size_t slabs = (idx->n_nodes + SLAB_NODES - 1) / SLAB_NODES;
    const size_t bytes = slabs * SLAB_BYTES + idx->n_slots * sizeof(*idx->slots) +
                         (idx->active_cap + idx->leaves.cap + idx->dirty.cap) * sizeof(void *);
    *untouched = slabs * SLAB_BYTES - idx->n_nodes * sizeof(struct header_node);
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

/* What must hold of a header after prev (NULL: unknown), in the order of the reference. */
static enum err check_locked(struct header_index *idx, const struct block_header *h,
                             const struct block_hash *hash, const struct header_node *prev,
                             int64_t now, struct verdict *v)
{
    if (!header_check_pow(bits_locked(idx, h->bits), hash, v))
        return OK;
    if (!prev) {
        verdict_set(v, REJECT_INVALID, 10, "prev-blk-not-found");
        return ERR_NOTFOUND;
    }
    if (atomic_load(&prev->status) & HS_FAILED_MASK)
        verdict_set(v, REJECT_INVALID, 100, "bad-prevblk");
    else if (!idx->use_checkpoints ||
             header_check_checkpoints(idx->params, prev->height + 1, hash,
                                      idx->highest_checkpoint, v))
        header_check_context(idx->params, prev, h, now, v);
    return OK;
}

/* One header, new or known; before: the last accepted, mostly its parent. *out NULL: refused. */
static enum err accept_one_locked(struct header_index *idx, const struct block_header *h,
                                  const struct block_hash *hash, uint32_t tag,
                                  struct header_node *before, int64_t now, struct header_node **out,
                                  struct verdict *v)
{
    reserve_slot(idx);
    struct hash_slot *slot = find_slot(idx, tag, hash);
    *out = node_in(idx, slot);
    if (*out) {
        if (atomic_load(&(*out)->status) & HS_FAILED_MASK)
            verdict_set(v, REJECT_DUPLICATE, 0, "duplicate");
        return OK;
    }
    const bool follows = before && block_hash_equal(&before->hash, &h->prev);
    struct header_node *prev = follows ? before : find_locked(idx, &h->prev);
    const enum err rc = check_locked(idx, h, hash, prev, now, v);
    if (rc || !verdict_ok(v))
        return rc;
    *out = insert_locked(idx, h, hash, prev, slot, tag);
    header_mark_dirty_locked(idx, *out);
    if (u256_cmp(&(*out)->work, &idx->best->work) > 0)
        idx->best = *out;
    return OK;
}

/* Fetches the places in the table that the next headers need, which are all over it. */
static void look_ahead(const struct header_index *idx, const struct block_hash *hashes, size_t n,
                       uint32_t *tags)
{
    for (size_t i = 0; i < n; i++) {
        tags[i] = tag_of(idx, &hashes[i]);
        __builtin_prefetch(&idx->slots[tags[i] & (idx->n_slots - 1)]);
    }
}

static enum err accept_all_locked(struct header_index *idx, const struct block_header *headers,
                                  const struct block_hash *hashes, size_t n, int64_t now,
                                  size_t *accepted, struct header_node **last, struct verdict *v)
{
    uint32_t tags[TAGS_AHEAD];
    while (*accepted < n) {
        const size_t i = *accepted;
        struct header_node *node;
        if (i % TAGS_AHEAD == 0)
            look_ahead(idx, hashes + i, MIN_OF(n - i, (size_t)TAGS_AHEAD), tags);
        const enum err rc = accept_one_locked(idx, &headers[i], &hashes[i], tags[i % TAGS_AHEAD],
                                              *last, now, &node, v);
        if (rc || !verdict_ok(v))
            return rc;
        *last = node;
        ++*accepted;
    }
    return OK;
}

bool headers_hash(struct block_hash *hashes, const struct block_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !block_hash_equal(&headers[i].prev, &hashes[i - 1]))
            return false;
        block_header_hash(&hashes[i], &headers[i]);
    }
    return true;
}

enum err header_index_accept(struct header_index *idx, const struct block_header *headers,
                             const struct block_hash *hashes, size_t n, int64_t now,
                             size_t *accepted, struct header_node **last, struct verdict *v)
{
    struct block_hash *own = NULL;
    if (!hashes) {
        hashes = own = xmalloc((n + 1) * sizeof(*own));
        for (size_t i = 0; i < n; i++)
            block_header_hash(&own[i], &headers[i]);
    }
    *v = (struct verdict){ .code = REJECT_NONE };
    *accepted = 0;
    *last = NULL;
    pthread_rwlock_wrlock(&idx->lock);
    const enum err rc = accept_all_locked(idx, headers, hashes, n, now, accepted, last, v);
    pthread_rwlock_unlock(&idx->lock);
    free(own);
    return rc;
}

struct header_node *header_index_load(struct header_index *idx, const struct block_header *h,
                                      const struct block_hash *hash, const struct header_data *data,
                                      struct error *e)
{
    char hex[HASH_HEX_SIZE];
    pthread_rwlock_wrlock(&idx->lock);
    reserve_slot(idx);
    const uint32_t tag = tag_of(idx, hash);
    struct hash_slot *slot = find_slot(idx, tag, hash);
    struct header_node *node = node_in(idx, slot);
    if (!node) {
        struct header_node *prev = find_locked(idx, &h->prev);
        node = prev ? insert_locked(idx, h, hash, prev, slot, tag) : NULL;
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

void header_index_each(struct header_index *idx, void (*fn)(void *ctx, struct header_node *node),
                       void *ctx)
{
    pthread_rwlock_rdlock(&idx->lock);
    for (size_t i = 0; i < idx->n_nodes; i++)
        fn(ctx, header_node_at(idx, i));
    pthread_rwlock_unlock(&idx->lock);
}

void header_index_each_leaf(struct header_index *idx,
                            void (*fn)(void *ctx, struct header_node *node), void *ctx)
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
        if (!(atomic_load(&node->status) & HS_FAILED_MASK) &&
            u256_cmp(&node->work, &idx->best->work) > 0)
            idx->best = node;
    }
}

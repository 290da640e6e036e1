/*
 * The active chain by height, the status of blocks, and the choice of the next tip.
 *
 * A node is linked when it and all its ancestors have their data (chain_tx_count > 0). Only linked
 * leaves can become the tip, so they are all that is kept as candidates: one per branch.
 */
#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/header_index.h"
#include "chain/header_index_internal.h"

static bool failed(const struct header_node *node)
{
    return atomic_load(&node->status) & HS_FAILED_MASK;
}

void header_mark_dirty_locked(struct header_index *idx, struct header_node *node)
{
    if (!node->dirty) {
        node->dirty = true;
        node_list_push(&idx->dirty, node);
    }
}

static void leaf_add(struct header_index *idx, struct header_node *node)
{
    if (node->candidate_slot || failed(node))
        return;
    node_list_push(&idx->leaves, node);
    node->candidate_slot = (uint32_t)idx->leaves.n;
}

static void leaf_remove(struct header_index *idx, struct header_node *node)
{
    if (!node->candidate_slot)
        return;
    struct header_node *moved = idx->leaves.nodes[--idx->leaves.n];
    idx->leaves.nodes[node->candidate_slot - 1] = moved;
    moved->candidate_slot = node->candidate_slot;
    node->candidate_slot = 0;
}

static bool linkable(const struct header_node *node)
{
    return node->tx_count > 0 && (!node->prev || node->prev->chain_tx_count > 0);
}

/* Links node, and what waited for it; depth first without recursion. */
void header_try_link_locked(struct header_index *idx, struct header_node *node)
{
    struct node_list stack = { 0 };
    if (linkable(node))
        node_list_push(&stack, node);
    while (stack.n > 0) {
        struct header_node *at = stack.nodes[--stack.n];
        at->chain_tx_count = at->tx_count + (at->prev ? at->prev->chain_tx_count : 0);
        if (!failed(at)) {
            if (at->prev)
                leaf_remove(idx, at->prev);
            leaf_add(idx, at);
        }
        for (struct header_node *child = at->first_child; child; child = child->next_sibling)
            if (child->tx_count > 0 && child->chain_tx_count == 0)
                node_list_push(&stack, child);
    }
    free(stack.nodes);
}

static bool has_linked_child(const struct header_node *node)
{
    for (const struct header_node *child = node->first_child; child; child = child->next_sibling)
        if (child->chain_tx_count > 0 && !failed(child))
            return true;
    return false;
}

void header_rebuild_leaves_locked(struct header_index *idx)
{
    for (size_t i = 0; i < idx->leaves.n; i++)
        idx->leaves.nodes[i]->candidate_slot = 0;
    idx->leaves.n = 0;
    for (size_t i = 0; i < idx->n_nodes; i++) {
        struct header_node *node = header_node_at(idx, i);
        if (node->chain_tx_count > 0 && !has_linked_child(node))
            leaf_add(idx, node);
    }
}

void header_index_loaded(struct header_index *idx)
{
    pthread_rwlock_wrlock(&idx->lock);
    for (size_t i = 0; i < idx->n_nodes; i++) { /* parents come before children */
        struct header_node *node = header_node_at(idx, i);
        node->chain_tx_count =
            linkable(node) ? node->tx_count + (node->prev ? node->prev->chain_tx_count : 0) : 0;
        if (node->tx_count > 0 && !(atomic_load(&node->status) & HS_HAVE_DATA))
            idx->pruned = true;
    }
    header_rebuild_leaves_locked(idx);
    header_find_best_locked(idx);
    pthread_rwlock_unlock(&idx->lock);
}

struct header_node *header_index_tip(struct header_index *idx)
{
    pthread_rwlock_rdlock(&idx->lock);
    struct header_node *tip = idx->active_height < 0 ? NULL : idx->active[idx->active_height];
    pthread_rwlock_unlock(&idx->lock);
    return tip;
}

struct header_node *header_index_at(struct header_index *idx, int32_t height)
{
    pthread_rwlock_rdlock(&idx->lock);
    struct header_node *node =
        height < 0 || height > idx->active_height ? NULL : idx->active[height];
    pthread_rwlock_unlock(&idx->lock);
    return node;
}

static bool is_active_locked(const struct header_index *idx, const struct header_node *node)
{
    return node->height <= idx->active_height && idx->active[node->height] == node;
}

bool header_index_is_active(struct header_index *idx, const struct header_node *node)
{
    pthread_rwlock_rdlock(&idx->lock);
    const bool active = is_active_locked(idx, node);
    pthread_rwlock_unlock(&idx->lock);
    return active;
}

void header_index_set_tip(struct header_index *idx, struct header_node *tip)
{
    pthread_rwlock_wrlock(&idx->lock);
    if (tip && (size_t)tip->height >= idx->active_cap) {
        idx->active_cap = 2 * ((size_t)tip->height + 512);
        idx->active = xrealloc(idx->active, idx->active_cap * sizeof(*idx->active));
    }
    const int32_t old_height = idx->active_height;
    for (struct header_node *node = tip; node; node = node->prev) {
        if (node->height <= old_height && idx->active[node->height] == node)
            break;
        idx->active[node->height] = node;
    }
    idx->active_height = tip ? tip->height : -1;
    pthread_rwlock_unlock(&idx->lock);
}

void header_index_set_data(struct header_index *idx, struct header_node *node,
                           const struct block_pos *pos, uint32_t tx_count, uint32_t wire_checksum)
{
    pthread_rwlock_wrlock(&idx->lock);
    node->data = *pos;
    node->tx_count = tx_count;
    node->wire_checksum = wire_checksum;
    node->sequence = idx->next_sequence++;
    atomic_fetch_or(&node->status, HS_HAVE_DATA | HS_TX_CHECKED);
    header_mark_dirty_locked(idx, node);
    if (node->chain_tx_count == 0)
        header_try_link_locked(idx, node);
    pthread_rwlock_unlock(&idx->lock);
}

void header_index_set_undo(struct header_index *idx, struct header_node *node,
                           const struct block_pos *pos)
{
    pthread_rwlock_wrlock(&idx->lock);
    node->undo = *pos;
    atomic_fetch_or(&node->status, HS_HAVE_UNDO);
    header_mark_dirty_locked(idx, node);
    pthread_rwlock_unlock(&idx->lock);
}

void header_index_set_status(struct header_index *idx, struct header_node *node, uint32_t set,
                             uint32_t clear)
{
    pthread_rwlock_wrlock(&idx->lock);
    const uint32_t old = atomic_load(&node->status);
    atomic_store(&node->status, (old & ~clear) | set);
    if (clear & HS_HAVE_DATA) {
        node->data.size = 0;
        idx->pruned = true;
    }
    if (clear & HS_HAVE_UNDO)
        node->undo.size = 0;
    header_mark_dirty_locked(idx, node);
    pthread_rwlock_unlock(&idx->lock);
}

void header_index_get_data(struct header_index *idx, const struct header_node *node,
                           struct header_data *out)
{
    pthread_rwlock_rdlock(&idx->lock);
    *out = (struct header_data){
        .data = node->data,
        .undo = node->undo,
        .tx_count = node->tx_count,
        .wire_checksum = node->wire_checksum,
        .status = atomic_load(&node->status),
        .chain_tx_count = node->chain_tx_count,
    };
    pthread_rwlock_unlock(&idx->lock);
}

/* Calls fn for every descendant of node, node not included. */
static void each_descendant(struct header_index *idx, struct header_node *node,
                            void (*fn)(struct header_index *idx, struct header_node *node))
{
    struct node_list stack = { 0 };
    node_list_push(&stack, node);
    while (stack.n > 0) {
        struct header_node *at = stack.nodes[--stack.n];
        for (struct header_node *child = at->first_child; child; child = child->next_sibling) {
            fn(idx, child);
            node_list_push(&stack, child);
        }
    }
    free(stack.nodes);
}

static void mark_parent_failed(struct header_index *idx, struct header_node *node)
{
    atomic_fetch_or(&node->status, HS_FAILED_PARENT);
    header_mark_dirty_locked(idx, node);
}

void header_index_fail(struct header_index *idx, struct header_node *node, uint32_t extra)
{
    pthread_rwlock_wrlock(&idx->lock);
    atomic_fetch_or(&node->status, HS_FAILED | extra);
    header_mark_dirty_locked(idx, node);
    each_descendant(idx, node, mark_parent_failed);
    header_rebuild_leaves_locked(idx);
    header_find_best_locked(idx);
    pthread_rwlock_unlock(&idx->lock);
}

static void clear_failure(struct header_index *idx, struct header_node *node)
{
    if (!failed(node))
        return;
    atomic_fetch_and(&node->status, ~(uint32_t)(HS_FAILED_MASK | HS_FAILED_LIMIT));
    header_mark_dirty_locked(idx, node);
}

/* Other branches that failed with an ancestor of the cleared node are whole again too. */
static void clear_stale_parent_marks(struct header_index *idx)
{
    for (size_t i = 0; i < idx->n_nodes; i++) { /* parents come before children */
        struct header_node *node = header_node_at(idx, i);
        if ((atomic_load(&node->status) & HS_FAILED_PARENT) && !failed(node->prev)) {
            atomic_fetch_and(&node->status, ~(uint32_t)HS_FAILED_PARENT);
            header_mark_dirty_locked(idx, node);
        }
    }
}

void header_index_reconsider(struct header_index *idx, struct header_node *node)
{
    pthread_rwlock_wrlock(&idx->lock);
    for (struct header_node *at = node; at; at = at->prev)
        clear_failure(idx, at);
    each_descendant(idx, node, clear_failure);
    clear_stale_parent_marks(idx);
    header_rebuild_leaves_locked(idx);
    header_find_best_locked(idx);
    pthread_rwlock_unlock(&idx->lock);
}

/* The last node up to this one that the active chain can reach: pruning may have left a gap. */
static struct header_node *reachable_part(const struct header_index *idx, struct header_node *node)
{
    struct header_node *reachable = node;
    for (; node && !is_active_locked(idx, node); node = node->prev)
        if (!(atomic_load(&node->status) & HS_HAVE_DATA))
            reachable = node->prev;
    return reachable;
}

/* Set by preciousblock; the latest preference has the lowest number. */
static bool preferred(const struct header_node *node)
{
    return node->sequence > 0 && node->sequence < SEQUENCE_FIRST;
}

static bool better(const struct header_index *idx, const struct header_node *a,
                   const struct header_node *b)
{
    const int by_work = u256_cmp(&a->work, &b->work);
    if (by_work != 0)
        return by_work > 0;
    if (preferred(a) != preferred(b))
        return preferred(a);
    const bool a_active = is_active_locked(idx, a), b_active = is_active_locked(idx, b);
    if (a_active != b_active && !preferred(a))
        return a_active;
    return a->sequence < b->sequence;
}

struct header_node *header_index_best_candidate(struct header_index *idx)
{
    pthread_rwlock_rdlock(&idx->lock);
    struct header_node *best = NULL;
    for (size_t i = 0; i < idx->leaves.n; i++) {
        struct header_node *node = idx->leaves.nodes[i];
        if (best && !better(idx, node, best))
            continue;
        if (idx->pruned)
            node = reachable_part(idx, node);
        if (!best || (node && better(idx, node, best)))
            best = node;
    }
    pthread_rwlock_unlock(&idx->lock);
    return best;
}

void header_index_prefer(struct header_index *idx, struct header_node *node)
{
    pthread_rwlock_wrlock(&idx->lock);
    node->sequence = idx->next_preferred--;
    pthread_rwlock_unlock(&idx->lock);
}

void header_index_take_dirty(struct header_index *idx,
                             void (*fn)(void *ctx, const struct header_node *node), void *ctx)
{
    const size_t at_once = 1000;
    pthread_rwlock_wrlock(&idx->lock);
    const struct node_list taken = idx->dirty;
    idx->dirty = (struct node_list){ 0 };
    pthread_rwlock_unlock(&idx->lock);
    for (size_t at = 0; at < taken.n;) {
        const size_t end = MIN_OF(taken.n, at + at_once);
        pthread_rwlock_wrlock(&idx->lock);
        for (; at < end; at++) {
            taken.nodes[at]->dirty = false;
            fn(ctx, taken.nodes[at]);
        }
        pthread_rwlock_unlock(&idx->lock);
    }
    free(taken.nodes);
}

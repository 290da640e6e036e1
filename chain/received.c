/* Blocks arrive mostly in order and are connected soon, so the list stays short. */
#include <config.h>

#include <stdlib.h>

#include "base/mem.h"
#include "chain/chain_internal.h"

#define RECEIVED_MAX 4096 /* entries: beyond, a block is read from disk and its source forgotten */

void received_init(struct received *r, size_t budget)
{
    *r = (struct received){ .budget = budget };
}

static void drop_at(struct received *r, size_t i)
{
    atomic_fetch_sub(&r->bytes, r->blocks[i].bytes);
    block_segment_unref(r->blocks[i].segment);
    r->blocks[i] = r->blocks[--r->n];
}

void received_clear(struct received *r)
{
    while (r->n > 0)
        drop_at(r, r->n - 1);
    free(r->blocks);
    r->blocks = NULL;
    r->cap = 0;
}

static void drop_old(struct received *r, int32_t tip_height)
{
    for (size_t i = r->n; i-- > 0;)
        if (r->blocks[i].node->height <= tip_height)
            drop_at(r, i);
}

void received_put(struct received *r, struct header_node *node, uint64_t source,
                  struct block_segment *segment, int32_t tip_height)
{
    size_t bytes = segment ? block_segment_memory(segment) : 0;
    if (r->n >= RECEIVED_MAX || atomic_load(&r->bytes) + bytes > r->budget)
        drop_old(r, tip_height);
    if (atomic_load(&r->bytes) + bytes > r->budget) {
        block_segment_unref(segment);
        segment = NULL;
        bytes = 0;
    }
    if (r->n >= RECEIVED_MAX) {
        block_segment_unref(segment);
        return;
    }
    if (r->n == r->cap) {
        r->cap = 2 * r->cap + 16;
        r->blocks = xrealloc(r->blocks, r->cap * sizeof(*r->blocks));
    }
    r->blocks[r->n++] = (struct received_block){ node, source, segment, bytes };
    atomic_fetch_add(&r->bytes, bytes);
}

static size_t find(const struct received *r, const struct header_node *node)
{
    size_t i = 0;
    while (i < r->n && r->blocks[i].node != node)
        i++;
    return i;
}

bool received_find(const struct received *r, const struct header_node *node,
                   struct received_block *out)
{
    size_t i = find(r, node);
    if (i == r->n)
        return false;
    *out = r->blocks[i];
    return true;
}

void received_drop(struct received *r, const struct header_node *node)
{
    size_t i = find(r, node);
    if (i < r->n)
        drop_at(r, i);
}

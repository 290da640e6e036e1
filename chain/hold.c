/*
 * Blocks held back because they spend an output frozen by consensus ("soft consensus freeze", spec
 * consensus 7.3). Such a block and the next -softconsensusfreezeduration ones above it are no tip;
 * a chain that goes further is taken, the block itself then without a look at frozen outputs. That
 * a block is held does not change any more, whatever happens to the lists.
 */
#include <config.h>

#include <stdlib.h>

#include "base/mem.h"
#include "chain/chain_internal.h"

static void add_held(struct chain *c, struct header_node *node)
{
    c->held = xrealloc(c->held, (c->n_held + 1) * sizeof(struct header_node *));
    c->held[c->n_held++] = node;
}

static void collect_held(void *ctx, struct header_node *node)
{
    if (atomic_load(&node->status) & HS_HELD)
        add_held((struct chain *)ctx, node);
}

void hold_open(struct chain *c) { header_index_each(c->index, collect_held, c); }

void hold_block(struct chain *c, struct header_node *node)
{
    if (atomic_load(&node->status) & HS_HELD)
        return;
    header_index_set_status(c->index, node, HS_HELD, 0);
    add_held(c, node);
}

static bool reaches_over(const struct chain *c, const struct header_node *held,
                         const struct header_node *end)
{
    return c->o.soft_freeze_blocks > 0 && end->height - held->height > c->o.soft_freeze_blocks;
}

struct header_node *hold_end(struct chain *c, struct header_node *leaf)
{
    struct header_node *end = leaf;
    for (size_t i = 0; i < c->n_held; i++) {
        struct header_node *held = c->held[i];
        if (header_ancestor(end, held->height) != held || reaches_over(c, held, end))
            continue;
        end = held->prev;
        i = SIZE_MAX; /* a shorter way may no longer reach over another held block */
    }
    return end;
}

struct best_end {
    struct chain *c;
    struct header_node *best;
};

/* A leaf of headers: the end of its stored part counts. */
static void consider_leaf(void *ctx, struct header_node *leaf)
{
    struct best_end *b = (struct best_end *)ctx;
    while (leaf && (leaf->chain_tx_count == 0 || atomic_load(&leaf->status) & HS_FAILED_MASK))
        leaf = leaf->prev;
    if (!leaf)
        return;
    struct header_node *end = hold_end(b->c, leaf);
    if (u256_cmp(&end->work, &b->best->work) > 0)
        b->best = end;
}

struct header_node *hold_best_candidate(struct chain *c)
{
    struct header_node *best = header_index_best_candidate(c->index);
    if (c->n_held == 0 || hold_end(c, best) == best)
        return best;
    struct best_end b = { .c = c, .best = hold_end(c, c->tip) };
    header_index_each_leaf(c->index, consider_leaf, &b);
    return b.best;
}

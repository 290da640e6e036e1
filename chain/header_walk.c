/* Walks over the tree of headers: only fields that never change after insertion, hence no lock. */
#include "chain/header_index.h"

#include "base/intmath.h"
#include "chain/header_index_internal.h"
#include "chain/pow.h"

#define MEDIAN_WINDOW 11

/*
 * Height the skip pointer of a block leads to. Clearing the lowest set bits makes jumps that get
 * longer the further back one is, so that any ancestor is reached in O(log n) steps.
 */
static int32_t skip_height(int32_t height)
{
    if (height < 2)
        return 0;
    const int32_t once = height & (height - 1);
    if (height % 2 == 0)
        return once;
    const int32_t twice = once & (once - 1);
    return (twice & (twice - 1)) + 1;
}

void header_link_skip(struct header_node *node)
{
    node->skip = node->prev ? header_ancestor(node->prev, skip_height(node->height)) : NULL;
}

struct header_node *header_ancestor(struct header_node *node, int32_t height)
{
    if (!node || height < 0 || height > node->height)
        return NULL;
    while (node->height > height) {
        const bool skip_fits = node->skip && node->skip->height >= height;
        /* When the parent's skip lands closer to the goal from further away, step first. */
        const bool step_first = skip_fits && node->skip->height > height && node->prev->skip &&
                                node->prev->skip->height >= height &&
                                node->prev->skip->height < node->skip->height - 2;
        node = skip_fits && !step_first ? node->skip : node->prev;
    }
    return node;
}

struct header_node *header_last_common(struct header_node *a, struct header_node *b)
{
    if (!a || !b)
        return NULL;
    a = header_ancestor(a, MIN_OF(a->height, b->height));
    b = header_ancestor(b, MIN_OF(a->height, b->height));
    while (a != b) {
        if (a->skip && b->skip && a->skip != b->skip && a->skip->height == b->skip->height) {
            a = a->skip;
            b = b->skip;
        } else {
            a = a->prev;
            b = b->prev;
        }
    }
    return a;
}

struct header_node *header_first_since(struct header_node *tip, int64_t time)
{
    int32_t low = 0, high = tip ? tip->height + 1 : 0;
    while (low < high) { /* max_time never falls along a chain */
        const int32_t middle = low + (high - low) / 2;
        if ((int64_t)header_ancestor(tip, middle)->max_time < time)
            low = middle + 1;
        else
            high = middle;
    }
    return header_ancestor(tip, low);
}

uint32_t header_median_time(const struct header_node *node)
{
    uint32_t times[MEDIAN_WINDOW];
    size_t n = 0;
    for (; node && n < MEDIAN_WINDOW; node = node->prev) {
        size_t at = n++;
        for (; at > 0 && times[at - 1] > node->time; at--)
            times[at] = times[at - 1];
        times[at] = node->time;
    }
    return n ? times[n / 2] : 0;
}

void header_of_node(struct block_header *out, const struct header_node *node)
{
    *out = (struct block_header){
        .version = node->version,
        .merkle_root = node->merkle_root,
        .time = node->time,
        .bits = node->bits,
        .nonce = node->nonce,
    };
    if (node->prev)
        out->prev = node->prev->hash;
}

struct u256 header_block_work(const struct header_node *node)
{
    return pow_work_of_bits(node->bits);
}

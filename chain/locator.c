#include "chain/locator.h"

#include "base/intmath.h"

size_t locator_make(struct header_index *idx, struct header_node *node,
                    struct block_hash out[LOCATOR_MAX])
{
    size_t n = 0;
    int32_t step = 1;
    if (!node)
        node = header_index_genesis(idx);
    while (n < LOCATOR_MAX) {
        out[n++] = node->hash;
        if (node->height == 0)
            break;
        /* The ten newest one by one, then twice as far each time. */
        if (n > 10)
            step *= 2;
        node = header_ancestor(node, MAX_OF(node->height - step, 0));
    }
    return n;
}

struct header_node *locator_fork(struct header_index *idx, const struct block_hash *hashes,
                                 size_t n)
{
    struct header_node *tip = header_index_tip(idx);
    for (size_t i = 0; tip && i < MIN_OF(n, (size_t)LOCATOR_IN_MAX); i++) {
        struct header_node *node = header_index_find(idx, &hashes[i]);
        if (node && header_index_is_active(idx, node))
            return node;
        if (node && header_ancestor(node, tip->height) == tip)
            return tip; /* who asks is ahead of us on our own chain */
    }
    return header_index_genesis(idx);
}

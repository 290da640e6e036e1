/*
 * -checkblockindex: what must hold between headers, stored data and the active chain. A finding is
 * an error of ours, told as damage so that the node stops and nothing is built on it.
 */
#include <config.h>

#include "chain/chain_internal.h"

struct check {
    struct header_node *tip;
    const struct header_node *bad;
    const char *what;
};

static const char *judge(const struct check *k, const struct header_node *node)
{
    const struct header_node *prev = node->prev;
    const uint32_t status = atomic_load(&node->status);
    if (!prev)
        return node->height == 0 ? NULL : "it has no parent";
    if (node->height != prev->height + 1 || u256_cmp(&node->work, &prev->work) <= 0)
        return "height or work does not follow from the parent";
    if (node->chain_tx_count > 0 && node->chain_tx_count != prev->chain_tx_count + node->tx_count)
        return "its count of transactions does not add up";
    if (atomic_load(&prev->status) & HS_FAILED_MASK && !(status & HS_FAILED_MASK))
        return "it is good though its parent is not";
    if (status & HS_HAVE_UNDO && !(status & HS_HAVE_DATA))
        return "it has undo data without the block";
    if (header_ancestor(k->tip, node->height) != node)
        return NULL;
    if (status & HS_FAILED_MASK || !(status & HS_SCRIPTS_OK) || node->chain_tx_count == 0)
        return "it is active without being valid";
    return NULL;
}

static void look(void *ctx, struct header_node *node)
{
    struct check *k = (struct check *)ctx;
    const char *what = k->bad ? NULL : judge(k, node);
    if (!what)
        return;
    k->bad = node;
    k->what = what;
}

enum err check_index(struct chain *c, struct error *e)
{
    struct check k = { .tip = c->tip };
    char hex[HASH_HEX_SIZE];
    /* While files are read anew, active blocks may still lack their data. */
    if (!c->o.check_consistency || atomic_load(&c->importing))
        return OK;
    header_index_each(c->index, look, &k);
    if (!k.bad)
        return OK;
    return error_set(e, ERR_CORRUPT, "-checkblockindex: block %s at height %d: %s",
                     hash_to_hex(hex, k.bad->hash.b), k.bad->height, k.what);
}

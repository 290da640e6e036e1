/*
 * Which transaction spent a marker (spec bca 14). That an output is a marker is noted in its coin
 * when the coin is made, so that a block costs one look at the sizes of its scripts and a flag of
 * each coin it spends, and nothing is kept in memory.
 *
 * An entry says of one block what it spends, which stays true whatever becomes of the block:
 * nothing is taken back, and readers look for the block that is active. Entries are synced before
 * the coins that follow from them; once the node has caught up, with each block.
 */
#include <config.h>

#include "chain/chain_internal.h"

#define BATCH_BYTES (4u << 20)

void marker_index_open(struct chain *c)
{
    c->spends = index_batch_new(c->db);
}

void marker_index_close(struct chain *c)
{
    index_batch_free(c->spends);
    c->spends = NULL;
}

enum err marker_index_on_spent(struct chain *c, const struct outpoint *marker,
                               const struct block_hash *block, const struct txid *spender,
                               struct error *e)
{
    index_batch_put_spend(c->spends, marker, block, spender);
    return index_batch_bytes(c->spends) < BATCH_BYTES ? OK : marker_index_write(c, e);
}

enum err marker_index_connected(struct chain *c, struct error *e)
{
    return chain_is_initial_download(c) ? OK : marker_index_write(c, e);
}

enum err marker_index_write(struct chain *c, struct error *e)
{
    return index_batch_bytes(c->spends) ? index_batch_write(c->spends, KV_SYNC, e) : OK;
}

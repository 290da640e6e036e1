/*
 * The optional index of transactions follows the active chain. How far it reaches is written after
 * the coins, so a crash takes nothing back that it claims; what it lacks after a crash, or when it
 * is switched on for an existing chain, is read from the stored blocks between other work.
 *
 * The entries themselves are written as each block connects once the node has caught up, since
 * clients ask for a transaction as soon as they hear of its block; while it catches up they wait
 * for a flush. A disconnected block leaves its entries: they name a block that is not active, as
 * those that a crash outlives may name an unknown one, which readers see; the next block with the
 * same transaction replaces them.
 */
#include <config.h>

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "chain/chain_internal.h"

#define BACKFILL_BATCH_BYTES (16u << 20)

enum err tx_index_open(struct chain *c, struct error *e)
{
    struct block_hash tip;
    bool found;
    if (!c->o.tx_index)
        return OK;
    enum err rc = index_db_get_tx_tip(c->db, &tip, &found, e);
    if (rc)
        return rc;
    struct header_node *at = found ? header_index_find(c->index, &tip) : NULL;
    c->tx_index.batch = index_batch_new(c->db);
    c->tx_index.pos = at && c->tip ? header_last_common(at, c->tip) : NULL;
    return OK;
}

void tx_index_close(struct chain *c)
{
    index_batch_free(c->tx_index.batch);
    free(c->tx_index.staged);
    c->tx_index = (struct tx_index_state){ 0 };
}

void tx_index_on_tx(void *ctx, const struct tx *tx, uint64_t offset)
{
    struct tx_index_state *t = &((struct chain *)ctx)->tx_index;
    if (t->n_staged == t->staged_cap) {
        size_t cap = 2 * t->staged_cap + 1024;
        struct tx_index_entry *more = try_realloc(t->staged, cap, sizeof(*more));
        if (!more) {
            t->out_of_memory = true;
            return;
        }
        t->staged = more;
        t->staged_cap = cap;
    }
    t->staged[t->n_staged++] = (struct tx_index_entry){ tx->id, offset, (uint32_t)tx->raw.len };
}

static enum err take_staged(struct chain *c, struct header_node *node, struct error *e)
{
    struct tx_index_state *t = &c->tx_index;
    if (t->out_of_memory)
        return error_set(e, ERR_NOMEM, "out of memory for the transaction index");
    for (size_t i = 0; i < t->n_staged; i++) {
        struct tx_location loc = { node->hash, t->staged[i].offset, t->staged[i].size };
        index_batch_put_tx(t->batch, &t->staged[i].id, &loc);
    }
    t->n_staged = 0;
    t->pos = node;
    return OK;
}

static enum err write_entries(struct chain *c, struct error *e)
{
    struct index_batch *batch = c->tx_index.batch;
    return index_batch_bytes(batch) ? index_batch_write(batch, KV_SYNC, e) : OK;
}

enum err tx_index_connected(struct chain *c, struct header_node *node, struct error *e)
{
    if (!c->tx_index.batch || c->tx_index.pos != node->prev || !node->prev)
        return OK;
    enum err rc = take_staged(c, node, e);
    return rc || chain_is_initial_download(c) ? rc : write_entries(c, e);
}

void tx_index_disconnected(struct chain *c, struct header_node *node)
{
    if (c->tx_index.pos == node)
        c->tx_index.pos = node->prev;
}

enum err tx_index_write(struct chain *c, struct error *e)
{
    if (!c->tx_index.batch || !c->tx_index.pos)
        return OK;
    index_batch_set_tx_tip(c->tx_index.batch, &c->tx_index.pos->hash);
    return index_batch_write(c->tx_index.batch, KV_SYNC, e);
}

static enum err index_stored_block(struct chain *c, struct header_node *node, struct error *e)
{
    struct block_reader *r;
    enum err rc = chain_read_block(c, node, c->env.segment_bytes, &r, e);
    if (rc)
        return rc;
    c->tx_index.n_staged = 0;
    for (;;) {
        struct block_segment *seg;
        rc = block_reader_next(r, &seg, e);
        if (rc || !seg)
            break;
        uint64_t offset = seg->offset;
        for (size_t i = 0; i < seg->n_txs; i++) {
            tx_index_on_tx(c, &seg->txs[i], offset);
            offset += seg->txs[i].raw.len;
        }
        block_segment_unref(seg);
    }
    block_reader_close(r);
    return rc ? rc : take_staged(c, node, e);
}

static bool stored(const struct header_node *node)
{
    return atomic_load(&node->status) & HS_HAVE_DATA;
}

enum err tx_index_step(struct chain *c, bool *did, struct error *e)
{
    struct tx_index_state *t = &c->tx_index;
    *did = false;
    if (!t->batch || !c->tip)
        return OK;
    if (t->pos == c->tip)
        return chain_is_initial_download(c) ? OK : write_entries(c, e);
    struct header_node *node = header_ancestor(c->tip, t->pos ? t->pos->height + 1 : 0);
    *did = true;
    if (!stored(node)) { /* pruned: no transaction of it can be handed out */
        t->pos = node;
        return OK;
    }
    enum err rc = index_stored_block(c, node, e);
    /* Up to where the coins stand on disk, the index may be written at once. */
    if (!rc && c->flush.durable && header_ancestor(c->flush.durable, node->height) == node &&
        index_batch_bytes(t->batch) >= BACKFILL_BATCH_BYTES)
        rc = tx_index_write(c, e);
    return rc;
}

/*
 * Taking blocks back, and doing them again after a crash.
 *
 * Both walk the block forwards, though its effects came about in order: a coin that the block
 * itself made bears the block's height, so a spent coin of that height is not put back, and all
 * outputs go. That leaves the same set as walking backwards, and lets a block of any size pass in
 * segments.
 */
#include <config.h>

#include "chain/connect.h"

#include <stdlib.h>

#include "base/mem.h"
#include "script/template.h"

/* Segments of a block from memory or disk. */
struct walk {
    struct block_segment *whole; /* still to be handed out */
    struct block_reader *reader;
    struct block_segment *now;
};

static enum err walk_begin(struct walk *w, const struct connect_env *env,
                           const struct header_node *node, struct block_segment *received,
                           struct error *e)
{
    *w = (struct walk){ .whole = received };
    if (received) {
        block_segment_ref(received);
        return OK;
    }
    struct header_data data;
    header_index_get_data(env->index, node, &data);
    char hex[HASH_HEX_SIZE];
    if (!(data.status & HS_HAVE_DATA))
        return error_set(e, ERR_NOTFOUND, "block %s at height %d is not stored (pruned?)",
                         hash_to_hex(hex, node->hash.b), node->height);
    return block_reader_open(&w->reader, env->files, &data.data, NULL, env->segment_bytes, e);
}

static enum err walk_next(struct walk *w, struct error *e)
{
    block_segment_unref(w->now);
    w->now = w->whole;
    w->whole = NULL;
    if (w->now || !w->reader)
        return OK;
    return block_reader_next(w->reader, &w->now, e);
}

static void walk_end(struct walk *w)
{
    block_segment_unref(w->now);
    block_segment_unref(w->whole);
    block_reader_close(w->reader);
}

static enum err remove_outputs(const struct connect_env *env, const struct tx *tx, int32_t height,
                               struct error *e)
{
    enum script_era era = script_era_of(&env->params->heights, height);
    struct outpoint o = { .txid = tx->id };
    for (size_t i = 0; i < tx->n_out; i++) {
        struct coin coin;
        bool found; /* false is fine: spent inside the block, or replaced by a duplicate coinbase */
        if (script_is_unspendable(tx->out[i].script, era))
            continue;
        o.index = (uint32_t)i;
        enum err rc = coins_spend(env->coins, &o, &coin, &found, e);
        if (rc)
            return rc;
    }
    return OK;
}

/* Puts the coins of the inputs back, the first of them being number *at of the record. */
static enum err restore_inputs(const struct connect_env *env, const struct tx *tx, int32_t height,
                               const struct undo_reader *undo, uint64_t limit, uint64_t *at,
                               struct error *e)
{
    for (size_t i = 0; i < tx->n_in && *at < limit; i++, ++*at) {
        struct coin coin;
        enum err rc = undo_reader_get(undo, *at, &coin, e);
        if (!rc && coin.height < height)
            rc = coins_add(env->coins, &tx->in[i].prevout, &coin, COINS_ADD_OVERWRITE, e);
        if (rc)
            return rc;
    }
    return OK;
}

static enum err take_back_segment(const struct connect_env *env, const struct block_segment *seg,
                                  int32_t height, const struct undo_reader *undo,
                                  const struct connect_extent *extent, uint64_t *at,
                                  struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; i < seg->n_txs && !rc; i++) {
        const uint64_t index = seg->first + i;
        if (index < extent->txs)
            rc = remove_outputs(env, &seg->txs[i], height, e);
        if (!rc && index > 0)
            rc = restore_inputs(env, &seg->txs[i], height, undo, extent->inputs, at, e);
    }
    return rc;
}

enum err connect_take_back(const struct connect_env *env, struct header_node *node,
                           struct block_segment *received, const struct undo_reader *undo,
                           const struct connect_extent *extent, struct error *e)
{
    struct walk w = { 0 };
    uint64_t at = 0;
    enum err rc = OK;
    if (extent->txs == 0 && extent->inputs == 0)
        return OK;
    rc = walk_begin(&w, env, node, received, e);
    while (!rc) {
        rc = walk_next(&w, e);
        if (rc || !w.now || (w.now->first > extent->txs && at >= extent->inputs))
            break;
        rc = take_back_segment(env, w.now, node->height, undo, extent, &at, e);
    }
    walk_end(&w);
    if (!rc && at != extent->inputs)
        rc = error_set(e, ERR_CORRUPT, "undo record of height %d has %llu coins for %llu inputs",
                       node->height, (unsigned long long)extent->inputs, (unsigned long long)at);
    return rc;
}

enum err disconnect_block(const struct connect_env *env, struct header_node *node, struct error *e)
{
    struct header_data data;
    header_index_get_data(env->index, node, &data);
    char hex[HASH_HEX_SIZE];
    if (!(data.status & HS_HAVE_UNDO))
        return error_set(e, ERR_NOTFOUND, "no undo data for block %s at height %d (pruned?)",
                         hash_to_hex(hex, node->hash.b), node->height);
    struct buf content = { 0 };
    struct undo_reader undo;
    enum err rc = blockfiles_read_undo(env->files, &data.undo, &node->hash, &content, e);
    if (!rc)
        rc = undo_reader_init(&undo, &content, e);
    if (rc) {
        buf_clear(&content);
        return rc;
    }
    struct connect_extent all = { .txs = data.tx_count, .inputs = undo.count };
    rc = connect_take_back(env, node, NULL, &undo, &all, e);
    undo_reader_clear(&undo);
    return rc;
}

static enum err replay_tx(const struct connect_env *env, const struct tx *tx, int32_t height,
                          struct error *e)
{
    uint64_t added = 0;
    if (!tx_is_coinbase(tx))
        for (size_t i = 0; i < tx->n_in; i++) {
            struct coin coin;
            bool found; /* false: the flush had got that far */
            enum err rc = coins_spend(env->coins, &tx->in[i].prevout, &coin, &found, e);
            if (rc)
                return rc;
        }
    return connect_add_outputs(env, tx, height, COINS_ADD_OVERWRITE, &added, e);
}

/* Coins that the segment spends are read on the pool; leaving it out costs time alone. */
static enum err prefetch(const struct connect_env *env, const struct block_segment *seg,
                         struct error *e)
{
    size_t n = 0;
    for (size_t i = 0; i < seg->n_txs; i++)
        n += seg->txs[i].n_in;
    struct outpoint *spends = try_alloc(n, sizeof(*spends));
    if (!spends)
        return OK;
    n = 0;
    for (size_t i = 0; i < seg->n_txs; i++)
        for (size_t k = 0; k < seg->txs[i].n_in; k++)
            spends[n++] = seg->txs[i].in[k].prevout;
    enum err rc = coins_prefetch(env->coins, spends, n, env->pool, e);
    free(spends);
    return rc;
}

enum err replay_block(const struct connect_env *env, struct header_node *node, struct error *e)
{
    struct walk w = { 0 };
    enum err rc = walk_begin(&w, env, node, NULL, e);
    while (!rc) {
        rc = walk_next(&w, e);
        if (rc || !w.now)
            break;
        rc = prefetch(env, w.now, e);
        for (size_t i = 0; i < w.now->n_txs && !rc; i++)
            rc = replay_tx(env, &w.now->txs[i], node->height, e);
    }
    walk_end(&w);
    return rc;
}

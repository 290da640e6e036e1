/*
 * Towards the best candidate: back to the fork, then forward block by block. A reorganisation runs
 * until the new branch has at least the work of the old tip, so that commands between steps never
 * see a chain that is worse than before; a branch that fails leaves its blocks marked, and the next
 * best candidate is often the old tip, whose scripts need no second check.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/causes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain_internal.h"

#define ASSUME_VALID_DEPTH_S (14 * 24 * 3600) /* spec consensus 3.3 */
#define BLOCK_SPACING_S 600

/* --- reading ahead --- */

static void ahead_drop_first(struct chain *c)
{
    block_source_close(c->ahead.sources[0]);
    memmove(c->ahead.sources, c->ahead.sources + 1, --c->ahead.n * sizeof(*c->ahead.sources));
}

void ahead_clear(struct chain *c)
{
    while (c->ahead.n > 0)
        block_source_close(c->ahead.sources[--c->ahead.n]);
}

static struct block_source *open_source(struct chain *c, struct header_node *node)
{
    struct received_block received = { 0 };
    struct header_data data;
    header_index_get_data(c->index, node, &data);
    received_find(&c->received, node, &received);
    struct block_source_options o = { .files = c->files,
                                      .pool = c->pool,
                                      .params = &c->params,
                                      .segment_bytes = c->env.segment_bytes,
                                      .max_block_size = chain_max_block_size(c),
                                      .coinbase_maturity = c->env.coinbase_maturity };
    return block_source_open(&o, node, &data.data, received.segment);
}

/* Bytes that reading the block ahead takes: a whole small one, two segments of a large one. */
static uint64_t ahead_cost(struct chain *c, const struct header_node *node)
{
    struct header_data data;
    header_index_get_data(c->index, node, &data);
    return data.data.size < 2 * c->env.segment_bytes ? data.data.size : 2 * c->env.segment_bytes;
}

/* Keeps the sources of the blocks after the tip on the way to target under way. */
static void ahead_fill(struct chain *c, struct header_node *target)
{
    struct header_node *at = c->tip;
    unsigned keep = 0;
    uint64_t bytes = 0;
    while (keep < c->ahead.n && header_ancestor(target, c->tip->height + 1 + (int32_t)keep) ==
                                    block_source_node(c->ahead.sources[keep]))
        bytes += ahead_cost(c, block_source_node(c->ahead.sources[keep++]));
    while (c->ahead.n > keep)
        block_source_close(c->ahead.sources[--c->ahead.n]);
    unsigned limit = pool_workers(c->pool) == 0 ? 1 : AHEAD_MAX;
    while (c->ahead.n < limit && (c->ahead.n == 0 || bytes < c->o.block_memory_bytes / 4)) {
        at = header_ancestor(target, c->tip->height + 1 + (int32_t)c->ahead.n);
        if (!at || at->height <= c->tip->height)
            break;
        bytes += ahead_cost(c, at);
        c->ahead.sources[c->ahead.n++] = open_source(c, at);
    }
}

/* --- rules of choice --- */

/* Skipping scripts asks for a chain of headers that cannot be had cheaply (spec consensus 3.3). */
bool activate_scripts_needed(struct chain *c, struct header_node *node)
{
    if (atomic_load(&node->status) & HS_SCRIPTS_OK)
        return false;
    if (hash_is_zero(c->params.assume_valid.b))
        return true;
    struct header_node *valid = header_index_find(c->index, &c->params.assume_valid);
    struct header_node *best = header_index_best(c->index);
    if (!valid || header_ancestor(valid, node->height) != node ||
        header_ancestor(best, node->height) != node)
        return true;
    if (u256_cmp(&best->work, &c->params.minimum_work) < 0)
        return true;
    struct u256 above = u256_sub(&best->work, &node->work);
    struct u256 seconds = u256_mul_u64(&above, BLOCK_SPACING_S);
    struct u256 one = header_block_work(best);
    struct u256 depth = u256_from_u64(ASSUME_VALID_DEPTH_S);
    seconds = u256_div(&seconds, &one);
    return u256_cmp(&seconds, &depth) <= 0;
}

/* --- moving the tip --- */

void activate_publish(struct chain *c)
{
    if (header_index_tip(c->index) == c->tip)
        return;
    header_index_set_tip(c->index, c->tip);
    chain_publish_tip(c);
}

/* Others see a reorganisation when its new branch is the better one, not the way to it. */
static void set_tip(struct chain *c, struct header_node *tip)
{
    const struct header_node *seen = header_index_tip(c->index);
    txs_tip_moves(&c->txs); /* before others see it: who then asks for work must not get old one */
    c->tip = tip;
    if (!seen || u256_cmp(&tip->work, &seen->work) > 0)
        activate_publish(c);
}

/* A long way is gone in bounded memory: every tip on it is a good place to flush at. */
static enum err make_room(struct chain *c, struct error *e)
{
    if (cancelled(&c->cancel))
        return error_set(e, ERR_CANCELLED, "the node is shutting down");
    return coins_over_budget(c->coins) ? flush_all(c, e) : OK;
}

enum err activate_disconnect_tip(struct chain *c, struct error *e)
{
    struct header_node *node = c->tip;
    ahead_clear(c);
    enum err rc = make_room(c, e);
    if (rc)
        return rc;
    rc = disconnect_block(&c->env, node, e);
    if (rc) {
        c->torn = true;
        return rc;
    }
    tx_index_disconnected(c, node);
    set_tip(c, node->prev);
    rc = txs_block_disconnected(&c->txs, node, e);
    if (rc)
        return rc;
    if (c->h.block_disconnected)
        c->h.block_disconnected(c->h.ctx, node);
    return OK;
}

static enum err store_undo(struct chain *c, struct header_node *node, const struct buf *undo,
                           struct error *e)
{
    struct header_data data;
    struct block_pos pos;
    header_index_get_data(c->index, node, &data);
    if (data.status & HS_HAVE_UNDO)
        return OK; /* the same block spends the same coins */
    enum err rc = blockfiles_write_undo(c->files, data.data.file, &node->hash, undo->data,
                                        undo->len, &pos, e);
    if (!rc)
        header_index_set_undo(c->index, node, &pos);
    return rc;
}

static enum err connected(struct chain *c, struct header_node *node, const struct connect_result *r,
                          struct error *e)
{
    struct header_data data;
    enum err rc = store_undo(c, node, &r->undo, e);
    if (rc) {
        c->torn = true; /* the coins are ahead of what could be taken back later */
        return rc;
    }
    header_index_get_data(c->index, node, &data);
    if (!(data.status & HS_SCRIPTS_OK))
        header_index_set_status(c->index, node, HS_SCRIPTS_OK, 0);
    set_tip(c, node);
    c->flush.inputs += r->inputs;
    c->flush.bytes += data.data.size;
    received_drop(&c->received, node);
    txs_block_connected(&c->txs, node);
    struct coins_stats stats;
    coins_get_stats(c->coins, &stats);
    progress_block(&c->progress, r->txs, r->inputs, &stats);
    rc = marker_index_connected(c, e);
    if (!rc)
        rc = tx_index_connected(c, node, e);
    if (!rc && c->h.block_connected)
        c->h.block_connected(c->h.ctx, node);
    return rc;
}

static void judged_bad(struct chain *c, struct header_node *node, const struct connect_result *r)
{
    struct received_block received = { 0 };
    char hex[HASH_HEX_SIZE];
    log_warn("block %s at height %d is invalid: %s (%s)", hash_to_hex(hex, node->hash.b),
             node->height, r->verdict.reason, r->verdict.detail);
    received_find(&c->received, node, &received);
    uint64_t source = received.source;
    received_drop(&c->received, node);
    ahead_clear(c);
    if (r->verdict.code == REJECT_SOFT_FREEZE)
        hold_block(c, node);
    else
        header_index_fail(c->index, node, r->limit_exceeded ? HS_FAILED_LIMIT : 0);
    causes_note_hash(c->o.causes, CAUSE_BLOCK, node->hash.b, "%s at height %d: %s%s%s",
                     r->verdict.code == REJECT_SOFT_FREEZE ? "held back"
                     : r->limit_exceeded                   ? "refused for a limit set here"
                                                           : "invalid",
                     node->height, r->verdict.reason, r->verdict.detail[0] ? ", " : "",
                     r->verdict.detail);
    submit_judged(c, node, &r->verdict);
    if (c->h.block_judged)
        c->h.block_judged(c->h.ctx, &node->hash, &r->verdict, source);
}

/* What the callbacks of connect are about. */
struct connecting_to {
    struct chain *chain;
    struct header_node *node;
};

static void on_tx(void *ctx, const struct tx *tx, uint64_t offset)
{
    struct chain *c = ((struct connecting_to *)ctx)->chain;
    if (c->tx_index.batch)
        tx_index_on_tx(c, tx, offset);
    txs_block_tx(&c->txs, tx);
}

/* An entry of a block that turns out bad does no harm: it is never the active one. */
static enum err on_marker_spent(void *ctx, const struct outpoint *marker,
                                const struct txid *spender, struct error *e)
{
    struct connecting_to *to = ctx;
    return marker_index_on_spent(to->chain, marker, &to->node->hash, spender, e);
}

static void log_times(const struct header_node *node, const struct connect_result *r,
                      int64_t judged_us, int64_t whole_us)
{
    log_debug(LOGC_BENCH, "connect: height %d, %llu transactions, %llu inputs, judged in %lld us, "
              "with all that follows %lld us", node->height, (unsigned long long)r->txs,
              (unsigned long long)r->inputs, (long long)judged_us, (long long)whole_us);
}

/* Connects the block after the tip. OK also when it turned out bad and is marked so. */
static enum err connect_next(struct chain *c, struct header_node *target, struct error *e)
{
    struct header_node *node = header_ancestor(target, c->tip->height + 1);
    struct header_data data;
    header_index_get_data(c->index, node, &data);
    enum err rc = make_room(c, e);
    if (!rc)
        rc = flush_for_block(c, data.data.size, e);
    if (rc)
        return rc;
    ahead_fill(c, target);
    struct received_block received = { 0 };
    received_find(&c->received, node, &received);
    /* the target lies far enough above a held block, else it would be none */
    bool held = atomic_load(&node->status) & HS_HELD;
    struct frozen *none = held ? frozen_released(c->frozen) : NULL;
    struct connect_env env = c->env;
    if (none)
        env.frozen = none;
    if (chain_is_initial_download(c)) /* no peer has sent these transactions before the block */
        env.sigcache = env.scripts = NULL;
    struct connect_request q = {
        .node = node, .source = c->ahead.sources[0], .received = received.segment,
        .scripts = activate_scripts_needed(c, node) ? CONNECT_CHECK_SCRIPTS : CONNECT_SKIP_SCRIPTS,
        .on_tx = on_tx, .on_marker_spent = on_marker_spent,
        .ctx = &(struct connecting_to){ c, node } };
    struct connect_result r;
    c->tx_index.n_staged = 0;
    txs_block_forget(&c->txs);
    int64_t start = clock_mono_us();
    rc = connect_block(&env, &q, &r, e);
    c->torn |= r.torn;
    int64_t took = clock_mono_us() - start;
    ahead_drop_first(c);
    frozen_free(none);
    if (!rc && verdict_ok(&r.verdict))
        rc = connected(c, node, &r, e);
    else if (!rc)
        judged_bad(c, node, &r);
    log_times(node, &r, took, clock_mono_us() - start);
    progress_time(&c->progress, PROGRESS_DISK, r.read_us);
    progress_time(&c->progress, PROGRESS_CPU, took - r.read_us);
    buf_clear(&r.undo);
    return rc;
}

static void tell_tip(struct chain *c)
{
    struct chain_tip tip;
    chain_get_tip(c, &tip);
    bool initial = chain_is_initial_download(c);
    if (c->h.tip_changed)
        c->h.tip_changed(c->h.ctx, &tip, initial);
}

static bool past_stop_height(const struct chain *c)
{
    return c->o.stop_at_height > 0 && c->tip->height >= c->o.stop_at_height;
}

/* One disconnection or connection towards target, which the tip is not. */
static enum err move_once(struct chain *c, struct header_node *target, struct error *e)
{
    struct header_node *fork = header_last_common(c->tip, target);
    return c->tip != fork ? activate_disconnect_tip(c, e) : connect_next(c, target, e);
}

enum err activate_step(struct chain *c, bool *did, struct error *e)
{
    struct header_node *start = c->tip;
    enum err rc = OK;
    *did = false;
    if (past_stop_height(c))
        return OK;
    do {
        struct header_node *target = hold_best_candidate(c);
        if (!target || target == c->tip)
            break;
        *did = true;
        rc = move_once(c, target, e);
    } while (!rc && c->tip != start && u256_cmp(&c->tip->work, &start->work) <= 0);
    if (!rc)
        activate_publish(c);
    if (!rc)
        rc = txs_settle(&c->txs, e);
    if (!rc && c->tip != start)
        tell_tip(c);
    return rc;
}

/*
 * Checking stored blocks and coins against each other, from the tip down: 0 the block can be read
 * and has its Merkle root, 1 rules without coins, 2 the undo record is whole, 3 the block can be
 * taken off the coins (in memory), 4 it connects again with its scripts. What was taken off is put
 * back at every level.
 */
#include <config.h>

#include "base/clock.h"
#include "base/log.h"
#include "chain/chain_internal.h"

/* Damage is an answer here; other errors are not. */
static enum err damage(enum err rc, struct error *e, const struct header_node *node, bool *good)
{
    char hex[HASH_HEX_SIZE];
    if (rc != ERR_CORRUPT)
        return rc;
    log_error("block %s at height %d: %s", hash_to_hex(hex, node->hash.b), node->height, e->text);
    *good = false;
    return OK;
}

static struct block_source *open_source(struct chain *c, const struct header_node *node)
{
    struct header_data data;
    header_index_get_data(c->index, node, &data);
    struct block_source_options o = { .files = c->files, .pool = c->pool, .params = &c->params,
                                      .segment_bytes = c->env.segment_bytes,
                                      .coinbase_maturity = c->env.coinbase_maturity };
    return block_source_open(&o, node, &data.data, NULL);
}

static enum err check_block(struct chain *c, const struct header_node *node, unsigned level,
                            bool *good, struct error *e)
{
    struct block_source *s = open_source(c, node);
    struct checked_segment *seg;
    enum err rc;
    while (!(rc = block_source_next(s, &seg, e)) && seg) {
        if (level < 1 || verdict_ok(&seg->verdict))
            continue;
        rc = error_set(e, ERR_CORRUPT, "%s", seg->verdict.reason);
        break;
    }
    block_source_close(s);
    return damage(rc, e, node, good);
}

static enum err check_undo(struct chain *c, const struct header_node *node, bool *good,
                           struct error *e)
{
    struct header_data data;
    struct buf content = { 0 };
    struct undo_reader undo;
    header_index_get_data(c->index, node, &data);
    if (!(data.status & HS_HAVE_UNDO))
        return OK;
    enum err rc = blockfiles_read_undo(c->files, &data.undo, &node->hash, &content, e);
    if (!rc)
        rc = undo_reader_init(&undo, &content, e);
    if (rc) {
        buf_clear(&content);
        return damage(rc, e, node, good);
    }
    undo_reader_clear(&undo);
    return OK;
}

/* Takes a block off; one that cannot be is put back whole. *off: it is off. */
static enum err take_off(struct chain *c, struct header_node *node, bool *off, bool *good,
                         struct error *e)
{
    struct error first = { .code = OK };
    enum err rc = disconnect_block(&c->env, node, &first);
    *off = rc == OK;
    if (!rc)
        return OK;
    *good = false;
    log_error("height %d cannot be disconnected: %s", node->height, first.text);
    rc = replay_block(&c->env, node, e);
    c->torn |= rc != OK;
    return rc;
}

static enum err put_back(struct chain *c, struct header_node *node, unsigned level, bool *good,
                         struct error *e)
{
    struct connect_result r;
    struct connect_request q = { .node = node,
                                 .source = open_source(c, node),
                                 .scripts =
                                     level >= 4 ? CONNECT_CHECK_SCRIPTS : CONNECT_SKIP_SCRIPTS };
    struct connect_env env = c->env;
    /* What was frozen since is no damage; a confiscation nobody allows is shown by level 4. */
    struct frozen *orders = level >= 4 ? frozen_released(c->frozen) : NULL;
    env.frozen = orders;
    enum err rc = connect_block(&env, &q, &r, e);
    block_source_close(q.source);
    frozen_free(orders);
    buf_clear(&r.undo);
    c->torn |= r.torn;
    if (!rc && verdict_ok(&r.verdict))
        return OK;
    if (!rc) {
        *good = false;
        log_error("height %d does not connect again: %s %s", node->height, r.verdict.reason,
                  r.verdict.detail);
    }
    /* The coins go back to where they were before the check in any case. */
    enum err again = c->torn ? OK : replay_block(&c->env, node, rc ? NULL : e);
    c->torn |= again != OK;
    return rc ? rc : again;
}

static bool checkable(struct chain *c, const struct header_node *node)
{
    (void)c;
    return node->height > 0 && atomic_load(&node->status) & HS_HAVE_DATA;
}

static enum err check_down(struct chain *c, unsigned level, int32_t n, int64_t until_ms,
                           struct header_node **low, bool *good, struct error *e)
{
    enum err rc = OK;
    *low = c->tip;
    for (struct header_node *node = c->tip; n > 0 && checkable(c, node) && *good && !rc;
         node = node->prev, n--) {
        if (cancelled(&c->cancel) || (until_ms >= 0 && clock_mono_ms() > until_ms))
            break;
        rc = check_block(c, node, level, good, e);
        if (!rc && *good && level >= 2)
            rc = check_undo(c, node, good, e);
        /* Blocks come off the coins without a gap, as far as memory goes. */
        bool off = level >= 3 && *low == node && atomic_load(&node->status) & HS_HAVE_UNDO &&
                   !coins_over_budget(c->coins);
        if (!rc && *good && off)
            rc = take_off(c, node, &off, good, e);
        if (!rc && *good && off)
            *low = node->prev;
    }
    return rc;
}

enum err verify_chain(struct chain *c, unsigned level, int32_t n, int64_t budget_ms, bool *good,
                      struct error *e)
{
    struct header_node *low;
    struct error first = { .code = OK };
    *good = true;
    if (n <= 0 || n > c->tip->height)
        n = c->tip->height;
    int64_t until_ms = budget_ms < 0 ? -1 : clock_mono_ms() + budget_ms;
    enum err rc = check_down(c, level, n, until_ms, &low, good, &first);
    for (int32_t height = low->height + 1; height <= c->tip->height && !c->torn; height++) {
        struct error second = { .code = OK };
        enum err back = put_back(c, header_ancestor(c->tip, height), level, good, &second);
        if (back && !rc) {
            rc = back;
            first = second;
        }
    }
    if (rc && e)
        *e = first;
    return rc;
}

/*
 * The way of one wallet to the tip.
 *
 * After a crash the chain may have lost headers that a wallet has followed already: the index is
 * flushed less often. Such a wallet goes back so far that it is certainly on a block the chain
 * had when it was flushed, and comes again.
 */
#include "node/wallet_follow_internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "node/block_walk.h"
#include "node/progress.h"

#define TURN_MS 500       /* then other wallets, and whoever waits for a round */
#define LOG_EVERY_MS 10000
#define LOST_BLOCKS 100   /* deeper than any reorganisation just before a crash */
#define BIRTH_MARGIN 7200 /* seconds: clocks of miners */

/* --- a block -------------------------------------------------------------------------------- */

struct telling {
    struct wallet_follow *f;
    struct wallet *w;
    uint32_t position;
    bool wallet_failed;
};

static enum err tell_tx(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct telling *t = ctx;
    (void)offset;
    if (cancelled(&t->f->cancel))
        return error_set(e, ERR_CANCELLED, "the node stops");
    const enum err rc = wallet_block_tx(t->w, tx, t->position++, e);
    t->wallet_failed = rc != OK;
    return rc;
}

static enum err tell_once(struct telling *t, const struct header_node *node, struct error *e)
{
    const struct wallet_block b = { .hash = node->hash,
                                    .prev = node->prev ? node->prev->hash
                                                       : (struct block_hash){ { 0 } },
                                    .height = node->height,
                                    .time = node->time };
    t->position = 0;
    enum err rc = wallet_block_begin(t->w, &b, e);
    t->wallet_failed = rc != OK;
    if (rc)
        return rc;
    rc = block_walk(t->f->chain, node, tell_tx, t, e);
    if (rc) {
        wallet_block_cancel(t->w);
        return rc;
    }
    rc = wallet_block_end(t->w, e);
    t->wallet_failed = rc != OK;
    return rc;
}

static enum follow_step failed(struct telling *t, struct followed *d,
                               const struct header_node *node, const struct error *e)
{
    if (e->code == ERR_CANCELLED)
        return FOLLOW_STUCK;
    if (t->wallet_failed)
        follow_wallet_failed(t->f, d, e);
    else if (e->code == ERR_NOTFOUND)
        follow_set_why(t->f, d,
                       "block %d is needed and is not stored any more (-prune); a node that keeps "
                       "all blocks can bring the wallet to the tip", node->height);
    else
        follow_set_why(t->f, d, "block %d cannot be read: %s", node->height, e->text);
    return FOLLOW_STUCK;
}

static enum follow_step tell_block(struct wallet_follow *f, struct followed *d,
                                   const struct header_node *node)
{
    struct telling t = { .f = f, .w = d->w };
    struct error e = { .code = OK };
    enum err rc;
    do { /* each time with more keys */
        rc = tell_once(&t, node, &e);
    } while (rc == ERR_BUSY && t.wallet_failed && !cancelled(&f->cancel));
    if (rc)
        return failed(&t, d, node, &e);
    d->blocks++;
    return FOLLOW_ON;
}

/* --- back ----------------------------------------------------------------------------------- */

static enum follow_step undo(struct wallet_follow *f, struct followed *d,
                             const struct block_hash *hash, const struct block_hash *prev)
{
    struct error e = { .code = OK };
    if (!wallet_undo_block(d->w, hash, prev, &e))
        return FOLLOW_ON;
    follow_wallet_failed(f, d, &e);
    return FOLLOW_STUCK;
}

/* A block that the chain does not know, or no more. */
static enum follow_step go_back(struct wallet_follow *f, struct followed *d,
                                struct block_hash hash, int32_t height)
{
    struct chain_tip tip;
    if (chain_is_importing(f->chain)) {
        follow_set_why(f, d, "waits until the blocks have been read again");
        return FOLLOW_STUCK;
    }
    chain_get_tip(f->chain, &tip);
    const int32_t target = MAX_OF(0, MIN_OF(height, tip.height) - LOST_BLOCKS);
    const struct header_node *node = header_index_at(chain_headers(f->chain), target);
    if (!node || height <= 0)
        return FOLLOW_STUCK;
    log_warn("wallet \"%s\": its block %d is not known any more, going back to %d",
             wallet_name(d->w), height, target);
    enum follow_step step = FOLLOW_ON;
    for (; step == FOLLOW_ON && height > target; height--) {
        const struct block_hash prev = height - 1 == target ? node->hash
                                                            : (struct block_hash){ { 0 } };
        step = undo(f, d, &hash, &prev);
        hash = prev;
    }
    return step;
}

/* --- forth ---------------------------------------------------------------------------------- */

static bool is_before(const struct header_node *node, int64_t birth)
{
    return (int64_t)node->max_time < birth - BIRTH_MARGIN;
}

/* The first block that may have a transaction of keys made at that time. */
static int32_t first_height(struct header_index *index, int32_t tip, int64_t birth)
{
    int32_t low = 0, high = tip;
    while (birth && low < high) {
        const int32_t middle = low + (high - low) / 2;
        const struct header_node *node = header_index_at(index, middle);
        if (node && is_before(node, birth))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void tell_progress(struct followed *d, int32_t height, int32_t tip)
{
    char eta[32];
    const int64_t now = clock_mono_ms(), took = now - d->log_ms;
    d->behind = tip - height;
    if (took < LOG_EVERY_MS || !d->blocks)
        return;
    const double rate = (double)d->blocks * 1000.0 / (double)took;
    progress_eta_text(eta, sizeof eta, (int64_t)((double)d->behind / rate));
    log_info("wallet \"%s\": block %d of %d, %.1f blocks/s, ETA %s", wallet_name(d->w), height, tip,
             rate, eta);
    d->log_ms = now;
    d->blocks = 0;
    d->logged = true;
}

static enum follow_step at_tip(struct wallet_follow *f, struct followed *d, int32_t height)
{
    follow_set_why(f, d, "%s", "");
    if (d->logged)
        log_info("wallet \"%s\": knows all blocks up to %d", wallet_name(d->w), height);
    d->logged = false;
    d->behind = 0;
    d->blocks = 0;
    d->log_ms = clock_mono_ms();
    return FOLLOW_AT_TIP;
}

/* The chain will stand there again by itself: it connects its blocks anew after a crash or for
 * -reindex-chainstate, or is on its way through a reorganisation. */
static bool is_ahead(const struct chain_tip *tip, struct header_node *best)
{
    const uint32_t status = atomic_load(&best->status);
    return best->height > tip->height && header_ancestor(best, tip->height) == tip->node &&
           status & HS_HAVE_DATA && !(status & (HS_FAILED_MASK | HS_HELD));
}

/* One block back or forth. */
static enum follow_step one_step(struct wallet_follow *f, struct followed *d)
{
    struct header_index *index = chain_headers(f->chain);
    struct block_hash hash;
    struct chain_tip tip;
    int32_t height, next;
    chain_get_tip(f->chain, &tip);
    if (!tip.node)
        return FOLLOW_AT_TIP;
    if (wallet_best(d->w, &hash, &height, &next)) {
        struct header_node *best = header_index_find(index, &hash);
        if (!best)
            return go_back(f, d, hash, height);
        if (is_ahead(&tip, best))
            return FOLLOW_STUCK;
        if (!header_index_is_active(index, best))
            return undo(f, d, &hash, &best->prev->hash);
        if (next == HISTORY_NO_HEIGHT && best == tip.node)
            return at_tip(f, d, height);
        next = next == HISTORY_NO_HEIGHT ? height + 1 : next;
    } else {
        const int64_t birth = wallet_birth(d->w);
        if (is_before(tip.node, birth) && chain_is_initial_download(f->chain))
            return FOLLOW_AT_TIP; /* old blocks alone: nothing of it can be in them */
        next = first_height(index, tip.height, birth);
    }
    const struct header_node *node = header_index_at(index, next);
    if (!node)
        return FOLLOW_ON; /* the chain moves just now */
    tell_progress(d, next, tip.height);
    return tell_block(f, d, node);
}

enum follow_step follow_blocks(struct wallet_follow *f, struct followed *d)
{
    const int64_t end = clock_mono_ms() + TURN_MS;
    enum follow_step step;
    do {
        step = one_step(f, d);
    } while (step == FOLLOW_ON && !cancelled(&f->cancel) && clock_mono_ms() < end);
    return step;
}

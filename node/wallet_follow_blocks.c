/*
 * The way of one wallet to the tip.
 *
 * After a crash the chain may have lost headers that a wallet has followed already: the index is
 * flushed less often. Such a wallet goes back so far that it is certainly on a block the chain
 * had when it was flushed, and comes again.
 */
#include "node/wallet_follow_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/progress.h"

#define TURN_MS 500       /* then other wallets, and whoever waits for a round */
#define LOG_EVERY_MS 10000
#define LOST_BLOCKS 100   /* deeper than any reorganisation just before a crash */

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
    for (; step == FOLLOW_ON && height > target && !cancelled(&f->cancel); height--) {
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
    return (int64_t)node->max_time < birth - HEADER_TIME_MARGIN;
}

/* The first block that may have a transaction of keys made at that time. */
static int32_t first_height(const struct chain_tip *tip, int64_t birth)
{
    const struct header_node *node =
        birth ? header_first_since(tip->node, birth - HEADER_TIME_MARGIN) : NULL;
    return node ? node->height : birth ? tip->height : 0;
}

/* Transactions of the chain below a height. */
static uint64_t txs_below(struct header_index *index, int32_t height)
{
    struct header_data data;
    struct header_node *node = height > 0 ? header_index_at(index, height - 1) : NULL;
    if (!node)
        return 0;
    header_index_get_data(index, node, &data);
    return data.chain_tx_count;
}

struct follow_pace follow_pace(struct chain *c, const struct follow_run *run)
{
    struct header_index *index = chain_headers(c);
    const uint64_t before = txs_below(index, run->from);
    const double all = (double)(txs_below(index, run->end + 1) - before);
    const double done = (double)(txs_below(index, run->next) - before);
    const double took = (double)(clock_mono_ms() - run->begun_ms) / 1000;
    struct follow_pace p = { .took_s = (int64_t)took, .eta_s = -1 };
    if (done > 0 && done <= all) {
        p.done = done / all;
        p.eta_s = (int64_t)(took * (all - done) / done);
    }
    return p;
}

static void note_run(struct wallet_follow *f, struct followed *d, int32_t height, int32_t end)
{
    pthread_mutex_lock(&f->lock);
    const bool goes_on = height == d->run.next + 1 || height == d->run.next; /* once more */
    if (!d->run.on || !goes_on)
        d->run = (struct follow_run){ .on = true, .begun_ms = clock_mono_ms(), .from = height };
    d->run.next = height;
    d->run.end = end;
    pthread_mutex_unlock(&f->lock);
}

static void tell_progress(struct wallet_follow *f, struct followed *d, int32_t height, int32_t tip)
{
    char eta[32];
    const int64_t now = clock_mono_ms();
    d->behind = tip - height;
    if (now - d->log_ms < LOG_EVERY_MS)
        return;
    const struct follow_pace p = follow_pace(f->chain, &d->run);
    progress_eta_text(eta, sizeof eta, p.eta_s);
    log_info("wallet \"%s\": block %d of %d, %.1f %%, ETA %s", wallet_name(d->w), height,
             d->run.end, 100 * p.done, eta);
    d->log_ms = now;
    d->logged = true;
}

static enum follow_step at_tip(struct wallet_follow *f, struct followed *d, int32_t height)
{
    follow_set_why(f, d, "%s", "");
    if (d->logged)
        log_info("wallet \"%s\": knows all blocks up to %d", wallet_name(d->w), height);
    d->logged = false;
    d->behind = 0;
    d->log_ms = clock_mono_ms();
    pthread_mutex_lock(&f->lock);
    d->run.on = false;
    pthread_mutex_unlock(&f->lock);
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

/* What a wallet wants of the chain that has this tip. */
enum want { WANT_NOTHING, WANT_BLOCK, WANT_UNDO, WANT_LOST, WANT_TIME };

struct wanted {
    enum want want;
    struct header_node *node; /* the block that is to be told; NULL while the chain moves */
    struct header_node *best; /* of the wallet; NULL: none yet, or the chain lost it */
    struct block_hash hash;
    int32_t height;
    int32_t end;              /* where the rescan ends, or the tip */
};

static struct wanted first_wanted(struct wallet_follow *f, struct followed *d,
                                  const struct chain_tip *tip)
{
    const int64_t birth = wallet_birth(d->w);
    struct wanted x = { .want = WANT_BLOCK, .height = HISTORY_NO_HEIGHT, .end = tip->height };
    if (is_before(tip->node, birth) && chain_is_initial_download(f->chain))
        x.want = WANT_NOTHING; /* old blocks alone: nothing of it can be in them */
    else
        x.node = header_index_at(chain_headers(f->chain), first_height(tip, birth));
    return x;
}

static struct wanted look(struct wallet_follow *f, struct followed *d, const struct chain_tip *tip)
{
    struct header_index *index = chain_headers(f->chain);
    struct wanted x = { .want = WANT_BLOCK };
    int32_t next;
    if (!tip->node)
        return (struct wanted){ .want = WANT_NOTHING };
    if (!wallet_best(d->w, &x.hash, &x.height, &next))
        return first_wanted(f, d, tip);
    x.best = header_index_find(index, &x.hash);
    if (!x.best)
        x.want = WANT_LOST;
    else if (is_ahead(tip, x.best))
        x.want = WANT_TIME;
    else if (!header_index_is_active(index, x.best))
        x.want = WANT_UNDO;
    else if (next == HISTORY_NO_HEIGHT && x.best == tip->node)
        x.want = WANT_NOTHING;
    else
        x.node = header_index_at(index, next == HISTORY_NO_HEIGHT ? x.height + 1 : next);
    x.end = next == HISTORY_NO_HEIGHT ? tip->height : wallet_scan_last(d->w);
    return x;
}

/* To all that want it, so that it is read once. */
static enum follow_step tell(struct wallet_follow *f, struct followed *d,
                             const struct header_node *node, const struct chain_tip *tip)
{
    const struct wanted nothing = { .want = WANT_NOTHING };
    struct followed **who = xcalloc(f->n, sizeof *who);
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct followed *other = &f->list[i];
        const struct wanted x = other->dropped ? nothing : look(f, other, tip);
        if (other != d && x.node != node)
            continue;
        note_run(f, other, node->height, x.end);
        tell_progress(f, other, node->height, tip->height);
        who[n++] = other;
    }
    follow_tell(f, node, who, n);
    free(who);
    return d->step;
}

/* One block back or forth. */
static enum follow_step one_step(struct wallet_follow *f, struct followed *d)
{
    struct chain_tip tip;
    chain_get_tip(f->chain, &tip);
    const struct wanted x = look(f, d, &tip);
    switch (x.want) {
    case WANT_NOTHING:
        return at_tip(f, d, x.height);
    case WANT_TIME:
        return FOLLOW_STUCK;
    case WANT_LOST:
        return go_back(f, d, x.hash, x.height);
    case WANT_UNDO:
        return undo(f, d, &x.hash, &x.best->prev->hash);
    case WANT_BLOCK:
        break;
    }
    return x.node ? tell(f, d, x.node, &tip) : FOLLOW_ON;
}

/*
 * Another wallet comes the same way from further back, and it is no later for this one to wait and
 * to go on together, which reads the blocks once, than to take turns with it.
 */
static bool waits(struct wallet_follow *f, struct followed *d)
{
    struct chain_tip tip;
    chain_get_tip(f->chain, &tip);
    const struct header_node *mine = look(f, d, &tip).node;
    for (size_t i = 0; mine && i < f->n; i++) {
        struct followed *other = &f->list[i];
        if (other == d || other->dropped || other->step == FOLLOW_STUCK)
            continue;
        const struct header_node *its = look(f, other, &tip).node;
        if (its && its->height < mine->height &&
            mine->height - its->height <= tip.height - mine->height)
            return true;
    }
    return false;
}

enum follow_step follow_blocks(struct wallet_follow *f, struct followed *d)
{
    const int64_t end = clock_mono_ms() + TURN_MS;
    if (waits(f, d))
        return FOLLOW_ON;
    do {
        d->step = one_step(f, d);
    } while (d->step == FOLLOW_ON && !cancelled(&f->cancel) && clock_mono_ms() < end);
    follow_write(f);
    return d->step;
}

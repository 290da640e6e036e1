/*
 * A block is read once and told to all wallets that want it. What they make of it is written later
 * (wallet_sync), together with what they make of the blocks after it.
 */
#include "node/wallet_follow_internal.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "node/block_walk.h"

struct listener {
    struct followed *d;
    bool open;   /* the block is being told to it */
    bool unread; /* the block could not be read to its end */
    struct error e; /* OK: it has the block */
};

struct telling {
    struct wallet_follow *f;
    const struct header_node *node;
    struct listener *all;
    size_t n;
    uint32_t position;
};

static void begin(struct telling *t, struct listener *l)
{
    const struct header_node *node = t->node;
    const struct wallet_block b = { .hash = node->hash,
                                    .prev = node->prev ? node->prev->hash
                                                       : (struct block_hash){ { 0 } },
                                    .height = node->height,
                                    .time = node->time };
    l->open = !wallet_block_begin(l->d->w, &b, &l->e);
}

static void leave(struct listener *l)
{
    wallet_block_cancel(l->d->w);
    l->open = false;
}

static enum err tell_tx(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct telling *t = ctx;
    size_t listening = 0;
    (void)offset;
    if (cancelled(&t->f->cancel))
        return error_set(e, ERR_CANCELLED, "the node stops");
    for (size_t i = 0; i < t->n; i++) {
        struct listener *l = &t->all[i];
        if (l->open && wallet_block_tx(l->d->w, tx, t->position, &l->e))
            leave(l);
        listening += l->open;
    }
    t->position++;
    return listening ? OK : error_set(e, ERR_CANCELLED, "no wallet listens");
}

static void finish(struct listener *l, const struct error *unread)
{
    if (unread->code) {
        leave(l);
        l->e = *unread;
        l->unread = true;
    } else {
        l->open = false;
        l->e.code = wallet_block_end_later(l->d->w, &l->e);
    }
}

/* A rescan came too late for the block. What comes after the tip must not wait for it for ever. */
static bool is_pruned_scan(const struct telling *t, const struct listener *l)
{
    struct block_hash best;
    int32_t height, next;
    return l->unread && l->e.code == ERR_NOTFOUND &&
           !(atomic_load(&t->node->status) & HS_HAVE_DATA) &&
           wallet_best(l->d->w, &best, &height, &next) && next == t->node->height;
}

static void break_rescan(const struct telling *t, struct followed *d)
{
    char text[WALLET_GAP_TEXT_MAX];
    struct error e = { .code = OK };
    d->step = FOLLOW_ON;
    if (wallet_break_rescan(d->w, t->node->height, &e)) {
        d->step = FOLLOW_STUCK;
        follow_wallet_failed(t->f, d, &e);
    } else if (wallet_gap_text(d->w, text)) {
        log_warn("wallet \"%s\": %s", wallet_name(d->w), text);
    }
}

/* ERR_BUSY: it wants the block once more, or another. */
static void judge(const struct telling *t, const struct listener *l)
{
    struct followed *d = l->d;
    const bool goes_on = !l->e.code || (l->e.code == ERR_BUSY && !l->unread);
    d->step = goes_on ? FOLLOW_ON : FOLLOW_STUCK;
    d->unwritten |= !l->e.code;
    if (!l->e.code)
        follow_set_why(t->f, d, "%s", "");
    if (goes_on || l->e.code == ERR_CANCELLED)
        return;
    if (is_pruned_scan(t, l))
        break_rescan(t, d);
    else if (!l->unread)
        follow_wallet_failed(t->f, d, &l->e);
    else if (l->e.code == ERR_NOTFOUND)
        follow_set_why(t->f, d,
                       "block %d is needed and is not stored any more (-prune); a node that keeps "
                       "all blocks can bring the wallet to the tip", t->node->height);
    else
        follow_set_why(t->f, d, "block %d cannot be read: %s", t->node->height, l->e.text);
}

void follow_tell(struct wallet_follow *f, const struct header_node *node,
                 struct followed *const *who, size_t n)
{
    struct telling t = { .f = f, .node = node, .n = n };
    struct error e = { .code = OK };
    t.all = xcalloc(n, sizeof *t.all);
    for (size_t i = 0; i < n; i++) {
        t.all[i] = (struct listener){ .d = who[i], .e.code = OK };
        begin(&t, &t.all[i]);
    }
    atomic_fetch_add(&f->reads, 1);
    atomic_fetch_add(&f->steps, 1);
    e.code = block_walk(f->chain, node, tell_tx, &t, &e);
    for (size_t i = 0; i < n; i++) {
        if (t.all[i].open)
            finish(&t.all[i], &e);
        judge(&t, &t.all[i]);
    }
    free(t.all);
}

void follow_write(struct wallet_follow *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct followed *d = &f->list[i];
        struct error e = { .code = OK };
        if (d->unwritten && !d->dropped && wallet_sync(d->w, &e)) {
            d->step = FOLLOW_STUCK;
            follow_wallet_failed(f, d, &e);
        }
        d->unwritten = false;
        atomic_fetch_add(&f->steps, 1);
    }
}

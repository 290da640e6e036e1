/*
 * Reports of double spends in competing blocks (spec p2p 3: dsdetected): what holds is recorded,
 * its headers are taken like announced ones, and it is passed on once. A few reports about the same
 * blocks are enough: more of them would be a flood at no cost to who makes them. After a
 * reorganisation the pool compares both branches, and we report ourselves.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/causes.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/ds_report.h"
#include "node/ds_search.h"
#include "node/sync_internal.h"

#define SCORE 10              /* spec p2p 6 */
#define REPORTS_OF_A_PLACE 8  /* passed on about the same blocks */

/* --- what was seen --- */

/* False when it is known, or enough was said about its blocks. */
static bool remember(struct sync *s, const struct ds_report *r)
{
    unsigned same_place = 0;
    for (size_t i = 0; i < MIN_OF(s->n_reports, DS_REMEMBERED); i++) {
        if (memcmp(s->reports[i].id.b, r->id.b, 32) == 0)
            return false;
        same_place += memcmp(s->reports[i].place.b, r->place.b, 32) == 0;
    }
    if (same_place >= REPORTS_OF_A_PLACE)
        return false;
    s->reports[s->n_reports++ % DS_REMEMBERED] = (struct ds_seen){ r->id, r->place };
    return true;
}

/* --- its headers --- */

static void refuse(struct sync_peer *sp, int score, const char *why)
{
    log_debug(LOGC_NET, "peer=%llu dsdetected: %s", (unsigned long long)sp->id, why);
    peer_misbehave(sp->peer, score, why);
}

/* Oldest first into the index; false when the peer was judged. */
static bool accept_branch(struct sync_peer *sp, const struct ds_block *b)
{
    struct block_header headers[DS_FORK_MAX];
    struct verdict v;
    for (size_t i = 0; i < b->n; i++)
        ds_block_header(b, b->n - 1 - i, &headers[i]);
    if (headers_accept(sp, headers, b->n, &v))
        return true;
    refuse(sp, MAX_OF((int)v.ban_score, SCORE), v.reason);
    return false;
}

static bool check_branch(struct sync_peer *sp, const struct ds_block *b)
{
    struct sync *s = sp->sync;
    const struct header_node *tip = header_index_tip(s->headers);
    const struct header_node *ancestor = header_index_find(s->headers, &b->ancestor);
    const struct header_node *node = header_index_find(s->headers, &b->hash);
    struct header_data data;
    if (!ancestor || tip->height - ancestor->height > DS_FORK_MAX) {
        refuse(sp, SCORE, ancestor ? "fork too deep" : "fork of an unknown block");
        return false;
    }
    if (!node)
        return accept_branch(sp, b);
    header_index_get_data(s->headers, node, &data);
    if (!(data.status & HS_FAILED_MASK) &&
        (!data.tx_count || merkle_branch_fits(&b->branch, data.tx_count)))
        return true;
    refuse(sp, SCORE, "invalid block, or another number of transactions");
    return false;
}

/* --- telling --- */

/* by: who proves it. */
static void record(struct sync *s, const struct ds_report *r, const char *by)
{
    char tx[HASH_HEX_SIZE], block[HASH_HEX_SIZE];
    for (size_t i = 0; i < r->n; i++) {
        const struct ds_block *b = &r->blocks[i];
        hash_to_hex(tx, b->tx->id.b);
        hash_to_hex(block, b->hash.b);
        LOG_LIMITED(LOG_WARN, "double spend in competing blocks: transaction %s in block %s", tx,
                    block);
        causes_note_hash(s->options.causes, CAUSE_TX, b->tx->id.b,
                         "double spend, as %s proves: in block %s of a branch", by, block);
        causes_note_hash(s->options.causes, CAUSE_BLOCK, b->hash.b,
                         "double spend, as %s proves: of transaction %s in another branch", by, tx);
    }
}

struct passing {
    const struct sync_peer *from; /* NULL: ourselves */
    struct span payload;
};

static void pass_on(struct sync_peer *sp, void *ctx)
{
    const struct passing *p = ctx;
    if (sp != p->from && p->payload.len <= peer_payload_limit(sp->peer))
        peer_send(sp->peer, MSG_DSDETECTED, p->payload.data, p->payload.len);
}

static bool check_branches(struct sync_peer *sp, const struct ds_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (!check_branch(sp, &r->blocks[i]))
            return false;
    return true;
}

void sync_on_dsdetected(void *ctx, struct peer *p, const struct msg_dsdetected *m)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    struct ds_report r;
    const char *why;
    if (chain_is_importing(s->chain) || chain_is_initial_download(s->chain))
        return; /* the branches are not known yet */
    if (!ds_report_read(&r, m, &why)) {
        refuse(sp, SCORE, why);
        return;
    }
    if (check_branches(sp, &r) && remember(s, &r)) {
        struct passing passing = { sp, m->payload };
        char by[32];
        snprintf(by, sizeof(by), "peer %llu", (unsigned long long)sp->id);
        record(s, &r, by);
        sync_each(s, pass_on, &passing);
    }
    ds_report_clear(&r);
    blocks_plan(s);
}

/* --- our own --- */

struct comparing {
    struct sync_work work; /* first */
    struct header_node *left, *taken;
    struct buf payload;
};

/* A pool thread. */
static void compare_branches(struct sync_work *w)
{
    struct comparing *c = (struct comparing *)(void *)w;
    struct error e;
    if (ds_search(w->sync->chain, c->left, c->taken, &c->payload, &e))
        log_debug(LOGC_NET, "branches from height %d not compared: %s", c->left->height, e.text);
}

static void free_comparing(struct sync_work *w)
{
    struct comparing *c = (struct comparing *)(void *)w;
    buf_clear(&c->payload);
    free(c);
}

static void report(struct sync_work *w)
{
    struct comparing *c = (struct comparing *)(void *)w;
    struct msg_dsdetected m;
    struct ds_report r;
    const char *why;
    if (c->payload.len == 0 || msg_dsdetected_read(&m, buf_span(&c->payload)) != OK ||
        !ds_report_read(&r, &m, &why))
        return;
    if (remember(w->sync, &r)) {
        struct passing passing = { NULL, m.payload };
        record(w->sync, &r, "a reorganisation");
        sync_each(w->sync, pass_on, &passing);
    }
    ds_report_clear(&r);
}

void ds_tip_changed(struct sync *s, struct header_node *from, struct header_node *tip)
{
    if (!from || !tip || header_last_common(from, tip) == from ||
        header_last_common(from, tip) == tip)
        return;
    struct comparing *c = xcalloc(1, sizeof(*c));
    c->work.run = compare_branches;
    c->work.done = report;
    c->work.free = free_comparing;
    c->left = from;
    c->taken = tip;
    sync_work_start(s, &c->work, JOB_LOW);
}

/*
 * Reports of double spends in competing blocks (spec p2p 3: dsdetected): what holds is recorded, its
 * headers are taken like announced ones, and it is passed on once. A few reports about the same
 * blocks are enough: more of them would be a flood at no cost to who makes them.
 */
#include "base/causes.h"
#include "base/intmath.h"
#include "base/log.h"
#include "node/ds_report.h"
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

static void record(struct sync *s, const struct ds_report *r, uint64_t peer)
{
    char tx[HASH_HEX_SIZE], block[HASH_HEX_SIZE];
    for (size_t i = 0; i < r->n; i++) {
        const struct ds_block *b = &r->blocks[i];
        hash_to_hex(tx, b->tx->id.b);
        hash_to_hex(block, b->hash.b);
        LOG_LIMITED(LOG_WARN, "double spend in competing blocks: transaction %s in block %s", tx,
                    block);
        causes_note_hash(s->options.causes, CAUSE_TX, b->tx->id.b,
                         "double spend, peer %llu proves: in block %s of a branch",
                         (unsigned long long)peer, block);
        causes_note_hash(s->options.causes, CAUSE_BLOCK, b->hash.b,
                         "double spend, peer %llu proves: transaction %s conflicts with another branch",
                         (unsigned long long)peer, tx);
    }
}

struct passing {
    const struct sync_peer *from;
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
        record(s, &r, sp->id);
        sync_each(s, pass_on, &passing);
    }
    ds_report_clear(&r);
    blocks_plan(s);
}

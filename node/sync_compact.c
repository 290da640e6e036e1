/*
 * Blocks that arrive in compact form (spec p2p 3, 8): short ids are looked up among what the node
 * knows, the rest is asked for once, and the block goes the way of every block, through the intake.
 *
 * The state is one per (peer, block), so nothing a peer sends disturbs what another does for us
 * (attacks C4). Up to three peers are asked for the missing transactions of a block at a time, one
 * of them chosen by us, and who is silent loses its place like any slow source (C5, sync_blocks.c).
 * When a compact form is no use the whole block is asked for, once and without blame: short ids may
 * collide.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/rebuild.h"
#include "node/sync_internal.h"

#define AHEAD_MAX 2               /* blocks past the tip that are rebuilt */
#define RECENT_TIP_S (200 * 60)   /* spec p2p 5 and 8 */
#define PARALLEL_MAX 3            /* peers asked for one block */
#define OFFERS_AT_ONCE 4096       /* transactions looked at under one lock of the mempool */

/* --- places --- */

static struct sync_rebuild *find_place(struct sync_peer *sp, const struct header_node *node)
{
    for (size_t i = 0; i < SYNC_REBUILDS_MAX; i++)
        if (sp->rebuilds[i].node == node)
            return &sp->rebuilds[i];
    return NULL;
}

static void clear_place(struct sync_rebuild *place)
{
    if (place->intake)
        intake_abort(place->intake);
    rebuild_free(place->rebuild);
    *place = (struct sync_rebuild){ .node = NULL };
}

void compact_drop_all(struct sync_peer *sp)
{
    for (size_t i = 0; i < SYNC_REBUILDS_MAX; i++)
        clear_place(&sp->rebuilds[i]);
}

bool compact_is_arriving(const struct sync_peer *sp, const struct header_node *node)
{
    bool expected = false;
    for (size_t i = 0; i < SYNC_REBUILDS_MAX; i++)
        expected |= sp->rebuilds[i].node && (!node || sp->rebuilds[i].node == node);
    return expected && peer_receiving(sp->peer, MSG_BLOCKTXN) > 0;
}

/* A free one; else that of the lowest block whose missing transactions have not come, which is
 * given up with it and, where it is still wanted, asked for as a whole. */
static struct sync_rebuild *make_place(struct sync_peer *sp)
{
    struct sync_rebuild *lowest = NULL;
    for (size_t i = 0; i < SYNC_REBUILDS_MAX; i++) {
        struct sync_rebuild *place = &sp->rebuilds[i];
        if (!place->node)
            return place;
        if (!place->intake && (!lowest || place->node->height < lowest->node->height))
            lowest = place;
    }
    if (lowest) {
        sp->whole_only = lowest->node;
        blocks_release(sp, lowest->node);
        clear_place(lowest);
    }
    return lowest;
}

static bool is_settled(const struct header_node *node)
{
    return atomic_load(&node->status) & (HS_HAVE_DATA | HS_FAILED_MASK);
}

/* --- whom to ask, and for what --- */

bool compact_tip_is_recent(struct sync *s)
{
    const struct header_node *tip = header_index_tip(s->headers);
    return !chain_is_initial_download(s->chain) && (int64_t)tip->time > clock_now() - RECENT_TIP_S;
}

bool compact_is_wanted(const struct sync_peer *sp, const struct header_node *node)
{
    struct sync *s = sp->sync;
    const struct header_node *tip = header_index_tip(s->headers);
    return s->options.compact_blocks && peer_takes_compact(sp->peer) && node->prev == tip &&
           sp->whole_only != node && compact_tip_is_recent(s);
}

static bool is_chosen(const struct sync_peer *sp)
{
    return !peer_is_inbound(sp->peer);
}

/* The last place is for a peer that we chose, if none of the others is (attacks C5). */
static bool may_ask(struct sync_peer *sp, const struct header_node *node)
{
    struct sync *s = sp->sync;
    const struct flight *fl = flights_find(s->flights, node);
    const unsigned most = MIN_OF(PARALLEL_MAX, s->options.max_parallel_fetch);
    if (sp->n_inflight == SYNC_INFLIGHT_MAX || !blocks_may_download(sp, clock_mono_ms()))
        return false;
    if (!fl)
        return true;
    if (fl->n_arrived || fl->n_peers >= most)
        return false;
    if (fl->n_peers + 1 < most || most < PARALLEL_MAX || is_chosen(sp))
        return true;
    for (unsigned i = 0; i < fl->n_peers; i++) {
        struct peer *p = net_peer_by_id(s->net, fl->peers[i]);
        if (p && is_chosen(sync_peer_of(p)))
            return true;
    }
    return false;
}

/* The peer has a place among those who are asked, or gets one. */
static bool hold_place(struct sync_peer *sp, struct header_node *node)
{
    return blocks_was_asked(sp, node) || (may_ask(sp, node) && blocks_note_asked(sp, node));
}

static void ask_whole(struct sync_peer *sp, struct header_node *node)
{
    sp->whole_only = node;
    if (hold_place(sp, node))
        blocks_ask_whole(sp, node);
}

static void ask_missing(struct sync_peer *sp, const struct sync_rebuild *place, size_t n)
{
    uint32_t *indices = try_alloc(n, sizeof(*indices));
    struct buf b;
    buf_init(&b);
    if (indices && buf_try_reserve(&b, n * 5 + sizeof(place->node->hash) + 9)) {
        rebuild_missing(place->rebuild, indices);
        msg_getblocktxn_write(&b, &place->node->hash, indices, n);
        peer_send_buf(sp->peer, MSG_GETBLOCKTXN, &b);
    }
    buf_clear(&b);
    free(indices);
}

/* --- handing over --- */

/* Until the intake is full; compact_intake_drained goes on. */
static void feed(struct sync_rebuild *place)
{
    for (;;) {
        const struct span piece = rebuild_next_piece(place->rebuild);
        if (piece.len == 0)
            break;
        if (intake_feed(place->intake, piece.data, piece.len) > INTAKE_QUEUE_MAX)
            return;
    }
    place->intake = NULL; /* belongs to the pool since its last byte */
    clear_place(place);
}

static bool memory_allows(struct sync *s, uint64_t size)
{
    return size >= BLOCKFILE_STREAM_MIN || intake_memory_bytes() + size <= s->options.intake_budget;
}

/* The peer has done its part, whatever becomes of the block. */
static void hand_over(struct sync_peer *sp, struct sync_rebuild *place)
{
    struct sync *s = sp->sync;
    struct header_node *node = place->node;
    struct verdict v;
    const struct flight *fl = flights_find(s->flights, node);
    const uint64_t size = rebuild_block_size(place->rebuild);
    sp->delivered |= blocks_was_asked(sp, node);
    place->ready = fl && fl->n_arrived && !is_settled(node);
    blocks_release(sp, node);
    if (place->ready)
        return;
    if (!is_settled(node) && memory_allows(s, size))
        place->intake = chain_block_begin(s->chain, node, size, NULL, sp->id | SOURCE_COMPACT, &v);
    if (place->intake) {
        /* From now on: how long storing takes is not the peer's doing. */
        flights_set_arrived(s->flights, node, true);
        feed(place);
    } else {
        clear_place(place);
    }
}

void compact_intake_drained(struct sync_peer *sp)
{
    for (size_t i = 0; i < SYNC_REBUILDS_MAX; i++)
        if (sp->rebuilds[i].intake)
            feed(&sp->rebuilds[i]);
}

/* --- looking for transactions --- */

/* Before the peer was asked for what is missing: it owes nothing. */
static void give_up(struct sync_peer *sp, struct sync_rebuild *place)
{
    blocks_release(sp, place->node);
    clear_place(place);
}

struct lookup {
    struct sync_work work; /* first */
    uint64_t peer;
    struct header_node *node;
    struct rebuild *rebuild;
    size_t n_missing;
};

/* A part of the mempool: its lock is given back in between. */
struct offering {
    struct rebuild *rebuild;
    uint64_t sequence; /* of the last entry */
    size_t n;
    bool complete;
};

static enum mempool_visit offer(void *ctx, const struct mempool_entry *entry)
{
    struct offering *o = ctx;
    o->sequence = entry->sequence;
    o->complete = rebuild_offer(o->rebuild, entry->tx);
    return ++o->n == OFFERS_AT_ONCE || o->complete ? MEMPOOL_ENOUGH : MEMPOOL_GO_ON;
}

/* A pool thread. */
static void look_up(struct sync_work *w)
{
    struct lookup *l = (struct lookup *)(void *)w;
    struct offering o = { .rebuild = l->rebuild };
    do {
        o.n = 0;
        mempool_each(chain_mempool(w->sync->chain), o.sequence, offer, &o);
    } while (o.n == OFFERS_AT_ONCE && !o.complete);
    l->n_missing = rebuild_end_offers(l->rebuild);
}

static void free_lookup(struct sync_work *w)
{
    struct lookup *l = (struct lookup *)(void *)w;
    rebuild_free(l->rebuild);
    free(l);
}

static void looked_up(struct sync_work *w)
{
    struct lookup *l = (struct lookup *)(void *)w;
    struct peer *p = net_peer_by_id(w->sync->net, l->peer);
    struct sync_peer *sp = p ? sync_peer_of(p) : NULL;
    struct sync_rebuild *place = sp ? find_place(sp, l->node) : NULL;
    if (!place || place->rebuild || place->intake)
        return; /* it is not wanted any more */
    place->rebuild = l->rebuild;
    l->rebuild = NULL;
    log_debug(LOGC_NET, "peer=%llu compact block at height %d: %zu transactions missing",
              (unsigned long long)sp->id, l->node->height, l->n_missing);
    if (l->n_missing == 0)
        hand_over(sp, place);
    else if (!is_settled(l->node) && hold_place(sp, l->node))
        ask_missing(sp, place, l->n_missing);
    else
        give_up(sp, place); /* it is here, or three others are asked: they bring it */
    blocks_plan(w->sync);
}

static void start_lookup(struct sync_peer *sp, struct header_node *node, struct rebuild *r)
{
    struct lookup *l = xcalloc(1, sizeof(*l));
    l->work.run = look_up;
    l->work.done = looked_up;
    l->work.free = free_lookup;
    l->peer = sp->id;
    l->node = node;
    l->rebuild = r;
    sync_work_start(sp->sync, &l->work, JOB_CANDIDATE);
}

/* --- messages --- */

/* The header is judged like any announced one; NULL when it is not in the index then. */
static struct header_node *take_header(struct sync_peer *sp, const struct block_header *h)
{
    struct block_hash hash;
    block_header_hash(&hash, h);
    struct header_node *node = header_index_find(sp->sync->headers, &hash);
    if (node) {
        headers_note(sp, node);
        return node;
    }
    headers_take(sp, h, 1);
    return header_index_find(sp->sync->headers, &hash);
}

/* Close above the tip, which is itself new: then most transactions are known. */
static bool is_worth_rebuilding(struct sync *s, const struct header_node *node)
{
    const struct header_node *tip = header_index_tip(s->headers);
    return s->options.compact_blocks && tip && u256_cmp(&node->work, &tip->work) > 0 &&
           node->height <= tip->height + AHEAD_MAX && compact_tip_is_recent(s);
}

static void begin(struct sync_peer *sp, struct header_node *node, const struct msg_cmpctblock *m)
{
    struct sync *s = sp->sync;
    enum rebuild_result why;
    if (find_place(sp, node) || sp->whole_only == node)
        return; /* one attempt for each peer */
    struct sync_rebuild *place = make_place(sp);
    struct rebuild *r = place ? rebuild_new(m, s->options.compact_budget, &why) : NULL;
    if (r) {
        (void)hold_place(sp, node); /* without one it may still be complete */
        place->node = node;
        start_lookup(sp, node, r);
    } else if (place && why == REBUILD_BROKEN) {
        blocks_release(sp, node);
        peer_misbehave(sp->peer, 100, "invalid compact block");
    } else {
        ask_whole(sp, node);
    }
}

void sync_on_cmpctblock(void *ctx, struct peer *p, const struct msg_cmpctblock *m)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    if (chain_is_importing(s->chain))
        return;
    struct header_node *node = take_header(sp, &m->header);
    if (node && is_settled(node))
        blocks_release(sp, node);
    else if (node && is_worth_rebuilding(s, node))
        begin(sp, node, m);
    else if (node && blocks_was_asked(sp, node))
        blocks_ask_whole(sp, node);
    blocks_plan(s);
}

/* A rebuild of the peer that waits for the rest. */
static struct sync_rebuild *waiting_place(struct sync_peer *sp, const struct block_hash *hash)
{
    struct header_node *node = header_index_find(sp->sync->headers, hash);
    struct sync_rebuild *place = node ? find_place(sp, node) : NULL;
    return place && place->rebuild && !place->intake && !place->ready ? place : NULL;
}

/* Not asked for, or answered before (attacks C3), or later than that of another peer: then this one
 * owes nothing any more. */
static void take_late_answer(struct sync_peer *sp, const struct block_hash *hash)
{
    struct header_node *node = header_index_find(sp->sync->headers, hash);
    if (node && is_settled(node))
        blocks_release(sp, node);
}

void sync_on_blocktxn(void *ctx, struct peer *p, const struct msg_blocktxn *m)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    struct sync_rebuild *place = waiting_place(sp, &m->hash);
    if (!place) {
        take_late_answer(sp, &m->hash);
        return;
    }
    struct header_node *node = place->node;
    switch (rebuild_fill(place->rebuild, m)) {
    case REBUILD_FINE:
        hand_over(sp, place);
        break;
    case REBUILD_BROKEN:
        clear_place(place);
        blocks_release(sp, node);
        peer_misbehave(p, 100, "transactions that do not fit the compact block");
        break;
    case REBUILD_USELESS:
        clear_place(place);
        ask_whole(sp, node);
        break;
    }
    blocks_plan(s);
}

/* --- larger than what is collected --- */

size_t compact_head_size(enum msg_id id)
{
    if (id == MSG_CMPCTBLOCK)
        return BLOCK_HEADER_SIZE;
    return id == MSG_GETBLOCKTXN || id == MSG_BLOCKTXN ? sizeof(struct block_hash) : 0;
}

static void form_too_large(struct sync_peer *sp, const uint8_t *head)
{
    struct reader r;
    struct block_header h;
    reader_init(&r, head, BLOCK_HEADER_SIZE);
    block_header_read(&r, &h);
    struct header_node *node = take_header(sp, &h);
    if (node && !is_settled(node) && blocks_was_asked(sp, node))
        blocks_ask_whole(sp, node);
}

void compact_too_large(struct sync_peer *sp, enum msg_id id, const uint8_t *head)
{
    struct block_hash hash;
    memcpy(hash.b, head, sizeof(hash.b));
    if (id == MSG_CMPCTBLOCK) {
        form_too_large(sp, head);
    } else if (id == MSG_BLOCKTXN) {
        struct sync_rebuild *place = waiting_place(sp, &hash);
        if (place) {
            struct header_node *node = place->node;
            clear_place(place);
            ask_whole(sp, node);
        } else {
            take_late_answer(sp, &hash);
        }
    } else {
        struct header_node *node = header_index_find(sp->sync->headers, &hash);
        if (node && serve_may(sp->sync, node))
            serve_in_place(sp, node);
    }
    blocks_plan(sp->sync);
}

/* --- what becomes of blocks --- */

static void drop_block(struct sync_peer *sp, void *ctx)
{
    struct header_node *node = ctx;
    struct sync_rebuild *place = find_place(sp, node);
    if (place && !place->rebuild && !place->intake)
        give_up(sp, place); /* looked up at the moment */
    else if (place)
        clear_place(place);
}

void compact_block_stored(struct sync *s, struct header_node *node)
{
    sync_each(s, drop_block, node);
}

/* The first that is complete takes its turn. */
static void try_ready(struct sync_peer *sp, void *ctx)
{
    struct header_node *node = ctx;
    struct sync_rebuild *place = find_place(sp, node);
    if (place && place->ready)
        hand_over(sp, place);
}

void compact_block_refused(struct sync *s, struct sync_peer *source, struct header_node *node)
{
    if (source)
        drop_block(source, node);
    sync_each(s, try_ready, node);
}

void compact_collided(struct sync_peer *sp, struct header_node *node)
{
    log_debug(LOGC_NET, "peer=%llu compact block at height %d: short ids collide",
              (unsigned long long)sp->id, node->height);
    sp->whole_only = node; /* whoever is asked next, it is not asked for this one again */
}

/*
 * Which blocks to ask whom for: a window that moves with the tip, several peers at once, a second
 * source for what is slow, and an end to what stalls (spec p2p 8, attacks C5).
 */
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "node/sync_internal.h"

#define SPEED_SAMPLE_MS 5000
#define BLOCK_TIMEOUT_BASE_MS (10 * 60 * 1000)
#define IBD_TIMEOUT_PERCENT 600
#define TIMEOUT_PERCENT 100
#define TIMEOUT_PERCENT_PER_PEER 50
#define SILENT_MS 400 /* near the tip: no progress for this long, and another peer is asked too */
#define SILENT_WAIT_MS 30000 /* who was replaced is not asked for this long */
#define WALK_MAX 128 /* headers looked at in one step along a peer's chain */

/* --- bookkeeping --- */

void blocks_release(struct sync_peer *sp, struct header_node *node)
{
    for (unsigned i = 0; i < sp->n_inflight; i++) {
        if (sp->inflight[i] != node)
            continue;
        sp->n_inflight--;
        memmove(&sp->inflight[i], &sp->inflight[i + 1],
                (sp->n_inflight - i) * sizeof(sp->inflight[0]));
        if (i == 0) {
            sp->head_since = clock_mono_ms();
            sp->stalling_since = 0;
        }
        break;
    }
    flights_release(sp->sync->flights, node, sp->id);
}

void blocks_release_all(struct sync_peer *sp)
{
    while (sp->n_inflight > 0)
        blocks_release(sp, sp->inflight[sp->n_inflight - 1]);
}

bool blocks_was_asked(const struct sync_peer *sp, const struct header_node *node)
{
    for (unsigned i = 0; i < sp->n_inflight; i++)
        if (sp->inflight[i] == node)
            return true;
    return false;
}

static bool ask(struct sync_peer *sp, struct header_node *node, int64_t now)
{
    if (sp->n_inflight == SYNC_INFLIGHT_MAX || !flights_ask(sp->sync->flights, node, sp->id, now))
        return false;
    if (sp->n_inflight == 0)
        sp->head_since = now;
    sp->inflight[sp->n_inflight++] = node;
    return true;
}

bool blocks_note_asked(struct sync_peer *sp, struct header_node *node)
{
    return ask(sp, node, clock_mono_ms());
}

static void send_getdata(struct sync_peer *sp, struct header_node *const *nodes, size_t n)
{
    struct inv_item items[SYNC_INFLIGHT_MAX];
    for (size_t i = 0; i < n; i++) {
        items[i].type = n == 1 && compact_is_wanted(sp, nodes[i]) ? INV_CMPCT_BLOCK : INV_BLOCK;
        memcpy(items[i].hash.b, nodes[i]->hash.b, sizeof(items[i].hash.b));
    }
    if (n)
        peer_send_inv(sp->peer, MSG_GETDATA, items, n);
}

void blocks_ask_whole(struct sync_peer *sp, struct header_node *node)
{
    sp->whole_only = node;
    if (blocks_was_asked(sp, node) || ask(sp, node, clock_mono_ms()))
        send_getdata(sp, &node, 1);
}

/* --- choosing --- */

struct pick {
    struct header_node *nodes[SYNC_INFLIGHT_MAX];
    size_t n, want;
    uint64_t staller; /* the peer whose block keeps the window from moving; 0: nobody */
    bool window_full;
};

static bool has_data(const struct header_node *node)
{
    return atomic_load(&node->status) & HS_HAVE_DATA;
}

/* Brings last_common up to date; NULL when the peer has nothing for us. */
static struct header_node *common_block(struct sync_peer *sp)
{
    struct sync *s = sp->sync;
    const struct header_node *tip = header_index_tip(s->headers);
    if (!sp->best_known || !tip || u256_cmp(&sp->best_known->work, &tip->work) < 0 ||
        u256_cmp(&sp->best_known->work, &chain_get_params(s->chain)->minimum_work) < 0)
        return NULL;
    if (!sp->last_common)
        sp->last_common = header_index_at(s->headers, MIN_OF(sp->best_known->height, tip->height));
    sp->last_common = header_last_common(sp->last_common, sp->best_known);
    return sp->last_common == sp->best_known ? NULL : sp->last_common;
}

/* One block on the way from last_common to best_known, oldest first. False: look no further. */
static bool consider(struct sync_peer *sp, struct header_node *node, int32_t window_end,
                     struct pick *pick)
{
    if (atomic_load(&node->status) & HS_FAILED_MASK)
        return false; /* the peer is on a chain that breaks the rules */
    /* What is connected is not needed again, even when its data was pruned since. */
    if (has_data(node) || header_index_is_active(sp->sync->headers, node)) {
        if (sp->last_common == node->prev)
            sp->last_common = node;
        return true;
    }
    const struct flight *flight = flights_find(sp->sync->flights, node);
    if (flight) {
        if (!pick->staller && !flight->n_arrived)
            pick->staller = flight->peers[0];
        return true;
    }
    if (node->height > window_end) {
        pick->window_full = true;
        return false;
    }
    pick->nodes[pick->n++] = node;
    return pick->n < pick->want;
}

static void pick_blocks(struct sync_peer *sp, struct pick *pick)
{
    struct header_node *at = common_block(sp);
    if (!at)
        return;
    /* Not further ahead of the tip either: what is stored but not connected stays bounded. */
    const struct header_node *tip = header_index_tip(sp->sync->headers);
    const int32_t window_end = MIN_OF(at->height, tip->height) + (int32_t)sp->sync->options.window;
    const int32_t last = MIN_OF(sp->best_known->height, window_end + 1);
    struct header_node *run[WALK_MAX];
    while (at->height < last) {
        const int32_t n = MIN_OF(last - at->height, WALK_MAX);
        run[n - 1] = header_ancestor(sp->best_known, at->height + n);
        for (int32_t i = n - 1; i > 0; i--)
            run[i - 1] = run[i]->prev;
        for (int32_t i = 0; i < n; i++)
            if (!consider(sp, run[i], window_end, pick))
                return;
        at = run[n - 1];
    }
}

bool blocks_may_download(const struct sync_peer *sp, int64_t now)
{
    const struct sync *s = sp->sync;
    if (!peer_serves_blocks(sp->peer) || now < sp->busy_until || chain_is_importing(s->chain))
        return false;
    return peer_is_preferred(sp->peer) || s->n_preferred == 0 ||
           !chain_is_initial_download(s->chain);
}

static void note_staller(struct sync_peer *asker, const struct pick *pick, int64_t now)
{
    struct sync *s = asker->sync;
    struct peer *p = pick->staller ? net_peer_by_id(s->net, pick->staller) : NULL;
    if (!p || pick->staller == asker->id || !pick->window_full || pick->n > 0)
        return;
    struct sync_peer *slow = sync_peer_of(p);
    if (slow->stalling_since == 0)
        slow->stalling_since = now;
}

static void plan_peer(struct sync_peer *sp, void *ctx)
{
    const int64_t now = *(const int64_t *)ctx;
    /* Ask in batches: a peer with at least half of its places taken can wait. */
    if (sp->n_inflight > SYNC_INFLIGHT_MAX / 2 || !blocks_may_download(sp, now))
        return;
    struct pick pick = { .want = SYNC_INFLIGHT_MAX - sp->n_inflight };
    pick_blocks(sp, &pick);
    note_staller(sp, &pick, now);
    size_t asked = 0;
    for (size_t i = 0; i < pick.n; i++)
        if (ask(sp, pick.nodes[i], now))
            pick.nodes[asked++] = pick.nodes[i];
    send_getdata(sp, pick.nodes, asked);
}

void blocks_plan(struct sync *s)
{
    int64_t now = clock_mono_ms();
    if (s->net)
        sync_each(s, plan_peer, &now);
}

/* --- what takes too long --- */

void blocks_sample_speed(struct sync_peer *sp, int64_t now)
{
    const int64_t span = now - sp->speed_at;
    const uint64_t bytes = peer_bytes_received(sp->peer);
    const uint64_t expected = sp->sync->options.stall_min_speed * SYNC_TIMER_MS / 1000;
    const bool comes = sp->arriving || compact_is_arriving(sp, NULL);
    sp->silent = !sp->intake_full && !sp->delivered &&
                 (!comes || bytes - sp->tick_bytes < expected); /* other messages do not count */
    sp->tick_bytes = bytes;
    sp->delivered = false;
    if (span < SPEED_SAMPLE_MS)
        return;
    sp->speed = (bytes - sp->speed_bytes) * 1000 / (uint64_t)span;
    sp->speed_bytes = bytes;
    sp->speed_at = now;
}

static bool is_slow(const struct sync_peer *sp)
{
    return sp->speed < sp->sync->options.stall_min_speed;
}

struct second_source {
    const struct flight *flight;
    struct header_node *node;
    int64_t now;
    struct sync_peer *best; /* a peer that we chose goes before one that came to us */
};

static bool was_asked(const struct flight *fl, const struct sync_peer *sp)
{
    for (unsigned i = 0; i < fl->n_peers; i++)
        if (fl->peers[i] == sp->id)
            return true;
    return false;
}

static void try_second_source(struct sync_peer *sp, void *ctx)
{
    struct second_source *want = ctx;
    if (sp->n_inflight == SYNC_INFLIGHT_MAX || !blocks_may_download(sp, want->now) ||
        !sp->best_known || was_asked(want->flight, sp) ||
        header_ancestor(sp->best_known, want->node->height) != want->node)
        return;
    if (!want->best || (!peer_is_preferred(want->best->peer) && peer_is_preferred(sp->peer)))
        want->best = sp;
}

static int64_t last_asked(const struct flight *fl)
{
    int64_t newest = 0;
    for (unsigned i = 0; i < fl->n_peers; i++)
        newest = MAX_OF(newest, fl->since[i]);
    return newest;
}

static int64_t asked_at(const struct flight *fl, const struct sync_peer *sp)
{
    for (unsigned i = 0; i < fl->n_peers; i++)
        if (fl->peers[i] == sp->id)
            return fl->since[i];
    return INT64_MAX;
}

/* Near the tip who is silent gives its place to another peer. Each of the places rotates for
 * itself, so that silent peers cost half a second for every three of them (attacks C5). */
static void ask_second_source(struct sync_peer *slow, struct header_node *node,
                              const struct flight *fl, int64_t now, bool near_tip)
{
    struct sync *s = slow->sync;
    struct second_source want = { .flight = fl, .node = node, .now = now };
    const bool full = fl->n_peers >= s->options.max_parallel_fetch;
    if (full && !near_tip)
        return;
    sync_each(s, try_second_source, &want);
    if (!want.best)
        return;
    if (full) {
        slow->busy_until = now + SILENT_WAIT_MS;
        blocks_release(slow, node);
    }
    if (ask(want.best, node, now))
        send_getdata(want.best, &node, 1);
}

static bool makes_progress(struct sync *s, const struct flight *fl)
{
    for (unsigned i = 0; i < fl->n_peers; i++) {
        struct peer *p = net_peer_by_id(s->net, fl->peers[i]);
        const struct sync_peer *sp = p ? sync_peer_of(p) : NULL;
        if (sp && !sp->silent && (sp->arriving == fl->node || compact_is_arriving(sp, fl->node)))
            return true;
    }
    return false;
}

/* A block that trickles in is asked from others too; the first complete copy wins. */
static void refetch_slow(struct sync_peer *sp, int64_t now)
{
    struct sync *s = sp->sync;
    const bool near_tip = !chain_is_initial_download(s->chain);
    const int64_t patience =
        near_tip ? MIN_OF(SILENT_MS, s->options.slow_fetch_ms) : s->options.slow_fetch_ms;
    if (near_tip ? !sp->silent : !is_slow(sp))
        return;
    struct header_node *nodes[SYNC_INFLIGHT_MAX];
    const unsigned n = sp->n_inflight;
    memcpy(nodes, sp->inflight, n * sizeof(nodes[0])); /* places change on the way */
    for (unsigned i = 0; i < n; i++) {
        const struct flight *fl = flights_find(s->flights, nodes[i]);
        if (!fl || fl->n_peers == 0 || fl->n_arrived ||
            now - (near_tip ? asked_at(fl, sp) : last_asked(fl)) < patience)
            continue;
        if (!near_tip || !makes_progress(s, fl))
            ask_second_source(sp, nodes[i], fl, now, near_tip);
    }
}

struct downloader_count { unsigned n; };

static void count_downloader(struct sync_peer *sp, void *ctx)
{
    struct downloader_count *count = ctx;
    count->n += sp->n_inflight > 0;
}

static int64_t block_timeout_ms(struct sync *s)
{
    struct downloader_count count = { 0 };
    sync_each(s, count_downloader, &count);
    const int64_t base =
        chain_is_initial_download(s->chain) ? IBD_TIMEOUT_PERCENT : TIMEOUT_PERCENT;
    const int64_t others = count.n > 1 ? (int64_t)count.n - 1 : 0;
    return BLOCK_TIMEOUT_BASE_MS * (base + TIMEOUT_PERCENT_PER_PEER * others) / 100;
}

void blocks_check_timeouts(struct sync_peer *sp, int64_t now)
{
    struct sync *s = sp->sync;
    if (sp->n_inflight == 0)
        return;
    if (sp->intake_full) { /* we are slow, not the peer (attacks C5) */
        sp->stalling_since = 0;
        sp->head_since = now;
    }
    if (sp->stalling_since && now - sp->stalling_since > s->options.stall_timeout_ms) {
        if (is_slow(sp)) {
            peer_disconnect(sp->peer, "stalling block download");
            return;
        }
        sp->stalling_since = 0; /* it delivers: the block is large */
    }
    if (now - sp->head_since > block_timeout_ms(s)) {
        if (!sp->arriving || is_slow(sp)) {
            peer_disconnect(sp->peer, "block download timeout");
            return;
        }
        sp->head_since = now; /* as above: gigabytes take their time */
    }
    refetch_slow(sp, now);
}

#include "node/sync.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/presync.h"
#include "node/bca_gossip.h"
#include "node/serve.h"
#include "node/sync_internal.h"

#define STALE_TIP_MS (30 * 60 * 1000) /* attacks D9 */

struct sync *sync_new(struct chain *chain, struct relay *relay, const struct sync_options *o)
{
    struct sync *s = xcalloc(1, sizeof(*s));
    s->chain = chain;
    s->relay = relay;
    s->headers = chain_headers(chain);
    s->options = *o;
    s->flights = flights_new();
    s->announced = header_index_tip(s->headers);
    s->tip_at = clock_mono_ms();
    return s;
}

void sync_free(struct sync *s)
{
    if (!s)
        return;
    sync_work_clear(s);
    forms_clear(s);
    flights_free(s->flights);
    free(s);
}

/* --- all peers --- */

struct each {
    void (*fn)(struct sync_peer *sp, void *ctx);
    void *ctx;
};

static void visit(struct peer *p, void *ctx)
{
    const struct each *each = ctx;
    if (sync_peer_of(p))
        each->fn(sync_peer_of(p), each->ctx);
}

void sync_each(struct sync *s, void (*fn)(struct sync_peer *sp, void *ctx), void *ctx)
{
    struct each each = { fn, ctx };
    net_each_peer(s->net, visit, &each);
}

/* --- timer --- */

static void tick_peer(struct sync_peer *sp, void *ctx)
{
    const int64_t now = *(const int64_t *)ctx;
    headers_start(sp);
    blocks_sample_speed(sp, now);
    headers_check_timeout(sp, now);
    intake_check_idle(sp);
    blocks_check_timeouts(sp, now);
}

/* No block for half an hour: one more outbound connection may know better. */
static void check_stale_tip(struct sync *s, int64_t now)
{
    const bool stale = !chain_is_initial_download(s->chain) && now - s->tip_at > STALE_TIP_MS;
    if (stale == s->extra_outbound)
        return;
    s->extra_outbound = stale;
    if (stale) {
        log_warn("no new block for %d minutes: looking for one more peer", STALE_TIP_MS / 60000);
        net_request_extra_outbound(s->net);
    } else {
        net_release_extra_outbound(s->net);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sync *s = arg;
    int64_t now = clock_mono_ms();
    sync_each(s, tick_peer, &now);
    check_stale_tip(s, now);
    blocks_plan(s);
}

void sync_start(struct sync *s, struct net *net, struct event_base *base)
{
    const struct timeval every = { .tv_usec = SYNC_TIMER_MS * 1000 };
    s->net = net;
    s->timer = event_new(base, -1, EV_PERSIST, on_timer, s);
    event_add(s->timer, &every);
}

void sync_stop(struct sync *s)
{
    if (s && s->timer)
        event_free(s->timer);
    if (s)
        s->timer = NULL;
}

/* --- peers come and go --- */

void sync_on_ready(void *ctx, struct peer *p)
{
    struct sync *s = ctx;
    struct sync_peer *sp = xcalloc(1, sizeof(*sp));
    sp->id = peer_id(p);
    sp->peer = p;
    sp->sync = s;
    sp->speed_at = clock_mono_ms();
    sp->relay = relay_peer_new(s->relay, p);
    sp->bca = bca_peer_new(s->options.gossip, p);
    peer_set_user(p, sp);
    s->n_preferred += peer_is_preferred(p);
    headers_start(sp);
}

void sync_on_close(void *ctx, struct peer *p)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    if (!sp)
        return;
    if (sp->intake)
        intake_abort(sp->intake);
    compact_drop_all(sp);
    blocks_release_all(sp);
    highband_peer_closed(s, sp->id);
    relay_peer_free(sp->relay);
    bca_peer_free(sp->bca);
    presync_free(sp->presync);
    free(sp->getdata);
    free(sp->txn_indices);
    filter_drop(sp);
    s->n_preferred -= peer_is_preferred(p);
    if (s->header_peer == sp->id)
        s->header_peer = 0; /* the timer starts another */
    peer_set_user(p, NULL);
    free(sp);
}

int32_t sync_height(void *ctx)
{
    struct sync *s = ctx;
    const struct header_node *tip = header_index_tip(s->headers);
    return tip ? tip->height : 0;
}

bool sync_in_initial_download(void *ctx)
{
    struct sync *s = ctx;
    return chain_is_initial_download(s->chain);
}

void sync_resume_reading(struct sync_peer *sp)
{
    if (!sp->intake_full && sp->getdata_n == 0 && !sp->form_wanted && !sp->answering &&
        !relay_peer_pauses(sp->relay))
        peer_resume_reading(sp->peer);
}

/* --- small messages --- */

/*
 * In the middle of a row of answers, which will reach up to the peer's tip: a second row would be
 * fetched for nothing. (A request that was never answered is no row: the peer may have been
 * syncing.)
 */
static bool headers_are_coming(const struct sync_peer *sp)
{
    return sp->presync || (sp->headers_deadline && sp->headers_follow);
}

void sync_on_inv(void *ctx, struct peer *p, const struct inv_item *items, size_t n)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    const struct inv_item *last_unknown = NULL;
    bool blocks = false;
    relay_on_inv(sp->relay, items, n);
    for (size_t i = 0; i < n; i++) {
        if (items[i].type != INV_BLOCK)
            continue;
        blocks = true;
        struct block_hash hash;
        memcpy(hash.b, items[i].hash.b, sizeof(hash.b));
        struct header_node *node = header_index_find(s->headers, &hash);
        if (node)
            headers_note(sp, node);
        else
            last_unknown = &items[i];
    }
    /* One getheaders for one message, whatever its length (attacks C8). */
    if (last_unknown && !chain_is_importing(s->chain)) {
        memcpy(sp->unknown_hash.b, last_unknown->hash.b, sizeof(sp->unknown_hash.b));
        if (!headers_are_coming(sp))
            headers_ask_from(sp, header_index_best(s->headers), &sp->unknown_hash);
    }
    if (blocks)
        blocks_plan(s);
}

/* --- transactions --- */

void sync_on_notfound(void *ctx, struct peer *p, const struct inv_item *items, size_t n)
{
    (void)ctx;
    relay_on_notfound(sync_peer_of(p)->relay, items, n);
}

void sync_on_tx(void *ctx, struct peer *p, struct span raw, const struct txid *id)
{
    (void)ctx;
    relay_on_tx(sync_peer_of(p)->relay, raw, id);
}

void sync_on_mempool(void *ctx, struct peer *p, int64_t age_s)
{
    (void)ctx;
    relay_on_mempool(sync_peer_of(p)->relay, age_s);
}

void sync_on_send_room(void *ctx, struct peer *p)
{
    serve_send_room(ctx, p);
    if (sync_peer_of(p))
        relay_on_send_room(sync_peer_of(p)->relay);
}

void sync_fill_status(void *ctx, struct net_status *status)
{
    struct sync *s = ctx;
    relay_fill_status(s->relay, status);
}

void sync_set_propagation(void *ctx, int64_t ms)
{
    struct sync *s = ctx;
    relay_set_propagation(s->relay, ms);
}

#define BUSY_WAIT_MS 5000 /* spec p2p 3: reject 0x44 */

void sync_on_reject(void *ctx, struct peer *p, const struct msg_reject *m)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    relay_on_reject(sp->relay, m);
    if (m->code != REJECT_CODE_BUSY)
        return;
    sp->busy_until = clock_mono_ms() + BUSY_WAIT_MS;
    blocks_release_all(sp);
    blocks_plan(s);
}

void sync_fill_info(void *ctx, struct peer *p, struct peer_info *info)
{
    (void)ctx;
    const struct sync_peer *sp = sync_peer_of(p);
    if (!sp)
        return;
    info->synced_headers = sp->best_known ? sp->best_known->height : -1;
    info->synced_blocks = sp->last_common ? sp->last_common->height : -1;
    info->n_inflight = MIN_OF(sp->n_inflight, COUNT_OF(info->inflight));
    for (size_t i = 0; i < info->n_inflight; i++)
        info->inflight[i] = sp->inflight[i]->height;
    info->tx_inv_size = relay_waiting_for(sp->relay);
}

/* --- events of the chain --- */

/* The peer that the chain names as the source of a block; NULL when gone, or none. */
static struct sync_peer *source_peer(struct sync *s, uint64_t source)
{
    struct peer *p = net_peer_by_id(s->net, source & ~SOURCE_COMPACT);
    return p ? sync_peer_of(p) : NULL;
}

void sync_block_arrived(struct sync *s, struct header_node *node, uint64_t source, bool stored)
{
    struct sync_peer *sp = source_peer(s, source);
    const bool compact = (source & SOURCE_COMPACT) != 0;
    if (sp && !compact && sp->arriving == node)
        sp->intake_ended = true;
    if (stored) {
        flights_remove(s->flights, node);
        compact_block_stored(s, node);
        announce_stored(s, node);
    } else {
        flights_clear_arrived(s->flights, node); /* the others who were asked go on (attacks C4) */
        compact_block_refused(s, compact ? sp : NULL, node);
    }
    if (sp && stored) {
        peer_note_block(sp->peer);
        highband_note_bringer(s, node, sp->id);
    }
    blocks_plan(s);
}

void sync_block_judged(struct sync *s, const struct block_hash *hash, const struct verdict *v,
                       uint64_t source)
{
    char hex[HASH_HEX_SIZE];
    const bool compact = (source & SOURCE_COMPACT) != 0;
    struct sync_peer *sp = source_peer(s, source);
    struct header_node *node = header_index_find(s->headers, hash);
    if (!sp)
        return;
    log_debug(LOGC_NET, "peer=%llu sent block %s: %s", (unsigned long long)sp->id,
              hash_to_hex(hex, hash->b), v->reason);
    if (!v->corruption)
        peer_send_reject(sp->peer, MSG_BLOCK, (enum reject_code)v->code, v->reason, hash->b);
    else if (compact && node)
        compact_collided(sp, node);
    if (v->ban_score && !compact) /* spec p2p 6: who sent a compact form is not punished */
        peer_misbehave(sp->peer, (int)v->ban_score, v->reason);
}

void sync_tip_changed(struct sync *s, const struct chain_tip *tip, bool initial_download)
{
    s->tip_at = clock_mono_ms();
    if (!initial_download) {
        highband_tip_changed(s, tip->node);
        ds_tip_changed(s, s->announced, tip->node);
        announce_tip(s, tip->node);
    } else {
        s->announced = tip->node;
    }
    blocks_plan(s);
}

void sync_intake_drained(struct sync *s, uint64_t source)
{
    struct sync_peer *sp = source_peer(s, source);
    if (!sp)
        return;
    if (source & SOURCE_COMPACT) {
        compact_intake_drained(sp);
        return;
    }
    sp->intake_full = false;
    sync_resume_reading(sp);
}

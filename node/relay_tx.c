/* State and timers of the relay of transactions. */
#include "node/relay_tx.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "node/relay_tx_internal.h"

#define TICK_MS 250
#define NEWS_PAUSE_US 1000
#define KNOWN_EACH 24576       /* transactions a peer is known to have; up to twice as many */
#define REJECTED_MAX 120000    /* spec p2p 9 */
#define CONFIRMED_MAX 196608
#define RETRIED_MAX 6144
/* CPU time that a peer's refused transactions may cost (attacks B4): two seconds, then 2 %. */
#define REFUSED_BURST_US 2000000
#define REFUSED_MILLI_US_PER_S 20000000
#define COST_FIRST_US 3000 /* taken for that of a new peer's transactions: the limit of a batch */
/* Non-final transactions taken from a peer: as many as one may be replaced, spec consensus 5.4. */
#define PARKED_BURST 7200
#define PARKED_MILLI_PER_S 2000

void inv_list_add(struct inv_list *l, enum inv_type type, const struct txid *id)
{
    if (l->n == l->cap) {
        l->cap = MAX_OF(2 * l->cap, 16);
        l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
    }
    l->v[l->n].type = type;
    memcpy(l->v[l->n++].hash.b, id->b, sizeof(id->b));
}

struct relay_peer *relay_find_peer(struct relay *r, uint64_t id)
{
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        if (rp->id == id)
            return rp;
    return NULL;
}

/* --- turns --- */

void relay_want_turn(struct relay *r)
{
    /* A timer that is due: the loop looks at the sockets before it comes back. */
    const struct timeval now = { .tv_sec = 0 };
    if (r->turn && !evtimer_pending(r->turn, NULL))
        evtimer_add(r->turn, &now);
}

/* While news keep coming the loop looks for them, rather than being woken for each: that costs who
 * brings them a system call, and both a switch of threads. */
void relay_look_again(struct relay *r)
{
    const struct timeval pause = { .tv_usec = NEWS_PAUSE_US };
    if (r->look && !evtimer_pending(r->look, NULL))
        evtimer_add(r->look, &pause);
}

static void run_turn(struct relay *r)
{
    bool more = relay_work_news(r);
    more |= relay_work_orphans(r);
    relay_flush_asks(r);
    more |= relay_work_rounds(r);
    more |= relay_work_answers(r);
    if (more)
        relay_want_turn(r);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    run_turn(arg);
}

void relay_take_news(struct relay *r)
{
    if (r->net)
        run_turn(r);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct relay *r = arg;
    const int64_t now = clock_mono_ms();
    tx_requests_tick(r->requests, now);
    tx_kept_expire(r->kept, now);
    own_release_due(r, now);
    own_rebroadcast(r, now);
    push_tick(r, now);
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        relay_tick_peer(rp, now);
    run_turn(r);
}

/* --- events of the chain --- */

/* What was refused may be right on another tip; what was confirmed may not be any more. */
void relay_tip_changed(struct relay *r, const struct chain_tip *tip)
{
    recent_set_reset(&r->rejected);
    recent_set_reset(&r->retried);
    if (r->tip && header_ancestor(tip->node, r->tip->height) != r->tip)
        recent_set_reset(&r->confirmed);
    r->tip = tip->node;
}

/* --- peers --- */

struct relay_peer *relay_peer_new(struct relay *r, struct peer *p)
{
    const int64_t now = clock_mono_ms();
    const bool preferred = !peer_is_inbound(p) || peer_is_whitelisted(p);
    struct relay_peer *rp = xcalloc(1, sizeof(*rp));
    rp->id = peer_id(p);
    rp->peer = p;
    rp->relay = r;
    rp->cost_us = COST_FIRST_US;
    rp->place = tx_ring_end(r->ring);
    rp->fee_next_ms = rp->sync_next_ms = now;
    rp->announcer = tx_requests_add_peer(r->requests, rp, preferred);
    rp->orphans = orphans_add_peer(r->orphans);
    recent_set_init(&rp->known, KNOWN_EACH);
    ratelimit_init(&rp->refused_us, REFUSED_MILLI_US_PER_S, REFUSED_BURST_US, REFUSED_BURST_US,
                   now);
    ratelimit_init(&rp->parked, PARKED_MILLI_PER_S, PARKED_BURST, PARKED_BURST, now);
    list_append(&r->peers, &rp->link);
    atomic_store(&r->n_peers, r->peers.n);
    own_peer_came(r, now);
    push_peer_came(r, rp, now);
    return rp;
}

void relay_peer_free(struct relay_peer *rp)
{
    if (!rp)
        return;
    struct relay *r = rp->relay;
    list_remove(&r->peers, &rp->link);
    atomic_store(&r->n_peers, r->peers.n);
    tx_requests_remove_peer(r->requests, rp->announcer, clock_mono_ms());
    orphans_remove_peer(r->orphans, rp->orphans);
    relay_end_waiting(rp);
    recent_set_clear(&rp->known);
    buf_clear(&rp->stream);
    free(rp->ask.v);
    free(rp->first.v);
    free(rp);
    relay_want_turn(r);
}

bool relay_peer_pauses(const struct relay_peer *rp)
{
    return rp->paused;
}

/* --- the whole --- */

size_t relay_peer_count(const struct relay *r) { return atomic_load(&r->n_peers); }

uint64_t relay_max_tx_size(struct chain *chain)
{
    return chain_get_policy(chain)->max_tx_size;
}

struct relay *relay_new(struct chain *chain, struct tx_inbox *inbox, const struct relay_options *o)
{
    struct relay *r = xcalloc(1, sizeof(*r));
    const struct tx_requests_options requests = { .max_each = o->announcements_each,
                                                  .max_total = o->announcements_total,
                                                  .ask = relay_note_ask };
    const struct orphans_options orphans = { .max_bytes = o->orphan_bytes,
                                             .max_bytes_each = o->orphan_bytes / 4,
                                             .max_tx_size = relay_max_tx_size(chain) };
    r->chain = chain;
    r->inbox = inbox;
    r->mempool = chain_mempool(chain);
    r->nonfinal = chain_nonfinal(chain);
    r->o = *o;
    r->tip = header_index_tip(chain_headers(chain));
    list_init(&r->peers);
    list_init(&r->own);
    list_init(&r->pushes);
    map_init(&r->push_ids);
    map_init(&r->judging);
    map_init(&r->own_map);
    rand_bytes(&r->key, sizeof(r->key));
    r->requests = tx_requests_new(&requests);
    r->orphans = orphans_new(&orphans);
    r->ring = tx_ring_new(o->propagation_queue);
    r->kept = tx_kept_new(o->kept_bytes);
    r->trickle.mean_ms = o->broadcast_delay_ms;
    recent_set_init(&r->rejected, REJECTED_MAX);
    recent_set_init(&r->confirmed, CONFIRMED_MAX);
    recent_set_init(&r->retried, RETRIED_MAX);
    return r;
}

void relay_start(struct relay *r, struct net *net, struct event_base *base)
{
    const struct timeval every = { .tv_usec = TICK_MS * 1000 };
    r->net = net;
    r->tick = event_new(base, -1, EV_PERSIST, on_tick, r);
    r->turn = evtimer_new(base, on_turn, r);
    r->round = evtimer_new(base, on_turn, r);
    r->look = evtimer_new(base, on_turn, r);
    event_add(r->tick, &every);
}

void relay_stop(struct relay *r)
{
    if (!r || !r->net)
        return;
    event_free(r->tick);
    event_free(r->turn);
    event_free(r->round);
    event_free(r->look);
    r->tick = r->turn = r->round = r->look = NULL;
    r->net = NULL;
}

static void drop_judging(struct relay *r)
{
    size_t pos = 0;
    for (struct tx *tx; (tx = map_next(&r->judging, &pos)) != NULL;)
        tx_unref(tx);
    map_clear(&r->judging);
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    tx_news_clear(&r->news);
    drop_judging(r);
    own_clear(r);
    push_clear(r);
    tx_requests_free(r->requests);
    orphans_free(r->orphans);
    tx_ring_free(r->ring);
    tx_kept_free(r->kept);
    recent_set_clear(&r->rejected);
    recent_set_clear(&r->confirmed);
    recent_set_clear(&r->retried);
    free(r->round_items);
    free(r);
}

/* Without transactions that others count: those in the mempool, those with the chain. */
static size_t relay_memory(const struct relay *r)
{
    struct orphans_stats orphans;
    orphans_get_stats(r->orphans, &orphans);
    size_t bytes = orphans.bytes + tx_kept_own_bytes(r->kept) + tx_requests_bytes(r->requests) +
                   tx_ring_bytes(r->ring) + recent_set_bytes(&r->rejected) +
                   recent_set_bytes(&r->confirmed) + recent_set_bytes(&r->retried) +
                   map_bytes(&r->judging) + r->stream_bytes +
                   r->own.n * mem_cost(sizeof(struct own_tx)) + map_bytes(&r->own_map) +
                   push_bytes(r) +
                   r->news.cap * sizeof(*r->news.news);
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        bytes += mem_cost(sizeof(*rp)) + recent_set_bytes(&rp->known) +
                 (rp->ask.cap + rp->first.cap) * sizeof(struct inv_item) +
                 rp->waiting.bytes + rp->waiting.cap * sizeof(struct tx *);
    return bytes;
}

void relay_fill_status(struct relay *r, struct net_status *status)
{
    struct orphans_stats s;
    orphans_get_stats(r->orphans, &s);
    status->tx_propagation_ms = r->o.propagation_ms;
    status->tx_propagation_queue = tx_ring_held(r->ring);
    status->orphans = s.count;
    status->orphan_bytes = s.bytes;
    status->orphan_max_bytes = s.max_bytes;
    status->relay_memory = relay_memory(r);
    status->relay_untouched = tx_ring_untouched(r->ring);
}

void relay_set_propagation(struct relay *r, int64_t ms)
{
    r->o.propagation_ms = ms;
    r->release_ms = clock_mono_ms(); /* what is held now goes out; later ones wait the new time */
    relay_want_turn(r);
}

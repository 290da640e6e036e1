/*
 * Announcing. Peers read the ring of announcements in rounds: trusted ones as soon as there is
 * something, others after a random delay (trickle.h). A round and a turn are bounded, and a peer
 * whose list is longer has its next round at once.
 */
#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/nonfinal.h"
#include "node/relay_tx_internal.h"
#include "node/sync_internal.h"

#define ROUND_MAX 8192 /* entries looked at in a round of one peer */
#define FILTER_TX_MAX 100000 /* a larger one is announced whatever the peer's filter says */

void relay_announce_entry(struct relay *r, const struct tx_ring_entry *e)
{
    tx_ring_add(r->ring, e);
    if (r->o.propagation_ms == 0)
        tx_ring_release(r->ring);
    else if (r->release_ms == 0)
        r->release_ms = clock_mono_ms() + r->o.propagation_ms;
}

void relay_announce(struct relay *r, struct tx *tx, int64_t fee_per_kb, uint64_t sequence)
{
    const struct tx_ring_entry e = { .id = tx->id, .fee_per_kb = fee_per_kb,
                                     .sequence = sequence };
    tx_kept_add(r->kept, tx, tx_ring_next_place(r->ring), clock_mono_ms());
    relay_announce_entry(r, &e);
}

/* --- who wants what --- */

bool relay_fee_suffices(const struct relay_peer *rp, int64_t fee_per_kb)
{
    const int64_t least = peer_fee_filter(rp->peer);
    return least <= 0 || fee_per_kb >= least;
}

bool relay_filter_wants(struct relay_peer *rp, const struct tx *tx)
{
    struct sync_peer *sp = sync_peer_of(rp->peer);
    if (!sp->filter || tx->raw.len > FILTER_TX_MAX)
        return true;
    rp->matched_bytes += tx->raw.len;
    return sync_filter_wants(sp, tx);
}

/* A reference; NULL when it has gone. */
static struct tx *find_tx(const struct relay *r, const struct txid *id)
{
    struct tx *tx = tx_kept_find(r->kept, id, UINT64_MAX);
    if (tx)
        return tx_ref(tx);
    tx = mempool_get_tx(r->mempool, id);
    return tx ? tx : nonfinal_get_tx(r->nonfinal, id);
}

static bool filter_wants_id(struct relay_peer *rp, const struct txid *id)
{
    if (!sync_peer_of(rp->peer)->filter)
        return true;
    struct tx *tx = find_tx(rp->relay, id);
    const bool wanted = tx && relay_filter_wants(rp, tx);
    tx_unref(tx);
    return wanted;
}

bool relay_peer_wants(struct relay_peer *rp, const struct tx_ring_entry *e)
{
    if (!relay_fee_suffices(rp, e->fee_per_kb) || recent_set_has(&rp->known, e->id.b) ||
        !filter_wants_id(rp, &e->id))
        return false;
    recent_set_add(&rp->known, e->id.b);
    return true;
}

size_t relay_waiting_for(const struct relay_peer *rp)
{
    return rp->first.n + tx_ring_left(rp->relay->ring, rp->place);
}

/* --- rounds --- */

static bool can_be_told(const struct relay_peer *rp)
{
    return peer_state(rp->peer) == PEER_READY && peer_relays_tx(rp->peer);
}

/* Something is there for peers that had nothing: when will they be told? */
static void set_due(struct relay_peer *rp, int64_t now)
{
    struct relay *r = rp->relay;
    if (!can_be_told(rp)) {
        rp->place = tx_ring_end(r->ring);
        rp->first.n = 0;
        rp->due_ms = 0;
    } else if (rp->due_ms == 0 && !rp->no_room && relay_waiting_for(rp) > 0) {
        rp->due_ms = peer_is_whitelisted(rp->peer)
                         ? now
                         : trickle_next(&r->trickle, peer_is_inbound(rp->peer), now);
    }
}

void relay_on_send_room(struct relay_peer *rp)
{
    rp->no_room = false;
    relay_want_turn(rp->relay);
}

/* Fills in what the peer shall hear, in order; returns how much. */
static size_t collect(struct relay_peer *rp, struct inv_item *items)
{
    const struct relay *r = rp->relay;
    const struct tx_ring_entry *e;
    struct inv_list l = { .v = items, .cap = ROUND_MAX };
    rp->matched_bytes = 0;
    for (size_t i = 0; i < ROUND_MAX && rp->matched_bytes < FILTER_ROUND_BYTES &&
                       (e = tx_ring_next(r->ring, &rp->place)) != NULL;
         i++) {
        rp->told_sequence = MAX_OF(rp->told_sequence, e->sequence);
        if (relay_peer_wants(rp, e))
            inv_list_add(&l, INV_TX, &e->id);
    }
    return l.n;
}

static void send_first(struct relay_peer *rp)
{
    if (rp->first.n)
        peer_send_inv(rp->peer, MSG_INV, rp->first.v, rp->first.n);
    rp->first.n = 0;
}

static void run_round(struct relay_peer *rp, int64_t now)
{
    struct relay *r = rp->relay;
    rp->due_ms = 0;
    if (!can_be_told(rp))
        return;
    if (!peer_has_send_room(rp->peer)) {
        rp->no_room = true; /* until relay_on_send_room; meanwhile the ring may pass over it */
        return;
    }
    if (!r->round_items)
        r->round_items = xcalloc(ROUND_MAX, sizeof(*r->round_items));
    send_first(rp);
    const size_t n = collect(rp, r->round_items);
    r->announced = MAX_OF(r->announced, rp->place);
    if (n)
        peer_send_inv(rp->peer, MSG_INV, r->round_items, n);
    if (relay_waiting_for(rp) > 0)
        rp->due_ms = now + 1; /* after those that are due now */
}

static struct relay_peer *next_due(const struct relay *r)
{
    struct relay_peer *first = NULL;
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        if (rp->due_ms && (!first || rp->due_ms < first->due_ms))
            first = rp;
    return first;
}

static void arm(struct relay *r, int64_t wait_ms)
{
    const struct timeval tv = { .tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000 };
    if (r->round)
        evtimer_add(r->round, &tv);
}

bool relay_work_rounds(struct relay *r)
{
    const int64_t start = clock_mono_us(), now = clock_mono_ms();
    if (r->release_ms && now >= r->release_ms) {
        r->release_ms = 0;
        tx_ring_release(r->ring);
    }
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        set_due(rp, now);
    struct relay_peer *rp;
    while ((rp = next_due(r)) != NULL && rp->due_ms <= now) {
        run_round(rp, now);
        if (clock_mono_us() - start > RELAY_TURN_US)
            return true;
    }
    int64_t next = rp ? rp->due_ms : INT64_MAX;
    if (r->release_ms)
        next = MIN_OF(next, r->release_ms);
    if (next < INT64_MAX)
        arm(r, MAX_OF(next - now, 1));
    return false;
}

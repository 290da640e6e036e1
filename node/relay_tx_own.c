/*
 * Our own transactions, submitted through RPC (attacks D12): first a few peers are told, all others
 * a random time later, as if they had come from one of the first. They are told again at random
 * intervals, never on a schedule, until a peer announces them: then they have spread. Those that
 * every peer refused to hear of for their fees are told again when one wants them.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/nonfinal.h"
#include "node/relay_tx_internal.h"

#define HOLD_MEAN_MS 1000
#define HOLD_MAX 10000      /* so many are told to all at once */
#define OWN_MAX 10000       /* the oldest are no longer watched over */
#define AGAIN_MIN_MS 600000
#define AGAIN_MEAN_MS 1800000.0
#define AGAIN_SOON_MEAN_MS 2000.0 /* nobody was there, or wanted to be told */
#define LOOK_MS 1000        /* how often it is looked whether any is due */

/* --- those that are watched over --- */

static bool own_has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct own_tx *)item)->id, key);
}

static struct own_tx *find(const struct relay *r, const struct txid *id)
{
    return map_find(&r->own_map, siphash_32(&r->key, id->b), own_has_id, id);
}

bool own_is(const struct relay *r, const struct txid *id)
{
    return find(r, id) != NULL;
}

static void forget(struct relay *r, struct own_tx *own)
{
    map_remove(&r->own_map, siphash_32(&r->key, own->id.b), own_has_id, &own->id);
    list_remove(&r->own, &own->link);
    free(own);
}

void own_note_spread(struct relay *r, const struct txid *id)
{
    struct own_tx *own = r->own.n ? find(r, id) : NULL;
    if (own)
        forget(r, own);
}

/* What the least demanding peer wants to be told of (spec p2p 3: feefilter). While all of them
 * fetch blocks that is nothing. */
static int64_t least_fee_asked(const struct relay *r)
{
    int64_t least = INT64_MAX;
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        if (peer_relays_tx(rp->peer))
            least = MIN_OF(least, peer_fee_filter(rp->peer));
    return least;
}

static void watch_over(struct relay *r, const struct txid *id, int64_t fee_per_kb, int64_t now)
{
    struct own_tx *own = find(r, id);
    if (!own) {
        if (r->own.n == OWN_MAX)
            forget(r, LIST_ITEM(list_first(&r->own), struct own_tx, link));
        own = xcalloc(1, sizeof(*own));
        own->id = *id;
        list_append(&r->own, &own->link);
        map_put(&r->own_map, siphash_32(&r->key, id->b), own);
    }
    own->next_ms = now + AGAIN_MIN_MS + (int64_t)rand_exp(AGAIN_MEAN_MS);
    own->fee_per_kb = fee_per_kb;
    own->withheld = fee_per_kb < least_fee_asked(r);
}

/* --- telling --- */

/* Peers that we chose; those that chose us may have done so to learn where transactions begin. */
static void choose_first(struct relay *r)
{
    size_t seen = 0;
    r->held.n_peers = 0;
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp)) {
        if (peer_is_inbound(rp->peer) || peer_is_whitelisted(rp->peer) ||
            !peer_relays_tx(rp->peer))
            continue;
        /* Each of those seen so far is in with the same chance. */
        seen++;
        if (r->held.n_peers < OWN_FIRST_PEERS) {
            r->held.peers[r->held.n_peers++] = rp->id;
        } else {
            const uint64_t at = rand_below(seen);
            if (at < OWN_FIRST_PEERS)
                r->held.peers[at] = rp->id;
        }
    }
}

static bool is_first(const struct relay *r, const struct relay_peer *rp)
{
    for (size_t i = 0; i < r->held.n_peers; i++)
        if (r->held.peers[i] == rp->id)
            return true;
    return peer_is_whitelisted(rp->peer);
}

/* Returns how many are told. */
static size_t tell_first(struct relay *r, const struct tx_ring_entry *e)
{
    size_t n = 0;
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp)) {
        if (!is_first(r, rp) || !peer_relays_tx(rp->peer))
            continue;
        n++;
        if (rp->first.n < HOLD_MAX && relay_peer_wants(rp, e))
            inv_list_add(&rp->first, INV_TX, &e->id);
    }
    return n;
}

static void release(struct relay *r)
{
    for (size_t i = 0; i < r->held.n; i++)
        relay_announce_entry(r, &r->held.v[i]);
    free(r->held.v);
    r->held = (struct own_held){ .v = NULL };
}

static void hold(struct relay *r, const struct tx_ring_entry *e)
{
    struct own_held *h = &r->held;
    if (h->n == h->cap) {
        h->cap = MAX_OF(2 * h->cap, 16);
        h->v = xrealloc(h->v, h->cap * sizeof(*h->v));
    }
    h->v[h->n++] = *e;
    if (h->n >= HOLD_MAX)
        release(r);
}

void own_announce(struct relay *r, struct tx *tx, int64_t fee_per_kb, uint64_t sequence)
{
    const int64_t now = clock_mono_ms();
    const struct tx_ring_entry e = { .id = tx->id, .fee_per_kb = fee_per_kb,
                                     .sequence = sequence };
    watch_over(r, &tx->id, fee_per_kb, now);
    if (r->held.n == 0) {
        choose_first(r);
        r->held.release_ms = now + (int64_t)rand_exp(HOLD_MEAN_MS);
    }
    if (tell_first(r, &e) == 0 && r->held.n == 0) {
        relay_announce(r, tx, fee_per_kb, sequence); /* nobody to be told before the others */
        return;
    }
    tx_kept_add(r->kept, tx, 0, now);
    hold(r, &e);
}

void own_release_due(struct relay *r, int64_t now)
{
    if (r->held.n && now >= r->held.release_ms)
        release(r);
}

/* --- again --- */

struct fetched { struct tx *tx; int64_t fee; uint64_t sequence; };

static enum mempool_visit fetch(void *ctx, const struct mempool_entry *e)
{
    *(struct fetched *)ctx =
        (struct fetched){ .tx = tx_ref(e->tx), .fee = e->fee, .sequence = e->sequence };
    return MEMPOOL_ENOUGH;
}

bool own_announce_known(struct relay *r, const struct txid *id)
{
    struct fetched f = { .tx = NULL };
    if (mempool_visit(r->mempool, id, fetch, &f))
        own_announce(r, f.tx, relay_fee_per_kb(f.fee, f.tx), f.sequence);
    else if ((f.tx = nonfinal_get_tx(r->nonfinal, id)) != NULL)
        own_announce(r, f.tx, INT64_MAX, 0);
    tx_unref(f.tx);
    return f.tx != NULL;
}

static void tell_again(struct relay *r, struct own_tx *own)
{
    const struct txid id = own->id;
    if (!own_announce_known(r, &id))
        forget(r, own);
}

/* A peer takes now what none took before: it need not wait as long as one that was told. */
static void note_fees(struct own_tx *own, int64_t least, int64_t now)
{
    if (!own->withheld || own->fee_per_kb < least)
        return;
    own->withheld = false;
    own->next_ms = MIN_OF(own->next_ms, now + (int64_t)rand_exp(AGAIN_SOON_MEAN_MS));
}

void own_rebroadcast(struct relay *r, int64_t now)
{
    if (now < r->own_look_ms || !r->peers.n)
        return;
    r->own_look_ms = now + LOOK_MS;
    const int64_t least = least_fee_asked(r);
    struct list_link *next;
    for (struct list_link *l = list_first(&r->own); l; l = next) {
        struct own_tx *own = LIST_ITEM(l, struct own_tx, link);
        next = list_next(&r->own, l);
        note_fees(own, least, now);
        if (now >= own->next_ms)
            tell_again(r, own);
    }
}

void own_peer_came(struct relay *r, int64_t now)
{
    if (r->peers.n != 1)
        return;
    for (struct list_link *l = list_first(&r->own); l; l = list_next(&r->own, l))
        LIST_ITEM(l, struct own_tx, link)->next_ms =
            now + (int64_t)rand_exp(AGAIN_SOON_MEAN_MS);
    r->own_look_ms = now;
}

void own_clear(struct relay *r)
{
    while (r->own.n)
        forget(r, LIST_ITEM(list_first(&r->own), struct own_tx, link));
    map_clear(&r->own_map);
    free(r->held.v);
}

#include "node/relay_push.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "node/relay_tx_internal.h"

#define ORDERS_MAX 20000  /* the oldest are no longer looked after */
#define IDS_EACH 8        /* of one order: the last forms of its transaction */
#define TOLD_MAX 128      /* peers that are remembered; beyond them one may be told twice */
#define ASK_AFTER_MS 2000 /* a peer is asked whether it has kept what it was sent */

struct push_id {
    struct txid id;
    struct push *push;
};

struct push {
    struct list_link link;
    uint64_t number;
    struct tx *tx;              /* a reference; the newest */
    unsigned networks;
    bool everybody;
    struct push_id *ids[IDS_EACH];
    size_t next_id;             /* place of the next one, the oldest goes */
    uint64_t told[TOLD_MAX];    /* peers, of the newest */
    size_t n_told;
    struct netgroup groups[TOLD_MAX];
    size_t n_groups;
    int64_t ask_ms;             /* 0: they were asked, or none was told */
    bool shown, raced;          /* the owner was told of the newest */
};

/* --- orders --- */

static bool push_has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct push_id *)item)->id, key);
}

static struct push *by_id(const struct relay *r, const struct txid *id)
{
    if (!r->pushes.n)
        return NULL;
    const struct push_id *found =
        map_find(&r->push_ids, siphash_32(&r->key, id->b), push_has_id, id);
    return found ? found->push : NULL;
}

static struct push *by_number(const struct relay *r, uint64_t number)
{
    for (struct list_link *l = list_first(&r->pushes); l; l = list_next(&r->pushes, l)) {
        struct push *p = LIST_ITEM(l, struct push, link);
        if (p->number == number)
            return p;
    }
    return NULL;
}

static void drop_id(struct relay *r, struct push_id *id)
{
    if (id)
        map_remove(&r->push_ids, siphash_32(&r->key, id->id.b), push_has_id, &id->id);
    free(id);
}

static void drop(struct relay *r, struct push *p)
{
    for (size_t i = 0; i < IDS_EACH; i++)
        drop_id(r, p->ids[i]);
    list_remove(&r->pushes, &p->link);
    tx_unref(p->tx);
    free(p);
}

static void note_id(struct relay *r, struct push *p, const struct txid *id)
{
    if (by_id(r, id))
        return;
    struct push_id *one = xcalloc(1, sizeof(*one));
    *one = (struct push_id){ *id, p };
    drop_id(r, p->ids[p->next_id]);
    p->ids[p->next_id] = one;
    p->next_id = (p->next_id + 1) % IDS_EACH;
    map_put(&r->push_ids, siphash_32(&r->key, id->b), one);
}

/* --- telling --- */

static bool was_told(const struct push *p, uint64_t peer)
{
    for (size_t i = 0; i < p->n_told; i++)
        if (p->told[i] == peer)
            return true;
    return false;
}

static void note_told(struct push *p, const struct relay_peer *rp)
{
    const struct netgroup group = peer_group(rp->peer);
    if (p->n_told == TOLD_MAX)
        return;
    p->told[p->n_told++] = rp->id;
    for (size_t i = 0; i < p->n_groups; i++)
        if (netgroup_equal(&p->groups[i], &group))
            return;
    p->groups[p->n_groups++] = group;
}

static void tell(struct push *p, struct relay_peer *rp, int64_t now)
{
    if (peer_state(rp->peer) != PEER_READY || !peer_relays_tx(rp->peer) || was_told(p, rp->id))
        return;
    recent_set_add(&rp->known, p->tx->id.b);
    peer_send(rp->peer, MSG_TX, p->tx->raw.data, p->tx->raw.len);
    note_told(p, rp);
    p->ask_ms = now + ASK_AFTER_MS;
}

/* Peers that chose us may all be one, and are told when the others are too few. */
static bool is_for(const struct push *p, const struct relay_peer *rp)
{
    return p->everybody || !peer_is_inbound(rp->peer) || p->n_groups < p->networks;
}

static void tell_all(struct relay *r, struct push *p, int64_t now)
{
    for (int inbound = 0; inbound < 2; inbound++)
        for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
            if (peer_is_inbound(rp->peer) == (inbound == 1) && is_for(p, rp))
                tell(p, rp, now);
    if (p->n_groups < p->networks && r->net)
        net_request_extra_outbound(r->net);
}

void relay_push(struct relay *r, const struct relay_push_order *o)
{
    struct push *p = by_number(r, o->number);
    if (!p) {
        if (r->pushes.n == ORDERS_MAX)
            drop(r, LIST_ITEM(list_first(&r->pushes), struct push, link));
        p = xcalloc(1, sizeof(*p));
        p->number = o->number;
        list_append(&r->pushes, &p->link);
    }
    struct tx *old = p->tx;
    p->tx = tx_ref(o->tx);
    tx_unref(old);
    p->networks = o->networks;
    p->everybody = o->everybody;
    p->n_told = p->n_groups = 0; /* whoever had it may have lost it since */
    p->shown = p->raced = false;
    note_id(r, p, &p->tx->id);
    tell_all(r, p, clock_mono_ms());
}

void relay_push_end(struct relay *r, uint64_t number)
{
    struct push *p = by_number(r, number);
    if (p)
        drop(r, p);
}

void push_peer_came(struct relay *r, struct relay_peer *rp, int64_t now)
{
    for (struct list_link *l = list_first(&r->pushes); l; l = list_next(&r->pushes, l)) {
        struct push *p = LIST_ITEM(l, struct push, link);
        if (is_for(p, rp))
            tell(p, rp, now);
    }
}

/* --- what peers show --- */

static void ask(struct relay *r, struct push *p)
{
    struct inv_item item = { .type = INV_TX };
    memcpy(item.hash.b, p->tx->id.b, sizeof(item.hash.b));
    for (size_t i = 0; i < p->n_told; i++) {
        struct relay_peer *rp = relay_find_peer(r, p->told[i]);
        if (rp)
            peer_send_inv(rp->peer, MSG_GETDATA, &item, 1);
    }
}

void push_tick(struct relay *r, int64_t now)
{
    for (struct list_link *l = list_first(&r->pushes); l; l = list_next(&r->pushes, l)) {
        struct push *p = LIST_ITEM(l, struct push, link);
        if (p->ask_ms && now >= p->ask_ms) {
            p->ask_ms = 0;
            ask(r, p);
        }
    }
}

/* One that chose us may have done so to say this. */
static bool is_believed(struct relay *r, const struct relay_peer *rp)
{
    if (!peer_is_inbound(rp->peer) || peer_is_whitelisted(rp->peer))
        return true;
    for (struct relay_peer *other = relay_first_peer(r); other; other = relay_next_peer(other))
        if (!peer_is_inbound(other->peer))
            return false;
    return true;
}

bool push_note_shown(struct relay *r, struct relay_peer *rp, const struct txid *id)
{
    struct push *p = by_id(r, id);
    if (p && !p->shown && r->push_handlers.shown && is_believed(r, rp)) {
        p->shown = true;
        r->push_handlers.shown(r->push_handlers.ctx, p->number);
    }
    return p != NULL;
}

void push_note_reject(struct relay *r, const struct relay_peer *rp, const struct txid *id,
                      uint8_t code)
{
    struct push *p = by_id(r, id);
    if (p && !p->raced && code == REJECT_CODE_DUPLICATE && was_told(p, rp->id) &&
        txid_equal(id, &p->tx->id) && r->push_handlers.raced) {
        p->raced = true;
        r->push_handlers.raced(r->push_handlers.ctx, p->number);
    }
}

void relay_push_listen(struct relay *r, const struct relay_push_handlers *h)
{
    r->push_handlers = *h;
}

void push_clear(struct relay *r)
{
    while (r->pushes.n)
        drop(r, LIST_ITEM(list_first(&r->pushes), struct push, link));
    map_clear(&r->push_ids);
}

size_t push_bytes(const struct relay *r)
{
    const size_t each =
        mem_cost(sizeof(struct push)) + IDS_EACH * mem_cost(sizeof(struct push_id));
    return r->pushes.n * each + map_bytes(&r->push_ids);
}

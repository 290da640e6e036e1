#include <config.h>

#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "wallet/history_internal.h"

void memory_init(struct memory *m)
{
    *m = (struct memory){ .at = { .scan_next = HISTORY_NO_HEIGHT,
                                .scan_last = HISTORY_TO_BEST,
                                .gap_from = HISTORY_NO_HEIGHT } };
    map_init(&m->spots);
    map_init(&m->pendings);
}

void memory_forget_gone(struct memory *m)
{
    for (struct coin_item *c; (c = m->gone_coins);) {
        m->gone_coins = c->next_gone;
        free(c);
    }
    for (struct pending *p; (p = m->gone_pendings);) {
        m->gone_pendings = p->next_gone;
        free(p);
    }
}

static void free_spot(struct spot *s)
{
    free(s->spender);
    free(s);
}

void memory_clear(struct memory *m)
{
    memory_forget_gone(m);
    size_t pos = 0;
    for (struct spot *s; (s = (struct spot *)map_next(&m->spots, &pos));)
        free_spot(s);
    pos = 0;
    for (void *p; (p = map_next(&m->pendings, &pos));)
        free(p);
    for (size_t i = 0; i < m->n_coins; i++)
        free(m->coins[i]);
    map_clear(&m->spots);
    map_clear(&m->pendings);
    free(m->coins);
    free(m->queue);
    memory_init(m);
}

static void carry_coin(struct history *h, const struct coin_item *old)
{
    struct spot *s = old->locked ? spot_find(h, &old->at) : NULL;
    if (s && s->coin)
        s->coin->locked = true;
}

static void carry_pending(struct history *h, const struct pending *old)
{
    struct pending *p = old->in_mempool ? pending_find(h, &old->id) : NULL;
    if (p)
        p->in_mempool = true;
}

void memory_carry(struct history *h, const struct memory *old)
{
    for (size_t i = 0; i < old->n_coins; i++)
        carry_coin(h, old->coins[i]);
    for (const struct coin_item *c = old->gone_coins; c; c = c->next_gone)
        carry_coin(h, c);
    size_t pos = 0;
    for (const struct pending *p; (p = (struct pending *)map_next(&old->pendings, &pos));)
        carry_pending(h, p);
    for (const struct pending *p = old->gone_pendings; p; p = p->next_gone)
        carry_pending(h, p);
}

/* --- spots ----------------------------------------------------------------------------------- */

static uint64_t spot_hash(const struct history *h, const struct outpoint *at)
{
    return siphash_36(&h->key, at->txid.b, at->index);
}

static bool is_spot(const void *item, const void *key)
{
    return outpoint_equal(&((const struct spot *)item)->at, (const struct outpoint *)key);
}

struct spot *spot_find(const struct history *h, const struct outpoint *at)
{
    return (struct spot *)map_find(&h->m.spots, spot_hash(h, at), is_spot, at);
}

static struct spot *spot_make(struct history *h, const struct outpoint *at)
{
    struct spot *s = spot_find(h, at);
    if (s)
        return s;
    s = (struct spot *)xcalloc(1, sizeof *s);
    s->at = *at;
    map_put(&h->m.spots, spot_hash(h, at), s);
    h->m.bytes += mem_cost(sizeof *s);
    return s;
}

static void spot_release(struct history *h, struct spot *s)
{
    if (s->coin || s->claims)
        return;
    map_remove(&h->m.spots, spot_hash(h, &s->at), is_spot, &s->at);
    h->m.bytes -= mem_cost(sizeof *s);
    free_spot(s);
}

static void queue_claimants(struct history *h, const struct spot *s)
{
    for (const struct claim *c = s->claims; c; c = c->next)
        conflict_queue(h, c->by);
}

void spot_set_spender(struct history *h, struct spot *s, const struct history_conflict *spender)
{
    if (!s->spender)
        s->spender = (struct history_conflict *)xmalloc(sizeof *s->spender);
    *s->spender = *spender;
    queue_claimants(h, s);
}

void spot_clear_spender(struct history *h, struct spot *s)
{
    free(s->spender);
    s->spender = NULL;
    queue_claimants(h, s);
    spot_release(h, s);
}

bool history_pays_us(const struct history *h, const struct tx *tx)
{
    struct owner owner;
    for (size_t i = 0; i < tx->n_out; i++)
        if (scripts_find(h->scripts, tx->out[i].script, &owner))
            return true;
    return false;
}

/* --- unconfirmed transactions ---------------------------------------------------------------- */

static uint64_t pending_hash(const struct history *h, const struct txid *id)
{
    return siphash_32(&h->key, id->b);
}

static bool is_pending(const void *item, const void *key)
{
    return txid_equal(&((const struct pending *)item)->id, (const struct txid *)key);
}

struct pending *pending_find(const struct history *h, const struct txid *id)
{
    return (struct pending *)map_find(&h->m.pendings, pending_hash(h, id), is_pending, id);
}

static bool is_ours_to_spend(const struct coin_item *c)
{
    return c->owned && c->owner.kind == OWNER_SPENDABLE;
}

static void put_claim(struct history *h, struct pending *p, const struct outpoint *at)
{
    struct spot *s = spot_make(h, at);
    struct claim *c = &p->claims[p->n_claims++];
    *c = (struct claim){ .by = p, .spot = s, .next = s->claims };
    s->claims = c;
    if (s->coin && is_ours_to_spend(s->coin))
        p->n_ours++;
}

static size_t pending_size(size_t n_claims)
{
    return mem_cost(sizeof(struct pending) + n_claims * sizeof(struct claim));
}

enum err pending_add(struct history *h, const struct tx *tx, struct pending **out, struct error *e)
{
    const bool coinbase = tx_is_coinbase(tx);
    const size_t n_in = coinbase ? 0 : tx->n_in;
    struct pending *p =
        (struct pending *)try_calloc(1, sizeof *p + n_in * sizeof(struct claim));
    if (!p)
        return error_set(e, ERR_NOMEM, "no memory for a transaction of %zu inputs", n_in);
    p->id = tx->id;
    p->n_out = tx->n_out;
    p->coinbase = coinbase;
    p->told.height = p->conflict.height = HISTORY_NO_HEIGHT;
    map_put(&h->m.pendings, pending_hash(h, &p->id), p);
    for (size_t i = 0; i < n_in; i++)
        put_claim(h, p, &tx->in[i].prevout);
    h->m.bytes += pending_size(n_in);
    conflict_queue(h, p);
    *out = p;
    return OK;
}

static void drop_claim(struct history *h, struct claim *c)
{
    struct claim **link = &c->spot->claims;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    spot_release(h, c->spot);
}

static void unqueue(struct memory *m, const struct pending *p)
{
    for (size_t i = 0; p->queued && i < m->n_queue; i++)
        if (m->queue[i] == p) {
            m->queue[i] = m->queue[--m->n_queue];
            return;
        }
}

void pending_drop(struct history *h, struct pending *p)
{
    pending_each_child(h, &p->id, p->n_out, conflict_queue);
    unqueue(&h->m, p);
    for (size_t i = 0; i < p->n_claims; i++)
        drop_claim(h, &p->claims[i]);
    map_remove(&h->m.pendings, pending_hash(h, &p->id), is_pending, &p->id);
    h->m.bytes -= pending_size(p->n_claims);
    p->next_gone = h->m.gone_pendings;
    h->m.gone_pendings = p;
}

bool pending_may_confirm(const struct pending *p)
{
    return !p->abandoned && !p->orphaned && p->conflict.height == HISTORY_NO_HEIGHT;
}

bool pending_is_trusted(const struct pending *p)
{
    return p->in_mempool && pending_may_confirm(p) && p->n_ours == p->n_claims && !p->coinbase;
}

void pending_each_child(struct history *h, const struct txid *id, size_t n_out, pending_fn fn)
{
    struct outpoint at = { .txid = *id };
    for (size_t i = 0; i < n_out; i++) {
        at.index = (uint32_t)i;
        const struct spot *s = spot_find(h, &at);
        for (const struct claim *c = s ? s->claims : NULL; c; c = c->next)
            fn(h, c->by);
    }
}

/* --- coins ----------------------------------------------------------------------------------- */

/* The claims on the coin know how many of their inputs are ours. */
static void count_claims(const struct coin_item *c, bool in)
{
    for (struct claim *claim = is_ours_to_spend(c) ? c->spot->claims : NULL; claim;
         claim = claim->next)
        claim->by->n_ours += in ? 1 : SIZE_MAX;
}

static void put_in_walk(struct memory *m, struct coin_item *c)
{
    if (m->n_coins == m->coins_cap) {
        m->coins_cap = MAX_OF(2 * m->coins_cap, 64);
        m->coins =
            (struct coin_item **)xrealloc(m->coins, m->coins_cap * sizeof(struct coin_item *));
    }
    c->place = m->n_coins;
    m->coins[m->n_coins++] = c;
}

static size_t coin_size(size_t script_len)
{
    return mem_cost(sizeof(struct coin_item) + script_len);
}

enum err coin_add(struct history *h, const struct outpoint *at, const struct coin_data *data,
                  struct pending *creator, struct error *e)
{
    struct coin_item *c = (struct coin_item *)try_calloc(1, sizeof *c + data->script.len);
    if (!c)
        return error_set(e, ERR_NOMEM, "no memory for a coin");
    c->at = *at;
    c->data = *data;
    if (data->script.len)
        memcpy(c->bytes, data->script.data, data->script.len);
    c->data.script.data = c->bytes;
    c->creator = creator;
    c->owned = scripts_find(h->scripts, c->data.script, &c->owner);
    c->spot = spot_make(h, at);
    c->spot->coin = c;
    count_claims(c, true);
    put_in_walk(&h->m, c);
    h->m.bytes += coin_size(data->script.len);
    return OK;
}

void coin_drop(struct history *h, struct coin_item *c)
{
    struct memory *m = &h->m;
    count_claims(c, false);
    m->coins[c->place] = m->coins[--m->n_coins];
    m->coins[c->place]->place = c->place;
    m->bytes -= coin_size(c->data.script.len);
    c->spot->coin = NULL;
    spot_release(h, c->spot);
    c->next_gone = m->gone_coins;
    m->gone_coins = c;
}

void coin_find_owner(struct history *h, struct coin_item *c)
{
    count_claims(c, false);
    c->owned = scripts_find(h->scripts, c->data.script, &c->owner);
    count_claims(c, true);
}

const struct txid *coin_spender(const struct coin_item *c)
{
    if (c->spot->spender)
        return &c->spot->spender->by;
    for (const struct claim *claim = c->spot->claims; claim; claim = claim->next)
        if (pending_may_confirm(claim->by))
            return &claim->by->id;
    return NULL;
}

/* --- conflicts ------------------------------------------------------------------------------- */

void conflict_queue(struct history *h, struct pending *p)
{
    struct memory *m = &h->m;
    if (p->queued)
        return;
    if (m->n_queue == m->queue_cap) {
        m->queue_cap = MAX_OF(2 * m->queue_cap, 64);
        m->queue = (struct pending **)xrealloc(m->queue, m->queue_cap * sizeof(struct pending *));
    }
    p->queued = true;
    m->queue[m->n_queue++] = p;
}

/* The one in the lowest block, which is the hardest to take back. */
static void prefer(struct history_conflict *best, const struct history_conflict *other)
{
    if (other->height == HISTORY_NO_HEIGHT)
        return;
    if (best->height == HISTORY_NO_HEIGHT || other->height < best->height ||
        (other->height == best->height && memcmp(other->by.b, best->by.b, 32) < 0))
        *best = *other;
}

/* Of the transaction itself, of its inputs, and of its unconfirmed parents. */
static struct history_conflict conflict_of(const struct history *h, const struct pending *p)
{
    struct history_conflict best = p->told;
    for (size_t i = 0; i < p->n_claims; i++) {
        const struct spot *s = p->claims[i].spot;
        if (s->spender)
            prefer(&best, s->spender);
        const struct pending *parent = pending_find(h, &s->at.txid);
        if (parent)
            prefer(&best, &parent->conflict);
    }
    return best;
}

/* A coinbase without its block can never confirm elsewhere, and nothing that spends it. */
static bool is_orphaned(const struct history *h, const struct pending *p)
{
    bool orphaned = p->coinbase;
    for (size_t i = 0; i < p->n_claims && !orphaned; i++) {
        const struct pending *parent = pending_find(h, &p->claims[i].spot->at.txid);
        orphaned = parent && parent->orphaned;
    }
    return orphaned;
}

static bool conflict_equal(const struct history_conflict *a, const struct history_conflict *b)
{
    return a->height == b->height &&
           (a->height == HISTORY_NO_HEIGHT || txid_equal(&a->by, &b->by));
}

void conflicts_settle(struct history *h)
{
    while (h->m.n_queue) {
        struct pending *p = h->m.queue[--h->m.n_queue];
        p->queued = false;
        const struct history_conflict now = conflict_of(h, p);
        const bool orphaned = is_orphaned(h, p);
        if (conflict_equal(&p->conflict, &now) && p->orphaned == orphaned)
            continue;
        p->conflict = now;
        p->orphaned = orphaned;
        pending_each_child(h, &p->id, p->n_out, conflict_queue);
    }
}

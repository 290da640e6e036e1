/*
 * An orphan is tied to each parent that it misses by a link. A parent stands for the id of a
 * transaction that some orphan misses; it is there as long as it has links.
 */
#include "node/orphans.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

enum parent_state { PARENT_AWAITED, PARENT_ACCEPTED, PARENT_REFUSED };

struct parent {
    struct txid id;
    struct list links;
    struct list_link in_settled; /* when no longer awaited */
    enum parent_state state;
};

struct orphan;

struct link {
    struct list_link in_parent;
    struct parent *parent;   /* NULL: it has come */
    struct orphan *orphan;
};

struct orphan {
    struct tx *tx;           /* a reference */
    struct orphan_owner *owner;
    size_t at;               /* in the owner's array */
    struct list_link in_age, in_ready;
    int64_t added_s;
    size_t bytes;
    size_t n_missing;        /* 0: on the owner's ready list */
    size_t n_links;
    struct link links[];
};

struct orphan_owner {
    struct list_link link;   /* in owners or leaving */
    struct orphan **v;       /* in no order, for a choice at random */
    size_t n, cap, bytes;
    struct list ready;       /* those that can be judged again */
};

struct orphans {
    struct orphans_options o;
    struct siphash_key key;
    struct map by_id;        /* struct orphan */
    struct map parents;      /* struct parent */
    struct list owners, leaving;
    struct list settled;     /* parents whose fate is known and not yet passed on */
    struct list age;
    size_t bytes;
};

/* --- small parts --- */

static bool orphan_has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct orphan *)item)->tx->id, key);
}

static bool parent_has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct parent *)item)->id, key);
}

static uint64_t hash_of(const struct orphans *o, const struct txid *id)
{
    return siphash_32(&o->key, id->b);
}

static struct parent *find_parent(const struct orphans *o, const struct txid *id)
{
    return map_find(&o->parents, hash_of(o, id), parent_has_id, id);
}

bool orphans_contains(const struct orphans *o, const struct txid *id)
{
    return map_find(&o->by_id, hash_of(o, id), orphan_has_id, id) != NULL;
}

/* What it takes in memory, its part of the tables included. */
static size_t orphan_bytes(const struct tx *tx, size_t n_missing)
{
    const size_t table = 2 * sizeof(struct map_slot);
    return mem_cost(sizeof(struct orphan) + n_missing * sizeof(struct link)) + tx_memory(tx) +
           table + n_missing * (mem_cost(sizeof(struct parent)) + table);
}

/* --- parents --- */

static void settle(struct orphans *o, const struct txid *id, enum parent_state state)
{
    struct parent *p = find_parent(o, id);
    if (!p)
        return;
    if (p->state == PARENT_AWAITED)
        list_append(&o->settled, &p->in_settled);
    p->state = state;
}

void orphans_parent_accepted(struct orphans *o, const struct txid *id)
{
    settle(o, id, PARENT_ACCEPTED);
}

void orphans_parent_refused(struct orphans *o, const struct txid *id)
{
    settle(o, id, PARENT_REFUSED);
}

static void tie(struct orphans *o, struct link *link, const struct txid *id)
{
    struct parent *p = find_parent(o, id);
    if (!p) {
        p = xcalloc(1, sizeof(*p));
        p->id = *id;
        list_init(&p->links);
        map_put(&o->parents, hash_of(o, id), p);
    }
    link->parent = p;
    list_append(&p->links, &link->in_parent);
}

static void untie(struct orphans *o, struct link *link)
{
    struct parent *p = link->parent;
    if (!p)
        return;
    link->parent = NULL;
    list_remove(&p->links, &link->in_parent);
    if (p->links.n)
        return;
    if (p->state != PARENT_AWAITED)
        list_remove(&o->settled, &p->in_settled);
    map_remove(&o->parents, hash_of(o, &p->id), parent_has_id, &p->id);
    free(p);
}

/* --- coming and going --- */

static void owner_take(struct orphan_owner *owner, struct orphan *orphan)
{
    if (owner->n == owner->cap) {
        owner->cap = MAX_OF(owner->cap * 2, 16);
        owner->v = xrealloc(owner->v, owner->cap * sizeof(struct orphan *));
    }
    orphan->owner = owner;
    orphan->at = owner->n;
    owner->v[owner->n++] = orphan;
    owner->bytes += orphan->bytes;
}

static void owner_lose(struct orphan *orphan)
{
    struct orphan_owner *owner = orphan->owner;
    struct orphan *last = owner->v[--owner->n];
    owner->v[orphan->at] = last;
    last->at = orphan->at;
    owner->bytes -= orphan->bytes;
}

/* Its transaction is the caller's. */
static struct tx *detach(struct orphans *o, struct orphan *orphan)
{
    struct tx *tx = orphan->tx;
    if (orphan->n_missing == 0)
        list_remove(&orphan->owner->ready, &orphan->in_ready);
    for (size_t i = 0; i < orphan->n_links; i++)
        untie(o, &orphan->links[i]);
    list_remove(&o->age, &orphan->in_age);
    owner_lose(orphan);
    map_remove(&o->by_id, hash_of(o, &tx->id), orphan_has_id, &tx->id);
    o->bytes -= orphan->bytes;
    free(orphan);
    return tx;
}

static void drop(struct orphans *o, struct orphan *orphan)
{
    tx_unref(detach(o, orphan));
}

static void drop_any(struct orphans *o, struct orphan_owner *owner)
{
    drop(o, owner->v[rand_below(owner->n)]);
}

static struct orphan_owner *largest_owner(const struct orphans *o)
{
    struct orphan_owner *largest = NULL;
    for (struct list_link *l = list_first(&o->owners); l; l = list_next(&o->owners, l)) {
        struct orphan_owner *owner = LIST_ITEM(l, struct orphan_owner, link);
        if (!largest || owner->bytes > largest->bytes)
            largest = owner;
    }
    return largest;
}

static void free_owner(struct orphan_owner *owner)
{
    free(owner->v);
    free(owner);
}

static void step_leaving(struct orphans *o, struct orphan_owner *owner)
{
    if (owner->n) {
        drop(o, owner->v[owner->n - 1]);
        return;
    }
    list_remove(&o->leaving, &owner->link);
    free_owner(owner);
}

/* Room for this much more of the owner's. */
static void make_room(struct orphans *o, struct orphan_owner *owner, size_t bytes)
{
    while (owner->n && owner->bytes + bytes > o->o.max_bytes_each)
        drop_any(o, owner);
    while (o->bytes + bytes > o->o.max_bytes) {
        struct list_link *leaving = list_first(&o->leaving);
        struct orphan_owner *victim = leaving ? NULL : largest_owner(o);
        if (leaving)
            step_leaving(o, LIST_ITEM(leaving, struct orphan_owner, link));
        else if (victim->n)
            drop_any(o, victim);
        else
            break; /* nothing is left that could go */
    }
}

bool orphans_add(struct orphans *o, struct orphan_owner *owner, struct tx *tx,
                 const struct txid *missing, size_t n_missing, int64_t now_s)
{
    const size_t bytes = orphan_bytes(tx, n_missing);
    const bool too_large = (o->o.max_tx_size && tx->raw.len > o->o.max_tx_size) ||
                           bytes > MIN_OF(o->o.max_bytes, o->o.max_bytes_each);
    if (n_missing == 0 || too_large || orphans_contains(o, &tx->id))
        return false;
    make_room(o, owner, bytes);
    struct orphan *orphan = try_alloc(1, sizeof(*orphan) + n_missing * sizeof(struct link));
    if (!orphan)
        return false;
    *orphan = (struct orphan){ .tx = tx_ref(tx), .added_s = now_s, .bytes = bytes,
                               .n_missing = n_missing, .n_links = n_missing };
    for (size_t i = 0; i < n_missing; i++) {
        orphan->links[i].orphan = orphan;
        tie(o, &orphan->links[i], &missing[i]);
    }
    owner_take(owner, orphan);
    list_append(&o->age, &orphan->in_age);
    map_put(&o->by_id, hash_of(o, &tx->id), orphan);
    o->bytes += bytes;
    return true;
}

struct tx *orphans_take_ready(struct orphans *o, struct orphan_owner *owner)
{
    struct list_link *first = list_first(&owner->ready);
    return first ? detach(o, LIST_ITEM(first, struct orphan, in_ready)) : NULL;
}

/* --- work in portions --- */

/* One link of a parent whose fate is known. */
static void step_settled(struct orphans *o, struct parent *p)
{
    struct link *link = LIST_ITEM(list_first(&p->links), struct link, in_parent);
    struct orphan *orphan = link->orphan;
    if (p->state == PARENT_REFUSED) {
        orphans_parent_refused(o, &orphan->tx->id); /* its own children go the same way */
        drop(o, orphan);
        return;
    }
    untie(o, link);
    if (--orphan->n_missing == 0)
        list_append(&orphan->owner->ready, &orphan->in_ready);
}

static bool step(struct orphans *o, int64_t now_s)
{
    struct list_link *l;
    if ((l = list_first(&o->leaving)) != NULL) {
        step_leaving(o, LIST_ITEM(l, struct orphan_owner, link));
        return true;
    }
    if ((l = list_first(&o->settled)) != NULL) {
        step_settled(o, LIST_ITEM(l, struct parent, in_settled));
        return true;
    }
    if ((l = list_first(&o->age)) != NULL) {
        struct orphan *oldest = LIST_ITEM(l, struct orphan, in_age);
        if (now_s - oldest->added_s <= ORPHAN_MAX_AGE_S)
            return false;
        drop(o, oldest);
        return true;
    }
    return false;
}

bool orphans_work(struct orphans *o, int64_t now_s, size_t most)
{
    for (size_t i = 0; i < most; i++)
        if (!step(o, now_s))
            return false;
    return true;
}

/* --- owners and the whole --- */

struct orphan_owner *orphans_add_peer(struct orphans *o)
{
    struct orphan_owner *owner = xcalloc(1, sizeof(*owner));
    list_init(&owner->ready);
    list_append(&o->owners, &owner->link);
    return owner;
}

void orphans_remove_peer(struct orphans *o, struct orphan_owner *owner)
{
    list_remove(&o->owners, &owner->link);
    list_append(&o->leaving, &owner->link);
}

struct orphans *orphans_new(const struct orphans_options *options)
{
    struct orphans *o = xcalloc(1, sizeof(*o));
    o->o = *options;
    rand_bytes(&o->key, sizeof(o->key));
    map_init(&o->by_id);
    map_init(&o->parents);
    list_init(&o->owners);
    list_init(&o->leaving);
    list_init(&o->settled);
    list_init(&o->age);
    return o;
}

void orphans_free(struct orphans *o)
{
    if (!o)
        return;
    struct list_link *l;
    while ((l = list_first(&o->age)) != NULL)
        drop(o, LIST_ITEM(l, struct orphan, in_age));
    while ((l = list_first(&o->owners)) != NULL)
        orphans_remove_peer(o, LIST_ITEM(l, struct orphan_owner, link));
    while ((l = list_first(&o->leaving)) != NULL)
        step_leaving(o, LIST_ITEM(l, struct orphan_owner, link));
    map_clear(&o->by_id);
    map_clear(&o->parents);
    free(o);
}

void orphans_get_stats(const struct orphans *o, struct orphans_stats *out)
{
    *out = (struct orphans_stats){ .count = o->by_id.n, .bytes = o->bytes,
                                   .max_bytes = o->o.max_bytes };
}

size_t orphans_owned_bytes(const struct orphan_owner *owner)
{
    return owner->bytes;
}

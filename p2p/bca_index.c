/*
 * Entries lie in bags, one for each reason to go or to stay, so that a random one of a bag is found
 * at once. Members of a group are few: they are counted when one of them has to go.
 */
#include "p2p/bca_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

enum bag { BAG_UNREACHED, BAG_REACHED, BAG_CONTACTS, BAG_REMEMBERED, BAGS };
#define BAGS_OF_STRANGERS 2 /* those that may go, in their order */
#define BAGS_OF_RECORDS 3

struct bag_items {
    struct bca_entry **v;
    size_t n, cap;
};

struct bca_group {
    enum bca_group_kind kind;
    uint8_t name[32];
    struct list members;
};

struct bca_index {
    struct bca_limits limits;
    unsigned each[BCA_GROUPS]; /* the limit of a group */
    struct siphash_key key;
    struct map entries, groups;
    struct bag_items bags[BAGS];
    uint64_t bytes;
};

void bca_facts_of(struct bca_facts *f, const struct bca_record *r, struct span raw)
{
    struct bca_params params;
    *f = (struct bca_facts){ .seq = r->seq, .issued = r->issued, .expires = r->expires,
                             .size = (uint32_t)raw.len };
    bca_record_key(f->record_key, r->key);
    sha256(f->digest, raw.data, raw.len);
    f->has_place = r->n_endpoints > 0 && bca_params_read(r->params, &params, NULL) == OK;
    if (!f->has_place)
        return;
    memcpy(f->prefix, r->endpoints[0].address, sizeof f->prefix);
    sha256d(f->anchor, params.header, 80);
}

/* --- limits --- */

static struct bca_limits with_defaults(const struct bca_limits *given)
{
    static const struct bca_limits def = { 50000, UINT64_C(128) << 20, 64, 8, 256, 200000 };
    struct bca_limits l = given ? *given : def;
    l.records = l.records ? l.records : def.records;
    l.bytes = l.bytes ? l.bytes : def.bytes;
    l.per_48 = l.per_48 ? l.per_48 : def.per_48;
    l.per_64 = l.per_64 ? l.per_64 : def.per_64;
    l.per_anchor = l.per_anchor ? l.per_anchor : def.per_anchor;
    l.remembered = MAX_OF(l.remembered ? l.remembered : def.remembered, l.records);
    return l;
}

struct bca_index *bca_index_new(const struct bca_limits *limits)
{
    struct bca_index *ix = xcalloc(1, sizeof *ix);
    ix->limits = with_defaults(limits);
    ix->each[BCA_GROUP_48] = ix->limits.per_48;
    ix->each[BCA_GROUP_64] = ix->limits.per_64;
    ix->each[BCA_GROUP_ANCHOR] = ix->limits.per_anchor;
    rand_bytes(&ix->key, sizeof ix->key);
    map_init(&ix->entries);
    map_init(&ix->groups);
    return ix;
}

/* --- groups --- */

static uint64_t hash_of_group(const struct bca_index *ix, const struct bca_group *g)
{
    return siphash_36(&ix->key, g->name, (uint32_t)g->kind);
}

static bool is_group(const void *item, const void *key)
{
    const struct bca_group *a = item, *b = key;
    return a->kind == b->kind && mem_equal_var(a->name, b->name, sizeof a->name);
}

static struct bca_group group_of(const struct bca_facts *f, enum bca_group_kind kind)
{
    static const size_t name_size[] = { [BCA_GROUP_48] = 6, [BCA_GROUP_64] = 8 };
    struct bca_group g = { .kind = kind };
    if (kind == BCA_GROUP_ANCHOR)
        memcpy(g.name, f->anchor, sizeof g.name);
    else
        memcpy(g.name, f->prefix, name_size[kind]);
    return g;
}

static void join(struct bca_index *ix, struct bca_entry *e, enum bca_group_kind kind)
{
    const struct bca_group wanted = group_of(&e->is, kind);
    const uint64_t hash = hash_of_group(ix, &wanted);
    struct bca_group *g = map_find(&ix->groups, hash, is_group, &wanted);
    if (!g) {
        g = xcalloc(1, sizeof *g);
        g->kind = kind;
        memcpy(g->name, wanted.name, sizeof g->name);
        list_init(&g->members);
        map_put(&ix->groups, hash, g);
    }
    list_append(&g->members, &e->in[kind].link);
    e->in[kind].group = g;
}

static void leave(struct bca_index *ix, struct bca_entry *e, enum bca_group_kind kind)
{
    struct bca_group *g = e->in[kind].group;
    if (!g)
        return;
    list_remove(&g->members, &e->in[kind].link);
    e->in[kind].group = NULL;
    if (g->members.n)
        return;
    map_remove(&ix->groups, hash_of_group(ix, g), is_group, g);
    free(g);
}

/* --- bags --- */

static enum bag bag_of(const struct bca_entry *e)
{
    if (!e->is.size)
        return BAG_REMEMBERED;
    return e->contact ? BAG_CONTACTS : e->is.reached ? BAG_REACHED : BAG_UNREACHED;
}

/* Into bag and groups as it is now. */
static void settle(struct bca_index *ix, struct bca_entry *e)
{
    struct bag_items *b;
    e->bag = bag_of(e);
    b = &ix->bags[e->bag];
    if (b->n == b->cap) {
        b->cap = 2 * b->cap + 64;
        b->v = xrealloc(b->v, b->cap * sizeof *b->v);
    }
    e->place = b->n;
    b->v[b->n++] = e;
    ix->bytes += e->is.size;
    if (e->bag < BAGS_OF_STRANGERS && e->is.has_place)
        for (enum bca_group_kind k = 0; k < BCA_GROUPS; k++)
            join(ix, e, k);
}

static void unsettle(struct bca_index *ix, struct bca_entry *e)
{
    struct bag_items *b = &ix->bags[e->bag];
    struct bca_entry *last = b->v[--b->n];
    b->v[e->place] = last;
    last->place = e->place;
    ix->bytes -= e->is.size;
    for (enum bca_group_kind k = 0; k < BCA_GROUPS; k++)
        leave(ix, e, k);
}

/* --- entries --- */

static bool is_entry(const void *item, const void *key)
{
    return mem_equal_var(((const struct bca_entry *)item)->is.record_key, key, 32);
}

struct bca_entry *bca_index_find(const struct bca_index *ix, const uint8_t record_key[32])
{
    return map_find(&ix->entries, siphash_32(&ix->key, record_key), is_entry, record_key);
}

struct bca_entry *bca_index_put(struct bca_index *ix, const struct bca_facts *f, bool contact)
{
    struct bca_entry *e = bca_index_find(ix, f->record_key);
    if (e) {
        unsettle(ix, e);
    } else {
        e = xcalloc(1, sizeof *e);
        map_put(&ix->entries, siphash_32(&ix->key, f->record_key), e);
    }
    e->is = *f;
    e->contact = contact;
    settle(ix, e);
    return e;
}

void bca_index_drop_record(struct bca_index *ix, struct bca_entry *e)
{
    unsettle(ix, e);
    e->is.size = 0;
    e->is.has_place = false;
    settle(ix, e);
}

void bca_index_forget(struct bca_index *ix, struct bca_entry *e)
{
    unsettle(ix, e);
    map_remove(&ix->entries, siphash_32(&ix->key, e->is.record_key), is_entry, e->is.record_key);
    free(e);
}

void bca_index_set_contact(struct bca_index *ix, struct bca_entry *e, bool contact)
{
    unsettle(ix, e);
    e->contact = contact;
    settle(ix, e);
}

/* --- who goes --- */

/* A random one of the n-th of those that were reached or not. */
static struct bca_entry *pick_member(const struct bca_group *g, enum bca_group_kind kind,
                                     const struct bca_entry *newcomer, bool reached)
{
    struct bca_entry *chosen = NULL;
    size_t seen = 0;
    for (struct list_link *l = list_first(&g->members); l; l = list_next(&g->members, l)) {
        struct bca_entry *e = LIST_ITEM(l, struct bca_entry, in[kind].link);
        if (e != newcomer && e->is.reached == reached && rand_below(++seen) == 0)
            chosen = e;
    }
    return chosen;
}

static struct bca_entry *victim_of_group(const struct bca_index *ix,
                                         const struct bca_entry *newcomer,
                                         enum bca_group_kind kind)
{
    const struct bca_group *g = newcomer->in[kind].group;
    if (!g || g->members.n <= ix->each[kind])
        return NULL;
    struct bca_entry *e = pick_member(g, kind, newcomer, false);
    return e ? e : pick_member(g, kind, newcomer, true);
}

/* Any of a bag but the newcomer. */
static struct bca_entry *pick(const struct bag_items *b, const struct bca_entry *newcomer)
{
    if (!b->n)
        return NULL;
    const size_t at = (size_t)rand_below(b->n);
    return b->v[at] != newcomer ? b->v[at] : b->n > 1 ? b->v[(at + 1) % b->n] : NULL;
}

struct bca_entry *bca_index_victim(struct bca_index *ix, const struct bca_entry *newcomer)
{
    /* The narrow ones first: whoever goes for them counts for the wider ones. */
    static const enum bca_group_kind order[] = { BCA_GROUP_64, BCA_GROUP_48, BCA_GROUP_ANCHOR };
    struct bca_entry *e = NULL;
    for (size_t i = 0; !e && i < COUNT_OF(order); i++)
        e = victim_of_group(ix, newcomer, order[i]);
    if (bca_index_records(ix) <= ix->limits.records && ix->bytes <= ix->limits.bytes)
        return e;
    for (size_t i = 0; !e && i < BAGS_OF_STRANGERS; i++)
        e = pick(&ix->bags[i], newcomer);
    return e;
}

struct bca_entry *bca_index_forgettable(struct bca_index *ix, const struct bca_entry *newcomer)
{
    if (ix->entries.n <= ix->limits.remembered)
        return NULL;
    return pick(&ix->bags[BAG_REMEMBERED], newcomer);
}

/* --- all --- */

size_t bca_index_count(const struct bca_index *ix) { return ix->entries.n; }

static struct bca_entry *at_in(const struct bca_index *ix, size_t i, unsigned n_bags)
{
    for (unsigned b = 0; b < n_bags; b++) {
        if (i < ix->bags[b].n)
            return ix->bags[b].v[i];
        i -= ix->bags[b].n;
    }
    return NULL;
}

struct bca_entry *bca_index_at(const struct bca_index *ix, size_t i) { return at_in(ix, i, BAGS); }

size_t bca_index_records(const struct bca_index *ix)
{
    return ix->entries.n - ix->bags[BAG_REMEMBERED].n;
}

uint64_t bca_index_bytes(const struct bca_index *ix) { return ix->bytes; }

size_t bca_index_memory(const struct bca_index *ix)
{
    size_t bytes = mem_cost(sizeof *ix) + map_bytes(&ix->entries) + map_bytes(&ix->groups) +
                   ix->entries.n * mem_cost(sizeof(struct bca_entry)) +
                   ix->groups.n * mem_cost(sizeof(struct bca_group));
    for (size_t b = 0; b < BAGS; b++)
        bytes += ix->bags[b].cap * sizeof(*ix->bags[b].v);
    return bytes;
}

struct bca_entry *bca_index_random(const struct bca_index *ix)
{
    const size_t n = bca_index_records(ix);
    return n ? at_in(ix, (size_t)rand_below(n), BAGS_OF_RECORDS) : NULL;
}

void bca_index_free(struct bca_index *ix)
{
    if (!ix)
        return;
    while (bca_index_count(ix))
        bca_index_forget(ix, bca_index_at(ix, bca_index_count(ix) - 1));
    for (size_t b = 0; b < BAGS; b++)
        free(ix->bags[b].v);
    map_clear(&ix->entries);
    map_clear(&ix->groups);
    free(ix);
}

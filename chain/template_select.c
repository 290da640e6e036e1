/*
 * Units are groups and single transactions, in the journal's order. Chunks are sets of units that
 * raise what their members are worth together: a unit that pays a better rate than the worst chunk
 * among its parents joins it, again and again, until all its parents pay at least its own rate. So
 * rates never rise from parent to child, and sorting the units by the rate of their chunk, earlier
 * ones first, puts parents before children. Whole chunks are taken from the top as they fit, then
 * single units fill the rest.
 *
 * Each merge leaves one chunk less, so the work is about linear; a unit with very many parents
 * stops merging after a while and takes the rate of its worst parent, which costs a little fee at
 * most.
 */
#include <config.h>

#include "chain/template_select.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/check.h"

#define NONE UINT32_MAX
#define SCANS_MAX 10000 /* edges that one unit may look at while it merges */

struct unit {
    uint32_t first, n;   /* its transactions */
    uint32_t first_edge; /* to its parents; they end where those of the next unit begin */
    bool in;
    uint64_t sigops, size;
    int64_t fee; /* with fee changes */

    uint32_t chunk; /* itself, or a unit nearer to the one that stands for the chunk */
    /* Of the unit that stands for a chunk: */
    int64_t chunk_fee;
    uint64_t chunk_size, chunk_sigops;
    uint32_t edges, last_edge; /* list of those that lead out, or have led out once */
    enum { CHUNK_WAITS, CHUNK_TAKEN, CHUNK_SKIPPED } state;
};

struct edge {
    uint32_t parent; /* a unit */
    uint32_t next;   /* in the list of a chunk */
};

/* Item of the map from ids to units. */
struct known_tx {
    const struct journal_entry *entry;
    uint32_t unit;
};

struct selection {
    const struct template_limits *limits;
    struct known_tx *txs;
    struct unit *units;
    struct edge *edges;
    size_t n_txs, n_units, n_edges, cap_edges;
    uint64_t taken_bytes, taken_sigops; /* of whole chunks */
    struct map by_id;
    struct siphash_key key;
};

/* Order in which units are tried. */
struct rank {
    int64_t fee;
    uint64_t size;
    uint32_t unit;
};

bool template_limits_allow(const struct template_limits *l, uint64_t bytes, uint64_t sigops)
{
    struct verdict v;
    const struct block_rules rules = { .genesis = !l->sigops_limited };
    return bytes <= l->max_bytes &&
           check_block_sigops(&rules, sigops + l->coinbase_sigops, bytes, &v);
}

/* --- what there is -------------------------------------------------------------------------- */

static enum err no_memory(struct error *e, size_t n)
{
    return error_set(e, ERR_NOMEM, "no memory to choose among %zu transactions", n);
}

static enum err selection_init(struct selection *x, const struct journal_snapshot *s,
                               const struct template_limits *l, struct error *e)
{
    const size_t n = (size_t)s->totals.count;
    *x = (struct selection){ .limits = l };
    map_init(&x->by_id);
    rand_bytes(&x->key, sizeof(x->key));
    if (n >= NONE)
        return error_set(e, ERR_RANGE, "%zu transactions are too many for a block", n);
    x->txs = try_alloc(n, sizeof(*x->txs));
    x->units = try_alloc(n + 1, sizeof(*x->units)); /* one more ends the edges of the last */
    return x->txs && x->units ? OK : no_memory(e, n);
}

static void selection_clear(struct selection *x)
{
    map_clear(&x->by_id);
    free(x->txs);
    free(x->units);
    free(x->edges);
}

static void collect_units(struct selection *x, const struct journal_snapshot *s)
{
    struct journal_place at = { 0 };
    const struct journal_entry *j;
    uint64_t group = 0;
    while ((j = journal_next(s, &at))) {
        if (!j->group || j->group != group)
            x->units[x->n_units++] = (struct unit){ .first = (uint32_t)x->n_txs };
        group = j->group;
        struct unit *u = &x->units[x->n_units - 1];
        u->n++;
        u->fee += j->fee + j->fee_delta;
        u->size += j->tx->raw.len;
        u->sigops += j->sigops;
        x->txs[x->n_txs++] = (struct known_tx){ j, (uint32_t)x->n_units - 1 };
    }
}

static bool has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct known_tx *)item)->entry->tx->id, (const struct txid *)key);
}

static bool add_edge(struct selection *x, uint32_t parent)
{
    if (x->n_edges == x->cap_edges) {
        const size_t cap = x->cap_edges ? 2 * x->cap_edges : 1024;
        struct edge *more = cap < NONE ? try_realloc(x->edges, cap, sizeof(*more)) : NULL;
        if (!more)
            return false;
        x->edges = more;
        x->cap_edges = cap;
    }
    x->edges[x->n_edges++] = (struct edge){ .parent = parent, .next = NONE };
    return true;
}

static bool find_parents(struct selection *x, const struct known_tx *t)
{
    const struct tx *tx = t->entry->tx;
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct txid *id = &tx->in[i].prevout.txid;
        const struct known_tx *parent = map_find(&x->by_id, siphash_32(&x->key, id->b), has_id, id);
        if (parent && parent->unit != t->unit && !add_edge(x, parent->unit))
            return false;
    }
    return true;
}

static enum err link_units(struct selection *x, struct error *e)
{
    uint32_t unit = NONE;
    for (size_t i = 0; i < x->n_txs; i++) {
        struct known_tx *t = &x->txs[i];
        if (t->unit != unit) {
            unit = t->unit;
            x->units[unit].first_edge = (uint32_t)x->n_edges;
        }
        if (!find_parents(x, t))
            return no_memory(e, x->n_txs);
        map_put(&x->by_id, siphash_32(&x->key, t->entry->tx->id.b), t);
    }
    x->units[x->n_units].first_edge = (uint32_t)x->n_edges;
    return OK;
}

/* --- chunks --------------------------------------------------------------------------------- */

/* The unit that stands for the chunk of a unit. */
static uint32_t chunk_of(struct unit *units, uint32_t u)
{
    while (units[u].chunk != u)
        u = units[u].chunk = units[units[u].chunk].chunk;
    return u;
}

/* Negative: a pays less for its size than b. */
static int compare_rates(int64_t fee_a, uint64_t size_a, int64_t fee_b, uint64_t size_b)
{
    const __int128 a = (__int128)fee_a * (__int128)size_b, b = (__int128)fee_b * (__int128)size_a;
    return a < b ? -1 : a > b;
}

static int compare_chunks(const struct unit *a, const struct unit *b)
{
    return compare_rates(a->chunk_fee, a->chunk_size, b->chunk_fee, b->chunk_size);
}

static void begin_chunk(struct selection *x, uint32_t u)
{
    struct unit *c = &x->units[u];
    const uint32_t end = x->units[u + 1].first_edge;
    c->chunk = u;
    c->chunk_fee = c->fee;
    c->chunk_size = c->size;
    c->chunk_sigops = c->sigops;
    c->edges = c->first_edge < end ? c->first_edge : NONE;
    c->last_edge = end - 1;
    for (uint32_t k = c->first_edge; k < end; k++)
        x->edges[k].next = k + 1 < end ? k + 1 : NONE;
}

/* The worst chunk that this one depends on, NONE when on none. Edges inside it leave the list. */
static uint32_t worst_parent(struct selection *x, struct unit *c, size_t *scans)
{
    const uint32_t self = c->chunk;
    uint32_t worst = NONE, kept = NONE;
    for (uint32_t k = c->edges; k != NONE; k = x->edges[k].next) {
        const uint32_t parent = chunk_of(x->units, x->edges[k].parent);
        ++*scans;
        if (parent == self)
            continue;
        *(kept == NONE ? &c->edges : &x->edges[kept].next) = k;
        kept = k;
        if (worst == NONE || compare_chunks(&x->units[parent], &x->units[worst]) < 0)
            worst = parent;
    }
    *(kept == NONE ? &c->edges : &x->edges[kept].next) = NONE;
    c->last_edge = kept;
    return worst;
}

/* Chunk p becomes a part of c. */
static void absorb(struct selection *x, struct unit *c, struct unit *p)
{
    p->chunk = c->chunk;
    c->chunk_fee += p->chunk_fee;
    c->chunk_size += p->chunk_size;
    c->chunk_sigops += p->chunk_sigops;
    if (p->edges == NONE)
        return;
    *(c->edges == NONE ? &c->edges : &x->edges[c->last_edge].next) = p->edges;
    c->last_edge = p->last_edge;
}

/* The fee that gives it the rate of another, or a little less. */
static void take_rate(struct unit *c, const struct unit *other)
{
    const __int128 fee = (__int128)other->chunk_fee * c->chunk_size / other->chunk_size;
    c->chunk_fee = (int64_t)fee - (fee < 0);
}

static void form_chunk(struct selection *x, uint32_t u)
{
    struct unit *c = &x->units[u];
    size_t scans = 0;
    begin_chunk(x, u);
    for (;;) {
        const uint32_t worst = worst_parent(x, c, &scans);
        if (worst == NONE || compare_chunks(&x->units[worst], c) >= 0)
            return;
        if (scans > SCANS_MAX) {
            take_rate(c, &x->units[worst]);
            return;
        }
        absorb(x, c, &x->units[worst]);
    }
}

/* --- choosing ------------------------------------------------------------------------------- */

static int better_first(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    const int rate = compare_rates(x->fee, x->size, y->fee, y->size);
    return rate ? -rate : x->unit < y->unit ? -1 : x->unit > y->unit;
}

static struct rank *rank_units(struct selection *x)
{
    struct rank *ranks = try_alloc(x->n_units, sizeof(*ranks));
    for (uint32_t u = 0; ranks && u < x->n_units; u++) {
        const struct unit *c = &x->units[chunk_of(x->units, u)];
        ranks[u] = (struct rank){ c->chunk_fee, c->chunk_size, u };
    }
    if (ranks)
        qsort(ranks, x->n_units, sizeof(*ranks), better_first);
    return ranks;
}

static bool parents_are_in(const struct selection *x, uint32_t u)
{
    for (uint32_t k = x->units[u].first_edge; k < x->units[u + 1].first_edge; k++)
        if (!x->units[x->edges[k].parent].in)
            return false;
    return true;
}

/* Whether the chunk enters whole; asked when the first of its units comes up. */
static void try_chunk(struct selection *x, struct unit *c)
{
    const uint64_t bytes = x->taken_bytes + c->chunk_size;
    const uint64_t sigops = x->taken_sigops + c->chunk_sigops;
    c->state = CHUNK_SKIPPED;
    if (!template_limits_allow(x->limits, bytes, sigops))
        return;
    for (uint32_t k = c->edges; k != NONE; k = x->edges[k].next) {
        const struct unit *parent = &x->units[chunk_of(x->units, x->edges[k].parent)];
        if (parent != c && parent->state != CHUNK_TAKEN)
            return;
    }
    c->state = CHUNK_TAKEN;
    x->taken_bytes = bytes;
    x->taken_sigops = sigops;
}

static void take_unit(const struct selection *x, struct unit *u, struct template_choice *out)
{
    u->in = true;
    for (uint32_t i = u->first; i < u->first + u->n; i++) {
        const struct journal_entry *j = x->txs[i].entry;
        tx_ref(j->tx);
        out->v[out->n++] = *j;
        out->totals.fees += j->fee;
    }
    out->totals.count = out->n;
    out->totals.bytes += u->size;
    out->totals.sigops += u->sigops;
}

static void take_chunks(struct selection *x, const struct rank *ranks, struct template_choice *out)
{
    for (size_t i = 0; i < x->n_units; i++) {
        struct unit *c = &x->units[chunk_of(x->units, ranks[i].unit)];
        if (c->state == CHUNK_WAITS)
            try_chunk(x, c);
        if (c->state == CHUNK_TAKEN && parents_are_in(x, ranks[i].unit))
            take_unit(x, &x->units[ranks[i].unit], out);
    }
}

static void fill_up(struct selection *x, const struct rank *ranks, struct template_choice *out)
{
    for (size_t i = 0; i < x->n_units; i++) {
        struct unit *u = &x->units[ranks[i].unit];
        if (!u->in && parents_are_in(x, ranks[i].unit) &&
            template_limits_allow(x->limits, out->totals.bytes + u->size,
                                  out->totals.sigops + u->sigops))
            take_unit(x, u, out);
    }
}

static enum err choose(struct selection *x, struct template_choice *out, struct error *e)
{
    struct rank *ranks = rank_units(x);
    out->v = try_alloc(x->n_txs, sizeof(*out->v));
    if (!ranks || !out->v) {
        free(ranks);
        return no_memory(e, x->n_txs);
    }
    take_chunks(x, ranks, out);
    fill_up(x, ranks, out);
    free(ranks);
    struct journal_entry *less = try_realloc(out->v, out->n, sizeof(*less));
    if (less)
        out->v = less;
    return OK;
}

enum err template_select(const struct journal_snapshot *s, const struct template_limits *l,
                         struct template_choice *out, struct error *e)
{
    struct selection x;
    *out = (struct template_choice){ .n = 0 };
    enum err rc = selection_init(&x, s, l, e);
    if (!rc) {
        collect_units(&x, s);
        rc = link_units(&x, e);
    }
    for (uint32_t u = 0; !rc && u < x.n_units; u++)
        form_chunk(&x, u);
    if (!rc)
        rc = choose(&x, out, e);
    selection_clear(&x);
    if (rc)
        template_choice_clear(out);
    return rc;
}

void template_choice_clear(struct template_choice *c)
{
    for (size_t i = 0; i < c->n; i++)
        tx_unref(c->v[i].tx);
    free(c->v);
    *c = (struct template_choice){ .n = 0 };
}

/*
 * The candidates are an index list; each protection sorts it by one property and cuts its best
 * from the end. What is left is at an attacker's mercy only as far as he beats honest peers in
 * all of keyed group, ping, transactions, blocks, identity and age at once.
 */
#include "p2p/eviction.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "p2p/netgroup.h"

struct entry {
    const struct eviction_candidate *c;
    struct netgroup group;
    uint64_t group_hash;
    bool keep;
};

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

/* Each puts those to be protected last; equal ones are ordered by age, then id: never by chance. */
static int by_age(const void *pa, const void *pb)
{
    const struct eviction_candidate *a = ((const struct entry *)pa)->c;
    const struct eviction_candidate *b = ((const struct entry *)pb)->c;
    if (a->connected_ms != b->connected_ms)
        return ORDER(b->connected_ms, a->connected_ms);
    return ORDER(b->peer_id, a->peer_id);
}

static int by_group(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    return a->group_hash != b->group_hash ? ORDER(a->group_hash, b->group_hash) : by_age(pa, pb);
}

static int64_t ping_or_worst(const struct entry *x)
{
    return x->c->min_ping_us < 0 ? INT64_MAX : x->c->min_ping_us;
}

static int by_ping(const void *pa, const void *pb)
{
    int64_t a = ping_or_worst(pa), b = ping_or_worst(pb);
    return a != b ? ORDER(b, a) : by_age(pa, pb);
}

static int by_tx(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int c = ORDER(a->c->last_tx_ms, b->c->last_tx_ms);
    return c ? c : by_age(pa, pb);
}

static int by_block(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int c = ORDER(a->c->last_block_ms, b->c->last_block_ms);
    return c ? c : by_age(pa, pb);
}

static int by_identity(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int c = ORDER(a->c->authenticated, b->c->authenticated);
    return c ? c : by_age(pa, pb);
}

static bool has_ping(const struct entry *x) { return x->c->min_ping_us >= 0; }
static bool has_tx(const struct entry *x) { return x->c->last_tx_ms > 0; }
static bool has_block(const struct entry *x) { return x->c->last_block_ms > 0; }
static bool has_identity(const struct entry *x) { return x->c->authenticated; }

static size_t compact(struct entry *x, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!x[i].keep)
            x[kept++] = x[i];
    return kept;
}

/* Cuts the last `count` by this order; only those with the property when `has` is given. */
static size_t protect(struct entry *x, size_t n, int (*order)(const void *, const void *),
                      size_t count, bool (*has)(const struct entry *))
{
    qsort(x, n, sizeof *x, order);
    for (size_t i = n > count ? n - count : 0; i < n; i++)
        x[i].keep = !has || has(&x[i]);
    return compact(x, n);
}

/* The oldest of each of the highest groups by keyed hash: distinct ones (D7), not to be guessed. */
static size_t protect_groups(struct entry *x, size_t n, size_t count)
{
    qsort(x, n, sizeof *x, by_group);
    for (size_t i = n; i > 0 && count > 0; i--) {
        bool last_of_group = i == n || !netgroup_equal(&x[i - 1].group, &x[i].group);
        x[i - 1].keep = last_of_group;
        count -= last_of_group;
    }
    return compact(x, n);
}

/* spec p2p 7.2 in its order, identities (D7) before the half by age */
static size_t protect_all(struct entry *x, size_t n)
{
    n = protect_groups(x, n, EVICTION_KEEP_GROUPS);
    n = protect(x, n, by_ping, EVICTION_KEEP_PING, has_ping);
    n = protect(x, n, by_tx, EVICTION_KEEP_TX, has_tx);
    n = protect(x, n, by_block, EVICTION_KEEP_BLOCK, has_block);
    n = protect(x, n, by_identity, EVICTION_KEEP_AUTHENTICATED, has_identity);
    return protect(x, n, by_age, n / 2, NULL);
}

/* Youngest of the group with most members; among equal groups the one with the youngest. */
static const struct entry *crowded_youngest(struct entry *x, size_t n)
{
    const struct entry *best = NULL;
    size_t best_size = 0;
    qsort(x, n, sizeof *x, by_group); /* by_age inside a group: its youngest comes first */
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && netgroup_equal(&x[end].group, &x[i].group); end++)
            ;
        if (end - i > best_size || (end - i == best_size && by_age(&x[i], best) < 0)) {
            best = &x[i];
            best_size = end - i;
        }
    }
    return best;
}

bool eviction_select(const struct eviction_candidate *c, size_t n, const struct siphash_key *key,
                     uint64_t *peer_id)
{
    struct entry *x = xcalloc(n ? n : 1, sizeof *x);
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        if (c[i].whitelisted)
            continue;
        struct netgroup group = netgroup_of(&c[i].addr, NETGROUP_DIVERSITY);
        x[left++] = (struct entry){ &c[i], group, netgroup_hash(&group, key), false };
    }
    left = protect_all(x, left);
    const struct entry *victim = crowded_youngest(x, left);
    if (victim)
        *peer_id = victim->c->peer_id;
    free(x);
    return victim != NULL;
}

/*
 * Choice of a dial target. A bucket is drawn uniformly among those that are not empty, then an
 * entry among those in it that qualify, and it is kept with a chance of one in the size of its
 * group: addresses inside one group are cheap, groups are not (D1, D4), and time stamps play no
 * role. Each miss for failed attempts raises the odds, each bucket without candidates is left out,
 * so the search ends.
 */
#include "p2p/addrman_internal.h"

#include "base/rand.h"

static void fill_choice(const struct am_entry *x, struct addrman_choice *out)
{
    *out = (struct addrman_choice){ x->pa, x->last_try, x->last_success, x->tried };
}

static int64_t query_interval(const struct addrman_query *q)
{
    if (q->interval_s == 0)
        return ADDRMAN_DIAL_INTERVAL_S;
    if (q->interval_s < ADDRMAN_DIAL_INTERVAL_MIN_S)
        return ADDRMAN_DIAL_INTERVAL_MIN_S;
    return q->interval_s;
}

static bool rested(const struct am_entry *x, const struct addrman_query *q, int64_t now)
{
    return x->last_try == 0 || now - x->last_try >= query_interval(q);
}

static bool qualifies(const struct addrman *am, const struct am_entry *x,
                      const struct addrman_query *q, int64_t now)
{
    struct addrman_choice c;
    if (q->prefer_port && x->pa.addr.port != q->prefer_port)
        return false;
    if (!rested(x, q, now) || (x->pa.services & q->services) != q->services ||
        !(netaddr_network(&x->pa.addr) & am->networks))
        return false;
    fill_choice(x, &c);
    return !q->accept || q->accept(q->ctx, &c);
}

static const struct am_entry *pick_in_bucket(const struct addrman *am, const uint32_t *slots,
                                             const struct addrman_query *q, int64_t now)
{
    const struct am_entry *found[ADDRMAN_BUCKET_SIZE];
    size_t n = 0;
    for (unsigned k = 0; k < ADDRMAN_BUCKET_SIZE; k++)
        if (slots[k] != AM_NONE && qualifies(am, &am->entries[slots[k]], q, now))
            found[n++] = &am->entries[slots[k]];
    return n ? found[rand_below(n)] : NULL;
}

/* Beyond this size a group gains again, so that a search stays short. */
#define GROUP_WEIGHT_MAX 64

static bool speaks_for_its_group(const struct addrman *am, const struct am_entry *x)
{
    uint32_t size = am_group_size(am, &x->pa.addr);
    return rand_below(size < GROUP_WEIGHT_MAX ? size : GROUP_WEIGHT_MAX) == 0;
}

static bool lucky(double chance)
{
    return (double)rand_below(UINT64_C(1) << 30) < chance * (double)(UINT64_C(1) << 30);
}

static const struct am_entry *pick(const struct addrman *am, const struct am_table *t,
                                   const struct addrman_query *q, int64_t now)
{
    uint16_t buckets[ADDRMAN_NEW_BUCKETS];
    size_t n = 0;
    double factor = 1.0;
    for (unsigned b = 0; b < t->buckets; b++)
        if (t->fill[b])
            buckets[n++] = (uint16_t)b;
    while (n) {
        size_t k = rand_below(n);
        const struct am_entry *x =
            pick_in_bucket(am, t->slots + (size_t)buckets[k] * ADDRMAN_BUCKET_SIZE, q, now);
        if (!x) {
            buckets[k] = buckets[--n];
            continue;
        }
        if (!speaks_for_its_group(am, x))
            continue;
        if (lucky(factor * am_chance(x, now)))
            return x;
        factor *= 1.2;
    }
    return NULL;
}

static const struct am_entry *pick_any(const struct addrman *am, const struct addrman_query *q,
                                       int64_t now)
{
    const struct am_table *first = &am->fresh, *second = NULL;
    if (q->table == ADDRMAN_ANY) {
        bool from_tried = rand_below(2) == 0;
        first = from_tried ? &am->tried : &am->fresh;
        second = from_tried ? &am->fresh : &am->tried;
    }
    const struct am_entry *x = pick(am, first, q, now);
    if (!x && second)
        x = pick(am, second, q, now);
    return x;
}

bool addrman_select(struct addrman *am, const struct addrman_query *q, int64_t now,
                    struct addrman_choice *out)
{
    struct addrman_query any_port = *q;
    const struct am_entry *x = pick_any(am, q, now);
    any_port.prefer_port = 0;
    if (!x && q->prefer_port)
        x = pick_any(am, &any_port, now);
    if (x)
        fill_choice(x, out);
    return x != NULL;
}

bool addrman_select_feeler(struct addrman *am, const struct addrman_query *q, int64_t now,
                           struct addrman_choice *out)
{
    struct addrman_query fresh = *q;
    addrman_resolve_collisions(am, now);
    if (am->n_collisions) {
        const struct netaddr *waiting = &am->collisions[rand_below(am->n_collisions)];
        uint32_t old = am->tried.slots[am_tried_slot(am, waiting)];
        if (old != AM_NONE && rested(&am->entries[old], q, now)) {
            fill_choice(&am->entries[old], out);
            return true;
        }
    }
    fresh.table = ADDRMAN_NEW;
    return addrman_select(am, &fresh, now, out);
}

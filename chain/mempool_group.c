/*
 * Who pays (spec consensus 5.3). An entry is primary when it pays for itself and none of its
 * parents is secondary. A secondary entry knows what it and its unpaid ancestors add up to; when
 * that sum pays, they become one group: primary, and taken into blocks together.
 *
 * Changes run through one queue in order of sequence: an entry is worked out from its parents
 * alone, and queues its children when something about it changed. Parents come before children in
 * the queue, so each is looked at about once. A new transaction looks at no ancestors but those
 * that it makes a group of, at most max_group_members; what its group sets free further down is
 * worked off in portions, a thousand visits with each transaction, so that none is expensive.
 *
 * A group that loses a member is broken: what is left of it and everything after it becomes
 * secondary and is queued. That is put off until a whole block has gone through the pool, because
 * most groups leave in one block as a whole.
 */
#include "chain/mempool_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/policy.h"

static int64_t rate_of(int64_t fee, uint64_t size)
{
    const __int128 rate = (__int128)fee * 1000 / (int64_t)size;
    return rate > INT64_MAX ? INT64_MAX : rate < INT64_MIN ? INT64_MIN : (int64_t)rate;
}

void pool_rate_again(struct mempool *mp, struct pool_entry *e)
{
    const struct mempool_group *g = e->pub.group;
    e->rate = g ? rate_of(g->fee, g->size) : rate_of(pool_fee_of(e), pool_size_of(e));
    if (heap_has(&mp->worst, e))
        heap_moved(&mp->worst, e);
}

void pool_set_primary(struct mempool *mp, struct pool_entry *e, bool primary)
{
    if (e->pub.primary == primary)
        return;
    e->pub.primary = primary;
    e->pub.secondary_ancestors = 0;
    if (primary) {
        mp->n_primary++;
        mp->secondary_memory -= e->pub.memory;
    } else {
        mp->n_primary--;
        mp->secondary_memory += e->pub.memory;
        journal_remove(mp->journal, e->pub.journal_number);
        e->pub.journal_number = 0;
    }
    pool_rate_again(mp, e);
}

static struct journal_entry journal_entry_of(const struct pool_entry *e)
{
    return (struct journal_entry){ .tx = e->pub.tx,
                                   .fee = e->pub.fee,
                                   .fee_delta = pool_fee_of(e) - e->pub.fee,
                                   .sigops = e->pub.sigops };
}

/* Those that just turned primary together, parents first. */
static void enter_journal(struct mempool *mp, struct pool_entry *const *members, size_t n)
{
    struct journal_entry one, *unit = n == 1 ? &one : xcalloc(n, sizeof(*unit));
    for (size_t i = 0; i < n; i++)
        unit[i] = journal_entry_of(members[i]);
    const uint64_t first = journal_add(mp->journal, unit, n);
    for (size_t i = 0; i < n; i++)
        members[i]->pub.journal_number = first + i;
    if (unit != &one)
        free(unit);
}

void pool_enqueue(struct mempool *mp, struct pool_entry *e)
{
    mp->visits++;
    if (!heap_has(&mp->pending, e))
        heap_push(&mp->pending, e);
}

uint32_t pool_debt_of_parent(uint32_t sum, const struct pool_entry *parent)
{
    const uint64_t total = (uint64_t)sum + parent->pub.secondary_ancestors + 1;
    return (uint32_t)MIN_OF(total, UINT32_MAX);
}

static bool pays(const struct mempool *mp, int64_t fee, uint64_t size)
{
    return fee >= fee_of_rate(mp->o.mining_fee_per_kb, size);
}

static bool within_group(const struct mempool *mp, uint32_t unpaid_ancestors)
{
    return unpaid_ancestors < mp->o.max_group_members;
}

/* From the parents: length of the longest chain, and the sum of what is unpaid. */
static struct pool_debt sum_up(const struct mempool *mp, const struct pool_entry *e,
                               uint32_t *ancestors, bool *alone)
{
    struct pool_debt d = { .fee = pool_fee_of(e), .size = pool_size_of(e) };
    *ancestors = 0;
    *alone = true;
    for (uint32_t i = 0; i < e->pub.n_parents; i++) {
        const struct pool_entry *parent = pool_entry_of(e->pub.parents[i]);
        *ancestors = MAX_OF(*ancestors, parent->pub.ancestors + 1);
        if (parent->pub.primary)
            continue;
        *alone = false;
        d.count = pool_debt_of_parent(d.count, parent);
        if (!within_group(mp, d.count))
            continue;
        d.fee += parent->debt.fee;
        d.size += parent->debt.size;
    }
    return d;
}

static void queue_children(struct mempool *mp, const struct pool_entry *e)
{
    for (uint32_t i = 0; i < e->pub.n_children; i++)
        pool_enqueue(mp, pool_entry_of(e->pub.children[i]));
}

/* --- making a group --- */

/* The entry and its secondary ancestors, each once; false when they are too many. */
static bool collect_unpaid(struct mempool *mp, struct pool_entry *payer, struct pool_list *out)
{
    const uint64_t epoch = ++mp->epoch;
    out->n = 0;
    payer->mark = epoch;
    pool_list_push(out, payer);
    for (size_t done = 0; done < out->n; done++) {
        const struct mempool_entry *at = &out->v[done]->pub;
        mp->visits += at->n_parents;
        for (uint32_t i = 0; i < at->n_parents; i++) {
            struct pool_entry *parent = pool_entry_of(at->parents[i]);
            if (parent->pub.primary || parent->mark == epoch)
                continue;
            if (out->n == mp->o.max_group_members)
                return false;
            parent->mark = epoch;
            pool_list_push(out, parent);
        }
    }
    pool_list_sort(out);
    return true;
}

static struct mempool_group *group_new(const struct pool_list *members)
{
    struct mempool_group *g = (struct mempool_group *)xcalloc(1, sizeof(*g));
    g->members = (struct mempool_entry **)xcalloc(members->n, sizeof(struct mempool_entry *));
    g->n = members->n;
    for (size_t i = 0; i < members->n; i++) {
        g->members[i] = &members->v[i]->pub;
        g->fee += pool_fee_of(members->v[i]);
        g->size += pool_size_of(members->v[i]);
    }
    return g;
}

static void group_free(struct mempool_group *g)
{
    free(g->members);
    free(g);
}

/* The payer's ancestors turn primary with it, and their other children lose that debt. */
static bool make_group(struct mempool *mp, struct pool_entry *payer)
{
    struct pool_list *members = &mp->scratch;
    if (!collect_unpaid(mp, payer, members))
        return false;
    struct mempool_group *g = group_new(members);
    if (!pays(mp, g->fee, g->size)) {
        group_free(g);
        return false;
    }
    mp->n_groups++;
    for (size_t i = 0; i < members->n; i++) {
        members->v[i]->pub.group = g;
        pool_set_primary(mp, members->v[i], true);
    }
    enter_journal(mp, members->v, members->n);
    for (size_t i = 0; i < members->n; i++)
        for (uint32_t k = 0; k < members->v[i]->pub.n_children; k++) {
            struct pool_entry *child = pool_entry_of(members->v[i]->pub.children[k]);
            if (child->pub.group != g)
                pool_enqueue(mp, child);
        }
    return true;
}

/* --- the queue --- */

static bool debt_equal(const struct pool_debt *a, const struct pool_debt *b)
{
    return a->count == b->count && a->fee == b->fee && a->size == b->size;
}

/* True when something that children see changed. */
static bool judge_payment(struct mempool *mp, struct pool_entry *e, const struct pool_debt *d,
                          bool alone)
{
    if (within_group(mp, d->count) && pays(mp, d->fee, d->size)) {
        if (alone) {
            pool_set_primary(mp, e, true);
            enter_journal(mp, &e, 1);
        }
        if (alone || make_group(mp, e))
            return true;
    }
    const bool changed = !debt_equal(&e->debt, d);
    e->debt = *d;
    e->pub.secondary_ancestors = d->count;
    return changed;
}

void pool_judge(struct mempool *mp, struct pool_entry *e)
{
    uint32_t ancestors;
    bool alone;
    const struct pool_debt d = sum_up(mp, e, &ancestors, &alone);
    bool changed = ancestors != e->pub.ancestors;
    mp->visits += 1 + e->pub.n_parents;
    e->pub.ancestors = ancestors;
    if (!e->pub.primary && judge_payment(mp, e, &d, alone))
        changed = true;
    if (changed)
        queue_children(mp, e);
}

/* --- groups that break --- */

static void break_group(struct mempool *mp, struct mempool_group *g)
{
    if (g->broken)
        return;
    g->broken = true;
    g->next_broken = mp->broken;
    mp->broken = g;
}

void pool_leave_group(struct mempool *mp, struct pool_entry *e)
{
    struct mempool_group *g = e->pub.group;
    if (!g)
        return;
    size_t i = 0;
    while (g->members[i] != &e->pub)
        i++;
    g->n--;
    memmove(&g->members[i], &g->members[i + 1], (g->n - i) * sizeof(*g->members));
    g->fee -= pool_fee_of(e);
    g->size -= pool_size_of(e);
    e->pub.group = NULL;
    break_group(mp, g);
}

/* All members are on their own again, and on the list. */
static void disband(struct mempool *mp, struct mempool_group *g, struct pool_list *out)
{
    break_group(mp, g); /* it is freed from that list */
    for (size_t i = 0; i < g->n; i++) {
        struct pool_entry *e = pool_entry_of(g->members[i]);
        e->pub.group = NULL;
        pool_rate_again(mp, e);
        pool_list_push(out, e);
    }
    g->n = 0;
}

/* Those on the list, their groups, and all that come after become secondary and are queued. */
static void demote_all(struct mempool *mp, struct pool_list *list)
{
    for (size_t done = 0; done < list->n; done++) {
        struct pool_entry *e = list->v[done];
        pool_enqueue(mp, e); /* those that are secondary have more debts now */
        if (!e->pub.primary)
            continue;
        if (e->pub.group)
            disband(mp, e->pub.group, list);
        pool_set_primary(mp, e, false);
        e->debt = (struct pool_debt){ .fee = pool_fee_of(e), .size = pool_size_of(e) };
        for (uint32_t i = 0; i < e->pub.n_children; i++)
            pool_list_push(list, pool_entry_of(e->pub.children[i]));
    }
}

void pool_fee_changed(struct mempool *mp, struct pool_entry *e)
{
    struct pool_list list = { 0 };
    if (e->pub.group)
        break_group(mp, e->pub.group);
    else if (!e->pub.primary)
        pool_enqueue(mp, e);
    else if (!pays(mp, pool_fee_of(e), pool_size_of(e)))
        pool_list_push(&list, e);
    demote_all(mp, &list);
    free(list.v);
    pool_rate_again(mp, e);
}

static void clear_broken_groups(struct mempool *mp)
{
    struct pool_list list = { 0 };
    for (struct mempool_group *g = mp->broken; g; g = g->next_broken)
        disband(mp, g, &list);
    demote_all(mp, &list);
    free(list.v);
    while (mp->broken) {
        struct mempool_group *g = mp->broken;
        mp->broken = g->next_broken;
        mp->n_groups--;
        group_free(g);
    }
}

void pool_settle(struct mempool *mp, size_t max_visits)
{
    if (mp->broken)
        clear_broken_groups(mp);
    const uint64_t begin = mp->visits;
    while (mp->pending.n && mp->visits - begin < max_visits)
        pool_judge(mp, (struct pool_entry *)heap_pop(&mp->pending));
    if (max_visits == POOL_VISITS_ALL)
        mp->settle_all = false;
}

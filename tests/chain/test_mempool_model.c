/*
 * The mempool against a model that keeps no structure at all: after every change each number of
 * each transaction is worked out anew by the words of spec consensus 5.3. Additions, removals,
 * blocks with conflicts, changed fees, trimming and expiry come in random order, from fixed seeds.
 *
 * The same logs run on pools with other hash keys must end alike (attacks B10), and what an
 * admission costs is counted, not timed (attacks B5).
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/mempool_internal.h"
#include "chain/policy.h"
#include "tests/chain/pool_util.h"

enum { TXS = 600, OUTS = 3, NONE = -1 };

/* --- randomness that can be repeated --- */

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(test_random(&seed) >> 33) % n;
}

/* --- the model --- */

struct model_tx {
    struct tx *tx;
    int64_t fee, delta, time;
    bool in, primary;
    int group;     /* number of its payer, or NONE */
};

struct model {
    struct mempool_options o;
    struct model_tx tx[TXS];
    int n;
};

static bool is_parent(const struct model *m, int parent, int child)
{
    if (!m->tx[parent].in)
        return false;
    for (size_t i = 0; i < m->tx[child].tx->n_in; i++)
        if (txid_equal(&m->tx[child].tx->in[i].prevout.txid, &m->tx[parent].tx->id))
            return true;
    return false;
}

static int64_t fee_of(const struct model *m, int i)
{
    return m->tx[i].fee + m->tx[i].delta;
}

struct sum {
    uint32_t ancestors, unpaid; /* longest chain; secondary ones, with repetition */
    int64_t fee;                /* of itself and them, so too */
    uint64_t size;
};

/* Recursion over all paths: repetition comes by itself. */
static struct sum sum_of(const struct model *m, int i)
{
    struct sum s = { .fee = fee_of(m, i), .size = m->tx[i].tx->raw.len };
    for (int p = 0; p < i; p++) {
        if (!is_parent(m, p, i))
            continue;
        const struct sum of_parent = sum_of(m, p);
        s.ancestors = MAX_OF(s.ancestors, of_parent.ancestors + 1);
        if (m->tx[p].primary)
            continue;
        s.unpaid += of_parent.unpaid + 1;
        s.fee += of_parent.fee;
        s.size += of_parent.size;
    }
    return s;
}

static void spread(const struct model *m, int i, bool up, bool *set)
{
    set[i] = true;
    for (int k = 0; k < m->n; k++)
        if (m->tx[k].in && !set[k] && (up ? is_parent(m, k, i) : is_parent(m, i, k)))
            spread(m, k, up, set);
}

/* The lowest secondary one that pays turns primary with its secondary ancestors; NONE: there is
 * none. */
static int promote_first(struct model *m)
{
    for (int i = 0; i < m->n; i++) {
        if (!m->tx[i].in || m->tx[i].primary)
            continue;
        const struct sum s = sum_of(m, i);
        if (s.unpaid >= m->o.max_group_members ||
            s.fee < fee_of_rate(m->o.mining_fee_per_kb, s.size))
            continue;
        bool ancestors[TXS] = { false };
        spread(m, i, true, ancestors);
        for (int k = 0; k <= i; k++) {
            if (!ancestors[k] || m->tx[k].primary)
                continue;
            m->tx[k].primary = true;
            m->tx[k].group = s.unpaid ? i : NONE;
        }
        return i;
    }
    return NONE;
}

static void settle(struct model *m)
{
    while (promote_first(m) != NONE)
        continue;
}

/* i, its group, and the descendants of all these lose what they had. */
static void demote(struct model *m, int i)
{
    if (!m->tx[i].in || !m->tx[i].primary)
        return;
    const int group = m->tx[i].group;
    m->tx[i].primary = false;
    m->tx[i].group = NONE;
    for (int k = 0; k < m->n; k++)
        if ((group != NONE && m->tx[k].group == group) || is_parent(m, i, k))
            demote(m, k);
}

static void break_group(struct model *m, int group)
{
    for (int k = 0; k < m->n && group != NONE; k++)
        if (m->tx[k].group == group)
            demote(m, k);
}

/* Those marked go; what they paid for with others has to prove itself again. */
static void drop(struct model *m, const bool *set)
{
    bool groups[TXS] = { false };
    for (int i = 0; i < m->n; i++) {
        if (!m->tx[i].in || !set[i])
            continue;
        m->tx[i].in = m->tx[i].primary = false;
        if (m->tx[i].group != NONE)
            groups[m->tx[i].group] = true;
        m->tx[i].group = NONE;
    }
    for (int g = 0; g < m->n; g++)
        if (groups[g])
            break_group(m, g);
}

static void drop_tree(struct model *m, int i)
{
    bool set[TXS] = { false };
    spread(m, i, false, set);
    drop(m, set);
}

/* --- model and pool side by side --- */

struct run {
    struct model *m;
    struct mempool *pool[2];
    uint32_t next_coin;
    int64_t now;
    size_t groups; /* seen, over all comparisons */
};

static struct mempool_entry *entry_of(const struct run *r, int side, int i)
{
    return mempool_find(r->pool[side], &r->m->tx[i].tx->id);
}

static size_t group_size(const struct model *m, int group)
{
    size_t n = 0;
    for (int i = 0; i < m->n && group != NONE; i++)
        n += m->tx[i].group == group;
    return n;
}

static void compare_entry(const struct run *r, int i, const struct mempool_entry *e)
{
    const struct model_tx *t = &r->m->tx[i];
    assert_int_equal(e != NULL, t->in);
    if (!e)
        return;
    const struct sum s = sum_of(r->m, i);
    assert_int_equal(e->primary, t->primary);
    assert_int_equal(e->ancestors, s.ancestors);
    if (!t->primary)
        assert_int_equal(e->secondary_ancestors, s.unpaid);
    assert_int_equal(e->fee + e->fee_delta, fee_of(r->m, i));
    assert_int_equal(e->group != NULL, t->group != NONE);
    if (!e->group)
        return;
    assert_int_equal(e->group->n, group_size(r->m, t->group));
    const struct mempool_entry *payer = e->group->members[e->group->n - 1];
    assert_true(txid_equal(&payer->tx->id, &r->m->tx[t->group].tx->id));
}

static void compare(struct run *r)
{
    for (int side = 0; side < 2; side++) {
        struct mempool_stats s;
        size_t count = 0, primary = 0, groups = 0, memory = 0, secondary = 0, bytes = 0;
        uint64_t fees = 0;
        for (int i = 0; i < r->m->n; i++) {
            const struct mempool_entry *e = entry_of(r, side, i);
            compare_entry(r, i, e);
            if (!e)
                continue;
            count++;
            primary += e->primary;
            groups += r->m->tx[i].group == i;
            memory += e->memory;
            secondary += e->primary ? 0 : e->memory;
            bytes += e->tx->raw.len;
            fees += (uint64_t)e->fee;
        }
        mempool_get_stats(r->pool[side], r->now, &s);
        assert_int_equal(s.count, count);
        assert_int_equal(s.primary, primary);
        assert_int_equal(s.groups, groups);
        r->groups += groups;
        assert_int_equal(s.memory, memory);
        assert_int_equal(s.secondary_memory, secondary);
        assert_int_equal(s.tx_bytes, bytes);
        assert_int_equal(s.total_fee, fees);
    }
    /* The same log, other hash keys: the same pool. */
    assert_int_equal(mempool_min_fee_per_kb(r->pool[0], r->now),
                     mempool_min_fee_per_kb(r->pool[1], r->now));
}

/* --- what happens --- */

static bool is_spent(const struct model *m, const struct outpoint *o)
{
    for (int i = 0; i < m->n; i++)
        for (size_t k = 0; m->tx[i].in && k < m->tx[i].tx->n_in; k++)
            if (outpoint_equal(&m->tx[i].tx->in[k].prevout, o))
                return true;
    return false;
}

static int any_in(const struct model *m)
{
    for (int tries = 0; tries < 50 && m->n; tries++) {
        const int i = (int)below((uint32_t)m->n);
        if (m->tx[i].in)
            return i;
    }
    return NONE;
}

/* An output of the pool, or a coin; never one that is spent or in `used`. */
static struct outpoint any_output(struct run *r, const struct outpoint *used, size_t n_used)
{
    for (int tries = 0; tries < 4; tries++) {
        const int i = any_in(r->m);
        if (i == NONE || below(6) == 0)
            break;
        const struct outpoint o = pool_out(r->m->tx[i].tx, below(OUTS));
        bool fresh = !is_spent(r->m, &o);
        for (size_t k = 0; k < n_used; k++)
            fresh = fresh && !outpoint_equal(&used[k], &o);
        if (fresh)
            return o;
    }
    return pool_coin(r->next_coin++);
}

static void add_one(struct run *r)
{
    static const int64_t fees[] = { 0, 0, 0, 100, 300, 425, 425, 600, 900, 2000 };
    struct outpoint in[3];
    const size_t n_in = 1 + below(3);
    struct model_tx *t = &r->m->tx[r->m->n];
    for (size_t i = 0; i < n_in; i++)
        in[i] = any_output(r, in, i);
    /* No two have one size, so that no two can be the same. */
    *t = (struct model_tx){ .tx = pool_tx(in, n_in, OUTS, 250 + (size_t)r->m->n), .group = NONE,
                            .fee = fees[below(COUNT_OF(fees))], .in = true,
                            .time = r->now - below(100) };
    r->m->n++;
    const struct sum s = sum_of(r->m, r->m->n - 1);
    for (int side = 0; side < 2; side++) {
        struct verdict v = { 0 };
        const struct mempool_candidate c = { .tx = t->tx, .fee = t->fee, .time = t->time };
        t->in = mempool_check_chain(r->pool[side], t->tx, &v);
        assert_int_equal(t->in, s.ancestors < r->m->o.max_ancestors &&
                                    s.unpaid < r->m->o.max_group_members);
        if (t->in)
            assert_non_null(mempool_add(r->pool[side], &c));
    }
    settle(r->m);
}

static void remove_one(struct run *r)
{
    const int i = any_in(r->m);
    if (i == NONE)
        return;
    bool tree[TXS] = { false };
    spread(r->m, i, false, tree);
    for (int side = 0; side < 2; side++) {
        struct mempool_removals out = { 0 };
        mempool_remove(r->pool[side], &r->m->tx[i].tx->id, MEMPOOL_REORG, &out);
        size_t next = 0;
        for (int k = 0; k < r->m->n; k++)
            if (tree[k])
                assert_ptr_equal(out.v[next++].tx, r->m->tx[k].tx);
        assert_int_equal(out.n, next);
        mempool_removals_clear(&out);
    }
    drop_tree(r->m, i);
    settle(r->m);
}

static void confirm_rival(struct run *r)
{
    const int i = any_in(r->m);
    if (i == NONE)
        return;
    const struct outpoint in[2] = { r->m->tx[i].tx->in[0].prevout, pool_coin(r->next_coin++) };
    for (int p = 0; p < r->m->n; p++)
        if (is_parent(r->m, p, i))
            return; /* its parents would have to be in the block */
    struct tx *rival = pool_tx(in, 2, 1, 100);
    for (int side = 0; side < 2; side++)
        mempool_remove_confirmed(r->pool[side], rival, NULL);
    drop_tree(r->m, i);
    tx_unref(rival);
}

/* A block takes some transactions with all their ancestors, and one that nobody here knew. */
static void connect_block(struct run *r)
{
    bool set[TXS] = { false };
    if (below(3) == 0)
        confirm_rival(r);
    for (uint32_t n = below(4); n; n--) {
        const int i = any_in(r->m);
        if (i != NONE)
            spread(r->m, i, true, set);
    }
    for (int i = 0; i < r->m->n; i++)
        for (int side = 0; set[i] && side < 2; side++)
            mempool_remove_confirmed(r->pool[side], r->m->tx[i].tx, NULL);
    for (int side = 0; side < 2; side++)
        mempool_note_block(r->pool[side], r->now);
    for (int i = 0; i < r->m->n; i++)
        if (set[i])
            r->m->tx[i].delta = 0;
    drop(r->m, set);
    settle(r->m);
}

static void change_fee(struct run *r)
{
    const int i = any_in(r->m);
    if (i == NONE)
        return;
    struct model_tx *t = &r->m->tx[i];
    const int64_t change = (int64_t)below(5) * 100 - 200;
    for (int side = 0; side < 2; side++)
        mempool_prioritise(r->pool[side], &t->tx->id, change);
    t->delta += change;
    if (t->group != NONE)
        break_group(r->m, t->group);
    else if (t->primary && fee_of(r->m, i) < fee_of_rate(r->m->o.mining_fee_per_kb,
                                                         t->tx->raw.len))
        demote(r->m, i);
    settle(r->m);
}

static void expire_some(struct run *r)
{
    r->now += 50;
    for (int side = 0; side < 2; side++)
        mempool_expire(r->pool[side], r->now, NULL);
    for (int i = 0; i < r->m->n; i++)
        if (r->m->tx[i].in && r->m->tx[i].time < r->now - r->m->o.expiry_s)
            drop_tree(r->m, i);
    settle(r->m);
}

/* --- trimming --- */

static int64_t rate_of(const struct model *m, int i)
{
    int64_t fee = 0;
    uint64_t size = 0;
    for (int k = 0; k < m->n; k++) {
        if (k != i && (m->tx[i].group == NONE || m->tx[k].group != m->tx[i].group))
            continue;
        fee += fee_of(m, k);
        size += m->tx[k].tx->raw.len;
    }
    return fee * 1000 / (int64_t)size;
}

static bool has_child(const struct model *m, int i)
{
    for (int k = i + 1; k < m->n; k++)
        if (m->tx[k].in && is_parent(m, i, k))
            return true;
    return false;
}

static int worst_of(const struct model *m)
{
    int worst = NONE;
    for (int i = 0; i < m->n; i++) {
        if (!m->tx[i].in || has_child(m, i))
            continue;
        if (worst == NONE || m->tx[i].primary < m->tx[worst].primary ||
            (m->tx[i].primary == m->tx[worst].primary && rate_of(m, i) <= rate_of(m, worst)))
            worst = i;
    }
    return worst;
}

static bool is_too_much(const struct model *m, const size_t *memory)
{
    size_t all = 0, secondary = 0;
    for (int i = 0; i < m->n; i++) {
        if (!m->tx[i].in)
            continue;
        all += memory[i];
        secondary += m->tx[i].primary ? 0 : memory[i];
    }
    return all > m->o.max_bytes || secondary > m->o.max_secondary_bytes;
}

static void trim(struct run *r)
{
    size_t memory[TXS] = { 0 };
    struct mempool_removals out[2] = { { 0 }, { 0 } };
    size_t n = 0;
    for (int i = 0; i < r->m->n; i++)
        if (r->m->tx[i].in)
            memory[i] = entry_of(r, 0, i)->memory;
    for (int side = 0; side < 2; side++)
        mempool_trim(r->pool[side], r->now, &out[side]);
    while (is_too_much(r->m, memory)) {
        const int i = worst_of(r->m);
        for (int side = 0; side < 2; side++) {
            assert_true(n < out[side].n);
            assert_ptr_equal(out[side].v[n].tx, r->m->tx[i].tx);
            assert_int_equal(out[side].v[n].reason, MEMPOOL_SIZE_LIMIT);
        }
        n++;
        drop_tree(r->m, i);
        settle(r->m);
    }
    for (int side = 0; side < 2; side++) {
        assert_int_equal(out[side].n, n);
        mempool_removals_clear(&out[side]);
    }
}

/* --- runs --- */

static struct run run_begin(uint64_t with_seed, size_t max_bytes)
{
    struct run r = { .m = xcalloc(1, sizeof(*r.m)), .next_coin = 1, .now = 10000 };
    seed = with_seed;
    r.m->o = pool_options();
    r.m->o.max_ancestors = 12;
    r.m->o.max_group_members = 6;
    r.m->o.max_bytes = max_bytes;
    r.m->o.max_secondary_bytes = max_bytes / 2;
    r.m->o.expiry_s = 400;
    for (int side = 0; side < 2; side++)
        r.pool[side] = mempool_new(&r.m->o);
    return r;
}

static void run_end(struct run *r)
{
    for (int i = 0; i < r->m->n; i++)
        tx_unref(r->m->tx[i].tx);
    for (int side = 0; side < 2; side++)
        mempool_free(r->pool[side]);
    free(r->m);
}

static void run_log(uint64_t with_seed, size_t max_bytes)
{
    struct run r = run_begin(with_seed, max_bytes);
    while (r.m->n < TXS) {
        const uint32_t dice = below(100);
        r.now += below(3);
        if (dice < 75)
            add_one(&r);
        else if (dice < 80)
            remove_one(&r);
        else if (dice < 88)
            connect_block(&r);
        else if (dice < 98)
            change_fee(&r);
        else
            expire_some(&r);
        trim(&r);
        compare(&r);
    }
    assert_true(r.groups > TXS);
    run_end(&r);
}

static void it_agrees_with_the_model(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 6; s++)
        run_log(s * UINT64_C(0x9e3779b97f4a7c15), 1000000);
}

static void it_agrees_with_the_model_while_it_is_full(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 6; s++)
        run_log(s * UINT64_C(0xd1342543de82ef95), 25000);
}

/* --- what admission costs: inputs, parents and queue steps, counted --- */

static struct mempool_entry *counted_add(struct mempool *mp, struct tx *tx, int64_t fee,
                                         uint64_t *cost)
{
    const uint64_t before = mp->visits;
    struct mempool_entry *e = pool_add(mp, tx, fee);
    *cost = mp->visits - before;
    return e;
}

static void a_chain_of_10000_is_admitted_at_a_flat_cost(void **state)
{
    (void)state;
    const struct mempool_options o = pool_options();
    struct mempool *mp = mempool_new(&o);
    const struct mempool_entry *last = NULL;
    uint64_t cost;
    for (uint32_t i = 0; i < 10000; i++) {
        last = counted_add(mp, pool_child(last ? last->tx : NULL, 0, 1, 200), 100, &cost);
        assert_true(cost <= 6);
        assert_int_equal(last->ancestors, i);
    }
    struct tx *tx = pool_child(last->tx, 0, 1, 200);
    struct verdict v = { 0 };
    assert_false(mempool_check_chain(mp, tx, &v));
    tx_unref(tx);
    mempool_free(mp);
}

static void a_fan_of_100000_is_admitted_and_trimmed_at_a_flat_cost(void **state)
{
    (void)state;
    enum { FAN = 100000 };
    const struct mempool_options o = pool_options();
    struct mempool *mp = mempool_new(&o);
    struct tx *root = pool_child(NULL, 1, FAN, 0);
    uint64_t cost;
    pool_add(mp, tx_ref(root), 10000000);
    for (uint32_t i = 0; i < FAN; i++) {
        counted_add(mp, pool_child(root, i, 1, 0), 100, &cost);
        assert_true(cost <= 6);
    }
    mp->o.max_bytes = mp->memory / 2;
    const uint64_t before = mp->visits;
    mempool_trim(mp, 0, NULL);
    assert_true(mp->memory <= mp->o.max_bytes);
    assert_int_equal(mp->visits, before);
    tx_unref(root);
    mempool_free(mp);
}

/* One member with many children outside: they lose their debt at once when it is paid, but are
 * looked at in portions. */
static void what_a_group_sets_free_is_worked_off_in_portions(void **state)
{
    (void)state;
    enum { FAN = 20000 };
    const struct mempool_options o = pool_options();
    struct mempool *mp = mempool_new(&o);
    struct tx *root = pool_child(NULL, 1, FAN + 2, 0);
    struct mempool_stats s;
    uint64_t cost;
    pool_add(mp, tx_ref(root), 0);
    for (uint32_t i = 0; i < FAN; i++)
        counted_add(mp, pool_child(root, i, 1, 0), 100, &cost);
    mempool_get_stats(mp, 0, &s);
    assert_int_equal(s.secondary, FAN + 1);
    const struct mempool_entry *payer =
        counted_add(mp, pool_child(root, FAN, 1, 0), 10000000, &cost);
    assert_true(payer->primary);
    mempool_get_stats(mp, 0, &s);
    assert_true(s.primary > 300 && s.primary < 1100);
    for (uint32_t i = 2; s.secondary > 0; i++) {
        assert_true(i < 50);
        counted_add(mp, pool_child(NULL, i, 1, 0), 100, &cost);
        assert_true(cost <= POOL_VISITS_PER_ADD + 10);
        mempool_get_stats(mp, 0, &s);
    }
    tx_unref(root);
    mempool_free(mp);
}

/* Blocks that take the head of a long chain, then the rest: once through the pool for each
 * block. */
static void confirming_a_chain_costs_the_length_once_a_block(void **state)
{
    (void)state;
    enum { LENGTH = 10000, BLOCKS = 5 };
    const struct mempool_options o = pool_options();
    struct mempool *mp = mempool_new(&o);
    struct tx **chain = xcalloc(LENGTH, sizeof(struct tx *));
    for (int i = 0; i < LENGTH; i++) {
        chain[i] = pool_child(i ? chain[i - 1] : NULL, 0, 1, 200);
        /* Every 20th pays for the 19 before: groups all along. */
        pool_add(mp, tx_ref(chain[i]), i % 20 == 19 ? 2000 : 0);
    }
    struct mempool_stats s;
    mempool_get_stats(mp, 0, &s);
    assert_int_equal(s.groups, LENGTH / 20);
    for (int b = 0; b < BLOCKS; b++) {
        const uint64_t before = mp->visits;
        for (int i = b * LENGTH / BLOCKS; i < (b + 1) * LENGTH / BLOCKS; i++)
            mempool_remove_confirmed(mp, chain[i], NULL);
        mempool_note_block(mp, 0);
        assert_true(mp->visits - before < 12 * LENGTH);
    }
    mempool_get_stats(mp, 0, &s);
    assert_int_equal(s.count, 0);
    for (int i = 0; i < LENGTH; i++)
        tx_unref(chain[i]);
    free(chain);
    mempool_free(mp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_the_model),
        cmocka_unit_test(it_agrees_with_the_model_while_it_is_full),
        cmocka_unit_test(a_chain_of_10000_is_admitted_at_a_flat_cost),
        cmocka_unit_test(a_fan_of_100000_is_admitted_and_trimmed_at_a_flat_cost),
        cmocka_unit_test(what_a_group_sets_free_is_worked_off_in_portions),
        cmocka_unit_test(confirming_a_chain_costs_the_length_once_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

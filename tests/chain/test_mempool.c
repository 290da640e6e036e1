#include <config.h>

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/amount.h"
#include "base/mem.h"
#include "tests/chain/pool_util.h"

static struct mempool *begin(void)
{
    const struct mempool_options o = pool_options();
    return mempool_new(&o);
}

/* A transaction of 200 bytes costs 100 satoshis at 500 a kB. */
#define SIZE 200
#define PAYS 100

static struct mempool_entry *add_on(struct mempool *mp, const struct mempool_entry *parent,
                                    uint32_t index, int64_t fee)
{
    return pool_add(mp, pool_child(parent ? parent->tx : NULL, index, 4, SIZE), fee);
}

static void confirm(struct mempool *mp, const struct mempool_entry *e)
{
    struct tx *tx = tx_ref(e->tx);
    mempool_remove_confirmed(mp, tx, NULL);
    tx_unref(tx);
}

static struct mempool_stats stats_of(struct mempool *mp)
{
    struct mempool_stats s;
    mempool_get_stats(mp, 0, &s);
    return s;
}

/* --- container --- */

static void what_was_added_is_found_by_id_and_by_what_it_spends(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS);
    const struct outpoint coin = pool_coin(1), out = pool_out(a->tx, 3), none = pool_out(a->tx, 4);
    assert_int_equal(a->tx->raw.len, SIZE);
    assert_ptr_equal(mempool_find(mp, &a->tx->id), a);
    assert_ptr_equal(mempool_spender(mp, &coin), a);
    assert_null(mempool_spender(mp, &out));
    assert_true(mempool_contains(mp, &a->tx->id));
    struct tx *tx = mempool_get_tx(mp, &a->tx->id), *by = mempool_get_spender(mp, &coin);
    struct tx *holder = mempool_get_output(mp, &out);
    assert_ptr_equal(tx, a->tx);
    assert_ptr_equal(by, a->tx);
    assert_ptr_equal(holder, a->tx);
    assert_null(mempool_get_output(mp, &none));
    assert_null(mempool_get_output(mp, &coin));
    tx_unref(tx);
    tx_unref(by);
    tx_unref(holder);
    mempool_free(mp);
}

static void numbers_add_up_and_return_to_nothing(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS);
    struct mempool_entry *b = add_on(mp, a, 0, 7);
    struct mempool_stats s = stats_of(mp);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.primary, 1);
    assert_int_equal(s.secondary, 1);
    assert_int_equal(s.tx_bytes, 2 * SIZE);
    assert_int_equal(s.total_fee, PAYS + 7);
    assert_int_equal(s.memory, a->memory + b->memory);
    assert_int_equal(s.secondary_memory, b->memory);
    assert_true(a->memory > sizeof(*a) + tx_memory(a->tx));
    assert_int_equal(s.sequence, 3);
    struct mempool_removals out = { 0 };
    mempool_remove(mp, &a->tx->id, MEMPOOL_REORG, &out);
    s = stats_of(mp);
    assert_int_equal(out.n, 2);
    assert_int_equal(s.count + s.primary + s.secondary + s.tx_bytes + s.total_fee, 0);
    assert_int_equal(s.memory + s.secondary_memory + s.groups, 0);
    mempool_removals_clear(&out);
    mempool_free(mp);
}

static size_t memory_in_use(void)
{
    const struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void what_is_charged_is_what_the_system_gave(void **state)
{
    (void)state;
    const size_t before = memory_in_use();
    struct mempool *mp = begin();
    struct mempool_entry *e = NULL;
    for (uint32_t i = 0; i < 20000; i++)
        e = add_on(mp, i % 20 ? e : NULL, i % 20 ? 0 : i, i % 20 == 19 ? 20 * PAYS : 0);
    const size_t used = memory_in_use() - before, charged = stats_of(mp).memory;
    mempool_free(mp);
    if (used == 0)
        skip(); /* an allocator that does not tell */
    assert_true(charged >= used);
    assert_true(charged <= used + used / 4);
}

static void a_removal_takes_all_descendants_children_after_parents(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS), *b = add_on(mp, a, 0, PAYS);
    struct mempool_entry *c = add_on(mp, a, 1, PAYS), *other = add_on(mp, NULL, 2, PAYS);
    const struct outpoint two[2] = { pool_out(b->tx, 0), pool_out(c->tx, 0) };
    struct mempool_entry *d = pool_add(mp, pool_tx(two, 2, 1, SIZE), PAYS);
    const struct txid want[4] = { a->tx->id, b->tx->id, c->tx->id, d->tx->id };
    struct mempool_removals out = { 0 };
    assert_int_equal(d->n_parents, 2);
    assert_int_equal(d->ancestors, 2);
    mempool_remove(mp, &a->tx->id, MEMPOOL_REORG, &out);
    assert_int_equal(out.n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(txid_equal(&out.v[i].tx->id, &want[i]));
        assert_int_equal(out.v[i].reason, MEMPOOL_REORG);
        assert_null(out.v[i].conflict);
    }
    assert_int_equal(stats_of(mp).count, 1);
    assert_ptr_equal(mempool_find(mp, &other->tx->id), other);
    mempool_removals_clear(&out);
    mempool_free(mp);
}

static void a_confirmed_transaction_leaves_its_children(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS), *b = add_on(mp, a, 0, PAYS);
    struct mempool_entry *c = add_on(mp, b, 0, PAYS);
    struct mempool_removals out = { 0 };
    struct tx *tx = tx_ref(a->tx);
    assert_int_equal(c->ancestors, 2);
    mempool_remove_confirmed(mp, tx, &out);
    mempool_note_block(mp, 0);
    assert_int_equal(out.n, 1);
    assert_ptr_equal(out.v[0].tx, tx);
    assert_int_equal(out.v[0].reason, MEMPOOL_IN_BLOCK);
    assert_int_equal(b->n_parents, 0);
    assert_int_equal(b->ancestors, 0);
    assert_int_equal(c->ancestors, 1);
    mempool_removals_clear(&out);
    tx_unref(tx);
    mempool_free(mp);
}

static void what_a_block_spends_otherwise_leaves_with_its_descendants(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS);
    add_on(mp, a, 0, PAYS);
    struct tx *rival = pool_child(NULL, 1, 1, SIZE);
    struct mempool_removals out = { 0 };
    mempool_remove_confirmed(mp, rival, &out);
    assert_int_equal(out.n, 2);
    assert_int_equal(out.v[1].reason, MEMPOOL_BLOCK_CONFLICT);
    assert_ptr_equal(out.v[1].conflict, rival);
    assert_int_equal(stats_of(mp).count, 0);
    mempool_removals_clear(&out);
    tx_unref(rival);
    mempool_free(mp);
}

static void all_can_be_removed_at_once(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *e = NULL;
    for (uint32_t i = 0; i < 200; i++)
        e = add_on(mp, i % 3 ? e : NULL, i % 3 ? 0 : i, i % 2 ? PAYS : 0);
    struct mempool_removals out = { 0 };
    mempool_remove_all(mp, MEMPOOL_ERA, &out);
    assert_int_equal(out.n, 200);
    assert_string_equal(mempool_reason_name(out.v[0].reason), "unknown-reason");
    const struct mempool_stats s = stats_of(mp);
    assert_int_equal(s.count + s.memory + s.secondary_memory + s.groups, 0);
    add_on(mp, NULL, 1, PAYS);
    assert_int_equal(stats_of(mp).count, 1);
    mempool_removals_clear(&out);
    mempool_free(mp);
}

struct walk {
    uint64_t seen[16];
    size_t n, enough;
};

static enum mempool_visit note(void *ctx, const struct mempool_entry *entry)
{
    struct walk *w = (struct walk *)ctx;
    w->seen[w->n++] = entry->sequence;
    return w->n == w->enough ? MEMPOOL_ENOUGH : MEMPOOL_GO_ON;
}

static void a_walk_goes_by_sequence_from_anywhere(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *e[6];
    for (uint32_t i = 0; i < 6; i++)
        e[i] = add_on(mp, NULL, i, PAYS);
    confirm(mp, e[3]);
    struct walk w = { .n = 0 };
    mempool_each(mp, 0, note, &w);
    assert_int_equal(w.n, 5);
    assert_int_equal(w.seen[0], e[0]->sequence);
    assert_int_equal(w.seen[4], e[5]->sequence);
    w = (struct walk){ .enough = 2 };
    mempool_each(mp, e[2]->sequence, note, &w);
    assert_int_equal(w.n, 2);
    assert_int_equal(w.seen[0], e[4]->sequence);
    w.n = 0;
    mempool_each(mp, e[5]->sequence, note, &w);
    assert_int_equal(w.n, 0);
    assert_true(mempool_visit(mp, &e[1]->tx->id, note, &w));
    assert_int_equal(w.seen[0], e[1]->sequence);
    mempool_free(mp);
}

static void relatives_are_visited_once_each(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS), *b = add_on(mp, a, 0, PAYS);
    struct mempool_entry *c = add_on(mp, a, 1, PAYS);
    const struct outpoint two[2] = { pool_out(b->tx, 0), pool_out(c->tx, 0) };
    struct mempool_entry *d = pool_add(mp, pool_tx(two, 2, 1, SIZE), PAYS);
    struct walk w = { .n = 0 };
    mempool_each_ancestor(mp, &d->tx->id, note, &w);
    assert_int_equal(w.n, 4);
    assert_int_equal(w.seen[0], d->sequence);
    assert_int_equal(w.seen[1], a->sequence);
    assert_int_equal(w.seen[3], c->sequence);
    w.n = 0;
    mempool_each_descendant(mp, &a->tx->id, note, &w);
    assert_int_equal(w.n, 4);
    assert_int_equal(w.seen[0], a->sequence);
    assert_int_equal(w.seen[3], d->sequence);
    const struct txid nobody = { { 1 } };
    w.n = 0;
    mempool_each_descendant(mp, &nobody, note, &w);
    assert_false(mempool_visit(mp, &nobody, note, &w));
    assert_int_equal(w.n, 0);
    mempool_free(mp);
}

static void trees_that_overlap_are_visited_once(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS), *b = add_on(mp, a, 0, PAYS);
    struct mempool_entry *c = add_on(mp, NULL, 2, PAYS), *d = add_on(mp, b, 0, PAYS);
    struct mempool_entry *alone = add_on(mp, NULL, 3, PAYS);
    const struct txid roots[4] = { d->tx->id, c->tx->id, b->tx->id, { { 1 } } };
    struct walk w = { .n = 0 };
    mempool_each_of_trees(mp, roots, 4, note, &w);
    assert_int_equal(w.n, 3);
    assert_int_equal(w.seen[0], b->sequence);
    assert_int_equal(w.seen[1], c->sequence);
    assert_int_equal(w.seen[2], d->sequence);
    assert_true(alone->sequence > d->sequence);
    w.n = 0;
    mempool_each_of_trees(mp, roots, 0, note, &w);
    assert_int_equal(w.n, 0);
    mempool_free(mp);
}

/* --- who pays --- */

static void behaviour_79_a_child_that_pays_for_both_moves_the_pair_to_the_primary_pool(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, 0);
    assert_false(a->primary);
    struct mempool_entry *poor = add_on(mp, a, 0, 2 * PAYS - 1);
    assert_false(poor->primary);
    assert_int_equal(poor->secondary_ancestors, 1);
    struct mempool_entry *rich = add_on(mp, a, 1, 2 * PAYS);
    assert_true(a->primary && rich->primary);
    assert_ptr_equal(a->group, rich->group);
    assert_int_equal(a->group->n, 2);
    assert_ptr_equal(a->group->members[1], rich);
    assert_int_equal(a->group->fee, 2 * PAYS);
    assert_int_equal(a->group->size, 2 * SIZE);
    /* The other child has no debt left, and pays for itself. */
    assert_true(poor->primary);
    assert_null(poor->group);
    assert_int_equal(stats_of(mp).groups, 1);
    mempool_free(mp);
}

static void behaviour_80_the_26th_of_a_chain_that_does_not_pay_is_refused(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *last = add_on(mp, NULL, 1, 0);
    struct verdict v = { 0 };
    for (int i = 1; i < 25; i++) {
        struct tx *tx = pool_child(last->tx, 0, 1, SIZE);
        assert_true(mempool_check_chain(mp, tx, &v));
        last = pool_add(mp, tx, 0);
        assert_int_equal(last->secondary_ancestors, i);
    }
    struct tx *tx = pool_child(last->tx, 0, 1, SIZE);
    assert_false(mempool_check_chain(mp, tx, &v));
    assert_string_equal(v.reason, "too-long-mempool-chain");
    assert_int_equal(v.code, REJECT_NONSTANDARD);
    assert_int_equal(v.ban_score, 0);
    tx_unref(tx);
    mempool_free(mp);
}

static void a_chain_has_at_most_the_configured_length(void **state)
{
    (void)state;
    struct mempool_options o = pool_options();
    o.max_ancestors = 5;
    struct mempool *mp = mempool_new(&o);
    struct mempool_entry *last = add_on(mp, NULL, 1, PAYS);
    struct verdict v = { 0 };
    for (int i = 1; i < 5; i++)
        last = add_on(mp, last, 0, PAYS);
    struct tx *tx = pool_child(last->tx, 0, 1, SIZE);
    assert_false(mempool_check_chain(mp, tx, &v));
    assert_string_equal(v.reason, "too-long-mempool-chain");
    tx_unref(tx);
    /* Breadth is no chain. */
    tx = pool_child(last->parents[0]->tx, 1, 1, SIZE);
    assert_true(mempool_check_chain(mp, tx, &v));
    tx_unref(tx);
    mempool_free(mp);
}

static void two_paths_to_an_ancestor_count_it_twice(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, 0), *b = add_on(mp, a, 0, 0);
    struct mempool_entry *c = add_on(mp, a, 1, 0);
    const struct outpoint two[2] = { pool_out(b->tx, 0), pool_out(c->tx, 0) };
    struct mempool_entry *d = pool_add(mp, pool_tx(two, 2, 4, SIZE), 0);
    assert_int_equal(d->secondary_ancestors, 4);
    /* a, b, c, a and d: five times the fee, though the group has four members. */
    struct mempool_entry *e = add_on(mp, d, 0, 6 * PAYS - 1);
    assert_false(e->primary);
    e = add_on(mp, d, 1, 6 * PAYS);
    assert_true(e->primary);
    assert_int_equal(e->group->n, 5);
    mempool_free(mp);
}

static void a_group_has_at_most_the_configured_number_of_members(void **state)
{
    (void)state;
    struct mempool_options o = pool_options();
    o.max_group_members = 3;
    struct mempool *mp = mempool_new(&o);
    struct mempool_entry *a = add_on(mp, NULL, 1, 0), *b = add_on(mp, a, 0, 0);
    struct mempool_entry *c = add_on(mp, b, 0, 3 * PAYS);
    assert_int_equal(c->group->n, 3);
    struct tx *tx = pool_child(c->tx, 0, 1, SIZE);
    struct verdict v = { 0 };
    assert_true(mempool_check_chain(mp, tx, &v)); /* c pays */
    tx_unref(tx);
    mempool_free(mp);
}

static void a_group_that_loses_a_member_in_a_block_is_made_anew(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, 0), *b = add_on(mp, a, 0, 0);
    struct mempool_entry *c = add_on(mp, b, 0, 3 * PAYS), *after = add_on(mp, c, 0, PAYS);
    confirm(mp, a);
    mempool_note_block(mp, 0);
    assert_true(b->primary && c->primary && after->primary);
    assert_ptr_equal(b->group, c->group);
    assert_int_equal(b->group->n, 2);
    assert_int_equal(stats_of(mp).groups, 1);
    confirm(mp, b);
    mempool_note_block(mp, 0);
    assert_true(c->primary && after->primary);
    assert_null(c->group);
    assert_int_equal(stats_of(mp).groups, 0);
    mempool_free(mp);
}

static void what_a_payer_paid_for_is_secondary_when_it_goes(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, 0);
    struct mempool_entry *payer = add_on(mp, a, 0, 2 * PAYS), *child = add_on(mp, a, 1, PAYS);
    struct mempool_entry *grandchild = add_on(mp, child, 0, PAYS);
    assert_true(child->primary && grandchild->primary);
    mempool_remove(mp, &payer->tx->id, MEMPOOL_EXPIRED, NULL);
    assert_false(a->primary || child->primary || grandchild->primary);
    assert_int_equal(grandchild->secondary_ancestors, 2);
    assert_int_equal(stats_of(mp).secondary, 3);
    assert_int_equal(stats_of(mp).groups, 0);
    assert_int_equal(stats_of(mp).secondary_memory, stats_of(mp).memory);
    mempool_free(mp);
}

static void a_free_consolidation_is_primary_whatever_its_fee(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct tx *tx = pool_child(NULL, 1, 1, SIZE);
    const struct mempool_candidate c = { .tx = tx, .counts_as_paying = true };
    const struct mempool_entry *e = mempool_add(mp, &c);
    assert_true(e->primary);
    assert_int_equal(e->fee + e->fee_delta, 0);
    tx_unref(tx);
    mempool_free(mp);
}

static void a_changed_fee_moves_a_transaction_between_the_pools(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, 0), *b = add_on(mp, a, 0, PAYS);
    const struct txid id = a->tx->id;
    mempool_prioritise(mp, &id, PAYS - 1);
    assert_false(a->primary);
    mempool_prioritise(mp, &id, 1);
    assert_true(a->primary && b->primary);
    assert_null(a->group);
    assert_int_equal(a->fee_delta, PAYS);
    mempool_prioritise(mp, &id, -1);
    assert_false(a->primary || b->primary);
    mempool_prioritise(mp, &b->tx->id, PAYS);
    assert_true(a->primary && b->primary);
    assert_int_equal(a->group->fee, 3 * PAYS - 1);
    mempool_prioritise(mp, &id, -2 * PAYS);
    assert_false(a->primary || b->primary);
    mempool_free(mp);
}

static void a_changed_fee_waits_for_a_transaction_and_goes_with_its_block(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct tx *tx = pool_child(NULL, 1, 1, SIZE);
    mempool_prioritise(mp, &tx->id, PAYS);
    assert_int_equal(mempool_fee_delta(mp, &tx->id), PAYS);
    struct mempool_entry *e = pool_add(mp, tx_ref(tx), 0);
    assert_true(e->primary);
    mempool_remove(mp, &tx->id, MEMPOOL_EXPIRED, NULL);
    assert_int_equal(mempool_fee_delta(mp, &tx->id), PAYS);
    mempool_remove_confirmed(mp, tx, NULL);
    assert_int_equal(mempool_fee_delta(mp, &tx->id), 0);
    mempool_prioritise(mp, &tx->id, INT64_MAX);
    mempool_prioritise(mp, &tx->id, INT64_MAX);
    assert_int_equal(mempool_fee_delta(mp, &tx->id), MAX_MONEY);
    mempool_prioritise(mp, &tx->id, -MAX_MONEY);
    assert_int_equal(mempool_fee_delta(mp, &tx->id), 0);
    tx_unref(tx);
    mempool_free(mp);
}

/* --- other threads --- */

struct pool_reader {
    struct mempool *mp;
    atomic_bool stop;
    atomic_size_t rounds;
    atomic_bool wrong;
};

/* Whoever is primary has no secondary parent, and stands behind its parents. */
static enum mempool_visit check_entry(void *ctx, const struct mempool_entry *entry)
{
    struct pool_reader *r = (struct pool_reader *)ctx;
    for (uint32_t i = 0; i < entry->n_parents; i++)
        if (entry->parents[i]->sequence >= entry->sequence ||
            (entry->primary && !entry->parents[i]->primary))
            atomic_store(&r->wrong, true);
    return MEMPOOL_GO_ON;
}

static void *read_on(void *ctx)
{
    struct pool_reader *r = (struct pool_reader *)ctx;
    struct txid first = { { 0 } };
    while (!atomic_load(&r->stop)) {
        struct mempool_stats s;
        mempool_each(r->mp, 0, check_entry, r);
        mempool_each_descendant(r->mp, &first, check_entry, r);
        mempool_get_stats(r->mp, 0, &s);
        if (s.primary + s.secondary != s.count || s.secondary_memory > s.memory)
            atomic_store(&r->wrong, true);
        atomic_fetch_add(&r->rounds, 1);
    }
    return NULL;
}

static void readers_always_see_a_whole_pool(void **state)
{
    (void)state;
    struct pool_reader r = { .mp = begin() };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
    for (uint32_t round = 0; round < 200 || atomic_load(&r.rounds) < 20; round++) {
        struct mempool_entry *a = add_on(r.mp, NULL, 2 * round, 0);
        struct mempool_entry *b = add_on(r.mp, a, 0, PAYS);
        add_on(r.mp, b, 0, PAYS);
        struct mempool_entry *payer = add_on(r.mp, a, 1, 2 * PAYS);
        if (round % 2)
            mempool_remove(r.mp, &payer->tx->id, MEMPOOL_EXPIRED, NULL);
        if (round % 50 == 49)
            mempool_remove_all(r.mp, MEMPOOL_ERA, NULL);
    }
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    assert_false(atomic_load(&r.wrong));
    mempool_free(r.mp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_by_id_and_by_what_it_spends),
        cmocka_unit_test(numbers_add_up_and_return_to_nothing),
        cmocka_unit_test(what_is_charged_is_what_the_system_gave),
        cmocka_unit_test(a_removal_takes_all_descendants_children_after_parents),
        cmocka_unit_test(a_confirmed_transaction_leaves_its_children),
        cmocka_unit_test(what_a_block_spends_otherwise_leaves_with_its_descendants),
        cmocka_unit_test(all_can_be_removed_at_once),
        cmocka_unit_test(a_walk_goes_by_sequence_from_anywhere),
        cmocka_unit_test(relatives_are_visited_once_each),
        cmocka_unit_test(trees_that_overlap_are_visited_once),
        cmocka_unit_test(
            behaviour_79_a_child_that_pays_for_both_moves_the_pair_to_the_primary_pool),
        cmocka_unit_test(behaviour_80_the_26th_of_a_chain_that_does_not_pay_is_refused),
        cmocka_unit_test(a_chain_has_at_most_the_configured_length),
        cmocka_unit_test(two_paths_to_an_ancestor_count_it_twice),
        cmocka_unit_test(a_group_has_at_most_the_configured_number_of_members),
        cmocka_unit_test(a_group_that_loses_a_member_in_a_block_is_made_anew),
        cmocka_unit_test(what_a_payer_paid_for_is_secondary_when_it_goes),
        cmocka_unit_test(a_free_consolidation_is_primary_whatever_its_fee),
        cmocka_unit_test(a_changed_fee_moves_a_transaction_between_the_pools),
        cmocka_unit_test(a_changed_fee_waits_for_a_transaction_and_goes_with_its_block),
        cmocka_unit_test(readers_always_see_a_whole_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

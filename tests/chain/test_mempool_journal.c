/* What the mempool writes into the mining journal. */
#include <config.h>

#include "chain/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/chain/pool_util.h"

#define SIZE 200
#define PAYS 100
#define TIP ((struct header_node *)(void *)&tip_stands_here)
static int tip_stands_here;

static struct mempool *begin(void)
{
    const struct mempool_options o = pool_options();
    struct mempool *mp = mempool_new(&o);
    journal_settle(mempool_journal(mp), TIP);
    return mp;
}

static struct mempool_entry *add_on(struct mempool *mp, const struct mempool_entry *parent,
                                    uint32_t index, int64_t fee)
{
    return pool_add(mp, pool_child(parent ? parent->tx : NULL, index, 4, SIZE), fee);
}

/* The journal holds these transactions in this order (NULL ends). */
static void journal_is(struct mempool *mp, struct tx *const *expected)
{
    struct journal_snapshot *s = journal_take(mempool_journal(mp), 0);
    struct journal_place at = { 0 };
    for (; *expected; expected++) {
        const struct journal_entry *e = journal_next(s, &at);
        assert_non_null(e);
        assert_ptr_equal(e->tx, *expected);
    }
    assert_null(journal_next(s, &at));
    journal_snapshot_unref(s);
}

static void those_that_pay_enter_as_they_come(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS), *b = add_on(mp, NULL, 2, PAYS - 1);
    struct mempool_entry *c = add_on(mp, a, 0, PAYS);
    assert_false(b->primary);
    journal_is(mp, (struct tx *[]){ a->tx, c->tx, NULL });
    assert_true(a->journal_number && c->journal_number > a->journal_number);
    assert_int_equal(b->journal_number, 0);
    mempool_free(mp);
}

static void a_group_enters_as_one_when_it_is_paid_for(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, 0), *other = add_on(mp, NULL, 2, PAYS);
    struct mempool_entry *waits = add_on(mp, a, 1, PAYS), *payer = add_on(mp, a, 0, 2 * PAYS);
    /* The other child owes nothing any more once the group is there. */
    journal_is(mp, (struct tx *[]){ other->tx, a->tx, payer->tx, waits->tx, NULL });
    struct journal_snapshot *s = journal_take(mempool_journal(mp), 0);
    struct journal_place at = { 0 };
    assert_int_equal(journal_next(s, &at)->group, 0);
    const uint64_t group = journal_next(s, &at)->group;
    assert_true(group != 0);
    assert_int_equal(journal_next(s, &at)->group, group);
    assert_int_equal(journal_next(s, &at)->group, 0);
    assert_int_equal(s->totals.fees, 4 * PAYS);
    journal_snapshot_unref(s);
    mempool_free(mp);
}

static void what_turns_secondary_leaves_with_its_descendants(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, 0), *payer = add_on(mp, a, 0, 2 * PAYS);
    struct mempool_entry *child = add_on(mp, a, 1, PAYS), *other = add_on(mp, NULL, 2, PAYS);
    journal_is(mp, (struct tx *[]){ a->tx, payer->tx, child->tx, other->tx, NULL });
    mempool_remove(mp, &payer->tx->id, MEMPOOL_EXPIRED, NULL);
    journal_is(mp, (struct tx *[]){ other->tx, NULL });
    mempool_prioritise(mp, &a->tx->id, PAYS);
    journal_is(mp, (struct tx *[]){ other->tx, a->tx, child->tx, NULL });
    mempool_free(mp);
}

static void confirmed_ones_leave_alone(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct mempool_entry *a = add_on(mp, NULL, 1, PAYS), *b = add_on(mp, a, 0, PAYS);
    struct tx *tx = tx_ref(a->tx);
    mempool_remove_confirmed(mp, tx, NULL);
    mempool_note_block(mp, 0);
    journal_is(mp, (struct tx *[]){ b->tx, NULL });
    mempool_remove_all(mp, MEMPOOL_ERA, NULL);
    journal_is(mp, (struct tx *[]){ NULL });
    tx_unref(tx);
    mempool_free(mp);
}

static void fee_changes_and_free_consolidations_count_for_the_choice_only(void **state)
{
    (void)state;
    struct mempool *mp = begin();
    struct tx *tx = pool_child(NULL, 1, 1, SIZE);
    const struct mempool_candidate c = {
        .tx = tx, .fee = 5, .sigops = 7, .counts_as_paying = true
    };
    mempool_add(mp, &c);
    mempool_prioritise(mp, &tx->id, 11);
    struct journal_snapshot *s = journal_take(mempool_journal(mp), 0);
    struct journal_place at = { 0 };
    const struct journal_entry *e = journal_next(s, &at);
    assert_int_equal(e->fee, 5);
    assert_int_equal(e->fee_delta, PAYS + 11);
    assert_int_equal(e->sigops, 7);
    journal_snapshot_unref(s);
    tx_unref(tx);
    mempool_free(mp);
}

/* --- random histories --- */

struct history {
    struct mempool *mp;
    uint64_t random;
    uint32_t coins;
    struct txid ids[4000]; /* of what was ever added */
    size_t n;
};

static uint32_t draw(struct history *h, uint32_t below)
{
    return pool_draw(&h->random, below);
}

static struct mempool_entry *some_entry(struct history *h)
{
    for (int tries = 0; tries < 20 && h->n; tries++) {
        struct mempool_entry *e = mempool_find(h->mp, &h->ids[draw(h, (uint32_t)h->n)]);
        if (e)
            return e;
    }
    return NULL;
}

/* One or two parents, outputs that are still to be had, or a coin. */
static void add_some(struct history *h)
{
    static const int64_t fees[] = { 0, 0, PAYS / 2, PAYS, PAYS, 2 * PAYS, 5 * PAYS };
    struct outpoint in[2];
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        const struct mempool_entry *parent = some_entry(h);
        if (!parent)
            continue;
        in[n] = pool_out(parent->tx, draw(h, 4));
        const bool twice = n == 1 && outpoint_equal(&in[0], &in[1]);
        n += !twice && !mempool_spender(h->mp, &in[n]);
    }
    if (n == 0)
        in[n++] = pool_coin(++h->coins);
    struct tx *tx = pool_tx(in, n, 4, SIZE);
    struct verdict v = { 0 };
    if (!mempool_check_chain(h->mp, tx, &v)) {
        tx_unref(tx);
        return;
    }
    h->ids[h->n++] = tx->id;
    pool_add(h->mp, tx, fees[draw(h, 7)]);
}

static enum mempool_visit confirm_if_first(void *ctx, const struct mempool_entry *e)
{
    struct tx **tx = ctx;
    if (e->n_parents)
        return MEMPOOL_GO_ON;
    *tx = tx_ref(e->tx);
    return MEMPOOL_ENOUGH;
}

static void confirm_some(struct history *h)
{
    for (uint32_t n = draw(h, 10); n > 0; n--) {
        struct tx *tx = NULL;
        mempool_each(h->mp, 0, confirm_if_first, &tx);
        if (tx)
            mempool_remove_confirmed(h->mp, tx, NULL);
        tx_unref(tx);
    }
    mempool_note_block(h->mp, 0);
}

static void change_some(struct history *h)
{
    struct mempool_entry *e = some_entry(h);
    const struct txid id = e ? e->tx->id : (struct txid){ { 1 } };
    if (draw(h, 3) == 0)
        mempool_remove(h->mp, &id, MEMPOOL_EXPIRED, NULL);
    else
        mempool_prioritise(h->mp, &id, (int64_t)draw(h, 4 * PAYS) - 2 * PAYS);
}

static void check_entry(struct mempool *mp, const struct journal_entry *j, uint64_t group_before)
{
    const struct mempool_entry *e = mempool_find(mp, &j->tx->id);
    assert_non_null(e);
    assert_true(e->primary);
    assert_int_equal(e->journal_number, j->number);
    assert_int_equal(e->fee, j->fee);
    assert_int_equal(e->group != NULL, j->group != 0);
    for (uint32_t i = 0; i < e->n_parents; i++) {
        assert_true(e->parents[i]->primary);
        assert_true(e->parents[i]->journal_number < j->number);
    }
    /* Members stand side by side: a group that was begun goes on until it is whole. */
    if (e->group && e->group->members[0] != e)
        assert_int_equal(j->group, group_before);
}

/* Exactly the primary ones, parents first, groups whole. */
static void check_all(struct mempool *mp)
{
    struct mempool_stats stats;
    struct journal_snapshot *s = journal_take(mempool_journal(mp), 0);
    struct journal_place at = { 0 };
    const struct journal_entry *j;
    uint64_t n = 0, group = 0;
    while ((j = journal_next(s, &at))) {
        check_entry(mp, j, group);
        group = j->group;
        n++;
    }
    mempool_get_stats(mp, 0, &stats);
    assert_int_equal(n, stats.primary);
    assert_int_equal(n, s->totals.count);
    journal_snapshot_unref(s);
}

static void any_history_leaves_the_primary_ones_in_an_order_a_block_may_take(void **state)
{
    (void)state;
    struct history *h = xcalloc(1, sizeof(*h));
    h->mp = begin();
    h->random = 20250101;
    while (h->n < 4000) {
        const uint32_t what = draw(h, 100);
        if (what < 90)
            add_some(h);
        else if (what < 97)
            change_some(h);
        else
            confirm_some(h);
        if (what % 9 == 0)
            check_all(h->mp);
    }
    check_all(h->mp);
    mempool_free(h->mp);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_pay_enter_as_they_come),
        cmocka_unit_test(a_group_enters_as_one_when_it_is_paid_for),
        cmocka_unit_test(what_turns_secondary_leaves_with_its_descendants),
        cmocka_unit_test(confirmed_ones_leave_alone),
        cmocka_unit_test(fee_changes_and_free_consolidations_count_for_the_choice_only),
        cmocka_unit_test(any_history_leaves_the_primary_ones_in_an_order_a_block_may_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

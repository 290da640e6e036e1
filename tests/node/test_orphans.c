#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"
#include "node/orphans.h"
#include "tests/node/made_tx.h"
#include "tests/test.h"

#define MB 1000000u

static struct orphans *new_orphans(size_t max, size_t max_each)
{
    return orphans_new(&(struct orphans_options){ .max_bytes = max, .max_bytes_each = max_each,
                                                  .max_tx_size = 100000 });
}

static struct txid id_of(uint64_t n)
{
    struct txid id = { { 0 } };
    le64_put(id.b, n);
    return id;
}

/* Adds an orphan with these parents and returns its id. */
static struct txid add(struct orphans *o, struct orphan_owner *owner, uint32_t number,
                       const struct txid *missing, size_t n)
{
    struct tx *tx = made_tx(number, 10);
    const struct txid id = tx->id;
    assert_true(orphans_add(o, owner, tx, missing, n, 0));
    tx_unref(tx);
    return id;
}

static struct txid add_child(struct orphans *o, struct orphan_owner *owner, uint32_t number,
                             struct txid parent)
{
    return add(o, owner, number, &parent, 1);
}

static void work_all(struct orphans *o, int64_t now)
{
    while (orphans_work(o, now, 7))
        continue;
}

static bool take(struct orphans *o, struct orphan_owner *owner, struct txid *id)
{
    struct tx *tx = orphans_take_ready(o, owner);
    if (tx)
        *id = tx->id;
    tx_unref(tx);
    return tx != NULL;
}

static size_t count(const struct orphans *o)
{
    struct orphans_stats s;
    orphans_get_stats(o, &s);
    return s.count;
}

static void an_orphan_is_given_out_once_when_all_its_parents_are_there(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(MB, MB);
    struct orphan_owner *owner = orphans_add_peer(o);
    const struct txid parents[] = { id_of(1), id_of(2), id_of(3) };
    const struct txid id = add(o, owner, 1, parents, 3);
    struct txid got;
    for (int i = 0; i < 3; i++) {
        work_all(o, 0);
        assert_false(take(o, owner, &got)); /* one parent of three is no reason to try */
        orphans_parent_accepted(o, &parents[i]);
    }
    assert_true(orphans_contains(o, &id));
    work_all(o, 0);
    assert_true(take(o, owner, &got));
    assert_true(txid_equal(&got, &id));
    assert_false(orphans_contains(o, &id));
    assert_false(take(o, owner, &got));
    struct orphans_stats s;
    orphans_get_stats(o, &s);
    assert_int_equal(s.bytes, 0);
    orphans_free(o);
}

static void a_refused_parent_takes_its_descendants_with_it(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(MB, MB);
    struct orphan_owner *owner = orphans_add_peer(o);
    const struct txid gone = id_of(1), other = id_of(2);
    struct txid last = gone;
    for (uint32_t i = 1; i <= 20; i++)
        last = add_child(o, owner, i, last); /* a chain */
    const struct txid stays = add_child(o, owner, 100, other);
    orphans_parent_refused(o, &gone);
    work_all(o, 0);
    assert_int_equal(count(o), 1);
    assert_true(orphans_contains(o, &stays));
    orphans_free(o);
}

static void the_orphans_of_a_peer_go_with_it(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(MB, MB);
    struct orphan_owner *a = orphans_add_peer(o), *b = orphans_add_peer(o);
    for (uint32_t i = 0; i < 50; i++) {
        add_child(o, a, i, id_of(1));
        add_child(o, b, 1000 + i, id_of(1));
    }
    orphans_parent_accepted(o, &(struct txid){ { 1 } });
    orphans_remove_peer(o, a);
    assert_true(orphans_work(o, 0, 10)); /* not all at once */
    assert_true(count(o) > 80);
    work_all(o, 0);
    assert_int_equal(count(o), 50);
    struct txid got;
    for (int i = 0; i < 50; i++)
        assert_true(take(o, b, &got));
    assert_int_equal(count(o), 0);
    orphans_free(o);
}

static void orphans_expire(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(MB, MB);
    struct orphan_owner *owner = orphans_add_peer(o);
    struct tx *early = made_tx(1, 0), *late = made_tx(2, 0);
    const struct txid parent = id_of(1);
    assert_true(orphans_add(o, owner, early, &parent, 1, 1000));
    assert_true(orphans_add(o, owner, late, &parent, 1, 2000));
    work_all(o, 1000 + ORPHAN_MAX_AGE_S);
    assert_int_equal(count(o), 2);
    work_all(o, 1001 + ORPHAN_MAX_AGE_S);
    assert_int_equal(count(o), 1);
    assert_true(orphans_contains(o, &late->id));
    tx_unref(early);
    tx_unref(late);
    orphans_free(o);
}

static void what_is_known_or_too_large_is_not_kept(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(MB, MB);
    struct orphan_owner *owner = orphans_add_peer(o);
    const struct txid parent = id_of(1);
    struct tx *large = made_tx(1, 100000), *fits = made_tx(2, 90000);
    assert_false(orphans_add(o, owner, large, &parent, 1, 0));
    assert_true(orphans_add(o, owner, fits, &parent, 1, 0));
    assert_false(orphans_add(o, owner, fits, &parent, 1, 0));
    assert_int_equal(count(o), 1);
    tx_unref(large);
    tx_unref(fits);
    orphans_free(o);
}

static void attack_B1_a_flood_stays_within_its_share_and_spares_others(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(400000, 100000);
    struct orphan_owner *honest = orphans_add_peer(o), *flood = orphans_add_peer(o);
    for (uint32_t i = 0; i < 20; i++)
        add_child(o, honest, i, id_of(1));
    const size_t kept = orphans_owned_bytes(honest);
    for (uint32_t i = 0; i < 5000; i++) {
        add_child(o, flood, 1000 + i, id_of(2));
        assert_true(orphans_owned_bytes(flood) <= 100000);
    }
    assert_int_equal(orphans_owned_bytes(honest), kept);
    assert_true(orphans_owned_bytes(flood) > 90000);
    orphans_free(o);
}

static void attack_B1_many_floods_stay_within_the_whole_and_spare_who_holds_little(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(200000, 100000);
    struct orphan_owner *honest = orphans_add_peer(o), *flood[8];
    for (uint32_t i = 0; i < 20; i++)
        add_child(o, honest, i, id_of(1));
    const size_t kept = orphans_owned_bytes(honest);
    for (uint32_t f = 0; f < 8; f++)
        flood[f] = orphans_add_peer(o);
    for (uint32_t i = 0; i < 5000; i++) {
        struct orphans_stats s;
        add_child(o, flood[i % 8], 1000 + i, id_of(2 + i));
        orphans_get_stats(o, &s);
        assert_true(s.bytes <= s.max_bytes);
    }
    assert_int_equal(orphans_owned_bytes(honest), kept);
    orphans_free(o);
}

/* Who has gone, with orphans or without any, is worked off later, but takes no room until then. */
static void attack_B1_those_who_leave_do_not_widen_the_whole(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(40000, 40000);
    struct orphan_owner *owner = orphans_add_peer(o), *empty = orphans_add_peer(o);
    struct orphan_owner *full = orphans_add_peer(o);
    struct orphans_stats s;
    for (uint32_t i = 0; i < 10; i++)
        add_child(o, full, i, id_of(1));
    orphans_remove_peer(o, empty);
    orphans_remove_peer(o, full);
    for (uint32_t i = 0; i < 1000; i++) {
        add_child(o, owner, 1000 + i, id_of(2));
        orphans_get_stats(o, &s);
        assert_true(s.bytes <= 40000);
    }
    assert_int_equal(orphans_owned_bytes(owner), s.bytes);
    orphans_free(o);
}

static void attack_B1_one_parent_of_very_many_is_worked_off_in_portions(void **state)
{
    (void)state;
    struct orphans *o = new_orphans(200 * MB, 200 * MB);
    struct orphan_owner *owner = orphans_add_peer(o);
    const struct txid parent = id_of(1);
    for (uint32_t i = 0; i < 100000; i++)
        add_child(o, owner, i, parent);
    const int64_t start = clock_thread_cpu_us();
    orphans_parent_accepted(o, &parent);
    orphans_parent_refused(o, &parent);
    assert_true(orphans_work(o, 0, 100));
    assert_true(clock_thread_cpu_us() - start < 20000);
    assert_int_equal(count(o), 100000 - 100);
    orphans_free(o);
}

/* Against a plain list: the same orphans are there after any order of events. */
#define MODEL_TXS 60
#define MODEL_PARENTS 10

struct model { bool kept[MODEL_TXS], missing[MODEL_TXS][MODEL_PARENTS], ready[MODEL_TXS]; };

static void model_accept(struct model *m, size_t parent)
{
    for (size_t i = 0; i < MODEL_TXS; i++) {
        bool more = false;
        if (!m->kept[i] || m->ready[i])
            continue;
        m->missing[i][parent] = false;
        for (size_t p = 0; p < MODEL_PARENTS; p++)
            more |= m->missing[i][p];
        m->ready[i] = !more;
    }
}

static void model_refuse(struct model *m, size_t parent)
{
    for (size_t i = 0; i < MODEL_TXS; i++)
        if (m->kept[i] && !m->ready[i] && m->missing[i][parent])
            m->kept[i] = false;
}

static void model_add(struct model *m, struct orphans *o, struct orphan_owner *owner,
                      struct tx *tx, size_t i)
{
    struct txid missing[MODEL_PARENTS];
    size_t n = 0;
    if (m->kept[i])
        return;
    for (size_t p = 0; p < MODEL_PARENTS; p++) {
        m->missing[i][p] = rand_below(4) == 0 || (p == MODEL_PARENTS - 1 && n == 0);
        if (m->missing[i][p])
            missing[n++] = id_of(p);
    }
    assert_true(orphans_add(o, owner, tx, missing, n, 0));
    m->kept[i] = true;
    m->ready[i] = false;
}

static void model_take(struct model *m, struct orphans *o, struct orphan_owner *owner,
                       struct tx **txs)
{
    struct txid got;
    while (take(o, owner, &got)) {
        size_t i = 0;
        while (!txid_equal(&txs[i]->id, &got))
            i++;
        assert_true(m->kept[i] && m->ready[i]);
        m->kept[i] = false;
    }
    for (size_t i = 0; i < MODEL_TXS; i++)
        assert_false(m->kept[i] && m->ready[i]);
}

static void any_order_of_events_gives_what_a_plain_list_gives(void **state)
{
    (void)state;
    struct model m = { .kept = { false } };
    struct tx *txs[MODEL_TXS];
    struct orphans *o = new_orphans(MB, MB);
    struct orphan_owner *owner = orphans_add_peer(o);
    for (uint32_t i = 0; i < MODEL_TXS; i++)
        txs[i] = made_tx(i, 0);
    for (int round = 0; round < 20000; round++) {
        const size_t parent = (size_t)rand_below(MODEL_PARENTS);
        const struct txid id = id_of(parent);
        const uint64_t what = rand_below(10);
        if (what < 7) {
            const size_t i = (size_t)rand_below(MODEL_TXS);
            model_add(&m, o, owner, txs[i], i);
        } else if (what < 9) {
            orphans_parent_accepted(o, &id);
            model_accept(&m, parent);
        } else {
            orphans_parent_refused(o, &id);
            model_refuse(&m, parent);
        }
        work_all(o, 0);
        if (rand_below(3) == 0)
            model_take(&m, o, owner, txs);
        for (size_t i = 0; i < MODEL_TXS; i++)
            assert_int_equal(orphans_contains(o, &txs[i]->id), m.kept[i]);
    }
    orphans_free(o);
    for (size_t i = 0; i < MODEL_TXS; i++)
        tx_unref(txs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_orphan_is_given_out_once_when_all_its_parents_are_there),
        cmocka_unit_test(a_refused_parent_takes_its_descendants_with_it),
        cmocka_unit_test(the_orphans_of_a_peer_go_with_it),
        cmocka_unit_test(orphans_expire),
        cmocka_unit_test(what_is_known_or_too_large_is_not_kept),
        cmocka_unit_test(attack_B1_a_flood_stays_within_its_share_and_spares_others),
        cmocka_unit_test(attack_B1_many_floods_stay_within_the_whole_and_spare_who_holds_little),
        cmocka_unit_test(attack_B1_those_who_leave_do_not_widen_the_whole),
        cmocka_unit_test(attack_B1_one_parent_of_very_many_is_worked_off_in_portions),
        cmocka_unit_test(any_order_of_events_gives_what_a_plain_list_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

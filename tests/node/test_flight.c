#include <stdlib.h>

#include "base/rand.h"
#include "chain/header_index.h"
#include "node/flight.h"
#include "tests/test.h"

#define NODES 2000

static struct header_node nodes[NODES]; /* only their addresses matter */

static void a_block_can_be_asked_from_several_peers_but_once_from_each(void **state)
{
    (void)state;
    struct flights *f = flights_new();
    assert_true(flights_ask(f, &nodes[0], 1, 100));
    assert_false(flights_ask(f, &nodes[0], 1, 101));
    for (uint64_t peer = 2; peer <= FLIGHT_PEERS_MAX; peer++)
        assert_true(flights_ask(f, &nodes[0], peer, 102));
    assert_false(flights_ask(f, &nodes[0], 99, 103));
    assert_int_equal(flights_count(f), 1);
    assert_int_equal(flights_find(f, &nodes[0])->since[0], 100);
    flights_free(f);
}

static void one_peers_failure_keeps_what_another_does(void **state)
{
    (void)state;
    struct flights *f = flights_new();
    assert_true(flights_ask(f, &nodes[0], 1, 0));
    assert_true(flights_ask(f, &nodes[0], 2, 5));
    flights_release(f, &nodes[0], 1);
    const struct flight *fl = flights_find(f, &nodes[0]);
    assert_non_null(fl);
    assert_int_equal(fl->n_peers, 1);
    assert_int_equal(fl->peers[0], 2);
    assert_int_equal(fl->since[0], 5);
    flights_release(f, &nodes[0], 2);
    assert_null(flights_find(f, &nodes[0]));
    flights_free(f);
}

static void an_arrived_block_stays_until_it_is_stored(void **state)
{
    (void)state;
    struct flights *f = flights_new();
    assert_true(flights_ask(f, &nodes[0], 1, 0));
    flights_set_arrived(f, &nodes[0], true);
    flights_release(f, &nodes[0], 1);
    assert_int_equal(flights_find(f, &nodes[0])->n_arrived, 1);
    flights_remove(f, &nodes[0]);
    assert_null(flights_find(f, &nodes[0]));
    assert_int_equal(flights_count(f), 0);
    flights_free(f);
}

static void a_spoilt_copy_leaves_the_others_who_were_asked(void **state)
{
    (void)state;
    struct flights *f = flights_new();
    assert_true(flights_ask(f, &nodes[0], 1, 0));
    assert_true(flights_ask(f, &nodes[0], 2, 0));
    flights_set_arrived(f, &nodes[0], true);
    flights_release(f, &nodes[0], 1);
    flights_clear_arrived(f, &nodes[0]);
    const struct flight *fl = flights_find(f, &nodes[0]);
    assert_non_null(fl);
    assert_int_equal(fl->n_arrived, 0);
    assert_false(fl->asked_arrived);
    assert_int_equal(fl->peers[0], 2);
    flights_set_arrived(f, &nodes[1], false);
    flights_clear_arrived(f, &nodes[1]);
    assert_null(flights_find(f, &nodes[1]));
    flights_clear_arrived(f, &nodes[1]);
    flights_free(f);
}

static void a_spoilt_copy_leaves_the_one_that_came_meanwhile(void **state)
{
    (void)state;
    struct flights *f = flights_new();
    assert_true(flights_ask(f, &nodes[0], 1, 0));
    flights_set_arrived(f, &nodes[0], false);
    assert_false(flights_find(f, &nodes[0])->asked_arrived);
    flights_set_arrived(f, &nodes[0], true);
    flights_release(f, &nodes[0], 1);
    flights_clear_arrived(f, &nodes[0]);
    assert_int_equal(flights_find(f, &nodes[0])->n_arrived, 1);
    assert_true(flights_find(f, &nodes[0])->asked_arrived);
    flights_clear_arrived(f, &nodes[0]);
    assert_int_equal(flights_count(f), 0);
    flights_free(f);
}

static void many_entries_are_found_after_removals(void **state)
{
    (void)state;
    bool there[NODES] = { false };
    struct flights *f = flights_new();
    for (int round = 0; round < 40000; round++) {
        const size_t i = (size_t)rand_below(NODES);
        if (there[i])
            flights_remove(f, &nodes[i]);
        else
            assert_true(flights_ask(f, &nodes[i], 1, round));
        there[i] = !there[i];
    }
    size_t n = 0;
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(flights_find(f, &nodes[i]) != NULL, there[i]);
        n += there[i];
    }
    assert_int_equal(flights_count(f), n);
    flights_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_can_be_asked_from_several_peers_but_once_from_each),
        cmocka_unit_test(one_peers_failure_keeps_what_another_does),
        cmocka_unit_test(an_arrived_block_stays_until_it_is_stored),
        cmocka_unit_test(a_spoilt_copy_leaves_the_others_who_were_asked),
        cmocka_unit_test(a_spoilt_copy_leaves_the_one_that_came_meanwhile),
        cmocka_unit_test(many_entries_are_found_after_removals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

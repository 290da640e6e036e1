#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "p2p/eviction.h"

static const struct siphash_key key = { 7, 9 };

/* n peers, each in a /16 of its own, all alike but for age: id 0 is the oldest. */
static void make_peers(struct eviction_candidate *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t ip[4] = { 20, (uint8_t)i, 1, 1 };
        c[i] = (struct eviction_candidate){ .peer_id = i, .connected_ms = (int64_t)i * 1000,
                                            .min_ping_us = -1 };
        netaddr_from_ipv4(&c[i].addr, ip, 8333);
    }
}

static bool chosen(const struct eviction_candidate *c, size_t n, uint64_t id)
{
    uint64_t got;
    return eviction_select(c, n, &key, &got) && got == id;
}

/* Evicts one after the other; true if the id ever leaves. */
static bool ever_evicted(const struct eviction_candidate *all, size_t n, uint64_t id)
{
    struct eviction_candidate c[256];
    uint64_t got;
    memcpy(c, all, n * sizeof *c);
    while (eviction_select(c, n, &key, &got)) {
        size_t i = 0;
        if (got == id)
            return true;
        while (c[i].peer_id != got)
            i++;
        c[i] = c[--n];
    }
    return false;
}

static void nobody_leaves_when_all_are_protected(void **state)
{
    (void)state;
    struct eviction_candidate c[20];
    uint64_t got;
    make_peers(c, 20);
    assert_false(eviction_select(c, 0, &key, &got));
    assert_false(eviction_select(c, EVICTION_KEEP_GROUPS, &key, &got));
    for (size_t i = 0; i < 20; i++)
        c[i].whitelisted = true;
    assert_false(eviction_select(c, 20, &key, &got));
}

static void the_youngest_leaves_when_all_groups_are_equal(void **state)
{
    (void)state;
    struct eviction_candidate c[40];
    uint64_t got;
    make_peers(c, 40);
    assert_true(eviction_select(c, 40, &key, &got));
    /* the four protected by group hash may be the youngest ones, no others */
    assert_true(got >= 35);
}

static void the_most_crowded_group_gives_up_its_youngest(void **state)
{
    (void)state;
    struct eviction_candidate c[60];
    uint64_t got;
    make_peers(c, 60);
    for (size_t i = 20; i < 50; i++) { /* one /16; single peers in other groups are younger */
        uint8_t ip[4] = { 99, 1, (uint8_t)i, 1 };
        netaddr_from_ipv4(&c[i].addr, ip, 8333);
    }
    assert_true(eviction_select(c, 60, &key, &got));
    assert_int_equal(got, 49);
}

static void the_longer_connected_half_stays_even_in_a_crowd(void **state)
{
    (void)state;
    struct eviction_candidate c[60];
    uint64_t got;
    make_peers(c, 60);
    for (size_t i = 0; i < 20; i++) { /* the oldest share one /16 */
        uint8_t ip[4] = { 99, 1, (uint8_t)i, 1 };
        netaddr_from_ipv4(&c[i].addr, ip, 8333);
    }
    assert_true(eviction_select(c, 60, &key, &got));
    assert_true(got >= 50);
}

static void whitelisted_peers_never_leave(void **state)
{
    (void)state;
    struct eviction_candidate c[40];
    make_peers(c, 40);
    c[39].whitelisted = true;
    assert_false(ever_evicted(c, 40, 39));
}

/* The peer with each property survives although it is the youngest of a crowd. */
static void each_property_protects(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        struct eviction_candidate c[100];
        make_peers(c, 100);
        for (size_t i = 0; i < 100; i++) { /* the whole crowd in two groups */
            uint8_t ip[4] = { 99, i < 50, (uint8_t)i, 1 };
            netaddr_from_ipv4(&c[i].addr, ip, 8333);
            c[i].min_ping_us = 50000;
            c[i].last_tx_ms = c[i].last_block_ms = 5;
        }
        struct eviction_candidate *x = &c[99];
        assert_true(ever_evicted(c, 100, 99));
        if (which == 0)
            x->min_ping_us = 100;
        if (which == 1)
            x->last_tx_ms = 1000;
        if (which == 2)
            x->last_block_ms = 1000;
        if (which == 3)
            x->authenticated = true;
        assert_false(ever_evicted(c, 100, 99));
    }
}

static void an_unmeasured_ping_is_no_low_ping(void **state)
{
    (void)state;
    struct eviction_candidate c[40];
    make_peers(c, 40);
    for (size_t i = 0; i < 40; i++)
        netaddr_from_ipv4(&c[i].addr, (const uint8_t[4]){ 9, 9, 9, (uint8_t)i }, 1);
    assert_true(chosen(c, 40, 39));
    c[39].min_ping_us = 0;
    assert_true(chosen(c, 40, 38));
}

static void input_order_does_not_matter(void **state)
{
    (void)state;
    struct eviction_candidate c[50], turned[50];
    uint64_t a, b;
    make_peers(c, 50);
    for (size_t i = 0; i < 50; i++) {
        c[i].connected_ms = (int64_t)(i / 5);
        c[i].min_ping_us = (int64_t)(i % 3) * 1000;
    }
    for (size_t i = 0; i < 50; i++)
        turned[i] = c[49 - i];
    assert_true(eviction_select(c, 50, &key, &a));
    assert_true(eviction_select(turned, 50, &key, &b));
    assert_int_equal(a, b);
}

/* attacks D7: 200 peers of one attacker in few groups; a newcomer from elsewhere stays. */
static void a_newcomer_pushes_out_an_attacker_not_himself(void **state)
{
    (void)state;
    struct eviction_candidate c[201];
    make_peers(c, 201);
    for (size_t i = 0; i < 200; i++) {
        uint8_t ip[4] = { 99, (uint8_t)(i % 5), (uint8_t)i, 1 };
        netaddr_from_ipv4(&c[i].addr, ip, 8333);
        c[i].min_ping_us = 10;
        c[i].last_tx_ms = 1000000;
        c[i].last_block_ms = 1000000;
    }
    c[200].connected_ms = 5000000; /* younger than all, with nothing to show yet */
    uint64_t got;
    assert_true(eviction_select(c, 201, &key, &got));
    assert_int_not_equal(got, 200);
    size_t n = 201;
    for (int newcomers = 0; newcomers < 100; newcomers++) {
        assert_true(eviction_select(c, n, &key, &got));
        assert_int_not_equal(got, 200);
        size_t i = 0;
        while (c[i].peer_id != got)
            i++;
        c[i].peer_id = 1000 + (uint64_t)newcomers; /* the attacker takes the slot again */
        c[i].connected_ms = 6000000 + newcomers;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_leaves_when_all_are_protected),
        cmocka_unit_test(the_youngest_leaves_when_all_groups_are_equal),
        cmocka_unit_test(the_most_crowded_group_gives_up_its_youngest),
        cmocka_unit_test(the_longer_connected_half_stays_even_in_a_crowd),
        cmocka_unit_test(whitelisted_peers_never_leave),
        cmocka_unit_test(each_property_protects),
        cmocka_unit_test(an_unmeasured_ping_is_no_low_ping),
        cmocka_unit_test(input_order_does_not_matter),
        cmocka_unit_test(a_newcomer_pushes_out_an_attacker_not_himself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

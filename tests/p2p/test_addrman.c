#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/rand.h"
#include "p2p/addrman_internal.h"
#include "base/state_file.h"

#define NOW INT64_C(1700000000)
#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };
static const uint8_t secret[32] = { 1, 2, 3 };
static const struct addrman_query any = { .table = ADDRMAN_ANY };

static struct netaddr addr(const char *text)
{
    struct netaddr a;
    assert_int_equal(netaddr_parse(&a, text, 8333, NULL), OK);
    return a;
}

/* Address number i of /32 number group: all routable. */
static struct netaddr numbered(uint32_t group, uint32_t i)
{
    struct netaddr a = { .ip = { 0x2a, 0 }, .port = 8333 };
    be32_put(a.ip + 12, i);
    a.ip[1] = (uint8_t)(group >> 16);
    a.ip[2] = (uint8_t)(group >> 8);
    a.ip[3] = (uint8_t)group;
    return a;
}

static bool add_from(struct addrman *am, const struct netaddr *a, const struct netaddr *source)
{
    struct peer_addr pa = { *a, 1, NOW - HOUR };
    return addrman_add(am, &pa, source, 0, NOW);
}

static bool add(struct addrman *am, const char *text)
{
    struct netaddr a = addr(text);
    return add_from(am, &a, &a);
}

static struct addrman_stats stats(const struct addrman *am)
{
    struct addrman_stats s;
    addrman_get_stats(am, &s);
    return s;
}

static unsigned filled(const struct am_table *t)
{
    unsigned n = 0;
    for (unsigned b = 0; b < t->buckets; b++)
        n += t->fill[b] != 0;
    return n;
}

/* Every invariant of addrman_internal.h. */
static void check(const struct addrman *am)
{
    size_t fresh = 0, tried = 0, places = 0, slots = 0, ipv4 = 0;
    for (uint32_t k = 0; k < am->n; k++) {
        uint32_t i = am->order[k];
        const struct am_entry *x = &am->entries[i];
        assert_int_equal(x->order, k);
        assert_int_equal(am_find(am, &x->pa.addr), i);
        assert_true(x->tried == (x->places == 0));
        for (unsigned p = 0; p < x->places; p++)
            assert_int_equal(am->fresh.slots[x->where[p]], i);
        if (x->tried)
            assert_int_equal(am->tried.slots[am_tried_slot(am, &x->pa.addr)], i);
        fresh += !x->tried;
        ipv4 += netaddr_is_ipv4(&x->pa.addr);
        tried += x->tried;
        places += x->places;
    }
    for (unsigned b = 0; b < ADDRMAN_NEW_BUCKETS; b++)
        slots += am->fresh.fill[b];
    size_t grouped = 0;
    for (unsigned k = 0; k < AM_INDEX_SIZE; k++)
        grouped += am->groups[k];
    assert_int_equal(grouped, am->n);
    assert_int_equal(slots, places);
    assert_int_equal(am->n_new, fresh);
    assert_int_equal(am->n_ipv4, ipv4);
    assert_int_equal(am->n_tried, tried);
    assert_true(am->n <= ADDRMAN_MAX_ENTRIES);
}

static void only_routable_addresses_with_a_port_are_taken(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "10.0.0.1", "127.0.0.1", "::1", "fe80::1", "fc00::1", "2001:db8::1", "224.0.0.1",
        "240.0.0.1",
        "64:ff9b::10.0.0.1", "2002:a00:1::1", "8.8.8.8:0", "ff02::1", "100.64.0.1", "0.0.0.0",
    };
    struct addrman *am = addrman_new(secret);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(add(am, bad[i]));
    assert_int_equal(stats(am).n_new, 0);
    assert_true(add(am, "8.8.8.8"));
    assert_true(add(am, "2a01::1"));
    assert_int_equal(stats(am).n_new, 2);
    assert_int_equal(stats(am).n_ipv4, 1);
    assert_int_equal(stats(am).n_ipv6, 1);
    addrman_free(am);
}

static void onlynet_limits_storing_choosing_and_telling(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct addrman_choice c;
    struct peer_addr out[ADDRMAN_SAMPLE_MAX];
    struct netaddr listening = addr("2a01::99");
    for (uint32_t i = 0; i < 20; i++) {
        struct netaddr a = addr("8.8.8.8");
        a.ip[12] = (uint8_t)(20 + i);
        add_from(am, &a, &a);
    }
    addrman_set_networks(am, NETWORK_IPV6);
    assert_false(add(am, "9.9.9.9"));
    assert_false(addrman_select(am, &any, NOW, &c));
    assert_int_equal(addrman_sample(am, &listening, NOW, out), 0);
    assert_true(add(am, "2a01::1"));
    assert_true(addrman_select(am, &any, NOW, &c));
    assert_false(netaddr_is_ipv4(&c.pa.addr));
    addrman_free(am);
}

static void times_that_cannot_be_become_five_days_ago_and_gossip_is_penalised(void **state)
{
    (void)state;
    static const struct { int64_t given, penalty, kept; } rows[] = {
        { NOW - 100, 0, NOW - 100 },
        { NOW - 100, ADDRMAN_GOSSIP_PENALTY_S, NOW - 7300 },
        { NOW + 600, 0, NOW + 600 },
        { NOW + 601, 0, NOW - 5 * DAY },
        { 100000000, 0, NOW - 5 * DAY },
        { 0, 7200, NOW - 5 * DAY - 7200 },
        { INT64_MIN, 0, NOW - 5 * DAY },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addrman *am = addrman_new(secret);
        struct peer_addr pa = { addr("8.8.8.8"), 1, rows[i].given };
        assert_true(addrman_add(am, &pa, &pa.addr, rows[i].penalty, NOW));
        assert_true(am->entries[am_find(am, &pa.addr)].pa.time == rows[i].kept);
        addrman_free(am);
    }
}

static void there_is_one_entry_per_ip_in_at_most_eight_buckets(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct netaddr a = addr("8.8.8.8");
    for (uint32_t i = 0; i < 20000; i++) {
        struct netaddr source = numbered(i, 1);
        struct peer_addr pa = { a, 1, NOW - DAY + i };
        pa.addr.port = (uint16_t)(1 + i % 60000);
        addrman_add(am, &pa, &source, 0, NOW);
    }
    assert_int_equal(am->n, 1);
    assert_true(am->entries[am_find(am, &a)].places > 1);
    assert_true(am->entries[am_find(am, &a)].places <= 8);
    check(am);
    addrman_free(am);
}

/* attacks D1: what one source group can reach */
static void one_source_group_fills_at_most_64_of_1024_buckets(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    for (uint32_t i = 0; i < 100000; i++) {
        struct netaddr a = numbered(i, i), source = numbered(0xabcdef, i);
        add_from(am, &a, &source);
    }
    assert_true(filled(&am->fresh) <= 64);
    assert_true(am->n <= 64 * 64);
    check(am);
    addrman_free(am);
}

static void one_group_fills_at_most_8_of_256_tried_buckets(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    for (uint32_t i = 0; i < 20000; i++) {
        struct netaddr a = numbered(5, i), source = numbered(i, 0);
        add_from(am, &a, &source);
        addrman_good(am, &a, NOW);
        addrman_resolve_collisions(am, NOW);
    }
    assert_true(filled(&am->tried) <= 8);
    assert_true(am->n_tried > 0 && am->n_tried <= 8 * 64);
    check(am);
    addrman_free(am);
}

static void a_handshake_moves_an_address_to_tried(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct netaddr a = addr("2a01::1"), stranger = addr("2a01::2");
    add(am, "2a01::1");
    addrman_good(am, &stranger, NOW); /* unknown: nothing happens */
    assert_int_equal(stats(am).n_new, 1);
    addrman_good(am, &a, NOW);
    assert_int_equal(stats(am).n_new, 0);
    assert_int_equal(stats(am).n_tried, 1);
    add(am, "2a01::1"); /* gossip does not bring it back */
    assert_int_equal(stats(am).n_new, 0);
    check(am);
    addrman_free(am);
}

/* Fills the tried slot of `old`, then finds a newcomer for the same slot. */
static struct netaddr make_collision(struct addrman *am, struct netaddr *old, int64_t now)
{
    *old = numbered(1, 1);
    add_from(am, old, old);
    addrman_good(am, old, now);
    for (uint32_t i = 2;; i++) {
        struct netaddr a = numbered(i, i);
        if (am_tried_slot(am, &a) != am_tried_slot(am, old))
            continue;
        assert_true(add_from(am, &a, &a));
        return a;
    }
}

static bool is_tried(const struct addrman *am, const struct netaddr *a)
{
    uint32_t i = am_find(am, a);
    return i != AM_NONE && am->entries[i].tried;
}

static void an_old_entry_that_answers_its_test_stays(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct netaddr old, newcomer = make_collision(am, &old, NOW);
    struct addrman_choice c;
    int64_t t = NOW + DAY;
    addrman_good(am, &newcomer, t);
    assert_true(is_tried(am, &old));
    assert_int_equal(stats(am).n_collisions, 1);
    assert_true(addrman_select_feeler(am, &any, t, &c));
    assert_true(c.tried);
    assert_true(netaddr_equal(&c.pa.addr, &old));
    addrman_attempt(am, &old, ADDRMAN_COUNT_FAILURE, t);
    addrman_good(am, &old, t + 2);
    addrman_resolve_collisions(am, t + 3);
    assert_int_equal(stats(am).n_collisions, 0);
    assert_true(is_tried(am, &old));
    assert_false(is_tried(am, &newcomer));
    check(am);
    addrman_free(am);
}

static void an_old_entry_that_is_silent_makes_room(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct netaddr old, newcomer = make_collision(am, &old, NOW);
    int64_t t = NOW + DAY;
    addrman_good(am, &newcomer, t);
    addrman_attempt(am, &old, ADDRMAN_COUNT_FAILURE, t);
    addrman_resolve_collisions(am, t + 30); /* the dial may still succeed */
    assert_true(is_tried(am, &old));
    addrman_resolve_collisions(am, t + 61);
    assert_true(is_tried(am, &newcomer));
    assert_false(is_tried(am, &old));
    assert_true(am_find(am, &old) != AM_NONE); /* back in new */
    check(am);
    addrman_free(am);
}

static void without_a_test_the_newcomer_wins_after_forty_minutes(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct netaddr old, newcomer = make_collision(am, &old, NOW);
    int64_t t = NOW + DAY;
    addrman_good(am, &newcomer, t);
    addrman_resolve_collisions(am, t + 40 * 60);
    assert_true(is_tried(am, &old));
    addrman_resolve_collisions(am, t + 40 * 60 + 1);
    assert_true(is_tried(am, &newcomer));
    check(am);
    addrman_free(am);
}

static void waiting_newcomers_are_bounded(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    for (uint32_t i = 0; i < 5000; i++) {
        struct netaddr a = numbered(5, i), source = numbered(i, 0);
        add_from(am, &a, &source);
        addrman_good(am, &a, NOW);
        assert_true(stats(am).n_collisions <= AM_MAX_COLLISIONS);
    }
    assert_int_equal(stats(am).n_collisions, AM_MAX_COLLISIONS);
    addrman_free(am);
}

static void bad_entries_are_known_by_the_rules(void **state)
{
    (void)state;
    static const struct {
        int64_t time, last_try, last_success;
        uint32_t attempts;
        bool bad;
    } rows[] = {
        { NOW, 0, 0, 0, false },
        { NOW + 600, 0, 0, 0, false },
        { NOW + 601, 0, 0, 0, true },
        { NOW - 7 * DAY, 0, 0, 0, false },
        { NOW - 7 * DAY - 1, 0, 0, 0, true },
        { NOW - 9 * DAY, NOW - 60, 0, 5, false }, /* being tried */
        { NOW - 9 * DAY, NOW - 61, 0, 5, true },
        { NOW, NOW - HOUR, 0, 2, false },
        { NOW, NOW - HOUR, 0, 3, true },
        { NOW, NOW - HOUR, NOW - 2 * DAY, 10, false },
        { NOW, NOW - HOUR, NOW - 2 * DAY - 1, 9, false },
        { NOW, NOW - HOUR, NOW - 2 * DAY - 1, 10, true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct am_entry x = { .pa.time = rows[i].time, .last_try = rows[i].last_try,
                              .last_success = rows[i].last_success, .attempts = rows[i].attempts };
        if (am_is_terrible(&x, NOW) != rows[i].bad)
            fail_msg("row %zu", i);
    }
}

static void failures_lower_the_chance_to_a_floor(void **state)
{
    (void)state;
    struct am_entry x = { .last_try = NOW - 599 };
    assert_true(am_chance(&x, NOW) == 0.01);
    x.last_try = NOW - 600;
    assert_true(am_chance(&x, NOW) == 1.0);
    x.attempts = 8;
    double eight = am_chance(&x, NOW);
    assert_true(eight > 0.035 && eight < 0.037);
    x.attempts = 1000;
    assert_true(am_chance(&x, NOW) == eight);
}

static void failures_count_once_after_each_success_of_anyone(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct netaddr a = addr("8.8.8.8"), other = addr("9.9.9.9");
    add(am, "8.8.8.8");
    const struct am_entry *x = &am->entries[am_find(am, &a)];
    addrman_attempt(am, &a, ADDRMAN_COUNT_FAILURE, NOW);
    addrman_attempt(am, &a, ADDRMAN_COUNT_FAILURE, NOW + 10);
    assert_int_equal(x->attempts, 1);
    addrman_good(am, &other, NOW + 20);
    addrman_attempt(am, &a, ADDRMAN_KEEP_COUNT, NOW + 30);
    assert_int_equal(x->attempts, 1);
    addrman_attempt(am, &a, ADDRMAN_COUNT_FAILURE, NOW + 40);
    assert_int_equal(x->attempts, 2);
    addrman_good(am, &a, NOW + 50);
    assert_int_equal(x->attempts, 0);
    addrman_free(am);
}

static void connected_refreshes_every_twenty_minutes(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct peer_addr pa = { addr("8.8.8.8"), 1, NOW };
    addrman_add(am, &pa, &pa.addr, 0, NOW);
    const struct am_entry *x = &am->entries[am_find(am, &pa.addr)];
    addrman_connected(am, &pa.addr, NOW + 20 * 60);
    assert_true(x->pa.time == NOW);
    addrman_connected(am, &pa.addr, NOW + 20 * 60 + 1);
    assert_true(x->pa.time == NOW + 20 * 60 + 1);
    addrman_free(am);
}

static void a_silent_port_does_not_block_the_right_one(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret);
    struct netaddr wrong = addr("8.8.8.8:1"), right = addr("8.8.8.8:8333");
    add_from(am, &wrong, &wrong);
    add_from(am, &right, &right);
    assert_int_equal(am->entries[am_find(am, &right)].pa.addr.port, 1);
    addrman_attempt(am, &wrong, ADDRMAN_COUNT_FAILURE, NOW);
    add_from(am, &right, &right);
    assert_int_equal(am->entries[am_find(am, &right)].pa.addr.port, 8333);
    addrman_good(am, &right, NOW + 1);
    add_from(am, &wrong, &wrong);
    assert_int_equal(am->entries[am_find(am, &right)].pa.addr.port, 8333);
    addrman_free(am);
}

/* attacks D6: 10^5 entries that name one victim */
static void a_victim_is_dialled_once_per_interval(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    struct netaddr victim = addr("8.8.8.8");
    for (uint32_t i = 0; i < 100000; i++) {
        struct netaddr source = numbered(i, 1);
        struct peer_addr pa = { victim, 1, NOW - DAY + i % 80000 };
        pa.addr.port = (uint16_t)(1 + i % 65535);
        addrman_add(am, &pa, &source, 0, NOW);
    }
    unsigned dials = 0;
    for (int64_t t = NOW; t < NOW + 6000; t++) { /* ten intervals, a wish each second */
        struct addrman_choice c;
        if (!addrman_select(am, &any, t, &c))
            continue;
        assert_true(netaddr_same_ip(&c.pa.addr, &victim));
        addrman_attempt(am, &c.pa.addr, ADDRMAN_KEEP_COUNT, t);
        dials++;
    }
    assert_int_equal(dials, 10);
    addrman_free(am);
}

static void no_target_comes_twice_within_the_interval(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    struct addrman_query q = { .table = ADDRMAN_ANY, .interval_s = 1 }; /* raised to 60 */
    unsigned chosen = 0;
    for (uint32_t i = 0; i < 200; i++) {
        struct netaddr a = numbered(i, i);
        add_from(am, &a, &a);
        if (i % 2)
            addrman_good(am, &a, NOW - 1000);
    }
    for (int pass = 0; pass < 1000; pass++) {
        struct addrman_choice c;
        if (!addrman_select(am, &q, NOW, &c))
            continue;
        assert_true(c.last_try == 0 || c.last_try <= NOW - 60);
        addrman_attempt(am, &c.pa.addr, ADDRMAN_KEEP_COUNT, NOW);
        chosen++;
    }
    assert_int_equal(chosen, am->n); /* each exactly once */
    addrman_free(am);
}

static bool odd_only(void *ctx, const struct addrman_choice *c)
{
    ++*(unsigned *)ctx;
    return c->pa.addr.ip[15] % 2 == 1;
}

static void filters_of_the_caller_are_kept(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    unsigned calls = 0;
    struct addrman_query q = { .services = 0x21, .accept = odd_only, .ctx = &calls };
    struct addrman_choice c;
    assert_false(addrman_select(am, &q, NOW, &c)); /* empty */
    for (uint32_t i = 0; i < 100; i++) {
        struct netaddr a = numbered(i, i);
        add_from(am, &a, &a);
        if (i < 50)
            addrman_set_services(am, &a, 0x25);
    }
    for (int i = 0; i < 100; i++) {
        assert_true(addrman_select(am, &q, NOW, &c));
        assert_true(c.pa.addr.ip[15] < 50 && c.pa.addr.ip[15] % 2 == 1);
    }
    assert_true(calls > 0);
    q.services = 0x40;
    assert_false(addrman_select(am, &q, NOW, &c));
    addrman_free(am);
}

static void other_ports_come_only_when_the_preferred_one_is_used_up(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(secret); /* two may want one place by another */
    struct addrman_query q = { .prefer_port = 8333 };
    for (uint32_t i = 0; i < 60; i++) {
        struct netaddr a = numbered(i, i);
        a.port = i < 20 ? 8333 : 9000;
        assert_true(add_from(am, &a, &a));
    }
    for (unsigned i = 0; i < 60; i++) {
        struct addrman_choice c;
        assert_true(addrman_select(am, &q, NOW, &c));
        assert_int_equal(c.pa.addr.port, i < 20 ? 8333 : 9000);
        addrman_attempt(am, &c.pa.addr, ADDRMAN_KEEP_COUNT, NOW);
    }
    addrman_free(am);
}

static void feelers_take_new_addresses_only(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    struct addrman_choice c;
    for (uint32_t i = 0; i < 50; i++) {
        struct netaddr a = numbered(i, i);
        add_from(am, &a, &a);
        if (i >= 10)
            addrman_good(am, &a, NOW - DAY);
    }
    addrman_resolve_collisions(am, NOW);
    for (int i = 0; i < 200; i++) {
        assert_true(addrman_select_feeler(am, &any, NOW, &c));
        assert_false(c.tried);
    }
    addrman_free(am);
}

/* attacks D1: full buckets do not make an attacker's addresses likelier than empty ones do. */
static void tried_and_new_are_chosen_evenly_whatever_their_size(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    unsigned tried = 0;
    struct addrman_choice c;
    for (uint32_t i = 0; i < 20000; i++) {
        struct netaddr a = numbered(i, i), source = numbered(i % 97, 0);
        add_from(am, &a, &source);
    }
    for (uint32_t i = 0; i < 20; i++) {
        struct netaddr a = numbered(i + 50000, i);
        add_from(am, &a, &a);
        addrman_good(am, &a, NOW - DAY);
    }
    for (int i = 0; i < 2000; i++) {
        assert_true(addrman_select(am, &any, NOW, &c));
        tried += c.tried;
    }
    assert_true(tried > 800 && tried < 1200); /* nine standard deviations */
    addrman_free(am);
}

/* attacks D4: sixty addresses of one group against one each of twenty groups */
static void a_group_gains_nothing_by_many_addresses(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    struct addrman_choice c;
    unsigned crowd = 0;
    for (uint32_t i = 0; i < 60; i++) {
        struct netaddr a = numbered(77, i), source = numbered(i + 1000, 0);
        add_from(am, &a, &source);
    }
    for (uint32_t i = 0; i < 20; i++) {
        struct netaddr a = numbered(200 + i, 1);
        add_from(am, &a, &a);
    }
    for (int i = 0; i < 4000; i++) {
        assert_true(addrman_select(am, &any, NOW, &c));
        crowd += c.pa.addr.ip[3] == 77;
    }
    assert_true(crowd < 600); /* by address it would be 3000; one in 21 is 190 */
    addrman_free(am);
}

static void fill(struct addrman *am, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct netaddr a = numbered(i, i), source = numbered(i / 4, 1);
        add_from(am, &a, &source);
        if (i % 5 == 0)
            addrman_good(am, &a, NOW - DAY);
    }
}

static void an_answer_has_23_percent_and_at_most_a_message(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    struct peer_addr out[ADDRMAN_SAMPLE_MAX];
    struct netaddr one = addr("2a01::1"), two = addr("2a01::2");
    fill(am, 1000);
    size_t expect = am->n * 23 / 100;
    assert_int_equal(addrman_sample(am, &one, NOW, out), expect);
    for (size_t i = 0; i < expect; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(netaddr_same_ip(&out[i].addr, &out[k].addr));
    fill(am, 20000);
    assert_int_equal(addrman_sample(am, &two, NOW, out), ADDRMAN_SAMPLE_MAX);
    check(am);
    addrman_free(am);
}

/* attacks C18 */
static void answers_stay_for_each_listening_address_and_differ_between_them(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    static struct peer_addr a[ADDRMAN_SAMPLE_MAX], b[ADDRMAN_SAMPLE_MAX];
    struct netaddr one = addr("[2a01::1]:8333"), two = addr("[2a01::2]:8333");
    fill(am, 5000);
    size_t n = addrman_sample(am, &one, NOW, a), m;
    for (int64_t t = NOW; t < NOW + 20 * HOUR; t += HOUR) {
        struct netaddr fresh = numbered((uint32_t)(t % 100000) + 100000, 1);
        add_from(am, &fresh, &fresh);
        m = addrman_sample(am, &one, t, b);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n * sizeof *a);
    }
    m = addrman_sample(am, &two, NOW, b);
    assert_true(memcmp(a, b, (n < m ? n : m) * sizeof *a) != 0);
    m = addrman_sample(am, &one, NOW + 28 * HOUR, b); /* a new day */
    assert_true(memcmp(a, b, (n < m ? n : m) * sizeof *a) != 0);
    for (uint32_t i = 0; i < 100; i++) { /* bounded number of caches */
        struct netaddr l = numbered(7, i);
        assert_true(addrman_sample(am, &l, NOW, b) > 0);
    }
    addrman_free(am);
}

static void bad_entries_are_not_told(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    struct peer_addr out[ADDRMAN_SAMPLE_MAX];
    struct netaddr one = addr("2a01::1");
    fill(am, 1000);
    assert_int_equal(addrman_sample(am, &one, NOW + 8 * DAY, out), 0);
    addrman_free(am);
}

static void the_file_brings_everything_back(void **state)
{
    (void)state;
    char *dir = test_dir_make(), *path = path_join(dir, "peers.dat");
    struct addrman *am = addrman_new(NULL), *back = addrman_new(NULL);
    struct error e;
    fill(am, 3000);
    struct netaddr a = am->entries[am->order[17]].pa.addr;
    addrman_attempt(am, &a, ADDRMAN_COUNT_FAILURE, NOW - 5);
    assert_int_equal(addrman_load(back, path, magic, NOW, &e), OK); /* not there yet */
    assert_int_equal(addrman_store(am, path, magic, &e), OK);
    assert_int_equal(addrman_load(back, path, magic, NOW, &e), OK);
    check(back);
    assert_memory_equal(am->secret, back->secret, 32);
    assert_int_equal(am->n_new, back->n_new);
    assert_int_equal(am->n_tried, back->n_tried);
    for (uint32_t k = 0; k < am->n; k++) {
        const struct am_entry *x = &am->entries[am->order[k]];
        const struct am_entry *y = &back->entries[am_find(back, &x->pa.addr)];
        assert_true(netaddr_equal(&x->pa.addr, &y->pa.addr) && x->pa.time == y->pa.time &&
                    x->pa.services == y->pa.services && x->last_try == y->last_try &&
                    x->last_success == y->last_success && x->attempts == y->attempts &&
                    x->places == y->places && x->tried == y->tried);
    }
    addrman_free(am);
    addrman_free(back);
    free(path);
    test_dir_remove(dir);
}

static void a_damaged_file_is_kept_aside_and_the_book_starts_empty(void **state)
{
    (void)state;
    char *dir = test_dir_make(), *path = path_join(dir, "peers.dat");
    char *bad = path_join(dir, "peers.dat.bad");
    static const char *const contents[] = { "", "x", "fabfb5da", "fabfb5da0120" };
    struct addrman *am = addrman_new(NULL);
    struct error e;
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        assert_int_equal(file_replace(path, contents[i], strlen(contents[i]), &e), OK);
        assert_int_equal(addrman_load(am, path, magic, NOW, &e), OK);
        assert_int_equal(am->n, 0);
        assert_false(path_exists(path));
        assert_true(path_exists(bad));
        assert_int_equal(path_remove(bad, &e), OK);
    }
    fill(am, 10);
    assert_int_equal(addrman_store(am, path, magic, &e), OK);
    assert_int_equal(addrman_load(am, path, (const uint8_t *)"\1\2\3\4", NOW, &e), OK);
    assert_true(path_exists(bad)); /* another network's */
    addrman_free(am);
    free(path);
    free(bad);
    test_dir_remove(dir);
}

static void every_changed_byte_is_noticed(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL), *back = addrman_new(NULL);
    struct buf b;
    buf_init(&b);
    fill(am, 20);
    addrman_encode(am, magic, &b);
    state_file_finish(&b);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x10;
        assert_int_equal(addrman_decode(back, b.data, b.len, magic, NOW, NULL), ERR_CORRUPT);
        b.data[i] ^= 0x10;
        assert_int_equal(addrman_decode(back, b.data, i, magic, NOW, NULL), ERR_CORRUPT);
    }
    assert_int_equal(addrman_decode(back, b.data, b.len, magic, NOW, NULL), OK);
    assert_int_equal(back->n, am->n);
    buf_clear(&b);
    addrman_free(am);
    addrman_free(back);
}

static void put_record(struct buf *b, const char *address, unsigned places, unsigned written)
{
    struct netaddr a = addr(address);
    buf_put_le64(b, (uint64_t)NOW);
    buf_put_le64(b, 1);
    netaddr_write(b, &a);
    netaddr_write(b, &a);
    buf_put_le64(b, 0);
    buf_put_le64(b, 0);
    buf_put_le32(b, 0);
    buf_put_u8(b, (uint8_t)places);
    for (unsigned i = 0; i < written; i++)
        buf_put_le16(b, (uint16_t)i);
}

static enum err decode_records(struct addrman *am, uint32_t n, const struct buf *records)
{
    static const struct state_file_kind kind = { "ADDR", 1 };
    struct buf b;
    buf_init(&b);
    state_file_begin(&b, &kind, magic);
    buf_put(&b, secret, sizeof secret);
    buf_put_le32(&b, n);
    buf_put(&b, records->data, records->len);
    state_file_finish(&b);
    enum err rc = addrman_decode(am, b.data, b.len, magic, NOW, NULL);
    buf_clear(&b);
    return rc;
}

static void records_that_cannot_be_are_damage_even_with_a_good_checksum(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        unsigned places, written;
        uint32_t count;
        enum err rc;
    } rows[] = {
        { "8.8.8.8", 0, 0, 1, OK },
        { "8.8.8.8", 8, 8, 1, OK }, /* places that are not its own are passed over */
        { "8.8.8.8", 9, 9, 1, ERR_CORRUPT },
        { "8.8.8.8", 255, 255, 1, ERR_CORRUPT },
        { "8.8.8.8", 4, 3, 1, ERR_CORRUPT },
        { "8.8.8.8", 3, 4, 1, ERR_CORRUPT },
        { "8.8.8.8", 0, 0, 2, ERR_CORRUPT },
        { "8.8.8.8", 0, 0, UINT32_MAX, ERR_CORRUPT },
        { "8.8.8.8", 0, 0, 0, ERR_CORRUPT },
        { "8.8.8.8:0", 0, 0, 1, ERR_CORRUPT },
        { "10.0.0.1", 0, 0, 1, ERR_CORRUPT },
    };
    struct addrman *am = addrman_new(NULL);
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_reset(&b);
        put_record(&b, rows[i].address, rows[i].places, rows[i].written);
        assert_int_equal(decode_records(am, rows[i].count, &b), rows[i].rc);
        assert_int_equal(am->n, rows[i].rc == OK);
        check(am);
    }
    buf_reset(&b); /* one address twice */
    put_record(&b, "8.8.8.8:1", 0, 0);
    put_record(&b, "8.8.8.8:2", 0, 0);
    assert_int_equal(decode_records(am, 2, &b), ERR_CORRUPT);
    buf_clear(&b);
    addrman_free(am);
}

static void times_of_a_file_from_the_future_are_cut(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL), *back = addrman_new(NULL);
    struct buf b;
    buf_init(&b);
    fill(am, 50);
    struct netaddr a = am->entries[am->order[3]].pa.addr;
    addrman_attempt(am, &a, ADDRMAN_KEEP_COUNT, NOW + DAY);
    addrman_encode(am, magic, &b);
    state_file_finish(&b);
    assert_int_equal(addrman_decode(back, b.data, b.len, magic, NOW - 30 * DAY, NULL), OK);
    for (uint32_t k = 0; k < back->n; k++) {
        const struct am_entry *x = &back->entries[back->order[k]];
        assert_true(x->pa.time <= NOW - 30 * DAY && x->last_try <= NOW - 30 * DAY &&
                    x->last_success <= NOW - 30 * DAY);
    }
    buf_clear(&b);
    addrman_free(am);
    addrman_free(back);
}

/* attacks D5: counters near their end, and memory that does not grow */
static void a_flood_keeps_memory_flat_and_counters_may_wrap(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    am->offered = UINT32_MAX - 10;
    am->stored = UINT64_MAX - 10;
    for (uint32_t i = 0; i < 300000; i++) {
        struct netaddr a = numbered(i * 7919, i), source = numbered(i % 5003, i);
        add_from(am, &a, &source);
    }
    assert_true(am->offered > UINT32_MAX);
    assert_true(am->cap <= ADDRMAN_MAX_ENTRIES + 1);
    check(am);
    addrman_free(am);
}

static void invariants_hold_through_random_use(void **state)
{
    (void)state;
    struct addrman *am = addrman_new(NULL);
    int64_t now = NOW;
    for (int step = 0; step < 60000; step++) {
        struct netaddr a = numbered((uint32_t)rand_below(40), (uint32_t)rand_below(300));
        struct netaddr source = numbered((uint32_t)rand_below(30), 0);
        struct peer_addr pa = { a, rand_below(4), now - (int64_t)rand_below(8 * DAY) };
        struct addrman_choice c;
        switch (rand_below(6)) {
        case 0: addrman_good(am, &a, now); break;
        case 1: addrman_attempt(am, &a, ADDRMAN_COUNT_FAILURE, now); break;
        case 2: addrman_resolve_collisions(am, now); break;
        case 3: (void)addrman_select_feeler(am, &any, now, &c); break;
        default: addrman_add(am, &pa, &source, 7200, now); break;
        }
        now += (int64_t)rand_below(60);
        if (step % 6000 == 0)
            check(am);
    }
    check(am);
    assert_true(am->n_tried > 50 && am->n_new > 50);
    addrman_free(am);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_routable_addresses_with_a_port_are_taken),
        cmocka_unit_test(onlynet_limits_storing_choosing_and_telling),
        cmocka_unit_test(times_that_cannot_be_become_five_days_ago_and_gossip_is_penalised),
        cmocka_unit_test(there_is_one_entry_per_ip_in_at_most_eight_buckets),
        cmocka_unit_test(one_source_group_fills_at_most_64_of_1024_buckets),
        cmocka_unit_test(one_group_fills_at_most_8_of_256_tried_buckets),
        cmocka_unit_test(a_handshake_moves_an_address_to_tried),
        cmocka_unit_test(an_old_entry_that_answers_its_test_stays),
        cmocka_unit_test(an_old_entry_that_is_silent_makes_room),
        cmocka_unit_test(without_a_test_the_newcomer_wins_after_forty_minutes),
        cmocka_unit_test(waiting_newcomers_are_bounded),
        cmocka_unit_test(bad_entries_are_known_by_the_rules),
        cmocka_unit_test(failures_lower_the_chance_to_a_floor),
        cmocka_unit_test(failures_count_once_after_each_success_of_anyone),
        cmocka_unit_test(connected_refreshes_every_twenty_minutes),
        cmocka_unit_test(a_silent_port_does_not_block_the_right_one),
        cmocka_unit_test(a_victim_is_dialled_once_per_interval),
        cmocka_unit_test(no_target_comes_twice_within_the_interval),
        cmocka_unit_test(filters_of_the_caller_are_kept),
        cmocka_unit_test(other_ports_come_only_when_the_preferred_one_is_used_up),
        cmocka_unit_test(feelers_take_new_addresses_only),
        cmocka_unit_test(tried_and_new_are_chosen_evenly_whatever_their_size),
        cmocka_unit_test(a_group_gains_nothing_by_many_addresses),
        cmocka_unit_test(an_answer_has_23_percent_and_at_most_a_message),
        cmocka_unit_test(answers_stay_for_each_listening_address_and_differ_between_them),
        cmocka_unit_test(bad_entries_are_not_told),
        cmocka_unit_test(the_file_brings_everything_back),
        cmocka_unit_test(a_damaged_file_is_kept_aside_and_the_book_starts_empty),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(records_that_cannot_be_are_damage_even_with_a_good_checksum),
        cmocka_unit_test(times_of_a_file_from_the_future_are_cut),
        cmocka_unit_test(a_flood_keeps_memory_flat_and_counters_may_wrap),
        cmocka_unit_test(invariants_hold_through_random_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

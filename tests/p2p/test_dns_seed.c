#include "tests/test.h"

#include <event2/event.h>
#include <string.h>

#include "base/bytes.h"
#include "p2p/dns_seed.h"
#include "p2p/netgroup.h"
#include "p2p/resolve.h"

#define NOW INT64_C(1700000000)
#define DAY INT64_C(86400)

static const struct dns_seed_options options = { NULL, 0, 8333, 1, NETWORK_ALL, NOW };

static struct netaddr addr(const char *text)
{
    struct netaddr a;
    assert_int_equal(netaddr_parse(&a, text, 0, NULL), OK);
    return a;
}

static void each_network_has_its_hosts(void **state)
{
    (void)state;
    size_t n;
    assert_string_equal(dns_seed_hosts(SEEDS_MAIN, &n)[0], "seed.bitcoinsv.io");
    assert_int_equal(n, 3);
    assert_string_equal(dns_seed_hosts(SEEDS_TEST, &n)[2], "testnet-seed.bitcoinseed.directory");
    assert_int_equal(n, 3);
    assert_string_equal(dns_seed_hosts(SEEDS_STN, &n)[1], "stn-seed.bitcoinseed.directory");
    assert_int_equal(n, 2);
    (void)dns_seed_hosts(SEEDS_REGTEST, &n);
    assert_int_equal(n, 0);
}

static void fixed_seeds_are_routable_and_old(void **state)
{
    (void)state;
    struct peer_addr pa;
    char text[NETADDR_TEXT_MAX];
    assert_int_equal(fixed_seeds_count(SEEDS_MAIN), 921);
    assert_int_equal(fixed_seeds_count(SEEDS_TEST), 17);
    assert_int_equal(fixed_seeds_count(SEEDS_STN), 0);
    assert_int_equal(fixed_seeds_count(SEEDS_REGTEST), 0);
    for (size_t i = 0; i < 921; i++) {
        fixed_seed_get(SEEDS_MAIN, i, NOW, &pa);
        assert_true(netaddr_is_routable(&pa.addr));
        assert_true(pa.time <= NOW - 7 * DAY && pa.time > NOW - 14 * DAY);
        assert_int_equal(pa.services, 1);
    }
    fixed_seed_get(SEEDS_MAIN, 0, NOW, &pa);
    assert_string_equal(netaddr_print(text, &pa.addr, NETADDR_WITH_PORT), "5.9.28.10:8333");
    fixed_seed_get(SEEDS_MAIN, 920, NOW, &pa);
    assert_string_equal(netaddr_print(text, &pa.addr, NETADDR_WITH_PORT), "222.239.193.121:8333");
    fixed_seed_get(SEEDS_TEST, 12, NOW, &pa);
    assert_string_equal(netaddr_print(text, &pa.addr, NETADDR_WITH_PORT), "159.65.60.54:19100");
}

static void results_get_port_services_and_three_to_seven_days(void **state)
{
    (void)state;
    struct netaddr in[] = { addr("8.8.8.8"), addr("2a01::1") };
    struct peer_addr out[DNS_SEED_MAX_PER_HOST];
    assert_int_equal(dns_seed_digest(&options, in, 2, out), 2);
    for (int i = 0; i < 2; i++) {
        assert_true(netaddr_same_ip(&out[i].addr, &in[i]));
        assert_int_equal(out[i].addr.port, 8333);
        assert_int_equal(out[i].services, 1);
        assert_true(out[i].time <= NOW - 3 * DAY && out[i].time > NOW - 7 * DAY);
    }
}

static void unroutable_and_unwanted_results_are_dropped(void **state)
{
    (void)state;
    struct netaddr in[] = { addr("10.0.0.1"), addr("::1"), addr("8.8.8.8"), addr("fe80::1"),
                            addr("2a01::1"), addr("127.0.0.1") };
    struct peer_addr out[DNS_SEED_MAX_PER_HOST];
    struct dns_seed_options six = options;
    six.networks = NETWORK_IPV6;
    assert_int_equal(dns_seed_digest(&options, in, 6, out), 2);
    assert_int_equal(dns_seed_digest(&six, in, 6, out), 1);
    assert_true(netaddr_same_ip(&out[0].addr, &in[4]));
}

/* attacks D8 */
static void one_seed_cannot_give_more_than_its_cap(void **state)
{
    (void)state;
    struct netaddr in[RESOLVE_MAX_RESULTS];
    struct peer_addr out[DNS_SEED_MAX_PER_HOST];
    unsigned late = 0;
    for (size_t i = 0; i < RESOLVE_MAX_RESULTS; i++) {
        in[i] = addr("8.8.8.8");
        in[i].ip[13] = (uint8_t)i;
    }
    assert_int_equal(dns_seed_digest(&options, in, RESOLVE_MAX_RESULTS, out),
                     DNS_SEED_MAX_PER_HOST);
    for (size_t i = 0; i < DNS_SEED_MAX_PER_HOST; i++) {
        late += out[i].addr.ip[13] >= DNS_SEED_MAX_PER_HOST;
        for (size_t k = 0; k < i; k++)
            assert_false(netaddr_same_ip(&out[i].addr, &out[k].addr));
    }
    assert_true(late > 0); /* a draw, not the first ones */
}

static void seeds_are_sources_in_groups_of_their_own(void **state)
{
    (void)state;
    struct netaddr a, b, again;
    dns_seed_source("seed.bitcoinsv.io", &a);
    dns_seed_source("seed.bitcoinseed.directory", &b);
    dns_seed_source("seed.bitcoinsv.io", &again);
    struct netgroup ga = netgroup_of(&a, NETGROUP_DIVERSITY);
    struct netgroup gb = netgroup_of(&b, NETGROUP_DIVERSITY);
    assert_false(netgroup_equal(&ga, &gb));
    assert_true(netaddr_equal(&a, &again));
}

struct answers {
    struct event_base *base;
    size_t calls, addresses, errors, wanted;
    uint16_t port;
    bool local;
};

static void on_answer(void *ctx, const char *host, const struct netaddr *addrs, size_t n,
                      const struct error *e)
{
    struct answers *a = ctx;
    assert_true(host[0] != '\0');
    assert_true((n == 0) == (e != NULL));
    a->errors += e != NULL;
    a->addresses += n;
    a->port = n ? addrs[0].port : a->port;
    a->local = n && netaddr_is_local(&addrs[0]);
    if (++a->calls == a->wanted)
        event_base_loopbreak(a->base);
}

static void run_loop(struct event_base *base, int seconds)
{
    struct timeval limit = { seconds, 0 };
    event_base_loopexit(base, &limit);
    event_base_dispatch(base);
}

static void numeric_names_are_answered_on_the_loop(void **state)
{
    (void)state;
    struct answers a = { .base = event_base_new(), .wanted = 12 };
    struct resolver *r = resolver_new(a.base, NULL);
    for (int i = 0; i < 12; i++) /* more than there are threads */
        assert_int_equal(resolver_lookup(r, i % 2 ? "::1" : "127.0.0.1", 8333, on_answer, &a, NULL),
                         OK);
    run_loop(a.base, 20);
    assert_int_equal(a.calls, 12);
    assert_int_equal(a.addresses, 12);
    assert_int_equal(a.port, 8333);
    assert_true(a.local);
    resolver_free(r);
    event_base_free(a.base);
}

static void bad_names_and_too_many_are_refused(void **state)
{
    (void)state;
    struct answers a = { .base = event_base_new() };
    struct resolver *r = resolver_new(a.base, NULL);
    char name[300];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(resolver_lookup(r, name, 1, on_answer, &a, NULL), ERR_PARSE);
    assert_int_equal(resolver_lookup(r, "", 1, on_answer, &a, NULL), ERR_PARSE);
    for (int i = 0; i < RESOLVE_MAX_PENDING; i++)
        assert_int_equal(resolver_lookup(r, "::1", 1, on_answer, &a, NULL), OK);
    assert_int_equal(resolver_lookup(r, "::1", 1, on_answer, &a, NULL), ERR_BUSY);
    resolver_free(r); /* with lookups under way */
    event_base_free(a.base);
    assert_int_equal(a.calls, 0);
}

static void cancelled_lookups_do_not_call_back(void **state)
{
    (void)state;
    struct answers a = { .base = event_base_new(), .wanted = 1 }, b = a;
    struct resolver *r = resolver_new(a.base, NULL);
    for (int i = 0; i < 8; i++)
        assert_int_equal(resolver_lookup(r, "::1", 1, on_answer, &b, NULL), OK);
    resolver_cancel(r, &b);
    assert_int_equal(resolver_lookup(r, "::1", 1, on_answer, &a, NULL), OK);
    run_loop(a.base, 20);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
    resolver_free(r);
    event_base_free(a.base);
}

struct seeding {
    struct event_base *base;
    struct dns_seeder *seeder;
    size_t found, done, answered;
};

static void on_found(void *ctx, const char *host, const struct peer_addr *addrs, size_t n,
                     const struct netaddr *source)
{
    struct seeding *s = ctx;
    assert_string_equal(host, "8.8.4.4");
    assert_int_equal(n, 1);
    assert_int_equal(addrs[0].addr.port, 8333);
    assert_true(netaddr_is_routable(source));
    s->found++;
}

static void on_done(void *ctx, size_t hosts_answered, size_t addresses)
{
    struct seeding *s = ctx;
    s->done++;
    s->answered = hosts_answered;
    assert_int_equal(addresses, 1);
    dns_seeder_free(s->seeder);
    event_base_loopbreak(s->base);
}

static void the_seeder_asks_all_hosts_and_is_done(void **state)
{
    (void)state;
    static const char *const hosts[] = { "8.8.4.4", "127.0.0.1" }; /* the second is of no use */
    struct dns_seed_options o = options;
    struct seeding s = { .base = event_base_new() };
    struct dns_seed_events ev = { on_found, on_done, &s };
    struct resolver *r = resolver_new(s.base, NULL);
    assert_null(dns_seeder_start(r, &o, &ev)); /* nobody to ask */
    o.hosts = hosts;
    o.n_hosts = 2;
    s.seeder = dns_seeder_start(r, &o, &ev);
    assert_non_null(s.seeder);
    run_loop(s.base, 20);
    assert_int_equal(s.found, 1);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.answered, 2);
    s.seeder = dns_seeder_start(r, &o, &ev); /* freed before the answers */
    dns_seeder_free(s.seeder);
    run_loop(s.base, 1);
    assert_int_equal(s.done, 1);
    resolver_free(r);
    event_base_free(s.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_network_has_its_hosts),
        cmocka_unit_test(fixed_seeds_are_routable_and_old),
        cmocka_unit_test(results_get_port_services_and_three_to_seven_days),
        cmocka_unit_test(unroutable_and_unwanted_results_are_dropped),
        cmocka_unit_test(one_seed_cannot_give_more_than_its_cap),
        cmocka_unit_test(seeds_are_sources_in_groups_of_their_own),
        cmocka_unit_test(numeric_names_are_answered_on_the_loop),
        cmocka_unit_test(bad_names_and_too_many_are_refused),
        cmocka_unit_test(cancelled_lookups_do_not_call_back),
        cmocka_unit_test(the_seeder_asks_all_hosts_and_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

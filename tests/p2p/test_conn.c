/*
 * Whom a net dials, seen from a scripted SOCKS5 proxy through which every connection goes: any
 * address can be played on one machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "p2p/addrman_internal.h"
#include "p2p/net_internal.h"
#include "tests/p2p/net_fixture.h"
#include "tests/p2p/wire.h"

#define CALLS_MAX 64

struct call {
    struct wire w;
    uint8_t in[300];
    size_t in_len;
    enum { CALL_GREETING, CALL_CONNECT, CALL_PEER, CALL_GONE } state;
    char target[264]; /* "1.2.3.4:8333", or the name */
    bool version_sent;
};

struct world {
    struct event_base *base;
    struct side side;
    struct wire proxy;     /* its listening socket */
    char proxy_text[32];
    struct call calls[CALLS_MAX];
    size_t n_calls;
    bool refuse;           /* CONNECT is answered with a failure */
    uint64_t services;     /* of the peers played */
    size_t addrs;          /* in the answer to getaddr */
};

static struct net_config world_start(struct world *w)
{
    struct net_config c = fixture_config();
    memset(w, 0, sizeof(*w));
    w->services = SERVICE_NETWORK;
    w->base = event_base_new();
    snprintf(w->proxy_text, sizeof(w->proxy_text), "[::1]:%u",
             (unsigned)wire_listen(&w->proxy, w->base));
    c.proxy = w->proxy_text;
    c.connect_none = false;
    c.max_outbound = 3;
    return c;
}

static void world_stop(struct world *w)
{
    side_close(&w->side);
    for (size_t i = 0; i < w->n_calls; i++)
        wire_close(&w->calls[i].w);
    wire_close(&w->proxy);
    event_base_free(w->base);
}

static void take_call(struct world *w)
{
    int fd = accept4(w->proxy.listen_fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    assert_true(w->n_calls < CALLS_MAX);
    struct call *c = &w->calls[w->n_calls++];
    wire_listen(&c->w, w->base); /* for its buffers */
    c->w.fd = fd;
}

static void read_more(struct call *c, size_t want)
{
    ssize_t n = recv(c->w.fd, c->in + c->in_len, want - c->in_len, 0);
    if (n == 0)
        c->state = CALL_GONE;
    if (n > 0)
        c->in_len += (size_t)n;
}

static void serve_greeting(struct call *c)
{
    read_more(c, 3);
    if (c->in_len < 3)
        return;
    assert_memory_equal(c->in, "\5\1\0", 3);
    wire_send_raw(&c->w, "\5\0", 2);
    c->in_len = 0;
    c->state = CALL_CONNECT;
}

static void serve_connect(struct world *w, struct call *c)
{
    read_more(c, 5);
    if (c->in_len < 5)
        return;
    size_t len = c->in[3] == 1 ? 10 : c->in[3] == 4 ? 22 : 7 + (size_t)c->in[4];
    read_more(c, len);
    if (c->in_len < len)
        return;
    uint16_t port = be16_get(c->in + len - 2);
    if (c->in[3] == 3) {
        snprintf(c->target, sizeof(c->target), "%.*s:%u", c->in[4], (char *)c->in + 5,
                 (unsigned)port);
    } else {
        struct netaddr a;
        if (c->in[3] == 1)
            netaddr_from_ipv4(&a, c->in + 4, port);
        else
            netaddr_from_ipv6(&a, c->in + 4, port);
        netaddr_print(c->target, &a, NETADDR_WITH_PORT);
    }
    wire_send_raw(&c->w, w->refuse ? "\5\5\0\1\0\0\0\0\0\0" : "\5\0\0\1\0\0\0\0\0\0", 10);
    c->state = CALL_PEER;
}

static void send_addrs(struct wire *w, size_t n)
{
    struct peer_addr a[10];
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < n; i++) {
        a[i] = (struct peer_addr){ .services = SERVICE_NETWORK, .time = clock_now() };
        netaddr_from_ipv4(&a[i].addr, (const uint8_t[]){ (uint8_t)(50 + i), 7, 1, 1 }, 18444);
    }
    msg_addr_write(&b, a, n);
    wire_send(w, "addr", b.data, b.len);
    buf_clear(&b);
}

/* Plays the peer behind the proxy: answers version and getaddr. */
static void serve_peer(struct world *w, struct call *c)
{
    while (wire_poll(&c->w)) {
        if (strcmp(c->w.command, "version") == 0 && !c->version_sent) {
            struct msg_version m = wire_version();
            m.services = w->services;
            c->version_sent = true;
            wire_send_version(&c->w, &m);
            wire_send(&c->w, "verack", NULL, 0);
        } else if (strcmp(c->w.command, "getaddr") == 0 && w->addrs > 0) {
            send_addrs(&c->w, w->addrs);
        }
    }
    if (c->w.closed)
        c->state = CALL_GONE;
}

static void serve_all(struct world *w)
{
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    take_call(w);
    for (size_t i = 0; i < w->n_calls; i++) {
        struct call *c = &w->calls[i];
        if (c->state == CALL_GREETING)
            serve_greeting(c);
        else if (c->state == CALL_CONNECT)
            serve_connect(w, c);
        else if (c->state == CALL_PEER)
            serve_peer(w, c);
    }
    usleep(500);
}

static size_t live_peers(const struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_calls; i++)
        n += w->calls[i].state == CALL_PEER;
    return n;
}

/* For so long, and so many turns: on a busy machine the net gets few of them in that time. */
static void play(struct world *w, int64_t ms)
{
    const int64_t end = clock_mono_ms() + ms;
    for (int64_t turns = 0; turns < ms || clock_mono_ms() < end; turns++)
        serve_all(w);
}

/* Until so many handshakes are done; false after a minute. */
static bool play_until_ready(struct world *w, size_t n)
{
    for (int64_t end = clock_mono_ms() + 60000; clock_mono_ms() < end;) {
        if (net_ready_count(w->side.net) == n)
            return true;
        serve_all(w);
    }
    return false;
}

static void know(struct world *w, uint8_t a, uint8_t b, uint8_t d)
{
    struct netaddr source;
    struct peer_addr pa = { .services = SERVICE_NETWORK, .time = clock_now() };
    netaddr_from_ipv4(&source, (const uint8_t[]){ a, b, 200, 200 }, 8333);
    netaddr_from_ipv4(&pa.addr, (const uint8_t[]){ a, b, 1, d }, 18444);
    (void)addrman_add(w->side.net->book, &pa, &source, 0, clock_now());
}

static void know_groups(struct world *w, uint8_t groups, uint8_t each)
{
    for (uint8_t g = 0; g < groups; g++)
        for (uint8_t i = 1; i <= each; i++)
            know(w, (uint8_t)(20 + g), 1, i);
}

/* Feelers come by chance, to whatever group: none does unless a test wants one. Nor does chance
 * say which addresses want the same place in the book. */
static void open_without_feelers(struct world *w, const struct net_config *c)
{
    side_open(&w->side, w->base, c);
    w->side.net->next_feeler_ms = INT64_MAX;
    memset(w->side.net->book->secret, 7, sizeof w->side.net->book->secret);
}

/* One is due, and no other after it. */
static void send_feeler(struct world *w)
{
    w->side.net->next_feeler_ms = 0;
    for (int64_t end = clock_mono_ms() + 60000; clock_mono_ms() < end;) {
        serve_all(w); /* the net looks once at most */
        if (w->side.net->next_feeler_ms != 0)
            break;
    }
    assert_true(w->side.net->next_feeler_ms != 0);
    w->side.net->next_feeler_ms = INT64_MAX;
}

/* --- tests --- */

static void outbound_peers_are_of_different_groups(void **state)
{
    (void)state;
    static struct world w;
    struct net_config c = world_start(&w);
    open_without_feelers(&w, &c);
    know_groups(&w, 6, 10);
    assert_true(play_until_ready(&w, 3));
    play(&w, 1200);
    assert_int_equal(live_peers(&w), 3); /* and no more than asked for */
    for (size_t i = 0; i < w.n_calls; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(memcmp(w.calls[i].target, w.calls[j].target, 3) != 0);
    world_stop(&w);
}

static void one_group_gives_one_outbound_peer(void **state)
{
    (void)state;
    static struct world w;
    struct net_config c = world_start(&w);
    open_without_feelers(&w, &c);
    know_groups(&w, 1, 10);
    assert_true(play_until_ready(&w, 1));
    play(&w, 1500);
    assert_int_equal(w.n_calls, 1);
    world_stop(&w);
}

static void a_stale_tip_gets_one_more_peer_for_a_while(void **state)
{
    (void)state;
    static struct world w;
    struct net_config c = world_start(&w);
    c.max_outbound = 1;
    open_without_feelers(&w, &c);
    know_groups(&w, 6, 4);
    assert_true(play_until_ready(&w, 1));
    play(&w, 700);
    assert_int_equal(live_peers(&w), 1);
    net_request_extra_outbound(w.side.net);
    assert_true(play_until_ready(&w, 2));
    net_release_extra_outbound(w.side.net);
    assert_true(play_until_ready(&w, 1));
    play(&w, 700);
    assert_int_equal(live_peers(&w), 1);
    world_stop(&w);
}

static void without_outbound_connections_none_is_made(void **state)
{
    (void)state;
    static struct world w;
    struct net_config c = world_start(&w);
    c.max_outbound = NET_NONE;
    side_open(&w.side, w.base, &c);
    w.side.net->next_feeler_ms = 0;
    net_request_extra_outbound(w.side.net);
    know_groups(&w, 6, 4);
    play(&w, 700);
    assert_int_equal(w.n_calls, 0);
    world_stop(&w);
}

static void a_feeler_leaves_after_the_version(void **state)
{
    (void)state;
    static struct world w;
    struct addrman_stats s;
    struct net_config c = world_start(&w);
    c.max_outbound = 1;
    open_without_feelers(&w, &c);
    know_groups(&w, 6, 4);
    assert_true(play_until_ready(&w, 1));
    send_feeler(&w);
    play(&w, 1500);
    assert_int_equal(w.n_calls, 2);
    assert_int_equal(live_peers(&w), 1);
    assert_int_equal(w.side.ready, 1);
    addrman_get_stats(w.side.net->book, &s);
    assert_int_equal(s.n_tried, 2);
    world_stop(&w);
}

static void a_peer_without_the_promised_service_is_dropped(void **state)
{
    (void)state;
    static struct world w;
    struct net_config c = world_start(&w);
    open_without_feelers(&w, &c);
    w.services = 0;
    know_groups(&w, 1, 1);
    play(&w, 1500);
    assert_int_equal(w.n_calls, 1);
    assert_int_equal(w.calls[0].state, CALL_GONE);
    assert_string_equal(w.calls[0].w.command, "reject");
    assert_int_equal(w.side.ready, 0);
    world_stop(&w);
}

static void names_are_left_to_the_proxy(void **state)
{
    (void)state;
    static struct world w;
    static const char *const nodes[] = { "node.example:1234", "[2001:db9::5]:99" };
    struct net_config c = world_start(&w);
    c.connect_none = true;
    c.addnode = (struct net_strings){ nodes, 2 };
    open_without_feelers(&w, &c);
    assert_true(play_until_ready(&w, 2));
    assert_int_equal(w.n_calls, 2);
    assert_string_equal(w.calls[0].target, "node.example:1234");
    assert_string_equal(w.calls[1].target, "[2001:db9::5]:99");
    world_stop(&w);
}

static void a_refusal_by_the_proxy_ends_the_attempt(void **state)
{
    (void)state;
    static struct world w;
    struct net_config c = world_start(&w);
    open_without_feelers(&w, &c);
    w.refuse = true;
    know_groups(&w, 1, 1);
    play(&w, 1200);
    assert_int_equal(w.n_calls, 1);
    assert_int_equal(w.side.net->n_peers, 0);
    world_stop(&w);
}

static void a_seed_node_gives_addresses_and_is_left(void **state)
{
    (void)state;
    static struct world w;
    static const char *const seeds[] = { "seed.example" };
    struct addrman_stats s;
    struct net_config c = world_start(&w);
    c.connect_none = true;
    c.seednode = (struct net_strings){ seeds, 1 };
    open_without_feelers(&w, &c);
    w.addrs = 8;
    play(&w, 1200);
    assert_int_equal(w.n_calls, 1);
    assert_string_equal(w.calls[0].target, "seed.example:18444");
    assert_int_equal(w.calls[0].state, CALL_GONE);
    assert_int_equal(w.side.ready, 0);
    addrman_get_stats(w.side.net->book, &s);
    assert_true(addrman_total(&s) > 0);
    world_stop(&w);
}

static bool was_called(const struct world *w, const char *host)
{
    for (size_t i = 0; i < w->n_calls; i++)
        if (strncmp(w->calls[i].target, host, strlen(host)) == 0)
            return true;
    return false;
}

/* By name, as the proxy looks them up: each is asked like a node. */
static void an_empty_book_asks_the_seeds(void **state)
{
    (void)state;
    static struct world w;
    struct addrman_stats s;
    size_t n;
    const char *const *hosts = dns_seed_hosts(SEEDS_TEST, &n);
    struct net_config c = world_start(&w);
    c.chain = SEEDS_TEST;
    c.dns = c.dnsseed = true;
    open_without_feelers(&w, &c);
    w.addrs = 8;
    bool all = false;
    for (int turn = 0; turn < 200 && !all; turn++) {
        play(&w, 100);
        addrman_get_stats(w.side.net->book, &s);
        all = addrman_total(&s) > 0;
        for (size_t i = 0; i < n; i++)
            all = all && was_called(&w, hosts[i]);
    }
    assert_true(all);
    world_stop(&w);
}

static void whoever_knows_addresses_asks_no_seed_at_first(void **state)
{
    (void)state;
    static struct world w;
    size_t n;
    const char *const *hosts = dns_seed_hosts(SEEDS_TEST, &n);
    struct net_config c = world_start(&w);
    c.chain = SEEDS_TEST;
    c.dns = c.dnsseed = true;
    open_without_feelers(&w, &c);
    know_groups(&w, 6, 10);
    play(&w, 1500);
    assert_true(w.n_calls > 0);
    for (size_t i = 0; i < n; i++)
        assert_false(was_called(&w, hosts[i]));
    world_stop(&w);
}

static void an_empty_book_takes_the_built_in_addresses_after_a_minute(void **state)
{
    (void)state;
    static struct world w;
    struct addrman_stats s;
    struct net_config c = world_start(&w);
    c.chain = SEEDS_TEST;
    c.fixedseeds = true;
    open_without_feelers(&w, &c);
    play(&w, 700);
    assert_int_equal(w.n_calls, 0);
    w.side.net->started_ms -= 61000;
    play(&w, 1500);
    addrman_get_stats(w.side.net->book, &s);
    assert_true(addrman_total(&s) > 0);
    assert_true(w.n_calls > 0);
    world_stop(&w);
}

static void the_address_book_and_the_bans_survive_a_restart(void **state)
{
    (void)state;
    static struct world w;
    struct addrman_stats before, after;
    struct net_ban *bans;
    struct error e;
    size_t n;
    char *dir = test_dir_make();
    struct net_config c = world_start(&w);
    c.connect_none = true;
    c.datadir = dir;
    open_without_feelers(&w, &c);
    know_groups(&w, 6, 10);
    play(&w, 50);
    assert_int_equal(net_ban_add(w.side.net, "2001:db9::/32", clock_now() + 1000, &e), OK);
    addrman_get_stats(w.side.net->book, &before);
    world_stop(&w);

    c = world_start(&w);
    c.connect_none = true;
    c.datadir = dir;
    open_without_feelers(&w, &c);
    addrman_get_stats(w.side.net->book, &after);
    assert_int_equal(addrman_total(&after), addrman_total(&before));
    play(&w, 50);
    assert_int_equal(net_list_bans(w.side.net, &bans, &n), OK);
    assert_int_equal(n, 1);
    assert_string_equal(bans[0].subnet, "2001:db9::/32");
    free(bans);
    world_stop(&w);
    test_dir_remove(dir);
}

static void anchors_are_dialled_first_after_a_restart(void **state)
{
    (void)state;
    static struct world w;
    char *dir = test_dir_make(), first[264];
    struct net_config c = world_start(&w);
    c.max_outbound = 1;
    c.datadir = dir;
    open_without_feelers(&w, &c);
    know(&w, 33, 3, 3);
    assert_true(play_until_ready(&w, 1));
    snprintf(first, sizeof(first), "%s", w.calls[0].target);
    world_stop(&w);

    c = world_start(&w);
    c.max_outbound = 1;
    c.datadir = dir;
    open_without_feelers(&w, &c);
    know_groups(&w, 6, 10);
    assert_true(play_until_ready(&w, 1));
    assert_string_equal(w.calls[0].target, first);
    world_stop(&w);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outbound_peers_are_of_different_groups),
        cmocka_unit_test(one_group_gives_one_outbound_peer),
        cmocka_unit_test(a_stale_tip_gets_one_more_peer_for_a_while),
        cmocka_unit_test(without_outbound_connections_none_is_made),
        cmocka_unit_test(a_feeler_leaves_after_the_version),
        cmocka_unit_test(a_peer_without_the_promised_service_is_dropped),
        cmocka_unit_test(names_are_left_to_the_proxy),
        cmocka_unit_test(a_refusal_by_the_proxy_ends_the_attempt),
        cmocka_unit_test(a_seed_node_gives_addresses_and_is_left),
        cmocka_unit_test(an_empty_book_asks_the_seeds),
        cmocka_unit_test(whoever_knows_addresses_asks_no_seed_at_first),
        cmocka_unit_test(an_empty_book_takes_the_built_in_addresses_after_a_minute),
        cmocka_unit_test(the_address_book_and_the_bans_survive_a_restart),
        cmocka_unit_test(anchors_are_dialled_first_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Two networks over [::1]: joining, exchange, large payloads, bans, and the calls behind RPCs. */
#include "tests/p2p/net_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "p2p/net_internal.h"

static bool got_headers(void *ctx) { return ((struct side *)ctx)->header_messages > 0; }
static bool got_items(void *ctx) { return ((struct side *)ctx)->n_items > 0; }
static bool got_tx(void *ctx) { return ((struct side *)ctx)->tx.len > 0; }
static bool stream_done(void *ctx) { return ((struct side *)ctx)->stream_ended > 0; }
static bool lost_peer(void *ctx) { return ((struct side *)ctx)->closed > 0; }
static bool back_again(void *ctx) { return ((struct side *)ctx)->ready > 1; }

static void two_nets_join_and_tell_each_other_who_they_are(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    assert_true(peer_is_inbound(p.a.peer));
    assert_false(peer_is_inbound(p.b.peer));
    assert_int_equal(peer_version(p.b.peer), MSG_PROTOCOL_VERSION);
    assert_int_equal(peer_start_height(p.b.peer), 7);
    assert_true(peer_serves_blocks(p.b.peer));
    assert_true(peer_is_preferred(p.b.peer));
    assert_false(peer_is_preferred(p.a.peer));
    assert_int_equal(net_ready_count(p.a.net), 1);
    pair_close(&p);
    assert_int_equal(p.a.closed, 1);
    assert_int_equal(p.b.closed, 1);
}

static void two_thousand_headers_arrive_in_order(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    struct block_header *h = calloc(MSG_HEADERS_MAX, sizeof(*h));
    for (uint32_t i = 0; i < MSG_HEADERS_MAX; i++)
        h[i] = (struct block_header){ .version = 1, .time = i, .nonce = ~i };
    peer_send_headers(p.a.peer, h, MSG_HEADERS_MAX);
    assert_true(run_until(p.base, got_headers, &p.b, 5000));
    assert_int_equal(p.b.headers, MSG_HEADERS_MAX);
    assert_memory_equal(&p.b.last_header, &h[MSG_HEADERS_MAX - 1], sizeof(*h));
    free(h);
    pair_close(&p);
}

static void inventories_and_transactions_arrive(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    struct inv_item items[2] = { { INV_TX, { { 1 } } }, { INV_BLOCK, { { 2 } } } };
    peer_send_inv(p.b.peer, MSG_INV, items, 2);
    assert_true(run_until(p.base, got_items, &p.a, 5000));
    assert_int_equal(p.a.last_list, MSG_INV);
    assert_memory_equal(p.a.items, items, sizeof(items));
    uint8_t raw[300];
    struct txid id;
    memset(raw, 0x5a, sizeof(raw));
    sha256d(id.b, raw, sizeof(raw));
    peer_send(p.b.peer, MSG_TX, raw, sizeof(raw));
    assert_true(run_until(p.base, got_tx, &p.a, 5000));
    assert_int_equal(p.a.tx.len, sizeof(raw));
    assert_memory_equal(p.a.tx.data, raw, sizeof(raw));
    assert_true(txid_equal(&p.a.tx_id, &id));
    pair_close(&p);
}

static void an_inventory_longer_than_a_message_is_split(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    size_t n = 70000; /* 2 MiB hold 58,254 */
    struct inv_item *items = calloc(n, sizeof(*items));
    for (size_t i = 0; i < n; i++)
        items[i].type = INV_TX;
    peer_send_inv(p.b.peer, MSG_GETDATA, items, n);
    assert_true(run_until(p.base, got_items, &p.a, 5000));
    run_for(p.base, 100);
    assert_int_equal(p.a.n_items, n);
    assert_non_null(p.a.peer);
    free(items);
    pair_close(&p);
}

/* A temporary file with size bytes after `before` others; also gives its checksum. */
static int make_file(size_t before, size_t size, uint8_t checksum[4])
{
    char name[] = "/tmp/test_net_XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    uint8_t *data = malloc(before + size);
    for (size_t i = 0; i < before + size; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 12));
    assert_int_equal(write(fd, data, before + size), (ssize_t)(before + size));
    uint8_t digest[32];
    sha256d(digest, data + before, size);
    memcpy(checksum, digest, 4);
    free(data);
    return fd;
}

static void assert_stream_is(struct side *s, uint64_t size, const uint8_t checksum[4])
{
    uint8_t digest[32];
    sha256d_final(&s->stream_hash, digest);
    assert_int_equal(s->stream_size, size);
    assert_int_equal(s->stream_got, size);
    assert_memory_equal(s->stream_sum, checksum, 4);
    assert_memory_equal(digest, checksum, 4);
}

static void a_block_streams_from_a_file_while_memory_stays_flat(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    uint8_t sum[4];
    size_t size = 40u << 20;
    int fd = make_file(88, size, sum);
    peer_send_file(p.a.peer, MSG_BLOCK, fd, 88, size, sum);
    assert_true(p.a.peer->out.memory < 100);
    assert_true(peer_send_queue_total(p.a.peer) > size);
    assert_true(run_until(p.base, stream_done, &p.b, 10000));
    assert_stream_is(&p.b, size, sum);
    assert_int_equal(peer_send_queue_total(p.a.peer), 0);
    assert_int_equal(p.a.net->send_memory + p.a.net->send_files, 0);
    pair_close(&p);
}

static void a_block_that_is_not_in_memory_is_fetched_beside_the_loop(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    uint8_t sum[4];
    size_t size = 24u << 20;
    int fd = make_file(11, size, sum);
    assert_int_equal(fdatasync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    peer_send_file(p.a.peer, MSG_BLOCK, fd, 11, size, sum);
    peer_send_headers(p.a.peer, NULL, 0);
    assert_true(run_until(p.base, stream_done, &p.b, 20000));
    assert_stream_is(&p.b, size, sum);
    assert_true(run_until(p.base, got_headers, &p.b, 5000));
    pair_close(&p);
}

static void a_file_shorter_than_promised_ends_the_connection(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    uint8_t sum[4];
    int fd = make_file(0, 5000, sum);
    peer_send_file(p.a.peer, MSG_BLOCK, fd, 0, 9000000, sum);
    assert_true(run_until(p.base, lost_peer, &p.b, 5000));
    assert_int_equal(p.b.stream_aborted, 1);
    assert_int_equal(p.b.stream_got, 5000);
    pair_close(&p);
}

static void a_stop_while_a_block_is_being_fetched_is_clean(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    uint8_t sum[4];
    int fd = make_file(0, 24u << 20, sum);
    assert_int_equal(fdatasync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    peer_send_file(p.a.peer, MSG_BLOCK, fd, 0, 24u << 20, sum);
    event_base_loop(p.base, EVLOOP_NONBLOCK);
    pair_close(&p);
    assert_int_equal(p.b.stream_ended, 0);
    assert_int_equal(p.b.stream_aborted, p.b.stream_begun);
}

static void a_paused_stream_stops_and_goes_on_where_it_was(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    uint8_t sum[4];
    size_t size = 20u << 20;
    int fd = make_file(0, size, sum);
    p.b.pause_at = 1u << 20;
    peer_send_file(p.a.peer, MSG_BLOCK, fd, 0, size, sum);
    peer_send_headers(p.a.peer, NULL, 0);
    run_for(p.base, 600);
    assert_true(p.b.stream_got >= 1u << 20);
    assert_true(p.b.stream_got < 2u << 20);
    assert_int_equal(p.b.header_messages, 0);
    peer_resume_reading(p.b.peer);
    assert_true(run_until(p.base, stream_done, &p.b, 10000));
    assert_stream_is(&p.b, size, sum);
    assert_true(run_until(p.base, got_headers, &p.b, 5000));
    pair_close(&p);
}

static void a_block_nobody_wants_is_read_over(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    uint8_t block[5000] = { 1 };
    p.b.choice = STREAM_SKIP;
    peer_send(p.a.peer, MSG_BLOCK, block, sizeof(block));
    peer_send_headers(p.a.peer, NULL, 0);
    assert_true(run_until(p.base, got_headers, &p.b, 5000));
    assert_int_equal(p.b.stream_begun, 1);
    assert_int_equal(p.b.stream_got, 0);
    assert_int_equal(p.b.stream_ended, 0);
    pair_close(&p);
}

static void a_stream_cut_off_by_the_peer_is_reported(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    uint8_t sum[4];
    int fd = make_file(0, 20u << 20, sum);
    p.b.pause_at = 1u << 20;
    peer_send_file(p.a.peer, MSG_BLOCK, fd, 0, 20u << 20, sum);
    run_for(p.base, 600);
    peer_disconnect(p.b.peer, "test");
    assert_true(run_until(p.base, lost_peer, &p.b, 5000));
    assert_int_equal(p.b.stream_aborted, 1);
    assert_int_equal(p.b.stream_ended, 0);
    pair_close(&p);
}

static void a_lost_connection_of_the_connect_list_comes_back(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    peer_disconnect(p.a.peer, "test");
    assert_true(run_until(p.base, back_again, &p.b, 5000));
    assert_int_equal(p.b.closed, 1);
    pair_close(&p);
}

/* Their first ping was answered: all of the handshake is behind it. */
static bool has_pinged(void *ctx)
{
    struct peer_info *list;
    size_t n;
    assert_int_equal(net_list_peers(((struct side *)ctx)->net, &list, &n), OK);
    const bool pinged = n == 1 && list[0].ping_us >= 0;
    free(list);
    return pinged;
}

static void peers_are_listed_with_their_traffic(void **state)
{
    (void)state;
    struct pair p;
    struct peer_info *list;
    size_t n;
    pair_join(&p);
    assert_true(run_until(p.base, has_pinged, &p.b, 5000));
    assert_int_equal(net_list_peers(p.b.net, &list, &n), OK);
    assert_int_equal(n, 1);
    assert_true(list[0].ready);
    assert_false(list[0].inbound);
    assert_string_equal(list[0].user_agent, "/BSVPeer:0.1.0/");
    assert_int_equal(list[0].version, MSG_PROTOCOL_VERSION);
    assert_int_equal(list[0].per_msg[MSG_VERACK].received, 24);
    assert_int_equal(list[0].per_msg[MSG_PROTOCONF].received, 24 + 13);
    assert_true(list[0].ping_us >= 0);
    uint64_t sum = 0;
    for (size_t i = 0; i < MSG_ID_COUNT; i++)
        sum += list[0].per_msg[i].received;
    assert_int_equal(sum, list[0].bytes_received);
    free(list);
    struct net_status s;
    assert_int_equal(net_get_status(p.a.net, &s), OK);
    assert_int_equal(s.counts.inbound, 1);
    assert_true(s.listening && s.active);
    assert_true(s.totals.received > 0 && s.totals.sent > 0);
    pair_close(&p);
}

static void a_banned_address_is_cut_off_and_stays_out(void **state)
{
    (void)state;
    struct pair p;
    struct net_ban *bans;
    size_t n;
    struct error e;
    pair_join(&p);
    int64_t until = clock_now() + 3600;
    assert_int_equal(net_ban_add(p.a.net, "::1", until, &e), OK);
    assert_int_equal(net_ban_add(p.a.net, "::1", until, &e), ERR_EXISTS);
    assert_int_equal(net_ban_add(p.a.net, "no address", until, &e), ERR_PARSE);
    assert_true(run_until(p.base, lost_peer, &p.b, 5000));
    run_for(p.base, 1500);
    assert_int_equal(p.b.ready, 1);
    assert_int_equal(net_list_bans(p.a.net, &bans, &n), OK);
    assert_int_equal(n, 1);
    assert_string_equal(bans[0].subnet, "::1/128");
    assert_int_equal(bans[0].until, until);
    free(bans);
    assert_int_equal(net_ban_remove(p.a.net, "::1", &e), OK);
    assert_int_equal(net_ban_remove(p.a.net, "::1", &e), ERR_NOTFOUND);
    assert_true(run_until(p.base, back_again, &p.b, 8000));
    pair_close(&p);
}

static bool shown_as_added(void *ctx)
{
    struct side *s = ctx;
    struct net_added *list;
    size_t n;
    assert_int_equal(net_list_added(s->net, &list, &n), OK);
    bool connected = n == 1 && list[0].connected;
    free(list);
    return connected;
}

static void an_added_node_is_dialled_and_listed(void **state)
{
    (void)state;
    struct net_config c = fixture_config();
    struct pair p;
    struct error e;
    pair_open(&p, &c, &c);
    char node[32];
    snprintf(node, sizeof(node), "[::1]:%u", (unsigned)net_listen_port(p.a.net));
    struct side third;
    side_open(&third, p.base, &c);
    run_for(p.base, 50);
    assert_int_equal(net_addnode_add(third.net, node, &e), OK);
    assert_int_equal(net_addnode_add(third.net, node, &e), ERR_EXISTS);
    assert_true(run_until(p.base, shown_as_added, &third, 5000));
    assert_int_equal(peer_kind(third.peer), PEER_MANUAL);
    assert_int_equal(net_addnode_remove(third.net, node, &e), OK);
    assert_int_equal(net_addnode_remove(third.net, node, &e), ERR_NOTFOUND);
    assert_int_equal(net_disconnect_addr(third.net, "[::1]:1", &e), ERR_NOTFOUND);
    assert_int_equal(net_disconnect_addr(third.net, node, &e), OK);
    assert_true(run_until(p.base, lost_peer, &third, 5000));
    side_close(&third);
    pair_close(&p);
}

static void an_inactive_network_drops_its_peers_and_lets_none_in(void **state)
{
    (void)state;
    struct pair p;
    pair_join(&p);
    assert_int_equal(net_set_active(p.a.net, false), OK);
    assert_true(run_until(p.base, lost_peer, &p.b, 5000));
    run_for(p.base, 1200);
    assert_int_equal(p.b.ready, 1);
    assert_int_equal(net_set_active(p.a.net, true), OK);
    assert_true(run_until(p.base, back_again, &p.b, 8000));
    pair_close(&p);
}

static void a_node_does_not_stay_connected_to_itself(void **state)
{
    (void)state;
    struct net_config c = fixture_config();
    struct pair p;
    struct error e;
    pair_open(&p, &c, &c);
    char node[32];
    snprintf(node, sizeof(node), "[::1]:%u", (unsigned)net_listen_port(p.a.net));
    run_for(p.base, 50);
    unsigned before = p.a.ready;
    assert_int_equal(net_addnode_onetry(p.a.net, node, &e), OK);
    run_for(p.base, 300);
    assert_int_equal(p.a.ready, before);
    pair_close(&p);
}

struct caller { struct net *net; bool ok; struct net_status status; };

static void *ask_status(void *arg)
{
    struct caller *c = arg;
    c->ok = net_get_status(c->net, &c->status) == OK;
    return NULL;
}

static void another_thread_asks_and_gets_an_answer_until_the_stop(void **state)
{
    (void)state;
    struct pair p;
    pthread_t t;
    pair_join(&p);
    struct caller c = { .net = p.a.net };
    pthread_create(&t, NULL, ask_status, &c);
    run_for(p.base, 600);
    pthread_join(t, NULL);
    assert_true(c.ok);
    assert_int_equal(c.status.counts.inbound, 1);
    net_stop(p.a.net);
    c.ok = true;
    pthread_create(&t, NULL, ask_status, &c);
    pthread_join(t, NULL);
    assert_false(c.ok);
    pair_close(&p);
}

static void an_address_in_use_or_broken_is_named_at_the_start(void **state)
{
    (void)state;
    struct net_config c = fixture_config();
    struct pair p;
    pair_open(&p, &c, &c);
    char taken[32];
    snprintf(taken, sizeof(taken), "[::1]:%u", (unsigned)net_listen_port(p.a.net));
    const char *const bind[] = { taken };
    const char *const broken[] = { "[::1" };
    struct net_handlers none = { .ctx = NULL };
    struct error e;
    struct net *net;
    c.listen = true;
    c.bind = (struct net_strings){ bind, 1 };
    assert_int_equal(net_new(&net, &c, &none, p.base, &e), OK);
    assert_int_not_equal(net_start(net, &e), OK);
    assert_non_null(strstr(e.text, taken));
    net_stop(net);
    net_free(net);
    c.bind = (struct net_strings){ broken, 1 };
    assert_int_not_equal(net_new(&net, &c, &none, p.base, &e), OK);
    assert_non_null(strstr(e.text, "bind"));
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nets_join_and_tell_each_other_who_they_are),
        cmocka_unit_test(two_thousand_headers_arrive_in_order),
        cmocka_unit_test(inventories_and_transactions_arrive),
        cmocka_unit_test(an_inventory_longer_than_a_message_is_split),
        cmocka_unit_test(a_block_streams_from_a_file_while_memory_stays_flat),
        cmocka_unit_test(a_block_that_is_not_in_memory_is_fetched_beside_the_loop),
        cmocka_unit_test(a_file_shorter_than_promised_ends_the_connection),
        cmocka_unit_test(a_stop_while_a_block_is_being_fetched_is_clean),
        cmocka_unit_test(a_paused_stream_stops_and_goes_on_where_it_was),
        cmocka_unit_test(a_block_nobody_wants_is_read_over),
        cmocka_unit_test(a_stream_cut_off_by_the_peer_is_reported),
        cmocka_unit_test(a_lost_connection_of_the_connect_list_comes_back),
        cmocka_unit_test(peers_are_listed_with_their_traffic),
        cmocka_unit_test(a_banned_address_is_cut_off_and_stays_out),
        cmocka_unit_test(an_added_node_is_dialled_and_listed),
        cmocka_unit_test(an_inactive_network_drops_its_peers_and_lets_none_in),
        cmocka_unit_test(a_node_does_not_stay_connected_to_itself),
        cmocka_unit_test(another_thread_asks_and_gets_an_answer_until_the_stop),
        cmocka_unit_test(an_address_in_use_or_broken_is_named_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Who may begin a handshake and keep a session (spec channels 2.3, attacks E1). Each limit is shown
 * twice: as it is, and raised, when the same guest gets in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "tests/p2p/channel_guest.h"
#include "tests/test.h"

#define GUESTS_MAX 160

struct house {
    struct channels_side host;
    struct guest guests[GUESTS_MAX];
    size_t n;
    size_t expected; /* of wait_handshakes */
};

/* Time stands still, so that buckets fill when the test says so. */
static struct house *house_new(const struct channels_limits *limits)
{
    struct house *h = xcalloc(1, sizeof *h);
    channels_side_init(&h->host);
    h->host.config.limits = *limits;
    channels_side_open(&h->host, 0x21);
    channels_side_freeze(&h->host);
    channels_side_start(&h->host);
    guests_welcome(&h->host);
    return h;
}

static void house_free(struct house *h)
{
    for (size_t i = 0; i < h->n; i++)
        guest_leave(&h->guests[i]);
    channels_side_close(&h->host);
    free(h);
}

static struct guest *come(struct house *h, const char *from)
{
    assert_true(h->n < GUESTS_MAX);
    struct guest *g = &h->guests[h->n++];
    guest_connect(g, &h->host, from);
    return g;
}

static bool has_expected(void *ctx)
{
    struct house *h = ctx;
    return host_handshakes(&h->host) == h->expected;
}

static void wait_handshakes(struct house *h, size_t n)
{
    h->expected = n;
    channels_pair_wait(has_expected, h);
}

/* He comes and is among the handshakes. */
static struct guest *enter(struct house *h, const char *from)
{
    const size_t before = host_handshakes(&h->host);
    struct guest *g = come(h, from);
    wait_handshakes(h, before + 1);
    assert_false(guest_is_cut(g));
    return g;
}

static void be_refused(struct house *h, const char *from)
{
    const size_t before = host_handshakes(&h->host);
    channels_pair_wait(guest_was_cut, come(h, from));
    assert_int_equal(host_handshakes(&h->host), before);
}

/* Number i of a prefix that ends in a colon. */
static const char *address(const char *prefix, unsigned i)
{
    static char text[64];
    snprintf(text, sizeof text, "%s%x::1", prefix, i);
    return text;
}

/* The guest with this secret is a contact. */
struct befriending { struct open_key key; };

static void befriend_call(struct channels *c, void *ctx)
{
    const struct befriending *b = ctx;
    struct contact contact = { .has_key = true }, *made;
    memcpy(contact.key, b->key.key.pub, sizeof contact.key);
    assert_int_equal(contacts_add(channels_contacts(c), &contact, NULL, NULL, &made, NULL), OK);
    channels_contact_changed(c, contact.key);
}

static void befriend(struct house *h, uint8_t secret)
{
    struct befriending b;
    open_key_init(&b.key, secret);
    assert_true(channels_call(h->host.channels, befriend_call, &b));
}

static void know_call(struct channels *c, void *ctx)
{
    gate_note_contact(c, ctx, channels_unix_ms());
}

/* A contact came from there before. */
static void know(struct house *h, const char *from)
{
    struct netaddr a;
    assert_int_equal(netaddr_parse_ip(&a, from, NULL), OK);
    assert_true(channels_call(h->host.channels, know_call, a.ip));
}

/* --- the filter of a flood --- */

static void filter_call(struct channels *c, void *ctx)
{
    *(int *)ctx = sieve_put_on(c->listeners[0].fd, NULL, 0, SIEVE_ALL);
}

/* Steps of the filters of all that were accepted. */
static void filters_call(struct channels *c, void *ctx)
{
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        socklen_t steps = 0;
        assert_int_equal(getsockopt(LIST_ITEM(l, struct chan_conn, link)->fd, SOL_SOCKET,
                                    SO_GET_FILTER, NULL, &steps), 0);
        *(size_t *)ctx += steps;
    }
}

/* The flood is over, and who waited to be accepted has its filter still. */
static void nobody_keeps_the_filter_of_a_flood(void **state)
{
    int rc = -1;
    size_t steps = 0;
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    assert_true(channels_call(h->host.channels, filter_call, &rc));
    assert_int_equal(rc, OK);
    enter(h, "2001:470:1:1::1");
    assert_true(channels_call(h->host.channels, filters_call, &steps));
    assert_int_equal(steps, 0);
    house_free(h);
}

struct news {
    struct netaddr from;
    bool first, again, after_long;
};

static bool is_news(struct channels *c, const struct news *n, uint64_t ago_ms)
{
    c->gate.known_changed = false;
    gate_note_contact(c, n->from.ip, channels_unix_ms() - ago_ms);
    return c->gate.known_changed;
}

static void news_call(struct channels *c, void *ctx)
{
    struct news *n = ctx;
    n->first = is_news(c, n, c->config.limits.known_ms + 1);
    n->after_long = is_news(c, n, 0);
    n->again = is_news(c, n, 0);
}

static void a_contact_that_comes_back_after_long_is_news_for_the_filter(void **state)
{
    struct news n;
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    assert_int_equal(netaddr_parse_ip(&n.from, "2001:470:1:1::1", NULL), OK);
    assert_true(channels_call(h->host.channels, news_call, &n));
    assert_true(n.first && n.after_long && !n.again);
    house_free(h);
}

/* --- handshakes --- */

static void at_most_four_handshakes_from_one_64(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    for (unsigned i = 0; i < 4; i++)
        enter(h, "2001:470:1:1::1");
    be_refused(h, "2001:470:1:1::2");
    enter(h, "2001:470:1:2::1");
    house_free(h);
    h = house_new(&(struct channels_limits){ .handshakes_per_64 = 5 });
    for (unsigned i = 0; i < 5; i++)
        enter(h, "2001:470:1:1::1");
    house_free(h);
}

static void at_most_sixteen_handshakes_from_one_48(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    for (unsigned i = 0; i < 16; i++)
        enter(h, address("2001:470:1:", i));
    be_refused(h, "2001:470:1:ff::1");
    enter(h, "2001:470:2::1");
    house_free(h);
    h = house_new(&(struct channels_limits){ .handshakes_per_48 = 17 });
    for (unsigned i = 0; i < 17; i++)
        enter(h, address("2001:470:1:", i));
    house_free(h);
}

static void come_and_go(struct house *h, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        guest_leave(enter(h, "2001:470:1:1::1"));
        h->n--;
        wait_handshakes(h, 0);
    }
}

static void a_64_begins_ten_and_then_one_in_six_seconds(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    come_and_go(h, 10);
    be_refused(h, "2001:470:1:1::2");
    channels_side_skip(&h->host, 5900);
    be_refused(h, "2001:470:1:1::2");
    channels_side_skip(&h->host, 200);
    enter(h, "2001:470:1:1::3");
    be_refused(h, "2001:470:1:1::4");
    enter(h, "2001:470:1:2::1");
    house_free(h);
    h = house_new(&(struct channels_limits){ .accepts_burst = 11 });
    come_and_go(h, 11);
    house_free(h);
    h = house_new(&(struct channels_limits){ .accepts_burst = 1, .accepts_refill_s = 86400 });
    come_and_go(h, 1);
    channels_side_skip(&h->host, 86390000);
    be_refused(h, "2001:470:1:1::2");
    channels_side_skip(&h->host, 600000);
    come_and_go(h, 1);
    house_free(h);
}

static void places_are_kept_for_where_contacts_came_from(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    know(h, "2001:470:abcd:1::7");
    for (unsigned i = 0; i < 48; i++)
        enter(h, address("2001:471:", i));
    be_refused(h, "2001:471:aaaa::1");
    enter(h, "2001:470:abcd:1::1");
    be_refused(h, "2001:470:abcd:2::1");
    house_free(h);
    h = house_new(&(struct channels_limits){ .handshakes_reserved = 15 });
    for (unsigned i = 0; i < 49; i++)
        enter(h, address("2001:471:", i));
    house_free(h);
}

static void a_crowd_makes_room(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    struct guest *first = enter(h, "2001:470:1:1::1");
    struct guest *second = enter(h, "2001:470:1:1::2");
    struct guest *other = enter(h, "2001:470:2:1::1");
    enter(h, "2001:470:2:2::1");
    for (unsigned i = 0; i < 28; i++)
        enter(h, address("2001:471:", i));
    come(h, "2001:472:1::1");
    channels_pair_wait(guest_was_cut, first);
    assert_false(guest_is_cut(second));
    come(h, "2001:472:2::1"); /* no /64 has two any more, one /48 has */
    channels_pair_wait(guest_was_cut, other);
    wait_handshakes(h, 32);
    enter(h, "2001:472:3::1"); /* nobody is crowded */
    house_free(h);
}

static void acts_in_a_second_are_limited_and_a_quarter_is_kept(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ .act1_per_s = 8 });
    know(h, "2001:470:abcd:1::7");
    for (unsigned i = 0; i < 6; i++)
        enter(h, address("2001:471:", i));
    be_refused(h, "2001:471:aaaa::1");
    enter(h, "2001:470:abcd:1::1");
    enter(h, "2001:470:abcd:1::2");
    be_refused(h, "2001:470:abcd:1::3");
    channels_side_skip(&h->host, 200);
    enter(h, "2001:471:bbbb::1");
    house_free(h);
    h = house_new(&(struct channels_limits){ .act1_per_s = 12 });
    for (unsigned i = 0; i < 9; i++)
        enter(h, address("2001:471:", i));
    house_free(h);
}

static void who_says_nothing_or_too_slowly_is_cut(void **state)
{
    (void)state;
    const uint8_t half[DCHAN_ACT_ONE_SIZE - 1] = { 0 };
    struct house *h = house_new(&(struct channels_limits){ 0 });
    struct guest *silent = enter(h, "2001:470:1::1");
    struct guest *slow = enter(h, "2001:470:2::1");
    for (size_t i = 0; i < sizeof half; i += 7) {
        channels_side_skip(&h->host, 600);
        guest_send_raw(slow, half + i, 7);
        assert_false(guest_is_cut(slow));
    }
    channels_side_skip(&h->host, 900);
    channels_pair_wait(guest_was_cut, silent);
    channels_pair_wait(guest_was_cut, slow);
    wait_handshakes(h, 0);
    house_free(h);
}

static void find_key(struct channels *c, void *ctx)
{
    const struct list_link *l = list_first(&c->conns);
    const struct chan_conn *conn = LIST_ITEM(l, const struct chan_conn, link);
    *(bool *)ctx = dchan_session_peer(conn->session)->key != NULL;
}

/* The acts are done, of the only guest. */
static bool knows_a_key(void *ctx)
{
    struct house *h = ctx;
    bool knows;
    assert_true(channels_call(h->host.channels, find_key, &knows));
    return knows;
}

static void who_is_silent_after_the_acts_is_cut(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    struct guest *g = enter(h, "2001:470:1::1");
    uint8_t prologue[DCHAN_PROLOGUE_SIZE], act[DCHAN_ACT_MAX];
    struct dchan_hs hs;
    struct span in;
    size_t len;
    dchan_prologue(prologue, h->host.config.magic);
    open_key_init(&g->key, 0x31);
    assert_int_equal(dchan_hs_init(&hs, &(struct dchan_hs_config){
        .role = DCHAN_INITIATOR, .prologue = span_of(prologue, sizeof prologue),
        .key = &g->key.key, .remote_key = h->host.key.key.pub }), OK);
    assert_int_equal(dchan_hs_start(&hs, act), OK);
    guest_send_raw(g, act, DCHAN_ACT_ONE_SIZE);
    guest_receive_raw(g, act, DCHAN_ACT_TWO_SIZE);
    in = span_of(act, DCHAN_ACT_TWO_SIZE);
    uint8_t reply[DCHAN_ACT_MAX];
    assert_int_equal(dchan_hs_feed(&hs, &in, reply, &len), OK);
    guest_send_raw(g, reply, len);
    dchan_hs_clear(&hs);
    channels_pair_wait(knows_a_key, h);
    channels_side_skip(&h->host, 9900);
    assert_false(guest_is_cut(g));
    channels_side_skip(&h->host, 200);
    channels_pair_wait(guest_was_cut, g);
    house_free(h);
}

/* --- sessions --- */

static struct guest *talk(struct house *h, const char *from, uint8_t secret)
{
    struct guest *g = enter(h, from);
    guest_begin(g, &h->host, secret, NULL);
    channels_pair_wait(guest_has_come_up, g);
    return g;
}

static void be_sent_away(struct house *h, const char *from, uint8_t secret)
{
    struct guest *g = enter(h, from);
    guest_begin(g, &h->host, secret, NULL);
    channels_pair_wait(guest_has_closed, g);
    assert_false(g->up);
    assert_int_equal(g->going, DCHAN_BUSY);
}

static void at_most_four_strangers_of_one_48_have_sessions(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ .accepts_burst = 100 });
    befriend(h, 0x3f);
    for (unsigned i = 0; i < 4; i++)
        talk(h, "2001:470:1:1::1", (uint8_t)(0x31 + i));
    be_sent_away(h, "2001:470:1:2::1", 0x36);
    talk(h, "2001:470:2:2::1", 0x36);
    talk(h, "2001:470:1:1::1", 0x3f);
    house_free(h);
    h = house_new(&(struct channels_limits){ .strangers_per_48 = 5 });
    for (unsigned i = 0; i < 5; i++)
        talk(h, "2001:470:1:1::1", (uint8_t)(0x31 + i));
    house_free(h);
}

static void sessions_are_kept_for_contacts(void **state)
{
    (void)state;
    struct house *h =
        house_new(&(struct channels_limits){ .sessions = 4, .reserved_contacts = 2 });
    befriend(h, 0x3e);
    befriend(h, 0x3f);
    befriend(h, 0x40);
    talk(h, "2001:470:1::1", 0x31);
    talk(h, "2001:470:2::1", 0x32);
    be_sent_away(h, "2001:470:3::1", 0x33);
    talk(h, "2001:470:3::1", 0x3e);
    talk(h, "2001:470:4::1", 0x3f);
    be_sent_away(h, "2001:470:5::1", 0x40);
    house_free(h);
    h = house_new(&(struct channels_limits){ .sessions = 4, .reserved_contacts = 1 });
    for (unsigned i = 0; i < 3; i++)
        talk(h, address("2001:471:", i), (uint8_t)(0x31 + i));
    house_free(h);
}

static void strangers_have_no_session_where_they_are_not_wanted(void **state)
{
    (void)state;
    struct house *h = xcalloc(1, sizeof *h);
    channels_side_init(&h->host);
    h->host.config.strangers = false;
    channels_side_open(&h->host, 0x21);
    channels_side_start(&h->host);
    guests_welcome(&h->host);
    befriend(h, 0x3f);
    struct guest *g = enter(h, "2001:470:1::1");
    guest_begin(g, &h->host, 0x31, NULL);
    channels_pair_wait(guest_has_closed, g);
    assert_int_equal(g->closing.why, DCHAN_CLOSED_BY_THEM);
    assert_int_equal(g->closing.code, DCHAN_ERROR_IDENTITY);
    talk(h, "2001:470:1::1", 0x3f);
    house_free(h);
}

static void a_key_of_our_own_is_cut(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    struct guest *g = enter(h, "2001:470:1::1");
    guest_begin_as(g, &h->host, &h->host.key.key);
    channels_pair_wait(guest_was_cut, g);
    assert_false(g->up);
    assert_int_equal(g->going, -1);
    house_free(h);
}

/* --- floods --- */

static void a_flood_leaves_room_for_contacts(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    befriend(h, 0x3f);
    know(h, "2001:470:abcd:1::7");
    for (unsigned i = 0; i < 140; i++) {
        struct guest *g = come(h, address(i % 2 ? "2001:471:" : "2001:470:1:", i));
        if (i % 3 == 0)
            guest_send_raw(g, (uint8_t[DCHAN_ACT_ONE_SIZE]){ 0 }, DCHAN_ACT_ONE_SIZE);
        assert_true(host_handshakes(&h->host) <= 48);
    }
    struct guest *g = come(h, "2001:470:abcd:1::1");
    guest_begin(g, &h->host, 0x3f, NULL);
    channels_pair_wait(guest_has_come_up, g);
    house_free(h);
}

static void junk(struct house *h, unsigned i)
{
    const uint8_t act[DCHAN_ACT_ONE_SIZE] = { 0 };
    struct guest g = { .fd = -1 };
    guest_connect(&g, &h->host, address(i % 2 ? "2001:471:" : "2001:470:1:", i & 0xffff));
    if (i % 3)
        guest_send_raw(&g, act, sizeof act);
    guest_leave(&g);
}

/* Time goes on, and so do the attackers: places are taken as soon as they are free. */
static void contacts_come_and_go_during_a_flood(void **state)
{
    (void)state;
    const struct timespec pause = { 0, 50000000 }; /* 20 of them a second: 25 are kept */
    const unsigned rounds = getenv("BSVPEER_LONG") ? 200 : 3;
    struct house *h = xcalloc(1, sizeof *h);
    channels_side_init(&h->host);
    channels_side_open(&h->host, 0x21);
    channels_side_start(&h->host);
    guests_welcome(&h->host);
    befriend(h, 0x3f);
    for (unsigned r = 0, n = 0; r < rounds; r++) {
        struct guest contact = { .fd = -1 };
        if (h->n < 48)
            for (unsigned i = 0; i < 16; i++)
                come(h, address("2001:472:", n++));
        for (unsigned i = 0; i < 100; i++)
            junk(h, n++);
        know(h, address("2001:470:abcd:", r));
        guest_connect(&contact, &h->host, address("2001:470:abcd:", r));
        guest_begin(&contact, &h->host, 0x3f, NULL);
        channels_pair_wait(guest_has_come_up, &contact);
        guest_leave(&contact);
        nanosleep(&pause, NULL);
    }
    house_free(h);
}

static void what_a_source_is_remembered_by_is_bounded(void **state)
{
    (void)state;
    struct house *h = house_new(&(struct channels_limits){ 0 });
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t a[16] = { 0x20, 1, 4, 0x71, (uint8_t)(i >> 8), (uint8_t)i };
        assert_true(channels_call(h->host.channels, know_call, a));
    }
    assert_int_equal(h->host.channels->gate.known.n, 4096);
    house_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_keeps_the_filter_of_a_flood),
        cmocka_unit_test(a_contact_that_comes_back_after_long_is_news_for_the_filter),
        cmocka_unit_test(at_most_four_handshakes_from_one_64),
        cmocka_unit_test(at_most_sixteen_handshakes_from_one_48),
        cmocka_unit_test(a_64_begins_ten_and_then_one_in_six_seconds),
        cmocka_unit_test(places_are_kept_for_where_contacts_came_from),
        cmocka_unit_test(a_crowd_makes_room),
        cmocka_unit_test(acts_in_a_second_are_limited_and_a_quarter_is_kept),
        cmocka_unit_test(who_says_nothing_or_too_slowly_is_cut),
        cmocka_unit_test(who_is_silent_after_the_acts_is_cut),
        cmocka_unit_test(at_most_four_strangers_of_one_48_have_sessions),
        cmocka_unit_test(sessions_are_kept_for_contacts),
        cmocka_unit_test(strangers_have_no_session_where_they_are_not_wanted),
        cmocka_unit_test(a_key_of_our_own_is_cut),
        cmocka_unit_test(a_flood_leaves_room_for_contacts),
        cmocka_unit_test(contacts_come_and_go_during_a_flood),
        cmocka_unit_test(what_a_source_is_remembered_by_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Which of two sessions with a peer stays (spec channels 2.5), and how sessions end: a node, and
 * guests who do only what the test says.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "p2p/dchan_session_internal.h"
#include "tests/p2p/channel_guest.h"
#include "tests/test.h"

/* --- a host and guests --- */

struct house {
    struct channels_side host;
    struct guest guests[4]; /* all with one key */
    size_t n;
    struct guest *first;
    uint8_t session_id[32]; /* of the first */
    size_t expected;
};

static struct guest *come(struct house *h, const uint8_t *renews)
{
    struct guest *g = &h->guests[h->n++];
    guest_connect(g, &h->host, "2001:470:1::1");
    guest_begin(g, &h->host, 0x31, renews);
    return g;
}

static bool host_is_up(void *ctx)
{
    return ((struct house *)ctx)->host.ups == 1;
}

static struct house *house_limited(bool regtest, unsigned sessions_old)
{
    struct house *h = xcalloc(1, sizeof *h);
    channels_side_init(&h->host);
    h->host.config.regtest = regtest;
    h->host.config.limits.sessions_old = sessions_old;
    channels_side_open(&h->host, 0x21);
    channels_side_freeze(&h->host);
    channels_side_start(&h->host);
    guests_welcome(&h->host);
    return h;
}

static struct house *house_make(bool regtest)
{
    return house_limited(regtest, 0);
}

static void first_comes(struct house *h)
{
    h->first = come(h, NULL);
    channels_pair_wait(guest_has_come_up, h->first);
    channels_pair_wait(host_is_up, h);
    memcpy(h->session_id, dchan_session_peer(h->first->session)->session_id, 32);
}

static struct house *house_new(void)
{
    struct house *h = house_make(true);
    first_comes(h);
    return h;
}

static void house_free(struct house *h)
{
    for (size_t i = 0; i < h->n; i++)
        guest_leave(&h->guests[i]);
    channels_side_close(&h->host);
    assert_int_equal(h->host.ups, h->host.downs);
    free(h);
}

static bool has_sessions(void *ctx)
{
    struct house *h = ctx;
    for (size_t i = 0; i < h->n; i++)
        guest_move(&h->guests[i]);
    return host_sessions(&h->host) == h->expected;
}

static void wait_sessions(struct house *h, size_t n)
{
    h->expected = n;
    channels_pair_wait(has_sessions, h);
}

static bool second_has_closed(void *ctx)
{
    struct house *h = ctx;
    for (size_t i = 0; i < h->n; i++)
        guest_move(&h->guests[i]);
    return h->guests[1].closed;
}

static bool has_handshakes(void *ctx)
{
    struct house *h = ctx;
    return host_handshakes(&h->host) == h->expected;
}

static void the_older_of_two_stays_when_it_answers(void **state)
{
    struct house *h = house_new();
    (void)state;
    struct guest *second = come(h, NULL);
    channels_pair_wait(second_has_closed, h);
    wait_sessions(h, 1);
    assert_int_equal(second->going, DCHAN_DUPLICATE);
    assert_false(second->up);
    assert_false(h->first->closed);
    house_free(h);
}

static void a_peer_that_was_restarted_is_back_after_five_seconds(void **state)
{
    struct house *h = house_new();
    (void)state;
    h->first->deaf = true;
    struct guest *second = come(h, NULL);
    wait_sessions(h, 2);
    channels_side_skip(&h->host, 4900);
    wait_sessions(h, 2);
    assert_false(second->up);
    channels_side_skip(&h->host, 200);
    channels_pair_wait(guest_has_come_up, second);
    wait_sessions(h, 1);
    assert_int_equal(h->host.ups, 1); /* for its owner it was up all the time */
    assert_int_equal(h->host.downs, 0);
    house_free(h);
}

static void one_that_died_is_replaced_at_once(void **state)
{
    struct house *h = house_new();
    (void)state;
    h->first->deaf = true;
    struct guest *second = come(h, NULL);
    wait_sessions(h, 2);
    guest_hang_up(h->first);
    channels_pair_wait(guest_has_come_up, second);
    house_free(h);
}

static void a_third_pushes_out_the_one_that_waits(void **state)
{
    struct house *h = house_new();
    (void)state;
    h->first->deaf = true;
    struct guest *second = come(h, NULL);
    wait_sessions(h, 2);
    struct guest *third = come(h, NULL);
    channels_pair_wait(second_has_closed, h);
    assert_int_equal(second->going, DCHAN_DUPLICATE);
    channels_side_skip(&h->host, 5100);
    channels_pair_wait(guest_has_come_up, third);
    house_free(h);
}

static void a_renewal_takes_the_place_without_a_question(void **state)
{
    struct house *h = house_new();
    (void)state;
    struct guest *second = come(h, h->session_id);
    channels_pair_wait(guest_has_come_up, second);
    channels_pair_wait(guest_has_closed, h->first);
    assert_int_equal(h->first->going, DCHAN_RENEW);
    assert_int_equal(h->first->closing.why, DCHAN_CLOSED_CLEAN);
    wait_sessions(h, 1);
    assert_int_equal(h->host.ups, 1);
    assert_int_equal(h->host.downs, 0);
    house_free(h);
}

static void who_names_another_session_renews_nothing(void **state)
{
    struct house *h = house_new();
    (void)state;
    h->session_id[7] ^= 1;
    struct guest *second = come(h, h->session_id);
    channels_pair_wait(second_has_closed, h);
    assert_int_equal(second->going, DCHAN_DUPLICATE);
    house_free(h);
}

static bool host_is_down(void *ctx)
{
    return ((struct house *)ctx)->host.downs == 1;
}

static void an_end_without_bye_is_a_truncation(void **state)
{
    struct house *h = house_new();
    (void)state;
    guest_hang_up(h->first);
    channels_pair_wait(host_is_down, h);
    assert_int_equal(h->host.why, DCHAN_CLOSED_TRUNCATED);
    house_free(h);
}

/* What a guest who reads nothing makes the host keep; then a message more, or a second session. */
struct glut {
    struct house *h;
    unsigned full; /* times that it was found filled */
    struct guest *second;
    enum err last; /* of the message that is one too many */
};

static struct dchan_msg pong_of(size_t len)
{
    static const uint8_t zeros[60000];
    return (struct dchan_msg){ .type = DCHAN_PONG, .ping.pad = span_of(zeros, len) };
}

static void fill_up(struct channels *c, void *ctx)
{
    struct glut *g = ctx;
    const size_t least = DCHAN_PACKET_EXTRA + DCHAN_TYPE_SIZE + 2; /* a ping has two bytes more */
    struct chan_peer *p = channels_find(c, g->h->first->key.key.pub);
    for (g->full++; p->newest; g->full = 0) {
        const size_t room = DCHAN_OUT_MAX - session_waiting(p->newest->session);
        if (room <= least)
            break;
        const struct dchan_msg m = pong_of(room < 100000 ? MIN_OF(room - least, 60000u) : 50000);
        assert_int_equal(chan_peer_send(p, &m), OK);
    }
}

static bool is_full(void *ctx)
{
    struct glut *g = ctx;
    assert_true(channels_call(g->h->host.channels, fill_up, g));
    return g->full >= 5; /* the socket takes no more */
}

static bool second_is_up(void *ctx)
{
    struct glut *g = ctx;
    if (!g->second->greeted)
        (void)is_full(g);
    return guest_has_come_up(g->second);
}

static void send_one_more(struct channels *c, void *ctx)
{
    struct glut *g = ctx;
    const struct dchan_msg m = pong_of(100);
    struct chan_peer *p = channels_find(c, g->h->first->key.key.pub);
    fill_up(c, g);
    g->last = chan_peer_send(p, &m);
    assert_int_equal(chan_peer_send(p, &m), ERR_NOTFOUND);
}

static void who_reads_nothing_is_cut_by_the_message_too_many(void **state)
{
    struct house *h = house_new();
    struct glut g = { .h = h };
    (void)state;
    h->first->deaf = true;
    channels_pair_wait(is_full, &g);
    assert_true(channels_call(h->host.channels, send_one_more, &g));
    assert_int_equal(g.last, ERR_BUSY);
    channels_pair_wait(host_is_down, h);
    house_free(h);
}

static void who_reads_nothing_is_cut_by_the_question_whether_it_lives(void **state)
{
    struct house *h = house_new();
    struct glut g = { .h = h };
    (void)state;
    h->first->deaf = true;
    channels_pair_wait(is_full, &g);
    channels_side_skip(&h->host, 1500); /* it may be asked again */
    g.second = come(h, NULL);
    channels_pair_wait(second_is_up, &g);
    assert_int_equal(h->host.downs, 0);
    house_free(h);
}

/* --- both dial --- */

struct crossing {
    struct house *h;
    struct guest_port port;
    uint8_t secret; /* of the guest */
};

static void befriend_call(struct channels *c, void *ctx)
{
    const struct crossing *x = ctx;
    struct contact contact = { .has_key = true, .n_addresses = 1 }, *made;
    struct open_key key;
    open_key_init(&key, x->secret);
    memcpy(contact.key, key.key.pub, sizeof contact.key);
    contact.addresses[0].address[BCA_ADDRESS_SIZE - 1] = 1;
    contact.addresses[0].port = x->port.number;
    assert_int_equal(contacts_add(channels_contacts(c), &contact, NULL, NULL, &made, NULL), OK);
    channels_contact_changed(c, contact.key);
    chan_peer_dial(channels_peer_of(c, made), true);
}

static bool was_greeted(void *ctx)
{
    struct guest *g = ctx;
    guest_move(g);
    return g->greeted;
}

static bool one_has_closed(void *ctx)
{
    struct house *h = ctx;
    return guest_has_closed(&h->guests[0]) | guest_has_closed(&h->guests[1]);
}

/* Both are greeted on either side before one is up; which is the first at the host, is chosen. */
static void cross(uint8_t secret, bool theirs_first)
{
    struct crossing x = { .h = house_make(true), .port = guest_port_open(true), .secret = secret };
    struct guest *theirs = &x.h->guests[0], *ours = &x.h->guests[1];
    x.h->n = 2;
    theirs->holds = ours->holds = true;
    guest_connect(theirs, &x.h->host, "2001:470:1::1");
    if (theirs_first) {
        guest_begin(theirs, &x.h->host, secret, NULL);
        channels_pair_wait(was_greeted, theirs);
    }
    assert_true(channels_call(x.h->host.channels, befriend_call, &x));
    guest_answer(ours, &x.h->host, x.port, secret);
    channels_pair_wait(was_greeted, ours);
    if (!theirs_first)
        guest_begin(theirs, &x.h->host, secret, NULL);
    const bool host_wins =
        memcmp(x.h->host.key.key.pub, theirs->key.key.pub, IDENTITY_KEY_SIZE) < 0;
    struct guest *winner = host_wins ? ours : theirs, *loser = host_wins ? theirs : ours;
    channels_pair_wait(one_has_closed, x.h);
    assert_int_equal(loser->going, DCHAN_DUPLICATE);
    assert_false(winner->closed);
    channels_pair_wait(was_greeted, winner);
    dchan_session_settled(winner->session, 0);
    channels_pair_wait(guest_has_come_up, winner);
    house_free(x.h);
    close(x.port.fd);
}

static void of_two_dialled_at_a_time_that_of_the_smaller_key_stays(void **state)
{
    (void)state;
    for (uint8_t secret = 0x31; secret < 0x39; secret++) {
        cross(secret, true);
        cross(secret, false);
    }
}

static void count_conns(struct channels *c, void *ctx) { *(size_t *)ctx = c->conns.n; }

static bool is_alone(void *ctx)
{
    struct crossing *x = ctx;
    size_t conns = 0;
    assert_true(channels_call(x->h->host.channels, count_conns, &conns));
    return conns == 1;
}

static void a_dial_ends_when_the_peer_comes(void **state)
{
    struct crossing x = { .h = house_make(true), .port = guest_port_open(true), .secret = 0x31 };
    (void)state;
    assert_true(channels_call(x.h->host.channels, befriend_call, &x));
    first_comes(x.h); /* nobody answers at the port */
    channels_pair_wait(is_alone, &x);
    house_free(x.h);
    close(x.port.fd);
}

static void score_call(struct channels *c, void *ctx)
{
    struct guest *g = ctx;
    chan_peer_score(channels_find(c, g->key.key.pub), 50, "test");
}

static void bad_behaviour_of_a_part_ends_the_session(void **state)
{
    struct house *h = house_new();
    (void)state;
    assert_true(channels_call(h->host.channels, score_call, h->first));
    assert_int_equal(h->host.downs, 0);
    assert_true(channels_call(h->host.channels, score_call, h->first));
    channels_pair_wait(guest_has_closed, h->first);
    assert_int_equal(h->first->closing.why, DCHAN_CLOSED_BY_THEM);
    assert_int_equal(h->first->closing.code, DCHAN_ERROR_LIMIT);
    house_free(h);
}

static void set_bare(struct channels *c, void *ctx)
{
    const bool bare = *(bool *)ctx;
    struct contact contact = { .has_key = true, .policy.bare = bare }, *found;
    struct open_key key;
    open_key_init(&key, 0x31);
    memcpy(contact.key, key.key.pub, sizeof contact.key);
    found = contacts_by_key(channels_contacts(c), contact.key, NULL);
    if (found) {
        contact = *found;
        contact.policy.bare = bare;
        assert_int_equal(contacts_change(channels_contacts(c), &contact, NULL, NULL, NULL), OK);
    } else {
        assert_int_equal(contacts_add(channels_contacts(c), &contact, NULL, NULL, &found, NULL),
                         OK);
    }
    channels_contact_changed(c, contact.key);
}

enum { PADS = 12 };

static void send_pads(struct channels *c, void *ctx)
{
    static const uint8_t bytes[1000];
    const struct dchan_msg m = { .type = DCHAN_PAD, .pad = { bytes, sizeof bytes } };
    struct guest *g = ctx;
    for (int i = 0; i < PADS; i++)
        assert_int_equal(chan_peer_send(channels_find(c, g->key.key.pub), &m), OK);
}

/* What the host has said waits in its kernel, as the guest reads late; and he talks on. */
static void why_a_session_ends_arrives_though_more_was_said(void **state)
{
    struct house *h = house_make(true);
    (void)state;
    h->guests[0].narrow = true;
    first_comes(h);
    h->first->deaf = true;
    assert_true(channels_call(h->host.channels, send_pads, h->first));
    for (int i = 0; i < 2; i++)
        assert_true(channels_call(h->host.channels, score_call, h->first));
    wait_sessions(h, 0);
    guest_send_raw(h->first, "more", 4);
    guest_send_raw(h->first, "more", 4);
    h->first->deaf = false;
    channels_pair_wait(guest_has_closed, h->first);
    assert_int_equal(h->first->closing.why, DCHAN_CLOSED_BY_THEM);
    assert_int_equal(h->first->closing.code, DCHAN_ERROR_LIMIT);
    house_free(h);
}

/* Each names the last one as what it renews, and the old ones do not end. */
static struct house *house_of_renewals(unsigned sessions_old)
{
    struct house *h = house_limited(true, sessions_old);
    bool bare = true;
    assert_true(channels_call(h->host.channels, set_bare, &bare));
    first_comes(h);
    for (struct guest *last = h->first; h->n < COUNT_OF(h->guests);) {
        last->deaf = true;
        last = come(h, dchan_session_peer(last->session)->session_id);
        channels_pair_wait(guest_has_come_up, last);
    }
    return h;
}

/* Else one contact would have all places, and the memory for streams of all (attacks E12). */
static void who_renews_again_and_again_has_few_sessions(void **state)
{
    struct house *h = house_of_renewals(2);
    (void)state;
    wait_sessions(h, 3);
    h->first->deaf = false; /* it is not one that would end now */
    channels_pair_wait(guest_was_cut, h->first);
    assert_false(h->guests[3].closed);
    assert_int_equal(h->host.ups, 1);
    assert_int_equal(h->host.downs, 0);
    house_free(h);
    h = house_of_renewals(3);
    wait_sessions(h, 4);
    house_free(h);
}

static void move_contact(struct channels *c, void *ctx)
{
    struct guest *g = ctx;
    struct contact contact =
        *contacts_by_key(channels_contacts(c), g->key.key.pub, NULL);
    struct open_key next;
    open_key_init(&next, 0x3f);
    memcpy(contact.former[contact.n_former++], contact.key, sizeof contact.key);
    memcpy(contact.key, next.key.pub, sizeof contact.key);
    assert_int_equal(contacts_change(channels_contacts(c), &contact, NULL, NULL, NULL), OK);
    channels_contact_changed(c, g->key.key.pub);
}

static void a_key_that_has_a_successor_gets_no_session(void **state)
{
    struct house *h = house_make(true);
    bool bare = true;
    (void)state;
    assert_true(channels_call(h->host.channels, set_bare, &bare));
    first_comes(h);
    assert_true(channels_call(h->host.channels, move_contact, h->first));
    channels_pair_wait(guest_has_closed, h->first);
    assert_int_equal(h->first->going, DCHAN_RENEW);
    struct guest *late = come(h, NULL);
    channels_pair_wait(guest_has_closed, late);
    assert_int_equal(late->closing.why, DCHAN_CLOSED_BY_THEM);
    assert_int_equal(late->closing.code, DCHAN_ERROR_IDENTITY);
    house_free(h);
}

static void assign_contact(struct channels *c, void *ctx)
{
    struct guest *g = ctx;
    struct contact contact =
        *contacts_by_key(channels_contacts(c), g->key.key.pub, NULL);
    memcpy(contact.identity, "work", 5);
    assert_int_equal(contacts_change(channels_contacts(c), &contact, NULL, NULL, NULL), OK);
    channels_contact_changed(c, contact.key);
}

/* Else who talks to two identities of ours would know that they are one. */
static void a_contact_is_a_stranger_under_other_identities(void **state)
{
    struct house *h = house_make(true);
    struct chan_peer_info info;
    bool bare = true;
    (void)state;
    assert_true(channels_call(h->host.channels, set_bare, &bare));
    first_comes(h);
    assert_true(channels_call(h->host.channels, assign_contact, h->first));
    channels_pair_wait(guest_has_closed, h->first);
    struct guest *again = come(h, NULL);
    channels_pair_wait(guest_has_come_up, again);
    assert_true(channels_side_info(&h->host, &(struct channels_side){ .key = again->key }, &info));
    assert_false(info.contact);
    house_free(h);
}

static void an_identity_that_goes_ends_handshakes_with_it(void **state)
{
    struct house *h = house_make(true);
    (void)state;
    guest_connect(&h->guests[h->n++], &h->host, "2001:470:1::1");
    h->expected = 1;
    channels_pair_wait(has_handshakes, h);
    channels_set_identities(h->host.channels, NULL, 0);
    channels_pair_wait(guest_was_cut, &h->guests[0]);
    house_free(h);
}

static void bare_keys_are_for_contacts_marked_so(void **state)
{
    struct house *h = house_make(false);
    bool bare = true;
    (void)state;
    struct guest *stranger = come(h, NULL);
    channels_pair_wait(guest_has_closed, stranger);
    assert_int_equal(stranger->closing.code, DCHAN_ERROR_IDENTITY);
    assert_true(channels_call(h->host.channels, set_bare, &bare));
    first_comes(h);
    bare = false;
    assert_true(channels_call(h->host.channels, set_bare, &bare));
    channels_pair_wait(guest_has_closed, h->first);
    assert_int_equal(h->first->closing.why, DCHAN_CLOSED_CLEAN);
    house_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_older_of_two_stays_when_it_answers),
        cmocka_unit_test(a_peer_that_was_restarted_is_back_after_five_seconds),
        cmocka_unit_test(one_that_died_is_replaced_at_once),
        cmocka_unit_test(a_third_pushes_out_the_one_that_waits),
        cmocka_unit_test(a_renewal_takes_the_place_without_a_question),
        cmocka_unit_test(who_names_another_session_renews_nothing),
        cmocka_unit_test(an_end_without_bye_is_a_truncation),
        cmocka_unit_test(who_reads_nothing_is_cut_by_the_message_too_many),
        cmocka_unit_test(who_reads_nothing_is_cut_by_the_question_whether_it_lives),
        cmocka_unit_test(bad_behaviour_of_a_part_ends_the_session),
        cmocka_unit_test(of_two_dialled_at_a_time_that_of_the_smaller_key_stays),
        cmocka_unit_test(a_dial_ends_when_the_peer_comes),
        cmocka_unit_test(why_a_session_ends_arrives_though_more_was_said),
        cmocka_unit_test(who_renews_again_and_again_has_few_sessions),
        cmocka_unit_test(a_key_that_has_a_successor_gets_no_session),
        cmocka_unit_test(a_contact_is_a_stranger_under_other_identities),
        cmocka_unit_test(an_identity_that_goes_ends_handshakes_with_it),
        cmocka_unit_test(bare_keys_are_for_contacts_marked_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Two nodes that cannot reach each other, and a third that knows both. */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/chan_relay.h"
#include "p2p/channels_internal.h"
#include "p2p/dchan_duplicate.h"
#include "p2p/services.h"
#include "tests/p2p/channels_pair.h"
#include "tests/test.h"

enum { ALICE, RELAY, BOB, SECOND, SIDES };

/* Counts the messages that come, and asks for the echo of the other one. */
struct talk {
    atomic_uint messages, echoed, closed;
    atomic_uint code;
    size_t to_send, sent;
};

struct world {
    struct channels_pair pairs[2];
    int n;                              /* sides that are there, 0: all but SECOND */
    bool bob_listens;                   /* for the one in the middle */
    bool mute;                          /* the one in the middle never answers who asks it */
    atomic_uint asked, withdrawn;       /* how often it was, and was told to forget it */
    struct chan_relay *relays[SIDES];
    struct local_streams streams[SIDES];
    struct services *services[SIDES];
    struct talk talks[SIDES];
    struct chan_relay_limits limits;    /* of the one in the middle */
};

static struct channels_side *side(struct world *w, int i)
{
    return &w->pairs[i / 2].sides[i % 2];
}

/* --- a part that takes messages --- */

static const struct dchan_handler handlers[1];

static void on_message(void *ctx, const struct dchan_msg *m)
{
    struct talk *t = channels_part(chan_peer_channels(ctx), handlers);
    assert_int_equal(m->m_send.body.len, 5);
    assert_memory_equal(m->m_send.body.data, "hello", 5);
    atomic_fetch_add(&t->messages, 1);
}

static const struct dchan_handler handlers[1] = { { DCHAN_M_SEND, DCHAN_M_SEND, on_message } };

/* --- a relay that takes what it is asked for and does nothing --- */

static bool take_in_silence(void *part, struct chan_peer *p, struct dchan_mux *mux,
                            const struct dchan_s_open *m)
{
    (void)p;
    (void)mux;
    assert_int_equal(m->service.len, 5);
    atomic_fetch_add(&((struct world *)part)->asked, 1);
    return true;
}

static void forget_it(void *part, struct chan_peer *p, struct dchan_mux *mux, uint32_t sid)
{
    (void)p;
    (void)mux;
    (void)sid;
    atomic_fetch_add(&((struct world *)part)->withdrawn, 1);
}

/* --- contacts --- */

struct wish {
    const struct channels_side *other;
    const char *alias;
    bool has_address, relay, relay_for_us;
    const uint8_t *key;    /* NULL: the one that the other side begins with */
    const char *identity;  /* of ours, NULL: the default */
};

static void add_contact(struct channels *c, void *ctx)
{
    const struct wish *wish = ctx;
    struct contact contact = { .has_key = true, .n_addresses = wish->has_address };
    struct contact *made;
    memcpy(contact.alias, wish->alias, strlen(wish->alias));
    memcpy(contact.key, wish->key ? wish->key : wish->other->key.key.pub, sizeof contact.key);
    if (wish->identity)
        memcpy(contact.identity, wish->identity, strlen(wish->identity));
    contact.addresses[0].address[BCA_ADDRESS_SIZE - 1] = 1;
    contact.addresses[0].port = channels_port(wish->other->channels);
    contact.policy = (struct contact_policy){ .bare = true, .messages = true,
                                              .relay = wish->relay,
                                              .relay_for_us = wish->relay_for_us };
    assert_int_equal(contacts_add(channels_contacts(c), &contact, NULL, NULL, &made, NULL), OK);
    channels_contact_changed(c, contact.key);
}

static void know(struct world *w, int who, int whom, struct wish wish)
{
    static const char *const names[] = { "alice", "relay", "bob", "second" };
    wish.other = side(w, whom);
    wish.alias = names[whom];
    assert_true(channels_call(side(w, who)->channels, add_contact, &wish));
}

/* --- the world --- */

static void open_side(struct world *w, int i)
{
    static const char *const spec = "echo,echo:,*";
    struct channels_side *s = side(w, i);
    const struct chan_relay_limits none = { 0 };
    s->config.listen = i == RELAY || i == SECOND || (i == BOB && w->bob_listens);
    channels_side_open(s, (uint8_t)(0x11 + 0x10 * i));
    local_streams_init(&w->streams[i], s->channels, 8, 0);
    assert_int_equal(services_new(&w->services[i], &w->streams[i],
                                  &(struct net_strings){ &spec, 1 }, NULL), OK);
    if (i == RELAY && w->mute)
        channels_add_part(s->channels, &(struct channel_part){
            .features = { .offered = 1u << DCHAN_STREAMS | 1u << DCHAN_RELAY },
            .open = take_in_silence, .withdrawn = forget_it, .ctx = w });
    else
        w->relays[i] = chan_relay_new(s->channels, i == RELAY ? &w->limits : &none);
    channels_add_part(s->channels, &(struct channel_part){
        .handlers = handlers, .n_handlers = 1, .features = { .offered = 1u << DCHAN_MESSAGES },
        .ctx = &w->talks[i] });
    channels_side_start(s);
}

static void world_open(struct world *w)
{
    channels_pair_init(&w->pairs[0]);
    channels_pair_init(&w->pairs[1]);
    w->n = w->n ? w->n : SECOND;
    for (int i = 0; i < w->n; i++)
        open_side(w, i);
}

static void world_close(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        struct channels_side *s = side(w, i);
        channels_stop(s->channels);
        dchan_store_free(s->store);
        assert_int_equal(w->streams[i].all.n, 0);
        chan_relay_free(w->relays[i]);
        services_free(w->services[i]);
        channels_free(s->channels);
        contacts_free(s->contacts);
    }
}

static bool all_reach_the_relay(void *ctx)
{
    struct world *w = ctx;
    return channels_side_is_up(side(w, ALICE), side(w, RELAY)) &&
           channels_side_is_up(side(w, BOB), side(w, RELAY)) &&
           channels_side_is_up(side(w, RELAY), side(w, ALICE)) &&
           channels_side_is_up(side(w, RELAY), side(w, BOB));
}

static void know_all(struct world *w, bool relay_serves_alice, bool alice_asks)
{
    know(w, RELAY, ALICE, (struct wish){ .relay = relay_serves_alice });
    know(w, RELAY, BOB, (struct wish){ .relay = true });
    know(w, ALICE, RELAY, (struct wish){ .has_address = true, .relay_for_us = alice_asks });
    know(w, BOB, RELAY, (struct wish){ .has_address = true });
    know(w, ALICE, BOB, (struct wish){ .relay = false });
    know(w, BOB, ALICE, (struct wish){ .relay = false });
    channels_side_dial(side(w, ALICE), side(w, RELAY));
    channels_side_dial(side(w, BOB), side(w, RELAY));
    channels_pair_wait(all_reach_the_relay, w);
}

static bool alice_has_bob(void *ctx)
{
    struct world *w = ctx;
    return channels_side_is_up(side(w, ALICE), side(w, BOB)) &&
           channels_side_is_up(side(w, BOB), side(w, ALICE));
}

/* Alice wants Bob, whom she cannot dial: as long as it takes, with ticks. */
static void want_bob(struct world *w)
{
    channels_side_dial(side(w, ALICE), side(w, BOB));
    channels_side_skip(side(w, ALICE), 1000);
}

static void connect_both(struct world *w)
{
    know_all(w, true, true);
    want_bob(w);
    channels_pair_wait(alice_has_bob, w);
}

/* --- talking --- */

static struct chan_peer *bob_of(struct channels *c)
{
    return channels_peer_of(c, contacts_by_alias(channels_contacts(c), "bob"));
}

static void send_message_to(struct channels *c, const char *alias)
{
    struct contact *contact = contacts_by_alias(channels_contacts(c), alias);
    const struct dchan_msg m = { .type = DCHAN_M_SEND,
                                 .m_send = { .id = { 1 }, .ttl = 60,
                                             .content_type = span_of("text/plain", 10),
                                             .body = span_of("hello", 5) } };
    assert_int_equal(chan_peer_send(channels_peer_of(c, contact), &m), OK);
}

static void send_message(struct channels *c, void *ctx)
{
    (void)ctx;
    send_message_to(c, "bob");
}

static bool has_message(void *ctx)
{
    return atomic_load(&((struct world *)ctx)->talks[BOB].messages) == 1;
}

struct asked { struct talk *talk; struct channels *c; struct dchan_mux *mux; uint32_t sid; };

static void echo_data(void *ctx, struct span data)
{
    struct asked *a = ctx;
    for (size_t i = 0; i < data.len; i++)
        assert_int_equal(data.data[i], (uint8_t)(atomic_load(&a->talk->echoed) + i));
    atomic_fetch_add(&a->talk->echoed, (unsigned)data.len);
    dchan_mux_consumed(a->mux, a->sid, data.len, channels_now(a->c));
}

static void echo_fin(void *ctx)
{
    (void)ctx;
}

static size_t echo_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct talk *t = ((struct asked *)ctx)->talk;
    size_t n = 0;
    for (; n < max && t->sent < t->to_send; n++)
        out[n] = (uint8_t)t->sent++;
    *end = t->sent == t->to_send;
    return n;
}

static void echo_closed(void *ctx, unsigned code)
{
    struct asked *a = ctx;
    atomic_store(&a->talk->code, code);
    atomic_store(&a->talk->closed, 1);
    free(a);
}

static const struct dchan_stream_ops echo_ops = { NULL, echo_data, echo_fin, echo_pull, NULL,
                                                  echo_closed };

static void ask_echo(struct channels *c, void *ctx)
{
    struct asked *a = xcalloc(1, sizeof *a);
    *a = (struct asked){ .talk = ctx, .c = c, .mux = chan_peer_mux(bob_of(c)) };
    assert_int_equal(dchan_mux_open(a->mux, &(struct dchan_open){ span_of("echo", 4), 4,
                                                                  { NULL, 0 } },
                                    &echo_ops, a, channels_now(c), &a->sid), OK);
    dchan_mux_wake(a->mux, a->sid);
    chan_peer_kick(bob_of(c));
}

static bool is_closed(void *ctx)
{
    return atomic_load(&((struct talk *)ctx)->closed);
}

static void run_echo(struct world *w, size_t bytes)
{
    struct talk *t = &w->talks[ALICE];
    t->to_send = bytes;
    assert_true(channels_call(side(w, ALICE)->channels, ask_echo, t));
    channels_pair_wait(is_closed, t);
}

struct counted { const struct chan_relay *relay; size_t n; uint64_t bytes; };

static void count_one(const struct relayed *s, void *ctx)
{
    struct counted *n = ctx;
    n->n += s->open;
    n->bytes += s->bytes;
}

static void count_relayed(struct channels *c, void *ctx)
{
    struct counted *n = ctx;
    (void)c;
    chan_relay_each(n->relay, count_one, n);
}

static struct counted relayed(struct world *w)
{
    struct counted n = { .relay = w->relays[RELAY] };
    assert_true(channels_call(side(w, RELAY)->channels, count_relayed, &n));
    return n;
}

/* --- tests --- */

static void two_that_cannot_reach_each_other_talk(void **state)
{
    struct world w = { .limits = { 0 } };
    (void)state;
    world_open(&w);
    connect_both(&w);
    assert_true(channels_call(side(&w, ALICE)->channels, send_message, NULL));
    channels_pair_wait(has_message, &w);
    run_echo(&w, 3 << 20);
    assert_int_equal(atomic_load(&w.talks[ALICE].code), 0);
    assert_int_equal(atomic_load(&w.talks[ALICE].echoed), 3 << 20);
    const struct counted n = relayed(&w);
    assert_int_equal(n.n, 1);
    assert_true(n.bytes > 6 << 20 && n.bytes < 7 << 20);
    assert_int_equal(atomic_load(&w.talks[RELAY].messages), 0);
    world_close(&w);
}

static bool bob_is_lost(void *ctx)
{
    struct world *w = ctx;
    return !channels_side_is_up(side(w, ALICE), side(w, BOB)) &&
           !channels_side_is_up(side(w, BOB), side(w, ALICE));
}

static void disconnect_bob(struct channels *c, void *ctx)
{
    (void)ctx;
    chan_peer_disconnect(bob_of(c));
}

static bool nothing_is_relayed(void *ctx)
{
    return relayed(ctx).n == 0;
}

static void a_relayed_session_ends_as_others_do(void **state)
{
    struct world w = { .limits = { 0 } };
    (void)state;
    world_open(&w);
    connect_both(&w);
    assert_true(channels_call(side(&w, ALICE)->channels, disconnect_bob, NULL));
    channels_pair_wait(bob_is_lost, &w);
    assert_int_equal(atomic_load(&side(&w, BOB)->why), DCHAN_CLOSED_CLEAN);
    channels_pair_wait(nothing_is_relayed, &w);
    want_bob(&w); /* and may begin anew */
    channels_pair_wait(alice_has_bob, &w);
    world_close(&w);
}

struct session_seen { uint8_t id[32], last[32]; struct world *w; bool carried; };

static void see_session(struct channels *c, void *ctx)
{
    struct session_seen *s = ctx;
    const struct chan_peer *p = bob_of(c);
    s->carried = p->newest && p->newest->pipe;
    if (p->newest)
        memcpy(s->id, dchan_session_peer(p->newest->session)->session_id, sizeof s->id);
}

static bool is_another(void *ctx)
{
    struct session_seen *s = ctx;
    assert_true(channels_call(side(s->w, ALICE)->channels, see_session, s));
    return s->carried && memcmp(s->id, s->last, sizeof s->id) != 0;
}

static void a_relayed_session_is_renewed_after_a_day(void **state)
{
    struct world w = { .limits = { 0 } };
    struct session_seen seen = { .w = &w };
    (void)state;
    world_open(&w);
    connect_both(&w);
    assert_true(is_another(&seen));
    memcpy(seen.last, seen.id, sizeof seen.last);
    const unsigned ups = atomic_load(&side(&w, BOB)->ups);
    const unsigned downs = atomic_load(&side(&w, BOB)->downs);
    channels_side_await_pongs(side(&w, ALICE));
    channels_side_skip(side(&w, ALICE), DCHAN_RENEW_AGE_MS + DCHAN_RENEW_OTHER_MS + 1000);
    channels_pair_wait(is_another, &seen);
    channels_pair_wait(alice_has_bob, &w);
    assert_int_equal(atomic_load(&side(&w, BOB)->ups), ups);
    assert_int_equal(atomic_load(&side(&w, BOB)->downs), downs); /* always with a session */
    assert_true(channels_call(side(&w, ALICE)->channels, send_message, NULL));
    channels_pair_wait(has_message, &w);
    world_close(&w);
}

static void remove_bob(struct channels *c, void *ctx)
{
    struct contact *bob = contacts_by_alias(channels_contacts(c), "bob");
    uint8_t key[IDENTITY_KEY_SIZE];
    (void)ctx;
    memcpy(key, bob->key, sizeof key);
    contacts_remove(channels_contacts(c), bob, NULL, NULL);
    channels_contact_changed(c, key);
}

static void it_ends_when_the_relay_removes_a_contact(void **state)
{
    struct world w = { .limits = { 0 } };
    (void)state;
    world_open(&w);
    connect_both(&w);
    assert_true(channels_call(side(&w, RELAY)->channels, remove_bob, NULL));
    channels_pair_wait(bob_is_lost, &w);
    channels_pair_wait(nothing_is_relayed, &w);
    world_close(&w);
}

/* Some ticks of all, in which it would have come up. */
static void assert_stays_down(struct world *w)
{
    for (int i = 0; i < 5; i++) {
        channels_side_skip(side(w, ALICE), 1000);
        assert_true(bob_is_lost(w));
        assert_int_equal(relayed(w).n, 0);
    }
}

static void the_relay_serves_whom_it_allows(void **state)
{
    struct world w = { .limits = { 0 } };
    (void)state;
    world_open(&w);
    know_all(&w, false, true);
    want_bob(&w);
    assert_stays_down(&w);
    world_close(&w);
}

static bool round_is_over(void *ctx)
{
    struct world *w = ctx;
    struct chan_peer_info info;
    return channels_side_info(side(w, ALICE), side(w, BOB), &info) && info.next_dial_ms;
}

static void message_to_relay(struct channels *c, void *ctx)
{
    (void)ctx;
    send_message_to(c, "relay");
}

static bool relay_has_message(void *ctx)
{
    return atomic_load(&((struct world *)ctx)->talks[RELAY].messages) == 1;
}

/* A message comes behind what it would have been asked. */
static void only_a_contact_that_may_relay_is_asked(void **state)
{
    struct world w = { .mute = true };
    (void)state;
    world_open(&w);
    know_all(&w, true, false);
    want_bob(&w);
    channels_pair_wait(round_is_over, &w);
    assert_true(channels_call(side(&w, ALICE)->channels, message_to_relay, NULL));
    channels_pair_wait(relay_has_message, &w);
    assert_int_equal(atomic_load(&w.asked), 0);
    world_close(&w);
}

/* Another one of the side in the middle, as nobody is told that they belong together. */
struct other_identity {
    struct open_key key;
    struct channel_identity id;
};

static void keep_it(struct channel_identity *id) { (void)id; }

static void add_identity(struct channels_side *s, struct other_identity *other)
{
    open_key_init(&other->key, 0x77);
    other->id = (struct channel_identity){ .key = other->key.key, .name = "two", .refs = 1,
                                           .release = keep_it };
    struct channel_identity *both[] = { channel_identity_ref(&s->identity), &other->id };
    channels_set_identities(s->channels, both, 2);
}

static bool relay_reaches_both(void *ctx)
{
    struct world *w = ctx;
    return channels_side_is_up(side(w, RELAY), side(w, ALICE)) &&
           channels_side_is_up(side(w, RELAY), side(w, BOB)) &&
           channels_side_is_up(side(w, ALICE), side(w, RELAY));
}

static void count_any(const struct relayed *s, void *ctx)
{
    (void)s;
    ++*(size_t *)ctx;
}

static void count_streams(struct channels *c, void *ctx)
{
    struct counted *n = ctx;
    (void)c;
    chan_relay_each(n->relay, count_any, &n->n);
}

/* Attack G9: else Alice would learn that two identities are of one host. */
static void two_whom_we_know_under_two_identities_are_not_joined(void **state)
{
    struct world w = { .bob_listens = true };
    static struct other_identity two;
    struct counted n = { .n = 0 };
    (void)state;
    world_open(&w);
    add_identity(side(&w, RELAY), &two);
    know(&w, RELAY, ALICE, (struct wish){ .relay = true });
    know(&w, RELAY, BOB, (struct wish){ .has_address = true, .relay = true, .identity = "two" });
    know(&w, ALICE, RELAY, (struct wish){ .has_address = true, .relay_for_us = true });
    know(&w, BOB, RELAY, (struct wish){ .key = two.key.key.pub });
    know(&w, ALICE, BOB, (struct wish){ .relay = false });
    know(&w, BOB, ALICE, (struct wish){ .relay = false });
    channels_side_dial(side(&w, ALICE), side(&w, RELAY));
    channels_side_dial(side(&w, RELAY), side(&w, BOB));
    channels_pair_wait(relay_reaches_both, &w);
    want_bob(&w);
    channels_pair_wait(round_is_over, &w);
    assert_true(channels_call(side(&w, ALICE)->channels, message_to_relay, NULL));
    channels_pair_wait(relay_has_message, &w); /* behind what it was asked */
    n.relay = w.relays[RELAY];
    assert_true(channels_call(side(&w, RELAY)->channels, count_streams, &n));
    assert_int_equal(n.n, 0);
    assert_true(bob_is_lost(&w));
    world_close(&w);
}

static bool all_reach_the_second(void *ctx)
{
    struct world *w = ctx;
    return channels_side_is_up(side(w, ALICE), side(w, SECOND)) &&
           channels_side_is_up(side(w, BOB), side(w, SECOND)) &&
           channels_side_is_up(side(w, SECOND), side(w, ALICE)) &&
           channels_side_is_up(side(w, SECOND), side(w, BOB));
}

static void know_second(struct world *w)
{
    know(w, SECOND, ALICE, (struct wish){ .relay = true });
    know(w, SECOND, BOB, (struct wish){ .relay = true });
    know(w, ALICE, SECOND, (struct wish){ .has_address = true, .relay_for_us = true });
    know(w, BOB, SECOND, (struct wish){ .has_address = true });
    channels_side_dial(side(w, ALICE), side(w, SECOND));
    channels_side_dial(side(w, BOB), side(w, SECOND));
    channels_pair_wait(all_reach_the_second, w);
}

static bool was_asked(void *ctx)
{
    return atomic_load(&((struct world *)ctx)->asked) == 1;
}

static void cut_alice(struct channels *c, void *ctx)
{
    (void)ctx;
    chan_peer_score(channels_peer_of(c, contacts_by_alias(channels_contacts(c), "alice")), 1000,
                    "the test wants it");
}

/* No time passes for Alice: nothing is tried anew. */
static void the_next_one_is_asked_when_a_relay_goes(void **state)
{
    struct world w = { .n = SIDES, .mute = true };
    (void)state;
    world_open(&w);
    know_all(&w, true, true);
    know_second(&w);
    want_bob(&w);
    channels_pair_wait(was_asked, &w);
    channels_side_freeze(side(&w, ALICE));
    assert_true(channels_call(side(&w, RELAY)->channels, cut_alice, NULL));
    channels_pair_wait(alice_has_bob, &w);
    world_close(&w);
}

static bool was_withdrawn(void *ctx)
{
    return atomic_load(&((struct world *)ctx)->withdrawn) == 1;
}

static void choose_identity_for_bob(struct channels *c, void *ctx)
{
    struct contact contact = *contacts_by_alias(channels_contacts(c), "bob");
    (void)ctx;
    memcpy(contact.identity, "work", 5);
    assert_int_equal(contacts_change(channels_contacts(c), &contact, NULL, NULL, NULL), OK);
    channels_contact_changed(c, contact.key);
}

/* The answer of the relay would make a session with somebody who is wanted no more. */
static void who_is_given_up_meanwhile_is_asked_for_no_more(void **state)
{
    static void (*const give_up[])(struct channels *c, void *ctx) = {
        remove_bob, disconnect_bob, choose_identity_for_bob
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(give_up); i++) {
        struct world w = { .mute = true };
        world_open(&w);
        know_all(&w, true, true);
        want_bob(&w);
        channels_pair_wait(was_asked, &w);
        channels_side_freeze(side(&w, ALICE)); /* nor does the time for an answer run out */
        channels_side_freeze(side(&w, RELAY));
        assert_true(channels_call(side(&w, ALICE)->channels, give_up[i], NULL));
        channels_side_skip(side(&w, ALICE), 0);
        channels_pair_wait(was_withdrawn, &w);
        assert_int_equal(atomic_load(&w.asked), 1);
        world_close(&w);
    }
}

static void bytes_of_a_day_have_a_limit(void **state)
{
    struct world w = { .limits = { .bytes_per_day = 100000 } };
    (void)state;
    world_open(&w);
    connect_both(&w);
    run_echo(&w, 3 << 20);
    assert_int_equal(atomic_load(&w.talks[ALICE].code), DCHAN_RESET_TRUNCATED);
    channels_pair_wait(bob_is_lost, &w);
    channels_side_await_pongs(side(&w, ALICE));
    channels_side_skip(side(&w, ALICE), 60000);
    want_bob(&w);
    assert_stays_down(&w);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_cannot_reach_each_other_talk),
        cmocka_unit_test(a_relayed_session_ends_as_others_do),
        cmocka_unit_test(a_relayed_session_is_renewed_after_a_day),
        cmocka_unit_test(it_ends_when_the_relay_removes_a_contact),
        cmocka_unit_test(the_relay_serves_whom_it_allows),
        cmocka_unit_test(only_a_contact_that_may_relay_is_asked),
        cmocka_unit_test(two_whom_we_know_under_two_identities_are_not_joined),
        cmocka_unit_test(the_next_one_is_asked_when_a_relay_goes),
        cmocka_unit_test(who_is_given_up_meanwhile_is_asked_for_no_more),
        cmocka_unit_test(bytes_of_a_day_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

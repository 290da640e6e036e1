/*
 * One session takes the place of another between two nodes (spec channels 2.6), and what becomes of
 * sessions when identities and contacts change.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "tests/bca/proof.h"
#include "tests/p2p/channel_guest.h"
#include "tests/test.h"

/* A part with messages and streams of service "s", which stay open until told. */
struct part {
    struct channels_side *side;
    atomic_uint messages, opened, accepted, ended, gone, ups;
    atomic_int code;
    atomic_size_t bytes;
    size_t to_send;
    struct dchan_mux *mux;
    uint32_t sid;
    bool finish;
};

static const struct dchan_handler part_handlers[1];

static void on_message(void *ctx, const struct dchan_msg *m)
{
    struct part *n = channels_part(chan_peer_channels(ctx), part_handlers);
    (void)m;
    atomic_fetch_add(&n->messages, 1);
}

static const struct dchan_handler part_handlers[1] = {
    { DCHAN_M_SEND, DCHAN_M_SEND, on_message }
};

static void on_accepted(void *ctx)
{
    struct part *n = ctx;
    atomic_fetch_add(&n->accepted, 1);
}

static void on_data(void *ctx, struct span data)
{
    struct part *n = ctx;
    atomic_fetch_add(&n->bytes, data.len);
    dchan_mux_consumed(n->mux, n->sid, data.len, channels_now(n->side->channels));
}

static void on_fin(void *ctx)
{
    struct part *n = ctx;
    n->finish = true;
    dchan_mux_wake(n->mux, n->sid);
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct part *n = ctx;
    const size_t give = max < n->to_send ? max : n->to_send;
    memset(out, 0, give);
    n->to_send -= give;
    *end = n->finish && n->to_send == 0;
    return give;
}

static void on_closed(void *ctx, unsigned code)
{
    struct part *n = ctx;
    atomic_store(&n->code, (int)code);
    atomic_fetch_add(&n->ended, 1);
}

static const struct dchan_stream_ops stream_ops = {
    .accepted = on_accepted, .data = on_data, .fin = on_fin, .pull = on_pull, .closed = on_closed
};

static bool on_open(void *part, struct chan_peer *p, struct dchan_mux *mux,
                    const struct dchan_s_open *m)
{
    struct part *n = part;
    (void)p;
    if (m->service.len != 1 || m->service.data[0] != 's')
        return false;
    n->mux = mux;
    n->sid = m->sid;
    atomic_fetch_add(&n->opened, 1);
    return dchan_mux_accept(mux, m->sid, &stream_ops, n, channels_now(n->side->channels)) == OK;
}

static void on_up(void *part, struct chan_peer *p)
{
    struct part *n = part;
    (void)p;
    atomic_fetch_add(&n->ups, 1);
}

static void on_gone(void *part, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct part *n = part;
    (void)key;
    atomic_fetch_add(&n->gone, 1);
}

#define DAY_MS 86400000

struct town {
    struct channels_pair p;
    struct part parts[2];
    struct proof proof;
    struct buf params;
    uint8_t session_id[2][32], before[32];
};

static struct town *town_make(void)
{
    struct town *t = xcalloc(1, sizeof *t);
    channels_pair_init(&t->p);
    channels_pair_open(&t->p);
    for (int i = 0; i < 2; i++) {
        t->parts[i].side = &t->p.sides[i];
        channels_add_part(t->p.sides[i].channels, &(struct channel_part){
            .handlers = part_handlers, .n_handlers = 1,
            .features = { .offered = 1u << DCHAN_STREAMS | 1u << DCHAN_MESSAGES },
            .open = on_open, .up = on_up, .contact_gone = on_gone, .ctx = &t->parts[i] });
    }
    return t;
}

static void town_start(struct town *t)
{
    channels_side_freeze(&t->p.sides[0]);
    channels_side_freeze(&t->p.sides[1]);
    channels_pair_start(&t->p);
}

static struct town *town_open(void)
{
    struct town *t = town_make();
    town_start(t);
    return t;
}

static void town_close(struct town *t)
{
    channels_pair_close(&t->p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t->p.sides[i].ups, t->p.sides[i].downs);
        assert_true(t->p.sides[i].released >= 1);
    }
    free(t);
}

struct look { const struct channels_side *other; uint8_t *id; bool found; };

static void look_call(struct channels *c, void *ctx)
{
    struct look *l = ctx;
    struct chan_peer *p = channels_find(c, l->other->key.key.pub);
    l->found = p && p->newest && !p->newest->going && !p->fresh && p->conns.n == 1 &&
               dchan_session_stats(p->newest->session).pongs; /* or a skip would be its death */
    if (l->found)
        memcpy(l->id, dchan_session_peer(p->newest->session)->session_id, 32);
}

/* Each has exactly one session with the other, and it is the same one. */
static bool are_at_one(void *ctx)
{
    struct town *t = ctx;
    for (int i = 0; i < 2; i++) {
        struct look l = { &t->p.sides[!i], t->session_id[i], false };
        assert_true(channels_call(t->p.sides[i].channels, look_call, &l));
        if (!l.found)
            return false;
    }
    return memcmp(t->session_id[0], t->session_id[1], 32) == 0;
}

static void disconnect_call(struct channels *c, void *ctx)
{
    struct channels_side *other = ctx;
    chan_peer_disconnect(channels_find(c, other->key.key.pub));
}

static bool are_apart(void *ctx)
{
    struct town *t = ctx;
    return t->p.sides[0].ups == t->p.sides[0].downs && t->p.sides[1].ups == t->p.sides[1].downs &&
           host_sessions(&t->p.sides[0]) + host_sessions(&t->p.sides[1]) == 0;
}

static void both_dial_at_a_time_and_one_session_stays(void **state)
{
    (void)state;
    struct town *t = town_open();
    for (int i = 0; i < 8; i++) {
        channels_side_dial(&t->p.sides[i % 2], &t->p.sides[!(i % 2)]);
        channels_side_dial(&t->p.sides[!(i % 2)], &t->p.sides[i % 2]);
        channels_pair_wait(are_at_one, t);
        assert_true(channels_call(t->p.sides[0].channels, disconnect_call, &t->p.sides[1]));
        channels_pair_wait(are_apart, t);
        channels_side_skip(&t->p.sides[0], 6000); /* the bucket of [::1] */
        channels_side_skip(&t->p.sides[1], 6000);
    }
    town_close(t);
}

static struct chan_peer *any_peer(struct channels *c)
{
    return LIST_ITEM(list_first(&c->peers), struct chan_peer, link);
}

static void open_call(struct channels *c, void *ctx)
{
    struct part *n = ctx;
    const struct dchan_open o = { .service = span_of("s", 1) };
    struct chan_peer *p = any_peer(c);
    n->mux = chan_peer_mux(p);
    assert_int_equal(dchan_mux_open(n->mux, &o, &stream_ops, n, channels_now(c), &n->sid), OK);
    chan_peer_kick(p);
}

static void give_call(struct channels *c, void *ctx)
{
    struct part *n = ctx;
    n->to_send += 100000;
    dchan_mux_wake(n->mux, n->sid);
    chan_peer_kick(any_peer(c));
}

static void finish_call(struct channels *c, void *ctx)
{
    struct part *n = ctx;
    n->finish = true;
    dchan_mux_wake(n->mux, n->sid);
    chan_peer_kick(any_peer(c));
}

/* On both sides: time that is skipped would be too long for an answer. */
static bool stream_is_open(void *ctx) { return ((struct town *)ctx)->parts[0].accepted == 1; }

static bool stream_gave_all(void *ctx) { return ((struct town *)ctx)->parts[1].bytes == 100000; }

static bool stream_ended(void *ctx)
{
    struct town *t = ctx;
    return t->parts[0].ended == 1 && t->parts[1].ended == 1;
}

static bool have_new_session(void *ctx)
{
    struct town *t = ctx;
    return t->parts[0].ups == 2 && t->parts[1].ups == 2;
}

/* A stream that was opened before goes on to its end; the owner hears of nothing. */
static void assert_moves_without_loss(struct town *t)
{
    uint8_t before[32];
    channels_pair_wait(have_new_session, t);
    assert_true(channels_call(t->p.sides[0].channels, give_call, &t->parts[0]));
    channels_pair_wait(stream_gave_all, t);
    assert_int_equal(host_sessions(&t->p.sides[0]), 2);
    assert_true(channels_call(t->p.sides[0].channels, finish_call, &t->parts[0]));
    channels_pair_wait(stream_ended, t);
    assert_int_equal(t->parts[0].code, 0);
    assert_int_equal(t->parts[1].code, 0);
    memcpy(before, t->session_id[0], 32);
    channels_pair_wait(are_at_one, t);
    assert_memory_not_equal(before, t->session_id[0], 32);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t->p.sides[i].ups, 1);
        assert_int_equal(t->p.sides[i].downs, 0);
    }
}

static void begin_with_a_stream(struct town *t)
{
    channels_pair_connect(&t->p);
    channels_pair_wait(are_at_one, t);
    assert_true(channels_call(t->p.sides[0].channels, open_call, &t->parts[0]));
    channels_pair_wait(stream_is_open, t);
}

static struct channels_side *smaller_of(struct town *t, bool smaller)
{
    const bool first = memcmp(t->p.sides[0].key.key.pub, t->p.sides[1].key.key.pub, 33) < 0;
    return &t->p.sides[first != smaller];
}

static void a_session_is_renewed_after_a_day(void **state)
{
    (void)state;
    struct town *t = town_open();
    begin_with_a_stream(t);
    channels_side_await_pongs(smaller_of(t, true));
    channels_side_skip(smaller_of(t, true), DAY_MS);
    assert_moves_without_loss(t);
    town_close(t);
}

static void renews_call(struct channels *c, void *ctx)
{
    *(bool *)ctx = any_peer(c)->renew || any_peer(c)->dial;
}

static void who_has_the_larger_key_renews_ten_minutes_later(void **state)
{
    (void)state;
    bool renews;
    struct town *t = town_open();
    begin_with_a_stream(t);
    channels_side_await_pongs(smaller_of(t, false));
    channels_side_skip(smaller_of(t, false), DAY_MS + 599000);
    assert_true(channels_call(smaller_of(t, false)->channels, renews_call, &renews));
    assert_false(renews);
    assert_true(channels_call(t->p.sides[0].channels, finish_call, &t->parts[0]));
    channels_pair_wait(stream_ended, t);
    town_close(t);
    t = town_open();
    begin_with_a_stream(t);
    channels_side_await_pongs(smaller_of(t, false));
    channels_side_skip(smaller_of(t, false), DAY_MS + 600000);
    assert_moves_without_loss(t);
    town_close(t);
}

static void renew_call(struct channels *c, void *ctx)
{
    struct chan_peer *p = any_peer(c);
    (void)ctx;
    p->renew = true;
    p->next_dial_ms = 0;
    dial_tick(p, channels_now(c));
}

static bool are_at_another(void *ctx)
{
    struct town *t = ctx;
    uint8_t before[32];
    memcpy(before, t->before, sizeof before);
    return are_at_one(t) && memcmp(before, t->session_id[0], sizeof before) != 0;
}

/* As when both hosts get new addresses. */
static void both_renew_at_a_time_and_nothing_is_lost(void **state)
{
    (void)state;
    struct town *t = town_open();
    channels_pair_connect(&t->p);
    for (int i = 0; i < 8; i++) {
        channels_pair_wait(are_at_one, t);
        memcpy(t->before, t->session_id[0], sizeof t->before);
        assert_true(channels_call(t->p.sides[i % 2].channels, renew_call, NULL));
        assert_true(channels_call(t->p.sides[!(i % 2)].channels, renew_call, NULL));
        channels_pair_wait(are_at_another, t);
        channels_side_skip(&t->p.sides[0], 13000); /* the bucket of [::1] */
        channels_side_skip(&t->p.sides[1], 13000);
    }
    assert_int_equal(t->p.sides[0].downs + t->p.sides[1].downs, 0);
    town_close(t);
}

/* --- identities and contacts --- */

/* The secret that proof.c has. */
static void take_proved_key(struct town *t)
{
    struct channels_side *s = &t->p.sides[0];
    struct channel_identity *id = &s->identity;
    uint8_t text[16] = "owner";
    proof_make(&t->proof, &proof_shape_usual);
    t->params = proof_bytes(&t->proof);
    sha256(s->key.secret, text, sizeof text);
    memcpy(s->key.key.pub, t->proof.public_key, 33);
    id->key = s->key.key;
    id->refs = 1;
    channels_set_identities(s->channels, &id, 1);
}

static void forget(struct channel_identity *id)
{
    id->seq = 1; /* has gone */
}

static void a_new_address_of_ours_moves_the_session(void **state)
{
    (void)state;
    struct chan_peer_info info;
    struct town *t = town_make();
    take_proved_key(t);
    town_start(t);
    begin_with_a_stream(t);
    assert_true(channels_side_info(&t->p.sides[1], &t->p.sides[0], &info));
    assert_int_equal(info.binding, DCHAN_BARE);
    struct channel_identity moved = t->p.sides[0].identity, *id = &moved;
    moved.refs = 1;
    moved.release = forget;
    moved.has_address = true;
    memcpy(moved.address, t->proof.address, sizeof moved.address);
    moved.params = buf_span(&t->params);
    channels_set_identities(t->p.sides[0].channels, &id, 1);
    assert_moves_without_loss(t);
    assert_true(channels_side_info(&t->p.sides[1], &t->p.sides[0], &info));
    assert_int_equal(info.binding, DCHAN_UNBOUND);
    assert_int_equal(t->p.sides[0].released, 2);
    proof_clear(&t->proof);
    buf_clear(&t->params);
    town_close(t);
    assert_int_equal(moved.seq, 1);
}

struct change {
    struct town *t;
    struct channel_identity *id;
};

/* The connection is under way with what the identity was. */
static void dial_and_change(struct channels *c, void *ctx)
{
    struct change *x = ctx;
    channels_side_dial(&x->t->p.sides[0], &x->t->p.sides[1]);
    channels_set_identities(c, &x->id, 1);
}

static bool has_shown_address(void *ctx)
{
    struct town *t = ctx;
    struct chan_peer_info info;
    channels_side_skip(&t->p.sides[0], 1000);
    return channels_side_info(&t->p.sides[1], &t->p.sides[0], &info) &&
           info.state == CHAN_PEER_UP && info.binding == DCHAN_UNBOUND;
}

static void an_address_that_is_new_while_a_session_is_made_moves_it(void **state)
{
    (void)state;
    struct town *t = town_make();
    take_proved_key(t);
    town_start(t);
    struct channel_identity moved = t->p.sides[0].identity;
    struct change x = { t, &moved };
    moved.refs = 1;
    moved.release = forget;
    moved.has_address = true;
    memcpy(moved.address, t->proof.address, sizeof moved.address);
    moved.params = buf_span(&t->params);
    assert_true(channels_call(t->p.sides[0].channels, dial_and_change, &x));
    channels_pair_wait(has_shown_address, t);
    proof_clear(&t->proof);
    buf_clear(&t->params);
    town_close(t);
}

static bool are_down(void *ctx)
{
    struct town *t = ctx;
    return t->p.sides[0].downs == 1 && t->p.sides[1].downs == 1;
}

static void sessions_of_an_identity_that_is_gone_end(void **state)
{
    (void)state;
    struct town *t = town_open();
    channels_pair_connect(&t->p);
    channels_set_identities(t->p.sides[0].channels, NULL, 0);
    channels_pair_wait(are_down, t);
    assert_int_equal(t->p.sides[1].why, DCHAN_CLOSED_CLEAN);
    town_close(t);
}

static void remove_call(struct channels *c, void *ctx)
{
    struct channels_side *other = ctx;
    struct contact *contact =
        contacts_by_key(channels_contacts(c), other->key.key.pub, NULL);
    contacts_remove(channels_contacts(c), contact, NULL, NULL);
    channels_contact_changed(c, other->key.key.pub);
}

static void a_contact_that_is_removed_is_told_to_parts(void **state)
{
    (void)state;
    struct town *t = town_open();
    channels_pair_connect(&t->p);
    assert_true(channels_call(t->p.sides[1].channels, remove_call, &t->p.sides[0]));
    channels_pair_wait(are_down, t);
    assert_int_equal(t->parts[1].gone, 1);
    assert_int_equal(t->parts[0].gone, 0);
    town_close(t);
}

static void a_stranger_that_becomes_a_contact_gets_a_new_session(void **state)
{
    (void)state;
    struct town *t = town_make();
    t->p.sides[1].knows_other = false;
    town_start(t);
    channels_pair_connect(&t->p);
    channels_pair_wait(are_at_one, t);
    channels_side_meet(&t->p.sides[1], &t->p.sides[0]);
    channels_side_skip(&t->p.sides[1], 1000);
    channels_pair_wait(have_new_session, t);
    channels_pair_wait(are_at_one, t);
    assert_int_equal(t->p.sides[0].ups, 1);
    town_close(t);
}

/* --- the end --- */

enum { MANY = 40 };

static void send_many(struct channels *c, void *ctx)
{
    static const uint8_t body[DCHAN_BODY_MAX];
    struct dchan_msg m = { .type = DCHAN_M_SEND };
    (void)ctx;
    m.m_send.content_type = span_of("text/plain", 10);
    m.m_send.body = span_of(body, sizeof body);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(chan_peer_send(any_peer(c), &m), OK);
}

static void what_was_sent_before_a_stop_arrives(void **state)
{
    (void)state;
    struct town *t = town_open();
    channels_pair_connect(&t->p);
    assert_true(channels_call(t->p.sides[0].channels, send_many, NULL));
    channels_stop(t->p.sides[0].channels);
    channels_pair_wait(are_down, t);
    assert_int_equal(t->parts[1].messages, MANY);
    assert_int_equal(t->p.sides[1].why, DCHAN_CLOSED_CLEAN);
    town_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_dial_at_a_time_and_one_session_stays),
        cmocka_unit_test(a_session_is_renewed_after_a_day),
        cmocka_unit_test(who_has_the_larger_key_renews_ten_minutes_later),
        cmocka_unit_test(both_renew_at_a_time_and_nothing_is_lost),
        cmocka_unit_test(a_new_address_of_ours_moves_the_session),
        cmocka_unit_test(an_address_that_is_new_while_a_session_is_made_moves_it),
        cmocka_unit_test(sessions_of_an_identity_that_is_gone_end),
        cmocka_unit_test(a_contact_that_is_removed_is_told_to_parts),
        cmocka_unit_test(a_stranger_that_becomes_a_contact_gets_a_new_session),
        cmocka_unit_test(what_was_sent_before_a_stop_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Two nodes with direct channels over [::1]: dialling, messages, how sessions end. */
#include <string.h>

#include "base/clock.h"
#include "p2p/channels_internal.h"
#include "tests/p2p/channel_guest.h"
#include "tests/test.h"

/* A part that counts what it is told. */
struct counter {
    atomic_uint ups, downs, messages, answers, gone;
    atomic_bool was_up_at_down;
};

static const struct dchan_handler handlers[2];

static void on_message(void *ctx, const struct dchan_msg *m)
{
    struct chan_peer *p = ctx;
    struct counter *n = channels_part(chan_peer_channels(p), handlers);
    struct dchan_msg answer = { .type = DCHAN_M_ACK };
    atomic_fetch_add(&n->messages, 1);
    memcpy(answer.m_receipt.id, m->m_send.id, sizeof answer.m_receipt.id);
    assert_int_equal(chan_peer_send(p, &answer), OK);
}

static void on_answer(void *ctx, const struct dchan_msg *m)
{
    struct counter *n = channels_part(chan_peer_channels(ctx), handlers);
    (void)m;
    atomic_fetch_add(&n->answers, 1);
}

static const struct dchan_handler handlers[2] = {
    { DCHAN_M_SEND, DCHAN_M_SEND, on_message }, { DCHAN_M_ACK, DCHAN_M_ACK, on_answer }
};

static void on_up(void *part, struct chan_peer *p)
{
    struct counter *n = part;
    *chan_peer_slot(p, part) = n;
    atomic_fetch_add(&n->ups, 1);
}

static void on_down(void *part, struct chan_peer *p, const struct dchan_closing *closing)
{
    struct counter *n = part;
    (void)closing;
    assert_ptr_equal(*chan_peer_slot(p, part), n);
    *chan_peer_slot(p, part) = NULL;
    atomic_store(&n->was_up_at_down, chan_peer_is_up(p));
    atomic_fetch_add(&n->downs, 1);
}

static void on_gone(void *part, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct counter *n = part;
    (void)key;
    atomic_fetch_add(&n->gone, 1);
}

struct pair {
    struct channels_pair p;
    struct counter counters[2];
};

static void add_counter(struct pair *t, int i)
{
    const struct channel_part part = {
        .handlers = handlers, .n_handlers = 2,
        .features = { .offered = 1u << DCHAN_STREAMS | 1u << DCHAN_MESSAGES },
        .up = on_up, .down = on_down, .contact_gone = on_gone, .ctx = &t->counters[i]
    };
    channels_add_part(t->p.sides[i].channels, &part);
}

static void open_pair(struct pair *t)
{
    channels_pair_open(&t->p);
    add_counter(t, 0);
    add_counter(t, 1);
    channels_pair_start(&t->p);
}

static void close_pair(struct pair *t)
{
    channels_pair_close(&t->p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t->p.sides[i].ups, t->p.sides[i].downs);
        assert_int_equal(t->p.sides[i].released, 1);
        assert_false(t->counters[i].was_up_at_down);
    }
}

static void send_one(struct channels *c, void *ctx)
{
    struct channels_side *other = ctx;
    struct dchan_msg m = { .type = DCHAN_M_SEND };
    m.m_send.ttl = 60;
    m.m_send.content_type = span_of("text/plain", 10);
    m.m_send.body = span_of("hello", 5);
    assert_int_equal(chan_peer_send(channels_find(c, other->key.key.pub), &m), OK);
}

static bool both_answered(void *ctx)
{
    struct pair *t = ctx;
    return t->counters[0].answers == 1 && t->counters[1].answers == 1;
}

static bool both_down(void *ctx)
{
    struct pair *t = ctx;
    return t->p.sides[0].downs && t->p.sides[1].downs;
}

static void two_nodes_meet_and_talk(void **state)
{
    struct pair t = { .counters[0].ups = 0 };
    struct chan_peer_info info;
    (void)state;
    channels_pair_init(&t.p);
    open_pair(&t);
    channels_pair_connect(&t.p);
    assert_true(channels_call(t.p.sides[0].channels, send_one, &t.p.sides[1]));
    assert_true(channels_call(t.p.sides[1].channels, send_one, &t.p.sides[0]));
    channels_pair_wait(both_answered, &t);
    assert_int_equal(t.counters[0].messages + t.counters[1].messages, 2);
    assert_true(channels_side_info(&t.p.sides[1], &t.p.sides[0], &info));
    assert_true(info.inbound && info.contact);
    assert_string_equal(info.agent, "test");
    assert_string_equal(info.identity, "me");
    assert_int_equal(strncmp(info.address, "[::1]:", 6), 0);
    assert_int_equal(info.binding, DCHAN_BARE);
    close_pair(&t);
    assert_int_equal(t.counters[0].ups, 1);
    assert_int_equal(t.counters[1].downs, 1);
}

static void disconnect(struct channels *c, void *ctx)
{
    struct channels_side *other = ctx;
    chan_peer_disconnect(channels_find(c, other->key.key.pub));
}

static void a_session_ends_in_order_on_both_sides(void **state)
{
    struct pair t = { .counters[0].ups = 0 };
    (void)state;
    channels_pair_init(&t.p);
    open_pair(&t);
    channels_pair_connect(&t.p);
    assert_true(channels_call(t.p.sides[0].channels, disconnect, &t.p.sides[1]));
    channels_pair_wait(both_down, &t);
    assert_int_equal(t.p.sides[0].why, DCHAN_CLOSED_CLEAN);
    assert_int_equal(t.p.sides[1].why, DCHAN_CLOSED_CLEAN);
    close_pair(&t);
}

static void a_stop_says_goodbye(void **state)
{
    struct pair t = { .counters[0].ups = 0 };
    (void)state;
    channels_pair_init(&t.p);
    open_pair(&t);
    channels_pair_connect(&t.p);
    channels_stop(t.p.sides[0].channels);
    channels_pair_wait(both_down, &t);
    assert_int_equal(t.p.sides[1].why, DCHAN_CLOSED_CLEAN);
    assert_false(channels_call(t.p.sides[0].channels, send_one, &t.p.sides[1]));
    close_pair(&t);
}

/* --- a stream that is whole, and that nobody reads --- */

struct hoard {
    struct channels_side host;
    struct guest guest;
    struct dchan_mux *mux; /* of the host */
    uint32_t sid;
    size_t held;
    bool guest_done, finished, writing;
};

static void hoard_data(void *ctx, struct span data) { ((struct hoard *)ctx)->held += data.len; }

static void hoard_fin(void *ctx) { (void)ctx; }

static size_t hoard_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    (void)ctx;
    (void)out;
    (void)max;
    *end = true; /* it has nothing to say */
    return 0;
}

static void hoard_closed(void *ctx, unsigned code)
{
    (void)ctx;
    assert_int_equal(code, 0);
}

static const struct dchan_stream_ops hoard_ops = { NULL, hoard_data, hoard_fin, hoard_pull, NULL,
                                                   hoard_closed };

static bool hoard_open(void *part, struct chan_peer *p, struct dchan_mux *mux,
                       const struct dchan_s_open *m)
{
    struct hoard *x = part;
    x->mux = mux;
    x->sid = m->sid;
    assert_int_equal(dchan_mux_accept(mux, x->sid, &hoard_ops, x,
                                      channels_now(chan_peer_channels(p))), OK);
    dchan_mux_wake(mux, x->sid);
    return true;
}

static void guest_data(void *ctx, struct span data)
{
    (void)ctx;
    (void)data;
}

static void guest_fin(void *ctx) { (void)ctx; }

static size_t guest_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    (void)ctx;
    *end = max > 0;
    if (max)
        out[0] = 'x';
    return max > 0;
}

static void guest_done(void *ctx, unsigned code)
{
    ((struct hoard *)ctx)->guest_done = true;
    assert_int_equal(code, 0);
}

static const struct dchan_stream_ops guest_ops = { NULL, guest_data, guest_fin, guest_pull, NULL,
                                                   guest_done };

static bool stream_is_whole(void *ctx)
{
    struct hoard *x = ctx;
    guest_move(&x->guest);
    return x->guest_done;
}

static struct chan_conn *only_conn(struct channels *c)
{
    assert_int_equal(c->conns.n, 1);
    return LIST_ITEM(list_first(&c->conns), struct chan_conn, link);
}

/* More than the kernel takes from the host while the guest reads nothing. */
static void say_much(struct channels *c, void *ctx)
{
    static const uint8_t zeros[60000];
    const struct dchan_msg m = { .type = DCHAN_PAD, .pad = { zeros, sizeof zeros } };
    const struct hoard *x = ctx;
    for (int i = 0; i < 50; i++)
        assert_int_equal(chan_peer_send(channels_find(c, x->guest.key.key.pub), &m), OK);
}

static void look(struct channels *c, void *ctx)
{
    struct hoard *x = ctx;
    const struct chan_conn *conn = only_conn(c);
    x->finished = conn->finished;
    x->writing = conn->writing;
}

static bool host_is_stuck(void *ctx)
{
    struct hoard *x = ctx;
    assert_true(channels_call(x->host.channels, look, x));
    return x->writing;
}

static bool host_has_the_end(void *ctx)
{
    struct hoard *x = ctx;
    assert_true(channels_call(x->host.channels, look, x));
    return x->finished;
}

static void consume(struct channels *c, void *ctx)
{
    struct hoard *x = ctx;
    dchan_mux_consumed(x->mux, x->sid, x->held, channels_now(c));
    dchan_session_tick(only_conn(c)->session, channels_now(c));
}

static bool host_is_down(void *ctx) { return ((struct hoard *)ctx)->host.downs == 1; }

static void open_hoard(struct hoard *x)
{
    channels_side_init(&x->host);
    channels_side_open(&x->host, 0x21);
    channels_side_freeze(&x->host);
    channels_add_part(x->host.channels, &(struct channel_part){
        .features = { .offered = 1u << DCHAN_STREAMS }, .open = hoard_open, .ctx = x });
    channels_side_start(&x->host);
    x->guest.narrow = true;
    guest_connect(&x->guest, &x->host, "::1");
    guest_begin(&x->guest, &x->host, 0x31, NULL);
    channels_pair_wait(guest_has_come_up, &x->guest);
}

static void send_whole_stream(struct hoard *x)
{
    struct dchan_mux *mux = dchan_session_mux(x->guest.session);
    const struct dchan_open o = { span_of("hoard", 5), 4, { NULL, 0 } };
    uint32_t sid;
    assert_int_equal(dchan_mux_open(mux, &o, &guest_ops, x, (uint64_t)clock_mono_ms(), &sid), OK);
    dchan_mux_wake(mux, sid);
    channels_pair_wait(stream_is_whole, x);
}

/* The guest reads nothing more, says bye and ends its half: what the host has for it stays. */
static void a_peer_that_reads_nothing_and_ends_is_not_written_to(void **state)
{
    static struct hoard x;
    (void)state;
    open_hoard(&x);
    send_whole_stream(&x);
    assert_true(channels_call(x.host.channels, say_much, &x));
    channels_pair_wait(host_is_stuck, &x);
    dchan_session_goaway(x.guest.session, DCHAN_SHUTDOWN, (uint64_t)clock_mono_ms());
    const struct span last = dchan_session_output(x.guest.session, (uint64_t)clock_mono_ms());
    guest_send_raw(&x.guest, last.data, last.len);
    guest_hang_up(&x.guest);
    channels_pair_wait(host_has_the_end, &x);
    assert_int_equal(x.held, 1);
    assert_false(x.writing); /* else the loop is woken by the socket without an end */
    assert_true(channels_call(x.host.channels, consume, &x));
    channels_pair_wait(host_is_down, &x);
    assert_int_equal(x.host.why, DCHAN_CLOSED_CLEAN);
    guest_leave(&x.guest);
    channels_side_close(&x.host);
}

/* Such a configuration is refused, in these words. */
static void be_refused(const struct channels_limits *limits, const char *bind, const char *words)
{
    struct channels_side s;
    struct error e = { .text = "" };
    channels_side_init(&s);
    channels_side_open(&s, 0x11);
    s.config.limits = *limits;
    s.config.bind = (struct net_strings){ &bind, 1 };
    struct channels *c;
    assert_true(channels_new(&c, &s.config, &s.ops, s.store, s.contacts, &e) != OK);
    assert_non_null(strstr(e.text, words));
    channels_side_close(&s);
}

static void what_cannot_be_configured_is_named(void **state)
{
    (void)state;
    be_refused(&(struct channels_limits){ .sessions = 15 }, "[::1]:0", "-channelsessionsreserved");
    be_refused(&(struct channels_limits){ .handshakes = 15 }, "[::1]:0",
               "-channelhandshakesreserved");
    be_refused(&(struct channels_limits){ 0 }, "127.0.0.1:0", "IPv6");
    be_refused(&(struct channels_limits){ 0 }, "[::1", "-channelbind");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_meet_and_talk),
        cmocka_unit_test(a_session_ends_in_order_on_both_sides),
        cmocka_unit_test(a_stop_says_goodbye),
        cmocka_unit_test(a_peer_that_reads_nothing_and_ends_is_not_written_to),
        cmocka_unit_test(what_cannot_be_configured_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

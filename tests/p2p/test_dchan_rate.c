/* Sessions that send at a constant rate while a stream asks for it: sizes and times of writes. */
#include <string.h>

#include "base/intmath.h"
#include "base/rand.h"
#include "p2p/channels_internal.h"
#include "p2p/dchan_session_internal.h"
#include "p2p/stream_rates.h"
#include "tests/p2p/dchan_duo.h"
#include "tests/test.h"

#define BYTES 512
#define INTERVAL_MS 20

static const struct dchan_rate rate = { BYTES, INTERVAL_MS };

/* One end of a stream: sends zeros, counts what comes. */
struct talk {
    struct duo_end *end;
    uint32_t sid;
    size_t left, got, largest; /* to send; received; the largest piece of that */
    size_t dgrams, waited_ms;  /* of them: how many came, the longest on its way */
    bool stays, closed;
    unsigned code;
};

static struct dchan_mux *mux_of(const struct talk *k)
{
    return dchan_session_mux(k->end->session);
}

static void on_data(void *ctx, struct span data)
{
    struct talk *k = ctx;
    k->got += data.len;
    k->largest = MAX_OF(k->largest, data.len);
    dchan_mux_consumed(mux_of(k), k->sid, data.len, k->end->duo->now_ms);
}

static void on_fin(void *ctx)
{
    struct talk *k = ctx;
    k->stays = false;
    dchan_mux_wake(mux_of(k), k->sid);
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct talk *k = ctx;
    const size_t n = MIN_OF(max, k->left);
    memset(out, 0, n);
    k->left -= n;
    *end = !k->stays && k->left == 0;
    return n;
}

/* A datagram holds when it was sent. */
static void on_dgram(void *ctx, uint16_t seq, struct span data)
{
    struct talk *k = ctx;
    (void)seq;
    k->dgrams++;
    k->waited_ms = MAX_OF(k->waited_ms, (size_t)(k->end->duo->now_ms - le64_get(data.data)));
}

static void on_closed(void *ctx, unsigned code)
{
    struct talk *k = ctx;
    k->closed = true;
    k->code = code;
}

static const struct dchan_stream_ops talk_ops = { NULL, on_data, on_fin, on_pull, on_dgram,
                                                  on_closed };
static struct talk answering[8];
static size_t n_answering;

static void on_open(void *ctx, const struct dchan_s_open *m)
{
    struct duo_end *end = ctx;
    struct talk *k = &answering[n_answering++];
    *k = (struct talk){ .end = end, .sid = m->sid, .stays = true };
    assert_int_equal(dchan_mux_accept(mux_of(k), m->sid, &talk_ops, k, end->duo->now_ms), OK);
}

static void rate_up(struct duo *d)
{
    n_answering = 0;
    duo_init(d);
    d->ends[1].ops.open = on_open;
    duo_start(d);
    duo_settle(d);
}

static void talk_open(struct talk *k, struct duo *d, uint8_t priority, const struct dchan_rate *r)
{
    *k = (struct talk){ .end = &d->ends[0], .stays = true };
    const struct dchan_open o = { .service = span_of("voice", 5), .priority = priority };
    assert_int_equal(dchan_mux_open(mux_of(k), &o, &talk_ops, k, d->now_ms, &k->sid), OK);
    if (r)
        dchan_mux_set_rate(mux_of(k), k->sid, *r);
}

static void talk_send(struct talk *k, size_t n)
{
    k->left += n;
    dchan_mux_wake(mux_of(k), k->sid);
}

/* Lets the stream end from our side, and from theirs. */
static void talk_end(struct talk *k)
{
    k->stays = false;
    dchan_mux_wake(mux_of(k), k->sid);
}

static void say(struct duo *d, size_t body)
{
    static const uint8_t text[DCHAN_BODY_MAX];
    const struct dchan_msg m = { .type = DCHAN_M_SEND, .m_send = { .body = span_of(text, body) } };
    assert_int_equal(dchan_session_send(d->ends[0].session, &m, d->now_ms), OK);
}

/* What end 0 wrote. */
struct seen {
    size_t writes, wrong; /* sizes other than that of the rate */
    size_t off;           /* times that are none of the rate */
    uint64_t last_ms;
};

/* Milliseconds pass one by one; everything that may leave does, at once. */
static void pass(struct duo *d, uint64_t ms, struct seen *seen)
{
    for (uint64_t i = 0; i < ms; i++) {
        d->now_ms++;
        if (d->now_ms % 1000 == 0)
            for (int j = 0; j < 2; j++)
                dchan_session_tick(d->ends[j].session, d->now_ms);
        struct span out;
        while ((out = dchan_session_output(d->ends[0].session, d->now_ms)).len) {
            seen->writes++;
            seen->wrong += out.len != BYTES;
            seen->off += seen->last_ms && d->now_ms - seen->last_ms != INTERVAL_MS;
            seen->last_ms = d->now_ms;
            dchan_session_feed(d->ends[1].session, out, d->now_ms);
            dchan_session_written(d->ends[0].session, out.len, d->now_ms);
        }
        duo_move(d, 1);
    }
}

/* A session up, and for so long a stream in it that asks for the rate and says nothing. */
static void rate_talk(struct duo *d, struct talk *k, uint64_t ms, struct seen *seen)
{
    *seen = (struct seen){ 0 };
    rate_up(d);
    talk_open(k, d, 0, &rate);
    pass(d, ms, seen);
}

static void writes_are_equal_in_size_and_distance_whatever_is_said(void **state)
{
    struct seen seen;
    struct talk k;
    struct duo d;
    (void)state;
    rate_talk(&d, &k, 0, &seen);
    for (int i = 0; i < 3000; i++) {
        if (i % 3 == 0)
            talk_send(&k, (size_t)rand_below(1500));
        if (i % 50 == 0)
            say(&d, (size_t)rand_below(3000));
        if (i == 2000)
            dchan_session_ping(d.ends[0].session, d.now_ms);
        if (i % 7 == 0)
            dchan_mux_send_dgram(mux_of(&k), k.sid, span_of("12345678", 8));
        pass(&d, 1 + rand_below(40), &seen);
    }
    assert_true(seen.writes > 2500);
    assert_int_equal(seen.wrong + seen.off, 0);
    assert_int_equal(d.ends[0].closes + d.ends[1].closes, 0);
    assert_true(dchan_session_stats(d.ends[0].session).rotations_sent > 1);
    assert_true(answering[0].got > 100000);
    duo_clear(&d);
}

static void it_begins_and_ends_with_the_stream(void **state)
{
    struct seen seen = { 0 };
    struct talk k;
    struct duo d;
    (void)state;
    rate_up(&d);
    pass(&d, 1000, &seen);
    assert_int_equal(seen.writes, 0);
    assert_int_equal(dchan_session_beat_ms(d.ends[0].session), 0);
    talk_open(&k, &d, 0, &rate);
    pass(&d, 1000, &seen); /* says nothing */
    assert_int_equal(seen.writes, 1000 / INTERVAL_MS);
    assert_int_equal(seen.wrong + seen.off, 0);
    assert_true(dchan_session_beat_ms(d.ends[0].session) > d.now_ms);
    talk_end(&k);
    pass(&d, 2 * INTERVAL_MS, &seen);
    assert_true(k.closed && k.code == 0);
    seen.writes = 0;
    pass(&d, 1000, &seen);
    assert_true(seen.writes <= 1); /* a rest */
    assert_int_equal(dchan_session_beat_ms(d.ends[0].session), 0);
    talk_open(&k, &d, 0, &rate);
    dchan_mux_reset(mux_of(&k), k.sid, DCHAN_RESET_CANCELLED);
    assert_int_equal(dchan_mux_rate(dchan_session_mux(d.ends[0].session)).bytes, 0);
    duo_clear(&d);
}

/* Whoever opens many streams gets no more traffic for it. */
static void many_streams_have_the_rate_of_the_greediest(void **state)
{
    static const struct dchan_rate others[] = {
        { 256, 100 }, { BYTES, 500 }, { 256, INTERVAL_MS },
    };
    struct seen seen = { 0 };
    struct talk k[6];
    struct duo d;
    (void)state;
    rate_up(&d);
    for (size_t i = 0; i < COUNT_OF(k); i++)
        talk_open(&k[i], &d, 0, &others[i % COUNT_OF(others)]);
    pass(&d, 1000, &seen);
    assert_int_equal(seen.writes, 1000 / INTERVAL_MS);
    assert_int_equal(seen.wrong + seen.off, 0);
    duo_clear(&d);
}

/* Datagrams wait for no more than what was sealed before them, which fills one write. */
static void voice_does_not_wait_for_a_transfer(void **state)
{
    struct seen seen = { 0 };
    struct talk voice, bulk;
    struct duo d;
    (void)state;
    rate_up(&d);
    talk_open(&voice, &d, 0, &rate);
    talk_open(&bulk, &d, 4, NULL);
    pass(&d, 100, &seen);
    talk_send(&bulk, 1 << 20);
    for (int i = 0; i < 200; i++) {
        uint8_t packet[160] = { 0 };
        le64_put(packet, d.now_ms);
        assert_true(dchan_mux_send_dgram(mux_of(&voice), voice.sid, span_of(packet, 160)));
        pass(&d, INTERVAL_MS, &seen);
    }
    const struct talk *at_voice = &answering[0], *at_bulk = &answering[1];
    assert_int_equal(at_voice->dgrams, 200);
    assert_true(at_voice->waited_ms <= 2 * INTERVAL_MS);
    assert_true(at_bulk->got > 200 * (BYTES - 160 - 120));
    assert_true(at_bulk->largest < BYTES);
    assert_int_equal(seen.wrong + seen.off, 0);
    duo_clear(&d);
}

/* Else what is said next would wait for a write of padding. */
static void no_padding_waits_beyond_a_write(void **state)
{
    struct seen seen;
    struct talk k;
    struct duo d;
    size_t small_gaps = 0;
    (void)state;
    rate_talk(&d, &k, 200, &seen);
    struct dchan_session *s = d.ends[0].session;
    for (size_t body = 1; body < BYTES; body++) {
        say(&d, body);
        const size_t waiting = session_waiting(s);
        if (waiting > BYTES) /* its own */
            pass(&d, INTERVAL_MS, &seen);
        pass(&d, INTERVAL_MS, &seen);
        assert_true(session_waiting(s) <= DCHAN_PAD_OVER);
        small_gaps += waiting < BYTES && BYTES - waiting <= DCHAN_PAD_OVER;
    }
    assert_true(small_gaps > 10);
    assert_int_equal(seen.wrong + seen.off, 0);
    assert_int_equal(d.ends[0].closes + d.ends[1].closes, 0);
    duo_clear(&d);
}

/* Its time comes between the last look into the session and the setting of the timer. */
static void a_write_whose_time_came_after_the_last_look_is_waited_for(void **state)
{
    static struct channels c;
    struct seen seen;
    struct talk k;
    struct duo d;
    (void)state;
    c.base = event_base_new();
    rate_talk(&d, &k, 200, &seen);
    struct chan_conn conn = { .c = &c, .session = d.ends[0].session };
    const uint64_t at = dchan_session_beat_ms(conn.session);
    assert_int_equal(conn_output(&conn, at - 1).len, 0);
    atomic_store(&c.frozen_ms, at);
    conn_wait_for_beat(&conn);
    assert_true(conn.beat_ev && event_pending(conn.beat_ev, EV_TIMEOUT, NULL));
    event_del(conn.beat_ev);
    assert_int_equal(conn_output(&conn, at).len, BYTES);
    atomic_store(&c.frozen_ms, at + INTERVAL_MS);
    assert_int_equal(conn_output(&conn, at + INTERVAL_MS).len, BYTES);
    conn_wait_for_beat(&conn); /* this one waits for room */
    assert_false(event_pending(conn.beat_ev, EV_TIMEOUT, NULL));
    event_free(conn.beat_ev);
    event_base_free(c.base);
    duo_clear(&d);
}

static void what_could_not_leave_in_time_is_not_made_up_for(void **state)
{
    struct seen seen;
    struct talk k;
    struct duo d;
    (void)state;
    rate_talk(&d, &k, 200, &seen);
    d.now_ms += 5000; /* the loop stood still */
    seen = (struct seen){ 0 };
    pass(&d, INTERVAL_MS, &seen);
    assert_int_equal(seen.writes, 1);
    struct dchan_session *s = d.ends[0].session;
    for (int i = 0; i < 1000; i++) { /* the socket takes nothing */
        d.now_ms += INTERVAL_MS;
        assert_true(dchan_session_output(s, d.now_ms).len <= BYTES);
        assert_true(session_waiting(s) < 2 * BYTES);
    }
    size_t left = dchan_session_output(s, d.now_ms).len;
    assert_int_equal(left, BYTES);
    while (left) { /* and then a little at a time */
        const struct span out = dchan_session_output(s, d.now_ms);
        const size_t n = 1 + (size_t)rand_below(out.len);
        assert_int_equal(out.len, left);
        dchan_session_feed(d.ends[1].session, span_of(out.data, n), d.now_ms);
        dchan_session_written(s, n, d.now_ms);
        left -= n;
    }
    seen = (struct seen){ 0 };
    pass(&d, 1000, &seen);
    assert_in_range(seen.writes, 1000 / INTERVAL_MS, 1000 / INTERVAL_MS + 1);
    assert_int_equal(seen.wrong + seen.off, 0);
    duo_clear(&d);
}

static void a_session_with_a_rate_ends_in_order_and_with_an_error(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct seen seen;
        struct talk k;
        struct duo d;
        rate_talk(&d, &k, 105, &seen);
        say(&d, 5000);
        if (how == 0)
            dchan_session_goaway(d.ends[0].session, DCHAN_SHUTDOWN, d.now_ms);
        else if (how == 1)
            dchan_session_goaway(d.ends[1].session, DCHAN_SHUTDOWN, d.now_ms);
        else
            dchan_session_abort(d.ends[0].session, DCHAN_ERROR_INTERNAL, d.now_ms);
        if (how < 2)
            talk_end(&k);
        pass(&d, 1000, &seen);
        assert_int_equal(d.ends[1].closes, 1);
        assert_int_equal(d.ends[1].closing.why,
                         how < 2 ? DCHAN_CLOSED_CLEAN : DCHAN_CLOSED_BY_THEM);
        assert_int_equal(d.ends[1].n_taken, 1); /* the message had come before */
        assert_true(dchan_session_done(d.ends[0].session));
        duo_clear(&d);
    }
}

/* --- the option --- */

static enum err read_rates(struct stream_rates *r, const char *text)
{
    const struct net_strings specs = { &text, 1 };
    struct error e = { .code = OK };
    const enum err rc = stream_rates_read(r, &specs, &e);
    if (rc)
        assert_non_null(strstr(e.text, "channelrate"));
    return rc;
}

static void a_rate_is_a_service_a_size_and_an_interval(void **state)
{
    static const char *const wrong[] = {
        "", "voice", "voice,512", "voice,512,", ",512,20", "Voice,512,20", "voice,512,20,1",
        "voice,512x,20", "voice,-512,20", "voice,512,20 ", "voice,0,20", "voice,500,20",
        "voice,4352,20", "voice,512,9", "voice,512,1001", "voice,65792,20",
        "voice,4294967552,20", "voice,99999999999999999999,20",
    };
    static const char *const twice[] = { "voice,512,20", "voice,256,10" };
    struct stream_rates r;
    struct error e = { .code = OK };
    (void)state;
    assert_int_equal(read_rates(&r, "voice,4096,1000"), OK);
    assert_int_equal(stream_rates_find(&r, "voice")->bytes, 4096);
    assert_int_equal(stream_rates_find(&r, "voice")->interval_ms, 1000);
    assert_null(stream_rates_find(&r, "voic"));
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_true(read_rates(&r, wrong[i]) != OK);
    assert_int_equal(stream_rates_read(&r, &(struct net_strings){ twice, 2 }, &e), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_equal_in_size_and_distance_whatever_is_said),
        cmocka_unit_test(it_begins_and_ends_with_the_stream),
        cmocka_unit_test(many_streams_have_the_rate_of_the_greediest),
        cmocka_unit_test(voice_does_not_wait_for_a_transfer),
        cmocka_unit_test(no_padding_waits_beyond_a_write),
        cmocka_unit_test(a_write_whose_time_came_after_the_last_look_is_waited_for),
        cmocka_unit_test(what_could_not_leave_in_time_is_not_made_up_for),
        cmocka_unit_test(a_session_with_a_rate_ends_in_order_and_with_an_error),
        cmocka_unit_test(a_rate_is_a_service_a_size_and_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

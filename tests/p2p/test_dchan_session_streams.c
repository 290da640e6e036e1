/* Streams and datagrams of two sessions in memory, and how they end with them. */
#include <string.h>

#include "base/intmath.h"
#include "tests/p2p/dchan_duo.h"
#include "tests/test.h"

struct echo {
    struct duo_end *end;
    struct dchan_mux *mux;
    uint32_t sid;
    struct buf waiting;   /* of the side that echoes */
    size_t to_send, sent, got, wrong, dgrams;
    bool fin, closed, echoes;
    bool idle;            /* stays open and sends nothing */
    bool slow;            /* consumes nothing */
    struct echo *takes_along; /* reset when this one closes */
    unsigned code;
};

static struct dchan_mux *mux_of(struct echo *e)
{
    return dchan_session_mux(e->end->session);
}

static void echo_data(void *ctx, struct span data)
{
    struct echo *e = ctx;
    for (size_t i = 0; i < data.len && !e->echoes; i++)
        e->wrong += data.data[i] != (uint8_t)(e->got + i);
    e->got += data.len;
    if (e->echoes)
        buf_put(&e->waiting, data.data, data.len);
    if (!e->slow)
        dchan_mux_consumed(mux_of(e), e->sid, data.len, e->end->duo->now_ms);
    dchan_mux_wake(mux_of(e), e->sid);
}

static void echo_fin(void *ctx)
{
    struct echo *e = ctx;
    e->fin = true;
    dchan_mux_wake(mux_of(e), e->sid);
}

static size_t echo_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct echo *e = ctx;
    size_t n;
    if (e->idle)
        return 0;
    if (e->echoes) {
        n = MIN_OF(max, e->waiting.len);
        if (n) {
            memcpy(out, e->waiting.data, n);
            memmove(e->waiting.data, e->waiting.data + n, e->waiting.len - n);
            buf_truncate(&e->waiting, e->waiting.len - n);
        }
        *end = e->fin && e->waiting.len == 0;
        return n;
    }
    n = MIN_OF(max, e->to_send - e->sent);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(e->sent + i);
    e->sent += n;
    *end = e->sent == e->to_send;
    return n;
}

static void echo_dgram(void *ctx, uint16_t seq, struct span data)
{
    struct echo *e = ctx;
    (void)seq;
    (void)data;
    e->dgrams++;
}

static void echo_closed(void *ctx, unsigned code)
{
    struct echo *e = ctx;
    e->closed = true;
    e->code = code;
    buf_clear(&e->waiting);
    if (e->takes_along)
        dchan_mux_reset(e->takes_along->mux, e->takes_along->sid, DCHAN_RESET_CANCELLED);
}

static const struct dchan_stream_ops echo_ops = { NULL, echo_data, echo_fin, echo_pull, echo_dgram,
                                                  echo_closed };
static const struct dchan_stream_ops plain_ops = { NULL, echo_data, echo_fin, echo_pull, NULL,
                                                   echo_closed };
static struct echo answering[4];
static size_t n_answering;

static void echo_open(void *ctx, const struct dchan_s_open *m)
{
    struct duo_end *end = ctx;
    struct echo *e = &answering[n_answering++ % COUNT_OF(answering)];
    buf_clear(&e->waiting); /* of one that its session left open */
    *e = (struct echo){ .end = end, .sid = m->sid, .echoes = true };
    assert_int_equal(dchan_mux_accept(mux_of(e), m->sid, &echo_ops, e, end->duo->now_ms), OK);
}

static void echo_start_with(struct echo *e, struct duo_end *end, uint8_t priority, size_t bytes,
                            const struct dchan_stream_ops *ops)
{
    *e = (struct echo){ .end = end, .to_send = bytes };
    assert_int_equal(dchan_mux_open(mux_of(e), &(struct dchan_open){ span_of("echo", 4), priority,
                                                                    span_of(NULL, 0) },
                                    ops, e, end->duo->now_ms, &e->sid), OK);
    e->mux = mux_of(e);
    dchan_mux_wake(mux_of(e), e->sid);
}

static void echo_start(struct echo *e, struct duo_end *end, uint8_t priority, size_t bytes)
{
    echo_start_with(e, end, priority, bytes, &echo_ops);
}

static void echo_up(struct duo *d)
{
    duo_init(d);
    d->ends[0].ops.open = d->ends[1].ops.open = echo_open;
    duo_start(d);
    duo_settle(d);
    n_answering = 0;
}

static void streams_go_both_ways_and_end_with_bye(void **state)
{
    struct duo d;
    struct echo one, two;
    (void)state;
    echo_up(&d);
    echo_start(&one, &d.ends[0], 3, 700000);
    echo_start(&two, &d.ends[1], 3, 300000);
    dchan_session_goaway(d.ends[0].session, DCHAN_SHUTDOWN, d.now_ms);
    duo_settle(&d);
    assert_true(one.closed && one.code == 0);
    assert_int_equal(one.got, 700000);
    assert_int_equal(one.wrong, 0);
    assert_true(two.closed); /* it crossed the goaway */
    assert_int_equal(two.code, DCHAN_RESET_REFUSED);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d.ends[i].closes, 1);
        assert_int_equal(d.ends[i].closing.why, DCHAN_CLOSED_CLEAN);
        assert_true(dchan_session_done(d.ends[i].session));
    }
    assert_int_equal(d.ends[1].goings, 1);
    duo_clear(&d);
}

/* One stream has ended on both sides, and the owner on side 1 has consumed nothing of it. */
static void echo_unread(struct duo *d, struct echo *e)
{
    echo_up(d);
    echo_start(e, &d->ends[0], 3, 1000);
    duo_move(d, 0);
    answering[0].slow = true;
    duo_settle(d);
    assert_true(e->closed && e->code == 0);
    assert_true(answering[0].fin && !answering[0].closed);
    assert_int_equal(answering[0].got, 1000);
}

static void what_came_whole_may_be_read_after_bye(void **state)
{
    struct duo d;
    struct echo e;
    (void)state;
    for (int in_time = 0; in_time < 2; in_time++) {
        echo_unread(&d, &e);
        dchan_session_goaway(d.ends[0].session, DCHAN_SHUTDOWN, d.now_ms);
        duo_settle(&d);
        assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_CLEAN);
        dchan_session_feed_end(d.ends[1].session, d.now_ms);
        for (uint64_t ms = 0; ms < DCHAN_GOING_MS - 1; ms += 20000)
            dchan_session_tick(d.ends[1].session, d.now_ms + ms);
        assert_int_equal(d.ends[1].closes, 0);
        assert_false(answering[0].closed);
        if (in_time)
            dchan_mux_consumed(mux_of(&answering[0]), answering[0].sid, 1000, d.now_ms);
        dchan_session_tick(d.ends[1].session, d.now_ms + DCHAN_GOING_MS - in_time);
        assert_true(answering[0].closed);
        assert_int_equal(answering[0].code, in_time ? 0 : DCHAN_RESET_TRUNCATED);
        assert_int_equal(d.ends[1].closing.why,
                         in_time ? DCHAN_CLOSED_CLEAN : DCHAN_CLOSED_GOAWAY);
        assert_true(dchan_session_done(d.ends[1].session));
        duo_clear(&d);
    }
    echo_unread(&d, &e); /* not after a cut */
    dchan_session_feed_end(d.ends[1].session, d.now_ms);
    assert_int_equal(answering[0].code, DCHAN_RESET_TRUNCATED);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_TRUNCATED);
    duo_clear(&d);
}

/* Bye without goaway, and with an open stream. */
static void bye_cuts_what_has_not_ended(void **state)
{
    struct duo d;
    struct echo whole, half, sent;
    (void)state;
    echo_unread(&d, &whole);
    echo_start(&half, &d.ends[1], 3, 1000);
    half.idle = true;
    echo_start(&sent, &d.ends[1], 3, 1000);
    duo_move(&d, 1);
    answering[2].idle = true; /* the one that never echoes */
    duo_settle(&d);
    assert_int_equal(sent.sent, 1000);
    duo_attack(&d, 0, span_of("\0\x18", 2));
    assert_true(half.closed && sent.closed);
    assert_int_equal(half.code, DCHAN_RESET_TRUNCATED);
    assert_int_equal(sent.code, DCHAN_RESET_TRUNCATED);
    assert_false(answering[0].closed);
    assert_int_equal(d.ends[1].closes, 0);
    assert_int_equal(dchan_mux_open(half.mux, &(struct dchan_open){ .service = span_of("echo", 4) },
                                    &echo_ops, &half, d.now_ms, &half.sid), ERR_CANCELLED);
    dchan_mux_consumed(mux_of(&answering[0]), answering[0].sid, 1000, d.now_ms);
    dchan_session_tick(d.ends[1].session, d.now_ms);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_CLEAN);
    assert_int_equal(answering[0].code, 0);
    duo_clear(&d);
}

/* What an end has waiting goes over, not more. */
static void move_once(struct duo *d, int from)
{
    const struct span out = dchan_session_output(d->ends[from].session, d->now_ms);
    struct buf copy;
    buf_init(&copy);
    buf_put(&copy, out.data, out.len);
    dchan_session_written(d->ends[from].session, copy.len, d->now_ms);
    dchan_session_feed(d->ends[1 - from].session, buf_span(&copy), d->now_ms);
    buf_clear(&copy);
}

static void a_cut_is_told_to_streams(void **state)
{
    struct duo d;
    struct echo e;
    (void)state;
    echo_up(&d);
    echo_start(&e, &d.ends[0], 3, 100 << 20);
    move_once(&d, 0);
    move_once(&d, 1);
    assert_false(e.closed);
    dchan_session_feed_end(d.ends[0].session, d.now_ms);
    assert_true(e.closed);
    assert_int_equal(e.code, DCHAN_RESET_TRUNCATED);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_TRUNCATED);
    duo_clear(&d);
}

static void who_offers_no_streams_opens_none(void **state)
{
    static const uint8_t opens[] = "\0\x40\0\0\0\2\4echo\3\0\4\0\0";
    struct duo d;
    (void)state;
    duo_init(&d);
    d.ends[1].config.features.offered &= ~(1u << DCHAN_STREAMS);
    duo_start(&d);
    duo_settle(&d);
    duo_attack(&d, 1, span_of(opens, sizeof opens - 1));
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_BY_US);
    assert_int_equal(d.ends[0].closing.code, DCHAN_ERROR_FEATURE);
    duo_clear(&d);
}

static void strangers_have_less(void **state)
{
    struct duo d;
    struct echo e[5];
    (void)state;
    for (int stranger = 0; stranger < 2; stranger++) {
        duo_init(&d);
        d.ends[0].policy.contact = !stranger;
        duo_start(&d);
        duo_settle(&d);
        for (int i = 0; i < 4; i++)
            echo_start(&e[i], &d.ends[0], 3, 1);
        const enum err rc = dchan_mux_open(
            dchan_session_mux(d.ends[0].session),
            &(struct dchan_open){ span_of("echo", 4), 3, span_of(NULL, 0) }, &echo_ops, &e[4],
            d.now_ms, &e[4].sid);
        assert_int_equal(rc, stranger ? ERR_BUSY : OK);
        assert_int_equal(d.ends[0].shares.to_strangers, stranger ? DCHAN_WINDOWS_STRANGER : 0);
        duo_clear(&d);
    }
}

/* Owners that still act when their streams are closed are not heard. */
static void after_the_end_nothing_leaves(void **state)
{
    struct duo d;
    struct echo one, two;
    (void)state;
    echo_up(&d);
    echo_start(&one, &d.ends[0], 3, 1);
    echo_start(&two, &d.ends[0], 3, 1);
    one.idle = two.idle = true;
    duo_settle(&d);
    two.takes_along = &one;
    one.takes_along = &two;
    duo_attack(&d, 1, span_of("\0\2", 2)); /* an unknown type */
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_BY_US);
    assert_true(one.closed && two.closed);
    assert_int_equal(be16_get(duo_answer(&d, 1).data), DCHAN_ERROR);
    assert_int_equal(duo_answer(&d, 1).len, 0);
    duo_clear(&d);
}

static void datagrams_pass_a_file_while_the_link_drains(void **state)
{
    struct duo d;
    struct echo bulk, voice;
    (void)state;
    echo_up(&d);
    echo_start(&voice, &d.ends[0], 0, 0);
    voice.idle = true;
    duo_settle(&d);
    echo_start(&bulk, &d.ends[0], 5, 8 << 20);
    for (int i = 0; i < 40; i++) {
        d.now_ms += 20;
        assert_true(dchan_mux_send_dgram(mux_of(&voice), voice.sid, span_of("pcm", 3)));
        for (int j = 0; j < 4; j++) {
            move_once(&d, 0);
            move_once(&d, 1);
        }
    }
    assert_int_equal(answering[0].dgrams, 40);
    assert_true(bulk.sent > 1 << 20);
    assert_true(dchan_session_output(d.ends[0].session, d.now_ms).len > 0);
    assert_true(dchan_mux_send_dgram(mux_of(&voice), voice.sid, span_of("pcm", 3)));
    d.now_ms += DCHAN_DGRAM_AGE_MS + 1; /* nothing drains any more */
    dchan_session_tick(d.ends[0].session, d.now_ms);
    assert_false(dchan_mux_send_dgram(mux_of(&voice), voice.sid, span_of("pcm", 3)));
    duo_clear(&d);
}

/* Records of bulk data are sealed together for one write, but not where they would be in the way of
 * voice or datagrams, where another session carries them, or where they would wait for the link. */
static void little_is_sealed_early_where_it_matters(void **state)
{
    static const struct { uint8_t priority; bool dgrams, relayed; uint64_t ms; bool early; }
    cases[] = {
        { 3, false, false, 5, true }, { 0, false, false, 5, false }, { 3, true, false, 5, false },
        { 3, false, true, 5, false }, { 3, false, false, 100, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct duo d;
        struct echo bulk, other;
        duo_init(&d);
        for (int k = 0; k < 2; k++) {
            d.ends[k].ops.open = echo_open;
            d.ends[k].config.relayed = cases[i].relayed;
        }
        duo_start(&d);
        duo_settle(&d);
        echo_start_with(&other, &d.ends[0], cases[i].priority, 0,
                        cases[i].dgrams ? &echo_ops : &plain_ops);
        other.idle = true;
        echo_start_with(&bulk, &d.ends[0], 5, 8 << 20, &plain_ops);
        for (int k = 0; k < 8; k++) {
            d.now_ms += cases[i].ms; /* for what a window lets through */
            duo_move(&d, 0);
            duo_move(&d, 1);
        }
        const size_t waits = dchan_session_output(d.ends[0].session, d.now_ms).len;
        assert_in_range(waits, cases[i].early ? 65537 : 12289,
                        cases[i].early ? 65536 + 17000 : DCHAN_DGRAM_BACKLOG - 1);
        dchan_mux_reset(mux_of(&other), other.sid, DCHAN_RESET_CANCELLED);
        duo_settle(&d);
        assert_int_equal(bulk.got, 8 << 20);
        assert_int_equal(bulk.wrong, 0);
        duo_clear(&d);
    }
}

static void goaway_is_told_once(void **state)
{
    struct duo d;
    struct echo e;
    (void)state;
    echo_up(&d);
    echo_start(&e, &d.ends[0], 3, 10);
    e.idle = true;
    duo_settle(&d);
    for (int i = 0; i < 3; i++)
        duo_attack(&d, 1, span_of("\0\x14\0\2\0\0\0\1", 8));
    assert_int_equal(d.ends[0].goings, 1);
    assert_false(e.closed);
    duo_attack(&d, 1, span_of("\0\x14\0\2\0\0\0\0", 8)); /* it serves fewer than it said */
    assert_true(e.closed);
    assert_int_equal(d.ends[0].goings, 1);
    duo_clear(&d);
}

static void goaway_does_not_wait_for_ever(void **state)
{
    struct duo d;
    struct echo e;
    (void)state;
    duo_init(&d);
    d.ends[1].ops.open = echo_open;
    duo_start(&d);
    duo_settle(&d);
    n_answering = 0;
    echo_start(&e, &d.ends[0], 3, 10);
    e.idle = true;
    duo_settle(&d);
    dchan_session_goaway(d.ends[0].session, DCHAN_RENEW, d.now_ms);
    dchan_session_tick(d.ends[0].session, d.now_ms + DCHAN_GOING_MS - 1);
    assert_int_equal(d.ends[0].closes, 0);
    dchan_session_tick(d.ends[0].session, d.now_ms + DCHAN_GOING_MS);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_GOAWAY);
    assert_true(e.closed);
    assert_int_equal(e.code, DCHAN_RESET_TRUNCATED);
    duo_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_go_both_ways_and_end_with_bye),
        cmocka_unit_test(what_came_whole_may_be_read_after_bye),
        cmocka_unit_test(bye_cuts_what_has_not_ended),
        cmocka_unit_test(a_cut_is_told_to_streams),
        cmocka_unit_test(who_offers_no_streams_opens_none),
        cmocka_unit_test(strangers_have_less),
        cmocka_unit_test(after_the_end_nothing_leaves),
        cmocka_unit_test(datagrams_pass_a_file_while_the_link_drains),
        cmocka_unit_test(little_is_sealed_early_where_it_matters),
        cmocka_unit_test(goaway_is_told_once),
        cmocka_unit_test(goaway_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

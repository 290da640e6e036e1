/*
 * What a peer may do to the bytes of a session: cut, changed, repeated, swapped and late ones, and
 * floods.
 */
#include <string.h>

#include "base/intmath.h"
#include "p2p/dchan_session_internal.h"
#include "tests/p2p/dchan_duo.h"
#include "tests/test.h"

enum mischief { CHANGED, REPEATED, SWAPPED, LEFT_OUT };

/* Two packets of a ping each, and what is done to them. */
static void assert_tampering_ends(enum mischief what, size_t at)
{
    struct duo d;
    duo_up(&d);
    duo_seal(&d, 0, span_of("\0\x12\0\1\0\0", 6));
    const size_t first = dchan_rec_output(d.ends[0].session->rec).len;
    duo_seal(&d, 0, span_of("\0\x12\0\1\0\0", 6));
    const struct span both = dchan_rec_output(d.ends[0].session->rec);
    struct buf b;
    buf_init(&b);
    if (what == CHANGED || what == REPEATED)
        buf_put(&b, both.data, first);
    if (what == CHANGED)
        b.data[at] ^= 1;
    if (what == REPEATED)
        buf_put(&b, both.data, first);
    else if (what != CHANGED)
        buf_put(&b, both.data + first, both.len - first);
    if (what == SWAPPED)
        buf_put(&b, both.data, first);
    dchan_session_feed(d.ends[1].session, buf_span(&b), d.now_ms);
    assert_int_equal(d.ends[1].closes, 1);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_TAMPERED);
    assert_int_equal(dchan_session_output(d.ends[1].session, d.now_ms).len, 0);
    assert_true(dchan_session_done(d.ends[1].session));
    buf_clear(&b);
    duo_clear(&d);
}

static void packets_that_were_tampered_with_end_it_in_silence(void **state)
{
    (void)state;
    for (size_t at = 0; at < 6 + DCHAN_PACKET_EXTRA; at++)
        assert_tampering_ends(CHANGED, at);
    assert_tampering_ends(REPEATED, 0);
    assert_tampering_ends(SWAPPED, 0);
    assert_tampering_ends(LEFT_OUT, 0);
}

/* A cut anywhere but behind bye is no end in order. */
static void cuts_are_told_from_ends(void **state)
{
    (void)state;
    for (int said_bye = 0; said_bye < 2; said_bye++) {
        struct duo d;
        duo_up(&d);
        if (said_bye)
            duo_attack(&d, 0, span_of("\0\x18", 2));
        dchan_session_feed_end(d.ends[1].session, d.now_ms);
        assert_int_equal(d.ends[1].closes, 1);
        assert_int_equal(d.ends[1].closing.why,
                         said_bye ? DCHAN_CLOSED_CLEAN : DCHAN_CLOSED_TRUNCATED);
        duo_clear(&d);
    }
}

static void a_handshake_that_fails_says_why(void **state)
{
    static const uint8_t junk[DCHAN_ACT_ONE_SIZE] = { 0, 2 };
    static const struct { struct span in; const char *why; } cases[] = {
        { { junk, sizeof junk }, "bad public key" },
        { { junk, 1 }, "ended inside an act" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct duo d;
        duo_init(&d);
        duo_start(&d);
        dchan_session_feed(d.ends[1].session, cases[i].in, d.now_ms);
        dchan_session_feed_end(d.ends[1].session, d.now_ms);
        assert_int_equal(d.ends[1].closes, 1);
        assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_HANDSHAKE);
        assert_string_equal(d.ends[1].closing_text, cases[i].why);
        duo_clear(&d);
    }
}

static void acts_that_are_wrong_or_late_get_no_answer(void **state)
{
    static const uint8_t junk[DCHAN_ACT_ONE_SIZE] = { 0, 2 };
    struct duo d;
    (void)state;
    duo_init(&d);
    duo_start(&d);
    dchan_session_feed(d.ends[1].session, span_of(junk, sizeof junk), d.now_ms);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_HANDSHAKE);
    assert_int_equal(dchan_session_output(d.ends[1].session, d.now_ms).len, 0);
    assert_true(dchan_session_done(d.ends[1].session));
    duo_clear(&d);
    duo_init(&d);
    duo_start(&d);
    struct buf one = duo_take_output(&d.ends[0]);
    for (size_t i = 0; i + 1 < one.len; i++) { /* one byte each 110 ms is not fast enough */
        dchan_session_feed(d.ends[1].session, span_of(one.data + i, 1), d.now_ms);
        d.now_ms += 110;
        dchan_session_tick(d.ends[1].session, d.now_ms);
    }
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_TIMEOUT);
    buf_clear(&one);
    duo_clear(&d);
}

/* --- floods --- */

static void pings_beyond_ten_are_not_answered(void **state)
{
    struct duo d;
    size_t pongs = 0;
    (void)state;
    duo_up(&d);
    for (int i = 0; i < 50; i++) {
        duo_attack(&d, 0, span_of("\0\x12\x10\0\0\0", 6));
        pongs += duo_answer(&d, 0).len > 0;
    }
    assert_true(pongs >= DCHAN_PINGS_TAKEN - 1 && pongs <= DCHAN_PINGS_TAKEN);
    d.now_ms += 10000;
    duo_attack(&d, 0, span_of("\0\x12\x10\1\0\0", 6)); /* asks for too much */
    duo_assert_silent(&d, 0);
    duo_attack(&d, 0, span_of("\0\x12\x10\0\0\0", 6));
    assert_int_equal(duo_answer(&d, 0).len, 2 + 2 + 4096);
    assert_int_equal(d.ends[1].closes, 0);
    duo_clear(&d);
}

static void rekeys_in_a_row_are_a_limit(void **state)
{
    struct duo d;
    (void)state;
    duo_up(&d);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dchan_rec_rekey(d.ends[0].session->rec, d.now_ms), OK);
        const struct span out = dchan_rec_output(d.ends[0].session->rec);
        dchan_session_feed(d.ends[1].session, out, d.now_ms);
        dchan_rec_written(d.ends[0].session->rec, out.len);
    }
    duo_assert_error(&d, 0, DCHAN_ERROR_LIMIT);
    duo_clear(&d);
}

/* Fills what waits at the victim until only answers fit. */
static void fill_output(struct duo_end *victim)
{
    static const uint8_t body[DCHAN_BODY_MAX];
    const struct dchan_msg big = {
        .type = DCHAN_M_SEND, .m_send = { .body = span_of(body, sizeof body) }
    };
    while (session_waiting(victim->session) + 2 * sizeof body < DCHAN_OUT_MAX) {
        assert_int_equal(dchan_session_slow(victim->session),
                         session_waiting(victim->session) >= DCHAN_OUT_MAX / 4);
        assert_int_equal(dchan_session_send(victim->session, &big, victim->duo->now_ms), OK);
    }
}

/* Who asks and never reads costs no more than the limit of what waits. */
static void answers_that_nobody_reads_are_bounded(void **state)
{
    static const uint8_t put[] = { 0, 36, 0, 0, 0, 2, 0, 0, 0 };
    struct duo d;
    size_t n = 0;
    (void)state;
    duo_init(&d);
    d.ends[1].ops.n_handlers = 0;
    duo_start(&d);
    duo_settle(&d);
    fill_output(&d.ends[1]);
    while (d.ends[1].closes == 0 && n < 100000) {
        duo_attack(&d, 0, span_of(put, sizeof put));
        n++;
        assert_true(session_waiting(d.ends[1].session) <= DCHAN_OUT_MAX);
    }
    assert_true(n > 1);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_LOCAL);
    assert_true(dchan_session_done(d.ends[1].session));
    duo_clear(&d);
}

static void bye_ends_what_was_answered_before(void **state)
{
    struct duo d;
    (void)state;
    duo_up(&d);
    duo_seal(&d, 0, span_of("\0\x12\0\1\0\0", 6));
    duo_attack(&d, 0, span_of("\0\x18", 2));
    duo_assert_answer(&d, 0, DCHAN_PONG);
    duo_assert_answer(&d, 0, DCHAN_BYE);
    duo_assert_closed(&d, 0, DCHAN_CLOSED_CLEAN, 0);
    duo_clear(&d);
}

/* Who was not greeted goes without a word to the owner, who does not know him. */
static void goaway_before_hello_is_only_an_end(void **state)
{
    struct duo d;
    (void)state;
    duo_greeting(&d, NULL);
    duo_attack(&d, 0, span_of("\0\x14\0\1\0\0\0\0", 8));
    duo_assert_closed(&d, 0, DCHAN_CLOSED_GOAWAY, 0);
    assert_int_equal(d.ends[1].goings, 0);
    duo_clear(&d);
}

static void put_at_twin(struct duo *d, struct dchan_rec *twin, struct span msg)
{
    assert_int_equal(dchan_rec_put(twin, msg, span_of(NULL, 0), d->now_ms), OK);
    dchan_rec_written(twin, dchan_rec_output(twin).len);
}

/* Both say the same until one says bye, and the other, in its place, something else and more. */
static void a_message_behind_bye_is_not_taken(void **state)
{
    static const struct dchan_end bare;
    static const char hello[] = "\0\x10\0\1\0\0", ack[] = "\0\x62" "0123456789abcdef";
    struct dchan_msg m = { .type = DCHAN_BOUND_MSG };
    struct dchan_rec *twin;
    struct duo d;
    struct buf b;
    (void)state;
    duo_greeting(&d, &twin);
    struct dchan_rec *rec = d.ends[0].session->rec;
    buf_init(&b);
    dchan_bound_make(&m.bound, d.ends[1].session->session_id, &bare, &bare);
    dchan_msg_write(&b, &m);
    duo_attack(&d, 0, span_of(hello, 6));
    duo_attack(&d, 0, buf_span(&b));
    put_at_twin(&d, twin, span_of(hello, 6));
    put_at_twin(&d, twin, buf_span(&b));
    assert_int_equal(d.ends[1].ups, 1);
    duo_seal(&d, 0, span_of("\0\x18", 2));
    put_at_twin(&d, twin, span_of("\0\x1b", 2));
    assert_int_equal(dchan_rec_put(twin, span_of(ack, 18), span_of(NULL, 0), d.now_ms), OK);
    const struct span bye = dchan_rec_output(rec), more = dchan_rec_output(twin);
    buf_reset(&b);
    buf_put(&b, bye.data, bye.len);
    buf_put(&b, more.data, more.len);
    dchan_session_feed(d.ends[1].session, buf_span(&b), d.now_ms);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_AFTER_BYE);
    assert_int_equal(d.ends[1].closes, 1);
    assert_int_equal(d.ends[1].n_taken, 0);
    buf_clear(&b);
    dchan_rec_free(twin);
    duo_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_that_were_tampered_with_end_it_in_silence),
        cmocka_unit_test(cuts_are_told_from_ends),
        cmocka_unit_test(a_handshake_that_fails_says_why),
        cmocka_unit_test(acts_that_are_wrong_or_late_get_no_answer),
        cmocka_unit_test(pings_beyond_ten_are_not_answered),
        cmocka_unit_test(rekeys_in_a_row_are_a_limit),
        cmocka_unit_test(answers_that_nobody_reads_are_bounded),
        cmocka_unit_test(bye_ends_what_was_answered_before),
        cmocka_unit_test(goaway_before_hello_is_only_an_end),
        cmocka_unit_test(a_message_behind_bye_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the writes of a session look like from outside, with padding and without. */
#include <malloc.h>
#include <string.h>

#include "base/intmath.h"
#include "base/rand.h"
#include "p2p/dchan_pad.h"
#include "p2p/dchan_session_internal.h"
#include "tests/p2p/dchan_duo.h"
#include "tests/test.h"

static const uint8_t text[DCHAN_BODY_MAX];

static void the_gap_is_filled_with_the_smallest_pad_or_one_class_later(void **state)
{
    (void)state;
    for (size_t unit = DCHAN_PAD_CLASS; unit <= DCHAN_PAD_UNIT_MAX; unit += 640)
        for (size_t gap = 1; gap <= unit; gap++) {
            const size_t n = dchan_pad_size(gap, unit);
            const size_t packet = n + DCHAN_MSG_MIN + DCHAN_PACKET_EXTRA;
            assert_int_equal(packet % unit, gap % unit);
            assert_true(packet < unit + DCHAN_MSG_MIN + DCHAN_PACKET_EXTRA);
            assert_int_equal(dchan_pad_fields(n).len, n);
        }
}

static void at_a_rate_the_smallest_pad_may_be_longer_than_the_gap(void **state)
{
    (void)state;
    for (size_t gap = 1; gap <= DCHAN_PAD_UNIT_MAX; gap++) {
        const size_t packet =
            dchan_pad_size_or_smallest(gap) + DCHAN_MSG_MIN + DCHAN_PACKET_EXTRA;
        assert_true(packet >= gap && packet <= gap + DCHAN_PAD_OVER);
        assert_true(packet == gap || gap <= DCHAN_PAD_OVER);
    }
}

/* --- sessions --- */

/* What left one side: each write as the session composed it. */
struct seen {
    size_t writes, odd, bytes;
};

/* One write of an end, all of it, arrives at the other. False: there was none. */
static bool move_write(struct duo *d, int from, struct seen *seen)
{
    struct duo_end *e = &d->ends[from];
    const struct span out = dchan_session_output(e->session, d->now_ms);
    if (!out.len)
        return false;
    seen->writes++;
    seen->odd += out.len % DCHAN_PAD_CLASS != 0;
    seen->bytes += out.len;
    dchan_session_feed(d->ends[1 - from].session, out, d->now_ms);
    dchan_session_written(e->session, out.len, d->now_ms);
    return true;
}

/* Until both are silent; what end 0 wrote is counted. */
static void settle(struct duo *d, struct seen *seen)
{
    struct seen back = { 0 };
    bool moved;
    do {
        moved = move_write(d, 0, seen);
        moved |= move_write(d, 1, &back);
    } while (moved);
}

static void padded_up(struct duo *d)
{
    duo_up(d);
    for (int i = 0; i < 2; i++)
        dchan_session_set_padded(d->ends[i].session, true);
}

/* A message with a body of so many bytes. */
static void say(struct duo *d, int from, size_t body)
{
    const struct dchan_msg m = {
        .type = DCHAN_M_SEND, .m_send = { .body = span_of(text, body) }
    };
    assert_int_equal(dchan_session_send(d->ends[from].session, &m, d->now_ms), OK);
}

static void pass(struct duo *d, uint64_t seconds, struct seen *seen)
{
    for (uint64_t i = 0; i < seconds; i++) {
        d->now_ms += 1000;
        for (int j = 0; j < 2; j++)
            dchan_session_tick(d->ends[j].session, d->now_ms);
        settle(d, seen);
    }
}

static void each_write_is_a_multiple_whatever_is_said(void **state)
{
    struct seen seen = { 0 };
    struct duo d;
    (void)state;
    padded_up(&d);
    for (int i = 0; i < 2000; i++) {
        for (uint64_t n = 1 + rand_below(3); n > 0; n--)
            say(&d, 0, (size_t)rand_below(i % 10 ? 600 : DCHAN_BODY_MAX));
        settle(&d, &seen);
        if (i % 400 == 399)
            pass(&d, 150, &seen); /* a rekey by time, and one by agreement */
    }
    const struct dchan_session_stats stats = dchan_session_stats(d.ends[0].session);
    assert_int_equal(seen.odd, 0);
    assert_true(seen.writes >= 2000);
    assert_true(stats.rotations_sent > 9 && stats.agreements > 0);
    assert_int_equal(d.ends[0].closes + d.ends[1].closes, 0);
    duo_clear(&d);
}

static void each_size_of_one_message_is_rounded_up(void **state)
{
    struct duo d;
    (void)state;
    padded_up(&d);
    for (size_t body = 0; body < 2 * DCHAN_PAD_CLASS; body++) {
        struct seen seen = { 0 };
        say(&d, 0, body);
        const size_t bare = dchan_rec_output(d.ends[0].session->rec).len;
        settle(&d, &seen);
        assert_int_equal(seen.writes, 1);
        assert_int_equal(seen.odd, 0);
        assert_true(seen.bytes >= bare &&
                    seen.bytes < bare + DCHAN_PAD_CLASS + DCHAN_MSG_MIN + DCHAN_PACKET_EXTRA);
    }
    duo_clear(&d);
}

/* The same messages without it: their packets and nothing else. */
static void without_it_nothing_is_added(void **state)
{
    struct seen seen = { 0 };
    struct duo d;
    size_t said = 0;
    (void)state;
    duo_up(&d);
    for (size_t i = 0; i < 500; i++) {
        say(&d, 0, i);
        said += session_waiting(d.ends[0].session);
        settle(&d, &seen);
    }
    assert_int_equal(seen.bytes, said);
    assert_true(seen.odd > 400);
    dchan_session_set_padded(d.ends[0].session, true);
    dchan_session_set_padded(d.ends[0].session, false); /* the contact was changed back */
    say(&d, 0, 10);
    said += session_waiting(d.ends[0].session);
    settle(&d, &seen);
    assert_int_equal(seen.bytes, said);
    duo_clear(&d);
}

/* A socket that takes what it likes: what it leaves behind is filled up once. */
static void a_write_in_parts_is_filled_once(void **state)
{
    struct duo d;
    (void)state;
    padded_up(&d);
    for (int i = 0; i < 300; i++) {
        struct dchan_session *s = d.ends[0].session;
        say(&d, 0, (size_t)rand_below(3000));
        size_t left = dchan_session_output(s, d.now_ms).len, total = left;
        assert_int_equal(total % DCHAN_PAD_CLASS, 0);
        while (left) {
            const struct span out = dchan_session_output(s, d.now_ms);
            assert_int_equal(out.len, left);
            const size_t n = 1 + (size_t)rand_below(left);
            dchan_session_feed(d.ends[1].session, span_of(out.data, n), d.now_ms);
            dchan_session_written(s, n, d.now_ms);
            left -= n;
        }
    }
    duo_clear(&d);
}

/* The messages that none may follow have their pad before them. */
static void the_end_has_a_size_of_the_class_too(void **state)
{
    (void)state;
    for (size_t body = 0; body < 300; body += 7)
        for (int how = 0; how < 2; how++) {
            struct seen seen = { 0 };
            struct duo d;
            padded_up(&d);
            say(&d, 0, body);
            if (how == 0)
                dchan_session_goaway(d.ends[0].session, DCHAN_SHUTDOWN, d.now_ms);
            else
                dchan_session_abort(d.ends[0].session, DCHAN_ERROR_INTERNAL, d.now_ms);
            settle(&d, &seen);
            assert_true(seen.writes > 0);
            assert_int_equal(seen.odd, 0);
            assert_int_equal(d.ends[1].closes, 1);
            assert_int_equal(d.ends[1].closing.why,
                             how == 0 ? DCHAN_CLOSED_CLEAN : DCHAN_CLOSED_BY_THEM);
            duo_clear(&d);
        }
}

/* --- what the other side can do with it --- */

static void pads_are_never_answered_and_cost_no_memory(void **state)
{
    struct duo d;
    struct buf big;
    (void)state;
    padded_up(&d);
    buf_init(&big);
    memset(buf_extend(&big, DCHAN_MSG_MAX), 0, DCHAN_MSG_MAX);
    be16_put(big.data, DCHAN_PAD);
    duo_attack(&d, 0, buf_span(&big)); /* the buffers have their size */
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 2000; i++) {
        duo_attack(&d, 0, span_of(big.data, i % 2 ? big.len : DCHAN_MSG_MIN));
        assert_int_equal(dchan_session_output(d.ends[1].session, d.now_ms).len, 0);
    }
    assert_true(mallinfo2().uordblks <= before + 4096);
    assert_int_equal(d.ends[1].closes, 0);
    assert_int_equal(d.ends[1].n_taken, 0);
    buf_clear(&big);
    duo_clear(&d);
}

static void an_answer_is_filled_up_to_one_class_more(void **state)
{
    struct duo d;
    size_t answered = 0;
    (void)state;
    padded_up(&d);
    for (int i = 0; i < 50; i++) {
        duo_attack(&d, 0, span_of("\0\x12\0\0\0\0", 6));
        answered += dchan_session_output(d.ends[1].session, d.now_ms).len ? 1 : 0;
        const size_t waiting = session_waiting(d.ends[1].session);
        assert_true(waiting == 0 || waiting == DCHAN_PAD_CLASS);
        if (waiting)
            dchan_session_written(d.ends[1].session, waiting, d.now_ms);
    }
    assert_true(answered > 0 && answered <= DCHAN_PINGS_TAKEN);
    duo_clear(&d);
}

/* A pad is a byte: who sends some is there. Who is gone is found out all the same. */
static void silence_is_measured_by_what_arrives(void **state)
{
    struct duo d;
    (void)state;
    padded_up(&d);
    for (int i = 0; i < 20; i++) {
        d.now_ms += 29000;
        dchan_session_tick(d.ends[1].session, d.now_ms);
        duo_attack(&d, 0, span_of("\0\x1b", 2));
    }
    assert_int_equal(d.ends[1].closes, 0);
    for (int i = 0; i < 110 && !d.ends[1].closes; i++) { /* a ping after 70 s, 30 s for an answer */
        d.now_ms += 1000;
        say(&d, 1, 100);
        dchan_session_tick(d.ends[1].session, d.now_ms);
        const size_t out = dchan_session_output(d.ends[1].session, d.now_ms).len;
        if (out)
            dchan_session_written(d.ends[1].session, out, d.now_ms);
    }
    assert_int_equal(d.ends[1].closes, 1);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_DEAD);
    duo_clear(&d);
}

/* Nobody reads, everything said is filled up: the limit of what waits holds, and ends it. */
static void what_is_added_counts_against_the_limit_of_output(void **state)
{
    struct dchan_session_limits limits = dchan_session_defaults;
    struct duo d;
    size_t n = 0;
    (void)state;
    limits.out_max = 1 << 20;
    duo_init(&d);
    d.ends[0].config.limits = &limits;
    duo_start(&d);
    duo_settle(&d);
    dchan_session_set_padded(d.ends[0].session, true);
    const struct dchan_msg m = { .type = DCHAN_M_ACK };
    while (!d.ends[0].closes && n < 100000) {
        n += dchan_session_send(d.ends[0].session, &m, d.now_ms) == OK;
        assert_true(dchan_session_output(d.ends[0].session, d.now_ms).len <= limits.out_max);
    }
    assert_true(n > 1000 && n <= limits.out_max / DCHAN_PAD_CLASS);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_LOCAL);
    duo_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gap_is_filled_with_the_smallest_pad_or_one_class_later),
        cmocka_unit_test(at_a_rate_the_smallest_pad_may_be_longer_than_the_gap),
        cmocka_unit_test(each_write_is_a_multiple_whatever_is_said),
        cmocka_unit_test(each_size_of_one_message_is_rounded_up),
        cmocka_unit_test(without_it_nothing_is_added),
        cmocka_unit_test(a_write_in_parts_is_filled_once),
        cmocka_unit_test(the_end_has_a_size_of_the_class_too),
        cmocka_unit_test(pads_are_never_answered_and_cost_no_memory),
        cmocka_unit_test(an_answer_is_filled_up_to_one_class_more),
        cmocka_unit_test(silence_is_measured_by_what_arrives),
        cmocka_unit_test(what_is_added_counts_against_the_limit_of_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

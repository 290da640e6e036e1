#include <config.h>

#include "p2p/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/p2p/message_duo.h"
#include "tests/test.h"

#define A (&d->sides[0])
#define B (&d->sides[1])

static int setup(void **state)
{
    struct message_duo *d = xcalloc(1, sizeof *d);
    duo_init(d);
    duo_start(d);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    duo_clear(*state);
    free(*state);
    return 0;
}

/* The n-th message that came says this. */
static void received_is(struct duo_side *s, size_t n, const char *text)
{
    struct message_head h;
    struct buf body;
    buf_init(&body);
    assert_true(duo_received(s, n, &h, &body));
    assert_int_equal(body.len, strlen(text));
    assert_memory_equal(body.data, text, body.len);
    buf_clear(&body);
}

static void nothing_received_after(struct duo_side *s, size_t n)
{
    struct message_head h;
    struct buf body;
    buf_init(&body);
    assert_false(duo_received(s, n, &h, &body));
    buf_clear(&body);
}

/* --- what a user sees --- */

static void a_message_arrives_with_a_receipt(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    duo_connect(d);
    assert_int_equal(duo_send(A, "hello", &number), OK);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    assert_int_equal(duo_rows(A, "o"), 1);
    const struct message_head sent = duo_head(A, number);
    assert_true(messages_is_in_flight(A->m, &sent));
    duo_run(d);
    received_is(B, 0, "hello");
    nothing_received_after(B, 1);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_DELIVERED);
    assert_int_equal(duo_rows(A, "o"), 0);
    assert_int_equal(A->n_news, 1);
    assert_int_equal(A->news[0].kind, MESSAGE_DELIVERED);
    assert_int_equal(A->news[0].number, number);
    assert_int_equal(B->n_news, 1);
    assert_int_equal(B->news[0].kind, MESSAGE_RECEIVED);
    assert_memory_equal(B->news[0].id, sent.id, sizeof sent.id);
}

struct marked {
    enum err rc;
};

static void note_marked(void *ctx, enum err rc, const struct error *e)
{
    (void)e;
    ((struct marked *)ctx)->rc = rc;
}

static enum err mark(struct duo_side *s, uint64_t number, bool receipt)
{
    struct marked x = { ERR_TIMEOUT };
    struct error e;
    const enum err rc = messages_mark_read(s->m, number, receipt, note_marked, &x, &e);
    duo_settle(s);
    return rc ? rc : x.rc;
}

static void it_is_marked_as_read_on_both_sides(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    duo_connect(d);
    assert_int_equal(duo_send(A, "hello", &number), OK);
    duo_run(d);
    assert_int_equal(mark(B, B->news[0].number, true), OK);
    duo_run(d);
    assert_int_equal(duo_count(B, false, MESSAGE_STATE_READ), 1);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_SEEN);
    assert_int_equal(B->sent[DCHAN_M_READ], 1);
    assert_int_equal(mark(B, B->news[0].number, true), OK); /* nothing more */
    duo_run(d);
    assert_int_equal(B->sent[DCHAN_M_READ], 1);
    assert_int_equal(mark(A, number, true), ERR_NOTFOUND); /* one of ours */
    assert_int_equal(mark(B, 999, true), ERR_NOTFOUND);
}

static void a_receipt_waits_for_the_next_session(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    duo_connect(d);
    assert_int_equal(duo_send(A, "hello", &number), OK);
    assert_int_equal(duo_send(A, "secretly read", NULL), OK);
    duo_run(d);
    duo_cut(d);
    assert_int_equal(mark(B, B->news[0].number, true), OK);
    assert_int_equal(mark(B, B->news[1].number, false), OK);
    assert_int_equal(duo_rows(B, "im"), 1);
    duo_kill(B);
    duo_revive(B);
    duo_connect(d);
    duo_run(d);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_SEEN);
    assert_int_equal(duo_count(A, true, MESSAGE_STATE_SEEN), 1);
    assert_int_equal(duo_rows(B, "im"), 0);
}

static void a_peer_that_is_away_gets_it_once_and_in_order(void **state)
{
    struct message_duo *d = *state;
    char text[20];
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "message %d", i);
        assert_int_equal(duo_send(A, text, NULL), OK);
    }
    assert_true(A->dials >= 200);
    duo_pass(d, 3);
    assert_int_equal(A->sent[DCHAN_M_SEND], 0);
    duo_connect(d);
    duo_pass(d, 20); /* more than B takes at once: the pace of A */
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "message %d", i);
        received_is(B, (size_t)i, text);
    }
    nothing_received_after(B, 200);
    assert_int_equal(duo_count(A, true, MESSAGE_STATE_DELIVERED), 200);
    assert_int_equal(A->sent[DCHAN_M_SEND], 200);
    assert_int_equal(B->sent[DCHAN_M_NACK], 0);
    assert_int_equal(duo_news(B, MESSAGE_RECEIVED), 200);
    assert_int_equal(duo_rows(A, "o"), 0);
}

/* So much waits for it that the receipt is what ends its session. */
static void a_session_may_end_by_a_receipt(void **state)
{
    struct message_duo *d = *state;
    duo_connect(d);
    assert_int_equal(duo_send(A, "and then nothing is read", NULL), OK);
    duo_arrive(A, 0);
    B->glutted = true;
    duo_settle(B);
    assert_null(B->party);
    received_is(B, 0, "and then nothing is read");
    duo_connect(d);
    duo_run(d);
    nothing_received_after(B, 1);
    assert_int_equal(duo_count(A, true, MESSAGE_STATE_DELIVERED), 1);
}

static void no_more_than_64_are_in_flight(void **state)
{
    struct message_duo *d = *state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(duo_send(A, "x", NULL), OK);
    duo_connect(d);
    assert_int_equal(A->n_out, MESSAGES_IN_FLIGHT);
    duo_arrive(A, 0);
    assert_int_equal(B->n_out, 0); /* nothing is said before it is on disk */
    duo_settle(B);
    assert_int_equal(B->n_out, 1);
    duo_run(d);
    duo_pass(d, 10);
    assert_int_equal(duo_count(B, false, 0), 100);
}

/* Not at the next tick, which comes up to a second later. */
static void what_the_pace_holds_back_leaves_when_it_may(void **state)
{
    enum { BURST = 80, STEP_MS = 56 }; /* four fifths of 100; nine tenths of 20 a second */
    struct message_duo *d = *state;
    duo_connect(d);
    for (int i = 0; i < BURST; i++)
        assert_int_equal(duo_send(A, "x", NULL), OK);
    duo_run(d);
    assert_int_equal(A->later_ms, 0);
    assert_int_equal(duo_send(A, "one more", NULL), OK);
    duo_run(d);
    assert_int_equal(A->sent[DCHAN_M_SEND], BURST);
    assert_int_equal(A->later_ms, STEP_MS);
    d->now_ms += A->later_ms;
    messages_resume(A->m, d->now_ms);
    duo_run(d);
    assert_int_equal(A->sent[DCHAN_M_SEND], BURST + 1);
    assert_int_equal(duo_count(A, true, MESSAGE_STATE_DELIVERED), BURST + 1);
}

static void what_is_not_acknowledged_is_sent_again(void **state)
{
    struct message_duo *d = *state;
    duo_connect(d);
    assert_int_equal(duo_send(A, "one", NULL), OK);
    duo_run(d);
    assert_int_equal(duo_send(A, "two", NULL), OK);
    free(A->out[--A->n_out].data); /* lost */
    duo_pass(d, 59);
    assert_int_equal(A->sent[DCHAN_M_SEND], 2);
    duo_pass(d, 1);
    assert_int_equal(A->sent[DCHAN_M_SEND], 3);
    received_is(B, 1, "two");
    assert_int_equal(duo_send(A, "three", NULL), OK);
    duo_connect(d); /* at once in another session */
    duo_run(d);
    received_is(B, 2, "three");
    nothing_received_after(B, 3);
}

/* --- duplicates, receipts out of place --- */

static void one_that_comes_twice_is_acknowledged_twice(void **state)
{
    struct message_duo *d = *state;
    duo_connect(d);
    assert_int_equal(duo_send(A, "once", NULL), OK);
    duo_repeat(A, 0);
    duo_repeat(A, 0);
    duo_arrive(A, 0);
    duo_arrive(A, 0); /* while the first is being written: one answer for both */
    duo_settle(B);
    assert_int_equal(B->sent[DCHAN_M_ACK], 1);
    duo_arrive(A, 0);
    assert_int_equal(B->sent[DCHAN_M_ACK], 2);
    duo_run(d);
    received_is(B, 0, "once");
    nothing_received_after(B, 1);
    assert_int_equal(duo_news(B, MESSAGE_RECEIVED), 1);
    assert_int_equal(duo_news(A, MESSAGE_DELIVERED), 1);
}

static void receipt(struct duo_side *to, uint16_t type, const uint8_t *id, uint16_t code)
{
    struct dchan_msg msg = { .type = type };
    msg.m_receipt.code = code;
    memcpy(msg.m_receipt.id, id, MESSAGE_ID_SIZE);
    messages_take(to->m, to->party, &msg, to->duo->now_ms);
    duo_settle(to);
}

static void receipts_count_for_what_is_in_flight_alone(void **state)
{
    struct message_duo *d = *state;
    uint64_t number, waiting;
    static const uint8_t unknown[MESSAGE_ID_SIZE] = { 1 };
    A->slow = true;
    duo_connect(d);
    assert_int_equal(duo_send(A, "not sent yet", &waiting), OK);
    const struct message_head h = duo_head(A, waiting);
    receipt(A, DCHAN_M_ACK, unknown, 0);
    receipt(A, DCHAN_M_NACK, unknown, MESSAGE_NACK_REFUSED);
    receipt(A, DCHAN_M_READ, unknown, 0);
    receipt(A, DCHAN_M_ACK, h.id, 0);
    receipt(A, DCHAN_M_NACK, h.id, MESSAGE_NACK_REFUSED);
    assert_int_equal(duo_head(A, waiting).state, MESSAGE_STATE_QUEUED);
    assert_int_equal(A->n_news, 0);
    A->slow = false;
    duo_pass(d, 1);
    received_is(B, 0, "not sent yet");
    assert_int_equal(duo_head(A, waiting).state, MESSAGE_STATE_DELIVERED);
    assert_int_equal(duo_send(A, "sent", &number), OK);
    const struct message_head sent = duo_head(A, number);
    receipt(A, DCHAN_M_READ, sent.id, 0); /* before it is acknowledged */
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    receipt(A, DCHAN_M_ACK, h.id, 0); /* of one that is delivered */
    assert_int_equal(duo_news(A, MESSAGE_DELIVERED), 1);
}

/* --- refusals --- */

/* What it says of one that it has not taken would be the last word on what still waits. */
static void one_that_waits_is_not_read(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    duo_connect(d);
    assert_int_equal(duo_send(A, "hello", &number), OK);
    const struct message_head h = duo_head(A, number);
    receipt(A, DCHAN_M_NACK, h.id, MESSAGE_NACK_BUSY);
    receipt(A, DCHAN_M_READ, h.id, 0);
    duo_settle(A);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    duo_pass(d, 3);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_DELIVERED);
    receipt(A, DCHAN_M_READ, h.id, 0);
    duo_settle(A);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_SEEN);
}

static void some_refusals_are_final(void **state)
{
    struct message_duo *d = *state;
    uint64_t a, b;
    B->refused = true;
    duo_connect(d);
    assert_int_equal(duo_send(A, "may not", &a), OK);
    duo_run(d);
    assert_int_equal(duo_head(A, a).state, MESSAGE_STATE_REFUSED);
    assert_int_equal(duo_head(A, a).code, MESSAGE_NACK_REFUSED);
    assert_int_equal(A->news[0].kind, MESSAGE_FAILED);
    assert_string_equal(A->news[0].reason, "refused");
    assert_int_equal(duo_rows(A, "o"), 0);
    B->refused = false;
    B->stranger = true;
    duo_connect(d);
    char *large = xmalloc(4098);
    memset(large, 'x', 4097);
    large[4097] = 0;
    assert_int_equal(duo_send(A, large, &b), OK);
    duo_run(d);
    free(large);
    assert_int_equal(duo_head(A, b).state, MESSAGE_STATE_REFUSED);
    assert_int_equal(duo_head(A, b).code, MESSAGE_NACK_TOO_LARGE);
    assert_int_equal(duo_count(B, false, 0), 0);
}

static void a_busy_peer_is_asked_again_ever_more_slowly(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    duo_connect(d);
    assert_int_equal(duo_send(A, "x", &number), OK);
    const struct message_head h = duo_head(A, number);
    size_t sent = 0;
    for (int i = 0; i < 300; i++) {
        sent += A->n_out;
        while (A->n_out) { /* B does not take it */
            free(A->out[--A->n_out].data);
            receipt(A, DCHAN_M_NACK, h.id, MESSAGE_NACK_BUSY);
        }
        d->now_ms += 1000;
        messages_tick(A->m, d->now_ms);
    }
    assert_in_range(sent, 8, 11); /* after 1, 2, 4 ... 60 s */
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    duo_pass(d, 61);
    received_is(B, 0, "x");
}

static void that_it_came_too_late_is_checked_by_our_clock(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    struct message_draft draft = duo_draft(A, "short");
    draft.ttl = 100;
    B->clock_ms = 1000000; /* its clock is wrong */
    duo_connect(d);
    assert_int_equal(duo_send_draft(A, &draft, &number), OK);
    duo_run(d);
    assert_int_equal(B->sent[DCHAN_M_NACK], 1);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    B->clock_ms = 0;
    duo_pass(d, 2);
    received_is(B, 0, "short");
}

static void a_clock_that_is_ahead_is_not_refused_for_good(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    A->clock_ms = MESSAGES_AHEAD_MS + 60000;
    duo_connect(d);
    assert_int_equal(duo_send(A, "early", &number), OK);
    duo_run(d);
    assert_int_equal(B->sent[DCHAN_M_NACK], 1);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    duo_pass(d, 120);
    received_is(B, 0, "early");
}

/* What was sent meanwhile waits for its time, and nothing else waits for it: neither for its stamp,
 * which the table is ordered by, nor for the pause that a refusal asks for. */
static void a_clock_that_was_ahead_holds_back_what_it_stamped_alone(void **state)
{
    struct message_duo *d = *state;
    uint64_t number, later, close;
    A->clock_ms = INT64_C(86400000) * 365;
    duo_connect(d);
    assert_int_equal(duo_send(A, "stamped", &number), OK);
    duo_pass(d, 200);
    A->clock_ms = 0;
    duo_pass(d, 61); /* its turn comes once more */
    const size_t refused = B->sent[DCHAN_M_NACK];
    assert_int_equal(duo_count(B, false, 0), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(duo_send(A, "after", NULL), OK);
        duo_run(d);
        assert_int_equal(duo_count(B, false, 0), i + 1);
        received_is(B, i, "after");
    }
    duo_kill(A); /* it is in the table still */
    duo_revive(A);
    duo_connect(d);
    assert_int_equal(duo_send(A, "later", &later), OK);
    duo_pass(d, 2);
    received_is(B, 3, "later");
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    duo_pass(d, 600);
    assert_in_range(B->sent[DCHAN_M_NACK] - refused, 10, 12); /* each minute */
    A->clock_ms = -700000; /* a little is not wrong, and they stay in their order */
    assert_int_equal(duo_send(A, "close", &close), OK);
    assert_true(duo_head(A, close).created_ms > duo_head(A, later).created_ms);
    duo_run(d);
    received_is(B, 4, "close");
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    B->clock_ms = INT64_C(86400000) * 365;
    duo_pass(d, 61);
    received_is(B, 5, "stamped");
}

static void what_is_too_old_expires(void **state)
{
    struct message_duo *d = *state;
    uint64_t flying, away;
    struct message_draft draft = duo_draft(A, "short");
    draft.ttl = 30;
    duo_connect(d);
    assert_int_equal(duo_send_draft(A, &draft, &flying), OK);
    free(A->out[--A->n_out].data); /* lost */
    duo_pass(d, 31);
    assert_int_equal(duo_head(A, flying).state, MESSAGE_STATE_EXPIRED);
    duo_cut(d);
    assert_int_equal(duo_send_draft(A, &draft, &away), OK);
    duo_pass(d, 31);
    assert_int_equal(duo_head(A, away).state, MESSAGE_STATE_EXPIRED);
    assert_int_equal(duo_rows(A, "o"), 0);
    assert_int_equal(duo_news(A, MESSAGE_FAILED), 2);
    assert_string_equal(A->news[1].reason, "expired");
    draft.ttl = MESSAGES_TTL_MAX + 1;
    assert_int_equal(duo_send_draft(A, &draft, NULL), ERR_RANGE);
}

static void one_that_is_too_old_is_not_taken(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    struct message_draft draft = duo_draft(A, "short");
    draft.ttl = 10;
    duo_connect(d);
    assert_int_equal(duo_send_draft(A, &draft, &number), OK);
    A->clock_ms = -20000; /* A believes that it is time */
    B->clock_ms = 11000;
    duo_run(d);
    assert_int_equal(duo_count(B, false, 0), 0);
    assert_int_equal(B->sent[DCHAN_M_NACK], 1);
}

/* --- limits --- */

static void the_outbox_has_limits(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    duo_anew(d);
    A->limits.outbox = 5;
    A->limits.outbox_bytes = 40000;
    duo_start(d);
    for (int i = 0; i < 5; i++)
        assert_int_equal(duo_send(A, "x", NULL), OK);
    assert_int_equal(duo_send(A, "x", NULL), ERR_BUSY);
    duo_kill(A);
    duo_revive(A); /* counted again */
    assert_int_equal(duo_send(A, "x", NULL), ERR_BUSY);
    duo_connect(d);
    duo_run(d);
    messages_get_stats(A->m, &stats);
    assert_int_equal(stats.outbox, 0);
    assert_int_equal(stats.outbox_bytes, 0);
    char *large = xcalloc(1, 60002);
    memset(large, 'x', 60001);
    assert_int_equal(duo_send(A, large, NULL), ERR_RANGE);
    large[39999] = 0;
    assert_int_equal(duo_send(A, large, NULL), ERR_BUSY);
    large[10000] = 0;
    assert_int_equal(duo_send(A, large, NULL), OK);
    free(large);
}

static void all_outboxes_together_have_one(void **state)
{
    struct message_duo *d = *state;
    duo_anew(d);
    A->limits.outbox_total = 2000;
    duo_start(d);
    size_t n = 0;
    while (!duo_send(A, "x", NULL))
        n++;
    assert_in_range(n, 2, 8);
}

/* m_sends of an attacker. */
static void throw(struct duo_side *to, uint64_t id, uint64_t seq, size_t len)
{
    struct dchan_msg msg = { .type = DCHAN_M_SEND };
    uint8_t *body = xcalloc(1, len + 1);
    msg.m_send = (struct dchan_m_send){
        .created_ms = DUO_UNIX_MS + to->duo->now_ms, .ttl = 1000, .body = span_of(body, len),
        .has_seq = seq > 0, .seq = seq,
    };
    be64_put(msg.m_send.id, id);
    messages_take(to->m, to->party, &msg, to->duo->now_ms);
    free(body);
}

static void a_contact_that_floods_is_slowed_down(void **state)
{
    struct message_duo *d = *state;
    duo_connect(d);
    for (uint64_t i = 1; i <= 1000; i++)
        throw(B, i, i, 10);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), 100);
    assert_int_equal(B->sent[DCHAN_M_ACK], 100);
    assert_int_equal(B->sent[DCHAN_M_NACK], 900);
    d->now_ms += 5000;
    for (uint64_t i = 1001; i <= 2000; i++)
        throw(B, i, i, 10);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), 200);
    duo_cut(d); /* a new session does not begin anew while one lives; the bucket is its own */
}

static void strangers_have_a_box(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    B->stranger = true;
    duo_connect(d);
    for (uint64_t i = 1; i <= 10; i++) {
        throw(B, 2 * i, 0, 10);
        throw(B, 2 * i + 1, 0, 10); /* the second within a minute */
        duo_settle(B);
        d->now_ms += 63000;
    }
    assert_int_equal(duo_count(B, false, 0), 4); /* of one /48 */
    messages_get_stats(B->m, &stats);
    assert_int_equal(stats.box, 4);
    assert_int_equal(B->sent[DCHAN_M_ACK], 4);
    assert_int_equal(B->sent[DCHAN_M_NACK], 16);
    duo_cut(d); /* and the minute is not over for coming again */
    duo_kill(B);
    duo_revive(B); /* the box is where it was */
    duo_connect(d);
    throw(B, 100, 0, 10);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), 4);
    d->now_ms += 63000;
    assert_int_equal(mark(B, B->news[0].number, false), OK);
    throw(B, 101, 0, 10);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), 5);
    assert_int_equal(duo_rows(B, "ir"), 4);
}

static void a_stranger_that_comes_again_waits_all_the_same(void **state)
{
    struct message_duo *d = *state;
    B->stranger = true;
    for (uint64_t i = 1; i <= 5; i++) {
        duo_connect(d);
        throw(B, i, 0, 10);
        duo_settle(B);
    }
    assert_int_equal(duo_count(B, false, 0), 1);
}

static void a_low_rate_of_strangers_is_kept(void **state)
{
    struct message_duo *d = *state;
    duo_anew(d);
    B->limits.stranger_per_hour = 1;
    B->stranger = true;
    duo_start(d);
    for (uint64_t i = 1; i <= 60; i++) { /* a minute for each */
        duo_connect(d);
        throw(B, i, 0, 10);
        duo_pass(d, 60);
        assert_int_equal(duo_count(B, false, 0), 1);
    }
    duo_connect(d);
    throw(B, 100, 0, 10);
    duo_run(d);
    assert_int_equal(duo_count(B, false, 0), 2);
    struct messages_stats stats;
    duo_cut(d);
    duo_pass(d, 3601);
    messages_get_stats(B->m, &stats);
    assert_int_equal(stats.parties, 0);
}

/* Who came while the disk was full is forgotten as at other times. */
static void strangers_are_not_kept_while_the_disk_is_full(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    struct message_peer peer = duo_draft(B, "").to;
    peer.contact = 0;
    duo_fail_writes(B, 1);
    for (unsigned i = 0; i < 50; i++) {
        peer.key[1] = (uint8_t)i;
        B->party = messages_up(B->m, NULL, &peer, B, d->now_ms);
        throw(B, i, 0, 10);
        duo_settle(B);
        messages_down(B->m, B->party, B);
        B->party = NULL;
    }
    messages_get_stats(B->m, &stats);
    assert_int_equal(stats.parties, 50);
    duo_pass(d, 64);
    messages_get_stats(B->m, &stats);
    assert_true(stats.disk_trouble);
    assert_int_equal(stats.parties, 0);
}

static void no_stranger_is_heard_when_the_user_wants_none(void **state)
{
    struct message_duo *d = *state;
    duo_anew(d);
    B->limits.strangers = false;
    B->stranger = true;
    duo_start(d);
    duo_connect(d);
    uint64_t number;
    assert_int_equal(duo_send(A, "hello", &number), OK);
    duo_run(d);
    assert_int_equal(duo_count(B, false, 0), 0);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_REFUSED);
}

static void one_who_becomes_a_contact_is_known(void **state)
{
    struct message_duo *d = *state;
    B->stranger = true;
    duo_connect(d);
    throw(B, 1, 1, 10);
    duo_settle(B);
    B->stranger = false;
    duo_connect(d);
    throw(B, 1, 1, 10);
    throw(B, 2, 2, 10);
    duo_settle(B);
    struct message_head h;
    struct buf body;
    buf_init(&body);
    assert_true(duo_received(B, 1, &h, &body));
    assert_int_equal(h.missing, 0);
    buf_clear(&body);
    nothing_received_after(B, 2);
}

static void old_ids_are_forgotten(void **state)
{
    struct message_duo *d = *state;
    duo_anew(d);
    B->limits.seen = 10;
    duo_start(d);
    duo_connect(d);
    for (uint64_t i = 1; i <= 50; i++) {
        throw(B, i, i, 10);
        duo_settle(B);
        d->now_ms += 1000;
    }
    assert_int_equal(duo_count(B, false, 0), 50);
    assert_int_equal(duo_rows(B, "sc"), 2 * 10 + 1); /* by id and by time, and their number */
    throw(B, 50, 50, 10);
    throw(B, 45, 45, 10);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), 50);
    duo_cut(d);
    d->now_ms += 1000 * 1000 + UINT64_C(1000) * 8 * 86400;
    duo_pass(d, 1);
    duo_kill(B);
    duo_revive(B);
    d->now_ms += 700000;
    duo_pass(d, 1);
    assert_int_equal(duo_rows(B, "sc"), 0);
    duo_connect(d); /* what has left is not counted: there is room for those that come now */
    for (uint64_t i = 60; i < 65; i++) {
        throw(B, i, i, 10);
        duo_settle(B);
    }
    throw(B, 60, 60, 10);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), 55);
    assert_int_equal(duo_rows(B, "sc"), 2 * 5 + 1);
}

/* More than it holds. */
static void fill_inbox(struct message_duo *d, uint64_t n, size_t size)
{
    duo_anew(d);
    B->limits.inbox_total = 100000;
    duo_start(d);
    duo_connect(d);
    for (uint64_t i = 1; i <= n; i++)
        throw(B, i, i, size);
    duo_settle(B);
}

static void a_full_inbox_drops_what_was_read(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    fill_inbox(d, 20, 9000);
    const size_t taken = duo_count(B, false, 0);
    assert_int_equal(taken, 9);
    assert_int_equal(B->sent[DCHAN_M_ACK], taken);
    duo_pass(d, 5);
    assert_int_equal(duo_count(B, false, 0), taken); /* unread ones stay */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(mark(B, B->news[i].number, false), OK);
    throw(B, 30, 30, 9000);
    duo_pass(d, 5);
    assert_int_equal(duo_count(B, false, 0), taken - 3);
    messages_get_stats(B->m, &stats);
    assert_true(stats.kept_bytes < 100000);
}

/* What nobody has read of one contact leaves an eighth to others, also after a restart. */
static void one_contact_does_not_fill_the_inbox(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    fill_inbox(d, 99, 900);
    messages_get_stats(B->m, &stats);
    assert_in_range(stats.kept_bytes, 80000, 87500);
    const size_t taken = duo_count(B, false, 0);
    duo_kill(B);
    duo_revive(B);
    duo_connect(d);
    throw(B, 200, 200, 900);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), taken);
    assert_int_equal(mark(B, B->news[0].number, false), OK);
    throw(B, 201, 201, 900);
    throw(B, 202, 202, 900);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), taken + 1);
    duo_cut(d);
    duo_pass(d, 1); /* nobody has it in memory */
    const size_t left = duo_count(B, false, 0);
    assert_int_equal(mark(B, B->news[1].number, false), OK);
    duo_connect(d);
    throw(B, 203, 203, 900);
    throw(B, 204, 204, 900);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, 0), left + 1);
}

/* Nobody has it in memory, and the first is not written when the others are read. */
static void several_are_read_before_one_is_written(void **state)
{
    struct message_duo *d = *state;
    struct marked x[3];
    fill_inbox(d, 99, 900);
    duo_cut(d);
    duo_pass(d, 1);
    const size_t taken = duo_count(B, false, 0);
    pthread_mutex_lock(&B->busy);
    for (size_t i = 0; i < COUNT_OF(x); i++)
        assert_int_equal(messages_mark_read(B->m, B->news[i].number, false, note_marked, &x[i],
                                            NULL), OK);
    duo_connect(d);
    throw(B, 200, 200, 900); /* it is loaded before they are written */
    pthread_mutex_unlock(&B->busy);
    duo_settle(B);
    for (size_t i = 0; i < COUNT_OF(x); i++)
        assert_int_equal(x[i].rc, OK);
    for (uint64_t i = 201; i <= 210; i++)
        throw(B, i, i, 900);
    duo_settle(B);
    assert_int_equal(duo_count(B, false, MESSAGE_STATE_UNREAD), taken);
    struct messages_stats stats;
    duo_cut(d);
    duo_pass(d, 1);
    messages_get_stats(B->m, &stats);
    assert_int_equal(stats.parties, 0);
}

/* --- order --- */

static void the_order_is_that_of_the_sender(void **state)
{
    struct message_duo *d = *state;
    struct message_head h[5];
    struct buf body;
    buf_init(&body);
    duo_connect(d);
    throw(B, 1, 1, 1);
    throw(B, 2, 5, 1); /* 2, 3, 4 did not come */
    throw(B, 3, 3, 1); /* now one of them does */
    throw(B, 4, 5, 1); /* and one that was there: its sender lost its history */
    throw(B, 5, 6, 1);
    duo_settle(B);
    for (size_t i = 0; i < 5; i++)
        assert_true(duo_received(B, i, &h[i], &body));
    assert_int_equal(h[0].missing, 0);
    assert_int_equal(h[1].missing, 3);
    assert_true(h[2].late && !h[2].reset);
    assert_true(h[3].reset && !h[3].late);
    assert_true(!h[4].reset && !h[4].late && h[4].missing == 0);
    assert_false(h[0].reset || h[1].reset);
    buf_clear(&body);
}

static void gaps_are_kept_within_limits(void **state)
{
    (void)state;
    struct message_order o = { .sent = 3 }, back;
    struct message_head h = { .number = 1 };
    struct buf b;
    for (uint64_t seq = 2; seq <= 200; seq += 2)
        message_order_take(&o, seq, &h);
    assert_int_equal(o.n_gaps, MESSAGE_GAPS_MAX);
    assert_int_equal(o.gaps[MESSAGE_GAPS_MAX - 1].first, 199);
    buf_init(&b);
    message_order_write(&b, &o);
    assert_true(message_order_read(&back, buf_span(&b)));
    assert_int_equal(back.n_gaps, o.n_gaps);
    assert_memory_equal(back.gaps, o.gaps, sizeof o.gaps);
    assert_true(back.sent == 3 && back.seen == o.seen);
    assert_false(message_order_read(&back, span_of(b.data, b.len - 1)));
    buf_clear(&b);
    message_order_take(&o, UINT64_MAX, &h);
    assert_int_equal(h.missing, UINT64_MAX - 201);
    h = (struct message_head){ .number = 2 };
    message_order_take(&o, UINT64_MAX - 5, &h); /* in the middle of a gap: two are left */
    assert_true(h.late);
    h = (struct message_head){ .number = 2 };
    message_order_take(&o, UINT64_MAX - 5, &h);
    assert_true(h.reset);
}

/* --- the disk --- */

static void a_full_disk_acknowledges_nothing_and_loses_nothing(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    uint64_t number;
    duo_connect(d);
    assert_int_equal(duo_send(A, "kept", &number), OK);
    duo_fail_writes(B, 1);
    duo_run(d);
    assert_int_equal(B->sent[DCHAN_M_ACK], 0);
    messages_get_stats(B->m, &stats);
    assert_true(stats.disk_trouble);
    assert_int_equal(duo_count(B, false, 0), 0);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    duo_pass(d, 10);
    duo_fail_writes(B, 0);
    duo_pass(d, 60);
    received_is(B, 0, "kept");
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_DELIVERED);
    messages_get_stats(B->m, &stats);
    assert_false(stats.disk_trouble);
    struct message_head h;
    struct buf body;
    buf_init(&body);
    assert_true(duo_received(B, 0, &h, &body));
    assert_false(h.reset);
    buf_clear(&body);
}

static void what_is_not_on_disk_was_not_sent(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    duo_connect(d);
    duo_fail_writes(A, 1);
    assert_int_equal(duo_send(A, "never", NULL), ERR_IO);
    duo_run(d);
    assert_int_equal(A->sent[DCHAN_M_SEND], 0);
    messages_get_stats(A->m, &stats);
    assert_int_equal(stats.outbox, 0);
    assert_int_equal(duo_send(A, "nor this", NULL), ERR_IO);
    duo_fail_writes(A, 0);
    duo_pass(d, 1);
    uint64_t number;
    assert_int_equal(duo_send(A, "this", &number), OK);
    duo_fail_writes(A, 1); /* the receipt cannot be written: it is asked for again */
    duo_run(d);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_QUEUED);
    duo_fail_writes(A, 0);
    duo_pass(d, 61);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_DELIVERED);
    received_is(B, 0, "this");
    nothing_received_after(B, 1);
}

/* After a failed sync nobody knows what is there: it is looked up before anything else happens. */
static void what_failed_may_be_there_all_the_same(void **state)
{
    struct message_duo *d = *state;
    struct messages_stats stats;
    duo_connect(d);
    duo_lie(A, 1);
    assert_int_equal(duo_send(A, "it was written", NULL), ERR_IO);
    messages_get_stats(A->m, &stats);
    assert_int_equal(stats.outbox, 0);
    duo_lie(B, 1);
    duo_pass(d, 2); /* a write shows that the disk works; then the outbox is read again */
    received_is(B, 0, "it was written");
    assert_int_equal(duo_count(A, true, MESSAGE_STATE_DELIVERED), 0);
    duo_pass(d, 8);
    assert_int_equal(duo_count(A, true, MESSAGE_STATE_DELIVERED), 1);
    nothing_received_after(B, 1);
    messages_get_stats(A->m, &stats);
    assert_int_equal(stats.outbox, 0);
    assert_int_equal(stats.outbox_bytes, 0);
    assert_int_equal(duo_news(B, MESSAGE_RECEIVED), 1);
    assert_int_equal(duo_news(A, MESSAGE_DELIVERED), 1);
}

/* The contact has a session under its old key and one under the new one, which ends first. */
static void a_contact_that_changes_its_key_keeps_what_waits(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    static struct duo_side second; /* the session under the new key */
    second.slow = true;
    A->slow = true;
    duo_connect(d);
    assert_int_equal(duo_send(A, "under the old key", &number), OK);
    struct message_peer moved = duo_draft(A, "").to;
    moved.key[1] = 0x77;
    struct message_party *p = messages_up(A->m, NULL, &moved, &second, d->now_ms);
    assert_ptr_equal(p, A->party);
    messages_down(A->m, A->party, A); /* the old one ends, the new one is still there */
    second.party = p;
    second.slow = false;
    messages_tick(A->m, d->now_ms + 1000);
    assert_int_equal(second.sent[DCHAN_M_SEND], 1);
    free(second.out[0].data); /* and is lost */
    A->party = messages_up(A->m, NULL, &moved, A, d->now_ms);
    assert_ptr_equal(A->party, p);
    messages_down(A->m, p, &second);
    A->slow = false;
    duo_pass(d, 1);
    received_is(B, 0, "under the old key");
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_DELIVERED);
    assert_int_equal(duo_rows(A, "o"), 0);
}

static void a_contact_that_is_removed_gets_nothing_more(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    const struct message_draft draft = duo_draft(A, "never");
    assert_int_equal(duo_send_draft(A, &draft, &number), OK);
    assert_int_equal(duo_send(A, "nor this", NULL), OK);
    messages_forget(A->m, draft.to.ours);
    messages_forget(A->m, draft.to.key);
    messages_forget(A->m, draft.to.key); /* while it is being written */
    duo_settle(A);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_CANCELLED);
    assert_int_equal(duo_rows(A, "o"), 0);
    assert_int_equal(duo_news(A, MESSAGE_FAILED), 2);
    duo_connect(d);
    duo_run(d);
    assert_int_equal(A->sent[DCHAN_M_SEND], 0);
}

/* The process ended after the contact had been removed and before its messages were. */
static void what_waits_for_nobody_is_cancelled(void **state)
{
    struct message_duo *d = *state;
    uint64_t number;
    assert_int_equal(duo_send(A, "never", &number), OK);
    duo_kill(A);
    duo_revive(A);
    A->unknown = true;
    duo_pass(d, 1);
    assert_int_equal(duo_head(A, number).state, MESSAGE_STATE_CANCELLED);
    assert_int_equal(duo_rows(A, "o"), 0);
    assert_int_equal(duo_news(A, MESSAGE_FAILED), 1);
    const size_t dials = A->dials;
    duo_pass(d, 2);
    assert_int_equal(A->dials, dials);
}

/* The store was lost and the event log was not: its numbers go on. */
static void what_comes_after_a_loss_of_the_store_is_told(void **state)
{
    struct message_duo *d = *state;
    duo_connect(d);
    for (int i = 0; i < 5; i++)
        assert_int_equal(duo_send(A, "before", NULL), OK);
    duo_run(d);
    assert_int_equal(duo_news(B, MESSAGE_RECEIVED), 5);
    const uint64_t last = B->news[B->n_news - 1].entry;
    duo_kill(B);
    kv_close(B->disk);
    B->disk = kv_open_mem();
    duo_revive(B);
    duo_connect(d);
    assert_int_equal(duo_send(A, "after", NULL), OK);
    duo_run(d);
    assert_int_equal(duo_news(B, MESSAGE_RECEIVED), 6);
    assert_true(B->news[B->n_news - 1].number > last);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_message_arrives_with_a_receipt),
        TEST(it_is_marked_as_read_on_both_sides),
        TEST(a_receipt_waits_for_the_next_session),
        TEST(a_peer_that_is_away_gets_it_once_and_in_order),
        TEST(a_session_may_end_by_a_receipt),
        TEST(no_more_than_64_are_in_flight),
        TEST(what_the_pace_holds_back_leaves_when_it_may),
        TEST(what_is_not_acknowledged_is_sent_again),
        TEST(one_that_comes_twice_is_acknowledged_twice),
        TEST(receipts_count_for_what_is_in_flight_alone),
        TEST(one_that_waits_is_not_read),
        TEST(some_refusals_are_final),
        TEST(a_busy_peer_is_asked_again_ever_more_slowly),
        TEST(that_it_came_too_late_is_checked_by_our_clock),
        TEST(a_clock_that_is_ahead_is_not_refused_for_good),
        TEST(a_clock_that_was_ahead_holds_back_what_it_stamped_alone),
        TEST(what_is_too_old_expires),
        TEST(one_that_is_too_old_is_not_taken),
        TEST(the_outbox_has_limits),
        TEST(all_outboxes_together_have_one),
        TEST(a_contact_that_floods_is_slowed_down),
        TEST(strangers_have_a_box),
        TEST(a_stranger_that_comes_again_waits_all_the_same),
        TEST(a_low_rate_of_strangers_is_kept),
        TEST(strangers_are_not_kept_while_the_disk_is_full),
        TEST(no_stranger_is_heard_when_the_user_wants_none),
        TEST(one_who_becomes_a_contact_is_known),
        TEST(old_ids_are_forgotten),
        TEST(a_full_inbox_drops_what_was_read),
        TEST(one_contact_does_not_fill_the_inbox),
        TEST(several_are_read_before_one_is_written),
        TEST(the_order_is_that_of_the_sender),
        TEST(gaps_are_kept_within_limits),
        TEST(a_full_disk_acknowledges_nothing_and_loses_nothing),
        TEST(what_is_not_on_disk_was_not_sent),
        TEST(what_failed_may_be_there_all_the_same),
        TEST(a_contact_that_changes_its_key_keeps_what_waits),
        TEST(a_contact_that_is_removed_gets_nothing_more),
        TEST(what_waits_for_nobody_is_cancelled),
        TEST(what_comes_after_a_loss_of_the_store_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

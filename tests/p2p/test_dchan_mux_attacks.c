/* Streams: limits, and what a peer may try. */
#include "base/intmath.h"
#include "tests/p2p/dchan_pipe.h"
#include "tests/test.h"

/* --- limits --- */

static void windows_stay_within_the_shares(void **state)
{
    struct pair *p = pair_new(true);
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_non_null(side_open(&p->sides[0], 3, 0));
    assert_int_equal(p->sides[0].shares.to_strangers, DCHAN_WINDOWS_STRANGER);
    assert_null(side_open(&p->sides[0], 3, 0));
    pair_free(p);
    p = pair_new(false);
    p->sides[1].shares.granted_max = DCHAN_WINDOW_START + DCHAN_WINDOW_MIN;
    struct owner *o[3];
    for (int i = 0; i < 3; i++) {
        o[i] = side_open(&p->sides[0], 3, 1);
        o[i]->holds_end = true;
    }
    pair_settle(p);
    assert_true(o[0]->accepted && o[1]->accepted && !o[2]->accepted);
    assert_int_equal(o[2]->code, DCHAN_RESET_LIMIT);
    assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_START + DCHAN_WINDOW_MIN);
    dchan_mux_end(p->sides[0].mux, DCHAN_RESET_TRUNCATED);
    assert_int_equal(o[0]->code, DCHAN_RESET_TRUNCATED);
    assert_int_equal(p->sides[0].shares.granted, 0);
    pair_free(p);
}

static struct dchan_msg open_msg(uint32_t sid)
{
    return (struct dchan_msg){
        .type = DCHAN_S_OPEN,
        .s_open = { sid, span_of("echo", 4), 3, DCHAN_WINDOW_START, span_of(NULL, 0) }
    };
}

/* The code of the only message that the side has put, 0: none; -1: no reset. */
static int reset_code(struct side *side)
{
    struct dchan_msg m;
    if (!side_next(side, &m))
        return 0;
    const int code = m.type == DCHAN_S_RESET ? m.s_reset.code : -1;
    assert_false(side_next(side, &m));
    return code;
}

static void floods_of_opens_are_reset_and_then_end_the_channel(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[1];
    size_t taken = 0, refused = 0;
    enum dchan_error error = DCHAN_NO_ERROR;
    uint32_t sid = 1;
    (void)state;
    side->accepts = false;
    for (; error == DCHAN_NO_ERROR && sid < 5000; sid += 2) {
        const struct dchan_msg m = open_msg(sid);
        error = side_take(side, &m);
        const int code = reset_code(side);
        assert_true(code == 0 || code == DCHAN_RESET_LIMIT);
        taken += error == DCHAN_NO_ERROR && code == 0;
        refused += code != 0;
    }
    assert_int_equal(error, DCHAN_ERROR_LIMIT);
    assert_int_equal(taken, DCHAN_OPENS_MAX);
    assert_int_equal(taken + refused, DCHAN_OPENS_FLOOD_PER_S);
    assert_int_equal(dchan_mux_stats(side->mux)->streams, DCHAN_OPENS_MAX);
    p->now_ms += DCHAN_OPEN_TIMEOUT_MS;
    dchan_mux_tick(side->mux, p->now_ms);
    assert_int_equal(side->withdrawn, DCHAN_OPENS_MAX);
    assert_int_equal(dchan_mux_stats(side->mux)->streams, 0);
    pair_free(p);
}

static void a_stranger_has_fewer_streams(void **state)
{
    struct pair *p = pair_new(true);
    struct side *side = &p->sides[1];
    (void)state;
    side->accepts = false;
    for (uint32_t i = 0; i <= DCHAN_STREAMS_STRANGER; i++) {
        const struct dchan_msg m = open_msg(1 + 2 * i);
        assert_int_equal(side_take(side, &m), DCHAN_NO_ERROR);
        assert_int_equal(reset_code(side), i == DCHAN_STREAMS_STRANGER ? DCHAN_RESET_LIMIT : 0);
    }
    pair_free(p);
}

static void we_keep_to_the_limits_ourselves(void **state)
{
    struct pair *p = pair_new(false);
    size_t opened = 0;
    (void)state;
    p->sides[1].accepts = false;
    while (side_open(&p->sides[0], 3, 0))
        opened++;
    assert_int_equal(opened, DCHAN_OPENS_MAX);
    pair_settle(p);
    p->now_ms += DCHAN_OPEN_TIMEOUT_MS;
    dchan_mux_tick(p->sides[0].mux, p->now_ms);
    assert_int_equal(p->sides[0].mine[0].code, DCHAN_RESET_IDLE);
    assert_int_equal(dchan_mux_stats(p->sides[0].mux)->streams, 0);
    pair_settle(p);
    assert_int_equal(p->sides[1].withdrawn, DCHAN_OPENS_MAX);
    pair_free(p);
}

/* Streams that are open have no such limit. */
static void only_what_waits_for_an_answer_times_out(void **state)
{
    struct pair *p = pair_new(false);
    (void)state;
    struct owner *open = side_open(&p->sides[0], 3, 1);
    open->holds_end = true;
    pair_settle(p);
    p->sides[1].accepts = false;
    p->now_ms += DCHAN_OPEN_TIMEOUT_MS;
    struct owner *waits = side_open(&p->sides[0], 3, 1);
    pair_settle(p);
    for (int i = 0; i < 2; i++) {
        dchan_mux_tick(p->sides[i].mux, p->now_ms + DCHAN_OPEN_TIMEOUT_MS - 5001);
        assert_int_equal(dchan_mux_stats(p->sides[i].mux)->streams, 2);
    }
    dchan_mux_tick(p->sides[1].mux, p->now_ms + DCHAN_OPEN_TIMEOUT_MS - 5000);
    assert_int_equal(p->sides[1].withdrawn, 1);
    pair_settle(p);
    assert_int_equal(waits->code, DCHAN_RESET_LOCAL);
    assert_false(open->closed || p->sides[1].theirs[0].closed);
    pair_free(p);
}

static void we_open_fewer_a_second_than_they_take(void **state)
{
    struct pair *p = pair_new(false);
    size_t opened = 0;
    (void)state;
    while (side_open(&p->sides[0], 3, 1)) {
        opened++;
        pair_settle(p);
        assert_true(p->sides[0].mine[opened - 1].closed);
    }
    assert_int_equal(opened, DCHAN_OPENS_PER_S / 2);
    p->now_ms += 100;
    assert_non_null(side_open(&p->sides[0], 3, 1));
    pair_free(p);
}

/* --- what is wrong in one stream --- */

static struct dchan_msg number_msg(enum dchan_type type, uint32_t sid, uint32_t value)
{
    return (struct dchan_msg){ .type = type, .stream = { sid, value } };
}

static struct dchan_msg data_msg(uint32_t sid, size_t len)
{
    static const uint8_t zeros[DCHAN_DATA_MAX];
    return (struct dchan_msg){ .type = DCHAN_S_DATA, .s_data = { sid, span_of(zeros, len) } };
}

/* Stream 1 is open, its acceptor has put what it had to. */
static struct pair *with_a_stream(bool ended)
{
    struct pair *p = pair_new(false);
    struct owner *o = side_open(&p->sides[0], 3, 0);
    p->sides[1].answer_bytes = 1;
    p->sides[1].eager = false;
    p->sides[1].holds_end = true;
    o->holds_end = !ended;
    pair_settle(p);
    return p;
}

static void assert_resets(struct pair *p, int i, struct dchan_msg m, int code)
{
    assert_int_equal(side_take(&p->sides[i], &m), DCHAN_NO_ERROR);
    assert_int_equal(reset_code(&p->sides[i]), code);
    pair_free(p);
}

static void ignore_data(void *ctx, struct span data)
{
    *(size_t *)ctx += data.len;
}

static void ignore_closed(void *ctx, unsigned code)
{
    (void)ctx;
    (void)code;
}

static void data_over_the_window_is_reset(void **state)
{
    static const struct dchan_stream_ops counts = { .data = ignore_data, .closed = ignore_closed };
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[1];
    size_t got = 0;
    (void)state;
    side->accepts = false;
    struct dchan_msg m = open_msg(1);
    assert_int_equal(side_take(side, &m), DCHAN_NO_ERROR);
    assert_int_equal(dchan_mux_accept(side->mux, 1, &counts, &got, p->now_ms), OK);
    assert_int_equal(reset_code(side), -1);
    for (int i = 0; i < DCHAN_WINDOW_START / DCHAN_DATA_MAX; i++) {
        m = data_msg(1, DCHAN_DATA_MAX);
        assert_int_equal(side_take(side, &m), DCHAN_NO_ERROR);
        assert_int_equal(reset_code(side), 0);
    }
    m = data_msg(1, 1);
    assert_int_equal(side_take(side, &m), DCHAN_NO_ERROR);
    assert_int_equal(reset_code(side), DCHAN_RESET_FLOW);
    assert_int_equal(got, DCHAN_WINDOW_START);
    assert_int_equal(side_take(side, &m), DCHAN_NO_ERROR); /* crossing the reset */
    assert_int_equal(reset_code(side), 0);
    assert_int_equal(got, DCHAN_WINDOW_START);
    pair_free(p);
}

static void what_a_stream_forbids_resets_it(void **state)
{
    (void)state;
    assert_resets(with_a_stream(true), 1, data_msg(1, 5), DCHAN_RESET_FLOW);
    assert_resets(with_a_stream(true), 1, number_msg(DCHAN_S_FIN, 1, 0), DCHAN_RESET_FLOW);
    assert_resets(with_a_stream(false), 1, number_msg(DCHAN_S_WINDOW, 1, INT32_MAX),
                  DCHAN_RESET_FLOW);
    assert_resets(with_a_stream(false), 1, number_msg(DCHAN_S_WINDOW, 1, UINT32_MAX),
                  DCHAN_RESET_FLOW);
    assert_resets(with_a_stream(false), 1,
                  number_msg(DCHAN_S_WINDOW, 1, INT32_MAX - DCHAN_WINDOW_START), 0);
    struct pair *p = pair_new(false); /* data and end of who has not accepted */
    side_open(&p->sides[0], 3, 0);
    buf_reset(&p->sides[0].out);
    assert_resets(p, 0, data_msg(1, 1), DCHAN_RESET_FLOW);
    p = pair_new(false);
    side_open(&p->sides[0], 3, 0);
    buf_reset(&p->sides[0].out);
    assert_resets(p, 0, number_msg(DCHAN_S_FIN, 1, 0), DCHAN_RESET_FLOW);
    p = pair_new(false);
    p->sides[1].accepts = false;
    struct dchan_msg m = open_msg(1);
    assert_int_equal(side_take(&p->sides[1], &m), DCHAN_NO_ERROR);
    assert_resets(p, 1, data_msg(1, 1), DCHAN_RESET_FLOW);
    m = open_msg(1);
    m.s_open.window = UINT32_MAX;
    assert_resets(pair_new(false), 1, m, DCHAN_RESET_FLOW);
    m.s_open.window = DCHAN_WINDOW_START;
    m.s_open.service = span_of("Not/So", 6);
    assert_resets(pair_new(false), 1, m, DCHAN_RESET_SERVICE);
    m.s_open.service = span_of("nul\0", 4);
    assert_resets(pair_new(false), 1, m, DCHAN_RESET_SERVICE);
}

static void assert_ends(struct pair *p, int i, struct dchan_msg m)
{
    assert_int_equal(side_take(&p->sides[i], &m), DCHAN_ERROR_MALFORMED);
    assert_int_equal(reset_code(&p->sides[i]), 0);
    pair_free(p);
}

static void accepts_with_windows_that_cannot_be(void **state)
{
    static const uint32_t windows[] = { DCHAN_WINDOW_MIN - 1, DCHAN_WINDOW_MIN, INT32_MAX,
                                        UINT32_C(1) << 31 };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        struct pair *p = pair_new(false);
        struct owner *o = side_open(&p->sides[0], 3, 0);
        const struct dchan_msg m = number_msg(DCHAN_S_ACCEPT, o->sid, windows[i]);
        assert_int_equal(side_take(&p->sides[0], &m),
                         i == 0 ? DCHAN_ERROR_MALFORMED : DCHAN_NO_ERROR);
        assert_int_equal(o->accepted, i == 1 || i == 2);
        assert_int_equal(o->code, i == 3 ? DCHAN_RESET_FLOW : 0);
        pair_free(p);
    }
}

static void an_end_may_come_before_the_answer(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[1];
    (void)state;
    side->accepts = false;
    const struct dchan_msg opens = open_msg(1), fin = number_msg(DCHAN_S_FIN, 1, 0);
    assert_int_equal(side_take(side, &opens), DCHAN_NO_ERROR);
    assert_int_equal(side_take(side, &fin), DCHAN_NO_ERROR);
    assert_int_equal(side_accept(side, 1), OK);
    assert_true(side->theirs[0].fin);
    assert_int_equal(side->shares.granted, 0);
    dchan_mux_pump(side->mux, 1);
    assert_true(side->theirs[0].closed && side->theirs[0].code == 0);
    assert_int_equal(side_accept(side, 1), ERR_NOTFOUND);
    pair_free(p);
}

static void an_owner_is_not_told_of_his_own_refusals(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[1];
    struct dchan_msg m;
    (void)state;
    side->accepts = false;
    for (uint32_t sid = 1; sid <= 5; sid += 2) {
        m = open_msg(sid);
        assert_int_equal(side_take(side, &m), DCHAN_NO_ERROR);
    }
    dchan_mux_reset(side->mux, 1, DCHAN_RESET_REFUSED);
    assert_int_equal(reset_code(side), DCHAN_RESET_REFUSED);
    side->shares.granted_max = 0;
    assert_int_equal(side_accept(side, 3), ERR_BUSY);
    assert_int_equal(reset_code(side), DCHAN_RESET_LIMIT);
    assert_int_equal(side->withdrawn, 0);
    m = data_msg(5, 1); /* before the answer: theirs to lose */
    assert_int_equal(side_take(side, &m), DCHAN_NO_ERROR);
    assert_int_equal(reset_code(side), DCHAN_RESET_FLOW);
    assert_int_equal(side->withdrawn, 1);
    assert_int_equal(dchan_mux_stats(side->mux)->streams, 0);
    pair_free(p);
}

static void sids_that_never_were_end_the_channel(void **state)
{
    (void)state;
    for (uint32_t sid = 2; sid < 5; sid++) {
        assert_ends(with_a_stream(false), 1, data_msg(sid, 5));
        assert_ends(with_a_stream(false), 1, number_msg(DCHAN_S_FIN, sid, 0));
        assert_ends(with_a_stream(false), 1, number_msg(DCHAN_S_WINDOW, sid, 1));
        assert_ends(with_a_stream(false), 1, number_msg(DCHAN_S_ACCEPT, sid, 99999));
        assert_ends(with_a_stream(false), 1,
                    (struct dchan_msg){ .type = DCHAN_DGRAM_MSG, .dgram = { .sid = sid } });
        assert_resets(with_a_stream(false), 1,
                      (struct dchan_msg){ .type = DCHAN_S_RESET, .s_reset = { sid, 1 } }, 0);
    }
    assert_ends(with_a_stream(false), 1, number_msg(DCHAN_S_FIN, 0, 0));
    assert_ends(with_a_stream(false), 1, number_msg(DCHAN_S_ACCEPT, 1, 99999)); /* theirs */
    assert_ends(with_a_stream(false), 0, number_msg(DCHAN_S_ACCEPT, 1, 99999)); /* twice */
    assert_ends(with_a_stream(false), 1, open_msg(1));
    assert_ends(with_a_stream(false), 1, open_msg(4)); /* the wrong half of the numbers */
    assert_ends(with_a_stream(false), 0, open_msg(3));
    struct dchan_msg m = open_msg(3);
    m.s_open.window = DCHAN_WINDOW_MIN - 1;
    assert_ends(with_a_stream(false), 1, m);
}

static void sids_that_were_open_once_are_ignored(void **state)
{
    struct pair *p = with_a_stream(false);
    struct dchan_msg m = { .type = DCHAN_S_RESET, .s_reset = { 1, DCHAN_RESET_CANCELLED } };
    (void)state;
    assert_int_equal(side_take(&p->sides[1], &m), DCHAN_NO_ERROR);
    assert_int_equal(p->sides[1].theirs[0].code, DCHAN_RESET_CANCELLED);
    const struct dchan_msg after[] = {
        data_msg(1, 5), number_msg(DCHAN_S_FIN, 1, 0), number_msg(DCHAN_S_WINDOW, 1, 7), m,
        { .type = DCHAN_DGRAM_MSG, .dgram = { .sid = 1 } }
    };
    for (size_t i = 0; i < COUNT_OF(after); i++) {
        assert_int_equal(side_take(&p->sides[1], &after[i]), DCHAN_NO_ERROR);
        assert_int_equal(reset_code(&p->sides[1]), 0);
    }
    dchan_mux_reset(p->sides[0].mux, 1, DCHAN_RESET_CANCELLED);
    assert_int_equal(reset_code(&p->sides[0]), DCHAN_RESET_CANCELLED);
    m = number_msg(DCHAN_S_ACCEPT, 1, 99999);
    assert_int_equal(side_take(&p->sides[0], &m), DCHAN_NO_ERROR);
    pair_free(p);
}

static void a_reset_is_never_an_end_in_order(void **state)
{
    static const uint16_t codes[][2] = {
        { 0, DCHAN_RESET_CANCELLED }, { DCHAN_RESET_REFUSED, DCHAN_RESET_REFUSED },
        { DCHAN_RESET_TRUNCATED, DCHAN_RESET_CANCELLED }, { 65535, 65535 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct pair *p = with_a_stream(false);
        const struct dchan_msg m = { .type = DCHAN_S_RESET, .s_reset = { 1, codes[i][0] } };
        assert_int_equal(side_take(&p->sides[1], &m), DCHAN_NO_ERROR);
        assert_true(p->sides[1].theirs[0].closed);
        assert_int_equal(p->sides[1].theirs[0].code, codes[i][1]);
        pair_free(p);
    }
}

/* --- going away --- */

static void nobody_opens_when_one_goes(void **state)
{
    struct pair *p = with_a_stream(false);
    (void)state;
    struct owner *late = side_open(&p->sides[0], 3, 0);
    assert_int_equal(dchan_mux_goaway(p->sides[1].mux), 1);
    struct dchan_msg m;
    assert_true(side_next(&p->sides[0], &m));
    assert_int_equal(side_take(&p->sides[1], &m), DCHAN_NO_ERROR);
    assert_int_equal(reset_code(&p->sides[1]), DCHAN_RESET_REFUSED);
    m = data_msg(late->sid, 1); /* what follows a refused one */
    assert_int_equal(side_take(&p->sides[1], &m), DCHAN_NO_ERROR);
    dchan_mux_take_goaway(p->sides[0].mux, 1);
    assert_true(late->closed);
    assert_int_equal(late->code, DCHAN_RESET_REFUSED);
    assert_false(p->sides[0].mine[0].closed);
    assert_null(side_open(&p->sides[0], 3, 0));
    assert_null(side_open(&p->sides[1], 3, 0));
    m = open_msg(2); /* nor may who said so */
    assert_int_equal(side_take(&p->sides[0], &m), DCHAN_NO_ERROR);
    assert_int_equal(reset_code(&p->sides[0]), DCHAN_RESET_REFUSED);
    p->sides[0].mine[0].holds_end = p->sides[1].theirs[0].holds_end = false;
    dchan_mux_wake(p->sides[0].mux, 1);
    dchan_mux_wake(p->sides[1].mux, 1);
    pair_settle(p);
    owner_consume(&p->sides[0].mine[0], SIZE_MAX);
    assert_true(p->sides[0].mine[0].closed);
    assert_int_equal(p->sides[0].mine[0].code, 0);
    pair_free(p);
}

/* --- datagrams --- */

static bool send_dgram(struct side *side, uint32_t sid, uint16_t seq)
{
    uint8_t text[2];
    be16_put(text, seq);
    return dchan_mux_send_dgram(side->mux, sid, span_of(text, sizeof text));
}

static void datagrams_are_dropped_rather_than_late(void **state)
{
    struct pair *p = with_a_stream(false);
    struct side *side = &p->sides[0];
    (void)state;
    assert_true(send_dgram(side, 1, 0));
    side->backlog = DCHAN_DGRAM_BACKLOG;
    side->backlog_age_ms = DCHAN_DGRAM_AGE_MS;
    assert_true(send_dgram(side, 1, 1));
    side->backlog++;
    assert_false(send_dgram(side, 1, 2));
    side->backlog = 1;
    side->backlog_age_ms++;
    assert_false(send_dgram(side, 1, 3));
    side->backlog_age_ms = 0;
    assert_true(send_dgram(side, 1, 4)); /* numbers tell of those that were dropped */
    assert_int_equal(dchan_mux_stats(side->mux)->dgrams_dropped, 2);
    pair_settle(p);
    assert_int_equal(p->sides[1].theirs[0].dgrams, 3);
    const struct dchan_msg fin = number_msg(DCHAN_S_FIN, 1, 0);
    assert_int_equal(side_take(&p->sides[1], &fin), DCHAN_NO_ERROR);
    assert_true(send_dgram(side, 1, 5)); /* behind the end: not delivered */
    pair_settle(p);
    assert_int_equal(p->sides[1].theirs[0].dgrams, 3);
    assert_false(send_dgram(side, 3, 0));
    struct owner *waiting = side_open(side, 0, 0);
    assert_false(send_dgram(side, waiting->sid, 0));
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_stay_within_the_shares),
        cmocka_unit_test(floods_of_opens_are_reset_and_then_end_the_channel),
        cmocka_unit_test(a_stranger_has_fewer_streams),
        cmocka_unit_test(we_keep_to_the_limits_ourselves),
        cmocka_unit_test(only_what_waits_for_an_answer_times_out),
        cmocka_unit_test(we_open_fewer_a_second_than_they_take),
        cmocka_unit_test(data_over_the_window_is_reset),
        cmocka_unit_test(what_a_stream_forbids_resets_it),
        cmocka_unit_test(accepts_with_windows_that_cannot_be),
        cmocka_unit_test(an_end_may_come_before_the_answer),
        cmocka_unit_test(an_owner_is_not_told_of_his_own_refusals),
        cmocka_unit_test(sids_that_never_were_end_the_channel),
        cmocka_unit_test(sids_that_were_open_once_are_ignored),
        cmocka_unit_test(a_reset_is_never_an_end_in_order),
        cmocka_unit_test(nobody_opens_when_one_goes),
        cmocka_unit_test(datagrams_are_dropped_rather_than_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Streams: two muxes over a pipe that keeps the order and takes its time, held against a model that
 * sees only the messages; then what a peer may try.
 */
#include "p2p/dchan_mux.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

#define START UINT64_C(1000000)
#define STREAMS 64 /* of one side in a test */

static const struct dchan_features all_features = { .offered = (1u << DCHAN_FEATURE_COUNT) - 1 };

/* --- one side, its owners and the messages that it has put --- */

struct owner {
    struct side *side;
    uint32_t sid;
    size_t to_send, sent;      /* bytes of its half; it ends there */
    size_t got, unconsumed;
    size_t dgrams, pulls;
    size_t piece;              /* most that it gives at once, 0: any */
    bool eager;                /* consumes at once */
    bool holds_end;            /* has sent all and does not say so */
    bool accepted, fin, closed;
    unsigned code;
};

struct side {
    struct dchan_mux *mux;
    struct dchan_shares shares;
    uint64_t *now_ms;
    struct buf out;            /* u32 length, message */
    size_t taken;
    size_t backlog;
    uint64_t backlog_age_ms;
    struct owner mine[STREAMS], theirs[STREAMS];
    size_t n_mine, n_theirs;
    bool accepts, eager, holds_end; /* what accepted streams are */
    size_t answer_bytes;       /* what an accepted stream sends */
    uint32_t last_open;
    size_t withdrawn;
};

/* The byte at an offset of a half. */
static uint8_t text_at(uint32_t sid, bool initiator, size_t at)
{
    return (uint8_t)((sid * 37u + (initiator ? 11u : 0) + at * 2654435761u) >> 7);
}

static bool side_initiates(const struct side *side);

static void on_accepted(void *ctx)
{
    struct owner *o = ctx;
    assert_false(o->accepted);
    o->accepted = true;
}

static void on_data(void *ctx, struct span data)
{
    struct owner *o = ctx;
    assert_false(o->fin || o->closed);
    const bool initiator = !side_initiates(o->side);
    size_t wrong = 0;
    for (size_t i = 0; i < data.len; i++)
        wrong += data.data[i] != text_at(o->sid, initiator, o->got + i);
    assert_int_equal(wrong, 0);
    o->got += data.len;
    o->unconsumed += data.len;
    if (!o->eager)
        return;
    o->unconsumed = 0;
    dchan_mux_consumed(o->side->mux, o->sid, data.len, *o->side->now_ms);
}

static void on_fin(void *ctx)
{
    struct owner *o = ctx;
    assert_false(o->fin || o->closed);
    o->fin = true;
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct owner *o = ctx;
    size_t n = MIN_OF(max, o->to_send - o->sent);
    if (o->piece)
        n = MIN_OF(n, o->piece);
    o->pulls++;
    const bool initiator = side_initiates(o->side);
    for (size_t i = 0; i < n; i++)
        out[i] = text_at(o->sid, initiator, o->sent + i);
    o->sent += n;
    *end = o->sent == o->to_send && !o->holds_end;
    return n;
}

static void on_dgram(void *ctx, uint16_t seq, struct span data)
{
    struct owner *o = ctx;
    assert_int_equal(data.len, 2);
    assert_int_equal(be16_get(data.data), seq);
    o->dgrams++;
}

static void on_closed(void *ctx, unsigned code)
{
    struct owner *o = ctx;
    assert_false(o->closed);
    if (code == 0)
        assert_true(o->fin && o->unconsumed == 0);
    o->closed = true;
    o->code = code;
}

static const struct dchan_stream_ops owner_ops = { on_accepted, on_data, on_fin, on_pull, on_dgram,
                                                   on_closed };

static void on_put(void *ctx, struct span head, struct span body)
{
    struct side *side = ctx;
    buf_put_be32(&side->out, (uint32_t)(head.len + body.len));
    buf_put(&side->out, head.data, head.len);
    buf_put(&side->out, body.data, body.len);
}

static size_t on_backlog(void *ctx, uint64_t *age_ms)
{
    const struct side *side = ctx;
    *age_ms = side->backlog_age_ms;
    return side->backlog;
}

static enum err take_in(struct side *side, uint32_t sid)
{
    assert_true(side->n_theirs < STREAMS);
    struct owner *o = &side->theirs[side->n_theirs++];
    *o = (struct owner){ .side = side, .sid = sid, .to_send = side->answer_bytes,
                         .eager = side->eager, .holds_end = side->holds_end };
    const enum err rc = dchan_mux_accept(side->mux, sid, &owner_ops, o, *side->now_ms);
    if (rc == OK)
        dchan_mux_wake(side->mux, sid);
    else
        side->n_theirs--;
    return rc;
}

static void on_open(void *ctx, const struct dchan_s_open *m)
{
    struct side *side = ctx;
    side->last_open = m->sid;
    if (side->accepts)
        assert_int_equal(take_in(side, m->sid), OK);
}

static void on_withdrawn(void *ctx, uint32_t sid)
{
    struct side *side = ctx;
    (void)sid;
    side->withdrawn++;
}

struct pair {
    struct side sides[2]; /* 0 initiates */
    uint64_t now_ms;
};

static bool side_initiates(const struct side *side)
{
    return ((const struct pair *)(const void *)((const char *)side->now_ms -
                                                offsetof(struct pair, now_ms)))->sides == side;
}

static void side_init(struct pair *p, int i, bool stranger)
{
    struct side *side = &p->sides[i];
    side->now_ms = &p->now_ms;
    side->shares.granted_max = DCHAN_SHARES_MAX;
    side->shares.to_strangers_max = DCHAN_SHARES_STRANGERS_MAX;
    side->accepts = side->eager = true;
    buf_init(&side->out);
    side->mux = dchan_mux_new(&(struct dchan_mux_config){
        .role = i == 0 ? DCHAN_INITIATOR : DCHAN_RESPONDER, .stranger = stranger, .dgrams = true,
        .shares = &side->shares,
        .ops = { on_put, on_backlog, on_open, on_withdrawn, side } }, p->now_ms);
}

static struct pair *pair_new(bool stranger)
{
    struct pair *p = xcalloc(1, sizeof *p);
    p->now_ms = START;
    side_init(p, 0, stranger);
    side_init(p, 1, stranger);
    return p;
}

static void pair_free(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        dchan_mux_free(p->sides[i].mux);
        assert_int_equal(p->sides[i].shares.granted, 0);
        assert_int_equal(p->sides[i].shares.to_strangers, 0);
        buf_clear(&p->sides[i].out);
    }
    free(p);
}

static struct owner *open_stream(struct side *side, uint8_t priority, size_t to_send)
{
    struct owner *o = &side->mine[side->n_mine];
    *o = (struct owner){ .side = side, .to_send = to_send, .eager = side->eager };
    const enum err rc = dchan_mux_open(
        side->mux, &(struct dchan_open){ span_of("echo", 4), priority, span_of(NULL, 0) },
        &owner_ops, o, *side->now_ms, &o->sid);
    if (rc)
        return NULL;
    side->n_mine++;
    dchan_mux_wake(side->mux, o->sid);
    return o;
}

/* The message that is next on its way from a side; false: none. */
static bool next_message(struct side *from, struct dchan_msg *m)
{
    if (from->taken == from->out.len) {
        buf_reset(&from->out);
        from->taken = 0;
        return false;
    }
    const size_t len = be32_get(from->out.data + from->taken);
    const struct span raw = span_of(from->out.data + from->taken + 4, len);
    assert_int_equal(dchan_msg_read(m, raw, &all_features), DCHAN_READ_OK);
    from->taken += 4 + len;
    return true;
}

static enum dchan_error take(struct side *side, const struct dchan_msg *m)
{
    return dchan_mux_take(side->mux, m, *side->now_ms);
}

/* Everything that waits goes over, in both directions. */
static void settle(struct pair *p)
{
    struct dchan_msg m;
    bool moved;
    do {
        moved = false;
        for (int i = 0; i < 2; i++) {
            moved = dchan_mux_pump(p->sides[i].mux, 65536) || moved;
            while (next_message(&p->sides[i], &m)) {
                assert_int_equal(take(&p->sides[1 - i], &m), DCHAN_NO_ERROR);
                moved = true;
            }
        }
    } while (moved);
}

/* --- the model: who may send how much, from the messages alone --- */

struct half {
    uint32_t credit;
    bool known, ended;
};
struct model {
    struct half halves[2][2 * STREAMS + 2]; /* of the side that sends, by sid */
};

static void model_see(struct model *model, int from, const struct dchan_msg *m)
{
    switch (m->type) {
    case DCHAN_S_OPEN:
        model->halves[1 - from][m->s_open.sid].credit = m->s_open.window;
        break;
    case DCHAN_S_ACCEPT:
    case DCHAN_S_WINDOW:
        model->halves[1 - from][m->stream.sid].credit += m->stream.value;
        break;
    case DCHAN_S_FIN:
        assert_false(model->halves[from][m->stream.sid].ended);
        model->halves[from][m->stream.sid].ended = true;
        break;
    case DCHAN_S_RESET:
        model->halves[from][m->s_reset.sid].ended = true;
        break;
    case DCHAN_S_DATA:
        assert_false(model->halves[from][m->s_data.sid].ended);
        assert_true(m->s_data.data.len <= model->halves[from][m->s_data.sid].credit);
        model->halves[from][m->s_data.sid].credit -= (uint32_t)m->s_data.data.len;
        break;
    }
}

static uint64_t rng_state;

static uint32_t below(uint32_t n)
{
    rng_state = rng_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((rng_state >> 33) % n);
}

static struct owner *some_owner(struct side *side)
{
    const size_t n = side->n_mine + side->n_theirs;
    if (n == 0)
        return NULL;
    const size_t i = below((uint32_t)n);
    return i < side->n_mine ? &side->mine[i] : &side->theirs[i - side->n_mine];
}

static void consume(struct owner *o, size_t n)
{
    if (o->closed)
        return;
    n = MIN_OF(n, o->unconsumed);
    o->unconsumed -= n;
    dchan_mux_consumed(o->side->mux, o->sid, n, *o->side->now_ms);
}

static void random_step(struct side *side, struct side *other, struct model *model, int i,
                        bool resets)
{
    struct owner *o = some_owner(side);
    struct dchan_msg m;
    switch (below(8)) {
    case 0:
        if (side->n_mine < STREAMS / 2)
            open_stream(side, (uint8_t)below(8), below(8) ? below(90000) : below(900000));
        break;
    case 1:
        if (o)
            consume(o, below(300000));
        break;
    case 2:
        if (resets && o && below(10) == 0)
            dchan_mux_reset(side->mux, o->sid, DCHAN_RESET_CANCELLED);
        break;
    case 3:
    case 4:
        dchan_mux_pump(side->mux, below(40000));
        break;
    case 5:
        ++*side->now_ms;
        break;
    default: /* the pipe lets some through */
        for (uint32_t n = below(6); n > 0 && next_message(side, &m); n--) {
            model_see(model, i, &m);
            assert_int_equal(take(other, &m), DCHAN_NO_ERROR);
        }
    }
}

static void finish_all(struct side *side)
{
    side->eager = true;
    for (size_t i = 0; i < side->n_mine + side->n_theirs; i++) {
        struct owner *o = i < side->n_mine ? &side->mine[i] : &side->theirs[i - side->n_mine];
        o->eager = true;
        consume(o, o->unconsumed);
    }
}

/* What the opener sent the other side has, and back, unless it was reset. */
static void assert_all_arrived(const struct side *side, const struct side *other, bool resets)
{
    size_t complete = 0;
    for (size_t i = 0; i < side->n_mine; i++) {
        const struct owner *o = &side->mine[i];
        assert_true(o->closed);
        if (o->code) {
            assert_true(resets);
            continue;
        }
        for (size_t j = 0; j < other->n_theirs; j++)
            if (other->theirs[j].sid == o->sid && other->theirs[j].code == 0) {
                assert_int_equal(other->theirs[j].got, o->to_send);
                assert_int_equal(o->got, other->theirs[j].to_send);
                complete++;
            }
    }
    assert_true(complete > 0);
}

static void random_traffic(bool resets)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct pair *p = pair_new(false);
        struct model *model = xcalloc(1, sizeof *model);
        rng_state = seed * 7919;
        for (int i = 0; i < 2; i++) {
            p->sides[i].eager = false;
            p->sides[i].answer_bytes = below(200000);
            dchan_mux_set_rtt(p->sides[i].mux, 20);
        }
        for (int step = 0; step < 3000; step++) {
            const int i = (int)below(2);
            random_step(&p->sides[i], &p->sides[1 - i], model, i, resets);
            for (int j = 0; j < 2; j++)
                assert_true(dchan_mux_stats(p->sides[j].mux)->windows <= DCHAN_WINDOWS_CONTACT);
        }
        finish_all(&p->sides[0]);
        finish_all(&p->sides[1]);
        settle(p);
        for (int i = 0; i < 2; i++) {
            assert_all_arrived(&p->sides[i], &p->sides[1 - i], resets);
            assert_int_equal(dchan_mux_stats(p->sides[i].mux)->streams, 0);
            assert_int_equal(p->sides[i].shares.granted, 0);
        }
        free(model);
        pair_free(p);
    }
}

static void every_byte_arrives_once_and_in_order(void **state)
{
    (void)state;
    random_traffic(false);
}

static void streams_that_are_reset_leave_others_alone(void **state)
{
    (void)state;
    random_traffic(true);
}

/* --- the scheduler --- */

/* Of the next message that the side puts. */
static uint32_t sid_put_next(struct side *side)
{
    struct dchan_msg m;
    while (!next_message(side, &m))
        assert_true(dchan_mux_pump(side->mux, 1) > 0);
    return m.type == DCHAN_S_DATA ? m.s_data.sid : 0;
}

static void bulk_never_delays_a_lower_priority(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    (void)state;
    struct owner *bulk = open_stream(side, 5, 10 << 20), *voice = open_stream(side, 0, 300);
    voice->to_send = 0;
    voice->holds_end = true;
    voice->piece = 100;
    settle(p);
    bulk = &side->mine[side->n_mine++];
    *bulk = (struct owner){ .side = side, .to_send = 10 << 20 };
    assert_int_equal(dchan_mux_open(side->mux, &(struct dchan_open){ span_of("file", 4), 5,
                                                                    span_of(NULL, 0) },
                                    &owner_ops, bulk, p->now_ms, &bulk->sid), OK);
    dchan_mux_wake(side->mux, bulk->sid);
    struct dchan_msg m;
    for (int i = 0; i < 2; i++)
        while (next_message(&p->sides[i], &m))
            assert_int_equal(take(&p->sides[1 - i], &m), DCHAN_NO_ERROR);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sid_put_next(side), bulk->sid);
        voice->to_send += 100;
        dchan_mux_wake(side->mux, voice->sid);
        assert_int_equal(sid_put_next(side), voice->sid);
        dchan_mux_reset(side->mux, 99, DCHAN_RESET_LOCAL); /* unknown: nothing */
    }
    assert_true(bulk->sent <= 4 * DCHAN_DATA_MAX);
    dchan_mux_pump(side->mux, 1);
    assert_int_equal(open_stream(side, 7, 0)->sid, 7);
    assert_int_equal(sid_put_next(side), bulk->sid); /* it was put before the open */
    assert_int_equal(sid_put_next(side), 0);         /* which waits for no other data */
    pair_free(p);
}

static void streams_of_one_priority_share_by_bytes(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    struct owner *o[3];
    struct dchan_msg m;
    (void)state;
    p->sides[1].eager = false;
    for (int i = 0; i < 3; i++) {
        o[i] = open_stream(side, 3, 200000);
        o[i]->piece = i == 0 ? 1000 : i == 1 ? 16384 : 5000;
    }
    for (int i = 0; i < 2; i++)
        while (next_message(&p->sides[i], &m))
            assert_int_equal(take(&p->sides[1 - i], &m), DCHAN_NO_ERROR);
    dchan_mux_pump(side->mux, 300000);
    for (int i = 0; i < 3; i++) {
        assert_true(o[i]->sent > 80000);
        assert_true(o[i]->sent < 120000);
    }
    pair_free(p);
}

static void producers_are_asked_only_when_there_is_room(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    (void)state;
    p->sides[1].eager = false;
    struct owner *o = open_stream(side, 3, 10 << 20);
    assert_int_equal(dchan_mux_pump(side->mux, 100000), 0); /* not accepted yet */
    assert_int_equal(o->pulls, 0);
    settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START);
    const size_t pulls = o->pulls;
    assert_int_equal(dchan_mux_pump(side->mux, 100000), 0);
    assert_int_equal(o->pulls, pulls);
    struct owner *theirs = &p->sides[1].theirs[0];
    consume(theirs, DCHAN_WINDOW_START / 2 - 1);
    settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START); /* credit from half a window on */
    consume(theirs, 1);
    settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START + DCHAN_WINDOW_START / 2);
    pair_free(p);
}

static void an_end_needs_no_window(void **state)
{
    struct pair *p = pair_new(false);
    (void)state;
    p->sides[1].eager = false;
    struct owner *o = open_stream(&p->sides[0], 3, DCHAN_WINDOW_START);
    o->holds_end = true;
    settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START);
    assert_false(p->sides[1].theirs[0].fin);
    o->holds_end = false;
    dchan_mux_wake(p->sides[0].mux, o->sid);
    settle(p);
    assert_true(p->sides[1].theirs[0].fin);
    assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_START);
    consume(&p->sides[1].theirs[0], DCHAN_WINDOW_START);
    assert_int_equal(p->sides[1].shares.granted, 0);
    settle(p);
    assert_true(o->closed && o->code == 0);
    pair_free(p);
}

static void windows_grow_when_they_are_drained_fast(void **state)
{
    struct pair *p = pair_new(false);
    (void)state;
    dchan_mux_set_rtt(p->sides[1].mux, 50);
    p->sides[1].eager = false;
    open_stream(&p->sides[0], 3, 200 << 20);
    settle(p);
    for (int i = 0; i < 14; i++) {
        p->now_ms += i < 10 ? 10 : 1000;
        if (i == 10)
            assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_MAX);
        consume(&p->sides[1].theirs[0], SIZE_MAX);
        settle(p);
    }
    assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_MAX);
    pair_free(p);
    p = pair_new(false);
    dchan_mux_set_rtt(p->sides[1].mux, 50);
    p->sides[1].eager = false;
    open_stream(&p->sides[0], 3, 200 << 20);
    settle(p);
    for (int i = 0; i < 10; i++) {
        p->now_ms += 101;
        consume(&p->sides[1].theirs[0], SIZE_MAX);
        settle(p);
    }
    assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_START);
    pair_free(p);
}

/* --- limits --- */

static void windows_stay_within_the_shares(void **state)
{
    struct pair *p = pair_new(true);
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_non_null(open_stream(&p->sides[0], 3, 0));
    assert_int_equal(p->sides[0].shares.to_strangers, DCHAN_WINDOWS_STRANGER);
    assert_null(open_stream(&p->sides[0], 3, 0));
    pair_free(p);
    p = pair_new(false);
    p->sides[1].shares.granted_max = DCHAN_WINDOW_START + DCHAN_WINDOW_MIN;
    struct owner *o[3];
    for (int i = 0; i < 3; i++) {
        o[i] = open_stream(&p->sides[0], 3, 1);
        o[i]->holds_end = true;
    }
    settle(p);
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
    if (!next_message(side, &m))
        return 0;
    const int code = m.type == DCHAN_S_RESET ? m.s_reset.code : -1;
    assert_false(next_message(side, &m));
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
        error = take(side, &m);
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
        assert_int_equal(take(side, &m), DCHAN_NO_ERROR);
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
    while (open_stream(&p->sides[0], 3, 0))
        opened++;
    assert_int_equal(opened, DCHAN_OPENS_MAX);
    settle(p);
    p->now_ms += DCHAN_OPEN_TIMEOUT_MS;
    dchan_mux_tick(p->sides[0].mux, p->now_ms);
    assert_int_equal(p->sides[0].mine[0].code, DCHAN_RESET_IDLE);
    assert_int_equal(dchan_mux_stats(p->sides[0].mux)->streams, 0);
    settle(p);
    assert_int_equal(p->sides[1].withdrawn, DCHAN_OPENS_MAX);
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
    struct owner *o = open_stream(&p->sides[0], 3, 0);
    p->sides[1].answer_bytes = 1;
    p->sides[1].eager = false;
    p->sides[1].holds_end = true;
    o->holds_end = !ended;
    settle(p);
    return p;
}

static void assert_resets(struct pair *p, int i, struct dchan_msg m, int code)
{
    assert_int_equal(take(&p->sides[i], &m), DCHAN_NO_ERROR);
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
    assert_int_equal(take(side, &m), DCHAN_NO_ERROR);
    assert_int_equal(dchan_mux_accept(side->mux, 1, &counts, &got, p->now_ms), OK);
    assert_int_equal(reset_code(side), -1);
    for (int i = 0; i < DCHAN_WINDOW_START / DCHAN_DATA_MAX; i++) {
        m = data_msg(1, DCHAN_DATA_MAX);
        assert_int_equal(take(side, &m), DCHAN_NO_ERROR);
        assert_int_equal(reset_code(side), 0);
    }
    m = data_msg(1, 1);
    assert_int_equal(take(side, &m), DCHAN_NO_ERROR);
    assert_int_equal(reset_code(side), DCHAN_RESET_FLOW);
    assert_int_equal(got, DCHAN_WINDOW_START);
    assert_int_equal(take(side, &m), DCHAN_NO_ERROR); /* crossing the reset */
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
    open_stream(&p->sides[0], 3, 0);
    buf_reset(&p->sides[0].out);
    assert_resets(p, 0, data_msg(1, 1), DCHAN_RESET_FLOW);
    p = pair_new(false);
    open_stream(&p->sides[0], 3, 0);
    buf_reset(&p->sides[0].out);
    assert_resets(p, 0, number_msg(DCHAN_S_FIN, 1, 0), DCHAN_RESET_FLOW);
    p = pair_new(false);
    p->sides[1].accepts = false;
    struct dchan_msg m = open_msg(1);
    assert_int_equal(take(&p->sides[1], &m), DCHAN_NO_ERROR);
    assert_resets(p, 1, data_msg(1, 1), DCHAN_RESET_FLOW);
    m = open_msg(1);
    m.s_open.window = UINT32_MAX;
    assert_resets(pair_new(false), 1, m, DCHAN_RESET_FLOW);
    m.s_open.window = DCHAN_WINDOW_START;
    m.s_open.service = span_of("Not/So", 6);
    assert_resets(pair_new(false), 1, m, DCHAN_RESET_SERVICE);
}

static void assert_ends(struct pair *p, int i, struct dchan_msg m)
{
    assert_int_equal(take(&p->sides[i], &m), DCHAN_ERROR_MALFORMED);
    assert_int_equal(reset_code(&p->sides[i]), 0);
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
    assert_int_equal(take(&p->sides[1], &m), DCHAN_NO_ERROR);
    assert_int_equal(p->sides[1].theirs[0].code, DCHAN_RESET_CANCELLED);
    const struct dchan_msg after[] = {
        data_msg(1, 5), number_msg(DCHAN_S_FIN, 1, 0), number_msg(DCHAN_S_WINDOW, 1, 7), m,
        { .type = DCHAN_DGRAM_MSG, .dgram = { .sid = 1 } }
    };
    for (size_t i = 0; i < COUNT_OF(after); i++) {
        assert_int_equal(take(&p->sides[1], &after[i]), DCHAN_NO_ERROR);
        assert_int_equal(reset_code(&p->sides[1]), 0);
    }
    dchan_mux_reset(p->sides[0].mux, 1, DCHAN_RESET_CANCELLED);
    assert_int_equal(reset_code(&p->sides[0]), DCHAN_RESET_CANCELLED);
    m = number_msg(DCHAN_S_ACCEPT, 1, 99999);
    assert_int_equal(take(&p->sides[0], &m), DCHAN_NO_ERROR);
    pair_free(p);
}

/* --- going away --- */

static void nobody_opens_when_one_goes(void **state)
{
    struct pair *p = with_a_stream(false);
    (void)state;
    struct owner *late = open_stream(&p->sides[0], 3, 0);
    assert_int_equal(dchan_mux_goaway(p->sides[1].mux), 1);
    struct dchan_msg m;
    assert_true(next_message(&p->sides[0], &m));
    assert_int_equal(take(&p->sides[1], &m), DCHAN_NO_ERROR);
    assert_int_equal(reset_code(&p->sides[1]), DCHAN_RESET_REFUSED);
    m = data_msg(late->sid, 1); /* what follows a refused one */
    assert_int_equal(take(&p->sides[1], &m), DCHAN_NO_ERROR);
    dchan_mux_take_goaway(p->sides[0].mux, 1);
    assert_true(late->closed);
    assert_int_equal(late->code, DCHAN_RESET_REFUSED);
    assert_false(p->sides[0].mine[0].closed);
    assert_null(open_stream(&p->sides[0], 3, 0));
    assert_null(open_stream(&p->sides[1], 3, 0));
    p->sides[0].mine[0].holds_end = p->sides[1].theirs[0].holds_end = false;
    dchan_mux_wake(p->sides[0].mux, 1);
    dchan_mux_wake(p->sides[1].mux, 1);
    settle(p);
    consume(&p->sides[0].mine[0], SIZE_MAX);
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
    settle(p);
    assert_int_equal(p->sides[1].theirs[0].dgrams, 3);
    assert_false(send_dgram(side, 3, 0));
    struct owner *waiting = open_stream(side, 0, 0);
    assert_false(send_dgram(side, waiting->sid, 0));
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_arrives_once_and_in_order),
        cmocka_unit_test(streams_that_are_reset_leave_others_alone),
        cmocka_unit_test(bulk_never_delays_a_lower_priority),
        cmocka_unit_test(streams_of_one_priority_share_by_bytes),
        cmocka_unit_test(producers_are_asked_only_when_there_is_room),
        cmocka_unit_test(an_end_needs_no_window),
        cmocka_unit_test(windows_grow_when_they_are_drained_fast),
        cmocka_unit_test(windows_stay_within_the_shares),
        cmocka_unit_test(floods_of_opens_are_reset_and_then_end_the_channel),
        cmocka_unit_test(a_stranger_has_fewer_streams),
        cmocka_unit_test(we_keep_to_the_limits_ourselves),
        cmocka_unit_test(data_over_the_window_is_reset),
        cmocka_unit_test(what_a_stream_forbids_resets_it),
        cmocka_unit_test(sids_that_never_were_end_the_channel),
        cmocka_unit_test(sids_that_were_open_once_are_ignored),
        cmocka_unit_test(nobody_opens_when_one_goes),
        cmocka_unit_test(datagrams_are_dropped_rather_than_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

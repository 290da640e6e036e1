#include "tests/p2p/dchan_pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

#define START UINT64_C(1000000)

static const struct dchan_features all_features = { .offered = (1u << DCHAN_FEATURE_COUNT) - 1 };

static bool side_initiates(const struct side *side)
{
    return ((const struct pair *)(const void *)((const char *)side->now_ms -
                                                offsetof(struct pair, now_ms)))->sides == side;
}

/* The byte at an offset of a half. */
static uint8_t text_at(uint32_t sid, bool initiator, size_t at)
{
    return (uint8_t)((sid * 37u + (initiator ? 11u : 0) + at * 2654435761u) >> 7);
}

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
    if (o->resets_at && o->sent >= o->resets_at)
        dchan_mux_reset(o->side->mux, o->sid, DCHAN_RESET_LOCAL);
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

enum err side_accept(struct side *side, uint32_t sid)
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
        assert_int_equal(side_accept(side, m->sid), OK);
}

static void on_withdrawn(void *ctx, uint32_t sid)
{
    struct side *side = ctx;
    (void)sid;
    side->withdrawn++;
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

struct pair *pair_new(bool stranger)
{
    struct pair *p = xcalloc(1, sizeof *p);
    p->now_ms = START;
    side_init(p, 0, stranger);
    side_init(p, 1, stranger);
    return p;
}

void pair_free(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        dchan_mux_free(p->sides[i].mux);
        assert_int_equal(p->sides[i].shares.granted, 0);
        assert_int_equal(p->sides[i].shares.to_strangers, 0);
        buf_clear(&p->sides[i].out);
    }
    free(p);
}

struct owner *side_open(struct side *side, uint8_t priority, size_t to_send)
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

bool side_next(struct side *from, struct dchan_msg *m)
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

enum dchan_error side_take(struct side *side, const struct dchan_msg *m)
{
    return dchan_mux_take(side->mux, m, *side->now_ms);
}

void pair_settle(struct pair *p)
{
    struct dchan_msg m;
    bool moved;
    do {
        moved = false;
        for (int i = 0; i < 2; i++) {
            moved = dchan_mux_pump(p->sides[i].mux, 65536) || moved;
            while (side_next(&p->sides[i], &m)) {
                assert_int_equal(side_take(&p->sides[1 - i], &m), DCHAN_NO_ERROR);
                moved = true;
            }
        }
    } while (moved);
}

void owner_consume(struct owner *o, size_t n)
{
    if (o->closed)
        return;
    n = MIN_OF(n, o->unconsumed);
    o->unconsumed -= n;
    dchan_mux_consumed(o->side->mux, o->sid, n, *o->side->now_ms);
}

#include "p2p/stream_echo.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"

struct echo {
    struct local_stream base;
    struct buf held; /* not sent back yet; not consumed */
    size_t from;
    bool fin;
};

static uint64_t now_of(const struct echo *e)
{
    return channels_now(e->base.set->channels);
}

static void on_data(void *ctx, struct span data)
{
    struct echo *e = ctx;
    local_stream_count(&e->base, 0, data.len);
    if (!buf_try_reserve(&e->held, data.len)) {
        local_stream_reset(&e->base, DCHAN_RESET_LOCAL);
        return;
    }
    buf_put(&e->held, data.data, data.len);
    dchan_mux_wake(e->base.mux, e->base.sid);
}

static void on_fin(void *ctx)
{
    struct echo *e = ctx;
    e->fin = true;
    dchan_mux_wake(e->base.mux, e->base.sid);
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct echo *e = ctx;
    const size_t n = local_stream_room(&e->base, MIN_OF(max, e->held.len - e->from));
    if (n)
        memcpy(out, e->held.data + e->from, n);
    e->from += n;
    if (e->from > e->held.len / 2) {
        memmove(e->held.data, e->held.data + e->from, e->held.len - e->from);
        buf_truncate(&e->held, e->held.len - e->from);
        e->from = 0;
    }
    local_stream_count(&e->base, n, 0);
    *end = e->fin && e->held.len == 0;
    dchan_mux_consumed(e->base.mux, e->base.sid, n, now_of(e));
    return n;
}

static void on_dgram(void *ctx, uint16_t seq, struct span data)
{
    struct echo *e = ctx;
    (void)seq;
    if (!local_stream_room(&e->base, 1)) {
        e->base.dropped++;
        return;
    }
    local_stream_count(&e->base, data.len, data.len);
    e->base.dropped += !dchan_mux_send_dgram(e->base.mux, e->base.sid, data);
}

static void on_closed(void *ctx, unsigned code)
{
    struct echo *e = ctx;
    (void)code;
    local_stream_remove(&e->base);
    buf_clear(&e->held);
    free(e);
}

static const struct dchan_stream_ops echo_ops = { NULL, on_data, on_fin, on_pull, on_dgram,
                                                  on_closed };

static void withdraw(struct local_stream *s)
{
    on_closed(s, DCHAN_RESET_CANCELLED);
}

static void resume(struct local_stream *s)
{
    dchan_mux_wake(s->mux, s->sid);
}

void stream_echo_accept(struct local_streams *set, struct chan_peer *peer, struct dchan_mux *mux,
                        const struct dchan_s_open *m, struct stream_meter *meter)
{
    struct echo *e = xcalloc(1, sizeof *e);
    e->base = (struct local_stream){ .peer = peer, .mux = mux, .sid = m->sid, .meter = meter,
                                     .withdraw = withdraw, .resume = resume };
    buf_init(&e->held);
    local_stream_add(set, &e->base, m->service);
    if (dchan_mux_accept(mux, m->sid, &echo_ops, e, now_of(e)) != OK) {
        local_streams_withdrawn(set, mux, m->sid);
        return;
    }
    e->base.open = true;
    local_stream_keep_rate(&e->base);
}

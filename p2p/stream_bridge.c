/*
 * Every call of the mux may end the stream and free the bridge; after one that may, nothing of it
 * is touched.
 */
#include "p2p/stream_bridge.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define KEPT_MAX (128 << 10) /* of memory for what is held, when nothing is */

struct stream_bridge {
    struct local_stream base;
    struct stream_bridge_config config;
    struct event *readable, *writable;
    struct buf held;      /* arrived, not written */
    size_t held_from;     /* what of it is written already */
    bool fin;             /* nothing more arrives */
    bool deaf;            /* the program does not read any more: what arrives is discarded */
};

static uint64_t now_of(const struct stream_bridge *b)
{
    return channels_now(b->base.set->channels);
}

static bool is_socket(const struct stream_bridge *b)
{
    return b->config.ends.in == b->config.ends.out;
}

static void bridge_free(struct stream_bridge *b)
{
    local_stream_remove(&b->base);
    event_free(b->readable);
    event_free(b->writable);
    stream_ends_close(&b->config.ends);
    buf_clear(&b->held);
    free(b);
}

/* --- from here to the peer --- */

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct stream_bridge *b = ctx;
    max = local_stream_room(&b->base, max);
    if (max == 0)
        return 0;
    const ssize_t n = read(b->config.ends.in, out, max);
    if (n > 0) {
        local_stream_count(&b->base, (size_t)n, 0);
        return (size_t)n;
    }
    if (n == 0)
        *end = true;
    else if (errno == EAGAIN || errno == EINTR)
        event_add(b->readable, NULL);
    else
        local_stream_reset(&b->base, DCHAN_RESET_LOCAL);
    return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct stream_bridge *b = ctx;
    (void)fd;
    (void)what;
    dchan_mux_wake(b->base.mux, b->base.sid);
    local_stream_kick(&b->base);
}

/* --- from the peer to here --- */

static size_t held_bytes(const struct stream_bridge *b)
{
    return b->held.len - b->held_from;
}

static void end_output(struct stream_bridge *b)
{
    if (is_socket(b)) {
        (void)shutdown(b->config.ends.out, SHUT_WR);
        return;
    }
    close(b->config.ends.out);
    b->config.ends.out = -1;
}

/* A command that has closed its input goes on talking; a socket is gone with both halves. */
static ssize_t write_some(struct stream_bridge *b, struct span data)
{
    if (b->deaf || data.len == 0)
        return (ssize_t)data.len;
    const ssize_t n = write(b->config.ends.out, data.data, data.len);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    if (errno != EPIPE || is_socket(b))
        return -1;
    b->deaf = true;
    return (ssize_t)data.len;
}

static bool hold(struct stream_bridge *b, struct span data)
{
    if (b->held_from > b->held.len / 2) {
        memmove(b->held.data, b->held.data + b->held_from, held_bytes(b));
        buf_truncate(&b->held, held_bytes(b));
        b->held_from = 0;
    }
    if (!buf_try_reserve(&b->held, data.len))
        return false;
    buf_put(&b->held, data.data, data.len);
    return true;
}

/* Written at the end of this turn of the loop, in one piece with what else it brings: each write
 * may wake the program. */
static void on_data(void *ctx, struct span data)
{
    struct stream_bridge *b = ctx;
    local_stream_count(&b->base, 0, data.len);
    if (!held_bytes(b))
        event_active(b->writable, EV_WRITE, 0);
    if (!hold(b, data))
        local_stream_reset(&b->base, DCHAN_RESET_LOCAL);
}

static void empty(struct stream_bridge *b)
{
    if (b->held.cap > KEPT_MAX)
        buf_clear(&b->held);
    buf_reset(&b->held);
    b->held_from = 0;
}

static void write_held(struct stream_bridge *b)
{
    if (b->base.meter && stream_meter_is_over(b->base.meter))
        return; /* no window either, before it is paid */
    const ssize_t n = write_some(b, span_of(b->held.data + b->held_from, held_bytes(b)));
    if (n < 0) {
        local_stream_reset(&b->base, DCHAN_RESET_LOCAL);
        return;
    }
    b->held_from += (size_t)n;
    if (held_bytes(b)) {
        event_add(b->writable, NULL);
    } else {
        empty(b);
        if (b->fin)
            end_output(b);
    }
    dchan_mux_consumed(b->base.mux, b->base.sid, (size_t)n, now_of(b));
}

static void on_fin(void *ctx)
{
    struct stream_bridge *b = ctx;
    b->fin = true;
    if (!held_bytes(b))
        end_output(b);
}

/* --- beginning and end --- */

static void was_accepted(struct stream_bridge *b)
{
    b->base.open = true;
    if (b->config.accepted)
        b->config.accepted(b->config.ctx, &b->config.ends);
    dchan_mux_wake(b->base.mux, b->base.sid);
}

static void on_accepted(void *ctx)
{
    was_accepted(ctx);
}

/* What broke off must not look like an end, what never began like a break. */
static void finish_socket(const struct stream_bridge *b, unsigned code)
{
    const struct linger at_once = { .l_onoff = 1 };
    if (code && b->base.open)
        (void)setsockopt(b->config.ends.out, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    else if (code)
        stream_ends_dismiss(&b->config.ends);
}

/* The program has said nothing yet that went over. */
static bool is_unserved(const struct stream_bridge *b, unsigned code)
{
    return b->config.unserved && b->base.ours && !b->base.open && code == DCHAN_RESET_REFUSED &&
           dchan_mux_peer_goes(b->base.mux);
}

static void give_back(struct stream_bridge *b)
{
    const struct stream_bridge_config config = b->config;
    b->config.ends = (struct stream_ends){ .in = -1, .out = -1 };
    bridge_free(b);
    config.unserved(config.ctx, &config.ends, config.begun_ms);
}

static void on_closed(void *ctx, unsigned code)
{
    struct stream_bridge *b = ctx;
    if (is_unserved(b, code)) {
        give_back(b);
        return;
    }
    if (b->config.ended)
        b->config.ended(b->config.ctx, &b->config.ends, code, b->base.open);
    if (is_socket(b))
        finish_socket(b, code);
    bridge_free(b);
}

static const struct dchan_stream_ops bridge_ops = { on_accepted, on_data, on_fin, on_pull, NULL,
                                                    on_closed };

static void withdraw(struct local_stream *s)
{
    on_closed(s, DCHAN_RESET_CANCELLED);
}

static void resume(struct local_stream *s)
{
    struct stream_bridge *b = (struct stream_bridge *)s;
    dchan_mux_wake(s->mux, s->sid);
    if (held_bytes(b))
        event_active(b->writable, EV_WRITE, 0);
}

static void connected(struct stream_bridge *b)
{
    const int failed = b->config.ends.connecting ? stream_ends_error(&b->config.ends) : 0;
    b->config.ends.connecting = false;
    if (failed) {
        log_debug(LOGC_CHANNEL, "service %s: cannot reach its target: %s", b->base.service,
                  strerror(failed));
        local_stream_reset(&b->base, DCHAN_RESET_LOCAL);
        return;
    }
    struct local_streams *set = b->base.set;
    struct dchan_mux *mux = b->base.mux;
    const uint32_t sid = b->base.sid;
    if (dchan_mux_accept(mux, sid, &bridge_ops, b, now_of(b)) != OK) {
        local_streams_withdrawn(set, mux, sid); /* unless the mux has said so already */
        return;
    }
    local_stream_keep_rate(&b->base);
    was_accepted(b);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct stream_bridge *b = ctx;
    struct chan_peer *peer = b->base.peer;
    (void)fd;
    (void)what;
    if (b->config.ends.connecting)
        connected(b);
    else
        write_held(b);
    chan_peer_kick(peer);
}

static struct stream_bridge *bridge_new(const struct stream_bridge_config *config)
{
    struct stream_bridge *b = xcalloc(1, sizeof *b);
    struct event_base *base = channels_base(config->set->channels);
    b->config = *config;
    b->base.peer = config->peer;
    b->base.mux = config->mux;
    b->base.tag = config->tag;
    b->base.meter = config->meter;
    b->base.withdraw = withdraw;
    b->base.resume = resume;
    b->readable = xcheck(event_new(base, config->ends.in, EV_READ, on_readable, b));
    b->writable = xcheck(event_new(base, config->ends.out, EV_WRITE, on_writable, b));
    buf_init(&b->held);
    return b;
}

void stream_bridge_accept(const struct stream_bridge_config *config, uint32_t sid)
{
    struct stream_bridge *b = bridge_new(config);
    b->base.sid = sid;
    local_stream_add(config->set, &b->base, config->service);
    if (config->ends.connecting)
        event_add(b->writable, NULL);
    else
        connected(b);
}

enum err stream_bridge_open(const struct stream_bridge_config *config, uint8_t priority)
{
    if (local_streams_full(config->set))
        return ERR_BUSY;
    struct stream_bridge *b = bridge_new(config);
    b->base.ours = true;
    local_stream_add(config->set, &b->base, config->service);
    const enum err rc = dchan_mux_open(
        config->mux, &(struct dchan_open){ config->service, priority, { NULL, 0 } }, &bridge_ops, b,
        now_of(b), &b->base.sid);
    if (rc) {
        b->config.ends = (struct stream_ends){ .in = -1, .out = -1 };
        bridge_free(b);
        return rc;
    }
    local_stream_keep_rate(&b->base);
    return OK;
}

#include "p2p/stream_dgrams.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define EARLY_MAX 16384   /* bytes that wait for the stream */
#define READS_PER_TURN 64

struct stream_dgrams {
    struct local_stream base;
    struct stream_dgrams_config config;
    struct event *readable; /* of a socket of its own */
    struct buf early;       /* u16 length, datagram */
    bool fin;
};

static bool has_own_socket(const struct stream_dgrams *d)
{
    return d->config.program_len == 0;
}

static void on_closed(void *ctx, unsigned code)
{
    struct stream_dgrams *d = ctx;
    (void)code;
    if (d->config.ended)
        d->config.ended(d->config.ctx, d);
    local_stream_remove(&d->base);
    if (d->readable)
        event_free(d->readable);
    if (has_own_socket(d))
        close(d->config.fd);
    buf_clear(&d->early);
    free(d);
}

static void withdraw(struct local_stream *s)
{
    on_closed(s, DCHAN_RESET_CANCELLED);
}

/* What is not paid for is not delivered: nothing waits here. */
static bool may_deliver(struct stream_dgrams *d)
{
    if (local_stream_room(&d->base, 1))
        return true;
    d->base.dropped++;
    return false;
}

static void send_now(struct stream_dgrams *d, struct span data)
{
    if (!may_deliver(d))
        return;
    if (dchan_mux_send_dgram(d->base.mux, d->base.sid, data))
        local_stream_count(&d->base, data.len, 0);
    else
        d->base.dropped++;
}

void stream_dgrams_send(struct stream_dgrams *d, struct span data)
{
    if (d->base.open) {
        send_now(d, data);
    } else if (d->early.len + data.len > EARLY_MAX) {
        d->base.dropped++;
    } else {
        buf_put_be16(&d->early, (uint16_t)data.len);
        buf_put(&d->early, data.data, data.len);
    }
}

void stream_dgrams_kick(struct stream_dgrams *d)
{
    local_stream_kick(&d->base);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct stream_dgrams *d = ctx;
    uint8_t data[DCHAN_DGRAM_MAX + 1];
    (void)what;
    for (int i = 0; i < READS_PER_TURN; i++) {
        const ssize_t n = recv(fd, data, sizeof data, 0);
        if (n < 0) /* nothing more, or the target is not there */
            break;
        stream_dgrams_send(d, span_of(data, (size_t)n));
    }
    stream_dgrams_kick(d);
}

static void on_dgram(void *ctx, uint16_t seq, struct span data)
{
    struct stream_dgrams *d = ctx;
    (void)seq;
    if (!may_deliver(d))
        return;
    local_stream_count(&d->base, 0, data.len);
    const struct sockaddr *to = has_own_socket(d) ? NULL : (const void *)&d->config.program;
    (void)sendto(d->config.fd, data.data, data.len, MSG_DONTWAIT, to, d->config.program_len);
}

/* Bytes have no meaning here. */
static void on_data(void *ctx, struct span data)
{
    const struct stream_dgrams *d = ctx;
    dchan_mux_consumed(d->base.mux, d->base.sid, data.len, channels_now(d->base.set->channels));
}

static void on_fin(void *ctx)
{
    struct stream_dgrams *d = ctx;
    d->fin = true;
    dchan_mux_wake(d->base.mux, d->base.sid);
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    const struct stream_dgrams *d = ctx;
    (void)out;
    (void)max;
    *end = d->fin;
    return 0;
}

static void on_accepted(void *ctx)
{
    struct stream_dgrams *d = ctx;
    d->base.open = true;
    for (size_t at = 0; at < d->early.len;) {
        const size_t len = be16_get(d->early.data + at);
        send_now(d, span_of(d->early.data + at + 2, len));
        at += 2 + len;
    }
    buf_clear(&d->early);
}

static const struct dchan_stream_ops dgrams_ops = { on_accepted, on_data, on_fin, on_pull, on_dgram,
                                                    on_closed };

static struct stream_dgrams *dgrams_new(const struct stream_dgrams_config *config)
{
    struct stream_dgrams *d = xcalloc(1, sizeof *d);
    d->config = *config;
    d->base = (struct local_stream){
        .peer = config->peer, .mux = config->mux, .tag = config->tag, .meter = config->meter,
        .withdraw = withdraw
    };
    buf_init(&d->early);
    return d;
}

void stream_dgrams_accept(const struct stream_dgrams_config *config, uint32_t sid)
{
    struct local_streams *set = config->set;
    struct stream_dgrams *d = dgrams_new(config);
    d->base.sid = sid;
    local_stream_add(set, &d->base, config->service);
    if (dchan_mux_accept(config->mux, sid, &dgrams_ops, d, channels_now(set->channels)) != OK) {
        local_streams_withdrawn(set, config->mux, sid);
        return;
    }
    d->base.open = true;
    local_stream_keep_rate(&d->base);
    d->readable = xcheck(event_new(channels_base(set->channels), config->fd, EV_READ | EV_PERSIST,
                                   on_readable, d));
    event_add(d->readable, NULL);
}

enum err stream_dgrams_open(const struct stream_dgrams_config *config, uint8_t priority,
                            struct stream_dgrams **out)
{
    if (local_streams_full(config->set))
        return ERR_BUSY;
    struct stream_dgrams *d = dgrams_new(config);
    d->base.ours = true;
    d->base.idle_ms = STREAM_DGRAMS_QUIET_MS;
    local_stream_add(config->set, &d->base, config->service);
    const enum err rc = dchan_mux_open(
        config->mux, &(struct dchan_open){ config->service, priority, { NULL, 0 } }, &dgrams_ops, d,
        channels_now(config->set->channels), &d->base.sid);
    if (rc) {
        d->config.ended = NULL;
        withdraw(&d->base);
        return rc;
    }
    local_stream_keep_rate(&d->base);
    *out = d;
    return OK;
}

bool stream_dgrams_is_of(const struct stream_dgrams *d, const struct sockaddr_storage *program,
                         socklen_t len)
{
    return d->config.program_len == len && memcmp(&d->config.program, program, len) == 0;
}

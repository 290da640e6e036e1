/*
 * Sessions of ours whose bytes a contact relays: the stream to that contact is the connection, and
 * channels_attach makes a session of it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/chan_relay_internal.h"

#define LAST_BYTES_MS 10000 /* for the other side to end its half when ours has ended */

struct chan_relay_carried {
    struct list_link link;
    struct chan_relay *relay;
    struct chan_peer *by;         /* there until the stream is closed, as the mux */
    struct dchan_mux *mux;
    uint32_t sid;
    struct channel_identity *identity;
    struct chan_relay_attempt *attempt; /* that waits for it; NULL: none */
    bool initiator;
    uint8_t key[IDENTITY_KEY_SIZE]; /* initiator: whose */
    struct chan_pipe *pipe;       /* NULL: the session has ended, or did not begin */
    uint64_t ended_ms;            /* the session did, 0: not yet */
};

static uint64_t now_of(const struct chan_relay_carried *s)
{
    return channels_now(s->relay->channels);
}

/* --- the session --- */

static void on_wake(void *ctx)
{
    struct chan_relay_carried *s = ctx;
    dchan_mux_wake(s->mux, s->sid);
    chan_peer_kick(s->by);
}

/* Its last bytes were given to the stream, whose half ends behind them. */
static void on_session_closed(void *ctx)
{
    struct chan_relay_carried *s = ctx;
    s->pipe = NULL;
    s->ended_ms = now_of(s);
    on_wake(s);
}

static const struct chan_pipe_ops pipe_ops = { on_wake, on_session_closed };

static enum err attach(struct chan_relay_carried *s)
{
    const struct chan_pipe_config config = {
        .role = s->initiator ? DCHAN_INITIATOR : DCHAN_RESPONDER, .identity = s->identity,
        .key = s->initiator ? s->key : NULL, .ops = &pipe_ops, .ctx = s
    };
    const enum err rc = channels_attach(s->relay->channels, &config, &s->pipe);
    if (rc)
        log_debug(LOGC_CHANNEL, "direct channel: no session through a relay: %s", err_name(rc));
    return rc;
}

/* --- the stream --- */

static bool is_unwanted(const struct chan_relay_carried *s)
{
    return s->attempt && !chan_relay_attempt_wanted(s->attempt);
}

static void on_accepted(void *ctx)
{
    struct chan_relay_carried *s = ctx;
    if (is_unwanted(s) || attach(s))
        dchan_mux_reset(s->mux, s->sid, DCHAN_RESET_CANCELLED);
}

static void on_data(void *ctx, struct span data)
{
    struct chan_relay_carried *s = ctx;
    if (s->pipe)
        chan_pipe_push(s->pipe, data);
    dchan_mux_consumed(s->mux, s->sid, data.len, now_of(s));
}

static void on_fin(void *ctx)
{
    struct chan_relay_carried *s = ctx;
    if (s->pipe)
        chan_pipe_push_end(s->pipe);
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    const struct chan_relay_carried *s = ctx;
    *end = s->ended_ms != 0;
    return s->pipe && max ? chan_pipe_pull(s->pipe, out, max, end) : 0;
}

static void carried_free(struct chan_relay_carried *s)
{
    struct chan_relay_attempt *attempt = s->attempt;
    struct chan_relay *r = s->relay;
    if (s->pipe)
        chan_pipe_close(s->pipe);
    list_remove(&r->carried, &s->link);
    channel_identity_unref(s->identity);
    free(s);
    if (!attempt)
        return;
    attempt->active = NULL;
    chan_relay_attempt_failed(r, attempt);
}

static void on_closed(void *ctx, unsigned code)
{
    (void)code;
    carried_free(ctx);
}

/* Frees it. */
static void withdraw(struct chan_relay_carried *s)
{
    struct chan_peer *by = s->by;
    dchan_mux_reset(s->mux, s->sid, DCHAN_RESET_CANCELLED);
    chan_peer_kick(by);
}

static const struct dchan_stream_ops carried_ops = { on_accepted, on_data, on_fin, on_pull, NULL,
                                                     on_closed };

/* --- beginning --- */

static bool has_room(const struct chan_relay *r, const struct chan_peer *by)
{
    size_t n = 0;
    for (struct list_link *l = list_first(&r->carried); l; l = list_next(&r->carried, l))
        n += LIST_ITEM(l, struct chan_relay_carried, link)->by == by;
    return n < CHAN_RELAY_CARRIED_PER_CONTACT && r->carried.n < CHAN_RELAY_CARRIED_MAX;
}

static struct chan_relay_carried *carried_new(struct chan_relay *r, struct chan_peer *by,
                                         struct dchan_mux *mux,
                                         const struct channel_identity *identity)
{
    struct chan_relay_carried *s = xcalloc(1, sizeof *s);
    *s = (struct chan_relay_carried){ .relay = r, .by = by, .mux = mux };
    s->identity = channel_identity_ref((struct channel_identity *)identity);
    list_append(&r->carried, &s->link);
    return s;
}

void chan_relay_carry_accept(struct chan_relay *r, struct chan_peer *by, struct dchan_mux *mux,
                             uint32_t sid)
{
    if (!has_room(r, by)) {
        dchan_mux_reset(mux, sid, DCHAN_RESET_LIMIT);
        return;
    }
    struct chan_relay_carried *s = carried_new(r, by, mux, chan_peer_identity(by));
    s->sid = sid;
    if (attach(s)) {
        carried_free(s);
        dchan_mux_reset(mux, sid, DCHAN_RESET_LIMIT);
    } else if (dchan_mux_accept(mux, sid, &carried_ops, s, now_of(s)) != OK) {
        carried_free(s);
    }
}

bool chan_relay_carry_begin(struct chan_relay *r, struct chan_peer *by,
                            struct chan_relay_attempt *attempt)
{
    struct dchan_mux *mux = chan_peer_mux(by);
    if (!mux || !has_room(r, by))
        return false;
    struct chan_relay_carried *s =
        carried_new(r, by, mux, chan_peer_identity(attempt->target));
    s->initiator = true;
    memcpy(s->key, chan_peer_key(attempt->target), sizeof s->key);
    if (chan_relay_open(mux, s->key, CHAN_RELAY_PRIORITY, &carried_ops, s, now_of(s), &s->sid)) {
        carried_free(s);
        return false;
    }
    s->attempt = attempt;
    attempt->active = s;
    chan_peer_kick(by);
    return true;
}

void chan_relay_carry_forget(struct chan_relay_carried *s)
{
    s->attempt = NULL;
    if (!s->pipe && !s->ended_ms)
        withdraw(s);
}

/* --- the set --- */

static struct chan_relay_carried *overdue(const struct chan_relay *r, uint64_t now_ms)
{
    for (struct list_link *l = list_first(&r->carried); l; l = list_next(&r->carried, l)) {
        struct chan_relay_carried *s = LIST_ITEM(l, struct chan_relay_carried, link);
        const bool is_over = s->ended_ms ? now_ms - s->ended_ms >= LAST_BYTES_MS
                                         : !s->pipe && is_unwanted(s);
        if (is_over)
            return s;
    }
    return NULL;
}

void chan_relay_carry_tick(struct chan_relay *r, uint64_t now_ms)
{
    struct chan_relay_carried *s;
    while ((s = overdue(r, now_ms)))
        withdraw(s);
}

void chan_relay_carry_clear(struct chan_relay *r)
{
    while (list_first(&r->carried))
        carried_free(LIST_ITEM(list_first(&r->carried), struct chan_relay_carried, link));
}

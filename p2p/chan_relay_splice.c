/*
 * Two streams that are joined: what comes from one waits here, counting against its window, until
 * the other has room. Any call of a mux may end either stream; the last one to go frees both.
 */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/chan_relay_internal.h"

struct splice_end {
    struct splice *splice;
    struct chan_peer *peer; /* there until it is gone, as the mux */
    struct dchan_mux *mux;
    uint32_t sid;
    uint8_t key[IDENTITY_KEY_SIZE]; /* of the peer */
    struct buf held;      /* arrived here, for the other end */
    size_t from;
    bool fin, gone;
};

struct splice {
    struct list_link link;
    struct chan_relay *relay;
    uint64_t contact;     /* who asked */
    bool open;            /* both are */
    uint64_t since_ms, bytes;
    struct splice_end ends[2]; /* 0: who asked; not accepted before the other one is */
};

static struct splice_end *other_of(struct splice_end *e)
{
    return &e->splice->ends[e == &e->splice->ends[0]];
}

static uint64_t now_of(const struct splice_end *e)
{
    return channels_now(e->splice->relay->channels);
}

static void splice_free(struct splice *s)
{
    list_remove(&s->relay->splices, &s->link);
    buf_clear(&s->ends[0].held);
    buf_clear(&s->ends[1].held);
    free(s);
}

static void wake(struct splice_end *e)
{
    struct chan_peer *peer = e->peer;
    if (e->gone)
        return;
    dchan_mux_wake(e->mux, e->sid);
    chan_peer_kick(peer);
}

/* --- ends --- */

/* The splice may be gone afterwards. */
static void reset_end(struct splice_end *e, enum dchan_reset code)
{
    struct dchan_mux *mux = e->mux;
    struct chan_peer *peer = e->peer;
    const uint32_t sid = e->sid;
    if (e == &e->splice->ends[0] && !e->splice->open) {
        e->gone = true; /* nobody is told of its end */
        if (other_of(e)->gone)
            splice_free(e->splice);
    }
    dchan_mux_reset(mux, sid, code);
    chan_peer_kick(peer);
}

static enum dchan_reset passed_on(unsigned code)
{
    switch (code) {
    case DCHAN_RESET_REFUSED:
    case DCHAN_RESET_SERVICE:
        return DCHAN_RESET_SERVICE;
    case DCHAN_RESET_LIMIT:
        return DCHAN_RESET_LIMIT;
    default:
        return DCHAN_RESET_CANCELLED;
    }
}

static void on_closed(void *ctx, unsigned code)
{
    struct splice_end *e = ctx;
    e->gone = true;
    if (other_of(e)->gone)
        splice_free(e->splice);
    else if (code)
        reset_end(other_of(e), passed_on(code));
}

/* --- bytes --- */

static size_t held_bytes(const struct splice_end *e)
{
    return e->held.len - e->from;
}

static void on_data(void *ctx, struct span data)
{
    struct splice_end *e = ctx;
    struct splice *s = e->splice;
    s->bytes += data.len;
    if (!chan_relay_user_take(s->relay, s->contact, data.len) ||
        !buf_try_reserve(&e->held, data.len)) {
        reset_end(e, DCHAN_RESET_LIMIT); /* and by its end the other one */
        return;
    }
    buf_put(&e->held, data.data, data.len);
    wake(other_of(e));
}

static void on_fin(void *ctx)
{
    struct splice_end *e = ctx;
    e->fin = true;
    wake(other_of(e));
}

static void drop_taken(struct splice_end *e)
{
    if (e->held.len == 0 || e->from < e->held.len / 2)
        return;
    memmove(e->held.data, e->held.data + e->from, held_bytes(e));
    buf_truncate(&e->held, held_bytes(e));
    e->from = 0;
    if (e->held.len == 0)
        buf_clear(&e->held);
}

/* What the other end has. */
static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct splice_end *e = ctx, *source = other_of(e);
    struct chan_peer *peer = source->peer;
    const size_t n = MIN_OF(max, held_bytes(source));
    if (n)
        memcpy(out, source->held.data + source->from, n);
    source->from += n;
    *end = source->fin && held_bytes(source) == 0;
    drop_taken(source);
    if (n && !source->gone) {
        dchan_mux_consumed(source->mux, source->sid, n, now_of(e));
        chan_peer_kick(peer);
    }
    return n;
}

/* --- beginning --- */

static const struct dchan_stream_ops from_ops = { NULL, on_data, on_fin, on_pull, NULL, on_closed };

/* Who was asked is there: so is who asked. */
static void on_accepted(void *ctx)
{
    struct splice_end *to = ctx, *from = other_of(to);
    struct chan_peer *peer = from->peer;
    if (from->gone)
        return;
    from->gone = true; /* should it be withdrawn in there */
    if (dchan_mux_accept(from->mux, from->sid, &from_ops, from, now_of(to)) != OK) {
        reset_end(to, DCHAN_RESET_CANCELLED);
        return;
    }
    from->gone = false;
    to->splice->open = true;
    wake(from);
    wake(to);
    chan_peer_kick(peer);
}

static const struct dchan_stream_ops to_ops = { on_accepted, on_data, on_fin, on_pull, NULL,
                                                on_closed };

static void end_init(struct splice *s, int i, struct chan_peer *peer, struct dchan_mux *mux)
{
    struct splice_end *e = &s->ends[i];
    *e = (struct splice_end){ .splice = s, .peer = peer, .mux = mux };
    memcpy(e->key, chan_peer_key(peer), sizeof e->key);
    buf_init(&e->held);
}

void chan_relay_splice_begin(struct chan_relay *r, struct chan_peer *from, struct dchan_mux *mux,
                             const struct dchan_s_open *m, struct chan_peer *to,
                             const uint8_t *key)
{
    struct splice *s = xcalloc(1, sizeof *s);
    *s = (struct splice){ .relay = r, .contact = chan_peer_contact(from)->id,
                          .since_ms = channels_now(r->channels) };
    end_init(s, 0, from, mux);
    end_init(s, 1, to, chan_peer_mux(to));
    s->ends[0].sid = m->sid;
    list_append(&r->splices, &s->link);
    if (chan_relay_open(s->ends[1].mux, key, m->priority, &to_ops, &s->ends[1],
                   channels_now(r->channels), &s->ends[1].sid)) {
        s->ends[1].gone = true;
        reset_end(&s->ends[0], DCHAN_RESET_LIMIT);
        return;
    }
    chan_peer_kick(to);
}

/* --- the set --- */

size_t chan_relay_splice_count(const struct chan_relay *r, uint64_t contact)
{
    size_t n = 0;
    for (struct list_link *l = list_first(&r->splices); l; l = list_next(&r->splices, l))
        n += LIST_ITEM(l, struct splice, link)->contact == contact;
    return n;
}

void chan_relay_splice_withdrawn(struct chan_relay *r, struct dchan_mux *mux, uint32_t sid)
{
    for (struct list_link *l = list_first(&r->splices); l; l = list_next(&r->splices, l)) {
        struct splice *s = LIST_ITEM(l, struct splice, link);
        if (s->open || s->ends[0].gone || s->ends[0].mux != mux || s->ends[0].sid != sid)
            continue;
        on_closed(&s->ends[0], DCHAN_RESET_CANCELLED);
        return;
    }
}

void chan_relay_splice_gone(struct chan_relay *r, const uint8_t *key)
{
    struct list_link *l = list_first(&r->splices);
    while (l) {
        struct splice *s = LIST_ITEM(l, struct splice, link);
        if (!mem_equal_var(s->ends[0].key, key, IDENTITY_KEY_SIZE) &&
            !mem_equal_var(s->ends[1].key, key, IDENTITY_KEY_SIZE)) {
            l = list_next(&r->splices, l);
            continue;
        }
        reset_end(&s->ends[s->ends[0].gone], DCHAN_RESET_CANCELLED);
        l = list_first(&r->splices);
    }
}

void chan_relay_splice_clear(struct chan_relay *r)
{
    while (list_first(&r->splices))
        splice_free(LIST_ITEM(list_first(&r->splices), struct splice, link));
}

void chan_relay_each(const struct chan_relay *r, void (*fn)(const struct relayed *s, void *ctx),
                     void *ctx)
{
    for (struct list_link *l = list_first(&r->splices); l; l = list_next(&r->splices, l)) {
        const struct splice *s = LIST_ITEM(l, struct splice, link);
        fn(&(struct relayed){ s->ends[0].key, s->ends[1].key, s->open, s->bytes, s->since_ms },
           ctx);
    }
}

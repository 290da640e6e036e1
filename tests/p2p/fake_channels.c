#include "tests/p2p/fake_channels.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

#define START UINT64_C(1000000)
#define TURN_ROOM 65536
#define PATIENCE 20000 /* turns of a millisecond */

static const struct dchan_features all_features = { .offered = (1u << DCHAN_FEATURE_COUNT) - 1 };

/* --- channels.h --- */

void channels_add_part(struct channels *c, const struct channel_part *part)
{
    assert_true(c->n_parts < COUNT_OF(c->parts));
    c->parts[c->n_parts++] = *part;
}

struct event_base *channels_base(struct channels *c)
{
    return c->base;
}

struct dchan_store *channels_store(struct channels *c)
{
    return c->store;
}

struct contacts *channels_contacts(struct channels *c)
{
    return (struct contacts *)(void *)c->fake;
}

uint64_t channels_now(struct channels *c)
{
    return c->now_ms;
}

struct chan_peer *channels_peer_of(struct channels *c, struct contact *contact)
{
    return contact == c->fake->peer.contact ? &c->fake->peer : NULL;
}

void channels_each_peer(struct channels *c, void (*fn)(struct chan_peer *p, void *ctx), void *ctx)
{
    fn(&c->fake->peer, ctx);
}

struct channels *chan_peer_channels(struct chan_peer *p)
{
    return &p->fake->channels;
}

const uint8_t *chan_peer_key(const struct chan_peer *p)
{
    return p->key;
}

struct contact *chan_peer_contact(struct chan_peer *p)
{
    return p->contact;
}

bool chan_peer_is_up(const struct chan_peer *p)
{
    return p->up;
}

struct dchan_mux *chan_peer_mux(struct chan_peer *p)
{
    return p->up && !p->no_streams ? p->fake->near : NULL;
}

void chan_peer_kick(struct chan_peer *p)
{
    p->kicks++;
}

void chan_peer_dial(struct chan_peer *p, bool now)
{
    (void)now;
    p->dials++;
}

bool chan_peer_is_quiet(const struct chan_peer *p)
{
    return p->quiet;
}

void chan_peer_get_info(struct chan_peer *p, struct chan_peer_info *out)
{
    *out = (struct chan_peer_info){ .state = p->up ? CHAN_PEER_UP : p->state };
}

/* --- contacts.h --- */

static struct fake *fake_of(struct contacts *c)
{
    return (struct fake *)(void *)c;
}

struct contact *contacts_by_id(struct contacts *c, uint64_t id)
{
    struct fake *f = fake_of(c);
    for (size_t i = 0; i < f->n_contacts; i++)
        if (f->contacts[i].id == id)
            return &f->contacts[i];
    return NULL;
}

struct contact *contacts_find(struct contacts *c, const char *text)
{
    struct fake *f = fake_of(c);
    for (size_t i = 0; i < f->n_contacts; i++)
        if (strcmp(f->contacts[i].alias, text) == 0)
            return &f->contacts[i];
    return NULL;
}

/* --- the far side --- */

static void on_accepted(void *ctx)
{
    struct far *s = ctx;
    s->accepted = true;
}

static void on_data(void *ctx, struct span data)
{
    struct far *s = ctx;
    assert_false(s->fin || s->closed);
    buf_put(&s->in, data.data, data.len);
    s->unread += data.len;
    if (!s->lazy)
        far_consume(s);
}

static void on_fin(void *ctx)
{
    struct far *s = ctx;
    s->fin = true;
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct far *s = ctx;
    const size_t n = MIN_OF(max, s->out.len - s->sent);
    if (n)
        memcpy(out, s->out.data + s->sent, n);
    s->sent += n;
    *end = s->ends && s->sent == s->out.len;
    return n;
}

static void on_dgram(void *ctx, uint16_t seq, struct span data)
{
    struct far *s = ctx;
    (void)seq;
    s->dgrams++;
    memcpy(s->dgram, data.data, data.len);
    s->dgram_len = data.len;
}

static void on_closed(void *ctx, unsigned code)
{
    struct far *s = ctx;
    assert_false(s->closed);
    s->closed = true;
    s->code = code;
}

static const struct dchan_stream_ops far_ops = { on_accepted, on_data, on_fin, on_pull, on_dgram,
                                                 on_closed };

static struct far *add_stream(struct fake *f, struct span service)
{
    assert_true(f->n_streams < FAKE_FAR_STREAMS);
    struct far *s = &f->streams[f->n_streams++];
    *s = (struct far){ .fake = f };
    buf_init(&s->out);
    buf_init(&s->in);
    memcpy(s->service, service.data, service.len);
    return s;
}

struct far *far_open(struct fake *f, const char *service)
{
    struct far *s = add_stream(f, span_of(service, strlen(service)));
    assert_int_equal(dchan_mux_open(f->far, &(struct dchan_open){ span_of(service, strlen(service)),
                                                                  1, { NULL, 0 } },
                                    &far_ops, s, f->channels.now_ms, &s->sid), OK);
    return s;
}

void far_send(struct far *s, const void *data, size_t len)
{
    buf_put(&s->out, data, len);
    dchan_mux_wake(s->fake->far, s->sid);
}

void far_end(struct far *s)
{
    s->ends = true;
    dchan_mux_wake(s->fake->far, s->sid);
}

void far_consume(struct far *s)
{
    const size_t n = s->unread;
    s->unread = 0;
    dchan_mux_consumed(s->fake->far, s->sid, n, s->fake->channels.now_ms);
}

static void far_opened(void *ctx, const struct dchan_s_open *m)
{
    struct fake *f = ctx;
    if (!f->accepts) {
        dchan_mux_reset(f->far, m->sid, DCHAN_RESET_SERVICE);
        return;
    }
    struct far *s = add_stream(f, m->service);
    s->sid = m->sid;
    s->priority = m->priority;
    s->lazy = f->lazy;
    if (!f->silent)
        far_accept(s);
}

void far_accept(struct far *s)
{
    struct fake *f = s->fake;
    assert_int_equal(dchan_mux_accept(f->far, s->sid, &far_ops, s, f->channels.now_ms), OK);
    s->accepted = true;
}

/* --- the near side --- */

static void near_opened(void *ctx, const struct dchan_s_open *m)
{
    struct fake *f = ctx;
    for (size_t i = 0; i < f->channels.n_parts; i++) {
        const struct channel_part *part = &f->channels.parts[i];
        if (part->open && part->open(part->ctx, &f->peer, f->near, m))
            return;
    }
    dchan_mux_reset(f->near, m->sid, DCHAN_RESET_SERVICE);
}

static void near_withdrawn(void *ctx, uint32_t sid)
{
    struct fake *f = ctx;
    for (size_t i = 0; i < f->channels.n_parts; i++) {
        const struct channel_part *part = &f->channels.parts[i];
        if (part->withdrawn)
            part->withdrawn(part->ctx, &f->peer, f->near, sid);
    }
}

/* --- the wire --- */

static void put_on(struct buf *wire, struct span head, struct span body)
{
    buf_put_be32(wire, (uint32_t)(head.len + body.len));
    buf_put(wire, head.data, head.len);
    buf_put(wire, body.data, body.len);
}

static void near_put(void *ctx, struct span head, struct span body)
{
    put_on(&((struct fake *)ctx)->wire[0], head, body);
}

static void far_put(void *ctx, struct span head, struct span body)
{
    put_on(&((struct fake *)ctx)->wire[1], head, body);
}

static size_t near_backlog(void *ctx, uint64_t *age_ms)
{
    *age_ms = 0;
    return ((const struct fake *)ctx)->backlog;
}

static size_t no_backlog(void *ctx, uint64_t *age_ms)
{
    (void)ctx;
    *age_ms = 0;
    return 0;
}

static void far_withdrawn(void *ctx, uint32_t sid)
{
    (void)ctx;
    (void)sid;
}

/* All that was put before goes over; true: there was something. */
static bool deliver(struct fake *f, int from)
{
    struct buf wire = f->wire[from];
    struct dchan_mux *to = from == 0 ? f->far : f->near;
    buf_init(&f->wire[from]);
    for (size_t at = 0; at < wire.len;) {
        const size_t len = be32_get(wire.data + at);
        struct dchan_msg m;
        assert_int_equal(dchan_msg_read(&m, span_of(wire.data + at + 4, len), &all_features),
                         DCHAN_READ_OK);
        assert_int_equal(dchan_mux_take(to, &m, f->channels.now_ms), DCHAN_NO_ERROR);
        at += 4 + len;
    }
    const bool moved = wire.len != 0;
    buf_clear(&wire);
    return moved;
}

static bool turn(struct fake *f)
{
    bool moved = false;
    event_base_loop(f->channels.base, EVLOOP_NONBLOCK);
    dchan_store_poll(f->channels.store);
    for (int i = 0; i < 2 && f->near; i++) {
        moved = dchan_mux_pump(i == 0 ? f->near : f->far, TURN_ROOM) || moved;
        moved = deliver(f, i) || moved;
    }
    return moved;
}

void fake_settle(struct fake *f)
{
    for (int quiet = 0; quiet < 3; quiet++)
        if (turn(f))
            quiet = 0;
}

void fake_until(struct fake *f, bool (*holds)(void *ctx), void *ctx)
{
    for (int i = 0; i < PATIENCE && !holds(ctx); i++)
        if (!turn(f))
            usleep(1000);
    assert_true(holds(ctx));
}

struct wanted { const struct far *s; size_t bytes; };

static bool has_bytes(void *ctx)
{
    const struct wanted *w = ctx;
    return w->s->in.len >= w->bytes;
}

void far_await(struct far *s, size_t bytes)
{
    fake_until(s->fake, has_bytes, &(struct wanted){ s, bytes });
}

static bool has_fin(void *ctx)
{
    return ((const struct far *)ctx)->fin;
}

void far_await_fin(struct far *s)
{
    fake_until(s->fake, has_fin, s);
}

static bool is_closed(void *ctx)
{
    return ((const struct far *)ctx)->closed;
}

void far_await_closed(struct far *s)
{
    fake_until(s->fake, is_closed, s);
}

/* --- life --- */

static void wake_nobody(void *ctx)
{
    (void)ctx;
}

void fake_up(struct fake *f)
{
    f->peer.up = true;
    f->near = dchan_mux_new(&(struct dchan_mux_config){
        .role = DCHAN_INITIATOR, .dgrams = true, .shares = &f->shares[0],
        .ops = { near_put, near_backlog, near_opened, near_withdrawn, f } }, f->channels.now_ms);
    f->far = dchan_mux_new(&(struct dchan_mux_config){
        .role = DCHAN_RESPONDER, .dgrams = true, .shares = &f->shares[1],
        .ops = { far_put, no_backlog, far_opened, far_withdrawn, f } }, f->channels.now_ms);
    for (size_t i = 0; i < f->channels.n_parts; i++)
        if (f->channels.parts[i].up)
            f->channels.parts[i].up(f->channels.parts[i].ctx, &f->peer);
}

void fake_down(struct fake *f)
{
    f->peer.up = false;
    dchan_mux_end(f->near, DCHAN_RESET_TRUNCATED);
    dchan_mux_end(f->far, DCHAN_RESET_TRUNCATED);
    for (size_t i = 0; i < f->channels.n_parts; i++)
        if (f->channels.parts[i].down)
            f->channels.parts[i].down(f->channels.parts[i].ctx, &f->peer,
                                      &(struct dchan_closing){ DCHAN_CLOSED_TRUNCATED, 0,
                                                               { NULL, 0 } });
    dchan_mux_free(f->near);
    dchan_mux_free(f->far);
    f->near = f->far = NULL;
    buf_clear(&f->wire[0]);
    buf_clear(&f->wire[1]);
}

struct contact *fake_add_contact(struct fake *f, const char *alias)
{
    assert_true(f->n_contacts < FAKE_CONTACTS);
    struct contact *contact = &f->contacts[f->n_contacts++];
    *contact = (struct contact){ .id = f->n_contacts };
    memcpy(contact->alias, alias, strlen(alias) + 1);
    return contact;
}

struct fake *fake_new(void)
{
    struct fake *f = xcalloc(1, sizeof *f);
    struct error e;
    evthread_use_pthreads();
    f->channels.fake = f->peer.fake = f;
    f->channels.base = xcheck(event_base_new());
    f->channels.now_ms = START;
    f->channels.kv = kv_open_mem();
    assert_int_equal(dchan_store_new(&f->channels.store, f->channels.kv, wake_nobody, NULL, &e),
                     OK);
    f->peer.contact = fake_add_contact(f, "bob");
    memset(f->peer.key, 2, sizeof f->peer.key);
    for (int i = 0; i < 2; i++) {
        f->shares[i].granted_max = DCHAN_SHARES_MAX;
        f->shares[i].to_strangers_max = DCHAN_SHARES_STRANGERS_MAX;
        buf_init(&f->wire[i]);
    }
    fake_up(f);
    return f;
}

void fake_free(struct fake *f)
{
    if (f->near)
        fake_down(f);
    assert_int_equal(f->shares[0].granted, 0);
    dchan_store_free(f->channels.store);
    event_base_free(f->channels.base);
    for (size_t i = 0; i < f->n_streams; i++) {
        buf_clear(&f->streams[i].out);
        buf_clear(&f->streams[i].in);
    }
    free(f);
}

void fake_tick(struct fake *f, uint64_t ms)
{
    f->channels.now_ms += ms;
    for (size_t i = 0; i < f->channels.n_parts; i++)
        if (f->channels.parts[i].tick)
            f->channels.parts[i].tick(f->channels.parts[i].ctx, f->channels.now_ms);
    fake_settle(f);
}

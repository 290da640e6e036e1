#include "tests/p2p/net_fixture.h"

#include <event2/thread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

static int32_t height(void *ctx)
{
    (void)ctx;
    return 7;
}

static void on_ready(void *ctx, struct peer *p)
{
    struct side *s = ctx;
    s->ready++;
    s->peer = p;
}

static void on_close(void *ctx, struct peer *p)
{
    struct side *s = ctx;
    s->closed++;
    if (s->peer == p)
        s->peer = NULL;
}

static void on_headers(void *ctx, struct peer *p, const struct block_header *h, size_t n)
{
    struct side *s = ctx;
    (void)p;
    s->header_messages++;
    s->headers += n;
    if (n > 0)
        s->last_header = h[n - 1];
}

static void record(struct side *s, enum msg_id id, const struct inv_item *items, size_t n)
{
    s->last_list = id;
    s->n_items += n;
    memcpy(s->items, items, sizeof(*items) * (n < 8 ? n : 8));
}

static void on_inv(void *ctx, struct peer *p, const struct inv_item *items, size_t n)
{
    (void)p;
    record(ctx, MSG_INV, items, n);
}

static void on_getdata(void *ctx, struct peer *p, const struct inv_item *items, size_t n)
{
    (void)p;
    record(ctx, MSG_GETDATA, items, n);
}

static void on_notfound(void *ctx, struct peer *p, const struct inv_item *items, size_t n)
{
    (void)p;
    record(ctx, MSG_NOTFOUND, items, n);
}

static void on_locator(void *ctx, struct peer *p, const struct msg_locator *m)
{
    struct side *s = ctx;
    (void)p;
    s->locators += (unsigned)m->n;
}

static void on_tx(void *ctx, struct peer *p, struct span raw, const struct txid *id)
{
    struct side *s = ctx;
    (void)p;
    buf_reset(&s->tx);
    buf_put(&s->tx, raw.data, raw.len);
    s->tx_id = *id;
}

static void on_reject(void *ctx, struct peer *p, const struct msg_reject *m)
{
    struct side *s = ctx;
    (void)p;
    s->reject_code = m->code;
}

static void on_fee(void *ctx, struct peer *p, int64_t fee)
{
    struct side *s = ctx;
    (void)p;
    s->fee = fee;
}

static void on_room(void *ctx, struct peer *p)
{
    struct side *s = ctx;
    (void)p;
    s->rooms++;
}

static enum stream_choice stream_begin(void *ctx, struct peer *p, enum msg_id id, uint64_t size,
                                       const uint8_t *checksum)
{
    struct side *s = ctx;
    (void)p;
    (void)id;
    s->stream_begun++;
    s->stream_size = size;
    s->stream_got = 0;
    if (checksum != NULL)
        memcpy(s->stream_sum, checksum, 4);
    sha256_init(&s->stream_hash);
    return s->choice;
}

static enum stream_flow stream_data(void *ctx, struct peer *p, const uint8_t *data, size_t len)
{
    struct side *s = ctx;
    (void)p;
    sha256_update(&s->stream_hash, data, len);
    s->stream_got += len;
    if (s->pause_at == 0 || s->stream_got < s->pause_at)
        return STREAM_MORE;
    s->pause_at = 0;
    return STREAM_PAUSE;
}

static void stream_end(void *ctx, struct peer *p, enum stream_end how)
{
    struct side *s = ctx;
    (void)p;
    if (how == STREAM_COMPLETE)
        s->stream_ended++;
    else
        s->stream_aborted++;
}

struct net_config fixture_config(void)
{
    return (struct net_config){
        .magic = { 0xda, 0xb5, 0xbf, 0xfa },
        .disk_magic = { 0xfa, 0xbf, 0xb5, 0xda },
        .default_port = 18444,
        .chain = SEEDS_REGTEST,
        .user_agent = "/BSVPeer:0.1.0/",
        .services = SERVICE_NETWORK | SERVICE_BITCOIN_CASH,
        .connect_none = true,
        .relay_tx = true,
    };
}

void side_open(struct side *s, struct event_base *base, const struct net_config *c)
{
    struct net_handlers h = {
        .ctx = s, .height = height, .on_ready = on_ready, .on_close = on_close,
        .on_headers = on_headers, .on_inv = on_inv, .on_getdata = on_getdata,
        .on_notfound = on_notfound, .on_getheaders = on_locator, .on_getblocks = on_locator,
        .on_tx = on_tx, .on_reject = on_reject, .on_fee_filter = on_fee, .on_send_room = on_room,
        .stream_begin = stream_begin, .stream_data = stream_data, .stream_end = stream_end,
    };
    struct error e;
    memset(s, 0, sizeof(*s));
    buf_init(&s->tx);
    if (net_new(&s->net, c, &h, base, &e) != OK || net_start(s->net, &e) != OK)
        fail_msg("%s", e.text);
}

void side_close(struct side *s)
{
    net_stop(s->net);
    net_free(s->net);
    buf_clear(&s->tx);
}

void pair_open(struct pair *p, const struct net_config *a, const struct net_config *b)
{
    static const char *const bind[] = { "[::1]:0" };
    char target[32];
    const char *const connect[] = { target };
    (void)evthread_use_pthreads();
    p->base = event_base_new();
    struct net_config ca = *a, cb = *b;
    ca.listen = true;
    ca.bind = (struct net_strings){ bind, 1 };
    side_open(&p->a, p->base, &ca);
    snprintf(target, sizeof(target), "[::1]:%u", (unsigned)net_listen_port(p->a.net));
    cb.connect = (struct net_strings){ connect, 1 };
    side_open(&p->b, p->base, &cb);
}

void pair_close(struct pair *p)
{
    side_close(&p->a);
    side_close(&p->b);
    event_base_free(p->base);
}

static bool both_ready(void *ctx)
{
    struct pair *p = ctx;
    return p->a.peer != NULL && p->b.peer != NULL;
}

void pair_join(struct pair *p)
{
    struct net_config c = fixture_config();
    pair_open(p, &c, &c);
    assert_true(run_until(p->base, both_ready, p, 5000));
}

bool run_until(struct event_base *base, bool (*done)(void *ctx), void *ctx, int64_t timeout_ms)
{
    int64_t end = clock_mono_ms() + timeout_ms;
    while (!done(ctx)) {
        if (clock_mono_ms() >= end)
            return false;
        event_base_loop(base, EVLOOP_ONCE);
    }
    return true;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

void run_for(struct event_base *base, int64_t ms)
{
    (void)run_until(base, never, NULL, ms);
}

#include "p2p/local_streams.h"

#include <string.h>

#include "base/intmath.h"

static struct local_stream *first(const struct local_streams *set)
{
    struct list_link *link = list_first(&set->all);
    return link ? LIST_ITEM(link, struct local_stream, link) : NULL;
}

static struct local_stream *next(const struct local_streams *set, const struct local_stream *s)
{
    struct list_link *link = list_next(&set->all, &s->link);
    return link ? LIST_ITEM(link, struct local_stream, link) : NULL;
}

void local_stream_add(struct local_streams *set, struct local_stream *s, struct span service)
{
    const size_t len = MIN_OF(service.len, sizeof s->service - 1);
    memcpy(s->service, service.data, len);
    s->service[len] = 0;
    s->set = set;
    s->since_ms = s->active_ms = s->metered_ms = channels_now(set->channels);
    list_append(&set->all, &s->link);
}

static void tell_charged(struct stream_meter *m)
{
    if (m->counted)
        m->counted(m);
}

/* Time without service is not charged: before a stream is open, and while it waits for money. The
 * side that pays cannot tell that it waits. It charges that time too, and what it pays for it
 * brings the account of the other side back below the credit. */
static void charge_time(struct local_stream *s, uint64_t now_ms)
{
    struct stream_meter *m = s->meter;
    if (!m || !m->spending.bill.price.per_minute)
        return;
    const uint64_t passed_ms = now_ms - s->metered_ms;
    s->metered_ms = now_ms;
    if (!s->open || stream_meter_is_over(m))
        return;
    bill_time(&m->spending.bill, passed_ms);
    tell_charged(m);
}

void local_stream_remove(struct local_stream *s)
{
    charge_time(s, channels_now(s->set->channels));
    list_remove(&s->set->all, &s->link);
}

void local_stream_keep_rate(const struct local_stream *s)
{
    const struct dchan_rate *rate = stream_rates_find(&s->set->rates, s->service);
    if (rate)
        dchan_mux_set_rate(s->mux, s->sid, *rate);
}

size_t local_stream_room(const struct local_stream *s, size_t max)
{
    const struct stream_meter *m = s->meter;
    return m && m->serves ? bill_room(&m->spending.bill, m->credit, max) : max;
}

void local_stream_count(struct local_stream *s, size_t sent, size_t received)
{
    struct stream_meter *m = s->meter;
    s->sent += sent;
    s->received += received;
    s->active_ms = channels_now(s->set->channels);
    if (!m || sent + received == 0)
        return;
    bill_bytes(&m->spending.bill, sent + received);
    m->counted_ms = s->active_ms;
    tell_charged(m);
}

void local_streams_resume(const struct local_streams *set, const struct stream_meter *m)
{
    struct chan_peer *peer = NULL; /* a meter is of one contact */
    for (struct local_stream *s = first(set); s; s = next(set, s)) {
        if (s->meter != m || !s->open || !s->resume)
            continue;
        s->resume(s);
        peer = s->peer;
    }
    if (peer)
        chan_peer_kick(peer);
}

bool local_streams_have(const struct local_streams *set, const struct stream_meter *m)
{
    for (const struct local_stream *s = first(set); s; s = next(set, s))
        if (s->meter == m)
            return true;
    return false;
}

bool local_streams_use(const struct local_streams *set, const struct stream_meter *m,
                       uint64_t since_ms)
{
    for (const struct local_stream *s = first(set); s; s = next(set, s))
        if (s->meter == m && s->open && s->since_ms <= since_ms)
            return true;
    return false;
}

void local_stream_kick(struct local_stream *s)
{
    chan_peer_kick(s->peer);
}

/* One that is not accepted has no owner in the mux: it is withdrawn here, before the reset says so
 * of a stream that nobody knows any more. */
void local_stream_reset(struct local_stream *s, enum dchan_reset code)
{
    struct dchan_mux *mux = s->mux;
    const uint32_t sid = s->sid;
    if (!s->ours && !s->open)
        s->withdraw(s);
    dchan_mux_reset(mux, sid, code);
}

size_t local_streams_of(const struct local_streams *set, const struct chan_peer *p)
{
    size_t n = 0;
    for (const struct local_stream *s = first(set); s; s = next(set, s))
        n += !s->ours && s->peer == p;
    return n;
}

void local_streams_each(const struct local_streams *set,
                        void (*fn)(const struct local_stream *s, void *ctx), void *ctx)
{
    for (const struct local_stream *s = first(set); s; s = next(set, s))
        fn(s, ctx);
}

void local_streams_withdrawn(struct local_streams *set, struct dchan_mux *mux, uint32_t sid)
{
    for (struct local_stream *s = first(set); s; s = next(set, s))
        if (s->mux == mux && s->sid == sid) {
            s->withdraw(s);
            return;
        }
}

/* The end of one may end others, so that the search begins anew. */
void local_streams_end(struct local_streams *set, enum dchan_reset code,
                       bool (*which)(const struct local_stream *s, const void *ctx),
                       const void *ctx)
{
    struct local_stream *s = first(set);
    while (s) {
        if (!which(s, ctx)) {
            s = next(set, s);
            continue;
        }
        struct chan_peer *peer = s->peer;
        local_stream_reset(s, code);
        chan_peer_kick(peer);
        s = first(set);
    }
}

static bool is_idle(const struct local_stream *s, const void *ctx)
{
    const uint64_t *now_ms = ctx, limit_ms = s->idle_ms ? s->idle_ms : s->set->idle_ms;
    return limit_ms && *now_ms - s->active_ms >= limit_ms;
}

static void on_tick(void *part, uint64_t now_ms)
{
    const struct local_streams *set = part;
    for (struct local_stream *s = first(set); s; s = next(set, s))
        charge_time(s, now_ms);
    local_streams_end(part, DCHAN_RESET_IDLE, is_idle, &now_ms);
}

static bool is_of_key(const struct local_stream *s, const void *key)
{
    return memcmp(chan_peer_key(s->peer), key, IDENTITY_KEY_SIZE) == 0;
}

static void on_contact_gone(void *part, const uint8_t key[IDENTITY_KEY_SIZE])
{
    local_streams_end(part, DCHAN_RESET_CANCELLED, is_of_key, key);
}

void local_streams_init(struct local_streams *set, struct channels *channels, size_t max,
                        uint64_t idle_ms)
{
    *set = (struct local_streams){ .channels = channels, .max = max, .idle_ms = idle_ms };
    list_init(&set->all);
    channels_add_part(channels, &(struct channel_part){
        .features = { .offered = 1u << DCHAN_STREAMS | 1u << DCHAN_DGRAM }, .tick = on_tick,
        .contact_gone = on_contact_gone, .ctx = set });
}

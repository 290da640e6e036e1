/* A session that is up: its streams, the messages of control, and how it ends in order. */
#include "base/intmath.h"
#include "base/rand.h"
#include "p2p/dchan_duplicate.h"
#include "p2p/dchan_session_internal.h"

#define PING_REPLY_MAX 64
#define PING_AGAIN_MS 1000 /* one that was not answered, or ignored as one too many */
#define DHT_NOT_RESPONSIBLE 4
/* With one message more it stays below what drops datagrams, the least that may be set. */
#define PUMP_BELOW 12288
/* Records for one write, which costs more than the bytes do; they leave in EARLY_MS. */
#define PUMP_TOGETHER 65536
#define EARLY_MS 2
#define BURST_MS 16

_Static_assert(PUMP_BELOW + DCHAN_DATA_MAX + 2 * DCHAN_PACKET_EXTRA < DCHAN_DGRAM_BACKLOG,
               "bulk data drops no datagrams");

/* --- streams --- */

static void mux_put(void *ctx, struct span head, struct span body)
{
    session_put(ctx, head, body);
}

static size_t mux_backlog(void *ctx, uint64_t *age_ms)
{
    struct dchan_session *s = ctx;
    const size_t waiting = session_waiting(s);
    if (s->written >= s->mark) {
        s->mark = dchan_rec_stats(s->rec)->bytes_sent;
        s->mark_ms = s->now_ms;
    }
    *age_ms = waiting ? s->now_ms - s->mark_ms : 0;
    return waiting;
}

static void mux_open(void *ctx, const struct dchan_s_open *m)
{
    struct dchan_session *s = ctx;
    if (s->config.ops->open)
        s->config.ops->open(s->config.ctx, m);
    else
        dchan_mux_reset(s->mux, m->sid, DCHAN_RESET_SERVICE);
}

static void mux_withdrawn(void *ctx, uint32_t sid)
{
    struct dchan_session *s = ctx;
    if (s->config.ops->withdrawn)
        s->config.ops->withdrawn(s->config.ctx, sid);
}

static bool both_offer(const struct dchan_session *s, enum dchan_feature feature)
{
    return dchan_offers(&s->config.features, feature) && dchan_offers(&s->peer.features, feature);
}

static void start_mux(struct dchan_session *s)
{
    if (!both_offer(s, DCHAN_STREAMS))
        return;
    s->mux = dchan_mux_new(&(struct dchan_mux_config){
        .role = s->config.role, .stranger = !s->peer.contact,
        .dgrams = dchan_offers(&s->peer.features, DCHAN_DGRAM), .shares = s->config.shares,
        .ops = { mux_put, mux_backlog, mux_open, mux_withdrawn, s } }, s->now_ms);
}

/* What is sealed nothing overtakes: little is, where something urgent may come, the link is slow,
 * or no socket takes it. */
size_t session_room(const struct dchan_session *s)
{
    const size_t waiting = session_waiting(s);
    if (s->state != SESSION_UP || !s->mux || waiting >= PUMP_BELOW)
        return 0;
    if (s->config.relayed || dchan_mux_is_urgent(s->mux))
        return PUMP_BELOW - waiting;
    return MAX_OF(s->early, (size_t)PUMP_BELOW) - waiting;
}

void session_note_speed(struct dchan_session *s, size_t written)
{
    const uint64_t elapsed_ms = s->now_ms - s->burst_ms;
    s->burst += written;
    if (elapsed_ms < BURST_MS)
        return;
    s->early = (size_t)MIN_OF(s->burst * EARLY_MS / elapsed_ms, (uint64_t)PUMP_TOGETHER);
    s->burst = 0;
    s->burst_ms = s->now_ms;
}

struct dchan_mux *dchan_session_mux(struct dchan_session *s)
{
    return s->state == SESSION_UP ? s->mux : NULL;
}

static size_t streams_of(const struct dchan_session *s)
{
    return s->mux ? dchan_mux_stats(s->mux)->streams : 0;
}

/* --- pings --- */

static uint64_t draw_ping_after(const struct dchan_session *s)
{
    const uint64_t idle = s->config.limits->ping_ms, jitter = idle / 6;
    return idle - jitter + rand_below(2 * jitter + 1);
}

/* Nothing has come since the last one. */
static bool waits_for_pong(const struct dchan_session *s)
{
    return s->ping_open && s->heard_ms <= s->ping_ms;
}

static void send_ping(struct dchan_session *s)
{
    struct dchan_msg m = { .type = DCHAN_PING };
    m.ping.reply_len = (uint16_t)(1 + rand_below(PING_REPLY_MAX));
    s->ping_open = true;
    s->ping_len = m.ping.reply_len;
    s->ping_ms = s->now_ms;
    s->ping_after_ms = draw_ping_after(s);
    session_put_msg(s, &m);
}

void dchan_session_ping(struct dchan_session *s, uint64_t now_ms)
{
    session_enter(s, now_ms);
    if (s->state == SESSION_UP &&
        (!s->ping_open || s->now_ms - s->ping_ms >= PING_AGAIN_MS))
        send_ping(s);
    session_leave(s);
}

static void take_ping(struct dchan_session *s, const struct dchan_msg *m)
{
    static const uint8_t zeros[DCHAN_PING_REPLY_MAX];
    struct dchan_msg answer = { .type = DCHAN_PONG };
    if (m->ping.reply_len > DCHAN_PING_REPLY_MAX ||
        !ratelimit_take(&s->pings, 1, (int64_t)s->now_ms))
        return;
    answer.ping.pad = span_of(zeros, m->ping.reply_len);
    session_put_msg(s, &answer);
}

static void take_pong(struct dchan_session *s, const struct dchan_msg *m)
{
    if (!s->ping_open || m->ping.pad.len != s->ping_len)
        return;
    s->ping_open = false;
    s->pongs++;
    s->rtt_ms = s->now_ms - s->ping_ms;
    if (s->mux)
        dchan_mux_set_rtt(s->mux, s->rtt_ms);
}

/* --- the end in order --- */

static bool is_going(const struct dchan_session *s)
{
    return s->going || s->peer_going || s->bye_received;
}

/* Before what makes it so is noted. */
static void set_going(struct dchan_session *s)
{
    if (!is_going(s))
        s->going_ms = s->now_ms;
}

void dchan_session_goaway(struct dchan_session *s, enum dchan_goaway_reason reason,
                          uint64_t now_ms)
{
    struct dchan_msg m = { .type = DCHAN_GOAWAY, .goaway = { .reason = (uint16_t)reason } };
    session_enter(s, now_ms);
    if (s->state == SESSION_UP && !s->going) {
        set_going(s);
        s->going = true;
        m.goaway.last_stream = s->mux ? dchan_mux_goaway(s->mux) : 0;
        session_put_msg(s, &m);
    } else if (s->state == SESSION_GREETING) {
        session_put_msg(s, &m);
        session_doom(s, DCHAN_CLOSED_GOAWAY, DCHAN_NO_ERROR);
    } else if (s->state == SESSION_ACTS) {
        session_doom(s, DCHAN_CLOSED_LOCAL, DCHAN_NO_ERROR);
    }
    session_leave(s);
}

static void take_goaway(struct dchan_session *s, const struct dchan_msg *m)
{
    const bool first = !s->peer_going, was_up = s->state == SESSION_UP;
    set_going(s);
    s->peer_going = true;
    if (s->mux)
        dchan_mux_take_goaway(s->mux, m->goaway.last_stream);
    /* who dialled knows the peer without its hello */
    const bool known = s->hello_received || s->config.role == DCHAN_INITIATOR;
    if (first && known && s->config.ops->going)
        s->config.ops->going(s->config.ctx, (enum dchan_goaway_reason)m->goaway.reason);
    if (!was_up)
        session_close(s, DCHAN_CLOSED_GOAWAY, 0, span_of(NULL, 0));
}

static void put_bye(struct dchan_session *s)
{
    const struct dchan_msg m = { .type = DCHAN_BYE };
    if (s->bye_sent)
        return;
    s->bye_sent = true;
    s->bye_ms = s->now_ms;
    session_put_last(s, &m);
}

static void take_bye(struct dchan_session *s, const struct dchan_msg *m)
{
    (void)m;
    set_going(s);
    s->bye_received = true;
    put_bye(s);
    if (s->mux)
        dchan_mux_take_bye(s->mux);
}

void session_try_bye(struct dchan_session *s)
{
    if (is_going(s) && streams_of(s) == 0)
        put_bye(s);
    /* Bytes behind their bye, if they are here, were looked at before this. */
    if (s->bye_sent && s->bye_received && streams_of(s) == 0)
        session_close(s, DCHAN_CLOSED_CLEAN, 0, span_of(NULL, 0));
}

static void take_error(struct dchan_session *s, const struct dchan_msg *m)
{
    session_close(s, DCHAN_CLOSED_BY_THEM, m->notice.code, m->notice.text);
}

/* --- dispatch --- */

static const struct {
    uint16_t type;
    void (*take)(struct dchan_session *s, const struct dchan_msg *m);
} controls[] = {
    { DCHAN_ERROR, take_error }, { DCHAN_PING, take_ping }, { DCHAN_PONG, take_pong },
    { DCHAN_GOAWAY, take_goaway }, { DCHAN_BYE, take_bye },
};

static void take_stream(struct dchan_session *s, const struct dchan_msg *m)
{
    const enum dchan_error error =
        s->mux ? dchan_mux_take(s->mux, m, s->now_ms) : DCHAN_ERROR_FEATURE;
    if (error)
        session_fail(s, error);
}

/* Who keeps no records says so; the rest is ignored without a handler. */
static void take_by_default(struct dchan_session *s, const struct dchan_msg *m)
{
    const struct dchan_msg answer = {
        .type = DCHAN_DHT_PUT_OK, .dht_put_ok = { m->dht_put.req, DHT_NOT_RESPONSIBLE }
    };
    if (m->type == DCHAN_DHT_PUT)
        session_put_msg(s, &answer);
}

void session_take(struct dchan_session *s, const struct dchan_msg *m)
{
    for (size_t i = 0; i < COUNT_OF(controls); i++)
        if (controls[i].type == m->type) {
            controls[i].take(s, m);
            return;
        }
    if (m->type >= DCHAN_S_OPEN && m->type <= DCHAN_DGRAM_MSG) {
        take_stream(s, m);
        return;
    }
    for (size_t i = 0; i < s->config.ops->n_handlers; i++) {
        const struct dchan_handler *h = &s->config.ops->handlers[i];
        if (m->type >= h->first && m->type <= h->last) {
            h->take(s->config.ctx, m);
            return;
        }
    }
    take_by_default(s, m);
}

enum err dchan_session_send(struct dchan_session *s, const struct dchan_msg *m, uint64_t now_ms)
{
    if (s->state != SESSION_UP || s->bye_sent || s->doomed)
        return ERR_CANCELLED;
    if (!dchan_msg_may_send(m->type, &s->peer.features))
        return ERR_NOTFOUND;
    session_enter(s, now_ms);
    const enum err rc = session_put_msg(s, m);
    session_leave(s);
    return rc;
}

/* --- from the moment it is up --- */

void session_become_up(struct dchan_session *s)
{
    s->state = SESSION_UP;
    s->up_ms = s->now_ms;
    dchan_rec_allow(s->rec,
                    both_offer(s, DCHAN_DH_REKEY) ? DCHAN_REKEYS_BY_DH : DCHAN_REKEYS_BY_HASH,
                    s->now_ms);
    start_mux(s);
    send_ping(s); /* windows are tuned by what it measures */
    s->config.ops->up(s->config.ctx);
}

static void tick_pings(struct dchan_session *s)
{
    if (waits_for_pong(s)) {
        if (s->now_ms - s->ping_ms >= s->config.limits->ping_dead_ms)
            session_doom(s, DCHAN_CLOSED_DEAD, DCHAN_NO_ERROR);
    } else if (s->now_ms - s->heard_ms >= s->ping_after_ms) {
        send_ping(s);
    }
}

void session_tick_up(struct dchan_session *s)
{
    const enum err rc = dchan_rec_tick(s->rec, s->now_ms);
    if (rc)
        session_doom(s, rc == ERR_TIMEOUT ? DCHAN_CLOSED_TIMEOUT : DCHAN_CLOSED_LOCAL,
                     DCHAN_NO_ERROR);
    if (s->mux)
        dchan_mux_tick(s->mux, s->now_ms);
    if (!s->bye_received)
        tick_pings(s);
    if (is_going(s) && s->now_ms - s->going_ms >= s->config.limits->going_ms)
        session_doom(s, DCHAN_CLOSED_GOAWAY, DCHAN_NO_ERROR);
    if (s->bye_sent && !s->bye_received && s->now_ms - s->bye_ms >= DCHAN_FLUSH_MS)
        session_doom(s, DCHAN_CLOSED_GOAWAY, DCHAN_NO_ERROR);
    const struct dchan_rec_stats *rec = dchan_rec_stats(s->rec);
    if (!s->over_bytes_ms &&
        rec->bytes_sent + rec->bytes_received >= s->config.limits->renewal.bytes)
        s->over_bytes_ms = s->now_ms;
}

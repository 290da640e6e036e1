/*
 * Streams live in two arrays, ours and theirs, each in the order of sids, which only rise: a new
 * stream is appended, a lookup is a binary search, and whether a sid was ever open is a comparison
 * with the highest. A sid that the peer jumped over can never be opened any more and counts as one
 * that was.
 *
 * Every callback may change or end any stream, so that after one a stream is looked up again.
 */
#include "p2p/dchan_mux.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/dchan_mux_internal.h"

#define WINDOW_SUM_MAX INT32_MAX
/* Ours come over pushed together, so less than what the other side takes. */
#define OPENS_SENT_PER_S (DCHAN_OPENS_PER_S / 2)

/* --- the set of streams --- */

static struct mux_side *side_of(struct dchan_mux *mux, bool ours)
{
    return ours ? &mux->mine : &mux->theirs;
}

static bool is_ours(const struct dchan_mux *mux, uint32_t sid)
{
    return (sid % 2 == 1) == (mux->config.role == DCHAN_INITIATOR);
}

/* Where the sid is or would be. */
static size_t place_of(const struct mux_side *side, uint32_t sid)
{
    size_t from = 0, to = side->n;
    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        if (side->v[mid]->sid < sid)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

struct mux_stream *mux_find(const struct dchan_mux *mux, uint32_t sid)
{
    const struct mux_side *side = is_ours(mux, sid) ? &mux->mine : &mux->theirs;
    const size_t i = place_of(side, sid);
    return i < side->n && side->v[i]->sid == sid ? side->v[i] : NULL;
}

static struct mux_stream *add(struct dchan_mux *mux, uint32_t sid, uint8_t priority,
                              uint64_t now_ms)
{
    struct mux_stream *s = xcalloc(1, sizeof *s);
    s->sid = sid;
    s->priority = priority;
    s->ours = is_ours(mux, sid);
    s->asked_ms = now_ms;
    struct mux_side *side = side_of(mux, s->ours);
    if (side->n == side->cap) {
        side->cap = side->cap ? 2 * side->cap : 4;
        side->v = xrealloc(side->v, side->cap * sizeof(struct mux_stream *));
    }
    side->v[side->n++] = s;
    side->highest = sid;
    side->waiting++;
    mux->first += priority == 0;
    mux->stats.streams++;
    return s;
}

static void remove_stream(struct dchan_mux *mux, struct mux_stream *s)
{
    struct mux_side *side = side_of(mux, s->ours);
    const size_t i = place_of(side, s->sid);
    memmove(side->v + i, side->v + i + 1, (side->n - i - 1) * sizeof(struct mux_stream *));
    side->n--;
    side->waiting -= !s->open;
    mux->first -= s->priority == 0;
    mux->dgrams -= s->ops && s->ops->dgram;
    mux->stats.streams--;
    mux_not_ready(mux, s);
    mux_give_back(mux, s, s->window);
    if (s->rate.bytes)
        mux_choose_rate(mux);
}

void mux_close(struct dchan_mux *mux, struct mux_stream *s, unsigned code)
{
    const struct dchan_mux_ops *ops = &mux->config.ops;
    remove_stream(mux, s);
    if (s->ops)
        s->ops->closed(s->ctx, code);
    else
        ops->withdrawn(ops->ctx, s->sid);
    free(s);
}

/* The other side is told, and who has the stream. */
static void break_off(struct dchan_mux *mux, struct mux_stream *s, enum dchan_reset code)
{
    mux_put_reset(mux, s->sid, code);
    mux_close(mux, s, code);
}

/* The same when the owner wants it so: of one that he never had he needs no word. */
static void break_off_for_owner(struct dchan_mux *mux, struct mux_stream *s, enum dchan_reset code)
{
    if (s->ops) {
        break_off(mux, s, code);
        return;
    }
    mux_put_reset(mux, s->sid, code);
    remove_stream(mux, s);
    free(s);
}

void mux_close_if_done(struct dchan_mux *mux, struct mux_stream *s)
{
    if (s->fin_sent && s->fin_received && s->unread == 0)
        mux_close(mux, s, 0);
}

static void set_owner(struct dchan_mux *mux, struct mux_stream *s,
                      const struct dchan_stream_ops *ops, void *ctx)
{
    s->ops = ops;
    s->ctx = ctx;
    mux->dgrams += ops->dgram != NULL;
}

static void set_open(struct dchan_mux *mux, struct mux_stream *s)
{
    s->open = true;
    side_of(mux, s->ours)->waiting--;
}

/* --- life --- */

struct dchan_mux *dchan_mux_new(const struct dchan_mux_config *config, uint64_t now_ms)
{
    struct dchan_mux *mux = xcalloc(1, sizeof *mux);
    const int64_t now = (int64_t)now_ms;
    mux->config = *config;
    for (size_t i = 0; i < COUNT_OF(mux->ready); i++)
        list_init(&mux->ready[i]);
    ratelimit_init(&mux->opens_sent, OPENS_SENT_PER_S * 1000, OPENS_SENT_PER_S, OPENS_SENT_PER_S,
                   now);
    const unsigned opens = (unsigned)mux_chosen(config->shares->opens_per_s, DCHAN_OPENS_PER_S);
    ratelimit_init(&mux->opens_received, opens * 1000, opens, opens, now);
    const unsigned flood =
        (unsigned)mux_chosen(config->shares->opens_flood_per_s, DCHAN_OPENS_FLOOD_PER_S);
    ratelimit_init(&mux->opens_flood, flood * 1000, flood, flood, now);
    return mux;
}

static void free_side(struct dchan_mux *mux, struct mux_side *side)
{
    for (size_t i = 0; i < side->n; i++) {
        mux_give_back(mux, side->v[i], side->v[i]->window);
        free(side->v[i]);
    }
    free(side->v);
}

void dchan_mux_free(struct dchan_mux *mux)
{
    if (!mux)
        return;
    free_side(mux, &mux->mine);
    free_side(mux, &mux->theirs);
    free(mux);
}

static void end_side(struct dchan_mux *mux, struct mux_side *side, enum dchan_reset code)
{
    while (side->n)
        mux_close(mux, side->v[side->n - 1], code);
}

static bool is_unread(const struct mux_stream *s)
{
    return s->fin_sent && s->fin_received;
}

static void end_cut(struct dchan_mux *mux, struct mux_side *side)
{
    for (size_t i = 0; i < side->n;) {
        if (is_unread(side->v[i])) {
            i++;
            continue;
        }
        mux_close(mux, side->v[i], DCHAN_RESET_TRUNCATED);
        i = 0; /* owners may have closed others */
    }
}

void dchan_mux_take_bye(struct dchan_mux *mux)
{
    mux->going = mux->peer_going = true;
    end_cut(mux, &mux->mine);
    end_cut(mux, &mux->theirs);
}

void dchan_mux_end(struct dchan_mux *mux, enum dchan_reset code)
{
    mux->going = mux->peer_going = true;
    end_side(mux, &mux->mine, code);
    end_side(mux, &mux->theirs, code);
}

const struct dchan_mux_stats *dchan_mux_stats(const struct dchan_mux *mux)
{
    return &mux->stats;
}

void dchan_mux_set_rtt(struct dchan_mux *mux, uint64_t rtt_ms)
{
    mux->rtt_ms = MIN_OF(MAX_OF(rtt_ms, 1), (uint64_t)DCHAN_OPEN_TIMEOUT_MS);
}

uint32_t dchan_mux_goaway(struct dchan_mux *mux)
{
    mux->going = true;
    return mux->theirs.highest;
}

bool dchan_mux_peer_goes(const struct dchan_mux *mux)
{
    return mux->peer_going;
}

void dchan_mux_take_goaway(struct dchan_mux *mux, uint32_t last)
{
    mux->peer_going = true;
    while (mux->mine.n && mux->mine.v[mux->mine.n - 1]->sid > last)
        mux_close(mux, mux->mine.v[mux->mine.n - 1], DCHAN_RESET_REFUSED);
}

/* The oldest come first in a side, and the ones not answered are few. */
static void expire(struct dchan_mux *mux, struct mux_side *side, uint64_t limit_ms,
                   enum dchan_reset told, enum dchan_reset known, uint64_t now_ms)
{
    for (size_t i = 0; i < side->n && side->waiting;) {
        struct mux_stream *s = side->v[i];
        if (s->open || now_ms - s->asked_ms < limit_ms) {
            i++;
            continue;
        }
        mux_put_reset(mux, s->sid, told);
        mux_close(mux, s, known);
        i = 0; /* owners may have closed others */
    }
}

void dchan_mux_tick(struct dchan_mux *mux, uint64_t now_ms)
{
    const uint64_t open_ms = mux_chosen(mux->config.shares->open_ms, DCHAN_OPEN_TIMEOUT_MS);
    const uint64_t answer_ms = open_ms - open_ms / 6; /* well before the opener gives up */
    expire(mux, &mux->mine, open_ms, DCHAN_RESET_CANCELLED, DCHAN_RESET_IDLE, now_ms);
    expire(mux, &mux->theirs, answer_ms, DCHAN_RESET_LOCAL, DCHAN_RESET_LOCAL, now_ms);
}

/* --- what owners do --- */

bool dchan_service_name_ok(struct span name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    for (size_t i = 0; i < name.len; i++)
        if (!memchr(allowed, name.data[i], sizeof allowed - 1))
            return false;
    return name.len >= 1 && name.len <= DCHAN_SERVICE_MAX;
}

static void put_open(struct dchan_mux *mux, const struct mux_stream *s, const struct dchan_open *o)
{
    const struct dchan_msg m = {
        .type = DCHAN_S_OPEN,
        .s_open = { s->sid, o->service, o->priority, s->window, o->meta }
    };
    struct buf b;
    buf_init(&b);
    dchan_msg_write(&b, &m);
    mux->config.ops.put(mux->config.ops.ctx, buf_span(&b), span_of(NULL, 0));
    buf_clear(&b);
}

static uint32_t next_sid(const struct dchan_mux *mux)
{
    if (mux->mine.highest == 0)
        return mux->config.role == DCHAN_INITIATOR ? 1 : 2;
    return mux->mine.highest + 2;
}

enum err dchan_mux_open(struct dchan_mux *mux, const struct dchan_open *o,
                        const struct dchan_stream_ops *ops, void *ctx, uint64_t now_ms,
                        uint32_t *sid)
{
    if (mux->going || mux->peer_going)
        return ERR_CANCELLED;
    if (!dchan_service_name_ok(o->service) || o->priority > DCHAN_PRIORITY_MAX ||
        o->meta.len > DCHAN_META_MAX)
        return ERR_RANGE;
    if (mux->stats.streams >= mux_streams_max(mux) || mux->mine.waiting >= mux_opens_max(mux) ||
        mux->mine.highest > UINT32_MAX - 2 || mux_windows_left(mux) < DCHAN_WINDOW_MIN ||
        !ratelimit_take(&mux->opens_sent, 1, (int64_t)now_ms))
        return ERR_BUSY;
    struct mux_stream *s = add(mux, next_sid(mux), o->priority, now_ms);
    set_owner(mux, s, ops, ctx);
    BUG_ON(!mux_grant_first(mux, s, now_ms));
    *sid = s->sid;
    put_open(mux, s, o);
    return OK;
}

enum err dchan_mux_accept(struct dchan_mux *mux, uint32_t sid, const struct dchan_stream_ops *ops,
                          void *ctx, uint64_t now_ms)
{
    struct mux_stream *s = mux_find(mux, sid);
    if (!s || s->ours || s->open)
        return ERR_NOTFOUND;
    if (!mux_grant_first(mux, s, now_ms)) {
        break_off_for_owner(mux, s, DCHAN_RESET_LIMIT);
        return ERR_BUSY;
    }
    set_owner(mux, s, ops, ctx);
    set_open(mux, s);
    mux_put_number(mux, DCHAN_S_ACCEPT, sid, s->window);
    if (!s->fin_received)
        return OK;
    mux_give_back(mux, s, s->window); /* ended before it was accepted: no data will use it */
    s->left = 0;
    ops->fin(ctx);
    return OK;
}

void dchan_mux_reset(struct dchan_mux *mux, uint32_t sid, enum dchan_reset code)
{
    struct mux_stream *s = mux_find(mux, sid);
    if (s)
        break_off_for_owner(mux, s, code);
}

/* How much larger the window becomes: as much again when it was drained within two round trips. */
static uint32_t growth(const struct dchan_mux *mux, const struct mux_stream *s, uint32_t drained,
                       uint64_t now_ms)
{
    const uint64_t elapsed_ms = now_ms - s->credited_ms;
    if (mux->rtt_ms == 0 || elapsed_ms * s->window > 2 * mux->rtt_ms * drained)
        return 0;
    const uint64_t wanted = MIN_OF(s->window, DCHAN_WINDOW_MAX - s->window);
    return (uint32_t)MIN_OF(wanted, mux_windows_left(mux));
}

static void credit(struct dchan_mux *mux, struct mux_stream *s, uint64_t now_ms)
{
    const uint32_t drained = s->window - s->left - s->unread;
    if (drained < s->window / 2)
        return;
    const uint32_t more = growth(mux, s, drained, now_ms);
    mux_grant(mux, s, more);
    s->left += drained + more;
    s->credited_ms = now_ms;
    mux_put_number(mux, DCHAN_S_WINDOW, s->sid, drained + more);
}

void dchan_mux_consumed(struct dchan_mux *mux, uint32_t sid, size_t n, uint64_t now_ms)
{
    struct mux_stream *s = mux_find(mux, sid);
    if (!s || n == 0)
        return;
    BUG_ON(n > s->unread);
    s->unread -= (uint32_t)n;
    if (!s->fin_received) {
        credit(mux, s, now_ms);
        return;
    }
    mux_give_back(mux, s, (uint32_t)n);
    mux_close_if_done(mux, s);
}

/* --- what arrives --- */

static enum dchan_error refuse(struct dchan_mux *mux, uint32_t sid, enum dchan_reset code)
{
    mux_put_reset(mux, sid, code);
    return DCHAN_NO_ERROR;
}

/* The code of a refusal, 0: none. */
static unsigned judge_open(struct dchan_mux *mux, const struct dchan_s_open *m, uint64_t now_ms)
{
    if (!ratelimit_take(&mux->opens_received, 1, (int64_t)now_ms) ||
        mux->stats.streams >= mux_streams_max(mux) || mux->theirs.waiting >= mux_opens_max(mux) ||
        mux_windows_left(mux) < DCHAN_WINDOW_MIN)
        return DCHAN_RESET_LIMIT;
    if (mux->going || mux->peer_going)
        return DCHAN_RESET_REFUSED;
    if (!dchan_service_name_ok(m->service))
        return DCHAN_RESET_SERVICE;
    return m->window > WINDOW_SUM_MAX ? DCHAN_RESET_FLOW : 0;
}

static enum dchan_error take_open(struct dchan_mux *mux, const struct dchan_s_open *m,
                                  uint64_t now_ms)
{
    if (is_ours(mux, m->sid) || m->sid <= mux->theirs.highest || m->window < DCHAN_WINDOW_MIN)
        return DCHAN_ERROR_MALFORMED;
    if (!ratelimit_take(&mux->opens_flood, 1, (int64_t)now_ms))
        return DCHAN_ERROR_LIMIT;
    const unsigned refused = judge_open(mux, m, now_ms);
    if (refused) {
        mux->theirs.highest = m->sid;
        return refuse(mux, m->sid, (enum dchan_reset)refused);
    }
    add(mux, m->sid, m->priority, now_ms)->send_window = m->window;
    mux->config.ops.open(mux->config.ops.ctx, m);
    return DCHAN_NO_ERROR;
}

static enum dchan_error take_accept(struct dchan_mux *mux, struct mux_stream *s, uint32_t window)
{
    if (!s->ours || s->open || window < DCHAN_WINDOW_MIN)
        return DCHAN_ERROR_MALFORMED;
    if (window > WINDOW_SUM_MAX) {
        break_off(mux, s, DCHAN_RESET_FLOW);
        return DCHAN_NO_ERROR;
    }
    set_open(mux, s);
    s->send_window = window;
    mux_ready(mux, s);
    if (s->ops->accepted)
        s->ops->accepted(s->ctx);
    return DCHAN_NO_ERROR;
}

static void take_data(struct dchan_mux *mux, struct mux_stream *s, struct span data)
{
    if (!s->open || data.len > s->left) { /* nothing is left after their fin */
        break_off(mux, s, DCHAN_RESET_FLOW);
        return;
    }
    s->left -= (uint32_t)data.len;
    s->unread += (uint32_t)data.len;
    s->ops->data(s->ctx, data);
}

static void take_window(struct dchan_mux *mux, struct mux_stream *s, uint32_t increment)
{
    if (increment > WINDOW_SUM_MAX - s->send_window || (s->ours && !s->open)) {
        break_off(mux, s, DCHAN_RESET_FLOW);
        return;
    }
    s->send_window += increment;
    mux_ready(mux, s);
}

static void take_fin(struct dchan_mux *mux, struct mux_stream *s)
{
    const uint32_t sid = s->sid;
    if (s->fin_received || (s->ours && !s->open)) {
        break_off(mux, s, DCHAN_RESET_FLOW);
        return;
    }
    s->fin_received = true;
    if (!s->open)
        return;
    mux_give_back(mux, s, s->window - s->unread);
    s->left = 0;
    s->ops->fin(s->ctx);
    s = mux_find(mux, sid);
    if (s)
        mux_close_if_done(mux, s);
}

/* 0 would be an end in order to the owner, and 9 is for our own channel to say. */
static void take_reset(struct dchan_mux *mux, struct mux_stream *s, uint16_t code)
{
    const bool means_else = code == 0 || code == DCHAN_RESET_TRUNCATED;
    mux_close(mux, s, means_else ? DCHAN_RESET_CANCELLED : code);
}

static void take_dgram(const struct mux_stream *s, const struct dchan_dgram *m)
{
    if (s->open && !s->fin_received && s->ops->dgram)
        s->ops->dgram(s->ctx, m->seq, m->data);
}

/* Every one of these messages begins with it. */
static uint32_t sid_of(const struct dchan_msg *m)
{
    switch (m->type) {
    case DCHAN_S_DATA:
        return m->s_data.sid;
    case DCHAN_S_RESET:
        return m->s_reset.sid;
    case DCHAN_DGRAM_MSG:
        return m->dgram.sid;
    default:
        return m->stream.sid;
    }
}

static bool was_open(const struct dchan_mux *mux, uint32_t sid)
{
    return sid != 0 && sid <= (is_ours(mux, sid) ? mux->mine.highest : mux->theirs.highest);
}

/* Crossing a reset of ours, or after our refusal; else made up. */
static enum dchan_error unknown_sid(const struct dchan_mux *mux, const struct dchan_msg *m)
{
    return m->type == DCHAN_S_RESET || was_open(mux, sid_of(m)) ? DCHAN_NO_ERROR
                                                                : DCHAN_ERROR_MALFORMED;
}

enum dchan_error dchan_mux_take(struct dchan_mux *mux, const struct dchan_msg *m, uint64_t now_ms)
{
    if (m->type == DCHAN_S_OPEN)
        return take_open(mux, &m->s_open, now_ms);
    struct mux_stream *s = mux_find(mux, sid_of(m));
    if (!s)
        return unknown_sid(mux, m);
    switch (m->type) {
    case DCHAN_S_ACCEPT:
        return take_accept(mux, s, m->stream.value);
    case DCHAN_S_DATA:
        take_data(mux, s, m->s_data.data);
        break;
    case DCHAN_S_WINDOW:
        take_window(mux, s, m->stream.value);
        break;
    case DCHAN_S_FIN:
        take_fin(mux, s);
        break;
    case DCHAN_S_RESET:
        take_reset(mux, s, m->s_reset.code);
        break;
    default:
        take_dgram(s, &m->dgram);
        break;
    }
    return DCHAN_NO_ERROR;
}

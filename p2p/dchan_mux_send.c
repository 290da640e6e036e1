/*
 * What leaves: control messages at once, data by deficit round robin. A stream whose turn it is has
 * a quantum added to its deficit and may send that much, headers counted, before the next one of
 * its priority; one that has nothing more loses what is left of it.
 */
#include "base/intmath.h"
#include "p2p/dchan_mux_internal.h"

#define QUANTUM 16384
#define SID_SIZE 4
#define DATA_HEAD (DCHAN_TYPE_SIZE + SID_SIZE)
#define FRAME_EXTRA (DATA_HEAD + 34) /* sealed */

_Static_assert(QUANTUM >= DCHAN_DATA_MAX, "a turn is at least one message");

static void put(struct dchan_mux *mux, struct span head, struct span body)
{
    mux->config.ops.put(mux->config.ops.ctx, head, body);
}

static void head_of(uint8_t *head, enum dchan_type type, uint32_t sid)
{
    be16_put(head, (uint16_t)type);
    be32_put(head + DCHAN_TYPE_SIZE, sid);
}

void mux_put_fin(struct dchan_mux *mux, uint32_t sid)
{
    uint8_t head[DATA_HEAD];
    head_of(head, DCHAN_S_FIN, sid);
    put(mux, span_of(head, sizeof head), span_of(NULL, 0));
}

void mux_put_number(struct dchan_mux *mux, enum dchan_type type, uint32_t sid, uint32_t value)
{
    uint8_t head[DATA_HEAD + 4];
    head_of(head, type, sid);
    be32_put(head + DATA_HEAD, value);
    put(mux, span_of(head, sizeof head), span_of(NULL, 0));
}

void mux_put_reset(struct dchan_mux *mux, uint32_t sid, enum dchan_reset code)
{
    uint8_t head[DATA_HEAD + 2];
    head_of(head, DCHAN_S_RESET, sid);
    be16_put(head + DATA_HEAD, (uint16_t)code);
    put(mux, span_of(head, sizeof head), span_of(NULL, 0));
}

/* --- who is next --- */

void mux_ready(struct dchan_mux *mux, struct mux_stream *s)
{
    if (s->ready || !s->wants || !s->open || s->fin_sent)
        return;
    s->ready = true;
    s->deficit = 0;
    list_append(&mux->ready[s->priority], &s->link);
}

void mux_not_ready(struct dchan_mux *mux, struct mux_stream *s)
{
    if (!s->ready)
        return;
    s->ready = false;
    list_remove(&mux->ready[s->priority], &s->link);
}

static struct mux_stream *next_stream(struct dchan_mux *mux)
{
    for (size_t i = 0; i < (mux->hold ? 1 : COUNT_OF(mux->ready)); i++) {
        struct list_link *link = list_first(&mux->ready[i]);
        if (link)
            return LIST_ITEM(link, struct mux_stream, link);
    }
    return NULL;
}

static void to_the_end(struct dchan_mux *mux, struct mux_stream *s)
{
    list_remove(&mux->ready[s->priority], &s->link);
    list_append(&mux->ready[s->priority], &s->link);
}

static void put_data(struct dchan_mux *mux, struct mux_stream *s, struct span data)
{
    uint8_t head[DATA_HEAD];
    head_of(head, DCHAN_S_DATA, s->sid);
    s->send_window -= (uint32_t)data.len;
    s->deficit -= (int32_t)(data.len + FRAME_EXTRA);
    put(mux, span_of(head, sizeof head), data);
}

/* One message of the stream whose turn it is, with at most so much data. */
static size_t serve(struct dchan_mux *mux, struct mux_stream *s, size_t most)
{
    uint8_t data[DCHAN_DATA_MAX];
    const uint32_t sid = s->sid;
    bool end = false;
    if (s->deficit <= 0)
        s->deficit += QUANTUM;
    const size_t max = MIN_OF(MIN_OF(s->send_window, (uint32_t)s->deficit), most);
    const size_t n = s->ops->pull(s->ctx, data, max, &end);
    BUG_ON(n > max);
    s = mux_find(mux, sid);
    if (!s) /* reset by its owner meanwhile */
        return 0;
    if (n)
        put_data(mux, s, span_of(data, n));
    if (end) {
        mux_not_ready(mux, s);
        s->fin_sent = true;
        mux_put_fin(mux, sid);
        mux_close_if_done(mux, s);
    } else if (n == 0) {
        mux_not_ready(mux, s);
        s->wants = max == 0;
    } else if (s->deficit <= 0) {
        to_the_end(mux, s);
    }
    return n || end ? n + FRAME_EXTRA : 0;
}

size_t dchan_mux_pump(struct dchan_mux *mux, size_t room)
{
    struct mux_stream *s;
    size_t sent = 0;
    while (sent < room && (s = next_stream(mux)))
        sent += serve(mux, s, DCHAN_DATA_MAX);
    return sent;
}

size_t dchan_mux_pump_within(struct dchan_mux *mux, size_t room)
{
    struct mux_stream *s;
    size_t sent = 0;
    while (sent + FRAME_EXTRA < room && (s = next_stream(mux)))
        sent += serve(mux, s, MIN_OF(room - sent - FRAME_EXTRA, (size_t)DCHAN_DATA_MAX));
    return sent;
}

/* --- a constant rate --- */

static struct dchan_rate rate_of_side(const struct mux_side *side)
{
    struct dchan_rate rate = { 0, 0 };
    for (size_t i = 0; i < side->n; i++)
        rate = dchan_rate_of_both(rate, side->v[i]->rate);
    return rate;
}

void mux_choose_rate(struct dchan_mux *mux)
{
    mux->rate = dchan_rate_of_both(rate_of_side(&mux->mine), rate_of_side(&mux->theirs));
}

void dchan_mux_set_rate(struct dchan_mux *mux, uint32_t sid, struct dchan_rate rate)
{
    struct mux_stream *s = mux_find(mux, sid);
    if (!s)
        return;
    s->rate = rate;
    mux_choose_rate(mux);
}

struct dchan_rate dchan_mux_rate(const struct dchan_mux *mux)
{
    return mux->rate;
}

bool dchan_mux_has_first(const struct dchan_mux *mux)
{
    return mux->first != 0;
}

bool dchan_mux_is_urgent(const struct dchan_mux *mux)
{
    return mux->first || mux->dgrams;
}

void dchan_mux_hold(struct dchan_mux *mux, bool hold)
{
    mux->hold = hold;
}

void dchan_mux_wake(struct dchan_mux *mux, uint32_t sid)
{
    struct mux_stream *s = mux_find(mux, sid);
    if (!s)
        return;
    s->wants = true;
    mux_ready(mux, s);
}

/* --- datagrams --- */

static bool is_late_for_dgrams(const struct dchan_mux *mux)
{
    const struct dchan_shares *shares = mux->config.shares;
    uint64_t age_ms = 0;
    return mux->config.ops.backlog(mux->config.ops.ctx, &age_ms) >
               mux_chosen(shares->dgram_backlog, DCHAN_DGRAM_BACKLOG) ||
           age_ms > mux_chosen(shares->dgram_age_ms, DCHAN_DGRAM_AGE_MS);
}

bool dchan_mux_send_dgram(struct dchan_mux *mux, uint32_t sid, struct span data)
{
    struct mux_stream *s = mux_find(mux, sid);
    if (!s || !s->open || s->fin_sent || !mux->config.dgrams || data.len > DCHAN_DGRAM_MAX)
        return false;
    const uint16_t seq = s->next_dgram++;
    if (is_late_for_dgrams(mux)) {
        mux->stats.dgrams_dropped++;
        return false;
    }
    uint8_t head[DATA_HEAD + 2];
    head_of(head, DCHAN_DGRAM_MSG, sid);
    be16_put(head + DATA_HEAD, seq);
    put(mux, span_of(head, sizeof head), data);
    return true;
}

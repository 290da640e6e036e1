/*
 * What a session adds so that its writes do not show the sizes of what it says (spec channels 3).
 * The pad goes in when the write is composed, behind all that waits: what waited together is filled
 * up once. Positions count from the first byte after padding began, so that a write which the
 * socket took in part is not filled again. A pad that arrives is never a reason to send anything.
 *
 * At a constant rate each write is exactly so many of the bytes that wait, in the middle of a
 * packet if need be, filled up when there are fewer; of a pad that is longer than the gap the rest
 * begins the next one. What could not leave in time is not made up
 * for: a burst would tell of it. So all of the session shares the rate, and streams are asked for
 * no more than the write has room for, the most urgent first.
 */
#include "base/intmath.h"
#include "p2p/dchan_pad.h"
#include "p2p/dchan_session_internal.h"

static void put_pad(struct dchan_session *s, size_t size)
{
    const struct span fields = dchan_pad_fields(size);
    uint8_t head[DCHAN_TYPE_SIZE];
    be16_put(head, DCHAN_PAD);
    session_put(s, span_of(head, sizeof head), fields);
}

void dchan_session_set_padded(struct dchan_session *s, bool padded)
{
    if (padded && !s->padded)
        s->pad_from = s->written;
    s->padded = padded;
}

void session_pad(struct dchan_session *s, size_t follows)
{
    if (!s->padded || s->state != SESSION_UP)
        return;
    const uint64_t at = dchan_rec_stats(s->rec)->bytes_sent - s->pad_from + follows;
    const size_t over = (size_t)(at % DCHAN_PAD_CLASS);
    if (over)
        put_pad(s, dchan_pad_size(DCHAN_PAD_CLASS - over, DCHAN_PAD_CLASS));
}

/* --- a constant rate --- */

/* Nothing can be filled up behind bye: then what is left leaves at once. */
static struct dchan_rate rate_of(const struct dchan_session *s)
{
    const bool has_one = s->state == SESSION_UP && s->mux && !s->bye_sent;
    return has_one ? dchan_mux_rate(s->mux) : (struct dchan_rate){ 0, 0 };
}

static void compose_beat(struct dchan_session *s, struct dchan_rate rate)
{
    size_t waiting = session_waiting(s);
    if (waiting < rate.bytes)
        dchan_mux_pump_within(s->mux, rate.bytes - waiting);
    waiting = session_waiting(s);
    if (waiting < rate.bytes)
        put_pad(s, dchan_pad_size_or_smallest(rate.bytes - waiting));
    const uint64_t next_ms = s->beat_ms + rate.interval_ms;
    s->beat_left = rate.bytes;
    s->beat_ms = next_ms > s->now_ms ? next_ms : s->now_ms + rate.interval_ms;
}

bool session_beat(struct dchan_session *s)
{
    const struct dchan_rate rate = rate_of(s);
    if (!rate.bytes) {
        s->beat_ms = s->beat_left = 0;
        return false;
    }
    if (!s->beat_left && s->now_ms >= s->beat_ms)
        compose_beat(s, rate);
    return true;
}

struct span session_may_leave(const struct dchan_session *s)
{
    const struct span out = dchan_rec_output(s->rec);
    return rate_of(s).bytes ? span_of(out.data, MIN_OF(out.len, s->beat_left)) : out;
}

uint64_t dchan_session_beat_ms(const struct dchan_session *s)
{
    return rate_of(s).bytes ? s->beat_ms : 0;
}

/* --- the end --- */

enum err session_put_last(struct dchan_session *s, const struct dchan_msg *m)
{
    struct buf b;
    buf_init(&b);
    dchan_msg_write(&b, m);
    session_pad(s, b.len + DCHAN_PACKET_EXTRA);
    const enum err rc = session_put(s, buf_span(&b), span_of(NULL, 0));
    buf_clear(&b);
    return rc;
}

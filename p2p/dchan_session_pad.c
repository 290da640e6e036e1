/*
 * What a session adds so that its writes do not show the sizes of what it says (spec channels 3).
 * The pad goes in when the write is composed, behind all that waits: what waited together is filled
 * up once. Positions count from the first byte after padding began, so that a write which the
 * socket took in part is not filled again. A pad that arrives is never a reason to send anything.
 */
#include "p2p/dchan_pad.h"
#include "p2p/dchan_session_internal.h"

static void put_pad(struct dchan_session *s, size_t fields)
{
    uint8_t head[DCHAN_TYPE_SIZE];
    be16_put(head, DCHAN_PAD);
    session_put(s, span_of(head, sizeof head), dchan_pad_fields(fields));
}

void dchan_session_set_padded(struct dchan_session *s, bool padded)
{
    if (padded && !s->padded)
        s->pad_from = s->written;
    s->padded = padded;
}

void session_pad(struct dchan_session *s, size_t follows)
{
    size_t fields;
    if (!s->padded || s->state != SESSION_UP)
        return;
    const uint64_t at = dchan_rec_stats(s->rec)->bytes_sent - s->pad_from + follows;
    if (dchan_pad_needed(at, DCHAN_PAD_CLASS, &fields))
        put_pad(s, fields);
}

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

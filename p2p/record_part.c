#include <config.h>

#include "p2p/record_part.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/ratelimit.h"

enum { KIND_DIRECT = 1, KEY_AT = 2 /* in a record */ };

struct record_part {
    struct channels *c;
    struct record_part_ops ops;
    uint32_t req; /* of the last one that was shown */
};

/* What is kept with a peer that has a session. */
struct shown {
    struct ratelimit taken;
    uint64_t seq; /* of ours, that it was shown in this session; 0: none */
};

static void take_put(void *ctx, const struct dchan_msg *m);

/* That which answers what we have shown says nothing that we act upon. */
static const struct dchan_handler handlers[] = { { DCHAN_DHT_PUT, DCHAN_DHT_PUT, take_put } };

/* --- theirs --------------------------------------------------------------------------------- */

static void answer(struct chan_peer *p, uint32_t req, enum record_status status)
{
    const struct dchan_msg m = { .type = DCHAN_DHT_PUT_OK,
                                 .dht_put_ok = { req, (uint8_t)status } };
    (void)!chan_peer_send(p, &m); /* it has gone: nobody waits */
}

static struct shown *shown_of(struct record_part *part, struct chan_peer *p)
{
    void **slot = chan_peer_slot(p, part);
    if (!*slot) {
        struct shown *s = xcalloc(1, sizeof *s);
        ratelimit_init(&s->taken, RECORD_PART_MILLI_PER_S, RECORD_PART_BURST, RECORD_PART_BURST,
                       (int64_t)channels_now(part->c));
        *slot = s;
    }
    return *slot;
}

static bool is_of(struct span raw, const uint8_t key[IDENTITY_KEY_SIZE])
{
    return raw.len >= KEY_AT + IDENTITY_KEY_SIZE &&
           mem_equal_var(raw.data + KEY_AT, key, IDENTITY_KEY_SIZE);
}

static void take_put(void *ctx, const struct dchan_msg *m)
{
    struct chan_peer *p = ctx;
    struct record_part *part = channels_part(chan_peer_channels(p), handlers);
    const struct dchan_dht_put *put = &m->dht_put;
    struct record_offer o = { .req = put->req };
    memcpy(o.key, chan_peer_key(p), sizeof o.key);
    if (put->kind != KIND_DIRECT || !chan_peer_contact(p))
        answer(p, put->req, RECORD_NOT_RESPONSIBLE);
    else if (!is_of(put->record, o.key))
        answer(p, put->req, RECORD_INVALID);
    else if (!ratelimit_take(&shown_of(part, p)->taken, 1, (int64_t)channels_now(part->c)) ||
             !part->ops.offer(part->ops.ctx, &o, put->record))
        answer(p, put->req, RECORD_FULL);
}

/* What goes to the channel thread. */
struct answering {
    struct record_offer offer;
    enum record_status status;
};

/* c NULL: they have stopped. */
static void deliver(struct channels *c, void *ctx)
{
    struct answering *a = ctx;
    struct chan_peer *p = c ? channels_find(c, a->offer.key) : NULL;
    if (p)
        answer(p, a->offer.req, a->status);
    free(a);
}

void record_part_answer(struct channels *c, const struct record_offer *o,
                        enum record_status status)
{
    struct answering *a = xcalloc(1, sizeof *a);
    a->offer = *o;
    a->status = status;
    channels_post(c, deliver, a);
}

/* --- ours ----------------------------------------------------------------------------------- */

/* What the session cannot take just now comes with the next one. */
static void show(struct record_part *part, struct chan_peer *p)
{
    struct bca_record r;
    struct buf raw;
    if (!chan_peer_contact(p))
        return;
    struct shown *shown = shown_of(part, p);
    buf_init(&raw);
    if (part->ops.own(part->ops.ctx, chan_peer_identity(p)->key.pub, &raw) &&
        bca_record_read(&r, buf_span(&raw)) == BCA_RECORD_GOOD && r.seq > shown->seq) {
        const struct dchan_msg m = { .type = DCHAN_DHT_PUT,
                                     .dht_put = { ++part->req, KIND_DIRECT, buf_span(&raw) } };
        if (chan_peer_send(p, &m) == OK)
            shown->seq = r.seq;
    }
    buf_clear(&raw);
}

static void up(void *ctx, struct chan_peer *p)
{
    struct record_part *part = ctx;
    part->ops.reached(part->ops.ctx, chan_peer_key(p));
    if (chan_peer_contact(p))
        shown_of(part, p)->seq = 0; /* also when a session takes the place of another one */
    show(part, p);
}

static void down(void *ctx, struct chan_peer *p, const struct dchan_closing *closing)
{
    void **slot = chan_peer_slot(p, ctx);
    (void)closing;
    free(*slot);
    *slot = NULL;
}

static void show_if_up(struct chan_peer *p, void *ctx)
{
    if (chan_peer_is_up(p))
        show(ctx, p);
}

static void show_all(struct channels *c, void *ctx)
{
    (void)ctx;
    if (c)
        channels_each_peer(c, show_if_up, channels_part(c, handlers));
}

void record_part_own_changed(struct channels *c) { channels_post(c, show_all, NULL); }

/* --- opening -------------------------------------------------------------------------------- */

struct record_part *record_part_new(struct channels *c, const struct record_part_ops *ops)
{
    struct record_part *part = xcalloc(1, sizeof *part);
    part->c = c;
    part->ops = *ops;
    channels_add_part(c, &(struct channel_part){ .handlers = handlers, .n_handlers = 1, .up = up,
                                                 .down = down, .ctx = part });
    return part;
}

void record_part_free(struct record_part *part) { free(part); }

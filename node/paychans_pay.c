/*
 * Payments that commands ask for. Nobody waits on a thread of his own: a payment is asked for, made
 * when the channel may have one more in flight, and answered when it is acknowledged. What makes it
 * wait is what bounds memory: the window of the channel (PAYCHAN_UNACKED_MAX), records that are not
 * on disk, and bytes that the session has not sent; and, when one was missing at the payee or may
 * still be in an old session, the question where it stands.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define UNSENT_MAX 8192 /* signed, not sent: below what lies between slow and DCHAN_OUT_MAX */
#define CONTACT_TEXT 128

struct pay_wait {
    struct paychans *pc;
    struct pay_wait *next;
    uint64_t amount;
    int64_t since_ms;
    char contact[CONTACT_TEXT], ref[PAYCHAN_REF_MAX + 1];
    bool has_channel;
    bool counted;
    uint8_t channel[PAYCHAN_ID_SIZE];
    struct pay_paid out;
    pay_done_fn done;
    void *ctx;
};

static void append(struct pay_fifo *f, struct pay_wait *w)
{
    w->next = NULL;
    *(f->last ? &f->last->next : &f->first) = w;
    f->last = w;
}

static struct pay_wait *take_first(struct pay_fifo *f)
{
    struct pay_wait *w = f->first;
    f->first = w->next;
    if (!f->first)
        f->last = NULL;
    return w;
}

/* --- answers --- */

static void answer(struct pay_wait *w, enum err rc, const char *text)
{
    struct error e = { .code = OK };
    if (rc)
        error_set(&e, rc, "%s", text);
    w->done(w->ctx, rc, &w->out, &e);
    if (w->counted)
        w->pc->n_waits--;
    free(w);
}

/* A record that could not be written may be on disk all the same. */
static void end_one(const struct held *h, struct pay_wait *w, enum err rc)
{
    if (rc && w->out.n > h->sent_n)
        answer(w, rc, "the disk fails: whether the payment counts shows at the next start "
                      "(listpaychannels)");
    else
        answer(w, OK, NULL);
}

void paychans_end_pays(struct held *h, enum err rc)
{
    struct pay_fifo signed_ones = h->waits, queued = h->queued;
    h->waits = h->queued = (struct pay_fifo){ NULL, NULL };
    while (signed_ones.first)
        end_one(h, take_first(&signed_ones), rc);
    while (queued.first)
        answer(take_first(&queued), rc ? rc : ERR_BUSY,
               rc ? "the payment was not made: the disk fails"
                  : "the payment was not made: the payee refuses, or the session has ended");
}

/* --- making one --- */

bool paychans_has_room(const struct held *h, const struct chan_peer *p)
{
    return h->c.n - h->c.acked_n < PAYCHAN_UNACKED_MAX && h->pc->unsent < UNSENT_MAX &&
           !paychan_is_asking(&h->c) && !chan_peer_is_slow(p);
}

/* True: it is signed, or the reason why not is in e. */
static bool sign(struct held *h, struct pay_wait *w, struct error *e)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY };
    const uint64_t n = h->c.n;
    ev.amount.amount = w->amount;
    ev.amount.ref = span_of(w->ref, strlen(w->ref));
    if (paychans_try(h, &ev, NULL, e))
        return false;
    BUG_ON(h->c.n == n);
    w->out = (struct pay_paid){ .n = h->c.n, .paid = h->c.paid };
    memcpy(w->out.id, h->c.id, sizeof w->out.id);
    append(&h->waits, w);
    return true;
}

static bool takes(const struct held *h, const struct contact *contact, const struct pay_wait *w)
{
    return h->contact == contact->id && h->c.role == PAYCHAN_PAYER && paychans_is_open(h) &&
           (!w->has_channel || memcmp(h->c.id, w->channel, sizeof w->channel) == 0);
}

static bool pay_or_queue(struct held *h, const struct chan_peer *p, struct pay_wait *w,
                         struct error *e)
{
    if (!h->queued.first && paychans_has_room(h, p))
        return sign(h, w, e);
    append(&h->queued, w);
    return true;
}

/* The first channel that takes it, and one that does not have to ask before others. */
static bool pay_over_any(struct paychans *pc, const struct contact *contact,
                         const struct chan_peer *p, struct pay_wait *w, struct error *e)
{
    if (w->has_channel) {
        struct held *h = paychans_by_id(pc, w->channel);
        return h && takes(h, contact, w) && pay_or_queue(h, p, w, e);
    }
    for (int asks = 0; asks <= 1; asks++)
        for (size_t i = 0; i < pc->n; i++)
            if (paychan_is_asking(&pc->all[i]->c) == asks && takes(pc->all[i], contact, w) &&
                pay_or_queue(pc->all[i], p, w, e))
                return true;
    return false;
}

static void begin_pay(struct channels *c, void *ctx)
{
    struct pay_wait *w = ctx;
    struct contact *contact;
    struct error e = { .code = OK };
    if (!c || w->pc->stopping) {
        answer(w, ERR_CANCELLED, "direct channels have stopped");
        return;
    }
    w->counted = true;
    w->since_ms = clock_mono_ms();
    w->pc->n_waits++;
    const struct chan_peer *p = paychans_find_peer(w->pc, w->contact, &contact, &e);
    if (p)
        error_set(&e, ERR_NOTFOUND, w->has_channel ? "%s has no such payment channel that is open"
                                                   : "no payment channel to %s is open",
                  contact->alias);
    if (!p || !pay_over_any(w->pc, contact, p, w, &e))
        answer(w, e.code, e.text);
}

void paychans_pay(void *ctx, const struct pay_paying *in, pay_done_fn done, void *done_ctx)
{
    struct paychans *pc = ctx;
    struct pay_wait *w = xcalloc(1, sizeof *w);
    w->pc = pc;
    w->amount = in->amount;
    w->done = done;
    w->ctx = done_ctx;
    (void)snprintf(w->contact, sizeof w->contact, "%s", in->contact);
    (void)snprintf(w->ref, sizeof w->ref, "%s", in->ref);
    w->has_channel = in->channel;
    if (in->channel)
        memcpy(w->channel, in->channel, sizeof w->channel);
    channels_post(pc->channels, begin_pay, w);
}

/* --- going on --- */

static void pay_queued(struct held *h)
{
    const struct chan_peer *p = paychans_peer(h);
    struct error e = { .code = OK };
    while (h->queued.first && p && paychans_has_room(h, p)) {
        struct pay_wait *w = take_first(&h->queued);
        if (!sign(h, w, &e))
            answer(w, e.code, e.text);
    }
}

void paychans_answer_pays(struct held *h)
{
    while (h->waits.first && h->waits.first->out.n <= h->c.acked_n) {
        struct pay_wait *w = take_first(&h->waits);
        w->out.acknowledged = true;
        answer(w, OK, NULL);
    }
    pay_queued(h);
}

void paychans_pay_queued(struct paychans *pc)
{
    for (size_t i = 0; i < pc->n; i++)
        if (pc->all[i]->queued.first)
            pay_queued(pc->all[i]);
}

static bool is_late(const struct pay_fifo *f, const struct paychans *pc, int64_t now_ms)
{
    return f->first && (uint64_t)(now_ms - f->first->since_ms) >= pc->config.pay_wait_ms;
}

/* A payee that is there and says nothing holds up no caller for good. */
void paychans_end_late_pays(struct paychans *pc)
{
    const int64_t now = clock_mono_ms();
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        while (is_late(&h->waits, pc, now))
            answer(take_first(&h->waits), OK, NULL);
        while (is_late(&h->queued, pc, now))
            answer(take_first(&h->queued), ERR_BUSY,
                   "the payment was not made: the payee acknowledges none");
    }
}

void paychans_cancel_pays(struct paychans *pc)
{
    for (size_t i = 0; pc && i < pc->n; i++)
        paychans_end_pays(pc->all[i], OK);
}

uint64_t paychans_pays_bytes(const struct paychans *pc)
{
    return pc->n_waits * sizeof(struct pay_wait);
}

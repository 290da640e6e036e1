/*
 * Payments that services, forwards and files make and take by themselves (p2p/stream_meter.h). None
 * of them waits: what was signed counts as paid, and the next session sends what did not arrive.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <string.h>

#include "base/intmath.h"

static const char *trouble(void *ctx)
{
    const struct paychans *pc = ctx;
    return *pc->trouble ? pc->trouble : NULL;
}

static bool is_of(const struct held *h, uint64_t contact, enum paychan_role role)
{
    return h->contact == contact && h->c.role == role && paychans_is_open(h) && !h->forgetting;
}

static bool has_channel(void *ctx, uint64_t contact)
{
    const struct paychans *pc = ctx;
    for (size_t i = 0; i < pc->n; i++)
        if (is_of(pc->all[i], contact, PAYCHAN_PAYEE))
            return true;
    return false;
}

/* What one payment over it may be now; the rest of the reasons is for the state machine. */
static uint64_t largest(const struct held *h)
{
    const struct paychan *c = &h->c;
    uint64_t left, most;
    if (!sub_u64(c->terms.capacity, c->terms.close_fee, &most))
        return 0;
    return sub_u64(MIN_OF(most, c->limit), c->paid, &left) ? left : 0;
}

static enum err pay_over(struct held *h, uint64_t amount, const char *ref, struct error *e)
{
    struct chan_peer *p = paychans_peer(h);
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY };
    if (!p || !chan_peer_is_up(p))
        return error_set(e, ERR_BUSY, "there is no session");
    if (!paychans_has_room(h, p))
        return error_set(e, ERR_BUSY, "too much is under way");
    ev.amount.amount = amount;
    ev.amount.ref = span_of(ref, strlen(ref));
    return paychans_try(h, &ev, NULL, e);
}

static enum err pay(void *ctx, uint64_t contact, uint64_t amount, const char *ref, uint64_t *paid,
                    struct error *e)
{
    struct paychans *pc = ctx;
    enum err rc = error_set(e, ERR_NOTFOUND, "no payment channel to the contact is open");
    *paid = 0;
    if (*pc->trouble)
        return error_set(e, ERR_IO, "the journal of the payment channels has failed: %s",
                         pc->trouble);
    for (size_t i = 0; i < pc->n && *paid < amount; i++) {
        struct held *h = pc->all[i];
        const uint64_t rest = amount - *paid;
        if (!is_of(h, contact, PAYCHAN_PAYER))
            continue;
        const uint64_t part = MIN_OF(rest, largest(h));
        rc = part ? pay_over(h, part, ref, e)
                  : error_set(e, ERR_RANGE, "the payment channel does not hold so much, or waits "
                              "for more blocks");
        if (!rc)
            *paid += part;
    }
    if (*paid == amount)
        return OK;
    return rc ? rc : error_set(e, ERR_RANGE, "the payment channel does not hold so much");
}

const struct stream_payments *paychans_for_parts(struct paychans *pc,
                                                 const struct paychans_takers *takers)
{
    pc->takers = *takers;
    pc->for_parts = (struct stream_payments){ trouble, has_channel, pay, pc };
    return &pc->for_parts;
}

void paychans_served(struct held *h, const struct paychan_pay_msg *m)
{
    const struct paychans_takers *t = &h->pc->takers;
    uint64_t amount;
    if (!sub_u64(m->paid, h->served_paid, &amount) || amount == 0)
        return; /* signed again for another funding */
    h->served_paid = m->paid;
    if (t->paid)
        t->paid(t->ctx, h->contact, m->ref, amount);
}

void paychans_tell_failed(struct paychans *pc)
{
    if (pc->takers.failed && !pc->stopping)
        pc->takers.failed(pc->takers.ctx);
}

#include "p2p/forward_pay.h"

#include <event2/event.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

static uint64_t now_of(const struct forward_pay *p)
{
    return channels_now(p->streams->channels);
}

static enum err try_to_pay(struct forward_pay *p, uint64_t amount, struct error *e)
{
    const struct stream_payments *pay = p->streams->payments;
    uint64_t paid = 0;
    const enum err rc = pay->pay(pay->ctx, p->contact, amount, p->ref, &paid, e);
    bill_pay(&p->meter.spending.bill, paid);
    return rc;
}

static void pay_now(struct forward_pay *p, bool last)
{
    const struct spending *s = &p->meter.spending;
    const uint64_t amount = spending_due(s, last);
    struct error e = { .code = OK };
    p->paid_ms = now_of(p);
    const enum err rc = amount ? try_to_pay(p, amount, &e) : OK;
    if (rc)
        LOG_LIMITED(LOG_INFO, "a forward cannot pay: %s", e.text);
    if (rc)
        snprintf(p->trouble, sizeof p->trouble, "%s", e.text);
    else if (spending_is_at_limit(s))
        snprintf(p->trouble, sizeof p->trouble, "max_satoshis are spent");
    else
        p->trouble[0] = 0;
}

static void on_due(evutil_socket_t fd, short what, void *ctx)
{
    struct forward_pay *p = ctx;
    (void)fd;
    (void)what;
    p->scheduled = false;
    pay_now(p, false);
}

/* Not in here: a stream is at work. */
static void on_counted(struct stream_meter *m)
{
    struct forward_pay *p = LIST_ITEM(m, struct forward_pay, meter);
    if (p->scheduled || p->trouble[0] || !spending_due(&m->spending, false))
        return;
    const uint64_t since_ms = now_of(p) - p->paid_ms;
    const uint64_t wait_ms = since_ms < FORWARD_PAY_EVERY_MS ? FORWARD_PAY_EVERY_MS - since_ms : 0;
    p->scheduled = true;
    event_add(p->due, &(struct timeval){ 0, (suseconds_t)(wait_ms * 1000) });
}

/* All is paid, and nothing comes. */
static bool is_silent(const struct forward_pay *p, uint64_t now_ms)
{
    return !p->trouble[0] && !spending_due(&p->meter.spending, false) &&
           local_streams_use(p->streams, &p->meter, now_ms - FORWARD_PAY_SILENT_MS) &&
           now_ms - p->meter.counted_ms >= FORWARD_PAY_SILENT_MS &&
           now_ms - p->paid_ms >= FORWARD_PAY_SILENT_MS;
}

void forward_pay_tick(struct forward_pay *p, uint64_t now_ms)
{
    if (!p->due || p->scheduled)
        return;
    if (is_silent(p, now_ms))
        (void)spending_go_ahead(&p->meter.spending);
    const struct spending *s = &p->meter.spending;
    if (spending_due(s, false) || p->trouble[0] || spending_is_at_limit(s))
        pay_now(p, false);
}

enum err forward_budget_check(const struct forward_budget *b, struct error *e)
{
    if (b->max > BILL_PRICE_MAX || b->price.per_mib > BILL_PRICE_MAX ||
        b->price.per_minute > BILL_PRICE_MAX || b->ahead > BILL_PRICE_MAX)
        return error_set(e, ERR_RANGE, "prices and limits are at most %llu satoshis",
                         (unsigned long long)BILL_PRICE_MAX);
    if ((b->max != 0) == bill_price_is_zero(&b->price))
        return error_set(e, ERR_RANGE, "max_satoshis and a price belong together");
    return OK;
}

void forward_pay_init(struct forward_pay *p, struct local_streams *streams, uint64_t contact,
                      const char *service, const struct forward_budget *b)
{
    *p = (struct forward_pay){ .streams = streams, .contact = contact };
    if (!b->max)
        return;
    p->meter.spending = (struct spending){ .bill = { .price = b->price }, .max = b->max,
                                           .unit = b->ahead };
    p->meter.counted = on_counted;
    p->meter.counted_ms = p->paid_ms = now_of(p);
    snprintf(p->ref, sizeof p->ref, PAY_REF_SERVICE "%s", service);
    p->due = xcheck(event_new(channels_base(streams->channels), -1, 0, on_due, p));
}

void forward_pay_clear(struct forward_pay *p)
{
    if (!p->due)
        return;
    if (p->streams->payments)
        pay_now(p, true);
    event_free(p->due);
    p->due = NULL;
}

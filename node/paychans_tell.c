/* What the event log is told of payment channels. What a crash keeps from it is in
 * listpaychannels. */
#include <config.h>

#include "node/paychans_internal.h"

#include <string.h>

#include "base/log.h"

static void tell(const struct held *h, struct event_record *r)
{
    memcpy(r->v[PAYCHAN_EVENT_ID].file, h->c.id, sizeof r->v[PAYCHAN_EVENT_ID].file);
    memcpy(r->v[PAYCHAN_EVENT_KEY].key, h->theirs, sizeof r->v[PAYCHAN_EVENT_KEY].key);
    if (!feeds_tell(h->pc->feeds, r))
        log_debug(LOGC_CHANNEL, "payment channels: an event has found no place in the log");
}

/* 0: the state is none that is told of. */
static enum logged_event event_of(const struct held *h)
{
    const unsigned state = h->c.state;
    if (paychans_is_open(h))
        return LOGGED_PAYCHAN_OPENED;
    if (h->c.role == PAYCHAN_PAYEE) {
        if (state == R_CLOSING)
            return LOGGED_PAYCHAN_CLOSING;
        return state == R_CLOSED || state == R_ABANDONED ? LOGGED_PAYCHAN_CLOSED : 0;
    }
    if (state == P_CLOSING || state == P_REFUNDING)
        return LOGGED_PAYCHAN_CLOSING;
    return state == P_CLOSED || state == P_REFUNDED ? LOGGED_PAYCHAN_CLOSED : 0;
}

void paychans_tell_state(struct held *h)
{
    const enum logged_event type = h->c.state == h->told_state ? 0 : event_of(h);
    struct event_record r = { .type = type };
    const char *role = h->c.role == PAYCHAN_PAYER ? "payer" : "payee";
    h->told_state = h->c.state;
    if (!type)
        return;
    log_sanitize(r.v[PAYCHAN_EVENT_ROLE].text, EVENT_TEXT_MAX, role, strlen(role));
    r.v[PAYCHAN_EVENT_SUM].number =
        (int64_t)(type == LOGGED_PAYCHAN_OPENED ? h->c.terms.capacity : h->c.paid);
    tell(h, &r);
}

void paychans_tell_paid(struct held *h, const struct paychan_ack_msg *m)
{
    struct event_record r = { .type = LOGGED_PAYMENT_RECEIVED };
    if (m->paid <= h->told_paid)
        return; /* acknowledged once more */
    r.v[RECEIVED_SATOSHIS].number = (int64_t)(m->paid - h->told_paid);
    r.v[RECEIVED_SUM].number = (int64_t)m->paid;
    r.v[RECEIVED_N].number = (int64_t)m->n;
    h->told_paid = m->paid;
    tell(h, &r);
}

void paychans_tell_alarm(const struct held *h, const char *text)
{
    struct event_record r = { .type = LOGGED_PAYCHAN_ALARM };
    log_sanitize(r.v[ALARM_TEXT].text, EVENT_TEXT_MAX, text, strlen(text));
    tell(h, &r);
}

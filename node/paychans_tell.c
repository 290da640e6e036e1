/*
 * What the event log is told of payment channels. Payments have numbers that are on disk with them
 * (paychans_store.c): after a crash those that the log lacks are told, and no other. What else a
 * crash keeps from the log is in listpaychannels.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

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

/* --- payments --- */

static struct untold *last_untold(struct paychans *pc)
{
    return pc->untold_first < pc->n_untold ? &pc->untold[pc->n_untold - 1] : NULL;
}

static struct untold *add_untold(struct paychans *pc)
{
    if (pc->untold_first == pc->n_untold)
        pc->untold_first = pc->n_untold = 0;
    if (pc->n_untold == pc->untold_cap && pc->untold_first) {
        pc->n_untold -= pc->untold_first;
        memmove(pc->untold, pc->untold + pc->untold_first, pc->n_untold * sizeof *pc->untold);
        pc->untold_first = 0;
    } else if (pc->n_untold == pc->untold_cap) {
        pc->untold_cap = 2 * pc->untold_cap + 16;
        pc->untold = xrealloc(pc->untold, pc->untold_cap * sizeof *pc->untold);
    }
    return &pc->untold[pc->n_untold++];
}

/* Their entries rise, so that the highest that the log has says which it lacks. */
void paychans_note_paid(struct held *h, uint64_t entry, const struct paychan_pay_msg *m,
                        uint64_t amount)
{
    struct untold *u = last_untold(h->pc);
    const bool together = u && u->number == h->number && !*u->ref && !m->ref.len;
    if (!together) {
        u = add_untold(h->pc);
        *u = (struct untold){ .number = h->number };
        memcpy(u->id, h->c.id, sizeof u->id);
        memcpy(u->theirs, h->theirs, sizeof u->theirs);
        log_sanitize(u->ref, sizeof u->ref, (const char *)m->ref.data, m->ref.len);
    }
    u->entry = entry;
    u->n = m->n;
    u->paid = m->paid;
    u->amount += amount;
}

static bool tell_untold(struct paychans *pc, const struct untold *u)
{
    struct event_record r = { .type = LOGGED_PAYMENT_RECEIVED };
    r.v[RECEIVED_ENTRY].number = (int64_t)u->entry;
    memcpy(r.v[RECEIVED_ID].file, u->id, sizeof u->id);
    memcpy(r.v[RECEIVED_KEY].key, u->theirs, sizeof u->theirs);
    r.v[RECEIVED_SATOSHIS].number = (int64_t)u->amount;
    r.v[RECEIVED_SUM].number = (int64_t)u->paid;
    r.v[RECEIVED_N].number = (int64_t)u->n;
    log_sanitize(r.v[RECEIVED_REF].text, EVENT_TEXT_MAX, u->ref, strlen(u->ref));
    return feeds_tell(pc->feeds, &r);
}

void paychans_tell_paid(struct paychans *pc)
{
    while (pc->untold_first < pc->n_untold && tell_untold(pc, &pc->untold[pc->untold_first]))
        pc->untold_first++;
}

void paychans_tell_alarm(const struct held *h, const char *text)
{
    struct event_record r = { .type = LOGGED_PAYCHAN_ALARM };
    log_sanitize(r.v[ALARM_TEXT].text, EVENT_TEXT_MAX, text, strlen(text));
    tell(h, &r);
}

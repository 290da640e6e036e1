/*
 * Our channels with a helper (spec channels 8.8): a contact that is given the newest state of each,
 * so that it can close those to us when we are away, and gives it back when we have lost it. What
 * is given goes as a message of its own content type, past the outbox: only the newest is of use.
 * It is sent again until the helper has acknowledged it, and in each session once.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "p2p/messages.h"
#include "wallet/paychan_help.h"

#define TTL_S 86400

bool paychans_say_help(struct chan_peer *p, const struct paychan_help *help,
                       uint8_t id[MESSAGE_ID_SIZE])
{
    struct dchan_msg m = { .type = DCHAN_M_SEND };
    struct error e = { .code = OK };
    struct buf body;
    if (rand_secret(id, MESSAGE_ID_SIZE, &e)) {
        LOG_LIMITED(LOG_ERROR, "payment channels: a helper was not told: %s", e.text);
        return false;
    }
    buf_init(&body);
    paychan_put_help(&body, help);
    m.m_send = (struct dchan_m_send){
        .created_ms = (uint64_t)clock_now_ms(), .ttl = TTL_S,
        .content_type = span_of(PAYCHAN_HELP_TYPE, sizeof PAYCHAN_HELP_TYPE - 1),
        .body = buf_span(&body) };
    memcpy(m.m_send.id, id, sizeof m.m_send.id);
    const bool said = !chan_peer_send(p, &m);
    if (!said)
        log_debug(LOGC_CHANNEL, "payment channels: the helper was not told");
    buf_clear(&body);
    return said;
}

static struct chan_peer *helper(struct paychans *pc)
{
    struct contact *contact =
        pc->helper ? contacts_find(channels_contacts(pc->channels), pc->helper) : NULL;
    return contact ? channels_peer_of(pc->channels, contact) : NULL;
}

/* Not of one with the helper itself: it has all of it. */
static bool is_ours(const struct held *h, struct chan_peer *p)
{
    return h->contact != chan_peer_contact(p)->id;
}

/* As a payee what could be closed with; as a payer what was signed. */
static bool has_state(const struct held *h)
{
    const struct paychan *c = &h->c;
    if (c->role == PAYCHAN_PAYER)
        return c->n > 0 && c->state >= P_FUNDED && c->state <= P_CLOSING;
    return c->n > 0 && !c->unsigned_yet && !c->has_agreed && h->secret &&
           (c->state == R_SEEN || c->state == R_OPEN);
}

/* What is on disk of it: our signature leaves no earlier, and never when the journal has failed.
 * False: nothing is, as far as is known. */
static bool is_safe(const struct held *h, struct paychan *out)
{
    *out = h->c;
    if (h->c.role == PAYCHAN_PAYER || (!h->first && !*h->pc->trouble)) /* the payer gives none */
        return true;
    out->n = h->safe.n;
    out->paid = h->safe.paid;
    memcpy(out->sig, h->safe.sig, sizeof out->sig);
    return h->safe.n > 0;
}

static bool has_lost_state(const struct held *h)
{
    return h->c.role == PAYCHAN_PAYEE && h->c.n == 0 &&
           (h->c.state == R_SEEN || h->c.state == R_OPEN);
}

static struct paychan_help identify(const struct held *h)
{
    struct paychan_help help = { .role = h->c.role, .close_fee = h->c.terms.close_fee };
    struct buf copy;
    buf_init(&copy);
    paychan_put_copy(&copy, &h->c);
    memcpy(help.copy, copy.data, sizeof help.copy);
    memcpy(help.id, h->c.id, sizeof help.id);
    buf_clear(&copy);
    return help;
}

static void give(struct held *h, const struct paychan *c, struct chan_peer *p)
{
    struct paychan_help help = identify(h);
    struct buf tx;
    buf_init(&tx);
    help.n = c->n;
    help.paid = c->paid;
    if (c->role == PAYCHAN_PAYEE && paychan_make_close(c, h->secret, &tx)) {
        memcpy(help.sig, c->sig, sizeof help.sig);
        help.tx = buf_span(&tx);
    }
    uint8_t id[MESSAGE_ID_SIZE];
    if ((c->role == PAYCHAN_PAYER || help.tx.len) && paychans_say_help(p, &help, id)) {
        memcpy(h->help_id, id, sizeof h->help_id);
        h->help_sent_n = c->n;
    }
    buf_clear(&tx);
}

static void ask(struct held *h, struct chan_peer *p)
{
    const struct paychan_help help = identify(h);
    uint8_t id[MESSAGE_ID_SIZE];
    h->asked = paychans_say_help(p, &help, id);
}

/* True: something is to be said; p not NULL: it was. */
static bool see_to(struct paychans *pc, struct chan_peer *p, bool due)
{
    bool waits = false;
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        struct paychan c;
        const bool asks = has_lost_state(h) && !h->asked;
        const bool gives = due && has_state(h) && is_safe(h, &c) && c.n > h->helped_n;
        waits |= asks || gives;
        if (p && asks && is_ours(h, p))
            ask(h, p);
        if (p && gives && is_ours(h, p))
            give(h, &c, p);
    }
    return waits;
}

void paychans_help_tick(struct paychans *pc)
{
    const uint64_t now = (uint64_t)clock_now();
    struct chan_peer *p = helper(pc);
    if (!p)
        return;
    const bool due = now >= pc->helped_at + pc->config.help_s || now < pc->helped_at;
    const bool up = chan_peer_is_up(p) && !chan_peer_is_slow(p);
    const bool waits = see_to(pc, up ? p : NULL, due);
    if (waits && !up && !chan_peer_is_quiet(p))
        chan_peer_dial(p, false);
    if (up && due)
        pc->helped_at = now;
}

void paychans_help_up(struct paychans *pc, struct chan_peer *p)
{
    if (p != helper(pc))
        return;
    pc->helped_at = 0;
    for (size_t i = 0; i < pc->n; i++) {
        pc->all[i]->helped_n = pc->all[i]->help_sent_n = 0;
        pc->all[i]->asked = false;
    }
}

void paychans_help_acked(void *ctx, struct chan_peer *p, const uint8_t id[16])
{
    struct paychans *pc = ctx;
    if (p != helper(pc))
        return;
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        if (h->help_sent_n > h->helped_n && memcmp(h->help_id, id, MESSAGE_ID_SIZE) == 0)
            h->helped_n = h->help_sent_n;
    }
}

static void say_last(struct channels *c, void *ctx)
{
    struct paychans *pc = ctx;
    struct chan_peer *p = helper(pc);
    (void)c;
    if (p && chan_peer_is_up(p))
        see_to(pc, p, true);
}

void paychans_help_before_stop(struct paychans *pc)
{
    if (pc && pc->helper && !channels_call(pc->channels, say_last, pc))
        log_debug(LOGC_CHANNEL, "payment channels: the helper was not told of the stop");
}

bool paychans_take_kept(struct paychans *pc, struct chan_peer *p, const struct paychan_help *help)
{
    struct held *h = paychans_by_id(pc, help->id);
    struct paychan_event ev = { .kind = PAYCHAN_EV_KEPT };
    if (!h || p != helper(pc))
        return false;
    ev.pay = (struct paychan_pay_msg){ .n = help->n, .paid = help->paid };
    memcpy(ev.pay.sig, help->sig, sizeof ev.pay.sig);
    if (help->role != PAYCHAN_PAYEE || h->c.role != PAYCHAN_PAYEE || !help->n)
        return true;
    const uint64_t before = h->c.n;
    paychans_give(h, &ev, NULL);
    if (h->c.n > before)
        h->served_paid = h->c.paid;
    return true;
}

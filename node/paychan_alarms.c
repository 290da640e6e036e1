/*
 * What endangers money in a channel, said before it is too late (doc/payments.md, alarms). A
 * condition alarms while it lasts; what happened once stays in held.alarm beside it. A channel is
 * in danger from the block on in which it has to be settled until that is in a block: what is said
 * of it then is urgent.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "chain/chain.h"
#include "node/relay_tx.h"

#define NEAR_BLOCKS 144 /* before that block conditions are told of that matter in it */

static bool is_payee(const struct held *h) { return h->c.role == PAYCHAN_PAYEE; }

/* Something of ours is in it that is not settled yet. */
static bool is_at_stake(const struct held *h)
{
    const struct paychan *c = &h->c;
    if (c->spend_height)
        return false;
    if (is_payee(h))
        return (c->paid || c->has_agreed) && c->state >= R_SEEN && c->state <= R_CLOSING;
    return c->state >= P_FUNDED && c->state <= P_REFUNDING && c->state != P_CLOSED;
}

/* Blocks until it has to be settled; 0: now. */
static uint32_t blocks_left(const struct held *h)
{
    const uint32_t margin = is_payee(h) ? h->c.close_margin : 0;
    const uint32_t tip = h->pc->view.tip, expiry = h->c.terms.expiry;
    return expiry > margin + tip ? expiry - margin - tip : 0;
}

bool paychans_is_urgent(const struct held *h)
{
    const bool closing = is_payee(h) && h->c.state == R_CLOSING;
    return is_at_stake(h) && (blocks_left(h) == 0 || closing);
}

static bool tip_is_old(const struct held *h)
{
    const struct paychan_view *v = &h->pc->view;
    const uint64_t now = (uint64_t)clock_now();
    return !v->synced || (now > v->tip_time && now - v->tip_time > PAYCHAN_TIP_AGE_MAX_S);
}

/* What matters most first; NULL: nothing. */
static const char *find_condition(const struct held *h)
{
    const bool near = blocks_left(h) <= NEAR_BLOCKS || paychans_is_urgent(h);
    if (!is_at_stake(h))
        return NULL;
    if (is_payee(h) && h->pc->view.tip >= h->c.terms.expiry)
        return "the close is not in a block, and the payer may take all back";
    if (near && !h->secret)
        return "the wallet is locked, and the channel is to be settled soon: unlock it";
    if (near && relay_peer_count(h->pc->relay) == 0)
        return "no peer is connected, and the channel is to be settled soon";
    if (tip_is_old(h) && (near || is_payee(h)))
        return "blocks are missing for more than two hours: payments are not taken";
    if (paychans_is_overdue(h))
        return is_payee(h) ? "the close waits long for a block: are miners reached?"
                           : "the refund waits long for a block: are miners reached?";
    return NULL;
}

void paychans_look_for_danger(struct held *h)
{
    const char *now = find_condition(h);
    const bool urgent = paychans_is_urgent(h);
    if (now == h->condition && (urgent <= h->condition_urgent || !now))
        return;
    h->condition = now;
    h->condition_urgent = urgent;
    if (!now)
        return;
    if (urgent)
        log_error("payment channel %llu: %s", (unsigned long long)h->number, now);
    else
        log_warn("payment channel %llu: %s", (unsigned long long)h->number, now);
    paychans_tell_alarm(h, now);
}

/* The payee: takes payments, and closes in time. */
#include "wallet/paychan_internal.h"

#include <string.h>

static bool same(const void *a, const void *b, size_t n) { return memcmp(a, b, n) == 0; }

/* --- opening --- */

static const char *why_not_open(const struct paychan_event *ev)
{
    const struct paychan_open_msg *m = &ev->open;
    const struct paychan_policy *p = ev->policy;
    const uint32_t tip = ev->view.tip;
    if (m->type != 1)
        return "only channels of type 1 are known";
    if (m->capacity < p->capacity_min || m->capacity > p->capacity_max)
        return "the capacity is outside what is taken";
    if (m->expiry > PAYCHAN_EXPIRY_MAX || m->expiry < tip ||
        m->expiry - tip < (uint32_t)p->close_margin + PAYCHAN_MARGIN_BEFORE)
        return "the expiry is too near";
    if (m->expiry - tip > PAYCHAN_LIFE_MAX)
        return "the expiry is too far";
    if (m->close_fee < p->close_fee_min || m->close_fee >= m->capacity)
        return "the fee of the close is too low, or takes all";
    if (!ec_pubkey_valid(m->payer_key, EC_PUBKEY_SIZE) ||
        same(m->payer_key, ev->own->key, EC_PUBKEY_SIZE))
        return "the key is none";
    return NULL;
}

static void take_terms(struct paychan *c, const struct paychan_event *ev)
{
    const struct paychan_open_msg *m = &ev->open;
    struct paychan_terms *t = &c->terms;
    *t = (struct paychan_terms){ .expiry = m->expiry, .capacity = m->capacity,
                                 .close_fee = m->close_fee };
    memcpy(t->payer_key, m->payer_key, EC_PUBKEY_SIZE);
    memcpy(t->payer_pkh, m->payer_pkh, PAYCHAN_PKH_SIZE);
    memcpy(t->payee_key, ev->own->key, EC_PUBKEY_SIZE);
    memcpy(t->payee_pkh, ev->own->pkh, PAYCHAN_PKH_SIZE);
    memcpy(c->nonce_a, m->nonce_a, 32);
    memcpy(c->nonce_b, ev->own->nonce, 32);
    c->min_depth = ev->policy->min_depth;
    c->close_margin = ev->policy->close_margin;
    c->since = ev->view.now;
}

static bool is_repeated(const struct paychan *c, const struct paychan_open_msg *m)
{
    const struct paychan_terms *t = &c->terms;
    return m->type == 1 && m->capacity == t->capacity && m->expiry == t->expiry &&
           m->close_fee == t->close_fee && same(m->nonce_a, c->nonce_a, 32) &&
           same(m->payer_key, t->payer_key, EC_PUBKEY_SIZE) &&
           same(m->payer_pkh, t->payer_pkh, PAYCHAN_PKH_SIZE);
}

static void refuse_open(struct step *s, enum paychan_fail code, const char *text)
{
    step_do(s, PAYCHAN_DO_SEND_FAIL)->fail = (struct paychan_fail_msg){ code, text, true };
}

static void take_open(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_event *ev = s->ev;
    if (c->state != PAYCHAN_NEW) {
        if (is_repeated(c, &ev->open))
            step_do(s, PAYCHAN_DO_SEND_ACCEPT);
        else
            refuse_open(s, PAYCHAN_BAD_PARAMS, "another channel was opened with this nonce");
        return;
    }
    if (!paychan_tip_is_fresh(&ev->view)) {
        refuse_open(s, PAYCHAN_REFUSED, "this node does not know the newest blocks");
        return;
    }
    const char *why = why_not_open(ev);
    if (why) {
        refuse_open(s, PAYCHAN_BAD_PARAMS, why);
        return;
    }
    take_terms(c, ev);
    paychan_make_id(c->id, ev->own->their_identity, ev->own->our_identity, c->nonce_a,
                    c->nonce_b);
    step_move(s, R_ACCEPTED);
    step_do(s, PAYCHAN_DO_SEND_ACCEPT);
}

/* --- how much is taken --- */

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t paychan_limit(const struct paychan *c, const struct paychan_policy *p,
                       const struct paychan_view *v)
{
    const uint64_t all = c->terms.capacity - c->terms.close_fee;
    const uint32_t depth = paychan_depth(c->funding_height, v);
    if (!c->sighted || !paychan_tip_is_fresh(v) ||
        (c->funded != PAYCHAN_CONFIRMED && c->funded != PAYCHAN_UNCONFIRMED))
        return 0;
    if (depth >= PAYCHAN_DEPTH_FINAL)
        return all;
    return least(all, depth ? p->shallow_max : p->unconfirmed_max);
}

static void send_ready(struct step *s)
{
    struct paychan *c = s->c;
    const uint64_t limit = paychan_limit(c, s->ev->policy, &s->ev->view);
    c->told_limit = limit;
    step_do(s, PAYCHAN_DO_SEND_READY)->ready =
        (struct paychan_ready_msg){ c->funding_height, true, limit };
}

static bool is_deep_enough(const struct step *s)
{
    const struct paychan *c = s->c;
    if (c->funded == PAYCHAN_UNCONFIRMED)
        return c->min_depth == 0 && s->ev->policy->unconfirmed_max > 0;
    return c->funded == PAYCHAN_CONFIRMED &&
           paychan_depth(c->funding_height, &s->ev->view) >= (c->min_depth ? c->min_depth : 1);
}

/* The funding or the tip has changed. */
static void look_at_funding(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state == R_SEEN && is_deep_enough(s)) {
        step_move(s, R_OPEN);
        send_ready(s);
    } else if (c->state == R_OPEN &&
               c->told_limit != paychan_limit(c, s->ev->policy, &s->ev->view)) {
        send_ready(s);
    }
}

/* --- funding --- */

static bool spends_an_input(const struct paychan *c, const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_in; i++)
        for (size_t j = 0; j < c->n_inputs; j++)
            if (outpoint_equal(&tx->in[i].prevout, &c->inputs[j]))
                return true;
    return false;
}

/* A block has it, and it spends what the first did: that one is not on the chain, nor can be. */
static bool may_replace(const struct paychan *c, const struct paychan_funded_msg *m)
{
    return (c->state == R_SEEN && c->n == 0) || (m->height && spends_an_input(c, m->tx));
}

/* The sum stays, and is signed for the new output; a close of the old one is void. */
static void replace(struct paychan *c)
{
    c->unsigned_yet = c->n > 0;
    c->has_agreed = false;
    c->spend = PAYCHAN_UNSPENT;
    c->spend_height = 0;
    if (c->state == R_CLOSING)
        c->state = R_OPEN;
    c->told_limit = UINT64_MAX; /* chan_ready goes out again */
}

static void note_inputs(struct paychan *c, const struct tx *tx)
{
    c->n_inputs = 0;
    for (size_t i = 0; i < tx->n_in && i < PAYCHAN_INPUTS_MAX; i++)
        c->inputs[c->n_inputs++] = tx->in[i].prevout;
}

static void take_funded(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_funded_msg *m = &s->ev->funded;
    const bool known = c->state != R_ACCEPTED;
    const bool other = known && !outpoint_equal(&c->funding, &m->at);
    if (c->state < R_ACCEPTED || c->state > R_CLOSING || (c->state == R_CLOSING && !other)) {
        step_fail(s, PAYCHAN_BAD_STATE, "the channel is not being funded");
        return;
    }
    if (!m->genuine || !m->unspent) {
        step_fail(s, PAYCHAN_BAD_SCRIPT, m->genuine ? "the output is spent"
                                                    : "the output is not that of the channel");
        return;
    }
    if (other && !may_replace(c, m)) {
        step_fail(s, PAYCHAN_BAD_STATE, "another transaction funds the channel");
        return;
    }
    if (other)
        replace(c);
    note_inputs(c, m->tx);
    c->funding = m->at;
    if (!known || other || !c->sighted) { /* else the watch tells, and this look may be older */
        c->funding_height = m->height;
        c->funded = m->height ? PAYCHAN_CONFIRMED : PAYCHAN_UNCONFIRMED;
    }
    c->sighted = true;
    step_move(s, known ? c->state : R_SEEN);
    step_do(s, PAYCHAN_DO_WATCH);
    look_at_funding(s);
}

/* --- payments --- */

static bool is_late(const struct step *s)
{
    const struct paychan *c = s->c;
    return (uint64_t)s->ev->view.tip + c->close_margin >= c->terms.expiry;
}

/* Also when blocks do not come: by time, but while old blocks are being fetched. */
static bool is_due(const struct step *s)
{
    const struct paychan *c = s->c;
    const struct paychan_view *v = &s->ev->view;
    const uint64_t age = v->now > v->tip_time ? v->now - v->tip_time : 0;
    const uint64_t margin = (uint64_t)c->close_margin * PAYCHAN_BLOCK_S;
    if (is_late(s) || !v->synced)
        return is_late(s);
    return (uint64_t)(c->terms.expiry - v->tip) * PAYCHAN_BLOCK_S < margin + age;
}

/* Who was refused for a limit waits for it: it is told at the next look, changed or not. */
static void fail_pay(struct step *s, enum paychan_fail code, const char *text)
{
    s->c->failed = true;
    if (code == PAYCHAN_TOO_SHALLOW)
        s->c->told_limit = UINT64_MAX;
    step_fail(s, code, text);
}

static void send_ack(struct step *s)
{
    step_do(s, PAYCHAN_DO_SEND_ACK)->ack = (struct paychan_ack_msg){ s->c->n, s->c->paid };
}

/* The next one, or after a chan_sync the first in its session that is higher, or the same for
 * another funding. */
static bool is_expected(const struct paychan *c, const struct paychan_pay_msg *m)
{
    if (c->unsigned_yet && m->n == c->n)
        return true;
    return c->gap_allowed && !m->old ? m->n > c->n : m->n == c->n + 1;
}

/* Everything but the signature, cheap things first; 0: it may be taken. No signature covers n: over
 * a gap one above the sum was never that of a payment (take_kept), and would be held against ours
 * when it comes back from a helper. */
static enum paychan_fail check_pay(const struct step *s, const char **why)
{
    const struct paychan *c = s->c;
    const struct paychan_pay_msg *m = &s->ev->pay;
    const bool again = c->unsigned_yet && m->n == c->n;
    *why = "the sum does not rise";
    if (again ? m->paid != c->paid : m->paid <= c->paid)
        return PAYCHAN_BAD_AMOUNT;
    *why = "the number exceeds the sum";
    if (!again && m->n > m->paid)
        return PAYCHAN_BAD_AMOUNT;
    *why = "the sum exceeds the capacity";
    if (!paychan_close_fits(&c->terms, &(struct paychan_close){ m->paid, c->terms.close_fee }))
        return PAYCHAN_BAD_AMOUNT;
    *why = "the expiry is too near";
    if (is_late(s))
        return PAYCHAN_LATE;
    *why = "more than is taken while the funding is not deeper, or blocks are missing";
    if (m->paid > paychan_limit(c, s->ev->policy, &s->ev->view))
        return PAYCHAN_TOO_SHALLOW;
    *why = "too many payments at once";
    return m->too_fast || c->in_flight >= PAYCHAN_UNACKED_MAX ? PAYCHAN_LIMIT : 0;
}

static void take_bad_sig(struct step *s)
{
    fail_pay(s, PAYCHAN_BAD_SIG, "the signature is not that of the payer");
    if (++s->c->bad_sigs >= PAYCHAN_BAD_SIGS_MAX)
        step_do(s, PAYCHAN_DO_END_SESSION);
}

static void begin_close(struct step *s);

static void store_pay(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_pay_msg *m = &s->ev->pay;
    c->n = m->n;
    c->paid = m->paid;
    memcpy(c->sig, m->sig, sizeof c->sig);
    step_record(s, c->unsigned_yet ? PAYCHAN_WHOLE : PAYCHAN_NUMBERS);
    c->unsigned_yet = c->regained = false;
    if (!m->old) /* else the one that the chan_sync of the session announces is still to come */
        c->gap_allowed = false;
    c->in_flight++;
    send_ack(s);
    step_do(s, PAYCHAN_DO_SERVE)->pay = *m;
    if (s->ev->policy->unsettled_max && c->paid > s->ev->policy->unsettled_max)
        begin_close(s);
}

static void take_pay(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_pay_msg *m = &s->ev->pay;
    if (c->state != R_OPEN) {
        if (!c->failed)
            fail_pay(s, PAYCHAN_BAD_STATE, "the channel is not open");
        return;
    }
    if (m->n <= c->n && !(c->unsigned_yet && m->n == c->n)) {
        send_ack(s);
        return;
    }
    if (!is_expected(c, m)) {
        if (!c->failed && !m->old) /* else it was under way when one was refused, or lost */
            fail_pay(s, PAYCHAN_BAD_STATE, "a payment is missing before this one");
        return;
    }
    const char *why;
    const enum paychan_fail code = check_pay(s, &why);
    if (code)
        fail_pay(s, code, why);
    else if (paychan_close_verify(m->sig, &c->terms, &c->funding,
                                  &(struct paychan_close){ m->paid, c->terms.close_fee }))
        store_pay(s);
    else
        take_bad_sig(s);
}

/* --- closing --- */

static bool can_close(const struct paychan *c)
{
    return c->has_agreed || (c->n > 0 && !c->unsigned_yet);
}

/* One more signature is counted, and stored, before it leaves. */
static void broadcast(struct step *s)
{
    s->c->signatures++;
    step_record(s, PAYCHAN_WHOLE);
    step_do(s, PAYCHAN_DO_BROADCAST_CLOSE);
    step_do(s, PAYCHAN_DO_SEND_CLOSED);
}

static void begin_close(struct step *s)
{
    if (!can_close(s->c)) {
        step_move(s, R_ABANDONED);
        return;
    }
    step_move(s, R_CLOSING);
    broadcast(s);
}

static enum paychan_fail check_close(const struct step *s)
{
    const struct paychan *c = s->c;
    const struct paychan_close_msg *m = &s->ev->close;
    if (m->close.paid < c->paid || (c->has_agreed && m->close.paid < c->agreed.paid) ||
        m->close.fee < s->ev->policy->close_fee_min || !paychan_close_fits(&c->terms, &m->close))
        return PAYCHAN_BAD_AMOUNT;
    return paychan_close_verify(m->sig, &c->terms, &c->funding, &m->close) ? 0 : PAYCHAN_BAD_SIG;
}

/* What the payer asks for is taken beside our best one, which is broadcast when it is refused. Also
 * of a channel that was given up, over which nothing was paid: all of it is the payer's. */
static void take_close(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state != R_OPEN && c->state != R_SEEN && c->state != R_CLOSING &&
        c->state != R_ABANDONED) {
        step_fail(s, PAYCHAN_BAD_STATE, "the channel is not open");
        return;
    }
    const enum paychan_fail code = check_close(s);
    if (code) {
        step_fail(s, code, "this close is not taken");
    } else if (c->spend == PAYCHAN_UNSPENT) {
        c->has_agreed = true;
        c->agreed = s->ev->close.close;
        memcpy(c->agreed_sig, s->ev->close.sig, sizeof c->agreed_sig);
        step_record(s, PAYCHAN_WHOLE);
    }
    if (can_close(c))
        begin_close(s);
}

static void close_by_user(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state != R_OPEN && c->state != R_SEEN)
        step_refuse(s, ERR_RANGE, "the channel is not open");
    else
        begin_close(s);
}

/* --- the chain --- */

/* What was deep is not any more: it is waited for again. */
static void reopen(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state == R_CLOSED &&
        paychan_depth(c->spend_height, &s->ev->view) < PAYCHAN_DEPTH_FINAL)
        step_move(s, can_close(c) || c->spend != PAYCHAN_UNSPENT ? R_CLOSING : R_ABANDONED);
}

/* Said at each start, too: what is said is not stored. */
static void alarm_if_lost(struct step *s)
{
    const struct paychan *c = s->c;
    if (c->paid && c->spend_height && c->spend != PAYCHAN_SPENT_CLOSE)
        step_alarm(s, "the channel was spent without paying us");
}

static void take_spend(struct step *s)
{
    struct paychan *c = s->c;
    if (!step_take_spend(s))
        return;
    reopen(s);
    if (c->spend == PAYCHAN_UNSPENT) {
        if (c->state == R_CLOSING && can_close(c)) /* a reorganisation, or it was thrown out */
            broadcast(s);
        return;
    }
    if (c->spend == PAYCHAN_SPENT_CLOSE && (c->state == R_SEEN || c->state == R_OPEN)) {
        step_move(s, R_CLOSING);
    } else if (c->spend != PAYCHAN_SPENT_CLOSE && c->spend_height == 0 &&
               (c->state == R_SEEN || c->state == R_OPEN)) {
        step_alarm(s, "a transaction that is not ours spends the channel");
        begin_close(s);
    } else if (c->spend != PAYCHAN_SPENT_CLOSE && c->spend_height) {
        step_move(s, R_CLOSING);
        alarm_if_lost(s);
    }
}

static void look_at_spend(struct step *s, bool new_tip)
{
    struct paychan *c = s->c;
    const uint32_t depth = paychan_depth(c->spend_height, &s->ev->view);
    if (depth > PAYCHAN_DEPTH_KEPT && c->state >= R_CLOSED) {
        step_forget(s);
    } else if (depth >= PAYCHAN_DEPTH_FINAL && c->state == R_CLOSING) {
        step_move(s, R_CLOSED);
    } else if (!depth && new_tip && c->state == R_CLOSING && can_close(c)) {
        broadcast(s);
        if (s->ev->view.tip >= c->terms.expiry)
            step_alarm(s, "the close is not in a block, and the payer may take all back");
    }
}

/* With another signature it is another transaction, that nobody has refused. */
static void close_anew(struct step *s)
{
    if (s->c->state == R_CLOSING && !s->c->spend_height && can_close(s->c))
        broadcast(s);
}

static void take_tip(struct step *s)
{
    struct paychan *c = s->c;
    const bool new_tip = step_new_tip(s);
    const uint64_t age = s->ev->view.now > c->since ? s->ev->view.now - c->since : 0;
    if (c->sync_open && step_sync_is_late(s) && c->state >= R_SEEN && c->state <= R_CLOSING)
        (void)step_send_copy(s); /* the payer says nothing of the channel */
    if (c->state == R_ACCEPTED && age > PAYCHAN_ABANDON_S) {
        step_forget(s);
    } else if (c->state == R_ABANDONED && s->ev->view.tip > c->terms.expiry) {
        step_forget(s);
    } else if ((c->state == R_SEEN || c->state == R_OPEN) && is_due(s)) {
        begin_close(s);
    } else {
        look_at_funding(s);
        look_at_spend(s, new_tip);
    }
}

static void take_funding(struct step *s)
{
    const bool first = !s->c->sighted;
    if (s->c->state == R_ACCEPTED)
        return;
    s->c->sighted = true;
    if (!step_take_funding(s) && !first)
        return;
    if (s->c->funded == PAYCHAN_REPLACED && s->c->state == R_OPEN)
        step_alarm(s, "the transaction that funds the channel is in no block and no mempool");
    look_at_funding(s);
}

/* --- sessions --- */

static void come_up(struct step *s)
{
    struct paychan *c = s->c;
    c->sync_open = 0;
    c->copy_sent = false;
    c->bad_sigs = 0;
    if (c->state >= R_SEEN && c->state <= R_CLOSING)
        step_send_sync(s);
}

static void take_sync(struct step *s)
{
    struct paychan *c = s->c;
    if (s->ev->sync.role != PAYCHAN_PAYER) {
        step_fail(s, PAYCHAN_BAD_STATE, "you are the payer of this channel");
        return;
    }
    c->gap_allowed = true;
    c->failed = false;
    if (s->ev->sync.state == PAYCHAN_NEW && c->state >= R_SEEN)
        (void)step_send_copy(s);
    step_answer_sync(s);
    if (c->state == R_OPEN)
        send_ready(s);
    else if (c->state == R_CLOSING)
        step_do(s, PAYCHAN_DO_SEND_CLOSED);
}

static void take_fail(struct step *s)
{
    if (s->c->state == R_ACCEPTED)
        step_forget(s);
    else if (s->ev->fail.code == PAYCHAN_UNKNOWN && s->c->state >= R_SEEN &&
             s->c->state <= R_CLOSING)
        (void)step_send_copy(s);
}

/* The payer's signature is what counts, whoever has kept it. What it was paid for was served, and
 * told, before the data were lost. No signature covers n: one above the sum, which rises with each
 * payment, was never that of a payment, and the last number would leave none for the next. */
static void take_kept(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_pay_msg *m = &s->ev->pay;
    const struct paychan_close close = { m->paid, c->terms.close_fee };
    if ((c->state != R_SEEN && c->state != R_OPEN) || m->n <= c->n || m->paid <= c->paid ||
        m->n > m->paid || !paychan_close_fits(&c->terms, &close) ||
        !paychan_close_verify(m->sig, &c->terms, &c->funding, &close))
        return;
    c->n = m->n;
    c->paid = m->paid;
    memcpy(c->sig, m->sig, sizeof c->sig);
    c->unsigned_yet = c->regained = false;
    step_record(s, PAYCHAN_WHOLE);
}

static void restore(struct step *s)
{
    if (s->c->state != PAYCHAN_NEW)
        return;
    s->c->sighted = s->c->regained = true;
    step_move(s, R_SEEN);
    step_do(s, PAYCHAN_DO_WATCH);
    step_send_sync(s);
    look_at_funding(s);
}

static void start(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state >= R_SEEN)
        step_do(s, PAYCHAN_DO_WATCH);
    if (c->state == R_CLOSING && !c->spend_height)
        broadcast(s);
    alarm_if_lost(s);
}

static void take_acked(struct step *s)
{
    struct paychan *c = s->c;
    const uint64_t after = c->n > s->ev->ack.n ? c->n - s->ev->ack.n : 0; /* came meanwhile */
    if (c->in_flight > after)
        c->in_flight = (unsigned)after;
}

void step_payee(struct step *s)
{
    static void (*const handlers[])(struct step *s) = {
        [PAYCHAN_EV_START] = start,
        [PAYCHAN_EV_UP] = come_up,
        [PAYCHAN_EV_OPEN_MSG] = take_open,
        [PAYCHAN_EV_FUNDED_MSG] = take_funded,
        [PAYCHAN_EV_PAY_MSG] = take_pay,
        [PAYCHAN_EV_CLOSE_MSG] = take_close,
        [PAYCHAN_EV_SYNC_MSG] = take_sync,
        [PAYCHAN_EV_FAIL_MSG] = take_fail,
        [PAYCHAN_EV_CLOSE] = close_by_user,
        [PAYCHAN_EV_ACKED] = take_acked,
        [PAYCHAN_EV_RESTORE] = restore,
        [PAYCHAN_EV_KEPT] = take_kept,
        [PAYCHAN_EV_TIP] = take_tip,
        [PAYCHAN_EV_FUNDING] = take_funding,
        [PAYCHAN_EV_SPEND] = take_spend,
        [PAYCHAN_EV_RACED] = close_anew,
    };
    const size_t kind = (size_t)s->ev->kind;
    if (kind < sizeof handlers / sizeof *handlers && handlers[kind])
        handlers[kind](s);
}

/* The payer: pays, asks for the close, and takes the rest back after the expiry. */
#include "wallet/paychan_internal.h"

#include <string.h>

static bool same(const void *a, const void *b, size_t n) { return memcmp(a, b, n) == 0; }

/* --- opening --- */

static void open_channel(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_own *own = s->ev->own;
    struct paychan_terms *t = &c->terms;
    if (c->state != PAYCHAN_NEW)
        return;
    if (own->capacity <= own->close_fee || own->capacity <= own->refund_fee ||
        own->capacity > INT64_MAX) {
        step_refuse(s, ERR_RANGE, "the capacity does not cover the fees");
        return;
    }
    if (own->expiry <= s->ev->view.tip || own->expiry > PAYCHAN_EXPIRY_MAX) {
        step_refuse(s, ERR_RANGE, "the expiry is not ahead");
        return;
    }
    *t = (struct paychan_terms){ .expiry = own->expiry, .capacity = own->capacity,
                                 .close_fee = own->close_fee };
    memcpy(t->payer_key, own->key, EC_PUBKEY_SIZE);
    memcpy(t->payer_pkh, own->pkh, PAYCHAN_PKH_SIZE);
    memcpy(c->nonce_a, own->nonce, 32);
    c->refund_fee = own->refund_fee;
    c->since = s->ev->view.now;
    step_move(s, P_OPENING);
    step_do(s, PAYCHAN_DO_SEND_OPEN);
}

static bool is_good_accept(const struct step *s)
{
    const struct paychan *c = s->c;
    const struct paychan_accept_msg *m = &s->ev->accept;
    const uint32_t tip = s->ev->view.tip;
    uint8_t id[PAYCHAN_ID_SIZE];
    paychan_make_id(id, s->ev->own->our_identity, s->ev->own->their_identity, c->nonce_a,
                    m->nonce_b);
    return same(id, m->id, sizeof id) && ec_pubkey_valid(m->payee_key, EC_PUBKEY_SIZE) &&
           !same(m->payee_key, c->terms.payer_key, EC_PUBKEY_SIZE) &&
           m->min_depth <= PAYCHAN_MIN_DEPTH_MAX && m->close_margin >= PAYCHAN_MARGIN_MIN &&
           m->close_margin <= PAYCHAN_MARGIN_MAX && c->terms.expiry > tip &&
           c->terms.expiry - tip >= (uint32_t)m->close_margin + PAYCHAN_MARGIN_BEFORE;
}

static void take_accept(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_accept_msg *m = &s->ev->accept;
    if (c->state != P_OPENING)
        return; /* sent twice */
    memcpy(c->id, m->id, sizeof c->id);
    if (!is_good_accept(s)) {
        step_fail(s, PAYCHAN_BAD_PARAMS, "this accept is not taken");
        step_forget(s);
        return;
    }
    memcpy(c->nonce_b, m->nonce_b, 32);
    memcpy(c->terms.payee_key, m->payee_key, EC_PUBKEY_SIZE);
    memcpy(c->terms.payee_pkh, m->payee_pkh, PAYCHAN_PKH_SIZE);
    c->min_depth = m->min_depth;
    c->close_margin = m->close_margin;
    c->since = s->ev->view.now;
    step_move(s, P_ACCEPTED);
    step_do(s, PAYCHAN_DO_FUND);
}

static bool is_older(const struct step *s, uint64_t seconds)
{
    return s->ev->view.now > s->c->since && s->ev->view.now - s->c->since > seconds;
}

static void send_pay(struct step *s, struct span ref)
{
    const struct paychan *c = s->c;
    struct paychan_pay_msg m = { .n = c->n, .paid = c->paid, .ref = ref };
    memcpy(m.sig, c->sig, sizeof m.sig);
    step_do(s, PAYCHAN_DO_SEND_PAY)->pay = m;
}

static bool sign_sum(struct step *s, uint64_t paid, uint8_t sig[EC_SIG_SIZE])
{
    const struct paychan *c = s->c;
    const struct paychan_close close = { paid, c->terms.close_fee };
    if (!paychan_close_fits(&c->terms, &close)) { /* adopted with a lower fee */
        step_refuse(s, ERR_RANGE, "what is left does not cover the fee");
        return false;
    }
    if (s->ev->secret &&
        paychan_close_sign(sig, &c->terms, &c->funding, &close, s->ev->secret))
        return true;
    step_refuse(s, ERR_AUTH, "the key of the channel is locked: unlock the wallet");
    return false;
}

static bool may_fund(struct step *s, const struct tx *tx)
{
    const struct paychan *c = s->c;
    const uint32_t index = s->ev->tx.index;
    if (index >= tx->n_out || !paychan_is_funding(&tx->out[index], &c->terms))
        step_refuse(s, ERR_RANGE, "the transaction does not fund this channel");
    else if (c->state == P_ACCEPTED && !s->ev->tx.already && is_older(s, PAYCHAN_ACCEPT_GOOD_S))
        step_refuse(s, ERR_TIMEOUT, "the other side has agreed too long ago");
    else if (c->state != P_ACCEPTED &&
             (c->funded != PAYCHAN_REPLACED || c->state < P_FUNDED || c->state > P_EXPIRED ||
              c->state == P_CLOSED))
        step_refuse(s, ERR_RANGE, "the channel is funded");
    return s->out->refused == OK;
}

static void give_up_funding(struct step *s)
{
    if (s->c->state != P_ACCEPTED)
        return;
    step_fail(s, PAYCHAN_REFUSED, "the channel is not funded");
    step_forget(s);
}

/* What was paid, and the close that was agreed on, for the output of now. */
static bool sign_anew(struct step *s)
{
    struct paychan *c = s->c;
    if (c->n > 0 && !sign_sum(s, c->paid, c->sig))
        return false;
    if (c->has_agreed && (!s->ev->secret ||
                          !paychan_close_sign(c->agreed_sig, &c->terms, &c->funding, &c->agreed,
                                              s->ev->secret))) {
        step_refuse(s, ERR_AUTH, "the key of the channel is locked: unlock the wallet");
        return false;
    }
    c->unsigned_yet = c->state != P_ACCEPTED;
    return true;
}

/* The first time, or when another transaction has taken the place of the first. What was signed for
 * that one stays signed: the sum never falls. */
static void fund(struct step *s)
{
    struct paychan *c = s->c;
    const struct tx *tx = s->ev->tx.tx;
    if (!tx) {
        give_up_funding(s);
        return;
    }
    if (!may_fund(s, tx))
        return;
    const struct paychan before = *c;
    c->funding = (struct outpoint){ tx->id, s->ev->tx.index };
    if (!sign_anew(s)) {
        *c = before;
        return;
    }
    c->spend = PAYCHAN_UNSPENT;
    c->spend_height = 0;
    c->funded = s->ev->tx.height ? PAYCHAN_CONFIRMED : PAYCHAN_UNCONFIRMED;
    c->funding_height = s->ev->tx.height;
    step_move(s, c->state == P_ACCEPTED ? P_FUNDED : c->state);
    step_do(s, PAYCHAN_DO_SEND_FUNDING);
    step_do(s, PAYCHAN_DO_WATCH);
    step_do(s, PAYCHAN_DO_SEND_FUNDED);
}

/* The cause of a chan_fail is gone: both say where they stand, and the highest state goes again. */
static void resume(struct step *s)
{
    struct paychan *c = s->c;
    c->stopped = 0;
    step_send_sync(s);
    if (c->n > c->acked_n && !c->moves)
        send_pay(s, span_of(NULL, 0));
}

static void take_ready(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state != P_FUNDED && c->state != P_OPEN)
        return;
    c->limit = s->ev->ready.has_limit ? s->ev->ready.limit : UINT64_MAX;
    if (c->stopped == PAYCHAN_BAD_SCRIPT) /* it accepts the funding after all, up to the limit */
        c->stopped = PAYCHAN_TOO_SHALLOW;
    if (c->stopped == PAYCHAN_TOO_SHALLOW && c->paid <= c->limit)
        resume(s);
    if (c->unsigned_yet && c->n > 0) /* the payee knows of the new funding now, or soon */
        send_pay(s, span_of(NULL, 0));
    if (c->state == P_FUNDED)
        step_move(s, P_OPEN);
}

/* --- paying --- */

static const char *const stopped_texts[] = {
    [PAYCHAN_REFUSED] = "the payee refuses payments",
    [PAYCHAN_BAD_PARAMS] = "the payee refuses payments",
    [PAYCHAN_BAD_SCRIPT] = "the payee does not accept the funding",
    [PAYCHAN_BAD_AMOUNT] = "the payee does not agree about the sum: close the channel",
    [PAYCHAN_BAD_SIG] = "the payee does not accept a signature: close the channel",
    [PAYCHAN_TOO_SHALLOW] = "the payee waits for more blocks",
    [PAYCHAN_BAD_STATE] = "the payee holds the channel for another state",
    [PAYCHAN_LATE] = "the channel is near its expiry: close it",
    [PAYCHAN_LIMIT] = "the payee is busy, try again in a second",
    [PAYCHAN_UNKNOWN] = "the payee does not know the channel",
};

/* NULL: it may. */
static const char *why_not_pay(const struct step *s, enum err *code)
{
    const struct paychan *c = s->c;
    const uint64_t amount = s->ev->amount.amount;
    *code = ERR_RANGE;
    if (c->state != P_OPEN)
        return "the channel is not open";
    if (c->frozen)
        return "the payee has shown a state that was never signed: the rest comes back after "
               "the expiry";
    if (c->n == UINT64_MAX) /* no signature covers n: a payee may have named any */
        return "the payee has counted to the last number: close the channel";
    if ((uint64_t)s->ev->view.tip + c->close_margin >= c->terms.expiry)
        return stopped_texts[PAYCHAN_LATE];
    if (amount == 0)
        return "the amount must be above 0";
    if (amount > UINT64_MAX - c->paid ||
        !paychan_close_fits(&c->terms,
                            &(struct paychan_close){ c->paid + amount, c->terms.close_fee }))
        return "the channel does not hold so much";
    *code = ERR_BUSY;
    if (c->stopped)
        return stopped_texts[c->stopped];
    if (c->paid + amount > c->limit)
        return stopped_texts[PAYCHAN_TOO_SHALLOW];
    if (c->n - c->acked_n >= PAYCHAN_UNACKED_MAX)
        return "too many payments are not acknowledged yet";
    return NULL;
}

static void pay(struct step *s)
{
    struct paychan *c = s->c;
    enum err code;
    uint8_t sig[EC_SIG_SIZE];
    const char *why = why_not_pay(s, &code);
    if (why) {
        step_refuse(s, code, why);
        return;
    }
    if (!sign_sum(s, c->paid + s->ev->amount.amount, sig))
        return;
    c->n++;
    c->paid += s->ev->amount.amount;
    memcpy(c->sig, sig, sizeof sig);
    step_record(s, PAYCHAN_NUMBERS);
    send_pay(s, s->ev->amount.ref);
}

static void take_ack(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_ack_msg *m = &s->ev->ack;
    if (m->n <= c->acked_n || m->n > c->n || m->paid > c->paid || m->paid < c->acked_paid ||
        (m->n == c->n && m->paid != c->paid))
        return;
    c->acked_n = m->n;
    c->acked_paid = m->paid;
    if (m->n == c->n)
        c->moves = 0;
}

/* It misses a payment, which was lost with a session, or does not hold the channel for open: the
 * chan_syncs tell, and only one that says it is open ends the stop. */
static void ask_where_it_stands(struct step *s, bool first)
{
    const struct paychan *c = s->c;
    if (c->state == P_OPEN && (first || step_sync_is_late(s)))
        step_send_sync(s);
}

bool paychan_is_asking(const struct paychan *c)
{
    return c->role == PAYCHAN_PAYER && c->state == P_OPEN &&
           (c->moves || (c->stopped == PAYCHAN_BAD_STATE && c->sync_open > 0));
}

#define NEVER_SIGNED 0 /* places in `alarmed` beside those of the codes */
#define CLOSE_REFUSED (PAYCHAN_UNKNOWN + 1)

/* Once in a session each, whatever the payee says in turn. */
static void alarm_once(struct step *s, unsigned code, const char *text)
{
    const uint16_t bit = (uint16_t)(1u << code);
    if (s->c->alarmed & bit)
        return;
    s->c->alarmed |= bit;
    step_alarm(s, text);
}

static void take_fail(struct step *s)
{
    struct paychan *c = s->c;
    const unsigned said = s->ev->fail.code;
    const unsigned code = said && said <= PAYCHAN_UNKNOWN ? said : PAYCHAN_REFUSED;
    const bool again = c->stopped == code;
    if (c->state == P_OPENING) {
        step_alarm(s, s->ev->fail.text);
        step_forget(s);
        return;
    }
    if (c->state == P_FUNDED || c->state == P_OPEN) {
        c->stopped = (enum paychan_fail)code;
        if (code == PAYCHAN_UNKNOWN && c->spend == PAYCHAN_UNSPENT && step_send_copy(s))
            return; /* it may have lost its database */
        if (code == PAYCHAN_BAD_STATE)
            ask_where_it_stands(s, !again);
        if (code == PAYCHAN_BAD_AMOUNT || code == PAYCHAN_BAD_SIG || code == PAYCHAN_LATE ||
            code == PAYCHAN_BAD_SCRIPT || code == PAYCHAN_UNKNOWN)
            alarm_once(s, code, stopped_texts[code]);
    } else if (c->state == P_CLOSING && c->n == 0 && c->spend == PAYCHAN_UNSPENT &&
               (code == PAYCHAN_BAD_AMOUNT || code == PAYCHAN_BAD_SIG)) {
        /* else the payee publishes its best one */
        alarm_once(s, CLOSE_REFUSED, "the payee does not take this close: closechannel with "
                                     "another fee_rate, or wait for the expiry");
    }
}

/* --- closing --- */

static void send_close(struct step *s)
{
    const struct paychan *c = s->c;
    struct paychan_close_msg m = { .close = c->agreed };
    memcpy(m.sig, c->agreed_sig, sizeof m.sig);
    step_do(s, PAYCHAN_DO_SEND_CLOSE)->close = m;
}

static void ask_for_close(struct step *s)
{
    struct paychan *c = s->c;
    const uint64_t fee = s->ev->closing.fee ? s->ev->closing.fee : c->terms.close_fee;
    const struct paychan_close close = { c->paid, fee };
    if (c->state != P_FUNDED && c->state != P_OPEN && c->state != P_CLOSING) {
        step_refuse(s, ERR_RANGE, "the channel is not open");
        return;
    }
    if (!paychan_close_fits(&c->terms, &close)) {
        step_refuse(s, ERR_RANGE, "what is left does not cover the fee");
        return;
    }
    if (!s->ev->secret || !paychan_close_sign(c->agreed_sig, &c->terms, &c->funding, &close,
                                              s->ev->secret)) {
        step_refuse(s, ERR_AUTH, "the key of the channel is locked: unlock the wallet");
        return;
    }
    c->has_agreed = true;
    c->agreed = close;
    step_move(s, P_CLOSING);
    send_close(s);
}

/* Known by what it spends and pays, and by our own signature. */
static void take_closed(struct step *s)
{
    struct paychan *c = s->c;
    struct paychan_close close;
    uint8_t sig[EC_SIG_SIZE];
    if (!paychan_read_close(s->ev->tx.tx, &c->terms, &c->funding, &close) ||
        !paychan_read_close_sig(s->ev->tx.tx, sig) ||
        !paychan_close_verify(sig, &c->terms, &c->funding, &close)) {
        step_fail(s, PAYCHAN_BAD_SIG, "this close was never signed");
        return;
    }
    if (c->state < P_FUNDED || c->state > P_CLOSING)
        return;
    if (close.paid > c->paid)
        c->paid = close.paid; /* what is stored here is old */
    step_move(s, P_CLOSING);
}

/* --- the chain --- */

static void take_back(struct step *s)
{
    struct paychan *c = s->c;
    c->state = P_EXPIRED;
    if (!s->ev->secret) {
        step_record(s, PAYCHAN_WHOLE);
        step_alarm(s, "a channel has expired: unlock the wallet to take back what is left");
        return;
    }
    step_move(s, P_REFUNDING);
    step_do(s, PAYCHAN_DO_BROADCAST_REFUND);
}

static bool is_expired(const struct step *s) { return s->ev->view.tip >= s->c->terms.expiry; }

static void take_spend(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state < P_FUNDED || !step_take_spend(s))
        return;
    if (c->spend == PAYCHAN_SPENT_CLOSE)
        step_move(s, c->spend_height ? P_CLOSED : P_CLOSING);
    else if (c->spend == PAYCHAN_SPENT_REFUND)
        step_move(s, P_REFUNDING);
    else if (c->spend == PAYCHAN_SPENT_OTHER)
        step_alarm(s, "a transaction that is not ours spends the channel");
    else if (c->state == P_CLOSED || c->state == P_REFUNDED)
        step_move(s, is_expired(s) ? P_REFUNDING : P_CLOSING);
    if (c->spend == PAYCHAN_SPENT_CLOSE && c->settled.paid > c->paid) {
        c->paid = c->settled.paid;
        step_alarm(s, "a close pays more than is stored here: an older copy of the data?");
    }
}

static void look_at_spend(struct step *s, bool new_tip)
{
    struct paychan *c = s->c;
    const uint32_t depth = paychan_depth(c->spend_height, &s->ev->view);
    if (depth > PAYCHAN_DEPTH_KEPT && (c->state == P_CLOSED || c->state == P_REFUNDED))
        step_forget(s);
    else if (depth >= PAYCHAN_DEPTH_FINAL && c->state == P_REFUNDING)
        step_move(s, P_REFUNDED);
    else if (!depth && new_tip && c->state == P_REFUNDING && is_expired(s))
        step_do(s, PAYCHAN_DO_BROADCAST_REFUND);
}

static bool is_to_be_taken_back(const struct step *s)
{
    const struct paychan *c = s->c;
    return is_expired(s) && c->spend == PAYCHAN_UNSPENT && c->funded != PAYCHAN_REPLACED &&
           c->state >= P_FUNDED && c->state <= P_EXPIRED && c->state != P_CLOSED;
}

/* What was paid in the session before: while that is up, and a moment after, as it ends at our side
 * before all of it was read at the other. */
static bool is_on_its_way(const struct step *s)
{
    const struct paychan *c = s->c;
    const uint64_t now = s->ev->view.now;
    return c->carried && now >= c->moves &&
           now - c->moves < (s->ev->view.older ? PAYCHAN_MOVE_S : PAYCHAN_MOVE_MIN_S);
}

/* Nothing comes of the session before any more, or the payee does not say where it stands. */
static bool is_moved(const struct step *s)
{
    const struct paychan *c = s->c;
    const uint64_t now = s->ev->view.now;
    const bool late = now < c->moves || now - c->moves >= PAYCHAN_MOVE_S;
    return c->moves && c->state == P_OPEN && (late || (!c->sync_open && !is_on_its_way(s)));
}

/* The highest state stands for all that the payee may not have. */
static void move(struct step *s)
{
    s->c->moves = 0;
    if (s->c->n > s->c->acked_n && !s->c->stopped)
        send_pay(s, span_of(NULL, 0));
}

static void take_tip(struct step *s)
{
    struct paychan *c = s->c;
    const bool new_tip = step_new_tip(s);
    if (c->state == P_OPENING && is_older(s, PAYCHAN_OPEN_S)) {
        step_alarm(s, "the other side did not answer");
        step_forget(s);
    } else if (c->state == P_ACCEPTED && is_older(s, PAYCHAN_ACCEPT_GOOD_S)) {
        step_alarm(s, "a channel was not funded in time");
        step_forget(s);
    } else if (is_to_be_taken_back(s)) {
        take_back(s);
    } else if (is_moved(s)) {
        move(s);
    } else if (c->stopped == PAYCHAN_LIMIT && c->state == P_OPEN) {
        resume(s);
    } else if (c->stopped == PAYCHAN_BAD_STATE && c->state == P_OPEN) {
        ask_where_it_stands(s, false);
    } else {
        look_at_spend(s, new_tip);
    }
}

static void take_funding(struct step *s)
{
    if (s->c->state < P_FUNDED || !step_take_funding(s))
        return;
    if (s->c->funded == PAYCHAN_CONFIRMED && s->c->state <= P_OPEN)
        step_do(s, PAYCHAN_DO_SEND_FUNDED);
    else if (s->c->funded == PAYCHAN_REPLACED)
        step_alarm(s, "the transaction that funds a channel was replaced");
}

/* --- sessions --- */

static void come_up(struct step *s)
{
    struct paychan *c = s->c;
    c->sync_open = 0;
    c->copy_sent = false;
    c->stopped = 0;
    c->alarmed = 0;
    c->moves = c->state == P_OPEN && c->n > c->acked_n ? s->ev->view.now : 0;
    c->carried = s->ev->view.older;
    if (c->state == P_OPENING)
        step_do(s, PAYCHAN_DO_SEND_OPEN);
    else if (c->state >= P_FUNDED && c->state != P_CLOSED && c->state != P_REFUNDED)
        step_send_sync(s);
    if (c->state == P_FUNDED || (c->unsigned_yet && c->state < P_CLOSED))
        step_do(s, PAYCHAN_DO_SEND_FUNDED);
}

static void restore(struct step *s)
{
    if (s->c->state != PAYCHAN_NEW)
        return;
    s->c->since = s->ev->view.now;
    step_move(s, P_FUNDED);
    step_do(s, PAYCHAN_DO_WATCH);
    step_send_sync(s);
}

/* By us, for the fee of the message: that of a close that was agreed on may be another. */
static bool is_ours(const struct paychan *c, const struct paychan_sync_msg *m)
{
    const struct paychan_close close = { m->paid, m->close_fee };
    return paychan_close_fits(&c->terms, &close) &&
           paychan_close_verify(m->sig, &c->terms, &c->funding, &close);
}

/* The highest sum is now this one. False: its signature has another fee than payments have, and the
 * key that makes ours is locked. */
static bool adopt_sum(struct paychan *c, const struct paychan_sync_msg *m, const uint8_t *secret)
{
    const struct paychan_close close = { m->paid, c->terms.close_fee };
    uint8_t sig[EC_SIG_SIZE];
    memcpy(sig, m->sig, sizeof sig);
    if (m->close_fee != close.fee && paychan_close_fits(&c->terms, &close) &&
        (!secret || !paychan_close_sign(sig, &c->terms, &c->funding, &close, secret)))
        return false;
    c->paid = m->paid;
    memcpy(c->sig, sig, sizeof c->sig);
    return true;
}

/* The payee shows a later state: our data is old if we have signed that. Of two sums with one n the
 * higher that we have signed counts. */
static void adopt(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_sync_msg *m = &s->ev->sync;
    if (!is_ours(c, m)) {
        if (m->n == c->n)
            return;
        if (!c->frozen)
            step_record(s, PAYCHAN_WHOLE);
        c->frozen = true;
        alarm_once(s, NEVER_SIGNED, "a payee has shown a state of a channel that was never signed");
        return;
    }
    if (m->paid > c->paid && !adopt_sum(c, m, s->ev->secret))
        return; /* it is shown again */
    c->n = m->n;
    c->acked_n = m->n;
    c->acked_paid = m->paid;
    step_record(s, PAYCHAN_WHOLE);
}

static void take_sync(struct step *s)
{
    struct paychan *c = s->c;
    const struct paychan_sync_msg *m = &s->ev->sync;
    if (m->role != PAYCHAN_PAYEE) {
        step_fail(s, PAYCHAN_BAD_STATE, "you are the payee of this channel");
        return;
    }
    if (c->state < P_FUNDED)
        return;
    if (c->stopped == PAYCHAN_UNKNOWN || (c->stopped == PAYCHAN_BAD_STATE && m->state == R_OPEN))
        c->stopped = 0; /* it knows the channel again; takes its payments again */
    if (m->n >= c->n || m->n < c->acked_n || !is_on_its_way(s))
        c->moves = 0; /* else it may still come, payment by payment */
    if (m->n > c->n || (m->n == c->n && m->paid > c->paid)) {
        adopt(s);
    } else {
        if (m->n > c->acked_n) {
            c->acked_n = m->n;
            c->acked_paid = m->paid;
        }
        if (c->n > m->n && c->state == P_OPEN && !c->moves)
            send_pay(s, span_of(NULL, 0));
    }
    step_answer_sync(s);
    if (c->state == P_CLOSING && c->has_agreed && c->spend == PAYCHAN_UNSPENT)
        send_close(s);
}

static void start(struct step *s)
{
    struct paychan *c = s->c;
    if (c->state == P_ACCEPTED)
        step_do(s, PAYCHAN_DO_FUND);
    if (c->state >= P_FUNDED)
        step_do(s, PAYCHAN_DO_WATCH);
    if (c->state >= P_FUNDED && c->funded != PAYCHAN_CONFIRMED)
        step_do(s, PAYCHAN_DO_SEND_FUNDING);
    if (c->state == P_REFUNDING && !c->spend_height && is_expired(s)) /* else it is parked */
        step_do(s, PAYCHAN_DO_BROADCAST_REFUND);
}

void step_payer(struct step *s)
{
    static void (*const handlers[])(struct step *s) = {
        [PAYCHAN_EV_START] = start,
        [PAYCHAN_EV_UP] = come_up,
        [PAYCHAN_EV_OPEN] = open_channel,
        [PAYCHAN_EV_ACCEPT_MSG] = take_accept,
        [PAYCHAN_EV_FUND] = fund,
        [PAYCHAN_EV_READY_MSG] = take_ready,
        [PAYCHAN_EV_PAY] = pay,
        [PAYCHAN_EV_ACK_MSG] = take_ack,
        [PAYCHAN_EV_FAIL_MSG] = take_fail,
        [PAYCHAN_EV_CLOSE] = ask_for_close,
        [PAYCHAN_EV_CLOSED_MSG] = take_closed,
        [PAYCHAN_EV_SYNC_MSG] = take_sync,
        [PAYCHAN_EV_TIP] = take_tip,
        [PAYCHAN_EV_FUNDING] = take_funding,
        [PAYCHAN_EV_SPEND] = take_spend,
        [PAYCHAN_EV_RESTORE] = restore,
    };
    const size_t kind = (size_t)s->ev->kind;
    if (kind < sizeof handlers / sizeof *handlers && handlers[kind])
        handlers[kind](s);
}

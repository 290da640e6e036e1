#include "wallet/paychan_internal.h"

#include <string.h>

#include "base/hash.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const payer_states[] = {
    "new", "opening", "accepted", "funded", "open", "closing", "closed", "expired", "refunding",
    "refunded",
};
static const char *const payee_states[] = {
    "new", "accepted", "seen", "open", "closing", "closed", "abandoned",
};
static const char *const fail_names[] = {
    "", "refused", "parameters", "script", "amount", "signature", "depth", "state", "late",
    "limit", "unknown channel",
};

const char *paychan_state_name(enum paychan_role role, unsigned state)
{
    if (role == PAYCHAN_PAYER)
        return state < COUNT(payer_states) ? payer_states[state] : "unknown";
    return state < COUNT(payee_states) ? payee_states[state] : "unknown";
}

const char *paychan_fail_name(unsigned code)
{
    return code && code < COUNT(fail_names) ? fail_names[code] : "unknown";
}

void paychan_make_id(uint8_t id[PAYCHAN_ID_SIZE], const uint8_t payer[EC_PUBKEY_SIZE],
                     const uint8_t payee[EC_PUBKEY_SIZE], const uint8_t nonce_a[32],
                     const uint8_t nonce_b[32])
{
    struct sha256 h;
    sha256_init_tagged(&h, "bcapeer/chan");
    sha256_update(&h, payer, EC_PUBKEY_SIZE);
    sha256_update(&h, payee, EC_PUBKEY_SIZE);
    sha256_update(&h, nonce_a, 32);
    sha256_update(&h, nonce_b, 32);
    sha256_final(&h, id);
}

/* --- what a step says --- */

struct paychan_action *step_do(struct step *s, enum paychan_do what)
{
    BUG_ON(s->out->n == PAYCHAN_ACTIONS_MAX);
    struct paychan_action *a = &s->out->actions[s->out->n++];
    *a = (struct paychan_action){ .what = what };
    return a;
}

void step_record(struct step *s, enum paychan_record_kind kind)
{
    if (kind > s->out->record)
        s->out->record = kind;
}

void step_move(struct step *s, uint8_t state)
{
    s->c->state = state;
    step_record(s, PAYCHAN_WHOLE);
}

void step_refuse(struct step *s, enum err code, const char *text)
{
    s->out->refused = code;
    s->out->text = text;
}

void step_fail(struct step *s, enum paychan_fail code, const char *text)
{
    step_do(s, PAYCHAN_DO_SEND_FAIL)->fail = (struct paychan_fail_msg){ code, text, false };
}

void step_alarm(struct step *s, const char *text)
{
    step_do(s, PAYCHAN_DO_ALARM)->fail = (struct paychan_fail_msg){ 0, text, false };
}

void step_forget(struct step *s)
{
    s->c->state = PAYCHAN_NEW;
    step_do(s, PAYCHAN_DO_FORGET);
}

static void put_sync(struct step *s, bool copy)
{
    const struct paychan *c = s->c;
    struct paychan_sync_msg m = { .role = (uint8_t)c->role, .state = c->state, .n = c->n,
                                  .paid = c->paid, .close_fee = c->terms.close_fee,
                                  .tip = s->ev->view.tip };
    if (c->role == PAYCHAN_PAYEE)
        memcpy(m.sig, c->sig, sizeof m.sig);
    if (c->role == PAYCHAN_PAYEE && c->unsigned_yet)
        m.n = m.paid = 0; /* what is here is of no use with this funding: it is sent again */
    m.copy = copy;
    step_do(s, PAYCHAN_DO_SEND_SYNC)->sync = m;
}

void step_send_sync(struct step *s)
{
    s->c->sync_open++;
    s->c->sync_since = s->ev->view.now;
    put_sync(s, false);
}

bool step_sync_is_late(const struct step *s)
{
    const uint64_t since = s->c->sync_since, now = s->ev->view.now;
    return now < since || now - since >= PAYCHAN_SYNC_S;
}

bool step_send_copy(struct step *s)
{
    if (s->c->copy_sent)
        return false;
    s->c->copy_sent = true;
    put_sync(s, true);
    return true;
}

void step_answer_sync(struct step *s)
{
    /* A payer that is behind has not taken what we said before: it has lost its data since. */
    const bool behind = s->c->role == PAYCHAN_PAYEE && s->ev->sync.n < s->c->n;
    const bool answer = (!s->c->sync_open || behind) && s->c->sync_answered != s->ev->view.now;
    if (s->c->sync_open) /* each of ours has one answer, else they never come to an end */
        s->c->sync_open--;
    if (!answer)
        return;
    s->c->sync_answered = s->ev->view.now;
    put_sync(s, false);
}

/* --- the chain --- */

uint32_t paychan_depth(uint32_t height, const struct paychan_view *v)
{
    return height && height <= v->tip ? v->tip - height + 1 : 0;
}

bool paychan_tip_is_fresh(const struct paychan_view *v)
{
    return v->synced && (v->tip_time > v->now || v->now - v->tip_time <= PAYCHAN_TIP_AGE_MAX_S);
}

bool step_new_tip(struct step *s)
{
    const bool is_new = s->c->seen_tip != s->ev->view.tip;
    s->c->seen_tip = s->ev->view.tip;
    return is_new;
}

/* All goes back to the payer, by the path that the payer takes alone. */
static bool is_refund(const struct tx *tx, const struct paychan *c)
{
    struct tx_in in = tx->in[0];
    struct tx final = *tx;
    struct paychan_close close;
    in.sequence = TX_SEQUENCE_FINAL;
    final.in = &in;
    return tx->n_in == 1 && tx->in[0].sequence != TX_SEQUENCE_FINAL &&
           paychan_read_close(&final, &c->terms, &c->funding, &close) && close.paid == 0;
}

static enum paychan_spend classify(const struct tx *tx, const struct paychan *c,
                                   struct paychan_close *close)
{
    if (!tx)
        return PAYCHAN_UNSPENT;
    if (paychan_read_close(tx, &c->terms, &c->funding, close))
        return PAYCHAN_SPENT_CLOSE;
    return is_refund(tx, c) ? PAYCHAN_SPENT_REFUND : PAYCHAN_SPENT_OTHER;
}

bool step_take_spend(struct step *s)
{
    struct paychan *c = s->c;
    struct paychan_close close = { 0, 0 };
    const enum paychan_spend spend = classify(s->ev->tx.tx, c, &close);
    const uint32_t height = spend == PAYCHAN_UNSPENT ? 0 : s->ev->tx.height;
    if (c->spend == spend && c->spend_height == height && c->settled.paid == close.paid &&
        c->settled.fee == close.fee)
        return false;
    c->spend = spend;
    c->spend_height = height;
    c->settled = close;
    step_record(s, PAYCHAN_WHOLE);
    return true;
}

bool step_take_funding(struct step *s)
{
    struct paychan *c = s->c;
    const enum paychan_funding funded = s->ev->funding.funded;
    const uint32_t height = funded == PAYCHAN_CONFIRMED ? s->ev->funding.height : 0;
    if (c->funded == funded && c->funding_height == height)
        return false;
    c->funded = funded;
    c->funding_height = height;
    step_record(s, PAYCHAN_WHOLE);
    return true;
}

/* --- */

void paychan_step(struct paychan *c, const struct paychan_event *ev, struct paychan_result *out)
{
    struct step s = { c, ev, out };
    *out = (struct paychan_result){ .refused = OK };
    if (c->role == PAYCHAN_PAYER)
        step_payer(&s);
    else
        step_payee(&s);
}

/* Another id each time, the same after a restart: the number of signatures is stored before. */
bool paychan_make_close(const struct paychan *c, const uint8_t payee_secret[32], struct buf *out)
{
    const struct paychan_close best = { c->paid, c->terms.close_fee };
    uint8_t more[32] = { 0 };
    le32_put(more, c->signatures);
    if (c->role != PAYCHAN_PAYEE || (!c->has_agreed && (c->n == 0 || c->unsigned_yet)))
        return false;
    return paychan_put_close(out, &c->terms, &c->funding, c->has_agreed ? &c->agreed : &best,
                             c->has_agreed ? c->agreed_sig : c->sig, payee_secret,
                             c->signatures > 1 ? more : NULL);
}

bool paychan_make_refund(const struct paychan *c, const uint8_t payer_secret[32], struct buf *out)
{
    return c->role == PAYCHAN_PAYER &&
           paychan_put_refund(out, &c->terms, &c->funding, c->refund_fee, c->terms.expiry,
                              payer_secret);
}

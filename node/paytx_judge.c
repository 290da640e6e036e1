/* A payment that came, verified: the BEEF, then the keys, then by our own mempool, and taken into
 * the wallet. On the thread of the jobs. */
#include <config.h>

#include "node/paytx_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/payment_accept.h"

static void say(struct pay_judging *j, enum pay_status status, const char *why)
{
    j->status = status;
    log_sanitize(j->why, sizeof j->why, why, strlen(why));
}

static void say_trouble(struct pay_judging *j, const char *why)
{
    say(j, PAY_NO, why);
    j->silent = true;
}

/* What the wallet says. */
static void say_of(struct pay_judging *j, enum err rc, const struct error *e)
{
    if (rc == ERR_RANGE)
        say(j, PAY_INVALID, e->text);
    else if (rc == ERR_EXISTS)
        say(j, PAY_NO, e->text);
    else
        say_trouble(j, e->text);
}

/* What the failed call says. */
static void say_failed(struct pay_judging *j, const struct rpc_call *call, enum pay_status status,
                       bool trouble)
{
    j->status = status;
    j->silent = trouble;
    log_sanitize(j->why, sizeof j->why, call->message.data, call->message.len);
}

static void say_unproved(struct pay_judging *j, const struct rpc_call *call,
                         const struct spv_judgement *s)
{
    const bool slow = strcmp(s->rule, "script-time") == 0;
    say_failed(j, call,
               s->end == SPV_INVALID ? PAY_INVALID
               : slow                ? PAY_NO
                                     : PAY_PROOF_MISSING,
               call->code != RPC_VERIFY_ERROR);
}

/* The sum of what it pays; 0: an output that is not there. */
static uint64_t sum_of(const struct pay_row *r, const struct tx *tx)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->output[i].index >= tx->n_out || tx->out[r->output[i].index].value <= 0)
            return 0;
        sum += (uint64_t)tx->out[r->output[i].index].value;
    }
    return sum;
}

/* One of the outputs was credited before, under another id. False also when we could not look. */
static bool is_new(struct pay_judging *j, const struct txid *id)
{
    struct error e = { .code = OK };
    uint8_t key[PAY_CREDIT_KEY_SIZE];
    struct buf value;
    bool found = false;
    enum err rc = OK;
    buf_init(&value);
    for (size_t i = 0; i < j->row->n && !rc && !found; i++) {
        const struct outpoint o = { *id, j->row->output[i].index };
        pay_credit_key(key, &o);
        rc = kv_get(j->credited, key, sizeof key, &value, &found, &e);
    }
    buf_clear(&value);
    if (rc)
        say_trouble(j, e.text);
    else if (found)
        say(j, PAY_NO, "an output of it was credited before");
    return !rc && !found;
}

static bool check_amount(struct pay_judging *j, const struct tx *tx)
{
    j->row->txid = tx->id;
    j->row->satoshis = sum_of(j->row, tx);
    if (!j->row->satoshis)
        say(j, PAY_INVALID, "an output that it names is not there or worth nothing");
    else if (j->row->satoshis < j->wanted)
        say(j, PAY_WRONG_AMOUNT, "less than the request asks for");
    else
        return true;
    return false;
}

/* --- whom it was made for --- */

struct holder {
    struct wallet *w;
    uint8_t secret[32];
};

static void holder_clear(struct holder *h)
{
    wallet_unref(h->w);
    secure_wipe(h->secret, sizeof h->secret);
    h->w = NULL;
}

static enum err hold(const struct rpc_env *env, const char *wallet,
                     const uint8_t key[IDENTITY_KEY_SIZE], struct holder *h, struct error *e)
{
    h->w = paytx_wallet_of(env, wallet, e);
    const enum err rc = h->w ? paytx_secret_of(h->w, key, h->secret, e) : ERR_NOTFOUND;
    if (rc)
        holder_clear(h);
    return rc;
}

/* That of an identity of before may be in another wallet. */
static enum err hold_former(const struct rpc_env *env, const char *wallet,
                            const uint8_t key[IDENTITY_KEY_SIZE], struct holder *h,
                            struct error *e)
{
    struct wallet **all;
    enum err rc = hold(env, wallet, key, h, e);
    const size_t n = wallets_all(env->wallets->wallets, &all);
    for (size_t i = 0; i < n; i++) {
        if (rc == ERR_NOTFOUND)
            rc = hold(env, wallet_name(all[i]), key, h, e);
        wallet_unref(all[i]);
    }
    free(all);
    return rc;
}

/* ERR_RANGE: it pays no key of this holder and any of theirs; e says what of the first. */
static enum err check_theirs(const struct holder *h, const struct pay_parties *p,
                             struct payment_offer *o, struct error *e)
{
    struct error other = { .code = OK };
    enum err rc = ERR_RANGE;
    for (size_t i = 0; i < p->n_theirs && rc == ERR_RANGE; i++) {
        memcpy(o->payment.other, p->theirs[i], sizeof o->payment.other);
        rc = payments_check_as(h->w, h->secret, &o->payment, &o->subject->tx, i ? &other : e);
    }
    if (rc && rc != ERR_RANGE && other.code)
        *e = other;
    return rc;
}

/* The same of identities that this one follows: who holds the one that it pays takes its place.
 * ERR_BUSY: it pays none that could be tried, but one could not. */
static enum err check_former(const struct rpc_env *env, struct pay_judging *j, struct holder *h,
                             struct payment_offer *o, struct error *e)
{
    enum err rc = ERR_RANGE;
    bool untried = false;
    for (size_t i = 1; i < j->parties->n_ours && rc == ERR_RANGE; i++) {
        struct error other = { .code = OK };
        struct holder former;
        rc = hold_former(env, j->row->wallet, j->parties->ours[i], &former, &other);
        untried |= rc == ERR_NOTFOUND;
        if (!rc)
            rc = check_theirs(&former, j->parties, o, &other);
        else if (rc == ERR_NOTFOUND)
            rc = ERR_RANGE;
        if (rc == ERR_RANGE) {
            holder_clear(&former);
            continue;
        }
        if (rc)
            *e = other;
        holder_clear(h);
        *h = former;
        secure_wipe(&former, sizeof former);
        memcpy(j->row->ours, j->parties->ours[i], sizeof j->row->ours);
    }
    if (rc == ERR_RANGE && untried)
        rc = error_set(e, ERR_BUSY, "it pays no key of ours that is here, and the wallet of an "
                       "identity of before is not loaded: loadwallet");
    return rc;
}

/* Before anything is done for it. */
static bool check_keys(const struct rpc_env *env, struct pay_judging *j, struct holder *h,
                       struct payment_offer *o)
{
    struct error e = { .code = OK };
    enum err rc = check_theirs(h, j->parties, o, &e);
    if (rc == ERR_RANGE)
        rc = check_former(env, j, h, o, &e);
    if (rc) {
        say_of(j, rc, &e);
        j->counts = rc == ERR_BUSY;
        return false;
    }
    memcpy(j->row->theirs, o->payment.other, sizeof j->row->theirs);
    (void)snprintf(j->row->wallet, sizeof j->row->wallet, "%s", wallet_name(h->w));
    return true;
}

static void fill_offer(struct payment_offer *o, const struct pay_judging *j)
{
    const struct pay_row *r = j->row;
    buf_put(&o->raw, j->beef.data, j->beef.len);
    memcpy(o->payment.other, r->theirs, sizeof o->payment.other);
    o->payment.prefix = pay_text_span(&r->prefix);
    o->payment.n = r->n;
    for (size_t i = 0; i < r->n; i++)
        o->payment.output[i] = (struct payment_output){ r->output[i].index,
                                                        pay_text_span(&r->output[i].suffix) };
}

/* The transaction is in our mempool or in a block: the keys, then the wallet. */
static void take(struct rpc_call *call, struct wallet *w, const uint8_t secret[32],
                 struct payment_offer *o, struct pay_judging *j)
{
    struct error e = { .code = OK };
    const enum err rc = payments_accept_as(w, secret, &o->payment, &o->subject->tx, &e);
    if (rc)
        say_of(j, rc, &e);
    else if (!payment_enter(call, w, o))
        say_failed(j, call, PAY_NO, true);
    else
        say(j, PAY_OK, "");
}

static void judge(const struct rpc_env *env, struct holder *h, struct payment_offer *o,
                  struct pay_judging *j)
{
    struct rpc_call call = paytx_call_of(env);
    buf_init(&call.message);
    const struct rpc_spv_bounds bounds = rpc_spv_bounds_of_peer(&call);
    if (!payment_judge(&call, o, &bounds))
        say_unproved(j, &call, &o->beef.j);
    else if (!o->beef.beef.atomic)
        say(j, PAY_INVALID, "the BEEF does not name its transaction (BRC-95)");
    else if (check_amount(j, &o->subject->tx) && check_keys(env, j, h, o) &&
             is_new(j, &o->subject->tx.id)) {
        if (payment_submit(&call, o))
            take(&call, h->w, h->secret, o, j);
        else
            say_failed(j, &call, PAY_INVALID, call.code != RPC_REJECTED);
    }
    buf_clear(&call.message);
}

void paytx_judge(const struct rpc_env *env, struct pay_judging *j)
{
    struct error e = { .code = OK };
    struct holder h;
    const enum err rc = hold(env, j->row->wallet, j->row->ours, &h, &e);
    if (rc) {
        say_trouble(j, rc == ERR_AUTH ? "the wallet is locked: walletpassphrase" : e.text);
        return;
    }
    struct payment_offer *o = payment_offer_new();
    fill_offer(o, j);
    judge(env, &h, o, j);
    payment_offer_free(o);
    holder_clear(&h);
}

/* What payments need of wallet and chain, on the thread of their jobs. */
#include <config.h>

#include "node/paytx_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/payment_accept.h"
#include "rpc/tx_beef.h"
#include "wallet/history.h"
#include "wallet/identity.h"

static struct rpc_call call_of(const struct rpc_env *env)
{
    return (struct rpc_call){ .env = (struct rpc_env *)(uintptr_t)env };
}

static struct wallet *wallet_of(const struct rpc_env *env, const char *name, struct error *e)
{
    struct wallet *w = wallets_get(env->wallets->wallets, name);
    if (!w)
        error_set(e, ERR_NOTFOUND, "wallet \"%s\" is not loaded", name);
    return w;
}

/* --- the key of an identity --- */

struct looking {
    const uint8_t *key;
    struct keystore *ks;
    uint8_t *secret;
    bool found;
};

static enum err look(void *ctx, const struct identity *id, struct error *e)
{
    struct looking *l = ctx;
    struct identity_secrets s;
    if (l->found || memcmp(id->public_key, l->key, IDENTITY_KEY_SIZE) != 0)
        return OK;
    const enum err rc = identity_get_secrets(l->ks, id, &s, e);
    if (!rc)
        memcpy(l->secret, s.key, 32);
    l->found = !rc;
    secure_wipe(&s, sizeof s);
    return rc;
}

/* ERR_AUTH: the wallet is locked. The caller wipes. */
static enum err secret_of(struct wallet *w, const uint8_t key[IDENTITY_KEY_SIZE],
                          uint8_t secret[32], struct error *e)
{
    struct looking l = { key, wallet_keystore(w), secret, false };
    memset(secret, 0, 32);
    wallet_lock(w);
    const enum err rc = identity_each(l.ks, look, &l, e);
    wallet_unlock(w);
    return rc || l.found ? rc : error_set(e, ERR_NOTFOUND, "the identity is not in the wallet");
}

/* --- paying --- */

struct finding {
    struct pay_making *m;
    bool found;
};

static bool same(struct span a, const struct pay_row_text *b)
{
    return a.len == b->len && memcmp(a.data, b->b, a.len) == 0;
}

static enum err find(void *ctx, const struct payment *p, struct error *e)
{
    struct finding *f = ctx;
    const struct pay_row *r = f->m->row;
    (void)e;
    if (p->received || p->n != 1 || memcmp(p->other, r->theirs, IDENTITY_KEY_SIZE) != 0 ||
        !same(p->prefix, &r->prefix) || !same(p->output[0].suffix, &r->output[0].suffix))
        return OK;
    f->m->txid = p->txid;
    f->m->index = p->output[0].index;
    f->found = true;
    return OK;
}

/* All its inputs are coins of the wallet. */
static enum err fee_of(struct wallet *w, const struct tx *tx, uint64_t *fee, struct error *e)
{
    int64_t sum = 0;
    enum err rc = OK;
    wallet_lock(w);
    for (size_t i = 0; i < tx->n_in && !rc; i++) {
        struct history_coin coin;
        bool found;
        rc = history_get_coin(wallet_history(w), &tx->in[i].prevout, &coin, &found, e);
        sum += !rc && found ? coin.value : 0;
    }
    wallet_unlock(w);
    for (size_t i = 0; i < tx->n_out; i++)
        sum -= tx->out[i].value;
    *fee = sum > 0 ? (uint64_t)sum : 0;
    return rc;
}

/* Its keys are written before its transaction: with that it was made. */
static enum err find_made(const struct rpc_env *env, struct wallet *w, struct pay_making *m,
                          bool *made, struct error *e)
{
    struct finding f = { m, false };
    enum err rc = payments_each(w, find, &f, e);
    struct tx *tx = !rc && f.found ? paychan_fund_find(env, wallet_name(w), &m->txid) : NULL;
    if (tx)
        rc = fee_of(w, tx, &m->fee, e);
    *made = tx != NULL;
    tx_unref(tx);
    return rc;
}

/* What could not be written may be on the disk all the same. */
static bool is_unsure(enum err rc) { return rc == ERR_IO || rc == ERR_CORRUPT; }

static enum err make(const struct rpc_env *env, struct wallet *w, struct pay_making *m,
                     struct error *e)
{
    struct rpc_call call = call_of(env);
    const struct pay_row *r = m->row;
    const struct wallet_send how = rpc_wallet_send(&call);
    const struct brc29_place place = { pay_text_span(&r->prefix),
                                       pay_text_span(&r->output[0].suffix) };
    struct payment_sent sent = { .tx = NULL };
    uint8_t secret[32];
    enum err rc = secret_of(w, r->ours, secret, e);
    m->none = rc != OK;
    if (!rc)
        rc = payments_send_as(w, secret, r->theirs, &place, (int64_t)r->satoshis, &how, &sent, e);
    secure_wipe(secret, sizeof secret);
    m->none |= rc && !is_unsure(rc);
    if (!rc) {
        m->txid = sent.tx->id;
        m->index = sent.payment.output[0].index;
        m->fee = (uint64_t)sent.fee;
    }
    payment_sent_clear(&sent);
    return rc;
}

enum err paytx_make(const struct rpc_env *env, struct pay_making *m, struct error *e)
{
    struct wallet *w = paychan_wallet_settled(env, m->row->wallet, e);
    bool made = false;
    m->none = !w && !m->resumed;
    if (!w)
        return ERR_NOTFOUND;
    enum err rc = m->resumed ? find_made(env, w, m, &made, e) : make(env, w, m, e);
    if (!rc && m->resumed && !made) {
        m->none = true;
        rc = error_set(e, ERR_CANCELLED, "the node ended before it was made");
    }
    wallet_unref(w);
    return rc;
}

enum err paytx_make_beef(const struct rpc_env *env, const struct pay_row *row, struct buf *out,
                         struct error *e)
{
    struct rpc_call call = call_of(env);
    struct tx_beef b;
    bool found = false;
    struct tx *tx = paychan_fund_find(env, row->wallet, &row->txid);
    if (!tx)
        return error_set(e, ERR_NOTFOUND, "wallet \"%s\" does not have its transaction",
                         row->wallet);
    enum err rc = tx_beef_make_unsent(&call, tx, BEEF_V1, &b, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_NOTFOUND, "what its transaction spends is not known here");
    if (!rc) {
        b.beef.atomic = true;
        b.beef.subject = tx->id;
        beef_write(out, &b.beef);
    }
    tx_beef_clear(&b);
    tx_unref(tx);
    if (!rc && out->len > BEEF_BYTES_MAX)
        rc = error_set(e, ERR_RANGE, "with what proves it it has more than %zu bytes until it is "
                       "in a block", BEEF_BYTES_MAX);
    return rc;
}

void paytx_submit(const struct rpc_env *env, const struct pay_row *row)
{
    struct error e = { .code = OK };
    struct tx *tx = paychan_fund_find(env, row->wallet, &row->txid);
    struct tx_submission s = { .tx = tx, .allow_high_fee = true };
    if (!tx)
        return;
    if (chain_submit_txs(env->chain, &s, 1, &e))
        log_debug(LOGC_CHANNEL, "payments: the wallet will send one again: %s", e.text);
    else
        tx_submissions_clear(&s, 1);
    tx_unref(tx);
}

bool paytx_take_back(const struct rpc_env *env, const struct pay_row *row)
{
    struct error e = { .code = OK };
    struct wallet *w = wallet_of(env, row->wallet, &e);
    if (!w || mempool_contains(chain_mempool(env->chain), &row->txid)) {
        wallet_unref(w);
        return false;
    }
    wallet_lock(w);
    const enum err rc = history_abandon(wallet_history(w), &row->txid, &e);
    wallet_unlock(w);
    wallet_unref(w);
    if (rc)
        log_info("payments: the transaction of a refused one stays: %s", e.text);
    return !rc;
}

/* --- what becomes of one --- */

struct seeing {
    enum pay_fate fate;
    bool confirmed;
};

static bool see(void *ctx, const struct history_tx *t)
{
    struct seeing *s = ctx;
    s->confirmed = t->height != HISTORY_NO_HEIGHT;
    if (s->confirmed && t->confirmations >= PAY_DEPTH)
        s->fate = PAY_FATE_SETTLED;
    else if (!s->confirmed && t->conflict.height != HISTORY_NO_HEIGHT &&
             t->confirmations <= -PAY_DEPTH)
        s->fate = PAY_FATE_LOST;
    return false;
}

static void submit_again(const struct rpc_env *env, struct span beef)
{
    struct rpc_call call = call_of(env);
    struct payment_offer *o = payment_offer_new();
    buf_init(&call.message);
    buf_put(&o->raw, beef.data, beef.len);
    if (payment_judge(&call, o, NULL) && payment_submit(&call, o))
        log_debug(LOGC_CHANNEL, "payments: one is in the mempool again");
    buf_clear(&call.message);
    payment_offer_free(o);
}

enum pay_fate paytx_follow(const struct rpc_env *env, const struct pay_row *row, struct span beef)
{
    struct seeing s = { .fate = PAY_FATE_OPEN };
    struct error e = { .code = OK };
    struct wallet *w = wallet_of(env, row->wallet, &e);
    bool found = false;
    if (!w)
        return PAY_FATE_OPEN;
    wallet_lock(w);
    const enum err rc = history_get_tx(wallet_history(w), &row->txid, see, &s, &found, &e);
    wallet_unlock(w);
    wallet_unref(w);
    const bool waits = !rc && s.fate == PAY_FATE_OPEN && !s.confirmed;
    if (waits && !mempool_contains(chain_mempool(env->chain), &row->txid))
        submit_again(env, beef);
    return rc ? PAY_FATE_OPEN : s.fate;
}

/* --- being paid --- */

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
    h->w = wallet_of(env, wallet, e);
    const enum err rc = h->w ? secret_of(h->w, key, h->secret, e) : ERR_NOTFOUND;
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

/* The same of identities that this one follows: who holds the one that it pays takes its place. */
static enum err check_former(const struct rpc_env *env, struct pay_judging *j, struct holder *h,
                             struct payment_offer *o, struct error *e)
{
    enum err rc = ERR_RANGE;
    for (size_t i = 1; i < j->parties->n_ours && rc == ERR_RANGE; i++) {
        struct error other = { .code = OK };
        struct holder former;
        rc = hold_former(env, j->row->wallet, j->parties->ours[i], &former, &other);
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
    struct rpc_call call = call_of(env);
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

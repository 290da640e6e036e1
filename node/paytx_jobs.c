/* What payments need of wallet and chain, on the thread of their jobs; paytx_judge.c: of those that
 * come. */
#include <config.h>

#include "node/paytx_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/payment_accept.h"
#include "rpc/tx_beef.h"
#include "wallet/history.h"
#include "wallet/identity.h"

struct rpc_call paytx_call_of(const struct rpc_env *env)
{
    return (struct rpc_call){ .env = (struct rpc_env *)(uintptr_t)env };
}

struct wallet *paytx_wallet_of(const struct rpc_env *env, const char *name, struct error *e)
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

enum err paytx_secret_of(struct wallet *w, const uint8_t key[IDENTITY_KEY_SIZE],
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

struct earlier {
    struct tx *tx; /* a reference */
    bool taken_back;
};

static bool see_earlier(void *ctx, const struct history_tx *t)
{
    struct earlier *x = ctx;
    x->tx = tx_new(t->tx->raw.data, t->tx->raw.len, NULL); /* outlives the lock */
    x->taken_back = t->abandoned && !t->in_mempool && t->height == HISTORY_NO_HEIGHT;
    return false;
}

/* Its keys are written before its transaction: with that it was made. An error: nobody knows. */
static enum err find_made(struct wallet *w, struct pay_making *m, bool *made, struct error *e)
{
    struct finding f = { m, false };
    struct earlier x = { .tx = NULL };
    bool found = false;
    enum err rc = payments_each(w, find, &f, e);
    wallet_lock(w);
    if (!rc && f.found)
        rc = history_get_tx(wallet_history(w), &m->txid, see_earlier, &x, &found, e);
    wallet_unlock(w);
    if (!rc && found && !x.tx)
        rc = error_set(e, ERR_CORRUPT, "a transaction of the wallet cannot be read");
    if (!rc && found)
        rc = fee_of(w, x.tx, &m->fee, e);
    *made = found;
    tx_unref(x.tx);
    return rc;
}

/* What could not be written may be on the disk all the same. */
static bool is_unsure(enum err rc) { return rc == ERR_IO || rc == ERR_CORRUPT; }

/* --- one that takes the place of another --- */

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

/* *fresh: it can be spent; else a block spends it, deep enough to stay. Neither is an error. */
static enum err look_at_input(struct wallet *w, const struct outpoint *at, bool *fresh,
                              struct error *e)
{
    struct history_coin coin = { .spent = false };
    struct seeing by = { .fate = PAY_FATE_OPEN };
    bool found = false;
    enum err rc = history_get_coin(wallet_history(w), at, &coin, &found, e);
    *fresh = !rc && found && !coin.spent;
    if (rc || *fresh)
        return rc;
    if (found)
        rc = history_get_tx(wallet_history(w), &coin.spent_by, see, &by, &found, e);
    return rc || (found && by.fate == PAY_FATE_SETTLED)
               ? rc
               : error_set(e, ERR_BUSY, "the request was paid before, with coins that another "
                           "transaction spends now: once that is %d blocks deep it can be paid "
                           "again", PAY_DEPTH);
}

/* The payee still has the transaction of the earlier payment, which was taken back. All its coins
 * that are left are spent again, so that a block has one of the two at most. */
static enum err find_coins_locked(struct wallet *w, const struct txid *id, struct outpoint **coins,
                                  size_t *n, struct error *e)
{
    struct earlier x = { .tx = NULL };
    bool found = false;
    enum err rc = history_get_tx(wallet_history(w), id, see_earlier, &x, &found, e);
    if (!rc && !x.tx)
        rc = error_set(e, ERR_NOTFOUND, "wallet \"%s\" does not have the transaction that the "
                       "request was paid with before: it could be paid twice", wallet_name(w));
    if (!rc && !x.taken_back)
        rc = error_set(e, ERR_EXISTS, "the transaction that the request was paid with before is "
                       "on its way after all");
    *coins = x.tx ? xcalloc(x.tx->n_in, sizeof **coins) : NULL;
    for (size_t i = 0; !rc && i < x.tx->n_in; i++) {
        bool fresh;
        rc = look_at_input(w, &x.tx->in[i].prevout, &fresh, e);
        if (fresh)
            (*coins)[(*n)++] = x.tx->in[i].prevout;
    }
    tx_unref(x.tx);
    return rc;
}

static enum err find_coins(struct wallet *w, const struct txid *id, struct outpoint **coins,
                           size_t *n, struct error *e)
{
    static const struct txid none;
    *coins = NULL;
    *n = 0;
    if (txid_equal(id, &none))
        return OK;
    wallet_lock(w);
    const enum err rc = find_coins_locked(w, id, coins, n, e);
    wallet_unlock(w);
    return rc;
}

static enum err check_prefix(struct wallet *w, struct pay_making *m, struct error *e)
{
    const struct pay_row *r = m->row;
    const enum err rc = payments_prefix_was_sent(w, r->theirs, pay_text_span(&r->prefix),
                                                 &m->prefix_used, e);
    return rc || !m->prefix_used
               ? rc
               : error_set(e, ERR_EXISTS, "another payment to the payee has its prefix");
}

static enum err make(const struct rpc_env *env, struct wallet *w, struct pay_making *m,
                     struct error *e)
{
    struct rpc_call call = paytx_call_of(env);
    const struct pay_row *r = m->row;
    struct wallet_send how = rpc_wallet_send(&call);
    struct outpoint *coins;
    const struct brc29_place place = { pay_text_span(&r->prefix),
                                       pay_text_span(&r->output[0].suffix) };
    struct payment_sent sent = { .tx = NULL };
    uint8_t secret[32];
    enum err rc = check_prefix(w, m, e);
    if (!rc)
        rc = paytx_secret_of(w, r->ours, secret, e);
    if (!rc)
        rc = find_coins(w, &r->txid, &coins, &how.n_coins, e);
    else
        coins = NULL;
    m->none = rc != OK;
    how.coins = how.n_coins ? coins : NULL;
    how.and_more = how.coins != NULL;
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
    free(coins);
    return rc;
}

enum err paytx_make(const struct rpc_env *env, struct pay_making *m, struct error *e)
{
    struct wallet *w = paychan_wallet_settled(env, m->row->wallet, e);
    bool made = false;
    m->none = !w && !m->resumed;
    if (!w)
        return ERR_NOTFOUND;
    enum err rc = m->resumed ? find_made(w, m, &made, e) : make(env, w, m, e);
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
    struct rpc_call call = paytx_call_of(env);
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
    struct wallet *w = paytx_wallet_of(env, row->wallet, &e);
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

static void submit_again(const struct rpc_env *env, struct span beef)
{
    struct rpc_call call = paytx_call_of(env);
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
    struct wallet *w = paytx_wallet_of(env, row->wallet, &e);
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

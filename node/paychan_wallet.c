#include <config.h>

#include "node/paychan_wallet.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/secret.h"
#include "chain/chain.h"
#include "rpc/tx_beef.h"
#include "rpc/wallet_call.h"
#include "wallet/brc42.h"
#include "wallet/brc43.h"
#include "wallet/history.h"
#include "wallet/payments.h"

struct paychan_wallet {
    const struct rpc_env *env;
    struct channels *channels;
    struct queue *jobs;
    pthread_t thread;
    atomic_bool stopping;
};

/* --- the thread --- */

static void on_done(struct channels *c, void *ctx)
{
    struct paychan_job *j = ctx;
    j->done(c, j);
}

/* What waits at a stop is given back without having been done: the channels have ended by then. */
static void *run(void *arg)
{
    struct paychan_wallet *w = arg;
    struct queue_node *node;
    while ((node = queue_pop_wait(w->jobs, -1))) {
        struct paychan_job *j = (struct paychan_job *)node; /* its first member */
        if (!atomic_load(&w->stopping))
            j->work(w->env, j);
        channels_post(w->channels, on_done, j);
    }
    return NULL;
}

enum err paychan_wallet_new(struct paychan_wallet **out, const struct rpc_env *env,
                            struct channels *channels, struct error *e)
{
    struct paychan_wallet *w = xcalloc(1, sizeof *w);
    *out = NULL;
    w->env = env;
    w->channels = channels;
    w->jobs = queue_new(0, 0, NULL, NULL);
    const int failed = pthread_create(&w->thread, NULL, run, w);
    if (failed) {
        queue_free(w->jobs);
        free(w);
        return error_set_errno(e, failed, "cannot start a thread");
    }
    *out = w;
    return OK;
}

void paychan_wallet_do(struct paychan_wallet *w, struct paychan_job *j)
{
    j->node = (struct queue_node){ .bytes = sizeof *j };
    if (!queue_push_always(w->jobs, &j->node))
        j->done(NULL, j);
}

void paychan_wallet_free(struct paychan_wallet *w)
{
    if (!w)
        return;
    atomic_store(&w->stopping, true);
    queue_close(w->jobs);
    pthread_join(w->thread, NULL);
    queue_free(w->jobs);
    free(w);
}

/* --- keys --- */

static struct wallet *wallet_of(const struct rpc_env *env, const char *name, struct error *e)
{
    struct wallet *w = wallets_get(env->wallets->wallets, name);
    if (!w)
        error_set(e, ERR_NOTFOUND, "wallet \"%s\" is not loaded", name);
    return w;
}

struct wallet *paychan_wallet_settled(const struct rpc_env *env, const char *name, struct error *e)
{
    struct wallet *w = wallet_of(env, name, e);
    if (w)
        env->wallets->settle(env->wallets->ctx);
    return w;
}

static enum err derive(uint8_t out[32], const uint8_t root[32], const char *protocol,
                       const uint8_t nonce[32], struct error *e)
{
    const struct brc42_party self = { .who = BRC42_SELF };
    char digits[65];
    struct buf invoice;
    buf_init(&invoice);
    hex_encode(digits, nonce, 32);
    enum err rc = brc43_invoice(&invoice, 2, span_of(protocol, strlen(protocol)),
                                span_of(digits, 64), BRC43_MAKE, e);
    if (!rc && !brc42_own_secret(out, root, &self, buf_span(&invoice)))
        rc = error_set(e, ERR_RANGE, "the root of the wallet gives no key");
    buf_clear(&invoice);
    return rc;
}

static enum err import(struct wallet *w, const struct paychan_keys *k, const uint8_t payout[32],
                       struct error *e)
{
    static const char label[] = "payment channels";
    struct error ignored = { .code = OK };
    const enum err rc = wallet_import_payment_secret(w, payout, span_of(label, sizeof label - 1),
                                                     k->scan_from, &ignored);
    if (rc && rc != ERR_EXISTS)
        *e = ignored;
    return rc == ERR_EXISTS ? OK : rc;
}

static enum err make_from(struct wallet *w, struct paychan_keys *k, uint8_t secrets[64],
                          struct error *e)
{
    uint8_t *root = secrets, *payout = secrets + 32, key[EC_PUBKEY_SIZE];
    enum err rc = payments_identity_secret(w, root, e);
    if (!rc)
        rc = derive(k->secret, root, "bcapeer channel", k->nonce, e);
    if (!rc)
        rc = derive(payout, root, "bcapeer payout", k->nonce, e);
    if (rc)
        return rc;
    ec_pubkey_of(k->key, k->secret);
    ec_pubkey_of(key, payout);
    hash160(k->pkh, key, sizeof key);
    return k->import ? import(w, k, payout, e) : OK;
}

enum err paychan_keys_make(const struct rpc_env *env, struct paychan_keys *k, struct error *e)
{
    struct wallet *w = wallet_of(env, k->wallet, e);
    uint8_t secrets[64];
    k->secret = NULL;
    if (!w)
        return ERR_NOTFOUND;
    k->secret = secret_alloc(32);
    const enum err rc = make_from(w, k, secrets, e);
    secure_wipe(secrets, sizeof secrets);
    if (rc) {
        secret_free(k->secret);
        k->secret = NULL;
    }
    wallet_unref(w);
    if (!rc && k->import && k->scan_from != WALLET_NO_SCAN)
        wallets_wake(env->wallets->wallets);
    return rc;
}

enum err paychan_payout_secret(const struct rpc_env *env, const char *wallet,
                               const uint8_t nonce[32], uint8_t out[32], struct error *e)
{
    struct wallet *w = wallet_of(env, wallet, e);
    uint8_t root[32];
    if (!w)
        return ERR_NOTFOUND;
    enum err rc = payments_identity_secret(w, root, e);
    if (!rc)
        rc = derive(out, root, "bcapeer payout", nonce, e);
    secure_wipe(root, sizeof root);
    wallet_unref(w);
    return rc;
}

/* --- funding --- */

struct looking {
    struct paychan_fund *f;
    const struct txid *id; /* or, NULL: whatever pays into the lock */
    struct tx *found;
};

static bool look(void *ctx, const struct history_tx *t)
{
    struct looking *l = ctx;
    if (l->id ? !txid_equal(&t->tx->id, l->id) : t->abandoned)
        return true;
    for (uint32_t i = 0; !l->id && i < t->tx->n_out; i++)
        if (paychan_is_funding(&t->tx->out[i], &l->f->terms))
            l->f->index = i;
    if (!l->id && (l->f->index >= t->tx->n_out ||
                   !paychan_is_funding(&t->tx->out[l->f->index], &l->f->terms)))
        return true;
    /* It belongs to the lock that is held here: a copy outlives it. */
    l->found = tx_new(t->tx->raw.data, t->tx->raw.len, NULL);
    return false;
}

/* The newest transactions of the wallet first; a crash is never far back. */
static enum err find_made(struct wallet *w, struct paychan_fund *f, struct error *e)
{
    struct looking l = { .f = f };
    wallet_lock(w);
    const enum err rc = history_list(wallet_history(w), 0, look, &l, e);
    wallet_unlock(w);
    f->tx = l.found;
    return rc;
}

static enum err make(const struct rpc_env *env, struct wallet *w, struct paychan_fund *f,
                     struct error *e)
{
    struct rpc_call call = { .env = (struct rpc_env *)(uintptr_t)env };
    struct wallet_send s = rpc_wallet_send(&call);
    struct buf lock;
    int64_t fee;
    buf_init(&lock);
    paychan_put_lock(&lock, &f->terms);
    const struct wallet_recipient to = { buf_span(&lock), (int64_t)f->terms.capacity, false };
    s.to = &to;
    s.n = 1;
    enum err rc = wallet_send(w, &s, &f->tx, &fee, e);
    for (f->index = 0; !rc && f->index < f->tx->n_out; f->index++)
        if (paychan_is_funding(&f->tx->out[f->index], &f->terms))
            break;
    buf_clear(&lock);
    return rc;
}

enum err paychan_fund_make(const struct rpc_env *env, struct paychan_fund *f, struct error *e)
{
    struct wallet *w = paychan_wallet_settled(env, f->wallet, e);
    f->tx = NULL;
    f->index = 0;
    if (!w)
        return ERR_NOTFOUND;
    enum err rc = f->resumed ? find_made(w, f, e) : OK;
    if (!rc && !f->tx) {
        rc = clock_now() < f->until ? make(env, w, f, e)
                                    : error_set(e, ERR_TIMEOUT, "the other side has agreed to the "
                                                "channel too long ago");
        f->none = rc != ERR_IO && rc != ERR_CORRUPT; /* else it may be on the disk all the same */
    }
    wallet_unref(w);
    return rc;
}

struct tx *paychan_fund_find(const struct rpc_env *env, const char *wallet, const struct txid *id)
{
    struct error e = { .code = OK };
    struct looking l = { .id = id };
    bool found = false;
    struct wallet *w = wallet_of(env, wallet, &e);
    if (!w)
        return NULL;
    wallet_lock(w);
    const enum err rc = history_get_tx(wallet_history(w), id, look, &l, &found, &e);
    wallet_unlock(w);
    wallet_unref(w);
    return rc ? NULL : l.found;
}

/* --- proof --- */

/* The mempool gets it at about the same time, perhaps later. */
static enum err whole_beef(const struct rpc_env *env, struct tx *tx, size_t most, struct buf *out,
                           bool *made, struct error *e)
{
    struct rpc_call call = { .env = (struct rpc_env *)(uintptr_t)env };
    struct tx_beef b;
    const size_t before = out->len;
    bool found;
    enum err rc = tx_beef_make_unsent(&call, tx, BEEF_V1, &b, &found, e);
    if (!rc && found) {
        b.beef.atomic = true;
        b.beef.subject = tx->id;
        beef_write(out, &b.beef);
    }
    *made = !rc && found && out->len - before <= most;
    if (!*made)
        out->len = before;
    tx_beef_clear(&b);
    return rc == ERR_NOMEM || rc == ERR_CANCELLED ? rc : OK;
}

static void add_parent(struct beef *b, const struct txid *id)
{
    for (size_t i = 0; i < b->n_txs; i++)
        if (txid_equal(&b->tx[i].tx.id, id))
            return;
    b->tx[b->n_txs] = (struct beef_tx){ .form = BEEF_ID_ALONE };
    b->tx[b->n_txs++].tx.id = *id;
}

/* Format of base/beef.h, V2. */
static void short_beef(struct tx *tx, struct buf *out)
{
    struct beef b;
    beef_init(&b, BEEF_V2);
    b.tx = xcalloc(tx->n_in + 1, sizeof *b.tx);
    for (size_t i = 0; i < tx->n_in; i++)
        add_parent(&b, &tx->in[i].prevout.txid);
    b.tx[b.n_txs++] = (struct beef_tx){ .form = BEEF_PLAIN, .tx = *tx };
    beef_write(out, &b);
    beef_clear(&b);
}

enum err paychan_beef_make(const struct rpc_env *env, struct tx *tx, size_t most, struct buf *out,
                           struct error *e)
{
    const size_t before = out->len;
    bool made = false;
    const enum err rc = whole_beef(env, tx, most, out, &made, e);
    if (rc || made)
        return rc;
    short_beef(tx, out);
    if (out->len - before <= most)
        return OK;
    out->len = before;
    return error_set(e, ERR_RANGE, "the funding transaction is larger than a message");
}

/* --- the output --- */

struct coin_look {
    const struct paychan_terms *terms;
    const struct outpoint *at;
    bool looked, found;
    uint32_t height;
};

static void look_at_coin(struct chain *c, void *ctx)
{
    struct coin_look *l = ctx;
    struct error e = { .code = OK };
    struct coin coin;
    bool found = false;
    l->looked = !coins_get(chain_coins(c), l->at, &coin, &found, &e);
    if (!l->looked || !found)
        return;
    const struct tx_out out = { coin.value, coin.script };
    l->found = paychan_is_funding(&out, l->terms);
    l->height = (uint32_t)coin.height;
}

enum err paychan_output_find(const struct rpc_env *env, const struct paychan_terms *terms,
                             const struct outpoint *at, bool *found, uint32_t *height)
{
    struct coin_look l = { .terms = terms, .at = at };
    if (chain_call(env->chain, look_at_coin, &l) || !l.looked)
        return ERR_BUSY;
    *found = l.found;
    *height = l.height;
    return OK;
}

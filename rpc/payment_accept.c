#include "rpc/payment_accept.h"

#include <stdlib.h>

#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/coin_query.h"
#include "rpc/tx_lookup.h"
#include "rpc/wallet_pay.h"

struct payment_offer *payment_offer_new(void)
{
    struct payment_offer *o = xcalloc(1, sizeof *o);
    buf_init(&o->raw);
    return o;
}

void payment_offer_free(struct payment_offer *o)
{
    rpc_beef_clear(&o->beef);
    buf_clear(&o->raw);
    free(o);
}

bool payment_judge(struct rpc_call *call, struct payment_offer *o, const struct rpc_spv_bounds *b)
{
    struct error e = { .code = OK };
    const struct spv_judgement *j = &o->beef.j;
    if (rpc_judge_beef_within(call, buf_span(&o->raw), b, &o->beef, &e)) {
        rpc_fail_error(call, &e);
        return false;
    }
    if (j->end != SPV_VALID) {
        rpc_fail(call, RPC_VERIFY_ERROR, "The BEEF %s (%s): %s",
                 j->end == SPV_INVALID ? "is invalid" : "cannot be verified here", j->rule,
                 j->reason);
        return false;
    }
    o->subject = beef_subject(&o->beef.beef);
    if (o->subject->form != BEEF_ID_ALONE)
        return true;
    o->subject = NULL;
    rpc_fail(call, RPC_VERIFY_ERROR, "The BEEF has no more than the id of the transaction");
    return false;
}

/* --- what becomes of it --------------------------------------------------------------------- */

static struct outpoint outpoint_of(const struct payment *p, size_t i)
{
    return (struct outpoint){ .txid = p->txid, .index = p->output[i].index };
}

/* *has: the wallet has seen all outputs in a block, and what became of them since: there is nothing
 * left to do. False: call has failed. */
static bool look_into_wallet(struct rpc_call *call, struct wallet *w, const struct payment *p,
                             bool *has)
{
    struct error e = { .code = OK };
    struct history_coin coin;
    enum err rc = OK;
    *has = true;
    wallet_lock(w);
    for (size_t i = 0; i < p->n && *has; i++) {
        const struct outpoint o = outpoint_of(p, i);
        rc = history_get_coin(wallet_history(w), &o, &coin, has, &e);
        *has = !rc && *has && coin.height != HISTORY_NO_HEIGHT;
    }
    wallet_unlock(w);
    if (rc)
        rpc_wallet_fail(call, &e);
    return !rc;
}

static bool fail_kept(struct rpc_call *call, const char *why)
{
    rpc_fail(call, RPC_REJECTED,
             "The transaction was rejected (%s). Its keys are kept: the payment can be accepted "
             "again.", why);
    return false;
}

/* It is in the mempool: the follower may have seen it before the key was there. */
static bool enter_waiting(struct rpc_call *call, struct wallet *w, const struct tx *tx)
{
    struct error e = { .code = OK };
    if (!wallet_mempool_add(w, tx, &e))
        return true;
    rpc_wallet_fail(call, &e);
    return false;
}

/* The wallet has not come to the block yet, and finds the transaction when it does. */
static bool is_to_come(struct wallet *w, int32_t height)
{
    struct block_hash hash;
    int32_t best;
    return !wallet_best(w, &hash, &best, NULL) || best < height;
}

/* Mined since the sender made the BEEF. */
static bool enter_mined(struct rpc_call *call, struct wallet *w, const struct txid *id)
{
    struct error e = { .code = OK };
    struct header_node *node;
    const enum err rc = tx_lookup_block(call, id, &node, &e);
    if (rc)
        rpc_fail_error(call, &e);
    else if (!node)
        return fail_kept(call, "it is in a block that is not known");
    return !rc && (is_to_come(w, node->height) ||
                   rpc_wallet_rescan(call, w, node->height, HISTORY_TO_BEST).end == RPC_DONE);
}

static bool enter_result(struct rpc_call *call, struct wallet *w, const struct tx_submission *s,
                         size_t n)
{
    const struct tx_result *last = &s[n - 1].result;
    for (size_t i = 0; i < n; i++)
        if (s[i].result.outcome == TX_REJECTED)
            return fail_kept(call, s[i].result.verdict.reason);
    switch (last->outcome) {
    case TX_ACCEPTED:
    case TX_KNOWN:
        return !w || enter_waiting(call, w, s[n - 1].tx);
    case TX_CONFIRMED:
        return !w || enter_mined(call, w, &s[n - 1].tx->id);
    case TX_NOT_JUDGED:
        rpc_fail(call, RPC_MISC_ERROR, "The node is shutting down or out of memory. The keys of "
                 "the payment are kept: it can be accepted again.");
        return false;
    case TX_PARKED:
        return fail_kept(call, "it is not final");
    case TX_MISSING_INPUTS:
    case TX_REJECTED:
        break;
    }
    return fail_kept(call, "an output it spends is not there or was spent");
}

/* What is in no block goes to the mempool, the subject last. w NULL: it goes no further. */
static bool submit_all(struct rpc_call *call, struct wallet *w, const struct beef *b,
                       const struct beef_tx *subject)
{
    struct error e = { .code = OK };
    struct tx_submission *s = xcalloc(b->n_txs, sizeof *s);
    size_t n = 0;
    enum err rc = OK;
    for (size_t i = 0; i < b->n_txs && !rc && &b->tx[i] <= subject; i++) {
        if (b->tx[i].form != BEEF_PLAIN)
            continue;
        struct tx *tx = tx_new(b->tx[i].tx.raw.data, b->tx[i].tx.raw.len, &e);
        rc = tx ? OK : e.code;
        if (tx)
            s[n++] = (struct tx_submission){ .tx = tx, .allow_high_fee = true };
    }
    if (!rc)
        rc = chain_submit_txs(call->env->chain, s, n, &e);
    if (rc)
        rpc_fail_error(call, &e);
    const bool good = !rc && enter_result(call, w, s, n);
    if (!rc)
        tx_submissions_clear(s, n);
    for (size_t i = 0; i < n; i++)
        tx_unref(s[i].tx);
    free(s);
    return good;
}

/* *unspent: no block has spent any of the outputs, which are one batch. False: call has failed. */
static bool look_for_spends(struct rpc_call *call, const struct payment *p, bool *unspent)
{
    struct outpoint out[PAYMENT_OUTPUTS_MAX];
    struct coin_query *q = coin_query_new(COINS_OF_CHAIN);
    for (size_t i = 0; i < p->n; i++)
        out[i] = outpoint_of(p, i);
    const bool good = coin_query_run(q, call, out, p->n);
    *unspent = good && q->done == p->n;
    for (size_t i = 0; i < p->n; i++)
        *unspent = *unspent && q->found[i];
    coin_query_free(q);
    return good;
}

/* By its proof alone. */
static bool import_proved(struct rpc_call *call, struct wallet *w, const struct rpc_beef *b,
                          const struct beef_tx *subject)
{
    const struct header_node *node = b->proof[subject->bump].node;
    struct error e = { .code = OK };
    uint64_t offset = 0;
    const bool there = bump_find(&b->beef.bump[subject->bump], &subject->tx.id, &offset);
    if (!there || offset > UINT32_MAX)
        return fail_kept(call, "its place in the block is out of range");
    if (!rpc_wallet_import_tx(call, w, &subject->tx, node, (uint32_t)offset, &e))
        return true;
    rpc_wallet_fail(call, &e);
    return false;
}

/* Blocks after its own are looked through when something of it was spent: by this wallet as it was
 * before a backup or the phrase was restored. */
static bool enter_proved(struct rpc_call *call, struct wallet *w, const struct payment_offer *o,
                         const struct beef_tx *subject)
{
    const int32_t height = o->beef.proof[subject->bump].node->height;
    bool unspent;
    if (is_to_come(w, height))
        return true;
    if (!look_for_spends(call, &o->payment, &unspent))
        return false;
    return unspent ? import_proved(call, w, &o->beef, subject)
                   : rpc_wallet_rescan(call, w, height, HISTORY_TO_BEST).end == RPC_DONE;
}

/* What spends it in the mempool meant nothing to the wallet when it came there. */
static bool enter_spenders(struct rpc_call *call, struct wallet *w, const struct payment *p)
{
    struct error e = { .code = OK };
    enum err rc = OK;
    for (size_t i = 0; i < p->n && !rc; i++) {
        const struct outpoint o = outpoint_of(p, i);
        struct tx *tx = mempool_get_spender(chain_mempool(call->env->chain), &o);
        if (tx)
            rc = wallet_mempool_add(w, tx, &e);
        tx_unref(tx);
    }
    if (rc)
        rpc_wallet_fail(call, &e);
    return !rc;
}

bool payment_submit(struct rpc_call *call, const struct payment_offer *o)
{
    return o->subject->form == BEEF_PROVED || submit_all(call, NULL, &o->beef.beef, o->subject);
}

bool payment_enter(struct rpc_call *call, struct wallet *w, const struct payment_offer *o)
{
    bool has;
    if (!look_into_wallet(call, w, &o->payment, &has))
        return false;
    if (has)
        return true;
    return (o->subject->form == BEEF_PROVED ? enter_proved(call, w, o, o->subject)
                                            : submit_all(call, w, &o->beef.beef, o->subject)) &&
           enter_spenders(call, w, &o->payment);
}

/*
 * The payer's side of a funding transaction that another one took the place of (spec channels
 * 8.10.17): a miner or signer can confirm the same outputs under another id. Ours is then in no
 * block and not in the mempool, and the wallet knows the other one, since that spends its coins.
 * What was paid is signed anew for it; what was signed for the first stays signed.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/wallet_call.h"
#include "wallet/history.h"

#define SEEK_MS 5000 /* the wallet may learn of the block after the chain */

struct seek_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    uint64_t number;
    char wallet[WALLET_NAME_MAX + 1];
    struct paychan_terms terms;
    struct txid before;
    struct tx *was, *found; /* references, or NULL */
    uint32_t index, height;
};

/* --- the thread of the jobs --- */

static bool share_an_input(const struct tx *a, const struct tx *b)
{
    for (size_t i = 0; i < a->n_in; i++)
        for (size_t j = 0; j < b->n_in; j++)
            if (outpoint_equal(&a->in[i].prevout, &b->in[j].prevout))
                return true;
    return false;
}

/* In a block, so that the first cannot come into one: it spends the same. */
static bool look(void *ctx, const struct history_tx *t)
{
    struct seek_job *job = ctx;
    if (t->height == HISTORY_NO_HEIGHT || txid_equal(&t->tx->id, &job->before) ||
        !share_an_input(t->tx, job->was))
        return true;
    for (job->index = 0; job->index < t->tx->n_out; job->index++)
        if (paychan_is_funding(&t->tx->out[job->index], &job->terms))
            break;
    if (job->index == t->tx->n_out)
        return true;
    job->found = tx_new(t->tx->raw.data, t->tx->raw.len, NULL);
    job->height = (uint32_t)t->height;
    return false;
}

static void work_seek(const struct rpc_env *env, struct paychan_job *j)
{
    struct seek_job *job = (struct seek_job *)j;
    struct error e = { .code = OK };
    job->was = paychan_fund_find(env, job->wallet, &job->before);
    struct wallet *w = job->was ? wallets_get(env->wallets->wallets, job->wallet) : NULL;
    if (!w)
        return;
    wallet_lock(w);
    if (history_list(wallet_history(w), 0, look, job, &e)) {
        tx_unref(job->found); /* looked for again */
        job->found = NULL;
    }
    wallet_unlock(w);
    wallet_unref(w);
}

/* --- the channel thread --- */

static void take_found(struct held *h, const struct seek_job *job)
{
    struct paychan_event gone = { .kind = PAYCHAN_EV_FUNDING };
    struct paychan_event fund = { .kind = PAYCHAN_EV_FUND };
    gone.funding.funded = PAYCHAN_REPLACED;
    paychans_give(h, &gone, NULL);
    fund.tx.tx = job->found;
    fund.tx.index = job->index;
    fund.tx.height = job->height;
    fund.tx.already = true;
    h->lost = false;
    struct error e = { .code = OK };
    if (paychans_try(h, &fund, NULL, &e)) {
        paychans_alarm(h, e.text);
        h->lost = true; /* once more, when the key is there */
    }
}

static void done_seek(struct channels *c, struct paychan_job *j)
{
    struct seek_job *job = (struct seek_job *)j;
    struct held *h = c ? paychans_by_number(job->pc, job->number) : NULL;
    if (h)
        h->seeking = false;
    if (h && h->lost && job->found && txid_equal(&h->c.funding.txid, &job->before))
        take_found(h, job);
    tx_unref(job->was);
    tx_unref(job->found);
    free(job);
}

void paychans_note_sight(struct held *h, const struct paychan_sight *s)
{
    h->lost = h->c.role == PAYCHAN_PAYER && s->place == PAYCHAN_NOWHERE;
}

void paychans_seek(struct held *h)
{
    const int64_t now = clock_mono_ms();
    if (!h->lost || h->seeking || h->c.state < P_FUNDED || h->c.state > P_EXPIRED ||
        h->c.state == P_CLOSED || (h->sought_ms && now < h->sought_ms + SEEK_MS))
        return;
    struct seek_job *job = xcalloc(1, sizeof *job);
    h->seeking = true;
    h->sought_ms = now;
    job->job = (struct paychan_job){ .work = work_seek, .done = done_seek };
    job->pc = h->pc;
    job->number = h->number;
    job->terms = h->c.terms;
    job->before = h->c.funding.txid;
    memcpy(job->wallet, h->wallet, sizeof job->wallet);
    paychan_wallet_do(h->pc->wallet, &job->job);
}

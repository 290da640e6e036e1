/*
 * Payment channels that this side has lost, found again (spec channels 8.8): from the copy that the
 * other side sends, or from a file of exportchannels. Neither is believed: the nonce has to give
 * our key and the hash that is paid out to, by the root of a wallet of ours, and the output has to
 * be there, locked as the copy says. What was paid comes with the next chan_sync.
 *
 * Once the keys come out right the wallet is told the one that is paid out to, also when the output
 * is gone: then the channel was settled while nobody looked.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "chain/chain.h"
#include "node/channel_identities.h"
#include "rpc/wallet_call.h"

struct restore_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    struct channels_request *r;     /* of the user, or NULL */
    struct dchan_chan_sync sync;    /* of the other side, when there is no r */
    uint64_t contact;               /* 0: none has that key now */
    struct paychan_saved saved;
    struct paychan c;               /* as the copy says */
    uint32_t tip;
    struct paychan_keys k;
    bool found, pending;            /* the output: unspent in the chain; in the mempool */
    enum err rc;
    struct error e;
};

/* --- the thread of the jobs --- */

static bool keys_are_ours(const struct restore_job *job)
{
    const struct paychan_terms *t = &job->c.terms;
    const bool payer = job->c.role == PAYCHAN_PAYER;
    return memcmp(job->k.key, payer ? t->payer_key : t->payee_key, EC_PUBKEY_SIZE) == 0 &&
           memcmp(job->k.pkh, payer ? t->payer_pkh : t->payee_pkh, PAYCHAN_PKH_SIZE) == 0;
}

static void drop_secret(struct restore_job *job)
{
    secret_free(job->k.secret);
    job->k.secret = NULL;
}

static enum err try_wallet(const struct rpc_env *env, struct restore_job *job, const char *name)
{
    (void)snprintf(job->k.wallet, sizeof job->k.wallet, "%s", name);
    const enum err rc = paychan_keys_make(env, &job->k, &job->e);
    if (rc || keys_are_ours(job))
        return rc;
    drop_secret(job);
    return error_set(&job->e, ERR_NOTFOUND, "the keys of the channel follow from no loaded wallet");
}

/* That of the session, else whichever gives the keys; a locked one may be it. */
static enum err find_wallet(const struct rpc_env *env, struct restore_job *job)
{
    struct wallet **all;
    const struct paychan_keys none = job->k;
    if (*none.wallet)
        return try_wallet(env, job, none.wallet);
    const size_t n = wallets_all(env->wallets->wallets, &all);
    enum err rc = error_set(&job->e, ERR_NOTFOUND, "no wallet is loaded");
    bool locked = false;
    for (size_t i = 0; i < n; i++) {
        if (rc)
            rc = try_wallet(env, job, wallet_name(all[i]));
        locked |= rc == ERR_AUTH;
        wallet_unref(all[i]);
    }
    free(all);
    return rc && locked ? error_set(&job->e, ERR_AUTH, "a wallet is locked: walletpassphrase")
                        : rc;
}

/* The payee does not take what is being spent; the payer may as well know what becomes of it. */
static void look_into_pool(const struct rpc_env *env, struct restore_job *job)
{
    struct mempool *pool = chain_mempool(env->chain);
    struct tx *parent = mempool_get_output(pool, &job->c.funding);
    struct tx *spender = mempool_get_spender(pool, &job->c.funding);
    job->pending = parent && job->c.funding.index < parent->n_out &&
                   paychan_is_funding(&parent->out[job->c.funding.index], &job->c.terms);
    if (spender && job->c.role == PAYCHAN_PAYEE)
        job->pending = job->found = false;
    tx_unref(parent);
    tx_unref(spender);
}

static enum err look_at_output(const struct rpc_env *env, struct restore_job *job)
{
    if (paychan_output_find(env, &job->c.terms, &job->c.funding, &job->found,
                            &job->c.funding_height))
        return error_set(&job->e, ERR_BUSY, "the chain cannot be asked for the output now");
    look_into_pool(env, job);
    if (job->found || job->pending)
        return OK;
    return error_set(&job->e, ERR_NOTFOUND, "the output of the copy is spent, or none that is "
                     "locked as the copy says");
}

/* No earlier block can have paid out: a channel lives no longer. */
static int32_t scan_from(const struct restore_job *job)
{
    const uint32_t expiry = job->c.terms.expiry;
    const uint32_t from = expiry > PAYCHAN_LIFE_MAX ? expiry - PAYCHAN_LIFE_MAX : 0;
    if (job->found)
        return (int32_t)job->c.funding_height;
    return (int32_t)(from < job->tip ? from : job->tip);
}

static void work_restore(const struct rpc_env *env, struct paychan_job *j)
{
    struct restore_job *job = (struct restore_job *)j;
    struct error e = { .code = OK };
    job->rc = find_wallet(env, job);
    if (job->rc)
        return;
    job->rc = look_at_output(env, job);
    if (job->rc == ERR_BUSY)
        return;
    job->k.import = true;
    job->k.scan_from = scan_from(job);
    drop_secret(job);
    const enum err rc = paychan_keys_make(env, &job->k, &e);
    if (rc && !job->rc) {
        job->rc = rc;
        job->e = e;
    }
}

/* --- the channel thread --- */

static struct held *new_held(struct restore_job *job)
{
    struct paychans *pc = job->pc;
    const struct paychan_policy *policy = &pc->config.policy;
    struct held *h = xcalloc(1, sizeof *h);
    h->number = pc->next_number;
    h->contact = job->contact;
    h->c = job->c;
    h->c.funded = job->found ? PAYCHAN_CONFIRMED : PAYCHAN_UNCONFIRMED;
    h->c.refund_fee = (PAYCHAN_REFUND_SIZE_MAX * pc->config.fee_per_kb + 999) / 1000;
    h->c.min_depth = policy->min_depth;
    h->c.close_margin = policy->close_margin;
    memcpy(h->c.id, job->saved.id, sizeof h->c.id);
    memcpy(h->ours, job->saved.ours, sizeof h->ours);
    memcpy(h->theirs, job->saved.theirs, sizeof h->theirs);
    memcpy(h->wallet, job->k.wallet, sizeof h->wallet);
    h->created = clock_now();
    h->opened_at = job->found ? job->c.funding_height : job->tip;
    h->started = h->imported = true;
    h->secret = job->k.secret;
    job->k.secret = NULL;
    return paychans_add(pc, h);
}

static void take_restored(struct restore_job *job)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_RESTORE };
    struct held *h = new_held(job);
    struct chan_peer *p = paychans_peer(h);
    log_info("payment channels: a channel as %s was restored",
             h->c.role == PAYCHAN_PAYER ? "payer" : "payee");
    paychans_give(h, &ev, job->r);
    if (!job->r && p)
        paychans_take_sync(h, &job->sync);
}

static void refuse(struct restore_job *job)
{
    struct paychans *pc = job->pc;
    struct contact *contact = contacts_by_id(channels_contacts(pc->channels), job->contact);
    struct chan_peer *p = contact ? channels_peer_of(pc->channels, contact) : NULL;
    if (job->r && channels_is_waiting(pc->channels, job->r))
        channels_answer(pc->channels, job->r, job->rc, &job->e);
    if (job->r)
        return;
    LOG_LIMITED(LOG_INFO, "payment channels: the copy of a channel is not taken: %s", job->e.text);
    if (p)
        paychans_send_fail(p, job->saved.id, PAYCHAN_UNKNOWN, "the copy is not taken");
}

static void done_restore(struct channels *c, struct paychan_job *j)
{
    struct restore_job *job = (struct restore_job *)j;
    if (c && !job->rc && paychans_by_id(job->pc, job->saved.id))
        job->rc = error_set(&job->e, ERR_EXISTS, "the channel is known");
    if (c && job->rc)
        refuse(job);
    else if (c)
        take_restored(job);
    if (c)
        job->pc->restoring--;
    drop_secret(job);
    free(job);
}

/* Keys, id and tip are checked where the thread of the jobs can. */
static enum err begin(struct paychans *pc, struct restore_job *job, struct error *e)
{
    const enum err rc = paychan_get_copy(&job->c, span_of(job->saved.copy, PAYCHAN_COPY_SIZE), e);
    if (rc)
        return rc;
    job->job = (struct paychan_job){ .work = work_restore, .done = done_restore };
    job->pc = pc;
    job->tip = pc->view.tip;
    job->c.role = job->saved.role;
    memcpy(job->k.nonce, job->c.role == PAYCHAN_PAYER ? job->c.nonce_a : job->c.nonce_b, 32);
    if (!paychan_saved_fits(&job->saved, &job->c))
        return error_set(e, ERR_RANGE, "the id of the channel is not that of its identities and "
                         "nonces");
    if (*pc->trouble)
        return error_set(e, ERR_IO, "the journal of the payment channels has failed");
    pc->restoring++;
    paychan_wallet_do(pc->wallet, &job->job);
    return OK;
}

/* --- from the other side --- */

static bool fits_theirs(struct restore_job *job, const struct contact *contact,
                        const struct paychan *c)
{
    memcpy(job->saved.theirs, contact->key, EC_PUBKEY_SIZE);
    for (size_t i = 0; !paychan_saved_fits(&job->saved, c); i++) {
        if (i == contact->n_former)
            return false;
        memcpy(job->saved.theirs, contact->former[i], EC_PUBKEY_SIZE);
    }
    return true;
}

/* The keys at the opening: those of now, or of before either side has changed its own (spec
 * channels 2.7). That of ours may have been in another wallet. */
static bool fits_keys(struct paychans *pc, struct restore_job *job, struct chan_peer *p)
{
    const struct channel_identity *id = chan_peer_identity(p);
    uint8_t former[CONTACT_FORMER_MAX][IDENTITY_KEY_SIZE];
    struct paychan c = { .role = job->saved.role };
    struct error e = { .code = OK };
    if (paychan_get_copy(&c, span_of(job->saved.copy, PAYCHAN_COPY_SIZE), &e))
        return false;
    memcpy(job->saved.ours, id->key.pub, EC_PUBKEY_SIZE);
    channel_identity_wallet(id, job->k.wallet);
    if (fits_theirs(job, chan_peer_contact(p), &c))
        return true;
    *job->k.wallet = 0;
    const size_t n =
        channels_keys_before(pc->channels, id->key.pub, former, CONTACT_FORMER_MAX);
    for (size_t i = 0; i < n; i++) {
        memcpy(job->saved.ours, former[i], EC_PUBKEY_SIZE);
        if (fits_theirs(job, chan_peer_contact(p), &c))
            return true;
    }
    return false;
}

bool paychans_restore_from(struct paychans *pc, struct chan_peer *p,
                           const struct dchan_chan_sync *m)
{
    const struct contact *contact = chan_peer_contact(p);
    struct error e = { .code = OK };
    if (!m->has_copy || !contact || pc->restoring >= pc->config.live_max ||
        (m->role != PAYCHAN_PAYER && m->role != PAYCHAN_PAYEE))
        return false;
    struct restore_job *job = xcalloc(1, sizeof *job);
    job->contact = contact->id;
    job->sync = *m;
    job->saved.role = m->role == PAYCHAN_PAYER ? PAYCHAN_PAYEE : PAYCHAN_PAYER;
    memcpy(job->saved.id, m->id, sizeof job->saved.id);
    memcpy(job->saved.copy, m->copy, sizeof job->saved.copy);
    if (fits_keys(pc, job, p) && !begin(pc, job, &e))
        return true;
    log_debug(LOGC_CHANNEL, "payment channels: a copy is none of a channel with this contact");
    free(job);
    return false;
}

/* --- of the user --- */

struct restore_wait {
    struct channels_request r; /* first */
    struct paychans *pc;
    const struct paychan_saved *saved;
};

static void begin_restore(struct channels *c, struct channels_request *r)
{
    struct restore_wait *w = (struct restore_wait *)r;
    struct error e = { .code = OK };
    bool former;
    if (paychans_by_id(w->pc, w->saved->id)) {
        error_set(&e, ERR_EXISTS, "the channel is known");
        channels_answer(c, r, ERR_EXISTS, &e);
        return;
    }
    struct restore_job *job = xcalloc(1, sizeof *job);
    const struct contact *contact =
        contacts_by_key(channels_contacts(c), w->saved->theirs, &former);
    job->r = r;
    job->contact = contact ? contact->id : 0;
    job->saved = *w->saved;
    const enum err rc = begin(w->pc, job, &e);
    if (!rc)
        return;
    channels_answer(c, r, rc, &e);
    free(job);
}

enum err paychans_restore(void *ctx, const struct paychan_saved *saved, struct error *e)
{
    struct restore_wait w = { .pc = ctx, .saved = saved };
    return channels_ask(w.pc->channels, begin_restore, &w.r, e);
}

/* A channel of nobody's, whose other side has become a contact, perhaps with another key. */
void paychans_adopt(struct paychans *pc, struct chan_peer *p)
{
    struct contact *contact = chan_peer_contact(p);
    bool former;
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        if (h->contact == 0 &&
            contacts_by_key(channels_contacts(pc->channels), h->theirs, &former) == contact)
            h->contact = contact->id;
    }
}

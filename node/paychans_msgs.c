/* Messages of peers as events of payment channels (spec channels 8.5). */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/beef.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/reader.h"
#include "base/secret.h"
#include "node/channel_identities.h"
#include "p2p/dchan_wire.h"

#define ACCEPTED_MAX 1000 /* R_ACCEPTED in the node */
#define HOUR_S 3600
#define KEPT_PER_S 50
#define KEPT_BURST 600
#define COSTLY_BURST 8 /* messages for each channel that a contact may have; then one a second */

void paychans_send_fail(struct chan_peer *p, const uint8_t id[PAYCHAN_ID_SIZE], unsigned code,
                        const char *text)
{
    struct dchan_msg m = { .type = DCHAN_CHAN_FAIL };
    m.chan_fail = (struct dchan_chan_fail){ .code = (uint16_t)code,
                                            .text = span_of(text, strlen(text)) };
    memcpy(m.chan_fail.id, id, sizeof m.chan_fail.id);
    if (chan_peer_is_up(p) && chan_peer_send(p, &m))
        log_debug(LOGC_CHANNEL, "payment channels: a refusal was not sent");
}

/* --- opening, of the payee --- */

struct accept_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    uint64_t contact;
    uint8_t theirs[EC_PUBKEY_SIZE], ours[EC_PUBKEY_SIZE];
    struct paychan_open_msg open;
    char memo[PAYCHAN_MEMO_MAX + 1];
    struct paychan_keys k;
    enum err rc;
    struct error e;
};

static struct held *find_nonce(struct paychans *pc, uint64_t contact, enum paychan_role role,
                               const uint8_t nonce_a[32])
{
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        if (h->contact == contact && h->c.role == role &&
            memcmp(h->c.nonce_a, nonce_a, 32) == 0)
            return h;
    }
    return NULL;
}

struct opens *paychans_opens_of(struct paychans *pc, uint64_t contact)
{
    for (size_t i = 0; i < pc->n_opens; i++)
        if (pc->opens[i].contact == contact)
            return &pc->opens[i];
    if (paychans_is_stranger(contact) && !paychans_forget_opens(pc))
        return NULL;
    pc->opens = xrealloc(pc->opens, (pc->n_opens + 1) * sizeof *pc->opens);
    struct opens *o = &pc->opens[pc->n_opens++];
    const uint64_t live = paychans_is_stranger(contact) ? pc->config.stranger_live
                                                        : pc->config.live_max;
    *o = (struct opens){ .contact = contact, .since = (uint64_t)clock_now() };
    ratelimit_init(&o->costly, 1000 * live, COSTLY_BURST * live, COSTLY_BURST * live,
                   clock_mono_ms());
    ratelimit_init(&o->kept, 1000 * KEPT_PER_S, KEPT_BURST, KEPT_BURST, clock_mono_ms());
    return o;
}

/* A session begins with a few of these for each channel, and needs hardly one afterwards. */
static bool costs_too_much(struct paychans *pc, uint64_t contact, const struct dchan_msg *m)
{
    if (m->type != DCHAN_CHAN_FUNDED && m->type != DCHAN_CHAN_CLOSE &&
        m->type != DCHAN_CHAN_CLOSED && m->type != DCHAN_CHAN_SYNC)
        return false;
    struct opens *o = paychans_opens_of(pc, contact);
    return !o || !ratelimit_take(&o->costly, 1, clock_mono_ms());
}

/* One about a channel of whoever sends it, or the copy of a channel that is not known here, which
 * the thread of the jobs looks for in wallets and chain. */
static bool is_over_limit(struct paychans *pc, const struct held *h, struct chan_peer *p,
                          const struct dchan_msg *m)
{
    const struct contact *contact = chan_peer_contact(p);
    if (h)
        return costs_too_much(pc, h->contact, m);
    return contact && m->type == DCHAN_CHAN_SYNC && m->chan_sync.has_copy &&
           costs_too_much(pc, contact->id, m);
}

/* While the disk is behind: what was acknowledged, or will be, is not acknowledged once more. */
static bool says_nothing_new(const struct held *h, const struct dchan_msg *m)
{
    return m->type == DCHAN_CHAN_PAY && m->chan_pay.n <= h->c.n && paychans_is_behind(h->pc);
}

static bool opens_too_often(struct paychans *pc, uint64_t contact)
{
    const uint64_t now = (uint64_t)clock_now();
    struct opens *o = paychans_opens_of(pc, contact);
    if (!o)
        return true;
    if (now - o->since >= HOUR_S || now < o->since)
        o->since = now, o->n = 0;
    return ++o->n > (paychans_is_stranger(contact) ? pc->config.stranger_opens
                                                   : pc->config.opens_per_hour);
}

static bool has_room(const struct paychans *pc, struct chan_peer *p, uint64_t contact)
{
    const bool stranger = paychans_is_stranger(contact);
    size_t live = 0, accepted = 0;
    for (size_t i = 0; i < pc->n; i++) {
        const struct held *h = pc->all[i];
        live += h->contact == contact;
        accepted += h->c.role == PAYCHAN_PAYEE && h->c.state == R_ACCEPTED;
    }
    return live < (stranger ? pc->config.stranger_live : pc->config.live_max) &&
           accepted < ACCEPTED_MAX && (!stranger || paychans_source_has_room(pc, p));
}

static void work_accept(const struct rpc_env *env, struct paychan_job *j)
{
    struct accept_job *job = (struct accept_job *)j;
    job->rc = rand_secret(job->k.nonce, sizeof job->k.nonce, &job->e);
    if (!job->rc)
        job->rc = paychan_keys_make(env, &job->k, &job->e);
}

static struct held *new_payee(struct accept_job *job)
{
    struct paychans *pc = job->pc;
    struct held *h = xcalloc(1, sizeof *h);
    h->number = pc->next_number;
    h->contact = job->contact;
    h->c.role = PAYCHAN_PAYEE;
    h->created = clock_now();
    h->opened_at = pc->view.tip;
    h->started = true;
    h->secret = job->k.secret;
    job->k.secret = NULL;
    memcpy(h->ours, job->ours, sizeof h->ours);
    memcpy(h->theirs, job->theirs, sizeof h->theirs);
    memcpy(h->wallet, job->k.wallet, sizeof h->wallet);
    memcpy(h->memo, job->memo, sizeof h->memo);
    memcpy(h->c.nonce_a, job->open.nonce_a, sizeof h->c.nonce_a);
    return paychans_add(pc, h);
}

static void give_open(struct held *h, const struct accept_job *job)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_OPEN_MSG, .open = job->open };
    struct paychan_own own = paychans_own(h);
    memcpy(own.nonce, job->k.nonce, sizeof own.nonce);
    memcpy(own.key, job->k.key, sizeof own.key);
    memcpy(own.pkh, job->k.pkh, sizeof own.pkh);
    ev.own = &own;
    paychans_give(h, &ev, NULL);
}

static void take_accept_job(struct accept_job *job)
{
    struct paychans *pc = job->pc;
    struct chan_peer *p = paychans_peer_of(pc, job->contact, job->theirs, job->ours);
    struct held *h = find_nonce(pc, job->contact, PAYCHAN_PAYEE, job->open.nonce_a);
    if (!p)
        return;
    if (job->rc) {
        log_info("payment channels: one was refused: %s", job->e.text);
        paychans_send_fail(p, job->open.nonce_a, PAYCHAN_REFUSED,
                           "the wallet of the payee is locked or missing");
        return;
    }
    if (!h && !has_room(pc, p, job->contact)) {
        paychans_send_fail(p, job->open.nonce_a, PAYCHAN_LIMIT, "too many channels");
        return;
    }
    if (!h) {
        h = new_payee(job);
        paychans_note_source(h, p);
    }
    give_open(h, job);
    paychans_drop_if_new(h);
}

static void done_accept(struct channels *c, struct paychan_job *j)
{
    struct accept_job *job = (struct accept_job *)j;
    if (c)
        take_accept_job(job);
    secret_free(job->k.secret);
    free(job);
}

static void accept_new(struct paychans *pc, struct chan_peer *p, uint64_t contact,
                       const struct paychan_open_msg *m)
{
    struct accept_job *job = xcalloc(1, sizeof *job);
    const struct channel_identity *ours = chan_peer_identity(p);
    job->job = (struct paychan_job){ .work = work_accept, .done = done_accept };
    job->pc = pc;
    job->contact = contact;
    job->open = *m;
    log_sanitize(job->memo, sizeof job->memo, (const char *)m->memo.data, m->memo.len);
    job->open.memo = span_of(job->memo, strlen(job->memo));
    memcpy(job->ours, ours->key.pub, sizeof job->ours);
    memcpy(job->theirs, chan_peer_key(p), sizeof job->theirs);
    channel_identity_wallet(ours, job->k.wallet);
    paychan_wallet_do(pc->wallet, &job->job);
}

static struct paychan_open_msg read_open(const struct dchan_chan_open *in)
{
    struct paychan_open_msg m = { .type = in->type, .capacity = in->capacity,
                                  .expiry = in->expiry, .close_fee = in->close_fee,
                                  .memo = in->memo };
    memcpy(m.nonce_a, in->nonce, sizeof m.nonce_a);
    memcpy(m.payer_key, in->key, sizeof m.payer_key);
    memcpy(m.payer_pkh, in->pkh, sizeof m.payer_pkh);
    return m;
}

static void take_open(struct paychans *pc, struct chan_peer *p, const struct dchan_msg *msg)
{
    const struct paychan_open_msg m = read_open(&msg->chan_open);
    const uint64_t party = paychans_party(pc, p, NULL);
    struct held *h = find_nonce(pc, party, PAYCHAN_PAYEE, m.nonce_a);
    if (paychans_is_stranger(party) && !pc->config.strangers)
        paychans_send_fail(p, m.nonce_a, PAYCHAN_REFUSED, "only contacts open channels");
    else if (*pc->trouble)
        paychans_send_fail(p, m.nonce_a, PAYCHAN_REFUSED, "the disk of the payee fails");
    else if (h)
        paychans_give(h, &(struct paychan_event){ .kind = PAYCHAN_EV_OPEN_MSG, .open = m }, NULL);
    else if (channels_is_followed(pc->channels, chan_peer_identity(p)->key.pub))
        paychans_send_fail(p, m.nonce_a, PAYCHAN_REFUSED, "this identity has a successor");
    else if (opens_too_often(pc, party) || !has_room(pc, p, party))
        paychans_send_fail(p, m.nonce_a, PAYCHAN_LIMIT, "too many channels, or too often");
    else
        accept_new(pc, p, party, &m);
}

/* --- opening, of the payer --- */

/* *opening: something is being opened, whether or not by this id. */
static struct held *find_opening(struct paychans *pc, uint64_t contact,
                                 const struct dchan_chan_accept *m, bool *opening)
{
    uint8_t id[PAYCHAN_ID_SIZE];
    *opening = false;
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        if (h->contact != contact || h->c.role != PAYCHAN_PAYER || h->c.state != P_OPENING)
            continue;
        *opening = true;
        paychan_make_id(id, h->ours, h->theirs, h->c.nonce_a, m->nonce);
        if (memcmp(id, m->id, sizeof id) == 0)
            return h;
    }
    return paychans_by_id(pc, m->id);
}

static void take_accept(struct paychans *pc, struct chan_peer *p, const struct dchan_msg *msg)
{
    const struct dchan_chan_accept *in = &msg->chan_accept;
    const struct contact *contact = chan_peer_contact(p);
    bool opening = false;
    struct held *h = contact ? find_opening(pc, contact->id, in, &opening) : NULL;
    struct paychan_event ev = { .kind = PAYCHAN_EV_ACCEPT_MSG };
    if (!h || h->contact != contact->id) {
        paychans_send_fail(p, in->id, opening ? PAYCHAN_BAD_PARAMS : PAYCHAN_UNKNOWN,
                           opening ? "the id is not that of the channel that is being opened"
                                   : "no such channel is being opened");
        return;
    }
    const struct paychan_own own = paychans_own(h);
    ev.own = &own;
    ev.accept = (struct paychan_accept_msg){ .min_depth = in->min_depth,
                                             .close_margin = in->close_margin };
    memcpy(ev.accept.id, in->id, sizeof ev.accept.id);
    memcpy(ev.accept.nonce_b, in->nonce, sizeof ev.accept.nonce_b);
    memcpy(ev.accept.payee_key, in->key, sizeof ev.accept.payee_key);
    memcpy(ev.accept.payee_pkh, in->pkh, sizeof ev.accept.payee_pkh);
    paychans_give(h, &ev, NULL);
}

/* --- funding --- */

struct funded_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    uint64_t number;
    struct paychan_terms terms;
    struct outpoint at;
    struct tx *tx;         /* what was shown, NULL: it was none */
    struct paychan_coin sight;
};

static void look_at_coin(struct chain *c, void *ctx)
{
    struct funded_job *job = ctx;
    struct error e = { .code = OK };
    struct coin coin;
    bool found = false;
    job->sight.looked = !coins_get(chain_coins(c), &job->at, &coin, &found, &e);
    job->sight.found = found;
    job->sight.height = found ? (uint32_t)coin.height : 0;
}

/* Our own mempool takes it, or has it, or knows better. */
static enum tx_outcome offer(const struct rpc_env *env, struct tx *tx)
{
    struct tx_submission s = { .tx = tx, .allow_high_fee = true };
    struct error e = { .code = OK };
    if (chain_submit_txs(env->chain, &s, 1, &e))
        return TX_NOT_JUDGED;
    const enum tx_outcome outcome = s.result.outcome;
    tx_submissions_clear(&s, 1);
    return outcome;
}

void paychans_judge_unseen(struct paychan_coin *sight, enum tx_outcome outcome)
{
    sight->spent |= outcome == TX_REJECTED || outcome == TX_CONFIRMED;
    if (outcome == TX_MISSING_INPUTS || outcome == TX_NOT_JUDGED)
        sight->looked = false;
}

static void work_funded(const struct rpc_env *env, struct paychan_job *j)
{
    struct funded_job *job = (struct funded_job *)j;
    struct mempool *pool = chain_mempool(env->chain);
    if (!job->tx)
        return;
    const enum tx_outcome outcome = offer(env, job->tx);
    struct tx *spender = mempool_get_spender(pool, &job->at);
    job->sight.in_pool = mempool_contains(pool, &job->at.txid);
    job->sight.spent = spender != NULL;
    tx_unref(spender);
    if (chain_call(env->chain, look_at_coin, job))
        job->sight.looked = false;
    if (!job->sight.found && !job->sight.in_pool)
        paychans_judge_unseen(&job->sight, outcome);
}

/* What nobody has seen yet counts as unconfirmed only where that gives no credit. */
static bool is_genuine(const struct held *h, const struct funded_job *job)
{
    const struct tx *tx = job->tx;
    const bool shown = tx && txid_equal(&tx->id, &job->at.txid) && !tx_is_coinbase(tx) &&
                       job->at.index < tx->n_out &&
                       paychan_is_funding(&tx->out[job->at.index], &job->terms);
    const bool credit = h->pc->config.policy.unconfirmed_max > 0;
    return shown && (job->sight.found || job->sight.in_pool || !credit);
}

static void done_funded(struct channels *c, struct paychan_job *j)
{
    struct funded_job *job = (struct funded_job *)j;
    struct held *h = c ? paychans_by_number(job->pc, job->number) : NULL;
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUNDED_MSG };
    if (h)
        h->checking = false;
    if (h && (job->sight.looked || !job->tx)) { /* else we could not look: it is shown again */
        ev.funded = (struct paychan_funded_msg){ .at = job->at, .tx = job->tx,
                                                 .genuine = is_genuine(h, job),
                                                 .height = job->sight.height,
                                                 .unspent = !job->sight.spent };
        paychans_give(h, &ev, NULL);
    }
    tx_unref(job->tx);
    free(job);
}

static struct tx *tx_of_beef(struct span raw, const struct txid *id)
{
    struct beef b;
    struct reader r;
    struct tx *tx = NULL;
    struct error e = { .code = OK };
    reader_init(&r, raw.data, raw.len);
    if (beef_read(&r, &b, &e))
        return NULL;
    for (size_t i = 0; i < b.n_txs && !tx && reader_done(&r); i++)
        if (b.tx[i].form != BEEF_ID_ALONE && txid_equal(&b.tx[i].tx.id, id))
            tx = tx_new(b.tx[i].tx.raw.data, b.tx[i].tx.raw.len, NULL);
    beef_clear(&b);
    return tx;
}

static void take_funded(struct held *h, const struct dchan_msg *msg)
{
    const struct dchan_chan_funded *in = &msg->chan_funded;
    if (h->c.role != PAYCHAN_PAYEE || h->checking)
        return;
    struct funded_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work_funded, .done = done_funded };
    job->pc = h->pc;
    job->number = h->number;
    job->terms = h->c.terms;
    memcpy(job->at.txid.b, in->txid, sizeof job->at.txid.b);
    job->at.index = in->vout;
    job->tx = tx_of_beef(in->beef, &job->at.txid);
    h->checking = true;
    paychan_wallet_do(h->pc->wallet, &job->job);
}

/* --- payments and the rest --- */

static bool too_fast(struct held *h)
{
    const uint64_t now = (uint64_t)clock_mono_ms() / 1000;
    if (h->second != now) {
        h->second = now;
        h->in_second = 0;
    }
    return ++h->in_second > h->pc->config.pays_per_s;
}

static void take_pay(struct held *h, const struct dchan_msg *msg, bool old)
{
    const struct dchan_chan_pay *in = &msg->chan_pay;
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY_MSG };
    ev.pay = (struct paychan_pay_msg){ .n = in->n, .paid = in->paid, .ref = in->ref,
                                      .old = old };
    memcpy(ev.pay.sig, in->sig, sizeof ev.pay.sig);
    ev.pay.too_fast = too_fast(h) || paychans_is_behind(h->pc) ||
                      h->pc->n_untold - h->pc->untold_first >= PAYCHANS_UNTOLD_MAX;
    paychans_give(h, &ev, NULL);
}

static void take_ready(struct held *h, const struct dchan_msg *msg)
{
    const struct dchan_chan_ready *in = &msg->chan_ready;
    struct paychan_event ev = { .kind = PAYCHAN_EV_READY_MSG };
    ev.ready = (struct paychan_ready_msg){ in->height, in->has_limit, in->limit };
    paychans_give(h, &ev, NULL);
}

static void take_ack(struct held *h, const struct dchan_msg *msg)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_ACK_MSG };
    ev.ack = (struct paychan_ack_msg){ msg->chan_pay.n, msg->chan_pay.paid };
    paychans_give(h, &ev, NULL);
    paychans_answer_pays(h);
}

static void take_close(struct held *h, const struct dchan_msg *msg)
{
    const struct dchan_chan_pay *in = &msg->chan_pay;
    struct paychan_event ev = { .kind = PAYCHAN_EV_CLOSE_MSG };
    ev.close.close = (struct paychan_close){ in->paid, in->close_fee };
    memcpy(ev.close.sig, in->sig, sizeof ev.close.sig);
    paychans_give(h, &ev, NULL);
}

static void take_closed(struct held *h, const struct dchan_msg *msg)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_CLOSED_MSG };
    struct tx *tx = tx_new(msg->chan_closed.tx.data, msg->chan_closed.tx.len, NULL);
    ev.tx.tx = tx;
    if (tx)
        paychans_give(h, &ev, NULL);
    tx_unref(tx);
}

void paychans_take_sync(struct held *h, const struct dchan_chan_sync *in)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_SYNC_MSG };
    ev.sync = (struct paychan_sync_msg){ .role = in->role, .state = in->state, .n = in->n,
                                         .paid = in->paid, .close_fee = in->close_fee,
                                         .tip = in->tip };
    memcpy(ev.sync.sig, in->sig, sizeof ev.sync.sig);
    paychans_give(h, &ev, NULL);
    if (h->c.role == PAYCHAN_PAYER && h->c.stopped == PAYCHAN_BAD_STATE)
        paychans_end_pays(h, OK); /* it is not open there */
    paychans_answer_pays(h);
}

static void take_fail(struct held *h, const struct dchan_msg *msg)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_FAIL_MSG };
    char text[PAY_TEXT_MAX];
    log_sanitize(text, sizeof text, (const char *)msg->chan_fail.text.data,
                 msg->chan_fail.text.len);
    ev.fail = (struct paychan_fail_msg){ .code = msg->chan_fail.code, .text = text };
    log_debug(LOGC_CHANNEL, "payment channels: the other side refuses (%s): %s",
              paychan_fail_name(msg->chan_fail.code), text);
    const bool asks = h->c.state == P_OPEN && ev.fail.code == PAYCHAN_BAD_STATE;
    if (h->c.role == PAYCHAN_PAYER && !asks) /* else the chan_syncs tell, soon */
        paychans_end_pays(h, OK);
    paychans_give(h, &ev, NULL);
}

/* --- whose it is --- */

static const uint8_t *id_of(const struct dchan_msg *m)
{
    switch (m->type) {
    case DCHAN_CHAN_FUNDED: return m->chan_funded.id;
    case DCHAN_CHAN_READY: return m->chan_ready.id;
    case DCHAN_CHAN_CLOSED: return m->chan_closed.id;
    case DCHAN_CHAN_SYNC: return m->chan_sync.id;
    case DCHAN_CHAN_FAIL: return m->chan_fail.id;
    default: return m->chan_pay.id; /* pay, ack, close */
    }
}

/* A refusal of an opening names its nonce. */
static struct held *find_held(struct paychans *pc, struct chan_peer *p, const struct dchan_msg *m)
{
    const uint64_t party = paychans_party(pc, p, id_of(m));
    struct held *h = paychans_by_id(pc, id_of(m));
    if (!h && m->type == DCHAN_CHAN_FAIL)
        h = find_nonce(pc, party, PAYCHAN_PAYER, m->chan_fail.id);
    return h && h->contact == party && paychans_peer(h) == p ? h : NULL;
}

static void take_known(struct held *h, const struct chan_peer *p, const struct dchan_msg *m)
{
    switch (m->type) {
    case DCHAN_CHAN_FUNDED: take_funded(h, m); break;
    case DCHAN_CHAN_READY: take_ready(h, m); break;
    case DCHAN_CHAN_PAY: take_pay(h, m, chan_peer_hears_old(p)); break;
    case DCHAN_CHAN_ACK: take_ack(h, m); break;
    case DCHAN_CHAN_CLOSE: take_close(h, m); break;
    case DCHAN_CHAN_CLOSED: take_closed(h, m); break;
    case DCHAN_CHAN_SYNC: paychans_take_sync(h, &m->chan_sync); break;
    case DCHAN_CHAN_FAIL: take_fail(h, m); break;
    default: break;
    }
}

static void take(void *ctx, const struct dchan_msg *m)
{
    struct chan_peer *p = ctx;
    struct paychans *pc = channels_part(chan_peer_channels(p), paychans_handlers);
    if (m->type == DCHAN_CHAN_OPEN) {
        take_open(pc, p, m);
        return;
    }
    if (m->type == DCHAN_CHAN_ACCEPT) {
        take_accept(pc, p, m);
        return;
    }
    struct held *h = find_held(pc, p, m);
    if (h && *pc->trouble && m->type != DCHAN_CHAN_FAIL)
        paychans_send_fail(p, id_of(m), PAYCHAN_REFUSED, "the disk fails");
    else if (is_over_limit(pc, h, p, m))
        paychans_send_fail(p, id_of(m), PAYCHAN_LIMIT, "too many messages about channels");
    else if (h && says_nothing_new(h, m))
        return;
    else if (h)
        take_known(h, p, m);
    else if (m->type == DCHAN_CHAN_SYNC && !paychans_by_id(pc, id_of(m)) &&
             paychans_restore_from(pc, p, &m->chan_sync))
        return; /* answered when it was looked at */
    else if (m->type != DCHAN_CHAN_FAIL)
        paychans_send_fail(p, id_of(m), PAYCHAN_UNKNOWN, "no such channel");
    paychans_send_acks(pc);
}

const struct dchan_handler paychans_handlers[1] = {
    { DCHAN_CHAN_OPEN, DCHAN_CHAN_FAIL, take },
};

/* What commands ask of payment channels (rpc/pay_call.h). */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/secret.h"
#include "chain/chain.h"
#include "node/channel_identities.h"
#include "p2p/dchan_wire.h"

/* --- whom it is about --- */

struct chan_peer *paychans_find_peer(struct paychans *pc, const char *text,
                                     struct contact **contact, struct error *e)
{
    *contact = contacts_find(channels_contacts(pc->channels), text);
    if (!*contact) {
        contact_unknown(text, e);
        return NULL;
    }
    struct chan_peer *p = channels_peer_of(pc->channels, *contact);
    if (*pc->trouble)
        error_set(e, ERR_IO, "the journal of the payment channels has failed: %s", pc->trouble);
    else if (!p || !chan_peer_is_up(p))
        error_set(e, ERR_BUSY, "there is no session with %s: peerconnect", (*contact)->alias);
    else if (!chan_peer_has(p, DCHAN_PAYMENTS))
        error_set(e, ERR_NOTFOUND, "%s does not take payments", (*contact)->alias);
    else
        return p;
    return NULL;
}

/* --- opening --- */

struct own_job {
    struct paychan_job job; /* first */
    struct open_wait *o;
    struct paychans *pc;
    uint64_t contact;
    uint8_t ours[EC_PUBKEY_SIZE], theirs[EC_PUBKEY_SIZE];
    struct paychan_keys k;
    enum err rc;
    struct error e;
};

static void work_own(const struct rpc_env *env, struct paychan_job *j)
{
    struct own_job *job = (struct own_job *)j;
    job->rc = rand_secret(job->k.nonce, sizeof job->k.nonce, &job->e);
    if (!job->rc)
        job->rc = paychan_keys_make(env, &job->k, &job->e);
}

static struct held *new_payer(struct own_job *job)
{
    struct paychans *pc = job->pc;
    struct held *h = xcalloc(1, sizeof *h);
    const char *memo = job->o->in->memo;
    h->number = pc->next_number;
    h->contact = job->contact;
    h->c.role = PAYCHAN_PAYER;
    h->created = clock_now();
    h->opened_at = pc->view.tip;
    h->started = h->imported = true;
    h->secret = job->k.secret;
    job->k.secret = NULL;
    h->opener = job->o;
    memcpy(h->ours, job->ours, sizeof h->ours);
    memcpy(h->theirs, job->theirs, sizeof h->theirs);
    memcpy(h->wallet, job->k.wallet, sizeof h->wallet);
    log_sanitize(h->memo, sizeof h->memo, memo, strlen(memo));
    return paychans_add(pc, h);
}

static uint64_t fee_of(uint64_t size, uint64_t rate) { return (size * rate + 999) / 1000; }

static void begin_opening(struct own_job *job)
{
    struct paychans *pc = job->pc;
    const struct pay_opening *in = job->o->in;
    struct held *h = new_payer(job);
    struct paychan_event ev = { .kind = PAYCHAN_EV_OPEN };
    struct paychan_own own = paychans_own(h);
    memcpy(own.nonce, job->k.nonce, sizeof own.nonce);
    memcpy(own.key, job->k.key, sizeof own.key);
    memcpy(own.pkh, job->k.pkh, sizeof own.pkh);
    own.capacity = in->capacity;
    own.close_fee = fee_of(PAYCHAN_CLOSE_SIZE_MAX, pc->config.fee_per_kb);
    own.refund_fee = fee_of(PAYCHAN_REFUND_SIZE_MAX, pc->config.fee_per_kb);
    own.expiry = pc->view.tip + in->expiry_blocks;
    ev.own = &own;
    paychans_give(h, &ev, NULL);
    if (h->c.state == PAYCHAN_NEW) { /* refused */
        paychans_opened(h, ERR_RANGE, "the amount does not cover the fees");
        paychans_drop_if_new(h);
    }
}

static void done_own(struct channels *c, struct paychan_job *j)
{
    struct own_job *job = (struct own_job *)j;
    if (c && channels_is_waiting(c, &job->o->r)) {
        if (job->rc)
            channels_answer(c, &job->o->r, job->rc, &job->e);
        else
            begin_opening(job);
    }
    secret_free(job->k.secret);
    free(job);
}

/* Before Genesis nobody could take back what is locked. */
static bool rules_are_there(const struct paychans *pc, struct error *e)
{
    const struct script_heights *h = &chain_get_params(pc->env->chain)->heights;
    if ((int64_t)pc->view.tip + 1 >= h->genesis)
        return true;
    error_set(e, ERR_RANGE, "payment channels take the rules of Genesis, from height %d on",
              (int)h->genesis);
    return false;
}

/* NULL: none may be opened, e says why. */
static struct chan_peer *find_payee(struct paychans *pc, const char *text,
                                    struct contact **contact, struct error *e)
{
    struct chan_peer *p = rules_are_there(pc, e) ? paychans_find_peer(pc, text, contact, e)
                                                : NULL;
    if (!p || !channels_is_followed(pc->channels, chan_peer_identity(p)->key.pub))
        return p;
    error_set(e, ERR_RANGE, "identity %s has a successor: no channels are opened with it any more; "
              "%s must take the new key first", chan_peer_identity(p)->name, (*contact)->alias);
    return NULL;
}

static void begin_open(struct channels *c, struct channels_request *r)
{
    struct open_wait *o = (struct open_wait *)r;
    struct paychans *pc = o->pc;
    struct contact *contact;
    struct error e = { .code = OK };
    struct chan_peer *p = find_payee(pc, o->in->contact, &contact, &e);
    if (!p) {
        channels_answer(c, r, e.code, &e);
        return;
    }
    struct own_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work_own, .done = done_own };
    job->o = o;
    job->pc = pc;
    job->contact = contact->id;
    memcpy(job->ours, chan_peer_identity(p)->key.pub, sizeof job->ours);
    memcpy(job->theirs, chan_peer_key(p), sizeof job->theirs);
    job->k.import = true;
    job->k.scan_from = WALLET_NO_SCAN;
    channel_identity_wallet(chan_peer_identity(p), job->k.wallet);
    paychan_wallet_do(pc->wallet, &job->job);
}

/* The command that opened it gets its answer, once. */
void paychans_opened(struct held *h, enum err rc, const char *text)
{
    struct open_wait *o = h->opener;
    struct channels *c = h->pc->channels;
    struct error e = { .code = OK };
    h->opener = NULL;
    if (!o || h->pc->stopping || !channels_is_waiting(c, &o->r))
        return;
    if (rc)
        error_set(&e, rc, "%s", *h->alarm ? h->alarm : text);
    *o->out = (struct pay_opened){ .funding = h->c.funding, .expiry = h->c.terms.expiry };
    memcpy(o->out->id, h->c.id, sizeof o->out->id);
    channels_answer(c, &o->r, rc, &e);
}

static enum err call_open(void *ctx, const struct pay_opening *in, struct pay_opened *out,
                          struct error *e)
{
    struct paychans *pc = ctx;
    struct open_wait o = { .pc = pc, .in = in, .out = out };
    return channels_ask(pc->channels, begin_open, &o.r, e);
}

/* --- closing --- */

struct close_wait {
    struct channels_request r; /* first */
    struct paychans *pc;
    const struct pay_closing *in;
};

static void begin_close(struct channels *c, struct channels_request *r)
{
    struct close_wait *w = (struct close_wait *)r;
    struct held *h = paychans_by_id(w->pc, w->in->id);
    struct paychan_event ev = { .kind = PAYCHAN_EV_CLOSE };
    struct error e;
    if (!h) {
        error_set(&e, ERR_NOTFOUND, "no such channel: listpaychannels");
        channels_answer(c, r, ERR_NOTFOUND, &e);
        return;
    }
    if (w->in->fee_per_kb && h->c.role == PAYCHAN_PAYER)
        ev.closing.fee = fee_of(PAYCHAN_CLOSE_SIZE_MAX, w->in->fee_per_kb);
    paychans_give(h, &ev, r);
}

static enum err call_close(void *ctx, const struct pay_closing *in, struct error *e)
{
    struct close_wait w = { .pc = ctx, .in = in };
    return channels_ask(w.pc->channels, begin_close, &w.r, e);
}

/* --- listing --- */

static const char *funded_name(const struct paychan *c)
{
    static const char *const names[] = { "none", "unconfirmed", "confirmed", "replaced" };
    return names[c->funded];
}

static const char *spend_name(const struct paychan *c)
{
    static const char *const names[] = { "none", "close", "refund", "other" };
    return names[c->spend];
}

bool paychans_is_funded(const struct paychan *c)
{
    return c->role == PAYCHAN_PAYER ? c->state >= P_FUNDED : c->state >= R_SEEN;
}

static const char *alarm_of(const struct held *h)
{
    return h->condition ? h->condition : h->alarm;
}

static void describe(const struct held *h, struct pay_channel *out)
{
    static const uint8_t none[PAYCHAN_ID_SIZE];
    const struct paychan *c = &h->c;
    const struct contact *contact =
        contacts_by_id(channels_contacts(h->pc->channels), h->contact);
    struct chan_peer *p = paychans_peer(h);
    const bool payer = c->role == PAYCHAN_PAYER;
    *out = (struct pay_channel){
        .has_id = memcmp(c->id, none, sizeof none) != 0, .payer = payer,
        .open = paychans_is_open(h), .locked = !h->secret,
        .connected = p && chan_peer_is_up(p),
        .state = paychan_state_name(c->role, c->state),
        .funded = funded_name(c), .spend = spend_name(c),
        .capacity = c->terms.capacity, .close_fee = c->terms.close_fee, .n = c->n,
        .paid = c->paid, .acknowledged = payer ? c->acked_paid : c->paid,
        .limit = payer ? c->limit : paychan_limit(c, &h->pc->config.policy, &h->pc->view),
        .expiry = c->terms.expiry, .close_margin = c->close_margin, .min_depth = c->min_depth,
        .has_funding = paychans_is_funded(c), .funding = c->funding,
        .funding_height = c->funding_height, .spend_height = c->spend_height,
        .settled = c->spend == PAYCHAN_SPENT_CLOSE, .settled_paid = c->settled.paid,
        .settled_fee = c->settled.fee, .created = h->created };
    memcpy(out->id, c->id, sizeof out->id);
    memcpy(out->key, h->theirs, sizeof out->key);
    (void)snprintf(out->contact, sizeof out->contact, "%s", contact ? contact->alias : "");
    memcpy(out->memo, h->memo, sizeof out->memo);
    out->urgent = paychans_is_urgent(h);
    (void)snprintf(out->alarm, sizeof out->alarm, "%s", alarm_of(h));
}

#define LIST_AT_ONCE 128 /* so that thousands do not hold up payments */

struct listing {
    struct paychans *pc;
    struct pay_list *out;
    uint64_t from; /* the number to go on with */
    bool more;
};

static void list(struct channels *c, void *ctx)
{
    struct listing *l = ctx;
    const struct paychans *pc = l->pc;
    struct pay_list *out = l->out;
    size_t i = paychans_place(pc, l->from), left = LIST_AT_ONCE;
    (void)c;
    out->v = xrealloc(out->v, (out->n + LIST_AT_ONCE) * sizeof *out->v);
    for (; i < pc->n && left; i++, left--) {
        describe(pc->all[i], &out->v[out->n++]);
        l->from = pc->all[i]->number + 1;
    }
    l->more = i < pc->n;
    memcpy(out->trouble, pc->trouble, sizeof out->trouble);
}

static enum err call_list(void *ctx, struct pay_list *out, struct error *e)
{
    struct listing l = { .pc = ctx, .out = out, .more = true };
    *out = (struct pay_list){ .v = NULL };
    while (l.more)
        if (!channels_call(l.pc->channels, list, &l)) {
            free(out->v);
            *out = (struct pay_list){ .v = NULL };
            return error_set(e, ERR_CANCELLED, "direct channels have stopped");
        }
    return OK;
}

struct troubled {
    struct paychans *pc;
    char *out;     /* PAY_TEXT_MAX bytes: the worst so far, "" nothing */
    uint64_t from;
    bool more, urgent;
};

static void see_trouble(struct channels *c, void *ctx)
{
    struct troubled *t = ctx;
    const struct paychans *pc = t->pc;
    size_t i = paychans_place(pc, t->from), left = LIST_AT_ONCE;
    (void)c;
    if (*pc->trouble) {
        (void)snprintf(t->out, PAY_TEXT_MAX, "%s", pc->trouble);
        t->urgent = true;
    }
    for (; i < pc->n && left && !t->urgent; i++, left--) {
        const struct held *h = pc->all[i];
        t->from = h->number + 1;
        if (!*alarm_of(h) || (*t->out && !paychans_is_urgent(h)))
            continue;
        (void)snprintf(t->out, PAY_TEXT_MAX, "%s", alarm_of(h));
        t->urgent = paychans_is_urgent(h);
    }
    t->more = i < pc->n && !t->urgent;
}

static void call_trouble(void *ctx, char out[PAY_TEXT_MAX])
{
    struct troubled t = { .pc = ctx, .out = out, .more = true };
    *out = 0;
    while (t.more && channels_call(t.pc->channels, see_trouble, &t))
        ;
}

void paychans_fill_service(struct paychans *pc)
{
    pc->service = (struct rpc_pay_service){ .open = call_open, .pay = paychans_pay,
                                            .close = call_close, .list = call_list,
                                            .trouble = call_trouble,
                                            .export_all = paychans_export,
                                            .restore = paychans_restore,
                                            .kept = paychans_list_kept, .ctx = pc };
}

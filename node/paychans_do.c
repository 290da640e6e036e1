/* What a step of a payment channel says, done: messages, the wallet, the network. */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "chain/chain.h"
#include "p2p/dchan_wire.h"

#define LOADED_TRIES 100 /* of a twentieth of a second */
#define BEEF_MAX 60000 /* bytes in a message */
#define FUND_TIME_S 60 /* before an accept is too old: what is made must be taken */

/* --- messages --- */

/* When no session is up nothing is sent: the next one begins with what is missing. */
static void say(const struct held *h, const struct dchan_msg *m)
{
    struct chan_peer *p = paychans_peer(h);
    if (p && chan_peer_is_up(p) && chan_peer_has(p, DCHAN_PAYMENTS)) {
        const enum err rc = chan_peer_send(p, m);
        if (rc)
            log_debug(LOGC_CHANNEL, "payment channels: a message was not sent: %s", err_name(rc));
    }
}

static void send_open(struct held *h)
{
    const struct paychan *c = &h->c;
    struct dchan_msg m = { .type = DCHAN_CHAN_OPEN };
    m.chan_open = (struct dchan_chan_open){ .type = 1, .capacity = c->terms.capacity,
                                            .expiry = c->terms.expiry,
                                            .close_fee = (uint32_t)c->terms.close_fee,
                                            .memo = span_of(h->memo, strlen(h->memo)) };
    memcpy(m.chan_open.nonce, c->nonce_a, sizeof m.chan_open.nonce);
    memcpy(m.chan_open.key, c->terms.payer_key, sizeof m.chan_open.key);
    memcpy(m.chan_open.pkh, c->terms.payer_pkh, sizeof m.chan_open.pkh);
    say(h, &m);
}

static void send_accept(struct held *h)
{
    const struct paychan *c = &h->c;
    struct dchan_msg m = { .type = DCHAN_CHAN_ACCEPT };
    m.chan_accept = (struct dchan_chan_accept){ .min_depth = c->min_depth,
                                                .close_margin = c->close_margin };
    memcpy(m.chan_accept.id, c->id, sizeof m.chan_accept.id);
    memcpy(m.chan_accept.nonce, c->nonce_b, sizeof m.chan_accept.nonce);
    memcpy(m.chan_accept.key, c->terms.payee_key, sizeof m.chan_accept.key);
    memcpy(m.chan_accept.pkh, c->terms.payee_pkh, sizeof m.chan_accept.pkh);
    say(h, &m);
}

static void send_ready(struct held *h, const struct paychan_ready_msg *r)
{
    struct dchan_msg m = { .type = DCHAN_CHAN_READY };
    m.chan_ready = (struct dchan_chan_ready){ .height = r->height, .has_limit = r->has_limit,
                                              .limit = r->limit };
    memcpy(m.chan_ready.id, h->c.id, sizeof m.chan_ready.id);
    say(h, &m);
}

static void send_pay(struct held *h, const struct paychan_pay_msg *p)
{
    struct dchan_msg m = { .type = DCHAN_CHAN_PAY };
    h->sent_n = p->n;
    m.chan_pay = (struct dchan_chan_pay){ .n = p->n, .paid = p->paid, .ref = p->ref };
    memcpy(m.chan_pay.id, h->c.id, sizeof m.chan_pay.id);
    memcpy(m.chan_pay.sig, p->sig, sizeof m.chan_pay.sig);
    say(h, &m);
}

static void send_close(struct held *h, const struct paychan_close_msg *c)
{
    struct dchan_msg m = { .type = DCHAN_CHAN_CLOSE };
    m.chan_pay = (struct dchan_chan_pay){ .paid = c->close.paid,
                                          .close_fee = (uint32_t)c->close.fee };
    memcpy(m.chan_pay.id, h->c.id, sizeof m.chan_pay.id);
    memcpy(m.chan_pay.sig, c->sig, sizeof m.chan_pay.sig);
    say(h, &m);
}

static void send_closed(struct held *h)
{
    struct dchan_msg m = { .type = DCHAN_CHAN_CLOSED };
    struct buf raw;
    buf_init(&raw);
    memcpy(m.chan_closed.id, h->c.id, sizeof m.chan_closed.id);
    if (h->secret && paychan_make_close(&h->c, h->secret, &raw) &&
        raw.len <= DCHAN_CLOSED_TX_MAX) {
        m.chan_closed.tx = buf_span(&raw);
        say(h, &m);
    }
    buf_clear(&raw);
}

static void add_copy(const struct held *h, struct dchan_chan_sync *m)
{
    struct buf copy;
    buf_init(&copy);
    paychan_put_copy(&copy, &h->c);
    m->has_copy = true;
    memcpy(m->copy, copy.data, sizeof m->copy);
    buf_clear(&copy);
}

static void send_sync(struct held *h, const struct paychan_sync_msg *s)
{
    struct dchan_msg m = { .type = DCHAN_CHAN_SYNC };
    m.chan_sync = (struct dchan_chan_sync){ .role = s->role, .state = s->state, .n = s->n,
                                            .paid = s->paid, .tip = s->tip,
                                            .close_fee = (uint32_t)s->close_fee };
    memcpy(m.chan_sync.id, h->c.id, sizeof m.chan_sync.id);
    memcpy(m.chan_sync.sig, s->sig, sizeof m.chan_sync.sig);
    if (s->copy)
        add_copy(h, &m.chan_sync);
    say(h, &m);
}

static void send_fail(const struct held *h, const struct paychan_fail_msg *f)
{
    struct chan_peer *p = paychans_peer(h);
    if (p)
        paychans_send_fail(p, f->opening ? h->c.nonce_a : h->c.id, f->code, f->text);
}

static void ack_later(struct held *h, const struct paychan_ack_msg *m)
{
    struct paychans *pc = h->pc;
    h->ack = *m;
    if (h->ack_due)
        return;
    h->ack_due = true;
    h->ack_at = pc->n_acks;
    if (pc->n_acks == pc->acks_cap) {
        pc->acks_cap = 2 * pc->acks_cap + 4;
        pc->acks = xrealloc(pc->acks, pc->acks_cap * sizeof *pc->acks);
    }
    pc->acks[pc->n_acks++] = h;
}

/* One for all that became durable together. */
void paychans_send_ack(struct held *h)
{
    const struct paychan_ack_msg ack = h->ack;
    struct paychan_event ev = { .kind = PAYCHAN_EV_ACKED, .ack = ack };
    struct dchan_msg m = { .type = DCHAN_CHAN_ACK };
    m.chan_pay = (struct dchan_chan_pay){ .n = ack.n, .paid = ack.paid };
    memcpy(m.chan_pay.id, h->c.id, sizeof m.chan_pay.id);
    paychans_ack_not_due(h);
    say(h, &m);
    paychans_give(h, &ev, NULL);
}

/* --- jobs: funding --- */

struct funding_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    uint64_t number;
    struct paychan_fund f;
    enum err rc;
    struct error e;
};

static void work_fund(const struct rpc_env *env, struct paychan_job *j)
{
    struct funding_job *job = (struct funding_job *)j;
    job->rc = paychan_fund_make(env, &job->f, &job->e);
}

/* Once more when the wallet is there. What it failed to write shows when it is read anew, after a
 * restart: until then no time passes for the channel. */
static void leave_unfunded(struct held *h, enum err rc)
{
    if (rc != ERR_IO && rc != ERR_CORRUPT)
        return;
    h->funding = true;
    paychans_opened(h, rc, "the wallet could not be written");
}

static void take_funding(struct held *h, const struct funding_job *job)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUND };
    h->funding = false;
    if (job->rc)
        paychans_alarm(h, job->e.text);
    if (job->rc && !job->f.none) {
        leave_unfunded(h, job->rc);
        return;
    }
    ev.tx.tx = job->rc ? NULL : job->f.tx;
    ev.tx.index = job->f.index;
    ev.tx.already = true; /* the wallet sends it by itself: also when the clock leapt since */
    paychans_give(h, &ev, NULL);
}

static void done_fund(struct channels *c, struct paychan_job *j)
{
    struct funding_job *job = (struct funding_job *)j;
    struct held *h = c ? paychans_by_number(job->pc, job->number) : NULL;
    if (h)
        take_funding(h, job);
    if (!job->rc)
        tx_unref(job->f.tx);
    free(job);
}

static void fund(struct held *h)
{
    if (h->funding)
        return;
    struct funding_job *job = xcalloc(1, sizeof *job);
    h->funding = true;
    job->job = (struct paychan_job){ .work = work_fund, .done = done_fund };
    job->pc = h->pc;
    job->number = h->number;
    job->f.terms = h->c.terms;
    job->f.resumed = !h->opener;
    job->f.until = (int64_t)h->c.since + PAYCHAN_ACCEPT_GOOD_S - FUND_TIME_S;
    memcpy(job->f.wallet, h->wallet, sizeof job->f.wallet);
    paychan_wallet_do(h->pc->wallet, &job->job);
}

/* --- jobs: sending what funds --- */

enum shown { TO_NETWORK = 1, TO_PEER = 2 };

struct showing_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    uint64_t number;
    enum shown to;
    char wallet[WALLET_NAME_MAX + 1];
    struct txid id;
    struct tx *tx;
    struct buf beef;
};

static void work_show(const struct rpc_env *env, struct paychan_job *j)
{
    struct showing_job *job = (struct showing_job *)j;
    struct error e = { .code = OK };
    job->tx = paychan_fund_find(env, job->wallet, &job->id);
    if (job->tx && job->to == TO_PEER &&
        paychan_beef_make(env, job->tx, BEEF_MAX, &job->beef, &e))
        log_warn("payment channels: the funding is not shown: %s", e.text);
}

static void send_funded(struct held *h, struct span beef)
{
    struct dchan_msg m = { .type = DCHAN_CHAN_FUNDED };
    m.chan_funded = (struct dchan_chan_funded){ .vout = h->c.funding.index, .beef = beef };
    memcpy(m.chan_funded.id, h->c.id, sizeof m.chan_funded.id);
    memcpy(m.chan_funded.txid, h->c.funding.txid.b, sizeof m.chan_funded.txid);
    say(h, &m);
}

static void done_show(struct channels *c, struct paychan_job *j)
{
    struct showing_job *job = (struct showing_job *)j;
    struct held *h = c ? paychans_by_number(job->pc, job->number) : NULL;
    if (h && !job->tx)
        paychans_alarm(h, "the wallet does not have the funding transaction: is it loaded?");
    else if (h && job->to == TO_NETWORK)
        paychans_submit(h, job->tx, "funding");
    else if (h && job->beef.len && txid_equal(&job->id, &h->c.funding.txid))
        send_funded(h, buf_span(&job->beef));
    if (h && job->to == TO_NETWORK)
        paychans_opened(h, OK, NULL);
    tx_unref(job->tx);
    buf_clear(&job->beef);
    free(job);
}

static void show(struct held *h, enum shown to)
{
    struct showing_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work_show, .done = done_show };
    job->pc = h->pc;
    job->number = h->number;
    job->to = to;
    job->id = h->c.funding.txid;
    memcpy(job->wallet, h->wallet, sizeof job->wallet);
    buf_init(&job->beef);
    paychan_wallet_do(h->pc->wallet, &job->job);
}

/* --- jobs: keys --- */

struct keys_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    uint64_t number;
    bool first;              /* since the start of the node; the others come after it */
    struct paychan_keys k;
    enum err rc;
    struct error e;
};

static void ask_whether_loaded(struct chain *c, void *ctx)
{
    *(bool *)ctx = chain_mempool_is_loaded(c);
}

/* What was sent before a restart comes back with the mempool's file: made anew before, it would
 * take its place, and what pays for it would be lost. Not for long: a file may take its time. */
static void wait_for_mempool(struct chain *c)
{
    const struct timespec pause = { .tv_nsec = 50000000 };
    bool loaded = false;
    for (unsigned i = 0; i < LOADED_TRIES && !loaded; i++) {
        if (i)
            (void)nanosleep(&pause, NULL);
        if (chain_call(c, ask_whether_loaded, &loaded))
            return; /* the node stops */
    }
}

static void work_keys(const struct rpc_env *env, struct paychan_job *j)
{
    struct keys_job *job = (struct keys_job *)j;
    if (job->first)
        wait_for_mempool(env->chain);
    job->rc = paychan_keys_make(env, &job->k, &job->e);
}

static const uint8_t *own_key(const struct held *h)
{
    return h->c.role == PAYCHAN_PAYER ? h->c.terms.payer_key : h->c.terms.payee_key;
}

/* What waits for the key, or was begun before, goes on. */
static void begin_again(struct held *h)
{
    h->started = true;
    paychans_give(h, &(struct paychan_event){ .kind = PAYCHAN_EV_START }, NULL);
}

static void complain(struct held *h, const struct keys_job *job)
{
    if (job->rc == ERR_AUTH)
        paychans_alarm(h, "the wallet is locked: the channel cannot pay, close or refund");
    else if (job->rc == ERR_NOTFOUND)
        paychans_alarm(h, "its wallet is not loaded: the channel cannot pay, close or refund");
    else
        paychans_alarm(h, job->rc ? job->e.text
                                  : "the wallet gives another key: is it the same wallet?");
}

static void take_keys(struct held *h, struct keys_job *job)
{
    const bool first = !h->started;
    h->job = false;
    if (job->rc || memcmp(job->k.key, own_key(h), sizeof job->k.key) != 0) {
        complain(h, job);
        if (first)
            begin_again(h);
        return;
    }
    h->imported |= job->k.import;
    if (h->secret)
        return;
    h->secret = job->k.secret;
    job->k.secret = NULL;
    *h->alarm = 0;
    begin_again(h);
}

static void done_keys(struct channels *c, struct paychan_job *j)
{
    struct keys_job *job = (struct keys_job *)j;
    struct held *h = c ? paychans_by_number(job->pc, job->number) : NULL;
    if (h)
        take_keys(h, job);
    secret_free(job->k.secret);
    free(job);
}

/* The payer's is known to the wallet since the opening; the payee's is made known to it when there
 * is something to expect. */
static bool wants_import(const struct held *h)
{
    return !h->imported && h->c.role == PAYCHAN_PAYEE && h->c.state >= R_SEEN;
}

void paychans_ask_for_keys(struct held *h)
{
    if (h->job || h->forgetting || h->c.state == PAYCHAN_NEW || (h->secret && !wants_import(h)))
        return;
    struct keys_job *job = xcalloc(1, sizeof *job);
    h->job = true;
    job->job = (struct paychan_job){ .work = work_keys, .done = done_keys };
    job->pc = h->pc;
    job->number = h->number;
    job->first = !h->pc->asked;
    h->pc->asked = true;
    job->k.import = wants_import(h);
    job->k.scan_from = h->c.funding_height ? (int32_t)h->c.funding_height : WALLET_NO_SCAN;
    memcpy(job->k.nonce, h->c.role == PAYCHAN_PAYER ? h->c.nonce_a : h->c.nonce_b, 32);
    memcpy(job->k.wallet, h->wallet, sizeof job->k.wallet);
    paychan_wallet_do(h->pc->wallet, &job->job);
}

/* --- what a step asks for --- */

static void watch(struct held *h)
{
    const uint32_t from = h->c.funding_height ? h->c.funding_height : h->opened_at;
    h->pc->export_due = true; /* it is funded, or by another transaction */
    paychan_watch_add(h->pc->watch, h->number, &h->c.funding, from);
    if (h->c.role == PAYCHAN_PAYEE)
        paychans_ask_for_keys(h);
}

static void end_session(const struct held *h)
{
    struct chan_peer *p = paychans_peer(h);
    if (p)
        chan_peer_score(p, 100, "signatures of payments are bad");
}

static void forget(struct held *h)
{
    paychans_write_forget(h->pc, h->number);
    paychans_note_over(h);
    h->forgotten = true;
}

static void serve(struct held *h, const struct paychan_pay_msg *m)
{
    if (!h->c.unsigned_yet) {
        h->safe.n = m->n;
        h->safe.paid = m->paid;
        memcpy(h->safe.sig, m->sig, sizeof h->safe.sig);
    }
    paychans_served(h, m);
}

/* A close is made as the channel is now, which may be ahead of the disk: the step that made it so
 * closes as well, once it is written down. */
static bool closes_later(const struct held *h)
{
    for (const struct paychan_pending *p = h->first; p; p = p->next)
        for (size_t i = 0; i < p->n; i++)
            if (p->actions[i].what == PAYCHAN_DO_BROADCAST_CLOSE)
                return true;
    return false;
}

static void close_now(struct held *h, enum paychan_do what)
{
    if (closes_later(h))
        return;
    if (what == PAYCHAN_DO_BROADCAST_CLOSE)
        paychans_send_close(h);
    else
        send_closed(h);
}

void paychans_do(struct held *h, const struct paychan_action *a)
{
    if (h->ack_due && a->what != PAYCHAN_DO_SEND_ACK && a->what != PAYCHAN_DO_SERVE)
        paychans_send_ack(h); /* it comes before what is said after it */
    switch (a->what) {
    case PAYCHAN_DO_SEND_OPEN: send_open(h); break;
    case PAYCHAN_DO_SEND_ACCEPT: send_accept(h); break;
    case PAYCHAN_DO_SEND_FUNDED: show(h, TO_PEER); break;
    case PAYCHAN_DO_SEND_READY: send_ready(h, &a->ready); break;
    case PAYCHAN_DO_SEND_PAY: send_pay(h, &a->pay); break;
    case PAYCHAN_DO_SEND_ACK: ack_later(h, &a->ack); break;
    case PAYCHAN_DO_SEND_CLOSE: send_close(h, &a->close); break;
    case PAYCHAN_DO_SEND_CLOSED: close_now(h, a->what); break;
    case PAYCHAN_DO_SEND_SYNC: send_sync(h, &a->sync); break;
    case PAYCHAN_DO_SEND_FAIL: send_fail(h, &a->fail); break;
    case PAYCHAN_DO_END_SESSION: end_session(h); break;
    case PAYCHAN_DO_FUND: fund(h); break;
    case PAYCHAN_DO_SEND_FUNDING: show(h, TO_NETWORK); break;
    case PAYCHAN_DO_WATCH: watch(h); break;
    case PAYCHAN_DO_BROADCAST_CLOSE: close_now(h, a->what); break;
    case PAYCHAN_DO_BROADCAST_REFUND: paychans_send_refund(h); break;
    case PAYCHAN_DO_SERVE: serve(h, &a->pay); break;
    case PAYCHAN_DO_FORGET: forget(h); break;
    case PAYCHAN_DO_ALARM: paychans_alarm(h, a->fail.text); break;
    }
}

/* Requests of ours and payments that we make: from the command to the payee's answer. */
#include <config.h>

#include "node/paytx_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "node/channel_identities.h"
#include "p2p/transfers.h"
#include "wallet/brc29.h"

#define RESUME_MS 10000 /* between looks for a wallet that is not there */

/* --- whom it is about --- */

static struct chan_peer *find_peer(struct paytx *pt, const char *text, struct error *e)
{
    struct contact *contact = contacts_find(channels_contacts(pt->channels), text);
    struct chan_peer *p = contact ? channels_peer_of(pt->channels, contact) : NULL;
    if (!contact)
        contact_unknown(text, e);
    else if (!contact->has_key)
        error_set(e, ERR_NOTFOUND, "the key of %s is not known yet: connect to it",
                  contact->alias);
    else if (!p)
        error_set(e, ERR_NOTFOUND, "there is no identity to talk to %s with", contact->alias);
    return contact && contact->has_key ? p : NULL;
}

static enum err new_part(struct pay_row_text *out, struct error *e)
{
    struct buf b;
    buf_init(&b);
    const enum err rc = brc29_new_part(&b, e);
    *out = pay_text_of(buf_span(&b));
    buf_clear(&b);
    return rc;
}

static enum err new_row(struct pay_row *r, enum pay_row_kind kind, struct chan_peer *p,
                        const char *memo, struct error *e)
{
    *r = (struct pay_row){ .kind = kind, .contact = chan_peer_contact(p)->id,
                           .created = clock_now() };
    const size_t len = strlen(memo);
    memcpy(r->theirs, chan_peer_key(p), sizeof r->theirs);
    memcpy(r->ours, chan_peer_identity(p)->key.pub, sizeof r->ours);
    r->memo_len = len < sizeof r->memo ? len : sizeof r->memo;
    memcpy(r->memo, memo, r->memo_len);
    channel_identity_wallet(chan_peer_identity(p), r->wallet);
    const enum err rc = rand_secret(r->id, sizeof r->id, e);
    return rc ? rc : new_part(&r->prefix, e);
}

static void answer_disk(struct pay_item *it, enum err rc)
{
    struct error e;
    error_set(&e, rc, "the disk fails: it was not written down, and nothing was sent");
    paytx_answer(it, rc, &e);
}

/* --- requests --- */

static size_t open_requests(const struct paytx *pt, uint64_t contact)
{
    size_t n = 0;
    for (size_t i = 0; i < pt->n; i++)
        n += pt->all[i]->row.kind == PAY_REQUESTED_BY_US && pt->all[i]->row.contact == contact;
    return n;
}

static void on_request_written(struct pay_item *it, enum err rc)
{
    if (rc) {
        answer_disk(it, rc);
        paytx_drop(it);
        return;
    }
    paytx_send(it);
    paytx_answer(it, OK, NULL);
}

void paytx_begin_request(struct channels *c, struct channels_request *r)
{
    struct pay_asker *w = (struct pay_asker *)r;
    struct error e = { .code = OK };
    struct chan_peer *p = find_peer(w->pt, w->in->contact, &e);
    if (p && open_requests(w->pt, chan_peer_contact(p)->id) >= w->pt->limits.requests) {
        error_set(&e, ERR_BUSY, "%u requests to the contact are open (-paymentrequests)",
                  w->pt->limits.requests);
        p = NULL;
    }
    struct pay_row row;
    if (!p || new_row(&row, PAY_REQUESTED_BY_US, p, w->in->memo, &e)) {
        channels_answer(c, r, e.code, &e);
        return;
    }
    row.state = PAY_OPEN;
    row.satoshis = w->in->satoshis;
    row.expires = (uint32_t)clock_now() + w->in->seconds;
    struct pay_item *it = paytx_add(w->pt, &row);
    it->asker = w;
    paytx_write(it, on_request_written);
}

static void send_request(struct pay_item *it, struct chan_peer *p)
{
    struct dchan_msg m = { .type = DCHAN_P_REQUEST };
    memcpy(m.p_request.id, it->row.id, sizeof m.p_request.id);
    m.p_request.satoshis = it->row.satoshis;
    m.p_request.expires = it->row.expires;
    m.p_request.prefix = pay_text_span(&it->row.prefix);
    m.p_request.memo = span_of(it->row.memo, it->row.memo_len);
    it->sent = !chan_peer_send(p, &m);
}

/* --- making a payment --- */

struct make_job {
    struct paychan_job job; /* first */
    struct pay_item *it;
    struct pay_row row;
    struct pay_making m;
    enum err rc;
    struct error e;
};

static void work_make(const struct rpc_env *env, struct paychan_job *j)
{
    struct make_job *job = (struct make_job *)j;
    job->m.row = &job->row;
    job->rc = paytx_make(env, &job->m, &job->e);
}

static void on_made(struct pay_item *it, enum err rc)
{
    if (!rc)
        paytx_send(it);
    else /* the transaction is in the wallet; it is written and sent as soon as the disk takes it */
        paytx_answer(it, OK, NULL);
}

static void take_made(struct pay_item *it, const struct make_job *job)
{
    it->row.txid = job->m.txid;
    it->row.output[0].index = job->m.index;
    it->row.fee = job->m.fee ? job->m.fee : it->row.fee;
    it->row.state = PAY_PENDING;
    paytx_write(it, on_made);
}

/* What the wallet has now is not what it has after a failed write and a restart. */
static void leave_unsure(struct pay_item *it, const struct make_job *job)
{
    struct error e;
    it->unsure |= !job->m.resumed;
    if (it->unsure)
        error_set(&e, job->rc, "the wallet could not be written (%.120s): whether the payment was "
                  "made shows after a restart (listpayments)", job->e.text);
    paytx_answer(it, job->rc, it->unsure ? &e : &job->e);
}

static void on_payment_written(struct pay_item *it, enum err rc);

/* That of the request is one which the payee has given to another request. */
static bool take_new_prefix(struct pay_item *it)
{
    struct error e = { .code = OK };
    if (new_part(&it->row.prefix, &e))
        return false;
    paytx_write(it, on_payment_written);
    return true;
}

/* Nothing was made: it is over. Or nobody knows yet. */
static void take_unmade(struct pay_item *it, const struct make_job *job)
{
    if (!job->m.none) {
        leave_unsure(it, job);
        return;
    }
    if (job->m.prefix_used && take_new_prefix(it))
        return;
    it->why = job->e;
    log_info("payments: one was not made: %s", job->e.text);
    it->row.state = PAY_TAKEN_BACK;
    it->row.ended = clock_now();
    paytx_write(it, paytx_ended);
}

static void done_make(struct channels *c, struct paychan_job *j)
{
    struct make_job *job = (struct make_job *)j;
    if (c) {
        job->it->busy = false;
        if (job->rc)
            take_unmade(job->it, job);
        else
            take_made(job->it, job);
    }
    free(job);
}

static void make(struct pay_item *it, bool resumed)
{
    struct make_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work_make, .done = done_make };
    job->it = it;
    job->row = it->row;
    job->m.resumed = resumed;
    it->busy = true;
    paychan_wallet_do(it->pt->jobs, &job->job);
}

void paytx_resume(struct pay_item *it)
{
    const int64_t now = clock_mono_ms();
    if (it->unsure || (it->sent_ms && now - it->sent_ms < RESUME_MS))
        return;
    it->sent_ms = now;
    make(it, true);
}

static void on_payment_written(struct pay_item *it, enum err rc)
{
    if (!rc) {
        make(it, false);
        return;
    }
    answer_disk(it, rc);
    paytx_drop(it);
}

/* --- the command --- */

/* *tried: there was one that was taken back; *earlier: its transaction, zeros: none was made. */
static bool is_being_paid(struct paytx *pt, uint64_t contact, const uint8_t request[PAY_ID_SIZE],
                          bool *tried, struct txid *earlier, struct error *e)
{
    struct pay_row of = { .kind = PAY_SENT, .contact = contact }, r = { .n = 0 };
    bool found = false;
    *tried = false;
    if (paytx_find_of(pt, PAY_SENT, contact, request)) {
        error_set(e, ERR_EXISTS, "the request is being paid: listpayments");
        return true;
    }
    memcpy(of.id, request, sizeof of.id);
    if (paytx_load(pt, &of, &r, &found, e))
        return true;
    *tried = found;
    *earlier = r.txid;
    if (found && r.state != PAY_TAKEN_BACK)
        error_set(e, ERR_EXISTS, "the request was paid with %s: listpayments",
                  r.state == PAY_REFUSED ? "a transaction that the payee refused" : "success");
    return found && r.state != PAY_TAKEN_BACK;
}

/* What the request says about the payment. False: e says why it cannot be. */
static bool take_request(struct paytx *pt, const struct pay_waiter *in, struct pay_row *row,
                         struct error *e)
{
    const struct pay_item *it =
        paytx_find_of(pt, PAY_REQUESTED_OF_US, row->contact, in->request);
    bool tried;
    if (!it || it->row.expires <= clock_now())
        error_set(e, ERR_NOTFOUND, "the contact has no open request of this id: listpayments");
    else if (in->satoshis && in->satoshis != it->row.satoshis)
        error_set(e, ERR_RANGE, "the request is for %llu satoshis",
                  (unsigned long long)it->row.satoshis);
    else if (!is_being_paid(pt, row->contact, in->request, &tried, &row->txid, e)) {
        memcpy(row->id, in->request, sizeof row->id);
        memcpy(row->request, in->request, sizeof row->request);
        row->has_request = true;
        row->satoshis = it->row.satoshis;
        if (it->row.prefix.len && !tried) /* a prefix is used once */
            row->prefix = it->row.prefix;
        return true;
    }
    return false;
}

static struct chan_peer *find_payee(struct paytx *pt, const char *text, struct error *e)
{
    struct chan_peer *p = find_peer(pt, text, e);
    if (!p)
        return NULL;
    if (!chan_peer_is_up(p))
        error_set(e, ERR_BUSY, "there is no session with the contact: peerconnect");
    else if (!chan_peer_has(p, DCHAN_PAYMENTS))
        error_set(e, ERR_NOTFOUND, "the contact does not take payments");
    else
        return p;
    return NULL;
}

void paytx_end_waiter(struct pay_waiter *w, enum err rc, const struct pay_row *row,
                      const struct error *e)
{
    w->done(w->ctx, rc, row, e);
    free(w->contact);
    free(w->memo);
    free(w);
}

void paytx_begin_pay(struct channels *c, void *waiter)
{
    struct pay_waiter *w = waiter;
    struct error e = { .code = OK };
    struct pay_row row = { .n = 0 };
    struct chan_peer *p = NULL;
    if (!c || w->pt->stopping)
        error_set(&e, ERR_CANCELLED, "direct channels have stopped");
    else if (!paytx_find_heirs(w->pt, &e))
        p = find_payee(w->pt, w->contact, &e);
    if (p && (new_row(&row, PAY_SENT, p, w->memo, &e) || new_part(&row.output[0].suffix, &e)))
        p = NULL;
    row.satoshis = w->satoshis;
    if (!p || (w->has_request && !take_request(w->pt, w, &row, &e))) {
        paytx_end_waiter(w, e.code, &row, &e);
        return;
    }
    row.state = PAY_MAKING;
    row.n = 1;
    struct pay_item *it = paytx_add(w->pt, &row);
    it->waiter = w;
    paytx_write(it, on_payment_written);
}

/* --- handing it over --- */

struct beef_job {
    struct paychan_job job; /* first */
    struct pay_item *it;
    struct pay_row row;
    const char *dir;        /* for the file that it becomes when no message holds it: */
    char *path, *contact;
    struct buf beef;
    uint8_t file_id[32];
    enum err rc;
    struct error e;
};

/* Offered again it is the same file with the same id, however its BEEF has changed since. */
static void offer_file(const struct rpc_env *env, struct beef_job *job)
{
    job->rc = path_make_dirs(job->dir, &job->e);
    if (!job->rc && !path_exists(job->path)) /* else it is that which was offered before */
        job->rc = file_replace(job->path, job->beef.data, job->beef.len, &job->e);
    if (!job->rc)
        job->rc = transfers_send(env->transfers, job->contact, job->path, 0, job->file_id,
                                 &job->e);
    job->beef.len = 0;
}

static void work_beef(const struct rpc_env *env, struct paychan_job *j)
{
    struct beef_job *job = (struct beef_job *)j;
    job->rc = paytx_make_beef(env, &job->row, &job->beef, &job->e);
    if (!job->rc && job->beef.len > DCHAN_BODY_MAX)
        offer_file(env, job);
}

static void send_tx(struct pay_item *it, struct chan_peer *p, const struct beef_job *job)
{
    struct dchan_msg m = { .type = DCHAN_P_TX };
    memcpy(m.p_tx.id, it->row.id, sizeof m.p_tx.id);
    m.p_tx.prefix = pay_text_span(&it->row.prefix);
    m.p_tx.n = it->row.n;
    for (size_t i = 0; i < it->row.n; i++)
        m.p_tx.outputs[i] = (struct dchan_p_output){ it->row.output[i].index,
                                                     pay_text_span(&it->row.output[i].suffix) };
    m.p_tx.beef = buf_span(&job->beef);
    memcpy(m.p_tx.file_id, job->file_id, sizeof m.p_tx.file_id);
    it->sent = !chan_peer_send(p, &m);
}

static void take_beef(struct beef_job *job)
{
    struct pay_item *it = job->it;
    struct chan_peer *p = paytx_peer(it->pt, &it->row);
    it->busy = false;
    it->sent = true; /* tried: the next time after a while */
    it->sent_ms = clock_mono_ms();
    it->retry_ms = PAYTX_RESEND_MS;
    if (job->rc) {
        log_warn("payments: a payment cannot be handed over for now: %s", job->e.text);
        paytx_answer(it, OK, NULL);
    } else if (p && it->row.state == PAY_PENDING) {
        send_tx(it, p, job);
    }
}

static void done_beef(struct channels *c, struct paychan_job *j)
{
    struct beef_job *job = (struct beef_job *)j;
    if (c)
        take_beef(job);
    buf_clear(&job->beef);
    free(job->path);
    free(job->contact);
    free(job);
}

/* Heap. */
static char *beef_path(const struct pay_item *it)
{
    char name[2 * PAY_ID_SIZE + sizeof ".beef"];
    hex_encode(name, it->row.id, PAY_ID_SIZE);
    (void)snprintf(name + 2 * (size_t)PAY_ID_SIZE, sizeof ".beef", ".beef");
    return path_join(it->pt->dir, name);
}

static void hand_over(struct pay_item *it, struct chan_peer *p)
{
    struct beef_job *job = xcalloc(1, sizeof *job);
    char key[2 * IDENTITY_KEY_SIZE + 1];
    job->job = (struct paychan_job){ .work = work_beef, .done = done_beef };
    job->it = it;
    job->row = it->row;
    hex_encode(key, chan_peer_key(p), IDENTITY_KEY_SIZE);
    job->dir = it->pt->dir;
    job->path = beef_path(it);
    job->contact = xstrdup(key);
    buf_init(&job->beef);
    it->busy = true;
    paychan_wallet_do(it->pt->jobs, &job->job);
}

void paytx_send(struct pay_item *it)
{
    const bool waits = it->busy || it->over || it->sent || it->unwritten;
    struct chan_peer *p = waits ? NULL : paytx_peer(it->pt, &it->row);
    if (!p)
        return;
    if (it->row.kind == PAY_REQUESTED_BY_US && it->row.state == PAY_OPEN)
        send_request(it, p);
    else if (it->row.kind == PAY_SENT && it->row.state == PAY_PENDING)
        hand_over(it, p);
}

/* --- the answer --- */

struct result_job {
    struct paychan_job job; /* first */
    struct pay_item *it;
    struct pay_row row;
    char *path;             /* of the file that it may have been sent as */
    bool accepted, taken_back;
};

static void work_result(const struct rpc_env *env, struct paychan_job *j)
{
    struct result_job *job = (struct result_job *)j;
    struct error e = { .code = OK };
    if (path_remove(job->path, &e))
        log_warn("payments: %s", e.text);
    if (job->accepted)
        paytx_submit(env, &job->row);
    else
        job->taken_back = paytx_take_back(env, &job->row);
}

/* What the disk says of it was in the same write. */
static void end_request(struct paytx *pt, const struct pay_row *paid)
{
    struct pay_item *it = paid->has_request
                              ? paytx_find_of(pt, PAY_REQUESTED_OF_US, paid->contact, paid->request)
                              : NULL;
    if (it)
        paytx_drop(it);
}

static void answer_refused(struct pay_item *it)
{
    struct error e = { .code = OK };
    if (it->why.code) {
        paytx_answer(it, it->why.code, &it->why);
        return;
    }
    error_set(&e, ERR_PROTO, "the payee refuses the payment (%s); %s",
              pay_status_name(it->row.status),
              it->row.state == PAY_TAKEN_BACK
                  ? "the coins are free again"
                  : "its transaction was on its way already, only the payee can spend it");
    paytx_answer(it, ERR_PROTO, &e);
}

static void payment_ended(struct pay_item *it)
{
    const struct pay_row *row = &it->row;
    if (row->state == PAY_ACCEPTED) {
        paytx_tell(it->pt, LOGGED_PAYTX_SENT, row, "");
        end_request(it->pt, row);
        paytx_answer(it, OK, NULL);
    } else {
        paytx_tell(it->pt, LOGGED_PAYTX_FAILED, row,
                   row->status ? pay_status_name(row->status) : "not made");
        answer_refused(it);
    }
}

void paytx_ended(struct pay_item *it, enum err rc)
{
    if (rc)
        return; /* it is written again, and told of then */
    if (it->row.kind == PAY_SENT)
        payment_ended(it);
    paytx_drop(it);
}

static void done_result(struct channels *c, struct paychan_job *j)
{
    struct result_job *job = (struct result_job *)j;
    struct pay_item *it = job->it;
    if (c) {
        it->row.state = job->accepted     ? PAY_ACCEPTED
                        : job->taken_back ? PAY_TAKEN_BACK
                                          : PAY_REFUSED;
        it->row.ended = clock_now();
        paytx_write(it, paytx_ended);
    }
    free(job->path);
    free(job);
}

static void finish(struct pay_item *it, bool accepted)
{
    struct result_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work_result, .done = done_result };
    job->it = it;
    job->row = it->row;
    job->path = beef_path(it);
    job->accepted = accepted;
    it->busy = true;
    paychan_wallet_do(it->pt->jobs, &job->job);
}

static int64_t next_try(int64_t last)
{
    return last ? MIN_OF(2 * last, PAYTX_RESEND_MS) : PAYTX_AGAIN_MS;
}

/* Who takes another transaction under this id has not taken ours: that spends the same coins, or
 * is none of our payments. Zeros name none, and leave the id to tell. */
static uint16_t status_of(const struct pay_row *row, const struct dchan_p_result *m)
{
    static const uint8_t unnamed[sizeof row->txid.b];
    if (m->status != PAY_OK || memcmp(m->txid, row->txid.b, sizeof row->txid.b) == 0 ||
        memcmp(m->txid, unnamed, sizeof unnamed) == 0)
        return m->status;
    log_warn("payments: a payee says that it took another transaction than ours: one refused");
    return PAY_NO;
}

void paytx_take_result(struct paytx *pt, struct chan_peer *p, const struct dchan_p_result *m)
{
    const struct contact *contact = chan_peer_contact(p);
    struct pay_item *it = contact ? paytx_find_of(pt, PAY_SENT, contact->id, m->id) : NULL;
    if (!it || it->busy || paytx_peer(pt, &it->row) != p || it->row.state != PAY_PENDING)
        return;
    it->row.status = status_of(&it->row, m);
    if (m->status == PAY_PROOF_MISSING) /* until it has the block, or the file */
        it->retry_ms = it->again_ms = next_try(it->again_ms);
    else
        finish(it, it->row.status == PAY_OK);
}

/* What others ask us for, and what they pay: payments are verified one after the other, each until
 * its result is on disk, so that no output is credited twice. */
#include <config.h>

#include "node/paytx_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/beef.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/channel_identities.h"
#include "p2p/transfers.h"

#define BAD_PAYMENT_SCORE 5
#define LOOK_MS 5000 /* between looks at what has become of one, and more for each other one */
#define LOOK_MORE_MS 50

/* --- requests --- */

static size_t open_requests(const struct paytx *pt, uint64_t contact)
{
    size_t n = 0;
    for (size_t i = 0; i < pt->n; i++)
        n += pt->all[i]->row.kind == PAY_REQUESTED_OF_US && pt->all[i]->row.contact == contact;
    return n;
}

static bool is_known(struct paytx *pt, const struct pay_row *r)
{
    struct error e = { .code = OK };
    struct pay_row old;
    bool found = false;
    for (size_t i = 0; i < pt->n; i++)
        if (pt->all[i]->row.kind == r->kind && pt->all[i]->row.contact == r->contact &&
            memcmp(pt->all[i]->row.id, r->id, PAY_ID_SIZE) == 0)
            return true;
    return paytx_load(pt, r, &old, &found, &e) || found;
}

/* One that could not be written comes again in the next session. */
static void on_request_written(struct pay_item *it, enum err rc)
{
    char memo[EVENT_TEXT_MAX];
    if (rc) {
        paytx_drop(it);
        return;
    }
    log_sanitize(memo, sizeof memo, it->row.memo, it->row.memo_len);
    paytx_tell(it->pt, LOGGED_PAYTX_REQUESTED, &it->row, memo);
}

static struct pay_row row_of(enum pay_row_kind kind, struct chan_peer *p,
                             const uint8_t id[PAY_ID_SIZE], struct span prefix)
{
    const struct contact *contact = chan_peer_contact(p);
    struct pay_row r = { .kind = kind, .contact = contact ? contact->id : 0,
                         .created = clock_now(), .prefix = pay_text_of(prefix) };
    memcpy(r.id, id, sizeof r.id);
    memcpy(r.theirs, chan_peer_key(p), sizeof r.theirs);
    memcpy(r.ours, chan_peer_identity(p)->key.pub, sizeof r.ours);
    channel_identity_wallet(chan_peer_identity(p), r.wallet);
    return r;
}

static bool is_reasonable(const struct dchan_p_request *m)
{
    const int64_t now = clock_now();
    return m->satoshis > 0 && m->satoshis <= (uint64_t)MAX_MONEY && m->expires > now;
}

/* One for longer than we keep any ends for us before it does for them. */
static uint32_t expiry_of(const struct dchan_p_request *m)
{
    const int64_t last = clock_now() + PAYTX_EXPIRY_MAX_S;
    return m->expires < last ? m->expires : (uint32_t)last;
}

void paytx_take_request(struct paytx *pt, struct chan_peer *p, const struct dchan_p_request *m)
{
    const struct contact *contact = chan_peer_contact(p);
    if (!contact || !is_reasonable(m))
        return;
    struct pay_row r = row_of(PAY_REQUESTED_OF_US, p, m->id, m->prefix);
    struct pay_account *a = paytx_account(pt, contact->id);
    if (open_requests(pt, contact->id) >= pt->limits.requests ||
        a->requests >= pt->limits.requests_per_hour) {
        log_debug(LOGC_CHANNEL, "payments: too many requests of %s", contact->alias);
        return;
    }
    if (is_known(pt, &r))
        return;
    a->requests++;
    r.state = PAY_OPEN;
    r.satoshis = m->satoshis;
    r.expires = expiry_of(m);
    r.memo_len = m->memo.len;
    if (m->memo.len)
        memcpy(r.memo, m->memo.data, m->memo.len);
    paytx_write(paytx_add(pt, &r), on_request_written);
}

/* --- payments --- */

/* One that is looked at. */
struct pay_check {
    struct paychan_job job; /* first */
    struct paytx *pt;
    struct pay_check *next;
    struct pay_row row;
    struct pay_row request;   /* that it is for, when row says that there is one */
    struct pay_parties parties;
    struct buf beef;
    bool in_file;
    uint8_t file_id[32];
    struct pay_judging j;
};

static void free_check(struct pay_check *k)
{
    buf_clear(&k->beef);
    free(k);
}

void paytx_free_checks(struct paytx *pt)
{
    while (pt->checks) {
        struct pay_check *k = pt->checks;
        pt->checks = k->next;
        free_check(k);
    }
    if (pt->checking)
        free_check(pt->checking);
}

uint64_t paytx_checks_bytes(const struct paytx *pt)
{
    uint64_t n = 0;
    for (const struct pay_check *k = pt->checks; k; k = k->next)
        n += sizeof *k + k->beef.len;
    return n + (pt->checking ? sizeof *pt->checking + pt->checking->beef.len : 0);
}

static void send_result(struct chan_peer *p, const struct pay_row *r, unsigned status)
{
    struct dchan_msg m = { .type = DCHAN_P_RESULT };
    memcpy(m.p_result.id, r->id, sizeof m.p_result.id);
    m.p_result.status = (uint16_t)status;
    memcpy(m.p_result.txid, r->txid.b, sizeof m.p_result.txid);
    if (chan_peer_send(p, &m))
        log_debug(LOGC_CHANNEL, "payments: an answer could not be sent: it is asked for again");
}

/* In the session of now, which may be that of a successor. */
static void answer_check(struct pay_check *k, unsigned status)
{
    struct chan_peer *p = paytx_peer(k->pt, &k->row);
    if (p)
        send_result(p, &k->row, status);
}

/* --- in a file: accepted by itself when it is small, and looked at when it is there --- */

static const struct transfer_info *find_file(const struct transfer_list *l,
                                             const struct pay_check *k)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].sending && memcmp(l->v[i].id, k->file_id, sizeof k->file_id) == 0)
            return &l->v[i];
    return NULL;
}

static enum err read_file(const struct rpc_env *env, struct pay_check *k, struct error *e)
{
    struct transfer_list l;
    enum err rc = transfers_list(env->transfers, &l);
    if (rc)
        return rc;
    const struct transfer_info *f = find_file(&l, k);
    if (!f || f->size > BEEF_BYTES_MAX)
        rc = error_set(e, ERR_NOTFOUND, "no file of its id was offered");
    else if (f->state == TRANSFER_DONE && f->path)
        rc = file_read_all(f->path, BEEF_BYTES_MAX, &k->beef, e);
    else if (f->state == TRANSFER_WAITING)
        rc = transfers_accept(env->transfers, k->file_id, NULL, 0, e);
    if (!rc && !k->beef.len)
        rc = error_set(e, ERR_NOTFOUND, "its file is not there yet");
    transfer_list_clear(&l);
    return rc;
}

static void name_request(struct pay_check *k, const struct pay_row *request)
{
    k->request = *request;
    k->row.has_request = true;
    memcpy(k->row.request, k->row.id, sizeof k->row.request);
    k->j.wanted = request->satoshis;
}

/* One that expired while its payment was on its way is paid all the same. False: the disk could not
 * be read. */
static bool find_expired(struct pay_check *k, struct error *e)
{
    const struct pay_key key =
        pay_row_key(PAY_REQUESTED_BY_US, k->row.contact, k->row.theirs, k->row.id);
    struct pay_row r;
    bool found;
    const enum err rc =
        pay_row_load(dchan_store_kv(channels_store(k->pt->channels)), &key, &r, &found, e);
    if (!rc && found && r.state != PAY_PAID)
        name_request(k, &r);
    return !rc;
}

static void work_check(const struct rpc_env *env, struct paychan_job *j)
{
    struct pay_check *k = (struct pay_check *)j;
    struct error e = { .code = OK };
    k->j.row = &k->row;
    k->j.parties = &k->parties;
    if (!k->row.has_request && !find_expired(k, &e)) {
        k->j.silent = true;
        log_sanitize(k->j.why, sizeof k->j.why, e.text, strlen(e.text));
        return;
    }
    k->j.credited = dchan_store_kv(channels_store(k->pt->channels));
    if (k->in_file && read_file(env, k, &e)) {
        k->j.status = PAY_PROOF_MISSING;
        return;
    }
    k->j.beef = buf_span(&k->beef);
    paytx_judge(env, &k->j);
}

/* --- the result --- */

static void start_next(struct paytx *pt);

static void end_check(struct pay_check *k)
{
    struct paytx *pt = k->pt;
    pt->checking = NULL;
    free_check(k);
    if (!pt->stopping)
        start_next(pt);
}

static void mark_paid(struct paytx *pt, const struct pay_row *r)
{
    struct pay_item *it = r->has_request ? paytx_find(pt, PAY_REQUESTED_BY_US, r->request) : NULL;
    if (it)
        paytx_drop(it); /* what the disk says of it was in the same write */
}

static void on_credited(void *ctx, enum err rc, const struct error *e)
{
    struct pay_check *k = ctx;
    if (rc) {
        LOG_LIMITED(LOG_ERROR, "payments: one that came could not be written: %s", e->text);
    } else if (!k->pt->stopping) {
        mark_paid(k->pt, &k->row);
        (void)paytx_add(k->pt, &k->row);
        paytx_tell(k->pt, LOGGED_PAYTX_RECEIVED, &k->row, "");
        answer_check(k, PAY_OK);
    }
    end_check(k);
}

static void put_beef(struct dchan_write *w, const struct pay_check *k)
{
    const struct pay_key key = pay_beef_key(&k->row);
    dchan_write_put(w, key.b, key.len, k->beef.data, k->beef.len);
}

static void put_credits(struct dchan_write *w, const struct pay_row *r)
{
    uint8_t key[PAY_CREDIT_KEY_SIZE], value[8 + PAY_ID_SIZE];
    be64_put(value, r->contact);
    memcpy(value + 8, r->id, PAY_ID_SIZE);
    for (size_t i = 0; i < r->n; i++) {
        const struct outpoint o = { r->txid, r->output[i].index };
        pay_credit_key(key, &o);
        dchan_write_put(w, key, sizeof key, value, sizeof value);
    }
}

/* One write: the payment, its outputs as credited, the request as paid. */
static void credit(struct pay_check *k)
{
    struct dchan_store *store = channels_store(k->pt->channels);
    struct dchan_write *w = dchan_write_new(store);
    k->row.state = PAY_ACCEPTED;
    k->row.ended = clock_now();
    paytx_put_row(w, &k->row);
    put_beef(w, k);
    put_credits(w, &k->row);
    if (k->row.has_request)
        paytx_put_paid(w, &k->request, &k->row);
    dchan_store_commit(store, w, on_credited, k);
}

static void refuse(struct pay_check *k)
{
    struct paytx *pt = k->pt;
    if (k->j.silent) {
        LOG_LIMITED(LOG_WARN, "payments: one waits that cannot be taken now: %s", k->j.why);
        paytx_account(pt, k->row.contact)->failures += k->j.counts;
        return;
    }
    LOG_LIMITED(LOG_INFO, "payments: one was not taken (%s): %s", pay_status_name(k->j.status),
                k->j.why);
    if (k->j.status != PAY_PROOF_MISSING) /* it is offered again until it is there */
        paytx_account(pt, k->row.contact)->failures++;
    struct chan_peer *p = paytx_peer(pt, &k->row);
    answer_check(k, k->j.status);
    if (p && k->j.status == PAY_INVALID)
        chan_peer_score(p, BAD_PAYMENT_SCORE, "a payment that is invalid");
}

static void done_check(struct channels *c, struct paychan_job *j)
{
    struct pay_check *k = (struct pay_check *)j;
    if (!c)
        return; /* paytx_free_checks has it */
    if (k->j.status == PAY_OK && !k->j.silent) {
        credit(k);
        return;
    }
    refuse(k);
    end_check(k);
}

/* --- until it is settled --- */

struct fate_job {
    struct paychan_job job; /* first */
    struct pay_item *it;
    struct pay_row row;
    struct kv *kv;
    enum pay_fate fate;
};

static void work_fate(const struct rpc_env *env, struct paychan_job *j)
{
    struct fate_job *job = (struct fate_job *)j;
    const struct pay_key key = pay_beef_key(&job->row);
    struct error e = { .code = OK };
    struct buf beef;
    bool found;
    buf_init(&beef);
    if (!kv_get(job->kv, key.b, key.len, &beef, &found, &e))
        job->fate = paytx_follow(env, &job->row, buf_span(&beef));
    buf_clear(&beef);
}

static void on_settled(void *ctx, enum err rc, const struct error *e)
{
    struct pay_item *it = ctx;
    it->busy = false;
    if (rc) { /* it is looked at again */
        LOG_LIMITED(LOG_ERROR, "payments: one could not be written: %s", e->text);
        it->row.state = PAY_ACCEPTED;
        return;
    }
    if (it->pt->stopping)
        return;
    if (it->row.state == PAY_LOST)
        paytx_tell(it->pt, LOGGED_PAYTX_FAILED, &it->row, "double spend");
    paytx_drop(it);
}

static void end_payment(struct pay_item *it, enum pay_row_state state)
{
    struct dchan_store *store = channels_store(it->pt->channels);
    struct dchan_write *w = dchan_write_new(store);
    const struct pay_key beef = pay_beef_key(&it->row);
    it->row.state = state;
    it->busy = true;
    paytx_put_row(w, &it->row);
    dchan_write_delete(w, beef.b, beef.len);
    dchan_store_commit(store, w, on_settled, it);
}

static void done_fate(struct channels *c, struct paychan_job *j)
{
    struct fate_job *job = (struct fate_job *)j;
    if (c) {
        job->it->busy = false;
        if (job->fate == PAY_FATE_LOST)
            log_warn("payments: one that was accepted is lost: a block spends its coins");
        if (job->fate != PAY_FATE_OPEN)
            end_payment(job->it, job->fate == PAY_FATE_LOST ? PAY_LOST : PAY_SETTLED);
    }
    free(job);
}

void paytx_look_after(struct pay_item *it)
{
    const int64_t now = clock_mono_ms();
    if (it->sent_ms && now - it->sent_ms < LOOK_MS + LOOK_MORE_MS * (int64_t)it->pt->n)
        return;
    struct fate_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work_fate, .done = done_fate };
    job->it = it;
    job->row = it->row;
    job->kv = dchan_store_kv(channels_store(it->pt->channels));
    it->sent_ms = now;
    it->busy = true;
    paychan_wallet_do(it->pt->jobs, &job->job);
}

/* --- the queue --- */

/* The request may have been paid since it came. */
static void start_next(struct paytx *pt)
{
    struct pay_check *k = pt->checking ? NULL : pt->checks;
    if (!k)
        return;
    pt->checks = k->next;
    pt->checking = k;
    const struct pay_item *it = paytx_find(pt, PAY_REQUESTED_BY_US, k->row.id);
    k->row.has_request = false;
    k->j.wanted = 0;
    if (it && it->row.state == PAY_OPEN)
        name_request(k, &it->row);
    k->job = (struct paychan_job){ .work = work_check, .done = done_check };
    paychan_wallet_do(pt->jobs, &k->job);
}

bool paytx_is_checked(const struct paytx *pt, const uint8_t id[PAY_ID_SIZE])
{
    bool same = pt->checking && memcmp(pt->checking->row.id, id, PAY_ID_SIZE) == 0;
    for (const struct pay_check *k = pt->checks; k && !same; k = k->next)
        same = memcmp(k->row.id, id, PAY_ID_SIZE) == 0;
    return same;
}

static bool is_queued(const struct paytx *pt, const struct pay_row *r, bool *full)
{
    size_t all = 0, own = 0;
    for (const struct pay_check *k = pt->checks; k; k = k->next) {
        all++;
        own += memcmp(k->row.theirs, r->theirs, IDENTITY_KEY_SIZE) == 0;
    }
    *full = all >= PAYTX_CHECKS_MAX || own >= PAYTX_CHECKS_OF_ONE;
    return paytx_is_checked(pt, r->id);
}

static void enqueue(struct paytx *pt, struct pay_check *k)
{
    struct pay_check **at = &pt->checks;
    while (*at)
        at = &(*at)->next;
    *at = k;
    start_next(pt);
}

/* It may have been made before one of the two changed its key. */
static void find_parties(const struct paytx *pt, const struct pay_row *row, struct pay_parties *out)
{
    const struct contact *contact = contacts_by_id(channels_contacts(pt->channels), row->contact);
    memcpy(out->theirs[out->n_theirs++], row->theirs, IDENTITY_KEY_SIZE);
    memcpy(out->ours[out->n_ours++], row->ours, IDENTITY_KEY_SIZE);
    if (!contact)
        return;
    for (size_t i = contact->n_former; i-- > 0;)
        memcpy(out->theirs[out->n_theirs++], contact->former[i], IDENTITY_KEY_SIZE);
    out->n_ours += channels_keys_before(pt->channels, row->ours, out->ours + 1,
                                        CONTACT_FORMER_MAX);
}

static struct pay_check *check_of(struct paytx *pt, const struct pay_row *row,
                                  const struct dchan_p_tx *m)
{
    struct pay_check *k = xcalloc(1, sizeof *k);
    k->pt = pt;
    k->row = *row;
    find_parties(pt, row, &k->parties);
    k->row.n = m->n;
    for (size_t i = 0; i < m->n; i++)
        k->row.output[i] = (struct pay_row_output){ m->outputs[i].vout,
                                                    pay_text_of(m->outputs[i].suffix) };
    buf_init(&k->beef);
    buf_put(&k->beef, m->beef.data, m->beef.len);
    k->in_file = m->beef.len == 0;
    memcpy(k->file_id, m->file_id, sizeof k->file_id);
    return k;
}

/* *done: it was accepted before, with this row. False: the disk could not be read. */
static bool look_for(struct paytx *pt, const struct pay_row *r, struct pay_row *old, bool *done)
{
    struct error e = { .code = OK };
    const struct pay_item *it = paytx_find_of(pt, PAY_RECEIVED, r->contact, r->id);
    *done = it && memcmp(it->row.theirs, r->theirs, sizeof r->theirs) == 0;
    if (*done)
        *old = it->row;
    return *done || !paytx_load(pt, r, old, done, &e);
}

void paytx_take_tx(struct paytx *pt, struct chan_peer *p, const struct dchan_p_tx *m)
{
    const struct pay_row r = row_of(PAY_RECEIVED, p, m->id, m->prefix);
    struct pay_row old;
    bool done, full;
    if (!look_for(pt, &r, &old, &done) || is_queued(pt, &r, &full))
        return; /* it comes again, or is answered soon */
    if (done)
        send_result(p, &old, PAY_OK);
    else if (!r.contact && !paytx_find(pt, PAY_REQUESTED_BY_US, m->id))
        send_result(p, &r, PAY_NO);
    else if (m->n == 0 || m->prefix.len == 0)
        send_result(p, &r, PAY_INVALID);
    else if (!full && paytx_account(pt, r.contact)->failures < pt->limits.failures_per_hour)
        enqueue(pt, check_of(pt, &r, m)); /* else it waits with its payer */
}

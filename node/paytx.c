#include <config.h>

#include "node/paytx_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define HOUR_MS 3600000
#define BURST UINT64_C(5)

/* --- the table --- */

struct pay_item *paytx_add(struct paytx *pt, const struct pay_row *row)
{
    struct pay_item *it = xcalloc(1, sizeof *it);
    if (pt->n == pt->cap) {
        pt->cap = 2 * pt->cap + 4;
        pt->all = xrealloc(pt->all, pt->cap * sizeof *pt->all);
    }
    paytx_note_party(pt, row);
    it->pt = pt;
    it->row = *row;
    pt->all[pt->n++] = it;
    return it;
}

void paytx_drop(struct pay_item *it)
{
    struct paytx *pt = it->pt;
    size_t n = 0;
    it->over = true;
    if (it->busy)
        return;
    for (size_t i = 0; i < pt->n; i++)
        if (pt->all[i] != it)
            pt->all[n++] = pt->all[i];
    pt->n = n;
    free(it);
}

static bool is_it(const struct pay_item *it, enum pay_row_kind kind, const uint8_t id[PAY_ID_SIZE])
{
    return it->row.kind == kind && !it->over && memcmp(it->row.id, id, PAY_ID_SIZE) == 0;
}

struct pay_item *paytx_find(struct paytx *pt, enum pay_row_kind kind,
                            const uint8_t id[PAY_ID_SIZE])
{
    for (size_t i = 0; i < pt->n; i++)
        if (is_it(pt->all[i], kind, id))
            return pt->all[i];
    return NULL;
}

struct pay_item *paytx_find_of(struct paytx *pt, enum pay_row_kind kind, uint64_t contact,
                               const uint8_t id[PAY_ID_SIZE])
{
    for (size_t i = 0; i < pt->n; i++)
        if (is_it(pt->all[i], kind, id) && pt->all[i]->row.contact == contact)
            return pt->all[i];
    return NULL;
}

/* Ids are never used again, so a row stays with its contact over any change of keys. */
static bool follows(const struct paytx *pt, struct chan_peer *p, const struct contact *contact,
                    const struct pay_row *row)
{
    struct contacts *all = channels_contacts(pt->channels);
    bool former;
    const struct contact *holder = contacts_by_key(all, row->theirs, &former);
    return (!holder || holder == contact) && /* nobody's: it was added again at another key */
           channels_key_leads_to(pt->channels, row->ours, chan_peer_identity(p)->key.pub);
}

static bool is_of(const struct chan_peer *p, const struct pay_row *row)
{
    return memcmp(chan_peer_key(p), row->theirs, IDENTITY_KEY_SIZE) == 0 &&
           memcmp(chan_peer_identity(p)->key.pub, row->ours, IDENTITY_KEY_SIZE) == 0;
}

struct chan_peer *paytx_peer(const struct paytx *pt, const struct pay_row *row)
{
    struct channels *c = pt->channels;
    struct contact *contact = contacts_by_id(channels_contacts(c), row->contact);
    struct chan_peer *p = contact ? channels_peer_of(c, contact) : channels_find(c, row->theirs);
    const bool there = p && chan_peer_is_up(p) && chan_peer_has(p, DCHAN_PAYMENTS) &&
                       (contact ? follows(pt, p, contact, row) : is_of(p, row));
    return there ? p : NULL;
}

struct pay_account *paytx_account(struct paytx *pt, uint64_t contact)
{
    const int64_t now = clock_mono_ms();
    size_t i = 0;
    while (i < pt->n_accounts && pt->accounts[i].contact != contact)
        i++;
    if (i == pt->n_accounts) {
        pt->accounts = xrealloc(pt->accounts, ++pt->n_accounts * sizeof *pt->accounts);
        pt->accounts[i] = (struct pay_account){ .contact = contact, .since_ms = now };
        ratelimit_init(&pt->accounts[i].messages, 1000 * (uint64_t)pt->limits.messages_per_s,
                       BURST * pt->limits.messages_per_s, BURST * pt->limits.messages_per_s,
                       now);
    }
    struct pay_account *a = &pt->accounts[i];
    if (now - a->since_ms >= HOUR_MS) {
        a->since_ms = now;
        a->failures = a->requests = 0;
    }
    return a;
}

/* --- writing --- */

struct writing {
    struct pay_item *it;
    paytx_written_fn done;
};

static void on_written(void *ctx, enum err rc, const struct error *e)
{
    struct writing *w = ctx;
    struct pay_item *it = w->it;
    const paytx_written_fn done = w->done;
    free(w);
    it->busy = false;
    it->unwritten = rc != OK;
    if (rc)
        LOG_LIMITED(LOG_ERROR, "payments: one could not be written: %s", e->text);
    if (!it->pt->stopping)
        done(it, rc);
}

void paytx_put_row(struct dchan_write *w, const struct pay_row *r)
{
    const struct pay_key key = pay_row_key_of(r);
    struct buf b;
    buf_init(&b);
    pay_row_write(&b, r);
    dchan_write_put(w, key.b, key.len, b.data, b.len);
    buf_clear(&b);
}

void paytx_put_paid(struct dchan_write *w, const struct pay_row *request,
                    const struct pay_row *payment)
{
    struct pay_row paid = *request;
    paid.state = PAY_PAID;
    paid.ended = payment->ended;
    paid.txid = payment->txid;
    paytx_put_row(w, &paid);
}

/* Of a payment of ours that was accepted. */
static const struct pay_item *request_of(const struct pay_item *it)
{
    const struct pay_row *r = &it->row;
    return r->kind == PAY_SENT && r->state == PAY_ACCEPTED && r->has_request
               ? paytx_find_of(it->pt, PAY_REQUESTED_OF_US, r->contact, r->request)
               : NULL;
}

void paytx_write(struct pay_item *it, paytx_written_fn done)
{
    struct dchan_store *store = channels_store(it->pt->channels);
    struct dchan_write *w = dchan_write_new(store);
    struct writing *ctx = xmalloc(sizeof *ctx);
    const struct pay_item *request = request_of(it);
    *ctx = (struct writing){ it, done };
    paytx_put_row(w, &it->row);
    if (request)
        paytx_put_paid(w, &request->row, &it->row);
    it->busy = true;
    dchan_store_commit(store, w, on_written, ctx);
}

void paytx_answer(struct pay_item *it, enum err rc, const struct error *e)
{
    struct pay_asker *asker = it->asker;
    struct pay_waiter *w = it->waiter;
    it->waiter = NULL;
    it->asker = NULL;
    if (asker && channels_is_waiting(it->pt->channels, &asker->r)) {
        *asker->out = it->row;
        channels_answer(it->pt->channels, &asker->r, rc, e);
    }
    if (w)
        paytx_end_waiter(w, rc, &it->row, e);
}

/* --- the event log --- */

void paytx_tell(struct paytx *pt, enum logged_event type, const struct pay_row *row,
                const char *text)
{
    struct event_record r = { .type = type };
    memcpy(r.v[PAYTX_EVENT_ID].id, row->id, sizeof row->id);
    memcpy(r.v[PAYTX_EVENT_KEY].key, row->theirs, sizeof row->theirs);
    r.v[PAYTX_EVENT_SATOSHIS].number = (int64_t)row->satoshis;
    if (type == LOGGED_PAYTX_REQUESTED || type == LOGGED_PAYTX_FAILED)
        log_sanitize(r.v[PAYTX_EVENT_LAST].text, EVENT_TEXT_MAX, text, strlen(text));
    else
        memcpy(r.v[PAYTX_EVENT_LAST].hash, row->txid.b, sizeof row->txid.b);
    if (!feeds_tell(pt->feeds, &r))
        log_debug(LOGC_CHANNEL, "payments: an event has found no place in the log");
}

/* --- the part --- */

/* Rows at its former key are to be found by this one. */
static void note_key(struct paytx *pt, const struct contact *contact)
{
    struct pay_row row = { .contact = contact->id };
    memcpy(row.theirs, contact->key, sizeof row.theirs);
    if (contact->n_former)
        paytx_note_party(pt, &row);
}

static void up(void *ctx, struct chan_peer *p)
{
    struct paytx *pt = ctx;
    const struct contact *contact = chan_peer_contact(p);
    struct error e = { .code = OK };
    if (contact)
        note_key(pt, contact);
    if (paytx_find_heirs(pt, &e))
        return; /* the tick sends what waits */
    for (size_t i = 0; contact && i < pt->n; i++)
        if (pt->all[i]->row.contact == contact->id) {
            pt->all[i]->sent = false;
            paytx_send(pt->all[i]);
        }
}

/* Its contact may have been removed, which ends the session, and added again. */
static bool was_of(struct chan_peer *p, const struct pay_row *row)
{
    const struct contact *contact = chan_peer_contact(p);
    return (contact && row->contact == contact->id) || is_of(p, row);
}

static void down(void *ctx, struct chan_peer *p, const struct dchan_closing *closing)
{
    struct paytx *pt = ctx;
    (void)closing;
    for (size_t i = 0; i < pt->n; i++) {
        struct pay_item *it = pt->all[i];
        if (!was_of(p, &it->row))
            continue;
        it->sent = false;
        if (it->row.state == PAY_PENDING)
            paytx_answer(it, OK, NULL);
    }
}

/* What is in no row any more, as an expired request of theirs, leaves no trace: who sends requests
 * must not fill our disk. */
static void remove_row(const struct pay_item *it)
{
    struct dchan_store *store = channels_store(it->pt->channels);
    struct dchan_write *w = dchan_write_new(store);
    const struct pay_key key = pay_row_key_of(&it->row);
    dchan_write_delete(w, key.b, key.len);
    dchan_store_commit(store, w, NULL, NULL);
}

static bool is_request(const struct pay_item *it)
{
    return it->row.kind == PAY_REQUESTED_OF_US || it->row.kind == PAY_REQUESTED_BY_US;
}

static void expire(struct pay_item *it)
{
    it->row.state = PAY_EXPIRED;
    it->row.ended = clock_now();
    if (it->row.kind == PAY_REQUESTED_BY_US) {
        paytx_write(it, paytx_ended);
        return;
    }
    remove_row(it);
    paytx_drop(it);
}

static void on_rewritten(struct pay_item *it, enum err rc)
{
    if (!rc)
        paytx_send(it);
}

/* A request whose payment is under way, made or looked at before it expired, may be paid yet. */
static bool may_be_paid(const struct pay_item *it)
{
    if (it->row.kind == PAY_REQUESTED_BY_US)
        return paytx_is_checked(it->pt, it->row.id);
    return it->row.kind == PAY_REQUESTED_OF_US &&
           paytx_find_of(it->pt, PAY_SENT, it->row.contact, it->row.id);
}

static void look_at(struct pay_item *it, int64_t now_ms)
{
    if (it->waiter && now_ms >= it->waiter->until_ms && it->row.state == PAY_PENDING)
        paytx_answer(it, OK, NULL);
    if (it->busy || may_be_paid(it))
        return;
    if (it->over)
        paytx_drop(it);
    else if (it->unwritten)
        paytx_write(it, it->row.ended ? paytx_ended : on_rewritten);
    else if (is_request(it) && it->row.expires <= clock_now())
        expire(it);
    else if (is_request(it))
        paytx_send(it); /* unless it was */
    else if (it->row.state == PAY_MAKING)
        paytx_resume(it);
    else if (it->row.kind == PAY_RECEIVED)
        paytx_look_after(it);
    else if (it->row.state == PAY_PENDING &&
             (!it->sent || now_ms - it->sent_ms >= it->retry_ms)) {
        it->sent = false;
        paytx_send(it);
    }
}

static void tick(void *ctx, uint64_t now)
{
    struct paytx *pt = ctx;
    struct error e = { .code = OK };
    (void)now;
    if (paytx_find_heirs(pt, &e))
        return;
    for (size_t i = pt->n; i-- > 0;)
        look_at(pt->all[i], clock_mono_ms());
}

static void take(void *ctx, const struct dchan_msg *m)
{
    struct chan_peer *p = ctx;
    struct paytx *pt = channels_part(chan_peer_channels(p), paytx_handlers);
    const struct contact *contact = chan_peer_contact(p);
    struct pay_account *a = paytx_account(pt, contact ? contact->id : 0);
    struct error e = { .code = OK };
    if (!ratelimit_take(&a->messages, 1, clock_mono_ms()) || paytx_find_heirs(pt, &e))
        return;
    if (m->type == DCHAN_P_REQUEST)
        paytx_take_request(pt, p, &m->p_request);
    else if (m->type == DCHAN_P_TX)
        paytx_take_tx(pt, p, &m->p_tx);
    else if (m->type == DCHAN_P_RESULT)
        paytx_take_result(pt, p, &m->p_result);
}

const struct dchan_handler paytx_handlers[1] = { { DCHAN_P_REQUEST, DCHAN_P_RESULT, take } };

/* --- life --- */

static enum err load_row(void *ctx, const struct pay_row *r, struct error *e)
{
    (void)e;
    paytx_note_party(ctx, r);
    if (r->state == PAY_OPEN || r->state == PAY_MAKING || r->state == PAY_PENDING ||
        (r->kind == PAY_RECEIVED && r->state == PAY_ACCEPTED))
        (void)paytx_add(ctx, r);
    return OK;
}

static enum err call_request(void *ctx, const struct payment_asking *in, struct pay_row *out,
                             struct error *e)
{
    struct paytx *pt = ctx;
    struct pay_asker a = { .pt = pt, .in = in, .out = out };
    return channels_ask(pt->channels, paytx_begin_request, &a.r, e);
}

static void call_pay(void *ctx, const struct payment_paying *in, payment_done_fn done,
                     void *done_ctx)
{
    struct paytx *pt = ctx;
    struct pay_waiter *w = xcalloc(1, sizeof *w);
    *w = (struct pay_waiter){ .pt = pt, .contact = xstrdup(in->contact),
                              .memo = xstrdup(in->memo), .satoshis = in->satoshis,
                              .has_request = in->has_request,
                              .until_ms = clock_mono_ms() + PAYTX_WAIT_MS, .done = done,
                              .ctx = done_ctx };
    memcpy(w->request, in->request, sizeof w->request);
    channels_post(pt->channels, paytx_begin_pay, w);
}

enum err paytx_new(struct paytx **out, struct channels *c, const char *dir,
                   const struct paytx_limits *limits, const struct rpc_env *env,
                   struct feeds *feeds, struct error *e)
{
    struct paytx *pt = xcalloc(1, sizeof *pt);
    *out = pt;
    pt->channels = c;
    pt->env = env;
    pt->feeds = feeds;
    pt->limits = *limits;
    pt->dir = xstrdup(dir);
    pt->service = (struct rpc_payment_service){ call_request, call_pay, pt };
    enum err rc = pay_rows_each(dchan_store_kv(channels_store(c)), load_row, pt, e);
    if (!rc)
        rc = paychan_wallet_new(&pt->jobs, env, c, e);
    if (!rc)
        channels_add_part(c, &(struct channel_part){
            .handlers = paytx_handlers, .n_handlers = 1,
            .features = { .offered = 1u << DCHAN_PAYMENTS },
            .up = up, .down = down, .tick = tick, .ctx = pt });
    return rc;
}

void paytx_cancel(struct paytx *pt)
{
    for (size_t i = 0; pt && i < pt->n; i++)
        paytx_answer(pt->all[i], OK, NULL);
}

void paytx_stop(struct paytx *pt)
{
    if (!pt)
        return;
    pt->stopping = true; /* the channel thread has ended */
    paychan_wallet_free(pt->jobs);
    pt->jobs = NULL;
}

void paytx_free(struct paytx *pt)
{
    if (!pt)
        return;
    for (size_t i = 0; i < pt->n; i++)
        free(pt->all[i]);
    free(pt->all);
    free(pt->accounts);
    free(pt->heirs);
    free(pt->parties);
    paytx_free_checks(pt);
    free(pt->dir);
    free(pt);
}

uint64_t paytx_memory(const struct paytx *pt)
{
    return pt ? pt->n * sizeof(struct pay_item) + pt->cap * sizeof(struct pay_item *) +
                    pt->n_accounts * sizeof *pt->accounts +
                    pt->n_heirs * sizeof *pt->heirs +
                    pt->cap_parties * sizeof *pt->parties + paytx_checks_bytes(pt)
              : 0;
}

const struct rpc_payment_service *paytx_service(struct paytx *pt) { return &pt->service; }

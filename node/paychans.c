#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/secret.h"
#include "chain/chain.h"

#define PENDING_MAX ((size_t)64 << 20) /* bytes */

/* --- the table --- */

static bool has_id(const void *item, const void *key)
{
    return memcmp(((const struct held *)item)->c.id, key, PAYCHAN_ID_SIZE) == 0;
}

static uint64_t hash_of(const struct paychans *pc, const uint8_t id[PAYCHAN_ID_SIZE])
{
    return siphash_32(&pc->key, id);
}

struct held *paychans_by_id(struct paychans *pc, const uint8_t id[PAYCHAN_ID_SIZE])
{
    return map_find(&pc->ids, hash_of(pc, id), has_id, id);
}

/* Of the first that is not below. */
size_t paychans_place(const struct paychans *pc, uint64_t number)
{
    size_t from = 0, to = pc->n;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (pc->all[middle]->number < number)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

struct held *paychans_by_number(struct paychans *pc, uint64_t number)
{
    const size_t i = paychans_place(pc, number);
    return i < pc->n && pc->all[i]->number == number ? pc->all[i] : NULL;
}

void paychans_index(struct held *h)
{
    static const uint8_t none[PAYCHAN_ID_SIZE];
    if (memcmp(h->c.id, none, sizeof none) != 0 && !paychans_by_id(h->pc, h->c.id))
        map_put(&h->pc->ids, hash_of(h->pc, h->c.id), h);
}

struct held *paychans_add(struct paychans *pc, struct held *h)
{
    if (pc->n == pc->cap) {
        pc->cap = 2 * pc->cap + 4;
        pc->all = xrealloc(pc->all, pc->cap * sizeof *pc->all);
    }
    const size_t at = paychans_place(pc, h->number);
    h->pc = pc;
    memmove(pc->all + at + 1, pc->all + at, (pc->n - at) * sizeof *pc->all);
    pc->all[at] = h;
    pc->n++;
    if (pc->next_number <= h->number)
        pc->next_number = h->number + 1;
    paychans_index(h);
    return h;
}

static size_t pending_size(size_t actions)
{
    return sizeof(struct paychan_pending) + actions * sizeof(struct paychan_action);
}

static struct paychan_pending *take_pending(struct held *h)
{
    struct paychan_pending *p = h->first;
    h->first = p->next;
    if (!h->first)
        h->last = NULL;
    h->pc->unsent -= p->pays;
    h->pc->pending_bytes -= pending_size(p->n);
    return p;
}

static void free_held(struct held *h)
{
    while (h->first)
        free(take_pending(h));
    secret_free(h->secret);
    paychans_sending_clear(h);
    free(h);
}

void paychans_ack_not_due(struct held *h)
{
    struct paychans *pc = h->pc;
    if (!h->ack_due)
        return;
    h->ack_due = false;
    pc->acks[h->ack_at] = pc->acks[--pc->n_acks];
    pc->acks[h->ack_at]->ack_at = h->ack_at;
}

static void drop(struct held *h)
{
    struct paychans *pc = h->pc;
    size_t n = 0;
    if (paychans_by_id(pc, h->c.id) == h)
        (void)map_remove(&pc->ids, hash_of(pc, h->c.id), has_id, h->c.id);
    for (size_t i = 0; i < pc->n; i++)
        if (pc->all[i] != h)
            pc->all[n++] = pc->all[i];
    pc->n = n;
    paychans_ack_not_due(h);
    paychans_end_sending(h);
    paychan_watch_remove(pc->watch, h->number);
    paychans_end_pays(h, OK);
    paychans_opened(h, ERR_CANCELLED, "the channel was given up");
    free_held(h);
}

void paychans_drop_if_new(struct held *h)
{
    if (h->c.state == PAYCHAN_NEW && !h->first)
        drop(h);
}

struct chan_peer *paychans_peer(const struct held *h)
{
    return paychans_peer_of(h->pc, h->contact, h->theirs, h->ours);
}

struct paychan_own paychans_own(const struct held *h)
{
    struct paychan_own own = { .memo = span_of(h->memo, strlen(h->memo)) };
    memcpy(own.our_identity, h->ours, sizeof own.our_identity);
    memcpy(own.their_identity, h->theirs, sizeof own.their_identity);
    return own;
}

bool paychans_is_open(const struct held *h)
{
    return h->c.role == PAYCHAN_PAYER ? h->c.state == P_OPEN : h->c.state == R_OPEN;
}

/* --- steps --- */

/* What keeps money safe is done even when it cannot be written down, and what is over ends here. */
static bool is_duty(enum paychan_do what)
{
    return what == PAYCHAN_DO_BROADCAST_CLOSE || what == PAYCHAN_DO_BROADCAST_REFUND ||
           what == PAYCHAN_DO_ALARM || what == PAYCHAN_DO_WATCH || what == PAYCHAN_DO_FORGET;
}

static void do_pending(struct held *h, const struct paychan_pending *p)
{
    for (size_t i = 0; i < p->n && !h->forgotten; i++) {
        if (!p->rc && p->entry && p->actions[i].what == PAYCHAN_DO_SERVE)
            paychans_note_paid(h, p->entry, &p->actions[i].pay, p->amount);
        if (!p->rc || is_duty(p->actions[i].what))
            paychans_do(h, &p->actions[i]);
    }
    if (!p->rc)
        paychans_tell_state(h);
}

static void answer(struct paychans *pc, const struct paychan_pending *p)
{
    struct error e;
    if (!p->r || !channels_is_waiting(pc->channels, p->r))
        return;
    if (p->rc)
        error_set(&e, p->rc, "the journal of the payment channels has failed: %s", pc->trouble);
    channels_answer(pc->channels, p->r, p->rc, &e);
}

/* In order; what an action leads to waits for its turn. */
void paychans_run(struct held *h)
{
    if (h->running)
        return;
    h->running = true;
    while (!h->forgotten && h->first && h->first->durable) {
        struct paychan_pending *p = take_pending(h);
        if (!p->rc && *h->pc->trouble)
            p->rc = ERR_IO; /* nothing to write, but it may rest on what was not written */
        if (!h->pc->stopping) {
            do_pending(h, p);
            answer(h->pc, p);
        }
        free(p);
    }
    h->running = false;
    if (h->forgotten)
        drop(h);
}

static void keep_text(struct paychan_pending *p, const struct paychan_result *out)
{
    for (size_t i = 0; i < out->n; i++) {
        struct paychan_action *a = &p->actions[i];
        const bool pays = a->what == PAYCHAN_DO_SEND_PAY || a->what == PAYCHAN_DO_SERVE;
        if (pays && a->pay.ref.len <= sizeof p->ref) {
            if (a->pay.ref.len)
                memcpy(p->ref, a->pay.ref.data, a->pay.ref.len);
            a->pay.ref.data = p->ref;
        } else if (a->what == PAYCHAN_DO_SEND_FAIL || a->what == PAYCHAN_DO_ALARM) {
            const char *text = a->fail.text ? a->fail.text : "";
            log_sanitize(p->text, sizeof p->text, text, strlen(text));
            a->fail.text = p->text;
        }
    }
}

static struct paychan_pending *keep(struct held *h, const struct paychan_result *out,
                                    struct channels_request *r)
{
    struct paychan_pending *p = xcalloc(1, pending_size(out->n));
    h->pc->pending_bytes += pending_size(out->n);
    p->h = h;
    p->r = r;
    p->n = out->n;
    if (out->n)
        memcpy(p->actions, out->actions, out->n * sizeof *p->actions);
    keep_text(p, out);
    if (h->last)
        h->last->next = p;
    else
        h->first = p;
    h->last = p;
    return p;
}

static bool says(const struct paychan_result *out, enum paychan_do what)
{
    for (size_t i = 0; i < out->n; i++)
        if (out->actions[i].what == what)
            return true;
    return false;
}

/* Of a payment that was taken. What a payee had before its data were lost was served and told then;
 * the contact's account, and the event log, may have survived. */
static uint64_t new_amount(struct held *h, const struct paychan *before)
{
    if (!before->regained)
        return h->c.paid - before->paid;
    h->served_paid = h->c.paid;
    return 0;
}

static bool has_older_session(const struct held *h)
{
    const struct chan_peer *p = paychans_peer(h);
    return p && chan_peer_has_older(p);
}

enum err paychans_try(struct held *h, struct paychan_event *ev, struct channels_request *r,
                      struct error *e)
{
    struct paychans *pc = h->pc;
    struct paychan_result out;
    if (h->forgetting)
        return error_set(e, ERR_NOTFOUND, "the channel has been given up");
    ev->view = pc->view;
    ev->view.now = (uint64_t)clock_now();
    ev->view.older = (h->c.moves || ev->kind == PAYCHAN_EV_UP) && has_older_session(h);
    ev->policy = &pc->config.policy;
    ev->secret = h->secret;
    const struct paychan before = { .paid = h->c.paid, .regained = h->c.regained };
    paychan_step(&h->c, ev, &out);
    if (out.refused)
        return error_set(e, out.refused, "%s", out.text);
    if (!out.n && !r && out.record == PAYCHAN_KEEP)
        return OK;
    if (h->c.unsigned_yet)
        h->safe.n = 0; /* it was for another funding */
    paychans_index(h);
    h->forgetting = says(&out, PAYCHAN_DO_FORGET);
    struct paychan_pending *p = keep(h, &out, r);
    p->durable = out.record == PAYCHAN_KEEP;
    p->pays = !p->durable && says(&out, PAYCHAN_DO_SEND_PAY);
    pc->unsent += p->pays;
    p->amount = says(&out, PAYCHAN_DO_SERVE) ? new_amount(h, &before) : 0;
    p->entry = p->amount ? pc->next_entry++ : 0; /* 0: signed again for another funding */
    if (!p->durable)
        paychans_write(h, out.record, p);
    else
        paychans_run(h);
    return OK;
}

void paychans_give(struct held *h, struct paychan_event *ev, struct channels_request *r)
{
    struct channels *c = h->pc->channels;
    struct error e = { .code = OK };
    const enum err rc = paychans_try(h, ev, r, &e);
    if (rc && r)
        channels_answer(c, r, rc, &e);
}

void paychans_alarm(struct held *h, const char *text)
{
    if (strcmp(h->alarm, text) == 0)
        return;
    log_sanitize(h->alarm, sizeof h->alarm, text, strlen(text));
    log_warn("payment channel %llu: %s", (unsigned long long)h->number, h->alarm);
    paychans_tell_alarm(h, h->alarm);
}

void paychans_send_acks(struct paychans *pc)
{
    while (pc->n_acks)
        paychans_send_ack(pc->acks[pc->n_acks - 1]);
}

/* --- the chain and time --- */

static void look_at_tip(struct paychans *pc)
{
    struct chain_tip tip;
    chain_get_tip(pc->env->chain, &tip);
    pc->view = (struct paychan_view){
        .tip = tip.height > 0 ? (uint32_t)tip.height : 0,
        .tip_time = tip.time,
        .now = (uint64_t)clock_now(),
        .synced = !chain_is_initial_download(pc->env->chain),
    };
}

/* While the wallet works at it, or is waited for, time says nothing new. */
static bool hears_of_time(const struct held *h)
{
    if (!h->started)
        return false;
    if (h->c.role != PAYCHAN_PAYER)
        return true;
    return !h->funding && (h->secret || (h->c.state != P_ACCEPTED && h->c.state != P_EXPIRED));
}

static void tell_all_of_tip(struct paychans *pc)
{
    look_at_tip(pc);
    for (size_t i = pc->n; i-- > 0;)
        if (hears_of_time(pc->all[i]))
            paychans_give(pc->all[i], &(struct paychan_event){ .kind = PAYCHAN_EV_TIP }, NULL);
    for (size_t i = pc->n; i-- > 0;)
        paychans_look_after(pc->all[i]);
    paychans_kept_tip(pc);
}

static void on_tip(struct channels *c, void *ctx)
{
    struct paychans *pc = ctx;
    if (c && !pc->stopping)
        tell_all_of_tip(pc);
}

void paychans_tip_changed(struct paychans *pc)
{
    if (!pc)
        return;
    paychan_watch_kick(pc->watch);
    channels_post(pc->channels, on_tip, pc);
}

struct sighted {
    struct paychans *pc;
    uint64_t number;
    struct paychan_sight sight;
};

/* Blocks are missing, or nobody has the transaction: for the payer it is still on its way. A payee
 * that takes payments on it does so while a block or the mempool has it (spec channels 8.5). */
static enum paychan_funding funding_of(const struct held *h, const struct paychan_sight *s)
{
    const bool relied_on = h->c.role == PAYCHAN_PAYEE &&
                           (h->c.funded == PAYCHAN_CONFIRMED || h->c.state == R_OPEN);
    if (s->place == PAYCHAN_IN_CHAIN)
        return PAYCHAN_CONFIRMED;
    if (s->place == PAYCHAN_IN_POOL)
        return PAYCHAN_UNCONFIRMED;
    return relied_on ? PAYCHAN_REPLACED : h->c.funded;
}

static void take_sight(struct held *h, const struct paychan_sight *s)
{
    struct paychan_event funding = { .kind = PAYCHAN_EV_FUNDING };
    struct paychan_event spend = { .kind = PAYCHAN_EV_SPEND };
    paychans_note_sight(h, s);
    if (s->place == PAYCHAN_UNSEEN) {
        paychans_alarm(h, "blocks that would tell of the channel are not stored "
                          "(pruned), or cannot be read");
        return;
    }
    funding.funding.funded = funding_of(h, s);
    funding.funding.height = s->height ? s->height : h->c.funding_height;
    spend.tx.tx = s->spend;
    spend.tx.height = s->spend_height;
    const uint64_t number = h->number;
    struct paychans *pc = h->pc;
    look_at_tip(pc); /* the block that tells of it may be newer than what is known here */
    paychans_note_spend(h, s);
    paychans_give(h, &funding, NULL);
    if ((h = paychans_by_number(pc, number)))
        paychans_give(h, &spend, NULL);
}

static void on_sight(struct channels *c, void *ctx)
{
    struct sighted *s = ctx;
    struct held *h = c && !s->pc->stopping ? paychans_by_number(s->pc, s->number) : NULL;
    if (h)
        take_sight(h, &s->sight);
    else if (c && !s->pc->stopping)
        (void)paychans_kept_sight(s->pc, s->number, &s->sight);
    tx_unref(s->sight.spend);
    free(s);
}

static void see(void *ctx, uint64_t number, const struct paychan_sight *s)
{
    struct paychans *pc = ctx;
    struct sighted *seen = xmalloc(sizeof *seen);
    *seen = (struct sighted){ pc, number, *s };
    channels_post(pc->channels, on_sight, seen);
}

/* --- the part --- */

static void up(void *ctx, struct chan_peer *p)
{
    struct paychans *pc = ctx;
    if (chan_peer_contact(p))
        paychans_help_up(pc, p);
    if (!chan_peer_has(p, DCHAN_PAYMENTS) || *pc->trouble)
        return;
    if (chan_peer_contact(p))
        paychans_adopt(pc, p);
    for (size_t i = pc->n; i-- > 0;)
        if (paychans_peer(pc->all[i]) == p)
            paychans_give(pc->all[i], &(struct paychan_event){ .kind = PAYCHAN_EV_UP }, NULL);
}

static bool has_pays(const struct held *h) { return h->waits.first || h->queued.first; }

static void down(void *ctx, struct chan_peer *p, const struct dchan_closing *closing)
{
    struct paychans *pc = ctx;
    (void)closing;
    for (size_t i = 0; i < pc->n; i++)
        if (has_pays(pc->all[i]) && paychans_peer(pc->all[i]) == p)
            paychans_end_pays(pc->all[i], OK);
}

static void tick(void *ctx, uint64_t now_ms)
{
    struct paychans *pc = ctx;
    (void)now_ms;
    for (size_t i = 0; i < pc->n; i++) {
        paychans_ask_for_keys(pc->all[i]);
        paychans_seek(pc->all[i]);
    }
    tell_all_of_tip(pc);
    paychans_help_tick(pc);
    paychans_export_if_due(pc);
    paychans_tell_paid(pc);
    paychans_end_late_pays(pc);
    paychans_pay_queued(pc);
    paychans_compact_if_due(pc);
}

/* --- life --- */

enum err paychans_new(struct paychans **out, struct channels *c,
                      const struct paychans_config *config, const struct rpc_env *env,
                      struct feeds *feeds, struct relay *relay, struct error *e)
{
    struct paychans *pc = xcalloc(1, sizeof *pc);
    *out = pc;
    pc->channels = c;
    pc->env = env;
    pc->feeds = feeds;
    pc->relay = relay;
    pc->config = *config;
    pc->dir = xstrdup(config->dir);
    pc->helper = config->helper ? xstrdup(config->helper) : NULL;
    pc->export_path = config->export_path ? xstrdup(config->export_path) : NULL;
    pc->next_number = 1;
    map_init(&pc->ids);
    rand_bytes(&pc->key, sizeof pc->key);
    paychans_fill_service(pc);
    enum err rc = paychans_load(pc, e);
    if (!rc)
        rc = paychans_kept_load(pc, e);
    if (rc)
        return error_prefix(e, rc, "payment channels");
    rc = paychan_wallet_new(&pc->wallet, env, c, e);
    if (!rc)
        rc = paychan_endpoints_new(&pc->endpoints, config->nodes, config->n_nodes, e);
    if (!rc)
        rc = paychan_watch_new(&pc->watch, env->chain, see, pc, e);
    if (!rc)
        channels_add_part(c, &(struct channel_part){
            .handlers = paychans_handlers, .n_handlers = 1,
            .features = { .offered = 1u << DCHAN_PAYMENTS },
            .up = up, .down = down, .tick = tick, .ctx = pc });
    return rc;
}

static void on_start(struct channels *c, void *ctx)
{
    struct paychans *pc = ctx;
    if (!c)
        return;
    look_at_tip(pc);
    for (size_t i = pc->n; i-- > 0;) {
        pc->all[i]->told_state = pc->all[i]->c.state;
        pc->all[i]->served_paid = pc->all[i]->c.paid;
        paychans_ask_for_keys(pc->all[i]);
    }
}

enum err paychans_start(struct paychans *pc, struct error *e)
{
    (void)e;
    channels_post(pc->channels, on_start, pc);
    paychans_listen_to_peers(pc);
    return OK;
}

void paychans_stop(struct paychans *pc)
{
    if (!pc)
        return;
    pc->stopping = true; /* the channel thread has ended */
    paychan_endpoints_free(pc->endpoints);
    pc->endpoints = NULL;
    paychan_watch_free(pc->watch);
    pc->watch = NULL;
    paychan_wallet_free(pc->wallet);
    pc->wallet = NULL;
    journal_close(pc->journal);
    pc->journal = NULL;
}

void paychans_free(struct paychans *pc)
{
    if (!pc)
        return;
    for (size_t i = 0; i < pc->n; i++)
        free_held(pc->all[i]);
    free(pc->all);
    map_clear(&pc->ids);
    free(pc->opens);
    free(pc->acks);
    free(pc->untold);
    free(pc->helper);
    free(pc->export_path);
    free(pc->over);
    paychans_kept_free(pc->kept);
    free(pc->gone);
    free(pc->dir);
    free(pc);
}

bool paychans_is_behind(const struct paychans *pc) { return pc->pending_bytes > PENDING_MAX; }

uint64_t paychans_memory(const struct paychans *pc)
{
    if (!pc)
        return 0;
    return pc->n * sizeof(struct held) + map_bytes(&pc->ids) + pc->pending_bytes +
           (pc->journal ? journal_waiting(pc->journal) : 0) + pc->n_opens * sizeof *pc->opens +
           (pc->cap + pc->acks_cap) * sizeof(struct held *) + paychans_pays_bytes(pc) +
           pc->untold_cap * sizeof *pc->untold + paychans_kept_bytes(pc->kept);
}

const struct rpc_pay_service *paychans_service(struct paychans *pc) { return &pc->service; }

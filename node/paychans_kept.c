/*
 * States of channels that contacts have given us to keep (spec channels 8.8). Of a payee we have a
 * close that it has signed: it goes to the network when the expiry is near, or when anything else
 * spends the funding. Everything is given back to whom it is of, when asked.
 *
 * In the database of direct channels: 'h' | contact 8 big-endian | id 32 -> height of the funding
 * 4 little-endian, then the body as it came (wallet/paychan_help.h). A message is acknowledged when
 * its row is synced. What is given first is kept when the funding is in our chain, unspent: to look
 * for one that never was would mean to read weeks of blocks.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "p2p/messages.h"
#include "wallet/paychan_help.h"

#define KEY_PREFIX 'h'
#define KEY_SIZE (1 + 8 + PAYCHAN_ID_SIZE)
#define ALL_MAX 4096        /* of all contacts */
#define LOOKING_MAX 64      /* at the chain, for new ones */
#define LOOKING_OF_ONE 8    /* the same for one contact, so that none keeps it from the others */
#define KEPT_BIT (UINT64_C(1) << 40) /* of numbers for the watch and for orders of the relay */

struct kept {
    uint64_t contact, number;
    struct paychan_help help; /* its tx lies in body */
    struct buf body;
    struct paychan c;         /* terms and funding */
    struct tx *close;         /* of a payee; NULL */
    uint32_t height;          /* of the funding */
    bool watched;
    bool threatened;          /* something else spends the funding */
    bool sent;
    uint32_t spend_height;
};

struct paychans_kept {
    struct kept **all;
    size_t n, cap;
    uint64_t next_number;
    uint32_t tip;             /* of the last look */
    unsigned looking;
};

/* --- the table --- */

static void free_kept(struct kept *k)
{
    buf_clear(&k->body);
    tx_unref(k->close);
    free(k);
}

void paychans_kept_free(struct paychans_kept *all)
{
    for (size_t i = 0; all && i < all->n; i++)
        free_kept(all->all[i]);
    if (all)
        free(all->all);
    free(all);
}

size_t paychans_kept_bytes(const struct paychans_kept *all)
{
    return all->n * (sizeof(struct kept) + PAYCHAN_HELP_TX_MAX) + all->cap * sizeof *all->all;
}

static struct kept *find(const struct paychans_kept *all, uint64_t contact, const uint8_t *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->all[i]->contact == contact &&
            memcmp(all->all[i]->help.id, id, PAYCHAN_ID_SIZE) == 0)
            return all->all[i];
    return NULL;
}

static size_t count_of(const struct paychans_kept *all, uint64_t contact)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++)
        n += all->all[i]->contact == contact;
    return n;
}

static bool has_room(const struct paychans *pc, const struct kept *k)
{
    return find(pc->kept, k->contact, k->help.id) ||
           (count_of(pc->kept, k->contact) < pc->config.kept_max && pc->kept->n < ALL_MAX);
}

/* NULL: it is not sound. */
static struct kept *parse(uint64_t contact, struct span body, struct error *e)
{
    struct kept *k = xcalloc(1, sizeof *k);
    k->contact = contact;
    buf_init(&k->body);
    buf_put(&k->body, body.data, body.len);
    if (!paychan_get_help(&k->help, buf_span(&k->body), e) &&
        !paychan_check_help(&k->help, &k->c, &k->close, e))
        return k;
    free_kept(k);
    return NULL;
}

static void watch(struct paychans *pc, struct kept *k)
{
    if (!pc->watch || k->watched)
        return;
    k->watched = true;
    paychan_watch_add(pc->watch, k->number, &k->c.funding, k->height);
}

static void add(struct paychans *pc, struct kept *k)
{
    struct paychans_kept *all = pc->kept;
    if (all->n == all->cap) {
        all->cap = 2 * all->cap + 4;
        all->all = xrealloc(all->all, all->cap * sizeof *all->all);
    }
    k->number = KEPT_BIT | all->next_number++;
    all->all[all->n++] = k;
}

/* --- on disk --- */

static void make_key(uint8_t key[KEY_SIZE], const struct kept *k)
{
    key[0] = KEY_PREFIX;
    be64_put(key + 1, k->contact);
    memcpy(key + 9, k->help.id, PAYCHAN_ID_SIZE);
}

enum err paychans_kept_load(struct paychans *pc, struct error *e)
{
    const uint8_t prefix = KEY_PREFIX;
    struct kv_iter *it = kv_iter_new(dchan_store_kv(channels_store(pc->channels)));
    pc->kept = xcalloc(1, sizeof *pc->kept);
    for (kv_iter_seek(it, &prefix, 1); kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        struct error why = { .code = OK };
        if (key.len != KEY_SIZE || key.data[0] != KEY_PREFIX)
            break;
        const struct span value = kv_iter_value(it);
        struct kept *k = value.len > 4 ? parse(be64_get(key.data + 1),
                                               span_of(value.data + 4, value.len - 4), &why)
                                       : NULL;
        if (k)
            k->height = le32_get(value.data);
        if (k)
            add(pc, k);
        else
            log_warn("payment channels: what a contact gave to keep is damaged: %s", why.text);
    }
    const enum err rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

struct storing {
    struct paychans *pc;
    uint64_t contact;
    uint8_t id[MESSAGE_ID_SIZE];
};

static void answer(struct chan_peer *p, uint16_t type, const uint8_t id[MESSAGE_ID_SIZE],
                   uint16_t code)
{
    struct dchan_msg m = { .type = type };
    m.m_receipt.code = code;
    memcpy(m.m_receipt.id, id, MESSAGE_ID_SIZE);
    if (chan_peer_send(p, &m))
        log_debug(LOGC_CHANNEL, "payment channels: a receipt was not sent");
}

static void on_stored(void *ctx, enum err rc, const struct error *e)
{
    struct storing *s = ctx;
    struct paychans *pc = s->pc;
    struct contact *contact =
        pc->stopping ? NULL : contacts_by_id(channels_contacts(pc->channels), s->contact);
    struct chan_peer *p = contact ? channels_peer_of(pc->channels, contact) : NULL;
    if (rc)
        log_warn("payment channels: a state for a contact is not kept: %s", e ? e->text : "");
    if (p && chan_peer_is_up(p))
        answer(p, rc ? DCHAN_M_NACK : DCHAN_M_ACK, s->id, rc ? MESSAGE_NACK_BUSY : 0);
    free(s);
}

static void store(struct paychans *pc, const struct kept *k, const uint8_t id[MESSAGE_ID_SIZE])
{
    struct buf value;
    struct dchan_write *w = dchan_write_new(channels_store(pc->channels));
    struct storing *s = xcalloc(1, sizeof *s);
    uint8_t key[KEY_SIZE];
    make_key(key, k);
    buf_init(&value);
    buf_put_le32(&value, k->height);
    buf_put(&value, k->body.data, k->body.len);
    dchan_write_put(w, key, sizeof key, value.data, value.len);
    buf_clear(&value);
    *s = (struct storing){ .pc = pc, .contact = k->contact };
    memcpy(s->id, id, sizeof s->id);
    dchan_store_commit(channels_store(pc->channels), w, on_stored, s);
}

static void drop(struct paychans *pc, size_t at)
{
    struct paychans_kept *all = pc->kept;
    struct kept *k = all->all[at];
    struct dchan_write *w = dchan_write_new(channels_store(pc->channels));
    uint8_t key[KEY_SIZE];
    make_key(key, k);
    dchan_write_delete(w, key, sizeof key);
    dchan_store_commit(channels_store(pc->channels), w, NULL, NULL);
    paychan_watch_remove(pc->watch, k->number);
    all->all[at] = all->all[--all->n];
    free_kept(k);
}

/* --- closing for a contact --- */

/* The chain thread. */
static void on_judged(void *ctx, const struct tx_result *r)
{
    (void)ctx;
    log_debug(LOGC_CHANNEL, "payment channels: a close for a contact: outcome %d",
              (int)r->outcome);
}

static void broadcast(struct paychans *pc, struct kept *k)
{
    const struct tx_submission s = { .tx = k->close, .allow_high_fee = true };
    if (!k->sent)
        log_info("payment channels: closing one for a contact, %s",
                 k->threatened ? "which something else spends" : "as its expiry is near");
    k->sent = true;
    if (!chain_submit_tx_later(pc->env->chain, &s, on_judged, NULL))
        log_debug(LOGC_CHANNEL, "payment channels: the node stops");
    paychans_push_tx(pc, k->close, k->number, false);
}

static void see_to(struct paychans *pc, struct kept *k)
{
    const bool late = (uint64_t)pc->view.tip + pc->config.policy.close_margin >= k->c.terms.expiry;
    watch(pc, k);
    if (k->close && !k->spend_height && pc->view.synced && (late || k->threatened))
        broadcast(pc, k);
}

/* Spent for good, or never funded. */
static bool is_over(const struct paychans *pc, const struct kept *k)
{
    const uint64_t tip = pc->view.tip;
    return (k->spend_height && tip >= (uint64_t)k->spend_height + PAYCHAN_DEPTH_KEPT) ||
           (!k->spend_height && tip > (uint64_t)k->c.terms.expiry + PAYCHAN_LIFE_MAX);
}

void paychans_kept_tip(struct paychans *pc)
{
    struct paychans_kept *all = pc->kept;
    if (all->tip == pc->view.tip)
        return;
    all->tip = pc->view.tip;
    for (size_t i = all->n; i-- > 0;) {
        if (is_over(pc, all->all[i]))
            drop(pc, i);
        else
            see_to(pc, all->all[i]);
    }
}

bool paychans_kept_sight(struct paychans *pc, uint64_t number, const struct paychan_sight *s)
{
    if (!(number & KEPT_BIT))
        return false;
    for (size_t i = 0; i < pc->kept->n; i++) {
        struct kept *k = pc->kept->all[i];
        struct paychan_close close;
        if (k->number != number)
            continue;
        k->spend_height = s->spend_height;
        k->threatened = s->spend &&
                        !paychan_read_close(s->spend, &k->c.terms, &k->c.funding, &close);
        if (s->spend_height)
            paychans_push_tx(pc, NULL, k->number, false);
        see_to(pc, k);
    }
    return true;
}

/* --- messages --- */

/* In the place of an older one, or as another one. */
static void place(struct paychans *pc, struct kept *k)
{
    struct paychans_kept *all = pc->kept;
    struct kept *old = find(all, k->contact, k->help.id);
    if (!old) {
        add(pc, k);
        return;
    }
    for (size_t i = 0; i < all->n; i++)
        if (all->all[i] == old)
            all->all[i] = k;
    k->number = old->number;
    k->watched = old->watched && outpoint_equal(&k->c.funding, &old->c.funding);
    k->spend_height = k->watched ? old->spend_height : 0;
    k->threatened = k->watched && old->threatened;
    k->sent = k->watched && old->sent;
    free_kept(old);
}

/* One that is no newer is on disk, or will be before this is answered. */
static void keep(struct paychans *pc, struct kept *k, const uint8_t id[MESSAGE_ID_SIZE])
{
    struct kept *old = find(pc->kept, k->contact, k->help.id);
    if (old && k->help.n <= old->help.n) {
        store(pc, old, id);
        free_kept(k);
        return;
    }
    place(pc, k);
    store(pc, k, id);
    see_to(pc, k);
}

struct look_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    struct kept *k;
    uint8_t id[MESSAGE_ID_SIZE];
    bool found;
};

static void work_look(const struct rpc_env *env, struct paychan_job *j)
{
    struct look_job *job = (struct look_job *)j;
    struct kept *k = job->k;
    if (paychan_output_find(env, &k->c.terms, &k->c.funding, &job->found, &k->height))
        job->found = false;
}

static void done_look(struct channels *c, struct paychan_job *j)
{
    struct look_job *job = (struct look_job *)j;
    struct paychans *pc = job->pc;
    struct contact *contact = c ? contacts_by_id(channels_contacts(c), job->k->contact) : NULL;
    struct chan_peer *p = contact ? channels_peer_of(c, contact) : NULL;
    struct opens *o = c ? paychans_opens_of(pc, job->k->contact) : NULL;
    if (c)
        pc->kept->looking--;
    if (o)
        o->looking--;
    if (contact && job->found && has_room(pc, job->k)) {
        keep(pc, job->k, job->id);
    } else {
        if (p && chan_peer_is_up(p)) /* our chain may know of it soon */
            answer(p, DCHAN_M_NACK, job->id, MESSAGE_NACK_BUSY);
        free_kept(job->k);
    }
    free(job);
}

static void look_first(struct paychans *pc, struct opens *o, struct kept *k,
                       const uint8_t id[MESSAGE_ID_SIZE])
{
    struct look_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work_look, .done = done_look };
    job->pc = pc;
    job->k = k;
    memcpy(job->id, id, sizeof job->id);
    pc->kept->looking++;
    o->looking++;
    paychan_wallet_do(pc->wallet, &job->job);
}

static void take_state(struct paychans *pc, struct chan_peer *p, const struct dchan_m_send *m,
                       struct opens *o, struct kept *k)
{
    const struct kept *old = find(pc->kept, k->contact, k->help.id);
    uint16_t code = 0;
    if (!has_room(pc, k))
        code = pc->config.kept_max ? MESSAGE_NACK_FULL : MESSAGE_NACK_REFUSED;
    else if (pc->kept->looking >= LOOKING_MAX || o->looking >= LOOKING_OF_ONE)
        code = MESSAGE_NACK_BUSY;
    if (code) {
        answer(p, DCHAN_M_NACK, m->id, code);
        free_kept(k);
    } else if (old && outpoint_equal(&old->c.funding, &k->c.funding)) {
        k->height = old->height;
        keep(pc, k, m->id);
    } else {
        look_first(pc, o, k, m->id);
    }
}

static void give_back(struct paychans *pc, struct chan_peer *p, const struct dchan_m_send *m,
                      const struct paychan_help *asked)
{
    const struct kept *k = find(pc->kept, chan_peer_contact(p)->id, asked->id);
    answer(p, k ? DCHAN_M_ACK : DCHAN_M_NACK, m->id, k ? 0 : MESSAGE_NACK_REFUSED);
    uint8_t id[MESSAGE_ID_SIZE];
    if (k)
        (void)paychans_say_help(p, &k->help, id); /* asked for again in the next session */
}

void paychans_take_help(void *ctx, struct chan_peer *p, const struct dchan_m_send *m)
{
    struct paychans *pc = ctx;
    struct error e = { .code = OK };
    struct paychan_help help;
    struct kept *k = NULL;
    struct opens *o = paychans_opens_of(pc, chan_peer_contact(p)->id);
    if (!o || !ratelimit_take(&o->kept, 1, clock_mono_ms()))
        answer(p, DCHAN_M_NACK, m->id, MESSAGE_NACK_BUSY);
    else if (paychan_get_help(&help, m->body, &e))
        answer(p, DCHAN_M_NACK, m->id, MESSAGE_NACK_REFUSED);
    else if (paychans_take_kept(pc, p, &help))
        answer(p, DCHAN_M_ACK, m->id, 0);
    else if (paychan_help_asks(&help))
        give_back(pc, p, m, &help);
    else if ((k = parse(chan_peer_contact(p)->id, m->body, &e)))
        take_state(pc, p, m, o, k);
    else
        answer(p, DCHAN_M_NACK, m->id, MESSAGE_NACK_REFUSED);
    if (e.code)
        log_debug(LOGC_CHANNEL, "payment channels: not kept for a contact: %s", e.text);
}

/* --- listing --- */

struct listing {
    struct paychans *pc;
    struct pay_kept_list *out;
};

static void list(struct channels *c, void *ctx)
{
    const struct listing *l = ctx;
    const struct paychans_kept *all = l->pc->kept;
    l->out->n = all->n;
    l->out->v = xcalloc(all->n + 1, sizeof *l->out->v);
    for (size_t i = 0; i < all->n; i++) {
        const struct kept *k = all->all[i];
        const struct contact *contact = contacts_by_id(channels_contacts(c), k->contact);
        struct pay_kept *out = &l->out->v[i];
        *out = (struct pay_kept){ .payer = k->c.role == PAYCHAN_PAYER, .n = k->help.n,
                                  .paid = k->help.paid, .expiry = k->c.terms.expiry,
                                  .funding = k->c.funding, .closing = k->sent,
                                  .spend_height = k->spend_height };
        memcpy(out->id, k->help.id, sizeof out->id);
        (void)snprintf(out->contact, sizeof out->contact, "%s", contact ? contact->alias : "");
    }
}

enum err paychans_list_kept(void *ctx, struct pay_kept_list *out, struct error *e)
{
    struct listing l = { ctx, out };
    *out = (struct pay_kept_list){ .v = NULL };
    if (!channels_call(l.pc->channels, list, &l))
        return error_set(e, ERR_CANCELLED, "direct channels have stopped");
    return OK;
}

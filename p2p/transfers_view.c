/* What people see of transfers and do to them: calls from other threads. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"

/* --- listing --- */

static void source_name(const struct transfers *t, uint64_t contact_id,
                        struct transfer_source_info *out)
{
    const struct contact *c = contacts_by_id(channels_contacts(t->channels), contact_id);
    if (!c)
        return;
    snprintf(out->name, sizeof out->name, "%s", c->alias);
    memcpy(out->key, c->key, sizeof out->key);
}

static unsigned banned_or_lost(const struct source *s) { return s->banned || s->untold; }

static void put_source(const struct transfers *t, const struct incoming *in,
                       const struct source *s, struct transfer_source_info *out)
{
    memcpy(out->key, s->key, sizeof out->key);
    source_name(t, s->contact_id, out);
    out->up = s->peer != NULL;
    out->accepted = s->accepted && !banned_or_lost(s);
    out->banned = s->banned;
    out->bad = s->bad;
    out->streams = s->streams;
    out->bytes = s->got.bytes;
    out->rate = s->got.rate;
    out->price = s->price;
    out->cost = purchase_cost(in, s);
    out->charged = s->spending.bill.charged;
    out->paid = s->spending.bill.paid;
}

static void incoming_info(const struct transfers *t, const struct incoming *in,
                          struct transfer_info *out)
{
    *out = (struct transfer_info){
        .state = in->save_due ? TRANSFER_RUNNING : in->state, .pause = in->pause,
        .code = in->code, .size = in->size,
        .done = in->state == TRANSFER_DONE ? in->size : in->good, .transferred = in->transferred,
        .rate = in->state == TRANSFER_RUNNING ? in->got.rate : 0, .created_ms = in->created_ms,
    };
    memcpy(out->id, in->id, sizeof out->id);
    log_sanitize(out->name, sizeof out->name, in->name.data, in->name.len);
    log_sanitize(out->content_type, sizeof out->content_type, in->content_type.data,
                 in->content_type.len);
    log_sanitize(out->note, sizeof out->note, in->note.data, in->note.len);
    snprintf(out->error, sizeof out->error, "%s", in->error);
    out->max = in->max;
    out->spent = in->spent;
    if (in->state == TRANSFER_DONE && !in->save_due)
        out->path = in->saved ? xstrdup(in->saved) : disk_path(t, in->id, false);
    out->sources = xcalloc(MAX_OF(in->sources.n, (size_t)1), sizeof *out->sources);
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l))
        put_source(t, in, LIST_ITEM(l, struct source, link), &out->sources[out->n_sources++]);
}

static void outgoing_info(struct transfers *t, const struct outgoing *o, struct transfer_info *out)
{
    *out = (struct transfer_info){
        .sending = true, .state = o->state, .code = o->code, .size = o->mark.size,
        .done = o->state == TRANSFER_DONE ? o->mark.size : o->done, .transferred = o->sent.bytes,
        .rate = o->state == TRANSFER_RUNNING ? o->sent.rate : 0, .created_ms = o->created_ms,
        .path = xstrdup(o->path), .n_sources = 1,
    };
    memcpy(out->id, o->id, sizeof out->id);
    snprintf(out->name, sizeof out->name, "%s", o->name);
    out->sources = xcalloc(1, sizeof *out->sources);
    struct transfer_source_info *to = out->sources;
    source_name(t, o->contact_id, to);
    to->up = transfers_peer_of(t, o->contact_id) != NULL;
    to->accepted = o->state == TRANSFER_RUNNING || o->state == TRANSFER_DONE;
    to->streams = o->streams;
    to->bytes = o->sent.bytes;
    to->rate = out->rate;
    to->price = o->price;
    to->cost = bill_cost(o->price, o->mark.size);
    to->charged = o->bill.charged;
    to->paid = o->bill.paid;
    if (o->state == TRANSFER_RUNNING && !to->up)
        out->pause = TRANSFER_NO_SOURCE;
}

struct listing {
    struct transfers *t;
    struct transfer_list *out;
};

static int by_age(const void *a, const void *b)
{
    const struct transfer_info *x = a, *y = b;
    return x->created_ms < y->created_ms ? -1 : x->created_ms > y->created_ms;
}

static void list_all(struct channels *c, void *ctx)
{
    const struct listing *l = ctx;
    struct transfers *t = l->t;
    struct transfer_list *out = l->out;
    (void)c;
    out->v = xcalloc(t->outgoing.n + t->incoming.n + 1, sizeof *out->v);
    for (struct list_link *k = list_first(&t->outgoing); k; k = list_next(&t->outgoing, k)) {
        const struct outgoing *o = LIST_ITEM(k, struct outgoing, link);
        if (!o->untold) /* gone for the user */
            outgoing_info(t, o, &out->v[out->n++]);
    }
    for (struct list_link *k = list_first(&t->incoming); k; k = list_next(&t->incoming, k))
        incoming_info(t, LIST_ITEM(k, struct incoming, link), &out->v[out->n++]);
    qsort(out->v, out->n, sizeof *out->v, by_age);
}

enum err transfers_list(struct transfers *t, struct transfer_list *out)
{
    struct listing l = { t, out };
    *out = (struct transfer_list){ .n = 0 };
    return channels_call(t->channels, list_all, &l) ? OK : ERR_CANCELLED;
}

void transfer_list_clear(struct transfer_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].path);
        free(l->v[i].sources);
    }
    free(l->v);
}

const char *transfer_state_name(const struct transfer_info *i)
{
    static const char *const states[TRANSFER_STATES] = {
        "waiting", "running", "done", "refused", "cancelled", "changed", "failed"
    };
    static const char *const pauses[] = {
        "running", "queued", "no space", "disk error", "no source"
    };
    if (i->sending && i->pause == TRANSFER_NO_SOURCE)
        return "away";
    return i->state == TRANSFER_RUNNING ? pauses[i->pause] : states[i->state];
}

/* --- accepting and ending --- */

struct id_request {
    struct channels_request request; /* first */
    struct transfers *t;
    const uint8_t *id;
    const char *directory;
    uint64_t max;
};

static void answer(struct id_request *q, enum err rc, const char *text)
{
    struct error e = { .code = OK };
    if (rc)
        error_set(&e, rc, "%s", text);
    channels_answer(q->t->channels, &q->request, rc, &e);
}

/* Nothing of what is offered is free or within the limit, and nobody was accepted before. */
static bool costs_too_much(const struct incoming *in, uint64_t max, struct error *e)
{
    uint64_t least = UINT64_MAX;
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        const struct source *s = LIST_ITEM(l, struct source, link);
        const uint64_t cost = purchase_cost(in, s);
        if (s->untold)
            continue;
        if (s->accepted || !s->price || (cost <= MAX_OF(max, in->max) && in->t->payments))
            return false;
        least = MIN_OF(least, cost);
    }
    if (least == UINT64_MAX)
        return false;
    error_set(e, ERR_RANGE, "the file costs %llu satoshis: acceptfile with max_satoshis, and a "
              "payment channel to the sender (openchannel)", (unsigned long long)least);
    return true;
}

static void begin_accept(struct channels *c, struct channels_request *r)
{
    struct id_request *q = (struct id_request *)(void *)r;
    struct incoming *in = incoming_find(q->t, q->id);
    struct error e = { .code = OK };
    (void)c;
    if (!in)
        answer(q, ERR_NOTFOUND, "no file with this id was offered");
    else if (in->state > TRANSFER_DONE)
        answer(q, ERR_NOTFOUND, "this transfer has ended");
    else if (in->state == TRANSFER_DONE && q->directory && in->saved)
        answer(q, ERR_EXISTS, "the file has been saved already");
    else if (in->finishing && in->state == TRANSFER_DONE)
        answer(q, ERR_BUSY, "the file is being saved");
    else if (in->state == TRANSFER_DONE && q->directory)
        disk_save(in, q->directory, r);
    else if (in->state != TRANSFER_DONE && costs_too_much(in, q->max, &e))
        answer(q, e.code, e.text);
    else
        incoming_accept(in, q->directory, q->max, r);
}

enum err transfers_accept(struct transfers *t, const uint8_t id[32], const char *directory,
                          uint64_t max, struct error *e)
{
    struct id_request q = { .t = t, .id = id, .directory = directory, .max = max };
    if (directory && directory[0] != '/')
        return error_set(e, ERR_RANGE, "the directory must begin with /");
    return channels_ask(t->channels, begin_accept, &q.request, e);
}

static unsigned cancel_offers(struct transfers *t, const uint8_t id[32])
{
    unsigned n = 0;
    for (struct list_link *l = list_first(&t->outgoing), *next; l; l = next) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        next = list_next(&t->outgoing, l);
        if (o->untold || memcmp(o->id, id, 32) != 0)
            continue;
        offers_cancel(t, o);
        n++;
    }
    return n;
}

static void answer_when_synced(struct transfers *t, struct channels_request *r)
{
    struct dchan_write *w = dchan_write_new(t->store);
    transfers_commit(t, w, transfers_answer_when_stored(t, r)); /* behind what was written */
}

static void begin_cancel(struct channels *c, struct channels_request *r)
{
    struct id_request *q = (struct id_request *)(void *)r;
    struct incoming *in = incoming_find(q->t, q->id);
    (void)c;
    if (!cancel_offers(q->t, q->id) && !in) {
        answer(q, ERR_NOTFOUND, "no transfer has this id");
        return;
    }
    if (in)
        incoming_cancel(in);
    answer_when_synced(q->t, r);
}

enum err transfers_cancel(struct transfers *t, const uint8_t id[32], struct error *e)
{
    struct id_request q = { .t = t, .id = id };
    return channels_ask(t->channels, begin_cancel, &q.request, e);
}

/* --- memory --- */

static uint64_t memory_of_incoming(const struct incoming *in)
{
    uint64_t sum = mem_cost(sizeof *in) + in->name.cap + in->content_type.cap + in->note.cap +
                   in->sources.n * mem_cost(sizeof(struct source));
    sum += (in->leaves ? 32 * (uint64_t)in->n : 0) + (in->asked ? in->n : 0) +
           (in->have ? bits_size(in->n) : 0);
    for (struct list_link *l = list_first(&in->fetches); l; l = list_next(&in->fetches, l)) {
        const struct fetch *f = LIST_ITEM(l, struct fetch, link);
        sum += mem_cost(sizeof *f) + (f->block ? f->block_cap : 0);
    }
    return sum;
}

static uint64_t memory_of_outgoing(const struct outgoing *o)
{
    return mem_cost(sizeof *o) + strlen(o->path) +
           (o->went ? bits_size(dchan_chunk_count(o->mark.size)) : 0);
}

uint64_t transfers_memory(const struct transfers *t)
{
    uint64_t sum = t->serve_bytes + t->serves.n * mem_cost(sizeof(struct serve));
    for (struct list_link *l = list_first(&t->incoming); l; l = list_next(&t->incoming, l))
        sum += memory_of_incoming(LIST_ITEM(l, struct incoming, link));
    for (struct list_link *l = list_first(&t->outgoing); l; l = list_next(&t->outgoing, l))
        sum += memory_of_outgoing(LIST_ITEM(l, struct outgoing, link));
    return sum;
}

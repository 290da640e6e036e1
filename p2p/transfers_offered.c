/*
 * Offers of others: which are kept, which are refused, and which are taken without asking. What
 * becomes of the file after that is in transfers_in.c.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "p2p/transfers_internal.h"

#define FILES_MAX 10000      /* that are known at all */
#define FILES_STRANGERS 1000 /* above this strangers offer nothing any more */
#define SOURCES_STRANGERS 16 /* nor a file that so many offer */

/* --- which are taken --- */

static unsigned waiting_of(struct transfers *t, struct chan_peer *p)
{
    unsigned n = 0;
    for (struct list_link *l = list_first(&t->incoming); l; l = list_next(&t->incoming, l)) {
        const struct source *s = source_find(LIST_ITEM(l, struct incoming, link), p);
        n += s && !s->accepted;
    }
    return n;
}

/* What lies here, or has a place reserved, because this contact offered it. */
static uint64_t bytes_of(struct transfers *t, struct chan_peer *p)
{
    uint64_t sum = 0;
    for (struct list_link *l = list_first(&t->incoming); l; l = list_next(&t->incoming, l)) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        const struct source *s = source_find(in, p);
        if (s && s->accepted && (in->state == TRANSFER_RUNNING ||
                                 (in->state == TRANSFER_DONE && !in->saved)))
            sum += in->size;
    }
    return sum;
}

/* Sizes are at most DCHAN_FILE_MAX and files FILES_MAX: no sum overflows. */
static bool is_taken_unasked(struct transfers *t, struct chan_peer *p, uint64_t size)
{
    const struct contact *c = chan_peer_contact(p);
    return c && c->policy.accept_files && bytes_of(t, p) + size <= c->policy.file_quota;
}

/* The size is only known for sure when the leaves are: until somebody was accepted, strangers may
 * say what they like, and have nothing to say when a contact does. */
static bool gives_way(const struct incoming *in, struct chan_peer *p, uint64_t size)
{
    bool of_strangers = in->state == TRANSFER_WAITING && in->size != size;
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l))
        of_strangers &= LIST_ITEM(l, struct source, link)->contact_id == 0;
    return of_strangers && chan_peer_contact(p);
}

/* 0, or the code of the refusal. */
static unsigned judge_offer(struct transfers *t, struct chan_peer *p, const struct incoming *in,
                            const struct dchan_f_offer *m)
{
    const struct contact *c = chan_peer_contact(p);
    if (m->size > DCHAN_FILE_MAX || m->price > BILL_PRICE_MAX ||
        dchan_chunk_log2(m->size) != m->chunk_log2 || (in && in->size != m->size))
        return CANCEL_BAD;
    if ((c && !c->policy.files) || waiting_of(t, p) >= t->config.offers_max ||
        t->incoming.n >= (c ? FILES_MAX : FILES_STRANGERS) ||
        (!c && in && in->sources.n >= SOURCES_STRANGERS))
        return CANCEL_REFUSED;
    return 0;
}

/* --- taking them --- */

/* It was ended, and is offered anew. */
static void revive(struct incoming *in)
{
    in->state = TRANSFER_WAITING;
    in->code = 0;
    in->created_ms = in->changed_ms = transfers_unix();
    in->transferred = 0;
    free(in->directory);
    in->directory = NULL;
}

static struct incoming *new_offer(struct transfers *t, const struct dchan_f_offer *m)
{
    struct incoming *in = incoming_new(t, m->file_id, m->size);
    buf_put(&in->name, m->name.data, m->name.len);
    buf_put(&in->content_type, m->content_type.data, m->content_type.len);
    buf_put(&in->note, m->note.data, m->note.len);
    return in;
}

static void take_new_source(struct incoming *in, struct chan_peer *p, uint64_t price)
{
    const struct contact *c = chan_peer_contact(p);
    struct source *s = source_add(in, c ? c->id : 0, chan_peer_key(p));
    s->peer = p;
    s->offered_ms = transfers_unix();
    purchase_priced(in, s, price);
    if (!price && is_taken_unasked(in->t, p, in->size)) {
        source_accept(in, s);
        incoming_store(in->t, in, NULL);
    } else {
        incoming_store_news(in->t, in, TRANSFER_OFFERED, kept_new(in->t, file_news_stored, NULL));
    }
    fetch_more(in);
}

void incoming_offered_again(struct incoming *in, struct source *s, struct chan_peer *p)
{
    if (s->untold) {
        transfers_send_id(p, DCHAN_F_CANCEL, in->id, in->code);
        in->jobs++;
        incoming_lost_source(in, s, TRANSFER_CANCELLED, in->code);
        if (!in->gone && !in->sources.n)
            incoming_drop(in);
        (void)incoming_job_ended(in);
        return;
    }
    s->retry_ms = 0;
    if (s->accepted)
        transfers_send_id(p, in->state == TRANSFER_DONE ? DCHAN_F_DONE : DCHAN_F_ACCEPT, in->id, 0);
    fetch_more(in);
}

void incoming_offered(struct transfers *t, struct chan_peer *p, const struct dchan_f_offer *m)
{
    struct incoming *in = incoming_find(t, m->file_id);
    if (in && gives_way(in, p, m->size)) {
        incoming_erase(t, in); /* of its data nothing is there */
        incoming_forget(in);
        in = NULL;
    }
    struct source *s = in ? source_find(in, p) : NULL;
    if (s && in->size == m->size && (in->state <= TRANSFER_DONE || s->untold)) {
        purchase_priced(in, s, m->price);
        incoming_offered_again(in, s, p);
        return;
    }
    const unsigned code = judge_offer(t, p, in, m);
    if (code) {
        transfers_send_id(p, DCHAN_F_CANCEL, m->file_id, code);
        return;
    }
    if (!in)
        in = new_offer(t, m);
    else if (in->state > TRANSFER_DONE)
        revive(in);
    if (s)
        source_remove(in, s);
    take_new_source(in, p, m->price);
}

void incoming_cancelled(struct transfers *t, struct chan_peer *p, const uint8_t id[32],
                        unsigned code)
{
    struct incoming *in = incoming_find(t, id);
    struct source *s = in ? source_find(in, p) : NULL;
    if (!s || in->state == TRANSFER_DONE)
        return;
    incoming_lost_source(in, s, code == CANCEL_CHANGED ? TRANSFER_CHANGED
                                : code == CANCEL_LOCAL ? TRANSFER_FAILED : TRANSFER_CANCELLED,
                         code);
}

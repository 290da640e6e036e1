/*
 * The outbox. On disk it has everything that is not delivered, in memory the heads of at most 64
 * that are in flight: those are loaded from the front of the table, so that a message which was
 * delivered makes room for the next one. One whose end is being written stays in memory until that
 * is done, since the table shows it until then.
 */
#include "p2p/messages_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"

static uint64_t expires_ms(const struct message_outbox *row)
{
    return row->created_ms + UINT64_C(1000) * row->ttl;
}

static bool is_over(const struct messages *m, const struct message_outbox *row)
{
    return expires_ms(row) <= messages_unix_ms(m);
}

/* --- what is kept --- */

void out_charge(struct message_party *p, const struct message_outbox *row)
{
    p->n_out++;
    p->out_bytes += row->bytes;
    p->m->n_out++;
    p->m->out_bytes += row->bytes;
}

void out_discharge(struct message_party *p, const struct message_outbox *row)
{
    p->n_out--;
    p->out_bytes -= row->bytes;
    p->m->n_out--;
    p->m->out_bytes -= row->bytes;
}

void out_add_key(struct message_party *p, const uint8_t key[IDENTITY_KEY_SIZE])
{
    for (size_t i = 0; i < p->n_keys; i++)
        if (memcmp(p->keys[i], key, IDENTITY_KEY_SIZE) == 0)
            return;
    p->keys = xrealloc(p->keys, (p->n_keys + 1) * sizeof *p->keys);
    memcpy(p->keys[p->n_keys++], key, IDENTITY_KEY_SIZE);
}

static const struct message_key outbox_table = { { 'o' }, 1 };

static struct message_key outbox_of(const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct message_key k = outbox_table;
    memcpy(k.b + k.len, key, IDENTITY_KEY_SIZE);
    k.len += IDENTITY_KEY_SIZE;
    return k;
}

static struct message_party *party_of(struct messages *m, const struct message_outbox *row)
{
    struct message_peer peer = { .contact = row->contact };
    struct message_name n;
    message_name_contact(&n, row->contact);
    struct message_party *p = party_find(m, &n);
    memcpy(peer.key, row->key, sizeof peer.key);
    return p ? p : party_get(m, &peer);
}

enum err out_count_all(struct messages *m, struct error *e)
{
    struct kv_iter *it = kv_iter_new(m->kv);
    struct message_outbox row;
    enum err rc = OK;
    for (kv_iter_seek(it, outbox_table.b, outbox_table.len);
         kv_iter_valid(it) && key_has_prefix(kv_iter_key(it), &outbox_table); kv_iter_next(it)) {
        if (!message_outbox_read(&row, kv_iter_key(it), kv_iter_value(it))) {
            rc = error_set(e, ERR_CORRUPT, "the outbox cannot be understood");
            break;
        }
        struct message_party *p = party_of(m, &row);
        out_add_key(p, row.key);
        out_charge(p, &row);
        p->last_created_ms = MAX_OF(p->last_created_ms, row.created_ms);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

void out_forget_counts(struct message_party *p)
{
    p->m->n_out -= p->n_out;
    p->m->out_bytes -= p->out_bytes;
    p->n_out = p->n_flight = p->n_keys = 0;
    p->out_bytes = 0;
    p->all_loaded = p->was_full = false;
}

/* --- the end of a message --- */

struct ending {
    struct list_link link;
    struct message_party *p;
    struct message_outbox row;
};

static struct flight *find_number(struct message_party *p, uint64_t number)
{
    for (size_t i = 0; i < p->n_flight; i++)
        if (p->flight[i].row.number == number)
            return &p->flight[i];
    return NULL;
}

static void remove_flight(struct message_party *p, struct flight *f)
{
    const size_t i = (size_t)(f - p->flight);
    memmove(f, f + 1, (--p->n_flight - i) * sizeof *f);
}

static bool is_ending(const struct message_party *p, uint64_t number)
{
    for (struct list_link *l = list_first(&p->endings); l; l = list_next(&p->endings, l))
        if (LIST_ITEM(l, struct ending, link)->row.number == number)
            return true;
    return false;
}

static void end_done(void *ctx, enum err rc, const struct error *e)
{
    struct ending *x = ctx;
    struct message_party *p = x->p;
    struct flight *f = find_number(p, x->row.number);
    list_remove(&p->endings, &x->link);
    p->writes--;
    p->m->writes--;
    note_write(p->m, rc, e);
    if (!rc) {
        out_discharge(p, &x->row);
        p->m->news_due = true;
        if (f)
            remove_flight(p, f);
    } else if (f) { /* the other side says so once more when it is sent once more */
        f->state = p->session ? FLIGHT_SENT : FLIGHT_READY;
        f->sent_ms = p->m->now_ms;
    }
    free(x);
    news_pump(p->m);
    out_pump(p);
    party_release(p);
}

static enum message_news_kind news_of(enum message_state state)
{
    return state == MESSAGE_STATE_DELIVERED ? MESSAGE_DELIVERED : MESSAGE_FAILED;
}

static void write_end(struct messages *m, struct dchan_write *w, const struct message_outbox *row,
                      const struct message_head *h)
{
    const struct message_key key = message_key_outbox(row->key, row->created_ms, row->id);
    struct message_entry x = { .kind = (uint8_t)news_of(h->state), .number = row->number,
                               .state = h->state };
    memcpy(x.id, row->id, sizeof x.id);
    memcpy(x.key, row->key, sizeof x.key);
    write_delete(w, &key);
    write_head(w, h);
    news_write(w, ++m->last_number, &x);
}

/* False: the head could not be read, nothing happens. */
static bool end_into(struct messages *m, struct dchan_write *w, const struct message_outbox *row,
                     enum message_state state, uint16_t code)
{
    struct message_head h;
    struct error e;
    const enum err rc = message_head_load(m->kv, row->number, &h, &e);
    if (rc) {
        note_write(m, rc, &e);
        return false;
    }
    h.state = state;
    h.code = code;
    h.ended_ms = messages_unix_ms(m);
    write_end(m, w, row, &h);
    return true;
}

static void end_message(struct message_party *p, const struct message_outbox *row,
                        enum message_state state, uint16_t code)
{
    struct messages *m = p->m;
    struct flight *f = find_number(p, row->number);
    if (is_ending(p, row->number))
        return;
    struct dchan_write *w = dchan_write_new(m->store);
    if (!end_into(m, w, row, state, code)) {
        dchan_write_free(w);
        return;
    }
    struct ending *x = xmalloc(sizeof *x);
    *x = (struct ending){ .p = p, .row = *row };
    list_append(&p->endings, &x->link);
    if (f)
        f->state = FLIGHT_ENDING;
    write_last(m, w);
    p->writes++;
    m->writes++;
    dchan_store_commit(m->store, w, end_done, x);
}

/* --- loading and sending --- */

static void load(struct message_party *p, const struct message_outbox *row)
{
    if (row->contact != p->peer.contact || find_number(p, row->number) ||
        is_ending(p, row->number))
        return;
    struct flight *f = &p->flight[p->n_flight++];
    *f = (struct flight){ .row = *row };
    if (is_over(p->m, row))
        end_message(p, row, MESSAGE_STATE_EXPIRED, 0);
}

/* True: there is no more under this key. */
static bool load_key(struct message_party *p, const uint8_t key[IDENTITY_KEY_SIZE],
                     struct kv_iter *it)
{
    const struct message_key prefix = outbox_of(key);
    struct message_outbox row;
    for (kv_iter_seek(it, prefix.b, prefix.len);
         kv_iter_valid(it) && key_has_prefix(kv_iter_key(it), &prefix); kv_iter_next(it)) {
        if (p->n_flight >= p->m->limits.in_flight)
            return false;
        if (message_outbox_read(&row, kv_iter_key(it), kv_iter_value(it)))
            load(p, &row);
    }
    return true;
}

/* When the places were all taken: once half of them are free, so that one look serves many. */
static void load_more(struct message_party *p)
{
    if (!p->session || p->all_loaded || p->m->reload_due ||
        (p->was_full && p->n_flight > p->m->limits.in_flight / 2))
        return;
    if (!p->flight)
        p->flight = xcalloc(MESSAGES_IN_FLIGHT, sizeof *p->flight);
    struct kv_iter *it = kv_iter_new(p->m->kv);
    bool all = true;
    for (size_t i = 0; i < p->n_keys && all; i++)
        all = load_key(p, p->keys[i], it);
    p->was_full = !all;
    p->all_loaded = all && !kv_iter_error(it, NULL);
    kv_iter_free(it);
}

static struct dchan_msg message_of(const struct message_head *h, const struct buf *body)
{
    struct dchan_msg msg = { .type = DCHAN_M_SEND };
    struct dchan_m_send *s = &msg.m_send;
    *s = (struct dchan_m_send){
        .created_ms = h->created_ms, .ttl = h->ttl, .has_reply_to = h->has_reply_to,
        .has_thread = h->has_thread, .has_seq = h->has_seq, .seq = h->seq,
        .content_type = span_of(h->content_type, h->content_type_len), .body = buf_span(body),
    };
    memcpy(s->id, h->id, sizeof s->id);
    memcpy(s->reply_to, h->reply_to, sizeof s->reply_to);
    memcpy(s->thread, h->thread, sizeof s->thread);
    return msg;
}

static void pause_sending(struct message_party *p)
{
    p->pause_ms = MIN_OF(MAX_OF(2 * p->pause_ms, (uint64_t)PAUSE_MIN_MS), (uint64_t)PAUSE_MAX_MS);
    p->paused_until_ms = p->m->now_ms + p->pause_ms;
}

/* False: not now. */
static bool send_one(struct message_party *p, struct flight *f)
{
    struct messages *m = p->m;
    struct message_head h;
    struct error e;
    struct buf body;
    buf_init(&body);
    enum err rc = message_head_load(m->kv, f->row.number, &h, &e);
    if (!rc)
        rc = message_body_load(m->kv, f->row.number, &body, &e);
    if (!rc) {
        const struct dchan_msg msg = message_of(&h, &body);
        rc = m->ops.send(p->session, &msg);
        if (rc)
            pause_sending(p);
    } else { /* those behind it go first, it is tried again when it would be sent again */
        note_write(m, rc, &e);
        rc = OK;
    }
    buf_clear(&body);
    if (rc)
        return false;
    f->state = FLIGHT_SENT;
    f->sent_ms = m->now_ms;
    return true;
}

static bool may_send(struct message_party *p)
{
    return p->session && p->m->now_ms >= p->paused_until_ms && !p->m->ops.is_slow(p->session);
}

/* The tick would find it, too, but up to a second later. */
static bool has_pace(struct message_party *p)
{
    struct messages *m = p->m;
    if (ratelimit_take(&p->pace, 1, (int64_t)m->now_ms))
        return true;
    m->ops.later(m->ops.ctx, (uint64_t)ratelimit_wait_ms(&p->pace, 1, (int64_t)m->now_ms));
    return false;
}

void out_pump(struct message_party *p)
{
    load_more(p);
    for (size_t i = 0; i < p->n_flight && may_send(p); i++) {
        struct flight *f = &p->flight[i];
        if (f->state != FLIGHT_READY)
            continue;
        if (!has_pace(p) || !send_one(p, f))
            return;
    }
}

/* --- sessions and time --- */

static void ready_again(struct message_party *p)
{
    for (size_t i = 0; i < p->n_flight; i++)
        if (p->flight[i].state == FLIGHT_SENT)
            p->flight[i].state = FLIGHT_READY;
}

void out_up(struct message_party *p)
{
    ready_again(p);
    p->all_loaded = p->was_full = false;
    out_pump(p);
}

void out_down(struct message_party *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n_flight; i++)
        if (p->flight[i].state == FLIGHT_ENDING)
            p->flight[kept++] = p->flight[i];
    p->n_flight = kept;
    p->all_loaded = p->was_full = false;
    if (kept)
        return;
    free(p->flight);
    p->flight = NULL;
}

static void look_at_time(struct message_party *p, struct flight *f)
{
    if (f->state == FLIGHT_ENDING)
        return;
    if (is_over(p->m, &f->row))
        end_message(p, &f->row, MESSAGE_STATE_EXPIRED, 0);
    else if (f->state == FLIGHT_SENT && p->m->now_ms - f->sent_ms >= p->m->limits.resend_ms)
        f->state = FLIGHT_READY;
}

/* One that was removed may have left what waited for it: the two are not written together. */
void out_tick(struct message_party *p)
{
    if (!p->n_out)
        return;
    if (!p->session) {
        if (!p->m->ops.dial(p->m->ops.ctx, p->peer.contact))
            out_forget(p);
        return;
    }
    for (size_t i = 0; i < p->n_flight; i++)
        look_at_time(p, &p->flight[i]);
    out_pump(p);
}

/* One that is in memory is looked after there. */
static void sweep_row(struct messages *m, const struct message_outbox *row)
{
    struct message_name n;
    message_name_contact(&n, row->contact);
    struct message_party *p = party_find(m, &n);
    if (p && !p->session && is_over(m, row))
        end_message(p, row, MESSAGE_STATE_EXPIRED, 0);
}

/* Those of contacts that do not come: a few each second. */
void out_sweep(struct messages *m)
{
    struct kv_iter *it = kv_iter_new(m->kv);
    const struct message_key *from = m->sweep.len ? &m->sweep : &outbox_table;
    struct message_outbox row;
    size_t n = 0;
    m->sweep.len = 0;
    for (kv_iter_seek(it, from->b, from->len);
         kv_iter_valid(it) && key_has_prefix(kv_iter_key(it), &outbox_table); kv_iter_next(it)) {
        if (n++ == SWEEP_AT_ONCE) {
            m->sweep = message_key_outbox(row.key, row.created_ms, row.id);
            break;
        }
        if (!message_outbox_read(&row, kv_iter_key(it), kv_iter_value(it)))
            break;
        sweep_row(m, &row);
    }
    kv_iter_free(it);
}

/* --- receipts --- */

static struct flight *find_sent(struct message_party *p, const uint8_t id[MESSAGE_ID_SIZE])
{
    for (size_t i = 0; i < p->n_flight; i++)
        if (p->flight[i].state == FLIGHT_SENT &&
            memcmp(p->flight[i].row.id, id, MESSAGE_ID_SIZE) == 0)
            return &p->flight[i];
    return NULL;
}

void out_take_ack(struct message_party *p, const struct dchan_m_receipt *r)
{
    struct flight *f = find_sent(p, r->id);
    if (!f || p->m->reload_due)
        return;
    p->pause_ms = 0;
    end_message(p, &f->row, MESSAGE_STATE_DELIVERED, 0);
}

/* Stamped by a clock that was ahead: refused until its time comes. */
static bool is_early(const struct messages *m, const struct message_outbox *row)
{
    return row->created_ms > messages_unix_ms(m) + MESSAGES_AHEAD_MS;
}

/* That it is too late is believed when it is so by our clock too (spec channels 5). */
void out_take_nack(struct message_party *p, const struct dchan_m_receipt *r)
{
    struct flight *f = find_sent(p, r->id);
    if (!f || p->m->reload_due)
        return;
    switch (r->code) {
    case MESSAGE_NACK_FULL:
    case MESSAGE_NACK_BUSY:
        if (is_early(p->m, &f->row))
            return; /* it is sent again after a while, and others do not wait for it */
        break;
    case MESSAGE_NACK_EXPIRED:
        if (!is_over(p->m, &f->row))
            break;
        end_message(p, &f->row, MESSAGE_STATE_EXPIRED, r->code);
        return;
    default:
        end_message(p, &f->row, MESSAGE_STATE_REFUSED, r->code);
        return;
    }
    f->state = FLIGHT_READY;
    pause_sending(p);
}

static void read_done(void *ctx, enum err rc, const struct error *e)
{
    struct message_party *p = ctx;
    p->writes--;
    p->m->writes--;
    note_write(p->m, rc, e);
    party_release(p);
}

static void note_read(struct message_party *p, struct message_head *h, uint64_t when_ms)
{
    struct messages *m = p->m;
    if (!h->ours || h->state == MESSAGE_STATE_SEEN ||
        (h->state == MESSAGE_STATE_QUEUED && !is_ending(p, h->number)))
        return;
    struct dchan_write *w = dchan_write_new(m->store);
    h->state = MESSAGE_STATE_SEEN;
    h->read_ms = when_ms;
    if (!h->ended_ms) /* the acknowledgement is being written */
        h->ended_ms = messages_unix_ms(m);
    write_head(w, h);
    p->writes++;
    m->writes++;
    dchan_store_commit(m->store, w, read_done, p);
}

/* Display alone: what is not understood, comes too early or too often is ignored. */
void out_take_read(struct message_party *p, const struct dchan_m_receipt *r)
{
    const struct message_key key = message_key_index(INDEX_OURS, &p->name, r->id);
    struct message_head h;
    struct buf value;
    bool found = false;
    if (find_sent(p, r->id) || p->m->reload_due ||
        !ratelimit_take(&p->reads, 1, (int64_t)p->m->now_ms))
        return;
    buf_init(&value);
    if (!kv_get(p->m->kv, key.b, key.len, &value, &found, NULL) && found && value.len == 8 &&
        !message_head_load(p->m->kv, be64_get(value.data), &h, NULL))
        note_read(p, &h, r->time_ms);
    buf_clear(&value);
}

bool messages_is_in_flight(struct messages *m, const struct message_head *head)
{
    struct message_name n;
    message_head_name(head, &n);
    struct message_party *p = party_find(m, &n);
    const struct flight *f = p ? find_number(p, head->number) : NULL;
    return f && f->state == FLIGHT_SENT;
}

/* --- a contact that is gone --- */

/* What is in flight too: nothing of it is sent any more. */
void out_forget(struct message_party *p)
{
    struct kv_iter *it = kv_iter_new(p->m->kv);
    struct message_outbox row;
    for (size_t i = 0; i < p->n_keys; i++) {
        const struct message_key prefix = outbox_of(p->keys[i]);
        for (kv_iter_seek(it, prefix.b, prefix.len);
             kv_iter_valid(it) && key_has_prefix(kv_iter_key(it), &prefix); kv_iter_next(it))
            if (message_outbox_read(&row, kv_iter_key(it), kv_iter_value(it)) &&
                row.contact == p->peer.contact)
                end_message(p, &row, MESSAGE_STATE_CANCELLED, 0);
    }
    kv_iter_free(it);
}

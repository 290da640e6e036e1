/* What the user sends: into the outbox, from where messages_out.c takes it. */
#include "p2p/messages_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"

struct sending {
    struct message_party *p;
    struct message_outbox row;
    uint64_t kept;
    message_sent_fn done;
    void *ctx;
};

static void send_done(void *ctx, enum err rc, const struct error *e)
{
    struct sending *x = ctx;
    struct message_party *p = x->p;
    p->writes--;
    p->m->writes--;
    note_write(p->m, rc, e);
    if (rc) {
        out_discharge(p, &x->row);
        p->m->kept_bytes -= x->kept;
    }
    x->done(x->ctx, rc, e, x->row.number, x->row.id);
    p->all_loaded = false;
    if (!p->session && p->n_out)
        p->m->ops.dial(p->m->ops.ctx, p->peer.contact);
    out_pump(p);
    party_release(p);
    free(x);
}

static const char default_type[] = "text/plain;utf-8";

static enum err check_draft(struct messages *m, const struct message_draft *d,
                            struct error *e)
{
    if (d->body.len > DCHAN_BODY_MAX)
        return error_set(e, ERR_RANGE, "a message has at most %d bytes; send a file",
                         DCHAN_BODY_MAX);
    if (d->content_type.len > DCHAN_CONTENT_TYPE_MAX)
        return error_set(e, ERR_RANGE, "a content type has at most %d bytes",
                         DCHAN_CONTENT_TYPE_MAX);
    if (d->ttl > MESSAGES_TTL_MAX)
        return error_set(e, ERR_RANGE, "a message is kept for at most %d seconds",
                         MESSAGES_TTL_MAX);
    return reload_check(m, e);
}

static enum err check_room(const struct message_party *p, uint32_t bytes, struct error *e)
{
    const struct messages_limits *l = &p->m->limits;
    if (p->n_out >= l->outbox || p->out_bytes + bytes > l->outbox_bytes)
        return error_set(e, ERR_BUSY, "%zu messages (%llu bytes) wait for this contact already",
                         p->n_out, (unsigned long long)p->out_bytes);
    if (p->m->out_bytes + bytes > l->outbox_total)
        return error_set(e, ERR_BUSY, "the outbox is full: %llu bytes wait",
                         (unsigned long long)p->m->out_bytes);
    return OK;
}

/* It orders the table. A stamp of a clock that was ahead is not followed: nobody would take what
 * has one like it (spec channels 5). */
static uint64_t next_stamp(const struct message_party *p, uint64_t now)
{
    const uint64_t next = p->last_created_ms + 1;
    return next > now && next - now < MESSAGES_AHEAD_MS / 2 ? next : now;
}

static void fill_head(struct message_party *p, const struct message_draft *d,
                      const uint8_t id[MESSAGE_ID_SIZE], struct message_head *h)
{
    struct messages *m = p->m;
    const uint64_t now = messages_unix_ms(m);
    p->last_created_ms = next_stamp(p, now);
    const struct span type =
        d->content_type.len ? d->content_type : span_of(default_type, sizeof default_type - 1);
    *h = (struct message_head){
        .number = ++m->last_number, .ours = true, .state = MESSAGE_STATE_QUEUED,
        .contact = p->peer.contact, .created_ms = p->last_created_ms, .stored_ms = now,
        .ttl = d->ttl ? d->ttl : m->limits.ttl, .has_seq = true, .seq = ++p->order.sent,
        .has_reply_to = d->has_reply_to, .has_thread = d->has_thread,
        .content_type_len = (uint8_t)type.len, .body_len = (uint32_t)d->body.len,
    };
    memcpy(h->key, p->peer.key, sizeof h->key);
    memcpy(h->our_key, p->peer.ours, sizeof h->our_key);
    memcpy(h->content_type, type.data, type.len);
    memcpy(h->reply_to, d->reply_to, sizeof h->reply_to);
    memcpy(h->thread, d->thread, sizeof h->thread);
    memcpy(h->id, id, sizeof h->id);
}

static void write_new(struct message_party *p, struct dchan_write *w, const struct message_head *h,
                      const struct message_outbox *row, struct span body_bytes)
{
    const struct message_key body = message_key_number(TABLE_BODY, h->number);
    const struct message_key index = message_key_index(INDEX_OURS, &p->name, h->id);
    const struct message_key out = message_key_outbox(row->key, row->created_ms, row->id);
    struct buf b;
    uint8_t number[8];
    buf_init(&b);
    message_outbox_write(&b, row);
    write_put(w, &out, &b);
    buf_clear(&b);
    be64_put(number, h->number);
    dchan_write_put(w, index.b, index.len, number, sizeof number);
    write_head(w, h);
    dchan_write_put(w, body.b, body.len, body_bytes.data, body_bytes.len);
    write_order(w, p);
}

static struct message_outbox row_of(const struct message_head *h)
{
    struct message_outbox row = {
        .created_ms = h->created_ms, .contact = h->contact, .number = h->number, .ttl = h->ttl,
        .bytes = (uint32_t)(sizeof *h + h->content_type_len + h->body_len),
    };
    memcpy(row.key, h->key, sizeof row.key);
    memcpy(row.id, h->id, sizeof row.id);
    return row;
}

static void send_into(struct message_party *p, const struct message_draft *d,
                      const uint8_t id[MESSAGE_ID_SIZE], message_sent_fn done, void *ctx)
{
    struct messages *m = p->m;
    struct message_head h;
    struct sending *x = xmalloc(sizeof *x);
    struct dchan_write *w = dchan_write_new(m->store);
    fill_head(p, d, id, &h);
    *x = (struct sending){ .p = p, .row = row_of(&h), .done = done, .ctx = ctx };
    x->kept = x->row.bytes;
    out_charge(p, &x->row);
    out_add_key(p, p->peer.key);
    m->kept_bytes += x->kept;
    write_new(p, w, &h, &x->row, d->body);
    write_last(m, w);
    p->writes++;
    m->writes++;
    dchan_store_commit(m->store, w, send_done, x);
}

enum err messages_send(struct messages *m, const struct message_draft *draft,
                       message_sent_fn done, void *ctx, uint64_t now_ms, struct error *e)
{
    uint8_t id[MESSAGE_ID_SIZE];
    m->now_ms = now_ms;
    enum err rc = check_draft(m, draft, e);
    if (rc)
        return rc;
    struct message_party *p = party_get(m, &draft->to);
    rc = party_load(p, e);
    if (!rc)
        rc = check_room(p, (uint32_t)(sizeof(struct message_head) + draft->body.len), e);
    if (!rc)
        rc = rand_secret(id, sizeof id, e);
    if (!rc)
        send_into(p, draft, id, done, ctx);
    party_release(p);
    return rc;
}

/* --- a contact that is gone --- */

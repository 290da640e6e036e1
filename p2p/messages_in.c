/*
 * What arrives. The checks go from cheap to dear: how many come, whether we want it, its size, then
 * one look whether its id was taken before. What passes is written with its id in one synced write,
 * and only then acknowledged; whoever sends the same id again meanwhile waits with the first.
 */
#include "p2p/messages_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"

struct incoming {
    struct list_link link;
    struct message_party *p;
    uint8_t id[MESSAGE_ID_SIZE];
    uint64_t number, seq, bytes;
    bool has_order; /* its seq counts */
    bool boxed;
};

static void answer(struct message_party *p, uint16_t type, const uint8_t id[MESSAGE_ID_SIZE],
                   uint16_t code, uint64_t time_ms)
{
    struct dchan_msg msg = { .type = type };
    msg.m_receipt = (struct dchan_m_receipt){ .code = code, .time_ms = time_ms };
    memcpy(msg.m_receipt.id, id, MESSAGE_ID_SIZE);
    if (p->session && p->m->ops.send(p->session, &msg))
        return; /* it ends: the other side asks again in the next session */
}

/* --- checks --- */

static bool is_being_written(const struct message_party *p, const uint8_t id[MESSAGE_ID_SIZE])
{
    for (struct list_link *l = list_first(&p->incoming); l; l = list_next(&p->incoming, l))
        if (memcmp(LIST_ITEM(l, struct incoming, link)->id, id, MESSAGE_ID_SIZE) == 0)
            return true;
    return false;
}

static uint32_t ttl_of(const struct dchan_m_send *s)
{
    return MIN_OF(s->ttl, (uint32_t)MESSAGES_TTL_MAX);
}

static uint64_t end_of(const struct dchan_m_send *s)
{
    return s->created_ms + UINT64_C(1000) * ttl_of(s);
}

static uint64_t bytes_of(const struct dchan_m_send *s)
{
    return sizeof(struct message_head) + s->content_type.len + s->body.len;
}

/* Without a look at the disk; 0: fine so far. */
static uint16_t check_first(struct message_party *p, const struct dchan_m_send *s)
{
    const struct messages *m = p->m;
    if (!ratelimit_take(&p->rate, party_tokens(p), (int64_t)m->now_ms))
        return MESSAGE_NACK_BUSY;
    if (p->peer.contact ? p->peer.refused : !m->limits.strangers)
        return MESSAGE_NACK_REFUSED;
    if (!p->peer.contact && s->body.len > m->limits.stranger_bytes)
        return MESSAGE_NACK_TOO_LARGE;
    if (dchan_store_waiting(m->store) > STORE_WAITING_MAX)
        return MESSAGE_NACK_BUSY;
    if (!reload_if_due(p->m))
        return p->m->disk_error.code ? MESSAGE_NACK_FULL : MESSAGE_NACK_BUSY;
    return 0;
}

/* What nobody has read never leaves: an eighth is for others than the one who sends most. */
static bool has_its_share(const struct message_party *p, uint64_t bytes)
{
    const uint64_t total = p->m->limits.inbox_total;
    return p->peer.contact && p->unread + bytes > total - total / 8;
}

/* A clock that is ahead of ours may be right: never final (spec channels 5). */
static uint16_t check_new(const struct message_party *p, const struct dchan_m_send *s)
{
    const struct messages *m = p->m;
    const uint64_t now = messages_unix_ms(m);
    if (s->created_ms > now + MESSAGES_AHEAD_MS)
        return MESSAGE_NACK_BUSY;
    if (end_of(s) <= now)
        return MESSAGE_NACK_EXPIRED;
    if (!p->peer.contact && !box_has_room(m, p->peer.prefix))
        return MESSAGE_NACK_BUSY;
    if (m->kept_bytes + bytes_of(s) > m->limits.inbox_total || has_its_share(p, bytes_of(s)))
        return MESSAGE_NACK_FULL;
    return 0;
}

/* --- taking --- */

static void fill_head(struct message_party *p, const struct dchan_m_send *s,
                      struct message_head *h)
{
    struct messages *m = p->m;
    *h = (struct message_head){
        .number = ++m->last_number, .state = MESSAGE_STATE_UNREAD, .contact = p->peer.contact,
        .created_ms = s->created_ms, .stored_ms = messages_unix_ms(m), .ttl = ttl_of(s),
        .has_seq = s->has_seq, .seq = s->seq, .has_reply_to = s->has_reply_to,
        .has_thread = s->has_thread, .content_type_len = (uint8_t)s->content_type.len,
        .body_len = (uint32_t)s->body.len,
    };
    memcpy(h->key, p->peer.key, sizeof h->key);
    memcpy(h->our_key, p->peer.ours, sizeof h->our_key);
    memcpy(h->id, s->id, sizeof h->id);
    memcpy(h->reply_to, s->reply_to, sizeof h->reply_to);
    memcpy(h->thread, s->thread, sizeof h->thread);
    if (s->content_type.len)
        memcpy(h->content_type, s->content_type.data, s->content_type.len);
    if (s->has_seq)
        message_order_take(&p->order, s->seq, h);
}

/* Any of them may fail though this write succeeds; nobody could say afterwards what is missing. */
void in_untake(const struct message_party *p, struct message_order *o)
{
    for (struct list_link *l = list_first(&p->incoming); l; l = list_next(&p->incoming, l)) {
        const struct incoming *x = LIST_ITEM(l, struct incoming, link);
        if (x->has_order)
            message_order_untake(o, x->seq);
    }
}

static void undo(struct incoming *x)
{
    struct messages *m = x->p->m;
    m->kept_bytes -= MIN_OF(m->kept_bytes, x->bytes);
    if (x->has_order)
        message_order_untake(&x->p->order, x->seq);
    if (x->boxed)
        box_remove(m, NULL, x->number);
}

static void take_done(void *ctx, enum err rc, const struct error *e)
{
    struct incoming *x = ctx;
    struct message_party *p = x->p;
    list_remove(&p->incoming, &x->link);
    p->m->writes--;
    note_write(p->m, rc, e);
    if (rc) {
        undo(x);
        answer(p, DCHAN_M_NACK, x->id, MESSAGE_NACK_FULL, 0);
    } else {
        answer(p, DCHAN_M_ACK, x->id, 0, 0);
        p->m->news_due = true;
        news_pump(p->m);
    }
    free(x);
    p->writes--; /* it stays until here: an answer may end its last session */
    party_release(p);
}

/* --- what nobody has read --- */

enum err unread_load(struct message_party *p, struct error *e)
{
    const struct message_key key = message_key_unread(&p->name);
    struct buf value;
    bool found = false;
    buf_init(&value);
    const enum err rc = kv_get(p->m->kv, key.b, key.len, &value, &found, e);
    p->unread = !rc && found && value.len == 8 ? be64_get(value.data) : 0;
    buf_clear(&value);
    return rc;
}

static void write_unread(struct dchan_write *w, const struct message_party *p)
{
    const struct message_key key = message_key_unread(&p->name);
    uint8_t bytes[8];
    be64_put(bytes, p->unread);
    dchan_write_put(w, key.b, key.len, bytes, sizeof bytes);
}

static struct message_party *party_of(struct messages *m, const struct message_head *h)
{
    struct message_peer peer = { .contact = h->contact };
    struct message_name n;
    message_head_name(h, &n);
    struct message_party *p = party_find(m, &n);
    memcpy(peer.key, h->key, sizeof peer.key);
    memcpy(peer.ours, h->our_key, sizeof peer.ours);
    return p ? p : party_get(m, &peer);
}

/* One of a contact was read. Its party stays until that is written: who looks meanwhile must not
 * take what the disk still has. When the write fails all is loaded again. */
static enum err lower_unread(struct messages *m, struct dchan_write *w,
                             const struct message_head *h, struct message_party **out,
                             struct error *e)
{
    struct message_party *p = party_of(m, h);
    const uint64_t bytes = sizeof *h + h->content_type_len + h->body_len;
    const enum err rc = party_load(p, e);
    if (rc) {
        party_release(p);
        return rc;
    }
    p->unread -= MIN_OF(p->unread, bytes);
    write_unread(w, p);
    p->writes++;
    *out = p;
    return OK;
}

static void write_message(struct message_party *p, struct dchan_write *w,
                          const struct message_head *h, const struct dchan_m_send *s)
{
    const struct message_key body = message_key_number(TABLE_BODY, h->number);
    struct message_entry x = { .kind = MESSAGE_RECEIVED, .number = h->number };
    memcpy(x.id, h->id, sizeof x.id);
    memcpy(x.key, h->key, sizeof x.key);
    write_head(w, h);
    dchan_write_put(w, body.b, body.len, s->body.data, s->body.len);
    news_write(w, h->number, &x);
    write_order(w, p);
    if (p->peer.contact)
        write_unread(w, p);
    else
        box_add(p->m, w, h->number, p->peer.prefix);
    write_last(p->m, w);
}

static void take(struct message_party *p, const struct dchan_m_send *s, struct dchan_write *w)
{
    struct messages *m = p->m;
    struct message_head h;
    struct incoming *x = xcalloc(1, sizeof *x);
    fill_head(p, s, &h);
    *x = (struct incoming){ .p = p, .number = h.number, .seq = s->seq, .bytes = bytes_of(s),
                            .has_order = s->has_seq && !h.reset, .boxed = !p->peer.contact };
    memcpy(x->id, s->id, sizeof x->id);
    m->kept_bytes += x->bytes;
    p->unread += x->bytes;
    write_message(p, w, &h, s);
    list_append(&p->incoming, &x->link);
    p->writes++;
    m->writes++;
    dchan_store_commit(m->store, w, take_done, x);
}

/* The code of an m_nack; 0: it was taken, now or before. */
static uint16_t judge(struct message_party *p, const struct dchan_m_send *s, bool *seen)
{
    struct error e;
    enum err rc = party_load(p, &e);
    *seen = false;
    if (!rc)
        rc = seen_find(p, s->id, seen, &e);
    const uint16_t code = rc ? MESSAGE_NACK_FULL : *seen ? 0 : check_new(p, s);
    if (rc || code || *seen) {
        if (rc)
            note_write(p->m, rc, &e);
        return code;
    }
    struct dchan_write *w = dchan_write_new(p->m->store);
    rc = seen_add(p, w, s->id, end_of(s) + MESSAGES_SEEN_MORE_MS, &e);
    if (!rc) {
        take(p, s, w);
        return 0;
    }
    note_write(p->m, rc, &e);
    dchan_write_free(w);
    return MESSAGE_NACK_FULL;
}

void in_take(struct message_party *p, const struct dchan_m_send *s)
{
    bool seen = false;
    uint16_t code = check_first(p, s);
    if (!code && is_being_written(p, s->id))
        return;
    if (!code)
        code = judge(p, s, &seen);
    if (code)
        answer(p, DCHAN_M_NACK, s->id, code, 0);
    else if (seen)
        answer(p, DCHAN_M_ACK, s->id, 0, 0);
}

/* --- reading --- */

struct reading {
    struct messages *m;
    struct message_head head;
    struct message_party *of; /* a contact; NULL: a stranger */
    bool tell; /* its sender had a session */
    dchan_store_fn done;
    void *ctx;
};

static void mark_done(void *ctx, enum err rc, const struct error *e)
{
    struct reading *x = ctx;
    struct message_name n;
    message_head_name(&x->head, &n);
    struct message_party *p = party_find(x->m, &n);
    x->m->writes--;
    note_write(x->m, rc, e);
    if (!rc && x->tell && p)
        answer(p, DCHAN_M_READ, x->head.id, 0, x->head.read_ms);
    if (x->done)
        x->done(x->ctx, rc, e);
    if (x->of) {
        x->of->writes--;
        party_release(x->of);
    }
    free(x);
}

static void write_receipt(struct dchan_write *w, const struct message_head *h,
                          const struct message_name *n)
{
    const struct message_key key = message_key_index(INDEX_READ, n, h->id);
    uint8_t when[8];
    be64_put(when, h->read_ms);
    dchan_write_put(w, key.b, key.len, when, sizeof when);
}

static void mark(struct reading *x, struct dchan_write *w, bool receipt)
{
    struct messages *m = x->m;
    struct message_name n;
    message_head_name(&x->head, &n);
    const struct message_party *p = party_find(m, &n);
    x->head.state = MESSAGE_STATE_READ;
    x->head.read_ms = messages_unix_ms(m);
    write_head(w, &x->head);
    if (!x->head.contact)
        box_remove(m, w, x->head.number);
    x->tell = receipt && p && p->session;
    if (receipt && !x->tell)
        write_receipt(w, &x->head, &n);
    m->writes++;
    dchan_store_commit(m->store, w, mark_done, x);
}

enum err messages_mark_read(struct messages *m, uint64_t number, bool receipt,
                            dchan_store_fn done, void *ctx, struct error *e)
{
    struct message_head h;
    enum err rc = reload_check(m, e);
    if (!rc)
        rc = message_head_load(m->kv, number, &h, e);
    if (!rc && h.ours)
        rc = error_set(e, ERR_NOTFOUND, "message %llu is one of ours", (unsigned long long)number);
    if (rc)
        return rc;
    if (h.state == MESSAGE_STATE_READ) {
        done(ctx, OK, NULL);
        return OK;
    }
    struct dchan_write *w = dchan_write_new(m->store);
    struct message_party *of = NULL;
    rc = h.contact ? lower_unread(m, w, &h, &of, e) : OK;
    if (rc) {
        dchan_write_free(w);
        return rc;
    }
    struct reading *x = xmalloc(sizeof *x);
    *x = (struct reading){ .m = m, .head = h, .of = of, .done = done, .ctx = ctx };
    mark(x, w, receipt);
    return OK;
}

static void receipts_done(void *ctx, enum err rc, const struct error *e)
{
    struct messages *m = ctx;
    m->writes--;
    note_write(m, rc, e);
}

/* Once: whether it comes is nobody's worry. */
void in_up(struct message_party *p)
{
    struct messages *m = p->m;
    struct message_key prefix = message_key_index(INDEX_READ, &p->name, p->peer.key);
    struct kv_iter *it = kv_iter_new(m->kv);
    struct dchan_write *w = dchan_write_new(m->store);
    size_t n = 0;
    prefix.len -= MESSAGE_ID_SIZE;
    for (kv_iter_seek(it, prefix.b, prefix.len);
         kv_iter_valid(it) && key_has_prefix(kv_iter_key(it), &prefix) && n < RECEIPTS_AT_ONCE;
         kv_iter_next(it), n++) {
        const struct span key = kv_iter_key(it), value = kv_iter_value(it);
        if (key.len == prefix.len + MESSAGE_ID_SIZE && value.len == 8)
            answer(p, DCHAN_M_READ, key.data + prefix.len, 0, be64_get(value.data));
        dchan_write_delete(w, key.data, key.len);
    }
    kv_iter_free(it);
    if (!n) {
        dchan_write_free(w);
        return;
    }
    m->writes++;
    dchan_store_commit(m->store, w, receipts_done, m);
}

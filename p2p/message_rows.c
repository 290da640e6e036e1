#include "p2p/message_rows.h"

#include <string.h>

#include "base/intmath.h"
#include "base/reader.h"
#include "p2p/dchan_codec.h"

#define VERSION 1 /* of heads */

/* --- names and keys --- */

void message_name_contact(struct message_name *n, uint64_t contact)
{
    n->b[0] = 'c';
    be64_put(n->b + 1, contact);
    n->len = 9;
}

void message_name_stranger(struct message_name *n, const uint8_t key[IDENTITY_KEY_SIZE],
                           const uint8_t ours[IDENTITY_KEY_SIZE])
{
    n->b[0] = 'k';
    memcpy(n->b + 1, key, IDENTITY_KEY_SIZE);
    memcpy(n->b + 1 + IDENTITY_KEY_SIZE, ours, IDENTITY_KEY_SIZE);
    n->len = sizeof n->b;
}

static void add_bytes(struct message_key *k, const void *data, size_t len)
{
    memcpy(k->b + k->len, data, len);
    k->len += len;
}

static void add_number(struct message_key *k, uint64_t v)
{
    be64_put(k->b + k->len, v);
    k->len += 8;
}

static struct message_key key_of(const char *prefix)
{
    struct message_key k = { .len = 0 };
    add_bytes(&k, prefix, strlen(prefix));
    return k;
}

struct message_key message_key_number(enum message_table table, uint64_t number)
{
    struct message_key k = key_of("i");
    k.b[k.len++] = (uint8_t)table;
    add_number(&k, number);
    return k;
}

bool message_key_has_number(struct span key, enum message_table table, uint64_t *number)
{
    if (key.len != 10 || key.data[0] != 'i' || key.data[1] != (uint8_t)table)
        return false;
    *number = be64_get(key.data + 2);
    return true;
}

struct message_key message_key_index(enum message_index index, const struct message_name *n,
                                     const uint8_t id[MESSAGE_ID_SIZE])
{
    struct message_key k = key_of("i");
    k.b[k.len++] = (uint8_t)index;
    add_bytes(&k, n->b, n->len);
    add_bytes(&k, id, MESSAGE_ID_SIZE);
    return k;
}

struct message_key message_key_outbox(const uint8_t key[IDENTITY_KEY_SIZE], uint64_t created_ms,
                                      const uint8_t id[MESSAGE_ID_SIZE])
{
    struct message_key k = key_of("o");
    add_bytes(&k, key, IDENTITY_KEY_SIZE);
    add_number(&k, created_ms);
    add_bytes(&k, id, MESSAGE_ID_SIZE);
    return k;
}

static struct message_key seen_key(const struct message_name *n, const char *what)
{
    struct message_key k = key_of("s");
    add_bytes(&k, n->b, n->len);
    add_bytes(&k, what, 1);
    return k;
}

struct message_key message_key_seen(const struct message_name *n, const uint8_t id[MESSAGE_ID_SIZE])
{
    struct message_key k = seen_key(n, "i");
    add_bytes(&k, id, MESSAGE_ID_SIZE);
    return k;
}

struct message_key message_key_seen_time(const struct message_name *n, uint64_t until_ms,
                                         const uint8_t id[MESSAGE_ID_SIZE])
{
    struct message_key k = seen_key(n, "t");
    add_number(&k, until_ms);
    add_bytes(&k, id, MESSAGE_ID_SIZE);
    return k;
}

struct message_key message_key_seen_count(const struct message_name *n) { return seen_key(n, "n"); }

struct message_key message_key_unread(const struct message_name *n)
{
    struct message_key k = key_of("ik");
    add_bytes(&k, n->b, n->len);
    return k;
}

struct message_key message_key_order(const struct message_name *n)
{
    struct message_key k = key_of("n");
    add_bytes(&k, n->b, n->len);
    return k;
}

struct message_key message_key_last(void) { return key_of("n"); }

/* --- heads --- */

enum { HEAD_OURS = 1, HEAD_SEQ = 2, HEAD_REPLY = 4, HEAD_THREAD = 8, HEAD_LATE = 16,
       HEAD_RESET = 32 };

const char *message_state_name(enum message_state s)
{
    static const char *const names[] = {
        [MESSAGE_STATE_UNREAD] = "unread",       [MESSAGE_STATE_READ] = "read",
        [MESSAGE_STATE_QUEUED] = "queued",       [MESSAGE_STATE_SENT] = "sent",
        [MESSAGE_STATE_DELIVERED] = "delivered", [MESSAGE_STATE_SEEN] = "read",
        [MESSAGE_STATE_REFUSED] = "refused",     [MESSAGE_STATE_EXPIRED] = "expired",
        [MESSAGE_STATE_CANCELLED] = "cancelled",
    };
    return names[s];
}

static uint8_t flags_of(const struct message_head *h)
{
    return (uint8_t)((h->ours ? HEAD_OURS : 0) | (h->has_seq ? HEAD_SEQ : 0) |
                     (h->has_reply_to ? HEAD_REPLY : 0) | (h->has_thread ? HEAD_THREAD : 0) |
                     (h->late ? HEAD_LATE : 0) | (h->reset ? HEAD_RESET : 0));
}

static void set_flags(struct message_head *h, uint8_t flags)
{
    h->ours = flags & HEAD_OURS;
    h->has_seq = flags & HEAD_SEQ;
    h->has_reply_to = flags & HEAD_REPLY;
    h->has_thread = flags & HEAD_THREAD;
    h->late = flags & HEAD_LATE;
    h->reset = flags & HEAD_RESET;
}

void message_head_write(struct buf *b, const struct message_head *h)
{
    buf_put_u8(b, VERSION);
    buf_put_u8(b, flags_of(h));
    buf_put_u8(b, (uint8_t)h->state);
    buf_put_be64(b, h->contact);
    buf_put(b, h->key, sizeof h->key);
    buf_put(b, h->our_key, sizeof h->our_key);
    buf_put(b, h->id, sizeof h->id);
    buf_put_be64(b, h->created_ms);
    buf_put_be64(b, h->stored_ms);
    buf_put_be64(b, h->ended_ms);
    buf_put_be64(b, h->read_ms);
    buf_put_be32(b, h->ttl);
    buf_put_be64(b, h->seq);
    buf_put_be64(b, h->missing);
    buf_put_be16(b, h->code);
    buf_put(b, h->reply_to, sizeof h->reply_to);
    buf_put(b, h->thread, sizeof h->thread);
    buf_put_v8(b, span_of(h->content_type, h->content_type_len));
    buf_put_be32(b, h->body_len);
}

static void read_times(struct message_head *h, struct reader *r)
{
    h->created_ms = read_be64(r);
    h->stored_ms = read_be64(r);
    h->ended_ms = read_be64(r);
    h->read_ms = read_be64(r);
    h->ttl = read_be32(r);
}

bool message_head_read(struct message_head *h, uint64_t number, struct span value)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    *h = (struct message_head){ .number = number };
    r.failed |= read_u8(&r) != VERSION;
    set_flags(h, read_u8(&r));
    const uint8_t state = read_u8(&r);
    r.failed |= state < MESSAGE_STATE_UNREAD || state > MESSAGE_STATE_CANCELLED;
    h->state = (enum message_state)state;
    h->contact = read_be64(&r);
    read_copy(&r, h->key, sizeof h->key);
    read_copy(&r, h->our_key, sizeof h->our_key);
    read_copy(&r, h->id, sizeof h->id);
    read_times(h, &r);
    h->seq = read_be64(&r);
    h->missing = read_be64(&r);
    h->code = read_be16(&r);
    read_copy(&r, h->reply_to, sizeof h->reply_to);
    read_copy(&r, h->thread, sizeof h->thread);
    const struct span type = read_v8(&r, sizeof h->content_type);
    h->content_type_len = (uint8_t)type.len;
    if (type.len)
        memcpy(h->content_type, type.data, type.len);
    h->body_len = read_be32(&r);
    return reader_done(&r);
}

void message_head_name(const struct message_head *h, struct message_name *n)
{
    if (h->contact)
        message_name_contact(n, h->contact);
    else
        message_name_stranger(n, h->key, h->our_key);
}

/* --- order --- */

void message_order_write(struct buf *b, const struct message_order *o)
{
    buf_put_be64(b, o->sent);
    buf_put_be64(b, o->seen);
    for (size_t i = 0; i < o->n_gaps; i++) {
        buf_put_be64(b, o->gaps[i].first);
        buf_put_be64(b, o->gaps[i].last);
    }
}

bool message_order_read(struct message_order *o, struct span value)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    *o = (struct message_order){ .sent = read_be64(&r) };
    o->seen = read_be64(&r);
    while (r.left && !r.failed && o->n_gaps < MESSAGE_GAPS_MAX) {
        o->gaps[o->n_gaps].first = read_be64(&r);
        o->gaps[o->n_gaps++].last = read_be64(&r);
    }
    return reader_done(&r);
}

static void remove_gap(struct message_order *o, size_t i)
{
    memmove(&o->gaps[i], &o->gaps[i + 1], (--o->n_gaps - i) * sizeof o->gaps[0]);
}

/* True: it lengthens one that is there. */
static bool extend_gap(struct message_order *o, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < o->n_gaps; i++) {
        struct message_gap *g = &o->gaps[i];
        if (g->last + 1 != first && last + 1 != g->first)
            continue;
        g->first = MIN_OF(g->first, first);
        g->last = MAX_OF(g->last, last);
        return true;
    }
    return false;
}

/* At its place; when there is none left, the lowest goes. */
static void insert_gap(struct message_order *o, uint64_t first, uint64_t last)
{
    size_t i = 0;
    if (extend_gap(o, first, last))
        return;
    if (o->n_gaps == MESSAGE_GAPS_MAX)
        remove_gap(o, 0);
    while (i < o->n_gaps && o->gaps[i].first < first)
        i++;
    memmove(&o->gaps[i + 1], &o->gaps[i], (o->n_gaps++ - i) * sizeof o->gaps[0]);
    o->gaps[i] = (struct message_gap){ first, last };
}

static bool fill_gap(struct message_order *o, uint64_t seq)
{
    for (size_t i = 0; i < o->n_gaps; i++) {
        struct message_gap g = o->gaps[i];
        if (seq < g.first || seq > g.last)
            continue;
        remove_gap(o, i);
        if (seq < g.last)
            insert_gap(o, seq + 1, g.last);
        if (g.first < seq)
            insert_gap(o, g.first, seq - 1);
        return true;
    }
    return false;
}

void message_order_take(struct message_order *o, uint64_t seq, struct message_head *h)
{
    if (seq <= o->seen) {
        h->late = fill_gap(o, seq);
        h->reset = !h->late;
        return;
    }
    h->missing = seq - o->seen - 1;
    if (h->missing)
        insert_gap(o, o->seen + 1, seq - 1);
    o->seen = seq;
}

void message_order_untake(struct message_order *o, uint64_t seq) { insert_gap(o, seq, seq); }

/* --- outbox, entries --- */

void message_outbox_write(struct buf *b, const struct message_outbox *o)
{
    buf_put_be64(b, o->contact);
    buf_put_be64(b, o->number);
    buf_put_be32(b, o->ttl);
    buf_put_be32(b, o->bytes);
}

bool message_outbox_read(struct message_outbox *o, struct span key, struct span value)
{
    struct reader k, v;
    reader_init(&k, key.data, key.len);
    reader_init(&v, value.data, value.len);
    k.failed |= read_u8(&k) != 'o';
    read_copy(&k, o->key, sizeof o->key);
    o->created_ms = read_be64(&k);
    read_copy(&k, o->id, sizeof o->id);
    o->contact = read_be64(&v);
    o->number = read_be64(&v);
    o->ttl = read_be32(&v);
    o->bytes = read_be32(&v);
    return reader_done(&k) && reader_done(&v);
}

void message_entry_write(struct buf *b, const struct message_entry *x)
{
    buf_put_u8(b, x->kind);
    buf_put_be64(b, x->number);
    buf_put(b, x->id, sizeof x->id);
    buf_put(b, x->key, sizeof x->key);
    buf_put_u8(b, (uint8_t)x->state);
}

bool message_entry_read(struct message_entry *x, struct span value)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    x->kind = read_u8(&r);
    x->number = read_be64(&r);
    read_copy(&r, x->id, sizeof x->id);
    read_copy(&r, x->key, sizeof x->key);
    const uint8_t state = read_u8(&r);
    x->state = (enum message_state)state;
    r.failed |= state > MESSAGE_STATE_CANCELLED;
    return reader_done(&r);
}

/* --- reading --- */

enum err message_head_load(struct kv *kv, uint64_t number, struct message_head *h, struct error *e)
{
    const struct message_key key = message_key_number(TABLE_HEAD, number);
    struct buf value;
    bool found;
    buf_init(&value);
    enum err rc = kv_get(kv, key.b, key.len, &value, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_NOTFOUND, "there is no message %llu", (unsigned long long)number);
    else if (!rc && !message_head_read(h, number, buf_span(&value)))
        rc = error_set(e, ERR_CORRUPT, "message %llu cannot be understood",
                       (unsigned long long)number);
    buf_clear(&value);
    return rc;
}

enum err message_body_load(struct kv *kv, uint64_t number, struct buf *out, struct error *e)
{
    const struct message_key key = message_key_number(TABLE_BODY, number);
    bool found;
    enum err rc = kv_get(kv, key.b, key.len, out, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_NOTFOUND, "message %llu has no body", (unsigned long long)number);
    return rc;
}

enum err message_last_load(struct kv *kv, uint64_t *number, uint64_t *bytes, struct error *e)
{
    const struct message_key key = message_key_last();
    struct buf value;
    bool found;
    buf_init(&value);
    enum err rc = kv_get(kv, key.b, key.len, &value, &found, e);
    struct reader r;
    reader_init(&r, value.data, value.len);
    *number = found ? read_be64(&r) : 0;
    *bytes = found ? read_be64(&r) : 0;
    if (!rc && !reader_done(&r))
        rc = error_set(e, ERR_CORRUPT, "the last number of messages cannot be understood");
    buf_clear(&value);
    return rc;
}

enum err message_order_load(struct kv *kv, const struct message_name *n, struct message_order *o,
                            struct error *e)
{
    const struct message_key key = message_key_order(n);
    struct buf value;
    bool found;
    buf_init(&value);
    *o = (struct message_order){ .sent = 0 };
    enum err rc = kv_get(kv, key.b, key.len, &value, &found, e);
    if (!rc && found && !message_order_read(o, buf_span(&value)))
        rc = error_set(e, ERR_CORRUPT, "an order of messages cannot be understood");
    buf_clear(&value);
    return rc;
}

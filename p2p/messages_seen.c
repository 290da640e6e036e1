/*
 * Ids that were taken: a sender that did not get our acknowledgement sends again, and the message
 * must not be shown twice. They are kept until no honest sender can send them any more; of one peer
 * at most limits.seen, so that the first to be forgotten are those whose time is over first.
 */
#include "p2p/messages_internal.h"

#include <string.h>

#include "base/intmath.h"

#define LEAVE_AT_ONCE 4   /* with each new one: more than come */
#define CLEAN_AT_ONCE 256

static enum err is_there(struct kv *kv, const struct message_name *n,
                         const uint8_t id[MESSAGE_ID_SIZE], bool *found, struct error *e)
{
    const struct message_key key = message_key_seen(n, id);
    struct buf value;
    buf_init(&value);
    const enum err rc = kv_get(kv, key.b, key.len, &value, found, e);
    buf_clear(&value);
    return rc;
}

/* A contact may have been a stranger when it first sent this. */
enum err seen_find(struct message_party *p, const uint8_t id[MESSAGE_ID_SIZE], bool *found,
                   struct error *e)
{
    struct message_name before;
    enum err rc = is_there(p->m->kv, &p->name, id, found, e);
    if (rc || *found || !p->peer.contact)
        return rc;
    message_name_stranger(&before, p->peer.key, p->peer.ours);
    return is_there(p->m->kv, &before, id, found, e);
}

enum err seen_load(struct message_party *p, struct error *e)
{
    const struct message_key key = message_key_seen_count(&p->name);
    struct buf value;
    bool found;
    buf_init(&value);
    const enum err rc = kv_get(p->m->kv, key.b, key.len, &value, &found, e);
    p->seen = !rc && found && value.len == 4 ? be32_get(value.data) : 0;
    buf_clear(&value);
    return rc;
}

/* Both rows of an id. until: as the row of its time has it. */
static void forget(struct dchan_write *w, const struct message_name *n, uint64_t until_ms,
                   const uint8_t id[MESSAGE_ID_SIZE])
{
    const struct message_key a = message_key_seen(n, id);
    const struct message_key b = message_key_seen_time(n, until_ms, id);
    write_delete(w, &a);
    write_delete(w, &b);
}

/* The time of a row 't', whose key ends with time and id. */
static uint64_t time_of(struct span key)
{
    return be64_get(key.data + key.len - MESSAGE_ID_SIZE - 8);
}

static const uint8_t *id_of(struct span key) { return key.data + key.len - MESSAGE_ID_SIZE; }

/* What is still being written is not seen here and leaves with a later one. */
static enum err make_room(struct message_party *p, struct dchan_write *w, struct error *e)
{
    const struct messages *m = p->m;
    const uint64_t now = messages_unix_ms(m);
    struct message_key prefix = message_key_seen_time(&p->name, 0, p->peer.key);
    struct kv_iter *it = kv_iter_new(m->kv);
    const uint32_t before = p->seen;
    size_t n = 0;
    prefix.len -= MESSAGE_ID_SIZE + 8;
    for (kv_iter_seek(it, prefix.b, prefix.len);
         kv_iter_valid(it) && key_has_prefix(kv_iter_key(it), &prefix) && n < LEAVE_AT_ONCE;
         kv_iter_next(it), n++) {
        const struct span key = kv_iter_key(it);
        if (time_of(key) > now && p->seen < m->limits.seen)
            break;
        forget(w, &p->name, time_of(key), id_of(key));
        p->seen -= p->seen > 0;
    }
    const enum err rc = kv_iter_error(it, e);
    kv_iter_free(it);
    if (rc)
        p->seen = before;
    return rc;
}

enum err seen_add(struct message_party *p, struct dchan_write *w,
                  const uint8_t id[MESSAGE_ID_SIZE], uint64_t until_ms, struct error *e)
{
    const struct message_key by_id = message_key_seen(&p->name, id);
    const struct message_key by_time = message_key_seen_time(&p->name, until_ms, id);
    const struct message_key count = message_key_seen_count(&p->name);
    uint8_t number[8];
    const enum err rc = make_room(p, w, e);
    if (rc)
        return rc;
    be64_put(number, until_ms);
    dchan_write_put(w, by_id.b, by_id.len, number, sizeof number);
    dchan_write_put(w, by_time.b, by_time.len, NULL, 0);
    be32_put(number, ++p->seen);
    dchan_write_put(w, count.b, count.len, number, 4);
    return OK;
}

/* --- those of peers that never come again --- */

/* A key of the table: whose it is and which row. False: it is another one. */
static bool parse(struct span key, struct message_name *n, uint8_t *row)
{
    if (key.len < 2 || key.data[0] != 's')
        return false;
    n->len = key.data[1] == 'c' ? 9 : sizeof n->b;
    if (key.len < 1 + n->len + 1)
        return false;
    memcpy(n->b, key.data + 1, n->len);
    *row = key.data[1 + n->len];
    return true;
}

/* What leaves of one peer; rows of one stand together. */
struct cleaning {
    struct messages *m;
    struct dchan_write *w;
    struct message_name name;
    uint32_t n;
    bool any;
};

/* A count that stayed too high would have ids forgotten that are needed. One that cannot be read
 * now is said by who reads it next. */
static void lower_count(struct cleaning *c)
{
    const struct message_key key = message_key_seen_count(&c->name);
    struct message_party *p = party_find(c->m, &c->name);
    struct message_party stored = { .m = c->m, .name = c->name };
    const uint32_t n = c->n;
    uint8_t number[4];
    if (!p || !p->loaded)
        p = &stored;
    c->n = 0;
    if (n == 0 || (p == &stored && seen_load(p, NULL)))
        return;
    p->seen -= MIN_OF(p->seen, n);
    be32_put(number, p->seen);
    if (p->seen)
        dchan_write_put(c->w, key.b, key.len, number, sizeof number);
    else
        write_delete(c->w, &key);
}

static void clean_row(struct cleaning *c, struct span key)
{
    struct message_name n;
    uint8_t row;
    if (!parse(key, &n, &row) || row != 't' || time_of(key) > messages_unix_ms(c->m))
        return;
    if (c->name.len != n.len || memcmp(c->name.b, n.b, n.len) != 0) {
        lower_count(c);
        c->name = n;
    }
    forget(c->w, &n, time_of(key), id_of(key));
    c->n++;
    c->any = true;
}

static void clean_done(void *ctx, enum err rc, const struct error *e)
{
    struct messages *m = ctx;
    m->cleaning = false;
    m->writes--;
    note_write(m, rc, e);
}

void seen_clean(struct messages *m)
{
    static const struct message_key table = { { 's' }, 1 };
    const struct message_key *from = m->clean.len ? &m->clean : &table;
    struct cleaning c = { .m = m, .w = dchan_write_new(m->store) };
    struct kv_iter *it = kv_iter_new(m->kv);
    size_t n = 0;
    struct message_key next = { .len = 0 };
    for (kv_iter_seek(it, from->b, from->len);
         kv_iter_valid(it) && key_has_prefix(kv_iter_key(it), &table); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        if (n++ == CLEAN_AT_ONCE && key.len <= sizeof next.b) {
            memcpy(next.b, key.data, key.len);
            next.len = key.len;
            break;
        }
        clean_row(&c, key);
    }
    kv_iter_free(it);
    lower_count(&c);
    m->clean = next;
    if (!c.any) {
        dchan_write_free(c.w);
        return;
    }
    m->cleaning = true;
    m->writes++;
    dchan_store_commit(m->store, c.w, clean_done, m);
}

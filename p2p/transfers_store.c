/*
 * What transfers keep in the store of the channels. Numbers are big-endian; texts are v8 or v16.
 * Every value of 'f' begins with a version, u8 1, or 2 where money is in it, which then stands at
 * the end.
 *
 *   'f' 'o' id 32 | contact u64   an offer of ours: state u8, code u16, flags u8 (1: the peer does
 *                                 not know its end), created u64, changed u64, size u64, device
 *                                 u64, inode u64, changed_ns u64, path v16, name v8; price u64
 *   'f' 'i' id 32                 a file for us: state u8, code u16, size u64, created u64, changed
 *                                 u64, transferred u64, name v8, content type v8, note v16,
 *                                 directory v16, where it is saved v16; limit u64, spent u64
 *   'f' 's' id 32 | contact u64 | key 33   who offers it: offered u64, flags u8 (1 accepted, 2
 *                                 banned, 4 does not know its end), bad u16; price u64
 *   'f' 'e' entry u64             news for the event log, without a version: see transfers_news.c
 *   'l' 'o'|'i' id 32             the leaves, 32 bytes each
 *   'b' id 32                     a bit for each chunk that is there
 */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/reader.h"
#include "p2p/transfers_internal.h"

#define VERSION 1      /* of what is free */
#define VERSION_PAID 2
#define PATH_BYTES_MAX 4096
enum { FLAG_UNTOLD_OFFER = 1 };
enum { FLAG_ACCEPTED = 1, FLAG_BANNED = 2, FLAG_UNTOLD = 4 };

/* --- keys --- */

struct key {
    uint8_t v[2 + 32 + 8 + IDENTITY_KEY_SIZE];
    size_t len;
};

static struct key key_of(char table, char kind, const uint8_t id[32])
{
    struct key k = { .v = { (uint8_t)table } };
    k.len = 1;
    if (kind)
        k.v[k.len++] = (uint8_t)kind;
    memcpy(k.v + k.len, id, 32);
    k.len += 32;
    return k;
}

static struct key outgoing_key(const struct outgoing *o)
{
    struct key k = key_of('f', 'o', o->id);
    be64_put(k.v + k.len, o->contact_id);
    k.len += 8;
    return k;
}

static struct key source_key(const struct incoming *in, const struct source *s)
{
    struct key k = key_of('f', 's', in->id);
    be64_put(k.v + k.len, s->contact_id);
    memcpy(k.v + k.len + 8, s->key, IDENTITY_KEY_SIZE);
    k.len += 8 + IDENTITY_KEY_SIZE;
    return k;
}

static void put_value(struct dchan_write *w, struct key k, struct buf *value)
{
    dchan_write_put(w, k.v, k.len, value->data, value->len);
    buf_clear(value);
}

static void erase(struct dchan_write *w, struct key k) { dchan_write_delete(w, k.v, k.len); }

static struct span text(const char *s) { return span_of(s, s ? strlen(s) : 0); }

/* --- writing --- */

/* Who waits for a write. The store ends before the transfers do. */
struct kept {
    struct transfers *t;
    kept_fn then;
    void *ctx;
};

struct kept *kept_new(struct transfers *t, kept_fn then, void *ctx)
{
    struct kept *k = xcalloc(1, sizeof *k);
    *k = (struct kept){ t, then, ctx };
    return k;
}

static void on_kept(void *ctx, enum err rc, const struct error *e)
{
    struct kept *k = ctx;
    k->then(k->t, k->ctx, rc, e);
    free(k);
}

void transfers_commit(struct transfers *t, struct dchan_write *w, struct kept *k)
{
    dchan_store_commit(t->store, w, k ? on_kept : NULL, k);
}

static void answer_stored(struct transfers *t, void *ctx, enum err rc, const struct error *e)
{
    if (channels_is_waiting(t->channels, ctx))
        channels_answer(t->channels, ctx, rc, e);
}

struct kept *transfers_answer_when_stored(struct transfers *t, struct channels_request *r)
{
    return kept_new(t, answer_stored, r);
}

void outgoing_store(struct transfers *t, const struct outgoing *o, const uint8_t *leaves,
                    struct kept *k)
{
    struct dchan_write *w = dchan_write_new(t->store);
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, o->price ? VERSION_PAID : VERSION);
    buf_put_u8(&b, (uint8_t)o->state);
    buf_put_be16(&b, (uint16_t)o->code);
    buf_put_u8(&b, o->untold ? FLAG_UNTOLD_OFFER : 0);
    buf_put_be64(&b, o->created_ms);
    buf_put_be64(&b, o->changed_ms);
    buf_put_be64(&b, o->mark.size);
    buf_put_be64(&b, o->mark.device);
    buf_put_be64(&b, o->mark.inode);
    buf_put_be64(&b, o->mark.changed_ns);
    buf_put_v16(&b, text(o->path));
    buf_put_v8(&b, text(o->name));
    if (o->price)
        buf_put_be64(&b, o->price);
    put_value(w, outgoing_key(o), &b);
    if (leaves) {
        const struct key leaf_key = key_of('l', 'o', o->id);
        dchan_write_put(w, leaf_key.v, leaf_key.len, leaves,
                        32 * (size_t)dchan_chunk_count(o->mark.size));
    }
    transfers_commit(t, w, k);
}

static bool is_offered_to_others(const struct transfers *t, const struct outgoing *o)
{
    for (struct list_link *l = list_first(&t->outgoing); l; l = list_next(&t->outgoing, l)) {
        const struct outgoing *other = LIST_ITEM(l, struct outgoing, link);
        if (other != o && memcmp(other->id, o->id, 32) == 0)
            return true;
    }
    return false;
}

void outgoing_erase(struct transfers *t, const struct outgoing *o)
{
    struct dchan_write *w = dchan_write_new(t->store);
    erase(w, outgoing_key(o));
    if (!is_offered_to_others(t, o))
        erase(w, key_of('l', 'o', o->id));
    transfers_commit(t, w, NULL);
}

static void put_source(struct dchan_write *w, const struct incoming *in, const struct source *s)
{
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, s->price ? VERSION_PAID : VERSION);
    buf_put_be64(&b, s->offered_ms);
    buf_put_u8(&b, (uint8_t)((s->accepted ? FLAG_ACCEPTED : 0) | (s->banned ? FLAG_BANNED : 0) |
                             (s->untold ? FLAG_UNTOLD : 0)));
    buf_put_be16(&b, (uint16_t)s->bad);
    if (s->price)
        buf_put_be64(&b, s->price);
    put_value(w, source_key(in, s), &b);
}

/* With who offers it: neither means anything without the other. */
static void put_incoming(struct dchan_write *w, const struct incoming *in)
{
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, in->max ? VERSION_PAID : VERSION);
    buf_put_u8(&b, (uint8_t)in->state);
    buf_put_be16(&b, (uint16_t)in->code);
    buf_put_be64(&b, in->size);
    buf_put_be64(&b, in->created_ms);
    buf_put_be64(&b, in->changed_ms);
    buf_put_be64(&b, in->transferred);
    buf_put_v8(&b, buf_span(&in->name));
    buf_put_v8(&b, buf_span(&in->content_type));
    buf_put_v16(&b, buf_span(&in->note));
    buf_put_v16(&b, text(in->directory));
    buf_put_v16(&b, text(in->saved));
    if (in->max) {
        buf_put_be64(&b, in->max);
        buf_put_be64(&b, in->spent);
    }
    put_value(w, key_of('f', 'i', in->id), &b);
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l))
        put_source(w, in, LIST_ITEM(l, struct source, link));
}

void incoming_store(struct transfers *t, const struct incoming *in, struct kept *k)
{
    struct dchan_write *w = dchan_write_new(t->store);
    put_incoming(w, in);
    transfers_commit(t, w, k);
}

void incoming_store_news(struct transfers *t, const struct incoming *in,
                         enum transfer_news_kind kind, struct kept *k)
{
    struct dchan_write *w = dchan_write_new(t->store);
    put_incoming(w, in);
    file_news_write(t, w, in, kind);
    transfers_commit(t, w, k);
}

void incoming_store_leaves(struct transfers *t, const struct incoming *in)
{
    struct dchan_write *w = dchan_write_new(t->store);
    const struct key k = key_of('l', 'i', in->id);
    dchan_write_put(w, k.v, k.len, in->leaves, 32 * (size_t)in->n);
    transfers_commit(t, w, NULL);
}

void incoming_store_bits(struct transfers *t, const struct incoming *in, const uint8_t *bits)
{
    struct dchan_write *w = dchan_write_new(t->store);
    const struct key k = key_of('b', 0, in->id);
    dchan_write_put(w, k.v, k.len, bits, bits_size(in->n));
    if (in->max)
        put_incoming(w, in);
    transfers_commit(t, w, NULL);
}

void incoming_erase_work(struct transfers *t, const struct incoming *in)
{
    struct dchan_write *w = dchan_write_new(t->store);
    erase(w, key_of('l', 'i', in->id));
    erase(w, key_of('b', 0, in->id));
    transfers_commit(t, w, NULL);
}

void incoming_erase(struct transfers *t, const struct incoming *in)
{
    struct dchan_write *w = dchan_write_new(t->store);
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l))
        erase(w, source_key(in, LIST_ITEM(l, struct source, link)));
    erase(w, key_of('f', 'i', in->id));
    erase(w, key_of('l', 'i', in->id));
    erase(w, key_of('b', 0, in->id));
    transfers_commit(t, w, NULL);
}

void source_store(struct transfers *t, const struct incoming *in, const struct source *s)
{
    struct dchan_write *w = dchan_write_new(t->store);
    put_source(w, in, s);
    transfers_commit(t, w, NULL);
}

void source_erase(struct transfers *t, const struct incoming *in, const struct source *s)
{
    struct dchan_write *w = dchan_write_new(t->store);
    erase(w, source_key(in, s));
    transfers_commit(t, w, NULL);
}

/* --- reading --- */

static enum err corrupt(struct error *e)
{
    return error_set(e, ERR_CORRUPT, "a record of a file transfer is damaged, or of a newer "
                                     "version");
}

static char *read_text16(struct reader *r)
{
    const struct span s = read_v16(r, PATH_BYTES_MAX);
    return s.len ? xstrndup((const char *)s.data, s.len) : NULL;
}

static bool is_known(uint8_t version) { return version == VERSION || version == VERSION_PAID; }

static bool read_outgoing(struct outgoing *o, struct reader *r)
{
    const uint8_t version = read_u8(r);
    o->state = (enum transfer_state)read_u8(r);
    o->code = read_be16(r);
    o->untold = read_u8(r) & FLAG_UNTOLD_OFFER;
    o->created_ms = read_be64(r);
    o->changed_ms = read_be64(r);
    o->mark.size = read_be64(r);
    o->mark.device = read_be64(r);
    o->mark.inode = read_be64(r);
    o->mark.changed_ns = read_be64(r);
    o->path = read_text16(r);
    const struct span name = read_v8(r, DCHAN_NAME_MAX);
    if (name.len)
        memcpy(o->name, name.data, name.len);
    o->price = version == VERSION_PAID ? read_be64(r) : 0;
    return is_known(version) && o->price <= BILL_PRICE_MAX && reader_done(r) && o->path &&
           o->state < TRANSFER_STATES && o->mark.size <= DCHAN_FILE_MAX;
}

static enum err load_outgoing(struct transfers *t, struct span key, struct reader *r,
                              struct error *e)
{
    if (key.len != 2 + 32 + 8)
        return corrupt(e);
    struct outgoing *o = xcalloc(1, sizeof *o);
    list_append(&t->outgoing, &o->link);
    memcpy(o->id, key.data + 2, 32);
    o->contact_id = be64_get(key.data + 34);
    return read_outgoing(o, r) ? OK : corrupt(e);
}

static void read_span(struct buf *out, struct span s) { buf_put(out, s.data, s.len); }

static enum err load_incoming(struct transfers *t, struct span key, struct reader *r,
                              struct error *e)
{
    const uint8_t version = read_u8(r);
    const uint8_t state = read_u8(r);
    const uint16_t code = read_be16(r);
    const uint64_t size = read_be64(r);
    if (!is_known(version) || r->failed || state >= TRANSFER_STATES || size > DCHAN_FILE_MAX ||
        key.len != 2 + 32)
        return corrupt(e);
    struct incoming *in = incoming_new(t, key.data + 2, size);
    in->state = (enum transfer_state)state;
    in->code = code;
    in->created_ms = read_be64(r);
    in->changed_ms = read_be64(r);
    in->transferred = read_be64(r);
    read_span(&in->name, read_v8(r, DCHAN_NAME_MAX));
    read_span(&in->content_type, read_v8(r, UINT8_MAX));
    read_span(&in->note, read_v16(r, DCHAN_NOTE_MAX));
    in->directory = read_text16(r);
    in->saved = read_text16(r);
    if (version == VERSION_PAID) {
        in->max = read_be64(r);
        in->spent = read_be64(r);
    }
    in->save_due = in->state == TRANSFER_DONE && in->directory && !in->saved;
    if (in->state == TRANSFER_DONE && in->saved)
        disk_remove(t, in->id); /* unless that was done */
    return reader_done(r) ? OK : corrupt(e);
}

/* One whose file has left says nothing. */
static void drop_row(struct transfers *t, struct span key)
{
    struct dchan_write *w = dchan_write_new(t->store);
    dchan_write_delete(w, key.data, key.len);
    transfers_commit(t, w, NULL);
}

static enum err load_source(struct transfers *t, struct span key, struct reader *r,
                            struct error *e)
{
    const uint8_t version = read_u8(r);
    if (key.len != 2 + 32 + 8 + IDENTITY_KEY_SIZE || !is_known(version))
        return corrupt(e);
    struct incoming *in = incoming_find(t, key.data + 2);
    if (!in) {
        drop_row(t, key);
        return OK;
    }
    struct source *s = source_add(in, be64_get(key.data + 34), key.data + 42);
    s->offered_ms = read_be64(r);
    const uint8_t flags = read_u8(r);
    s->accepted = flags & FLAG_ACCEPTED;
    s->banned = flags & FLAG_BANNED;
    s->untold = flags & FLAG_UNTOLD;
    s->bad = read_be16(r);
    s->price = version == VERSION_PAID ? read_be64(r) : 0;
    if (s->price > BILL_PRICE_MAX)
        return corrupt(e);
    purchase_begin(in, s);
    return reader_done(r) ? OK : corrupt(e);
}

/* Kinds sort so that files come before who offers them. */
static enum err load_row(struct transfers *t, struct span key, struct span value, struct error *e)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    switch (key.len > 1 ? key.data[1] : 0) {
    case 'e':
        file_news_load(t, key);
        return OK;
    case 'i':
        return load_incoming(t, key, &r, e);
    case 'o':
        return load_outgoing(t, key, &r, e);
    case 's':
        return load_source(t, key, &r, e);
    default:
        return corrupt(e);
    }
}

static enum err count_bits(struct transfers *t, struct incoming *in, struct error *e)
{
    struct buf bits;
    bool found = false;
    buf_init(&bits);
    const enum err rc = bits_load(dchan_store_kv(t->store), in->id, &bits, &found, e);
    if (!rc && bits.len == bits_size(in->n))
        (void)incoming_count(in, bits.data, &in->good);
    buf_clear(&bits);
    char *whole = disk_path(t, in->id, false);
    in->whole = path_exists(whole) || (in->size && in->good == in->size);
    free(whole);
    return rc;
}

static enum err load_progress(struct transfers *t, struct error *e)
{
    enum err rc = OK;
    for (struct list_link *l = list_first(&t->incoming); !rc && l; l = list_next(&t->incoming, l)) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        if (in->state == TRANSFER_RUNNING)
            rc = count_bits(t, in, e);
    }
    return rc;
}

enum err transfers_load(struct transfers *t, struct error *e)
{
    struct kv_iter *it = kv_iter_new(dchan_store_kv(t->store));
    enum err rc = OK;
    for (kv_iter_seek(it, "f", 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        if (key.data[0] != 'f')
            break;
        rc = load_row(t, key, kv_iter_value(it), e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc ? rc : load_progress(t, e);
}

enum err leaves_load(struct kv *kv, bool sending, const uint8_t id[32], struct buf *out,
                     bool *found, struct error *e)
{
    const struct key k = key_of('l', sending ? 'o' : 'i', id);
    return kv_get(kv, k.v, k.len, out, found, e);
}

enum err bits_load(struct kv *kv, const uint8_t id[32], struct buf *out, bool *found,
                   struct error *e)
{
    const struct key k = key_of('b', 0, id);
    return kv_get(kv, k.v, k.len, out, found, e);
}

/*
 * The rows of the store. Integers in keys are big-endian, so that they sort; elsewhere
 * little-endian. Ids are in wire order.
 *
 *   V                       u32 format version
 *   B                       best block: hash, i32 height
 *   R                       i32 height that a rescan needs next
 *   t id                    record of a transaction (record_put)
 *   r id                    its bytes
 *   u id                    empty: it is unconfirmed
 *   o ~u64 order            id; the newest comes first
 *   h u32 height, u32 place id: what a block has of ours
 *   c outpoint              coin of ours that no confirmed transaction spends
 *   s outpoint              coin of ours that one spends: the same, id and i32 height of it
 *   x outpoint              id and i32 height of a confirmed transaction that spends what an
 *                           unconfirmed one of ours claims
 *
 * Bytes of transactions have rows of their own, so that a confirmation does not write them again.
 */
#include <config.h>

#include "base/reader.h"
#include "wallet/history_internal.h"

#define FORMAT_VERSION 1
#define ID_KEY_SIZE 33
#define OUTPOINT_KEY_SIZE 37
#define ORDER_KEY_SIZE 9
#define PLACE_KEY_SIZE 9

enum { RECORD_COINBASE = 1, RECORD_FROM_US = 2, RECORD_ABANDONED = 4, RECORD_TOLD = 8 };

static enum err corrupt(struct error *e, const char *what)
{
    return error_set(e, ERR_CORRUPT, "wallet history: %s is damaged", what);
}

static void id_key(uint8_t key[ID_KEY_SIZE], char kind, const struct txid *id)
{
    key[0] = (uint8_t)kind;
    memcpy(key + 1, id->b, 32);
}

static void outpoint_key(uint8_t key[OUTPOINT_KEY_SIZE], char kind, const struct outpoint *at)
{
    id_key(key, kind, &at->txid);
    be32_put(key + ID_KEY_SIZE, at->index);
}

static void delete_outpoint(struct history *h, char kind, const struct outpoint *at)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    outpoint_key(key, kind, at);
    kv_batch_delete(h->batch, key, sizeof key);
}

static void put_conflict(struct buf *b, const struct history_conflict *c)
{
    buf_put(b, c->by.b, 32);
    buf_put_le32(b, (uint32_t)c->height);
}

static void read_conflict(struct reader *r, struct history_conflict *c)
{
    read_copy(r, c->by.b, 32);
    c->height = (int32_t)read_le32(r);
}

/* --- transactions ---------------------------------------------------------------------------- */

static void put_note(struct buf *b, const struct history_note *n)
{
    buf_put_var_bytes(b, n->comment.data, n->comment.len);
    buf_put_var_bytes(b, n->to.data, n->to.len);
    buf_put_var_bytes(b, n->label.data, n->label.len);
}

void record_put(struct history *h, const struct txid *id, const struct record *r)
{
    uint8_t key[ID_KEY_SIZE];
    struct buf b = { 0 };
    const bool told = r->told.height != HISTORY_NO_HEIGHT;
    id_key(key, 't', id);
    buf_put_u8(&b, (uint8_t)((r->coinbase ? RECORD_COINBASE : 0) |
                             (r->from_us ? RECORD_FROM_US : 0) |
                             (r->abandoned ? RECORD_ABANDONED : 0) | (told ? RECORD_TOLD : 0)));
    buf_put_le32(&b, (uint32_t)r->height);
    buf_put(&b, r->block.b, 32);
    buf_put_le32(&b, r->position);
    buf_put_le64(&b, (uint64_t)r->time);
    buf_put_le64(&b, r->order);
    if (told)
        put_conflict(&b, &r->told);
    put_note(&b, &r->note);
    kv_batch_put(h->batch, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

static bool read_record(struct span value, struct record *out)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    const uint8_t flags = read_u8(&r);
    out->coinbase = flags & RECORD_COINBASE;
    out->from_us = flags & RECORD_FROM_US;
    out->abandoned = flags & RECORD_ABANDONED;
    out->height = (int32_t)read_le32(&r);
    read_copy(&r, out->block.b, 32);
    out->position = read_le32(&r);
    out->time = (int64_t)read_le64(&r);
    out->order = read_le64(&r);
    out->told.height = HISTORY_NO_HEIGHT;
    if (flags & RECORD_TOLD)
        read_conflict(&r, &out->told);
    out->note.comment = read_var_bytes(&r);
    out->note.to = read_var_bytes(&r);
    out->note.label = read_var_bytes(&r);
    return reader_done(&r);
}

static enum err get_by_id(struct history *h, char kind, const struct txid *id, struct buf *value,
                          bool *found, struct error *e)
{
    uint8_t key[ID_KEY_SIZE];
    id_key(key, kind, id);
    buf_reset(value);
    return kv_get(h->kv, key, sizeof key, value, found, e);
}

enum err record_load(struct history *h, const struct txid *id, struct buf *value, struct record *r,
                     bool *found, struct error *e)
{
    *r = (struct record){ .height = HISTORY_NO_HEIGHT, .told.height = HISTORY_NO_HEIGHT };
    enum err rc = get_by_id(h, 't', id, value, found, e);
    if (!rc && *found && !read_record(buf_span(value), r))
        return corrupt(e, "the record of a transaction");
    return rc;
}

static void order_key(uint8_t key[ORDER_KEY_SIZE], uint64_t order)
{
    key[0] = 'o';
    be64_put(key + 1, ~order);
}

void record_put_new(struct history *h, const struct tx *tx, uint64_t order)
{
    uint8_t key[ID_KEY_SIZE], place[ORDER_KEY_SIZE];
    id_key(key, 'r', &tx->id);
    kv_batch_put(h->batch, key, sizeof key, tx->raw.data, tx->raw.len);
    order_key(place, order);
    kv_batch_put(h->batch, place, sizeof place, tx->id.b, 32);
}

void record_delete(struct history *h, const struct txid *id, uint64_t order)
{
    uint8_t key[ID_KEY_SIZE], place[ORDER_KEY_SIZE];
    for (const char *kind = "tru"; *kind; kind++) {
        id_key(key, *kind, id);
        kv_batch_delete(h->batch, key, sizeof key);
    }
    order_key(place, order);
    kv_batch_delete(h->batch, place, sizeof place);
}

enum err raw_load(struct history *h, const struct txid *id, struct tx **out, struct error *e)
{
    struct buf raw = { 0 };
    bool found = false;
    enum err rc = get_by_id(h, 'r', id, &raw, &found, e);
    if (!rc && !found)
        rc = corrupt(e, "the list of transactions");
    if (!rc) {
        struct error why = { .code = OK };
        *out = tx_new(raw.data, raw.len, &why);
        if (!*out)
            rc = why.code == ERR_NOMEM ? error_set(e, ERR_NOMEM, "%s", why.text)
                                       : corrupt(e, "a transaction");
    }
    buf_clear(&raw);
    return rc;
}

void row_put_pending(struct history *h, const struct txid *id)
{
    uint8_t key[ID_KEY_SIZE];
    id_key(key, 'u', id);
    kv_batch_put(h->batch, key, sizeof key, "", 0);
}

void row_delete_pending(struct history *h, const struct txid *id)
{
    uint8_t key[ID_KEY_SIZE];
    id_key(key, 'u', id);
    kv_batch_delete(h->batch, key, sizeof key);
}

static void place_key(uint8_t key[PLACE_KEY_SIZE], int32_t height, uint32_t position)
{
    key[0] = 'h';
    be32_put(key + 1, (uint32_t)height);
    be32_put(key + 5, position);
}

void row_put_place(struct history *h, int32_t height, uint32_t position, const struct txid *id)
{
    uint8_t key[PLACE_KEY_SIZE];
    place_key(key, height, position);
    kv_batch_put(h->batch, key, sizeof key, id->b, 32);
}

void row_delete_place(struct history *h, int32_t height, uint32_t position)
{
    uint8_t key[PLACE_KEY_SIZE];
    place_key(key, height, position);
    kv_batch_delete(h->batch, key, sizeof key);
}

/* --- coins ----------------------------------------------------------------------------------- */

static void put_coin(struct buf *b, const struct coin_data *c)
{
    buf_put_le64(b, (uint64_t)c->value);
    buf_put_le32(b, (uint32_t)c->height);
    buf_put_u8(b, c->coinbase);
    buf_put_var_bytes(b, c->script.data, c->script.len);
}

static void read_coin(struct reader *r, struct coin_data *c)
{
    c->value = (int64_t)read_le64(r);
    c->height = (int32_t)read_le32(r);
    c->coinbase = read_u8(r);
    c->script = read_var_bytes(r);
}

static void put_coin_row(struct history *h, char kind, const struct coin_item *c,
                         const struct history_conflict *spender)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    struct buf b = { 0 };
    outpoint_key(key, kind, &c->at);
    put_coin(&b, &c->data);
    if (spender)
        put_conflict(&b, spender);
    kv_batch_put(h->batch, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

void row_put_coin(struct history *h, const struct coin_item *c)
{
    put_coin_row(h, 'c', c, NULL);
}

void row_delete_coin(struct history *h, const struct outpoint *at)
{
    delete_outpoint(h, 'c', at);
}

void row_put_spent(struct history *h, const struct coin_item *c,
                   const struct history_conflict *spender)
{
    put_coin_row(h, 's', c, spender);
}

void row_delete_spent(struct history *h, const struct outpoint *at)
{
    delete_outpoint(h, 's', at);
}

enum err row_load_spent(struct history *h, const struct outpoint *at, struct coin_data *data,
                        struct history_conflict *spender, bool *found, struct error *e)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    outpoint_key(key, 's', at);
    buf_reset(&h->value);
    enum err rc = kv_get(h->kv, key, sizeof key, &h->value, found, e);
    if (rc || !*found)
        return rc;
    struct reader r;
    reader_init(&r, h->value.data, h->value.len);
    read_coin(&r, data);
    read_conflict(&r, spender);
    return reader_done(&r) ? OK : corrupt(e, "a spent coin");
}

void row_put_spender(struct history *h, const struct spot *s)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    struct buf b = { 0 };
    outpoint_key(key, 'x', &s->at);
    put_conflict(&b, s->spender);
    kv_batch_put(h->batch, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

void row_delete_spender(struct history *h, const struct outpoint *at)
{
    delete_outpoint(h, 'x', at);
}

/* --- marks ----------------------------------------------------------------------------------- */

void row_put_best(struct history *h)
{
    uint8_t value[36];
    memcpy(value, h->m.at.best.hash.b, 32);
    le32_put(value + 32, (uint32_t)h->m.at.best.height);
    kv_batch_put(h->batch, "B", 1, value, sizeof value);
}

void row_put_scan(struct history *h)
{
    uint8_t value[4];
    le32_put(value, (uint32_t)h->m.at.scan_next);
    if (h->m.at.scan_next == HISTORY_NO_HEIGHT)
        kv_batch_delete(h->batch, "R", 1);
    else
        kv_batch_put(h->batch, "R", 1, value, sizeof value);
}

/* --- walks ----------------------------------------------------------------------------------- */

/* A walk over the rows of one kind; fn may end it with ERR_CANCELLED, which is no error. */
struct row_walk {
    struct kv_iter *it;
    char kind;
    size_t key_len;
};

static bool walk_at(const struct row_walk *w, struct span *key, struct span *value)
{
    if (!kv_iter_valid(w->it))
        return false;
    *key = kv_iter_key(w->it);
    *value = kv_iter_value(w->it);
    return key->len == w->key_len && key->data[0] == (uint8_t)w->kind;
}

static struct row_walk walk_begin(struct history *h, const void *first, size_t len, size_t key_len)
{
    struct row_walk w = { kv_iter_new(h->kv), ((const char *)first)[0], key_len };
    kv_iter_seek(w.it, first, len);
    return w;
}

static enum err walk_end(struct row_walk *w, enum err rc, struct error *e)
{
    if (!rc)
        rc = kv_iter_error(w->it, e);
    kv_iter_free(w->it);
    return rc == ERR_CANCELLED ? OK : rc;
}

static enum err call_with_id(struct history *h, struct span value, place_fn fn, void *ctx,
                             struct error *e)
{
    struct txid id;
    if (value.len != sizeof id.b)
        return corrupt(e, "the list of transactions");
    memcpy(id.b, value.data, sizeof id.b);
    return fn(h, ctx, &id, e);
}

enum err rows_each_place(struct history *h, int32_t from, int32_t to, place_fn fn, void *ctx,
                         struct error *e)
{
    uint8_t first[PLACE_KEY_SIZE];
    struct span key, value;
    enum err rc = OK;
    place_key(first, from, 0);
    struct row_walk w = walk_begin(h, first, sizeof first, PLACE_KEY_SIZE);
    for (; !rc && walk_at(&w, &key, &value) && be32_get(key.data + 1) <= (uint32_t)to;
         kv_iter_next(w.it))
        rc = call_with_id(h, value, fn, ctx, e);
    return walk_end(&w, rc, e);
}

enum err rows_each_order(struct history *h, uint64_t skip, place_fn fn, void *ctx,
                         struct error *e)
{
    struct span key, value;
    enum err rc = OK;
    struct row_walk w = walk_begin(h, "o", 1, ORDER_KEY_SIZE);
    for (; !rc && walk_at(&w, &key, &value); kv_iter_next(w.it))
        if (skip)
            skip--;
        else
            rc = call_with_id(h, value, fn, ctx, e);
    return walk_end(&w, rc, e);
}

/* --- opening --------------------------------------------------------------------------------- */

static enum err load_small(struct history *h, const char *key, size_t size, bool *found,
                           struct error *e)
{
    buf_reset(&h->value);
    enum err rc = kv_get(h->kv, key, 1, &h->value, found, e);
    if (!rc && *found && h->value.len != size)
        return corrupt(e, "a mark");
    return rc;
}

static enum err load_version(struct history *h, struct error *e)
{
    bool found;
    enum err rc = load_small(h, "V", 4, &found, e);
    if (rc)
        return rc;
    if (found && le32_get(h->value.data) != FORMAT_VERSION)
        return error_set(e, ERR_CORRUPT,
                         "the wallet was written by another version of this program");
    if (found)
        return OK;
    uint8_t value[4];
    le32_put(value, FORMAT_VERSION);
    kv_batch_put(h->batch, "V", 1, value, sizeof value);
    return kv_write(h->kv, h->batch, KV_SYNC, e);
}

static enum err load_marks(struct history *h, struct error *e)
{
    bool found;
    enum err rc = load_small(h, "B", 36, &found, e);
    if (!rc && found) {
        h->m.at.best.known = true;
        memcpy(h->m.at.best.hash.b, h->value.data, 32);
        h->m.at.best.height = (int32_t)le32_get(h->value.data + 32);
    }
    if (!rc)
        rc = load_small(h, "R", 4, &found, e);
    if (!rc && found)
        h->m.at.scan_next = (int32_t)le32_get(h->value.data);
    if (!rc)
        h->stored = h->m.at;
    return rc;
}

static enum err load_order(struct history *h, struct error *e)
{
    struct span key, value;
    struct row_walk w = walk_begin(h, "o", 1, ORDER_KEY_SIZE);
    if (walk_at(&w, &key, &value))
        h->m.next_order = ~be64_get(key.data + 1) + 1;
    return walk_end(&w, OK, e);
}

static enum err load_pending(struct history *h, const struct txid *id, struct error *e)
{
    struct record r;
    struct tx *tx = NULL;
    struct pending *p;
    bool found;
    enum err rc = record_load(h, id, &h->value, &r, &found, e);
    if (!rc && !found)
        rc = corrupt(e, "the list of unconfirmed transactions");
    if (!rc)
        rc = raw_load(h, id, &tx, e);
    if (!rc)
        rc = pending_add(h, tx, &p, e);
    if (!rc) {
        p->abandoned = r.abandoned;
        p->from_us = r.from_us;
        p->told = r.told;
    }
    tx_unref(tx);
    return rc;
}

static enum err load_pendings(struct history *h, struct error *e)
{
    struct span key, value;
    enum err rc = OK;
    struct row_walk w = walk_begin(h, "u", 1, ID_KEY_SIZE);
    for (; !rc && walk_at(&w, &key, &value); kv_iter_next(w.it)) {
        struct txid id;
        memcpy(id.b, key.data + 1, 32);
        rc = load_pending(h, &id, e);
    }
    return walk_end(&w, rc, e);
}

static struct outpoint outpoint_of(struct span key)
{
    struct outpoint at;
    memcpy(at.txid.b, key.data + 1, 32);
    at.index = be32_get(key.data + ID_KEY_SIZE);
    return at;
}

static enum err load_spenders(struct history *h, struct error *e)
{
    struct span key, value;
    enum err rc = OK;
    struct row_walk w = walk_begin(h, "x", 1, OUTPOINT_KEY_SIZE);
    for (; !rc && walk_at(&w, &key, &value); kv_iter_next(w.it)) {
        struct reader r;
        struct history_conflict spender;
        const struct outpoint at = outpoint_of(key);
        struct spot *s = spot_find(h, &at);
        reader_init(&r, value.data, value.len);
        read_conflict(&r, &spender);
        if (!s || !reader_done(&r))
            rc = corrupt(e, "a conflict");
        else
            spot_set_spender(h, s, &spender);
    }
    return walk_end(&w, rc, e);
}

static enum err load_coin(struct history *h, const struct outpoint *at, struct span value,
                          struct error *e)
{
    struct coin_data data;
    struct reader r;
    reader_init(&r, value.data, value.len);
    read_coin(&r, &data);
    struct pending *creator =
        data.height == HISTORY_NO_HEIGHT ? pending_find(h, &at->txid) : NULL;
    if (!reader_done(&r) || (data.height == HISTORY_NO_HEIGHT && !creator))
        return corrupt(e, "a coin");
    return coin_add(h, at, &data, creator, e);
}

static enum err load_coins(struct history *h, struct error *e)
{
    struct span key, value;
    enum err rc = OK;
    struct row_walk w = walk_begin(h, "c", 1, OUTPOINT_KEY_SIZE);
    for (; !rc && walk_at(&w, &key, &value); kv_iter_next(w.it)) {
        const struct outpoint at = outpoint_of(key);
        rc = load_coin(h, &at, value, e);
    }
    return walk_end(&w, rc, e);
}

enum err rows_load(struct history *h, struct error *e)
{
    enum err (*const steps[])(struct history *, struct error *) = {
        load_version, load_marks, load_order, load_pendings, load_spenders, load_coins,
    };
    enum err rc = OK;
    for (size_t i = 0; !rc && i < sizeof steps / sizeof *steps; i++)
        rc = steps[i](h, e);
    if (!rc)
        conflicts_settle(h);
    return rc;
}

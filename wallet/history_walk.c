/* Walks over the rows of the store: lists, and opening, which fills the memory. */
#include <config.h>

#include "base/reader.h"
#include "wallet/history_internal.h"

#define FORMAT_VERSION 1

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
        return rows_corrupt(e, "the list of transactions");
    memcpy(id.b, value.data, sizeof id.b);
    return fn(h, ctx, &id, e);
}

enum err rows_each_place(struct history *h, int32_t from, int32_t to, place_fn fn, void *ctx,
                         struct error *e)
{
    uint8_t first[PLACE_KEY_SIZE];
    struct span key, value;
    enum err rc = OK;
    row_place_key(first, from, 0);
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
    enum err rc = row_get(h, key, 1, &h->value, found, e);
    if (!rc && *found && h->value.len != size)
        return rows_corrupt(e, "a mark");
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
    row_put(h, "V", 1, value, sizeof value);
    return rows_write(h, e);
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
        rc = load_small(h, "E", 4, &found, e);
    if (!rc && found)
        h->m.at.scan_last = (int32_t)le32_get(h->value.data);
    if (!rc)
        rc = load_small(h, "G", 8, &found, e);
    if (!rc && found) {
        h->m.at.gap_from = (int32_t)le32_get(h->value.data);
        h->m.at.gap_to = (int32_t)le32_get(h->value.data + 4);
    }
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
    struct raw_tx t = { .raw = { 0 } };
    struct pending *p;
    bool found;
    enum err rc = record_load(h, id, &h->value, &r, &found, e);
    if (!rc && !found)
        rc = rows_corrupt(e, "the list of unconfirmed transactions");
    if (!rc)
        rc = raw_load(h, id, &t, e);
    if (!rc)
        rc = pending_add(h, &t.tx, &p, e);
    if (!rc) {
        p->abandoned = r.abandoned;
        p->from_us = r.from_us;
        p->told = r.told;
    }
    raw_clear(&t);
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
        row_read_conflict(&r, &spender);
        if (!s || !reader_done(&r))
            rc = rows_corrupt(e, "a conflict");
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
    row_read_coin(&r, &data);
    struct pending *creator =
        data.height == HISTORY_NO_HEIGHT ? pending_find(h, &at->txid) : NULL;
    if (!reader_done(&r) || (data.height == HISTORY_NO_HEIGHT && !creator))
        return rows_corrupt(e, "a coin");
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

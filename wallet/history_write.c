/*
 * Rows on their way to the store. They are gathered, the last value of each alone, and written in
 * one synced batch: at the end of an operation, or after many blocks that were told one after
 * another. Who reads a row finds it here first. A walk over the store does not: whoever walks
 * writes before.
 *
 * Bytes of transactions (history_raw.c) are written ahead when more than WAIT_BYTES wait, in
 * batches of AHEAD_BYTES: the engine holds a batch several times. They are synced, as LevelDB may
 * lose the end of a log that it has done with.
 */
#include <config.h>

#include <stdlib.h>

#include "base/mem.h"
#include "wallet/history_internal.h"

#define WAIT_BYTES ((size_t)16 << 20)
#define AHEAD_BYTES ((size_t)4 << 20)

struct row {
    bool deleted;
    uint8_t key_len;
    size_t value_len;
    uint8_t bytes[]; /* key, value */
};

static size_t row_size(size_t key_len, size_t value_len)
{
    return mem_cost(sizeof(struct row) + key_len + value_len);
}

static bool is_row(const void *item, const void *key)
{
    const struct row *r = (const struct row *)item;
    const struct span *want = (const struct span *)key;
    return r->key_len == want->len && mem_equal_var(r->bytes, want->data, want->len);
}

static uint64_t row_hash(const struct history *h, struct span key)
{
    return siphash(&h->key, key.data, key.len);
}

static struct row *row_find(const struct history *h, struct span key)
{
    return (struct row *)map_find(&h->rows.map, row_hash(h, key), is_row, &key);
}

static void row_drop(struct history *h, struct span key)
{
    struct row *old = (struct row *)map_remove(&h->rows.map, row_hash(h, key), is_row, &key);
    if (old)
        h->rows.bytes -= row_size(old->key_len, old->value_len);
    free(old);
}

static void row_set(struct history *h, struct span key, struct span value, bool deleted)
{
    row_drop(h, key);
    struct row *r = (struct row *)try_alloc(1, sizeof *r + key.len + value.len);
    if (!r) {
        h->rows.no_memory = true;
        return;
    }
    *r = (struct row){ .deleted = deleted, .key_len = (uint8_t)key.len, .value_len = value.len };
    memcpy(r->bytes, key.data, key.len);
    if (value.len)
        memcpy(r->bytes + key.len, value.data, value.len);
    map_put(&h->rows.map, row_hash(h, key), r);
    h->rows.bytes += row_size(key.len, value.len);
}

void row_put(struct history *h, const void *key, size_t key_len, const void *value, size_t len)
{
    row_set(h, span_of(key, key_len), span_of(value, len), false);
}

enum err rows_write_ahead(struct history *h, struct error *e)
{
    struct kv_batch *b = h->rows.ahead;
    if (!b)
        return OK;
    h->rows.ahead = NULL;
    enum err rc = kv_write(h->kv, b, KV_SYNC, e);
    kv_batch_free(b);
    return rc;
}

enum err row_put_bytes(struct history *h, struct span key, struct span value, struct error *e)
{
    if (h->rows.bytes + value.len > WAIT_BYTES)
        return row_put_ahead(h, key, value, e);
    row_set(h, key, value, false);
    return OK;
}

enum err row_put_ahead(struct history *h, struct span key, struct span value, struct error *e)
{
    row_drop(h, key); /* or it would be written, or deleted, afterwards */
    if (!h->rows.ahead)
        h->rows.ahead = kv_batch_new(h->kv);
    kv_batch_put(h->rows.ahead, key.data, key.len, value.data, value.len);
    return kv_batch_bytes(h->rows.ahead) > AHEAD_BYTES ? rows_write_ahead(h, e) : OK;
}

void row_delete(struct history *h, const void *key, size_t key_len)
{
    row_set(h, span_of(key, key_len), span_of(NULL, 0), true);
}

enum err row_get(struct history *h, const void *key, size_t key_len, struct buf *value,
                 bool *found, struct error *e)
{
    const struct row *r = row_find(h, span_of(key, key_len));
    if (!r)
        return kv_get(h->kv, key, key_len, value, found, e);
    *found = !r->deleted;
    buf_put(value, r->bytes + r->key_len, r->value_len);
    return OK;
}

void rows_forget(struct history *h)
{
    size_t pos = 0;
    for (void *r; (r = map_next(&h->rows.map, &pos));)
        free(r);
    map_clear(&h->rows.map);
    if (h->rows.ahead)
        kv_batch_free(h->rows.ahead);
    h->rows.ahead = NULL;
    h->rows.bytes = 0;
    h->rows.no_memory = false;
}

static enum err write_rows(struct history *h, struct error *e)
{
    struct kv_batch *b = kv_batch_new(h->kv);
    size_t pos = 0;
    for (const struct row *r; (r = (const struct row *)map_next(&h->rows.map, &pos));) {
        if (r->deleted)
            kv_batch_delete(b, r->bytes, r->key_len);
        else
            kv_batch_put(b, r->bytes, r->key_len, r->bytes + r->key_len, r->value_len);
    }
    enum err rc = kv_write(h->kv, b, KV_SYNC, e);
    kv_batch_free(b);
    return rc;
}

enum err rows_write(struct history *h, struct error *e)
{
    if (!h->rows.map.n)
        return OK;
    enum err rc = h->before_write ? h->before_write(h->before_ctx, e) : OK;
    if (!rc)
        rc = rows_write_ahead(h, e);
    if (!rc)
        rc = write_rows(h, e);
    if (!rc)
        rows_forget(h);
    return rc;
}

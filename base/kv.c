#include <config.h>

#include "base/kv.h"

#include "base/kv_internal.h"

void kv_close(struct kv *kv)
{
    if (kv)
        kv->ops->close(kv);
}

enum err kv_get(struct kv *kv, const void *key, size_t key_len, struct buf *value, bool *found,
                struct error *e)
{
    *found = false;
    buf_reset(value);
    return kv->ops->get(kv, span_of(key, key_len), value, found, e);
}

struct kv_batch *kv_batch_new(struct kv *kv)
{
    struct kv_batch *b = kv->ops->batch_new(kv);
    b->ops = kv->ops;
    b->bytes = 0;
    return b;
}

void kv_batch_free(struct kv_batch *b)
{
    if (b)
        b->ops->batch_free(b);
}

/* A string in LevelDB's log: its length in groups of seven bits, then the bytes. */
static size_t stored_size(size_t len)
{
    size_t n = len + 1;
    for (; len >= 128; len >>= 7)
        n++;
    return n;
}

void kv_batch_put(struct kv_batch *b, const void *key, size_t key_len, const void *value,
                  size_t value_len)
{
    b->bytes += 1 + stored_size(key_len) + stored_size(value_len);
    b->ops->batch_put(b, span_of(key, key_len), span_of(value, value_len));
}

void kv_batch_delete(struct kv_batch *b, const void *key, size_t key_len)
{
    b->bytes += 1 + stored_size(key_len);
    b->ops->batch_delete(b, span_of(key, key_len));
}

size_t kv_batch_bytes(const struct kv_batch *b)
{
    return b->bytes;
}

enum err kv_write(struct kv *kv, struct kv_batch *b, enum kv_sync sync, struct error *e)
{
    enum err rc = kv->ops->write(kv, b, sync, e);
    if (rc)
        return rc;
    b->ops->batch_clear(b);
    b->bytes = 0;
    return OK;
}

struct kv_iter *kv_iter_new(struct kv *kv)
{
    struct kv_iter *it = kv->ops->iter_new(kv);
    it->ops = kv->ops;
    return it;
}

void kv_iter_free(struct kv_iter *it)
{
    if (it)
        it->ops->iter_free(it);
}

void kv_iter_seek(struct kv_iter *it, const void *key, size_t key_len)
{
    it->ops->iter_seek(it, span_of(key, key_len));
}

bool kv_iter_valid(const struct kv_iter *it)
{
    return it->ops->iter_valid(it);
}

void kv_iter_next(struct kv_iter *it)
{
    it->ops->iter_next(it);
}

struct span kv_iter_key(const struct kv_iter *it)
{
    return it->ops->iter_key(it);
}

struct span kv_iter_value(const struct kv_iter *it)
{
    return it->ops->iter_value(it);
}

enum err kv_iter_error(const struct kv_iter *it, struct error *e)
{
    return it->ops->iter_error(it, e);
}

enum err kv_is_empty(struct kv *kv, bool *empty, struct error *e)
{
    struct kv_iter *it = kv_iter_new(kv);
    kv_iter_seek(it, "", 0);
    *empty = !kv_iter_valid(it);
    enum err rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

uint64_t kv_disk_bytes(struct kv *kv)
{
    return kv->ops->disk_bytes(kv);
}

size_t kv_memory_bytes(struct kv *kv)
{
    return kv->ops->memory_bytes(kv);
}

void kv_compact(struct kv *kv)
{
    kv->ops->compact(kv);
}

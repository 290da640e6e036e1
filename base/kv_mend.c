#include <config.h>

#include "base/kv_mend.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kv_internal.h"
#include "base/mem.h"

struct mend {
    struct kv kv;
    struct kv_mend_ops ops;
    pthread_rwlock_t lock; /* written to change inner; read while it is used, by iterators too */
    struct kv *inner;      /* NULL: it could not be opened again */
    /* The writer's. */
    struct error failed;   /* code OK: it works */
    int64_t look_ms;       /* not before */
};

struct mend_batch {
    struct kv_batch batch;
    struct kv_batch *inner; /* NULL: it was begun without a store, and cannot be written */
};

struct mend_iter {
    struct kv_iter iter;
    struct mend *m;
    struct kv_iter *inner; /* NULL: there is no store */
};

static struct mend *mend_of(struct kv *kv) { return (struct mend *)(void *)kv; }

/* Uses the store; NULL: there is none. hold_end in any case. */
static struct kv *hold(struct mend *m)
{
    pthread_rwlock_rdlock(&m->lock);
    return m->inner;
}

static void hold_end(struct mend *m) { pthread_rwlock_unlock(&m->lock); }

static enum err no_store(struct error *e)
{
    return error_set(e, ERR_IO, "the database could not be opened again after a failed write");
}

/* --- reading --- */

static enum err mend_get(struct kv *kv, struct span key, struct buf *value, bool *found,
                         struct error *e)
{
    struct mend *m = mend_of(kv);
    struct kv *inner = hold(m);
    const enum err rc =
        inner ? kv_get(inner, key.data, key.len, value, found, e) : no_store(e);
    hold_end(m);
    return rc;
}

static struct kv_iter *mend_iter_new(struct kv *kv)
{
    struct mend_iter *it = xcalloc(1, sizeof *it);
    it->m = mend_of(kv);
    struct kv *inner = hold(it->m); /* until the iterator is freed */
    it->inner = inner ? kv_iter_new(inner) : NULL;
    return &it->iter;
}

static struct mend_iter *iter_of(struct kv_iter *it) { return (struct mend_iter *)(void *)it; }

static const struct mend_iter *const_iter_of(const struct kv_iter *it)
{
    return (const struct mend_iter *)(const void *)it;
}

static void mend_iter_free(struct kv_iter *it)
{
    kv_iter_free(iter_of(it)->inner);
    hold_end(iter_of(it)->m);
    free(it);
}

static void mend_iter_seek(struct kv_iter *it, struct span key)
{
    if (iter_of(it)->inner)
        kv_iter_seek(iter_of(it)->inner, key.data, key.len);
}

static bool mend_iter_valid(const struct kv_iter *it)
{
    return const_iter_of(it)->inner && kv_iter_valid(const_iter_of(it)->inner);
}

static void mend_iter_next(struct kv_iter *it) { kv_iter_next(iter_of(it)->inner); }

static struct span mend_iter_key(const struct kv_iter *it)
{
    return kv_iter_key(const_iter_of(it)->inner);
}

static struct span mend_iter_value(const struct kv_iter *it)
{
    return kv_iter_value(const_iter_of(it)->inner);
}

static enum err mend_iter_error(const struct kv_iter *it, struct error *e)
{
    return const_iter_of(it)->inner ? kv_iter_error(const_iter_of(it)->inner, e) : no_store(e);
}

static uint64_t mend_disk_bytes(struct kv *kv)
{
    struct kv *inner = hold(mend_of(kv));
    const uint64_t bytes = inner ? kv_disk_bytes(inner) : 0;
    hold_end(mend_of(kv));
    return bytes;
}

static size_t mend_memory_bytes(struct kv *kv)
{
    struct kv *inner = hold(mend_of(kv));
    const size_t bytes = inner ? kv_memory_bytes(inner) : 0;
    hold_end(mend_of(kv));
    return bytes;
}

static void mend_compact(struct kv *kv)
{
    struct kv *inner = hold(mend_of(kv));
    if (inner)
        kv_compact(inner);
    hold_end(mend_of(kv));
}

/* --- writing --- */

static struct kv_batch *mend_batch_new(struct kv *kv)
{
    struct mend_batch *b = xcalloc(1, sizeof *b);
    struct kv *inner = hold(mend_of(kv));
    b->inner = inner ? kv_batch_new(inner) : NULL;
    hold_end(mend_of(kv));
    return &b->batch;
}

static struct kv_batch *inner_batch(struct kv_batch *b)
{
    return ((struct mend_batch *)(void *)b)->inner;
}

static void mend_batch_free(struct kv_batch *b)
{
    kv_batch_free(inner_batch(b));
    free(b);
}

static void mend_batch_put(struct kv_batch *b, struct span key, struct span value)
{
    if (inner_batch(b))
        kv_batch_put(inner_batch(b), key.data, key.len, value.data, value.len);
}

static void mend_batch_delete(struct kv_batch *b, struct span key)
{
    if (inner_batch(b))
        kv_batch_delete(inner_batch(b), key.data, key.len);
}

/* Writing has emptied the inner one. */
static void mend_batch_clear(struct kv_batch *b) { (void)b; }

static enum err open_again(struct mend *m, struct error *e)
{
    pthread_rwlock_wrlock(&m->lock);
    kv_close(m->inner);
    m->inner = NULL;
    const enum err rc = m->ops.open(m->ops.ctx, &m->inner, e);
    if (rc)
        m->inner = NULL;
    pthread_rwlock_unlock(&m->lock);
    return rc;
}

static enum err mend(struct mend *m, struct error *e)
{
    const int64_t now = m->ops.now_ms();
    if (now >= m->look_ms) {
        struct error why = { .code = OK };
        m->look_ms = now + KV_MEND_PAUSE_MS;
        if (!m->ops.probe(m->ops.ctx, &why) && !open_again(m, &why))
            m->failed.code = OK;
        else
            m->failed = why;
    }
    if (m->failed.code && e)
        *e = m->failed;
    return m->failed.code;
}

static enum err mend_write(struct kv *kv, struct kv_batch *b, enum kv_sync sync, struct error *e)
{
    struct mend *m = mend_of(kv);
    const enum err rc = m->failed.code ? mend(m, e) : OK;
    if (rc)
        return rc;
    if (!inner_batch(b))
        return no_store(e);
    struct kv *inner = hold(m);
    struct error why = { .code = OK };
    m->failed.code = kv_write(inner, inner_batch(b), sync, &why);
    hold_end(m);
    if (!m->failed.code)
        return OK;
    m->failed = why;
    if (e)
        *e = why;
    return why.code;
}

/* --- life --- */

static void mend_close(struct kv *kv)
{
    struct mend *m = mend_of(kv);
    kv_close(m->inner);
    m->ops.clear(m->ops.ctx);
    pthread_rwlock_destroy(&m->lock);
    free(m);
}

enum err kv_mend_open(struct kv **out, const struct kv_mend_ops *ops, struct error *e)
{
    static const struct kv_ops table = {
        .close = mend_close, .get = mend_get, .batch_new = mend_batch_new,
        .batch_free = mend_batch_free, .batch_put = mend_batch_put,
        .batch_delete = mend_batch_delete, .batch_clear = mend_batch_clear, .write = mend_write,
        .iter_new = mend_iter_new, .iter_free = mend_iter_free, .iter_seek = mend_iter_seek,
        .iter_valid = mend_iter_valid, .iter_next = mend_iter_next, .iter_key = mend_iter_key,
        .iter_value = mend_iter_value, .iter_error = mend_iter_error,
        .disk_bytes = mend_disk_bytes, .memory_bytes = mend_memory_bytes,
        .compact = mend_compact,
    };
    struct mend *m = xcalloc(1, sizeof *m);
    m->kv.ops = &table;
    m->ops = *ops;
    pthread_rwlock_init(&m->lock, NULL);
    const enum err rc = ops->open(ops->ctx, &m->inner, e);
    *out = rc ? NULL : &m->kv;
    if (rc) {
        m->inner = NULL;
        mend_close(&m->kv);
    }
    return rc;
}

/* --- LevelDB --- */

struct place {
    char *path, *probe;
    struct kv_options options;
};

static enum err place_open(void *ctx, struct kv **out, struct error *e)
{
    const struct place *p = ctx;
    return kv_open_leveldb(out, p->path, &p->options, e);
}

static enum err place_probe(void *ctx, struct error *e)
{
    const struct place *p = ctx;
    struct file f;
    enum err rc = file_open(&f, p->probe, FILE_CREATE, e);
    if (rc)
        return rc;
    uint8_t *zeros = xcalloc(1, KV_MEND_PROBE_BYTES);
    rc = file_pwrite(&f, zeros, KV_MEND_PROBE_BYTES, 0, e);
    if (!rc)
        rc = file_sync(&f, e);
    free(zeros);
    file_close(&f);
    const enum err removed = path_remove(p->probe, rc ? NULL : e);
    return rc ? rc : removed;
}

static void place_clear(void *ctx)
{
    struct place *p = ctx;
    free(p->path);
    free(p->probe);
    free(p);
}

enum err kv_open_leveldb_mending(struct kv **out, const char *path, const struct kv_options *o,
                                 struct error *e)
{
    struct place *p = xcalloc(1, sizeof *p);
    *p = (struct place){ xstrdup(path), path_join(path, "probe"), *o };
    const struct kv_mend_ops ops = { place_open, place_probe, place_clear, clock_mono_ms, p };
    return kv_mend_open(out, &ops, e);
}

#include "p2p/dchan_store.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/reader.h"

#define TOGETHER_MAX 256 /* writes that share a sync */

/* Put or delete, in order: u8 kind | u32 key length | key | put: u32 length | value. */
enum { WRITE_PUT, WRITE_DELETE };

struct dchan_write {
    struct queue_node node; /* first, so that the cast back is plain */
    struct buf ops;
    dchan_store_fn done;
    void *ctx;
    enum err rc;
    struct error error;
};

struct dchan_store {
    struct kv *kv;
    struct queue *given, *done;
    size_t n_open, bytes_open; /* handed over, not completed; channel thread */
    pthread_t thread;
    void (*wake)(void *ctx);
    void *ctx;
};

/* --- batches --- */

struct dchan_write *dchan_write_new(struct dchan_store *s)
{
    (void)s;
    return xcalloc(1, sizeof(struct dchan_write));
}

void dchan_write_free(struct dchan_write *w)
{
    if (!w)
        return;
    buf_clear(&w->ops);
    free(w);
}

static void put_bytes(struct buf *b, const void *data, size_t len)
{
    buf_put_le32(b, (uint32_t)len);
    buf_put(b, data, len);
}

void dchan_write_put(struct dchan_write *w, const void *key, size_t key_len, const void *value,
                     size_t value_len)
{
    buf_put_u8(&w->ops, WRITE_PUT);
    put_bytes(&w->ops, key, key_len);
    put_bytes(&w->ops, value, value_len);
}

void dchan_write_delete(struct dchan_write *w, const void *key, size_t key_len)
{
    buf_put_u8(&w->ops, WRITE_DELETE);
    put_bytes(&w->ops, key, key_len);
}

static struct span read_bytes_of(struct reader *r)
{
    const size_t len = read_le32(r);
    return span_of(read_bytes(r, len), len);
}

static void add_to_batch(struct kv_batch *b, const struct dchan_write *w)
{
    struct reader r;
    reader_init(&r, w->ops.data, w->ops.len);
    while (r.left) {
        const uint8_t kind = read_u8(&r);
        const struct span key = read_bytes_of(&r);
        if (kind == WRITE_DELETE) {
            kv_batch_delete(b, key.data, key.len);
            continue;
        }
        const struct span value = read_bytes_of(&r);
        kv_batch_put(b, key.data, key.len, value.data, value.len);
    }
}

/* --- the writing thread --- */

/* What waits already goes with the first; together they succeed or fail. */
static void write_together(struct dchan_store *s, struct dchan_write *first)
{
    struct dchan_write *all[TOGETHER_MAX] = { first };
    struct kv_batch *b = kv_batch_new(s->kv);
    struct error e = { .code = OK };
    size_t n = 1;
    add_to_batch(b, first);
    while (n < TOGETHER_MAX && (all[n] = (struct dchan_write *)queue_pop(s->given)))
        add_to_batch(b, all[n++]);
    const enum err rc = kv_write(s->kv, b, KV_SYNC, &e);
    kv_batch_free(b);
    for (size_t i = 0; i < n; i++) {
        all[i]->rc = rc;
        all[i]->error = e;
        if (!queue_push_always(s->done, &all[i]->node))
            WARN_BUG(true);
    }
}

static void *run(void *arg)
{
    struct dchan_store *s = arg;
    struct queue_node *node;
    while ((node = queue_pop_wait(s->given, -1)))
        write_together(s, (struct dchan_write *)node);
    return NULL;
}

/* --- channel thread --- */

static void wake_owner(void *ctx)
{
    const struct dchan_store *s = ctx;
    if (s->wake)
        s->wake(s->ctx);
}

enum err dchan_store_new(struct dchan_store **out, struct kv *kv, void (*wake)(void *ctx),
                         void *ctx, struct error *e)
{
    struct dchan_store *s = xcalloc(1, sizeof(*s));
    *s = (struct dchan_store){ .kv = kv, .wake = wake, .ctx = ctx };
    s->given = queue_new(0, 0, NULL, NULL);
    s->done = queue_new(0, 0, wake_owner, s);
    const int failed = pthread_create(&s->thread, NULL, run, s);
    if (!failed) {
        *out = s;
        return OK;
    }
    queue_free(s->given);
    queue_free(s->done);
    kv_close(kv);
    free(s);
    *out = NULL;
    return error_set_errno(e, failed, "the thread that writes for channels could not be started");
}

void dchan_store_set_wake(struct dchan_store *s, void (*wake)(void *ctx), void *ctx)
{
    s->wake = wake;
    s->ctx = ctx;
}

void dchan_store_free(struct dchan_store *s)
{
    if (!s)
        return;
    queue_close(s->given);
    pthread_join(s->thread, NULL);
    dchan_store_poll(s);
    queue_free(s->given);
    queue_free(s->done);
    kv_close(s->kv);
    free(s);
}

struct kv *dchan_store_kv(struct dchan_store *s) { return s->kv; }

void dchan_store_commit(struct dchan_store *s, struct dchan_write *w, dchan_store_fn done,
                        void *ctx)
{
    w->done = done;
    w->ctx = ctx;
    w->node.bytes = w->ops.cap + sizeof(*w);
    const size_t bytes = w->node.bytes; /* w may be the thread's at once */
    if (queue_push_always(s->given, &w->node)) {
        s->n_open++;
        s->bytes_open += bytes;
        return;
    }
    /* From a completion while the store is being closed. */
    const struct error e = { ERR_CANCELLED, "the store of channels is closed" };
    if (done)
        done(ctx, e.code, &e);
    dchan_write_free(w);
}

static void finish(struct dchan_store *s, struct dchan_write *w)
{
    s->n_open--;
    s->bytes_open -= w->node.bytes;
    if (w->done)
        w->done(w->ctx, w->rc, &w->error);
    else if (w->rc)
        log_error("direct channels: %s", w->error.text);
    dchan_write_free(w);
}

void dchan_store_poll(struct dchan_store *s)
{
    struct queue_node *node;
    while ((node = queue_pop(s->done)))
        finish(s, (struct dchan_write *)node);
}

void dchan_store_settle(struct dchan_store *s)
{
    while (s->n_open)
        finish(s, (struct dchan_write *)queue_pop_wait(s->done, -1));
}

size_t dchan_store_waiting(const struct dchan_store *s) { return s->bytes_open; }

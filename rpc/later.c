#include "rpc/later.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "rpc/dispatch.h"
#include "rpc/http_json.h"

struct rpc_later {
    struct rpc_laters *owner;
    struct http_request *http;
    struct json_object *id; /* a copy of its own: json-c counts references without a lock */
    struct rpc_batch *batch; /* NULL: an answer of its own; else the batch's list owns it */
    struct rpc_later *next;
    struct buf text;        /* the answer, once it is done */
    bool done;
};

void rpc_laters_init(struct rpc_laters *l, struct rpc_env *env)
{
    l->env = env;
    l->n = 0;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->none_left, NULL);
}

void rpc_laters_wait(struct rpc_laters *l)
{
    pthread_mutex_lock(&l->lock);
    while (l->n > 0)
        pthread_cond_wait(&l->none_left, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

void rpc_laters_clear(struct rpc_laters *l)
{
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->none_left);
}

static void batch_append(struct rpc_batch *b, struct rpc_later *l)
{
    *(b->last ? &b->last->next : &b->first) = l;
    b->last = l;
    b->n++;
}

struct rpc_later *rpc_later_begin(struct rpc_call *call)
{
    struct rpc_laters *owner = call->laters;
    if (!owner)
        return NULL;
    struct rpc_later *l = xcalloc(1, sizeof *l);
    buf_init(&l->text);
    l->owner = owner;
    l->batch = call->batch;
    l->http = call->client;
    if (call->id && json_object_deep_copy(call->id, &l->id, NULL)) {
        free(l);
        return NULL;
    }
    pthread_mutex_lock(&owner->lock);
    owner->n++;
    pthread_mutex_unlock(&owner->lock);
    if (l->batch)
        batch_append(l->batch, l);
    return l;
}

static void owe_one_less(struct rpc_laters *owner)
{
    pthread_mutex_lock(&owner->lock);
    if (--owner->n == 0)
        pthread_cond_broadcast(&owner->none_left);
    pthread_mutex_unlock(&owner->lock);
}

static void later_free(struct rpc_later *l)
{
    json_object_put(l->id);
    buf_clear(&l->text);
    free(l);
}

/* It was begun last. */
static void batch_take_back(struct rpc_batch *b, const struct rpc_later *l)
{
    struct rpc_later **at = &b->first, *before = NULL;
    for (; *at != l; at = &(*at)->next)
        before = *at;
    *at = NULL;
    b->last = before;
    b->n--;
}

void rpc_later_drop(struct rpc_later *l)
{
    struct rpc_laters *owner = l->owner;
    if (l->batch)
        batch_take_back(l->batch, l);
    later_free(l);
    owe_one_less(owner);
}

/* Nothing of l or its batch is touched after the unlocking: the batch may be gone. */
static void batch_end(struct rpc_later *l, rpc_later_fn fn, void *ctx)
{
    struct rpc_laters *owner = l->owner;
    struct rpc_batch *b = l->batch;
    struct json_writer w;
    bool broken = false; /* without a sink it never is */
    jw_init(&w, &l->text, NULL, NULL);
    struct rpc_call call = { .env = owner->env, .out = &w };
    const struct jw_mark start = rpc_reply_begin(&call);
    (void)rpc_reply_end(&call, fn(&call, ctx), &start, l->id, &broken);
    pthread_mutex_lock(&b->lock);
    l->done = true;
    if (b->awaited == l)
        pthread_cond_signal(&b->came);
    pthread_mutex_unlock(&b->lock);
    owe_one_less(owner);
}

void rpc_later_end(struct rpc_later *l, rpc_later_fn fn, void *ctx)
{
    if (l->batch) {
        batch_end(l, fn, ctx);
        return;
    }
    struct buf out;
    struct http_json j;
    bool broken = false;
    buf_init(&out);
    http_json_init(&j, l->http, &out);
    struct rpc_call call = { .env = l->owner->env, .out = &j.w };
    const struct jw_mark start = rpc_reply_begin(&call);
    const struct rpc_result r = fn(&call, ctx);
    const enum rpc_code code = rpc_reply_end(&call, r, &start, l->id, &broken);
    if (broken)
        http_reply_abort(l->http);
    else
        http_json_end(&j, rpc_http_status(code));
    buf_clear(&out);
    rpc_later_drop(l);
}

/* --- batches -------------------------------------------------------------------------------- */

void rpc_batch_init(struct rpc_batch *b, struct rpc_laters *owner)
{
    *b = (struct rpc_batch){ .owner = owner };
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->came, NULL);
}

void rpc_batch_add(struct rpc_batch *b, struct span answer)
{
    struct rpc_later *l = xcalloc(1, sizeof *l);
    buf_init(&l->text);
    buf_put(&l->text, answer.data, answer.len);
    l->done = true;
    batch_append(b, l);
}

static void wait_for_first(struct rpc_batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->awaited = b->first;
    while (!b->first->done)
        pthread_cond_wait(&b->came, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void rpc_batch_write(struct rpc_batch *b, struct json_writer *w)
{
    while (b->first) {
        struct rpc_later *l = b->first;
        wait_for_first(b);
        jw_json(w, (const char *)l->text.data, l->text.len);
        b->first = l->next;
        later_free(l);
    }
    b->last = NULL;
    b->n = 0;
}

void rpc_batch_clear(struct rpc_batch *b)
{
    BUG_ON(b->first != NULL);
    pthread_cond_destroy(&b->came);
    pthread_mutex_destroy(&b->lock);
}

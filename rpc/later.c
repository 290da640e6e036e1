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

struct rpc_later *rpc_later_begin(struct rpc_call *call)
{
    struct rpc_laters *owner = call->laters;
    if (!owner)
        return NULL;
    struct rpc_later *l = xcalloc(1, sizeof *l);
    l->owner = owner;
    l->http = call->client;
    if (call->id && json_object_deep_copy(call->id, &l->id, NULL)) {
        free(l);
        return NULL;
    }
    pthread_mutex_lock(&owner->lock);
    owner->n++;
    pthread_mutex_unlock(&owner->lock);
    return l;
}

void rpc_later_drop(struct rpc_later *l)
{
    struct rpc_laters *owner = l->owner;
    json_object_put(l->id);
    free(l);
    pthread_mutex_lock(&owner->lock);
    if (--owner->n == 0)
        pthread_cond_broadcast(&owner->none_left);
    pthread_mutex_unlock(&owner->lock);
}

void rpc_later_end(struct rpc_later *l, rpc_later_fn fn, void *ctx)
{
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

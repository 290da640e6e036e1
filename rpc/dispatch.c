#include "rpc/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/ids.h"
#include "base/log.h"
#include "rpc/json_tree.h"
#include "rpc/params.h"

int rpc_http_status(enum rpc_code code)
{
    if (code == 0)
        return 200;
    if (code == RPC_INVALID_REQUEST)
        return 400;
    return code == RPC_METHOD_NOT_FOUND ? 404 : 500;
}

static void write_error_object(struct json_writer *w, enum rpc_code code, const char *message,
                               size_t len)
{
    jw_object_open(w);
    jw_put_i64(w, "code", code);
    jw_key(w, "message");
    jw_text_n(w, message, len);
    jw_object_close(w);
}

void rpc_write_error(struct json_writer *w, enum rpc_code code, const char *message, size_t len,
                     struct json_object *id)
{
    jw_object_open(w);
    jw_key(w, "result");
    jw_null(w);
    jw_key(w, "error");
    write_error_object(w, code, message, len);
    jw_key(w, "id");
    jw_value(w, id);
    jw_object_close(w);
}

/* --- parameters ----------------------------------------------------------------------------- */

static struct rpc_result fail_with_help(struct rpc_call *call)
{
    call->code = RPC_MISC_ERROR;
    buf_reset(&call->message);
    rpc_help_text(call->command, &call->message);
    return (struct rpc_result){ RPC_FAILED };
}

/* Named parameters become positions. A parameter with two names is given by one of them. */
static struct rpc_result take_named(struct rpc_call *call, struct json_object *params)
{
    struct json_object_iterator it = json_object_iter_begin(params);
    struct json_object_iterator end = json_object_iter_end(params);
    uint32_t given = 0;
    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
        const char *name = json_object_iter_peek_name(&it);
        size_t at = rpc_param_find(call->command, name);
        if (at == SIZE_MAX)
            return rpc_fail(call, RPC_INVALID_PARAMETER, "Unknown named parameter %.200s", name);
        if (given & UINT32_C(1) << at)
            return rpc_fail(call, RPC_INVALID_PARAMETER, "Parameter %.200s is given twice", name);
        given |= UINT32_C(1) << at;
        call->argv[at] = json_object_iter_peek_value(&it);
        if (at >= call->argc)
            call->argc = at + 1;
    }
    return rpc_done();
}

static struct rpc_result take_positional(struct rpc_call *call, struct json_object *params)
{
    size_t n = json_object_array_length(params);
    if (n > rpc_param_count(call->command))
        return fail_with_help(call);
    for (size_t i = 0; i < n; i++)
        call->argv[i] = json_object_array_get_idx(params, i);
    call->argc = n;
    return rpc_done();
}

static struct rpc_result take_params(struct rpc_call *call, struct json_object *params)
{
    call->params = params;
    if (call->command->flags & RPC_ANY_PARAMS)
        return rpc_done();
    struct rpc_result r = rpc_done();
    if (json_object_get_type(params) == json_type_object)
        r = take_named(call, params);
    else if (params)
        r = take_positional(call, params);
    if (r.end == RPC_FAILED)
        return r;
    for (size_t i = 0; i < rpc_param_count(call->command); i++) {
        if (i >= call->argc && call->command->params[i].need == RPC_REQUIRED)
            return fail_with_help(call);
        r = rpc_check_param(call, &call->command->params[i], call->argv[i]);
        if (r.end == RPC_FAILED)
            return r;
    }
    return rpc_done();
}

/* --- running -------------------------------------------------------------------------------- */

static struct rpc_result run_method(struct rpc_call *call, const char *method,
                                    struct json_object *params)
{
    call->command = rpc_table_find(call->env->table, method);
    if (!call->command)
        return rpc_fail(call, RPC_METHOD_NOT_FOUND, "Method not found");
    log_debug(LOGC_RPC, "rpc %s", call->command->name);
    if (call->command->flags & RPC_SECRET)
        call->out->out->secret = true; /* until http_json_forget */
    struct rpc_result r = take_params(call, params);
    return r.end == RPC_FAILED ? r : call->command->fn(call);
}

static struct rpc_result run_call(struct rpc_call *call, struct json_object *request,
                                  const char *warmup)
{
    struct json_object *method, *params = NULL;
    if (!json_object_object_get_ex(request, "method", &method) || !method)
        return rpc_fail(call, RPC_INVALID_REQUEST, "Missing method");
    if (json_object_get_type(method) != json_type_string)
        return rpc_fail(call, RPC_INVALID_REQUEST, "Method must be a string");
    json_object_object_get_ex(request, "params", &params);
    enum json_type type = json_object_get_type(params);
    if (params && type != json_type_array && type != json_type_object)
        return rpc_fail(call, RPC_INVALID_REQUEST, "Params must be an array or object");
    if (warmup)
        return rpc_fail(call, RPC_IN_WARMUP, "%s", warmup);
    return run_method(call, json_object_get_string(method), params);
}

enum rpc_code rpc_invoke(struct rpc_run *run, const char *method, struct json_object *params,
                         struct buf *message)
{
    struct rpc_call call = { .env = run->env, .out = run->out, .client_gone = run->client_gone,
                             .client = run->client, .wallet = run->wallet };
    struct jw_mark start = jw_mark(run->out);
    buf_init(&call.message);
    run->broken = false;
    if (run_method(&call, method, params).end == RPC_DONE) {
        call.code = 0;
    } else {
        run->broken = !jw_rewind(run->out, &start);
        buf_put(message, call.message.data, call.message.len);
    }
    buf_clear(&call.message);
    return call.code;
}

struct jw_mark rpc_reply_begin(struct rpc_call *call)
{
    const struct jw_mark start = jw_mark(call->out);
    buf_init(&call->message);
    jw_object_open(call->out);
    jw_key(call->out, "result");
    return start;
}

enum rpc_code rpc_reply_end(struct rpc_call *call, struct rpc_result r,
                            const struct jw_mark *start, struct json_object *id, bool *broken)
{
    struct json_writer *w = call->out;
    if (r.end == RPC_DONE) {
        jw_key(w, "error");
        jw_null(w);
        jw_key(w, "id");
        jw_value(w, id);
        jw_object_close(w);
        call->code = 0;
    } else if (!jw_rewind(w, start)) {
        *broken = true;
    } else if (r.end == RPC_FAILED) {
        rpc_write_error(w, call->code, (const char *)call->message.data, call->message.len, id);
    }
    buf_clear(&call->message);
    return call->code;
}

enum rpc_code rpc_run(struct rpc_run *run, struct json_object *request)
{
    struct rpc_call call = { .env = run->env, .out = run->out, .client_gone = run->client_gone,
                             .client_ended = run->client_ended, .client = run->client,
                             .laters = run->laters,
                             .batch = run->batch, .wallet = run->wallet,
                             .on_http = run->on_http };
    const struct jw_mark start = rpc_reply_begin(&call);
    struct rpc_result r;
    run->broken = false;
    if (json_object_get_type(request) != json_type_object) {
        r = rpc_fail(&call, RPC_INVALID_REQUEST, "Invalid Request object");
    } else {
        json_object_object_get_ex(request, "id", &call.id);
        r = run_call(&call, request, run->warmup);
    }
    run->pending = r.end == RPC_PENDING;
    run->elsewhere = r.end == RPC_ELSEWHERE;
    return rpc_reply_end(&call, r, &start, call.id, &run->broken);
}

static const char *method_of(struct json_object *request)
{
    struct json_object *method = NULL;
    if (json_object_get_type(request) == json_type_object)
        json_object_object_get_ex(request, "method", &method);
    return json_object_get_type(method) == json_type_string ? json_object_get_string(method) : NULL;
}

/* What names no method of ours may be a misspelt one that has secrets. */
static bool may_have_secrets(const struct rpc_env *env, struct json_object *request)
{
    const char *name = method_of(request);
    const struct rpc_command *c = name ? rpc_table_find(env->table, name) : NULL;
    return !c || c->flags & RPC_SECRET;
}

void rpc_request_free(const struct rpc_env *env, struct json_object *request)
{
    const bool batch = json_object_get_type(request) == json_type_array;
    const size_t n = batch ? json_object_array_length(request) : 1;
    for (size_t i = 0; i < n; i++) {
        struct json_object *r = batch ? json_object_array_get_idx(request, i) : request;
        if (may_have_secrets(env, r))
            json_tree_wipe(r);
    }
    json_object_put(request);
}

bool rpc_overlaps(const struct rpc_env *env, struct json_object *request)
{
    const char *name = method_of(request);
    const struct rpc_command *c = name ? rpc_table_find(env->table, name) : NULL;
    return c && c->flags & RPC_OVERLAPS;
}

static enum rpc_where place_one(const struct rpc_env *env, struct json_object *request)
{
    const char *name = method_of(request);
    if (!name)
        return RPC_ON_HTTP; /* an error, given at once */
    const struct rpc_command *c = rpc_table_find(env->table, name);
    if (!c || !c->place)
        return c ? c->where : RPC_ON_HTTP;
    struct json_object *params = NULL;
    json_object_object_get_ex(request, "params", &params);
    return c->place(params);
}

/* Who waits for others does not take a worker. */
static enum rpc_where place_batch(const struct rpc_env *env, struct json_object *batch)
{
    for (size_t i = 0; i < json_object_array_length(batch); i++)
        if (place_one(env, json_object_array_get_idx(batch, i)) == RPC_ON_WAITER)
            return RPC_ON_WAITER;
    return RPC_ON_WORKER;
}

enum rpc_where rpc_place(const struct rpc_env *env, struct json_object *request)
{
    return json_object_get_type(request) == json_type_array ? place_batch(env, request)
                                                            : place_one(env, request);
}

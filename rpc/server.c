#include "rpc/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <json-c/json.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/netaddr.h"
#include "rpc/dispatch.h"
#include "rpc/http.h"
#include "rpc/json_read.h"

#define BODY_BASE (UINT64_C(32) << 20)
#define BODY_UNLIMITED (UINT64_C(1) << 40)
#define PARSE_ON_HTTP_MAX 16384u /* larger bodies are parsed by a worker */
#define WAITERS_MAX 16
#define WRONG_PASSWORD_DELAY_MS 250 /* spec rpc 1.4: slows guessing */
#define STOP_GRACE_MS 2000
#define STATUS_MAX 128

static const char type_json[] = "application/json"; /* exactly; ElectrumX compares it */
static const char type_text[] = "text/plain";

struct job {
    struct job *next;
    struct rpc_server *server;
    struct http_request *http;
    struct json_object *request; /* NULL: the body is still to be parsed */
};

struct rpc_server {
    struct rpc_env *env;
    const struct rpc_auth *auth;
    struct rpc_table *table;
    struct http_server *http;
    struct rpc_server_options o;
    struct cancel cancel;
    char *cors_fields;        /* added to replies for the allowed origin, or NULL */
    char *cors_preflight;
    struct buf http_out;      /* HTTP thread's */
    pthread_t *workers;
    unsigned n_workers;
    pthread_mutex_t lock;     /* for all below */
    pthread_cond_t work, waiter_left;
    struct job *first, *last;
    unsigned queued, waiters;
    bool stopping;
    atomic_bool ready;
    char status[STATUS_MAX];
};

/* --- answering ------------------------------------------------------------------------------ */

struct reply {
    struct http_request *http;
    bool started;
};

static enum err reply_sink(void *ctx, const void *data, size_t len)
{
    struct reply *reply = ctx;
    if (!reply->started)
        http_reply_start(reply->http, 200, type_json);
    reply->started = true;
    return http_reply_write(reply->http, data, len);
}

/* NULL when the node is ready, else the phase, copied to text. */
static const char *warmup_text(struct rpc_server *s, char text[STATUS_MAX])
{
    if (atomic_load_explicit(&s->ready, memory_order_acquire))
        return NULL;
    pthread_mutex_lock(&s->lock);
    memcpy(text, s->status, STATUS_MAX);
    pthread_mutex_unlock(&s->lock);
    return text;
}

static bool client_gone(void *ctx) { return http_request_gone(ctx); }

static void run_batch(struct rpc_run *run, struct json_object *batch)
{
    jw_array_open(run->out);
    for (size_t i = 0; i < json_object_array_length(batch) && !run->broken && !run->out->failed;
         i++)
        rpc_run(run, json_object_array_get_idx(batch, i));
    jw_array_close(run->out);
}

/* Runs a parsed request and replies; out is scratch. */
static void answer(struct rpc_server *s, struct http_request *http, struct json_object *request,
                   struct buf *out)
{
    char text[STATUS_MAX];
    struct reply reply = { .http = http };
    struct json_writer w;
    struct rpc_run run = { .env = s->env, .warmup = warmup_text(s, text), .out = &w,
                           .client_gone = client_gone, .client = http };
    int status = 200;
    buf_reset(out);
    jw_init(&w, out, reply_sink, &reply);
    if (json_object_get_type(request) == json_type_array)
        run_batch(&run, request);
    else
        status = rpc_http_status(rpc_run(&run, request));
    buf_put_u8(out, '\n');
    if (reply.started)
        jw_flush(&w);
    if (run.broken || w.failed)
        http_reply_abort(http);
    else if (reply.started)
        http_reply_finish(http);
    else
        http_reply(http, status, type_json, out->data, out->len);
}

static void answer_error(struct http_request *http, enum rpc_code code, const char *message)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out);
    jw_init(&w, &out, NULL, NULL);
    rpc_write_error(&w, code, message, strlen(message), NULL);
    buf_put_u8(&out, '\n');
    http_reply(http, rpc_http_status(code), type_json, out.data, out.len);
    buf_clear(&out);
}

/* Parses the body; on failure the error has been answered. */
static bool parse_body(struct http_request *http, struct json_object **request)
{
    struct span body = http_request_body(http);
    struct error e = { 0 };
    enum err rc = json_read((const char *)body.data, body.len, request, &e);
    if (rc) {
        answer_error(http, RPC_PARSE_ERROR, rc == ERR_PARSE ? "Parse error" : e.text);
        return false;
    }
    enum json_type type = json_object_get_type(*request);
    if (type == json_type_object || type == json_type_array)
        return true;
    json_object_put(*request);
    answer_error(http, RPC_PARSE_ERROR, "Top-level object parse error");
    return false;
}

/* --- workers -------------------------------------------------------------------------------- */

static void job_run(struct job *j, struct buf *out)
{
    struct rpc_server *s = j->server;
    if (cancelled(&s->cancel))
        http_reply(j->http, 503, type_text, "Request rejected during server shutdown", 39);
    else if (j->request || parse_body(j->http, &j->request))
        answer(s, j->http, j->request, out);
    else
        j->request = NULL;
    json_object_put(j->request);
    free(j);
}

static struct job *job_next(struct rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stopping)
        pthread_cond_wait(&s->work, &s->lock);
    struct job *j = s->first;
    if (j) {
        s->first = j->next;
        s->last = s->first ? s->last : NULL;
        s->queued--;
    }
    pthread_mutex_unlock(&s->lock);
    return j;
}

static void *worker_main(void *arg)
{
    struct rpc_server *s = arg;
    struct buf out;
    buf_init(&out);
    for (struct job *j; (j = job_next(s));)
        job_run(j, &out);
    buf_clear(&out);
    return NULL;
}

static void *waiter_main(void *arg)
{
    struct job *j = arg;
    struct rpc_server *s = j->server;
    struct buf out;
    buf_init(&out);
    job_run(j, &out);
    buf_clear(&out);
    pthread_mutex_lock(&s->lock);
    s->waiters--;
    pthread_cond_signal(&s->waiter_left);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool waiter_start(struct rpc_server *s, struct job *j)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->waiters < WAITERS_MAX && !s->stopping;
    s->waiters += room;
    pthread_mutex_unlock(&s->lock);
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    bool started = room && pthread_create(&thread, &detached, waiter_main, j) == 0;
    pthread_attr_destroy(&detached);
    if (room && !started) {
        pthread_mutex_lock(&s->lock);
        s->waiters--;
        pthread_mutex_unlock(&s->lock);
    }
    return started;
}

static bool worker_queue(struct rpc_server *s, struct job *j)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->queued < s->o.queue_depth && !s->stopping;
    if (room) {
        *(s->last ? &s->last->next : &s->first) = j;
        s->last = j;
        s->queued++;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

static void hand_over(struct rpc_server *s, struct http_request *http, struct json_object *request,
                      enum rpc_where where)
{
    struct job *j = xcalloc(1, sizeof *j);
    *j = (struct job){ .server = s, .http = http, .request = request };
    bool taken = where == RPC_ON_WAITER ? waiter_start(s, j) : worker_queue(s, j);
    if (taken)
        return;
    LOG_LIMITED(LOG_WARN, "RPC: work queue depth exceeded (option rpcworkqueue)");
    static const char text[] = "Work queue depth exceeded";
    http_reply(http, 500, type_text, text, sizeof text - 1);
    json_object_put(request);
    free(j);
}

/* --- HTTP thread ---------------------------------------------------------------------------- */

static void on_request(void *ctx, struct http_request *http)
{
    struct rpc_server *s = ctx;
    struct json_object *request = NULL;
    if (http_request_body(http).len > PARSE_ON_HTTP_MAX) {
        hand_over(s, http, NULL, RPC_ON_WORKER);
        return;
    }
    if (!parse_body(http, &request))
        return;
    enum rpc_where where = json_object_get_type(request) == json_type_array
                               ? RPC_ON_WORKER
                               : rpc_place(s->env, request);
    if (where != RPC_ON_HTTP) {
        hand_over(s, http, request, where);
        return;
    }
    answer(s, http, request, &s->http_out);
    json_object_put(request);
}

static bool path_is_rpc(const char *path)
{
    return strcmp(path, "/") == 0 || strncmp(path, "/wallet/", 8) == 0;
}

/* Browsers of the one allowed origin (spec rpc 1.1). */
static bool is_cors_origin(const struct rpc_server *s, const struct http_request *http)
{
    const char *origin = http_request_field(http, "Origin");
    return s->o.cors_domain && origin && strcmp(origin, s->o.cors_domain) == 0;
}

static struct http_decision refuse(int status, const char *body)
{
    return (struct http_decision){ .status = status, .body = body };
}

static struct http_decision on_head(void *ctx, const struct http_request *http)
{
    struct rpc_server *s = ctx;
    const char *method = http_request_method(http);
    if (!rpc_auth_allows(s->auth, http_request_peer(http)))
        return refuse(403, NULL);
    if (cancelled(&s->cancel))
        return refuse(503, NULL);
    if (!path_is_rpc(http_request_path(http)))
        return refuse(404, NULL);
    bool cors = is_cors_origin(s, http);
    if (cors && strcmp(method, "OPTIONS") == 0)
        return (struct http_decision){ .status = 200, .fields = s->cors_preflight };
    if (strcmp(method, "POST") != 0)
        return refuse(405, "JSONRPC server handles only POST requests");
    enum auth_answer auth = rpc_auth_check(s->auth, http_request_field(http, "Authorization"));
    if (auth == AUTH_OK)
        return (struct http_decision){ .fields = cors ? s->cors_fields : NULL };
    if (auth == AUTH_WRONG)
        LOG_LIMITED(LOG_WARN, "RPC: wrong password");
    return (struct http_decision){
        .status = 401, .fields = "WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n",
        .delay_ms = auth == AUTH_WRONG ? WRONG_PASSWORD_DELAY_MS : 0,
    };
}

/* --- life ----------------------------------------------------------------------------------- */

static enum err make_cors(struct rpc_server *s, struct error *e)
{
    const char *domain = s->o.cors_domain;
    if (!domain)
        return OK;
    if (strlen(domain) > 200 || strpbrk(domain, "\r\n"))
        return error_set(e, ERR_PARSE, "option rpccorsdomain: not an origin");
    s->cors_fields = xasprintf("Access-Control-Allow-Origin: %s\r\n"
                               "Access-Control-Allow-Credentials: true\r\n", domain);
    s->cors_preflight = xasprintf("%sAccess-Control-Allow-Methods: POST\r\n"
                                  "Access-Control-Allow-Headers: authorization,content-type\r\n",
                                  s->cors_fields);
    return OK;
}

static uint64_t body_limit(uint64_t max_block_size)
{
    if (max_block_size == 0 || max_block_size > (BODY_UNLIMITED - BODY_BASE) / 2)
        return BODY_UNLIMITED;
    return BODY_BASE + 2 * max_block_size;
}

enum err rpc_server_new(struct rpc_server **out, const struct rpc_server_options *o,
                        struct rpc_env *env, const struct rpc_auth *auth, struct error *e)
{
    struct rpc_server *s = xcalloc(1, sizeof *s);
    s->o = *o;
    s->o.threads = o->threads ? o->threads : 4;
    s->o.queue_depth = o->queue_depth ? o->queue_depth : 16;
    s->env = env;
    s->auth = auth;
    s->table = rpc_table_new();
    env->table = s->table;
    cancel_init(&s->cancel);
    env->cancel = &s->cancel;
    buf_init(&s->http_out);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->waiter_left, NULL);
    atomic_init(&s->ready, false);
    snprintf(s->status, sizeof s->status, "Starting");
    struct http_options ho = {
        .max_body = body_limit(o->max_block_size), .spool_dir = o->spool_dir,
        .idle_timeout_ms = (o->idle_timeout_s ? o->idle_timeout_s : 30) * 1000,
    };
    struct http_handlers hh = { .ctx = s, .on_head = on_head, .on_request = on_request };
    enum err rc = make_cors(s, e);
    if (!rc)
        rc = http_server_new(&s->http, &ho, &hh, e);
    if (rc) {
        rpc_server_free(s);
        return rc;
    }
    *out = s;
    return OK;
}

enum err rpc_server_listen(struct rpc_server *s, const char *address, uint16_t default_port,
                           struct error *e)
{
    struct netaddr a;
    struct sockaddr_storage ss = { 0 };
    enum err rc = netaddr_parse(&a, address, default_port, e);
    if (rc)
        return rc;
    unsigned len = netaddr_to_sockaddr(&a, &ss);
    rc = http_server_listen(s->http, (struct sockaddr *)&ss, len, e);
    return rc ? error_prefix(e, rc, "%s", address) : OK;
}

uint16_t rpc_server_port(const struct rpc_server *s, size_t n)
{
    return http_server_port(s->http, n);
}

enum err rpc_server_start(struct rpc_server *s, struct error *e)
{
    s->workers = xcalloc(s->o.threads, sizeof *s->workers);
    for (unsigned i = 0; i < s->o.threads; i++) {
        int rc = pthread_create(&s->workers[i], NULL, worker_main, s);
        if (rc)
            return error_set_errno(e, rc, "RPC: thread");
        s->n_workers++;
    }
    return http_server_start(s->http, e);
}

void rpc_server_set_status(struct rpc_server *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    if (text)
        snprintf(s->status, sizeof s->status, "%s", text);
    pthread_mutex_unlock(&s->lock);
    atomic_store_explicit(&s->ready, text == NULL, memory_order_release);
}

void rpc_server_stop(struct rpc_server *s)
{
    if (!s)
        return;
    cancel_set(&s->cancel);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    http_server_stop(s->http, STOP_GRACE_MS); /* first: it frees workers that wait for a client */
    for (unsigned i = 0; i < s->n_workers; i++)
        pthread_join(s->workers[i], NULL);
    s->n_workers = 0;
    pthread_mutex_lock(&s->lock);
    while (s->waiters)
        pthread_cond_wait(&s->waiter_left, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void rpc_server_free(struct rpc_server *s)
{
    if (!s)
        return;
    http_server_free(s->http);
    rpc_table_free(s->table);
    free(s->workers);
    free(s->cors_fields);
    free(s->cors_preflight);
    buf_clear(&s->http_out);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->waiter_left);
    free(s);
}

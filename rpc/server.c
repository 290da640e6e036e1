#include "rpc/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/netaddr.h"
#include "rpc/candidates.h"
#include "rpc/dispatch.h"
#include "rpc/http_json.h"
#include "rpc/json_read.h"
#include "rpc/json_tree.h"
#include "rpc/later.h"
#include "rpc/rest.h"
#include "rpc/workers.h"

#define BODY_BASE (UINT64_C(32) << 20)
#define BODY_UNLIMITED (UINT64_C(1) << 40)
#define ROUTE_BODY_MAX 65536u
#define PARSE_ON_HTTP_MAX 16384u /* larger bodies are parsed by a worker */
#define WAITERS_MAX 16
#define WRONG_PASSWORD_DELAY_MS 250 /* spec rpc 1.4: slows guessing */
#define STOP_GRACE_MS 2000
#define STATUS_MAX 128
#define QUICK_US 1000   /* a try on the HTTP thread that takes longer had to wait for the disk: */
#define PAUSE_FACTOR 20 /* no other for so many times as long */

static const char type_text[] = "text/plain";

struct job {
    struct work work; /* first */
    struct rpc_server *server;
    struct http_request *http;
    struct json_object *request; /* NULL: the body is still to be parsed */
};

struct route {
    struct rpc_route row;
    struct workers *workers;
};

struct route_job {
    struct work work; /* first */
    const struct route *route;
    struct http_request *http;
};

struct rpc_server {
    struct rpc_env *env;
    const struct rpc_auth *auth;
    struct rpc_table *table;
    struct candidates *candidates;
    struct http_server *http;
    struct rpc_server_options o;
    struct cancel cancel;
    char *cors_fields;        /* added to replies for the allowed origin, or NULL */
    char *cors_preflight;
    struct buf http_out;      /* HTTP thread's, like the next */
    int64_t no_try_until_us;  /* monotonic */
    struct rpc_laters laters;
    struct workers *workers, *waiters;
    struct route routes[RPC_ROUTES_MAX];
    size_t n_routes;
    atomic_bool ready;
    pthread_mutex_t lock;     /* for status */
    char status[STATUS_MAX];
};

/* --- answering ------------------------------------------------------------------------------ */

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

#define WALLET_PATH "/wallet/"

/* The wallet that the address names, or NULL. */
static const char *wallet_of(const struct http_request *http)
{
    const char *path = http_request_path(http);
    const size_t n = sizeof WALLET_PATH - 1;
    return strncmp(path, WALLET_PATH, n) == 0 ? path + n : NULL;
}

static bool client_gone(void *ctx) { return http_request_gone(ctx); }
static bool client_ended(void *ctx) { return http_request_ended(ctx); }

/* One that may answer later. What it says at once has its place behind what others still owe. */
static void run_overlapping(const struct rpc_run *run, struct rpc_batch *all,
                            struct json_object *request)
{
    struct rpc_run own = *run;
    struct json_writer w;
    struct buf text;
    buf_init(&text);
    jw_init(&w, &text, NULL, NULL);
    own.out = &w;
    own.batch = all;
    own.laters = all->owner;
    (void)rpc_run(&own, request);
    if (!own.pending)
        rpc_batch_add(all, buf_span(&text));
    buf_clear(&text);
}

static void run_one_of_batch(struct rpc_run *run, struct rpc_batch *all,
                             struct json_object *request)
{
    const bool overlaps = rpc_overlaps(run->env, request);
    if (!overlaps || all->n >= RPC_BATCH_WAITING_MAX)
        rpc_batch_write(all, run->out);
    if (overlaps)
        run_overlapping(run, all, request);
    else
        (void)rpc_run(run, request);
}

static void run_batch(struct rpc_run *run, struct rpc_laters *laters, struct json_object *batch)
{
    const size_t n = json_object_array_length(batch);
    struct rpc_batch all;
    rpc_batch_init(&all, laters);
    jw_array_open(run->out);
    for (size_t i = 0; i < n && !run->broken && !run->out->failed; i++)
        run_one_of_batch(run, &all, json_object_array_get_idx(batch, i));
    rpc_batch_write(&all, run->out);
    jw_array_close(run->out);
    rpc_batch_clear(&all);
}

enum answer_on { ANSWER_ON_HTTP, ANSWER_ON_WORKER };

/* Runs a parsed request and replies; out is scratch. On the HTTP thread it may be answered later,
 * or not at all: then false, and it is for a worker. */
static bool answer(struct rpc_server *s, struct http_request *http, struct json_object *request,
                   enum answer_on on, struct buf *out)
{
    const bool on_http = on == ANSWER_ON_HTTP;
    char text[STATUS_MAX];
    struct http_json j;
    int status = 200;
    http_json_init(&j, http, out);
    struct rpc_run run = { .env = s->env, .warmup = warmup_text(s, text), .out = &j.w,
                           .client_gone = client_gone, .client_ended = client_ended,
                           .client = http, .wallet = wallet_of(http), .on_http = on_http,
                           .laters = on_http ? &s->laters : NULL };
    if (json_object_get_type(request) == json_type_array)
        run_batch(&run, &s->laters, request);
    else
        status = rpc_http_status(rpc_run(&run, request));
    if (run.broken)
        http_reply_abort(http);
    else if (!run.pending && !run.elsewhere)
        http_json_end(&j, status);
    http_json_forget(&j);
    return !run.elsewhere;
}

static void answer_error(struct http_request *http, enum rpc_code code, const char *message)
{
    struct buf out;
    struct http_json j;
    buf_init(&out);
    http_json_init(&j, http, &out);
    rpc_write_error(&j.w, code, message, strlen(message), NULL);
    http_json_end(&j, rpc_http_status(code));
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
    json_tree_wipe(*request);
    json_object_put(*request);
    answer_error(http, RPC_PARSE_ERROR, "Top-level object parse error");
    return false;
}

/* --- workers -------------------------------------------------------------------------------- */

static void hand_over(struct rpc_server *s, struct http_request *http, struct json_object *request,
                      enum rpc_where where);

/* A worker has parsed a body that turns out to be a batch for a waiter. */
static bool belongs_to_waiter(const struct rpc_server *s, struct json_object *request)
{
    return json_object_get_type(request) == json_type_array &&
           rpc_place(s->env, request) == RPC_ON_WAITER;
}

static void job_run(struct work *work, struct buf *out)
{
    struct job *j = (struct job *)work; /* its first member */
    struct rpc_server *s = j->server;
    const bool parsed = j->request;
    if (cancelled(&s->cancel)) {
        http_reply(j->http, 503, type_text, "Request rejected during server shutdown", 39);
    } else if (!parsed && !parse_body(j->http, &j->request)) {
        j->request = NULL;
    } else if (!parsed && belongs_to_waiter(s, j->request)) {
        hand_over(s, j->http, j->request, RPC_ON_WAITER);
        j->request = NULL;
    } else {
        (void)answer(s, j->http, j->request, ANSWER_ON_WORKER, out);
    }
    rpc_request_free(s->env, j->request);
    free(j);
}

static void hand_over(struct rpc_server *s, struct http_request *http, struct json_object *request,
                      enum rpc_where where)
{
    struct job *j = xcalloc(1, sizeof *j);
    *j = (struct job){ { .run = job_run }, .server = s, .http = http, .request = request };
    if (workers_push(where == RPC_ON_WAITER ? s->waiters : s->workers, &j->work))
        return;
    LOG_LIMITED(LOG_WARN, "RPC: work queue depth exceeded (option rpcworkqueue)");
    static const char text[] = "Work queue depth exceeded";
    http_reply(http, 500, type_text, text, sizeof text - 1);
    rpc_request_free(s->env, request);
    free(j);
}

/* --- routes --------------------------------------------------------------------------------- */

void rpc_server_add_route(struct rpc_server *s, const struct rpc_route *route)
{
    BUG_ON(s->n_routes == RPC_ROUTES_MAX);
    struct route *r = &s->routes[s->n_routes++];
    r->row = *route;
    r->workers = route->threads ? workers_new(route->threads, route->queue_depth)
                                : workers_new(s->o.threads, s->o.queue_depth);
}

/* NULL: an address of RPC, or none at all. */
static const struct route *find_route(const struct rpc_server *s, const char *path)
{
    for (size_t i = 0; i < s->n_routes; i++) {
        const char *own = s->routes[i].row.path;
        size_t n = strlen(own);
        if (strcmp(path, own) == 0 || (own[n - 1] == '/' && strncmp(path, own, n) == 0))
            return &s->routes[i];
    }
    return NULL;
}

static void route_run(struct work *work, struct buf *scratch)
{
    struct route_job *j = (struct route_job *)work; /* its first member */
    j->route->row.answer(j->route->row.ctx, j->http, scratch);
    free(j);
}

static void route_request(struct rpc_server *s, const struct route *route,
                          struct http_request *http)
{
    char text[STATUS_MAX], line[STATUS_MAX + 40];
    if (warmup_text(s, text)) {
        snprintf(line, sizeof line, "Service temporarily unavailable: %s\r\n", text);
        http_reply(http, 503, type_text, line, strlen(line));
        return;
    }
    struct route_job *j = xcalloc(1, sizeof *j);
    *j = (struct route_job){ { .run = route_run }, .route = route, .http = http };
    if (workers_push(route->workers, &j->work))
        return;
    static const char busy[] = "Too many requests are being answered, try again\r\n";
    LOG_LIMITED(LOG_WARN, "HTTP: too many requests for %s at once", route->row.path);
    http_reply(http, 503, type_text, busy, sizeof busy - 1);
    free(j);
}

/* --- HTTP thread ---------------------------------------------------------------------------- */

/* On this thread, which answers without a switch of threads; but it has other clients too, and may
 * not spend its time on a disk that keeps it waiting. False: it is for a worker. */
static bool try_here(struct rpc_server *s, struct http_request *http, struct json_object *request)
{
    const int64_t start = clock_mono_us();
    if (start < s->no_try_until_us)
        return false;
    const bool answered = answer(s, http, request, ANSWER_ON_HTTP, &s->http_out);
    const int64_t end = clock_mono_us(), took = end - start;
    if (took > QUICK_US)
        s->no_try_until_us = end + PAUSE_FACTOR * took;
    return answered;
}

static void on_request(void *ctx, struct http_request *http)
{
    struct rpc_server *s = ctx;
    struct json_object *request = NULL;
    const struct route *route = find_route(s, http_request_path(http));
    if (route) {
        route_request(s, route, http);
        return;
    }
    if (http_request_body(http).len > PARSE_ON_HTTP_MAX) {
        hand_over(s, http, NULL, RPC_ON_WORKER);
        return;
    }
    if (!parse_body(http, &request))
        return;
    const enum rpc_where where = rpc_place(s->env, request);
    if (where == RPC_ON_HTTP ? answer(s, http, request, ANSWER_ON_HTTP, &s->http_out)
                             : where == RPC_TRY_ON_HTTP && try_here(s, http, request))
        rpc_request_free(s->env, request);
    else
        hand_over(s, http, request, where);
}

static bool path_is_rpc(const struct http_request *http)
{
    return strcmp(http_request_path(http), "/") == 0 || wallet_of(http);
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

static struct http_decision check_credentials(struct rpc_server *s,
                                              const struct http_request *http)
{
    enum auth_answer auth = rpc_auth_check(s->auth, http_request_field(http, "Authorization"));
    if (auth == AUTH_OK)
        return (struct http_decision){ .status = 0 };
    if (auth == AUTH_WRONG)
        LOG_LIMITED(LOG_WARN, "RPC: wrong password");
    return (struct http_decision){
        .status = 401, .fields = "WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n",
        .delay_ms = auth == AUTH_WRONG ? WRONG_PASSWORD_DELAY_MS : 0,
    };
}

static struct http_decision on_route_head(struct rpc_server *s, const struct route *route,
                                          const struct http_request *http)
{
    const char *method = http_request_method(http);
    struct http_decision d = { .status = 0 };
    if (strcmp(method, "GET") != 0 && !(route->row.allow_post && strcmp(method, "POST") == 0))
        return refuse(405, "This address handles only GET requests");
    if (route->row.access == ROUTE_WITH_CREDENTIALS)
        d = check_credentials(s, http);
    d.max_body = ROUTE_BODY_MAX;
    return d;
}

static struct http_decision on_rpc_head(struct rpc_server *s, const struct http_request *http)
{
    const char *method = http_request_method(http);
    bool cors = is_cors_origin(s, http);
    if (cors && strcmp(method, "OPTIONS") == 0)
        return (struct http_decision){ .status = 200, .fields = s->cors_preflight };
    if (strcmp(method, "POST") != 0)
        return refuse(405, "JSONRPC server handles only POST requests");
    struct http_decision d = check_credentials(s, http);
    if (!d.status)
        d.fields = cors ? s->cors_fields : NULL;
    return d;
}

static struct http_decision on_head(void *ctx, const struct http_request *http)
{
    struct rpc_server *s = ctx;
    const char *path = http_request_path(http);
    if (!rpc_auth_allows(s->auth, http_request_peer(http)))
        return refuse(403, NULL);
    if (cancelled(&s->cancel))
        return refuse(503, NULL);
    const struct route *route = find_route(s, path);
    if (route)
        return on_route_head(s, route, http);
    return path_is_rpc(http) ? on_rpc_head(s, http) : refuse(404, NULL);
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
    s->candidates = candidates_new(CANDIDATES_MAX, CANDIDATES_MAX_BYTES, CANDIDATES_MAX_AGE_S);
    env->candidates = s->candidates;
    cancel_init(&s->cancel);
    env->cancel = &s->cancel;
    buf_init(&s->http_out);
    rpc_laters_init(&s->laters, env);
    s->workers = workers_new(s->o.threads, s->o.queue_depth);
    s->waiters = workers_new(WAITERS_MAX, 0);
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->ready, false);
    snprintf(s->status, sizeof s->status, "Starting");
    if (o->rest)
        rpc_server_add_route(s, &(struct rpc_route){ .path = "/rest/", .allow_post = true,
                                                     .answer = rest_answer, .ctx = env });
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
    http_server_stop(s->http, STOP_GRACE_MS); /* first: it frees workers that wait for a client */
    workers_stop(s->workers);
    workers_stop(s->waiters);
    for (size_t i = 0; i < s->n_routes; i++)
        workers_stop(s->routes[i].workers);
    rpc_laters_wait(&s->laters);
}

void rpc_server_free(struct rpc_server *s)
{
    if (!s)
        return;
    http_server_free(s->http);
    rpc_table_free(s->table);
    candidates_free(s->candidates);
    workers_free(s->workers);
    workers_free(s->waiters);
    for (size_t i = 0; i < s->n_routes; i++)
        workers_free(s->routes[i].workers);
    free(s->cors_fields);
    free(s->cors_preflight);
    buf_clear(&s->http_out);
    rpc_laters_clear(&s->laters);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

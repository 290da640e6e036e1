/*
 * A look at all addresses follows a notice of the kernel, at most one a second, and comes at times
 * without any. Looks hold the list's place of work, so that none sees an address that a method is
 * just putting on its interface as one that is missing.
 */
#include "node/bca_keep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/assigned.h"
#include "p2p/netif.h"
#include "rpc/dispatch.h"

#define PAUSE_MS 1000      /* between two looks */
#define LOOK_MS 60000      /* without a notice */
#define RETRY_MS 60000     /* of what failed; twice as long each time */
#define RETRY_MAX_MS 3600000

struct bca_keep {
    struct assigned *assigned;
    struct rpc_env env;        /* the node's, with a table and an end of our own */
    struct rpc_table *table;
    struct cancel cancel;
    pthread_t thread;
    bool started;
    int watch;                 /* of netif_watch, or -1 */
    int wake[2];
    int64_t look_at;           /* clock_mono_ms */
    int64_t retry_at, retry_ms;
    char said[ERROR_TEXT_MAX]; /* the last failure that was logged */
};

enum err bca_keep_open(struct bca_keep **out, const struct settings *s,
                       struct assigned **assigned, struct error *e)
{
    struct bca_keep *k = xcalloc(1, sizeof *k);
    char *path = path_join(s->net_dir, "assigned.dat");
    k->watch = k->wake[0] = k->wake[1] = -1;
    cancel_init(&k->cancel);
    *out = k;
    const enum err rc = assigned_open(&k->assigned, path, s->params.disk_magic, e);
    free(path);
    *assigned = k->assigned;
    return rc;
}

/* --- what is done to an address ------------------------------------------------------------- */

static void say(struct bca_keep *k, const char *text)
{
    if (strcmp(k->said, text) == 0)
        return;
    log_warn("identities: %s", text);
    (void)snprintf(k->said, sizeof k->said, "%s", text);
}

/* What cannot be done because of the interface is tried again when that changes. */
static void failed(struct bca_keep *k, const char *method, const char *address,
                   enum rpc_code code, struct buf *message)
{
    char text[ERROR_TEXT_MAX];
    buf_put_u8(message, 0);
    (void)snprintf(text, sizeof text, "%s %s: %s", method, address, (const char *)message->data);
    say(k, text);
    if (code == RPC_INVALID_PARAMETER)
        return;
    k->retry_ms = k->retry_ms ? k->retry_ms * 2 : RETRY_MS;
    if (k->retry_ms > RETRY_MAX_MS)
        k->retry_ms = RETRY_MAX_MS;
    k->retry_at = clock_mono_ms() + k->retry_ms;
}

static const char *print(const uint8_t *address, char text[INET6_ADDRSTRLEN])
{
    return inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

/* A method with two texts. */
static bool ask(struct bca_keep *k, const struct assigned_address *at, const char *method,
                const char *first, const char *second)
{
    struct json_writer w;
    struct buf answer, message;
    char text[INET6_ADDRSTRLEN];
    struct json_object *params = json_object_new_array();
    struct rpc_run run = { .env = &k->env, .out = &w, .wallet = at->owner };
    json_object_array_add(params, json_object_new_string(first));
    json_object_array_add(params, json_object_new_string(second));
    buf_init(&answer);
    buf_init(&message);
    jw_init(&w, &answer, NULL, NULL);
    const enum rpc_code code = rpc_invoke(&run, method, params, &message);
    if (code)
        failed(k, method, print(at->address, text), code, &message);
    else
        k->retry_ms = 0;
    json_object_put(params);
    buf_clear(&answer);
    buf_clear(&message);
    return code == 0;
}

static void put_back(struct bca_keep *k, const struct assigned_address *at)
{
    char text[INET6_ADDRSTRLEN];
    if (ask(k, at, "bcaassign", print(at->address, text), at->interface))
        log_info("identities: %s of %s is on %s again", text, at->name, at->interface);
}

static void look_at(struct bca_keep *k, const struct assigned_address *at)
{
    struct error e = { .code = OK };
    uint32_t index;
    bool there = false;
    if (netif_index(at->interface, &index, &e))
        return; /* a notice tells when it comes */
    if (netif_has(index, at->address, &there, NULL, &e))
        say(k, e.text);
    else if (!there && clock_mono_ms() >= k->retry_at)
        put_back(k, at);
}

static void look(struct bca_keep *k)
{
    struct assigned_address list[ASSIGNED_MAX];
    assigned_begin(k->assigned);
    const size_t n = assigned_list(k->assigned, list);
    for (size_t i = 0; i < n && !cancelled(&k->cancel); i++)
        look_at(k, &list[i]);
    assigned_end(k->assigned);
}

/* --- the thread ----------------------------------------------------------------------------- */

/* Until something is to be looked at. */
static void wait_for_news(struct bca_keep *k)
{
    struct pollfd fds[] = { { .fd = k->wake[0], .events = POLLIN },
                            { .fd = k->watch, .events = POLLIN } };
    (void)poll(fds, 1, PAUSE_MS);
    while (!cancelled(&k->cancel) && clock_mono_ms() < k->look_at &&
           !(k->watch >= 0 && netif_watch_take(k->watch)))
        (void)poll(fds, 2, PAUSE_MS);
}

static void *keep(void *arg)
{
    struct bca_keep *k = arg;
    while (!cancelled(&k->cancel)) {
        k->look_at = clock_mono_ms() + LOOK_MS;
        look(k);
        wait_for_news(k);
    }
    return NULL;
}

enum err bca_keep_start(struct bca_keep *k, const struct rpc_env *env, struct error *e)
{
    k->table = rpc_table_new();
    k->env = *env;
    k->env.table = k->table;
    k->env.cancel = &k->cancel;
    if (netif_watch(&k->watch, e)) { /* no reason to do without the rest */
        log_warn("identities: %s", e->text);
        k->watch = -1;
    }
    if (pipe2(k->wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_set_errno(e, errno, "cannot make a pipe");
    const int failure = pthread_create(&k->thread, NULL, keep, k);
    k->started = failure == 0;
    return failure ? error_set_errno(e, failure, "cannot start a thread") : OK;
}

void bca_keep_cancel(struct bca_keep *k)
{
    if (!k)
        return;
    cancel_set(&k->cancel);
    if (k->wake[1] >= 0 && write(k->wake[1], "", 1) < 0)
        log_debug(LOGC_WALLET, "identities: the thread wakes by itself");
}

void bca_keep_stop(struct bca_keep *k)
{
    if (!k || !k->started)
        return;
    bca_keep_cancel(k);
    pthread_join(k->thread, NULL);
    k->started = false;
}

void bca_keep_free(struct bca_keep *k)
{
    if (!k)
        return;
    for (int i = 0; i < 2; i++)
        if (k->wake[i] >= 0)
            close(k->wake[i]);
    if (k->watch >= 0)
        close(k->watch);
    if (k->table)
        rpc_table_free(k->table);
    assigned_free(k->assigned);
    free(k);
}

#include <config.h>

#include "node/paychan_endpoints.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/secret.h"
#include "p2p/netaddr.h"
#include "rpc/cli_http.h"
#include "rpc/json_write.h"

#define WAITING_MAX 1000
#define TIMEOUT_S 5
#define HOST_MAX 256
#define HTTP_OK 200

struct endpoint {
    char host[HOST_MAX];
    uint16_t port;
    struct buf authorization; /* value of the field, with its zero */
};

struct paychan_endpoints {
    struct endpoint *v;
    size_t n;
    pthread_t thread;
    struct queue *waiting;
    atomic_bool stopping;
};

struct waiting {
    struct queue_node node; /* first */
    struct tx *tx;          /* a reference */
};

/* --- options --- */

static enum err read_endpoint(struct endpoint *p, const char *text, struct error *e)
{
    static const char basic[] = "Basic ";
    const char *at = strrchr(text, '@');
    buf_init(&p->authorization);
    if (!at || !memchr(text, ':', (size_t)(at - text)) ||
        netaddr_split_host_port(at + 1, p->host, sizeof p->host, &p->port, e) || !p->port)
        return error_set(e, ERR_RANGE, "-paychannelnode=...@%.100s: user:password@host:port is "
                         "wanted", at ? at + 1 : "");
    buf_put(&p->authorization, basic, sizeof basic - 1);
    base64_encode(&p->authorization, text, (size_t)(at - text));
    buf_put_u8(&p->authorization, 0);
    return OK;
}

/* --- the thread --- */

static void put_request(struct buf *b, const struct tx *tx)
{
    char *hex = xmalloc(2 * tx->raw.len + 1);
    struct json_writer w;
    hex_encode(hex, tx->raw.data, tx->raw.len);
    jw_init(&w, b, NULL, NULL);
    jw_object_open(&w);
    jw_put_text(&w, "method", "sendrawtransaction");
    jw_key(&w, "params");
    jw_array_open(&w);
    jw_text(&w, hex);
    jw_bool(&w, true); /* whatever its fee */
    jw_array_close(&w);
    jw_object_close(&w);
    free(hex);
}

static void post(const struct endpoint *p, const struct buf *request)
{
    const struct cli_endpoint to = { .host = p->host, .port = p->port, .timeout_s = TIMEOUT_S };
    struct error e = { .code = OK };
    struct buf body;
    int status = 0;
    buf_init(&body);
    if (cli_post(&to, "/", (const char *)p->authorization.data, request, &status, &body, &e)) {
        LOG_LIMITED(LOG_WARN, "payment channels: the node at %s does not answer: %s", p->host,
                    e.text);
    } else {
        char text[200];
        log_sanitize(text, sizeof text, (const char *)body.data, MIN_OF(body.len, 120));
        if (status == HTTP_OK || body.len) /* an error of RPC has its text */
            log_debug(LOGC_CHANNEL, "payment channels: the node at %s says %d: %s", p->host, status,
                      text);
        else
            LOG_LIMITED(LOG_WARN, "payment channels: the node at %s refuses with %d: is the "
                        "password right?", p->host, status);
    }
    buf_clear(&body);
}

static void drop(struct queue_node *node)
{
    struct waiting *w = (struct waiting *)node;
    if (!w)
        return;
    tx_unref(w->tx);
    free(w);
}

/* What waits at a stop is dropped: the records of channels have it. */
static void *run(void *arg)
{
    struct paychan_endpoints *p = arg;
    struct queue_node *node;
    while ((node = queue_pop_wait(p->waiting, -1))) {
        struct buf request;
        buf_init(&request);
        put_request(&request, ((struct waiting *)node)->tx);
        for (size_t i = 0; i < p->n && !atomic_load(&p->stopping); i++)
            post(&p->v[i], &request);
        buf_clear(&request);
        drop(node);
    }
    return NULL;
}

/* --- life --- */

void paychan_endpoints_send(struct paychan_endpoints *p, struct tx *tx)
{
    if (!p)
        return;
    struct waiting *w = xcalloc(1, sizeof *w);
    w->node.bytes = sizeof *w;
    w->tx = tx_ref(tx);
    if (queue_items(p->waiting) == WAITING_MAX) /* the oldest: it is sent again in some minutes */
        drop(queue_pop(p->waiting));
    if (!queue_push(p->waiting, &w->node))
        drop(&w->node);
}

static void clear(struct paychan_endpoints *p)
{
    for (size_t i = 0; i < p->n; i++) {
        secure_wipe(p->v[i].authorization.data, p->v[i].authorization.len);
        buf_clear(&p->v[i].authorization);
    }
    free(p->v);
    free(p);
}

enum err paychan_endpoints_new(struct paychan_endpoints **out, const char *const *each, size_t n,
                               struct error *e)
{
    enum err rc = OK;
    *out = NULL;
    if (!n)
        return OK;
    struct paychan_endpoints *p = xcalloc(1, sizeof *p);
    p->v = xcalloc(n, sizeof *p->v);
    for (; !rc && p->n < n; p->n++)
        rc = read_endpoint(&p->v[p->n], each[p->n], e);
    if (rc) {
        clear(p);
        return rc;
    }
    p->waiting = queue_new(WAITING_MAX, 0, NULL, NULL);
    const int failed = pthread_create(&p->thread, NULL, run, p);
    if (failed) {
        queue_free(p->waiting);
        clear(p);
        return error_set_errno(e, failed, "cannot start a thread");
    }
    *out = p;
    return OK;
}

void paychan_endpoints_free(struct paychan_endpoints *p)
{
    if (!p)
        return;
    atomic_store(&p->stopping, true);
    queue_close(p->waiting);
    pthread_join(p->thread, NULL);
    queue_free(p->waiting);
    clear(p);
}

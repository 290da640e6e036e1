/*
 * Replies are written to the socket at once, whichever thread gives them: the client need not wait
 * for the loop to wake up. Only what the system does not take passes through the request's pending
 * buffer. While a request is being answered nobody else writes to its connection, so the bytes
 * stay in order as long as a thread writes itself only when nothing is pending.
 */
#include "rpc/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/intmath.h"
#include "base/mem.h"

#define HEAD_OUT_MAX 1024
#define KEPT_BODY_MAX 65536u /* of a request whose end the loop may hear of later */

enum output_part { OUTPUT_MORE_FOLLOWS, OUTPUT_IS_LAST };

struct http_request *http_request_new(struct http_conn *c)
{
    struct http_request *r = xcalloc(1, sizeof *r);
    atomic_init(&r->refs, 1);
    atomic_init(&r->gone, false);
    atomic_init(&r->ended, false);
    r->server = c->server;
    r->conn = c;
    r->peer = c->peer;
    r->spool_fd = -1;
    r->fd = -1;
    buf_init_secret(&r->body); /* it may hold a passphrase */
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->room, NULL);
    return r;
}

void http_request_unref(struct http_request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    if (r->map)
        munmap(r->map, (size_t)r->body_size);
    if (r->spool_fd >= 0)
        close(r->spool_fd);
    if (r->pending)
        evbuffer_free(r->pending);
    buf_clear(&r->body);
    if (r->head_text)
        secure_wipe(r->head_text, r->head_size);
    free(r->head_text);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->room);
    free(r);
}

const char *http_request_method(const struct http_request *r) { return r->head.method; }
const char *http_request_path(const struct http_request *r) { return r->head.path; }
const char *http_request_query(const struct http_request *r) { return r->head.query; }
const char *http_request_field(const struct http_request *r, const char *name)
{
    return http_head_field(&r->head, name);
}

const struct sockaddr *http_request_peer(const struct http_request *r)
{
    return (const struct sockaddr *)&r->peer;
}

struct span http_request_body(const struct http_request *r)
{
    return r->map ? span_of(r->map, (size_t)r->body_size) : buf_span(&r->body);
}

void http_request_set_secret(struct http_request *r) { r->secret = true; }

bool http_request_gone(const struct http_request *r)
{
    return atomic_load_explicit(&r->gone, memory_order_relaxed);
}

bool http_request_ended(const struct http_request *r)
{
    return http_request_gone(r) || atomic_load_explicit(&r->ended, memory_order_relaxed);
}

size_t http_format_head(char *out, size_t cap, int status, const char *type, const char *fields,
                        const char *framing, bool keep_alive)
{
    int n = snprintf(out, cap, "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s\r\n", status,
                     http_status_text(status), type ? "Content-Type: " : "", type ? type : "",
                     type ? "\r\n" : "", fields ? fields : "", framing,
                     keep_alive ? "" : "Connection: close\r\n");
    return n < 0 || (size_t)n >= cap ? 0 : (size_t)n;
}

static bool on_loop(const struct http_server *s)
{
    return pthread_equal(pthread_self(), s->loop_thread);
}

/* Hands output to the loop. The request's lock is not held. */
static void notify(struct http_request *r)
{
    struct http_server *s = r->server;
    bool first = false;
    pthread_mutex_lock(&s->ready_lock);
    if (!r->queued) {
        r->queued = true;
        atomic_fetch_add(&r->refs, 1);
        first = !s->ready;
        r->ready_next = s->ready;
        s->ready = r;
    }
    pthread_mutex_unlock(&s->ready_lock);
    if (first)
        event_active(s->wake, EV_READ, 0);
}

static void wipe_and_free(const void *data, size_t len, void *unused)
{
    (void)unused;
    void *own = (void *)(uintptr_t)data;
    secure_wipe(own, len);
    free(own);
}

void http_queue(struct evbuffer *to, const void *data, size_t len, bool secret)
{
    if (!len)
        return;
    if (!secret) {
        BUG_ON(evbuffer_add(to, data, len));
        return;
    }
    void *copy = xmalloc(len);
    memcpy(copy, data, len);
    BUG_ON(evbuffer_add_reference(to, copy, len, wipe_and_free, NULL));
}

static void queue_output(struct http_request *r, const void *a, size_t a_len, const void *b,
                         size_t b_len)
{
    if (!r->pending)
        r->pending = evbuffer_new();
    BUG_ON(!r->pending);
    http_queue(r->pending, a, a_len, r->secret);
    http_queue(r->pending, b, b_len, r->secret);
    r->unsent += a_len + b_len;
}

/* Writes what it can; true when all of it is gone. The request's lock is held. */
static bool output_direct(struct http_request *r, const void **a, size_t *a_len, const void **b,
                          size_t *b_len)
{
    if (r->fd < 0 || r->unsent)
        return false;
    ssize_t n = http_send_now(r->fd, *a, *a_len, *b, *b_len);
    if (n < 0)
        return false; /* the loop will meet the same error and clean up */
    size_t from_a = MIN_OF((size_t)n, *a_len), from_b = (size_t)n - from_a;
    *a = (const uint8_t *)*a + from_a;
    *a_len -= from_a;
    *b = *b_len ? (const uint8_t *)*b + from_b : *b;
    *b_len -= from_b;
    return *a_len == 0 && *b_len == 0;
}

/* The end of the reply: true when the loop must hear of it now. The request's lock is held. */
static bool end_reply(struct http_request *r, bool aborted)
{
    r->finished = true;
    r->aborted = aborted;
    r->end_untold = r->keep_alive && !aborted && !r->unsent && !r->wake_at_end &&
                    r->body_size <= KEPT_BODY_MAX && !atomic_load(&r->server->stopping);
    return !r->end_untold;
}

/* From the loop to the connection, from elsewhere to the socket or by way of pending. */
static void output(struct http_request *r, const void *a, size_t a_len, const void *b, size_t b_len,
                   enum output_part part)
{
    if (on_loop(r->server)) {
        if (r->conn)
            http_conn_send(r->conn, a, a_len, b, b_len);
        return;
    }
    pthread_mutex_lock(&r->lock);
    bool gone = output_direct(r, &a, &a_len, &b, &b_len);
    if (!gone)
        queue_output(r, a, a_len, b, b_len);
    bool ended = part == OUTPUT_IS_LAST && end_reply(r, false);
    bool tell = !gone || ended;
    pthread_mutex_unlock(&r->lock);
    if (tell)
        notify(r);
}

/* Ends the reply and drops the handler's reference. */
static void conclude(struct http_request *r, bool abort_it)
{
    if (on_loop(r->server)) {
        struct http_conn *c = r->conn;
        if (c && abort_it)
            http_conn_kill(c);
        else if (c)
            http_conn_reply_done(c);
    } else {
        pthread_mutex_lock(&r->lock);
        bool tell = !r->finished && end_reply(r, abort_it);
        pthread_mutex_unlock(&r->lock);
        if (tell)
            notify(r);
    }
    http_request_unref(r);
}

void http_reply(struct http_request *r, int status, const char *type, const void *body, size_t len)
{
    char head[HEAD_OUT_MAX], framing[48];
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", len);
    size_t n = http_format_head(head, sizeof head, status, type, r->extra_fields,
                                framing, r->keep_alive);
    output(r, head, n, body, len, OUTPUT_IS_LAST);
    conclude(r, false);
}

void http_reply_start(struct http_request *r, int status, const char *type)
{
    char head[HEAD_OUT_MAX];
    r->streaming = true;
    r->chunked = r->head.minor >= 1;
    if (!r->chunked)
        r->keep_alive = false; /* the end of the connection is the end of the body */
    size_t n = http_format_head(head, sizeof head, status, type, r->extra_fields,
                                r->chunked ? "Transfer-Encoding: chunked\r\n" : "", r->keep_alive);
    output(r, head, n, NULL, 0, OUTPUT_MORE_FOLLOWS);
}

void http_reply_start_sized(struct http_request *r, int status, const char *type,
                            const char *fields, uint64_t length)
{
    char head[HEAD_OUT_MAX], framing[256];
    r->streaming = r->sized = true;
    r->left = length;
    snprintf(framing, sizeof framing, "Content-Length: %llu\r\n%s", (unsigned long long)length,
             fields ? fields : "");
    size_t n = http_format_head(head, sizeof head, status, type, r->extra_fields, framing,
                                r->keep_alive);
    output(r, head, n, NULL, 0, OUTPUT_MORE_FOLLOWS);
}

static enum err wait_for_room(struct http_request *r)
{
    if (on_loop(r->server))
        return OK;
    pthread_mutex_lock(&r->lock);
    while (r->unsent > HTTP_UNSENT_MAX && !http_request_gone(r))
        pthread_cond_wait(&r->room, &r->lock);
    pthread_mutex_unlock(&r->lock);
    return OK;
}

enum err http_reply_write(struct http_request *r, const void *data, size_t len)
{
    if (http_request_gone(r))
        return ERR_CANCELLED;
    if (!len)
        return OK;
    BUG_ON(r->sized && len > r->left);
    r->left -= r->sized ? len : 0;
    char size[32]; /* with the line end that closes the chunk before, so that no data is copied */
    int n =
        r->chunked ? snprintf(size, sizeof size, "%s%zx\r\n", r->chunk_open ? "\r\n" : "", len) : 0;
    r->chunk_open = r->chunked;
    if (n)
        output(r, size, (size_t)n, data, len, OUTPUT_MORE_FOLLOWS);
    else
        output(r, data, len, NULL, 0, OUTPUT_MORE_FOLLOWS);
    enum err rc = wait_for_room(r);
    return http_request_gone(r) ? ERR_CANCELLED : rc;
}

void http_reply_finish(struct http_request *r)
{
    const char *end = r->chunk_open ? "\r\n0\r\n\r\n" : "0\r\n\r\n";
    if (r->chunked)
        output(r, end, strlen(end), NULL, 0, OUTPUT_IS_LAST);
    conclude(r, r->sized && r->left); /* too little: the client must not take it for the whole */
}

void http_reply_abort(struct http_request *r) { conclude(r, true); }

/* --- loop side ------------------------------------------------------------------------------ */

void http_request_sent(struct http_request *r, size_t n)
{
    pthread_mutex_lock(&r->lock);
    r->unsent -= n < r->unsent ? n : r->unsent;
    if (r->unsent <= HTTP_UNSENT_MAX)
        pthread_cond_signal(&r->room);
    pthread_mutex_unlock(&r->lock);
}

bool http_request_take_end(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    bool ended = r->end_untold;
    r->wake_at_end = !ended;
    pthread_mutex_unlock(&r->lock);
    return ended;
}

void http_request_detach(struct http_request *r)
{
    atomic_store(&r->gone, true);
    r->conn = NULL;
    pthread_mutex_lock(&r->lock);
    r->fd = -1;
    pthread_cond_broadcast(&r->room);
    pthread_mutex_unlock(&r->lock);
    http_request_unref(r);
}

static void deliver_one(struct http_request *r)
{
    struct http_conn *c = r->conn;
    pthread_mutex_lock(&r->lock);
    bool finished = r->finished, aborted = r->aborted;
    if (c && !evbuffer_get_length(c->out))
        http_conn_touch(c); /* from now on the client has to read */
    if (c && r->pending)
        evbuffer_add_buffer(c->out, r->pending);
    pthread_mutex_unlock(&r->lock);
    if (!c)
        return;
    if (aborted) {
        http_conn_kill(c);
        return;
    }
    http_conn_send(c, NULL, 0, NULL, 0);
    if (finished && r->conn)
        http_conn_reply_done(c);
}

/* One at a time: a request may be made ready again while it is being delivered. */
static struct http_request *take_ready(struct http_server *s)
{
    pthread_mutex_lock(&s->ready_lock);
    struct http_request *r = s->ready;
    if (r) {
        s->ready = r->ready_next;
        r->queued = false;
    }
    pthread_mutex_unlock(&s->ready_lock);
    return r;
}

void http_server_deliver(struct http_server *s)
{
    struct http_request *r;
    while ((r = take_ready(s))) {
        deliver_one(r);
        http_request_unref(r);
    }
}

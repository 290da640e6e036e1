/*
 * One connection is one state machine (enum http_conn_state) over a plain socket. Reading goes
 * into a buffer of our own and is parsed in place; writing is tried at once and only what the
 * system does not take waits for an event. That keeps a small request at three system calls.
 */
#include "rpc/http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"

#define READ_PIECE 16384u
#define IN_MAX 65536u        /* read ahead of what is being handled */
#define OUT_MAX (1u << 20)   /* no further request of a connection while it has this much unread */
#define LINGER_MS 2000

static void conn_read_cb(evutil_socket_t fd, short what, void *arg);
static void conn_write_cb(evutil_socket_t fd, short what, void *arg);

/* --- connections ---------------------------------------------------------------------------- */

void http_conn_touch(struct http_conn *c)
{
    c->deadline_ms = clock_mono_ms() + c->server->o.idle_timeout_ms;
}

static void conn_set_reading(struct http_conn *c, bool on)
{
    if (c->reading == on)
        return;
    c->reading = on;
    if (on)
        event_add(c->read_event, NULL);
    else
        event_del(c->read_event);
}

static void conn_set_writing(struct http_conn *c, bool on)
{
    if (c->writing == on)
        return;
    c->writing = on;
    if (on)
        event_add(c->write_event, NULL);
    else
        event_del(c->write_event);
}

static void conn_drop_request(struct http_conn *c)
{
    if (!c->request)
        return;
    http_body_forget(c);
    http_request_detach(c->request);
    c->request = NULL;
}

void http_conn_free(struct http_conn *c)
{
    struct http_server *s = c->server;
    conn_drop_request(c);
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->n_conns--;
    if (c->read_event)
        event_free(c->read_event);
    if (c->write_event)
        event_free(c->write_event);
    if (c->delay)
        event_free(c->delay);
    evbuffer_free(c->out);
    buf_clear(&c->in);
    close(c->fd);
    free(c);
}

void http_conn_kill(struct http_conn *c)
{
    if (c->processing)
        c->dead = true;
    else
        http_conn_free(c);
}

void http_conn_add(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
    struct http_conn *c = xcalloc(1, sizeof *c);
    c->server = s;
    c->fd = fd;
    buf_init_secret(&c->in);
    if (peer)
        memcpy(&c->peer, peer, MIN_OF((size_t)peer_len, sizeof c->peer));
    c->out = evbuffer_new();
    c->read_event = event_new(s->base, fd, EV_READ | EV_PERSIST, conn_read_cb, c);
    c->write_event = event_new(s->base, fd, EV_WRITE | EV_PERSIST, conn_write_cb, c);
    BUG_ON(!c->out || !c->read_event || !c->write_event);
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    s->n_conns++;
    http_conn_touch(c);
    conn_set_reading(c, true);
}

void http_conn_settle(struct http_conn *c)
{
    if (c->state == CONN_HANDLER && http_request_take_end(c->request))
        http_conn_reply_done(c);
}

/* --- writing -------------------------------------------------------------------------------- */

static void conn_linger(struct http_conn *c)
{
    shutdown(c->fd, SHUT_WR);
    c->state = CONN_LINGER;
    buf_reset(&c->in);
    c->in_at = 0;
    c->deadline_ms = clock_mono_ms() + LINGER_MS;
    conn_set_reading(c, true);
}

static void conn_sent(struct http_conn *c, size_t n)
{
    if (n && c->request)
        http_request_sent(c->request, n);
    http_conn_touch(c);
}

/* Writes what lies in out; true when all of it is gone. */
static bool conn_drain(struct http_conn *c)
{
    while (evbuffer_get_length(c->out)) {
        int n = evbuffer_write(c->out, c->fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            conn_set_writing(c, true);
            return false;
        }
        if (n <= 0) {
            http_conn_kill(c);
            return false;
        }
        conn_sent(c, (size_t)n);
    }
    conn_set_writing(c, false);
    return true;
}

ssize_t http_send_now(int fd, const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct iovec v[2] = { { (void *)(uintptr_t)a, a_len }, { (void *)(uintptr_t)b, b_len } };
    struct msghdr m = { .msg_iov = v, .msg_iovlen = b_len ? 2 : 1 };
    ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    return n;
}

void http_conn_send(struct http_conn *c, const void *a, size_t a_len, const void *b, size_t b_len)
{
    if (c->dead)
        return;
    if (!evbuffer_get_length(c->out) && a_len) {
        ssize_t n = http_send_now(c->fd, a, a_len, b, b_len);
        if (n < 0) {
            http_conn_kill(c);
            return;
        }
        conn_sent(c, (size_t)n);
        size_t from_a = MIN_OF((size_t)n, a_len), from_b = (size_t)n - from_a;
        a = (const uint8_t *)a + from_a;
        a_len -= from_a;
        b = b_len ? (const uint8_t *)b + from_b : b;
        b_len -= from_b;
    }
    const bool secret = c->request && c->request->secret;
    http_queue(c->out, a, a_len, secret);
    http_queue(c->out, b, b_len, secret);
    if (!c->writing)
        conn_drain(c);
}

/* Everything that is to be said has been queued; close when it is out. */
static void conn_finish(struct http_conn *c)
{
    c->state = CONN_FLUSH;
    if (!evbuffer_get_length(c->out))
        conn_linger(c);
}

static void conn_write_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_conn *c = arg;
    if (!conn_drain(c))
        return;
    if (c->state == CONN_FLUSH)
        conn_linger(c);
    else
        http_conn_process(c);
}

void http_conn_reply_done(struct http_conn *c)
{
    bool keep = c->request->keep_alive && !atomic_load(&c->server->stopping);
    conn_drop_request(c);
    http_conn_touch(c);
    if (c->dead)
        return;
    if (!keep) {
        conn_finish(c);
        return;
    }
    c->state = CONN_HEAD;
    if (!c->processing)
        http_conn_process(c);
}

/* --- refusals ------------------------------------------------------------------------------- */

/* Answers without looking at a body and closes: what follows on the wire is unknown ground. */
static void conn_refuse(struct http_conn *c, const struct http_decision *d)
{
    char head[1024], framing[48];
    size_t len = d->body ? strlen(d->body) : 0;
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", len);
    size_t n = http_format_head(head, sizeof head, d->status, d->body ? "text/plain" : NULL,
                                d->fields, framing, false);
    http_conn_send(c, head, n, d->body, len);
    conn_drop_request(c);
    if (!c->dead)
        conn_finish(c);
}

static void conn_refuse_status(struct http_conn *c, int status)
{
    conn_refuse(c, &(struct http_decision){ .status = status });
}

static void delay_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_conn *c = arg;
    c->processing = true;
    conn_refuse(c, &c->refusal);
    c->processing = false;
    if (c->dead)
        http_conn_free(c);
}

static void conn_refuse_later(struct http_conn *c, const struct http_decision *d)
{
    struct timeval wait = { d->delay_ms / 1000, (d->delay_ms % 1000) * 1000 };
    c->refusal = *d;
    c->state = CONN_DELAY;
    c->deadline_ms = 0;
    conn_set_reading(c, false);
    c->delay = evtimer_new(c->server->base, delay_cb, c);
    BUG_ON(!c->delay);
    event_add(c->delay, &wait);
}

/* --- requests ------------------------------------------------------------------------------- */

static void conn_start_handler(struct http_conn *c)
{
    struct http_request *r = c->request;
    if (!http_body_map(r)) {
        conn_refuse_status(c, 503);
        return;
    }
    c->state = CONN_HANDLER;
    c->deadline_ms = 0;
    r->fd = evbuffer_get_length(c->out) ? -1 : c->fd; /* not past what an earlier reply left */
    r->wake_at_end = c->eof || c->in_at < c->in.len;
    atomic_fetch_add(&r->refs, 1);
    c->server->handlers.on_request(c->server->handlers.ctx, r);
}

static void conn_accept_request(struct http_conn *c)
{
    struct http_request *r = c->request;
    c->state = CONN_BODY;
    http_chunks_init(&c->chunks);
    if (r->head.has_length && r->head.length > r->max_body) {
        conn_refuse_status(c, 413);
        return;
    }
    bool body_follows = r->head.chunked || r->head.length > c->in.len - c->in_at;
    if (r->head.expect_continue && body_follows && r->head.minor >= 1) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        http_conn_send(c, go_on, sizeof go_on - 1, NULL, 0);
    }
}

/* A whole head lies at in_at: size bytes of it. */
static void conn_take_head(struct http_conn *c, size_t size)
{
    struct http_request *r = http_request_new(c);
    c->request = r;
    r->head_text = xmalloc(size + 1);
    r->head_size = size;
    memcpy(r->head_text, c->in.data + c->in_at, size);
    r->head_text[size] = 0;
    c->in_at += size;
    int status;
    if (http_head_parse(&r->head, r->head_text, size, &status)) {
        conn_refuse_status(c, status);
        return;
    }
    r->keep_alive = r->head.keep_alive;
    struct http_decision d = c->server->handlers.on_head(c->server->handlers.ctx, r);
    r->extra_fields = d.fields;
    r->max_body = d.max_body ? d.max_body : c->server->o.max_body;
    if (!d.status)
        conn_accept_request(c);
    else if (d.delay_ms)
        conn_refuse_later(c, &d);
    else
        conn_refuse(c, &d);
}

/* One step; false when more input or time is needed. */
static bool conn_step(struct http_conn *c)
{
    size_t have = c->in.len - c->in_at;
    if (c->state == CONN_HEAD) {
        if (!have || evbuffer_get_length(c->out) > OUT_MAX)
            return false;
        size_t size = http_head_size((const char *)c->in.data + c->in_at, have);
        if (size > HTTP_HEAD_MAX || (!size && have >= HTTP_HEAD_MAX)) {
            conn_refuse_status(c, 431);
            return false;
        }
        if (size)
            conn_take_head(c, size);
        return size != 0;
    }
    if (c->state == CONN_BODY) {
        bool done = false;
        int status = http_body_take(c, &done);
        if (status)
            conn_refuse_status(c, status);
        else if (done)
            conn_start_handler(c);
        return done && !status;
    }
    return false;
}

void http_conn_process(struct http_conn *c)
{
    c->processing = true;
    while (!c->dead && conn_step(c))
        ;
    c->processing = false;
    if (c->dead) {
        http_conn_free(c);
        return;
    }
    if (c->in_at == c->in.len)
        buf_reset(&c->in);
    else if (c->in_at) {
        memmove(c->in.data, c->in.data + c->in_at, c->in.len - c->in_at);
        buf_truncate(&c->in, c->in.len - c->in_at);
    }
    c->in_at = 0;
    if (c->in.cap > IN_MAX && !c->in.len)
        buf_clear(&c->in);
    if (c->eof && (c->state == CONN_HEAD || c->state == CONN_BODY)) {
        conn_finish(c); /* nothing more will come */
        return;
    }
    if (c->state != CONN_DELAY && c->state != CONN_FLUSH)
        conn_set_reading(c, !c->eof && c->in.len < IN_MAX);
}

static void linger_read(struct http_conn *c)
{
    char sink[READ_PIECE];
    ssize_t n = recv(c->fd, sink, sizeof sink, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        http_conn_free(c);
}

static void conn_read_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct http_conn *c = arg;
    http_conn_settle(c);
    if (c->state == CONN_LINGER) {
        linger_read(c);
        return;
    }
    buf_reserve(&c->in, READ_PIECE);
    ssize_t n = recv(fd, c->in.data + c->in.len, READ_PIECE, MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            http_conn_free(c);
        return;
    }
    c->eof = n == 0;
    if (c->eof && c->request)
        atomic_store(&c->request->ended, true);
    /* a head has one time limit from its first byte; a body may take long but not stand still */
    if ((c->state == CONN_HEAD && !c->in.len) || c->state == CONN_BODY)
        http_conn_touch(c);
    c->in.len += (size_t)n;
    http_conn_process(c);
}

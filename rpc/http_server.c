/*
 * The server: its thread and loop, sockets that listen, new connections and those that have idled.
 */
#include "rpc/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/thread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define SPOOL_ABOVE (32u << 20)
#define SWEEP_MS 500
#define CONNECTIONS_DEFAULT 256

/* The connection that has waited longest for its next request makes room. */
static bool evict_idle(struct http_server *s)
{
    struct http_conn *oldest = NULL;
    for (struct http_conn *c = s->conns; c; c = c->next) {
        http_conn_settle(c);
        if (c->state == CONN_HEAD && !c->processing &&
            (!oldest || c->deadline_ms < oldest->deadline_ms))
            oldest = c;
    }
    if (oldest)
        http_conn_free(oldest);
    return oldest != NULL;
}

static void accept_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct http_server *s = ((struct http_listener *)arg)->server;
    for (int i = 0; i < 16; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof peer;
        int got = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got < 0) {
            if (errno == EMFILE || errno == ENFILE)
                LOG_LIMITED(LOG_WARN, "HTTP: no file descriptor for a new connection");
            return;
        }
        if (s->n_conns >= s->o.max_connections && !evict_idle(s)) {
            close(got);
            continue;
        }
        int one = 1;
        setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        http_conn_add(s, got, (struct sockaddr *)&peer, len);
    }
}

static void begin_stop(struct http_server *s, int64_t now)
{
    s->stop_deadline_ms = now + s->stop_grace_ms;
    for (size_t i = 0; i < s->n_listeners; i++)
        event_del(s->listeners[i].event);
}

static bool conn_idle(const struct http_conn *c)
{
    return c->state != CONN_HANDLER && !evbuffer_get_length(c->out);
}

static void sweep_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_server *s = arg;
    int64_t now = clock_mono_ms();
    bool stopping = atomic_load(&s->stopping);
    if (stopping && !s->stop_deadline_ms)
        begin_stop(s, now);
    for (struct http_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        http_conn_settle(c);
        bool unread = evbuffer_get_length(c->out) != 0;
        if ((stopping && conn_idle(c)) ||
            (c->deadline_ms && now > c->deadline_ms && (c->state != CONN_HANDLER || unread)))
            http_conn_free(c);
    }
    if (stopping && (!s->conns || now > s->stop_deadline_ms))
        event_base_loopbreak(s->base);
}

static void wake_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_server *s = arg;
    http_server_deliver(s);
    if (atomic_load(&s->stopping))
        sweep_cb(-1, 0, s);
}

static void *server_main(void *arg)
{
    struct http_server *s = arg;
    s->loop_thread = pthread_self();
    event_base_loop(s->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

enum err http_server_new(struct http_server **out, const struct http_options *o,
                         const struct http_handlers *h, struct error *e)
{
    if (evthread_use_pthreads())
        return error_set(e, ERR_NOMEM, "HTTP: libevent has no threads");
    struct http_server *s = xcalloc(1, sizeof *s);
    s->o = *o;
    s->handlers = *h;
    s->o.spool_above = o->spool_above ? o->spool_above : SPOOL_ABOVE;
    s->o.max_connections = o->max_connections ? o->max_connections : CONNECTIONS_DEFAULT;
    atomic_init(&s->stopping, false);
    pthread_mutex_init(&s->ready_lock, NULL);
    s->base = event_base_new();
    if (s->base) {
        s->sweep = event_new(s->base, -1, EV_PERSIST, sweep_cb, s);
        s->wake = event_new(s->base, -1, 0, wake_cb, s);
    }
    if (!s->sweep || !s->wake) {
        http_server_free(s);
        return error_set(e, ERR_NOMEM, "HTTP: no event loop");
    }
    *out = s;
    return OK;
}

static enum err listen_failed(int fd, const char *what, struct error *e)
{
    enum err rc = error_set_errno(e, errno, "RPC: %s", what);
    if (fd >= 0)
        close(fd);
    return rc;
}

enum err http_server_listen(struct http_server *s, const struct sockaddr *addr, unsigned addr_len,
                            struct error *e)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return listen_failed(fd, "socket", e);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (addr->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, addr, addr_len))
        return listen_failed(fd, "bind", e);
    if (listen(fd, 128))
        return listen_failed(fd, "listen", e);
    s->listeners = xrealloc(s->listeners, (s->n_listeners + 1) * sizeof *s->listeners);
    s->listeners[s->n_listeners++] = (struct http_listener){ .server = s, .fd = fd };
    return OK;
}

uint16_t http_server_port(const struct http_server *s, size_t n)
{
    struct sockaddr_storage a = { 0 };
    socklen_t len = sizeof a;
    if (n >= s->n_listeners || getsockname(s->listeners[n].fd, (struct sockaddr *)&a, &len))
        return 0;
    if (a.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

void http_server_adopt(struct http_server *s, int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    http_conn_add(s, fd, NULL, 0);
}

enum err http_server_start(struct http_server *s, struct error *e)
{
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct http_listener *l = &s->listeners[i];
        l->event = event_new(s->base, l->fd, EV_READ | EV_PERSIST, accept_cb, l);
        if (!l->event)
            return error_set(e, ERR_NOMEM, "HTTP: no event");
        event_add(l->event, NULL);
    }
    struct timeval period = { 0, SWEEP_MS * 1000 };
    event_add(s->sweep, &period);
    s->started = true;
    int rc = pthread_create(&s->thread, NULL, server_main, s);
    if (rc) {
        s->started = false;
        return error_set_errno(e, rc, "HTTP: thread");
    }
    return OK;
}

void http_server_stop(struct http_server *s, int64_t grace_ms)
{
    if (!s->started)
        return;
    s->stop_grace_ms = grace_ms;
    atomic_store(&s->stopping, true);
    event_active(s->wake, EV_READ, 0);
    pthread_join(s->thread, NULL);
    s->started = false;
    while (s->conns)
        http_conn_free(s->conns);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    BUG_ON(s->started);
    while (s->conns)
        http_conn_free(s->conns);
    http_server_deliver(s); /* releases what was answered too late */
    for (size_t i = 0; i < s->n_listeners; i++) {
        if (s->listeners[i].event)
            event_free(s->listeners[i].event);
        close(s->listeners[i].fd);
    }
    free(s->listeners);
    if (s->sweep)
        event_free(s->sweep);
    if (s->wake)
        event_free(s->wake);
    if (s->base)
        event_base_free(s->base);
    pthread_mutex_destroy(&s->ready_lock);
    free(s);
}

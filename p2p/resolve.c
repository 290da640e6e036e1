/*
 * Each lookup is one detached thread, at most MAX_THREADS at a time. A thread shares one small
 * object with the loop (struct mailbox): its lock guards the finished list, its pipe wakes the
 * loop. The mailbox lives until the last thread has left it, so freeing the resolver does not
 * wait for a slow name server.
 */
#include "p2p/resolve.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define MAX_THREADS 4
#define NAME_MAX_LEN 255

struct lookup {
    struct lookup *next;
    struct mailbox *box;
    char host[NAME_MAX_LEN + 1];
    uint16_t port;
    resolve_fn fn;
    void *ctx;
    /* written by the thread */
    struct netaddr *addrs;
    size_t n;
    struct error error;
};

struct mailbox {
    pthread_mutex_t lock;
    struct lookup *finished; /* newest first */
    unsigned users;          /* resolver and running threads */
    int wake_read, wake_write;
};

struct resolver {
    struct mailbox *box;
    struct event *event;
    struct lookup *waiting, **waiting_end;
    struct lookup *all[RESOLVE_MAX_PENDING]; /* waiting, running, or in the mailbox */
    size_t pending, running;
};

static void lookup_free(struct lookup *l)
{
    free(l->addrs);
    free(l);
}

static void list_free(struct lookup *l)
{
    while (l) {
        struct lookup *next = l->next;
        lookup_free(l);
        l = next;
    }
}

static struct mailbox *mailbox_new(struct error *e)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        (void)error_set_errno(e, errno, "cannot make a pipe for name lookups");
        return NULL;
    }
    struct mailbox *box = xcalloc(1, sizeof *box);
    pthread_mutex_init(&box->lock, NULL);
    box->users = 1;
    box->wake_read = fds[0];
    box->wake_write = fds[1];
    return box;
}

static void mailbox_leave(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    bool last = --box->users == 0;
    pthread_mutex_unlock(&box->lock);
    if (!last)
        return;
    list_free(box->finished);
    close(box->wake_read);
    close(box->wake_write);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

static bool known(const struct lookup *l, const struct netaddr *a)
{
    for (size_t i = 0; i < l->n; i++)
        if (netaddr_same_ip(&l->addrs[i], a))
            return true;
    return false;
}

static void collect(struct lookup *l, const struct addrinfo *list)
{
    struct netaddr a;
    l->addrs = xcalloc(RESOLVE_MAX_RESULTS, sizeof *l->addrs);
    for (const struct addrinfo *ai = list; ai && l->n < RESOLVE_MAX_RESULTS; ai = ai->ai_next) {
        if (!netaddr_from_sockaddr(&a, ai->ai_addr) || known(l, &a))
            continue;
        a.port = l->port;
        l->addrs[l->n++] = a;
    }
}

static void post(struct lookup *l)
{
    struct mailbox *box = l->box;
    pthread_mutex_lock(&box->lock);
    l->next = box->finished;
    box->finished = l;
    pthread_mutex_unlock(&box->lock);
    /* a full pipe wakes the loop as well; the resolver may be gone, which is no matter */
    ssize_t ignored = write(box->wake_write, "", 1);
    (void)ignored;
    mailbox_leave(box);
}

static void *run(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(l->host, NULL, &hints, &list);
    if (rc == 0) {
        collect(l, list);
        freeaddrinfo(list);
    } else {
        (void)error_set(&l->error, ERR_NOTFOUND, "cannot resolve %s: %s", l->host,
                        gai_strerror(rc));
    }
    post(l);
    return NULL;
}

/* Signals stay with the threads that handle them. */
static int start_thread(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&thread, &attr, run, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

static void start_waiting(struct resolver *r)
{
    while (r->waiting && r->running < MAX_THREADS) {
        struct lookup *l = r->waiting;
        r->waiting = l->next;
        if (!r->waiting)
            r->waiting_end = &r->waiting;
        r->running++;
        pthread_mutex_lock(&r->box->lock);
        r->box->users++;
        pthread_mutex_unlock(&r->box->lock);
        int rc = start_thread(l);
        if (rc) {
            (void)error_set_errno(&l->error, rc, "cannot start a name lookup");
            post(l);
        }
    }
}

static struct lookup *take_finished(struct mailbox *box)
{
    char drain[64];
    while (read(box->wake_read, drain, sizeof drain) > 0)
        ;
    pthread_mutex_lock(&box->lock);
    struct lookup *list = box->finished;
    box->finished = NULL;
    pthread_mutex_unlock(&box->lock);
    return list;
}

static void forget(struct resolver *r, const struct lookup *l)
{
    size_t i = 0;
    while (r->all[i] != l)
        i++;
    r->all[i] = r->all[--r->pending];
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct resolver *r = arg;
    (void)fd;
    (void)what;
    for (struct lookup *l = take_finished(r->box), *next; l; l = next) {
        next = l->next;
        r->running--;
        forget(r, l);
        if (l->fn)
            l->fn(l->ctx, l->host, l->addrs, l->n, l->error.code ? &l->error : NULL);
        lookup_free(l);
    }
    start_waiting(r);
}

struct resolver *resolver_new(struct event_base *base, struct error *e)
{
    struct mailbox *box = mailbox_new(e);
    if (!box)
        return NULL;
    struct resolver *r = xcalloc(1, sizeof *r);
    r->box = box;
    r->waiting_end = &r->waiting;
    r->event = event_new(base, box->wake_read, EV_READ | EV_PERSIST, on_wake, r);
    if (!r->event || event_add(r->event, NULL) != 0) {
        (void)error_set(e, ERR_IO, "cannot watch for name lookups");
        resolver_free(r);
        return NULL;
    }
    return r;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    if (r->event)
        event_free(r->event);
    list_free(r->waiting);
    mailbox_leave(r->box);
    free(r);
}

enum err resolver_lookup(struct resolver *r, const char *host, uint16_t port, resolve_fn fn,
                         void *ctx, struct error *e)
{
    size_t len = strlen(host);
    if (len == 0 || len > NAME_MAX_LEN)
        return error_set(e, ERR_PARSE, "not a host name: '%.60s'", host);
    if (r->pending >= RESOLVE_MAX_PENDING)
        return error_set(e, ERR_BUSY, "too many name lookups are waiting");
    struct lookup *l = xcalloc(1, sizeof *l);
    memcpy(l->host, host, len);
    l->box = r->box;
    l->port = port;
    l->fn = fn;
    l->ctx = ctx;
    *r->waiting_end = l;
    r->waiting_end = &l->next;
    r->all[r->pending++] = l;
    start_waiting(r);
    return OK;
}

void resolver_cancel(struct resolver *r, const void *ctx)
{
    for (size_t i = 0; i < r->pending; i++)
        if (r->all[i]->ctx == ctx)
            r->all[i]->fn = NULL; /* threads never look at it */
}

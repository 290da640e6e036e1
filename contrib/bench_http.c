/* Closed loop: each connection has one request under way and sends the next after its answer. */
#include <config.h>

#include "contrib/bench_load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/http_parse.h"

#define PIECE (1u << 20)
#define HEAD_MAX 4096
#define ERROR_SHOWN ((size_t)300)

enum answer_part { PART_HEAD, PART_LENGTH, PART_CHUNKS };

struct conn {
    int fd;
    bool busy;                /* an answer is under way */
    int64_t sent_us;
    int64_t first_us;         /* first byte of the answer; 0: none yet */
    enum answer_part part;
    char head[HEAD_MAX];
    size_t head_len;
    uint64_t left;            /* PART_LENGTH: bytes still to come */
    struct http_chunks chunks;
    bool failed, told;        /* its status is not 200; its text has been shown */
};

struct load {
    struct buf text;          /* requests, whole */
    size_t *ends;             /* where each of them ends in text */
    size_t n_requests, next, sent, limit;
    struct conn *conns;
    size_t n_conns, busy;
    int epoll;
    char *piece;
    uint64_t bytes, errors;
    struct samples first, whole;
};

/* --- requests ------------------------------------------------------------------------------- */

static void add_request(struct load *l, const char *auth, const char *body, size_t len)
{
    buf_printf(&l->text, "POST / HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Basic %s\r\n"
                         "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               auth, len);
    buf_put(&l->text, body, len);
    l->ends = xrealloc(l->ends, (l->n_requests + 1) * sizeof *l->ends);
    l->ends[l->n_requests++] = l->text.len;
}

static void read_requests(struct load *l, const struct config *c)
{
    struct buf lines, auth;
    const char *credentials = config_string(c, "auth");
    buf_init(&lines);
    buf_init(&auth);
    base64_encode(&auth, credentials ? credentials : "", credentials ? strlen(credentials) : 0);
    buf_put_u8(&auth, 0);
    load_file(config_string(c, "requests"), &lines);
    const char *p = (const char *)lines.data, *end = p + lines.len, *eol;
    for (; p < end; p = eol + 1) {
        eol = memchr(p, '\n', (size_t)(end - p));
        eol = eol ? eol : end;
        add_request(l, (const char *)auth.data, p, (size_t)(eol - p));
    }
    if (!l->n_requests)
        die("no requests");
    buf_clear(&lines);
    buf_clear(&auth);
}

static void conn_send(struct load *l, struct conn *c)
{
    size_t i = l->next, from = i ? l->ends[i - 1] : 0;
    l->next = (i + 1) % l->n_requests;
    l->sent++;
    l->busy++;
    c->busy = true;
    c->part = PART_HEAD;
    c->head_len = 0;
    c->first_us = 0;
    c->sent_us = clock_mono_us();
    send_whole(c->fd, l->text.data + from, l->ends[i] - from);
}

/* --- answers -------------------------------------------------------------------------------- */

static const char *field(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at ? at + strlen(name) : NULL;
}

static void take_head(struct conn *c)
{
    const char *length = field(c->head, "\r\nContent-Length:");
    c->failed = strncmp(c->head, "HTTP/1.1 200", 12) != 0;
    c->told = false;
    c->part = length ? PART_LENGTH : PART_CHUNKS;
    c->left = length ? strtoull(length, NULL, 10) : 0;
    http_chunks_init(&c->chunks);
    if (!length && !field(c->head, "\r\nTransfer-Encoding: chunked"))
        die("an answer has neither length nor chunks");
}

/* Takes the head out of what has come; returns how much of it that was. */
static size_t feed_head(struct conn *c, const char *data, size_t len)
{
    size_t before = c->head_len, room = HEAD_MAX - 1 - before, n = MIN_OF(len, room);
    memcpy(c->head + before, data, n);
    c->head[before + n] = 0;
    c->head_len += n;
    const char *end = strstr(c->head, "\r\n\r\n");
    if (!end && n == room)
        die("the head of an answer is too long");
    if (!end)
        return n;
    c->head_len = (size_t)(end + 4 - c->head);
    take_head(c);
    return c->head_len - before;
}

static bool feed_chunks(struct conn *c, const char *data, size_t len)
{
    const char *end = data + len, *part;
    size_t n;
    while (data < end && c->chunks.state != CHUNK_DONE)
        if (http_chunks_next(&c->chunks, &data, end, &part, &n))
            die("the chunks of an answer are damaged");
    return c->chunks.state == CHUNK_DONE;
}

/* True when the answer is complete. */
static bool feed(struct conn *c, const char *data, size_t len)
{
    if (c->part == PART_HEAD) {
        size_t n = feed_head(c, data, len);
        data += n;
        len -= n;
    }
    if (c->failed && !c->told && len) {
        fprintf(stderr, "bench_load: %.*s\n", (int)MIN_OF(len, ERROR_SHOWN), data);
        c->told = true;
    }
    if (c->part == PART_CHUNKS)
        return feed_chunks(c, data, len);
    if (c->part == PART_LENGTH)
        c->left -= MIN_OF((uint64_t)len, c->left);
    return c->part == PART_LENGTH && c->left == 0;
}

static void conn_read(struct load *l, struct conn *c)
{
    ssize_t n = recv(c->fd, l->piece, PIECE, 0);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        die("the server closed a connection");
    l->bytes += (uint64_t)n;
    int64_t now = clock_mono_us();
    if (!c->first_us) {
        c->first_us = now;
        samples_add(&l->first, now - c->sent_us);
    }
    if (!feed(c, l->piece, (size_t)n))
        return;
    samples_add(&l->whole, clock_mono_us() - c->sent_us);
    l->errors += c->failed;
    c->busy = false;
    l->busy--;
}

/* --- the loop ------------------------------------------------------------------------------- */

static void open_conns(struct load *l, int64_t port)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->conns = xcalloc(l->n_conns, sizeof *l->conns);
    l->piece = xmalloc(PIECE);
    for (size_t i = 0; i < l->n_conns; i++) {
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &l->conns[i] };
        l->conns[i].fd = connect_port(port);
        if (l->n_conns > 1 && epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->conns[i].fd, &ev))
            die("epoll");
    }
}

static void close_conns(struct load *l)
{
    for (size_t i = 0; i < l->n_conns; i++)
        close(l->conns[i].fd);
    close(l->epoll);
    free(l->conns);
    free(l->piece);
}

/* Reads where something has come; a single connection needs no asking. */
static void read_some(struct load *l)
{
    struct epoll_event ev[64];
    if (l->n_conns == 1) {
        conn_read(l, &l->conns[0]);
        return;
    }
    int n = epoll_wait(l->epoll, ev, 64, -1);
    for (int i = 0; i < n; i++)
        conn_read(l, ev[i].data.ptr);
}

/* At least one request, however late it begins. */
static void run_load(struct load *l, int64_t end_us)
{
    for (;;) {
        bool in_time = !l->sent || clock_mono_us() < end_us;
        bool more = in_time && (!l->limit || l->sent < l->limit);
        for (size_t i = 0; more && i < l->n_conns; i++)
            if (!l->conns[i].busy && (!l->limit || l->sent < l->limit))
                conn_send(l, &l->conns[i]);
        if (!l->busy)
            return;
        read_some(l);
    }
}

static void load_init(struct load *l, const struct config *c)
{
    *l = (struct load){ .n_conns = (size_t)config_int(c, "connections"),
                        .limit = (size_t)config_int(c, "count") };
    buf_init(&l->text);
}

static void load_run_and_print(struct load *l, const struct config *c, int64_t port)
{
    open_conns(l, port);
    int64_t start = clock_mono_us();
    run_load(l, start + config_int(c, "ms") * 1000);
    int64_t us = clock_mono_us() - start;
    printf("{\"requests\": %zu, \"errors\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"seconds\": %.6f, ", l->sent, l->errors, l->bytes, (double)us / 1e6);
    samples_print(&l->first, "first");
    printf(", ");
    samples_print(&l->whole, "whole");
    printf("}\n");
    close_conns(l);
    free(l->first.list);
    free(l->whole.list);
    free(l->ends);
    buf_clear(&l->text);
}

void run_http(const struct config *c)
{
    struct load l;
    load_init(&l, c);
    read_requests(&l, c);
    load_run_and_print(&l, c, config_int(c, "port"));
}

/* --- a server that does nothing ------------------------------------------------------------- */

static void bare_accept(int epoll, int listener)
{
    struct epoll_event ev = { .events = EPOLLIN };
    int one = 1;
    ev.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (ev.data.fd < 0)
        return;
    setsockopt(ev.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, ev.data.fd, &ev))
        die("epoll");
}

/* Takes whatever comes for one whole request: those of add_request fit into a segment. */
static void bare_answer(int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 "Content-Length: 36\r\n\r\n"
                                 "{\"result\":102,\"error\":null,\"id\":17}\n";
    char in[4096];
    ssize_t n = recv(fd, in, sizeof in, 0);
    if (n <= 0)
        close(fd);
    else
        send_whole(fd, answer, sizeof answer - 1);
}

static void *bare_main(void *arg)
{
    int listener = *(const int *)arg, epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev[64] = { { .events = EPOLLIN, .data.fd = listener } };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev[0]))
        die("epoll");
    for (;;) {
        int n = epoll_wait(epoll, ev, 64, -1);
        for (int i = 0; i < n; i++)
            if (ev[i].data.fd == listener)
                bare_accept(epoll, listener);
            else
                bare_answer(ev[i].data.fd);
    }
    return NULL;
}

void run_bare(const struct config *c)
{
    static const char body[] = "{\"method\":\"getblockcount\",\"params\":[],\"id\":17}";
    static int listener;
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t len = sizeof a;
    struct load l;
    pthread_t thread;
    listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)(void *)&a, sizeof a) ||
        listen(listener, 128) || getsockname(listener, (struct sockaddr *)(void *)&a, &len) ||
        pthread_create(&thread, NULL, bare_main, &listener))
        die("listen");
    load_init(&l, c);
    add_request(&l, "eDp5", body, sizeof body - 1);
    load_run_and_print(&l, c, ntohs(a.sin6_port)); /* the server ends with the process */
}

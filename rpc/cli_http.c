#include "rpc/cli_http.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/http_parse.h"

#define PIECE 65536u
#define HEAD_MAX 65536u

struct response {
    int status;
    bool chunked, has_length;
    uint64_t length;
};

static int try_address(const struct addrinfo *a, int64_t timeout_s)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    struct timeval wait = { timeout_s, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int connect_host(const char *host, uint16_t port, int64_t timeout_s, struct error *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc) {
        error_set(e, ERR_IO, "%s: %s", host, gai_strerror(rc));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = try_address(a, timeout_s);
    if (fd < 0)
        error_set_errno(e, errno, "%s port %u", host, port);
    freeaddrinfo(list);
    return fd;
}

static enum err send_all(int fd, const void *data, size_t len, struct error *e)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set_errno(e, errno, "send");
        p += n;
        len -= (size_t)n;
    }
    return OK;
}

/* Appends a piece; *eof at the end. */
static enum err receive(int fd, struct buf *in, bool *eof, struct error *e)
{
    if (!buf_try_reserve(in, PIECE))
        return error_set(e, ERR_NOMEM, "out of memory for the answer");
    ssize_t n;
    do
        n = recv(fd, in->data + in->len, PIECE, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK
                   ? error_set(e, ERR_TIMEOUT, "timeout on transient error: no answer in time")
                   : error_set(e, ERR_PROTO, "connection lost: %s", strerror(errno));
    in->len += (size_t)n;
    *eof = n == 0;
    return OK;
}

static void note_line(struct response *r, const char *line, size_t len)
{
    static const char length[] = "content-length:", encoding[] = "transfer-encoding:";
    if (len > sizeof length && strncasecmp(line, length, sizeof length - 1) == 0) {
        r->has_length = true;
        r->length = strtoull(line + sizeof length - 1, NULL, 10);
    } else if (len > sizeof encoding && strncasecmp(line, encoding, sizeof encoding - 1) == 0) {
        r->chunked = memmem(line, len, "chunked", 7) != NULL;
    }
}

static enum err parse_head(struct response *r, const char *text, size_t len, struct error *e)
{
    *r = (struct response){ 0 };
    if (len < 13 || strncmp(text, "HTTP/1.", 7) != 0)
        return error_set(e, ERR_PROTO, "the answer is not HTTP");
    r->status = (int)strtol(text + 9, NULL, 10);
    for (const char *p = text, *end = text + len; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            break;
        note_line(r, p, (size_t)(eol - p));
        p = eol + 1;
    }
    return OK;
}

/* Reads heads until one that is not "100 Continue"; what follows it stays in in. */
static enum err read_head(int fd, struct buf *in, struct response *r, struct error *e)
{
    for (;;) {
        size_t size = http_head_size((const char *)in->data, in->len);
        if (!size) {
            bool eof;
            enum err rc = receive(fd, in, &eof, e);
            if (rc)
                return rc;
            if (eof || in->len > HEAD_MAX + PIECE)
                return error_set(e, ERR_PROTO, "no response from server");
            continue;
        }
        enum err rc = parse_head(r, (const char *)in->data, size, e);
        in->len -= size;
        memmove(in->data, in->data + size, in->len);
        if (rc || r->status != 100)
            return rc;
    }
}

static enum err unchunk(struct http_chunks *chunks, struct buf *in, struct buf *body,
                        struct error *e)
{
    const char *p = (const char *)in->data, *end = p + in->len, *data;
    size_t n;
    while (p < end && chunks->state != CHUNK_DONE) {
        if (http_chunks_next(chunks, &p, end, &data, &n))
            return error_set(e, ERR_PROTO, "the answer's chunks are damaged");
        if (n && !buf_try_reserve(body, n))
            return error_set(e, ERR_NOMEM, "out of memory for the answer");
        buf_put(body, data, n);
    }
    buf_reset(in);
    return OK;
}

static enum err read_chunked(int fd, struct buf *in, struct buf *body, struct error *e)
{
    struct http_chunks chunks;
    http_chunks_init(&chunks);
    for (;;) {
        bool eof;
        enum err rc = unchunk(&chunks, in, body, e);
        if (rc || chunks.state == CHUNK_DONE)
            return rc;
        rc = receive(fd, in, &eof, e);
        if (rc)
            return rc;
        if (eof)
            return error_set(e, ERR_PROTO, "the server broke off in the middle of its answer");
    }
}

static enum err read_body(int fd, struct buf *in, const struct response *r, struct buf *body,
                          struct error *e)
{
    if (r->chunked)
        return read_chunked(fd, in, body, e);
    bool eof = false;
    while (!eof && !(r->has_length && in->len >= r->length)) {
        enum err rc = receive(fd, in, &eof, e);
        if (rc)
            return rc;
    }
    if (r->has_length && in->len < r->length)
        return error_set(e, ERR_PROTO, "the server broke off in the middle of its answer");
    buf_clear(body);
    *body = *in;
    buf_init(in);
    return OK;
}

enum err cli_post(const struct cli_endpoint *to, const char *path, const char *authorization,
                  const struct buf *request, int *status, struct buf *body, struct error *e)
{
    int fd = connect_host(to->host, to->port, to->timeout_s, e);
    if (fd < 0 && to->fallback_host)
        fd = connect_host(to->fallback_host, to->port, to->timeout_s, e);
    if (fd < 0)
        return ERR_IO;
    struct buf in;
    struct response r = { 0 };
    buf_init(&in);
    buf_printf(&in, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: %s\r\n"
                    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               path, to->host, authorization, request->len);
    enum err rc = send_all(fd, in.data, in.len, e);
    if (!rc) /* a refusal may come before the body is sent: then the answer counts */
        (void)(send_all(fd, request->data, request->len, NULL) == OK);
    buf_reset(&in);
    if (!rc)
        rc = read_head(fd, &in, &r, e);
    if (!rc)
        rc = read_body(fd, &in, &r, body, e);
    if (!rc)
        *status = r.status;
    buf_clear(&in);
    close(fd);
    return rc == ERR_IO ? ERR_PROTO : rc;
}

/*
 * Bodies of requests: in memory while they are small and few, else in a file without a name.
 */
#include "rpc/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"

#define BODY_MEMORY_MAX (UINT64_C(256) << 20) /* of all bodies; further ones are spooled */
#define SPOOL_BODIES 2       /* full-size bodies that may lie in files at once */

void http_body_forget(struct http_conn *c)
{
    struct http_request *r = c->request;
    if (r->spool_fd >= 0)
        c->server->spool_bytes -= r->body_size;
    else
        c->server->memory_bytes -= r->body_size;
}

static bool spool_open(struct http_conn *c)
{
    struct http_request *r = c->request;
    const char *dir = c->server->o.spool_dir ? c->server->o.spool_dir : "/tmp";
    r->spool_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (r->spool_fd < 0) { /* file systems without O_TMPFILE */
        char *path = xasprintf("%s/.rpc-body-XXXXXX", dir);
        r->spool_fd = mkostemp(path, O_CLOEXEC);
        if (r->spool_fd >= 0)
            unlink(path);
        free(path);
    }
    if (r->spool_fd < 0)
        log_warn("HTTP: no temporary file in %s: %s", dir, strerror(errno));
    return r->spool_fd >= 0;
}

static bool spool_write(struct http_request *r, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = write(r->spool_fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Moves the body so far to a file. */
static bool spool_begin(struct http_conn *c)
{
    struct http_request *r = c->request;
    struct http_server *s = c->server;
    if (s->spool_bytes + r->body_size > SPOOL_BODIES * s->o.max_body || !spool_open(c))
        return false;
    s->memory_bytes -= r->body_size;
    s->spool_bytes += r->body_size;
    if (!spool_write(r, r->body.data, r->body.len))
        return false;
    buf_clear(&r->body);
    return true;
}

/* 0, or the status to refuse with. */
static int body_add(struct http_conn *c, const void *data, size_t len)
{
    struct http_request *r = c->request;
    struct http_server *s = c->server;
    if (len > r->max_body - r->body_size)
        return 413;
    bool spool = r->body_size + len > s->o.spool_above || s->memory_bytes + len > BODY_MEMORY_MAX;
    if (r->spool_fd < 0 && spool && !spool_begin(c))
        return 503;
    if (r->spool_fd >= 0) {
        if (s->spool_bytes + len > SPOOL_BODIES * s->o.max_body || !spool_write(r, data, len))
            return 503;
        s->spool_bytes += len;
    } else {
        if (!buf_try_reserve(&r->body, len))
            return 503;
        buf_put(&r->body, data, len);
        s->memory_bytes += len;
    }
    r->body_size += len;
    return 0;
}

bool http_body_map(struct http_request *r)
{
    if (r->spool_fd < 0)
        return true;
    r->map = mmap(NULL, (size_t)r->body_size, PROT_READ, MAP_PRIVATE, r->spool_fd, 0);
    if (r->map == MAP_FAILED)
        r->map = NULL;
    return r->map != NULL;
}

/* Takes what has arrived; *done when the body is complete. Returns 0 or a status. */
static int body_take_chunks(struct http_conn *c, bool *done)
{
    const char *p = (const char *)c->in.data + c->in_at,
               *end = (const char *)c->in.data + c->in.len;
    const char *data;
    size_t n;
    while (p < end && c->chunks.state != CHUNK_DONE) {
        if (http_chunks_next(&c->chunks, &p, end, &data, &n))
            return 400;
        int status = n ? body_add(c, data, n) : 0;
        if (status)
            return status;
    }
    c->in_at = (size_t)(p - (const char *)c->in.data);
    *done = c->chunks.state == CHUNK_DONE;
    return 0;
}

int http_body_take(struct http_conn *c, bool *done)
{
    struct http_request *r = c->request;
    if (r->head.chunked)
        return body_take_chunks(c, done);
    size_t have = c->in.len - c->in_at;
    size_t n = (size_t)MIN_OF((uint64_t)have, r->head.length - r->body_size);
    int status = n ? body_add(c, c->in.data + c->in_at, n) : 0;
    c->in_at += n;
    *done = r->body_size == r->head.length;
    return status;
}

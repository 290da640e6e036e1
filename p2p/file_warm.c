/*
 * Blocks go out by sendfile on the loop thread, which must not wait for the disk. So before a piece
 * is sent it is made sure that it lies in the page cache: a look that never waits, and if it is not
 * there a reader thread reads it through while the loop serves others. What is served twice, or
 * was just received, costs the look alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "p2p/net_internal.h"

#define STEP (256u << 10)

struct warm {
    struct job job;
    struct net *net;
    uint64_t peer_id;
    int fd;
    uint64_t offset;
    size_t len;
};

static bool byte_is_cached(int fd, uint64_t offset)
{
    uint8_t b;
    struct iovec iov = { .iov_base = &b, .iov_len = 1 };
    /* a file system that cannot tell is treated as if it had it */
    return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

static bool piece_is_cached(int fd, uint64_t offset, size_t len)
{
    return byte_is_cached(fd, offset) && byte_is_cached(fd, offset + len / 2) &&
           byte_is_cached(fd, offset + len - 1);
}

/* Loop: the piece is in the cache, or cannot be read, which sendfile will find out. */
static void on_warm(struct net *net, void *ctx)
{
    struct warm *w = ctx;
    struct peer *p = net_peer_by_id(net, w->peer_id);
    if (p != NULL) {
        p->warming = false;
        p->out.head->file_ready += w->len; /* the item stays at the head until it is sent */
        net_kick(p);
    }
    free(w);
}

static void run_warm(struct job *job)
{
    struct warm *w = (struct warm *)job;
    uint8_t *buf = xmalloc(STEP);
    for (size_t at = 0; at < w->len;) {
        ssize_t n =
            pread(w->fd, buf, w->len - at < STEP ? w->len - at : STEP, (off_t)(w->offset + at));
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    free(buf);
    close(w->fd);
    if (!net_post(w->net, on_warm, w))
        free(w);
}

static bool start_warm(struct peer *p, const struct send_item *it, size_t len)
{
    int fd = fcntl(it->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct warm *w = xcalloc(1, sizeof(*w));
    *w = (struct warm){ .job.run = run_warm, .net = p->net, .peer_id = p->id, .fd = fd,
                        .offset = it->file_ready, .len = len };
    p->warming = true;
    pool_submit(p->net->readers, JOB_LOW, &w->job);
    return true;
}

void file_warm_ahead(struct peer *p, struct send_item *it, size_t piece)
{
    uint64_t end = it->file_off + it->file_left;
    while (!p->warming && it->file_ready < end && it->file_ready < it->file_off + piece) {
        size_t len = end - it->file_ready < piece ? (size_t)(end - it->file_ready) : piece;
        if (piece_is_cached(it->fd, it->file_ready, len) || !start_warm(p, it, len))
            it->file_ready += len;
    }
}

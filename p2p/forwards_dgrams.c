/* A forward of datagrams: each program that sends to its port has a stream. */
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "p2p/forwards_internal.h"
#include "p2p/stream_dgrams.h"

#define READS_PER_TURN 64

static void program_ended(void *ctx, struct stream_dgrams *d)
{
    struct forward *f = ctx;
    for (size_t i = 0; i < f->n_programs; i++)
        if (f->programs[i] == d) {
            f->programs[i] = f->programs[--f->n_programs];
            return;
        }
}

static struct stream_dgrams *find_program(const struct forward *f,
                                          const struct sockaddr_storage *from, socklen_t len)
{
    for (size_t i = 0; i < f->n_programs; i++)
        if (stream_dgrams_is_of(f->programs[i], from, len))
            return f->programs[i];
    return NULL;
}

/* NULL: the contact is not there (yet), or there are too many. */
static struct stream_dgrams *add_program(struct forward *f, int fd,
                                         const struct sockaddr_storage *from, socklen_t len)
{
    struct chan_peer *peer;
    struct dchan_mux *mux;
    struct stream_dgrams *d;
    struct error e;
    if (f->n_programs >= FORWARD_PROGRAMS_MAX || forward_reach(f, &peer, &mux, &e))
        return NULL;
    const struct stream_dgrams_config config = {
        .set = f->owner->streams, .peer = peer, .mux = mux, .service = forward_service(f), .fd = fd,
        .tag = f, .meter = forward_pay_meter(&f->pay), .program = *from, .program_len = len,
        .ended = program_ended, .ctx = f
    };
    if (stream_dgrams_open(&config, f->priority, &d))
        return NULL;
    f->programs = xrealloc(f->programs, (f->n_programs + 1) * sizeof(struct stream_dgrams *));
    f->programs[f->n_programs++] = d;
    return d;
}

void forward_on_datagrams(evutil_socket_t fd, short what, void *ctx)
{
    struct forward *f = ctx;
    struct stream_dgrams *last = NULL;
    uint8_t data[DCHAN_DGRAM_MAX + 1];
    (void)what;
    for (int i = 0; i < READS_PER_TURN; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        memset(&from, 0, sizeof from); /* it is compared as a whole */
        const ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &len);
        if (n < 0)
            break;
        struct stream_dgrams *d = find_program(f, &from, len);
        if (!d)
            d = add_program(f, fd, &from, len);
        if (d)
            stream_dgrams_send(d, span_of(data, (size_t)n));
        else
            f->lost++;
        last = d ? d : last;
    }
    if (last)
        stream_dgrams_kick(last);
}

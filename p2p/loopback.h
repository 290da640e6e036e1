/*
 * Listening on loopback alone: ::1 and 127.0.0.1 with one port, so that programs reach it by
 * "localhost" whichever they try first. Any thread; nothing waits.
 */
#ifndef P2P_LOOPBACK_H
#define P2P_LOOPBACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { LOOPBACK_MAX = 2 };

struct loopback {
    int fds[LOOPBACK_MAX]; /* not blocking; of streams: they listen */
    size_t n;
    uint16_t port;
};

/* type: SOCK_STREAM or SOCK_DGRAM; port 0: any that is free for both. A machine without IPv6, or
 * without IPv4, has one. */
enum err loopback_open(struct loopback *l, int type, uint16_t port, struct error *e) MUST_CHECK;
void loopback_close(struct loopback *l);

#endif

#include "p2p/loopback.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/netaddr.h"

#define TRIES 16 /* for a port that is free for both */

static void address(struct netaddr *a, int family, uint16_t port)
{
    if (family == AF_INET6)
        netaddr_from_ipv6(a, (const uint8_t[16]){ [15] = 1 }, port);
    else
        netaddr_from_ipv4(a, (const uint8_t[4]){ 127, 0, 0, 1 }, port);
}

/* 0, or errno. */
static int prepare(int fd, int type, int family, const struct sockaddr_storage *ss, socklen_t len)
{
    const int one = 1;
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)ss, len) != 0)
        return errno;
    return type == SOCK_STREAM && listen(fd, SOMAXCONN) != 0 ? errno : 0;
}

/* One family; the port becomes what was bound. 0, or errno. */
static int open_one(struct loopback *l, int type, int family, uint16_t *port)
{
    struct sockaddr_storage ss;
    struct netaddr a;
    address(&a, family, *port);
    socklen_t len = netaddr_to_sockaddr(&a, &ss);
    const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int failed = prepare(fd, type, family, &ss, len);
    len = sizeof ss;
    if (!failed && (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
                    !netaddr_from_sockaddr(&a, (struct sockaddr *)&ss)))
        failed = EIO;
    if (failed) {
        close(fd);
        return failed;
    }
    *port = a.port;
    l->fds[l->n++] = fd;
    return 0;
}

static bool is_absent(int failed)
{
    return failed == EADDRNOTAVAIL || failed == EAFNOSUPPORT;
}

static int open_both(struct loopback *l, int type, uint16_t port)
{
    int failed = open_one(l, type, AF_INET6, &port);
    if (failed && !is_absent(failed))
        return failed;
    failed = open_one(l, type, AF_INET, &port);
    if (failed && !(is_absent(failed) && l->n)) {
        loopback_close(l);
        return failed;
    }
    l->port = port;
    return 0;
}

enum err loopback_open(struct loopback *l, int type, uint16_t port, struct error *e)
{
    int failed = EADDRINUSE;
    *l = (struct loopback){ .n = 0 };
    for (int i = 0; i < (port ? 1 : TRIES) && failed == EADDRINUSE; i++)
        failed = open_both(l, type, port);
    return failed ? error_set_errno(e, failed, "cannot listen on port %u of loopback",
                                    (unsigned)port)
                  : OK;
}

void loopback_close(struct loopback *l)
{
    while (l->n)
        close(l->fds[--l->n]);
}

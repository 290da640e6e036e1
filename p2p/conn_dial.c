/* Opening a connection: directly, or through a SOCKS5 proxy. */
#include "p2p/net_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static int start_connect(const struct netaddr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = netaddr_to_sockaddr(a, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

/* spec p2p 7.1: a failure counts only while the network is known to work */
static enum addrman_count count_failures(const struct net *net)
{
    size_t groups = 0, want = net->c.max_connections > 2 ? 2 : net->c.max_connections - 1;
    for (size_t i = 0; i < net->n_peers && groups < want; i++) {
        const struct peer *p = net->peers[i];
        bool counts = p->kind == PEER_OUTBOUND && p->state == PEER_READY;
        for (size_t j = 0; counts && j < i; j++)
            counts = !(net->peers[j]->kind == PEER_OUTBOUND && net->peers[j]->state == PEER_READY &&
                       netgroup_equal(&net->peers[j]->group, &p->group));
        groups += counts;
    }
    return groups >= want ? ADDRMAN_COUNT_FAILURE : ADDRMAN_KEEP_COUNT;
}

static struct peer *dial(struct net *net, const struct netaddr *a, const struct dial *d)
{
    int fd = start_connect(net->has_proxy ? &net->proxy : a);
    if (fd < 0)
        return NULL;
    struct peer *p = peer_new(net, d->kind, fd, a);
    p->from_book = d->from_book;
    p->extra = d->extra;
    p->manual_connect = d->manual_connect;
    p->expected_services = d->expected_services;
    p->dest = d->dest != NULL ? xstrdup(d->dest) : NULL;
    p->whitelisted = a->port != 0 && net_is_whitelisted(net, a);
    event_add(p->write_ev, NULL);
    p->writing = true;
    return p;
}

static void proxy_failed(struct peer *p, const struct error *e)
{
    log_debug(LOGC_PROXY, "peer %llu %s: %s", (unsigned long long)p->id, peer_log_name(p), e->text);
    peer_disconnect(p, "proxy");
}

struct peer *dial_addr(struct net *net, const struct netaddr *a, const struct dial *d)
{
    if (d->from_book)
        addrman_attempt(net->book, a, count_failures(net), clock_now());
    struct peer *p = dial(net, a, d);
    if (p == NULL || !net->has_proxy)
        return p;
    struct buf hello;
    struct error e;
    buf_init(&hello);
    p->socks = xcalloc(1, sizeof(*p->socks));
    if (socks5_start_addr(p->socks, a, NULL, NULL, &hello, &e) != OK)
        proxy_failed(p, &e);
    else
        peer_send_raw(p, hello.data, hello.len);
    buf_clear(&hello);
    return p;
}

struct peer *dial_name(struct net *net, const char *host, uint16_t port, const struct dial *d)
{
    struct netaddr unknown = { .port = 0 };
    struct peer *p = dial(net, &unknown, d);
    if (p == NULL)
        return NULL;
    snprintf(p->name, sizeof(p->name), "%.80s:%u", host, (unsigned)port);
    struct buf hello;
    struct error e;
    buf_init(&hello);
    p->socks = xcalloc(1, sizeof(*p->socks));
    if (socks5_start_name(p->socks, host, port, NULL, NULL, &hello, &e) != OK)
        proxy_failed(p, &e);
    else
        peer_send_raw(p, hello.data, hello.len);
    buf_clear(&hello);
    return p;
}

void dial_finish(struct peer *p)
{
    int err = 0;
    socklen_t len = sizeof(err);
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    if (err != 0) {
        peer_disconnect(p, strerror(err));
        return;
    }
    p->tcp_up = true;
    struct sockaddr_storage ss;
    len = sizeof(ss);
    if (getsockname(p->fd, (struct sockaddr *)&ss, &len) == 0)
        (void)netaddr_from_sockaddr(&p->local, (struct sockaddr *)&ss);
    if (p->socks == NULL)
        peer_connected(p);
    else
        net_kick(p); /* sends the greeting, starts reading */
}

void peer_on_proxy_bytes(struct peer *p, const uint8_t *data, size_t len)
{
    struct buf out;
    struct error e;
    size_t used;
    buf_init(&out);
    if (socks5_feed(p->socks, data, len, &used, &out, &e) != OK) {
        proxy_failed(p, &e);
    } else {
        peer_send_raw(p, out.data, out.len);
        if (p->socks->state == SOCKS5_DONE) {
            socks5_clear(p->socks);
            free(p->socks);
            p->socks = NULL;
            peer_connected(p);
            if (used < len)
                peer_take_bytes(p, data + used, len - used);
        }
    }
    buf_clear(&out);
}

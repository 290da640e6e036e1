/* Listening sockets and inbound slots: spec p2p 7.1, 7.2, 7.5; attacks C7, C17, D7. */
#include "p2p/net_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/eviction.h"

#define ACCEPTS_PER_TURN 16
#define HANDSHAKE_POOL_MIN 8

/* --- slots --- */

static size_t max_inbound(const struct net *net)
{
    unsigned out = net->c.max_outbound + 1; /* and the feeler */
    return net->c.max_connections > out ? net->c.max_connections - out : 0;
}

static bool evict_for_newcomer(struct net *net)
{
    size_t n = 0;
    struct eviction_candidate *c = xcalloc(net->n_peers + 1, sizeof(*c));
    for (size_t i = 0; i < net->n_peers; i++) {
        const struct peer *p = net->peers[i];
        if (!peer_is_inbound(p) || p->state == PEER_CLOSING)
            continue;
        c[n++] = (struct eviction_candidate){
            .peer_id = p->id, .addr = p->addr, .connected_ms = p->started_ms,
            .min_ping_us = p->ping_min_us, .last_tx_ms = p->last_tx_ms,
            .last_block_ms = p->last_block_ms, .whitelisted = p->whitelisted,
        };
    }
    uint64_t id;
    bool found = eviction_select(c, n, &net->hash_key, &id);
    free(c);
    struct peer *p = found ? net_peer_by_id(net, id) : NULL;
    if (p != NULL)
        peer_disconnect(p, "evicted for a newcomer");
    return p != NULL;
}

/* attacks C7: sockets without a handshake have a pool of their own; the oldest makes room */
static void limit_handshakes(struct net *net)
{
    size_t n = 0, most = max_inbound(net) / 4;
    struct peer *oldest = NULL;
    for (size_t i = 0; i < net->n_peers; i++) {
        struct peer *p = net->peers[i];
        if (!peer_is_inbound(p) || p->whitelisted || p->state == PEER_READY ||
            p->state == PEER_CLOSING)
            continue;
        n++;
        if (oldest == NULL || p->started_ms < oldest->started_ms)
            oldest = p;
    }
    if (n >= (most < HANDSHAKE_POOL_MIN ? HANDSHAKE_POOL_MIN : most) && oldest != NULL)
        peer_disconnect(oldest, "too many connections without a handshake");
}

static size_t count_from(const struct net *net, const struct netaddr *a)
{
    struct netgroup g = netgroup_of(a, NETGROUP_LIMIT);
    size_t n = 0;
    for (size_t i = 0; i < net->n_peers; i++) {
        const struct peer *p = net->peers[i];
        struct netgroup other = netgroup_of(&p->addr, NETGROUP_LIMIT);
        n += peer_is_inbound(p) && p->state != PEER_CLOSING && netgroup_equal(&g, &other);
    }
    return n;
}

static bool may_enter(struct net *net, const struct netaddr *a, bool whitelisted)
{
    if (!net->active)
        return false;
    if (!whitelisted) {
        if (banlist_is_banned(net->bans, a, clock_now()))
            return false;
        if (net->c.max_from_addr > 0 && count_from(net, a) >= net->c.max_from_addr)
            return false;
        limit_handshakes(net);
    }
    return net_count_kind(net, PEER_INBOUND) < max_inbound(net) || evict_for_newcomer(net);
}

/* --- accepting --- */

static void enter(struct listener *l, int fd, const struct netaddr *a)
{
    struct net *net = l->net;
    bool whitelisted = l->whitelisted || net_is_whitelisted(net, a);
    if (!may_enter(net, a, whitelisted)) {
        log_debug(LOGC_NET, "inbound connection refused: banned, limit, or no slot");
        close(fd);
        return;
    }
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct peer *p = peer_new(net, PEER_INBOUND, fd, a);
    p->whitelisted = whitelisted;
    p->tcp_up = true;
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
        (void)netaddr_from_sockaddr(&p->local, (struct sockaddr *)&ss);
    peer_connected(p);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct listener *l = arg;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);
        int s = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                LOG_LIMITED(LOG_WARN, "cannot accept connections: %s", strerror(errno));
                event_del(l->ev); /* the tick of the network adds it again */
            }
            return;
        }
        struct netaddr a;
        if (netaddr_from_sockaddr(&a, (struct sockaddr *)&ss))
            enter(l, s, &a);
        else
            close(s);
    }
}

/* --- binding --- */

static enum err bind_socket(int fd, const struct netaddr *a, struct error *e)
{
    int one = 1;
    struct sockaddr_storage ss;
    socklen_t len = netaddr_to_sockaddr(a, &ss);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!netaddr_is_ipv4(a))
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    char name[NETADDR_TEXT_MAX];
    netaddr_print(name, a, NETADDR_WITH_PORT);
    if (bind(fd, (struct sockaddr *)&ss, len) != 0)
        return error_set_errno(e, errno, "cannot bind %s (is another program listening there?)",
                               name);
    if (listen(fd, SOMAXCONN) != 0)
        return error_set_errno(e, errno, "cannot listen on %s", name);
    return OK;
}

static enum err listen_on(struct net *net, const struct netaddr *a, bool whitelisted,
                          struct error *e)
{
    int family = netaddr_is_ipv4(a) ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(e, errno, "cannot make a listening socket");
    enum err rc = bind_socket(fd, a, e);
    if (rc != OK) {
        close(fd);
        return rc;
    }
    struct listener *l = &net->listeners[net->n_listeners++];
    *l = (struct listener){ .net = net, .addr = *a, .fd = fd, .whitelisted = whitelisted };
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
        (void)netaddr_from_sockaddr(&l->addr, (struct sockaddr *)&ss);
    l->ev = event_new(net->base, fd, EV_READ | EV_PERSIST, on_accept, l);
    event_add(l->ev, NULL);
    char name[NETADDR_TEXT_MAX];
    log_info("listening on %s", netaddr_print(name, &l->addr, NETADDR_WITH_PORT));
    if (netaddr_is_routable(&l->addr))
        local_add(net, &l->addr, 2);
    return OK;
}

static size_t listen_list(struct net *net, const struct net_strings *list, bool white,
                          struct error *e)
{
    size_t bound = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct netaddr a;
        struct error why;
        if (netaddr_parse(&a, list->v[i], net->c.port, &why) == OK &&
            listen_on(net, &a, white, &why) == OK) {
            bound++;
            continue;
        }
        log_warn("%s", why.text);
        if (e != NULL)
            *e = why;
    }
    return bound;
}

/* spec p2p 7.5: [::] and 0.0.0.0 as two sockets when nothing else is asked for */
enum err listen_start(struct net *net, struct error *e)
{
    const struct net_config *c = &net->c;
    net->listeners = xcalloc(c->bind.n + c->whitebind.n + 2, sizeof(*net->listeners));
    struct error why = { .code = ERR_IO };
    size_t bound = listen_list(net, &c->bind, false, &why);
    bound += listen_list(net, &c->whitebind, true, &why);
    if (c->bind.n + c->whitebind.n == 0) {
        struct netaddr a;
        netaddr_from_ipv6(&a, (const uint8_t[16]){ 0 }, c->port);
        bound += listen_on(net, &a, false, &why) == OK;
        netaddr_from_ipv4(&a, (const uint8_t[4]){ 0 }, c->port);
        bound += listen_on(net, &a, false, &why) == OK;
    }
    if (bound == 0)
        return error_set(e, why.code, "no address to listen on: %s", why.text);
    return OK;
}

void listen_stop(struct net *net)
{
    for (size_t i = 0; i < net->n_listeners; i++) {
        event_free(net->listeners[i].ev);
        close(net->listeners[i].fd);
    }
    free(net->listeners);
    net->listeners = NULL;
    net->n_listeners = 0;
}

/* Whom to dial, where, from which address of ours, and how often (spec channels 2.3, 2.6, 9). */
#include "p2p/channels.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/rand.h"
#include "p2p/channels_internal.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define AGAIN_SOON_MS 1000 /* a session that had lasted was lost */
#define THEY_MOVED_MS 10000 /* who has moved dials by itself */

/* --- places --- */

bool dial_may(const struct channels *c, const struct contact_address *where)
{
    struct netaddr a;
    netaddr_from_ipv6(&a, where->address, where->port);
    if (where->port == 0 || netaddr_class(&a) == NETADDR_UNSPECIFIED ||
        netaddr_class(&a) == NETADDR_MULTICAST)
        return false;
    return c->config.regtest || (where->port >= BCA_RECORD_PORT_MIN &&
                                 (where->address[0] & 0xe0) == 0x20 && netaddr_is_routable(&a));
}

static bool same_place(const struct contact_address *a, const struct contact_address *b)
{
    return a->port == b->port && mem_equal_var(a->address, b->address, sizeof a->address);
}

static void add_place(struct chan_peer *p, const uint8_t *address, uint16_t port)
{
    struct contact_address where = { .port = port };
    memcpy(where.address, address, sizeof where.address);
    for (size_t i = 0; i < p->n_places; i++)
        if (same_place(&p->places[i], &where))
            return;
    if (p->n_places < COUNT_OF(p->places) && dial_may(p->c, &where))
        p->places[p->n_places++] = where;
}

static void add_live(struct chan_peer *p)
{
    if (p->newest && p->newest->has_endpoint)
        add_place(p, p->newest->endpoint.address, p->newest->endpoint.port);
}

/* A record is newer than what was true at some time; the session that lives is true now. When it is
 * us who moved the session goes first: of two that move at once no record tells yet. */
static void gather_places(struct chan_peer *p)
{
    struct channels *c = p->c;
    struct bca_endpoint endpoints[BCA_RECORD_ENDPOINTS_MAX];
    const struct contact *contact = chan_peer_contact(p);
    p->tried = p->n_places = 0;
    if (p->newest && peer_has_left(p, p->newest))
        add_live(p);
    const size_t n =
        c->ops.endpoints ? c->ops.endpoints(c->ops.ctx, p->key, endpoints) : 0;
    for (size_t i = 0; i < n; i++)
        if (endpoints[i].type == BCA_RECORD_TCP6)
            add_place(p, endpoints[i].address, endpoints[i].port);
    add_live(p);
    for (size_t i = 0; contact && i < contact->n_addresses; i++)
        add_place(p, contact->addresses[i].address, contact->addresses[i].port);
}

/* --- one connection --- */

/* A session that lives is not ill because a better one could not be had. */
static void note_error(struct chan_peer *p, const char *what, const char *why)
{
    if (!p->newest)
        snprintf(p->last_error, sizeof p->last_error, "%s%s", what, why);
}

/* The peer takes us as bound only when we come from our own address (spec channels 1.4). Where the
 * address is on no interface the session is unbound. */
static void bind_source(const struct channel_identity *id, int fd)
{
    struct sockaddr_in6 from = { .sin6_family = AF_INET6 };
    const int one = 1;
    if (!id->has_address)
        return;
    memcpy(&from.sin6_addr, id->address, sizeof from.sin6_addr);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
        log_debug(LOGC_CHANNEL, "direct channel: our address is on no interface");
}

static int connect_to(const struct chan_peer *p, const struct netaddr *a)
{
    struct sockaddr_storage ss;
    const socklen_t len = netaddr_to_sockaddr(a, &ss);
    const int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (ss.ss_family == AF_INET6)
        bind_source(p->identity, fd);
    if (connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

static bool start_place(struct chan_peer *p, const struct contact_address *where)
{
    struct netaddr a;
    netaddr_from_ipv6(&a, where->address, where->port);
    const int fd = connect_to(p, &a);
    if (fd < 0) {
        note_error(p, "cannot connect: ", strerror(errno));
        return false;
    }
    struct chan_conn *conn = conn_new(p->c, DCHAN_INITIATOR, p->identity);
    conn->state = CONN_CONNECTING;
    conn->remote = a;
    peer_add_conn(p, conn);
    conn_take_fd(conn, fd);
    p->dial = conn;
    return true;
}

/* --- a round over all places --- */

static uint64_t backoff(const struct chan_peer *p)
{
    const struct channels_limits *l = &p->c->config.limits;
    uint64_t pause = l->pause_ms;
    for (unsigned i = 0; i < p->fails && pause < l->pause_max_ms; i++)
        pause *= 2;
    pause = MIN_OF(pause, l->pause_max_ms);
    return pause * 8 / 10 + rand_below(pause * 4 / 10 + 1);
}

static void round_failed(struct chan_peer *p)
{
    p->next_dial_ms = channels_now(p->c) + backoff(p);
    p->fails++;
}

/* A session that is carried and is to be renewed will be carried again, if nothing better is had;
 * one over a socket is not given up for that. */
static bool may_take_detour(struct chan_peer *p)
{
    const struct chan_conn *live = p->newest;
    if (!chan_peer_contact(p))
        return false;
    return live ? p->renew && live->pipe && !live->going &&
                      dchan_session_renewal_due(live->session, channels_now(p->c))
                : p->wanted;
}

static bool begin_detour(struct chan_peer *p)
{
    struct channels *c = p->c;
    if (!may_take_detour(p))
        return false;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].detour && c->parts[i].detour(c->parts[i].ctx, p))
            return true;
    return false;
}

void chan_peer_detour_failed(struct chan_peer *p)
{
    p->detour = false;
}

static void next_place(struct chan_peer *p)
{
    while (p->tried < p->n_places)
        if (start_place(p, &p->places[p->tried++]))
            return;
    round_failed(p);
    p->detour = p->detour || begin_detour(p);
}

static void begin_round(struct chan_peer *p)
{
    gather_places(p);
    p->looking = p->n_places == 0;
    if (p->looking) {
        note_error(p, "no address is known", "");
        if (p->c->ops.look_for)
            p->c->ops.look_for(p->c->ops.ctx, p->key);
    }
    next_place(p);
}

void dial_finished(struct chan_conn *conn, bool too_late)
{
    struct chan_peer *p = conn->peer;
    int error = ETIMEDOUT;
    socklen_t len = sizeof error;
    if (!too_late && getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error) {
        note_error(p, "cannot connect: ", strerror(error));
        conn_abort(conn, DCHAN_NO_ERROR);
        return;
    }
    const struct dchan_session *live = p->renew ? peer_session(p) : NULL;
    conn_read_on(conn);
    if (!conn_begin(conn, p->key, live ? dchan_session_peer(live)->session_id : NULL)) {
        note_error(p, "the key is none, or our own, or there are no random numbers", "");
        dial_ended(p, conn);
    }
}

void dial_ended(struct chan_peer *p, struct chan_conn *conn)
{
    if (p->dial != conn)
        return;
    p->dial = NULL;
    if (p->c->stopping || p->orphan || !(p->wanted || p->renew))
        return;
    next_place(p);
}

void dial_lost(struct chan_peer *p, bool had_lasted)
{
    if (had_lasted) {
        p->fails = 0;
        p->next_dial_ms = channels_now(p->c) + rand_below(AGAIN_SOON_MS);
    } else {
        round_failed(p);
    }
}

void dial_stop(struct chan_peer *p)
{
    struct chan_conn *dial = p->dial;
    if (!dial)
        return;
    BUG_ON(dial->state == CONN_GREETED); /* the one that came up was the only one */
    p->dial = NULL;
    conn_abort(dial, DCHAN_NO_ERROR);
}

/* --- when --- */

static bool has_room(const struct channels *c)
{
    size_t dials = 0, sessions = 0;
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        dials += conn->role == DCHAN_INITIATOR && conn->state <= CONN_ACTS;
        sessions += conn->state == CONN_GREETED || conn->state == CONN_UP;
    }
    return dials < CHANNELS_DIALS_MAX && dials + sessions < c->config.limits.sessions;
}

void dial_tick(struct chan_peer *p, uint64_t now_ms)
{
    const bool live = p->newest && !p->newest->going;
    if (live && p->wanted && p->newest->pipe)
        p->renew = true;
    if (live)
        p->wanted = false;
    else
        p->renew = false;
    if (p->dial || p->orphan || p->c->stopping || !(p->wanted || p->renew) ||
        now_ms < p->next_dial_ms || !has_room(p->c))
        return;
    begin_round(p);
}

void chan_peer_dial(struct chan_peer *p, bool now)
{
    p->quiet = false;
    p->wanted = true;
    if (now)
        p->next_dial_ms = 0;
    dial_tick(p, channels_now(p->c));
}

/* --- they have moved --- */

static bool is_elsewhere(struct chan_peer *p)
{
    struct bca_endpoint endpoints[BCA_RECORD_ENDPOINTS_MAX];
    const struct chan_conn *live = p->newest;
    const size_t n = p->c->ops.endpoints
                         ? p->c->ops.endpoints(p->c->ops.ctx, p->key, endpoints) : 0;
    return n && live->has_endpoint &&
           !mem_equal_var(endpoints[0].address, live->endpoint.address,
                          sizeof live->endpoint.address);
}

void channels_endpoints_changed(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE])
{
    const uint64_t now = channels_now(c);
    for (struct list_link *l = list_first(&c->peers); l; l = list_next(&c->peers, l)) {
        struct chan_peer *p = LIST_ITEM(l, struct chan_peer, link);
        if (!mem_equal_var(p->key, key, IDENTITY_KEY_SIZE) || !chan_peer_contact(p))
            continue;
        if (!p->newest) {
            p->next_dial_ms = now;
            dial_tick(p, now);
        } else if (!p->newest->going && !p->renew && is_elsewhere(p)) {
            p->renew = true;
            p->next_dial_ms = now + THEY_MOVED_MS;
        }
    }
}

/*
 * Who may begin a handshake, decided before a byte is read or memory taken for it (spec channels
 * 2.3, attacks E1), and who may keep a session. An attacker has many /64s and some /48s: places and
 * rate are kept for the /64s from which contacts came.
 */
#include "p2p/channels.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/channels_internal.h"
#include "p2p/netgroup.h"

#define ACCEPTS_PER_TURN 16
#define BUCKETS 1024 /* a power of two */
#define PARTS 1000000 /* of one handshake, as one in a day must not be rounded to none */
#define KNOWN_MAX 4096
#define CROWDED 32 /* handshakes from which on the crowded make room */
#define WELCOME 10 /* strangers to be accepted for each handshake that may begin */

/* --- sources --- */

/* By its slot: one that comes to the slot of another begins with a full bucket. Who has so many
 * /64s that it helps him has full buckets anyway. */
struct accept_bucket {
    bool used;
    struct netgroup group;
    struct ratelimit rate;
};

struct known_source {
    struct netgroup group;
    uint64_t seen_ms; /* unix */
};

static bool has_group(const void *item, const void *key)
{
    return netgroup_equal(&((const struct known_source *)item)->group, key);
}

static struct netgroup group_64(const struct netaddr *a)
{
    return netgroup_of(a, NETGROUP_BAN);
}

static struct netgroup group_48(const struct netaddr *a)
{
    return netgroup_of(a, NETGROUP_LIMIT);
}

static struct known_source *find_known(const struct channels *c, const struct netgroup *g)
{
    return map_find(&c->gate.known, netgroup_hash(g, &c->hash_key), has_group, g);
}

static bool is_recent(const struct channels *c, uint64_t seen_ms)
{
    return seen_ms + c->config.limits.known_ms > channels_unix_ms();
}

static bool is_known(const struct channels *c, const struct netaddr *a)
{
    const struct netgroup g = group_64(a);
    const struct known_source *k = find_known(c, &g);
    return k && is_recent(c, k->seen_ms);
}

/* The oldest of a few that are met first, in the order of a keyed hash. */
static void forget_one_known(struct channels *c)
{
    struct known_source *oldest = NULL;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        struct known_source *k = map_next(&c->gate.known, &at);
        if (k && (!oldest || k->seen_ms < oldest->seen_ms))
            oldest = k;
    }
    free(map_remove(&c->gate.known, netgroup_hash(&oldest->group, &c->hash_key), has_group,
                    &oldest->group));
}

void gate_note_contact(struct channels *c, const uint8_t address[BCA_ADDRESS_SIZE],
                       uint64_t now_unix_ms)
{
    struct netaddr a;
    netaddr_from_ipv6(&a, address, 0);
    const struct netgroup g = group_64(&a);
    struct known_source *k = find_known(c, &g);
    if (!k || !is_recent(c, k->seen_ms))
        c->gate.known_changed = true;
    if (!k) {
        if (c->gate.known.n >= KNOWN_MAX)
            forget_one_known(c);
        k = xcalloc(1, sizeof *k);
        k->group = g;
        map_put(&c->gate.known, netgroup_hash(&g, &c->hash_key), k);
    }
    k->seen_ms = MAX_OF(k->seen_ms, now_unix_ms);
}

static void note_old_contact(struct contact *contact, void *ctx)
{
    struct channels *c = ctx;
    for (size_t i = 0; i < contact->n_addresses; i++)
        if (is_recent(c, contact->seen_ms))
            gate_note_contact(c, contact->addresses[i].address, contact->seen_ms);
}

void gate_init(struct channels *c)
{
    const uint64_t act1 = c->config.limits.act1_per_s, kept = act1 / 4;
    const int64_t now = (int64_t)channels_now(c);
    c->gate.buckets = xcalloc(BUCKETS, sizeof *c->gate.buckets);
    map_init(&c->gate.known);
    ratelimit_init(&c->gate.acts, (act1 - kept) * 1000, act1 - kept, act1 - kept, now);
    ratelimit_init(&c->gate.acts_reserved, kept * 1000, kept, kept, now);
    sieve_init(&c->gate.sieve, WELCOME * act1, channels_now(c));
    contacts_each(c->contacts, note_old_contact, c);
}

void gate_clear(struct channels *c)
{
    size_t at = 0;
    void *k;
    while ((k = map_next(&c->gate.known, &at)))
        free(k);
    map_clear(&c->gate.known);
    free(c->gate.buckets);
}

/* --- before they are accepted --- */

static int latest_first(const void *a, const void *b)
{
    const uint64_t x = (*(struct known_source *const *)a)->seen_ms;
    const uint64_t y = (*(struct known_source *const *)b)->seen_ms;
    return (x < y) - (x > y);
}

/* Those that pass the sieve; the latest, where there are more. */
static size_t gather_sources(struct channels *c, uint8_t (*out)[8])
{
    struct known_source *all[KNOWN_MAX], *k;
    size_t n = 0, at = 0;
    while (n < KNOWN_MAX && (k = map_next(&c->gate.known, &at)))
        if (is_recent(c, k->seen_ms))
            all[n++] = k;
    qsort(all, n, sizeof all[0], latest_first);
    n = MIN_OF(n, (size_t)SIEVE_SOURCES_MAX);
    for (size_t i = 0; i < n; i++)
        memcpy(out[i], all[i]->group.b + 1, sizeof out[i]);
    return n;
}

static void put_sieve_on(struct channels *c)
{
    uint8_t sources[SIEVE_SOURCES_MAX][8];
    const size_t n = gather_sources(c, sources);
    enum err rc = OK;
    for (size_t i = 0; i < c->n_listeners && !rc; i++)
        rc = sieve_put_on(c->listeners[i].fd, sources, n, c->gate.sieve.share);
    LOG_LIMITED(LOG_WARN, "direct channels: a flood of connections; %s",
                rc ? "the kernel takes no filter against it"
                   : "the kernel drops most of those from where no contact came lately");
}

static void set_sieve(struct channels *c)
{
    c->gate.known_changed = false;
    log_debug(LOGC_CHANNEL, "direct channels: of a million strangers %llu are let through",
              (unsigned long long)c->gate.sieve.share * 1000000 / SIEVE_ALL);
    if (c->gate.sieve.share != SIEVE_ALL) {
        put_sieve_on(c);
        return;
    }
    for (size_t i = 0; i < c->n_listeners; i++)
        sieve_take_off(c->listeners[i].fd);
    LOG_LIMITED(LOG_INFO, "direct channels: the flood of connections is over");
}

void gate_tick(struct channels *c)
{
    const bool is_on = c->gate.sieve.share != SIEVE_ALL;
    if (sieve_tick(&c->gate.sieve, channels_now(c)) || (is_on && c->gate.known_changed))
        set_sieve(c);
}

/* --- handshakes --- */

static bool in_handshake(const struct chan_conn *conn)
{
    return conn->role == DCHAN_RESPONDER && conn->state == CONN_ACTS;
}

struct handshakes {
    size_t n, known, same_64, same_48;
};

static void count_handshakes(struct channels *c, const struct netaddr *remote,
                             struct handshakes *out)
{
    const struct netgroup g64 = group_64(remote), g48 = group_48(remote);
    *out = (struct handshakes){ 0 };
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        if (!in_handshake(conn))
            continue;
        out->n++;
        out->known += conn->known_source;
        if (conn->pipe)
            continue;
        const struct netgroup a = group_64(&conn->remote), b = group_48(&conn->remote);
        out->same_64 += netgroup_equal(&a, &g64);
        out->same_48 += netgroup_equal(&b, &g48);
    }
}

static size_t crowd_of(struct channels *c, const struct chan_conn *of,
                       struct netgroup (*group)(const struct netaddr *a))
{
    const struct netgroup g = group(&of->remote);
    size_t n = 0;
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        const struct netgroup other = group(&conn->remote);
        n += in_handshake(conn) && !conn->pipe && netgroup_equal(&g, &other);
    }
    return n;
}

/* The oldest of the most crowded group, which has more than one; conns are in the order of age. */
static struct chan_conn *oldest_of_crowd(struct channels *c,
                                         struct netgroup (*group)(const struct netaddr *a))
{
    struct chan_conn *found = NULL;
    size_t most = 1;
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        if (!in_handshake(conn) || conn->pipe || conn->known_source)
            continue;
        const size_t n = crowd_of(c, conn, group);
        if (n > most) {
            most = n;
            found = conn;
        }
    }
    return found;
}

static void make_room(struct channels *c)
{
    struct chan_conn *victim = oldest_of_crowd(c, group_64);
    if (!victim)
        victim = oldest_of_crowd(c, group_48);
    if (victim)
        conn_abort(victim, DCHAN_NO_ERROR);
}

static bool take_bucket(struct channels *c, const struct netaddr *remote)
{
    const struct channels_limits *limits = &c->config.limits;
    const struct netgroup g = group_64(remote);
    const int64_t now = (int64_t)channels_now(c);
    struct accept_bucket *b =
        &c->gate.buckets[netgroup_hash(&g, &c->hash_key) & (BUCKETS - 1)];
    if (!b->used || !netgroup_equal(&b->group, &g)) {
        *b = (struct accept_bucket){ .used = true, .group = g };
        const uint64_t burst = (uint64_t)limits->accepts_burst * PARTS;
        ratelimit_init(&b->rate, 1000 * PARTS / limits->accepts_refill_s, burst, burst, now);
    }
    return ratelimit_take(&b->rate, PARTS, now);
}

static bool take_act(struct channels *c, bool known)
{
    const int64_t now = (int64_t)channels_now(c);
    return ratelimit_take(&c->gate.acts, 1, now) ||
           (known && ratelimit_take(&c->gate.acts_reserved, 1, now));
}

bool gate_enter(struct channels *c, const struct netaddr *remote, bool *known)
{
    const struct channels_limits *limits = &c->config.limits;
    struct handshakes h;
    *known = is_known(c, remote);
    if (!*known && sieve_count(&c->gate.sieve, channels_now(c)))
        set_sieve(c);
    if (!take_bucket(c, remote) || !take_act(c, *known))
        return false;
    count_handshakes(c, remote, &h);
    if (h.same_64 >= limits->handshakes_per_64 || h.same_48 >= limits->handshakes_per_48)
        return false;
    if (h.n >= limits->handshakes || (!*known && h.n - h.known >= limits->handshakes -
                                                 limits->handshakes_reserved))
        return false;
    if (h.n >= CROWDED)
        make_room(c);
    return true;
}

bool gate_has_place(struct channels *c)
{
    size_t n = 0;
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l))
        n += in_handshake(LIST_ITEM(l, struct chan_conn, link));
    return n < c->config.limits.handshakes - c->config.limits.handshakes_reserved;
}

/* --- sessions --- */

bool gate_has_room(struct channels *c, const struct chan_conn *newcomer)
{
    const struct channels_limits *limits = &c->config.limits;
    const struct netgroup g48 = group_48(&newcomer->remote);
    size_t n = 0, near = 0;
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        const struct netgroup other = group_48(&conn->remote);
        if (conn == newcomer || (conn->state != CONN_GREETED && conn->state != CONN_UP))
            continue;
        n++;
        near += !conn->contact && !conn->pipe && netgroup_equal(&other, &g48);
    }
    if (newcomer->contact)
        return n < limits->sessions;
    return n < limits->sessions - limits->reserved_contacts &&
           (newcomer->pipe || near < limits->strangers_per_48);
}

/* --- accepting --- */

static struct channel_identity *find_at(struct channel_identity *const *ids, size_t n,
                                        const uint8_t *address)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i]->has_address && mem_equal_var(ids[i]->address, address, BCA_ADDRESS_SIZE))
            return ids[i];
    return NULL;
}

bool channels_identity_has(const struct channels *c, const uint8_t *address)
{
    return find_at(c->ids, c->n_ids, address) != NULL;
}

struct channel_identity *channels_identity_at(struct channels *c, const uint8_t *address)
{
    struct channel_identity *bare = NULL, *found = find_at(c->ids, c->n_ids, address);
    if (!found)
        found = find_at(c->former, c->n_former, address);
    if (found)
        return found;
    for (size_t i = 0; i < c->n_ids && !bare; i++)
        if (!c->ids[i]->has_address)
            bare = c->ids[i];
    if (c->config.regtest && c->n_ids)
        return c->ids[0];
    return bare;
}

static void local_address(int fd, struct netaddr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    *a = (struct netaddr){ .port = 0 };
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
        (void)netaddr_from_sockaddr(a, (struct sockaddr *)&ss);
}

/* In a flood at once: after an orderly end the kernel would keep something of it for a minute. */
static void refuse(const struct channels *c, int fd)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    if (c->gate.sieve.share != SIEVE_ALL)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void enter(struct channels *c, int fd, const struct netaddr *remote)
{
    struct netaddr local;
    bool known = false;
    local_address(fd, &local);
    struct channel_identity *id = channels_identity_at(c, local.ip);
    if (!id || !gate_enter(c, remote, &known)) {
        log_debug(LOGC_CHANNEL, "direct channel refused: %s", id ? "limit" : "no identity");
        refuse(c, fd);
        return;
    }
    sieve_take_off(fd); /* a flood may be over by now; it has it from when its SYN came */
    struct chan_conn *conn = conn_new(c, DCHAN_RESPONDER, id);
    conn->remote = *remote;
    conn->known_source = known;
    conn_take_fd(conn, fd);
    conn_read_on(conn);
    (void)conn_begin(conn, NULL, NULL);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct channels_listener *l = arg;
    struct channels *c = l->c;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof ss;
        struct netaddr a;
        const int s = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                LOG_LIMITED(LOG_WARN, "cannot accept direct channels: %s", strerror(errno));
                event_del(l->ev); /* the tick adds it again */
            }
            return;
        }
        if (!netaddr_from_sockaddr(&a, (struct sockaddr *)&ss)) {
            close(s);
            continue;
        }
        if (c->remote_seam)
            c->remote_seam(c->remote_seam_ctx, &a);
        enter(c, s, &a);
    }
}

/* --- binding --- */

static enum err bind_socket(int fd, const struct netaddr *a, struct error *e)
{
    const int one = 1;
    struct sockaddr_storage ss;
    char name[NETADDR_TEXT_MAX];
    const socklen_t len = netaddr_to_sockaddr(a, &ss);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    netaddr_print(name, a, NETADDR_WITH_PORT);
    if (bind(fd, (struct sockaddr *)&ss, len) != 0)
        return error_set_errno(e, errno, "cannot bind %s for direct channels", name);
    return OK;
}

static void start_listening(struct channels_listener *l)
{
    char name[NETADDR_TEXT_MAX];
    netaddr_print(name, &l->addr, NETADDR_WITH_PORT);
    if (listen(l->fd, SOMAXCONN) != 0) {
        log_error("cannot listen on %s for direct channels: %s", name, strerror(errno));
        return;
    }
    event_add(l->ev, NULL);
    log_info("listening for direct channels on %s", name);
}

/* The socket stays bound, so that the port is not lost to somebody else, and refuses. */
static void stop_listening(struct channels_listener *l)
{
    event_del(l->ev);
    (void)shutdown(l->fd, SHUT_RD);
}

void channels_listen_or_not(struct channels *c)
{
    const bool wanted = c->n_ids > 0;
    if (c->n_listeners == 0 || wanted == c->listening)
        return;
    c->listening = wanted;
    for (size_t i = 0; i < c->n_listeners; i++) {
        if (wanted)
            start_listening(&c->listeners[i]);
        else
            stop_listening(&c->listeners[i]);
    }
}

static enum err listen_on(struct channels *c, const struct netaddr *a, struct error *e)
{
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(e, errno, "cannot make a listening socket");
    const enum err rc = bind_socket(fd, a, e);
    if (rc) {
        close(fd);
        return rc;
    }
    struct channels_listener *l = &c->listeners[c->n_listeners++];
    *l = (struct channels_listener){ .c = c, .fd = fd };
    local_address(fd, &l->addr);
    l->ev = event_new(c->base, fd, EV_READ | EV_PERSIST, on_accept, l);
    return OK;
}

enum err channels_listen(struct channels *c, struct error *e)
{
    struct error why = { .code = ERR_IO };
    struct netaddr a;
    netaddr_from_ipv6(&a, (const uint8_t[BCA_ADDRESS_SIZE]){ 0 }, c->config.port);
    if (c->n_binds == 0)
        (void)!listen_on(c, &a, &why);
    for (size_t i = 0; i < c->n_binds; i++)
        if (listen_on(c, &c->binds[i], &why))
            log_warn("%s", why.text);
    if (c->n_listeners == 0)
        return error_set(e, ERR_IO,
                         "no address for direct channels (-channelbind, -channelport): %s",
                         why.text);
    atomic_store(&c->port, c->listeners[0].addr.port);
    channels_listen_or_not(c);
    return OK;
}

void channels_unlisten(struct channels *c)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        event_free(c->listeners[i].ev);
        close(c->listeners[i].fd);
    }
    c->n_listeners = 0;
    c->listening = false;
}

void channels_listen_again(struct channels *c)
{
    for (size_t i = 0; c->listening && i < c->n_listeners; i++)
        event_add(c->listeners[i].ev, NULL);
}

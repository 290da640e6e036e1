/*
 * Whom we connect to, at every tick: -connect, addnode, seed nodes, anchors, the address book,
 * feelers, and the first addresses of an empty book (spec p2p 7.1; attacks D1 D2 D6 D9).
 */
#include "p2p/net_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define CONNECT_PAUSE_MS 500 /* the first, and how much longer each other one is */
#define CONNECT_PAUSE_MAX_MS 5000
#define CONNECT_PAUSE_REGTEST_MS 100
#define CONNECT_PAUSE_MAX_REGTEST_MS 500
#define ADDNODE_PAUSE_MS 60000
#define ADDNODE_PAUSE_REGTEST_MS 1000
#define FEELER_MEAN_MS 120000.0
#define GOOD_PEERS_FOR_NO_SEEDS 2

/* --- names --- */

struct lookup {
    struct lookup *next;
    struct net *net;
    struct dial dial;
    char *dest; /* copy behind dial.dest, may be NULL */
};

static void lookup_free(struct lookup *l)
{
    struct lookup **at = &l->net->lookups;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    free(l->dest);
    free(l);
}

static void on_resolved(void *ctx, const char *host, const struct netaddr *addrs, size_t n,
                        const struct error *e)
{
    struct lookup *l = ctx;
    if (n == 0) {
        char name[256];
        log_sanitize(name, sizeof(name), host, strlen(host));
        log_debug(LOGC_NET, "%s: %s", name, e != NULL ? e->text : "no address");
    } else if (l->net->active) {
        (void)dial_addr(l->net, &addrs[rand_below(n)], &l->dial);
    }
    lookup_free(l);
}

static bool lookup_is_running(const struct net *net, const char *dest)
{
    for (const struct lookup *l = net->lookups; l != NULL; l = l->next)
        if (l->dest != NULL && strcmp(l->dest, dest) == 0)
            return true;
    return false;
}

static void resolve_and_dial(struct net *net, const char *host, uint16_t port, const struct dial *d)
{
    struct lookup *l = xcalloc(1, sizeof(*l));
    struct error e;
    l->net = net;
    l->dial = *d;
    l->dest = d->dest != NULL ? xstrdup(d->dest) : NULL;
    l->dial.dest = l->dest;
    l->next = net->lookups;
    net->lookups = l;
    if (resolver_lookup(net->resolver, host, port, on_resolved, l, &e) != OK) {
        log_debug(LOGC_NET, "%s", e.text);
        lookup_free(l);
    }
}

void outbound_dial_text(struct net *net, const char *text, const struct dial *d)
{
    struct netaddr a;
    char host[256];
    uint16_t port = net->c.default_port;
    if (netaddr_parse(&a, text, port, NULL) == OK) {
        (void)dial_addr(net, &a, d);
    } else if (netaddr_split_host_port(text, host, sizeof(host), &port, NULL) == OK) {
        if (net->has_proxy)
            (void)dial_name(net, host, port, d);
        else if (net->c.dns && net->resolver != NULL)
            resolve_and_dial(net, host, port, d);
    }
}

/* --- who is there already --- */

struct peer *net_peer_by_dest(struct net *net, const char *dest)
{
    struct netaddr a;
    bool is_addr = netaddr_parse(&a, dest, net->c.default_port, NULL) == OK;
    for (size_t i = 0; i < net->n_peers; i++) {
        struct peer *p = net->peers[i];
        if (p->state == PEER_CLOSING)
            continue;
        if (p->dest != NULL && strcmp(p->dest, dest) == 0)
            return p;
        if (is_addr && netaddr_equal(&p->addr, &a))
            return p;
    }
    return NULL;
}

static bool is_connected_ip(const struct net *net, const struct netaddr *a)
{
    for (size_t i = 0; i < net->n_peers; i++)
        if (netaddr_same_ip(&net->peers[i]->addr, a))
            return true;
    return false;
}

bool net_is_local_addr(const struct net *net, const struct netaddr *a)
{
    for (size_t i = 0; i < net->n_local; i++)
        if (netaddr_equal(&net->local[i].addr, a))
            return true;
    return false;
}

/* --- what the user named --- */

static int64_t first_pause(const struct net *net)
{
    return net->c.chain == SEEDS_REGTEST ? CONNECT_PAUSE_REGTEST_MS : CONNECT_PAUSE_MS;
}

static int64_t longest_pause(const struct net *net)
{
    return net->c.chain == SEEDS_REGTEST ? CONNECT_PAUSE_MAX_REGTEST_MS : CONNECT_PAUSE_MAX_MS;
}

static void connect_tick(struct net *net, int64_t now)
{
    for (size_t i = 0; i < net->n_connect; i++) {
        struct connect_target *t = &net->connect[i];
        const struct peer *p = net_peer_by_dest(net, t->name);
        if (p != NULL) {
            if (p->state == PEER_READY)
                t->pause_ms = first_pause(net);
            continue;
        }
        if (now < t->next_try_ms || lookup_is_running(net, t->name))
            continue;
        t->next_try_ms = now + t->pause_ms;
        if (t->pause_ms < longest_pause(net))
            t->pause_ms += first_pause(net);
        struct dial d = { .kind = PEER_OUTBOUND, .dest = t->name, .manual_connect = true };
        outbound_dial_text(net, t->name, &d);
    }
}

static void addnode_tick(struct net *net, int64_t now)
{
    int64_t pause = net->c.chain == SEEDS_REGTEST ? ADDNODE_PAUSE_REGTEST_MS : ADDNODE_PAUSE_MS;
    for (size_t i = 0; i < net->n_added; i++) {
        struct added_node *a = &net->added[i];
        if (now < a->next_try_ms || net_peer_by_dest(net, a->name) != NULL ||
            lookup_is_running(net, a->name))
            continue;
        if (net_count_kind(net, PEER_MANUAL) >= net->c.max_addnode)
            return;
        a->next_try_ms = now + pause;
        struct dial d = { .kind = PEER_MANUAL, .dest = a->name };
        outbound_dial_text(net, a->name, &d);
    }
}

/* --- what we choose --- */

struct choice {
    const struct net *net;
    bool feeler;
};

static bool group_is_taken(const struct net *net, const struct netaddr *a)
{
    struct netgroup g = netgroup_of(a, NETGROUP_DIVERSITY);
    for (size_t i = 0; i < net->n_peers; i++) {
        const struct peer *p = net->peers[i];
        if (p->kind == PEER_OUTBOUND && p->state != PEER_CLOSING && netgroup_equal(&p->group, &g))
            return true;
    }
    return false;
}

static bool accept_choice(void *ctx, const struct addrman_choice *c)
{
    struct choice *ch = ctx;
    const struct netaddr *a = &c->pa.addr;
    if (!netaddr_is_dialable(a) || net_is_local_addr(ch->net, a) || is_connected_ip(ch->net, a))
        return false;
    if (banlist_is_banned(ch->net->bans, a, clock_now()))
        return false;
    return ch->feeler || !group_is_taken(ch->net, a);
}

static bool dial_anchor(struct net *net, bool extra)
{
    while (net->n_anchors > 0) {
        struct netaddr a = net->anchors[--net->n_anchors];
        if (is_connected_ip(net, &a) || group_is_taken(net, &a))
            continue;
        struct dial d = { .kind = PEER_OUTBOUND, .from_book = true, .extra = extra,
                          .expected_services = SERVICE_NETWORK };
        (void)dial_addr(net, &a, &d);
        return true;
    }
    return false;
}

static void dial_from_book(struct net *net, enum peer_kind kind, bool extra)
{
    struct choice ch = { .net = net, .feeler = kind == PEER_FEELER };
    struct addrman_query q = { .table = ADDRMAN_ANY, .services = SERVICE_NETWORK,
                               .prefer_port = net->c.default_port,
                               .accept = accept_choice, .ctx = &ch };
    struct addrman_choice c;
    int64_t now = clock_now();
    if (kind == PEER_FEELER)
        q.table = ADDRMAN_NEW;
    bool found = kind == PEER_FEELER ? addrman_select_feeler(net->book, &q, now, &c)
                                     : addrman_select(net->book, &q, now, &c);
    if (!found)
        return;
    struct dial d = { .kind = kind, .from_book = true, .extra = extra,
                      .expected_services = SERVICE_NETWORK };
    (void)dial_addr(net, &c.pa.addr, &d);
}

static void automatic_tick(struct net *net, int64_t now)
{
    if (net->c.max_outbound == 0)
        return; /* no feeler either: it would be a connection that nobody asked for */
    size_t n = net_count_kind(net, PEER_OUTBOUND);
    if (n < net->c.max_outbound + net->extra_outbound) {
        bool extra = n >= net->c.max_outbound;
        if (!dial_anchor(net, extra))
            dial_from_book(net, PEER_OUTBOUND, extra);
        return;
    }
    if (now < net->next_feeler_ms)
        return;
    net->next_feeler_ms = now + (int64_t)rand_exp(FEELER_MEAN_MS);
    if (net_count_kind(net, PEER_FEELER) == 0)
        dial_from_book(net, PEER_FEELER, false);
}

/* --- first addresses --- */

static size_t book_size(const struct net *net)
{
    struct addrman_stats s;
    addrman_get_stats(net->book, &s);
    return addrman_total(&s);
}

static void on_seeds(void *ctx, const char *host, const struct peer_addr *addrs, size_t n,
                     const struct netaddr *source)
{
    struct net *net = ctx;
    size_t added = 0;
    for (size_t i = 0; i < n; i++)
        added += addrman_add(net->book, &addrs[i], source, 0, clock_now());
    log_debug(LOGC_NET, "seed %s: %zu addresses, %zu new", host, n, added);
}

static void on_seeds_done(void *ctx, size_t answered, size_t addresses)
{
    struct net *net = ctx;
    log_info("DNS seeds: %zu answered with %zu addresses", answered, addresses);
    dns_seeder_free(net->seeder);
    net->seeder = NULL;
}

static void seed_by_dns(struct net *net)
{
    size_t n;
    const char *const *hosts = dns_seed_hosts(net->c.chain, &n);
    net->seeded_dns = true;
    if (n == 0)
        return;
    if (net->has_proxy) { /* names go to the proxy; each seed is asked like a node */
        for (size_t i = 0; i < n; i++) {
            struct dial d = { .kind = PEER_ONESHOT };
            (void)dial_name(net, hosts[i], net->c.default_port, &d);
        }
        return;
    }
    if (net->resolver == NULL)
        return;
    struct dns_seed_options o = { .hosts = hosts, .n_hosts = n, .port = net->c.default_port,
                                  .services = SERVICE_NETWORK, .networks = net->networks,
                                  .now = clock_now() };
    struct dns_seed_events ev = { on_seeds, on_seeds_done, net };
    net->seeder = dns_seeder_start(net->resolver, &o, &ev);
}

static void seed_tick(struct net *net, int64_t now)
{
    const struct net_config *c = &net->c;
    int64_t age = now - net->started_ms;
    if (c->dnsseed && c->dns && !net->seeded_dns) {
        if (c->forcednsseed || book_size(net) == 0)
            seed_by_dns(net);
        else if (age > DNS_SEED_WAIT_S * 1000) {
            if (net_ready_count(net) < GOOD_PEERS_FOR_NO_SEEDS)
                seed_by_dns(net);
            net->seeded_dns = true;
        }
    }
    if (!c->fixedseeds || net->seeded_fixed || age < FIXED_SEEDS_WAIT_S * 1000)
        return;
    net->seeded_fixed = true;
    if (book_size(net) > 0)
        return;
    struct netaddr source;
    dns_seed_source("fixed", &source);
    size_t n = fixed_seeds_count(c->chain);
    for (size_t i = 0; i < n; i++) {
        struct peer_addr pa;
        fixed_seed_get(c->chain, i, clock_now(), &pa);
        (void)addrman_add(net->book, &pa, &source, 0, clock_now());
    }
    if (n > 0)
        log_info("address book empty: using the %zu built-in addresses", n);
}

/* --- the loop --- */

void outbound_start(struct net *net)
{
    const struct net_config *c = &net->c;
    net->next_feeler_ms = net->started_ms + (int64_t)rand_exp(FEELER_MEAN_MS);
    net->connect = xcalloc(c->connect.n + 1, sizeof(*net->connect));
    for (size_t i = 0; i < c->connect.n; i++)
        net->connect[net->n_connect++] = (struct connect_target){
            .name = xstrdup(c->connect.v[i]), .pause_ms = first_pause(net)
        };
    for (size_t i = 0; i < c->seednode.n; i++) {
        struct dial d = { .kind = PEER_ONESHOT };
        outbound_dial_text(net, c->seednode.v[i], &d);
    }
}

void outbound_tick(struct net *net, int64_t now)
{
    if (!net->active)
        return;
    addnode_tick(net, now);
    connect_tick(net, now);
    if (net->n_connect > 0 || net->c.connect_none)
        return;
    seed_tick(net, now);
    automatic_tick(net, now);
}

void outbound_stop(struct net *net)
{
    dns_seeder_free(net->seeder);
    net->seeder = NULL;
    resolver_free(net->resolver);
    net->resolver = NULL;
    while (net->lookups != NULL)
        lookup_free(net->lookups);
    for (size_t i = 0; i < net->n_connect; i++)
        free(net->connect[i].name);
    free(net->connect);
    net->connect = NULL;
    net->n_connect = 0;
}

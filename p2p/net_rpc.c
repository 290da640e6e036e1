/* What the network RPCs ask for: each call runs on the loop and hands back copies. */
#include "p2p/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "p2p/net_internal.h"

#define UPLOAD_CYCLE_S 86400

/* A call's arguments and results; each user fills what it needs. */
struct ask {
    const char *text;
    uint64_t id;
    int64_t until;   /* seconds since 1970; or milliseconds of propagation */
    bool flag;
    void *list;
    size_t n;
    struct net_status *status;
    struct error *e;
    enum err rc;
};

static enum err run(struct net *net, void (*fn)(struct net *, void *), struct ask *a)
{
    a->rc = OK;
    if (!net_call(net, fn, a))
        return error_set(a->e, ERR_CANCELLED, "the network has stopped");
    return a->rc;
}

/* --- lists --- */

static void do_list_peers(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    struct peer_info *v = xcalloc(net->n_peers + 1, sizeof(*v));
    for (size_t i = 0; i < net->n_peers; i++) {
        struct peer *p = net->peers[i];
        if (p->tcp_up && p->socks == NULL && p->state != PEER_CLOSING)
            peer_fill_info(p, &v[a->n++]);
    }
    a->list = v;
}

static int by_id(const void *x, const void *y)
{
    const struct peer_info *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

enum err net_list_peers(struct net *net, struct peer_info **out, size_t *n)
{
    struct ask a = { .n = 0 };
    enum err rc = run(net, do_list_peers, &a);
    *out = a.list;
    *n = a.n;
    if (a.n > 1)
        qsort(a.list, a.n, sizeof(struct peer_info), by_id);
    return rc;
}

static void do_list_added(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    struct net_added *v = xcalloc(net->n_added + 1, sizeof(*v));
    for (size_t i = 0; i < net->n_added; i++) {
        const struct peer *p = net_peer_by_dest(net, net->added[i].name);
        snprintf(v[i].node, sizeof(v[i].node), "%s", net->added[i].name);
        if (p == NULL || p->state != PEER_READY)
            continue;
        v[i].connected = true;
        v[i].inbound = peer_is_inbound(p);
        snprintf(v[i].addr, sizeof(v[i].addr), "%s", p->name);
    }
    a->list = v;
    a->n = net->n_added;
}

enum err net_list_added(struct net *net, struct net_added **out, size_t *n)
{
    struct ask a = { .n = 0 };
    enum err rc = run(net, do_list_added, &a);
    *out = a.list;
    *n = a.n;
    return rc;
}

static void do_list_bans(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    struct ban_entry *bans;
    a->n = banlist_list(net->bans, clock_now(), &bans);
    struct net_ban *v = xcalloc(a->n + 1, sizeof(*v));
    for (size_t i = 0; i < a->n; i++) {
        subnet_print(v[i].subnet, &bans[i].net);
        v[i].until = bans[i].until;
        v[i].created = bans[i].created;
        snprintf(v[i].reason, sizeof(v[i].reason), "%s", ban_reason_text(bans[i].reason));
    }
    free(bans);
    a->list = v;
}

enum err net_list_bans(struct net *net, struct net_ban **out, size_t *n)
{
    struct ask a = { .n = 0 };
    enum err rc = run(net, do_list_bans, &a);
    *out = a.list;
    *n = a.n;
    return rc;
}

/* --- status --- */

static void fill_totals(const struct net *net, struct net_totals *t)
{
    t->received = net->bytes_received;
    t->sent = net->bytes_sent;
    t->upload_target = net->c.max_upload_target;
    t->upload_cycle_s = UPLOAD_CYCLE_S;
    if (t->upload_target == 0)
        return;
    int64_t left = net->upload.cycle_start_s + UPLOAD_CYCLE_S - clock_now();
    t->upload_cycle_left_s = left > 0 ? left : 0;
    t->upload_reached = net_upload_target_reached(net);
    t->upload_left = t->upload_reached ? 0 : t->upload_target - net->upload.sent;
}

static void fill_counts(const struct net *net, struct net_counts *c)
{
    struct addrman_stats s;
    addrman_get_stats(net->book, &s);
    *c = (struct net_counts){ .addresses = addrman_total(&s) };
    for (size_t i = 0; i < net->n_peers; i++) {
        const struct peer *p = net->peers[i];
        if (!p->tcp_up || p->state == PEER_CLOSING)
            continue;
        c->total++;
        c->inbound += peer_is_inbound(p);
        c->outbound += !peer_is_inbound(p);
    }
}

static void fill_families(const struct net *net, struct net_status *s)
{
    static const struct { const char *name; enum network network; } families[2] = {
        { "ipv4", NETWORK_IPV4 }, { "ipv6", NETWORK_IPV6 },
    };
    for (size_t i = 0; i < 2; i++) {
        struct net_family_info *f = &s->families[i];
        f->name = families[i].name;
        f->limited = !(net->networks & families[i].network);
        f->reachable = !f->limited;
        if (net->has_proxy)
            netaddr_print(f->proxy, &net->proxy, NETADDR_WITH_PORT);
    }
}

static void do_status(struct net *net, void *ctx)
{
    struct net_status *s = ((struct ask *)ctx)->status;
    memset(s, 0, sizeof(*s));
    s->active = net->active;
    s->listening = net->n_listeners > 0;
    s->time_offset = net_time_offset(net);
    s->services = net->c.services;
    s->relay_tx = net->c.relay_tx;
    s->memory = net->receive_memory + net->send_memory + net->n_peers * sizeof(struct peer) +
                addrman_memory(net->book);
    fill_counts(net, &s->counts);
    fill_totals(net, &s->totals);
    fill_families(net, s);
    for (size_t i = 0; i < net->n_local && i < LOCAL_ADDR_MAX; i++) {
        netaddr_print(s->local[i].addr, &net->local[i].addr, NETADDR_IP_ONLY);
        s->local[i].port = net->local[i].addr.port;
        s->local[i].score = net->local[i].score;
    }
    s->n_local = net->n_local;
    if (net->h.fill_status != NULL)
        net->h.fill_status(net->h.ctx, s);
}

enum err net_get_status(struct net *net, struct net_status *out)
{
    struct ask a = { .status = out };
    return run(net, do_status, &a);
}

/* --- added nodes --- */

static struct added_node *find_added(struct net *net, const char *name)
{
    for (size_t i = 0; i < net->n_added; i++)
        if (strcmp(net->added[i].name, name) == 0)
            return &net->added[i];
    return NULL;
}

static void do_add(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    if (find_added(net, a->text) != NULL) {
        a->rc = error_set(a->e, ERR_EXISTS, "Node already added");
        return;
    }
    net->added = xrealloc(net->added, (net->n_added + 1) * sizeof(*net->added));
    net->added[net->n_added++] = (struct added_node){ .name = xstrdup(a->text) };
}

enum err net_addnode_add(struct net *net, const char *node, struct error *e)
{
    struct ask a = { .text = node, .e = e };
    return run(net, do_add, &a);
}

static void do_remove(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    struct added_node *n = find_added(net, a->text);
    if (n == NULL) {
        a->rc = error_set(a->e, ERR_NOTFOUND, "Node has not been added.");
        return;
    }
    free(n->name);
    *n = net->added[--net->n_added];
}

enum err net_addnode_remove(struct net *net, const char *node, struct error *e)
{
    struct ask a = { .text = node, .e = e };
    return run(net, do_remove, &a);
}

static void do_onetry(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    struct dial d = { .kind = PEER_MANUAL, .dest = a->text };
    if (net->active && net_peer_by_dest(net, a->text) == NULL)
        outbound_dial_text(net, a->text, &d);
}

enum err net_addnode_onetry(struct net *net, const char *node, struct error *e)
{
    struct ask a = { .text = node, .e = e };
    return run(net, do_onetry, &a);
}

/* --- disconnecting and banning --- */

static void disconnect_found(struct ask *a, struct peer *p)
{
    if (p == NULL)
        a->rc = error_set(a->e, ERR_NOTFOUND, "Node not found in connected nodes");
    else
        peer_disconnect(p, "asked for by the operator");
}

static void do_disconnect_addr(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    disconnect_found(a, net_peer_by_dest(net, a->text));
}

enum err net_disconnect_addr(struct net *net, const char *addr, struct error *e)
{
    struct ask a = { .text = addr, .e = e };
    return run(net, do_disconnect_addr, &a);
}

static void do_disconnect_id(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    disconnect_found(a, net_peer_by_id(net, a->id));
}

enum err net_disconnect_id(struct net *net, uint64_t id, struct error *e)
{
    struct ask a = { .id = id, .e = e };
    return run(net, do_disconnect_id, &a);
}

static void do_ban(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    struct subnet s;
    a->rc = subnet_parse(&s, a->text, a->e);
    if (a->rc == OK)
        a->rc = banlist_add(net->bans, &s, a->until, clock_now(), a->e);
    if (a->rc != OK)
        return;
    for (size_t i = 0; i < net->n_peers; i++)
        if (subnet_contains(&s, &net->peers[i]->addr))
            peer_disconnect(net->peers[i], "banned by the operator");
    net_store_bans(net); /* spec p2p 6: at once */
}

enum err net_ban_add(struct net *net, const char *subnet, int64_t until, struct error *e)
{
    struct ask a = { .text = subnet, .until = until, .e = e };
    return run(net, do_ban, &a);
}

static void do_unban(struct net *net, void *ctx)
{
    struct ask *a = ctx;
    struct subnet s;
    a->rc = subnet_parse(&s, a->text, a->e);
    if (a->rc != OK)
        return;
    if (!banlist_remove(net->bans, &s))
        a->rc = error_set(a->e, ERR_NOTFOUND, "%s is not banned", a->text);
    net_store_bans(net);
}

enum err net_ban_remove(struct net *net, const char *subnet, struct error *e)
{
    struct ask a = { .text = subnet, .e = e };
    return run(net, do_unban, &a);
}

static void do_clear(struct net *net, void *ctx)
{
    (void)ctx;
    banlist_clear(net->bans);
    net_store_bans(net);
}

enum err net_ban_clear(struct net *net)
{
    struct ask a = { .n = 0 };
    return run(net, do_clear, &a);
}

/* --- switches --- */

static void do_set_active(struct net *net, void *ctx)
{
    net->active = ((struct ask *)ctx)->flag;
    for (size_t i = 0; !net->active && i < net->n_peers; i++)
        peer_disconnect(net->peers[i], "network switched off");
}

enum err net_set_active(struct net *net, bool active)
{
    struct ask a = { .flag = active };
    return run(net, do_set_active, &a);
}

static void do_set_block_limit(struct net *net, void *ctx)
{
    net->limits.block = ((struct ask *)ctx)->id;
}

enum err net_set_block_limit(struct net *net, uint64_t bytes)
{
    struct ask a = { .id = bytes };
    return run(net, do_set_block_limit, &a);
}

static void do_ping(struct net *net, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < net->n_peers; i++) {
        struct peer *p = net->peers[i];
        p->ping_queued = true;
        if (p->state == PEER_READY && p->ping_nonce == 0)
            peer_send_ping(p);
    }
}

enum err net_ping_all(struct net *net)
{
    struct ask a = { .n = 0 };
    return run(net, do_ping, &a);
}

static void do_set_propagation(struct net *net, void *ctx)
{
    const struct ask *a = ctx;
    if (net->h.set_propagation != NULL)
        net->h.set_propagation(net->h.ctx, a->until);
}

enum err net_set_propagation(struct net *net, int64_t ms)
{
    struct ask a = { .until = ms };
    return run(net, do_set_propagation, &a);
}

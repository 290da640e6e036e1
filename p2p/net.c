/* Composition of the network: configuration, timers, the work list, calls from other threads. */
#include "p2p/net.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rand.h"
#include "p2p/net_internal.h"
#include "base/state_file.h"

#define TICK_MS 500
#define TICK_REGTEST_MS 100
#define READERS 2
#define STORE_INTERVAL_MS 900000 /* spec p2p 7.3 */
#define COLLISION_INTERVAL_MS 60000
#define UPLOAD_CYCLE_S 86400

/* --- peers --- */

void net_add_peer(struct net *net, struct peer *p)
{
    if (net->n_peers == net->cap_peers) {
        net->cap_peers = net->cap_peers == 0 ? 32 : net->cap_peers * 2;
        net->peers = xrealloc(net->peers, net->cap_peers * sizeof(struct peer *));
    }
    net->peers[net->n_peers++] = p;
}

static void remove_peer(struct net *net, struct peer *p)
{
    for (size_t i = 0; i < net->n_peers; i++) {
        if (net->peers[i] != p)
            continue;
        net->peers[i] = net->peers[--net->n_peers];
        break;
    }
    peer_free(p);
}

void net_kick(struct peer *p)
{
    if (p->in_work)
        return;
    p->in_work = true;
    p->next_work = p->net->work;
    p->net->work = p;
    event_active(p->net->work_ev, 0, 0);
}

static void note_loop_thread(struct net *net)
{
    if (atomic_load(&net->loop_known))
        return;
    net->loop_thread = pthread_self();
    atomic_store(&net->loop_known, true);
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct net *net = arg;
    note_loop_thread(net);
    struct peer *list = net->work;
    net->work = NULL;
    while (list != NULL) {
        struct peer *p = list;
        list = p->next_work;
        p->in_work = false;
        if (p->state != PEER_CLOSING && p->tcp_up) {
            peer_continue(p);
            peer_flush(p);
        }
        if (p->state == PEER_CLOSING && !p->in_work)
            remove_peer(net, p);
    }
}

struct peer *net_peer_by_id(struct net *net, uint64_t id)
{
    for (size_t i = 0; i < net->n_peers; i++)
        if (net->peers[i]->id == id)
            return net->peers[i]->state == PEER_CLOSING ? NULL : net->peers[i];
    return NULL;
}

void net_each_peer(struct net *net, void (*fn)(struct peer *p, void *ctx), void *ctx)
{
    for (size_t i = 0; i < net->n_peers; i++)
        if (net->peers[i]->announced && net->peers[i]->state == PEER_READY)
            fn(net->peers[i], ctx);
}

size_t net_ready_count(const struct net *net)
{
    size_t n = 0;
    for (size_t i = 0; i < net->n_peers; i++)
        n += net->peers[i]->announced && net->peers[i]->state == PEER_READY;
    return n;
}

/* -connect has no limit of its own, so its peers take no automatic slot */
size_t net_count_kind(const struct net *net, enum peer_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < net->n_peers; i++) {
        const struct peer *p = net->peers[i];
        n += p->kind == kind && p->state != PEER_CLOSING;
    }
    return n;
}

static bool is_in(const struct subnet *subnets, size_t n, const struct netaddr *a)
{
    for (size_t i = 0; i < n; i++)
        if (subnet_contains(&subnets[i], a))
            return true;
    return false;
}

bool net_is_whitelisted(const struct net *net, const struct netaddr *a)
{
    return is_in(net->whitelist, net->n_whitelist, a);
}

bool net_is_mempool_sync(const struct net *net, const struct netaddr *a)
{
    return is_in(net->mempool_sync, net->n_mempool_sync, a);
}

void net_disconnect_banned(struct net *net)
{
    for (size_t i = 0; i < net->n_peers; i++) {
        struct peer *p = net->peers[i];
        if (!p->whitelisted && p->kind != PEER_MANUAL &&
            banlist_is_banned(net->bans, &p->addr, clock_now()))
            peer_disconnect(p, "banned");
    }
}

void net_request_extra_outbound(struct net *net)
{
    net->extra_outbound = 1;
}

void net_release_extra_outbound(struct net *net)
{
    net->extra_outbound = 0;
    for (size_t i = 0; i < net->n_peers; i++)
        if (net->peers[i]->extra)
            peer_disconnect(net->peers[i], "extra connection no longer needed");
}

uint16_t net_listen_port(const struct net *net)
{
    return net->n_listeners > 0 ? net->listeners[0].addr.port : 0;
}

void net_count_sent(struct net *net, size_t n)
{
    int64_t now = clock_now();
    net->bytes_sent += n;
    if (now - net->upload.cycle_start_s >= UPLOAD_CYCLE_S || now < net->upload.cycle_start_s)
        net->upload = (struct upload){ .cycle_start_s = now };
    net->upload.sent += n;
}

uint64_t net_services(const struct net *net)
{
    return net->c.services;
}

bool net_upload_target_reached(const struct net *net)
{
    return net->c.max_upload_target > 0 && net->upload.sent >= net->c.max_upload_target;
}

/* --- files --- */

static char *data_path(const struct net *net, const char *name)
{
    return net->c.datadir != NULL ? path_join(net->c.datadir, name) : NULL;
}

static enum err load_files(struct net *net, struct error *e)
{
    if (net->c.datadir == NULL)
        return OK;
    int64_t now = clock_now();
    char *peers = data_path(net, "peers.dat"), *bans = data_path(net, "banlist.dat");
    char *anchors = data_path(net, "anchors.dat");
    enum err rc = addrman_load(net->book, peers, net->c.disk_magic, now, e);
    if (rc == OK)
        rc = banlist_load(net->bans, bans, net->c.disk_magic, now, e);
    if (rc == OK)
        net->n_anchors = anchors_take(anchors, net->c.disk_magic, net->anchors);
    free(peers);
    free(bans);
    free(anchors);
    return rc;
}

static void report(enum err rc, const struct error *e)
{
    if (rc != OK)
        log_error("%s", e->text);
}

/* Writing waits for the disk, so a thread of its own does it; one after the other, in order. */
struct store_job {
    struct job job;
    char *path;
    struct buf content;
};

static void run_store(struct job *job)
{
    struct store_job *s = (struct store_job *)job;
    struct error e;
    report(state_file_commit(s->path, &s->content, &e), &e);
    buf_clear(&s->content);
    free(s->path);
    free(s);
}

static struct store_job *store_job_new(const struct net *net, const char *name)
{
    struct store_job *s = xcalloc(1, sizeof(*s));
    s->job.run = run_store;
    s->path = data_path(net, name);
    buf_init(&s->content);
    return s;
}

void net_store_bans(struct net *net)
{
    banlist_sweep(net->bans, clock_now());
    if (net->c.datadir == NULL || !banlist_take_dirty(net->bans))
        return;
    struct store_job *s = store_job_new(net, "banlist.dat");
    banlist_encode(net->bans, net->c.disk_magic, &s->content);
    pool_submit(net->files, JOB_LOW, &s->job);
}

static void store_files(struct net *net)
{
    net_store_bans(net);
    if (net->c.datadir == NULL)
        return;
    struct store_job *s = store_job_new(net, "peers.dat");
    addrman_encode(net->book, net->c.disk_magic, &s->content);
    pool_submit(net->files, JOB_LOW, &s->job);
}

static void store_anchors(struct net *net)
{
    struct netaddr a[ANCHORS_MAX];
    struct error e;
    size_t n = 0;
    for (size_t i = 0; i < net->n_peers && n < ANCHORS_MAX; i++)
        if (net->peers[i]->kind == PEER_OUTBOUND && net->peers[i]->state == PEER_READY)
            a[n++] = net->peers[i]->addr;
    char *path = data_path(net, "anchors.dat");
    if (path != NULL && net->active)
        report(anchors_store(path, net->c.disk_magic, a, n, &e), &e);
    free(path);
}

/* --- timers --- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct net *net = arg;
    int64_t now = clock_mono_ms();
    note_loop_thread(net);
    for (size_t i = 0; i < net->n_peers; i++)
        peer_tick(net->peers[i], now);
    for (size_t i = 0; i < net->n_listeners; i++)
        event_add(net->listeners[i].ev, NULL); /* after it was taken off for lack of descriptors */
    outbound_tick(net, now);
    if (now >= net->next_collision_ms) {
        net->next_collision_ms = now + COLLISION_INTERVAL_MS;
        addrman_resolve_collisions(net->book, clock_now());
    }
    if (now >= net->next_store_ms) {
        net->next_store_ms = now + STORE_INTERVAL_MS;
        store_files(net);
    }
}

/* --- calls from other threads --- */

struct net_call_item {
    struct queue_node node;
    void (*fn)(struct net *net, void *ctx);
    void *ctx;
    bool waits;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    enum { CALL_PENDING, CALL_DONE, CALL_DROPPED } state;
};

static void finish_call(struct net_call_item *c, bool ran)
{
    if (!c->waits) {
        free(c);
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->state = ran ? CALL_DONE : CALL_DROPPED;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->lock);
}

static void run_calls(struct net *net, bool run)
{
    struct queue_node *node;
    while ((node = queue_pop(net->calls)) != NULL) {
        struct net_call_item *c = (struct net_call_item *)node;
        if (run || !c->waits) /* a posted call frees its ctx, so it always runs */
            c->fn(net, c->ctx);
        finish_call(c, run);
    }
}

static void on_call(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    note_loop_thread(arg);
    run_calls(arg, true);
}

static void wake_calls(void *ctx)
{
    struct net *net = ctx;
    event_active(net->call_ev, 0, 0);
}

static bool on_loop_thread(struct net *net)
{
    return atomic_load(&net->loop_known) && pthread_equal(net->loop_thread, pthread_self());
}

bool net_call(struct net *net, void (*fn)(struct net *net, void *ctx), void *ctx)
{
    if (on_loop_thread(net)) {
        if (net->stopped)
            return false;
        fn(net, ctx);
        return true;
    }
    struct net_call_item c = { .fn = fn, .ctx = ctx, .waits = true, .state = CALL_PENDING };
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.cond, NULL);
    bool ran = false;
    if (queue_push_wait(net->calls, &c.node)) {
        pthread_mutex_lock(&c.lock);
        while (c.state == CALL_PENDING)
            pthread_cond_wait(&c.cond, &c.lock);
        ran = c.state == CALL_DONE;
        pthread_mutex_unlock(&c.lock);
    }
    pthread_cond_destroy(&c.cond);
    pthread_mutex_destroy(&c.lock);
    return ran;
}

bool net_post(struct net *net, void (*fn)(struct net *net, void *ctx), void *ctx)
{
    struct net_call_item *c = xcalloc(1, sizeof(*c));
    c->fn = fn;
    c->ctx = ctx;
    if (queue_push_always(net->calls, &c->node))
        return true;
    free(c);
    return false;
}

/* --- creation --- */

static void add_nodes(struct net *net)
{
    net->added = xcalloc(net->c.addnode.n + 1, sizeof(*net->added));
    for (size_t i = 0; i < net->c.addnode.n; i++)
        net->added[net->n_added++].name = xstrdup(net->c.addnode.v[i]);
}

static void make_events(struct net *net)
{
    net->tick_ev = event_new(net->base, -1, EV_PERSIST, on_tick, net);
    net->work_ev = event_new(net->base, -1, 0, on_work, net);
    net->call_ev = event_new(net->base, -1, 0, on_call, net);
    net->calls = queue_new(0, 0, wake_calls, net);
    net->files = pool_new(1, "netfiles");
    net->readers = pool_new(READERS, "netread");
}

enum err net_new(struct net **out, const struct net_config *c, const struct net_handlers *h,
                 struct event_base *base, struct error *e)
{
    struct net *net = xcalloc(1, sizeof(*net));
    net->base = base;
    net->h = *h;
    net->active = true;
    atomic_init(&net->loop_known, false);
    net_config_copy(&net->c, c);
    net->networks = c->only_ipv4 == c->only_ipv6 ? NETWORK_ALL
                    : c->only_ipv4 ? (unsigned)NETWORK_IPV4 : (unsigned)NETWORK_IPV6;
    net->limits = (struct msg_limits){ .block = c->excessive_block_size,
                                       .protocol = net->c.max_protocol_payload };
    net->read_buf = xmalloc(READ_CHUNK);
    net->header_buf = xcalloc(MSG_HEADERS_MAX, sizeof(*net->header_buf));
    net->addr_buf = xcalloc(MSG_ADDR_MAX, sizeof(*net->addr_buf));
    rand_bytes(&net->hash_key, sizeof(net->hash_key));
    net->book = addrman_new(NULL);
    net->bans = banlist_new(0);
    addrman_set_networks(net->book, net->networks);
    make_events(net);
    add_nodes(net);
    enum err rc = net_config_parse(net, e);
    if (rc == OK)
        rc = load_files(net, e);
    if (rc != OK) {
        net->stopped = true;
        net_free(net);
        return rc;
    }
    *out = net;
    return OK;
}

/* --- start and stop --- */

enum err net_start(struct net *net, struct error *e)
{
    (void)signal(SIGPIPE, SIG_IGN); /* writev and sendfile have no flag for it */
    int64_t now = clock_mono_ms();
    net->started_ms = now;
    net->next_store_ms = now + STORE_INTERVAL_MS;
    net->next_collision_ms = now + COLLISION_INTERVAL_MS;
    net->upload.cycle_start_s = clock_now();
    net->resolver = resolver_new(net->base, e);
    if (net->resolver == NULL)
        return ERR_IO;
    if (net->c.listen) {
        enum err rc = listen_start(net, e);
        if (rc != OK)
            return rc;
        if (net->c.discover && net->c.externalip.n == 0)
            local_discover(net);
    }
    outbound_start(net);
    const bool regtest = net->c.chain == SEEDS_REGTEST;
    struct timeval tv = { .tv_usec = 1000 * (regtest ? TICK_REGTEST_MS : TICK_MS) };
    event_add(net->tick_ev, &tv);
    event_active(net->tick_ev, 0, 0);
    return OK;
}

void net_stop(struct net *net)
{
    if (net->stopped)
        return;
    net->stopped = true;
    event_del(net->tick_ev);
    listen_stop(net);
    outbound_stop(net);
    store_anchors(net);
    for (size_t i = 0; i < net->n_peers; i++)
        peer_disconnect(net->peers[i], "shutting down");
    while (net->n_peers > 0)
        remove_peer(net, net->peers[0]);
    net->work = NULL;
    event_del(net->work_ev);
    queue_close(net->calls);
    run_calls(net, false);
    event_del(net->call_ev);
    store_files(net);
    pool_free(net->files); /* waits for what is being written */
    pool_free(net->readers);
    net->files = net->readers = NULL;
}

void net_free(struct net *net)
{
    if (net == NULL)
        return;
    net_stop(net);
    pool_free(net->files);
    pool_free(net->readers);
    event_free(net->tick_ev);
    event_free(net->work_ev);
    event_free(net->call_ev);
    queue_free(net->calls);
    addrman_free(net->book);
    banlist_free(net->bans);
    free(net->peers);
    free(net->read_buf);
    free(net->header_buf);
    free(net->addr_buf);
    free(net->whitelist);
    free(net->mempool_sync);
    for (size_t i = 0; i < net->n_added; i++)
        free(net->added[i].name);
    free(net->added);
    net_config_clear(&net->c);
    free(net);
}

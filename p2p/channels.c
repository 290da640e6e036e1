/* Composition of direct channels: configuration, the thread, timers, start and stop. */
#include "p2p/channels.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/thread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process_copy.h"
#include "base/rand.h"
#include "p2p/channels_internal.h"
#include "p2p/machine_copy.h"

#define READ_BUFFER (64u << 10)

/* --- identities --- */

struct channel_identity *channel_identity_ref(struct channel_identity *id)
{
    __atomic_add_fetch(&id->refs, 1, __ATOMIC_RELAXED);
    return id;
}

void channel_identity_unref(struct channel_identity *id)
{
    if (id && __atomic_sub_fetch(&id->refs, 1, __ATOMIC_ACQ_REL) == 0)
        id->release(id);
}

bool channels_is_own_key(const struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE])
{
    return channels_identity_of(c, key) != NULL;
}

struct channel_identity *channels_identity_of(const struct channels *c, const uint8_t *key)
{
    for (size_t i = 0; i < c->n_ids; i++)
        if (mem_equal_var(c->ids[i]->key.pub, key, IDENTITY_KEY_SIZE))
            return c->ids[i];
    return NULL;
}

struct channel_identity *channels_identity_named(const struct channels *c, const char *name)
{
    for (size_t i = 0; i < c->n_ids; i++)
        if (strcmp(c->ids[i]->name, name) == 0)
            return c->ids[i];
    return NULL;
}

struct new_identities {
    struct channel_identity **ids;
    size_t n;
};

static void drop_identities(struct channel_identity **ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        channel_identity_unref(ids[i]);
    free(ids);
}

static void drop_former(struct channels *c, size_t i)
{
    channel_identity_unref(c->former[i]);
    memmove(c->former + i, c->former + i + 1,
            (--c->n_former - i) * sizeof(struct channel_identity *));
}

/* Two sides that move at once dial each other where they were: there they are still answered. */
static void keep_former(struct channels *c, struct channel_identity **old, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!old[i]->has_address || channels_identity_has(c, old[i]->address))
            continue;
        if (c->n_former == CHANNELS_FORMER_MAX)
            drop_former(c, CHANNELS_FORMER_MAX - 1);
        memmove(c->former + 1, c->former, c->n_former++ * sizeof(struct channel_identity *));
        c->former[0] = channel_identity_ref(old[i]);
    }
    for (size_t i = c->n_former; i-- > 0;)
        if (!channels_identity_of(c, c->former[i]->key.pub))
            drop_former(c, i);
}

static void meet_contact(struct contact *contact, void *ctx)
{
    struct channels *c = ctx;
    if (c->config.dial_contacts || contact->policy.keep)
        (void)channels_peer_of(c, contact);
}

static void take_identities(struct channels *c, void *ctx)
{
    struct new_identities *next = ctx;
    if (c) {
        struct channel_identity **old = c->ids;
        const size_t n = c->n_ids;
        c->ids = next->ids;
        c->n_ids = next->n;
        keep_former(c, old, n);
        peers_take_identities(c);
        contacts_each(c->contacts, meet_contact, c);
        channels_listen_or_not(c);
        drop_identities(old, n);
    } else {
        drop_identities(next->ids, next->n);
    }
    free(next);
}

void channels_set_identities(struct channels *c, struct channel_identity **ids, size_t n)
{
    struct new_identities *next = xcalloc(1, sizeof *next);
    next->ids = xcalloc(n + 1, sizeof(struct channel_identity *));
    next->n = n;
    for (size_t i = 0; i < n; i++)
        next->ids[i] = ids[i];
    if (atomic_load(&c->stage) == CHANNELS_NEW && calls_on_thread(c))
        take_identities(c, next);
    else
        channels_post(c, take_identities, next);
}

/* --- time --- */

uint64_t channels_now(struct channels *c)
{
    const uint64_t frozen = atomic_load(&c->frozen_ms);
    return (frozen ? frozen : (uint64_t)clock_mono_ms()) + atomic_load(&c->skew_ms);
}

uint64_t channels_unix_ms(void)
{
    return (uint64_t)clock_now_ms();
}

void channels_recheck(struct channels *c)
{
    atomic_store(&c->recheck, true);
}

static void recheck_all(struct channels *c, uint64_t now)
{
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        if (conn->session)
            dchan_session_recheck(conn->session, now);
    }
}

void channels_tick(struct channels *c)
{
    const uint64_t now = channels_now(c);
    channels_listen_again(c);
    gate_tick(c);
    if (atomic_exchange(&c->recheck, false))
        recheck_all(c, now);
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l))
        conn_tick(LIST_ITEM(l, struct chan_conn, link), now);
    for (struct list_link *l = list_first(&c->peers); l; l = list_next(&c->peers, l))
        chan_peer_tick(LIST_ITEM(l, struct chan_peer, link), now);
    heirs_tick(c);
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].tick)
            c->parts[i].tick(c->parts[i].ctx, now);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    channels_tick(arg);
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
    struct channels *c = arg;
    (void)fd;
    (void)what;
    conn_work_all(c);
    peer_work_all(c);
    if (c->stopping && c->conns.n == 0)
        event_base_loopbreak(c->base);
}

static void on_call(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    calls_run(arg, true);
}

static void on_store(evutil_socket_t fd, short what, void *arg)
{
    struct channels *c = arg;
    (void)fd;
    (void)what;
    dchan_store_poll(c->store);
}

static void wake_store(void *ctx)
{
    struct channels *c = ctx;
    event_active(c->store_ev, 0, 0);
}

static void on_stop_over(evutil_socket_t fd, short what, void *arg)
{
    struct channels *c = arg;
    (void)fd;
    (void)what;
    event_base_loopbreak(c->base);
}

/* --- creation --- */

static void set_default(unsigned *limit, unsigned value)
{
    if (*limit == 0)
        *limit = value;
}

static enum err fill_limits(struct channels_limits *l, struct error *e)
{
    set_default(&l->sessions, 128);
    set_default(&l->reserved_contacts, 16);
    set_default(&l->sessions_old, 32);
    set_default(&l->strangers_per_48, 4);
    set_default(&l->handshakes, 64);
    set_default(&l->handshakes_reserved, 16);
    set_default(&l->handshakes_per_64, 4);
    set_default(&l->handshakes_per_48, 16);
    set_default(&l->accepts_burst, 10);
    set_default(&l->accepts_refill_s, 6);
    set_default(&l->act1_per_s, 100);
    if (l->known_ms == 0)
        l->known_ms = CHANNELS_KNOWN_MS;
    if (l->duplicate_ms == 0)
        l->duplicate_ms = DCHAN_DUPLICATE_WAIT_MS;
    if (l->pause_ms == 0)
        l->pause_ms = CHANNELS_BACKOFF_MIN_MS;
    if (l->pause_max_ms == 0)
        l->pause_max_ms = CHANNELS_BACKOFF_MAX_MS;
    if (l->session.act_ms == 0)
        l->session = dchan_session_defaults;
    if (l->windows == 0)
        l->windows = DCHAN_SHARES_MAX;
    if (l->windows_strangers == 0)
        l->windows_strangers = DCHAN_SHARES_STRANGERS_MAX;
    if (l->windows_each == 0)
        l->windows_each = DCHAN_WINDOWS_CONTACT;
    if (l->windows_each_stranger == 0)
        l->windows_each_stranger = DCHAN_WINDOWS_STRANGER;
    if (l->reserved_contacts > l->sessions)
        return error_set(e, ERR_RANGE, "-channelsessionsreserved is above -channelsessions");
    if (l->handshakes_reserved > l->handshakes)
        return error_set(e, ERR_RANGE, "-channelhandshakesreserved is above -channelhandshakes");
    if (l->windows_strangers > l->windows)
        return error_set(e, ERR_RANGE, "-channelwindowsstrangers is above -channelwindows");
    if (l->pause_ms > l->pause_max_ms)
        return error_set(e, ERR_RANGE, "-channelpause is above -channelpausemax");
    return OK;
}

static void shares_init(struct dchan_shares *shares, const struct channels_limits *l)
{
    *shares = (struct dchan_shares){
        .granted_max = l->windows, .to_strangers_max = l->windows_strangers,
        .windows_contact = l->windows_each, .windows_stranger = l->windows_each_stranger,
        .streams_contact = l->streams, .streams_stranger = l->streams_stranger,
        .opens_per_s = l->opens_per_s, .opens_waiting = l->opens_waiting,
        .opens_flood_per_s = l->opens_flood_per_s, .open_ms = l->open_ms,
        .dgram_backlog = l->dgram_backlog, .dgram_age_ms = l->dgram_age_ms,
    };
}

static enum err read_binds(struct channels *c, struct error *e)
{
    const struct net_strings *bind = &c->config.bind;
    if (bind->n > CHANNELS_LISTENERS_MAX)
        return error_set(e, ERR_RANGE, "at most %d times -channelbind",
                         CHANNELS_LISTENERS_MAX);
    for (size_t i = 0; i < bind->n; i++) {
        const enum err rc = netaddr_parse(&c->binds[i], bind->v[i], c->config.port, e);
        if (rc)
            return error_prefix(e, ERR_RANGE, "-channelbind");
        if (netaddr_is_ipv4(&c->binds[i]))
            return error_set(e, ERR_RANGE, "-channelbind=%s: direct channels use IPv6", bind->v[i]);
    }
    c->n_binds = bind->n;
    c->config.bind = (struct net_strings){ NULL, 0 }; /* borrowed, not looked at again */
    return OK;
}

/* What was sealed since the snapshot cannot be taken back; nothing more is (attacks E6). */
static void on_copy(evutil_socket_t fd, short what, void *arg)
{
    struct channels *c = arg;
    (void)what;
    if (!machine_copy_heard(fd))
        return;
    log_warn("direct channels: this machine goes on from a snapshot, or the kernel has lost events "
             "that may have said so; it may be one of two: all sessions begin anew");
    process_copy_renew();
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        if (conn->session)
            conn_abort(conn, DCHAN_NO_ERROR);
    }
}

static void listen_for_copies(struct channels *c)
{
    c->copy_fd = machine_copy_open();
    if (c->copy_fd < 0) {
        log_info("direct channels: that this machine goes on from a snapshot will not be noticed, "
                 "as the kernel gives no events of devices: %s", strerror(errno));
        return;
    }
    c->copy_ev = event_new(c->base, c->copy_fd, EV_READ | EV_PERSIST, on_copy, c);
    event_add(c->copy_ev, NULL);
}

static void make_events(struct channels *c)
{
    (void)evthread_use_pthreads();
    c->base = xcheck(event_base_new());
    c->tick_ev = event_new(c->base, -1, EV_PERSIST, on_tick, c);
    c->work_ev = event_new(c->base, -1, 0, on_work, c);
    c->call_ev = event_new(c->base, -1, 0, on_call, c);
    c->store_ev = event_new(c->base, -1, 0, on_store, c);
    c->stop_ev = event_new(c->base, -1, 0, on_stop_over, c);
    listen_for_copies(c);
    dchan_store_set_wake(c->store, wake_store, c);
    calls_init(c);
}

enum err channels_new(struct channels **out, const struct channels_config *config,
                      const struct channels_ops *ops, struct dchan_store *store,
                      struct contacts *contacts, struct error *e)
{
    struct channels *c = xcalloc(1, sizeof *c);
    c->config = *config;
    c->agent = xstrndup(config->agent, DCHAN_AGENT_MAX);
    c->config.agent = c->agent;
    c->ops = *ops;
    c->store = store;
    c->contacts = contacts;
    c->maker = pthread_self();
    c->features.offered = 1u << DCHAN_DH_REKEY;
    c->session_ops = channels_session_ops;
    c->read_buf = xmalloc(READ_BUFFER);
    list_init(&c->conns);
    list_init(&c->peers);
    map_init(&c->peer_map);
    rand_bytes(&c->hash_key, sizeof c->hash_key);
    make_events(c);
    enum err rc = fill_limits(&c->config.limits, e);
    if (rc == OK)
        rc = read_binds(c, e);
    if (rc == OK)
        rc = channels_blocked_read(&c->blocked, &config->blocked, e);
    c->config.blocked = (struct net_strings){ NULL, 0 }; /* borrowed, not looked at again */
    shares_init(&c->shares, &c->config.limits);
    gate_init(c);
    if (rc) {
        channels_free(c);
        return rc;
    }
    *out = c;
    return OK;
}

/* --- start and stop --- */

static void end_sessions(struct channels *c)
{
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l))
        conn_abort(LIST_ITEM(l, struct chan_conn, link), DCHAN_NO_ERROR);
    while (c->conns.n)
        conn_free(LIST_ITEM(list_first(&c->conns), struct chan_conn, link));
    c->work = NULL;
    peer_work_all(c);
}

static void *run_loop(void *arg)
{
    struct channels *c = arg;
    const struct timeval second = { .tv_sec = CHANNELS_TICK_MS / 1000 };
    c->thread = pthread_self();
    atomic_store(&c->stage, CHANNELS_RUNS);
    event_add(c->tick_ev, &second);
    event_active(c->tick_ev, 0, 0);
    event_base_loop(c->base, EVLOOP_NO_EXIT_ON_EMPTY);
    end_sessions(c);
    return NULL;
}

enum err channels_start(struct channels *c, struct error *e)
{
    if (c->config.listen) {
        struct error why;
        const enum err rc = channels_listen(c, &why);
        if (rc && !c->config.bind_or_not)
            return error_set(e, rc, "%s", why.text);
        if (rc)
            log_warn("%s; nobody can connect", why.text);
    }
    atomic_store(&c->stage, CHANNELS_STARTS);
    const int rc = pthread_create(&c->handle, NULL, run_loop, c);
    if (rc) {
        atomic_store(&c->stage, CHANNELS_NEW);
        return error_set_errno(e, rc, "cannot start a thread for direct channels");
    }
    c->started = true;
    return OK;
}

static void begin_stop(struct channels *c)
{
    const struct timeval moment = { .tv_sec = CHANNELS_STOP_MS / 1000,
                                    .tv_usec = CHANNELS_STOP_MS % 1000 * 1000 };
    c->stopping = true;
    channels_unlisten(c);
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l))
        conn_goaway(LIST_ITEM(l, struct chan_conn, link), DCHAN_SHUTDOWN);
    event_add(c->stop_ev, &moment);
    event_active(c->work_ev, 0, 0);
}

static void stop_call(struct channels *c, void *ctx)
{
    (void)ctx;
    begin_stop(c);
}

void channels_stop(struct channels *c)
{
    if (atomic_load(&c->stage) == CHANNELS_ENDED)
        return;
    if (c->started) {
        (void)!channels_call(c, stop_call, NULL);
        pthread_join(c->handle, NULL);
    } else {
        channels_unlisten(c);
        end_sessions(c);
    }
    c->stopping = true;
    atomic_store(&c->stage, CHANNELS_ENDED);
    calls_close(c);
}

static void free_events(struct channels *c)
{
    event_free(c->tick_ev);
    event_free(c->work_ev);
    event_free(c->call_ev);
    event_free(c->store_ev);
    event_free(c->stop_ev);
    if (c->copy_fd >= 0) {
        event_free(c->copy_ev);
        close(c->copy_fd);
    }
    event_base_free(c->base);
}

void channels_free(struct channels *c)
{
    if (!c)
        return;
    channels_stop(c);
    while (c->peers.n)
        chan_peer_free(LIST_ITEM(list_first(&c->peers), struct chan_peer, link));
    map_clear(&c->peer_map);
    drop_identities(c->ids, c->n_ids);
    while (c->n_former)
        drop_former(c, 0);
    gate_clear(c);
    channels_blocked_clear(&c->blocked);
    calls_clear(c);
    free_events(c);
    free(c->heirs);
    free(c->handlers);
    free(c->read_buf);
    free(c->agent);
    free(c);
}

/* --- what parts ask --- */

uint16_t channels_port(const struct channels *c)
{
    return (uint16_t)atomic_load(&c->port);
}

struct event_base *channels_base(struct channels *c)
{
    return c->base;
}

struct dchan_store *channels_store(struct channels *c)
{
    return c->store;
}

struct contacts *channels_contacts(struct channels *c)
{
    return c->contacts;
}

struct dchan_features channels_features(const struct channels *c)
{
    return c->features;
}

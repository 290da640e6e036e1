#include "tests/p2p/channel_guest.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ec.h"
#include "p2p/channels_internal.h"
#include "tests/test.h"

/* By the port of the guest's socket: where he comes from. Written before he connects. */
static struct netaddr homes[65536];
static pthread_mutex_t homes_lock = PTHREAD_MUTEX_INITIALIZER;

static void come_from(void *ctx, struct netaddr *remote)
{
    (void)ctx;
    pthread_mutex_lock(&homes_lock);
    const struct netaddr *home = &homes[remote->port];
    if (home->port)
        memcpy(remote->ip, home->ip, sizeof remote->ip);
    pthread_mutex_unlock(&homes_lock);
}

static void set_seam(struct channels *c, void *ctx)
{
    (void)ctx;
    c->remote_seam = come_from;
}

void guests_welcome(struct channels_side *host)
{
    assert_true(channels_call(host->channels, set_seam, NULL));
}

/* --- the socket --- */

void guest_connect(struct guest *g, const struct channels_side *host, const char *from)
{
    struct sockaddr_in6 us = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in6 there = us;
    socklen_t len = sizeof us;
    const int one = 1;
    const int narrow = 2048;
    g->going = -1;
    g->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(g->fd >= 0);
    if (g->narrow)
        (void)setsockopt(g->fd, SOL_SOCKET, SO_RCVBUF, &narrow, sizeof narrow);
    assert_int_equal(bind(g->fd, (struct sockaddr *)&us, sizeof us), 0);
    assert_int_equal(getsockname(g->fd, (struct sockaddr *)&us, &len), 0);
    assert_int_equal(netaddr_parse_ip(&g->home, from, NULL), OK);
    g->home.port = 1; /* is set */
    pthread_mutex_lock(&homes_lock);
    homes[ntohs(us.sin6_port)] = g->home;
    pthread_mutex_unlock(&homes_lock);
    there.sin6_port = htons(channels_port(host->channels));
    assert_int_equal(connect(g->fd, (struct sockaddr *)&there, sizeof there), 0);
    assert_int_equal(setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
}

void guest_send_raw(struct guest *g, const void *data, size_t len)
{
    (void)!send(g->fd, data, len, MSG_NOSIGNAL);
}

void guest_receive_raw(struct guest *g, void *out, size_t len)
{
    assert_int_equal(recv(g->fd, out, len, MSG_WAITALL), (ssize_t)len);
}

bool guest_is_cut(struct guest *g)
{
    guest_move(g);
    return g->cut;
}

void guest_hang_up(struct guest *g)
{
    assert_int_equal(shutdown(g->fd, SHUT_WR), 0);
}

void guest_leave(struct guest *g)
{
    dchan_session_free(g->session);
    g->session = NULL;
    close(g->fd);
}

/* --- the session --- */

static bool is_own_key(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    const struct guest *g = ctx;
    return mem_equal_var(g->key.key.pub, key, IDENTITY_KEY_SIZE);
}

static bool rules(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct dchan_policy *policy,
                  const struct bca_policy **proof)
{
    static const struct bca_policy none;
    (void)ctx;
    (void)key;
    *policy = (struct dchan_policy){ .contact = true, .bare = true, .any_unbound = true };
    *proof = &none;
    return true;
}

static bool greeted(void *ctx, const struct dchan_hello *hello)
{
    struct guest *g = ctx;
    g->greeted = true;
    g->is_renewal = hello->has_renews;
    memcpy(g->renews, hello->renews, sizeof g->renews);
    return !g->holds;
}

static void up(void *ctx) { ((struct guest *)ctx)->up = true; }

static void going(void *ctx, enum dchan_goaway_reason reason)
{
    ((struct guest *)ctx)->going = (int)reason;
}

static void closed(void *ctx, const struct dchan_closing *closing)
{
    struct guest *g = ctx;
    g->closed = true;
    g->closing = (struct dchan_closing){ closing->why, closing->code, { NULL, 0 } };
}

static const struct dchan_session_ops ops = {
    .is_own_key = is_own_key, .rules = rules, .greeted = greeted, .up = up, .going = going,
    .closed = closed
};

static uint64_t now_ms(void)
{
    return (uint64_t)clock_mono_ms();
}

static void begin(struct guest *g, const struct channels_side *host, enum dchan_role role,
                  const struct identity_key *key, const uint8_t *renews)
{
    g->shares = (struct dchan_shares){ .granted_max = DCHAN_SHARES_MAX,
                                       .to_strangers_max = DCHAN_SHARES_STRANGERS_MAX };
    struct dchan_session_config config = {
        .role = role, .key = key,
        .remote_key = role == DCHAN_INITIATOR ? host->key.key.pub : NULL,
        .features = { .offered = 1u << DCHAN_STREAMS }, .shares = &g->shares, .ops = &ops,
        .ctx = g, .hello = { .has_renews = renews != NULL }
    };
    memcpy(config.magic, host->config.magic, sizeof config.magic);
    if (g->proof) {
        memcpy(config.local, g->home.ip, sizeof config.local);
        memcpy(config.hello.address, g->proof->address, sizeof config.hello.address);
        config.hello.params = g->proof->params;
        config.hello.port = g->proof->port;
        config.hello.has_bca = true;
    }
    if (renews)
        memcpy(config.hello.renews, renews, sizeof config.hello.renews);
    g->session = dchan_session_new(&config, now_ms());
    assert_non_null(g->session);
    guest_move(g);
}

void guest_begin(struct guest *g, const struct channels_side *host, uint8_t secret,
                 const uint8_t *renews)
{
    open_key_init(&g->key, secret);
    begin(g, host, DCHAN_INITIATOR, &g->key.key, renews);
}

void guest_begin_as(struct guest *g, const struct channels_side *host,
                    const struct identity_key *key)
{
    open_key_init(&g->key, 0x99); /* what his session takes for its own */
    begin(g, host, DCHAN_INITIATOR, key, NULL);
}

static void take_proved_key(struct guest *g)
{
    open_key_init(&g->key, 0x99);
    memcpy(g->key.secret, g->proof->secret, sizeof g->key.secret);
    assert_true(ec_pubkey_of(g->key.key.pub, g->key.secret));
}

void guest_begin_proved(struct guest *g, const struct channels_side *host,
                        const struct guest_proof *proof)
{
    g->proof = proof;
    take_proved_key(g);
    begin(g, host, DCHAN_INITIATOR, &g->key.key, NULL);
}

struct guest_port guest_port_open(bool listens)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t len = sizeof a;
    struct guest_port p = { .fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_int_equal(bind(p.fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(p.fd, (struct sockaddr *)&a, &len), 0);
    if (listens)
        assert_int_equal(listen(p.fd, 100), 0);
    p.number = ntohs(a.sin6_port);
    return p;
}

void guest_answer(struct guest *g, const struct channels_side *host, struct guest_port at,
                  uint8_t secret)
{
    g->going = -1;
    g->fd = accept(at.fd, NULL, NULL);
    assert_true(g->fd >= 0);
    if (g->proof)
        take_proved_key(g);
    else
        open_key_init(&g->key, secret);
    begin(g, host, DCHAN_RESPONDER, &g->key.key, NULL);
}

static void write_all(struct guest *g)
{
    struct span out;
    while (g->session && (out = dchan_session_output(g->session, now_ms())).len) {
        const ssize_t n = send(g->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            return;
        dchan_session_written(g->session, (size_t)n, now_ms());
    }
}

void guest_move(struct guest *g)
{
    uint8_t in[4096];
    if (g->deaf)
        return;
    write_all(g);
    for (;;) {
        const ssize_t n = recv(g->fd, in, sizeof in, MSG_DONTWAIT);
        if (n > 0 && g->session)
            dchan_session_feed(g->session, span_of(in, (size_t)n), now_ms());
        else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            g->cut = true;
        if (n <= 0)
            break;
        write_all(g);
    }
    if (g->cut && g->session)
        dchan_session_feed_end(g->session, now_ms());
}

bool guest_was_cut(void *ctx) { return guest_is_cut(ctx); }

bool guest_has_come_up(void *ctx)
{
    struct guest *g = ctx;
    guest_move(g);
    return g->up;
}

bool guest_has_closed(void *ctx)
{
    struct guest *g = ctx;
    guest_move(g);
    return g->closed;
}

/* --- the host --- */

struct census { size_t handshakes, sessions; };

static void count(struct channels *c, void *ctx)
{
    struct census *n = ctx;
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        n->handshakes += conn->state == CONN_ACTS && conn->role == DCHAN_RESPONDER;
        n->sessions += conn->state == CONN_GREETED || conn->state == CONN_UP;
    }
}

static struct census take_census(struct channels_side *host)
{
    struct census n = { 0, 0 };
    assert_true(channels_call(host->channels, count, &n));
    return n;
}

size_t host_handshakes(struct channels_side *host) { return take_census(host).handshakes; }

size_t host_sessions(struct channels_side *host) { return take_census(host).sessions; }

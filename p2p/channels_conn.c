/*
 * Socket to session and back. The socket is read whatever waits for sending: two sides that both
 * waited for room would wait for each other. What is unsent in the kernel is kept small, so that
 * the session still decides what goes next.
 */
#include "p2p/channels.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "p2p/channels_pace.h"

#define READ_CHUNK (64u << 10)
#define READS_PER_TURN 4
#define WRITTEN_PER_TURN (256u << 10)
#define SEND_BUFFER (128 << 10) /* spec channels 4.4 */
#define UNSENT_MAX (32 << 10)
#define LINGER_MS 2000 /* for the other side to read why we close */

/* --- life --- */

struct chan_conn *conn_new(struct channels *c, enum dchan_role role, struct channel_identity *id)
{
    struct chan_conn *conn = xcalloc(1, sizeof *conn);
    conn->c = c;
    conn->role = role;
    conn->identity = channel_identity_ref(id);
    conn->fd = -1;
    conn->started_ms = channels_now(c);
    list_append(&c->conns, &conn->link);
    return conn;
}

static void fill_hello(const struct chan_conn *conn, const uint8_t *renews, struct dchan_hello *h)
{
    const struct channels *c = conn->c;
    const struct channel_identity *id = conn->identity;
    *h = (struct dchan_hello){
        .agent = span_of(c->agent, strlen(c->agent)), .has_bca = id->has_address,
        .params = id->params, .port = channels_port(c), .has_seq = id->seq != 0, .seq = id->seq,
        .has_time = true, .time_ms = channels_unix_ms(), .has_height = true,
        .height = (uint32_t)c->ops.height(c->ops.ctx), .has_renews = renews != NULL
    };
    memcpy(h->address, id->address, sizeof h->address);
    if (renews)
        memcpy(h->renews, renews, sizeof h->renews);
}

bool conn_begin(struct chan_conn *conn, const uint8_t *remote_key, const uint8_t *renews)
{
    struct channels *c = conn->c;
    struct dchan_session_config config = {
        .role = conn->role, .key = &conn->identity->key, .remote_key = remote_key,
        .relayed = conn->fd < 0, .features = c->features, .shares = &c->shares,
        .limits = &c->config.limits.session, .grace_ms = c->config.grace_ms,
        .ops = &c->session_ops, .ctx = conn
    };
    memcpy(config.magic, c->config.magic, sizeof config.magic);
    memcpy(config.local, conn->local.ip, sizeof config.local);
    memcpy(config.remote, conn->remote.ip, sizeof config.remote);
    fill_hello(conn, renews, &config.hello);
    conn->renews = renews != NULL;
    conn->state = CONN_ACTS;
    conn->session = dchan_session_new(&config, channels_now(c));
    if (!conn->session)
        conn->state = CONN_CLOSED;
    conn_kick(conn);
    return conn->session != NULL;
}

static void close_fd(struct chan_conn *conn)
{
    if (conn->fd < 0)
        return;
    event_free(conn->read_ev);
    event_free(conn->write_ev);
    event_free(conn->pace_ev);
    close(conn->fd);
    conn->fd = -1;
}

void conn_free(struct chan_conn *conn)
{
    struct chan_peer *p = conn->peer;
    if (conn->pipe && !conn->pipe_ended)
        conn->pipe->closed(conn->pipe_ctx);
    dchan_session_free(conn->session);
    if (conn->beat_ev)
        event_free(conn->beat_ev);
    close_fd(conn);
    if (p) {
        list_remove(&p->conns, &conn->peer_link);
        peer_check_idle(p);
    }
    list_remove(&conn->c->conns, &conn->link);
    channel_identity_unref(conn->identity);
    free(conn);
}

void conn_abort(struct chan_conn *conn, enum dchan_error code)
{
    if (conn->session) {
        dchan_session_abort(conn->session, code, channels_now(conn->c));
    } else if (conn->state != CONN_CLOSED) {
        conn->state = CONN_CLOSED;
        if (conn->peer)
            dial_ended(conn->peer, conn);
    }
    conn_kick(conn);
}

void conn_goaway(struct chan_conn *conn, enum dchan_goaway_reason reason)
{
    conn->going = true;
    if (conn->session)
        dchan_session_goaway(conn->session, reason, channels_now(conn->c));
    else
        conn_abort(conn, DCHAN_NO_ERROR);
    conn_kick(conn);
}

/* --- sockets --- */

static void want_write(struct chan_conn *conn, bool want)
{
    if (conn->writing == want)
        return;
    conn->writing = want;
    if (want)
        event_add(conn->write_ev, NULL);
    else
        event_del(conn->write_ev);
}

/* Nothing more is written; waiting for room would only keep the loop awake. */
static void take_end(struct chan_conn *conn)
{
    if (conn->session)
        dchan_session_feed_end(conn->session, channels_now(conn->c));
    conn->finished = true;
    want_write(conn, false);
    conn_kick(conn);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct chan_conn *conn = arg;
    struct channels *c = conn->c;
    (void)what;
    for (int i = 0; i < READS_PER_TURN; i++) {
        const ssize_t n = recv(fd, c->read_buf, READ_CHUNK, 0);
        if (n > 0) {
            dchan_session_feed(conn->session, span_of(c->read_buf, (size_t)n), channels_now(c));
            if (conn->peer)
                peer_settle(conn->peer);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            take_end(conn);
            event_del(conn->read_ev);
            return;
        }
        if (n < (ssize_t)READ_CHUNK)
            break;
    }
    conn_kick(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct chan_conn *conn = arg;
    (void)fd;
    (void)what;
    if (conn->state == CONN_CONNECTING)
        dial_finished(conn, false);
    else
        conn_kick(conn);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    conn_kick(arg);
}

void conn_take_fd(struct chan_conn *conn, int fd)
{
    const int one = 1, send_buffer = SEND_BUFFER, unsent = UNSENT_MAX;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
#ifdef TCP_NOTSENT_LOWAT
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
#endif
    conn->fd = fd;
    conn->read_ev = event_new(conn->c->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    conn->write_ev = event_new(conn->c->base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
    conn->pace_ev = event_new(conn->c->base, -1, 0, on_timer, conn);
    if (conn->state == CONN_CONNECTING)
        want_write(conn, true);
}

void conn_read_on(struct chan_conn *conn)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    if (getsockname(conn->fd, (struct sockaddr *)&ss, &len) == 0)
        (void)netaddr_from_sockaddr(&conn->local, (struct sockaddr *)&ss);
    want_write(conn, false);
    event_add(conn->read_ev, NULL);
}

/* --- what leaves --- */

/* Where voice is spoken bulk data must not fill the buffers of the path. */
static void pace(struct chan_conn *conn)
{
    if (conn->state != CONN_UP || !conn->mux)
        return;
    const bool full = dchan_mux_has_first(conn->mux) && pace_is_full(conn->fd);
    dchan_mux_hold(conn->mux, full);
    if (full)
        event_add(conn->pace_ev, &(struct timeval){ 0, 1000 * PACE_AGAIN_MS });
}

struct span conn_output(struct chan_conn *conn, uint64_t now_ms)
{
    conn->asked_ms = now_ms;
    return dchan_session_output(conn->session, now_ms);
}

/* Adds what was written. False: the socket takes no more now, or never. */
static bool write_some(struct chan_conn *conn, size_t *written)
{
    const uint64_t now = channels_now(conn->c);
    pace(conn);
    const struct span out = conn_output(conn, now);
    if (out.len == 0) {
        want_write(conn, false);
        return false;
    }
    const ssize_t n = send(conn->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        /* what the other side had said before it went is still worth reading */
        on_readable(conn->fd, EV_READ, conn);
        if (!conn->finished)
            take_end(conn);
        return false;
    }
    if (n > 0) {
        dchan_session_written(conn->session, (size_t)n, now);
        *written += (size_t)n;
    }
    want_write(conn, n < (ssize_t)out.len);
    return n == (ssize_t)out.len;
}

/* Where voice or datagrams may come from a program the loop looks for them more often. */
static size_t turn_bytes(const struct chan_conn *conn)
{
    const bool urgent = conn->state == CONN_UP && conn->mux && dchan_mux_is_urgent(conn->mux);
    return urgent ? WRITTEN_PER_TURN / 4 : WRITTEN_PER_TURN;
}

/*
 * One whose time had come when the session was asked waits for the socket, or for who carries it.
 * Its time may have come since: then nobody waits, and the session is asked again at once.
 */
void conn_wait_for_beat(struct chan_conn *conn)
{
    const uint64_t at = dchan_session_beat_ms(conn->session), now = channels_now(conn->c);
    const uint64_t left = at > now ? at - now : 0;
    if (at <= conn->asked_ms)
        return;
    if (!conn->beat_ev)
        conn->beat_ev = xcheck(event_new(conn->c->base, -1, 0, on_timer, conn));
    event_add(conn->beat_ev, &(struct timeval){ (time_t)(left / 1000),
                                                (suseconds_t)(left % 1000 * 1000) });
}

static void flush(struct chan_conn *conn)
{
    if (!conn->session || conn->state == CONN_CONNECTING)
        return;
    if (conn->pipe ? conn->pipe_ended : conn->fd < 0 || conn->finished)
        return;
    if (conn->pipe) {
        if (conn_output(conn, channels_now(conn->c)).len)
            conn->pipe->wake(conn->pipe_ctx);
        conn_wait_for_beat(conn);
        return;
    }
    const size_t most = turn_bytes(conn);
    size_t written = 0;
    bool more = true;
    while (more && written < most)
        more = write_some(conn, &written);
    if (more)
        want_write(conn, true);
    conn_wait_for_beat(conn);
}

/*
 * A socket that is closed with unread input resets the connection, and the reset may overtake the
 * `error` that says why. So our half ends first, and what still comes is read and dropped.
 */
static bool lingers(struct chan_conn *conn)
{
    const uint64_t now = channels_now(conn->c);
    if (!conn->said_why || conn->fd < 0 || conn->finished)
        return false;
    if (!conn->linger_ms) {
        conn->linger_ms = now;
        (void)shutdown(conn->fd, SHUT_WR);
    }
    return now - conn->linger_ms < LINGER_MS;
}

static bool is_over(struct chan_conn *conn)
{
    if (conn->state != CONN_CLOSED)
        return false;
    if (!conn->session)
        return true;
    if (conn->pipe && conn->pipe_ended)
        return true;
    if (conn->finished && conn->fd >= 0)
        return true;
    return dchan_session_done(conn->session) && !lingers(conn);
}

/* --- the work list --- */

void conn_kick(struct chan_conn *conn)
{
    struct channels *c = conn->c;
    if (conn->in_work)
        return;
    conn->in_work = true;
    conn->next_work = c->work;
    c->work = conn;
    event_active(c->work_ev, 0, 0);
}

void conn_work_all(struct channels *c)
{
    struct chan_conn *list = c->work;
    c->work = NULL;
    while (list) {
        struct chan_conn *conn = list;
        list = conn->next_work;
        conn->in_work = false;
        flush(conn);
        if (is_over(conn) && !conn->in_work)
            conn_free(conn);
    }
}

void conn_tick(struct chan_conn *conn, uint64_t now_ms)
{
    if (conn->state == CONN_CONNECTING) {
        if (now_ms - conn->started_ms >= CHANNELS_DIAL_MS)
            dial_finished(conn, true);
        return;
    }
    if (conn->session)
        dchan_session_tick(conn->session, now_ms);
    conn_kick(conn);
}

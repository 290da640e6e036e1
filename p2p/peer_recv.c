/*
 * From the socket to the handler: reads into one buffer shared by all peers, cuts messages, and
 * applies the message table. A payload is copied only when it does not arrive in one read.
 *
 * Pauses: while any reason is set nothing of the peer is handled and its socket is not read; what
 * was read already waits in its backlog, at most READ_CHUNK bytes.
 */
#include "p2p/net_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"

#define CSUM_FLOOD_COUNT 100        /* spec p2p 1.6 */
#define CSUM_FLOOD_INTERVAL_MS 500
#define SLOW_HANDLER_MS 100         /* attacks C9 */

static unsigned state_bit(const struct peer *p)
{
    switch (p->state) {
    case PEER_WAIT_VERSION:
        return MSG_IN_START;
    case PEER_WAIT_VERACK:
        return MSG_IN_VERSION;
    case PEER_READY:
        return MSG_IN_READY;
    case PEER_CONNECTING:
    case PEER_CLOSING:
        break;
    }
    return 0;
}

/* Memory of half-received payloads counts against the budget of all peers (attacks C6). */
static void charge(struct peer *p)
{
    size_t now = frame_memory(&p->frame) + p->backlog.cap;
    p->net->receive_memory += now - p->charged; /* unsigned wrap gives the difference */
    p->charged = now;
}

static size_t total_memory(const struct net *net)
{
    return (size_t)(net->receive_memory + net->send_memory);
}

/* The budget is used up: whoever holds most of it leaves, so that the others can go on. */
static void shed_memory(struct net *net)
{
    struct peer *worst = NULL;
    for (size_t i = 0; i < net->n_peers; i++) {
        struct peer *p = net->peers[i];
        if (p->state == PEER_CLOSING)
            continue;
        if (worst == NULL || p->charged + p->out.memory > worst->charged + worst->out.memory)
            worst = p;
    }
    if (worst != NULL && worst->charged + worst->out.memory > READ_CHUNK * 2)
        peer_disconnect(worst, "memory budget of the network used up");
}

static enum frame_mode choose_intake(struct peer *p)
{
    const struct msg_row *row = p->row;
    const struct net_handlers *h = &p->net->h;
    bool stream = row->intake == INTAKE_STREAM ||
                  (row->intake == INTAKE_COLLECT_OR_STREAM && p->frame.size > MSG_COLLECT_MAX);
    if (!stream)
        return row->intake == INTAKE_SKIP ? FRAME_SKIP : FRAME_COLLECT;
    if (h->stream_begin == NULL || h->stream_data == NULL)
        return FRAME_SKIP;
    const uint8_t *checksum = p->frame.extended ? NULL : p->frame.checksum;
    if (h->stream_begin(h->ctx, p, row->id, p->frame.size, checksum) == STREAM_SKIP)
        return FRAME_SKIP;
    p->streaming = true;
    return FRAME_STREAM;
}

/* spec p2p 2.3: score 1 and ignored */
static bool arrives_too_early(struct peer *p)
{
    if (p->row->states & state_bit(p))
        return false;
    peer_misbehave(p, 1, p->state == PEER_WAIT_VERSION ? "message before version"
                                                       : "message before verack");
    return true;
}

/* A one-shot connection only fetches addresses: node has no state for it, so
 * nothing reaches node. */
static bool is_listened_to(const struct peer *p)
{
    static const enum msg_id taken[] = { MSG_VERSION, MSG_VERACK, MSG_PROTOCONF,
                                         MSG_PING,    MSG_PONG,   MSG_ADDR };
    if (p->kind != PEER_ONESHOT)
        return true;
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        if (p->row->id == taken[i])
            return true;
    return false;
}

static void on_header(struct peer *p)
{
    struct frame *f = &p->frame;
    p->message_start_ms = clock_mono_ms();
    p->message_start_bytes = 0;
    p->row = f->command_ok ? msg_find(f->command) : msg_row(MSG_UNKNOWN);
    p->msg_received[p->row->id] += f->extended ? FRAME_EXT_HEADER_SIZE : FRAME_HEADER_SIZE;
    if (f->size > msg_size_limit(p->row, &p->net->limits)) {
        peer_ban_now(p, "message larger than its limit");
        return;
    }
    if (!f->command_ok || arrives_too_early(p) || p->state == PEER_CLOSING || !is_listened_to(p)) {
        frame_take(f, FRAME_SKIP);
        return;
    }
    if (p->row->id == MSG_UNKNOWN) {
        char name[MSG_NAME_MAX * 4 + 1];
        log_sanitize(name, sizeof(name), f->command, strnlen((char *)f->command, MSG_NAME_MAX));
        log_debug(LOGC_NET, "peer %llu: unknown command %s", (unsigned long long)p->id, name);
    }
    frame_take(f, choose_intake(p));
}

/* spec p2p 1.6: ignored; a flood of them scores 1 each */
static void on_bad_checksum(struct peer *p)
{
    int64_t now = clock_mono_ms();
    p->csum_errors = now - p->csum_last_ms < CSUM_FLOOD_INTERVAL_MS ? p->csum_errors + 1 : 1;
    p->csum_last_ms = now;
    log_debug(LOGC_NET, "peer %llu: wrong checksum in %s", (unsigned long long)p->id, p->row->name);
    if (p->csum_errors > CSUM_FLOOD_COUNT)
        peer_misbehave(p, 1, "flood of wrong checksums");
}

static void on_message(struct peer *p)
{
    if (!p->frame.checksum_ok) {
        on_bad_checksum(p);
        return;
    }
    p->csum_errors = 0;
    if (p->row->handle == NULL)
        return;
    int64_t start = clock_mono_ms();
    enum msg_result res = p->row->handle(p, p->frame.data);
    if (res == MSG_MALFORMED)
        peer_send_reject(p, p->row->id, REJECT_CODE_MALFORMED, "error parsing message", NULL);
    else if (res == MSG_TOO_LARGE)
        peer_misbehave(p, p->row->score_too_large, "list or size above its limit");
    int64_t took = clock_mono_ms() - start;
    if (took > SLOW_HANDLER_MS)
        log_debug(LOGC_NET, "peer %llu: %s took %lld ms", (unsigned long long)p->id, p->row->name,
                  (long long)took);
}

static void on_stream_data(struct peer *p)
{
    const struct net_handlers *h = &p->net->h;
    switch (h->stream_data(h->ctx, p, p->frame.data.data, p->frame.data.len)) {
    case STREAM_MORE:
        break;
    case STREAM_PAUSE:
        peer_set_pause(p, PAUSE_NODE);
        break;
    case STREAM_STOP:
        frame_take(&p->frame, FRAME_SKIP);
        break;
    }
}

static void on_payload_end(struct peer *p)
{
    if (!p->streaming)
        return;
    p->streaming = false;
    if (p->net->h.stream_end != NULL)
        p->net->h.stream_end(p->net->h.ctx, p, STREAM_COMPLETE);
}

static void on_event(struct peer *p, enum frame_event ev)
{
    switch (ev) {
    case FRAME_HEADER:
        on_header(p);
        break;
    case FRAME_MESSAGE:
        on_message(p);
        break;
    case FRAME_DATA:
        on_stream_data(p);
        break;
    case FRAME_END:
        on_payload_end(p);
        break;
    case FRAME_BAD_MAGIC:
        peer_ban_now(p, "wrong network magic");
        break;
    case FRAME_NOMEM:
        peer_disconnect(p, "no memory for its message");
        break;
    case FRAME_MORE:
        break;
    }
}

/* Returns how many bytes were handled: all, unless a pause or the end came first. */
static size_t handle_bytes(struct peer *p, const uint8_t *data, size_t len)
{
    size_t done = 0;
    while (p->state != PEER_CLOSING && p->paused == 0) {
        size_t used;
        uint64_t before = p->frame.received;
        enum frame_event ev = frame_feed(&p->frame, data + done, len - done, &used);
        done += used;
        if (ev == FRAME_MORE) {
            if (frame_in_payload(&p->frame))
                p->msg_received[p->row->id] += p->frame.received - before;
            break;
        }
        if (ev == FRAME_MESSAGE || ev == FRAME_DATA || ev == FRAME_END)
            p->msg_received[p->row->id] += used;
        on_event(p, ev);
    }
    return done;
}

void peer_take_bytes(struct peer *p, const uint8_t *data, size_t len)
{
    size_t done = 0;
    if (p->backlog.len == p->backlog_off)
        done = handle_bytes(p, data, len);
    if (done < len && p->state != PEER_CLOSING)
        buf_put(&p->backlog, data + done, len - done);
    charge(p);
    if (p->charged > p->net->c.max_receive_buffer)
        peer_disconnect(p, "receive buffer full");
    else if (total_memory(p->net) > p->net->c.memory_budget)
        shed_memory(p->net);
}

static void set_reading(struct peer *p, bool on)
{
    if (p->reading == on || p->read_ev == NULL)
        return;
    if (on)
        event_add(p->read_ev, NULL);
    else
        event_del(p->read_ev);
    p->reading = on;
}

void peer_on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct peer *p = arg;
    struct net *net = p->net;
    if (p->paused || p->state == PEER_CLOSING) {
        set_reading(p, false);
        return;
    }
    ssize_t n = recv(fd, net->read_buf, READ_CHUNK, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            peer_disconnect(p, strerror(errno));
        return;
    }
    if (n == 0) {
        peer_disconnect(p, "closed by the peer");
        return;
    }
    p->last_recv_ms = clock_mono_ms();
    p->last_recv_s = clock_now();
    p->bytes_received += (uint64_t)n;
    net->bytes_received += (uint64_t)n;
    if (p->socks != NULL)
        peer_on_proxy_bytes(p, net->read_buf, (size_t)n);
    else
        peer_take_bytes(p, net->read_buf, (size_t)n);
}

void peer_continue(struct peer *p)
{
    size_t left = p->backlog.len - p->backlog_off;
    if (left > 0) {
        p->backlog_off += handle_bytes(p, p->backlog.data + p->backlog_off, left);
        if (p->backlog_off == p->backlog.len) {
            buf_clear(&p->backlog);
            p->backlog_off = 0;
        }
        charge(p);
    } else if (p->paused == 0 && p->state != PEER_CLOSING && frame_in_payload(&p->frame)) {
        (void)handle_bytes(p, p->net->read_buf, 0); /* an end that waits for no byte */
    }
    if (p->paused == 0 && p->state != PEER_CLOSING && p->tcp_up)
        set_reading(p, true);
}

void peer_set_pause(struct peer *p, unsigned reason)
{
    p->paused |= reason;
    set_reading(p, false);
}

void peer_clear_pause(struct peer *p, unsigned reason)
{
    if (!(p->paused & reason))
        return;
    p->paused &= ~reason;
    if (p->paused != 0)
        return;
    /* the time we did not listen is not the peer's */
    int64_t now = clock_mono_ms();
    p->message_start_ms = now;
    p->message_start_bytes = p->frame.received;
    p->last_recv_ms = now;
    p->ping_deadline_ms = now + p->net->c.inactivity_timeout_s * 1000;
    net_kick(p);
}

void peer_pause_reading(struct peer *p)
{
    peer_set_pause(p, PAUSE_NODE);
}

void peer_resume_reading(struct peer *p)
{
    peer_clear_pause(p, PAUSE_NODE);
}

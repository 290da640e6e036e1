/*
 * Peers of the daemon under load. Pings are not answered: no run lasts long enough for that to
 * matter.
 */
#include <config.h>

#include "contrib/bench_load.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/frame.h"
#include "p2p/msg.h"

#define READ_PIECE (256u << 10)
#define SEND_PIECE (1u << 20)
#define HANDSHAKE_MS 10000
#define LAST_ANSWER_US INT64_C(10000000)

static const uint8_t regtest_magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };

struct link {
    int fd;
    struct frame frame;
    uint8_t *in;
    /* What to do with a message; the digest of its payload is in the frame. */
    void (*on_message)(void *ctx, struct link *l, const char *command, struct span payload);
    void *ctx;
    bool verack, pong;
    uint64_t rejects;
};

/* --- one peer ------------------------------------------------------------------------------- */

static void link_send(struct link *l, const char *command, const struct buf *payload)
{
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4];
    struct buf whole;
    buf_init(&whole);
    frame_checksum(sum, payload->data, payload->len);
    buf_put(&whole, head, frame_header_put(head, regtest_magic, command, payload->len, sum));
    buf_put(&whole, payload->data, payload->len);
    send_whole(l->fd, whole.data, whole.len);
    buf_clear(&whole);
}

static void link_message(struct link *l)
{
    char command[FRAME_COMMAND_SIZE + 1] = { 0 };
    const struct buf nothing = { 0 };
    memcpy(command, l->frame.command, FRAME_COMMAND_SIZE);
    if (strcmp(command, "version") == 0)
        link_send(l, "verack", &nothing);
    l->verack = l->verack || strcmp(command, "verack") == 0;
    l->pong = l->pong || strcmp(command, "pong") == 0;
    l->rejects += strcmp(command, "reject") == 0;
    if (l->on_message)
        l->on_message(l->ctx, l, command, l->frame.data);
}

/* Reads what is there and hands out its messages. */
static void link_read(struct link *l)
{
    ssize_t n = recv(l->fd, l->in, READ_PIECE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    errno = n == 0 ? 0 : errno;
    if (n <= 0)
        die("the peer closed the connection");
    size_t at = 0, used;
    for (;;) {
        enum frame_event ev = frame_feed(&l->frame, l->in + at, (size_t)n - at, &used);
        at += used;
        if (ev == FRAME_MORE)
            return;
        if (ev == FRAME_HEADER)
            frame_take(&l->frame, FRAME_COLLECT);
        else if (ev == FRAME_MESSAGE)
            link_message(l);
        else
            die("the peer sent no messages");
    }
}

/* Waits for something to read, until the time given. */
static void link_wait(struct link *l, int64_t until_us)
{
    int64_t left = MAX_OF(until_us - clock_mono_us(), 0);
    struct timespec t = { left / 1000000, left % 1000000 * 1000 };
    struct pollfd p = { l->fd, POLLIN, 0 };
    if (ppoll(&p, 1, &t, NULL) > 0)
        link_read(l);
}

static void link_open(struct link *l, int64_t port)
{
    static const char agent[] = "/bench_load/";
    struct msg_version version = { .version = MSG_PROTOCOL_VERSION, .time = clock_now(),
                                   .user_agent = span_of(agent, sizeof agent - 1),
                                   .nonce = (uint64_t)clock_mono_us(), .relay = true };
    struct buf payload;
    int64_t end = clock_mono_us() + HANDSHAKE_MS * 1000;
    *l = (struct link){ .fd = connect_port(port), .in = xmalloc(READ_PIECE) };
    frame_init(&l->frame, regtest_magic);
    buf_init(&payload);
    msg_version_write(&payload, &version);
    link_send(l, "version", &payload);
    buf_clear(&payload);
    while (!l->verack && clock_mono_us() < end)
        link_wait(l, end);
    errno = 0;
    if (!l->verack)
        die("no handshake");
}

static void link_close(struct link *l)
{
    close(l->fd);
    frame_clear(&l->frame);
    free(l->in);
}

/* --- as many as the daemon takes ------------------------------------------------------------ */

/* Sends all of it, reading meanwhile so that neither side waits for the other. */
static void send_reading(struct link *l, struct span data)
{
    size_t at = 0;
    while (at < data.len) {
        struct pollfd p = { l->fd, POLLIN | POLLOUT, 0 };
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            die("poll");
        if (p.revents & POLLIN)
            link_read(l);
        if (!(p.revents & POLLOUT))
            continue;
        ssize_t n = send(l->fd, data.data + at, MIN_OF(data.len - at, SEND_PIECE),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            die("send");
        at += n > 0 ? (size_t)n : 0;
    }
}

static void wait_for_pong(struct link *l)
{
    struct buf nonce;
    buf_init(&nonce);
    buf_put_le64(&nonce, 1);
    link_send(l, "ping", &nonce);
    buf_clear(&nonce);
    while (!l->pong)
        link_wait(l, clock_mono_us() + 1000000);
}

void run_txs(const struct config *c)
{
    struct link l;
    struct buf messages;
    buf_init(&messages);
    load_file(config_string(c, "messages"), &messages);
    link_open(&l, config_int(c, "port"));
    int64_t start = clock_mono_us();
    send_reading(&l, buf_span(&messages));
    int64_t sent = clock_mono_us();
    wait_for_pong(&l);
    printf("{\"start\": %.6f, \"sent_seconds\": %.6f, \"pong_seconds\": %.6f, \"bytes\": %zu, "
           "\"rejects\": %" PRIu64 "}\n", (double)start / 1e6, (double)(sent - start) / 1e6,
           (double)(clock_mono_us() - start) / 1e6, messages.len, l.rejects);
    fflush(stdout);
    for (char byte; read(STDIN_FILENO, &byte, 1) > 0;)
        ;
    link_close(&l);
    buf_clear(&messages);
}

/* --- one by one, to the other side ---------------------------------------------------------- */

struct hop {
    struct hash256 id;
    int64_t sent_us, inv_us, tx_us; /* 0: not yet */
};

struct relay {
    struct hop *hops;
    size_t n, invs, txs;
};

static struct hop *find_hop(struct relay *r, const uint8_t id[32])
{
    for (size_t i = r->n; i-- > 0;)
        if (memcmp(r->hops[i].id.b, id, 32) == 0)
            return &r->hops[i];
    return NULL;
}

/* Asks for what is announced. */
static void on_inv(struct relay *r, struct link *l, struct span payload)
{
    struct inv_item *items, *wanted;
    struct buf ask;
    size_t n, n_wanted = 0;
    int64_t now = clock_mono_us();
    errno = 0;
    if (msg_inv_read(&items, &n, payload))
        die("an inv cannot be read");
    wanted = xcalloc(n + 1, sizeof *wanted);
    for (size_t i = 0; i < n; i++) {
        struct hop *h = items[i].type == INV_TX ? find_hop(r, items[i].hash.b) : NULL;
        if (!h || h->inv_us)
            continue;
        h->inv_us = now;
        r->invs++;
        wanted[n_wanted++] = items[i];
    }
    buf_init(&ask);
    msg_inv_write(&ask, wanted, n_wanted);
    if (n_wanted)
        link_send(l, "getdata", &ask);
    buf_clear(&ask);
    free(items);
    free(wanted);
}

static void on_relay_message(void *ctx, struct link *l, const char *command, struct span payload)
{
    struct relay *r = ctx;
    if (strcmp(command, "inv") == 0) {
        on_inv(r, l, payload);
    } else if (strcmp(command, "tx") == 0) {
        struct hop *h = find_hop(r, l->frame.digest);
        if (!h || h->tx_us)
            return;
        h->tx_us = clock_mono_us();
        r->txs++;
    }
}

/* The message of the file that begins there. */
static struct span next_message(const struct buf *file, size_t at)
{
    errno = 0;
    if (file->len - at < FRAME_HEADER_SIZE)
        die("the file has no more messages");
    size_t size = FRAME_HEADER_SIZE + (size_t)le32_get(file->data + at + 16);
    if (size > file->len - at)
        die("the file ends inside a message");
    return span_of(file->data + at, size);
}

static void print_relay(const struct relay *r)
{
    struct samples inv = { 0 }, tx = { 0 };
    for (size_t i = 0; i < r->n; i++) {
        if (r->hops[i].inv_us)
            samples_add(&inv, r->hops[i].inv_us - r->hops[i].sent_us);
        if (r->hops[i].tx_us)
            samples_add(&tx, r->hops[i].tx_us - r->hops[i].sent_us);
    }
    printf("{\"sent\": %zu, \"announced\": %zu, \"delivered\": %zu, ", r->n, r->invs, r->txs);
    samples_print(&inv, "inv");
    printf(", ");
    samples_print(&tx, "tx");
    printf("}\n");
    free(inv.list);
    free(tx.list);
}

void run_relay(const struct config *c)
{
    struct link from, to;
    struct buf messages;
    size_t count = (size_t)config_int(c, "count"), at = 0;
    struct relay r = { .hops = xcalloc(count + 1, sizeof *r.hops) };
    buf_init(&messages);
    load_file(config_string(c, "messages"), &messages);
    link_open(&from, config_int(c, "port"));
    link_open(&to, config_int(c, "to"));
    to.on_message = on_relay_message;
    to.ctx = &r;
    for (int64_t i = config_int(c, "skip"); i > 0; i--)
        at += next_message(&messages, at).len;
    int64_t next = clock_mono_us();
    while (r.n < count) {
        struct span m = next_message(&messages, at);
        struct hop *h = &r.hops[r.n++];
        at += m.len;
        sha256d(h->id.b, m.data + FRAME_HEADER_SIZE, m.len - FRAME_HEADER_SIZE);
        h->sent_us = clock_mono_us();
        send_whole(from.fd, m.data, m.len);
        for (next += config_int(c, "gap"); clock_mono_us() < next;)
            link_wait(&to, next);
        link_read(&from);
    }
    for (int64_t end = clock_mono_us() + LAST_ANSWER_US; r.txs < r.n && clock_mono_us() < end;)
        link_wait(&to, end);
    print_relay(&r);
    link_close(&from);
    link_close(&to);
    buf_clear(&messages);
    free(r.hops);
}

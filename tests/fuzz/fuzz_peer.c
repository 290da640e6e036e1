/*
 * A whole connection: the input is a list of messages (command number, length, payload) that one
 * peer receives in order, so every handler meets every payload in every state (attacks C9). The
 * first byte chooses direction, whether the handshake is played first, and one-byte slicing.
 * Afterwards all memory charged to the peer must be gone.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/thread.h>

#include "base/clock.h"
#include "p2p/net_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICE_OUTBOUND = 1, CHOICE_HANDSHAKE = 2, CHOICE_SLICED = 4, CHOICE_RAW = 8,
       CHOICE_PAUSE = 16 };

static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };
static unsigned open_peers, open_streams;

static void on_ready(void *ctx, struct peer *p)
{
    (void)ctx;
    (void)p;
    open_peers++;
}

static void on_close(void *ctx, struct peer *p)
{
    (void)ctx;
    (void)p;
    open_peers--;
}

static enum stream_choice begin(void *ctx, struct peer *p, enum msg_id id, uint64_t size,
                                const uint8_t *checksum)
{
    (void)ctx;
    (void)p;
    (void)id;
    (void)checksum;
    if (size % 3 == 0)
        return STREAM_SKIP;
    open_streams++;
    return STREAM_TAKE;
}

static enum stream_flow piece(void *ctx, struct peer *p, const uint8_t *data, size_t len)
{
    (void)ctx;
    (void)p;
    return data[len - 1] % 5 == 0 ? STREAM_STOP : data[0] % 7 == 0 ? STREAM_PAUSE : STREAM_MORE;
}

static void end(void *ctx, struct peer *p, enum stream_end how)
{
    (void)ctx;
    (void)p;
    (void)how;
    open_streams--;
}

static void answer_locator(void *ctx, struct peer *p, const struct msg_locator *m)
{
    (void)ctx;
    peer_send_getheaders(p, m->hashes, m->n, &m->stop);
}

static void on_items(void *ctx, struct peer *p, const struct inv_item *items, size_t n)
{
    (void)ctx;
    peer_send_inv(p, MSG_NOTFOUND, items, n);
}

static void on_block_headers(void *ctx, struct peer *p, const struct block_header *h, size_t n)
{
    (void)ctx;
    peer_send_headers(p, h, n);
}

static struct net *make_net(void)
{
    struct net_config c = { .magic = { 0xda, 0xb5, 0xbf, 0xfa }, .default_port = 18444,
                            .chain = SEEDS_REGTEST, .user_agent = "/BSVPeer:0.1.0/",
                            .services = SERVICE_NETWORK, .connect_none = true, .relay_tx = true };
    struct net_handlers h = { .on_ready = on_ready, .on_close = on_close, .stream_begin = begin,
                              .stream_data = piece, .stream_end = end,
                              .on_getheaders = answer_locator, .on_getblocks = answer_locator,
                              .on_getdata = on_items, .on_inv = on_items,
                              .on_headers = on_block_headers };
    struct net *net;
    struct error e;
    (void)evthread_use_pthreads();
    if (net_new(&net, &c, &h, event_base_new(), &e) != OK)
        abort();
    return net;
}

static void feed(struct peer *p, const void *data, size_t len, unsigned choice)
{
    size_t step = choice & CHOICE_SLICED ? 1 : len;
    for (size_t at = 0; at < len && p->state != PEER_CLOSING; at += step)
        peer_take_bytes(p, (const uint8_t *)data + at, step);
    if (choice & CHOICE_PAUSE)
        peer_pause_reading(p);
}

static void feed_message(struct peer *p, const char *name, const void *payload, size_t len,
                         unsigned choice)
{
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4];
    frame_checksum(sum, payload, len);
    size_t n = frame_header_put(head, magic, name, len, sum);
    feed(p, head, n, choice);
    feed(p, payload, len, choice);
}

static void play_handshake(struct peer *p, unsigned choice)
{
    struct msg_version m = { .version = MSG_PROTOCOL_VERSION, .services = SERVICE_NETWORK,
                             .user_agent = span_of("/BSV/", 5), .relay = true };
    struct buf b;
    buf_init(&b);
    msg_version_write(&b, &m);
    feed_message(p, "version", b.data, b.len, choice);
    feed_message(p, "verack", NULL, 0, choice);
    buf_clear(&b);
}

static void play_list(struct peer *p, const uint8_t *data, size_t size, unsigned choice)
{
    for (size_t at = 0; at + 3 <= size;) {
        const struct msg_row *row = msg_row((enum msg_id)(data[at] % MSG_ID_COUNT));
        size_t len = le16_get(data + at + 1) % 4096;
        at += 3;
        if (len > size - at)
            len = size - at;
        feed_message(p, row->name, data + at, len, choice);
        at += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct net *net;
    int fds[2];
    struct netaddr a;
    if (net == NULL)
        net = make_net();
    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
        return 0;
    unsigned choice = data[0];
    netaddr_from_ipv4(&a, (const uint8_t[]){ 8, 8, 8, 8 }, 18444);
    struct peer *p =
        peer_new(net, choice & CHOICE_OUTBOUND ? PEER_OUTBOUND : PEER_INBOUND, fds[0], &a);
    p->tcp_up = true;
    peer_connected(p);
    if (choice & CHOICE_HANDSHAKE)
        play_handshake(p, choice & CHOICE_SLICED);
    if (choice & CHOICE_RAW)
        feed(p, data + 1, size - 1, choice);
    else
        play_list(p, data + 1, size - 1, choice);
    event_base_loop(net->base, EVLOOP_NONBLOCK);
    if (net->n_peers > 0) {
        peer_resume_reading(net->peers[0]);
        event_base_loop(net->base, EVLOOP_NONBLOCK);
    }
    if (net->n_peers > 0)
        peer_disconnect(net->peers[0], "end of the input");
    event_base_loop(net->base, EVLOOP_NONBLOCK);
    close(fds[1]);
    if (net->n_peers != 0 || open_peers != 0 || open_streams != 0 || net->receive_memory != 0 ||
        net->send_memory != 0)
        abort();
    banlist_clear(net->bans);
    net->n_time_samples = 0;
    return 0;
}

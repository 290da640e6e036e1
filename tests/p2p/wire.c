#include "tests/p2p/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/p2p/net_fixture.h"

static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };

static void wire_init(struct wire *w, struct event_base *base)
{
    memset(w, 0, sizeof(*w));
    w->base = base;
    w->fd = w->listen_fd = -1;
    frame_init(&w->frame, magic);
    buf_init(&w->in);
    buf_init(&w->payload);
}

static struct sockaddr_in6 loopback(uint16_t port)
{
    return (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                  .sin6_port = htons(port) };
}

void wire_connect(struct wire *w, struct event_base *base, uint16_t port)
{
    wire_init(w, base);
    struct sockaddr_in6 a = loopback(port);
    w->fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(w->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(w->fd, F_SETFL, O_NONBLOCK), 0);
}

uint16_t wire_listen(struct wire *w, struct event_base *base)
{
    wire_init(w, base);
    struct sockaddr_in6 a = loopback(0);
    socklen_t len = sizeof(a);
    w->listen_fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(w->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(w->listen_fd, 5), 0);
    assert_int_equal(getsockname(w->listen_fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin6_port);
}

static bool accepted(void *ctx)
{
    struct wire *w = ctx;
    if (w->fd < 0)
        w->fd = accept4(w->listen_fd, NULL, NULL, SOCK_NONBLOCK);
    return w->fd >= 0;
}

void wire_accept(struct wire *w)
{
    assert_true(run_until(w->base, accepted, w, 5000));
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->listen_fd >= 0)
        close(w->listen_fd);
    frame_clear(&w->frame);
    buf_clear(&w->in);
    buf_clear(&w->payload);
}

void wire_send_raw(struct wire *w, const void *data, size_t len)
{
    const uint8_t *p = data;
    int64_t end = clock_mono_ms() + 5000;
    while (len > 0 && clock_mono_ms() < end) {
        ssize_t n = send(w->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* closed by the other side: seen by wire_expect_close */
        if (n < 0) {
            event_base_loop(w->base, EVLOOP_NONBLOCK);
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

void wire_send(struct wire *w, const char *command, const void *payload, size_t len)
{
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4];
    frame_checksum(sum, payload, len);
    size_t n = frame_header_put(head, magic, command, len, sum);
    wire_send_raw(w, head, n);
    wire_send_raw(w, payload, len);
}

void wire_send_header(struct wire *w, const char *command, uint32_t size)
{
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4] = { 0 };
    frame_header_put(head, magic, command, size, sum);
    wire_send_raw(w, head, FRAME_HEADER_SIZE);
}

struct msg_version wire_version(void)
{
    return (struct msg_version){
        .version = MSG_PROTOCOL_VERSION, .services = SERVICE_NETWORK, .time = clock_now(),
        .nonce = 0x1234, .user_agent = span_of("/BSV scripted/", 14), .start_height = 5,
        .relay = true,
    };
}

void wire_send_version(struct wire *w, const struct msg_version *m)
{
    struct buf b;
    buf_init(&b);
    msg_version_write(&b, m);
    wire_send(w, "version", b.data, b.len);
    buf_clear(&b);
}

static void fill(struct wire *w)
{
    uint8_t chunk[65536];
    ssize_t n;
    while ((n = recv(w->fd, chunk, sizeof(chunk), 0)) > 0)
        buf_put(&w->in, chunk, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        w->closed = true;
}

static bool cut(struct wire *w)
{
    for (;;) {
        size_t used;
        enum frame_event ev =
            frame_feed(&w->frame, w->in.data + w->in_off, w->in.len - w->in_off, &used);
        w->in_off += used;
        if (ev == FRAME_MORE)
            return false;
        if (ev == FRAME_HEADER) {
            frame_take(&w->frame, FRAME_COLLECT);
            continue;
        }
        assert_int_equal(ev, FRAME_MESSAGE);
        assert_true(w->frame.checksum_ok);
        memcpy(w->command, w->frame.command, MSG_NAME_MAX);
        buf_reset(&w->payload);
        buf_put(&w->payload, w->frame.data.data, w->frame.data.len);
        return true;
    }
}

static bool next_within(struct wire *w, int64_t ms)
{
    int64_t end = clock_mono_ms() + ms;
    while (!cut(w)) {
        if (w->closed || clock_mono_ms() > end)
            return false;
        event_base_loop(w->base, EVLOOP_NONBLOCK);
        fill(w);
        usleep(200);
    }
    return true;
}

bool wire_poll(struct wire *w)
{
    if (cut(w))
        return true;
    fill(w);
    return cut(w);
}

bool wire_next(struct wire *w)
{
    return next_within(w, 20000);
}

void wire_expect(struct wire *w, const char *command)
{
    if (!wire_next(w))
        fail_msg("%s did not come", command);
    assert_string_equal(w->command, command);
}

void wire_expect_later(struct wire *w, const char *command)
{
    do {
        if (!wire_next(w))
            fail_msg("%s did not come", command);
    } while (strcmp(w->command, command) != 0);
}

void wire_expect_silence(struct wire *w, int64_t ms)
{
    if (next_within(w, ms))
        fail_msg("unexpected %s", w->command);
    assert_false(w->closed);
}

void wire_expect_close(struct wire *w)
{
    while (wire_next(w))
        ;
    assert_true(w->closed);
}

void wire_handshake(struct wire *w)
{
    struct msg_version m = wire_version();
    wire_send_version(w, &m);
    wire_expect(w, "version");
    wire_expect(w, "verack");
    wire_expect(w, "protoconf");
    wire_send(w, "verack", NULL, 0);
    wire_expect(w, "sendheaders");
    wire_expect(w, "sendcmpct");
    wire_expect(w, "ping");
}

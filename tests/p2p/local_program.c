#include "tests/p2p/local_program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/test.h"

int program_listen(int type, uint16_t *port)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t len = sizeof a;
    const int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin6_port);
    return fd;
}

static int hold(const struct sockaddr *a, socklen_t len)
{
    const int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    if (bind(fd, a, len) == 0)
        return fd;
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
    return -1;
}

uint16_t program_reserve(int held[2])
{
    for (int i = 0; i < 100; i++) {
        struct sockaddr_in four = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_in6 six = { .sin6_family = AF_INET6,
                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        socklen_t len = sizeof four;
        held[0] = hold((struct sockaddr *)&four, sizeof four);
        assert_true(held[0] >= 0);
        assert_int_equal(getsockname(held[0], (struct sockaddr *)&four, &len), 0);
        six.sin6_port = four.sin_port;
        held[1] = hold((struct sockaddr *)&six, sizeof six);
        if (held[1] >= 0)
            return ntohs(four.sin_port);
        close(held[0]);
    }
    fail_msg("no port is free in both families");
    return 0;
}

int program_listen_unix(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof a.sun_path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

int program_connect(int family, int type, uint16_t port)
{
    const struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port),
                                      .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    const struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(family, type | SOCK_CLOEXEC, 0);
    const int rc = family == AF_INET6 ? connect(fd, (const void *)&six, sizeof six)
                                      : connect(fd, (const void *)&four, sizeof four);
    assert_int_equal(rc, 0);
    return fd;
}

struct waiting { int fd, got; };

static bool has_come(void *ctx)
{
    struct waiting *w = ctx;
    w->got = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return w->got >= 0;
}

int program_accept(struct fake *f, int listener)
{
    struct waiting w = { listener, -1 };
    for (int i = 0; i < 20000 && !has_come(&w); i++) {
        fake_settle(f);
        usleep(100);
    }
    assert_true(w.got >= 0);
    return w.got;
}

void program_read(struct fake *f, int fd, void *out, size_t len)
{
    size_t got = 0;
    for (int i = 0; i < 200000 && got < len; i++) {
        const ssize_t n = recv(fd, (uint8_t *)out + got, len - got, MSG_DONTWAIT);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        got += n > 0 ? (size_t)n : 0;
        fake_settle(f);
        if (n < 0)
            usleep(100);
    }
    assert_int_equal(got, len);
}

void program_write(struct fake *f, int fd, const void *data, size_t len)
{
    size_t sent = 0;
    for (int i = 0; i < 200000 && sent < len; i++) {
        const ssize_t n = send(fd, (const uint8_t *)data + sent, len - sent,
                               MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        sent += n > 0 ? (size_t)n : 0;
        fake_settle(f);
        if (n < 0)
            usleep(100);
    }
    assert_int_equal(sent, len);
}

int program_await_end(struct fake *f, int fd)
{
    char rest[4096];
    for (int i = 0; i < 200000; i++) {
        const ssize_t n = recv(fd, rest, sizeof rest, MSG_DONTWAIT);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN)
            return errno;
        fake_settle(f);
        if (n < 0)
            usleep(100);
    }
    fail_msg("no end came");
    return -1;
}

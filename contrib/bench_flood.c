/*
 * A flood of beginnings of handshakes of direct channels, for contrib/bench and the functional
 * tests (attacks E1): each comes from a /64 of its own, out of a prefix that the loopback interface
 * has as a local route. Of four connections two send an act 1 with a point of the curve and a wrong
 * tag, which costs the other side a key agreement, one sends rubbish, and one is silent. Each is
 * kept open while OPEN_MAX younger ones are made, or as many as may be open, and then reset.
 *
 * usage: bench_flood PREFIX ADDRESS PORT RATE
 *        PREFIX: the first 32 bits, as an IPv6 address; RATE: connections a second, 0: all it can
 *
 * Runs until its standard input ends, or for ten minutes; then prints one line of JSON: tries,
 * unanswered (of those, the ones that the other side's kernel did not take), seconds.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "base/rand.h"
#include "contrib/bench_loop.h"
#include "p2p/dchan_hs.h"

#define OPEN_MAX 4096
#define OTHER_FILES 16
#define POINTS 256
#define BATCH 16 /* between looks at the clock */
#define SECONDS_MAX 600
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

enum act { ACT_POINT, ACT_RUBBISH, ACT_OTHER_POINT, ACT_SILENT, ACTS };

struct one {
    int fd; /* -1: none */
    enum act act;
};

static struct {
    struct sockaddr_in6 from, to;
    uint64_t rate, tries, unanswered;
    uint32_t first; /* others may flood beside */
    size_t n_open;
    struct one open[OPEN_MAX];
    uint8_t points[POINTS][IDENTITY_KEY_SIZE];
} flood;

static void make_points(void)
{
    uint8_t secret[32];
    for (size_t i = 0; i < POINTS; i++) {
        rand_bytes(secret, sizeof secret);
        if (!ec_pubkey_of(flood.points[i], secret))
            die("no key");
    }
}

static void send_act(struct one *o)
{
    uint8_t act[DCHAN_ACT_ONE_SIZE];
    if (o->act == ACT_SILENT)
        return;
    memset(act, 0x5a, sizeof act);
    if (o->act != ACT_RUBBISH) {
        act[0] = 0;
        memcpy(act + 1, flood.points[flood.tries % POINTS], IDENTITY_KEY_SIZE);
    }
    (void)send(o->fd, act, sizeof act, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void end(struct one *o)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (o->fd < 0)
        return;
    if (getsockopt(o->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
        flood.unanswered += info.tcpi_state == TCP_SYN_SENT;
    (void)setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(o->fd);
    o->fd = -1;
}

/* The 32 bits behind the prefix are a /64 for each try, in no order. */
static void next_source(void)
{
    const uint32_t group = htonl((flood.first + (uint32_t)flood.tries) * UINT32_C(2654435769));
    memcpy(flood.from.sin6_addr.s6_addr + 4, &group, sizeof group);
    flood.from.sin6_addr.s6_addr[15] = 1;
}

static void begin(struct one *o)
{
    const int one = 1;
    end(o);
    next_source();
    o->act = (enum act)(flood.tries++ % ACTS);
    o->fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (o->fd < 0)
        die("no socket: raise the limit of open files (ulimit -n)");
    (void)setsockopt(o->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    (void)setsockopt(o->fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof one);
    if (bind(o->fd, (struct sockaddr *)&flood.from, sizeof flood.from) != 0)
        die("no address of the prefix can be bound");
    /* On loopback it is connected by now unless the other side's queue was full. */
    if (connect(o->fd, (struct sockaddr *)&flood.to, sizeof flood.to) != 0 && errno != EINPROGRESS)
        end(o);
    else
        send_act(o);
}

static bool is_over(void)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&in, 1, 0) > 0;
}

static size_t most_open(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max <= 2 * OTHER_FILES)
        die("too few files may be open (ulimit -Hn)");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return (size_t)MIN_OF((uint64_t)limit.rlim_max - OTHER_FILES, UINT64_C(0) + OPEN_MAX);
}

/* Not faster than the rate. */
static void hold_back(double start)
{
    if (!flood.rate)
        return;
    const double due = start + (double)flood.tries / (double)flood.rate;
    const double early = due - seconds_of(CLOCK_MONOTONIC);
    if (early > 0)
        usleep((useconds_t)MIN_OF((uint64_t)(early * 1e6), UINT64_C(100000)));
}

int main(int argc, char **argv)
{
    if (argc != 5 || inet_pton(AF_INET6, argv[1], &flood.from.sin6_addr) != 1 ||
        inet_pton(AF_INET6, argv[2], &flood.to.sin6_addr) != 1)
        die("usage: bench_flood PREFIX ADDRESS PORT RATE");
    flood.from.sin6_family = flood.to.sin6_family = AF_INET6;
    flood.to.sin6_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    flood.rate = strtoull(argv[4], NULL, 10);
    ec_init();
    make_points();
    flood.first = (uint32_t)rand_u64();
    flood.n_open = most_open();
    for (size_t i = 0; i < flood.n_open; i++)
        flood.open[i].fd = -1;
    const double start = seconds_of(CLOCK_MONOTONIC);
    double seconds;
    do {
        for (int i = 0; i < BATCH; i++)
            begin(&flood.open[flood.tries % flood.n_open]);
        hold_back(start);
        seconds = seconds_of(CLOCK_MONOTONIC) - start;
    } while (!is_over() && seconds < SECONDS_MAX);
    for (size_t i = 0; i < flood.n_open; i++)
        end(&flood.open[i]);
    printf("{\"tries\":%llu,\"unanswered\":%llu,\"seconds\":%.3f}\n",
           (unsigned long long)flood.tries, (unsigned long long)flood.unanswered, seconds);
    return EXIT_SUCCESS;
}

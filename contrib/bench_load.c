/*
 * The load of contrib/bench, where Python would be the limit. Prints one line of JSON.
 *
 *   bench_load http -port=N -auth=USER:PASSWORD -requests=FILE [-connections=N] [-ms=N] [-count=N]
 *       posts the lines of the file in turn over keep-alive connections, one request at a time on
 *       each, until the time is over or so many were sent
 *   bench_load bare [-connections=N] [-ms=N]
 *       the same client against a server of its own that answers at once: what the sockets allow
 *   bench_load txs -port=N -messages=FILE
 *       sends the file to a peer as fast as it reads, then a ping; stays connected until its
 *       standard input ends
 *   bench_load relay -port=N -to=N -messages=FILE [-skip=N] [-count=N] [-gap=US]
 *       sends transactions one by one to one port and takes the time until the other announces and
 *       delivers them
 */
#include <config.h>

#include "contrib/bench_load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/config.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"

#define OPTION(name_, type_, arg_, ...)                                                            \
    { .name = name_, .type = type_, .arg = arg_, .category = "Options", __VA_ARGS__ }

static const struct option_row option_rows[] = {
    OPTION("port", OPTION_INT, "<port>", .min = 1, .max = 65535, .help = "Where to connect"),
    OPTION("to", OPTION_INT, "<port>", .min = 1, .max = 65535, .help = "Where to listen"),
    OPTION("auth", OPTION_STRING, "<user:password>", .help = "Credentials"),
    OPTION("requests", OPTION_STRING, "<file>", .help = "Bodies, one a line"),
    OPTION("messages", OPTION_STRING, "<file>", .help = "Messages as they go over the wire"),
    OPTION("connections", OPTION_INT, "<n>", .def = "1", .min = 1, .max = 1000,
           .help = "Connections"),
    OPTION("ms", OPTION_INT, "<ms>", .def = "600000", .min = 1, .max = 86400000,
           .help = "Time at most"),
    OPTION("count", OPTION_INT, "<n>", .def = "0", .max = INT32_MAX,
           .help = "Requests or transactions at most; 0: no limit"),
    OPTION("skip", OPTION_INT, "<n>", .def = "0", .max = INT32_MAX,
           .help = "Transactions to leave out first"),
    OPTION("gap", OPTION_INT, "<us>", .def = "10000", .max = INT32_MAX,
           .help = "Time between transactions"),
};

void die(const char *what)
{
    if (errno)
        fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    else
        fprintf(stderr, "bench_load: %s\n", what);
    exit(1);
}

void load_file(const char *path, struct buf *out)
{
    struct error e = { 0 };
    errno = 0;
    if (!path || file_read_all(path, SIZE_MAX, out, &e))
        die(path ? e.text : "a file is missing");
}

int connect_port(int64_t port)
{
    const struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&a, sizeof a))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

void send_whole(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("send");
        p += n;
        len -= (size_t)n;
    }
}

/* --- durations ------------------------------------------------------------------------------ */

void samples_add(struct samples *s, int64_t us)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 4096;
        s->list = xrealloc(s->list, s->cap * sizeof *s->list);
    }
    s->list[s->n++] = (uint32_t)MIN_OF(us, (int64_t)UINT32_MAX);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct samples *s, unsigned percent)
{
    return s->n ? s->list[(s->n - 1) * percent / 100] : 0;
}

void samples_print(struct samples *s, const char *name)
{
    if (s->n)
        qsort(s->list, s->n, sizeof *s->list, by_size);
    printf("\"%s_p50_us\": %u, \"%s_p99_us\": %u", name, percentile(s, 50), name,
           percentile(s, 99));
}

/* -------------------------------------------------------------------------------------------- */

static const struct { const char *name; void (*run)(const struct config *c); } modes[] = {
    { "http", run_http }, { "bare", run_bare }, { "txs", run_txs }, { "relay", run_relay },
};

int main(int argc, char **argv)
{
    struct error e = { 0 };
    struct config *c = config_new(option_rows, COUNT_OF(option_rows), NULL, NULL);
    int used;
    if (argc < 2 || config_parse_args(c, argc - 1, argv + 1, &used, &e) || used != argc - 1)
        die(e.text[0] ? e.text : "usage: bench_load http|bare|txs|relay [-option=value]...");
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].run(c);
            config_free(c);
            return 0;
        }
    errno = 0;
    die("the first argument is http, bare, txs or relay");
}

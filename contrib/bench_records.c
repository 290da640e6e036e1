/*
 * The bare record loop of direct channels, for contrib/bench: one thread seals records of 16 KiB
 * of stream data and writes them to a socket on loopback, another reads and opens them. What a file
 * or a stream of the daemon reaches is held against it. With `pipes` what is sealed comes from
 * standard input and what was opened goes to standard output, as of a stream between two commands.
 *
 * usage: bench_records BYTES [pipes]     prints one line of JSON, with `pipes` to standard error
 */
#include <config.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ec.h"
#include "base/mem.h"
#include "contrib/bench_loop.h"
#include "p2p/dchan_rec.h"

#define RECORD 16384
#define HEAD 6
#define TOGETHER 4 /* sealed before they are written */
#define READ_SIZE (256 << 10)

struct end {
    int fd;
    bool pipes;
    uint64_t bytes;
    struct dchan_keys keys;
};

static void connect_both(int *a, int *b)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t len = sizeof at;
    const int one = 1, listener = socket(AF_INET6, SOCK_STREAM, 0);
    *a = socket(AF_INET6, SOCK_STREAM, 0);
    if (listener < 0 || *a < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) ||
        listen(listener, 1) || getsockname(listener, (struct sockaddr *)&at, &len) ||
        connect(*a, (struct sockaddr *)&at, sizeof at))
        die("no socket on loopback");
    *b = accept(listener, NULL, NULL);
    if (*b < 0 || setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
        die("no connection on loopback");
    close(listener);
}

static void put(struct dchan_rec *rec, const struct end *e, uint64_t *left)
{
    static const uint8_t head[HEAD] = { 0, DCHAN_S_DATA, 0, 0, 0, 1 };
    static uint8_t data[RECORD];
    const ssize_t n = e->pipes ? read(STDIN_FILENO, data, sizeof data) : (ssize_t)sizeof data;
    if (n <= 0)
        die("standard input ended early");
    if (dchan_rec_put(rec, span_of(head, sizeof head), span_of(data, (size_t)n), 1))
        die("a record could not be sealed");
    *left -= *left > (size_t)n ? (size_t)n : *left;
}

static void *seal_all(void *arg)
{
    struct end *e = arg;
    struct dchan_rec *rec = dchan_rec_new(DCHAN_INITIATOR, &e->keys, 1);
    for (uint64_t left = e->bytes; left;) {
        for (unsigned i = 0; i < TOGETHER && left; i++)
            put(rec, e, &left);
        for (struct span out; (out = dchan_rec_output(rec)).len;) {
            const ssize_t n = write(e->fd, out.data, out.len);
            if (n <= 0)
                die("the socket refused what was written");
            dchan_rec_written(rec, (size_t)n);
        }
    }
    shutdown(e->fd, SHUT_WR);
    dchan_rec_free(rec);
    return NULL;
}

static void write_all(struct span data)
{
    while (data.len) {
        const ssize_t n = write(STDOUT_FILENO, data.data, data.len);
        if (n <= 0)
            die("standard output refused what was written");
        data = span_of(data.data + n, data.len - (size_t)n);
    }
}

static uint64_t open_all(struct dchan_rec *rec, struct span in, bool pipes)
{
    uint64_t got = 0;
    struct span msg;
    do {
        if (dchan_rec_read(rec, &in, 1, &msg))
            die("a record could not be opened");
        got += msg.len ? msg.len - HEAD : 0;
        if (pipes && msg.len)
            write_all(span_of(msg.data + HEAD, msg.len - HEAD));
    } while (msg.len);
    return got;
}

static uint64_t read_all(const struct end *e)
{
    struct dchan_rec *rec = dchan_rec_new(DCHAN_RESPONDER, &e->keys, 1);
    uint8_t *in = xmalloc(READ_SIZE);
    uint64_t got = 0;
    for (ssize_t n; (n = read(e->fd, in, READ_SIZE)) > 0;)
        got += open_all(rec, span_of(in, (size_t)n), e->pipes);
    free(in);
    dchan_rec_free(rec);
    return got;
}

int main(int argc, char **argv)
{
    struct end from = { .fd = -1 }, to = { .fd = -1 };
    pthread_t thread;
    to.pipes = from.pipes = argc == 3 && strcmp(argv[2], "pipes") == 0;
    if (argc != 2 + to.pipes || !(from.bytes = strtoull(argv[1], NULL, 10)))
        die("usage: bench_records BYTES [pipes]");
    ec_init();
    memset(from.keys.send_key, 0x11, sizeof from.keys.send_key);
    memset(to.keys.receive_key, 0x11, sizeof to.keys.receive_key);
    connect_both(&from.fd, &to.fd);
    const double start = seconds_of(CLOCK_MONOTONIC), cpu = cpu_seconds();
    if (pthread_create(&thread, NULL, seal_all, &from))
        die("no thread");
    const uint64_t got = read_all(&to);
    pthread_join(thread, NULL);
    if (got < from.bytes)
        die("bytes are missing");
    fprintf(to.pipes ? stderr : stdout,
            "{\"bytes\":%llu,\"seconds\":%.6f,\"cpu\":%.6f}\n", (unsigned long long)got,
           seconds_of(CLOCK_MONOTONIC) - start, cpu_seconds() - cpu);
    return EXIT_SUCCESS;
}

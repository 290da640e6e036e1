/* A raw client for tests: sends bytes, reads replies, knows nothing more. */
#ifndef TESTS_RPC_HTTP_CLIENT_H
#define TESTS_RPC_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/test.h"

static inline int client_connect(uint16_t port)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct timeval wait = { 10, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline void client_send(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

static inline void client_say(int fd, const char *text) { client_send(fd, text, strlen(text)); }

struct client_reply {
    int status;
    char head[4096];
    char *body; /* heap */
    size_t len;
    bool chunked;
};

static inline bool client_byte(int fd, char *c) { return recv(fd, c, 1, 0) == 1; }

/* Reads one line without its end; false at the end of the connection. */
static inline bool client_line(int fd, char *line, size_t cap)
{
    size_t n = 0;
    char c = 0;
    bool more;
    while ((more = client_byte(fd, &c)) && c != '\n')
        if (c != '\r' && n + 1 < cap)
            line[n++] = c;
    line[n] = 0;
    return more;
}

static inline void client_body(int fd, struct client_reply *r, size_t n)
{
    r->body = realloc(r->body, r->len + n + 1);
    for (size_t got = 0; got < n;) {
        ssize_t k = recv(fd, r->body + r->len + got, n - got, 0);
        assert_true(k > 0);
        got += (size_t)k;
    }
    r->len += n;
    r->body[r->len] = 0;
}

/* Reads one whole reply; false when the connection ended first. */
static inline bool client_read(int fd, struct client_reply *r)
{
    char line[2048] = "";
    size_t length = 0;
    *r = (struct client_reply){ 0 };
    if (!client_line(fd, line, sizeof line))
        return false;
    r->status = (int)strtol(line + 9, NULL, 10);
    while (client_line(fd, line, sizeof line) && *line) {
        size_t n = strlen(r->head);
        snprintf(r->head + n, sizeof r->head - n, "%s\n", line);
        if (strncmp(line, "Content-Length: ", 16) == 0)
            length = strtoull(line + 16, NULL, 10);
        r->chunked |= strcmp(line, "Transfer-Encoding: chunked") == 0;
    }
    client_body(fd, r, r->chunked ? 0 : length);
    while (r->chunked) {
        if (!client_line(fd, line, sizeof line))
            return false;
        size_t n = strtoull(line, NULL, 16);
        client_body(fd, r, n);
        if (!client_line(fd, line, sizeof line))
            return false;
        if (!n)
            break;
    }
    return true;
}

static inline bool client_at_end(int fd)
{
    char c;
    return recv(fd, &c, 1, 0) == 0;
}

static inline double client_now(void)
{
    struct timeval t;
    gettimeofday(&t, NULL);
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

#endif

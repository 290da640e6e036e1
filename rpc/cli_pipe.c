/*
 * bsvpeer-cli pipe: the node opens a port of this machine for one connection that knows a token
 * (pipeservice), and joins it with the stream. A thread sends what standard input has, so that
 * neither direction waits for the other one.
 */
#include <config.h>

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "rpc/cli_verbs.h"

#define PIECE 65536
#define LINE_MAX_SIZE 512
#define EXIT_BROKEN 2

/* --- connecting --- */

static int connect_to(const void *addr, socklen_t len)
{
    const struct sockaddr *sa = addr;
    const int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, sa, len) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_loopback(uint16_t port)
{
    const struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port),
                                      .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    const struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = connect_to(&six, sizeof six);
    return fd >= 0 ? fd : connect_to(&four, sizeof four);
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        const ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The line that says whether the stream was opened, without its end. */
static bool read_answer(int fd, char line[LINE_MAX_SIZE])
{
    for (size_t n = 0; n < LINE_MAX_SIZE; n++) {
        if (recv(fd, line + n, 1, 0) != 1)
            return false;
        if (line[n] == '\n') {
            line[n] = 0;
            return true;
        }
    }
    return false;
}

/* -1: it has been said why. */
static int open_pipe(uint16_t port, const char *token)
{
    char line[LINE_MAX_SIZE];
    const int fd = connect_loopback(port);
    if (fd < 0) {
        cli_complain("cannot reach the port of the node: it must run on this machine");
        return -1;
    }
    if (send_all(fd, token, strlen(token)) && send_all(fd, "\n", 1) && read_answer(fd, line)) {
        if (strcmp(line, "ok") == 0)
            return fd;
        fprintf(stderr, "%s\n", line);
    } else {
        cli_complain("the node broke the connection off");
    }
    close(fd);
    return -1;
}

/* --- joining --- */

struct joined {
    int fd;
    atomic_bool broken; /* as sending found: the system tells of a break once, to whom asks first */
};

static void *send_input(void *arg)
{
    struct joined *j = arg;
    char piece[PIECE];
    for (;;) {
        const ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (!send_all(j->fd, piece, (size_t)n)) {
            atomic_store(&j->broken, true);
            return NULL;
        }
    }
    (void)shutdown(j->fd, SHUT_WR);
    return NULL;
}

static bool print_all(const char *data, size_t len)
{
    while (len) {
        const ssize_t n = write(STDOUT_FILENO, data, len);
        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static int print_output(int fd)
{
    char piece[PIECE];
    for (;;) {
        const ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n == 0)
            return EXIT_SUCCESS;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return EXIT_BROKEN;
        if (!print_all(piece, (size_t)n))
            return cli_complain("cannot write to standard output");
    }
}

/* The other side may end its half first: what standard input still has is sent, unless somebody
 * types it. */
static int join(struct joined *j)
{
    pthread_t sender;
    if (pthread_create(&sender, NULL, send_input, j) != 0)
        return cli_complain("cannot start a thread");
    int status = print_output(j->fd);
    const bool ends = status == EXIT_SUCCESS && !isatty(STDIN_FILENO);
    if (ends)
        pthread_join(sender, NULL);
    if (status == EXIT_SUCCESS && atomic_load(&j->broken))
        status = EXIT_BROKEN;
    if (status == EXIT_BROKEN)
        fprintf(stderr, "error: the stream broke off\n");
    if (!ends)
        _exit(status); /* the thread waits for input, and has what is on this stack */
    return status;
}

int cli_pipe(struct cli *c, const char *const *args, size_t n)
{
    struct json_object *result;
    int status;
    if (!cli_call(c, "pipeservice", args, n, &result, &status))
        return status;
    const char *token = json_object_get_string(cli_member(result, "token"));
    const int port = json_object_get_int(cli_member(result, "port"));
    struct joined j = { .fd = token ? open_pipe((uint16_t)port, token) : -1 };
    json_object_put(result);
    if (j.fd < 0)
        return EXIT_FAILURE;
    status = join(&j);
    close(j.fd);
    return status;
}

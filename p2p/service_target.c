#include "p2p/service_target.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"

#define DRAINED_MAX (256 << 10)
#define PIPE_SIZE (256 << 10)   /* four times the default: a command need not wait for each read */

extern char **environ;

/* --- text --- */

static const struct { const char *prefix; enum service_target_kind kind; } prefixes[] = {
    { "udp:", TARGET_UDP }, { "unix:", TARGET_UNIX }, { "exec:", TARGET_EXEC },
    { "echo:", TARGET_ECHO },
};

static enum err parse_port(struct service_target *t, struct error *e)
{
    const enum err rc = netaddr_parse(&t->addr, t->rest, 0, e);
    if (rc)
        return rc;
    if (netaddr_class(&t->addr) != NETADDR_LOOPBACK || t->addr.port == 0)
        return error_set(e, ERR_RANGE, "a port of this machine is needed, as [::1]:8080");
    return OK;
}

static enum err parse_path(const struct service_target *t, struct error *e)
{
    if (t->rest[0] != '/' || strlen(t->rest) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return error_set(e, ERR_RANGE, "an absolute path of less than %zu bytes is needed",
                         sizeof((struct sockaddr_un *)NULL)->sun_path);
    return OK;
}

static enum err parse_rest(struct service_target *t, struct error *e)
{
    switch (t->kind) {
    case TARGET_TCP:
    case TARGET_UDP:
        return parse_port(t, e);
    case TARGET_UNIX:
        return parse_path(t, e);
    case TARGET_EXEC:
        return t->rest[0] ? OK : error_set(e, ERR_PARSE, "a command is needed");
    case TARGET_ECHO:
        return t->rest[0] ? error_set(e, ERR_PARSE, "echo: stands alone") : OK;
    }
    return OK;
}

enum err service_target_parse(struct service_target *t, const char *text, struct error *e)
{
    *t = (struct service_target){ .kind = TARGET_TCP };
    if (strlen(text) >= sizeof t->text)
        return error_set(e, ERR_RANGE, "a target has at most %d bytes", SERVICE_TARGET_MAX);
    memcpy(t->text, text, strlen(text) + 1);
    t->rest = t->text;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        if (strncmp(text, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0) {
            t->kind = prefixes[i].kind;
            t->rest = t->text + strlen(prefixes[i].prefix);
        }
    const enum err rc = parse_rest(t, e);
    return rc ? error_prefix(e, rc, "target \"%.100s\"", text) : OK;
}

/* --- sockets --- */

static enum err connect_to(int type, const void *addr, socklen_t len, const char *name,
                           struct stream_ends *out, struct error *e)
{
    const struct sockaddr *sa = addr;
    const int fd = socket(sa->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return error_set_errno(e, errno, "cannot make a socket");
    if (type == SOCK_STREAM && sa->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *out = (struct stream_ends){ .in = fd, .out = fd };
    if (connect(fd, sa, len) == 0)
        return OK;
    out->connecting = errno == EINPROGRESS;
    if (out->connecting)
        return OK;
    const enum err rc = error_set_errno(e, errno, "cannot connect to %s", name);
    close(fd);
    return rc;
}

static enum err open_port(const struct service_target *t, struct stream_ends *out, struct error *e)
{
    struct sockaddr_storage ss;
    const socklen_t len = netaddr_to_sockaddr(&t->addr, &ss);
    return connect_to(t->kind == TARGET_UDP ? SOCK_DGRAM : SOCK_STREAM, &ss, len, t->text, out, e);
}

static enum err open_unix(const struct service_target *t, struct stream_ends *out, struct error *e)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    memcpy(un.sun_path, t->rest, strlen(t->rest) + 1);
    return connect_to(SOCK_STREAM, &un, sizeof un, t->text, out, e);
}

/* --- commands --- */

static char **environment_with(char *const *variables)
{
    size_t n = 0, more = 0;
    while (environ[n])
        n++;
    while (variables[more])
        more++;
    char **all = xcalloc(n + more + 1, sizeof *all);
    memcpy(all, environ, n * sizeof *all);
    memcpy(all + n, variables, more * sizeof *all);
    return all;
}

/* A group of its own, by which the command and what it starts are ended; signals as a shell has
 * them. All other descriptors close by themselves. */
static int spawn(const char *command, char *const *variables, int in, int out, pid_t *pid)
{
    char sh[] = "/bin/sh", c[] = "-c", *line = xstrdup(command);
    char *const argv[] = { sh, c, line, NULL };
    char **env = environment_with(variables);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETPGROUP);
    const int failed = posix_spawn(pid, sh, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    free(env);
    free(line);
    return failed;
}

static void close_pair(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* Where the system allows no more it stays as it is. */
static void set_up_pipe(int fd)
{
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

static enum err open_command(const struct service_target *t, char *const *variables,
                             struct stream_ends *out, struct error *e)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0)
        return error_set_errno(e, errno, "cannot make a pipe");
    if (pipe2(from, O_CLOEXEC) != 0) {
        const int failed = errno;
        close_pair(to);
        return error_set_errno(e, failed, "cannot make a pipe");
    }
    *out = (struct stream_ends){ .in = from[0], .out = to[1] };
    const int failed = spawn(t->rest, variables, to[0], from[1], &out->pid);
    close(to[0]);
    close(from[1]);
    if (failed) {
        stream_ends_close(out);
        return error_set_errno(e, failed, "cannot start \"%.100s\"", t->rest);
    }
    set_up_pipe(out->in);
    set_up_pipe(out->out);
    return OK;
}

/* --- all --- */

enum err service_target_open(const struct service_target *t, char *const *variables,
                             struct stream_ends *out, struct error *e)
{
    switch (t->kind) {
    case TARGET_TCP:
    case TARGET_UDP:
        return open_port(t, out, e);
    case TARGET_UNIX:
        return open_unix(t, out, e);
    case TARGET_EXEC:
        return open_command(t, variables, out, e);
    case TARGET_ECHO:
        break;
    }
    *out = (struct stream_ends){ .in = -1, .out = -1 };
    return OK;
}

void stream_ends_close(struct stream_ends *ends)
{
    if (ends->in >= 0)
        close(ends->in);
    if (ends->out >= 0 && ends->out != ends->in)
        close(ends->out);
    ends->in = ends->out = -1;
}

/* What was sent to us and not read would make the system send a reset. */
void stream_ends_dismiss(const struct stream_ends *ends)
{
    char rest[4096];
    (void)shutdown(ends->out, SHUT_WR);
    for (size_t got = 0; got < DRAINED_MAX; got += sizeof rest)
        if (recv(ends->in, rest, sizeof rest, MSG_DONTWAIT) <= 0)
            return;
}

int stream_ends_error(const struct stream_ends *ends)
{
    int failed = 0;
    socklen_t len = sizeof failed;
    return getsockopt(ends->out, SOL_SOCKET, SO_ERROR, &failed, &len) == 0 ? failed : errno;
}

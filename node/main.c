/* bsvpeerd: reads the options, takes the directory, goes to the background if asked,
 * runs the node. */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ec.h"
#include "base/file.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "node/man.h"
#include "node/node.h"
#include "node/options.h"

static void put_help(struct buf *out, enum config_help what)
{
    buf_put_str(out,
                "bsvpeerd " PACKAGE_VERSION ", a BSV peer node\n\nUsage: bsvpeerd [options]\n\n");
    config_help(node_options, node_options_count, what, out);
}

/* -version, -help and the like. */
static enum err print_info(const struct config *c, bool *asked, struct error *e)
{
    struct buf text;
    buf_init(&text);
    if (config_bool(c, "version"))
        buf_put_str(&text, "bsvpeerd " PACKAGE_VERSION "\n");
    else if (config_bool(c, "help-man"))
        node_man(&text);
    else if (config_bool(c, "help-debug"))
        put_help(&text, CONFIG_HELP_ALL);
    else if (config_bool(c, "help") || config_bool(c, "?"))
        put_help(&text, CONFIG_HELP_USER);
    *asked = text.len > 0;
    const bool printed = buf_print(&text);
    buf_clear(&text);
    return printed ? OK : error_set(e, ERR_IO, "cannot write to standard output");
}

/* --- background --- */

/*
 * The parent stays until the node answers or has failed, so that a command after `bsvpeerd -daemon`
 * finds it ready. Returns in the child; *ready_fd is where it reports.
 */
static void to_background(int *ready_fd)
{
    int pipe_fds[2];
    if (pipe(pipe_fds))
        exit(1);
    const pid_t child = fork();
    if (child < 0) {
        perror("Error: fork");
        exit(1);
    }
    if (child > 0) {
        char answer;
        close(pipe_fds[1]);
        const bool up = read(pipe_fds[0], &answer, 1) == 1;
        if (up)
            printf("bsvpeerd is running\n");
        exit(up ? 0 : 1);
    }
    close(pipe_fds[0]);
    setsid();
    *ready_fd = pipe_fds[1];
}

static void report_ready(void *ctx)
{
    int *fd = ctx;
    if (*fd < 0)
        return;
    if (write(*fd, "1", 1) == 1 && freopen("/dev/null", "r", stdin) &&
        freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
        log_debug(LOGC_ALL, "in the background");
    close(*fd);
    *fd = -1;
}

/* --- log, lock, pid --- */

static enum err set_categories(const struct config *c, struct error *e)
{
    const char *const *names;
    uint32_t mask = 0, bits;
    size_t n = config_list(c, "debug", &names);
    for (size_t i = 0; i < n; i++) {
        if (!log_category_by_name(*names[i] ? names[i] : "1", &bits))
            return error_set(e, ERR_RANGE,
                             "-debug=%s: unknown category; see `bsvpeer-cli logging` for the list",
                             names[i]);
        mask = bits ? mask | bits : 0;
    }
    n = config_list(c, "debugexclude", &names);
    for (size_t i = 0; i < n; i++) {
        if (!log_category_by_name(names[i], &bits))
            return error_set(e, ERR_RANGE, "-debugexclude=%s: unknown category", names[i]);
        mask &= ~bits;
    }
    log_set_categories(mask);
    return OK;
}

static enum err open_log(const struct settings *s, struct error *e)
{
    const struct log_options o = {
        .path = s->log_path,
        .to_console = config_bool(s->config, "printtoconsole"),
        .timestamps = config_bool(s->config, "logtimestamps"),
        .time_micros = config_bool(s->config, "logtimemicros"),
        .max_bytes = config_size(s->config, "maxlogsize"),
    };
    enum err rc = set_categories(s->config, e);
    return rc ? rc : log_open(&o, e);
}

static void log_start(const struct settings *s)
{
    log_info("bsvpeerd " PACKAGE_VERSION ", network %s, data in %s", s->params.name, s->net_dir);
    const char *line = (const char *)s->warnings.data;
    for (size_t left = s->warnings.len; left > 0;) {
        const char *end = memchr(line, '\n', left);
        log_warn("%.*s", (int)(end - line), line);
        left -= (size_t)(end - line) + 1;
        line = end + 1;
    }
    log_info("limits: excessiveblocksize %llu, maxstackmemoryusageconsensus %llu, dbcache %llu "
             "MiB, memory %llu MiB, par %lld",
             (unsigned long long)config_size(s->config, "excessiveblocksize"),
             (unsigned long long)config_size(s->config, "maxstackmemoryusageconsensus"),
             (unsigned long long)(s->dbcache_bytes >> 20),
             (unsigned long long)(s->memory_bytes >> 20), (long long)config_int(s->config, "par"));
}

static enum err write_pid(const struct settings *s, struct error *e)
{
    char text[32];
    const int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    return file_replace(s->pid_path, text, (size_t)len, e);
}

#define FILES_WANTED 16384
#define FILES_OF_OURS 512     /* databases, block files, RPC */
#define FILES_PER_PEER 9      /* a socket and the blocks queued for it */

/* The usual soft limit of 1024 is no more than peers that do not read can hold (attacks C8). */
static void raise_file_limit(const struct settings *s)
{
    struct rlimit limit;
    const rlim_t needed =
        FILES_OF_OURS + FILES_PER_PEER * (rlim_t)config_int(s->config, "maxconnections");
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    const rlim_t wanted = needed > FILES_WANTED ? needed : FILES_WANTED;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < needed)
        log_warn("the system allows %llu open files only: raise the limit (ulimit -n) to %llu, or "
                 "lower -maxconnections",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)needed);
}

static enum err run_locked(const struct settings *s, int *ready_fd, struct error *e)
{
    enum err rc = open_log(s, e);
    if (rc)
        return rc;
    log_start(s);
    raise_file_limit(s);
    rc = write_pid(s, e);
    if (!rc) {
        ec_init();
        if (config_int(s->config, "mocktime"))
            clock_set_mock(config_int(s->config, "mocktime"));
        rc = node_run(s, report_ready, ready_fd, e);
    }
    if (path_remove(s->pid_path, NULL))
        log_warn("%s could not be removed", s->pid_path);
    if (rc)
        log_error("%s", e->text);
    log_info(rc ? "stopped after an error" : "stopped");
    log_close();
    return rc;
}

static int fail(const struct error *e)
{
    fprintf(stderr, "Error: %s\n", e->text);
    return 1;
}

int main(int argc, char **argv)
{
    struct settings s;
    struct error e;
    struct file lock = { .fd = -1 };
    int ready_fd = -1;
    bool asked = false;
    if (!file_hold_standard())
        return 1;
    enum err rc = settings_load(&s, argc, argv, &e);
    if (!rc)
        rc = print_info(s.config, &asked, &e);
    if (rc || asked) {
        settings_clear(&s);
        return rc ? fail(&e) : 0;
    }
    rc = rand_init(&e); /* while errors still reach the terminal */
    if (rc) {
        settings_clear(&s);
        return fail(&e);
    }
    if (!config_bool(s.config, "sysperms"))
        umask(077);
    if (config_bool(s.config, "daemon"))
        to_background(&ready_fd);
    rc = file_lock(&lock, s.lock_path, &e);
    if (!rc)
        rc = run_locked(&s, &ready_fd, &e);
    file_close(&lock);
    settings_clear(&s);
    return rc ? fail(&e) : 0;
}

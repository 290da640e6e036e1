#include "node/notify.h"

#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/log.h"

extern char **environ;

static char *fill_in(const char *command, const char *value)
{
    struct buf b;
    size_t len;
    buf_init(&b);
    for (const char *at = command; *at;) {
        const bool place = at[0] == '%' && at[1] == 's';
        if (place)
            buf_put_str(&b, value);
        else
            buf_put_u8(&b, (uint8_t)*at);
        at += place ? 2 : 1;
    }
    buf_put_u8(&b, 0);
    return (char *)buf_take(&b, &len);
}

/* Children that ended since the last event. Those in groups of their own are waited for by whoever
 * started them (p2p/service_commands.h). */
static void reap(void)
{
    while (waitpid(0, NULL, WNOHANG) > 0) {
    }
}

void notify_block(const char *command, const struct block_hash *hash)
{
    char hex[HASH_HEX_SIZE];
    if (!command || !*command)
        return;
    reap();
    char *line = fill_in(command, hash_to_hex(hex, hash->b));
    char *const argv[] = { "/bin/sh", "-c", line, NULL };
    pid_t pid;
    posix_spawnattr_t attr;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* we ignore it, a command should not */
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    const int failed = posix_spawn(&pid, argv[0], NULL, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    if (failed)
        log_warn("-blocknotify: %s: %s", line, strerror(failed));
    free(line);
}

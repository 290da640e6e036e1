#include "p2p/service_commands.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/mem.h"

void service_commands_clear(struct service_commands *c)
{
    for (size_t i = 0; i < c->n; i++)
        (void)kill(-c->v[i].pid, SIGTERM);
    free(c->v);
    *c = (struct service_commands){ 0 };
}

size_t service_commands_of(const struct service_commands *c, uint64_t contact)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->v[i].contact == contact;
    return n;
}

void service_commands_add(struct service_commands *c, pid_t pid, uint64_t contact)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 8;
        c->v = xrealloc(c->v, c->cap * sizeof *c->v);
    }
    c->v[c->n++] = (struct service_command){ .pid = pid, .contact = contact };
}

void service_commands_release(struct service_commands *c, pid_t pid, bool broken, uint64_t now_ms)
{
    for (size_t i = 0; i < c->n; i++) {
        struct service_command *s = &c->v[i];
        if (s->pid != pid || s->released)
            continue;
        s->released = true;
        s->told = broken;
        s->since_ms = now_ms;
        if (broken)
            (void)kill(-pid, SIGTERM);
    }
}

/* It is ours until waitpid has said that it is gone, so that no other process has its number. */
static void hurry(struct service_command *s, uint64_t now_ms)
{
    if (!s->released || now_ms - s->since_ms < SERVICE_COMMAND_LEAVE_MS)
        return;
    (void)kill(-s->pid, s->told ? SIGKILL : SIGTERM);
    s->told = true;
    s->since_ms = now_ms;
}

void service_commands_tick(struct service_commands *c, uint64_t now_ms)
{
    for (size_t i = 0; i < c->n;) {
        if (waitpid(c->v[i].pid, NULL, WNOHANG) != 0) {
            c->v[i] = c->v[--c->n];
            continue;
        }
        hurry(&c->v[i], now_ms);
        i++;
    }
}

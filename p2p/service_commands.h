/*
 * The commands that run for streams: each in a process group of its own, ended when its stream
 * breaks off, and shortly after the stream has ended when it does not leave by itself. Channel
 * thread.
 */
#ifndef P2P_SERVICE_COMMANDS_H
#define P2P_SERVICE_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SERVICE_COMMAND_LEAVE_MS = 5000 };

struct service_command {
    pid_t pid;
    uint64_t contact;   /* for whom it runs */
    bool released;      /* its stream has gone */
    bool told;          /* to end */
    uint64_t since_ms;  /* it was released or told */
};

struct service_commands {
    struct service_command *v;
    size_t n, cap;
};

void service_commands_clear(struct service_commands *c); /* tells all to end */
void service_commands_add(struct service_commands *c, pid_t pid, uint64_t contact);
size_t service_commands_of(const struct service_commands *c, uint64_t contact);
void service_commands_release(struct service_commands *c, pid_t pid, bool broken, uint64_t now_ms);
/* Takes notice of those that have left. */
void service_commands_tick(struct service_commands *c, uint64_t now_ms);

#endif

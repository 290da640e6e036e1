/*
 * What stands behind an exposed service (spec channels 7.1): a port on loopback, a unix socket, a
 * command. It is chosen here, never by who asks for the service (7.2), and a port is one of this
 * machine.
 *
 *   [::1]:8080  127.0.0.1:22   TCP
 *   udp:[::1]:5004             datagrams
 *   unix:/run/some.sock        a stream socket
 *   exec:command               run by /bin/sh for each stream, with its standard input and output
 *   echo:                      what comes goes back
 *
 * Any thread; nothing waits.
 */
#ifndef P2P_SERVICE_TARGET_H
#define P2P_SERVICE_TARGET_H

#include <sys/types.h>

#include "base/err.h"
#include "p2p/netaddr.h"

#define SERVICE_TARGET_MAX 1024

enum service_target_kind { TARGET_TCP, TARGET_UDP, TARGET_UNIX, TARGET_EXEC, TARGET_ECHO };

struct service_target {
    enum service_target_kind kind;
    struct netaddr addr;                 /* TCP, UDP */
    char text[SERVICE_TARGET_MAX + 1];   /* as it was given */
    const char *rest;                    /* in text: the path, the command */
};

/* A copy must be parsed again, as rest points into it. ERR_PARSE, ERR_RANGE. */
enum err service_target_parse(struct service_target *t, const char *text,
                              struct error *e) MUST_CHECK;

/* Descriptors of ours, not blocking: `in` is read, `out` written; one and the same for a socket. */
struct stream_ends {
    int in, out;
    pid_t pid;       /* of a command and its process group, else 0 */
    bool connecting; /* done when it can be written; then asked by stream_ends_error */
};

/* Variables of the environment for a command, "NAME=value", NULL at the end. */
enum err service_target_open(const struct service_target *t, char *const *variables,
                             struct stream_ends *out, struct error *e) MUST_CHECK;
void stream_ends_close(struct stream_ends *ends);
/* Ends a connection that came to nothing so that the program sees an end rather than a break. */
void stream_ends_dismiss(const struct stream_ends *ends);
/* The error of a connection that has come up or failed, 0: it is there. */
int stream_ends_error(const struct stream_ends *ends);

#endif

/* The client's side of HTTP: one POST on a connection of its own, blocking. */
#ifndef RPC_CLI_HTTP_H
#define RPC_CLI_HTTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct cli_endpoint {
    const char *host, *fallback_host; /* second may be NULL */
    uint16_t port;
    int64_t timeout_s;                /* of silence; 0: none */
};

/*
 * ERR_IO: could not connect. ERR_PROTO, ERR_TIMEOUT: the answer was cut, is no HTTP or did not
 * come. authorization: value of the field. status and body are filled on OK.
 */
enum err cli_post(const struct cli_endpoint *to, const char *path, const char *authorization,
                  const struct buf *request, int *status, struct buf *body,
                  struct error *e) MUST_CHECK;

#endif

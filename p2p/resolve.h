/*
 * Name lookups that never block the loop: getaddrinfo runs on a few short-lived helper threads and
 * the answer comes back through a pipe that wakes the loop. Loop thread only. Callers behind a
 * proxy do not use this: names then go to the proxy (p2p/socks5.h).
 */
#ifndef P2P_RESOLVE_H
#define P2P_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "p2p/netaddr.h"

struct event_base;
struct resolver;

#define RESOLVE_MAX_RESULTS 256 /* per name */
#define RESOLVE_MAX_PENDING 128 /* names waiting or running */

/*
 * n addresses with the port asked for, each once; 0 with a reason in e when the lookup failed.
 * The callback may start and cancel lookups; it must not free the resolver.
 */
typedef void (*resolve_fn)(void *ctx, const char *host, const struct netaddr *addrs, size_t n,
                           const struct error *e);

/* NULL when pipe or event cannot be made (reason in e). */
struct resolver *resolver_new(struct event_base *base, struct error *e);
/* Answers still under way are dropped without calling back. */
void resolver_free(struct resolver *r);
/* ERR_BUSY when RESOLVE_MAX_PENDING names are waiting, ERR_PARSE for an empty or overlong name. */
enum err resolver_lookup(struct resolver *r, const char *host, uint16_t port, resolve_fn fn,
                         void *ctx, struct error *e) MUST_CHECK;

/* No answer comes for lookups that were started with this ctx. */
void resolver_cancel(struct resolver *r, const void *ctx);

#endif

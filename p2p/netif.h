/*
 * Network interfaces of this machine: which /64 it has, and addresses that are put on an interface
 * and taken off. All of IPv6, in the network namespace of the process. Any thread that may wait:
 * an answer of the kernel comes at once, duplicate address detection takes seconds.
 */
#ifndef P2P_NETIF_H
#define P2P_NETIF_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"

#define NETIF_ADDRESS_SIZE 16
#define NETIF_PREFIX_SIZE 8
#define NETIF_FOR_EVER UINT32_MAX

/* Addresses that are passed over when a prefix is looked for: those that were made of one. A prefix
 * that went away would live on in them. */
struct netif_own {
    bool (*is)(void *ctx, const uint8_t address[NETIF_ADDRESS_SIZE]); /* NULL: none */
    void *ctx;
};

/* ERR_NOTFOUND: there is no interface of this name. */
enum err netif_index(const char *name, uint32_t *index, struct error *e) MUST_CHECK;

enum netif_scope { NETIF_GLOBAL, NETIF_ANY /* a private one (fc00::/7) when no other is there */ };
/*
 * The /64 of an interface, of an address that is not temporary, deprecated or in doubt; the
 * preferred one first when it is given and there. ERR_NOTFOUND: it has none.
 */
enum err netif_prefix(uint32_t index, enum netif_scope scope, const struct netif_own *own,
                      const uint8_t *preferred, uint8_t prefix[NETIF_PREFIX_SIZE],
                      struct error *e) MUST_CHECK;
/* The interface of the default route. ERR_NOTFOUND: there is no such route. */
enum err netif_of_default_route(uint32_t *index, char name[IF_NAMESIZE],
                                struct error *e) MUST_CHECK;

enum netif_result { NETIF_ASSIGNED, NETIF_DUPLICATE /* another host has it: it is not there */ };
/*
 * Puts an address on an interface and waits until duplicate address detection has had its say. One
 * that is there already stays. ERR_AUTH: it takes CAP_NET_ADMIN. ERR_NOTFOUND: the interface is
 * gone. ERR_TIMEOUT: no say within seconds, the address was taken off again. ERR_IO: somebody else
 * took it off. ERR_CANCELLED.
 */
enum err netif_assign(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE],
                      const struct cancel *cancel, enum netif_result *out,
                      struct error *e) MUST_CHECK;
/* Whether this process may do so. ERR_AUTH. */
enum err netif_permitted(uint32_t index, struct error *e) MUST_CHECK;
/* One that is not there is fine, as is an interface that is gone. ERR_AUTH: it is there. */
enum err netif_release(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE],
                       struct error *e) MUST_CHECK;
/* No new connections from it, and the kernel takes it off after so many seconds. ERR_AUTH,
 * ERR_NOTFOUND. */
enum err netif_deprecate(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE],
                         uint32_t seconds, struct error *e) MUST_CHECK;
/* Is it on the interface? deprecated may be NULL. */
enum err netif_has(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE], bool *has,
                   bool *deprecated, struct error *e) MUST_CHECK;

/* TCP connections of any program of this machine at an address, and UDP sockets that are connected
 * from there. */
enum err netif_sessions(const uint8_t address[NETIF_ADDRESS_SIZE], size_t *n,
                        struct error *e) MUST_CHECK;

/* A descriptor that becomes readable when addresses, routes or interfaces change. The caller closes
 * it. */
enum err netif_watch(int *fd, struct error *e) MUST_CHECK;
/* Reads what is there, or a good part of it, without waiting. True: something changed. */
bool netif_watch_take(int fd);

#endif

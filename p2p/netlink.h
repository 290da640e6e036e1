/*
 * What the kernel says of IPv6 addresses and routes, and how it is told to change them (rtnetlink):
 * reading of messages, and one request with its answer. p2p/netif.h is what others use. The readers
 * are pure; a request opens a socket of its own. Any thread that may wait a moment.
 */
#ifndef P2P_NETLINK_H
#define P2P_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct netlink_message {
    uint16_t type, flags;
    uint32_t seq;
    struct span body;
};
/* Takes the next message off rest. False: nothing is left, or what is left is no whole message. */
bool netlink_next(struct span *rest, struct netlink_message *out);

struct netlink_address {
    uint8_t address[16];
    uint8_t prefix_len, scope;
    uint32_t index;           /* of the interface */
    uint32_t flags;           /* IFA_F_ */
    uint32_t preferred_s, valid_s; /* UINT32_MAX: for ever */
};
/* Body of RTM_NEWADDR. False: malformed, or of another family than IPv6. */
bool netlink_read_address(struct span body, struct netlink_address *out);

struct netlink_route {
    uint32_t index;           /* of the interface it leaves by */
    uint32_t metric;          /* the lowest counts */
};
/* Body of RTM_NEWROUTE. False: malformed, or no default route of IPv6 that could be used. */
bool netlink_read_default_route(struct span body, struct netlink_route *out);

/* Body of NLMSG_DONE: a list that ends early ends with an error number. */
enum err netlink_read_end(struct span body, struct error *e) MUST_CHECK;

/* An answer's messages, one after another; an error ends the request. */
typedef enum err (*netlink_fn)(void *ctx, const struct netlink_message *m, struct error *e);
/* All IPv6 entries of RTM_GETADDR or RTM_GETROUTE. ERR_BUSY: they changed all the time; what fn has
 * been told of begins anew with begin(ctx). */
enum err netlink_dump(uint16_t type, void (*begin)(void *ctx), netlink_fn fn, void *ctx,
                      struct error *e) MUST_CHECK;
/* A request that is answered by an error number, which is 0 when it was done. */
enum err netlink_change(uint16_t type, uint16_t flags, const struct buf *body, int *errnum,
                        struct error *e) MUST_CHECK;
/* Appends an attribute to a body. */
void netlink_put(struct buf *body, uint16_t type, const void *data, size_t len);

#endif

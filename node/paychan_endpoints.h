/*
 * Nodes and miners that take a transaction by RPC (-paychannelnode; spec channels 8.6): closes and
 * refunds go to them beside all peers. What a peer has refused by chance, such a node judges anew,
 * and nobody can flood its door. A thread of its own posts, one transaction after the other; what
 * they say is logged, and never trusted.
 */
#ifndef NODE_PAYCHAN_ENDPOINTS_H
#define NODE_PAYCHAN_ENDPOINTS_H

#include "base/err.h"
#include "base/tx.h"

struct paychan_endpoints;

/* each: "user:password@host:port". *out stays NULL when there is none. ERR_RANGE says which is
 * wrong, without its password. */
enum err paychan_endpoints_new(struct paychan_endpoints **out, const char *const *each, size_t n,
                               struct error *e) MUST_CHECK;
/* Any thread; NULL is fine, here and below. Keeps a reference. Too many that wait: the oldest goes,
 * since each is sent again with the next block. */
void paychan_endpoints_send(struct paychan_endpoints *p, struct tx *tx);
/* Waits for the answer to one that is under way, for 5 seconds at most. */
void paychan_endpoints_free(struct paychan_endpoints *p);

#endif

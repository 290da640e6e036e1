/*
 * Answers to peers: headers, block inventories, blocks straight from their files (spec p2p 3, 5).
 * Loop thread.
 */
#ifndef NODE_SERVE_H
#define NODE_SERVE_H

#include "node/sync.h"

/* net_handlers; ctx is struct sync. */
void serve_getheaders(void *ctx, struct peer *p, const struct msg_locator *m);
void serve_gethdrsen(void *ctx, struct peer *p, const struct msg_locator *m);
void serve_getblocks(void *ctx, struct peer *p, const struct msg_locator *m);
void serve_getdata(void *ctx, struct peer *p, const struct inv_item *items, size_t n);
void serve_getblocktxn(void *ctx, struct peer *p, const struct msg_getblocktxn *m);
void serve_send_room(void *ctx, struct peer *p);

#endif

/*
 * Gossip of announced records on Bitcoin connections (spec channels 1.2): what peers announce is
 * asked for, what they send is judged beside the loop (bca_records.h), and what was taken is
 * announced to the others, never to its source. A peer that has not said sendbca gets nothing but
 * ours, and a client (it dialled us and offers no service) not even that: there are some that end
 * at commands they do not know.
 *
 * Loop thread. What a peer costs is bounded: its records by a token bucket, also those that are
 * asked of it; what it wants by another; lists by the limits below.
 */
#ifndef NODE_BCA_GOSSIP_H
#define NODE_BCA_GOSSIP_H

#include <event2/event.h>

#include "node/bca_records.h"
#include "p2p/net.h"

struct bca_gossip;
struct bca_peer;

/* On regtest announcements and requests go out within moments. */
struct bca_gossip *bca_gossip_new(struct bca_records *records, const struct settings *s);
void bca_gossip_free(struct bca_gossip *g); /* NULL is fine */
/* Once the network exists. */
void bca_gossip_start(struct bca_gossip *g, struct net *net, struct event_base *base);
void bca_gossip_stop(struct bca_gossip *g); /* NULL is fine */

/* A peer that is ready. g may be NULL: then there is no gossip, and NULL comes back. */
struct bca_peer *bca_peer_new(struct bca_gossip *g, struct peer *p);
void bca_peer_free(struct bca_peer *bp); /* NULL is fine */

/* net_handlers, with struct sync as ctx */
void bca_on_sendbca(void *ctx, struct peer *p, const struct msg_sendbca *m);
void bca_on_bcainv(void *ctx, struct peer *p, const struct msg_bca_list *m);
void bca_on_getbca(void *ctx, struct peer *p, const struct msg_getbca *m);
void bca_on_bcarec(void *ctx, struct peer *p, const struct msg_bcarec *m);

#endif

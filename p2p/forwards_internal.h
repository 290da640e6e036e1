/* What forwards.c (the set, connections) and forwards_dgrams.c share. Channel thread. */
#ifndef P2P_FORWARDS_INTERNAL_H
#define P2P_FORWARDS_INTERNAL_H

#include <event2/event.h>

#include "p2p/forwards.h"

struct forwards {
    struct local_streams *streams;
    struct list all;
    struct event *later;
};

uint64_t forward_now(const struct forward *f);
struct span forward_service(const struct forward *f);
/* OK; ERR_BUSY: it is being dialled; else why it cannot be reached. */
enum err forward_reach(struct forward *f, struct chan_peer **peer, struct dchan_mux **mux,
                       struct error *e) MUST_CHECK;
/* What waits at a socket of the forward is sent on. */
void forward_on_datagrams(evutil_socket_t fd, short what, void *forward);

#endif

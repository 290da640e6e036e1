/* What the parts of sync share: sync.c (state, timer), sync_headers.c, sync_blocks.c,
 * sync_intake.c, sync_announce.c. Loop thread. */
#ifndef NODE_SYNC_INTERNAL_H
#define NODE_SYNC_INTERNAL_H

#include "node/flight.h"
#include "node/sync.h"

#define SYNC_TIMER_MS 500

struct sync {
    struct chain *chain;
    struct header_index *headers;
    struct net *net;
    struct event *timer;
    struct sync_options options;
    struct flights *flights;      /* blocks asked for or being stored */
    uint64_t header_peer;         /* whom the initial headers come from, 0: nobody */
    unsigned n_preferred;         /* preferred peers that are connected */
    struct header_node *announced; /* tip last announced to peers */
    int64_t tip_at;               /* monotonic ms of the last tip change, for the stale-tip alarm */
    bool extra_outbound;
};

/* sync_headers.c */
void headers_start(struct sync_peer *sp);      /* initial getheaders, when it is this peer's turn */
void headers_check_timeout(struct sync_peer *sp, int64_t now);
void headers_ask_from(struct sync_peer *sp, struct header_node *from,
                      const struct block_hash *stop);
void headers_note(struct sync_peer *sp, struct header_node *node); /* the peer has this header */
void headers_resolve_unknown(struct sync_peer *sp);

/* sync_blocks.c */
void blocks_plan(struct sync *s);              /* ask for more wherever there is room */
void blocks_check_timeouts(struct sync_peer *sp, int64_t now);
void blocks_sample_speed(struct sync_peer *sp, int64_t now);
void blocks_release(struct sync_peer *sp,
                    struct header_node *node); /* no longer asked from this peer */
void blocks_release_all(struct sync_peer *sp);

/* sync_intake.c */
void intake_check_idle(struct sync_peer *sp);

/* sync_announce.c */
void announce_tip(struct sync *s, struct header_node *tip);

static inline struct sync_peer *sync_peer_of(const struct peer *p)
{
    return peer_user(p);
}

/* Calls fn for each ready peer's state. */
void sync_each(struct sync *s, void (*fn)(struct sync_peer *sp, void *ctx), void *ctx);

#endif

/*
 * Where the funding outputs of payment channels are, and what spends them: looked at when the tip
 * or the mempool has changed, and at the beginning. A thread of its own asks the chain for all of
 * them together. Blocks are read only when an output that was there has gone, from the block in
 * which it was last known to be on.
 */
#ifndef NODE_PAYCHAN_WATCH_H
#define NODE_PAYCHAN_WATCH_H

#include "base/tx.h"
#include "chain/chain.h"

struct paychan_watch;

enum paychan_place {
    PAYCHAN_NOWHERE, /* in no block and not in the mempool */
    PAYCHAN_IN_POOL,
    PAYCHAN_IN_CHAIN, /* spent there or not */
    PAYCHAN_UNSEEN,   /* blocks that would tell are not stored, or not to be read */
};
struct paychan_sight {
    enum paychan_place place;
    uint32_t height;       /* IN_CHAIN: of the block; 0: it was spent, and is not known */
    struct tx *spend;      /* a reference, or NULL */
    uint32_t spend_height; /* 0: in the mempool, or held until it is final */
};

/* The thread of the watch; of what has changed since the last time. Takes s->spend. */
typedef void (*paychan_watch_fn)(void *ctx, uint64_t number, const struct paychan_sight *s);

/* The chain outlives it. */
enum err paychan_watch_new(struct paychan_watch **out, struct chain *chain, paychan_watch_fn tell,
                           void *ctx, struct error *e) MUST_CHECK;
/* After the chain has stopped. NULL is fine. */
void paychan_watch_free(struct paychan_watch *w);

/* Any thread. number: the caller's; one that is there gets another outpoint. from: no block below
 * this height has to do with it, until a reorganisation goes deeper. */
void paychan_watch_add(struct paychan_watch *w, uint64_t number, const struct outpoint *at,
                       uint32_t from);
void paychan_watch_remove(struct paychan_watch *w, uint64_t number);
/* Something may have changed. Cheap: what comes within a moment is one look. */
void paychan_watch_kick(struct paychan_watch *w);

#endif

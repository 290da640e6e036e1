/*
 * Work that is too long for the loop: run on the chain's pool, then told on the loop. What it is
 * about (a peer, a block) may be gone by then, so it keeps ids and references only.
 */
#ifndef NODE_SYNC_WORK_H
#define NODE_SYNC_WORK_H

#include "base/pool.h"

struct sync;

/* Embedded in the struct of whoever starts it. */
struct sync_work {
    struct job job; /* first */
    struct sync *sync;
    struct sync_work *prev, *next;      /* all that are under way */
    void (*run)(struct sync_work *w);   /* a pool thread */
    void (*done)(struct sync_work *w);  /* the loop, once; not when the network has stopped */
    void (*free)(struct sync_work *w);  /* after done, or instead of it */
};

/* Loop. run, done and free are set. */
void sync_work_start(struct sync *s, struct sync_work *w, enum job_priority priority);
/* After the pool has ended: frees what was not told. */
void sync_work_clear(struct sync *s);

#endif

/*
 * Threads that take work from a queue, both bounded. A thread is started when there is work that
 * no other is free for. Any thread pushes; one thread starts and stops the whole.
 */
#ifndef RPC_WORKERS_H
#define RPC_WORKERS_H

#include <stdbool.h>

#include "base/buf.h"

struct workers;

/* Embedded in the sender's struct, which belongs to the worker once it was pushed. */
struct work {
    struct work *next;
    /* scratch: the thread's, with whatever the work before left in it. */
    void (*run)(struct work *w, struct buf *scratch);
};

/* threads at most; depth: how much may wait when all of them are busy. */
struct workers *workers_new(unsigned threads, unsigned depth);
/* False when the queue is full or the end has begun: the work stays the caller's. */
bool workers_push(struct workers *w, struct work *work) __attribute__((warn_unused_result));
/* Takes nothing more, lets run what waits, ends the threads. */
void workers_stop(struct workers *w);
void workers_free(struct workers *w); /* after stop; NULL is fine */

#endif

/*
 * A flag that asks long work to stop. Any thread sets it, the work looks at it.
 *
 * A limited flag stops by itself when the thread that works has used its CPU time; it belongs to
 * that thread, and may pass on the wish of another flag.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cancel {
    atomic_bool set;
    bool limited;
    unsigned skip;               /* limited: calls until the clock is read again */
    int64_t cpu_us;              /* limited: how much of it */
    int64_t wall_end_us;         /* limited: earlier than this it cannot be used up */
    int64_t cpu_end_us;          /* limited: on the CPU clock of the thread; 0: not read yet */
    const struct cancel *parent; /* limited: stops this one too; may be NULL */
};

static inline void cancel_init(struct cancel *c)
{
    *c = (struct cancel){ .limited = false };
    atomic_init(&c->set, false);
}
/* For work on the calling thread that may take this much of its CPU time from now on; of a limit
 * below CANCEL_EXACT_US up to twice as much, since such a limit is for work that ends long before
 * and for which reading the CPU clock would be the dearer part. */
#define CANCEL_EXACT_US 10000
void cancel_init_limited(struct cancel *c, int64_t cpu_us, const struct cancel *parent);
static inline void cancel_set(struct cancel *c)
{
    atomic_store_explicit(&c->set, true, memory_order_relaxed);
}
bool cancel_look(struct cancel *c); /* what cancelled asks of a limited flag */
/* NULL is never cancelled. */
static inline bool cancelled(const struct cancel *c)
{
    if (!c)
        return false;
    return atomic_load_explicit(&c->set, memory_order_relaxed) ||
           (c->limited && cancel_look((struct cancel *)c));
}

#endif

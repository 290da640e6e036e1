/* A flag that asks long work to stop. Any thread sets it, the work looks at it. */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>

struct cancel { atomic_bool set; };

static inline void cancel_init(struct cancel *c) { atomic_init(&c->set, false); }
static inline void cancel_set(struct cancel *c)
{
    atomic_store_explicit(&c->set, true, memory_order_relaxed);
}
/* NULL is never cancelled. */
static inline bool cancelled(const struct cancel *c)
{
    return c && atomic_load_explicit(&c->set, memory_order_relaxed);
}

#endif

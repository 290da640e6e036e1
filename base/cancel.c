#include "base/cancel.h"

#include <stddef.h>

#include "base/clock.h"

#define LOOKS_PER_CLOCK 32 /* the CPU clock costs a system call, the work between looks little */

void cancel_init_limited(struct cancel *c, int64_t cpu_us, const struct cancel *parent)
{
    cancel_init(c);
    c->limited = true;
    c->cpu_end_us = clock_thread_cpu_us() + cpu_us;
    c->parent = parent;
}

bool cancel_look(struct cancel *c)
{
    if (cancelled(c->parent)) {
        cancel_set(c);
    } else if (c->skip > 0) {
        c->skip--;
    } else {
        c->skip = LOOKS_PER_CLOCK;
        if (clock_thread_cpu_us() > c->cpu_end_us)
            cancel_set(c);
    }
    return atomic_load_explicit(&c->set, memory_order_relaxed);
}

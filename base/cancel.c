#include "base/cancel.h"

#include <stddef.h>

#include "base/clock.h"

#define LOOKS_PER_CLOCK 32 /* clocks cost something, the work between looks little */

void cancel_init_limited(struct cancel *c, int64_t cpu_us, const struct cancel *parent)
{
    cancel_init(c);
    c->limited = true;
    c->cpu_us = cpu_us;
    c->wall_end_us = clock_mono_us() + cpu_us;
    c->cpu_end_us = cpu_us < CANCEL_EXACT_US ? 0 : clock_thread_cpu_us() + cpu_us;
    c->parent = parent;
}

/* The CPU clock costs a system call: it is asked when so much time has passed at all. */
static bool is_used_up(struct cancel *c)
{
    if (clock_mono_us() < c->wall_end_us)
        return false;
    const int64_t now = clock_thread_cpu_us();
    if (!c->cpu_end_us)
        c->cpu_end_us = now + c->cpu_us;
    return now > c->cpu_end_us;
}

bool cancel_look(struct cancel *c)
{
    if (cancelled(c->parent)) {
        cancel_set(c);
    } else if (c->skip > 0) {
        c->skip--;
    } else {
        c->skip = LOOKS_PER_CLOCK;
        if (is_used_up(c))
            cancel_set(c);
    }
    return atomic_load_explicit(&c->set, memory_order_relaxed);
}

#include "node/trickle.h"

#include "base/rand.h"

static int64_t delay(const struct trickle *t)
{
    return t->mean_ms > 0 ? (int64_t)(rand_exp((double)t->mean_ms) + 0.5) : 0;
}

int64_t trickle_next(struct trickle *t, bool inbound, int64_t now)
{
    if (!inbound)
        return now + delay(t);
    if (t->inbound_ms <= now)
        t->inbound_ms = now + delay(t);
    return t->inbound_ms;
}

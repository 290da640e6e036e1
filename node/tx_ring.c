#include "node/tx_ring.h"

#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"

struct tx_ring {
    struct tx_ring_entry *v; /* the entry at place p is v[p & mask] */
    uint64_t mask;
    uint64_t end, released;  /* places after the last one: of all; of those that may be read */
};

struct tx_ring *tx_ring_new(size_t capacity)
{
    struct tx_ring *r = xcalloc(1, sizeof(*r));
    uint64_t size = 16;
    while (size < capacity)
        size *= 2;
    r->v = xcalloc(size, sizeof(*r->v));
    r->mask = size - 1;
    r->end = r->released = 1;
    return r;
}

void tx_ring_free(struct tx_ring *r)
{
    if (!r)
        return;
    free(r->v);
    free(r);
}

uint64_t tx_ring_add(struct tx_ring *r, const struct tx_ring_entry *e)
{
    r->v[r->end & r->mask] = *e;
    return r->end++;
}

uint64_t tx_ring_next_place(const struct tx_ring *r)
{
    return r->end;
}

void tx_ring_release(struct tx_ring *r)
{
    r->released = r->end;
}

size_t tx_ring_held(const struct tx_ring *r)
{
    return (size_t)(r->end - r->released);
}

uint64_t tx_ring_end(const struct tx_ring *r)
{
    return r->released;
}

/* The oldest place whose entry is still there. */
static uint64_t first_place(const struct tx_ring *r)
{
    return r->end > r->mask + 1 ? r->end - (r->mask + 1) : 1;
}

const struct tx_ring_entry *tx_ring_next(const struct tx_ring *r, uint64_t *place)
{
    const uint64_t at = MAX_OF(*place, first_place(r));
    if (at >= r->released) {
        *place = r->released;
        return NULL;
    }
    *place = at + 1;
    return &r->v[at & r->mask];
}

size_t tx_ring_left(const struct tx_ring *r, uint64_t place)
{
    const uint64_t at = MAX_OF(place, first_place(r));
    return at < r->released ? (size_t)(r->released - at) : 0;
}

size_t tx_ring_bytes(const struct tx_ring *r)
{
    return (size_t)MIN_OF(r->end, r->mask + 1) * sizeof(*r->v);
}

size_t tx_ring_untouched(const struct tx_ring *r)
{
    return (size_t)(r->mask + 1) * sizeof(*r->v) - tx_ring_bytes(r);
}

#include "node/flight.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Linear probing over pointers of our own; the number is bounded by 16 a peer. */
struct flights {
    struct flight *slots; /* node NULL: free */
    size_t cap, n;
};

#define FLIGHTS_CAP_FIRST 256

static size_t slot_of(const struct flights *f, const struct header_node *node)
{
    const uint64_t mixed =
        (uint64_t)(uintptr_t)node / sizeof(void *) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (f->cap - 1);
}

struct flights *flights_new(void)
{
    struct flights *f = xcalloc(1, sizeof(*f));
    f->cap = FLIGHTS_CAP_FIRST;
    f->slots = xcalloc(f->cap, sizeof(*f->slots));
    return f;
}

void flights_free(struct flights *f)
{
    if (!f)
        return;
    free(f->slots);
    free(f);
}

static struct flight *probe(struct flights *f, const struct header_node *node)
{
    size_t i = slot_of(f, node);
    while (f->slots[i].node && f->slots[i].node != node)
        i = (i + 1) & (f->cap - 1);
    return &f->slots[i];
}

struct flight *flights_find(struct flights *f, const struct header_node *node)
{
    struct flight *slot = probe(f, node);
    return slot->node ? slot : NULL;
}

static void grow(struct flights *f)
{
    struct flight *old = f->slots;
    const size_t old_cap = f->cap;
    f->cap *= 2;
    f->slots = xcalloc(f->cap, sizeof(*f->slots));
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].node)
            *probe(f, old[i].node) = old[i];
    free(old);
}

static struct flight *find_or_add(struct flights *f, const struct header_node *node)
{
    if (2 * (f->n + 1) > f->cap)
        grow(f);
    struct flight *slot = probe(f, node);
    if (!slot->node) {
        slot->node = node;
        f->n++;
    }
    return slot;
}

static int peer_position(const struct flight *fl, uint64_t peer)
{
    for (unsigned i = 0; i < fl->n_peers; i++)
        if (fl->peers[i] == peer)
            return (int)i;
    return -1;
}

bool flights_ask(struct flights *f, const struct header_node *node, uint64_t peer, int64_t now)
{
    struct flight *fl = find_or_add(f, node);
    if (fl->n_peers == FLIGHT_PEERS_MAX || peer_position(fl, peer) >= 0)
        return false;
    fl->peers[fl->n_peers] = peer;
    fl->since[fl->n_peers++] = now;
    return true;
}

void flights_release(struct flights *f, const struct header_node *node, uint64_t peer)
{
    struct flight *fl = flights_find(f, node);
    const int at = fl ? peer_position(fl, peer) : -1;
    if (at < 0)
        return;
    fl->n_peers--;
    fl->peers[at] = fl->peers[fl->n_peers];
    fl->since[at] = fl->since[fl->n_peers];
    if (fl->n_peers == 0 && fl->n_arrived == 0)
        flights_remove(f, node);
}

void flights_set_arrived(struct flights *f, const struct header_node *node, bool asked)
{
    struct flight *fl = find_or_add(f, node);
    fl->n_arrived++;
    fl->asked_arrived = fl->asked_arrived || asked;
}

void flights_clear_arrived(struct flights *f, const struct header_node *node)
{
    struct flight *fl = flights_find(f, node);
    if (!fl)
        return;
    fl->n_arrived -= fl->n_arrived > 0;
    fl->asked_arrived = fl->asked_arrived && fl->n_arrived > 0;
    if (fl->n_peers == 0 && fl->n_arrived == 0)
        flights_remove(f, node);
}

/* Entries behind the gap that would not be found any more move into it. */
void flights_remove(struct flights *f, const struct header_node *node)
{
    struct flight *slot = flights_find(f, node);
    if (!slot)
        return;
    f->n--;
    size_t gap = (size_t)(slot - f->slots);
    memset(slot, 0, sizeof(*slot));
    for (size_t i = (gap + 1) & (f->cap - 1); f->slots[i].node; i = (i + 1) & (f->cap - 1)) {
        const size_t home = slot_of(f, f->slots[i].node);
        if (((i - home) & (f->cap - 1)) < ((i - gap) & (f->cap - 1)))
            continue;
        f->slots[gap] = f->slots[i];
        memset(&f->slots[i], 0, sizeof(f->slots[i]));
        gap = i;
    }
}

size_t flights_count(const struct flights *f)
{
    return f->n;
}

/*
 * What happens to addresses: heard of, dialled, connected; and the answers to getaddr. Buckets are
 * in addrman_table.c, the choice of a target in addrman_select.c, the file in addrman_file.c.
 */
#include "p2p/addrman_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define HOUR_S INT64_C(3600)
#define DAY_S INT64_C(86400)
#define CONNECTED_REFRESH_S (20 * 60)
/* Test before evict: how long a success or a failure of the old entry speaks for or against it. */
#define TEST_MEMORY_S (4 * HOUR_S)
#define TEST_GRACE_S 60           /* a dial may still be under way */
#define TEST_WINDOW_S (40 * 60)   /* no test came about: the newcomer wins */
#define SAMPLE_PERCENT 23
#define SAMPLE_SMALL 100          /* a book that just starts: renew the answer soon */

void addrman_set_networks(struct addrman *am, unsigned mask)
{
    am->networks = mask;
}

/* spec p2p 7.4: impossible times become five days ago */
static int64_t plausible_time(int64_t time, int64_t now)
{
    return time <= 100000000 || time > now + 600 ? now - 5 * DAY_S : time;
}

/* Known already: fresher time and more services are taken over. True if another place is due. */
static bool update_known(struct am_entry *x, const struct peer_addr *pa, int64_t penalty_s,
                         int64_t now)
{
    int64_t time = plausible_time(pa->time, now);
    int64_t interval = now - time < DAY_S ? HOUR_S : DAY_S;
    bool newer = time > x->pa.time;
    if (x->pa.time < time - interval - penalty_s)
        x->pa.time = time - penalty_s;
    x->pa.services |= pa->services;
    /* a port that never answered must not block the right one, as there is one entry per IP */
    if (!x->tried && x->attempts > 0 && x->last_success == 0)
        x->pa.addr.port = pa->addr.port;
    if (!newer || x->tried || x->places == AM_MAX_PLACES)
        return false;
    return rand_below(UINT64_C(1) << x->places) == 0;
}

/* May i have this slot? A good entry leaves only if it has other places and i has none. */
static bool slot_open(const struct addrman *am, uint32_t slot, uint32_t i, int64_t now)
{
    uint32_t old = am->fresh.slots[slot];
    if (old == AM_NONE)
        return true;
    if (old == i)
        return false;
    const struct am_entry *x = &am->entries[old];
    return am_is_terrible(x, now) || (x->places > 1 && am->entries[i].places == 0);
}

bool addrman_add(struct addrman *am, const struct peer_addr *pa, const struct netaddr *source,
                 int64_t penalty_s, int64_t now)
{
    am->offered++;
    if (!(netaddr_network(&pa->addr) & am->networks) || pa->addr.port == 0)
        return false;
    uint32_t i = am_find(am, &pa->addr);
    if (i != AM_NONE) {
        if (!update_known(&am->entries[i], pa, penalty_s, now))
            return false;
    } else {
        i = am_create(am, pa, source);
        if (i == AM_NONE)
            return false;
        int64_t time = plausible_time(pa->time, now) - penalty_s;
        am->entries[i].pa.time = time > 0 ? time : 0;
    }
    uint32_t slot = am_new_slot(am, &pa->addr, source);
    bool open = slot_open(am, slot, i, now);
    if (open) {
        am_clear_new(am, slot);
        am_put_new(am, i, slot);
        am->stored++;
    } else if (am->entries[i].places == 0) {
        am_delete(am, i);
    }
    return open;
}

void addrman_attempt(struct addrman *am, const struct netaddr *a, enum addrman_count count,
                     int64_t now)
{
    uint32_t i = am_find(am, a);
    if (i == AM_NONE)
        return;
    struct am_entry *x = &am->entries[i];
    x->last_try = now; /* whatever the port: the host was dialled (D6) */
    if (count == ADDRMAN_COUNT_FAILURE && x->pa.addr.port == a->port &&
        x->last_counted < am->last_good) {
        x->last_counted = now;
        if (x->attempts < UINT32_MAX)
            x->attempts++;
    }
}

static bool collision_waits(const struct addrman *am, const struct netaddr *a)
{
    for (size_t k = 0; k < am->n_collisions; k++)
        if (netaddr_same_ip(&am->collisions[k], a))
            return true;
    return false;
}

void addrman_good(struct addrman *am, const struct netaddr *a, int64_t now)
{
    am->last_good = now;
    uint32_t i = am_find(am, a);
    if (i == AM_NONE)
        return;
    struct am_entry *x = &am->entries[i];
    x->last_success = x->last_try = now;
    x->attempts = 0;
    x->pa.addr.port = a->port; /* proven, unlike gossip */
    if (x->tried)
        return;
    if (am->tried.slots[am_tried_slot(am, a)] == AM_NONE)
        am_make_tried(am, i);
    else if (!collision_waits(am, a) && am->n_collisions < AM_MAX_COLLISIONS)
        am->collisions[am->n_collisions++] = x->pa.addr;
}

void addrman_connected(struct addrman *am, const struct netaddr *a, int64_t now)
{
    uint32_t i = am_find(am, a);
    if (i != AM_NONE && now - am->entries[i].pa.time > CONNECTED_REFRESH_S)
        am->entries[i].pa.time = now;
}

void addrman_set_services(struct addrman *am, const struct netaddr *a, uint64_t services)
{
    uint32_t i = am_find(am, a);
    if (i != AM_NONE)
        am->entries[i].pa.services = services;
}

/* True when the case is closed, one way or the other. */
static bool resolve_one(struct addrman *am, const struct netaddr *waiting, int64_t now)
{
    uint32_t i = am_find(am, waiting);
    if (i == AM_NONE || am->entries[i].tried)
        return true;
    uint32_t old = am->tried.slots[am_tried_slot(am, waiting)];
    if (old != AM_NONE) {
        const struct am_entry *x = &am->entries[old];
        if (x->last_success && now - x->last_success < TEST_MEMORY_S)
            return true; /* the old one lives: it stays */
        bool failed = x->last_try && now - x->last_try < TEST_MEMORY_S;
        if (failed && now - x->last_try <= TEST_GRACE_S)
            return false;
        if (!failed && now - am->entries[i].last_success <= TEST_WINDOW_S)
            return false;
        log_debug(LOGC_ADDRMAN, "addrman: a tested entry gives way to one that answers");
    }
    am_make_tried(am, i);
    return true;
}

void addrman_resolve_collisions(struct addrman *am, int64_t now)
{
    for (size_t k = am->n_collisions; k-- > 0;)
        if (resolve_one(am, &am->collisions[k], now))
            am->collisions[k] = am->collisions[--am->n_collisions];
}

/* Draws a fresh answer by shuffling the front of the order. Returns how many are in out. */
static size_t draw_sample(struct addrman *am, int64_t now, struct peer_addr *out)
{
    size_t want = (size_t)am->n * SAMPLE_PERCENT / 100, got = 0;
    if (want > ADDRMAN_SAMPLE_MAX)
        want = ADDRMAN_SAMPLE_MAX;
    for (uint32_t k = 0; k < am->n && got < want; k++) {
        uint32_t other = k + (uint32_t)rand_below(am->n - k);
        uint32_t i = am->order[other];
        am->order[other] = am->order[k];
        am->order[k] = i;
        am->entries[am->order[other]].order = other;
        am->entries[i].order = k;
        const struct am_entry *x = &am->entries[i];
        if (!am_is_terrible(x, now) && (netaddr_network(&x->pa.addr) & am->networks))
            out[got++] = x->pa;
    }
    return got;
}

/* The answer kept for this listening address, or the one to be replaced. */
static struct am_sample *sample_for(struct addrman *am, const struct netaddr *listening)
{
    struct am_sample *oldest = &am->samples[0];
    for (size_t k = 0; k < AM_MAX_SAMPLES; k++) {
        struct am_sample *s = &am->samples[k];
        if (s->expires && netaddr_same_ip(&s->listening, listening))
            return s;
        if (s->expires < oldest->expires)
            oldest = s;
    }
    oldest->listening = *listening;
    oldest->expires = 0;
    return oldest;
}

size_t addrman_sample(struct addrman *am, const struct netaddr *listening, int64_t now,
                      struct peer_addr *out)
{
    struct am_sample *s = sample_for(am, listening);
    if (s->expires <= now) {
        s->n = draw_sample(am, now, out);
        free(s->list);
        s->list = s->n ? xcalloc(s->n, sizeof *s->list) : NULL;
        if (s->n)
            memcpy(s->list, out, s->n * sizeof *out);
        s->expires = now + (s->n < SAMPLE_SMALL ? HOUR_S : 21 * HOUR_S) +
                     (int64_t)rand_below(s->n < SAMPLE_SMALL ? HOUR_S / 2 : 6 * HOUR_S);
    } else if (s->n) {
        memcpy(out, s->list, s->n * sizeof *out);
    }
    return s->n;
}

void addrman_get_stats(const struct addrman *am, struct addrman_stats *s)
{
    *s = (struct addrman_stats){
        .n_new = am->n_new, .n_tried = am->n_tried, .n_collisions = am->n_collisions,
        .n_ipv4 = am->n_ipv4, .n_ipv6 = am->n - am->n_ipv4,
        .offered = am->offered, .stored = am->stored,
    };
}

size_t addrman_memory(const struct addrman *am)
{
    return sizeof(*am) + am->cap * (sizeof(*am->entries) + sizeof(*am->order)) +
           2 * AM_INDEX_SIZE * sizeof(*am->index) +
           (ADDRMAN_NEW_BUCKETS + ADDRMAN_TRIED_BUCKETS) * ADDRMAN_BUCKET_SIZE * sizeof(uint32_t);
}

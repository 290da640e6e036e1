/* Entries, index and buckets of the address book: everything that keeps the invariants. */
#include "p2p/addrman_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/netgroup.h"

#define FIRST_CAPACITY 256
#define DAY_S INT64_C(86400)

static void table_init(struct am_table *t, unsigned buckets)
{
    t->buckets = buckets;
    t->slots = xcalloc((size_t)buckets * ADDRMAN_BUCKET_SIZE, sizeof *t->slots);
    t->fill = xcalloc(buckets, sizeof *t->fill);
}

static void table_reset(struct am_table *t)
{
    memset(t->slots, 0xff, (size_t)t->buckets * ADDRMAN_BUCKET_SIZE * sizeof *t->slots);
    memset(t->fill, 0, t->buckets);
}

static void table_put(struct am_table *t, uint32_t slot, uint32_t i)
{
    t->slots[slot] = i;
    t->fill[slot / ADDRMAN_BUCKET_SIZE]++;
}

static void table_take(struct am_table *t, uint32_t slot)
{
    t->slots[slot] = AM_NONE;
    t->fill[slot / ADDRMAN_BUCKET_SIZE]--;
}

static void link_free(struct addrman *am, uint32_t from)
{
    for (uint32_t i = am->cap; i-- > from; am->free = i)
        am->entries[i].chain = am->free;
}

void am_reset(struct addrman *am)
{
    table_reset(&am->fresh);
    table_reset(&am->tried);
    memset(am->index, 0xff, AM_INDEX_SIZE * sizeof *am->index);
    memset(am->groups, 0, AM_INDEX_SIZE * sizeof *am->groups);
    am->n = 0;
    am->n_new = am->n_tried = am->n_ipv4 = am->n_collisions = 0;
    am->last_good = 1; /* so that "never counted" lies before it */
    am->free = AM_NONE;
    link_free(am, 0);
    for (size_t i = 0; i < AM_MAX_SAMPLES; i++) {
        free(am->samples[i].list);
        am->samples[i] = (struct am_sample){ .n = 0 };
    }
}

struct addrman *addrman_new(const uint8_t *secret)
{
    struct addrman *am = xcalloc(1, sizeof *am);
    if (secret)
        memcpy(am->secret, secret, sizeof am->secret);
    else
        rand_bytes(am->secret, sizeof am->secret);
    rand_bytes(&am->index_key, sizeof am->index_key);
    am->networks = NETWORK_ALL;
    am->cap = FIRST_CAPACITY;
    am->entries = xcalloc(am->cap, sizeof *am->entries);
    am->order = xcalloc(am->cap, sizeof *am->order);
    am->index = xcalloc(AM_INDEX_SIZE, sizeof *am->index);
    am->groups = xcalloc(AM_INDEX_SIZE, sizeof *am->groups);
    table_init(&am->fresh, ADDRMAN_NEW_BUCKETS);
    table_init(&am->tried, ADDRMAN_TRIED_BUCKETS);
    am_reset(am);
    return am;
}

void addrman_free(struct addrman *am)
{
    if (!am)
        return;
    am_reset(am);
    free(am->fresh.slots);
    free(am->fresh.fill);
    free(am->tried.slots);
    free(am->tried.fill);
    free(am->index);
    free(am->groups);
    free(am->order);
    free(am->entries);
    secure_wipe(am->secret, sizeof am->secret);
    free(am);
}

static uint32_t *group_cell(const struct addrman *am, const struct netaddr *a)
{
    struct netgroup g = netgroup_of(a, NETGROUP_DIVERSITY);
    return &am->groups[netgroup_hash(&g, &am->index_key) % AM_INDEX_SIZE];
}

uint32_t am_group_size(const struct addrman *am, const struct netaddr *a)
{
    return *group_cell(am, a);
}

static uint32_t *index_head(const struct addrman *am, const struct netaddr *a)
{
    return &am->index[siphash(&am->index_key, a->ip, 16) % AM_INDEX_SIZE];
}

uint32_t am_find(const struct addrman *am, const struct netaddr *a)
{
    uint32_t i = *index_head(am, a);
    while (i != AM_NONE && !netaddr_same_ip(&am->entries[i].pa.addr, a))
        i = am->entries[i].chain;
    return i;
}

static bool grow(struct addrman *am)
{
    uint32_t old = am->cap;
    /* one entry more than all slots hold: the one that is being added */
    uint32_t cap = old * 2 > ADDRMAN_MAX_ENTRIES + 1 ? ADDRMAN_MAX_ENTRIES + 1 : old * 2;
    if (cap == old)
        return false;
    am->entries = xrealloc(am->entries, cap * sizeof *am->entries);
    am->order = xrealloc(am->order, cap * sizeof *am->order);
    am->cap = cap;
    link_free(am, old);
    return true;
}

uint32_t am_create(struct addrman *am, const struct peer_addr *pa, const struct netaddr *source)
{
    if (am->free == AM_NONE && !grow(am))
        return AM_NONE;
    uint32_t i = am->free, *head = index_head(am, &pa->addr);
    struct am_entry *x = &am->entries[i];
    am->free = x->chain;
    *x = (struct am_entry){ .pa = *pa, .source = *source, .chain = *head, .order = am->n };
    x->pa.addr.scope_id = 0;
    *head = i;
    am->order[am->n++] = i;
    am->n_ipv4 += netaddr_is_ipv4(&x->pa.addr);
    ++*group_cell(am, &x->pa.addr);
    return i;
}

void am_delete(struct addrman *am, uint32_t i)
{
    struct am_entry *x = &am->entries[i];
    uint32_t *link = index_head(am, &x->pa.addr);
    while (*link != i)
        link = &am->entries[*link].chain;
    *link = x->chain;
    uint32_t last = am->order[--am->n];
    am->order[x->order] = last;
    am->entries[last].order = x->order;
    am->n_ipv4 -= netaddr_is_ipv4(&x->pa.addr);
    --*group_cell(am, &x->pa.addr);
    x->chain = am->free;
    am->free = i;
}

/* First 64 bits of SHA256d(secret, what, data): nobody outside can aim at a bucket. */
static uint64_t keyed(const struct addrman *am, char what, const void *data, size_t len)
{
    struct sha256 ctx;
    uint8_t out[32];
    sha256_init(&ctx);
    sha256_update(&ctx, am->secret, sizeof am->secret);
    sha256_update(&ctx, &what, 1);
    sha256_update(&ctx, data, len);
    sha256d_final(&ctx, out);
    return le64_get(out);
}

static uint64_t keyed_group(const struct addrman *am, char what, const struct netgroup *g,
                            const void *more, size_t len)
{
    uint8_t data[sizeof g->b + 16];
    memcpy(data, g->b, sizeof g->b);
    memcpy(data + sizeof g->b, more, len);
    return keyed(am, what, data, sizeof g->b + len);
}

/* The position depends on the bucket: two rivals in one bucket seldom meet in another. */
static uint32_t slot_in(const struct addrman *am, char what, const struct netaddr *a,
                        uint32_t bucket)
{
    uint8_t data[20];
    le32_put(data, bucket);
    memcpy(data + 4, a->ip, 16);
    return bucket * ADDRMAN_BUCKET_SIZE +
           (uint32_t)(keyed(am, what, data, sizeof data) % ADDRMAN_BUCKET_SIZE);
}

uint32_t am_new_slot_in(const struct addrman *am, const struct netaddr *a, uint32_t bucket)
{
    return slot_in(am, 'N', a, bucket);
}

uint32_t am_new_slot(const struct addrman *am, const struct netaddr *a,
                     const struct netaddr *source)
{
    struct netgroup from = netgroup_of(source, NETGROUP_DIVERSITY);
    struct netgroup group = netgroup_of(a, NETGROUP_DIVERSITY);
    uint8_t which = (uint8_t)(keyed_group(am, 's', &from, group.b, sizeof group.b) %
                              AM_NEW_PER_SOURCE);
    uint64_t bucket = keyed_group(am, 'n', &from, &which, 1) % ADDRMAN_NEW_BUCKETS;
    return am_new_slot_in(am, a, (uint32_t)bucket);
}

uint32_t am_tried_slot(const struct addrman *am, const struct netaddr *a)
{
    struct netgroup group = netgroup_of(a, NETGROUP_DIVERSITY);
    uint8_t which = (uint8_t)(keyed(am, 'a', a->ip, 16) % AM_TRIED_PER_GROUP);
    uint64_t bucket = keyed_group(am, 't', &group, &which, 1) % ADDRMAN_TRIED_BUCKETS;
    return slot_in(am, 'T', a, (uint32_t)bucket);
}

void am_put_new(struct addrman *am, uint32_t i, uint32_t slot)
{
    struct am_entry *x = &am->entries[i];
    if (x->places == 0)
        am->n_new++;
    x->where[x->places++] = (uint16_t)slot;
    table_put(&am->fresh, slot, i);
}

/* Takes the entry out of one place of new; it stays in memory. */
static void leave_new(struct addrman *am, uint32_t i, uint32_t slot)
{
    struct am_entry *x = &am->entries[i];
    unsigned k = 0;
    while (x->where[k] != slot)
        k++;
    x->where[k] = x->where[--x->places];
    table_take(&am->fresh, slot);
    if (x->places == 0)
        am->n_new--;
}

void am_clear_new(struct addrman *am, uint32_t slot)
{
    uint32_t i = am->fresh.slots[slot];
    if (i == AM_NONE)
        return;
    leave_new(am, i, slot);
    if (am->entries[i].places == 0)
        am_delete(am, i);
}

static void back_to_new(struct addrman *am, uint32_t i)
{
    struct am_entry *x = &am->entries[i];
    uint32_t slot = am_new_slot(am, &x->pa.addr, &x->source);
    x->tried = false;
    am->n_tried--;
    am_clear_new(am, slot);
    am_put_new(am, i, slot);
}

void am_make_tried(struct addrman *am, uint32_t i)
{
    struct am_entry *x = &am->entries[i];
    uint32_t slot = am_tried_slot(am, &x->pa.addr);
    uint32_t old = am->tried.slots[slot];
    while (x->places)
        leave_new(am, i, x->where[0]);
    if (old != AM_NONE) {
        table_take(&am->tried, slot);
        back_to_new(am, old);
    }
    x->tried = true;
    am->n_tried++;
    table_put(&am->tried, slot, i);
}

/* spec p2p 7.3 */
bool am_is_terrible(const struct am_entry *x, int64_t now)
{
    if (x->last_try && x->last_try >= now - 60)
        return false; /* just being tried */
    if (x->pa.time > now + 600 || now - x->pa.time > 7 * DAY_S)
        return true;
    if (x->last_success == 0 && x->attempts >= 3)
        return true;
    return now - x->last_success > 2 * DAY_S && x->attempts >= 10;
}

double am_chance(const struct am_entry *x, int64_t now)
{
    double chance = x->last_try && now - x->last_try < 600 ? 0.01 : 1.0;
    for (uint32_t i = 0; i < x->attempts && i < 8; i++)
        chance *= 0.66;
    return chance;
}

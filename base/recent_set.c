/*
 * Two open-addressed tables of 32-bit tags: ids go into one until n are in it, then the other is
 * emptied and takes over. Slot and tag come from different halves of one keyed hash. Tables are at
 * most three quarters full, so a question looks at about nine tags at worst: 2 * 9 / 2^32.
 */
#include "base/recent_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"

void recent_set_init(struct recent_set *s, size_t n)
{
    BUG_ON(n == 0 || n > RECENT_SET_MAX);
    size_t slots = 4;
    while (slots * 3 / 4 < n)
        slots *= 2;
    *s = (struct recent_set){ .n_each = n, .mask = slots - 1 };
    rand_bytes(&s->key, sizeof(s->key));
}

void recent_set_clear(struct recent_set *s)
{
    free(s->now);
    free(s->before);
    s->now = s->before = NULL;
    s->n = 0;
}

void recent_set_reset(struct recent_set *s)
{
    if (!s->now)
        return;
    memset(s->now, 0, (s->mask + 1) * sizeof(*s->now));
    memset(s->before, 0, (s->mask + 1) * sizeof(*s->before));
    s->n = 0;
}

static uint32_t tag_of(uint64_t hash)
{
    const uint32_t tag = (uint32_t)(hash >> 32);
    return tag ? tag : 1;
}

/* Slot of the tag, or the free one where the search ended. */
static size_t locate(const struct recent_set *s, const uint32_t *table, uint64_t hash)
{
    size_t i = (size_t)hash & s->mask;
    while (table[i] && table[i] != tag_of(hash))
        i = (i + 1) & s->mask;
    return i;
}

static bool has_hash(const struct recent_set *s, uint64_t hash)
{
    return s->now && (s->now[locate(s, s->now, hash)] || s->before[locate(s, s->before, hash)]);
}

bool recent_set_has(const struct recent_set *s, const uint8_t id[32])
{
    return has_hash(s, siphash_32(&s->key, id));
}

static void next_generation(struct recent_set *s)
{
    uint32_t *oldest = s->before;
    s->before = s->now;
    s->now = oldest;
    memset(s->now, 0, (s->mask + 1) * sizeof(*s->now));
    s->n = 0;
}

bool recent_set_add(struct recent_set *s, const uint8_t id[32])
{
    const uint64_t hash = siphash_32(&s->key, id);
    if (!s->now) {
        s->now = xcalloc(s->mask + 1, sizeof(*s->now));
        s->before = xcalloc(s->mask + 1, sizeof(*s->before));
    }
    if (s->n == s->n_each)
        next_generation(s);
    const size_t i = locate(s, s->now, hash);
    if (s->now[i])
        return false;
    s->now[i] = tag_of(hash);
    s->n++;
    return !s->before[locate(s, s->before, hash)];
}

size_t recent_set_bytes(const struct recent_set *s)
{
    return s->now ? 2 * (s->mask + 1) * sizeof(*s->now) : 0;
}

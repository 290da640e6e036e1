#include "base/map.h"

#include <stdlib.h>

#include "base/mem.h"

#define FIRST_SLOTS 16

void map_init(struct map *m)
{
    *m = (struct map){ .slots = NULL };
}

void map_clear(struct map *m)
{
    free(m->slots);
    map_init(m);
}

/* Index of the item, or of the free slot where the search ended. The table has slots. */
static size_t locate(const struct map *m, uint64_t hash, map_equal_fn equal, const void *key)
{
    size_t i = (size_t)hash & m->mask;
    while (m->slots[i].item && !(m->slots[i].hash == hash && equal(m->slots[i].item, key)))
        i = (i + 1) & m->mask;
    return i;
}

void *map_find(const struct map *m, uint64_t hash, map_equal_fn equal, const void *key)
{
    return m->n ? m->slots[locate(m, hash, equal, key)].item : NULL;
}

static void place(struct map *m, uint64_t hash, void *item)
{
    size_t i = (size_t)hash & m->mask;
    while (m->slots[i].item)
        i = (i + 1) & m->mask;
    m->slots[i] = (struct map_slot){ hash, item };
}

static void resize(struct map *m, size_t slots)
{
    const struct map old = *m;
    m->slots = xcalloc(slots, sizeof(*m->slots));
    m->mask = slots - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].item)
            place(m, old.slots[i].hash, old.slots[i].item);
    free(old.slots);
}

void map_put(struct map *m, uint64_t hash, void *item)
{
    if (!m->slots)
        resize(m, FIRST_SLOTS);
    else if ((m->n + 1) * 4 > (m->mask + 1) * 3)
        resize(m, (m->mask + 1) * 2);
    place(m, hash, item);
    m->n++;
}

/* Items after the hole that would be looked for before it move into it. */
static void close_hole(struct map *m, size_t hole)
{
    for (size_t i = (hole + 1) & m->mask; m->slots[i].item; i = (i + 1) & m->mask) {
        const size_t home = (size_t)m->slots[i].hash & m->mask;
        if (((i - home) & m->mask) < ((i - hole) & m->mask))
            continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole].item = NULL;
}

void *map_remove(struct map *m, uint64_t hash, map_equal_fn equal, const void *key)
{
    if (m->n == 0)
        return NULL;
    const size_t i = locate(m, hash, equal, key);
    void *item = m->slots[i].item;
    if (!item)
        return NULL;
    close_hole(m, i);
    m->n--;
    const size_t slots = m->mask + 1;
    if (slots > FIRST_SLOTS && m->n < slots / 8)
        resize(m, slots / 2);
    return item;
}

void *map_next(const struct map *m, size_t *pos)
{
    while (m->slots && *pos <= m->mask) {
        void *item = m->slots[(*pos)++].item;
        if (item)
            return item;
    }
    return NULL;
}

size_t map_bytes(const struct map *m)
{
    return m->slots ? (m->mask + 1) * sizeof(*m->slots) : 0;
}

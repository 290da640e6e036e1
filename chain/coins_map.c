/*
 * Removal shifts later slots back instead of leaving markers: the slot holds the hash, so no entry
 * is touched for it. Growing rehashes slots alone for the same reason.
 */
#include <config.h>

#include "chain/coins_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"

enum {
    CHUNK_BITS = 11,
    CHUNK_ENTRIES = 1 << CHUNK_BITS,
    SLOTS_MIN = 1024,
    SCRIPT_OVERHEAD = sizeof(struct coin_script) + 16, /* with the allocator's share */
    CHUNK_END = 0xffff, /* no entry, or no chunk's free entry */
};

_Static_assert(sizeof(struct coin_entry) == 80, "coin entries are compact");

struct coins_chunk {
    struct coin_entry *entries; /* NULL: given back */
    uint16_t free_head;         /* chained through entry.index; CHUNK_END: full */
    uint16_t live;
    bool open; /* in the list of chunks with room */
    uint32_t next_open;
};

enum err coins_map_init(struct coins_map *m, struct error *e)
{
    *m = (struct coins_map){ .n_slots = SLOTS_MIN, .open_chunk = COINS_MAP_NONE };
    rand_bytes(&m->key, sizeof(m->key));
    m->slots = calloc(SLOTS_MIN, sizeof(*m->slots));
    return m->slots ? OK : error_set(e, ERR_NOMEM, "no memory for the coin cache");
}

static void free_scripts(const struct coins_map *m)
{
    for (uint32_t i = 0; i < coins_map_limit(m); i++) {
        struct coin_entry *ce = coins_map_at(m, i);
        if (ce && ce->script_len == COIN_SCRIPT_HEAP) {
            void *p;
            memcpy(&p, ce->script, sizeof(p));
            free(p);
        }
    }
}

void coins_map_clear(struct coins_map *m)
{
    if (m->heap_bytes)
        free_scripts(m);
    for (size_t i = 0; i < m->n_chunks; i++)
        free(m->chunks[i].entries);
    free(m->chunks);
    free(m->slots);
    *m = (struct coins_map){ .open_chunk = COINS_MAP_NONE };
}

uint32_t coins_map_limit(const struct coins_map *m)
{
    return (uint32_t)(m->n_chunks << CHUNK_BITS);
}

static struct coin_entry *entry_of(const struct coins_map *m, uint32_t number)
{
    return &m->chunks[number >> CHUNK_BITS].entries[number & (CHUNK_ENTRIES - 1)];
}

struct coin_entry *coins_map_at(const struct coins_map *m, uint32_t number)
{
    if (!m->chunks[number >> CHUNK_BITS].entries)
        return NULL;
    struct coin_entry *ce = entry_of(m, number);
    return ce->flags & CE_USED ? ce : NULL;
}

static uint64_t slot_make(uint32_t number, uint32_t hash)
{
    return (uint64_t)hash << 32 | ((uint64_t)number + 1);
}
static uint32_t slot_hash(uint64_t slot)
{
    return (uint32_t)(slot >> 32);
}
static uint32_t slot_number(uint64_t slot)
{
    return (uint32_t)slot - 1;
}

struct coin_entry *coins_map_find(const struct coins_map *m, const struct outpoint *o,
                                  uint32_t hash, uint32_t *number)
{
    size_t mask = m->n_slots - 1;
    for (size_t i = hash & mask; m->slots[i]; i = (i + 1) & mask) {
        if (slot_hash(m->slots[i]) != hash)
            continue;
        struct coin_entry *ce = entry_of(m, slot_number(m->slots[i]));
        if (ce->index == o->index && txid_equal(&ce->txid, &o->txid)) {
            if (number)
                *number = slot_number(m->slots[i]);
            return ce;
        }
    }
    return NULL;
}

static void put_slot(uint64_t *slots, size_t n_slots, uint64_t slot)
{
    size_t mask = n_slots - 1, i = slot_hash(slot) & mask;
    while (slots[i])
        i = (i + 1) & mask;
    slots[i] = slot;
}

static bool resize_slots(struct coins_map *m, size_t n_slots)
{
    uint64_t *slots = calloc(n_slots, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < m->n_slots; i++)
        if (m->slots[i])
            put_slot(slots, n_slots, m->slots[i]);
    free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    return true;
}

static void open_push(struct coins_map *m, uint32_t i)
{
    m->chunks[i].open = true;
    m->chunks[i].next_open = m->open_chunk;
    m->open_chunk = i;
}

/* A chunk without memory (given back) stays in the list and gets some when it comes first again. */
static bool chunk_fill(struct coins_map *m, struct coins_chunk *c)
{
    c->entries = try_alloc(CHUNK_ENTRIES, sizeof(*c->entries));
    if (!c->entries)
        return false;
    for (uint32_t i = 0; i < CHUNK_ENTRIES; i++) {
        c->entries[i].flags = 0;
        c->entries[i].index = i + 1 < CHUNK_ENTRIES ? i + 1 : CHUNK_END;
    }
    c->free_head = 0;
    c->live = 0;
    m->live_chunks++;
    return true;
}

static bool add_chunk(struct coins_map *m)
{
    if (m->n_chunks == UINT32_MAX >> CHUNK_BITS)
        return false; /* entry numbers are used up: as good as out of memory */
    if (m->n_chunks == m->cap_chunks) {
        size_t cap = m->cap_chunks ? m->cap_chunks * 2 : 16;
        struct coins_chunk *p = try_realloc(m->chunks, cap, sizeof(*p));
        if (!p)
            return false;
        m->chunks = p;
        m->cap_chunks = cap;
    }
    m->chunks[m->n_chunks] = (struct coins_chunk){ 0 };
    open_push(m, (uint32_t)m->n_chunks++);
    return true;
}

static struct coin_entry *take_entry(struct coins_map *m, uint32_t *number)
{
    if (m->open_chunk == COINS_MAP_NONE && !add_chunk(m))
        return NULL;
    uint32_t i = m->open_chunk;
    struct coins_chunk *c = &m->chunks[i];
    if (!c->entries && !chunk_fill(m, c))
        return NULL;
    uint32_t at = c->free_head;
    struct coin_entry *ce = &c->entries[at];
    c->free_head = (uint16_t)ce->index;
    c->live++;
    if (c->free_head == CHUNK_END) {
        m->open_chunk = c->next_open;
        c->open = false;
    }
    *number = i << CHUNK_BITS | at;
    return ce;
}

static void give_entry(struct coins_map *m, uint32_t number)
{
    uint32_t i = number >> CHUNK_BITS;
    struct coins_chunk *c = &m->chunks[i];
    struct coin_entry *ce = entry_of(m, number);
    ce->flags = 0;
    ce->index = c->free_head;
    c->free_head = (uint16_t)(number & (CHUNK_ENTRIES - 1));
    if (!c->open)
        open_push(m, i);
    /* The chunk that is filled next keeps its memory: add and spend in turn do not thrash. */
    if (--c->live == 0 && m->open_chunk != i) {
        free(c->entries);
        c->entries = NULL;
        m->live_chunks--;
    }
}

struct coin_entry *coins_map_insert(struct coins_map *m, const struct outpoint *o, uint32_t hash,
                                    uint32_t *number)
{
    if (m->count + 1 > m->n_slots / 4 * 3 && !resize_slots(m, m->n_slots * 2))
        return NULL;
    struct coin_entry *ce = take_entry(m, number);
    if (!ce)
        return NULL;
    ce->txid = o->txid;
    ce->index = o->index;
    ce->flags = CE_USED;
    ce->script_len = 0;
    put_slot(m->slots, m->n_slots, slot_make(*number, hash));
    m->count++;
    return ce;
}

/* Moves back every later slot of the run that may stand at the hole. */
static void close_hole(struct coins_map *m, size_t hole)
{
    size_t mask = m->n_slots - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i]; i = (i + 1) & mask) {
        size_t home = slot_hash(m->slots[i]) & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole] = 0;
}

void coins_map_remove(struct coins_map *m, uint32_t number, uint32_t hash)
{
    size_t mask = m->n_slots - 1, i = hash & mask;
    uint64_t slot = slot_make(number, hash);
    while (m->slots[i] != slot)
        i = (i + 1) & mask;
    close_hole(m, i);
    give_entry(m, number);
    m->count--;
}

void coins_map_shrink(struct coins_map *m)
{
    size_t n = m->n_slots;
    while (n > SLOTS_MIN && m->count < n / 8)
        n /= 2;
    if (n < m->n_slots && !resize_slots(m, n))
        return; /* no memory to save memory: stay as it is */
}

size_t coins_map_bytes(const struct coins_map *m)
{
    return m->n_slots * sizeof(*m->slots) + m->count * sizeof(struct coin_entry) + m->heap_bytes +
           m->n_chunks * sizeof(struct coins_chunk);
}

size_t coins_map_system_bytes(const struct coins_map *m)
{
    return m->n_slots * sizeof(*m->slots) +
           m->live_chunks * CHUNK_ENTRIES * sizeof(struct coin_entry) + m->heap_bytes +
           m->cap_chunks * sizeof(struct coins_chunk);
}

static struct coin_script *heap_script(const struct coin_entry *ce)
{
    struct coin_script *s;
    memcpy(&s, ce->script, sizeof(s));
    return s;
}

struct span coin_entry_script(const struct coin_entry *ce)
{
    if (ce->script_len != COIN_SCRIPT_HEAP)
        return span_of(ce->script, ce->script_len);
    const struct coin_script *s = heap_script(ce);
    return span_of(s->data, s->len);
}

bool coin_entry_set_script(struct coins_map *m, struct coin_entry *ce, struct span script)
{
    if (script.len <= COIN_INLINE_MAX) {
        if (script.len)
            memcpy(ce->script, script.data, script.len);
        ce->script_len = (uint8_t)script.len;
        return true;
    }
    struct coin_script *s =
        script.len < SIZE_MAX / 2 ? try_alloc(1, sizeof(*s) + script.len) : NULL;
    if (!s)
        return false;
    s->len = script.len;
    memcpy(s->data, script.data, script.len);
    memcpy(ce->script, &s, sizeof(s));
    ce->script_len = COIN_SCRIPT_HEAP;
    m->heap_bytes += SCRIPT_OVERHEAD + script.len;
    return true;
}

struct coin_script *coin_entry_take_script(struct coins_map *m, struct coin_entry *ce)
{
    struct coin_script *s = NULL;
    if (ce->script_len == COIN_SCRIPT_HEAP) {
        s = heap_script(ce);
        m->heap_bytes -= SCRIPT_OVERHEAD + s->len;
    }
    ce->script_len = 0;
    return s;
}

size_t coin_entry_bytes(const struct coin_entry *ce)
{
    size_t heap = ce->script_len == COIN_SCRIPT_HEAP ? SCRIPT_OVERHEAD + heap_script(ce)->len : 0;
    return sizeof(*ce) + heap;
}

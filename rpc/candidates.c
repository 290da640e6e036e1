#include "rpc/candidates.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"
#include "chain/block_template.h"

struct slot {
    struct candidate c;
    size_t memory; /* of its template; 0: the one before has the same */
    int64_t added; /* seconds */
};

/* A ring in order of age: slots[(first + i) % max]. */
struct candidates {
    pthread_mutex_t lock;
    struct slot *slots;
    size_t max, first, n;
    size_t max_bytes, memory;
    int64_t max_age_s;
};

struct candidates *candidates_new(size_t max, size_t max_bytes, int64_t max_age_s)
{
    struct candidates *t = xcalloc(1, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->slots = xcalloc(max, sizeof(*t->slots));
    t->max = max;
    t->max_bytes = max_bytes;
    t->max_age_s = max_age_s;
    return t;
}

void candidate_clear(struct candidate *c)
{
    block_template_unref(c->rest);
    c->rest = NULL;
    buf_clear(&c->coinbase);
}

static struct slot *slot_at(struct candidates *t, size_t i)
{
    return &t->slots[(t->first + i) % t->max];
}

static void drop_oldest(struct candidates *t)
{
    struct slot *oldest = slot_at(t, 0), *next = slot_at(t, 1);
    if (t->n > 1 && next->c.rest == oldest->c.rest)
        next->memory = oldest->memory; /* it is not the last that has it */
    else
        t->memory -= oldest->memory;
    candidate_clear(&oldest->c);
    t->first = (t->first + 1) % t->max;
    t->n--;
}

void candidates_free(struct candidates *t)
{
    if (!t)
        return;
    while (t->n)
        drop_oldest(t);
    pthread_mutex_destroy(&t->lock);
    free(t->slots);
    free(t);
}

static void drop_expired(struct candidates *t, int64_t now)
{
    while (t->n && now - t->slots[t->first].added > t->max_age_s)
        drop_oldest(t);
}

/* Version 4: random but for the bits that say so. */
static void make_id(char id[CANDIDATE_ID_SIZE])
{
    uint8_t b[16];
    rand_bytes(b, sizeof(b));
    b[6] = (uint8_t)(0x40 | (b[6] & 0x0f));
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
    snprintf(id, CANDIDATE_ID_SIZE,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

static void copy_candidate(struct candidate *out, const struct candidate *c)
{
    *out = *c;
    block_template_ref(out->rest);
    buf_init(&out->coinbase);
    buf_put(&out->coinbase, c->coinbase.data, c->coinbase.len);
}

/* What one more would take. */
static size_t memory_of_next(struct candidates *t, const struct candidate *c)
{
    const bool same = t->n && slot_at(t, t->n - 1)->c.rest == c->rest;
    return same ? 0 : block_template_memory(c->rest);
}

static bool in_the_way(struct candidates *t, const struct candidate *c)
{
    return t->n == t->max || slot_at(t, 0)->c.rest->height < c->rest->height - 1 ||
           t->memory + memory_of_next(t, c) > t->max_bytes;
}

void candidates_add(struct candidates *t, struct candidate *c, int64_t now)
{
    make_id(c->id);
    pthread_mutex_lock(&t->lock);
    drop_expired(t, now);
    while (t->n && in_the_way(t, c))
        drop_oldest(t);
    const size_t memory = memory_of_next(t, c);
    struct slot *slot = slot_at(t, t->n++);
    copy_candidate(&slot->c, c);
    slot->memory = memory;
    slot->added = now;
    t->memory += memory;
    pthread_mutex_unlock(&t->lock);
}

bool candidates_find(struct candidates *t, const char *id, int64_t now, struct candidate *out)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    drop_expired(t, now);
    for (size_t i = t->n; i-- > 0 && !found;) { /* the newest is the likeliest */
        const struct candidate *c = &slot_at(t, i)->c;
        found = strcmp(c->id, id) == 0;
        if (found)
            copy_candidate(out, c);
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

size_t candidates_count(struct candidates *t)
{
    pthread_mutex_lock(&t->lock);
    const size_t n = t->n;
    pthread_mutex_unlock(&t->lock);
    return n;
}

size_t candidates_memory(struct candidates *t)
{
    pthread_mutex_lock(&t->lock);
    const size_t memory = t->memory;
    pthread_mutex_unlock(&t->lock);
    return memory;
}

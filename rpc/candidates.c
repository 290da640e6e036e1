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
    int64_t added; /* seconds */
};

/* A ring in order of age: slots[(first + i) % max]. */
struct candidates {
    pthread_mutex_t lock;
    struct slot *slots;
    size_t max, first, n;
    int64_t max_age_s;
};

struct candidates *candidates_new(size_t max, int64_t max_age_s)
{
    struct candidates *t = xcalloc(1, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->slots = xcalloc(max, sizeof(*t->slots));
    t->max = max;
    t->max_age_s = max_age_s;
    return t;
}

void candidate_clear(struct candidate *c)
{
    block_template_unref(c->rest);
    c->rest = NULL;
    buf_clear(&c->coinbase);
}

static void drop_oldest(struct candidates *t)
{
    candidate_clear(&t->slots[t->first].c);
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

void candidates_add(struct candidates *t, struct candidate *c, int64_t now)
{
    make_id(c->id);
    pthread_mutex_lock(&t->lock);
    drop_expired(t, now);
    while (t->n && (t->n == t->max || t->slots[t->first].c.rest->height < c->rest->height - 1))
        drop_oldest(t);
    struct slot *slot = &t->slots[(t->first + t->n++) % t->max];
    copy_candidate(&slot->c, c);
    slot->added = now;
    pthread_mutex_unlock(&t->lock);
}

bool candidates_find(struct candidates *t, const char *id, int64_t now, struct candidate *out)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    drop_expired(t, now);
    for (size_t i = t->n; i-- > 0 && !found;) { /* the newest is the likeliest */
        const struct candidate *c = &t->slots[(t->first + i) % t->max].c;
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

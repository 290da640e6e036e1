/* Rings that are searched from their newest end: questions are rare, notes are many. */
#include "base/causes.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"

struct ring {
    struct cause *v;
    uint64_t noted; /* since the start; the next one goes to noted % max */
};

struct causes {
    pthread_mutex_t lock;
    struct ring rings[CAUSE_KINDS]; /* of their own, so that bad transactions push out no peers */
    size_t max;
};

struct causes *causes_new(size_t max)
{
    struct causes *c = xcalloc(1, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    for (size_t i = 0; i < CAUSE_KINDS; i++)
        c->rings[i].v = xcalloc(max, sizeof(struct cause));
    c->max = max;
    return c;
}

void causes_free(struct causes *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    for (size_t i = 0; i < CAUSE_KINDS; i++)
        free(c->rings[i].v);
    free(c);
}

static void note(struct causes *c, const struct cause *cause, const char *fmt, va_list args)
{
    pthread_mutex_lock(&c->lock);
    struct ring *ring = &c->rings[cause->kind];
    struct cause *to = &ring->v[ring->noted++ % c->max];
    *to = *cause;
    to->time = clock_now();
    vsnprintf(to->text, sizeof(to->text), fmt, args);
    pthread_mutex_unlock(&c->lock);
}

void causes_note_hash(struct causes *c, enum cause_kind kind, const uint8_t hash[32],
                      const char *fmt, ...)
{
    struct cause cause = { .kind = kind };
    va_list args;
    if (!c)
        return;
    memcpy(cause.key, hash, sizeof(cause.key));
    va_start(args, fmt);
    note(c, &cause, fmt, args);
    va_end(args);
}

void causes_note_peer(struct causes *c, uint64_t id, const char *name, const char *fmt, ...)
{
    struct cause cause = { .kind = CAUSE_PEER };
    va_list args;
    if (!c)
        return;
    le64_put(cause.key, id);
    snprintf(cause.name, sizeof(cause.name), "%s", name);
    va_start(args, fmt);
    note(c, &cause, fmt, args);
    va_end(args);
}

typedef bool (*match_fn)(const struct cause *cause, const void *key);

static bool has_hash(const struct cause *cause, const void *key)
{
    return mem_equal_var(cause->key, key, sizeof(cause->key));
}

static bool has_id(const struct cause *cause, const void *key)
{
    return le64_get(cause->key) == *(const uint64_t *)key;
}

/* "[::1]:8333" is meant by itself, by "[::1]" and by "::1". */
static bool has_name(const struct cause *cause, const void *key)
{
    const char *name = cause->name, *wanted = key;
    const size_t len = strlen(wanted);
    if (len == 0)
        return false;
    if (name[0] == '[' && wanted[0] != '[')
        return strncmp(name + 1, wanted, len) == 0 && name[1 + len] == ']';
    return strncmp(name, wanted, len) == 0 && (name[len] == '\0' || name[len] == ':');
}

struct search {
    enum cause_kind kind;
    match_fn match;
    const void *key;
};

static size_t find(struct causes *c, const struct search *s, struct cause *out, size_t max)
{
    size_t n = 0;
    if (!c)
        return 0;
    pthread_mutex_lock(&c->lock);
    const struct ring *ring = &c->rings[s->kind];
    const uint64_t oldest = ring->noted > c->max ? ring->noted - c->max : 0;
    for (uint64_t at = ring->noted; at > oldest && n < max; at--) {
        const struct cause *cause = &ring->v[(at - 1) % c->max];
        if (s->match(cause, s->key))
            out[n++] = *cause;
    }
    pthread_mutex_unlock(&c->lock);
    return n;
}

size_t causes_of_hash(struct causes *c, enum cause_kind kind, const uint8_t hash[32],
                      struct cause *out, size_t max)
{
    return find(c, &(struct search){ kind, has_hash, hash }, out, max);
}

size_t causes_of_peer(struct causes *c, uint64_t id, struct cause *out, size_t max)
{
    return find(c, &(struct search){ CAUSE_PEER, has_id, &id }, out, max);
}

size_t causes_of_name(struct causes *c, const char *name, struct cause *out, size_t max)
{
    return find(c, &(struct search){ CAUSE_PEER, has_name, name }, out, max);
}

size_t causes_bytes(struct causes *c)
{
    size_t used = 0;
    if (!c)
        return 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CAUSE_KINDS; i++)
        used += c->rings[i].noted < c->max ? (size_t)c->rings[i].noted : c->max;
    pthread_mutex_unlock(&c->lock);
    return sizeof(*c) + used * sizeof(struct cause);
}

size_t causes_untouched(struct causes *c)
{
    return c ? sizeof(*c) + CAUSE_KINDS * c->max * sizeof(struct cause) - causes_bytes(c) : 0;
}

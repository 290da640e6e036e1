#include "node/told_numbers.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"

#define NUMBER 0 /* position of the number among the values */

void told_numbers_init(struct told_numbers *t, void (*emit)(void *ctx, struct event_record *r),
                       void *ctx)
{
    *t = (struct told_numbers){ .emit = emit, .ctx = ctx };
    pthread_mutex_init(&t->lock, NULL);
}

void told_numbers_clear(struct told_numbers *t)
{
    free(t->waiting);
    pthread_mutex_destroy(&t->lock);
}

/* --- what the log holds --------------------------------------------------------------------- */

static enum told_source source_of(const struct event_record *r)
{
    return event_row_find(r->type)->source;
}

static uint64_t number_of(const struct event_record *r) { return (uint64_t)r->v[NUMBER].number; }

static void note(uint64_t highest[TOLD_SOURCES], const struct event_record *r)
{
    if (source_of(r) != TOLD_NOWHERE)
        highest[source_of(r)] = number_of(r);
}

void told_numbers_load(struct told_numbers *t, struct reader *r)
{
    const size_t n = r->left ? read_u8(r) : 0;
    memset(t->told, 0, sizeof t->told);
    for (size_t i = 0; i < n; i++) {
        const uint64_t number = read_le64(r);
        if (i < TOLD_SOURCES)
            t->told[i] = number;
    }
    memcpy(t->last, t->told, sizeof t->last);
}

bool told_numbers_replay(struct told_numbers *t, const struct event_record *r)
{
    const enum told_source source = source_of(r);
    if (source == TOLD_NOWHERE)
        return true;
    if (number_of(r) <= t->told[source])
        return false;
    note(t->told, r);
    note(t->last, r);
    return true;
}

void told_numbers_store(const struct told_numbers *t, struct buf *out)
{
    buf_put_u8(out, TOLD_SOURCES);
    for (size_t i = 0; i < TOLD_SOURCES; i++)
        buf_put_le64(out, t->told[i]);
}

/* --- then ----------------------------------------------------------------------------------- */

static bool put_locked(struct told_numbers *t, const struct event_record *r, bool *first)
{
    const enum told_source source = source_of(r);
    if (source != TOLD_NOWHERE && number_of(r) <= t->last[source])
        return true;
    if (t->n == TOLD_WAITING_MAX)
        return false;
    if (!t->waiting)
        t->waiting = xcalloc(TOLD_WAITING_MAX, sizeof *t->waiting);
    *first = t->n == 0;
    t->waiting[t->n++] = *r;
    note(t->last, r);
    return true;
}

bool told_numbers_put(struct told_numbers *t, const struct event_record *r, bool *first)
{
    *first = false;
    pthread_mutex_lock(&t->lock);
    const bool put = put_locked(t, r, first);
    pthread_mutex_unlock(&t->lock);
    return put;
}

uint64_t told_numbers_last(struct told_numbers *t, enum told_source source)
{
    pthread_mutex_lock(&t->lock);
    const uint64_t last = t->last[source];
    pthread_mutex_unlock(&t->lock);
    return last;
}

void told_numbers_take(struct told_numbers *t)
{
    pthread_mutex_lock(&t->lock);
    struct event_record *all = t->waiting;
    const size_t n = t->n;
    t->waiting = NULL;
    t->n = 0;
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        note(t->told, &all[i]);
        t->emit(t->ctx, &all[i]);
    }
    free(all);
}

size_t told_numbers_bytes(struct told_numbers *t)
{
    pthread_mutex_lock(&t->lock);
    const size_t bytes = t->waiting ? TOLD_WAITING_MAX * sizeof *t->waiting : 0;
    pthread_mutex_unlock(&t->lock);
    return bytes;
}

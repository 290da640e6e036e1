/* Readers of the log of events: where they are, how far they may read, how they wait. */
#include "node/event_log_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"

#define SYNC_PAUSE_MS 20

struct event_reader {
    struct event_log *log;
    struct event_segment segment;  /* file.fd -1: not opened yet */
    uint64_t offset, next;
};

void event_log_get_info(struct event_log *l, struct event_log_info *out)
{
    pthread_mutex_lock(&l->lock);
    *out = (struct event_log_info){ .oldest = l->n_files ? l->files[0].first : l->committed,
                                    .next = l->committed };
    memcpy(out->id, l->id, sizeof out->id);
    for (size_t i = 0; i < l->n_files; i++)
        out->bytes += l->files[i].size;
    pthread_mutex_unlock(&l->lock);
}

enum err event_reader_open(struct event_log *l, uint64_t from, struct event_reader **out,
                           struct error *e)
{
    struct event_log_info info;
    event_log_get_info(l, &info);
    from = MAX_OF(from, 1); /* the first number there ever is */
    if (from < info.oldest)
        return error_set(e, ERR_NOTFOUND, "event %llu is no longer kept, the oldest is %llu",
                         (unsigned long long)from, (unsigned long long)info.oldest);
    if (from > info.next)
        return error_set(e, ERR_RANGE, "event %llu does not exist, the next will be %llu",
                         (unsigned long long)from, (unsigned long long)info.next);
    struct event_reader *r = xcalloc(1, sizeof *r);
    r->log = l;
    r->segment.file.fd = -1;
    r->next = from;
    *out = r;
    return OK;
}

void event_reader_close(struct event_reader *r)
{
    event_segment_close(&r->segment);
    free(r);
}

/* The file that holds (or will hold) a number, and whether it is the newest. */
static bool find_file(struct event_log *l, uint64_t number, struct listed *out, bool *newest)
{
    bool found = false;
    pthread_mutex_lock(&l->lock);
    for (size_t i = l->n_files; i-- > 0 && !found;)
        if (l->files[i].first <= number) {
            found = true;
            *out = l->files[i];
            *newest = i == l->n_files - 1;
        }
    pthread_mutex_unlock(&l->lock);
    return found;
}

/* Events before the one that is wanted. */
static enum err skip_before(void *ctx, const struct event_record *r, struct error *e)
{
    (void)e;
    return r->number < *(const uint64_t *)ctx ? OK : ERR_CANCELLED;
}

static enum err open_at(struct event_reader *r, const struct listed *f, struct error *e)
{
    uint64_t next = f->first;
    enum err rc = event_segment_open(r->log->dir, f->first, FILE_READ, &r->segment, e);
    if (rc)
        return rc; /* ERR_NOTFOUND: deleted since */
    r->offset = r->segment.records_at;
    rc = event_segment_read(&r->segment, &r->offset, f->size, &next, skip_before, &r->next, e);
    if (rc == ERR_CANCELLED || (!rc && next == r->next))
        return OK;
    event_segment_close(&r->segment);
    return rc ? rc : error_set(e, ERR_CORRUPT, "event log: damaged after event %llu",
                               (unsigned long long)next - 1);
}

/* After a failure nothing is tried again: the kernel tells of it once and forgets the pages, so
 * that a second sync would succeed and prove nothing. */
static enum err sync_once(struct event_reader *r, const struct listed *newest, struct error *e)
{
    struct event_log *l = r->log;
    struct error why = l->sync_failed; /* only who has sync_lock writes it */
    const enum err rc = why.code ? why.code : file_sync(&r->segment.file, &why);
    l->last_sync_ms = clock_mono_ms();
    pthread_mutex_lock(&l->lock);
    if (rc)
        l->sync_failed = why;
    else if (l->files[l->n_files - 1].first == newest->first)
        l->synced = MAX_OF(l->synced, newest->size);
    pthread_mutex_unlock(&l->lock);
    return rc ? error_set(e, rc, "%s", why.text) : OK;
}

/* Everything committed to the newest file is made durable. */
static enum err sync_newest(struct event_reader *r, struct error *e)
{
    struct event_log *l = r->log;
    struct listed f;
    bool newest;
    enum err rc = OK;
    pthread_mutex_lock(&l->sync_lock);
    int64_t pause = l->last_sync_ms + SYNC_PAUSE_MS - clock_mono_ms();
    if (pause > 0)
        nanosleep(&(struct timespec){ .tv_nsec = pause * 1000000 }, NULL);
    if (find_file(l, UINT64_MAX, &f, &newest) && f.first == r->segment.first)
        rc = sync_once(r, &f, e);
    pthread_mutex_unlock(&l->sync_lock);
    return rc;
}

/* How far the reader's file may be read now; *whole: nothing will be added to it. */
static enum err readable(struct event_reader *r, uint64_t *end, bool *whole, struct error *e)
{
    struct event_log *l = r->log;
    for (int round = 0;; round++) {
        struct listed f;
        bool newest;
        if (!find_file(l, r->segment.first, &f, &newest) || f.first != r->segment.first) {
            /* deleted while it was being read: what is left of it can still be had */
            *whole = true;
            return file_size(&r->segment.file, end, e);
        }
        pthread_mutex_lock(&l->lock);
        *end = newest ? MIN_OF(l->synced, f.size) : f.size;
        pthread_mutex_unlock(&l->lock);
        *whole = !newest;
        if (!newest || *end > r->offset || f.size == *end || round)
            return OK;
        enum err rc = sync_newest(r, e);
        if (rc)
            return rc;
    }
}

/* Opens the file with the next event, when there is one; else file.fd stays -1. */
static enum err open_next(struct event_reader *r, struct error *e)
{
    struct event_log_info info;
    struct listed f;
    bool newest;
    if (r->segment.file.fd >= 0)
        return OK;
    if (find_file(r->log, r->next, &f, &newest))
        return open_at(r, &f, e);
    event_log_get_info(r->log, &info);
    return info.next == r->next ? OK /* nothing was ever said */
                                : error_set(e, ERR_NOTFOUND, "event %llu has been deleted",
                                            (unsigned long long)r->next);
}

/* What is there of the reader's file; *whole: no more will be. */
static enum err read_file(struct event_reader *r, event_record_fn fn, void *ctx, bool *whole,
                          struct error *e)
{
    uint64_t end;
    enum err rc = readable(r, &end, whole, e);
    if (!rc && r->offset < end)
        rc = event_segment_read(&r->segment, &r->offset, end, &r->next, fn, ctx, e);
    if (!rc && r->offset < end)
        rc = error_set(e, ERR_CORRUPT, "event log: damaged after event %llu",
                       (unsigned long long)r->next - 1);
    return rc;
}

enum err event_reader_next(struct event_reader *r, event_record_fn fn, void *ctx, uint64_t *n,
                           struct error *e)
{
    const uint64_t before = r->next;
    bool whole = true;
    enum err rc = OK;
    while (!rc && whole && r->next == before) {
        rc = open_next(r, e);
        if (rc || r->segment.file.fd < 0)
            break;
        rc = read_file(r, fn, ctx, &whole, e);
        if (!rc && whole && r->next == before)
            event_segment_close(&r->segment); /* on to the next file */
    }
    *n = r->next - before;
    return rc;
}

bool event_reader_wait(struct event_reader *r, int64_t timeout_ms)
{
    struct event_log *l = r->log;
    const struct timespec until = clock_deadline(timeout_ms);
    int rc = 0;
    pthread_mutex_lock(&l->lock);
    while (!l->stopping && l->committed <= r->next && rc == 0)
        rc = pthread_cond_timedwait(&l->more, &l->lock, &until);
    bool more = !l->stopping && l->committed > r->next;
    pthread_mutex_unlock(&l->lock);
    return more;
}

void event_log_stop_readers(struct event_log *l)
{
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_broadcast(&l->more);
    pthread_mutex_unlock(&l->lock);
}

bool event_log_is_stopping(struct event_log *l)
{
    pthread_mutex_lock(&l->lock);
    bool stopping = l->stopping;
    pthread_mutex_unlock(&l->lock);
    return stopping;
}

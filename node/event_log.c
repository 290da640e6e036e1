#include "node/event_log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define SEGMENTS_AIM 16
#define STATE_SHARE 4 /* a file holds at least so many times the bytes of its state in records */
#define SYNC_PAUSE_MS 20

/* A file as the list knows it. size: with everything that is committed. */
struct listed {
    uint64_t first, size;
};

struct event_log {
    struct event_log_options o;
    char *dir;
    /* Writer. */
    struct event_segment segment;  /* the newest, open for writing; file.fd -1: none */
    uint64_t end;                  /* its size */
    uint64_t next_number;          /* of the next event to be appended */
    struct buf pending;
    struct error failed;           /* code OK: it works */

    /* Any thread. */
    pthread_mutex_t lock;          /* for all below; never held over the disk */
    pthread_cond_t more;
    uint8_t id[EVENT_LOG_ID_SIZE];
    struct listed *files;          /* by rising number; the last is the newest */
    size_t n_files;
    uint64_t committed;            /* number of the next event that readers do not see yet */
    uint64_t synced;               /* so much of the newest file is on disk, bytes */
    struct error sync_failed;      /* of a reader; code OK: it works */
    bool stopping;
    pthread_mutex_t sync_lock;     /* one reader syncs at a time */
    int64_t last_sync_ms;          /* under sync_lock */
};

struct event_reader {
    struct event_log *log;
    struct event_segment segment;  /* file.fd -1: not opened yet */
    uint64_t offset, next;
};

/* --- opening -------------------------------------------------------------------------------- */

static void add_listed(struct event_log *l, uint64_t first, uint64_t size)
{
    l->files = xrealloc(l->files, (l->n_files + 1) * sizeof *l->files);
    l->files[l->n_files++] = (struct listed){ first, size };
}

static void note_name(void *ctx, const char *name)
{
    struct event_log *l = ctx;
    uint64_t first;
    if (event_segment_name(name, &first)) {
        add_listed(l, first, 0);
        return;
    }
    if (!event_segment_is_leftover(name))
        return;
    char *path = path_join(l->dir, name);
    if (path_remove(path, NULL))
        log_warn("%s could not be removed", path);
    free(path);
}

static int by_first(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static enum err skip_record(void *ctx, const struct event_record *r, struct error *e)
{
    (void)ctx;
    (void)r;
    (void)e;
    return OK;
}

/* The newest file, cut after its last good record. */
static enum err open_newest(struct event_log *l, struct error *e)
{
    struct listed *newest = &l->files[l->n_files - 1];
    uint64_t size = 0;
    enum err rc = event_segment_open(l->dir, newest->first, FILE_WRITE, &l->segment, e);
    if (!rc)
        rc = file_size(&l->segment.file, &size, e);
    if (rc)
        return rc;
    l->end = l->segment.records_at;
    l->next_number = newest->first;
    memcpy(l->id, l->segment.log_id, sizeof l->id);
    rc = event_segment_read(&l->segment, &l->end, size, &l->next_number, skip_record, NULL, e);
    if (rc || l->end == size)
        return rc;
    log_warn("event log: %llu bytes after event %llu were not completely written and are cut",
             (unsigned long long)(size - l->end), (unsigned long long)(l->next_number - 1));
    return file_truncate(&l->segment.file, l->end, e);
}

/* The files must be of one log; sizes of all. */
static enum err check_files(struct event_log *l, struct error *e)
{
    for (size_t i = 0; i < l->n_files; i++) {
        struct event_segment s;
        enum err rc = event_segment_open(l->dir, l->files[i].first, FILE_READ, &s, e);
        if (rc)
            return rc;
        bool same = memcmp(s.log_id, l->id, sizeof l->id) == 0;
        rc = file_size(&s.file, &l->files[i].size, e);
        event_segment_close(&s);
        if (rc)
            return rc;
        if (!same)
            return error_set(e, ERR_CORRUPT, "%s: files of different event logs", l->dir);
    }
    return OK;
}

static enum err open_files(struct event_log *l, struct error *e)
{
    enum err rc = path_make_dirs(l->dir, e);
    if (!rc)
        rc = path_list(l->dir, note_name, l, e);
    l->next_number = 1;
    if (rc || !l->n_files)
        return rc;
    qsort(l->files, l->n_files, sizeof *l->files, by_first);
    rc = open_newest(l, e);
    if (!rc)
        rc = file_sync(&l->segment.file, e);
    if (!rc)
        rc = check_files(l, e);
    l->synced = l->end;
    return rc;
}

/* --- replay --------------------------------------------------------------------------------- */

static enum err replay_file(struct event_log *l, size_t i, bool with_state,
                            const struct event_replayer *r, struct error *e)
{
    struct event_segment s;
    struct buf state;
    enum err rc = event_segment_open(l->dir, l->files[i].first, FILE_READ, &s, e);
    if (rc)
        return rc;
    uint64_t offset = s.records_at, next = s.first;
    buf_init(&state);
    if (with_state)
        rc = event_segment_state(&s, &state, e);
    if (!rc && with_state)
        rc = r->state(r->ctx, buf_span(&state), e);
    if (!rc)
        rc = event_segment_read(&s, &offset, l->files[i].size, &next, r->record, r->ctx, e);
    if (!rc && offset != l->files[i].size)
        rc = error_set(e, ERR_CORRUPT, "%s: damaged after event %llu", s.file.path,
                       (unsigned long long)next - 1);
    buf_clear(&state);
    event_segment_close(&s);
    return rc;
}

static enum err replay_from(struct event_log *l, size_t first, const struct event_replayer *r,
                            struct error *e)
{
    enum err rc = l->n_files ? OK : r->state(r->ctx, span_of("", 0), e);
    for (size_t i = first; !rc && i < l->n_files; i++)
        rc = replay_file(l, i, i == first, r, e);
    return rc;
}

enum err event_log_replay_whole(struct event_log *l, const struct event_replayer *r,
                                struct error *e)
{
    return replay_from(l, 0, r, e);
}

/* --- life ----------------------------------------------------------------------------------- */

static struct event_log *log_new(const struct event_log_options *o)
{
    struct event_log *l = xcalloc(1, sizeof *l);
    l->o = *o;
    l->o.segment_bytes = o->segment_bytes ? o->segment_bytes : o->max_bytes / SEGMENTS_AIM;
    l->dir = xstrdup(o->dir);
    l->segment.file.fd = -1;
    buf_init(&l->pending);
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->sync_lock, NULL);
    clock_cond_init(&l->more);
    return l;
}

static void log_free(struct event_log *l)
{
    event_segment_close(&l->segment);
    buf_clear(&l->pending);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->sync_lock);
    pthread_cond_destroy(&l->more);
    free(l->files);
    free(l->dir);
    free(l);
}

/* "events" becomes "events.bad", or ".bad1" and so on. */
static enum err set_aside(const char *dir, const struct error *why, struct error *e)
{
    char *to = xasprintf("%s.bad", dir);
    for (int i = 1; path_exists(to); i++) {
        free(to);
        to = xasprintf("%s.bad%d", dir, i);
    }
    enum err rc = OK;
    if (rename(dir, to))
        rc = error_set(e, ERR_IO, "%s cannot be renamed; move it away", dir);
    else
        log_error("event log: %s; set aside as %s, a new log is begun", why->text, to);
    free(to);
    return rc;
}

enum err event_log_open(struct event_log **out, const struct event_log_options *o,
                        const struct event_replayer *r, struct error *e)
{
    for (int attempt = 0;; attempt++) {
        struct event_log *l = log_new(o);
        struct error why = { .code = OK };
        enum err rc = open_files(l, &why);
        if (!rc)
            rc = replay_from(l, l->n_files ? l->n_files - 1 : 0, r, &why);
        if (!rc) {
            l->committed = l->next_number;
            *out = l;
            return OK;
        }
        log_free(l);
        if (rc != ERR_CORRUPT || attempt)
            return error_set(e, rc, "event log: %s", why.text);
        rc = set_aside(o->dir, &why, e);
        if (rc)
            return rc;
    }
}

enum err event_log_close(struct event_log *l, struct error *e)
{
    if (!l)
        return OK;
    enum err rc = event_log_commit(l, e);
    if (!rc && l->segment.file.fd >= 0)
        rc = file_sync(&l->segment.file, e);
    log_free(l);
    return rc;
}

/* --- writing -------------------------------------------------------------------------------- */

void event_log_append(struct event_log *l, struct event_record *r)
{
    r->number = l->next_number++;
    r->time_ms = clock_now_ms();
    event_record_write(&l->pending, r);
}

size_t event_log_uncommitted(const struct event_log *l) { return l->pending.len; }
bool event_log_has_failed(const struct event_log *l) { return l->failed.code != OK; }

static enum err begin_segment(struct event_log *l, uint64_t first, struct span state,
                              struct error *e)
{
    struct event_segment s;
    uint8_t id[EVENT_LOG_ID_SIZE];
    memcpy(id, l->id, sizeof id);
    if (!l->n_files)
        rand_bytes(id, sizeof id);
    enum err rc = event_segment_create(l->dir, id, first, state, &s, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&l->lock);
    memcpy(l->id, id, sizeof id);
    add_listed(l, first, s.records_at);
    l->synced = s.records_at;
    pthread_mutex_unlock(&l->lock);
    event_segment_close(&l->segment);
    l->segment = s;
    l->end = s.records_at;
    return OK;
}

/* Deletes the oldest files while there are too many bytes. */
static void trim(struct event_log *l)
{
    for (;;) {
        uint64_t bytes = 0, first;
        pthread_mutex_lock(&l->lock);
        for (size_t i = 0; i < l->n_files; i++)
            bytes += l->files[i].size;
        bool drop = bytes > l->o.max_bytes && l->n_files > 1;
        first = l->files[0].first;
        if (drop)
            memmove(l->files, l->files + 1, --l->n_files * sizeof *l->files);
        pthread_mutex_unlock(&l->lock);
        if (!drop)
            return;
        char *path = event_segment_path(l->dir, first);
        if (path_remove(path, NULL))
            log_warn("event log: %s could not be deleted", path);
        free(path);
    }
}

static bool segment_is_full(const struct event_log *l)
{
    uint64_t records = l->end - l->segment.records_at;
    return records >= l->o.segment_bytes && records >= STATE_SHARE * l->segment.state_size;
}

static enum err next_segment(struct event_log *l, struct error *e)
{
    struct buf state;
    buf_init(&state);
    enum err rc = file_sync(&l->segment.file, e);
    l->o.store(l->o.ctx, &state);
    if (!rc)
        rc = begin_segment(l, l->next_number, buf_span(&state), e);
    buf_clear(&state);
    if (!rc)
        trim(l);
    return rc;
}

static enum err write_pending(struct event_log *l, struct error *e)
{
    enum err rc = OK;
    if (!l->n_files) /* the very first events: nothing was said before them */
        rc = begin_segment(l, 1, span_of("", 0), e);
    if (!rc)
        rc = file_pwrite(&l->segment.file, l->pending.data, l->pending.len, l->end, e);
    if (rc)
        return rc;
    l->end += l->pending.len;
    buf_reset(&l->pending);
    pthread_mutex_lock(&l->lock);
    l->files[l->n_files - 1].size = l->end;
    l->committed = l->next_number;
    pthread_cond_broadcast(&l->more);
    pthread_mutex_unlock(&l->lock);
    return segment_is_full(l) ? next_segment(l, e) : OK;
}

/* What a reader could not make durable is no log either. */
static void note_sync_failure(struct event_log *l)
{
    pthread_mutex_lock(&l->lock);
    if (!l->failed.code && l->sync_failed.code)
        error_set(&l->failed, l->sync_failed.code, "event log: %s", l->sync_failed.text);
    pthread_mutex_unlock(&l->lock);
}

enum err event_log_commit(struct event_log *l, struct error *e)
{
    note_sync_failure(l);
    if (l->failed.code) {
        if (e)
            *e = l->failed;
        return l->failed.code;
    }
    if (!l->pending.len)
        return OK;
    enum err rc = write_pending(l, &l->failed);
    if (rc)
        error_prefix(&l->failed, rc, "event log");
    if (rc && e)
        *e = l->failed;
    return rc;
}

/* --- reading -------------------------------------------------------------------------------- */

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

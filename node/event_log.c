#include "node/event_log_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define SEGMENTS_AIM 16
#define STATE_SHARE 4 /* a file holds at least so many times the bytes of its state in records */

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

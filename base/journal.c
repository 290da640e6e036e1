#include "base/journal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/reader.h"

#define MAGIC "BSVPJRNL"
#define VERSION 1
#define SECTOR 512
#define BATCH_HEAD 8
#define BATCH_MAX (4u << 20)       /* bytes, but for a single record */
#define GROW (UINT64_C(4) << 20)   /* the file is allocated in such steps */
#define NAME_DIGITS 20

/* A record on its way, or the order to begin another file (turn) or to remove old ones (drop). */
struct entry {
    struct queue_node node; /* first, so that the cast back is plain */
    journal_done_fn done;
    void *ctx;
    enum err rc;
    struct error error;
    uint64_t turn, drop; /* numbers of files */
    size_t len;
    uint8_t data[];
};

struct journal {
    char *dir;
    unsigned gather_us;
    void (*wake)(void *ctx);
    void *ctx;
    struct queue *given, *done;
    pthread_t thread;
    uint64_t number;             /* owner: of the file that new records go to */
    bool has_older;              /* owner */
    atomic_uint_least64_t bytes; /* since the last turn */

    /* The journal's thread, once it runs. */
    struct file file;
    uint64_t file_number, offset, allocated;
    enum err failed;
    struct error failure;
};

/* --- format --- */

static uint32_t check_of(uint64_t number, uint64_t offset, struct span bytes)
{
    static const struct siphash_key key = { 0, 0 };
    uint8_t head[24];
    le64_put(head, number);
    le64_put(head + 8, offset);
    le64_put(head + 16, siphash(&key, bytes.data, bytes.len));
    return (uint32_t)siphash(&key, head, sizeof head);
}

static char *path_of(const char *dir, uint64_t number)
{
    return xasprintf("%s/%0*" PRIu64 ".journal", dir, NAME_DIGITS, number);
}

static bool number_of(const char *name, uint64_t *number)
{
    char *end;
    if (strspn(name, "0123456789") != NAME_DIGITS)
        return false;
    *number = strtoull(name, &end, 10);
    return strcmp(end, ".journal") == 0;
}

static void put_head(uint8_t out[SECTOR], uint64_t number)
{
    memset(out, 0, SECTOR);
    memcpy(out, MAGIC, 8);
    le32_put(out + 8, VERSION);
    le64_put(out + 12, number);
    le32_put(out + 20, check_of(number, 0, span_of(out, 20)));
}

static size_t to_sector(size_t n) { return (n + SECTOR - 1) / SECTOR * SECTOR; }

/* --- the files there are --- */

struct numbers {
    uint64_t *v; /* rising */
    size_t n, room;
};

static void add_number(void *ctx, const char *name)
{
    struct numbers *l = ctx;
    uint64_t number;
    if (!number_of(name, &number))
        return;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->v = xrealloc(l->v, l->room * sizeof *l->v);
    }
    l->v[l->n++] = number;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The caller frees l->v. */
static enum err list_numbers(struct numbers *l, const char *dir, struct error *e)
{
    *l = (struct numbers){ .n = 0 };
    const enum err rc = path_list(dir, add_number, l, e);
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_number);
    return rc;
}

static enum err remove_before(const char *dir, uint64_t number, struct error *e)
{
    struct numbers l;
    enum err rc = list_numbers(&l, dir, e);
    for (size_t i = 0; !rc && i < l.n && l.v[i] < number; i++) {
        char *path = path_of(dir, l.v[i]);
        rc = path_remove(path, e);
        if (!rc)
            rc = path_sync_dir(dir, e);
        free(path);
    }
    free(l.v);
    return rc;
}

/* --- writing, on the journal's thread --- */

static enum err create_file(struct journal *j, uint64_t number, struct error *e)
{
    uint8_t head[SECTOR];
    char *path = path_of(j->dir, number);
    file_close(&j->file);
    put_head(head, number);
    enum err rc = file_open(&j->file, path, FILE_CREATE_NEW, e);
    if (!rc)
        rc = file_pwrite(&j->file, head, sizeof head, 0, e);
    if (!rc)
        rc = file_sync(&j->file, e);
    if (!rc)
        rc = path_sync_dir(j->dir, e);
    j->file_number = number;
    j->offset = j->allocated = SECTOR;
    free(path);
    return rc;
}

static enum err write_batch(struct journal *j, struct buf *batch, struct error *e)
{
    const size_t used = batch->len;
    memset(buf_extend(batch, to_sector(used) - used), 0, to_sector(used) - used);
    le32_put(batch->data + 4, (uint32_t)(used - BATCH_HEAD));
    le32_put(batch->data, check_of(j->file_number, j->offset,
                                   span_of(batch->data + 4, used - 4)));
    enum err rc = OK;
    if (j->offset + batch->len > j->allocated) {
        const uint64_t more = batch->len > GROW ? batch->len : GROW;
        rc = file_preallocate(&j->file, j->allocated, more, e);
        j->allocated += more;
    }
    if (!rc)
        rc = file_pwrite(&j->file, batch->data, batch->len, j->offset, e);
    if (!rc)
        rc = file_sync(&j->file, e);
    j->offset += batch->len;
    atomic_fetch_add(&j->bytes, batch->len);
    return rc;
}

static void put_record(struct buf *batch, const struct entry *entry)
{
    buf_put_le32(batch, (uint32_t)entry->len);
    buf_put(batch, entry->data, entry->len);
}

/* With what has come of it. */
static void give_back(struct journal *j, struct entry *entry, enum err rc, const struct error *e)
{
    entry->rc = rc;
    entry->error = *e;
    if (!queue_push_always(j->done, &entry->node))
        WARN_BUG(true);
}

static void finish(struct journal *j, struct entry *list)
{
    while (list) {
        struct entry *next = (struct entry *)list->node.next;
        give_back(j, list, j->failed, &j->failure);
        list = next;
    }
}

static bool is_order(const struct entry *entry) { return entry->turn || entry->drop; }

/* first and what waits behind it, up to the next order, which is returned. */
static struct entry *gather(struct journal *j, struct entry *first, struct buf *batch)
{
    struct entry *last = first, *next = NULL;
    buf_reset(batch);
    (void)buf_extend(batch, BATCH_HEAD);
    put_record(batch, first);
    first->node.next = NULL;
    while (batch->len < BATCH_MAX && (next = (struct entry *)queue_pop(j->given)) &&
           !is_order(next)) {
        put_record(batch, next);
        next->node.next = NULL;
        last->node.next = &next->node;
        last = next;
    }
    return next && is_order(next) ? next : NULL;
}

static void turn(struct journal *j, struct entry *entry)
{
    if (!j->failed)
        j->failed = create_file(j, entry->turn, &j->failure);
    give_back(j, entry, j->failed, &j->failure);
}

/* What has failed keeps all its files. */
static void drop(struct journal *j, struct entry *entry)
{
    struct error e = j->failure;
    const enum err rc = j->failed ? j->failed : remove_before(j->dir, entry->drop, &e);
    give_back(j, entry, rc, &e);
}

static void obey(struct journal *j, struct entry *order)
{
    if (order->turn)
        turn(j, order);
    else
        drop(j, order);
}

static void wait_for_more(const struct journal *j)
{
    const struct timespec t = { j->gather_us / 1000000, (long)(j->gather_us % 1000000) * 1000 };
    if (j->gather_us)
        nanosleep(&t, NULL);
}

static void *run(void *arg)
{
    struct journal *j = arg;
    struct buf batch;
    struct queue_node *node;
    bool busy = false;
    buf_init(&batch);
    while ((node = queue_pop_wait(j->given, -1))) {
        struct entry *first = (struct entry *)node, *after = NULL;
        if (is_order(first)) {
            obey(j, first);
            continue;
        }
        if (busy)
            wait_for_more(j);
        after = gather(j, first, &batch);
        if (!j->failed)
            j->failed = write_batch(j, &batch, &j->failure);
        busy = first->node.next != NULL;
        finish(j, first);
        if (after)
            obey(j, after);
    }
    buf_clear(&batch);
    return NULL;
}

/* --- reading --- */

struct replay {
    struct journal *j;
    journal_replay_fn fn;
    void *ctx;
};

static enum err check_head(const struct file *f, uint64_t number, struct error *e)
{
    uint8_t head[SECTOR], want[SECTOR];
    enum err rc = file_pread(f, head, sizeof head, 0, e);
    if (rc)
        return rc;
    if (memcmp(head, MAGIC, 8) == 0 && le32_get(head + 8) > VERSION)
        return error_set(e, ERR_RANGE, "%s: written by a newer version", f->path);
    put_head(want, number);
    if (memcmp(head, want, sizeof want) != 0)
        return error_set(e, ERR_CORRUPT, "%s: not a journal, or its head is damaged", f->path);
    return OK;
}

/* Reads the batch at offset into data. *good: there is a whole one, of *size bytes in the file. */
static enum err read_batch(const struct file *f, uint64_t number, uint64_t offset, uint64_t end,
                           struct buf *data, size_t *size, bool *good, struct error *e)
{
    uint8_t head[BATCH_HEAD];
    *good = false;
    if (end - offset < SECTOR)
        return OK;
    enum err rc = file_pread(f, head, sizeof head, offset, e);
    const uint64_t len = le32_get(head + 4);
    if (rc || len == 0 || len > end - offset - BATCH_HEAD)
        return rc;
    buf_reset(data);
    if (!buf_try_reserve(data, len + 4))
        return error_set(e, ERR_NOMEM, "%s: no memory for a batch", f->path);
    rc = file_pread(f, buf_extend(data, len + 4), len + 4, offset + 4, e);
    *size = to_sector(len + BATCH_HEAD);
    *good = !rc && check_of(number, offset, buf_span(data)) == le32_get(head);
    return rc;
}

static enum err replay_batch(const struct replay *r, const struct buf *data, const char *path,
                             struct error *e)
{
    struct reader in;
    enum err rc = OK;
    reader_init(&in, data->data + 4, data->len - 4);
    while (!rc && in.left) {
        const size_t len = read_le32(&in);
        const struct span record = span_of(read_bytes(&in, len), len);
        if (in.failed)
            return error_set(e, ERR_CORRUPT, "%s: a record is longer than its batch", path);
        rc = r->fn(r->ctx, record, e);
    }
    return rc;
}

/* Behind a batch that is not whole there must be none. */
static enum err check_end(const struct file *f, uint64_t number, uint64_t offset, uint64_t end,
                          struct buf *data, struct error *e)
{
    enum err rc = OK;
    bool good = false;
    size_t size;
    for (uint64_t at = offset + SECTOR; !rc && !good && at < end; at += SECTOR)
        rc = read_batch(f, number, at, end, data, &size, &good, e);
    if (!rc && good)
        return error_set(e, ERR_CORRUPT, "%s: damaged at offset %" PRIu64, f->path, offset);
    return rc;
}

static enum err replay_file(const struct replay *r, const struct file *f, uint64_t number,
                            struct error *e)
{
    struct buf data;
    uint64_t end = 0, offset = SECTOR;
    size_t size = 0;
    bool good = true;
    buf_init(&data);
    enum err rc = file_size(f, &end, e);
    while (!rc) {
        rc = read_batch(f, number, offset, end, &data, &size, &good, e);
        if (rc || !good)
            break;
        rc = replay_batch(r, &data, f->path, e);
        offset += size;
    }
    if (!rc)
        rc = check_end(f, number, offset, end, &data, e);
    buf_clear(&data);
    return rc;
}

/* One that was being made when the process or the power went, and the last: shorter than its head,
 * or as long, and the head has not reached the disk. Batches make it longer. */
static bool is_unfinished(const struct file *f, bool last)
{
    static const uint8_t none[SECTOR];
    uint8_t head[SECTOR];
    uint64_t size;
    if (!last || file_size(f, &size, NULL))
        return false;
    return size < SECTOR || (size == SECTOR && !file_pread(f, head, sizeof head, 0, NULL) &&
                             memcmp(head, none, sizeof head) == 0);
}

static enum err replay_number(const struct replay *r, uint64_t number, bool last,
                              struct error *e)
{
    char *path = path_of(r->j->dir, number);
    struct file f = { .fd = -1 };
    enum err rc = file_open(&f, path, FILE_READ, e);
    if (!rc && is_unfinished(&f, last)) {
        rc = path_remove(path, e);
    } else if (!rc) {
        rc = check_head(&f, number, e);
        if (!rc)
            rc = replay_file(r, &f, number, e);
    }
    file_close(&f);
    free(path);
    return rc;
}

static enum err replay_all(struct journal *j, journal_replay_fn fn, void *ctx, struct error *e)
{
    const struct replay r = { .j = j, .fn = fn, .ctx = ctx };
    struct numbers l;
    enum err rc = list_numbers(&l, j->dir, e);
    for (size_t i = 0; !rc && i < l.n; i++)
        rc = replay_number(&r, l.v[i], i + 1 == l.n, e);
    j->number = l.n ? l.v[l.n - 1] + 1 : 1;
    j->has_older = l.n > 0;
    free(l.v);
    return rc;
}

/* --- owner --- */

static void wake_owner(void *ctx)
{
    const struct journal *j = ctx;
    if (j->wake)
        j->wake(j->ctx);
}

static void journal_free(struct journal *j)
{
    file_close(&j->file);
    queue_free(j->given);
    queue_free(j->done);
    free(j->dir);
    free(j);
}

enum err journal_open(struct journal **out, const struct journal_options *o,
                      journal_replay_fn replay, void *replay_ctx, struct error *e)
{
    struct journal *j = xcalloc(1, sizeof *j);
    j->dir = xstrdup(o->dir);
    j->gather_us = o->gather_us;
    j->wake = o->wake;
    j->ctx = o->ctx;
    j->file.fd = -1;
    j->given = queue_new(0, 0, NULL, NULL);
    j->done = queue_new(0, 0, wake_owner, j);
    enum err rc = path_make_dirs(j->dir, e);
    if (!rc)
        rc = replay_all(j, replay, replay_ctx, e);
    if (!rc)
        rc = create_file(j, j->number, e);
    if (!rc) {
        const int failed = pthread_create(&j->thread, NULL, run, j);
        if (failed)
            rc = error_set_errno(e, failed, "the thread of a journal could not be started");
    }
    if (rc) {
        journal_free(j);
        return rc;
    }
    *out = j;
    return OK;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    queue_close(j->given);
    pthread_join(j->thread, NULL);
    journal_poll(j);
    journal_free(j);
}

static void push(struct journal *j, struct entry *entry)
{
    entry->node.bytes = entry->len;
    if (queue_push_always(j->given, &entry->node))
        return;
    /* From a completion while it is being closed. */
    const struct error e = { ERR_CANCELLED, "the journal is closed" };
    if (entry->done)
        entry->done(entry->ctx, e.code, &e);
    free(entry);
}

void journal_append(struct journal *j, struct span record, journal_done_fn done, void *ctx)
{
    BUG_ON(record.len > JOURNAL_RECORD_MAX);
    struct entry *entry = xmalloc(sizeof *entry + record.len);
    *entry = (struct entry){ .done = done, .ctx = ctx, .len = record.len };
    memcpy(entry->data, record.data, record.len);
    push(j, entry);
}

void journal_poll(struct journal *j)
{
    struct queue_node *node;
    while ((node = queue_pop(j->done))) {
        struct entry *entry = (struct entry *)node;
        if (entry->drop && !entry->rc)
            j->has_older = false;
        if (entry->done)
            entry->done(entry->ctx, entry->rc, &entry->error);
        free(entry);
    }
}

size_t journal_waiting(struct journal *j) { return queue_bytes(j->given) + queue_bytes(j->done); }

uint64_t journal_turn(struct journal *j, journal_done_fn done, void *ctx)
{
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->turn = ++j->number;
    entry->done = done;
    entry->ctx = ctx;
    atomic_store(&j->bytes, 0);
    push(j, entry);
    return j->number;
}

uint64_t journal_bytes(struct journal *j) { return atomic_load(&j->bytes); }

bool journal_has_older(const struct journal *j) { return j->has_older; }

void journal_drop_before(struct journal *j, uint64_t number, journal_done_fn done, void *ctx)
{
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->drop = number;
    entry->done = done;
    entry->ctx = ctx;
    push(j, entry);
}

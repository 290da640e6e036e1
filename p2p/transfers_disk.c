/*
 * The files that arrive: <hex id>.part while chunks come, <hex id> when all are there and synced. A
 * bit is stored after the chunk is on disk, so it is true after any crash. Chunks that were written
 * and have no bit, since the process was killed, are looked for when the file is opened again: the
 * file system knows where data are, and the leaves know whether they are good. Not so after a sync
 * that failed: the kernel tells of it once and keeps the pages, which would be read as good, while
 * a second sync would succeed and write nothing. What has no bit is fetched and written again then.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"

#define SEARCH_MAX (UINT64_C(256) << 20) /* bytes read for lost bits */

char *disk_path(const struct transfers *t, const uint8_t id[32], bool part)
{
    char name[64 + sizeof ".part"];
    hex_encode(name, id, 32);
    if (part)
        memcpy(name + 64, ".part", sizeof ".part");
    return path_join(t->directory, name);
}

static uint64_t place_of(const struct incoming *in, uint32_t chunk)
{
    return MIN_OF((uint64_t)chunk << in->chunk_log2, in->size);
}

static bool is_good(const struct incoming *in, const uint8_t *leaves, uint32_t i,
                    const uint8_t *chunk)
{
    uint8_t leaf[32];
    dchan_leaf_hash(leaf, span_of(chunk, dchan_chunk_size(in->size, i)));
    return mem_equal_var(leaf, leaves + 32 * (size_t)i, 32);
}

/* --- opening --- */

struct opening {
    struct disk_job job; /* first */
    struct incoming *in;
    char *part, *whole;
    struct kv *kv;
    unsigned reserve_percent;
    struct file file;
    struct buf leaves, bits;
    bool there;          /* under its own name already */
    bool unsure;         /* as of the file */
};

static void opening_free(struct disk_job *j)
{
    struct opening *o = (struct opening *)(void *)j;
    file_close(&o->file);
    buf_clear(&o->leaves);
    buf_clear(&o->bits);
    free(o->part);
    free(o->whole);
    free(o);
}

/* What is not reserved yet must leave a share of the file system free. */
static enum err check_space(const struct opening *o, uint64_t missing, struct error *e)
{
    struct statvfs fs;
    uint64_t need, reserve;
    if (fstatvfs(o->file.fd, &fs) != 0)
        return error_set_errno(e, errno, "%s", o->part);
    const uint64_t unit = fs.f_frsize, available = unit * fs.f_bavail;
    reserve = unit * fs.f_blocks / 100 * o->reserve_percent;
    if (!add_u64(missing, reserve, &need) || need > available)
        return error_set(e, ERR_NOSPACE, "%llu MiB are needed, and %llu MiB shall stay free",
                         (unsigned long long)(missing >> 20), (unsigned long long)(reserve >> 20));
    return OK;
}

static enum err reserve(const struct opening *o, struct error *e)
{
    struct stat st;
    if (fstat(o->file.fd, &st) != 0)
        return error_set_errno(e, errno, "%s", o->part);
    const uint64_t has = 512 * (uint64_t)st.st_blocks, size = o->in->size;
    if (has >= size)
        return OK;
    enum err rc = check_space(o, size - has, e);
    return rc ? rc : file_preallocate(&o->file, 0, size, e);
}

/* New files have no bits, whatever the store says. */
static enum err open_part(struct opening *o, bool *fresh, struct error *e)
{
    *fresh = !path_exists(o->part);
    return file_open(&o->file, o->part, *fresh ? FILE_CREATE_NEW : FILE_WRITE, e);
}

static enum err read_store(struct opening *o, bool fresh, struct error *e)
{
    const struct incoming *in = o->in;
    bool found = false;
    enum err rc = leaves_load(o->kv, false, in->id, &o->leaves, &found, e);
    if (!rc && (!found || o->leaves.len != 32 * (size_t)in->n ||
                !dchan_leaves_match(in->id, in->size, o->leaves.data, in->n)))
        buf_reset(&o->leaves);
    if (!rc)
        rc = bits_load(o->kv, in->id, &o->bits, &found, e);
    if (rc)
        return rc;
    if (o->bits.len != bits_size(in->n) || fresh || !o->leaves.len) {
        buf_reset(&o->bits);
        memset(buf_extend(&o->bits, bits_size(in->n)), 0, bits_size(in->n));
    }
    return OK;
}

static void look_at(struct opening *o, uint8_t *chunk, uint32_t i)
{
    const size_t size = dchan_chunk_size(o->in->size, i);
    if (file_pread(&o->file, chunk, size, place_of(o->in, i), NULL) == OK &&
        is_good(o->in, o->leaves.data, i, chunk))
        bit_set(o->bits.data, i);
}

/* Chunks with data and without a bit. A chunk that cannot be read will be written again. */
static void find_lost(struct opening *o)
{
    const struct incoming *in = o->in;
    uint8_t *chunk = try_alloc(1, (size_t)1 << in->chunk_log2);
    uint64_t looked = 0;
    off_t at = 0;
    while (chunk && looked < SEARCH_MAX && (at = lseek(o->file.fd, at, SEEK_DATA)) >= 0 &&
           (uint64_t)at < in->size) {
        uint32_t i = (uint32_t)((uint64_t)at >> in->chunk_log2);
        while (i < in->n && bit_get(o->bits.data, i))
            i++;
        if (i < in->n && place_of(in, i) <= (uint64_t)at) {
            look_at(o, chunk, i++);
            looked += UINT64_C(1) << in->chunk_log2;
        }
        if (i >= in->n)
            break;
        at = MAX_OF((off_t)place_of(in, i), at + 1);
    }
    free(chunk);
}

static enum err open_file(struct opening *o, struct error *e)
{
    bool fresh = false;
    if (path_exists(o->whole)) { /* it got its name, and the store was not told */
        o->there = true;
        return OK;
    }
    enum err rc = open_part(o, &fresh, e);
    if (!rc)
        rc = reserve(o, e);
    if (!rc)
        rc = read_store(o, fresh, e);
    if (!rc && !fresh && o->leaves.len && !o->unsure)
        find_lost(o);
    return rc;
}

static void run_open(struct disk_job *j)
{
    j->rc = open_file((struct opening *)(void *)j, &j->error);
}

/* The leaves are there: an empty file needs nothing else. */
static void leaves_are_there(struct incoming *in)
{
    in->has_leaves = true;
    if (in->size == 0 && !in->n_have) {
        bit_set(in->have, 0);
        in->n_have = 1;
    }
}

static bool take_memory(struct incoming *in, struct opening *o)
{
    size_t len;
    in->leaves = try_alloc(in->n, 32);
    in->asked = try_calloc(in->n, 1);
    if (!in->leaves || !in->asked)
        return false;
    in->have = buf_take(&o->bits, &len);
    in->n_have = incoming_count(in, in->have, &in->good);
    purchase_opened(in);
    in->file = o->file;
    o->file = (struct file){ .fd = -1 };
    in->whole = in->n_have == in->n;
    in->search = 0;
    in->open = true;
    in->sync_ms = in->opened_ms = in->looked_ms = channels_now(in->t->channels);
    in->had_brought = in->brought;
    in->slow = false;
    if (o->leaves.len) {
        memcpy(in->leaves, o->leaves.data, o->leaves.len);
        leaves_are_there(in);
    }
    return true;
}

static void open_done(struct disk_job *j)
{
    struct opening *o = (struct opening *)(void *)j;
    struct incoming *in = o->in;
    in->opening = false;
    if (in->gone || in->closing || in->state != TRANSFER_RUNNING) {
        (void)incoming_job_ended(in);
    } else if (j->rc) {
        incoming_pause(in, &j->error);
        (void)incoming_job_ended(in);
    } else if (o->there) {
        if (incoming_job_ended(in))
            incoming_is_there(in);
    } else if (!take_memory(in, o)) {
        error_set(&j->error, ERR_NOMEM, "out of memory");
        incoming_pause(in, &j->error);
        (void)incoming_job_ended(in);
    } else if (incoming_job_ended(in)) {
        in->pause = TRANSFER_GOES_ON;
        in->error[0] = 0;
        disk_finish(in);
        fetch_more(in);
    }
    opening_free(j);
}

void disk_open(struct incoming *in)
{
    if (in->open || in->opening || in->closing || in->gone ||
        channels_now(in->t->channels) < in->retry_ms)
        return;
    if (in->t->running >= TRANSFERS_RUNNING_MAX) {
        in->pause = TRANSFER_QUEUED;
        return;
    }
    struct opening *o = xcalloc(1, sizeof *o);
    o->in = in;
    o->unsure = in->unsure;
    o->part = disk_path(in->t, in->id, true);
    o->whole = disk_path(in->t, in->id, false);
    o->kv = dchan_store_kv(in->t->store);
    o->reserve_percent = in->t->config.reserve_percent;
    o->file.fd = -1;
    o->job.run = run_open;
    o->job.done = open_done;
    o->job.drop = opening_free;
    in->opening = in->counted = true;
    in->jobs++;
    in->t->running++;
    disk_submit(in->t, &o->job, JOB_CANDIDATE);
}

/* --- leaves --- */

struct leaf_check {
    struct disk_job job; /* first */
    struct fetch *f;
    uint8_t *leaves;
    bool good;
};

static void leaf_check_free(struct disk_job *j)
{
    free(((struct leaf_check *)(void *)j)->leaves);
    free(j);
}

static void run_leaf_check(struct disk_job *j)
{
    struct leaf_check *c = (struct leaf_check *)(void *)j;
    const struct incoming *in = c->f->in;
    c->good = dchan_leaves_match(in->id, in->size, c->leaves, in->n);
}

static void leaf_check_done(struct disk_job *j)
{
    struct leaf_check *c = (struct leaf_check *)(void *)j;
    struct fetch *f = c->f;
    struct incoming *in = f->in;
    if (!c->good) {
        fetch_blame(f, "wrong leaves");
    } else if (in->open && !in->has_leaves) {
        memcpy(in->leaves, c->leaves, 32 * (size_t)in->n);
        incoming_store_leaves(in->t, in);
        leaves_are_there(in);
    }
    fetch_written(f);
    if (incoming_job_ended(in)) {
        disk_finish(in);
        fetch_more(in);
    }
    leaf_check_free(j);
}

void disk_leaves(struct fetch *f)
{
    struct leaf_check *c = xcalloc(1, sizeof *c);
    c->f = f;
    c->leaves = f->block;
    f->block = NULL;
    f->block_len = 0;
    f->has_leaves = true;
    f->writes++;
    f->users++;
    f->in->jobs++;
    c->job.run = run_leaf_check;
    c->job.done = leaf_check_done;
    c->job.drop = leaf_check_free;
    disk_submit(f->in->t, &c->job, JOB_BLOCK);
}

/* --- chunks --- */

struct writing {
    struct disk_job job; /* first */
    struct fetch *f;
    uint32_t first, n, good; /* the first `good` ones */
    uint8_t *block;
};

static void writing_free(struct disk_job *j)
{
    free(((struct writing *)(void *)j)->block);
    free(j);
}

/* What stands behind a bad chunk has the same source: it is not looked at. */
static void run_write(struct disk_job *j)
{
    struct writing *w = (struct writing *)(void *)j;
    const struct incoming *in = w->f->in;
    const uint64_t from = place_of(in, w->first);
    while (w->good < w->n && is_good(in, in->leaves, w->first + w->good,
                                     w->block + (place_of(in, w->first + w->good) - from)))
        w->good++;
    const uint64_t to = place_of(in, w->first + w->good);
    if (to > from)
        j->rc = file_pwrite(&in->file, w->block, (size_t)(to - from), from, &j->error);
}

static void note_chunks(struct incoming *in, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        if (bit_get(in->have, i))
            continue;
        bit_set(in->have, i);
        in->n_have++;
        in->good += dchan_chunk_size(in->size, i);
        in->unsynced += dchan_chunk_size(in->size, i);
    }
}

static void write_done(struct disk_job *j)
{
    struct writing *w = (struct writing *)(void *)j;
    struct fetch *f = w->f;
    struct incoming *in = f->in;
    if (j->rc) {
        if (in->open && !in->closing)
            incoming_pause(in, &j->error);
    } else if (in->open) {
        note_chunks(in, w->first, w->good);
        purchase_got(in, f->source, place_of(in, w->first + w->good) - place_of(in, w->first));
        if (w->good < w->n)
            fetch_blame(f, "a wrong chunk");
    }
    const bool again = f->bad; /* also when another write of it was the last to end */
    fetch_written(f);
    if (incoming_job_ended(in) && in->open) {
        if (in->unsynced >= in->t->config.sync_bytes)
            disk_sync(in);
        if (again)
            fetch_more(in);
        disk_finish(in);
    }
    writing_free(j);
}

void disk_write(struct fetch *f, uint32_t first, uint32_t n, uint8_t *block)
{
    struct writing *w = xcalloc(1, sizeof *w);
    w->f = f;
    w->first = first;
    w->n = n;
    w->block = block;
    w->job.run = run_write;
    w->job.done = write_done;
    w->job.drop = writing_free;
    f->writes++;
    f->users++;
    f->in->jobs++;
    disk_submit(f->in->t, &w->job, JOB_BLOCK);
}

/* --- syncing --- */

struct syncing {
    struct disk_job job; /* first */
    struct incoming *in;
    uint8_t *bits;
    uint64_t bytes;
};

static void syncing_free(struct disk_job *j)
{
    free(((struct syncing *)(void *)j)->bits);
    free(j);
}

/* A large file that comes does not push what the chain reads out of the page cache. */
static void run_sync(struct disk_job *j)
{
    const struct file *f = &((struct syncing *)(void *)j)->in->file;
    j->rc = file_sync(f, &j->error);
    if (!j->rc)
        file_uncache(f);
}

static void sync_done(struct disk_job *j)
{
    struct syncing *s = (struct syncing *)(void *)j;
    struct incoming *in = s->in;
    in->syncing = false;
    in->unsure |= j->rc != OK;
    if (j->rc && in->open && !in->closing) {
        incoming_pause(in, &j->error);
    } else if (!j->rc && in->open) {
        in->unsynced -= s->bytes;
        if (!in->gone && in->state == TRANSFER_RUNNING)
            incoming_store_bits(in->t, in, s->bits);
    }
    if (incoming_job_ended(in))
        disk_finish(in);
    syncing_free(j);
}

void disk_sync(struct incoming *in)
{
    if (in->syncing || in->finishing || !in->open)
        return;
    struct syncing *s = xcalloc(1, sizeof *s);
    s->in = in;
    s->bits = xmalloc(bits_size(in->n));
    memcpy(s->bits, in->have, bits_size(in->n));
    s->bytes = in->unsynced;
    s->job.run = run_sync;
    s->job.done = sync_done;
    s->job.drop = syncing_free;
    in->syncing = true;
    in->sync_ms = channels_now(in->t->channels);
    in->jobs++;
    disk_submit(in->t, &s->job, JOB_CANDIDATE);
}

/* Large blocks: each in a file of its own, under a temporary name until it is complete and synced.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "chain/blockfile_internal.h"

/* Bytes after which the system is asked to begin writing, so that the sync at the end is short. */
#define WRITEBACK_STEP (16u << 20)

struct block_writer {
    struct blockfiles *bf;
    struct file file;
    size_t frame_len;
    uint64_t size, written, started; /* started: bytes whose writing has begun */
};

static void count_temp(struct block_writer *w, uint64_t add, uint64_t sub)
{
    pthread_mutex_lock(&w->bf->lock);
    w->bf->temp_bytes += add;
    w->bf->temp_bytes -= sub;
    pthread_mutex_unlock(&w->bf->lock);
}

static char *temp_path(struct blockfiles *bf)
{
    char name[40];
    pthread_mutex_lock(&bf->lock);
    snprintf(name, sizeof(name), "blk-%llu.tmp", (unsigned long long)++bf->temp_counter);
    pthread_mutex_unlock(&bf->lock);
    return path_join(bf->dir, name);
}

enum err block_writer_begin(struct block_writer **out, struct blockfiles *bf, uint64_t size,
                            struct error *e)
{
    uint8_t frame[BF_FRAME_MAX];
    struct block_writer *w = xcalloc(1, sizeof(*w));
    *w = (struct block_writer){ .bf = bf, .size = size, .frame_len = bf_frame(bf, frame, size) };
    char *path = temp_path(bf);
    enum err rc = file_open(&w->file, path, FILE_CREATE_NEW, e);
    free(path);
    if (rc) {
        free(w);
        return rc;
    }
    rc = file_pwrite(&w->file, frame, w->frame_len, 0, e);
    if (rc)
        block_writer_abort(w);
    else
        *out = w;
    return rc;
}

enum err block_writer_put(struct block_writer *w, const void *data, size_t len, struct error *e)
{
    if (len > w->size - w->written)
        return error_set(e, ERR_RANGE, "a block of %llu bytes goes on after its end",
                         (unsigned long long)w->size);
    enum err rc = file_pwrite(&w->file, data, len, w->frame_len + w->written, e);
    if (rc)
        return rc;
    w->written += len;
    count_temp(w, len, 0);
    if (w->written - w->started >= WRITEBACK_STEP) {
        /* A hint: failure shows at the sync. */
        (void)!sync_file_range(w->file.fd, (off_t)w->started, (off_t)(w->written - w->started),
                               SYNC_FILE_RANGE_WRITE);
        w->started = w->written;
    }
    return OK;
}

/* The file takes the next number; the rename happens under the lock so that numbers leave no gap.
 */
static enum err put_in_place(struct block_writer *w, int32_t height, struct block_pos *pos,
                             struct error *e)
{
    struct blockfiles *bf = w->bf;
    enum err rc = OK;
    pthread_mutex_lock(&bf->lock);
    char *path = bf_path(bf->dir, bf_prefix(BF_BLOCK), bf->n_slots);
    struct bf_slot *s = bf_add_slot_locked(bf);
    if (!s) {
        rc = error_set(e, ERR_NOMEM, "no memory for the table of block files");
    } else if (rename(w->file.path, path) != 0) {
        rc = error_set_errno(e, errno, "%s: cannot rename to %s", w->file.path, path);
        bf->n_slots--;
    } else {
        s->info.data_size = s->allocated[BF_BLOCK] = w->frame_len + w->size;
        s->written[BF_BLOCK] = s->synced[BF_BLOCK] = s->info.data_size;
        s->linked[BF_BLOCK] = bf->dir_unsynced = true;
        bf_add_block_locked(s, height);
        *pos = (struct block_pos){ .file = s->info.file, .offset = w->frame_len, .size = w->size };
    }
    pthread_mutex_unlock(&bf->lock);
    free(path);
    return rc;
}

enum err block_writer_finish(struct block_writer *w, int32_t height, struct block_pos *pos,
                             struct error *e)
{
    enum err rc = OK;
    if (w->written != w->size)
        rc = error_set(e, ERR_RANGE, "a block of %llu bytes ended after %llu",
                       (unsigned long long)w->size, (unsigned long long)w->written);
    if (!rc)
        rc = file_sync(&w->file, e);
    if (!rc)
        rc = put_in_place(w, height, pos, e);
    if (rc) {
        block_writer_abort(w);
        return rc;
    }
    count_temp(w, 0, w->written);
    file_close(&w->file);
    free(w);
    return OK;
}

void block_writer_abort(struct block_writer *w)
{
    if (!w)
        return;
    count_temp(w, 0, w->written);
    /* What cannot be removed now goes at the next start. */
    if (path_remove(w->file.path, NULL) != OK)
        errno = 0;
    file_close(&w->file);
    free(w);
}

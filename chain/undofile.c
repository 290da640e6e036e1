/*
 * Undo records: the frame of a block record, the content, and after it (not counted in the frame's
 * length) SHA256d of block hash and content, so that a record cannot pass for another block's.
 */
#include <config.h>

#include "base/hash.h"
#include "base/mem.h"
#include "chain/blockfile_internal.h"

#define CHECKSUM_SIZE 32

static void checksum(uint8_t out[CHECKSUM_SIZE], const struct block_hash *hash, const void *content,
                     size_t len)
{
    struct sha256 ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, hash->b, sizeof(hash->b));
    sha256_update(&ctx, content, len);
    sha256d_final(&ctx, out);
}

static enum err reserve(struct blockfiles *bf, uint32_t number, uint64_t total, uint64_t *offset,
                        struct error *e)
{
    enum err rc = bf_check_readable(bf, number, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&bf->lock);
    struct bf_slot *s = &bf->slots[number];
    *offset = s->info.undo_size;
    s->info.undo_size += total;
    bf_changed_locked(s);
    pthread_mutex_unlock(&bf->lock);
    return OK;
}

static void end_write(struct blockfiles *bf, uint32_t number, uint64_t offset, uint64_t total,
                      enum err rc)
{
    pthread_mutex_lock(&bf->lock);
    struct bf_slot *s = &bf->slots[number];
    if (!rc)
        bf_written_locked(s, BF_UNDO, offset + total);
    else if (s->info.undo_size == offset + total)
        s->info.undo_size = offset;
    pthread_mutex_unlock(&bf->lock);
}

enum err blockfiles_write_undo(struct blockfiles *bf, uint32_t data_file,
                               const struct block_hash *hash, const void *content, size_t len,
                               struct block_pos *pos, struct error *e)
{
    uint8_t frame[BF_FRAME_MAX], sum[CHECKSUM_SIZE];
    size_t frame_len = bf_frame(bf, frame, len);
    uint64_t total = frame_len + len + CHECKSUM_SIZE, offset;
    checksum(sum, hash, content, len);
    enum err rc = reserve(bf, data_file, total, &offset, e);
    if (rc)
        return rc;
    struct bf_fd *fd;
    rc = bf_fds_get(bf->fds, BF_UNDO, data_file, FILE_CREATE, &fd, e);
    if (!rc) {
        const struct file *f = bf_fd_file(fd);
        bf_allocate(bf, BF_UNDO, data_file, f, offset + total);
        rc = file_pwrite(f, frame, frame_len, offset, e);
        if (!rc)
            rc = file_pwrite(f, content, len, offset + frame_len, e);
        if (!rc)
            rc = file_pwrite(f, sum, sizeof(sum), offset + frame_len + len, e);
        bf_fds_put(bf->fds, fd);
    }
    end_write(bf, data_file, offset, total, rc);
    *pos = (struct block_pos){ .file = data_file, .offset = offset + frame_len, .size = len };
    return rc;
}

static enum err corrupt(const struct file *f, const struct block_pos *pos, const char *what,
                        struct error *e)
{
    return error_set(e, ERR_CORRUPT, "%s: undo record at %llu: %s; " BF_REINDEX, f->path,
                     (unsigned long long)pos->offset, what);
}

/* The size comes from the index: it must agree with the frame before memory is taken for it. */
static enum err check_frame(struct blockfiles *bf, const struct file *f,
                            const struct block_pos *pos, struct error *e)
{
    uint8_t expected[BF_FRAME_MAX], found[BF_FRAME_MAX];
    size_t len = bf_frame(bf, expected, pos->size);
    uint64_t size;
    if (pos->offset < len)
        return corrupt(f, pos, "offset before the first record", e);
    enum err rc = file_size(f, &size, e);
    if (rc)
        return rc;
    if (pos->offset > size || pos->size > size - pos->offset ||
        size - pos->offset - pos->size < CHECKSUM_SIZE)
        return corrupt(f, pos, "the file ends early", e);
    rc = file_pread(f, found, len, pos->offset - len, e);
    if (!rc && memcmp(found, expected, len) != 0)
        rc = corrupt(f, pos, "no frame of that size", e);
    return rc;
}

static enum err read_content(const struct file *f, const struct block_pos *pos,
                             const struct block_hash *hash, struct buf *content, struct error *e)
{
    uint8_t stored[CHECKSUM_SIZE], sum[CHECKSUM_SIZE];
    size_t len = (size_t)pos->size;
    buf_reset(content);
    if (!buf_try_reserve(content, len))
        return error_set(e, ERR_NOMEM, "no memory for an undo record of %zu bytes", len);
    enum err rc = file_pread(f, buf_extend(content, len), len, pos->offset, e);
    if (!rc)
        rc = file_pread(f, stored, sizeof(stored), pos->offset + len, e);
    if (rc)
        return rc;
    checksum(sum, hash, content->data, len);
    return memcmp(sum, stored, sizeof(sum)) == 0 ? OK
                                                 : corrupt(f, pos, "checksum does not match", e);
}

enum err blockfiles_read_undo(struct blockfiles *bf, const struct block_pos *pos,
                              const struct block_hash *hash, struct buf *content, struct error *e)
{
    struct bf_fd *fd;
    enum err rc = bf_check_readable(bf, pos->file, e);
    if (!rc)
        rc = bf_fds_get(bf->fds, BF_UNDO, pos->file, FILE_READ, &fd, e);
    if (rc)
        return rc;
    rc = check_frame(bf, bf_fd_file(fd), pos, e);
    if (!rc)
        rc = read_content(bf_fd_file(fd), pos, hash, content, e);
    bf_fds_put(bf->fds, fd);
    return rc;
}

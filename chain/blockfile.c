/*
 * The table of block files. A write reserves its place under the lock and writes outside it, so
 * several threads store blocks at once. A place whose write failed stays empty unless it was the
 * last one; nothing refers to it, and a reindex skips what does not begin with the magic.
 */
#include <config.h>

#include "chain/blockfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chain/blockfile_internal.h"

static const uint64_t allocate_step[BF_KINDS] = { [BF_BLOCK] = 16u << 20, [BF_UNDO] = 1u << 20 };

char *blockfiles_path(const struct blockfiles *bf, const char *prefix, uint32_t file)
{
    return bf_path(bf->dir, prefix, file);
}

/* --- shared with the other sources --- */

bool bf_grow_slots(struct blockfiles *bf, uint32_t n)
{
    if (n <= bf->n_slots)
        return true;
    struct bf_slot *p = n <= BF_MAX_FILES ? try_realloc(bf->slots, n, sizeof(*p)) : NULL;
    if (!p)
        return false;
    memset(p + bf->n_slots, 0, (n - bf->n_slots) * sizeof(*p));
    bf->slots = p;
    bf->n_slots = n;
    return true;
}

enum err bf_remove_files(struct blockfiles *bf, uint32_t number, struct error *e)
{
    enum err rc = OK;
    for (enum bf_kind kind = BF_BLOCK; kind < BF_KINDS && !rc; kind++) {
        bf_fds_drop(bf->fds, kind, number);
        char *path = bf_path(bf->dir, bf_prefix(kind), number);
        rc = path_remove(path, e);
        free(path);
    }
    return rc;
}

size_t bf_frame(const struct blockfiles *bf, uint8_t out[BF_FRAME_MAX], uint64_t size)
{
    memcpy(out, bf->magic, 4);
    if (size < UINT32_MAX) {
        le32_put(out + 4, (uint32_t)size);
        return 8;
    }
    le32_put(out + 4, UINT32_MAX);
    le64_put(out + 8, size);
    return 16;
}

struct bf_slot *bf_add_slot_locked(struct blockfiles *bf)
{
    uint32_t number = bf->n_slots;
    if (!bf_grow_slots(bf, number + 1))
        return NULL;
    struct bf_slot *s = &bf->slots[number];
    s->present = true;
    s->info = (struct blockfile_info){ .file = number, .height_first = 1, .height_last = 0 };
    return s;
}

void bf_changed_locked(struct bf_slot *s)
{
    s->info.dirty = true;
    s->handed_out = false;
}

void bf_add_block_locked(struct bf_slot *s, int32_t height)
{
    bool first = s->info.height_first > s->info.height_last;
    if (first || height < s->info.height_first)
        s->info.height_first = height;
    if (first || height > s->info.height_last)
        s->info.height_last = height;
    s->info.blocks++;
    bf_changed_locked(s);
}

static uint64_t *info_size(struct blockfile_info *info, enum bf_kind kind)
{
    return kind == BF_BLOCK ? &info->data_size : &info->undo_size;
}

uint64_t *bf_used(struct bf_slot *s, enum bf_kind kind)
{
    return info_size(&s->info, kind);
}

void bf_written_locked(struct bf_slot *s, enum bf_kind kind, uint64_t end)
{
    if (end > s->written[kind])
        s->written[kind] = end;
    s->unsynced[kind] = true;
    bf_changed_locked(s);
}

/* Never past the preferred size: such a file takes no further block. */
void bf_allocate(struct blockfiles *bf, enum bf_kind kind, uint32_t number, const struct file *f,
                 uint64_t end)
{
    pthread_mutex_lock(&bf->lock);
    uint64_t *allocated = &bf->slots[number].allocated[kind], from = *allocated, to = from;
    if (end > from) {
        to = (end / allocate_step[kind] + 1) * allocate_step[kind];
        if (kind == BF_BLOCK && to > bf->preferred_size)
            to = end > bf->preferred_size ? end : bf->preferred_size;
        *allocated = to;
    }
    pthread_mutex_unlock(&bf->lock);
    /* An ordinary write says it better when the disk is full. */
    if (to > from && file_preallocate(f, from, to - from, NULL) != OK)
        return;
}

enum err bf_check_readable(struct blockfiles *bf, uint32_t number, struct error *e)
{
    pthread_mutex_lock(&bf->lock);
    bool known = number < bf->n_slots && bf->slots[number].present;
    bool pruned = known && bf->slots[number].info.pruned;
    pthread_mutex_unlock(&bf->lock);
    if (pruned)
        return error_set(e, ERR_NOTFOUND, "block file %u was pruned", number);
    if (!known)
        return error_set(e, ERR_CORRUPT, "there is no block file %u; " BF_REINDEX, number);
    return OK;
}

/* --- blocks --- */

static enum err reserve(struct blockfiles *bf, uint64_t total, struct block_pos *place,
                        struct error *e)
{
    enum err rc = OK;
    *place = (struct block_pos){ .size = 0 };
    pthread_mutex_lock(&bf->lock);
    struct bf_slot *s = bf->current < bf->n_slots ? &bf->slots[bf->current] : NULL;
    bool fits = s && s->present && !s->info.pruned &&
                (s->info.data_size == 0 || s->info.data_size + total <= bf->preferred_size);
    if (!fits)
        s = bf_add_slot_locked(bf);
    if (s) {
        bf->current = s->info.file;
        *place =
            (struct block_pos){ .file = s->info.file, .offset = s->info.data_size, .size = total };
        s->info.data_size += total;
        bf_changed_locked(s);
    } else {
        rc = error_set(e, ERR_NOMEM, "no memory for the table of block files");
    }
    pthread_mutex_unlock(&bf->lock);
    return rc;
}

static enum err write_record(struct blockfiles *bf, const struct block_pos *place,
                             const void *block, size_t size, struct error *e)
{
    uint8_t frame[BF_FRAME_MAX];
    size_t frame_len = bf_frame(bf, frame, size);
    struct bf_fd *fd;
    enum err rc = bf_fds_get(bf->fds, BF_BLOCK, place->file, FILE_CREATE, &fd, e);
    if (rc)
        return rc;
    bf_allocate(bf, BF_BLOCK, place->file, bf_fd_file(fd), place->offset + place->size);
    rc = file_pwrite(bf_fd_file(fd), frame, frame_len, place->offset, e);
    if (!rc)
        rc = file_pwrite(bf_fd_file(fd), block, size, place->offset + frame_len, e);
    bf_fds_put(bf->fds, fd);
    return rc;
}

enum err blockfiles_write(struct blockfiles *bf, const void *block, size_t size, int32_t height,
                          struct block_pos *pos, struct error *e)
{
    uint8_t frame[BF_FRAME_MAX];
    size_t frame_len = bf_frame(bf, frame, size);
    struct block_pos place;
    enum err rc = reserve(bf, frame_len + size, &place, e);
    if (rc)
        return rc;
    rc = write_record(bf, &place, block, size, e);
    pthread_mutex_lock(&bf->lock);
    struct bf_slot *s = &bf->slots[place.file];
    if (!rc) {
        bf_written_locked(s, BF_BLOCK, place.offset + place.size);
        bf_add_block_locked(s, height);
    } else if (s->info.data_size == place.offset + place.size) {
        s->info.data_size = place.offset;
    }
    pthread_mutex_unlock(&bf->lock);
    *pos =
        (struct block_pos){ .file = place.file, .offset = place.offset + frame_len, .size = size };
    return rc;
}

void blockfiles_note_block(struct blockfiles *bf, uint32_t file, int32_t height)
{
    pthread_mutex_lock(&bf->lock);
    if (file < bf->n_slots && bf->slots[file].present)
        bf_add_block_locked(&bf->slots[file], height);
    pthread_mutex_unlock(&bf->lock);
}

enum err blockfiles_read(struct blockfiles *bf, const struct block_pos *pos, uint64_t offset,
                         void *out, size_t len, struct error *e)
{
    if (offset > pos->size || len > pos->size - offset)
        return error_set(e, ERR_RANGE, "%zu bytes at %llu lie outside a block of %llu bytes", len,
                         (unsigned long long)offset, (unsigned long long)pos->size);
    struct bf_fd *fd;
    enum err rc = bf_check_readable(bf, pos->file, e);
    if (!rc)
        rc = bf_fds_get(bf->fds, BF_BLOCK, pos->file, FILE_READ, &fd, e);
    if (rc)
        return rc;
    rc = file_pread(bf_fd_file(fd), out, len, pos->offset + offset, e);
    bf_fds_put(bf->fds, fd);
    return rc;
}

enum err blockfiles_open_fd(struct blockfiles *bf, const struct block_pos *pos, int *fd,
                            struct error *e)
{
    enum err rc = bf_check_readable(bf, pos->file, e);
    if (rc)
        return rc;
    struct file f;
    char *path = bf_path(bf->dir, bf_prefix(BF_BLOCK), pos->file);
    rc = file_open(&f, path, FILE_READ, e);
    free(path);
    if (rc)
        return rc;
    *fd = f.fd;
    free(f.path);
    return OK;
}

/* --- sync --- */

static enum err sync_file(struct blockfiles *bf, uint32_t number, enum bf_kind kind,
                          struct error *e)
{
    struct bf_fd *fd;
    pthread_mutex_lock(&bf->lock);
    uint64_t end = bf->slots[number].written[kind];
    pthread_mutex_unlock(&bf->lock);
    enum err rc = bf_fds_get(bf->fds, kind, number, FILE_WRITE, &fd, e);
    if (rc)
        return rc;
    rc = file_sync(bf_fd_file(fd), e);
    bf_fds_put(bf->fds, fd);
    if (rc)
        return rc;
    pthread_mutex_lock(&bf->lock);
    bf->slots[number].synced[kind] = end;
    pthread_mutex_unlock(&bf->lock);
    return OK;
}

/*
 * True while there was one; takes its mark. Only now is it sure that a new file has its name in the
 * directory: it was opened before the write that set the mark.
 */
static bool take_unsynced(struct blockfiles *bf, uint32_t *number, enum bf_kind kind)
{
    bool found = false;
    pthread_mutex_lock(&bf->lock);
    for (; *number < bf->n_slots && !found; ++*number) {
        struct bf_slot *s = &bf->slots[*number];
        found = s->unsynced[kind] && !s->info.pruned;
        s->unsynced[kind] = false;
        if (found && !s->linked[kind])
            bf->dir_unsynced = s->linked[kind] = true;
    }
    pthread_mutex_unlock(&bf->lock);
    return found;
}

static enum err sync_all(struct blockfiles *bf, struct error *e)
{
    enum err rc = OK;
    for (enum bf_kind kind = BF_BLOCK; kind < BF_KINDS; kind++)
        for (uint32_t number = 0; !rc && take_unsynced(bf, &number, kind);)
            rc = sync_file(bf, number - 1, kind, e);
    pthread_mutex_lock(&bf->lock);
    bool dir = bf->dir_unsynced;
    bf->dir_unsynced = false;
    pthread_mutex_unlock(&bf->lock);
    return rc || !dir ? rc : path_sync_dir(bf->dir, e);
}

enum err blockfiles_sync(struct blockfiles *bf, struct error *e)
{
    pthread_mutex_lock(&bf->lock);
    struct error failed = bf->sync_error;
    pthread_mutex_unlock(&bf->lock);
    if (!failed.code && sync_all(bf, &failed)) {
        pthread_mutex_lock(&bf->lock);
        bf->sync_error = failed;
        pthread_mutex_unlock(&bf->lock);
    }
    if (failed.code && e)
        *e = failed;
    return failed.code;
}

/* --- infos --- */

size_t blockfiles_each_dirty(struct blockfiles *bf,
                             void (*fn)(void *ctx, const struct blockfile_info *info), void *ctx)
{
    size_t n = 0;
    pthread_mutex_lock(&bf->lock);
    for (uint32_t i = 0; i < bf->n_slots; i++) {
        struct bf_slot *s = &bf->slots[i];
        if (!s->present || !s->info.dirty)
            continue;
        /* Space that is reserved, or written since the last sync, may be gone after a crash. */
        struct blockfile_info info = s->info;
        for (enum bf_kind kind = BF_BLOCK; kind < BF_KINDS; kind++)
            *info_size(&info, kind) = s->synced[kind];
        s->handed_out = s->info.pruned || (s->synced[BF_BLOCK] == s->info.data_size &&
                                           s->synced[BF_UNDO] == s->info.undo_size);
        fn(ctx, &info);
        n++;
    }
    pthread_mutex_unlock(&bf->lock);
    return n;
}

/* What changed after it was handed out stays dirty. */
void blockfiles_clean(struct blockfiles *bf)
{
    pthread_mutex_lock(&bf->lock);
    for (uint32_t i = 0; i < bf->n_slots; i++)
        if (bf->slots[i].handed_out)
            bf->slots[i].info.dirty = bf->slots[i].handed_out = false;
    pthread_mutex_unlock(&bf->lock);
}

void blockfiles_each(struct blockfiles *bf,
                     void (*fn)(void *ctx, const struct blockfile_info *info), void *ctx)
{
    pthread_mutex_lock(&bf->lock);
    for (uint32_t i = 0; i < bf->n_slots; i++)
        if (bf->slots[i].present)
            fn(ctx, &bf->slots[i].info);
    pthread_mutex_unlock(&bf->lock);
}

uint64_t blockfiles_disk_bytes(struct blockfiles *bf)
{
    pthread_mutex_lock(&bf->lock);
    uint64_t total = bf->temp_bytes;
    for (uint32_t i = 0; i < bf->n_slots; i++)
        if (bf->slots[i].present && !bf->slots[i].info.pruned)
            total += bf->slots[i].info.data_size + bf->slots[i].info.undo_size;
    pthread_mutex_unlock(&bf->lock);
    return total;
}

/* --- pruning --- */

void blockfiles_mark_pruned(struct blockfiles *bf, uint32_t file)
{
    pthread_mutex_lock(&bf->lock);
    if (file < bf->n_slots && bf->slots[file].present) {
        bf->slots[file].info.pruned = true;
        bf_changed_locked(&bf->slots[file]);
    }
    pthread_mutex_unlock(&bf->lock);
}

enum err blockfiles_remove_pruned(struct blockfiles *bf, struct error *e)
{
    for (uint32_t i = 0;; i++) {
        pthread_mutex_lock(&bf->lock);
        bool end = i >= bf->n_slots;
        bool remove =
            !end && bf->slots[i].present && bf->slots[i].info.pruned && !bf->slots[i].removed;
        pthread_mutex_unlock(&bf->lock);
        if (end)
            return OK;
        if (!remove)
            continue;
        enum err rc = bf_remove_files(bf, i, e);
        if (rc)
            return rc;
        pthread_mutex_lock(&bf->lock);
        bf->slots[i].removed = true;
        pthread_mutex_unlock(&bf->lock);
    }
}

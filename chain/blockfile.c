/*
 * The table of block files. A write reserves its place under the lock and writes outside it, so
 * several threads store blocks at once. A place whose write failed stays empty unless it was the
 * last one; nothing refers to it, and a reindex skips what does not begin with the magic.
 */
#include <config.h>

#include "chain/blockfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "chain/blockfile_internal.h"

#define PREFERRED_DEFAULT (128u << 20)
/* Files that an index without entries does not know: more than this is not ours to remove. */
#define UNKNOWN_MAX (64u << 20)

static const uint64_t allocate_step[BF_KINDS] = { [BF_BLOCK] = 16u << 20, [BF_UNDO] = 1u << 20 };

/* --- names found in the directory --- */

struct listing {
    const char *dir;
    struct blockfile_info *infos; /* by rising number; undo_size is that of the rev file */
    size_t n;
    char **temps;
    size_t n_temps;
};

static uint64_t size_on_disk(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static struct blockfile_info *listed(struct listing *l, uint32_t number)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->infos[i].file == number)
            return &l->infos[i];
    l->infos = xrealloc(l->infos, (l->n + 1) * sizeof(*l->infos));
    l->infos[l->n] = (struct blockfile_info){
        .file = number, .height_first = 1, .height_last = 0, .dirty = true
    };
    return &l->infos[l->n++];
}

static void list_name(void *ctx, const char *name)
{
    struct listing *l = ctx;
    size_t len = strlen(name);
    char prefix[4] = "";
    unsigned number;
    int end = 0;
    if (len > 8 && memcmp(name, "blk-", 4) == 0 && strcmp(name + len - 4, ".tmp") == 0) {
        l->temps = xrealloc(l->temps, (l->n_temps + 1) * sizeof(*l->temps));
        l->temps[l->n_temps++] = path_join(l->dir, name);
        return;
    }
    if (sscanf(name, "%3[a-z]%7u.dat%n", prefix, &number, &end) != 2 || (size_t)end != len ||
        number >= BF_MAX_FILES)
        return;
    enum bf_kind kind = strcmp(prefix, "rev") == 0 ? BF_UNDO : BF_BLOCK;
    if (strcmp(prefix, bf_prefix(kind)) != 0)
        return;
    char *path = bf_path(l->dir, prefix, number);
    struct blockfile_info *info = listed(l, number);
    *(kind == BF_BLOCK ? &info->data_size : &info->undo_size) = size_on_disk(path);
    free(path);
}

static int compare_infos(const void *a, const void *b)
{
    const struct blockfile_info *x = a, *y = b;
    return (x->file > y->file) - (x->file < y->file);
}

static enum err list_dir(struct listing *l, const char *dir, struct error *e)
{
    *l = (struct listing){ .dir = dir };
    enum err rc = path_list(dir, list_name, l, e);
    if (l->n)
        qsort(l->infos, l->n, sizeof(*l->infos), compare_infos);
    return rc;
}

static void listing_clear(struct listing *l)
{
    for (size_t i = 0; i < l->n_temps; i++)
        free(l->temps[i]);
    free(l->temps);
    free(l->infos);
}

enum err blockfiles_list(const char *dir, struct blockfile_info **infos, size_t *n, struct error *e)
{
    struct listing l;
    enum err rc = list_dir(&l, dir, e);
    if (!rc) {
        *infos = l.infos;
        *n = l.n;
        for (size_t i = 0; i < l.n; i++)
            l.infos[i].undo_size = 0;
        l.infos = NULL;
    }
    listing_clear(&l);
    return rc;
}

/* --- open and close --- */

static bool grow_slots(struct blockfiles *bf, uint32_t n)
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

static enum err load_infos(struct blockfiles *bf, const struct blockfile_info *infos, size_t n,
                           struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        if (infos[i].file >= BF_MAX_FILES)
            return error_set(e, ERR_CORRUPT, "the index names block file %u; " BF_REINDEX,
                             infos[i].file);
        if (!grow_slots(bf, infos[i].file + 1))
            return error_set(e, ERR_NOMEM, "no memory for the table of block files");
        struct bf_slot *s = &bf->slots[infos[i].file];
        s->info = infos[i];
        s->present = true;
        for (enum bf_kind kind = BF_BLOCK; kind < BF_KINDS; kind++)
            s->linked[kind] = (s->written[kind] = s->synced[kind] = *bf_used(s, kind)) > 0;
        if (!infos[i].pruned && infos[i].data_size < bf->preferred_size)
            bf->current = infos[i].file;
    }
    return OK;
}

/* Cuts what a crash left beyond the recorded end. */
static enum err cut_file(struct blockfiles *bf, enum bf_kind kind, struct bf_slot *s,
                         struct error *e)
{
    struct bf_fd *fd;
    uint64_t used = *bf_used(s, kind), size;
    char *path = bf_path(bf->dir, bf_prefix(kind), s->info.file);
    bool there = path_exists(path);
    free(path);
    if (used == 0 && !there)
        return OK;
    enum err rc = bf_fds_get(bf->fds, kind, s->info.file, FILE_READ, &fd, e);
    if (rc)
        return rc;
    rc = file_size(bf_fd_file(fd), &size, e);
    if (!rc && size < used)
        rc = error_set(e, ERR_CORRUPT, "%s has %llu bytes where the index knows %llu; " BF_REINDEX,
                       bf_fd_file(fd)->path, (unsigned long long)size, (unsigned long long)used);
    bf_fds_put(bf->fds, fd);
    s->allocated[kind] = used;
    if (rc || size == used)
        return rc;
    rc = bf_fds_get(bf->fds, kind, s->info.file, FILE_WRITE, &fd, e);
    if (rc)
        return rc;
    rc = file_truncate(bf_fd_file(fd), used, e);
    bf_fds_put(bf->fds, fd);
    return rc;
}

static enum err remove_files(struct blockfiles *bf, uint32_t number, struct error *e)
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

/*
 * Files made after the last index flush are nobody's. But when the index knows no file at all it
 * may be the index that was lost, and whole block files are too dear to remove.
 */
static enum err remove_unknown(struct blockfiles *bf, const struct listing *l, struct error *e)
{
    uint64_t total = 0;
    for (size_t i = 0; i < l->n; i++)
        total += l->infos[i].data_size;
    if (bf->n_slots == 0 && total > UNKNOWN_MAX)
        return error_set(e, ERR_CORRUPT,
                         "%s holds block files that the index does not know; " BF_REINDEX, bf->dir);
    enum err rc = OK;
    for (size_t i = 0; i < l->n && !rc; i++)
        if (l->infos[i].file >= bf->n_slots)
            rc = remove_files(bf, l->infos[i].file, e);
    for (size_t i = 0; i < l->n_temps && !rc; i++)
        rc = path_remove(l->temps[i], e);
    return rc;
}

static enum err check_files(struct blockfiles *bf, struct error *e)
{
    for (uint32_t i = 0; i < bf->n_slots; i++) {
        struct bf_slot *s = &bf->slots[i];
        enum err rc = OK;
        if (s->present && s->info.pruned) {
            rc = remove_files(bf, i, e);
            s->removed = true;
        } else if (s->present) {
            rc = cut_file(bf, BF_BLOCK, s, e);
            if (!rc)
                rc = cut_file(bf, BF_UNDO, s, e);
        }
        if (rc)
            return rc;
    }
    return OK;
}

static enum err make_dir(const char *dir, struct error *e)
{
    if (path_exists(dir))
        return OK;
    enum err rc = path_make_dirs(dir, e);
    if (rc)
        return rc;
    char *parent = path_join(dir, "..");
    rc = path_sync_dir(parent, e);
    free(parent);
    return rc;
}

enum err blockfiles_open(struct blockfiles **out, const struct blockfiles_options *o,
                         const struct blockfile_info *infos, size_t n, struct error *e)
{
    struct blockfiles *bf = xcalloc(1, sizeof(*bf));
    pthread_mutex_init(&bf->lock, NULL);
    bf->dir = xstrdup(o->dir);
    memcpy(bf->magic, o->magic, sizeof(bf->magic));
    bf->preferred_size = o->preferred_size ? o->preferred_size : PREFERRED_DEFAULT;
    bf->fds = bf_fds_new(o->dir);
    struct listing l = { .n = 0 };
    enum err rc = make_dir(o->dir, e);
    if (!rc)
        rc = list_dir(&l, o->dir, e);
    if (!rc)
        rc = load_infos(bf, infos, n, e);
    if (!rc)
        rc = remove_unknown(bf, &l, e);
    if (!rc)
        rc = check_files(bf, e);
    listing_clear(&l);
    if (rc)
        blockfiles_close(bf);
    else
        *out = bf;
    return rc;
}

void blockfiles_close(struct blockfiles *bf)
{
    if (!bf)
        return;
    bf_fds_free(bf->fds);
    pthread_mutex_destroy(&bf->lock);
    free(bf->slots);
    free(bf->dir);
    free(bf);
}

char *blockfiles_path(const struct blockfiles *bf, const char *prefix, uint32_t file)
{
    return bf_path(bf->dir, prefix, file);
}

/* --- shared with the other sources --- */

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
    if (!grow_slots(bf, number + 1))
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
        enum err rc = remove_files(bf, i, e);
        if (rc)
            return rc;
        pthread_mutex_lock(&bf->lock);
        bf->slots[i].removed = true;
        pthread_mutex_unlock(&bf->lock);
    }
}

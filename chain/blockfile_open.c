/*
 * Opening the block files: what the directory has and what the index knows are brought together.
 * What a crash left beyond the recorded ends is cut, files that are nobody's are removed.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "chain/blockfile_internal.h"

#define PREFERRED_DEFAULT (128u << 20)
/* Files that an index without entries does not know: more than this is not ours to remove. */
#define UNKNOWN_MAX (64u << 20)

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

static enum err load_infos(struct blockfiles *bf, const struct blockfile_info *infos, size_t n,
                           struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        if (infos[i].file >= BF_MAX_FILES)
            return error_set(e, ERR_CORRUPT, "the index names block file %u; " BF_REINDEX,
                             infos[i].file);
        if (!bf_grow_slots(bf, infos[i].file + 1))
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
            rc = bf_remove_files(bf, l->infos[i].file, e);
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
            rc = bf_remove_files(bf, i, e);
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

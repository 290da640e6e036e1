#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "chain/blockfile_internal.h"

enum { FDS_KEPT = 16 };

struct bf_fd {
    struct file file;
    enum bf_kind kind;
    uint32_t number;
    bool writable;
    bool kept; /* in the table; else closed when the last user puts it back */
    unsigned users;
    uint64_t used; /* tick of the last get */
};

struct bf_fds {
    pthread_mutex_t lock;
    char *dir;
    struct bf_fd *kept[FDS_KEPT];
    uint64_t tick;
};

const char *bf_prefix(enum bf_kind kind)
{
    return kind == BF_BLOCK ? "blk" : "rev";
}

char *bf_path(const char *dir, const char *prefix, uint32_t number)
{
    char name[32];
    snprintf(name, sizeof(name), "%s%05u.dat", prefix, number);
    return path_join(dir, name);
}

struct bf_fds *bf_fds_new(const char *dir)
{
    struct bf_fds *fds = xcalloc(1, sizeof(*fds));
    pthread_mutex_init(&fds->lock, NULL);
    fds->dir = xstrdup(dir);
    return fds;
}

static void fd_free(struct bf_fd *fd)
{
    file_close(&fd->file);
    free(fd);
}

void bf_fds_free(struct bf_fds *fds)
{
    if (!fds)
        return;
    for (unsigned i = 0; i < FDS_KEPT; i++)
        if (fds->kept[i])
            fd_free(fds->kept[i]);
    pthread_mutex_destroy(&fds->lock);
    free(fds->dir);
    free(fds);
}

static struct bf_fd *find_locked(struct bf_fds *fds, enum bf_kind kind, uint32_t number, bool write)
{
    for (unsigned i = 0; i < FDS_KEPT; i++) {
        struct bf_fd *fd = fds->kept[i];
        if (fd && fd->kind == kind && fd->number == number && (fd->writable || !write))
            return fd;
    }
    return NULL;
}

/* A free place, or that of the longest unused descriptor nobody holds; NULL when all are held. */
static struct bf_fd **place_locked(struct bf_fds *fds)
{
    struct bf_fd **best = NULL;
    for (unsigned i = 0; i < FDS_KEPT; i++) {
        struct bf_fd **p = &fds->kept[i];
        if (!*p)
            return p;
        if ((*p)->users == 0 && (!best || (*p)->used < (*best)->used))
            best = p;
    }
    if (best) {
        fd_free(*best);
        *best = NULL;
    }
    return best;
}

static enum err open_locked(struct bf_fds *fds, enum bf_kind kind, uint32_t number,
                            enum file_mode mode, struct bf_fd **out, struct error *e)
{
    struct file file;
    char *path = bf_path(fds->dir, bf_prefix(kind), number);
    enum err rc = file_open(&file, path, mode, e);
    if (rc == ERR_NOTFOUND)
        rc = error_set(e, ERR_CORRUPT, "%s is missing; " BF_REINDEX, path);
    free(path);
    if (rc)
        return rc;
    struct bf_fd *fd = xcalloc(1, sizeof(*fd));
    *fd = (struct bf_fd){
        .file = file, .kind = kind, .number = number, .writable = mode != FILE_READ
    };
    struct bf_fd **place = place_locked(fds);
    if (place)
        *place = fd;
    fd->kept = place != NULL;
    *out = fd;
    return OK;
}

enum err bf_fds_get(struct bf_fds *fds, enum bf_kind kind, uint32_t number, enum file_mode mode,
                    struct bf_fd **out, struct error *e)
{
    enum err rc = OK;
    pthread_mutex_lock(&fds->lock);
    struct bf_fd *fd = find_locked(fds, kind, number, mode != FILE_READ);
    if (!fd)
        rc = open_locked(fds, kind, number, mode, &fd, e);
    if (!rc) {
        fd->users++;
        fd->used = ++fds->tick;
        *out = fd;
    }
    pthread_mutex_unlock(&fds->lock);
    return rc;
}

const struct file *bf_fd_file(const struct bf_fd *fd)
{
    return &fd->file;
}

void bf_fds_put(struct bf_fds *fds, struct bf_fd *fd)
{
    pthread_mutex_lock(&fds->lock);
    if (--fd->users == 0 && !fd->kept)
        fd_free(fd);
    pthread_mutex_unlock(&fds->lock);
}

void bf_fds_drop(struct bf_fds *fds, enum bf_kind kind, uint32_t number)
{
    pthread_mutex_lock(&fds->lock);
    for (unsigned i = 0; i < FDS_KEPT; i++) {
        struct bf_fd *fd = fds->kept[i];
        if (!fd || fd->kind != kind || fd->number != number)
            continue;
        fds->kept[i] = NULL;
        fd->kept = false;
        if (fd->users == 0)
            fd_free(fd);
    }
    pthread_mutex_unlock(&fds->lock);
}

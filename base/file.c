#include <config.h>

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"

static const int open_flags[] = {
    [FILE_READ] = O_RDONLY,
    [FILE_READ_REGULAR] = O_RDONLY | O_NONBLOCK, /* a pipe is opened without waiting */
    [FILE_WRITE] = O_RDWR,
    [FILE_CREATE] = O_RDWR | O_CREAT,
    [FILE_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
};

static int open_retry(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static enum err open_error(struct error *e, int errnum, const char *path)
{
    if (errnum == ENOENT)
        return error_set(e, ERR_NOTFOUND, "%s: no such file", path);
    if (errnum == EEXIST)
        return error_set(e, ERR_EXISTS, "%s: file exists", path);
    return error_set_errno(e, errnum, "%s: cannot open", path);
}

void file_close(struct file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    f->fd = -1;
    f->path = NULL;
}

/* Closes what is none. */
static enum err check_regular(struct file *f, struct error *e)
{
    struct stat st;
    enum err rc = OK;
    if (fstat(f->fd, &st) != 0)
        rc = error_set_errno(e, errno, "%s: cannot look at it", f->path);
    else if (!S_ISREG(st.st_mode))
        rc = error_set(e, ERR_RANGE, "%s: no regular file", f->path);
    if (rc)
        file_close(f);
    return rc;
}

enum err file_open(struct file *f, const char *path, enum file_mode mode, struct error *e)
{
    f->path = NULL;
    f->fd = open_retry(path, open_flags[mode]);
    if (f->fd < 0)
        return open_error(e, errno, path);
    f->path = xstrdup(path);
    return mode == FILE_READ_REGULAR ? check_regular(f, e) : OK;
}

static enum err check_range(const struct file *f, uint64_t offset, uint64_t len, struct error *e)
{
    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return error_set(e, ERR_RANGE, "%s: offset %llu is too large", f->path,
                         (unsigned long long)offset);
    return OK;
}

enum err file_pread(const struct file *f, void *out, size_t len, uint64_t offset, struct error *e)
{
    enum err rc = check_range(f, offset, len, e);
    if (rc)
        return rc;
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(f->fd, (uint8_t *)out + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(e, errno, "%s: cannot read %zu bytes at %llu", f->path, len,
                                   (unsigned long long)offset);
        if (n == 0)
            return error_set(e, ERR_CORRUPT, "%s: ends early: at %llu wanted %zu bytes, got %zu",
                             f->path, (unsigned long long)offset, len, got);
        got += (size_t)n;
    }
    return OK;
}

enum err file_pwrite(const struct file *f, const void *data, size_t len, uint64_t offset,
                     struct error *e)
{
    enum err rc = check_range(f, offset, len, e);
    if (rc)
        return rc;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(f->fd, (const uint8_t *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set_errno(e, n < 0 ? errno : EIO, "%s: cannot write %zu bytes at %llu",
                                   f->path, len, (unsigned long long)offset);
        done += (size_t)n;
    }
    return OK;
}

enum err file_sync(const struct file *f, struct error *e)
{
    /* No retry, not even after EINTR: Linux may have dropped the dirty pages by the second try. */
    if (fdatasync(f->fd) != 0)
        return error_set_errno(e, errno, "%s: cannot sync", f->path);
    return OK;
}

void file_uncache(const struct file *f)
{
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

enum err file_truncate(const struct file *f, uint64_t size, struct error *e)
{
    enum err rc = check_range(f, size, 0, e);
    if (rc)
        return rc;
    while (ftruncate(f->fd, (off_t)size) != 0)
        if (errno != EINTR)
            return error_set_errno(e, errno, "%s: cannot set the size to %llu", f->path,
                                   (unsigned long long)size);
    return OK;
}

enum err file_preallocate(const struct file *f, uint64_t offset, uint64_t len, struct error *e)
{
    enum err rc = check_range(f, offset, len, e);
    if (rc || len == 0)
        return rc;
    /* Not posix_fallocate: where the file system cannot, that one writes every page itself. */
    while (fallocate(f->fd, 0, (off_t)offset, (off_t)len) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == EOPNOTSUPP || errno == ENOSYS)
            return OK;
        return error_set_errno(e, errno, "%s: cannot reserve %llu bytes", f->path,
                               (unsigned long long)len);
    }
    return OK;
}

enum err file_size(const struct file *f, uint64_t *size, struct error *e)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return error_set_errno(e, errno, "%s: cannot look at the size", f->path);
    *size = (uint64_t)st.st_size;
    return OK;
}

enum err file_compare(const struct file *f, const void *data, size_t len, struct error *e)
{
    uint8_t chunk[16384];
    uint64_t size;
    enum err rc = file_size(f, &size, e);
    if (rc)
        return rc;
    if (size != len)
        return error_set(e, ERR_CORRUPT, "%s: read back with another length", f->path);
    file_uncache(f);
    for (size_t at = 0; !rc && at < len; at += sizeof chunk) {
        const size_t n = MIN_OF(sizeof chunk, len - at);
        rc = file_pread(f, chunk, n, at, e);
        if (!rc && !mem_equal_var(chunk, (const uint8_t *)data + at, n))
            rc = error_set(e, ERR_CORRUPT, "%s: read back with another content", f->path);
    }
    secure_wipe(chunk, sizeof chunk); /* the file may hold keys */
    return rc;
}

bool path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

char *path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return xasprintf("%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

static enum err make_dir(const char *path, struct error *e)
{
    if (mkdir(path, 0700) == 0)
        return OK;
    int errnum = errno;
    struct stat st;
    /* A directory above ours may be one that we could not make, such as a read-only root. */
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return OK;
        errnum = ENOTDIR;
    }
    return error_set_errno(e, errnum, "%s: cannot make the directory", path);
}

enum err path_make_dirs(const char *path, struct error *e)
{
    char *copy = xstrdup(path);
    enum err rc = OK;
    for (char *p = copy + 1; *copy && *p && !rc; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        rc = make_dir(copy, e);
        *p = '/';
    }
    if (!rc)
        rc = make_dir(copy, e);
    free(copy);
    return rc;
}

enum err path_sync_dir(const char *dir, struct error *e)
{
    int fd = open_retry(dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return open_error(e, errno, dir);
    int failed = fsync(fd);
    int errnum = errno;
    close(fd);
    /* EINVAL: a file system whose directories cannot be synced. */
    if (failed && errnum != EINVAL)
        return error_set_errno(e, errnum, "%s: cannot sync", dir);
    return OK;
}

enum err path_remove(const char *path, struct error *e)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set_errno(e, errno, "%s: cannot remove", path);
    return OK;
}

enum err path_list(const char *dir, void (*fn)(void *ctx, const char *name), void *ctx,
                   struct error *e)
{
    DIR *d = opendir(dir);
    if (!d)
        return open_error(e, errno, dir);
    struct dirent *entry;
    while ((errno = 0, entry = readdir(d)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(ctx, entry->d_name);
    int errnum = errno;
    closedir(d);
    return errnum ? error_set_errno(e, errnum, "%s: cannot list", dir) : OK;
}

/* Reads to the end rather than by the size, which is 0 for files of /proc and pipes. */
#define READ_PIECE 16384u

/* What it says of its size: pipes say nothing, and a file may grow. */
static size_t likely_size(const struct file *f)
{
    struct stat s;
    return fstat(f->fd, &s) == 0 && s.st_size > 0 ? (size_t)s.st_size : 0;
}

static enum err read_to_end(const struct file *f, size_t limit, struct buf *out, struct error *e)
{
    buf_reset(out);
    size_t more = MIN_OF(likely_size(f), limit) + 1; /* one further shows the end, or too much */
    for (;;) {
        if (out->len == out->cap)
            more = READ_PIECE;
        if (!buf_try_reserve(out, more))
            return error_set(e, ERR_NOMEM, "%s: out of memory after %zu bytes", f->path, out->len);
        more = 0;
        ssize_t n = read(f->fd, out->data + out->len, out->cap - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(e, errno, "%s: cannot read", f->path);
        if (n == 0)
            return OK;
        out->len += (size_t)n;
        if (out->len > limit)
            return error_set(e, ERR_RANGE, "%s: larger than %zu bytes", f->path, limit);
    }
}

static enum err read_whole(const char *path, enum file_mode mode, size_t limit, struct buf *out,
                           struct error *e)
{
    struct file f;
    enum err rc = file_open(&f, path, mode, e);
    if (rc)
        return rc;
    rc = read_to_end(&f, limit, out, e);
    file_close(&f);
    return rc;
}

enum err file_read_all(const char *path, size_t limit, struct buf *out, struct error *e)
{
    return read_whole(path, FILE_READ, limit, out, e);
}

enum err file_read_regular(const char *path, size_t limit, struct buf *out, struct error *e)
{
    return read_whole(path, FILE_READ_REGULAR, limit, out, e);
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

enum replace_check {
    REPLACE_UNCHECKED,
    REPLACE_CHECKED,
    CREATE_CHECKED, /* nothing is replaced */
};

/* A file system that cannot do it in one step is asked in two. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (path_exists(to)) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

static enum err write_and_rename(const struct file *temp, const char *path, struct span content,
                                 enum replace_check check, struct error *e)
{
    enum err rc = file_pwrite(temp, content.data, content.len, 0, e);
    if (!rc)
        rc = file_sync(temp, e);
    if (!rc && check != REPLACE_UNCHECKED)
        rc = file_compare(temp, content.data, content.len, e);
    if (rc || (check == CREATE_CHECKED ? rename_new : rename)(temp->path, path) == 0)
        return rc;
    if (errno == EEXIST)
        return open_error(e, EEXIST, path);
    return error_set_errno(e, errno, "%s: cannot put the new content in place", path);
}

static enum err replace(const char *path, struct span content, enum replace_check check,
                        struct error *e)
{
    struct file temp = { .fd = -1, .path = xasprintf("%s.XXXXXX", path) };
    char *dir = parent_of(path);
    enum err rc;
    temp.fd = mkostemp(temp.path, O_CLOEXEC); /* mode 0600 */
    if (temp.fd < 0) {
        rc = error_set_errno(e, errno, "%s: cannot make a temporary file beside it", path);
    } else {
        rc = write_and_rename(&temp, path, content, check, e);
        if (rc)
            unlink(temp.path);
        else
            rc = path_sync_dir(dir, e);
    }
    file_close(&temp);
    free(dir);
    return rc;
}

enum err file_replace(const char *path, const void *data, size_t len, struct error *e)
{
    return replace(path, span_of(data, len), REPLACE_UNCHECKED, e);
}

enum err file_replace_checked(const char *path, const void *data, size_t len, struct error *e)
{
    return replace(path, span_of(data, len), REPLACE_CHECKED, e);
}

enum err file_create_checked(const char *path, const void *data, size_t len, struct error *e)
{
    return path_exists(path) ? open_error(e, EEXIST, path)
                             : replace(path, span_of(data, len), CREATE_CHECKED, e);
}

/* The owner's pid for a message; "unknown" when the file says nothing sensible. */
static enum err lock_busy(const struct file *lock, struct error *e)
{
    char text[16] = "";
    ssize_t n = pread(lock->fd, text, sizeof(text) - 1, 0);
    size_t digits = n > 0 ? strspn(text, "0123456789") : 0;
    text[digits] = '\0';
    return error_set(e, ERR_BUSY, "another bsvpeerd (pid %s) uses this directory: %s is locked",
                     digits ? text : "unknown", lock->path);
}

static enum err lock_opened(const struct file *lock, struct error *e)
{
    /* flock rather than fcntl: it belongs to the open file, so a second one in this process
     * conflicts. */
    while (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return lock_busy(lock, e);
        if (errno != EINTR)
            return error_set_errno(e, errno, "%s: cannot lock", lock->path);
    }
    char pid[24];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    enum err rc = file_truncate(lock, 0, e);
    return rc ? rc : file_pwrite(lock, pid, (size_t)len, 0, e);
}

enum err file_lock(struct file *lock, const char *path, struct error *e)
{
    enum err rc = file_open(lock, path, FILE_CREATE, e);
    if (rc)
        return rc;
    rc = lock_opened(lock, e);
    if (rc)
        file_close(lock);
    return rc;
}

bool file_hold_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && /* the lowest that is free is this one */
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

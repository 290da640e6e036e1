/*
 * Files: positioned reads and writes (never O_APPEND), syncs, safe replacement, directory lock.
 * Every failure names the path. pread and pwrite may run on any thread at once.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct file {
    int fd; /* -1: closed */
    char *path;
};

enum file_mode {
    FILE_READ,
    FILE_READ_REGULAR, /* ERR_RANGE for a pipe or device, which could block for good */
    FILE_WRITE,
    FILE_CREATE /* opens existing, makes missing */,
    FILE_CREATE_NEW
};

enum err file_open(struct file *f, const char *path, enum file_mode mode,
                   struct error *e) MUST_CHECK;
void file_close(struct file *f); /* closed and never opened (fd -1, path NULL) are fine */
/* All of len or an error; a short file is ERR_CORRUPT. */
enum err file_pread(const struct file *f, void *out, size_t len, uint64_t offset,
                    struct error *e) MUST_CHECK;
enum err file_pwrite(const struct file *f, const void *data, size_t len, uint64_t offset,
                     struct error *e) MUST_CHECK;
enum err file_sync(const struct file *f, struct error *e) MUST_CHECK;     /* fdatasync */
/* Bytes that were synced need no memory of the page cache any more: a hint. */
void file_uncache(const struct file *f);
enum err file_truncate(const struct file *f, uint64_t size, struct error *e) MUST_CHECK;
enum err file_preallocate(const struct file *f, uint64_t offset, uint64_t len,
                          struct error *e) MUST_CHECK; /* not supported by the file system: OK */
enum err file_size(const struct file *f, uint64_t *size, struct error *e) MUST_CHECK;
/* Reads the file, from the device where the system can be asked to, and compares: ERR_CORRUPT when
 * it is not exactly these bytes. */
enum err file_compare(const struct file *f, const void *data, size_t len,
                      struct error *e) MUST_CHECK;

bool path_exists(const char *path);
char *path_join(const char *dir, const char *name); /* heap */
enum err path_make_dirs(const char *path, struct error *e) MUST_CHECK;   /* mode 0700 */
enum err path_sync_dir(const char *dir, struct error *e) MUST_CHECK;
enum err path_remove(const char *path, struct error *e) MUST_CHECK;      /* missing: OK */
/* Calls fn for each name in dir ("." and ".." left out). */
enum err path_list(const char *dir, void (*fn)(void *ctx, const char *name), void *ctx,
                   struct error *e) MUST_CHECK;

/* Reads a whole file of at most limit bytes; missing file: ERR_NOTFOUND. Of a secret file no bytes
 * are left elsewhere when `out` is secret (buf.h). */
enum err file_read_all(const char *path, size_t limit, struct buf *out, struct error *e) MUST_CHECK;
/* The same of a FILE_READ_REGULAR. */
enum err file_read_regular(const char *path, size_t limit, struct buf *out,
                           struct error *e) MUST_CHECK;
/* Temporary file, fsync, rename, fsync of the directory: old or new content, never a mix. */
enum err file_replace(const char *path, const void *data, size_t len, struct error *e) MUST_CHECK;
/* The same, and what was written is read back and compared before it takes the old one's place. */
enum err file_replace_checked(const char *path, const void *data, size_t len,
                              struct error *e) MUST_CHECK;
/* The same where there is nothing yet: ERR_EXISTS, and what is there stays. */
enum err file_create_checked(const char *path, const void *data, size_t len,
                             struct error *e) MUST_CHECK;

/*
 * First thing in main: takes descriptors 0 to 2 where the program was started without them, so that
 * no file or socket gets one, what is printed with it, and its end when standard input or output
 * is opened anew. Reading and writing them still fails. False: it cannot be done.
 */
bool file_hold_standard(void) MUST_CHECK;

/* Exclusive lock held until the process ends or *lock is closed; ERR_BUSY names the owner's pid. */
enum err file_lock(struct file *lock, const char *path, struct error *e) MUST_CHECK;

#endif

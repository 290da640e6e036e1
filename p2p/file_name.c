/*
 * A link to the file is the whole step where both directories share a file system: it is atomic,
 * follows nothing and fails when the name is taken. Elsewhere the content is copied to a hidden
 * file beside it first, which then gets the name in the same way.
 */
#include <config.h>

#include "p2p/file_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/utf8.h"

#define TRIES_MAX 1000
#define COPY_STEP (256u << 10)

/* --- names --- */

static uint32_t code_point(const uint8_t *p, size_t n)
{
    static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t c = p[0] & masks[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

static bool is_unwanted(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || /* controls */
           c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static struct span last_part(struct span text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '/' || text.data[i] == '\\')
            from = i + 1;
    return span_of(text.data + from, text.len - from);
}

static bool is_edge(char c) { return c == '.' || c == ' '; }

void file_name_safe(char out[FILE_NAME_MAX + 1], struct span text)
{
    const struct span part = last_part(text);
    size_t at = 0;
    for (size_t i = 0, n; i < part.len; i += n ? n : 1) {
        n = utf8_sequence(part.data + i, part.len - i);
        if (n == 0 || is_unwanted(code_point(part.data + i, n)) ||
            (at == 0 && is_edge((char)part.data[i])))
            continue;
        if (at + n > FILE_NAME_MAX)
            break;
        memcpy(out + at, part.data + i, n);
        at += n;
    }
    while (at && is_edge(out[at - 1]))
        at--;
    out[at] = 0;
    if (at == 0)
        memcpy(out, "file", sizeof "file");
}

/* "a.tar" and 2: "a (2).tar" */
static void numbered(char *out, size_t cap, const char *name, unsigned n)
{
    const char *dot = strrchr(name, '.');
    const size_t stem = dot ? (size_t)(dot - name) : strlen(name);
    if (n == 0)
        snprintf(out, cap, "%s", name);
    else
        snprintf(out, cap, "%.*s (%u)%s", (int)stem, name, n, name + stem);
}

/* --- saving --- */

struct saving {
    const char *directory;
    int dir;
    char name[FILE_NAME_MAX + 16];
};

/* As by a process that ended right after it. */
static bool is_there(const struct saving *s, int from_dir, const char *from)
{
    struct stat a, b;
    return fstatat(from_dir, from, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(s->dir, s->name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Under the first name that is free. */
static enum err give_name(struct saving *s, int from_dir, const char *from, const char *name,
                          struct error *e)
{
    for (unsigned n = 0; n < TRIES_MAX; n++) {
        numbered(s->name, sizeof s->name, name, n);
        if (linkat(from_dir, from, s->dir, s->name, 0) == 0)
            return OK;
        if (errno != EEXIST)
            return error_set_errno(e, errno, "%s: cannot save a file", s->directory);
        if (is_there(s, from_dir, from))
            return OK;
    }
    return error_set(e, ERR_EXISTS, "%s: too many files of this name", s->directory);
}

static enum err copy_bytes(const struct file *in, const struct file *out, struct error *e)
{
    uint64_t size = 0;
    enum err rc = file_size(in, &size, e);
    uint8_t *step = xmalloc(COPY_STEP);
    for (uint64_t at = 0; !rc && at < size;) {
        const size_t n = (size_t)MIN_OF(size - at, (uint64_t)COPY_STEP);
        rc = file_pread(in, step, n, at, e);
        if (!rc)
            rc = file_pwrite(out, step, n, at, e);
        at += n;
    }
    free(step);
    return rc ? rc : file_sync(out, e);
}

static enum err save_copy(struct saving *s, const char *from, const char *name, struct error *e)
{
    char hidden[40];
    struct file in = { .fd = -1 }, out = { .fd = -1, .path = xstrdup(s->directory) };
    snprintf(hidden, sizeof hidden, ".%016llx.part", (unsigned long long)rand_u64());
    out.fd = openat(s->dir, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum err rc = out.fd >= 0 ? file_open(&in, from, FILE_READ_REGULAR, e)
                              : error_set_errno(e, errno, "%s: cannot save a file", s->directory);
    if (!rc)
        rc = copy_bytes(&in, &out, e);
    if (!rc)
        rc = give_name(s, s->dir, hidden, name, e);
    if (out.fd >= 0)
        unlinkat(s->dir, hidden, 0);
    file_close(&in);
    file_close(&out);
    return rc;
}

static enum err save_in(struct saving *s, const char *from, const char *name, struct error *e)
{
    struct error linking = { .code = OK };
    enum err rc = give_name(s, AT_FDCWD, from, name, &linking);
    if (rc && rc != ERR_EXISTS) /* another file system, or one without links */
        rc = save_copy(s, from, name, e);
    else if (rc && e)
        *e = linking;
    if (!rc && fsync(s->dir) != 0)
        return error_set_errno(e, errno, "%s: cannot sync", s->directory);
    return rc;
}

enum err file_name_save(const char *from, const char *directory, struct span name, char **saved,
                        struct error *e)
{
    char safe[FILE_NAME_MAX + 1];
    struct saving s = { .directory = directory };
    file_name_safe(safe, name);
    s.dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s.dir < 0)
        return error_set_errno(e, errno, "%s: cannot open the directory", directory);
    enum err rc = save_in(&s, from, safe, e);
    close(s.dir);
    if (!rc)
        *saved = path_join(directory, s.name);
    return rc;
}

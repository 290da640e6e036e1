/*
 * Preloaded library that makes calls on files fail, for tests of programs with real files:
 *
 *   BSVPEER_FAULT=OP:N:WHAT   OP: open write pwrite fsync fdatasync rename ftruncate fallocate
 *                             unlink, or any
 *                             N: from the N-th such call on (1 is the first)
 *                             WHAT: a name or number of errno: this call and all later ones fail
 *                                   exit: the process ends before the call, as by SIGKILL
 *                                   torn: as exit, but half of the bytes are written first
 *                                   slow: this call and all later ones are made SLOW_MS late
 *   BSVPEER_FAULT_PATH=TEXT   only files whose path contains TEXT count
 *   BSVPEER_FAULT_AFTER=FILE  calls count from when this file is there
 *   BSVPEER_FAULT_COUNT=FILE  at a normal end writes a line "OP N" for each OP, and for any
 *
 *   LD_PRELOAD=.../fault.so BSVPEER_FAULT=fdatasync:3:exit program
 *
 * Only regular files count: sockets, pipes and terminals never do.
 *
 *   BSVPEER_FAULT_RANDOM=WHAT the random generator of the system is broken:
 *                             WHAT: a name or number of errno: the call fails
 *                                   zeros: it gives zeros
 *                                   same: it gives the same bytes with each call
 *   BSVPEER_FAULT_RANDOM_WHILE=FILE  only while there is such a file
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum op {
    OP_OPEN, OP_WRITE, OP_PWRITE, OP_FSYNC, OP_FDATASYNC, OP_RENAME, OP_FTRUNCATE, OP_FALLOCATE,
    OP_UNLINK, OP_ANY
};
#define OPS (OP_ANY + 1)

static const char *const op_names[OPS] = {
    "open", "write", "pwrite", "fsync", "fdatasync", "rename", "ftruncate", "fallocate", "unlink",
    "any",
};

static const struct {
    const char *name;
    int number;
} errno_names[] = {
    { "EIO", EIO },       { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EACCES", EACCES },
    { "EMFILE", EMFILE }, { "EROFS", EROFS },   { "ENOMEM", ENOMEM }, { "ENOSYS", ENOSYS },
};

enum fault_kind { FAULT_NONE, FAULT_ERRNO, FAULT_EXIT, FAULT_TORN, FAULT_SLOW };

static struct {
    enum fault_kind kind;
    enum op op;
    unsigned long first; /* number of the call */
    int number;          /* errno */
    const char *path, *count_file, *after;
} fault;

static atomic_ulong counts[OPS];

#define SLOW_MS 1000
#define KILLED 137 /* exit status of a process that SIGKILL ended, as shells show it */

static _Noreturn void bad_setting(const char *text)
{
    dprintf(2, "fault.so: BSVPEER_FAULT=%s is not OP:N:WHAT\n", text);
    _exit(2);
}

static int errno_of(const char *name)
{
    for (size_t i = 0; i < sizeof(errno_names) / sizeof(errno_names[0]); i++)
        if (strcmp(name, errno_names[i].name) == 0)
            return errno_names[i].number;
    return (int)strtol(name, NULL, 10);
}

static void parse_what(const char *what, const char *setting)
{
    fault.kind = FAULT_ERRNO;
    if (strcmp(what, "exit") == 0 || strcmp(what, "torn") == 0) {
        fault.kind = what[0] == 'e' ? FAULT_EXIT : FAULT_TORN;
        return;
    }
    if (strcmp(what, "slow") == 0) {
        fault.kind = FAULT_SLOW;
        return;
    }
    fault.number = errno_of(what);
    if (fault.number <= 0)
        bad_setting(setting);
}

__attribute__((constructor)) static void read_settings(void)
{
    const char *setting = getenv("BSVPEER_FAULT");
    fault.path = getenv("BSVPEER_FAULT_PATH");
    fault.count_file = getenv("BSVPEER_FAULT_COUNT");
    fault.after = getenv("BSVPEER_FAULT_AFTER");
    if (!setting || !*setting)
        return;
    char op[16], what[16];
    if (sscanf(setting, "%15[a-z]:%lu:%15[A-Za-z0-9]", op, &fault.first, what) != 3 ||
        fault.first == 0)
        bad_setting(setting);
    fault.op = OPS;
    for (unsigned i = 0; i < OPS; i++)
        if (strcmp(op, op_names[i]) == 0)
            fault.op = (enum op)i;
    if (fault.op == OPS)
        bad_setting(setting);
    parse_what(what, setting);
}

__attribute__((destructor)) static void write_counts(void)
{
    FILE *f = fault.count_file ? fopen(fault.count_file, "w") : NULL;
    if (!f)
        return;
    for (unsigned i = 0; i < OPS; i++)
        fprintf(f, "%s %lu\n", op_names[i], atomic_load(&counts[i]));
    fclose(f);
}

static bool path_counts(const char *path)
{
    return !fault.path || strstr(path, fault.path);
}

static bool fd_counts(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return false;
    if (!fault.path)
        return true;
    char name[64], path[4096];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof(path) - 1);
    if (n < 0)
        return false;
    path[n] = '\0';
    return path_counts(path);
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* Counts the call; what is to happen to it. */
static enum fault_kind next_call(enum op op)
{
    if (fault.after && !is_there(fault.after))
        return FAULT_NONE;
    unsigned long mine = atomic_fetch_add(&counts[op], 1) + 1;
    unsigned long any = atomic_fetch_add(&counts[OP_ANY], 1) + 1;
    unsigned long n = fault.op == OP_ANY ? any : mine;
    bool hit = fault.kind && (fault.op == op || fault.op == OP_ANY) && n >= fault.first;
    return hit ? fault.kind : FAULT_NONE;
}

/* True when the call must not be made: errno is set. Does not return from a crash. */
static bool fails(enum op op)
{
    switch (next_call(op)) {
    case FAULT_NONE:
        return false;
    case FAULT_ERRNO:
        errno = fault.number;
        return true;
    case FAULT_SLOW:
        usleep(1000 * SLOW_MS);
        return false;
    case FAULT_EXIT:
    case FAULT_TORN:
        break;
    }
    _exit(KILLED);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The first call of each wrapper looks its function up; the lookup gives every thread the same. */
#define CALL_REAL(name, ...)                         \
    ({                                               \
        static _Atomic(__typeof__(&name)) real_;     \
        __typeof__(&name) fn_ = atomic_load(&real_); \
        if (!fn_)                                    \
            atomic_store(&real_, fn_ = REAL(name));  \
        fn_(__VA_ARGS__);                            \
    })

static bool open_fails(const char *path)
{
    struct stat st;
    bool other = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    return !other && path_counts(path) && fails(OP_OPEN);
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(args, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_fails(path) ? -1 : CALL_REAL(open, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_fails(path) ? -1 : CALL_REAL(open64, path, flags, mode);
}

/* What fortified programs call when there is no mode. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_fails(path) ? -1 : CALL_REAL(open, path, flags);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open_fails(path) ? -1 : CALL_REAL(open64, path, flags);
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (fault.kind == FAULT_TORN && fd_counts(fd)) {
        if (next_call(OP_WRITE)) {
            (void)!CALL_REAL(write, fd, data, len / 2);
            _exit(KILLED);
        }
    } else if (fd_counts(fd) && fails(OP_WRITE)) {
        return -1;
    }
    return CALL_REAL(write, fd, data, len);
}

static bool pwrite_fails(int fd, const void *data, size_t len, off_t offset)
{
    if (!fd_counts(fd))
        return false;
    if (fault.kind != FAULT_TORN)
        return fails(OP_PWRITE);
    if (!next_call(OP_PWRITE))
        return false;
    (void)!CALL_REAL(pwrite, fd, data, len / 2, offset);
    _exit(KILLED);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return pwrite_fails(fd, data, len, offset) ? -1 : CALL_REAL(pwrite, fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return pwrite_fails(fd, data, len, offset) ? -1 : CALL_REAL(pwrite64, fd, data, len, offset);
}

int fsync(int fd)
{
    return fd_counts(fd) && fails(OP_FSYNC) ? -1 : CALL_REAL(fsync, fd);
}

int fdatasync(int fd)
{
    return fd_counts(fd) && fails(OP_FDATASYNC) ? -1 : CALL_REAL(fdatasync, fd);
}

int rename(const char *from, const char *to)
{
    return path_counts(from) && fails(OP_RENAME) ? -1 : CALL_REAL(rename, from, to);
}

int ftruncate(int fd, off_t size)
{
    return fd_counts(fd) && fails(OP_FTRUNCATE) ? -1 : CALL_REAL(ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return fd_counts(fd) && fails(OP_FTRUNCATE) ? -1 : CALL_REAL(ftruncate64, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fd_counts(fd) && fails(OP_FALLOCATE) ? -1 : CALL_REAL(fallocate, fd, mode, offset, len);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fd_counts(fd) && fails(OP_FALLOCATE) ? -1
                                                : CALL_REAL(fallocate64, fd, mode, offset, len);
}

int unlink(const char *path)
{
    return path_counts(path) && fails(OP_UNLINK) ? -1 : CALL_REAL(unlink, path);
}

/* --- the random generator --- */

ssize_t getrandom(void *out, size_t len, unsigned flags)
{
    const char *what = getenv("BSVPEER_FAULT_RANDOM"), *when = getenv("BSVPEER_FAULT_RANDOM_WHILE");
    struct stat st;
    if (!what || (when && stat(when, &st) != 0))
        return CALL_REAL(getrandom, out, len, flags);
    if (strcmp(what, "zeros") == 0 || strcmp(what, "same") == 0) {
        for (size_t i = 0; i < len; i++)
            ((unsigned char *)out)[i] = what[0] == 'z' ? 0 : (unsigned char)(i * 37 + 11);
        return (ssize_t)len;
    }
    errno = errno_of(what);
    return -1;
}

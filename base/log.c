/*
 * A line is formatted on the caller's stack and written under one mutex with one write(2), so that
 * lines of threads never mix. Nothing here may stop the node: a full disk costs lines, which are
 * counted and reported once there is room again.
 */
#include <config.h>

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"

enum {
    LINE_MAX_BYTES = 4096,
    LIMIT_WINDOW_MS = 60000, /* LOG_LIMITED: so many lines ... */
    LIMIT_LINES = 5,         /* ... of one call site in each window */
};

_Atomic uint32_t log_mask_;

static struct {
    pthread_mutex_t lock;
    bool opened;       /* between log_open and log_close */
    int fd;            /* -1: no file */
    char *path;
    uint64_t size, max_bytes;
    uint64_t lost;     /* lines that could not be written since the last good one */
    bool torn;         /* the last line was cut short: start a new one */
    bool to_console;
    /* Read without the lock, before a line is formatted. */
    atomic_bool timestamps, time_micros;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .timestamps = true };

static const char *const level_marks[] = {
    [LOG_ERROR] = "[error] ", [LOG_WARN] = "[warning] ", [LOG_INFO] = "", [LOG_DEBUG] = "",
};

static const char *const category_names[] = {
    "net", "addrman", "chain", "coindb", "rpc", "http", "mempool", "reindex",
    "prune", "proxy", "leveldb", "bench", "event", "script", "wallet", "channel",
};
_Static_assert((1u << COUNT_OF(category_names)) - 1 == LOGC_ALL, "a name for each category");

static int open_log_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static void use_fd_locked(int fd)
{
    struct stat st;
    if (sink.fd >= 0)
        close(sink.fd);
    sink.fd = fd;
    sink.size = fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    sink.torn = false;
}

enum err log_open(const struct log_options *o, struct error *e)
{
    int fd = -1;
    if (o->path) {
        fd = open_log_file(o->path);
        if (fd < 0)
            return error_set_errno(e, errno, "%s: cannot open the log", o->path);
    }
    pthread_mutex_lock(&sink.lock);
    use_fd_locked(fd);
    free(sink.path);
    sink.path = o->path ? xstrdup(o->path) : NULL;
    sink.max_bytes = o->max_bytes;
    sink.to_console = o->to_console;
    sink.timestamps = o->timestamps;
    sink.time_micros = o->time_micros;
    sink.lost = 0;
    sink.opened = true;
    pthread_mutex_unlock(&sink.lock);
    return OK;
}

void log_close(void)
{
    pthread_mutex_lock(&sink.lock);
    use_fd_locked(-1);
    free(sink.path);
    sink.path = NULL;
    sink.opened = false;
    sink.to_console = false;
    pthread_mutex_unlock(&sink.lock);
}

/* Keeps the open file when the name cannot be opened. */
static void reopen_locked(void)
{
    int fd = sink.path ? open_log_file(sink.path) : -1;
    if (fd >= 0)
        use_fd_locked(fd);
}

void log_reopen(void)
{
    pthread_mutex_lock(&sink.lock);
    reopen_locked();
    pthread_mutex_unlock(&sink.lock);
}

uint32_t log_categories(void)
{
    return atomic_load(&log_mask_);
}

void log_set_categories(uint32_t mask)
{
    atomic_store(&log_mask_, mask & LOGC_ALL);
}

bool log_category_by_name(const char *name, uint32_t *mask)
{
    if (strcmp(name, "all") == 0 || strcmp(name, "1") == 0) {
        *mask = LOGC_ALL;
        return true;
    }
    if (strcmp(name, "none") == 0 || strcmp(name, "0") == 0) {
        *mask = 0;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(category_names); i++)
        if (strcmp(name, category_names[i]) == 0) {
            *mask = 1u << i;
            return true;
        }
    return false;
}

const char *log_category_name(unsigned bit)
{
    return bit < COUNT_OF(category_names) ? category_names[bit] : NULL;
}

/* Real time even when the clock is mocked: the log tells when something happened. */
static size_t put_time(char *out, size_t cap, bool micros)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = micros ? snprintf(out + n, cap - n, ".%06ldZ ", now.tv_nsec / 1000)
                      : snprintf(out + n, cap - n, "Z ");
    return n + (size_t)more;
}

/* One message is one line: what a message quotes cannot start another. */
static void flatten(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
}

/* Formats at most cap - 1 characters and a newline, which takes the place of the NUL. */
PRINTF_LIKE(3, 0)
static size_t put_message(char *out, size_t cap, const char *fmt, va_list args)
{
    int want = vsnprintf(out, cap, fmt, args);
    size_t len = want < 0 ? 0 : (size_t)want;
    if (len >= cap) {
        len = cap - 1;
        memcpy(out + len - 3, "...", 3);
    }
    while (len > 0 && out[len - 1] == '\n')
        len--;
    flatten(out, len);
    out[len] = '\n';
    return len + 1;
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
        if (fd == sink.fd)
            sink.torn = len > 0;
    }
    return true;
}

static void rotate_locked(void)
{
    char *old = xasprintf("%s.1", sink.path);
    if (rename(sink.path, old) == 0)
        reopen_locked();
    else
        sink.size = 0; /* try again only after as much has been written once more */
    free(old);
}

/* Says once on standard error that lines are being lost; the count follows in the log itself. */
static void lose_line_locked(int errnum)
{
    if (sink.lost++ == 0)
        dprintf(STDERR_FILENO, "%s: cannot write the log: %s\n", sink.path, strerror(errnum));
}

static bool append_locked(const char *line, size_t len)
{
    if (!write_all(sink.fd, line, len))
        return false;
    sink.size += len;
    return true;
}

static bool catch_up_locked(void)
{
    char note[80];
    if (sink.torn && !append_locked("\n", 1))
        return false;
    if (sink.lost == 0)
        return true;
    int n = snprintf(note, sizeof(note), "[warning] %llu log lines were lost: no room\n",
                     (unsigned long long)sink.lost);
    if (!append_locked(note, (size_t)n))
        return false;
    sink.lost = 0;
    return true;
}

static void write_file_locked(const char *line, size_t len)
{
    if (sink.max_bytes && sink.size > 0 && sink.size + len > sink.max_bytes)
        rotate_locked();
    if (!catch_up_locked() || !append_locked(line, len))
        lose_line_locked(errno);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    int saved = errno;
    va_list args;
    if (sink.timestamps)
        n = put_time(line, sizeof(line), sink.time_micros);
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%s", level_marks[level]);
    va_start(args, fmt);
    n += put_message(line + n, sizeof(line) - n, fmt, args);
    va_end(args);

    pthread_mutex_lock(&sink.lock);
    if (sink.fd >= 0)
        write_file_locked(line, n);
    if (sink.to_console)
        write_all(STDOUT_FILENO, line, n);
    else if (!sink.opened && level <= LOG_WARN)
        write_all(STDERR_FILENO, line, n);
    pthread_mutex_unlock(&sink.lock);
    errno = saved;
}

bool log_limit_pass(struct log_limit *l)
{
    int64_t now = clock_mono_ms();
    int64_t start = atomic_load(&l->window_start);
    bool fresh = start == 0 || now - start >= LIMIT_WINDOW_MS;
    if (!fresh || !atomic_compare_exchange_strong(&l->window_start, &start, now))
        return atomic_fetch_add(&l->count, 1) < LIMIT_LINES;
    uint32_t count = atomic_exchange(&l->count, 1);
    if (count > LIMIT_LINES)
        log_write(LOG_INFO, "%u lines like the next one were left out", count - LIMIT_LINES);
    return true;
}

/* Length of the valid UTF-8 sequence at p (RFC 3629: shortest form, no surrogates), or 0. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    static const struct { uint8_t first_min, first_max, second_min, second_max, len; } forms[] = {
        { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
        { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
        { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    if (p[0] < 0x80)
        return 1;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
            continue;
        if (left < forms[i].len || p[1] < forms[i].second_min || p[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].len; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

static bool is_control(const uint8_t *p, size_t n)
{
    return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

void log_sanitize(char *out, size_t cap, const void *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t at = 0;
    if (cap == 0)
        return;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len(p + i, len - i);
        bool replaced = n == 0 || is_control(p + i, n);
        size_t add = replaced ? 1 : n;
        if (at + add >= cap)
            break;
        memcpy(out + at, replaced ? (const uint8_t *)"?" : p + i, add);
        at += add;
        i += n ? n : 1;
    }
    out[at] = '\0';
}

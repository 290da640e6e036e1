/*
 * The one logger. error = the operator must act, warn = look soon, info = rare milestones,
 * debug = one category, off unless asked for. What a peer can provoke is debug or goes through
 * LOG_LIMITED (at most a few lines a minute per call site, then one line that counts the rest).
 * Any thread. Never log keys or payloads.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* One bit a category; names (net, addrman, ...) as in bitcoind's -debug. */
enum log_category {
    LOGC_NET = 1u << 0, LOGC_ADDRMAN = 1u << 1, LOGC_CHAIN = 1u << 2, LOGC_COINDB = 1u << 3,
    LOGC_RPC = 1u << 4, LOGC_HTTP = 1u << 5, LOGC_MEMPOOL = 1u << 6, LOGC_REINDEX = 1u << 7,
    LOGC_PRUNE = 1u << 8, LOGC_PROXY = 1u << 9, LOGC_LEVELDB = 1u << 10, LOGC_BENCH = 1u << 11,
    LOGC_EVENT = 1u << 12, LOGC_SCRIPT = 1u << 13, LOGC_WALLET = 1u << 14, LOGC_CHANNEL = 1u << 15,
    LOGC_ALL = 0xffff,
};

struct log_options {
    const char *path;    /* NULL: no file */
    bool to_console;     /* also to standard output */
    bool timestamps, time_micros;
    uint64_t max_bytes;  /* the file is rotated to path.1 at this size; 0: never */
};

enum err log_open(const struct log_options *o, struct error *e) MUST_CHECK;
void log_close(void);
/* Reopens the file by its name; safe to call from the thread that handles SIGHUP. */
void log_reopen(void);

uint32_t log_categories(void);
void log_set_categories(uint32_t mask);
/* Bit of a name ("all", "1" and "0", "none" too), or false. */
bool log_category_by_name(const char *name, uint32_t *mask);
const char *log_category_name(unsigned bit); /* bit index, NULL past the last */

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
extern _Atomic uint32_t log_mask_;
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(category, ...)                                                                   \
    ((log_mask_ & (category)) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)

struct log_limit { _Atomic int64_t window_start; _Atomic uint32_t count; };
bool log_limit_pass(struct log_limit *l); /* writes the suppressed count itself */
#define LOG_LIMITED(level, ...)                       \
    do {                                              \
        static struct log_limit limit_;               \
        if (log_limit_pass(&limit_))                  \
            log_write(level, __VA_ARGS__);            \
    } while (0)

/* Copies text from outside with control characters and invalid UTF-8 replaced by '?'. */
void log_sanitize(char *out, size_t cap, const void *text, size_t len);

#endif

/*
 * Errors: could the work be done?
 *
 * Functions that can fail return `enum err` (OK is 0) and take an optional `struct error *e` last.
 * On failure they fill it (if not NULL) with the code and a sentence for people; on success it is
 * untouched. A verdict about a block or a transaction is something else (chain/verdict.h): an
 * error here says that something could not be looked up or written, and judges nobody.
 * Any thread.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdatomic.h>

enum err {
    OK = 0,
    ERR_NOMEM,     /* an allocation whose size came from outside failed */
    ERR_IO,        /* the system refused to read, write, connect or sync */
    ERR_CORRUPT,   /* our own stored data fails its checks */
    ERR_PARSE,     /* input does not follow its format */
    ERR_RANGE,     /* a value is outside its limits */
    ERR_NOTFOUND,
    ERR_EXISTS,
    ERR_BUSY,      /* a lock or a full queue */
    ERR_CANCELLED, /* stopped on request */
    ERR_TIMEOUT,
    ERR_AUTH,
    ERR_PROTO,     /* the other side broke the protocol */
    ERR_NOSPACE,   /* disk full */
};

#define ERROR_TEXT_MAX 320

struct error {
    enum err code;
    char text[ERROR_TEXT_MAX];
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Fill e (may be NULL) and return code, so that `return error_set(...)` works. */
enum err error_set(struct error *e, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As error_set, with strerror(errnum) appended; ENOSPC and EDQUOT give ERR_NOSPACE, else ERR_IO. */
enum err error_set_errno(struct error *e, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put "what: " before the text that is already in e; returns e's code (or code when e is NULL). */
enum err error_prefix(struct error *e, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "out of memory", "corrupt data" ... */
const char *err_name(enum err code);

/*
 * BUG_ON states a fact about our own code and aborts when it is false; WARN_BUG logs once per call
 * site and evaluates to the condition. Neither is for peer input, disk content or lack of memory.
 */
#define BUG_ON(cond) ((cond) ? bug_abort(#cond, __FILE__, __LINE__) : (void)0)
#define WARN_BUG(cond)                                                             \
    __extension__({                                                                \
        static atomic_flag said_ = ATOMIC_FLAG_INIT;                               \
        int bug_ = (cond) ? 1 : 0;                                                 \
        if (bug_)                                                                  \
            bug_warn(&said_, #cond, __FILE__, __LINE__);                           \
        bug_;                                                                      \
    })
_Noreturn void bug_abort(const char *cond, const char *file, int line);
void bug_warn(atomic_flag *said, const char *cond, const char *file, int line);

#endif

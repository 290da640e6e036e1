#include <config.h> /* not base/config.h */

#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"

static const char *const err_names[] = {
    [OK] = "no error",
    [ERR_NOMEM] = "out of memory",
    [ERR_IO] = "input/output error",
    [ERR_CORRUPT] = "corrupt data",
    [ERR_PARSE] = "bad format",
    [ERR_RANGE] = "value out of range",
    [ERR_NOTFOUND] = "not found",
    [ERR_EXISTS] = "exists already",
    [ERR_BUSY] = "busy",
    [ERR_CANCELLED] = "cancelled",
    [ERR_TIMEOUT] = "timed out",
    [ERR_AUTH] = "not authorized",
    [ERR_PROTO] = "protocol violation",
    [ERR_NOSPACE] = "no space left",
};
_Static_assert(COUNT_OF(err_names) == ERR_NOSPACE + 1, "one name for each error");

const char *err_name(enum err code)
{
    return (size_t)code < COUNT_OF(err_names) ? err_names[code] : "unknown error";
}

enum err error_set(struct error *e, enum err code, const char *fmt, ...)
{
    if (!e)
        return code;
    char text[ERROR_TEXT_MAX]; /* the arguments may point into e */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    e->code = code;
    memcpy(e->text, text, sizeof text);
    return code;
}

enum err error_set_errno(struct error *e, int errnum, const char *fmt, ...)
{
    enum err code = errnum == ENOSPC || errnum == EDQUOT ? ERR_NOSPACE : ERR_IO;
    if (!e)
        return code;
    char text[ERROR_TEXT_MAX], reason[96];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* The GNU form: the text need not be in the buffer. */
    const char *why = strerror_r(errnum, reason, sizeof reason);
    return error_set(e, code, "%.*s: %s", (int)(sizeof text - sizeof reason), text, why);
}

enum err error_prefix(struct error *e, enum err code, const char *fmt, ...)
{
    if (!e)
        return code;
    char prefix[ERROR_TEXT_MAX / 2], text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    int n = snprintf(text, sizeof text, "%s: %s", prefix, e->text);
    /* A text that is too long loses its end. */
    memcpy(e->text, text, n < (int)sizeof text ? (size_t)n + 1 : sizeof text);
    return e->code;
}

void bug_abort(const char *cond, const char *file, int line)
{
    log_write(LOG_ERROR, "internal error, stopping: %s at %s:%d", cond, file, line);
    abort();
}

void bug_warn(atomic_flag *said, const char *cond, const char *file, int line)
{
    if (!atomic_flag_test_and_set(said))
        log_write(LOG_ERROR, "internal error: %s at %s:%d; please report this", cond, file, line);
}

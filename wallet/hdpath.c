#include "wallet/hdpath.h"

#include <stdbool.h>

#define BIP44_PURPOSE 44

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A number below 2^31 and its mark; *text moves behind it. False when there is none. */
static bool parse_step(const char **text, uint32_t *step)
{
    const char *p = *text;
    uint64_t value = 0;
    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++) {
        value = value * 10 + (uint64_t)(*p - '0');
        if (value >= HDPATH_HARDENED)
            return false;
    }
    *step = (uint32_t)value;
    if (*p == '\'' || *p == 'h' || *p == 'H') {
        *step |= HDPATH_HARDENED;
        p++;
    }
    *text = p;
    return true;
}

static enum err append(struct hdpath *p, uint32_t step, struct error *e)
{
    if (p->n == HDPATH_MAX)
        return error_set(e, ERR_RANGE, "a path has at most %d steps", HDPATH_MAX);
    p->step[p->n++] = step;
    return OK;
}

enum err hdpath_parse(struct hdpath *p, const char *text, struct error *e)
{
    p->n = 0;
    if (*text == 'm' || *text == 'M') {
        text++;
        if (*text == '\0')
            return OK;
        if (*text++ != '/')
            return error_set(e, ERR_PARSE, "a path begins with \"m/\"");
    }
    for (;; text++) {
        uint32_t step;
        if (!parse_step(&text, &step) || (*text && *text != '/'))
            return error_set(e, ERR_PARSE,
                             "step %zu of the path is not a number below 2^31, maybe with \"'\" or "
                             "\"h\" behind it", p->n + 1);
        if (append(p, step, e))
            return ERR_RANGE;
        if (*text == '\0')
            return OK;
    }
}

void hdpath_format(struct buf *out, const struct hdpath *p)
{
    buf_put_u8(out, 'm');
    for (size_t i = 0; i < p->n; i++)
        buf_printf(out, "/%u%s", (unsigned)(p->step[i] & ~HDPATH_HARDENED),
                   p->step[i] & HDPATH_HARDENED ? "'" : "");
}

enum err hdpath_account(struct hdpath *p, uint32_t coin, uint32_t account, struct error *e)
{
    if (coin >= HDPATH_HARDENED || account >= HDPATH_HARDENED)
        return error_set(e, ERR_RANGE, "coin type and account are below 2^31");
    p->n = 0;
    p->step[p->n++] = BIP44_PURPOSE | HDPATH_HARDENED;
    p->step[p->n++] = coin | HDPATH_HARDENED;
    p->step[p->n++] = account | HDPATH_HARDENED;
    return OK;
}

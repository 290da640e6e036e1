#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/intmath.h"
#include "base/mem.h"

#define BUF_CAP_MIN 64

void buf_init(struct buf *b)
{
    *b = (struct buf){ 0 };
}

void buf_init_secret(struct buf *b)
{
    *b = (struct buf){ .secret = true };
}

void buf_clear(struct buf *b)
{
    if (b->secret)
        secure_wipe(b->data, b->cap);
    free(b->data);
    *b = (struct buf){ .secret = b->secret };
}

void buf_wipe(struct buf *b)
{
    secure_wipe(b->data, b->cap);
    buf_clear(b);
}

void buf_reset(struct buf *b)
{
    buf_truncate(b, 0);
}

void buf_truncate(struct buf *b, size_t len)
{
    BUG_ON(len > b->len);
    if (b->secret && b->len > len)
        secure_wipe(b->data + len, b->len - len);
    b->len = len;
}

/* The content at another place, with this capacity; NULL without memory. */
static uint8_t *move(const struct buf *b, size_t cap)
{
    if (!b->secret)
        return (uint8_t *)try_realloc(b->data, cap, 1);
    uint8_t *p = try_alloc(cap, 1);
    if (!p)
        return NULL;
    if (b->len)
        memcpy(p, b->data, b->len);
    secure_wipe(b->data, b->cap);
    free(b->data);
    return p;
}

bool buf_try_reserve(struct buf *b, size_t more)
{
    size_t need;
    if (!add_size(b->len, more, &need))
        return false;
    if (need <= b->cap && b->data)
        return true;
    /* Half as much again keeps appending linear without doubling the largest blocks. */
    size_t cap = MAX_OF(need, BUF_CAP_MIN), roomy;
    if (add_size(b->cap, b->cap / 2, &roomy) && roomy > cap)
        cap = roomy;
    uint8_t *p = move(b, cap);
    if (!p && cap > need)
        p = move(b, cap = need);
    if (!p)
        return false;
    b->data = p;
    b->cap = cap;
    return true;
}

void buf_reserve(struct buf *b, size_t more)
{
    if (!buf_try_reserve(b, more)) {
        fputs("out of memory\n", stderr); /* as the xmalloc family */
        abort();
    }
}

uint8_t *buf_take(struct buf *b, size_t *len)
{
    uint8_t *data = b->data;
    if (len)
        *len = b->len;
    *b = (struct buf){ .secret = b->secret };
    return data;
}

void buf_put_le16(struct buf *b, uint16_t v)
{
    le16_put(buf_extend(b, 2), v);
}

void buf_put_be16(struct buf *b, uint16_t v)
{
    be16_put(buf_extend(b, 2), v);
}

void buf_put_le32(struct buf *b, uint32_t v)
{
    le32_put(buf_extend(b, 4), v);
}

void buf_put_le64(struct buf *b, uint64_t v)
{
    le64_put(buf_extend(b, 8), v);
}

void buf_put_be32(struct buf *b, uint32_t v)
{
    be32_put(buf_extend(b, 4), v);
}

void buf_put_be64(struct buf *b, uint64_t v)
{
    be64_put(buf_extend(b, 8), v);
}

size_t compact_size_len(uint64_t v)
{
    return v < 0xfd ? 1 : v <= 0xffff ? 3 : v <= 0xffffffff ? 5 : 9;
}

void buf_put_compact(struct buf *b, uint64_t v)
{
    size_t len = compact_size_len(v);
    uint8_t *p = buf_extend(b, len);
    if (len == 1) {
        p[0] = (uint8_t)v;
        return;
    }
    p[0] = len == 3 ? 0xfd : len == 5 ? 0xfe : 0xff;
    for (size_t i = 1; i < len; i++)
        p[i] = (uint8_t)(v >> 8 * (i - 1));
}

void buf_put_var_bytes(struct buf *b, const void *data, size_t len)
{
    buf_put_compact(b, len);
    buf_put(b, data, len);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    /* Base 128, most significant first; each continuation also counts one, so no value has two
     * forms. */
    uint8_t digits[10];
    int n = 0;
    digits[n++] = v & 0x7f;
    while (v > 0x7f) {
        v = (v >> 7) - 1;
        digits[n++] = (uint8_t)((v & 0x7f) | 0x80);
    }
    uint8_t *p = buf_extend(b, (size_t)n);
    while (n > 0)
        *p++ = digits[--n];
}

void buf_put_hex(struct buf *b, const void *data, size_t len)
{
    buf_reserve(b, 2 * len + 1); /* hex_encode ends with a NUL */
    hex_encode((char *)b->data + b->len, data, len);
    b->len += 2 * len;
}

void buf_put_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (WARN_BUG(len < 0))
        return;
    buf_reserve(b, (size_t)len + 1); /* vsnprintf adds a NUL, which is not counted */
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)len;
}

bool buf_print(const struct buf *b)
{
    const bool written = !b->len || fwrite(b->data, 1, b->len, stdout) == b->len;
    return written && fflush(stdout) == 0;
}

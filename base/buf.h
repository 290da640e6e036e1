/*
 * A growing byte string, and the one writer of wire and disk formats. Appending never fails for
 * small data of our own; when the size comes from outside call buf_try_reserve first.
 * Not thread safe; the owner clears it.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct buf {
    uint8_t *data;
    size_t len, cap;
    bool secret; /* leaves no copy of what it held: growing, the functions that shorten it and
                    buf_clear overwrite. May be set at any time, and stays */
};

void buf_init(struct buf *b);
void buf_init_secret(struct buf *b);
void buf_clear(struct buf *b);              /* frees */
void buf_wipe(struct buf *b);               /* overwrites, then frees; what grew without being
                                               secret has left copies */
void buf_reset(struct buf *b);              /* len = 0, memory kept */
void buf_truncate(struct buf *b, size_t len); /* to at most what it has */
void buf_reserve(struct buf *b, size_t more);
bool buf_try_reserve(struct buf *b, size_t more) __attribute__((warn_unused_result));
/* n uninitialised bytes at the end */
static inline uint8_t *buf_extend(struct buf *b, size_t n)
{
    if (n > b->cap - b->len || !b->data)
        buf_reserve(b, n);
    uint8_t *p = b->data + b->len;
    b->len += n;
    return p;
}
uint8_t *buf_take(struct buf *b, size_t *len); /* ownership of the memory moves; b is empty after */

static inline void buf_put(struct buf *b, const void *data, size_t len)
{
    if (len)
        memcpy(buf_extend(b, len), data, len);
}
static inline void buf_put_u8(struct buf *b, uint8_t v) { *buf_extend(b, 1) = v; }
void buf_put_le16(struct buf *b, uint16_t v);
void buf_put_be16(struct buf *b, uint16_t v);
void buf_put_le32(struct buf *b, uint32_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_le64(struct buf *b, uint64_t v);
void buf_put_be64(struct buf *b, uint64_t v);
/* Compact size (spec p2p 1.4) and a compact size followed by bytes. */
void buf_put_compact(struct buf *b, uint64_t v);
void buf_put_var_bytes(struct buf *b, const void *data, size_t len);
/* MSB-128 variable integer of disk formats (spec consensus 6). */
void buf_put_varint(struct buf *b, uint64_t v);
void buf_put_hex(struct buf *b, const void *data, size_t len); /* 2 * len digits */
/* Text without a terminating NUL. */
void buf_put_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* All of it to standard output, flushed; false when that fails, as on a full disk. */
bool buf_print(const struct buf *b) __attribute__((warn_unused_result));

static inline struct span buf_span(const struct buf *b) { return span_of(b->data, b->len); }
size_t compact_size_len(uint64_t v);

#endif

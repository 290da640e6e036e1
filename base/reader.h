/*
 * The one reader of wire and disk formats: pointer, bytes left, sticky failure flag. After a
 * failure every read gives zeros, so a decoder reads straight down and checks `failed` once.
 * Borrows the memory it reads; not thread safe.
 */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Largest value a compact size may have (spec consensus 6). */
#define COMPACT_SIZE_MAX UINT64_C(0xffffffff)

struct reader {
    const uint8_t *p;
    size_t left;
    bool failed;
    bool too_large; /* the failure was a compact size above COMPACT_SIZE_MAX (spec p2p 1.6) */
};

static inline void reader_init(struct reader *r, const void *data, size_t len)
{
    *r = (struct reader){ .p = (const uint8_t *)data, .left = len };
}
/* True when all bytes were read and none of the reads failed. */
static inline bool reader_done(const struct reader *r) { return !r->failed && r->left == 0; }

uint8_t read_u8(struct reader *r);
uint16_t read_le16(struct reader *r);
uint16_t read_be16(struct reader *r);
uint32_t read_le32(struct reader *r);
uint32_t read_be32(struct reader *r);
uint64_t read_le64(struct reader *r);
uint64_t read_be64(struct reader *r);
/* n bytes borrowed from the input, or NULL after failure (n may be 0: non-NULL or NULL). */
const uint8_t *read_bytes(struct reader *r, size_t n);
/* Copies n bytes; fills dst with zeros on failure. */
void read_copy(struct reader *r, void *dst, size_t n);
/* Compact size; a longer form than needed or a value above COMPACT_SIZE_MAX is a failure. */
uint64_t read_compact(struct reader *r);
/* A count of elements of at least min_size bytes each; fails when they cannot fit in
 * what is left. */
size_t read_count(struct reader *r, size_t min_size);
/* Compact length and that many borrowed bytes. */
struct span read_var_bytes(struct reader *r);
uint64_t read_varint(struct reader *r);

#endif

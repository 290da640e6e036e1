#include "base/reader.h"

/* What a failed read of fixed size reads instead, and the address of an empty string. */
static const uint8_t zeros[8];

static void fail(struct reader *r)
{
    r->failed = true;
    r->left = 0;
}

const uint8_t *read_bytes(struct reader *r, size_t n)
{
    if (r->failed || n > r->left) {
        fail(r);
        return NULL;
    }
    const uint8_t *p = r->p ? r->p : zeros; /* an empty input may be NULL */
    r->p += n;
    r->left -= n;
    return p;
}

/* n of at most 8 bytes, zeros after failure. */
static const uint8_t *read_fixed(struct reader *r, size_t n)
{
    const uint8_t *p = read_bytes(r, n);
    return p ? p : zeros;
}

uint8_t read_u8(struct reader *r)
{
    return *read_fixed(r, 1);
}

uint16_t read_le16(struct reader *r)
{
    return le16_get(read_fixed(r, 2));
}

uint16_t read_be16(struct reader *r)
{
    return be16_get(read_fixed(r, 2));
}

uint32_t read_le32(struct reader *r)
{
    return le32_get(read_fixed(r, 4));
}

uint64_t read_le64(struct reader *r)
{
    return le64_get(read_fixed(r, 8));
}

uint32_t read_be32(struct reader *r)
{
    return be32_get(read_fixed(r, 4));
}

uint64_t read_be64(struct reader *r)
{
    return be64_get(read_fixed(r, 8));
}

void read_copy(struct reader *r, void *dst, size_t n)
{
    const uint8_t *p = read_bytes(r, n);
    if (!n)
        return;
    if (p)
        memcpy(dst, p, n);
    else
        memset(dst, 0, n);
}

uint64_t read_compact(struct reader *r)
{
    uint8_t first = read_u8(r);
    if (first < 0xfd)
        return first;
    uint64_t v = first == 0xfd ? read_le16(r) : first == 0xfe ? read_le32(r) : read_le64(r);
    uint64_t least = first == 0xfd ? 0xfd : first == 0xfe ? 0x10000 : UINT64_C(0x100000000);
    if (r->failed)
        return 0;
    if (v >= least && v <= COMPACT_SIZE_MAX)
        return v;
    /* The order of the reference: a long form of a small value is called non-canonical. */
    r->too_large = v >= least;
    fail(r);
    return 0;
}

size_t read_count(struct reader *r, size_t min_size)
{
    uint64_t n = read_compact(r);
    if (min_size && n > r->left / min_size) {
        fail(r);
        return 0;
    }
    return (size_t)n;
}

struct span read_var_bytes(struct reader *r)
{
    uint64_t n = read_compact(r);
    const uint8_t *p = read_bytes(r, (size_t)n);
    return p ? span_of(p, (size_t)n) : span_of(NULL, 0);
}

uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;
    for (;;) {
        uint8_t b = read_u8(r);
        if (r->failed || v > UINT64_MAX >> 7)
            break;
        v = v << 7 | (b & 0x7f);
        if (!(b & 0x80))
            return v;
        if (v == UINT64_MAX)
            break;
        v++;
    }
    fail(r);
    return 0;
}

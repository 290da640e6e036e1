#include "p2p/dchan_codec.h"

#include "base/err.h"

static void fail(struct reader *r)
{
    r->failed = true;
    r->left = 0;
}

uint64_t read_bigsize(struct reader *r)
{
    const uint8_t first = read_u8(r);
    if (first < 0xfd)
        return first;
    const uint64_t v =
        first == 0xfd ? read_be16(r) : first == 0xfe ? read_be32(r) : read_be64(r);
    const uint64_t least =
        first == 0xfd ? 0xfd : first == 0xfe ? 0x10000 : UINT64_C(0x100000000);
    if (!r->failed && v >= least)
        return v;
    fail(r);
    return 0;
}

void buf_put_bigsize(struct buf *b, uint64_t v)
{
    if (v < 0xfd) {
        buf_put_u8(b, (uint8_t)v);
    } else if (v <= 0xffff) {
        buf_put_u8(b, 0xfd);
        buf_put_be16(b, (uint16_t)v);
    } else if (v <= 0xffffffff) {
        buf_put_u8(b, 0xfe);
        buf_put_be32(b, (uint32_t)v);
    } else {
        buf_put_u8(b, 0xff);
        buf_put_be64(b, v);
    }
}

static struct span read_string(struct reader *r, size_t len, size_t max)
{
    if (len > max)
        fail(r);
    const uint8_t *p = read_bytes(r, len);
    return span_of(p, p ? len : 0);
}

struct span read_v8(struct reader *r, size_t max)
{
    const size_t len = read_u8(r);
    return read_string(r, len, max);
}

struct span read_v16(struct reader *r, size_t max)
{
    const size_t len = read_be16(r);
    return read_string(r, len, max);
}

void buf_put_v8(struct buf *b, struct span s)
{
    BUG_ON(s.len > UINT8_MAX);
    buf_put_u8(b, (uint8_t)s.len);
    buf_put(b, s.data, s.len);
}

void buf_put_v16(struct buf *b, struct span s)
{
    BUG_ON(s.len > UINT16_MAX);
    buf_put_be16(b, (uint16_t)s.len);
    buf_put(b, s.data, s.len);
}

void tlv_reader_init(struct tlv_reader *t, struct span stream)
{
    *t = (struct tlv_reader){ .least = 0 };
    reader_init(&t->r, stream.data, stream.len);
}

bool tlv_next(struct tlv_reader *t, struct tlv *out)
{
    if (t->r.failed || t->r.left == 0)
        return false;
    out->type = read_bigsize(&t->r);
    if (t->ended || out->type < t->least)
        fail(&t->r);
    const uint64_t len = read_bigsize(&t->r);
    if (len > t->r.left)
        fail(&t->r);
    out->value = span_of(read_bytes(&t->r, (size_t)len), (size_t)len);
    t->least = out->type + 1;
    t->ended = out->type == UINT64_MAX;
    return !t->r.failed;
}

bool tlv_copy(const struct tlv *t, void *out, size_t size)
{
    if (t->value.len != size)
        return false;
    memcpy(out, t->value.data, size);
    return true;
}

bool tlv_u32(const struct tlv *t, uint32_t *out)
{
    uint8_t bytes[4];
    if (!tlv_copy(t, bytes, sizeof bytes))
        return false;
    *out = be32_get(bytes);
    return true;
}

bool tlv_u64(const struct tlv *t, uint64_t *out)
{
    uint8_t bytes[8];
    if (!tlv_copy(t, bytes, sizeof bytes))
        return false;
    *out = be64_get(bytes);
    return true;
}

void buf_put_tlv(struct buf *b, uint64_t type, struct span value)
{
    buf_put_bigsize(b, type);
    buf_put_bigsize(b, value.len);
    buf_put(b, value.data, value.len);
}

void buf_put_tlv_u32(struct buf *b, uint64_t type, uint32_t v)
{
    uint8_t bytes[4];
    be32_put(bytes, v);
    buf_put_tlv(b, type, span_of(bytes, sizeof bytes));
}

void buf_put_tlv_u64(struct buf *b, uint64_t type, uint64_t v)
{
    uint8_t bytes[8];
    be64_put(bytes, v);
    buf_put_tlv(b, type, span_of(bytes, sizeof bytes));
}

struct dchan_features dchan_features_read(struct span bits)
{
    struct dchan_features f = { 0 };
    for (size_t bit = 0; bit < 8 * bits.len; bit++) {
        if (!(bits.data[bits.len - 1 - bit / 8] >> bit % 8 & 1))
            continue;
        const bool required = bit % 2 == 0;
        if (bit / 2 >= DCHAN_FEATURE_COUNT) {
            f.unknown_required |= required;
            continue;
        }
        f.offered |= UINT32_C(1) << bit / 2;
        if (required)
            f.required |= UINT32_C(1) << bit / 2;
    }
    return f;
}

size_t dchan_features_write(uint8_t out[DCHAN_FEATURES_MAX], const struct dchan_features *f)
{
    uint64_t bits = 0;
    size_t n = 0;
    for (unsigned i = 0; i < DCHAN_FEATURE_COUNT; i++)
        if (f->offered >> i & 1)
            bits |= UINT64_C(1) << (2 * i + !(f->required >> i & 1));
    for (uint64_t left = bits; left; left >>= 8)
        n++;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(bits >> 8 * (n - 1 - i));
    return n;
}

/*
 * Integers, strings, TLV streams and feature bits of direct channels. What is taken is written as
 * the same bytes: there is one encoding of each.
 */
#include <stdlib.h>

#include "p2p/dchan_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct buf *b, const uint8_t *data, size_t len)
{
    if (b->len != len || !mem_equal_var(b->data, data, len))
        abort();
}

static void check_stream(struct span in)
{
    struct tlv_reader stream;
    struct tlv t;
    struct buf b;
    uint64_t v64, last = 0;
    uint32_t v32;
    bool first = true;
    buf_init(&b);
    tlv_reader_init(&stream, in);
    while (tlv_next(&stream, &t)) {
        if ((!first && t.type <= last) || t.value.len > in.len ||
            tlv_u32(&t, &v32) != (t.value.len == 4) || tlv_u64(&t, &v64) != (t.value.len == 8))
            abort();
        first = false;
        last = t.type;
        buf_put_tlv(&b, t.type, t.value);
    }
    if (!stream.r.failed)
        check_same(&b, in.data, in.len);
    buf_clear(&b);
}

static void check_values(struct span in)
{
    struct reader r;
    struct buf b;
    buf_init(&b);
    reader_init(&r, in.data, in.len);
    buf_put_bigsize(&b, read_bigsize(&r));
    buf_put_v8(&b, read_v8(&r, UINT8_MAX));
    buf_put_v16(&b, read_v16(&r, UINT16_MAX));
    if (!r.failed)
        check_same(&b, in.data, in.len - r.left);
    buf_clear(&b);
}

static void check_features(struct span in)
{
    uint8_t out[DCHAN_FEATURES_MAX];
    const struct dchan_features f = dchan_features_read(in);
    const size_t n = dchan_features_write(out, &f);
    const struct dchan_features again = dchan_features_read(span_of(out, n));
    if (n > sizeof out || (n && out[0] == 0) || again.offered != f.offered ||
        again.required != f.required || again.unknown_required || (f.required & ~f.offered))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span in = span_of(data, size);
    check_stream(in);
    check_values(in);
    check_features(in);
    return 0;
}

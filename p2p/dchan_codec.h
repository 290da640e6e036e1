/*
 * The form of everything inside a direct channel (spec channels 0, BOLT 1): big-endian integers,
 * bigsize, byte strings with a length of one or two bytes, TLV streams, feature bits. Readers take
 * exactly one encoding. Pure functions, any thread.
 */
#ifndef P2P_DCHAN_CODEC_H
#define P2P_DCHAN_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/reader.h"

/* A longer form than needed is a failure. */
uint64_t read_bigsize(struct reader *r);
void buf_put_bigsize(struct buf *b, uint64_t v);

/* Length of one or two bytes and borrowed bytes, at most max of them. */
struct span read_v8(struct reader *r, size_t max);
struct span read_v16(struct reader *r, size_t max);
void buf_put_v8(struct buf *b, struct span s); /* at most 255 bytes */
void buf_put_v16(struct buf *b, struct span s);

/* --- TLV streams --- */

struct tlv {
    uint64_t type;
    struct span value;
};

/* r.failed tells of an end that was none. */
struct tlv_reader {
    struct reader r;
    uint64_t least; /* what the next type must reach */
    bool ended;     /* no type is left above the last */
};

void tlv_reader_init(struct tlv_reader *t, struct span stream);
/* False at the end and for a stream that breaks off or whose types do not rise. */
bool tlv_next(struct tlv_reader *t, struct tlv *out);
/* A type that the caller does not know: even ones are a failure. */
static inline void tlv_skip(struct tlv_reader *t, const struct tlv *unknown)
{
    if (unknown->type % 2 == 0)
        t->r.failed = true;
}
/* Fields of fixed size: false when the value has another. */
bool tlv_copy(const struct tlv *t, void *out, size_t size);
bool tlv_u32(const struct tlv *t, uint32_t *out);
bool tlv_u64(const struct tlv *t, uint64_t *out);

void buf_put_tlv(struct buf *b, uint64_t type, struct span value);
void buf_put_tlv_u32(struct buf *b, uint64_t type, uint32_t v);
void buf_put_tlv_u64(struct buf *b, uint64_t type, uint64_t v);

/* --- features (4.3): bit 2i says required, bit 2i + 1 optional --- */

enum dchan_feature {
    DCHAN_STREAMS, DCHAN_MESSAGES, DCHAN_FILES, DCHAN_PAYMENTS, DCHAN_DHT, DCHAN_DGRAM, DCHAN_RELAY,
    DCHAN_MULTI_SOURCE, DCHAN_DH_REKEY,
    DCHAN_FEATURE_COUNT,
    DCHAN_FEATURE_NONE = DCHAN_FEATURE_COUNT
};

#define DCHAN_FEATURES_MAX 32 /* bytes */

struct dchan_features {
    uint32_t offered;      /* bit i: feature i, required or not */
    uint32_t required;
    bool unknown_required; /* some feature that we do not know: error 7 */
};

static inline bool dchan_offers(const struct dchan_features *f, enum dchan_feature feature)
{
    return feature == DCHAN_FEATURE_NONE || (f->offered >> feature & 1);
}
/* The last byte holds bit 0; any length is read, leading zeros too. */
struct dchan_features dchan_features_read(struct span bits);
/* The shortest form; returns its length. unknown_required has none. */
size_t dchan_features_write(uint8_t out[DCHAN_FEATURES_MAX], const struct dchan_features *f);

#endif

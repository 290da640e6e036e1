/*
 * What writes of a direct channel look like from outside (spec channels 3): how long a `pad`
 * message must be so that the bytes before and with it come to a multiple of a size class, and what
 * a constant rate is. This header alone knows the sizes. Pure functions.
 */
#ifndef P2P_DCHAN_PAD_H
#define P2P_DCHAN_PAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    DCHAN_PAD_CLASS = 256,
    DCHAN_PAD_UNIT_MAX = 4096, /* largest unit that may be filled */
    DCHAN_PAD_OVER = 35,       /* what the smallest packet is longer than a gap of one byte */
    DCHAN_RATE_MS_MIN = 10,
    DCHAN_RATE_MS_MAX = 1000,
};

/*
 * Bytes of the fields of the pad that fills a gap of 1 to unit bytes, or one of a unit more where
 * that is smaller than the smallest packet; unit is DCHAN_PAD_CLASS to DCHAN_PAD_UNIT_MAX.
 */
size_t dchan_pad_size(size_t gap, size_t unit);
/* The same of the pad that fills a gap up to DCHAN_PAD_UNIT_MAX, or of the smallest one where the
 * gap is less than that: then at most DCHAN_PAD_OVER bytes are too many. */
size_t dchan_pad_size_or_smallest(size_t gap);
/* What such fields hold: zeros, valid for ever. */
struct span dchan_pad_fields(size_t n);

/* A write of so many bytes each so many milliseconds. bytes 0: none. */
struct dchan_rate {
    uint16_t bytes, interval_ms;
};
/* False: bytes are no multiple of the class up to DCHAN_PAD_UNIT_MAX, or the interval is outside
 * of its limits. */
bool dchan_rate_make(struct dchan_rate *out, unsigned bytes, unsigned interval_ms);
/* One that is enough for each of two: the larger writes, the shorter interval. */
struct dchan_rate dchan_rate_of_both(struct dchan_rate a, struct dchan_rate b);

#endif

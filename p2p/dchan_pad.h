/*
 * What writes of a direct channel look like from outside (spec channels 3): how long a `pad`
 * message must be so that the bytes before and with it come to a multiple of a size class. This
 * header alone knows the class. Pure functions.
 */
#ifndef P2P_DCHAN_PAD_H
#define P2P_DCHAN_PAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    DCHAN_PAD_CLASS = 256,
    DCHAN_PAD_UNIT_MAX = 4096, /* largest unit that may be filled */
};

/*
 * Bytes of the fields of the pad that is needed behind `at` bytes to reach a multiple of unit, from
 * DCHAN_PAD_CLASS to DCHAN_PAD_UNIT_MAX. False: at is one already. A gap that is smaller than the
 * smallest packet is filled up to the multiple after the next.
 */
bool dchan_pad_needed(uint64_t at, size_t unit, size_t *fields);
/* What such fields hold: zeros, valid for ever. */
struct span dchan_pad_fields(size_t n);

#endif

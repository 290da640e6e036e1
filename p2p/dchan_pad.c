#include "p2p/dchan_pad.h"

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/dchan_rec.h"

#define SMALLEST (DCHAN_MSG_MIN + DCHAN_PACKET_EXTRA)

_Static_assert(SMALLEST < DCHAN_PAD_CLASS, "the multiple after the next always has room");
_Static_assert(DCHAN_PAD_OVER == SMALLEST - 1, "of a gap of one byte");

static const uint8_t zeros[DCHAN_PAD_UNIT_MAX + SMALLEST];

size_t dchan_pad_size(size_t gap, size_t unit)
{
    BUG_ON(unit < DCHAN_PAD_CLASS || unit > DCHAN_PAD_UNIT_MAX || gap < 1 || gap > unit);
    return (gap < SMALLEST ? gap + unit : gap) - SMALLEST;
}

size_t dchan_pad_size_or_smallest(size_t gap)
{
    BUG_ON(gap < 1 || gap > DCHAN_PAD_UNIT_MAX);
    return gap < SMALLEST ? 0 : gap - SMALLEST;
}

bool dchan_rate_make(struct dchan_rate *out, unsigned bytes, unsigned interval_ms)
{
    *out = (struct dchan_rate){ (uint16_t)bytes, (uint16_t)interval_ms };
    return bytes && bytes <= DCHAN_PAD_UNIT_MAX && bytes % DCHAN_PAD_CLASS == 0 &&
           interval_ms >= DCHAN_RATE_MS_MIN && interval_ms <= DCHAN_RATE_MS_MAX;
}

struct dchan_rate dchan_rate_of_both(struct dchan_rate a, struct dchan_rate b)
{
    if (!a.bytes || !b.bytes)
        return a.bytes ? a : b;
    return (struct dchan_rate){ MAX_OF(a.bytes, b.bytes), MIN_OF(a.interval_ms, b.interval_ms) };
}

struct span dchan_pad_fields(size_t n)
{
    BUG_ON(n > sizeof zeros);
    return span_of(zeros, n);
}

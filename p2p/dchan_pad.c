#include "p2p/dchan_pad.h"

#include "base/mem.h"
#include "p2p/dchan_rec.h"

#define SMALLEST (DCHAN_MSG_MIN + DCHAN_PACKET_EXTRA)

_Static_assert(SMALLEST < DCHAN_PAD_CLASS, "the multiple after the next always has room");

static const uint8_t zeros[DCHAN_PAD_UNIT_MAX + SMALLEST];

bool dchan_pad_needed(uint64_t at, size_t unit, size_t *fields)
{
    BUG_ON(unit < DCHAN_PAD_CLASS || unit > DCHAN_PAD_UNIT_MAX);
    const size_t over = (size_t)(at % unit);
    if (over == 0)
        return false;
    const size_t gap = unit - over;
    *fields = (gap < SMALLEST ? gap + unit : gap) - SMALLEST;
    return true;
}

struct span dchan_pad_fields(size_t n)
{
    BUG_ON(n > sizeof zeros);
    return span_of(zeros, n);
}

#include "p2p/dchan_duplicate.h"

#include <string.h>

static bool ours_is_smaller(const uint8_t *our_key, const uint8_t *their_key)
{
    return memcmp(our_key, their_key, IDENTITY_KEY_SIZE) < 0;
}

enum dchan_settled dchan_duplicate_settle(const struct dchan_two *two)
{
    if (two->renews)
        return DCHAN_SETTLED_RENEWAL;
    if (two->live == DCHAN_LIVE_ASKED)
        return DCHAN_SETTLED_NOT_YET;
    if (two->live == DCHAN_LIVE_SILENT)
        return DCHAN_SETTLED_FRESH;
    if (two->live_role == two->fresh_role)
        return DCHAN_SETTLED_LIVE;
    /* both dialled: that of the smaller key stays */
    const bool we_should_dial = ours_is_smaller(two->our_key, two->their_key);
    return (two->live_role == DCHAN_INITIATOR) == we_should_dial ? DCHAN_SETTLED_LIVE
                                                                 : DCHAN_SETTLED_FRESH;
}

bool dchan_renewal_due(const struct dchan_renewal *when, const uint8_t *our_key,
                       const uint8_t *their_key, uint64_t age_ms, uint64_t bytes,
                       uint64_t over_bytes_ms)
{
    const uint64_t more = ours_is_smaller(our_key, their_key) ? 0 : DCHAN_RENEW_OTHER_MS;
    return age_ms >= when->age_ms + more || (bytes >= when->bytes && over_bytes_ms >= more);
}

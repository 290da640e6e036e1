#include "chain/policy.h"

#include "base/intmath.h"

int64_t fee_of_rate(int64_t per_kb, uint64_t bytes)
{
    const __int128 fee = (__int128)per_kb * (__int128)bytes / 1000;
    if (fee > INT64_MAX)
        return INT64_MAX;
    return fee == 0 && per_kb > 0 ? 1 : (int64_t)fee;
}

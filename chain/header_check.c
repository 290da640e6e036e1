#include "chain/header_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "chain/header_index.h"
#include "chain/pow.h"

bool header_check_pow(const struct pow_bits *bits, const struct block_hash *hash, struct verdict *v)
{
    return pow_bits_met(bits, hash) || verdict_set(v, REJECT_INVALID, 50, "high-hash");
}

/* Versions that the soft forks of old made obsolete, as signed (spec consensus 2.2 item 4). */
static bool version_ok(const struct chain_params *p, int32_t height, int32_t version)
{
    return !(version < 2 && height >= p->bip34_height) &&
           !(version < 3 && height >= p->heights.bip66) &&
           !(version < 4 && height >= p->heights.bip65);
}

bool header_check_context(const struct chain_params *p, const struct header_node *prev,
                          const struct block_header *h, int64_t now, struct verdict *v)
{
    if (h->bits != pow_required_bits(p, prev, h->time))
        return verdict_set(v, REJECT_INVALID, 100, "bad-diffbits");
    /* Later than all before is later than their median, which then need not be found. */
    if (h->time <= prev->max_time && h->time <= header_median_time(prev))
        return verdict_set(v, REJECT_INVALID, 0, "time-too-old");
    if ((int64_t)h->time > now + HEADER_MAX_FUTURE_S) {
        verdict_set(v, REJECT_INVALID, 0, "time-too-new");
        v->temporary = true;
        return false;
    }
    if (!version_ok(p, prev->height + 1, h->version)) {
        char reason[32];
        snprintf(reason, sizeof(reason), "bad-version(0x%08" PRIx32 ")", (uint32_t)h->version);
        return verdict_set(v, REJECT_OBSOLETE, 0, reason);
    }
    return true;
}

bool header_check_checkpoints(const struct chain_params *p, int32_t height,
                              const struct block_hash *hash, int32_t highest_passed,
                              struct verdict *v)
{
    if (p->n_checkpoints == 0 || height > p->checkpoints[p->n_checkpoints - 1].height)
        return true;
    for (size_t i = 0; i < p->n_checkpoints; i++)
        if (p->checkpoints[i].height == height && !block_hash_equal(&p->checkpoints[i].hash, hash))
            return verdict_set(v, REJECT_CHECKPOINT, 100, "checkpoint mismatch");
    if (height < highest_passed)
        return verdict_set(v, REJECT_CHECKPOINT, 100, "bad-fork-prior-to-checkpoint");
    return true;
}

/*
 * Limits of the mempool (spec consensus 5.1, 5.3): expiry, memory, and the minimum fee rate that
 * rises when something had to go.
 *
 * Only entries without children are thrown out, so nothing well paid goes with a cheap ancestor.
 * The lowest rank goes first: secondary before primary, then the lower fee rate (that of the group
 * for its members), then the younger. The order depends on what is in the pool alone, so nodes with
 * the same history keep the same transactions.
 *
 * The minimum falls by half in 12 hours, counted from the block that let it begin to fall, in whole
 * numbers: the value is worked out from the last fixed point and the time since; readers change
 * nothing.
 */
#include "chain/mempool_internal.h"

#include "base/intmath.h"

#define HALF_LIFE_S (12 * 3600)
#define FLOOR_STEP_PER_KB 1000 /* above what was thrown out; the reference's increment */
#define FLOOR_MAX_PER_KB (INT64_C(1) << 43)

bool pool_worse(const void *a, const void *b)
{
    const struct pool_entry *x = (const struct pool_entry *)a;
    const struct pool_entry *y = (const struct pool_entry *)b;
    if (x->pub.primary != y->pub.primary)
        return !x->pub.primary;
    if (x->rate != y->rate)
        return x->rate < y->rate;
    return x->pub.sequence > y->pub.sequence;
}

/* --- minimum fee rate --- */

/* value * 2^-(seconds / half_life) */
static uint64_t decay(uint64_t value, int64_t seconds, int64_t half_life)
{
    /* 2^-(1/2), 2^-(1/4), ... in units of 2^-32 */
    static const uint32_t root[16] = {
        3037000500, 3611622603, 3938502376, 4112874773, 4202935003, 4248701965,
        4271771996, 4283353945, 4289156690, 4292061010, 4293513907, 4294240540,
        4294603903, 4294785595, 4294876445, 4294921870,
    };
    if (seconds / half_life >= 64)
        return 0;
    value >>= seconds / half_life;
    const uint64_t part = ((uint64_t)(seconds % half_life) << 16) / (uint64_t)half_life;
    for (unsigned i = 0; i < COUNT_OF(root); i++)
        if (part >> (15 - i) & 1)
            value = (uint64_t)((unsigned __int128)value * root[i] >> 32);
    return value;
}

static uint64_t floor_at(const struct mempool *mp, int64_t now)
{
    int64_t half_life = HALF_LIFE_S;
    if (!mp->floor_falls || now <= mp->floor_time)
        return mp->floor;
    if (mp->memory < mp->o.max_bytes / 4)
        half_life /= 4;
    else if (mp->memory < mp->o.max_bytes / 2)
        half_life /= 2;
    return decay(mp->floor, now - mp->floor_time, half_life);
}

int64_t pool_floor_now(const struct mempool *mp, int64_t now)
{
    return (int64_t)(floor_at(mp, now) >> POOL_FLOOR_SHIFT);
}

static void fix_floor(struct mempool *mp, int64_t now)
{
    mp->floor = floor_at(mp, now);
    mp->floor_time = now;
}

void mempool_note_block(struct mempool *mp, int64_t now)
{
    pool_begin(mp);
    pool_settle(mp, POOL_VISITS_ALL);
    fix_floor(mp, now);
    mp->floor_falls = true;
    pool_end(mp);
}

/* What was thrown out last, and what would have been next, must not come back for the same price.
 * While secondary entries are left the primary ones need not pay more than they must anyway. */
static void raise_floor(struct mempool *mp, int64_t thrown_rate, int64_t now)
{
    const struct pool_entry *next = (const struct pool_entry *)heap_first(&mp->worst);
    int64_t rate = next ? MAX_OF(thrown_rate, next->rate) : thrown_rate;
    rate = MIN_OF(MAX_OF(rate, 0), FLOOR_MAX_PER_KB - FLOOR_STEP_PER_KB) + FLOOR_STEP_PER_KB;
    if (next && !next->pub.primary)
        rate = MIN_OF(rate, mp->o.mining_fee_per_kb);
    fix_floor(mp, now);
    if (rate <= pool_floor_now(mp, now))
        return;
    mp->floor = (uint64_t)rate << POOL_FLOOR_SHIFT;
    mp->floor_falls = false;
}

/* --- what goes --- */

/* The next to be thrown out; NULL when the pool is within its limits. */
static struct pool_entry *too_much(const struct mempool *mp)
{
    struct pool_entry *worst = (struct pool_entry *)heap_first(&mp->worst);
    if (!worst || mp->memory > mp->o.max_bytes)
        return worst;
    if (!worst->pub.primary && mp->secondary_memory > mp->o.max_secondary_bytes)
        return worst;
    return NULL;
}

void mempool_trim(struct mempool *mp, int64_t now, struct mempool_removals *out)
{
    struct pool_entry *e;
    int64_t thrown_rate = INT64_MIN;
    pool_begin(mp);
    pool_settle(mp, mp->settle_all ? POOL_VISITS_ALL : 0);
    while ((e = too_much(mp))) {
        thrown_rate = MAX_OF(thrown_rate, e->rate);
        pool_remove_tree(mp, e, MEMPOOL_SIZE_LIMIT, NULL, out);
        pool_settle(mp, POOL_VISITS_ALL);
    }
    if (thrown_rate != INT64_MIN)
        raise_floor(mp, thrown_rate, now);
    pool_end(mp);
}

void mempool_expire(struct mempool *mp, int64_t now, struct mempool_removals *out)
{
    struct pool_entry *e;
    pool_begin(mp);
    while ((e = (struct pool_entry *)heap_first(&mp->oldest)) &&
           e->pub.time < now - mp->o.expiry_s)
        pool_remove_tree(mp, e, MEMPOOL_EXPIRED, NULL, out);
    pool_settle(mp, POOL_VISITS_ALL);
    pool_end(mp);
}

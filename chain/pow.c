#include "chain/pow.h"

#include "base/intmath.h"
#include "chain/header_index.h"

#define TARGET_SPACING 600
#define TARGET_TIMESPAN (14 * 24 * 3600)
#define RETARGET_INTERVAL 2016
#define EDA_GAP (12 * 3600)
#define DAA_WINDOW 144

bool pow_target(const struct chain_params *p, uint32_t bits, struct u256 *target)
{
    bool negative, overflow;
    *target = u256_from_compact(bits, &negative, &overflow);
    return !negative && !overflow && !u256_is_zero(target) && u256_cmp(target, &p->pow_limit) <= 0;
}

bool pow_bits_met(const struct pow_bits *b, const struct block_hash *hash)
{
    const struct u256 value = u256_from_le(hash->b);
    return b->valid && u256_cmp(&value, &b->target) <= 0;
}

void pow_bits_init(struct pow_bits *b, const struct chain_params *p, uint32_t bits)
{
    b->bits = bits;
    b->valid = pow_target(p, bits, &b->target);
    b->work = pow_work_of_bits(bits);
}

bool pow_hash_ok(const struct chain_params *p, const struct block_hash *hash, uint32_t bits)
{
    struct pow_bits b = { .bits = bits };
    b.valid = pow_target(p, bits, &b.target);
    return pow_bits_met(&b, hash);
}

struct u256 pow_work_of_bits(uint32_t bits)
{
    bool negative, overflow;
    const struct u256 target = u256_from_compact(bits, &negative, &overflow);
    if (negative || overflow || u256_is_zero(&target))
        return u256_from_u64(0);
    const struct u256 one = u256_from_u64(1);
    const struct u256 rest = u256_not(&target);
    const struct u256 divisor = u256_add(&target, &one);
    const struct u256 quotient = u256_div(&rest, &divisor);
    return u256_add(&quotient, &one);
}

static uint32_t bits_within_limit(const struct chain_params *p, const struct u256 *target)
{
    return u256_cmp(target, &p->pow_limit) > 0 ? p->pow_limit_bits : u256_to_compact(target);
}

static struct u256 target_of(const struct header_node *node)
{
    bool negative, overflow;
    return u256_from_compact(node->bits, &negative, &overflow);
}

/* Legacy rule on the 2016 grid: one interval short, in wrapping 256-bit arithmetic (spec 2.3). */
static uint32_t retarget(const struct chain_params *p, const struct header_node *prev)
{
    const struct header_node *first =
        header_ancestor((struct header_node *)prev, prev->height + 1 - RETARGET_INTERVAL);
    int64_t span = (int64_t)prev->time - (int64_t)first->time;
    span = MAX_OF(span, TARGET_TIMESPAN / 4);
    span = MIN_OF(span, TARGET_TIMESPAN * 4);
    const struct u256 old = target_of(prev);
    const struct u256 scaled = u256_mul_u64(&old, (uint64_t)span);
    const struct u256 timespan = u256_from_u64(TARGET_TIMESPAN);
    const struct u256 target = u256_div(&scaled, &timespan);
    return bits_within_limit(p, &target);
}

/* 20-minute rule before the DAA: an on-time block takes the last bits that were not the limit. */
static uint32_t last_real_bits(const struct chain_params *p, const struct header_node *node)
{
    while (node->prev && node->height % RETARGET_INTERVAL != 0 && node->bits == p->pow_limit_bits)
        node = node->prev;
    return node->bits;
}

/* A fifth easier when the last six blocks took twelve hours or more. */
static uint32_t emergency_adjust(const struct chain_params *p, const struct header_node *prev)
{
    const struct header_node *before =
        header_ancestor((struct header_node *)prev, prev->height - 6);
    if (!before)
        return prev->bits;
    const int64_t gap = (int64_t)header_median_time(prev) - (int64_t)header_median_time(before);
    if (gap < EDA_GAP)
        return prev->bits;
    const struct u256 old = target_of(prev);
    const struct u256 quarter = u256_shr(&old, 2);
    const struct u256 target = u256_add(&old, &quarter);
    return bits_within_limit(p, &target);
}

static uint32_t legacy_bits(const struct chain_params *p, const struct header_node *prev,
                            uint32_t time)
{
    if ((prev->height + 1) % RETARGET_INTERVAL == 0)
        return retarget(p, prev);
    if (p->allow_min_difficulty) {
        if ((int64_t)time > (int64_t)prev->time + 2 * TARGET_SPACING)
            return p->pow_limit_bits;
        return last_real_bits(p, prev);
    }
    if (prev->bits == p->pow_limit_bits)
        return prev->bits;
    return emergency_adjust(p, prev);
}

/* Median of three by time; equal times keep the order this exchange sequence gives (spec 2.3). */
static const struct header_node *suitable_block(const struct header_node *node)
{
    const struct header_node *b[3] = { node->prev->prev, node->prev, node };
    static const uint8_t exchange[3][2] = { { 0, 2 }, { 0, 1 }, { 1, 2 } };
    for (size_t i = 0; i < 3; i++) {
        const struct header_node **low = &b[exchange[i][0]], **high = &b[exchange[i][1]];
        if ((*low)->time > (*high)->time) {
            const struct header_node *t = *low;
            *low = *high;
            *high = t;
        }
    }
    return b[1];
}

static uint32_t daa_bits(const struct chain_params *p, const struct header_node *prev,
                         uint32_t time)
{
    if (p->allow_min_difficulty && (int64_t)time > (int64_t)prev->time + 2 * TARGET_SPACING)
        return p->pow_limit_bits;
    const struct header_node *start =
        header_ancestor((struct header_node *)prev, prev->height - DAA_WINDOW);
    if (!start || start->height < 2)
        return p->pow_limit_bits; /* too short for the window; no real network reaches this */
    const struct header_node *last = suitable_block(prev), *first = suitable_block(start);
    int64_t span = (int64_t)last->time - (int64_t)first->time;
    span = MAX_OF(span, DAA_WINDOW / 2 * TARGET_SPACING);
    span = MIN_OF(span, DAA_WINDOW * 2 * TARGET_SPACING);

    const struct u256 done = u256_sub(&last->work, &first->work);
    const struct u256 scaled = u256_mul_u64(&done, TARGET_SPACING);
    const struct u256 seconds = u256_from_u64((uint64_t)span);
    const struct u256 work = u256_div(&scaled, &seconds);
    const struct u256 zero = u256_from_u64(0);
    const struct u256 negated = u256_sub(&zero, &work); /* 2^256 - work */
    const struct u256 target = u256_div(&negated, &work);
    return bits_within_limit(p, &target);
}

uint32_t pow_required_bits(const struct chain_params *p, const struct header_node *prev,
                           uint32_t time)
{
    if (!prev)
        return p->pow_limit_bits;
    if (p->no_retargeting)
        return prev->bits;
    return prev->height >= p->heights.daa ? daa_bits(p, prev, time) : legacy_bits(p, prev, time);
}

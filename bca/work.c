#include "bca/work.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/intmath.h"

#define SEC_STEP_BITS 16
#define BITS_OFFSET 72 /* of nBits in a header */

static const struct bca_rules rules_of[BCA_NET_COUNT] = {
    [BCA_NET_MAIN] = { "main", 32, 2, 6,
                       { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX >> 32 } } },
    [BCA_NET_TEST] = { "test", 32, 0, 6,
                       { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX >> 32 } } },
    [BCA_NET_STN] = { "stn", 32, 0, 6,
                      { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX >> 32 } } },
    [BCA_NET_REGTEST] = { "regtest", 0, 0, 1,
                          { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX >> 1 } } },
};

const struct bca_rules *bca_rules_get(enum bca_network network)
{
    return &rules_of[network];
}

void bca_work_read(const uint8_t header[BLOCK_HEADER_SIZE], struct bca_work *out)
{
    sha256d(out->hash.b, header, BLOCK_HEADER_SIZE);
    const struct u256 value = u256_from_le(out->hash.b);
    out->hash_zero_bits = 256 - u256_bits(&value);
    bool negative, overflow;
    out->target = u256_from_compact(le32_get(header + BITS_OFFSET), &negative, &overflow);
    out->target_valid = !negative && !overflow && !u256_is_zero(&out->target);
    out->target_zero_bits = out->target_valid ? 256 - u256_bits(&out->target) : 0;
}

bool bca_work_meets_target(const struct bca_work *w, const struct bca_rules *rules)
{
    const struct u256 value = u256_from_le(w->hash.b);
    return w->target_valid && u256_cmp(&w->target, &rules->pow_limit) <= 0 &&
           u256_cmp(&value, &w->target) <= 0;
}

int bca_sec_of_bits(const struct bca_rules *rules, unsigned zero_bits)
{
    if (zero_bits < rules->base_bits)
        return -1;
    return (int)MIN_OF((zero_bits - rules->base_bits) / SEC_STEP_BITS, (unsigned)BCA_SEC_MAX);
}

int bca_sec_default(const struct bca_rules *rules, const struct bca_work *w)
{
    return w->target_valid ? bca_sec_of_bits(rules, w->target_zero_bits) : -1;
}

unsigned bca_required_bits(const struct bca_rules *rules, unsigned sec)
{
    return rules->base_bits + SEC_STEP_BITS * sec;
}

/*
 * 2^59 trials of Hash1 find an address; a header of 2^required_bits double hashes allows 2^34.6 of
 * them (28 levels, 5 levels, 3 collision counts), so headers cost 2^(59 - 34.6 + 1) times that.
 */
unsigned bca_security_bits(const struct bca_rules *rules, unsigned sec)
{
    return MAX_OF(59u, 25 + bca_required_bits(rules, sec));
}

#include "chain/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "script/sigops.h"
#include "script/template.h"

#define LOCK_TIME_THRESHOLD 500000000u /* below: a height, from here on: a time */
#define COINBASE_SCRIPT_MIN 2
#define COINBASE_SCRIPT_MAX 100
#define DUPLICATES_QUADRATIC_MAX 16

/* BIP68 fields of an input's sequence. */
#define SEQUENCE_LOCK_DISABLED (1u << 31)
#define SEQUENCE_LOCK_TIME (1u << 22)
#define SEQUENCE_LOCK_MASK 0xffffu
#define SEQUENCE_LOCK_SHIFT 9 /* 512-second steps */

void block_rules_init(struct block_rules *r, const struct chain_params *p,
                      const struct header_node *prev, uint32_t time)
{
    const int32_t height = prev ? prev->height + 1 : 0;
    *r = (struct block_rules){
        .params = p,
        .height = height,
        .genesis = height >= p->heights.genesis,
        .enforce_relative_lock = height >= p->heights.csv && height < p->heights.genesis,
        .flags = script_flags_for_block(&p->heights, height),
        .lock_time_cutoff = height >= p->heights.csv && prev ? header_median_time(prev) : time,
        .coinbase_maturity = COINBASE_MATURITY,
    };
    r->p2sh = r->flags & SCRIPT_P2SH;
}

/* --- transactions alone --- */

static int order_of_pointed(const void *a, const void *b)
{
    return outpoint_order(*(const struct outpoint *const *)a, *(const struct outpoint *const *)b);
}

static bool has_duplicates_pairwise(const struct tx *tx)
{
    for (size_t i = 1; i < tx->n_in; i++)
        for (size_t j = 0; j < i; j++)
            if (outpoint_equal(&tx->in[i].prevout, &tx->in[j].prevout))
                return true;
    return false;
}

bool tx_has_duplicate_inputs(const struct tx *tx)
{
    if (tx->n_in <= DUPLICATES_QUADRATIC_MAX)
        return has_duplicates_pairwise(tx);
    const struct outpoint **sorted = try_alloc(tx->n_in, sizeof(*sorted));
    if (!sorted)
        return false; /* connecting finds the second spend missing all the same */
    for (size_t i = 0; i < tx->n_in; i++)
        sorted[i] = &tx->in[i].prevout;
    qsort(sorted, tx->n_in, sizeof(*sorted), order_of_pointed);
    bool duplicate = false;
    for (size_t i = 1; i < tx->n_in && !duplicate; i++)
        duplicate = outpoint_equal(sorted[i - 1], sorted[i]);
    free(sorted);
    return duplicate;
}

static bool check_output_values(const struct tx *tx, struct verdict *v)
{
    int64_t sum = 0;
    for (size_t i = 0; i < tx->n_out; i++) {
        const int64_t value = tx->out[i].value;
        if (value < 0)
            return verdict_set(v, REJECT_INVALID, 100, "bad-txns-vout-negative");
        if (value > MAX_MONEY)
            return verdict_set(v, REJECT_INVALID, 100, "bad-txns-vout-toolarge");
        if (!add_i64(sum, value, &sum) || !money_range(sum))
            return verdict_set(v, REJECT_INVALID, 100, "bad-txns-txouttotal-toolarge");
    }
    return true;
}

/* What holds for coinbases and others alike, spec consensus 3.1. */
static bool check_common(const struct block_rules *r, const struct tx *tx, struct verdict *v)
{
    if (tx->n_in == 0)
        return verdict_set(v, REJECT_INVALID, 10, "bad-txns-vin-empty");
    if (tx->n_out == 0)
        return verdict_set(v, REJECT_INVALID, 10, "bad-txns-vout-empty");
    if (tx->raw.len > (r->genesis ? TX_SIZE_MAX_GENESIS : TX_SIZE_MAX_ORIGINAL))
        return verdict_set(v, REJECT_INVALID, 100, "bad-txns-oversize");
    if (!check_output_values(tx, v))
        return false;
    if (!r->genesis && sigops_count_tx(tx) > TX_SIGOPS_MAX)
        return verdict_set(v, REJECT_INVALID, 100, "bad-txn-sigops");
    return true;
}

bool check_coinbase(const struct block_rules *r, const struct tx *tx, struct verdict *v)
{
    if (!tx_is_coinbase(tx))
        return verdict_set(v, REJECT_INVALID, 100, "bad-cb-missing");
    if (!check_common(r, tx, v))
        return false;
    const size_t len = tx->in[0].script.len;
    if (len < COINBASE_SCRIPT_MIN || len > COINBASE_SCRIPT_MAX)
        return verdict_set(v, REJECT_INVALID, 100, "bad-cb-length");
    return true;
}

bool check_regular_tx(const struct block_rules *r, const struct tx *tx, struct verdict *v)
{
    if (tx_is_coinbase(tx))
        return verdict_set(v, REJECT_INVALID, 100, "bad-tx-coinbase");
    if (!check_common(r, tx, v))
        return false;
    for (size_t i = 0; r->genesis && i < tx->n_out; i++)
        if (script_is_p2sh(tx->out[i].script))
            return verdict_set(v, REJECT_INVALID, 100, "bad-txns-vout-p2sh");
    for (size_t i = 0; i < tx->n_in; i++)
        if (outpoint_is_null(&tx->in[i].prevout))
            return verdict_set(v, REJECT_INVALID, 10, "bad-txns-prevout-null");
    if (tx_has_duplicate_inputs(tx))
        return verdict_set(v, REJECT_INVALID, 100, "bad-txns-inputs-duplicate");
    return true;
}

bool tx_is_final(const struct tx *tx, int32_t height, int64_t time_cutoff)
{
    if (tx->lock_time == 0)
        return true;
    const int64_t cutoff = tx->lock_time < LOCK_TIME_THRESHOLD ? height : time_cutoff;
    if ((int64_t)tx->lock_time < cutoff)
        return true;
    for (size_t i = 0; i < tx->n_in; i++)
        if (tx->in[i].sequence != TX_SEQUENCE_FINAL)
            return false;
    return true;
}

/* --- blocks alone --- */

size_t coinbase_height_push(uint8_t out[COINBASE_HEIGHT_PUSH_MAX], int32_t height)
{
    if (height == 0) {
        out[0] = 0x00; /* OP_0 */
        return 1;
    }
    if (height <= 16) {
        out[0] = (uint8_t)(0x50 + height); /* OP_1 .. OP_16 */
        return 1;
    }
    size_t n = 0;
    for (uint32_t rest = (uint32_t)height; rest > 0; rest >>= 8)
        out[1 + n++] = (uint8_t)rest;
    if (out[n] & 0x80)
        out[1 + n++] = 0; /* room for the sign */
    out[0] = (uint8_t)n;
    return 1 + n;
}

bool check_coinbase_height(const struct block_rules *r, const struct tx *coinbase,
                           struct verdict *v)
{
    if (r->height < r->params->bip34_height)
        return true;
    uint8_t push[COINBASE_HEIGHT_PUSH_MAX];
    const size_t len = coinbase_height_push(push, r->height);
    const struct span script = coinbase->in[0].script;
    return (script.len >= len && mem_equal_var(script.data, push, len)) ||
           verdict_set(v, REJECT_INVALID, 100, "bad-cb-height");
}

bool check_block_sigops(const struct block_rules *r, uint64_t sigops, uint64_t block_size,
                        struct verdict *v)
{
    if (r->genesis)
        return true;
    const uint64_t megabytes = block_size ? 1 + (block_size - 1) / 1000000 : 1;
    return sigops <= BLOCK_SIGOPS_PER_MB * megabytes ||
           verdict_set(v, REJECT_INVALID, 100, "bad-blk-sigops");
}

bool check_block_limits(uint64_t tx_count, uint64_t block_size, uint64_t max_block_size,
                        struct verdict *v)
{
    if (tx_count == 0)
        return verdict_set(v, REJECT_INVALID, 100, "bad-cb-missing");
    if (max_block_size && (tx_count > max_block_size / TX_MIN_SIZE || block_size > max_block_size))
        return verdict_set(v, REJECT_INVALID, 100, "bad-blk-length");
    return true;
}

/* --- with coins --- */

bool relative_locks_ok(const struct tx *tx, const int32_t *coin_heights,
                       const struct header_node *prev)
{
    if ((uint32_t)tx->version < 2)
        return true;
    int64_t min_height = -1, min_time = -1;
    for (size_t i = 0; i < tx->n_in; i++) {
        const uint32_t sequence = tx->in[i].sequence;
        const int64_t value = sequence & SEQUENCE_LOCK_MASK;
        if (sequence & SEQUENCE_LOCK_DISABLED)
            continue;
        if (sequence & SEQUENCE_LOCK_TIME) {
            const int32_t before = MAX_OF(coin_heights[i] - 1, 0);
            const int64_t base =
                header_median_time(header_ancestor((struct header_node *)prev, before));
            min_time = MAX_OF(min_time, base + (value << SEQUENCE_LOCK_SHIFT) - 1);
        } else {
            min_height = MAX_OF(min_height, coin_heights[i] + value - 1);
        }
    }
    return min_height < prev->height + 1 && min_time < (int64_t)header_median_time(prev);
}

bool check_input_coin(const struct block_rules *r, const struct coin *coin, int64_t *sum,
                      struct verdict *v)
{
    const int32_t age = r->height - coin->height;
    if (coin->coinbase && age < r->coinbase_maturity)
        return verdict_set(v, REJECT_INVALID, 0, "bad-txns-premature-spend-of-coinbase");
    if (coin->confiscated && age < CONFISCATION_MATURITY)
        return verdict_set(v, REJECT_INVALID, 0, "bad-txns-premature-spend-of-confiscation");
    if (!money_range(coin->value) || !add_i64(*sum, coin->value, sum) || !money_range(*sum))
        return verdict_set(v, REJECT_INVALID, 100, "bad-txns-inputvalues-outofrange");
    return true;
}

bool check_fee(int64_t value_in, const struct tx *tx, int64_t *fee, struct verdict *v)
{
    int64_t value_out = 0;
    for (size_t i = 0; i < tx->n_out; i++)
        if (!add_i64(value_out, tx->out[i].value, &value_out))
            return verdict_set(v, REJECT_INVALID, 100, "bad-txns-txouttotal-toolarge");
    if (value_in < value_out)
        return verdict_set(v, REJECT_INVALID, 100, "bad-txns-in-belowout");
    *fee = value_in - value_out;
    return money_range(*fee) || verdict_set(v, REJECT_INVALID, 100, "bad-txns-fee-outofrange");
}

/* Blocks that recreated a coinbase before BIP30 (spec consensus 3.3 item 2). */
static const struct {
    int32_t height;
    const char *hash;
} bip30_exempt[] = {
    { 91842, "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec" },
    { 91880, "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721" },
};

bool bip30_enforced(const struct chain_params *p, const struct header_node *node)
{
    for (size_t i = 0; i < COUNT_OF(bip30_exempt); i++) {
        struct block_hash hash;
        if (node->height == bip30_exempt[i].height && hash_from_hex(hash.b, bip30_exempt[i].hash) &&
            block_hash_equal(&hash, &node->hash))
            return false;
    }
    /* Heights in coinbases made new duplicates impossible on the chain that has this block. */
    if (hash_is_zero(p->bip34_hash.b) || !node->prev)
        return true;
    const struct header_node *at = header_ancestor(node->prev, p->bip34_height);
    return !at || !block_hash_equal(&at->hash, &p->bip34_hash);
}

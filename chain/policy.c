#include "chain/policy.h"

#include <string.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "script/sigops.h"
#include "script/template.h"

/* spec consensus 5.1; the first four before Genesis only */
#define ORIGINAL_TX_SIZE 99999
#define ORIGINAL_SCRIPT_SIG_SIZE 1650
#define ORIGINAL_TX_SIGOPS 4000
#define P2SH_SIGOPS 15
#define VERSION_MIN 1 /* before Chronicle */
#define VERSION_MAX 2
#define MULTISIG_KEYS 3
#define TX_SIGOPS_UNLIMITED UINT32_MAX
#define SPENT_SCRIPTS_MAX (UINT64_C(128) << 20)

struct tx_policy tx_policy_default(void)
{
    return (struct tx_policy){
        .mining_fee_per_kb = 500,
        .max_fee = COIN / 10,
        .max_tx_size = 10000000,
        .max_spent_scripts = SPENT_SCRIPTS_MAX,
        .accept_nonstandard_outputs = true,
        .data_carrier = true,
        .data_carrier_size = UINT32_MAX,
        .bare_multisig = true,
        .consolidation_factor = 20,
        .consolidation_max_script = 150,
        .consolidation_min_conf = 6,
        .scripts = script_policy_default(),
        .standard_time_ms = 3,
        .nonstandard_time_ms = 1000,
        .chain_time_ms = 50,
    };
}

int64_t fee_of_rate(int64_t per_kb, uint64_t bytes)
{
    const __int128 fee = (__int128)per_kb * (__int128)bytes / 1000;
    if (fee > INT64_MAX)
        return INT64_MAX;
    return fee == 0 && per_kb > 0 ? 1 : (int64_t)fee;
}

static enum script_era era_of(const struct block_rules *next)
{
    return script_era_of(&next->params->heights, next->height);
}

static bool nonstandard(struct verdict *v, const char *reason)
{
    return verdict_set(v, REJECT_NONSTANDARD, 0, reason);
}

/* --- standard transactions --- */

static uint64_t tx_size_limit(const struct tx_policy *p, enum script_era era)
{
    if (era == SCRIPT_ERA_ORIGINAL)
        return ORIGINAL_TX_SIZE;
    return p->max_tx_size ? p->max_tx_size : TX_SIZE_MAX_GENESIS;
}

static bool check_inputs(enum script_era era, const struct tx *tx, struct verdict *v)
{
    if (era == SCRIPT_ERA_CHRONICLE)
        return true;
    for (size_t i = 0; i < tx->n_in; i++) {
        if (era == SCRIPT_ERA_ORIGINAL && tx->in[i].script.len > ORIGINAL_SCRIPT_SIG_SIZE)
            return nonstandard(v, "scriptsig-size");
        if (!script_is_push_only(tx->in[i].script))
            return nonstandard(v, "scriptsig-not-pushonly");
    }
    return true;
}

static bool is_standard_output(const struct tx_policy *p, const struct script_match *m)
{
    switch (m->type) {
    case SCRIPT_TYPE_NONSTANDARD:
        return false;
    case SCRIPT_TYPE_MULTISIG:
        return m->n_keys <= MULTISIG_KEYS;
    case SCRIPT_TYPE_NULL_DATA:
        return p->data_carrier;
    case SCRIPT_TYPE_PUBKEY:
    case SCRIPT_TYPE_PUBKEYHASH:
    case SCRIPT_TYPE_SCRIPTHASH:
        break;
    }
    return true;
}

static bool is_dust(const struct tx_out *out, enum script_era era)
{
    return out->value < 1 && !script_is_unspendable(out->script, era);
}

/* Output by output; an unusual script is told only when nothing else is wrong. */
static bool check_outputs(const struct tx_policy *p, enum script_era era, const struct tx *tx,
                          bool *only_output_script, struct verdict *v)
{
    uint64_t data = 0;
    bool unusual = false;
    for (size_t i = 0; i < tx->n_out; i++) {
        struct script_match m;
        script_classify(tx->out[i].script, era, &m);
        if (!is_standard_output(p, &m))
            unusual = true;
        if (m.type == SCRIPT_TYPE_NULL_DATA)
            data += tx->out[i].script.len;
        else if (m.type == SCRIPT_TYPE_MULTISIG && !p->bare_multisig)
            return nonstandard(v, "bare-multisig");
        else if (is_dust(&tx->out[i], era))
            return nonstandard(v, "dust");
    }
    if (data > p->data_carrier_size)
        return nonstandard(v, "datacarrier-size-exceeded");
    *only_output_script = unusual;
    return unusual ? nonstandard(v, "scriptpubkey") : true;
}

bool policy_check_standard(const struct tx_policy *p, const struct block_rules *next,
                           const struct tx *tx, bool *only_output_script, struct verdict *v)
{
    const enum script_era era = era_of(next);
    *only_output_script = false;
    if (era != SCRIPT_ERA_CHRONICLE && (tx->version < VERSION_MIN || tx->version > VERSION_MAX))
        return nonstandard(v, "version");
    if (tx->raw.len > tx_size_limit(p, era))
        return nonstandard(v, "tx-size");
    return check_inputs(era, tx, v) && check_outputs(p, era, tx, only_output_script, v);
}

bool policy_standard_matters(const struct tx_policy *p, const struct block_rules *next,
                             bool only_output_script)
{
    if (!next->genesis)
        return !p->accept_nonstandard_txs;
    return !p->accept_nonstandard_outputs || !(p->accept_nonstandard_txs || only_output_script);
}

/* --- with the coins --- */

/* The redeem script is what a standard unlocking script pushes last. */
static bool is_standard_redeem(struct span script_sig, struct span script_pubkey)
{
    uint64_t sigops;
    return script_sig.len > 0 && script_is_push_only(script_sig) &&
           sigops_count_p2sh(script_sig, script_pubkey, SCRIPT_ERA_ORIGINAL, &sigops) &&
           sigops <= P2SH_SIGOPS;
}

bool policy_inputs_standard(const struct block_rules *next, const struct tx *tx,
                            const struct coin *coins)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        struct script_match m;
        script_classify(coins[i].script,
                        script_era_of(&next->params->heights, coins[i].height), &m);
        if (m.type == SCRIPT_TYPE_NONSTANDARD)
            return false;
        if (m.type == SCRIPT_TYPE_SCRIPTHASH &&
            !is_standard_redeem(tx->in[i].script, coins[i].script))
            return false;
    }
    return true;
}

/* From Genesis on: accurate, over all scripts of the transaction. */
static bool count_accurate(const struct tx *tx, enum script_era era, uint64_t *sum)
{
    uint64_t count;
    for (size_t i = 0; i < tx->n_in; i++) {
        if (!sigops_count_accurate(tx->in[i].script, era, &count))
            return false;
        *sum += count;
    }
    for (size_t i = 0; i < tx->n_out; i++) {
        if (!sigops_count_accurate(tx->out[i].script, era, &count))
            return false;
        *sum += count;
    }
    return true;
}

static bool count_redeem_scripts(const struct block_rules *next, const struct tx *tx,
                                 const struct coin *coins, uint64_t *sum)
{
    for (size_t i = 0; i < tx->n_in && next->p2sh; i++) {
        uint64_t count;
        if (!sigops_count_p2sh(tx->in[i].script, coins[i].script,
                               script_era_of(&next->params->heights, coins[i].height), &count))
            return false;
        *sum += count;
    }
    return true;
}

bool policy_count_sigops(const struct block_rules *next, const struct tx *tx,
                         const struct coin *coins, uint64_t *count)
{
    *count = 0;
    if (next->genesis && !count_accurate(tx, era_of(next), count))
        return false;
    if (!next->genesis)
        *count = sigops_count_tx(tx);
    return count_redeem_scripts(next, tx, coins, count);
}

bool policy_check_sigops(const struct tx_policy *p, const struct block_rules *next,
                         const struct tx *tx, const struct coin *coins, struct verdict *v)
{
    uint64_t count, limit = ORIGINAL_TX_SIGOPS;
    if (next->genesis)
        limit = p->max_sigops ? p->max_sigops : TX_SIGOPS_UNLIMITED;
    return (policy_count_sigops(next, tx, coins, &count) && count <= limit) ||
           nonstandard(v, "bad-txns-too-many-sigops");
}

/* --- free consolidations --- */

/* One output of no value that says "dust": the coins go to whoever mines it. */
static bool is_donation(const struct tx *tx)
{
    static const uint8_t script[] = { 0x00, 0x6a, 0x04, 'd', 'u', 's', 't' };
    return tx->n_out == 1 && tx->out[0].value == 0 && tx->out[0].script.len == sizeof(script) &&
           memcmp(tx->out[0].script.data, script, sizeof(script)) == 0;
}

static bool is_consolidation_input(const struct tx_policy *p, const struct block_rules *next,
                                   const struct tx_in *in, const struct coin *coin,
                                   int32_t min_conf)
{
    struct script_match m;
    if (min_conf > 0 && next->height - coin->height < min_conf)
        return false;
    if (in->script.len > p->consolidation_max_script)
        return false;
    if (p->consolidation_nonstandard)
        return true;
    script_classify(coin->script, script_era_of(&next->params->heights, coin->height), &m);
    return is_standard_output(p, &m);
}

bool policy_is_consolidation(const struct tx_policy *p, const struct block_rules *next,
                             const struct tx *tx, const struct coin *coins)
{
    if (p->consolidation_factor == 0)
        return false;
    /* A donation needs no factor and no age: it is worth what it gives. */
    const bool donation = is_donation(tx);
    const uint64_t factor = donation ? tx->n_in : p->consolidation_factor;
    const int32_t min_conf = donation ? 0 : p->consolidation_min_conf;
    uint64_t spent = 0, made = 0;
    if (tx->n_in / factor < tx->n_out)
        return false;
    for (size_t i = 0; i < tx->n_in; i++) {
        if (!is_consolidation_input(p, next, &tx->in[i], &coins[i], min_conf))
            return false;
        spent += coins[i].script.len;
    }
    for (size_t i = 0; i < tx->n_out; i++)
        made += tx->out[i].script.len;
    return spent / factor >= made;
}

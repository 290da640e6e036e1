/* From options to what the mempool holds and which transactions are accepted (spec rpc 6.2). */
#include "base/intmath.h"
#include "chain/check.h"
#include "node/settings.h"

#define MIB (UINT64_C(1) << 20)
#define HOUR_S 3600
#define TX_SIZE_POLICY_MIN 99999 /* the limit of before Genesis */

static uint32_t number(const struct config *c, const char *name)
{
    return (uint32_t)MIN_OF(config_int(c, name), (int64_t)UINT32_MAX);
}

static struct mempool_options mempool_options(const struct settings *s)
{
    const struct config *c = s->config;
    return (struct mempool_options){
        .max_bytes = s->mempool_bytes,
        .max_secondary_bytes = s->mempool_bytes / 100 * number(c, "mempoolmaxpercentcpfp"),
        .expiry_s = config_int(c, "mempoolexpiry") * HOUR_S,
        .mining_fee_per_kb = config_amount(c, "minminingtxfee"),
        .max_ancestors = number(c, "limitancestorcount"),
        .max_group_members = number(c, "limitcpfpgroupmemberscount"),
    };
}

static struct script_policy script_policy(const struct config *c)
{
    return (struct script_policy){
        .script_size = config_size(c, "maxscriptsizepolicy"),
        .ops = number(c, "maxopsperscriptpolicy"),
        .pubkeys = number(c, "maxpubkeyspermultisigpolicy"),
        .num_bytes = config_size(c, "maxscriptnumlengthpolicy"),
        .stack_memory = config_size(c, "maxstackmemoryusagepolicy"),
    };
}

/* By default everywhere but on the main network. */
static bool accepts_nonstandard(const struct settings *s)
{
    return config_is_set(s->config, "acceptnonstdtxn")
               ? config_bool(s->config, "acceptnonstdtxn")
               : s->params.network != NETWORK_MAIN;
}

static struct tx_policy policy(const struct settings *s)
{
    const struct config *c = s->config;
    return (struct tx_policy){
        .mining_fee_per_kb = config_amount(c, "minminingtxfee"),
        .max_fee = config_amount(c, "maxtxfee"),
        .max_tx_size = config_size(c, "maxtxsizepolicy"),
        .max_sigops = number(c, "maxtxsigopscountspolicy"),
        .max_spent_scripts = tx_policy_default().max_spent_scripts,
        .accept_nonstandard_txs = accepts_nonstandard(s),
        .accept_nonstandard_outputs = config_bool(c, "acceptnonstdoutputs"),
        .data_carrier = config_bool(c, "datacarrier"),
        .data_carrier_size = config_size(c, "datacarriersize"),
        .bare_multisig = config_bool(c, "permitbaremultisig"),
        .consolidation_factor = number(c, "minconsolidationfactor"),
        .consolidation_max_script =
            (uint32_t)MIN_OF(config_size(c, "maxconsolidationinputscriptsize"), UINT32_MAX),
        .consolidation_min_conf = (int32_t)config_int(c, "minconfconsolidationinput"),
        .consolidation_nonstandard = config_bool(c, "acceptnonstdconsolidationinput"),
        .scripts = script_policy(c),
        .standard_time_ms = config_int(c, "maxstdtxvalidationduration"),
        .nonstandard_time_ms = config_int(c, "maxnonstdtxvalidationduration"),
        .chain_time_ms = config_int(c, "maxtxchainvalidationbudget"),
    };
}

enum err settings_mempool(const struct settings *s, struct chain_options *o, struct error *e)
{
    const struct config *c = s->config;
    o->mempool = mempool_options(s);
    o->policy = policy(s);
    o->nonfinal_max_bytes = s->nonfinal_bytes;
    o->persist_mempool = config_bool(c, "persistmempool");
    const uint64_t tx_size = o->policy.max_tx_size;
    if (tx_size && (tx_size < TX_SIZE_POLICY_MIN || tx_size > TX_SIZE_MAX_GENESIS))
        return error_set(e, ERR_RANGE,
                         "-maxtxsizepolicy=%llu: must be 0 (as large as consensus allows) or from "
                         "%d to %llu",
                         (unsigned long long)tx_size, TX_SIZE_POLICY_MIN,
                         (unsigned long long)TX_SIZE_MAX_GENESIS);
    if (o->policy.standard_time_ms >= o->policy.nonstandard_time_ms)
        return error_set(e, ERR_RANGE,
                         "-maxstdtxvalidationduration=%lld: must be less than "
                         "-maxnonstdtxvalidationduration (%lld)",
                         (long long)o->policy.standard_time_ms,
                         (long long)o->policy.nonstandard_time_ms);
    return OK;
}

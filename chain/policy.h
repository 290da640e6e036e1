/*
 * Which transactions this node accepts and relays beyond what consensus asks (spec consensus 5.1).
 * Pure functions over the operator's settings, any thread. Functions that judge return true when
 * the transaction passes, else fill the verdict with the reference's reason; policy verdicts carry
 * no score.
 */
#ifndef CHAIN_POLICY_H
#define CHAIN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/tx.h"
#include "chain/check.h"
#include "chain/coin.h"
#include "chain/verdict.h"
#include "script/flags.h"
#include "script/verify.h"

struct tx_policy {
    int64_t mining_fee_per_kb;    /* minminingtxfee: primary pool from here on */
    int64_t max_fee;              /* maxtxfee, of submissions by RPC and wallet; satoshis */
    uint64_t max_tx_size;         /* maxtxsizepolicy after Genesis, 10 MB; 0: consensus */
    uint64_t max_sigops;          /* maxtxsigopscountspolicy after Genesis; 0: 2^32 - 1 */
    uint64_t max_spent_scripts;   /* bytes of the locking scripts that one spends together */
    bool accept_nonstandard_txs;  /* acceptnonstdtxn */
    bool accept_nonstandard_outputs; /* acceptnonstdoutputs */
    bool data_carrier;            /* datacarrier */
    uint64_t data_carrier_size;   /* datacarriersize, sum of the null-data scripts */
    bool bare_multisig;           /* permitbaremultisig */
    uint32_t consolidation_factor; /* minconsolidationfactor, 0: off */
    uint32_t consolidation_max_script; /* maxconsolidationinputscriptsize */
    int32_t consolidation_min_conf; /* minconfconsolidationinput */
    bool consolidation_nonstandard; /* acceptnonstdconsolidationinput */
    uint32_t skip_script_flags;   /* of the policy flags, not asked for (skipscriptflags) */
    struct script_policy scripts; /* maxscriptsizepolicy and the like */
    int64_t standard_time_ms;     /* maxstdtxvalidationduration, 3: CPU time in the first queue */
    int64_t nonstandard_time_ms;  /* maxnonstdtxvalidationduration, 1000 */
    int64_t chain_time_ms;        /* maxtxchainvalidationbudget, 50: carried along a chain */
};

struct tx_policy tx_policy_default(void);

/* floor(rate * bytes / 1000); 1 when that is 0 and the rate is not. */
int64_t fee_of_rate(int64_t per_kb, uint64_t bytes);

/*
 * Version, size, unlocking scripts, output scripts, dust, data carrier: the order and strings of
 * spec 5.1. only_output_script: the one objection is an unusual output script ("scriptpubkey").
 */
bool policy_check_standard(const struct tx_policy *p, const struct block_rules *next,
                           const struct tx *tx, bool *only_output_script, struct verdict *v);
/* Whether what policy_check_standard says counts on this network with these settings (5.1, from
 * Genesis on unusual outputs alone may pass). */
bool policy_standard_matters(const struct tx_policy *p, const struct block_rules *next,
                             bool only_output_script);

/* Every spent output is of a standard kind, and redeem scripts have at most 15 signature operations
 * and are pushed. coins[i] belongs to input i; its height is that of the next block when the output
 * is not confirmed, here and below. From Genesis on it matters like unusual outputs do (5.2). */
bool policy_inputs_standard(const struct block_rules *next, const struct tx *tx,
                            const struct coin *coins);
/* Signature operations, those of redeem scripts included: before Genesis as blocks count them, from
 * Genesis on accurately. False: not countable. */
bool policy_count_sigops(const struct block_rules *next, const struct tx *tx,
                         const struct coin *coins, uint64_t *count);
/* Signature operations against the limit: "bad-txns-too-many-sigops". */
bool policy_check_sigops(const struct tx_policy *p, const struct block_rules *next,
                         const struct tx *tx, const struct coin *coins, struct verdict *v);
/* Merges confirmed coins into few outputs, so that it may be free (5.1, "free consolidation"):
 * factor times more inputs than outputs, and the same for the bytes of their locking scripts. A
 * donation to the miner, whose one output is 00 6a "dust" of no value, needs neither. */
bool policy_is_consolidation(const struct tx_policy *p, const struct block_rules *next,
                             const struct tx *tx, const struct coin *coins);

#endif

/*
 * Does an input's unlocking script satisfy the locking script it spends? The one entry for chain,
 * mempool and RPC (spec consensus 4).
 *
 * script_verify is a pure function of its arguments but for the caches, which only save time. Any
 * thread; inputs of one transaction may run on several threads with the same sighash cache.
 */
#ifndef SCRIPT_VERIFY_H
#define SCRIPT_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/tx.h"
#include "script/error.h"
#include "script/flags.h"
#include "script/sighash.h"

struct sigcache;

/* Limits for outputs of Genesis and later (spec 4.4); those of before Genesis are fixed. */
struct script_limits {
    uint64_t script_size;
    uint64_t ops;
    uint64_t pubkeys;
    uint64_t num_bytes_genesis;
    uint64_t num_bytes_chronicle;
    uint64_t stack_memory; /* bytes, both stacks with 32 bytes an element */
};

/* Consensus limits; max_stack_memory is the operator's setting, 0: none. */
struct script_limits script_limits_consensus(uint64_t max_stack_memory);

/* Mempool limits. A 0 in any argument means the consensus value. */
struct script_policy {
    uint64_t script_size;  /* default 500,000 */
    uint64_t ops;          /* default 2^32 - 1 */
    uint64_t pubkeys;      /* default 2^32 - 1 */
    uint64_t num_bytes;    /* default 10,000 */
    uint64_t stack_memory; /* default 100,000,000 */
};
struct script_policy script_policy_default(void);
struct script_limits script_limits_policy(const struct script_policy *p);

struct script_input {
    const struct tx *tx;
    size_t index;               /* input whose script is run */
    struct span script_pubkey;  /* of the output it spends */
    int64_t amount;             /* of the same */
    uint32_t flags;             /* script_flags_for_coin(script_flags_for_block(...)) */
    const struct script_limits *limits;
    struct sighash_cache *sighash; /* of tx; NULL: nothing is shared with other inputs */
    struct sigcache *sigcache;     /* may be NULL */
    const struct cancel *cancel;   /* may be NULL; looked at inside long operations too */
};

/*
 * SCRIPT_OK or the first failure. SCRIPT_ERR_CANCELLED and SCRIPT_ERR_NOMEM are no verdict
 * (script_err_is_verdict).
 */
enum script_err script_verify(const struct script_input *in) __attribute__((warn_unused_result));

#endif

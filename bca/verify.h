/*
 * Verification (spec bca 8): named steps in a fixed order, the first failure is the result. Steps
 * up to min_sec need nothing but the bytes; `chain` and `revoked` ask the caller's views. A view
 * that cannot tell makes the result undetermined, never invalid. Any thread; ec_init must have been
 * called.
 */
#ifndef BCA_VERIFY_H
#define BCA_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"
#include "bca/address.h"
#include "bca/params.h"
#include "bca/registration.h"
#include "bca/work.h"

enum bca_step {
    BCA_STEP_DECODE,
    BCA_STEP_COLLISION_COUNT,
    BCA_STEP_SUBNET_PREFIX,
    BCA_STEP_PUBLIC_KEY,
    BCA_STEP_TRANSACTION,
    BCA_STEP_REGISTRATION,
    BCA_STEP_KEY_HASH,
    BCA_STEP_TX_PROOF,
    BCA_STEP_MODIFIER_PROOF,
    BCA_STEP_POW_TARGET,
    BCA_STEP_POW_SEC,
    BCA_STEP_HASH1,
    BCA_STEP_MIN_SEC,
    BCA_STEP_CHAIN,
    BCA_STEP_REVOKED,
    BCA_STEP_COUNT
};

enum bca_result { BCA_VALID, BCA_INVALID, BCA_UNDETERMINED };

/* "decode", "collision_count" ... as in the specification and the test vectors. */
const char *bca_step_name(enum bca_step step);
const char *bca_result_name(enum bca_result result);

enum bca_place {
    BCA_PLACE_ACTIVE,     /* on the active chain */
    BCA_PLACE_NOT_ACTIVE, /* on no active chain: stale, or unknown to a chain that is synced */
    BCA_PLACE_UNKNOWN     /* cannot tell yet */
};
enum bca_marker_state { BCA_MARKER_UNSPENT, BCA_MARKER_SPENT, BCA_MARKER_UNKNOWN };

/* Where a block is; *confirmations (1: the tip) is read for blocks of the active chain. */
struct bca_chain_view {
    enum bca_place (*find)(void *ctx, const uint8_t header[80], const struct block_hash *hash,
                           uint64_t *confirmations);
    void *ctx;
};

struct bca_spends_view {
    enum bca_marker_state (*look_up)(void *ctx, const struct outpoint *marker);
    void *ctx;
};

struct bca_policy {
    const struct bca_rules *rules;
    unsigned min_sec;
    uint64_t min_conf;                    /* with a chain view */
    const struct bca_chain_view *chain;   /* NULL: offline */
    const struct bca_spends_view *spends; /* NULL: revocation is not checked */
};

/* What is said of a field holds when the step that finds it was reached. */
struct bca_verdict {
    enum bca_result result;
    enum bca_step step;                /* where it ended; BCA_STEP_COUNT when valid */
    const uint8_t *address;            /* borrowed, as the parameters are */
    struct bca_params params;          /* after decode */
    enum bca_registration_found found; /* after transaction, as the next two */
    struct bca_registration registered;
    struct txid txid;
    struct bca_work work;   /* after modifier_proof */
    unsigned sec;           /* always */
    uint64_t confirmations; /* 0: not known */
};

void bca_verify(const uint8_t address[BCA_ADDRESS_SIZE], struct span params,
                const struct bca_policy *policy, struct bca_verdict *out);

#endif

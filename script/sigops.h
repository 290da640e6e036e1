/*
 * Counts of signature operations: consensus before Genesis, policy after (spec consensus 3.4).
 * Pure functions, any thread.
 */
#ifndef SCRIPT_SIGOPS_H
#define SCRIPT_SIGOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/tx.h"
#include "script/flags.h"

/* Inaccurate: every CHECKMULTISIG is 20; stops silently at the first malformed push. */
uint64_t sigops_count_script(struct span script);
/* The same summed over all scripts of a transaction, coinbase included. */
uint64_t sigops_count_tx(const struct tx *tx);

/*
 * Accurate: OP_n before CHECKMULTISIG counts n. False when an ENDIF has no IF, or (eras from
 * Genesis, a policy count) a key count is negative, too long or not minimal: the transaction then
 * fails with bad-txn-sigops.
 */
bool sigops_count_accurate(struct span script, enum script_era era, uint64_t *count)
    __attribute__((warn_unused_result));

/*
 * Operations hidden in a redeem script: 0 unless the coin is of before Genesis and pays to a script
 * hash; the last push of a push-only script_sig counted accurately. False as above. The caller
 * asks only where the P2SH flag holds, and never for a coinbase.
 */
bool sigops_count_p2sh(struct span script_sig, struct span script_pubkey, enum script_era coin_era,
                       uint64_t *count) __attribute__((warn_unused_result));

#endif

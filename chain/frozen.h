/*
 * Outputs an operator has frozen, and confiscation transactions (spec consensus 7.3). The lists
 * are empty unless the operator fills them; nothing in them comes from the chain.
 *
 * Chain thread only.
 */
#ifndef CHAIN_FROZEN_H
#define CHAIN_FROZEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"
#include "base/tx.h"
#include "chain/verdict.h"

struct frozen;

struct frozen *frozen_new(void);
void frozen_free(struct frozen *f); /* NULL is fine */

/* Blocks at heights in [start, stop) must not spend it; the mempool neither. */
void frozen_add_consensus(struct frozen *f, const struct outpoint *o, int32_t start, int32_t stop,
                          bool policy_expires);
/* The mempool alone must not spend it. */
void frozen_add_policy(struct frozen *f, const struct outpoint *o);
/* Only a confiscation transaction may spend it, at any height. */
void frozen_add_confiscation(struct frozen *f, const struct outpoint *o);
/* The transaction may confiscate in blocks from this height on. */
void frozen_whitelist(struct frozen *f, const struct txid *id, int32_t enforce_height);
void frozen_clear(struct frozen *f);
/* The list for a block that was held back long enough: nothing is frozen, orders stay allowed. */
struct frozen *frozen_released(const struct frozen *f);

bool frozen_in_block(const struct frozen *f, const struct outpoint *o, int32_t height);
bool frozen_in_mempool(const struct frozen *f, const struct outpoint *o, int32_t next_height);

/* The first output begins with 00 6a 04 "cftx": the rules below judge it, whatever it
 * meant to be. */
bool confiscation_is(const struct tx *tx);
/* Shape and white list: bad-ctx-invalid, bad-ctx-not-whitelisted. */
bool confiscation_check(const struct frozen *f, const struct tx *tx, int32_t height,
                        struct verdict *v);

#endif

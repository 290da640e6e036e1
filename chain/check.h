/*
 * Rules that need no coins: transactions alone (spec consensus 3.1), blocks alone (3.2), finality
 * and relative locks (3.5, 3.6), sigop limits (3.4). Pure functions, any thread.
 *
 * Functions return true when the rule holds, else fill the verdict.
 */
#ifndef CHAIN_CHECK_H
#define CHAIN_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/tx.h"
#include "chain/coin.h"
#include "chain/header_index.h"
#include "chain/params.h"
#include "chain/verdict.h"

#define TX_SIZE_MAX_ORIGINAL UINT64_C(1000000)    /* bytes, before Genesis */
#define TX_SIZE_MAX_GENESIS UINT64_C(1000000000)
#define TX_SIGOPS_MAX 20000u                      /* per transaction, before Genesis */
#define BLOCK_SIGOPS_PER_MB 20000u
#define COINBASE_MATURITY 100
#define CONFISCATION_MATURITY 1000

/* What the rules of a block at a height depend on; made once per block. */
struct block_rules {
    const struct chain_params *params;
    int32_t height;
    bool genesis;               /* rules after Genesis */
    bool enforce_relative_lock; /* BIP68 window, 3.6 */
    bool p2sh;                  /* P2SH flag: sigops of redeem scripts count */
    uint32_t flags;             /* script_flags_for_block */
    int64_t lock_time_cutoff;   /* for time locks: median time of prev, or own time (3.5) */
    int32_t coinbase_maturity;  /* 100; tests lower it */
};
/* prev: the block before; time: the block's own. */
void block_rules_init(struct block_rules *r, const struct chain_params *p,
                      const struct header_node *prev, uint32_t time);

/* 3.1, either kind. */
bool check_coinbase(const struct block_rules *r, const struct tx *tx, struct verdict *v);
bool check_regular_tx(const struct block_rules *r, const struct tx *tx, struct verdict *v);
/* Duplicate prevouts in one transaction; O(n log n) or hashed, safe for a million inputs. */
bool tx_has_duplicate_inputs(const struct tx *tx);

/* 3.5 */
bool tx_is_final(const struct tx *tx, int32_t height, int64_t time_cutoff);
/* The push of a height that a coinbase begins with (BIP34); returns its length. */
#define COINBASE_HEIGHT_PUSH_MAX 6
size_t coinbase_height_push(uint8_t out[COINBASE_HEIGHT_PUSH_MAX], int32_t height);
/* BIP34 prefix, 3.2 item 6; true when the rule is not in force at the height. */
bool check_coinbase_height(const struct block_rules *r, const struct tx *coinbase,
                           struct verdict *v);
/* 3.2 item 4: legacy sigops of the block so far against its size. */
bool check_block_sigops(const struct block_rules *r, uint64_t sigops, uint64_t block_size,
                        struct verdict *v);
/* 3.2 item 3: count of transactions and size against the configured limit (0: none). */
bool check_block_limits(uint64_t tx_count, uint64_t block_size, uint64_t max_block_size,
                        struct verdict *v);

/* 3.6: relative lock of one transaction; coin_heights[i] belongs to input i. */
bool relative_locks_ok(const struct tx *tx, const int32_t *coin_heights,
                       const struct header_node *prev);

/* 3.7: maturity of one coin, value range and running sum. */
bool check_input_coin(const struct block_rules *r, const struct coin *coin, int64_t *sum,
                      struct verdict *v);
/* in >= out; *fee = difference. */
bool check_fee(int64_t value_in, const struct tx *tx, int64_t *fee, struct verdict *v);
/* BIP30 must be enforced for this block (3.3 item 2). */
bool bip30_enforced(const struct chain_params *p, const struct header_node *node);

#endif

/* Transactions for tests of the pools: any inputs, anyone-can-spend outputs, any size. */
#ifndef TESTS_CHAIN_POOL_UTIL_H
#define TESTS_CHAIN_POOL_UTIL_H

#include "chain/mempool.h"
#include "tests/test.h"

/* Output 0 of a transaction that no test makes. */
struct outpoint pool_coin(uint32_t number);
struct outpoint pool_out(const struct tx *tx, uint32_t index);

/* Outputs of 1,000 satoshis; padded to `size` bytes unless it is smaller already. The caller's
 * reference. */
struct tx *pool_tx(const struct outpoint *in, size_t n_in, size_t n_out, size_t size);
/* Spends output `index` of a parent (NULL: the coin with this number). */
struct tx *pool_child(const struct tx *parent, uint32_t index, size_t n_out, size_t size);

/* Rate 500 a kB, no limit that a test meets by accident. */
struct mempool_options pool_options(void);
/* Adds it and gives the reference away. */
struct mempool_entry *pool_add(struct mempool *mp, struct tx *tx, int64_t fee);

/* The next of a row of numbers that depends on the first state alone. */
uint32_t pool_draw(uint64_t *state, uint32_t below);

#endif

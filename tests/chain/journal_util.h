/* Transactions and journals for tests of the block assembler: nothing in them is signed. */
#ifndef TESTS_CHAIN_JOURNAL_UTIL_H
#define TESTS_CHAIN_JOURNAL_UTIL_H

#include "chain/journal.h"

/*
 * A transaction of about `size` bytes (at least 70) that spends output 0, 1, ... of each parent in
 * turn, or an output of nobody when there is none. Equal seeds make equal transactions.
 */
struct tx *made_tx(uint32_t seed, struct tx *const *parents, size_t n_parents, size_t size);

/* Adds one that is on its own; its number. The journal alone holds a reference afterwards. */
uint64_t journal_put(struct journal *j, struct tx *tx, int64_t fee);

#endif

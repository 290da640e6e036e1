/* Blocks of given shape for tests of storage: they parse and their Merkle root fits, no more. */
#ifndef TESTS_CHAIN_MADE_BLOCK_H
#define TESTS_CHAIN_MADE_BLOCK_H

#include "base/buf.h"
#include "chain/header_index.h"

struct made_block {
    struct buf raw;
    struct header_node node; /* hash, root and height of it */
};

/* n transactions, each with one output of script_len bytes; the bytes depend on seed. */
struct made_block made_block_new(size_t n, size_t script_len, uint32_t seed);
/* The same with the last transaction twice, so that the root is that of the n given ones (n odd).
 */
struct made_block made_block_mutated(size_t n, size_t script_len, uint32_t seed);
void made_block_clear(struct made_block *b);
/* First 4 bytes of SHA256d, as in the message header. */
uint32_t made_block_checksum(const struct made_block *b);

#endif

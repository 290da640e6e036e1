/* Block headers and Merkle trees. Format: spec consensus 2.1 and 3.2. Pure
 * functions, any thread. */
#ifndef BASE_BLOCK_H
#define BASE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ids.h"
#include "base/reader.h"

#define BLOCK_HEADER_SIZE 80

struct block_header {
    int32_t version;
    struct block_hash prev;
    struct hash256 merkle_root;
    uint32_t time; /* seconds since 1970 */
    uint32_t bits;
    uint32_t nonce;
};

void block_header_read(struct reader *r, struct block_header *h);
void block_header_write(struct buf *b, const struct block_header *h);
void block_header_put(uint8_t out[BLOCK_HEADER_SIZE], const struct block_header *h);
void block_header_hash(struct block_hash *out, const struct block_header *h);

/*
 * Incremental Merkle root: O(log n) memory, leaves in order. `mutated` is set when two equal
 * siblings were combined as a genuine pair at any level (CVE-2012-2459).
 */
struct merkle {
    uint64_t count;
    struct hash256 level[64];
    bool mutated;
};

void merkle_init(struct merkle *m);
void merkle_add(struct merkle *m, const uint8_t leaf[32]);
/* Root of what was added (zero when nothing); m stays usable for adding. */
struct hash256 merkle_root(const struct merkle *m, bool *mutated);

#endif

/*
 * Merkle proof of one transaction in the form of the TSC standard (BRC-10, BRC-11; spec consensus
 * 6, p2p 3). dsdetected and hdrsen carry it with flags 05: whole transaction, Merkle root.
 *
 *   flags 1 | compact index | transaction: compact length, bytes; or its id 32 | target |
 *   compact count | nodes: 00, hash 32; or 01
 *
 * Flags: bit 0 whole transaction; bits 1 and 2 kind of target. Proofs of another shape (a tree, or
 * several transactions) are not read. Pure functions, any thread.
 */
#ifndef BASE_TSC_PROOF_H
#define BASE_TSC_PROOF_H

#include "base/block.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/merkle_branch.h"
#include "base/reader.h"

enum tsc_target { TSC_BLOCK_HASH, TSC_HEADER, TSC_MERKLE_ROOT, TSC_HEIGHT };

struct tsc_proof {
    struct span tx;             /* whole transaction, borrowed; empty: the id alone */
    struct txid id;             /* of tx, when there is one */
    enum tsc_target target;
    union {                     /* by target */
        struct block_hash block;
        struct block_header header;
        struct hash256 root;
        uint32_t height;
    };
    struct merkle_branch branch;
};

/* Borrows r's memory; computes the id of a whole transaction and does not parse it. ERR_PARSE. */
enum err tsc_proof_read(struct reader *r, struct tsc_proof *p) MUST_CHECK;

/* The reference reads no mark 01: it wants the hash that is copied. */
enum tsc_copy { TSC_COPY_MARKED, TSC_COPY_AS_HASH };
void tsc_proof_write(struct buf *b, const struct tsc_proof *p, enum tsc_copy copy);

/*
 * Merkle root that the proof leads to. False: no tree has such a branch, or the transaction has 64
 * bytes and may be a node of the tree (attacks A4). Whoever knows the number of transactions asks
 * merkle_branch_fits too.
 */
bool tsc_proof_root(const struct tsc_proof *p, struct hash256 *root);

#endif

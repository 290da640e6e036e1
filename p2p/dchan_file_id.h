/*
 * What a file is called on direct channels (spec channels 6): the root of a tree of hashes over its
 * chunks, with its size. The same content has the same name everywhere, and each chunk can be
 * checked alone once the leaves are known. A stream is hashed as it comes; nothing is allocated.
 * Pure functions and structs of the caller: any thread, one at a time for a struct.
 */
#ifndef P2P_DCHAN_FILE_ID_H
#define P2P_DCHAN_FILE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"

enum {
    DCHAN_CHUNK_LOG2_MIN = 14,
    DCHAN_CHUNK_LOG2_MAX = 22,
    DCHAN_CHUNKS_MAX = 65536,
    DCHAN_TREE_DEPTH_MAX = 16,
};
#define DCHAN_FILE_MAX (UINT64_C(1) << 38) /* bytes: chunks of the largest size */

/* The only size of chunks a file of that size may have; 0: it is too large. */
unsigned dchan_chunk_log2(uint64_t size);
/* Of a file within the limit: how many chunks (an empty file has one), and the length of one. */
uint32_t dchan_chunk_count(uint64_t size);
uint32_t dchan_chunk_size(uint64_t size, uint32_t index);

void dchan_leaf_hash(uint8_t out[32], struct span chunk);
void dchan_file_id(uint8_t out[32], uint64_t size, const uint8_t root[32]);

/* Leaves in their order, one after the other (RFC 6962). */
struct dchan_tree {
    uint8_t nodes[DCHAN_TREE_DEPTH_MAX + 1][32]; /* bit i of n set: [i] is a full tree of 2^i */
    uint32_t n;
};

void dchan_tree_init(struct dchan_tree *t);
void dchan_tree_add(struct dchan_tree *t, const uint8_t leaf[32]); /* at most DCHAN_CHUNKS_MAX */
/* Of at least one leaf; more may follow. */
void dchan_tree_root(const struct dchan_tree *t, uint8_t root[32]);
/* Whether these leaves, 32 bytes each, are those of the file; their number is checked first. */
bool dchan_leaves_match(const uint8_t file_id[32], uint64_t size, const uint8_t *leaves, size_t n);

/* --- a stream --- */

typedef void (*dchan_leaf_fn)(void *ctx, uint32_t index, const uint8_t leaf[32]);

struct dchan_file_hash {
    uint64_t size, fed;
    unsigned chunk_log2;
    struct sha256 chunk;
    struct dchan_tree tree;
    dchan_leaf_fn on_leaf; /* NULL: leaves are not wanted */
    void *ctx;
};

/* ERR_RANGE: larger than DCHAN_FILE_MAX. */
enum err dchan_file_hash_init(struct dchan_file_hash *h, uint64_t size, dchan_leaf_fn on_leaf,
                              void *ctx) MUST_CHECK;
/* ERR_RANGE: more than the size that was stated; the file has changed. */
enum err dchan_file_hash_update(struct dchan_file_hash *h, const void *data, size_t len) MUST_CHECK;
/* root may be NULL. ERR_RANGE: less than the size. */
enum err dchan_file_hash_final(struct dchan_file_hash *h, uint8_t root[32],
                               uint8_t file_id[32]) MUST_CHECK;

#endif

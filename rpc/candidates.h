/*
 * Mining candidates that were handed out and wait for their solution (spec rpc 2,
 * getminingcandidate). Bounded in number, age and memory, where those of one template count once;
 * the newest stays however large it is. Those that lie more than a block behind the newest are
 * forgotten, since they would hold mined transactions in memory for nothing. Any thread.
 */
#ifndef RPC_CANDIDATES_H
#define RPC_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct block_template;
struct candidates;

#define CANDIDATES_MAX 2000
#define CANDIDATES_MAX_BYTES ((size_t)256 << 20)
#define CANDIDATES_MAX_AGE_S 3600
#define CANDIDATE_ID_SIZE 37 /* a UUID and NUL */

struct candidate {
    char id[CANDIDATE_ID_SIZE];
    struct block_template *rest; /* a reference */
    struct buf coinbase;         /* empty: the miner brings it */
    uint32_t time, bits;         /* as they were told */
    int32_t version;
};

struct candidates *candidates_new(size_t max, size_t max_bytes, int64_t max_age_s);
void candidates_free(struct candidates *t); /* NULL is fine */
/* Keeps a copy; fills c->id. now: monotonic, seconds. */
void candidates_add(struct candidates *t, struct candidate *c, int64_t now);
/* A copy, to be cleared; false when there is none of that id (any more). */
bool candidates_find(struct candidates *t, const char *id, int64_t now, struct candidate *out);
void candidate_clear(struct candidate *c);
size_t candidates_count(struct candidates *t);
size_t candidates_memory(struct candidates *t);

#endif

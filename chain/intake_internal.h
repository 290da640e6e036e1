/* A block intake as its two sources see it: intake.c (small blocks, reporting), intake_large.c. */
#ifndef CHAIN_INTAKE_INTERNAL_H
#define CHAIN_INTAKE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/block_stream.h"
#include "base/hash.h"
#include "chain/intake.h"

struct intake_piece {
    struct intake_piece *next;
    struct buf data;
    unsigned passes_left;
    bool last;
};

/* A large block goes through all passes side by side; each takes the pieces in order, one at a
 * time. */
enum intake_pass_kind { PASS_PARSE /* structure, ids, Merkle tree */, PASS_WRITE };
#define INTAKE_PASSES 2

struct intake_pass {
    struct job job; /* first: the job leads back to the pass */
    struct block_intake *in;
    enum intake_pass_kind kind;
    bool running;            /* a job is queued or works */
    bool finished;           /* has seen the last piece */
    struct intake_piece *at; /* next to work on; NULL: waits */
};

struct block_intake {
    atomic_size_t refs; /* the feeder until the last byte, and each job */
    struct intake_options o;
    struct header_node *node;
    uint64_t size, fed, source;
    bool has_checksum;
    uint32_t checksum; /* expected */
    struct buf raw;    /* collected: the small block, or the piece being filled */
    size_t counted;    /* of raw, in the ledger */

    struct job job; /* the small block's, or the clean-up's */

    pthread_mutex_t lock; /* the rest, unless said otherwise */
    pthread_cond_t reported;
    bool aborted, failed; /* failed: done was called or is about to be */
    unsigned reporting;   /* calls of done and drained under way */
    struct intake_piece *head, *tail;
    size_t queued;
    bool was_full;
    struct intake_pass passes[INTAKE_PASSES];

    /* Each of one pass (sum: of the feeder) alone, and of the end: */
    struct block_stream stream;
    struct sha256 sum;
    struct block_writer *writer;
};

void intake_ref(struct block_intake *in);
void intake_unref(struct block_intake *in);
void intake_unref_later(struct block_intake *in); /* on the pool */
/* Charges what the buffer holds now instead of what it held when counted was set. */
void intake_count(size_t *counted, size_t bytes);
/* Makes room as bytes arrive, never beyond what is still to come. False: no memory. */
bool intake_grow(struct block_intake *in, size_t len, uint64_t most);
/* Runs a job on the pool; here when the pool has no workers. */
void intake_submit(struct block_intake *in, struct job *job, enum job_priority priority);

struct intake_result intake_result_of(const struct block_intake *in);
/* Calls done unless aborted or reported already. */
void intake_report(struct block_intake *in, struct intake_result *result);
/* Merkle root, duplicates, header; false with the verdict. */
bool intake_check_tree(const struct block_intake *in, const struct block_header *header,
                       const struct merkle *merkle, struct verdict *v);
bool intake_check_sum(const struct block_intake *in, uint32_t sum, struct verdict *v);

void intake_large_init(struct block_intake *in);
size_t intake_large_feed(struct block_intake *in, const uint8_t *data, size_t len);
void intake_large_clear(struct block_intake *in);

#endif

/*
 * Script checks of one block on the worker pool (architecture 4.3).
 *
 * A run belongs to a block and is fed segment by segment while the chain thread goes on with its
 * serial pass. Inputs travel in slices, so tiny and huge transactions balance; a slice keeps its
 * segment, the sighash caches and copies of the spent scripts alive. A failure lowers the mark of
 * the first bad (transaction, input): slices above it return at once, slices below still run, so
 * the verdict is that of the lowest bad input whatever the timing.
 *
 * One thread feeds and joins; slices run on any thread.
 */
#ifndef CHAIN_VERIFY_POOL_H
#define CHAIN_VERIFY_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/pool.h"
#include "chain/block_reader.h"
#include "chain/coin.h"
#include "script/verify.h"

struct verify_options {
    struct pool *pool;
    const struct script_limits *limits;
    struct sigcache *sigcache;   /* may be NULL */
    const struct cancel *cancel; /* may be NULL */
    size_t memory_bytes;         /* batches in flight; feeding waits past this, 0: no limit */
};

/* Where and why the first bad script is. */
struct verify_failure {
    uint64_t tx;    /* index in the block */
    uint32_t input;
    enum script_err err;
    bool new_coin;  /* the spent output is of Genesis or later: configurable limits apply to it */
};

struct verify_run {
    struct verify_options o;
    struct job_group group;
    _Atomic uint64_t first_bad;    /* tx << 32 | input; above it nothing matters */
    _Atomic bool stop;             /* cancelled */
    atomic_size_t memory;
    pthread_mutex_t lock;          /* guards the two below */
    struct verify_failure failure; /* of first_bad, when failure.err is set */
    uint64_t first_unfinished;     /* lowest input without a verdict for lack of memory */
    uint64_t limit;                /* inputs from here on do not count, by the feeding thread */
    uint64_t checks;               /* inputs handed over, by the feeding thread */
};

void verify_run_init(struct verify_run *r, const struct verify_options *o);
/* Inputs of transaction tx and later need no verdict any more (they failed otherwise). */
void verify_run_limit(struct verify_run *r, uint64_t tx);
/*
 * Waits for all slices, helping. *failed: a script is bad, the lowest is in *f. ERR_CANCELLED and
 * ERR_NOMEM: no verdict. The run is empty after, whatever the result.
 */
enum err verify_run_join(struct verify_run *r, bool *failed, struct verify_failure *f,
                         struct error *e) MUST_CHECK;

/* The inputs of one segment. begin waits when too much is in flight. */
struct verify_batch;
struct verify_batch *verify_batch_begin(struct verify_run *r, struct block_segment *seg);
/* Inputs that follow belong to tx, which lies in the segment. ERR_NOMEM. */
enum err verify_batch_tx(struct verify_batch *b, const struct tx *tx, uint64_t tx_index) MUST_CHECK;
/* flags: with those of the coin. Copies the coin's script. ERR_NOMEM. */
enum err verify_batch_input(struct verify_batch *b, uint32_t input, const struct coin *coin,
                            uint32_t flags) MUST_CHECK;
/* Submits what is left; b is gone. */
void verify_batch_end(struct verify_batch *b);

#endif

/*
 * Connecting and disconnecting blocks on the coins (spec consensus 3.3, 3.7, architecture 4.2).
 *
 * The coins are changed directly while a block is judged; nobody else sees them meanwhile. When
 * the block breaks a rule, or the work cannot be finished, what was done is taken back with the
 * undo record made on the way. Only when that fails too are the coins `torn`: then they must not
 * be flushed, and the process must stop; what is on disk is good.
 *
 * Chain thread only.
 */
#ifndef CHAIN_CONNECT_H
#define CHAIN_CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/pool.h"
#include "chain/block_source.h"
#include "chain/coins.h"
#include "chain/frozen.h"
#include "chain/header_index.h"
#include "chain/undo.h"
#include "chain/verify_pool.h"

/* What connecting works on; borrowed. */
struct connect_env {
    const struct chain_params *params;
    struct header_index *index;
    struct blockfiles *files;
    struct coins *coins;
    struct pool *pool;
    const struct frozen *frozen; /* NULL: frozen outputs and white lists are not looked at */
    bool assume_whitelisted;     /* blocks with so many headers above may have confiscations */
    int32_t assume_whitelisted_depth;
    const struct script_limits *limits;
    struct sigcache *sigcache;   /* may be NULL */
    struct sigcache *scripts;    /* inputs known to be valid (accept.h); may be NULL */
    const struct cancel *cancel; /* may be NULL */
    uint64_t max_stack_memory;   /* 0: no limit; what limits was made with */
    size_t segment_bytes;
    size_t check_memory_bytes;   /* segments kept for script checks */
    int32_t coinbase_maturity;
};

enum connect_scripts { CONNECT_CHECK_SCRIPTS, CONNECT_SKIP_SCRIPTS };

struct connect_request {
    struct header_node *node;
    struct block_source *source;    /* of node, nothing taken from it yet */
    struct block_segment *received; /* whole block when in memory, to take back from; may be NULL */
    enum connect_scripts scripts;
    /* Each transaction of a block in order, before the verdict is known; may be NULL. */
    void (*on_tx)(void *ctx, const struct tx *tx, uint64_t offset);
    /* The same for each spend of a marker. An error judges nobody. */
    enum err (*on_marker_spent)(void *ctx, const struct outpoint *marker,
                                const struct txid *spender, struct error *e);
    void *ctx;
};

struct connect_result {
    struct verdict verdict;
    bool limit_exceeded; /* the verdict depends on an operator's limit alone */
    bool torn;           /* with an error: the coins are in no defined state */
    struct buf undo;     /* content of the undo record when valid; caller clears */
    uint64_t txs, inputs, outputs;
    int64_t fees;
    int64_t read_us;     /* spent waiting for coins and block data */
};

/* OK with a verdict, or an error that judges nobody. */
enum err connect_block(const struct connect_env *env, const struct connect_request *q,
                       struct connect_result *out, struct error *e) MUST_CHECK;

/* Takes back the tip. On failure the coins are torn. */
enum err disconnect_block(const struct connect_env *env, struct header_node *node,
                          struct error *e) MUST_CHECK;

/*
 * Puts the effects of a block that was valid before on the coins, whatever of them is there
 * already (recovery from an interrupted flush).
 */
enum err replay_block(const struct connect_env *env, struct header_node *node,
                      struct error *e) MUST_CHECK;

/* --- shared by connect.c and disconnect.c --- */

/* How much of a block was done: all outputs of txs transactions, the spends of inputs inputs. */
struct connect_extent {
    uint64_t txs, inputs;
};
/* Takes the extent back; undo holds at least that many coins. received as in connect_request. */
enum err connect_take_back(const struct connect_env *env, struct header_node *node,
                           struct block_segment *received, const struct undo_reader *undo,
                           const struct connect_extent *extent, struct error *e) MUST_CHECK;
/* Adds the outputs of a transaction that are stored at all. */
enum err connect_add_outputs(const struct connect_env *env, const struct tx *tx, int32_t height,
                             enum coins_add_mode mode, uint64_t *added, struct error *e) MUST_CHECK;

#endif

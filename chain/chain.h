/*
 * The chain: header index, stored blocks, coins, and the chain thread that keeps the active chain
 * at the best valid candidate. Facade for node and rpc.
 *
 * Threads: one chain thread owns the tip, the coins and all writes to the databases. Other threads
 * use the functions marked "any thread"; "blocking" ones send a command and wait, so they must not
 * be called on the loop or the chain thread. Handlers run on the chain thread, after its state is
 * consistent and without locks; they must not block.
 *
 * A failure to read or write (disk full, damaged database) stops activation, judges nobody, and is
 * reported through handlers.fatal; the node then shuts down with the text.
 */
#ifndef CHAIN_CHAIN_H
#define CHAIN_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "chain/block_reader.h"
#include "chain/coins.h"
#include "chain/header_index.h"
#include "chain/intake.h"
#include "chain/mempool.h"
#include "chain/params.h"
#include "chain/policy.h"
#include "chain/tx_result.h"
#include "chain/verdict.h"

struct assembler;
struct block_parts;
struct chain;
struct frozen;
struct causes;
struct index_db;
struct nonfinal;

enum chain_rebuild {
    REBUILD_NONE,
    REBUILD_CHAINSTATE /* -reindex-chainstate */,
    REBUILD_ALL /* -reindex */
};

struct chain_options {
    struct chain_params params;        /* with overrides applied */
    const char *data_dir;              /* of the network */
    size_t dbcache_bytes;              /* coin cache and LevelDB caches together */
    size_t block_memory_bytes; /* received blocks waiting to be connected, segments in flight */
    unsigned workers;                  /* pool threads; the chain thread helps */
    uint64_t max_block_size;           /* 0: unlimited */
    uint64_t max_stack_memory;         /* maxstackmemoryusageconsensus; 0: unlimited */
    uint64_t preferred_file_size;
    bool use_checkpoints, tx_index, check_consistency;
    int32_t soft_freeze_blocks;        /* softconsensusfreezeduration; 0: for ever */
    bool assume_whitelisted;           /* enableassumewhitelistedblockdepth */
    int32_t assume_whitelisted_depth;
    uint64_t prune_target_bytes;       /* 0: off; 1: manual */
    int32_t prune_keep;                /* blocks kept below the tip, 288 */
    enum chain_rebuild rebuild;
    int64_t max_tip_age;               /* seconds */
    int32_t check_blocks;              /* at start, -checkblocks (0: all) */
    unsigned check_level;
    int32_t stop_at_height;            /* 0: never */
    int64_t coins_flush_interval_s, index_flush_interval_s; /* 0: defaults */
    /* Opens the databases "index" and "coins". NULL: LevelDB in data_dir; tests bring their own. */
    enum err (*open_store)(void *ctx, const char *name, const struct kv_options *o, struct kv **out,
                           struct error *e);
    void *store_ctx;
    struct mempool_options mempool;
    struct tx_policy policy;
    uint64_t max_made_block_size;      /* blockmaxsize */
    size_t nonfinal_max_bytes;         /* maxmempoolnonfinal, 50 MiB */
    size_t signature_cache_bytes;      /* signature and script caches together */
    struct causes *causes;             /* why things were refused is noted here; may be NULL */
    bool persist_mempool;              /* mempool.dat and non-final-mempool.dat */
};

/* What readers see of the tip; consistent in itself. */
struct chain_tip {
    struct header_node *node; /* NULL before genesis */
    int32_t height;
    struct block_hash hash;
    uint32_t time, median_time;
    uint64_t chain_tx_count;
};

/* Sources of blocks that are no peers (peer ids count up from 1). */
#define SOURCE_IMPORT UINT64_MAX
#define SOURCE_SUBMIT (UINT64_MAX - 1)

struct chain_handlers {
    void *ctx;
    void (*status)(void *ctx, const char *text);  /* start-up phases: "Loading block index..." */
    void (*tip_changed)(void *ctx, const struct chain_tip *tip, bool initial_download);
    void (*block_connected)(void *ctx, struct header_node *node);
    void (*block_disconnected)(void *ctx, struct header_node *node);
    /* A stored block was found invalid, or its bytes were corrupt; source as given
     * to the intake. */
    void (*block_judged)(void *ctx, const struct block_hash *hash, const struct verdict *v,
                         uint64_t source);
    /* The intake of a block ended (also after block_judged); stored = its data is on disk. */
    void (*block_arrived)(void *ctx, struct header_node *node, uint64_t source, bool stored);
    void (*intake_drained)(void *ctx, uint64_t source); /* pool thread */
    /* One call for each transaction that entered the mempool, before the txs_judged of its
     * batch. */
    void (*tx_accepted)(void *ctx, const struct mempool_entry *entry, uint64_t source);
    /* block: of MEMPOOL_IN_BLOCK and MEMPOOL_BLOCK_CONFLICT, else NULL. */
    void (*tx_removed)(void *ctx, const struct mempool_removed *r, const struct header_node *block);
    /* Everything that was handed over comes back here once, in batches; n is 0 at the end of a
     * batch of transactions that nobody handed over. */
    void (*txs_judged)(void *ctx, const struct tx_result *results, size_t n);
    /* Nothing is left to do: before the thread waits, and once a second while it does. Whatever was
     * told before is complete. */
    void (*idle)(void *ctx);
    void (*fatal)(void *ctx, const struct error *e);
};

/* Opens the databases, recovers from an unclean stop, starts the chain thread.
 * Long; calls status. */
enum err chain_open(struct chain **out, const struct chain_options *o,
                    const struct chain_handlers *h, struct error *e) MUST_CHECK;
/* After open: connects what is stored, reindexes and imports the files of -loadblock if asked
 * (NULL-terminated, may be NULL). Returns at once. */
void chain_start(struct chain *c, const char *const *load_files);
/*
 * Cancels checks and ends the chain thread: no handler is called any more, whoever waits for the
 * chain gets ERR_CANCELLED, and reading goes on. One thread; not while others may still close. NULL
 * is fine.
 */
void chain_stop(struct chain *c);
/* chain_stop if that was not done, flushes, closes. NULL is fine. */
enum err chain_close(struct chain *c, struct error *e);

/* --- any thread --- */
struct header_index *chain_headers(struct chain *c);
const struct chain_params *chain_get_params(const struct chain *c);
struct blockfiles *chain_blockfiles(struct chain *c);
/* For work of the node that reads blocks or transactions; a job must end before chain_close
 * does. */
struct pool *chain_pool(struct chain *c);
void chain_get_tip(struct chain *c, struct chain_tip *tip);
bool chain_is_initial_download(struct chain *c); /* latches off, spec p2p 8 */
uint64_t chain_max_block_size(const struct chain *c); /* excessiveblocksize now; 0: unlimited */
bool chain_is_importing(struct chain *c);        /* -reindex or -loadblock under way */

/* header_index_accept by the clock. hashes: of the headers when the caller has them, or NULL. */
enum err chain_accept_headers(struct chain *c, const struct block_header *h,
                              const struct block_hash *hashes, size_t n, size_t *accepted,
                              struct header_node **last, struct verdict *v) MUST_CHECK;
/* Starts the intake of a block whose header is accepted; NULL when it is stored already or too
 * large (then *v). */
struct block_intake *chain_block_begin(struct chain *c, struct header_node *node, uint64_t size,
                                       const uint32_t *checksum, uint64_t source,
                                       struct verdict *v);
/* Opens a stored block. ERR_NOTFOUND when not stored or pruned. */
enum err chain_read_block(struct chain *c, const struct header_node *node, size_t segment_bytes,
                          struct block_reader **out, struct error *e) MUST_CHECK;
/* Whole block, at most limit bytes. */
enum err chain_read_block_bytes(struct chain *c, const struct header_node *node, uint64_t limit,
                                struct buf *out, struct error *e) MUST_CHECK;

/* A step more is worth trying; handlers.idle is called when nothing is left to do. */
void chain_wake(struct chain *c);

/* --- transactions --- */
struct mempool *chain_mempool(struct chain *c); /* any thread */
struct assembler *chain_assembler(struct chain *c); /* candidates for blocks, block_template.h */
/* mempool.dat has been read, or is not used. Chain thread. */
bool chain_mempool_is_loaded(const struct chain *c);
struct nonfinal *chain_nonfinal(struct chain *c);
const struct tx_policy *chain_get_policy(const struct chain *c);
/* Script limits of consensus, with the operator's limit of memory. */
const struct script_limits *chain_consensus_limits(const struct chain *c);
/* Handed over and not judged yet. Only inside chain_call. */
size_t chain_txs_under_way(struct chain *c);
/*
 * Hands over a transaction (a reference is taken) and returns at once; what becomes of it comes by
 * handlers.txs_judged. Any thread. The caller bounds what it has under way. False when closing.
 */
bool chain_offer_tx(struct chain *c, struct tx *tx, uint64_t source);

struct chain_progress {
    double verification;         /* 0..1 */
    double blocks_per_s, tx_per_s, inputs_per_s; /* since the last few seconds */
    int64_t eta_s;               /* -1: unknown */
    enum chain_limit { LIMIT_NONE, LIMIT_PEERS, LIMIT_DISK, LIMIT_CPU } limited_by;
    struct coins_stats coins;
    size_t blocks_waiting_bytes; /* received, not yet connected */
};
void chain_get_progress(struct chain *c, struct chain_progress *p);

/* Bytes in use now, for the ledger of memory. Any thread. */
struct chain_memory {
    size_t headers, coins, databases, mempool, nonfinal;
    size_t signatures;           /* caches of signatures and scripts */
    size_t blocks_waiting;       /* received, not connected */
    size_t blocks_arriving;
    size_t transactions_waiting; /* handed over, not judged */
    size_t untouched;            /* allocated by headers and signatures beyond what they show */
};
void chain_get_memory(struct chain *c, struct chain_memory *m);

/* Time-out -1: for ever. False on time-out or stop. Blocking. */
bool chain_wait_tip(struct chain *c, int32_t min_height, const struct block_hash *not_hash,
                    int64_t timeout_ms, struct chain_tip *tip);

/* --- blocking commands, any thread but loop and chain --- */

/* Runs fn on the chain thread, between blocks, and waits. ERR_CANCELLED while stopping. */
enum err chain_call(struct chain *c, void (*fn)(struct chain *c, void *ctx), void *ctx) MUST_CHECK;
/* For index_db_find_tx, with -txindex. Any thread. */
struct index_db *chain_index_db(struct chain *c);
/* Only inside chain_call. */
struct coins *chain_coins(struct chain *c);

/* Largest block accepted from now on. What was refused for its size alone is judged again. */
enum err chain_set_max_block_size(struct chain *c, uint64_t bytes) MUST_CHECK;

/*
 * Changes the lists of frozen outputs (frozen.h): fn works on a copy, which is written to disk,
 * synced, and then takes the place of the lists; what they forbid now leaves the mempool. fn tells
 * whether it changed anything; when not, nothing is written. On an error lists and file are as
 * before.
 */
enum err chain_change_frozen(struct chain *c, bool (*fn)(struct frozen *f, void *ctx), void *ctx,
                             struct error *e) MUST_CHECK;
/* A copy of them, for the caller to free; NULL while stopping. */
struct frozen *chain_copy_frozen(struct chain *c);

/* A block from RPC or the miner: header accepted, stored, activated. */
struct block_submission {
    struct verdict verdict;
    bool duplicate;           /* was stored already, or has failed before */
    struct header_node *node; /* NULL: the header was not taken */
};
enum err chain_submit_block(struct chain *c, const void *block, size_t size,
                            struct block_submission *out, struct error *e) MUST_CHECK;
enum err chain_submit_parts(struct chain *c, const struct block_parts *parts,
                            struct block_submission *out, struct error *e) MUST_CHECK;
/* Whether a block, proof of work aside, would be good on the tip; it is not kept. ERR_PARSE: no
 * block. On another parent than the tip: "inconclusive-not-best-prevblk". */
enum err chain_test_block(struct chain *c, const void *block, size_t size, struct verdict *v,
                          struct error *e) MUST_CHECK;
enum err chain_invalidate(struct chain *c, struct header_node *node, struct error *e) MUST_CHECK;
enum err chain_reconsider(struct chain *c, struct header_node *node, struct error *e) MUST_CHECK;
enum err chain_precious(struct chain *c, struct header_node *node, struct error *e) MUST_CHECK;
/* Prunes up to a height (RPC); *last: height of the last block pruned. */
enum err chain_prune(struct chain *c, int32_t height, int32_t *last, struct error *e) MUST_CHECK;
/* verifychain: level 0 read, 1 check, 2 undo, 3 disconnect in memory, 4 reconnect; n blocks (0:
 * all). */
enum err chain_verify(struct chain *c, unsigned level, int32_t n, bool *good,
                      struct error *e) MUST_CHECK;
enum err chain_flush(struct chain *c, struct error *e) MUST_CHECK;

/* One transaction of a caller that waits (RPC, wallet). */
struct tx_submission {
    struct tx *tx;                    /* borrowed */
    bool allow_high_fee;              /* above policy.max_fee */
    bool free;                        /* no minimum fee is asked (dontcheckfee) */
    const struct tx_policy *policy;   /* NULL: the node's; borrowed */
    struct tx_result result;          /* out; conflict holds a reference, missing is not filled */
};
/* All in order, parents before children or not; scripts have no time limit. */
enum err chain_submit_txs(struct chain *c, struct tx_submission *s, size_t n,
                          struct error *e) MUST_CHECK;
void tx_submissions_clear(struct tx_submission *s, size_t n); /* gives up the references */
/* The same for one, of a caller that does not wait: done gets the result on the chain thread, where
 * it must be brief, before handlers.txs_judged; what the result points to ends with the call.
 * False: the node stops, and done is not called. s->result is not written. */
typedef void (*tx_done_fn)(void *ctx, const struct tx_result *result);
bool chain_submit_tx_later(struct chain *c, const struct tx_submission *s, tx_done_fn done,
                           void *ctx) MUST_CHECK;
/* Writes mempool.dat now (savemempool); ERR_BUSY while it is still being read. */
enum err chain_save_mempool(struct chain *c, struct error *e) MUST_CHECK;

#endif

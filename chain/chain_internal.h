/*
 * What the files of the chain thread share. The public face is chain.h.
 *
 *   chain.c           open, close, functions of any thread
 *   chain_thread.c    the thread, its queue of commands
 *   chain_commands.c  commands that other threads wait for
 *   chain_submit.c    blocks handed over by RPC, and candidates to be judged
 *   activate.c        choice of the tip, connecting and disconnecting towards it
 *   hold.c            blocks that spend frozen outputs and wait for more above them
 *   received.c        blocks that arrived and wait in memory
 *   flush.c           when and in which order state goes to disk
 *   txs.c and others  transactions that are no part of a block, see txs.h
 *   tx_index.c        keeping the transaction index up with the tip
 *   marker_index.c    keeping what spent the markers of identities
 *   prune.c, verify_chain.c, progress.c, import.c (reindex.c, load_file.c)
 *
 * Functions here belong to the chain thread unless they say otherwise.
 */
#ifndef CHAIN_CHAIN_INTERNAL_H
#define CHAIN_CHAIN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/cancel.h"
#include "base/queue.h"
#include "chain/block_source.h"
#include "chain/chain.h"
#include "chain/connect.h"
#include "chain/frozen.h"
#include "chain/index_db.h"
#include "chain/txs.h"

#define AHEAD_MAX 16 /* blocks being read ahead of the tip */

/* A message to the chain thread; embedded in the sender's struct. */
struct command {
    struct queue_node node; /* first */
    /* cancelled: the chain is closing, only give up what the command owns and wake its sender. */
    void (*run)(struct chain *c, struct command *cmd, bool cancelled);
};

/* --- received.c --- */
struct received_block {
    struct header_node *node;
    uint64_t source;
    struct block_segment *segment; /* NULL: too much waits already, read it from disk */
    size_t bytes;
};
struct received {
    struct received_block *blocks; /* few: a linear array */
    size_t n, cap;
    size_t budget;
    _Atomic size_t bytes;
};
void received_init(struct received *r, size_t budget);
void received_clear(struct received *r);
/* Takes the reference to the segment. tip_height: blocks at or below it may be dropped for room. */
void received_put(struct received *r, struct header_node *node, uint64_t source,
                  struct block_segment *segment, int32_t tip_height);
/* A copy of the entry; its segment is borrowed. False when there is none. */
bool received_find(const struct received *r, const struct header_node *node,
                   struct received_block *out);
void received_drop(struct received *r, const struct header_node *node);

/* --- progress.c --- */
enum progress_what { PROGRESS_IDLE, PROGRESS_DISK, PROGRESS_CPU, PROGRESS_KINDS };
#define PROGRESS_SLOTS 8 /* seconds looked back */
struct progress_slot {
    int64_t second;
    uint64_t blocks, txs, inputs;
    int64_t us[PROGRESS_KINDS];
};
struct progress {
    pthread_mutex_t lock;
    struct progress_slot slots[PROGRESS_SLOTS];
    struct coins_stats coins;
};
void progress_init(struct progress *p);
void progress_clear(struct progress *p);
void progress_time(struct progress *p, enum progress_what what, int64_t us);
void progress_block(struct progress *p, uint64_t txs, uint64_t inputs,
                    const struct coins_stats *coins);

/* --- chain thread state --- */
struct ahead {
    struct block_source *sources[AHEAD_MAX]; /* of the blocks after the tip, in order */
    unsigned n;
};

struct flush_state {
    int64_t coins_ms, index_ms;       /* monotonic, of the last flush */
    uint64_t inputs, bytes;           /* connected since the last flush of the coins */
    struct header_node *durable;      /* where the coins on disk stand */
};

struct tx_index_entry {
    struct txid id;
    uint64_t offset;
    uint32_t size;
};
struct tx_index_state {
    struct index_batch *batch; /* NULL: no index */
    struct header_node *pos;      /* last block whose transactions are in the index or the batch */
    struct tx_index_entry *staged; /* of the block being connected */
    size_t n_staged, staged_cap;
    bool out_of_memory;
};

struct submit; /* chain_submit.c */
struct import; /* import.c */

struct chain {
    struct chain_options o;
    char *data_dir;
    struct chain_params params;
    struct chain_handlers h;
    struct header_index *index;
    struct index_db *db;
    struct blockfiles *files;
    struct coins *coins;
    struct pool *pool;
    struct frozen *frozen; /* chain thread; the lists in it are exchanged, it stays */
    char *frozen_path;
    struct script_limits limits;
    _Atomic uint64_t max_block_size; /* any thread reads */
    struct connect_env env;
    struct cancel cancel;
    struct queue *queue;
    pthread_t thread;
    bool thread_started;
    struct import *import;

    /* Chain thread. */
    struct header_node *tip;
    struct received received;
    struct ahead ahead;
    struct flush_state flush;
    struct tx_index_state tx_index;
    struct index_batch *spends; /* of markers, not yet written */
    struct header_node **held; /* hold.c */
    size_t n_held;
    struct submit *submits;
    struct txs txs;
    struct assembler *assembler;
    bool active;    /* chain_start was called: activation goes on */
    bool stop;      /* the stop command was seen */
    bool failed;    /* fatal was reported: nothing is written any more */
    bool torn;      /* the coins in memory are in no defined state */
    bool reindexing; /* set at open, constant after */

    /* Any thread. */
    pthread_mutex_t lock;      /* guards snapshot and stopping */
    pthread_cond_t tip_moved;
    struct chain_tip snapshot;
    bool stopping;
    atomic_bool left_initial_download;
    atomic_bool importing;
    struct progress progress;
};

/* --- chain_thread.c --- */
enum err chain_thread_start(struct chain *c, struct error *e) MUST_CHECK;
void chain_thread_stop(struct chain *c);
/* Any thread. False when closing: the caller keeps the command. */
bool chain_push(struct chain *c, struct command *cmd) __attribute__((warn_unused_result));
/* Stops activation for good and tells the node. */
void chain_fatal(struct chain *c, const struct error *e);
void chain_publish_tip(struct chain *c);
/* Any thread: the done callback of intakes. */
void chain_intake_done(void *ctx, struct intake_result *result);
void chain_intake_drained(void *ctx, uint64_t source);
/* The same for a block that lies in a block file already (reindex). */
void chain_block_found(struct chain *c, struct intake_result *result);

/* --- activate.c --- */
/* One step towards the best candidate: at most a reorganisation or a block.
 * did: something changed. */
enum err activate_step(struct chain *c, bool *did, struct error *e) MUST_CHECK;
enum err activate_disconnect_tip(struct chain *c, struct error *e) MUST_CHECK;
/* Shows the present tip to other threads; steps do it themselves. */
void activate_publish(struct chain *c);
void ahead_clear(struct chain *c);
bool activate_scripts_needed(struct chain *c, struct header_node *node);

/* --- hold.c --- */
void hold_open(struct chain *c); /* once the index is loaded */
void hold_block(struct chain *c, struct header_node *node);
/* The last block on the way to the leaf that may be the tip. */
struct header_node *hold_end(struct chain *c, struct header_node *leaf);
/* header_index_best_candidate, of those that may be the tip. */
struct header_node *hold_best_candidate(struct chain *c);

/* --- flush.c --- */
enum err flush_all(struct chain *c, struct error *e) MUST_CHECK;
enum err flush_index(struct chain *c, struct error *e) MUST_CHECK;
/* Flushes when a budget or an interval says so. */
enum err flush_if_due(struct chain *c, struct error *e) MUST_CHECK;
/* Before a block of that many bytes is connected: room for what it may add. */
enum err flush_for_block(struct chain *c, uint64_t block_bytes, struct error *e) MUST_CHECK;

/* --- tx_index.c --- */
enum err tx_index_open(struct chain *c, struct error *e) MUST_CHECK;
void tx_index_close(struct chain *c);
void tx_index_on_tx(void *ctx, const struct tx *tx, uint64_t offset);
enum err tx_index_connected(struct chain *c, struct header_node *node, struct error *e) MUST_CHECK;
void tx_index_disconnected(struct chain *c, struct header_node *node);
enum err tx_index_write(struct chain *c, struct error *e) MUST_CHECK;
/* Indexes one block that the index lacks. */
enum err tx_index_step(struct chain *c, bool *did, struct error *e) MUST_CHECK;

/* --- marker_index.c --- */
void marker_index_open(struct chain *c);
void marker_index_close(struct chain *c);
/* Of a block that is being judged. */
enum err marker_index_on_spent(struct chain *c, const struct outpoint *marker,
                               const struct block_hash *block, const struct txid *spender,
                               struct error *e) MUST_CHECK;
enum err marker_index_connected(struct chain *c, struct error *e) MUST_CHECK;
enum err marker_index_write(struct chain *c, struct error *e) MUST_CHECK;

/* --- chain.c --- */
void chain_forget_limits(struct chain *c);
enum err chain_store_genesis(struct chain *c, struct header_node *node, struct error *e) MUST_CHECK;

/* --- recover.c --- */
/* Completes a flush that was interrupted; state as coins_open gave it. *tip: where the coins stand.
 */
enum err recover_coins(struct chain *c, const struct coins_state *state, struct header_node **tip,
                       struct error *e) MUST_CHECK;

/* --- check_index.c --- */
/* With -checkblockindex: ERR_CORRUPT when the index contradicts itself. */
enum err check_index(struct chain *c, struct error *e) MUST_CHECK;

/* --- prune.c --- */
enum err prune_if_needed(struct chain *c, struct error *e) MUST_CHECK;
enum err prune_to_height(struct chain *c, int32_t height, int32_t *last,
                         struct error *e) MUST_CHECK;

/* --- verify_chain.c --- */
enum err verify_chain(struct chain *c, unsigned level, int32_t n, int64_t budget_ms, bool *good,
                      struct error *e) MUST_CHECK;

/* --- reindex.c --- */
/* What the index would say of the block files in dir, for an index that was lost. Heap array. */
enum err reindex_file_infos(const char *dir, struct blockfile_info **infos, size_t *n,
                            struct error *e) MUST_CHECK;

/* All files are read and their blocks known: the index is whole again. */
enum err reindex_finished(struct chain *c, struct error *e) MUST_CHECK;

/* --- import.c, any thread --- */
void import_start(struct chain *c, const char *const *load_files, bool reindex);
void import_stop(struct chain *c); /* waits */
void import_free(struct chain *c);
/* A block with SOURCE_IMPORT came to its end. */
void import_block_done(struct chain *c, const struct header_node *node);

/* --- chain_commands.c --- */
/* A command that can fail; what fn reads and writes is the caller's. */
struct chain_job {
    enum err (*fn)(struct chain *c, struct chain_job *job);
    void *ctx;
    struct header_node *node;
    int32_t height;
    unsigned level;
    bool good;
    enum err rc;
    struct error error;
};
/* Any thread that may wait: runs it on the chain thread, unless the chain has failed or closes. */
enum err chain_job_call(struct chain *c, struct chain_job *job, struct error *e) MUST_CHECK;

/* --- chain_submit.c --- */
void submit_judged(struct chain *c, const struct header_node *node, const struct verdict *v);
/* After activation came to rest: wakes those who wait for a submitted block. */
void submit_settle(struct chain *c, bool closing);

#endif

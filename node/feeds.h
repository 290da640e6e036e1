/*
 * What leaves the node besides answers and P2P: takes the chain's reports (chain.h handlers) and
 * gives them to the event log and to ZMQ.
 *
 * feeds_open, feeds_attach and feeds_close belong to whoever starts and stops the node; functions
 * named after a handler are called from it, on the chain thread.
 */
#ifndef NODE_FEEDS_H
#define NODE_FEEDS_H

#include "chain/chain.h"
#include "node/event_record.h"
#include "node/settings.h"
#include "rpc/server.h"

struct feeds;

/* fatal: the log can no longer be written; once, on the chain thread. */
enum err feeds_open(struct feeds **out, const struct settings *s,
                    void (*fatal)(void *ctx, const struct error *e), void *ctx,
                    struct error *e) MUST_CHECK;
/* GET /events, before the server starts. */
void feeds_add_routes(struct feeds *f, struct rpc_server *server);
/* The chain is open and not started: compares the log with it. */
enum err feeds_attach(struct feeds *f, struct chain *c, struct error *e) MUST_CHECK;
/* For addresses in messages; before the network starts, and it must outlive the feeds. */
void feeds_set_net(struct feeds *f, struct net *net);
/* Streams to clients end; before the RPC server is stopped. NULL is fine. */
void feeds_stop(struct feeds *f);
/* After chain and RPC server are stopped. NULL is fine. */
enum err feeds_close(struct feeds *f, struct error *e);

/*
 * Events of others than the chain; any thread, until the chain is closed. One with a number of a
 * source (event_record.h) is told once however often it comes here, and its numbers rise: who has
 * them on disk tells at a start what is above feeds_told. They are in the log soon, without waiting
 * for a block. False: not attached yet, or too many wait: come again.
 */
bool feeds_tell(struct feeds *f, const struct event_record *r) MUST_CHECK;
/* The highest number that was told. All ones: no log is kept. */
uint64_t feeds_told(struct feeds *f, enum told_source source);
/* Waits for the chain thread and the disk: whether the log has all up to the number, synced, so
 * that whoever gave it may forget it. True also when no log is kept. */
bool feeds_keep(struct feeds *f, enum told_source source, uint64_t number) MUST_CHECK;

/* Bytes of memory; any thread. */
uint64_t feeds_memory(struct feeds *f);

void feeds_block_connected(struct feeds *f, struct header_node *node);
void feeds_block_disconnected(struct feeds *f, struct header_node *node);
void feeds_block_judged(struct feeds *f, const struct block_hash *hash, const struct verdict *v,
                        uint64_t source);
void feeds_tip_changed(struct feeds *f, const struct chain_tip *tip, bool initial_download);
void feeds_tx_accepted(struct feeds *f, const struct mempool_entry *entry);
void feeds_tx_removed(struct feeds *f, const struct mempool_removed *r,
                      const struct header_node *block);
void feeds_txs_judged(struct feeds *f, const struct tx_result *results, size_t n);
void feeds_idle(struct feeds *f);

#endif

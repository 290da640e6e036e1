/*
 * Blocks on their way: which peers were asked for a block, and whether its bytes have arrived and
 * are being stored. Keyed by (block, peer): one peer's failure never clears what another does for
 * us (attacks C4). Loop thread.
 */
#ifndef NODE_FLIGHT_H
#define NODE_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct header_node;
struct flights;

#define FLIGHT_PEERS_MAX 4

struct flight {
    const struct header_node *node;
    uint64_t peers[FLIGHT_PEERS_MAX];
    int64_t since[FLIGHT_PEERS_MAX]; /* when each was asked, monotonic ms */
    unsigned n_peers;
    unsigned n_arrived; /* copies of which all bytes are here; the chain is storing them */
    bool asked_arrived; /* one of them is of a peer that was asked */
};

struct flights *flights_new(void);
void flights_free(struct flights *f);
/* NULL when the block is neither asked for nor being stored. Valid until the next change. */
struct flight *flights_find(struct flights *f, const struct header_node *node);
/* False when too many peers were asked already, or this one was. */
bool flights_ask(struct flights *f, const struct header_node *node, uint64_t peer, int64_t now);
/* Forgets that this peer was asked; the entry goes when nobody is left and nothing arrived. */
void flights_release(struct flights *f, const struct header_node *node, uint64_t peer);
/* asked: the peer that brought it was. */
void flights_set_arrived(struct flights *f, const struct header_node *node, bool asked);
/* A copy could not be used: whoever else was asked still brings it, if none is here. */
void flights_clear_arrived(struct flights *f, const struct header_node *node);
void flights_remove(struct flights *f, const struct header_node *node);
size_t flights_count(const struct flights *f);

#endif

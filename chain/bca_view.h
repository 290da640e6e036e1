/*
 * What this node can say to the last steps of verifying a Bitcoin-Certified Address (spec bca 8,
 * 14): where the block is, and whether the marker output is spent. Any thread that may wait for the
 * chain; one view for one verification.
 */
#ifndef CHAIN_BCA_VIEW_H
#define CHAIN_BCA_VIEW_H

#include "bca/verify.h"
#include "base/err.h"

struct chain;
struct header_node;

struct bca_view {
    struct chain *chain;
    enum bca_network network;
    const struct bca_rules *rules;
    struct bca_policy policy;  /* what the network asks for, and this view: for bca_verify */
    struct header_node *block; /* of the parameters, once found on the active chain */
    enum err rc;               /* the outputs could not be read: what is said holds for nothing */
    struct error e;            /* of rc */
    struct {
        bool pending;               /* unspent, and a transaction in the mempool spends it */
        struct header_node *block;  /* on the active chain, with the spend; NULL: not known */
        struct txid txid;           /* of what spends it, when either is set */
    } revoked;
    struct bca_chain_view place;    /* of policy, as the next one */
    struct bca_spends_view spends;
};

/* Rules of the network the node runs on. The view stays where it is. */
void bca_view_init(struct bca_view *v, struct chain *c);
/* The same for who must not wait for the chain: its policy asks bca_view_marker_indexed. It may be
 * used for one verification after the other. */
void bca_view_init_indexed(struct bca_view *v, struct chain *c);

/*
 * The two callbacks, with the view as ctx. A block that is not known, or not deep enough, says
 * nothing while this node has not caught up; nor does one that is ahead of the blocks it has.
 */
enum bca_place bca_view_find(void *view, const uint8_t header[80], const struct block_hash *hash,
                             uint64_t *confirmations);
/* After bca_view_find. Spends in the mempool do not count, and are noted. */
enum bca_marker_state bca_view_marker(void *view, const struct outpoint *marker);
/* By the index of spends alone, which a block enters a moment after it has become the tip; the
 * mempool is not looked at. Reads the disk, waits for nobody. */
enum bca_marker_state bca_view_marker_indexed(void *view, const struct outpoint *marker);

#endif

/*
 * A stored block as other nodes get it piece by piece: its cmpctblock message, and where each of
 * its transactions lies, so that a getblocktxn is answered without reading the block again
 * (spec p2p 3, 5). Made on a pool thread, then immutable and shared.
 */
#ifndef NODE_COMPACT_FORM_H
#define NODE_COMPACT_FORM_H

#include <stdatomic.h>

#include "chain/chain.h"
#include "p2p/msg_compact.h"

/* A block with more is given as a whole: message and offsets stay below 56 MiB. */
#define COMPACT_FORM_TXS_MAX (4u << 20)

struct compact_form {
    atomic_size_t refs;
    struct header_node *node;
    struct buf message;  /* payload of cmpctblock, the coinbase prefilled */
    uint64_t *offsets;   /* n_txs + 1: beginnings of the transactions in the block, and its end */
    size_t n_txs;
};

/* Reads the whole block. ERR_RANGE: too many transactions; else as chain_read_block. */
enum err compact_form_make(struct compact_form **out, struct chain *c, struct header_node *node,
                           struct error *e) MUST_CHECK;
struct compact_form *compact_form_ref(struct compact_form *f);
void compact_form_unref(struct compact_form *f); /* NULL is fine */

/* The answer to a getblocktxn whose indices are all below n_txs. ERR_RANGE: above limit bytes. */
enum err compact_form_answer(const struct compact_form *f, struct chain *c,
                             const uint32_t *indices, size_t n, size_t limit, struct buf *out,
                             struct error *e) MUST_CHECK;

#endif

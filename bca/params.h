/*
 * BCA Parameters, the proof that is sent beside an address (spec bca 7). Little-endian:
 *
 *   version 1 = 01 | modifier 16 | public key 33 | compact length | transaction | header 80 |
 *   subnet prefix 8 | collision count 1 | tx index 4 | tx depth 1 | tx siblings 32 * depth |
 *   modifier index 1 | modifier depth 1 | modifier siblings 32 * depth
 *
 * Siblings stand leaf level first, in internal byte order. Any thread.
 */
#ifndef BCA_PARAMS_H
#define BCA_PARAMS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct merkle_branch;

#define BCA_PARAMS_VERSION 1
#define BCA_TX_DEPTH_MAX 28

/* Pointers borrow the bytes that were read. */
struct bca_params {
    const uint8_t *modifier;
    const uint8_t *public_key;
    struct span transaction;
    const uint8_t *header;
    const uint8_t *subnet_prefix;
    uint8_t collision_count;
    uint32_t tx_index; /* bit k tells the side at level k; checked by the proof alone */
    uint8_t tx_depth;
    const uint8_t *tx_siblings;
    uint8_t modifier_index;
    uint8_t modifier_depth;
    const uint8_t *modifier_siblings;
};

/* Step `decode` of verification: exactly one encoding, nothing after it. ERR_PARSE. */
enum err bca_params_read(struct span raw, struct bca_params *out, struct error *e) MUST_CHECK;
/* What was read is written as the same bytes. */
void bca_params_write(struct buf *out, const struct bca_params *p);

/* The siblings on the way of a transaction to the root, as they are written: where a row ends
 * before one, the node itself stands for it. Writes branch->n of them. */
void bca_tx_siblings(const struct merkle_branch *branch, const uint8_t leaf[32], uint8_t *out);

#endif

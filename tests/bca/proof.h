/* A registration in a regtest block that was never mined, and the proof of one of its addresses. */
#ifndef TESTS_BCA_PROOF_H
#define TESTS_BCA_PROOF_H

#include <stdint.h>

#include "base/buf.h"
#include "bca/params.h"

struct proof_shape {
    unsigned modifier_depth, modifier_index;
    unsigned tx_depth;
    uint32_t tx_index;
    bool with_marker;
};

struct proof {
    struct proof_shape shape;
    uint8_t public_key[33], other_key[33];
    uint8_t modifiers[32][16];
    struct buf tx;
    uint8_t header[80];
    uint8_t tx_siblings[28][32], modifier_siblings[5][32];
    uint8_t subnet_prefix[8];
    uint8_t address[16]; /* sec 0, collision count 0 */
    struct bca_params params;
};

/* Small trees, the usual case. */
extern const struct proof_shape proof_shape_usual;

void proof_make(struct proof *p, const struct proof_shape *shape);
void proof_clear(struct proof *p);
/* The bytes of p->params, as they are now; caller clears. */
struct buf proof_bytes(const struct proof *p);
/* Counts the nonce up until the proof of work holds, or does not. */
void proof_grind(uint8_t header[80], bool good);

#endif

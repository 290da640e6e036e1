/* Finds a registration in a block, for those who have the block and no proof. One thread. */
#ifndef BCA_CLI_BLOCK_H
#define BCA_CLI_BLOCK_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "bca/params.h"
#include "bca/registration.h"

struct cli_registered {
    struct span transaction; /* borrows the block */
    uint32_t tx_index;
    unsigned tx_depth;
    uint8_t tx_siblings[32 * BCA_TX_DEPTH_MAX];
};

/* The transaction that registers exactly this script. ERR_PARSE: no block; ERR_NOTFOUND. */
enum err cli_find_registration(struct span block, const uint8_t script[BCA_REGISTRATION_SIZE],
                               struct cli_registered *out, struct error *e) MUST_CHECK;

#endif

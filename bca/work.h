/*
 * What a block's proof of work says about an address (spec bca 5), and what the networks ask for
 * (spec bca 2). Pure functions, any thread.
 */
#ifndef BCA_WORK_H
#define BCA_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/block.h"
#include "base/ids.h"
#include "base/u256.h"

#define BCA_SEC_MAX 7

enum bca_network { BCA_NET_MAIN, BCA_NET_TEST, BCA_NET_STN, BCA_NET_REGTEST, BCA_NET_COUNT };

struct bca_rules {
    const char *name;
    unsigned base_bits; /* zero bits of the block hash that sec 0 needs; never from the wire */
    unsigned min_sec;   /* accepted unless the user says otherwise */
    unsigned min_conf;  /* the same */
    struct u256 pow_limit;
};

const struct bca_rules *bca_rules_get(enum bca_network network);

struct bca_work {
    struct block_hash hash;
    unsigned hash_zero_bits;
    bool target_valid; /* nBits is a target: else it has no bits */
    struct u256 target;
    unsigned target_zero_bits;
};

void bca_work_read(const uint8_t header[BLOCK_HEADER_SIZE], struct bca_work *out);
/* A header that a chain of this network could hold: nBits valid, within the limit, met. */
bool bca_work_meets_target(const struct bca_work *w, const struct bca_rules *rules);

/* Highest sec for so many zero bits, -1 when they are too few for any; for those of a block's hash
 * the highest that verification lets pass. */
int bca_sec_of_bits(const struct bca_rules *rules, unsigned zero_bits);
/* What a generator takes unless told otherwise. */
int bca_sec_default(const struct bca_rules *rules, const struct bca_work *w);
unsigned bca_required_bits(const struct bca_rules *rules, unsigned sec);
/* Base 2 logarithm, rounded down, of the hashes it takes to forge an address (spec bca 9). */
unsigned bca_security_bits(const struct bca_rules *rules, unsigned sec);

#endif

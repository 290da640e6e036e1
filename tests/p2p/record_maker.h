/* Signed records of made-up identities, for tests of what is done with them. */
#ifndef TESTS_P2P_RECORD_MAKER_H
#define TESTS_P2P_RECORD_MAKER_H

#include "p2p/bca_record.h"

#define MAKER_NOW 1790000000

struct made_record {
    struct buf raw;
    uint8_t key[IDENTITY_KEY_SIZE], record_key[32];
};

/*
 * Of the identity with a secret of 32 bytes `who`, issued at MAKER_NOW + seq for a day, with an
 * address of 2001:db8::/32. change (may be NULL) alters it before it is signed.
 */
void record_make(struct made_record *m, uint8_t who, uint64_t seq,
                 void (*change)(struct bca_record *r));
void record_clear(struct made_record *m);

#endif

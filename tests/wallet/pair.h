/* The two people of the tests: secrets of 32 bytes 11 (hex) and of 32 bytes 21. */
#ifndef TESTS_WALLET_PAIR_H
#define TESTS_WALLET_PAIR_H

#include <string.h>

#include "tests/test.h"
#include "wallet/brc42.h"

struct person {
    uint8_t secret[32], key[33];
    struct brc42_party party; /* as others see them */
};

static inline struct person person_of(const uint8_t secret[32])
{
    struct person p;
    memcpy(p.secret, secret, 32);
    assert_true(ec_pubkey_of(p.key, secret));
    p.party = brc42_other(p.key);
    return p;
}

static inline struct person person_with(uint8_t byte)
{
    uint8_t secret[32];
    memset(secret, byte, sizeof secret);
    return person_of(secret);
}

static inline struct span text_span(const char *text) { return span_of(text, strlen(text)); }

static inline int start_ec(void **state)
{
    (void)state;
    ec_init();
    return 0;
}

#endif

/* Keys and sessions for tests of direct channels. */
#ifndef TESTS_P2P_DCHAN_FIXTURE_H
#define TESTS_P2P_DCHAN_FIXTURE_H

#include "base/buf.h"
#include "p2p/dchan_hs.h"

/* An identity whose secret lies open. */
struct open_key {
    uint8_t secret[32];
    struct identity_key key;
    bool locked; /* refuses */
};

void open_key_init_with(struct open_key *k, const uint8_t secret[32]);
/* Secret of 32 equal bytes. */
void open_key_init(struct open_key *k, uint8_t byte);

/* The sessions of the vectors: secrets 11, 12 (initiator), 21, 22 (responder). */
struct session_pair {
    struct open_key initiator_key, responder_key;
    struct dchan_keys initiator, responder;
};
void session_pair_make(struct session_pair *p, struct span prologue);

/* Fails the test when the bytes are not those of the digits. */
#define assert_hex(data, len, hex) assert_hex_at(data, len, hex, __FILE__, __LINE__)
void assert_hex_at(const void *data, size_t len, const char *hex, const char *file, int line);

#endif

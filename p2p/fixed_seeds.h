/*
 * The compiled-in addresses of the main and the test network (spec consensus 1.6); stn and regtest
 * have none. Read through dns_seed.h.
 */
#ifndef P2P_FIXED_SEEDS_H
#define P2P_FIXED_SEEDS_H

#include <stdint.h>

#define FIXED_SEEDS_MAIN 921
#define FIXED_SEEDS_TEST 17

struct fixed_seed {
    uint32_t ipv4; /* a.b.c.d = 0xaabbccdd */
    uint16_t port;
};

extern const struct fixed_seed fixed_seeds_main[FIXED_SEEDS_MAIN];
extern const struct fixed_seed fixed_seeds_test[FIXED_SEEDS_TEST];

#endif

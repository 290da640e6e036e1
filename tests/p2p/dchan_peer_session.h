/* Whole sessions for dchan_peer.c. */
#ifndef TESTS_P2P_DCHAN_PEER_SESSION_H
#define TESTS_P2P_DCHAN_PEER_SESSION_H

#include "p2p/dchan_hs.h"

enum dchan_peer_status {
    DCHAN_PEER_CLEAN = 0,
    DCHAN_PEER_CUT = 1,
    DCHAN_PEER_SECRETLY_REFUSED = 2,
    DCHAN_PEER_REFUSED = 3,
};

/* On standard input until it ends; time stands still. The service `echo` sends back what it gets,
 * datagrams too. */
enum dchan_peer_status dchan_peer_session(enum dchan_role role, const uint8_t magic[4],
                                          const struct identity_key *key,
                                          const uint8_t *their_key);

#endif

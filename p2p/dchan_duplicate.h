/*
 * Two sessions with one peer: which of them stays, and when one is to be renewed (spec channels
 * 2.5, 2.6). Both sides come to the same answer. Pure functions, any thread.
 */
#ifndef P2P_DCHAN_DUPLICATE_H
#define P2P_DCHAN_DUPLICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/dchan_hs.h"

enum {
    DCHAN_DUPLICATE_WAIT_MS = 5000,     /* for the pong of the live one */
    DCHAN_RENEW_OTHER_MS = 600000,      /* how much later the side with the larger key may */
};
#define DCHAN_RENEW_AGE_MS (UINT64_C(24) * 3600 * 1000)
#define DCHAN_RENEW_BYTES (UINT64_C(1) << 40)

enum dchan_live { DCHAN_LIVE_ASKED, DCHAN_LIVE_ANSWERED, DCHAN_LIVE_SILENT };

struct dchan_two {
    const uint8_t *our_key, *their_key;    /* 33 bytes each */
    enum dchan_role live_role, fresh_role; /* ours in either session */
    bool renews;                           /* the new one's hello names the live one */
    enum dchan_live live;                  /* what came of the ping */
};

enum dchan_settled {
    DCHAN_SETTLED_NOT_YET, /* ping the live one, hold the new one */
    DCHAN_SETTLED_RENEWAL, /* both: streams finish on the live one, all else on the new one */
    DCHAN_SETTLED_LIVE,    /* the live one stays, the other gets goaway(duplicate) */
    DCHAN_SETTLED_FRESH
};

enum dchan_settled dchan_duplicate_settle(const struct dchan_two *two);

/* When a session is to be renewed, DCHAN_RENEW_AGE_MS and _BYTES if nothing else was chosen. */
struct dchan_renewal { uint64_t age_ms, bytes; };
/* Whether this side should dial again now; age and bytes are those of the session. */
bool dchan_renewal_due(const struct dchan_renewal *when, const uint8_t *our_key,
                       const uint8_t *their_key, uint64_t age_ms, uint64_t bytes,
                       uint64_t over_bytes_ms);

#endif

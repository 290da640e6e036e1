/*
 * Handshake of direct channels: Noise_XK_secp256k1_ChaChaPoly_SHA256 as BOLT 8 has it, with the
 * prologue as a parameter (spec channels 2.1). A step machine for both roles without sockets and
 * clocks: the caller feeds what arrived and sends what comes out.
 *
 *     initiator                      responder
 *     dchan_hs_start   -- act 1 -->  dchan_hs_feed
 *     dchan_hs_feed   <-- act 2 --
 *                      -- act 3 -->  dchan_hs_feed
 *
 * After any failure: close, send nothing, dchan_hs_clear; the machine has wiped itself by then and
 * fails from there on. Time limits, how many may be open at once (2.3) and refusing a remote key
 * that is one of our own are the caller's. One thread at a time; ec_init must have been called.
 */
#ifndef P2P_DCHAN_HS_H
#define P2P_DCHAN_HS_H

#include <stddef.h>

#include "base/err.h"
#include "p2p/identity_key.h"

enum {
    DCHAN_ACT_ONE_SIZE = 50,
    DCHAN_ACT_TWO_SIZE = 50,
    DCHAN_ACT_THREE_SIZE = 66,
    DCHAN_ACT_MAX = DCHAN_ACT_THREE_SIZE,
    DCHAN_PROLOGUE_SIZE = 17,
};

enum dchan_role { DCHAN_INITIATOR, DCHAN_RESPONDER };

enum dchan_hs_fault {
    DCHAN_HS_NO_FAULT,
    DCHAN_HS_SHORT,          /* the stream ended inside an act */
    DCHAN_HS_BAD_VERSION,
    DCHAN_HS_BAD_PUBKEY,
    DCHAN_HS_BAD_CIPHERTEXT, /* of the initiator's key in act 3 */
    DCHAN_HS_BAD_TAG,
    DCHAN_HS_NO_KEY,         /* our static key is not to be had */
    DCHAN_HS_NO_RANDOM,      /* no ephemeral key could be drawn */
    DCHAN_HS_COPIED,         /* this is a copy of the process that began (process_copy.h) */
};

/* What both sides have in the end; secret but for the last two. */
struct dchan_keys {
    uint8_t send_key[32], receive_key[32];
    uint8_t chaining_key[32]; /* both directions rotate from it */
    uint8_t session_id[32];   /* the transcript: all four keys, version, network */
    uint8_t remote_key[IDENTITY_KEY_SIZE];
};

void dchan_keys_wipe(struct dchan_keys *s);

struct dchan_hs_config {
    enum dchan_role role;
    struct span prologue;           /* borrowed during dchan_hs_init */
    const struct identity_key *key; /* borrowed until the end */
    const uint8_t *remote_key;      /* 33 bytes; the initiator knows whom he calls */
    const uint8_t *ephemeral;       /* 32 bytes for vectors; NULL: drawn when it is needed */
};

/* The caller stores it; the fields are the machine's own. */
struct dchan_hs {
    enum dchan_role role;
    enum {
        DCHAN_HS_TO_START, DCHAN_HS_ACT_ONE, DCHAN_HS_ACT_TWO, DCHAN_HS_ACT_THREE, DCHAN_HS_DONE,
        DCHAN_HS_FAILED
    } awaits;
    enum dchan_hs_fault fault;
    const struct identity_key *key;
    uint64_t copy; /* the process that began */
    bool fixed_ephemeral;
    uint8_t e[32], e_pub[IDENTITY_KEY_SIZE];
    uint8_t remote_e[IDENTITY_KEY_SIZE], remote_s[IDENTITY_KEY_SIZE];
    uint8_t h[32], ck[32], temp_k[32];
    uint8_t act[DCHAN_ACT_MAX]; /* the part of the awaited act that has arrived */
    size_t act_len;
};

/* "bsv-bca-peer", protocol version 1, network magic as on the wire. */
void dchan_prologue(uint8_t out[DCHAN_PROLOGUE_SIZE], const uint8_t magic[4]);

/* ERR_RANGE: a remote key that is none. */
enum err dchan_hs_init(struct dchan_hs *hs, const struct dchan_hs_config *config) MUST_CHECK;
/* Wipes; also of a machine that is done or has failed. */
void dchan_hs_clear(struct dchan_hs *hs);

/* Initiator, first: writes act 1. ERR_AUTH: see hs->fault. */
enum err dchan_hs_start(struct dchan_hs *hs, uint8_t act[DCHAN_ACT_ONE_SIZE]) MUST_CHECK;
/*
 * Takes from the front of *in at most what the awaited act lacks: bytes behind the handshake stay
 * there, they are the first packet. *reply_len bytes of reply are to be sent (0: none). ERR_AUTH as
 * above.
 */
enum err dchan_hs_feed(struct dchan_hs *hs, struct span *in, uint8_t reply[DCHAN_ACT_MAX],
                       size_t *reply_len) MUST_CHECK;
/* The stream ended: ERR_AUTH unless the handshake is done. */
enum err dchan_hs_end(struct dchan_hs *hs) MUST_CHECK;
static inline bool dchan_hs_done(const struct dchan_hs *hs)
{
    return hs->awaits == DCHAN_HS_DONE;
}
/* Once, when done: moves the result out and wipes the machine. The caller wipes *out. */
void dchan_hs_take(struct dchan_hs *hs, struct dchan_keys *out);

/* "bad version" ... for the log. */
const char *dchan_hs_fault_name(enum dchan_hs_fault fault);

#endif

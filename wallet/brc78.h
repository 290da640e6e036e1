/*
 * Encrypted messages (BRC-78; spec brc-notes 5) for stored pieces: whoever gets one of the two
 * secrets later reads all of them, and an old message can be sent again. Sessions use the channel
 * protocol. Pure functions but for the key id and IV of a new message, any thread.
 */
#ifndef WALLET_BRC78_H
#define WALLET_BRC78_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/ec.h"
#include "base/err.h"
#include "wallet/brc43.h"

struct brc78 {
    uint8_t sender[EC_PUBKEY_SIZE];
    uint8_t recipient[EC_PUBKEY_SIZE];
    uint8_t key_id[BRC43_KEY_ID_SIZE];
    struct span sealed; /* borrowed from what was read */
};

/* ERR_PARSE with the reason. That the keys are keys is checked. */
enum err brc78_read(struct brc78 *m, struct span data, struct error *e) MUST_CHECK;

/*
 * Appends the message. ERR_RANGE when plain is empty, or a key is none or the one everybody has the
 * secret of; ERR_NOMEM. On failure out is as before.
 */
enum err brc78_encrypt(struct buf *out, const uint8_t sender[32],
                       const uint8_t recipient[EC_PUBKEY_SIZE], struct span plain,
                       struct error *e) MUST_CHECK;
/*
 * Appends the plain text, for the recipient's secret or the sender's. ERR_AUTH for another secret
 * or when the message was changed; ERR_NOMEM. On failure out is as before.
 */
enum err brc78_decrypt(struct buf *out, const struct brc78 *m, const uint8_t secret[32],
                       struct error *e) MUST_CHECK;

#endif

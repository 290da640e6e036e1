/*
 * Signed messages (BRC-77; spec brc-notes 4): for one verifier, who alone can check them, or for
 * anyone. The message is not part of the signature. Pure functions but for the key id of a new
 * signature, any thread.
 */
#ifndef WALLET_BRC77_H
#define WALLET_BRC77_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/ec.h"
#include "base/err.h"
#include "wallet/brc43.h"

#define BRC77_SIG_MAX 72

struct brc77 {
    uint8_t signer[EC_PUBKEY_SIZE];
    bool for_anyone;
    uint8_t verifier[EC_PUBKEY_SIZE]; /* zeros for anyone */
    uint8_t key_id[BRC43_KEY_ID_SIZE];
    uint8_t sig[BRC77_SIG_MAX]; /* DER */
    size_t sig_len;
};

/* ERR_PARSE with the reason. That the keys are keys is checked, the signature is not. */
enum err brc77_read(struct brc77 *s, struct span data, struct error *e) MUST_CHECK;
void brc77_write(struct buf *out, const struct brc77 *s);

/* verifier: NULL for anyone. ERR_RANGE when a key is none. */
enum err brc77_sign(struct brc77 *s, const uint8_t signer[32], const uint8_t *verifier,
                    struct span message, struct error *e) MUST_CHECK;
/*
 * secret: of the verifier; not looked at, and may be NULL, when the signature is for anyone.
 * ERR_AUTH when it is for somebody else: nothing is known then about its truth.
 */
enum err brc77_verify(bool *valid, const struct brc77 *s, const uint8_t *secret,
                      struct span message, struct error *e) MUST_CHECK;

#endif

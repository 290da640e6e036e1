/*
 * The master key of an encrypted wallet: random, so that a new passphrase does not mean new sealing
 * of every secret, and kept sealed under a key that scrypt makes from the passphrase.
 *
 *   data of the record   N (8), r (4), p (4), little-endian, salt (32)
 *   secret               the master key (32), sealed
 *
 * Slow by intent (scrypt): not on the loop thread. Any thread.
 */
#ifndef WALLET_MASTER_KEY_H
#define WALLET_MASTER_KEY_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/kdf.h"

struct buf;
struct key_record;

enum {
    MASTER_KEY_SIZE = 32,
    MASTER_KEY_PASSPHRASE_MAX = 1024, /* bytes */
};
/* What scrypt may work over for parameters from a file. */
#define MASTER_KEY_SCRYPT_MAX (UINT64_C(1) << 30)

/* Appends the value of a KEY_RECORD_CIPHER record. ERR_RANGE: no passphrase, or parameters that
 * cannot be. */
enum err master_key_seal(struct buf *value, const uint8_t master[MASTER_KEY_SIZE],
                         struct span passphrase, const struct scrypt_params *params,
                         struct error *e) MUST_CHECK;
/* ERR_AUTH: wrong passphrase. The caller wipes master. */
enum err master_key_unseal(uint8_t master[MASTER_KEY_SIZE], const struct key_record *cipher,
                           struct span passphrase, struct error *e) MUST_CHECK;
/* Whether the parameters of such a record are ones this program takes. ERR_RANGE. */
enum err master_key_check(const struct key_record *cipher, struct error *e) MUST_CHECK;

#endif

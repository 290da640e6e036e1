/*
 * An identity in a file, for another wallet to go on with: its registration with transaction and
 * proof, its secrets, how many modifiers were used, its addresses. Frame of base/state_file.h, tag
 * BCAX; payload:
 *
 *   1       form: 0 plain, 1 sealed
 *   plain   body
 *   sealed  a key that was drawn for this file, under the passphrase (a KEY_RECORD_CIPHER value,
 *           compact length) | IV 12 | ChaCha20-Poly1305 of the body, with the cipher as additional
 *           data
 *   body    number of records (compact), then name and value of each (compact lengths):
 *           KEY_RECORD_IDENTITY, KEY_RECORD_IDENTITY_KEYS, KEY_RECORD_BCA in any number
 *
 * A file comes from elsewhere: nothing in it is trusted. Pure functions but for memory; any thread,
 * slow with a passphrase.
 */
#ifndef WALLET_IDENTITY_FILE_H
#define WALLET_IDENTITY_FILE_H

#include "wallet/identity.h"

#define IDENTITY_FILE_MAX ((size_t)1 << 20) /* bytes */
/* Three collision counts of each modifier, on several blocks. */
#define IDENTITY_FILE_ADDRESSES_MAX 400

struct identity_file {
    struct identity id; /* IDENTITY_MOVING */
    struct identity_secrets secrets;
    struct identity_address *addresses;
    size_t n;
};
void identity_file_init(struct identity_file *f);
void identity_file_clear(struct identity_file *f); /* wipes */

/* Appends. An empty passphrase: the file is plain. The caller wipes out. */
enum err identity_file_write(struct buf *out, const struct identity_file *f,
                             const uint8_t magic[4], struct span passphrase,
                             const struct scrypt_params *scrypt, struct error *e) MUST_CHECK;
/*
 * OK only when keys, registration, transaction, proof and every address belong together.
 * ERR_CORRUPT; ERR_RANGE: of another network or a newer program; ERR_AUTH: the passphrase is wrong,
 * or there is none and one is needed.
 */
enum err identity_file_read(struct identity_file *f, struct span content, const uint8_t magic[4],
                            enum bca_network network, struct span passphrase,
                            struct error *e) MUST_CHECK;

#endif

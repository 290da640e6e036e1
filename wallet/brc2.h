/*
 * What two people do with the keys they share (spec brc-notes 3): encryption (BRC-2) under their
 * symmetric key, signatures (BRC-3) with the child key of one for the other. own, party and invoice
 * are as in brc42.h. Pure functions but for the IV, any thread.
 */
#ifndef WALLET_BRC2_H
#define WALLET_BRC2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct brc42_party;

#define BRC2_OVERHEAD 48 /* IV of 32 bytes in front, tag of 16 behind */

/*
 * AES-256-GCM. Both append to out, which is as before on failure: ERR_RANGE when a key is none,
 * ERR_NOMEM, and when it was not sealed for these two under this number ERR_AUTH. An empty text is
 * opened but not sealed (ERR_RANGE): the programs in use refuse to open one.
 */
enum err brc2_encrypt(struct buf *out, const uint8_t own[32], const struct brc42_party *party,
                      struct span invoice, struct span plain, struct error *e) MUST_CHECK;
enum err brc2_decrypt(struct buf *out, const uint8_t own[32], const struct brc42_party *party,
                      struct span invoice, struct span sealed, struct error *e) MUST_CHECK;
/* DER of at most 72 bytes over SHA256 of the data; its length, 0 when a key is none. */
size_t brc3_sign(uint8_t out[72], const uint8_t own[32], const struct brc42_party *party,
                 struct span invoice, struct span data) MUST_CHECK;
/* Whether party signed it for the holder of own. */
bool brc3_verify(const uint8_t own[32], const struct brc42_party *party, struct span invoice,
                 struct span data, struct span sig) MUST_CHECK;

#endif

/* The records of an identity, which the key store and files (identity_file.c) have. */
#ifndef WALLET_IDENTITY_INTERNAL_H
#define WALLET_IDENTITY_INTERNAL_H

#include "wallet/identity.h"

/* Records that borrow; their data lies in room, which is initialized here and the caller clears. */
struct key_record identity_record(const struct identity *id, struct buf *room);
struct key_record identity_address_record(const struct identity_address *a, struct buf *room);
/* secret: as identity_secrets_write makes it. */
struct key_record identity_keys_record(const struct identity *id, struct span secret);
/* Into an initialized struct. ERR_CORRUPT. */
enum err identity_record_read(const struct key_record *record, struct identity *out,
                              struct error *e) MUST_CHECK;
enum err identity_address_record_read(const struct key_record *record,
                                      struct identity_address *out, struct error *e) MUST_CHECK;
/* A new one. ERR_EXISTS: another has the key. */
enum err identity_store_with_keys(struct keystore *ks, const struct identity *id,
                                  const struct identity_secrets *s, struct error *e) MUST_CHECK;
/* Whether the secrets are those of the registration: ERR_CORRUPT. */
enum err identity_check_secrets(const struct identity *id, const struct identity_secrets *s,
                                struct error *e) MUST_CHECK;
/* Whether addresses verify that are formed of its transaction and proof: ERR_RANGE. */
enum err identity_check_proof(const struct identity *id, const struct identity_secrets *s,
                              enum bca_network network, struct error *e) MUST_CHECK;

#endif

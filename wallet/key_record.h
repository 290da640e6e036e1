/*
 * The records of a key store: one name and one value for each thing a wallet knows, the same before
 * and after encryption. A store may come from elsewhere (restorewallet), so the reader trusts
 * nothing and accepts exactly what the writer writes.
 *
 *   name    one letter for the kind, then the id
 *
 *   value   size  content
 *           1     version of the format
 *           1     form: 0 public, 1 with a plain secret, 2 with a sealed one
 *           4     flags, meaning by the user of the record, little-endian
 *           8     birth: seconds since 1970 or 0, little-endian
 *           n     public data, with its compact length
 *           n     secret, with its compact length; sealed: IV of 12, ciphertext, tag of 16
 *           4     start of SHA256d of the name and everything before
 *
 * A secret is sealed with ChaCha20-Poly1305 under a random IV, with the name and all of the value
 * before the secret as additional data: a sealed secret moved to another record, or one whose
 * record was changed, does not open. Pure functions, any thread.
 */
#ifndef WALLET_KEY_RECORD_H
#define WALLET_KEY_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/aead.h"
#include "base/bytes.h"
#include "base/err.h"

struct buf;

enum {
    KEY_RECORD_VERSION = 1,
    KEY_RECORD_IV = 12,
    KEY_RECORD_SECRET_MAX = 128, /* bytes, not sealed */
    KEY_RECORD_SEALED_MAX = KEY_RECORD_IV + KEY_RECORD_SECRET_MAX + AEAD_TAG_SIZE,
    KEY_RECORD_NAME_MAX = 10001,
};

enum key_record_kind {
    KEY_RECORD_HEAD,    /* data: magic of the network (4), id of the wallet (16) */
    KEY_RECORD_CHANGES, /* data: how often the store was written (8) */
    KEY_RECORD_CIPHER,  /* the master key under the passphrase (wallet/master_key.h) */
    KEY_RECORD_SCRUB,   /* plain secrets may still lie in the files of the database */
    KEY_RECORD_INDEX,   /* id: account (4, big-endian), branch (1); data: next index (4) */
    KEY_RECORD_SEED,    /* secret: length of the entropy (1), entropy, seed */
    KEY_RECORD_SECRET,  /* id: public key; secret: its private key */
    KEY_RECORD_PUBKEY,  /* id: public key, watched */
    KEY_RECORD_SCRIPT,  /* id: script, watched */
    KEY_RECORD_XPUB,    /* id: extended public key, watched */
    KEY_RECORD_LABEL,   /* id: what is labelled; data: the label */
    /* Bitcoin-Certified Addresses (wallet/identity.h): */
    KEY_RECORD_IDENTITY,      /* id: name; data: the registration */
    KEY_RECORD_IDENTITY_KEYS, /* id: public key; secret: of identity_keys.h */
    KEY_RECORD_BCA,           /* id: IPv6 address; data: its parameters */
    KEY_RECORD_PAYEE,         /* data: public identity key (wallet/payments.h) */
    KEY_RECORD_PAYMENT,       /* how the keys of a payment are derived (wallet/payments.c) */
    KEY_RECORD_KINDS
};

enum key_record_form { KEY_RECORD_PUBLIC, KEY_RECORD_PLAIN, KEY_RECORD_SEALED };

/* Spans are borrowed. */
struct key_record {
    enum key_record_kind kind;
    enum key_record_form form;
    uint32_t flags;
    int64_t birth;
    struct span id, data, secret;
};

/* Whether id, data and secret have lengths and the form that their kind allows: ERR_RANGE. */
enum err key_record_check(const struct key_record *r, struct error *e) MUST_CHECK;
/* Append name and value of a record that passes the check. */
void key_record_name(struct buf *out, enum key_record_kind kind, struct span id);
void key_record_value(struct buf *out, const struct key_record *r);
/*
 * Reads a record; r borrows from both. ERR_CORRUPT with the name of the record, ERR_RANGE when a
 * newer program wrote it.
 */
enum err key_record_read(struct key_record *r, struct span name, struct span value,
                         struct error *e) MUST_CHECK;

/* Makes a record with a plain secret one with a sealed one, which lies in room. ERR_IO: there is no
 * random number for it (rand_secret). */
enum err key_record_seal(struct key_record *r, const uint8_t key[AEAD_KEY_SIZE],
                         uint8_t room[KEY_RECORD_SEALED_MAX], struct error *e) MUST_CHECK;
/* ERR_AUTH: another key, or the record was changed. The caller wipes out. */
enum err key_record_unseal(const struct key_record *r, const uint8_t key[AEAD_KEY_SIZE],
                           uint8_t out[KEY_RECORD_SECRET_MAX], size_t *len,
                           struct error *e) MUST_CHECK;

enum { KEY_RECORD_TEXT_MAX = 120 };
/* Kind and start of the id for people: "private key 02ab..."; returns out. */
const char *key_record_text(char out[KEY_RECORD_TEXT_MAX], const struct key_record *r);

#endif

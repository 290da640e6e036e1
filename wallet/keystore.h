/*
 * The keys of one wallet on disk: a seed with the entropy of its phrase, imported private keys,
 * watched keys and scripts, labels, identities, and the next index of every branch. It stores bytes
 * and derives nothing.
 *
 * Every change is one batch that is on disk when the function returns OK; after an error or a crash
 * the store has either the old or the new state.
 *
 * Secrets lie plain until keystore_encrypt. From then on they are sealed under a master key, which
 * is in memory only while the wallet is unlocked (see wallet/key_record.h, wallet/master_key.h).
 * What is public (public keys, scripts, labels, indices) is never sealed, and a locked wallet
 * gives it. An encrypted store does not become plain again.
 *
 * The store has a database of its own, which the caller opens, keeps open while the key store is
 * open, and closes.
 *
 * Any thread; access to the disk blocks, and what takes a passphrase is slow by intent.
 */
#ifndef WALLET_KEYSTORE_H
#define WALLET_KEYSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/kdf.h"
#include "wallet/key_record.h"

struct buf;
struct kv;
struct keystore;

struct keystore_options {
    uint8_t magic[4];            /* of the network; a wallet belongs to one */
    int64_t (*now)(void);        /* the clock of time-outs, in seconds */
    int64_t (*mono_ms)(void);    /* one that nobody sets, for them too; NULL: none */
    struct scrypt_params scrypt; /* for new passphrases; all zero: 2^17, 8, 1 (128 MiB) */
};

/* In an empty database: ERR_EXISTS otherwise. */
enum err keystore_create(struct keystore **out, struct kv *kv, const struct keystore_options *o,
                         struct error *e) MUST_CHECK;
/*
 * ERR_NOTFOUND: no wallet in the database. ERR_RANGE: of another network or a newer program.
 * Records are checked when they are used (wallet/backup.h looks at all of them).
 */
enum err keystore_open(struct keystore **out, struct kv *kv, const struct keystore_options *o,
                       struct error *e) MUST_CHECK;
void keystore_close(struct keystore *ks); /* wipes the master key; NULL is fine */

/* Stays the same for copies and backups of the wallet. */
enum { KEYSTORE_ID_SIZE = 16 };
void keystore_id(const struct keystore *ks, uint8_t out[KEYSTORE_ID_SIZE]);
/* How a passphrase is stretched. */
struct scrypt_params keystore_scrypt(const struct keystore *ks);
/* How often the store was written; a backup is as old as this number says. */
uint64_t keystore_changes(struct keystore *ks);

/* --- encryption --- */

enum keystore_state { KEYSTORE_PLAIN, KEYSTORE_LOCKED, KEYSTORE_UNLOCKED };
/* Locks first when the time is up; until may be NULL. */
enum keystore_state keystore_state(struct keystore *ks, int64_t *until);
/*
 * Seals all secrets and removes the plain ones from the files of the database (what the medium
 * itself remembers is out of reach). Leaves the wallet locked. ERR_EXISTS when it is encrypted.
 */
enum err keystore_encrypt(struct keystore *ks, struct span passphrase, struct error *e) MUST_CHECK;
/* Until the clock says until, and as much longer as it took to stretch the passphrase, so that a
 * short time is not over before it begins; no longer when that clock is set back meanwhile.
 * ERR_AUTH: wrong passphrase, nothing changes. */
enum err keystore_unlock(struct keystore *ks, struct span passphrase, int64_t until,
                         struct error *e) MUST_CHECK;
void keystore_lock(struct keystore *ks);
/* The master key stays the same: who has an old copy of the files and the old passphrase has it. */
enum err keystore_change_passphrase(struct keystore *ks, struct span old, struct span passphrase,
                                    struct error *e) MUST_CHECK;

/* --- secrets: ERR_AUTH while the wallet is locked, for adding as well --- */

struct keystore_seed {
    uint8_t entropy[32], seed[64];
    size_t entropy_len; /* 0: the seed did not come from a phrase */
    size_t seed_len;    /* 16 to 64 */
    uint32_t flags;
    int64_t birth;
};
/* Once: ERR_EXISTS. */
enum err keystore_set_seed(struct keystore *ks, const struct keystore_seed *seed,
                           struct error *e) MUST_CHECK;
/* ERR_NOTFOUND when there is none. The caller wipes it. */
enum err keystore_get_seed(struct keystore *ks, struct keystore_seed *seed,
                           struct error *e) MUST_CHECK;

/*
 * Adds all of the records or none: KEY_RECORD_SECRET with a plain secret, KEY_RECORD_PUBKEY,
 * KEY_RECORD_SCRIPT, KEY_RECORD_XPUB, KEY_RECORD_PAYEE, KEY_RECORD_PAYMENT. ERR_EXISTS when one is
 * there already.
 */
enum err keystore_add(struct keystore *ks, const struct key_record *records, size_t n,
                      struct error *e) MUST_CHECK;
/*
 * The same for what changes: KEY_RECORD_IDENTITY, KEY_RECORD_IDENTITY_KEYS with a plain secret,
 * KEY_RECORD_BCA. What was there under the same id is replaced; ERR_AUTH only with secrets.
 */
enum err keystore_replace(struct keystore *ks, const struct key_record *records, size_t n,
                          struct error *e) MUST_CHECK;
/* Those among them that are given by kind and id, all or none; OK when they were not there. */
enum err keystore_remove(struct keystore *ks, const struct key_record *records, size_t n,
                         struct error *e) MUST_CHECK;
/* The secret of a record. ERR_NOTFOUND when there is none. The caller wipes out. */
enum err keystore_open_secret(struct keystore *ks, enum key_record_kind kind, struct span id,
                              uint8_t out[KEY_RECORD_SECRET_MAX], size_t *len,
                              struct error *e) MUST_CHECK;
/* The private key of a public key. The caller wipes out. */
enum err keystore_get_secret(struct keystore *ks, struct span pubkey, uint8_t out[32],
                             struct error *e) MUST_CHECK;

/* --- what needs no passphrase --- */

enum err keystore_has(struct keystore *ks, enum key_record_kind kind, struct span id, bool *has,
                      struct error *e) MUST_CHECK;
/* Appends the public data of a record. */
enum err keystore_get_data(struct keystore *ks, enum key_record_kind kind, struct span id,
                           struct buf *data, bool *found, struct error *e) MUST_CHECK;
/*
 * Calls fn for each record of a kind as it was at the start, in the order of the ids and without
 * its secret; stops at the first error, also of a damaged record. fn may call the key store.
 */
typedef enum err (*keystore_each_fn)(void *ctx, const struct key_record *r, struct error *e);
enum err keystore_each(struct keystore *ks, enum key_record_kind kind, keystore_each_fn fn,
                       void *ctx, struct error *e) MUST_CHECK;
/* The same for one record, if it is there. */
enum err keystore_find(struct keystore *ks, enum key_record_kind kind, struct span id,
                       keystore_each_fn fn, void *ctx, bool *found, struct error *e) MUST_CHECK;

/* An empty label removes it. get appends to label. */
enum err keystore_set_label(struct keystore *ks, struct span subject, struct span label,
                            struct error *e) MUST_CHECK;
enum err keystore_get_label(struct keystore *ks, struct span subject, struct buf *label,
                            bool *found, struct error *e) MUST_CHECK;

enum keystore_branch { KEYSTORE_RECEIVE, KEYSTORE_CHANGE };
/* Takes the next index, from 0 on: no other call ever gives it again. ERR_RANGE after 2^31 - 1. */
enum err keystore_next_index(struct keystore *ks, uint32_t account, enum keystore_branch branch,
                             uint32_t *index, struct error *e) MUST_CHECK;
/* What the next call will give. */
enum err keystore_peek_index(struct keystore *ks, uint32_t account, enum keystore_branch branch,
                             uint32_t *index, struct error *e) MUST_CHECK;
/* Makes the next index at least this: for keys that a rescan found in use. */
enum err keystore_raise_index(struct keystore *ks, uint32_t account, enum keystore_branch branch,
                              uint32_t next, struct error *e) MUST_CHECK;

#endif

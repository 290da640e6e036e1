/*
 * Backups: all records of a key store in one file, sealed secrets as they are sealed (a backup of a
 * wallet without a passphrase is as open as the wallet). Frame of base/state_file.h, tag WBAK;
 * payload: number of records, then name and value of each with their compact lengths, in the order
 * of the names.
 *
 * Works on the database below a key store, which may be in use: a backup is the state of one
 * moment. Any thread; blocks.
 */
#ifndef WALLET_BACKUP_H
#define WALLET_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wallet/keystore.h"

struct kv;

#define BACKUP_MAX_BYTES (UINT64_C(256) << 20)

struct backup_info {
    uint8_t id[KEYSTORE_ID_SIZE]; /* of the wallet */
    uint64_t changes;             /* the greater, the newer */
    uint64_t keys;                /* seeds, keys, watched things, payments and addresses of
                                     identities, none of which ever goes */
    bool encrypted;
};

/*
 * OK only when all records are sound, the file is on disk and reads back as it was written. An
 * existing file is replaced when it is a good backup of this wallet that is not newer and has no
 * more keys; anything else there is kept: ERR_EXISTS. info may be NULL.
 */
enum err backup_write(struct kv *kv, const uint8_t magic[4], const char *path,
                      struct backup_info *info, struct error *e) MUST_CHECK;
/* Checks a file: ERR_NOTFOUND, ERR_CORRUPT with the reason, ERR_RANGE of a newer program. */
enum err backup_inspect(const char *path, const uint8_t magic[4], struct backup_info *info,
                        struct error *e) MUST_CHECK;
/* The same of the content of a file. */
enum err backup_check(struct span content, const uint8_t magic[4], struct backup_info *info,
                      struct error *e) MUST_CHECK;
/*
 * Into an empty database (ERR_EXISTS otherwise), all or nothing. The next indices are those of the
 * time of the backup: addresses given out later are unknown until a rescan has raised them.
 */
enum err backup_restore(struct kv *kv, const uint8_t magic[4], const char *path,
                        struct backup_info *info, struct error *e) MUST_CHECK;

#endif

/*
 * Moving an identity to another wallet by a file (identity_file.h). One wallet forms addresses of
 * it at a time:
 *
 *   1. here it is marked IDENTITY_MOVING: no address is formed any more
 *   2. the file is written, synced and read back
 *   3. here it is marked IDENTITY_MOVED
 *
 * Each step is on disk before the next one. After a crash between 1 and 3 exporting is done once
 * more, to a new file, or ends with the file that is whole. Who imports goes on with the next
 * modifier; who comes to import the same file twice uses modifiers twice, and nobody can see that.
 * It comes back by a file of that other wallet. One export at a time, others wait. Take the
 * wallet's lock, so the caller does not hold it; slow with a passphrase.
 */
#ifndef WALLET_IDENTITY_MOVE_H
#define WALLET_IDENTITY_MOVE_H

#include "wallet/identity.h"

struct identity_export {
    const char *path;
    struct span passphrase; /* of the file; empty: it is plain, as the wallet is */
    enum bca_network network;
    unsigned unused;        /* what came of it: modifiers that went along */
    bool no_passphrase;     /* an error is that one is missing: the wallet is encrypted */
};
/*
 * id has transaction and proof of its block. ERR_EXISTS: there is a file already, which stays.
 * ERR_RANGE: it was restored or has moved, or there is no passphrase. ERR_AUTH: locked.
 */
enum err identity_export(struct wallet *w, const struct identity *id, struct identity_export *how,
                         struct error *e) MUST_CHECK;

enum identity_import_fault { IMPORT_FAULT_WALLET, IMPORT_FAULT_FILE };
struct identity_import {
    const char *path;
    struct span passphrase;
    enum bca_network network;
    const char *name; /* NULL: the one it had */
    struct identity id;                /* what came of it; initialized and cleared by the caller */
    enum identity_import_fault fault;  /* whose fault an error is */
};
/*
 * ERR_EXISTS: the name is taken, or the wallet has the identity; what went from here comes back
 * under its name alone. Else the errors of identity_file_read, or ERR_AUTH: the wallet is locked.
 */
enum err identity_import(struct wallet *w, struct identity_import *how,
                         struct error *e) MUST_CHECK;

#endif

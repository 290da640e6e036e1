/*
 * The wallets of a node that are loaded, by name, in one directory: DIR/NAME/. Any thread.
 */
#ifndef WALLET_WALLETS_H
#define WALLET_WALLETS_H

#include "wallet/wallet.h"

struct wallets;

#define WALLET_NAME_MAX 64 /* letters, digits, - _ . ; no leading dot */

/* dir is made when the first one is. wake: one was loaded, or wants blocks; may be NULL. */
struct wallets *wallets_new(const char *dir, const struct wallet_params *p,
                            void (*wake)(void *ctx), void *ctx);
void wallets_free(struct wallets *ws); /* unloads all; NULL is fine */

/* A reference for the caller. ERR_EXISTS, ERR_RANGE (name). */
enum err wallets_create(struct wallets *ws, const char *name, const struct wallet_new *how,
                        struct wallet **out, struct error *e) MUST_CHECK;
/* ERR_NOTFOUND: no such directory; ERR_EXISTS: it is loaded. */
enum err wallets_load(struct wallets *ws, const char *name, struct wallet **out,
                      struct error *e) MUST_CHECK;
enum err wallets_unload(struct wallets *ws, const char *name, struct error *e) MUST_CHECK;
/* A reference, or NULL. */
struct wallet *wallets_get(struct wallets *ws, const char *name);
/* References of all, in the order of their names; the array is the caller's (free). */
size_t wallets_all(struct wallets *ws, struct wallet ***out);
/* Names of directories that hold a wallet, loaded or not. */
typedef void (*wallets_name_fn)(void *ctx, const char *name);
enum err wallets_each_on_disk(struct wallets *ws, wallets_name_fn fn, void *ctx,
                              struct error *e) MUST_CHECK;
/* A wallet wants blocks again (rescan): calls wake. */
void wallets_wake(struct wallets *ws);

#endif

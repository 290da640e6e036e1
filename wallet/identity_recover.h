/*
 * Identities of which nothing but the phrase is left: their registrations are among the
 * transactions that a rescan has found, and key and marker follow from the seed. Names are lost,
 * and modifiers: IDENTITY_RECOVERED forms no addresses. Its marker can be spent.
 *
 * What counts is a transaction that spends coins of the wallet and registers a key of its tree, of
 * a number that can have been taken, with its own marker beside it: copies by others do not.
 */
#ifndef WALLET_IDENTITY_RECOVER_H
#define WALLET_IDENTITY_RECOVER_H

#include "wallet/identity.h"

/*
 * Stores those that the wallet does not have yet, as recovered-1 and so on, and calls fn for each
 * (may be NULL). What was stored before an error stays; the next call goes on. ERR_AUTH while
 * locked. Reads all transactions of the wallet; the caller holds its lock.
 */
enum err identity_recover(struct wallet *w, identity_fn fn, void *ctx, struct error *e) MUST_CHECK;

#endif

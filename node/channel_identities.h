/*
 * The identities of all loaded wallets as direct channels use them. A thread of its own looks twice
 * a second whether wallets, assigned addresses or the tip have changed, and hands the channels what
 * there is then; channel_identities_refresh does the same at once.
 *
 * Which ones: those that were sent to the chain, are not with another wallet and not revoked. In
 * order: by the names of wallets, in a wallet as they were registered. The address of one is that
 * which is assigned to an interface, of several the last, else the one formed last; one that the
 * chain denies is left out. Without any it is a bare key. The first of a name has it, also while it
 * is locked or revoked; with others stands that of their wallet.
 *
 * The secret of a key is copied when the wallet gives it, into memory for secrets, and stays when
 * the passphrase times out, so that sessions go on. walletlock, encryptwallet and unloadwallet wipe
 * it at once. Functions: any thread, which holds no lock of a wallet.
 */
#ifndef NODE_CHANNEL_IDENTITIES_H
#define NODE_CHANNEL_IDENTITIES_H

#include "p2p/assigned.h"
#include "p2p/channels.h"
#include "wallet/wallets.h"

struct bca_store;
struct chain;
struct channel_identities;

/* All of it outlives the object. assigned and records may be NULL. */
struct channel_identities *channel_identities_new(struct wallets *wallets,
                                                  struct assigned *assigned, struct chain *chain,
                                                  struct bca_store *records);
/* Looks once, then starts the thread. The channels run, and answer for what was found when this
 * returns. */
enum err channel_identities_start(struct channel_identities *ci, struct channels *channels,
                                  struct error *e) MUST_CHECK;
/* Before the channels and wallets go; NULL is fine for these two. */
void channel_identities_stop(struct channel_identities *ci);
void channel_identities_free(struct channel_identities *ci);

/* The wallet that an identity of the channels is in. Any thread that holds a reference. */
void channel_identity_wallet(const struct channel_identity *id, char out[WALLET_NAME_MAX + 1]);

void channel_identities_refresh(struct channel_identities *ci);
/* The wallet has been locked by its user, or will be unloaded. */
void channel_identities_lock(struct channel_identities *ci, const char *wallet);

#endif

/*
 * Records by which identities of this machine's wallets announce themselves (spec channels 1.1):
 * how far each is announced (p2p/bca_own.h), and a new record when half of the last one's life is
 * over or the address has changed. The number of a record is on disk before anybody sees it. To
 * sign takes the key, so the wallet must be unlocked then.
 *
 * Threads that may wait for the chain, the disk and wallets; no lock of a wallet is held.
 */
#ifndef RPC_OWN_RECORD_H
#define RPC_OWN_RECORD_H

#include "p2p/bca_own.h"
#include "rpc/command.h"

struct wallet;

/*
 * From now on the identity is announced so; *out is what is stored then. Whoever leaves a mode of
 * which records are about says so by a last record. alias: by which others may show it, "" none,
 * NULL as in its last record. False: call has failed.
 */
bool own_record_set(struct rpc_call *call, struct wallet *w, const char *identity,
                    enum bca_publication mode, const char *alias, struct bca_own *out);

/* Another wallet goes on with the identity, and with its announcements. */
void own_record_moved(struct rpc_env *env, const uint8_t key[IDENTITY_KEY_SIZE]);

/* Once, before records can come: own ones are never taken out for a limit. */
void own_records_begin(struct rpc_env *env);
/* What was said last of what cannot be done, so that it is said once. */
struct own_keeper { char said[ERROR_TEXT_MAX]; };
/* Now and then: makes those anew that are due, and shows those that the store has not. */
void own_records_keep(struct rpc_env *env, struct own_keeper *k);

#endif

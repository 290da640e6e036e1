/*
 * Direct channels as the options describe them: their database (DIR/channels), contacts, sockets,
 * and the identities of the wallets. Nothing is listened on as long as there is no identity.
 *
 * The functions belong to the main thread, but for those that say otherwise. NULL is fine for all
 * that take an object: -channel=0, or no wallets.
 */
#ifndef NODE_CHANNEL_SETUP_H
#define NODE_CHANNEL_SETUP_H

#include "node/feeds.h"
#include "node/settings.h"
#include "rpc/command.h"

struct bca_records;
struct channel_setup;
struct feeds;
struct relay;

/*
 * env has chain, wallets and the list of assigned addresses; it gets the channels and what commands
 * of wallets tell of keys. *out stays NULL without channels. ERR_IO: a port that was asked for
 * could not be bound; the default one is done without.
 */
enum err channel_setup_open(struct channel_setup **out, const struct settings *s,
                            struct feeds *feeds, struct relay *relay,
                            struct bca_records *records, struct rpc_env *env,
                            struct error *e) MUST_CHECK;
/* A new tip: proofs of addresses are looked at again. */
void channel_setup_tip_changed(struct channel_setup *cs);
/* Any thread. NULL is fine: out stays as it is. */
void channel_setup_memory(struct channel_setup *cs, struct channels_memory *out);
/* Any thread: a record of ours has changed. NULL is fine. */
void channel_setup_own_record(struct channel_setup *cs);
/* Ends sessions and their thread, so that nobody waits for channels any more. Before the chain and
 * the wallets stop. */
void channel_setup_stop(struct channel_setup *cs);
/* After all commands have ended. */
void channel_setup_free(struct channel_setup *cs);

#endif

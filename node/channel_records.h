/*
 * Announced records (p2p/bca_store.h) as direct channels use them: where a contact may be reached,
 * whose records are never dropped, and the key of a contact of which only the address is known: a
 * record whose endpoint 0 that is proves it.
 */
#ifndef NODE_CHANNEL_RECORDS_H
#define NODE_CHANNEL_RECORDS_H

#include "p2p/channels.h"
#include "rpc/command.h"

struct channel_records;

/* env->records may be NULL: then nothing is known. */
struct channel_records *channel_records_new(const struct rpc_env *env, bool any_address);
/* Before the channels start and before records can come. */
void channel_records_attach(struct channel_records *cr, struct channels *channels);
/* After nobody puts records any more, and before the channels. NULL is fine. */
void channel_records_free(struct channel_records *cr);

/* channels_ops, with the object as ctx. */
size_t channel_records_endpoints(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE],
                                 struct bca_endpoint out[BCA_RECORD_ENDPOINTS_MAX]);
void channel_records_look_for(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE]);
void channel_records_contact(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], bool contact);

#endif

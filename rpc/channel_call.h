/*
 * What commands about direct channels share: the channels themselves, contacts as people name them,
 * errors, work that the channel thread does for a command. Workers and waiters.
 */
#ifndef RPC_CHANNEL_CALL_H
#define RPC_CHANNEL_CALL_H

#include "p2p/channels.h"
#include "rpc/command.h"

/*
 * With the identities that the wallets have now. NULL: call has failed, there are none
 * (-channel=0).
 */
struct channels *rpc_channels(struct rpc_call *call);

/* From an error of channels or contacts. */
struct rpc_result rpc_channel_fail(struct rpc_call *call, const struct error *e);

/*
 * channels_ask for a command. r is the first member of what begin wants. False: call has failed.
 */
bool rpc_channel_ask(struct rpc_call *call, struct channels *c,
                     void (*begin)(struct channels *c, struct channels_request *r),
                     struct channels_request *r);
/*
 * For begin: a dchan_store_fn and its ctx that answer r when something is on disk, unless nobody
 * waits any more.
 */
void *rpc_channel_answer_ctx(struct channels *c, struct channels_request *r);
void rpc_channel_answer(void *ctx, enum err rc, const struct error *e);

/* For begin: the contact of an alias or key; NULL: r is answered. */
struct contact *rpc_channel_contact(struct channels *c, struct channels_request *r,
                                    const char *text);

/* "[address]:port" */
#define RPC_CHANNEL_ADDRESS_MAX 64
const char *rpc_channel_address_text(char out[RPC_CHANNEL_ADDRESS_MAX],
                                     const struct contact_address *a);
/* IPv6, with or without a port. ERR_PARSE. */
enum err rpc_channel_address(struct contact_address *out, const char *text, uint16_t default_port,
                             struct error *e) MUST_CHECK;

#endif

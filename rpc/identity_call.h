/*
 * What the commands about identities share (wallet/identity.h): their parameters, and where a
 * registration stands. That is asked of the chain at each call, so that a reorganisation needs no
 * telling: addresses are void as long as their block is not active, and are formed again on the
 * next one that holds the transaction. Worker threads.
 */
#ifndef RPC_IDENTITY_CALL_H
#define RPC_IDENTITY_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bca/work.h"
#include "rpc/wallet_call.h"
#include "wallet/identity.h"

struct header_node;

/* So few unused modifiers are worth a warning (spec bca 10). */
#define RPC_IDENTITY_FEW 4

/* --- parameters: false or NULL when call has failed --- */

/* A name that is allowed. */
const char *rpc_identity_name(struct rpc_call *call, size_t i);
/* "2001:db8:0:1::/64" or without its end; one that addresses are formed in on this network. */
bool rpc_identity_prefix(struct rpc_call *call, size_t i, enum bca_network network,
                         uint8_t prefix[BCA_PREFIX_SIZE]);
bool rpc_identity_address(struct rpc_call *call, size_t i, uint8_t address[BCA_ADDRESS_SIZE]);

/* Member "address", or as it is to be called. */
void jw_put_identity_address_as(struct json_writer *w, const char *key,
                                const uint8_t address[BCA_ADDRESS_SIZE]);
void jw_put_identity_address(struct json_writer *w, const uint8_t address[BCA_ADDRESS_SIZE]);

/* --- where a registration stands --- */

enum standing_state {
    STANDS_UNSENT,     /* nothing went out */
    STANDS_PENDING,    /* sent, in no block */
    STANDS_CONFIRMING, /* in a block that is not deep enough */
    STANDS_READY,
    STANDS_LOST,       /* it will be in no block: abandoned, or its coins went elsewhere */
    STANDS_RESTORED,   /* sent, and from a backup: no more addresses are formed of it */
    STANDS_MOVING,     /* bcaexport did not come to its end */
    STANDS_MOVED,      /* to another wallet */
};
const char *rpc_identity_state_name(enum standing_state state);

struct standing {
    enum standing_state state;
    struct header_node *node; /* of its block on the active chain, or NULL */
    uint64_t confirmations;
};
/*
 * The wallet is locked by the caller. When a crash came between the transaction and its name in the
 * store, or another transaction with the same registration is alive, id is made to say that it was
 * sent and as what; it is not stored.
 */
enum err rpc_identity_standing(struct rpc_call *call, struct wallet *w, struct identity *id,
                               struct standing *s, struct error *e) MUST_CHECK;

/* An identity and where it stands; id is initialized. False: call has failed. */
bool rpc_identity_load(struct rpc_call *call, struct wallet *w, const char *name,
                       struct identity *id, struct standing *s);

enum address_state {
    ADDRESS_VOID, /* its block is not on the active chain */
    ADDRESS_CONFIRMING,
    ADDRESS_READY,
};
enum address_state rpc_identity_address_state(struct rpc_call *call,
                                              const struct identity_address *a);
const char *rpc_identity_address_state_name(enum address_state state);

#endif

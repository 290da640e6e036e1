/*
 * Addresses of identities on network interfaces: duplicate address detection and what follows it
 * (spec bca 6 step 5), and the prefix that addresses are formed in when none is given. What is on
 * an interface is remembered in env->assigned before it is put there. These wait for the kernel,
 * for seconds: waiters, and the thread that keeps addresses.
 */
#ifndef RPC_IDENTITY_LINK_H
#define RPC_IDENTITY_LINK_H

#include "p2p/assigned.h"
#include "rpc/identity_call.h"

#define LINK_RETIRED_S (2 * 86400) /* how long a replaced address stays at most (RFC 8981) */

#define LINK_QUIET_S 86400         /* without a change of the prefix: the next counts as first */

/* --- for the thread that keeps addresses, too --- */

/* The prefix of an interface: the preferred one (may be NULL) when it has it, else another.
 * ERR_NOTFOUND: it has none. */
enum err link_prefix(struct assigned *list, enum bca_network network, uint32_t index,
                     const uint8_t *preferred, uint8_t prefix[BCA_PREFIX_SIZE],
                     struct error *e) MUST_CHECK;
/* Takes an address off its interface and forgets it. These two between assigned_begin and _end. */
enum err link_release(struct assigned *list, const struct assigned_address *at,
                      struct error *e) MUST_CHECK;
/* It is to be used no longer: it goes when its sessions end, after LINK_RETIRED_S at the latest. */
enum err link_retire(struct assigned *list, const struct assigned_address *at,
                     struct error *e) MUST_CHECK;

/* Retires what an address that is there replaces. */
enum err link_finish(struct assigned *list, const struct assigned_address *at,
                     struct error *e) MUST_CHECK;

enum link_fate {
    LINK_STAYS,   /* also when that cannot be told just now */
    LINK_VOID,    /* the block of the address is not on the active chain */
    LINK_REVOKED, /* for good: the identity is */
};
enum link_fate link_fate(struct rpc_env *env, const struct assigned_address *at);

/* --- false: call has failed --- */

/* Of the interface that carries the default route. */
bool rpc_link_default_prefix(struct rpc_call *call, enum bca_network network,
                             uint8_t prefix[BCA_PREFIX_SIZE]);
/* Another address could be put on an interface: this process may, and the list has room. */
bool rpc_link_possible(struct rpc_call *call, const char *interface);
/* Of an interface: the preferred one when it has it, else another. */
bool rpc_link_prefix(struct rpc_call *call, enum bca_network network, const char *interface,
                     const uint8_t preferred[BCA_PREFIX_SIZE], uint8_t prefix[BCA_PREFIX_SIZE]);
/* This node can assign addresses. */
bool rpc_link_ready(struct rpc_call *call);
/*
 * Puts an address that the wallet has stored on an interface; a becomes the one that is there,
 * which is another when hosts on the link had it. replaces (may be NULL) is retired then, if need
 * be after a crash. Between assigned_begin and assigned_end.
 */
bool rpc_link_assign(struct rpc_call *call, struct wallet *w, const char *interface,
                     struct identity_address *a, const struct assigned_address *replaces);
bool rpc_link_release(struct rpc_call *call, const struct assigned_address *at);
/* Member "collision_count". */
bool rpc_link_put_collisions(struct rpc_call *call, const struct identity_address *a);

/* An address that is assigned and in use, of this wallet. */
bool rpc_link_find(struct rpc_call *call, struct wallet *w,
                   const uint8_t address[BCA_ADDRESS_SIZE], struct assigned_address *out);

#endif
